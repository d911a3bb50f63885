package journey_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

func TestKnownFailuresOfOperation(t *testing.T) {
	t.Parallel()
	for name, claim := range map[string]func(*testing.T){
		"empty_list_is_200":          emptyList,
		"unknown_error_says_nothing": unknownError,
		"no_duplicate_messages":      noDuplicateMessages,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claim(t)
		})
	}
}

func emptyList(t *testing.T) {
	none := jaritest.Start(t, jaritest.WithNothingPublished())
	if got := none.Do(t, http.MethodGet, "/v1/campaigns", nil).Want(t, http.StatusOK); strings.TrimSpace(string(got.Body)) != `{"campaigns":[]}` {
		t.Errorf("no campaign is %s", got.Body)
	}
	s := jaritest.Start(t)
	for _, path := range []string{
		"/regions/" + jaritest.EmptyRegion + "/sites",
		"/regions/" + jaritest.EmptyRegion + "/days/" + jaritest.FirstDay,
		"/regions/" + jaritest.Region + "/days/2021-08-18", // within the waves, and nobody works
		"/regions/" + jaritest.Region + "/days/1999-12-31",
		"/regions/" + jaritest.Region + "/days/9999-12-31",
	} {
		if got := s.Do(t, http.MethodGet, s.Path(path), nil).Want(t, http.StatusOK); !strings.Contains(string(got.Body), `"sites":[]`) {
			t.Errorf("%s is %s", path, got.Body)
		}
	}
	if got := s.Do(t, http.MethodGet, "/dev/inbox", nil).Want(t, http.StatusOK); !strings.Contains(string(got.Body), `"messages":[]`) {
		t.Errorf("an empty inbox is %s", got.Body)
	}
}

func unknownError(t *testing.T) {
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	hold := c.MustHold(t, s.Slot(t, jaritest.SiteOfOne, dayE3))
	// Something that no code is written for.
	if _, err := s.Pool.Exec(t.Context(), `ALTER TABLE bookings RENAME COLUMN wave_id TO unheard_of`); err != nil {
		t.Fatal(err)
	}
	for _, q := range []jaritest.Request{
		c.Request(http.MethodGet, s.Path("/booking"), nil),
		c.Request(http.MethodGet, "/v1/me", nil),
		c.Request(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": hold.HoldToken}),
	} {
		got := s.Send(t, q).Want(t, http.StatusInternalServerError, fault.CodeInternal)
		for _, word := range []string{"wave_id", "unheard_of", "bookings", "SQL", "42703", "column", "pgx", ".go"} {
			if strings.Contains(strings.ToLower(string(got.Body)), strings.ToLower(word)) {
				t.Errorf("%s %s: the answer says %q: %s", q.Method, q.Path, word, got.Body)
			}
		}
		id := got.Problem(t).RequestId
		found := false
		for line := range strings.Lines(s.Log.String()) {
			found = found || (strings.Contains(line, id) && strings.Contains(line, "level=ERROR"))
		}
		if !found {
			t.Errorf("%s %s: the log has no error with the request id", q.Method, q.Path)
		}
	}
	// And the instance goes on.
	if _, err := s.Pool.Exec(t.Context(), `ALTER TABLE bookings RENAME COLUMN unheard_of TO wave_id`); err != nil {
		t.Fatal(err)
	}
	c.Confirm(t, hold.HoldToken).Want(t, http.StatusCreated)
	s.CheckBooks(t)
}

// An operation that can fail says so in the contract.
func TestTheContractDeclaresTheMuteFailure(t *testing.T) {
	t.Parallel()
	document := jaritest.Document(t)
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.Responses.Status(http.StatusInternalServerError) == nil && operation.Responses.Default() == nil {
				t.Errorf("%s %s declares neither 500 nor a default", method, path)
			}
		}
	}
}

func noDuplicateMessages(t *testing.T) {
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	b := c.MustBook(t, s.Slot(t, jaritest.SiteOfOne, dayE3))
	message(t, c, "booked")
	// The jobs that made and handed over the messages run once more, as after a crash.
	if _, err := s.Pool.Exec(t.Context(), `
		INSERT INTO river.river_job (kind, args, max_attempts, queue)
		SELECT kind, args, max_attempts, queue FROM river.river_job WHERE kind <> 'forget'`); err != nil {
		t.Fatal(err)
	}
	s.Settle(t)
	if n := countMessages(t, c, "booked"); n != 1 {
		t.Errorf("%d messages say that it is booked", n)
	}
	c.Cancel(t, b.BookingId).Want(t, http.StatusOK)
	message(t, c, "cancelled")
}

func TestBookingsOutliveTheInstance(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	holder := s.NewCitizen(t, jaritest.BornForE3)
	b := c.MustBook(t, s.Slot(t, jaritest.SiteOfOne, dayE3))
	hold := holder.MustHold(t, s.Slot(t, jaritest.SiteOfFew, dayE3))
	s.Stop(t)

	next := s.Another(t)
	if kept := c.At(next).Booking(t); kept.BookingId != b.BookingId || kept.Reference != b.Reference || kept.Status != "active" {
		t.Errorf("the booking was %+v and is %+v", b, kept)
	}
	holder.At(next).Confirm(t, hold.HoldToken).Want(t, http.StatusCreated)
	message(t, c.At(next), "booked")
	if ready := next.Ready(t); !strings.Contains(ready, `"ready":true`) {
		t.Errorf("the instance isn't ready: %s", ready)
	}
	next.CheckBooks(t)
}

func TestInstancesAreOne(t *testing.T) {
	t.Parallel()
	a := jaritest.Start(t)
	b := a.Another(t)
	c := a.NewCitizen(t, jaritest.BornForE3)
	unit := a.Slot(t, jaritest.SiteOfOne, dayE3)
	hold := c.MustHold(t, unit)
	if same := c.At(b).MustHold(t, unit); same.HoldId != hold.HoldId {
		t.Error("a retry at another instance gave another hold")
	}
	b.NewCitizen(t, jaritest.BornForE3).Hold(t, unit).Want(t, http.StatusConflict, fault.CodeSlotFull)
	var booking httpapi.Booking
	c.At(b).Confirm(t, hold.HoldToken).Want(t, http.StatusCreated).Into(t, &booking)
	c.Confirm(t, hold.HoldToken).Want(t, http.StatusOK)
	if seen := c.Booking(t); seen.BookingId != booking.BookingId {
		t.Errorf("one instance shows %+v and the other booked %+v", seen, booking)
	}
	wantRemaining(t, a, jaritest.SiteOfOne, dayE3, 0)
	c.Cancel(t, booking.BookingId).Want(t, http.StatusOK)
	c.At(b).Cancel(t, booking.BookingId).Want(t, http.StatusOK)
	wantRemaining(t, b, jaritest.SiteOfOne, dayE3, 1)
	a.CheckBooks(t)
}

func TestAnEndedSessionEndsEverywhere(t *testing.T) {
	t.Parallel()
	a := jaritest.Start(t)
	b := a.Another(t)
	c := a.NewCitizen(t, jaritest.BornForE3)
	other := *c
	other.Verify(t) // a second device of the same person
	c.At(b).Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK)
	c.Do(t, http.MethodDelete, "/v1/session", nil).Want(t, http.StatusNoContent)
	c.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusUnauthorized, fault.CodeSessionExpired)
	jaritest.Eventually(t, 2*time.Second, "the other instance refuses the ended session", func() bool {
		return c.At(b).Do(t, http.MethodGet, "/v1/me", nil).Code == fault.CodeSessionExpired
	})
	other.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK)
	// An instance that starts later knows it too.
	later := a.Another(t)
	jaritest.Eventually(t, 2*time.Second, "a later instance refuses the ended session", func() bool {
		return c.At(later).Do(t, http.MethodGet, "/v1/me", nil).Code == fault.CodeSessionExpired
	})
}

func TestNeitherLogNorMetricsKnowAnybody(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	c := s.Stranger("1964-09-27")
	c.Name, c.Phone = "제갈공명순", "010-9182-7364"

	// The whole way, and every way to be refused that carries something personal.
	v := c.StartVerification(t)
	code := c.Code(t)
	c.GiveCode(t, v.VerificationId, wrong(code)).Want(t, http.StatusBadRequest, fault.CodeCodeWrong)
	c.GiveCode(t, v.VerificationId, code).Want(t, http.StatusOK)
	c.Verify(t)
	c.Admit(t)
	s.Do(t, http.MethodPost, s.Path("/eligibility"), map[string]any{"birth_date": c.BirthDate}).Want(t, http.StatusOK)
	unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
	b := c.MustBook(t, unit)
	message(t, c, "booked")
	c.Hold(t, s.Slot(t, jaritest.SiteOfOne, jaritest.FirstDay)).Want(t, http.StatusForbidden, fault.CodeNotEligible)
	c.Cancel(t, b.BookingId).Want(t, http.StatusOK)
	message(t, c, "cancelled")
	c.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK)
	for change, value := range map[string]any{
		"name": strings.Repeat(c.Name, 30), "phone": c.Phone + strings.Repeat(" ", 40), "scheme": "list", "surplus": c.Name + c.Phone,
		"birth_date": "1964-09-27T00:00:00",
	} {
		claims := c.Claims()
		claims[change] = value
		got := s.Do(t, http.MethodPost, "/v1/verifications", claims)
		if got.Status != http.StatusBadRequest {
			t.Errorf("%s: %d", change, got.Status)
		}
		for _, said := range personal(c) {
			if strings.Contains(string(got.Body), said) {
				t.Errorf("with a wrong %s the answer repeats %q: %s", change, said, got.Body)
			}
		}
	}
	for _, path := range []string{"/v1/" + c.Phone, s.Path("/sites/" + c.Phone + "/slots"), "/v1/campaigns?phone=" + c.Phone} {
		s.Do(t, http.MethodGet, path, nil)
	}

	log, metrics := s.Log.String(), s.Metrics(t)
	if !strings.Contains(log, "msg=request") || !strings.Contains(metrics, "jari_http_request_seconds") {
		t.Fatal("nothing was logged or measured")
	}
	for _, said := range append(personal(c), code, c.Session, c.Admission, b.Reference) {
		for line := range strings.Lines(log) {
			if strings.Contains(line, said) {
				t.Errorf("the log has %q: %.600s", said, line)
				break
			}
		}
		if strings.Contains(metrics, said) {
			t.Errorf("the metrics have %q", said)
		}
	}
}

// personal are spellings of who a citizen is.
func personal(c *jaritest.Citizen) []string {
	digits := strings.ReplaceAll(c.Phone, "-", "")
	born := strings.ReplaceAll(c.BirthDate, "-", "")
	return []string{
		c.Name, c.Phone, digits, "+82" + digits[1:], "82" + digits[1:], digits[3:], c.Phone[4:], c.Phone[1:],
		c.BirthDate, born, born[2:], strings.ReplaceAll(c.BirthDate, "-", "."), strings.ReplaceAll(c.BirthDate, "-", "/"),
	}
}
