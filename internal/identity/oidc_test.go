package identity

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"jari/internal/clock"
	"jari/internal/fault"
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
	p := newProvider(ProviderRules{Issuer: server.URL, ClientID: "jari", Timeout: 10 * time.Second})
	_, err := p.claims(t.Context(), begun{}, "a code", clock.NewSystem(0).Real)
	if fault.CodeOf(err) != fault.CodeProviderUnavailable || strings.Contains(err.Error(), said) {
		t.Errorf("the error is %v", err)
	}
}
