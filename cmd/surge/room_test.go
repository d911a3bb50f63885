package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"jari/cmd/surge/rig"
	"jari/cmd/surge/waiter"
)

// promisedOfRoom are the fields that others read out of the JSON.
var promisedOfRoom = []string{
	"status_ratio_to_empty", "ticket_new_ratio_to_empty", "ticket_known_ratio_to_empty", "ratios_by_cpu", "server_bytes_per_person",
	"redis_bytes_per_person", "origin_per_s_most", "levels", "ticket_rows", "tickets_given", "cpu_shares", "revision", "parts",
}

func roomFields(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("not one JSON object: %v\n%s", err, raw)
	}
	for _, name := range promisedOfRoom {
		if _, ok := got[name]; !ok {
			t.Errorf("the field %s is missing", name)
		}
	}
	return got
}

func roomSecond(n int64, each time.Duration) *roomResult {
	return &roomResult{done: n, elapsed: time.Second, accounts: rig.Accounts{Elapsed: time.Second, Server: rig.CPU(n) * rig.CPU(each)}}
}

func TestTheReportOfARoomIsOfTheRightParts(t *testing.T) {
	t.Parallel()
	level := func(people, server int64, origin float64) roomLevel {
		return roomLevel{
			people: people, server: server, redis: 1 << 20, known: &roomResult{done: 500, elapsed: time.Second},
			edge: edgeResult{wanted: 9000, share: .5, sent: 13_500, elapsed: 3 * time.Second, origin: origin},
		}
	}
	b := &room{
		benchRoom: benchRoom{Duration: time.Second, Rounds: 1}, meter: &rig.Meter{},
		parts: map[string]*roomResult{
			roomStatus: roomSecond(9000, 20*time.Microsecond), roomStatusEmpty: roomSecond(10_000, 19*time.Microsecond),
			roomNew: roomSecond(3000, 60*time.Microsecond), roomKnown: roomSecond(5000, 40*time.Microsecond), roomEmpty: roomSecond(8000, 20*time.Microsecond),
		},
		levels: []roomLevel{level(1000, 50<<20, 2), level(1_001_000, 51<<20, 3)},
	}
	r := b.summary(rig.Facts{CPUs: 2})
	for name, c := range map[string]struct{ got, want float64 }{
		"status":         {r.StatusRatioToEmpty, .9},
		"new":            {r.TicketNewRatioToEmpty, .375},
		"known":          {r.TicketKnownRatioToEmpty, .625},
		"status by CPU":  {r.ByCPU["status_to_empty"], .95},
		"known by CPU":   {r.ByCPU["ticket_known_to_empty"], .5},
		"bytes a person": {*r.ServerBytesPerPerson, 1.048576},
		"origin":         {r.OriginMost, 1},
		"sent":           {r.Levels[1].Sent, 4500},
	} {
		if math.Abs(c.got-c.want) > 1e-3*c.want {
			t.Errorf("%s is %v, want %v", name, c.got, c.want)
		}
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	roomFields(t, raw)
	if err := r.judge(); err != nil {
		t.Errorf("a good run is judged %v", err)
	}
	var page bytes.Buffer
	if err := r.print(&page); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"the status 0.90, a ticket for somebody new 0.38, for who has one 0.62", "1.0 times a second at most", "1001000"} {
		if !strings.Contains(page.String(), words) {
			t.Errorf("%q isn't in\n%s", words, page.String())
		}
	}
	tooMuch := 17.
	for name, bad := range map[string]roomReport{
		"a place that was lost": {Given: 2, Rows: 1}, "an edge that asks for everybody": {OriginMost: 3.5},
		"people in memory": {ServerBytesPerPerson: &tooMuch}, "people in Redis": {RedisBytesPerPerson: 17},
	} {
		if bad.judge() == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestWaitersArePlayedAtTheirPace(t *testing.T) {
	t.Parallel()
	for _, people := range []int64{100, 10_000, 1_000_000} {
		wanted := wantedRate(people)
		sample := int(people)
		if people > 10_000 {
			sample = 10_000
		}
		instants := polls(people, sample, 20*time.Second)
		got := float64(len(instants)) / 20 * float64(people) / float64(sample)
		if math.Abs(got-wanted) > .1*wanted {
			t.Errorf("%d people send %.0f a second, and would %.0f", people, got, wanted)
		}
		if !slices.IsSorted(instants) || instants[len(instants)-1] >= 20*time.Second {
			t.Error("the instants aren't in order, or too late")
		}
	}
	// Who is far asks every half minute, and nobody more often than every other second.
	far, near := 10e6/waiter.DefaultPoll.Most, 100/waiter.DefaultPoll.Least
	if got := wantedRate(10_000_000); got < far || got > 1.05*far {
		t.Errorf("ten million send %.0f a second", got)
	}
	if got := wantedRate(100); math.Abs(got-near) > 1 {
		t.Errorf("a hundred send %.0f a second", got)
	}
}

func TestFlagsOfARoomThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{{"--duration", "1ms"}, {"--rounds=-1"}, {"--set", "JARI_X"}, {"--counts", "10,5"}, {"--counts", "0"}, {"--sent", "0"}} {
		err := run(surroundings{ctx: t.Context(), out: t.Output(), err: t.Output()}, append([]string{"bench", "room", "--edge", "../../deploy/nginx"}, flags...))
		if err == nil {
			t.Errorf("%q was taken", flags)
		}
	}
}

// The whole benchmark, as short as it can be: each part starts, each ticket that was given is a place, and the edge is asked
// by everybody while it asks hardly ever. How soon and how much isn't judged here: the machine has other tests to run.
func TestARoomIsMeasured(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := run(surroundings{ctx: t.Context(), out: &out, err: t.Output()}, []string{
		"bench", "room", "--json", "--duration", "100ms", "--rounds", "2", "--connections", "8", "--counts", "100,3000", "--sent", "200",
		"--edge", "../../deploy/nginx", "--data", dataFolder(t),
		// A busy machine that takes its time isn't a store that is away.
		"--set", "JARI_REDIS_TIMEOUT=5s", "--set", "JARI_RULES_CONFIRMED=30s", "--set", "JARI_CLOCK_SKEW=10s",
	})
	if _, broken := errors.AsType[brokenPromiseError](err); broken {
		t.Log(err)
	} else if err != nil {
		t.Fatal(err)
	}
	got := roomFields(t, out.Bytes())
	for _, name := range []string{"status_ratio_to_empty", "ticket_new_ratio_to_empty", "ticket_known_ratio_to_empty", "tickets_given"} {
		if n, ok := got[name].(float64); !ok || n <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if got["tickets_given"] != got["ticket_rows"] {
		t.Errorf("%v tickets were given, and %v places are in the table", got["tickets_given"], got["ticket_rows"])
	}
	levels, _ := got["levels"].([]any)
	if len(levels) != 2 {
		t.Fatalf("there are %d levels", len(levels))
	}
	for _, l := range levels {
		level, _ := l.(map[string]any)
		if sent, origin := level["sent_per_s"], level["origin_per_s"]; sent.(float64) < 20 || origin.(float64) > 5 { //nolint:forcetypeassert // see roomFields
			t.Errorf("of %v polls a second %v came through the edge", sent, origin)
		}
	}
}
