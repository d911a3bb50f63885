package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// SENS is the messaging service of NAVER Cloud, with version 2 of its signature. The public sector has its own host.
type SENS struct {
	client            *http.Client
	address           *url.URL
	service           string
	accessKey, secret string
	from              string
	now               func() time.Time
}

// NewSENS returns a sender for the service with that id at the address, such as https://sens.apigw.ntruss.com. from is the
// sender's number, registered there. now is real time; SENS refuses requests that are five minutes off.
func NewSENS(address, service, accessKey, secret, from string, timeout time.Duration, now func() time.Time) (*SENS, error) {
	u, err := readAddress(address)
	if err != nil {
		return nil, err
	}
	return &SENS{
		client: newClient(timeout), address: u, service: service, accessKey: accessKey, secret: secret, from: from, now: now,
	}, nil
}

type sensRequest struct {
	Type        string        `json:"type"`
	ContentType string        `json:"contentType"`
	CountryCode string        `json:"countryCode"`
	From        string        `json:"from"`
	Content     string        `json:"content"`
	Messages    []sensMessage `json:"messages"`
}

type sensMessage struct {
	To string `json:"to"`
}

// Send hands one message over.
func (g *SENS) Send(ctx context.Context, m Outgoing) error {
	fitted := Fit(m.Text)
	prefix, number := national(m.To)
	body, err := json.Marshal(sensRequest{
		Type: fitted.Type(), ContentType: "COMM", CountryCode: prefix, From: g.from, Content: fitted.Text,
		Messages: []sensMessage{{To: number}},
	})
	if err != nil {
		return ErrRefused
	}
	r, err := g.request(ctx, http.MethodPost, nil, body)
	if err != nil {
		return ErrRefused
	}
	status, answer, err := ask(g.client, r)
	if err != nil {
		return err
	}
	if status == http.StatusAccepted || status == http.StatusOK {
		return nil
	}
	return known(status, sensReason(answer))
}

// sensReason is the error's own code, which is a number in a text or a number.
func sensReason(answer []byte) string {
	var problem struct {
		Error struct {
			ErrorCode json.RawMessage `json:"errorCode"`
		} `json:"error"`
	}
	_ = json.Unmarshal(answer, &problem)
	return reason(string(bytes.Trim(problem.Error.ErrorCode, `"`)))
}

// request makes a signed request to the messages of the service.
func (g *SENS) request(ctx context.Context, method string, query url.Values, body []byte) (*http.Request, error) {
	u := g.address.JoinPath("sms", "v2", "services", g.service, "messages")
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // what is signed must be what is read
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	timestamp := strconv.FormatInt(g.now().UnixMilli(), 10)
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("X-Ncp-Apigw-Timestamp", timestamp)
	r.Header.Set("X-Ncp-Iam-Access-Key", g.accessKey)
	r.Header.Set("X-Ncp-Apigw-Signature-V2", sensSignature(g.secret, method, r.URL.RequestURI(), timestamp, g.accessKey))
	return r, nil
}

// sensSignature signs method, path with query, time and key.
func sensSignature(secret, method, uri, timestamp, accessKey string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(method + " " + uri + "\n" + timestamp + "\n" + accessKey))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// sensTime is the zone-less time of SENS, which is Korea's.
const sensTime = "2006-01-02 15:04:05"

// Find looks for a message to the number with the same words: SENS knows no id of ours. Codes differ, and the same
// news twice to one number within minutes is what is to be avoided anyway.
func (g *SENS) Find(ctx context.Context, m Outgoing, since time.Time) (bool, error) {
	_, number := national(m.To)
	query := url.Values{
		"requestStartTime": {since.Add(-time.Minute).In(korea).Format(sensTime)},
		"requestEndTime":   {g.now().Add(time.Minute).In(korea).Format(sensTime)},
		"to":               {number},
		"pageSize":         {"100"},
	}
	r, err := g.request(ctx, http.MethodGet, query, nil)
	if err != nil {
		return false, errors.New("the question to the gateway can't be made")
	}
	status, answer, err := ask(g.client, r)
	if err != nil {
		return false, err
	}
	var list struct {
		Messages []struct {
			To      string `json:"to"`
			Content string `json:"content"`
		} `json:"messages"`
	}
	if (status != http.StatusOK && status != http.StatusAccepted) || json.Unmarshal(answer, &list) != nil {
		return false, fmt.Errorf("the gateway answered %d when it was asked for a message", status)
	}
	text := Fit(m.Text).Text
	for _, found := range list.Messages {
		if found.To == number && (found.Content == text || found.Content == "") {
			return true, nil
		}
	}
	return false, nil
}

// korea is the zone of the vendors' times.
var korea = time.FixedZone("KST", 9*3600)
