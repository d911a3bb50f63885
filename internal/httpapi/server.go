package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"jari/internal/booking"
	"jari/internal/campaign"
	"jari/internal/clock"
	"jari/internal/identity"
	"jari/internal/notify"
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
	Clock     clock.Clock
	Log       *slog.Logger
	Metrics   prometheus.Registerer

	// Development adds /dev/inbox.
	Development    bool
	BodyBytes      int64
	TrustedProxies []netip.Prefix
	AllowedOrigins []string
	// Deadline is how long a request may take before it is answered that its store doesn't answer.
	Deadline time.Duration
}

// Server answers the API. It implements the contract's operations, in the files named after the steps of the way.
type Server struct {
	Options
	origins  *http.CrossOriginProtection
	requests *prometheus.HistogramVec
}

// New returns the handler of the public API, or says which route declares no guard.
func New(o Options) (http.Handler, error) {
	s := &Server{Options: o, origins: http.NewCrossOriginProtection()}
	for _, origin := range o.AllowedOrigins {
		if err := s.origins.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("allowed origin: %w", err)
		}
	}
	s.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "jari_http_request_seconds", Help: "Time to answer, by route, method and status.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"route", "method", "status"})
	if err := o.Metrics.Register(s.requests); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}

	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.answerProblem
	e.IPExtractor = ipExtractor(o.TrustedProxies)
	e.Use(s.observe, recoverPanic, headers, deadline(o.Deadline))
	if len(o.AllowedOrigins) > 0 {
		e.Use(crossOrigin(o.AllowedOrigins))
	}
	if err := s.register(e); err != nil {
		return nil, err
	}
	return e, nil
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

const requestIDKey = "request_id"

// requestID names the request in its answer and in the log. It is made here: a client's own would let it write into the
// log what it likes.
func requestID(c echo.Context) string {
	id, _ := c.Get(requestIDKey).(string)
	return id
}

// observe gives the request its id, and measures and logs it. Neither has personal data: the route is the template,
// without what a client put into it, and addresses, bodies and queries aren't logged.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := s.Clock.Real()
		var random [9]byte
		_, _ = rand.Read(random[:]) // never fails: the runtime stops the process instead
		id := base64.RawURLEncoding.EncodeToString(random[:])
		c.Set(requestIDKey, id)
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		if err := next(c); err != nil {
			c.Error(err)
		}
		route := c.Path()
		if route == "" {
			route = "unknown"
		}
		took := s.Clock.Real().Sub(start)
		answered := c.Response().Status
		s.requests.WithLabelValues(route, method(c.Request().Method), strconv.Itoa(answered)).Observe(took.Seconds())
		level := slog.LevelDebug
		if answered >= http.StatusInternalServerError {
			level = slog.LevelWarn
		}
		s.Log.LogAttrs(c.Request().Context(), level, "request",
			slog.String("request_id", id), slog.String("method", method(c.Request().Method)), slog.String("route", route),
			slog.Int("status", answered), slog.Duration("took", took.Round(time.Microsecond)))
		return nil
	}
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

// recoverPanic turns a panic into a mute 500 whose stack is logged.
func recoverPanic(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if r := recover(); r != nil {
				if r == http.ErrAbortHandler { //nolint:errorlint // the documented way to compare
					panic(r)
				}
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		return next(c)
	}
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
		AllowHeaders:     []string{echo.HeaderAuthorization, echo.HeaderContentType, admissionHeader, "If-None-Match", "Accept-Language"},
		ExposeHeaders:    []string{"ETag", echo.HeaderRetryAfter, echo.HeaderXRequestID},
		MaxAge:           600,
	})
}

// headers are those of every answer. What isn't declared public is kept by nobody.
func headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderCacheControl, "no-store")
		h.Set(echo.HeaderXContentTypeOptions, "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set(echo.HeaderXFrameOptions, "DENY")
		return next(c)
	}
}
