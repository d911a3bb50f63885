package jaritest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"jari/internal/httpapi"
)

// Slots are those of a site of the campaign on a day, as the public sees them.
func (s *Server) Slots(t testing.TB, site, day string) (on []PublicSlot) {
	t.Helper()
	var all httpapi.SiteSlots
	s.Do(t, "GET", s.Path("/sites/"+site+"/slots"), nil).Want(t, 200).Into(t, &all)
	for _, x := range all.Slots {
		if x.StartsAt.Format("2006-01-02") == day {
			on = append(on, PublicSlot{ID: x.SlotId, Remaining: x.Remaining})
		}
	}
	if len(on) == 0 {
		t.Fatalf("site %s has no slots on %s", site, day)
	}
	return on
}

// PublicSlot is a slot with what remains of it, at most two seconds ago.
type PublicSlot struct {
	ID        string
	Remaining int
}

// Slot is the id of the first slot of a site on a day.
func (s *Server) Slot(t testing.TB, site, day string) string {
	t.Helper()
	return s.Slots(t, site, day)[0].ID
}

// Row is what Postgres says of a slot: what is true.
func (s *Server) Row(t testing.TB, slot string) (capacity, booked int) {
	t.Helper()
	err := s.Pool.QueryRow(t.Context(), `SELECT capacity, booked FROM slots WHERE slot_id = $1::text::bigint`, slot).
		Scan(&capacity, &booked)
	if err != nil {
		t.Fatal(err)
	}
	return capacity, booked
}

// CheckBooks fails the test unless every slot has as many active bookings as it says, at most its capacity, and nobody
// has two.
func (s *Server) CheckBooks(t testing.TB) {
	t.Helper()
	rows, err := s.Pool.Query(t.Context(), `
		SELECT 'slot ' || slot_id || ' counts ' || booked || ' and has ' || n || ' of ' || capacity FROM slots
		JOIN LATERAL (SELECT count(*) AS n FROM bookings b WHERE b.slot_id = slots.slot_id AND status = 'active') c ON true
		WHERE n <> booked OR booked > capacity
		UNION ALL
		SELECT 'a person has ' || count(*) || ' bookings' FROM bookings WHERE status = 'active'
		GROUP BY campaign_id, person_id HAVING count(*) > 1`)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrong {
		t.Error(w)
	}
}

// State is what both stores hold.
type State map[string]string

const (
	inRedis = "redis " // before the name of a key: a hash of its value
	until   = "until " // before the name of a key: the instant at which it is forgotten, if it is
)

// State is what both stores hold now: each table of ours by the number and a hash of its rows, the jobs that requests
// leave behind, and the keys of Redis.
func (s *Server) State(t testing.TB) State {
	t.Helper()
	rows, err := s.Pool.Query(t.Context(), s.stateQuery(t))
	if err != nil {
		t.Fatal(err)
	}
	state := State{}
	var table, content string
	if _, err := pgx.ForEachRow(rows, []any{&table, &content}, func() error {
		state[table] = content
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	found, err := s.Redis.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	// Copies of slots follow Postgres by themselves, and say what it says. That somebody asked is counted also when they are
	// refused.
	found = slices.DeleteFunc(found, func(key string) bool {
		return strings.HasPrefix(key, "rate:") || strings.HasPrefix(key, "{pulse}") || strings.Contains(key, "}:copy:") || strings.HasSuffix(key, "}:changed")
	})
	pipe := s.Redis.Pipeline()
	values, lives := make([]*goredis.StringCmd, len(found)), make([]*goredis.DurationCmd, len(found))
	for i, key := range found {
		values[i], lives[i] = pipe.Dump(t.Context(), key), pipe.PTTL(t.Context(), key)
	}
	asked := time.Now()
	if _, err := pipe.Exec(t.Context()); err != nil && !errors.Is(err, goredis.Nil) {
		t.Fatal(err)
	}
	for i, key := range found {
		if values[i].Val() == "" {
			continue // it expired in between
		}
		state[inRedis+key] = fmt.Sprintf("%x", sha256.Sum256([]byte(values[i].Val())))
		if life := lives[i].Val(); life > 0 {
			state[until+key] = asked.Add(life).Format(time.RFC3339Nano)
		}
	}
	return state
}

// stateQuery asks for all tables at once. The tables stay the same while a test runs.
func (s *Server) stateQuery(t testing.TB) string {
	t.Helper()
	if s.askState != "" {
		return s.askState
	}
	rows, err := s.Pool.Query(t.Context(), `
		SELECT tablename FROM pg_tables WHERE schemaname = 'public'
		AND tablename NOT IN ('leases', 'slot_changes_pushed', 'reminder_days', 'funnel_hours', 'audit_chain', 'audit_unchained', 'rooms', 'room_servings') -- those are the instance's own business
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	// The job that tidies up is made by the clock and not by a request.
	parts := []string{`SELECT 'jobs', count(*)::text FROM river.river_job WHERE kind <> 'forget'`}
	for _, table := range tables {
		parts = append(parts, `SELECT '`+table+`', count(*) || ' rows ' || coalesce(md5(string_agg(x::text, E'\n' ORDER BY x::text)), '') FROM `+
			pgx.Identifier{table}.Sanitize()+` x`)
	}
	s.askState = strings.Join(parts, "\nUNION ALL\n")
	return s.askState
}

// Changed names what differs between two states. A key of Redis whose time was up meanwhile is none that changed.
func (before State) Changed(after State) []string {
	var changed []string
	differs := func(name string) {
		changed = append(changed, fmt.Sprintf("%s: %.200s → %.200s", name, before[name], after[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if before[name] != after[name] && !strings.HasPrefix(name, until) {
			differs(name)
		}
	}
	now := time.Now()
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, is := after[name]; is || !strings.HasPrefix(name, inRedis) {
			continue
		}
		end, err := time.Parse(time.RFC3339Nano, before[until+strings.TrimPrefix(name, inRedis)])
		if err != nil || now.Before(end) {
			differs(name)
		}
	}
	return changed
}

// Settle waits until no message is on its way, so that what changes afterwards was changed by a request.
func (s *Server) Settle(t testing.TB) {
	t.Helper()
	Eventually(t, 20*time.Second, "every message is settled", func() bool {
		var open int
		if err := s.Pool.QueryRow(t.Context(), `
			SELECT (SELECT count(*) FROM messages WHERE settled_at IS NULL)
				+ (SELECT count(*) FROM river.river_job WHERE finalized_at IS NULL)`).Scan(&open); err != nil {
			t.Fatal(err)
		}
		return open == 0
	})
}
