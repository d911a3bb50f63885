package limit

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"jari/internal/clock"
	"jari/internal/fault"
)

// localCells are how many names can be told apart. More people than that share some: each of them asks a few times a night,
// so that nobody notices. The numbers take half a megabyte, however many ask.
const localCells = 1 << 16

// Local keeps budgets in the memory of one instance: for what everybody asks in the same second, where a question to Redis
// would cost more than the answer. Somebody may use each instance's.
type Local struct {
	clock clock.Clock
	// seed keeps anybody from choosing with whom to share a number.
	seed maphash.Seed
	// full are the instants (µs) at which budgets will be full again.
	full [localCells]atomic.Int64
}

// NewLocal returns a limiter that remembers nobody.
func NewLocal(clk clock.Clock) *Local { return &Local{clock: clk, seed: maphash.MakeSeed()} }

// Spend takes one request off every budget, or refuses with fault.CodeTooManyRequests and until when. It asks no store.
func (l *Local) Spend(budgets ...Budget) error {
	for _, b := range budgets {
		if wait := l.spend(&l.full[maphash.String(l.seed, b.Name)%localCells], b.PerMinute); wait > 0 {
			return fault.New(fault.TooMany, fault.CodeTooManyRequests).After(wait)
		}
	}
	return nil
}

func (l *Local) spend(cell *atomic.Int64, perMinute int) (wait time.Duration) {
	minute := time.Minute.Microseconds()
	now := l.clock.Real().UnixMicro()
	for {
		was := cell.Load()
		// A clock that was set back must keep nobody out for longer than a budget lasts.
		before := min(max(was, now), now+minute)
		full := before + minute/int64(perMinute)
		if over := full - now - minute; over > 0 {
			return time.Duration(over) * time.Microsecond
		}
		if cell.CompareAndSwap(was, full) {
			return 0
		}
	}
}
