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
	// people are those all of whose sessions from before an instant are over: at the desk they got another phone.
	people       map[uuid.UUID]endedPerson
	peopleSeenTo time.Time
}

type endedPerson struct{ before, until time.Time }

// has tells whether a session was ended: itself, or with all others of its person, or of who acts in it.
func (e *endedSessions) has(t token.Session) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if _, ended := e.until[t.ID]; ended {
		return true
	}
	if len(e.people) == 0 {
		return false
	}
	for _, id := range []uuid.UUID{t.Person, t.Actor} {
		if p, ended := e.people[id]; ended && !t.IssuedAt.After(p.before) {
			return true
		}
	}
	return false
}

func (e *endedSessions) addPeople(now time.Time, ended map[uuid.UUID]endedPerson) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.people == nil {
		e.people = map[uuid.UUID]endedPerson{}
	}
	for id, p := range ended {
		if !p.before.Before(e.people[id].before) {
			e.people[id] = p
		}
	}
	for id, p := range e.people {
		if p.until.Before(now) {
			delete(e.people, id)
		}
	}
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

// endPerson ends all sessions that a person has until now, in which they act or somebody acts for them, with the
// transaction. told is to be called after its commit: this instance knows it then without looking.
func (s *Service) endPerson(ctx context.Context, tx pgx.Tx, id uuid.UUID) (told func(), err error) {
	now := s.clock.Real()
	p := endedPerson{before: now, until: now.Add(s.rules.SessionLifetime)}
	if _, err := tx.Exec(ctx, `
		INSERT INTO ended_people (person_id, before, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT (person_id) DO UPDATE SET before = excluded.before, ended_at = now(), expires_at = excluded.expires_at`,
		id, p.before, p.until); err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("ending a person's sessions: %w", err))
	}
	return func() { s.ended.addPeople(now, map[uuid.UUID]endedPerson{id: p}) }, nil
}

// Watch learns each second of sessions that other instances ended and of lists that have changed, until ctx ends.
func (s *Service) Watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := s.Refresh(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("ended sessions and lists can't be read now", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Refresh learns what other instances ended, and which lists have changed.
func (s *Service) Refresh(ctx context.Context) error {
	if err := s.RefreshEnded(ctx); err != nil {
		return err
	}
	if err := s.refreshEndedPeople(ctx); err != nil {
		return err
	}
	return s.RefreshLists(ctx)
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

// refreshEndedPeople learns whose sessions were ended since the last look.
func (s *Service) refreshEndedPeople(ctx context.Context) error {
	s.ended.mu.RLock()
	since := s.ended.peopleSeenTo.Add(-overlap)
	s.ended.mu.RUnlock()
	rows, err := s.pool.Query(ctx, `
		SELECT person_id, before, ended_at, expires_at FROM ended_people WHERE ended_at > $1 AND expires_at > now()`, since)
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("reading whose sessions were ended: %w", err))
	}
	var id uuid.UUID
	var p endedPerson
	var endedAt, newest time.Time
	people := map[uuid.UUID]endedPerson{}
	if _, err := pgx.ForEachRow(rows, []any{&id, &p.before, &endedAt, &p.until}, func() error {
		people[id] = p
		if endedAt.After(newest) {
			newest = endedAt
		}
		return nil
	}); err != nil {
		return postgres.Unreachable(fmt.Errorf("reading whose sessions were ended: %w", err))
	}
	s.ended.addPeople(s.clock.Real(), people)
	s.ended.mu.Lock()
	defer s.ended.mu.Unlock()
	if newest.After(s.ended.peopleSeenTo) {
		s.ended.peopleSeenTo = newest
	}
	return nil
}
