package pulse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/postgres"
)

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.campaign, o.campaign), p.hour.Compare(o.hour), cmp.Compare(p.step, o.step))
}

// write adds entries to their rows. They are sorted, so that instances which write at the same time wait for each other in
// one order.
func write(ctx context.Context, pool *pgxpool.Pool, entries []entry) error {
	return postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for _, e := range entries {
			batch.Queue(`INSERT INTO funnel_hours (campaign_id, hour, step) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
				e.campaign, e.hour, string(e.step))
		}
		had := make([]entry, len(entries))
		for i, e := range entries {
			batch.Queue(`
				SELECT tried, persons, phones, blocks FROM funnel_hours
				WHERE campaign_id = $1 AND hour = $2 AND step = $3 FOR UPDATE`, e.campaign, e.hour, string(e.step)).
				QueryRow(func(row pgx.Row) error {
					return row.Scan(&had[i].tried, &had[i].persons, &had[i].phones, &had[i].blocks)
				})
		}
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return postgres.Unreachable(fmt.Errorf("reading the funnel: %w", err))
		}
		batch = &pgx.Batch{}
		for i, e := range entries {
			had[i].add(entry{tried: e.tried, persons: e.persons, phones: e.phones, blocks: e.blocks})
			// A sketch that nothing was added to stays where it lies.
			batch.Queue(`
				UPDATE funnel_hours SET requests = requests + $4, done = done + $5, tried = coalesce($6, tried),
					persons = coalesce($7, persons), phones = coalesce($8, phones), blocks = coalesce($9, blocks)
				WHERE campaign_id = $1 AND hour = $2 AND step = $3`,
				e.campaign, e.hour, string(e.step), e.requests, e.done, grownBy(e.tried, had[i].tried),
				grownBy(e.persons, had[i].persons), grownBy(e.phones, had[i].phones), grownBy(e.blocks, had[i].blocks))
		}
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return postgres.Unreachable(fmt.Errorf("writing the funnel: %w", err))
		}
		return nil
	})
}

// grownBy is what a sketch is now, or nil if nothing was to be added.
func grownBy(by, now counted) []byte {
	if by == nil {
		return nil
	}
	return slices.Clone(now)
}

// read has the rows of a campaign, and of what belongs to none.
func read(ctx context.Context, pool *pgxpool.Pool, campaign string, from, to time.Time) ([]entry, error) {
	rows, err := pool.Query(ctx, `
		SELECT campaign_id, hour, step, requests, done, tried, persons, phones, blocks FROM funnel_hours
		WHERE campaign_id IN ('', $1) AND hour >= $2 AND hour < $3`, campaign, from, to)
	var all []entry
	if err == nil {
		all, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (e entry, err error) {
			err = r.Scan(&e.campaign, &e.hour, &e.step, &e.requests, &e.done, &e.tried, &e.persons, &e.phones, &e.blocks)
			return e, err
		})
	}
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading the funnel: %w", err))
	}
	return all, nil
}
