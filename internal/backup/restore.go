package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/postgres"
)

// Empty refuses a database that has anything in it: restoring never writes over something.
func Empty(ctx context.Context, pool *pgxpool.Pool) error {
	var tables int
	var one string
	err := pool.QueryRow(ctx, `
		SELECT count(*), coalesce(min(c.oid::regclass::text), '') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'`).Scan(&tables, &one)
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("looking at the database: %w", err))
	}
	if tables > 0 {
		return fmt.Errorf("the database isn't empty (it has %s): a backup is restored into one that was just created", one)
	}
	return nil
}

// Load puts a dump into an empty database, all of it or nothing, and holds it against its manifest. Nothing can be booked on
// what was loaded until Renew.
func Load(ctx context.Context, pool *pgxpool.Pool, url string, m Manifest, dump io.Reader) error {
	newest, err := postgres.Newest()
	if err != nil {
		return err
	}
	if m.Migration > newest {
		return fmt.Errorf("the backup is at migration %d and this binary knows %d: use the release that made it, or a newer one", m.Migration, newest)
	}
	if err := Empty(ctx, pool); err != nil {
		return err
	}
	tool, err := find("pg_restore")
	if err != nil {
		return err
	}
	variables, err := environ(url)
	if err != nil {
		return err
	}
	restore := exec.CommandContext(ctx, tool, //nolint:gosec // found on PATH; the database's name is no secret
		"--format=custom", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", "--dbname="+database(url))
	restore.Env = variables
	var words strings.Builder
	restore.Stdin, restore.Stderr = dump, &words
	if err := restore.Run(); err != nil {
		return failed("pg_restore", err, words.String())
	}
	// pg_restore stops reading where its own form ends. What is behind that must be whole too, or the file was cut off.
	if rest, err := io.Copy(io.Discard, dump); err != nil || rest > 0 {
		return errors.Join(fmt.Errorf("the backup doesn't end where its dump does (%d bytes more)", rest), err)
	}
	c, err := count(ctx, pool)
	if err != nil {
		return err
	}
	if c != m.Counts {
		return fmt.Errorf("the database has %+v, and the backup says %+v", c, m.Counts)
	}
	return nil
}

// Renew gives the database a new store generation: copies of slots in Redis that were made from what came after are
// replaced although their versions are higher.
func Renew(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO store_generation DEFAULT VALUES
		ON CONFLICT (one_row) DO UPDATE SET generation = gen_random_uuid(), renewed_at = now()`)
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("renewing the store generation: %w", err))
	}
	return nil
}
