//go:build unix

package localstores

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// Every test stops its stores, so that at the end nothing may run that this package started.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// messages collects what the stores tell the person at the terminal.
type messages struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (m *messages) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.buf.Write(p)
}

func (m *messages) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.buf.String()
}

// folder is a data folder for one test that another user can enter: where root runs the tests, the stores run as such.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "data")
}

// setup returns options for fast stores in a folder of their own, and what the stores will have said.
func setup(t *testing.T) (Options, *messages) {
	t.Helper()
	said := &messages{}
	return Options{Dir: folder(t), Fast: true, Log: slog.New(slog.NewTextHandler(said, nil))}, said
}

func start(t *testing.T, opts Options) *Stores {
	t.Helper()
	stores, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, stores) })
	return stores
}

func stop(t *testing.T, stores *Stores) {
	t.Helper()
	// The test's own context has ended when its cleanups run.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := stores.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func query(ctx context.Context, stores *Stores, sql string) (answer string, err error) {
	conn, err := pgx.Connect(ctx, stores.PostgresURL())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	err = conn.QueryRow(ctx, sql).Scan(&answer)
	return answer, err
}

func mustQuery(t *testing.T, stores *Stores, sql, want string) {
	t.Helper()
	got, err := query(t.Context(), stores, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if got != want {
		t.Fatalf("%s = %q, want %q", sql, got, want)
	}
}

func redisClient(t *testing.T, stores *Stores) *goredis.Client {
	t.Helper()
	client := stores.redis.engine.(*redis).client()
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if poll(ctx, func() (bool, error) { return condition(), nil }) != nil {
		t.Fatalf("%s: not within a minute", what)
	}
}

const remember = "CREATE TABLE memory AS SELECT 'kept' AS word; SELECT word FROM memory"

// makeMemory commits a row that later starts must find.
func makeMemory(t *testing.T, stores *Stores) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), stores.PostgresURL())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), remember); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

const recall = "SELECT word FROM memory"

func TestStartStopStartKeepsPostgresAndForgetsRedis(t *testing.T) {
	t.Parallel()
	opts, said := setup(t)
	first := start(t, opts)
	makeMemory(t, first)
	if err := redisClient(t, first).Set(t.Context(), "hold", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	urls := first.PostgresURL() + first.RedisURL()
	stop(t, first)
	if first.Postgres().Pid() != 0 || first.Redis().Pid() != 0 {
		t.Fatal("stopped stores still have processes")
	}

	second := start(t, opts)
	mustQuery(t, second, recall, "kept")
	if n, err := redisClient(t, second).DBSize(t.Context()).Result(); err != nil || n != 0 {
		t.Fatalf("Redis holds %d keys (%v) after a restart, want none", n, err)
	}
	if got := second.PostgresURL() + second.RedisURL(); got != urls {
		t.Fatalf("addresses changed without need: %s, were %s", got, urls)
	}
	if strings.Contains(said.String(), "level=WARN") || strings.Contains(said.String(), "level=ERROR") {
		t.Fatalf("an ordinary restart complains:\n%s", said)
	}
	info, err := os.Stat(filepath.Join(second.Dir(), stateFile))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Fatalf("the file with the passwords has mode %v", info.Mode())
	}
}

func TestStoresAreConfiguredAsPromised(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	opts.Fast = false
	opts.MaxConnections, opts.RedisDatabases = 37, 99
	opts.PostgresSettings = map[string]string{"work_mem": "5MB"}
	stores := start(t, opts)
	for name, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
		"max_connections": "37", "TimeZone": "UTC", "server_encoding": "UTF8", "work_mem": "5MB",
		"password_encryption": "scram-sha-256",
	} {
		mustQuery(t, stores, "SELECT current_setting('"+name+"')", want)
	}
	client := redisClient(t, stores)
	for name, want := range map[string]string{
		"maxmemory-policy": "noeviction", "save": "", "appendonly": "no", "databases": "99", "bind": "127.0.0.1",
	} {
		got, err := client.ConfigGet(t.Context(), name).Result()
		if err != nil || got[name] != want {
			t.Errorf("Redis's %s is %q (%v), want %q", name, got[name], err, want)
		}
	}
}

func TestStrangersNeedThePasswords(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	stores := start(t, opts)
	known := stores.home.known()
	wrong := strings.Replace(stores.PostgresURL(), known.Postgres.Password, "guess", 1)
	if conn, err := pgx.Connect(t.Context(), wrong); err == nil {
		conn.Close(t.Context()) //nolint:errcheck // the test has failed
		t.Error("Postgres lets a wrong password in")
	}
	bare := goredis.NewClient(&goredis.Options{Addr: address(known.Redis.Port), DisableIdentity: true})
	defer bare.Close() //nolint:errcheck // nothing depends on it
	if err := bare.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("Redis without a password answers %v, want NOAUTH", err)
	}
}

func TestKilledStoresAreStartedAgainWithWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	opts, said := setup(t)
	opts.Supervise = true
	stores := start(t, opts)
	makeMemory(t, stores)
	urls := stores.PostgresURL() + stores.RedisURL()

	for _, store := range []*Store{stores.Postgres(), stores.Redis()} {
		old := store.Pid()
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, store.name+" runs again", func() bool { pid := store.Pid(); return pid != 0 && pid != old })
	}
	mustQuery(t, stores, recall, "kept")
	if got := stores.PostgresURL() + stores.RedisURL(); got != urls {
		t.Fatalf("addresses changed: %s, were %s", got, urls)
	}
	for _, want := range []string{
		"Postgres died unexpectedly", "Postgres is running again", "Redis died unexpectedly", "Redis is running again",
	} {
		eventually(t, want, func() bool { return strings.Contains(said.String(), want) })
	}
}

func TestAStoreTakenDownOnPurposeStaysDownUntilRestart(t *testing.T) {
	t.Parallel()
	opts, said := setup(t)
	opts.Supervise = true
	stores := start(t, opts)
	makeMemory(t, stores)
	if err := stores.Postgres().Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := query(t.Context(), stores, recall); err == nil {
		t.Fatal("a killed Postgres answers")
	}
	if err := stores.Postgres().Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustQuery(t, stores, recall, "kept")
	if strings.Contains(said.String(), "died unexpectedly") {
		t.Fatalf("supervision meddled with a kill on purpose:\n%s", said)
	}
}

func TestAPausedStoreGoesOnOrStops(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	stores := start(t, opts)
	client := redisClient(t, stores)
	if err := stores.Redis().Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	brief, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := client.Ping(brief).Err(); err == nil {
		t.Fatal("a paused Redis answers")
	}
	if err := stores.Redis().Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Redis answers", func() bool { return client.Ping(t.Context()).Err() == nil })
	if err := stores.Postgres().Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop(t, stores) // Must not hang on the paused one.
}

func TestRedisStartsEmptyOrFromASnapshot(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	stores := start(t, opts)
	client := redisClient(t, stores)
	set := func(value string) {
		t.Helper()
		if err := client.Set(t.Context(), "k", value, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	get := func() string {
		t.Helper()
		var value string
		eventually(t, "Redis answers", func() bool { // The first command may meet the connection that died.
			var err error
			value, err = client.Get(t.Context(), "k").Result()
			return err == nil || errors.Is(err, goredis.Nil)
		})
		return value
	}
	set("old")
	snapshot, err := stores.SnapshotRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	set("new")
	if err := stores.RestartRedisFrom(t.Context(), snapshot); err != nil {
		t.Fatal(err)
	}
	if got := get(); got != "old" {
		t.Errorf("after a restart from the snapshot k is %q, want old", got)
	}
	if err := stores.Redis().Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := get(); got != "" {
		t.Errorf("after a plain restart k is %q, want nothing", got)
	}
}

func TestATakenPortIsReplacedAndSaid(t *testing.T) {
	t.Parallel()
	opts, said := setup(t)
	first := start(t, opts)
	makeMemory(t, first)
	old := first.home.known()
	stop(t, first)

	for _, port := range []int{old.Postgres.Port, old.Redis.Port} {
		var config net.ListenConfig
		stranger, err := config.Listen(t.Context(), "tcp4", address(port))
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close() //nolint:errcheck // nothing depends on it
	}
	second := start(t, opts)
	mustQuery(t, second, recall, "kept")
	for _, port := range []int{old.Postgres.Port, old.Redis.Port} {
		if !strings.Contains(said.String(), "taken="+strconv.Itoa(port)) {
			t.Errorf("nothing was said of port %d:\n%s", port, said)
		}
	}
}

// orphan leaves the stores running as a killed parent would: the folder's lock is free, and nobody watches over them.
func orphan(t *testing.T, stores *Stores) {
	t.Helper()
	stores.cancel()
	if err := stores.lock.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if stores.lock, err = os.Open(os.DevNull); err != nil { // For the cleanup to close.
		t.Fatal(err)
	}
}

func TestOrphansAreCarriedOnWith(t *testing.T) {
	t.Parallel()
	opts, said := setup(t)
	first := start(t, opts)
	makeMemory(t, first)
	orphan(t, first)

	opts.Supervise = true
	second := start(t, opts)
	mustQuery(t, second, recall, "kept")
	if second.Postgres().Pid() != first.Postgres().Pid() || second.Redis().Pid() != first.Redis().Pid() {
		t.Fatalf("the stores were started anew:\n%s", said)
	}
	// They are as good as children: supervision sees their end too.
	old := second.Postgres().Pid()
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Postgres runs again", func() bool { pid := second.Postgres().Pid(); return pid != 0 && pid != old })
	mustQuery(t, second, recall, "kept")
}

func TestOrphansWithOtherSettingsAreRestarted(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	first := start(t, opts)
	makeMemory(t, first)
	orphan(t, first)

	opts.MaxConnections, opts.RedisDatabases = 23, 23
	second := start(t, opts)
	mustQuery(t, second, recall, "kept")
	mustQuery(t, second, "SHOW max_connections", "23")
	if got, err := redisClient(t, second).ConfigGet(t.Context(), "databases").Result(); err != nil || got["databases"] != "23" {
		t.Fatalf("Redis has %v databases (%v), want 23", got, err)
	}
}

func TestALeftPidFileOfAnotherProcessIsHarmless(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	first := start(t, opts)
	makeMemory(t, first)
	if err := first.Postgres().Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop(t, first)
	// After a reboot the id may belong to anything, such as this test.
	path := filepath.Join(first.Dir(), "postgres", "postmaster.pid")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "\n")
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	mustQuery(t, start(t, opts), recall, "kept")
}

func TestAnInterruptedFirstStartLeavesNothingInTheWay(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	for _, name := range []string{"postgres", "postgres.new"} {
		if err := os.MkdirAll(filepath.Join(opts.Dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(opts.Dir, 0o711); err != nil { // The stores' user passes through.
		t.Fatal(err)
	}
	half := filepath.Join(opts.Dir, "postgres.new", "PG_VERSION")
	if err := os.WriteFile(half, []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustQuery(t, start(t, opts), "SELECT 'works'", "works")
}

func TestAnInterruptedContextLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // In the middle of initdb, here.
	defer cancel()
	if stores, err := Start(ctx, opts); err == nil {
		stop(t, stores) // A very fast machine; the rest holds all the same.
	}
	mustQuery(t, start(t, opts), "SELECT 'works'", "works")
}

func TestOneFolderServesOneProcess(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	start(t, opts)
	_, err := Start(t.Context(), opts)
	var inUse *InUseError
	if !errors.As(err, &inUse) {
		t.Fatalf("a second start in one folder gives %v, want an InUseError", err)
	}
	if inUse.Pid != os.Getpid() || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("the message doesn't help: %v", err)
	}
}

func TestDataOfAnotherMajorVersionIsRefusedAndKept(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	first := start(t, opts)
	stop(t, first)
	path := filepath.Join(first.Dir(), "postgres", "PG_VERSION")
	if err := os.WriteFile(path, []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), opts)
	if err == nil || !strings.Contains(err.Error(), "made by PostgreSQL 9") || !strings.Contains(err.Error(), "install") {
		t.Fatalf("the message doesn't help: %v", err)
	}
	if _, err := os.Stat(filepath.Join(first.Dir(), "postgres", "base")); err != nil {
		t.Fatalf("the data is gone: %v", err)
	}
}

func TestANearlyFullDiskIsRefused(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	opts.freeBytes = func(string) (uint64, error) { return 100 << 20, nil }
	_, err := Start(t.Context(), opts)
	if err == nil || !strings.Contains(err.Error(), "only 100 MiB are free") {
		t.Fatalf("got %v", err)
	}
	opts.freeBytes = nil
	start(t, opts) // The refusal left nothing in the way.
}

func TestAFailingInitdbIsToldAndLeavesNothing(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	// One that begins and then finds the disk full.
	broken := filepath.Join(filepath.Dir(opts.Dir), "initdb")
	const script = "#!/bin/sh\n" + `echo 15 >"${1#--pgdata=}/PG_VERSION"; echo "initdb: No space left on device" >&2; exit 1`
	if err := os.WriteFile(broken, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(opts.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	h := &home{dir: opts.Dir, owner: storeOwner(), log: slog.New(slog.DiscardHandler), opts: opts}
	p := &postgres{home: h, installed: []postgresServer{{initdb: broken, major: 15}}}
	_, err := p.prepare(t.Context())
	if err == nil || !strings.Contains(err.Error(), "No space left on device") {
		t.Fatalf("got %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(opts.Dir, "*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	mustQuery(t, start(t, opts), "SELECT 'works'", "works")
}

func TestAFrozenOrphanIsRestarted(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	first := start(t, opts)
	makeMemory(t, first)
	for _, store := range []*Store{first.Postgres(), first.Redis()} {
		if err := store.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	orphan(t, first)
	second := start(t, opts)
	mustQuery(t, second, recall, "kept")
	if second.Postgres().Pid() == first.Postgres().Pid() || second.Redis().Pid() == first.Redis().Pid() {
		t.Error("a frozen store was carried on with")
	}
}

func TestAFailingStartTellsTheStoresLastWords(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	opts.PostgresSettings = map[string]string{"shared_buffers": "nonsense"}
	_, err := Start(t.Context(), opts)
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "shared_buffers"`) {
		t.Fatalf("got %v", err)
	}
	opts.PostgresSettings = nil
	start(t, opts)
}

func TestRootHandsTheStoresToAnotherUser(t *testing.T) {
	t.Parallel()
	opts, _ := setup(t)
	stores := start(t, opts)
	for _, store := range []*Store{stores.Postgres(), stores.Redis()} {
		info, err := os.Stat("/proc/" + strconv.Itoa(store.Pid()))
		if err != nil {
			info, err = os.Stat(store.engine.(interface{ data() string }).data()) // Without /proc its folder tells.
		}
		if err != nil {
			t.Fatal(err)
		}
		uid := int(info.Sys().(*syscall.Stat_t).Uid)
		if uid == 0 {
			t.Errorf("%s runs as root", store.name)
		}
		if os.Geteuid() != 0 && uid != os.Geteuid() {
			t.Errorf("%s runs as user %d, started by user %d", store.name, uid, os.Geteuid())
		}
	}
}

func TestAFolderOutOfReachIsReplacedAndSaid(t *testing.T) {
	t.Parallel()
	opts, said := setup(t)
	private := filepath.Join(filepath.Dir(opts.Dir), "private") // As root's home is.
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	opts.Dir = filepath.Join(private, "data")
	stores := start(t, opts)
	mustQuery(t, stores, "SELECT 'works'", "works")
	if os.Geteuid() != 0 {
		if stores.Dir() != opts.Dir {
			t.Errorf("the data is in %s without need", stores.Dir())
		}
		return
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(stores.Dir()); err != nil {
			t.Error(err)
		}
	})
	if stores.Dir() == opts.Dir || !strings.Contains(said.String(), "used="+stores.Dir()) {
		t.Errorf("the data is in %s, and this was said:\n%s", stores.Dir(), said)
	}
	makeMemory(t, stores)
	stop(t, stores)
	mustQuery(t, start(t, opts), recall, "kept")
}
