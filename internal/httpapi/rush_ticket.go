package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"jari/internal/limit"
	"jari/internal/token"
)

// A place in a line is what most people ask for in one second. Nothing but the path says which, so there is nothing to hold
// against the contract and nothing to bind; who asks is counted in memory, because a question to Redis would cost more than
// the place.

// places are the operations that give one; true for a draw alone. None has a body.
var places = map[string]bool{"register": true, "takeTicket": false}

// answerPlace answers an operation that gives a place, after its guard. Requests that bring a body go the usual way.
func (s *Server) answerPlace(g guard, p priority, forDraw bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if c.Request().ContentLength != 0 {
				return next(c)
			}
			if err := s.gate.enter(p); err != nil {
				return err
			}
			defer s.gate.leave()
			a := asking{language: languages[0]} // only refusals have a language, and they find it themselves
			if err := s.identify(c, g, &a); err != nil {
				return err
			}
			if err := s.spendNear(c, a.session); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Request().Context(), s.Deadline)
			defer cancel()
			room := c.Param("room")
			t, err := s.Rooms.Take(ctx, room, a.session.Person, forDraw)
			if err != nil {
				return err
			}
			shown := ticket(room, t)
			return writeRush(c.Response(), http.StatusOK, func(b []byte) []byte { return appendTicket(b, shown) })
		}
	}
}

// spendNear takes a request off the budgets of who asks that this instance keeps.
func (s *Server) spendNear(c echo.Context, t token.Session) error {
	if block := s.Blocks.of(c.RealIP()); block != "" {
		if err := s.Near.Spend(limit.Budget{Name: block, PerMinute: s.Rates.Block}); err != nil {
			return err
		}
	}
	return s.Near.Spend(limit.Budget{Name: string(t.Actor[:]), PerMinute: s.Rates.Person})
}

// appendTicket writes as encoding/json does. A test compares.
func appendTicket(b []byte, t Ticket) []byte {
	b = append(b, '{')
	for _, of := range []struct {
		name string
		n    *int64
	}{{`"index":`, t.Index}, {`"number":`, t.Number}} {
		if of.n == nil {
			continue
		}
		b = append(strconv.AppendInt(append(b, of.name...), *of.n, 10), ',')
		if t.Nonce != nil && of.n == t.Index {
			b = append(appendText(append(b, `"nonce":`...), *t.Nonce), ',')
		}
	}
	b = appendText(append(b, `"room_id":`...), t.RoomId)
	b = appendText(append(b, `,"ticket":`...), t.Ticket)
	return append(b, '}')
}
