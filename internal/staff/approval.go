package staff

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// Proposal is an act that needs a second person.
type Proposal struct {
	Act     string // what it does: "publish"
	Subject string // to what: a campaign, or one of its slots
	// Request is all of what is asked for, as whoever approves reads it. Anything else than this very request isn't approved.
	Request any
	// Based is what the request was made on, such as the newest version: when that has changed the approval is worth nothing.
	Based int64
	By    Key
}

// Approval is a proposal with what became of it. Its times are real time.
type Approval struct {
	ID                    uuid.UUID
	Act, Subject          string
	Request               json.RawMessage
	ProposedBy            string
	ProposedAt, ExpiresAt time.Time
	ApprovedBy            *string
	ApprovedAt, UsedAt    *time.Time
}

func (p Proposal) fingerprint() (sum []byte, request []byte, err error) {
	if request, err = json.Marshal(p.Request); err != nil {
		return nil, nil, fmt.Errorf("encoding a proposal: %w", err)
	}
	all, err := json.Marshal([]any{p.Act, p.Subject, p.Based, json.RawMessage(request)})
	if err != nil {
		return nil, nil, fmt.Errorf("encoding a proposal: %w", err)
	}
	hash := sha256.Sum256(all)
	return hash[:], request, nil
}

// Approved takes the approval of an act, for once, and returns its id; GiveBack returns it if the act wasn't done after all.
// Where nobody else has approved this very request it is proposed, and the refusal is second_person_needed with the
// Approval that is waited for. Asking again proposes it once.
func (s *Service) Approved(ctx context.Context, p Proposal, lifetime time.Duration) (id uuid.UUID, err error) {
	sum, request, err := p.fingerprint()
	if err != nil {
		return id, err
	}
	var waiting *Approval
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		now := s.clock.Real()
		err := tx.QueryRow(ctx, `
			UPDATE approvals SET used_at = $3 WHERE approval_id = (
				SELECT approval_id FROM approvals WHERE fingerprint = $1 AND proposed_by = $2 AND approved_at IS NOT NULL
				AND used_at IS NULL AND expires_at > $3 ORDER BY proposed_at LIMIT 1 FOR UPDATE)
			RETURNING approval_id`, sum, p.By.ID, now).Scan(&id)
		if err == nil || !errors.Is(err, pgx.ErrNoRows) {
			return postgres.Unreachable(err)
		}
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('approvals'), $1)`, int32(sum[0])); err != nil {
			return postgres.Unreachable(fmt.Errorf("proposing: %w", err))
		}
		a, err := scanApproval(tx.QueryRow(ctx, `SELECT `+approvalColumns+` FROM approvals
			WHERE fingerprint = $1 AND proposed_by = $2 AND approved_at IS NULL AND expires_at > $3`, sum, p.By.ID, now))
		if err == nil {
			waiting = &a
			return nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return postgres.Unreachable(fmt.Errorf("proposing: %w", err))
		}
		a = Approval{
			ID: uuid.New(), Act: p.Act, Subject: p.Subject, Request: request, ProposedBy: p.By.ID, ProposedAt: now, ExpiresAt: now.Add(lifetime),
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO approvals (approval_id, fingerprint, act, subject, request, proposed_by, proposed_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, a.ID, sum, a.Act, a.Subject, string(request), a.ProposedBy, a.ProposedAt, a.ExpiresAt); err != nil {
			return postgres.Unreachable(fmt.Errorf("proposing: %w", err))
		}
		waiting = &a
		return s.audit.Append(ctx, tx, audit.Entry{
			Act: "approval.propose", Subject: a.Subject, Details: map[string]any{"approval": a.ID, "act": a.Act},
		})
	})
	if err == nil && waiting != nil {
		err = fault.New(fault.Conflict, fault.CodeSecondPersonNeeded).With(*waiting)
	}
	return id, err
}

// GiveBack lets an approval be used that was taken for an act that wasn't done.
func (s *Service) GiveBack(ctx context.Context, id uuid.UUID) error {
	if id == uuid.Nil {
		return nil
	}
	if _, err := s.pool.Exec(context.WithoutCancel(ctx), `UPDATE approvals SET used_at = NULL WHERE approval_id = $1`, id); err != nil {
		return postgres.Unreachable(fmt.Errorf("giving an approval back: %w", err))
	}
	return nil
}

const approvalColumns = `approval_id, act, subject, request, proposed_by, proposed_at, expires_at, approved_by, approved_at, used_at`

func scanApproval(row pgx.Row) (a Approval, err error) {
	err = row.Scan(&a.ID, &a.Act, &a.Subject, &a.Request, &a.ProposedBy, &a.ProposedAt, &a.ExpiresAt, &a.ApprovedBy, &a.ApprovedAt, &a.UsedAt)
	return a, err
}

// approvalsShown is how many of them are listed.
const approvalsShown = 100

// Approvals returns the newest proposals.
func (s *Service) Approvals(ctx context.Context) ([]Approval, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+approvalColumns+` FROM approvals ORDER BY proposed_at DESC LIMIT $1`, approvalsShown)
	var list []Approval
	if err == nil {
		list, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (Approval, error) { return scanApproval(r) })
	}
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("listing the approvals: %w", err))
	}
	return list, nil
}

// Approve agrees to what another person proposed. It refuses with approval_not_found, approval_over, same_person (the same
// one by whichever session or key, or a key that either has made for the other, itself or by keys in between) and
// person_unknown.
func (s *Service) Approve(ctx context.Context, id uuid.UUID, by Key) (a Approval, err error) {
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		now := s.clock.Real()
		a, err = scanApproval(tx.QueryRow(ctx, `SELECT `+approvalColumns+` FROM approvals WHERE approval_id = $1 FOR UPDATE`, id))
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return fault.New(fault.NotFound, fault.CodeApprovalNotFound)
		case err != nil:
			return postgres.Unreachable(fmt.Errorf("approving: %w", err))
		case a.ApprovedBy != nil && *a.ApprovedBy == by.ID:
			return nil // once more, after a lost answer
		case a.ApprovedAt != nil || !now.Before(a.ExpiresAt):
			return fault.New(fault.Gone, fault.CodeApprovalOver)
		}
		same, err := s.Same(ctx, tx, a.ProposedBy, by.ID)
		if err != nil {
			return err
		}
		if same {
			return fault.New(fault.Conflict, fault.CodeSamePerson)
		}
		a.ApprovedBy, a.ApprovedAt = &by.ID, &now
		if _, err := tx.Exec(ctx, `UPDATE approvals SET approved_by = $2, approved_at = $3 WHERE approval_id = $1`, id, by.ID, now); err != nil {
			return postgres.Unreachable(fmt.Errorf("approving: %w", err))
		}
		return s.audit.Append(ctx, tx, audit.Entry{
			Act: "approval.approve", Subject: a.Subject, Details: map[string]any{"approval": a.ID, "act": a.Act, "proposed_by": a.ProposedBy},
		})
	})
	return a, err
}

// SamePerson is Same, in a transaction of its own.
func (s *Service) SamePerson(ctx context.Context, one, other string) (yes bool, err error) {
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		yes, err = s.Same(ctx, tx, one, other)
		return err
	})
	return yes, err
}

// related tells whether two keys are one, or one of them comes from the other.
func related(ctx context.Context, tx pgx.Tx, one, other string) (yes bool, err error) {
	if err := tx.QueryRow(ctx, `
		WITH RECURSIVE line (of, key_id) AS (
			SELECT k, k FROM unnest(ARRAY[$1, $2]::text[]) k
			UNION SELECT line.of, a.created_by FROM line JOIN admin_keys a USING (key_id)
		)
		SELECT EXISTS (SELECT FROM line WHERE (of, key_id) IN (($1, $2), ($2, $1))) OR $1 = $2`, one, other).Scan(&yes); err != nil {
		return false, postgres.Unreachable(fmt.Errorf("looking whose keys these are: %w", err))
	}
	return yes, nil
}
