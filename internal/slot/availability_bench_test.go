package slot_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"jari/internal/slot"
)

// crowded is an instance that knows n slots more: a hundred at each of n/100 sites, ten a day. Ten of the sites are in
// seoul, so that its documents are as large however many slots there are.
func crowded(b *testing.B, n int) *house {
	b.Helper()
	h := setup(b, 1)
	for _, statement := range []string{
		`INSERT INTO sites (campaign_id, site_id, region, name, name_en, address, telephone, wheelchair)
		SELECT 'night', 'site-' || n, CASE WHEN n <= 10 THEN 'seoul' ELSE 'elsewhere' END, 'n', '', 'a', '', true
		FROM generate_series(1, $1 / 100) n`,
		`INSERT INTO slots (campaign_id, site_id, starts_at, ends_at, capacity)
		SELECT 'night', 'site-' || (1 + n % ($1 / 100)), at, at + interval '10 minutes', 50
		FROM (SELECT n, timestamptz '2021-07-26T00:00:00Z'
			+ ((n / ($1 / 100)) / 10) * interval '1 day' + ((n / ($1 / 100)) % 10) * interval '10 minutes' AS at
			FROM generate_series(0, $1 - 1) n) s`,
		`UPDATE campaigns SET slots_revision = slots_revision + $1`,
	} {
		if _, err := h.pool.Exec(b.Context(), statement, n); err != nil {
			b.Fatal(err)
		}
	}
	began := time.Now()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	h.refresh(b)
	loaded := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.Logf("%d slots are read in %s and take %d bytes each", n, loaded.Round(time.Millisecond), (after.HeapAlloc-before.HeapAlloc)/uint64(n))
	return &h
}

// What reading costs doesn't depend on how many slots there are, and making a document depends on what is in it.
func BenchmarkDocuments(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		h := crowded(b, n)
		site, onDay := slot.SiteName("night", "site-1"), slot.RegionDayName("night", "seoul", "2021-07-26")
		if _, err := h.SiteSlots(h.campaign, "site-1"); err != nil {
			b.Fatal(err)
		}
		if _, err := h.RegionDay(h.campaign, "seoul", day); err != nil {
			b.Fatal(err)
		}
		for what, name := range map[string]slot.Name{"site": site, "day": onDay} {
			b.Run(fmt.Sprintf("read/%s/%d", what, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if h.Known(name) == nil {
						b.Fatal("it isn't kept")
					}
				}
			})
			b.Run(fmt.Sprintf("make/%s/%d", what, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					h.MakeAgain(name)
				}
				b.SetBytes(int64(len(h.Known(name).Plain.Body)))
			})
			b.Run(fmt.Sprintf("compress/%s/%d", what, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					h.MakeAgain(name).Gzip()
				}
			})
		}
	}
}
