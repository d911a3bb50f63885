//go:build unix

package migrations_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/internal/httpapi"
	"jari/internal/postgres"
	"jari/migrations"
	"jari/test/jaritest"
)

// withNext are the embedded migrations and one more, of the kind that a release brings: it touches the tables that bookings
// are made in.
func withNext(t *testing.T) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		raw, err := fs.ReadFile(migrations.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: raw}
	}
	for name, text := range map[string]string{
		"900001_columns": `ALTER TABLE bookings ADD COLUMN next_note text;
			ALTER TABLE slots ADD COLUMN next_note text;
			ALTER TABLE persons ADD COLUMN next_note text;
			ALTER TABLE bookings ADD CONSTRAINT bookings_next_note CHECK (length(next_note) < 10) NOT VALID`,
		"900002_validated": `ALTER TABLE bookings VALIDATE CONSTRAINT bookings_next_note`,
		"900003_index":     `CREATE INDEX CONCURRENTLY slots_next_note ON slots (next_note)`,
	} {
		if found := dangers(text); len(found) > 0 {
			t.Fatalf("the test itself does what migrations mustn't: %q", found)
		}
		files[name+".up.sql"] = &fstest.MapFile{Data: []byte(text)}
		files[name+".down.sql"] = &fstest.MapFile{Data: []byte("SELECT 1")}
	}
	return files
}

// migration_under_load: while people book, and a long report holds the tables that the migration must change, the migration
// neither makes them wait behind it nor fails any of them beyond one retry, and is done when the report is.
func TestMigrationUnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("migration_under_load", func(t *testing.T) {
		t.Parallel()
		s := jaritest.Start(t)
		crowd := s.NewCrowd(t, 60, jaritest.BornForE3)
		slots := s.Slots(t, jaritest.SiteOfMany, "2021-07-27")

		// What a backup or somebody's report does: it reads for a long time.
		report, err := s.Pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = report.Rollback(context.WithoutCancel(t.Context())) }()
		if _, err := report.Exec(t.Context(), `LOCK TABLE bookings, slots, persons IN ACCESS SHARE MODE`); err != nil {
			t.Fatal(err)
		}
		migrated := make(chan error, 1)
		go func() {
			migrated <- postgres.MigrateFrom(context.WithoutCancel(t.Context()), s.Variable("JARI_POSTGRES_URL"), withNext(t))
		}()

		var booked, retried, waits atomic.Int64
		var longest atomic.Int64
		ask := func(c *jaritest.Citizen, q jaritest.Request, want int) (got jaritest.Response) {
			for try := range 2 {
				began := time.Now()
				got = s.Send(t, q)
				took := int64(time.Since(began))
				for {
					old := longest.Load()
					if took <= old || longest.CompareAndSwap(old, took) {
						break
					}
				}
				if got.Status == want {
					return got
				}
				if try == 0 {
					retried.Add(1)
				}
			}
			t.Errorf("a request fails twice: %s %s is answered %d %s", q.Method, q.Path, got.Status, got.Body)
			return got
		}
		var all sync.WaitGroup
		next := atomic.Int64{}
		for range 4 {
			all.Go(func() {
				for {
					n := int(next.Add(1)) - 1
					if n >= len(crowd) {
						return
					}
					c := crowd[n]
					// The second half waits until the migration has met the report, so that it books while that waits.
					if n >= len(crowd)/2 {
						waits.Add(1)
						for meets(t, s) == 0 && len(migrated) == 0 {
							if t.Context().Err() != nil {
								return
							}
						}
					}
					var h httpapi.Hold
					got := ask(c, c.Request(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(slots[n%len(slots)].ID)), http.StatusOK)
					got.Into(t, &h)
					ask(c, c.Request(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": h.HoldToken}), http.StatusCreated)
					booked.Add(1)
				}
			})
		}
		all.Wait()
		select {
		case err := <-migrated:
			t.Fatalf("the migration went through a table that is being read: %v", err)
		default:
		}
		if err := report.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-migrated:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(2 * time.Minute):
			t.Fatal("the migration doesn't go on when the report is done")
		}
		s.CheckBooks(t)
		if applied, dirty, err := postgres.Applied(t.Context(), s.Pool); err != nil || dirty || applied != 900003 {
			t.Errorf("the schema is at %d, dirty %v, %v", applied, dirty, err)
		}
		if int(booked.Load()) != len(crowd) || waits.Load() == 0 {
			t.Errorf("%d of %d booked", booked.Load(), len(crowd))
		}
		t.Logf("%d booked beside the migration, %d requests sent twice, the longest took %s", booked.Load(), retried.Load(), time.Duration(longest.Load()))
		// And the instance of the release before goes on with the new schema.
		c := s.NewCitizen(t, jaritest.BornForE3)
		c.MustBook(t, s.Slots(t, jaritest.SiteOfMany, "2021-08-03")[0].ID)
	})
}

// meets counts sessions that wait for a lock on a whole table.
func meets(t *testing.T, s *jaritest.Server) (n int) {
	t.Helper()
	err := s.Pool.QueryRow(t.Context(), `
		SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation' AND mode = 'AccessExclusiveLock'
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) && t.Context().Err() == nil {
		t.Error(err)
	}
	return n
}
