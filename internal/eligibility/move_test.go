package eligibility

import (
	"testing"
	"time"

	"jari/internal/civil"
)

func TestAMoveWaitsForItsWave(t *testing.T) {
	t.Parallel()
	everybody, err := ParseRule([]byte(`{"birth_date": {"from": "1900-01-01"}}`))
	if err != nil {
		t.Fatal(err)
	}
	day := func(d int) civil.Date { return civil.Date{Year: 2021, Month: time.August, Day: d} }
	at := func(d int) time.Time { return time.Date(2021, time.July, d, 20, 0, 0, 0, time.UTC) }
	rs, err := Compile(Spec{Version: 1, Zone: time.UTC, Waves: []Wave{
		{ID: "over", Rule: everybody, OpensAt: at(1), ClosesAt: at(2), SlotsFrom: day(1), SlotsTo: day(9)},
		{ID: "coming", Rule: everybody, OpensAt: at(20), ClosesAt: at(21), SlotsFrom: day(5), SlotsTo: day(20)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	f := Facts{BirthDate: civil.Date{Year: 1964, Month: time.May, Day: 5}}
	for _, c := range []struct {
		name string
		to   civil.Date
		now  time.Time
		want Answer
		wave string
	}{
		{"within a window that is long over", day(3), at(10), Yes, "over"},
		{"not among the places of a window that is still to come", day(15), at(20).Add(-time.Millisecond), No, ""},
		{"from the instant on at which it opens", day(15), at(20), Yes, "coming"},
		{"by the wave that has opened where both cover the day", day(7), at(10), Yes, "over"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if d := rs.DecideMoveBy(f, at(1), c.to, c.now); d.Answer != c.want || d.Wave != c.wave {
				t.Errorf("%s %q, want %s %q", d.Answer, d.Wave, c.want, c.wave)
			}
		})
	}
}
