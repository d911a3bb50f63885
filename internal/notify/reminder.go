package notify

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"jari/internal/civil"
	"jari/internal/postgres"
)

// RemindNext makes the next reminders of a campaign's day: make is given how far earlier calls came, and returns messages
// and how far they reach, or 0 when there are no more. Both are remembered in one transaction. done tells that the day is
// finished, or that another instance is at it right now.
func (s *Service) RemindNext(
	ctx context.Context, campaign string, day civil.Date, next func(after int64) (messages []Message, last int64, err error),
) (done bool, err error) {
	err = postgres.InTx(ctx, s.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			INSERT INTO reminder_days (campaign_id, day) VALUES ($1, $2::date) ON CONFLICT DO NOTHING`, campaign, day.String()); err != nil {
			return postgres.Unreachable(fmt.Errorf("beginning a day's reminders: %w", err))
		}
		var after int64
		err := tx.QueryRow(ctx, `
			SELECT after_slot FROM reminder_days WHERE campaign_id = $1 AND day = $2::date AND NOT done FOR UPDATE SKIP LOCKED`,
			campaign, day.String()).Scan(&after)
		if errors.Is(err, pgx.ErrNoRows) {
			done = true
			return nil
		}
		if err != nil {
			return postgres.Unreachable(fmt.Errorf("reading a day's reminders: %w", err))
		}
		messages, last, err := next(after)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if err := s.Queue(ctx, tx, m); err != nil {
				return err
			}
		}
		done = last == 0
		if _, err := tx.Exec(ctx, `
			UPDATE reminder_days SET after_slot = greatest(after_slot, $3), done = $4 WHERE campaign_id = $1 AND day = $2::date`,
			campaign, day.String(), last, done); err != nil {
			return postgres.Unreachable(fmt.Errorf("noting a day's reminders: %w", err))
		}
		return nil
	})
	return done, err
}
