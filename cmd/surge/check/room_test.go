package check

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"jari/cmd/surge/journal"
)

// line is a small evening in which everything is right: two are drawn, one comes behind them, and all come in.
func line() RoomFacts {
	at := time.Date(2021, 7, 12, 15, 0, 0, 0, time.UTC)
	second := func(n float64) time.Time { return at.Add(time.Duration(n * float64(time.Second))) }
	id := func(n byte) (u uuid.UUID) { u[0] = n; return u }
	position := func(n uint64) *uint64 { return &n }
	entry := func(when float64, op journal.Op, person byte, status int, code string, got journal.Got) journal.Entry {
		return journal.Entry{
			Op: op, Person: id(person), Server: "s", Asked: second(when), Answered: second(when + .1), Status: status, Code: code, Got: got,
		}
	}
	until := second(1000)
	facts := RoomFacts{
		Places: []Place{{Person: id(1), Number: 0}, {Person: id(2), Number: 1}, {Person: id(3), Behind: true, Number: 0}},
		Drawn:  2, Numbers: 1, Stale: time.Second, Rate: 1,
		PositionOf: func(place string) (uint64, bool) {
			p, known := map[string]uint64{"i0": 1, "i1": 0, "n0": 2}[place]
			return p, known
		},
		Entries: []journal.Entry{
			entry(1, journal.Place, 1, http.StatusOK, "", journal.Got{Place: "i0"}),
			entry(2, journal.Place, 2, http.StatusOK, "", journal.Got{Place: "i1"}),
			entry(3, journal.Place, 1, http.StatusOK, "", journal.Got{Place: "i0"}),
			entry(12, journal.Place, 3, http.StatusConflict, "registration_over", journal.Got{}),
			entry(12.5, journal.Place, 3, http.StatusOK, "", journal.Got{Place: "n0"}),
			entry(13, journal.Step, 3, http.StatusOK, "", journal.Got{Step: "wait", Place: "n0", Position: position(2)}),
			entry(14, journal.Steal, 3, http.StatusForbidden, "ticket_of_another", journal.Got{}),
			entry(20.1, journal.Watch, 1, http.StatusOK, "", journal.Got{State: "open", Serving: 0}),
			entry(20.5, journal.Enter, 1, http.StatusConflict, "not_your_turn", journal.Got{Position: position(1), Serving: 0}),
			entry(22, journal.Watch, 1, http.StatusOK, "", journal.Got{State: "open", Serving: 1}),
			entry(22.2, journal.Enter, 2, http.StatusOK, "", journal.Got{Until: until}),
			entry(24, journal.Enter, 1, http.StatusOK, "", journal.Got{Until: until}),
			entry(26, journal.Enter, 3, http.StatusOK, "", journal.Got{Until: until}),
			entry(30, journal.Step, 1, http.StatusOK, "", journal.Got{Step: "choose", Place: "i0", Position: position(1)}),
			entry(31, journal.Enter, 1, http.StatusOK, "", journal.Got{Until: until}),
			entry(32, journal.Watch, 1, http.StatusOK, "", journal.Got{State: "open", Serving: 3}),
		},
	}
	for n := range 70 {
		l := Look{Asked: second(float64(n) / 2), At: second(float64(n)/2 + .01), State: "registration"}
		if n >= 20 {
			l.State = "drawing"
		}
		if n >= 40 {
			l.State, l.Serving = "open", uint64(min(3, (n-40)/3))
		}
		facts.Looks = append(facts.Looks, l)
	}
	return facts
}

func TestAGoodEveningIsNotCalledWrong(t *testing.T) {
	t.Parallel()
	r := Room(line())
	if len(r.Violations) > 0 || r.CameIn != 3 || r.People != 3 || r.ThrownBack != 0 {
		t.Errorf("%+v", r)
	}
}

func TestWhatIsWrongWithAnEveningIsFound(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		invariant int
		change    func(*RoomFacts)
	}{
		"two have a place":             {OnePlace, func(f *RoomFacts) { f.Places[1].Number = 0 }},
		"one has two":                  {OnePlace, func(f *RoomFacts) { f.Places[1].Person = f.Places[0].Person }},
		"an index is missing":          {OnePlace, func(f *RoomFacts) { f.Drawn = 3 }},
		"an index behind the freeze":   {OnePlace, func(f *RoomFacts) { f.Places[2] = Place{Person: f.Places[2].Person, Number: 2}; f.Drawn = 3 }},
		"a number that wasn't given":   {OnePlace, func(f *RoomFacts) { f.Numbers = 0 }},
		"a place told to two":          {OnePlace, func(f *RoomFacts) { f.Entries[1].Got.Place = "i0" }},
		"another place the next time":  {Kept, func(f *RoomFacts) { f.Entries[2].Got.Place = "n0" }},
		"a place that is lost":         {Kept, func(f *RoomFacts) { f.Places = f.Places[:2] }},
		"the number goes back":         {Forward, func(f *RoomFacts) { f.Entries[15].Got.Serving = 0 }},
		"the state goes back":          {Forward, func(f *RoomFacts) { f.Entries[15].Got.State = "drawing" }},
		"the row goes back":            {Forward, func(f *RoomFacts) { f.Looks[60].Serving = 1 }},
		"two leaders":                  {Forward, func(f *RoomFacts) { f.Rate = .01; f.Looks[69].Serving = 40 }},
		"in before being called":       {Called, func(f *RoomFacts) { f.Entries[8].Status, f.Entries[8].Code = http.StatusOK, "" }},
		"in by another's ticket":       {Called, func(f *RoomFacts) { f.Entries[6].Status = http.StatusOK }},
		"told to register again":       {Kept, func(f *RoomFacts) { f.Entries[5].Got.Step = "register" }},
		"told to wait after coming in": {Kept, func(f *RoomFacts) { f.Entries[13].Got.Step = "wait" }},
		"refused after coming in":      {Kept, func(f *RoomFacts) { f.Entries[14].Status, f.Entries[14].Code = http.StatusConflict, "not_your_turn" }},
		"late within the grace": {Kept, func(f *RoomFacts) {
			f.Entries[8].Got.Late = true
		}},
		"refused after being called": {LetIn, func(f *RoomFacts) {
			e := f.Entries[8]
			e.Asked, e.Answered = e.Asked.Add(3400*time.Millisecond), e.Answered.Add(3400*time.Millisecond)
			e.Person, e.Got.Position = f.Places[1].Person, nil
			f.Entries[10] = e
		}},
		"refused by another no": {LetIn, func(f *RoomFacts) { f.Entries[11].Status, f.Entries[11].Code = http.StatusGone, "room_closed" }},
		"never in":              {LetIn, func(f *RoomFacts) { f.Entries = slices.Delete(f.Entries, 12, 13) }},
		"a position that the draw doesn't give": {Drawn, func(f *RoomFacts) {
			*f.Entries[5].Got.Position = 1
		}},
		"no place for who asks": {Kept, func(f *RoomFacts) { f.Entries[2].Status, f.Entries[2].Code = http.StatusGone, "room_closed" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := line()
			tc.change(&f)
			found := Room(f).Violations
			if !slices.ContainsFunc(found, func(v Violation) bool { return v.Invariant == tc.invariant }) {
				t.Errorf("found is %+v", found)
			}
		})
	}
}
