package journey_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jari/internal/config"
	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/internal/keys"
	"jari/test/jaritest"
)

// TestFixedCodeRefusedInProduction: what shows or moves codes in development doesn't start in production, and there no code
// that somebody might have built in lets anybody in.
func TestFixedCodeRefusedInProduction(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.InProduction())
	for variable, value := range map[string]string{"JARI_SMS_GATEWAY": "inbox", "JARI_CLOCK_OFFSET": "1h"} {
		if err := s.StartError(t, jaritest.WithEnvironment(variable, value)); err == nil || !strings.Contains(err.Error(), variable) {
			t.Errorf("production starts with %s=%s: %v", variable, value, err)
		}
	}
	for variable, purpose := range map[string]keys.Purpose{
		"JARI_TOKEN_KEYS": keys.Tokens, "JARI_DATA_KEYS": keys.Data, "JARI_INDEX_KEYS": keys.Index,
	} {
		line, err := keys.Generate(config.Development, purpose)
		if err != nil {
			t.Fatal(err)
		}
		err = s.StartError(t, jaritest.WithEnvironment(variable, line))
		if err == nil || !strings.Contains(err.Error(), variable+" was made for development and this is production") {
			t.Errorf("production starts with %s of development: %v", variable, err)
		}
	}
	s.SendUndeclared(t, jaritest.JSON(http.MethodGet, "/dev/inbox", nil)).Want(t, http.StatusNotFound, fault.CodeNotFound)
	for _, codes := range [][]string{{"000000", "111111", "123456", "999999"}, {"654321", "121212", "202107", "112233"}} {
		c := s.Stranger(jaritest.BornForE3)
		v := c.StartVerification(t)
		for _, code := range codes {
			c.GiveCode(t, v.VerificationId, code).Want(t, http.StatusBadRequest, fault.CodeCodeWrong)
		}
	}
}

// TestSlowGatewayMakesALine: a gateway that takes one message a second isn't given more, and whoever would get their code too
// late is told until when to wait instead of waiting for it; nothing is sent to them and their budget isn't touched.
func TestSlowGatewayMakesALine(t *testing.T) {
	t.Parallel()
	var taken atomic.Int64
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("to") == "" || r.FormValue("text") == "" {
			t.Error("the gateway is given something that isn't a message")
		}
		taken.Add(1)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(gateway.Close)
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_SMS_GATEWAY", "http"), jaritest.WithEnvironment("JARI_SMS_URL", gateway.URL),
		jaritest.WithEnvironment("JARI_SMS_USER", "jari"), jaritest.WithEnvironment("JARI_SMS_PASSWORD", "jari"),
		jaritest.WithEnvironment("JARI_SMS_FROM", "15771339"), jaritest.WithEnvironment("JARI_SMS_RATE", "1"),
		jaritest.WithEnvironment("JARI_CODE_LIFETIME", "30s"), jaritest.WithEnvironment("JARI_RATE_VERIFY", "1000"))
	began := time.Now()
	accepted := 0
	var refused *jaritest.Citizen
	var p httpapi.Problem
	for refused == nil && accepted < 200 {
		c := s.Stranger(jaritest.BornForE3)
		got := s.Do(t, http.MethodPost, "/v1/verifications", c.Claims())
		if got.Status == http.StatusAccepted {
			accepted++
			continue
		}
		p = got.Want(t, http.StatusTooManyRequests, fault.CodeSMSBusy).Problem(t)
		wantUntilWhen(t, s, p, 15*time.Second)
		refused = c
	}
	if refused == nil || p.RetryAfterSeconds == nil {
		t.Fatalf("%d codes were accepted and nobody was told until when to wait", accepted)
	}
	// Half of the thirty seconds may pass in the line: fifteen codes, and one for each second that asking took.
	if most := 17 + int(time.Since(began)/time.Second); accepted < 15 || accepted > most {
		t.Errorf("%d codes were accepted, at most %d can be sent in time", accepted, most)
	}
	if sent := taken.Load(); sent > 2+int64(time.Since(began)/time.Second) {
		t.Errorf("a gateway of one message a second was given %d in %s", sent, time.Since(began))
	}
	var messages, spent int
	if err := s.Pool.QueryRow(t.Context(), `
		SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM phone_budgets)`).Scan(&messages, &spent); err != nil {
		t.Fatal(err)
	}
	if messages != accepted || spent != accepted {
		t.Errorf("%d were accepted; %d messages are queued and %d phones have spent something", accepted, messages, spent)
	}
	// When the line has moved on, as long as was said, the same person is served.
	jaritest.Eventually(t, time.Duration(*p.RetryAfterSeconds+10)*time.Second, "there is room in the line again", func() bool {
		return s.Do(t, http.MethodPost, "/v1/verifications", refused.Claims()).Status == http.StatusAccepted
	})
}
