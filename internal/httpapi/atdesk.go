package httpapi

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"jari/internal/fault"
	"jari/internal/identity"
)

// ListFlagged answers GET /admin/v1/people/flagged.
func (s *Server) ListFlagged(ctx context.Context, r ListFlaggedRequestObject) (ListFlaggedResponseObject, error) {
	after, afterPerson, err := readFlaggedMark(orElse(r.Params.After, ""))
	if err != nil {
		return nil, err
	}
	most := orElse(r.Params.Limit, 100)
	flagged, err := s.Identity.ListFlagged(ctx, after, afterPerson, most)
	if err != nil {
		return nil, err
	}
	list := FlaggedList{People: []FlaggedPerson{}}
	for _, f := range flagged {
		shown := FlaggedPerson{Person: maskedPerson(f.Person), FlaggedAt: f.FlaggedAt.UTC(), OtherPersonIds: []string{}}
		for _, other := range f.Others {
			shown.OtherPersonIds = append(shown.OtherPersonIds, other.String())
		}
		list.People = append(list.People, shown)
	}
	if len(flagged) == most {
		last := flagged[most-1]
		list.Next = unlessZero(last.FlaggedAt.UTC().Format(time.RFC3339Nano) + "_" + last.Person.ID.String())
	}
	return ListFlagged200JSONResponse(list), nil
}

// readFlaggedMark reads how far a list came.
func readFlaggedMark(text string) (after time.Time, person uuid.UUID, err error) {
	if text == "" {
		return after, person, nil
	}
	at, id, _ := strings.Cut(text, "_")
	after, err = time.Parse(time.RFC3339Nano, at)
	if err == nil {
		person, err = uuid.Parse(id)
	}
	if err != nil {
		return after, person, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("after", "isn't what an answer gave as next")
	}
	return after, person, nil
}

// personOf reads the person of a path, or refuses with not_found.
func personOf(id string) (uuid.UUID, error) {
	person, err := uuid.Parse(id)
	if err != nil {
		return uuid.Nil, fault.New(fault.NotFound, fault.CodeNotFound)
	}
	return person, nil
}

// SettlePerson answers POST /admin/v1/people/{person}/settle.
func (s *Server) SettlePerson(ctx context.Context, r SettlePersonRequestObject) (SettlePersonResponseObject, error) {
	person, err := personOf(r.Person)
	if err == nil {
		err = s.Identity.Settle(ctx, identity.Desk{Reason: r.Body.Reason}, person)
	}
	if err != nil {
		return nil, err
	}
	return SettlePerson204Response{}, nil
}

// GiveNewPhone answers PUT /admin/v1/people/{person}/phone.
func (s *Server) GiveNewPhone(ctx context.Context, r GiveNewPhoneRequestObject) (GiveNewPhoneResponseObject, error) {
	person, err := personOf(r.Person)
	if err == nil {
		err = s.Identity.GiveNewPhone(ctx, identity.Desk{Reason: r.Body.Reason}, person, r.Body.Phone)
	}
	if err != nil {
		return nil, err
	}
	return GiveNewPhone204Response{}, nil
}

// CorrectName answers PUT /admin/v1/people/{person}/name.
func (s *Server) CorrectName(ctx context.Context, r CorrectNameRequestObject) (CorrectNameResponseObject, error) {
	person, err := personOf(r.Person)
	if err == nil {
		err = s.Identity.CorrectName(ctx, identity.Desk{Reason: r.Body.Reason}, person, r.Body.Name)
	}
	if err != nil {
		return nil, err
	}
	return CorrectName204Response{}, nil
}
