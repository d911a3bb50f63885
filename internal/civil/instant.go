package civil

import (
	"errors"
	"fmt"
	"time"
)

// Reasons for refusing a written instant. Errors of ParseInstant and Resolve wrap one of them.
var (
	// ErrInstant says that a text isn't an instant.
	ErrInstant = errors.New("not an instant")
	// ErrNoSuchTime says that the clocks of the zone skip that local time.
	ErrNoSuchTime = errors.New("this local time doesn't exist")
	// ErrAmbiguousTime says that the clocks of the zone show that local time twice.
	ErrAmbiguousTime = errors.New("this local time happens twice")
)

// Of is the date that calendars in the zone show at an instant. It panics without a zone: there is no date without one.
func Of(t time.Time, zone *time.Location) Date {
	var d Date
	d.Year, d.Month, d.Day = t.In(zone).Date()
	return d
}

// widestOffset is more than any zone has ever been away from UTC (about 16 hours, in the 19th century).
const widestOffset = 26 * time.Hour

// Midnight is the first instant of a civil day in a zone. Mostly that is 00:00, but a day whose clocks jump over
// midnight begins at 01:00, one that shows midnight twice begins with the first of them, and a day that a zone left
// out altogether (Apia has no 2011-12-30) begins where the next one does. Never truncate an instant to 24 hours
// instead: that is midnight in UTC only.
func Midnight(d Date, zone *time.Location) time.Time {
	t := time.Unix(int64(DayNumber(d))*secondsPerDay, 0).Add(-widestOffset).In(zone)
	for Of(t, zone).Before(d) {
		t = NextDay(t, zone)
	}
	return t
}

const secondsPerDay = 24 * 60 * 60

// NextDay is the first instant after t at which the zone's calendar shows another date than it does at t. Where clocks
// are set back over midnight, that other date may be the day before.
func NextDay(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	today := Of(t, zone)
	for {
		_, end := t.ZoneBounds()
		_, offset := t.Zone()
		// Within one offset, days are 24 hours long and begin where local seconds divide.
		sinceMidnight := floorMod(t.Unix()+int64(offset), secondsPerDay)
		next := time.Unix(t.Unix()-sinceMidnight+secondsPerDay, 0).In(zone)
		if end.IsZero() || next.Before(end) {
			return next
		}
		t = end.In(zone)
		if Of(t, zone) != today {
			return t
		}
	}
}

// Resolve is the one instant at which clocks in the zone show the date and the time since midnight, 0 ≤ timeOfDay ≤
// 24 h; 24 h is 00:00 of the next day. It refuses with ErrNoSuchTime or ErrAmbiguousTime, rather than guess, what a
// change of clocks leaves out or repeats, and with ErrInstant a date that doesn't exist or a time beyond the day.
func Resolve(d Date, timeOfDay time.Duration, zone *time.Location) (time.Time, error) {
	if !Exists(d) || timeOfDay < 0 || timeOfDay > 24*time.Hour {
		return time.Time{}, fmt.Errorf("%w: %s + %s", ErrInstant, d, timeOfDay)
	}
	wall := time.Unix(int64(DayNumber(d))*secondsPerDay, 0).Add(timeOfDay).UTC() // As if the zone were UTC.
	var found []time.Time
	for t := wall.Add(-widestOffset).In(zone); ; {
		start, end := t.ZoneBounds()
		_, offset := t.Zone()
		at := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		if (start.IsZero() || !at.Before(start)) && (end.IsZero() || at.Before(end)) {
			found = append(found, at)
		}
		if end.IsZero() || end.After(wall.Add(widestOffset)) {
			break
		}
		t = end.In(zone)
	}
	text := wall.Format("2006-01-02 15:04:05")
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return time.Time{}, fmt.Errorf("%w: %s in %s is skipped when clocks change", ErrNoSuchTime, text, zone)
	default:
		return time.Time{}, fmt.Errorf("%w: %s in %s can be %s or %s; write the offset", ErrAmbiguousTime, text, zone,
			found[0].Format(time.RFC3339), found[len(found)-1].Format(time.RFC3339))
	}
}

// ParseInstant reads an instant as campaign files write it:
//
//	2021-07-19T20:00:00+09:00    with an offset (or Z), as in RFC 3339; a blank may stand for the T
//	2021-07-19 20:00             local: resolved in the zone; nil as the zone refuses local times
//
// Seconds may be missing, and may have a fraction of up to nine digits. The hour 24 with nothing after it is 00:00 of
// the next day, as official notices mean it. A leap second is refused. The result is in the zone, or in UTC if there
// is none. Errors wrap ErrInstant, ErrDate, ErrNoSuchTime or ErrAmbiguousTime.
func ParseInstant(s string, zone *time.Location) (time.Time, error) {
	const shortest = len("2006-01-02T15:04")
	if len(s) < shortest || (s[10] != 'T' && s[10] != ' ') {
		return time.Time{}, fmt.Errorf("%w: %q doesn't read YYYY-MM-DD hh:mm", ErrInstant, head(s))
	}
	date, err := Parse(s[:10])
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %w", ErrInstant, err)
	}
	timeOfDay, rest, err := parseTime(s[11:])
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %q: %w", ErrInstant, head(s), err)
	}
	if rest == "" {
		if zone == nil {
			return time.Time{}, fmt.Errorf("%w: %q has no offset such as +09:00", ErrInstant, head(s))
		}
		return Resolve(date, timeOfDay, zone)
	}
	offset, err := parseOffset(rest)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %q: %w", ErrInstant, head(s), err)
	}
	if zone == nil {
		zone = time.UTC
	}
	return time.Unix(int64(DayNumber(date))*secondsPerDay, 0).Add(timeOfDay - offset).In(zone), nil
}

// parseTime reads hh:mm[:ss[.fraction]] from the front of s, and returns what follows.
func parseTime(s string) (timeOfDay time.Duration, rest string, err error) {
	bad := errors.New("the time doesn't read hh:mm or hh:mm:ss")
	if len(s) < 5 || s[2] != ':' {
		return 0, "", bad
	}
	hour, okH := digits(s[:2])
	minute, okM := digits(s[3:5])
	if !okH || !okM {
		return 0, "", bad
	}
	second, nano, rest := 0, 0, s[5:]
	if rest != "" && rest[0] == ':' {
		if len(rest) < 3 {
			return 0, "", bad
		}
		var ok bool
		if second, ok = digits(rest[1:3]); !ok {
			return 0, "", bad
		}
		rest = rest[3:]
		if rest != "" && rest[0] == '.' {
			if nano, rest, ok = parseFraction(rest[1:]); !ok {
				return 0, "", errors.New("a fraction of a second has one to nine digits")
			}
		}
	}
	if hour > 24 || minute > 59 || second > 59 || (hour == 24 && (minute|second|nano) != 0) {
		return 0, "", errors.New("no clock shows that time; the last is 24:00")
	}
	timeOfDay = time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	return timeOfDay + time.Duration(nano), rest, nil
}

// parseFraction reads up to nine digits as nanoseconds.
func parseFraction(s string) (nano int, rest string, ok bool) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	if n == 0 || n > 9 {
		return 0, "", false
	}
	nano, _ = digits(s[:n])
	for range 9 - n {
		nano *= 10
	}
	return nano, s[n:], true
}

// parseOffset reads Z, +hh:mm or -hh:mm.
func parseOffset(s string) (time.Duration, error) {
	if s == "Z" {
		return 0, nil
	}
	bad := errors.New("the offset doesn't read Z, +hh:mm or -hh:mm")
	if len(s) != 6 || (s[0] != '+' && s[0] != '-') || s[3] != ':' {
		return 0, bad
	}
	hour, okH := digits(s[1:3])
	minute, okM := digits(s[4:6])
	if !okH || !okM || hour > 23 || minute > 59 {
		return 0, bad
	}
	offset := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
	if s[0] == '-' {
		offset = -offset
	}
	return offset, nil
}

// floorMod is the remainder that is never negative. b is positive.
func floorMod(a, b int64) int64 { return ((a % b) + b) % b }
