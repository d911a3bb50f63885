package booking

import (
	"crypto/rand"
	"time"

	"github.com/google/uuid"

	"jari/internal/campaign"
	"jari/internal/slot"
)

// Status is what became of a booking.
//
//	          ┌→ cancelled
//	active ───┤
//	          └→ superseded (moved: another row of the same series is active)
//	void      (a hold that was refused; never was a booking)
type Status string

// The statuses, as the table knows them.
const (
	Active     Status = "active"
	Cancelled  Status = "cancelled"
	Superseded Status = "superseded"
	Void       Status = "void"
)

// Reason is why a hold was refused for good.
type Reason string

// The reasons, as the table knows them.
const (
	Full          Reason = "full"           // the slot's capacity was booked by others: a hold that Redis lost
	AlreadyBooked Reason = "already_booked" // the person has another active booking
	Expired       Reason = "expired"        // confirmed too late
	Released      Reason = "released"       // given up before
	ReplacedGone  Reason = "replaced_gone"  // the booking to be moved isn't active any more
)

// Booking is one row.
type Booking struct {
	ID        uuid.UUID
	Campaign  string
	Slot      int64
	Person    uuid.UUID
	Actor     uuid.UUID
	Status    Status
	Reason    Reason // with Void
	Reference string // the citizen's own number; stays the same over moves; empty with Void
	// Series is the first booking of a chain of moves, Sequence how often it changed.
	Series       uuid.UUID
	Sequence     int
	Replaces     uuid.UUID // zero for a first booking
	Wave         string
	RulesVersion int64
	JudgedAt     time.Time // shown time: when the person was judged for the hold
	CreatedAt    time.Time // real time
	EndedAt      time.Time // real time; zero while active
	// Attendance is whether the person came, and AttendedAt when that was noted, in real time.
	Attendance Attendance
	AttendedAt time.Time
}

// Detailed is a booking with the place that it is for.
type Detailed struct {
	Booking
	Place slot.Place
	Site  campaign.Site
	// ChangeUntil is the instant (exclusive) until which it can be moved or cancelled.
	ChangeUntil time.Time
}

// referenceAlphabet is Crockford's base32: no I, L, O or U, so nothing looks like something else on paper or sounds
// like it on the telephone.
const referenceAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

const (
	referenceGroup  = 4 // characters between dashes
	referenceGroups = 3
)

// newReferences makes citizens' numbers such as 7K4M-2QXP-9TRD: 60 random bits, which say nothing about the person or how many
// there are. Those of one call begin alike, with 40 bits of their own: so they lie beside each other in the index of
// millions, and a flush writes to one of its pages instead of to hundreds.
func newReferences(n int) []string {
	const own = (referenceGroups - 1) * referenceGroup
	random := make([]byte, referenceGroup+n*own)
	_, _ = rand.Read(random) // never fails: the runtime stops the process instead
	for i, b := range random {
		random[i] = referenceAlphabet[b&31]
	}
	references := make([]string, n)
	begin, rest := string(random[:referenceGroup]), random[referenceGroup:]
	for i := range references {
		r := rest[i*own : (i+1)*own]
		references[i] = begin + "-" + string(r[:referenceGroup]) + "-" + string(r[referenceGroup:])
	}
	return references
}
