package token

import "github.com/google/uuid"

const kindTicket kind = "ticket"

// Ticket is a person's place in a waiting room. It lives as long as the room does.
type Ticket struct {
	Room   string
	Person uuid.UUID
	// Behind tells that Place is a number behind the draw, as opposed to an index in it.
	Behind bool
	Place  uint64
	// AtMS is how long the room had been open when the place was given, in milliseconds.
	AtMS int64
}

// SealTicket makes a ticket.
func (b *Box) SealTicket(t Ticket) (string, error) {
	var w writer
	w.text(t.Room)
	w.id(t.Person)
	behind := int64(0)
	if t.Behind {
		behind = 1
	}
	w.int(behind)
	w.int(int64(t.Place)) //nolint:gosec // bits, not a number
	w.int(t.AtMS)
	return b.seal(kindTicket, w)
}

// OpenTicket reads a ticket, or returns ErrInvalid.
func (b *Box) OpenTicket(text string) (Ticket, error) {
	r := b.open(kindTicket, text)
	t := Ticket{Room: r.text(), Person: r.id(), Behind: r.int() == 1, Place: uint64(r.int()), AtMS: r.int()} //nolint:gosec // bits
	if !r.done() {
		return Ticket{}, ErrInvalid
	}
	return t, nil
}
