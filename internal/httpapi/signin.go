package httpapi

import (
	"context"

	"github.com/google/uuid"

	"jari/internal/fault"
	"jari/internal/openid"
	"jari/internal/staff"
)

// StartStaffSignIn answers POST /admin/v1/sign-ins.
func (s *Server) StartStaffSignIn(ctx context.Context, _ StartStaffSignInRequestObject) (StartStaffSignInResponseObject, error) {
	in, err := s.Staff.StartSignIn(ctx, languageIn(ctx))
	if err != nil {
		return nil, err
	}
	// Real time, as all that administrators' keys and sessions say: they expire by it.
	return StartStaffSignIn200JSONResponse{SignIn: in.Ticket, RedirectUrl: in.URL, ExpiresAt: in.ExpiresAt.UTC()}, nil
}

// ConfirmStaffSignIn answers POST /admin/v1/sign-ins/confirm.
func (s *Server) ConfirmStaffSignIn(ctx context.Context, r ConfirmStaffSignInRequestObject) (ConfirmStaffSignInResponseObject, error) {
	in := openid.Return{Ticket: r.Body.SignIn, State: r.Body.State, Code: r.Body.Code}
	session, err := s.Staff.ConfirmSignIn(ctx, in, orElse(r.Body.Grant, ""), addressIn(ctx))
	if err != nil {
		return nil, err
	}
	return ConfirmStaffSignIn200JSONResponse{
		Token: session.Text, ExpiresAt: session.Key.ExpiresAt.UTC(), Me: staffMe(session.Key), Grants: session.Grants,
	}, nil
}

// GetStaffMe answers GET /admin/v1/me.
func (s *Server) GetStaffMe(ctx context.Context, _ GetStaffMeRequestObject) (GetStaffMeResponseObject, error) {
	return GetStaffMe200JSONResponse(staffMe(keyOf(ctx))), nil
}

// EndStaffSession answers DELETE /admin/v1/me/session.
func (s *Server) EndStaffSession(ctx context.Context, _ EndStaffSessionRequestObject) (EndStaffSessionResponseObject, error) {
	return EndStaffSession204Response{}, s.Staff.SignOut(ctx, keyOf(ctx))
}

// ListStaff answers GET /admin/v1/staff.
func (s *Server) ListStaff(ctx context.Context, _ ListStaffRequestObject) (ListStaffResponseObject, error) {
	people, err := s.Staff.People(ctx)
	if err != nil {
		return nil, err
	}
	list := StaffList{Staff: []StaffPerson{}}
	for _, p := range people {
		list.Staff = append(list.Staff, staffPerson(p))
	}
	return ListStaff200JSONResponse(list), nil
}

// EndStaffSessions answers DELETE /admin/v1/staff/{staff}/sessions.
func (s *Server) EndStaffSessions(ctx context.Context, r EndStaffSessionsRequestObject) (EndStaffSessionsResponseObject, error) {
	id, err := uuid.Parse(r.Staff)
	if err != nil {
		return nil, fault.New(fault.NotFound, fault.CodeStaffNotFound)
	}
	p, err := s.Staff.EndSessions(ctx, id)
	if err != nil {
		return nil, err
	}
	return EndStaffSessions200JSONResponse(staffPerson(p)), nil
}

func staffMe(k staff.Key) StaffMe {
	return StaffMe{
		Actor: k.Actor(), Name: k.Name, Role: AdminRole(k.Role), CampaignId: unlessZero(k.Campaign), SiteId: unlessZero(k.Site),
		StaffId: staffID(k.Staff), SignedIn: k.Session != "", ExpiresAt: k.ExpiresAt.UTC(),
	}
}

func staffPerson(p staff.Person) StaffPerson {
	return StaffPerson{
		StaffId: p.ID.String(), Name: p.Name, Grants: append([]string{}, p.Grants...), CreatedAt: p.CreatedAt.UTC(),
		SignedInAt: p.SignedInAt.UTC(), Sessions: p.Sessions,
	}
}

func staffID(id uuid.UUID) *string {
	if id == uuid.Nil {
		return nil
	}
	text := id.String()
	return &text
}
