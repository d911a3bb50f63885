package booking

import (
	"time"

	"github.com/google/uuid"

	"jari/internal/token"
)

// lateBy is how long after its expiry a hold may still be confirmed, by Postgres's clock: the request was on its way.
// It is less than what Redis keeps the place for beyond the expiry, so a place is never promised twice because of it.
const lateBy = 10 * time.Second

// request is one hold to be confirmed.
type request struct {
	hold token.Hold
	// id and reference are what the booking will have if it is made.
	id        uuid.UUID
	reference string
	// givenUp is what Redis said: this hold was released, or superseded by a later one.
	givenUp bool
}

// room is what a locked slot still has.
type room struct{ capacity, booked int }

// locked is what a flush sees after it took its locks: nothing in it can change before the flush commits, except that
// another instance may book the same person elsewhere, which the unique index then refuses.
type locked struct {
	now     time.Time
	slots   map[int64]room
	decided map[uuid.UUID]Booking // by hold id
	active  map[uuid.UUID]Booking // by person
}

// verdict is what is to be written for a request.
type verdict struct {
	// reason is empty for a booking.
	reason Reason
	// moved is the booking that this one replaces; its unit is given back.
	moved *Booking
}

// decide gives each hold that isn't decided yet its verdict, in the order in which the requests came. It is pure: the
// same locks and requests give the same verdicts.
func decide(l locked, requests []request) map[uuid.UUID]verdict {
	verdicts := make(map[uuid.UUID]verdict, len(requests))
	taken := map[int64]int{}        // units won in this flush, by slot
	winners := map[uuid.UUID]bool{} // persons who won in this flush
	for _, r := range requests {
		if _, known := l.decided[r.hold.ID]; known {
			continue
		}
		v := judge(l, r, taken[r.hold.Slot], winners[r.hold.Person])
		if v.reason == "" {
			taken[r.hold.Slot]++
			winners[r.hold.Person] = true
		}
		verdicts[r.hold.ID] = v
	}
	return verdicts
}

func judge(l locked, r request, taken int, won bool) verdict {
	if r.givenUp {
		return verdict{reason: Released}
	}
	if l.now.After(r.hold.ExpiresAt.Add(lateBy)) {
		return verdict{reason: Expired}
	}
	var moved *Booking
	has, booked := l.active[r.hold.Person]
	switch {
	case won:
		return verdict{reason: AlreadyBooked}
	case r.hold.Replaces == uuid.Nil && booked:
		return verdict{reason: AlreadyBooked}
	case r.hold.Replaces != uuid.Nil && (!booked || has.ID != r.hold.Replaces):
		return verdict{reason: ReplacedGone}
	case r.hold.Replaces != uuid.Nil:
		moved = &has
	}
	// Units that moves of this flush give back aren't counted: they are free only once it has committed.
	slot, exists := l.slots[r.hold.Slot]
	if !exists || slot.booked+taken >= slot.capacity {
		return verdict{reason: Full}
	}
	return verdict{moved: moved}
}
