package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"jari/internal/fault"
	"jari/internal/token"
)

// Cookies carry what browsers need. The prefix makes browsers refuse them from any other host or path.
const (
	sessionCookie   = "__Host-jari-session"
	admissionCookie = "__Host-jari-admission"
	admissionHeader = "Jari-Admission"
)

// asking is who asks, and in which language, in the context of a request.
type asking struct {
	session  token.Session // zero for public operations
	language string
}

// askingKey finds asking in a context.
type askingKey struct{}

// sessionOf returns the session that the guard let through. Public operations have none.
func sessionOf(ctx context.Context) token.Session {
	a, _ := ctx.Value(askingKey{}).(asking)
	return a.session
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
			if g != public {
				var err error
				if a.session, err = s.authenticate(c); err != nil {
					return err
				}
			}
			if g == admitted {
				if err := s.admitted(c, a.session); err != nil {
					return err
				}
			}
			c.SetRequest(r.WithContext(context.WithValue(r.Context(), askingKey{}, a)))
			return next(c)
		}
	}
}

// authenticate reads the session from the header or, for browsers, from the cookie. A cookie that can't be used is taken
// back, so that a browser with a bad one recovers by verifying again.
func (s *Server) authenticate(c echo.Context) (token.Session, error) {
	r := c.Request()
	if header := r.Header.Get(echo.HeaderAuthorization); header != "" {
		text, ok := strings.CutPrefix(header, "Bearer ")
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

// admitted checks the admission of the session's person to the campaign of the path.
func (s *Server) admitted(c echo.Context, t token.Session) error {
	campaign, err := s.Campaigns.Get(c.Param("campaign"))
	if err != nil {
		return err
	}
	text := c.Request().Header.Get(admissionHeader)
	if text == "" {
		if cookie, err := c.Request().Cookie(admissionCookie); err == nil {
			text = cookie.Value
		}
	}
	return s.Rooms.Check(text, campaign.ID, t.Person)
}

// cookie makes a cookie that scripts can't read and other sites can't send.
func cookie(name, value string, seconds int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: seconds,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

func takeBack(name string) *http.Cookie { return cookie(name, "", -1) }
