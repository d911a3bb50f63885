//go:build unix

// Package migrations_test takes the schema up, down and up again on a real Postgres.
package migrations_test

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/golang-migrate/migrate/v4"
	pgxmigrate "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"jari/internal/postgres"
	"jari/migrations"
	"jari/test/storetest"
)

// schemaQuery lists everything that a migration may make, one line each, but for what belongs to Postgres itself and for
// the table in which golang-migrate keeps its version.
const schemaQuery = `
WITH ours AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
)
SELECT line FROM (
    SELECT 'schema ' || nspname AS line FROM ours WHERE nspname <> 'public'
    UNION ALL
    SELECT 'relation ' || c.oid::regclass || ' ' || c.relkind::text || coalesce(' ' || pg_get_partkeydef(c.oid), '')
        || coalesce(' ' || pg_get_expr(c.relpartbound, c.oid), '') || coalesce(' ' || array_to_string(c.reloptions, ','), '')
    FROM pg_class c JOIN ours ON ours.oid = c.relnamespace
    WHERE c.relname NOT LIKE 'schema\_migrations%'
    UNION ALL
    SELECT 'column ' || c.oid::regclass || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END || a.attidentity::text || a.attgenerated::text
        || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
    JOIN ours ON ours.oid = c.relnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relname NOT LIKE 'schema\_migrations%'
    UNION ALL
    SELECT 'constraint ' || con.conname || ' on ' || con.conrelid::regclass || ' ' || pg_get_constraintdef(con.oid)
    FROM pg_constraint con JOIN ours ON ours.oid = con.connamespace
    WHERE con.conrelid = 0 OR con.conrelid::regclass::text NOT LIKE 'schema\_migrations%'
    UNION ALL
    SELECT 'index ' || pg_get_indexdef(i.indexrelid)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN ours ON ours.oid = c.relnamespace
    WHERE c.relname NOT LIKE 'schema\_migrations%'
    UNION ALL
    SELECT 'trigger ' || pg_get_triggerdef(t.oid)
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN ours ON ours.oid = c.relnamespace
    WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'function ' || p.oid::regprocedure || ' ' || md5(p.prosrc)
    FROM pg_proc p JOIN ours ON ours.oid = p.pronamespace
    UNION ALL
    SELECT 'type ' || t.oid::regtype || ' ' || coalesce((
        SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), '')
    FROM pg_type t JOIN ours ON ours.oid = t.typnamespace
    WHERE t.typtype IN ('e', 'd', 'r')
    UNION ALL
    SELECT 'extension ' || extname FROM pg_extension WHERE extname <> 'plpgsql'
) AS lines ORDER BY line`

// schema is what the database holds, line by line.
func schema(t *testing.T, url string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // only read from
	rows, err := conn.Query(t.Context(), schemaQuery)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestUpDownUpEndsWhereItBegan(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyPostgresURL(t)
	empty := schema(t, url)
	up := func() []string {
		t.Helper()
		if err := postgres.Migrate(t.Context(), url); err != nil {
			t.Fatal(err)
		}
		return schema(t, url)
	}
	first := up()
	if len(first) == len(empty) {
		t.Fatal("the migrations make nothing")
	}
	if diff := cmp.Diff(first, up()); diff != "" {
		t.Errorf("a second run on a current database changes it:\n%s", diff)
	}
	if err := postgres.MigrateDown(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(empty, schema(t, url)); diff != "" {
		t.Errorf("down leaves something behind (+) or takes too much (-):\n%s", diff)
	}
	if diff := cmp.Diff(first, up()); diff != "" {
		t.Errorf("up after down differs from the first up:\n%s", diff)
	}
}

func TestEveryMigrationCanBeTakenBackAlone(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyPostgresURL(t)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	driver, err := pgxmigrate.WithInstance(stdlib.OpenDB(*config), &pgxmigrate.Config{})
	if err != nil {
		t.Fatal(err)
	}
	source, err := iofs.New(migrations.FS, ".")
	if err != nil {
		t.Fatal(err)
	}
	m, err := migrate.NewWithInstance("iofs", source, "pgx5", driver)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(m.Close()); err != nil {
			t.Error(err)
		}
	}()
	step := func(n int) {
		t.Helper()
		if err := m.Steps(n); err != nil {
			version, dirty, versionErr := m.Version()
			t.Fatalf("%+d from %d (dirty %v, %v): %v", n, version, dirty, versionErr, err)
		}
	}
	for range upFiles(t) {
		before := schema(t, url)
		step(1)
		after := schema(t, url)
		step(-1)
		version, _, err := m.Version()
		if err != nil && !errors.Is(err, migrate.ErrNilVersion) {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, schema(t, url)); diff != "" {
			t.Errorf("the migration after %d isn't undone by its down:\n%s", version, diff)
		}
		step(1)
		if diff := cmp.Diff(after, schema(t, url)); diff != "" {
			t.Errorf("the migration after %d makes something else the second time:\n%s", version, diff)
		}
	}
}

// Instances start together, and each migrates.
func TestManyMayMigrateAtOnce(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyPostgresURL(t)
	const instances = 4
	done := make(chan error, instances)
	for range instances {
		go func() { done <- postgres.Migrate(context.WithoutCancel(t.Context()), url) }()
	}
	for range instances {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

var fileName = regexp.MustCompile(`^(\d{6})_[a-z0-9_]+\.(up|down)\.sql$`)

func TestMigrationsAreNumberedPairs(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, name := range names {
		match := fileName.FindStringSubmatch(name)
		if match == nil {
			t.Errorf("%s isn't named NNNNNN_what.up.sql or NNNNNN_what.down.sql", name)
			continue
		}
		other := strings.Replace(name, ".up.", ".down.", 1)
		if match[2] == "down" {
			other = strings.Replace(name, ".down.", ".up.", 1)
		}
		if !slices.Contains(names, other) {
			t.Errorf("%s has no %s", name, other)
		}
		if number := match[1] + match[2]; seen[number] {
			t.Errorf("two migrations have the number %s", match[1])
		} else {
			seen[number] = true
		}
	}
}

func upFiles(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(migrations.FS, "*.up.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	return names
}
