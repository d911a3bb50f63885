package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Sender hands a message to a gateway. Its error tells what is known:
// ErrNotSent, the gateway doesn't have it and it may be tried again; ErrRefused, the gateway said no for good; any
// other, nobody knows.
type Sender interface {
	Send(ctx context.Context, to, text string) error
}

// What is known after a failure.
var (
	ErrNotSent = errors.New("the gateway wasn't reached")
	ErrRefused = errors.New("the gateway refused the message")
)

// Inbox is the sender of development: messages stay where they are remembered, and are shown at /dev/inbox.
type Inbox struct{}

// Send does nothing: the message is in the inbox already.
func (Inbox) Send(context.Context, string, string) error { return nil }

// HTTPGateway is a gateway that takes messages as Kannel's sendsms does: a GET with the message in the query, answered
// by 202 when it was accepted.
type HTTPGateway struct {
	client         *http.Client
	address        *url.URL
	user, password string
	from           string
}

// NewHTTPGateway returns a sender for the sendsms at the address.
func NewHTTPGateway(address, user, password, from string, timeout time.Duration) (*HTTPGateway, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the gateway's address can't be read")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// A connection of its own for each message: when a kept one breaks, net/http repeats a GET by itself, and somebody gets
	// the message twice.
	transport.DisableKeepAlives = true
	client := &http.Client{
		Timeout: timeout, Transport: transport,
		// Following a redirect would show the message and the password to whoever it leads to.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &HTTPGateway{client: client, address: u, user: user, password: password, from: from}, nil
}

// Send hands one message over.
func (g *HTTPGateway) Send(ctx context.Context, to, text string) error {
	u := *g.address
	q := u.Query()
	q.Set("username", g.user)
	q.Set("password", g.password)
	q.Set("from", g.from)
	q.Set("to", to)
	q.Set("text", text)
	q.Set("charset", "UTF-8")
	q.Set("coding", "2") // Unicode
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return ErrRefused
	}
	resp, err := g.client.Do(req)
	if err != nil {
		// The error repeats the address, with the recipient and the password in it: it is never passed on.
		if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
			return ErrNotSent
		}
		return errors.New("the gateway didn't answer")
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4096))
	switch {
	case resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusAccepted:
		return nil
	case resp.StatusCode == http.StatusServiceUnavailable, resp.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("%w: it answered %s", ErrNotSent, strings.ToLower(http.StatusText(resp.StatusCode)))
	case resp.StatusCode >= 400 && resp.StatusCode < 500:
		return fmt.Errorf("%w: it answered %d", ErrRefused, resp.StatusCode)
	default:
		return fmt.Errorf("the gateway answered %d", resp.StatusCode)
	}
}
