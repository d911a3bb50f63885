package httpapi

import (
	"context"
	"net"
	"net/http"
	"time"
)

// While a request is answered, a server of net/http looks out for a client who leaves: as soon as the body is read, a
// goroutine reads on, asks the kernel in vain, sleeps, and is woken by a deadline when the answer is written. Whoever places or
// confirms a hold is answered in any case (what was handed over is decided, and asking again finds it), so nobody acts on it
// there, and it is a fifteenth of what this process spends on such a request. Those two say so, and aren't looked out for.

// lookout is a connection whose requests may say that nobody looks out for their client. One goroutine at a time uses it for
// reading, or two that hand it over, as net/http does.
type lookout struct {
	net.Conn
	state watching
}

type watching int8

const (
	watched   watching = iota
	unwatched          // the request said so
	looked             // and net/http has begun to look out
)

type lookoutKey struct{}

// Lookout is a listener whose connections may be left alone while their requests are answered. The server that uses it
// has LookoutContext as its ConnContext.
func Lookout(l net.Listener) net.Listener { return lookoutListener{l} }

type lookoutListener struct{ net.Listener }

func (l lookoutListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lookout{Conn: c}, nil
}

// LookoutContext lets requests find their connection.
func LookoutContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, lookoutKey{}, c)
}

// leaveAlone says that nobody needs to know whether the client of a request leaves. It is for before the body is read.
func leaveAlone(r *http.Request) {
	if c, ok := r.Context().Value(lookoutKey{}).(*lookout); ok {
		c.state = unwatched
	}
}

// Read reads. net/http looks out with room for one byte, and for nothing else: then there is nothing to read. Any other read
// is of the next request, or of a body that came late.
func (c *lookout) Read(p []byte) (int, error) {
	if c.state != watched {
		if len(p) == 1 {
			return 0, nil
		}
		c.state = watched
	}
	return c.Conn.Read(p)
}

// SetReadDeadline sets a deadline, but doesn't take it off for looking out.
func (c *lookout) SetReadDeadline(at time.Time) error {
	if c.state == unwatched && at.IsZero() {
		c.state = looked
		return nil
	}
	return c.Conn.SetReadDeadline(at)
}
