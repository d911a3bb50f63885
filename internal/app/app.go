package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	goredis "github.com/redis/go-redis/v9"

	"jari/internal/audit"
	"jari/internal/booking"
	"jari/internal/campaign"
	"jari/internal/clock"
	"jari/internal/config"
	"jari/internal/crash"
	"jari/internal/fault"
	"jari/internal/feed"
	"jari/internal/httpapi"
	"jari/internal/identity"
	"jari/internal/keys"
	"jari/internal/limit"
	"jari/internal/notify"
	"jari/internal/plan"
	"jari/internal/postgres"
	"jari/internal/pulse"
	"jari/internal/redis"
	"jari/internal/slot"
	"jari/internal/token"
	"jari/internal/waitingroom"
)

// App is one instance.
type App struct {
	// Handler answers the public API, Operations the inner listener.
	Handler    http.Handler
	Operations http.Handler

	cfg   config.Config
	log   *slog.Logger
	clock clock.Clock
	redis *goredis.Client
	// flushes are the connections that confirming has for itself, pool are all others.
	flushes, pool *pgxpool.Pool

	audit      *audit.Log
	campaigns  *campaign.Service
	slots      *slot.Service
	reconciler *slot.Reconciler
	bookings   *booking.Service
	rooms      *waitingroom.Service
	health     func() waitingroom.Health // of booking on this instance
	identity   *identity.Service
	messages   *notify.Service
	bulk       *plan.Service
	pulse      *pulse.Service

	stopping     atomic.Bool
	redisChecked atomic.Pointer[error] // what came of asking Redis last what it is
	background   sync.WaitGroup
	cancel       context.CancelFunc
}

// Option changes how an instance is made.
type Option func(*App)

// WithClock hands in the clock; tests move theirs. The default is the machine's, shifted by the configured offset.
func WithClock(c clock.Clock) Option { return func(a *App) { a.clock = c } }

// New opens the stores and builds the services. It doesn't need the stores to answer: until they do, the instance isn't
// ready and says so. It refuses a Redis that answers with the wrong policy.
func New(ctx context.Context, cfg config.Config, log *slog.Logger, options ...Option) (_ *App, err error) {
	a := &App{cfg: cfg, log: log, clock: clock.NewSystem(cfg.ClockOffset)}
	for _, o := range options {
		o(a)
	}
	secrets, err := readSecrets(cfg)
	if err != nil {
		return nil, err
	}
	if err := crash.Arm(cfg.CrashAt); err != nil {
		return nil, fmt.Errorf("JARI_CRASH_AT: %w", err)
	}
	defer func() {
		if err != nil {
			a.closeStores()
		}
	}()
	// Confirming has connections of its own: whatever reads or messages do, every lane has one. A flush says itself how long it waits
	// for locks, but not before its statements are prepared, and a table that somebody has locked keeps that waiting too.
	for _, p := range []struct {
		pool    **pgxpool.Pool
		options postgres.Options
	}{
		{&a.pool, postgres.Options{MaxConnections: cfg.PostgresConnections - cfg.FlushLanes}},
		{&a.flushes, postgres.Options{MaxConnections: cfg.FlushLanes, PlanOnce: true, LockTimeout: cfg.FlushLockWait}},
	} {
		p.options.ConnectTimeout = cfg.PostgresConnectTimeout
		if *p.pool, err = postgres.Open(ctx, string(cfg.PostgresURL), p.options); err != nil {
			return nil, err
		}
	}
	if a.redis, err = redis.Open(string(cfg.RedisURL), redis.Options{
		PoolSize: cfg.RedisConnections, Timeout: cfg.RedisTimeout,
	}); err != nil {
		return nil, err
	}
	if err := a.checkRedis(ctx); err != nil && fault.CodeOf(err) != fault.CodeStoreUnavailable {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := a.build(secrets, registry); err != nil {
		return nil, err
	}
	a.Operations = httpapi.Operations(a.checks(), registry)
	if err := a.firstLook(ctx); err != nil {
		return nil, err
	}
	a.startBackground()
	return a, nil
}

// secrets are the three keysets, opened.
type secrets struct {
	tokens *token.Box
	data   *keys.Sealer
	index  *keys.Indexer
}

// readSecrets opens the keysets and reports every one that can't be used. A keyset of the other environment is refused.
func readSecrets(cfg config.Config) (s secrets, err error) {
	var faults []error
	note := func(name string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s %w", name, err))
		}
	}
	sealer, err := keys.NewSealer(string(cfg.TokenKeys), cfg.Environment, keys.Tokens)
	note("JARI_TOKEN_KEYS", err)
	s.data, err = keys.NewSealer(string(cfg.DataKeys), cfg.Environment, keys.Data)
	note("JARI_DATA_KEYS", err)
	s.index, err = keys.NewIndexer(string(cfg.IndexKeys), cfg.Environment)
	note("JARI_INDEX_KEYS", err)
	s.tokens = token.NewBox(sealer, cfg.Environment)
	return s, errors.Join(faults...)
}

// CheckSecrets says what is wrong with the keysets, and with the roles of administrators who sign in, without opening
// anything else.
func CheckSecrets(cfg config.Config) error {
	_, err := readSecrets(cfg)
	_, roles := signInRules(cfg)
	return errors.Join(err, roles)
}

func (a *App) build(s secrets, registry *prometheus.Registry) (err error) {
	cfg := a.cfg
	health := newHealthMeter(a.pool, a.clock)
	observe := health.also(observeFlushes(registry))
	observePool(registry, "rest", a.pool)
	observePool(registry, "flushes", a.flushes)
	registry.MustRegister(documents{a})

	a.audit = audit.NewLog(a.pool, a.clock, a.log, observeAudit(registry))
	a.campaigns = campaign.NewService(a.pool, a.clock, cfg.RulesConfirmed, a.log)
	if cfg.Environment != config.Development {
		a.campaigns.InProduction()
	}
	if a.slots, err = slot.NewService(a.pool, a.redis, a.campaigns, a.clock, s.tokens, slot.Limits{
		Placements: cfg.HoldsPerPerson, Window: cfg.HoldsWindow, Queue: cfg.HoldsQueue, Changed: cfg.BulkOpen,
	}, a.log); err != nil {
		return err
	}
	a.reconciler = slot.NewReconciler(a.pool, a.redis, a.clock, a.log, observeSweeps(registry))
	a.bookings = booking.NewService(a.pool, a.flushes, a.campaigns, a.slots, a.clock, s.tokens, booking.BatchLimits{
		Rows: cfg.FlushRows, Lanes: cfg.FlushLanes, Queue: cfg.FlushQueue, Wait: cfg.ConfirmWait, Lock: cfg.FlushLockWait,
	}, booking.DeskRules{SharePercent: cfg.DeskShare, After: cfg.DeskAfter}, a.log, observe)
	meter, err := newMeter(s.index)
	if err != nil {
		return err
	}
	sender, err := a.sender()
	if err != nil {
		return err
	}
	queue := &codeQueue{}
	a.identity = identity.NewService(a.pool, a.clock, s.tokens, s.data, s.index, queue, identity.Rules{
		CodeLifetime: cfg.CodeLifetime, CodeAttempts: cfg.CodeAttempts, ResendWait: cfg.CodeResendWait,
		CodesPerDay: cfg.CodesPerDay, FailuresPerDay: cfg.FailuresPerDay, PersonsPerPhone: cfg.PersonsPerPhone,
		SessionLifetime: cfg.SessionLifetime, KeptPercent: cfg.KeptForDevices, DeviceLifetime: cfg.DeviceLifetime,
		Budgets: identity.Budgets{
			PerBlock: cfg.CodesPerBlock, PerPrefix: cfg.CodesPerPrefix, PerOtherPrefix: cfg.CodesPerOther, InAll: cfg.CodesInAll,
		},
		Phones: identity.PhoneRules{Region: cfg.PhoneRegion, Regions: cfg.PhoneRegions},
		Scheme: cfg.IdentityScheme, Binding: identity.Binding(cfg.IdentityBinding), List: cfg.IdentityList,
		RefuseNamesakes: cfg.IdentityNamesakes == "refuse", Beneficiaries: cfg.Beneficiaries, MinorAge: cfg.MinorAge,
		Provider: identity.ProviderRules{
			Issuer: cfg.OIDCIssuer, ClientID: cfg.OIDCClientID, ClientSecret: string(cfg.OIDCClientSecret), RedirectURL: cfg.OIDCRedirectURL,
			Scopes: cfg.OIDCScopes, NumberClaim: cfg.OIDCNumberClaim, Lifetime: cfg.SignInLifetime, Timeout: cfg.OIDCTimeout,
		},
		ListsConfirmed: cfg.RulesConfirmed,
	}, a.log)
	if a.messages, err = notify.NewService(notify.Options{
		Pool: a.pool, Data: s.data, Sender: sender, NoticeKind: booking.NoticeKind, Notices: a.notices,
		Stale: a.stale, Remind: a.reminding(), Rate: a.cfg.SMSRate,
		Forget: a.forget, Log: a.log, Audit: a.audit, Workers: cfg.MessageWorkers,
		Settled: func(state notify.State) { meter.Message(string(state)) },
	}); err != nil {
		return err
	}
	queue.messages = a.messages
	a.health = health.now
	if a.rooms, err = a.newRooms(s.tokens, a.Health); err != nil {
		return err
	}
	a.bulk = plan.NewService(a.pool, a.clock, a.audit, cfg.PlanLifetime, a.log, append(a.slots.Kinds(), campaign.SitesKind(), a.bookings.Clearings())...)
	limits := limit.New(a.redis, a.clock)
	a.identity.WaitIn(codesLine{rooms: a.rooms, limits: limits, perBlock: cfg.CodePlacesPerBlock})
	administrators, err := a.newStaff(s.data)
	if err != nil {
		return err
	}
	a.pulse = a.newPulse(meter, health.now)
	registry.MustRegister(now{a})
	other, err := feed.New(feed.Options{
		Campaigns: a.campaigns, Slots: a.slots, Clock: a.clock, Log: a.log, Address: strings.TrimRight(cfg.PublicURL, "/"),
		Page: cfg.BookingPage, Manifest: httpapi.FeedManifestPath, Path: httpapi.FeedPath,
	})
	if err != nil {
		return err
	}
	a.Handler, err = httpapi.New(httpapi.Options{
		Campaigns: a.campaigns, Slots: a.slots, Bookings: a.bookings, Identity: a.identity,
		Rooms:    a.rooms,
		Plans:    a.bulk,
		Messages: a.messages, Staff: administrators, Audit: a.audit,
		Pulse: a.pulse, Feed: other,
		Clock: a.clock, Log: a.log, Metrics: registry,
		Development: cfg.Environment == config.Development, BodyBytes: cfg.BodyBytes,
		TrustedProxies: cfg.TrustedProxies, Blocks: httpapi.Blocks{IPv4: cfg.BlockIPv4, IPv6: cfg.BlockIPv6},
		Rates:          httpapi.Rates{Person: cfg.RatePerson, Key: cfg.RateKey, Block: cfg.RateBlock, Verify: cfg.RateVerify},
		Limits:         limits,
		Near:           limit.NewLocal(a.clock),
		CodesRoom:      a.codesRoom(),
		AllowedOrigins: cfg.AllowedOrigins,
		Caution: httpapi.Caution{
			SecondPerson: cfg.SecondPerson, ApprovalLifetime: cfg.ApprovalLifetime,
			Freeze: campaign.Freeze{Before: cfg.FreezeBefore, After: cfg.FreezeAfter},
		},
		Bulk: httpapi.Bulk{
			Bytes: cfg.ImportBytes, Rows: cfg.ImportRows, AtOnce: cfg.BulkAtOnce, Timeout: cfg.BulkTimeout,
		},
		// A second for the answer itself: the server's own timeout only cuts the connection.
		Deadline: cfg.RequestTimeout - time.Second, Inside: cfg.RequestsInside,
	})
	return err
}

func (a *App) sender() (notify.Sender, error) {
	c := a.cfg
	switch c.SMSGateway {
	case "sens":
		return notify.NewSENS(c.SMSURL, c.SMSService, c.SMSUser, string(c.SMSPassword), c.SMSFrom, c.SMSTimeout, a.clock.Real)
	case "solapi":
		return notify.NewSOLAPI(c.SMSURL, c.SMSUser, string(c.SMSPassword), c.SMSFrom, c.SMSTimeout, a.clock.Real)
	case "http":
		return notify.NewHTTPGateway(c.SMSURL, c.SMSUser, string(c.SMSPassword), c.SMSFrom, c.SMSTimeout)
	}
	a.cfg.SMSRate = 0 // an inbox takes whatever comes
	return notify.Inbox{}, nil
}

// firstLook reads what is published, so that it is known before the first request where the stores answer at once. It refuses
// what this environment may not serve.
func (a *App) firstLook(ctx context.Context) error {
	first, done := context.WithTimeout(ctx, a.cfg.PostgresConnectTimeout)
	defer done()
	if err := a.Refresh(first); err != nil {
		a.log.Warn("the published campaigns can't be read yet", "error", err)
		return nil
	}
	return a.checkDraws()
}

// startBackground starts what an instance does beside answering. Nobody is left behind: stop waits for all of it.
func (a *App) startBackground() {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	for _, watch := range []func(context.Context){a.campaigns.Watch, a.slots.Watch, a.identity.Watch, a.rooms.Watch, a.startMessages, a.watchRedis, a.reconciler.Watch, a.audit.Watch, a.bulk.Watch, a.pulse.Watch} {
		a.background.Go(func() { watch(ctx) })
	}
}

// Refresh brings what is published into memory now instead of within the next second.
func (a *App) Refresh(ctx context.Context) error {
	if err := a.campaigns.Refresh(ctx); err != nil {
		return err
	}
	if err := a.slots.Refresh(ctx); err != nil {
		return err
	}
	if err := a.identity.Refresh(ctx); err != nil {
		return err
	}
	return a.rooms.Refresh(ctx)
}

// CatchUp is Refresh, and everything else that an instance keeps in memory and follows by itself within a minute.
func (a *App) CatchUp(ctx context.Context) error {
	if err := a.Refresh(ctx); err != nil {
		return err
	}
	return a.slots.CatchUp(ctx)
}

// SweepPlans takes away the plans that are over for a while; by itself an instance does so each minute.
func (a *App) SweepPlans(ctx context.Context) error { return a.bulk.Sweep(ctx) }

// startMessages starts working off messages, as soon as Postgres lets it.
func (a *App) startMessages(ctx context.Context) {
	for {
		// The jobs' own context isn't ended by stopping: Stop lets them finish.
		err := a.messages.Start(context.WithoutCancel(ctx))
		if err == nil {
			return
		}
		a.log.Warn("messages can't be worked off yet", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Second):
		}
	}
}

// watchRedis catches a Redis that only answered after the start, or was replaced by one that forgets or is too old.
func (a *App) watchRedis(ctx context.Context) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		if err := a.checkRedis(ctx); err != nil && fault.CodeOf(err) != fault.CodeStoreUnavailable && ctx.Err() == nil {
			a.log.Error("this Redis can't be used", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (a *App) checkRedis(ctx context.Context) error {
	err := redis.CheckServer(ctx, a.redis)
	a.redisChecked.Store(&err)
	return err
}

// Serve answers on both listeners until ctx ends, and then stops: new requests are refused, those inside finish, what was
// asked to be confirmed is decided.
func (a *App) Serve(ctx context.Context, public, operations net.Listener) error {
	server := func(h http.Handler) *http.Server {
		return &http.Server{
			Handler:           h,
			ReadHeaderTimeout: a.cfg.HeaderTimeout,
			ReadTimeout:       a.cfg.RequestTimeout,
			WriteTimeout:      a.cfg.RequestTimeout,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    a.cfg.HeaderBytes,
			ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
		}
	}
	outer, inner := server(a.Handler), server(a.Operations)
	outer.RegisterOnShutdown(a.StopStreams) // who listens would be waited for
	public = httpapi.Lookout(outer, public)
	ended := make(chan error, 2)
	go func() { ended <- outer.Serve(public) }()
	go func() { ended <- inner.Serve(operations) }()

	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
		err = fmt.Errorf("a listener ended: %w", err)
	}
	a.stopping.Store(true)
	if ctx.Err() != nil && a.cfg.StopDelay > 0 {
		a.log.Info("stopping soon; still answering", "for", a.cfg.StopDelay)
		time.Sleep(a.cfg.StopDelay)
	}
	a.log.Info("stopping; requests that are inside finish")
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.StopTimeout)
	defer cancel()
	return errors.Join(err, outer.Shutdown(stopCtx), a.Close(stopCtx), inner.Shutdown(stopCtx))
}

// Close ends everything but the listeners. It waits for what was asked to be confirmed and for running jobs.
func (a *App) Close(ctx context.Context) error {
	err := a.bookings.Close(ctx)
	a.cancel()
	idle := make(chan struct{})
	go func() {
		a.background.Wait() // each ends at its next look at its context; a store that hangs may keep one in a call
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		err = errors.Join(err, fmt.Errorf("the work in the background didn't end: %w", ctx.Err()))
	}
	a.slots.Close()
	if e := a.messages.Stop(ctx); e != nil {
		err = errors.Join(err, fmt.Errorf("stopping background jobs: %w", e))
	}
	closed := make(chan struct{})
	go func() {
		a.closeStores() // waits for every connection, also one whose commit waits for a standby
		close(closed)
	}()
	select {
	case <-closed:
	case <-ctx.Done():
		err = errors.Join(err, fmt.Errorf("a store didn't let go: %w", ctx.Err()))
	}
	return err
}

func (a *App) closeStores() {
	if a.redis != nil {
		_ = a.redis.Close()
	}
	for _, p := range []*pgxpool.Pool{a.pool, a.flushes} {
		if p != nil {
			p.Close()
		}
	}
}
