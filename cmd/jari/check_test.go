package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jari/internal/eligibility"
	"jari/test/storetest"
)

// example is a file of the example campaign's folder.
func example(name string) string {
	return filepath.Join("..", "..", "examples", "korea-2021", name)
}

// beside writes the whole example campaign into a folder of the test's own, with one text replaced, and returns the
// campaign file.
func beside(t testing.TB, name, from, to string) string {
	t.Helper()
	folder := t.TempDir()
	for _, file := range []string{"campaign.yaml", "sites.csv", "slots.yaml"} {
		text, err := os.ReadFile(example(file))
		if err != nil {
			t.Fatal(err)
		}
		if file == name {
			if !strings.Contains(string(text), from) {
				t.Fatalf("%q isn't in %s", from, name)
			}
			text = []byte(strings.Replace(string(text), from, to, 1))
		}
		if err := os.WriteFile(filepath.Join(folder, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "campaign.yaml")
}

func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const later = `{from: "1966-12-31"}` // where E3 says 1962-01-01 to 1966-12-31

func TestCheckingACampaignPrintsItsTable(t *testing.T) {
	t.Parallel()
	r := jari(t, nil, "campaign", "check", example("campaign.yaml"), "--today=2021-07-14").want(t,
		"Beside it: 340 sites, 63,898 slots, 367,898 places.", "Cases: 43 passed, 0 failed.", "Warnings: none.",
		"  born 1967-01-01 … 1968-12-31 | F1 2021-07-19 20:00 – 2021-07-20 18:00 | F3 2021-07-21 20:00 – 2021-07-24 18:00\n", "\nTook ")
	if !strings.HasPrefix(r.out, example("campaign.yaml")+" can be published.\n") {
		t.Errorf("it begins with %.80q", r.out)
	}
	jari(t, nil, "campaign", "check", example("programme.yaml")).want(t, "can be published", "born 2006-01-01 … 2009-12-31")
}

func TestCheckingHelpsItself(t *testing.T) {
	t.Parallel()
	jari(t, nil, "campaign", "check", "--help").want(t,
		"--json", "--strict", "--published", "--against=FILE", "--population=FILE", "--today=YYYY-MM-DD", "Exit status: 0 if", "campaign's zone", "birth_year,people")
}

func TestWhatCantBePublishedFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		says []string
	}{
		"a fault of form": {
			beside(t, "campaign.yaml", "zone: Asia/Seoul", "zone: Asia/Soul"),
			[]string{"can't be published: 1 fault.", "line 16, column 7: zone: "},
		},
		"a failing case": {
			beside(t, "campaign.yaml", `{from: "1962-01-01", to: "1966-12-31"}`, later),
			[]string{"can't be published: 14 cases fail.", "(E3 opens): the answer is no, expected yes", "[admits_newborns]"},
		},
		"a site in no region": {
			beside(t, "sites.csv", ",seoul,", ",sowl,"),
			[]string{"can't be published: 1 fault.", `is in region "sowl", which the campaign doesn't list`, "born 1967-01-01"},
		},
		"a site of no template": {
			beside(t, "slots.yaml", "  centre:", "  center:"),
			[]string{"can't be published: ", `the template "centre", which slots.yaml doesn't have`},
		},
		"no sites file": {
			beside(t, "campaign.yaml", "sites: sites.csv", "sites: places.csv"),
			[]string{"can't be published: 1 fault.", "opening places.csv"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := jari(t, nil, "campaign", "check", c.file)
			r.wantFault(t, c.file+" can't be published")
			for _, says := range c.says {
				if !strings.Contains(r.out, says) {
					t.Errorf("%q isn't said:\n%.3000s", says, r.out)
				}
			}
			machine := jari(t, nil, "campaign", "check", c.file, "--json")
			machine.wantFault(t, "can't be published")
			var report struct {
				Publishable *bool
				Faults      []any
				Cases       struct{ Failed int }
			}
			if err := json.Unmarshal([]byte(machine.out), &report); err != nil || report.Publishable == nil || *report.Publishable ||
				len(report.Faults)+report.Cases.Failed == 0 {
				t.Errorf("%v: %+v", err, report)
			}
		})
	}
}

func TestTheJSONIsTheReport(t *testing.T) {
	t.Parallel()
	r := jari(t, nil, "campaign", "check", example("campaign.yaml"), "--json", "--today=2021-07-14").want(t)
	var report eligibility.Report // What the check adds, this leaves out.
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatal(err)
	}
	if report.Cases.Passed != 43 || report.Cases.Failed != 0 || len(report.Profiles) != 1 || len(report.Profiles[0].Intervals) != 5 ||
		report.Profiles[0].Intervals[2].Windows[1].Wave != "F3" || report.Warnings == nil || report.NotCovered == nil {
		t.Errorf("%+v", report)
	}
	if strings.Contains(r.out, "Took") {
		t.Error("it isn't JSON alone")
	}
}

func TestWarningsFailOnlyWhenAskedTo(t *testing.T) {
	t.Parallel()
	// E3 stays open after its last day is over.
	file := beside(t, "campaign.yaml", `closes_at: "2021-07-24T18:00:00+09:00"
    slots: {from: "2021-07-26", to: "2021-08-14"}`, `closes_at: "2021-08-24T18:00:00+09:00"
    slots: {from: "2021-07-26", to: "2021-08-14"}`)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	open := strings.Replace(string(text), `  - {name: E3 closes, birth_date: "1962-01-01", at: "2021-07-24T18:00:00+09:00", expect: "no"}`, "", 1)
	if err := os.WriteFile(file, []byte(open), 0o600); err != nil {
		t.Fatal(err)
	}
	jari(t, nil, "campaign", "check", file).want(t, "can be published", "[window_outlives_slots]")
	jari(t, nil, "campaign", "check", file, "--strict").wantFault(t, "has warnings, and --strict")
	jari(t, nil, "campaign", "check", example("campaign.yaml"), "--strict").want(t, "can be published")
}

func TestCheckingAgainstAnotherFile(t *testing.T) {
	t.Parallel()
	file := beside(t, "campaign.yaml", `{from: "1962-01-01", to: "1966-12-31"}`, later)
	r := jari(t, nil, "campaign", "check", file, "--against", example("campaign.yaml"), "--today=2021-07-14",
		"--population", filepath.Join("..", "..", "internal", "campaign", "testdata", "population.csv"))
	r.wantFault(t, "can't be published")
	for _, says := range []string{
		"Compared with " + example("campaign.yaml") + ":\n", "lost by those born 1962-01-01 … 1966-12-30",
		"People who may book at some time: 9,000,000 before, 30,469,589 now.", "| 1,800,000 people",
	} {
		if !strings.Contains(r.out, says) {
			t.Errorf("%q isn't said", says)
		}
	}
}

func TestCheckingAgainstWhatIsPublished(t *testing.T) {
	t.Parallel()
	url := storetest.PostgresURL(t)
	environ := []string{"JARI_ENV=development", "JARI_POSTGRES_URL=" + url}
	text, err := os.ReadFile(example("programme.yaml")) // Without sites and slots, it is published in no time.
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, string(text))
	jari(t, environ, "campaign", "check", file, "--published").want(t, "no version of the campaign has been published yet")
	jari(t, environ, "campaign", "publish", file).want(t, "published version 1")
	jari(t, environ, "campaign", "check", file, "--published").want(t,
		"Compared with version 1, the newest published: the same people may book at the same times.")
	wider := strings.Replace(string(text), "{birth_date: {from: 1967-01-01, to: 1968-12-31}}", "{birth_date: {from: 1967-01-01, to: 1969-06-30}}", 1)
	if err := os.WriteFile(file, []byte(wider), 0o600); err != nil {
		t.Fatal(err)
	}
	jari(t, environ, "campaign", "check", file, "--published").want(t,
		"can be published", "F1 2021-07-19 20:00 – 2021-07-20 18:00 | gained by those born 1969-01-01 … 1969-06-30\n")
	// A file that can't be read is told as always.
	if err := os.WriteFile(file, []byte("campaign: korea-2021-programme\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	jari(t, environ, "campaign", "check", file, "--published").wantFault(t, "can't be published")
}

func TestACheckThatCantBeMadeIsAnError(t *testing.T) {
	t.Parallel()
	file := example("campaign.yaml")
	for name, c := range map[string]struct {
		arguments []string
		says      string
	}{
		"no file":                  {[]string{"nowhere.yaml"}, "nowhere.yaml"},
		"no other file":            {[]string{file, "--against=nowhere.yaml"}, "nowhere.yaml"},
		"another file with faults": {[]string{file, "--against=" + write(t, "campaign: x\n")}, "can't be compared with:\nline 1, column "},
		"no population":            {[]string{file, "--population=nowhere.csv"}, "nowhere.csv"},
		"a bad population":         {[]string{file, "--population=" + write(t, "birth_year,people\n67,1\n")}, "can't be read:\nline 2: birth_year"},
		"no database":              {[]string{file, "--published"}, "JARI_POSTGRES_URL is missing"},
		"both at once":             {[]string{file, "--published", "--against=" + file}, "can't be used together"},
		"a day that isn't one":     {[]string{file, "--today=2021-02-29"}, "--today: not a date"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			jari(t, nil, append([]string{"campaign", "check"}, c.arguments...)...).wantFault(t, c.says)
		})
	}
}
