package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"jari/internal/civil"
	"jari/internal/clock"
	"jari/internal/config"
	"jari/internal/identity"
	"jari/internal/keys"
	"jari/internal/localstores"
	"jari/internal/notify"
	"jari/internal/postgres"
	"jari/test/storetest"
)

// Nothing that an instance started may be left when it has closed.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// environment is what an instance of development needs.
func environment(t testing.TB, postgresURL, redisURL string, more ...string) []string {
	t.Helper()
	environ := []string{
		"JARI_ENV=development", "JARI_SMS_GATEWAY=inbox", "JARI_POSTGRES_URL=" + postgresURL, "JARI_REDIS_URL=" + redisURL,
		"JARI_POSTGRES_CONNECTIONS=8", "JARI_POSTGRES_CONNECT_TIMEOUT=1s", "JARI_CLOCK_SKEW=1m", "JARI_RULES_CONFIRMED=1m",
		"JARI_REDIS_TIMEOUT=10s",
	}
	for name, purpose := range map[string]keys.Purpose{"JARI_TOKEN_KEYS": keys.Tokens, "JARI_DATA_KEYS": keys.Data, "JARI_INDEX_KEYS": keys.Index} {
		line, err := keys.Generate("development", purpose)
		if err != nil {
			t.Fatal(err)
		}
		environ = append(environ, name+"="+line)
	}
	return append(environ, more...)
}

func load(t testing.TB, environ []string) config.Config {
	t.Helper()
	cfg, err := config.Load(environ)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func logTo(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func made(t testing.TB, cfg config.Config, options ...Option) (*App, error) {
	t.Helper()
	return New(t.Context(), cfg, logTo(t), options...)
}

func start(t testing.TB, cfg config.Config, options ...Option) *App {
	t.Helper()
	a, err := made(t, cfg, options...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func closed(t testing.TB, a *App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := a.Close(ctx); err != nil {
		t.Errorf("closing: %v", err)
	}
}

// running starts an instance on stores of the test's own and closes it at the end.
func running(t testing.TB, more ...string) *App {
	t.Helper()
	a := start(t, load(t, environment(t, storetest.PostgresURL(t), storetest.RedisURL(t), more...)))
	t.Cleanup(func() { closed(t, a) })
	return a
}

// readiness asks /readyz.
func readiness(t testing.TB, a *App) (ready bool, checks map[string]string) {
	t.Helper()
	w := httptest.NewRecorder()
	a.Operations.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", http.NoBody))
	var answer struct {
		Ready  bool              `json:"ready"`
		Checks map[string]string `json:"checks"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if answer.Ready != (w.Code == http.StatusOK) {
		t.Errorf("%d says ready: %v", w.Code, answer.Ready)
	}
	return answer.Ready, answer.Checks
}

// wantFaults fails unless exactly these checks fail, each with its words.
func wantFaults(t testing.TB, a *App, want map[string]string) {
	t.Helper()
	ready, checks := readiness(t, a)
	if ready != (len(want) == 0) {
		t.Errorf("ready: %v with %v", ready, checks)
	}
	for name, says := range checks {
		if says != "ok" && want[name] == "" || says == "ok" && want[name] != "" || !strings.Contains(says, want[name]) {
			t.Errorf("%s says %q, not %q", name, says, want[name])
		}
	}
	for name := range maps.Keys(want) {
		if _, asked := checks[name]; !asked {
			t.Errorf("%s isn't checked", name)
		}
	}
}

// eventually waits until an instance is ready, or isn't.
func eventually(t testing.TB, a *App, want bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for patience := time.Now().Add(time.Minute); ; <-tick.C {
		ready, checks := readiness(t, a)
		if ready == want {
			return
		}
		if time.Now().After(patience) {
			t.Fatalf("ready: %v after a minute: %v", ready, checks)
		}
	}
}

func TestAnInstanceIsReadyAtOnceWhereTheStoresAnswer(t *testing.T) {
	t.Parallel()
	a := running(t)
	wantFaults(t, a, nil)
	w := httptest.NewRecorder()
	a.Operations.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	for _, metric := range []string{"jari_flush_rows", `jari_postgres_connections{pool="rest"}`, `jari_postgres_connections_limit{pool="flushes"} 1`, `jari_postgres_connections_limit{pool="rest"} 7`, "jari_postgres_wait_seconds_total", "go_goroutines"} {
		if !strings.Contains(w.Body.String(), metric) {
			t.Errorf("%s isn't measured", metric)
		}
	}
}

// TestFlushesHaveConnectionsOfTheirOwnKind: what they wait for is bounded before they can say so themselves.
func TestFlushesHaveConnectionsOfTheirOwnKind(t *testing.T) {
	t.Parallel()
	a := running(t, "JARI_FLUSH_LOCK_WAIT=1234ms", "JARI_POSTGRES_CONNECTIONS=9", "JARI_FLUSH_LANES=2")
	for _, c := range []struct {
		name          string
		pool          *pgxpool.Pool
		connections   int32
		wait, planned string
	}{
		{"flushes", a.flushes, 2, "1234ms", "force_generic_plan"},
		{"all others", a.pool, 7, "0", "auto"},
	} {
		var wait, planned string
		if err := c.pool.QueryRow(t.Context(), `SELECT current_setting('lock_timeout'), current_setting('plan_cache_mode')`).
			Scan(&wait, &planned); err != nil {
			t.Fatal(err)
		}
		if n := c.pool.Config().MaxConns; n != c.connections || wait != c.wait || planned != c.planned {
			t.Errorf("%s: %d connections, wait %s, plans %s; want %d, %s, %s", c.name, n, wait, planned, c.connections, c.wait, c.planned)
		}
	}
}

func TestReadinessSaysEachFault(t *testing.T) {
	t.Parallel()
	t.Run("a schema that was never made", func(t *testing.T) {
		t.Parallel()
		a := start(t, load(t, environment(t, storetest.EmptyPostgresURL(t), storetest.RedisURL(t))))
		defer closed(t, a)
		wantFaults(t, a, map[string]string{"migrations": "the schema is at 0", "rules": "aren't confirmed"})
	})
	t.Run("a schema that is too old, broken off, or newer", func(t *testing.T) {
		t.Parallel()
		a := running(t)
		newest, err := postgres.Newest()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, a.pool, `UPDATE schema_migrations SET version = version - 1`)
		wantFaults(t, a, map[string]string{"migrations": fmt.Sprintf("the schema is at %d and this binary needs %d", newest-1, newest)})
		exec(t, a.pool, `UPDATE schema_migrations SET dirty = true`)
		wantFaults(t, a, map[string]string{"migrations": "broke off halfway"})
		// The next version's migrations run before its code.
		exec(t, a.pool, `UPDATE schema_migrations SET version = version + 2, dirty = false`)
		wantFaults(t, a, nil)
	})
	t.Run("clocks that are apart", func(t *testing.T) {
		t.Parallel()
		a := start(t, load(t, environment(t, storetest.PostgresURL(t), storetest.RedisURL(t))), WithClock(ahead(2*time.Minute)))
		defer closed(t, a)
		wantFaults(t, a, map[string]string{"postgres": "at most 1m0s is allowed", "redis": "at most 1m0s is allowed"})
	})
	t.Run("shown time is no skew", func(t *testing.T) {
		t.Parallel()
		wantFaults(t, running(t, "JARI_CLOCK_OFFSET=-43800h"), nil)
	})
	t.Run("an instance that stops", func(t *testing.T) {
		t.Parallel()
		a := running(t)
		a.stopping.Store(true)
		wantFaults(t, a, map[string]string{"stopping": "is stopping"})
	})
	t.Run("a Redis that forgets", func(t *testing.T) {
		t.Parallel()
		stores := storetest.Private(t, localstores.Options{})
		if err := postgres.Migrate(t.Context(), stores.PostgresURL()); err != nil {
			t.Fatal(err)
		}
		cfg := load(t, environment(t, stores.PostgresURL(), stores.RedisURL()))
		a := start(t, cfg)
		defer closed(t, a)
		policy := func(p string) {
			if err := a.redis.ConfigSet(t.Context(), "maxmemory-policy", p).Err(); err != nil {
				t.Fatal(err)
			}
		}
		policy("allkeys-lru")
		if err := a.checkRedis(t.Context()); err == nil {
			t.Error("it is taken")
		}
		wantFaults(t, a, map[string]string{"redis": "noeviction"})
		if _, err := made(t, cfg); err == nil || !strings.Contains(err.Error(), "allkeys-lru") {
			t.Errorf("another instance starts with it: %v", err)
		}
		policy("noeviction")
		if err := a.checkRedis(t.Context()); err != nil {
			t.Error(err)
		}
		wantFaults(t, a, nil)

		if err := stores.Redis().Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantFaults(t, a, map[string]string{"redis": "can't be reached"})
	})
}

// TestReadinessSaysWhatIsWrongWithARedis that was exchanged for another while the instance ran.
func TestReadinessSaysWhatIsWrongWithARedis(t *testing.T) {
	t.Parallel()
	address, old := aging(t, storetest.RedisURL(t))
	a := start(t, load(t, environment(t, storetest.PostgresURL(t), address)))
	defer closed(t, a)
	wantFaults(t, a, nil)

	says := func(want string) {
		t.Helper()
		// The instance asks by itself too, and its first answer may come late.
		for patience := time.Now().Add(time.Minute); ; {
			err := a.checkRedis(t.Context())
			_, checks := readiness(t, a)
			if strings.Contains(checks["redis"], want) {
				return
			}
			if time.Now().After(patience) {
				t.Fatalf("redis says %q, not %q: %v", checks["redis"], want, err)
			}
		}
	}
	old.Store(true)
	says(`its version is "6`)
	wantFaults(t, a, map[string]string{"redis": "it must be 7.0 at least"})
	old.Store(false)
	says("ok")

	// That it couldn't be asked says nothing of what it is.
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if err := a.checkRedis(ctx); err == nil {
		t.Error("it was asked")
	}
	wantFaults(t, a, map[string]string{"redis": "isn't known whether"})
	says("ok")
}

// aging relays to the Redis at address, which says that it is one of version 6 while old is true.
func aging(t testing.TB, address string) (relayed string, old *atomic.Bool) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	there := u.Host
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var relays sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		relays.Wait()
	})
	old = new(atomic.Bool)
	version := regexp.MustCompile(`^redis_version:\d`)
	relay := func(client net.Conn) {
		defer func() { _ = client.Close() }()
		server, err := new(net.Dialer).DialContext(context.WithoutCancel(t.Context()), "tcp", there)
		if err != nil {
			return
		}
		relays.Go(func() {
			defer func() { _ = server.Close() }()
			_, _ = io.Copy(server, client)
		})
		for answers := bufio.NewReader(server); ; { // every answer ends with a line
			line, err := answers.ReadBytes('\n')
			if old.Load() {
				line = version.ReplaceAll(line, []byte("redis_version:6"))
			}
			if _, failed := client.Write(line); failed != nil || err != nil {
				return
			}
		}
	}
	relays.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			relays.Go(func() { relay(client) })
		}
	})
	u.Host = l.Addr().String()
	return u.String(), old
}

// ahead is a machine whose clock is wrong.
type ahead time.Duration

func (a ahead) Real() time.Time     { return time.Now().Add(time.Duration(a)) }
func (a ahead) Now() time.Time      { return a.Real() }
func (ahead) Offset() time.Duration { return 0 }

var _ clock.Clock = ahead(0)

func TestAnInstanceStartsBeforeItsStoresAndBecomesReadyWithThem(t *testing.T) {
	t.Parallel()
	stores := storetest.Private(t, localstores.Options{})
	if err := postgres.Migrate(t.Context(), stores.PostgresURL()); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*localstores.Store{stores.Postgres(), stores.Redis()} {
		if err := s.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	a := start(t, load(t, environment(t, stores.PostgresURL(), stores.RedisURL(), "JARI_RULES_CONFIRMED=2s")))
	defer closed(t, a)
	wantFaults(t, a, map[string]string{
		"postgres": "can't be reached", "redis": "can't be reached", "migrations": "can't be read", "rules": "aren't confirmed",
	})
	w := httptest.NewRecorder()
	a.Operations.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/livez", http.NoBody))
	if w.Code != http.StatusOK {
		t.Errorf("it is restarted again and again: /livez answers %d", w.Code)
	}
	w = httptest.NewRecorder()
	a.Handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/campaigns", http.NoBody))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("a citizen is answered %d", w.Code)
	}
	for _, s := range []*localstores.Store{stores.Postgres(), stores.Redis()} {
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// A Redis that only now answers has its policy looked at within ten seconds.
	eventually(t, a, true)
	if err := stores.Postgres().Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, a, false)
}

func TestKeysThatCantBeUsedAreAllNamed(t *testing.T) {
	t.Parallel()
	// development_client_in_production.
	environ := environment(t, "postgres://localhost/jari", "redis://localhost/0", "JARI_ENV=production", "JARI_SMS_GATEWAY=http",
		"JARI_SMS_URL=https://sms.example.org", "JARI_SMS_USER=a", "JARI_SMS_PASSWORD=b", "JARI_SMS_FROM=1")
	cfg := load(t, environ)
	for name, err := range map[string]error{
		"checking": CheckSecrets(cfg),
		"starting": func() error { _, err := made(t, cfg); return err }(),
	} {
		for _, variable := range []string{"JARI_TOKEN_KEYS", "JARI_DATA_KEYS", "JARI_INDEX_KEYS"} {
			if err == nil || !strings.Contains(err.Error(), variable+" was made for development and this is production") {
				t.Errorf("%s: nothing is said of %s: %v", name, variable, err)
			}
		}
	}
	if err := CheckSecrets(load(t, environment(t, "postgres://localhost/jari", "redis://localhost/0"))); err != nil {
		t.Errorf("good ones: %v", err)
	}
}

func TestAddressesThatCantBeReadAreRefused(t *testing.T) {
	t.Parallel()
	for name, environ := range map[string][]string{
		"Postgres": environment(t, "hunter2", "redis://localhost/0"),
		"Redis":    environment(t, "postgres://localhost/jari", "hunter2"),
	} {
		if _, err := made(t, load(t, environ)); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// serving is an instance that listens.
type serving struct {
	*App
	public, operations string
	stop               context.CancelFunc
	ended              chan error
}

func serve(t *testing.T, more ...string) *serving {
	t.Helper()
	a := start(t, load(t, environment(t, storetest.PostgresURL(t), storetest.RedisURL(t), more...)))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &serving{App: a, stop: stop, ended: make(chan error, 1)}
	listener := func() net.Listener {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	public, operations := listener(), listener()
	s.public, s.operations = public.Addr().String(), operations.Addr().String()
	go func() { s.ended <- a.Serve(ctx, public, operations) }()
	t.Cleanup(stop)
	return s
}

// get asks on a connection of its own.
func get(t testing.TB, url string) (status int, body string, err error) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(raw), err
}

// halfSent begins a request and waits until the server has begun to read it.
func halfSent(t testing.TB, address string) (finish func() string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	const body = `{"birth_date":"1967-01-01"}`
	// The server asks for the body when a handler reads it: by then the request is inside.
	_, err = fmt.Fprintf(conn, "POST /v1/campaigns/small/eligibility HTTP/1.1\r\nHost: jari\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
	if err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4096)
	n, err := conn.Read(answer)
	if err != nil || !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 100 ")) {
		t.Fatalf("%v: %q", err, answer[:n])
	}
	return func() string {
		if _, err := io.WriteString(conn, body); err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
}

func (s *serving) wantEnded(t testing.TB) {
	t.Helper()
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("it stopped with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it doesn't stop")
	}
}

// stopped waits until the instance says that it stops.
func (s *serving) stopped(t testing.TB) {
	t.Helper()
	s.stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for patience := time.Now().Add(time.Minute); !s.stopping.Load(); <-tick.C {
		if time.Now().After(patience) {
			t.Fatal("it doesn't notice")
		}
	}
}

func TestAGracefulStopFinishesWhatIsInside(t *testing.T) {
	t.Parallel()
	s := serve(t)
	publish(t, s.pool, files(t))
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, _, err := get(t, "http://"+s.operations+"/readyz"); err != nil || status != http.StatusOK {
		t.Fatalf("%d, %v", status, err)
	}
	finish := halfSent(t, s.public)
	s.stopped(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for patience := time.Now().Add(time.Minute); ; <-tick.C {
		if _, _, err := get(t, "http://"+s.public+"/v1/campaigns"); err != nil {
			break // Nobody new comes in.
		}
		if time.Now().After(patience) {
			t.Fatal("it goes on taking requests")
		}
	}
	if status, body, err := get(t, "http://"+s.operations+"/readyz"); err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "is stopping") {
		t.Errorf("while it stops, /readyz answers %d (%v): %s", status, err, body)
	}
	if answer := finish(); !strings.HasPrefix(answer, "HTTP/1.1 200 ") || !strings.Contains(answer, `"eligible"`) {
		t.Errorf("who was inside got %q", answer)
	}
	s.wantEnded(t)
}

func TestAStoppingInstanceStillAnswersForItsDelay(t *testing.T) {
	t.Parallel()
	s := serve(t, "JARI_STOP_DELAY=3s")
	s.stopped(t)
	if status, _, err := get(t, "http://"+s.operations+"/readyz"); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("the balancer isn't told: %d, %v", status, err)
	}
	if status, _, err := get(t, "http://"+s.public+"/v1/campaigns"); err != nil || status != http.StatusOK {
		t.Errorf("a request that the balancer still sends is answered %d, %v", status, err)
	}
	s.wantEnded(t)
}

func TestAStopDoesntWaitForEver(t *testing.T) {
	t.Parallel()
	s := serve(t, "JARI_STOP_TIMEOUT=1s")
	halfSent(t, s.public)
	s.stop()
	select {
	case err := <-s.ended:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it stopped with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it doesn't stop")
	}
}

func TestAListenerThatEndsIsAnError(t *testing.T) {
	t.Parallel()
	a := start(t, load(t, environment(t, storetest.PostgresURL(t), storetest.RedisURL(t))))
	public, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	operations, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := public.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Serve(t.Context(), public, operations); err == nil || !strings.Contains(err.Error(), "a listener ended") {
		t.Errorf("%v", err)
	}
}

func TestAnInstanceClosesWithItsStoresGone(t *testing.T) {
	t.Parallel()
	stores := storetest.Private(t, localstores.Options{})
	if err := postgres.Migrate(t.Context(), stores.PostgresURL()); err != nil {
		t.Fatal(err)
	}
	a := start(t, load(t, environment(t, stores.PostgresURL(), stores.RedisURL())))
	for _, s := range []*localstores.Store{stores.Postgres(), stores.Redis()} {
		if err := s.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, a)
}

func TestNoticesAreWrittenToTheirPeople(t *testing.T) {
	t.Parallel()
	a := running(t, "JARI_CLOCK_OFFSET=-43800h")
	publish(t, a.pool, files(t))
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	person := func(language, phone string) uuid.UUID {
		v, err := a.identity.Start(t.Context(), identity.Claims{
			Scheme: identity.SchemePhone, Name: "홍길동", BirthDate: civil.Date{Year: 1967, Month: time.January, Day: 1}, Phone: phone,
		}, language, identity.From{})
		if err != nil {
			t.Fatal(err)
		}
		shown, err := a.messages.Newest(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		var code string
		for word := range strings.FieldsSeq(shown[0].Text) {
			if word = strings.Trim(word, "."); len(word) == 6 && strings.Trim(word, "0123456789") == "" {
				code = word
			}
		}
		s, err := a.identity.Confirm(t.Context(), v.ID.String(), code, "")
		if err != nil {
			t.Fatalf("%v: %q", err, shown[0].Text)
		}
		return s.Person.ID
	}
	flush := uuid.New()
	var bookings, actors []uuid.UUID
	var kinds []string
	for i, who := range []struct {
		id   uuid.UUID
		site string
		kind string
	}{{person("ko", "010-2000-1001"), "a", "booked"}, {person("en", "010-2000-1002"), "a", "moved"}, {person("en", "010-2000-1003"), "b", "cancelled"}} {
		id := uuid.New()
		exec(t, a.pool, `
			INSERT INTO bookings (campaign_id, booking_id, hold_id, slot_id, person_id, actor_id, status, reference, series_id, wave_id,
				rules_version, judged_at, held_at)
			SELECT 'small', $1, gen_random_uuid(), slot_id, $2, $2, 'active', $3, $1, 'W1', 1, now(), now()
			FROM slots WHERE site_id = $4 ORDER BY starts_at LIMIT 1`, id, who.id, fmt.Sprintf("REF%d", i), who.site)
		if who.kind == "cancelled" {
			exec(t, a.pool, `UPDATE bookings SET status = 'cancelled', ended_at = now() WHERE booking_id = $1`, id)
		}
		bookings, kinds, actors = append(bookings, id), append(kinds, who.kind), append(actors, who.id)
	}
	exec(t, a.pool, `INSERT INTO flush_events (flush_id, campaign_id, bookings, kinds, actors) VALUES ($1, 'small', $2, $3, $4)`,
		flush, bookings, kinds, actors)
	messages, err := a.notices(t.Context(), flush)
	if err != nil {
		t.Fatal(err)
	}
	if len(messages) != 3 {
		t.Fatalf("%d messages", len(messages))
	}
	for i, want := range []struct {
		kind notify.Kind
		to   string
		says []string
	}{
		{notify.Booked, "+821020001001", []string{"예약 완료: 작은 예약", "2021년 8월 23일(월) 09:00", "가의원", "REF0"}},
		{notify.Moved, "+821020001002", []string{"Moved: A small one", "Mon 23 Aug 2021 09:00", "Clinic A", "REF1"}},
		{notify.Cancelled, "+821020001003", []string{"Cancelled: A small one", "나의원", "REF2"}}, // no English name
	} {
		m := messages[i]
		if m.Kind != want.kind || m.To != want.to {
			t.Errorf("message %d is of kind %s", i, m.Kind)
		}
		for _, says := range want.says {
			if !strings.Contains(m.Text, says) {
				t.Errorf("message %d doesn't say %q: %s", i, says, m.Text)
			}
		}
		// The visit lies in 2021 as people see time, and five years later as the stores do.
		if starts := time.Date(2021, 8, 23, 0, 0, 0, 0, time.UTC); !m.UsefulUntil.Equal(starts.Add(43800 * time.Hour)) {
			t.Errorf("message %d is useful until %s", i, m.UsefulUntil)
		}
		for _, other := range messages[:i] {
			if other.Subject == m.Subject {
				t.Errorf("two messages are about %s", m.Subject)
			}
		}
	}
	if again, err := a.notices(t.Context(), uuid.New()); err != nil || len(again) != 0 {
		t.Errorf("a flush that did nothing: %v, %v", again, err)
	}
}
