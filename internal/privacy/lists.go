package privacy

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/postgres"
)

// idleLists are the lists of entitled people that a rule of the campaign names, in any version, and none of a campaign that
// isn't forgotten.
const idleLists = `
	WITH named AS (
		SELECT DISTINCT v.campaign_id, x #>> '{}' AS list FROM campaign_versions v, jsonb_path_query(v.document, '$.**.in_list') x
		WHERE jsonb_typeof(x) = 'string'
	)
	SELECT list FROM named WHERE campaign_id = $1 AND list <> $2
	EXCEPT SELECT list FROM named JOIN campaigns USING (campaign_id) WHERE forgotten_at IS NULL AND campaign_id <> $1`

// countEntries is how many entries of lists go with a campaign, those that wait for a sign-off too.
func countEntries(ctx context.Context, tx pgx.Tx, o Order) (n int64, err error) {
	if err := tx.QueryRow(ctx, `
		WITH idle AS (`+idleLists+`)
		SELECT (SELECT count(*) FROM list_entries WHERE list IN (SELECT list FROM idle))
			+ (SELECT count(*) FROM list_staged JOIN list_imports USING (import_id) WHERE list IN (SELECT list FROM idle))`,
		o.Campaign, o.KeepList).Scan(&n); err != nil {
		return 0, postgres.Unreachable(fmt.Errorf("counting entries of lists: %w", err))
	}
	return n, nil
}

// forgetLists deletes the lists that only this campaign named: imports first, so that none is signed off meanwhile. The names
// stay, with nobody on them, so that sessions that say otherwise aren't believed.
func forgetLists(ctx context.Context, pool *pgxpool.Pool, o Order) (entries int64, err error) {
	for _, statement := range []string{
		`DELETE FROM list_staged WHERE ctid IN (
			SELECT s.ctid FROM list_staged s JOIN list_imports i USING (import_id) WHERE i.list IN (` + idleLists + `) LIMIT $3)`,
		`DELETE FROM list_entries WHERE ctid IN (SELECT ctid FROM list_entries WHERE list IN (` + idleLists + `) LIMIT $3)`,
	} {
		deleted, err := inBatches(ctx, pool, "lists", func(tx pgx.Tx) (int64, error) {
			tag, err := tx.Exec(ctx, statement, o.Campaign, o.KeepList, batch)
			return tag.RowsAffected(), err
		})
		if err != nil {
			return entries, err
		}
		entries += deleted
	}
	return entries, postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM list_imports WHERE list IN (`+idleLists+`)`, o.Campaign, o.KeepList); err != nil {
			return postgres.Unreachable(fmt.Errorf("forgetting imports: %w", err))
		}
		var revision int64
		if err := tx.QueryRow(ctx, `UPDATE list_revision SET revision = revision + 1 RETURNING revision`).Scan(&revision); err != nil {
			return postgres.Unreachable(fmt.Errorf("forgetting lists: %w", err))
		}
		if _, err := tx.Exec(ctx, `UPDATE lists SET changed = $3, entries = 0, checksum = '' WHERE list IN (`+idleLists+`)`,
			o.Campaign, o.KeepList, revision); err != nil {
			return postgres.Unreachable(fmt.Errorf("forgetting lists: %w", err))
		}
		return nil
	})
}
