package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// LeadMargin is what publishing adds to how recently an instance must have confirmed the versions: an instance that may
// still place holds at the effective instant has then seen the version for certain.
const LeadMargin = 5 * time.Second

// Lead is how far ahead a version must take effect, so that all instances switch at that instant together: whoever
// hasn't heard of it by then places no holds.
func (s *Service) Lead() time.Duration { return Lead(s.within) }

// Lead is the same for a deployment whose instances must have confirmed the versions within the given time.
func Lead(within time.Duration) time.Duration { return within + LeadMargin }

// Version is what administrators see of a published version.
type Version struct {
	Number      int64
	EffectiveAt time.Time // shown time
	PublishedAt time.Time // real time
	PublishedBy string
	RollbackOf  int64 // zero unless it was a rollback
}

// Publication is a document to be published.
type Publication struct {
	Document Document
	// EffectiveAt is from when on it counts, in shown time; zero for as soon as every instance can know it.
	EffectiveAt time.Time
	// After is the newest version that the publisher has seen; nil if they don't say.
	After *int64
	By    string
	// RollbackOf is the version whose document this is again; zero for a new document.
	RollbackOf int64
	// Draft is the revision of the draft that this is, which is gone afterwards; 0 where it is none.
	Draft int64
	// Reason is why, in the publisher's words, for the audit; empty where none was asked for.
	Reason string
}

// act is what the audit calls it.
func (p Publication) act() string {
	if p.RollbackOf != 0 {
		return "campaign.roll_back"
	}
	return "campaign.publish"
}

// Publish writes a document as the next version, or returns the newest one if it has this very document. It refuses with
// effective_too_soon, version_moved, or as DropDraft where it is a draft. Whether the document may be published at all, Check has said before.
func (s *Service) Publish(ctx context.Context, p Publication) (v Version, published bool, err error) {
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := Lock(ctx, tx, p.Document.ID); err != nil {
			return err
		}
		var newest int64
		if err := tx.QueryRow(ctx, `
			SELECT coalesce(max(version), 0) FROM campaign_versions WHERE campaign_id = $1`, p.Document.ID).Scan(&newest); err != nil {
			return postgres.Unreachable(fmt.Errorf("reading the newest version: %w", err))
		}
		// Only now, after the wait for the lock: what follows is a few statements, well within the margin.
		soonest := s.clock.Now().Add(s.Lead())
		if p.EffectiveAt.IsZero() {
			p.EffectiveAt = soonest
		}
		if p.After != nil && *p.After != newest {
			return fault.New(fault.Conflict, fault.CodeVersionMoved)
		}
		if newest > 0 && p.EffectiveAt.Before(soonest) {
			return fault.New(fault.Conflict, fault.CodeEffectiveTooSoon).After(s.Lead())
		}
		if p.Draft != 0 {
			if err := takeDraft(ctx, tx, p.Document.ID, p.Draft); err != nil {
				return err
			}
		}
		var number int64
		number, published, err = saveVersion(ctx, tx, p.Document, p.EffectiveAt, p.By, p.RollbackOf)
		if err != nil {
			return err
		}
		if v, err = loadVersion(ctx, tx, p.Document.ID, number); err != nil || !published {
			return err
		}
		return s.audit.Append(ctx, tx, audit.Entry{
			Act: p.act(), Subject: p.Document.ID, Reason: p.Reason, Details: map[string]any{
				"version": number, "effective_at": v.EffectiveAt.UTC().Format(time.RFC3339), "rollback_of": p.RollbackOf,
			},
		})
	})
	return v, published, err
}

const versionColumns = `version, effective_at, published_at, published_by, coalesce(rollback_of, 0)`

func loadVersion(ctx context.Context, tx pgx.Tx, id string, number int64) (v Version, err error) {
	rows, err := tx.Query(ctx, `SELECT `+versionColumns+` FROM campaign_versions WHERE campaign_id = $1 AND version = $2`, id, number)
	if err == nil {
		v, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Version])
	}
	if err != nil {
		return Version{}, postgres.Unreachable(fmt.Errorf("reading a version: %w", err))
	}
	return v, nil
}

// Versions lists what was published of a campaign, newest first.
func (s *Service) Versions(ctx context.Context, id string) ([]Version, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT `+versionColumns+` FROM campaign_versions WHERE campaign_id = $1 ORDER BY version DESC`, id)
	var list []Version
	if err == nil {
		list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Version])
	}
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading the versions: %w", err))
	}
	return list, nil
}

// DocumentOf returns the document of a published version, or fault.CodeVersionNotFound.
func (s *Service) DocumentOf(ctx context.Context, id string, version int64) (d Document, err error) {
	var raw []byte
	err = s.pool.QueryRow(ctx, `
		SELECT document FROM campaign_versions WHERE campaign_id = $1 AND version = $2`, id, version).Scan(&raw)
	if isNoRows(err) {
		return d, fault.New(fault.NotFound, fault.CodeVersionNotFound)
	}
	if err != nil {
		return d, postgres.Unreachable(fmt.Errorf("reading a version: %w", err))
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, fmt.Errorf("version %d of %s can't be read: %w", version, id, err)
	}
	return d, nil
}

// InEffect is the number of the version that this campaign is judged by now; zero for none.
func (s *Service) InEffect(id string) int64 {
	c, err := s.Get(id)
	if err != nil {
		return 0
	}
	return c.Version
}

// InProduction has Check refuse what is for development only.
func (s *Service) InProduction() { s.production = true }

// Check reads a document and says what publishing it would do, compared with the newest published version of the
// campaign that it names. The report says whether it may be published.
func (s *Service) Check(raw []byte) CheckReport {
	now := s.clock.Now()
	options := CheckOptions{Today: civil.Of(now, time.UTC), Production: s.production, Now: now}
	var named struct {
		Campaign string `json:"campaign"`
	}
	if json.Unmarshal(raw, &named) == nil {
		if e, ok := s.snapshot.Load().campaigns[named.Campaign]; ok && len(e.versions) > 0 {
			options.Previous = e.versions[len(e.versions)-1]
			options.PreviousName = fmt.Sprintf("version %d", options.Previous.Version)
		}
	}
	report, _ := Check(raw, options) // the error says again what the report says
	// The document was written anew on its way here; lines and columns would be those of nobody's file. The paths stand.
	for i := range report.Faults {
		report.Faults[i].Line, report.Faults[i].Column = 0, 0
	}
	for i := range report.Cases.Failures {
		report.Cases.Failures[i].Line, report.Cases.Failures[i].Column = 0, 0
	}
	return report
}
