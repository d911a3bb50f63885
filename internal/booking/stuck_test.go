package booking

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"jari/internal/fault"
	"jari/internal/postgres"
	"jari/internal/token"
	"jari/test/storetest"
)

// impatient is a bench of one lane which waits for locked rows for a moment.
func impatient(t *testing.T, wait time.Duration) bench {
	t.Helper()
	limit := BatchLimits{Rows: 2, Lanes: 1, Queue: 100, Wait: wait, Lock: 20 * time.Millisecond}
	return setupWith(t, storetest.Postgres(t), noRedis{}, limit, 100, 100, 100)
}

// locked has rows locked until the returned function is called, or until the test ends.
func (b bench) locked(t *testing.T, sql string, args ...any) (unlock func()) {
	t.Helper()
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	if _, err := tx.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestALockedRowKeepsOnlyThoseWhoWantIt waiting: at a console, or in a change of many slots, somebody has a row for long, and all who
// confirm go through one lane.
func TestALockedRowKeepsOnlyThoseWhoWantIt(t *testing.T) {
	t.Parallel()
	b := impatient(t, time.Minute)
	moves, cancels, other := b.held(t, 1), b.mustConfirm(t, b.held(t, 1)), b.mustConfirm(t, b.held(t, 2))
	old := b.mustConfirm(t, moves)
	beside := b.mustConfirm(t, b.held(t, 3)) // whose own row is locked
	move := heldBy(moves.Person, 2)
	move.Replaces = old.ID
	newcomer := b.held(t, 1)

	slotFree := b.locked(t, `SELECT FROM slots WHERE slot_id = 1 FOR UPDATE`)
	bookingFree := b.locked(t, `SELECT FROM bookings WHERE booking_id = $1 FOR UPDATE`, beside.ID)
	var waiting sync.WaitGroup
	var mu sync.Mutex
	var done []string
	waits := func(what string, do func() (Booking, error), want Status) {
		waiting.Go(func() {
			got, err := do()
			if err != nil || got.Status != want {
				t.Errorf("%s: %v, %v", what, got.Status, err)
			}
			mu.Lock()
			defer mu.Unlock()
			done = append(done, what)
		})
	}
	waits("a newcomer", func() (Booking, error) { got, _, err := b.confirm(t.Context(), newcomer); return got, err }, Active)
	waits("a move away", func() (Booking, error) { got, _, err := b.confirm(t.Context(), move); return got, err }, Active)
	waits("a cancel", func() (Booking, error) { return b.cancel(t.Context(), cancels, cancels.Person) }, Cancelled)
	waits("a cancel of a locked booking", func() (Booking, error) { return b.cancel(t.Context(), beside, beside.Person) }, Cancelled)
	l := b.lane(1)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		inside := len(l.flying) + len(l.waiting)
		l.mu.Unlock()
		if inside == 4 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of 4 are in the lane", inside)
		}
	}

	// Everybody else goes on, again and again.
	for range 3 {
		b.mustConfirm(t, b.held(t, 2))
		b.mustConfirm(t, b.held(t, 3))
	}
	if got, err := b.cancel(t.Context(), other, other.Person); err != nil || got.Status != Cancelled {
		t.Errorf("a cancel elsewhere: %v, %v", got.Status, err)
	}
	mu.Lock()
	if len(done) > 0 {
		t.Errorf("decided without the row's lock: %v", done)
	}
	mu.Unlock()

	slotFree()
	bookingFree()
	waiting.Wait()
	b.consistent(t)
	if n := count(t, b.pool, `SELECT count(*) FROM bookings WHERE slot_id = 1 AND status = 'active'`); n != 1 {
		t.Errorf("slot 1 has %d bookings, want the newcomer's", n)
	}
}

// TestWhoWaitsTooLongForALockedRowIsToldSo, the lane ends meanwhile, and asking again decides.
func TestWhoWaitsTooLongForALockedRowIsToldSo(t *testing.T) {
	t.Parallel()
	b := impatient(t, 300*time.Millisecond)
	booked, h := b.mustConfirm(t, b.held(t, 1)), b.held(t, 1)
	free := b.locked(t, `SELECT FROM slots WHERE slot_id = 1 FOR UPDATE`)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if _, err := b.cancel(t.Context(), booked, booked.Person); fault.CodeOf(err) != fault.CodeOutcomeUnknown {
			t.Errorf("who cancels is told %v", err)
		}
	})
	if _, _, err := b.confirm(t.Context(), h); fault.CodeOf(err) != fault.CodeOutcomeUnknown {
		t.Errorf("who confirms is told %v", err)
	}
	waiting.Wait()
	if err := b.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	free()
	if n := count(t, b.pool, `SELECT count(*) FROM bookings WHERE status = 'active'`); n != 1 {
		t.Errorf("%d bookings, want the old one", n)
	}
	if got := b.mustConfirm(t, h); got.Status != Active {
		t.Errorf("asking again: %v", got.Status)
	}
	b.consistent(t)
}

// TestALockedSlotDoesNotHideWhatWasDecided from who asks again.
func TestALockedSlotDoesNotHideWhatWasDecided(t *testing.T) {
	t.Parallel()
	b := impatient(t, time.Minute)
	h := b.held(t, 1)
	first := b.mustConfirm(t, h)
	defer b.locked(t, `SELECT FROM slots WHERE slot_id = 1 FOR UPDATE`)()
	f, err := flush(t.Context(), b.pool, "night", nil, requestsFor([]token.Hold{b.held(t, 1), h}), how{look: true, patience: 20 * time.Millisecond})
	if err != nil || !f.stuck {
		t.Fatalf("stuck %v, %v", f.stuck, err)
	}
	if got, ok := f.outcomes[h.ID]; !ok || got.ID != first.ID {
		t.Errorf("the first booking isn't found: %v", f.outcomes)
	}
}

// TestSlotsThatNobodyCanLookAtAreWaitedFor, in tries that each end: there is no way around the whole table, and nobody is refused for
// it. The connection has prepared nothing yet, which Postgres does only when the table can be looked at.
func TestSlotsThatNobodyCanLookAtAreWaitedFor(t *testing.T) {
	t.Parallel()
	b := impatient(t, time.Minute)
	lanes, err := postgres.Open(t.Context(), b.pool.Config().ConnString(), postgres.Options{
		MaxConnections: 1, PlanOnce: true, LockTimeout: b.limit.Lock,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.batcher.pool = lanes
	t.Cleanup(lanes.Close)
	tries := make(chan error)
	b.observe = func(_ int, _ time.Duration, err error) {
		select {
		case tries <- err:
		case <-t.Context().Done():
		}
	}
	free := b.locked(t, `LOCK TABLE slots IN ACCESS EXCLUSIVE MODE`)
	answered := make(chan error, 1)
	h := heldBy(uuid.New(), 1)
	go func() {
		_, _, err := b.confirm(t.Context(), h)
		answered <- err
	}()
	try := func() error {
		t.Helper()
		select {
		case err := <-tries:
			return err
		case err := <-answered:
			t.Fatalf("answered before the table was free: %v", err)
		case <-time.After(20 * time.Second):
			t.Fatal("a try doesn't end")
		}
		return nil
	}
	for range 2 {
		if err := try(); !postgres.IsLockTimeout(err) {
			t.Fatalf("a try ended with %v", err)
		}
	}
	free()
	for err := try(); err != nil; err = try() {
		if !postgres.IsLockTimeout(err) {
			t.Fatalf("a try ended with %v", err)
		}
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	if got := count(t, b.pool, `SELECT count(*) FROM bookings WHERE hold_id = $1 AND status = 'active'`, h.ID); got != 1 {
		t.Errorf("%d bookings of the hold", got)
	}
	b.consistent(t)
}
