package identity

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/keys"
	"jari/internal/openid"
	"jari/internal/postgres"
	"jari/internal/token"
)

// ProviderRules are where people sign in, if they do.
type ProviderRules struct {
	Issuer       string
	ClientID     string
	ClientSecret string
	// RedirectURL is the page that the provider leads back to, which hands in what it was given.
	RedirectURL string
	Scopes      []string
	// NumberClaim is the claim that has the national id or the number of a list's entry, where the provider is the binding.
	NumberClaim string
	Lifetime    time.Duration // of a sign-in that was begun
	Timeout     time.Duration // of one request to the provider
}

// ticketUse ties a sealed ticket to its use.
const ticketUse = "jari sign-in"

// provider is an OpenID provider as this package asks it.
type provider struct {
	*openid.Provider
	numberClaim string
}

func newProvider(rules ProviderRules, data *keys.Sealer) *provider {
	return &provider{openid.New(openid.Rules{
		Issuer: rules.Issuer, ClientID: rules.ClientID, ClientSecret: rules.ClientSecret, RedirectURL: rules.RedirectURL,
		Scopes: rules.Scopes, Lifetime: rules.Lifetime, Timeout: rules.Timeout,
	}, data, ticketUse), rules.NumberClaim}
}

type (
	// SignIn is a way to the provider that was begun.
	SignIn = openid.SignIn
	// Return is what it led back with.
	Return = openid.Return
)

// StartSignIn begins the way through the provider (authorization code with PKCE, state and nonce). It refuses with
// scheme_not_offered and provider_unavailable.
func (s *Service) StartSignIn(ctx context.Context, language string) (SignIn, error) {
	if s.provider == nil {
		return SignIn{}, fault.New(fault.Invalid, fault.CodeSchemeNotOffered)
	}
	return s.provider.Start(ctx, s.clock.Real(), language)
}

// ConfirmSignIn finds or makes the person for whom the provider vouches. It refuses with sign_in_over, sign_in_refused,
// sign_in_incomplete, not_on_list and provider_unavailable. The provider takes a code once.
func (s *Service) ConfirmSignIn(ctx context.Context, r Return) (Session, error) {
	x, err := s.vouched(ctx, r)
	if err != nil {
		return Session{}, err
	}
	var person Person
	if err := postgres.InTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
		person, err = s.findOrMakeSomeone(ctx, tx, x)
		return err
	}); err != nil {
		return Session{}, err
	}
	return s.newSession(ctx, person)
}

// ActForSignIn exchanges a session for one of whoever the provider vouches for. It refuses like ConfirmSignIn, and with
// beneficiaries_limit.
func (s *Service) ActForSignIn(ctx context.Context, caller token.Session, r Return) (Session, error) {
	x, err := s.vouched(ctx, r)
	if err != nil {
		return Session{}, err
	}
	var person Person
	if err := postgres.InTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if person, err = s.findOrMakeSomeone(ctx, tx, x); err != nil {
			return err
		}
		return s.let(ctx, tx, caller.Actor, person)
	}); err != nil {
		return Session{}, err
	}
	return s.actingSession(ctx, caller, person)
}

// vouched asks the provider who came back.
func (s *Service) vouched(ctx context.Context, r Return) (someone, error) {
	if s.provider == nil {
		return someone{}, fault.New(fault.Invalid, fault.CodeSchemeNotOffered)
	}
	a, err := s.provider.Finish(ctx, s.clock.Real, r)
	if err != nil {
		return someone{}, err
	}
	c, err := s.provider.claims(ctx, a)
	if err != nil {
		return someone{}, err
	}
	return s.fromClaims(ctx, c, a.Language)
}

// providerClaims are the standard claims that say who somebody is, and those that providers use who tell the year of birth
// apart from the day. raw has all, for the one with the number.
type providerClaims struct {
	Issuer  string `json:"-"`
	Subject string `json:"-"`

	Name       string `json:"name"`
	FamilyName string `json:"family_name"`
	GivenName  string `json:"given_name"`
	BirthDate  string `json:"birthdate"`
	BirthYear  string `json:"birthyear"`
	BirthDay   string `json:"birthday"` // MM-DD or MMDD
	Phone      string `json:"phone_number"`
	// PhoneTrue is true, or "true" where a provider tells it as a text.
	PhoneTrue any `json:"phone_number_verified"`

	raw map[string]any
}

// claims reads what the provider says. What the token leaves out is asked for at its userinfo.
func (p *provider) claims(ctx context.Context, a *openid.Answer) (c providerClaims, err error) {
	if err := a.Claims(&c, &c.raw); err != nil {
		return c, err
	}
	if !p.complete(c) && a.HasUserinfo() {
		if err := a.Complete(ctx, &c, &c.raw); err != nil {
			return c, err
		}
	}
	c.Issuer, c.Subject = a.Issuer, a.Subject
	return c, nil
}

func (p *provider) complete(c providerClaims) bool {
	return c.name() != "" && c.born() != (civil.Date{}) && (p.numberClaim == "" || c.number(p.numberClaim) != "")
}

func (c providerClaims) name() string {
	if c.Name != "" {
		return c.Name
	}
	return strings.TrimSpace(c.FamilyName + " " + c.GivenName)
}

// born is the birth date, or the zero date: a provider may tell the year alone, or none.
func (c providerClaims) born() civil.Date {
	text := c.BirthDate
	if text == "" && c.BirthYear != "" {
		day := strings.ReplaceAll(c.BirthDay, "-", "")
		if len(day) != len("0102") {
			return civil.Date{}
		}
		text = c.BirthYear + "-" + day[:2] + "-" + day[2:]
	}
	born, err := civil.Parse(text)
	if err != nil {
		return civil.Date{}
	}
	return born
}

// number is the claim with the number: a text, since a number of JSON has lost its zeros already.
func (c providerClaims) number(claim string) string {
	text, _ := c.raw[claim].(string)
	return text
}

// fromClaims turns what a provider says into who is to be found.
func (s *Service) fromClaims(ctx context.Context, c providerClaims, language string) (x someone, err error) {
	x = someone{scheme: s.rules.Scheme, language: language}
	var problem string
	if x.Name, problem = readName(c.name()); problem != "" {
		return someone{}, openid.Incomplete("name")
	}
	x.BirthDate = c.born()
	if c.PhoneTrue == true || c.PhoneTrue == "true" {
		if phone, err := NormalisePhone(c.Phone, s.rules.Phones); err == nil {
			x.Phone = phone
		}
	}
	switch s.rules.Scheme {
	case SchemeOIDC:
		x.lookup, err = s.index.Hash("person", SchemeOIDC, c.Issuer, c.Subject)
	case SchemeNationalID:
		digits, said, refused := ParseNationalID(c.number(s.rules.Provider.NumberClaim))
		if refused != nil {
			return someone{}, openid.Incomplete("national id")
		}
		x.BirthDate = said.BirthDate
		x.lookup, err = s.numbered(Claims{Scheme: SchemeNationalID, NationalID: digits})
	default:
		claims := Claims{Scheme: SchemeList, Name: x.Name, BirthDate: x.BirthDate}
		if claims.Number, problem = readNumber(c.number(s.rules.Provider.NumberClaim)); problem != "" || claims.Number == "" {
			return someone{}, openid.Incomplete("number")
		}
		found, err := s.listed(ctx, claims, nil)
		if err != nil {
			return someone{}, err
		}
		if !found {
			return someone{}, notOnList()
		}
		if x.lookup, err = s.numbered(claims); err != nil {
			return someone{}, err
		}
	}
	if err == nil && !believable(x.BirthDate, s.today()) {
		return someone{}, openid.Incomplete("birth date")
	}
	return x, err
}
