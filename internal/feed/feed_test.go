package feed

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"jari/internal/campaign"
	"jari/internal/civil"
)

func TestWeeksAreThoseOfISO8601(t *testing.T) {
	t.Parallel()
	day := civil.Date{Year: 1995, Month: time.January, Day: 1}
	for range 20_000 {
		name := weekOf(day)
		monday, ok := mondayOf(name)
		year, week := time.Date(day.Year, day.Month, day.Day, 12, 0, 0, 0, time.UTC).ISOWeek()
		if after := civil.DaysBetween(monday, day); !ok || after < 0 || after > 6 || weekOf(monday) != name || name[:4] != digits(year, 4) || name[6:] != digits(week, 2) {
			t.Fatalf("%s is in %s, which begins on %s", day, name, monday)
		}
		day = civil.AddDays(day, 1)
	}
	for _, wrong := range []string{"", "2021-W54", "2021-W53", "2021-W00", "2021-w30", "2021-30", "2021-W3", "2021-W030", "+021-W30", "0000-W01", "2021-W+1"} {
		if monday, ok := mondayOf(wrong); ok {
			t.Errorf("%q begins on %s", wrong, monday)
		}
	}
}

func digits(n, width int) string {
	text := strings.Repeat("0", width)
	for i := width - 1; i >= 0; i-- {
		text = text[:i] + string(rune('0'+n%10)) + text[i+1:]
		n /= 10
	}
	return text
}

func TestIDsAreFHIRsAndOneASite(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[A-Za-z0-9\-.]{1,64}$`)
	seen := map[string]string{}
	for _, c := range []string{"ab", "a-b", strings.Repeat("c", 31), strings.Repeat("c", 63), strings.Repeat("d", 63)} {
		for _, site := range []string{"1", "b-1", strings.Repeat("s", 32), strings.Repeat("s", 33), strings.Repeat("s", 63)} {
			id := fhirID(c, site)
			if !form.MatchString(id) {
				t.Errorf("%s of %s is %q", site, c, id)
			}
			if other, twice := seen[id]; twice {
				t.Errorf("%s of %s and %s are both %s", site, c, other, id)
			}
			seen[id] = site + " of " + c
		}
	}
}

func TestWeeksOfACampaignAreThoseOfItsDays(t *testing.T) {
	t.Parallel()
	d := func(text string) civil.Date {
		day, err := civil.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return day
	}
	c := &campaign.Campaign{Location: time.FixedZone("", 9*3600)}
	c.Waves = []campaign.Wave{
		{Slots: campaign.DayRange{From: d("2021-08-29"), To: d("2021-08-30")}}, // a Sunday and a Monday
		{Slots: campaign.DayRange{From: d("2021-07-26"), To: d("2021-08-01")}},
	}
	at := func(text string) string {
		now, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(weeks(c, now), " ")
	}
	for now, want := range map[string]string{
		"2019-01-01T00:00:00Z": "2021-W30 2021-W34 2021-W35",
		"2021-08-01T14:59:59Z": "2021-W30 2021-W34 2021-W35",
		"2021-08-01T15:00:00Z": "2021-W34 2021-W35", // a Monday has begun there
		"2021-09-05T14:59:59Z": "2021-W35",
		"2021-09-05T15:00:00Z": "",
	} {
		if got := at(now); got != want {
			t.Errorf("at %s: %q, not %q", now, got, want)
		}
	}
}
