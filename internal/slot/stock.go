package slot

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/campaign"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// Stock is a slot as administrators see it: also one that is closed, or not released yet.
type Stock struct {
	Place
	Capacity, Booked int
	State            State
}

// stockShown is how many slots one list has.
const stockShown = 1000

// Stock lists the slots of a site that start from one instant on and before another, by start.
func (s *Service) Stock(ctx context.Context, campaignID, site string, from, to time.Time) ([]Stock, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT slot_id, site_id, starts_at, ends_at, cohort, shared_at, capacity, booked, state FROM slots
		WHERE campaign_id = $1 AND site_id = $2 AND starts_at >= $3 AND starts_at < $4 ORDER BY starts_at, cohort LIMIT $5`,
		campaignID, site, from, to, stockShown)
	var list []Stock
	if err == nil {
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (x Stock, err error) {
			var shared *time.Time
			err = row.Scan(&x.ID, &x.Site, &x.StartsAt, &x.EndsAt, &x.Cohort, &shared, &x.Capacity, &x.Booked, &x.State)
			if shared != nil {
				x.SharedAt = *shared
			}
			return x, err
		})
	}
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("listing slots: %w", err))
	}
	return list, nil
}

// Busy is how many have booked a time at a site, over all its slots: some may be kept for a cohort.
type Busy struct {
	StartsAt, EndsAt time.Time
	Booked, Capacity int
}

// Busy lists the times at a site for which somebody has booked, that start from one instant on and before another, by start.
func (s *Service) Busy(ctx context.Context, campaignID, site string, from, to time.Time) ([]Busy, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT starts_at, ends_at, sum(booked)::int, sum(capacity)::int FROM slots
		WHERE campaign_id = $1 AND site_id = $2 AND starts_at >= $3 AND starts_at < $4
		GROUP BY starts_at, ends_at HAVING sum(booked) > 0 ORDER BY starts_at, ends_at`,
		campaignID, site, from, to)
	var list []Busy
	if err == nil {
		list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Busy])
	}
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("listing times: %w", err))
	}
	return list, nil
}

// longest is how long a slot may last.
const longest = 24 * time.Hour

// Create adds one slot. It refuses with invalid_request, site_not_found, or slot_exists. reason is for the audit.
func (s *Service) Create(ctx context.Context, c *campaign.Campaign, p Planned, state State, reason string) (Stock, error) {
	invalid := func(pointer, problem string) error {
		return fault.New(fault.Invalid, fault.CodeInvalidRequest).Field(pointer, problem)
	}
	_, unknown := cohortOf(c, p.Cohort)
	switch length := p.EndsAt.Sub(p.StartsAt); {
	case length <= 0 || length > longest || length%time.Minute != 0 || p.StartsAt.Unix()%60 != 0 || p.StartsAt.Nanosecond() != 0:
		return Stock{}, invalid("/ends_at", "must be whole minutes after starts_at, within a day")
	case unknown != nil:
		return Stock{}, invalid("/cohort", "isn't a wave of this campaign")
	case p.Cohort == "" && !p.SharedAt.IsZero():
		return Stock{}, invalid("/shared_at", "is for slots of a cohort")
	}
	made := Stock{
		Place:    Place{Site: p.Site, StartsAt: p.StartsAt, EndsAt: p.EndsAt, Cohort: p.Cohort, SharedAt: p.SharedAt},
		Capacity: p.Capacity, State: state,
	}
	err := postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := campaign.Lock(ctx, tx, c.ID); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `
			INSERT INTO slots (campaign_id, site_id, starts_at, ends_at, capacity, state, cohort, shared_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING slot_id`,
			c.ID, p.Site, p.StartsAt, p.EndsAt, p.Capacity, string(state), p.Cohort, orNull(p.SharedAt)).Scan(&made.ID)
		switch postgres.Constraint(err) {
		case "slots_campaign_id_site_id_fkey":
			return fault.New(fault.NotFound, fault.CodeSiteNotFound)
		case "slots_one_per_place_and_cohort":
			return fault.New(fault.Conflict, fault.CodeSlotExists)
		}
		if err == nil {
			_, err = tx.Exec(ctx, `UPDATE campaigns SET slots_revision = slots_revision + 1 WHERE campaign_id = $1`, c.ID)
		}
		if err != nil {
			return postgres.Unreachable(fmt.Errorf("adding a slot: %w", err))
		}
		return s.audit.Append(ctx, tx, audit.Entry{
			Act: "slot.create", Subject: c.ID + "/slot/" + FormatID(made.ID), Reason: reason, Details: map[string]any{
				"site": p.Site, "starts_at": p.StartsAt.UTC().Format(time.RFC3339), "capacity": p.Capacity, "state": state, "cohort": p.Cohort,
			},
		})
	})
	return made, err
}
