//go:build unix

package localstores

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// postgres runs Postgres out of the folder's postgres/.
type postgres struct {
	home      *home
	installed []postgresServer
}

const (
	// postgresUser is the superuser that initdb makes. Development uses it for everything; what a deployment needs
	// instead is in its own document.
	postgresUser = "jari"
	// postgresDatabase is made at the first start.
	postgresDatabase = "jari"

	// answerWithin is how long a store may say nothing at all after its start. A Postgres that says that it is
	// recovering may take as long as it needs.
	answerWithin = time.Minute
	// adoptWithin is how long one that is running already may take to answer before it is restarted.
	adoptWithin = 5 * time.Second
	// leftoversWithin is how long the shared memory of a killed Postgres may linger.
	leftoversWithin = 20 * time.Second
)

func (p *postgres) data() string { return filepath.Join(p.home.dir, "postgres") }
func (p *postgres) log() string  { return filepath.Join(p.home.dir, "postgres.log") }

func (p *postgres) stopSignal() syscall.Signal { return syscall.SIGINT } // "fast": open transactions are rolled back

func (p *postgres) url() string { return p.urlOf(postgresDatabase) }

func (p *postgres) urlOf(database string) string {
	known := p.home.known().Postgres
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(postgresUser, known.Password), Host: address(known.Port), Path: database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (p *postgres) start(ctx context.Context, first bool) (*process, error) {
	if err := p.home.checkDisk(); err != nil {
		return nil, err
	}
	server, err := p.prepare(ctx)
	if err != nil {
		return nil, err
	}
	settings := p.settings()
	running, err := p.findRunning(ctx)
	if err != nil {
		return nil, err
	}
	wanted := server.postgres + " " + strings.Join(settings, " ")
	if running != nil {
		if first && p.home.known().Postgres.Settings == wanted && p.answers(ctx, running) {
			p.home.log.InfoContext(ctx, "Postgres is still running from an earlier start; carrying on with it", "process",
				running.pid, "port", p.home.known().Postgres.Port)
			return running, nil
		}
		p.home.log.InfoContext(ctx, "a Postgres that an earlier start left behind is stopped", "process", running.pid)
		if err := p.stopLeftover(ctx, running); err != nil {
			return nil, err
		}
	}
	proc, err := p.launch(ctx, server, settings, first)
	if err != nil {
		return nil, err
	}
	return proc, p.home.remember(func(st *state) { st.Postgres.Settings = wanted })
}

// answers tells whether a Postgres that an earlier start left behind is in order.
func (p *postgres) answers(ctx context.Context, running *process) bool {
	ctx, cancel := context.WithTimeout(ctx, adoptWithin)
	defer cancel()
	return p.ready(ctx, running, nil) == nil
}

// stopLeftover ends a Postgres of ours that isn't wanted as it runs.
func (p *postgres) stopLeftover(ctx context.Context, running *process) error {
	if err := running.signal(p.stopSignal()); err != nil {
		return err
	}
	if err := running.signalAll(ctx, syscall.SIGCONT); err != nil { // A frozen one would only hear of it when it goes on.
		return err
	}
	gentle, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := running.wait(gentle); err != nil {
		return running.killAll(ctx)
	}
	return nil
}

// settings are the server's, as name=value in a fixed order. They are given on the command line, so that the data
// folder never decides how a store behaves.
func (p *postgres) settings() []string {
	set := map[string]string{
		"listen_addresses": "127.0.0.1",
		// A socket's path is limited to about 100 bytes, and a checkout's may be longer.
		"unix_socket_directories": "",
		"max_connections":         strconv.Itoa(p.home.opts.MaxConnections),
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"cluster_name":            "jari",
		"logging_collector":       "off",
	}
	if p.home.opts.Fast {
		set["fsync"] = "off"
		set["full_page_writes"] = "off"
		set["wal_level"] = "minimal"
		set["max_wal_senders"] = "0"
		set["checkpoint_timeout"] = "30min"
		// Stays on: a test that kills Postgres must find everything that was acknowledged, and without fsync a commit
		// costs no more than handing its log to the system.
		set["synchronous_commit"] = "on"
	}
	maps.Copy(set, p.home.opts.PostgresSettings)
	settings := make([]string, 0, len(set))
	for _, name := range slices.Sorted(maps.Keys(set)) {
		settings = append(settings, name+"="+set[name])
	}
	return settings
}

// prepare makes the data on the first start and chooses the installed version that fits it.
func (p *postgres) prepare(ctx context.Context) (postgresServer, error) {
	raw, err := os.ReadFile(filepath.Join(p.data(), "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		server := p.installed[0]
		return server, p.initialise(ctx, server)
	}
	if err != nil {
		return postgresServer{}, fmt.Errorf("the data of Postgres can't be read: %w", err)
	}
	version := strings.TrimSpace(string(raw))
	for _, server := range p.installed {
		if strconv.Itoa(server.major) == version {
			return server, nil
		}
	}
	return postgresServer{}, fmt.Errorf("the data in %s was made by PostgreSQL %s, and only %d is installed, which can't read "+
		"it: install PostgreSQL %s beside it, or move %s away to start with an empty one", p.data(), version,
		p.installed[0].major, version, p.home.dir)
}

// initialise makes the data in a folder of another name and renames it at the end, so that a crash on the way leaves
// nothing that looks like data.
func (p *postgres) initialise(ctx context.Context, server postgresServer) error {
	if entries, err := os.ReadDir(p.data()); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s exists but holds no data of Postgres: move it away", p.data())
	}
	leftovers, err := filepath.Glob(p.data() + ".new*")
	if err != nil {
		return err
	}
	for _, path := range leftovers {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("what an interrupted first start left behind can't be removed: %w", err)
		}
	}
	p.home.log.InfoContext(ctx, "Postgres gets its data folder", "version", server.major, "folder", p.data(), "as",
		p.home.owner.name)
	fresh, passwordFile := p.data()+".new", p.data()+".new-password"
	if err := p.home.owner.makeFolder(fresh); err != nil {
		return err
	}
	if err := p.home.owner.writeFile(passwordFile, p.home.known().Postgres.Password+"\n"); err != nil {
		return err
	}
	defer os.Remove(passwordFile) //nolint:errcheck // state.json has the same content; the next start removes it

	// C.UTF-8 sorts like C and knows what a letter is; not every system has it.
	locales := []string{"C.UTF-8", "C"}
	if runtime.GOOS == "darwin" {
		locales = locales[1:]
	}
	auth := "scram-sha-256"
	if p.home.opts.Fast {
		// SCRAM has the client hash the password 4096 times for every connection: with the race detector that takes longer than
		// most of what tests ask.
		auth = "md5"
	}
	for i, locale := range locales {
		args := []string{
			"--pgdata=" + fresh, "--username=" + postgresUser, "--pwfile=" + passwordFile, "--auth=" + auth,
			"--encoding=UTF8", "--locale=" + locale, "--lc-messages=C",
		}
		if p.home.opts.Fast {
			args = append(args, "--no-sync")
		}
		cmd := exec.CommandContext(ctx, server.initdb, args...) //nolint:gosec // a program that was looked for by name
		cmd.Dir, cmd.Env, cmd.SysProcAttr = fresh, environment(fresh), p.home.owner.attributes()
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		if strings.Contains(string(out), "locale") && i+1 < len(locales) {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return errors.Join(fmt.Errorf("the data folder of Postgres couldn't be made (%w); initdb said:\n%s", err,
			strings.Join(lines[max(0, len(lines)-12):], "\n")), os.RemoveAll(fresh))
	}
	if err := os.Remove(p.data()); err != nil && !errors.Is(err, os.ErrNotExist) { // It may be there, and is empty.
		return err
	}
	return os.Rename(fresh, p.data())
}

// environment of a store: nothing of ours leaks into it, and messages are in English.
func environment(homeFolder string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + homeFolder, "LC_ALL=C", "TZ=UTC"}
}

// findRunning returns the Postgres that runs on our data, nil when none does. A left pid file whose process is somebody
// else's by now (after a reboot, or in a new container) is removed, since Postgres would take that process for its own.
func (p *postgres) findRunning(ctx context.Context) (*process, error) {
	path := filepath.Join(p.data(), "postmaster.pid")
	raw, err := os.ReadFile(path) //nolint:gosec // in our own folder
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // none is an ordinary answer
	}
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || !alive(pid) {
		return nil, nil //nolint:nilnil // as above; Postgres itself clears the file of a dead process
	}
	if !strings.Contains(commandLine(ctx, pid), p.data()) {
		p.home.log.WarnContext(ctx, "a left pid file names a process that isn't this Postgres; it is removed", "file", path,
			"process", pid)
		return nil, os.Remove(path)
	}
	return adopt(pid), nil
}

// launch starts the server and waits until it answers. It tries again while another process grabs the port before the
// server does, or while the remains of a killed server linger.
func (p *postgres) launch(ctx context.Context, server postgresServer, settings []string, first bool) (*process, error) {
	began := time.Now()
	for try := 1; ; try++ {
		port, err := p.home.choosePort(ctx, "Postgres", func(st *state) *storeState { return &st.Postgres }, first)
		if err != nil {
			return nil, err
		}
		proc, words, err := p.launchOnce(ctx, server, settings, port)
		if err == nil {
			return proc, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		lingers := strings.Contains(words, "shared memory block") || strings.Contains(words, "postmaster.pid")
		taken := strings.Contains(words, "Address already in use") || strings.Contains(words, "could not bind")
		switch {
		case lingers && time.Since(began) < leftoversWithin:
			if !sleep(ctx, 10*pollEvery) {
				return nil, ctx.Err()
			}
		case taken && try < 5:
		default:
			return nil, err
		}
	}
}

func (p *postgres) launchOnce(ctx context.Context, server postgresServer, settings []string, port int) (
	proc *process, words string, err error,
) {
	logs, err := openLog(p.log())
	if err != nil {
		return nil, "", err
	}
	defer logs.Close() //nolint:errcheck // the server has its own copy
	args := []string{"-D", p.data(), "-p", strconv.Itoa(port)}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	// The background context, because the server outlives this call; it ends by the signals of Stop.
	cmd := exec.CommandContext(context.Background(), server.postgres, args...) //nolint:gosec // looked for by name
	cmd.Dir, cmd.Env, cmd.SysProcAttr = p.data(), environment(p.data()), p.home.owner.attributes()
	cmd.Stdout, cmd.Stderr = logs.File, logs.File
	if proc, err = launch(cmd); err != nil {
		return nil, "", fmt.Errorf("Postgres can't be started: %w", err)
	}
	if err = p.ready(ctx, proc, logs); err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return nil, logs.tail(), errors.Join(err, proc.killAll(clean))
	}
	p.home.log.InfoContext(ctx, "Postgres is running", "version", server.major, "port", port, "process", proc.pid, "folder",
		p.data())
	return proc, "", nil
}

// ready waits until the process answers with our password from our data, and makes the database if it's missing.
func (p *postgres) ready(ctx context.Context, proc *process, logs *logFile) error {
	words := func() string {
		if logs == nil {
			return "(its log is " + p.log() + ")"
		}
		return "its last words:\n" + logs.tail()
	}
	lastSign := time.Now()
	return poll(ctx, func() (bool, error) {
		if proc.ended() {
			return false, fmt.Errorf("Postgres stopped right after its start (%s); %s", proc.how, words())
		}
		err := p.prepareDatabase(ctx)
		if err == nil {
			return true, nil
		}
		var refused *pgconn.PgError
		if errors.As(err, &refused) {
			switch refused.Code {
			case "57P03": // "the database system is starting up": recovering from a kill takes as long as it takes.
				lastSign = time.Now()
				return false, nil
			case "28P01":
				return false, fmt.Errorf("Postgres refuses the password that %s remembers: was that file replaced? Restore it, "+
					"or move the data folder away", filepath.Join(p.home.dir, stateFile))
			}
		}
		if time.Since(lastSign) > answerWithin {
			return false, fmt.Errorf("Postgres didn't answer within %s (%w); %s", answerWithin, err, words())
		}
		return false, nil
	})
}

func (p *postgres) prepareDatabase(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.urlOf("postgres"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var folder string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&folder); err != nil {
		return err
	}
	if !sameFolder(folder, p.data()) {
		return fmt.Errorf("the Postgres on port %d runs on %s", p.home.known().Postgres.Port, folder)
	}
	var exists bool
	const query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
	if err := conn.QueryRow(ctx, query, postgresDatabase).Scan(&exists); err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+postgresDatabase)
	return err
}

func sameFolder(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	if errA != nil || errB != nil {
		return filepath.Clean(a) == filepath.Clean(b)
	}
	return os.SameFile(infoA, infoB)
}

// choosePort returns the remembered port, or, at the first start of this process, another one where none is remembered
// or a stranger has it. Later the address has been handed out, and the port is what it is.
func (h *home) choosePort(ctx context.Context, name string, of func(*state) *storeState, first bool) (int, error) {
	known := h.known()
	old := of(&known).Port
	if old != 0 {
		err := portFree(ctx, old)
		if err == nil {
			return old, nil
		}
		if !first {
			return 0, fmt.Errorf("%s can't have its port %d back, another program took it while it was down: %w", name, old, err)
		}
	}
	port, err := freePort(ctx)
	if err != nil {
		return 0, err
	}
	if old != 0 {
		h.log.WarnContext(ctx, name+"'s port was taken by another program; it gets a new one", "taken", old, "new", port)
	}
	return port, h.remember(func(st *state) { of(st).Port = port })
}
