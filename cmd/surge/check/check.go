package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"jari/cmd/surge/journal"
	"jari/internal/fault"
)

// The invariants, numbered as everywhere.
const (
	Counted      = 1 // per slot, active rows = booked <= capacity
	OnePerPerson = 2 // at most one active booking per person
	Acknowledged = 3 // every acknowledged booking is there, and ended only if somebody asked for that
	AskedFor     = 4 // every row was asked for; k sends have one effect and one answer
	Refused      = 5 // a definite no never becomes a booking
	SoldOut      = 6 // what is left can be sold to exactly zero, and Redis says what Postgres says
	Linear       = 7 // small histories are linearizable
	HoldsCount   = 8 // a live hold is never refused without a cause
	// Served isn't of the protocol: requests were answered as the fault allows.
	Served = 9
)

// Violation is one thing that must not be.
type Violation struct {
	Invariant int    `json:"invariant"`
	What      string `json:"what"`
}

// Slot is a row of slots.
type Slot struct {
	ID               int64
	Capacity, Booked int
	State            string
	Version          int64
	Generation       string
}

// Booking is a row of bookings.
type Booking struct {
	ID, Hold, Person, Replaces uuid.UUID
	Slot                       int64
	Status, Reason, Reference  string
}

// Copy is what Redis has of a slot.
type Copy struct {
	Slot
	Holds int // that are live
}

// Excuses are what a fault may do that would be wrong without it.
type Excuses struct {
	// RedisLost: holds were lost, so a confirm may be refused as full, and a retry of placing may find nothing.
	RedisLost bool
	// CapacityLowered: an administrator took units away from under holds.
	CapacityLowered bool
}

// Facts are what is judged.
type Facts struct {
	Entries  []journal.Entry
	Slots    []Slot
	Bookings []Booking
	Excuses  Excuses
}

// Result is the judgement.
type Result struct {
	Violations []Violation
	// Broken are holds that were refused as full within their time.
	Broken int
}

// lateBy is the least that a hold may be confirmed after its end; the stores' clocks and this one are of one machine, but
// instants are taken at different moments.
const lateBy = 9 * time.Second

// judge collects what is wrong.
type judge struct {
	Facts
	Result
	rows, holds map[uuid.UUID]Booking // by id, by hold
	// sent are entries by what they are about.
	confirms, cancels map[uuid.UUID][]journal.Entry // by hold, by booking
	// gaveUp are persons who released a hold or exchanged it for another, by hold.
	gaveUp map[uuid.UUID]bool
	// released are persons who ever released: the request doesn't name the hold.
	released map[uuid.UUID]bool
}

// Judge checks invariants 1 to 5 and 8.
func Judge(f Facts) Result {
	j := &judge{
		Facts: f, rows: map[uuid.UUID]Booking{}, holds: map[uuid.UUID]Booking{},
		confirms: map[uuid.UUID][]journal.Entry{}, cancels: map[uuid.UUID][]journal.Entry{},
		gaveUp: map[uuid.UUID]bool{}, released: map[uuid.UUID]bool{},
	}
	for _, b := range f.Bookings {
		if other, twice := j.holds[b.Hold]; twice {
			j.wrong(AskedFor, "hold %s was decided twice: %s and %s", b.Hold, other.ID, b.ID)
		}
		j.rows[b.ID], j.holds[b.Hold] = b, b
	}
	for _, e := range f.Entries {
		switch e.Op {
		case journal.Confirm:
			j.confirms[e.Hold] = append(j.confirms[e.Hold], e)
		case journal.Cancel:
			j.cancels[e.Booking] = append(j.cancels[e.Booking], e)
		case journal.Hold:
			j.gaveUp[e.InsteadOf] = true // the hold that this one is taken instead of
		case journal.Release:
			j.released[e.Person] = true
		case journal.Read, journal.Look, journal.Place, journal.Enter, journal.Steal, journal.Watch, journal.Step:
		}
	}
	j.counted()
	j.onePerPerson()
	j.acknowledged()
	j.askedFor()
	j.oneAnswer()
	j.refused()
	slices.SortStableFunc(j.Violations, func(a, b Violation) int { return cmp.Compare(a.Invariant, b.Invariant) })
	return j.Result
}

func (j *judge) wrong(invariant int, format string, args ...any) {
	j.Violations = append(j.Violations, Violation{Invariant: invariant, What: fmt.Sprintf(format, args...)})
}

func (j *judge) counted() {
	active := map[int64]int{}
	for _, b := range j.Bookings {
		if b.Status == "active" {
			active[b.Slot]++
		}
	}
	for _, s := range j.Slots {
		if s.Booked != active[s.ID] || s.Booked > s.Capacity {
			j.wrong(Counted, "slot %d says %d booked of %d and has %d active rows", s.ID, s.Booked, s.Capacity, active[s.ID])
		}
		delete(active, s.ID)
	}
	for id, n := range active {
		j.wrong(Counted, "%d active rows are of slot %d, which doesn't exist", n, id)
	}
}

func (j *judge) onePerPerson() {
	active := map[uuid.UUID]int{}
	for _, b := range j.Bookings {
		if b.Status == "active" {
			if active[b.Person]++; active[b.Person] == 2 {
				j.wrong(OnePerPerson, "person %s has more than one active booking", b.Person)
			}
		}
	}
}

// acknowledged holds what clients were granted against the rows.
func (j *judge) acknowledged() {
	for _, e := range j.Entries {
		if !e.Good() {
			continue
		}
		switch e.Op {
		case journal.Confirm:
			b, ok := j.rows[e.Got.Booking]
			if !ok || b.Status == "void" {
				j.wrong(Acknowledged, "booking %s of person %s was acknowledged and is lost", e.Got.Booking, e.Person)
				continue
			}
			if b.Hold != e.Hold || b.Person != e.Person || b.Slot != e.Slot || b.Reference != e.Got.Reference || e.Got.Slot != e.Slot {
				j.wrong(Acknowledged, "booking %s was acknowledged for hold %s, slot %d, %s, and the row says hold %s, slot %d, %s",
					b.ID, e.Hold, e.Got.Slot, e.Got.Reference, b.Hold, b.Slot, b.Reference)
			}
			if old, moved := j.rows[e.Replaces]; moved && old.Status == "active" {
				j.wrong(Acknowledged, "booking %s was moved to %s and is active still", old.ID, b.ID)
			}
		case journal.Cancel:
			if b, ok := j.rows[e.Booking]; !ok || b.Status != "cancelled" {
				j.wrong(Acknowledged, "cancelling booking %s was acknowledged, and it is %q", e.Booking, b.Status)
			}
		case journal.Read:
			if b, ok := j.rows[e.Got.Booking]; !ok || b.Status == "void" || b.Person != e.Person {
				j.wrong(Acknowledged, "person %s was shown booking %s, which isn't theirs or isn't there", e.Person, e.Got.Booking)
			}
		case journal.Hold, journal.Release, journal.Look, journal.Place, journal.Enter, journal.Steal, journal.Watch, journal.Step:
		}
	}
}

// askedFor looks for the request behind each row, and behind its end.
func (j *judge) askedFor() {
	successors := map[uuid.UUID]int{}
	for _, b := range j.Bookings {
		if b.Status != "void" && b.Replaces != uuid.Nil {
			successors[b.Replaces]++
		}
	}
	for _, b := range j.Bookings {
		fits := slices.ContainsFunc(j.confirms[b.Hold], func(e journal.Entry) bool {
			return e.Person == b.Person && e.Slot == b.Slot && e.Replaces == b.Replaces
		})
		if !fits {
			j.wrong(AskedFor, "booking %s (%s) of person %s at slot %d wasn't asked for", b.ID, b.Status, b.Person, b.Slot)
		}
		asked := slices.ContainsFunc(j.cancels[b.ID], func(e journal.Entry) bool { return e.Person == b.Person })
		switch {
		case b.Status == "cancelled" && !asked:
			j.wrong(AskedFor, "booking %s was cancelled and nobody asked for that", b.ID)
		case b.Status == "superseded" && successors[b.ID] != 1:
			j.wrong(AskedFor, "booking %s was moved to %d others", b.ID, successors[b.ID])
		case b.Status == "active" && successors[b.ID] != 0:
			j.wrong(AskedFor, "booking %s was moved and is active still", b.ID)
		}
	}
}

// oneAnswer compares what the sends of one request were told.
func (j *judge) oneAnswer() {
	first := map[string]journal.Entry{}
	for _, e := range j.Entries {
		if !e.Good() || (e.Op != journal.Confirm && e.Op != journal.Cancel && e.Op != journal.Hold) {
			continue
		}
		// A hold that Redis lost is placed anew, and one may be placed anew for the other device of a person.
		if e.Op == journal.Hold && (j.Excuses.RedisLost || j.released[e.Person]) {
			continue
		}
		key := e.Request
		if e.Op == journal.Confirm { // whichever device sends it
			key = e.Hold.String()
		}
		f, seen := first[key]
		if !seen {
			first[key] = e
			continue
		}
		if f.Got.Booking != e.Got.Booking || f.Got.Reference != e.Got.Reference || f.Got.Hold != e.Got.Hold {
			j.wrong(AskedFor, "one %s of person %s was answered with %+v and with %+v", e.Op, e.Person, f.Got, e.Got)
		}
	}
}

// refused holds each definite no against the rows, and asks for its cause.
func (j *judge) refused() {
	for hold, sends := range j.confirms {
		var yes, no *journal.Entry
		broken := false
		for i, e := range sends {
			switch {
			case e.Op == journal.Confirm && e.Good():
				yes = &sends[i]
			case e.Refused():
				no = &sends[i]
				broken = broken || e.Code == string(fault.CodeSlotFull) && e.Answered.Before(e.Until)
				j.caused(e)
			}
		}
		if broken {
			j.Broken++
			if !j.Excuses.RedisLost && !j.Excuses.CapacityLowered {
				j.wrong(HoldsCount, "hold %s of person %s was live and refused as full", hold, sends[0].Person)
			}
		}
		if no == nil || no.Code == string(fault.CodeHoldSpent) {
			continue
		}
		if b, ok := j.holds[hold]; !ok {
			j.wrong(Refused, "hold %s was refused (%s) and no row says so", hold, no.Code)
		} else if b.Status != "void" {
			j.wrong(Refused, "hold %s was refused (%s) and became booking %s, which is %s", hold, no.Code, b.ID, b.Status)
		}
		if yes != nil {
			j.wrong(AskedFor, "hold %s was refused (%s) and granted", hold, no.Code)
		}
	}
}

// caused asks for the cause of a no.
func (j *judge) caused(e journal.Entry) {
	switch fault.Code(e.Code) {
	case fault.CodeHoldExpired:
		if e.Answered.Before(e.Until.Add(lateBy)) {
			j.wrong(HoldsCount, "hold %s was refused as expired %s too early", e.Hold, e.Until.Add(lateBy).Sub(e.Answered))
		}
	case fault.CodeHoldReleased:
		if !j.gaveUp[e.Hold] && !j.released[e.Person] {
			j.wrong(HoldsCount, "hold %s was refused as released, and nobody released it", e.Hold)
		}
	case fault.CodeHoldSpent:
		if b, ok := j.holds[e.Hold]; !ok || (b.Status != "cancelled" && b.Status != "superseded") {
			j.wrong(Refused, "hold %s was called spent, and its booking is %q", e.Hold, b.Status)
		}
	default:
	}
}

// Rest says how what Redis has differs from what Postgres has, at rest.
func Rest(slots []Slot, copies map[int64]Copy) (wrong []Violation) {
	for _, s := range slots {
		c, there := copies[s.ID]
		switch {
		case !there: // whoever misses it loads it
		case c.Slot != s:
			wrong = append(wrong, Violation{SoldOut, fmt.Sprintf("Redis has slot %d as %+v, and Postgres as %+v", s.ID, c.Slot, s)})
		case c.Holds != 0:
			wrong = append(wrong, Violation{SoldOut, fmt.Sprintf("slot %d has %d holds, and nobody holds anything", s.ID, c.Holds)})
		}
	}
	return wrong
}

// Sale says what is wrong after everything that was left was offered: sold are units by slot that buyers were granted,
// left those that there were before.
func Sale(left, sold map[int64]int, after []Slot) (wrong []Violation) {
	for _, s := range after {
		if sold[s.ID] != left[s.ID] {
			wrong = append(wrong, Violation{SoldOut, fmt.Sprintf("slot %d had %d units left, and %d could be sold", s.ID, left[s.ID], sold[s.ID])})
		}
		if s.Booked != s.Capacity {
			wrong = append(wrong, Violation{SoldOut, fmt.Sprintf("slot %d has %d booked of %d after everything was sold", s.ID, s.Booked, s.Capacity)})
		}
	}
	return wrong
}
