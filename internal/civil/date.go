package civil

import (
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/civil"
)

// Date is a year, a month and a day. The zero value is no date (IsZero). Use the functions of this package rather than
// the type's own AddMonths and AddYears, which overflow short months.
type Date = civil.Date

// ErrDate says that a text isn't a date, or names a day that doesn't exist. Errors of Parse wrap it.
var ErrDate = errors.New("not a date")

// Parse reads YYYY-MM-DD, years 0001 to 9999, and nothing else: no blanks, no one-digit months, no day that the
// calendar doesn't have. The error wraps ErrDate and quotes at most 32 bytes of the text.
func Parse(s string) (Date, error) {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return Date{}, fmt.Errorf("%w: %q doesn't read YYYY-MM-DD", ErrDate, head(s))
	}
	y, okY := digits(s[0:4])
	m, okM := digits(s[5:7])
	d, okD := digits(s[8:10])
	if !okY || !okM || !okD {
		return Date{}, fmt.Errorf("%w: %q doesn't read YYYY-MM-DD", ErrDate, s)
	}
	date := Date{Year: y, Month: time.Month(m), Day: d}
	if !Exists(date) {
		return Date{}, fmt.Errorf("%w: %s doesn't exist", ErrDate, s)
	}
	return date, nil
}

// Exists reports whether the calendar has that day, in the years 0001 to 9999.
func Exists(d Date) bool {
	return d.Year >= 1 && d.Year <= 9999 && d.Month >= time.January && d.Month <= time.December &&
		d.Day >= 1 && d.Day <= DaysIn(d.Year, d.Month)
}

// IsLeap reports whether the year has a 29 February.
func IsLeap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// DaysIn is the number of days of a month, 28 to 31. The month must be January to December.
func DaysIn(year int, month time.Month) int {
	switch month {
	case time.February:
		if IsLeap(year) {
			return 29
		}
		return 28
	case time.April, time.June, time.September, time.November:
		return 30
	case time.January, time.March, time.May, time.July, time.August, time.October, time.December:
		return 31
	}
	return 0
}

// DayNumber is the number of days from 1970-01-01 to d, negative before it. It doesn't allocate, and it is total: for
// an existing date it is exact. Years beyond ±5,000,000 don't fit.
func DayNumber(d Date) int32 {
	// Years begin in March here, so that the leap day is the last of its year and needs no case of its own.
	y, m := d.Year, int(d.Month)
	if m <= 2 {
		y--
		m += 12
	}
	era := floorDiv(y, 400)
	yearOfEra := y - era*400
	dayOfYear := (153*(m-3)+2)/5 + d.Day - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return int32(era*daysPer400Years + dayOfEra - marchZeroToEpoch) //nolint:gosec // Bounded by the years named above.
}

const (
	daysPer400Years  = 146_097
	marchZeroToEpoch = 719_468 // Days from 1 March of year 0 to 1 January 1970.
)

// FromDayNumber is the inverse of DayNumber.
func FromDayNumber(n int32) Date {
	z := int(n) + marchZeroToEpoch
	era := floorDiv(z, daysPer400Years)
	dayOfEra := z - era*daysPer400Years
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36524 - dayOfEra/146096) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	shifted := (5*dayOfYear + 2) / 153
	day := dayOfYear - (153*shifted+2)/5 + 1
	month, year := shifted+3, yearOfEra+era*400
	if month > 12 {
		month -= 12
		year++
	}
	return Date{Year: year, Month: time.Month(month), Day: day}
}

// DaysBetween counts the civil days from one date to another: 0 on the same day, 1 the day after, negative backwards.
func DaysBetween(from, to Date) int { return int(DayNumber(to)) - int(DayNumber(from)) }

// AddDays moves a date by n days, backwards if n is negative. Two dates that DaysBetween counts n days apart are
// AddDays n apart, whatever clocks did in between.
func AddDays(d Date, n int) Date {
	return FromDayNumber(int32(int(DayNumber(d)) + n)) //nolint:gosec // Bounded by the years of DayNumber.
}

// AddMonths moves a date by n months, backwards if n is negative, and clamps to the last day of a month that is too
// short: 31 January + 1 is 28 or 29 February. The package comment says who counts differently.
func AddMonths(d Date, n int) Date {
	months := d.Year*12 + int(d.Month) - 1 + n
	year := floorDiv(months, 12)
	month := time.Month(months-year*12) + time.January
	return Date{Year: year, Month: month, Day: min(d.Day, DaysIn(year, month))}
}

// DayDigit is the last digit of the day of the month: 3 → 3, 31 → 1, 30 → 0, 29 → 9.
func DayDigit(d Date) int { return d.Day % 10 }

// YearDigit is the last digit of the year: 1967 → 7.
func YearDigit(d Date) int { return d.Year % 10 }

// floorDiv divides and rounds towards minus infinity, where Go's operator rounds towards zero. b is positive.
func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// digits reads a text of ASCII digits only; anything else isn't a number here, not even a sign.
func digits(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, len(s) > 0
}

// head bounds what an error repeats of somebody's input.
func head(s string) string {
	const most = 32
	if len(s) <= most {
		return s
	}
	return s[:most]
}
