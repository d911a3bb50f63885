package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"jari/internal/audit"
	"jari/internal/fault"
	"jari/internal/identity"
	"jari/internal/staff"
	"jari/internal/token"
)

// Cookies carry what browsers need. The prefix makes browsers refuse them from any other host or path.
const (
	sessionCookie   = "__Host-jari-session"
	admissionCookie = "__Host-jari-admission"
	admissionHeader = "Jari-Admission"
	deviceCookie    = "__Host-jari-device"
	deviceHeader    = "Jari-Device"
)

// asking is who asks, and in which language, in the context of a request.
type asking struct {
	session token.Session // with person and admitted
	key     staff.Key     // with the role of an administrator
	// admission is with admitted; carried is the admission that a device sent along, whatever it is worth.
	admission token.Admission
	carried   string
	language  string
	from      identity.From // with public and person: for budgets
	address   string        // with public: for the audit
}

// askingKey finds asking in a context.
type askingKey struct{}

// sessionOf returns the session that the guard let through. Public operations have none.
func sessionOf(ctx context.Context) token.Session {
	a, _ := ctx.Value(askingKey{}).(asking)
	return a.session
}

// fromIn returns where a request of a public operation, or of a person, comes from.
func fromIn(ctx context.Context) identity.From {
	a, _ := ctx.Value(askingKey{}).(asking)
	return a.from
}

// addressIn returns the address that a request of a public operation comes from.
func addressIn(ctx context.Context) string {
	a, _ := ctx.Value(askingKey{}).(asking)
	return a.address
}

// languageIn returns the language of the request: ko or en.
func languageIn(ctx context.Context) string {
	if a, ok := ctx.Value(askingKey{}).(asking); ok {
		return a.language
	}
	return languages[0]
}

// guard lets through whom the route table allows.
func (s *Server) guard(g guard) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if g == public && r.Method == http.MethodGet {
				return next(c) // the same for everybody: nobody asks
			}
			a := asking{language: languageOf(r)}
			if err := s.identify(c, g, &a); err != nil {
				return err
			}
			ctx := context.WithValue(r.Context(), askingKey{}, a)
			if a.key.ID != "" {
				ctx = audit.With(ctx, audit.KeyActor(a.key.ID), c.RealIP()) // what is done from here on is this key's
			}
			c.SetRequest(r.WithContext(ctx))
			return next(c)
		}
	}
}

// identify fills in who asks, as far as the guard wants to know.
func (s *Server) identify(c echo.Context, g guard, a *asking) (err error) {
	switch g {
	case public:
		a.from, a.address = s.fromOf(c), c.RealIP()
	case person:
		a.carried, a.from = carriedAdmission(c), s.fromOf(c)
		a.session, err = s.authenticate(c)
	case entitled:
		if a.session, err = s.authenticate(c); err == nil {
			err = s.entitledTo(c, a.session)
		}
	case admitted:
		if a.session, err = s.authenticate(c); err == nil {
			a.admission, err = s.admitted(c, a.session)
		}
	default: // an administrator's role
		a.key, err = s.administrator(c, staff.Role(g))
	}
	return err
}

// administrator reads the key of an administrator and holds its role against the one that is needed. Keys come in the
// header alone, so no page of another origin can use one.
func (s *Server) administrator(c echo.Context, role staff.Role) (staff.Key, error) {
	text, ok := bearer(c.Request().Header.Get(echo.HeaderAuthorization))
	if !ok {
		return staff.Key{}, fault.New(fault.Unauthenticated, fault.CodeKeyRequired)
	}
	key, err := s.Staff.Authenticate(c.Request().Context(), text)
	if err == nil && !key.Role.May(role) {
		err = fault.New(fault.Forbidden, fault.CodeRoleRequired)
	}
	return key, err
}

// authenticate reads the session from the header or, for browsers, from the cookie. A cookie that can't be used is taken
// back, so that a browser with a bad one recovers by verifying again.
func (s *Server) authenticate(c echo.Context) (token.Session, error) {
	r := c.Request()
	if header := r.Header.Get(echo.HeaderAuthorization); header != "" {
		text, ok := bearer(header)
		if !ok {
			return token.Session{}, fault.New(fault.Unauthenticated, fault.CodeSessionRequired)
		}
		return s.Identity.Authenticate(text)
	}
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return token.Session{}, fault.New(fault.Unauthenticated, fault.CodeSessionRequired)
	}
	// A cookie is sent whoever made the page; anything that changes something must come from our own.
	if err := s.origins.Check(r); err != nil {
		return token.Session{}, fault.New(fault.Forbidden, fault.CodeCrossOrigin)
	}
	t, err := s.Identity.Authenticate(cookie.Value)
	if err != nil {
		c.SetCookie(takeBack(sessionCookie))
		c.SetCookie(takeBack(admissionCookie))
	}
	return t, err
}

// bearer takes the token out of an Authorization header. The name of the scheme has no case (RFC 9110).
func bearer(header string) (text string, ok bool) {
	scheme, text, ok := strings.Cut(header, " ")
	return text, ok && strings.EqualFold(scheme, "Bearer")
}

// admitted checks the admission of the session's person to the campaign of the path.
func (s *Server) admitted(c echo.Context, t token.Session) (token.Admission, error) {
	campaign, err := s.Campaigns.Get(c.Param("campaign"))
	if err != nil {
		return token.Admission{}, err
	}
	a, err := s.Rooms.Check(carriedAdmission(c), campaign.ID, t.Person)
	if err == nil {
		s.renew(c, a)
	}
	return a, err
}

// carriedAdmission is what a request has in the place of an admission.
func carriedAdmission(c echo.Context) string {
	text := c.Request().Header.Get(admissionHeader)
	if text == "" {
		if cookie, err := c.Request().Cookie(admissionCookie); err == nil {
			text = cookie.Value
		}
	}
	return text
}

// carriedIn is carriedAdmission of the request of a context.
func carriedIn(ctx context.Context) string {
	a, _ := ctx.Value(askingKey{}).(asking)
	return a.carried
}

// admissionOf returns the admission that the guard let through.
func admissionOf(ctx context.Context) token.Admission {
	a, _ := ctx.Value(askingKey{}).(asking)
	return a.admission
}

// cookie makes a cookie that scripts can't read and other sites can't send.
func cookie(name, value string, seconds int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: seconds,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

func takeBack(name string) *http.Cookie { return cookie(name, "", -1) }
