package slot

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/internal/postgres"
)

const (
	// surveyEvery is within which time all rows of a campaign are read again.
	surveyEvery = time.Minute
	// A survey goes in steps of a hundredth of the rows, but not of less than leastSurveyed: no query is long, and the load
	// is even.
	leastSurveyed = 2_000
	// surveyPause is the least time between two surveys at once, which copies of another generation ask for.
	surveyPause = 10 * time.Second
)

// survey is how far the rows of a shelf were read again. It is guarded by Service.surveying, but for wanted.
type survey struct {
	next   int       // position
	due    time.Time // when the next step is
	whole  time.Time // when all were read at once
	wanted atomic.Bool
}

// surveyDue goes a step on in the survey of each campaign whose next step is due.
func (s *Service) surveyDue(ctx context.Context) error {
	var failed error
	for _, sh := range s.loaded() {
		failed = errors.Join(failed, s.surveyIfDue(ctx, sh))
	}
	return failed
}

func (s *Service) surveyIfDue(ctx context.Context, sh *shelf) error {
	s.surveying.Lock()
	defer s.surveying.Unlock()
	now := s.clock.Real()
	switch sv := &sh.survey; {
	case sv.wanted.Load() && now.Sub(sv.whole) >= surveyPause:
		return s.surveyAll(ctx, sh)
	case sv.due.IsZero():
		sv.due = now.Add(surveyEvery) // it was read a moment ago
	case !now.Before(sv.due):
		return s.surveyStep(ctx, sh)
	}
	return nil
}

// surveyAll reads all rows of a campaign at once.
func (s *Service) surveyAll(ctx context.Context, sh *shelf) error {
	sv, b := &sh.survey, sh.board.Load()
	if b == nil {
		return nil
	}
	sv.wanted.Store(false)
	for first := 0; first < b.directory.Len(); {
		next, restored, err := s.reread(ctx, sh, b.directory, first)
		if err != nil {
			sv.wanted.Store(true)
			return err
		}
		if first = next; restored {
			first = 0
		}
	}
	sv.whole = s.clock.Real()
	return nil
}

// surveyStep reads the next rows of a campaign.
func (s *Service) surveyStep(ctx context.Context, sh *shelf) error {
	sv, b := &sh.survey, sh.board.Load()
	if b == nil || b.directory.Len() == 0 {
		return nil
	}
	first := sv.next
	if first >= b.directory.Len() {
		first = 0
	}
	next, restored, err := s.reread(ctx, sh, b.directory, first)
	if err != nil {
		return err
	}
	if sv.next = next; restored {
		sv.wanted.Store(true)
	}
	sv.due = s.clock.Real().Add(surveyEvery * time.Duration(next-first) / time.Duration(b.directory.Len()))
	return nil
}

// reread reads the rows of some slots again, those at the positions from first on, and returns where the next begin.
func (s *Service) reread(ctx context.Context, sh *shelf, d *Directory, first int) (next int, restored bool, err error) {
	next = min(d.Len(), first+max(leastSurveyed, d.Len()/100))
	var generation string
	rows := make([]Copy, 0, next-first)
	batch := &pgx.Batch{}
	batch.Queue(`SELECT generation::text FROM store_generation`).QueryRow(func(row pgx.Row) error {
		return row.Scan(&generation)
	})
	// By where they lie, and not by name: the range is one stretch of the index.
	batch.Queue(`
		SELECT slot_id, capacity, booked, state, version FROM slots
		WHERE slot_id BETWEEN $1 AND $2 AND campaign_id = $3 ORDER BY slot_id`,
		d.records[first].id, d.records[next-1].id, sh.id).Query(func(found pgx.Rows) error {
		var c Copy
		_, err := pgx.ForEachRow(found, []any{&c.Slot, &c.Capacity, &c.Booked, &c.State, &c.Version}, func() error {
			rows = append(rows, c)
			return nil
		})
		return err
	})
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return first, false, postgres.Unreachable(fmt.Errorf("reading the slots of %s again: %w", sh.id, err))
	}
	return next, sh.renew(d, first, rows, generation), nil
}
