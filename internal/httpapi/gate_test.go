package httpapi

import (
	"errors"
	"sync"
	"testing"
	"time"

	"jari/internal/fault"
)

func TestWhoConfirmsComesInWhenNobodyElseDoes(t *testing.T) {
	t.Parallel()
	for inside, in := range map[int64]map[priority]bool{
		0:  {toLook: true, toHold: true, toCancel: true, toConfirm: true},
		5:  {toLook: true, toHold: true, toCancel: true, toConfirm: true},
		6:  {toLook: false, toHold: true, toCancel: true, toConfirm: true},
		8:  {toLook: false, toHold: false, toCancel: true, toConfirm: true},
		9:  {toLook: false, toHold: false, toCancel: false, toConfirm: true},
		10: {toLook: false, toHold: false, toCancel: false, toConfirm: false},
	} {
		for p, want := range in {
			g := &gate{most: 10}
			g.inside.Store(inside)
			err := g.enter(p)
			if (err == nil) != want {
				t.Errorf("with %d of 10 inside, %d percent: %v", inside, p, err)
			}
			if want {
				continue
			}
			e, ok := errors.AsType[*fault.Error](err)
			if !ok || e.Code != fault.CodeOverloaded || e.RetryAfter < 2*time.Second || e.RetryAfter > 6*time.Second {
				t.Errorf("refused with %v", err)
			}
			if g.inside.Load() != inside {
				t.Errorf("a refusal left %d inside, was %d", g.inside.Load(), inside)
			}
		}
	}
}

func TestTheGateCountsExactly(t *testing.T) {
	t.Parallel()
	g := &gate{most: 50}
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			for range 200 {
				if g.enter(toConfirm) == nil {
					g.leave()
				}
			}
		})
	}
	all.Wait()
	if n := g.inside.Load(); n != 0 {
		t.Errorf("%d inside after all have left", n)
	}
}

func TestWhoWantsAPlaceIsRefusedBeforeAnythingIsReadWhileItCouldNotBeConfirmedSoon(t *testing.T) {
	t.Parallel()
	crowded := true
	g := &gate{most: 10, crowded: func() bool { return crowded }}
	for p, in := range map[priority]bool{toLook: true, toHold: false, toCancel: true, toConfirm: true} {
		if err := g.look(p); (err == nil) != in {
			t.Errorf("%d percent: %v", p, err)
		}
	}
	crowded = false
	if err := g.look(toHold); err != nil {
		t.Error(err)
	}
	g.inside.Store(8)
	if g.look(toHold) == nil || g.look(toConfirm) != nil || g.inside.Load() != 8 {
		t.Error("looking at the gate isn't as entering it")
	}
}
