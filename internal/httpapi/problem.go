package httpapi

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"jari/internal/booking"
	"jari/internal/clock"
	"jari/internal/eligibility"
	"jari/internal/fault"
	"jari/internal/identity"
	"jari/internal/slot"
	"jari/internal/staff"
	"jari/internal/waitingroom"
)

// status is the one place where kinds become HTTP.
func status(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case fault.Conflict:
		return http.StatusConflict
	case fault.Gone:
		return http.StatusGone
	case fault.Precondition:
		return http.StatusPreconditionFailed
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Unsupported:
		return http.StatusUnsupportedMediaType
	case fault.TooMany:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Internal:
	}
	return http.StatusInternalServerError
}

// asFault turns any error into one with a public code. What isn't expected becomes a mute 500.
func asFault(err error) *fault.Error {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e
	}
	if h, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch h.Code {
		case http.StatusNotFound:
			return fault.New(fault.NotFound, fault.CodeNotFound)
		case http.StatusMethodNotAllowed:
			return fault.New(fault.MethodNotAllowed, fault.CodeMethodNotAllowed)
		case http.StatusRequestEntityTooLarge:
			return fault.New(fault.TooLarge, fault.CodeBodyTooLarge)
		case http.StatusUnsupportedMediaType:
			return fault.New(fault.Unsupported, fault.CodeUnsupportedMedia)
		case http.StatusBadRequest:
			// Without its cause, which can repeat what was sent.
			return fault.New(fault.Invalid, fault.CodeInvalidRequest)
		}
	}
	return fault.New(fault.Internal, fault.CodeInternal).Because(err)
}

// answerProblem is the web framework's error handler.
func (s *Server) answerProblem(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	e := asFault(err)
	s.Pulse.Meter.Refused(e.Code)
	id := requestID(c)
	code := status(e.Kind)
	if e.Kind == fault.Internal && !errors.Is(err, c.Request().Context().Err()) {
		s.Log.Error("unexpected", "request_id", id, "route", c.Path(), "error", err)
	} else {
		s.Log.LogAttrs(c.Request().Context(), slog.LevelDebug, "refused",
			slog.String("request_id", id), slog.String("code", string(e.Code)), slog.Any("error", err))
	}
	language := languageOf(c.Request())
	words := wordsOf(e.Code, language)
	p := Problem{
		Type: "urn:jari:problem:" + string(e.Code), Title: words.title, Status: code,
		Code: ProblemCode(e.Code), RequestId: id,
	}
	if words.detail != "" {
		p.Detail = &words.detail
	}
	header := c.Response().Header()
	if e.RetryAfter > 0 {
		seconds := int(math.Ceil(e.RetryAfter.Seconds()))
		at := s.Clock.Now().Add(e.RetryAfter).Truncate(time.Second).Add(time.Second)
		p.RetryAfterSeconds, p.RetryAt = &seconds, &at
		header.Set(echo.HeaderRetryAfter, strconv.Itoa(seconds))
	}
	s.addExtra(&p, e)
	if code == http.StatusUnauthorized {
		header.Set(echo.HeaderWWWAuthenticate, `Bearer realm="jari"`)
	}
	header.Set(echo.HeaderCacheControl, "no-store")
	header.Set("Content-Language", language)
	body, err := json.Marshal(p)
	if err != nil {
		s.Log.Error("a problem can't be encoded", "request_id", id, "error", err)
		code, body = http.StatusInternalServerError, nil
	}
	if err := c.Blob(code, "application/problem+json; charset=utf-8", body); err != nil {
		s.Log.Debug("a problem couldn't be sent", "request_id", id, "error", err)
	}
}

// addExtra shows what the code's documentation promises besides.
func (s *Server) addExtra(p *Problem, e *fault.Error) {
	if len(e.Fields) > 0 {
		fields := make([]ProblemField, len(e.Fields))
		for i, f := range e.Fields {
			fields[i] = ProblemField{Pointer: f.Pointer, Problem: f.Problem}
		}
		p.Fields = &fields
	}
	switch extra := e.Extra.(type) {
	case CampaignCheck:
		p.Check = &extra
	case staff.Approval:
		if a, err := s.approval(extra); err == nil {
			a.Request = nil // who asks knows it
			p.Approval = &a
		}
	case identity.ListFaults:
		p.RefusedRows = refusedRows(extra)
	case identity.AttemptsLeft:
		left := int(extra)
		p.AttemptsLeft = &left
	case campaignDecision:
		d := s.decision(extra.campaign, extra.decision)
		p.Decision = &d
	case waitingroom.NotYourTurn:
		serving := int64(extra.Serving) //nolint:gosec // counted by Postgres
		p.Serving = &serving
		if extra.Position != nil {
			position := int64(*extra.Position) //nolint:gosec // counted by Postgres
			p.Position = &position
		}
		if extra.Late {
			p.Late = &extra.Late
		}
		if extra.Ticket != nil {
			t := ticket(waitingroom.CodesRoom, *extra.Ticket)
			p.Ticket = &t
		}
	case slot.Copy:
		p.Booked = &extra.Booked
	case booking.Elsewhere:
		shown := place2(extra.Campaign, extra.Place)
		p.Slot = &shown
	case slot.Hold:
		if hold, err := s.hold(extra); err == nil {
			p.Hold = &hold
		}
	case campaignAlternatives:
		list := alternatives(extra.campaign, extra.slots)
		p.Alternatives = &list
	case eligibility.Decision, []slot.Available:
		// A handler forgot inCampaign; without the campaign's zone and titles they can't be shown.
		s.Log.Error("a refusal lost its campaign", "code", string(e.Code))
	}
}

// shown turns real time into the time that people see.
func (s *Server) shown(t time.Time) time.Time { return clock.Shown(s.Clock, t) }
