package crash

import (
	"testing"
	"time"
)

// deaths counts how often a plan kills when its point and another are passed.
func deaths(t *testing.T, text string, passings int) (deaths []int) {
	t.Helper()
	p, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	p.die = func() { deaths = append(deaths, n) }
	for n = 1; n <= passings; n++ {
		p.pass("elsewhere")
		p.pass(p.point)
	}
	return deaths
}

func TestAPlanKillsAtItsPassing(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{Committed: 1, Committed + ":7": 7, Answered + ":2@1ms": 2, HoldPlaced + "%100": 1} {
		if got := deaths(t, text, 10); len(got) == 0 || got[0] != want {
			t.Errorf("%s kills at %v", text, got)
		}
	}
	if got := deaths(t, Committed+":11", 10); got != nil {
		t.Errorf("it kills at %v, before its passing", got)
	}
	if got := deaths(t, FlushBegins+"%50", 200); len(got) < 50 || len(got) > 150 {
		t.Errorf("a chance of one half kills %d of 200 times", len(got))
	}
}

func TestADelayIsBeforeTheEnd(t *testing.T) {
	t.Parallel()
	p, err := parse(Answered + "@15ms")
	if err != nil || p.delay != 15*time.Millisecond {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestWhatIsNoPlanIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"nowhere", Committed + ":0", Committed + ":x", Committed + "%0", Committed + "%101", Committed + "%5:5",
		Committed + "@soon", Committed + "@-1s",
	} {
		if err := Arm(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestNothingHappensWhereNothingIsArmed(t *testing.T) {
	t.Parallel()
	Point(Committed)
}

func BenchmarkAPointThatIsntArmed(b *testing.B) {
	for b.Loop() {
		Point(Committed)
	}
}
