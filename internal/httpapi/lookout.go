package httpapi

import (
	"context"
	"net"
	"net/http"
	"time"
)

// While a request is answered, a server of net/http looks out for a client who leaves: as soon as the body is read, a
// goroutine reads on, asks the kernel in vain, sleeps, and is woken by a deadline when the answer is written. A confirm that was
// handed over is decided whoever leaves, and asking again finds it, so nobody acts on it there, and it is a fifteenth of what this
// process spends on such a request. So a confirm says that nobody need look out.

// lookout is a connection whose requests may say that nobody looks out for their client. One goroutine at a time reads from
// it, or two that hand it over, as net/http does.
type lookout struct {
	*net.TCPConn // whole: net/http asks it for more than a net.Conn has, such as to close one half
	state        watching
}

type watching int8

const (
	watched   watching = iota
	unwatched          // the request said so
	looked             // and net/http has begun to look out
)

type lookoutKey struct{}

// Lookout has a server look out for who leaves only where it matters, on connections of the listener that is returned. It is
// for before serving.
func Lookout(server *http.Server, l net.Listener) net.Listener {
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, lookoutKey{}, c) }
	server.ConnState = func(c net.Conn, state http.ConnState) {
		if l, ok := c.(*lookout); ok && state == http.StateIdle {
			l.state = watched // what was said was said of the request before, also where the next one has been read with it
		}
	}
	return lookoutListener{l}
}

type lookoutListener struct{ net.Listener }

func (l lookoutListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok && err == nil {
		return &lookout{TCPConn: tcp}, nil
	}
	return c, err
}

// leaveAlone says that nobody needs to know whether the client of a request leaves. It is for before the body is read.
func leaveAlone(r *http.Request) {
	if c, ok := r.Context().Value(lookoutKey{}).(*lookout); ok {
		c.state = unwatched
	}
}

// Read reads. net/http looks out with room for one byte, and reads nothing else so: then there is nothing to read. Any other
// read is of a body that came late, or of the next request.
func (c *lookout) Read(p []byte) (int, error) {
	if c.state != watched {
		if len(p) == 1 {
			return 0, nil
		}
		c.state = watched
	}
	return c.TCPConn.Read(p)
}

// SetReadDeadline sets a deadline, but doesn't take it off for looking out.
func (c *lookout) SetReadDeadline(at time.Time) error {
	if c.state == unwatched && at.IsZero() {
		c.state = looked
		return nil
	}
	return c.TCPConn.SetReadDeadline(at)
}
