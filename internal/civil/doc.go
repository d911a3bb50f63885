// Package civil is date arithmetic without clocks: days as people write them, and the rules by which months, ages and
// local times are counted. It owns no time zone and reads none from the machine: whoever turns an instant into a date,
// or a date into an instant, names the zone.
//
// Dates are proleptic Gregorian. A date has no zone and no hour: a birth date is never an instant, because a day isn't
// always 24 hours long (Seoul had 23- and 25-hour days in 1987 and 1988).
//
// # Months
//
// AddMonths keeps the day of the month and, where the target month is too short for it, clamps to that month's last
// day: 31 January + 1 month is 28 February (29 in a leap year). Postgres intervals do the same. Go's time.AddDate and
// the AddMonths method of the date type itself overflow instead (3 March), and the CDSi vaccination logic moves to the
// first of the month after (1 March). Only the function of this package is used in Jari. Clamping loses days, so
// adding one month twice isn't always adding two: 31 January + 1 + 1 is 28 March, 31 January + 2 is 31 March.
//
// # Ages
//
// There are three ways of counting, and notices mix them: YearAge (연 나이) is reference year minus birth year;
// FullAge (만 나이) is completed years on a date; CountingAge (세는 나이) is YearAge + 1.
//
// Somebody born on 29 February completes a year, in years that have no such day, on 1 March (LeapMarch1, the default)
// or on 28 February (LeapFebruary28). The default follows the Korean Civil Act: a period that has no corresponding day
// in its last month ends with the last day of that month (article 160), and the age is complete once the period has
// ended, that is with the first moment of 1 March. Other jurisdictions say 28 February, so it can be chosen.
package civil
