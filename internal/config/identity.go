package config

import (
	"net/url"
	"slices"
)

// How people are identified, and what ties a number to whoever gives it.
const (
	schemePhone      = "phone"
	schemeNationalID = "national_id"
	schemeList       = "list"
	schemeOIDC       = "oidc"

	boundByList     = "list"
	boundByProvider = "provider"
)

// validateIdentity refuses a scheme whose promise can't be kept: whoever knows a number and a name would be that person.
func (c Config) validateIdentity(refuse func(name, format string, args ...any)) {
	numbered := c.IdentityScheme == schemeNationalID || c.IdentityScheme == schemeList
	switch {
	case !slices.Contains([]string{schemePhone, schemeNationalID, schemeList, schemeOIDC}, c.IdentityScheme):
		refuse("JARI_IDENTITY_SCHEME", "is %q and must be phone, national_id, list or oidc", c.IdentityScheme)
	case numbered && c.IdentityBinding != boundByList && c.IdentityBinding != boundByProvider:
		refuse("JARI_IDENTITY_BINDING", "must be list or provider: an SMS proves a phone, so without a binding whoever knows a number and a name would be that person")
	case !numbered && c.IdentityBinding != "":
		refuse("JARI_IDENTITY_BINDING", "is for national_id and list only")
	}
	if (c.IdentityScheme == schemeList || c.IdentityBinding == boundByList) && (c.IdentityList == "" || len(c.IdentityList) > 64) {
		refuse("JARI_IDENTITY_LIST", "must name the imported list, in up to 64 bytes")
	}
	if c.IdentityNamesakes != "flag" && c.IdentityNamesakes != "refuse" {
		refuse("JARI_IDENTITY_NAMESAKES", "is %q and must be flag or refuse", c.IdentityNamesakes)
	}
	if c.IdentityScheme != schemeOIDC && c.IdentityBinding != boundByProvider {
		return
	}
	for _, address := range []struct{ name, value string }{{"JARI_OIDC_ISSUER", c.OIDCIssuer}, {"JARI_OIDC_REDIRECT_URL", c.OIDCRedirectURL}} {
		u, err := url.Parse(address.value)
		plain := err == nil && u.Scheme == "http" && c.Environment == Development
		if err != nil || u.Host == "" || u.Fragment != "" || (u.Scheme != "https" && !plain) {
			refuse(address.name, "must be an https address")
		}
	}
	if c.OIDCClientID == "" {
		refuse("JARI_OIDC_CLIENT_ID", "is missing")
	}
	if !slices.Contains(c.OIDCScopes, "openid") {
		refuse("JARI_OIDC_SCOPES", "must have openid")
	}
	if (c.OIDCNumberClaim != "") != (c.IdentityBinding == boundByProvider) {
		refuse("JARI_OIDC_NUMBER_CLAIM", "is needed with provider as a binding, and only then")
	}
}
