package jaritest

import (
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata" // so that the zone is there on a machine without it

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"jari/examples/korea-2021"
	"jari/internal/app"
	"jari/internal/clock"
	"jari/internal/config"
	"jari/internal/keys"
	"jari/internal/localstores"
	"jari/internal/postgres"
	"jari/internal/redis"
	"jari/internal/token"
	"jari/test/storetest"
)

// Server is one instance.
type Server struct {
	// URL is where it answers, without a slash at the end.
	URL string
	// Campaign is the id of what is published.
	Campaign string
	// Clock is shown time, the same for all instances of a test.
	Clock *clock.Manual
	// Pool and Redis are the test's own way to the instance's stores.
	Pool  *pgxpool.Pool
	Redis *goredis.Client
	// Log is what all instances of a test logged.
	Log *Log

	environment []string
	cfg         config.Config
	clock       clock.Clock
	contract    *contract
	phones      *atomic.Int64
	app         *app.App
	http        *httptest.Server
	askState    string
	stopOnce    sync.Once
	stopErr     error
}

// setup is what options change.
type setup struct {
	files       fs.FS
	environment []string
	clock       clock.Clock
	production  bool
	stores      *localstores.Stores
}

// Option changes what Start makes.
type Option func(*setup)

// WithExample publishes the example campaign instead of the small one.
func WithExample() Option { return func(s *setup) { s.files = korea2021.Files } }

// WithChildren publishes the small campaign with a wave for children.
func WithChildren() Option { return func(s *setup) { s.files = withChildren() } }

// WithNothingPublished leaves the server without a campaign.
func WithNothingPublished() Option { return func(s *setup) { s.files = nil } }

// InProduction makes an instance of production, with keys of production and a gateway that nobody answers at. There is no
// inbox, so nobody can be verified.
func InProduction() Option { return func(s *setup) { s.production = true } }

// WithEnvironment sets a variable of the configuration.
func WithEnvironment(name, value string) Option {
	return func(s *setup) { s.environment = append(s.environment, name+"="+value) }
}

// WithStores runs the instance on stores that the test may kill.
func WithStores(stores *localstores.Stores) Option { return func(s *setup) { s.stores = stores } }

// WithRunningClock lets shown time run from the given instant on, as it does in development. Server.Clock moves nothing
// then.
func WithRunningClock(from string) Option {
	return func(s *setup) { s.clock = clock.NewSystem(time.Until(Instant(from))) }
}

// Instant reads RFC 3339; it is for constants of tests.
func Instant(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return at
}

// publishedAt is before everything that tests ask for.
var publishedAt = Instant("2021-07-01T00:00:00+09:00")

// Start runs an instance until the test's end.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	manual := clock.NewManual(Instant(Begins))
	wanted := setup{files: smallCampaign(), clock: manual}
	for _, o := range options {
		o(&wanted)
	}
	environment := environment(t, wanted)
	cfg, err := config.Load(environment)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		environment: environment,
		Clock:       manual, Log: &Log{}, cfg: cfg, clock: wanted.clock, contract: readContract(t), phones: &atomic.Int64{},
	}
	s.openStores(t)
	if wanted.files != nil {
		published, err := app.Publish(t.Context(), s.Pool, wanted.files, "campaign.yaml", publishedAt)
		if err != nil {
			t.Fatal(err)
		}
		s.Campaign = published.Campaign
	}
	s.run(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log:\n%s", tail(s.Log.String(), 30))
		}
	})
	return s
}

// environment is that of an instance on stores of the test's own, unless the test brings others.
func environment(t testing.TB, wanted setup) []string {
	t.Helper()
	environment, gateway := config.Development, []string{"JARI_SMS_GATEWAY=inbox"}
	if wanted.production {
		environment = config.Production
		gateway = []string{
			"JARI_SMS_GATEWAY=http", "JARI_SMS_URL=https://sms.invalid/sendsms", "JARI_SMS_USER=jari", "JARI_SMS_PASSWORD=jari",
			"JARI_SMS_FROM=1330",
		}
	}
	variables := []string{
		"JARI_ENV=" + environment,
		"JARI_LOG_LEVEL=DEBUG", // everything, so that tests can look for what mustn't be there
		// A busy machine that takes its time isn't a store or a provider that is away, nor a client that doesn't speak.
		"JARI_REDIS_TIMEOUT=10s", "JARI_POSTGRES_CONNECT_TIMEOUT=30s", "JARI_OIDC_TIMEOUT=30s", "JARI_HEADER_TIMEOUT=30s",
		"JARI_CONFIRM_WAIT=30s", "JARI_REQUEST_TIMEOUT=1m",
		"JARI_RULES_CONFIRMED=30s", "JARI_CLOCK_SKEW=10s",
		// They begin whenever a server does; a test of them turns them on.
		"JARI_REMINDERS=false",
	}
	if wanted.stores != nil {
		if err := postgres.Migrate(t.Context(), wanted.stores.PostgresURL()); err != nil {
			t.Fatal(err)
		}
		variables = append(variables,
			"JARI_POSTGRES_URL="+wanted.stores.PostgresURL(), "JARI_REDIS_URL="+wanted.stores.RedisURL())
	} else {
		variables = append(variables, "JARI_POSTGRES_URL="+storetest.PostgresURL(t), "JARI_REDIS_URL="+storetest.RedisURL(t))
	}
	for name, purpose := range map[string]keys.Purpose{
		"JARI_TOKEN_KEYS": keys.Tokens, "JARI_DATA_KEYS": keys.Data, "JARI_INDEX_KEYS": keys.Index,
	} {
		line, err := keys.Generate(environment, purpose)
		if err != nil {
			t.Fatal(err)
		}
		variables = append(variables, name+"="+line)
	}
	return slices.Concat(variables, gateway, wanted.environment)
}

func (s *Server) openStores(t testing.TB) {
	t.Helper()
	var err error
	if s.Pool, err = postgres.Open(t.Context(), string(s.cfg.PostgresURL), postgres.Options{MaxConnections: 4}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Pool.Close)
	if s.Redis, err = redis.Open(string(s.cfg.RedisURL), redis.Options{PoolSize: 4, Timeout: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Redis.Close(); err != nil {
			t.Error(err)
		}
	})
}

// run makes the application and answers HTTP until the test's end, or Stop.
func (s *Server) run(t testing.TB) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(s.Log, &slog.HandlerOptions{Level: s.cfg.LogLevel}))
	a, err := app.New(t.Context(), s.cfg, log, app.WithClock(s.clock))
	if err != nil {
		t.Fatal(err)
	}
	s.app = a
	s.http = httptest.NewUnstartedServer(a.Handler)
	s.http.Config.ReadHeaderTimeout = s.cfg.HeaderTimeout
	s.http.Config.ReadTimeout = s.cfg.RequestTimeout
	s.http.Config.WriteTimeout = s.cfg.RequestTimeout
	s.http.Config.MaxHeaderBytes = s.cfg.HeaderBytes
	s.http.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	s.http.Start()
	s.URL = s.http.URL
	t.Cleanup(func() { s.Stop(t) })
}

// Stop ends the instance like a deployment does: requests that are inside finish, then everything else ends.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.stopOnce.Do(func() {
		s.app.StopStreams()
		s.http.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		s.stopErr = s.app.Close(ctx)
		if s.stopErr != nil {
			t.Errorf("the instance doesn't stop: %v", s.stopErr)
		}
	})
}

// Another runs one more instance on the same stores, with the same keys and clock, and with what options change of its
// environment.
func (s *Server) Another(t testing.TB, options ...Option) *Server {
	t.Helper()
	wanted := setup{environment: s.environment}
	for _, o := range options {
		o(&wanted)
	}
	cfg, err := config.Load(wanted.environment)
	if err != nil {
		t.Fatal(err)
	}
	other := &Server{
		Campaign: s.Campaign, Clock: s.Clock, Pool: s.Pool, Redis: s.Redis, Log: s.Log, environment: wanted.environment,
		cfg: cfg, clock: s.clock, contract: s.contract, phones: s.phones,
	}
	other.run(t)
	return other
}

// StartError says why an instance on the same stores, with what options change of its environment, doesn't start.
func (s *Server) StartError(t testing.TB, options ...Option) error {
	t.Helper()
	wanted := setup{environment: slices.Clone(s.environment)}
	for _, o := range options {
		o(&wanted)
	}
	cfg, err := config.Load(wanted.environment)
	if err != nil {
		return err
	}
	a, err := app.New(t.Context(), cfg, slog.New(slog.DiscardHandler), app.WithClock(s.clock))
	if err != nil {
		return err
	}
	return a.Close(t.Context())
}

// Remind makes the reminders that are due now.
func (s *Server) Remind(t testing.TB) {
	t.Helper()
	if err := s.app.Remind(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Health is how booking does on the worst of all instances, as this one knows it and slows rooms down by.
func (s *Server) Health() (commit time.Duration, errors float64) {
	h := s.app.Health()
	return h.Commit, h.Errors
}

// Metrics is what the instance tells its operators.
func (s *Server) Metrics(t testing.TB) string {
	t.Helper()
	return s.operations(t, "/metrics")
}

// Ready is the answer of /readyz.
func (s *Server) Ready(t testing.TB) string {
	t.Helper()
	return s.operations(t, "/readyz")
}

func (s *Server) operations(t testing.TB, path string) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	w := httptest.NewRecorder()
	s.app.Operations.ServeHTTP(w, r)
	return w.Body.String()
}

// Tokens seals and opens what this deployment's clients carry, for tests of tokens that no honest client has.
func (s *Server) Tokens(t testing.TB) *token.Box {
	return s.box(t, string(s.cfg.TokenKeys), config.Development)
}

// TokensFor seals with this deployment's keys for another environment.
func (s *Server) TokensFor(t testing.TB, environment string) *token.Box {
	return s.box(t, string(s.cfg.TokenKeys), environment)
}

// StrangersTokens seals with keys that this deployment doesn't have.
func (s *Server) StrangersTokens(t testing.TB) *token.Box {
	t.Helper()
	line, err := keys.Generate(config.Development, keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	return s.box(t, line, config.Development)
}

func (s *Server) box(t testing.TB, line, environment string) *token.Box {
	t.Helper()
	sealer, err := keys.NewSealer(line, config.Development, keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	return token.NewBox(sealer, environment)
}

// patience is what a claim that comes true by itself has at least: how long it takes on a machine that runs everything else
// at the same time says nothing about the product.
const patience = time.Minute

// Eventually asks until it holds, and fails the test when it doesn't in time. Within is what a quiet machine would need.
func Eventually(t testing.TB, within time.Duration, claim string, holds func() bool) {
	t.Helper()
	within = max(within, patience)
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("not within %s: %s", within, claim)
		case <-again.C:
		}
	}
}

// tail is the end of a log without the lines that every request leaves.
func tail(text string, lines int) string {
	all := slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"), func(line string) bool {
		return strings.Contains(line, "level=DEBUG msg=request ")
	})
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		all[i] = line[:min(len(line), 400)]
	}
	return strings.Join(all, "\n")
}
