package waitingroom

import "time"

// Health is how the booking behind a room does, as its instances measured it over the last seconds.
type Health struct {
	// Commit is how long a commit of bookings takes, at the 99th percentile.
	Commit time.Duration
	// PoolWait is how long a request waits for a connection to Postgres, on average.
	PoolWait time.Duration
	// Errors is the share, from 0 to 1, of requests that were answered with a fault of the server's.
	Errors float64
}

// HealthLimits are what Health may reach; past any of them, fewer people are let in.
type HealthLimits struct {
	Commit, PoolWait time.Duration
	Errors           float64
}

// DefaultHealthLimits are those of a controller that was given none: a commit is a few milliseconds on an idle machine,
// and citizens begin to press again after a second.
var DefaultHealthLimits = HealthLimits{Commit: 500 * time.Millisecond, PoolWait: 200 * time.Millisecond, Errors: 0.02}

const (
	// healthPeriod is how long a change of speed is given to show what it did, before the next.
	healthPeriod = 10 * time.Second
	healthCut    = 0.7
	// healthRaise is of the whole target: from the least it takes three minutes, as a share of what is left it took ten.
	healthRaise = 0.05
	// healthLeast is the part of the target that is always let in, because without anybody nothing is measured, and a
	// room that stands can't notice that all is well again.
	healthLeast = 0.05
)

func (h Health) bad(l HealthLimits) bool {
	if l == (HealthLimits{}) {
		l = DefaultHealthLimits
	}
	return h.Commit > l.Commit || h.PoolWait > l.PoolWait || h.Errors > l.Errors
}

// judge cuts the factor at once when something is wrong, then once a period while it is, and raises it once a period in
// which all was well.
func (c *Controller) judge(in Inputs) {
	if in.Health.bad(c.Limits) {
		if c.judged.IsZero() || in.Now.Sub(c.judged) >= healthPeriod {
			c.health = max(healthLeast, c.Health()*healthCut)
			c.judged = in.Now
		}
		c.improved = in.Now
		return
	}
	if c.improved.IsZero() {
		c.improved = in.Now
	}
	if in.Now.Sub(c.improved) >= healthPeriod {
		c.health = min(1, c.Health()+healthRaise)
		c.improved = in.Now
	}
}
