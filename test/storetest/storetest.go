//go:build unix

// Package storetest gives every test its own Postgres database and its own logical Redis database, on one pair of real
// stores that all packages share.
//
// The pair is found through JARI_TEST_POSTGRES_URL and JARI_TEST_REDIS_URL, or through the file that `make stores`
// writes. A test without stores fails and says what to run: a skipped test proves nothing.
//
// A database is cloned from a template that was migrated once. The template's name carries a hash of the migrations, so
// it's used again by later runs and made anew when a migration changes. A Redis database is one of the numbered ones,
// claimed for the length of the test; nobody flushes one that isn't its own. Tests that kill or freeze a store take a
// pair to themselves with Private.
package storetest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"jari/internal/localstores"
	"jari/internal/postgres"
	"jari/migrations"
)

// The environment variables that name the shared pair. Both are needed, or neither.
const (
	PostgresVariable = "JARI_TEST_POSTGRES_URL"
	RedisVariable    = "JARI_TEST_REDIS_URL"
)

// Addresses are where the shared pair is found. Each URL carries a password.
type Addresses struct {
	PostgresURL string `json:"postgres_url"`
	RedisURL    string `json:"redis_url"`
}

// File is the file under the module's root that tells tests of the pair that `make stores` keeps running.
const File = ".jari/test/stores.json"

// patience is how long a helper waits for a store: a busy machine clones slowly.
const patience = time.Minute

// Postgres returns a pool on a migrated database of the test's own.
func Postgres(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close) // Waits for connections that the test didn't give back.
	return pool
}

// PostgresURL returns the address of a migrated database of the test's own. It is dropped at the test's end, whoever is
// still connected to it.
func PostgresURL(t testing.TB) string {
	t.Helper()
	base := addresses(t).PostgresURL
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	name := databaseName(t.Name())
	if err := clone(ctx, base, name); err != nil {
		t.Fatalf("no database for this test: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := administer(ctx, base, func(conn *pgx.Conn) error { return drop(ctx, conn, name) }); err != nil {
			t.Errorf("the test's database can't be dropped: %v", err)
		}
	})
	return withDatabase(base, name)
}

// EmptyPostgresURL returns the address of a database of the test's own that no migration has touched, for tests of the
// migrations themselves.
func EmptyPostgresURL(t testing.TB) string {
	t.Helper()
	base := addresses(t).PostgresURL
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	name := databaseName(t.Name())
	create := func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE DATABASE "+quote(name)+byFiles)
		return err
	}
	if err := administer(ctx, base, create); err != nil {
		t.Fatalf("no database for this test: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := administer(ctx, base, func(conn *pgx.Conn) error { return drop(ctx, conn, name) }); err != nil {
			t.Errorf("the test's database can't be dropped: %v", err)
		}
	})
	return withDatabase(base, name)
}

// Redis returns a client on an empty logical database of the test's own.
func Redis(t testing.TB) *redis.Client {
	t.Helper()
	client, err := redisClient(RedisURL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			t.Error(err)
		}
	})
	return client
}

// RedisURL returns the address of an empty logical database of the test's own. It is emptied again at the test's end.
func RedisURL(t testing.TB) string {
	t.Helper()
	base := addresses(t).RedisURL
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	number, err := claim(ctx, base)
	if err != nil {
		t.Fatalf("no Redis database for this test: %v", err)
	}
	own := withDatabase(base, strconv.Itoa(number))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := errors.Join(flush(ctx, own), unclaim(ctx, base, number)); err != nil {
			t.Errorf("the test's Redis database can't be given back: %v", err)
		}
	})
	return own
}

// Private starts a pair for this test alone, which it may kill, freeze and restart, and stops it at the test's end. The
// database is empty. It takes about two seconds: share the stores wherever nothing is broken. opts.Dir is chosen when
// empty; opts.Fast is always set; what the stores say goes to the test's log unless opts.Log is given.
func Private(t testing.TB, opts localstores.Options) *localstores.Stores {
	t.Helper()
	opts.Fast = true
	if opts.Dir == "" {
		dir := t.TempDir()
		// Where root runs the tests another user runs the stores, and must pass through the folder above, which is 0700.
		if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
			t.Fatal(err)
		}
		opts.Dir = filepath.Join(dir, "stores")
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	stores, err := localstores.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := stores.Stop(ctx); err != nil {
			t.Errorf("the test's private stores can't be stopped: %v", err)
		}
	})
	return stores
}

// addresses finds the shared pair or fails the test.
func addresses(t testing.TB) Addresses {
	t.Helper()
	found := Addresses{PostgresURL: os.Getenv(PostgresVariable), RedisURL: os.Getenv(RedisVariable)}
	if found.PostgresURL != "" && found.RedisURL != "" {
		return found
	}
	root, err := ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, File))
	if err != nil {
		t.Fatal("this test needs Postgres and Redis: run `make test`, or keep `make stores` running in another terminal.")
	}
	if err := json.Unmarshal(raw, &found); err != nil {
		t.Fatalf("%s is damaged: stop `make stores` and start it again: %v", File, err)
	}
	return found
}

// ModuleRoot is the folder of go.mod, from the working folder upwards.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod in this folder or above it")
		}
		dir = parent
	}
}

// withDatabase replaces the database in a store's address.
func withDatabase(base, name string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base // The store's client says what is wrong with it.
	}
	u.Path = "/" + name
	return u.String()
}

// Databases of tests begin with testPrefix, so that Sweep knows them.
const (
	testPrefix     = "test_"
	templatePrefix = "template_jari_"
	keptTemplates  = 4
)

// databaseName is unique, and shows in pg_stat_activity which test it is.
func databaseName(test string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, test)
	return testPrefix + clean[:min(len(clean), 40)] + "_" + strings.ToLower(rand.Text()[:12])
}

// byFiles has Postgres copy a template file by file, with a checkpoint around it. The default, page by page through the log,
// takes five times as much of the system where a checkpoint needn't wait for a disk, as in these stores.
const byFiles = " STRATEGY file_copy"

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// administer does something on a connection to the base database.
func administer(ctx context.Context, base string, do func(*pgx.Conn) error) (err error) {
	conn, err := pgx.Connect(ctx, base)
	if err != nil {
		return fmt.Errorf("Postgres doesn't answer (is `make stores` still running?): %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	return do(conn)
}

func drop(ctx context.Context, conn *pgx.Conn, name string) error {
	_, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)")
	return err
}

// migrationsHash is a hash of all that decides the schema: our migrations by name and content, and those of the
// libraries that bring their own by the libraries' versions.
var migrationsHash = sync.OnceValues(func() (string, error) {
	sum := sha256.New()
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	modules, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(modules)) {
		if strings.Contains(line, "/river") {
			sum.Write([]byte(line))
		}
	}
	err = fs.WalkDir(migrations.FS, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(migrations.FS, path)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(sum, "%s %d\n%s\n", path, len(content), content)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:16], err
})

// told is set once a test has failed with what is wrong with the migrations: that may be pages, and once is enough.
var told atomic.Bool

// clone makes a database from the template, and the template too where it's missing.
func clone(ctx context.Context, base, name string) error {
	hash, err := migrationsHash()
	if err != nil {
		return err
	}
	template := templatePrefix + hash
	return administer(ctx, base, func(conn *pgx.Conn) error {
		statement := "CREATE DATABASE " + quote(name) + " TEMPLATE " + quote(template) + byFiles
		_, err := conn.Exec(ctx, statement)
		if !hasCode(err, "3D000") { // nil, or another problem than a missing template
			return err
		}
		if told.Load() {
			return errors.New("the migrations fail, as another test of this package has told")
		}
		if err := makeTemplate(ctx, base, conn, template); err != nil {
			told.Store(true)
			return err
		}
		_, err = conn.Exec(ctx, statement)
		return err
	})
}

func hasCode(err error, code string) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == code
}

// templateLock is the advisory lock that whoever makes a template holds; the number means nothing.
const templateLock = 7_203_114_908

// makeTemplate migrates a database under another name and renames it at the end, so that a template is always whole.
// All test processes may come here at once; one does the work.
func makeTemplate(ctx context.Context, base string, conn *pgx.Conn, template string) (err error) {
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(templateLock)); err != nil {
		return err
	}
	defer func() {
		_, unlockErr := conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(templateLock))
		err = errors.Join(err, unlockErr)
	}()
	var exists bool
	const query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
	if err := conn.QueryRow(ctx, query, template).Scan(&exists); err != nil || exists {
		return err
	}
	if err := dropOldTemplates(ctx, conn); err != nil {
		return err
	}
	building := databaseName("template")
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+quote(building)+byFiles); err != nil {
		return err
	}
	if err := postgres.Migrate(ctx, withDatabase(base, building)); err != nil {
		return errors.Join(fmt.Errorf("the migrations fail: %w", err), drop(ctx, conn, building))
	}
	// Nobody may be connected to a template, nor to a database that gets another name: Postgres itself may take a moment
	// to notice that the migrations' connections are closed.
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+quote(building)+" ALLOW_CONNECTIONS false"); err != nil {
		return err
	}
	const end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1"
	if _, err := conn.Exec(ctx, end, building); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "ALTER DATABASE "+quote(building)+" RENAME TO "+quote(template))
	return err
}

// dropOldTemplates keeps those that were made last: switching between branches is common, and each is a few megabytes.
func dropOldTemplates(ctx context.Context, conn *pgx.Conn) error {
	const query = "SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY oid DESC OFFSET $2"
	rows, err := conn.Query(ctx, query, templatePrefix, keptTemplates-1)
	if err != nil {
		return err
	}
	old, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := drop(ctx, conn, name); err != nil {
			return err
		}
	}
	return nil
}

// Sweep drops the databases that killed tests left behind. Only whoever knows that no test is running may call it.
func Sweep(ctx context.Context, base string) error {
	return administer(ctx, base, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", testPrefix)
		if err != nil {
			return err
		}
		left, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, name := range left {
			if err := drop(ctx, conn, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// claimFor is how long a killed test keeps its Redis database from others; no test runs that long.
const claimFor = 30 * time.Minute

func claimKey(number int) string { return "storetest:claim:" + strconv.Itoa(number) }

// claim finds a logical database that no other test has, beginning behind the one that was given out last, and empties
// it. Database 0 keeps the claims.
func claim(ctx context.Context, base string) (number int, err error) {
	client, err := redisClient(withDatabase(base, "0"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	config, err := client.ConfigGet(ctx, "databases").Result()
	if err != nil {
		return 0, fmt.Errorf("Redis doesn't answer (is `make stores` still running?): %w", err)
	}
	databases, err := strconv.Atoi(config["databases"])
	if err != nil || databases < 2 {
		return 0, fmt.Errorf("Redis has %q databases, and tests need some", config["databases"])
	}
	for range databases - 1 {
		next, err := client.Incr(ctx, "storetest:next").Result()
		if err != nil {
			return 0, err
		}
		number := 1 + int(next%int64(databases-1))
		ours, err := client.SetNX(ctx, claimKey(number), os.Getpid(), claimFor).Result()
		if err != nil {
			return 0, err
		}
		if ours {
			return number, flush(ctx, withDatabase(base, strconv.Itoa(number)))
		}
	}
	return 0, fmt.Errorf("all %d databases of Redis are claimed by running tests", databases-1)
}

func unclaim(ctx context.Context, base string, number int) (err error) {
	client, err := redisClient(withDatabase(base, "0"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return client.Del(ctx, claimKey(number)).Err()
}

// flush empties one logical database.
func flush(ctx context.Context, own string) (err error) {
	client, err := redisClient(own)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return client.FlushDB(ctx).Err()
}

func redisClient(address string) (*redis.Client, error) {
	opts, err := redis.ParseURL(address)
	if err != nil {
		return nil, err
	}
	opts.ContextTimeoutEnabled = true
	// Both ask things of the server that only others than plain Redis know.
	opts.DisableIdentity = true
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(opts), nil
}
