package openid

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"jari/internal/clock"
	"jari/internal/config"
	"jari/internal/fault"
	"jari/internal/keys"
)

// What a provider says while it is broken may be about whoever signs in: an error goes into the log.
func TestWhatABrokenProviderSaysIsntRepeated(t *testing.T) {
	t.Parallel()
	const said = "no account of 남궁별이"
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": server.URL, "authorization_endpoint": server.URL + "/authorize", "token_endpoint": server.URL + "/token",
			"jwks_uri": server.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, said, http.StatusBadGateway) })
	line, err := keys.Generate(config.Development, keys.Data)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := keys.NewSealer(line, config.Development, keys.Data)
	if err != nil {
		t.Fatal(err)
	}
	now := clock.NewSystem(0).Real
	rules := Rules{Issuer: server.URL, ClientID: "jari", Timeout: 10 * time.Second, Lifetime: time.Minute}
	p := New(rules, sealer, "one use")
	begun, err := p.Start(t.Context(), now(), "ko")
	if err != nil {
		t.Fatal(err)
	}
	asked, err := url.Parse(begun.URL)
	if err != nil {
		t.Fatal(err)
	}
	back := Return{Ticket: begun.Ticket, State: asked.Query().Get("state"), Code: "a code"}
	if _, err = p.Finish(t.Context(), now, back); fault.CodeOf(err) != fault.CodeProviderUnavailable || strings.Contains(err.Error(), said) {
		t.Errorf("the error is %v", err)
	}
	// A ticket for one use is none for another: a citizen's sign-in never becomes an administrator's.
	if _, err = New(rules, sealer, "another use").Finish(t.Context(), now, back); fault.CodeOf(err) != fault.CodeSignInOver {
		t.Errorf("for another use: %v", err)
	}
}
