package eligibility

import (
	_ "embed"
	"encoding/csv"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // So that the zones are there on a machine without them.

	"jari/internal/civil"
)

//go:embed testdata/korea-2021.csv
var koreaCSV string

// koreaRow is one announced window, kept apart from Wave so that the oracle needs nothing of the implementation.
type koreaRow struct {
	id                 string
	birthFrom, birthTo string
	digit              int // -1: any.
	opensAt, closesAt  time.Time
	slotsFrom, slotsTo string
}

func koreaRows(t testing.TB) []koreaRow {
	t.Helper()
	reader := csv.NewReader(strings.NewReader(koreaCSV))
	reader.Comment = '#'
	records, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []koreaRow
	for _, r := range records[1:] {
		row := koreaRow{id: r[0], birthFrom: r[2], birthTo: r[3], digit: -1, slotsFrom: r[7], slotsTo: r[8]}
		if r[4] != "" {
			if row.digit, err = strconv.Atoi(r[4]); err != nil {
				t.Fatal(err)
			}
		}
		if row.opensAt, err = time.Parse(time.RFC3339, r[5]); err != nil {
			t.Fatal(err)
		}
		if row.closesAt, err = time.Parse(time.RFC3339, r[6]); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if len(rows) != 19 {
		t.Fatalf("%d rows, the programme had 19", len(rows))
	}
	return rows
}

func koreaSpec(t testing.TB) Spec {
	t.Helper()
	spec := Spec{Version: 2021, Zone: zone(t, "Asia/Seoul")}
	for _, row := range koreaRows(t) {
		rule := Rule{BirthDate: &BirthDate{From: date(t, row.birthFrom), To: date(t, row.birthTo)}}
		if row.digit >= 0 {
			rule = Rule{All: []Rule{rule, {BirthDayDigit: []int{row.digit}}}}
		}
		spec.Waves = append(spec.Waves, Wave{
			ID: row.id, Rule: rule, OpensAt: row.opensAt, ClosesAt: row.closesAt,
			SlotsFrom: date(t, row.slotsFrom), SlotsTo: date(t, row.slotsTo),
		})
	}
	return spec
}

func korea(t testing.TB) *RuleSet {
	t.Helper()
	return compile(t, koreaSpec(t))
}

func compile(t testing.TB, spec Spec) *RuleSet {
	t.Helper()
	rs, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func date(t testing.TB, s string) civil.Date {
	t.Helper()
	d, err := civil.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// seoul reads a local time of Seoul.
func seoul(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := civil.ParseInstant(s, zone(t, "Asia/Seoul"))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func born(t testing.TB, s string) Facts {
	t.Helper()
	return Facts{BirthDate: date(t, s)}
}

func TestAYesCostsNoMemory(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of other goroutines too.
	rs := korea(t)
	f, at := born(t, "1967-01-01"), seoul(t, "2021-07-20 02:00")
	slot := date(t, "2021-08-16")
	var d Decision
	if n := testing.AllocsPerRun(1000, func() { d = rs.Decide(f, at) }); n != 0 || d.Answer != Yes {
		t.Errorf("Decide: %s with %v allocations", d.Answer, n)
	}
	if n := testing.AllocsPerRun(1000, func() { d = rs.DecideSlot(f, at, slot) }); n != 0 || d.Answer != Yes {
		t.Errorf("DecideSlot: %s with %v allocations", d.Answer, n)
	}
	if n := testing.AllocsPerRun(1000, func() { d = rs.DecideMove(f, at, slot) }); n != 0 || d.Answer != Yes {
		t.Errorf("DecideMove: %s with %v allocations", d.Answer, n)
	}
	if n := testing.AllocsPerRun(1000, func() { d = rs.DecideOpening(f, at) }); n != 0 || d.Answer != Yes {
		t.Errorf("DecideOpening: %s with %v allocations", d.Answer, n)
	}
}

func BenchmarkDecideYes(b *testing.B) {
	rs := korea(b)
	f, at := born(b, "1967-01-01"), seoul(b, "2021-07-20 02:00")
	b.ReportAllocs()
	for b.Loop() {
		if d := rs.Decide(f, at); d.Answer != Yes {
			b.Fatal(d)
		}
	}
}

func BenchmarkDecideNo(b *testing.B) {
	rs := korea(b)
	f, at := born(b, "1967-01-01"), seoul(b, "2021-07-20 19:00")
	b.ReportAllocs()
	for b.Loop() {
		if d := rs.Decide(f, at); d.Answer != No || d.Next == nil {
			b.Fatal(d)
		}
	}
}
