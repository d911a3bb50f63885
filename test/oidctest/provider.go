// Package oidctest runs an OpenID provider of a certified library as a server of its own, with people whom tests invent.
// Signing, discovery, PKCE, codes and userinfo are the library's; only who people are, and that they agree, is made here.
package oidctest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// What the provider knows of its one client.
const (
	ClientID     = "jari"
	ClientSecret = "a secret between two"
	// RedirectURL is the page that people are led back to; nobody answers there.
	RedirectURL = "https://booking.example.org/back"
)

// User is somebody at the provider.
type User struct {
	Subject string
	// Claims are told as they are, in the id token or at userinfo.
	Claims map[string]any
}

// Provider is a running one.
type Provider struct {
	Issuer string
	// InUserinfo: claims are told at userinfo only, and the id token says no more than who it is.
	InUserinfo bool
	// CodesAgain: a code may be exchanged more than once, which no honest provider allows.
	CodesAgain bool
	// KeysAway: its keys can't be read.
	KeysAway bool

	server *httptest.Server
	key    *rsa.PrivateKey
	mu     sync.Mutex
	asked  map[string]*request // by id
	codes  map[string]string   // ids by code
	users  map[string]User     // by subject
}

// Start runs a provider until the test's end.
func Start(t testing.TB) *Provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{key: key, asked: map[string]*request{}, codes: map[string]string{}, users: map[string]User{}}
	mux := http.NewServeMux()
	p.server = httptest.NewServer(mux)
	t.Cleanup(p.server.Close)
	p.Issuer = p.server.URL
	provider, err := op.NewProvider(&op.Config{CodeMethodS256: true, AuthMethodPost: true}, &storage{p}, op.StaticIssuer(p.Issuer),
		op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/", provider)
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		if p.KeysAway {
			http.Error(w, "not now", http.StatusBadGateway)
			return
		}
		provider.ServeHTTP(w, r)
	})
	return p
}

// Stop takes the provider away.
func (p *Provider) Stop() { p.server.Close() }

// Agree is what happens at the provider: somebody whom it knows agrees, in a browser, and is led back. It returns what the
// browser carries to the page.
func (p *Provider) Agree(t testing.TB, address string, u User) (state, code string) {
	t.Helper()
	login := p.follow(t, address)
	id := login.Query().Get("id")
	p.mu.Lock()
	asked, ok := p.asked[id]
	if ok {
		asked.user = &u
		p.users[u.Subject] = u
	}
	p.mu.Unlock()
	if !ok {
		t.Fatalf("the provider doesn't ask who it is: %s", login)
	}
	back := p.follow(t, p.Issuer+"/authorize/callback?id="+url.QueryEscape(id))
	if got := back.Scheme + "://" + back.Host + back.Path; got != RedirectURL {
		t.Fatalf("led back to %s", got)
	}
	return back.Query().Get("state"), back.Query().Get("code")
}

// follow asks for an address and returns where it leads to.
func (p *Provider) follow(t testing.TB, address string) *url.URL {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	browser := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusFound {
		body, _ := io.ReadAll(answer.Body)
		t.Fatalf("the provider answers %s\n%s", answer.Status, body)
	}
	to, err := answer.Location()
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// request is one way through the provider.
type request struct {
	oidc.AuthRequest
	id   string
	user *User
}

func (r *request) GetID() string                      { return r.id }
func (r *request) GetACR() string                     { return "" }
func (r *request) GetAMR() []string                   { return nil }
func (r *request) GetAudience() []string              { return []string{r.ClientID} }
func (r *request) GetAuthTime() time.Time             { return time.Now() }
func (r *request) GetClientID() string                { return r.ClientID }
func (r *request) GetNonce() string                   { return r.Nonce }
func (r *request) GetResponseMode() oidc.ResponseMode { return r.ResponseMode }
func (r *request) GetScopes() []string                { return r.Scopes }
func (r *request) Done() bool                         { return r.user != nil }
func (r *request) GetSubject() string                 { return r.user.Subject }

func (r *request) GetCodeChallenge() *oidc.CodeChallenge {
	if r.CodeChallenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: r.CodeChallenge, Method: r.CodeChallengeMethod}
}

// client is the deployment, as it was registered.
type client struct{ inUserinfo bool }

func (client) GetID() string                       { return ClientID }
func (client) RedirectURIs() []string              { return []string{RedirectURL} }
func (client) PostLogoutRedirectURIs() []string    { return nil }
func (client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodBasic }
func (client) ResponseTypes() []oidc.ResponseType  { return []oidc.ResponseType{oidc.ResponseTypeCode} }

func (client) GrantTypes() []oidc.GrantType           { return []oidc.GrantType{oidc.GrantTypeCode} }
func (client) LoginURL(id string) string              { return "/login?id=" + id }
func (client) AccessTokenType() op.AccessTokenType    { return op.AccessTokenTypeBearer }
func (client) IDTokenLifetime() time.Duration         { return time.Hour }
func (client) DevMode() bool                          { return false }
func (client) IsScopeAllowed(string) bool             { return true }
func (c client) IDTokenUserinfoClaimsAssertion() bool { return !c.inUserinfo }
func (client) ClockSkew() time.Duration               { return 0 }

func (client) RestrictAdditionalIdTokenScopes() func([]string) []string { //nolint:revive // the library's name
	return func(s []string) []string { return s }
}

func (client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(s []string) []string { return s }
}

// storage is what the library asks for: everything in memory, and no more than this flow needs.
type storage struct{ *Provider }

var errNone = errors.New("there is none")

func (s *storage) CreateAuthRequest(_ context.Context, r *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := &request{AuthRequest: *r, id: rand.Text()}
	s.asked[asked.id] = asked
	return asked, nil
}

func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.asked[id]; ok {
		return r, nil
	}
	return nil, errNone
}

func (s *storage) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	id := s.codes[code]
	s.mu.Unlock()
	return s.AuthRequestByID(ctx, id)
}

func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = id
	return nil
}

func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.CodesAgain {
		delete(s.asked, id)
	}
	return nil
}

func (s *storage) CreateAccessToken(context.Context, op.TokenRequest) (string, time.Time, error) {
	return rand.Text(), time.Now().Add(time.Minute), nil
}

func (s *storage) CreateAccessAndRefreshTokens(context.Context, op.TokenRequest, string) (id, refresh string, until time.Time, err error) {
	return "", "", time.Time{}, errNone
}

func (s *storage) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, op.ErrInvalidRefreshToken
}

func (s *storage) TerminateSession(context.Context, string, string) error { return nil }

func (s *storage) RevokeToken(context.Context, string, string, string) *oidc.Error { return nil }

func (s *storage) GetRefreshTokenInfo(context.Context, string, string) (user, id string, err error) {
	return "", "", op.ErrInvalidRefreshToken
}

// signing is the private half of the key, verifying the other.
type (
	signing   struct{ *rsa.PrivateKey }
	verifying struct{ *rsa.PrivateKey }
)

func (signing) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k signing) Key() any                                  { return k.PrivateKey }
func (signing) ID() string                                  { return "key" }
func (verifying) Algorithm() jose.SignatureAlgorithm        { return jose.RS256 }
func (verifying) Use() string                               { return "sig" }
func (k verifying) Key() any                                { return &k.PublicKey }
func (verifying) ID() string                                { return "key" }

func (s *storage) SigningKey(context.Context) (op.SigningKey, error) { return signing{s.key}, nil }

func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

func (s *storage) KeySet(context.Context) ([]op.Key, error) { return []op.Key{verifying{s.key}}, nil }

func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != ClientID {
		return nil, errNone
	}
	return client{s.InUserinfo}, nil
}

func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if id != ClientID || secret != ClientSecret {
		return errNone
	}
	return nil
}

func (s *storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// SetUserinfoFromRequest writes claims into an id token.
func (s *storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, r op.IDTokenRequest, _ []string) error {
	s.tell(info, r.GetSubject())
	return nil
}

// SetUserinfoFromToken writes claims for userinfo.
func (s *storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, _, subject, _ string) error {
	s.tell(info, subject)
	return nil
}

func (s *storage) tell(info *oidc.UserInfo, subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info.Subject = subject
	for name, value := range s.users[subject].Claims {
		info.AppendClaims(name, value)
	}
}

func (s *storage) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errNone
}

func (s *storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return map[string]any{}, nil
}

func (s *storage) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errNone
}

func (s *storage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNone
}

func (s *storage) Health(context.Context) error { return nil }
