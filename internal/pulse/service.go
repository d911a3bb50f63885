package pulse

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"jari/internal/clock"
	"jari/internal/postgres"
)

// Room is a waiting room, as it stands.
type Room struct {
	Room, Campaign, State string
	Rate                  float64
	MaxActive             int // 0 is no limit
	Registered, Issued    int64
	Serving               int64
	LateIssued            int64
	LateServing           int64
	Inside                int // −1 while it can't be counted
	Led                   bool
	// DrawLate is for how long the draw has waited for its value, DrawOverdue whether that is too long.
	DrawLate    time.Duration
	DrawOverdue bool
	// Came is how many come in each second.
	Came float64
}

// Places are those of a campaign.
type Places struct{ Slots, Capacity, Booked, Held, Free int64 }

// Messages are what the gateway still has to be given.
type Messages struct {
	// Waiting is at most MostWaiting, which stands for more.
	Waiting, MostWaiting int
	Oldest               time.Duration
	// Codes is how long a code that is asked for now waits for its turn, Gateway how long any other message does.
	Codes, Gateway time.Duration
	// Rate is how many a second the gateway takes; 0 is as many as there are.
	Rate int
}

// Options are what a service is made of. The functions ask other domains, which this package doesn't know; each may fail or
// take its time until its context ends.
type Options struct {
	Pool  *pgxpool.Pool
	Redis *redis.Client
	Clock clock.Clock
	Log   *slog.Logger
	Meter *Meter
	// Own is this instance, Rooms and Places what it has in memory, Messages what Postgres has.
	Own      func() Own
	Rooms    func(ctx context.Context) []Room
	Places   func() map[string]Places
	Messages func(ctx context.Context) (Messages, error)
	// Decides tells whether this instance decides something by how all of them do, and so wants to hear of them though nobody
	// watches; nil is never.
	Decides func() bool
	// Listeners is how many may listen at the same time.
	Listeners int
}

// Service says what happens now, each second.
type Service struct {
	Options
	me     uuid.UUID
	funnel funnel

	beating sync.Mutex // one beat at a time; guards what follows
	looks   []look     // the newest last
	busy    redisBusy
	known   Snapshot // of the last beat, with what was known before where a store doesn't answer
	slow    time.Time

	latest atomic.Pointer[Snapshot]
	asked  atomic.Int64 // when a snapshot was last asked for, in ns of real time
	hub    hub
}

// redisBusy is the processor time of Redis at the look before.
type redisBusy struct {
	at   time.Time
	used time.Duration
}

const (
	// beatEvery is how often those who listen are told.
	beatEvery = time.Second
	// beatWithin bounds what a beat waits for stores: who listens is told in time that one doesn't answer.
	beatWithin = 900 * time.Millisecond
	// slowEvery is how often what costs something is looked at while nobody listens, for those who collect metrics.
	slowEvery = 10 * time.Second
	// askedFor is for how long somebody who asked once counts as one who listens.
	askedFor = 5 * time.Second
)

// NewService returns a service that knows nothing until Watch runs.
func NewService(o Options) *Service {
	s := &Service{Options: o, me: uuid.New()}
	s.funnel.written, s.funnel.owed = map[string][]counts{}, map[place]counts{}
	s.hub.changed = make(chan struct{})
	return s
}

// Watch counts, tells the others and those who listen, and writes the funnel, until ctx ends.
func (s *Service) Watch(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() {
		clock.Every(ctx, beatEvery, func() { s.beat(ctx, func() bool { return true }) })
	})
	both.Go(func() {
		failing := false
		clock.Every(ctx, flushEvery, func() {
			err := s.flushWithin(ctx, flushEvery)
			if err != nil && !failing && ctx.Err() == nil {
				s.Log.Warn("the funnel can't be written now; it is written later", "error", err)
			}
			failing = err != nil
		})
	})
	both.Wait()
	s.Stop()
	last := context.WithoutCancel(ctx)
	if err := s.flushWithin(last, beatWithin); err != nil {
		s.Log.Warn("the end of the funnel couldn't be written", "error", err)
	}
	leaving, cancel := context.WithTimeout(last, beatWithin)
	defer cancel()
	s.leave(leaving)
}

func (s *Service) flushWithin(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return s.flush(ctx)
}

// watched tells whether somebody listens, or asked just now.
func (s *Service) watched() bool {
	return s.hub.count() > 0 || s.Clock.Real().UnixNano()-s.asked.Load() < int64(askedFor)
}

// beat looks at everything that is due and tells who listens, unless it isn't needed any more when its turn has come.
func (s *Service) beat(ctx context.Context, needed func() bool) {
	s.beating.Lock()
	defer s.beating.Unlock()
	if ctx.Err() != nil || !needed() {
		return
	}
	s.turn()
	now := s.Clock.Real()
	watched := s.watched()
	slow := watched || now.Sub(s.slow) >= slowEvery
	if slow {
		s.slow = now
	}
	ctx, cancel := context.WithTimeout(ctx, beatWithin)
	defer cancel()
	mine := s.mine(now)

	next := s.known
	next.At, next.whole = now, watched
	var parts sync.WaitGroup
	var reports []report
	parts.Go(func() {
		all, load, err := s.exchange(ctx, mine)
		if err != nil {
			all = []report{mine}
		}
		reports = all
		next.Redis = s.redisAfter(now, load)
	})
	if slow {
		parts.Go(func() { next.rooms = s.Rooms(ctx) })
		parts.Go(func() { next.places = s.Places() })
		parts.Go(func() { next.Postgres = s.postgresAfter(ctx, now) })
		parts.Go(func() {
			if m, err := s.Messages(ctx); err == nil {
				next.Messages = &m
			} else {
				next.Messages = nil
			}
		})
	}
	parts.Wait()
	next.sum(reports)
	s.known = next
	s.latest.Store(&next)
	s.hub.tell()
}

// mine is what this instance tells the others.
func (s *Service) mine(now time.Time) report {
	r := report{Instance: s.me, At: now, Own: s.Own()}
	this := s.Meter.look(now)
	before := this
	if len(s.looks) > 0 {
		before = s.looks[0]
	}
	r.since(before, this)
	s.looks = append(s.looks, this)
	if n := len(s.looks); n > rateOver {
		s.looks = append([]look(nil), s.looks[n-rateOver:]...)
	}
	return r
}

// redisAfter is how Redis does after a look at it.
func (s *Service) redisAfter(now time.Time, l RedisLoad) RedisStanding {
	was := s.known.Redis
	out := RedisStanding{RedisLoad: l, Since: was.Since}
	if out.Reachable != was.Reachable || out.Since.IsZero() {
		out.Since = now
	}
	if !l.Reachable {
		s.busy = redisBusy{}
		return out
	}
	if passed := now.Sub(s.busy.at); !s.busy.at.IsZero() && passed > 0 && l.Busy >= s.busy.used {
		out.Share = min(1, float64(l.Busy-s.busy.used)/float64(passed))
	}
	s.busy = redisBusy{now, l.Busy}
	return out
}

// postgresAfter looks at Postgres.
func (s *Service) postgresAfter(ctx context.Context, now time.Time) PostgresStanding {
	was := s.known.Postgres
	out := PostgresStanding{Since: was.Since}
	var err error
	out.Connections, out.Limit, err = postgres.Load(ctx, s.Pool)
	out.Reachable = err == nil
	if out.Reachable != was.Reachable || out.Since.IsZero() {
		out.Since = now
	}
	return out
}
