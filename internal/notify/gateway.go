package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nyaruka/phonenumbers"
)

// Outgoing is a message on its way to a gateway. To and Text are personal data and never logged.
type Outgoing struct {
	ID   uuid.UUID
	To   string // E.164
	Text string
}

// Finder is a sender that can be asked whether it has a message. Without one, a message whose fate isn't known is never
// sent again.
type Finder interface {
	Sender
	// Find tells whether the gateway has taken the message, which was handed over at since or a little later. An error means
	// that nobody knows.
	Find(ctx context.Context, m Outgoing, since time.Time) (found bool, err error)
}

// maxAnswer bounds what is read of a gateway's answer.
const maxAnswer = 1 << 20

// newClient returns a client for a gateway.
func newClient(timeout time.Duration) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// A connection of its own for each message: when a kept one breaks, net/http repeats a request by itself, and somebody
	// gets the message twice.
	transport.DisableKeepAlives = true
	return &http.Client{
		Timeout: timeout, Transport: transport,
		// Following a redirect would show the message and the account to whoever it leads to.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask sends a request and reads the answer. Its errors never repeat the request, which has a recipient and secrets in it.
func ask(client *http.Client, r *http.Request) (status int, body []byte, err error) {
	resp, err := client.Do(r)
	if err != nil {
		if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
			return 0, nil, ErrNotSent
		}
		return 0, nil, errors.New("the gateway didn't answer")
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return resp.StatusCode, nil, errors.New("the gateway's answer broke off")
	}
	return resp.StatusCode, body, nil
}

// known says what an answer's status tells of a message that isn't accepted by it.
func known(status int, more string) error {
	if more != "" {
		more = " " + more
	}
	switch {
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return fmt.Errorf("%w: it answered %s%s", ErrNotSent, strings.ToLower(http.StatusText(status)), more)
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout:
		return fmt.Errorf("%w: it answered %d%s", ErrRefused, status, more)
	default:
		return fmt.Errorf("the gateway answered %d%s", status, more)
	}
}

// reason is a gateway's own code for a refusal, if it is one that can't hold anything of the message.
func reason(code string) string {
	if len(code) > 40 || strings.ContainsFunc(code, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return ""
	}
	return code
}

// national splits a number of E.164 into its country prefix and the number as it is dialled there, digits alone.
func national(phone string) (prefix, number string) {
	n, err := phonenumbers.Parse(phone, "")
	if err != nil {
		return "", strings.TrimPrefix(phone, "+")
	}
	dialled := phonenumbers.Format(n, phonenumbers.NATIONAL)
	return strconv.Itoa(int(n.GetCountryCode())), strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, dialled)
}

// readAddress reads the address of a gateway.
func readAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, errors.New("the gateway's address can't be read")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}
