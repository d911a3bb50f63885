package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"jari/cmd/surge/check"
	"jari/cmd/surge/rig"
	"jari/internal/crash"
	"jari/internal/fault"
)

// The kinds of cycles that can be asked for.
const (
	kindKill     = "kill"
	kindRedis    = "redis"
	kindPostgres = "postgres"
)

// cell is one way to break, and what is expected of it.
type cell struct {
	name, injects string
	// kind is that of its cycles, if it has any.
	kind string
	// short cells are the selection for every change.
	short bool
	// instances run at the same time, one if it is 0; keeps means that the fault itself starts and ends them.
	instances int
	keeps     bool
	// proxied puts proxies between servers and stores.
	proxied bool
	// lobby cells have a waiting room that everybody comes through; freezes means that a server stands still there.
	lobby, freezes bool
	holdSeconds    int
	singles        int
	env            []string
	excuses        check.Excuses
	// length is how long it takes, whatever was asked for.
	length time.Duration
	// least are the bookings that must be confirmed, 300 if it is 0; leastFired is how often the fault must come.
	least, leastFired int64
	// loses: clients must have noticed.
	loses bool
	// tries is how often a request may have to be sent; 0 is any number.
	tries int64
	fault func(ctx context.Context, t *theatre) error
	// load is the everyday one if it is nil.
	load func(ctx context.Context, t *theatre) error
}

const leastConfirmed = 300

func (c cell) atLeast() int64 {
	if c.least > 0 {
		return c.least
	}
	return leastConfirmed
}

// bookingCells are the ways to break holding and confirming.
func bookingCells() []cell {
	all := []cell{{name: "none", injects: "nothing", instances: 2, short: true, tries: 1}}
	for _, k := range []struct {
		name, plan, injects string
		most                int // passings until the end
		short               bool
	}{
		{"kill-hold-placed", crash.HoldPlaced, "kill -9 after Redis has placed holds, before anybody is told", 200, false},
		{"kill-flush-begins", crash.FlushBegins, "kill -9 before a flush reaches Postgres", 100, false},
		{"kill-committed", crash.Committed, "kill -9 after COMMIT, before anybody is told", 100, true},
		{"kill-answered", crash.Answered, "kill -9 after the answers, before Redis is told", 100, true},
	} {
		delay := ""
		if k.plan == crash.Answered {
			delay = "@5ms" // so that the answers are out
		}
		all = append(all, cell{
			name: k.name, injects: k.injects, kind: kindKill, short: k.short, keeps: true, loses: true, leastFired: 3,
			fault: func(ctx context.Context, t *theatre) error {
				return t.keep(ctx, func() string {
					return fmt.Sprintf("JARI_CRASH_AT=%s:%d%s", k.plan, 10+rand.IntN(k.most), delay) //nolint:gosec // any of them
				}, false)
			},
		})
	}
	return append(all,
		cell{
			name: "kill-random", injects: "kill -9 at any moment", kind: kindKill, keeps: true, loses: true, leastFired: 3,
			fault: func(ctx context.Context, t *theatre) error { return t.keep(ctx, nil, true) },
		},
		cell{
			name: "takeover", injects: "SIGTERM to one of two instances, and a new one in its place; a request may be sent twice",
			short: true, instances: 2, tries: 2, leastFired: 3, fault: takeover,
		},
		cell{
			name: "redis-empty", injects: "Redis killed and restarted empty", kind: kindRedis, short: true, leastFired: 3,
			excuses: check.Excuses{RedisLost: true}, loses: true, fault: redisEmpty,
		},
		cell{
			name: "redis-snapshot", injects: "Redis killed and restored from an old snapshot", kind: kindRedis, leastFired: 2,
			excuses: check.Excuses{RedisLost: true}, loses: true, fault: redisSnapshot,
		},
		cell{
			name: "redis-slow", injects: "Redis answers 0 to 600 ms late, with 500 ms for a round trip", proxied: true, leastFired: 2, loses: true,
			fault: waves(1500*time.Millisecond, func(t *theatre) error { return t.redis.Slow(300, 300) }, func(t *theatre) *rig.Proxy { return t.redis }),
		},
		cell{
			name: "redis-answers-lost", injects: "Redis does what it is asked, and its answers are lost", proxied: true, short: true,
			leastFired: 5, loses: true,
			fault: waves(150*time.Millisecond, func(t *theatre) error { return t.redis.LoseAnswers() }, func(t *theatre) *rig.Proxy { return t.redis }),
		},
		cell{
			name: "postgres-killed", injects: "Postgres killed in mid-commit and restarted", kind: kindPostgres, short: true, leastFired: 2,
			loses: true, fault: postgresKilled,
		},
		cell{
			name: "postgres-answers-lost", injects: "connections to Postgres cut after COMMIT was sent", proxied: true, short: true,
			leastFired: 5, loses: true, instances: 2,
			fault: waves(30*time.Millisecond, func(t *theatre) error { return t.postgres.LoseAnswers() }, func(t *theatre) *rig.Proxy { return t.postgres }),
		},
		cell{
			name: "postgres-slow", injects: "Postgres answers 0 to 200 ms late", proxied: true, leastFired: 2,
			fault: waves(2*time.Second, func(t *theatre) error { return t.postgres.Slow(100, 100) }, func(t *theatre) *rig.Proxy { return t.postgres }),
		},
		cell{
			name: "pool-exhausted", injects: "two instances with four connections each, and all of them blocked", instances: 2, leastFired: 3,
			env: []string{"JARI_POSTGRES_CONNECTIONS=4", "JARI_FLUSH_LANES=2"}, fault: poolExhausted,
		},
		cell{
			name: "capacity-edited", injects: "an administrator changes capacities under fire", short: true, leastFired: 20, instances: 2,
			excuses: check.Excuses{CapacityLowered: true}, fault: capacityEdited,
		},
		cell{
			name: "stampede", injects: "200 callers for one unit, again and again", short: true, instances: 2, singles: 288, least: 60, leastFired: 60,
			load: stampede,
		},
		cell{
			name: "expiry", injects: "confirms at the instants at which holds end for Postgres and for Redis", holdSeconds: 30,
			length: 80 * time.Second, least: 150, leastFired: 100, load: expiry, instances: 2,
		},
	)
}

// cells are all that is broken.
func cells() []cell { return append(bookingCells(), roomCells()...) }

// keep runs one instance after the other until the load is over, and counts how often one died.
func (t *theatre) keep(ctx context.Context, plan func() string, byHand bool) error {
	for ctx.Err() == nil {
		var env []string
		if plan != nil {
			env = append(env, plan())
		}
		p, err := t.start(ctx, 0, env...)
		if err != nil {
			return err
		}
		if byHand {
			rest(ctx, time.Duration(200+rand.IntN(1000))*time.Millisecond) //nolint:gosec // any moment
			if ctx.Err() != nil {
				return nil
			}
			if err := p.Kill(); err != nil {
				return err
			}
		}
		select {
		case <-p.Ended():
			t.servers.set(0, "")
			t.fired.Add(1)
		case <-ctx.Done():
		}
	}
	return nil
}

// waves has a fault come and go.
func waves(length time.Duration, begin func(*theatre) error, proxy func(*theatre) *rig.Proxy) func(context.Context, *theatre) error {
	return func(ctx context.Context, t *theatre) error {
		for {
			rest(ctx, time.Duration(300+rand.IntN(500))*time.Millisecond) //nolint:gosec // any moment
			if ctx.Err() != nil {
				return nil
			}
			if err := begin(t); err != nil {
				return err
			}
			t.fired.Add(1)
			rest(ctx, length)
			proxy(t).Heal(context.WithoutCancel(ctx))
		}
	}
}

func takeover(ctx context.Context, t *theatre) error {
	for at := 0; ; at = 1 - at {
		rest(ctx, time.Second)
		if ctx.Err() != nil {
			return nil
		}
		t.mu.Lock()
		old := t.instances[at]
		t.mu.Unlock()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		err := old.Stop(stop)
		cancel()
		if err != nil {
			return err
		}
		t.fired.Add(1)
		if _, err := t.start(context.WithoutCancel(ctx), at); err != nil {
			return err
		}
	}
}

func redisEmpty(ctx context.Context, t *theatre) error {
	whole := context.WithoutCancel(ctx)
	for {
		rest(ctx, time.Duration(700+rand.IntN(1000))*time.Millisecond) //nolint:gosec // any moment
		if ctx.Err() != nil {
			return nil
		}
		if err := errors.Join(t.rig.Stores.Redis().Kill(whole), t.rig.Stores.Redis().Restart(whole)); err != nil {
			return err
		}
		t.fired.Add(1)
	}
}

func redisSnapshot(ctx context.Context, t *theatre) error {
	whole := context.WithoutCancel(ctx)
	for {
		rest(ctx, time.Duration(500+rand.IntN(500))*time.Millisecond) //nolint:gosec // any moment
		snapshot, err := t.rig.Stores.SnapshotRedis(whole)
		if err != nil {
			return err
		}
		rest(ctx, time.Duration(500+rand.IntN(1500))*time.Millisecond) //nolint:gosec // so old is the snapshot
		if ctx.Err() != nil {
			return nil
		}
		if err := errors.Join(t.rig.Stores.Redis().Kill(whole), t.rig.Stores.RestartRedisFrom(whole, snapshot)); err != nil {
			return err
		}
		t.fired.Add(1)
	}
}

func postgresKilled(ctx context.Context, t *theatre) error {
	whole := context.WithoutCancel(ctx)
	for {
		rest(ctx, time.Duration(1000+rand.IntN(1500))*time.Millisecond) //nolint:gosec // any moment
		if ctx.Err() != nil {
			return nil
		}
		if err := errors.Join(t.rig.Stores.Postgres().Kill(whole), t.rig.Stores.Postgres().Restart(whole)); err != nil {
			return err
		}
		t.fired.Add(1)
	}
}

func poolExhausted(ctx context.Context, t *theatre) error {
	for {
		rest(ctx, time.Second)
		if ctx.Err() != nil {
			return nil
		}
		err := func() error {
			tx, err := t.rig.Pool.Begin(context.WithoutCancel(ctx))
			if err != nil {
				return err
			}
			defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it has nothing to lose
			if _, err := tx.Exec(ctx, `LOCK TABLE bookings IN ACCESS EXCLUSIVE MODE`); err != nil {
				return err
			}
			rest(ctx, 1500*time.Millisecond)
			return nil
		}()
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("blocking everybody's connections: %w", err)
		}
		t.fired.Add(1)
	}
}

func capacityEdited(ctx context.Context, t *theatre) error {
	for n := 0; ; n++ {
		rest(ctx, 60*time.Millisecond)
		if ctx.Err() != nil {
			return nil
		}
		slot := t.stage.Main[rand.IntN(len(t.stage.Main))] //nolint:gosec // any slot
		capacity := mainCapacity - 6 + rand.IntN(13)       //nolint:gosec // some more or less
		url := t.servers.pick(n, 0) + fmt.Sprintf("/admin/v1/campaigns/%s/slots/%d", t.stage.ID, slot)
		r, err := http.NewRequestWithContext(ctx, http.MethodPatch, url, strings.NewReader(fmt.Sprintf(`{"capacity":%d}`, capacity)))
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+t.adminKey)
		r.Header.Set("Content-Type", "application/json")
		w, err := t.crowd.client.Do(r)
		if err != nil {
			continue
		}
		_ = w.Body.Close()
		switch w.StatusCode {
		case http.StatusOK:
			t.fired.Add(1)
		case http.StatusConflict: // more is booked
		default:
			return fmt.Errorf("changing a capacity was answered with %s", w.Status)
		}
	}
}

// callers are those of a stampede.
const callers = 200

func stampede(ctx context.Context, t *theatre) error {
	waiting := make([]rig.Person, callers)
	for i := range waiting {
		waiting[i], _ = t.stage.People.Take()
	}
	for _, slot := range t.stage.Singles {
		if ctx.Err() != nil {
			return nil
		}
		var group sync.WaitGroup
		for i := range waiting {
			group.Go(func() {
				a := t.crowd.hold(ctx, waiting[i], "", slot, uuid.Nil, uuid.Nil)
				if a.status != http.StatusOK {
					return
				}
				if b := t.crowd.confirm(ctx, waiting[i], "", a.hold); b.status == http.StatusOK || b.status == http.StatusCreated {
					waiting[i], _ = t.stage.People.Take()
				}
			})
		}
		group.Wait()
		t.fired.Add(1)
	}
	return nil
}

// expiry has people hold what there is and confirm when their holds end: for Postgres ten seconds after what they were
// told, and for Redis twenty.
func expiry(ctx context.Context, t *theatre) error {
	var group sync.WaitGroup
	for range crowdSize {
		p, ok := t.stage.People.Take()
		if !ok {
			return errors.New("there are too few people")
		}
		group.Go(func() {
			for ctx.Err() == nil {
				rest(ctx, time.Duration(rand.IntN(1000))*time.Millisecond)                                    //nolint:gosec // a habit
				a := t.crowd.hold(ctx, p, "", t.stage.Main[rand.IntN(len(t.stage.Main))], uuid.Nil, uuid.Nil) //nolint:gosec // any slot
				if a.code == fault.CodeHoldEnding {
					rest(ctx, 2*time.Second)
				}
				if a.status != http.StatusOK {
					continue
				}
				at := a.hold.until
				switch draw := rand.Float64(); { //nolint:gosec // a habit
				case draw < .5:
					at = at.Add(10 * time.Second)
				case draw < .85:
					at = at.Add(20 * time.Second)
				default:
					at = time.Now()
				}
				rest(ctx, time.Until(at)+time.Duration(rand.IntN(160)-80)*time.Millisecond) //nolint:gosec // about then
				if ctx.Err() != nil {
					return
				}
				t.fired.Add(1)
				if b := t.crowd.confirm(ctx, p, "", a.hold); b.status == http.StatusOK || b.status == http.StatusCreated {
					return
				}
			}
		})
	}
	group.Wait()
	return nil
}
