package pulse

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"jari/internal/fault"
)

// RedisStanding is how Redis does, and since when it does or doesn't answer (real time).
type RedisStanding struct {
	RedisLoad
	Since time.Time
}

// PostgresStanding is how Postgres does, and since when it does or doesn't answer (real time).
type PostgresStanding struct {
	Reachable bool
	Since     time.Time
	// Connections are all that the server has, of at most Limit.
	Connections, Limit int
}

// CampaignNow is what happens in a campaign.
type CampaignNow struct {
	Campaign string
	Rates    map[Step]Rate
	Places   Places
	Rooms    []Room
}

// Snapshot is what happens now.
type Snapshot struct {
	At time.Time // real time
	// Instances are those whose numbers are in here. While Redis doesn't answer it is this one alone.
	Instances int
	Own       Own // over all instances: added up, but for the last three, which are those of the worst
	Redis     RedisStanding
	Postgres  PostgresStanding
	Messages  *Messages // nil while Postgres can't say
	// Rates are those of steps that belong to no campaign.
	Rates           map[Step]Rate
	Campaigns       []CampaignNow
	Refusals        map[string]float64
	MessagesSettled map[string]float64

	whole  bool // taken while somebody watched, so with all instances
	rooms  []Room
	places map[string]Places
}

// sum puts the reports of all instances together.
func (n *Snapshot) sum(reports []report) {
	n.Instances, n.Own = len(reports), Own{}
	n.Rates, n.Refusals, n.MessagesSettled = map[Step]Rate{}, map[string]float64{}, map[string]float64{}
	rates, came := map[string]map[Step]Rate{}, map[string]float64{}
	for _, r := range reports {
		n.Own.Inside += r.Inside
		n.Own.InsideLimit += r.InsideLimit
		for _, p := range []struct {
			into *Pool
			of   Pool
		}{{&n.Own.Postgres, r.Postgres}, {&n.Own.Flushes, r.Flushes}, {&n.Own.Redis, r.Redis}} {
			p.into.Used += p.of.Used
			p.into.Limit += p.of.Limit
		}
		n.Own.PoolWait, n.Own.Commit = max(n.Own.PoolWait, r.PoolWait), max(n.Own.Commit, r.Commit)
		n.Own.FlushErrors = max(n.Own.FlushErrors, r.FlushErrors)
		for campaign, steps := range r.Rates {
			into := n.Rates
			if campaign != "" {
				if rates[campaign] == nil {
					rates[campaign] = map[Step]Rate{}
				}
				into = rates[campaign]
			}
			for step, rate := range steps {
				into[step] = Rate{into[step].Requests + rate.Requests, into[step].Done + rate.Done}
			}
		}
		add(came, r.Rooms)
		add(n.Refusals, r.Refusals)
		add(n.MessagesSettled, r.Messages)
	}
	n.campaigns(rates, came)
}

func add(into, of map[string]float64) {
	for name, rate := range of {
		into[name] += rate
	}
}

func (n *Snapshot) campaigns(rates map[string]map[Step]Rate, came map[string]float64) {
	all := map[string]*CampaignNow{}
	at := func(id string) *CampaignNow {
		if all[id] == nil {
			all[id] = &CampaignNow{Campaign: id, Rates: map[Step]Rate{}}
		}
		return all[id]
	}
	for id, places := range n.places {
		at(id).Places = places
	}
	for id, steps := range rates {
		at(id).Rates = steps
	}
	for _, r := range n.rooms {
		r.Came = came[r.Room]
		at(r.Campaign).Rooms = append(at(r.Campaign).Rooms, r)
	}
	n.Campaigns = nil
	for _, id := range slices.Sorted(maps.Keys(all)) {
		n.Campaigns = append(n.Campaigns, *all[id])
	}
}

// Latest is the last snapshot, with no more than this instance if nobody watched and nothing is decided by it; false before
// the first.
func (s *Service) Latest() (Snapshot, bool) {
	n := s.latest.Load()
	if n == nil {
		return Snapshot{}, false
	}
	return *n, true
}

// Now is what happens now, at most a second ago.
func (s *Service) Now(ctx context.Context) (Snapshot, error) {
	s.asked.Store(s.Clock.Real().UnixNano())
	old := func() bool {
		n := s.latest.Load()
		return n == nil || !n.whole || s.Clock.Real().Sub(n.At) > 2*beatEvery
	}
	if old() {
		s.beat(ctx, old)
	}
	n := s.latest.Load()
	if n == nil {
		return Snapshot{}, fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(beatEvery)
	}
	return *n, nil
}

// ErrStopping is told to who listens to an instance that stops.
var ErrStopping = errors.New("this instance stops")

// hub wakes those who listen.
type hub struct {
	mu        sync.Mutex
	listeners int
	changed   chan struct{} // closed and replaced at each beat
	stopped   bool
}

func (h *hub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listeners
}

func (h *hub) tell() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stopped {
		close(h.changed)
		h.changed = make(chan struct{})
	}
}

// Stop sends away those who listen, and lets nobody new do so.
func (s *Service) Stop() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if !s.hub.stopped {
		s.hub.stopped = true
		close(s.hub.changed)
	}
}

// Listener hears each snapshot. Whoever is too slow hears the newest, not all.
type Listener struct {
	s    *Service
	once sync.Once
	last time.Time
}

// Listen begins to listen, or refuses with overloaded: too many do, or the instance stops. after is the instant of the last
// snapshot that was heard, on any instance; the zero time for none. Close must be called.
func (s *Service) Listen(after time.Time) (*Listener, error) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if s.hub.stopped || s.hub.listeners >= s.Listeners {
		return nil, fault.New(fault.Unavailable, fault.CodeOverloaded).After(5 * time.Second)
	}
	s.hub.listeners++
	return &Listener{s: s, last: after}, nil
}

// Close stops listening.
func (l *Listener) Close() {
	l.once.Do(func() {
		l.s.hub.mu.Lock()
		defer l.s.hub.mu.Unlock()
		l.s.hub.listeners--
	})
}

// Next waits for a snapshot that is newer than the last one: at once if there is one. It returns ErrStopping, or the
// context's error.
func (l *Listener) Next(ctx context.Context) (Snapshot, error) {
	for {
		l.s.hub.mu.Lock()
		changed, stopped := l.s.hub.changed, l.s.hub.stopped
		l.s.hub.mu.Unlock()
		if stopped {
			return Snapshot{}, ErrStopping
		}
		if n := l.s.latest.Load(); n != nil && n.whole && n.At.UnixMilli() > l.last.UnixMilli() {
			l.last = n.At
			return *n, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Snapshot{}, ctx.Err()
		}
	}
}
