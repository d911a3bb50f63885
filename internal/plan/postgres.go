package plan

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/postgres"
)

// insert writes a plan with its rows.
func insert(ctx context.Context, tx pgx.Tx, p Plan, m *Making) error {
	source, err := json.Marshal(p.Source)
	if err != nil {
		return fmt.Errorf("encoding a plan: %w", err)
	}
	summary, err := json.Marshal(p.Summary)
	if err != nil {
		return fmt.Errorf("encoding a plan: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		INSERT INTO plans (plan_id, kind, campaign_id, made_by, made_at, expires_at, source, summary, payload, checksum)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		p.ID, p.Kind, p.Campaign, p.MadeBy, p.MadeAt, p.ExpiresAt, string(source), string(summary), m.Payload, p.Checksum); err != nil {
		return postgres.Unreachable(fmt.Errorf("keeping a plan: %w", err))
	}
	slices.SortStableFunc(m.rows, func(a, b Row) int { return cmp.Compare(a.Line, b.Line) })
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"plan_rows"}, []string{"plan_id", "number", "line", "outcome", "subject", "note"},
		pgx.CopyFromSlice(len(m.rows), func(i int) ([]any, error) {
			r := m.rows[i]
			return []any{p.ID, i + 1, r.Line, string(r.Outcome), r.Subject, r.Note}, nil
		})); err != nil {
		return postgres.Unreachable(fmt.Errorf("keeping the rows of a plan: %w", err))
	}
	return nil
}

// plansShown is how many plans are listed.
const plansShown = 100

// List returns the newest plans, of one campaign or of all, and what is being made or applied at this moment.
func (s *Service) List(ctx context.Context, campaign string) (plans []Plan, running []Running, err error) {
	fail := func(err error) ([]Plan, []Running, error) {
		return nil, nil, postgres.Unreachable(fmt.Errorf("listing the plans: %w", err))
	}
	rows, err := s.pool.Query(ctx, `
		SELECT `+planColumns+` FROM plans WHERE $1 IN ('', campaign_id) ORDER BY made_at DESC, plan_id LIMIT $2`, campaign, plansShown)
	if err != nil {
		return fail(err)
	}
	if plans, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Plan, err error) {
		fields, read := p.fields()
		return p, errors.Join(row.Scan(fields...), read())
	}); err != nil {
		return fail(err)
	}
	// A note that nobody renews any more is of an instance that died.
	rows, err = s.pool.Query(ctx, `
		SELECT plan_id, kind, campaign_id, doing, done, updated_at FROM plan_progress
		WHERE $1 IN ('', campaign_id) AND updated_at > $2 ORDER BY updated_at DESC LIMIT $3`, campaign, s.clock.Real().Add(-5*time.Minute), plansShown)
	if err == nil {
		running, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Running])
	}
	if err != nil {
		return fail(err)
	}
	return plans, running, nil
}

// Rows returns rows of a plan after a number: those of one outcome, or all where it is empty; or plan_not_found.
func (s *Service) Rows(ctx context.Context, id uuid.UUID, outcome Outcome, after, most int) ([]Row, error) {
	if _, err := s.Get(ctx, id); err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `
		SELECT number, line, outcome, subject, note FROM plan_rows
		WHERE plan_id = $1 AND $2 IN ('', outcome) AND number > $3 ORDER BY number LIMIT $4`, id, string(outcome), after, most)
	var list []Row
	if err == nil {
		list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Row])
	}
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading the rows of a plan: %w", err))
	}
	return list, nil
}

// over are plans that ended before an instant; those that somebody else takes away at this moment are left to them.
func over(ctx context.Context, tx pgx.Tx, before time.Time) ([]Plan, error) {
	rows, err := tx.Query(ctx, `
		SELECT plan_id, kind FROM plans WHERE expires_at < $1 ORDER BY expires_at LIMIT 100 FOR UPDATE SKIP LOCKED`, before)
	var old []Plan
	if err == nil {
		old, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Plan, err error) {
			err = row.Scan(&p.ID, &p.Kind)
			return p, err
		})
	}
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading which plans are over: %w", err))
	}
	return old, nil
}
