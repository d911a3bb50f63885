package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"jari/internal/app"
	"jari/internal/config"
	"jari/internal/keys"
	"jari/internal/postgres"
	"jari/test/storetest"
)

// ran is what a command said.
type ran struct {
	out, err string
	fault    error
}

func jari(t testing.TB, environ []string, arguments ...string) ran {
	t.Helper()
	var out, words bytes.Buffer
	fault := run(surroundings{ctx: t.Context(), environ: environ, out: &out, err: &words}, arguments)
	return ran{out.String(), words.String(), fault}
}

func (r ran) want(t testing.TB, says ...string) ran {
	t.Helper()
	if r.fault != nil {
		t.Fatalf("it failed: %v", r.fault)
	}
	for _, s := range says {
		if !strings.Contains(r.out, s) {
			t.Errorf("%q isn't said: %s", s, r.out)
		}
	}
	return r
}

func (r ran) wantFault(t testing.TB, says ...string) {
	t.Helper()
	if r.fault == nil {
		t.Fatalf("it succeeded and said %s", r.out)
	}
	for _, s := range says {
		if !strings.Contains(r.fault.Error(), s) {
			t.Errorf("%q isn't said: %v", s, r.fault)
		}
	}
	if strings.Contains(r.fault.Error()+r.out+r.err, "hunter2") {
		t.Errorf("a secret is shown: %v", r.fault)
	}
}

func TestHelpListsTheCommands(t *testing.T) {
	t.Parallel()
	jari(t, nil, "--help").want(t, "Usage: jari", "serve", "dev", "demo", "migrate up", "migrate status", "campaign publish", "keys generate", "admin", "audit verify", "config")
	jari(t, nil, "migrate", "down", "--help").want(t, "--yes")
	jari(t, nil, "dev", "--help").want(t, "--clock", "--listen")
}

func TestWhatIsntACommandIsAnError(t *testing.T) {
	t.Parallel()
	for name, arguments := range map[string][]string{
		"nothing":                     {},
		"an unknown command":          {"sevre"},
		"half a command":              {"migrate"},
		"an unknown flag":             {"serve", "--port=1"},
		"a flag that is missing":      {"keys", "generate"},
		"an environment of one's own": {"keys", "generate", "--environment=staging"},
		"a clock that isn't one":      {"dev", "--clock=yesterday"},
		"a file that isn't there":     {"campaign", "publish", "/nowhere/campaign.yaml"},
		"deleting without saying yes": {"migrate", "down"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			jari(t, nil, arguments...).wantFault(t, "see jari --help")
		})
	}
}

func TestGeneratedKeysCanBeUsed(t *testing.T) {
	t.Parallel()
	for _, environment := range []string{"development", "production"} {
		lines := strings.Split(strings.TrimSpace(jari(t, nil, "keys", "generate", "--environment", environment).want(t).out), "\n")
		if len(lines) != 3 {
			t.Fatalf("%d lines", len(lines))
		}
		cfg, err := config.Read(append(lines, "JARI_ENV="+environment))
		if err != nil {
			t.Fatal(err)
		}
		if err := app.CheckSecrets(cfg); err != nil {
			t.Errorf("%s: %v", environment, err)
		}
	}
}

func TestConfigPrintsTheTable(t *testing.T) {
	t.Parallel()
	r := jari(t, []string{"JARI_POSTGRES_URL=hunter2"}, "config").want(t, "| `JARI_ENV` |", "| `JARI_SMS_TIMEOUT` |")
	if strings.Contains(r.out, "hunter2") {
		t.Error("the table shows what is set")
	}
}

// deployment is an environment of production that can be used.
func deployment(t testing.TB) []string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(jari(t, nil, "keys", "generate", "--environment=production").want(t).out), "\n")
	return append(lines, "JARI_ENV=production", "JARI_POSTGRES_URL=postgres://jari:hunter2@127.0.0.1:1/jari", "JARI_REDIS_URL=redis://:hunter2@127.0.0.1:1/0",
		"JARI_SMS_GATEWAY=http", "JARI_SMS_URL=https://sms.example.org", "JARI_SMS_USER=jari", "JARI_SMS_PASSWORD=hunter2", "JARI_SMS_FROM=15771000")
}

func TestConfigCheckSaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	jari(t, deployment(t), "config", "--check").want(t, "the configuration can be used")
	jari(t, nil, "config", "--check").wantFault(t, "JARI_ENV", "JARI_POSTGRES_URL", "JARI_REDIS_URL", "JARI_TOKEN_KEYS", "JARI_DATA_KEYS",
		"JARI_INDEX_KEYS", "JARI_SMS_GATEWAY")
	jari(t, append(deployment(t), "JARI_SMS_GATEWAY=inbox", "JARI_CLOCK_OFFSET=1h"), "config", "--check").wantFault(t, "JARI_SMS_GATEWAY", "JARI_CLOCK_OFFSET")
	jari(t, append(deployment(t), "JARI_FLUSH_ROWS=hunter2"), "config", "--check").wantFault(t, "JARI_FLUSH_ROWS", "whole number")
	wrong, err := keys.Generate("development", keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	jari(t, append(deployment(t), "JARI_TOKEN_KEYS="+wrong, "JARI_DATA_KEYS=hunter2"), "config", "--check").
		wantFault(t, "JARI_TOKEN_KEYS was made for development", "JARI_DATA_KEYS isn't a keyset")
}

func TestServeRefusesToStart(t *testing.T) {
	t.Parallel()
	t.Run("with nothing configured, and says all of it", func(t *testing.T) {
		t.Parallel()
		jari(t, nil, "serve").wantFault(t, "jari config lists all variables", "JARI_ENV", "JARI_POSTGRES_URL", "JARI_REDIS_URL",
			"JARI_TOKEN_KEYS", "JARI_DATA_KEYS", "JARI_INDEX_KEYS", "JARI_SMS_GATEWAY")
	})
	t.Run("with what belongs to development: fixed_code_refused_in_production", func(t *testing.T) {
		t.Parallel()
		jari(t, append(deployment(t), "JARI_SMS_GATEWAY=inbox"), "serve").wantFault(t, "inbox shows everybody's codes")
	})
	t.Run("with keys of development", func(t *testing.T) {
		t.Parallel()
		line, err := keys.Generate("development", keys.Index)
		if err != nil {
			t.Fatal(err)
		}
		jari(t, append(deployment(t), "JARI_INDEX_KEYS="+line, "JARI_LISTEN=127.0.0.1:0", "JARI_OPS_LISTEN=127.0.0.1:0"), "serve").
			wantFault(t, "JARI_INDEX_KEYS was made for development and this is production")
	})
	t.Run("at an address that is taken", func(t *testing.T) {
		t.Parallel()
		taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = taken.Close() }()
		address := taken.Addr().String()
		jari(t, append(deployment(t), "JARI_LISTEN="+address), "serve").wantFault(t, "JARI_LISTEN: ", "something else is listening at "+address)
		jari(t, append(deployment(t), "JARI_LISTEN=127.0.0.1:0", "JARI_OPS_LISTEN="+address), "serve").wantFault(t, "JARI_OPS_LISTEN: ", address)
		jari(t, append(deployment(t), "JARI_LISTEN=nowhere"), "serve").wantFault(t, "JARI_LISTEN: can't listen at nowhere")
	})
}

// oneServer keeps one server of this process from being made while another answers: making one replaces a format in the
// validator's global table, which every request reads.
var oneServer sync.Mutex

func TestServeServesUntilItIsTold(t *testing.T) {
	t.Parallel()
	oneServer.Lock()
	defer oneServer.Unlock()
	ctx, stop := context.WithCancel(t.Context())
	log, words := io.Pipe()
	ended := make(chan error, 1)
	environ := append(deployment(t), "JARI_POSTGRES_URL="+storetest.PostgresURL(t), "JARI_REDIS_URL="+storetest.RedisURL(t),
		"JARI_LISTEN=127.0.0.1:0", "JARI_OPS_LISTEN=127.0.0.1:0")
	go func() {
		err := run(surroundings{ctx: ctx, environ: environ, out: io.Discard, err: words}, []string{"serve"})
		_ = words.CloseWithError(io.EOF)
		ended <- err
	}()
	read := make(chan string, 1)
	go func() {
		var all strings.Builder
		buffer := make([]byte, 4096)
		for {
			n, err := log.Read(buffer)
			all.Write(buffer[:n])
			if strings.Contains(all.String(), `"msg":"serving"`) {
				stop()
			}
			if err != nil {
				read <- all.String()
				return
			}
		}
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it stopped with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it doesn't serve, or doesn't stop")
	}
	stop()
	said := <-read
	if !strings.Contains(said, `"environment":"production"`) || strings.Contains(said, "hunter2") {
		t.Errorf("it said %s", said)
	}
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, "{") {
			t.Errorf("a line of another form: %q", line)
		}
	}
}

func TestMigrateStatusComparesTheDatabaseWithTheBinary(t *testing.T) {
	t.Parallel()
	t.Run("without an address", func(t *testing.T) {
		t.Parallel()
		for _, command := range [][]string{{"migrate", "status"}, {"migrate", "up"}, {"migrate", "down", "--yes"}} {
			jari(t, nil, command...).wantFault(t, "JARI_POSTGRES_URL is missing")
		}
	})
	t.Run("without a server", func(t *testing.T) {
		t.Parallel()
		for _, command := range []string{"status", "up"} {
			jari(t, []string{"JARI_POSTGRES_URL=postgres://jari:hunter2@127.0.0.1:1/jari"}, "migrate", command).wantFault(t, "store_unavailable")
		}
	})
	t.Run("on an empty database it says what to do", func(t *testing.T) {
		t.Parallel()
		environ := []string{"JARI_POSTGRES_URL=" + storetest.EmptyPostgresURL(t)}
		jari(t, environ, "migrate", "status").wantFault(t, "jari migrate up")
		jari(t, environ, "migrate", "up").want(t, "this binary needs")
		jari(t, environ, "migrate", "up").want(t, "this binary needs")
		jari(t, environ, "migrate", "status").want(t, "the database is at migration")
		// No environment isn't development.
		for _, environment := range []string{"", "production", "staging"} {
			jari(t, append(environ, "JARI_ENV="+environment), "migrate", "down", "--yes").wantFault(t, "only development")
		}
		jari(t, environ, "migrate", "status").want(t)
		jari(t, append(environ, "JARI_ENV=development"), "migrate", "down", "--yes").want(t)
		jari(t, environ, "migrate", "status").wantFault(t, "run jari migrate up")
	})
	t.Run("on one that is behind or broke off", func(t *testing.T) {
		t.Parallel()
		address := storetest.PostgresURL(t)
		pool, err := postgres.Open(t.Context(), address, postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		environ := []string{"JARI_POSTGRES_URL=" + address}
		for statement, says := range map[string]string{
			`UPDATE schema_migrations SET version = 1, dirty = false`: "run jari migrate up",
			`UPDATE schema_migrations SET version = 2, dirty = true`:  "migration 2 broke off halfway",
		} {
			if _, err := pool.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			jari(t, environ, "migrate", "status").wantFault(t, says)
		}
	})
}

func TestPublishingFromTheCommandLine(t *testing.T) {
	t.Parallel()
	environ := []string{"JARI_POSTGRES_URL=" + storetest.PostgresURL(t)}
	const example = "../../examples/korea-2021/campaign.yaml"
	jari(t, environ, "campaign", "publish", example).want(t, "published version 1 of korea-2021", "sites; slots: ", " created, 0 changed, 0 unchanged")
	jari(t, environ, "campaign", "publish", example).want(t, "korea-2021 is at version 1 already", "0 created, 0 changed")
	// rules_reach_every_instance_before_opening.
	jari(t, environ, "campaign", "publish", example, "--effective-at=2021-07-20T12:00:00+09:00").wantFault(t, "--effective-at", "from now or later")
	bad := filepath.Join(t.TempDir(), "campaign.yaml")
	if err := os.WriteFile(bad, []byte("campaign: x\ncolour: red\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	jari(t, environ, "campaign", "publish", bad).wantFault(t, "campaign.yaml", "line 2", "colour")
	jari(t, nil, "campaign", "publish", example).wantFault(t, "JARI_POSTGRES_URL is missing")
}

func TestDevIsForDevelopment(t *testing.T) {
	t.Parallel()
	for _, environment := range []string{"production", "staging"} {
		folder := filepath.Join(t.TempDir(), "data")
		jari(t, []string{"JARI_ENV=" + environment}, "dev", "--data", folder).wantFault(t, environment, "jari serve")
		if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
			t.Error("it began all the same")
		}
	}
}

func TestDevServesWhatIsStoredAgain(t *testing.T) {
	t.Parallel()
	oneServer.Lock()
	defer oneServer.Unlock()
	folder := t.TempDir()
	environ := []string{"JARI_POSTGRES_URL=" + storetest.EmptyPostgresURL(t), "JARI_REDIS_URL=" + storetest.RedisURL(t)}
	for _, again := range []string{"INFO msg=\"published version 1", "INFO msg=\"korea-2021 is at version 1 already"} {
		ctx, stop := context.WithCancel(t.Context())
		var words bytes.Buffer
		out, said := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			err := run(surroundings{ctx: ctx, environ: environ, out: said, err: &words},
				[]string{"dev", "--data", folder, "--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--clock=2021-07-19T19:58:00+09:00"})
			_ = said.CloseWithError(io.EOF)
			ended <- err
		}()
		welcome := make([]byte, 8192)
		n, err := out.Read(welcome)
		if err != nil {
			t.Fatalf("it doesn't start: %v: %s", <-ended, words.String())
		}
		address, err := os.ReadFile(filepath.Join(folder, "address"))
		if err != nil {
			t.Fatal(err)
		}
		text := string(welcome[:n])
		for _, says := range []string{"Jari is serving", strings.TrimSpace(string(address)) + "/docs", "19 July 2021", "/v1/campaigns/korea-2021"} {
			if !strings.Contains(text, says) {
				t.Errorf("%q isn't said: %s", says, text)
			}
		}
		if r := jari(t, nil, "demo", "--data", folder); r.fault != nil || !strings.Contains(r.out, "one citizen booked one place") {
			t.Errorf("nobody can book: %v: %s", r.fault, r.out)
		}
		stop()
		if err := <-ended; err != nil {
			t.Fatalf("it stopped with %v", err)
		}
		if !strings.Contains(words.String(), again) {
			t.Errorf("%q isn't said: %s", again, words.String())
		}
	}
	for _, name := range []string{"keys.env", "clock.json", "address"} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestDevelopmentKeysAreMadeOnce(t *testing.T) {
	t.Parallel()
	c := devCommand{Data: t.TempDir()}
	first, err := c.secrets()
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.secrets()
	if err != nil || len(first) != 3 || strings.Join(first, "\n") != strings.Join(second, "\n") {
		t.Errorf("%d and %d keysets, and they differ: %v", len(first), len(second), err)
	}
	if _, err := (devCommand{Data: filepath.Join(c.Data, "nowhere")}).secrets(); err == nil {
		t.Error("a folder that isn't there is no error")
	}
}

func TestTheClockOfANightRunsOn(t *testing.T) {
	t.Parallel()
	night := time.Date(2021, time.July, 19, 19, 58, 0, 0, time.FixedZone("KST", 9*3600))
	folder := t.TempDir()
	offset := func(c devCommand) time.Duration {
		t.Helper()
		c.Data = folder
		d, err := c.offset()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := offset(devCommand{}); d != 0 {
		t.Errorf("without a clock it is moved by %s", d)
	}
	first := offset(devCommand{Clock: night})
	if begins := time.Now().Add(first); begins.Sub(night).Abs() > time.Minute {
		t.Errorf("it begins at %s", begins)
	}
	// Over a restart, with the same instant in another zone, or none.
	for _, c := range []devCommand{{Clock: night}, {Clock: night.UTC()}, {}} {
		if d := offset(c); d != first {
			t.Errorf("a restart threw it back by %s", first-d)
		}
	}
	// As it was left an hour ago.
	raw, err := json.Marshal(moved{BeganAt: night, Offset: first + time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "clock.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if d := offset(devCommand{Clock: night}); d != first+time.Hour {
		t.Errorf("it was thrown back by %s", first+time.Hour-d)
	}
	if d := offset(devCommand{Clock: night, Again: true}); (d - first).Abs() > time.Minute {
		t.Errorf("begun again it is moved by %s, not by %s", d, first)
	}
	if d := offset(devCommand{Clock: night.Add(time.Hour)}); d-first < 59*time.Minute {
		t.Errorf("another instant moved it by %s", d-first)
	}
	if err := os.WriteFile(filepath.Join(folder, "clock.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (devCommand{Data: folder}).offset(); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("a damaged clock: %v", err)
	}
}

func TestAFreePortIsFound(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	l, err := listenNear(t.Context(), "", taken.Addr().(*net.TCPAddr).Port)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if l.Addr().String() == taken.Addr().String() {
		t.Error("it's the one that is taken")
	}
	if _, err := listenNear(t.Context(), taken.Addr().String(), 0); err == nil {
		t.Error("an address that was asked for and is taken isn't an error")
	}
	everywhere := &net.TCPAddr{IP: net.IPv6unspecified, Port: 80}
	if got := reachable(everywhere); got != "127.0.0.1:80" {
		t.Errorf("every address is reached at %s", got)
	}
}

func TestTheLastValueOfAVariableCounts(t *testing.T) {
	t.Parallel()
	if got := lookup([]string{"A=1", "AB=2", "A=3=4"}, "A"); got != "3=4" {
		t.Errorf("%q", got)
	}
	if got := lookup(nil, "A"); got != "" {
		t.Errorf("%q", got)
	}
}

func TestTheDemoNeedsAServer(t *testing.T) {
	t.Parallel()
	jari(t, nil, "demo", "--data", t.TempDir()).wantFault(t, "make run")
	jari(t, nil, "demo", "--url=http://127.0.0.1:1").wantFault(t, "the demo stopped")
}

func TestKeysRotateStepByStep(t *testing.T) {
	t.Parallel()
	line, err := keys.Generate("production", keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"add", "promote", "retire"} {
		environ := []string{"JARI_ENV=production", "JARI_TOKEN_KEYS=" + line}
		if step == "retire" {
			jari(t, environ, "keys", "rotate", "tokens", step).wantFault(t, "say --yes")
		}
		got := jari(t, environ, "keys", "rotate", "tokens", step, "--yes").want(t, "JARI_TOKEN_KEYS=jari:production:tokens:")
		next := strings.TrimPrefix(strings.TrimSpace(got.out), "JARI_TOKEN_KEYS=")
		if next == line {
			t.Errorf("%s changes nothing", step)
		}
		line = next
	}
	jari(t, []string{"JARI_ENV=development", "JARI_TOKEN_KEYS=" + line}, "keys", "rotate", "tokens", "add").wantFault(t, "JARI_TOKEN_KEYS", "was made for production")
	jari(t, nil, "keys", "rotate", "index", "add").wantFault(t, "index")
	jari(t, nil, "keys", "rotate", "--help").want(t, "add", "promote", "retire", "reseal")
}
