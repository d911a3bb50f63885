// Package openid leads people through an OpenID provider and believes what it says of them: authorization code with PKCE,
// state and nonce. It keeps nothing: what has to be remembered between leaving and coming back is in a sealed ticket that
// whoever left keeps. Who somebody is then, and what they may, is others' business.
package openid

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
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"jari/internal/fault"
	"jari/internal/keys"
)

// Rules say which provider, and what it calls this deployment.
type Rules struct {
	Issuer       string
	ClientID     string
	ClientSecret string
	// RedirectURL is the page that the provider leads back to, which hands in what it was given.
	RedirectURL string
	Scopes      []string
	Lifetime    time.Duration // of a sign-in that was begun
	Timeout     time.Duration // of one request to the provider
}

// maxAnswerBytes is the most of an answer of the provider that is read.
const maxAnswerBytes = 1 << 20

// retryAfter is what people are told to wait when the provider can't be reached.
const retryAfter = 5 * time.Second

// Provider is an OpenID provider. It is looked up when somebody first signs in, so that an instance starts without it.
type Provider struct {
	rules  Rules
	sealer *keys.Sealer
	use    []byte // ties a sealed ticket to its use
	client *http.Client

	looking singleflight.Group
	found   atomic.Pointer[oidc.Provider]
}

// New returns a provider whose tickets are sealed for one use, and worth nothing for any other.
func New(rules Rules, sealer *keys.Sealer, use string) *Provider {
	return &Provider{
		rules: rules, sealer: sealer, use: []byte(use),
		client: &http.Client{Timeout: rules.Timeout, Transport: bounded{http.DefaultTransport}},
	}
}

// bounded cuts answers off that are longer than any honest one.
type bounded struct{ next http.RoundTripper }

// RoundTrip asks.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxAnswerBytes)
	}
	return answer, err
}

func unavailable(err error) error {
	return fault.New(fault.Unavailable, fault.CodeProviderUnavailable).After(retryAfter).Because(err)
}

func refused(why string) error {
	return fault.New(fault.Invalid, fault.CodeSignInRefused).Because(errors.New(why))
}

// Incomplete is the refusal of somebody of whom the provider doesn't tell what is needed.
func Incomplete(what string) error {
	return fault.New(fault.Forbidden, fault.CodeSignInIncomplete).Because(errors.New("no usable " + what))
}

// discover reads the provider's own description, once. Who asks while it is read waits for the same answer, and no longer
// than their own request.
func (p *Provider) discover(ctx context.Context) (*oidc.Provider, error) {
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
		return nil, unavailable(ctx.Err())
	case r := <-answer:
		if r.Err != nil {
			return nil, unavailable(r.Err)
		}
		return p.found.Load(), nil
	}
}

func (p *Provider) oauth(found *oidc.Provider) *oauth2.Config {
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

// Start begins the way through the provider at a real instant. It refuses with provider_unavailable.
func (p *Provider) Start(ctx context.Context, now time.Time, language string) (SignIn, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return SignIn{}, err
	}
	b := begun{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Language: language,
		ExpiresAt: now.Add(p.rules.Lifetime),
	}
	plain, err := json.Marshal(b)
	if err != nil {
		return SignIn{}, fmt.Errorf("encoding a sign-in: %w", err)
	}
	ticket, err := p.sealer.Seal(plain, p.use)
	if err != nil {
		return SignIn{}, err
	}
	return SignIn{
		Ticket: base64.RawURLEncoding.EncodeToString(ticket), ExpiresAt: b.ExpiresAt,
		URL: p.oauth(found).AuthCodeURL(b.State, oidc.Nonce(b.Nonce), oauth2.S256ChallengeOption(b.Verifier)),
	}, nil
}

// Return is what the provider led back with, and the ticket of whoever was sent there.
type Return struct{ Ticket, State, Code string }

// Answer is what the provider vouches for.
type Answer struct {
	Issuer, Subject string
	// Language is that in which the way was begun.
	Language string

	id     *oidc.IDToken
	tokens *oauth2.Token
	found  *oidc.Provider
	client *http.Client
}

// Finish exchanges a code and verifies what comes for it: signature, issuer, audience, expiry and nonce. It refuses with
// sign_in_over, sign_in_refused and provider_unavailable. The provider takes a code once.
func (p *Provider) Finish(ctx context.Context, now func() time.Time, r Return) (*Answer, error) {
	b, err := p.openTicket(r.Ticket, now())
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(b.State), []byte(r.State)) != 1 {
		return nil, refused("another state")
	}
	found, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	tokens, err := p.oauth(found).Exchange(ctx, r.Code, oauth2.VerifierOption(b.Verifier))
	if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		// Without the error's text, which repeats all that the provider said.
		says := "the provider answers " + refusal.Response.Status
		if refusal.Response.StatusCode < http.StatusInternalServerError {
			return nil, refused(says)
		}
		return nil, unavailable(errors.New(says))
	}
	if err != nil {
		return nil, unavailable(err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return nil, refused("no id token")
	}
	id, err := found.Verifier(&oidc.Config{ClientID: p.rules.ClientID, Now: now}).Verify(ctx, raw)
	if err != nil && strings.Contains(err.Error(), "fetching keys") { // the library doesn't wrap this one
		return nil, unavailable(errors.New("the provider's keys can't be read"))
	}
	if err != nil {
		return nil, refused(err.Error())
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(b.Nonce)) != 1 {
		return nil, refused("another nonce")
	}
	// The library sees that we are among the audience; a token for several has to say that it was given to us.
	var given struct {
		To string `json:"azp"`
	}
	if err := id.Claims(&given); err != nil {
		return nil, Incomplete("claims in the id token")
	}
	if given.To != p.rules.ClientID && (given.To != "" || len(id.Audience) > 1) {
		return nil, refused("given to another client")
	}
	return &Answer{
		Issuer: id.Issuer, Subject: id.Subject, Language: b.Language, id: id, tokens: tokens, found: found, client: p.client,
	}, nil
}

func (p *Provider) openTicket(text string, now time.Time) (b begun, err error) {
	over := fault.New(fault.Gone, fault.CodeSignInOver)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return begun{}, over
	}
	plain, err := p.sealer.Open(raw, p.use)
	if err != nil || json.Unmarshal(plain, &b) != nil || !now.Before(b.ExpiresAt) {
		return begun{}, over
	}
	return b, nil
}

// Claims reads the token's claims into each of v.
func (a *Answer) Claims(v ...any) error {
	for _, into := range v {
		if err := a.id.Claims(into); err != nil {
			return Incomplete("claims in the id token")
		}
	}
	return nil
}

// HasUserinfo tells whether the provider can be asked for more than the token says.
func (a *Answer) HasUserinfo() bool { return a.found.UserInfoEndpoint() != "" }

// Complete asks the provider's userinfo, and reads what it and the token say into each of v; where both do, the token's claim
// stands. It refuses with provider_unavailable, and sign_in_refused where userinfo is of somebody else.
func (a *Answer) Complete(ctx context.Context, v ...any) error {
	info, err := a.found.UserInfo(oidc.ClientContext(ctx, a.client), oauth2.StaticTokenSource(a.tokens))
	if err != nil {
		// Without the error's text, which repeats what the provider said of the person.
		return unavailable(errors.New("userinfo can't be read"))
	}
	if info.Subject != a.Subject {
		return refused("userinfo is of another subject")
	}
	for _, into := range v {
		if err := errors.Join(info.Claims(into), a.id.Claims(into)); err != nil {
			return Incomplete("claims in userinfo")
		}
	}
	return nil
}
