package journey_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

func TestKnownFailuresOfCodes(t *testing.T) {
	t.Parallel()
	for name, claim := range map[string]func(*testing.T){
		"code_used_once":                  codeUsedOnce,
		"resend_keeps_failure_count":      resendKeepsFailures,
		"refused_resend_keeps_valid_code": refusedResend,
		"parallel_guesses_count":          parallelGuesses,
		"limit_says_until_when":           limitSaysUntilWhen,
		"stranger_cannot_lock_out":        strangerCannotLockOut,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claim(t)
		})
	}
}

// wrong is a code that isn't this one.
func wrong(code string) string {
	n, _ := strconv.Atoi(code)
	text := strconv.Itoa((n + 1) % 1_000_000)
	for len(text) < 6 {
		text = "0" + text
	}
	return text
}

func confirmRequest(verification, code string) jaritest.Request {
	return jaritest.JSON(http.MethodPost, "/v1/verifications/"+verification+"/confirm", map[string]any{"code": code})
}

func codeUsedOnce(t *testing.T) {
	s := jaritest.Start(t)
	c := s.Stranger(jaritest.BornForE3)
	v := c.StartVerification(t)
	code := c.Code(t)
	var told outcomes
	together(12, func(int) { told.add(s.Exchange(t.Context(), confirmRequest(v.VerificationId, code))) })
	told.want(t, map[string]int{"200 ": 1, "410 verification_over": 11})
	c.GiveCode(t, v.VerificationId, code).Want(t, http.StatusGone, fault.CodeVerificationOver)
	var people int
	if err := s.Pool.QueryRow(t.Context(), `SELECT count(*) FROM persons`).Scan(&people); err != nil {
		t.Fatal(err)
	}
	if people != 1 {
		t.Errorf("one verification made %d people", people)
	}
	// The same person again is the same person.
	c.Verify(t)
	first, err := s.Tokens(t).OpenSession(c.Session)
	if err != nil {
		t.Fatal(err)
	}
	again := *c
	again.Name, again.Phone = " 남궁 별이 ", "+82 "+c.Phone[1:]
	v = again.StartVerification(t)
	var session httpapi.Session
	again.GiveCode(t, v.VerificationId, c.Code(t)).Want(t, http.StatusOK).Into(t, &session)
	second, err := s.Tokens(t).OpenSession(session.Token)
	if err != nil {
		t.Fatal(err)
	}
	if first.Person != second.Person {
		t.Error("another spelling of the same name and phone made another person")
	}
	if first.ID == second.ID {
		t.Error("two devices have one session")
	}
}

// resend asks until the wait is over.
func resend(t *testing.T, s *jaritest.Server, v httpapi.Verification) (renewed httpapi.Verification) {
	t.Helper()
	jaritest.Eventually(t, soon, "a code may be sent again", func() bool {
		got := s.Do(t, http.MethodPost, "/v1/verifications/"+v.VerificationId+"/resend", nil)
		if got.Code == fault.CodeResendTooSoon {
			return false
		}
		got.Want(t, http.StatusAccepted).Into(t, &renewed)
		return true
	})
	return renewed
}

func resendKeepsFailures(t *testing.T) {
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_CODE_RESEND_WAIT", "1s"))
	c := s.Stranger(jaritest.BornForE3)
	v := c.StartVerification(t)
	if v.AttemptsLeft != 5 {
		t.Errorf("a new verification has %d attempts", v.AttemptsLeft)
	}
	first := c.Code(t)
	for left := 4; left >= 3; left-- {
		p := c.GiveCode(t, v.VerificationId, wrong(first)).Want(t, http.StatusBadRequest, fault.CodeCodeWrong).Problem(t)
		if p.AttemptsLeft == nil || *p.AttemptsLeft != left {
			t.Errorf("attempts left: %v, want %d", p.AttemptsLeft, left)
		}
	}
	if renewed := resend(t, s, v); renewed.AttemptsLeft != 3 || renewed.VerificationId != v.VerificationId {
		t.Errorf("after two failures and a resend there is %+v", renewed)
	}
	second := c.Code(t)
	if second == first {
		t.Error("the same code was sent again") // one in a million, by chance
	}
	c.GiveCode(t, v.VerificationId, first).Want(t, http.StatusBadRequest, fault.CodeCodeWrong)
	c.GiveCode(t, v.VerificationId, wrong(second)).Want(t, http.StatusBadRequest, fault.CodeCodeWrong)
	c.GiveCode(t, v.VerificationId, wrong(second)).Want(t, http.StatusGone, fault.CodeVerificationOver)
	c.GiveCode(t, v.VerificationId, second).Want(t, http.StatusGone, fault.CodeVerificationOver)
	s.Do(t, http.MethodPost, "/v1/verifications/"+v.VerificationId+"/resend", nil).Want(t, http.StatusGone, fault.CodeVerificationOver)

	// Nor does a new verification renew the phone's budget of failures.
	var failures int
	if err := s.Pool.QueryRow(t.Context(), `SELECT failures FROM phone_budgets`).Scan(&failures); err != nil {
		t.Fatal(err)
	}
	if failures != 5 {
		t.Errorf("%d failures are counted for the phone", failures)
	}
	c.StartVerification(t)
	if err := s.Pool.QueryRow(t.Context(), `SELECT failures FROM phone_budgets`).Scan(&failures); err != nil {
		t.Fatal(err)
	}
	if failures != 5 {
		t.Errorf("a new verification left %d failures", failures)
	}
}

func refusedResend(t *testing.T) {
	s := jaritest.Start(t)
	c := s.Stranger(jaritest.BornForE3)
	v := c.StartVerification(t)
	code := c.Code(t)
	p := s.Do(t, http.MethodPost, "/v1/verifications/"+v.VerificationId+"/resend", nil).
		Want(t, http.StatusTooManyRequests, fault.CodeResendTooSoon).Problem(t)
	wantUntilWhen(t, s, p, 30*time.Second)
	if n := countMessages(t, c, "code"); n != 1 {
		t.Errorf("%d codes were sent", n)
	}
	c.GiveCode(t, v.VerificationId, code).Want(t, http.StatusOK)
}

func parallelGuesses(t *testing.T) {
	s := jaritest.Start(t)
	c := s.Stranger(jaritest.BornForE3)
	v := c.StartVerification(t)
	code := c.Code(t)
	const guesses = 20
	left := make([]int, guesses)
	var told outcomes
	together(guesses, func(i int) {
		got, err := s.Exchange(t.Context(), confirmRequest(v.VerificationId, wrong(code)))
		if got.Code == fault.CodeCodeWrong {
			if p := got.Problem(t); p.AttemptsLeft != nil {
				left[i] = *p.AttemptsLeft
			}
		}
		told.add(got, err)
	})
	told.want(t, map[string]int{"400 code_wrong": 4, "410 verification_over": guesses - 4})
	slices.Sort(left)
	if got := left[guesses-4:]; !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("the guessers were told that %v are left", got)
	}
	c.GiveCode(t, v.VerificationId, code).Want(t, http.StatusGone, fault.CodeVerificationOver)
}

// wantUntilWhen checks that a limit says until when, three times the same, and not longer than it lasts.
func wantUntilWhen(t *testing.T, s *jaritest.Server, p httpapi.Problem, most time.Duration) {
	t.Helper()
	if p.RetryAfterSeconds == nil || p.RetryAt == nil {
		t.Errorf("%s doesn't say until when", p.Code)
		return
	}
	wait := time.Duration(*p.RetryAfterSeconds) * time.Second
	if wait <= 0 || wait > most+time.Second {
		t.Errorf("%s says to wait %s, at most %s makes sense", p.Code, wait, most)
	}
	if at := p.RetryAt.Sub(s.Clock.Now()); (at - wait).Abs() > 2*time.Second {
		t.Errorf("%s says to wait %s and until %s, which is %s", p.Code, wait, p.RetryAt, at)
	}
}

func limitSaysUntilWhen(t *testing.T) {
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_CODES_PER_DAY", "2"), jaritest.WithEnvironment("JARI_CODE_RESEND_WAIT", "1s"),
		jaritest.WithEnvironment("JARI_FAILURES_PER_DAY", "3"), jaritest.WithEnvironment("JARI_KEPT_FOR_DEVICES", "0"),
		jaritest.WithEnvironment("JARI_HOLDS_PER_PERSON", "2"))
	// Codes.
	c := s.Stranger(jaritest.BornForE3)
	c.StartVerification(t)
	v := c.StartVerification(t)
	code := c.Code(t)
	refused := func(got jaritest.Response, code fault.Code, most time.Duration) {
		t.Helper()
		p := got.Want(t, http.StatusTooManyRequests, code).Problem(t)
		wantUntilWhen(t, s, p, most)
		if header := got.Header.Get("Retry-After"); p.RetryAfterSeconds != nil && header != strconv.Itoa(*p.RetryAfterSeconds) {
			t.Errorf("%s has Retry-After %q and says %d", p.Code, header, *p.RetryAfterSeconds)
		}
	}
	refused(s.Do(t, http.MethodPost, "/v1/verifications", c.Claims()), fault.CodePhoneLimit, 24*time.Hour)
	var got jaritest.Response
	jaritest.Eventually(t, soon, "the wait for a resend is over", func() bool {
		got = s.Do(t, http.MethodPost, "/v1/verifications/"+v.VerificationId+"/resend", nil)
		return got.Code != fault.CodeResendTooSoon
	})
	refused(got, fault.CodePhoneLimit, 24*time.Hour)
	if n := countMessages(t, c, "code"); n != 2 {
		t.Errorf("%d codes were sent", n)
	}
	c.GiveCode(t, v.VerificationId, code).Want(t, http.StatusOK)

	// Failures.
	guessed := s.Stranger(jaritest.BornForE3)
	v = guessed.StartVerification(t)
	code = guessed.Code(t)
	for range 3 {
		guessed.GiveCode(t, v.VerificationId, wrong(code)).Want(t, http.StatusBadRequest, fault.CodeCodeWrong)
	}
	refused(guessed.GiveCode(t, v.VerificationId, code), fault.CodePhoneLimit, 24*time.Hour)

	// Holds.
	holder := s.NewCitizen(t, jaritest.BornForE3)
	slots := s.Slots(t, jaritest.SiteOfMany, dayE3)
	a := holder.MustHold(t, slots[0].ID)
	b := holder.MustHold(t, slots[1].ID, "instead_of", a.HoldId)
	refused(holder.Hold(t, slots[0].ID, "instead_of", b.HoldId), fault.CodeHoldLimit, 10*time.Minute)
	holder.Confirm(t, b.HoldToken).Want(t, http.StatusCreated)
}

func TestAGuesserCantTellUnknownFromUsed(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	c := s.Stranger(jaritest.BornForE3)
	v := c.StartVerification(t)
	code := c.Code(t)
	c.GiveCode(t, v.VerificationId, code).Want(t, http.StatusOK)
	used := c.GiveCode(t, v.VerificationId, code).Want(t, http.StatusGone, fault.CodeVerificationOver).Problem(t)
	unknown := c.GiveCode(t, "0198a3f2-0000-4000-8000-000000000000", code).Want(t, http.StatusGone, fault.CodeVerificationOver).Problem(t)
	nonsense := c.GiveCode(t, "x", code).Want(t, http.StatusGone, fault.CodeVerificationOver).Problem(t)
	for _, other := range []httpapi.Problem{unknown, nonsense} {
		if other.Title != used.Title || *other.Detail != *used.Detail || other.Status != used.Status {
			t.Errorf("used says %+v and another says %+v", used, other)
		}
	}
}

func TestAPhoneStandsForAFewPeople(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_PERSONS_PER_PHONE", "2"))
	first := s.NewCitizen(t, jaritest.BornForE3)
	second := s.Stranger("1963-01-02")
	second.Phone = first.Phone
	second.Verify(t)
	third := s.Stranger("1963-01-03")
	third.Phone = first.Phone
	v := third.StartVerification(t)
	third.GiveCode(t, v.VerificationId, third.Code(t)).Want(t, http.StatusConflict, fault.CodePersonsPerPhone)
	first.Verify(t) // those who are known still come in
}

// A limit that says tomorrow while there is another way now sends people away for nothing.
func TestARefusedResendDoesntSayTomorrowWhileANewCodeCanBeHad(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_CODE_RESEND_WAIT", "1s"), jaritest.WithEnvironment("JARI_CODES_PER_DAY", "20"))
	c := s.Stranger(jaritest.BornForE3)
	v := c.StartVerification(t)
	var got jaritest.Response
	for range 10 {
		jaritest.Eventually(t, soon, "the wait for a resend is over", func() bool {
			got = s.Do(t, http.MethodPost, "/v1/verifications/"+v.VerificationId+"/resend", nil)
			// The pause between two codes is a second; a longer wait is an answer.
			after, _ := strconv.Atoi(got.Header.Get("Retry-After"))
			return got.Code != fault.CodeResendTooSoon || after > 2
		})
		if got.Status != http.StatusAccepted {
			break
		}
	}
	if got.Status == http.StatusAccepted {
		t.Fatal("one verification sends codes without end")
	}
	c.StartVerification(t) // which the phone's budget allows
	after, err := strconv.Atoi(got.Header.Get("Retry-After"))
	if err != nil || after > 600 {
		t.Errorf("the resend was refused for %q s, and a code lasts ten minutes at most", got.Header.Get("Retry-After"))
	}
	if got.Code == fault.CodePhoneLimit {
		t.Errorf("the resend was refused with %s for %s s, although the phone's limit isn't reached", got.Code, got.Header.Get("Retry-After"))
	}
}
