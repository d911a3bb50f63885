package admin_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
	"jari/test/oidctest"
)

// signInServer is a server whose administrators sign in at a provider.
func signInServer(t *testing.T, p *oidctest.Provider, more ...string) *jaritest.Server {
	t.Helper()
	return jaritest.Start(t, signInOptions(p, more...)...)
}

func signInOptions(p *oidctest.Provider, more ...string) (options []jaritest.Option) {
	all := append([]string{
		"JARI_ADMIN_OIDC_ISSUER", p.Issuer, "JARI_ADMIN_OIDC_CLIENT_ID", oidctest.ClientID,
		"JARI_ADMIN_OIDC_CLIENT_SECRET", oidctest.ClientSecret, "JARI_ADMIN_OIDC_REDIRECT_URL", oidctest.RedirectURL,
		"JARI_ADMIN_OIDC_ROLES", "owner=heads;publisher=editors-in-chief;operator=night;clinic/" + jaritest.Small + "/" + jaritest.SiteOfOne + "=nurses;clinic/" + jaritest.Small + "/nowhere=ghosts",
	}, more...)
	for i := 0; i < len(all); i += 2 {
		options = append(options, jaritest.WithEnvironment(all[i], all[i+1]))
	}
	return options
}

// member is somebody at the provider.
func member(subject string, groups ...string) oidctest.User {
	return oidctest.User{Subject: subject, Claims: map[string]any{"name": "김" + subject, "groups": groups}}
}

// handIn goes through the provider and hands in what it led back with.
func handIn(t *testing.T, s *jaritest.Server, p *oidctest.Provider, u oidctest.User, grant ...string) jaritest.Response {
	t.Helper()
	var in httpapi.SignIn
	s.Do(t, http.MethodPost, "/admin/v1/sign-ins", nil).Want(t, http.StatusOK).Into(t, &in)
	state, code := p.Agree(t, in.RedirectUrl, u)
	body := map[string]any{"sign_in": in.SignIn, "state": state, "code": code}
	if len(grant) > 0 {
		body["grant"] = grant[0]
	}
	return s.Do(t, http.MethodPost, "/admin/v1/sign-ins/confirm", body)
}

// signIn is a session of somebody.
func signIn(t *testing.T, s *jaritest.Server, p *oidctest.Provider, u oidctest.User, grant ...string) (x httpapi.StaffSession) {
	t.Helper()
	handIn(t, s, p, u, grant...).Want(t, http.StatusOK).Into(t, &x)
	return x
}

func TestAdministratorsSignIn(t *testing.T) {
	t.Parallel()
	for name, inUserinfo := range map[string]bool{"claims in the id token": false, "claims at userinfo": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := oidctest.Start(t)
			p.InUserinfo = inUserinfo
			s := signInServer(t, p)
			x := signIn(t, s, p, member("lee", "others", "heads"))
			if left := time.Until(x.ExpiresAt); left < 7*time.Hour || left > 8*time.Hour || !slices.Equal(x.Grants, []string{"owner"}) ||
				x.Me.Role != "owner" || x.Me.Name != "김lee" || !x.Me.SignedIn || x.Me.StaffId == nil || x.Me.Actor != "staff:"+*x.Me.StaffId {
				t.Fatalf("%+v", x)
			}
			var me httpapi.StaffMe
			do(t, s, x.Token, http.MethodGet, "/admin/v1/me", nil).Want(t, http.StatusOK).Into(t, &me)
			if me.Actor != x.Me.Actor || me.Role != "owner" {
				t.Errorf("%+v", me)
			}
			// What the person does is on record as theirs, and so is that they signed in, and from where.
			unit := s.Slot(t, jaritest.SiteOfFew, "2021-07-27")
			do(t, s, x.Token, http.MethodPatch, "/admin/v1/campaigns/"+s.Campaign+"/slots/"+unit, map[string]any{"capacity": 7}).Want(t, http.StatusOK)
			all := entries(t, s, x.Token, "?actor="+url.QueryEscape(me.Actor))
			if len(all) != 2 || all[0].Act != "slot.change" || all[1].Act != "staff.sign_in" || all[1].From == nil || *all[1].From != "127.0.0.1" ||
				all[1].Details["role"] != "owner" {
				t.Errorf("the audit has %+v", all)
			}
			secret := x.Token[strings.LastIndex(x.Token, ".")+1:]
			var kept int
			if err := s.Pool.QueryRow(t.Context(), `SELECT count(*) FROM admin_sessions k WHERE strpos(k::text, $1) > 0`, secret).Scan(&kept); err != nil ||
				kept > 0 || strings.Contains(s.Log.String(), secret) {
				t.Errorf("the secret is kept: %d, %v", kept, err)
			}
			// A session isn't a citizen's, not another environment's, and not without its secret.
			do(t, s, x.Token, http.MethodGet, "/v1/me", nil).Want(t, http.StatusUnauthorized, fault.CodeSessionRequired)
			for text, code := range map[string]fault.Code{
				strings.Replace(x.Token, ".development.", ".production.", 1):  fault.CodeKeyOfOtherEnvironment,
				strings.TrimSuffix(x.Token, secret) + strings.Repeat("A", 43): fault.CodeKeyRequired,
				strings.Replace(x.Token, "jari-staff.", "jari.", 1):           fault.CodeKeyRequired,
			} {
				do(t, s, text, http.MethodGet, "/admin/v1/me", nil).Want(t, http.StatusUnauthorized, code)
			}
			for range 2 {
				got := do(t, s, x.Token, http.MethodDelete, "/admin/v1/me/session", nil)
				if got.Status != http.StatusNoContent {
					got.Want(t, http.StatusUnauthorized, fault.CodeKeyRequired) // the second time
				}
			}
			do(t, s, x.Token, http.MethodGet, "/admin/v1/me", nil).Want(t, http.StatusUnauthorized, fault.CodeKeyRequired)
		})
	}
}

func TestASessionOfAnAdministratorIsShort(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	s := signInServer(t, p, "JARI_ADMIN_SESSION", "12h")
	x := signIn(t, s, p, member("lee", "night"))
	if _, err := s.Pool.Exec(t.Context(), `UPDATE admin_sessions SET expires_at = created_at + interval '12 hours 1 second'`); err == nil {
		t.Error("a session may last longer than twelve hours")
	}
	if _, err := s.Pool.Exec(t.Context(), `
		UPDATE admin_sessions SET created_at = created_at - interval '12 hours', expires_at = expires_at - interval '12 hours'`); err != nil {
		t.Fatal(err)
	}
	do(t, s, x.Token, http.MethodGet, "/admin/v1/me", nil).Want(t, http.StatusUnauthorized, fault.CodeKeyRequired)
}

func TestGroupsDecideWhatSomebodyMay(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	s := signInServer(t, p)
	owner := s.AdminKey(t, "owner")
	for _, u := range []oidctest.User{member("stranger"), member("cook", "HEADS", "kitchen"), {Subject: "none", Claims: map[string]any{"name": "x"}}} {
		handIn(t, s, p, u).Want(t, http.StatusForbidden, fault.CodeRoleRequired)
	}
	handIn(t, s, p, oidctest.User{Subject: "nameless", Claims: map[string]any{"groups": "heads"}}).
		Want(t, http.StatusForbidden, fault.CodeSignInIncomplete)
	var list httpapi.StaffList
	do(t, s, owner, http.MethodGet, "/admin/v1/staff", nil).Want(t, http.StatusOK).Into(t, &list)
	if len(list.Staff) != 0 {
		t.Errorf("people without a role are kept: %+v", list.Staff)
	}
	both := member("park", "night", "nurses")
	most := signIn(t, s, p, both)
	if most.Me.Role != "operator" || !slices.Equal(most.Grants, []string{"operator", "clinic/" + jaritest.Small + "/" + jaritest.SiteOfOne}) {
		t.Errorf("%+v", most)
	}
	nurse := signIn(t, s, p, both, most.Grants[1])
	if nurse.Me.Role != "clinic" || nurse.Me.SiteId == nil || *nurse.Me.SiteId != jaritest.SiteOfOne {
		t.Errorf("%+v", nurse.Me)
	}
	do(t, s, nurse.Token, http.MethodGet, "/admin/v1/rooms", nil).Want(t, http.StatusForbidden, fault.CodeRoleRequired)
	do(t, s, most.Token, http.MethodGet, "/admin/v1/rooms", nil).Want(t, http.StatusOK)
	handIn(t, s, p, both, "owner").Want(t, http.StatusForbidden, fault.CodeRoleRequired)
	handIn(t, s, p, member("ghost", "ghosts")).Want(t, http.StatusNotFound, fault.CodeSiteNotFound)
}

func TestARoleThatIsTakenAwayEndsWhatItOpened(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	s := signInServer(t, p)
	ask := func(x httpapi.StaffSession) int { return do(t, s, x.Token, http.MethodGet, "/admin/v1/me", nil).Status }
	all := member("choi", "editors-in-chief", "night")
	publisher, operator := signIn(t, s, p, all), signIn(t, s, p, all, "operator")
	other := signIn(t, s, p, member("jung", "editors-in-chief"))
	if publisher.Me.Role != "publisher" || ask(publisher) != http.StatusOK || ask(operator) != http.StatusOK {
		t.Fatalf("%+v", publisher)
	}
	again := signIn(t, s, p, member("choi", "night"))
	if ask(publisher) != http.StatusUnauthorized || ask(operator) != http.StatusOK || ask(again) != http.StatusOK {
		t.Error("a session of a role that is gone lives, or one that isn't ended")
	}
	handIn(t, s, p, member("choi")).Want(t, http.StatusForbidden, fault.CodeRoleRequired)
	if ask(operator) != http.StatusUnauthorized || ask(again) != http.StatusUnauthorized || ask(other) != http.StatusOK {
		t.Error("who has no role any more still has a session, or somebody else has none")
	}
	owner := signIn(t, s, p, member("head", "heads"))
	if refused := entries(t, s, owner.Token, "?act=staff.sign_in_refused"); len(refused) != 1 || refused[0].Actor != again.Me.Actor {
		t.Errorf("the audit has %+v", refused)
	}
	// An owner needn't wait for that.
	var list httpapi.StaffList
	do(t, s, owner.Token, http.MethodGet, "/admin/v1/staff", nil).Want(t, http.StatusOK).Into(t, &list)
	if len(list.Staff) != 3 || list.Staff[0].Sessions != 1 {
		t.Errorf("%+v", list.Staff)
	}
	var ended httpapi.StaffPerson
	for range 2 { // the second time too
		do(t, s, owner.Token, http.MethodDelete, "/admin/v1/staff/"+*other.Me.StaffId+"/sessions", nil).Want(t, http.StatusOK).Into(t, &ended)
	}
	if ended.Sessions != 0 || ask(other) != http.StatusUnauthorized || len(entries(t, s, owner.Token, "?act=staff.end_sessions")) != 1 {
		t.Errorf("%+v", ended)
	}
	for _, id := range []string{"nobody", "0198a3f2-0000-4000-8000-000000000000"} {
		do(t, s, owner.Token, http.MethodDelete, "/admin/v1/staff/"+id+"/sessions", nil).Want(t, http.StatusNotFound, fault.CodeStaffNotFound)
	}
}

func TestASignInOfAnAdministratorThatSomebodyElseBegan(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	s := signInServer(t, p, "JARI_IDENTITY_SCHEME", "oidc", "JARI_OIDC_ISSUER", p.Issuer, "JARI_OIDC_CLIENT_ID", oidctest.ClientID,
		"JARI_OIDC_CLIENT_SECRET", oidctest.ClientSecret, "JARI_OIDC_REDIRECT_URL", oidctest.RedirectURL)
	begin := func(path string) (in httpapi.SignIn) {
		s.Do(t, http.MethodPost, path, nil).Want(t, http.StatusOK).Into(t, &in)
		return in
	}
	give := func(ticket, state, code string) jaritest.Response {
		return s.Do(t, http.MethodPost, "/admin/v1/sign-ins/confirm", map[string]any{"sign_in": ticket, "state": state, "code": code})
	}
	mine, theirs, citizens := begin("/admin/v1/sign-ins"), begin("/admin/v1/sign-ins"), begin("/v1/sign-ins")
	asked, err := url.Parse(mine.RedirectUrl)
	if err != nil || asked.Query().Get("code_challenge_method") != "S256" || len(asked.Query().Get("nonce")) < 16 {
		t.Fatalf("%s, %v", mine.RedirectUrl, err)
	}
	head := member("head", "heads")
	state, code := p.Agree(t, mine.RedirectUrl, head)
	give(theirs.SignIn, state, code).Want(t, http.StatusBadRequest, fault.CodeSignInRefused)
	give(mine.SignIn, "x", code).Want(t, http.StatusBadRequest, fault.CodeSignInRefused)
	give("x", state, code).Want(t, http.StatusGone, fault.CodeSignInOver)
	// A citizen's way leads to no role, and an administrator's to no booking.
	citizensState, citizensCode := p.Agree(t, citizens.RedirectUrl, head)
	give(citizens.SignIn, citizensState, citizensCode).Want(t, http.StatusGone, fault.CodeSignInOver)
	s.Do(t, http.MethodPost, "/v1/sign-ins/confirm", map[string]any{"sign_in": mine.SignIn, "state": state, "code": code}).
		Want(t, http.StatusGone, fault.CodeSignInOver)
	give(mine.SignIn, state, code).Want(t, http.StatusOK)
	give(mine.SignIn, state, code).Want(t, http.StatusBadRequest, fault.CodeSignInRefused) // the provider takes it once
	p.KeysAway = true
	p.Stop()
	in := s.Do(t, http.MethodPost, "/admin/v1/sign-ins", nil).Want(t, http.StatusOK) // it is known already; only coming back needs it
	in.Into(t, &mine)
	asked, _ = url.Parse(mine.RedirectUrl)
	give(mine.SignIn, asked.Query().Get("state"), "x").Want(t, http.StatusServiceUnavailable, fault.CodeProviderUnavailable)
}

// The second person is another person, not another key.
func TestOnePersonWithTwoCredentialsIsOne(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	s := signInServer(t, p, "JARI_SECOND_PERSON", "publish")
	head := signIn(t, s, p, member("head", "heads"))
	choi := member("choi", "editors-in-chief", "heads")
	one, again, asOwner := signIn(t, s, p, choi, "publisher"), signIn(t, s, p, choi, "publisher"), signIn(t, s, p, choi)
	other := signIn(t, s, p, member("jung", "editors-in-chief"))
	makeKey := func(by string, more map[string]any) string {
		body := map[string]any{"name": "a program", "role": "publisher"}
		for name, value := range more {
			body[name] = value
		}
		var made httpapi.MadeKey
		do(t, s, by, http.MethodPost, "/admin/v1/keys", body).Want(t, http.StatusCreated).Into(t, &made)
		return made.Key
	}
	own, given := makeKey(asOwner.Token, nil), makeKey(head.Token, map[string]any{"staff_id": *one.Me.StaffId})
	commands := s.AdminKey(t, "publisher")
	ofCommands := makeKey(s.AdminKey(t, "owner"), nil)
	do(t, s, head.Token, http.MethodPost, "/admin/v1/keys", map[string]any{
		"name": "x", "role": "viewer", "staff_id": "0198a3f2-0000-4000-8000-000000000000",
	}).Want(t, http.StatusNotFound, fault.CodeStaffNotFound)
	versions := "/admin/v1/campaigns/" + s.Campaign + "/versions"
	for i, c := range []struct {
		name, proposes, approves string
		code                     fault.Code
	}{
		{"another session", one.Token, again.Token, fault.CodeSamePerson},
		{"another role", one.Token, asOwner.Token, fault.CodeSamePerson},
		{"a key that they made", one.Token, own, fault.CodeSamePerson},
		{"a key that they were given", one.Token, given, fault.CodeSamePerson},
		{"the other way round", given, one.Token, fault.CodeSamePerson},
		{"two keys of theirs", own, given, fault.CodeSamePerson},
		{"whoever made the key knows it", given, head.Token, fault.CodeSamePerson},
		{"a key of nobody", one.Token, commands, fault.CodePersonUnknown},
		{"proposed by a key of nobody", ofCommands, one.Token, fault.CodePersonUnknown},
		{"another person", one.Token, other.Token, ""},
		{"another person by a key", own, other.Token, ""},
	} {
		a := waitsFor(t, do(t, s, c.proposes, http.MethodPost, versions, map[string]any{"document": changed(t, s, holdSeconds(200+i))}))
		got := do(t, s, c.approves, http.MethodPost, "/admin/v1/approvals/"+a.ApprovalId, nil)
		if want := map[bool]int{true: http.StatusOK, false: http.StatusConflict}[c.code == ""]; got.Status != want || got.Code != c.code {
			t.Errorf("%s: %d %s", c.name, got.Status, got.Code)
		}
	}
	// What was approved may be done by any session of whoever proposed it.
	wanted := map[string]any{"document": changed(t, s, holdSeconds(209))}
	do(t, s, again.Token, http.MethodPost, versions, wanted).Want(t, http.StatusCreated)
}
