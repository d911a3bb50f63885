package journey_test

import (
	"net/http"
	"testing"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

func TestKnownFailuresOfTheLine(t *testing.T) {
	t.Parallel()
	for name, claim := range map[string]func(*testing.T){
		"network_error_never_admits":      networkErrorNeverAdmits,
		"place_survives_error_and_reload": placeSurvivesErrorAndReload,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claim(t)
		})
	}
}

// slowRoom calls so few people that somebody in it waits for as long as a test runs.
const slowRoom = `
rooms:
  - room: evening
    waves: [F1]
    admit_per_second: 1
    max_active: 1
`

// waiting is somebody behind others in a room that calls hardly anybody, on two instances.
func waiting(t *testing.T) (s, other *jaritest.Server, c *jaritest.Citizen, ticket httpapi.Ticket) {
	t.Helper()
	s = jaritest.Start(t, jaritest.WithRooms(slowRoom))
	other = s.Another(t)
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	until(t, s, httpapi.RoomStateOpen)
	until(t, other, httpapi.RoomStateOpen)
	for _, before := range verified(t, s, 60, jaritest.BornForF1) {
		takeTicket(t, before)
	}
	c = verified(t, s, 1, jaritest.BornForF1)[0]
	return s, other, c, takeTicket(t, c)
}

// In 2021 three seconds of airplane mode let people in: the page took an error for a yes.
func networkErrorNeverAdmits(t *testing.T) {
	s, other, c, ticket := waiting(t)
	slot := s.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay)
	for _, on := range []*jaritest.Server{s, other} {
		for _, q := range []jaritest.Request{
			c.Request(http.MethodPut, inRoom("/admission"), map[string]any{"ticket": ticket.Ticket}),
			c.Request(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(slot)),
			c.Request(http.MethodGet, "/v1/me", nil),
		} {
			on.HangUp(t, q)
		}
		comeIn(t, c.At(on), ticket.Ticket).Want(t, http.StatusConflict, fault.CodeNotYourTurn)
		c.At(on).Hold(t, slot).Want(t, http.StatusForbidden, fault.CodeAdmissionRequired)
	}
	// An instance that is gone lets nobody in elsewhere.
	other.Stop(t)
	comeIn(t, c, ticket.Ticket).Want(t, http.StatusConflict, fault.CodeNotYourTurn)
	if n := countRows(t, s, `SELECT count(*) FROM bookings`); n != 0 {
		t.Errorf("%d bookings were made by somebody who waits", n)
	}
}

// In 2021 somebody who had waited for hours went from the 1,000th place to the 91,039th.
func placeSurvivesErrorAndReload(t *testing.T) {
	s, other, c, ticket := waiting(t)
	same := func(when string, got httpapi.Ticket) {
		t.Helper()
		if got.Number == nil || *got.Number != *ticket.Number {
			t.Errorf("%s the place is %+v and was %d", when, got, *ticket.Number)
		}
	}
	s.HangUp(t, c.Request(http.MethodPut, inRoom("/ticket"), nil))
	same("after an error", takeTicket(t, c))
	other.HangUp(t, c.Request(http.MethodPut, inRoom("/ticket"), nil))
	same("on another instance", takeTicket(t, c.At(other)))
	// A new browser, which has nothing but the session: it is told where to go on.
	at := step(t, c.At(other))
	if at.Step != httpapi.MyCampaignStepWait || at.Room == nil || at.Room.Ticket == nil {
		t.Fatalf("the person is told %+v", at)
	}
	same("in a new browser", *at.Room.Ticket)
	other.Stop(t)
	fresh := s.Another(t)
	until(t, fresh, httpapi.RoomStateOpen)
	same("on an instance that was just started", takeTicket(t, c.At(fresh)))
	if n := countRows(t, s, `SELECT count(*) FROM registrations`); n != 61 {
		t.Errorf("61 people have %d places", n)
	}
}
