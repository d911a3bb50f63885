package httpapi

import (
	"context"
	"net/http"

	"jari/internal/fault"
	"jari/internal/identity"
	"jari/internal/pulse"
)

// GetIdentity answers GET /v1/identity.
func (s *Server) GetIdentity(context.Context, GetIdentityRequestObject) (GetIdentityResponseObject, error) {
	o := s.Identity.Offers()
	body := Identity{Scheme: IdentityScheme(o.Scheme), SignIn: o.SignIn, Beneficiaries: o.Beneficiaries}
	if o.MinorAge > 0 {
		body.MinorAge = &o.MinorAge
	}
	if s.CodesRoom != "" && !o.SignIn {
		body.CodesRoom = &s.CodesRoom
	}
	return GetIdentity200JSONResponse{Body: body, Headers: GetIdentity200ResponseHeaders{CacheControl: &long}}, nil
}

// StartSignIn answers POST /v1/sign-ins.
func (s *Server) StartSignIn(ctx context.Context, _ StartSignInRequestObject) (StartSignInResponseObject, error) {
	in, err := s.Identity.StartSignIn(ctx, languageIn(ctx))
	s.Pulse.Meter.Count("", pulse.Began, pulse.Who{Block: fromIn(ctx).Block}, err == nil)
	if err != nil {
		return nil, err
	}
	return StartSignIn200JSONResponse{SignIn: in.Ticket, RedirectUrl: in.URL, ExpiresAt: s.shown(in.ExpiresAt)}, nil
}

// signedIn is a session, and the cookie that carries it for browsers.
type signedIn struct {
	ConfirmSignIn200JSONResponse
	cookie *http.Cookie
}

// VisitConfirmSignInResponse writes the answer.
func (a signedIn) VisitConfirmSignInResponse(w http.ResponseWriter) error {
	http.SetCookie(w, a.cookie)
	return a.ConfirmSignIn200JSONResponse.VisitConfirmSignInResponse(w)
}

// ConfirmSignIn answers POST /v1/sign-ins/confirm.
func (s *Server) ConfirmSignIn(ctx context.Context, r ConfirmSignInRequestObject) (ConfirmSignInResponseObject, error) {
	session, err := s.Identity.ConfirmSignIn(ctx, returned(*r.Body))
	s.countVerified(ctx, session, err)
	if err != nil {
		return nil, err
	}
	body, cookie := s.session(session)
	return signedIn{ConfirmSignIn200JSONResponse{Body: body}, cookie}, nil
}

func returned(r SignInReturn) identity.Return {
	return identity.Return{Ticket: r.SignIn, State: r.State, Code: r.Code}
}

// acting is a session of somebody else. An admission in the browser is the caller's, and would only be refused.
type acting struct {
	ActFor200JSONResponse
	cookie *http.Cookie
}

// VisitActForResponse writes the answer.
func (a acting) VisitActForResponse(w http.ResponseWriter) error {
	http.SetCookie(w, a.cookie)
	http.SetCookie(w, takeBack(admissionCookie))
	return a.ActFor200JSONResponse.VisitActForResponse(w)
}

// ActFor answers POST /v1/me/acting-for. The contract lets exactly one of the ways through.
func (s *Server) ActFor(ctx context.Context, r ActForRequestObject) (ActForResponseObject, error) {
	var session identity.Session
	var err error
	caller := sessionOf(ctx)
	switch {
	case r.Body.Minor != nil:
		session, err = s.Identity.ActForMinor(ctx, caller, identity.Minor{Name: r.Body.Minor.Name, BirthDate: r.Body.Minor.BirthDate}, languageIn(ctx))
	case r.Body.Verification != nil:
		session, err = s.Identity.ActFor(ctx, caller, r.Body.Verification.VerificationId, r.Body.Verification.Code)
	case r.Body.SignIn != nil:
		session, err = s.Identity.ActForSignIn(ctx, caller, returned(*r.Body.SignIn))
	case r.Body.Myself != nil:
		session, err = s.Identity.ActForMyself(ctx, caller)
	default:
		err = fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/", "must say for whom")
	}
	s.countVerified(ctx, session, err)
	if err != nil {
		return nil, err
	}
	body, cookie := s.session(session)
	return acting{ActFor200JSONResponse{Body: body}, cookie}, nil
}

// StartPhoneChange answers POST /v1/me/phone.
func (s *Server) StartPhoneChange(ctx context.Context, r StartPhoneChangeRequestObject) (StartPhoneChangeResponseObject, error) {
	from := fromIn(ctx)
	from.Ticket = orElse(r.Body.Ticket, "")
	v, err := s.Identity.StartPhoneChange(ctx, sessionOf(ctx), r.Body.Phone, languageIn(ctx), from)
	if err != nil {
		return nil, err
	}
	return StartPhoneChange202JSONResponse(s.verification(v)), nil
}

// ConfirmPhoneChange answers POST /v1/me/phone/{verification}/confirm.
func (s *Server) ConfirmPhoneChange(ctx context.Context, r ConfirmPhoneChangeRequestObject) (ConfirmPhoneChangeResponseObject, error) {
	next, err := s.Identity.ConfirmPhoneChange(ctx, sessionOf(ctx), r.Verification, r.Body.Code, fromIn(ctx))
	if err != nil {
		return nil, err
	}
	out := PhoneChange{Changed: next == nil}
	if next != nil {
		v := s.verification(*next)
		out.Verification = &v
	}
	return ConfirmPhoneChange200JSONResponse(out), nil
}
