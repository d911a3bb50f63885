package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// SOLAPI is the gateway of that name, version 4 of its messages.
type SOLAPI struct {
	client      *http.Client
	address     *url.URL
	key, secret string
	from        string
	now         func() time.Time
}

// NewSOLAPI returns a sender for the address, such as https://api.solapi.com. from is the sender's number, registered
// there. now is real time; requests that are too far off are refused.
func NewSOLAPI(address, key, secret, from string, timeout time.Duration, now func() time.Time) (*SOLAPI, error) {
	u, err := readAddress(address)
	if err != nil {
		return nil, err
	}
	return &SOLAPI{client: newClient(timeout), address: u, key: key, secret: secret, from: from, now: now}, nil
}

type solapiRequest struct {
	Messages []solapiMessage `json:"messages"`
}

type solapiMessage struct {
	To      string `json:"to"`
	From    string `json:"from"`
	Text    string `json:"text"`
	Type    string `json:"type"`
	Country string `json:"country"`
	// CustomFields come back with the message: they name it, so that it is found again.
	CustomFields map[string]string `json:"customFields"`
}

// solapiID is the custom field with a message's id.
const solapiID = "jariMessageId"

// Send hands one message over.
func (g *SOLAPI) Send(ctx context.Context, m Outgoing) error {
	fitted := Fit(m.Text)
	prefix, number := national(m.To)
	body, err := json.Marshal(solapiRequest{Messages: []solapiMessage{{
		To: number, From: g.from, Text: fitted.Text, Type: fitted.Type(), Country: prefix,
		CustomFields: map[string]string{solapiID: m.ID.String()},
	}}})
	if err != nil {
		return ErrRefused
	}
	r, err := g.request(ctx, http.MethodPost, "send-many/detail", nil, body)
	if err != nil {
		return ErrRefused
	}
	status, answer, err := ask(g.client, r)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		var problem struct {
			Code string `json:"errorCode"`
		}
		_ = json.Unmarshal(answer, &problem)
		return known(status, reason(problem.Code))
	}
	var said struct {
		Failed []struct {
			Code string `json:"statusCode"`
		} `json:"failedMessageList"`
		Group *struct {
			Count struct {
				Registered int `json:"registeredSuccess"`
			} `json:"count"`
		} `json:"groupInfo"`
	}
	switch err := json.Unmarshal(answer, &said); {
	case err != nil || said.Group == nil:
		return errors.New("the gateway's answer can't be read")
	case len(said.Failed) > 0:
		return fmt.Errorf("%w: %s", ErrRefused, reason(said.Failed[0].Code))
	case said.Group.Count.Registered < 1:
		return errors.New("the gateway doesn't say that it took the message")
	}
	return nil
}

// request makes a signed request below /messages/v4.
func (g *SOLAPI) request(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Request, error) {
	u := g.address.JoinPath("messages", "v4", path)
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	date, salt := g.now().UTC().Format(time.RFC3339), strings.ToLower(rand.Text())
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", fmt.Sprintf("HMAC-SHA256 apiKey=%s, date=%s, salt=%s, signature=%s",
		g.key, date, salt, solapiSignature(g.secret, date, salt)))
	return r, nil
}

// solapiSignature signs time and salt.
func solapiSignature(secret, date, salt string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(date + salt))
	return hex.EncodeToString(mac.Sum(nil))
}

// Find looks for the message by the id that it was given in its custom fields.
func (g *SOLAPI) Find(ctx context.Context, m Outgoing, since time.Time) (bool, error) {
	_, number := national(m.To)
	next := ""
	// A number gets a few messages within minutes; more pages than that are somebody else's doing.
	for range 10 {
		query := url.Values{
			"criteria": {"to"}, "cond": {"eq"}, "value": {number}, "limit": {"100"}, "dateType": {"CREATED"},
			"startDate": {since.Add(-time.Minute).UTC().Format(time.RFC3339)},
			"endDate":   {g.now().Add(time.Minute).UTC().Format(time.RFC3339)},
		}
		if next != "" {
			query.Set("startKey", next)
		}
		r, err := g.request(ctx, http.MethodGet, "list", query, nil)
		if err != nil {
			return false, errors.New("the question to the gateway can't be made")
		}
		status, answer, err := ask(g.client, r)
		if err != nil {
			return false, err
		}
		var list struct {
			Messages map[string]struct {
				CustomFields map[string]string `json:"customFields"`
			} `json:"messageList"`
			NextKey *string `json:"nextKey"`
		}
		if status != http.StatusOK || json.Unmarshal(answer, &list) != nil {
			return false, fmt.Errorf("the gateway answered %d when it was asked for a message", status)
		}
		for _, found := range list.Messages {
			if found.CustomFields[solapiID] == m.ID.String() {
				return true, nil
			}
		}
		if list.NextKey == nil || *list.NextKey == "" || *list.NextKey == next {
			return false, nil
		}
		next = *list.NextKey
	}
	return false, errors.New("the gateway has more messages to this number than are looked through")
}
