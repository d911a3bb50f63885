package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jari/cmd/surge/load"
	"jari/cmd/surge/rig"
)

// The benchmark runs its parts by starting its own program again: here that is the test's.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "part" {
		main()
		return
	}
	os.Exit(m.Run())
}

// promised are the fields that others read out of the JSON.
var promised = []string{
	"bookings_per_s", "ratio_to_empty", "ratio_to_naive_hot", "ratio_to_naive_spread", "hot_to_spread", "p50_ms", "p99_ms",
	"low_load_confirm_p50_ms", "low_load_added_p50_ms", "server_and_store_cpu_us_per_booking",
	"server_and_store_cpu_us_per_empty_pair", "per_empty_pair", "cpu_shares", "rows", "revision", "parts",
}

func fields(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("not one JSON object: %v\n%s", err, raw)
	}
	for _, name := range promised {
		if _, ok := got[name]; !ok {
			t.Errorf("the field %s is missing", name)
		}
	}
	return got
}

func TestTheReportHasTheFieldsThatItPromises(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(bookingReport{})
	if err != nil {
		t.Fatal(err)
	}
	fields(t, raw)
}

// second is a part that did n in a second of two processors' time, half of it the server's.
func second(n, flushes int64) *part {
	used := rig.CPU(time.Second)
	return &part{
		pairs: n, rows: n, elapsed: time.Second, notes: flushes, latency: load.NewRecorder(),
		accounts: rig.Accounts{Elapsed: time.Second, Server: used / 2, Postgres: used / 4, Redis: used / 4, Generator: used / 2, Machine: 2 * used},
	}
}

func TestTheReportIsOfTheRightParts(t *testing.T) {
	t.Parallel()
	b := &bench{meter: &rig.Meter{}, parts: map[string]*part{
		partEmpty: second(10_000, 0), partRealSpread: second(4000, 400), partRealHot: second(3000, 100),
		partNaiveHot: second(500, 0), partNaiveSpread: second(2000, 0), partLoaded: second(2800, 0),
		partLow: second(400, 0), partLowSingle: second(400, 0),
	}}
	b.parts[partEmpty].rows = 0
	b.parts[partLoaded].latency.Record(latencyConfirm, 8*time.Millisecond)
	b.parts[partLow].latency.Record(latencyConfirm, 3*time.Millisecond)
	b.parts[partLowSingle].latency.Record(latencyConfirm, 2*time.Millisecond)
	b.parts[partRealHot].checkpointed = true
	r := b.report(rig.Facts{CPUs: 2}, 12_345)
	for name, c := range map[string]struct{ got, want float64 }{
		"bookings_per_s":        {r.BookingsPerSecond, 4000},
		"ratio_to_empty":        {r.RatioToEmpty, .4},
		"ratio_to_naive_hot":    {r.RatioToNaiveHot, 6},
		"ratio_to_naive_spread": {r.RatioToNaiveSpread, 2},
		"hot_to_spread":         {r.HotToSpread, .75},
		"p50_ms":                {r.P50, 8},
		"p99_ms":                {r.P99, 8},
		"low_load_confirm":      {r.LowLoadConfirmP50, 3},
		"low_load_added":        {r.LowLoadAddedP50, 1},
		"cpu per booking":       {*r.CPUPerBooking, 250},
		"cpu per empty pair":    {*r.CPUPerEmptyPair, 100},
		"share of the server":   {r.CPUShares[partRealSpread]["server"], .25},
		"rows per flush":        {r.Parts[partRealSpread].RowsPerFlush, 10},
		"notes left":            {float64(r.NotesLeft), 500},
	} {
		if math.Abs(c.got-c.want) > .01*c.want {
			t.Errorf("%s is %v, want %v", name, c.got, c.want)
		}
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], partRealHot) {
		t.Errorf("the notes are %q", r.Notes)
	}
	var page bytes.Buffer
	if err := r.print(&page); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"4000 bookings a second", "0.40 of the empty", "6.00 times", "12345 bookings were confirmed"} {
		if !strings.Contains(page.String(), words) {
			t.Errorf("%q isn't in\n%s", words, page.String())
		}
	}
}

func TestRatesAreOfTheSumsOfAllRounds(t *testing.T) {
	t.Parallel()
	p := &part{pairs: 30, rows: 30, elapsed: 3 * time.Second, notes: 5}
	if got := p.perSecond(); got != 10 {
		t.Errorf("%v a second", got)
	}
	if got := p.rowsPerFlush(); got != 6 {
		t.Errorf("%v a flush", got)
	}
	if none := (&part{}); none.perSecond() != 0 || none.rowsPerFlush() != 0 || none.microsPerPair() != 0 || ratio(1, 0) != 0 {
		t.Error("a part that did nothing has figures")
	}
}

func TestTheTokenIsTakenOutOfTheAnswerToAHold(t *testing.T) {
	t.Parallel()
	got, err := confirmBody([]byte(`{"hold_id":"x","hold_token":"AbC-_9","slot":{"slot_id":"7"}}`))
	if err != nil || string(got) != `{"hold_token":"AbC-_9"}` {
		t.Errorf("got %s, %v", got, err)
	}
	for _, answer := range []string{``, `{"hold_id":"x"}`, `{"hold_token":"AbC`} {
		if _, err := confirmBody([]byte(answer)); err == nil {
			t.Errorf("%q has no token, and none was missed", answer)
		}
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{{"--duration", "1ms"}, {"--rounds=-1"}, {"--set", "PATH=/"}, {"--set", "JARI_X"}} {
		err := run(surroundings{ctx: t.Context(), out: t.Output(), err: t.Output()}, append([]string{"bench", "booking"}, flags...))
		if err == nil {
			t.Errorf("%q was taken", flags)
		}
	}
}

// dataFolder is where a benchmark keeps its private stores.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	// Where root runs the tests, the stores run as somebody else, who must be able to pass.
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "data")
}

// The whole benchmark, as short as it can be: each part starts, every booking that clients were told of is a row, and
// everything that was started has ended.
func TestABenchmarkCountsRows(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := run(surroundings{ctx: t.Context(), out: &out, err: t.Output()}, []string{
		"bench", "booking", "--json", "--duration", "200ms", "--rounds", "1", "--connections", "8", "--data", dataFolder(t),
		// A busy machine that takes its time isn't a store that is away.
		"--set", "JARI_REDIS_TIMEOUT=5s", "--set", "JARI_RULES_CONFIRMED=30s", "--set", "JARI_CLOCK_SKEW=10s",
	})
	if err != nil {
		t.Fatal(err)
	}
	got := fields(t, out.Bytes())
	for _, name := range []string{"rows", "bookings_per_s", "ratio_to_empty", "ratio_to_naive_hot", "hot_to_spread", "p50_ms", "p99_ms"} {
		if n, ok := got[name].(float64); !ok || n <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	parts, _ := got["parts"].(map[string]any)
	if len(parts) != len(order) {
		t.Errorf("there are %d parts, want %d", len(parts), len(order))
	}
}
