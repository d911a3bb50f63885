package booking

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/postgres"
)

// Due asks for active bookings by when they are.
type Due struct {
	Campaign string
	// StartsFrom and StartsBefore bound when their slots start.
	StartsFrom, StartsBefore time.Time
	// BookedBefore leaves out those made since, in real time.
	BookedBefore time.Time
	// AfterSlot is how far earlier answers came; Slots is how many slots to look at.
	AfterSlot int64
	Slots     int
}

// DueBookings returns the bookings of the next slots, and the last of these slots; 0 when there are no more. What it costs
// depends on those slots alone, not on how many bookings there ever were.
func DueBookings(ctx context.Context, pool *pgxpool.Pool, d Due) (ids []uuid.UUID, lastSlot int64, err error) {
	rows, err := pool.Query(ctx, `
		WITH next AS MATERIALIZED (
			SELECT slot_id FROM slots
			WHERE campaign_id = $1 AND starts_at >= $2 AND starts_at < $3 AND slot_id > $5 AND booked > 0
			ORDER BY slot_id LIMIT $6
		)
		SELECT n.slot_id, b.booking_id FROM next n
		LEFT JOIN bookings b ON b.slot_id = n.slot_id AND b.status = 'active' AND b.campaign_id = $1 AND b.created_at < $4`,
		d.Campaign, d.StartsFrom, d.StartsBefore, d.BookedBefore, d.AfterSlot, d.Slots)
	if err != nil {
		return nil, 0, postgres.Unreachable(fmt.Errorf("reading bookings that are due: %w", err))
	}
	var slot int64
	var id *uuid.UUID
	if _, err := pgx.ForEachRow(rows, []any{&slot, &id}, func() error {
		lastSlot = max(lastSlot, slot)
		if id != nil {
			ids = append(ids, *id)
		}
		return nil
	}); err != nil {
		return nil, 0, postgres.Unreachable(fmt.Errorf("reading bookings that are due: %w", err))
	}
	return ids, lastSlot, nil
}
