package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"jari/migrations"
)

// JobSchema is where River keeps the tables of background jobs.
const JobSchema = "river"

// Migrate brings the database at url to the newest schema: Jari's own tables, then River's. Running it on a current
// database changes nothing; instances that do it at the same time wait for each other.
func Migrate(ctx context.Context, url string) error { return MigrateFrom(ctx, url, migrations.FS) }

// MigrateFrom is Migrate with other files than the embedded ones: those with the next migration, in a test.
//
// It may run while servers work. A statement that waits for a lock on a table makes everybody else who comes to that table
// wait behind it, so none waits longer than lockWait: then it steps back, lets the others go on, and tries again.
func MigrateFrom(ctx context.Context, url string, files fs.FS) error {
	return withMigrator(ctx, url, files, func(m *migrator) error {
		if err := m.up(ctx); err != nil {
			return fmt.Errorf("migrating up: %w", err)
		}
		return patiently(ctx, func() error { return m.jobs(ctx, rivermigrate.DirectionUp, nil) })
	})
}

// MigrateDown takes every table away again, with everything in it. It exists for development and for the proof that
// each migration can be undone; production never runs it.
func MigrateDown(ctx context.Context, url string) error {
	return withMigrator(ctx, url, migrations.FS, func(m *migrator) error {
		if _, _, err := m.Version(); err == nil {
			// −1: River removes even its own record of versions.
			if err := m.jobs(ctx, rivermigrate.DirectionDown, &rivermigrate.MigrateOpts{TargetVersion: -1}); err != nil {
				return err
			}
		}
		if err := m.Down(); err != nil && !errors.Is(err, migrate.ErrNoChange) {
			return fmt.Errorf("migrating down: %w", err)
		}
		return nil
	})
}

// Newest is the number of the last migration that this binary carries.
func Newest() (uint, error) {
	files, err := after(migrations.FS, 0)
	if err != nil || len(files) == 0 {
		return 0, err
	}
	return numberOf(files[len(files)-1])
}

// after are the files of all migrations after a version.
func after(from fs.FS, version uint) (files []string, err error) {
	names, err := fs.Glob(from, "*.up.sql")
	if err != nil {
		return nil, fmt.Errorf("reading the embedded migrations: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		n, err := numberOf(name)
		if err != nil {
			return nil, err
		}
		if n > version {
			files = append(files, name)
		}
	}
	return files, nil
}

func numberOf(file string) (uint, error) {
	digits, _, _ := strings.Cut(file, "_")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("migration %s has no number: %w", file, err)
	}
	return uint(n), nil
}

// Applied is the number of the last migration that the database has, 0 if it has none, and whether one broke off halfway.
func Applied(ctx context.Context, pool *pgxpool.Pool) (version uint, dirty bool, err error) {
	err = pool.QueryRow(ctx, `SELECT version, dirty FROM schema_migrations`).Scan(&version, &dirty)
	const undefinedTable = "42P01"
	if pg, ok := errors.AsType[*pgconn.PgError](err); errors.Is(err, pgx.ErrNoRows) || ok && pg.Code == undefinedTable {
		return 0, false, nil // never migrated, or taken down again
	}
	if err != nil {
		return 0, false, Unreachable(fmt.Errorf("reading the schema version: %w", err))
	}
	return version, dirty, nil
}

type jobMigrator func(ctx context.Context, direction rivermigrate.Direction, opts *rivermigrate.MigrateOpts) error

// migrator moves the schema.
type migrator struct {
	*migrate.Migrate
	files fs.FS
	// driver runs a text on the connection that migrations run on.
	driver database.Driver
	jobs   jobMigrator
}

const (
	// lockWait is how long one statement of a migration waits for a lock, and with it whoever comes after it.
	lockWait = 500 * time.Millisecond
	// turnEvery is how often it is asked whether another migrator has ended.
	turnEvery = 100 * time.Millisecond
	// migratePatience is how long a migration tries.
	migratePatience = 3 * time.Minute
)

// up applies what is missing, one migration after the other.
func (m *migrator) up(ctx context.Context) error {
	for {
		version, dirty, err := m.Version()
		if err != nil && !errors.Is(err, migrate.ErrNilVersion) {
			return err
		}
		if dirty {
			return migrate.ErrDirty{Version: int(version)}
		}
		files, err := after(m.files, version)
		if err != nil || len(files) == 0 {
			return err
		}
		before := int(version)
		if version == 0 {
			before = database.NilVersion
		}
		if err := m.limitWaiting(files[0]); err != nil {
			return err
		}
		err = patiently(ctx, func() error {
			err := m.Steps(1)
			if isLockTimeout(err) {
				// The file was one transaction, which is rolled back: nothing of it is there.
				return errors.Join(err, m.Force(before))
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", files[0], err)
		}
	}
}

// limitWaiting sets how long the statements of a file wait for locks. CONCURRENTLY holds nobody up while it waits, and
// leaves half an index when it gives up, so it may wait.
func (m *migrator) limitWaiting(file string) error {
	raw, err := fs.ReadFile(m.files, file)
	if err != nil {
		return fmt.Errorf("reading the migration: %w", err)
	}
	wait := lockWait
	if strings.Contains(strings.ToUpper(string(raw)), "CONCURRENTLY") {
		wait = 0
	}
	if err := m.driver.Run(strings.NewReader(fmt.Sprintf("SET lock_timeout = %d", wait.Milliseconds()))); err != nil {
		return fmt.Errorf("limiting how long the migration waits: %w", err)
	}
	return nil
}

// patiently does something again while it fails because of a lock that others hold.
func patiently(ctx context.Context, do func() error) error {
	giveUp := time.NewTimer(migratePatience)
	defer giveUp.Stop()
	for {
		err := do()
		if !isLockTimeout(err) {
			return err
		}
		again := time.NewTimer(lockWait + time.Duration(rand.Int64N(int64(lockWait)))) //nolint:gosec // any pause
		select {
		case <-again.C:
		case <-giveUp.C:
			again.Stop()
			return fmt.Errorf("somebody has held a lock for %s, so nothing was changed; look at pg_stat_activity and try again: %w", migratePatience, err)
		case <-ctx.Done():
			again.Stop()
			return errors.Join(ctx.Err(), err)
		}
	}
}

func isLockTimeout(err error) bool {
	if wrapped, ok := errors.AsType[database.Error](err); ok {
		err = wrapped.OrigErr // which it doesn't unwrap
	}
	return IsLockTimeout(err)
}

func withMigrator(ctx context.Context, url string, files fs.FS, f func(*migrator) error) error {
	pool, err := Open(ctx, url, Options{MaxConnections: 4})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := pool.Ping(ctx); err != nil {
		return Unreachable(fmt.Errorf("reaching Postgres: %w", err))
	}
	waiting, err := Open(ctx, url, Options{MaxConnections: 2, LockTimeout: lockWait})
	if err != nil {
		return err
	}
	defer waiting.Close()
	// One lock around both migrators: golang-migrate has one of its own, River has none. It is held by a session, so it
	// goes with the process, and nothing but a migration waits for it.
	locked, err := pool.Acquire(ctx)
	if err != nil {
		return Unreachable(fmt.Errorf("waiting for a connection: %w", err))
	}
	defer locked.Release()
	if err := takeTurn(ctx, locked); err != nil {
		return err
	}
	defer func() {
		_, _ = locked.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(hashtext('jari migrations'))`)
	}()
	source, err := iofs.New(files, ".")
	if err != nil {
		return fmt.Errorf("reading the embedded migrations: %w", err)
	}
	driver, err := migratepgx.WithInstance(stdlib.OpenDBFromPool(pool), &migratepgx.Config{})
	if err != nil {
		return fmt.Errorf("preparing the migration: %w", err)
	}
	m, err := migrate.NewWithInstance("embedded", source, "pgx5", driver)
	if err != nil {
		return fmt.Errorf("preparing the migration: %w", err)
	}
	jobs := func(ctx context.Context, direction rivermigrate.Direction, opts *rivermigrate.MigrateOpts) error {
		r, err := rivermigrate.New(riverpgxv5.New(waiting), &rivermigrate.Config{Schema: JobSchema, Logger: quiet()})
		if err != nil {
			return fmt.Errorf("preparing the migration of jobs: %w", err)
		}
		if _, err := r.Migrate(ctx, direction, opts); err != nil {
			return fmt.Errorf("migrating the tables of jobs: %w", err)
		}
		return nil
	}
	err = f(&migrator{Migrate: m, files: files, driver: driver, jobs: jobs})
	sourceErr, driverErr := m.Close()
	return errors.Join(err, sourceErr, driverErr)
}

// takeTurn waits for the lock of migrations. It asks again and again: a statement that waits in Postgres has a snapshot, and an
// index that another migrator makes CONCURRENTLY would wait for that, and so for ever.
func takeTurn(ctx context.Context, conn *pgxpool.Conn) error {
	for {
		var mine bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('jari migrations'))`).Scan(&mine); err != nil {
			return Unreachable(fmt.Errorf("waiting for the lock of migrations: %w", err))
		}
		if mine {
			return nil
		}
		again := time.NewTimer(turnEvery)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return Unreachable(fmt.Errorf("waiting for the lock of migrations: %w", ctx.Err()))
		}
	}
}

// quiet discards River's account of each step: the outcome is reported as a whole.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
