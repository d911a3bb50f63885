package waitingroom_test

import (
	"sync"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/waitingroom"
)

// hand is a clock that stands still until it is moved.
type hand struct {
	mu sync.Mutex
	at time.Time
}

func (h *hand) Now() time.Time        { return h.Real() }
func (h *hand) Offset() time.Duration { return 0 }

func (h *hand) Real() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func (h *hand) move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
}

// theDialWithin is what operators are promised: all instances follow within so much time.
const theDialWithin = 2 * time.Second

// Whatever instance the dial is turned on, the one that leads calls at the new speed from its next step on, and each instance
// shows it at its next look. Both come often enough for what is promised, and one of each may even be missed.
func TestTheDialCountsAtTheNextStepAndLook(t *testing.T) {
	t.Parallel()
	if every := waitingroom.RefreshEvery + waitingroom.StepEvery; 2*every > theDialWithin {
		t.Errorf("instances step and look every %s and %s: too seldom for %s", waitingroom.StepEvery, waitingroom.RefreshEvery, theDialWithin)
	}
	clk := &hand{at: time.Now()}
	s, pool := lines(t, func(o *waitingroom.Options) {
		plans, err := o.Plans()
		if err != nil {
			t.Fatal(err)
		}
		plans[0].Rate = 20
		o.Plans, o.Clock = func() ([]waitingroom.Plan, error) { return plans, nil }, clk
	})
	if _, err := pool.Exec(t.Context(), `UPDATE rooms SET state = 'open', numbers = 100000`); err != nil {
		t.Fatal(err)
	}
	other := waitingroom.NewService(s.Options)
	for _, on := range []*waitingroom.Service{s, other} {
		if err := on.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	leader := s.Lead(line)
	step := func() {
		t.Helper()
		clk.move(waitingroom.StepEvery)
		if err := leader.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const second = int(time.Second / waitingroom.StepEvery)
	// called is how many are called in a second of steps. The leader isn't told of the dial by anything but the room's row.
	called := func() uint64 {
		t.Helper()
		before := serving(t, pool)
		for range second {
			step()
		}
		return serving(t, pool) - before
	}
	step() // the first one only begins to count time
	if n := called(); n != 20 {
		t.Fatalf("%d are called in a second at the published rate of 20", n)
	}
	open, paused := waitingroom.Open, waitingroom.Paused
	rate := func(r float64) *float64 { return &r }
	most := 4321
	for _, turn := range []struct {
		name  string
		dial  waitingroom.Dial
		calls uint64
		state waitingroom.State
		rate  float64
	}{
		{"faster", waitingroom.Dial{Rate: rate(200), MaxActive: &most}, 200, open, 200},
		{"slower", waitingroom.Dial{Rate: rate(8)}, 8, open, 8},
		{"nobody", waitingroom.Dial{Rate: rate(0)}, 0, open, 0},
		{"again", waitingroom.Dial{Rate: rate(40)}, 40, open, 40},
		{"paused", waitingroom.Dial{State: &paused, Rate: rate(100)}, 0, paused, 100},
	} {
		told, err := other.Turn(t.Context(), line, turn.dial, waitingroom.Actor{By: "one"})
		if err != nil || told.Rate != turn.rate || told.State != turn.state {
			t.Fatalf("%s: whoever turns the dial is told %+v (%v)", turn.name, told, err)
		}
		if n := called(); n != turn.calls {
			t.Errorf("%s: %d are called in the second after the dial, and should be %d", turn.name, n, turn.calls)
		}
		for i, on := range []*waitingroom.Service{s, other} {
			if err := on.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if now, err := on.Standing(t.Context(), line); err != nil || now.Rate != turn.rate || now.State != turn.state || now.MaxActive != most {
				t.Errorf("%s: after one look instance %d shows %+v (%v)", turn.name, i, now, err)
			}
		}
	}
	// After a pause nothing is made up for: the first step only begins again.
	if _, err := other.Turn(t.Context(), line, waitingroom.Dial{State: &open}, waitingroom.Actor{By: "one"}); err != nil {
		t.Fatal(err)
	}
	if n := called(); n != 75 {
		t.Errorf("%d are called in the second after a pause, of which a fourth begins it, at a rate of 100", n)
	}
	scheduled := waitingroom.Scheduled
	if _, err := other.Turn(t.Context(), line, waitingroom.Dial{State: &scheduled, Rate: rate(1)}, waitingroom.Actor{By: "one"}); fault.CodeOf(err) != fault.CodeRoomState {
		t.Errorf("a room that is open is scheduled again: %v", err)
	}
	if now, err := other.Standing(t.Context(), line); err != nil || now.Rate != 100 || now.State != open {
		t.Errorf("a turn that was refused has changed %+v (%v)", now, err)
	}
}
