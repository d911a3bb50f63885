package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"jari/internal/audit"
	"jari/internal/booking"
	"jari/internal/campaign"
	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/feed"
	"jari/internal/identity"
	"jari/internal/limit"
	"jari/internal/notify"
	"jari/internal/plan"
	"jari/internal/pulse"
	"jari/internal/slot"
	"jari/internal/staff"
	"jari/internal/waitingroom"
)

// Options are what a server is made of.
type Options struct {
	Campaigns *campaign.Service
	Slots     *slot.Service
	Bookings  *booking.Service
	Identity  *identity.Service
	Rooms     *waitingroom.Service
	Messages  *notify.Service
	Staff     *staff.Service
	Audit     *audit.Log
	Plans     *plan.Service
	Pulse     *pulse.Service
	Feed      *feed.Service
	Clock     clock.Clock
	Log       *slog.Logger
	Metrics   prometheus.Registerer

	// Development adds /dev/inbox.
	Development    bool
	BodyBytes      int64
	TrustedProxies []netip.Prefix
	Blocks         Blocks
	Rates          Rates
	Limits         *limit.Limiter
	Near           *limit.Local
	// CodesRoom is the room in front of sending codes; empty where nobody waits.
	CodesRoom      string
	AllowedOrigins []string
	Caution        Caution
	Bulk           Bulk
	// Inside is how many requests may be inside at the same time.
	Inside int
	// Deadline is how long a request may take before it is answered that its store doesn't answer.
	Deadline time.Duration
}

// Server answers the API. It implements the contract's operations, in the files named after the steps of the way.
type Server struct {
	Options
	origins  *http.CrossOriginProtection
	requests *durations
	gate     gate
	bulk     chan struct{} // a place for each bulk change that is worked on
	// crossOrigin is nil where no other origin is allowed.
	crossOrigin echo.MiddlewareFunc
}

// New returns the handler of the public API, or says which route declares no guard.
func New(o Options) (http.Handler, error) {
	s := &Server{Options: o, origins: http.NewCrossOriginProtection(), bulk: make(chan struct{}, max(1, o.Bulk.AtOnce))}
	s.gate.most, s.gate.crowded = int64(o.Inside), o.Bookings.Crowded
	for _, origin := range o.AllowedOrigins {
		if err := s.origins.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("allowed origin: %w", err)
		}
	}
	histogram := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "jari_http_request_seconds", Help: "Time to answer, by route, method and status.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"route", "method", "status"})
	if err := o.Metrics.Register(histogram); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	s.requests = newDurations(histogram)

	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.answerProblem
	e.IPExtractor = ipExtractor(o.TrustedProxies)
	if len(o.AllowedOrigins) > 0 {
		s.crossOrigin = crossOrigin(o.AllowedOrigins)
	}
	e.Use(s.observe)
	if err := s.register(e); err != nil {
		return nil, err
	}
	serve := s.front(e)
	if o.Development && o.Clock.Offset() != 0 {
		serve = s.dated(serve)
	}
	return fronted{Echo: e, serve: serve, gate: &s.gate}, nil
}

// dated has answers say the time that rules and people see, where that isn't the machine's: pages count down by it.
func (s *Server) dated(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.Clock.Now().UTC().Format(http.TimeFormat))
		next(w, r)
	}
}

// ipExtractor believes X-Forwarded-For only from the configured proxies; the framework's own default believes anybody.
func ipExtractor(trusted []netip.Prefix) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range trusted {
		options = append(options, echo.TrustIPRange(ipNet(p)))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// requestID names the request in its answer and in the log. It is made here: a client's own would let it write into the
// log what it likes.
func requestID(c echo.Context) string { return c.Response().Header().Get(echo.HeaderXRequestID) }

// newRequestID is unlike any other for long enough to find a request in a log. It is no secret, so it needn't be one that
// nobody could guess, which would cost a call of the kernel for each request.
func newRequestID() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var id [12]byte
	random := rand.Uint64() //nolint:gosec // a name, not a secret
	for i := range id {
		if i == len(id)/2 {
			random = rand.Uint64() //nolint:gosec // a name, not a secret
		}
		id[i] = letters[random%uint64(len(letters))]
		random /= uint64(len(letters))
	}
	return string(id[:])
}

// observe gives the request its id, and measures and logs it. Neither has personal data: the route is the template,
// without what a client put into it, and addresses, bodies and queries aren't logged.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := s.Clock.Real()
		id, asked := newRequestID(), method(c.Request().Method)
		name := &[1]string{id}
		c.Response().Header()[echo.HeaderXRequestID] = name[:]
		err := s.answer(c, next)
		if err != nil {
			c.Error(err)
		}
		route := c.Path()
		if route == "" {
			route = "unknown"
		}
		// Of a flood the metric tells: a line for each who was refused would cost more than refusing them.
		loud := c.Response().Status >= http.StatusInternalServerError && fault.CodeOf(err) != fault.CodeOverloaded
		s.note(c.Request().Context(), id, series{route, asked, c.Response().Status}, s.Clock.Real().Sub(start), loud)
		return nil
	}
}

// note measures and logs a request that was answered; loud is for those that somebody should read about.
func (s *Server) note(ctx context.Context, id string, what series, took time.Duration, loud bool) {
	s.requests.with(what).Observe(took.Seconds())
	level := slog.LevelDebug
	if loud {
		level = slog.LevelWarn
	}
	if s.Log.Enabled(ctx, level) {
		s.Log.LogAttrs(ctx, level, "request",
			slog.String("request_id", id), slog.String("method", what.method), slog.String("route", what.route),
			slog.Int("status", what.status), slog.Duration("took", took.Round(time.Microsecond)))
	}
}

// series is what requests are measured by.
type series struct {
	route, method string
	status        int
}

// durations measures requests. Which series of the histogram is meant is found once: there are few, and finding one costs
// more than measuring. The map is replaced whole and never changed.
type durations struct {
	histogram *prometheus.HistogramVec
	adding    sync.Mutex
	known     atomic.Pointer[map[series]prometheus.Observer]
}

func newDurations(histogram *prometheus.HistogramVec) *durations {
	d := &durations{histogram: histogram}
	d.known.Store(&map[series]prometheus.Observer{})
	return d
}

func (d *durations) with(s series) prometheus.Observer {
	if o, ok := (*d.known.Load())[s]; ok {
		return o
	}
	d.adding.Lock()
	defer d.adding.Unlock()
	next := maps.Clone(*d.known.Load())
	o := d.histogram.WithLabelValues(s.route, s.method, strconv.Itoa(s.status))
	next[s] = o
	d.known.Store(&next)
	return o
}

// method bounds what a client can make a label or a log field of.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	default:
		return "other"
	}
}

// answer is what happens around every route: one function, because each middleware more is one more that the framework
// makes for every request. A panic becomes a mute 500 whose stack is logged.
func (s *Server) answer(c echo.Context, next echo.HandlerFunc) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if r == http.ErrAbortHandler { //nolint:errorlint // the documented way to compare
				panic(r)
			}
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	if s.crossOrigin != nil {
		return s.crossOrigin(func(c echo.Context) error { return s.answerSame(c, next) })(c)
	}
	return s.answerSame(c, next)
}

// answerSame answers whatever the origin.
func (s *Server) answerSame(c echo.Context, next echo.HandlerFunc) error {
	if answered, err := s.answerKnown(c); answered {
		return err
	}
	headers(c.Response().Header(), c.Request().Method)
	return next(c)
}

// deadline ends what a request waits for while there is still time to say so: a store that hangs must not hold people who
// see nothing, and with them everything that they hold.
func deadline(d time.Duration) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			ctx, cancel := context.WithTimeout(c.Request().Context(), d)
			defer cancel()
			c.SetRequest(c.Request().WithContext(ctx))
			return next(c)
		}
	}
}

// crossOrigin lets pages of these origins, and no others, send requests and read answers, with the session's cookie.
func crossOrigin(origins []string) echo.MiddlewareFunc {
	return middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins:     origins,
		AllowCredentials: true,
		AllowMethods:     []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete},
		AllowHeaders:     []string{echo.HeaderAuthorization, echo.HeaderContentType, admissionHeader, deviceHeader, "If-None-Match", "Accept-Language"},
		ExposeHeaders:    []string{"ETag", "Date", "Age", echo.HeaderRetryAfter, echo.HeaderXRequestID, admissionHeader},
		MaxAge:           600,
	})
}

// headers are those of every answer but known documents, which are data that no browser shows as a page. What isn't declared
// public is kept by nobody. What no page leads to, and no form sends, no browser shows either: placing and confirming, most of
// all, are spared what both sides would pay for.
func headers(h http.Header, method string) {
	h["Cache-Control"] = noStoreHeader
	h["X-Content-Type-Options"] = noSniffHeader
	if method == http.MethodPut || method == http.MethodDelete {
		return
	}
	h["Referrer-Policy"] = noReferrer
	h["X-Frame-Options"] = noFramesHeader
}
