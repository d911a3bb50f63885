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

const deviceCookie = "__Host-jari-device"

// strangerCannotLockOut: a stranger who types somebody's number and guesses can't end that somebody's night.
func strangerCannotLockOut(t *testing.T) {
	s := jaritest.Start(t)
	owner := s.Stranger(jaritest.BornForE3)
	v := owner.StartVerification(t)
	verified := owner.GiveCode(t, v.VerificationId, owner.Code(t)).Want(t, http.StatusOK)
	device := verified.Cookie(deviceCookie)
	if device == nil || !device.HttpOnly || !device.Secure || device.SameSite != http.SameSiteStrictMode || device.Path != "/" || device.MaxAge <= 0 {
		t.Fatalf("the device keeps %+v", device)
	}
	var session httpapi.Session
	verified.Into(t, &session)
	if session.Device == nil || *session.Device != device.Value {
		t.Error("the cookie and the answer have different devices")
	}

	// The stranger: other words, the owner's number, as often as it goes, and wrong guesses at all of them.
	stranger := s.Stranger("1963-03-03")
	stranger.Phone = owner.Phone
	start := func(with func(*jaritest.Request), who *jaritest.Citizen) jaritest.Response {
		q := jaritest.JSON(http.MethodPost, "/v1/verifications", who.Claims())
		with(&q)
		return s.Send(t, q)
	}
	nothing := func(*jaritest.Request) {}
	for {
		got := start(nothing, stranger)
		if got.Status != http.StatusAccepted {
			p := got.Want(t, http.StatusTooManyRequests, fault.CodePhoneLimit).Problem(t)
			wantUntilWhen(t, s, p, 24*time.Hour)
			break
		}
		var v httpapi.Verification
		got.Into(t, &v)
		code := stranger.Code(t)
		for range 5 {
			stranger.GiveCode(t, v.VerificationId, wrong(code))
		}
	}
	// A device that never verified this phone doesn't help, whatever it says it is.
	other := s.Stranger(jaritest.BornForE3)
	v = other.StartVerification(t)
	others := other.GiveCode(t, v.VerificationId, other.Code(t)).Cookie(deviceCookie).Value
	for _, device := range []string{"x", others, session.Token} {
		start(func(q *jaritest.Request) { q.Header.Set("Jari-Device", device) }, stranger).Want(t, http.StatusTooManyRequests, fault.CodePhoneLimit)
	}
	// Nor does the owner's cookie on a page of somebody else.
	start(func(q *jaritest.Request) {
		q.Header.Set("Cookie", deviceCookie+"="+device.Value)
		q.Header.Set("Sec-Fetch-Site", "cross-site")
	}, owner).Want(t, http.StatusTooManyRequests, fault.CodePhoneLimit)

	// The owner comes in, by the cookie as by the header, and a wrong code more doesn't matter.
	for _, carry := range []func(*jaritest.Request){
		func(q *jaritest.Request) { q.Header.Set("Cookie", deviceCookie+"="+device.Value) },
		func(q *jaritest.Request) { q.Header.Set("Jari-Device", device.Value) },
	} {
		var v httpapi.Verification
		start(carry, owner).Want(t, http.StatusAccepted).Into(t, &v)
		code := owner.Code(t)
		owner.GiveCode(t, v.VerificationId, wrong(code)).Want(t, http.StatusBadRequest, fault.CodeCodeWrong)
		owner.GiveCode(t, v.VerificationId, code).Want(t, http.StatusOK)
	}
}

func TestOnlyTheProxyIsBelievedWhereSomebodyComesFrom(t *testing.T) {
	t.Parallel()
	from := func(t *testing.T, s *jaritest.Server, forwarded string) jaritest.Response {
		q := jaritest.JSON(http.MethodPost, "/v1/verifications", s.Stranger(jaritest.BornForE3).Claims())
		q.Header.Set("X-Forwarded-For", forwarded)
		q.Header.Set("X-Real-Ip", "198.51.100.1")
		q.Header.Set("Forwarded", "for=198.51.100.2")
		return s.Send(t, q)
	}
	one := jaritest.WithEnvironment("JARI_CODES_PER_BLOCK", "1")
	t.Run("a trusted proxy says it", func(t *testing.T) {
		t.Parallel()
		s := jaritest.Start(t, one, jaritest.WithEnvironment("JARI_TRUSTED_PROXIES", "127.0.0.0/8,::1/128"))
		from(t, s, "203.0.113.7").Want(t, http.StatusAccepted)
		p := from(t, s, "203.0.113.99").Want(t, http.StatusTooManyRequests, fault.CodeAddressLimit).Problem(t)
		wantUntilWhen(t, s, p, time.Hour)
		from(t, s, "203.0.114.7").Want(t, http.StatusAccepted) // another block
		// What the client wrote before the proxy's own word isn't believed.
		from(t, s, "192.0.2.1, 203.0.113.8").Want(t, http.StatusTooManyRequests, fault.CodeAddressLimit)
		from(t, s, "2001:db8:1:ff00::1").Want(t, http.StatusAccepted)
		from(t, s, "2001:db8:1:ffff::1").Want(t, http.StatusTooManyRequests, fault.CodeAddressLimit)
	})
	t.Run("anybody else says nothing", func(t *testing.T) {
		t.Parallel()
		s := jaritest.Start(t, one)
		for range 3 {
			from(t, s, "203.0.113.7").Want(t, http.StatusAccepted) // this machine's own address has no block
		}
	})
}

func TestForgettingADeviceForgetsIt(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	got := c.Do(t, http.MethodDelete, "/v1/session", nil).Want(t, http.StatusNoContent)
	if all := strings.Join(got.Header.Values("Set-Cookie"), "\n"); !strings.Contains(all, deviceCookie+"=;") {
		t.Errorf("the cookies are\n%s", all)
	}
}
