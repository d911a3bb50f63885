package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"jari/cmd/surge/check"
	"jari/cmd/surge/journal"
	"jari/cmd/surge/rig"
	"jari/internal/fault"
	"jari/internal/slot"
)

// The sizes of a stage.
const (
	mainSlots    = 12
	mainCapacity = 38
	// crowdSize is about 1.3 persons for a unit.
	crowdSize = mainSlots * mainCapacity * 13 / 10
	// devices is the share of persons who ask on two devices at the same time.
	devices = .05
	// pairs are the small histories that a cell has room for, and inPair the persons of one, for two places.
	pairs, inPair = 48, 3
	// pairsAtOnce run beside each other.
	pairsAtOnce = 2
	pairTurns   = 6
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

// everyday is the load of most cells: people book, move, cancel and read, more of them than there are places.
func everyday(ctx context.Context, t *theatre) error {
	type device struct {
		citizen
		mu sync.Mutex
	}
	var all []*device
	for range crowdSize {
		p, ok := t.stage.People.Take()
		if !ok {
			return errors.New("there are too few people")
		}
		all = append(all, &device{citizen: citizen{person: p}})
		if rand.Float64() < devices { //nolint:gosec // a habit
			all[len(all)-1].shared = true
			all = append(all, &device{citizen: citizen{person: p, shared: true}})
		}
	}
	var group sync.WaitGroup
	for range max(1, t.clients-pairsAtOnce*inPair) {
		group.Go(func() {
			for ctx.Err() == nil {
				z := all[rand.IntN(len(all))] //nolint:gosec // anybody
				if !z.mu.TryLock() {
					continue
				}
				t.crowd.turn(ctx, &z.citizen, t.stage.Main[rand.IntN(len(t.stage.Main))]) //nolint:gosec // any slot
				z.mu.Unlock()
				think(ctx)
			}
		})
	}
	var next atomic.Int64
	for range pairsAtOnce {
		group.Go(func() {
			for n := int(next.Add(1)) - 1; n < pairs && ctx.Err() == nil; n = int(next.Add(1)) - 1 {
				t.history(ctx, n)
				rest(ctx, 100*time.Millisecond)
			}
		})
	}
	group.Wait()
	return nil
}

// history is a small one: a few people and two places.
func (t *theatre) history(ctx context.Context, n int) {
	slots := t.stage.Pairs[2*n : 2*n+2]
	var group sync.WaitGroup
	for range inPair {
		p, ok := t.stage.People.Take()
		if !ok {
			return
		}
		group.Go(func() {
			z := citizen{person: p, group: strconv.Itoa(n)}
			for range pairTurns {
				if ctx.Err() != nil {
					return
				}
				t.crowd.turn(ctx, &z, slots[rand.IntN(len(slots))]) //nolint:gosec // either
				think(ctx)
			}
		})
	}
	group.Wait()
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

// slots reads the stage's slots.
func (t *theatre) slots(ctx context.Context) ([]check.Slot, error) {
	rows, err := t.rig.Pool.Query(ctx, `
		SELECT slot_id, capacity, booked, state, version, (SELECT generation::text FROM store_generation)
		FROM slots WHERE campaign_id = $1 ORDER BY slot_id`, t.stage.ID)
	if err != nil {
		return nil, fmt.Errorf("reading the slots: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[check.Slot])
}

func (t *theatre) bookings(ctx context.Context) ([]check.Booking, error) {
	rows, err := t.rig.Pool.Query(ctx, `
		SELECT booking_id, hold_id, person_id, coalesce(replaces, '00000000-0000-0000-0000-000000000000'), slot_id,
			status, coalesce(void_reason, ''), coalesce(reference, '')
		FROM bookings WHERE campaign_id = $1`, t.stage.ID)
	if err != nil {
		return nil, fmt.Errorf("reading the bookings: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (b check.Booking, err error) {
		err = row.Scan(&b.ID, &b.Hold, &b.Person, &b.Replaces, &b.Slot, &b.Status, &b.Reason, &b.Reference)
		return b, err
	})
}

// copies reads what Redis has of the slots.
func (t *theatre) copies(ctx context.Context, slots []check.Slot) (map[int64]check.Copy, error) {
	copies := map[int64]check.Copy{}
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	for _, s := range slots {
		id := strconv.FormatInt(s.ID, 10)
		text, err := t.rig.Redis.Get(ctx, "{"+t.stage.ID+"}:copy:"+id).Result()
		switch {
		case errors.Is(err, redis.Nil):
			continue
		case err != nil:
			return nil, fmt.Errorf("reading the copies: %w", err)
		}
		c, err := slot.ParseCopy(s.ID, text)
		if err != nil {
			return nil, err
		}
		holds, err := t.rig.Redis.ZCount(ctx, "{"+t.stage.ID+"}:holds:"+id, now, "+inf").Result()
		if err != nil {
			return nil, fmt.Errorf("reading the holds: %w", err)
		}
		copies[s.ID] = check.Copy{Slot: check.Slot{
			ID: s.ID, Capacity: c.Capacity, Booked: c.Booked, State: string(c.State), Version: c.Version, Generation: c.Generation,
		}, Holds: int(holds)}
	}
	return copies, nil
}

// sell offers everything that is left, and one unit more of some slots.
func (t *theatre) sell(ctx context.Context, before []check.Slot) (left, sold map[int64]int, extra []check.Violation) {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	left, sold = map[int64]int{}, map[int64]int{}
	var offers []int64
	for _, s := range before {
		left[s.ID] = s.Capacity - s.Booked
		for range left[s.ID] {
			offers = append(offers, s.ID)
		}
	}
	rand.Shuffle(len(offers), func(i, j int) { offers[i], offers[j] = offers[j], offers[i] }) //nolint:gosec // in any order
	var mu sync.Mutex
	t.each(offers, func(slot int64) {
		if t.buy(ctx, slot, true) {
			mu.Lock()
			sold[slot]++
			mu.Unlock()
		}
	})
	var further []int64
	for _, s := range before {
		if len(further) < 24 || rand.IntN(8) == 0 { //nolint:gosec // a sample
			further = append(further, s.ID)
		}
	}
	t.each(further, func(slot int64) {
		if t.buy(ctx, slot, false) {
			mu.Lock()
			extra = append(extra, check.Violation{Invariant: check.SoldOut, What: fmt.Sprintf("slot %d was sold out, and sold once more", slot)})
			mu.Unlock()
		}
	})
	return left, sold, extra
}

// each works slots off, as many at a time as there are clients.
func (t *theatre) each(slots []int64, f func(int64)) {
	work := make(chan int64)
	var group sync.WaitGroup
	for range t.clients {
		group.Go(func() {
			for s := range work {
				f(s)
			}
		})
	}
	for _, s := range slots {
		work <- s
	}
	close(work)
	group.Wait()
}

// buy books a slot for somebody new; patiently: a place that is held by nobody any more may take a while to be free.
func (t *theatre) buy(ctx context.Context, slot int64, patiently bool) bool {
	p, ok := t.stage.People.Take()
	for ok && ctx.Err() == nil {
		a := t.crowd.hold(ctx, p, "", slot, uuid.Nil, uuid.Nil)
		if a.status == http.StatusOK {
			b := t.crowd.confirm(ctx, p, "", a.hold)
			return b.status == http.StatusOK || b.status == http.StatusCreated
		}
		if !patiently && a.code == fault.CodeSlotFull {
			return false
		}
		rest(ctx, 250*time.Millisecond)
	}
	return false
}

// judge reads the tables and says what came of the cell.
func (t *theatre) judge(ctx context.Context, began, ended time.Time) (o outcome, err error) {
	o = outcome{Cell: t.cell.name, Injects: t.cell.injects, Fired: t.fired.Load(), Violations: map[int]int{}}
	wrong := func(all ...check.Violation) {
		for _, v := range all {
			o.Violations[v.Invariant]++
			if len(o.Examples) < 12 {
				o.Examples = append(o.Examples, v)
			}
		}
	}
	before, err := t.slots(ctx)
	if err != nil {
		return o, err
	}
	left, sold, extra := t.sell(ctx, before)
	wrong(extra...)
	after, err := t.slots(ctx)
	if err != nil {
		return o, err
	}
	wrong(check.Sale(left, sold, after)...)
	var differs []check.Violation
	for deadline := time.Now().Add(15 * time.Second); ; rest(ctx, 200*time.Millisecond) {
		copies, err := t.copies(ctx, after)
		if err != nil {
			return o, err
		}
		if differs = check.Rest(after, copies); len(differs) == 0 || time.Now().After(deadline) || ctx.Err() != nil {
			break
		}
	}
	wrong(differs...)
	rows, err := t.bookings(ctx)
	if err != nil {
		return o, err
	}
	entries, err := t.crowd.journal.Entries()
	if err != nil {
		return o, err
	}
	result := check.Judge(check.Facts{Entries: entries, Slots: after, Bookings: rows, Excuses: t.cell.excuses})
	wrong(result.Violations...)
	o.Broken = result.Broken
	capacity := map[int64]int{}
	for _, s := range after {
		capacity[s.ID] = s.Capacity
	}
	histories, unordered := check.Linearize(entries, capacity, t.cell.excuses)
	o.Histories = histories
	wrong(unordered...)
	if t.cell.tries > 0 && t.crowd.tries > t.cell.tries {
		wrong(check.Violation{Invariant: check.Served, What: fmt.Sprintf("a request had to be sent %d times", t.crowd.tries)})
	}
	for what, n := range maps.All(t.crowd.strange) {
		wrong(check.Violation{Invariant: check.Served, What: fmt.Sprintf("%s, %d times", what, n)})
	}
	deadlocks, err := t.countDeadlocks(ctx)
	if err != nil {
		return o, err
	}
	if deadlocks > t.deadlocks {
		wrong(check.Violation{Invariant: check.Served, What: fmt.Sprintf("Postgres broke %d deadlocks", deadlocks-t.deadlocks)})
	}
	o.count(entries, began, ended)
	if t.lobby != nil {
		if err := t.judgeRoom(ctx, entries, &o, wrong); err != nil {
			return o, err
		}
	}
	switch {
	case o.Confirmed < t.cell.atLeast():
		o.TooLittle = fmt.Sprintf("%d bookings were confirmed under load, and %d are needed for the cell to mean something", o.Confirmed, t.cell.atLeast())
	case o.Fired < t.want:
		o.TooLittle = fmt.Sprintf("the fault was fired %d times instead of %d", o.Fired, t.want)
	case t.cell.loses && o.Lost+o.NotNow == 0:
		o.TooLittle = "no client noticed the fault"
	case t.cell.load == nil && histories < 2:
		o.TooLittle = fmt.Sprintf("there were %d small histories", histories)
	}
	return o, ctx.Err()
}
