package booking

import (
	"context"
	"sync"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/slot"
	"jari/internal/token"
	"jari/test/storetest"
)

// brief is a bench of one lane where nobody waits long.
func brief(t *testing.T, redis holds) bench {
	t.Helper()
	limit := BatchLimits{Rows: 2, Lanes: 1, Queue: 100, Wait: 300 * time.Millisecond}
	return setupWith(t, storetest.Postgres(t), redis, limit, 100)
}

// TestWhoWaitsTooLongIsToldSoAndDecidedAllTheSame, in the flush that can't go on as well as behind it.
func TestWhoWaitsTooLongIsToldSoAndDecidedAllTheSame(t *testing.T) {
	t.Parallel()
	b := brief(t, noRedis{})
	// The commit waits for somebody, which has no deadline: the row is locked only when it is inserted.
	person := newPerson(t, b.pool)
	stopper, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stopper.Rollback(t.Context()) }()
	const same = `INSERT INTO bookings (campaign_id, booking_id, hold_id, slot_id, person_id, actor_id, status, reference, series_id,
		wave_id, rules_version, judged_at, held_at)
		VALUES ('night', gen_random_uuid(), gen_random_uuid(), 1, $1, $1, 'active', 'x', gen_random_uuid(), 'E3', 1, now(), now())`
	if _, err := stopper.Exec(t.Context(), same, person); err != nil {
		t.Fatal(err)
	}
	stuck := heldBy(person, 1)
	behind := []token.Hold{stuck}
	for range 5 {
		behind = append(behind, b.held(t, 1))
	}
	l := b.lane(1)
	until := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			l.mu.Lock()
			done := is()
			l.mu.Unlock()
			if done {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	var waiting sync.WaitGroup
	for _, h := range behind {
		waiting.Go(func() {
			if _, _, err := b.confirm(t.Context(), h); fault.CodeOf(err) != fault.CodeOutcomeUnknown {
				t.Errorf("told %v", err)
			}
		})
		until("no flush has begun", func() bool { return len(l.flying) > 0 }) // the first one, with whom it stops
	}
	waiting.Wait()
	if err := stopper.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, b.pool, `SELECT count(*) FROM bookings WHERE status = 'active'`); n != len(behind) {
		t.Errorf("%d of %d who were told nothing were decided", n, len(behind))
	}
	b.consistent(t)
	// Nobody waits any more, so nothing is left running.
	until("the lane's timer goes on", func() bool { return l.overdue == nil && !l.busy })
	if got := b.mustConfirm(t, b.held(t, 1)); got.Status != Active {
		t.Errorf("the next one is %+v", got)
	}
}

// deafRedis doesn't answer a push until it is let.
type deafRedis struct {
	noRedis

	answers chan struct{}
}

func (d deafRedis) Push(context.Context, string, []slot.Copy, map[int64][]slot.Decided) error {
	<-d.answers
	return nil
}

// TestWhoCancelsIsToldInTimeToo, also while Redis is told of it, which comes first.
func TestWhoCancelsIsToldInTimeToo(t *testing.T) {
	t.Parallel()
	deaf := deafRedis{answers: make(chan struct{})}
	answer := sync.OnceFunc(func() { close(deaf.answers) })
	b := brief(t, deaf)
	defer answer() // before the lane is closed, which waits for it, also where the test fails
	booked := b.mustConfirm(t, b.held(t, 1))
	if _, err := b.cancel(t.Context(), booked, booked.Person); fault.CodeOf(err) != fault.CodeOutcomeUnknown {
		t.Errorf("told %v", err)
	}
	if n := count(t, b.pool, `SELECT count(*) FROM bookings WHERE status = 'cancelled'`); n != 1 {
		t.Errorf("%d cancelled", n)
	}
	answer()
	if err := b.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l := b.lane(1); len(l.untold) != 0 {
		t.Errorf("%d are kept although they have been told", len(l.untold))
	}
	b.consistent(t)
}
