package notify

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"jari/internal/postgres"
)

// Abandon ends, in a database that was restored, every message that waits and every notice that would become messages: after
// the backup was made they may have been sent, and nobody is told the same twice. It returns how many messages and notices
// there were.
func Abandon(ctx context.Context, tx pgx.Tx) (messages, notices int64, err error) {
	tag, err := tx.Exec(ctx, `UPDATE messages SET state = 'unknown', settled_at = now() WHERE state IN ('queued', 'sending')`)
	if err != nil {
		return 0, 0, postgres.Unreachable(fmt.Errorf("ending messages: %w", err))
	}
	err = tx.QueryRow(ctx, `
		WITH ended AS (
			UPDATE river.river_job SET state = 'cancelled', finalized_at = now()
			WHERE kind IN ($1, $2) AND finalized_at IS NULL RETURNING kind
		) SELECT count(*) FILTER (WHERE kind = $2) FROM ended`, sendArgs{}.Kind(), noticeArgs{}.Kind()).Scan(&notices)
	if err != nil {
		return 0, 0, postgres.Unreachable(fmt.Errorf("ending jobs: %w", err))
	}
	return tag.RowsAffected(), notices, nil
}
