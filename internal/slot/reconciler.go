package slot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"jari/internal/clock"
	"jari/internal/postgres"
	jariredis "jari/internal/redis"
)

// Reconciler makes the copies in Redis follow Postgres whatever happened to whoever changed a slot. One instance does it at
// a time, by a lease. Everything that it does is idempotent and order-free, because a copy is replaced only by a newer
// one, so two that overlap do no harm.
type Reconciler struct {
	pool    *pgxpool.Pool
	redis   *redis.Client
	clock   clock.Clock
	lease   *postgres.Lease
	log     *slog.Logger
	observe func(Sweep)

	holding bool      // the lease, at the last tick
	runID   string    // of the Redis that was swept last
	swept   time.Time // when the last sweep ended
}

// Sweep is what comparing all copies with Postgres found.
type Sweep struct {
	Slots int // that were compared
	// Drift is how many copies were older than their slot. At rest it is 0: whoever changes a slot pushes it.
	Drift int
	Took  time.Duration
}

const (
	reconcileEvery = time.Second
	// sweepEvery is how often everything is compared: what no other way mends is wrong for this long at most.
	sweepEvery = time.Minute
	// sweepChunk are the slots that one statement reads and one pipeline pushes; after each, Redis and Postgres get as long
	// a rest as it took, so that a sweep of a million slots slows nobody.
	sweepChunk = 500
	// sweepBehind is how long after their start slots are still compared.
	sweepBehind = 24 * time.Hour
	// changesKept is how long a change that was pushed stays readable, for whoever looks into an incident.
	changesKept = 10 * time.Minute
)

// NewReconciler returns a reconciler that does nothing until Watch. observe is told of every sweep.
func NewReconciler(
	pool *pgxpool.Pool, client *redis.Client, clk clock.Clock, log *slog.Logger, observe func(Sweep),
) *Reconciler {
	return &Reconciler{
		pool: pool, redis: client, clock: clk, log: log, observe: observe, lease: postgres.NewLease(pool, "reconciler"),
	}
}

// Watch reconciles until ctx ends, while this instance holds the lease, and gives it up then.
func (r *Reconciler) Watch(ctx context.Context) {
	clock.Every(ctx, reconcileEvery, func() {
		if err := r.Tick(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("the copies of slots can't be compared now; holds look at Postgres where a copy says no", "error", err)
		}
	})
	r.lease.Leave(ctx)
}

// Tick does what is due: it takes or renews the lease and, holding it, pushes what was changed, and sweeps when a minute has
// passed, when the lease is new, or when Redis isn't the process that it was.
func (r *Reconciler) Tick(ctx context.Context) error {
	held, err := r.lease.Hold(ctx)
	if err != nil || !held {
		r.holding = false
		return err
	}
	runID, err := redisRun(ctx, r.redis)
	if err != nil {
		return err
	}
	if !r.holding || runID != r.runID || r.clock.Real().Sub(r.swept) >= sweepEvery {
		if _, err := r.Sweep(ctx); err != nil {
			return err
		}
		r.holding, r.runID = true, runID
	}
	return r.push(ctx)
}

// Sweep pushes the copy of every slot that is still to come.
func (r *Reconciler) Sweep(ctx context.Context) (s Sweep, err error) {
	start := r.clock.Real()
	after := int64(0)
	for {
		began := r.clock.Real()
		chunk, err := r.chunk(ctx, after)
		if err != nil {
			return s, err
		}
		n := 0
		for campaign, copies := range chunk {
			pushed, err := compareCopies(ctx, r.redis, campaign, copies)
			if err != nil {
				return s, err
			}
			s.Drift += pushed.drift
			n += len(copies)
			after = max(after, copies[len(copies)-1].Slot)
		}
		s.Slots += n
		if n < sweepChunk {
			break
		}
		// A long sweep must not lose the lease, and stops when it has.
		if held, err := r.lease.Hold(ctx); err != nil || !held {
			r.holding = false
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-time.After(r.clock.Real().Sub(began)):
		}
	}
	r.swept = r.clock.Real()
	s.Took = r.swept.Sub(start)
	r.observe(s)
	return s, nil
}

// chunk reads the next slots after an id, by campaign and id.
func (r *Reconciler) chunk(ctx context.Context, after int64) (map[string][]Copy, error) {
	rows, err := r.pool.Query(ctx, `
		SELECT campaign_id, slot_id, capacity, booked, state, version, (SELECT generation::text FROM store_generation WHERE one_row)
		FROM slots WHERE slot_id > $1 AND starts_at > $2 ORDER BY slot_id LIMIT $3`,
		after, r.clock.Now().Add(-sweepBehind), sweepChunk)
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading slots to compare: %w", err))
	}
	return copiesByCampaign(rows)
}

// push pushes the slots of all changes that Redis hasn't acknowledged yet, in the order of their transactions.
func (r *Reconciler) push(ctx context.Context) error {
	var through, safe string // xid8
	var changed []int64
	err := r.pool.QueryRow(ctx, `
		WITH due AS (
			SELECT tx, slots FROM slot_changes
			-- A database that was restored elsewhere counts its transactions anew.
			WHERE tx > (SELECT CASE WHEN through < pg_snapshot_xmax(pg_current_snapshot()) THEN through ELSE '0' END
				FROM slot_changes_pushed) AND tx < pg_snapshot_xmin(pg_current_snapshot())
			ORDER BY tx LIMIT 1000
		)
		SELECT (SELECT through::text FROM slot_changes_pushed), coalesce((SELECT tx::text FROM due ORDER BY due.tx DESC LIMIT 1), ''),
			ARRAY(SELECT DISTINCT s FROM due, unnest(slots) s)`).Scan(&through, &safe, &changed)
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("reading which slots were changed: %w", err))
	}
	if safe == "" {
		return nil
	}
	for len(changed) > 0 {
		n := min(len(changed), sweepChunk)
		rows, err := r.pool.Query(ctx, `
			SELECT campaign_id, slot_id, capacity, booked, state, version, (SELECT generation::text FROM store_generation WHERE one_row)
			FROM slots WHERE slot_id = ANY($1) ORDER BY slot_id`, changed[:n])
		if err != nil {
			return postgres.Unreachable(fmt.Errorf("reading changed slots: %w", err))
		}
		chunk, err := copiesByCampaign(rows)
		if err != nil {
			return err
		}
		for campaign, copies := range chunk {
			if _, err := repeatCopies(ctx, r.redis, campaign, copies); err != nil {
				return err
			}
		}
		changed = changed[n:]
	}
	// Only from what was read: a predecessor that is late sets nothing back.
	if _, err := r.pool.Exec(ctx, `
		WITH forgotten AS (DELETE FROM slot_changes WHERE tx <= $1::xid8 AND changed_at < now() - $3::interval)
		UPDATE slot_changes_pushed SET through = $2::xid8 WHERE through = $1::xid8`, through, safe, changesKept); err != nil {
		return postgres.Unreachable(fmt.Errorf("noting which changes were pushed: %w", err))
	}
	return nil
}

func copiesByCampaign(rows pgx.Rows) (map[string][]Copy, error) {
	all := map[string][]Copy{}
	var campaign string
	var c Copy
	_, err := pgx.ForEachRow(rows, []any{&campaign, &c.Slot, &c.Capacity, &c.Booked, &c.State, &c.Version, &c.Generation},
		func() error {
			all[campaign] = append(all[campaign], c)
			return nil
		})
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading slots: %w", err))
	}
	return all, nil
}

// redisRun names the process of Redis: another one may know nothing, or what was true long ago.
func redisRun(ctx context.Context, client *redis.Client) (string, error) {
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return "", jariredis.Unreachable(err)
	}
	for line := range strings.Lines(info) {
		if id, found := strings.CutPrefix(strings.TrimSpace(line), "run_id:"); found {
			return id, nil
		}
	}
	return "", errors.New("redis doesn't say its run_id")
}
