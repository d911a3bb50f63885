package waitingroom

import (
	"testing"

	"github.com/google/uuid"

	"jari/internal/postgres"
	"jari/test/storetest"
)

// A leader that stood still goes on with what it read before; by then another leads, and nothing that the first wants to
// write is written, whether it is less or more.
func TestWhoLeadsNoMoreWritesNothing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pool, err := postgres.Open(ctx, storetest.PostgresURL(t), postgres.Options{MaxConnections: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := ensure(ctx, pool, []string{"r"}); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(ctx, `UPDATE rooms SET state = 'open', numbers = 100`); err != nil {
		t.Fatal(err)
	}
	first, second := uuid.New(), uuid.New()
	old, err := takeLead(ctx, pool, "r", first)
	if err != nil || old == nil {
		t.Fatalf("nobody led, and the lead wasn't given: %v", err)
	}
	if r, err := takeLead(ctx, pool, "r", second); err != nil || r != nil {
		t.Fatalf("two lead: %v", err)
	}
	if _, err := pool.Exec(ctx, `UPDATE rooms SET leader_until = clock_timestamp() - interval '1 millisecond'`); err != nil {
		t.Fatal(err)
	}
	if moved, err := advance(ctx, pool, old, first, 3, 0); err != nil || moved {
		t.Errorf("after the end of the lease, before another leads: %v %v", moved, err)
	}
	now, err := takeLead(ctx, pool, "r", second)
	if err != nil || now == nil {
		t.Fatalf("after the end of a lease nobody else may lead: %v", err)
	}
	if moved, err := advance(ctx, pool, now, second, 10, 2); err != nil || !moved {
		t.Fatalf("who leads can't call anybody: %v", err)
	}
	for _, serving := range []uint64{5, 10, 40} {
		if moved, err := advance(ctx, pool, old, first, serving, 0); err != nil || moved {
			t.Errorf("who led before calls up to %d: %v %v", serving, moved, err)
		}
	}
	// Nor does who leads write what follows from something that isn't so any more.
	if moved, err := advance(ctx, pool, now, second, 30, 2); err != nil || moved {
		t.Errorf("who leads goes on from what was long ago: %v %v", moved, err)
	}
	var serving, late uint64
	if err := pool.QueryRow(ctx, `SELECT serving, late_serving FROM rooms`).Scan(&serving, &late); err != nil || serving != 10 || late != 2 {
		t.Errorf("%d and %d are called (%v)", serving, late, err)
	}
}

// What is served never goes back in the table either, whoever writes.
func TestTheRowRefusesToGoBack(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pool, err := postgres.Open(ctx, storetest.PostgresURL(t), postgres.Options{MaxConnections: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := ensure(ctx, pool, []string{"r"}); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(ctx, `UPDATE rooms SET state = 'open', registered = 3, numbers = 5, late_numbers = 2, serving = 4, late_serving = 1, open_ms = 9`); err != nil {
		t.Fatal(err)
	}
	for _, back := range []string{
		"serving = 3", "late_serving = 0", "numbers = 4", "late_numbers = 1", "registered = 2", "open_ms = 8", "state = 'drawing'", "state = 'scheduled'",
	} {
		if _, err := pool.Exec(ctx, `UPDATE rooms SET `+back); err == nil {
			t.Errorf("a room takes %s", back)
		}
	}
}
