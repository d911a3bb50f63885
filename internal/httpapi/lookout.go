package httpapi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"jari/internal/clock"
)

// While a request is answered, a server of net/http looks out for a client who leaves: as soon as the body is read, a goroutine
// reads on, asks the kernel in vain, sleeps, and is woken by a deadline when the answer is written. And it sets five deadlines for
// each request, most of which are replaced before anything is read or written. In the rush both together are a tenth of what this
// process spends on a request. So its requests say that nobody need look out: a confirm that was handed over is decided whoever
// leaves, and asking again finds it; and whoever waits for a hold is looked for once, when their turn comes. Deadlines are kept
// here, and set when somebody reads or writes.

// lookout is a connection whose requests may say that nobody looks out for their client. One goroutine at a time reads from
// it, or two that hand it over, as net/http does.
type lookout struct {
	*net.TCPConn // whole: net/http asks it for more than a net.Conn has, such as to close one half
	raw          syscall.RawConn
	alone        bool // the request said so
	reads        bound
	writes       bound
}

type lookoutKey struct{}

// Lookout has a server look out for who leaves only where it matters, on connections of the listener that is returned. It is
// for before serving.
func Lookout(server *http.Server, l net.Listener) net.Listener {
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, lookoutKey{}, c) }
	server.ConnState = func(c net.Conn, state http.ConnState) {
		if l, ok := c.(*lookout); ok && state == http.StateIdle {
			l.alone = false // what was said was said of the request before, also where the next one has been read with it
		}
	}
	return lookoutListener{l}
}

type lookoutListener struct{ net.Listener }

func (l lookoutListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	tcp, ok := c.(*net.TCPConn)
	if !ok || err != nil {
		return c, err
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &lookout{
		TCPConn: tcp, raw: raw, reads: bound{apply: tcp.SetReadDeadline}, writes: bound{apply: tcp.SetWriteDeadline},
	}, nil
}

// leaveAlone says that nobody need look out for the client of a request. It is for before the body is read.
func leaveAlone(r *http.Request) {
	if c, ok := r.Context().Value(lookoutKey{}).(*lookout); ok {
		c.alone = true
	}
}

// untilTheyLeave is the context of a request, for somebody who asks now and then whether it is over: where the request was left
// alone, the client is looked for then. It is for who waits, and not to be derived from: what is made of it doesn't look.
func untilTheyLeave(ctx context.Context, clk clock.Clock) context.Context {
	if c, ok := ctx.Value(lookoutKey{}).(*lookout); ok && c.alone {
		return leaving{ctx, c, clk, clk.Real()}
	}
	return ctx
}

// leaving is a context that looks for the client when it is asked for its error, and isn't done when they leave.
type leaving struct {
	context.Context //nolint:containedctx // it is one
	conn            *lookout
	clock           clock.Clock
	since           time.Time
}

// soon is within what nobody is expected to have left: looking for somebody takes the kernel as long as a small read.
const soon = 50 * time.Millisecond

func (l leaving) Err() error {
	if err := l.Context.Err(); err != nil {
		return err
	}
	if l.clock.Real().Sub(l.since) > soon && l.conn.left() {
		return context.Canceled
	}
	return nil
}

// left tells whether the client has closed the connection, as far as can be seen: what they sent before that may hide it.
func (c *lookout) left() (left bool) {
	err := c.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == nil:
			left = n == 0
		case !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR):
			left = true
		}
	})
	return left || err != nil
}

// Read reads. net/http looks out with room for one byte, and reads nothing else so: then there is nothing to read. Any other
// read is of a body that came late, or of the next request.
func (c *lookout) Read(p []byte) (int, error) {
	if c.alone {
		if len(p) == 1 {
			return 0, nil
		}
		c.alone = false
	}
	if err := c.reads.begin(); err != nil {
		return 0, err
	}
	defer c.reads.end()
	return c.TCPConn.Read(p)
}

// Write writes.
func (c *lookout) Write(p []byte) (int, error) {
	if err := c.writes.begin(); err != nil {
		return 0, err
	}
	defer c.writes.end()
	return c.TCPConn.Write(p)
}

// ReadFrom writes what it reads from somewhere else.
func (c *lookout) ReadFrom(r io.Reader) (int64, error) {
	if err := c.writes.begin(); err != nil {
		return 0, err
	}
	defer c.writes.end()
	return c.TCPConn.ReadFrom(r)
}

// SetReadDeadline bounds reading, that which is going on and that to come.
func (c *lookout) SetReadDeadline(at time.Time) error { return c.reads.ask(at) }

// SetWriteDeadline bounds writing, that which is going on and that to come.
func (c *lookout) SetWriteDeadline(at time.Time) error { return c.writes.ask(at) }

// SetDeadline bounds both.
func (c *lookout) SetDeadline(at time.Time) error {
	return errors.Join(c.reads.ask(at), c.writes.ask(at))
}

// bound is the deadline of one direction of a connection, which is told of it when it matters.
type bound struct {
	apply func(time.Time) error

	mu         sync.Mutex
	asked, set time.Time
	busy       int // who reads, or writes, at this moment
}

// deadlineSlack is how much earlier than asked a deadline may be: setting one anew costs more than it is worth to somebody who
// got a later one for the next request.
const deadlineSlack = 100 * time.Millisecond

// ask keeps a deadline, and sets it if somebody is bounded by it now.
func (b *bound) ask(at time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = at
	if b.busy == 0 {
		return nil
	}
	return b.settle()
}

// begin sets what was asked for, before somebody reads or writes; end is for after that, unless it failed.
func (b *bound) begin() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.settle(); err != nil {
		return err
	}
	b.busy++
	return nil
}

func (b *bound) end() {
	b.mu.Lock()
	b.busy--
	b.mu.Unlock()
}

func (b *bound) settle() error {
	if b.asked.Equal(b.set) {
		return nil
	}
	if later := b.asked.Sub(b.set); !b.asked.IsZero() && !b.set.IsZero() && 0 < later && later < deadlineSlack {
		return nil
	}
	if err := b.apply(b.asked); err != nil {
		return err
	}
	b.set = b.asked
	return nil
}
