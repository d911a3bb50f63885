package campaign

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jari/internal/civil"
	"jari/internal/eligibility"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s isn't what is printed (go test ./internal/campaign -update writes it anew):\n%s", path, diff)
	}
}

// july is the example campaign.
func july(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "korea-2021", "campaign.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// julyWith is the example with one text replaced by another, wherever it is.
func julyWith(t testing.TB, from, to string) []byte {
	t.Helper()
	text := july(t)
	if !bytes.Contains(text, []byte(from)) {
		t.Fatalf("%q isn't there", from)
	}
	return bytes.ReplaceAll(text, []byte(from), []byte(to))
}

func load1(t testing.TB, raw []byte) *Campaign {
	t.Helper()
	c, err := Load(raw, 1)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func people(t testing.TB) map[int]int64 {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "population.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	population, err := ParsePopulation(file)
	if err != nil {
		t.Fatal(err)
	}
	return population
}

// today is fixed, so that reports stay the same.
var today = civil.Date{Year: 2021, Month: 7, Day: 14}

func text(t testing.TB, r CheckReport) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b, "campaign.yaml"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheTableForPeople(t *testing.T) {
	t.Parallel()
	r, err := Check(july(t), CheckOptions{Today: today})
	if err != nil || !r.Publishable || r.Refusal() != nil {
		t.Fatalf("%v", err)
	}
	golden(t, "july.txt", text(t, r))
}

func TestTheReportForMachines(t *testing.T) {
	t.Parallel()
	r, err := Check(july(t), CheckOptions{Today: today})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "july.json", string(got)+"\n")
	// The shape that others rely on, and nothing null in it.
	var shape struct {
		Profiles []struct {
			Facts     map[string]any
			Intervals []struct {
				BirthFrom string `json:"birth_from"`
				BirthTo   string `json:"birth_to"`
				Windows   []struct {
					Wave     string
					OpensAt  string `json:"opens_at"`
					ClosesAt string `json:"closes_at"`
				}
			}
		}
		Cases      struct{ Passed, Failed int }
		Warnings   []any
		NotCovered []any `json:"not_covered"`
	}
	if err := json.Unmarshal(got, &shape); err != nil {
		t.Fatal(err)
	}
	if len(shape.Profiles) != 1 || shape.Profiles[0].Facts == nil || len(shape.Profiles[0].Facts) != 0 || shape.Warnings == nil || shape.NotCovered == nil {
		t.Errorf("%+v", shape)
	}
	f1 := shape.Profiles[0].Intervals[2]
	if f1.BirthFrom != "1967-01-01" || f1.BirthTo != "1968-12-31" || len(f1.Windows) != 2 || f1.Windows[0].Wave != "F1" ||
		f1.Windows[0].OpensAt != "2021-07-19T20:00:00+09:00" || f1.Windows[0].ClosesAt != "2021-07-20T18:00:00+09:00" {
		t.Errorf("%+v", f1)
	}
	if bytes.Contains(got, []byte("null")) {
		t.Error("something is null")
	}
}

func TestAReportOfAFileThatCantBeReadHasItsShapeToo(t *testing.T) {
	t.Parallel()
	r, err := Check([]byte("campaign: x\n"), CheckOptions{})
	if err == nil || r.Publishable || r.Compiled != nil || len(r.Faults) == 0 {
		t.Fatalf("%+v", r)
	}
	got, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{
		`"publishable":false`, `"profiles":[]`, `"warnings":[]`, `"not_covered":[]`, `"failures":[]`, `"line":1,"column":11,"path":"campaign"`,
	} {
		if !bytes.Contains(got, []byte(says)) {
			t.Errorf("%s isn't in %s", says, got)
		}
	}
	if said := text(t, r); !strings.HasPrefix(said, "campaign.yaml can't be published: 5 faults.\n  line 1, column 1: ") {
		t.Error(said)
	}
	large, err := Check(bytes.Repeat([]byte("#"), maxDocumentBytes+1), CheckOptions{})
	if err == nil || large.Publishable || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("%v", err)
	}
	if _, err := Load(bytes.Repeat([]byte("#"), maxDocumentBytes+1), 1); err == nil {
		t.Error("a file without end was read")
	}
}

// E3's notice says 1966 or earlier; the copy says or later.
func TestFailingCasesAreExplained(t *testing.T) {
	t.Parallel()
	raw := julyWith(t, `{from: "1962-01-01", to: "1966-12-31"}`, `{from: "1966-12-31"}`)
	r, err := Check(raw, CheckOptions{Today: today, Previous: load1(t, july(t)), PreviousName: "version 3", Population: people(t)})
	if err == nil || r.Publishable {
		t.Fatal("it can be published")
	}
	golden(t, "later.txt", text(t, r))
	all := asDocumentError(t, err)
	if len(all.Faults) != r.Cases.Failed || all.Faults[0].Line == 0 || !strings.HasPrefix(all.Faults[0].Path, "cases[") ||
		!strings.Contains(all.Faults[0].Problem, " fails: the answer is ") {
		t.Errorf("%+v", all.Faults)
	}
}

func TestACaseAboutAWaveThatIsntThereFails(t *testing.T) {
	t.Parallel()
	r, err := Check(changed(t, "expect: yes, wave: B", "expect: yes, wave: C"), CheckOptions{})
	if err == nil || r.Cases.Failed != 1 || r.Cases.Failures[0].Explanation != "" || r.Cases.Failures[0].Line != 23 {
		t.Errorf("%v: %+v", err, r.Cases)
	}
	if said := text(t, r); !strings.Contains(said, `line 23, case 2: there is no wave "C"`) || strings.Contains(said, "is told:\n\n") {
		t.Error(said)
	}
}

func TestAWaveWithoutACaseCantBePublished(t *testing.T) {
	t.Parallel()
	before, _, _ := strings.Cut(plain, "cases:\n")
	for name, c := range map[string]struct {
		file    string
		without []string
		says    string
	}{
		"none at all": {before, []string{"A", "B"}, "2 waves have no case"},
		"one has":     {before + "cases:\n  - {birth_date: 1962-01-01, at: 2021-07-14 20:00, expect: yes}\n", []string{"B"}, "1 wave has no case"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := Check([]byte(c.file), CheckOptions{})
			if err == nil || r.Publishable || !slices.Equal(r.Cases.WavesWithoutCase, c.without) {
				t.Fatalf("%v %+v", err, r.Cases)
			}
			if said := text(t, r); !strings.Contains(said, c.says) || !strings.Contains(said, "Wave B has no case that says what is expected of it.") {
				t.Error(said)
			}
			if !strings.Contains(err.Error(), "wave B has no case") {
				t.Error(err)
			}
		})
	}
}

func TestNothingChangedIsSaid(t *testing.T) {
	t.Parallel()
	r, err := Check(july(t), CheckOptions{Today: today, Previous: load1(t, july(t)), PreviousName: "version 3"})
	if err != nil || r.Comparison == nil || len(r.Comparison.Changes) != 0 {
		t.Fatalf("%v, %+v", err, r.Comparison)
	}
	if said := text(t, r); !strings.Contains(said, "Compared with version 3: the same people may book at the same times.") {
		t.Error(said)
	}
}

// A rule for the digit of the birthday has ten runs of birth dates; what changes for all of them is said once.
func TestWhatChangesIsSaidOncePerWindow(t *testing.T) {
	t.Parallel()
	r, err := Check(changed(t, "min: 18, max: 49", "min: 18, max: 45"), CheckOptions{Today: today, Previous: load1(t, []byte(plain)), PreviousName: "plain"})
	if err != nil {
		t.Fatal(err)
	}
	want := "Compared with plain:\n  B 2021-08-09 20:00 – 2021-08-11 00:00 | lost by those born 1972-01-01 … 1975-12-31, day ends in 0,9\n\n"
	if said := text(t, r); !strings.Contains(said, want) {
		t.Error(said)
	}
}

func TestOtherFactsThanTheBirthDateAreProfiles(t *testing.T) {
	t.Parallel()
	raw := changed(t, "{birth_date: {from: 1962-01-01, to: 1966-12-31}}",
		"{all: [{birth_date: {from: 1962-01-01, to: 1966-12-31}}, {any: [{in_list: staff}, {region: [11*]}, {days_since_dose: {dose: 1, min: 28}}]}]}")
	raw = bytes.Replace(raw, []byte("expect: yes, wave: A"), []byte("expect: depends, wave: A"), 1)
	r, err := Check(raw, CheckOptions{Today: today, Population: people(t)})
	if err != nil {
		t.Fatal(err)
	}
	said := text(t, r)
	for _, says := range []string{
		"A 2021-07-14 20:00 – 2021-07-24 18:00 (depends on ", "Who may book when: on no list, in no region that is named, had no dose.",
		"on the list staff", "in the region 11", "had dose 1 of ", "Not covered:\n", "of them only if",
	} {
		if !strings.Contains(said, says) {
			t.Errorf("%q isn't said:\n%s", says, said)
		}
	}
}

func TestWhatTheFilesBesideItSayIsAdded(t *testing.T) {
	t.Parallel()
	r, err := Check(july(t), CheckOptions{Today: today})
	if err != nil {
		t.Fatal(err)
	}
	r.Supply = &Supply{Sites: 340, Slots: 63_898, Places: 1}
	if said := text(t, r); !strings.Contains(said, "Beside it: 340 sites, 63,898 slots, 1 place.") {
		t.Error(said)
	}
	r.Refuse(&DocumentError{Faults: []Fault{{Problem: "sites.csv: line 3: one"}, {Problem: "sites.csv: line 4: two"}}})
	if r.Publishable || len(r.Faults) != 2 || !strings.HasPrefix(text(t, r), "campaign.yaml can't be published: 2 faults.\n  sites.csv: line 3: one\n") {
		t.Error(text(t, r))
	}
}

// The work that a check does is counted, and bounded.
func TestTheWorkOfACheckIsBounded(t *testing.T) {
	t.Parallel()
	raw := changed(t, "{birth_date: {from: 1962-01-01, to: 1966-12-31}}", "{any: [{in_list: a}, {in_list: b}, {in_list: c}]}")
	raw = bytes.Replace(raw, []byte("expect: yes, wave: A"), []byte("expect: depends, wave: A"), 1)
	all, err := Check(raw, CheckOptions{Today: today})
	if err != nil {
		t.Fatal(err)
	}
	some, err := Check(raw, CheckOptions{Today: today, MaxEvaluations: 300_000})
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Profiles) != 9 || len(some.Profiles) != 3 || len(some.NotCovered) != 1 || some.Evaluations >= all.Evaluations {
		t.Errorf("%d and %d profiles, %v", len(all.Profiles), len(some.Profiles), some.NotCovered)
	}
}

func TestEveryWarningIsPrinted(t *testing.T) {
	t.Parallel()
	raw := julyWith(t, `{from: "1969-01-01", to: "1971-12-31"}`, `{from: "1970-01-01", to: "1971-12-31"}`)
	raw = bytes.ReplaceAll(raw, []byte(`{from: "1967-01-01", to: "1971-12-31"}`), []byte(`{from: "1970-01-01"}`))
	r, err := Check(raw, CheckOptions{Today: today})
	if err == nil {
		t.Fatal("no case fails")
	}
	said := text(t, r)
	for _, code := range []eligibility.WarningCode{eligibility.WarnGap, eligibility.WarnAdmitsNewborns} {
		if !strings.Contains(said, "["+string(code)+"]") {
			t.Errorf("%s isn't said:\n%s", code, said)
		}
	}
}

func TestAPopulationIsReadByLine(t *testing.T) {
	t.Parallel()
	got, err := ParsePopulation(strings.NewReader("\ufeffbirth_year,people\n# a remark\n1967,870000\n1968,0\n"))
	if err != nil || len(got) != 2 || got[1967] != 870_000 || got[1968] != 0 {
		t.Errorf("%v, %v", got, err)
	}
	for name, c := range map[string]struct{ file, want string }{
		"nothing":         {"", "has no heading"},
		"another heading": {"year,people\n1967,1\n", "must be birth_year,people"},
		"no year":         {"birth_year,people\n", "has no year"},
		"bad rows": {
			"birth_year,people\n67,1\n1967,1e6\n1968,\"1,000\"\n1969,-1\n1970,1\n1970,2\n1971\n3000,1\n1972,10000000001\n",
			"line 2: birth_year \"67\" must be a year from 1850 to 2999\n" +
				"line 3: people \"1e6\" must be a whole number from 0 to 10000000000, in digits alone\n" +
				"line 4: people \"1,000\" must be a whole number from 0 to 10000000000, in digits alone\n" +
				"line 5: people \"-1\" must be a whole number from 0 to 10000000000, in digits alone\n" +
				"line 7: the year 1970 was on line 6 already\n" +
				"line 8: has 1 columns and must have 2\n" +
				"line 9: birth_year \"3000\" must be a year from 1850 to 2999\n" +
				"line 10: people \"10000000001\" must be a whole number from 0 to 10000000000, in digits alone",
		},
		"a quote that isn't closed": {"birth_year,people\nx,1\n\"1967,1\n", "line 2: birth_year \"x\""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if people, err := ParsePopulation(strings.NewReader(c.file)); err == nil || people != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestNumbersAreGroupedByThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 12_345_678: "12,345,678", 100_000: "100,000"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}
