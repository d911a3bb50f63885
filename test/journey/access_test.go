package journey_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jari/internal/config"
	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/internal/keys"
	"jari/internal/token"
	"jari/test/jaritest"
)

func TestKnownFailuresOfAccess(t *testing.T) {
	t.Parallel()
	for name, claim := range map[string]func(*testing.T){
		"every_step_needs_admission":       everyStepNeedsAdmission,
		"admission_of_another_person":      admissionOfAnother,
		"borrowed_phone":                   borrowedPhone,
		"another_persons_booking":          anotherPersonsBooking,
		"deep_link_before_opening":         deepLink,
		"client_clock_is_ignored":          clientClock,
		"window_crosses_midnight":          windowCrossesMidnight,
		"gap_between_waves":                gapBetweenWaves,
		"bad_cookie_is_dropped":            badCookie,
		"development_client_in_production": otherEnvironment,
		"six_devices_one_place":            sixDevices,
		"age_outside":                      ageOutside,
		"reschedule_checks_rules":          rescheduleChecksRules,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claim(t)
		})
	}
}

// wantUnchanged fails the test for everything in the stores that differs from before.
func wantUnchanged(t *testing.T, s *jaritest.Server, before jaritest.State, after string) {
	t.Helper()
	for _, change := range before.Changed(s.State(t)) {
		t.Errorf("%s changed %s", after, change)
	}
}

// Somebody of an age that no wave is for books nothing, whatever page they come from, and is told why.
func ageOutside(t *testing.T) {
	s := jaritest.Start(t)
	unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
	for _, born := range []string{"2015-01-01", "1999-12-31"} {
		c := s.NewCitizen(t, born)
		c.Hold(t, unit).Want(t, http.StatusForbidden, fault.CodeNotEligible)
	}
	for _, born := range []string{"2999-01-01", "0003-01-01", "1964-02-30"} {
		q := jaritest.JSON(http.MethodPost, "/v1/verifications", map[string]any{
			"scheme": "phone", "name": "김민수", "birth_date": born, "phone": s.NewPhone(),
		})
		s.SendUndeclared(t, q).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	}
	s.NewCitizen(t, jaritest.BornForE3).MustBook(t, unit)
	s.CheckBooks(t)
}

// Moving goes by the rules too: the days of the wave that one booked in, on the server, whatever the page offers.
func rescheduleChecksRules(t *testing.T) {
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	booked := c.MustBook(t, s.Slot(t, jaritest.SiteOfFew, dayE3))
	foreign := s.Slot(t, jaritest.SiteOfMany, jaritest.LastDay)
	c.Hold(t, foreign).Want(t, http.StatusForbidden, fault.CodeNotEligible)
	c.Hold(t, foreign, "replaces", booked.BookingId).Want(t, http.StatusForbidden, fault.CodeNotEligible)
	if now := c.Booking(t); now.BookingId != booked.BookingId || now.Status != "active" {
		t.Errorf("the booking became %+v", now)
	}
	s.CheckBooks(t)
}

func everyStepNeedsAdmission(t *testing.T) {
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
	holdToken := sealHold(t, s, c, unit, nil)
	box := s.Tokens(t)
	session, err := box.OpenSession(c.Session)
	if err != nil {
		t.Fatal(err)
	}
	admission := func(box *token.Box, campaign string, lasts time.Duration) string {
		text, err := box.SealAdmission(token.Admission{
			Room: campaign, Campaign: campaign, Person: session.Person, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(lasts),
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	s.Settle(t)
	before := s.State(t)
	for claim, ask := range map[string]struct {
		session, admission string
		status             int
		code               fault.Code
	}{
		"no admission":                    {c.Session, "", http.StatusForbidden, fault.CodeAdmissionRequired},
		"something else":                  {c.Session, "let-me-in", http.StatusForbidden, fault.CodeAdmissionRequired},
		"a session as admission":          {c.Session, c.Session, http.StatusForbidden, fault.CodeAdmissionRequired},
		"a hold as admission":             {c.Session, holdToken, http.StatusForbidden, fault.CodeAdmissionRequired},
		"an admission of other keys":      {c.Session, admission(s.StrangersTokens(t), s.Campaign, time.Minute), http.StatusForbidden, fault.CodeAdmissionRequired},
		"an admission to another room":    {c.Session, admission(box, "another", time.Minute), http.StatusForbidden, fault.CodeAdmissionOfAnother},
		"an admission that is over":       {c.Session, admission(box, s.Campaign, -time.Second), http.StatusForbidden, fault.CodeAdmissionExpired},
		"no session":                      {"", c.Admission, http.StatusUnauthorized, fault.CodeSessionRequired},
		"an admission as session":         {c.Admission, c.Admission, http.StatusUnauthorized, fault.CodeSessionRequired},
		"neither session nor admission":   {"", "", http.StatusUnauthorized, fault.CodeSessionRequired},
		"an admission with a changed end": {c.Session, c.Admission[:len(c.Admission)-2] + "xx", http.StatusForbidden, fault.CodeAdmissionRequired},
	} {
		for _, step := range []struct {
			path string
			body map[string]any
		}{
			{"/hold", jaritest.HoldBody(unit)},
			{"/booking", map[string]any{"hold_token": holdToken}},
		} {
			q := jaritest.JSON(http.MethodPut, s.Path(step.path), step.body)
			if ask.session != "" {
				q = q.With("Authorization", "Bearer "+ask.session)
			}
			if ask.admission != "" {
				q = q.With("Jari-Admission", ask.admission)
			}
			if got := s.Send(t, q); got.Status != ask.status || got.Code != ask.code {
				t.Errorf("%s at %s: %d %s, want %d %s", claim, step.path, got.Status, got.Code, ask.status, ask.code)
			}
			wantUnchanged(t, s, before, claim)
		}
	}
}

func admissionOfAnother(t *testing.T) {
	s := jaritest.Start(t)
	a, b := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
	mixed := *b
	mixed.Admission = a.Admission
	mixed.Hold(t, unit).Want(t, http.StatusForbidden, fault.CodeAdmissionOfAnother)
	mixed.Confirm(t, a.MustHold(t, unit).HoldToken).Want(t, http.StatusForbidden, fault.CodeAdmissionOfAnother)
}

func borrowedPhone(t *testing.T) {
	s := jaritest.Start(t)
	owner := s.NewCitizen(t, jaritest.BornForE3)
	owners := owner.MustBook(t, s.Slot(t, jaritest.SiteOfFew, dayE3))
	// Somebody else is verified with the same phone, on the same device.
	guest := s.Stranger("1963-11-30")
	guest.Name, guest.Phone = "최한솔", owner.Phone
	guest.Verify(t)
	guest.Admission = owner.Admission
	unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
	guest.Hold(t, unit).Want(t, http.StatusForbidden, fault.CodeAdmissionOfAnother)
	guest.Do(t, http.MethodGet, s.Path("/booking"), nil).Want(t, http.StatusNotFound, fault.CodeNoBooking)
	guest.Cancel(t, owners.BookingId).Want(t, http.StatusNotFound, fault.CodeNoBooking)
	guest.Admit(t)
	guests := guest.MustBook(t, unit)
	if guests.Reference == owners.Reference {
		t.Error("two people have one reference")
	}
	if b := owner.Booking(t); b.BookingId != owners.BookingId || b.Status != "active" {
		t.Errorf("the owner's booking became %+v", b)
	}
	s.CheckBooks(t)
}

func anotherPersonsBooking(t *testing.T) {
	s := jaritest.Start(t)
	a, b := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	slots := s.Slots(t, jaritest.SiteOfOne, dayE3)
	hold := a.MustHold(t, slots[0].ID)
	b.Confirm(t, hold.HoldToken).Want(t, http.StatusForbidden, fault.CodeHoldOfAnother)
	b.Do(t, http.MethodGet, s.Path("/hold"), nil).Want(t, http.StatusNotFound, fault.CodeNoHold)
	b.Do(t, http.MethodDelete, s.Path("/hold"), nil).Want(t, http.StatusNoContent)
	b.Hold(t, slots[0].ID, "instead_of", hold.HoldId).Want(t, http.StatusConflict, fault.CodeSlotFull)
	var theirs httpapi.Booking
	a.Confirm(t, hold.HoldToken).Want(t, http.StatusCreated).Into(t, &theirs)

	s.Settle(t)
	before := s.State(t)
	b.Do(t, http.MethodGet, s.Path("/booking"), nil).Want(t, http.StatusNotFound, fault.CodeNoBooking)
	b.Do(t, http.MethodGet, s.Path("/booking/calendar.ics"), nil).Want(t, http.StatusNotFound, fault.CodeNoBooking)
	b.Confirm(t, hold.HoldToken).Want(t, http.StatusForbidden, fault.CodeHoldOfAnother)
	for _, id := range []string{theirs.BookingId, theirs.Reference, uuid.NewString()} {
		b.Cancel(t, id).Want(t, http.StatusNotFound, fault.CodeNoBooking)
		b.Hold(t, slots[1].ID, "replaces", id).Want(t, http.StatusNotFound, fault.CodeNoBooking)
	}
	wantStep(t, b, "choose")
	wantUnchanged(t, s, before, "asking for another's booking")
	if mine := a.Booking(t); mine.BookingId != theirs.BookingId || mine.Status != "active" {
		t.Errorf("the booking became %+v", mine)
	}
}

func deepLink(t *testing.T) {
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForF1)
	unit := s.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay)
	s.Settle(t)
	before := s.State(t)
	for _, at := range []string{jaritest.Begins, "2021-07-19T19:59:59.999+09:00"} {
		s.Clock.Set(jaritest.Instant(at))
		p := c.Hold(t, unit).Want(t, http.StatusForbidden, fault.CodeNotEligible).Problem(t)
		if p.Decision == nil || p.Decision.Next == nil || p.Decision.Next.EligibleFromAt.Format(time.RFC3339) != jaritest.OpensF1 {
			t.Errorf("at %s the refusal says %+v", at, p.Decision)
		}
		if p.Decision != nil && (p.Decision.Explanation.Ko == "" || p.Decision.Explanation.En == "") {
			t.Error("the refusal has no words")
		}
		c.Confirm(t, "made-up").Want(t, http.StatusBadRequest, fault.CodeHoldTokenInvalid)
		c.Do(t, http.MethodGet, s.Path("/hold"), nil).Want(t, http.StatusNotFound, fault.CodeNoHold)
	}
	wantUnchanged(t, s, before, "calling the steps directly before the opening")
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	c.MustBook(t, unit)
	// After the window of F1 closes nobody of it begins anew.
	late := s.NewCitizen(t, jaritest.BornForF1)
	s.Clock.Set(jaritest.Instant("2021-07-20T18:00:00+09:00"))
	late.Hold(t, unit).Want(t, http.StatusForbidden, fault.CodeNotEligible)
	s.CheckBooks(t)
}

func clientClock(t *testing.T) {
	s := jaritest.Start(t)
	early, late := s.NewCitizen(t, jaritest.BornForF1), s.NewCitizen(t, jaritest.BornForF1)
	unit := s.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay)
	ask := func(c *jaritest.Citizen, shift time.Duration) jaritest.Response {
		at := s.Clock.Now().Add(shift)
		q := c.Request(http.MethodPut, s.Path("/hold?now="+at.UTC().Format(time.RFC3339)), jaritest.HoldBody(unit))
		for _, name := range []string{"Date", "X-Client-Time", "If-Modified-Since", "If-Unmodified-Since", "X-Timestamp"} {
			q = q.With(name, at.UTC().Format(http.TimeFormat))
		}
		return s.Send(t, q)
	}
	for _, shift := range []time.Duration{-24 * time.Hour, 24 * time.Hour, 2 * time.Minute} {
		ask(early, shift).Want(t, http.StatusForbidden, fault.CodeNotEligible)
	}
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	for _, shift := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		ask(late, shift).Want(t, http.StatusOK)
	}
	// A time in the body is a field that nobody knows.
	body := jaritest.HoldBody(unit, "now", "2021-07-19T20:00:00+09:00")
	early.Do(t, http.MethodPut, s.Path("/hold"), body).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
}

func windowCrossesMidnight(t *testing.T) {
	s := jaritest.Start(t)
	for _, at := range []string{
		jaritest.OpensF1, "2021-07-20T00:00:00+09:00", "2021-07-20T00:30:00+09:00", "2021-07-20T02:00:00+09:00",
		"2021-07-20T08:59:59+09:00", "2021-07-20T17:59:59.999+09:00",
	} {
		s.Clock.Set(jaritest.Instant(at))
		for _, born := range []string{"1967-01-01", "1968-02-29", "1968-12-31"} {
			wantDecision(t, s, born, "yes", "F1", "")
		}
	}
	// Whoever verified in the evening holds after midnight.
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	c := s.NewCitizen(t, jaritest.BornForF1)
	s.Clock.Set(jaritest.Instant("2021-07-20T00:30:00+09:00"))
	c.MustBook(t, s.Slot(t, jaritest.SiteOfOne, jaritest.FirstDay))
}

func gapBetweenWaves(t *testing.T) {
	s := jaritest.Start(t)
	first, second := s.NewCitizen(t, jaritest.BornForF1), s.NewCitizen(t, jaritest.BornForF2)
	unit := s.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay)
	for _, at := range []string{"2021-07-20T18:00:00+09:00", "2021-07-20T19:00:00+09:00", "2021-07-20T19:59:59.999+09:00"} {
		s.Clock.Set(jaritest.Instant(at))
		wantDecision(t, s, first.BirthDate, "no", "", "2021-07-21T20:00:00+09:00")
		wantDecision(t, s, second.BirthDate, "no", "", "2021-07-20T20:00:00+09:00")
		first.Hold(t, unit).Want(t, http.StatusForbidden, fault.CodeNotEligible)
		second.Hold(t, unit).Want(t, http.StatusForbidden, fault.CodeNotEligible)
	}
}

const (
	sessionCookie   = "__Host-jari-session"
	admissionCookie = "__Host-jari-admission"
)

func withCookies(q jaritest.Request, session, admission string) jaritest.Request {
	if session != "" {
		q = q.With("Cookie", sessionCookie+"="+session)
	}
	if admission != "" {
		q = q.With("Cookie", admissionCookie+"="+admission)
	}
	return q
}

func badCookie(t *testing.T) {
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	box := s.Tokens(t)
	session, err := box.OpenSession(c.Session)
	if err != nil {
		t.Fatal(err)
	}
	over := session
	over.ExpiresAt = time.Now().Add(-time.Second)
	expired, err := box.SealSession(over)
	if err != nil {
		t.Fatal(err)
	}
	strangers, err := s.StrangersTokens(t).SealSession(session)
	if err != nil {
		t.Fatal(err)
	}
	for claim, cookie := range map[string]struct {
		value string
		code  fault.Code
	}{
		"cut short":          {c.Session[:len(c.Session)/2], fault.CodeSessionRequired},
		"of other keys":      {strangers, fault.CodeSessionRequired},
		"of an old version":  {"v0." + c.Session, fault.CodeSessionRequired},
		"another kind":       {c.Admission, fault.CodeSessionRequired},
		"expired":            {expired, fault.CodeSessionExpired},
		"not even base64":    {"%%%", fault.CodeSessionRequired},
		"as long as allowed": {strings.Repeat("A", 4096), fault.CodeSessionRequired},
	} {
		for _, ask := range []jaritest.Request{
			jaritest.JSON(http.MethodGet, "/v1/me", nil),
			jaritest.JSON(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(s.Slot(t, jaritest.SiteOfMany, dayE3))),
		} {
			got := s.Send(t, withCookies(ask, cookie.value, c.Admission)).Want(t, http.StatusUnauthorized, cookie.code)
			for _, name := range []string{sessionCookie, admissionCookie} {
				if back := got.Cookie(name); back == nil || back.MaxAge >= 0 || back.Value != "" || back.Path != "/" || !back.Secure {
					t.Errorf("%s: the cookie %s isn't taken back: %+v", claim, name, back)
				}
			}
		}
		// Whoever comes with it can verify again, and read what is public.
		s.Send(t, withCookies(jaritest.JSON(http.MethodGet, "/v1/campaigns", nil), cookie.value, "")).Want(t, http.StatusOK)
		s.Send(t, withCookies(jaritest.JSON(http.MethodPost, "/v1/verifications", s.Stranger(jaritest.BornForE3).Claims()), cookie.value, "")).
			Want(t, http.StatusAccepted)
	}
	// A bad admission is answered with what to do, and asking again replaces it.
	q := jaritest.JSON(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(s.Slot(t, jaritest.SiteOfMany, dayE3)))
	s.Send(t, withCookies(q, c.Session, "broken")).Want(t, http.StatusForbidden, fault.CodeAdmissionRequired)
	got := s.Send(t, withCookies(jaritest.JSON(http.MethodPut, "/v1/rooms/"+s.Campaign+"/admission", nil), c.Session, "broken")).Want(t, http.StatusOK)
	s.Send(t, withCookies(q, c.Session, got.Cookie(admissionCookie).Value)).Want(t, http.StatusOK)
	// A good header isn't spoilt by a bad cookie.
	s.Send(t, withCookies(c.Request(http.MethodGet, "/v1/me", nil), "broken", "")).Want(t, http.StatusOK)
}

func otherEnvironment(t *testing.T) {
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	session, err := s.Tokens(t).OpenSession(c.Session)
	if err != nil {
		t.Fatal(err)
	}
	line, err := keys.Generate(config.Production, keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := keys.NewSealer(line, config.Production, keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	foreign := *c
	if foreign.Session, err = token.NewBox(sealer, config.Production).SealSession(session); err != nil {
		t.Fatal(err)
	}
	foreign.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusUnauthorized, fault.CodeSessionRequired)
	if _, err := keys.NewSealer(line, config.Development, keys.Tokens); err == nil {
		t.Error("keys of production open in development")
	}
}

func sixDevices(t *testing.T) {
	const devices = 6
	s := jaritest.Start(t)
	c := s.Stranger(jaritest.BornForE3)
	person := make([]*jaritest.Citizen, devices)
	for i := range person {
		device := *c
		device.Verify(t)
		device.Admit(t)
		person[i] = &device
	}
	slots := s.Slots(t, jaritest.SiteOfFew, dayE3)
	var told outcomes
	together(devices, func(i int) {
		told.add(s.Exchange(t.Context(), person[i].Request(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(slots[i%2].ID))))
	})
	for _, err := range told.faults {
		t.Error(err)
	}
	if told.count["200 "]+told.count["409 holds_other"] != devices || told.count["200 "] == 0 {
		t.Errorf("the devices were told %v", told.count)
	}
	var hold httpapi.Hold
	person[devices-1].Do(t, http.MethodGet, s.Path("/hold"), nil).Want(t, http.StatusOK).Into(t, &hold)
	var booked outcomes
	together(devices, func(i int) {
		booked.add(s.Exchange(t.Context(), person[i].Request(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": hold.HoldToken})))
	})
	booked.want(t, map[string]int{"201 ": 1, "200 ": devices - 1})
	s.CheckBooks(t)
}

func TestABrowserGoesTheWholeWayOnCookies(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	c := s.Stranger(jaritest.BornForE3)
	v := c.StartVerification(t)
	verified := c.GiveCode(t, v.VerificationId, c.Code(t)).Want(t, http.StatusOK)
	session := wantCookie(t, verified, sessionCookie)
	own := func(method, path string, body any) jaritest.Request {
		return jaritest.JSON(method, path, body).With("Sec-Fetch-Site", "same-origin")
	}
	admitted := s.Send(t, withCookies(own(http.MethodPut, "/v1/rooms/"+s.Campaign+"/admission", nil), session, "")).Want(t, http.StatusOK)
	admission := wantCookie(t, admitted, admissionCookie)

	var hold httpapi.Hold
	held := s.Send(t, withCookies(own(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(s.Slot(t, jaritest.SiteOfOne, dayE3))), session, admission))
	held.Want(t, http.StatusOK).Into(t, &hold)
	var booking httpapi.Booking
	confirmed := s.Send(t, withCookies(own(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": hold.HoldToken}), session, admission))
	confirmed.Want(t, http.StatusCreated).Into(t, &booking)
	s.Send(t, withCookies(own(http.MethodGet, s.Path("/booking"), nil), session, "")).Want(t, http.StatusOK)
	s.Send(t, withCookies(own(http.MethodDelete, s.Path("/bookings/"+booking.BookingId), nil), session, "")).Want(t, http.StatusOK)

	over := s.Send(t, withCookies(own(http.MethodDelete, "/v1/session", nil), session, "")).Want(t, http.StatusNoContent)
	for _, name := range []string{sessionCookie, admissionCookie} {
		if back := over.Cookie(name); back == nil || back.MaxAge >= 0 {
			t.Errorf("the cookie %s isn't taken back: %+v", name, back)
		}
	}
	s.Send(t, withCookies(own(http.MethodGet, "/v1/me", nil), session, "")).Want(t, http.StatusUnauthorized, fault.CodeSessionExpired)
}

// wantCookie is the value of a cookie that scripts can't read, other sites can't send and other hosts can't set.
func wantCookie(t *testing.T, got jaritest.Response, name string) string {
	t.Helper()
	cookie := got.Cookie(name)
	if cookie == nil {
		t.Fatalf("the answer sets no cookie %s", name)
	}
	if !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Domain != "" || cookie.MaxAge <= 0 {
		t.Errorf("the cookie %s is %s", name, cookie)
	}
	if !strings.HasPrefix(name, "__Host-") || cookie.Value == "" {
		t.Errorf("the cookie %s is %q", name, cookie.Value)
	}
	return cookie.Value
}

func TestPagesOfOthersCantUseTheCookie(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_ALLOWED_ORIGINS", "https://booking.example.org"))
	c := s.NewCitizen(t, jaritest.BornForE3)
	b := c.MustBook(t, s.Slot(t, jaritest.SiteOfMany, dayE3))
	unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
	s.Settle(t)
	before := s.State(t)
	for claim, page := range map[string]http.Header{
		"of another site":          {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
		"of a sibling host":        {"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://other.example.org"}},
		"of an old browser":        {"Origin": {"https://evil.example"}},
		"without an origin":        {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"null"}},
		"that looks like ours":     {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://booking.example.org.evil.example"}},
		"of ours without security": {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"http://booking.example.org"}},
	} {
		for _, q := range []jaritest.Request{
			jaritest.JSON(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(unit, "replaces", b.BookingId)),
			jaritest.JSON(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": "x"}),
		} {
			for name, values := range page {
				q = q.With(name, values[0])
			}
			if got := s.Send(t, withCookies(q, c.Session, c.Admission)); got.Status != http.StatusForbidden || got.Code != fault.CodeCrossOrigin {
				t.Errorf("a page %s: %d %s", claim, got.Status, got.Code)
			}
		}
	}
	wantUnchanged(t, s, before, "a page of others")
	ours := jaritest.JSON(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(unit, "replaces", b.BookingId)).
		With("Sec-Fetch-Site", "cross-site").With("Origin", "https://booking.example.org")
	s.Send(t, withCookies(ours, c.Session, c.Admission)).Want(t, http.StatusOK)
	// A token in a header was put there by somebody who has it.
	theirs := c.Request(http.MethodDelete, s.Path("/hold"), nil).With("Sec-Fetch-Site", "cross-site").With("Origin", "https://evil.example")
	s.Send(t, theirs).Want(t, http.StatusNoContent)
}

// The contract has to say so at each operation that needs a session and changes something.
func TestTheContractDeclaresRefusingPagesOfOthers(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	b := c.MustBook(t, s.Slot(t, jaritest.SiteOfMany, dayE3))
	for _, q := range []jaritest.Request{
		jaritest.JSON(http.MethodDelete, s.Path("/hold"), nil),
		jaritest.JSON(http.MethodDelete, s.Path("/bookings/"+b.BookingId), nil),
		jaritest.JSON(http.MethodPut, "/v1/rooms/"+s.Campaign+"/admission", nil),
		jaritest.JSON(http.MethodDelete, "/v1/session", nil),
	} {
		got, err := s.Exchange(t.Context(), withCookies(q.With("Sec-Fetch-Site", "cross-site"), c.Session, ""))
		if err != nil {
			t.Error(err)
		}
		if got.Status != http.StatusForbidden || got.Code != fault.CodeCrossOrigin {
			t.Errorf("%s %s: %d %s", q.Method, q.Path, got.Status, got.Code)
		}
	}
}

func TestTheNameOfTheSchemeHasNoCase(t *testing.T) {
	t.Parallel()
	// RFC 9110 11.1: the name of an authentication scheme is case-insensitive.
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	for _, scheme := range []string{"Bearer", "bearer", "BEARER"} {
		q := jaritest.JSON(http.MethodGet, "/v1/me", nil).With("Authorization", scheme+" "+c.Session)
		if got := s.Send(t, q); got.Status != http.StatusOK {
			t.Errorf("%s: %d %s", scheme, got.Status, got.Code)
		}
	}
}
