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
	"jari/internal/slot"
)

func (s *Service) load(ctx context.Context, campaignID string, id uuid.UUID) (Booking, error) {
	return one(s.pool.QueryRow(ctx,
		`SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND booking_id = $2 AND status <> 'void'`, campaignID, id))
}

func (s *Service) loadLatest(ctx context.Context, campaignID string, person uuid.UUID) (Booking, error) {
	return one(s.pool.QueryRow(ctx, `
		SELECT `+columns+` FROM bookings
		WHERE campaign_id = $1 AND person_id = $2 AND status IN ('active', 'cancelled')
		ORDER BY status = 'active' DESC, created_at DESC LIMIT 1`, campaignID, person))
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

// cancel ends an active booking and gives its unit back, in one transaction that takes its locks like every writer:
// the slot, then the booking. A booking that isn't active any more when the locks are held is returned as it is.
func (s *Service) cancel(ctx context.Context, b Booking, actor uuid.UUID) (ended Booking, copies []slot.Copy, err error) {
	for range 3 {
		err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
			ended, copies, err = cancelTx(ctx, tx, b, actor)
			return err
		})
		if !postgres.ShouldRetry(err) {
			break
		}
	}
	return ended, copies, err
}

func cancelTx(ctx context.Context, tx pgx.Tx, b Booking, actor uuid.UUID) (Booking, []slot.Copy, error) {
	fail := func(err error) (Booking, []slot.Copy, error) {
		return Booking{}, nil, postgres.Unreachable(fmt.Errorf("cancelling a booking: %w", err))
	}
	if _, err := tx.Exec(ctx, `SELECT 1 FROM slots WHERE slot_id = $1 FOR UPDATE`, b.Slot); err != nil {
		return fail(err)
	}
	now, _, err := scanBooking(tx.QueryRow(ctx,
		`SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND booking_id = $2 FOR UPDATE`, b.Campaign, b.ID))
	if err != nil {
		return fail(err)
	}
	switch now.Status {
	case Active:
	case Cancelled:
		return now, nil, nil // somebody else was faster: the same end
	case Superseded, Void:
		return Booking{}, nil, fault.New(fault.NotFound, fault.CodeNoBooking)
	}
	now, _, err = scanBooking(tx.QueryRow(ctx, `
		UPDATE bookings SET status = 'cancelled', ended_at = now(), sequence = sequence + 1
		WHERE campaign_id = $1 AND booking_id = $2 RETURNING `+columns, b.Campaign, b.ID))
	if err != nil {
		return fail(err)
	}
	rows, err := tx.Query(ctx, `
		UPDATE slots SET booked = booked - 1, version = version + 1 WHERE slot_id = $1
		RETURNING slot_id, capacity, booked, state, version, (SELECT generation::text FROM store_generation)`, b.Slot)
	if err != nil {
		return fail(err)
	}
	copies, err := pgx.CollectRows(rows, scanCopy)
	if err != nil {
		return fail(err)
	}
	flushID := uuid.New()
	if _, err := tx.Exec(ctx, `
		INSERT INTO booking_events (flush_id, campaign_id, booking_id, kind, actor_id) VALUES ($1, $2, $3, 'cancelled', $4)`,
		flushID, b.Campaign, b.ID, actor); err != nil {
		return fail(err)
	}
	if _, err := tx.Exec(ctx, `
		INSERT INTO river.river_job (kind, args, max_attempts, queue)
		VALUES ($1, jsonb_build_object('flush_id', $2::uuid), 25, 'default')`, NoticeKind, flushID); err != nil {
		return fail(err)
	}
	return now, copies, nil
}

// Event is something that happened to a booking.
type Event struct {
	ID       int64
	Campaign string
	Booking  uuid.UUID
	Kind     string // booked, moved, cancelled
}

// Events returns what a flush did, in order.
func Events(ctx context.Context, pool *pgxpool.Pool, flushID uuid.UUID) ([]Event, error) {
	rows, err := pool.Query(ctx, `
		SELECT event_id, campaign_id, booking_id, kind FROM booking_events WHERE flush_id = $1 ORDER BY event_id`, flushID)
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading what a flush did: %w", err))
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Event])
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading what a flush did: %w", err))
	}
	return events, nil
}
