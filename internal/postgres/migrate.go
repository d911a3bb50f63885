package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"

	"github.com/golang-migrate/migrate/v4"
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
func Migrate(ctx context.Context, url string) error {
	return withMigrator(ctx, url, func(m *migrate.Migrate, jobs jobMigrator) error {
		if err := m.Up(); err != nil && !errors.Is(err, migrate.ErrNoChange) {
			return fmt.Errorf("migrating up: %w", err)
		}
		return jobs(ctx, rivermigrate.DirectionUp, nil)
	})
}

// MigrateDown takes every table away again, with everything in it. It exists for development and for the proof that
// each migration can be undone; production never runs it.
func MigrateDown(ctx context.Context, url string) error {
	return withMigrator(ctx, url, func(m *migrate.Migrate, jobs jobMigrator) error {
		if _, _, err := m.Version(); err == nil {
			// −1: River removes even its own record of versions.
			if err := jobs(ctx, rivermigrate.DirectionDown, &rivermigrate.MigrateOpts{TargetVersion: -1}); err != nil {
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
	entries, err := fs.ReadDir(migrations.FS, ".")
	if err != nil {
		return 0, fmt.Errorf("reading the embedded migrations: %w", err)
	}
	var newest uint
	for _, e := range entries {
		digits, _, _ := strings.Cut(e.Name(), "_")
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("migration %s has no number: %w", e.Name(), err)
		}
		newest = max(newest, uint(n))
	}
	return newest, nil
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

func withMigrator(ctx context.Context, url string, f func(*migrate.Migrate, jobMigrator) error) error {
	pool, err := Open(ctx, url, Options{MaxConnections: 4})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := pool.Ping(ctx); err != nil {
		return Unreachable(fmt.Errorf("reaching Postgres: %w", err))
	}
	// One lock around both migrators: golang-migrate has one of its own, River has none. It is held by a session, so it
	// goes with the process, and nothing but a migration waits for it.
	locked, err := pool.Acquire(ctx)
	if err != nil {
		return Unreachable(fmt.Errorf("waiting for a connection: %w", err))
	}
	defer locked.Release()
	if _, err := locked.Exec(ctx, `SELECT pg_advisory_lock(hashtext('jari migrations'))`); err != nil {
		return Unreachable(fmt.Errorf("waiting for the lock of migrations: %w", err))
	}
	defer func() {
		_, _ = locked.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(hashtext('jari migrations'))`)
	}()
	source, err := iofs.New(migrations.FS, ".")
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
		r, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: JobSchema, Logger: quiet()})
		if err != nil {
			return fmt.Errorf("preparing the migration of jobs: %w", err)
		}
		if _, err := r.Migrate(ctx, direction, opts); err != nil {
			return fmt.Errorf("migrating the tables of jobs: %w", err)
		}
		return nil
	}
	err = f(m, jobs)
	sourceErr, driverErr := m.Close()
	return errors.Join(err, sourceErr, driverErr)
}

// quiet discards River's account of each step: the outcome is reported as a whole.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
