package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	korea2021 "jari/examples/korea-2021"
	"jari/internal/app"
	"jari/internal/config"
	"jari/internal/keys"
	"jari/internal/localstores"
	"jari/internal/postgres"
)

type devCommand struct {
	Data     string    `default:".jari/dev" type:"path" help:"Folder for the stores, the keys and the clock."`
	Clock    time.Time `help:"The instant (RFC 3339) at which the server's time begins. It then runs on, over restarts too, until another instant is given; --again begins it anew." format:"2006-01-02T15:04:05Z07:00"`
	Again    bool      `help:"Begin the clock anew although it was begun at the same instant before."`
	Listen   string    `help:"Address of the API. Without it, 127.0.0.1:8080 or the next free port."`
	Ops      string    `name:"ops-listen" help:"Address of /livez, /readyz and /metrics. Without it, 127.0.0.1:9090 or the next free port."`
	Campaign string    `type:"existingfile" help:"The campaign file to publish, instead of the example of July 2021."`
}

// Run starts what is needed and serves.
func (c devCommand) Run(w surroundings) (err error) {
	if at := lookup(w.environ, "JARI_ENV"); at != "" && at != config.Development {
		return fmt.Errorf("JARI_ENV is %q: jari dev is for development; jari serve serves a deployment", at)
	}
	if err := os.MkdirAll(c.Data, 0o755); err != nil { //nolint:gosec // the stores' own user must be able to pass
		return fmt.Errorf("making the data folder: %w", err)
	}
	log := slog.New(slog.NewTextHandler(w.err, &slog.HandlerOptions{Level: slog.LevelInfo}))
	environ := append([]string{}, w.environ...)
	set := func(name, value string) {
		if lookup(environ, name) == "" {
			environ = append(environ, name+"="+value)
		}
	}
	set("JARI_ENV", config.Development)
	set("JARI_SMS_GATEWAY", "inbox")

	public, err := listenNear(w.ctx, c.Listen, 8080)
	if err != nil {
		return err
	}
	operations, err := listenNear(w.ctx, c.Ops, 9090)
	if err != nil {
		return errors.Join(err, public.Close())
	}
	defer func() { _, _ = public.Close(), operations.Close() }()

	set("JARI_PUBLIC_URL", "http://"+reachable(public.Addr()))

	if lookup(environ, "JARI_POSTGRES_URL") == "" || lookup(environ, "JARI_REDIS_URL") == "" {
		stores, err := localstores.Start(w.ctx, localstores.Options{Dir: c.Data, Log: log, Supervise: true})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stores.Stop(context.WithoutCancel(w.ctx))) }()
		set("JARI_POSTGRES_URL", stores.PostgresURL())
		set("JARI_REDIS_URL", stores.RedisURL())
	}
	secrets, err := c.secrets()
	if err != nil {
		return err
	}
	for _, line := range secrets {
		name, value, _ := strings.Cut(line, "=")
		set(name, value)
	}
	offset, err := c.offset()
	if err != nil {
		return err
	}
	environ = append(environ, "JARI_CLOCK_OFFSET="+offset.String())
	cfg, err := config.Load(environ)
	if err != nil {
		return err
	}
	return c.serve(w, cfg, log, public, operations)
}

// serve migrates, publishes, says where to go, and serves.
func (c devCommand) serve(w surroundings, cfg config.Config, log *slog.Logger, public, operations net.Listener) error {
	if err := postgres.Migrate(w.ctx, string(cfg.PostgresURL)); err != nil {
		return err
	}
	pool, err := postgres.Open(w.ctx, string(cfg.PostgresURL), postgres.Options{MaxConnections: 4})
	if err != nil {
		return err
	}
	var files fs.FS = korea2021.Files
	name := "campaign.yaml"
	if c.Campaign != "" {
		files, name = os.DirFS(filepath.Dir(c.Campaign)), filepath.Base(c.Campaign)
	}
	published, err := app.Publish(w.ctx, pool, files, name, time.Now().Add(cfg.ClockOffset))
	pool.Close()
	if err != nil {
		return err
	}
	log.Info(describe(published))
	app.Tune()
	a, err := app.New(w.ctx, cfg, log)
	if err != nil {
		return err
	}
	base := "http://" + reachable(public.Addr())
	if err := os.WriteFile(filepath.Join(c.Data, "address"), []byte(base+"\n"), 0o600); err != nil {
		return errors.Join(fmt.Errorf("writing the address down: %w", err), a.Close(w.ctx))
	}
	fmt.Fprint(w.out, welcome(base, "http://"+reachable(operations.Addr()), published.Campaign, time.Now().Add(cfg.ClockOffset)))
	return a.Serve(w.ctx, public, operations)
}

// secrets reads the keysets of the data folder, or generates them once.
func (c devCommand) secrets() ([]string, error) {
	path := filepath.Join(c.Data, "keys.env")
	raw, err := os.ReadFile(path) //nolint:gosec // the developer's own folder
	if errors.Is(err, fs.ErrNotExist) {
		var b strings.Builder
		for _, k := range keyVariables {
			line, err := keys.Generate(config.Development, k.purpose)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&b, "%s=%s\n", k.name, line)
		}
		raw = []byte(b.String())
		// Whole or not at all: half a file would lock the data of the next start away.
		if err := os.WriteFile(path+".new", raw, 0o600); err != nil {
			return nil, fmt.Errorf("writing the development keys: %w", err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			return nil, fmt.Errorf("writing the development keys: %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("reading the development keys: %w", err)
	}
	var lines []string
	for scan := bufio.NewScanner(strings.NewReader(string(raw))); scan.Scan(); {
		lines = append(lines, scan.Text())
	}
	return lines, nil
}

// moved is how the clock was moved, kept in the data folder.
type moved struct {
	BeganAt time.Time     `json:"began_at"`  // as it was asked for
	Offset  time.Duration `json:"offset_ns"` // what shown time is ahead of real time
}

// offset is what shown time is ahead of real time. A clock that was begun before runs on: a night that was left at 20:05
// isn't thrown back to 19:58, where its bookings would lie in the future.
func (c devCommand) offset() (time.Duration, error) {
	path := filepath.Join(c.Data, "clock.json")
	var m moved
	raw, err := os.ReadFile(path) //nolint:gosec // the developer's own folder
	switch {
	case err == nil:
		if err := json.Unmarshal(raw, &m); err != nil {
			return 0, fmt.Errorf("%s can't be read; delete it to begin the clock anew: %w", path, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("reading the clock: %w", err)
	}
	if c.Clock.IsZero() || (err == nil && m.BeganAt.Equal(c.Clock) && !c.Again) {
		return m.Offset, nil
	}
	m = moved{BeganAt: c.Clock, Offset: time.Until(c.Clock).Round(time.Millisecond)}
	raw, err = json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("encoding the clock: %w", err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return 0, fmt.Errorf("writing the clock: %w", err)
	}
	return m.Offset, nil
}

// listenNear opens a listener at the address; without one, at the first free port from the usual one on.
func listenNear(ctx context.Context, address string, usual int) (net.Listener, error) {
	if address != "" {
		return listen(ctx, address)
	}
	const tries = 20
	for port := usual; port < usual+tries; port++ {
		l, err := listen(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
	}
	return nil, fmt.Errorf("ports %d to %d are all taken; choose one with --listen or --ops-listen", usual, usual+tries-1)
}

// reachable is an address that a browser on this machine can open.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return a.String()
}

func lookup(environ []string, name string) (value string) {
	for _, pair := range environ {
		if v, found := strings.CutPrefix(pair, name+"="); found {
			value = v
		}
	}
	return value
}
