package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"jari/internal/fault"
	"jari/internal/pulse"
	"jari/internal/staff"
)

// eventStream is the media type of server-sent events.
const eventStream = "text/event-stream"

const (
	// streamLongest is how long one stream goes on; who listens comes back, maybe to another instance.
	streamLongest = 10 * time.Minute
	// streamAsksAgain is how often it is asked whether who listens still may.
	streamAsksAgain = 10 * time.Second
	// streamWritesWithin is how long a listener may take to take an event.
	streamWritesWithin = 5 * time.Second
	// streamRetry is how long browsers wait before they come back, in milliseconds.
	streamRetry = "retry: 2000\n\n"
)

// listening is what a request for a stream is asked again while it goes on.
type listening struct {
	still func(ctx context.Context) error
}

type listeningKey struct{}

// streamed lets requests for a stream past what bounds others: a place among those inside, and a deadline. The number of
// those who listen has a limit of its own.
func (s *Server) streamed(g guard, hurry []echo.MiddlewareFunc) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		hurried := compose(next, hurry)
		return func(c echo.Context) error {
			r := c.Request()
			if !wantsEvents(r) {
				return hurried(c)
			}
			still := func(ctx context.Context) error {
				text, _ := bearer(r.Header.Get(echo.HeaderAuthorization))
				key, err := s.Staff.Authenticate(ctx, text)
				if err == nil && !key.Role.May(staff.Role(g)) {
					err = fault.New(fault.Forbidden, fault.CodeRoleRequired)
				}
				return err
			}
			c.SetRequest(r.WithContext(context.WithValue(r.Context(), listeningKey{}, listening{still})))
			return next(c)
		}
	}
}

// wantsEvents tells whether a client asks for events by name, as browsers' EventSource does.
func wantsEvents(r *http.Request) bool {
	for _, line := range r.Header["Accept"] {
		for kind := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(kind, ";")
			if strings.EqualFold(strings.TrimSpace(name), eventStream) {
				return true
			}
		}
	}
	return false
}

// GetLive answers GET /admin/v1/live.
func (s *Server) GetLive(ctx context.Context, r GetLiveRequestObject) (GetLiveResponseObject, error) {
	only := orElse(r.Params.Campaign, "")
	if only != "" {
		if _, err := s.Campaigns.Get(only); err != nil {
			return nil, err
		}
	}
	who, streams := ctx.Value(listeningKey{}).(listening)
	if !streams {
		now, err := s.Pulse.Now(ctx)
		if err != nil {
			return nil, err
		}
		return GetLive200JSONResponse(s.live(now, only)), nil
	}
	var after time.Time
	if ms, err := strconv.ParseInt(orElse(r.Params.LastEventID, ""), 10, 64); err == nil {
		after = time.UnixMilli(ms)
	}
	l, err := s.Pulse.Listen(after)
	if err != nil {
		return nil, err
	}
	return liveStream{s, ctx, l, who, only}, nil
}

// liveStream goes on until its listener leaves, may not listen any more, or the instance stops.
type liveStream struct {
	s      *Server
	ctx    context.Context
	events *pulse.Listener
	who    listening
	only   string
}

// VisitGetLiveResponse writes the answer.
func (l liveStream) VisitGetLiveResponse(w http.ResponseWriter) error {
	defer l.events.Close()
	ctx, cancel := context.WithTimeout(l.ctx, streamLongest)
	defer cancel()
	connection := http.NewResponseController(w)
	// The server's own time for reading would end the request while it is being answered.
	if err := connection.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("a stream can't be kept open: %w", err)
	}
	h := w.Header()
	h.Set(echo.HeaderContentType, eventStream)
	h.Set("X-Accel-Buffering", "no") // proxies that gather answers hand these on at once
	w.WriteHeader(http.StatusOK)
	asked := l.s.Clock.Real()
	for next := streamRetry; ; {
		if err := connection.SetWriteDeadline(l.s.Clock.Real().Add(streamWritesWithin)); err != nil {
			return nil //nolint:nilerr // the answer has begun: there is nobody to tell
		}
		if _, err := w.Write([]byte(next)); err != nil || connection.Flush() != nil {
			return nil //nolint:nilerr // the listener left
		}
		now, err := l.events.Next(ctx)
		if err != nil {
			return nil //nolint:nilerr // it left, or the instance stops: it comes back by itself
		}
		if at := l.s.Clock.Real(); at.Sub(asked) >= streamAsksAgain {
			asked = at
			if err := l.who.still(ctx); err != nil && !errors.Is(err, context.Canceled) && asFault(err).Kind != fault.Unavailable {
				return nil
			}
		}
		data, err := json.Marshal(l.s.live(now, l.only))
		if err != nil {
			return nil //nolint:nilerr // numbers can always be encoded
		}
		next = "event: live\nid: " + strconv.FormatInt(now.At.UnixMilli(), 10) + "\ndata: " + string(data) + "\n\n"
	}
}

// live shows a snapshot, of one campaign or of all.
func (s *Server) live(n pulse.Snapshot, only string) Live {
	out := Live{
		At: s.shown(n.At).UTC(), Instances: n.Instances,
		Redis:    LiveRedis{Reachable: n.Redis.Reachable, Since: s.shown(n.Redis.Since).UTC()},
		Postgres: LivePostgres{Reachable: n.Postgres.Reachable, Since: s.shown(n.Postgres.Since).UTC()},
		Load: LiveLoad{
			RequestsInside: n.Own.Inside, RequestsInsideLimit: n.Own.InsideLimit,
			ConnectionsUsed: n.Own.Postgres.Used, ConnectionsLimit: n.Own.Postgres.Limit,
			FlushConnectionsUsed: n.Own.Flushes.Used, FlushConnectionsLimit: n.Own.Flushes.Limit,
			RedisConnectionsUsed: n.Own.Redis.Used, RedisConnectionsLimit: n.Own.Redis.Limit,
			PoolWaitMs: milliseconds(n.Own.PoolWait), CommitMs: milliseconds(n.Own.Commit),
		},
		SharedSteps: liveSteps(n.Rates, true), Refusals: []LiveRefusal{}, Campaigns: []LiveCampaign{},
	}
	if r := n.Redis; r.Reachable {
		trip, busy, commands := milliseconds(r.RoundTrip), tenths(100*r.Share), r.CommandsPerSecond
		out.Redis.RoundTripMs, out.Redis.BusyPercent, out.Redis.CommandsPerSecond = &trip, &busy, &commands
		out.Redis.MemoryBytes, out.Redis.MemoryLimitBytes = &r.MemoryBytes, unlessZero(r.MemoryLimit)
	}
	if p := n.Postgres; p.Reachable {
		out.Postgres.Connections, out.Postgres.ConnectionsLimit = &p.Connections, &p.Limit
	}
	if m := n.Messages; m != nil {
		out.Sms = &LiveSms{
			Waiting: m.Waiting, WaitingIsMore: m.Waiting >= m.MostWaiting, OldestSeconds: tenths(m.Oldest.Seconds()),
			CodeWaitSeconds: tenths(m.Codes.Seconds()), MessageWaitSeconds: tenths(m.Gateway.Seconds()),
			PerSecondLimit: unlessZero(m.Rate), Settled: []LiveSettled{},
		}
		for _, state := range slices.Sorted(maps.Keys(n.MessagesSettled)) {
			out.Sms.Settled = append(out.Sms.Settled, LiveSettled{State: LiveSettledState(state), PerSecond: tenths(n.MessagesSettled[state])})
		}
	}
	for code, rate := range n.Refusals {
		out.Refusals = append(out.Refusals, LiveRefusal{Code: code, PerSecond: tenths(rate)})
	}
	slices.SortFunc(out.Refusals, func(a, b LiveRefusal) int {
		return cmp.Or(cmp.Compare(b.PerSecond, a.PerSecond), cmp.Compare(a.Code, b.Code))
	})
	for _, c := range n.Campaigns {
		if only == "" || c.Campaign == only {
			out.Campaigns = append(out.Campaigns, liveCampaign(c))
		}
	}
	return out
}

func liveCampaign(c pulse.CampaignNow) LiveCampaign {
	out := LiveCampaign{CampaignId: c.Campaign, Steps: liveSteps(c.Rates, false), Rooms: []LiveRoom{}}
	out.Places.Slots, out.Places.Capacity, out.Places.Booked = c.Places.Slots, c.Places.Capacity, c.Places.Booked
	out.Places.Held, out.Places.Free = c.Places.Held, c.Places.Free
	for _, r := range c.Rooms {
		shown := LiveRoom{
			RoomId: r.Room, State: RoomState(r.State), RatePerSecond: r.Rate, MaxActive: r.MaxActive,
			Registered: r.Registered, Issued: r.Issued, Serving: r.Serving, LateIssued: r.LateIssued, LateServing: r.LateServing,
			Waiting:           max(0, r.Issued-r.Serving) + max(0, r.LateIssued-r.LateServing),
			AdmittedPerSecond: tenths(r.Came), Led: r.Led,
		}
		if r.Inside >= 0 {
			shown.Inside = &r.Inside
		}
		if late := int(r.DrawLate.Seconds()); late > 0 {
			shown.DrawLateSeconds, shown.DrawOverdue = &late, &r.DrawOverdue
		}
		out.Rooms = append(out.Rooms, shown)
	}
	return out
}

// liveSteps has every step that belongs to a campaign, or to none.
func liveSteps(rates map[pulse.Step]pulse.Rate, shared bool) []LiveStep {
	all := []LiveStep{}
	for _, step := range pulse.Steps {
		if step.Shared() == shared {
			all = append(all, LiveStep{
				Step: FunnelStepName(step), RequestsPerSecond: tenths(rates[step].Requests), SucceededPerSecond: tenths(rates[step].Done),
			})
		}
	}
	return all
}

// tenths is a number that people read.
func tenths(n float64) float64 { return math.Round(n*10) / 10 }

func milliseconds(d time.Duration) float64 { return tenths(float64(d) / float64(time.Millisecond)) }

// GetFunnel answers GET /admin/v1/campaigns/{campaign}/funnel.
func (s *Server) GetFunnel(ctx context.Context, r GetFunnelRequestObject) (GetFunnelResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	to := orElse(r.Params.To, s.Clock.Now())
	from := orElse(r.Params.From, to.Add(-24*time.Hour))
	switch {
	case !from.Before(to):
		return nil, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("from", "must be before to")
	case to.Sub(from) > pulse.LongestFunnel:
		return nil, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("from", "is more than seven days before to")
	}
	f, err := s.Pulse.Funnel(ctx, c.ID, from, to)
	if err != nil {
		return nil, err
	}
	out := GetFunnel200JSONResponse{
		CampaignId: c.ID, From: f.From.In(c.Location), To: f.To.In(c.Location), Steps: funnelSteps(f.Steps), Hours: []FunnelHour{},
	}
	for _, h := range f.Hours {
		out.Hours = append(out.Hours, FunnelHour{At: h.At.In(c.Location), Steps: funnelSteps(h.Steps)})
	}
	return out, nil
}

func funnelSteps(steps []pulse.StepCount) []FunnelStep {
	all := []FunnelStep{}
	counted := func(n int64) *int64 {
		if n < 0 {
			return nil
		}
		return &n
	}
	for _, c := range steps {
		all = append(all, FunnelStep{
			Step: FunnelStepName(c.Step), OfAllCampaigns: c.Step.Shared(), Requests: c.Requests, Succeeded: c.Done,
			PeopleAsking: counted(c.Tried), People: counted(c.Persons), Phones: counted(c.Phones), AddressBlocks: counted(c.Blocks),
		})
	}
	return all
}
