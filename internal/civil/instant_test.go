package civil

import (
	"errors"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // So that the zones are there on a machine without them.

	"pgregory.net/rapid"
)

func load(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func instant(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestTomorrowInSeoulAt2am(t *testing.T) {
	t.Parallel()
	seoul := load(t, "Asia/Seoul")
	at := instant(t, "2021-07-19T17:00:00Z") // 02:00 on the 20th in Seoul, still the 19th in UTC.
	if got := Of(at, seoul); got != day(2021, 7, 20) {
		t.Errorf("today is %s", got)
	}
	tomorrow := Midnight(AddDays(Of(at, seoul), 1), seoul)
	if want := instant(t, "2021-07-21T00:00:00+09:00"); !tomorrow.Equal(want) {
		t.Errorf("tomorrow begins %s, want %s", tomorrow, want)
	}
	if got := NextDay(at, seoul); !got.Equal(tomorrow) {
		t.Errorf("the next day begins %s", got)
	}
}

func TestMidnightIsTheFirstInstantOfTheDay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, zone string
		date       Date
		want       string
	}{
		{"seoul", "Asia/Seoul", day(2021, 7, 20), "2021-07-19T15:00:00Z"},
		{"seoul had summer time in 1988", "Asia/Seoul", day(1988, 7, 1), "1988-06-30T14:00:00Z"},
		{"clocks jump over midnight", "America/Sao_Paulo", day(2018, 11, 4), "2018-11-04T03:00:00Z"},
		{"midnight happens twice", "America/Havana", day(2021, 11, 7), "2021-11-07T04:00:00Z"},
		{"clocks go back to the day before", "America/Sao_Paulo", day(2018, 2, 18), "2018-02-18T03:00:00Z"},
		{"the day begins twice", "America/St_Johns", day(2010, 11, 7), "2010-11-07T02:30:00Z"},
		{"the day was left out", "Pacific/Apia", day(2011, 12, 30), "2011-12-30T10:00:00Z"},
		{"the day after the one left out", "Pacific/Apia", day(2011, 12, 31), "2011-12-30T10:00:00Z"},
		{"utc", "UTC", day(2021, 1, 1), "2021-01-01T00:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := Midnight(c.date, load(t, c.zone)); !got.Equal(instant(t, c.want)) {
				t.Errorf("Midnight(%s, %s) = %s, want %s", c.date, c.zone, got.UTC().Format(time.RFC3339), c.want)
			}
		})
	}
}

var oddZones = []string{
	"UTC", "Asia/Seoul", "America/Los_Angeles", "Pacific/Apia", "America/Sao_Paulo", "America/Havana", "America/St_Johns",
	"Africa/Cairo", "Asia/Beirut", "Atlantic/Azores", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Monrovia",
	"America/Asuncion", "Asia/Tehran", "Pacific/Kiritimati", "Asia/Manila", "Pacific/Kwajalein", "Europe/Dublin",
}

func TestMidnightAndNextDayAreFirstInstantsInEveryZone(t *testing.T) {
	t.Parallel()
	for _, name := range oddZones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone := load(t, name)
			for d := day(1910, 1, 1); d.Before(day(2038, 1, 1)); d = AddDays(d, 1) {
				start := Midnight(d, zone)
				if got := Of(start, zone); got.Before(d) {
					t.Fatalf("Midnight(%s) is on %s", d, got)
				}
				// No instant of the two days before it has the date already. Where no clock was changed in these days, the last
				// instant speaks for them all; elsewhere a quarter of an hour is finer than any change.
				furthest := time.Nanosecond
				if changed, _ := start.ZoneBounds(); !changed.IsZero() && changed.After(start.Add(-48*time.Hour)) {
					furthest = 48 * time.Hour
				}
				for back := time.Nanosecond; back <= furthest; back += 15 * time.Minute {
					if got := Of(start.Add(-back), zone); !got.Before(d) {
						t.Fatalf("Midnight(%s) = %s, but %s before that it is %s already", d, start, back, got)
					}
				}
				next := NextDay(start, zone)
				if today := Of(start, zone); Of(next, zone) == today || Of(next.Add(-1), zone) != today {
					t.Fatalf("NextDay(%s) = %s", start, next)
				}
			}
		})
	}
}

func TestLocalTimesAreResolvedOrRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text, zone, want string
	}{
		{"seoul", "2021-07-19 20:00", "Asia/Seoul", "2021-07-19T11:00:00Z"},
		{"with a T", "2021-07-19T20:00", "Asia/Seoul", "2021-07-19T11:00:00Z"},
		{"with seconds", "2021-07-19T20:00:30", "Asia/Seoul", "2021-07-19T11:00:30Z"},
		{"with a fraction", "2021-07-19 20:00:30.25", "Asia/Seoul", "2021-07-19T11:00:30.25Z"},
		{"24:00 is the next day's 00:00", "2021-07-24 24:00", "Asia/Seoul", "2021-07-24T15:00:00Z"},
		{"24:00 at a year's end", "2021-12-31T24:00:00", "Asia/Seoul", "2021-12-31T15:00:00Z"},
		{"24:00 with an offset", "2021-07-24T24:00:00+09:00", "Asia/Seoul", "2021-07-24T15:00:00Z"},
		{"an offset wins over the zone", "2021-07-19T20:00:00-07:00", "Asia/Seoul", "2021-07-20T03:00:00Z"},
		{"utc", "2021-07-19T20:00:00.000000001Z", "Asia/Seoul", "2021-07-19T20:00:00.000000001Z"},
		{"offset without seconds", "2021-07-19 20:00+09:00", "Asia/Seoul", "2021-07-19T11:00:00Z"},
		{"one second before clocks jump", "2021-03-14 01:59:59", "America/Los_Angeles", "2021-03-14T09:59:59Z"},
		{"when clocks have jumped", "2021-03-14 03:00", "America/Los_Angeles", "2021-03-14T10:00:00Z"},
		{"before the repeated hour", "2021-11-07 00:59:59", "America/Los_Angeles", "2021-11-07T07:59:59Z"},
		{"after the repeated hour", "2021-11-07 02:00", "America/Los_Angeles", "2021-11-07T10:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseInstant(c.text, load(t, c.zone))
			if err != nil || !got.Equal(instant(t, c.want)) {
				t.Errorf("ParseInstant(%q, %s) = %s, %v, want %s", c.text, c.zone, got, err, c.want)
			}
			if err == nil && got.Location().String() != c.zone {
				t.Errorf("the result is in %s", got.Location())
			}
		})
	}
	for _, c := range []struct {
		name, text, zone string
		want             error
		says             string
	}{
		{"skipped", "2021-03-14 02:30", "America/Los_Angeles", ErrNoSuchTime, "skipped"},
		{"first instant skipped", "2021-03-14 02:00", "America/Los_Angeles", ErrNoSuchTime, "skipped"},
		{"repeated", "2021-11-07 01:00", "America/Los_Angeles", ErrAmbiguousTime, "2021-11-07T01:00:00-07:00 or 2021-11-07T01:00:00-08:00"},
		{"last instant repeated", "2021-11-07 01:59:59", "America/Los_Angeles", ErrAmbiguousTime, "write the offset"},
		{"skipped midnight", "2018-11-04 00:00", "America/Sao_Paulo", ErrNoSuchTime, "Sao_Paulo"},
		{"skipped midnight as 24:00", "2018-11-03 24:00", "America/Sao_Paulo", ErrNoSuchTime, "2018-11-04 00:00:00"},
		{"a day left out", "2011-12-30 12:00", "Pacific/Apia", ErrNoSuchTime, "Apia"},
		{"a date that doesn't exist", "2021-02-30 20:00", "Asia/Seoul", ErrDate, "2021-02-30"},
		{"after 24:00", "2021-07-19 24:01", "Asia/Seoul", ErrInstant, "24:00"},
		{"after 24:00 by a nanosecond", "2021-07-19 24:00:00.000000001", "Asia/Seoul", ErrInstant, "24:00"},
		{"hour 25", "2021-07-19 25:00", "Asia/Seoul", ErrInstant, ""},
		{"minute 60", "2021-07-19 20:60", "Asia/Seoul", ErrInstant, ""},
		{"leap second", "2016-12-31T23:59:60Z", "Asia/Seoul", ErrInstant, ""},
		{"only a date", "2021-07-19", "Asia/Seoul", ErrInstant, ""},
		{"one-digit hour", "2021-07-19 8:00", "Asia/Seoul", ErrInstant, ""},
		{"afternoon in words", "2021-07-19 08:00 pm", "Asia/Seoul", ErrInstant, "offset"},
		{"offset without a colon", "2021-07-19T20:00:00+0900", "Asia/Seoul", ErrInstant, "offset"},
		{"offset beyond a day", "2021-07-19T20:00:00+24:00", "Asia/Seoul", ErrInstant, "offset"},
		{"no digit in the fraction", "2021-07-19T20:00:00.Z", "Asia/Seoul", ErrInstant, "fraction"},
		{"ten digits in the fraction", "2021-07-19T20:00:00.0123456789Z", "Asia/Seoul", ErrInstant, "fraction"},
		{"empty", "", "Asia/Seoul", ErrInstant, ""},
	} {
		t.Run("refuses "+c.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseInstant(c.text, load(t, c.zone))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("ParseInstant(%q, %s) = %s, %v, want %v", c.text, c.zone, got, err, c.want)
			}
		})
	}
	if _, err := ParseInstant("2021-07-19 20:00", nil); !errors.Is(err, ErrInstant) || !strings.Contains(err.Error(), "offset") {
		t.Errorf("a local time without a zone: %v", err)
	}
	if got, err := ParseInstant("2021-07-19T20:00:00+09:00", nil); err != nil || !got.Equal(instant(t, "2021-07-19T11:00:00Z")) {
		t.Errorf("an offset without a zone: %s, %v", got, err)
	}
	for _, timeOfDay := range []time.Duration{-1, 24*time.Hour + 1} {
		if _, err := Resolve(day(2021, 7, 19), timeOfDay, time.UTC); !errors.Is(err, ErrInstant) {
			t.Errorf("Resolve(%s): %v", timeOfDay, err)
		}
	}
}

// What clocks show at an instant resolves to that instant, unless clocks show it twice: then it is refused.
func TestResolvingIsReadingAClockBackwards(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(oddZones).Draw(t, "zone")
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(rapid.Int64Range(-2_000_000_000, 2_100_000_000).Draw(t, "at"), 0).In(zone)
		if rapid.Bool().Draw(t, "near a change") {
			if _, end := at.ZoneBounds(); !end.IsZero() {
				at = end.Add(time.Duration(rapid.IntRange(-7200, 7200).Draw(t, "seconds")) * time.Second).In(zone)
			}
		}
		h, m, s := at.Clock()
		timeOfDay := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
		got, err := Resolve(Of(at, zone), timeOfDay, zone)
		// Clocks can only show a time again after a shift by the difference of two offsets.
		shownTwice := false
		_, mine := at.Zone()
		for shift := -26 * time.Hour; shift <= 26*time.Hour; shift += 15 * time.Minute {
			_, its := at.Add(shift).Zone()
			other := at.Add(time.Duration(mine-its) * time.Second)
			if mine != its && other.Format(time.DateTime) == at.Format(time.DateTime) {
				shownTwice = true
			}
		}
		switch {
		case shownTwice && !errors.Is(err, ErrAmbiguousTime):
			t.Fatalf("%s happens twice: %s, %v", at, got, err)
		case !shownTwice && (err != nil || !got.Equal(at)):
			t.Fatalf("%s resolves to %s, %v", at, got, err)
		}
	})
}

func FuzzParseInstant(f *testing.F) {
	for _, text := range []string{
		"2021-07-19T20:00:00+09:00", "2021-07-19 20:00", "2021-07-19T24:00", "2021-03-14 02:30", "2021-11-07 01:30:00.5",
		"2021-07-19T20:00:00Z", "2021-07-19T20:00:00-00:00", "", "2021-07-19T24:00:00.000", "9999-12-31T24:00Z",
	} {
		f.Add(text)
	}
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseInstant(text, zone)
		if err != nil {
			if !got.IsZero() {
				t.Fatalf("ParseInstant(%q) = %s and %v", text, got, err)
			}
			return
		}
		if len(text) < 16 || len(text) > 35 {
			t.Fatalf("ParseInstant(%q) = %s: no instant has that many characters", text, got)
		}
		// Whatever the standard library reads in RFC 3339, it reads alike.
		if standard, standardErr := time.Parse(time.RFC3339Nano, text); standardErr == nil && !standard.Equal(got) {
			t.Fatalf("ParseInstant(%q) = %s, the standard library says %s", text, got, standard)
		}
		// Written out again with its offset, it is the same instant.
		if got.Year() > 9999 {
			return
		}
		again, err := ParseInstant(got.Format(time.RFC3339Nano), zone)
		if _, offset := got.Zone(); offset%60 == 0 && (err != nil || !again.Equal(got)) {
			t.Fatalf("%q → %s → %s, %v", text, got, again, err)
		}
	})
}
