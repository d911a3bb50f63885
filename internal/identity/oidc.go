package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/jackc/pgx/v5"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"jari/internal/civil"
	"jari/internal/fault"
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

// maxProviderBytes is the most of an answer of the provider that is read.
const maxProviderBytes = 1 << 20

// providerRetryAfter is what people are told to wait when the provider can't be reached.
const providerRetryAfter = 5 * time.Second

// provider is an OpenID provider. It is looked up when somebody first signs in, so that an instance starts without it.
type provider struct {
	rules  ProviderRules
	client *http.Client

	looking singleflight.Group
	found   atomic.Pointer[oidc.Provider]
}

func newProvider(rules ProviderRules) *provider {
	return &provider{rules: rules, client: &http.Client{Timeout: rules.Timeout, Transport: bounded{http.DefaultTransport}}}
}

// bounded cuts answers off that are longer than any honest one.
type bounded struct{ next http.RoundTripper }

// RoundTrip asks.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxProviderBytes)
	}
	return answer, err
}

func providerUnavailable(err error) error {
	return fault.New(fault.Unavailable, fault.CodeProviderUnavailable).After(providerRetryAfter).Because(err)
}

func signInRefused(why string) error {
	return fault.New(fault.Invalid, fault.CodeSignInRefused).Because(errors.New(why))
}

func signInIncomplete(what string) error {
	return fault.New(fault.Forbidden, fault.CodeSignInIncomplete).Because(errors.New("no usable " + what))
}

// discover reads the provider's own description, once. Who asks while it is read waits for the same answer, and no longer
// than their own request.
func (p *provider) discover(ctx context.Context) (*oidc.Provider, error) {
	if found := p.found.Load(); found != nil {
		return found, nil
	}
	answer := p.looking.DoChan("", func() (any, error) {
		// The provider keeps the context for fetching keys later on, so it isn't a request's; the client has a time-out.
		found, err := oidc.NewProvider(oidc.ClientContext(context.Background(), p.client), p.rules.Issuer)
		if err == nil {
			p.found.Store(found)
		}
		return found, err
	})
	select {
	case <-ctx.Done():
		return nil, providerUnavailable(ctx.Err())
	case r := <-answer:
		if r.Err != nil {
			return nil, providerUnavailable(r.Err)
		}
		return p.found.Load(), nil
	}
}

func (p *provider) oauth(found *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.rules.ClientID, ClientSecret: p.rules.ClientSecret, Endpoint: found.Endpoint(),
		RedirectURL: p.rules.RedirectURL, Scopes: p.rules.Scopes,
	}
}

// SignIn is a way to the provider that was begun.
type SignIn struct {
	// Ticket is kept by whoever began, and never goes through the provider: an answer of the provider that somebody else
	// began is worth nothing without it.
	Ticket    string
	URL       string    // where the provider asks who it is
	ExpiresAt time.Time // real time
}

// begun is what a ticket holds, sealed: nobody reads the verifier, and nothing is stored for those who never come back.
type begun struct {
	State     string    `json:"state"`
	Nonce     string    `json:"nonce"`
	Verifier  string    `json:"verifier"`
	Language  string    `json:"language"`
	ExpiresAt time.Time `json:"expires_at"`
}

// ticketContext ties a sealed ticket to its use.
var ticketContext = []byte("jari sign-in")

// StartSignIn begins the way through the provider (authorization code with PKCE, state and nonce). It refuses with
// scheme_not_offered and provider_unavailable.
func (s *Service) StartSignIn(ctx context.Context, language string) (SignIn, error) {
	if s.provider == nil {
		return SignIn{}, fault.New(fault.Invalid, fault.CodeSchemeNotOffered)
	}
	found, err := s.provider.discover(ctx)
	if err != nil {
		return SignIn{}, err
	}
	b := begun{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Language: language,
		ExpiresAt: s.clock.Real().Add(s.rules.Provider.Lifetime),
	}
	plain, err := json.Marshal(b)
	if err != nil {
		return SignIn{}, fmt.Errorf("encoding a sign-in: %w", err)
	}
	ticket, err := s.data.Seal(plain, ticketContext)
	if err != nil {
		return SignIn{}, err
	}
	return SignIn{
		Ticket: base64.RawURLEncoding.EncodeToString(ticket), ExpiresAt: b.ExpiresAt,
		URL: s.provider.oauth(found).AuthCodeURL(b.State, oidc.Nonce(b.Nonce), oauth2.S256ChallengeOption(b.Verifier)),
	}, nil
}

// Return is what the provider led back with, and the ticket of whoever was sent there.
type Return struct{ Ticket, State, Code string }

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
	b, err := s.openTicket(r.Ticket)
	if err != nil {
		return someone{}, err
	}
	if subtle.ConstantTimeCompare([]byte(b.State), []byte(r.State)) != 1 {
		return someone{}, signInRefused("another state")
	}
	c, err := s.provider.claims(ctx, b, r.Code, s.clock.Real)
	if err != nil {
		return someone{}, err
	}
	return s.fromClaims(ctx, c, b.Language)
}

func (s *Service) openTicket(text string) (b begun, err error) {
	over := fault.New(fault.Gone, fault.CodeSignInOver)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return begun{}, over
	}
	plain, err := s.data.Open(raw, ticketContext)
	if err != nil || json.Unmarshal(plain, &b) != nil || !s.clock.Real().Before(b.ExpiresAt) {
		return begun{}, over
	}
	return b, nil
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

// claims exchanges a code and verifies what comes for it: signature, issuer, audience, expiry and nonce. What the token
// leaves out is asked for at the provider's userinfo.
func (p *provider) claims(ctx context.Context, b begun, code string, now func() time.Time) (c providerClaims, err error) {
	found, err := p.discover(ctx)
	if err != nil {
		return c, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	tokens, err := p.oauth(found).Exchange(ctx, code, oauth2.VerifierOption(b.Verifier))
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		// Without the error's text, which repeats all that the provider said.
		says := "the provider answers " + refused.Response.Status
		if refused.Response.StatusCode < http.StatusInternalServerError {
			return c, signInRefused(says)
		}
		return c, providerUnavailable(errors.New(says))
	}
	if err != nil {
		return c, providerUnavailable(err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return c, signInRefused("no id token")
	}
	id, err := found.Verifier(&oidc.Config{ClientID: p.rules.ClientID, Now: now}).Verify(ctx, raw)
	if err != nil && strings.Contains(err.Error(), "fetching keys") { // the library doesn't wrap this one
		return c, providerUnavailable(errors.New("the provider's keys can't be read"))
	}
	if err != nil {
		return c, signInRefused(err.Error())
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(b.Nonce)) != 1 {
		return c, signInRefused("another nonce")
	}
	if err := errors.Join(id.Claims(&c), id.Claims(&c.raw)); err != nil {
		return c, signInIncomplete("claims in the id token")
	}
	c.Issuer, c.Subject = id.Issuer, id.Subject
	if p.complete(c) || found.UserInfoEndpoint() == "" {
		return c, nil
	}
	info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		// Without the error's text, which repeats what the provider said of the person.
		return c, providerUnavailable(errors.New("userinfo can't be read"))
	}
	if info.Subject != c.Subject {
		return c, signInRefused("userinfo is of another subject")
	}
	// The token's claims stand; userinfo adds to them.
	if err := errors.Join(info.Claims(&c.raw), id.Claims(&c.raw), info.Claims(&c), id.Claims(&c)); err != nil {
		return c, signInIncomplete("claims in userinfo")
	}
	return c, nil
}

func (p *provider) complete(c providerClaims) bool {
	return c.name() != "" && c.born() != (civil.Date{}) && (p.rules.NumberClaim == "" || c.number(p.rules.NumberClaim) != "")
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
		return someone{}, signInIncomplete("name")
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
			return someone{}, signInIncomplete("national id")
		}
		x.BirthDate = said.BirthDate
		x.lookup, err = s.numbered(Claims{Scheme: SchemeNationalID, NationalID: digits})
	default:
		claims := Claims{Scheme: SchemeList, Name: x.Name, BirthDate: x.BirthDate}
		if claims.Number, problem = readNumber(c.number(s.rules.Provider.NumberClaim)); problem != "" || claims.Number == "" {
			return someone{}, signInIncomplete("number")
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
		return someone{}, signInIncomplete("birth date")
	}
	return x, err
}
