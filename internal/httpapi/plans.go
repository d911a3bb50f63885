package httpapi

import (
	"context"

	"github.com/google/uuid"

	"jari/internal/booking"
	"jari/internal/campaign"
	"jari/internal/fault"
	"jari/internal/plan"
)

// ListPlans answers GET /admin/v1/plans.
func (s *Server) ListPlans(ctx context.Context, r ListPlansRequestObject) (ListPlansResponseObject, error) {
	plans, running, err := s.Plans.List(ctx, orElse(r.Params.Campaign, ""))
	if err != nil {
		return nil, err
	}
	list := PlanList{Plans: []Plan{}, Running: []PlanRunning{}}
	for _, p := range plans {
		list.Plans = append(list.Plans, s.plan(p))
	}
	for _, x := range running {
		list.Running = append(list.Running, PlanRunning{
			PlanId: x.ID.String(), Kind: x.Kind, CampaignId: x.Campaign, Doing: PlanRunningDoing(x.Doing), Done: x.Done, UpdatedAt: x.UpdatedAt.UTC(),
		})
	}
	return ListPlans200JSONResponse(list), nil
}

// GetPlan answers GET /admin/v1/plans/{plan}.
func (s *Server) GetPlan(ctx context.Context, r GetPlanRequestObject) (GetPlanResponseObject, error) {
	id, err := planID(r.Plan)
	if err != nil {
		return nil, err
	}
	p, err := s.Plans.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return GetPlan200JSONResponse(s.plan(p)), nil
}

// ListPlanRows answers GET /admin/v1/plans/{plan}/rows.
func (s *Server) ListPlanRows(ctx context.Context, r ListPlanRowsRequestObject) (ListPlanRowsResponseObject, error) {
	id, err := planID(r.Plan)
	if err != nil {
		return nil, err
	}
	rows, err := s.Plans.Rows(ctx, id, plan.Outcome(orElse(r.Params.Outcome, "")), orElse(r.Params.After, 0), orElse(r.Params.Limit, 100))
	if err != nil {
		return nil, err
	}
	list := PlanRowList{Rows: []PlanRow{}}
	for _, x := range rows {
		list.Rows = append(list.Rows, PlanRow{
			Number: x.Number, Line: unlessZero(x.Line), Outcome: PlanOutcome(x.Outcome), Subject: x.Subject, Note: x.Note,
		})
	}
	return ListPlanRows200JSONResponse(list), nil
}

// ApplyPlan answers POST /admin/v1/plans/{plan}/apply.
func (s *Server) ApplyPlan(ctx context.Context, r ApplyPlanRequestObject) (ApplyPlanResponseObject, error) {
	id, err := planID(r.Plan)
	if err != nil {
		return nil, err
	}
	p, err := s.Plans.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	shown := s.plan(p)
	done := func(error) {}
	if shown.State == PlanStateReady && p.Checksum == r.Body.Checksum { // or it is refused, or was applied, anyway
		does := []string{"bulk"}
		if p.Kind == booking.ClearingKind { // takes places, and with them times to book
			does = append(does, campaign.ClosesEarly)
		}
		done, err = s.allow(ctx, act{
			does: does, subject: p.Campaign + "/plan/" + shown.PlanId, campaign: p.Campaign, override: r.Body.OverrideFreeze,
			request: map[string]any{"kind": p.Kind, "plan_id": shown.PlanId, "summary": p.Summary, "with": r.Body},
		})
		if err != nil {
			return nil, err
		}
	}
	p, err = s.Plans.Apply(ctx, plan.Application{
		Plan: id, By: keyOf(ctx), Checksum: r.Body.Checksum, Reason: orElse(r.Body.OverrideFreeze, orElse(r.Body.Reason, "")),
	})
	done(err)
	if err != nil {
		return nil, err
	}
	return ApplyPlan200JSONResponse(s.plan(p)), nil
}

// DiscardPlan answers DELETE /admin/v1/plans/{plan}.
func (s *Server) DiscardPlan(ctx context.Context, r DiscardPlanRequestObject) (DiscardPlanResponseObject, error) {
	id, err := planID(r.Plan)
	if err != nil {
		return nil, err
	}
	if err := s.Plans.Discard(ctx, id, keyOf(ctx)); err != nil {
		return nil, err
	}
	return DiscardPlan204Response{}, nil
}

func planID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return id, fault.New(fault.NotFound, fault.CodePlanNotFound)
	}
	return id, nil
}

// plan shows a plan. Its times are real ones, like those of keys and approvals.
func (s *Server) plan(p plan.Plan) Plan {
	shown := Plan{
		PlanId: p.ID.String(), Kind: p.Kind, CampaignId: p.Campaign, State: PlanState(p.StateAt(s.Clock.Real())), MadeBy: p.MadeBy,
		MadeAt: p.MadeAt.UTC(), ExpiresAt: p.ExpiresAt.UTC(), Checksum: p.Checksum,
		Source: PlanSource{
			Format: unlessZero(p.Source.Format), Encoding: unlessZero(p.Source.Encoding), Bytes: unlessZero(p.Source.Bytes),
			Lines: unlessZero(p.Source.Lines),
		},
		Summary: PlanSummary{
			Created: p.Summary.Created, Changed: p.Summary.Changed, Unchanged: p.Summary.Unchanged, Rejected: p.Summary.Rejected,
			Bookings: p.Summary.Bookings,
		},
		AppliedBy: p.AppliedBy,
	}
	if p.AppliedAt != nil {
		at := p.AppliedAt.UTC()
		shown.AppliedAt = &at
	}
	if p.Summary.More != nil {
		shown.Summary.More = &p.Summary.More
	}
	return shown
}
