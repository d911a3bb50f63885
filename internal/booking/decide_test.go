package booking

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"jari/internal/slot"
	"jari/internal/token"
)

var now = time.Date(2021, 7, 19, 11, 0, 0, 0, time.UTC)

func asks(slot int64, person uuid.UUID) request {
	return request{
		id:   uuid.New(),
		hold: token.Hold{ID: uuid.New(), Slot: slot, Person: person, ExpiresAt: now.Add(time.Minute)},
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	person := uuid.New()
	booked := Booking{ID: uuid.New(), Person: person, Slot: 2, Status: Active}
	open := map[int64]slot.Copy{1: {Capacity: 2, Booked: 1}, 2: {Capacity: 1, Booked: 1}}
	for _, c := range []struct {
		name   string
		active *Booking
		change func(*request)
		want   Reason
		moves  bool
	}{
		{name: "a live hold on a slot with room books"},
		{name: "a hold that was given up doesn't", change: func(r *request) { r.givenUp = true }, want: Released},
		{name: "a little late is in time", change: func(r *request) { r.hold.ExpiresAt = now.Add(-lateBy) }},
		{name: "later isn't", change: func(r *request) { r.hold.ExpiresAt = now.Add(-lateBy - 1) }, want: Expired},
		{name: "a full slot refuses", change: func(r *request) { r.hold.Slot = 2 }, want: Full},
		{name: "a slot that is gone refuses", change: func(r *request) { r.hold.Slot = 3 }, want: Full},
		{name: "one booking a person", active: &booked, want: AlreadyBooked},
		{name: "moving one's booking", active: &booked, change: func(r *request) { r.hold.Replaces = booked.ID }, moves: true},
		{name: "moving a booking that isn't active", change: func(r *request) { r.hold.Replaces = booked.ID }, want: ReplacedGone},
		{name: "moving another booking than the active one", active: &booked, change: func(r *request) { r.hold.Replaces = uuid.New() }, want: ReplacedGone},
		{name: "moving to a full slot refuses, and keeps the old", active: &booked, change: func(r *request) { r.hold.Replaces, r.hold.Slot = booked.ID, 2 }, want: Full},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := locked{now: now, slots: open, active: map[uuid.UUID]Booking{}}
			if c.active != nil {
				l.active[person] = *c.active
			}
			r := asks(1, person)
			if c.change != nil {
				c.change(&r)
			}
			v := decide(l, nil, []request{r}).verdicts[r.hold.ID]
			if v.reason != c.want || (v.moved != nil) != c.moves {
				t.Fatalf("verdict %+v", v)
			}
		})
	}
}

func TestADecidedHoldIsNotDecidedAgain(t *testing.T) {
	t.Parallel()
	r := asks(1, uuid.New())
	l := locked{now: now, slots: map[int64]slot.Copy{1: {Capacity: 1}}, decided: map[uuid.UUID]Booking{r.hold.ID: {}}}
	if v := decide(l, nil, []request{r}).verdicts; len(v) != 0 {
		t.Fatalf("decided again: %v", v)
	}
}

func TestTwoHoldsConfirmedTogether(t *testing.T) {
	t.Parallel()
	person := uuid.New()
	first, second := asks(1, person), asks(2, person)
	l := locked{now: now, slots: map[int64]slot.Copy{1: {Capacity: 1}, 2: {Capacity: 1}}}
	v := decide(l, nil, []request{first, second}).verdicts
	if v[first.hold.ID].reason != "" || v[second.hold.ID].reason != AlreadyBooked {
		t.Fatalf("two bookings of one person: %v", v)
	}
}

func TestVerdictsNeverOversell(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		persons := make([]uuid.UUID, rapid.IntRange(1, 8).Draw(t, "persons"))
		for i := range persons {
			persons[i] = uuid.New()
		}
		l := locked{now: now, slots: map[int64]slot.Copy{}, decided: map[uuid.UUID]Booking{}, active: map[uuid.UUID]Booking{}}
		slots := rapid.IntRange(1, 4).Draw(t, "slots")
		for s := range slots {
			capacity := rapid.IntRange(0, 4).Draw(t, "capacity")
			l.slots[int64(s)] = slot.Copy{Capacity: capacity, Booked: rapid.IntRange(0, capacity).Draw(t, "booked")}
		}
		for _, p := range persons {
			if rapid.Bool().Draw(t, "has a booking") {
				l.active[p] = Booking{ID: uuid.New(), Person: p, Slot: int64(rapid.IntRange(0, slots-1).Draw(t, "its slot"))}
			}
		}
		var requests []request
		for range rapid.IntRange(1, 20).Draw(t, "requests") {
			p := rapid.SampledFrom(persons).Draw(t, "person")
			r := asks(int64(rapid.IntRange(0, slots-1).Draw(t, "slot")), p)
			r.givenUp = rapid.Bool().Draw(t, "given up")
			if b, ok := l.active[p]; ok && rapid.Bool().Draw(t, "moves") {
				r.hold.Replaces = b.ID
			}
			requests = append(requests, r)
		}
		verdicts := decide(l, nil, requests).verdicts
		sold, won := map[int64]int{}, map[uuid.UUID]int{}
		for _, r := range requests {
			v, ok := verdicts[r.hold.ID]
			if !ok {
				t.Fatal("a request has no verdict")
			}
			if v.reason != "" {
				continue
			}
			sold[r.hold.Slot]++
			won[r.hold.Person]++
			if _, has := l.active[r.hold.Person]; has != (v.moved != nil) {
				t.Fatal("a person with a booking got another one, or one without had one moved")
			}
		}
		for s, n := range sold {
			if l.slots[s].Booked+n > l.slots[s].Capacity {
				t.Fatalf("slot %d is oversold", s)
			}
		}
		for _, n := range won {
			if n > 1 {
				t.Fatal("one person won twice")
			}
		}
		// Nobody is refused a place that is there.
		for _, r := range requests {
			if verdicts[r.hold.ID].reason == Full && l.slots[r.hold.Slot].Booked+sold[r.hold.Slot] < l.slots[r.hold.Slot].Capacity {
				t.Fatal("refused although there is room")
			}
		}
	})
}

func TestReferences(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	var all []string
	for n := range 45 {
		of := newReferences(n)
		if len(of) != n {
			t.Fatalf("%d references instead of %d", len(of), n)
		}
		for _, r := range of {
			if r[:5] != of[0][:5] {
				t.Fatalf("%q and %q don't begin alike", of[0], r)
			}
		}
		all = append(all, of...)
	}
	for _, r := range all {
		if len(r) != 14 || r[4] != '-' || r[9] != '-' || seen[r] {
			t.Fatalf("%q", r)
		}
		for _, c := range r {
			switch c {
			case 'I', 'L', 'O', 'U':
				t.Fatalf("%q has a letter that looks like another", r)
			}
		}
		seen[r] = true
	}
}
