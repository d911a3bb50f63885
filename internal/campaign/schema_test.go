package campaign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jari/internal/eligibility"
	"jari/openapi"
)

// plain is a campaign file whose lines the tests below name. Nothing in it is in quotes.
const plain = `campaign: plain
title: {ko: 예약, en: Booking}
zone: Asia/Seoul
regions:
  - {region: seoul, name: {ko: 서울, en: Seoul}}
waves:
  - wave: A
    title: {ko: 가, en: A}
    who_in_words: {ko: 가, en: A}
    who: {birth_date: {from: 1962-01-01, to: 1966-12-31}}
    opens_at: 2021-07-14 20:00
    closes_at: 2021-07-24T18:00:00+09:00
    slots: {from: 2021-07-26, to: 2021-08-14}
  - wave: B
    title: {ko: 나, en: B}
    who_in_words: {ko: 나, en: B}
    who: {all: [{year_age: {min: 18, max: 49, in: 2021}}, {birth_day_digit: [9, 0]}]}
    opens_at: 2021-08-09 20:00
    closes_at: 2021-08-10 24:00
    slots: {from: 2021-08-26, to: 2021-09-30}
cases:
  - {birth_date: 1962-01-01, at: 2021-07-14 20:00, expect: yes, wave: A}
  - {birth_date: 2003-12-09, at: 2021-08-10T14:59:59.999Z, expect: yes, wave: B}
  - {birth_date: 2003-12-09, at: 2021-08-10 24:00, expect: no, wave: B}
`

// changed is plain with one text replaced by another.
func changed(t testing.TB, from, to string) []byte {
	t.Helper()
	if strings.Count(plain, from) == 0 || from == to {
		t.Fatalf("%q changes nothing", from)
	}
	return []byte(strings.Replace(plain, from, to, 1))
}

func faultsOf(t testing.TB, raw []byte) []string {
	t.Helper()
	c, err := Load(raw, 1)
	if err == nil {
		return nil
	}
	if c != nil {
		t.Error("there is a campaign and an error")
	}
	var lines []string
	for _, f := range asDocumentError(t, err).Faults {
		lines = append(lines, f.String())
	}
	return lines
}

func asDocumentError(t testing.TB, err error) *DocumentError {
	t.Helper()
	all, ok := err.(*DocumentError) //nolint:errorlint // It is never wrapped here.
	if !ok || len(all.Faults) == 0 {
		t.Fatalf("%T: %v", err, err)
	}
	return all
}

func TestDatesAndAnswersReadTheSameWithAndWithoutQuotes(t *testing.T) {
	t.Parallel()
	bare, err := Load([]byte(plain), 1)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, word := range strings.FieldsFunc(plain, func(r rune) bool { return r == '\n' }) {
		for _, name := range []string{"from", "to", "birth_date", "at", "expect", "opens_at", "closes_at"} {
			word = quoteAfter(word, name+": ")
		}
		b.WriteString(word + "\n")
	}
	quoted, err := Load([]byte(b.String()), 1)
	if err != nil {
		t.Fatalf("%v\n%s", err, &b)
	}
	if b.String() == plain || strings.Count(b.String(), `"`) != 2*19 {
		t.Fatalf("nothing was put in quotes:\n%s", &b)
	}
	if diff := cmp.Diff(bare.Document, quoted.Document); diff != "" {
		t.Error(diff)
	}
	report := eligibility.RunCases(bare.Rules, bare.Cases)
	if report.Passed != 3 {
		t.Errorf("%+v", report)
	}
	// 24:00 is 00:00 of the next day, and a local time is one of the campaign's zone.
	if got := bare.Openings[1].ClosesAt; !got.Equal(instant(t, "2021-08-11T00:00:00+09:00")) {
		t.Errorf("B closes at %s", got)
	}
	if got := bare.Cases[2].At; !got.Equal(instant(t, "2021-08-11T00:00:00+09:00")) {
		t.Errorf("the last case asks at %s", got)
	}
}

func quoteAfter(line, name string) string {
	before, rest, ok := strings.Cut(line, name)
	if !ok || strings.HasPrefix(rest, "{") || (before != "" && !strings.ContainsAny(before[len(before)-1:], " {")) {
		return line
	}
	end := strings.IndexAny(rest, ",}")
	if end < 0 {
		end = len(rest)
	}
	return before + name + `"` + rest[:end] + `"` + quoteAfter(rest[end:], name)
}

func TestJSONAndOtherWaysOfSavingAFileAreRead(t *testing.T) {
	t.Parallel()
	want, err := Load([]byte(plain), 1)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := want.Document.encode()
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, stored, "", "\t"); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"JSON":                      string(stored),
		"JSON with tabs":            indented.String(),
		"a byte order mark":         "\ufeff" + plain,
		"line ends of Windows":      strings.ReplaceAll(plain, "\n", "\r\n"),
		"line ends of an old Mac":   strings.ReplaceAll(plain, "\n", "\r"),
		"a mark before the text":    "---\n" + plain,
		"a mark and nothing behind": plain + "---\n# the end\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Load([]byte(text), 1)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Document, got.Document); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := faultsOf(t, []byte(strings.ReplaceAll(string(changed(t, "zone: Asia/Seoul", "zone: Asia/Soul")), "\n", "\r\n"))); len(got) != 1 ||
		!strings.HasPrefix(got[0], "line 3, column 7: zone: ") {
		t.Errorf("%q", got)
	}
}

// Each kind of fault, and the one line that it is told by.
func TestEveryKindOfFaultNamesItsLineAndField(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ from, to, want string }{
		"a field that is missing": {
			"    closes_at: 2021-07-24T18:00:00+09:00\n", "", "line 7, column 5: waves[0].closes_at: is missing",
		},
		"a field of the file that is missing": {"title: {ko: 예약, en: Booking}\n", "", "line 1, column 1: title: is missing"},
		"a language that is missing":          {"{ko: 가, en: A}", "{ko: 가}", "line 8, column 12: waves[0].title.en: is missing"},
		"an unknown field":                    {"    slots:", "    color: red\n    slots:", "line 13, column 5: waves[0].color: there is no such field here; possible are closes_at, opens_at, slots, title, wave, who, who_in_words"},
		"a field in capitals":                 {"zone:", "Zone:", "line 3, column 1: Zone: there is no such field here"},
		"an unknown operator":                 {"{birth_date: {from", "{born: {from", "line 10, column 11: waves[0].who.born: there is no such operator; possible are all, any, birth_date, birth_day_digit"},
		"an unknown operator inside":          {"{birth_day_digit: ", "{birthday_digit: ", "line 17, column 60: waves[1].who.all[1].birthday_digit: there is no such operator"},
		"an operator's unknown field":         {"in: 2021", "on: 2021-01-01, in: 2021", "line 17, column 47: waves[1].who.all[0].year_age.on: there is no such field here; possible are in, max, min"},
		"two operators in one place":          {"to: 1966-12-31}}", "to: 1966-12-31}, in_list: staff}", "line 10, column 10: waves[0].who: 2 operators, and exactly one belongs here; join several with all or any"},
		"no operator":                         {"who: {birth_date: {from: 1962-01-01, to: 1966-12-31}}", "who: {}", "line 10, column 10: waves[0].who: an operator belongs here: all, any"},
		"an operator without bounds":          {"{from: 1962-01-01, to: 1966-12-31}", "{}", "line 10, column 23: waves[0].who.birth_date: from, to or both are needed"},
		"an age without bounds":               {"{min: 18, max: 49, in: 2021}", "{in: 2021}", "line 17, column 28: waves[1].who.all[0].year_age: min, max or both are needed"},
		"an empty list of rules":              {"all: [{year_age: {min: 18, max: 49, in: 2021}}, {birth_day_digit: [9, 0]}]", "all: []", "line 17, column 16: waves[1].who.all: must not be empty"},
		"a digit twice":                       {"[9, 0]", "[9, 0, 9]", "line 17, column 84: waves[1].who.all[1].birth_day_digit[2]: is there already"},
		"a digit of ten":                      {"[9, 0]", "[9, 10]", "line 17, column 81: waves[1].who.all[1].birth_day_digit[1]: is 10 and must be at most 9"},
		"a negative age":                      {"min: 18", "min: -1", "line 17, column 34: waves[1].who.all[0].year_age.min: is -1 and must be at least 0"},
		"ages in the wrong order":             {"min: 18, max: 49", "min: 49, max: 18", "line 17, column 28: waves[1].who.all[0].year_age: wave B: min 49 is more than max 18: nobody is admitted"},
		"birth dates in the wrong order":      {"from: 1962-01-01, to: 1966-12-31", "from: 1966-12-31, to: 1962-01-01", "line 10, column 23: waves[0].who.birth_date: wave A: from 1966-12-31 is after to 1962-01-01: nobody is born then"},
		"a date that doesn't exist":           {"to: 1966-12-31", "to: 1966-02-29", "line 10, column 46: waves[0].who.birth_date.to: not a date: 1966-02-29 doesn't exist"},
		"a date in another order":             {"to: 1966-12-31", "to: 31.12.1966", `line 10, column 46: waves[0].who.birth_date.to: not a date: "31.12.1966" doesn't read YYYY-MM-DD`},
		"a slot day that doesn't exist":       {"to: 2021-08-14", "to: 2021-08-32", "line 13, column 35: waves[0].slots.to: not a date: 2021-08-32 doesn't exist"},
		"a day that is neither":               {"{year_age: {min: 18, max: 49, in: 2021}}", "{full_age: {min: 18, on: sometime}}", `line 17, column 42: waves[1].who.all[0].full_age.on: a date that exists belongs here, or "asking" or "slot"`},
		"a window without length":             {"closes_at: 2021-07-24T18:00:00+09:00", "closes_at: 2021-07-14T11:00:00Z", "line 12, column 16: waves[0].closes_at: wave A: 2021-07-14T20:00:00+09:00 isn't after opens_at 2021-07-14T20:00:00+09:00: the window is empty"},
		"a window that is reversed":           {"closes_at: 2021-08-10 24:00", "closes_at: 2021-08-09 19:00", "line 19, column 16: waves[1].closes_at: wave B: "},
		"a window of years":                   {"closes_at: 2021-08-10 24:00", "closes_at: 2026-08-09 19:00", "line 19, column 16: waves[1].closes_at: wave B: the window is longer than 1100 days"},
		"an instant in words":                 {"opens_at: 2021-07-14 20:00", "opens_at: tonight", `line 11, column 15: waves[0].opens_at: "tonight" isn't an instant: 2021-07-19T20:00:00+09:00, or`},
		"an instant of no clock":              {"opens_at: 2021-07-14 20:00", "opens_at: 2021-07-14 25:00", `line 11, column 15: waves[0].opens_at: not an instant: "2021-07-14 25:00": no clock shows that time; the last is 24:00`},
		"an instant of no calendar":           {"opens_at: 2021-07-14 20:00", "opens_at: 2021-06-31 20:00", "line 11, column 15: waves[0].opens_at: not an instant: not a date: 2021-06-31 doesn't exist"},
		"a local time that is skipped":        {"opens_at: 2021-07-14 20:00", "opens_at: 1988-05-08 02:30", "line 11, column 15: waves[0].opens_at: this local time doesn't exist: 1988-05-08 02:30:00 in Asia/Seoul is skipped when clocks change"},
		"a local time that comes twice":       {"opens_at: 2021-07-14 20:00", "opens_at: 1988-10-09 02:30", "line 11, column 15: waves[0].opens_at: this local time happens twice: 1988-10-09 02:30:00 in Asia/Seoul can be 1988-10-09T02:30:00+10:00 or 1988-10-09T02:30:00+09:00; write the offset"},
		"a case's instant that is skipped":    {"at: 2021-07-14 20:00, ", "at: 1988-05-08 02:30, ", "line 22, column 34: cases[0].at: this local time doesn't exist"},
		"slot days in the wrong order":        {"{from: 2021-07-26, to: 2021-08-14}", "{from: 2021-08-14, to: 2021-07-26}", "line 13, column 12: waves[0].slots: wave A: to 2021-07-26 is before from 2021-08-14: there is no day to book"},
		"slot days that are over":             {"{from: 2021-07-26, to: 2021-08-14}", "{from: 2021-06-26, to: 2021-07-01}", "line 13, column 12: waves[0].slots: wave A: the last day 2021-07-01 is over before the window opens"},
		"a zone that nobody knows":            {"zone: Asia/Seoul", "zone: Asia/Soul", `line 3, column 7: zone: "Asia/Soul" isn't an IANA zone such as Asia/Seoul`},
		"the zone of whatever machine":        {"zone: Asia/Seoul", "zone: Local", `line 3, column 7: zone: "Local" isn't an IANA zone`},
		"a wave's id twice":                   {"wave: B\n", "wave: A\n", `line 14, column 11: waves[1].wave: "A" is the id of waves[0] too, and a wave has one window`},
		"a wave's id with a blank":            {"wave: B\n", "wave: B 2\n", `line 14, column 11: waves[1].wave: "B 2" must be 1 to 32 letters, digits, dashes and underscores`},
		"a wave's id that is a number":        {"wave: B\n", "wave: 2\n", "line 14, column 11: waves[1].wave: is a number; a text belongs here, so put it in quotes"},
		"a region twice":                      {"waves:\n", "  - {region: seoul, name: {ko: 서울, en: Seoul}}\nwaves:\n", `line 6, column 14: regions[1].region: "seoul" is the id of regions[0] too`},
		"no region":                           {"regions:\n  - {region: seoul, name: {ko: 서울, en: Seoul}}", "regions: []", "line 4, column 10: regions: must not be empty"},
		"an id in capitals":                   {"campaign: plain", "campaign: Plain", `line 1, column 11: campaign: "Plain" must be 2 to 63 small letters, digits and dashes`},
		"a hold of a second":                  {"zone: Asia/Seoul", "hold_seconds: 1\nzone: Asia/Seoul", "line 3, column 15: hold_seconds: is 1 and must be at least 30"},
		"a number in words":                   {"zone: Asia/Seoul", "hold_seconds: soon\nzone: Asia/Seoul", "line 3, column 15: hold_seconds: is a text; a whole number belongs here"},
		"a number with a fraction":            {"zone: Asia/Seoul", "hold_seconds: 60.5\nzone: Asia/Seoul", "line 3, column 15: hold_seconds: is a number; a whole number belongs here"},
		"a number with a leading zero":        {"zone: Asia/Seoul", "hold_seconds: 0300\nzone: Asia/Seoul", "line 3, column 15: hold_seconds: 0300 could be read as several numbers"},
		"a list that is a text":               {"cases:\n", "cases: none\nregion:\n", "line 21, column 8: cases: is a text; a list belongs here"},
		"a list that is empty":                {"{birth_date: 1962-01-01, at: 2021-07-14 20:00, expect: yes, wave: A}", "", "line 22, column 4: cases[0]: is empty; fields with names belong here"},
		"an answer that is true":              {"expect: yes", "expect: true", "line 22, column 60: cases[0].expect: true isn't one of yes, no, depends"},
		"an answer that nobody gives":         {"expect: yes", "expect: maybe", `line 22, column 60: cases[0].expect: "maybe" isn't one of yes, no, depends`},
		"a case without a birth date":         {"{birth_date: 1962-01-01, at", "{at", "line 22, column 5: cases[0].birth_date: is missing"},
		"facts that aren't beside the rest":   {"{birth_date: 1962-01-01, at", "{facts: {birth_date: 1962-01-01}, at", "line 22, column 6: cases[0].facts: there is no such field here"},
		"a field twice":                       {"zone: Asia/Seoul", "zone: Asia/Seoul\nzone: Asia/Tokyo", "line 4, column 1: zone: is here a second time; the first is on line 3"},
		"a field twice in brackets":           {"{from: 1962-01-01, to", "{from: 1962-01-01, from: 1962-01-01, to", "line 10, column 42: waves[0].who.birth_date.from: is here a second time"},
		"an alias":                            {"en: Booking", "en: *booking", "line 2, column 21: title.en: anchors (&) and aliases (*) aren't read here"},
		"a tag":                               {"en: Booking", "en: !!str Booking", "line 2, column 21: title.en: tags (!) aren't read here"},
		"infinity":                            {"zone: Asia/Seoul", "hold_seconds: .inf\nzone: Asia/Seoul", "line 3, column 15: hold_seconds: .inf isn't a number that can be used here"},
		"a bracket that isn't closed":         {"{ko: 예약, en: Booking}", "{ko: 예약, en: Booking", "line 3, column 1: "},
		"a tab":                               {"  - wave: A", "\t- wave: A", "line 7, column 1: "},
		"two documents":                       {"waves:\n", "---\nwaves:\n", "line 7, column 1: a second document begins here; a campaign file has one"},
		"another encoding":                    {"예약", "\xbf\xb9\xbe\xe0", "line 2, column 13: this byte isn't text in UTF-8; was the file saved in another encoding?"},
		"a zero byte":                         {"zone:", "zo\x00ne:", "line 3, column 3: this byte isn't text in UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := faultsOf(t, changed(t, c.from, c.to))
			if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, c.want) }) {
				t.Errorf("it says\n%s\nand not\n%s", strings.Join(found, "\n"), c.want)
			}
			// What follows from a fault needn't be read, except where taking something away is two faults.
			if len(found) > 2 {
				t.Errorf("one change is %d faults:\n%s", len(found), strings.Join(found, "\n"))
			}
		})
	}
}

func TestOverlappingWindowsOfOneWaveAreNamed(t *testing.T) {
	t.Parallel()
	text := strings.Replace(plain, "wave: B\n", "wave: A\n", 1)
	text = strings.Replace(text, "opens_at: 2021-08-09 20:00", "opens_at: 2021-07-20 20:00", 1)
	want := `line 14, column 11: waves[1].wave: "A" is the id of waves[0] too, and their windows overlap`
	if got := faultsOf(t, []byte(text)); len(got) != 1 || got[0] != want {
		t.Errorf("%q", got)
	}
}

// Faults of form don't hide those of meaning, and none hides those of another wave.
func TestAllFaultsAreToldAtOnceInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	text := plain
	for _, change := range [][2]string{
		{"zone: Asia/Seoul", "zone: Asia/Soul"},
		{"{region: seoul,", "{region: 서울,"},
		{"from: 1962-01-01, to: 1966-12-31", "from: 1962-13-01, to: 1966-12-31"},
		{"closes_at: 2021-07-24T18:00:00+09:00", "closes_at: soon"},
		{"min: 18, max: 49", "min: 49, max: 18"},
		{"closes_at: 2021-08-10 24:00", "closes_at: 2021-08-01 24:00"},
		{"expect: no", "expect: NO"},
	} {
		if !strings.Contains(text, change[0]) {
			t.Fatal(change)
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	var lines []int
	for _, f := range asDocumentError(t, func() error { _, err := Load([]byte(text), 1); return err }()).Faults {
		lines = append(lines, f.Line)
	}
	if !slices.Equal(lines, []int{3, 5, 10, 12, 17, 19, 24}) {
		t.Errorf("faults on lines %v:\n%s", lines, strings.Join(faultsOf(t, []byte(text)), "\n"))
	}
}

func TestAFileOfNothingIsAFaultOfItsFirstLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"nothing":       {"", "line 1, column 1: the file is empty"},
		"blanks":        {" \n\n", "line 1, column 1: the file is empty"},
		"a remark":      {"# nothing yet\n", "line 1, column 1: the file is empty"},
		"a word":        {"campaign", "line 1, column 1: is a text; fields with names belong here"},
		"a list":        {"- a\n- b\n", "line 1, column 1: is a list; fields with names belong here"},
		"brackets":      {strings.Repeat("[", 200), "line 1, column 101: this is nested too deep"},
		"many brackets": {strings.Repeat("{a: ", 100_000), "line 1, column 401: this is nested too deep"},
		"dashes":        {strings.Repeat("- ", 200), "line 1, column 201: this is nested too deep"},
		"ampersands":    {strings.Repeat("&a ", 200), "line 1, column 301: this is nested too deep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := faultsOf(t, []byte(c.text)); len(got) != 1 || got[0] != c.want {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestAnErrorPrintsAHundredFaultsAndCountsTheRest(t *testing.T) {
	t.Parallel()
	text := plain + strings.Repeat("  - {birth_date: 1962-02-30, at: 2021-07-14 20:00, expect: yes}\n", 150)
	_, err := Load([]byte(text), 1)
	all := asDocumentError(t, err)
	lines := strings.Split(err.Error(), "\n")
	if len(all.Faults) != 150 || len(lines) != 101 || lines[100] != "… and 50 more" {
		t.Errorf("%d faults, %d lines, the last is %q", len(all.Faults), len(lines), lines[len(lines)-1])
	}
}

func TestARuleBeyondTheLimitsIsAFaultOfItsWave(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("{not: ", 17) + "{in_list: a}" + strings.Repeat("}", 17)
	got := faultsOf(t, changed(t, "{birth_date: {from: 1962-01-01, to: 1966-12-31}}", deep))
	if len(got) != 1 || !strings.HasPrefix(got[0], "line 7, column 5: waves[0]: ") || !strings.Contains(got[0], "nested more than 16 deep") {
		t.Errorf("%q", got)
	}
}

// schemaAsWritten is the published schema.
func schemaAsWritten(t testing.TB) map[string]any {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal(openapi.CampaignSchema, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestEveryFieldOfTheSchemaIsDescribed(t *testing.T) {
	t.Parallel()
	described := 0
	var walk func(path string, schema map[string]any)
	walk = func(path string, schema map[string]any) {
		for _, where := range []string{"properties", "$defs"} {
			fields, _ := schema[where].(map[string]any)
			for name, field := range fields {
				below, _ := field.(map[string]any)
				text, _ := below["description"].(string)
				if len(text) < 8 || !strings.HasSuffix(text, ".") {
					t.Errorf("%s/%s/%s is described as %q", path, where, name, text)
				}
				described++
				walk(path+"/"+where+"/"+name, below)
			}
		}
		if schema["type"] == "object" && schema["additionalProperties"] != false {
			t.Errorf("%s takes fields that it doesn't know", path)
		}
		if items, ok := schema["items"].(map[string]any); ok {
			walk(path+"/items", items)
		}
	}
	walk("", schemaAsWritten(t))
	if described < 70 {
		t.Errorf("%d fields were looked at", described)
	}
}

// The schema's fields are those that the code reads, and its bounds are the code's.
func TestTheSchemaSaysWhatTheCodeDoes(t *testing.T) {
	t.Parallel()
	schema := schemaAsWritten(t)
	at := func(path ...string) map[string]any {
		here := schema
		for _, name := range path {
			below, ok := here[name].(map[string]any)
			if !ok {
				t.Fatalf("the schema has no %v", path)
			}
			here = below
		}
		return here
	}
	for _, c := range []struct {
		of   any
		path []string
	}{
		{Document{}, []string{"properties"}},
		{Words{}, []string{"$defs", "words", "properties"}},
		{Region{}, []string{"$defs", "region", "properties"}},
		{Wave{}, []string{"$defs", "wave", "properties"}},
		{DayRange{}, []string{"$defs", "wave", "properties", "slots", "properties"}},
		{eligibility.Case{}, []string{"$defs", "case", "properties"}},
		{eligibility.Dose{}, []string{"$defs", "dose", "properties"}},
		{eligibility.BirthDate{}, []string{"$defs", "rule", "properties", "birth_date", "properties"}},
		{eligibility.YearAge{}, []string{"$defs", "rule", "properties", "year_age", "properties"}},
		{eligibility.FullAge{}, []string{"$defs", "rule", "properties", "full_age", "properties"}},
		{eligibility.DaysSinceDose{}, []string{"$defs", "rule", "properties", "days_since_dose", "properties"}},
	} {
		var published []string
		for name := range at(c.path...) {
			published = append(published, name)
		}
		slices.Sort(published)
		if read := jsonNames(reflect.TypeOf(c.of)); !slices.Equal(published, read) {
			t.Errorf("%T: the schema has %v, the code reads %v", c.of, published, read)
		}
	}
	number := func(v int) any { return float64(v) }
	for _, c := range []struct {
		keyword string
		want    int
		path    []string
	}{
		{"maxItems", eligibility.MaxWaves, []string{"properties", "waves"}},
		{"maxItems", maxRegions, []string{"properties", "regions"}},
		{"maxItems", maxCases, []string{"properties", "cases"}},
		{"maximum", eligibility.MaxAge, []string{"$defs", "age"}},
		{"maximum", eligibility.MaxDoseNumber, []string{"$defs", "dose_number"}},
		{"maximum", eligibility.MaxDoseInterval, []string{"$defs", "rule", "properties", "days_since_dose", "properties", "max"}},
		{"maxItems", eligibility.MaxRegions, []string{"$defs", "rule", "properties", "region"}},
		{"maxLength", eligibility.MaxNameBytes, []string{"$defs", "name"}},
		{"default", 300, []string{"properties", "hold_seconds"}},
		{"default", 3600, []string{"properties", "book_until_seconds"}},
		{"default", 86400, []string{"properties", "change_until_seconds"}},
	} {
		if got := at(c.path...)[c.keyword]; got != number(c.want) {
			t.Errorf("%v: %s is %v, the code's is %d", c.path, c.keyword, got, c.want)
		}
	}
	for path, pattern := range map[string]string{"campaign_id": campaignID.String(), "part_id": partID.String()} {
		if got := at("$defs", path)["pattern"]; got != pattern {
			t.Errorf("%s is %v, the code's is %s", path, got, pattern)
		}
	}
}

func jsonNames(of reflect.Type) []string {
	var names []string
	for i := range of.NumField() {
		field := of.Field(i)
		if field.Anonymous {
			names = append(names, jsonNames(field.Type)...)
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Every operator, as the schema knows it and as the rules' own reader does.
func TestEveryOperatorPassesTheSchema(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		`{birth_date: {from: 1962-01-01}}`,
		`{year_age: {min: 18, in: 2021}}`,
		`{full_age: {min: 5, max: 11, on: asking}}`,
		`{full_age: {min: 5, max: 11, on: 2021-10-01}}`,
		`{birth_day_digit: [3]}`,
		`{birth_year_digit: [1, 6]}`,
		`{in_list: health-workers}`,
		`{region: ["11*", "26110"]}`,
		`{days_since_dose: {dose: 1, min: 28, product: X, on: slot}}`,
		`{any: [{in_list: a}, {not: {in_list: b}}]}`,
	} {
		if found := faultsOf(t, changed(t, "{birth_date: {from: 1962-01-01, to: 1966-12-31}}", rule)); found != nil {
			t.Errorf("%s: %q", rule, found)
		}
	}
}

func FuzzParseNamesALineOrReadsTheFile(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte(small))
	for _, text := range []string{
		"", "a", "- a", "{", "[[[[", "a: &b c\nd: *b", "? a\n: b", "<<: {a: b}", "a: !!int b", "---\n---\na: b", "a:\n\t- b", "%YAML 1.2\n---\na: b",
		"waves: [{who: {all: [{not: {}}]}}]", "cases: [{at: 2021-07-14 20:00}]", "zone: ../../etc/passwd\ncases: [{at: 2021-07-14 20:00}]",
		"a.b: 1\na: {b: 2}", "waves[0]: 1", "a: |\n b\n  c\n", "\"\\u0000\": 1", "hold_seconds: 1e999", "hold_seconds: .nan", "1: 2\n~: 3\ntrue: 4",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := Parse(bytes.NewReader(raw))
		if err == nil {
			// What was read can be written, and reads the same again.
			text, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse(bytes.NewReader(text))
			if err != nil && d.Cases != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if err == nil && d.Cases != nil {
				if diff := cmp.Diff(d, again); diff != "" {
					t.Fatal(diff)
				}
			}
		} else {
			mustNameLines(t, err)
		}
		if _, err := Load(raw, 1); err != nil {
			mustNameLines(t, err)
		}
	})
}

func mustNameLines(t *testing.T, err error) {
	t.Helper()
	for _, fault := range asDocumentError(t, err).Faults {
		if fault.Line < 1 || fault.Column < 1 || fault.Problem == "" {
			t.Fatalf("%+v", fault)
		}
		if !strings.HasPrefix(fault.String(), fmt.Sprintf("line %d, column %d: ", fault.Line, fault.Column)) {
			t.Fatal(fault.String())
		}
	}
}
