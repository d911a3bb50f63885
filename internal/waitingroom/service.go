package waitingroom

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"jari/internal/clock"
	"jari/internal/document"
	"jari/internal/fault"
	"jari/internal/token"
)

// Limits bound what rooms may cost and how long admissions last.
type Limits struct {
	// Admission is how long an admission lasts without being used; each use renews it, up to Longest after the first.
	Admission, Longest time.Duration
	// DrawPatience is how long after its announced moment the value of a draw is awaited before another may be typed in.
	DrawPatience time.Duration
	// Queue is how many people may wait on one instance for their place to be written.
	Queue int
}

// Options are what a service is made of.
type Options struct {
	Pool  *pgxpool.Pool
	Redis *redis.Client
	// Ledger and Presence stand for Pool and Redis where time is virtual; nil is the stores themselves.
	Ledger   Ledger
	Presence Presence
	Clock    clock.Clock
	Tokens   *token.Box
	Log      *slog.Logger
	Limits   Limits
	// Plans are the rooms that are published now.
	Plans func() ([]Plan, error)
	// Health is how the booking behind the rooms does on this instance.
	Health func() Health
	// Values are where the public values of draws come from. A draw whose source isn't here waits.
	Values map[Source]Randomness
	// CodesWaiting is how many codes wait at the gateway; it is needed with a plan of CodesPlan.
	CodesWaiting func(ctx context.Context) (int, error)
	// Audit notes in a transaction what an administrator did to a room.
	Audit func(ctx context.Context, tx pgx.Tx, room, action string, by Actor, detail map[string]any) error
}

// Service knows the rooms, gives places and admits people. Watch keeps what it knows true, and leads rooms that nobody
// else leads.
type Service struct {
	Options
	me uuid.UUID // of this instance, as a leader

	views      atomic.Pointer[map[string]*view] // by room; replaced whole; nil until Postgres was read
	refreshing sync.Mutex
	made       map[string]bool // rooms that have a row

	gatherers sync.Map // of *gatherer, by room
	leading   sync.WaitGroup
}

// NewService returns a service that knows no room until Refresh has run.
func NewService(o Options) *Service {
	if o.Health == nil {
		o.Health = func() Health { return Health{} }
	}
	s := &Service{Options: o, me: uuid.New(), made: map[string]bool{}}
	if s.Ledger == nil {
		s.Ledger = rows{o.Pool}
	}
	if s.Presence == nil {
		s.Presence = &inside{redis: o.Redis, noted: map[presence]stay{}}
	}
	return s
}

const (
	// refreshEvery is how often an instance looks what became of the rooms: people see it at most as late.
	refreshEvery = 300 * time.Millisecond
	// tellEvery is how often Redis is told who is inside still.
	tellEvery = 500 * time.Millisecond
)

// Watch keeps the rooms known and led until ctx ends, and gives up what this instance leads then.
func (s *Service) Watch(ctx context.Context) {
	driven := map[string]bool{}
	drive := func() {
		plans, err := s.Plans()
		if err != nil {
			return
		}
		for _, p := range plans {
			if !driven[p.Room] {
				driven[p.Room] = true
				s.leading.Go(func() { s.drive(ctx, p.Room) })
			}
		}
	}
	s.leading.Go(func() { clock.Every(ctx, tellEvery, func() { _ = s.Presence.Tell(ctx) }) })
	failing := false
	clock.Every(ctx, refreshEvery, func() {
		err := s.Refresh(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.Log.Warn("the waiting rooms can't be read; whoever waits goes on waiting", "error", err)
		}
		failing = err != nil
		drive()
	})
	s.leading.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = s.Presence.Tell(last)
	_ = giveUp(last, s.Pool, s.me) // if anything is ours; and leases end by themselves
}

// Refresh reads what became of the rooms since the last look.
func (s *Service) Refresh(ctx context.Context) error {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	plans, err := s.Plans()
	if err != nil {
		return err
	}
	old := map[string]*view{}
	if known := s.views.Load(); known != nil {
		old = *known
	}
	var ids, missing []string
	var since []int64
	for _, p := range plans {
		ids = append(ids, p.Room)
		if !s.made[p.Room] {
			missing = append(missing, p.Room)
		}
		from := int64(0)
		if before := old[p.Room]; before != nil {
			from = before.OpenMS/1000 - int64(s.remembered(p).Seconds())
		}
		since = append(since, from)
	}
	if len(missing) > 0 {
		if err := s.Ledger.Ensure(ctx, missing); err != nil {
			return err
		}
	}
	rooms, past, err := s.Ledger.Load(ctx, ids, since)
	if err != nil {
		return err
	}
	views := make(map[string]*view, len(plans))
	for i, p := range plans {
		r := rooms[p.Room]
		if r == nil { // taken away by hand; it is made again
			delete(s.made, p.Room)
			continue
		}
		s.made[p.Room] = true
		v := &view{Plan: p, Room: r}
		v.calls, v.lateCalls = histories(past[r.No], since[i])
		if v.status, err = s.encode(v, old[p.Room]); err != nil {
			return err
		}
		views[p.Room] = v
	}
	s.views.Store(&views)
	return nil
}

// remembered is how far back the history of a room has to go.
func (s *Service) remembered(p Plan) time.Duration {
	return p.Grace + TurnoutKeep + time.Minute
}

// histories are those of both lanes, from what was served since a second and last before it.
func histories(past []Served, since int64) (calls, late History) {
	if len(past) == 0 || past[0].Second >= since { // from the beginning, when nobody was called
		past = slices.Insert(past, 0, Served{})
	}
	calls, late = make(History, 0, len(past)), make(History, 0, len(past))
	for _, p := range past {
		at := openTime(p.Second * 1000)
		if n := len(calls); n == 0 || calls[n-1].Serving < p.Serving {
			calls = append(calls, Call{At: at, Serving: p.Serving})
		}
		if n := len(late); n == 0 || late[n-1].Serving < p.LateServing {
			late = append(late, Call{At: at, Serving: p.LateServing})
		}
	}
	return calls, late
}

// view returns what is known of a room: fault.CodeRoomNotFound if it isn't published, fault.CodeStoreUnavailable if this
// instance hasn't read the rooms yet.
func (s *Service) view(room string) (*view, error) {
	views := s.views.Load()
	if views == nil {
		return nil, fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(time.Second)
	}
	v, ok := (*views)[room]
	if !ok {
		return nil, fault.New(fault.NotFound, fault.CodeRoomNotFound)
	}
	return v, nil
}

// Status is the public document of a room, or nil if there is none.
func (s *Service) Status(room string) *document.Document {
	v, err := s.view(room)
	if err != nil {
		return nil
	}
	return v.status
}
