package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// promisedOverload are the fields that others read out of the JSON.
var promisedOverload = []string{
	"sustainable_per_s", "factors", "recovery_s", "memory_growth_ratio", "goroutines_before", "goroutines_after", "revision",
	"confirms_refused", "strange_answers", "unloaded_p99_ms",
}

func TestTheReportOfAFloodHasTheFieldsThatItPromises(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(overloadReport{Factors: []floodReport{{}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{"factor", "offered_per_s", "goodput_ratio", "accepted_p99_ratio", "refused", "missed"}, promisedOverload...) {
		if !bytes.Contains(raw, []byte(`"`+name+`"`)) {
			t.Errorf("the field %s is missing", name)
		}
	}
}

// fine is a report that keeps every promise, just so.
func fine() overloadReport {
	r := overloadReport{Sustainable: 100, Recovery: 10, MemoryGrowth: 1.25, GoroutinesBefore: 20, GoroutinesAfter: 70}
	for _, x := range factors {
		r.Factors = append(r.Factors, floodReport{Factor: x.times, GoodputRatio: x.goodput, AcceptedP99Ratio: 3})
	}
	return r
}

func TestAFloodIsJudgedByEachPromise(t *testing.T) {
	t.Parallel()
	if err := fine().judge(); err != nil {
		t.Fatal(err)
	}
	for words, break1 := range map[string]func(*overloadReport){
		"weren't sent":       func(r *overloadReport) { r.Factors[2].Missed = 1 },
		"79 % of the peak":   func(r *overloadReport) { r.Factors[2].GoodputRatio = .79 },
		"84 % of the peak":   func(r *overloadReport) { r.Factors[1].GoodputRatio = .84 },
		"89 % of the peak":   func(r *overloadReport) { r.Factors[0].GoodputRatio = .89 },
		"times as long":      func(r *overloadReport) { r.Factors[0].AcceptedP99Ratio = 3.1 },
		"after the flood":    func(r *overloadReport) { r.Recovery = 10.5 },
		"times the memory":   func(r *overloadReport) { r.MemoryGrowth = 1.3 },
		"goroutines":         func(r *overloadReport) { r.GoroutinesAfter = 71 },
		"overloaded (1 time": func(r *overloadReport) { r.ConfirmsRefused = map[string]int{"overloaded": 1} },
		"hold: 500":          func(r *overloadReport) { r.Strange = map[string]int{"hold: 500": 3} },
	} {
		r := fine()
		break1(&r)
		err := r.judge()
		if _, broken := errors.AsType[brokenPromiseError](err); !broken || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
	}
}

func TestFlagsOfOverloadThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{{"--duration", "1ms"}, {"--connections", "1"}, {"--delay", "1ms"}, {"--set", "PATH=/"}} {
		if err := run(surroundings{ctx: t.Context(), out: t.Output(), err: t.Output()}, append([]string{"bench", "overload"}, flags...)); err == nil {
			t.Errorf("%q was taken", flags)
		}
	}
}

// The whole benchmark, as short as it can be: every part runs, and rows are what clients were told of. How much and how
// fast isn't judged here: the machine has other tests to run.
func TestAFloodIsMeasured(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := run(surroundings{ctx: t.Context(), out: &out, err: t.Output()}, []string{
		"bench", "overload", "--json", "--duration", "300ms", "--connections", "64", "--data", dataFolder(t),
		// A busy machine that takes its time isn't a store that is away.
		"--set", "JARI_REDIS_TIMEOUT=5s", "--set", "JARI_RULES_CONFIRMED=30s", "--set", "JARI_CLOCK_SKEW=10s", "--set", "JARI_FLUSH_ROWS=4",
	})
	if _, broken := errors.AsType[brokenPromiseError](err); broken {
		t.Log(err)
	} else if err != nil {
		t.Fatal(err)
	}
	var got overloadReport
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("not one JSON object: %v\n%s", err, &out)
	}
	if got.Sustainable <= 0 || got.UnloadedP99 <= 0 || got.Rows <= 0 || len(got.Factors) != len(factors) || got.GoroutinesAfter <= 0 || got.MemoryGrowth <= 0 {
		t.Errorf("%+v", got)
	}
	if got.Factors[len(got.Factors)-1].Refused == 0 {
		t.Error("nobody was refused at thirty times what is sustainable")
	}
	if len(got.Strange) != 0 {
		t.Errorf("answers that nobody should get: %v", got.Strange)
	}
}
