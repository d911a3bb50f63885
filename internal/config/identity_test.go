package config_test

import "testing"

// provider is an OpenID provider, completely.
func provider(more ...string) []string {
	return append([]string{
		"JARI_OIDC_ISSUER=https://id.example.org", "JARI_OIDC_CLIENT_ID=jari", "JARI_OIDC_REDIRECT_URL=https://booking.example.org/back",
	}, more...)
}

func TestASchemeWithoutABindingIsARefusalToStart(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"national_id", "list"} {
		for _, binding := range []string{"", "sms", "none"} {
			wantFault(t, production("JARI_IDENTITY_SCHEME="+scheme, "JARI_IDENTITY_LIST=nurses", "JARI_IDENTITY_BINDING="+binding),
				"JARI_IDENTITY_BINDING", "an SMS proves a phone")
		}
		if got := faults(t, production("JARI_IDENTITY_SCHEME="+scheme, "JARI_IDENTITY_BINDING=list", "JARI_IDENTITY_LIST=nurses")); got != nil {
			t.Errorf("%s bound by a list: %q", scheme, got)
		}
		wantFault(t, production("JARI_IDENTITY_SCHEME="+scheme, "JARI_IDENTITY_BINDING=list"), "JARI_IDENTITY_LIST", "name")
		if got := faults(t, production(provider("JARI_IDENTITY_SCHEME="+scheme, "JARI_IDENTITY_BINDING=provider", "JARI_IDENTITY_LIST=nurses",
			"JARI_OIDC_NUMBER_CLAIM=staff_number")...)); got != nil {
			t.Errorf("%s bound by a provider: %q", scheme, got)
		}
	}
	wantFault(t, production("JARI_IDENTITY_BINDING=list", "JARI_IDENTITY_LIST=nurses"), "JARI_IDENTITY_BINDING", "only")
	wantFault(t, production("JARI_IDENTITY_SCHEME=passport"), "JARI_IDENTITY_SCHEME", "must be")
	wantFault(t, production("JARI_IDENTITY_NAMESAKES=ignore"), "JARI_IDENTITY_NAMESAKES", "must be")
}

func TestAProviderNeedsAllItsParts(t *testing.T) {
	t.Parallel()
	oidc := func(more ...string) []string {
		return production(provider(append([]string{"JARI_IDENTITY_SCHEME=oidc"}, more...)...)...)
	}
	if got := faults(t, oidc()); got != nil {
		t.Errorf("%q", got)
	}
	for _, address := range []string{"", "id.example.org", "http://id.example.org", "https://", "https://id.example.org/#x", "https://[::1"} {
		wantFault(t, append(oidc(), "JARI_OIDC_ISSUER="+address), "JARI_OIDC_ISSUER", "https")
		wantFault(t, append(oidc(), "JARI_OIDC_REDIRECT_URL="+address), "JARI_OIDC_REDIRECT_URL", "https")
	}
	if got := faults(t, development(provider("JARI_IDENTITY_SCHEME=oidc", "JARI_OIDC_ISSUER=http://127.0.0.1:5556")...)); got != nil {
		t.Errorf("development may try a local one: %q", got)
	}
	wantFault(t, append(oidc(), "JARI_OIDC_CLIENT_ID="), "JARI_OIDC_CLIENT_ID", "missing")
	wantFault(t, oidc("JARI_OIDC_SCOPES=profile"), "JARI_OIDC_SCOPES", "openid")
	wantFault(t, oidc("JARI_OIDC_NUMBER_CLAIM=sub"), "JARI_OIDC_NUMBER_CLAIM", "only then")
	wantFault(t, production(provider("JARI_IDENTITY_SCHEME=national_id", "JARI_IDENTITY_BINDING=provider")...), "JARI_OIDC_NUMBER_CLAIM", "needed")
}
