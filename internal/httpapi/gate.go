package httpapi

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"jari/internal/fault"
)

// gate bounds how many requests are inside at the same time, so that a server that is asked for more than it can do refuses
// the rest at once instead of becoming slow for all. It is plain: a count, and for each kind of request how high it may be
// when one comes in. Who confirms what they hold comes in when nobody else does, who gives a place back before who wants
// one, and whoever only looks is the first to wait. Who wants a place comes in only while it could be confirmed soon
// (booking.Service.Crowded): who holds one isn't kept waiting for newcomers.
type gate struct {
	inside  atomic.Int64
	most    int64
	crowded func() bool
}

// priority is how much of the gate is open to a kind of request, in percent.
type priority int64

const (
	toConfirm priority = 100
	toCancel  priority = 90
	toHold    priority = 80
	toLook    priority = 60
)

// priorities are those of operations; all others only look.
var priorities = map[string]priority{
	"confirmBooking": toConfirm,
	"cancelBooking":  toCancel,
	"placeHold":      toHold,
	"releaseHold":    toCancel,
}

func priorityOf(operation string) priority {
	if p, ok := priorities[operation]; ok {
		return p
	}
	return toLook
}

// enter lets a request in, or refuses it with overloaded. Who is let in must leave.
func (g *gate) enter(p priority) error {
	if n := g.inside.Add(1); n*100 <= g.most*int64(p) {
		return nil
	}
	g.leave()
	return overloaded()
}

// look refuses whom enter, or what comes after it, would refuse at this moment. It lets nobody in: it is asked before
// anything is read or opened, so that refusing costs next to nothing.
func (g *gate) look(p priority) error {
	if (g.inside.Load()+1)*100 > g.most*int64(p) || (p == toHold && g.crowded != nil && g.crowded()) {
		return overloaded()
	}
	return nil
}

func overloaded() error {
	// Spread out, so that they don't all come back at once.
	wait := 2*time.Second + rand.N(4*time.Second) //nolint:gosec // when to come back is no secret
	return fault.New(fault.Unavailable, fault.CodeOverloaded).After(wait)
}

func (g *gate) leave() { g.inside.Add(-1) }

// bounded lets the requests of an operation through the gate, after their bodies have come: whoever sends theirs slowly
// waits outside.
func (g *gate) bounded(p priority, bodyBytes int64) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := g.look(p); err != nil {
				return err
			}
			if r := c.Request(); r.Body != nil && r.Body != http.NoBody {
				// What is wrong with a body is said by whoever reads it.
				came, _ := io.ReadAll(io.LimitReader(r.Body, bodyBytes+1))
				r.Body = rest{Reader: io.MultiReader(bytes.NewReader(came), r.Body), Closer: r.Body}
			}
			if err := g.enter(p); err != nil {
				return err
			}
			defer g.leave()
			return next(c)
		}
	}
}

// rest is a body of which a part has been read already.
type rest struct {
	io.Reader
	io.Closer
}
