package httpapi

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"jari/internal/booking"
	"jari/internal/campaign"
	"jari/internal/eligibility"
	"jari/internal/fault"
	"jari/internal/pulse"
	"jari/internal/slot"
	"jari/internal/token"
)

// claimant is the person of a session, with what the rules of a campaign want to know of them.
func (s *Server) claimant(ctx context.Context, c *campaign.Campaign, t token.Session) (booking.Claimant, error) {
	facts, err := s.facts(ctx, c, t)
	return booking.Claimant{Person: t.Person, Actor: t.Actor, Facts: facts}, err
}

// facts are what the rules of a campaign want to know of a person. While no list has changed since the session began, they are
// all in it.
func (s *Server) facts(ctx context.Context, c *campaign.Campaign, t token.Session) (eligibility.Facts, error) {
	f := eligibility.Facts{BirthDate: t.BirthDate}
	named := s.Campaigns.Lists(c.ID)
	if len(named) == 0 {
		return f, nil
	}
	on, err := s.Identity.OnLists(ctx, t, named)
	f.Lists = eligibility.OnLists(on...)
	return f, err
}

// through is a claimant with the room that they came in by.
func through(who booking.Claimant, a token.Admission) booking.Claimant {
	who.Room = a.Room
	return who
}

// inCampaign gives a refusal the campaign that its extras need to be shown.
func inCampaign(c *campaign.Campaign, err error) error {
	e, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return err
	}
	switch extra := e.Extra.(type) {
	case eligibility.Decision:
		return e.With(campaignDecision{c, extra})
	case []slot.Available:
		return e.With(campaignAlternatives{c, extra})
	}
	return err
}

// PlaceHold answers PUT /v1/campaigns/{campaign}/hold.
func (s *Server) PlaceHold(ctx context.Context, r PlaceHoldRequestObject) (PlaceHoldResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	who, err := s.claimant(ctx, c, sessionOf(ctx))
	if err != nil {
		return nil, err
	}
	h, err := s.Bookings.Hold(untilTheyLeave(ctx, s.Clock), c, through(who, admissionOf(ctx)), booking.HoldRequest{
		Slot: r.Body.SlotId, InsteadOf: orElse(r.Body.InsteadOf, ""), Replaces: orElse(r.Body.Replaces, ""),
	})
	s.Pulse.Meter.Count(c.ID, pulse.Held, pulse.Who{Person: sessionOf(ctx).Person}, err == nil)
	if err != nil {
		return nil, inCampaign(c, err)
	}
	hold, err := s.hold(h)
	return PlaceHold200JSONResponse(hold), err
}

// GetHold answers GET /v1/campaigns/{campaign}/hold.
func (s *Server) GetHold(ctx context.Context, r GetHoldRequestObject) (GetHoldResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	h, live, err := s.Slots.Live(ctx, c.ID, sessionOf(ctx).Person)
	if err != nil {
		return nil, err
	}
	if !live {
		return nil, fault.New(fault.NotFound, fault.CodeNoHold)
	}
	hold, err := s.hold(h)
	return GetHold200JSONResponse(hold), err
}

// ReleaseHold answers DELETE /v1/campaigns/{campaign}/hold.
func (s *Server) ReleaseHold(ctx context.Context, r ReleaseHoldRequestObject) (ReleaseHoldResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	return ReleaseHold204Response{}, s.Bookings.Release(ctx, c, sessionOf(ctx).Person)
}

// ConfirmBooking answers PUT /v1/campaigns/{campaign}/booking.
func (s *Server) ConfirmBooking(ctx context.Context, r ConfirmBookingRequestObject) (ConfirmBookingResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	b, fresh, err := s.Bookings.Confirm(ctx, c, sessionOf(ctx).Person, r.Body.HoldToken)
	s.Pulse.Meter.Count(c.ID, pulse.Booked, pulse.Who{Person: sessionOf(ctx).Person}, fresh)
	if err == nil {
		s.Rooms.Left(admissionOf(ctx))
	}
	switch {
	case err != nil:
		return nil, inCampaign(c, err)
	case fresh:
		return ConfirmBooking201JSONResponse(s.booking(c, b)), nil
	default:
		return ConfirmBooking200JSONResponse(s.booking(c, b)), nil
	}
}

// GetBooking answers GET /v1/campaigns/{campaign}/booking.
func (s *Server) GetBooking(ctx context.Context, r GetBookingRequestObject) (GetBookingResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	b, err := s.Bookings.Latest(ctx, c, sessionOf(ctx).Person)
	if err != nil {
		return nil, err
	}
	return GetBooking200JSONResponse(s.booking(c, b)), nil
}

// CancelBooking answers DELETE /v1/campaigns/{campaign}/bookings/{booking}.
func (s *Server) CancelBooking(ctx context.Context, r CancelBookingRequestObject) (CancelBookingResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	by := sessionOf(ctx)
	b, err := s.Bookings.Cancel(ctx, c, booking.Claimant{Person: by.Person, Actor: by.Actor}, r.Booking)
	s.Pulse.Meter.Count(c.ID, pulse.Cancelled, pulse.Who{Person: by.Person}, err == nil)
	if err != nil {
		return nil, err
	}
	return CancelBooking200JSONResponse(s.booking(c, b)), nil
}

// GetCalendar answers GET /v1/campaigns/{campaign}/booking/calendar.ics.
func (s *Server) GetCalendar(ctx context.Context, r GetCalendarRequestObject) (GetCalendarResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	b, err := s.Bookings.Latest(ctx, c, sessionOf(ctx).Person)
	if err != nil {
		return nil, err
	}
	file := s.calendar(c, b, languageIn(ctx))
	return GetCalendar200TextcalendarResponse{Body: strings.NewReader(file), ContentLength: int64(len(file))}, nil
}

// hold shows a hold, with the token that confirms it.
func (s *Server) hold(h slot.Hold) (Hold, error) {
	c, err := s.Campaigns.Get(h.Campaign)
	if err != nil {
		return Hold{}, err
	}
	place, ok := s.Slots.Get(h.Campaign, h.Slot)
	if !ok {
		return Hold{}, fault.New(fault.NotFound, fault.CodeSlotNotFound)
	}
	holdToken, err := s.Slots.Token(h)
	if err != nil {
		return Hold{}, err
	}
	out := Hold{
		HoldId: h.ID.String(), HoldToken: holdToken, Slot: place2(c, place), ExpiresAt: s.shown(h.ExpiresAt).In(c.Location),
	}
	if h.Replaces != uuid.Nil {
		replaces := h.Replaces.String()
		out.Replaces = &replaces
	}
	return out, nil
}

func place2(c *campaign.Campaign, p slot.Place) Slot {
	return Slot{SlotId: slot.FormatID(p.ID), SiteId: p.Site, StartsAt: p.StartsAt.In(c.Location), EndsAt: p.EndsAt.In(c.Location)}
}

func (s *Server) booking(c *campaign.Campaign, b booking.Detailed) Booking {
	until := b.ChangeUntil.In(c.Location)
	out := Booking{
		BookingId: b.ID.String(), Reference: b.Reference, Status: BookingStatus(b.Status), CampaignId: c.ID,
		Slot: place2(c, b.Place), Site: site(b.Site), BookedAt: s.shown(b.CreatedAt).In(c.Location), ChangeUntil: &until,
	}
	if b.Status == booking.Cancelled {
		at := s.shown(b.EndedAt).In(c.Location)
		out.CancelledAt, out.ChangeUntil = &at, nil
	}
	return out
}

func site(x campaign.Site) Site {
	return Site{
		SiteId: x.ID, Name: x.Name, NameEn: unlessZero(x.NameEn), Address: x.Address, Telephone: unlessZero(x.Telephone),
		Latitude: x.Latitude, Longitude: x.Longitude, Wheelchair: x.Wheelchair,
		State: unlessZero(x.State), City: unlessZero(x.City), PostalCode: unlessZero(x.PostalCode),
	}
}
