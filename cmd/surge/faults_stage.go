package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"jari/cmd/surge/journal"
	"jari/cmd/surge/rig"
)

// The sizes of a stage.
const (
	mainSlots    = 12
	mainCapacity = 38
	// crowdSize is about 1.3 persons for a unit.
	crowdSize = mainSlots * mainCapacity * 13 / 10
	// pairs are the small histories that a cell has room for, and inPair the persons of one, for two places.
	pairs, inPair = 48, 3
)

// theatre is where a cell is played.
type theatre struct {
	cell     cell
	rig      *rig.Rig
	log      *slog.Logger
	stage    rig.Staged
	servers  *public
	crowd    *crowd
	postgres *rig.Proxy // nil unless the cell wants proxies
	redis    *rig.Proxy
	lobby    *lobby // nil unless the cell has one
	adminKey string
	clients  int
	setting  time.Duration // how long setting the stage of the cell before took

	mu        sync.Mutex
	instances []*rig.Process
	started   int
	fired     atomic.Int64
	want      int64
	deadlocks int64 // that Postgres had broken before
}

// start starts an instance, shows it to the clients once it is ready, and returns it.
func (t *theatre) start(ctx context.Context, at int, environment ...string) (*rig.Process, error) {
	env := []string{
		"JARI_HOLDS_PER_PERSON=10000", "JARI_CONFIRM_WAIT=3s", "JARI_REQUEST_TIMEOUT=6s", "JARI_MESSAGE_WORKERS=0",
		"JARI_POSTGRES_CONNECT_TIMEOUT=1s",
	}
	if t.postgres != nil {
		env = append(env, "JARI_POSTGRES_URL="+t.postgres.URL, "JARI_REDIS_URL="+t.redis.URL)
	}
	env = append(append(env, t.cell.env...), environment...)
	t.mu.Lock()
	t.started++
	name := fmt.Sprintf("%s-%d", t.cell.name, t.started)
	t.mu.Unlock()
	p, err := t.rig.Run(ctx, name, []string{"part", "real"}, env)
	if err != nil {
		return nil, err
	}
	if err := rig.AwaitReady(ctx, p); err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	t.mu.Lock()
	for len(t.instances) <= at {
		t.instances = append(t.instances, nil)
	}
	t.instances[at] = p
	t.mu.Unlock()
	t.servers.set(at, p.URL)
	return p, nil
}

// play plays a cell: load and faults, then peace, then the judgement.
func (c faultsCommand) play(ctx context.Context, r *rig.Rig, log *slog.Logger, which cell, want int64, setting *time.Duration) (o outcome, err error) {
	t := &theatre{cell: which, rig: r, log: log, servers: &public{}, clients: c.Clients, setting: *setting, want: max(want, which.leastFired)}
	length := c.Duration
	if which.length > 0 {
		length = which.length
	}
	file, err := os.Create(filepath.Join(r.Dir, which.name+".journal"))
	if err != nil {
		return o, fmt.Errorf("opening the journal: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if t.lobby != nil {
			t.lobby.endWatch()
		}
		for _, p := range t.instances {
			if p != nil {
				err = errors.Join(err, p.Stop(stop))
			}
		}
		if t.postgres != nil {
			t.postgres.Close()
			t.redis.Close()
		}
	}()
	sets := time.Now()
	if err := t.prepare(ctx, journal.New(file)); err != nil {
		return o, err
	}
	began := time.Now()
	*setting = began.Sub(sets)
	if err := t.perform(ctx, length); err != nil {
		return o, err
	}
	ended := time.Now()
	if err := t.peace(ctx); err != nil {
		return o, err
	}
	if t.lobby != nil {
		t.lateComers(ctx)
	}
	o, err = t.judge(ctx, began, ended)
	o.Seconds = time.Since(began).Seconds()
	return o, err
}

// prepare sets the stage.
func (t *theatre) prepare(ctx context.Context, j *journal.Journal) (err error) {
	// What a kill of Postgres costs is to be this cell's own.
	if _, err := t.rig.Pool.Exec(ctx, `CHECKPOINT`); err != nil {
		return fmt.Errorf("writing a checkpoint: %w", err)
	}
	if err := t.rig.Redis.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("emptying Redis: %w", err)
	}
	seconds := 300
	if t.cell.holdSeconds > 0 {
		seconds = t.cell.holdSeconds
	}
	stage := rig.Stage{
		ID: t.cell.name, HoldSeconds: seconds, Main: mainSlots, MainCapacity: mainCapacity, Pairs: pairs, Singles: t.cell.singles,
	}
	if t.cell.lobby {
		t.lobby = newLobby(t.cell.name, time.Now(), t.setting)
		stage.Pairs, stage.Line = 0, &t.lobby.line
	}
	if t.stage, err = t.rig.Stage(ctx, stage); err != nil {
		return err
	}
	if err := t.stage.People.Prepare(ctx, people(t.cell)); err != nil {
		return err
	}
	if t.adminKey, err = t.rig.AdminKey(ctx); err != nil {
		return err
	}
	if t.deadlocks, err = t.countDeadlocks(ctx); err != nil {
		return err
	}
	t.crowd = newCrowd(t.stage.ID, t.servers, j, t.clients)
	if t.cell.proxied {
		if t.postgres, err = t.rig.ProxyPostgres(); err == nil {
			t.redis, err = t.rig.ProxyRedis()
		}
		if err != nil {
			return err
		}
	}
	if t.cell.keeps {
		return nil // its fault starts them
	}
	for at := range max(1, t.cell.instances) {
		if _, err := t.start(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

// countDeadlocks asks how many deadlocks Postgres has broken. Every writer locks in one order, so that there are none; a
// flush that was broken is tried again, and nothing else would tell. A Postgres that was killed counts from 0.
func (t *theatre) countDeadlocks(ctx context.Context) (n int64, err error) {
	err = t.rig.Pool.QueryRow(ctx, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("asking for deadlocks: %w", err)
	}
	return n, nil
}

// people are the persons that a cell may need: the crowd, those of the histories, and buyers of all that may be left, also
// where an administrator added some.
func people(c cell) int {
	return crowdSize + pairs*inPair + 3*mainSlots*mainCapacity + 8*pairs + 3*c.singles + 1000
}

// A cell goes on beyond its time until its fault was fired as often as wanted and enough was booked, but not for ever: a
// slow machine takes longer, and only one on which nothing moves has too little to show.
const (
	lingers  = 2 * time.Minute
	perCycle = 6 * time.Second
)

// perform has the clients ask while the fault is fired.
func (t *theatre) perform(ctx context.Context, length time.Duration) error {
	playing, end := context.WithCancel(ctx)
	defer end()
	var failed error
	var group sync.WaitGroup
	var once sync.Once
	fail := func(err error) {
		if err != nil && playing.Err() == nil {
			once.Do(func() { failed = err })
			end()
		}
	}
	group.Go(func() {
		if t.cell.fault != nil {
			fail(t.cell.fault(playing, t))
		}
	})
	load := t.cell.load
	if load == nil {
		load = everyday
	}
	group.Go(func() { fail(load(playing, t)) })
	began := time.Now()
	for playing.Err() == nil {
		rest(playing, 50*time.Millisecond)
		took := time.Since(began)
		enough := t.fired.Load() >= t.want && t.crowd.confirmed.Load() > t.cell.atLeast()
		if took >= length && (enough || took >= max(2*length, lingers, time.Duration(t.want)*perCycle)) {
			break
		}
	}
	end()
	group.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return failed
}

// settleWithin is how long it may take until everything is in order after the last fault.
const settleWithin = 90 * time.Second

// peace ends the fault, sees to it that servers run, and has everybody give up what they still hold.
func (t *theatre) peace(ctx context.Context) error {
	for _, proxy := range []*rig.Proxy{t.postgres, t.redis} {
		if proxy != nil {
			proxy.Heal(ctx)
		}
	}
	if t.cell.keeps { // those that run may be told to die
		for at, p := range t.instances {
			if p != nil {
				t.servers.set(at, "")
				if err := p.Kill(); err != nil {
					return err
				}
			}
		}
		if err := t.quiet(ctx); err != nil {
			return err
		}
		if _, err := t.start(ctx, 0); err != nil {
			return err
		}
	}
	for _, p := range t.instances {
		if err := rig.AwaitReady(ctx, p); err != nil {
			return err
		}
	}
	t.crowd.resolve(ctx, t.clients)
	entries, err := t.crowd.journal.Entries()
	if err != nil {
		return err
	}
	persons := map[uuid.UUID]bool{}
	for _, e := range entries {
		if e.Op == journal.Hold {
			persons[e.Person] = true
		}
	}
	everybody := t.stage.People.Taken()
	work := make(chan rig.Person)
	var group sync.WaitGroup
	for range t.clients {
		group.Go(func() {
			for p := range work {
				t.crowd.release(ctx, p, "")
			}
		})
	}
	for _, p := range everybody {
		if persons[p.ID] {
			work <- p
		}
	}
	close(work)
	group.Wait()
	return ctx.Err()
}

// quiet waits until Postgres has finished what a server that is dead had sent it: a commit may outlive who asked for it.
func (t *theatre) quiet(ctx context.Context) error {
	for deadline := time.Now().Add(settleWithin); ; rest(ctx, 20*time.Millisecond) {
		var busy int
		if err := t.rig.Pool.QueryRow(ctx, `
			SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'`).Scan(&busy); err != nil {
			return fmt.Errorf("waiting for Postgres to finish: %w", err)
		}
		if busy == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("Postgres doesn't finish what a dead server sent it")
		}
	}
}
