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
}

// Hours is a stretch of a day that is cut into slots of equal length.
type Hours struct {
	From         string `json:"from"` // local time, 09:00
	To           string `json:"to"`   // local time; 24:00 is the end of the day
	EveryMinutes int    `json:"every_minutes"`
	Capacity     int    `json:"capacity"`
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
	if len(t.Hours) == 0 {
		return nil, errors.New("hours are missing")
	}
	var planned []Planned
	for n := range days {
		day := civil.AddDays(t.From, n)
		if !on[civil.Midnight(day, zone).Weekday()] || slices.Contains(t.Except, day) {
			continue
		}
		for _, h := range t.Hours {
			more, err := h.plan(site, day, zone)
			if err != nil {
				return nil, err
			}
			planned = append(planned, more...)
		}
	}
	slices.SortFunc(planned, func(a, b Planned) int { return a.StartsAt.Compare(b.StartsAt) })
	for i := 1; i < len(planned); i++ {
		if planned[i].StartsAt.Before(planned[i-1].EndsAt) {
			return nil, fmt.Errorf("hours overlap on %s", civil.Of(planned[i].StartsAt, zone))
		}
	}
	return planned, nil
}

func (h Hours) plan(site string, day civil.Date, zone *time.Location) ([]Planned, error) {
	if h.EveryMinutes < 1 || h.EveryMinutes > 24*60 {
		return nil, fmt.Errorf("every_minutes is %d and must be between 1 and 1440", h.EveryMinutes)
	}
	if h.Capacity < 0 || h.Capacity > maxCapacity {
		return nil, fmt.Errorf("capacity is %d and must be between 0 and %d", h.Capacity, maxCapacity)
	}
	from, err := civil.ParseInstant(day.String()+" "+h.From, zone)
	if err != nil {
		return nil, fmt.Errorf("hours from: %w", err)
	}
	to, err := civil.ParseInstant(day.String()+" "+h.To, zone)
	if err != nil {
		return nil, fmt.Errorf("hours to: %w", err)
	}
	if !from.Before(to) {
		return nil, fmt.Errorf("hours from %s to %s are empty", h.From, h.To)
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
