package slot

import (
	"strconv"
	"time"

	"jari/internal/token"
)

// Place is where and when a slot is: what never changes while the slot exists.
type Place struct {
	ID               int64
	Site             string
	StartsAt, EndsAt time.Time
	// Cohort is the wave whose people it is kept for, until SharedAt of shown time; empty for everybody. Zero: for good.
	Cohort   string
	SharedAt time.Time
}

// Admits tells whether somebody whom a wave admits may have the slot at an instant of shown time.
func (p Place) Admits(wave string, now time.Time) bool {
	return p.Cohort == "" || p.Cohort == wave || !p.SharedAt.IsZero() && !now.Before(p.SharedAt)
}

// KeptFor is the wave whose people alone may have the slot at an instant of shown time, or empty.
func (p Place) KeptFor(now time.Time) string {
	if p.Admits("", now) {
		return ""
	}
	return p.Cohort
}

// State is whether a slot may be held.
type State string

// The states of a slot.
const (
	Open       State = "open"
	Closed     State = "closed"
	Unreleased State = "unreleased" // exists, but isn't given away yet
)

// Copy is a slot's row in Postgres, or its copy in Redis.
type Copy struct {
	Slot             int64
	Capacity, Booked int
	State            State
	// Version rises with every change; Generation is renewed when the database was restored from a backup.
	Version    int64
	Generation string
}

// Hold is a place kept for a person for a few minutes: what Redis keeps of it is what its token says. Its times are real
// time, by the clock of Redis, but for JudgedAt.
type Hold = token.Hold

// FormatID writes a slot's id for the public.
func FormatID(id int64) string { return strconv.FormatInt(id, 10) }

// ParseID reads a public slot id. Ids have one spelling: "07" and "+7" aren't ids.
func ParseID(s string) (int64, bool) {
	id, err := strconv.ParseInt(s, 10, 64)
	return id, err == nil && id > 0 && FormatID(id) == s
}

// grace is how much longer Redis keeps a place than the citizen is told, so that it isn't given away while its booking
// is being committed.
const grace = 20 * time.Second
