package limit

import (
	"context"
	_ "embed"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"jari/internal/clock"
	"jari/internal/fault"
)

//go:embed lua/spend.lua
var spendSource string

var spend = redis.NewScript(spendSource)

// Budget is a number of requests a minute for one name.
type Budget struct {
	// Name says whose budget it is, such as "person:" and an id. It isn't shown to anybody.
	Name      string
	PerMinute int
}

// Limiter keeps budgets in Redis.
type Limiter struct {
	client *redis.Client
	clock  clock.Clock
	// silent is when Redis last didn't answer.
	silent atomic.Pointer[time.Time]
}

// New returns a limiter.
func New(client *redis.Client, clk clock.Clock) *Limiter { return &Limiter{client: client, clock: clk} }

const (
	// askWithin is how long a request waits for Redis to judge its budgets.
	askWithin = 100 * time.Millisecond
	// askAgainAfter is how long a Redis that didn't answer isn't asked: every request would wait for it.
	askAgainAfter = time.Second
)

// key names a budget in Redis. One tag for all, so that one script may see several.
func key(name string) string { return "rate:{rate}:" + name }

// Spend takes one request off every budget, in one round trip, or refuses with fault.CodeTooManyRequests and until when,
// and then takes it off none. Without Redis everybody is let through.
func (l *Limiter) Spend(ctx context.Context, budgets ...Budget) error {
	now := l.clock.Real()
	if silent := l.silent.Load(); len(budgets) == 0 || (silent != nil && now.Sub(*silent) < askAgainAfter) {
		return nil
	}
	keys, rates := make([]string, len(budgets)), make([]any, len(budgets))
	for i, b := range budgets {
		keys[i], rates[i] = key(b.Name), b.PerMinute
	}
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	wait, err := spend.Run(asking, l.client, keys, rates...).Int64()
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) {
			now = l.clock.Real()
			l.silent.Store(&now)
		}
		return nil //nolint:nilerr // a limit that can't be judged keeps nobody out
	}
	if wait > 0 {
		return fault.New(fault.TooMany, fault.CodeTooManyRequests).After(time.Duration(wait) * time.Microsecond)
	}
	return nil
}
