package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// Draft is what editors prepare of a campaign. It needn't be right yet; Check says what is wrong with it.
type Draft struct {
	Campaign string
	Document json.RawMessage
	Revision int64 // raised by every change
	// BasedOn is the newest published version when it was last written; 0 where there was none.
	BasedOn   int64
	UpdatedBy string
	UpdatedAt time.Time // real time
}

func draftNotFound() error { return fault.New(fault.NotFound, fault.CodeDraftNotFound) }
func draftChanged() error  { return fault.New(fault.Precondition, fault.CodeDraftChanged) }

const draftColumns = `campaign_id, document, revision, based_on, updated_by, updated_at`

func scanDraft(row pgx.Row) (d Draft, err error) {
	var document string
	err = row.Scan(&d.Campaign, &document, &d.Revision, &d.BasedOn, &d.UpdatedBy, &d.UpdatedAt)
	d.Document = json.RawMessage(document)
	return d, err
}

// DraftOf returns the draft of a campaign, or draft_not_found.
func (s *Service) DraftOf(ctx context.Context, id string) (Draft, error) {
	d, err := scanDraft(s.pool.QueryRow(ctx, `SELECT `+draftColumns+` FROM campaign_drafts WHERE campaign_id = $1`, id))
	if isNoRows(err) {
		return Draft{}, draftNotFound()
	}
	if err != nil {
		return Draft{}, postgres.Unreachable(fmt.Errorf("reading a draft: %w", err))
	}
	return d, nil
}

// Drafts returns all drafts, by campaign, without their documents.
func (s *Service) Drafts(ctx context.Context) ([]Draft, error) {
	rows, err := s.pool.Query(ctx, `SELECT campaign_id, '', revision, based_on, updated_by, updated_at FROM campaign_drafts ORDER BY campaign_id`)
	var list []Draft
	if err == nil {
		list, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (Draft, error) { return scanDraft(r) })
	}
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading the drafts: %w", err))
	}
	return list, nil
}

// SaveDraft writes a draft: a new one where seen is 0, and otherwise the one whose revision was seen. It refuses with
// draft_changed where there is another.
func (s *Service) SaveDraft(ctx context.Context, id string, document json.RawMessage, seen int64, by string) (d Draft, err error) {
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		const write = `
			INSERT INTO campaign_drafts AS d (campaign_id, document, revision, based_on, updated_by)
			SELECT $1, $2, nextval('campaign_draft_revisions'),
				(SELECT coalesce(max(version), 0) FROM campaign_versions WHERE campaign_id = $1), $3
			WHERE $4 = 0 OR EXISTS (SELECT FROM campaign_drafts WHERE campaign_id = $1)
			ON CONFLICT (campaign_id) DO UPDATE SET document = excluded.document, revision = excluded.revision,
				based_on = excluded.based_on, updated_by = excluded.updated_by, updated_at = now()
			WHERE d.revision = $4
			RETURNING ` + draftColumns
		d, err = scanDraft(tx.QueryRow(ctx, write, id, string(document), by, seen))
		if isNoRows(err) {
			return draftChanged()
		}
		if err != nil {
			return postgres.Unreachable(fmt.Errorf("writing a draft: %w", err))
		}
		return s.audit.Append(ctx, tx, audit.Entry{
			Act: "campaign.draft", Subject: id, Details: map[string]any{"revision": d.Revision, "before": seen, "based_on": d.BasedOn},
		})
	})
	return d, err
}

// DropDraft takes away the draft whose revision was seen. It refuses with draft_not_found and draft_changed.
func (s *Service) DropDraft(ctx context.Context, id string, seen int64) error {
	return postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := takeDraft(ctx, tx, id, seen); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, audit.Entry{Act: "campaign.drop_draft", Subject: id, Details: map[string]any{"revision": seen}})
	})
}

// takeDraft takes a draft away, if it is the one that was seen.
func takeDraft(ctx context.Context, tx pgx.Tx, id string, seen int64) error {
	var revision int64
	err := tx.QueryRow(ctx, `SELECT revision FROM campaign_drafts WHERE campaign_id = $1 FOR UPDATE`, id).Scan(&revision)
	switch {
	case isNoRows(err):
		return draftNotFound()
	case err != nil:
		return postgres.Unreachable(fmt.Errorf("reading a draft: %w", err))
	case revision != seen:
		return draftChanged()
	}
	if _, err := tx.Exec(ctx, `DELETE FROM campaign_drafts WHERE campaign_id = $1`, id); err != nil {
		return postgres.Unreachable(fmt.Errorf("taking a draft away: %w", err))
	}
	return nil
}
