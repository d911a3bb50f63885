// Package feed_test reads the feed for other sites as they do, over HTTP.
package feed_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/feed"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

const manifestPath = "/v1/feeds/$bulk-publish"

// fetch gets what is at an address of the feed.
func fetch(t *testing.T, s *jaritest.Server, address string, headers ...string) jaritest.Response {
	t.Helper()
	path, ours := strings.CutPrefix(address, jaritest.Address)
	if !ours {
		t.Fatalf("%s isn't an address of this server", address)
	}
	q := jaritest.JSON(http.MethodGet, path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		q = q.With(headers[i], headers[i+1])
	}
	return s.Send(t, q)
}

// whole is the feed as it is now, which must be as the specification says.
func whole(t *testing.T, s *jaritest.Server) *published {
	t.Helper()
	plain := []string{"Accept-Encoding", "identity", "Accept", "application/fhir+ndjson"}
	p := read(fetch(t, s, jaritest.Address+manifestPath, plain...).Want(t, http.StatusOK).Body, func(url string) []byte {
		got := fetch(t, s, url, plain...).Want(t, http.StatusOK)
		if kind := got.Header.Get("Content-Type"); kind != "application/fhir+ndjson" {
			t.Errorf("%s is %q", url, kind)
		}
		return got.Body
	})
	for _, f := range p.faults {
		t.Error(f)
	}
	return p
}

// public are the slots of a site as everybody sees them, by id.
func public(t *testing.T, s *jaritest.Server, site string) map[string]shown {
	t.Helper()
	var all httpapi.SiteSlots
	s.Do(t, http.MethodGet, s.Path("/sites/"+site+"/slots"), nil).Want(t, http.StatusOK).Into(t, &all)
	found := map[string]shown{}
	for _, x := range all.Slots {
		found[x.SlotId] = shown{x.StartsAt, x.EndsAt, x.Remaining}
	}
	return found
}

type shown struct {
	StartsAt, EndsAt time.Time
	Remaining        int
}

func TestTheFeedIsAsTheSpecificationSays(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithFeed())
	p := whole(t, s)
	if p.manifest.Request != jaritest.Address+manifestPath || p.manifest.TransactionTime != "2021-07-19T10:58:00Z" {
		t.Errorf("the manifest is of %s at %s", p.manifest.Request, p.manifest.TransactionTime)
	}
	id := func(site string) string { return s.Campaign + "." + site }
	one, few := p.locations[id(jaritest.SiteOfOne)], p.locations[id(jaritest.SiteOfFew)]
	if one.Name != "하나의원" || !slices.Equal(one.Alias, []string{"One Clinic"}) || one.Telecom[0].Value != "02-0000-0001" ||
		one.Address.Line[0] != "서울특별시 하나구 하나로 1" || one.Address.City != "하나구" || one.Address.PostalCode != "00001" ||
		*one.Position.Latitude != 37.5 || *one.Position.Longitude != 127 {
		t.Errorf("a site is %+v", one)
	}
	if one.Address.State != "서울특별시" || few.Address.State != "서울" {
		t.Errorf("the states are %q, which is the region's name, and %q", one.Address.State, few.Address.State)
	}
	// A site without a telephone can't be said as the specification wants it.
	if _, there := p.locations[id(jaritest.SiteOfMany)]; there || len(p.locations) != 3 || len(p.schedules) != 3 {
		t.Errorf("%d locations, %d schedules", len(p.locations), len(p.schedules))
	}
	given := p.schedules[id(jaritest.Island)].ServiceType[0]
	if given.Text != "작은 예약" || given.Coding[0].System != "urn:jari:campaign" || given.Coding[0].Code != s.Campaign {
		t.Errorf("what is given is %+v", given)
	}
	seen := 0
	for _, site := range []string{jaritest.SiteOfOne, jaritest.SiteOfFew, jaritest.Island} {
		for slotID, shown := range public(t, s, site) {
			seen++
			x := p.slots[slotID]
			bookable := shown.StartsAt.Before(jaritest.Instant("2021-08-15T00:00:00+09:00")) // by E3; F1 opens in two minutes
			want, capacity, link := "busy", -1, ""
			if bookable {
				want, capacity = "free", shown.Remaining
				link = fmt.Sprintf("https://booking.example.org/%s?site=%s&slot=%s", s.Campaign, site, slotID)
			}
			if x.Status != want || x.capacity() != capacity || x.link() != link || x.Schedule.Reference != "Schedule/"+id(site) ||
				x.Start != shown.StartsAt.Format(time.RFC3339) || x.End != shown.EndsAt.Format(time.RFC3339) {
				t.Errorf("%s of %s, of which %d remain, is %+v", slotID, site, shown.Remaining, x)
			}
		}
	}
	if len(p.slots) != seen {
		t.Errorf("%d slots, and %d are public", len(p.slots), seen)
	}
	if said := s.Log.String(); !strings.Contains(said, "sites aren't in the feed") || !strings.Contains(said, "sites=1") {
		t.Error("nobody is told that a site isn't in the feed")
	}
}

func TestTheFeedFollowsWhatIsFree(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithFeed())
	c := s.NewCitizen(t, jaritest.BornForE3)
	last, some := s.Slot(t, jaritest.SiteOfOne, "2021-07-27"), s.Slot(t, jaritest.SiteOfFew, "2021-07-27")
	soon := s.Slot(t, jaritest.SiteOfFew, jaritest.FirstDay)
	if p := whole(t, s); p.slots[last].Status != "free" || p.slots[some].capacity() != 3 {
		t.Fatalf("at first: %+v", p.slots[last])
	}
	c.MustBook(t, last)
	s.NewCitizen(t, jaritest.BornForE3).MustBook(t, some)
	later := func(what string, right func(*published) bool) {
		t.Helper()
		var p *published
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			s.Clock.Advance(feed.Every)
			if p = whole(t, s); right(p) {
				return
			}
		}
		t.Errorf("never %s: %+v, %+v", what, p.slots[last], p.slots[some])
	}
	later("full", func(p *published) bool {
		return p.slots[last].Status == "busy" && p.slots[last].capacity() == -1 && p.slots[some].capacity() == 2
	})
	// From the very instant of an opening its days are free, and not before.
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1).Add(-time.Second))
	if p := whole(t, s); p.slots[soon].Status != "busy" {
		t.Errorf("a second before the opening: %+v", p.slots[soon])
	}
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	if p := whole(t, s); p.slots[soon].Status != "free" || p.slots[soon].capacity() != 3 {
		t.Errorf("at the opening: %+v", p.slots[soon])
	}
	// Nothing can be booked any more: the campaign is left out, and its files say so too.
	file := p0(t, s, "Slot")
	s.Clock.Set(jaritest.Instant("2021-07-24T18:00:00+09:00"))
	if p := whole(t, s); len(p.manifest.Output) != 0 {
		t.Errorf("a campaign that is over has %d files", len(p.manifest.Output))
	}
	if body := fetch(t, s, file).Want(t, http.StatusOK).Body; bytes.Contains(body, []byte(`"free"`)) {
		t.Errorf("after the end: %s", body)
	}
}

// p0 is the address of the first file of a type.
func p0(t *testing.T, s *jaritest.Server, kind string) string {
	t.Helper()
	for _, o := range whole(t, s).manifest.Output {
		if o.Type == kind {
			return o.URL
		}
	}
	t.Fatalf("there is no file of %s", kind)
	return ""
}

func TestSlotsThatArentForEverybodyArentInTheFeed(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithFeed())
	key := s.AdminKey(t, "editor")
	slot := func(at string, more map[string]any) string {
		body := map[string]any{
			"site_id": jaritest.SiteOfFew, "starts_at": "2021-07-28T" + at + ":00:00+09:00", "ends_at": "2021-07-28T" + at + ":30:00+09:00",
			"capacity": 5, "state": "open",
		}
		for name, value := range more {
			body[name] = value
		}
		var made httpapi.SlotStock
		q := jaritest.JSON(http.MethodPost, "/admin/v1/campaigns/"+s.Campaign+"/slots", body).With("Authorization", "Bearer "+key)
		s.Send(t, q).Want(t, http.StatusCreated).Into(t, &made)
		return made.SlotId
	}
	everybody, kept := slot("09", nil), slot("10", map[string]any{"cohort": "E3"})
	shared := slot("11", map[string]any{"cohort": "F1", "shared_at": "2021-07-19T19:58:20+09:00"})
	closed := slot("12", map[string]any{"state": "unreleased"})
	s.CatchUp(t)
	status := func(p *published, id string) string { return p.slots[id].Status }
	p := whole(t, s)
	if status(p, everybody) != "free" || status(p, kept) != "" || status(p, shared) != "" || status(p, closed) != "busy" {
		t.Errorf("%+v", p.slots)
	}
	s.Clock.Set(jaritest.Instant("2021-07-19T19:58:20+09:00")) // before Every is over: the instant itself counts
	if p = whole(t, s); status(p, kept) != "" || status(p, shared) != "free" || p.slots[shared].capacity() != 5 {
		t.Errorf("once it is shared: %+v", p.slots)
	}
}

func TestFilesOfTheFeedAreKeptByCaches(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithFeed())
	const half = "public, max-age=30, stale-while-revalidate=30, stale-if-error=300"
	kept := map[string]string{
		jaritest.Address + manifestPath: half, p0(t, s, "Slot"): half,
		p0(t, s, "Location"): "public, max-age=31536000, immutable", p0(t, s, "Schedule"): "public, max-age=31536000, immutable",
	}
	for address, cacheControl := range kept {
		plain := fetch(t, s, address, "Accept-Encoding", "identity").Want(t, http.StatusOK)
		tag := plain.Header.Get("ETag")
		if got := plain.Header.Get("Cache-Control"); got != cacheControl || tag == "" || strings.HasPrefix(tag, "W/") {
			t.Errorf("%s is kept %q by %s", address, got, tag)
		}
		fetch(t, s, address, "Accept-Encoding", "identity", "If-None-Match", tag).Want(t, http.StatusNotModified)
		if again := fetch(t, s, address+"?_since=2021-07-19T00:00:00Z", "Accept-Encoding", "identity").Want(t, http.StatusOK); !bytes.Equal(again.Body, plain.Body) {
			t.Errorf("%s with a query is another", address)
		}
		head := s.Send(t, jaritest.JSON(http.MethodHead, strings.TrimPrefix(address, jaritest.Address), nil).With("Accept-Encoding", "identity"))
		if head.Want(t, http.StatusOK); head.Header.Get("ETag") != tag || head.Header.Get("Content-Length") != strconv.Itoa(len(plain.Body)) ||
			head.Header.Get("Content-Type") != plain.Header.Get("Content-Type") {
			t.Errorf("HEAD %s: %v", address, head.Header)
		}
		if len(plain.Body) > 2000 {
			if packed := fetch(t, s, address, "Accept-Encoding", "gzip").Want(t, http.StatusOK); packed.Header.Get("Content-Encoding") != "gzip" {
				t.Errorf("%s isn't compressed", address)
			}
		}
	}
	// While nothing changes, a later edition is the same, and so is its tag.
	file := p0(t, s, "Slot")
	before := fetch(t, s, file).Header.Get("ETag")
	s.Clock.Advance(feed.Every)
	if after := fetch(t, s, file).Header.Get("ETag"); after != before {
		t.Errorf("the tag is %s and was %s", after, before)
	}
	// Some clients write the dollar with its code.
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/feeds/%24bulk-publish", nil)
	if err != nil {
		t.Fatal(err)
	}
	coded, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	if err := coded.Body.Close(); err != nil || coded.StatusCode != http.StatusOK {
		t.Errorf("%d, %v", coded.StatusCode, err)
	}
}

func TestAFileThatHasChangedLeadsToThePresentOne(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithFeed())
	before := p0(t, s, "Location")
	q := jaritest.JSON(http.MethodPut, "/admin/v1/campaigns/"+s.Campaign+"/sites/"+jaritest.SiteOfMany, map[string]any{
		"region": jaritest.Region, "name": "큰체육관", "address": "서울특별시 하나구 하나로 100", "telephone": "02-0000-0100", "wheelchair": true,
		"city": "하나구", "postal_code": "00100",
	}).With("Authorization", "Bearer "+s.AdminKey(t, "editor"))
	var site httpapi.Site
	s.Send(t, q).Want(t, http.StatusOK).Into(t, &site)
	if site.City == nil || *site.City != "하나구" || site.PostalCode == nil || site.State != nil {
		t.Errorf("the site is %+v", site)
	}
	s.CatchUp(t)
	moved := fetch(t, s, before).Want(t, http.StatusTemporaryRedirect)
	if moved.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", moved.Header)
	}
	body := fetch(t, s, jaritest.Address+moved.Header.Get("Location")).Want(t, http.StatusOK).Body
	if !bytes.Contains(body, []byte(s.Campaign+"."+jaritest.SiteOfMany)) {
		t.Errorf("the present list is %s", body)
	}
	s.Clock.Advance(feed.Every)
	if p := whole(t, s); len(p.locations) != 4 {
		t.Errorf("%d locations", len(p.locations))
	}
}

func TestTheFeedRefusesWhatDoesntExist(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithFeed())
	base := "/v1/feeds/" + s.Campaign + "/regions/" + jaritest.Region
	for path, want := range map[string]fault.Code{
		"/v1/feeds/nothing/regions/seoul/slots/2021-W30.ndjson":            fault.CodeCampaignNotFound,
		"/v1/feeds/" + s.Campaign + "/regions/busan/slots/2021-W30.ndjson": fault.CodeRegionNotFound,
		"/v1/feeds/" + s.Campaign + "/regions/busan/locations/x.ndjson":    fault.CodeRegionNotFound,
		base + "/slots/2021-W54.ndjson":                                    fault.CodeInvalidRequest,
		base + "/slots/2021-W53.ndjson":                                    fault.CodeInvalidRequest, // 2021 has 52
		base + "/slots/2021-W00.ndjson":                                    fault.CodeInvalidRequest,
		base + "/slots/2021-W30":                                           fault.CodeInvalidRequest,
		base + "/slots/2021-07.ndjson":                                     fault.CodeInvalidRequest,
		base + "/locations/x":                                              fault.CodeInvalidRequest,
	} {
		if got := s.Do(t, http.MethodGet, path, nil); got.Code != want {
			t.Errorf("%s: %d %s", path, got.Status, got.Code)
		}
	}
	// Weeks without slots are empty files.
	for _, week := range []string{"2020-W53", "1999-W01", "2021-W33"} {
		if got := s.Do(t, http.MethodGet, base[:len(base)-len(jaritest.Region)]+jaritest.EmptyRegion+"/slots/"+week+".ndjson", nil).Want(t, http.StatusOK); len(got.Body) > 0 {
			t.Errorf("%s: %s", week, got.Body)
		}
	}
	// Without an address to begin with there is no feed.
	without := jaritest.Start(t)
	for _, path := range []string{manifestPath, strings.Replace(base, s.Campaign, without.Campaign, 1) + "/slots/2021-W30.ndjson"} {
		without.Do(t, http.MethodGet, path, nil).Want(t, http.StatusNotFound, fault.CodeFeedNotOffered)
	}
}

// The example is what `make run` shows.
func TestTheExampleHasAFeed(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithExample(), jaritest.WithEnvironment("JARI_PUBLIC_URL", jaritest.Address))
	var m manifest
	if err := strictly(fetch(t, s, jaritest.Address+manifestPath).Want(t, http.StatusOK).Body, &m); err != nil {
		t.Fatal(err)
	}
	// One region: all of them are 64,000 slots.
	p := read(fetch(t, s, jaritest.Address+manifestPath, "Accept-Encoding", "identity").Body, func(url string) []byte {
		if !strings.Contains(url, "/regions/jeju/") {
			return nil
		}
		return fetch(t, s, url, "Accept-Encoding", "identity").Want(t, http.StatusOK).Body
	})
	if len(p.faults) > 0 || len(p.locations) == 0 || len(p.slots) == 0 {
		t.Errorf("%d locations, %d slots: %q", len(p.locations), len(p.slots), p.faults)
	}
	for _, x := range p.schedules {
		if c := x.ServiceType[0].Coding; len(c) != 2 || c[0].Code != "57" || c[1].Code != "covid19-immunization" {
			t.Errorf("what is given is %+v", x.ServiceType)
		}
	}
}
