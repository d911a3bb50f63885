package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"jari/cmd/surge/rig"
)

// promisedOfReads are the fields that others read out of the JSON.
var promisedOfReads = []string{
	"site_ratio_to_empty", "region_day_ratio_to_empty", "store_queries_per_read", "million_to_thousand_site",
	"million_to_thousand_region_day", "shown_age_ms_p50", "shown_age_ms_max", "writes_per_s", "rss_bytes_thousand",
	"rss_bytes_million", "bytes_per_slot", "cpu_shares", "revision", "duration_s", "parts",
}

func readsFields(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("not one JSON object: %v\n%s", err, raw)
	}
	for _, name := range promisedOfReads {
		if _, ok := got[name]; !ok {
			t.Errorf("the field %s is missing", name)
		}
	}
	return got
}

// readIn is a part of n reads in a second, each for a given time of the server.
func readIn(n int64, each time.Duration) *readsResult {
	return &readsResult{
		reads: n, elapsed: time.Second, body: 100, writes: written{Changes: 2000, Elapsed: time.Second},
		accounts: rig.Accounts{Elapsed: time.Second, Server: rig.CPU(n) * rig.CPU(each), Writer: rig.CPU(time.Second / 10)},
	}
}

func readsOf(parts map[string]*readsResult) *reads {
	fast := written{Changes: 20_000, Elapsed: 10 * time.Second}
	return &reads{
		benchReads: benchReads{Few: 1000, Many: 1_000_000, Writes: 2000, Duration: time.Second, Rounds: 1}, parts: parts, meter: &rig.Meter{},
		few: &world{resident: 40 << 20, written: fast}, many: &world{resident: 100 << 20, written: fast},
		queries: storeQueries{
			reads: 100_000, reading: rig.StoreCalls{Redis: 1030, Postgres: 60}, nobody: rig.StoreCalls{Redis: 1000, Postgres: 70},
		},
		booked: ages{3 * time.Millisecond, time.Millisecond, 2 * time.Millisecond}, held: ages{time.Second},
	}
}

func TestTheReportOfReadsIsOfTheRightParts(t *testing.T) {
	t.Parallel()
	r := readsOf(map[string]*readsResult{
		"site": readIn(8000, 20*time.Microsecond), "site_empty": readIn(10_000, 10*time.Microsecond),
		"region_day": readIn(9000, 0), "region_day_empty": readIn(12_000, 0),
		"site_of_million": readIn(900, 0), "site_of_thousand": readIn(1000, 0),
		"region_day_of_million": readIn(1000, 0), "region_day_of_thousand": readIn(800, 0),
	}).report(rig.Facts{CPUs: 2})
	for name, c := range map[string]struct{ got, want float64 }{
		"site_ratio_to_empty":            {r.SiteRatioToEmpty, .8},
		"region_day_ratio_to_empty":      {r.RegionDayRatioToEmpty, .75},
		"million_to_thousand_site":       {r.MillionToThousandSite, .9},
		"million_to_thousand_region_day": {r.MillionToThousandRegionDay, 1.25},
		"by CPU":                         {r.ByCPU["site_to_empty"], (10 + 10) / (20 + 12.5)},
		"store_queries_per_read":         {r.StoreQueriesPerRead, .0002},
		"shown_age_ms_p50":               {r.ShownAgeP50, 2},
		"shown_age_ms_max":               {r.ShownAgeMax, 3},
		"shown_hold_age_ms_max":          {r.ShownHoldAgeMax, 1000},
		"writes_per_s":                   {r.WritesPerSecond, 2000},
		"bytes_per_slot":                 {*r.BytesPerSlot, 60 << 20 / 999_000.},
		"share of the writer":            {r.CPUShares["site"]["writer"], .05},
	} {
		if math.Abs(c.got-c.want) > 1e-3*c.want {
			t.Errorf("%s is %v, want %v", name, c.got, c.want)
		}
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	readsFields(t, raw)
	var page bytes.Buffer
	if err := r.print(&page); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"With 1000000 slots", "0.80 times", "0.000 store queries", "after 2 ms (p50) and 3 ms (max)"} {
		if !strings.Contains(page.String(), words) {
			t.Errorf("%q isn't in\n%s", words, page.String())
		}
	}
}

func TestARunThatBreaksAPromiseFails(t *testing.T) {
	t.Parallel()
	if err := readsOf(nil).report(rig.Facts{}).judge(); err != nil {
		t.Errorf("a good run fails: %v", err)
	}
	for name, harm := range map[string]func(*reads){
		"too few writes":  func(b *reads) { b.few.written.Changes, b.many.written.Changes = 17_900, 17_900 },
		"stores asked":    func(b *reads) { b.queries.reading.Redis += 200 },
		"old documents":   func(b *reads) { b.booked = append(b.booked, shownWithin+time.Millisecond) },
		"old to see held": func(b *reads) { b.held = append(b.held, shownWithin+time.Millisecond) },
	} {
		b := readsOf(nil)
		harm(b)
		err := b.report(rig.Facts{}).judge()
		if _, broken := errors.AsType[brokenPromiseError](err); !broken {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFewerCallsThanWithoutReadersAreNone(t *testing.T) {
	t.Parallel()
	q := storeQueries{reads: 10, reading: rig.StoreCalls{Redis: 1}, nobody: rig.StoreCalls{Redis: 5}}
	if got := q.perRead(); got != 0 {
		t.Errorf("%v a read", got)
	}
}

func TestTheWriterIsFairlyTimed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		commits       int
		elapsed, want time.Duration
	}{
		{0, 20 * time.Millisecond, 0},
		{4, 230 * time.Millisecond, 200 * time.Millisecond}, // the next wasn't due yet
		{4, 430 * time.Millisecond, 430 * time.Millisecond}, // four were missing
	} {
		if got := fairLength(c.commits, c.elapsed); got != c.want {
			t.Errorf("%d commits in %s are timed as %s, want %s", c.commits, c.elapsed, got, c.want)
		}
	}
}

func TestDocumentsAreTold(t *testing.T) {
	t.Parallel()
	campaign := rig.Campaign{ID: "crowd", Crowd: 5000, Days: rig.CrowdDays(time.Now())}
	l := newLibrary(campaign)
	if len(l.sites) != len(l.read) || len(l.firstSites) != 20 || len(l.firstDays) != len(campaign.Days) || len(l.days) != 3*len(campaign.Days) {
		t.Fatalf("there are %d, %d, %d and %d documents", len(l.sites), len(l.firstSites), len(l.days), len(l.firstDays))
	}
	var slots []string
	for n := range rig.CrowdPerSite {
		slots = append(slots, fmt.Sprintf(`{"slot_id":"%d","starts_at":"x","ends_at":"y","remaining":50}`, 100+n))
	}
	d := l.sites[0]
	body := []byte(`{"campaign_id":"crowd","site_id":"s00000","slots":[` + strings.Join(slots, ",") + `]}`)
	d.plain = body
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(body)
	_ = w.Close()
	if err := d.whole(body); err != nil || !d.is(body) || !d.is(packed.Bytes()) {
		t.Errorf("the document isn't taken for what it is: %v", err)
	}
	if got, err := remainingOf(body, 107); err != nil || got != 50 {
		t.Errorf("%d remain, %v", got, err)
	}
	for name, other := range map[string][]byte{
		"nothing":          nil,
		"a problem":        []byte(`{"code":"store_unavailable"}`),
		"half":             body[:len(body)/2],
		"of another site":  bytes.Replace(body, []byte("s00000"), []byte("s00001"), 1),
		"half, compressed": packed.Bytes()[:packed.Len()/2],
	} {
		if d.is(other) {
			t.Errorf("%s is taken for the document", name)
		}
	}
	for name, other := range map[string][]byte{
		"too few":         bytes.Replace(body, []byte(slots[0]+","), nil, 1),
		"overfull":        bytes.Replace(body, []byte(`"remaining":50`), []byte(`"remaining":51`), 1),
		"without a count": bytes.Replace(body, []byte(`"remaining":50`), []byte(`"remains":50`), 1),
	} {
		if d.whole(other) == nil {
			t.Errorf("%s passes as the whole document", name)
		}
	}
}

func TestFlagsOfReadsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{
		{"--duration", "1ms"}, {"--rounds=-1"}, {"--set", "JARI_X"}, {"--few", "10"}, {"--many", "1010"}, {"--few", "2000", "--many", "1000"},
	} {
		err := run(surroundings{ctx: t.Context(), out: t.Output(), err: t.Output()}, append([]string{"bench", "reads"}, flags...))
		if err == nil {
			t.Errorf("%q was taken", flags)
		}
	}
}

// The whole benchmark, as short as it can be: each part starts, every answer is the document that was asked for, and changes
// are shown. How soon and how much isn't judged here: the machine has other tests to run.
func TestReadsAreMeasured(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := run(surroundings{ctx: t.Context(), out: &out, err: t.Output()}, []string{
		"bench", "reads", "--json", "--duration", "100ms", "--rounds", "1", "--connections", "8", "--few", "1000", "--many", "4000",
		"--writes", "400", "--data", dataFolder(t),
		// A busy machine that takes its time isn't a store that is away.
		"--set", "JARI_REDIS_TIMEOUT=5s", "--set", "JARI_RULES_CONFIRMED=30s", "--set", "JARI_CLOCK_SKEW=10s",
	})
	if _, broken := errors.AsType[brokenPromiseError](err); broken {
		t.Log(err)
	} else if err != nil {
		t.Fatal(err)
	}
	got := readsFields(t, out.Bytes())
	for _, name := range []string{"site_ratio_to_empty", "region_day_ratio_to_empty", "million_to_thousand_site", "shown_age_ms_max", "writes_per_s"} {
		if n, ok := got[name].(float64); !ok || n <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	parts, _ := got["parts"].(map[string]any)
	if len(parts) != len(readsParts) {
		t.Errorf("there are %d parts, want %d", len(parts), len(readsParts))
	}
}
