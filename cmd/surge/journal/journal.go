// Package journal is what clients write down of what they asked and what they were told, before they believe it. It is one
// of the two witnesses of a run with faults; the other is what the tables say afterwards, and package check holds the two
// against each other.
package journal

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Op is what a client asks for.
type Op string

// The operations.
const (
	Hold    Op = "hold"
	Release Op = "release"
	Confirm Op = "confirm"
	Cancel  Op = "cancel"
	Read    Op = "read" // one's own booking
	Look    Op = "look" // a public document

	Place Op = "place" // one's place in the line: a ticket
	Enter Op = "enter" // to be admitted
	Steal Op = "steal" // to be admitted with somebody else's ticket
	Watch Op = "watch" // the room's public status
	Step  Op = "step"  // what one is told to do next
)

// Entry is one send of a request. Sends of the same request share its id: it is asked for once, however often it is sent.
type Entry struct {
	Request string    `json:"request"`
	Op      Op        `json:"op"`
	Person  uuid.UUID `json:"person"`
	// Group names the small history that the request belongs to, if it does.
	Group string `json:"group,omitempty"`
	// What was asked: the slot to hold; the hold to confirm, with what its token is for; the booking to cancel.
	Slot      int64     `json:"slot,omitempty"`
	Hold      uuid.UUID `json:"hold,omitzero"`
	InsteadOf uuid.UUID `json:"instead_of,omitzero"`
	Replaces  uuid.UUID `json:"replaces,omitzero"`
	Booking   uuid.UUID `json:"booking,omitzero"`
	// Until is the instant up to which the hold was promised.
	Until time.Time `json:"until,omitzero"`
	// Server is who was asked: the address of one process.
	Server string    `json:"server,omitempty"`
	Asked  time.Time `json:"asked"`

	// Answered is zero where no answer came.
	Answered time.Time `json:"answered,omitzero"`
	Status   int       `json:"status,omitempty"`
	Code     string    `json:"code,omitempty"` // of a refusal
	Got      Got       `json:"got,omitzero"`
}

// Got is what an answer says.
type Got struct {
	Slot      int64     `json:"slot,omitempty"`
	Hold      uuid.UUID `json:"hold,omitzero"`
	Booking   uuid.UUID `json:"booking,omitzero"`
	Reference string    `json:"reference,omitempty"`
	State     string    `json:"state,omitempty"` // of the booking
	Until     time.Time `json:"until,omitzero"`
	// Of a waiting room. Place is i and an index of the draw, or n and a number behind it.
	Place    string  `json:"place,omitempty"`
	Position *uint64 `json:"position,omitempty"`
	Serving  uint64  `json:"serving,omitempty"`
	Late     bool    `json:"late,omitempty"` // both are of the late lane
	Step     string  `json:"step,omitempty"`
}

// Lost tells that no answer came.
func (e Entry) Lost() bool { return e.Answered.IsZero() }

// Good tells that what was asked for was granted.
func (e Entry) Good() bool { return e.Status >= 200 && e.Status < 300 }

// Final tells that the answer leaves nothing open: it is neither missing nor a "not now".
func (e Entry) Final() bool {
	return !e.Lost() && e.Status < http.StatusInternalServerError && e.Status != http.StatusTooManyRequests
}

// Refused tells that a confirm was refused for good.
func (e Entry) Refused() bool { return e.Status == http.StatusConflict || e.Status == http.StatusGone }

// Journal collects entries. It is safe for concurrent use.
type Journal struct {
	mu      sync.Mutex
	entries []Entry
	out     *json.Encoder
	err     error
}

// New returns an empty journal that writes each line to out as soon as it is known, for whoever looks into a run later.
func New(out io.Writer) *Journal { return &Journal{out: json.NewEncoder(out)} }

// Ask writes down that something is about to be asked, and returns where its answer goes.
func (j *Journal) Ask(e Entry) (at int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Asked = time.Now()
	j.entries = append(j.entries, e)
	j.write(e)
	return len(j.entries) - 1
}

// Answer writes down what was answered. Whoever asked acts on it only after this returns.
func (j *Journal) Answer(at, status int, code string, got Got) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := &j.entries[at]
	e.Answered, e.Status, e.Code, e.Got = time.Now(), status, code, got
	j.write(*e)
}

func (j *Journal) write(e Entry) {
	if err := j.out.Encode(e); err != nil && j.err == nil {
		j.err = fmt.Errorf("writing the journal: %w", err)
	}
}

// Entries are all sends so far, in the order in which they were asked, and what kept the journal from being written.
func (j *Journal) Entries() ([]Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Entry(nil), j.entries...), j.err
}
