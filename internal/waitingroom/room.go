package waitingroom

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"jari/internal/document"
)

// State is what a room is doing.
//
//	scheduled ─▶ registration ─▶ drawing ─▶ open ⇄ paused
//	     └────────────────────────────────────┘            any of them ─▶ closed
type State string

// The states, as the table knows them.
const (
	Scheduled   State = "scheduled"    // nobody can take a place yet
	Registering State = "registration" // places are taken for the draw, in no order
	Drawing     State = "drawing"      // the draw is frozen; its value doesn't exist yet, or the opening is still to come
	Open        State = "open"         // the serving number rises
	Paused      State = "paused"       // it doesn't, and grace doesn't run
	Closed      State = "closed"       // over
)

// next has every transition that there is.
var next = map[State][]State{
	Scheduled:   {Registering, Open, Closed},
	Registering: {Drawing, Closed},
	Drawing:     {Open, Closed},
	Open:        {Paused, Closed},
	Paused:      {Open, Closed},
}

// Can tells whether a room may go from one state to another.
func (s State) Can(to State) bool { return slices.Contains(next[s], to) }

// Source is where the public value of a draw comes from.
type Source string

// The sources.
const (
	NoDraw    Source = ""
	Drand     Source = "drand"     // a round of a drand chain
	Announced Source = "announced" // typed in by one administrator and confirmed by another
	Local     Source = "local"     // made by the server itself: development only, for it proves nothing
)

// Plan is what is published about a room.
type Plan struct {
	Room, Campaign string
	Waves          []string
	// Shown time. RegistrationOpensAt and the freeze are zero in a room without a draw.
	RegistrationOpensAt, FreezesAt time.Time
	OpensAt, ClosesAt              time.Time
	Draw                           Source
	ValueAt                        time.Time // real time of the value, announced in advance
	Rate                           float64   // people a second
	MaxActive                      int       // people inside; 0 is no limit
	Grace                          time.Duration
	LateShare                      float64
	MessageKo, MessageEn           string
	// Endless rooms are always open and belong to no opening, such as the one in front of sending codes.
	Endless bool
}

// Room is a row of the table.
type Room struct {
	No                       int32
	ID                       string
	State                    State
	Registered               uint64
	Drawn                    *uint64
	Numbers, LateNumbers     uint64
	Serving, LateServing     uint64
	OpenMS                   int64
	Leader                   *uuid.UUID
	Rate                     *float64
	MaxActive                *int64
	MessageKo, MessageEn     *string
	DrawSource               *string
	DrawChain                string
	DrawRound                uint64
	ValueAt, PublishedAt     *time.Time
	Root, Value, Proof, Seed []byte
	Proposed                 []byte
	ProposedBy               *string
	// FellBack tells that the announced source had no value in time, and DrawName whose value was typed in instead.
	FellBack bool
	DrawName *string
}

// N is how many were drawn among; positions from N on are those who came later.
func (r *Room) N() uint64 {
	if r.Drawn == nil {
		return 0
	}
	return *r.Drawn
}

// name is whose value was typed in, or empty.
func (r *Room) name() string {
	if r.DrawName == nil {
		return ""
	}
	return *r.DrawName
}

// Issued is one more than the last position that somebody has.
func (r *Room) Issued() uint64 { return r.N() + r.Numbers }

// openTime is a room's open time as an instant, which is how History counts: an hour of it is an hour of being open.
func openTime(ms int64) time.Time { return time.UnixMilli(ms) }

// Place is a person's place in a room.
type Place struct {
	Behind bool   // a number behind the draw, as opposed to an index in it
	Number uint64 // the index or the number
	Nonce  Nonce  // of an index
	AtMS   int64
}

// position turns a place into a position, if the draw has been made. An instance that doesn't know of the freeze yet can't
// say how many are in front of a number that another gave: it says nothing.
func (v *view) position(behind bool, place uint64) (uint64, bool) {
	if behind {
		return v.N() + place, v.State != Scheduled && v.State != Registering
	}
	if len(v.Seed) != seedSize || place >= v.N() {
		return 0, false
	}
	return Position([seedSize]byte(v.Seed), v.N(), place), true
}

const seedSize = 32

// view is a room as an instance knows it: published, stored and encoded. It is replaced whole and never changed.
type view struct {
	Plan
	*Room
	// calls and lateCalls are in the room's open time.
	calls, lateCalls History
	status           *document.Document
}

// controls are the plan's, as far as the dial doesn't say otherwise.
func (v *view) controls() (rate float64, maxActive int) {
	rate, maxActive = v.Plan.Rate, v.Plan.MaxActive
	if v.Room.Rate != nil {
		rate = *v.Room.Rate
	}
	if v.Room.MaxActive != nil {
		maxActive = int(*v.Room.MaxActive)
	}
	return rate, maxActive
}

func (v *view) message() (ko, en string) {
	if v.Room.MessageKo != nil && v.Room.MessageEn != nil {
		return *v.Room.MessageKo, *v.Room.MessageEn
	}
	return v.Plan.MessageKo, v.Plan.MessageEn
}

// graceUsed is how much of their grace has passed for who has a position in one of the lanes and was called, in milliseconds
// of open time; false if they weren't called.
func (v *view) graceUsed(late bool, position uint64, atMS int64) (usedMS int64, called bool) {
	calls, serving := v.calls, v.Serving
	if late {
		calls, serving = v.lateCalls, v.LateServing
	}
	if position >= serving {
		return 0, false
	}
	from := atMS
	if at, ok := calls.CalledAt(position); ok {
		from = max(from, at.UnixMilli())
	} else if len(calls) > 0 { // earlier than anybody remembers
		from = max(from, calls[0].At.UnixMilli())
	}
	return max(0, v.OpenMS-from), true
}

// inGrace tells whether who has a position in one of the lanes may come in as called.
func (v *view) inGrace(late bool, position uint64, atMS int64) bool {
	calls := v.calls
	if late {
		calls = v.lateCalls
	}
	return calls.InGrace(position, openTime(atMS), openTime(v.OpenMS), v.Grace)
}
