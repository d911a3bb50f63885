package httpapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"jari/internal/fault"
	"jari/internal/identity"
	"jari/internal/pulse"
)

// StartVerification answers POST /v1/verifications.
func (s *Server) StartVerification(ctx context.Context, r StartVerificationRequestObject) (StartVerificationResponseObject, error) {
	c := identity.Claims{
		Scheme: r.Body.Scheme, Name: r.Body.Name, Phone: r.Body.Phone,
		NationalID: orElse(r.Body.NationalId, ""), Number: orElse(r.Body.Number, ""),
	}
	if r.Body.BirthDate != nil {
		c.BirthDate = *r.Body.BirthDate
	}
	from := fromIn(ctx)
	from.Ticket = orElse(r.Body.Ticket, "")
	v, err := s.Identity.Start(ctx, c, languageIn(ctx), from)
	s.Pulse.Meter.Count("", pulse.Began, pulse.Who{Phone: s.Identity.Phone(c.Phone), Block: from.Block}, err == nil)
	if err != nil {
		return nil, err
	}
	out := s.verification(v)
	if c.NationalID != "" {
		fits := !v.Mistyped
		out.CheckDigitFits = &fits
	}
	return StartVerification202JSONResponse(out), nil
}

// ResendVerification answers POST /v1/verifications/{verification}/resend.
func (s *Server) ResendVerification(ctx context.Context, r ResendVerificationRequestObject) (ResendVerificationResponseObject, error) {
	v, err := s.Identity.Resend(ctx, r.Verification, fromIn(ctx))
	if err != nil {
		return nil, err
	}
	return ResendVerification202JSONResponse(s.verification(v)), nil
}

func (s *Server) verification(v identity.Verification) Verification {
	return Verification{
		VerificationId: v.ID.String(), ExpiresAt: s.shown(v.ExpiresAt), ResendAt: s.shown(v.ResendAt),
		AttemptsLeft: v.AttemptsLeft,
	}
}

// verified is a session, and the cookies that carry it and what the device keeps for browsers.
type verified struct {
	ConfirmVerification200JSONResponse
	cookies [2]*http.Cookie
}

// VisitConfirmVerificationResponse writes the answer.
func (v verified) VisitConfirmVerificationResponse(w http.ResponseWriter) error {
	for _, c := range v.cookies {
		http.SetCookie(w, c)
	}
	return v.ConfirmVerification200JSONResponse.VisitConfirmVerificationResponse(w)
}

// ConfirmVerification answers POST /v1/verifications/{verification}/confirm.
func (s *Server) ConfirmVerification(ctx context.Context, r ConfirmVerificationRequestObject) (ConfirmVerificationResponseObject, error) {
	session, err := s.Identity.Confirm(ctx, r.Verification, r.Body.Code, fromIn(ctx).Device)
	s.countVerified(ctx, session, err)
	if err != nil {
		return nil, err
	}
	body, carried := s.session(session)
	return verified{
		ConfirmVerification200JSONResponse: ConfirmVerification200JSONResponse{Body: body},
		cookies: [2]*http.Cookie{
			carried, cookie(deviceCookie, session.Device, int(session.DeviceExpiresAt.Sub(s.Clock.Real()).Seconds())),
		},
	}, nil
}

// countVerified counts who got a session.
func (s *Server) countVerified(ctx context.Context, x identity.Session, err error) {
	s.Pulse.Meter.Count("", pulse.Verified, pulse.Who{Person: x.Person.ID, Block: fromIn(ctx).Block}, err == nil)
}

// session shows a session, with the cookie that carries it.
func (s *Server) session(x identity.Session) (Session, *http.Cookie) {
	return Session{Token: x.Token, ExpiresAt: s.shown(x.ExpiresAt), Person: masked(x.Person), Device: unlessZero(x.Device)},
		cookie(sessionCookie, x.Token, int(x.ExpiresAt.Sub(s.Clock.Real()).Seconds()))
}

func masked(p identity.Person) Person {
	return Person{Name: identity.MaskName(p.Name), BirthDate: p.BirthDate}
}

// GetMe answers GET /v1/me.
func (s *Server) GetMe(ctx context.Context, _ GetMeRequestObject) (GetMeResponseObject, error) {
	t := sessionOf(ctx)
	p, err := s.Identity.Person(ctx, t.Person)
	if err != nil {
		return nil, err
	}
	campaigns, err := s.Campaigns.List()
	if err != nil {
		return nil, err
	}
	me := Me{Person: masked(p), Campaigns: []MyCampaign{}}
	if t.Actor != t.Person {
		actor, err := s.Identity.Person(ctx, t.Actor)
		if err != nil {
			return nil, err
		}
		shown := masked(actor)
		me.Actor = &shown
	}
	for _, c := range campaigns {
		step, room, err := s.myRoom(ctx, c, t)
		if err != nil {
			return nil, err
		}
		mine := MyCampaign{CampaignId: c.ID, Step: step, Room: room}
		booked, err := s.Bookings.Latest(ctx, c, t.Person)
		switch {
		case err == nil:
			if b := s.booking(c, booked); b.Status == BookingStatusActive {
				mine.Step, mine.Booking = MyCampaignStepBooked, &b
			}
		case fault.CodeOf(err) != fault.CodeNoBooking:
			return nil, err
		}
		// A live hold comes first: it ends soon. But one that confirming can only refuse doesn't. Without Redis the rest is
		// still worth saying.
		if h, live, err := s.Slots.Live(ctx, c.ID, t.Person); err == nil && live && (mine.Booking == nil || h.Replaces != uuid.Nil) {
			hold, err := s.hold(h)
			if err != nil {
				return nil, err
			}
			mine.Step, mine.Hold = MyCampaignStepConfirm, &hold
		}
		me.Campaigns = append(me.Campaigns, mine)
	}
	return GetMe200JSONResponse(me), nil
}

// forgotten takes the cookies back.
type forgotten struct{ EndSession204Response }

// VisitEndSessionResponse writes the answer.
func (f forgotten) VisitEndSessionResponse(w http.ResponseWriter) error {
	http.SetCookie(w, takeBack(sessionCookie))
	http.SetCookie(w, takeBack(admissionCookie))
	http.SetCookie(w, takeBack(deviceCookie))
	return f.EndSession204Response.VisitEndSessionResponse(w)
}

// EndSession answers DELETE /v1/session.
func (s *Server) EndSession(ctx context.Context, _ EndSessionRequestObject) (EndSessionResponseObject, error) {
	if err := s.Identity.End(ctx, sessionOf(ctx)); err != nil {
		return nil, err
	}
	return forgotten{}, nil
}
