package clock_test

import (
	"testing"
	"time"

	"jari/internal/clock"
)

// The night that development lives again.
var night = time.Date(2021, time.July, 19, 10, 58, 0, 0, time.UTC)

func TestShownTimeIsRealTimeAndTheOffset(t *testing.T) {
	t.Parallel()
	for _, offset := range []time.Duration{0, time.Hour, -5 * 365 * 24 * time.Hour} {
		c := clock.NewSystem(offset)
		before := time.Now()
		now, real := c.Now(), c.Real()
		after := time.Now()
		if now.Before(before.Add(offset)) || now.After(after.Add(offset)) {
			t.Errorf("offset %s: shown time is %s and the machine's between %s and %s", offset, now, before, after)
		}
		if real.Before(before) || real.After(after) {
			t.Errorf("offset %s moved real time to %s", offset, real)
		}
		if c.Offset() != offset {
			t.Errorf("the offset is %s and reads %s", offset, c.Offset())
		}
	}
}

func TestTheZeroClockIsTheMachines(t *testing.T) {
	t.Parallel()
	if offset := (clock.System{}).Offset(); offset != 0 {
		t.Fatalf("it is shifted by %s", offset)
	}
}

func TestExpiriesAreShownAsFarAheadAsTheClock(t *testing.T) {
	t.Parallel()
	c := clock.NewSystem(-time.Hour)
	if got := clock.Shown(c, night); !got.Equal(night.Add(-time.Hour)) {
		t.Fatalf("shown as %s", got)
	}
}

func TestAManualClockStandsStillUntilItIsMoved(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(night)
	for range 2 {
		if !c.Now().Equal(night) {
			t.Fatal("it ran")
		}
	}
	c.Advance(2 * time.Minute)
	if want := night.Add(2 * time.Minute); !c.Now().Equal(want) {
		t.Errorf("advanced to %s, not to %s", c.Now(), want)
	}
	c.Set(night)
	if !c.Now().Equal(night) {
		t.Errorf("set to %s", c.Now())
	}
	before := time.Now()
	if real := c.Real(); real.Before(before) || real.After(time.Now()) {
		t.Errorf("real time was moved too, to %s", real)
	}
	// What it tells as its offset takes real time to shown time.
	if shown := clock.Shown(c, c.Real()); shown.Sub(night).Abs() > time.Minute {
		t.Errorf("real time is shown as %s", shown)
	}
}
