package notify

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// Sender hands a message to a gateway. Its error tells what is known:
// ErrNotSent, the gateway doesn't have it and it may be tried again; ErrRefused, the gateway said no for good; any
// other, nobody knows.
type Sender interface {
	Send(ctx context.Context, m Outgoing) error
}

// What is known after a failure.
var (
	ErrNotSent = errors.New("the gateway wasn't reached")
	ErrRefused = errors.New("the gateway refused the message")
)

// Inbox is the sender of development: messages stay where they are remembered, and are shown at /dev/inbox.
type Inbox struct{}

// Send does nothing: the message is in the inbox already.
func (Inbox) Send(context.Context, Outgoing) error { return nil }

// HTTPGateway is a gateway that takes messages as Kannel's sendsms does: a GET with the message in the query, answered
// by 202 when it was accepted. It can't be asked for a message later.
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
	return &HTTPGateway{client: newClient(timeout), address: u, user: user, password: password, from: from}, nil
}

// Send hands one message over.
func (g *HTTPGateway) Send(ctx context.Context, m Outgoing) error {
	u := *g.address
	q := u.Query()
	q.Set("username", g.user)
	q.Set("password", g.password)
	q.Set("from", g.from)
	q.Set("to", m.To)
	q.Set("text", m.Text)
	q.Set("charset", "UTF-8")
	q.Set("coding", "2") // Unicode
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return ErrRefused
	}
	status, _, err := ask(g.client, req)
	switch {
	case err != nil:
		return err
	case status == http.StatusOK, status == http.StatusAccepted:
		return nil
	}
	return known(status, "")
}
