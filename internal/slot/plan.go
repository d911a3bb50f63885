package slot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/campaign"
	"jari/internal/fault"
	"jari/internal/plan"
	"jari/internal/postgres"
	"jari/internal/staff"
)

// Bulk changes of slots. Whatever they come from, a file, a template or a selection, they are put beside the slots that are
// there in one statement, and the difference is kept in planned_slots. Applying writes that, after comparing with what is there
// then: of slots that are new the unique index says whether they still are.

// The kinds of plans of slots.
const (
	slotsImport   = "slots.import"
	slotsGenerate = "slots.generate"
	slotsChange   = "slots.change"
)

// Kinds are the kinds of plans of slots.
func (s *Service) Kinds() []plan.Kind {
	kinds := make([]plan.Kind, 0, 3)
	for _, name := range []string{slotsImport, slotsGenerate, slotsChange} {
		kinds = append(kinds, plan.Kind{Name: name, Role: staff.Editor, Apply: s.applyPlanned, Discard: discardPlanned})
	}
	return kinds
}

// planned is what applying needs to know besides planned_slots.
type planned struct {
	Rows, Created, Changed int
	// Moved is whether slots appear, or change their time or audience: instances read the directory again then.
	Moved bool
}

// wantedSlot is a slot as a plan wants it.
type wantedSlot struct {
	Line int
	Planned
	State State // empty: as it is, or open where it is new
}

// compare keeps what a query wants of slots, with what they are now and what becomes of them, and sums it up. newState is
// that of new ones for which the query has none. The query's parameters begin at $3.
func (s *Service) compare(
	ctx context.Context, tx pgx.Tx, m *plan.Making, c *campaign.Campaign, newState State, wanted string, arguments ...any,
) error {
	if _, err := tx.Exec(ctx, `
		INSERT INTO planned_slots (plan_id, line, site_id, starts_at, ends_at, capacity, state, cohort, shared_at, outcome,
			slot_id, was_ends_at, was_capacity, was_state, was_shared_at, was_booked)
		SELECT $1, w.line, w.site_id, w.starts_at, w.ends_at, w.capacity, coalesce(w.state, s.state, '`+string(newState)+`'), w.cohort,
			coalesce(w.shared_at, s.shared_at),
			CASE WHEN s.slot_id IS NULL THEN 'created' WHEN w.capacity < s.booked THEN 'rejected'
				WHEN (s.capacity, s.ends_at, s.state, s.shared_at) IS DISTINCT FROM
					(w.capacity, w.ends_at, coalesce(w.state, s.state), coalesce(w.shared_at, s.shared_at)) THEN 'changed'
				ELSE 'unchanged' END,
			s.slot_id, s.ends_at, s.capacity, s.state, s.shared_at, s.booked
		FROM (`+wanted+`) w
		LEFT JOIN slots s ON s.campaign_id = $2 AND s.site_id = w.site_id AND s.starts_at = w.starts_at AND s.cohort = w.cohort`,
		append([]any{m.ID, c.ID}, arguments...)...); err != nil {
		return failed(c.ID, err)
	}
	if err := countPlanned(ctx, tx, c); err != nil {
		return err
	}
	return s.summarise(ctx, tx, m, c)
}

// summarise sums up what is kept of a plan.
func (s *Service) summarise(ctx context.Context, tx pgx.Tx, m *plan.Making, c *campaign.Campaign) error {
	p := planned{}
	places, rejected := 0, 0
	err := tx.QueryRow(ctx, `
		SELECT count(*), count(*) FILTER (WHERE outcome = 'created'), count(*) FILTER (WHERE outcome = 'changed'),
			count(*) FILTER (WHERE outcome = 'unchanged'), count(*) FILTER (WHERE outcome = 'rejected'),
			coalesce(sum(capacity) FILTER (WHERE outcome <> 'rejected'), 0),
			coalesce(sum(was_booked) FILTER (WHERE outcome = 'changed' AND ends_at <> was_ends_at), 0),
			coalesce(bool_or(outcome = 'created' OR outcome = 'changed' AND (ends_at, shared_at) IS DISTINCT FROM (was_ends_at, was_shared_at)), false)
		FROM planned_slots WHERE plan_id = $1`, m.ID).
		Scan(&p.Rows, &p.Created, &p.Changed, &m.Summary.Unchanged, &rejected, &places, &m.Summary.Bookings, &p.Moved)
	if err != nil {
		return failed(c.ID, err)
	}
	if err := s.bound(c, p.Changed); err != nil {
		return err
	}
	m.Summary.Created, m.Summary.Changed, m.Summary.Rejected = p.Created, p.Changed, m.Summary.Rejected+rejected
	m.Summary.More = map[string]int{"places": places}
	if m.Payload, err = json.Marshal(p); err != nil {
		return fmt.Errorf("encoding planned slots: %w", err)
	}
	return showPlanned(ctx, tx, m, c)
}

// bound refuses to change very many slots while people book: they are locked until everything is written.
func (s *Service) bound(c *campaign.Campaign, changed int) error {
	if changed > s.limits.Changed && c.StateAt(s.clock.Now()) == campaign.Open {
		return fault.New(fault.Conflict, fault.CodePlanTooLarge)
	}
	return nil
}

// rowsShown is how many rows of an outcome are read back to be shown.
const rowsShown = 10_000

// showPlanned gives the plan the rows that are worth reading.
func showPlanned(ctx context.Context, tx pgx.Tx, m *plan.Making, c *campaign.Campaign) error {
	for _, outcome := range []plan.Outcome{plan.Rejected, plan.Changed, plan.Created} {
		rows, err := tx.Query(ctx, `
			SELECT line, site_id, starts_at, ends_at, capacity, state, cohort, shared_at, was_ends_at, coalesce(was_capacity, 0),
				coalesce(was_state, ''), was_shared_at, coalesce(was_booked, 0)
			FROM planned_slots WHERE plan_id = $1 AND outcome = $2 ORDER BY line LIMIT $3`, m.ID, string(outcome), rowsShown)
		if err != nil {
			return failed(c.ID, err)
		}
		var line, capacity, wasCapacity, booked int
		var site, state, cohort, wasState string
		var starts, ends time.Time
		var shared, wasEnds, wasShared *time.Time
		if _, err := pgx.ForEachRow(rows, []any{
			&line, &site, &starts, &ends, &capacity, &state, &cohort, &shared, &wasEnds, &wasCapacity, &wasState, &wasShared, &booked,
		}, func() error {
			r := plan.Row{Line: line, Outcome: outcome, Subject: site + " " + starts.In(c.Location).Format("2006-01-02 15:04")}
			if cohort != "" {
				r.Subject += " " + cohort
			}
			var notes []string
			note := func(different bool, format string, args ...any) {
				if different {
					notes = append(notes, fmt.Sprintf(format, args...))
				}
			}
			switch outcome {
			case plan.Created:
				note(true, "capacity %d", capacity)
				note(state != string(Open), "%s", state)
			case plan.Rejected:
				note(true, "%d are booked, and the capacity would be %d", booked, capacity)
			default:
				note(capacity != wasCapacity, "capacity %d → %d", wasCapacity, capacity)
				note(state != wasState, "%s → %s", wasState, state)
				note(wasEnds != nil && !wasEnds.Equal(ends), "ends at %s", ends.In(c.Location).Format("15:04"))
				note(shared != nil && (wasShared == nil || !wasShared.Equal(*shared)), "shared from %s", instant(shared, c))
			}
			r.Note = strings.Join(notes, ", ")
			m.Row(r)
			return nil
		}); err != nil {
			return failed(c.ID, err)
		}
	}
	return nil
}

func instant(at *time.Time, c *campaign.Campaign) string {
	if at == nil {
		return ""
	}
	return at.In(c.Location).Format("2006-01-02 15:04")
}

func failed(campaignID string, err error) error {
	return postgres.Unreachable(fmt.Errorf("planning slots of %s: %w", campaignID, err))
}

var (
	errPlanLost   = errors.New("the rows of the plan aren't there any more")
	errSlotsMoved = errors.New("slots aren't what they were")
)

// moved counts planned slots that aren't any more what they were when the plan was made, or of which more is booked now than
// they would have. $3 says which.
const moved = `
	SELECT count(*) FROM planned_slots p
	LEFT JOIN slots s ON s.campaign_id = $2 AND s.site_id = p.site_id AND s.starts_at = p.starts_at AND s.cohort = p.cohort
	WHERE p.plan_id = $1 AND p.outcome = ANY($3) AND (s.slot_id IS DISTINCT FROM p.slot_id
		OR (s.capacity, s.ends_at, s.state, s.shared_at) IS DISTINCT FROM (p.was_capacity, p.was_ends_at, p.was_state, p.was_shared_at)
		OR s.booked > p.capacity OR p.ends_at <> p.was_ends_at AND s.booked <> p.was_booked)`

// applyPlanned writes what a plan of slots shows. New slots first: nobody waits for them. Those that change are locked last,
// and for as short as can be; in ascending order, like every writer of slots.
func (s *Service) applyPlanned(ctx context.Context, tx pgx.Tx, stored plan.Stored) (func(context.Context), error) {
	id := stored.Campaign
	fail := func(err error) (func(context.Context), error) {
		return nil, postgres.Unreachable(fmt.Errorf("writing planned slots of %s: %w", id, err))
	}
	var p planned
	if err := json.Unmarshal(stored.Payload, &p); err != nil {
		return nil, fmt.Errorf("reading planned slots: %w", err)
	}
	c, err := s.campaigns.Newest(id)
	if err != nil {
		return nil, err
	}
	if err := s.bound(c, p.Changed); err != nil {
		return nil, err
	}
	if err := campaign.Lock(ctx, tx, id); err != nil {
		return nil, err
	}
	if err := postgres.RoomToWork(ctx, tx); err != nil {
		return fail(err)
	}
	rows := 0
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM planned_slots WHERE plan_id = $1`, stored.ID).Scan(&rows); err != nil {
		return fail(err)
	}
	if rows != p.Rows {
		return nil, plan.Outdated(errPlanLost)
	}
	different := func(outcomes ...string) error {
		n := 0
		if err := tx.QueryRow(ctx, moved, stored.ID, id, outcomes).Scan(&n); err != nil {
			return postgres.Unreachable(fmt.Errorf("comparing planned slots of %s: %w", id, err))
		}
		if n > 0 {
			return plan.Outdated(errSlotsMoved)
		}
		return nil
	}
	// All that can be known without a lock.
	if p.Rows > p.Created {
		if err := different("changed", "unchanged"); err != nil {
			return nil, err
		}
	}
	if p.Created > 0 {
		// In the order of the unique index: each of its pages is filled once, which is a fifth of the work.
		created, err := tx.Exec(ctx, `
			INSERT INTO slots (campaign_id, site_id, starts_at, ends_at, capacity, state, cohort, shared_at)
			SELECT $2, site_id, starts_at, ends_at, capacity, state, cohort, shared_at FROM planned_slots
			WHERE plan_id = $1 AND outcome = 'created' ORDER BY site_id, starts_at, cohort`, stored.ID, id)
		switch postgres.Constraint(err) {
		case "slots_campaign_id_site_id_fkey": // its site is gone
			return nil, plan.Outdated(err)
		case "slots_one_per_place_and_cohort": // it is there
			return nil, plan.Outdated(err)
		}
		if err != nil {
			return fail(err)
		}
		if int(created.RowsAffected()) != p.Created {
			return nil, plan.Outdated(errPlanLost)
		}
		stored.Progress(p.Created)
	}
	if p.Moved {
		if _, err := tx.Exec(ctx, `UPDATE campaigns SET slots_revision = slots_revision + 1 WHERE campaign_id = $1`, id); err != nil {
			return fail(err)
		}
	}
	if p.Changed == 0 {
		return nil, nil
	}
	if _, err := tx.Exec(ctx, `
		SELECT 1 FROM slots WHERE slot_id IN (SELECT slot_id FROM planned_slots WHERE plan_id = $1 AND outcome = 'changed')
		ORDER BY slot_id FOR UPDATE`, stored.ID); err != nil {
		return fail(err)
	}
	if err := different("changed"); err != nil {
		return nil, err
	}
	found, err := tx.Query(ctx, `
		UPDATE slots s SET capacity = p.capacity, ends_at = p.ends_at, state = p.state, shared_at = p.shared_at, version = s.version + 1
		FROM planned_slots p WHERE p.plan_id = $1 AND p.outcome = 'changed' AND s.slot_id = p.slot_id
		RETURNING s.slot_id, s.capacity, s.booked, s.state, s.version, (SELECT generation::text FROM store_generation WHERE one_row)`, stored.ID)
	var copies []Copy
	if err == nil {
		copies, err = pgx.CollectRows(found, func(row pgx.CollectableRow) (Copy, error) { return scanCopy(row) })
	}
	if err != nil {
		return fail(err)
	}
	if len(copies) != p.Changed {
		return nil, plan.Outdated(errSlotsMoved)
	}
	return func(ctx context.Context) {
		// Best effort, and of very many none: the reconciler pushes what is missed here within seconds.
		if len(copies) > s.limits.Changed {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := s.Push(ctx, id, copies, nil); err != nil {
			s.log.Warn("Redis wasn't told of changed slots; the reconciler tells it", "slots", len(copies), "error", err)
		}
	}, nil
}

// checksum is that of a request.
func checksum(request []byte) string {
	sum := sha256.Sum256(request)
	return hex.EncodeToString(sum[:])
}

func discardPlanned(ctx context.Context, tx pgx.Tx, plans []uuid.UUID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM planned_slots WHERE plan_id = ANY($1)`, plans); err != nil {
		return postgres.Unreachable(fmt.Errorf("taking planned slots away: %w", err))
	}
	return nil
}
