package booking

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/postgres"
	"jari/internal/slot"
)

// Grouping is what the lines of a report are.
type Grouping string

// The groupings.
const (
	ByRegion Grouping = "region"
	BySite   Grouping = "site"
	ByDay    Grouping = "day"
	ByWave   Grouping = "wave"
)

// The longest stretches of a report, in days. Whom a wave let book isn't in memory, so it is counted for fewer.
const (
	maxReportDays = 31
	maxWaveDays   = 7
)

// ReportQuery says what to report: slots from one day to another, both inclusive.
type ReportQuery struct {
	By       Grouping
	From, To civil.Date
}

// Line is one of a report.
type Line struct {
	Key string // a region, a site, a day or a wave
	// Tally is without places where lines are waves: places aren't split among them.
	slot.Tally
	Arrived, NoShow int
}

// Report counts what is booked, free, arrived and not, by key. Places come from memory and who came from what was counted as
// they came: what it costs depends on the days that are asked for, not on how many bookings there ever were. It refuses with
// invalid_request for days that are too many or in the wrong order.
func (s *Service) Report(ctx context.Context, c *campaign.Campaign, q ReportQuery) ([]Line, error) {
	most := maxReportDays
	if q.By == ByWave {
		most = maxWaveDays
	}
	if days := civil.DaysBetween(q.From, q.To) + 1; days < 1 || days > most {
		return nil, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("to", fmt.Sprintf("must be 1 to %d days, counted from the first, for this report", most))
	}
	sites, err := s.campaigns.Sites(c.ID)
	if err != nil {
		return nil, err
	}
	regionOf := func(site string) string {
		known, _ := sites.Get(site)
		return known.Region
	}
	tallies, booked, err := s.slots.Tallies(c, civil.Midnight(q.From, c.Location), civil.Midnight(civil.AddDays(q.To, 1), c.Location),
		func(p slot.Place) string {
			switch q.By {
			case ByRegion:
				return regionOf(p.Site)
			case BySite:
				return p.Site
			case ByDay:
				return civil.Of(p.StartsAt, c.Location).String()
			case ByWave:
			}
			return ""
		})
	if err != nil {
		return nil, err
	}
	lines := map[string]*Line{}
	line := func(key string) *Line {
		if lines[key] == nil {
			lines[key] = &Line{Key: key}
		}
		return lines[key]
	}
	if q.By == ByWave {
		err = s.countWaves(ctx, booked, func(wave string, n int) { line(wave).Booked += n })
	} else {
		for key, t := range tallies {
			line(key).Tally = t
		}
	}
	if err == nil {
		err = s.countAttendance(ctx, c, q, func(key string, arrived, noShow int) {
			if q.By == ByRegion {
				key = regionOf(key)
			}
			line(key).Arrived += arrived
			line(key).NoShow += noShow
		})
	}
	if err != nil {
		return nil, err
	}
	all := make([]Line, 0, len(lines))
	for _, l := range lines {
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b Line) int { return cmp.Compare(a.Key, b.Key) })
	return all, nil
}

// countWaves counts the active bookings of some slots by wave.
func (s *Service) countWaves(ctx context.Context, slots []int64, count func(wave string, n int)) error {
	rows, err := s.pool.Query(ctx, `SELECT wave_id, count(*) FROM bookings WHERE slot_id = ANY($1) AND status = 'active' GROUP BY wave_id`, slots)
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("counting bookings by wave: %w", err))
	}
	var wave string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&wave, &n}, func() error {
		count(wave, n)
		return nil
	}); err != nil {
		return postgres.Unreachable(fmt.Errorf("counting bookings by wave: %w", err))
	}
	return nil
}

// countAttendance sums who came and who didn't: by day or wave, and by site for all else.
func (s *Service) countAttendance(ctx context.Context, c *campaign.Campaign, q ReportQuery, count func(key string, arrived, noShow int)) error {
	key := "site_id"
	switch q.By {
	case ByDay:
		key = "day::text"
	case ByWave:
		key = "wave_id"
	case BySite, ByRegion:
	}
	rows, err := s.pool.Query(ctx, `
		SELECT `+key+`, sum(arrived), sum(no_show) FROM attendance_counts WHERE campaign_id = $1 AND day BETWEEN $2 AND $3 GROUP BY 1`,
		c.ID, q.From.String(), q.To.String())
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("counting who came: %w", err))
	}
	var of string
	var arrived, noShow int
	if _, err := pgx.ForEachRow(rows, []any{&of, &arrived, &noShow}, func() error {
		count(of, arrived, noShow)
		return nil
	}); err != nil {
		return postgres.Unreachable(fmt.Errorf("counting who came: %w", err))
	}
	return nil
}
