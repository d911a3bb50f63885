package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"jari/test/storetest"
)

// TestOneBrokenConnectionIsToldToOneCallerOnly ends all connections of a pool, as a restart of the server does.
func TestOneBrokenConnectionIsToldToOneCallerOnly(t *testing.T) {
	t.Parallel()
	address := storetest.EmptyPostgresURL(t)
	pool, other := open(t, address), open(t, address)
	exec(t, other, `SELECT 1`) // so that it is there before the others are ended
	fill := func() {
		var all []*pgxpool.Conn
		for range 4 {
			c, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, c)
		}
		for _, c := range all {
			c.Release()
		}
	}
	// Right after they were used, nobody has a reason to doubt them. On a machine that dawdles a second has passed and they
	// are asked anyway; then once more.
	for told := false; !told; {
		fill()
		endAll(t, other)
		_, err := pool.Exec(t.Context(), `SELECT 1`)
		told = err != nil
	}
	eventually(t, func() bool { return pool.Stat().TotalConns() < 4 })
	for n := range 4 {
		if _, err := pool.Exec(t.Context(), `SELECT 1`); err != nil {
			t.Errorf("request %d after the first was told too: %v", n+1, err)
		}
	}
	// What lives is kept: being asked is all that happens to it.
	fill()
	made := pool.Stat().NewConnsCount()
	left, leave := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, leave)
	if _, err := pool.Exec(left, `SELECT pg_sleep(60)`); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	eventually(t, func() bool { return pool.Stat().TotalConns() < 4 })
	for range 6 {
		exec(t, pool, `SELECT 1`)
	}
	if n := pool.Stat().NewConnsCount(); n != made {
		t.Errorf("%d connections were made anew because a caller had left", n-made)
	}
}

// endAll ends all connections to the database but the asking one.
func endAll(t *testing.T, by *pgxpool.Pool) {
	t.Helper()
	exec(t, by, `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it doesn't happen")
		}
	}
}
