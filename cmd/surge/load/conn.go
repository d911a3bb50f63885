package load

import (
	"fmt"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"
)

// answerWithin is how long an answer may take before its request counts as failed. It is longer than a server of ours
// lets a request take, so that what is counted is the server's answer.
const answerWithin = 30 * time.Second

// Header is a field of a request.
type Header struct{ Name, Value string }

// Conn is a client with one connection that is kept alive. It is for one goroutine at a time.
type Conn struct {
	base     string
	client   *fasthttp.HostClient
	request  *fasthttp.Request
	response *fasthttp.Response
}

// Dial makes n clients of the server at base, such as http://127.0.0.1:8080. Each connects with its first request.
func Dial(base string, n int) ([]*Conn, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("the server's address can't be read: %w", err)
	}
	conns := make([]*Conn, n)
	for i := range conns {
		conns[i] = &Conn{
			base: base,
			client: &fasthttp.HostClient{
				Addr: u.Host, MaxConns: 1, ReadTimeout: answerWithin, WriteTimeout: answerWithin,
				MaxIdleConnDuration: time.Hour,
				// A second try would hide the failure of the first, and would be counted as one.
				MaxIdemponentCallAttempts: 1,
				RetryIfErr:                func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
				NoDefaultUserAgentHeader:  true,
			},
			request:  &fasthttp.Request{},
			response: &fasthttp.Response{},
		}
	}
	return conns, nil
}

// Send sends a request with a JSON body (none if it is empty) to a path and returns the answer. The body of the answer
// is valid until the next Send. An error means that there was no answer, never that there was an unwelcome one.
func (c *Conn) Send(method, path string, headers []Header, body []byte) (status int, answer []byte, err error) {
	r := c.request
	r.Header.SetMethod(method)
	r.SetRequestURI(c.base + path)
	if len(body) > 0 {
		r.Header.SetContentType("application/json")
	}
	for _, h := range headers {
		r.Header.Set(h.Name, h.Value)
	}
	r.SetBodyRaw(body)
	if err := c.client.Do(r, c.response); err != nil {
		return 0, nil, fmt.Errorf("%s %s wasn't answered: %w", method, path, err)
	}
	return c.response.StatusCode(), c.response.Body(), nil
}

// Close closes the connections. Nothing may be sent any more.
func Close(conns []*Conn) {
	for _, c := range conns {
		c.client.CloseIdleConnections()
	}
}
