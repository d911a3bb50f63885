package slot

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// Change is what an administrator wants of a slot; what is nil stays.
type Change struct {
	Capacity *int
	State    *State // Closed takes no new holds; Open releases an unreleased slot or opens a closed one again
	// Reason is why, in the administrator's words, for the audit; empty where none was asked for.
	Reason string
}

// Change changes the capacity or the state of a slot and returns it as it is then. Live holds and bookings stay as they
// are: a hold that was placed before closing can still be confirmed. It refuses with slot_not_found, or with
// capacity_below_booked (and how many are booked) and changes nothing then. Asking for what is so already changes nothing.
func (s *Service) Change(ctx context.Context, campaignID string, id int64, c Change) (Copy, error) {
	if _, ok := s.Get(campaignID, id); !ok {
		return Copy{}, fault.New(fault.NotFound, fault.CodeSlotNotFound)
	}
	var changed Copy
	err := postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		before, after, err := changeSlot(ctx, tx, id, c)
		changed = after
		if err != nil || before == after {
			return err
		}
		return s.audit.Append(ctx, tx, audit.Entry{
			Act: "slot.change", Subject: campaignID + "/slot/" + FormatID(id), Reason: c.Reason, Details: map[string]any{
				"capacity": after.Capacity, "capacity_before": before.Capacity, "state": after.State, "state_before": before.State,
				"booked": after.Booked,
			},
		})
	})
	if err != nil {
		return Copy{}, err
	}
	// Best effort: the reconciler pushes what is missed here within seconds.
	if err := s.Push(ctx, campaignID, []Copy{changed}, nil); err != nil {
		s.log.Warn("Redis wasn't told of a changed slot; the reconciler tells it", "slot", id, "error", err)
	}
	return changed, nil
}

func changeSlot(ctx context.Context, tx pgx.Tx, id int64, c Change) (before, after Copy, err error) {
	// Locked first, so that what is booked can't change between the question and the answer.
	now, err := scanCopy(tx.QueryRow(ctx, selectCopies+`slot_id = $1 FOR UPDATE OF slots`, id))
	if errors.Is(err, pgx.ErrNoRows) {
		return Copy{}, Copy{}, fault.New(fault.NotFound, fault.CodeSlotNotFound)
	}
	if err != nil {
		return Copy{}, Copy{}, postgres.Unreachable(fmt.Errorf("locking a slot: %w", err))
	}
	wanted := now
	if c.Capacity != nil {
		wanted.Capacity = *c.Capacity
	}
	if c.State != nil {
		wanted.State = *c.State
	}
	if wanted.Capacity < now.Booked {
		return Copy{}, Copy{}, fault.New(fault.Conflict, fault.CodeCapacityBelowBooked).With(now)
	}
	if wanted == now {
		return now, now, nil
	}
	wanted.Version++
	if _, err := tx.Exec(ctx, `UPDATE slots SET capacity = $2, state = $3, version = $4 WHERE slot_id = $1`,
		id, wanted.Capacity, wanted.State, wanted.Version); err != nil {
		return Copy{}, Copy{}, postgres.Unreachable(fmt.Errorf("changing a slot: %w", err))
	}
	return now, wanted, nil
}
