//go:build unix

package storetest_test

import (
	"fmt"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"jari/internal/localstores"
	"jari/test/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryTestHasItsOwnMigratedDatabase(t *testing.T) {
	t.Parallel()
	for i := range 3 {
		t.Run(fmt.Sprintf("clone %d is migrated and empty", i), func(t *testing.T) {
			t.Parallel()
			pool := storetest.Postgres(t)
			var migrated bool
			const query = "SELECT EXISTS (SELECT FROM pg_tables WHERE tablename = 'bookings')"
			if err := pool.QueryRow(t.Context(), query).Scan(&migrated); err != nil || !migrated {
				t.Fatalf("the clone has bookings: %v (%v)", migrated, err)
			}
			// The same name in each: were they one database, the second would fail.
			if _, err := pool.Exec(t.Context(), "CREATE TABLE mine (id int)"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestATestsDatabaseIsGoneAfterIt(t *testing.T) {
	t.Parallel()
	var gone string
	t.Run("a test that stays connected", func(t *testing.T) { // Not parallel: the next lines need its end.
		pool := storetest.Postgres(t)
		if err := pool.QueryRow(t.Context(), "SELECT current_database()").Scan(&gone); err != nil {
			t.Fatal(err)
		}
	})
	var exists bool
	const query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
	if err := storetest.Postgres(t).QueryRow(t.Context(), query, gone).Scan(&exists); err != nil || exists {
		t.Fatalf("%s is still there: %v (%v)", gone, exists, err)
	}
}

func TestEveryTestHasItsOwnRedisDatabase(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[int]bool{}
	for i := range 20 {
		t.Run(fmt.Sprintf("database %d is nobody else's", i), func(t *testing.T) {
			t.Parallel()
			client := storetest.Redis(t)
			mu.Lock()
			number := client.Options().DB
			if number == 0 {
				t.Error("database 0 belongs to the claims")
			}
			seen[number] = true
			mu.Unlock()
			if fresh, err := client.SetNX(t.Context(), "mine", 1, 0).Result(); err != nil || !fresh {
				t.Fatalf("the database wasn't empty (%v)", err)
			}
		})
	}
}

func TestAPrivatePairMayBeKilled(t *testing.T) {
	t.Parallel()
	stores := storetest.Private(t, localstores.Options{})
	for _, store := range []*localstores.Store{stores.Postgres(), stores.Redis()} {
		if err := store.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if store.Pid() != 0 {
			t.Fatal("it lives on")
		}
		if err := store.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
