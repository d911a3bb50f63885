package token

import "github.com/google/uuid"

const kindTicket kind = "ticket"

// Ticket is a person's place in a waiting room. It lives as long as the room does.
type Ticket struct {
	Room   string
	Person uuid.UUID
	// Behind tells that Place is a number behind the draw, as opposed to an index in it.
	Behind bool
	// Late tells that Place is a number of the room's second lane.
	Late  bool
	Place uint64
	// AtMS is how long the room had been open when the place was given, in milliseconds.
	AtMS int64
}

// How a ticket says what its place is counted in.
const (
	laneDrawn int64 = iota
	laneBehind
	laneLate
)

func laneOf(t Ticket) int64 {
	switch {
	case t.Late:
		return laneLate
	case t.Behind:
		return laneBehind
	}
	return laneDrawn
}

// SealTicket makes a ticket.
func (b *Box) SealTicket(t Ticket) (string, error) {
	w := newWriter()
	w.text(t.Room)
	w.id(t.Person)
	w.int(laneOf(t))
	w.int(int64(t.Place)) //nolint:gosec // bits, not a number
	w.int(t.AtMS)
	return b.seal(kindTicket, w)
}

// OpenTicket reads a ticket, or returns ErrInvalid.
func (b *Box) OpenTicket(text string) (Ticket, error) {
	r := b.open(kindTicket, text)
	t := Ticket{Room: r.text(), Person: r.id()}
	lane := r.int()
	t.Behind, t.Late = lane == laneBehind, lane == laneLate
	t.Place, t.AtMS = uint64(r.int()), r.int() //nolint:gosec // bits, not a number
	if !r.done() || lane < laneDrawn || lane > laneLate {
		return Ticket{}, ErrInvalid
	}
	return t, nil
}
