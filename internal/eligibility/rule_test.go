package eligibility

import (
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jari/internal/civil"
)

func rule(t testing.TB, text string) Rule {
	t.Helper()
	r, err := ParseRule([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

// all operators, in the form that campaign files use.
const everyOperator = `{"all":[
	{"birth_date":{"from":"1967-01-01","to":"1968-12-31"}},
	{"any":[{"year_age":{"min":53,"max":54,"in":2021}},{"full_age":{"min":53,"on":"asking"}},
		{"full_age":{"max":54,"on":"slot"}},{"full_age":{"min":53,"max":54,"on":"2021-07-19"}}]},
	{"birth_day_digit":[1,0,9]},{"birth_year_digit":[7,8]},{"in_list":"teachers"},{"region":["11","26*"]},
	{"not":{"days_since_dose":{"dose":1,"min":0,"max":27,"product":"AZ","on":"slot"}}}]}`

func TestEveryOperatorIsReadAndWritten(t *testing.T) {
	t.Parallel()
	n := func(v int) *int { return &v }
	want := Rule{All: []Rule{
		{BirthDate: &BirthDate{From: date(t, "1967-01-01"), To: date(t, "1968-12-31")}},
		{Any: []Rule{
			{YearAge: &YearAge{Min: n(53), Max: n(54), In: 2021}},
			{FullAge: &FullAge{Min: n(53), On: Day{Kind: OnAsking}}},
			{FullAge: &FullAge{Max: n(54), On: Day{Kind: OnSlot}}},
			{FullAge: &FullAge{Min: n(53), Max: n(54), On: Day{Kind: OnDate, Date: date(t, "2021-07-19")}}},
		}},
		{BirthDayDigit: []int{1, 0, 9}},
		{BirthYearDigit: []int{7, 8}},
		{InList: "teachers"},
		{Region: []string{"11", "26*"}},
		{Not: &Rule{DaysSinceDose: &DaysSinceDose{Dose: 1, Min: n(0), Max: n(27), Product: "AZ", On: Day{Kind: OnSlot}}}},
	}}
	got := rule(t, everyOperator)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, rule(t, string(text))); diff != "" {
		t.Errorf("written as %s: %s", text, diff)
	}
	if _, err := json.Marshal(Rule{}); err == nil {
		t.Error("a rule without an operator was written")
	}
	if _, err := json.Marshal(Rule{InList: "a", Region: []string{"11"}}); err == nil {
		t.Error("a rule with two operators was written")
	}
}

func TestParserNamesThePlaceItRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"not":`, 17) + `{"in_list":"a"}` + strings.Repeat("}", 17)
	for text, want := range map[string]string{
		``:                                       "rule: not JSON",
		`null`:                                   "rule: an object belongs here",
		`[]`:                                     "rule: an object belongs here",
		`{}`:                                     "rule: 0 operators",
		`{"in_list":"a"} x`:                      "rule: something follows",
		`{"in_list":"a"`:                         "rule: not JSON: unexpected EOF",
		`{"born":{"from":"1967-01-01"}}`:         `rule: unknown operator "born"`,
		`{"Birth_Date":{"from":"1967-01-01"}}`:   `rule: unknown operator "Birth_Date"`,
		`{"in_list":"a","region":["11"]}`:        "rule: 2 operators in one object",
		`{"in_list":"a","in_list":"b"}`:          `rule: "in_list" is said twice`,
		`{"in_list":""}`:                         "rule.in_list: a list needs a name",
		`{"in_list":["a"]}`:                      "rule.in_list: a text in quotes",
		`{"birth_date":{"from":"1967-02-29"}}`:   "rule.birth_date.from: not a date: 1967-02-29 doesn't exist",
		`{"birth_date":{"from":"1967-1-1"}}`:     "rule.birth_date.from: not a date",
		`{"birth_date":{"from":null}}`:           "rule.birth_date.from: a text in quotes",
		`{"birth_date":{"until":"1967-01-01"}}`:  `rule.birth_date: unknown field "until"`,
		`{"birth_date":"1967-01-01"}`:            "rule.birth_date: an object",
		`{"birth_date":null}`:                    "rule.birth_date: an object",
		`{"year_age":{"min":18.0,"in":2021}}`:    "rule.year_age.min: a whole number",
		`{"year_age":{"min":"18","in":2021}}`:    "rule.year_age.min: a whole number",
		`{"year_age":{"min":null,"in":2021}}`:    "rule.year_age.min: a whole number",
		`{"year_age":{"min":1e1,"in":2021}}`:     "rule.year_age.min: a whole number",
		`{"year_age":{"min":1,"min":2,"in":1}}`:  `rule.year_age: "min" is said twice`,
		`{"full_age":{"min":5,"on":"today"}}`:    `rule.full_age.on: not a date: "today"`,
		`{"birth_day_digit":9}`:                  "rule.birth_day_digit: a list in brackets",
		`{"birth_day_digit":[9,"0"]}`:            "rule.birth_day_digit[1]: a whole number",
		`{"region":"11"}`:                        "rule.region: a list in brackets",
		`{"region":[11]}`:                        "rule.region[0]: a text in quotes",
		`{"days_since_dose":{"dosis":1}}`:        `rule.days_since_dose: unknown field "dosis"`,
		`{"all":[{"in_list":"a"},{"any":[{}]}]}`: "rule.all[1].any[0]: 0 operators",
		`{"all":{"in_list":"a"}}`:                "rule.all: a list in brackets",
		`{"not":[{"in_list":"a"}]}`:              "rule.not: an object",
		`{"not":{"in_lists":"a"}}`:               `rule.not: unknown operator "in_lists"`,
		deep:                                     "nested more than 16 deep",
		`{"in_list":"` + strings.Repeat("a", MaxRuleBytes) + `"}`: "at most 65536",
	} {
		r, err := ParseRule([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %+v, %v, want %q", text, r, err, want)
		}
	}
}

func TestCompileNamesEveryFault(t *testing.T) {
	t.Parallel()
	n := func(v int) *int { return &v }
	opens, closes := seoul(t, "2021-07-19 20:00"), seoul(t, "2021-07-20 18:00")
	good := Wave{
		ID: "F1", Rule: Rule{InList: "a"}, OpensAt: opens, ClosesAt: closes,
		SlotsFrom: date(t, "2021-08-16"), SlotsTo: date(t, "2021-08-28"),
	}
	spec := func(change func(*Wave)) Spec {
		w := good
		change(&w)
		return Spec{Zone: zone(t, "Asia/Seoul"), Waves: []Wave{w}}
	}
	withRule := func(r Rule) Spec { return spec(func(w *Wave) { w.Rule = r }) }
	wide := Rule{}
	for range MaxRuleNodes {
		wide.Any = append(wide.Any, Rule{InList: "a"})
	}
	deep := Rule{InList: "a"}
	for range MaxRuleDepth {
		inner := deep
		deep = Rule{Not: &inner}
	}
	regions := make([]string, MaxRegions+1)
	for i := range regions {
		regions[i] = strconv.Itoa(i)
	}
	bad := civil.Date{Year: 2021, Month: 2, Day: 30}
	for name, c := range map[string]struct {
		spec Spec
		want string
	}{
		"no zone":               {Spec{Waves: []Wave{good}}, "zone: a campaign needs a time zone"},
		"no waves":              {Spec{Zone: time.UTC}, "waves: without a wave"},
		"too many waves":        {Spec{Zone: time.UTC, Waves: make([]Wave, MaxWaves+1)}, "201 waves, at most 200"},
		"unknown leap policy":   {Spec{Zone: time.UTC, LeapDay: 2, Waves: []Wave{good}}, "leap_day: unknown policy 2"},
		"two waves of one id":   {Spec{Zone: time.UTC, Waves: []Wave{good, good}}, "waves[1] (F1).id: the same id as waves[0]"},
		"no id":                 {spec(func(w *Wave) { w.ID = "" }), "waves[0].id: a name is needed"},
		"blank in id":           {spec(func(w *Wave) { w.ID = " F1" }), "blanks at its ends"},
		"long id":               {spec(func(w *Wave) { w.ID = strings.Repeat("F", 65) }), "longer than 64 bytes"},
		"no instants":           {spec(func(w *Wave) { w.OpensAt = time.Time{} }), "opens_at and closes_at are both needed"},
		"empty window":          {spec(func(w *Wave) { w.ClosesAt = w.OpensAt }), "waves[0] (F1).closes_at: 2021-07-19T20:00:00+09:00 isn't after"},
		"reversed window":       {spec(func(w *Wave) { w.OpensAt, w.ClosesAt = closes, opens }), "the window is empty"},
		"endless window":        {spec(func(w *Wave) { w.ClosesAt = opens.AddDate(4, 0, 0) }), "longer than 1100 days"},
		"window in the year 1":  {spec(func(w *Wave) { w.OpensAt = time.Unix(-6e10, 0) }), "1900 to 2999"},
		"no slot days":          {spec(func(w *Wave) { w.SlotsTo = civil.Date{} }), "waves[0] (F1).slots: from and to"},
		"slot day not existing": {spec(func(w *Wave) { w.SlotsTo = bad }), "slots: from and to"},
		"reversed slot days":    {spec(func(w *Wave) { w.SlotsTo = date(t, "2021-08-15") }), "there is no day to book"},
		"too many slot days":    {spec(func(w *Wave) { w.SlotsTo = date(t, "2025-08-15") }), "more than 1100 days"},
		"slot days before window": {
			spec(func(w *Wave) { w.SlotsFrom, w.SlotsTo = date(t, "2021-07-01"), date(t, "2021-07-18") }),
			"the last day 2021-07-18 is over before the window opens",
		},
		"no rule":          {withRule(Rule{}), "waves[0] (F1).rule: 0 operators"},
		"two operators":    {withRule(Rule{InList: "a", Region: []string{"11"}}), "rule: 2 operators"},
		"open birth dates": {withRule(Rule{BirthDate: &BirthDate{}}), "rule.birth_date: from, to or both"},
		"reversed birth dates": {
			withRule(Rule{BirthDate: &BirthDate{From: date(t, "1968-12-31"), To: date(t, "1967-01-01")}}),
			"rule.birth_date: from 1968-12-31 is after to 1967-01-01",
		},
		"birth date not existing":    {withRule(Rule{BirthDate: &BirthDate{From: bad}}), "birth_date.from: 2021-02-30 doesn't exist"},
		"birth date to not existing": {withRule(Rule{BirthDate: &BirthDate{To: bad}}), "birth_date.to: 2021-02-30 doesn't exist"},
		"year age without bounds":    {withRule(Rule{YearAge: &YearAge{In: 2021}}), "year_age: min, max or both"},
		"year age without year":      {withRule(Rule{YearAge: &YearAge{Min: n(18)}}), "year_age.in: 0 isn't a reference year"},
		"negative age":               {withRule(Rule{YearAge: &YearAge{Min: n(-1), In: 2021}}), "year_age.min: -1 isn't between"},
		"age of 201":                 {withRule(Rule{YearAge: &YearAge{Max: n(201), In: 2021}}), "year_age.max: 201 isn't between"},
		"reversed ages":              {withRule(Rule{YearAge: &YearAge{Min: n(17), Max: n(12), In: 2021}}), "min 17 is more than max 12"},
		"full age without a day":     {withRule(Rule{FullAge: &FullAge{Min: n(5)}}), "full_age.on: a full age needs its day"},
		"full age on no day": {
			withRule(Rule{FullAge: &FullAge{Min: n(5), On: Day{Kind: OnDate, Date: bad}}}), "full_age.on: 2021-02-30 doesn't exist",
		},
		"no digits":         {withRule(Rule{BirthDayDigit: []int{}}), "birth_day_digit: no digit"},
		"digit 10":          {withRule(Rule{BirthDayDigit: []int{1, 10}}), "birth_day_digit[1]: 10 isn't a digit"},
		"digit twice":       {withRule(Rule{BirthYearDigit: []int{1, 1}}), "birth_year_digit[1]: 1 is said twice"},
		"no regions":        {withRule(Rule{Region: []string{}}), "region: no region"},
		"empty region":      {withRule(Rule{Region: []string{"11", ""}}), "region[1]: a name is needed"},
		"region of a star":  {withRule(Rule{Region: []string{"*"}}), "region[0]: a name is needed"},
		"too many regions":  {withRule(Rule{Region: regions}), "401 regions, at most 400"},
		"dose 0":            {withRule(Rule{DaysSinceDose: &DaysSinceDose{}}), "days_since_dose.dose: 0 isn't between 1 and 20"},
		"reversed interval": {withRule(Rule{DaysSinceDose: &DaysSinceDose{Dose: 1, Min: n(84), Max: n(28)}}), "min 84 is more than max 28"},
		"empty all":         {withRule(Rule{All: []Rule{}}), "rule.all: nothing in it"},
		"empty any inside":  {withRule(Rule{All: []Rule{{Any: []Rule{}}}}), "rule.all[0].any: nothing in it"},
		"too deep":          {withRule(deep), "nested more than 16 deep"},
		"too wide":          {withRule(wide), "rule: more than 256 operators"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if rs, err := Compile(c.spec); err == nil || rs != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		t.Parallel()
		w := Wave{ID: "x", Rule: Rule{BirthDayDigit: []int{12}}, OpensAt: closes, ClosesAt: opens}
		_, err := Compile(Spec{Waves: []Wave{w, w}})
		if all, ok := errors.AsType[*SpecError](err); !ok || len(all.Faults) != 8 {
			t.Errorf("%v", err)
		}
	})
	t.Run("faults are bounded", func(t *testing.T) {
		t.Parallel()
		_, err := Compile(Spec{Zone: time.UTC, Waves: make([]Wave, MaxWaves)})
		if all, ok := errors.AsType[*SpecError](err); !ok || len(all.Faults) != maxFaults {
			t.Errorf("%v", err)
		}
	})
}

func TestCompileTakesWhatIsJustWithinTheLimits(t *testing.T) {
	t.Parallel()
	least, most := ages(0, MaxAge)
	wide := Rule{Any: make([]Rule, MaxRuleNodes-1)}
	for i := range wide.Any {
		wide.Any[i] = Rule{FullAge: &FullAge{Min: least, Max: most, On: Day{Kind: OnAsking}}}
	}
	deep := Rule{InList: strings.Repeat("a", MaxNameBytes)}
	for range MaxRuleDepth - 1 {
		inner := deep
		deep = Rule{Not: &inner}
	}
	opens := seoul(t, "2021-01-01 00:00")
	for i, r := range []Rule{wide, deep} {
		compile(t, Spec{Zone: zone(t, "Asia/Seoul"), Waves: []Wave{{
			ID: strconv.Itoa(i), Rule: r, OpensAt: opens, ClosesAt: opens.Add(MaxWindowDays * 24 * time.Hour),
			SlotsFrom: date(t, "2021-01-01"), SlotsTo: civil.AddDays(date(t, "2021-01-01"), MaxSlotDays-1),
		}}})
	}
}

// outsideCalendar finds dates that the oracle's calendar doesn't have.
var outsideCalendar = regexp.MustCompile(`"(0|1[0-7]|2[3-9]|[3-9])[0-9]+-`)

func FuzzParseRule(f *testing.F) {
	f.Add([]byte(everyOperator))
	for _, text := range []string{
		`{"birth_date":{"from":"1967-01-01"}}`, `{"not":{"not":{"in_list":"a"}}}`, `{"all":[]}`, `{"in_list":"a","in_list":"b"}`,
		`{"birth_day_digit":[9,9]}`, `{"full_age":{"min":0,"max":200,"on":"slot"}}`, `null`, `{"region":["*"]}`, "{\"in_list\":\"\xff\"}",
	} {
		f.Add([]byte(text))
	}
	opens := time.Date(2021, 7, 19, 11, 0, 0, 0, time.UTC)
	day := civil.Date{Year: 2021, Month: 8, Day: 1}
	f.Fuzz(func(t *testing.T, text []byte) {
		parsed, err := ParseRule(text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "rule") {
				t.Fatalf("the error names no place: %v", err)
			}
			return
		}
		written, err := json.Marshal(parsed)
		if err != nil {
			t.Fatalf("%s was read, but isn't written: %v", text, err)
		}
		again, err := ParseRule(written)
		if err != nil || !cmp.Equal(parsed, again) {
			t.Fatalf("%s → %s: %v %s", text, written, err, cmp.Diff(parsed, again))
		}
		spec := Spec{Zone: time.UTC, Waves: []Wave{{
			ID: "w", Rule: parsed, OpensAt: opens, ClosesAt: opens.Add(time.Hour), SlotsFrom: day, SlotsTo: day,
		}}}
		rs, err := Compile(spec)
		if err != nil || outsideCalendar.Match(written) {
			return
		}
		// What compiles can be asked, and then agrees with the oracle.
		facts := Facts{BirthDate: civil.Date{Year: 1967, Month: 1, Day: 31}}
		if got, want := rs.Decide(facts, opens).Answer, oracleAnswer(spec, facts, opens, civil.Date{}, false); got != want {
			t.Fatalf("%s: %s, the oracle says %s", text, got, want)
		}
	})
}
