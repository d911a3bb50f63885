//go:build unix

package localstores

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// Options say how the pair is to be run. Only Dir is required.
type Options struct {
	// Dir is the data folder; it is made when missing.
	Dir string
	// Log gets what happens, in sentences for the person at the terminal; nil discards them.
	Log *slog.Logger
	// Fast leaves out what guards against a power cut (fsync, full-page writes). A killed store still loses nothing that
	// it acknowledged, because commits stay synchronous; a killed machine may. For tests.
	Fast bool
	// MaxConnections is what Postgres accepts; 0 means 100.
	MaxConnections int
	// RedisDatabases is the number of Redis's logical databases; 0 means 16.
	RedisDatabases int
	// PostgresSettings are further settings of Postgres by name, for benchmarks; they win over this package's own.
	PostgresSettings map[string]string
	// Supervise starts a store again that died unexpectedly, on its old port and with its data, and says so.
	Supervise bool

	// freeBytes stands in for the disk in tests.
	freeBytes func(dir string) (uint64, error)
}

// leastFreeBytes is the room below which Postgres isn't started: it keeps up to 1 GiB of write-ahead log, and it panics
// when it can't write it.
const leastFreeBytes = 512 << 20

// Stores is a running pair. It is safe for concurrent use.
type Stores struct {
	home     *home
	postgres *Store
	redis    *Store
	lock     *os.File
	cancel   context.CancelFunc
	watchers sync.WaitGroup

	stopOnce sync.Once
	stopErr  error
}

// home is what both stores share: the folder, its state, and how they are to be run.
type home struct {
	dir   string
	owner owner
	log   *slog.Logger
	opts  Options

	mu    sync.Mutex
	state state
}

// Start starts the pair, or carries on with the one that a killed process of ours left running in the folder. It
// returns when both answer. An InUseError says that another process has the folder; every other error says what is
// missing or wrong and what to do, with the store's own last words where it had any. On an error nothing keeps running.
func Start(ctx context.Context, opts Options) (*Stores, error) {
	if opts.Dir == "" {
		return nil, errors.New("localstores: no data folder was given")
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, err
	}
	h := &home{owner: storeOwner(), log: opts.Log, opts: opts}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	h.opts.MaxConnections = cmp.Or(opts.MaxConnections, 100)
	h.opts.RedisDatabases = cmp.Or(opts.RedisDatabases, 16)
	if h.opts.freeBytes == nil {
		h.opts.freeBytes = freeBytes
	}

	servers, err := findPostgres(ctx)
	if err != nil {
		return nil, err
	}
	redisServer, err := findRedis()
	if err != nil {
		return nil, err
	}
	if h.dir, err = h.owner.reachableFolder(ctx, h.log, dir); err != nil {
		return nil, err
	}
	locked, err := lock(h.dir)
	if err != nil {
		return nil, err
	}
	if h.state, err = loadState(h.dir); err == nil {
		// Before anything is made with the passwords in it.
		err = saveState(h.dir, h.state)
	}
	if err != nil {
		return nil, errors.Join(err, locked.Close())
	}

	lifetime, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Stores{home: h, lock: locked, cancel: cancel}
	s.postgres = &Store{
		name: "Postgres", engine: &postgres{home: h, installed: servers}, home: h, lifetime: lifetime, watchers: &s.watchers,
	}
	s.redis = &Store{
		name: "Redis", engine: &redis{home: h, server: redisServer}, home: h, lifetime: lifetime, watchers: &s.watchers,
	}
	var both errgroup.Group // Without a shared context: the first error's text would drown in the other's cancellation.
	both.Go(func() error { return s.postgres.begin(ctx) })
	both.Go(func() error { return s.redis.begin(ctx) })
	if err := both.Wait(); err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// Dir is the folder that the data is in. It differs from the one asked for where the user who runs the stores couldn't
// enter that.
func (s *Stores) Dir() string { return s.home.dir }

// PostgresURL is the database "jari" with its password.
func (s *Stores) PostgresURL() string { return s.postgres.engine.url() }

// RedisURL is logical database 0 with its password.
func (s *Stores) RedisURL() string { return s.redis.engine.url() }

// Postgres is the store itself, for tests that break it.
func (s *Stores) Postgres() *Store { return s.postgres }

// Redis is the store itself, for tests that break it.
func (s *Stores) Redis() *Store { return s.redis }

// Stop shuts both stores down and frees the folder. Postgres ends open transactions at once and writes its data; a store
// that hasn't stopped when the context ends is killed, which costs Postgres a recovery at the next start and nothing
// else. Calling it again answers as the first time.
func (s *Stores) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() {
		s.cancel() // No store is started again from here on.
		var both errgroup.Group
		both.Go(func() error { return s.postgres.end(ctx) })
		both.Go(func() error { return s.redis.end(ctx) })
		err := both.Wait()
		s.watchers.Wait()
		s.stopErr = errors.Join(err, s.lock.Close())
	})
	return s.stopErr
}

// remember changes the folder's state, in memory and on disk.
func (h *home) remember(change func(*state)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(&h.state)
	if err := saveState(h.dir, h.state); err != nil {
		return fmt.Errorf("the data folder's state can't be written: %w", err)
	}
	return nil
}

// known is the folder's state at this moment.
func (h *home) known() state {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

// checkDisk is an error when the folder's disk is nearly full.
func (h *home) checkDisk() error {
	free, err := h.opts.freeBytes(h.dir)
	if err != nil {
		return fmt.Errorf("the free space of %s can't be told: %w", h.dir, err)
	}
	if free < leastFreeBytes {
		return fmt.Errorf("only %d MiB are free on the disk of %s, and Postgres needs %d MiB to run safely: free some space, "+
			"or choose a data folder on another disk (nothing was lost)", free>>20, h.dir, leastFreeBytes>>20)
	}
	return nil
}

// freeBytes is the room that the folder's disk has for ordinary users.
func freeBytes(dir string) (uint64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, err
	}
	return uint64(stat.Bavail) * uint64(stat.Bsize), nil //nolint:gosec,unconvert // the types differ between systems
}
