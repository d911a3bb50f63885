package identity

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/postgres"
	"jari/internal/token"
)

// Who is on which list is asked at the rush, so it is in the session, with the revision of all lists that it was true at. A
// list that has changed since is asked about once a person, instance and change, and remembered. Every instance looks each
// second which lists have changed; one that couldn't look lately asks Postgres for everybody.

// listBits are how many lists have a bit in a session.
const listBits = 64

// listsKnown is what an instance knows of all lists, replaced whole.
type listsKnown struct {
	at       time.Time // real time, before it was asked
	revision int64
	byName   map[string]listKnown
}

type listKnown struct {
	id      int
	changed int64 // the revision of its last change
}

// memberships is what Postgres says of one person.
type memberships struct {
	revision int64
	ids      []int
}

// bits are those that a session carries.
func (m memberships) bits() (bits uint64) {
	for _, id := range m.ids {
		if id < listBits {
			bits |= 1 << id
		}
	}
	return bits
}

// listMemory is what an instance remembers of lists.
type listMemory struct {
	known atomic.Pointer[listsKnown]
	mu    sync.Mutex
	// people are those who were asked about lately: two generations, of which the older goes when the newer is full.
	people, older map[uuid.UUID]memberships
}

// listsTimeout bounds the question to Postgres: who places a hold waits for it.
const listsTimeout = 5 * time.Second

// listPeople bounds a generation: some 10 MB.
const listPeople = 100_000

func (m *listMemory) get(person uuid.UUID) (memberships, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	got, ok := m.people[person]
	if !ok {
		got, ok = m.older[person]
	}
	return got, ok
}

func (m *listMemory) put(person uuid.UUID, got memberships) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.people == nil || len(m.people) >= listPeople {
		m.people, m.older = make(map[uuid.UUID]memberships), m.people
	}
	if known := m.people[person]; known.revision <= got.revision {
		m.people[person] = got
	}
}

// RefreshLists learns which lists have changed.
func (s *Service) RefreshLists(ctx context.Context) error {
	next := &listsKnown{at: s.clock.Real(), byName: map[string]listKnown{}}
	rows, err := s.pool.Query(ctx, `
		SELECT r.revision, coalesce(l.list, ''), coalesce(l.list_id, 0), coalesce(l.changed, 0) FROM list_revision r LEFT JOIN lists l ON true`)
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("reading which lists there are: %w", err))
	}
	var name string
	var l listKnown
	if _, err := pgx.ForEachRow(rows, []any{&next.revision, &name, &l.id, &l.changed}, func() error {
		if name != "" {
			next.byName[name] = l
		}
		return nil
	}); err != nil {
		return postgres.Unreachable(fmt.Errorf("reading which lists there are: %w", err))
	}
	s.lists.known.Store(next)
	return nil
}

// OnLists returns which of the named lists the session's person is on; those that nobody signed off have nobody on them. What
// was signed off a few seconds ago counts. It asks no store while no list has changed since the session began; otherwise it may
// refuse with store_unavailable.
func (s *Service) OnLists(ctx context.Context, t token.Session, names []string) (on []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	known := s.lists.known.Load()
	if known != nil && s.clock.Real().Sub(known.at) <= s.rules.ListsConfirmed {
		if known.answers(names, t.ListsRevision, true) {
			return known.pick(names, func(id int) bool { return t.Lists&(1<<id) != 0 }), nil
		}
		if m, asked := s.lists.get(t.Person); asked && known.answers(names, m.revision, false) {
			return known.pick(names, m.has), nil
		}
	}
	m, byName, err := s.memberships(ctx, t.Person)
	if err != nil {
		return nil, err
	}
	s.lists.put(t.Person, m)
	for _, name := range names {
		if byName[name] {
			on = append(on, name)
		}
	}
	return on, nil
}

// answers tells whether what was true at a revision still is, for these lists; as bits, or not.
func (k *listsKnown) answers(names []string, revision int64, bits bool) bool {
	if revision > k.revision { // there may be a list that isn't known here yet
		return false
	}
	for _, name := range names {
		if l, ok := k.byName[name]; ok && (l.changed > revision || bits && l.id >= listBits) {
			return false
		}
	}
	return true
}

func (k *listsKnown) pick(names []string, has func(id int) bool) (on []string) {
	for _, name := range names {
		if l, ok := k.byName[name]; ok && has(l.id) {
			on = append(on, name)
		}
	}
	return on
}

func (m memberships) has(id int) bool { return slices.Contains(m.ids, id) }

// ListsOf returns which of the named lists a person is on, by Postgres.
func (s *Service) ListsOf(ctx context.Context, person uuid.UUID, names []string) (on []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	_, byName, err := s.memberships(ctx, person)
	for _, name := range names {
		if byName[name] {
			on = append(on, name)
		}
	}
	return on, err
}

// memberships asks Postgres which lists a person is on, and at which revision that is so, in one snapshot. Under the scheme
// list a number alone is no proof that two lists mean the same person: name and birth date have to be the same too.
func (s *Service) memberships(ctx context.Context, person uuid.UUID) (m memberships, byName map[string]bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, listsTimeout)
	defer cancel()
	var names []string
	if err := s.pool.QueryRow(ctx, `
		WITH mine AS (
			SELECT e.list FROM list_entries e WHERE e.person_id = $1 AND e.ended_at IS NULL
			UNION
			SELECT e.list FROM persons p JOIN list_entries e ON e.lookup = p.lookup
			WHERE p.person_id = $1 AND e.person_id IS NULL AND e.ended_at IS NULL AND (NOT $2 OR e.self_index = p.self_index)
		)
		SELECT revision, ARRAY(SELECT l.list_id FROM mine JOIN lists l USING (list) ORDER BY l.list),
			ARRAY(SELECT l.list FROM mine JOIN lists l USING (list) ORDER BY l.list)
		FROM list_revision`, person, s.rules.Scheme == SchemeList).Scan(&m.revision, &m.ids, &names); err != nil {
		return m, nil, postgres.Unreachable(fmt.Errorf("asking which lists somebody is on: %w", err))
	}
	byName = make(map[string]bool, len(names))
	for _, name := range names {
		byName[name] = true
	}
	return m, byName, nil
}

// keepOnLists ties the entries of a person to them, before what finds them changes.
func (s *Service) keepOnLists(ctx context.Context, tx pgx.Tx, person uuid.UUID) error {
	if _, err := tx.Exec(ctx, `
		UPDATE list_entries e SET person_id = p.person_id FROM persons p
		WHERE p.person_id = $1 AND e.lookup = p.lookup AND e.person_id IS NULL AND (NOT $2 OR e.self_index = p.self_index)`,
		person, s.rules.Scheme == SchemeList); err != nil {
		return postgres.Unreachable(fmt.Errorf("keeping somebody on their lists: %w", err))
	}
	return nil
}
