package admin_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// changed is the published document with one thing changed.
func changed(t *testing.T, s *jaritest.Server, change func(map[string]any)) map[string]any {
	t.Helper()
	var raw []byte
	if err := s.Pool.QueryRow(t.Context(), `SELECT document FROM campaign_versions ORDER BY version DESC LIMIT 1`).Scan(&raw); err != nil {
		t.Fatal(err)
	}
	var d map[string]any
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	change(d)
	return d
}

// holdSeconds changes nobody's windows.
func holdSeconds(n int) func(map[string]any) { return func(d map[string]any) { d["hold_seconds"] = n } }

// closesE3 lets the wave that is open end at another instant; cases that say otherwise are dropped.
func closesE3(at string) func(map[string]any) {
	return func(d map[string]any) {
		cases := []any{}
		for _, w := range d["waves"].([]any) {
			wave := w.(map[string]any)
			if wave["wave"] == "E3" {
				wave["closes_at"] = at
			}
			cases = append(cases, map[string]any{
				"birth_date": wave["who"].(map[string]any)["birth_date"].(map[string]any)["from"], "at": wave["opens_at"],
				"expect": "yes", "wave": wave["wave"],
			})
		}
		d["cases"] = cases
	}
}

func waitsFor(t *testing.T, r jaritest.Response) httpapi.Approval {
	t.Helper()
	p := r.Want(t, http.StatusConflict, fault.CodeSecondPersonNeeded).Problem(t)
	if p.Approval == nil {
		t.Fatalf("the refusal doesn't say what is waited for: %s", r.Body)
	}
	return *p.Approval
}

func TestSecondPersonApproves(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_SECOND_PERSON", "publish"))
	one, two, viewer := s.AdminKey(t, "publisher"), s.AdminKey(t, "publisher"), s.AdminKey(t, "viewer")
	versions := "/admin/v1/campaigns/" + s.Campaign + "/versions"
	wanted := map[string]any{"document": changed(t, s, holdSeconds(240))}
	publish := func(key string, body any) jaritest.Response { return do(t, s, key, http.MethodPost, versions, body) }
	approve := func(key, id string) jaritest.Response {
		return do(t, s, key, http.MethodPost, "/admin/v1/approvals/"+id, nil)
	}

	proposed := waitsFor(t, publish(one, wanted))
	if again := waitsFor(t, publish(one, wanted)); again.ApprovalId != proposed.ApprovalId {
		t.Error("asking again proposed it again")
	}
	approve(one, proposed.ApprovalId).Want(t, http.StatusConflict, fault.CodeSamePerson)
	approve(viewer, proposed.ApprovalId).Want(t, http.StatusForbidden, fault.CodeRoleRequired)
	approve(two, "nothing").Want(t, http.StatusNotFound, fault.CodeApprovalNotFound)
	var list httpapi.ApprovalList
	do(t, s, viewer, http.MethodGet, "/admin/v1/approvals", nil).Want(t, http.StatusOK).Into(t, &list)
	if len(list.Approvals) != 1 || list.Approvals[0].Request == nil || list.Approvals[0].State != "waiting" {
		t.Fatalf("%+v", list)
	}
	for range 2 { // the second time after a lost answer
		approve(two, proposed.ApprovalId).Want(t, http.StatusOK)
	}
	approve(s.AdminKey(t, "owner"), proposed.ApprovalId).Want(t, http.StatusGone, fault.CodeApprovalOver)

	// It approves this very request of this key, once.
	waitsFor(t, publish(two, wanted))
	waitsFor(t, publish(one, map[string]any{"document": changed(t, s, holdSeconds(241))}))
	publish(one, wanted).Want(t, http.StatusCreated)
	waitsFor(t, publish(one, wanted))
	waitsFor(t, do(t, s, one, http.MethodPost, versions+"/1/rollback", nil))
}

func TestApprovalIsForWhatStoodThen(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_SECOND_PERSON", "publish"))
	one, two := s.AdminKey(t, "publisher"), s.AdminKey(t, "publisher")
	versions := "/admin/v1/campaigns/" + s.Campaign + "/versions"
	mine := map[string]any{"document": changed(t, s, holdSeconds(240))}
	theirs := map[string]any{"document": changed(t, s, holdSeconds(250))}
	for _, p := range []struct {
		by, other string
		body      any
	}{{one, two, mine}, {two, one, theirs}} {
		a := waitsFor(t, do(t, s, p.by, http.MethodPost, versions, p.body))
		do(t, s, p.other, http.MethodPost, "/admin/v1/approvals/"+a.ApprovalId, nil).Want(t, http.StatusOK)
	}
	do(t, s, two, http.MethodPost, versions, theirs).Want(t, http.StatusCreated)
	waitsFor(t, do(t, s, one, http.MethodPost, versions, mine)) // it was approved on top of another version

	// What failed can be done by the same approval.
	soon := map[string]any{"document": changed(t, s, holdSeconds(260)), "effective_at": s.Clock.Now().Add(time.Second)}
	a := waitsFor(t, do(t, s, one, http.MethodPost, versions, soon))
	do(t, s, two, http.MethodPost, "/admin/v1/approvals/"+a.ApprovalId, nil).Want(t, http.StatusOK)
	do(t, s, one, http.MethodPost, versions, soon).Want(t, http.StatusConflict, fault.CodeEffectiveTooSoon)
	s.Clock.Advance(-time.Hour)
	do(t, s, one, http.MethodPost, versions, soon).Want(t, http.StatusCreated)
}

func TestOnlyChosenActsNeedASecondPerson(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, chosen string
		change       func(map[string]any)
		needs        bool
	}{
		{"closing early", "close_early", closesE3("2021-07-20T18:00:00+09:00"), true},
		{"closing later isn't closing early", "close_early", closesE3("2021-07-25T18:00:00+09:00"), false},
		{"loosening", "loosen", closesE3("2021-07-25T18:00:00+09:00"), true},
		{"closing early doesn't loosen", "loosen", closesE3("2021-07-20T18:00:00+09:00"), false},
		{"what changes nobody's windows", "loosen,close_early", holdSeconds(240), false},
		{"nothing chosen", "", closesE3("2021-07-20T18:00:00+09:00"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := jaritest.Start(t, jaritest.WithEnvironment("JARI_SECOND_PERSON", c.chosen))
			got := do(t, s, s.AdminKey(t, "publisher"), http.MethodPost, "/admin/v1/campaigns/"+s.Campaign+"/versions",
				map[string]any{"document": changed(t, s, c.change)})
			if c.needs {
				waitsFor(t, got)
			} else {
				got.Want(t, http.StatusCreated)
			}
		})
	}
}

func TestKeysOfOnePersonDontApproveEachOther(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_SECOND_PERSON", "publish"))
	owner := s.AdminKey(t, "owner")
	var made httpapi.MadeKey
	do(t, s, owner, http.MethodPost, "/admin/v1/keys", map[string]any{"name": "my own", "role": "publisher"}).
		Want(t, http.StatusCreated).Into(t, &made)
	var between, far httpapi.MadeKey
	do(t, s, owner, http.MethodPost, "/admin/v1/keys", map[string]any{"name": "between", "role": "owner"}).
		Want(t, http.StatusCreated).Into(t, &between)
	do(t, s, between.Key, http.MethodPost, "/admin/v1/keys", map[string]any{"name": "my own, too", "role": "publisher"}).
		Want(t, http.StatusCreated).Into(t, &far)
	for i, pair := range [][2]string{{owner, made.Key}, {made.Key, owner}, {owner, far.Key}, {far.Key, owner}} {
		body := map[string]any{"document": changed(t, s, holdSeconds(200+i))}
		a := waitsFor(t, do(t, s, pair[0], http.MethodPost, "/admin/v1/campaigns/"+s.Campaign+"/versions", body))
		do(t, s, pair[1], http.MethodPost, "/admin/v1/approvals/"+a.ApprovalId, nil).Want(t, http.StatusConflict, fault.CodeSamePerson)
	}
}

func TestNothingChangesAroundAnOpening(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_FREEZE_BEFORE", "1h"), jaritest.WithEnvironment("JARI_FREEZE_AFTER", "30m"))
	editor, owner, publisher := s.AdminKey(t, "editor"), s.AdminKey(t, "owner"), s.AdminKey(t, "publisher")
	path := "/admin/v1/campaigns/" + s.Campaign
	unit := s.Slot(t, jaritest.SiteOfFew, "2021-07-27")
	capacity := 3
	change := func(key string, more ...string) jaritest.Response {
		body := map[string]any{"capacity": capacity + 1}
		if len(more) > 0 {
			body["override_freeze"] = more[0]
		}
		return do(t, s, key, http.MethodPatch, path+"/slots/"+unit, body)
	}
	for at, frozen := range map[string]bool{
		"2021-07-19T18:59:59.999+09:00": false, "2021-07-19T19:00:00+09:00": true, "2021-07-19T20:29:59.999+09:00": true,
		"2021-07-19T20:30:00+09:00": false,
	} {
		s.Clock.Set(jaritest.Instant(at))
		if !frozen {
			change(editor).Want(t, http.StatusOK)
			continue
		}
		change(editor).Want(t, http.StatusConflict, fault.CodeChangeFrozen)
		do(t, s, publisher, http.MethodPost, path+"/versions/1/rollback", nil).Want(t, http.StatusConflict, fault.CodeChangeFrozen)
	}
	s.Clock.Set(jaritest.Instant("2021-07-19T19:59:00+09:00"))
	capacity = 9
	p := change(editor).Want(t, http.StatusConflict, fault.CodeChangeFrozen).Problem(t)
	if p.RetryAfterSeconds == nil || *p.RetryAfterSeconds != 31*60 {
		t.Errorf("it says until when: %v", p.RetryAfterSeconds)
	}
	// An owner with a reason, and another person.
	change(editor, "the cold chain broke").Want(t, http.StatusForbidden, fault.CodeRoleRequired)
	a := waitsFor(t, change(owner, "the cold chain broke"))
	do(t, s, publisher, http.MethodPost, "/admin/v1/approvals/"+a.ApprovalId, nil).Want(t, http.StatusOK)
	change(owner, "another reason").Want(t, http.StatusConflict, fault.CodeSecondPersonNeeded)
	change(owner, "the cold chain broke").Want(t, http.StatusOK)
	if e := entries(t, s, owner, "?act=slot.change"); e[0].Reason == nil || *e[0].Reason != "the cold chain broke" {
		t.Errorf("the audit has no reason: %+v", e[0])
	}
}
