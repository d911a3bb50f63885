package slot_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"jari/internal/audit"
	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/localstores"
	"jari/internal/slot"
	"jari/test/jaritest"
	"jari/test/storetest"
)

// reconciler is one of its own, with what it found last.
type reconciler struct {
	*slot.Reconciler
	found []slot.Sweep
}

func (h *house) reconciler(t *testing.T, client *redis.Client) *reconciler {
	t.Helper()
	r := &reconciler{}
	r.Reconciler = slot.NewReconciler(h.pool, client, clock.NewSystem(time.Until(night)), slog.New(slog.DiscardHandler),
		func(s slot.Sweep) { r.found = append(r.found, s) })
	return r
}

func (r *reconciler) tick(t *testing.T) {
	t.Helper()
	if err := r.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// until ticks until it holds: transactions of other tests in the same Postgres hold up what counts as over.
func (r *reconciler) until(t *testing.T, claim string, holds func() bool) {
	t.Helper()
	jaritest.Eventually(t, 30*time.Second, claim, func() bool {
		r.tick(t)
		return holds()
	})
}

// booked changes a slot as somebody does who dies before Redis is told.
func (h *house) booked(t *testing.T, id int64, booked int) {
	t.Helper()
	if _, err := h.pool.Exec(t.Context(), `UPDATE slots SET booked = $2, version = version + 1 WHERE slot_id = $1`, id, booked); err != nil {
		t.Fatal(err)
	}
}

func copyIn(t *testing.T, client *redis.Client, id int64) slot.Copy {
	t.Helper()
	text, err := client.Get(t.Context(), fmt.Sprintf("{night}:copy:%d", id)).Result()
	if err != nil {
		t.Fatalf("the copy of slot %d: %v", id, err)
	}
	c, err := slot.ParseCopy(id, text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAChangeWhoseWriterDiedReachesRedis(t *testing.T) {
	t.Parallel()
	h := setup(t, 3)
	place := h.places(t, "here")[0]
	r := h.reconciler(t, h.redis)
	r.tick(t)
	if got := copyIn(t, h.redis, place.ID).Booked; got != 0 {
		t.Fatalf("booked %d after the first sweep", got)
	}
	h.booked(t, place.ID, 2)
	r.until(t, "the copy says 2 booked", func() bool { return copyIn(t, h.redis, place.ID).Booked == 2 })
	if len(r.found) != 1 {
		t.Fatalf("%d sweeps: the change was to be pushed by itself", len(r.found))
	}
}

func TestAChangeThatCommitsLateIsPushedToo(t *testing.T) {
	t.Parallel()
	h := setup(t, 3)
	places := h.places(t, "here")
	r := h.reconciler(t, h.redis)
	r.tick(t)
	// The first to begin is the last to commit.
	slow, err := h.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Exec(t.Context(), `UPDATE slots SET booked = 1, version = version + 1 WHERE slot_id = $1`, places[0].ID); err != nil {
		t.Fatal(err)
	}
	h.booked(t, places[1].ID, 2)
	r.tick(t)
	if err := slow.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.until(t, "the copies say 1 and 2 booked", func() bool {
		return copyIn(t, h.redis, places[0].ID).Booked == 1 && copyIn(t, h.redis, places[1].ID).Booked == 2
	})
	if len(r.found) != 1 {
		t.Fatalf("%d sweeps: the changes were to be pushed by themselves", len(r.found))
	}
}

func TestDriftIsSeenAndMended(t *testing.T) {
	t.Parallel()
	h := setup(t, 3)
	place := h.places(t, "here")[0]
	r := h.reconciler(t, h.redis)
	sweep := func() slot.Sweep {
		t.Helper()
		s, err := r.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	r.tick(t)
	if s := sweep(); s.Slots != 9 || s.Drift != 0 {
		t.Fatalf("at rest: %+v", s)
	}
	old := "99|0|open|0|" + copyIn(t, h.redis, place.ID).Generation
	if err := h.redis.Set(t.Context(), fmt.Sprintf("{night}:copy:%d", place.ID), old, redis.KeepTTL).Err(); err != nil {
		t.Fatal(err)
	}
	if s := sweep(); s.Drift != 1 {
		t.Fatalf("an old copy isn't seen: %+v", s)
	}
	if s := sweep(); s.Drift != 0 || copyIn(t, h.redis, place.ID).Capacity != 3 {
		t.Fatalf("an old copy isn't mended: %+v", s)
	}
}

func TestOneInstanceReconciles(t *testing.T) {
	t.Parallel()
	h := setup(t, 3)
	first, second := h.reconciler(t, h.redis), h.reconciler(t, h.redis)
	first.tick(t)
	second.tick(t)
	first.tick(t)
	if len(first.found) != 1 || len(second.found) != 0 {
		t.Fatalf("%d and %d sweeps, want 1 and 0", len(first.found), len(second.found))
	}
	// The holder vanishes: its term ends by Postgres's clock.
	if _, err := h.pool.Exec(t.Context(), `UPDATE leases SET until = clock_timestamp() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	second.tick(t)
	first.tick(t)
	if len(first.found) != 1 || len(second.found) != 1 {
		t.Fatalf("%d and %d sweeps after the holder vanished, want 1 and 1", len(first.found), len(second.found))
	}
	// Stopping gives the lease up, so nobody waits for its end.
	stopped, stop := context.WithCancel(t.Context())
	stop()
	second.Watch(stopped)
	first.tick(t)
	if len(first.found) != 2 {
		t.Fatalf("%d sweeps: the lease wasn't given up", len(first.found))
	}
}

func TestARedisThatLostItsMemoryIsFilledAgain(t *testing.T) {
	t.Parallel()
	stores := storetest.Private(t, localstores.Options{})
	h := setup(t, 3)
	client := redisAt(t, stores.RedisURL())
	place := h.places(t, "here")[0]
	r := h.reconciler(t, client)
	r.tick(t)
	snapshot, err := stores.SnapshotRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.booked(t, place.ID, 1)
	r.tick(t)
	for _, c := range []struct {
		name   string
		breaks func() error
	}{
		{"restarted empty", func() error { return stores.Redis().Restart(t.Context()) }},
		{"restored from an old snapshot", func() error { return stores.RestartRedisFrom(t.Context(), snapshot) }},
	} {
		sweeps := len(r.found)
		if err := c.breaks(); err != nil {
			t.Fatal(err)
		}
		if err := r.Tick(t.Context()); err != nil {
			r.tick(t) // the first may find the old connection cut
		}
		if len(r.found) != sweeps+1 || copyIn(t, client, place.ID).Booked != 1 {
			t.Fatalf("%s: %d sweeps more, %d booked", c.name, len(r.found)-sweeps, copyIn(t, client, place.ID).Booked)
		}
	}
	if last := r.found[len(r.found)-1]; last.Drift != 1 {
		t.Fatalf("the old snapshot had one old copy: %+v", last)
	}
}

func TestSlotsAreChangedAtOnce(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	place := h.places(t, "here")[0]
	number := func(n int) *int { return &n }
	state := func(s slot.State) *slot.State { return &s }
	change := func(c slot.Change) (slot.Copy, error) {
		return h.Change(audit.With(t.Context(), audit.System, ""), "night", place.ID, c)
	}
	must := func(c slot.Change) slot.Copy {
		t.Helper()
		now, err := change(c)
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	try := func() error {
		_, err := h.Place(t.Context(), h.wish(place, uuid.New()))
		return err
	}
	h.place(t, h.wish(place, uuid.New()))
	refused(t, try(), fault.CodeSlotFull)
	before := must(slot.Change{Capacity: number(2)})
	if err := try(); err != nil {
		t.Fatalf("a place was added: %v", err)
	}
	refused(t, try(), fault.CodeSlotFull)
	if again := must(slot.Change{Capacity: number(2)}); again != before {
		t.Fatalf("the same change again changed something: %+v, then %+v", before, again)
	}
	must(slot.Change{Capacity: number(9), State: state(slot.Closed)})
	refused(t, try(), fault.CodeSlotClosed)
	must(slot.Change{State: state(slot.Unreleased)})
	refused(t, try(), fault.CodeSlotClosed)
	must(slot.Change{State: state(slot.Open)})
	if err := try(); err != nil {
		t.Fatalf("a slot that was released: %v", err)
	}

	h.booked(t, place.ID, 3)
	_, err := change(slot.Change{Capacity: number(2), State: state(slot.Closed)})
	e := refused(t, err, fault.CodeCapacityBelowBooked)
	if now, ok := e.Extra.(slot.Copy); !ok || now.Booked != 3 {
		t.Fatalf("the refusal doesn't say how many are booked: %+v", e.Extra)
	}
	if now := must(slot.Change{}); now.Capacity != 9 || now.State != slot.Open {
		t.Fatalf("the refusal changed something: %+v", now)
	}
	_, err = h.Change(audit.With(t.Context(), audit.System, ""), "night", 999_999, slot.Change{Capacity: number(2)})
	refused(t, err, fault.CodeSlotNotFound)
}
