package campaign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"jari/internal/civil"
	"jari/internal/eligibility"
)

// small is a campaign with one wave, as a file.
const small = `campaign: small
title: {ko: 작은 예약, en: A small one}
zone: Asia/Seoul
regions:
  - {region: seoul, name: {ko: 서울, en: Seoul}}
waves:
  - wave: W1
    title: {ko: 하나, en: One}
    who_in_words: {ko: 누구나, en: Anybody}
    who: {birth_date: {from: "1900-01-01", to: "2021-07-19"}}
    opens_at: "2021-07-19T20:00:00+09:00"
    closes_at: "2021-07-20 18:00"
    slots: {from: "2021-08-16", to: "2021-08-28"}
`

func parsed(t testing.TB) Document {
	t.Helper()
	d, err := Parse(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestACampaignFileIsReadWithItsDefaults(t *testing.T) {
	t.Parallel()
	d := parsed(t)
	if d.ID != "small" || d.Title.Ko != "작은 예약" || d.HoldSeconds != 300 || d.BookUntilSeconds != 3600 || d.ChangeUntilSeconds != 86400 {
		t.Errorf("read as %+v", d)
	}
	if want := (DayRange{From: civil.Date{Year: 2021, Month: 8, Day: 16}, To: civil.Date{Year: 2021, Month: 8, Day: 28}}); d.Waves[0].Slots != want {
		t.Errorf("the days are %+v", d.Waves[0].Slots)
	}
	c, err := Compile(d, 3)
	if err != nil {
		t.Fatal(err)
	}
	// Local times are those of the campaign's zone.
	if !c.Openings[0].ClosesAt.Equal(instant(t, "2021-07-20T18:00:00+09:00")) {
		t.Errorf("it closes at %s", c.Openings[0].ClosesAt)
	}
	if c.Hold() != 5*time.Minute || c.Room() != "small" || !c.HasRegion("seoul") || c.HasRegion("busan") || c.Version != 3 || c.Rules.Version() != 3 {
		t.Errorf("compiled as %+v", c)
	}
	start := instant(t, "2021-08-16T09:00:00+09:00")
	if !c.BookUntil(start).Equal(start.Add(-time.Hour)) || !c.ChangeUntil(start).Equal(start.AddDate(0, 0, -1)) {
		t.Errorf("booked until %s, changed until %s", c.BookUntil(start), c.ChangeUntil(start))
	}
}

func TestAFaultyFileIsToldByItsLine(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ from, to, line, says string }{
		"an unknown field":            {"zone: Asia/Seoul", "zone: Asia/Seoul\ncolour: red", "4", "colour"},
		"an unknown field of a wave":  {`opens_at: "2021`, "opens: now\n    opens_at: \"2021", "11", "opens"},
		"an unknown rule":             {`who: {birth_date: {`, `who: {shoe_size: {`, "10", "shoe_size"},
		"a date that doesn't exist":   {`"2021-08-28"`, `"2021-02-29"`, "13", "2021-02-29"},
		"a number that is a word":     {"zone: Asia/Seoul", "zone: Asia/Seoul\nhold_seconds: soon", "4", ""},
		"a field that is there twice": {"zone: Asia/Seoul", "zone: Asia/Seoul\nzone: Asia/Tokyo", "4", "zone"},
		"a list that is a word":       {"regions:\n  - {region: seoul, name: {ko: 서울, en: Seoul}}", "regions: all", "4", ""},
		"a bracket that isn't closed": {"{ko: 하나, en: One}", "{ko: 하나, en: One", "9", ""},
		"the second of two cases": {
			"waves:", "cases:\n  - {birth_date: \"2000-01-01\", at: \"2021-07-19T20:00:00Z\", expect: \"yes\"}\n" +
				"  - {birth_date: \"2000-01-32\", at: \"2021-07-19T20:00:00Z\", expect: \"yes\"}\nwaves:", "8", "2000-01-32",
		},
		"a tab": {"  - wave: W1", "\t- wave: W1", "7", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(small, tc.from) {
				t.Fatal("the test changes nothing")
			}
			_, err := Parse(strings.NewReader(strings.Replace(small, tc.from, tc.to, 1)))
			if err == nil {
				t.Fatal("it was taken")
			}
			if !strings.Contains(err.Error(), "line "+tc.line+", column ") || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("line %s and %q aren't named: %v", tc.line, tc.says, err)
			}
		})
	}
}

func TestAFileThatCantBeReadIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := Parse(iotest.ErrReader(errors.New("the disk is gone"))); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("%v", err)
	}
	endless := io.MultiReader(strings.NewReader(small), strings.NewReader("#"), endlessReader{})
	if _, err := Parse(endless); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("%v", err)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestEveryFaultOfADocumentIsTold(t *testing.T) {
	t.Parallel()
	d := parsed(t)
	d.ID, d.Zone, d.Title.En = "Big Campaign", "Local", ""
	d.HoldSeconds, d.BookUntilSeconds, d.ChangeUntilSeconds = 29, -1, 90*24*3600+1
	d.Regions = append(d.Regions, d.Regions[0], Region{Region: "큰 곳"})
	d.Waves[0].ID, d.Waves[0].OpensAt, d.Waves[0].ClosesAt, d.Waves[0].WhoWords = "W 1", "tomorrow", "", Words{}
	_, err := Compile(d, 1)
	if err == nil {
		t.Fatal("it can be published")
	}
	for _, fault := range []string{
		`campaign: "Big Campaign"`, "zone: ", "title: ", "hold_seconds: is 29", "book_until_seconds: is -1", "change_until_seconds: ",
		"regions[1].region: ", "regions[2].region: ", "regions[2].name: ", "waves[0].wave: ", "waves[0].who_in_words: ", "waves[0].opens_at: ", "waves[0].closes_at: ",
	} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("nothing is said of %q in:\n%v", fault, err)
		}
	}
}

func TestTheRulesFaultsAreTold(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Document){
		"two waves of one name":     func(d *Document) { d.Waves = append(d.Waves, d.Waves[0]) },
		"a wave that closes before": func(d *Document) { d.Waves[0].ClosesAt = d.Waves[0].OpensAt },
		"days in the wrong order": func(d *Document) {
			d.Waves[0].Slots.From, d.Waves[0].Slots.To = d.Waves[0].Slots.To, d.Waves[0].Slots.From
		},
		"a rule without a rule":    func(d *Document) { d.Waves[0].Who = eligibility.Rule{} },
		"no wave":                  func(d *Document) { d.Waves = nil },
		"no region":                func(d *Document) { d.Regions = nil },
		"too many waves":           func(d *Document) { d.Waves = slices.Repeat(d.Waves, 501) },
		"no zone":                  func(d *Document) { d.Zone = "" },
		"a zone that nobody knows": func(d *Document) { d.Zone = "Asia/Atlantis" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := parsed(t)
			spoil(&d)
			if _, err := Compile(d, 1); err == nil {
				t.Fatal("it can be published")
			}
		})
	}
}

func TestACampaignsStateFollowsFromItsWaves(t *testing.T) {
	t.Parallel()
	first, second := Opening{instant(t, "2021-07-19T20:00:00+09:00"), instant(t, "2021-07-20T18:00:00+09:00")},
		Opening{instant(t, "2021-07-20T20:00:00+09:00"), instant(t, "2021-07-21T18:00:00+09:00")}
	c := &Campaign{Openings: []Opening{second, first}} // in any order
	for _, tc := range []struct {
		at   time.Time
		want State
	}{
		{first.OpensAt.AddDate(-1, 0, 0), Scheduled},
		{first.OpensAt.Add(-1), Scheduled},
		{first.OpensAt, Open},
		{first.ClosesAt.Add(-1), Open},
		{first.ClosesAt, Between},
		{second.OpensAt.Add(-1), Between},
		{second.OpensAt, Open},
		{second.ClosesAt.Add(-1), Open},
		{second.ClosesAt, Closed},
		{second.ClosesAt.AddDate(1, 0, 0), Closed},
	} {
		if got := c.StateAt(tc.at); got != tc.want {
			t.Errorf("at %s it is %s, not %s", tc.at, got, tc.want)
		}
	}
	overlapping := &Campaign{Openings: []Opening{first, {first.OpensAt.Add(time.Hour), second.ClosesAt}}}
	if got := overlapping.StateAt(first.ClosesAt); got != Open {
		t.Errorf("while one of two is open it is %s", got)
	}
}

const heading = "site_id,region,name,name_en,address,telephone,latitude,longitude,wheelchair,slot_template\n"

func TestSitesAreReadAsText(t *testing.T) {
	t.Parallel()
	// list_import_keeps_leading_zeros: a telephone number is a text.
	sites, err := ParseSites(strings.NewReader("\ufeff" + heading + "# a remark\n" +
		"seoul-001,seoul, 종로의원 ,Jongno Clinic,\"서울, 종로구\",02-000-0001,37.5,126.9,yes,clinic\n" +
		"0042,busan,부산의원,,부산,0510000001,,,no,\n"))
	if err != nil {
		t.Fatal(err)
	}
	lat, lon := 37.5, 126.9
	want := []Site{
		{
			ID: "seoul-001", Region: "seoul", Name: "종로의원", NameEn: "Jongno Clinic", Address: "서울, 종로구", Telephone: "02-000-0001",
			Latitude: &lat, Longitude: &lon, Wheelchair: true, SlotTemplate: "clinic",
		},
		{ID: "0042", Region: "busan", Name: "부산의원", Address: "부산", Telephone: "0510000001"},
	}
	if diff := cmp.Diff(want, sites); diff != "" {
		t.Error(diff)
	}
}

func TestSitesMayHaveTheirAddressInParts(t *testing.T) {
	t.Parallel()
	parts := strings.TrimSuffix(heading, "\n") + ",state,city,postal_code\n"
	sites, err := ParseSites(strings.NewReader(parts + "a,seoul,이름,,주소,02,,,no,,서울특별시, 종로구 ,03000\nb,seoul,이름,,주소,02,,,no,,,,\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Site{
		{ID: "a", Region: "seoul", Name: "이름", Address: "주소", Telephone: "02", State: "서울특별시", City: "종로구", PostalCode: "03000"},
		{ID: "b", Region: "seoul", Name: "이름", Address: "주소", Telephone: "02"},
	}
	if diff := cmp.Diff(want, sites); diff != "" {
		t.Error(diff)
	}
	long := "a,seoul,이름,,주소,02,,,no,,," + strings.Repeat("가", 101) + ",03000\n"
	if _, err := ParseSites(strings.NewReader(parts + long)); err == nil || !strings.Contains(err.Error(), "line 2: city is longer than 100 letters") {
		t.Error(err)
	}
	if _, err := ParseSites(strings.NewReader(parts + "a,seoul,n,,a,,,,no,\n")); err == nil || !strings.Contains(err.Error(), "has 10 columns and must have 13") {
		t.Error(err)
	}
	if _, err := ParseSites(strings.NewReader(strings.TrimSuffix(heading, "\n") + ",city\n")); err == nil || !strings.Contains(err.Error(), "state,city,postal_code") {
		t.Error(err)
	}
}

func TestAFileOfNoSitesIsEmpty(t *testing.T) {
	t.Parallel()
	if sites, err := ParseSites(strings.NewReader(heading)); err != nil || len(sites) != 0 {
		t.Errorf("%v, %v", sites, err)
	}
}

func TestBadRowsAreNamed(t *testing.T) {
	t.Parallel()
	good := "a-%d,seoul,이름,Name,주소,02,37.5,126.9,yes,clinic\n"
	rows := []struct{ row, says string }{
		{"Seoul-1,seoul,n,,a,,,,no,", `site_id "Seoul-1"`},
		{"a_b,seoul,n,,a,,,,no,", `site_id "a_b"`}, // the table wouldn't take it
		{"-a,seoul,n,,a,,,,no,", `site_id "-a"`},
		{",seoul,n,,a,,,,no,", `site_id ""`},
		{strings.Repeat("a", 64) + ",seoul,n,,a,,,,no,", "site_id"},
		{"b1,seoul, ,,a,,,,no,", "name and address"},
		{"b2,seoul,n,,,,,,no,", "name and address"},
		{"b3,seoul,n,,a,,,,maybe,", `wheelchair is "maybe"`},
		{"b4,seoul,n,,a,,37.5,,no,", "latitude and longitude"},
		{"b5,seoul,n,,a,,90.1,0,no,", "latitude and longitude"},
		{"b6,seoul,n,,a,,0,-180.1,no,", "latitude and longitude"},
		{"b7,seoul,n,,a,,NaN,NaN,no,", "latitude and longitude"},
		{"b8,seoul,n,,a,,Inf,0,no,", "latitude and longitude"},
		{"b9,seoul,n,,a,,here,there,no,", "latitude and longitude"},
		{"b10,seoul,n", "has 3 columns and must have 10"},
		{"b11,seoul,n,,a,,,,no,,,,", "has 13 columns and must have 10"},
		{"b12,seoul,\xbc\xad\xbf\xef,,a,,,,no,", "isn't UTF-8"},
		{"a-0,seoul,n,,a,,,,no,", "was on line 2 already"},
	}
	var b strings.Builder
	b.WriteString(heading)
	for i, r := range rows {
		fmt.Fprintf(&b, good, i)
		b.WriteString(r.row + "\n")
	}
	_, err := ParseSites(strings.NewReader(b.String()))
	if err == nil {
		t.Fatal("it was taken")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(rows) {
		t.Errorf("%d faults for %d bad rows:\n%v", len(lines), len(rows), err)
	}
	for i, r := range rows {
		// The heading is line 1, and a good row stands before each bad one.
		want := fmt.Sprintf("line %d: ", 3+2*i)
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, want) && strings.Contains(line, r.says) }) {
			t.Errorf("%q isn't named as %s%s", r.row, want, r.says)
		}
	}
}

func TestABrokenSitesFileIsAnErrorAndNothingMore(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, says string }{
		"an empty file":                {"", "no heading"},
		"another heading":              {"id,name\n", "must be site_id,region"},
		"columns in another order":     {strings.Replace(heading, "site_id,region", "region,site_id", 1), "must be site_id,region"},
		"a quote in the first column":  {heading + "a\"b,seoul,n,,a,,,,no,\n", "line 2"},
		"a quote in another column":    {heading + "a,seoul,n\"m,,a,,,,no,\n", "line 2"},
		"a quote that isn't closed":    {heading + "a,seoul,\"n,,a,,,,no,\n", "line 2"},
		"a bad row before the quote":   {heading + "A,seoul,n,,a,,,,no,\na\"b,,,,,,,,,\n", `line 2: site_id "A"`},
		"a file that can't be read on": {heading + "a,seoul,n,,a,,,,no,\n\x00", "line 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ParseSites(strings.NewReader(tc.file)); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("%q isn't said: %v", tc.says, err)
			}
		})
	}
	if _, err := ParseSites(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(heading)))); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a read that fails: %v", err)
	}
}

func TestTooManySitesAreRefused(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	b.WriteString(heading)
	for i := range maxSites + 1 {
		fmt.Fprintf(&b, "s%d,seoul,n,,a,,,,no,\n", i)
	}
	if _, err := ParseSites(&b); err == nil || !strings.Contains(err.Error(), "more than 100000 sites") {
		t.Fatalf("%v", err)
	}
}

func FuzzParseSitesNeverPanics(f *testing.F) {
	f.Add(heading + "a,seoul,n,,a,,37.5,126.9,yes,clinic\n")
	f.Add(heading + "a\"b\n")
	f.Add("\ufeff#\n\n\"")
	f.Fuzz(func(t *testing.T, file string) {
		sites, err := ParseSites(strings.NewReader(file))
		if err != nil {
			return
		}
		for _, s := range sites {
			if !siteID.MatchString(s.ID) || s.Name == "" {
				t.Fatalf("%+v was taken", s)
			}
		}
	})
}
