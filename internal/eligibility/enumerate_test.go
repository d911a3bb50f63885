package eligibility

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jari/internal/civil"
)

func TestTheWhole2021ProgrammeIsCheckedInAMillionEvaluations(t *testing.T) {
	t.Parallel()
	rs := compile(t, koreaSpec(t))
	report := Enumerate(rs, Options{BirthTo: date(t, "2021-12-31"), Cases: koreaCases(t)})
	if report.Evaluations > 1_000_000 { // some 200 ms; BenchmarkEnumerate2021 has the time
		t.Errorf("%d evaluations", report.Evaluations)
	}
	if len(report.Warnings) > 0 || report.Cases.Failed > 0 || report.Cases.Passed != 4*19 {
		t.Errorf("%+v %+v", report.Warnings, report.Cases)
	}
}

// koreaCases are four cases for each row: its first and last instant, and the instants beside them.
func koreaCases(t testing.TB) []Case {
	t.Helper()
	var cases []Case
	for _, row := range koreaRows(t) {
		birth := date(t, row.birthFrom)
		for row.digit >= 0 && birth.Day%10 != row.digit {
			birth = civil.AddDays(birth, 1)
		}
		for at, want := range map[time.Time]Answer{
			row.opensAt.Add(-time.Millisecond): No, row.opensAt: Yes, row.closesAt.Add(-time.Millisecond): Yes, row.closesAt: No,
		} {
			cases = append(cases, Case{Facts: Facts{BirthDate: birth}, At: at, Expect: want, Wave: row.id})
		}
	}
	return cases
}

func BenchmarkEnumerate2021(b *testing.B) {
	rs := korea(b)
	for b.Loop() {
		Enumerate(rs, Options{BirthTo: civil.Date{Year: 2021, Month: 12, Day: 31}})
	}
}

func TestTheReportIsTheJSONThatWasAgreed(t *testing.T) {
	t.Parallel()
	spec := koreaSpec(t)
	spec.Waves = spec.Waves[1:2] // F1.
	report := Enumerate(compile(t, spec), Options{
		BirthFrom: date(t, "1966-12-30"), BirthTo: date(t, "1969-01-02"), Population: map[int]int64{1967: 365, 1968: 3660},
	})
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	window := `[{"wave":"F1","opens_at":"2021-07-19T20:00:00+09:00","closes_at":"2021-07-20T18:00:00+09:00"}]`
	want := `{"rules_version":2021,"birth_from":"1966-12-30","birth_to":"1969-01-02","profiles":[{"facts":{},"intervals":[` +
		`{"birth_from":"1966-12-30","birth_to":"1966-12-31","windows":[]},` +
		`{"birth_from":"1967-01-01","birth_to":"1968-12-31","windows":` + window + `},` +
		`{"birth_from":"1969-01-01","birth_to":"1969-01-02","windows":[]}],"rows":[` +
		`{"birth_from":"1966-12-30","birth_to":"1966-12-31","windows":[]},` +
		`{"birth_from":"1967-01-01","birth_to":"1968-12-31","windows":` + window + `,"people":4025},` +
		`{"birth_from":"1969-01-01","birth_to":"1969-01-02","windows":[]}],` +
		`"head_counts":{"waves":[{"wave":"F1","people":4025}],"admitted":4025,"not_admitted":0}}],` +
		`"cases":{"passed":0,"failed":0,"waves_without_case":["F1"]},` +
		`"warnings":[{"code":"wave_without_case","waves":["F1"],"message":"F1 has no case."}],"not_covered":[],` +
		`"boundaries":2,"evaluations":735}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
	var again Report
	if err = json.Unmarshal(text, &again); err != nil {
		t.Error(err)
	}
}

func TestRowsSayWhatReadersCanRead(t *testing.T) {
	t.Parallel()
	report := Enumerate(korea(t), Options{BirthTo: date(t, "2021-12-31")})
	var lines []string
	for _, row := range report.Profiles[0].Rows {
		var waves []string
		for _, window := range row.Windows {
			waves = append(waves, window.Wave)
		}
		lines = append(lines, row.births()+": "+strings.Join(waves, " "))
	}
	want := []string{
		"1900-01-01 to 1961-12-31: ", "1962-01-01 to 1966-12-31: E3", "1967-01-01 to 1968-12-31: F1 F3", "1969-01-01 to 1971-12-31: F2 F3",
	}
	for _, years := range []string{"1972-01-01 to 1985-12-31", "1986-01-01 to 2003-12-31"} {
		extra := "U1"
		if years[0:4] == "1986" {
			extra = "U2"
		}
		for digit := range 10 {
			want = append(want, fmt.Sprintf("%s, day ending in %d: T%d %s U3", years, digit, digit, extra))
		}
	}
	want = append(want, "2004-01-01 to 2005-12-31: V1", "2006-01-01 to 2009-12-31: V2", "2010-01-01 to 2021-12-31: ")
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

// An official notice once said "born 2003 or later" where "or earlier" was meant.
func TestTheTypoOfTheNoticeIsSeenAtAGlance(t *testing.T) {
	t.Parallel()
	spec := koreaSpec(t)
	before := Enumerate(compile(t, spec), Options{BirthTo: date(t, "2021-12-31")})
	i := slices.IndexFunc(spec.Waves, func(w Wave) bool { return w.ID == "U3" })
	spec.Waves[i].Rule = Rule{BirthDate: &BirthDate{From: date(t, "2003-01-01")}}
	after := Enumerate(compile(t, spec), Options{BirthTo: date(t, "2021-12-31")})
	if !slices.ContainsFunc(after.Warnings, func(w Warning) bool {
		return w.Code == WarnAdmitsNewborns && slices.Equal(w.Waves, []string{"U3"})
	}) {
		t.Errorf("%+v", after.Warnings)
	}
	d := Diff(before, after)
	var births []string
	for _, change := range d.Changes {
		row := change.row()
		births = append(births, row.births())
	}
	slices.Sort(births)
	// Who loses the wave (by digit, because other waves go by digits), and who gets it.
	var want []string
	for _, years := range []string{"1972-01-01 to 1985-12-31", "1986-01-01 to 2002-12-31"} {
		for digit := range 10 {
			want = append(want, fmt.Sprintf("%s, day ending in %d", years, digit))
		}
	}
	want = append(want, "2004-01-01 to 2005-12-31", "2006-01-01 to 2009-12-31", "2010-01-01 to 2021-12-31")
	if diff := cmp.Diff(want, births); diff != "" {
		t.Error(diff)
	}
}

func TestNothingIsDifferentBetweenEqualReports(t *testing.T) {
	t.Parallel()
	report := Enumerate(korea(t), Options{BirthTo: date(t, "2021-12-31")})
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var published Report
	if err = json.Unmarshal(text, &published); err != nil {
		t.Fatal(err)
	}
	if d := Diff(published, report); len(d.Changes) > 0 || len(d.NotCompared) > 0 {
		t.Errorf("%+v", d)
	}
}

func TestDifferencesAreExact(t *testing.T) {
	t.Parallel()
	f1 := func(text string) *RuleSet { return oneWave(t, rule(t, text)) }
	opts := Options{BirthFrom: date(t, "1960-01-01"), BirthTo: date(t, "1970-12-31")}
	before := Enumerate(f1(`{"birth_date":{"from":"1967-01-01","to":"1968-12-31"}}`), opts)
	after := Enumerate(f1(`{"any":[{"birth_date":{"from":"1967-01-02","to":"1968-12-31"}},`+
		`{"all":[{"birth_date":{"from":"1960-01-01","to":"1962-12-31"}},{"birth_day_digit":[9]},{"birth_year_digit":[1]}]}]}`), opts)
	d := Diff(before, after)
	var lines []string
	for _, change := range d.Changes {
		row := change.row()
		lines = append(lines, fmt.Sprintf("%s: %d → %d", row.births(), len(change.Before), len(change.After)))
	}
	want := []string{
		"1960-01-01 to 1962-12-31, day ending in 9, year ending in 1: 0 → 1",
		"1967-01-01 to 1967-01-01: 1 → 0",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	lists := Enumerate(f1(`{"in_list":"a"}`), opts)
	if d = Diff(before, lists); !cmp.Equal(d.NotCompared, []string{
		`Only the new rules tell this profile apart: {"lists":[]}`, `Only the new rules tell this profile apart: {"lists":["a"]}`,
	}) {
		t.Errorf("%q", d.NotCompared)
	}
	if d = Diff(lists, before); len(d.NotCompared) != 2 || !strings.HasPrefix(d.NotCompared[0], "Only the old rules") {
		t.Errorf("%q", d.NotCompared)
	}
	if change := Diff(before, lists).Changes[0]; len(change.After) != 1 || !slices.Equal(change.After[0].DependsOn, []string{"list:a"}) {
		t.Errorf("%+v", change)
	}
}

func TestGapsAndOverlapsAreSeen(t *testing.T) {
	t.Parallel()
	wave := func(id, ruleText, opens, closes string) Wave {
		return Wave{
			ID: id, Rule: rule(t, ruleText), OpensAt: seoul(t, opens), ClosesAt: seoul(t, closes),
			SlotsFrom: date(t, "2021-09-01"), SlotsTo: date(t, "2021-09-30"),
		}
	}
	older := `{"birth_date":{"from":"1960-01-01","to":"1964-12-31"}}`
	younger := `{"birth_date":{"from":"1965-01-02","to":"1970-12-31"}}`
	next := `{"birth_date":{"from":"1965-01-01","to":"1970-12-31"}}`
	until2000 := `{"birth_date":{"from":"1900-01-01","to":"2000-12-31"}}`
	july := func(id, ruleText string) Wave { return wave(id, ruleText, "2021-07-01 20:00", "2021-07-02 18:00") }
	for name, c := range map[string]struct {
		waves []Wave
		want  []string
	}{
		"a day between two waves": {
			[]Wave{july("A", older), july("B", younger)},
			[]string{"gap : No wave admits people born 1965-01-01 to 1965-01-01, while some admit older and younger people."},
		},
		"digits that nobody thought of": {
			[]Wave{july("A", `{"all":[{"birth_day_digit":[1,2,3,4,5,6,7,8]},{"birth_date":{"from":"1960-01-01","to":"1970-12-31"}}]}`)},
			[]string{
				"gap : No wave admits people born 1960-01-01 to 1970-12-31, day ending in 0, 9, " +
					"while some admit older and younger people.",
			},
		},
		"two days, one window inside the other": {
			[]Wave{july("A", older), wave("B", older, "2021-07-02 00:00", "2021-07-03 18:00")},
			[]string{"overlap A B: B opens while A is open for the same people, born between 1960-01-01 and 1964-12-31."},
		},
		"two windows of one day": {
			[]Wave{july("A", older), wave("B", older, "2021-07-01 21:00", "2021-07-03 18:00")}, nil,
		},
		"a second chance after the first": {
			[]Wave{july("A", older), wave("B", older, "2021-07-02 18:00", "2021-07-03 18:00")}, nil,
		},
		"others at the same time": {
			[]Wave{july("A", older), wave("B", next, "2021-07-02 00:00", "2021-07-03 18:00")}, nil,
		},
		"an overlap only for a list is intended": {
			[]Wave{july("A", `{"in_list":"staff"}`), wave("B", until2000, "2021-07-02 00:00", "2021-07-03 18:00")},
			[]string{"admits_newborns A: A admits people born up to 2021-07-01, the youngest there are."},
		},
		"nobody": {
			[]Wave{july("A", older), july("B", `{"all":[{"birth_date":{"to":"1950-12-31"}},{"birth_date":{"from":"1951-01-01"}}]}`)},
			[]string{"admits_nobody B: B admits nobody in any profile that was enumerated."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rs := compile(t, Spec{Zone: zone(t, "Asia/Seoul"), Waves: c.waves})
			report := Enumerate(rs, Options{BirthTo: date(t, "2021-07-01")})
			var got []string
			for _, w := range report.Warnings {
				if w.Code != WarnWaveWithoutCase {
					got = append(got, fmt.Sprintf("%s %s: %s", w.Code, strings.Join(w.Waves, " "), w.Message))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProfilesCombineTheFactsThatRulesName(t *testing.T) {
	t.Parallel()
	rs := oneWave(t, rule(t, `{"any":[{"in_list":"b"},{"in_list":"a"},{"region":["11*","11680"]},{"region":["26"]}]}`))
	report := Enumerate(rs, Options{BirthFrom: date(t, "2000-01-01"), BirthTo: date(t, "2000-01-31")})
	var facts []string
	for _, p := range report.Profiles {
		facts = append(facts, factsKey(p.Facts))
	}
	want := []string{
		`{}`, `{"lists":[],"region":""}`,
		`{"lists":["a"],"region":""}`, `{"lists":["b"],"region":""}`, `{"lists":[],"region":"11"}`, `{"lists":[],"region":"26"}`,
		`{"lists":["a","b"],"region":""}`, `{"lists":["a"],"region":"11"}`, `{"lists":["a"],"region":"26"}`,
		`{"lists":["b"],"region":"11"}`, `{"lists":["b"],"region":"26"}`,
		`{"lists":["a","b"],"region":"11"}`, `{"lists":["a","b"],"region":"26"}`,
	}
	if diff := cmp.Diff(want, facts); diff != "" || len(report.NotCovered) != 0 {
		t.Errorf("%s %q", diff, report.NotCovered)
	}
	report = Enumerate(rs, Options{BirthFrom: date(t, "2000-01-01"), BirthTo: date(t, "2000-01-31"), MaxProfiles: 5})
	if len(report.Profiles) != 5 || len(report.NotCovered) != 1 || !strings.HasPrefix(report.NotCovered[0], "8 of 13 combinations") {
		t.Errorf("%d profiles, %q", len(report.Profiles), report.NotCovered)
	}
	report = Enumerate(rs, Options{BirthFrom: date(t, "2000-01-01"), BirthTo: date(t, "2000-01-31"), MaxEvaluations: 1})
	if len(report.Profiles) != 1 || len(report.NotCovered) != 1 {
		t.Errorf("%d profiles, %q", len(report.Profiles), report.NotCovered)
	}
}

func TestDosesAreEnumeratedWhereTheyTurn(t *testing.T) {
	t.Parallel()
	rs := oneWave(t, rule(t, `{"days_since_dose":{"dose":1,"min":28,"max":84,"product":"AZ"}}`))
	report := Enumerate(rs, Options{BirthFrom: date(t, "2000-01-01"), BirthTo: date(t, "2000-01-02"), MaxProfiles: 100})
	windows := map[string]string{}
	for _, p := range report.Profiles[1:] {
		key := ""
		for _, dose := range p.Facts.Doses.Given {
			key = dose.On.String() + " " + dose.Product
		}
		for _, w := range p.Intervals[0].Windows {
			windows[key] = w.OpensAt.Format("01-02 15:04") + " to " + w.ClosesAt.Format("01-02 15:04")
		}
		if len(p.Intervals) != 1 {
			t.Errorf("%s: %d intervals", key, len(p.Intervals))
		}
	}
	want := map[string]string{
		"2021-04-08 AZ": "07-01 00:00 to 07-02 00:00", // The 84th day is the first of the window.
		"2021-05-07 AZ": "07-01 00:00 to 07-31 00:00",
		"2021-05-08 AZ": "07-01 00:00 to 08-01 00:00", // The 84th day is the last of the window.
		"2021-06-03 AZ": "07-01 00:00 to 08-01 00:00", // The 28th day is the first.
		"2021-06-04 AZ": "07-02 00:00 to 08-01 00:00",
		"2021-07-03 AZ": "07-31 00:00 to 08-01 00:00", // The 28th day is the last.
	}
	if diff := cmp.Diff(want, windows); diff != "" {
		t.Error(diff)
	}
	if len(report.NotCovered) != 1 || !strings.HasPrefix(report.NotCovered[0], "Dose dates") {
		t.Errorf("%q", report.NotCovered)
	}
}

func TestBirthdaysCutWindowsAtMidnight(t *testing.T) {
	t.Parallel()
	rs := oneWave(t, rule(t, `{"all":[{"full_age":{"min":5,"max":11,"on":"asking"}},
		{"not":{"full_age":{"min":5,"max":5,"on":"asking"}}}]}`))
	report := Enumerate(rs, Options{BirthFrom: date(t, "2009-06-30"), BirthTo: date(t, "2016-01-01")})
	at := func(birth string) string {
		for _, interval := range report.Profiles[0].Intervals {
			if !date(t, birth).Before(interval.BirthFrom) && !date(t, birth).After(interval.BirthTo) {
				var text []string
				for _, w := range interval.Windows {
					text = append(text, w.OpensAt.Format("01-02 15:04")+" to "+w.ClosesAt.Format("01-02 15:04"))
				}
				return strings.Join(text, ", ")
			}
		}
		return "in no interval"
	}
	for birth, want := range map[string]string{
		"2009-07-01": "", // Twelve on the first day.
		"2009-07-02": "07-01 00:00 to 07-02 00:00",
		"2009-07-31": "07-01 00:00 to 07-31 00:00",
		"2009-08-01": "07-01 00:00 to 08-01 00:00",
		"2015-07-01": "07-01 00:00 to 08-01 00:00",
		"2015-07-02": "07-02 00:00 to 08-01 00:00", // Six on the second.
		"2015-07-31": "07-31 00:00 to 08-01 00:00",
		"2015-08-01": "",
	} {
		if got := at(birth); got != want {
			t.Errorf("born %s: %q, want %q", birth, got, want)
		}
	}
}

func TestOptionsHaveBounds(t *testing.T) {
	t.Parallel()
	rs := oneWave(t, rule(t, `{"birth_date":{"to":"2000-01-01"}}`))
	report := Enumerate(rs, Options{})
	if report.BirthFrom != date(t, "1900-01-01") || report.BirthTo != date(t, "2021-07-01") {
		t.Errorf("%s to %s", report.BirthFrom, report.BirthTo)
	}
	report = Enumerate(rs, Options{BirthFrom: date(t, "0001-01-01"), BirthTo: date(t, "2021-07-01")})
	if civil.DaysBetween(report.BirthFrom, report.BirthTo) != MaxBirthDates-1 || len(report.NotCovered) != 1 {
		t.Errorf("from %s, %q", report.BirthFrom, report.NotCovered)
	}
	report = Enumerate(rs, Options{BirthFrom: date(t, "2000-01-02"), BirthTo: date(t, "2000-01-01")})
	if report.BirthFrom != report.BirthTo {
		t.Errorf("%s to %s", report.BirthFrom, report.BirthTo)
	}
}

func TestHeadsAreCountedByTheDaysOfAYear(t *testing.T) {
	t.Parallel()
	rs := oneWave(t, rule(t, `{"any":[{"birth_date":{"from":"2000-02-01","to":"2001-01-31"}},{"in_list":"a"}]}`))
	report := Enumerate(rs, Options{
		BirthFrom: date(t, "1999-01-01"), BirthTo: date(t, "2001-12-31"), MaxProfiles: 3,
		Population: map[int]int64{2000: 366_000, 2001: 365_000, 1990: 7},
	})
	want := []HeadCounts{
		{Waves: []HeadCount{{Wave: "W", People: 731_000, Depending: 365_000}}, Admitted: 731_000},            // Depends on the list.
		{Waves: []HeadCount{{Wave: "W", People: 335_000 + 31_000}}, Admitted: 366_000, NotAdmitted: 365_000}, // On no list.
		{Waves: []HeadCount{{Wave: "W", People: 731_000}}, Admitted: 731_000},                                // On it.
	}
	for i, p := range report.Profiles {
		if diff := cmp.Diff(&want[i], p.HeadCounts); diff != "" {
			t.Errorf("profile %d: %s", i, diff)
		}
		var people int64
		for _, row := range p.Rows {
			people += row.People
		}
		if people != 731_000 {
			t.Errorf("profile %d: rows have %d people", i, people)
		}
	}
}

func TestCasesPassFailAndCoverWaves(t *testing.T) {
	t.Parallel()
	rs := korea(t)
	at := func(s string) time.Time { return seoul(t, s) }
	report := RunCases(rs, []Case{
		{Facts: born(t, "1967-01-01"), At: at("2021-07-20 02:00"), Expect: Yes},
		{Facts: born(t, "1967-01-01"), At: at("2021-07-20 18:00"), Expect: No, NextWave: "F3", EligibleFrom: at("2021-07-21 20:00")},
		{Facts: born(t, "1963-01-01"), At: at("2021-07-20 18:00"), Expect: No, Wave: "F1"}, // E3 would admit.
		{Facts: born(t, "1963-01-01"), At: at("2021-07-20 18:00"), Expect: Yes, SlotOn: date(t, "2021-07-26"), Wave: "E3"},
		{Name: "slot", Facts: born(t, "1963-01-01"), At: at("2021-07-20 18:00"), Expect: Yes, SlotOn: date(t, "2021-07-25")},
		{Name: "typo", Facts: born(t, "1969-01-01"), At: at("2021-07-20 02:00"), Expect: Yes},
		{
			Name: "next", Facts: born(t, "1969-01-01"), At: at("2021-07-20 02:00"), Expect: No,
			NextWave: "F3", EligibleFrom: at("2021-07-21 20:00"),
		},
		{Name: "never", Facts: born(t, "1950-01-01"), At: at("2021-07-20 02:00"), Expect: No, EligibleFrom: at("2021-07-21 20:00")},
		{Name: "unknown wave", Facts: born(t, "1969-01-01"), At: at("2021-07-20 02:00"), Expect: Yes, Wave: "F9"},
		{Name: "no instant", Facts: born(t, "1969-01-01"), Expect: No},
	})
	if report.Passed != 4 || report.Failed != 6 || len(report.Failures) != 6 {
		t.Errorf("%d passed, %d failed: %+v", report.Passed, report.Failed, report.Failures)
	}
	var lines []string
	for _, f := range report.Failures {
		lines = append(lines, fmt.Sprintf("%d %s: %s", f.Index, f.Name, f.Message))
	}
	want := []string{
		"4 slot: the answer is no, expected yes",
		"5 typo: the answer is no, expected yes",
		`6 next: the next wave is "F2", expected "F3"; eligible from 2021-07-20T20:00:00+09:00, expected 2021-07-21T20:00:00+09:00`,
		"7 never: eligible from never, expected 2021-07-21T20:00:00+09:00",
		`8 unknown wave: there is no wave "F9"`,
		"9 no instant: the case names no instant",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	// E3 and F1 are named or decide; no other wave has a case.
	without := report.WavesWithoutCase
	if len(without) != 17 || slices.Contains(without, "F1") || slices.Contains(without, "E3") {
		t.Errorf("without a case: %q", report.WavesWithoutCase)
	}
}

func TestCasesAreReadFromJSON(t *testing.T) {
	t.Parallel()
	var c Case
	err := json.Unmarshal([]byte(`{"name":"n","birth_date":"1967-01-01","lists":["a"],"region":"11","doses":[{"dose":1,"on":"2021-05-29"}],
		"at":"2021-07-20T02:00:00+09:00","slot_on":"2021-08-16","expect":"depends","wave":"F1","next_wave":"F3",
		"eligible_from":"2021-07-21T20:00:00+09:00"}`), &c)
	want := Case{
		Name: "n", Facts: Facts{
			BirthDate: date(t, "1967-01-01"), Lists: OnLists("a"), Region: LivesIn("11"),
			Doses: HadDoses(Dose{Number: 1, On: date(t, "2021-05-29")}),
		}, At: seoul(t, "2021-07-20 02:00"), SlotOn: date(t, "2021-08-16"), Expect: Depends, Wave: "F1", NextWave: "F3",
		EligibleFrom: seoul(t, "2021-07-21 20:00"),
	}
	if diff := cmp.Diff(want, c); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for _, text := range []string{`{"expect":"maybe"}`, `{"birth_date":"1967-02-30"}`, `{"lists":"a"}`, `{"region":11}`, `{"doses":{}}`} {
		if err := json.Unmarshal([]byte(text), &c); err == nil {
			t.Errorf("%s was read", text)
		}
	}
	if err := json.Unmarshal([]byte(`{"lists":null,"region":null,"doses":null}`), &c); err != nil ||
		!c.Lists.IsZero() || !c.Region.IsZero() || !c.Doses.IsZero() {
		t.Errorf("null isn't unknown: %+v, %v", c.Facts, err)
	}
}
