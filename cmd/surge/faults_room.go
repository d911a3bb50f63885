package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"jari/cmd/surge/check"
	"jari/cmd/surge/rig"
	"jari/internal/crash"
	"jari/internal/postgres"
)

// An evening at a waiting room, in short: people register, the draw is frozen and made, the room opens and they come in
// and book, while things break.
const (
	guests    = 420 // there is a place for each
	roomRate  = 40  // people a second
	roomGrace = 600 // seconds, more than a run takes: nobody may be late
	// enoughBooked is nearly all of them: some change their minds.
	enoughBooked = guests * 7 / 8
	// registers is from publishing to the freeze, starting the servers included, and draws from there to the opening.
	registers, draws = 9 * time.Second, 4 * time.Second
	// settled is how much of it setting the stage takes on a machine that has nothing else to do.
	settled = 3 * time.Second
	// evening is how long it takes if nothing goes wrong.
	evening = registers + draws + guests/roomRate*time.Second + 3*time.Second
	// takeoverWithin is the lease of a leader who is gone, and what a busy machine adds.
	takeoverWithin = postgres.LeaseTerm + 5*time.Second
	// staleFor is by how much one server may be behind the other: it looks about three times a second.
	staleFor = 2 * time.Second
	// frozenFor is how long a leader that vanishes is away, beyond being replaced.
	frozenFor = 500 * time.Millisecond
	// enterWithin is how long people may take to come in once nothing is broken any more.
	enterWithin = 30 * time.Second
)

// lobby is what a theatre has beside it for a cell with a waiting room.
type lobby struct {
	room   string
	line   rig.Line
	looks  []check.Look // by watch, to be read after it ended
	guests []*guest
	// vacancies are how long the room was without a leader, each time one was taken away.
	vacancies []time.Duration
	wrong     []check.Violation
	stale     time.Duration
	// endWatch ends watch and waits for it; until the watch has begun there is nothing to end.
	endWatch func()
}

// roomCells are the ways to break an evening.
func roomCells() []cell {
	all := []cell{
		{name: "room", injects: "nothing"},
		{
			name: "room-in-turn", short: true, freezes: true, leastFired: 5, fault: inTurn, excuses: check.Excuses{RedisLost: true},
			injects: "kill -9 of the leader, Redis emptied, kill -9 of the other server, Postgres killed, the leader vanished: in turn",
		},
		{name: "room-leader", injects: "kill -9 of whichever server leads the room", kind: kindKill, leastFired: 4, loses: true, fault: again(leaderKilled)},
		{name: "room-vanished", injects: "whichever server leads the room stands still until another leads, and then goes on", leastFired: 3, freezes: true, fault: again(leaderVanishes)},
		{
			name: "room-redis", injects: "Redis killed and restarted empty", kind: kindRedis, leastFired: 5, fault: redisEmpty,
			excuses: check.Excuses{RedisLost: true},
		},
		{name: "room-postgres", injects: "Postgres killed and restarted", kind: kindPostgres, leastFired: 4, loses: true, fault: postgresKilled},
	}
	for _, k := range []struct {
		name, point, injects string
		most, servers        int
		least                int64
	}{
		{"room-places-written", crash.PlacesWritten, "kill -9 after places were committed, before anybody is told", 60, 1, 3},
		{"room-numbers-taken", crash.NumbersTaken, "kill -9 after a block of numbers was taken, before anybody has one", 12, 1, 3},
		// Whichever leads: the one that comes back doesn't.
		{"room-served", crash.Served, "kill -9 of the leader after the serving number rose, before anybody is shown it", 6, 2, 2},
	} {
		// Not of the kind kill: an evening has only so many of these moments.
		all = append(all, cell{
			name: k.name, injects: k.injects, leastFired: k.least, loses: true,
			fault: func(ctx context.Context, t *theatre) error {
				var group errgroup.Group
				for at := range k.servers {
					group.Go(func() error { return t.dieAt(ctx, at, k.point, k.most) })
				}
				return group.Wait()
			},
		})
	}
	for i := range all {
		all[i].lobby, all[i].instances, all[i].length, all[i].load, all[i].least = true, 2, evening, anEvening, enoughBooked
		all[i].env = []string{"JARI_RATE_PERSON=100000"}
	}
	return all
}

// dieAt has one of the servers die at a point again and again.
func (t *theatre) dieAt(ctx context.Context, at int, point string, most int) error {
	for ctx.Err() == nil {
		if err := t.remove(at); err != nil {
			return err
		}
		armed := fmt.Sprintf("JARI_CRASH_AT=%s:%d", point, 1+rand.IntN(most)) //nolint:gosec // any passing
		p, err := t.start(ctx, at, armed)
		if err != nil && ctx.Err() == nil {
			// It may have died before it said that it was there.
			t.log.Info("a server that is to die didn't start", "error", err)
			t.fired.Add(1)
			continue
		}
		if err != nil {
			break
		}
		select {
		case <-p.Ended():
			t.fired.Add(1)
		case <-ctx.Done():
		}
	}
	// One that isn't told to die, for what follows.
	return t.replace(context.WithoutCancel(ctx), at)
}

// remove kills a server and shows it to nobody any more.
func (t *theatre) remove(at int) error {
	t.mu.Lock()
	p := t.instances[at]
	t.mu.Unlock()
	t.servers.set(at, "")
	return p.Kill()
}

// again fires a fault again and again.
func again(fire func(context.Context, *theatre) error) func(context.Context, *theatre) error {
	return func(ctx context.Context, t *theatre) error {
		for {
			rest(ctx, time.Duration(500+rand.IntN(1500))*time.Millisecond) //nolint:gosec // any moment
			if ctx.Err() != nil {
				return nil
			}
			if err := fire(context.WithoutCancel(ctx), t); err != nil {
				return err
			}
			t.fired.Add(1)
		}
	}
}

// inTurn breaks one thing after the other.
func inTurn(ctx context.Context, t *theatre) error {
	fires := []func(context.Context, *theatre) error{
		leaderKilled,
		func(ctx context.Context, t *theatre) error {
			return errors.Join(t.rig.Stores.Redis().Kill(ctx), t.rig.Stores.Redis().Restart(ctx))
		},
		func(ctx context.Context, t *theatre) error {
			at, _, err := t.leads(ctx)
			if err != nil {
				return err
			}
			return t.replace(ctx, 1-at)
		},
		func(ctx context.Context, t *theatre) error {
			return errors.Join(t.rig.Stores.Postgres().Kill(ctx), t.rig.Stores.Postgres().Restart(ctx))
		},
		leaderVanishes,
	}
	for i := 0; ; i++ {
		rest(ctx, time.Duration(300+rand.IntN(900))*time.Millisecond) //nolint:gosec // any moment
		if ctx.Err() != nil {
			return nil
		}
		if err := fires[i%len(fires)](context.WithoutCancel(ctx), t); err != nil {
			return err
		}
		t.fired.Add(1)
	}
}

// replace kills a server and starts another in its place.
func (t *theatre) replace(ctx context.Context, at int) error {
	if err := t.remove(at); err != nil {
		return err
	}
	_, err := t.start(ctx, at)
	return err
}

// leaderKilled kills the leader and waits until the other leads.
func leaderKilled(ctx context.Context, t *theatre) error {
	at, who, err := t.leads(ctx)
	if err != nil {
		return err
	}
	if err := t.remove(at); err != nil {
		return err
	}
	if err := t.succeeded(ctx, who); err != nil {
		return err
	}
	_, err = t.start(ctx, at)
	return err
}

// leaderVanishes stops the leader where it stands until the other leads, and lets it go on: it may not lead then.
func leaderVanishes(ctx context.Context, t *theatre) error {
	at, who, err := t.leads(ctx)
	if err != nil {
		return err
	}
	t.mu.Lock()
	p := t.instances[at]
	t.mu.Unlock()
	if err := p.Pause(); err != nil {
		return err
	}
	err = t.succeeded(ctx, who)
	rest(ctx, frozenFor)
	if err := errors.Join(err, p.Resume()); err != nil {
		return err
	}
	for until := time.Now().Add(time.Second); time.Now().Before(until); rest(ctx, 20*time.Millisecond) {
		if now, led, err := t.leader(ctx); err == nil && led && now == who {
			t.lobby.wrong = append(t.lobby.wrong, check.Violation{Invariant: check.Forward, What: "who had vanished leads again at once"})
			return nil
		}
	}
	return nil
}

// leader is who leads the room now.
func (t *theatre) leader(ctx context.Context) (who uuid.UUID, led bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var id *uuid.UUID
	err = t.rig.Pool.QueryRow(ctx, `SELECT leader FROM rooms WHERE room_id = $1 AND leader_until > clock_timestamp()`, t.lobby.room).Scan(&id)
	if err != nil || id == nil {
		return who, false, err
	}
	return *id, true, nil
}

// leads finds the server that leads the room, by what it logged.
func (t *theatre) leads(ctx context.Context) (at int, who uuid.UUID, err error) {
	for deadline := time.Now().Add(settleWithin); time.Now().Before(deadline) && ctx.Err() == nil; rest(ctx, 20*time.Millisecond) {
		var led bool
		if who, led, err = t.leader(ctx); err != nil || !led {
			continue
		}
		t.mu.Lock()
		all := append([]*rig.Process(nil), t.instances...)
		t.mu.Unlock()
		for at, p := range all {
			if log, err := os.ReadFile(p.Log()); err == nil && bytes.Contains(log, []byte(who.String())) {
				return at, who, nil
			}
		}
	}
	return 0, who, fmt.Errorf("nobody leads the room: %w", errors.Join(err, ctx.Err()))
}

// succeeded waits until somebody else leads, and remembers how long that took.
func (t *theatre) succeeded(ctx context.Context, old uuid.UUID) error {
	began := time.Now()
	for ; time.Since(began) < settleWithin; rest(ctx, 10*time.Millisecond) {
		if who, led, err := t.leader(ctx); err == nil && led && who != old {
			t.lobby.vacancies = append(t.lobby.vacancies, time.Since(began))
			return nil
		}
	}
	return errors.New("nobody takes the lead of the room over")
}

// beginWatch has the room's row looked at until endWatch.
func (t *theatre) beginWatch(ctx context.Context) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	group.Go(func() { t.watch(ctx) })
	t.lobby.endWatch = func() {
		stop()
		group.Wait()
	}
}

// watch looks at the room's row until the context ends, and once more.
func (t *theatre) watch(ctx context.Context) {
	look := func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		l := check.Look{Asked: time.Now()}
		if err := t.rig.Pool.QueryRow(ctx, `SELECT state, serving FROM rooms WHERE room_id = $1`, t.lobby.room).Scan(&l.State, &l.Serving); err == nil {
			l.At = time.Now()
			t.lobby.looks = append(t.lobby.looks, l)
		}
	}
	for ctx.Err() == nil {
		look(ctx)
		rest(ctx, 20*time.Millisecond)
	}
	look(context.WithoutCancel(ctx))
}
