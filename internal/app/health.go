package app

import (
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/clock"
	"jari/internal/pulse"
	"jari/internal/waitingroom"
)

// healthMeter measures how booking does on this instance, for the waiting rooms that lead to it: over the last seconds, so
// that a bad minute ends when it is over.
type healthMeter struct {
	pool  *pgxpool.Pool
	clock clock.Clock

	mu       sync.Mutex
	since    time.Time
	commits  []time.Duration
	failed   int
	waited   time.Duration // of the pool, when the period began
	acquired int64
	last     waitingroom.Health
}

const (
	// healthPeriod is what is measured over; the period before the running one is what counts.
	healthPeriod = 5 * time.Second
	// mostCommits bounds what is kept of a period.
	mostCommits = 10_000
)

func newHealthMeter(pool *pgxpool.Pool, clk clock.Clock) *healthMeter {
	return &healthMeter{pool: pool, clock: clk}
}

// also measures what another observer is told too.
func (h *healthMeter) also(observe func(int, time.Duration, error)) func(int, time.Duration, error) {
	return func(rows int, took time.Duration, err error) {
		observe(rows, took, err)
		h.mu.Lock()
		defer h.mu.Unlock()
		if err != nil {
			h.failed++
		}
		if len(h.commits) < mostCommits {
			h.commits = append(h.commits, took)
		}
	}
}

// now is how it does.
func (h *healthMeter) now() waitingroom.Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.clock.Real()
	if at.Sub(h.since) < healthPeriod {
		return h.last
	}
	h.last = waitingroom.Health{}
	if n := len(h.commits); n > 0 {
		slices.Sort(h.commits)
		h.last.Commit = h.commits[n*99/100]
		h.last.Errors = float64(h.failed) / float64(n)
	}
	stat := h.pool.Stat()
	waited, acquired := stat.AcquireDuration(), stat.AcquireCount()
	if n := acquired - h.acquired; n > 0 && !h.since.IsZero() {
		h.last.PoolWait = (waited - h.waited) / time.Duration(n)
	}
	h.since, h.waited, h.acquired, h.commits, h.failed = at, waited, acquired, h.commits[:0], 0
	return h.last
}

// Health is how booking does where it does worst, as far as this instance knows: whoever is let into a room may come to any
// instance. Of others it hears by Redis, if it leads a room; while that is away each leader slows down for itself alone.
func (a *App) Health() waitingroom.Health {
	own := a.health()
	if a.pulse == nil { // nothing has begun
		return own
	}
	all, heard := a.pulse.Latest()
	if !heard || a.clock.Real().Sub(all.At) > healthPeriod {
		return own
	}
	return worse(own, all.Own)
}

// worse is the worst of both in each respect.
func worse(own waitingroom.Health, all pulse.Own) waitingroom.Health {
	return waitingroom.Health{
		Commit: max(own.Commit, all.Commit), PoolWait: max(own.PoolWait, all.PoolWait), Errors: max(own.Errors, all.FlushErrors),
	}
}
