package korea2021_test

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // So that the zone is there on a machine without it.

	"jari/examples/korea-2021"
	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/eligibility"
	"jari/internal/slot"
)

// The example's size, as its README says it.
const (
	wantSites  = 340
	wantSlots  = 63_898
	wantPlaces = 367_898
)

// example is the whole campaign, read.
type example struct {
	campaign  *campaign.Campaign
	sites     []campaign.Site
	templates map[string]slot.Template
}

func setup(t *testing.T) example {
	t.Helper()
	document, err := campaign.Parse(bytes.NewReader(read(t, "campaign.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := campaign.Compile(document, 1)
	if err != nil {
		t.Fatal(err)
	}
	sites, err := campaign.ParseSites(bytes.NewReader(read(t, document.Sites)))
	if err != nil {
		t.Fatal(err)
	}
	templates, err := slot.ParseTemplates(bytes.NewReader(read(t, document.Slots)))
	if err != nil {
		t.Fatal(err)
	}
	return example{campaign: compiled, sites: sites, templates: templates.Templates}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := fs.ReadFile(korea2021.Files, name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// plan is every slot of every site.
func (e example) plan(t *testing.T) []slot.Planned {
	t.Helper()
	var all []slot.Planned
	for _, s := range e.sites {
		template, ok := e.templates[s.SlotTemplate]
		if !ok {
			t.Fatalf("%s follows the template %q, which the slots file doesn't have", s.ID, s.SlotTemplate)
		}
		planned, err := template.Plan(s.ID, e.campaign.Location)
		if err != nil {
			t.Fatalf("template %s: %v", s.SlotTemplate, err)
		}
		all = append(all, planned...)
	}
	return all
}

func TestItsOwnCasesHold(t *testing.T) {
	t.Parallel()
	e := setup(t)
	report := eligibility.RunCases(e.campaign.Rules, e.campaign.Cases)
	for _, failure := range report.Failures {
		t.Errorf("case %d (%s): %s", failure.Index, failure.Name, failure.Message)
	}
	if len(report.WavesWithoutCase) > 0 {
		t.Errorf("waves without a case: %v", report.WavesWithoutCase)
	}
	if report.Passed != len(e.campaign.Cases) || report.Passed < 40 {
		t.Errorf("%d of %d cases passed", report.Passed, len(e.campaign.Cases))
	}
}

// The announced windows, written down a second time.
func TestWavesAreAsAnnounced(t *testing.T) {
	t.Parallel()
	e := setup(t)
	announced := []struct{ wave, bornFrom, bornTo, opens, closes, slotsFrom, slotsTo string }{
		{"E3", "1962-01-01", "1966-12-31", "2021-07-14T20:00:00+09:00", "2021-07-24T18:00:00+09:00", "2021-07-26", "2021-08-14"},
		{"F1", "1967-01-01", "1968-12-31", "2021-07-19T20:00:00+09:00", "2021-07-20T18:00:00+09:00", "2021-08-16", "2021-08-28"},
		{"F2", "1969-01-01", "1971-12-31", "2021-07-20T20:00:00+09:00", "2021-07-21T18:00:00+09:00", "2021-08-16", "2021-08-28"},
		{"F3", "1967-01-01", "1971-12-31", "2021-07-21T20:00:00+09:00", "2021-07-24T18:00:00+09:00", "2021-08-16", "2021-08-28"},
	}
	if len(e.campaign.Waves) != len(announced) {
		t.Fatalf("%d waves, announced were %d", len(e.campaign.Waves), len(announced))
	}
	for i, want := range announced {
		w, opening := e.campaign.Waves[i], e.campaign.Openings[i]
		if w.Who.BirthDate == nil {
			t.Fatalf("%s admits by something else than birth dates", w.ID)
		}
		got := want
		got.wave, got.bornFrom, got.bornTo = w.ID, w.Who.BirthDate.From.String(), w.Who.BirthDate.To.String()
		got.opens, got.closes = opening.OpensAt.Format(time.RFC3339), opening.ClosesAt.Format(time.RFC3339)
		got.slotsFrom, got.slotsTo = w.Slots.From.String(), w.Slots.To.String()
		if got != want {
			t.Errorf("wave %d is\n%+v, announced was\n%+v", i, got, want)
		}
	}
}

func TestSizeIsAsTheReadmeSays(t *testing.T) {
	t.Parallel()
	e := setup(t)
	planned := e.plan(t)
	places := 0
	for _, p := range planned {
		places += p.Capacity
		if p.EndsAt.Sub(p.StartsAt) != time.Hour || p.Capacity < 1 {
			t.Fatalf("%+v isn't an hour with places", p)
		}
	}
	if len(e.sites) != wantSites || len(planned) != wantSlots || places != wantPlaces {
		t.Errorf("%d sites, %d slots, %d places; the README says %d, %d, %d",
			len(e.sites), len(planned), places, wantSites, wantSlots, wantPlaces)
	}
	if err := slot.CheckPlanned(len(planned)); err != nil {
		t.Error(err)
	}
}

// A wave whose days had no slots in somebody's province would admit people to nothing.
func TestEveryWaveHasSlotsInEveryRegionOnEveryWorkingDay(t *testing.T) {
	t.Parallel()
	e := setup(t)
	regionOf := map[string]string{}
	for _, s := range e.sites {
		regionOf[s.ID] = s.Region
	}
	type regionDay struct {
		region string
		day    civil.Date
	}
	places := map[regionDay]int{}
	for _, p := range e.plan(t) {
		places[regionDay{regionOf[p.Site], civil.Of(p.StartsAt, e.campaign.Location)}] += p.Capacity
	}
	holiday := map[string]bool{"2021-08-15": true, "2021-08-16": true}
	for _, w := range e.campaign.Waves {
		for day := w.Slots.From; !day.After(w.Slots.To); day = civil.AddDays(day, 1) {
			rests := holiday[day.String()] || civil.Midnight(day, e.campaign.Location).Weekday() == time.Sunday
			for _, r := range e.campaign.Regions {
				if n := places[regionDay{r.Region, day}]; (n == 0) != rests {
					t.Errorf("%s: %d places in %s on %s", w.ID, n, r.Region, day)
				}
			}
		}
	}
}

func TestSitesAreUniqueAndMarkedAsMadeUp(t *testing.T) {
	t.Parallel()
	e := setup(t)
	seen := map[string]string{}
	once := func(id, what, value string) {
		if other, twice := seen[what+value]; twice {
			t.Errorf("%s has the %s of %s: %q", id, what, other, value)
		}
		seen[what+value] = id
	}
	for _, s := range e.sites {
		once(s.ID, "id", s.ID)
		once(s.ID, "name", s.Region+s.Name)
		once(s.ID, "English name", s.Region+s.NameEn)
		once(s.ID, "address", s.Address)
		once(s.ID, "telephone", s.Telephone)
		if !strings.HasPrefix(s.Name, "[가상] ") || !strings.HasSuffix(s.NameEn, " (fictional)") ||
			!strings.HasSuffix(s.Address, " (지어낸 주소)") || !strings.Contains(s.Telephone, "-000-") {
			t.Errorf("%s could be taken for a real place: %+v", s.ID, s)
		}
	}
	if first, _, _ := strings.Cut(string(read(t, "sites.csv")), "\n"); !strings.HasPrefix(first, "#") || !strings.Contains(first, "MADE UP") {
		t.Errorf("the sites file begins with %q and doesn't say that it is made up", first)
	}
}

func TestAllSeventeenRegionsHaveSitesWithinThem(t *testing.T) {
	t.Parallel()
	e := setup(t)
	// Rough boxes around the provinces' mainland: south, north, west, east in degrees.
	boxes := map[string][4]float64{
		"seoul": {37.42, 37.71, 126.76, 127.19}, "busan": {34.98, 35.40, 128.75, 129.32},
		"daegu": {35.60, 36.02, 128.34, 128.77}, "incheon": {37.33, 37.83, 126.36, 126.80},
		"gwangju": {35.05, 35.26, 126.64, 127.02}, "daejeon": {36.18, 36.50, 127.24, 127.56},
		"ulsan": {35.32, 35.73, 128.96, 129.47}, "sejong": {36.40, 36.74, 127.12, 127.42},
		"gyeonggi": {36.89, 38.29, 126.37, 127.85}, "gangwon": {37.02, 38.62, 127.08, 129.37},
		"chungbuk": {36.00, 37.26, 127.26, 128.66}, "chungnam": {35.97, 37.07, 125.90, 127.64},
		"jeonbuk": {35.28, 36.16, 126.40, 127.93}, "jeonnam": {34.10, 35.50, 126.00, 127.90},
		"gyeongbuk": {35.56, 37.25, 127.79, 129.61}, "gyeongnam": {34.60, 35.92, 127.56, 129.22},
		"jeju": {33.18, 33.58, 126.13, 126.98},
	}
	if len(e.campaign.Regions) != 17 {
		t.Errorf("%d regions, the country has 17", len(e.campaign.Regions))
	}
	count := map[string]int{}
	for _, s := range e.sites {
		count[s.Region]++
		if !e.campaign.HasRegion(s.Region) {
			t.Errorf("%s is in %q, which the campaign doesn't list", s.ID, s.Region)
		}
		box := boxes[s.Region]
		if s.Latitude == nil || *s.Latitude < box[0] || *s.Latitude > box[1] || *s.Longitude < box[2] || *s.Longitude > box[3] {
			t.Errorf("%s (%s) isn't within %s", s.ID, s.Address, s.Region)
		}
	}
	for _, r := range e.campaign.Regions {
		if count[r.Region] < 3 {
			t.Errorf("%s has %d sites", r.Region, count[r.Region])
		}
	}
}
