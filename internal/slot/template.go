package slot

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/goccy/go-yaml"

	"jari/internal/civil"
)

// Templates is a slots file: what a week at a site looks like, under names that sites refer to.
type Templates struct {
	Templates map[string]Template `json:"templates"`
}

// Template describes the slots of a site between two days.
type Template struct {
	Weekdays []string     `json:"weekdays"` // mon, tue, wed, thu, fri, sat, sun
	From     civil.Date   `json:"from"`     // inclusive
	To       civil.Date   `json:"to"`       // inclusive
	Except   []civil.Date `json:"except"`   // holidays: no slots
	Hours    []Hours      `json:"hours"`
	Breaks   []Break      `json:"breaks"`  // of every day: no slot reaches into one
	Instead  []Day        `json:"instead"` // days with hours of their own, whatever weekday they are
}

// Break is a part of the day without slots, such as lunch. Local times, as in Hours.
type Break struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Day is a day with hours of its own; without any, it has no slots.
type Day struct {
	Date  civil.Date `json:"date"`
	Hours []Hours    `json:"hours"`
}

// Hours is a stretch of a day that is cut into slots of equal length.
type Hours struct {
	From         string `json:"from"` // local time, 09:00
	To           string `json:"to"`   // local time; 24:00 is the end of the day
	EveryMinutes int    `json:"every_minutes"`
	Capacity     int    `json:"capacity"`
	// Split are the parts of the capacity of each slot that are kept for cohorts; what is left is everybody's.
	Split []Part `json:"split"`
}

// Part is what is kept for a cohort.
type Part struct {
	Cohort   string `json:"cohort"` // a wave
	Capacity int    `json:"capacity"`
	// SharedAt is from when on everybody may have it: an instant, or local time; for good where it is empty.
	SharedAt string `json:"shared_at"`
}

const (
	maxTemplatesBytes = 1 << 20
	// maxPlanned bounds the slots of one publication.
	maxPlanned     = 5_000_000
	maxTemplateFor = 731 // days
	maxCapacity    = 100_000
)

// ParseTemplates reads a slots file. Its errors name line and column.
func ParseTemplates(r io.Reader) (Templates, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxTemplatesBytes+1))
	if err != nil {
		return Templates{}, fmt.Errorf("reading the slots file: %w", err)
	}
	if len(raw) > maxTemplatesBytes {
		return Templates{}, fmt.Errorf("the slots file is larger than %d bytes", maxTemplatesBytes)
	}
	var t Templates
	if err := yaml.UnmarshalWithOptions(raw, &t, yaml.Strict(), yaml.UseJSONUnmarshaler()); err != nil {
		return Templates{}, errors.New(yaml.FormatError(err, false, true))
	}
	return t, nil
}

var weekdays = map[string]time.Weekday{
	"mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday, "thu": time.Thursday,
	"fri": time.Friday, "sat": time.Saturday, "sun": time.Sunday,
}

// Plan returns the slots of a site that follows the template, in the zone of the campaign, by start.
func (t Template) Plan(site string, zone *time.Location) ([]Planned, error) {
	var on [7]bool
	for _, name := range t.Weekdays {
		day, ok := weekdays[name]
		if !ok {
			return nil, fmt.Errorf("weekday %q must be one of mon, tue, wed, thu, fri, sat, sun", name)
		}
		on[day] = true
	}
	days := civil.DaysBetween(t.From, t.To) + 1
	if !civil.Exists(t.From) || !civil.Exists(t.To) || days < 1 || days > maxTemplateFor {
		return nil, fmt.Errorf("from %s to %s must be 1 to %d days", t.From, t.To, maxTemplateFor)
	}
	if len(t.Hours) == 0 && len(t.Instead) == 0 {
		return nil, errors.New("hours are missing")
	}
	instead := map[civil.Date][]Hours{}
	for _, d := range t.Instead {
		if _, twice := instead[d.Date]; twice || !civil.Exists(d.Date) || d.Date.Before(t.From) || d.Date.After(t.To) || slices.Contains(t.Except, d.Date) {
			return nil, fmt.Errorf("instead of %s must be one day from %s to %s that isn't in except", d.Date, t.From, t.To)
		}
		instead[d.Date] = d.Hours
	}
	var planned []Planned
	for n := range days {
		day := civil.AddDays(t.From, n)
		hours, own := instead[day]
		if !own {
			if !on[civil.Midnight(day, zone).Weekday()] || slices.Contains(t.Except, day) {
				continue
			}
			hours = t.Hours
		}
		of, err := t.day(site, day, hours, zone)
		if err != nil {
			return nil, err
		}
		if planned = append(planned, of...); len(planned) > maxPlanned {
			return nil, CheckPlanned(len(planned))
		}
	}
	return planned, nil
}

// day are the slots of one day, by start, those of one start by cohort.
func (t Template) day(site string, day civil.Date, hours []Hours, zone *time.Location) ([]Planned, error) {
	var whole []Planned
	parts := map[time.Time][]Part{}
	for _, h := range hours {
		more, err := h.plan(site, day, zone)
		if err != nil {
			return nil, err
		}
		for _, b := range t.Breaks {
			from, to, err := between(day, b.From, b.To, zone)
			if err != nil {
				return nil, fmt.Errorf("break: %w", err)
			}
			more = slices.DeleteFunc(more, func(p Planned) bool { return p.StartsAt.Before(to) && from.Before(p.EndsAt) })
		}
		for _, p := range more {
			parts[p.StartsAt] = h.Split
		}
		whole = append(whole, more...)
	}
	slices.SortFunc(whole, func(a, b Planned) int { return a.StartsAt.Compare(b.StartsAt) })
	var planned []Planned
	for i, p := range whole {
		if i > 0 && p.StartsAt.Before(whole[i-1].EndsAt) {
			return nil, fmt.Errorf("hours overlap on %s", day)
		}
		split, err := p.split(parts[p.StartsAt], zone)
		if err != nil {
			return nil, err
		}
		planned = append(planned, split...)
	}
	return planned, nil
}

// split divides a slot among cohorts. The parts have the capacity of the whole, no more and no less.
func (p Planned) split(parts []Part, zone *time.Location) ([]Planned, error) {
	if len(parts) == 0 {
		return []Planned{p}, nil
	}
	var planned []Planned
	rest, seen := p.Capacity, map[string]bool{}
	for _, part := range parts {
		if part.Cohort == "" || seen[part.Cohort] || part.Capacity < 1 {
			return nil, fmt.Errorf("split: %q must be one cohort with at least one place", part.Cohort)
		}
		seen[part.Cohort] = true
		rest -= part.Capacity
		of := p
		of.Cohort, of.Capacity = part.Cohort, part.Capacity
		if part.SharedAt != "" {
			var err error
			if of.SharedAt, err = civil.ParseInstant(part.SharedAt, zone); err != nil {
				return nil, fmt.Errorf("shared_at: %w", err)
			}
		}
		planned = append(planned, of)
	}
	if rest < 0 {
		return nil, fmt.Errorf("split: the parts have %d places and the slot has %d", p.Capacity-rest, p.Capacity)
	}
	if rest > 0 {
		p.Capacity = rest
		planned = append([]Planned{p}, planned...)
	}
	return planned, nil
}

// between reads two local times of a day.
func between(day civil.Date, from, to string, zone *time.Location) (start, end time.Time, err error) {
	if start, err = civil.ParseInstant(day.String()+" "+from, zone); err != nil {
		return start, end, fmt.Errorf("from: %w", err)
	}
	if end, err = civil.ParseInstant(day.String()+" "+to, zone); err != nil {
		return start, end, fmt.Errorf("to: %w", err)
	}
	if !start.Before(end) {
		return start, end, fmt.Errorf("from %s to %s is empty", from, to)
	}
	return start, end, nil
}

func (h Hours) plan(site string, day civil.Date, zone *time.Location) ([]Planned, error) {
	if h.EveryMinutes < 1 || h.EveryMinutes > 24*60 {
		return nil, fmt.Errorf("every_minutes is %d and must be between 1 and 1440", h.EveryMinutes)
	}
	if h.Capacity < 0 || h.Capacity > maxCapacity {
		return nil, fmt.Errorf("capacity is %d and must be between 0 and %d", h.Capacity, maxCapacity)
	}
	from, to, err := between(day, h.From, h.To, zone)
	if err != nil {
		return nil, fmt.Errorf("hours %w", err)
	}
	var planned []Planned
	every := time.Duration(h.EveryMinutes) * time.Minute
	// What is left at the end and is shorter than a whole slot isn't one.
	for start := from; !start.Add(every).After(to); start = start.Add(every) {
		planned = append(planned, Planned{Site: site, StartsAt: start, EndsAt: start.Add(every), Capacity: h.Capacity})
	}
	return planned, nil
}

// CheckPlanned bounds what one publication may create.
func CheckPlanned(n int) error {
	if n > maxPlanned {
		return fmt.Errorf("%d slots are more than the %d that one publication may create", n, maxPlanned)
	}
	return nil
}
