package campaign

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

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
	// ServiceType says what is given away, in codes that others know.
	ServiceType []Coding `json:"service_type,omitempty"`
	Waves       []Wave   `json:"waves"`
	// Rooms are the waiting rooms; waves that none of them names have no line.
	Rooms []Room `json:"rooms,omitempty"`
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

// In is the text in a language, "en" or Korean.
func (w Words) In(language string) string {
	if language == "en" {
		return w.En
	}
	return w.Ko
}

// Coding is a code of a system, as FHIR has it.
type Coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
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
	maxCases         = 10_000
)

// Parse reads a campaign file, YAML or JSON, and holds it against the schema (openapi/campaign.schema.json). Its error
// is a *DocumentError with every fault by line and field. What Compile looks at hasn't been judged then; Load does both.
func Parse(r io.Reader) (Document, error) {
	raw, err := readAll(r)
	if err != nil {
		return Document{}, err
	}
	f := readFile(raw)
	d, _ := f.document()
	if len(f.faults) > 0 {
		return Document{}, &DocumentError{Faults: f.faults}
	}
	return d, nil
}

func readAll(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxDocumentBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the campaign: %w", err)
	}
	if len(raw) > maxDocumentBytes {
		return nil, fmt.Errorf("the campaign file is larger than %d bytes", maxDocumentBytes)
	}
	return raw, nil
}

// Load reads a campaign file and compiles it as a version. Its error is a *DocumentError with every fault, of form and
// of meaning, by line and field.
func Load(raw []byte, version int64) (*Campaign, error) {
	if len(raw) > maxDocumentBytes {
		return nil, fmt.Errorf("the campaign file is larger than %d bytes", maxDocumentBytes)
	}
	c, _, err := load(raw, version)
	return c, err
}

func load(raw []byte, version int64) (*Campaign, *file, error) {
	f := readFile(raw)
	d, bad := f.document()
	if bad[""] {
		return nil, f, &DocumentError{Faults: f.faults}
	}
	c, faults := compile(d, version)
	for _, fault := range faults {
		if !bad[part(fault.Path)] {
			f.refuse(fault.Path, "%s", fault.Problem)
		}
	}
	if len(f.faults) > 0 {
		f.faults = oneAPath(f.faults)
		byLine(f.faults)
		return nil, f, &DocumentError{Faults: f.faults}
	}
	return c, f, nil
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
	// Lines are the waiting rooms, by the order of Document.Rooms.
	Lines []Line
}

// Opening is when a wave opens (inclusive) and closes (exclusive).
type Opening struct{ OpensAt, ClosesAt time.Time }

var (
	campaignID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,62}$`)
	partID     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)
)

// localZone is a name that the time package knows and that means another zone on every machine.
const localZone = "Local"

// Compile checks a document and makes it ready to be asked. Its error wraps a *DocumentError with every fault. Versions
// that are stored go through it again whenever an instance starts, so it must never refuse what it once took.
func Compile(d Document, version int64) (*Campaign, error) {
	c, faults := compile(d, version)
	if len(faults) > 0 {
		return nil, fmt.Errorf("campaign %q can't be published:\n%w", d.ID, &DocumentError{Faults: faults})
	}
	return c, nil
}

// compilation is a document on its way to a campaign.
type compilation struct {
	*Campaign
	faults []Fault
}

func (c *compilation) refuse(path, format string, args ...any) {
	c.faults = append(c.faults, Fault{Path: path, Problem: fmt.Sprintf(format, args...)})
}

func (c *compilation) words(path string, w Words) {
	if w.Ko == "" || w.En == "" {
		c.refuse(path, "needs a text in Korean (ko) and in English (en)")
	}
}

func compile(d Document, version int64) (*Campaign, []Fault) {
	c := &compilation{Campaign: &Campaign{Document: d, Version: version}}
	if !campaignID.MatchString(d.ID) {
		c.refuse("campaign", "%q must be 2 to 63 small letters, digits and dashes", d.ID)
	}
	c.words("title", d.Title)
	location, err := time.LoadLocation(d.Zone)
	if err != nil || d.Zone == "" || d.Zone == localZone {
		c.refuse("zone", "%q isn't an IANA zone such as Asia/Seoul", d.Zone)
		location = time.UTC
	}
	c.Location = location
	for _, limit := range []struct {
		path, what         string
		value, least, most int
	}{
		{"hold_seconds", "is", d.HoldSeconds, 30, int(LongestHold / time.Second)},
		{"book_until_seconds", "is", d.BookUntilSeconds, 0, 90 * 24 * 3600},
		{"change_until_seconds", "is", d.ChangeUntilSeconds, 0, 90 * 24 * 3600},
		{"regions", "their number is", len(d.Regions), 1, maxRegions},
		{"waves", "their number is", len(d.Waves), 1, eligibility.MaxWaves},
		{"cases", "their number is", len(d.Cases), 0, maxCases},
	} {
		if limit.value < limit.least || limit.value > limit.most {
			c.refuse(limit.path, "%s %d and must be between %d and %d", limit.what, limit.value, limit.least, limit.most)
		}
	}
	c.regions()
	c.waves()
	c.rooms()
	if len(c.faults) > 0 {
		return nil, oneAPath(c.faults)
	}
	return c.Campaign, nil
}

func (c *compilation) regions() {
	first := map[string]int{}
	for i, r := range c.Regions {
		path := fmt.Sprintf("regions[%d]", i)
		if !partID.MatchString(r.Region) {
			c.refuse(path+".region", "%q must be 1 to 32 letters, digits, dashes and underscores", r.Region)
		} else if at, twice := first[r.Region]; twice {
			c.refuse(path+".region", "%q is the id of regions[%d] too", r.Region, at)
		} else {
			first[r.Region] = i
		}
		c.words(path+".name", r.Name)
	}
}

func (c *compilation) waves() {
	spec := eligibility.Spec{Version: c.Version, Zone: c.Location}
	first := map[string]int{}
	for i, w := range c.Waves {
		path := fmt.Sprintf("waves[%d]", i)
		c.words(path+".title", w.Title)
		c.words(path+".who_in_words", w.WhoWords)
		o := Opening{OpensAt: c.instant(path+".opens_at", w.OpensAt), ClosesAt: c.instant(path+".closes_at", w.ClosesAt)}
		c.Openings = append(c.Openings, o)
		spec.Waves = append(spec.Waves, eligibility.Wave{
			ID: w.ID, Rule: w.Who, OpensAt: o.OpensAt, ClosesAt: o.ClosesAt, SlotsFrom: w.Slots.From, SlotsTo: w.Slots.To,
		})
		if !partID.MatchString(w.ID) {
			c.refuse(path+".wave", "%q must be 1 to 32 letters, digits, dashes and underscores", w.ID)
		} else if at, twice := first[w.ID]; twice {
			windows := "a wave has one window"
			if other := c.Openings[at]; o.OpensAt.Before(other.ClosesAt) && other.OpensAt.Before(o.ClosesAt) {
				windows = "their windows overlap"
			}
			c.refuse(path+".wave", "%q is the id of waves[%d] too, and %s", w.ID, at, windows)
		} else {
			first[w.ID] = i
		}
	}
	var err error
	if c.Rules, err = eligibility.Compile(spec); err == nil {
		return
	}
	found, ok := errors.AsType[*eligibility.SpecError](err)
	if !ok {
		c.refuse("waves", "%s", err)
		return
	}
	for _, fault := range found.Faults {
		path := pathInDocument(fault.Path)
		if !strings.Contains(path, ".") && strings.Contains(path, "[") {
			continue // The wave as a whole: an instant couldn't be read, and that has been said.
		}
		if fault.Wave != "" {
			c.refuse(path, "wave %s: %s", fault.Wave, fault.Problem)
		} else {
			c.refuse(path, "%s", fault.Problem)
		}
	}
}

func (c *compilation) instant(path, text string) time.Time {
	at, err := civil.ParseInstant(text, c.Location)
	if err != nil {
		c.refuse(path, "%s", err)
	}
	return at
}

// pathInDocument is the place in a document that a place in the rules' Spec came from.
func pathInDocument(path string) string {
	wave, rest, _ := strings.Cut(path, ".")
	switch {
	case rest == "id":
		return wave + ".wave"
	case rest == "rule" || strings.HasPrefix(rest, "rule."):
		return wave + ".who" + strings.TrimPrefix(rest, "rule")
	}
	return path
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

// LongestHold is the longest that any campaign's holds may last.
const LongestHold = time.Hour

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
