package slot_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/internal/postgres"
)

// siteKey is what refuses a slot without a site, and taking a site away from under its slots.
const siteKey = "slots_campaign_id_site_id_fkey"

const addSlots = `
	INSERT INTO slots (campaign_id, site_id, starts_at, ends_at, capacity)
	SELECT 'night', site, at, at + interval '1 hour', 1 FROM unnest($1::text[]) site, generate_series('2021-07-30 09:00+09'::timestamptz,
		'2021-07-30 18:00+09', interval '1 hour') at`

const (
	addSite  = `INSERT INTO sites (campaign_id, site_id, region, name, address) VALUES ('night', 'bare', 'seoul', '빈 곳', '주소 4')`
	dropSite = `DELETE FROM sites WHERE site_id = 'bare'`
)

func TestASlotHasASiteAndKeepsIt(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	for what, c := range map[string]struct {
		sql  string
		args []any
	}{
		"slots at a site that isn't there": {addSlots, []any{[]string{"here", "nowhere", "near"}}},
		"another campaign's site": {`INSERT INTO slots (campaign_id, site_id, starts_at, ends_at, capacity)
			VALUES ('another', 'here', now(), now() + interval '1 hour', 1)`, nil},
		"a slot that moves to another site":       {`UPDATE slots SET site_id = 'far' WHERE site_id = 'here'`, nil},
		"a slot that moves to another campaign":   {`UPDATE slots SET campaign_id = 'another' WHERE site_id = 'here'`, nil},
		"a site that goes":                        {`DELETE FROM sites WHERE site_id = 'here'`, nil},
		"all sites":                               {`DELETE FROM sites`, nil},
		"a site that takes another name":          {`UPDATE sites SET site_id = 'there' WHERE site_id = 'here'`, nil},
		"a site that goes while others stay":      {`DELETE FROM sites WHERE site_id <> 'far'`, nil},
		"sites that exchange names with nobody's": {`UPDATE sites SET site_id = site_id || '2'`, nil},
	} {
		if _, err := h.pool.Exec(t.Context(), c.sql, c.args...); postgres.Constraint(err) != siteKey {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, sql := range map[string]string{
		"an UPDATE that says the site again": `UPDATE slots SET site_id = site_id, capacity = capacity + 1`,
		"a site's other columns":             `UPDATE sites SET site_id = site_id, name = name || '!'`,
	} {
		if _, err := h.pool.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, sql := range []string{addSite, dropSite} {
		if _, err := h.pool.Exec(t.Context(), sql); err != nil {
			t.Errorf("a site without slots: %v", err)
		}
	}
}

// Whoever adds slots to a site and whoever takes it away at the same moment wait for each other, and one of them is refused.
func TestASiteGoesOrGetsSlotsAndNeverBoth(t *testing.T) {
	t.Parallel()
	add := func(tx pgx.Tx, t *testing.T) error {
		_, err := tx.Exec(t.Context(), addSlots, []string{"here", "bare"})
		return err
	}
	drop := func(tx pgx.Tx, t *testing.T) error {
		_, err := tx.Exec(t.Context(), dropSite)
		return err
	}
	for what, c := range map[string]struct {
		first, second func(pgx.Tx, *testing.T) error
	}{
		"slots first":          {add, drop},
		"taking it away first": {drop, add},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := setup(t, 1)
			if _, err := h.pool.Exec(t.Context(), addSite); err != nil {
				t.Fatal(err)
			}
			one, err := h.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer one.Rollback(t.Context()) //nolint:errcheck // committed below
			if err := c.first(one, t); err != nil {
				t.Fatal(err)
			}
			refused := make(chan error, 1)
			go func() {
				refused <- postgres.InTx(t.Context(), h.pool, func(tx pgx.Tx) error { return c.second(tx, t) })
			}()
			waiting := func() (n int) {
				if err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
					WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n); err != nil {
					t.Fatal(err)
				}
				return n
			}
			for deadline := time.Now().Add(time.Minute); waiting() == 0; {
				if time.Now().After(deadline) {
					t.Fatal("nobody waits")
				}
				select {
				case err := <-refused:
					t.Fatalf("the second didn't wait: %v", err)
				case <-time.After(10 * time.Millisecond):
				}
			}
			if err := one.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-refused; postgres.Constraint(err) != siteKey {
				t.Errorf("the second: %v", err)
			}
		})
	}
}
