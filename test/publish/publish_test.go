package publish_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// document is what is published of the test's campaign, changed.
func document(t *testing.T, s *jaritest.Server, change func(map[string]any)) map[string]any {
	t.Helper()
	var raw []byte
	if err := s.Pool.QueryRow(t.Context(), `
		SELECT document FROM campaign_versions WHERE campaign_id = $1 ORDER BY version DESC LIMIT 1`, s.Campaign).Scan(&raw); err != nil {
		t.Fatal(err)
	}
	var d map[string]any
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	change(d)
	return d
}

func wave(d map[string]any, id string) map[string]any {
	for _, w := range d["waves"].([]any) {
		if m := w.(map[string]any); m["wave"] == id {
			return m
		}
	}
	panic("no wave " + id)
}

// opensF1 lets wave F1 open at another instant, and drops the cases that say otherwise.
func opensF1(at string) func(map[string]any) {
	return func(d map[string]any) {
		wave(d, "F1")["opens_at"] = at
		d["cases"] = []any{}
		for _, id := range []string{"E3", "F1", "F2", "F3"} {
			w := wave(d, id)
			who := w["who"].(map[string]any)["birth_date"].(map[string]any)
			d["cases"] = append(d["cases"].([]any), map[string]any{
				"birth_date": who["from"], "at": w["opens_at"], "expect": "yes", "wave": id,
			})
		}
	}
}

type admin struct {
	*jaritest.Server
	key string
}

func (a admin) do(t *testing.T, method, rest string, body any) jaritest.Response {
	t.Helper()
	return a.Send(t, jaritest.JSON(method, "/admin/v1/campaigns/"+a.Campaign+rest, body).With("Authorization", "Bearer "+a.key))
}

func start(t *testing.T) admin {
	t.Helper()
	s := jaritest.Start(t)
	return admin{s, s.AdminKey(t, "publisher")}
}

func eligible(t *testing.T, s *jaritest.Server, birthDate string) (d httpapi.Decision) {
	t.Helper()
	s.Do(t, http.MethodPost, s.Path("/eligibility"), map[string]any{"birth_date": birthDate}).Want(t, http.StatusOK).Into(t, &d)
	return d
}

func TestRulesReachEveryInstanceBeforeOpening(t *testing.T) {
	t.Parallel()
	one := start(t)
	two := one.Another(t)
	// Two minutes before the opening, it is moved an hour later.
	at := jaritest.Instant(jaritest.Begins).Add(time.Minute)
	var v httpapi.Version
	one.do(t, http.MethodPost, "/versions", map[string]any{
		"document": document(t, one.Server, opensF1("2021-07-19T21:00:00+09:00")), "effective_at": at, "after_version": 1,
	}).Want(t, http.StatusCreated).Into(t, &v)
	if v.Version != 2 || v.InEffect || !v.EffectiveAt.Equal(at) {
		t.Fatalf("%+v", v)
	}
	one.Refresh(t)
	two.Refresh(t)
	both := func(want int64) {
		t.Helper()
		for _, s := range []*jaritest.Server{one.Server, two} {
			if d := eligible(t, s, jaritest.BornForF1); d.RulesVersion != want {
				t.Errorf("an instance judges by version %d, want %d", d.RulesVersion, want)
			}
		}
	}
	one.Clock.Set(at.Add(-time.Millisecond))
	both(1)
	one.Clock.Set(at)
	both(2)
	one.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	for _, s := range []*jaritest.Server{one.Server, two} {
		if d := eligible(t, s, jaritest.BornForF1); d.Eligible != "no" || d.Next == nil || !d.Next.EligibleFromAt.Equal(jaritest.Instant("2021-07-19T21:00:00+09:00")) {
			t.Errorf("an instance opened by the old rules: %+v", d)
		}
	}

	// And back again.
	at = one.Clock.Now().Add(time.Minute)
	one.do(t, http.MethodPost, "/versions/1/rollback", map[string]any{"effective_at": at}).Want(t, http.StatusCreated).Into(t, &v)
	if v.Version != 3 || v.RollbackOf == nil || *v.RollbackOf != 1 {
		t.Fatalf("%+v", v)
	}
	one.Refresh(t)
	two.Refresh(t)
	one.Clock.Set(at)
	both(3)
	if d := eligible(t, two, jaritest.BornForF1); d.Eligible != "yes" {
		t.Errorf("after the rollback: %+v", d)
	}
	var list httpapi.VersionList
	one.do(t, http.MethodGet, "/versions", nil).Want(t, http.StatusOK).Into(t, &list)
	if len(list.Versions) != 3 || !list.Versions[0].InEffect || list.Versions[2].InEffect || list.Versions[2].PublishedBy != "command" {
		t.Fatalf("%+v", list)
	}
}

func TestRuleChangeKeepsBooked(t *testing.T) {
	t.Parallel()
	a := start(t)
	booked := a.NewCitizen(t, jaritest.BornForE3)
	b := booked.MustBook(t, slotAt(t, a.Server, jaritest.SiteOfMany, 0))
	holding := a.NewCitizen(t, jaritest.BornForE3)
	h := holding.MustHold(t, slotAt(t, a.Server, jaritest.SiteOfMany, 0))

	// The wave that admitted them ends.
	at := a.Clock.Now().Add(time.Minute)
	a.do(t, http.MethodPost, "/versions", map[string]any{
		"effective_at": at,
		"document": document(t, a.Server, func(d map[string]any) {
			opensF1(jaritest.OpensF1)(d)
			wave(d, "E3")["closes_at"] = at.Format(time.RFC3339)
		}),
	}).Want(t, http.StatusCreated)
	a.Refresh(t)
	a.Clock.Set(at)
	if d := eligible(t, a.Server, jaritest.BornForE3); d.Eligible != "no" {
		t.Fatalf("the wave hasn't ended: %+v", d)
	}
	a.NewCitizen(t, jaritest.BornForE3).Hold(t, slotAt(t, a.Server, jaritest.SiteOfMany, 0)).Want(t, http.StatusForbidden, fault.CodeNotEligible)

	// Whoever has booked keeps it, and may move it within the days of the version that it was made under; whoever held
	// before may confirm until the hold ends.
	if got := booked.Booking(t); got.BookingId != b.BookingId || got.Status != httpapi.BookingStatusActive {
		t.Fatalf("%+v", got)
	}
	moved := booked.MustBook(t, slotAt(t, a.Server, jaritest.SiteOfFew, 0), "replaces", b.BookingId)
	if moved.Reference != b.Reference {
		t.Fatalf("moving gave the reference %s instead of %s", moved.Reference, b.Reference)
	}
	holding.Confirm(t, h.HoldToken).Want(t, http.StatusCreated)
	var version int64
	if err := a.Pool.QueryRow(t.Context(), `SELECT DISTINCT rules_version FROM bookings WHERE status = 'active'`).Scan(&version); err != nil {
		t.Fatal(err)
	}
	if version != 1 {
		t.Fatalf("bookings say that they were judged by version %d", version)
	}
}

// slotAt is the nth slot of a site.
func slotAt(t *testing.T, s *jaritest.Server, site string, n int) string {
	t.Helper()
	var slots httpapi.SiteSlots
	s.Do(t, http.MethodGet, s.Path("/sites/"+site+"/slots"), nil).Want(t, http.StatusOK).Into(t, &slots)
	return slots.Slots[n].SlotId
}

func TestPublishingIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(map[string]any)
		says   string
	}{
		{"while a case fails", func(d map[string]any) {
			d["cases"].([]any)[0].(map[string]any)["expect"] = "depends"
		}, `"failed":1`},
		{"while a wave has no case", func(d map[string]any) {
			opensF1(jaritest.OpensF1)(d)
			d["cases"] = d["cases"].([]any)[1:]
		}, "E3"},
		{"while a window is empty", func(d map[string]any) {
			opensF1(jaritest.OpensF1)(d)
			wave(d, "F1")["closes_at"] = jaritest.OpensF1
		}, "F1"},
		{"while a rule isn't known", func(d map[string]any) {
			wave(d, "F1")["who"] = map[string]any{"born_on_a_tuesday": true}
		}, "born_on_a_tuesday"},
		{"while a date doesn't exist", func(d map[string]any) {
			wave(d, "F1")["who"] = map[string]any{"birth_date": map[string]any{"from": "1967-02-30"}}
		}, "1967-02-30"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := start(t)
			d := document(t, a.Server, c.change)
			r := a.do(t, http.MethodPost, "/versions", map[string]any{"document": d}).Want(t, http.StatusConflict, fault.CodeNotPublishable)
			if !strings.Contains(string(r.Body), c.says) {
				t.Errorf("the report doesn't say %q: %s", c.says, r.Body)
			}
			var report httpapi.CampaignCheck
			a.do(t, http.MethodPost, "/check", d).Want(t, http.StatusOK).Into(t, &report)
			if report.Publishable {
				t.Error("the check says that it could be published")
			}
			var versions int
			if err := a.Pool.QueryRow(t.Context(), `SELECT count(*) FROM campaign_versions`).Scan(&versions); err != nil || versions != 1 {
				t.Errorf("%d versions %v", versions, err)
			}
		})
	}
}

func TestEffectiveInstantLeavesTimeForEveryInstance(t *testing.T) {
	t.Parallel()
	a := start(t)
	d := document(t, a.Server, opensF1("2021-07-19T21:00:00+09:00"))
	lead := 0
	for _, ahead := range []time.Duration{-time.Hour, 0, 9 * time.Second} {
		r := a.do(t, http.MethodPost, "/versions", map[string]any{"document": d, "effective_at": a.Clock.Now().Add(ahead)})
		if p := r.Want(t, http.StatusConflict, fault.CodeEffectiveTooSoon).Problem(t); p.RetryAfterSeconds != nil {
			lead = *p.RetryAfterSeconds
		}
	}
	var v httpapi.Version
	a.do(t, http.MethodPost, "/versions", map[string]any{"document": d}).Want(t, http.StatusCreated).Into(t, &v)
	if ahead := v.EffectiveAt.Sub(a.Clock.Now()); lead < 10 || ahead != time.Duration(lead)*time.Second {
		t.Errorf("effective %s from now; the refusals said %d s", ahead, lead)
	}
	// Sent again after a lost answer: nothing more is published.
	a.do(t, http.MethodPost, "/versions", map[string]any{"document": d}).Want(t, http.StatusOK)
}

func TestPublisherWhoHasNotSeenTheNewestIsRefused(t *testing.T) {
	t.Parallel()
	a := start(t)
	for n, want := range []int{http.StatusCreated, http.StatusConflict} {
		d := document(t, a.Server, opensF1(fmt.Sprintf("2021-07-19T21:0%d:00+09:00", n)))
		r := a.do(t, http.MethodPost, "/versions", map[string]any{"document": d, "after_version": 1})
		if r.Status != want {
			t.Fatalf("publication %d: %d %s", n, r.Status, r.Body)
		}
	}
}

func TestPublishingNeedsAKey(t *testing.T) {
	t.Parallel()
	a := start(t)
	citizen := a.NewCitizen(t, jaritest.BornForE3)
	d := document(t, a.Server, opensF1("2021-07-19T21:00:00+09:00"))
	body := map[string]any{"document": d}
	path := "/admin/v1/campaigns/" + a.Campaign + "/versions"
	refused := func(q jaritest.Request) {
		t.Helper()
		a.Send(t, q).Want(t, http.StatusUnauthorized, fault.CodeKeyRequired)
	}
	q := jaritest.JSON(http.MethodPost, path, body)
	refused(q)
	refused(citizen.Request(http.MethodPost, path, body)) // a citizen's session is no key
	for _, text := range []string{
		"", "jari", a.key + "x", strings.Replace(a.key, ".development.", ".elsewhere.", 1), a.key[:len(a.key)-1],
		"jari.development.." + a.key[strings.LastIndex(a.key, ".")+1:],
	} {
		refused(q.With("Authorization", "Bearer "+text))
	}
	if _, err := a.Pool.Exec(t.Context(), `UPDATE admin_keys SET revoked_at = now()`); err != nil {
		t.Fatal(err)
	}
	refused(q.With("Authorization", "Bearer "+a.key))
	other := a.AdminKey(t, "publisher")
	if _, err := a.Pool.Exec(t.Context(), `UPDATE admin_keys SET created_at = now() - interval '2 days', expires_at = now() - interval '1 day'`); err != nil {
		t.Fatal(err)
	}
	refused(q.With("Authorization", "Bearer "+other))
	var n int
	if err := a.Pool.QueryRow(t.Context(), `SELECT count(*) FROM campaign_versions`).Scan(&n); err != nil || n != 1 {
		t.Fatalf("%d versions %v", n, err)
	}
	if raw, err := json.Marshal(body); err != nil || strings.Contains(a.Log.String(), a.key) || len(raw) == 0 {
		t.Error("the key is in the log")
	}
}
