package eligibility

import (
	"strings"
	"time"

	"jari/internal/civil"
)

// The oracle says what a rule means in the slowest and plainest way there is. It shares types with the package, but no
// code, not even that of civil: days are counted one by one, a rule is asked for every slot day, instants are tried every
// quarter of an hour. If it and the evaluator agree, they agree for different reasons.

// oracleCalendar is all days from 1800 to 2299, written down one after the other.
var oracleCalendar, oracleMonths = func() (days []civil.Date, months map[[2]int]int) {
	months = map[[2]int]int{}
	for y := 1800; y < 2300; y++ {
		for m, length := range [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31} {
			if m == 1 && (y%400 == 0 || (y%4 == 0 && y%100 != 0)) {
				length++
			}
			months[[2]int{y, m + 1}] = len(days)
			for d := 1; d <= length; d++ {
				days = append(days, civil.Date{Year: y, Month: time.Month(m + 1), Day: d})
			}
		}
	}
	return days, months
}()

// oracleDay is the place of a day in the calendar.
func oracleDay(d civil.Date) int { return oracleMonths[[2]int{d.Year, int(d.Month)}] + d.Day - 1 }

// oracleDate is the inverse of oracleDay.
func oracleDate(n int) civil.Date { return oracleCalendar[n] }

// oracleExists looks a day up.
func oracleExists(d civil.Date) bool { return oracleDate(oracleDay(d)) == d }

// oracleToday reads a date off a calendar in a zone.
func oracleToday(at time.Time, zone *time.Location) civil.Date {
	local := at.In(zone)
	return civil.Date{Year: local.Year(), Month: local.Month(), Day: local.Day()}
}

// oracleAge counts birthdays from birth to a day, one by one.
func oracleAge(born, on civil.Date, leap civil.LeapPolicy) int {
	if oracleDay(on) < oracleDay(born) {
		return -1 // Any number below zero will do: no bound is.
	}
	age := 0
	for year := born.Year + 1; ; year++ {
		birthday := civil.Date{Year: year, Month: born.Month, Day: born.Day}
		if !oracleExists(birthday) {
			birthday = civil.Date{Year: year, Month: 3, Day: 1}
			if leap == civil.LeapFebruary28 {
				birthday = civil.Date{Year: year, Month: 2, Day: 28}
			}
		}
		if oracleDay(birthday) > oracleDay(on) {
			return age
		}
		age++
	}
}

// could holds the values that an answer could still have: Kleene's logic told as sets.
type could struct{ beTrue, beFalse bool }

func exactly(b bool) could { return could{b, !b} }

func (c could) answer() Answer {
	switch {
	case c.beTrue && c.beFalse:
		return Depends
	case c.beTrue:
		return Yes
	}
	return No
}

type oracleMoment struct {
	leap          civil.LeapPolicy
	asking, onDay civil.Date
}

func (m oracleMoment) day(d Day) civil.Date {
	switch d.String() {
	case "", "asking":
		return m.asking
	case "slot":
		return m.onDay
	}
	return d.Date
}

func between(n int, least, most *int) bool {
	return (least == nil || n >= *least) && (most == nil || n <= *most)
}

func oracleRule(r Rule, f Facts, m oracleMoment) could {
	switch {
	case r.All != nil:
		result := could{true, false}
		for _, part := range r.All {
			c := oracleRule(part, f, m)
			result.beTrue = result.beTrue && c.beTrue
			result.beFalse = result.beFalse || c.beFalse
		}
		return result
	case r.Any != nil:
		result := could{false, true}
		for _, part := range r.Any {
			c := oracleRule(part, f, m)
			result.beTrue = result.beTrue || c.beTrue
			result.beFalse = result.beFalse && c.beFalse
		}
		return result
	case r.Not != nil:
		c := oracleRule(*r.Not, f, m)
		return could{c.beFalse, c.beTrue}
	case r.BirthDate != nil:
		n := oracleDay(f.BirthDate)
		return exactly((r.BirthDate.From.IsZero() || n >= oracleDay(r.BirthDate.From)) &&
			(r.BirthDate.To.IsZero() || n <= oracleDay(r.BirthDate.To)))
	case r.YearAge != nil:
		return exactly(between(r.YearAge.In-f.BirthDate.Year, r.YearAge.Min, r.YearAge.Max))
	case r.FullAge != nil:
		age := oracleAge(f.BirthDate, m.day(r.FullAge.On), m.leap)
		// A maximum alone also admits who isn't born yet.
		return exactly(between(age, r.FullAge.Min, r.FullAge.Max))
	case r.BirthDayDigit != nil:
		text := f.BirthDate.String()
		return exactly(oracleHas(r.BirthDayDigit, text[len(text)-1:]))
	case r.BirthYearDigit != nil:
		return exactly(oracleHas(r.BirthYearDigit, f.BirthDate.String()[3:4]))
	case r.InList != "":
		for _, name := range f.Lists.Names {
			if name == r.InList {
				return exactly(true)
			}
		}
		return could{!f.Lists.Known, true}
	case r.Region != nil:
		if !f.Region.Known {
			return could{true, true}
		}
		for _, code := range r.Region {
			if code == f.Region.Code || (strings.HasSuffix(code, "*") && strings.Index(f.Region.Code, code[:len(code)-1]) == 0) {
				return exactly(true)
			}
		}
		return exactly(false)
	}
	return oracleDose(*r.DaysSinceDose, f, m)
}

func oracleHas(digits []int, text string) bool {
	for _, digit := range digits {
		if text == string(rune('0'+digit)) {
			return true
		}
	}
	return false
}

func oracleDose(r DaysSinceDose, f Facts, m oracleMoment) could {
	var latest *Dose
	for i, dose := range f.Doses.Given {
		if dose.Number == r.Dose && (latest == nil || oracleDay(dose.On) > oracleDay(latest.On)) {
			latest = &f.Doses.Given[i]
		}
	}
	if latest == nil {
		return could{!f.Doses.Known, true}
	}
	elapsed := oracleDay(m.day(r.On)) - oracleDay(latest.On)
	if elapsed < 0 || !between(elapsed, r.Min, r.Max) {
		return exactly(false)
	}
	if r.Product != "" && latest.Product == "" {
		return could{true, true}
	}
	return exactly(r.Product == "" || r.Product == latest.Product)
}

// oracleWave answers for one wave. Without a slot day it tries every day of the wave that isn't past.
func oracleWave(spec Spec, w Wave, f Facts, at time.Time, slotOn civil.Date, anyWindow bool) Answer {
	if !anyWindow && (at.UnixNano() < w.OpensAt.UnixNano() || at.UnixNano() >= w.ClosesAt.UnixNano()) {
		return No
	}
	if !anyWindow && oracleOver(w, at, spec.Zone) {
		return No
	}
	today := oracleToday(at, spec.Zone)
	best := No
	for n := oracleDay(w.SlotsFrom); n <= oracleDay(w.SlotsTo); n++ {
		if slotOn.IsZero() && n < oracleDay(today) {
			continue
		}
		if !slotOn.IsZero() && n != oracleDay(slotOn) {
			continue
		}
		answer := oracleRule(w.Rule, f, oracleMoment{spec.LeapDay, today, oracleDate(n)}).answer()
		if answer > best {
			best = answer
		}
		if best == Yes {
			break
		}
	}
	return best
}

// oracleOver reports whether the last slot day of a wave has ended. Where clocks are set back over midnight, that day
// comes once more, for an hour: it has ended all the same.
func oracleOver(w Wave, at time.Time, zone *time.Location) bool {
	for back := time.Duration(0); back < 2*time.Hour; back += 30 * time.Second {
		if oracleDay(oracleToday(at.Add(-back), zone)) > oracleDay(w.SlotsTo) {
			return true
		}
	}
	return false
}

// oracleAnswer answers for all waves.
func oracleAnswer(spec Spec, f Facts, at time.Time, slotOn civil.Date, anyWindow bool) Answer {
	best := No
	for _, w := range spec.Waves {
		best = max(best, oracleWave(spec, w, f, at, slotOn, anyWindow))
	}
	return best
}
