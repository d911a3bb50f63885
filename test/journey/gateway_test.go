package journey_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"jari/internal/config"
	"jari/internal/fault"
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

// TestSlowGatewayMakesALine: a gateway that takes one message a second isn't given more. Whoever would get their code too late
// has a place in a line instead, with how far it has come and when to ask again; nothing is sent to them and their budget isn't
// touched. Elsewhere people were answered 200 and never sent anything.
func TestSlowGatewayMakesALine(t *testing.T) {
	t.Parallel()
	options, taken := slowly(t, 1, jaritest.WithEnvironment("JARI_CODE_LIFETIME", "30s"))
	s := jaritest.Start(t, options...)
	codesOpen(t, s)
	began := time.Now()
	accepted, waiting := 0, 0
	for range 30 {
		got := s.Send(t, wants(s.Stranger(jaritest.BornForE3), ""))
		if got.Status == http.StatusAccepted {
			accepted++
			continue
		}
		placed(t, got)
		wantUntilWhen(t, s, got.Problem(t), time.Minute)
		waiting++
	}
	// What came within two seconds of the gateway, whoever was called at once, and one for each second that asking took.
	if most := 12 + int(time.Since(began)/time.Second); accepted < 3 || accepted > most || waiting == 0 {
		t.Errorf("%d codes were accepted, at most %d can be sent soon, and %d wait", accepted, most, waiting)
	}
	var messages, spent int
	if err := s.Pool.QueryRow(t.Context(), `
		SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM phone_budgets)`).Scan(&messages, &spent); err != nil {
		t.Fatal(err)
	}
	if messages != accepted || spent != accepted {
		t.Errorf("%d were accepted; %d messages are queued and %d phones have spent something", accepted, messages, spent)
	}
	jaritest.Eventually(t, soon, "the gateway is given some", func() bool { return taken.Load() >= 3 })
	if sent := taken.Load(); sent > 2+int64(time.Since(began)/time.Second) {
		t.Errorf("a gateway of one message a second was given %d in %s", sent, time.Since(began))
	}
}
