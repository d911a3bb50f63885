package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"
)

// answerWithin is how long an answer may take before its request counts as failed. It is longer than a server of ours
// lets a request take, so that what is counted is the server's answer.
const answerWithin = 30 * time.Second

// Header is a field of a request.
type Header struct{ Name, Value string }

// Client is what requests are sent with. Which one is chosen decides what an empty request costs, and with it every ratio
// to one: a report has to say it.
type Client string

const (
	// Standard is Go's own client, given a body of which it doesn't know that it is in memory, as a gateway has one: the body goes in a
	// packet of its own, after that of the head, and whoever reads both acknowledges them at once.
	Standard Client = "standard"
	// Whole is Go's own client with a body in memory: head and body go in one packet, as nearly everybody sends so little.
	Whole Client = "whole"
	// Lean does as little as can be done for a request.
	Lean Client = "lean"
)

// Conn is a client with one connection that is kept alive. It is for one goroutine at a time.
type Conn struct {
	base string
	// One of the two is set.
	standard *http.Client
	lean     *fasthttp.HostClient
	whole    bool // of standard

	answer   bytes.Buffer
	header   http.Header // of the last answer of standard
	request  *fasthttp.Request
	response *fasthttp.Response
}

// Dial makes n clients of the server at base, such as http://127.0.0.1:8080. Each connects with its first request.
func Dial(base string, n int, kind Client) ([]*Conn, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("the server's address can't be read: %w", err)
	}
	conns := make([]*Conn, n)
	for i := range conns {
		conns[i] = &Conn{base: base, whole: kind == Whole, request: &fasthttp.Request{}, response: &fasthttp.Response{}}
		if kind == Lean {
			conns[i].lean = &fasthttp.HostClient{
				Addr: u.Host, MaxConns: 1, ReadTimeout: answerWithin, WriteTimeout: answerWithin,
				MaxIdleConnDuration: time.Hour,
				// A second try would hide the failure of the first, and would be counted as one.
				MaxIdemponentCallAttempts: 1,
				RetryIfErr:                func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
				NoDefaultUserAgentHeader:  true,
			}
			continue
		}
		conns[i].standard = &http.Client{
			Timeout: answerWithin,
			Transport: &http.Transport{
				MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Hour, DisableCompression: true,
			},
		}
	}
	return conns, nil
}

// Send sends a request with a JSON body (none if it is empty) to a path and returns the answer. The body of the answer
// is valid until the next Send. An error means that there was no answer, never that there was an unwelcome one.
func (c *Conn) Send(method, path string, headers []Header, body []byte) (status int, answer []byte, err error) {
	if c.standard != nil {
		status, err = c.sendStandard(method, path, headers, body)
		answer = c.answer.Bytes()
	} else {
		status, answer, err = c.sendLean(method, path, headers, body)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("%s %s wasn't answered: %w", method, path, err)
	}
	return status, answer, nil
}

func (c *Conn) sendStandard(method, path string, headers []Header, body []byte) (status int, err error) {
	content := io.Reader(http.NoBody)
	if len(body) > 0 {
		content = bytes.NewReader(body)
		if !c.whole {
			content = &onlyReader{content}
		}
	}
	r, err := http.NewRequestWithContext(context.Background(), method, c.base+path, content)
	if err != nil {
		return 0, err
	}
	r.ContentLength, r.GetBody = int64(len(body)), nil // a second try would hide the failure of the first
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		r.Header.Set(h.Name, h.Value)
	}
	w, err := c.standard.Do(r)
	if err != nil {
		return 0, err
	}
	c.header = w.Header
	c.answer.Reset()
	_, err = c.answer.ReadFrom(w.Body)
	if closeErr := w.Body.Close(); err == nil {
		err = closeErr
	}
	return w.StatusCode, err
}

// Header is a field of the last answer, and empty where that had none.
func (c *Conn) Header(name string) string {
	if c.standard != nil {
		return c.header.Get(name)
	}
	return string(c.response.Header.Peek(name))
}

// onlyReader hides that a body is in memory as a whole.
type onlyReader struct{ io.Reader }

func (c *Conn) sendLean(method, path string, headers []Header, body []byte) (status int, answer []byte, err error) {
	r := c.request
	r.Reset() // or it would have the headers of the request before
	r.Header.SetMethod(method)
	r.SetRequestURI(c.base + path)
	if len(body) > 0 {
		r.Header.SetContentType("application/json")
	}
	for _, h := range headers {
		r.Header.Set(h.Name, h.Value)
	}
	r.SetBodyRaw(body)
	if err := c.lean.Do(r, c.response); err != nil {
		return 0, nil, err
	}
	return c.response.StatusCode(), c.response.Body(), nil
}

// Close closes the connections. Nothing may be sent any more.
func Close(conns []*Conn) {
	for _, c := range conns {
		if c.standard != nil {
			c.standard.CloseIdleConnections()
		} else {
			c.lean.CloseIdleConnections()
		}
	}
}
