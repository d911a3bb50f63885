package admin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// funnel is that of the campaign.
func funnel(t *testing.T, s *jaritest.Server, key, query string) (f httpapi.Funnel) {
	t.Helper()
	do(t, s, key, http.MethodGet, "/admin/v1/campaigns/"+s.Campaign+"/funnel"+query, nil).Want(t, http.StatusOK).Into(t, &f)
	return f
}

// said is a step of a funnel, in words that can be compared.
func said(t *testing.T, steps []httpapi.FunnelStep, name string) string {
	t.Helper()
	for _, s := range steps {
		if string(s.Step) != name {
			continue
		}
		var text strings.Builder
		fmt.Fprintf(&text, "%d asked, %d got it", s.Requests, s.Succeeded)
		for _, n := range []struct {
			of    string
			count *int64
		}{{"people asking", s.PeopleAsking}, {"people", s.People}, {"phones", s.Phones}, {"blocks", s.AddressBlocks}} {
			if n.count != nil {
				fmt.Fprintf(&text, ", %d %s", *n.count, n.of)
			}
		}
		return text.String()
	}
	t.Fatalf("no step %s", name)
	return ""
}

// six_million_for_one_and_a_half (Korea 2021): nobody could say whether six million came, or fewer who asked again and again.
func TestSixMillionForOneAndAHalf(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_TRUSTED_PROXIES", "127.0.0.0/8,::1/128"),
		jaritest.WithEnvironment("JARI_HOLDS_PER_PERSON", "10000")) // one asks until another hour is noticed
	other := s.Another(t)
	viewer := s.AdminKey(t, "viewer")
	from := func(address string) []string { return []string{"X-Forwarded-For", address} }
	ask := func(at *jaritest.Server, header []string) {
		at.Send(t, jaritest.JSON(http.MethodPost, s.Path("/eligibility"), map[string]any{"birth_date": jaritest.BornForE3}).With(header[0], header[1])).
			Want(t, http.StatusOK)
	}
	for i := range 6 { // one household asks again and again, another once
		ask([]*jaritest.Server{s, other}[i%2], from("203.0.113.7"))
	}
	ask(other, from("198.51.100.1"))
	one, two := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	again := s.Stranger(jaritest.BornForE3)
	again.Phone = one.Phone
	again.StartVerification(t) // the same phone, and the code isn't given
	slots := s.Slots(t, jaritest.SiteOfOne, "2021-07-27")
	hold := one.MustHold(t, slots[0].ID)
	for i := range 3 { // a double click has one effect, and whoever has nothing asks again, elsewhere too
		one.Confirm(t, hold.HoldToken)
		two.At([]*jaritest.Server{s, other}[i%2]).Hold(t, slots[0].ID).Want(t, http.StatusConflict, fault.CodeSlotFull)
	}
	want := map[string]string{
		"asked":     "7 asked, 7 got it, 2 blocks",
		"began":     "3 asked, 3 got it, 2 phones, 0 blocks",
		"verified":  "2 asked, 2 got it, 2 people, 0 blocks",
		"queued":    "0 asked, 0 got it, 0 people asking, 0 people",
		"admitted":  "2 asked, 2 got it, 2 people asking, 2 people",
		"held":      "4 asked, 1 got it, 2 people asking, 1 people",
		"booked":    "3 asked, 1 got it, 1 people asking, 1 people",
		"cancelled": "0 asked, 0 got it, 0 people asking, 0 people",
	}
	var f httpapi.Funnel
	check := func(steps []httpapi.FunnelStep) (wrong []string) {
		for step, text := range want {
			if got := said(t, steps, step); got != text {
				wrong = append(wrong, fmt.Sprintf("%s: %s; want %s", step, got, text))
			}
		}
		return wrong
	}
	jaritest.Eventually(t, 30*time.Second, "what both instances saw is one", func() bool {
		f = funnel(t, s, viewer, "")
		return len(check(f.Steps)) == 0
	})
	if len(f.Hours) != 1 || len(check(f.Hours[0].Steps)) > 0 {
		t.Errorf("by hour: %+v", f.Hours)
	}
	// An hour later somebody who came before comes again: another person in that hour, none in all.
	began := s.Clock.Now()
	s.Clock.Advance(time.Hour)
	asked := 4
	jaritest.Eventually(t, 30*time.Second, "there is another hour", func() bool {
		two.Hold(t, slots[0].ID).Want(t, http.StatusConflict, fault.CodeSlotFull)
		asked++
		f = funnel(t, s, viewer, "") // the first second of an hour may be counted to the one before
		return len(f.Hours) == 2 && strings.HasSuffix(said(t, f.Hours[1].Steps, "held"), " asked, 0 got it, 1 people asking, 0 people")
	})
	inAll := fmt.Sprintf("%d asked, 1 got it, 2 people asking, 1 people", asked)
	if got := said(t, f.Steps, "held"); got != inAll {
		t.Errorf("in all: %s; want %s", got, inAll)
	}
	// Only the first hour; and what was counted outlives the instances, without a person in it.
	s.Stop(t)
	other.Stop(t)
	third := s.Another(t)
	third.Clock.Advance(time.Minute)
	delete(want, "held")
	q := "?from=" + url.QueryEscape(began.Format(time.RFC3339)) + "&to=" + url.QueryEscape(began.Truncate(time.Hour).Add(time.Hour).Format(time.RFC3339))
	if wrong := check(funnel(t, third, viewer, q).Steps); len(wrong) > 0 {
		t.Errorf("afterwards: %v", wrong)
	}
	if got := said(t, funnel(t, third, viewer, "").Steps, "held"); got != inAll {
		t.Errorf("afterwards, in all: %s", got)
	}
}

func TestAFunnelIsAskedForATime(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	viewer := s.AdminKey(t, "viewer")
	path := "/admin/v1/campaigns/" + s.Campaign + "/funnel"
	for _, query := range []string{
		"?from=2021-07-20T00:00:00Z&to=2021-07-19T00:00:00Z", "?from=2021-07-01T00:00:00Z&to=2021-07-19T00:00:00Z", "?from=yesterday",
	} {
		do(t, s, viewer, http.MethodGet, path+query, nil).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	}
	do(t, s, viewer, http.MethodGet, "/admin/v1/campaigns/nowhere/funnel", nil).Want(t, http.StatusNotFound, fault.CodeCampaignNotFound)
	if f := funnel(t, s, viewer, ""); len(f.Steps) != 8 || f.To.Sub(f.From) < 24*time.Hour {
		t.Errorf("%+v", f)
	}
}
