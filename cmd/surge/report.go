package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"jari/cmd/surge/load"
	"jari/cmd/surge/rig"
)

// bookingReport is the outcome of `bench booking`: as JSON its fields stay as they are named here.
type bookingReport struct {
	// BookingsPerSecond is the real server's, spread over a thousand slots.
	BookingsPerSecond  float64 `json:"bookings_per_s"`
	RatioToEmpty       float64 `json:"ratio_to_empty"`        // of BookingsPerSecond to the empty server's pairs
	RatioToNaiveHot    float64 `json:"ratio_to_naive_hot"`    // both on one slot
	RatioToNaiveSpread float64 `json:"ratio_to_naive_spread"` // both on a thousand slots
	HotToSpread        float64 `json:"hot_to_spread"`         // the real server on one slot to itself on a thousand
	// P50 and P99 are of confirming, at 70 % of BookingsPerSecond, in milliseconds; the pair is hold and confirm.
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	PairP50 float64 `json:"pair_p50_ms"`
	PairP99 float64 `json:"pair_p99_ms"`
	// LowLoad are of confirming at 10 %; added is what it is longer than where each flush takes one booking.
	LowLoadConfirmP50 float64 `json:"low_load_confirm_p50_ms"`
	LowLoadAddedP50   float64 `json:"low_load_added_p50_ms"`
	// Processor time in microseconds, of the server and both stores, without the generator; null where the system keeps
	// no accounts.
	CPUPerBooking   *float64 `json:"server_and_store_cpu_us_per_booking"`
	CPUPerEmptyPair *float64 `json:"server_and_store_cpu_us_per_empty_pair"`
	PerEmptyPair    *float64 `json:"per_empty_pair"` // the same number
	// CPUShares are parts of the whole machine's time, by part and process.
	CPUShares map[string]map[string]float64 `json:"cpu_shares"`
	// Rows are all bookings of the run, warm-ups included: as many as clients were told of.
	Rows int64 `json:"rows"`

	conditions
	Messages  bool                  `json:"messages"`
	NotesLeft int64                 `json:"notes_left"`
	Parts     map[string]partReport `json:"parts"`
	Notes     []string              `json:"notes"`
}

// conditions are what a benchmark was run under whose parts take turns.
type conditions struct {
	rig.Facts
	DurationSeconds float64     `json:"duration_s"` // of a part, in all its turns
	Rounds          int         `json:"rounds"`
	Connections     int         `json:"connections"`
	Client          load.Client `json:"client"`
	Set             []string    `json:"set"` // of the real server's environment
	LoadBefore      float64     `json:"load_average_before"`
	LoadAfter       float64     `json:"load_average_after"`
}

// print writes them above a report; more, if any, ends the line about the load.
func (c conditions) print(out io.Writer, what, more string) {
	fmt.Fprintf(out, "%s, revision %s, %s, %s, %d CPUs, Postgres %s (fsync on), Redis %s\n",
		what, c.Revision, c.Go, c.System, c.CPUs, c.Postgres, c.Redis)
	fmt.Fprintf(out, "%gs a part in %d turns, %d connections of the %s client, load average %.2f before and %.2f after%s\n\n",
		c.DurationSeconds, c.Rounds, c.Connections, c.Client, c.LoadBefore, c.LoadAfter, more)
	if len(c.Set) > 0 {
		fmt.Fprintf(out, "The real server runs with %s.\n\n", strings.Join(c.Set, " "))
	}
}

// partReport is what was measured of one part.
type partReport struct {
	PerSecond      float64 `json:"per_s"`
	Pairs          int64   `json:"pairs"`
	Rows           int64   `json:"rows"`
	Seconds        float64 `json:"seconds"`
	CPUMicros      float64 `json:"server_and_store_cpu_us_per_pair"`
	ServerMicros   float64 `json:"server_cpu_us_per_pair"`
	PostgresMicros float64 `json:"postgres_cpu_us_per_pair"`
	RedisMicros    float64 `json:"redis_cpu_us_per_pair"`
	RowsPerFlush   float64 `json:"rows_per_flush"`
	Rate           float64 `json:"asked_per_s"` // of the parts at a fixed rate
	Late           int64   `json:"late"`
	Missed         int64   `json:"missed"`
	ConfirmP50     float64 `json:"confirm_p50_ms"`
	ConfirmP99     float64 `json:"confirm_p99_ms"`
	PairP50        float64 `json:"pair_p50_ms"`
	PairP99        float64 `json:"pair_p99_ms"`
}

// ratio is a part of another, and 0 where there is nothing to compare with.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (b *bench) report(facts rig.Facts, rows int64) bookingReport {
	r := bookingReport{
		conditions: conditions{
			Facts: facts, DurationSeconds: b.Duration.Seconds(), Rounds: b.Rounds, Connections: b.Connections, Client: b.Client,
			Set: append([]string{}, b.Set...),
		},
		Rows: rows, Messages: b.Messages, Parts: map[string]partReport{}, CPUShares: map[string]map[string]float64{}, Notes: []string{},
	}
	for name, p := range b.parts {
		r.Parts[name] = p.report()
		if b.meter != nil {
			r.CPUShares[name] = p.accounts.Shares(facts.CPUs)
		}
		r.NotesLeft += p.notes - p.settled
		if p.checkpointed {
			r.Notes = append(r.Notes, "Postgres wrote a checkpoint during "+name+", which costs that part more than others.")
		}
		if p.settled > 0 && !b.Messages {
			r.Notes = append(r.Notes, fmt.Sprintf("%d notes were worked off during %s although that was to be another instance's work.", p.settled, name))
		}
		if p.missed > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("%d sends of %s were missed: nobody was free to send them.", p.missed, name))
		}
	}
	if n := b.refused.Load(); n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d holds were refused because of too many others, and asked for again after %s.", n, askAgain))
	}
	slices.Sort(r.Notes)
	rate := func(name string) float64 { return b.parts[name].perSecond() }
	r.BookingsPerSecond = rate(partRealSpread)
	r.RatioToEmpty = ratio(rate(partRealSpread), rate(partEmpty))
	r.RatioToNaiveHot = ratio(rate(partRealHot), rate(partNaiveHot))
	r.RatioToNaiveSpread = ratio(rate(partRealSpread), rate(partNaiveSpread))
	r.HotToSpread = ratio(rate(partRealHot), rate(partRealSpread))
	loaded := r.Parts[partLoaded]
	r.P50, r.P99, r.PairP50, r.PairP99 = loaded.ConfirmP50, loaded.ConfirmP99, loaded.PairP50, loaded.PairP99
	r.LowLoadConfirmP50 = r.Parts[partLow].ConfirmP50
	r.LowLoadAddedP50 = r.Parts[partLow].ConfirmP50 - r.Parts[partLowSingle].ConfirmP50
	if b.meter != nil {
		real, empty := b.parts[partRealSpread].microsPerPair(), b.parts[partEmpty].microsPerPair()
		r.CPUPerBooking, r.CPUPerEmptyPair, r.PerEmptyPair = &real, &empty, &empty
	}
	return r
}

func (p *part) report() partReport {
	micros := func(c rig.CPU) float64 { return ratio(c.Seconds()*1e6, float64(p.done())) }
	return partReport{
		PerSecond: p.perSecond(), Pairs: p.pairs, Rows: p.rows, Seconds: p.elapsed.Seconds(), CPUMicros: p.microsPerPair(),
		ServerMicros: micros(p.accounts.Server), PostgresMicros: micros(p.accounts.Postgres), RedisMicros: micros(p.accounts.Redis),
		RowsPerFlush: p.rowsPerFlush(), Rate: p.rate, Late: p.late, Missed: p.missed,
		ConfirmP50: millis(p.latency.Quantile(latencyConfirm, .5)), ConfirmP99: millis(p.latency.Quantile(latencyConfirm, .99)),
		PairP50: millis(p.latency.Quantile(latencyPair, .5)), PairP99: millis(p.latency.Quantile(latencyPair, .99)),
	}
}

// order is that of the table.
var order = []string{
	partEmpty, partRealSpread, partRealHot, partNaiveSpread, partNaiveHot, partStatementSpread, partStatementHot,
	partLoaded, partLow, partLowSingle,
}

// print writes the report for people.
func (r bookingReport) print(out io.Writer) error {
	r.conditions.print(out, "Booking", "")
	if err := table(out, r.throughput); err != nil {
		return err
	}
	fmt.Fprintln(out)
	if err := table(out, r.latencies); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%.0f bookings a second over a thousand slots: %.2f of the empty server's pairs, %.2f times the naive server;\n"+
		"on one slot %.2f times the naive server, and %.2f of itself over a thousand.\n",
		r.BookingsPerSecond, r.RatioToEmpty, r.RatioToNaiveSpread, r.RatioToNaiveHot, r.HotToSpread)
	fmt.Fprintf(out, "At %.0f %% of that a confirm takes %.2f ms (p50) and %.2f ms (p99).\n"+
		"At %.0f %% it takes %.2f ms (p50), %+.2f ms against flushes of one booking.\n",
		100*loadedShare, r.P50, r.P99, 100*lowShare, r.LowLoadConfirmP50, r.LowLoadAddedP50)
	fmt.Fprintf(out, "%d bookings were confirmed in the whole run, warm-ups included, and as many rows are in the table.\n", r.Rows)
	if r.Messages {
		fmt.Fprintf(out, "Messages were worked off by the measured server too; %d notes were left.\n", r.NotesLeft)
	} else {
		fmt.Fprintf(out, "Messages are another instance's work here: %d notes were left for it.\n", r.NotesLeft)
	}
	if len(r.CPUShares) == 0 {
		fmt.Fprintln(out, rig.ErrNoAccounts.Error()+".")
	}
	for _, note := range r.Notes {
		fmt.Fprintln(out, note)
	}
	return nil
}

// table has columns aligned that write separates by tabs.
func table(out io.Writer, write func(io.Writer)) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	write(t)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("printing a table: %w", err)
	}
	return nil
}

// throughput has a line for each part: how much, and what it cost.
func (r bookingReport) throughput(t io.Writer) {
	fmt.Fprintln(t, "\tper second\trows\trows/flush\tCPU µs each\tserver\tPostgres\tRedis\t| shares: server\tPostgres\tRedis\tgenerator\tothers\t")
	for _, name := range order {
		p, measured := r.Parts[name]
		if !measured {
			continue
		}
		fmt.Fprintf(t, "%s\t%.0f\t%d\t%.1f\t", name, p.PerSecond, p.Rows, p.RowsPerFlush)
		if s, ok := r.CPUShares[name]; ok {
			fmt.Fprintf(t, "%.0f\t%.0f\t%.0f\t%.0f\t%.0f%%\t%.0f%%\t%.0f%%\t%.0f%%\t%.0f%%\t", p.CPUMicros, p.ServerMicros,
				p.PostgresMicros, p.RedisMicros, 100*s["server"], 100*s["postgres"], 100*s["redis"], 100*s["generator"], 100*s["others"])
		}
		fmt.Fprintln(t)
	}
}

// latencies has a line for each part that answers over HTTP.
func (r bookingReport) latencies(t io.Writer) {
	fmt.Fprintln(t, "milliseconds\tconfirm p50\tp99\thold+confirm p50\tp99\tasked per second\tlate\tmissed\t")
	for _, name := range order {
		p, measured := r.Parts[name]
		if !measured || p.PairP50 == 0 {
			continue
		}
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t", name, p.ConfirmP50, p.ConfirmP99, p.PairP50, p.PairP99)
		if p.Rate > 0 {
			fmt.Fprintf(t, "%.0f\t%d\t%d\t", p.Rate, p.Late, p.Missed)
		} else {
			fmt.Fprint(t, "as fast as it can\t\t\t")
		}
		fmt.Fprintln(t)
	}
}
