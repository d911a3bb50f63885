package clock

import (
	"context"
	"time"
)

// Every does something at once and then again each period of real time, until ctx ends. What takes longer than a period
// makes the next time late, and never two at once.
func Every(ctx context.Context, period time.Duration, do func()) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		do()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Wait waits a length of real time, or until ctx ends, and returns its error then.
func Wait(ctx context.Context, length time.Duration) error {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
