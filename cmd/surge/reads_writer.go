package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"jari/cmd/surge/rig"
	"jari/internal/clock"
	"jari/internal/config"
	"jari/internal/postgres"
	"jari/internal/redis"
	"jari/internal/slot"
)

// scribe does to slots what the commit of a flush does, and its push: one transaction, then the copies to Redis. It leaves
// out HTTP and the bookings themselves, which readers don't notice and which would take the machine from them.
type scribe struct {
	pool       *pgxpool.Pool
	slots      *slot.Service
	campaign   string
	generation string
}

func newScribe(ctx context.Context, pool *pgxpool.Pool, client *goredis.Client, campaign string) (*scribe, error) {
	s := &scribe{pool: pool, campaign: campaign}
	if err := pool.QueryRow(ctx, `SELECT generation::text FROM store_generation`).Scan(&s.generation); err != nil {
		return nil, fmt.Errorf("reading the store generation: %w", err)
	}
	var err error
	// It knows no campaign and no documents: it only pushes and places.
	s.slots, err = slot.NewService(pool, client, nil, clock.NewSystem(0), nil,
		slot.Limits{Placements: 1, Window: time.Minute, Queue: 1000}, slog.New(slog.DiscardHandler))
	return s, err
}

// change books a place in each of the slots, or cancels it again where one is booked. committed is when that was true.
func (s *scribe) change(ctx context.Context, ids []int64) (copies []slot.Copy, committed time.Time, err error) {
	// The statement is a transaction of its own. Nobody else locks more than one of these slots.
	rows, err := s.pool.Query(ctx, `
		UPDATE slots SET booked = booked + CASE WHEN booked = 0 THEN 1 ELSE -1 END, version = version + 1
		WHERE slot_id = ANY($1) RETURNING slot_id, capacity, booked, state, version`, ids)
	if err != nil {
		return nil, committed, fmt.Errorf("changing slots: %w", err)
	}
	copies, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (slot.Copy, error) {
		c := slot.Copy{Generation: s.generation}
		err := row.Scan(&c.Slot, &c.Capacity, &c.Booked, &c.State, &c.Version)
		return c, err
	})
	committed = time.Now()
	if err != nil {
		return nil, committed, fmt.Errorf("changing slots: %w", err)
	}
	if len(copies) != len(ids) {
		return nil, committed, fmt.Errorf("%d slots were to be changed, and %d were", len(ids), len(copies))
	}
	return copies, committed, s.slots.Push(ctx, s.campaign, copies, nil)
}

// writing is what the writer is asked to do until it is asked to stop.
type writing struct {
	Slots     []int64 `json:"slots"`
	PerSecond int     `json:"per_s"`
}

// written is what it did.
type written struct {
	Changes int           `json:"changes"`
	Elapsed time.Duration `json:"elapsed_ns"`
}

func (w written) plus(more written) written {
	return written{Changes: w.Changes + more.Changes, Elapsed: w.Elapsed + more.Elapsed}
}

func (w written) perSecond() float64 { return ratio(float64(w.Changes), w.Elapsed.Seconds()) }

// writesEvery is how often the writer commits: as often as flushes do at that many bookings a second.
const writesEvery = 50 * time.Millisecond

// write changes slots, each once before any is changed again, until stop is closed. A commit that was late is made up for.
func (s *scribe) write(ctx context.Context, w writing, stop <-chan struct{}) (did written, err error) {
	each := max(1, int(int64(w.PerSecond)*int64(writesEvery)/int64(time.Second)))
	if len(w.Slots) < each {
		return did, fmt.Errorf("%d slots are too few for %d a commit", len(w.Slots), each)
	}
	order := rand.New(rand.NewPCG(3, 4)).Perm(len(w.Slots)) //nolint:gosec // repeatable, and nobody gains by guessing
	ids := make([]int64, each)
	next, commits := 0, 0
	begin := time.Now()
	timer := time.NewTimer(writesEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return did, ctx.Err()
		case <-stop:
			return written{Changes: commits * each, Elapsed: fairLength(commits, time.Since(begin))}, nil
		case <-timer.C:
		}
		if next+each > len(order) {
			next = 0
		}
		for i := range ids {
			ids[i] = w.Slots[order[next+i]]
		}
		next += each
		if _, _, err := s.change(ctx, ids); err != nil {
			return did, err
		}
		commits++
		timer.Reset(time.Until(begin.Add(time.Duration(commits+1) * writesEvery)))
	}
}

// fairLength is the time that a number of commits is for. Where none is missing it ends with the last, and not wherever the
// wait for the next was broken off.
func fairLength(commits int, elapsed time.Duration) time.Duration {
	if commits >= int(elapsed/writesEvery) {
		return time.Duration(commits) * writesEvery
	}
	return elapsed
}

// The commands that the writer understands: the first with a writing, the second answers with what was written.
const (
	startWriting = "write "
	stopWriting  = "stop"
)

type writerPart struct {
	Campaign string `required:"" help:"The campaign's id."`
}

// Run writes from the one command to the other.
func (p writerPart) Run(w surroundings) error {
	cfg, err := config.Load(w.environ)
	if err != nil {
		return err
	}
	pool, err := postgres.Open(w.ctx, string(cfg.PostgresURL), postgres.Options{MaxConnections: 1})
	if err != nil {
		return err
	}
	defer pool.Close()
	client, err := redis.Open(string(cfg.RedisURL), redis.Options{PoolSize: 1, Timeout: 5 * time.Second})
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // nothing is lost with it
	s, err := newScribe(w.ctx, pool, client, p.Campaign)
	if err != nil {
		return err
	}
	defer s.slots.Close()
	type outcome struct {
		did written
		err error
	}
	var stop chan struct{}
	var ended chan outcome
	return rig.Attend(w.ctx, w.in, w.out, "", func(command string) (string, error) {
		if raw, ok := strings.CutPrefix(command, startWriting); ok && stop == nil {
			var asked writing
			if err := json.Unmarshal([]byte(raw), &asked); err != nil {
				return "", fmt.Errorf("%.40q isn't understood: %w", command, err)
			}
			stop, ended = make(chan struct{}), make(chan outcome, 1)
			go func(stop <-chan struct{}, ended chan<- outcome) {
				did, err := s.write(w.ctx, asked, stop)
				ended <- outcome{did, err}
			}(stop, ended)
			return "", nil
		}
		if command == stopWriting && stop != nil {
			close(stop)
			stop = nil
			o := <-ended
			if o.err != nil {
				return "", o.err
			}
			answer, err := json.Marshal(o.did)
			return string(answer), err
		}
		return "", fmt.Errorf("%.40q isn't understood", command)
	})
}
