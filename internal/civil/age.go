package civil

import "time"

// LeapPolicy says when somebody born on 29 February completes a year that has no such day. The zero value is the
// default; the package comment gives the reason.
type LeapPolicy uint8

// The two policies in use.
const (
	LeapMarch1     LeapPolicy = iota // On 1 March.
	LeapFebruary28                   // On 28 February.
)

// String is "march_1" or "february_28", the words of campaign files.
func (p LeapPolicy) String() string {
	if p == LeapFebruary28 {
		return "february_28"
	}
	return "march_1"
}

// YearAge is the reference year minus the birth year (연 나이), in years. Month and day don't matter.
func YearAge(birth Date, referenceYear int) int { return referenceYear - birth.Year }

// CountingAge is one at birth and one more every 1 January (세는 나이), in years.
func CountingAge(birth Date, year int) int { return YearAge(birth, year) + 1 }

// FullAge is the number of years completed on a date (만 나이): 0 from the day of birth, 1 from the first birthday on.
// Before the day of birth it is negative.
func FullAge(birth, on Date, policy LeapPolicy) int {
	years := on.Year - birth.Year
	month, day := birth.Month, birth.Day
	if month == time.February && day == 29 && !IsLeap(on.Year) {
		if policy == LeapFebruary28 {
			day = 28
		} else {
			month, day = time.March, 1
		}
	}
	if on.Month < month || (on.Month == month && on.Day < day) {
		years--
	}
	return years
}

// Birthday is the first date on which FullAge reaches the given number of years.
func Birthday(birth Date, years int, policy LeapPolicy) Date {
	d := Date{Year: birth.Year + years, Month: birth.Month, Day: birth.Day}
	if d.Month == time.February && d.Day == 29 && !IsLeap(d.Year) {
		if policy == LeapFebruary28 {
			d.Day = 28
		} else {
			d.Month, d.Day = time.March, 1
		}
	}
	return d
}
