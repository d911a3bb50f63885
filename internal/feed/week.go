package feed

import (
	"fmt"
	"strconv"
	"time"

	"jari/internal/campaign"
	"jari/internal/civil"
)

// weeksAhead is how many weeks the manifest names at most.
const weeksAhead = 53

// weekOf names the week of ISO 8601 that a day is in, such as 2021-W30.
func weekOf(day civil.Date) string {
	year, week := time.Date(day.Year, day.Month, day.Day, 0, 0, 0, 0, time.UTC).ISOWeek()
	return fmt.Sprintf("%04d-W%02d", year, week)
}

// mondayOf is the day on which a week begins. Weeks have one spelling.
func mondayOf(week string) (civil.Date, bool) {
	if len(week) != len("2021-W30") {
		return civil.Date{}, false
	}
	year, errYear := strconv.Atoi(week[:4])
	n, errWeek := strconv.Atoi(week[6:])
	if errYear != nil || errWeek != nil || n < 1 || n > 53 || year < 1 || year > 9998 {
		return civil.Date{}, false
	}
	monday := civil.AddDays(mondayBefore(civil.Date{Year: year, Month: time.January, Day: 4}), 7*(n-1))
	return monday, weekOf(monday) == week
}

// mondayBefore is the Monday of the week that a day is in.
func mondayBefore(day civil.Date) civil.Date {
	weekday := time.Date(day.Year, day.Month, day.Day, 0, 0, 0, 0, time.UTC).Weekday()
	return civil.AddDays(day, -(int(weekday)+6)%7)
}

// booked tells whether any wave may book a day of the week that begins on a Monday.
func booked(c *campaign.Campaign, monday civil.Date) bool {
	sunday := civil.AddDays(monday, 6)
	for _, w := range c.Waves {
		if !w.Slots.From.After(sunday) && !w.Slots.To.Before(monday) {
			return true
		}
	}
	return false
}

// weeks are those from an instant on of which any wave may book a day.
func weeks(c *campaign.Campaign, now time.Time) (names []string) {
	monday := mondayBefore(civil.Of(now, c.Location))
	first := monday
	for i, w := range c.Waves {
		if i == 0 || w.Slots.From.Before(first) {
			first = w.Slots.From
		}
	}
	if first = mondayBefore(first); first.After(monday) {
		monday = first // a campaign that begins in two years has weeks too
	}
	for range weeksAhead {
		if booked(c, monday) {
			names = append(names, weekOf(monday))
		}
		monday = civil.AddDays(monday, 7)
	}
	return names
}
