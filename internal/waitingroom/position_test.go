package waitingroom

import "testing"

// An instance that hasn't heard of the freeze doesn't know how many are drawn, and says no position rather than one that is
// too good to be true.
func TestBeforeTheFreezeIsKnownNobodyHasAPosition(t *testing.T) {
	t.Parallel()
	drawn := uint64(184)
	for state, want := range map[State]bool{Scheduled: false, Registering: false, Drawing: true, Open: true, Paused: true} {
		v := view{Room: &Room{State: state}}
		if want {
			v.Drawn = &drawn
		}
		if p, known := v.position(true, 7); known != want || (known && p != 191) {
			t.Errorf("in a room that is %s, the number 7 is at %d (known: %v)", state, p, known)
		}
		if _, known := v.position(false, 7); known {
			t.Errorf("in a room that is %s and has no seed, an index has a position", state)
		}
	}
}
