// Package admin_test administers a running server over its API: who may do what, keys, and what the audit remembers.
package admin_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"jari/internal/audit"
	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// roles are the columns of the matrix.
var roles = []string{"viewer", "clinic", "desk", "operator", "editor", "publisher", "owner"}

// mayUse says, for each guard that names a role, whose keys pass.
var mayUse = map[string][]string{
	"viewer":    {"viewer", "operator", "editor", "publisher", "owner"},
	"clinic":    {"clinic", "desk", "owner"},
	"desk":      {"desk", "owner"},
	"operator":  {"operator", "owner"},
	"editor":    {"editor", "publisher", "owner"},
	"publisher": {"publisher", "owner"},
	"owner":     {"owner"},
	"staff":     roles,
}

func key(t *testing.T, s *jaritest.Server, role string) string {
	t.Helper()
	if role == "clinic" {
		return s.ClinicKey(t, jaritest.SiteOfOne)
	}
	return s.AdminKey(t, role)
}

func do(t *testing.T, s *jaritest.Server, key, method, path string, body any) jaritest.Response {
	t.Helper()
	return s.Send(t, jaritest.JSON(method, path, body).With("Authorization", "Bearer "+key))
}

var parameter = regexp.MustCompile(`\{([^}]+)\}`)

// Every operation of administrators × every role: exactly those get past the guard whom the matrix lets, new operations too.
func TestEveryRoleMayWhatTheMatrixSays(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	keys := map[string]string{}
	for _, role := range roles {
		keys[role] = key(t, s, role)
	}
	seen := 0
	for _, o := range jaritest.Operations(t) {
		allowed, administers := mayUse[o.Guard]
		if !administers {
			if strings.HasPrefix(o.Path, "/admin/") && !strings.HasPrefix(o.Path, "/admin/v1/sign-ins") {
				t.Errorf("%s of administrators has the guard %q", o.ID, o.Guard)
			}
			continue
		}
		seen++
		path := parameter.ReplaceAllStringFunc(o.Path, func(name string) string {
			if name == "{campaign}" {
				return s.Campaign
			}
			return "1"
		})
		for _, role := range roles {
			got := do(t, s, keys[role], o.Method, path, nil)
			refused := got.Status == http.StatusForbidden && got.Code == fault.CodeRoleRequired
			if got.Status == http.StatusUnauthorized || refused == slices.Contains(allowed, role) {
				t.Errorf("%s (%s) to a %s: %d %s", o.ID, o.Guard, role, got.Status, got.Code)
			}
		}
	}
	if seen < 10 {
		t.Fatalf("only %d operations name a role", seen)
	}
}

func TestDevelopmentClientInProduction(t *testing.T) {
	t.Parallel()
	development, production := jaritest.Start(t), jaritest.Start(t, jaritest.InProduction())
	ofDevelopment, ofProduction := development.AdminKey(t, "owner"), production.AdminKey(t, "owner")
	for _, c := range []struct {
		name string
		at   *jaritest.Server
		key  string
	}{{"development's in production", production, ofDevelopment}, {"production's in development", development, ofProduction}} {
		for _, o := range jaritest.Operations(t) {
			if _, administers := mayUse[o.Guard]; !administers {
				continue
			}
			path := parameter.ReplaceAllString(o.Path, "1")
			if got := do(t, c.at, c.key, o.Method, path, nil); got.Status != http.StatusUnauthorized || got.Code != fault.CodeKeyOfOtherEnvironment {
				t.Errorf("%s at %s: %d %s", c.name, o.ID, got.Status, got.Code)
			}
		}
	}
	do(t, production, ofProduction, http.MethodGet, "/admin/v1/keys", nil).Want(t, http.StatusOK)
	// A key that only says that it is production's is nobody's.
	forged := strings.Replace(ofDevelopment, ".development.", ".production.", 1)
	do(t, production, forged, http.MethodGet, "/admin/v1/keys", nil).Want(t, http.StatusUnauthorized, fault.CodeKeyRequired)
	// And a session of development is none in production.
	citizen := development.NewCitizen(t, jaritest.BornForE3)
	citizen.At(production).Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusUnauthorized, fault.CodeSessionRequired)
}

func TestKeysAreMadeListedAndEnded(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	owner := s.AdminKey(t, "owner")
	var made httpapi.MadeKey
	do(t, s, owner, http.MethodPost, "/admin/v1/keys", map[string]any{
		"name": "강남구 보건소 접수", "role": "clinic", "campaign_id": s.Campaign, "site_id": jaritest.SiteOfFew, "days": 30,
	}).Want(t, http.StatusCreated).Into(t, &made)
	if !strings.HasPrefix(made.Key, "jari.development."+made.Details.KeyId+".") || *made.Details.SiteId != jaritest.SiteOfFew {
		t.Fatalf("%+v", made.Details)
	}
	// It is the clinic's, and isn't an owner's.
	do(t, s, made.Key, http.MethodGet, "/admin/v1/keys", nil).Want(t, http.StatusForbidden, fault.CodeRoleRequired)
	list := do(t, s, owner, http.MethodGet, "/admin/v1/keys", nil).Want(t, http.StatusOK)
	secret := made.Key[strings.LastIndex(made.Key, ".")+1:]
	if strings.Contains(string(list.Body), secret) || strings.Contains(s.Log.String(), secret) {
		t.Error("the secret is shown again")
	}
	var keys httpapi.KeyList
	list.Into(t, &keys)
	if len(keys.Keys) != 2 || keys.Keys[0].KeyId != made.Details.KeyId || keys.Keys[1].CreatedBy != "command" {
		t.Fatalf("%+v", keys)
	}
	var kept int
	if err := s.Pool.QueryRow(t.Context(), `SELECT count(*) FROM admin_keys k WHERE strpos(k::text, $1) > 0`, secret).Scan(&kept); err != nil || kept > 0 {
		t.Errorf("the secret is in the table: %d, %v", kept, err)
	}
	for range 2 { // the second time too
		var ended httpapi.AdminKey
		do(t, s, owner, http.MethodDelete, "/admin/v1/keys/"+made.Details.KeyId, nil).Want(t, http.StatusOK).Into(t, &ended)
		if ended.RevokedAt == nil {
			t.Fatalf("%+v", ended)
		}
	}
	do(t, s, made.Key, http.MethodGet, "/admin/v1/keys", nil).Want(t, http.StatusUnauthorized, fault.CodeKeyRequired)
	do(t, s, owner, http.MethodDelete, "/admin/v1/keys/nobody", nil).Want(t, http.StatusNotFound, fault.CodeKeyNotFound)
	if acts := acts(t, s, owner); !slices.Equal(acts, []string{"key.revoke", "key.create", "key.create", "campaign.publish_files"}) {
		t.Errorf("the audit has %v", acts)
	}
}

func TestKeysThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	owner := s.AdminKey(t, "owner")
	before := s.State(t)
	for name, c := range map[string]struct {
		body   map[string]any
		status int
		code   fault.Code
	}{
		"an unknown role":       {map[string]any{"name": "x", "role": "god"}, http.StatusBadRequest, fault.CodeInvalidRequest},
		"no name":               {map[string]any{"name": "  ", "role": "viewer"}, http.StatusBadRequest, fault.CodeInvalidRequest},
		"a clinic of nowhere":   {map[string]any{"name": "x", "role": "clinic"}, http.StatusBadRequest, fault.CodeInvalidRequest},
		"a clinic of no site":   {map[string]any{"name": "x", "role": "clinic", "campaign_id": s.Campaign, "site_id": "nowhere"}, http.StatusNotFound, fault.CodeSiteNotFound},
		"an editor with a site": {map[string]any{"name": "x", "role": "editor", "campaign_id": s.Campaign, "site_id": jaritest.SiteOfOne}, http.StatusBadRequest, fault.CodeInvalidRequest},
		"a key for ever":        {map[string]any{"name": "x", "role": "viewer", "days": 10_000}, http.StatusBadRequest, fault.CodeInvalidRequest},
	} {
		if got := do(t, s, owner, http.MethodPost, "/admin/v1/keys", c.body); got.Status != c.status || got.Code != c.code {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	for _, change := range before.Changed(s.State(t)) {
		t.Errorf("a refusal changed %s", change)
	}
}

// acts are those of the audit, newest first.
func acts(t *testing.T, s *jaritest.Server, owner string) (acts []string) {
	t.Helper()
	for _, e := range entries(t, s, owner, "") {
		acts = append(acts, e.Act)
	}
	return acts
}

func entries(t *testing.T, s *jaritest.Server, owner, query string) []httpapi.AuditEntry {
	t.Helper()
	var list httpapi.AuditList
	do(t, s, owner, http.MethodGet, "/admin/v1/audit"+query, nil).Want(t, http.StatusOK).Into(t, &list)
	return list.Entries
}

func TestEveryActIsRecorded(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	owner := s.AdminKey(t, "owner")
	ownerID := strings.Split(owner, ".")[2]
	unit := s.Slot(t, jaritest.SiteOfFew, "2021-07-27")
	path := "/admin/v1/campaigns/" + s.Campaign
	for range 2 { // the second changes nothing, and is no act
		do(t, s, owner, http.MethodPatch, path+"/slots/"+unit, map[string]any{"capacity": 7}).Want(t, http.StatusOK)
	}
	do(t, s, owner, http.MethodPatch, path+"/slots/"+unit, map[string]any{"capacity": -1}).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	do(t, s, owner, http.MethodPost, path+"/versions/1/rollback", nil).Want(t, http.StatusOK) // it is that version already

	all := entries(t, s, owner, "?limit=10")
	if len(all) != 3 {
		t.Fatalf("the audit has %+v", all)
	}
	e := all[0]
	if e.Act != "slot.change" || e.Actor != audit.KeyActor(ownerID) || e.From == nil || *e.From != "127.0.0.1" ||
		e.Subject != s.Campaign+"/slot/"+unit || e.Details["capacity"] != 7.0 || e.Details["capacity_before"] != 3.0 {
		t.Errorf("changing a slot left %+v", e)
	}
	if all[1].Act != "key.create" || all[1].Actor != "command" || all[2].Act != "campaign.publish_files" {
		t.Errorf("before: %+v, %+v", all[1], all[2])
	}
	if some := entries(t, s, owner, "?act=slot.change&actor="+audit.KeyActor(ownerID)); len(some) != 1 {
		t.Errorf("by act and actor: %+v", some)
	}
	if some := entries(t, s, owner, "?person=0198a3f2-0000-4000-8000-000000000000"); len(some) != 0 {
		t.Errorf("about nobody: %+v", some)
	}
	jaritest.Eventually(t, 20e9, "the instance chains what was written", func() bool {
		var head httpapi.AuditHead
		do(t, s, owner, http.MethodGet, "/admin/v1/audit/head", nil).Want(t, http.StatusOK).Into(t, &head)
		return head.Number == 3
	})
}
