package korea2021_test

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/eligibility"
)

// programme is the file with all 19 openings of 2021. It stands beside the campaign and isn't part of it.
func programme(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("programme.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func compiled(t testing.TB, raw []byte) *campaign.Campaign {
	t.Helper()
	c, err := campaign.Load(raw, 1)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// lastDay is the last birth date that these tests ask about, so that they stay the same.
var lastDay = civil.Date{Year: 2021, Month: 12, Day: 31}

// The announced windows are written down a second time, beside the proof of the rules.
func TestTheProgrammeIsAsAnnounced(t *testing.T) {
	t.Parallel()
	file, err := os.Open(filepath.Join("..", "..", "internal", "eligibility", "testdata", "korea-2021.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	reader := csv.NewReader(file)
	reader.Comment = '#'
	rows, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	c := compiled(t, programme(t))
	if len(rows) != 20 || len(c.Waves) != 19 {
		t.Fatalf("%d rows and %d waves", len(rows)-1, len(c.Waves))
	}
	for i, row := range rows[1:] {
		w, opening := c.Waves[i], c.Openings[i]
		born, digit := w.Who.BirthDate, ""
		if len(w.Who.All) == 2 {
			born, digit = w.Who.All[0].BirthDate, strconv.Itoa(w.Who.All[1].BirthDayDigit[0])
		}
		got := []string{
			w.ID, row[1], born.From.String(), born.To.String(), digit, opening.OpensAt.Format("2006-01-02T15:04:05-07:00"),
			opening.ClosesAt.Format("2006-01-02T15:04:05-07:00"), w.Slots.From.String(), w.Slots.To.String(),
		}
		if !slices.Equal(got, row) {
			t.Errorf("wave %d is\n%v, announced was\n%v", i, got, row)
		}
	}
}

// A full check asks every birth date at every opening once; to be fast is not to ask more than that.
func TestAFullCheckOfTheProgrammeAsksNothingTwice(t *testing.T) {
	t.Parallel()
	r, err := campaign.Check(programme(t), campaign.CheckOptions{Today: lastDay})
	if err != nil {
		t.Fatal(err)
	}
	if r.Cases.Failed != 0 || r.Cases.Passed < 50 || len(r.Warnings) != 0 || len(r.NotCovered) != 0 {
		t.Errorf("%+v\n%+v", r.Cases, r.Warnings)
	}
	// 44,560 birth dates × 19 openings, and 2 % on top to find where rows of a digit begin and end.
	least := int64(civil.DaysBetween(r.BirthFrom, r.BirthTo)+1) * 19
	if r.Boundaries != 38 || r.Evaluations < least || r.Evaluations > least+least/50 {
		t.Errorf("%d boundaries, %d evaluations, and %d are enough", r.Boundaries, r.Evaluations, least)
	}
	if rows := r.Profiles[0].Rows; len(rows) != 27 {
		t.Errorf("%d rows", len(rows))
	}
}

// A notice of the time said "born 2003 or later" where "or earlier" was meant. A file that says so can't be published,
// and its preview shows it at a glance.
func TestTheOfficialTypoIsPlain(t *testing.T) {
	t.Parallel()
	right := programme(t)
	// Born 1972 to 2003 becomes born 2003 or later: in one wave, in all that are for 18 to 49, and in their halves too.
	for name, c := range map[string]struct {
		change func(string) string
		says   []string
		codes  []eligibility.WarningCode
	}{
		"in one wave": {
			change: func(text string) string {
				at := strings.Index(text, "wave: U3")
				return text[:at] + strings.Replace(text[at:], "from: 1972-01-01, to: 2003-12-31", "from: 2003-01-01", 1)
			},
			says: []string{
				"(U3 opens, oldest): the answer is no, expected yes",
				"(born in 1990, in the middle of 18 to 49): the answer is no, expected yes",
				"This booking is for people born on 1 January 2003 or later.",
				"U3 admits people born up to 2021-12-31, the youngest there are. [admits_newborns]",
				"U3 2021-08-21 20:00 – 2021-09-18 18:00 | lost by those born 1972-01-01 … 2002-12-31\n",
				"U3 2021-08-21 20:00 – 2021-09-18 18:00 | gained by those born 2004-01-01 … 2021-12-31\n",
				"born 2010-01-01 … 2021-12-31                | U3 2021-08-21 20:00 – 2021-09-18 18:00 | 12,000 people",
				"People who may book at some time: 48,000 before, 60,000 now.",
				"U3: 32,000 before, 19,000 now",
			},
			codes: []eligibility.WarningCode{eligibility.WarnAdmitsNewborns},
		},
		"in every wave for 18 to 49": {
			change: func(text string) string {
				return strings.ReplaceAll(text, "from: 1972-01-01, to: 2003-12-31", "from: 2003-01-01")
			},
			says: []string{
				"(T9 opens, oldest): the answer is no, expected yes",
				"T9 admits people born up to 2021-12-31", "T0 admits people born up to 2021-12-31",
				"T9 2021-08-09 20:00 – 2021-08-10 18:00 | lost by those born 1972-01-01 … 2002-12-31, day ends in 9\n",
			},
			codes: slices.Repeat([]eligibility.WarningCode{eligibility.WarnAdmitsNewborns}, 11),
		},
		"in their halves too": {
			change: func(text string) string {
				text = strings.ReplaceAll(text, "from: 1972-01-01, to: 2003-12-31", "from: 2003-01-01")
				text = strings.ReplaceAll(text, "from: 1986-01-01, to: 2003-12-31", "from: 2003-01-01")
				return strings.ReplaceAll(text, "from: 1972-01-01, to: 1985-12-31", "from: 2003-01-01")
			},
			says: []string{
				"No wave admits people born 1972-01-01 to 2002-12-31, while some admit older and younger people. [gap]",
				"1972-01-01 … 2002-12-31                | nobody | 31,000 people",
			},
			codes: append([]eligibility.WarningCode{eligibility.WarnGap}, slices.Repeat([]eligibility.WarningCode{eligibility.WarnAdmitsNewborns}, 13)...),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			typo := []byte(c.change(string(right)))
			if bytes.Equal(typo, right) {
				t.Fatal("nothing was replaced")
			}
			thousandAYear := map[int]int64{}
			for year := 1950; year <= 2021; year++ {
				thousandAYear[year] = 1000
			}
			r, err := campaign.Check(typo, campaign.CheckOptions{
				Today: lastDay, Previous: compiled(t, right), PreviousName: "programme.yaml", Population: thousandAYear,
			})
			if err == nil || r.Publishable || r.Cases.Failed == 0 {
				t.Fatal("it can be published")
			}
			var b strings.Builder
			if err := r.WriteText(&b, "typo.yaml"); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(b.String(), "typo.yaml can't be published: ") {
				t.Errorf("it begins with %.60q", b.String())
			}
			for _, says := range c.says {
				if !strings.Contains(b.String(), says) {
					t.Errorf("%q isn't said:\n%s", says, &b)
				}
			}
			var codes []eligibility.WarningCode
			for _, w := range r.Warnings {
				codes = append(codes, w.Code)
			}
			if !slices.Equal(codes, c.codes) {
				t.Errorf("warnings %v, not %v", codes, c.codes)
			}
		})
	}
}
