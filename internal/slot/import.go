package slot

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/plan"
	"jari/internal/staff"
	"jari/internal/table"
)

// importColumns are those of a list of slots.
var importColumns = []table.Column{
	{Name: "site_id"},
	{Name: "date"},
	{Name: "from"},
	{Name: "to"},
	{Name: "capacity", Number: true},
	{Name: "state", Optional: true},
	{Name: "cohort", Optional: true},
	{Name: "shared_at", Optional: true},
}

// listReader reads the rows of a list of slots.
type listReader struct {
	campaign *campaign.Campaign
	sites    []string         // known sites, each by itself, so that a slot holds the one text and not its line's
	numbers  map[string]int32 // of sites
	days     map[string]*listDay
	seen     map[slotName]int32
	twice    map[int32]int // lines of slots that are there more than once, with another one
}

// listDay is a day that a list names, with those hours of it that were read already: a list of hundreds of thousands of slots
// has the same few hours at every site.
type listDay struct {
	date  civil.Date
	hours map[[2]string]stretch // by from and to
}

type stretch struct{ start, end time.Time }

// slotName is what a slot is known by besides its campaign: the numbers of its site and cohort, and when it starts.
type slotName struct {
	start        int64
	site, cohort int32
}

func newListReader(c *campaign.Campaign, sites []campaign.Site) *listReader {
	l := &listReader{
		campaign: c, numbers: make(map[string]int32, len(sites)), days: map[string]*listDay{}, seen: map[slotName]int32{}, twice: map[int32]int{},
	}
	for n, site := range sites {
		l.sites = append(l.sites, site.ID)
		l.numbers[site.ID] = int32(n)
	}
	return l
}

// hours are the instants of a row, or what is wrong with them.
func (l *listReader) hours(day *listDay, from, to string) (s stretch, problem string) {
	if s, known := day.hours[[2]string{from, to}]; known {
		return s, ""
	}
	var err error
	if s.start, s.end, err = between(day.date, from, to, l.campaign.Location); err != nil {
		return s, "from and to must be local times such as 09:00, one after the other"
	}
	if s.start.Second() != 0 || s.end.Second() != 0 || s.start.Nanosecond() != 0 || s.end.Nanosecond() != 0 {
		return s, "from and to must be whole minutes"
	}
	day.hours[[2]string{strings.Clone(from), strings.Clone(to)}] = s
	return s, ""
}

// read is what a row says, and what is wrong with it.
func (l *listReader) read(r table.Row) (w wantedSlot, problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	w.Line = r.Line
	site, known := l.numbers[r.Cells[0]]
	if known {
		w.Site = l.sites[site]
	} else {
		bad("site_id isn't a site of this campaign")
	}
	day, known := l.days[r.Cells[1]]
	if !known {
		date, err := civil.Parse(r.Cells[1])
		if err != nil {
			bad("date must be a date that exists, as YYYY-MM-DD")
		} else {
			day = &listDay{date: date, hours: map[[2]string]stretch{}}
			l.days[strings.Clone(r.Cells[1])] = day
		}
	}
	if len(problems) == 0 {
		hours, problem := l.hours(day, r.Cells[2], r.Cells[3])
		if problem != "" {
			bad("%s", problem)
		}
		w.StartsAt, w.EndsAt = hours.start, hours.end
	}
	capacity, err := strconv.Atoi(r.Cells[4])
	if err != nil || capacity < 0 || capacity > maxCapacity {
		bad("capacity must be a whole number from 0 to %d", maxCapacity)
	}
	w.Capacity = capacity
	switch state := State(r.Cells[5]); state {
	case "":
	case Open, Closed, Unreleased:
		w.State = state
	default:
		bad("state must be open, closed, unreleased or empty")
	}
	cohort, err := cohortOf(l.campaign, r.Cells[6])
	if err != nil {
		bad("%s", err)
	}
	if cohort > 0 {
		w.Cohort = l.campaign.Waves[cohort-1].ID
	}
	if r.Cells[7] != "" {
		switch at, err := civil.ParseInstant(r.Cells[7], l.campaign.Location); {
		case err != nil:
			bad("shared_at must be an instant, or a local time such as 2021-07-26 20:00")
		case r.Cells[6] == "":
			bad("shared_at is for slots of a cohort")
		default:
			w.SharedAt = at
		}
	}
	if len(problems) > 0 {
		return w, problems
	}
	name := slotName{w.StartsAt.Unix(), site, cohort}
	if first, twice := l.seen[name]; twice {
		l.twice[first] = r.Line
		return w, []string{fmt.Sprintf("this slot is on line %d too", first)}
	}
	l.seen[name] = int32(r.Line) //nolint:gosec // bounded by the rows of a list
	return w, nil
}

var errNoCohort = errors.New("cohort isn't a wave of this campaign")

// cohortOf is the number of a wave by its id, from 1, or 0 for everybody.
func cohortOf(c *campaign.Campaign, text string) (int32, error) {
	if text == "" {
		return 0, nil
	}
	for i, wave := range c.Waves {
		if wave.ID == text {
			return int32(i + 1), nil
		}
	}
	return 0, errNoCohort
}

// Import makes a plan of a list of slots: new ones are created, known ones changed, and those that the list doesn't name
// stay. It refuses with campaign_not_found, plan_too_large, or with what is wrong with the file as a whole.
func (s *Service) Import(ctx context.Context, plans *plan.Service, by staff.Key, id string, file *table.File) (plan.Plan, error) {
	c, err := s.campaigns.Newest(id)
	if err != nil {
		return plan.Plan{}, err
	}
	return plans.Make(ctx, plan.Draft{Kind: slotsImport, Campaign: id, By: by},
		func(ctx context.Context, tx pgx.Tx, m *plan.Making) error {
			m.Checksum = file.Checksum
			m.Source = plan.Source{Format: file.Format, Encoding: file.Encoding, Bytes: file.Bytes}
			sites, err := campaign.ReadSites(ctx, tx, id)
			if err != nil {
				return err
			}
			l := newListReader(c, sites)
			reject := func(line int, subject, why string) {
				m.Summary.Rejected++
				m.Row(plan.Row{Line: line, Outcome: plan.Rejected, Subject: subject, Note: why})
			}
			give := func(to *stager) error {
				return file.Read(importColumns, func(r table.Row) error {
					m.Source.Lines++
					m.Progress(m.Source.Lines)
					if len(r.Problems) > 0 {
						reject(r.Line, "", strings.Join(r.Problems, "; "))
						return nil
					}
					w, problems := l.read(r)
					if len(problems) > 0 {
						reject(r.Line, strings.TrimSpace(w.Site+" "+r.Cells[1]+" "+r.Cells[2]), strings.Join(problems, "; "))
						return nil
					}
					return to.put(&w)
				})
			}
			return s.stage(ctx, tx, m, c, Open, give, func() (lines []int32) {
				for line, other := range l.twice {
					lines = append(lines, line)
					reject(int(line), "", fmt.Sprintf("this slot is on line %d too", other))
				}
				return lines
			})
		})
}

// Generation is what slots are generated from.
type Generation struct {
	Template Template `json:"template"`
	// Sites and Regions say where; all sites where both are empty.
	Sites   []string `json:"sites,omitempty"`
	Regions []string `json:"regions,omitempty"`
	// State of slots that are new; those that are there keep theirs.
	State State `json:"state,omitempty"`
}

// Generate makes a plan of the slots that sites have by a template. Slots that are there and that the template doesn't make
// stay. It refuses with campaign_not_found, plan_too_large, or invalid_request.
func (s *Service) Generate(ctx context.Context, plans *plan.Service, by staff.Key, id string, g Generation) (plan.Plan, error) {
	c, err := s.campaigns.Newest(id)
	if err != nil {
		return plan.Plan{}, err
	}
	invalid := func(pointer string, format string, args ...any) error {
		return fault.New(fault.Invalid, fault.CodeInvalidRequest).Field(pointer, fmt.Sprintf(format, args...))
	}
	// Sites have the same slots: they are planned once.
	one, err := g.Template.Plan("", c.Location)
	if err != nil {
		return plan.Plan{}, invalid("/template", "%s", err)
	}
	for _, p := range one {
		if _, err := cohortOf(c, p.Cohort); err != nil {
			return plan.Plan{}, invalid("/template", "%s", err)
		}
	}
	request, err := json.Marshal(g)
	if err != nil {
		return plan.Plan{}, fmt.Errorf("encoding a template: %w", err)
	}
	return plans.Make(ctx, plan.Draft{Kind: slotsGenerate, Campaign: id, By: by},
		func(ctx context.Context, tx pgx.Tx, m *plan.Making) error {
			m.Checksum = checksum(request)
			sites, err := g.sites(ctx, tx, id)
			if err != nil {
				return err
			}
			if len(sites) == 0 || len(one) == 0 {
				return invalid("/sites", "no site has a slot by this")
			}
			if len(sites)*len(one) > mostGenerated {
				return invalid("/template", "%d sites with %d slots each are more than the %d that one plan may make", len(sites), len(one), mostGenerated)
			}
			give := func(to *stager) error {
				for _, site := range sites {
					for _, p := range one {
						p.Site = site
						m.Source.Lines++
						if err := to.put(&wantedSlot{Line: m.Source.Lines, Planned: p}); err != nil {
							return err
						}
					}
					m.Progress(m.Source.Lines)
				}
				return nil
			}
			return s.stage(ctx, tx, m, c, cmp.Or(g.State, Open), give, func() []int32 { return nil })
		})
}

// mostGenerated bounds the slots of one plan.
const mostGenerated = 1_000_000

// sites are the ids of the sites that are meant, by id, or invalid_request.
func (g Generation) sites(ctx context.Context, tx pgx.Tx, id string) (meant []string, err error) {
	all, err := campaign.ReadSites(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, site := range g.Sites {
		named[site] = true
	}
	regions := map[string]bool{}
	for _, region := range g.Regions {
		regions[region] = true
	}
	for _, site := range all {
		if named[site.ID] || regions[site.Region] || len(g.Sites)+len(g.Regions) == 0 {
			meant = append(meant, site.ID)
		}
		delete(named, site.ID)
	}
	if len(named) > 0 {
		return nil, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/sites", "names sites that this campaign doesn't have")
	}
	return meant, nil
}

// Selection says which slots are meant, and what they become.
type Selection struct {
	Sites    []string   `json:"sites,omitempty"`   // all where both are empty
	Regions  []string   `json:"regions,omitempty"` //
	From     civil.Date `json:"from"`              // inclusive
	To       civil.Date `json:"to"`                // inclusive
	Cohort   *string    `json:"cohort,omitempty"`  // those of one cohort; empty: those that are everybody's
	State    State      `json:"state,omitempty"`   // those in one state
	Set      State      `json:"set_state,omitempty"`
	Capacity *int       `json:"set_capacity,omitempty"`
	SharedAt *time.Time `json:"set_shared_at,omitempty"` // of those that are a cohort's
}

// ChangeMany makes a plan that releases, closes or changes slots that are there. It refuses with campaign_not_found,
// plan_too_large, or invalid_request where nothing is meant.
func (s *Service) ChangeMany(ctx context.Context, plans *plan.Service, by staff.Key, id string, sel Selection) (plan.Plan, error) {
	c, err := s.campaigns.Newest(id)
	if err != nil {
		return plan.Plan{}, err
	}
	request, err := json.Marshal(sel)
	if err != nil {
		return plan.Plan{}, fmt.Errorf("encoding a selection: %w", err)
	}
	return plans.Make(ctx, plan.Draft{Kind: slotsChange, Campaign: id, By: by},
		func(ctx context.Context, tx pgx.Tx, m *plan.Making) error {
			m.Checksum = checksum(request)
			if err := s.compare(ctx, tx, m, c, Open, `
				SELECT row_number() OVER (ORDER BY x.slot_id)::integer AS line, x.site_id, x.starts_at, x.ends_at,
					coalesce($3, x.capacity) AS capacity, nullif($4::text, '') AS state, x.cohort,
					CASE WHEN x.cohort <> '' THEN $5::timestamptz END AS shared_at
				FROM slots x JOIN sites USING (campaign_id, site_id)
				WHERE x.campaign_id = $2 AND x.starts_at >= $6 AND x.starts_at < $7
				AND ($8::text[] IS NULL AND $9::text[] IS NULL OR x.site_id = ANY($8) OR region = ANY($9))
				AND ($10::text IS NULL OR x.cohort = $10) AND $11 IN ('', x.state)`,
				sel.Capacity, string(sel.Set), sel.SharedAt, civil.Midnight(sel.From, c.Location),
				civil.Midnight(civil.AddDays(sel.To, 1), c.Location), sel.Sites, sel.Regions, sel.Cohort, string(sel.State)); err != nil {
				return err
			}
			if m.Summary.Changed+m.Summary.Unchanged+m.Summary.Rejected == 0 {
				return fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("", "no slot is meant by this")
			}
			return nil
		})
}
