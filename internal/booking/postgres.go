package booking

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/fault"
	"jari/internal/postgres"
)

func (s *Service) load(ctx context.Context, campaignID string, id uuid.UUID) (Booking, error) {
	return one(s.pool.QueryRow(ctx,
		`SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND booking_id = $2 AND status <> 'void'`, campaignID, id))
}

func (s *Service) loadByHold(ctx context.Context, campaignID string, hold uuid.UUID) (Booking, error) {
	return one(s.pool.QueryRow(ctx, `SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND hold_id = $2`, campaignID, hold))
}

func (s *Service) loadLatest(ctx context.Context, campaignID string, person uuid.UUID) (Booking, error) {
	return one(s.pool.QueryRow(ctx, `
		SELECT * FROM (
			SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND person_id = $2 AND status = 'active'
			UNION ALL
			(SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND person_id = $2 AND status = 'cancelled'
			ORDER BY created_at DESC LIMIT 1)
		) latest ORDER BY status = 'active' DESC LIMIT 1`, campaignID, person))
}

// one reads a booking, or returns fault.CodeNoBooking.
func one(row pgx.Row) (Booking, error) {
	b, _, err := scanBooking(row)
	if errors.Is(err, pgx.ErrNoRows) {
		return Booking{}, fault.New(fault.NotFound, fault.CodeNoBooking)
	}
	if err != nil {
		return Booking{}, postgres.Unreachable(fmt.Errorf("reading a booking: %w", err))
	}
	return b, nil
}

// Event is something that happened to a booking, once: a booking is made or moved to by one flush, and cancelled by one.
type Event struct {
	Campaign string
	Booking  uuid.UUID
	Kind     string // booked, moved, cancelled
	// Cause is why its place was taken away, CauseClosed or CauseFewer; empty where its person, or the desk for them, did it.
	Cause string
}

// Events returns what a flush did. Flushes of the release before left a row for each booking.
func Events(ctx context.Context, pool *pgxpool.Pool, flushID uuid.UUID) ([]Event, error) {
	rows, err := pool.Query(ctx, `
		SELECT campaign_id, e.booking, e.kind, coalesce(e.cause, '')
		FROM flush_events, unnest(bookings, kinds, causes) AS e(booking, kind, cause) WHERE flush_id = $1
		UNION ALL
		SELECT campaign_id, booking_id, kind, '' FROM booking_events WHERE flush_id = $1`, flushID)
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading what a flush did: %w", err))
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Event])
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading what a flush did: %w", err))
	}
	return events, nil
}
