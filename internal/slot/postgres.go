package slot

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/postgres"
)

// selectCopies reads slots as copies, in the order of scanCopy; a condition follows.
const selectCopies = `
	SELECT slot_id, capacity, booked, state, version, (SELECT generation::text FROM store_generation WHERE one_row) FROM slots WHERE `

func scanCopy(row pgx.Row) (c Copy, err error) {
	err = row.Scan(&c.Slot, &c.Capacity, &c.Booked, &c.State, &c.Version, &c.Generation)
	return c, err
}

// loadCopies reads the rows of slots as copies.
func loadCopies(ctx context.Context, pool *pgxpool.Pool, slots []int64) ([]Copy, error) {
	rows, err := pool.Query(ctx, selectCopies+`slot_id = ANY($1)`, slots)
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading slots: %w", err))
	}
	copies, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Copy, error) { return scanCopy(row) })
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading slots: %w", err))
	}
	return copies, nil
}

// Planned is a slot that a campaign's files describe.
type Planned struct {
	Site             string
	StartsAt, EndsAt time.Time
	Capacity         int
	// Cohort is the wave whose people it is kept for, until SharedAt; empty for everybody.
	Cohort   string
	SharedAt time.Time // zero for good
}

// Saved says what saving planned slots did.
type Saved struct {
	Created, Changed, Unchanged int
	// TooFull are slots that have more booked than the plan's capacity; they stay as they are.
	TooFull []TooFull
	// Unnamed are open slots, at the sites of the plan, that the plan doesn't name and that stay as they
	// are; UnnamedBooked is how many are booked in them.
	Unnamed, UnnamedBooked int
}

// TooFull is a slot whose capacity can't be lowered as planned.
type TooFull struct {
	Site             string
	StartsAt         time.Time
	Booked, Capacity int // Capacity is the one that was planned
}

// Save inserts planned slots and changes the capacity of those that exist, in one transaction with whatever else tx
// does. What is booked stays booked: a capacity below it isn't applied but reported. Slots that the plan doesn't name
// stay. The caller has locked the campaign, and reports TooFull as a refusal or not, as it wants.
func Save(ctx context.Context, tx pgx.Tx, campaign string, planned []Planned) (Saved, error) {
	fail := func(err error) (Saved, error) {
		return Saved{}, postgres.Unreachable(fmt.Errorf("writing the slots of %s: %w", campaign, err))
	}
	if _, err := tx.Exec(ctx, `
		CREATE TEMPORARY TABLE published_slots (
			site_id text, starts_at timestamptz, ends_at timestamptz, capacity integer, cohort text, shared_at timestamptz,
			PRIMARY KEY (site_id, starts_at, cohort)
		) ON COMMIT DROP`); err != nil {
		return fail(err)
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"published_slots"}, []string{"site_id", "starts_at", "ends_at", "capacity", "cohort", "shared_at"},
		pgx.CopyFromSlice(len(planned), func(i int) ([]any, error) {
			p := planned[i]
			return []any{p.Site, p.StartsAt, p.EndsAt, p.Capacity, p.Cohort, orNull(p.SharedAt)}, nil
		}))
	if err != nil {
		return fail(err)
	}
	// The key, and statistics: without them the planner takes a new table for a small one, and compares every slot with
	// every other.
	if _, err := tx.Exec(ctx, `ANALYZE published_slots`); err != nil {
		return fail(err)
	}
	// Lock what will change, and nothing else: confirms of the other slots go on. In ascending order, like every writer of
	// slots, before reading how much of it is booked.
	if _, err := tx.Exec(ctx, `
		SELECT 1 FROM slots s WHERE s.campaign_id = $1
		AND EXISTS (
			SELECT 1 FROM published_slots p WHERE p.site_id = s.site_id AND p.starts_at = s.starts_at AND p.cohort = s.cohort
			AND (s.capacity, s.ends_at, s.shared_at) IS DISTINCT FROM (p.capacity, p.ends_at, p.shared_at))
		ORDER BY s.slot_id FOR UPDATE`, campaign); err != nil {
		return fail(err)
	}
	rows, err := tx.Query(ctx, `
		SELECT s.site_id, s.starts_at, s.booked, p.capacity
		FROM slots s JOIN published_slots p USING (site_id, starts_at, cohort)
		WHERE s.campaign_id = $1 AND p.capacity < s.booked ORDER BY s.slot_id`, campaign)
	if err != nil {
		return fail(err)
	}
	var saved Saved
	saved.TooFull, err = pgx.CollectRows(rows, pgx.RowToStructByPos[TooFull])
	if err != nil {
		return fail(err)
	}
	changed, err := tx.Exec(ctx, `
		UPDATE slots s SET capacity = p.capacity, ends_at = p.ends_at, shared_at = p.shared_at, version = s.version + 1
		FROM published_slots p
		WHERE s.campaign_id = $1 AND s.site_id = p.site_id AND s.starts_at = p.starts_at AND s.cohort = p.cohort
		AND s.booked <= p.capacity AND (s.capacity, s.ends_at, s.shared_at) IS DISTINCT FROM (p.capacity, p.ends_at, p.shared_at)`, campaign)
	if err != nil {
		return fail(err)
	}
	created, err := tx.Exec(ctx, `
		INSERT INTO slots (campaign_id, site_id, starts_at, ends_at, capacity, cohort, shared_at)
		SELECT $1, site_id, starts_at, ends_at, capacity, cohort, shared_at FROM published_slots ORDER BY starts_at, site_id, cohort
		ON CONFLICT (campaign_id, site_id, starts_at, cohort) DO NOTHING`, campaign)
	if err != nil {
		return fail(err)
	}
	if _, err := tx.Exec(ctx, `
		UPDATE campaigns SET slots_revision = slots_revision + 1 WHERE campaign_id = $1`, campaign); err != nil {
		return fail(err)
	}
	if err := tx.QueryRow(ctx, `
		SELECT count(*), coalesce(sum(booked), 0) FROM slots s
		WHERE s.campaign_id = $1 AND s.state = 'open' AND s.site_id IN (SELECT site_id FROM published_slots)
		AND NOT EXISTS (SELECT 1 FROM published_slots p WHERE p.site_id = s.site_id AND p.starts_at = s.starts_at AND p.cohort = s.cohort)`, campaign).
		Scan(&saved.Unnamed, &saved.UnnamedBooked); err != nil {
		return fail(err)
	}
	saved.Created, saved.Changed = int(created.RowsAffected()), int(changed.RowsAffected())
	saved.Unchanged = len(planned) - saved.Created - saved.Changed - len(saved.TooFull)
	return saved, nil
}

// orNull is an instant as a column has it that may be empty.
func orNull(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}
