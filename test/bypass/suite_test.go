package bypass_test

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/test/jaritest"
)

// TestWhatPeopleDidIn2021 is named after what people really did. The borrowed phone, six devices at once, the bad cookie and
// another person's booking are in test/journey.
func TestWhatPeopleDidIn2021(t *testing.T) {
	t.Parallel()
	for name, did := range map[string]func(*testing.T){
		"back_door_link": backDoorLink, "airplane_mode": airplaneMode, "console": console, "wrong_clock": wrongClock,
		"pre_opened_ticket": preOpenedTicket, "double_click_and_retry": doubleClick,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			did(t)
		})
	}
}

func wantUnchanged(t *testing.T, s *jaritest.Server, before jaritest.State) {
	t.Helper()
	for _, change := range before.Changed(s.State(t)) {
		t.Errorf("it changed %s", change)
	}
}

// backDoorLink calls every later step directly before the opening, with all that somebody can have by then.
func backDoorLink(t *testing.T) {
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForF1)
	slots := s.Slots(t, jaritest.SiteOfMany, jaritest.FirstDay)
	s.Settle(t)
	before := s.State(t)
	for _, at := range []string{jaritest.Begins, "2021-07-19T19:59:59.999+09:00"} {
		s.Clock.Set(jaritest.Instant(at))
		for _, x := range slots {
			c.Hold(t, x.ID).Want(t, http.StatusForbidden, fault.CodeNotEligible)
		}
		for _, text := range []string{c.Session, c.Admission, "x"} {
			c.Confirm(t, text).Want(t, http.StatusBadRequest, fault.CodeHoldTokenInvalid)
		}
		c.Do(t, http.MethodGet, s.Path("/booking"), nil).Want(t, http.StatusNotFound, fault.CodeNoBooking)
	}
	wantUnchanged(t, s, before)
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	c.MustBook(t, slots[0].ID)
}

// airplaneMode drops the connection after each request was sent, comes back later and goes on: no error lets anybody in, and
// nothing that was begun is lost or doubled.
func airplaneMode(t *testing.T) {
	for _, away := range []time.Duration{3 * time.Second, time.Minute, 9 * time.Minute} {
		t.Run(away.String(), func(t *testing.T) {
			t.Parallel()
			s := jaritest.Start(t)
			early, c := s.NewCitizen(t, jaritest.BornForF1), s.NewCitizen(t, jaritest.BornForE3)
			unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
			drop := func(q jaritest.Request) {
				t.Helper()
				s.HangUp(t, q)
				s.Clock.Advance(away / 20) // never past the opening that early waits for
			}
			drop(early.Request(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(s.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay))))
			early.Do(t, http.MethodGet, s.Path("/hold"), nil).Want(t, http.StatusNotFound, fault.CodeNoHold)

			drop(c.Request(http.MethodPut, "/v1/rooms/"+s.Campaign+"/admission", nil))
			drop(c.Request(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(unit)))
			hold := c.MustHold(t, unit)
			drop(c.Request(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": hold.HoldToken}))
			s.Clock.Advance(away)
			if got := c.Confirm(t, hold.HoldToken); got.Status != http.StatusOK && got.Status != http.StatusCreated {
				t.Errorf("after %s the booking is answered %d %s", away, got.Status, got.Code)
			}
			if _, booked := s.Row(t, unit); booked != 1 {
				t.Errorf("%d are booked", booked)
			}
			s.CheckBooks(t)
		})
	}
}

// console calls anything in any order, as a tool does, without what the step before gives.
func console(t *testing.T) {
	s := jaritest.Start(t)
	c := s.Stranger(jaritest.BornForE3)
	c.Verify(t) // and was never admitted
	unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
	calls := []jaritest.Request{
		c.Request(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(unit)),
		c.Request(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": c.Session}),
		c.Request(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": "x"}).With("Jari-Admission", c.Session),
		c.Request(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(unit)).With("Jari-Admission", "true").With("Cookie", admissionCookie+"=1"),
		c.Request(http.MethodGet, s.Path("/hold"), nil),
		c.Request(http.MethodGet, s.Path("/booking"), nil),
		c.Request(http.MethodDelete, s.Path("/bookings/1"), nil),
		c.Request(http.MethodPatch, "/admin/v1/campaigns/"+s.Campaign+"/slots/"+unit, map[string]any{"capacity": 9}),
		c.Request(http.MethodPost, s.Path("/booking"), map[string]any{"slot_id": unit}),
	}
	s.Settle(t)
	before := s.State(t)
	for round := range uint64(20) {
		for _, i := range rand.New(rand.NewPCG(round, 2021)).Perm(len(calls)) {
			if got := s.Send(t, calls[i]); got.Status < 400 || got.Status >= 500 {
				t.Errorf("round %d: %s %s is answered %d", round, calls[i].Method, calls[i].Path, got.Status)
			}
		}
	}
	wantUnchanged(t, s, before)
}

// wrongClock says what time it is, a day off in either direction.
func wrongClock(t *testing.T) {
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForF1)
	unit := s.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay)
	s.Settle(t)
	before := s.State(t)
	for _, shift := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		q := c.Request(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(unit))
		for _, header := range []string{"Date", "X-Client-Time", "X-Timestamp", "If-Modified-Since"} {
			q = q.With(header, s.Clock.Now().Add(shift).UTC().Format(http.TimeFormat))
		}
		s.Send(t, q).Want(t, http.StatusForbidden, fault.CodeNotEligible)
	}
	wantUnchanged(t, s, before)
}

// preOpenedTicket has everything in hand before the opening, on a page that was left open: it is worth what it is worth then.
func preOpenedTicket(t *testing.T) {
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForF1) // admitted at 19:58
	unit := s.Slot(t, jaritest.SiteOfOne, jaritest.FirstDay)
	s.Clock.Set(jaritest.Instant("2021-07-19T19:59:59.999+09:00"))
	c.Hold(t, unit).Want(t, http.StatusForbidden, fault.CodeNotEligible)
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	c.MustBook(t, unit)
	s.CheckBooks(t)
}

// doubleClick sends each step twice at once, and once more later.
func doubleClick(t *testing.T) {
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	slots := s.Slots(t, jaritest.SiteOfFew, dayE3)
	twice := func(q jaritest.Request) {
		t.Helper()
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if got, err := s.Exchange(t.Context(), q); err != nil || got.Status >= 300 {
					t.Errorf("%s %s: %d %s %v", q.Method, q.Path, got.Status, got.Code, err)
				}
			})
		}
		both.Wait()
	}
	twice(c.Request(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(slots[0].ID)))
	hold := c.MustHold(t, slots[0].ID)
	twice(c.Request(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": hold.HoldToken}))
	b := c.Booking(t)
	c.Confirm(t, hold.HoldToken).Want(t, http.StatusOK)
	if _, booked := s.Row(t, slots[0].ID); booked != 1 {
		t.Errorf("%d are booked", booked)
	}
	twice(c.Request(http.MethodDelete, s.Path("/bookings/"+b.BookingId), nil))
	if _, booked := s.Row(t, slots[0].ID); booked != 0 {
		t.Errorf("%d are booked after cancelling", booked)
	}
	s.CheckBooks(t)
}
