package campaign

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"jari/internal/civil"
	"jari/internal/eligibility"
)

// Document is a campaign as its administrators write it, and as a published version keeps it.
type Document struct {
	ID     string `json:"campaign"`
	Title  Words  `json:"title"`
	Notice *Words `json:"notice,omitempty"`
	// Zone is the IANA name of the zone in which days and local times are meant.
	Zone string `json:"zone"`
	// HoldSeconds is how long a hold keeps its place.
	HoldSeconds int `json:"hold_seconds"`
	// BookUntilSeconds and ChangeUntilSeconds are how long before its start a slot can be booked, and a booking moved
	// or cancelled.
	BookUntilSeconds   int      `json:"book_until_seconds"`
	ChangeUntilSeconds int      `json:"change_until_seconds"`
	Regions            []Region `json:"regions"`
	Waves              []Wave   `json:"waves"`
	// Cases are what the administrators expect of their own rules; publishing is refused while one fails.
	Cases []eligibility.Case `json:"cases"`
	// Sites and Slots name the files beside the document that list the sites and describe the slots. They are read when
	// the campaign is published and not kept with the version.
	Sites string `json:"sites,omitempty"`
	Slots string `json:"slots,omitempty"`
}

// Words is a text in both languages.
type Words struct {
	Ko string `json:"ko"`
	En string `json:"en"`
}

// Region groups sites.
type Region struct {
	Region string `json:"region"`
	Name   Words  `json:"name"`
}

// Wave is a dated opening: who may book from when until when, and which days.
type Wave struct {
	ID    string `json:"wave"`
	Title Words  `json:"title"`
	// WhoWords says in words whom the rule admits.
	WhoWords Words            `json:"who_in_words"`
	Who      eligibility.Rule `json:"who"`
	// OpensAt is inclusive, ClosesAt exclusive; RFC 3339, or local time in the campaign's zone.
	OpensAt  string   `json:"opens_at"`
	ClosesAt string   `json:"closes_at"`
	Slots    DayRange `json:"slots"`
}

// DayRange is a range of civil dates, both inclusive.
type DayRange struct {
	From civil.Date `json:"from"`
	To   civil.Date `json:"to"`
}

// Limits of a document: a file that is larger is a mistake.
const (
	maxDocumentBytes = 4 << 20
	maxRegions       = 1000
	maxWaves         = 500
	maxCases         = 10_000
)

// Parse reads a campaign file. Its errors name line and column.
func Parse(r io.Reader) (Document, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxDocumentBytes+1))
	if err != nil {
		return Document{}, fmt.Errorf("reading the campaign: %w", err)
	}
	if len(raw) > maxDocumentBytes {
		return Document{}, fmt.Errorf("the campaign file is larger than %d bytes", maxDocumentBytes)
	}
	d := Document{HoldSeconds: 300, BookUntilSeconds: 3600, ChangeUntilSeconds: 24 * 3600}
	if err := yaml.UnmarshalWithOptions(raw, &d, yaml.Strict(), yaml.UseJSONUnmarshaler()); err != nil {
		if line := lineOf(raw, err); line > 0 {
			return Document{}, fmt.Errorf("[%d:1] in the part that begins here: %w", line, err)
		}
		return Document{}, errors.New(yaml.FormatError(err, false, true))
	}
	return d, nil
}

// lineOf finds the list item that fails with an error which names no line: those of rules and dates, which read
// themselves. It returns 0 for all others.
func lineOf(raw []byte, cause error) int {
	if _, placed := errors.AsType[yaml.Error](cause); placed {
		return 0
	}
	file, err := parser.ParseBytes(raw, 0)
	if err != nil || len(file.Docs) == 0 {
		return 0
	}
	document, _ := file.Docs[0].Body.(*ast.MappingNode)
	if document == nil {
		return 0
	}
	for _, member := range document.Values {
		list, _ := member.Value.(*ast.SequenceNode)
		if list == nil {
			continue
		}
		for _, item := range list.Values {
			var into any
			switch member.Key.String() {
			case "waves":
				into = &Wave{}
			case "cases":
				into = &eligibility.Case{}
			default:
				continue
			}
			if err := yaml.NodeToValue(item, into, yaml.Strict(), yaml.UseJSONUnmarshaler()); err != nil && err.Error() == cause.Error() {
				return item.GetToken().Position.Line
			}
		}
	}
	return 0
}

// Campaign is one published version, ready to be asked.
type Campaign struct {
	Document
	Version     int64
	EffectiveAt time.Time
	Location    *time.Location
	Rules       *eligibility.RuleSet
	// Openings holds each wave's instants, by the order of Document.Waves.
	Openings []Opening
}

// Opening is when a wave opens (inclusive) and closes (exclusive).
type Opening struct{ OpensAt, ClosesAt time.Time }

var (
	campaignID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,62}$`)
	partID     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)
)

// Compile checks a document and makes it ready to be asked. It returns every fault, joined.
func Compile(d Document, version int64) (*Campaign, error) {
	var faults []error
	refuse := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if !campaignID.MatchString(d.ID) {
		refuse("campaign: %q must be 2 to 63 small letters, digits and dashes", d.ID)
	}
	words := func(where string, w Words) {
		if w.Ko == "" || w.En == "" {
			refuse("%s: needs a text in Korean (ko) and in English (en)", where)
		}
	}
	words("title", d.Title)
	location, err := time.LoadLocation(d.Zone)
	if err != nil || d.Zone == "" || d.Zone == "Local" {
		refuse("zone: %q isn't an IANA zone such as Asia/Seoul", d.Zone)
		location = time.UTC
	}
	for _, limit := range []struct {
		name               string
		value, least, most int
	}{
		{"hold_seconds", d.HoldSeconds, 30, 3600},
		{"book_until_seconds", d.BookUntilSeconds, 0, 90 * 24 * 3600},
		{"change_until_seconds", d.ChangeUntilSeconds, 0, 90 * 24 * 3600},
		{"the number of regions", len(d.Regions), 1, maxRegions},
		{"the number of waves", len(d.Waves), 1, maxWaves},
		{"the number of cases", len(d.Cases), 0, maxCases},
	} {
		if limit.value < limit.least || limit.value > limit.most {
			refuse("%s: is %d and must be between %d and %d", limit.name, limit.value, limit.least, limit.most)
		}
	}
	seen := map[string]bool{}
	for i, r := range d.Regions {
		if !partID.MatchString(r.Region) || seen[r.Region] {
			refuse("regions[%d]: %q must be unique, of letters, digits, dashes and underscores", i, r.Region)
		}
		seen[r.Region] = true
		words(fmt.Sprintf("regions[%d].name", i), r.Name)
	}
	c := &Campaign{Document: d, Version: version, Location: location}
	spec := eligibility.Spec{Version: version, Zone: location}
	for i, w := range d.Waves {
		where := fmt.Sprintf("waves[%d]", i)
		if !partID.MatchString(w.ID) {
			refuse("%s.wave: %q must be of letters, digits, dashes and underscores", where, w.ID)
		}
		words(where+".title", w.Title)
		words(where+".who_in_words", w.WhoWords)
		opens, err := civil.ParseInstant(w.OpensAt, location)
		if err != nil {
			refuse("%s.opens_at: %w", where, err)
		}
		closes, err := civil.ParseInstant(w.ClosesAt, location)
		if err != nil {
			refuse("%s.closes_at: %w", where, err)
		}
		c.Openings = append(c.Openings, Opening{OpensAt: opens, ClosesAt: closes})
		spec.Waves = append(spec.Waves, eligibility.Wave{
			ID: w.ID, Rule: w.Who, OpensAt: opens, ClosesAt: closes, SlotsFrom: w.Slots.From, SlotsTo: w.Slots.To,
		})
	}
	if len(faults) == 0 {
		// The rules' own faults are only worth reading once the instants above could be read.
		if c.Rules, err = eligibility.Compile(spec); err != nil {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("campaign %q can't be published:\n%w", d.ID, err)
	}
	return c, nil
}

// State is what a campaign is doing at an instant.
type State string

// The states of a campaign, which follow from its waves and the instant.
const (
	Scheduled State = "scheduled" // no wave has opened yet
	Open      State = "open"      // some wave is open
	Between   State = "between"   // none is open, one will be
	Closed    State = "closed"    // none will be open again
)

// StateAt tells what the campaign is doing at an instant of shown time.
func (c *Campaign) StateAt(at time.Time) State {
	var past, future bool
	for _, o := range c.Openings {
		switch {
		case at.Before(o.OpensAt):
			future = true
		case at.Before(o.ClosesAt):
			return Open
		default:
			past = true
		}
	}
	switch {
	case future && past:
		return Between
	case future:
		return Scheduled
	default:
		return Closed
	}
}

// Hold is how long a hold keeps its place.
func (c *Campaign) Hold() time.Duration { return time.Duration(c.HoldSeconds) * time.Second }

// BookUntil is the last instant (exclusive) at which a slot that starts at startsAt can be held.
func (c *Campaign) BookUntil(startsAt time.Time) time.Time {
	return startsAt.Add(-time.Duration(c.BookUntilSeconds) * time.Second)
}

// ChangeUntil is the last instant (exclusive) at which a booking of a slot that starts at startsAt can be moved or
// cancelled.
func (c *Campaign) ChangeUntil(startsAt time.Time) time.Time {
	return startsAt.Add(-time.Duration(c.ChangeUntilSeconds) * time.Second)
}

// HasRegion tells whether the campaign lists the region.
func (c *Campaign) HasRegion(region string) bool {
	for _, r := range c.Regions {
		if r.Region == region {
			return true
		}
	}
	return false
}

// Room is the waiting room of the campaign. Campaigns without a line have one too, which admits at once, so that the
// guard in front of holding and booking is the same for all.
func (c *Campaign) Room() string { return c.ID }

// encode is the document as a version keeps it.
func (d Document) encode() ([]byte, error) {
	d.Sites, d.Slots = "", ""
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding campaign %q: %w", d.ID, err)
	}
	return raw, nil
}
