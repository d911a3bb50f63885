//go:build unix

// Command stores runs a command with a private Postgres and Redis, which tests find in the environment, and stops them
// when it ends. Without a command it keeps the pair running until Ctrl-C, and tests find it through a file.
//
//	stores -- go test ./...
//	stores
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"jari/internal/localstores"
	"jari/test/storetest"
)

func main() {
	code, err := run(context.Background(), os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "stores:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// The stores serve all packages' tests at once, each with a pool or two and a Redis database of its own.
const (
	maxConnections = 300
	redisDatabases = 512
)

func run(ctx context.Context, args []string) (code int, err error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 0, keep(ctx)
	}
	// Whoever brings stores along, such as a CI with services, wants those used.
	if os.Getenv(storetest.PostgresVariable) != "" && os.Getenv(storetest.RedisVariable) != "" {
		return command(ctx, args, os.Environ())
	}
	stores, err := startForCommand(ctx)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, stop(ctx, stores)) }()
	if err := storetest.Sweep(ctx, stores.PostgresURL()); err != nil {
		return 1, fmt.Errorf("databases of an earlier run can't be dropped: %w", err)
	}
	return command(ctx, args, append(os.Environ(),
		storetest.PostgresVariable+"="+stores.PostgresURL(), storetest.RedisVariable+"="+stores.RedisURL()))
}

func start(ctx context.Context, dir string, level slog.Level, supervise bool) (*localstores.Stores, error) {
	return localstores.Start(ctx, localstores.Options{
		Dir:            dir,
		Log:            slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
		Fast:           true,
		MaxConnections: maxConnections,
		RedisDatabases: redisDatabases,
		Supervise:      supervise,
	})
}

func folder() (string, error) {
	root, err := storetest.ModuleRoot()
	if err != nil {
		return "", err
	}
	return filepath.Dir(filepath.Join(root, storetest.File)), nil
}

// dataVariable names a folder for the data of a command's stores, instead of one in the checkout. One in memory saves most of what
// making and dropping databases costs: ext4 looks at every file that was deleted lately when it makes one.
const dataVariable = "JARI_TEST_DATA"

// startForCommand takes the first folder that nobody uses: two runs at once, or one beside `make stores`, must not end
// each other's stores.
func startForCommand(ctx context.Context) (*localstores.Stores, error) {
	base, err := folder()
	if err != nil {
		return nil, err
	}
	base = cmp.Or(os.Getenv(dataVariable), base)
	dir := base
	for n := 2; ; n++ {
		stores, err := start(ctx, dir, slog.LevelWarn, false)
		var inUse *localstores.InUseError
		if !errors.As(err, &inUse) || n > 9 {
			return stores, err
		}
		dir = base + "-" + strconv.Itoa(n)
	}
}

func stop(ctx context.Context, stores *localstores.Stores) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return stores.Stop(ctx)
}

// keep runs the pair until a signal, and tells tests where it is.
func keep(ctx context.Context) (err error) {
	ctx, cancel := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	dir, err := folder()
	if err != nil {
		return err
	}
	stores, err := start(ctx, dir, slog.LevelInfo, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(context.WithoutCancel(ctx), stores)) }()
	if err := storetest.Sweep(ctx, stores.PostgresURL()); err != nil {
		return fmt.Errorf("databases of an earlier run can't be dropped: %w", err)
	}
	raw, err := json.Marshal(storetest.Addresses{PostgresURL: stores.PostgresURL(), RedisURL: stores.RedisURL()})
	if err != nil {
		return err
	}
	path := filepath.Join(dir, filepath.Base(storetest.File))
	if err := os.WriteFile(path, append(raw, '\n'), 0o600); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(path)) }()
	fmt.Printf("The stores for tests are running; `go test ./...` finds them. Ctrl-C stops them.\n\n  psql %s\n  redis-cli -u %s\n\n",
		stores.PostgresURL(), stores.RedisURL())
	<-ctx.Done()
	return nil
}

// command runs args to their end and returns their exit status.
func command(ctx context.Context, args, environment []string) (code int, err error) {
	// A terminal's Ctrl-C reaches the command too: it decides when to end, and the stores outlive it.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environment, os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 127, err
	}
	ended := make(chan struct{})
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		pass(cmd.Process, signals, ended)
	}()
	err = cmd.Wait()
	close(ended)
	<-passed
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), nil // As a shell says it.
		}
		return failed.ExitCode(), nil
	}
	return 0, err
}

// pass hands on the signals that a terminal doesn't send to the command itself, and, to a command that goes on after
// Ctrl-C, the request to end.
func pass(process *os.Process, signals <-chan os.Signal, ended <-chan struct{}) {
	var late <-chan time.Time
	for {
		var sig os.Signal
		select {
		case <-ended:
			return
		case sig = <-signals:
			if sig == os.Interrupt {
				late = time.After(5 * time.Second)
				continue
			}
		case <-late:
			sig = syscall.SIGTERM
		}
		if err := process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			fmt.Fprintln(os.Stderr, "stores:", err)
		}
	}
}
