package night

import (
	"context"
	"fmt"

	"jari/internal/waitingroom"
)

// codes is the line in front of sending codes: one place per phone number, and the gateway's pace as its rate, kept by the
// waiting room's own controller. Who was called and has a new device goes first, and takes of the pace.
type codes struct {
	waiting    []uint32 // persons by number
	called     queue
	serving    uint64
	sent       int     // of waiting
	budget     float64 // of those who were called
	controller waitingroom.Controller
}

func (c *codes) push(id uint32)       { c.waiting = append(c.waiting, id) }
func (c *codes) pushCalled(id uint32) { c.called.push(id) }

// left is how many wait.
func (c *codes) left() int { return c.called.len() + c.line() }

func (c *codes) line() int { return len(c.waiting) - c.sent }

// sendCodes sends this second's messages. Who gets a code is verified, and asks for their place or comes in.
func (n *night) sendCodes(ctx context.Context, second uint32) error {
	c := &n.codes
	c.budget = min(c.budget+n.SMS, n.SMS+1)
	sent := 0.
	for ; c.budget >= 1 && c.called.len() > 0; c.budget-- {
		n.report.Messages++
		sent++
		if err := n.comeIn(ctx, c.called.pop(), second); err != nil {
			return fmt.Errorf("after a message: %w", err)
		}
	}
	c.serving, _ = c.controller.Step(waitingroom.Controls{Target: max(0, n.SMS-sent), MaxActive: 1 << 30}, waitingroom.Inputs{
		Now: n.clock.Real(), Serving: c.serving, Issued: uint64(len(c.waiting)),
	})
	for ; c.sent < min(int(c.serving), len(c.waiting)); c.sent++ { //nolint:gosec // small
		id := c.waiting[c.sent]
		n.report.Messages++
		n.people[id].verified = true
		n.ask(id, 0, n.clock.ms(), false)
	}
	n.report.LongestSMSLine = max(n.report.LongestSMSLine, c.line())
	return nil
}
