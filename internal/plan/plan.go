package plan

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/staff"
)

// Kind is a sort of bulk change.
type Kind struct {
	// Name is what plans and the audit call it: "sites.import".
	Name string
	// Role is what whoever makes or applies such a plan must be trusted with.
	Role staff.Role
	// Apply does in tx what the plan shows. It checks, under the locks that it takes, that everything still is as it was when
	// the plan was made, and returns Outdated otherwise. after, if there is one, runs once it is committed: telling Redis.
	Apply func(ctx context.Context, tx pgx.Tx, p Stored) (after func(context.Context), err error)
	// Discard takes away what the kind keeps of plans outside of their payload; nil where it keeps nothing.
	Discard func(ctx context.Context, tx pgx.Tx, plans []uuid.UUID) error
}

// Outcome is what becomes of a row.
type Outcome string

// The outcomes.
const (
	Created   Outcome = "created"
	Changed   Outcome = "changed"
	Unchanged Outcome = "unchanged"
	Rejected  Outcome = "rejected" // it isn't applied, and the note says why
	Affected  Outcome = "affected" // not asked for, but touched by it: a booking that would lose its slot
)

// Row is something that is worth reading one by one. It never has personal data in it.
type Row struct {
	Number  int // from 1, in the order of the plan
	Line    int // of the file; 0 where there is none
	Outcome Outcome
	Subject string // what it is about: "clinic-7 2021-07-27 09:00"
	Note    string // what changes, or why it is rejected
}

// Summary is what a plan would do, in numbers.
type Summary struct {
	Created   int `json:"created"`
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
	Rejected  int `json:"rejected"`
	// Bookings are those that lose or change their slot.
	Bookings int `json:"bookings"`
	// More are the numbers of the kind: {"places": 3120}.
	More map[string]int `json:"more,omitempty"`
}

// Source is where a plan came from, for whoever signs it off.
type Source struct {
	Format   string `json:"format,omitempty"`   // csv, xlsx
	Encoding string `json:"encoding,omitempty"` // UTF-8, CP949
	Bytes    int    `json:"bytes,omitempty"`
	Lines    int    `json:"lines,omitempty"` // rows that were read, without the heading
}

// State is what a plan is good for.
type State string

// The states of a plan.
const (
	Ready   State = "ready"
	Applied State = "applied"
	Over    State = "over" // its time is over, and it wasn't applied
)

// Plan is a bulk change that was tried. Its times are real time.
type Plan struct {
	ID                uuid.UUID
	Kind, Campaign    string
	MadeBy            string // a key's id
	MadeAt, ExpiresAt time.Time
	Source            Source
	Summary           Summary
	// Checksum is the SHA-256 of the file or request, in hexadecimal: the same as sha256sum says of the file.
	Checksum  string
	AppliedBy *string
	AppliedAt *time.Time
}

// StateAt is what the plan is good for at an instant of real time.
func (p Plan) StateAt(now time.Time) State {
	switch {
	case p.AppliedAt != nil:
		return Applied
	case !now.Before(p.ExpiresAt):
		return Over
	}
	return Ready
}

// Stored is a plan as its kind gets it back.
type Stored struct {
	Plan
	Payload []byte
	// Progress notes how much is done; call it as often as you like.
	Progress func(done int)
}

// Running is a plan that is being made or applied at this moment.
type Running struct {
	ID             uuid.UUID
	Kind, Campaign string
	Doing          string // making, applying
	Done           int64  // rows
	UpdatedAt      time.Time
}
