package slot

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestAFewPlacementsAreJoinedByMore, for longer in a rush; nobody waits for nobody, and a call's worth goes at once.
func TestAFewPlacementsAreJoinedByMore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		carried, waiting int
		want             time.Duration
	}{
		{1, 0, 0},
		{1, 1, placerBreath},
		{placerRush - 1, 1, placerBreath},
		{placerRush, 1, placerDeepBreath},
		{placerMost, placerCall - 1, placerDeepBreath},
		{placerMost, placerCall, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &placer{waiting: make([]*placing, c.waiting)}
			begin := time.Now()
			p.breathe(c.carried)
			if waited := time.Since(begin); waited != c.want {
				t.Errorf("after %d, with %d waiting, it waited %v, want %v", c.carried, c.waiting, waited, c.want)
			}
		})
	}
}
