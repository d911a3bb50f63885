package booking

import (
	"time"

	"github.com/google/uuid"

	"jari/internal/slot"
	"jari/internal/token"
)

// lateBy is how long after its expiry a hold may still be confirmed, by Postgres's clock: the request was on its way.
// It is less than what Redis keeps the place for beyond the expiry, so a place is never promised twice because of it.
const lateBy = 10 * time.Second

// ending is one booking to be cancelled by its person. Its slot never changes, so it can be locked before the booking is
// read.
type ending struct {
	booking       uuid.UUID
	slot          int64
	person, actor uuid.UUID
}

// request is one hold to be confirmed.
type request struct {
	hold token.Hold
	// id and reference are what the booking will have if it is made.
	id        uuid.UUID
	reference string
	// givenUp is what Redis said: this hold was released, or superseded by a later one.
	givenUp bool
}

// locked is what a flush sees after it took its locks: nothing in it can change before the flush commits, except that
// another instance may book the same person elsewhere, which the unique index then refuses.
type locked struct {
	now     time.Time // when the locks were got
	began   time.Time // when the transaction began: what its rows say
	slots   map[int64]slot.Copy
	decided map[uuid.UUID]Booking // by hold id
	active  map[uuid.UUID]Booking // by person
	ending  map[uuid.UUID]Booking // by booking id: those that somebody wants cancelled
}

// verdict is what is to be written for a request.
type verdict struct {
	// reason is empty for a booking.
	reason Reason
	// moved is the booking that this one replaces; its unit is given back.
	moved *Booking
}

// plan is what a flush is to write.
type plan struct {
	verdicts map[uuid.UUID]verdict // by hold id, of those not decided before
	cancels  map[uuid.UUID]ending  // by booking id, of those that are active still
	// met tells that a hold had been decided, or that a person who doesn't move has a booking.
	met bool
}

// plain tells whether all that is to be written are bookings that replace none.
func (p plan) plain() bool {
	for _, v := range p.verdicts {
		if v.reason != "" || v.moved != nil {
			return false
		}
	}
	return len(p.cancels) == 0
}

// decide gives each hold that isn't decided yet its verdict, in the order in which the requests came, after the bookings
// that are to be cancelled: none of them has been answered, so any order is a true one. It is pure: the same locks and
// requests give the same plan.
func decide(l locked, endings []ending, requests []request) plan {
	p := plan{verdicts: make(map[uuid.UUID]verdict, len(requests)), cancels: map[uuid.UUID]ending{}}
	for _, e := range endings {
		if b, ok := l.ending[e.booking]; ok && b.Person == e.person && b.Status == Active && !b.Attended() {
			p.cancels[e.booking] = e
		}
	}
	taken := map[int64]int{}        // units won in this flush, by slot
	winners := map[uuid.UUID]bool{} // persons who won in this flush
	for _, r := range requests {
		if _, known := l.decided[r.hold.ID]; known {
			p.met = true
			continue
		}
		has, booked := l.active[r.hold.Person]
		if _, cancelled := p.cancels[has.ID]; cancelled {
			booked = false
		}
		p.met = p.met || (booked && r.hold.Replaces == uuid.Nil)
		v := judge(l, r, has, booked, taken[r.hold.Slot], winners[r.hold.Person])
		if v.reason == "" {
			taken[r.hold.Slot]++
			winners[r.hold.Person] = true
		}
		p.verdicts[r.hold.ID] = v
	}
	return p
}

// judge gives one verdict. has is the person's active booking, if booked; taken are the units that this flush has given
// away at the slot, and won tells whether the person got one of this flush.
func judge(l locked, r request, has Booking, booked bool, taken int, won bool) verdict {
	if r.givenUp {
		return verdict{reason: Released}
	}
	if l.now.After(r.hold.ExpiresAt.Add(lateBy)) {
		return verdict{reason: Expired}
	}
	var moved *Booking
	switch {
	case won:
		return verdict{reason: AlreadyBooked}
	case r.hold.Replaces == uuid.Nil && booked:
		return verdict{reason: AlreadyBooked}
	case r.hold.Replaces != uuid.Nil && (!booked || has.ID != r.hold.Replaces || has.Attended()):
		return verdict{reason: ReplacedGone}
	case r.hold.Replaces != uuid.Nil:
		moved = new(has) // a copy, so that only whoever moves has one made
	}
	// Units that moves and cancels of this flush give back aren't counted: they are free only once it has committed.
	room, exists := l.slots[r.hold.Slot]
	if !exists || room.Booked+taken >= room.Capacity {
		return verdict{reason: Full}
	}
	return verdict{moved: moved}
}
