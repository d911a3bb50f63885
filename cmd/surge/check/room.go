package check

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"jari/cmd/surge/journal"
	"jari/internal/fault"
)

// The invariants of a waiting room.
const (
	OnePlace = 10 // one place a person and one person a place; the indexes of the draw are dense
	Forward  = 11 // neither the serving number nor the state goes back, nor faster than it may, nor does it stand still
	Called   = 12 // nobody is admitted before being called, or by somebody else's ticket
	Kept     = 13 // nobody is thrown back: a place, a turn and an admission stay what they were told to be
	LetIn    = 14 // whose turn came isn't refused, and in the end everybody comes in
	Drawn    = 15 // the draw is what was published, and everybody's position follows from it
)

// Look is a room as its row said it, between two instants.
type Look struct {
	Asked, At time.Time
	State     string
	Serving   uint64
}

// Place is a row of registrations.
type Place struct {
	Person uuid.UUID
	Behind bool
	Number uint64
}

// String is as in the journal.
func (p Place) String() string {
	if p.Behind {
		return "n" + strconv.FormatUint(p.Number, 10)
	}
	return "i" + strconv.FormatUint(p.Number, 10)
}

// RoomFacts are what is judged of a room in which nobody's grace ends during the run.
type RoomFacts struct {
	Entries []journal.Entry
	// Looks are in the order of time, from before the first request to after the last.
	Looks  []Look
	Places []Place
	// Drawn and Numbers are the room's own counts; Drawn is as told when the draw was frozen.
	Drawn, Numbers uint64
	// PositionOf is where a place is in the line; false as long as the draw wasn't made.
	PositionOf func(place string) (position uint64, known bool)
	// Stale is by how much one instance may be behind the row.
	Stale time.Duration
	// Rate is the most people a second that may be called.
	Rate float64
}

// RoomResult is the judgement.
type RoomResult struct {
	Violations []Violation
	People     int // who have a place
	CameIn     int
	ThrownBack int
}

type roomJudge struct {
	RoomFacts
	RoomResult
	rows map[uuid.UUID]string
}

// Room checks invariants 10 to 15, but for the draw itself.
func Room(f RoomFacts) RoomResult {
	j := &roomJudge{RoomFacts: f, rows: map[uuid.UUID]string{}}
	j.places()
	j.forward()
	j.speed()
	people := map[uuid.UUID][]journal.Entry{}
	for _, e := range f.Entries {
		switch e.Op {
		case journal.Place, journal.Enter, journal.Step:
			people[e.Person] = append(people[e.Person], e)
		case journal.Steal:
			if e.Good() {
				j.wrong(Called, "person %s came in by somebody else's ticket", e.Person)
			}
		default:
		}
	}
	for person, entries := range people {
		slices.SortStableFunc(entries, func(a, b journal.Entry) int { return a.Answered.Compare(b.Answered) })
		j.person(person, entries)
	}
	j.People = len(j.rows)
	slices.SortStableFunc(j.Violations, func(a, b Violation) int { return cmp.Compare(a.Invariant, b.Invariant) })
	return j.RoomResult
}

func (j *roomJudge) wrong(invariant int, format string, args ...any) {
	j.Violations = append(j.Violations, Violation{Invariant: invariant, What: fmt.Sprintf(format, args...)})
	if invariant == Kept {
		j.ThrownBack++
	}
}

// places holds the rows against each other and against what people were told.
func (j *roomJudge) places() {
	owners := map[string]uuid.UUID{}
	var indexes uint64
	for _, p := range j.Places {
		text := p.String()
		if other, twice := owners[text]; twice {
			j.wrong(OnePlace, "the place %s is that of %s and of %s", text, other, p.Person)
		}
		if other, twice := j.rows[p.Person]; twice {
			j.wrong(OnePlace, "person %s has the places %s and %s", p.Person, other, text)
		}
		owners[text], j.rows[p.Person] = p.Person, text
		switch {
		case !p.Behind && p.Number >= j.Drawn:
			j.wrong(OnePlace, "person %s has the index %d, and %d were drawn", p.Person, p.Number, j.Drawn)
		case !p.Behind:
			indexes++
		case p.Number >= j.Numbers:
			j.wrong(OnePlace, "person %s has the number %d, and %d were given", p.Person, p.Number, j.Numbers)
		}
	}
	if indexes != j.Drawn {
		j.wrong(OnePlace, "%d were drawn, and %d have an index", j.Drawn, indexes)
	}
	told := map[string]uuid.UUID{}
	for _, e := range j.Entries {
		if e.Got.Place == "" {
			continue
		}
		if other, twice := told[e.Got.Place]; twice && other != e.Person {
			j.wrong(OnePlace, "the place %s was given to %s and to %s", e.Got.Place, other, e.Person)
		}
		told[e.Got.Place] = e.Person
	}
}

// stages are the states in their order.
var stages = map[string]int{"scheduled": 0, "registration": 1, "drawing": 2, "open": 3, "paused": 3, "closed": 4}

// forward looks at what each server said, and at all of them as somebody sees them who asks one and then another.
func (j *roomJudge) forward() {
	var said []journal.Entry
	for _, e := range j.Entries {
		if e.Op == journal.Watch && e.Good() {
			said = append(said, e)
		}
	}
	slices.SortFunc(said, func(a, b journal.Entry) int { return a.Asked.Compare(b.Asked) })
	before := slices.SortedFunc(slices.Values(said), func(a, b journal.Entry) int { return a.Answered.Compare(b.Answered) })
	servers := map[string][]journal.Entry{}
	for _, e := range said {
		servers[e.Server] = append(servers[e.Server], e)
	}
	for server, mine := range servers {
		answered := slices.SortedFunc(slices.Values(mine), func(a, b journal.Entry) int { return a.Answered.Compare(b.Answered) })
		j.neverBack("the server "+server, mine, answered, 0)
	}
	j.neverBack("a client of several servers", said, before, j.Stale)
	for i := 1; i < len(j.Looks); i++ {
		if a, b := j.Looks[i-1], j.Looks[i]; b.Serving < a.Serving || stages[b.State] < stages[a.State] {
			j.wrong(Forward, "the row went from %s, %d to %s, %d", a.State, a.Serving, b.State, b.Serving)
		}
	}
}

// neverBack holds each answer against those that had been given when it was asked for, or stale before that.
func (j *roomJudge) neverBack(who string, asked, answered []journal.Entry, stale time.Duration) {
	var most uint64
	stage, next := 0, 0
	for _, e := range asked {
		for ; next < len(answered) && !answered[next].Answered.Add(stale).After(e.Asked); next++ {
			most, stage = max(most, answered[next].Got.Serving), max(stage, stages[answered[next].Got.State])
		}
		if e.Got.Serving < most || stages[e.Got.State] < stage {
			j.wrong(Forward, "%s was told %s, %d, having been told %d before", who, e.Got.State, e.Got.Serving, most)
			return // one is as bad as all that follow from it
		}
	}
}

// speed says whether more were called than one leader calls. A window is long enough for what is called at once at its
// start to weigh little.
func (j *roomJudge) speed() {
	const window, spare = 4 * time.Second, 2500 * time.Millisecond
	from := 0
	for _, l := range j.Looks {
		for l.At.Sub(j.Looks[from].Asked) > window {
			from++
		}
		first := j.Looks[from]
		if most := j.Rate * (l.At.Sub(first.Asked) + spare).Seconds(); j.Rate > 0 && float64(l.Serving-min(l.Serving, first.Serving)) > most+5 {
			j.wrong(Forward, "%d were called within %s, and %.0f may be", l.Serving-first.Serving, l.At.Sub(first.Asked), most)
			return
		}
	}
}

// frozen is when it was first seen that the draw takes nobody any more; false if it never was.
func (j *roomJudge) frozen() (time.Time, bool) {
	for _, l := range j.Looks {
		if stages[l.State] >= stages["drawing"] {
			return l.At, true
		}
	}
	return time.Time{}, false
}

// calledAt is when it was first seen that a position was called.
func (j *roomJudge) calledAt(position uint64) (time.Time, bool) {
	i, _ := slices.BinarySearchFunc(j.Looks, position, func(l Look, p uint64) int {
		if l.Serving > p {
			return 1
		}
		return -1
	})
	if i == len(j.Looks) {
		return time.Time{}, false
	}
	return j.Looks[i].At, true
}

// servedBy is the most that can have been served at an instant.
func (j *roomJudge) servedBy(at time.Time) uint64 {
	for _, l := range j.Looks {
		if !l.Asked.Before(at) {
			return l.Serving
		}
	}
	return j.Looks[len(j.Looks)-1].Serving
}

// person judges what one was told, in the order of being told it.
func (j *roomJudge) person(person uuid.UUID, entries []journal.Entry) {
	row, has := j.rows[person]
	if !has {
		row = "none"
	}
	var had, came time.Time // when the person was first told a place, and last admitted
	var until time.Time     // of that admission
	firstAsked := time.Time{}
	for _, e := range entries {
		if e.Op == journal.Place && (firstAsked.IsZero() || e.Asked.Before(firstAsked)) {
			firstAsked = e.Asked
		}
		if e.Lost() {
			continue
		}
		if e.Got.Place != "" && e.Got.Place != row {
			j.wrong(Kept, "person %s was told the place %s and has %s", person, e.Got.Place, row)
		}
		if e.Got.Position != nil && !e.Got.Late {
			if p, known := j.PositionOf(row); !known || p != *e.Got.Position {
				j.wrong(Drawn, "person %s at %s was told the position %d, and the draw says %d", person, row, *e.Got.Position, p)
			}
		}
		wasIn := !came.IsZero() && e.Asked.After(came.Add(j.Stale))
		switch e.Op {
		case journal.Place:
			j.placed(e, had)
		case journal.Step:
			switch {
			case e.Good() && e.Got.Step == "register" && !had.IsZero() && e.Asked.After(had):
				j.wrong(Kept, "person %s at %s was told to register", person, row)
			case e.Good() && e.Got.Step == "wait" && wasIn:
				j.wrong(Kept, "person %s at %s was admitted, and told to wait later", person, row)
			}
		case journal.Enter:
			j.entered(e, row, wasIn && e.Answered.Before(until))
			if e.Good() {
				came, until = e.Answered, e.Got.Until
			}
		default:
		}
		if e.Got.Place != "" && had.IsZero() {
			had = e.Answered
		}
	}
	if at, frozen := j.frozen(); frozen && has && row[0] == 'i' && firstAsked.After(at) {
		j.wrong(OnePlace, "person %s came after the freeze and has the place %s", person, row)
	}
	switch {
	case !came.IsZero():
		j.CameIn++
	case has:
		j.wrong(LetIn, "person %s at %s never came in", person, row)
	}
}

// placed judges an answer to whoever asked for a place.
func (j *roomJudge) placed(e journal.Entry, had time.Time) {
	switch code := fault.Code(e.Code); {
	case e.Good() || !e.Final():
	case (code == fault.CodeRegistrationOver || code == fault.CodeRoomNotOpen) && (had.IsZero() || e.Asked.Before(had)):
	case code == fault.CodeRegistrationOver && len(j.rows[e.Person]) > 0 && j.rows[e.Person][0] == 'n':
	default:
		j.wrong(Kept, "person %s asked for their place and was answered %d %s", e.Person, e.Status, e.Code)
	}
}

// entered judges an answer to whoever asked to come in.
func (j *roomJudge) entered(e journal.Entry, row string, inside bool) {
	position, known := j.PositionOf(row)
	switch {
	case e.Good():
		if most := j.servedBy(e.Answered); !known || position >= most {
			j.wrong(Called, "person %s at %s, position %d, was admitted when at most %d were called", e.Person, row, position, most)
		}
	case !e.Final():
	case fault.Code(e.Code) != fault.CodeNotYourTurn || e.Status != http.StatusConflict:
		j.wrong(LetIn, "person %s at %s asked to come in and was answered %d %s", e.Person, row, e.Status, e.Code)
	case e.Got.Late:
		j.wrong(Kept, "person %s at %s was sent to the late lane within their grace", e.Person, row)
	case inside:
		j.wrong(Kept, "person %s at %s was admitted, and refused within the time of the admission", e.Person, row)
	default:
		if at, called := j.calledAt(position); called && known && e.Asked.After(at.Add(j.Stale)) {
			j.wrong(LetIn, "person %s at %s, position %d, was refused %s after being called", e.Person, row, position, e.Asked.Sub(at))
		}
	}
}
