package waitingroom_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"jari/internal/waitingroom"
)

var start = time.Date(2021, time.July, 19, 20, 0, 0, 0, time.UTC)

// room is one in simulated time: called people come after a while, or not, and stay for a while.
type room struct {
	waitingroom.Controller
	ctl     waitingroom.Controls
	in      waitingroom.Inputs
	history waitingroom.History
	stays   time.Duration
	noShow  float64
	chance  *rand.Rand
	coming  map[time.Time][]uint64 // positions, by the second at which they come
	leaving map[time.Time]int
	came    int // in all
}

func newRoom(ctl waitingroom.Controls, issued uint64, noShow float64) *room {
	return &room{
		ctl: ctl, noShow: noShow, stays: 2 * time.Minute, in: waitingroom.Inputs{Now: start, Issued: issued},
		chance: rand.New(rand.NewPCG(1, 2)), coming: map[time.Time][]uint64{}, leaving: map[time.Time]int{},
	}
}

func (r *room) second() (called, late uint64) {
	for _, p := range r.coming[r.in.Now] {
		r.history.Arrived(p)
		r.came++
		r.in.Inside++
		r.leaving[r.in.Now.Add(r.stays)]++
	}
	r.in.Inside -= r.leaving[r.in.Now]
	r.history.Turnout(r.in.Now, r.in.Issued, &r.in)
	serving, lateServing := r.Step(r.ctl, r.in)
	called, late = serving-r.in.Serving, lateServing-r.in.LateServing
	r.history = r.history.Note(r.in.Now, r.in.Serving, serving, 10*time.Minute)
	for p := r.in.Serving; p < min(serving, r.in.Issued); p++ {
		if r.chance.Float64() < r.noShow {
			continue
		}
		after := time.Duration(1+r.chance.ExpFloat64()*12) * time.Second
		r.coming[r.in.Now.Add(after)] = append(r.coming[r.in.Now.Add(after)], p)
	}
	r.in.Serving, r.in.LateServing = serving, lateServing
	r.in.Now = r.in.Now.Add(time.Second)
	return called, late
}

func (r *room) run(d time.Duration) (came int) {
	before := r.came
	for end := r.in.Now.Add(d); r.in.Now.Before(end); {
		r.second()
	}
	return r.came - before
}

func wide(target float64) waitingroom.Controls {
	return waitingroom.Controls{Target: target, MaxActive: 1_000_000, Grace: 5 * time.Minute, LateShare: 0.1}
}

func TestWhoStaysAwayDoesntSlowTheOthers(t *testing.T) {
	t.Parallel()
	for _, noShow := range []float64{0, .3, .6} {
		for _, target := range []float64{8, 50, 500} {
			t.Run(fmt.Sprintf("%v of %v a second", noShow, target), func(t *testing.T) {
				t.Parallel()
				r := newRoom(wide(target), 10_000_000, noShow)
				r.run(5 * time.Minute)
				rate := float64(r.run(5*time.Minute)) / 300
				if math.Abs(rate/target-1) > .05 {
					t.Errorf("%.1f a second came in, and %v were to", rate, target)
				}
			})
		}
	}
}

func TestAtMostFourAreCalledForAPlace(t *testing.T) {
	t.Parallel()
	r := newRoom(wide(100), 10_000_000, 1)
	r.run(10 * time.Minute)
	if called, _ := r.second(); called > 400 || called < 390 {
		t.Errorf("nobody comes, and %d a second are called", called)
	}
}

func TestPlacesInsideAreNeverPromisedTwice(t *testing.T) {
	t.Parallel()
	for _, noShow := range []float64{0, .6} {
		ctl := wide(100)
		ctl.MaxActive = 2000 // for two minutes each: no more than 16.7 a second can
		r := newRoom(ctl, 10_000_000, noShow)
		most := 0
		for range 900 {
			r.second()
			most = max(most, r.in.Inside)
		}
		if most > 2050 {
			t.Errorf("without %v of those called, up to %d are inside at once", noShow, most)
		}
		if came := r.run(5 * time.Minute); came < 300*16*9/10 {
			t.Errorf("without %v of those called, %d came in five minutes, and places for 5000 became free", noShow, came)
		}
	}
}

func TestBadHealthSlowsAndGoodHealthRecovers(t *testing.T) {
	t.Parallel()
	r := newRoom(wide(100), 10_000_000, 0)
	called := func() (n uint64) {
		for range 10 {
			c, _ := r.second()
			n += c
		}
		return n
	}
	r.run(20 * time.Second)
	factors := func(name string, want ...float64) {
		t.Helper()
		for i, w := range want {
			got := float64(called()) / 1000
			if math.Abs(got-w) > .01 {
				t.Errorf("%s, period %d: %.2f of the target is called, not %.2f", name, i, got, w)
			}
		}
	}
	factors("healthy", 1, 1)
	r.in.Health.Commit = time.Second
	factors("slow commits", .7, .49, .343)
	r.in.Health = waitingroom.Health{Errors: .5}
	factors("errors", .2401)
	r.in.Health = waitingroom.Health{PoolWait: time.Second}
	r.run(10 * time.Minute)
	factors("nothing works", .05)
	r.in.Health = waitingroom.Health{}
	factors("healthy again", .05, .10, .15)
	r.run(4 * time.Minute)
	factors("healthy for long", 1)
}

func TestQuietTimeBanksNothing(t *testing.T) {
	t.Parallel()
	for name, quiet := range map[string]func(*room){
		"nobody waits": func(r *room) { r.in.Issued = 0; r.run(time.Hour); r.in.Issued = 1_000_000 },
		"no place is free": func(r *room) {
			most := r.ctl.MaxActive
			r.ctl.MaxActive = 0
			r.run(time.Hour)
			r.ctl.MaxActive = most
		},
		"a pause":                 func(r *room) { r.ctl.Paused = true; r.run(time.Hour); r.ctl.Paused = false },
		"no leader":               func(r *room) { r.second(); r.in.Now = r.in.Now.Add(time.Hour) },
		"a new leader":            func(r *room) { r.run(time.Hour); r.Controller = waitingroom.Controller{} },
		"a clock that goes back":  func(r *room) { r.second(); r.in.Now = r.in.Now.Add(-time.Hour) },
		"no target":               func(r *room) { r.ctl.Target = 0; r.run(time.Hour); r.ctl.Target = 100 },
		"the late lane was empty": func(r *room) { r.run(time.Hour); r.in.LateIssued = 1_000_000 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoom(wide(100), 1_000_000, 0)
			quiet(r)
			for range 10 {
				if called, late := r.second(); called+late > 201 { // longestStep
					t.Fatalf("then %d and %d are called at once", called, late)
				}
			}
		})
	}
}

func TestAnOpenRoomAdmitsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRoom(wide(20), 0, 0)
	r.run(10 * time.Second)
	for range 600 {
		r.in.Issued += 15
		r.second()
		if r.in.Serving <= r.in.Issued {
			t.Fatalf("%d were issued and %d are called: whoever comes next has to wait", r.in.Issued, r.in.Serving)
		}
		if r.in.Serving > r.in.Issued+20 {
			t.Fatalf("%d were issued and %d are called already", r.in.Issued, r.in.Serving)
		}
	}
}

func TestTheLateLaneHasItsShare(t *testing.T) {
	t.Parallel()
	r := newRoom(wide(100), 10_000_000, 0)
	r.in.LateIssued = 1_000_000
	r.run(time.Minute)
	called, late := uint64(0), uint64(0)
	for range 100 {
		c, l := r.second()
		called, late = called+c, late+l
	}
	if late < 990 || late > 1010 || called < 8990 || called > 9100 {
		t.Errorf("%d in the line and %d in the late lane were called", called, late)
	}
	r.in.Issued = r.in.Serving // the line is empty
	r.second()
	if _, late := r.second(); late < 99 {
		t.Errorf("nobody else waits, and %d of the late lane are called", late)
	}
}

func TestAPauseStopsBothLanes(t *testing.T) {
	t.Parallel()
	r := newRoom(wide(100), 10_000_000, 0)
	r.in.LateIssued = 1000
	r.run(10 * time.Second)
	r.ctl.Paused = true
	for range 100 {
		if called, late := r.second(); called+late > 0 {
			t.Fatalf("%d and %d were called", called, late)
		}
	}
}

// TestWhateverHappensNumbersOnlyGoUp: and nobody is called without a place, but for a second's worth.
func TestWhateverHappensNumbersOnlyGoUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c waitingroom.Controller
		in := waitingroom.Inputs{Now: start}
		people := rapid.Uint64Range(0, 5000)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			ctl := waitingroom.Controls{
				Target: rapid.Float64Range(-1, 2000).Draw(t, "target"), MaxActive: rapid.IntRange(-1, 5000).Draw(t, "most"),
				Paused: rapid.Bool().Draw(t, "paused"), LateShare: rapid.Float64Range(-1, 2).Draw(t, "share"),
			}
			in.Now = in.Now.Add(time.Duration(rapid.Int64Range(-5000, 5000).Draw(t, "ms")) * time.Millisecond)
			in.Issued += people.Draw(t, "issued")
			in.LateIssued += people.Draw(t, "late issued")
			in.Inside = int(people.Draw(t, "inside"))
			in.Called, in.CameOfCalled = people.Draw(t, "called"), people.Draw(t, "came")
			in.Coming, in.CameOfComing = people.Draw(t, "coming"), people.Draw(t, "came of coming")
			in.Health.Errors = rapid.Float64Range(0, .04).Draw(t, "errors")
			if rapid.IntRange(0, 9).Draw(t, "new leader") == 0 {
				c = waitingroom.Controller{}
			}
			serving, late := c.Step(ctl, in)
			if serving < in.Serving || late < in.LateServing {
				t.Fatalf("%d and %d became %d and %d", in.Serving, in.LateServing, serving, late)
			}
			called := float64(serving - in.Serving + late - in.LateServing)
			if late > in.LateIssued {
				t.Fatalf("%d were issued in the late lane, and %d are called", in.LateIssued, late)
			}
			if ahead := float64(serving) - float64(in.Issued); ahead > max(1, ctl.Target) && serving > in.Serving {
				t.Fatalf("%d were issued, and %d are called", in.Issued, serving)
			}
			come := waitingroom.ShowUp(in.Called, in.CameOfCalled)
			if free := float64(ctl.MaxActive - in.Inside); called > max(0, free)/come {
				t.Fatalf("%v places are free, %.2f come, and %v are called", free, come, called)
			}
			if most := 2*max(0, ctl.Target)/come + 2; called > most {
				t.Fatalf("%v are called in one step, and the target allows %v", called, most)
			}
			if h := c.Health(); h < .05 || h > 1 {
				t.Fatalf("health is %v", h)
			}
			in.Serving, in.LateServing = serving, late
		}
	})
}

func TestTheHistoryKnowsWhoWasCalledWhen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var h waitingroom.History
		at, serving := start, rapid.Uint64Range(0, 10).Draw(t, "before")
		called := map[uint64]time.Time{}
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			at = at.Add(time.Duration(rapid.Int64Range(0, 3000).Draw(t, "ms")) * time.Millisecond)
			to := serving + rapid.Uint64Range(0, 5).Draw(t, "calls")
			for p := serving; p < to; p++ {
				called[p] = at
			}
			h = h.Note(at, serving, to, 20*time.Second)
			serving = to
		}
		for p := range serving + 3 {
			got, ok := h.CalledAt(p)
			want, was := called[p]
			switch {
			case ok && !was:
				t.Fatalf("%d wasn't called, and the history says at %s", p, got)
			case ok && (got.Before(want) || got.Sub(want) >= time.Second):
				t.Fatalf("%d was called at %s, and the history says at %s", p, want, got)
			case !ok && was && at.Sub(want) < 20*time.Second:
				t.Fatalf("%d was called at %s, and it is %s, and the history doesn't know", p, want, at)
			case !ok && was && p >= h.Oldest():
				t.Fatalf("the history forgot %d, and says that it knows everybody from %d on", p, h.Oldest())
			}
		}
	})
}

func TestAPauseTakesNothingOfGrace(t *testing.T) {
	t.Parallel()
	const grace = time.Minute
	var h waitingroom.History
	h = h.Note(start, 0, 10, 10*time.Minute)
	paused := start.Add(50 * time.Second)
	if !h.InGrace(3, start, paused, grace) || h.InGrace(10, start, paused, grace) {
		t.Error("before the pause, it isn't those who were called who have grace")
	}
	resumed := paused.Add(time.Hour)
	h.Resume(resumed.Sub(paused))
	if !h.InGrace(3, start, resumed.Add(9*time.Second), grace) {
		t.Error("the pause took of the grace")
	}
	if h.InGrace(3, start, resumed.Add(10*time.Second), grace) {
		t.Error("after the pause grace doesn't end")
	}
	if late := resumed.Add(5 * time.Minute); !h.InGrace(9, late.Add(-time.Second), late, grace) {
		t.Error("who got a number that was called already has no grace")
	}
}

func TestTurnoutCountsThoseWhoHadTheirTime(t *testing.T) {
	t.Parallel()
	var h waitingroom.History
	for i := range uint64(300) { // one a second, and every other comes at once
		h = h.Note(start.Add(time.Duration(i)*time.Second), i, i+1, waitingroom.TurnoutKeep)
		if i%2 == 0 && !h.Arrived(i) {
			t.Fatalf("%d isn't known", i)
		}
	}
	var in waitingroom.Inputs
	h.Turnout(start.Add(300*time.Second), 290, &in)
	if in.Called != 120 || in.CameOfCalled != 60 {
		t.Errorf("of %d who had their time, %d came", in.Called, in.CameOfCalled)
	}
	if in.Coming != 49 || in.CameOfComing != 24 && in.CameOfComing != 25 {
		t.Errorf("of %d who may be coming, %d came", in.Coming, in.CameOfComing)
	}
}
