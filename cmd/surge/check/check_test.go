package check

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"jari/cmd/surge/journal"
)

// night is a small run in which everything is right: somebody booked and moved, somebody booked and cancelled, somebody
// was refused.
func night() Facts {
	at := time.Date(2021, 7, 12, 15, 0, 0, 0, time.UTC)
	id := func(n byte) (u uuid.UUID) { u[0] = n; return u }
	a, b, c := id(1), id(2), id(3)
	until := at.Add(5 * time.Minute)
	entry := func(request string, e journal.Entry, status int, code string, got journal.Got) journal.Entry {
		at = at.Add(time.Second)
		e.Request, e.Asked, e.Until = request, at, until
		if status != 0 {
			at = at.Add(time.Second)
			e.Answered, e.Status, e.Code, e.Got = at, status, code, got
		}
		return e
	}
	confirm := func(person, hold uuid.UUID, slot int64, replaces uuid.UUID) journal.Entry {
		return journal.Entry{Op: journal.Confirm, Person: person, Hold: hold, Slot: slot, Replaces: replaces}
	}
	return Facts{
		Entries: []journal.Entry{
			entry("h", journal.Entry{Op: journal.Hold, Person: a, Slot: 1}, http.StatusOK, "", journal.Got{Hold: id(11), Slot: 1}),
			entry("h", journal.Entry{Op: journal.Hold, Person: a, Slot: 1}, http.StatusOK, "", journal.Got{Hold: id(11), Slot: 1}),
			entry("1", confirm(a, id(11), 1, uuid.Nil), 0, "", journal.Got{}),
			entry("1", confirm(a, id(11), 1, uuid.Nil), http.StatusOK, "", journal.Got{Booking: id(21), Reference: "R1", Slot: 1}),
			entry("2", confirm(a, id(12), 2, id(21)), http.StatusCreated, "", journal.Got{Booking: id(22), Reference: "R1", Slot: 2}),
			entry("3", confirm(b, id(13), 1, uuid.Nil), http.StatusCreated, "", journal.Got{Booking: id(23), Reference: "R2", Slot: 1}),
			entry("4", journal.Entry{Op: journal.Cancel, Person: b, Booking: id(23)}, http.StatusOK, "", journal.Got{Booking: id(23), Reference: "R2", Slot: 1}),
			entry("5", confirm(c, id(14), 2, uuid.Nil), http.StatusConflict, "already_booked", journal.Got{}),
			entry("6", journal.Entry{Op: journal.Read, Person: a}, http.StatusOK, "", journal.Got{Booking: id(22), State: "active"}),
		},
		Slots: []Slot{{ID: 1, Capacity: 1}, {ID: 2, Capacity: 1, Booked: 1}},
		Bookings: []Booking{
			{ID: id(21), Hold: id(11), Person: a, Slot: 1, Status: "superseded", Reference: "R1"},
			{ID: id(22), Hold: id(12), Person: a, Slot: 2, Status: "active", Reference: "R1", Replaces: id(21)},
			{ID: id(23), Hold: id(13), Person: b, Slot: 1, Status: "cancelled", Reference: "R2"},
			{ID: id(24), Hold: id(14), Person: c, Slot: 2, Status: "void", Reason: "already_booked"},
		},
	}
}

func TestWhatIsRightIsNotCalledWrong(t *testing.T) {
	t.Parallel()
	if r := Judge(night()); len(r.Violations) > 0 || r.Broken != 0 {
		t.Errorf("%+v", r)
	}
}

func TestEachInvariantIsSeenBroken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		invariant int
		breaks    func(f *Facts)
	}{
		"a slot counts too few":              {Counted, func(f *Facts) { f.Slots[1].Booked = 0 }},
		"a slot is oversold":                 {Counted, func(f *Facts) { f.Slots[1].Capacity = 0 }},
		"rows of no slot":                    {Counted, func(f *Facts) { f.Slots = f.Slots[:1] }},
		"a person has two":                   {OnePerPerson, func(f *Facts) { f.Bookings[0].Status = "active" }},
		"an acknowledged booking is lost":    {Acknowledged, func(f *Facts) { f.Bookings = slices.Delete(f.Bookings, 1, 2) }},
		"an acknowledged booking is void":    {Acknowledged, func(f *Facts) { f.Bookings[1].Status = "void" }},
		"it is of another slot":              {Acknowledged, func(f *Facts) { f.Bookings[1].Slot = 1 }},
		"it has another reference":           {Acknowledged, func(f *Facts) { f.Bookings[1].Reference = "R9" }},
		"a cancel is undone":                 {Acknowledged, func(f *Facts) { f.Bookings[2].Status = "active" }},
		"the old one of a move stays":        {Acknowledged, func(f *Facts) { f.Bookings[0].Status = "active" }},
		"somebody is shown another's":        {Acknowledged, func(f *Facts) { f.Entries[8].Person = uuid.New() }},
		"nobody asked for a row":             {AskedFor, func(f *Facts) { f.Entries = slices.Delete(f.Entries, 5, 6) }},
		"nobody asked for a cancel":          {AskedFor, func(f *Facts) { f.Entries = slices.Delete(f.Entries, 6, 7) }},
		"a hold is decided twice":            {AskedFor, func(f *Facts) { f.Bookings[2].Hold = f.Bookings[1].Hold }},
		"a booking was moved to nothing":     {AskedFor, func(f *Facts) { f.Bookings[1].Replaces = uuid.Nil }},
		"one request has two holds":          {AskedFor, func(f *Facts) { f.Entries[1].Got.Hold = uuid.New() }},
		"one request has two bookings":       {AskedFor, func(f *Facts) { f.Entries[2] = f.Entries[3]; f.Entries[2].Got.Booking = f.Bookings[1].ID }},
		"a refused hold is a booking":        {Refused, func(f *Facts) { f.Bookings[3].Status = "cancelled" }},
		"a refused hold has no row":          {Refused, func(f *Facts) { f.Bookings = f.Bookings[:3] }},
		"a spent hold has an active booking": {Refused, func(f *Facts) { f.Entries[4].Status, f.Entries[4].Code = http.StatusGone, "hold_spent" }},
		"a live hold is refused as full":     {HoldsCount, func(f *Facts) { f.Entries[7].Code = "slot_full" }},
		"a live hold is called expired":      {HoldsCount, func(f *Facts) { f.Entries[7].Code = "hold_expired" }},
		"a hold is called released":          {HoldsCount, func(f *Facts) { f.Entries[7].Code = "hold_released" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := night()
			c.breaks(&f)
			if r := Judge(f); !slices.ContainsFunc(r.Violations, func(v Violation) bool { return v.Invariant == c.invariant }) {
				t.Errorf("invariant %d isn't among %+v", c.invariant, r.Violations)
			}
		})
	}
}

func TestAHoldThatRedisLostIsCountedAndExcused(t *testing.T) {
	t.Parallel()
	for _, excuses := range []Excuses{{RedisLost: true}, {CapacityLowered: true}} {
		f := night()
		f.Entries[7].Code, f.Excuses = "slot_full", excuses
		if r := Judge(f); len(r.Violations) > 0 || r.Broken != 1 {
			t.Errorf("%+v: %+v", excuses, r)
		}
	}
}

func TestWhatIsLeftMustBeSoldToZero(t *testing.T) {
	t.Parallel()
	slots := []Slot{{ID: 1, Capacity: 3, Booked: 3}}
	left := map[int64]int{1: 2}
	if wrong := Sale(left, map[int64]int{1: 2}, slots); len(wrong) > 0 {
		t.Errorf("%+v", wrong)
	}
	if wrong := Sale(left, map[int64]int{1: 1}, slots); len(wrong) != 1 {
		t.Errorf("a unit that couldn't be sold: %+v", wrong)
	}
	if wrong := Sale(left, map[int64]int{1: 2}, []Slot{{ID: 1, Capacity: 3, Booked: 2}}); len(wrong) != 1 {
		t.Errorf("a unit that is still there: %+v", wrong)
	}
}

func TestAtRestRedisSaysWhatPostgresSays(t *testing.T) {
	t.Parallel()
	s := Slot{ID: 1, Capacity: 3, Booked: 3, State: "open", Version: 7, Generation: "g"}
	for name, c := range map[string]struct {
		copies map[int64]Copy
		wrong  int
	}{
		"the same":    {map[int64]Copy{1: {Slot: s}}, 0},
		"none":        {nil, 0},
		"older":       {map[int64]Copy{1: {Slot: Slot{ID: 1, Capacity: 3, Booked: 2, State: "open", Version: 6, Generation: "g"}}}, 1},
		"a dead hold": {map[int64]Copy{1: {Slot: s, Holds: 1}}, 1},
	} {
		if wrong := Rest([]Slot{s}, c.copies); len(wrong) != c.wrong {
			t.Errorf("%s: %+v", name, wrong)
		}
	}
}
