package booking

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestOnlyInARushDoesAFlushWaitForMore, and then not if it is nearly full.
func TestOnlyInARushDoesAFlushWaitForMore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		carried, waiting int
		want             time.Duration
	}{
		{1, 0, 0},
		{flushRush - 1, 10, 0},
		{flushRush, 10, flushBreath},
		{256, 191, flushBreath},
		{256, 192, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &lane{waiting: make([]*waiter, c.waiting)}
			begin := time.Now()
			l.breathe(c.carried, 256)
			if waited := time.Since(begin); waited != c.want {
				t.Errorf("after %d, with %d waiting, it waited %v, want %v", c.carried, c.waiting, waited, c.want)
			}
		})
	}
}
