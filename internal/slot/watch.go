package slot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/internal/campaign"
	"jari/internal/clock"
	"jari/internal/postgres"
)

// What remains is kept in memory from three sources. Redis tells which slots changed lately, and what it knows of them.
// The instance's own flushes tell what they wrote. And all rows are read from Postgres again, slowly and steadily, so that
// nothing that was missed stays wrong.

// Watch reloads the directories of campaigns whose slots changed, each second, and keeps what remains current, until ctx
// ends.
func (s *Service) Watch(ctx context.Context) {
	var watches sync.WaitGroup
	defer watches.Wait()
	for _, w := range []struct {
		every       time.Duration
		do          func(context.Context) error
		fails, ends string
	}{
		{
			time.Second, s.Refresh,
			"the directory of slots can't be reloaded; the one before stays", "the directory of slots is current again",
		},
		{
			followEvery, s.follow,
			"live holds can't be followed; documents go on with what is known", "live holds are followed again",
		},
		{
			followEvery, s.surveyDue,
			"slots can't be read again; documents go on with what is known", "slots are read again",
		},
	} {
		watches.Go(func() { s.watch(ctx, w.every, w.do, w.fails, w.ends) })
	}
}

// watch does something again and again, and tells when it begins to fail and when it works again.
func (s *Service) watch(ctx context.Context, every time.Duration, do func(context.Context) error, fails, ends string) {
	failing := false
	clock.Every(ctx, every, func() {
		err := do(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			s.log.Warn(fails, "error", err)
		case err == nil && failing:
			s.log.Info(ends)
		}
		failing = err != nil
	})
}

// Refresh loads campaigns that are new or whose slots changed since they were loaded, and takes notice of new versions.
func (s *Service) Refresh(ctx context.Context) error {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	campaigns, err := s.campaigns.List()
	if err != nil {
		return err
	}
	old := *s.shelves.Load()
	next := make(map[string]*shelf, len(campaigns))
	for _, c := range campaigns {
		sh := old[c.ID]
		if sh == nil {
			sh = newShelf(c.ID)
		}
		next[c.ID] = sh
	}
	s.shelves.Store(&next)
	for id, sh := range old {
		if next[id] == nil {
			sh.drop()
		}
	}
	for _, c := range campaigns {
		if err := s.refresh(ctx, next[c.ID], c); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) refresh(ctx context.Context, sh *shelf, c *campaign.Campaign) error {
	sites, err := s.campaigns.Sites(c.ID)
	if err != nil {
		return err
	}
	b := sh.board.Load()
	if b == nil || b.directory.revision != sites.Revision {
		next, generation, err := s.loadBoard(ctx, c, sites)
		if err != nil {
			return err
		}
		sh.replace(next, generation)
		return nil
	}
	if b.campaign != c {
		sh.mu.Lock()
		sh.board.Store(b.in(c))
		sh.mu.Unlock()
	}
	return nil
}

// drop forgets a campaign that isn't published any more: its documents end.
func (sh *shelf) drop() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.board.Store(nil)
	clear(sh.due)
}

// loadBoard reads all slots of a campaign, row by row.
func (s *Service) loadBoard(ctx context.Context, c *campaign.Campaign, sites *campaign.Sites) (*board, string, error) {
	fail := func(err error) (*board, string, error) {
		return nil, "", postgres.Unreachable(fmt.Errorf("reading the slots of %s: %w", c.ID, err))
	}
	var generation string
	if err := s.pool.QueryRow(ctx, `SELECT generation::text FROM store_generation`).Scan(&generation); err != nil {
		return fail(err)
	}
	found, err := s.pool.Query(ctx, `
		SELECT slot_id, site_id, starts_at, ends_at, cohort, shared_at, capacity, booked, state = 'open', version
		FROM slots WHERE campaign_id = $1 ORDER BY slot_id`, c.ID)
	if err != nil {
		return fail(err)
	}
	d := newDirectory(sites.Revision)
	var rows []row
	var p Place
	var r row
	var shared *time.Time
	if _, err := pgx.ForEachRow(found, []any{
		&p.ID, &p.Site, &p.StartsAt, &p.EndsAt, &p.Cohort, &shared, &r.capacity, &r.booked, &r.open, &r.version,
	}, func() error {
		p.SharedAt = time.Time{}
		if shared != nil {
			p.SharedAt = *shared
		}
		d.add(p)
		rows = append(rows, r)
		return nil
	}); err != nil {
		return fail(err)
	}
	d.finish()
	return newBoard(c, sites, d, rows), generation, nil
}

// CatchUp brings everything that is kept in memory up to date now. By itself an instance does so within half a second for
// what went through Redis, a second for what was published, and a minute for what else was changed in Postgres.
func (s *Service) CatchUp(ctx context.Context) error {
	err := s.Refresh(ctx)
	for _, sh := range s.loaded() {
		s.surveying.Lock()
		err = errors.Join(err, s.surveyAll(ctx, sh))
		s.surveying.Unlock()
	}
	return errors.Join(err, s.follow(ctx))
}

// loaded are the shelves with a board.
func (s *Service) loaded() (loaded []*shelf) {
	for _, sh := range *s.shelves.Load() {
		if sh.board.Load() != nil {
			loaded = append(loaded, sh)
		}
	}
	return loaded
}
