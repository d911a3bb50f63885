package civil

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func day(y int, m time.Month, d int) Date { return Date{Year: y, Month: m, Day: d} }

func TestDayNumbersCountEveryDay(t *testing.T) {
	t.Parallel()
	n := DayNumber(day(1, 1, 1))
	for y := 1; y <= 2400; y++ {
		for m := time.January; m <= time.December; m++ {
			for d := 1; d <= DaysIn(y, m); d++ {
				date := day(y, m, d)
				if got := DayNumber(date); got != n {
					t.Fatalf("DayNumber(%s) = %d, want %d", date, got, n)
				}
				if got := FromDayNumber(n); got != date {
					t.Fatalf("FromDayNumber(%d) = %s, want %s", n, got, date)
				}
				n++
			}
		}
	}
	if got := DayNumber(day(1970, 1, 1)); got != 0 {
		t.Errorf("1970-01-01 is day %d, want 0", got)
	}
}

func TestDaysAgreeWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := FromDayNumber(rapid.Int32Range(-719_162, 2_932_896).Draw(t, "day"))
		n := rapid.IntRange(-100_000, 100_000).Draw(t, "n")
		midday := time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, time.UTC)
		y, m, dd := midday.AddDate(0, 0, n).Date()
		if got, want := AddDays(d, n), day(y, m, dd); got != want {
			t.Fatalf("AddDays(%s, %d) = %s, want %s", d, n, got, want)
		}
		if got := DaysBetween(d, AddDays(d, n)); got != n {
			t.Fatalf("DaysBetween counts %d, AddDays %d", got, n)
		}
		if !Exists(d) {
			t.Fatalf("%s doesn't exist", d)
		}
	})
}

func TestParseTakesDatesThatExistAndNothingElse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Date{
		"1967-01-01": day(1967, 1, 1),
		"2000-02-29": day(2000, 2, 29), // Divisible by 400: leap.
		"0001-01-01": day(1, 1, 1),
		"9999-12-31": day(9999, 12, 31),
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %s, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "1967-1-1", "1967-01-01 ", " 1967-01-01", "1967/01/01", "19670101", "1967-01-01T00:00:00Z", "67-01-01",
		"1900-02-29", "2021-02-29", "2021-02-30", "2021-04-31", "2021-13-01", "2021-00-10", "2021-01-00", "2021-01-32",
		"0000-01-01", "-001-01-01", "+001-01-01", "2021-+1-01", "２０２１-01-01", "2021-01-1a",
	} {
		if got, err := Parse(text); !errors.Is(err, ErrDate) || !got.IsZero() {
			t.Errorf("Parse(%q) = %s, %v, want ErrDate", text, got, err)
		}
	}
}

func TestExistsIsWhatTheCalendarSays(t *testing.T) {
	t.Parallel()
	for y := 1896; y <= 2104; y++ {
		for m := time.Month(-1); m <= 14; m++ {
			for d := -1; d <= 33; d++ {
				date := day(y, m, d)
				if Exists(date) != date.IsValid() {
					t.Fatalf("Exists(%v) = %t", date, Exists(date))
				}
			}
		}
	}
	for _, date := range []Date{{}, day(0, 1, 1), day(10_000, 1, 1)} {
		if Exists(date) {
			t.Errorf("%v exists", date)
		}
	}
}

func TestMonthsClampToTheirLastDay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		from Date
		n    int
		want Date
	}{
		{"january_31_plus_one_month", day(2021, 1, 31), 1, day(2021, 2, 28)},
		{"january_31_plus_one_month in a leap year", day(2020, 1, 31), 1, day(2020, 2, 29)},
		{"january_31_plus_two_months", day(2021, 1, 31), 2, day(2021, 3, 31)},
		{"may_31 plus one month", day(2021, 5, 31), 1, day(2021, 6, 30)},
		{"over a year's end", day(2021, 12, 31), 2, day(2022, 2, 28)},
		{"backwards", day(2021, 3, 31), -1, day(2021, 2, 28)},
		{"backwards over a year's end", day(2021, 1, 15), -1, day(2020, 12, 15)},
		{"backwards by years", day(2020, 2, 29), -12, day(2019, 2, 28)},
		{"nothing", day(2020, 2, 29), 0, day(2020, 2, 29)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := AddMonths(c.from, c.n); got != c.want {
				t.Errorf("AddMonths(%s, %d) = %s, want %s", c.from, c.n, got, c.want)
			}
		})
	}
}

func TestMonthsLandInTheirMonthAndKeepTheDayIfItIsThere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := FromDayNumber(rapid.Int32Range(-100_000, 100_000).Draw(t, "day"))
		n := rapid.IntRange(-1200, 1200).Draw(t, "n")
		got := AddMonths(d, n)
		// The first of a month never overflows, so Go's own arithmetic is right there.
		first := time.Date(d.Year, d.Month, 1, 0, 0, 0, 0, time.UTC).AddDate(0, n, 0)
		if got.Year != first.Year() || got.Month != first.Month() {
			t.Fatalf("%s + %d months = %s", d, n, got)
		}
		if got.Day != d.Day && (got.Day > d.Day || AddDays(got, 1).Day != 1) {
			t.Fatalf("%s + %d months = %s, neither the same day nor the last", d, n, got)
		}
	})
}

func TestDigitOfTheDay(t *testing.T) {
	t.Parallel()
	for d, want := range map[Date]int{
		day(1980, 5, 3): 3, day(1980, 5, 31): 1, day(1980, 5, 30): 0, day(1980, 2, 29): 9, day(1989, 1, 20): 0,
	} {
		if got := DayDigit(d); got != want {
			t.Errorf("DayDigit(%s) = %d, want %d", d, got, want)
		}
	}
	if got := YearDigit(day(1967, 12, 31)); got != 7 {
		t.Errorf("YearDigit = %d, want 7", got)
	}
}

func TestDatesCostNoMemory(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of other goroutines too.
	zone := load(t, "Asia/Seoul")
	at := time.Unix(1_626_700_000, 0)
	var sink int
	if n := testing.AllocsPerRun(100, func() {
		d := Of(at, zone)
		sink += int(DayNumber(AddDays(d, 28))) + FullAge(day(1967, 1, 1), d, LeapMarch1) + Midnight(d, zone).Nanosecond()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"1967-01-01", "2000-02-29", "1900-02-29", "2021-02-30", "0000-00-00", "2021-1-1", "", "20210-1-01"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		standard, standardErr := time.Parse(time.DateOnly, text)
		if text >= "0001" && (err == nil) != (standardErr == nil) {
			t.Fatalf("Parse(%q): %v, the standard library: %v", text, err, standardErr)
		}
		if err != nil {
			return
		}
		if d.String() != text || standard.Format(time.DateOnly) != text || !Exists(d) {
			t.Fatalf("Parse(%q) = %s", text, d)
		}
	})
}

func TestADateIsWrittenLikeItsString(t *testing.T) {
	t.Parallel()
	for _, d := range []Date{{}, {Year: 999, Month: 1, Day: 2}, {Year: 10_000, Month: 1, Day: 2}, {Year: 2021, Month: 13, Day: 1}, {Year: 2021, Month: 1, Day: 32}, {Year: -5, Month: 1, Day: 1}} {
		if got := Text(d); got != d.String() {
			t.Errorf("%q, and its String is %q", got, d)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := FromDayNumber(rapid.Int32Range(-800_000, 3_000_000).Draw(t, "day"))
		if got := Text(d); got != d.String() {
			t.Fatalf("%q, and its String is %q", got, d)
		}
	})
}
