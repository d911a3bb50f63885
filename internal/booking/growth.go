package booking

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/postgres"
)

// growth has Postgres count the bookings while a night fills their table. Of a table that it hasn't counted, Postgres expects
// that next to no row is of a given campaign, or active: reading all of them by any index that begins with the campaign seems
// cheaper to it than looking up a flush's people. By itself it counts once a minute at best, and the first minute of a
// deployment's first night has a hundred thousand rows. Counting makes plans anew, on every connection of every instance.
type growth struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	// rows are those of this instance's flushes, next how many they must be for the next count.
	rows, next atomic.Int64
	ctx        context.Context //nolint:containedctx // ends with the instance
	cancel     context.CancelFunc
	mu         sync.Mutex
	closed     bool
	counting   sync.WaitGroup // mu is for adding to it
}

const (
	// firstCount is how many rows are too few to matter, and timesMore how many times as many matter again.
	firstCount, timesMore = 500, 4
	// countWait is how long counting waits for somebody who works on the whole table, such as another instance that counts.
	countWait = "1s"
	// countWithin bounds one count; it reads some ten thousand rows, however many there are.
	countWithin = 30 * time.Second
)

func newGrowth(pool *pgxpool.Pool, log *slog.Logger) *growth {
	g := &growth{pool: pool, log: log}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.next.Store(firstCount)
	return g
}

// add takes note of rows that were decided, and begins a count if they are many times what they were at the last.
func (g *growth) add(rows int) {
	n, next := g.rows.Add(int64(rows)), g.next.Load()
	if n < next || !g.next.CompareAndSwap(next, n*timesMore) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.counting.Go(func() {
		ctx, cancel := context.WithTimeout(g.ctx, countWithin)
		defer cancel()
		known, err := g.count(ctx, n)
		g.log.Debug("asked Postgres to count the bookings", "here", n, "known", known, "error", err)
	})
}

// count has Postgres count, unless it knows already of as many rows as this instance has made. Of somebody else's table, or while
// somebody else counts, nothing happens: Postgres counts by itself a little later.
func (g *growth) count(ctx context.Context, rows int64) (known float64, err error) {
	err = postgres.InTx(ctx, g.pool, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT reltuples FROM pg_class WHERE oid = 'bookings'::regclass`).Scan(&known); err != nil {
			return fmt.Errorf("asking how many bookings Postgres knows of: %w", err)
		}
		if known >= float64(rows) {
			return nil
		}
		// What is counted needs neither disk nor standby: whoever misses it counts again.
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '`+countWait+`'; SET LOCAL synchronous_commit = off`); err != nil {
			return fmt.Errorf("limiting how long counting waits: %w", err)
		}
		// What a campaign or a state has many rows of; what else is looked up is unique, which Postgres knows.
		if _, err := tx.Exec(ctx, `ANALYZE bookings (campaign_id, status, slot_id)`); err != nil {
			return fmt.Errorf("counting the bookings: %w", err)
		}
		return nil
	})
	return known, err
}

// close ends a count that is running, and waits for it as long as ctx lasts.
func (g *growth) close(ctx context.Context) error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.cancel()
	return waitFor(ctx, &g.counting)
}
