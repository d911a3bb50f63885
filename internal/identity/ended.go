package identity

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/postgres"
	"jari/internal/token"
)

// endedSessions are the sessions that were ended before they expired. Every instance knows them within two seconds;
// there are few, because ending one is a person's deliberate act.
type endedSessions struct {
	mu sync.RWMutex
	// until is when each would have expired, after which it need not be known any more.
	until map[uuid.UUID]time.Time
	// seenTo is the newest ended_at that was loaded, by Postgres's clock.
	seenTo time.Time
}

func (e *endedSessions) has(id uuid.UUID) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	_, ended := e.until[id]
	return ended
}

func (e *endedSessions) add(now time.Time, until map[uuid.UUID]time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.until == nil {
		e.until = map[uuid.UUID]time.Time{}
	}
	for id, expires := range until {
		e.until[id] = expires
	}
	for id, expires := range e.until {
		if expires.Before(now) {
			delete(e.until, id)
		}
	}
}

// End ends a session on all instances.
func (s *Service) End(ctx context.Context, t token.Session) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO ended_sessions (session_id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING`, t.ID, t.ExpiresAt)
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("ending a session: %w", err))
	}
	s.ended.add(s.clock.Real(), map[uuid.UUID]time.Time{t.ID: t.ExpiresAt})
	return nil
}

// Watch learns of sessions that other instances ended, each second until ctx ends.
func (s *Service) Watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := s.RefreshEnded(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("ended sessions can't be read now", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// overlap is how far each look reaches back before the newest row seen: a transaction may become visible after one
// that began later.
const overlap = 10 * time.Second

// RefreshEnded learns of sessions that were ended since the last look.
func (s *Service) RefreshEnded(ctx context.Context) error {
	s.ended.mu.RLock()
	since := s.ended.seenTo.Add(-overlap)
	s.ended.mu.RUnlock()
	rows, err := s.pool.Query(ctx, `
		SELECT session_id, ended_at, expires_at FROM ended_sessions WHERE ended_at > $1 AND expires_at > now()`, since)
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("reading ended sessions: %w", err))
	}
	var id uuid.UUID
	var endedAt, expires, newest time.Time
	until := map[uuid.UUID]time.Time{}
	if _, err := pgx.ForEachRow(rows, []any{&id, &endedAt, &expires}, func() error {
		until[id] = expires
		if endedAt.After(newest) {
			newest = endedAt
		}
		return nil
	}); err != nil {
		return postgres.Unreachable(fmt.Errorf("reading ended sessions: %w", err))
	}
	s.ended.add(s.clock.Real(), until)
	s.ended.mu.Lock()
	defer s.ended.mu.Unlock()
	if newest.After(s.ended.seenTo) {
		s.ended.seenTo = newest
	}
	return nil
}
