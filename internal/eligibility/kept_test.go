package eligibility

import (
	"testing"
	"time"

	"jari/internal/civil"
)

// A slot that is kept for a wave's people is judged by that wave, where it admits; where it doesn't, nothing is different.
func TestAKeptSlotNamesItsOwnWave(t *testing.T) {
	t.Parallel()
	rule := func(text string) Rule {
		r, err := ParseRule([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	day := civil.Date{Year: 2021, Month: time.August, Day: 3}
	at := time.Date(2021, time.July, 5, 20, 0, 0, 0, time.UTC)
	wave := func(id, who string, closes int) Wave {
		return Wave{ID: id, Rule: rule(who), OpensAt: at, ClosesAt: at.AddDate(0, 0, closes), SlotsFrom: day, SlotsTo: day}
	}
	rs, err := Compile(Spec{Version: 1, Zone: time.UTC, Waves: []Wave{
		wave("early", `{"birth_date": {"from": "1900-01-01"}}`, 1),
		wave("late", `{"birth_date": {"from": "1900-01-01"}}`, 2),
		wave("young", `{"birth_date": {"from": "2000-01-01"}}`, 3),
	}})
	if err != nil {
		t.Fatal(err)
	}
	f := Facts{BirthDate: civil.Date{Year: 1964, Month: time.May, Day: 5}}
	for kept, want := range map[string]string{"": "late", "early": "early", "late": "late", "young": "late", "unknown": "late"} {
		if d := rs.DecideSlotOf(f, at, day, kept); d.Answer != Yes || d.Wave != want {
			t.Errorf("a slot kept for %q: %s by %q, want %q", kept, d.Answer, d.Wave, want)
		}
		if d := rs.DecideMoveOf(f, at, day, at, kept); d.Answer != Yes || d.Wave != want {
			t.Errorf("a move to a slot kept for %q: %s by %q, want %q", kept, d.Answer, d.Wave, want)
		}
	}
	over := at.AddDate(0, 0, 1)
	if d := rs.DecideSlotOf(f, over, day, "early"); d.Wave != "late" {
		t.Errorf("a wave that is over admits: %q", d.Wave)
	}
}
