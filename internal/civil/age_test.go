package civil

import (
	"testing"

	"pgregory.net/rapid"
)

func TestFebruary29Birthday(t *testing.T) {
	t.Parallel()
	born := day(2004, 2, 29)
	for _, c := range []struct {
		on              Date
		march, february int
	}{
		{day(2004, 2, 28), -1, -1},
		{day(2004, 2, 29), 0, 0},
		{day(2005, 2, 27), 0, 0},
		{day(2005, 2, 28), 0, 1},
		{day(2005, 3, 1), 1, 1},
		{day(2008, 2, 28), 3, 3},
		{day(2008, 2, 29), 4, 4},
		{day(2100, 2, 28), 95, 96}, // Not a leap year, although divisible by four.
		{day(2100, 3, 1), 96, 96},
	} {
		if got := FullAge(born, c.on, LeapMarch1); got != c.march {
			t.Errorf("on %s, 1 March: %d, want %d", c.on, got, c.march)
		}
		if got := FullAge(born, c.on, LeapFebruary28); got != c.february {
			t.Errorf("on %s, 28 February: %d, want %d", c.on, got, c.february)
		}
	}
	var standard LeapPolicy
	if standard != LeapMarch1 {
		t.Error("the default isn't 1 March")
	}
	if LeapMarch1.String() != "march_1" || LeapFebruary28.String() != "february_28" {
		t.Error("policies are called otherwise")
	}
}

func TestThreeWaysOfCounting(t *testing.T) {
	t.Parallel()
	born := day(1967, 12, 31)
	if got := YearAge(born, 2021); got != 54 {
		t.Errorf("year age %d, want 54", got)
	}
	if got := CountingAge(born, 2021); got != 55 {
		t.Errorf("counting age %d, want 55", got)
	}
	if got := FullAge(born, day(2021, 12, 30), LeapMarch1); got != 53 {
		t.Errorf("full age %d the day before the birthday, want 53", got)
	}
	if got := FullAge(born, day(2021, 12, 31), LeapMarch1); got != 54 {
		t.Errorf("full age %d on the birthday, want 54", got)
	}
}

// A year is complete on its birthday and not the day before: counted over every day from birth, not computed.
func TestFullAgeStepsUpOnceAYear(t *testing.T) {
	t.Parallel()
	for _, born := range []Date{day(1900, 1, 1), day(1967, 12, 31), day(1980, 2, 29), day(1999, 3, 1), day(2000, 2, 28)} {
		for _, policy := range []LeapPolicy{LeapMarch1, LeapFebruary28} {
			age := 0
			for d := AddDays(born, 1); d.Before(day(2101, 1, 1)); d = AddDays(d, 1) {
				birthday := d.Month == born.Month && d.Day == born.Day
				if born.Month == 2 && born.Day == 29 && !IsLeap(d.Year) {
					birthday = (policy == LeapMarch1 && d.Month == 3 && d.Day == 1) ||
						(policy == LeapFebruary28 && d.Month == 2 && d.Day == 28)
				}
				if birthday {
					age++
					if got := Birthday(born, age, policy); got != d {
						t.Fatalf("Birthday(%s, %d, %s) = %s, want %s", born, age, policy, got, d)
					}
				}
				if got := FullAge(born, d, policy); got != age {
					t.Fatalf("FullAge(%s, %s, %s) = %d, want %d", born, d, policy, got, age)
				}
			}
		}
	}
}

func TestBirthdayIsTheFirstDayOfAnAge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		born := FromDayNumber(rapid.Int32Range(-25_567, 18_000).Draw(t, "born"))
		years := rapid.IntRange(0, 120).Draw(t, "years")
		policy := LeapPolicy(rapid.IntRange(0, 1).Draw(t, "policy"))
		birthday := Birthday(born, years, policy)
		if got := FullAge(born, birthday, policy); got != years {
			t.Fatalf("%d on the birthday, want %d", got, years)
		}
		if got := FullAge(born, AddDays(birthday, -1), policy); got != years-1 {
			t.Fatalf("%d the day before, want %d", got, years-1)
		}
	})
}
