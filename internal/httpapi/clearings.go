package httpapi

import (
	"context"

	"github.com/google/uuid"

	"jari/internal/booking"
	"jari/internal/eligibility"
	"jari/internal/fault"
	"jari/internal/slot"
)

// PlanClearing answers POST /admin/v1/campaigns/{campaign}/clearings.
func (s *Server) PlanClearing(ctx context.Context, r PlanClearingRequestObject) (PlanClearingResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	invalid := fault.New(fault.Invalid, fault.CodeInvalidRequest)
	wanted := booking.Clearing{
		Campaign: c, MoveTo: booking.MoveTo(orElse(r.Body.MoveTo, ClearingMoveTo(booking.MoveInRegion))), CancelRest: orElse(r.Body.CancelRest, false),
		Site: orElse(r.Body.SiteId, ""), Capacities: map[int64]int{},
	}
	switch {
	case (r.Body.SiteId == nil) != (r.Body.Date == nil):
		return nil, invalid.Field("/date", "a site closes on a day: both are needed")
	case r.Body.SiteId == nil && r.Body.Slots == nil:
		return nil, invalid.Field("", "needs a site and a day, or slots")
	case r.Body.Date != nil:
		wanted.Day = *r.Body.Date
	}
	for _, one := range orElse(r.Body.Slots, nil) {
		id, ok := slot.ParseID(one.SlotId)
		if !ok {
			return nil, fault.New(fault.NotFound, fault.CodeSlotNotFound)
		}
		if _, twice := wanted.Capacities[id]; twice {
			return nil, invalid.Field("/slots", "names a slot twice")
		}
		wanted.Capacities[id] = one.Capacity
	}
	p, err := s.Bookings.PlanClearing(ctx, s.Plans, keyOf(ctx), wanted, s.factsOfPerson)
	if err != nil {
		return nil, err
	}
	return PlanClearing201JSONResponse(s.plan(p)), nil
}

// factsOfPerson are what the rules of a campaign want to know of whoever has a booking.
func (s *Server) factsOfPerson(ctx context.Context, campaignID string, person uuid.UUID) (eligibility.Facts, error) {
	p, err := s.Identity.Person(ctx, person)
	if err != nil {
		return eligibility.Facts{}, err
	}
	return s.factsOf(ctx, campaignID, p)
}
