package admin_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// cautious is an act of administrators, and which settings of JARI_SECOND_PERSON ask for somebody else's approval of it.
type cautious struct {
	name  string
	needs []string
	role  string
	// prepare makes what the act is about, and returns what does it with a key; ok is how it is answered then.
	prepare func(t *testing.T, s *jaritest.Server, role string) (act func(key string) jaritest.Response, ok int)
}

// tells is an act that needs nothing to be there.
func tells(method, rest string, body any, ok int) func(*testing.T, *jaritest.Server, string) (func(string) jaritest.Response, int) {
	return func(t *testing.T, s *jaritest.Server, _ string) (func(string) jaritest.Response, int) {
		t.Helper()
		path := strings.ReplaceAll(rest, "{campaign}", "/admin/v1/campaigns/"+s.Campaign)
		return func(key string) jaritest.Response { return do(t, s, key, method, path, body) }, ok
	}
}

// applied is the applying of a plan that somebody makes.
func applied(try func(*testing.T, *jaritest.Server, string) jaritest.Response) func(*testing.T, *jaritest.Server, string) (func(string) jaritest.Response, int) {
	return func(t *testing.T, s *jaritest.Server, role string) (func(string) jaritest.Response, int) {
		t.Helper()
		p := tried(t, try(t, s, s.AdminKey(t, role)))
		return func(key string) jaritest.Response { return apply(t, s, key, p) }, http.StatusOK
	}
}

// published publishes the document with one thing changed.
func published(change func(map[string]any)) func(*testing.T, *jaritest.Server, string) (func(string) jaritest.Response, int) {
	return func(t *testing.T, s *jaritest.Server, _ string) (func(string) jaritest.Response, int) {
		t.Helper()
		body := map[string]any{"document": changed(t, s, change)}
		return func(key string) jaritest.Response {
			return do(t, s, key, http.MethodPost, "/admin/v1/campaigns/"+s.Campaign+"/versions", body)
		}, http.StatusCreated
	}
}

// every act that changes what people may book or what decides about it, in an order in which one leaves the next its ground. What
// isn't here looks, tells, or works with one person's booking.
var everyCautiousAct = []cautious{
	{"a room's message", nil, "operator", tells(http.MethodPatch, "/admin/v1/rooms/small-2021.evening", map[string]any{
		"message": map[string]any{"ko": "곧 시작합니다", "en": "Soon"}, "rate_per_second": 2,
	}, http.StatusOK)},
	{"one slot", nil, "editor", func(t *testing.T, s *jaritest.Server, _ string) (func(string) jaritest.Response, int) {
		t.Helper()
		path := "/admin/v1/campaigns/" + s.Campaign + "/slots/" + s.Slot(t, jaritest.SiteOfMany, day)
		return func(key string) jaritest.Response {
			return do(t, s, key, http.MethodPatch, path, map[string]any{"capacity": 99})
		}, http.StatusOK
	}},
	{"one site", nil, "editor", tells(http.MethodPut, "{campaign}/sites/new", map[string]any{
		"region": "seoul", "name": "새 의원", "address": "서울 1", "wheelchair": true,
	}, http.StatusOK)},
	{"words", nil, "editor", tells(http.MethodPut, "{campaign}/messages/booked", map[string]any{
		"ko": "{date} {time} {reference}", "reason": "to be short",
	}, http.StatusOK)},
	{"a list of sites", []string{"bulk"}, "editor", applied(func(t *testing.T, s *jaritest.Server, key string) jaritest.Response {
		t.Helper()
		return sendCSV(t, s, key, "/admin/v1/campaigns/"+s.Campaign+"/sites/import", siteHeading+"newer,seoul,새 의원,서울 1,02-123-4567,yes\n")
	})},
	{"a list of slots", []string{"bulk"}, "editor", applied(func(t *testing.T, s *jaritest.Server, key string) jaritest.Response {
		t.Helper()
		return sendCSV(t, s, key, "/admin/v1/campaigns/"+s.Campaign+"/slots/import", slotHeading+"few,2021-08-03,15:00,16:00,5,,,\n")
	})},
	{"a selection of slots", []string{"bulk"}, "editor", applied(func(t *testing.T, s *jaritest.Server, key string) jaritest.Response {
		t.Helper()
		return do(t, s, key, http.MethodPost, "/admin/v1/campaigns/"+s.Campaign+"/slots/change", map[string]any{"from": day, "to": day, "set_state": "closed"})
	})},
	{"a week's slots", []string{"bulk"}, "editor", applied(func(t *testing.T, s *jaritest.Server, key string) jaritest.Response {
		t.Helper()
		return do(t, s, key, http.MethodPost, "/admin/v1/campaigns/"+s.Campaign+"/slots/generate", map[string]any{
			"sites": []string{jaritest.SiteOfOne}, "template": map[string]any{
				"weekdays": []string{"wed"}, "from": "2021-07-28", "to": "2021-07-28", "except": []string{},
				"hours": []any{map[string]any{"from": "10:00", "to": "11:00", "every_minutes": 60, "capacity": 7}},
			},
		})
	})},
	{"a clearing", []string{"bulk", "close_early"}, "editor", applied(func(t *testing.T, s *jaritest.Server, key string) jaritest.Response {
		t.Helper()
		return do(t, s, key, http.MethodPost, "/admin/v1/campaigns/"+s.Campaign+"/clearings", map[string]any{"site_id": jaritest.SiteOfOne, "date": day})
	})},
	{"a version that changes nobody's windows", []string{"publish"}, "publisher", published(holdSeconds(240))},
	{"a version by which somebody gains a time", []string{"publish", "loosen"}, "publisher", published(closesE3("2021-07-25T18:00:00+09:00"))},
	{"a version by which somebody loses one", []string{"publish", "close_early"}, "publisher", published(closesE3("2021-07-22T18:00:00+09:00"))},
	{"a draft", []string{"publish", "loosen"}, "publisher", func(t *testing.T, s *jaritest.Server, _ string) (func(string) jaritest.Response, int) {
		t.Helper()
		tag := drafting(t, s, s.AdminKey(t, "editor"), http.MethodPut, "", "", changed(t, s, closesE3("2021-07-26T18:00:00+09:00"))).
			Want(t, http.StatusCreated).Header.Get("ETag")
		return func(key string) jaritest.Response {
			return drafting(t, s, key, http.MethodPost, "/publish", tag, nil)
		}, http.StatusCreated
	}},
	{
		"an earlier version again",
		[]string{"publish", "close_early"},
		"publisher",
		tells(http.MethodPost, "{campaign}/versions/1/rollback", nil, http.StatusCreated),
	},
	{
		"a room that is closed for good",
		[]string{"close_early"},
		"operator",
		tells(http.MethodPatch, "/admin/v1/rooms/small-2021.evening", map[string]any{"state": "closed"}, http.StatusOK),
	},
}

// Each act × each setting: exactly those acts wait for another person that the setting means, nothing is done until somebody else
// has approved, and then it is done.
func TestWhatNeedsASecondPerson(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"", "publish", "close_early", "loosen", "bulk"} {
		t.Run("set to "+setting, func(t *testing.T) {
			t.Parallel()
			s := jaritest.Start(t, jaritest.WithEnvironment("JARI_SECOND_PERSON", setting), jaritest.WithRooms(lineBeforeF1))
			keys := map[string]string{}
			for _, role := range []string{"editor", "operator", "publisher"} {
				keys[role] = s.AdminKey(t, role)
			}
			second := s.AdminKey(t, "publisher")
			for _, a := range everyCautiousAct {
				act, ok := a.prepare(t, s, a.role)
				if !slices.Contains(a.needs, setting) {
					if got := act(keys[a.role]); got.Status != ok {
						t.Errorf("%s: %d %s", a.name, got.Status, got.Body)
					}
					s.Refresh(t)
					continue
				}
				before := s.State(t)
				waiting := waitsFor(t, act(keys[a.role]))
				for _, change := range before.Changed(s.State(t)) {
					if !strings.Contains(change, "approvals") && !strings.Contains(change, "audit") {
						t.Errorf("%s: before it was approved, it changed %s", a.name, change)
					}
				}
				if a.role == "publisher" {
					do(t, s, keys[a.role], http.MethodPost, "/admin/v1/approvals/"+waiting.ApprovalId, nil).
						Want(t, http.StatusConflict, fault.CodeSamePerson)
				}
				do(t, s, second, http.MethodPost, "/admin/v1/approvals/"+waiting.ApprovalId, nil).Want(t, http.StatusOK)
				if got := act(keys[a.role]); got.Status != ok {
					t.Errorf("%s, approved: %d %s", a.name, got.Status, got.Body)
				}
				s.Refresh(t)
			}
		})
	}
}

// What always takes two, whatever is set: who imports a list doesn't sign it off, and neither does who made its key; taking a list
// away is such an import; and what overrides a freeze, which takes an owner besides. (The value of a draw that two people type
// in is in test/journey.)
func TestWhatAlwaysTakesTwo(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithNurses(), jaritest.WithEnvironment("JARI_FREEZE_BEFORE", "1h"))
	owner, publisher := s.AdminKey(t, "owner"), s.AdminKey(t, "publisher")
	var own httpapi.MadeKey
	do(t, s, owner, http.MethodPost, "/admin/v1/keys", map[string]any{"name": "my own", "role": "publisher"}).Want(t, http.StatusCreated).Into(t, &own)
	o := office{s: s, editor: owner, two: publisher}
	nurse := aNurse(t, s)
	i := o.importing(t, "nurses", "", nurses(lineOf(nurse)))
	for range 2 { // the import, and then the removal
		for _, key := range []string{owner, own.Key} {
			o.signs(t, key, i).Want(t, http.StatusConflict, fault.CodeSamePerson)
		}
		o.signs(t, publisher, i).Want(t, http.StatusOK)
		if !i.Removal {
			do(t, s, owner, http.MethodDelete, "/admin/v1/lists/nurses", nil).Want(t, http.StatusAccepted).Into(t, &i)
		}
	}
	path := "/admin/v1/campaigns/" + s.Campaign
	for name, act := range map[string]func(key string) jaritest.Response{
		"a slot": func(key string) jaritest.Response {
			return do(t, s, key, http.MethodPatch, path+"/slots/"+s.Slot(t, jaritest.SiteOfMany, day), map[string]any{"capacity": 98, "override_freeze": "needed"})
		},
		"a site": func(key string) jaritest.Response {
			return do(t, s, key, http.MethodPut, path+"/sites/new", map[string]any{
				"region": "seoul", "name": "새 의원", "address": "서울 1", "wheelchair": true, "override_freeze": "needed",
			})
		},
		"a version": func(key string) jaritest.Response {
			return do(t, s, key, http.MethodPost, path+"/versions", map[string]any{"document": changed(t, s, holdSeconds(240)), "override_freeze": "needed"})
		},
	} {
		act(publisher).Want(t, http.StatusForbidden, fault.CodeRoleRequired)
		if a := waitsFor(t, act(owner)); a.Act != "override_freeze" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}
