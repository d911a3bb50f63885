package journey_test

import (
	"net/http"
	"net/url"
	"testing"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/internal/identity"
	"jari/test/jaritest"
	"jari/test/oidctest"
)

// atProvider is a server whose people sign in at a provider.
func atProvider(t *testing.T, p *oidctest.Provider, more ...string) *jaritest.Server {
	t.Helper()
	options := []jaritest.Option{jaritest.WithChildren()}
	all := append([]string{
		"JARI_IDENTITY_SCHEME", "oidc", "JARI_OIDC_ISSUER", p.Issuer, "JARI_OIDC_CLIENT_ID", oidctest.ClientID,
		"JARI_OIDC_CLIENT_SECRET", oidctest.ClientSecret, "JARI_OIDC_REDIRECT_URL", oidctest.RedirectURL,
	}, more...)
	for i := 0; i < len(all); i += 2 {
		options = append(options, jaritest.WithEnvironment(all[i], all[i+1]))
	}
	return jaritest.Start(t, options...)
}

var kim = oidctest.User{Subject: "kim", Claims: map[string]any{
	"name": "남궁별이", "birthdate": jaritest.BornForE3, "phone_number": "+82 10-2345-0001", "phone_number_verified": true,
}}

// began is a sign-in on its way.
func began(t *testing.T, s *jaritest.Server) (in httpapi.SignIn) {
	t.Helper()
	s.Do(t, http.MethodPost, "/v1/sign-ins", nil).Want(t, http.StatusOK).Into(t, &in)
	return in
}

func handIn(t *testing.T, s *jaritest.Server, ticket, state, code string) jaritest.Response {
	t.Helper()
	return s.Do(t, http.MethodPost, "/v1/sign-ins/confirm", map[string]any{"sign_in": ticket, "state": state, "code": code})
}

// signsIn is somebody who went through the provider.
func signsIn(t *testing.T, s *jaritest.Server, p *oidctest.Provider, u oidctest.User) *jaritest.Citizen {
	t.Helper()
	in := began(t, s)
	state, code := p.Agree(t, in.RedirectUrl, u)
	var session httpapi.Session
	handIn(t, s, in.SignIn, state, code).Want(t, http.StatusOK).Into(t, &session)
	c := s.Stranger(jaritest.BornForE3)
	c.Phone, c.Session = "010-2345-0001", session.Token
	c.Admit(t)
	return c
}

func TestPeopleSignInAtAProvider(t *testing.T) {
	t.Parallel()
	for name, inUserinfo := range map[string]bool{"claims in the id token": false, "claims at userinfo": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := oidctest.Start(t)
			p.InUserinfo = inUserinfo
			s := atProvider(t, p)
			c := signsIn(t, s, p, kim)
			b := c.MustBook(t, s.Slot(t, jaritest.SiteOfFew, dayE3))
			if text := message(t, c, "booked"); text == "" {
				t.Error("nothing is sent to the phone that the provider vouches for")
			}
			// The provider's subject is the person, whatever they are called now.
			married := oidctest.User{Subject: "kim", Claims: map[string]any{"name": "남궁달이", "birthdate": jaritest.BornForE3}}
			again := signsIn(t, s, p, married)
			if seen := again.Booking(t); seen.BookingId != b.BookingId {
				t.Errorf("the booking is %+v", seen)
			}
			var me httpapi.Me
			again.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK).Into(t, &me)
			if me.Person.Name != "남**이" {
				t.Errorf("called %s", me.Person.Name)
			}
			twin := kim
			twin.Subject = "twin"
			signsIn(t, s, p, twin).MustBook(t, s.Slot(t, jaritest.SiteOfFew, dayE3))
			s.Do(t, http.MethodPost, "/v1/verifications", s.Stranger(jaritest.BornForE3).Claims()).
				Want(t, http.StatusBadRequest, fault.CodeSchemeNotOffered)
			var offers httpapi.Identity
			s.Do(t, http.MethodGet, "/v1/identity", nil).Want(t, http.StatusOK).Into(t, &offers)
			if offers.Scheme != "oidc" || !offers.SignIn {
				t.Errorf("%+v", offers)
			}
		})
	}
}

func TestASignInThatSomebodyElseBeganIsWorthNothing(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	s := atProvider(t, p)
	in := began(t, s)
	asked, err := url.Parse(in.RedirectUrl)
	if err != nil {
		t.Fatal(err)
	}
	for name, least := range map[string]int{"state": 16, "nonce": 16, "code_challenge": 43} {
		if len(asked.Query().Get(name)) < least {
			t.Errorf("%s is %q", name, asked.Query().Get(name))
		}
	}
	if asked.Query().Get("code_challenge_method") != "S256" || asked.Query().Get("redirect_uri") != oidctest.RedirectURL {
		t.Errorf("asked with %s", asked.RawQuery)
	}
	state, code := p.Agree(t, in.RedirectUrl, kim)
	other := began(t, s)
	refused := func(r jaritest.Response) {
		t.Helper()
		r.Want(t, http.StatusBadRequest, fault.CodeSignInRefused)
	}
	refused(handIn(t, s, other.SignIn, state, code)) // another's state
	refused(handIn(t, s, in.SignIn, "x", code))
	handIn(t, s, in.SignIn+"x", state, code).Want(t, http.StatusGone, fault.CodeSignInOver)
	handIn(t, s, "x", state, code).Want(t, http.StatusGone, fault.CodeSignInOver)
	// A code of another way: the verifier of PKCE doesn't fit.
	_, otherCode := p.Agree(t, other.RedirectUrl, kim)
	refused(handIn(t, s, in.SignIn, state, otherCode))
	handIn(t, s, in.SignIn, state, code).Want(t, http.StatusOK)
	refused(handIn(t, s, in.SignIn, state, code)) // the provider takes a code once
	if n := count(t, s, `SELECT count(*) FROM persons`); n != 1 {
		t.Errorf("%d people", n)
	}
}

func TestAProviderThatSaysTooLittleOrIsAway(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	s := atProvider(t, p)
	p.KeysAway = true
	first := began(t, s)
	firstState, firstCode := p.Agree(t, first.RedirectUrl, kim)
	handIn(t, s, first.SignIn, firstState, firstCode).Want(t, http.StatusServiceUnavailable, fault.CodeProviderUnavailable)
	p.KeysAway = false
	for name, claims := range map[string]map[string]any{
		"no birth date": {"name": "남궁별이"}, "no name": {"birthdate": jaritest.BornForE3}, "a year alone": {"name": "남궁별이", "birthdate": "1964"},
		"a date without a year": {"name": "남궁별이", "birthdate": "0000-05-05"}, "not born yet": {"name": "남궁별이", "birthdate": "2964-05-05"},
		"nobody so old": {"name": "남궁별이", "birthdate": "1864-05-05"}, "a date that is a number": {"name": "남궁별이", "birthdate": 19640505},
	} {
		in := began(t, s)
		state, code := p.Agree(t, in.RedirectUrl, oidctest.User{Subject: name, Claims: claims})
		if got := handIn(t, s, in.SignIn, state, code); got.Code != fault.CodeSignInIncomplete {
			t.Errorf("%s: %d %s", name, got.Status, got.Code)
		}
	}
	// Apart, as Naver and Kakao tell them.
	for i, day := range []string{"05-05", "0505"} {
		signsIn(t, s, p, oidctest.User{Subject: day, Claims: map[string]any{"name": "남궁별이", "birthyear": "1964", "birthday": day}})
		if n := count(t, s, `SELECT count(*) FROM persons`); n != i+1 {
			t.Errorf("%d people", n)
		}
	}
	in := began(t, s)
	state, code := p.Agree(t, in.RedirectUrl, kim)
	p.Stop()
	got := handIn(t, s, in.SignIn, state, code).Want(t, http.StatusServiceUnavailable, fault.CodeProviderUnavailable)
	if got.Header.Get("Retry-After") == "" {
		t.Error("it doesn't say when to try again")
	}
}

func TestFamiliesAtAProvider(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	s := atProvider(t, p)
	parent := signsIn(t, s, p, kim)
	child := parent.ActFor(t, "홍아기", "2015-05-05")
	child.Admit(t)
	b := child.MustBook(t, s.Slot(t, jaritest.SiteOfFew, dayE3))
	again := signsIn(t, s, p, kim).ActFor(t, "홍아기", "2015-05-05")
	if seen := again.Booking(t); seen.BookingId != b.BookingId {
		t.Errorf("the child's booking is %+v", seen)
	}
	// Somebody who signs in for themself lets another act.
	in := began(t, s)
	state, code := p.Agree(t, in.RedirectUrl, oidctest.User{Subject: "grandmother", Claims: map[string]any{"name": "홍할머니", "birthdate": "1962-01-01"}})
	var session httpapi.Session
	parent.Exchange(t, "sign_in", map[string]any{"sign_in": in.SignIn, "state": state, "code": code}).Want(t, http.StatusOK).Into(t, &session)
	if session.Person.Name != "홍**니" {
		t.Errorf("acting for %s", session.Person.Name)
	}
	parent.Do(t, http.MethodPost, "/v1/me/phone", map[string]any{"phone": s.NewPhone()}).Want(t, http.StatusBadRequest, fault.CodeSchemeNotOffered)
}

func TestAProviderBindsANumber(t *testing.T) {
	t.Parallel()
	t.Run("a national id", func(t *testing.T) {
		t.Parallel()
		p := oidctest.Start(t)
		s := atProvider(t, p, "JARI_IDENTITY_SCHEME", "national_id", "JARI_IDENTITY_BINDING", "provider", "JARI_OIDC_NUMBER_CLAIM", "rrn")
		u := func(subject, number string) oidctest.User {
			return oidctest.User{Subject: subject, Claims: map[string]any{"name": "남궁별이", "rrn": number}}
		}
		one := signsIn(t, s, p, u("1", "640505-2345678"))
		two := signsIn(t, s, p, u("2", "6405052345678")) // another account of the same human being
		a, _ := personOf(t, s, one)
		if b, _ := personOf(t, s, two); a != b {
			t.Error("one number is two people")
		}
		in := began(t, s)
		state, code := p.Agree(t, in.RedirectUrl, u("3", "990229-2345678"))
		handIn(t, s, in.SignIn, state, code).Want(t, http.StatusForbidden, fault.CodeSignInIncomplete)
		s.Do(t, http.MethodPost, "/v1/verifications", map[string]any{
			"scheme": "national_id", "name": "남궁별이", "national_id": "640505-2345678", "phone": s.NewPhone(),
		}).Want(t, http.StatusBadRequest, fault.CodeSchemeNotOffered)
	})
	t.Run("an entry of a list", func(t *testing.T) {
		t.Parallel()
		p := oidctest.Start(t)
		s := atProvider(t, p, "JARI_IDENTITY_SCHEME", "list", "JARI_IDENTITY_BINDING", "provider", "JARI_IDENTITY_LIST", "nurses",
			"JARI_OIDC_NUMBER_CLAIM", "staff_number")
		s.Entitle(t, "nurses", identity.ListRow{Line: 2, Number: "0012", Name: "남궁별이", BirthDate: jaritest.BornForE3})
		for number, code := range map[any]fault.Code{"0012": "", "12": fault.CodeNotOnList, 12: fault.CodeSignInIncomplete, "": fault.CodeSignInIncomplete} {
			in := began(t, s)
			state, given := p.Agree(t, in.RedirectUrl, oidctest.User{Subject: "1", Claims: map[string]any{
				"name": "남궁 별이", "birthdate": jaritest.BornForE3, "staff_number": number,
			}})
			if got := handIn(t, s, in.SignIn, state, given); got.Code != code {
				t.Errorf("%v: %d %s", number, got.Status, got.Code)
			}
		}
	})
}
