package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"jari/cmd/surge/rig"
)

// overloadReport is the outcome of `bench overload`: as JSON its fields stay as they are named here.
type overloadReport struct {
	// Sustainable is the peak: the most rows a second that were booked when some always wanted to.
	Sustainable float64       `json:"sustainable_per_s"`
	Factors     []floodReport `json:"factors"`
	// Recovery is the longest after which the usual load was served again.
	Recovery         float64 `json:"recovery_s"`
	MemoryGrowth     float64 `json:"memory_growth_ratio"`
	MemoryBefore     float64 `json:"memory_before_bytes"`
	MemoryAfter      float64 `json:"memory_after_bytes"`
	MemoryMost       float64 `json:"memory_most_bytes"` // meanwhile
	GoroutinesBefore float64 `json:"goroutines_before"`
	GoroutinesAfter  float64 `json:"goroutines_after"`
	GoroutinesMost   float64 `json:"goroutines_most"`
	// ConfirmsRefused are those of people who held a place, by code, over all factors: there should be none.
	ConfirmsRefused map[string]int `json:"confirms_refused"`
	// Strange are answers that were neither what was asked for nor a refusal with which a client knows what to do.
	Strange map[string]int `json:"strange_answers"`
	// Unloaded is one client alone, which holds and confirms.
	UnloadedP99        float64 `json:"unloaded_p99_ms"`
	UnloadedHoldP99    float64 `json:"unloaded_hold_p99_ms"`
	UnloadedConfirmP99 float64 `json:"unloaded_confirm_p99_ms"`
	UnloadedBookings   int64   `json:"unloaded_bookings"`
	// Strength is how many requests a second the generator gets answered by a server that does nothing.
	Strength float64 `json:"generator_per_s"`

	rig.Facts
	DurationSeconds float64  `json:"duration_s"`
	DelayMillis     float64  `json:"store_delay_ms"`
	FlushRows       int      `json:"flush_rows"`
	Set             []string `json:"set"`
	Rows            int64    `json:"rows"`
	LoadBefore      float64  `json:"load_average_before"`
	LoadAfter       float64  `json:"load_average_after"`
}

// floodReport is what was measured at one factor.
type floodReport struct {
	Factor  float64 `json:"factor"`
	Offered float64 `json:"offered_per_s"`
	Sent    float64 `json:"sent_per_s"`
	// Goodput are rows a second, and its ratio is to what is sustainable.
	Goodput      float64 `json:"goodput_per_s"`
	GoodputRatio float64 `json:"goodput_ratio"`
	// AcceptedP99 is of holding and confirming together, from the instant at which it was meant to begin.
	AcceptedP99      float64 `json:"accepted_p99_ms"`
	AcceptedP99Ratio float64 `json:"accepted_p99_ratio"`
	HoldP99          float64 `json:"hold_p99_ms"`
	ConfirmP99       float64 `json:"confirm_p99_ms"`
	Booked           int64   `json:"booked"`
	Refused          int64   `json:"refused"`
	// Missed weren't sent, or more than a second late; Late more than ten milliseconds.
	Missed   int64   `json:"missed"`
	Late     int64   `json:"late"`
	Recovery float64 `json:"recovery_s"`
}

// judge says what of the run breaks a promise, or makes its figures worth nothing.
func (r overloadReport) judge() error {
	var faults []error
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for i, p := range r.Factors {
		if p.Missed > 0 {
			wrong("the run isn't valid: at %g times, %d requests weren't sent when they should have been", p.Factor, p.Missed)
		}
		if p.GoodputRatio < factors[i].goodput {
			wrong("at %g times what is sustainable %.0f %% of the peak were booked instead of %.0f %%", p.Factor, 100*p.GoodputRatio, 100*factors[i].goodput)
		}
		if p.AcceptedP99Ratio > slowerBy {
			wrong("at %g times what is sustainable, 99 %% of the bookings took up to %.1f times as long as alone, and may take %d times", p.Factor, p.AcceptedP99Ratio, slowerBy)
		}
	}
	if r.Recovery > recoversWithin.Seconds() {
		wrong("after the flood it took %.1f s until the usual load was served, and may take %v", r.Recovery, recoversWithin)
	}
	if r.MemoryGrowth > growth {
		wrong("the server uses %.2f times the memory of before", r.MemoryGrowth)
	}
	if r.GoroutinesAfter > r.GoroutinesBefore+strays {
		wrong("there are %.0f goroutines, and there were %.0f", r.GoroutinesAfter, r.GoroutinesBefore)
	}
	if len(r.ConfirmsRefused) > 0 {
		wrong("people who held a place were refused: %s", strings.Join(sorted(r.ConfirmsRefused), ", "))
	}
	if len(r.Strange) > 0 {
		wrong("there were answers that nobody should get: %s", strings.Join(sorted(r.Strange), ", "))
	}
	if len(faults) == 0 {
		return nil
	}
	return brokenPromiseError{errors.Join(faults...)}
}

// print writes the report for people.
func (r overloadReport) print(out io.Writer) error {
	fmt.Fprintf(out, "Overload, revision %s, %s, %s, %d CPUs, Postgres %s (fsync on, %g ms late), Redis %s\n",
		r.Revision, r.Go, r.System, r.CPUs, r.Postgres, r.DelayMillis, r.Redis)
	fmt.Fprintf(out, "%gs a part, flushes of %d bookings, load average %.2f before and %.2f after\n",
		r.DurationSeconds, r.FlushRows, r.LoadBefore, r.LoadAfter)
	if len(r.Set) > 0 {
		fmt.Fprintf(out, "The server runs with %s.\n", strings.Join(r.Set, " "))
	}
	fmt.Fprintf(out, "\n%.0f bookings a second are sustainable; alone, one takes up to %.0f ms (p99 of %d).\nThe generator gets %.0f requests a second answered by a server that does nothing.\n\n",
		r.Sustainable, r.UnloadedP99, r.UnloadedBookings, r.Strength)
	if err := table(out, func(t io.Writer) {
		fmt.Fprintln(t, "times\tasked per second\tsent\tbooked\tof the peak\taccepted p99 ms\tof alone\thold p99\tconfirm p99\trefused\tlate\tmissed\trecovery s\t")
		for _, p := range r.Factors {
			fmt.Fprintf(t, "%g\t%.0f\t%.0f\t%.0f\t%.0f%%\t%.0f\t%.2f\t%.0f\t%.0f\t%d\t%d\t%d\t%.1f\t\n", p.Factor, p.Offered, p.Sent, p.Goodput,
				100*p.GoodputRatio, p.AcceptedP99, p.AcceptedP99Ratio, p.HoldP99, p.ConfirmP99, p.Refused, p.Late, p.Missed, p.Recovery)
		}
	}); err != nil {
		return err
	}
	const mega = 1 << 20
	fmt.Fprintf(out, "\nMemory: %.0f MB before, %.0f at most, %.0f after (%.2f times). Goroutines: %.0f before, %.0f at most, %.0f after.\n",
		r.MemoryBefore/mega, r.MemoryMost/mega, r.MemoryAfter/mega, r.MemoryGrowth, r.GoroutinesBefore, r.GoroutinesMost, r.GoroutinesAfter)
	refused := "nobody"
	if len(r.ConfirmsRefused) > 0 {
		refused = strings.Join(sorted(r.ConfirmsRefused), ", ")
	}
	fmt.Fprintf(out, "Of those who held a place, %s was refused. %d bookings were confirmed in the whole run, and as many rows are in the table.\n", refused, r.Rows)
	return nil
}
