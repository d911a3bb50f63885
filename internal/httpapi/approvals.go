package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"jari/internal/campaign"
	"jari/internal/fault"
	"jari/internal/staff"
)

// Caution is what a deployment wants before something is changed.
type Caution struct {
	// SecondPerson are the acts that another key must approve: publish, close_early, loosen, bulk.
	SecondPerson []string
	// ApprovalLifetime is how long a proposal waits for its approval, and an approval for its use.
	ApprovalLifetime time.Duration
	Freeze           campaign.Freeze
}

// act is what somebody is about to do to a campaign.
type act struct {
	does     []string // of those that may need a second person
	subject  string
	campaign string
	request  any
	based    int64
	override *string // why the freeze shouldn't hold; nil unless it was asked for
	tonight  bool    // an operator's act on the night itself, which no freeze holds up
}

// allow lets an act pass, or refuses it with change_frozen, role_required or second_person_needed. done is to be called with
// the act's outcome: what wasn't done can be done by the same approval later.
func (s *Server) allow(ctx context.Context, a act) (done func(error), err error) {
	var needs []string
	for _, d := range a.does {
		if slices.Contains(s.Caution.SecondPerson, d) {
			needs = append(needs, d)
		}
	}
	if until := s.Campaigns.Frozen(a.campaign, s.Caution.Freeze); !until.IsZero() && !a.tonight {
		if a.override == nil {
			return nil, fault.New(fault.Conflict, fault.CodeChangeFrozen).After(until.Sub(s.Clock.Now()))
		}
		if !keyOf(ctx).Role.May(staff.Owner) {
			return nil, fault.New(fault.Forbidden, fault.CodeRoleRequired)
		}
		needs = append(needs, "override_freeze")
	}
	if len(needs) == 0 {
		return func(error) {}, nil
	}
	id, err := s.Staff.Approved(ctx, staff.Proposal{
		Act: strings.Join(needs, ","), Subject: a.subject, Request: a.request, Based: a.based, By: keyOf(ctx),
	}, s.Caution.ApprovalLifetime)
	return func(err error) {
		if err == nil {
			return
		}
		if err := s.Staff.GiveBack(ctx, id); err != nil {
			s.Log.Warn("an approval that wasn't used can't be given back; it has to be asked for again", "approval", id, "error", err)
		}
	}, err
}

// ListApprovals answers GET /admin/v1/approvals.
func (s *Server) ListApprovals(ctx context.Context, _ ListApprovalsRequestObject) (ListApprovalsResponseObject, error) {
	all, err := s.Staff.Approvals(ctx)
	if err != nil {
		return nil, err
	}
	list := ApprovalList{Approvals: []Approval{}}
	for _, a := range all {
		shown, err := s.approval(a)
		if err != nil {
			return nil, err
		}
		list.Approvals = append(list.Approvals, shown)
	}
	return ListApprovals200JSONResponse(list), nil
}

// Approve answers POST /admin/v1/approvals/{approval}.
func (s *Server) Approve(ctx context.Context, r ApproveRequestObject) (ApproveResponseObject, error) {
	id, err := uuid.Parse(r.Approval)
	if err != nil {
		return nil, fault.New(fault.NotFound, fault.CodeApprovalNotFound)
	}
	a, err := s.Staff.Approve(ctx, id, keyOf(ctx))
	if err != nil {
		return nil, err
	}
	shown, err := s.approval(a)
	if err != nil {
		return nil, err
	}
	return Approve200JSONResponse(shown), nil
}

func (s *Server) approval(a staff.Approval) (Approval, error) {
	shown := Approval{
		ApprovalId: a.ID.String(), Act: a.Act, Subject: a.Subject, ProposedBy: a.ProposedBy, ProposedAt: a.ProposedAt.UTC(),
		ExpiresAt: a.ExpiresAt.UTC(), ApprovedBy: a.ApprovedBy, State: ApprovalStateWaiting,
	}
	switch now := s.Clock.Real(); {
	case a.UsedAt != nil:
		shown.State = ApprovalStateUsed
	case !now.Before(a.ExpiresAt):
		shown.State = ApprovalStateOver
	case a.ApprovedAt != nil:
		shown.State = ApprovalStateApproved
	}
	if err := json.Unmarshal(a.Request, &shown.Request); err != nil {
		return Approval{}, fmt.Errorf("reading what approval %s is for: %w", a.ID, err)
	}
	return shown, nil
}
