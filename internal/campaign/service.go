package campaign

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/audit"
	"jari/internal/clock"
	"jari/internal/fault"
)

// Service answers from a snapshot of what is published. Watch keeps the snapshot true.
type Service struct {
	pool  *pgxpool.Pool
	clock clock.Clock
	log   *slog.Logger
	// within is how recently the snapshot must have been confirmed for a hold to be placed by it.
	within   time.Duration
	audit    *audit.Log
	snapshot atomic.Pointer[snapshot]
	// production is set before anybody asks.
	production bool
}

// snapshot is replaced whole and never changed.
type snapshot struct {
	confirmedAt time.Time // real time
	campaigns   map[string]*entry
	ids         []string
}

type entry struct {
	stamp    stamp
	versions []*Campaign // oldest first
	sites    *Sites
	lists    []string // that a rule of any version names
}

// Sites is the directory of a campaign's sites at one revision.
type Sites struct {
	Revision int64
	list     []Site
	byID     map[string]int
}

// Get returns a site by its id.
func (s *Sites) Get(id string) (Site, bool) {
	i, ok := s.byID[id]
	if !ok {
		return Site{}, false
	}
	return s.list[i], true
}

// In returns the sites of a region, by id.
func (s *Sites) In(region string) []Site {
	var in []Site
	for _, site := range s.list {
		if site.Region == region {
			in = append(in, site)
		}
	}
	return in
}

// All returns every site, by id. The caller doesn't change it.
func (s *Sites) All() []Site { return s.list }

// watchEvery is how often an instance confirms its snapshot.
const watchEvery = time.Second

// NewService returns a service that knows no campaign until Refresh has run.
func NewService(pool *pgxpool.Pool, clk clock.Clock, within time.Duration, log *slog.Logger) *Service {
	s := &Service{pool: pool, clock: clk, within: within, audit: audit.NewLog(pool, clk, log, nil), log: log}
	s.snapshot.Store(&snapshot{campaigns: map[string]*entry{}})
	return s
}

// Watch refreshes the snapshot each second until ctx ends.
func (s *Service) Watch(ctx context.Context) {
	failing := false
	clock.Every(ctx, watchEvery, func() {
		err := s.Refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			s.log.Warn("the published campaigns can't be confirmed; holds wait until they can", "error", err)
		case err == nil && failing:
			s.log.Info("the published campaigns are confirmed again")
		}
		failing = err != nil
	})
}

// Refresh compares the snapshot with Postgres and loads what changed.
func (s *Service) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	// Taken before asking: the answer is at least as new as this.
	at := s.clock.Real()
	stamps, err := loadStamps(ctx, s.pool)
	if err != nil {
		return err
	}
	old := s.snapshot.Load()
	next := &snapshot{confirmedAt: at, campaigns: make(map[string]*entry, len(stamps))}
	for _, st := range stamps {
		e, err := s.refresh(ctx, old.campaigns[st.id], st)
		if err != nil {
			return err
		}
		next.campaigns[st.id] = e
		next.ids = append(next.ids, st.id)
	}
	s.snapshot.Store(next)
	return nil
}

func (s *Service) refresh(ctx context.Context, old *entry, now stamp) (*entry, error) {
	if old != nil && old.stamp == now {
		return old, nil
	}
	e := &entry{stamp: now}
	var known int64
	if old != nil {
		// Versions never change, so the ones that were compiled stay. The newest may be newer than its stamp: it was
		// published between reading the two.
		e.versions, e.sites = slices.Clone(old.versions), old.sites
		known = old.versions[len(old.versions)-1].Version
	}
	newer, err := loadVersions(ctx, s.pool, now.id, known)
	if err != nil {
		return nil, err
	}
	e.versions = append(e.versions, newer...)
	for _, c := range e.versions {
		e.lists = append(e.lists, c.Rules.Needs().Lists...)
	}
	slices.Sort(e.lists)
	e.lists = slices.Compact(e.lists)
	if e.sites == nil || e.sites.Revision != now.slotsRevision {
		list, err := loadSites(ctx, s.pool, now.id)
		if err != nil {
			return nil, err
		}
		e.sites = &Sites{Revision: now.slotsRevision, list: list, byID: make(map[string]int, len(list))}
		for i, site := range list {
			e.sites.byID[site.ID] = i
		}
	}
	return e, nil
}

// Get returns the version of a campaign that is in effect now, or fault.CodeCampaignNotFound.
func (s *Service) Get(id string) (*Campaign, error) {
	snap := s.snapshot.Load()
	if e, ok := snap.campaigns[id]; ok {
		if c := e.at(s.clock.Now()); c != nil {
			return c, nil
		}
	}
	return nil, s.unknown(snap, fault.CodeCampaignNotFound)
}

// unknown is the refusal for something that the snapshot doesn't hold. An instance that never saw Postgres can't say
// that it doesn't exist.
func (s *Service) unknown(snap *snapshot, code fault.Code) error {
	if snap.confirmedAt.IsZero() {
		return fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(time.Second)
	}
	return fault.New(fault.NotFound, code)
}

// at picks the newest version whose time has come.
func (e *entry) at(now time.Time) *Campaign {
	for _, c := range slices.Backward(e.versions) {
		if !now.Before(c.EffectiveAt) {
			return c
		}
	}
	return nil
}

// Version returns a given published version, which may not be the one in effect: a booking is moved by the rules that
// it was made under.
func (s *Service) Version(id string, version int64) (*Campaign, bool) {
	e, ok := s.snapshot.Load().campaigns[id]
	if !ok {
		return nil, false
	}
	for _, c := range e.versions {
		if c.Version == version {
			return c, true
		}
	}
	return nil, false
}

// Lists are the lists of entitled people that the rules of a campaign name, in any version: a booking is moved by the one
// that it was made under. The caller doesn't change them.
func (s *Service) Lists(id string) []string {
	if e, ok := s.snapshot.Load().campaigns[id]; ok {
		return e.lists
	}
	return nil
}

// ByRoom returns the campaign that a room leads into, or fault.CodeRoomNotFound.
func (s *Service) ByRoom(room string) (*Campaign, error) {
	snap := s.snapshot.Load()
	for _, e := range snap.campaigns {
		c := e.at(s.clock.Now())
		if c == nil {
			continue
		}
		if _, line := c.Line(room); line || (c.Room() == room && c.AdmitsAtOnce()) {
			return c, nil
		}
	}
	return nil, s.unknown(snap, fault.CodeRoomNotFound)
}

// List returns the campaigns in effect now, by id.
func (s *Service) List() ([]*Campaign, error) {
	snap := s.snapshot.Load()
	if snap.confirmedAt.IsZero() {
		return nil, fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(time.Second)
	}
	list := make([]*Campaign, 0, len(snap.ids))
	for _, id := range snap.ids {
		if c := snap.campaigns[id].at(s.clock.Now()); c != nil {
			list = append(list, c)
		}
	}
	return list, nil
}

// Sites returns the directory of a campaign's sites, or fault.CodeCampaignNotFound.
func (s *Service) Sites(id string) (*Sites, error) {
	snap := s.snapshot.Load()
	if e, ok := snap.campaigns[id]; ok {
		return e.sites, nil
	}
	return nil, s.unknown(snap, fault.CodeCampaignNotFound)
}

// Confirmed returns nil if the snapshot was confirmed recently enough to place holds by it, and
// fault.CodeRulesUnconfirmed otherwise: an instance that was cut off must not admit by rules that have changed.
func (s *Service) Confirmed() error {
	age := s.clock.Real().Sub(s.snapshot.Load().confirmedAt)
	if age > s.within {
		return fault.New(fault.Unavailable, fault.CodeRulesUnconfirmed).After(2 * time.Second)
	}
	return nil
}

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
