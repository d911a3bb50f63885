package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/jackc/pgx/v5"

	"jari/internal/fault"
	"jari/internal/plan"
	"jari/internal/postgres"
	"jari/internal/staff"
	"jari/internal/table"
)

// sitesImport is what plans that import sites are called.
const sitesImport = "sites.import"

// SitesKind is the kind of plan that imports sites.
func SitesKind() plan.Kind {
	return plan.Kind{Name: sitesImport, Role: staff.Editor, Apply: applySites}
}

// importColumns are those of a list of sites. slot_template means something only in files that are published together with
// one of templates.
var importColumns = []table.Column{
	{Name: "site_id"},
	{Name: "region"},
	{Name: "name"},
	{Name: "name_en", Optional: true},
	{Name: "address"},
	{Name: "telephone", Optional: true},
	{Name: "latitude", Optional: true, Number: true},
	{Name: "longitude", Optional: true, Number: true},
	{Name: "wheelchair"},
	{Name: "slot_template", Optional: true},
	{Name: "state", Optional: true},
	{Name: "city", Optional: true},
	{Name: "postal_code", Optional: true},
}

// plannedSite is a site as a plan keeps it.
type plannedSite struct {
	Site Site  `json:"site"`
	Was  *Site `json:"was,omitempty"` // nil where there was none
}

// ImportSites makes a plan of a list of sites: new ones are created, known ones changed, and those that the list doesn't name
// stay. It refuses with campaign_not_found, or with what is wrong with the file as a whole.
func (s *Service) ImportSites(ctx context.Context, plans *plan.Service, by staff.Key, id string, file *table.File) (plan.Plan, error) {
	c, err := s.Newest(id)
	if err != nil {
		return plan.Plan{}, err
	}
	return plans.Make(ctx, plan.Draft{Kind: sitesImport, Campaign: id, By: by},
		func(ctx context.Context, tx pgx.Tx, m *plan.Making) error {
			known, err := sitesByID(ctx, tx, id)
			if err != nil {
				return err
			}
			m.Checksum = file.Checksum
			m.Source = plan.Source{Format: file.Format, Encoding: file.Encoding, Bytes: file.Bytes}
			list, err := readSites(c, file, m)
			if err != nil {
				return err
			}
			planned := make([]plannedSite, 0, len(list))
			for _, l := range list {
				r := plan.Row{Line: l.line, Subject: l.site.ID}
				if len(l.problems) > 0 {
					m.Summary.Rejected++
					r.Outcome, r.Note = plan.Rejected, strings.Join(l.problems, "; ")
					m.Row(r)
					continue
				}
				p := plannedSite{Site: l.site}
				p.Site.SlotTemplate = ""
				was, there := known[l.site.ID]
				switch {
				case !there:
					m.Summary.Created++
					r.Outcome, r.Note = plan.Created, p.Site.Name
				case reflect.DeepEqual(was, p.Site):
					m.Summary.Unchanged++
					p.Was = &was
				default:
					m.Summary.Changed++
					r.Outcome, r.Note = plan.Changed, difference(was, p.Site)
					p.Was = &was
				}
				if r.Outcome != "" {
					m.Row(r)
				}
				planned = append(planned, p)
			}
			m.Payload, err = json.Marshal(planned)
			if err != nil {
				return fmt.Errorf("encoding planned sites: %w", err)
			}
			return nil
		})
}

// listed is a line of a list of sites.
type listed struct {
	line     int
	site     Site
	problems []string
}

// readSites reads a list and says what is wrong with each line. Of a site that is on two lines neither counts: which is right
// would be a guess.
func readSites(c *Campaign, file *table.File, m *plan.Making) ([]listed, error) {
	var list []listed
	first := map[string]int{}
	err := file.Read(importColumns, func(r table.Row) error {
		m.Source.Lines++
		m.Progress(m.Source.Lines)
		if len(list) >= maxSites {
			return fault.New(fault.Invalid, fault.CodeImportUnreadable).Field("", fmt.Sprintf("more than %d sites", maxSites))
		}
		l := listed{line: r.Line, problems: append([]string(nil), r.Problems...)}
		if len(r.Problems) == 0 {
			l.site, l.problems = parseSite(r.Cells)
			if !c.HasRegion(l.site.Region) {
				l.problems = append(l.problems, "region isn't one of the campaign's")
			}
		}
		if at, twice := first[l.site.ID]; twice && l.site.ID != "" {
			l.problems = append(l.problems, fmt.Sprintf("site_id is on line %d too", list[at].line))
			list[at].problems = append(list[at].problems, fmt.Sprintf("site_id is on line %d too", r.Line))
		} else {
			first[l.site.ID] = len(list)
		}
		list = append(list, l)
		return nil
	})
	return list, err
}

// difference names the fields that differ.
func difference(was, is Site) string {
	var fields []string
	for _, f := range []struct {
		name string
		same bool
	}{
		{"region", was.Region == is.Region},
		{"name", was.Name == is.Name},
		{"name_en", was.NameEn == is.NameEn},
		{"address", was.Address == is.Address},
		{"telephone", was.Telephone == is.Telephone},
		{"position", reflect.DeepEqual(was.Latitude, is.Latitude) && reflect.DeepEqual(was.Longitude, is.Longitude)},
		{"wheelchair", was.Wheelchair == is.Wheelchair},
		{"state", was.State == is.State},
		{"city", was.City == is.City},
		{"postal_code", was.PostalCode == is.PostalCode},
	} {
		if !f.same {
			fields = append(fields, f.name)
		}
	}
	return strings.Join(fields, ", ")
}

// ReadSites are the sites of a campaign as a transaction sees them, by id.
func ReadSites(ctx context.Context, tx pgx.Tx, id string) ([]Site, error) {
	return loadSites(ctx, tx, id)
}

func sitesByID(ctx context.Context, from querier, id string) (map[string]Site, error) {
	all, err := loadSites(ctx, from, id)
	if err != nil {
		return nil, err
	}
	known := make(map[string]Site, len(all))
	for _, site := range all {
		known[site.ID] = site
	}
	return known, nil
}

var errSiteMoved = errors.New("a site isn't what it was")

func applySites(ctx context.Context, tx pgx.Tx, p plan.Stored) (func(context.Context), error) {
	var planned []plannedSite
	if err := json.Unmarshal(p.Payload, &planned); err != nil {
		return nil, fmt.Errorf("reading planned sites: %w", err)
	}
	// Whoever else writes sites has locked the campaign too.
	if err := Lock(ctx, tx, p.Campaign); err != nil {
		return nil, err
	}
	known, err := sitesByID(ctx, tx, p.Campaign)
	if err != nil {
		return nil, err
	}
	var changed []Site
	for _, one := range planned {
		now, there := known[one.Site.ID]
		if there != (one.Was != nil) || there && !reflect.DeepEqual(now, *one.Was) {
			return nil, plan.Outdated(errSiteMoved)
		}
		if !there || !reflect.DeepEqual(now, one.Site) {
			changed = append(changed, one.Site)
		}
	}
	if len(changed) == 0 {
		return nil, nil
	}
	if err := SaveSites(ctx, tx, p.Campaign, changed); err != nil {
		return nil, err
	}
	// Each slot that is added looks its site up; while Postgres believes that there are a few sites, it reads all of them.
	if _, err := tx.Exec(ctx, `ANALYZE sites`); err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("counting the sites: %w", err))
	}
	return nil, nil
}

// Newest returns the newest published version of a campaign, whether it is in effect yet or not, or
// fault.CodeCampaignNotFound.
func (s *Service) Newest(id string) (*Campaign, error) {
	snap := s.snapshot.Load()
	if e, ok := snap.campaigns[id]; ok && len(e.versions) > 0 {
		return e.versions[len(e.versions)-1], nil
	}
	return nil, s.unknown(snap, fault.CodeCampaignNotFound)
}
