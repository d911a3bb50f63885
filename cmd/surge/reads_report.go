package main

import (
	"errors"
	"fmt"
	"io"

	"jari/cmd/surge/rig"
)

// readsReport is the outcome of `bench reads`: as JSON its fields stay as they are named here.
type readsReport struct {
	// Ratios are of documents per second while slots change, of many slots, to those of a server that does nothing.
	SiteRatioToEmpty          float64 `json:"site_ratio_to_empty"`
	RegionDayRatioToEmpty     float64 `json:"region_day_ratio_to_empty"`
	SiteGzipRatioToEmpty      float64 `json:"site_gzip_ratio_to_empty"`
	RegionDayGzipRatioToEmpty float64 `json:"region_day_gzip_ratio_to_empty"`
	// The same while nothing changes.
	SiteQuietRatioToEmpty      float64 `json:"site_quiet_ratio_to_empty"`
	RegionDayQuietRatioToEmpty float64 `json:"region_day_quiet_ratio_to_empty"`
	// MillionToThousand are of the same documents: of a server with many slots to one with few.
	MillionToThousandSite      float64 `json:"million_to_thousand_site"`
	MillionToThousandRegionDay float64 `json:"million_to_thousand_region_day"`
	// ByCPU are the same ratios of what a read takes of the processors, everybody in this run together. Where others take much
	// of the machine, and now more and now less, they say more than how many reads there were in a second. Null where the
	// system keeps no accounts.
	ByCPU map[string]float64 `json:"ratios_by_cpu"`
	// StoreQueriesPerRead are commands of Redis and transactions of Postgres, without those of the server by itself. Up to a
	// thousandth is none: a tick of the server's own may fall into the one window and not into the other, which is some
	// calls among tens of thousands of reads.
	StoreQueriesPerRead float64           `json:"store_queries_per_read"`
	StoreQueries        storeWindowReport `json:"store_queries"`
	// Ages are from the commit of a change (from the placing of a hold) until its document shows it.
	ShownAgeP50     float64 `json:"shown_age_ms_p50"`
	ShownAgeMax     float64 `json:"shown_age_ms_max"`
	ShownHoldAgeP50 float64 `json:"shown_hold_age_ms_p50"`
	ShownHoldAgeMax float64 `json:"shown_hold_age_ms_max"`
	ShownAges       int     `json:"shown_ages"` // of each kind
	WritesPerSecond float64 `json:"writes_per_s"`
	WritesAsked     int     `json:"writes_asked_per_s"`
	// Memory of the server in use, once its slots are loaded and what that took for a moment is given back; null where the
	// system doesn't tell.
	RSSFew       *int64   `json:"rss_bytes_thousand"`
	RSSMany      *int64   `json:"rss_bytes_million"`
	RSSFewEnd    *int64   `json:"rss_bytes_thousand_at_the_end"`
	RSSManyEnd   *int64   `json:"rss_bytes_million_at_the_end"`
	BytesPerSlot *float64 `json:"bytes_per_slot"`
	StartedFew   float64  `json:"started_s_thousand"` // until the first document
	StartedMany  float64  `json:"started_s_million"`
	// CPUShares are parts of the whole machine's time, by part and process.
	CPUShares map[string]map[string]float64 `json:"cpu_shares"`

	conditions
	SlotsFew    int                        `json:"slots_thousand"`
	SlotsMany   int                        `json:"slots_million"`
	TookSeconds float64                    `json:"took_s"`
	Reconcile   bool                       `json:"reconcile"`
	Parts       map[string]readsPartReport `json:"parts"`
}

// storeWindowReport is what the stores were asked in two windows of the same length, one with readers and one without.
type storeWindowReport struct {
	Reads           int64 `json:"reads"`
	RedisReading    int64 `json:"redis_with_readers"`
	RedisNobody     int64 `json:"redis_without"`
	PostgresReading int64 `json:"postgres_with_readers"`
	PostgresNobody  int64 `json:"postgres_without"`
}

// readsPartReport is what was measured of one part.
type readsPartReport struct {
	PerSecond       float64 `json:"per_s"`
	Reads           int64   `json:"reads"`
	Seconds         float64 `json:"seconds"`
	BodyBytes       float64 `json:"body_bytes"` // on average
	WritesPerSecond float64 `json:"writes_per_s"`
	ServerMicros    float64 `json:"server_cpu_us_per_read"`
	AllMicros       float64 `json:"cpu_us_per_read"` // of everybody but others
}

func (b *reads) report(facts rig.Facts) readsReport {
	r := readsReport{
		conditions: conditions{
			Facts: facts, DurationSeconds: b.Duration.Seconds(), Rounds: b.Rounds, Connections: b.Connections, Client: b.Client,
			Set: append([]string{}, b.Set...),
		},
		SlotsFew: int(b.Few), SlotsMany: int(b.Many), Reconcile: b.Reconcile,
		Parts: map[string]readsPartReport{}, CPUShares: map[string]map[string]float64{},
		StoreQueriesPerRead: b.queries.perRead(),
		StoreQueries: storeWindowReport{
			Reads: b.queries.reads, RedisReading: b.queries.reading.Redis, RedisNobody: b.queries.nobody.Redis,
			PostgresReading: b.queries.reading.Postgres, PostgresNobody: b.queries.nobody.Postgres,
		},
		ShownAgeP50: millis(b.booked.quantile(.5)), ShownAgeMax: millis(b.booked.quantile(1)),
		ShownHoldAgeP50: millis(b.held.quantile(.5)), ShownHoldAgeMax: millis(b.held.quantile(1)), ShownAges: len(b.booked),
		WritesPerSecond: b.few.written.plus(b.many.written).perSecond(), WritesAsked: b.Writes,
		StartedFew: b.few.started.Seconds(), StartedMany: b.many.started.Seconds(),
	}
	for _, p := range readsParts {
		if b.parts[p.name] == nil {
			continue
		}
		r.Parts[p.name] = b.parts[p.name].report()
		if b.meter != nil {
			r.CPUShares[p.name] = b.parts[p.name].accounts.Shares(facts.CPUs)
		}
	}
	for _, of := range r.ratios() {
		*of.ratio = ratio(r.Parts[of.part].PerSecond, r.Parts[of.to].PerSecond)
	}
	if b.meter != nil {
		perSlot := ratio(float64(b.many.resident-b.few.resident), float64(b.Many-b.Few))
		r.RSSFew, r.RSSMany, r.BytesPerSlot = &b.few.resident, &b.many.resident, &perSlot
		r.RSSFewEnd, r.RSSManyEnd = &b.few.atEnd, &b.many.atEnd
		r.ByCPU = map[string]float64{}
		for _, of := range r.ratios() {
			r.ByCPU[of.name] = ratio(r.Parts[of.to].AllMicros, r.Parts[of.part].AllMicros)
		}
	}
	return r
}

// comparison is one part compared with another.
type comparison struct {
	name, part, to string
	ratio          *float64
}

func (r *readsReport) ratios() []comparison {
	return []comparison{
		{"site_to_empty", "site", "site_empty", &r.SiteRatioToEmpty},
		{"region_day_to_empty", "region_day", "region_day_empty", &r.RegionDayRatioToEmpty},
		{"site_gzip_to_empty", "site_gzip", "site_gzip_empty", &r.SiteGzipRatioToEmpty},
		{"region_day_gzip_to_empty", "region_day_gzip", "region_day_gzip_empty", &r.RegionDayGzipRatioToEmpty},
		{"site_quiet_to_empty", "site_quiet", "site_quiet_empty", &r.SiteQuietRatioToEmpty},
		{"region_day_quiet_to_empty", "region_day_quiet", "region_day_quiet_empty", &r.RegionDayQuietRatioToEmpty},
		{"million_to_thousand_site", "site_of_million", "site_of_thousand", &r.MillionToThousandSite},
		{"million_to_thousand_region_day", "region_day_of_million", "region_day_of_thousand", &r.MillionToThousandRegionDay},
	}
}

func (p *readsResult) report() readsPartReport {
	micros := func(c rig.CPU) float64 { return ratio(c.Seconds()*1e6, float64(p.reads)) }
	return readsPartReport{
		PerSecond: p.perSecond(), Reads: p.reads, Seconds: p.elapsed.Seconds(), WritesPerSecond: p.writes.perSecond(),
		BodyBytes: p.body, ServerMicros: micros(p.accounts.Server),
		AllMicros: micros(p.accounts.ServerAndStores() + p.accounts.Writer + p.accounts.Generator),
	}
}

const (
	// enoughWrites is which part of the writes that were asked for must have been done.
	enoughWrites = .9
	// noQueries is up to where the store queries of a read are none: see StoreQueriesPerRead.
	noQueries = .001
)

// brokenPromiseError is what a run that went to its end says against the server, or against itself.
type brokenPromiseError struct{ error }

// judge says what of the run breaks a promise, or makes its figures worth nothing.
func (r readsReport) judge() error {
	var faults []error
	if r.WritesPerSecond < enoughWrites*float64(r.WritesAsked) {
		faults = append(faults, fmt.Errorf("the run isn't valid: %.0f slots changed a second instead of %d", r.WritesPerSecond, r.WritesAsked))
	}
	if r.StoreQueriesPerRead > noQueries {
		faults = append(faults, fmt.Errorf("reading asks the stores: %.4f times a read", r.StoreQueriesPerRead))
	}
	if oldest := max(r.ShownAgeMax, r.ShownHoldAgeMax); oldest > millis(shownWithin) {
		faults = append(faults, fmt.Errorf("what is shown was %.0f ms old, and may be %.0f ms", oldest, millis(shownWithin)))
	}
	if len(faults) == 0 {
		return nil
	}
	return brokenPromiseError{errors.Join(faults...)}
}

// print writes the report for people.
func (r readsReport) print(out io.Writer) error {
	r.conditions.print(out, "Reading", "")
	if err := table(out, r.lines); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nWith %d slots, of which %.0f change a second, a site's document is read %.2f times as often as from a server that does\n"+
		"nothing (%.2f compressed), and a day of a region %.2f times (%.2f compressed); while nothing changes, %.2f and %.2f times.\n",
		r.SlotsMany, r.WritesPerSecond, r.SiteRatioToEmpty, r.SiteGzipRatioToEmpty, r.RegionDayRatioToEmpty, r.RegionDayGzipRatioToEmpty,
		r.SiteQuietRatioToEmpty, r.RegionDayQuietRatioToEmpty)
	fmt.Fprintf(out, "With %d slots instead of %d, the same documents are read %.2f (sites) and %.2f times (days of regions) as often.\n",
		r.SlotsMany, r.SlotsFew, r.MillionToThousandSite, r.MillionToThousandRegionDay)
	if len(r.ByCPU) > 0 {
		fmt.Fprint(out, "By processor time:")
		for i, of := range r.ratios() {
			fmt.Fprintf(out, "%s %s %.2f", [2]string{"", ","}[min(i, 1)], of.name, r.ByCPU[of.name])
		}
		fmt.Fprintln(out, ".")
	}
	q := r.StoreQueries
	fmt.Fprintf(out, "%.3f store queries a read: with %d reads Redis did %d commands and Postgres %d transactions, without any %d and %d.\n",
		r.StoreQueriesPerRead, q.Reads, q.RedisReading, q.PostgresReading, q.RedisNobody, q.PostgresNobody)
	fmt.Fprintf(out, "A change is shown after %.0f ms (p50) and %.0f ms (max), a hold after %.0f and %.0f ms; %d of each.\n",
		r.ShownAgeP50, r.ShownAgeMax, r.ShownHoldAgeP50, r.ShownHoldAgeMax, r.ShownAges)
	if r.BytesPerSlot != nil {
		const mega = 1 << 20
		fmt.Fprintf(out, "The server has %d MiB in use with %d slots and %d MiB with %d: %.0f bytes a slot; after all parts %d and %d MiB.\n",
			*r.RSSFew/mega, r.SlotsFew, *r.RSSMany/mega, r.SlotsMany, *r.BytesPerSlot, *r.RSSFewEnd/mega, *r.RSSManyEnd/mega)
	} else {
		fmt.Fprintln(out, rig.ErrNoAccounts.Error()+".")
	}
	fmt.Fprintf(out, "It answers with documents %.1f s after it was started with %d slots, and %.1f s with %d.\n",
		r.StartedFew, r.SlotsFew, r.StartedMany, r.SlotsMany)
	if !r.Reconcile {
		fmt.Fprintln(out, "Comparing all copies with Postgres each minute is another instance's work here.")
	}
	return nil
}

// lines has a line for each part.
func (r readsReport) lines(t io.Writer) {
	fmt.Fprintln(t, "\tper second\tbytes\tCPU µs each\tserver\twrites/s\t| shares: server\tPostgres\tRedis\twriter\tgenerator\tothers\t")
	for _, of := range readsParts {
		p, measured := r.Parts[of.name]
		if !measured {
			continue
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.1f\t%.1f\t%.0f\t", of.name, p.PerSecond, p.BodyBytes, p.AllMicros, p.ServerMicros, p.WritesPerSecond)
		if s, ok := r.CPUShares[of.name]; ok {
			for _, who := range []string{"server", "postgres", "redis", "writer", "generator", "others"} {
				fmt.Fprintf(t, "%.0f%%\t", 100*s[who])
			}
		}
		fmt.Fprintln(t)
	}
}
