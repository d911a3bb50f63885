package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"

	"jari/cmd/surge/journal"
	"jari/internal/fault"
)

// The most that a small history may have: the model's state is of a fixed size, so that states can be compared.
const (
	MostPersons = 4
	MostSlots   = 2
)

// linearWithin is how long one history may take to be judged. They are small: one that isn't judged by then is a fault of
// whoever made it so long.
const linearWithin = 20 * time.Second

// never is the end of an operation whose answer was lost.
const never = int64(1) << 62

// operation is a request with all its sends: it happens once, somewhere between the first send and the first answer that
// leaves nothing open.
type operation struct {
	op                       journal.Op
	person, slot             int // in the history
	hold, replaces, booking  uuid.UUID
	open                     bool // nothing is known of what came of it
	good                     bool
	code                     fault.Code
	gotHold, gotBooking      uuid.UUID
	gotCancelled, gotNothing bool
}

// citizen is what the model knows of a person.
type citizen struct {
	hold     uuid.UUID // live
	holdSlot int
	booking  uuid.UUID // active
	bookSlot int
	// guessed: the booking's id isn't known, because nobody was told of it; it is that of the hold.
	guessed   bool
	cancelled uuid.UUID // the last one
}

// world is a state of the model. It can be compared.
type world [MostPersons]citizen

func (w world) booked(slot int) (n int) {
	for _, c := range w {
		if c.booking != uuid.Nil && c.bookSlot == slot {
			n++
		}
	}
	return n
}

func (w world) held(slot, butOf int) (n int) {
	for i, c := range w {
		if i != butOf && c.hold != uuid.Nil && c.holdSlot == slot {
			n++
		}
	}
	return n
}

// is tells whether a person's booking can be the one of an id; guesses become certain.
func (c *citizen) is(id uuid.UUID) bool {
	if c.booking == uuid.Nil {
		return false
	}
	if c.guessed {
		c.booking, c.guessed = id, false
	}
	return c.booking == id
}

// rules are what a small history is judged by.
type rules struct {
	capacity [MostSlots]int
	excuses  Excuses
}

// step gives the states that an operation may lead to.
func (r rules) step(w world, o operation) []any {
	switch o.op {
	case journal.Hold:
		return r.hold(w, o)
	case journal.Release:
		after := w
		after[o.person].hold = uuid.Nil
		if o.open {
			return []any{w, after}
		}
		return []any{after}
	case journal.Confirm:
		return r.confirm(w, o)
	case journal.Cancel:
		return r.cancel(w, o)
	case journal.Read:
		return read(w, o)
	case journal.Look, journal.Place, journal.Enter, journal.Steal, journal.Watch, journal.Step:
	}
	return []any{w}
}

func (r rules) hold(w world, o operation) []any {
	if o.open || !o.good {
		// A hold that nobody was told of takes a place from others at most, and they may be refused for other reasons too.
		return []any{w}
	}
	if w[o.person].hold == o.gotHold {
		return []any{w}
	}
	if !r.excuses.RedisLost && w.booked(o.slot)+w.held(o.slot, o.person) >= r.capacity[o.slot] {
		return nil // promised twice
	}
	w[o.person].hold, w[o.person].holdSlot = o.gotHold, o.slot
	return []any{w}
}

func (r rules) confirm(w world, o operation) []any {
	c := w[o.person]
	if !o.open && !o.good {
		after := w
		if c.hold == o.hold {
			after[o.person].hold = uuid.Nil
		}
		switch o.code {
		case fault.CodeSlotFull:
			if w.booked(o.slot) < r.capacity[o.slot] {
				return nil // there was room
			}
		case fault.CodeAlreadyBooked:
			if c.booking == uuid.Nil {
				return nil
			}
		case fault.CodeReplacedGone:
			if c.booking == o.replaces && !c.guessed {
				return nil
			}
		default:
		}
		return []any{after}
	}
	// Another request has confirmed the same hold: this one finds its booking.
	if o.good && (c.booking == o.gotBooking || (c.guessed && c.booking == o.hold)) {
		w[o.person].booking, w[o.person].guessed = o.gotBooking, false
		return []any{w}
	}
	var states []any
	if o.open {
		states = append(states, w)
	}
	switch {
	case o.replaces == uuid.Nil && c.booking != uuid.Nil, o.replaces != uuid.Nil && !c.is(o.replaces):
		return states
	case w.booked(o.slot) >= r.capacity[o.slot]:
		return states // oversold
	}
	if c.hold == o.hold {
		c.hold = uuid.Nil
	}
	c.bookSlot, c.booking, c.guessed = o.slot, o.gotBooking, false
	if o.open {
		c.booking, c.guessed = o.hold, true
	}
	w[o.person] = c
	return append(states, w)
}

func (r rules) cancel(w world, o operation) []any {
	c := w[o.person]
	mine := c.is(o.booking)
	if !o.open && !o.good {
		if mine && !w[o.person].guessed {
			return nil // it was there to be cancelled
		}
		return []any{w}
	}
	var states []any
	if o.open {
		states = append(states, w)
	}
	if w[o.person].cancelled == o.booking {
		return append(states, w) // again
	}
	if !mine {
		return states
	}
	c.booking, c.bookSlot, c.guessed, c.cancelled = uuid.Nil, 0, false, o.booking
	w[o.person] = c
	return append(states, w)
}

func read(w world, o operation) []any {
	c := &w[o.person]
	switch {
	case o.open:
		return []any{w}
	case o.gotNothing:
		if c.booking != uuid.Nil || c.cancelled != uuid.Nil {
			return nil
		}
	case o.gotCancelled:
		if c.booking != uuid.Nil || c.cancelled != o.gotBooking {
			return nil
		}
	case !c.is(o.gotBooking):
		return nil
	}
	return []any{w}
}

// Linearize judges the small histories among the entries: for each group, whether there is an order of its operations, none
// before it was asked for or after it was answered, in which each answer is right. What wasn't answered may or may not have
// happened.
func Linearize(entries []journal.Entry, capacity map[int64]int, excuses Excuses) (histories int, wrong []Violation) {
	groups := map[string][]journal.Entry{}
	var names []string
	for _, e := range entries {
		if e.Group == "" {
			continue
		}
		if _, known := groups[e.Group]; !known {
			names = append(names, e.Group)
		}
		groups[e.Group] = append(groups[e.Group], e)
	}
	for _, name := range names {
		history, r, err := historyOf(groups[name], capacity)
		if err != nil {
			wrong = append(wrong, Violation{Linear, fmt.Sprintf("history %s can't be judged: %s", name, err)})
			continue
		}
		r.excuses = excuses
		model := porcupine.NondeterministicModel{
			Init: func() []any { return []any{world{}} },
			Step: func(state, input, _ any) []any {
				return r.step(state.(world), input.(operation)) //nolint:forcetypeassert // they are nothing else
			},
		}
		histories++
		switch porcupine.CheckOperationsTimeout(model.ToModel(), history, linearWithin) {
		case porcupine.Ok:
		case porcupine.Illegal:
			wrong = append(wrong, Violation{Linear, fmt.Sprintf("history %s of %d operations has no order in which its answers are right",
				name, len(history))})
		case porcupine.Unknown:
			wrong = append(wrong, Violation{Linear, fmt.Sprintf("history %s of %d operations wasn't judged in time", name, len(history))})
		}
	}
	return histories, wrong
}

// historyOf makes a group's sends into operations.
func historyOf(entries []journal.Entry, capacity map[int64]int) (history []porcupine.Operation, r rules, err error) {
	persons, slots := map[uuid.UUID]int{}, map[int64]int{}
	requests := map[string][]journal.Entry{}
	var order []string
	for _, e := range entries {
		if e.Op == journal.Look {
			continue
		}
		if _, known := persons[e.Person]; !known {
			persons[e.Person] = len(persons)
		}
		if _, known := slots[e.Slot]; !known && e.Slot != 0 {
			r.capacity[min(len(slots), MostSlots-1)] = capacity[e.Slot]
			slots[e.Slot] = len(slots)
		}
		if _, known := requests[e.Request]; !known {
			order = append(order, e.Request)
		}
		requests[e.Request] = append(requests[e.Request], e)
	}
	if len(persons) > MostPersons || len(slots) > MostSlots {
		return nil, r, fmt.Errorf("it has %d persons and %d slots", len(persons), len(slots))
	}
	for _, id := range order {
		sends := requests[id]
		e := sends[0]
		o := operation{
			op: e.Op, person: persons[e.Person], slot: slots[e.Slot], hold: e.Hold, replaces: e.Replaces, booking: e.Booking, open: true,
		}
		end := never
		final := slices.DeleteFunc(slices.Clone(sends), func(e journal.Entry) bool { return !e.Final() })
		if len(final) > 0 {
			// The one that grants is what happened; another may have been refused before or after it.
			granted := slices.DeleteFunc(slices.Clone(final), func(e journal.Entry) bool { return !e.Good() })
			if len(granted) > 0 {
				final = granted
			}
			first := slices.MinFunc(final, func(a, b journal.Entry) int { return a.Answered.Compare(b.Answered) })
			o.open, o.good, o.code = false, first.Good(), fault.Code(first.Code)
			o.gotHold, o.gotBooking = first.Got.Hold, first.Got.Booking
			o.gotCancelled, o.gotNothing = first.Got.State == "cancelled", o.code == fault.CodeNoBooking
			end = first.Answered.UnixNano()
		}
		if o.open && (o.op == journal.Read || o.op == journal.Hold) {
			continue // it says nothing
		}
		history = append(history, porcupine.Operation{
			ClientId: o.person, Input: o, Call: e.Asked.UnixNano(), Return: end,
		})
	}
	return history, r, nil
}
