package app

import (
	"errors"
	"fmt"

	"jari/internal/config"
	"jari/internal/keys"
	"jari/internal/openid"
	"jari/internal/staff"
)

// newStaff knows who administers, and lets them sign in where the deployment names a provider.
func (a *App) newStaff(data *keys.Sealer) (*staff.Service, error) {
	s := staff.NewService(a.pool, a.clock, a.cfg.Environment)
	rules, err := signInRules(a.cfg)
	if err == nil && a.cfg.AdminOIDCIssuer != "" {
		s.OfferSignIn(rules, data)
	}
	return s, err
}

// signInRules reads what the configuration says of groups; it reports everything that is wrong with them.
func signInRules(c config.Config) (rules staff.SignInRules, err error) {
	rules = staff.SignInRules{
		Provider: openid.Rules{
			Issuer: c.AdminOIDCIssuer, ClientID: c.AdminOIDCClientID, ClientSecret: string(c.AdminOIDCClientSecret),
			RedirectURL: c.AdminOIDCRedirectURL, Scopes: c.AdminOIDCScopes, Lifetime: c.SignInLifetime, Timeout: c.OIDCTimeout,
		},
		RolesClaim: c.AdminOIDCGroupsClaim, Session: c.AdminSession,
	}
	var faults []error
	for _, text := range c.AdminOIDCRoles {
		m, err := staff.ParseMapping(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("JARI_ADMIN_OIDC_ROLES: %w", err))
			continue
		}
		rules.Mappings = append(rules.Mappings, m)
	}
	return rules, errors.Join(faults...)
}
