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
	c.validateAddress(refuse, "JARI_OIDC_ISSUER", c.OIDCIssuer)
	c.validateAddress(refuse, "JARI_OIDC_REDIRECT_URL", c.OIDCRedirectURL)
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

// validateAddress refuses addresses at which somebody could listen, and tells whether it didn't.
func (c Config) validateAddress(refuse func(name, format string, args ...any), name, address string) bool {
	u, err := url.Parse(address)
	plain := err == nil && u.Scheme == "http" && c.Environment == Development
	if err != nil || u.Host == "" || u.Fragment != "" || (u.Scheme != "https" && !plain) {
		refuse(name, "must be an https address")
		return false
	}
	return true
}

// validateAdminSignIn refuses a provider that lets nobody in, and settings that are for one that isn't named.
func (c Config) validateAdminSignIn(refuse func(name, format string, args ...any)) {
	if c.AdminOIDCIssuer == "" {
		if c.AdminOIDCClientID != "" || c.AdminOIDCRedirectURL != "" || len(c.AdminOIDCRoles) > 0 {
			refuse("JARI_ADMIN_OIDC_ISSUER", "is missing: the other JARI_ADMIN_OIDC settings are for it")
		}
		return
	}
	c.validateAddress(refuse, "JARI_ADMIN_OIDC_ISSUER", c.AdminOIDCIssuer)
	c.validateAddress(refuse, "JARI_ADMIN_OIDC_REDIRECT_URL", c.AdminOIDCRedirectURL)
	if c.AdminOIDCClientID == "" {
		refuse("JARI_ADMIN_OIDC_CLIENT_ID", "is missing")
	}
	if !slices.Contains(c.AdminOIDCScopes, "openid") {
		refuse("JARI_ADMIN_OIDC_SCOPES", "must have openid")
	}
	if c.AdminOIDCGroupsClaim == "" {
		refuse("JARI_ADMIN_OIDC_GROUPS_CLAIM", "is missing")
	}
	if len(c.AdminOIDCRoles) == 0 {
		refuse("JARI_ADMIN_OIDC_ROLES", "is missing: nobody could sign in; such as owner=jari-owners;operator=night")
	}
}
