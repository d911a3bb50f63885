package httpapi

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"jari/internal/audit"
	"jari/internal/booking"
	"jari/internal/campaign"
	"jari/internal/eligibility"
	"jari/internal/fault"
	"jari/internal/identity"
	"jari/internal/waitingroom"
)

// RegisterPerson answers POST /admin/v1/people.
func (s *Server) RegisterPerson(ctx context.Context, r RegisterPersonRequestObject) (RegisterPersonResponseObject, error) {
	claims := identity.Claims{Name: r.Body.Name, Phone: r.Body.Phone, NationalID: orElse(r.Body.NationalId, ""), Number: orElse(r.Body.Number, "")}
	if r.Body.BirthDate != nil {
		claims.BirthDate = *r.Body.BirthDate
	}
	p, known, err := s.Identity.Register(ctx, identity.Desk{Reason: strings.TrimSpace(r.Body.Reason)}, claims,
		string(orElse(r.Body.Language, PersonRegistrationLanguageKo)), orElse(r.Body.Another, false))
	switch {
	case err != nil:
		return nil, err
	case known:
		return RegisterPerson200JSONResponse(maskedPerson(p)), nil
	default:
		return RegisterPerson201JSONResponse(maskedPerson(p)), nil
	}
}

// SearchPeople answers POST /admin/v1/people/search.
func (s *Server) SearchPeople(ctx context.Context, r SearchPeopleRequestObject) (SearchPeopleResponseObject, error) {
	people, err := s.Identity.Find(ctx, search(r.Body.Person))
	if err != nil {
		return nil, err
	}
	list := PeopleList{People: []MaskedPerson{}}
	var ids []string
	var only uuid.UUID
	for _, p := range people {
		list.People = append(list.People, maskedPerson(p))
		ids, only = append(ids, p.ID.String()), p.ID
	}
	details := map[string]any{"found": len(people)}
	if len(ids) > 1 {
		only, details["people"] = uuid.Nil, ids
	}
	return SearchPeople200JSONResponse(list), s.looked(ctx, "person.search", "people", only, r.Body.Reason, details)
}

// knownPerson returns the person of a path.
func (s *Server) knownPerson(ctx context.Context, id string) (identity.Person, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return identity.Person{}, fault.New(fault.NotFound, fault.CodePersonNotFound)
	}
	return s.Identity.Known(ctx, parsed)
}

// factsOf are what the rules of a campaign want to know of somebody who isn't asking.
func (s *Server) factsOf(ctx context.Context, campaignID string, p identity.Person) (eligibility.Facts, error) {
	facts := eligibility.Facts{BirthDate: p.BirthDate}
	named := s.Campaigns.Lists(campaignID)
	if len(named) == 0 {
		return facts, nil
	}
	on, err := s.Identity.ListsOf(ctx, p.ID, named)
	facts.Lists = eligibility.OnLists(on...)
	return facts, err
}

// TakePlaceFor answers PUT /admin/v1/rooms/{room}/people/{person}/place.
func (s *Server) TakePlaceFor(ctx context.Context, r TakePlaceForRequestObject) (TakePlaceForResponseObject, error) {
	p, err := s.knownPerson(ctx, r.Person)
	if err != nil {
		return nil, err
	}
	if err := s.entitledIn(r.Room, func(in *campaign.Campaign) (eligibility.Facts, error) {
		return s.factsOf(ctx, in.ID, p)
	}); err != nil {
		return nil, err
	}
	if err := s.Audit.Record(ctx, audit.Entry{
		Act: "room.place_for", Subject: r.Room, Person: p.ID, Reason: strings.TrimSpace(r.Body.Reason),
	}); err != nil {
		return nil, err
	}
	if _, err := s.Rooms.Take(ctx, r.Room, p.ID, false); err != nil {
		return nil, err
	}
	turn, err := s.Rooms.TurnOf(ctx, r.Room, p.ID)
	if err != nil {
		return nil, err
	}
	place := TakePlaceFor200JSONResponse{RoomId: r.Room, PersonId: p.ID.String(), Called: turn.Called, Serving: int64(turn.Serving)} //nolint:gosec // counted by Postgres
	if turn.Position != nil {
		position := int64(*turn.Position) //nolint:gosec // counted by Postgres
		place.Position = &position
	}
	if turn.Late {
		place.Late = &turn.Late
	}
	return place, nil
}

// BookFor answers PUT /admin/v1/campaigns/{campaign}/people/{person}/booking.
func (s *Server) BookFor(ctx context.Context, r BookForRequestObject) (BookForResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	p, err := s.knownPerson(ctx, r.Person)
	if err != nil {
		return nil, err
	}
	facts, err := s.factsOf(ctx, c.ID, p)
	if err != nil {
		return nil, err
	}
	door := deskDoor{s: s, campaign: c, person: p.ID}
	b, fresh, err := s.Bookings.BookFor(ctx, c, booking.Claimant{Person: p.ID, Facts: facts}, booking.DeskRequest{
		HoldRequest: booking.HoldRequest{Slot: r.Body.SlotId, InsteadOf: orElse(r.Body.InsteadOf, ""), Replaces: orElse(r.Body.Replaces, "")},
		By:          keyOf(ctx).ID, Reason: strings.TrimSpace(r.Body.Reason), Admit: door.open,
	})
	if err != nil {
		return nil, inCampaign(c, err)
	}
	door.shut()
	shown := s.staffBooking(c, b, p)
	if fresh {
		return BookFor201JSONResponse(shown), nil
	}
	return BookFor200JSONResponse(shown), nil
}

// deskDoor lets a person into a room through the desk: by their own place, as they would come in themself.
type deskDoor struct {
	s        *Server
	campaign *campaign.Campaign
	person   uuid.UUID
	admitted string
}

func (d *deskDoor) open(ctx context.Context, room string) error {
	if _, line := d.campaign.Line(room); !line {
		return nil // the campaign's own room admits at once
	}
	a, err := d.s.Rooms.Admit(ctx, waitingroom.Claim{Room: room, Person: d.person, Holds: func(ctx context.Context) bool {
		_, live, err := d.s.Slots.Live(ctx, d.campaign.ID, d.person)
		return err == nil && live
	}})
	d.admitted = a.Token
	return err
}

// shut makes room for the next: who is booked is inside no more.
func (d *deskDoor) shut() {
	if a, err := d.s.Rooms.Check(d.admitted, d.campaign.ID, d.person); err == nil {
		d.s.Rooms.Left(a)
	}
}

// CancelFor answers POST /admin/v1/campaigns/{campaign}/bookings/{booking}/cancel.
func (s *Server) CancelFor(ctx context.Context, r CancelForRequestObject) (CancelForResponseObject, error) {
	c, b, err := s.atBooking(ctx, r.Campaign, r.Booking)
	if err != nil {
		return nil, err
	}
	if b, err = s.Bookings.CancelFor(ctx, c, b, keyOf(ctx).ID, strings.TrimSpace(r.Body.Reason)); err != nil {
		return nil, err
	}
	shown, err := s.staffBookings(ctx, c, []booking.Detailed{b})
	if err != nil {
		return nil, err
	}
	return CancelFor200JSONResponse(shown[0]), nil
}
