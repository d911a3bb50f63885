package slot

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/maypok86/otter/v2"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"jari/internal/audit"
	"jari/internal/campaign"
	"jari/internal/clock"
	"jari/internal/fault"
	jariredis "jari/internal/redis"
	"jari/internal/token"
)

// Limits bound what one person may ask for.
type Limits struct {
	Placements int           // holds that a person may place
	Window     time.Duration // in this time
	// Queue is how many placements may wait for Redis on this instance; more are refused at once.
	Queue int
	// Changed is how many slots one bulk change may change while a wave is open.
	Changed int
}

// Service places holds and shows what remains.
type Service struct {
	pool      *pgxpool.Pool
	redis     *redis.Client
	campaigns *campaign.Service
	clock     clock.Clock
	tokens    *token.Box
	limits    Limits
	log       *slog.Logger
	audit     *audit.Log

	placer *placer
	loads  singleflight.Group
	looks  *otter.Cache[slotKey, bool]

	// What remains, in memory (availability.go, watch.go), and the documents of it (view.go, document.go).
	started                          time.Time
	shelves                          atomic.Pointer[map[string]*shelf]
	refreshing, following, surveying sync.Mutex
	mostChanged                      int64 // as the constant says, but for tests
	views                            *otter.Cache[Name, *view]
	addresses                        sync.Map // of *view by address
	made                             atomic.Uint64
	lists                            sync.Map // of *siteLists by campaign
	listing                          sync.Mutex
}

// maxLooks bounds how many looks are remembered.
const maxLooks = 20_000

// NewService returns a service that knows no slot until Refresh has run.
func NewService(
	pool *pgxpool.Pool, client *redis.Client, campaigns *campaign.Service, clk clock.Clock, tokens *token.Box,
	limits Limits, log *slog.Logger,
) (*Service, error) {
	s := &Service{
		pool: pool, redis: client, campaigns: campaigns, clock: clk, tokens: tokens, limits: limits, log: log,
		audit: audit.NewLog(pool, clk, log, nil), placer: newPlacer(client, limits.Queue), started: clk.Real(),
		mostChanged: mostChanged,
	}
	s.shelves.Store(&map[string]*shelf{})
	var err error
	if s.views, err = newViews(&s.addresses); err != nil {
		return nil, err
	}
	if s.looks, err = otter.New(&otter.Options[slotKey, bool]{
		MaximumSize: maxLooks, ExpiryCalculator: otter.ExpiryWriting[slotKey, bool](time.Second),
	}); err != nil {
		return nil, fmt.Errorf("making the cache of looks: %w", err)
	}
	return s, nil
}

// Close ends what the service does beside answering.
func (s *Service) Close() { s.looks.StopAllGoroutines() }

// Find returns the place of a public slot id of a campaign, or fault.CodeSlotNotFound. No store is asked.
func (s *Service) Find(campaignID, slotID string) (Place, error) {
	if id, ok := ParseID(slotID); ok {
		if place, ok := s.Get(campaignID, id); ok {
			return place, nil
		}
	}
	return Place{}, fault.New(fault.NotFound, fault.CodeSlotNotFound)
}

// Get returns the place of a slot of a campaign.
func (s *Service) Get(campaignID string, id int64) (Place, bool) {
	_, b := s.shown(campaignID)
	if b == nil {
		return Place{}, false
	}
	return b.directory.Get(id)
}

// shown are a campaign's shelf and what is on it; nil while nothing was loaded.
func (s *Service) shown(campaignID string) (*shelf, *board) {
	sh := (*s.shelves.Load())[campaignID]
	if sh == nil {
		return nil, nil
	}
	return sh, sh.board.Load()
}

// Wish is what a person wants held.
type Wish struct {
	Campaign *campaign.Campaign
	Slot     Place
	Person   uuid.UUID
	Actor    uuid.UUID
	// InsteadOf names the live hold that is given up; zero for none.
	InsteadOf uuid.UUID
	// Replaces names the booking to be moved; zero for none.
	Replaces uuid.UUID
	// How the person was judged.
	Wave         string
	RulesVersion int64
	JudgedAt     time.Time
}

// Place holds a slot for a person, or refuses: slot_full, slot_closed, holds_other (with the hold), hold_ending,
// hold_limit, overloaded when too many wait already, or store_unavailable when Redis can't be reached.
func (s *Service) Place(ctx context.Context, w Wish) (Hold, error) {
	p := s.placement(w)
	// The copy may be missing once, and the person's hold may move to another slot between two asks; more than that
	// means that something is at odds with itself.
	looked := false
	for range 5 {
		o, err := s.placer.place(ctx, p)
		if err != nil {
			return Hold{}, err
		}
		switch o.code {
		case "placed", "same":
			return o.hold, nil
		case "missing":
			if _, err := s.load(ctx, p.Campaign, p.Slot); err != nil {
				return Hold{}, err
			}
		case "prior":
			p.priorSlot = o.prior
		case "holds_other":
			return Hold{}, fault.New(fault.Conflict, fault.CodeHoldsOther).With(o.hold)
		case "ending":
			return Hold{}, fault.New(fault.Conflict, fault.CodeHoldEnding).After(o.wait)
		case "limit":
			return Hold{}, fault.New(fault.TooMany, fault.CodeHoldLimit).After(o.wait)
		case "booked":
			return Hold{}, fault.New(fault.Conflict, fault.CodeAlreadyBooked)
		case "closed", "full":
			// The copy may be old: places were added, or a cancel wasn't pushed. A no is worth a look at the truth, once a
			// second and slot, however many ask.
			if !looked && s.lookAgain(ctx, p.Campaign, p.Slot) {
				looked = true
				continue
			}
			if o.code == "closed" {
				return Hold{}, fault.New(fault.Conflict, fault.CodeSlotClosed)
			}
			return Hold{}, fault.New(fault.Conflict, fault.CodeSlotFull)
		}
	}
	return Hold{}, fmt.Errorf("the copy of slot %d doesn't stay in Redis", p.Slot)
}

// placement is what Redis is asked for.
func (s *Service) placement(w Wish) placement {
	return placement{
		Hold: Hold{
			ID: newID(), Campaign: w.Campaign.ID, Slot: w.Slot.ID, Person: w.Person, Actor: w.Actor,
			Replaces: w.Replaces, Wave: w.Wave, RulesVersion: w.RulesVersion, JudgedAt: w.JudgedAt,
		},
		ttl: w.Campaign.Hold(), limit: s.limits.Placements, window: s.limits.Window,
		insteadOf: w.InsteadOf,
	}
}

// slotKey is a slot of a campaign.
type slotKey struct {
	campaign string
	slot     int64
}

// lookAgain loads a slot's copy anew unless that was done within the last second, and tells whether it is worth asking Redis
// once more: its copy was older, or this was the look, before which somebody else may have replaced the copy that said no.
// Without Postgres the old copy stands.
func (s *Service) lookAgain(ctx context.Context, campaignID string, id int64) bool {
	mine := false
	newer, err := s.looks.Get(ctx, slotKey{campaignID, id},
		otter.LoaderFunc[slotKey, bool](func(ctx context.Context, key slotKey) (bool, error) {
			mine = true
			return s.load(ctx, key.campaign, key.slot)
		}))
	return err == nil && (newer || mine)
}

// ForgetBooked takes back the mark that a person has booked.
func (s *Service) ForgetBooked(ctx context.Context, campaignID string, person uuid.UUID) error {
	return jariredis.Unreachable(forgetBookedScript.Run(ctx, s.redis, []string{personKey(campaignID, person)}).Err())
}

// load copies a slot from Postgres to Redis once, however many callers miss it at the same time. It tells whether that
// replaced an older copy, or none.
func (s *Service) load(ctx context.Context, campaignID string, id int64) (replaced bool, err error) {
	done, err, _ := s.loads.Do(campaignID+"/"+strconv.FormatInt(id, 10), func() (any, error) {
		// The first caller may leave; the others still wait for this.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		copies, err := loadCopies(ctx, s.pool, []int64{id})
		if err != nil {
			return nil, err
		}
		if len(copies) == 0 {
			return nil, fault.New(fault.NotFound, fault.CodeSlotNotFound)
		}
		found, err := applyCopies(ctx, s.redis, campaignID, copies, nil)
		return found.newer > 0, err
	})
	if err != nil {
		return false, err
	}
	replaced, _ = done.(bool)
	return replaced, nil
}

// Live returns the person's live hold in a campaign, or false.
func (s *Service) Live(ctx context.Context, campaignID string, person uuid.UUID) (Hold, bool, error) {
	l, ok, err := latestHold(ctx, s.redis, campaignID, person)
	if err != nil || !ok || l.released || !s.clock.Real().Before(l.hold.ExpiresAt) {
		return Hold{}, false, err
	}
	return l.hold, true, nil
}

// Release gives up the person's latest hold. Without one it does nothing.
func (s *Service) Release(ctx context.Context, campaignID string, person uuid.UUID) error {
	l, ok, err := latestHold(ctx, s.redis, campaignID, person)
	if err != nil || !ok || l.released {
		return err
	}
	return releaseHold(ctx, s.redis, l.hold)
}

// GivenUp tells which holds Redis says were released, or superseded by a later hold of the same person. A hold that
// Redis doesn't know isn't among them: Redis may have lost it.
func (s *Service) GivenUp(ctx context.Context, campaignID string, holds []token.Hold) (map[uuid.UUID]bool, error) {
	return givenUp(ctx, s.redis, campaignID, holds)
}

// Push replaces copies by what Postgres says now and drops holds that were decided there. Best effort: a copy that it
// misses is looked at again when it says no to somebody.
func (s *Service) Push(ctx context.Context, campaignID string, copies []Copy, decided map[int64][]Decided) error {
	_, err := applyCopies(ctx, s.redis, campaignID, copies, decided)
	if sh := (*s.shelves.Load())[campaignID]; sh != nil {
		sh.learn(copies, decided, err == nil, s.clock.Real())
	}
	return err
}

// Settle tells Redis of a hold that Postgres has decided, with the slot as it is now: a push that got lost, made up for.
func (s *Service) Settle(ctx context.Context, campaignID string, id int64, d Decided) error {
	copies, err := loadCopies(ctx, s.pool, []int64{id})
	if err != nil {
		return err
	}
	return s.Push(ctx, campaignID, copies, map[int64][]Decided{id: {d}})
}

// Token seals what the holder of a hold needs to confirm it.
func (s *Service) Token(h Hold) (string, error) {
	return s.tokens.SealHold(h)
}

// newID makes an id whose beginning is the time, so that rows that are written together lie together in Postgres's
// indexes. It is a name, not a secret: a hold is confirmed by its token.
func newID() uuid.UUID {
	id, err := uuid.NewV7()
	if err != nil { // the source of randomness failed
		panic(err)
	}
	return id
}
