package slot

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/campaign"
	"jari/internal/plan"
	"jari/internal/postgres"
)

// stagedColumns are those of planned_slots that are known before anything is put beside the slots that are there.
var stagedColumns = []string{
	"plan_id", "line", "site_id", "starts_at", "ends_at", "capacity", "state", "keeps_state", "cohort", "shared_at", "outcome",
}

// stager takes the slots that a plan wants.
type stager struct {
	to       *postgres.Copier
	plan     uuid.UUID
	newState State // of those that are new and say none
}

// put wants a slot. What it returns is to be returned: there is no use in going on.
func (s *stager) put(w *wantedSlot) error {
	if err := s.to.Row(); err != nil {
		return fmt.Errorf("staging a slot: %w", err)
	}
	state := w.State
	if state == "" {
		state = s.newState
	}
	s.to.UUID(s.plan)
	s.to.Int(int32(w.Line)) //nolint:gosec // bounded
	s.to.Text(w.Site)
	s.to.Time(w.StartsAt)
	s.to.Time(w.EndsAt)
	s.to.Int(int32(w.Capacity)) //nolint:gosec // bounded
	s.to.Text(string(state))
	s.to.Bool(w.State == "")
	s.to.Text(w.Cohort)
	if w.SharedAt.IsZero() {
		s.to.Null()
	} else {
		s.to.Time(w.SharedAt)
	}
	s.to.Text(string(plan.Created))
	return nil
}

// stage keeps the slots that give wants as ones to be created, and corrects that for those that are there. dropped are lines
// that must not count after all, once all were read.
func (s *Service) stage(
	ctx context.Context, tx pgx.Tx, m *plan.Making, c *campaign.Campaign, newState State, give func(to *stager) error, dropped func() []int32,
) error {
	if err := postgres.RoomToWork(ctx, tx); err != nil {
		return failed(c.ID, err)
	}
	if _, err := postgres.CopyIn(ctx, tx.Conn(), "planned_slots", stagedColumns, func(to *postgres.Copier) error {
		return give(&stager{to: to, plan: m.ID, newState: newState})
	}); err != nil {
		return err
	}
	if lines := dropped(); len(lines) > 0 {
		if _, err := tx.Exec(ctx, `DELETE FROM planned_slots WHERE plan_id = $1 AND line = ANY($2)`, m.ID, lines); err != nil {
			return failed(c.ID, err)
		}
	}
	if err := countPlanned(ctx, tx, c); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		UPDATE planned_slots p SET state = CASE WHEN p.keeps_state THEN s.state ELSE p.state END, shared_at = coalesce(p.shared_at, s.shared_at),
			outcome = CASE WHEN p.capacity < s.booked THEN 'rejected'
				WHEN (s.capacity, s.ends_at, s.shared_at) IS DISTINCT FROM (p.capacity, p.ends_at, coalesce(p.shared_at, s.shared_at))
					OR NOT p.keeps_state AND p.state <> s.state THEN 'changed'
				ELSE 'unchanged' END,
			slot_id = s.slot_id, was_ends_at = s.ends_at, was_capacity = s.capacity, was_state = s.state, was_shared_at = s.shared_at,
			was_booked = s.booked
		FROM slots s
		WHERE p.plan_id = $1 AND s.campaign_id = $2 AND s.site_id = p.site_id AND s.starts_at = p.starts_at AND s.cohort = p.cohort`,
		m.ID, c.ID); err != nil {
		return failed(c.ID, err)
	}
	return s.summarise(ctx, tx, m, c)
}

// countPlanned gives Postgres statistics: without them it takes a new table for a small one, and compares every slot with
// every other.
func countPlanned(ctx context.Context, tx pgx.Tx, c *campaign.Campaign) error {
	if _, err := tx.Exec(ctx, `ANALYZE planned_slots (plan_id, outcome, site_id, starts_at, slot_id)`); err != nil {
		return failed(c.ID, err)
	}
	return nil
}
