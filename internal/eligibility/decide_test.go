package eligibility

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jari/internal/civil"
)

// oneWave is a campaign of one wave, open for all of July 2021 in Seoul, with slots in August.
func oneWave(t testing.TB, r Rule) *RuleSet {
	t.Helper()
	return compile(t, Spec{Version: 3, Zone: zone(t, "Asia/Seoul"), Waves: []Wave{{
		ID: "W", Rule: r, OpensAt: seoul(t, "2021-07-01 00:00"), ClosesAt: seoul(t, "2021-07-31 24:00"),
		SlotsFrom: date(t, "2021-08-01"), SlotsTo: date(t, "2021-08-31"),
	}}})
}

func TestEveryOperatorAtItsEdges(t *testing.T) {
	t.Parallel()
	at := "2021-07-20 12:00"
	lists := func(names ...string) Facts { return Facts{Lists: OnLists(names...)} }
	lives := func(code string) Facts { return Facts{Region: LivesIn(code)} }
	had := func(doses ...Dose) Facts { return Facts{Doses: HadDoses(doses...)} }
	first := func(on, product string) Dose { return Dose{Number: 1, On: date(t, on), Product: product} }
	for _, c := range []struct {
		rule  string
		facts Facts
		born  []string // Each is asked with the facts; none: one that doesn't matter.
		want  Answer
		code  Code // Of the first reason, where the answer is no.
	}{
		{`{"birth_date":{"from":"1967-01-01","to":"1968-12-31"}}`, Facts{}, []string{"1967-01-01", "1968-12-31"}, Yes, ""},
		{`{"birth_date":{"from":"1967-01-01","to":"1968-12-31"}}`, Facts{}, []string{"1966-12-31", "1969-01-01"}, No, BirthDateOutOfRange},
		{`{"birth_date":{"from":"1967-01-01"}}`, Facts{}, []string{"1967-01-01", "2021-07-20"}, Yes, ""},
		{`{"birth_date":{"from":"1967-01-01"}}`, Facts{}, []string{"1966-12-31"}, No, BirthDateOutOfRange},
		{`{"birth_date":{"to":"1968-12-31"}}`, Facts{}, []string{"1968-12-31", "1880-01-01"}, Yes, ""},
		{`{"birth_date":{"to":"1968-12-31"}}`, Facts{}, []string{"1969-01-01"}, No, BirthDateOutOfRange},
		{`{"not":{"birth_date":{"to":"1968-12-31"}}}`, Facts{}, []string{"1969-01-01"}, Yes, ""},
		{`{"not":{"birth_date":{"to":"1968-12-31"}}}`, Facts{}, []string{"1968-12-31"}, No, BirthDateExcluded},
		{`{"year_age":{"min":12,"max":17,"in":2021}}`, Facts{}, []string{"2009-12-31", "2004-01-01"}, Yes, ""},
		{`{"year_age":{"min":12,"max":17,"in":2021}}`, Facts{}, []string{"2010-01-01", "2003-12-31"}, No, YearAgeOutOfRange},
		{`{"not":{"year_age":{"min":12,"in":2021}}}`, Facts{}, []string{"2009-12-31"}, No, YearAgeExcluded},
		{`{"full_age":{"min":5,"max":11,"on":"asking"}}`, Facts{}, []string{"2016-07-20", "2009-07-21"}, Yes, ""},
		{`{"full_age":{"min":5,"max":11,"on":"asking"}}`, Facts{}, []string{"2016-07-21", "2009-07-20"}, No, FullAgeOutOfRange},
		{`{"full_age":{"min":5,"max":11,"on":"2021-01-01"}}`, Facts{}, []string{"2016-01-01", "2009-01-02"}, Yes, ""},
		{`{"full_age":{"min":5,"max":11,"on":"2021-01-01"}}`, Facts{}, []string{"2016-01-02", "2009-01-01"}, No, FullAgeOutOfRange},
		{`{"not":{"full_age":{"max":11,"on":"2021-01-01"}}}`, Facts{}, []string{"2009-01-02"}, No, FullAgeExcluded},
		{`{"full_age":{"min":5,"on":"slot"}}`, Facts{}, []string{"2016-08-31"}, Yes, ""}, // On the last slot day.
		{`{"full_age":{"min":5,"on":"slot"}}`, Facts{}, []string{"2016-09-01"}, No, FullAgeOutOfRange},
		{`{"full_age":{"max":11,"on":"slot"}}`, Facts{}, []string{"2009-08-02"}, Yes, ""}, // On the first.
		{`{"full_age":{"max":11,"on":"slot"}}`, Facts{}, []string{"2009-08-01"}, No, FullAgeOutOfRange},
		{`{"birth_day_digit":[9,0]}`, Facts{}, []string{"1980-01-09", "1980-02-29", "1980-01-10", "1980-01-30"}, Yes, ""},
		{`{"birth_day_digit":[9,0]}`, Facts{}, []string{"1980-01-31", "1989-09-01", "1980-10-11"}, No, BirthDayDigitMismatch},
		{`{"not":{"birth_day_digit":[9]}}`, Facts{}, []string{"1980-01-09"}, No, BirthDayDigitExcluded},
		{`{"birth_year_digit":[7,2]}`, Facts{}, []string{"1967-01-01", "1972-12-31"}, Yes, ""},
		{`{"birth_year_digit":[7,2]}`, Facts{}, []string{"1966-07-07", "1973-02-02"}, No, BirthYearDigitMismatch},
		{`{"not":{"birth_year_digit":[7]}}`, Facts{}, []string{"1967-01-01"}, No, BirthYearDigitExcluded},
		{`{"in_list":"a"}`, lists("b", "a"), nil, Yes, ""},
		{`{"in_list":"a"}`, lists("b"), nil, No, NotOnList},
		{`{"in_list":"a"}`, lists(), nil, No, NotOnList},
		{`{"in_list":"a"}`, Facts{}, nil, Depends, ""},
		{`{"in_list":"a"}`, Facts{Lists: Lists{Names: []string{"a"}}}, nil, Yes, ""}, // The others aren't known.
		{`{"in_list":"a"}`, Facts{Lists: Lists{Names: []string{"b"}}}, nil, Depends, ""},
		{`{"not":{"in_list":"a"}}`, lists("a"), nil, No, OnExcludedList},
		{`{"not":{"in_list":"a"}}`, lists(), nil, Yes, ""},
		{`{"not":{"in_list":"a"}}`, Facts{}, nil, Depends, ""},
		{`{"region":["26","11"]}`, lives("11"), nil, Yes, ""},
		{`{"region":["26","11"]}`, lives("110"), nil, No, RegionNotIncluded},
		{`{"region":["26","11"]}`, lives(""), nil, No, RegionNotIncluded},
		{`{"region":["26","11"]}`, Facts{}, nil, Depends, ""},
		{`{"region":["26","11*"]}`, lives("11680"), nil, Yes, ""},
		{`{"region":["26","11*"]}`, lives("11"), nil, Yes, ""},
		{`{"region":["26","11*"]}`, lives("1"), nil, No, RegionNotIncluded},
		{`{"not":{"region":["11*"]}}`, lives("11680"), nil, No, RegionExcluded},
		{`{"days_since_dose":{"dose":1,"min":28,"max":84}}`, had(first("2021-06-22", "")), nil, Yes, ""}, // 28 days.
		{`{"days_since_dose":{"dose":1,"min":28,"max":84}}`, had(first("2021-06-23", "")), nil, No, DoseTooRecent},
		{`{"days_since_dose":{"dose":1,"min":28,"max":84}}`, had(first("2021-04-27", "")), nil, Yes, ""}, // 84 days.
		{`{"days_since_dose":{"dose":1,"min":28,"max":84}}`, had(first("2021-04-26", "")), nil, No, DoseTooLongAgo},
		{`{"days_since_dose":{"dose":1,"min":28}}`, had(), nil, No, DoseMissing},
		{`{"days_since_dose":{"dose":1,"min":28}}`, Facts{}, nil, Depends, ""},
		{`{"days_since_dose":{"dose":2,"min":28}}`, had(first("2021-01-01", "")), nil, No, DoseMissing},
		{`{"days_since_dose":{"dose":1}}`, had(first("2021-07-20", "")), nil, Yes, ""},
		{`{"days_since_dose":{"dose":1}}`, had(first("2021-07-21", "")), nil, No, DoseTooRecent}, // Still to come.
		{`{"days_since_dose":{"dose":1,"product":"AZ"}}`, had(first("2021-01-01", "AZ")), nil, Yes, ""},
		{`{"days_since_dose":{"dose":1,"product":"AZ"}}`, had(first("2021-01-01", "PF")), nil, No, DoseOtherProduct},
		{`{"days_since_dose":{"dose":1,"product":"AZ"}}`, had(first("2021-01-01", "")), nil, Depends, ""},
		{`{"days_since_dose":{"dose":1,"max":84,"product":"AZ"}}`, had(first("2021-01-01", "")), nil, No, DoseTooLongAgo},
		{`{"days_since_dose":{"dose":1,"min":28}}`, had(Dose{Number: 1}), nil, Depends, ""}, // Given, but when?
		{`{"days_since_dose":{"dose":1,"min":28}}`, had(first("2021-01-01", ""), first("2021-07-01", "")), nil, No, DoseTooRecent},
		{`{"not":{"days_since_dose":{"dose":1}}}`, had(first("2021-01-01", "")), nil, No, DoseExcluded},
		{`{"days_since_dose":{"dose":1,"min":28,"on":"slot"}}`, had(first("2021-08-03", "")), nil, Yes, ""},
		{`{"days_since_dose":{"dose":1,"min":28,"on":"slot"}}`, had(first("2021-08-04", "")), nil, No, DoseTooRecent},
		{`{"days_since_dose":{"dose":1,"min":28,"on":"2021-03-01"}}`, had(first("2021-02-01", "")), nil, Yes, ""},
		{`{"days_since_dose":{"dose":1,"min":28,"on":"2021-03-01"}}`, had(first("2021-02-02", "")), nil, No, DoseTooRecent},
		// Two leaves that look at the slot day have to agree on one day: the child is five from the 20th, the dose is old
		// enough until the 10th.
		{
			`{"all":[{"full_age":{"min":5,"on":"slot"}},{"days_since_dose":{"dose":1,"max":28,"on":"slot"}}]}`,
			had(first("2021-07-13", "")),
			[]string{"2016-08-20"},
			No, FullAgeOutOfRange,
		},
		{
			`{"all":[{"full_age":{"min":5,"on":"slot"}},{"days_since_dose":{"dose":1,"max":28,"on":"slot"}}]}`,
			had(first("2021-07-13", "")),
			[]string{"2016-08-10"},
			Yes, "",
		},
	} {
		births := c.born
		if births == nil {
			births = []string{"1970-05-15"}
		}
		rs := oneWave(t, rule(t, c.rule))
		for _, birth := range births {
			c.facts.BirthDate = date(t, birth)
			d := rs.Decide(c.facts, seoul(t, at))
			if d.Answer != c.want || (c.want == No && (len(d.Reasons) == 0 || d.Reasons[0].Code != c.code)) {
				t.Errorf("%s, born %s, %+v: %s %+v, want %s %s", c.rule, birth, c.facts, d.Answer, d.Reasons, c.want, c.code)
			}
		}
	}
}

func TestThreeValuedLogicIsKleenes(t *testing.T) {
	t.Parallel()
	at := seoul(t, "2021-07-20 12:00")
	// Three leaves with known values.
	leaf := map[Answer]string{Yes: `{"in_list":"on"}`, No: `{"region":["99"]}`, Depends: `{"days_since_dose":{"dose":1}}`}
	f := born(t, "1970-01-01")
	f.Lists, f.Region = OnLists("on"), LivesIn("11")
	ask := func(text string) Answer { return oneWave(t, rule(t, text)).Decide(f, at).Answer }
	all := map[[2]Answer]Answer{
		{Yes, Yes}: Yes, {Yes, Depends}: Depends, {Yes, No}: No,
		{Depends, Yes}: Depends, {Depends, Depends}: Depends, {Depends, No}: No,
		{No, Yes}: No, {No, Depends}: No, {No, No}: No,
	}
	negation := map[Answer]Answer{Yes: No, Depends: Depends, No: Yes}
	for value, want := range negation {
		if got := ask(`{"not":` + leaf[value] + `}`); got != want {
			t.Errorf("not %s = %s, want %s", value, got, want)
		}
		if got := ask(`{"not":{"not":` + leaf[value] + `}}`); got != value {
			t.Errorf("not not %s = %s", value, got)
		}
	}
	for pair, want := range all {
		parts := leaf[pair[0]] + `,` + leaf[pair[1]]
		negated := `{"not":` + leaf[pair[0]] + `},{"not":` + leaf[pair[1]] + `}`
		for text, want := range map[string]Answer{
			`{"all":[` + parts + `]}`:           want,
			`{"not":{"any":[` + negated + `]}}`: want,
			`{"any":[` + negated + `]}`:         negation[want],
			`{"not":{"all":[` + parts + `]}}`:   negation[want],
		} {
			if got := ask(text); got != want {
				t.Errorf("%v: %s = %s, want %s", pair, text, got, want)
			}
		}
	}
}

// overlapping is a campaign whose waves overlap: for a list first, for everyone later, with a later last chance.
func overlapping(t testing.TB) *RuleSet {
	t.Helper()
	everyone := Rule{BirthDate: &BirthDate{From: date(t, "1900-01-01")}}
	slots := func(w Wave) Wave {
		w.SlotsFrom, w.SlotsTo = date(t, "2021-08-01"), date(t, "2021-08-31")
		return w
	}
	last := slots(Wave{ID: "last", Rule: everyone, OpensAt: seoul(t, "2021-07-20 00:00"), ClosesAt: seoul(t, "2021-07-31 00:00")})
	last.SlotsFrom, last.SlotsTo = date(t, "2021-09-01"), date(t, "2021-09-30")
	return compile(t, Spec{Version: 4, Zone: zone(t, "Asia/Seoul"), Waves: []Wave{
		slots(Wave{
			ID: "staff", Rule: Rule{InList: "staff"}, OpensAt: seoul(t, "2021-07-01 00:00"), ClosesAt: seoul(t, "2021-07-25 00:00"),
		}),
		slots(Wave{ID: "all", Rule: everyone, OpensAt: seoul(t, "2021-07-10 00:00"), ClosesAt: seoul(t, "2021-07-25 00:00")}),
		last,
	}})
}

func TestOfSeveralWavesTheOneThatClosesLastIsNamed(t *testing.T) {
	t.Parallel()
	rs := overlapping(t)
	f := born(t, "1970-01-01")
	f.Lists = OnLists("staff")
	for _, c := range []struct {
		at, slot, want string
	}{
		{"2021-07-05 00:00", "", "staff"},
		{"2021-07-15 00:00", "", "staff"}, // Closes with "all", and comes first.
		{"2021-07-20 00:00", "", "last"},
		{"2021-07-20 00:00", "2021-08-31", "staff"}, // The last wave doesn't cover that day.
		{"2021-07-20 00:00", "2021-09-01", "last"},
	} {
		d := rs.Decide(f, seoul(t, c.at))
		if c.slot != "" {
			d = rs.DecideSlot(f, seoul(t, c.at), date(t, c.slot))
		}
		if d.Answer != Yes || d.Wave != c.want {
			t.Errorf("at %s, slot %q: %s %q, want %q", c.at, c.slot, d.Answer, d.Wave, c.want)
		}
	}
	if got := rs.Open(seoul(t, "2021-07-20 00:00")); !slices.Equal(got, []string{"staff", "all", "last"}) {
		t.Errorf("open: %q", got)
	}
	// A ticket for the opening of "all" names that wave, although another was open already.
	if d := rs.DecideOpening(f, seoul(t, "2021-07-10 00:00")); d.Answer != Yes || d.Wave != "all" {
		t.Errorf("opening: %s %q", d.Answer, d.Wave)
	}
	if d := rs.DecideOpening(f, seoul(t, "2021-07-11 00:00")); d.Answer != Yes || d.Wave != "staff" {
		t.Errorf("no opening: %s %q", d.Answer, d.Wave)
	}
}

func TestThePublicQuestionNeverReadsLists(t *testing.T) {
	t.Parallel()
	rs := overlapping(t)
	for _, at := range []string{"2021-06-30 00:00", "2021-07-05 00:00", "2021-07-15 00:00", "2021-08-02 00:00"} {
		want := rs.DecidePublic(born(t, "1970-01-01"), seoul(t, at))
		for _, lists := range []Lists{OnLists(), OnLists("staff"), {Names: []string{"staff"}}} {
			f := born(t, "1970-01-01")
			f.Lists = lists
			if diff := cmp.Diff(want, rs.DecidePublic(f, seoul(t, at))); diff != "" {
				t.Errorf("at %s the answer tells who is on a list: %s", at, diff)
			}
		}
	}
	d := rs.DecidePublic(born(t, "1970-01-01"), seoul(t, "2021-06-30 00:00"))
	want := Decision{
		Answer: No,
		Reasons: []Reason{
			{Code: WindowNotOpenYet, Wave: "staff", OpensAt: seoul(t, "2021-07-01 00:00")},
			{Code: WindowNotOpenYet, Wave: "all", OpensAt: seoul(t, "2021-07-10 00:00")},
			{Code: WindowNotOpenYet, Wave: "last", OpensAt: seoul(t, "2021-07-20 00:00")},
		},
		Next:         &Next{Wave: "all", EligibleFrom: seoul(t, "2021-07-10 00:00")},
		NextIf:       &Next{Wave: "staff", EligibleFrom: seoul(t, "2021-07-01 00:00"), DependsOn: []string{"list:staff"}},
		RulesVersion: 4,
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	d = rs.DecidePublic(born(t, "1970-01-01"), seoul(t, "2021-07-05 00:00"))
	want = Decision{
		Answer: Depends, Wave: "staff", DependsOn: []string{"list:staff"},
		Next: &Next{Wave: "all", EligibleFrom: seoul(t, "2021-07-10 00:00")}, RulesVersion: 4,
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
}

func TestReasonsSayWhyNotAndWhyNotNow(t *testing.T) {
	t.Parallel()
	rs := korea(t)
	for _, c := range []struct {
		name, birth, at, slot string
		move                  bool
		want                  []Reason
	}{
		{
			name: "before and after their windows", birth: "1967-05-05", at: "2021-07-20 18:00",
			want: []Reason{
				{Code: BirthDateOutOfRange, Wave: "E3", From: date(t, "1962-01-01"), To: date(t, "1966-12-31")},
				{Code: WindowClosed, Wave: "F1", ClosesAt: seoul(t, "2021-07-20 18:00")},
				{Code: WindowNotOpenYet, Wave: "F3", OpensAt: seoul(t, "2021-07-21 20:00")},
			},
		},
		{
			name: "the wrong digit", birth: "1990-05-05", at: "2021-08-10 10:00",
			want: []Reason{
				{Code: BirthDayDigitMismatch, Wave: "T9", Digits: []int{9}},
				{Code: WindowNotOpenYet, Wave: "T5", OpensAt: seoul(t, "2021-08-15 20:00")},
				{Code: WindowNotOpenYet, Wave: "U2", OpensAt: seoul(t, "2021-08-20 20:00")},
				{Code: WindowNotOpenYet, Wave: "U3", OpensAt: seoul(t, "2021-08-21 20:00")},
			},
		},
		{
			name: "nothing is open and nothing ever will be", birth: "2010-01-01", at: "2021-12-01 10:00",
			want: []Reason{
				{Code: BirthDateOutOfRange, Wave: "E3", From: date(t, "1962-01-01"), To: date(t, "1966-12-31")},
				{Code: BirthDateOutOfRange, Wave: "F1", From: date(t, "1967-01-01"), To: date(t, "1968-12-31")},
				{Code: BirthDateOutOfRange, Wave: "F2", From: date(t, "1969-01-01"), To: date(t, "1971-12-31")},
				{Code: BirthDateOutOfRange, Wave: "F3", From: date(t, "1967-01-01"), To: date(t, "1971-12-31")},
				{Code: BirthDateOutOfRange, Wave: "T9", From: date(t, "1972-01-01"), To: date(t, "2003-12-31")},
			},
		},
		{
			name: "a slot day of another wave", birth: "1967-05-05", at: "2021-07-20 10:00", slot: "2021-08-15",
			want: []Reason{
				{Code: BirthDateOutOfRange, Wave: "E3", From: date(t, "1962-01-01"), To: date(t, "1966-12-31")},
				{Code: SlotDayOutOfRange, Wave: "F1", From: date(t, "2021-08-16"), To: date(t, "2021-08-28")},
				{Code: WindowNotOpenYet, Wave: "F3", OpensAt: seoul(t, "2021-07-21 20:00")},
			},
		},
		{name: "no birth date", at: "2021-07-20 10:00", want: []Reason{{Code: BirthDateInvalid}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := Facts{}
			if c.birth != "" {
				f = born(t, c.birth)
			}
			d := rs.Decide(f, seoul(t, c.at))
			if c.slot != "" {
				d = rs.DecideSlot(f, seoul(t, c.at), date(t, c.slot))
			}
			got := d.Reasons
			if len(got) > len(c.want) && c.name == "nothing is open and nothing ever will be" {
				got = got[:len(c.want)]
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	f := Facts{BirthDate: civil.Date{Year: 1967, Month: 2, Day: 30}}
	if d := rs.Decide(f, seoul(t, "2021-07-20 10:00")); d.Answer != No || d.Reasons[0].Code != BirthDateInvalid {
		t.Errorf("30 February: %+v", d)
	}
}

func TestAMoveAsksWhoAndWhichDaysOnly(t *testing.T) {
	t.Parallel()
	rs := korea(t)
	f := born(t, "1967-05-05")
	later := seoul(t, "2021-08-01 10:00") // All their windows are closed.
	for slot, want := range map[string]Answer{"2021-08-15": No, "2021-08-16": Yes, "2021-08-28": Yes, "2021-08-29": No} {
		if d := rs.DecideMove(f, later, date(t, slot)); d.Answer != want || d.Next != nil {
			t.Errorf("moving to %s: %+v, want %s", slot, d, want)
		}
	}
	wrongDay := func(r Reason) bool { return r.Code == SlotDayOutOfRange }
	if d := rs.DecideMove(f, later, date(t, "2021-08-15")); !slices.ContainsFunc(d.Reasons, wrongDay) {
		t.Errorf("the reasons are %+v", d.Reasons)
	}
	if d := rs.DecideMove(born(t, "1980-05-05"), later, date(t, "2021-08-16")); d.Answer != No {
		t.Errorf("somebody else's days: %+v", d)
	}
}

func TestAWaveEndsWithItsLastSlotDay(t *testing.T) {
	t.Parallel()
	rs := compile(t, Spec{Zone: zone(t, "Asia/Seoul"), Waves: []Wave{{
		ID: "W", Rule: Rule{InList: "a"}, OpensAt: seoul(t, "2021-07-01 00:00"), ClosesAt: seoul(t, "2021-07-31 00:00"),
		SlotsFrom: date(t, "2021-07-10"), SlotsTo: date(t, "2021-07-20"),
	}}})
	f := born(t, "1970-01-01")
	f.Lists = OnLists("a")
	if d := rs.Decide(f, seoul(t, "2021-07-20 23:59:59.999")); d.Answer != Yes {
		t.Errorf("on the last day: %+v", d)
	}
	d := rs.Decide(f, seoul(t, "2021-07-21 00:00"))
	if d.Answer != No || len(d.Reasons) != 1 || d.Reasons[0].Code != SlotDaysOver || d.Reasons[0].To != date(t, "2021-07-20") {
		t.Errorf("after it: %+v", d)
	}
	report := Enumerate(rs, Options{})
	if !slices.ContainsFunc(report.Warnings, func(w Warning) bool { return w.Code == WarnWindowOutlivesSlots }) {
		t.Errorf("nobody is warned: %+v", report.Warnings)
	}
}

func TestDecisionsAreStableJSON(t *testing.T) {
	t.Parallel()
	rs := korea(t)
	for want, d := range map[string]Decision{
		`{"answer":"yes","wave":"F1","rules_version":2021}`: rs.Decide(born(t, "1967-01-01"), seoul(t, "2021-07-20 02:00")),
		`{"answer":"no","reasons":[` +
			`{"code":"birth_date_out_of_range","wave":"E3","from":"1962-01-01","to":"1966-12-31"},` +
			`{"code":"window_closed","wave":"F1","closes_at":"2021-07-20T18:00:00+09:00"},` +
			`{"code":"window_not_open_yet","wave":"F3","opens_at":"2021-07-21T20:00:00+09:00"}],` +
			`"next":{"wave":"F3","eligible_from":"2021-07-21T20:00:00+09:00"},"rules_version":2021}`: rs.Decide(
			born(t, "1967-01-01"), seoul(t, "2021-07-20 18:00").In(time.UTC)),
	} {
		text, err := json.Marshal(d)
		if err != nil || string(text) != want {
			t.Errorf("%s, %v, want %s", text, err, want)
		}
		var again Decision
		if err = json.Unmarshal(text, &again); err != nil {
			t.Error(err)
		}
		if written, err := json.Marshal(again); err != nil || string(written) != want {
			t.Errorf("read and written again: %s, %v", written, err)
		}
	}
	var a Answer
	if err := a.UnmarshalText([]byte("maybe")); err == nil {
		t.Error("maybe is an answer")
	}
	if Answer(0) != No {
		t.Error("the zero answer admits")
	}
}

func TestNeedsAreTheFactsThatRulesName(t *testing.T) {
	t.Parallel()
	got := oneWave(t, rule(t, `{"any":[{"in_list":"b"},{"not":{"in_list":"a"}},{"in_list":"b"},{"region":["11"]}]}`)).Needs()
	if diff := cmp.Diff(Needs{Lists: []string{"a", "b"}, Region: true}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Needs{}, korea(t).Needs()); diff != "" {
		t.Error(diff)
	}
}

func TestARuleSetSaysWhatItWasMadeOf(t *testing.T) {
	t.Parallel()
	spec := koreaSpec(t)
	rs := compile(t, spec)
	if rs.Version() != 2021 || rs.Zone().String() != "Asia/Seoul" {
		t.Errorf("version %d in %s", rs.Version(), rs.Zone())
	}
	waves := rs.Waves()
	if diff := cmp.Diff(spec.Waves, waves); diff != "" {
		t.Error(diff)
	}
	waves[0].ID = "changed"
	spec.Waves[1].ID = "changed"
	if _, known := rs.Wave("changed"); known || rs.Waves()[1].ID != "F1" {
		t.Error("a caller can change the rules")
	}
	if w, known := rs.Wave("F1"); !known || w.ID != "F1" {
		t.Errorf("F1 is %+v", w)
	}
}

func TestReasonsAreBounded(t *testing.T) {
	t.Parallel()
	var parts []Rule
	for i := range MaxReasons + 5 {
		parts = append(parts, Rule{Region: []string{string(rune('A' + i))}})
	}
	f := born(t, "1970-01-01")
	f.Region = LivesIn("")
	if d := oneWave(t, Rule{Any: parts}).Decide(f, seoul(t, "2021-07-20 12:00")); d.Answer != No || len(d.Reasons) != MaxReasons {
		t.Errorf("%s with %d reasons", d.Answer, len(d.Reasons))
	}
}

// In Newfoundland, clocks were once set back at one minute past midnight: 7 November 2010 began, was the 6th again for
// an hour, and began once more. Between the two, the next instant at which somebody is five is the second beginning.
func TestADayThatBeginsTwiceIsWaitedForTwice(t *testing.T) {
	t.Parallel()
	five, _ := ages(5, 0)
	opens := time.Date(2010, 11, 1, 0, 0, 0, 0, time.UTC)
	rs := compile(t, Spec{Zone: zone(t, "America/St_Johns"), Waves: []Wave{{
		ID: "W", Rule: Rule{FullAge: &FullAge{Min: five, On: Day{Kind: OnAsking}}}, OpensAt: opens, ClosesAt: opens.AddDate(0, 1, 0),
		SlotsFrom: date(t, "2010-11-01"), SlotsTo: date(t, "2010-12-31"),
	}}})
	f := born(t, "2005-11-07")
	first := time.Date(2010, 11, 7, 2, 30, 0, 0, time.UTC)
	second := time.Date(2010, 11, 7, 3, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		at   time.Time
		want Answer
		next time.Time
	}{
		{first.Add(-1), No, first},
		{first, Yes, time.Time{}},
		{first.Add(time.Minute - 1), Yes, time.Time{}},
		{first.Add(time.Minute), No, second},
		{second.Add(-1), No, second},
		{second, Yes, time.Time{}},
	} {
		d := rs.Decide(f, c.at)
		if d.Answer != c.want || (d.Next == nil) != c.next.IsZero() || (d.Next != nil && !d.Next.EligibleFrom.Equal(c.next)) {
			t.Errorf("at %s: %s, next %+v, want %s, %s", c.at, d.Answer, d.Next, c.want, c.next)
		}
	}
}
