package feed_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// What follows is the specification of SMART Scheduling Links, field by field, as somebody reads it who fetches feeds of many
// publishers and drops what doesn't fit. It uses nothing of the server.

const extensions = "http://fhir-registry.smarthealthit.org/StructureDefinition/"

var (
	fhirID = regexp.MustCompile(`^[A-Za-z0-9\-.]{1,64}$`)
	// instant is FHIR's: seconds and an offset are needed.
	instant = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`)
)

// manifest is a Bulk Publication Manifest.
type manifest struct {
	TransactionTime string         `json:"transactionTime"`
	Request         string         `json:"request"`
	Output          []manifestFile `json:"output"`
	Error           *[]any         `json:"error"`
}

type manifestFile struct {
	Type      string `json:"type"`
	URL       string `json:"url"`
	Extension *struct {
		State []string `json:"state"`
	} `json:"extension"`
}

type locationLine struct {
	ResourceType string   `json:"resourceType"`
	ID           string   `json:"id"`
	Name         string   `json:"name"`
	Alias        []string `json:"alias"`
	Telecom      []struct {
		System string `json:"system"`
		Value  string `json:"value"`
	} `json:"telecom"`
	Address struct {
		Line       []string `json:"line"`
		City       string   `json:"city"`
		State      string   `json:"state"`
		PostalCode string   `json:"postalCode"`
	} `json:"address"`
	Position *struct {
		Longitude *float64 `json:"longitude"`
		Latitude  *float64 `json:"latitude"`
	} `json:"position"`
}

type scheduleLine struct {
	ResourceType string `json:"resourceType"`
	ID           string `json:"id"`
	ServiceType  []struct {
		Coding []struct {
			System  string `json:"system"`
			Code    string `json:"code"`
			Display string `json:"display"`
		} `json:"coding"`
		Text string `json:"text"`
	} `json:"serviceType"`
	Actor []struct {
		Reference string `json:"reference"`
	} `json:"actor"`
}

type slotLine struct {
	ResourceType string `json:"resourceType"`
	ID           string `json:"id"`
	Schedule     struct {
		Reference string `json:"reference"`
	} `json:"schedule"`
	Status    string `json:"status"`
	Start     string `json:"start"`
	End       string `json:"end"`
	Extension []struct {
		URL          string `json:"url"`
		ValueInteger *int   `json:"valueInteger"`
		ValueURL     string `json:"valueUrl"`
	} `json:"extension"`
}

// capacity is what the slot's extension says, or -1.
func (s slotLine) capacity() int {
	for _, e := range s.Extension {
		if e.URL == extensions+"slot-capacity" && e.ValueInteger != nil {
			return *e.ValueInteger
		}
	}
	return -1
}

// link is where the slot is booked, or empty.
func (s slotLine) link() string {
	for _, e := range s.Extension {
		if e.URL == extensions+"booking-deep-link" {
			return e.ValueURL
		}
	}
	return ""
}

// published is a whole feed.
type published struct {
	manifest  manifest
	locations map[string]locationLine
	schedules map[string]scheduleLine
	slots     map[string]slotLine
	faults    []string
}

func (p *published) refuse(format string, args ...any) {
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// strictly decodes JSON that has nothing else in it.
func strictly(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// isAddress tells whether a text is a full URL.
func isAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// read reads a feed by its manifest, and says everything that the specification doesn't allow.
func read(raw []byte, fetch func(url string) []byte) *published {
	p := &published{locations: map[string]locationLine{}, schedules: map[string]scheduleLine{}, slots: map[string]slotLine{}}
	if err := strictly(raw, &p.manifest); err != nil {
		p.refuse("the manifest: %v", err)
		return p
	}
	m := p.manifest
	if !instant.MatchString(m.TransactionTime) {
		p.refuse("transactionTime is %q", m.TransactionTime)
	}
	if !isAddress(m.Request) || !strings.HasSuffix(m.Request, "$bulk-publish") {
		p.refuse("request is %q", m.Request)
	}
	if m.Output == nil || m.Error == nil {
		p.refuse("output or error is missing")
	}
	var urls []string
	for _, o := range m.Output {
		if !isAddress(o.URL) || slices.Contains(urls, o.URL) {
			p.refuse("the url %q", o.URL)
		}
		urls = append(urls, o.URL)
		if o.Extension != nil && (len(o.Extension.State) == 0 || slices.Contains(o.Extension.State, "")) {
			p.refuse("the states of %s are %q", o.URL, o.Extension.State)
		}
		for line := range bytes.Lines(fetch(o.URL)) {
			if !bytes.HasSuffix(line, []byte("\n")) || bytes.ContainsAny(bytes.TrimSuffix(line, []byte("\n")), "\r\n\t") {
				p.refuse("%s: a line isn't one minified object: %q", o.URL, line)
			}
			switch o.Type {
			case "Location":
				p.location(line)
			case "Schedule":
				p.schedule(line)
			case "Slot":
				p.slot(line)
			default:
				p.refuse("the type %q", o.Type)
			}
		}
	}
	p.references()
	return p
}

func (p *published) location(raw []byte) {
	var l locationLine
	if err := strictly(raw, &l); err != nil {
		p.refuse("a location: %v: %s", err, raw)
	}
	_, twice := p.locations[l.ID]
	if l.ResourceType != "Location" || !fhirID.MatchString(l.ID) || twice || l.Name == "" {
		p.refuse("a location: %s", raw)
	}
	if len(l.Telecom) == 0 {
		p.refuse("%s has no telephone", l.ID)
	}
	for _, t := range l.Telecom {
		if t.System != "phone" || strings.TrimSpace(t.Value) != t.Value || t.Value == "" {
			p.refuse("%s has the telephone %v", l.ID, t)
		}
	}
	a := l.Address
	if len(a.Line) == 0 || slices.Contains(a.Line, "") || a.City == "" || a.State == "" || a.PostalCode == "" {
		p.refuse("%s has the address %+v", l.ID, a)
	}
	if l.Position != nil && (l.Position.Latitude == nil || l.Position.Longitude == nil) {
		p.refuse("%s has half a position", l.ID)
	}
	p.locations[l.ID] = l
}

func (p *published) schedule(raw []byte) {
	var s scheduleLine
	if err := strictly(raw, &s); err != nil {
		p.refuse("a schedule: %v: %s", err, raw)
	}
	_, twice := p.schedules[s.ID]
	if s.ResourceType != "Schedule" || !fhirID.MatchString(s.ID) || twice || len(s.ServiceType) == 0 || len(s.Actor) != 1 {
		p.refuse("a schedule: %s", raw)
	}
	for _, service := range s.ServiceType {
		if len(service.Coding) == 0 {
			p.refuse("%s has a service without a code", s.ID)
		}
		for _, c := range service.Coding {
			if c.Code == "" || c.System == "" || strings.ContainsAny(c.System, " \n") {
				p.refuse("%s has the code %v", s.ID, c)
			}
		}
	}
	p.schedules[s.ID] = s
}

func (p *published) slot(raw []byte) {
	var s slotLine
	if err := strictly(raw, &s); err != nil {
		p.refuse("a slot: %v: %s", err, raw)
	}
	_, twice := p.slots[s.ID]
	if s.ResourceType != "Slot" || !fhirID.MatchString(s.ID) || twice || s.Status != "free" && s.Status != "busy" {
		p.refuse("a slot: %s", raw)
	}
	start, errStart := time.Parse(time.RFC3339, s.Start)
	end, errEnd := time.Parse(time.RFC3339, s.End)
	if errStart != nil || errEnd != nil || !instant.MatchString(s.Start) || !instant.MatchString(s.End) || !start.Before(end) {
		p.refuse("%s lasts from %q to %q", s.ID, s.Start, s.End)
	}
	for _, e := range s.Extension {
		switch e.URL {
		case extensions + "slot-capacity":
			if e.ValueInteger == nil || *e.ValueInteger < 1 || e.ValueURL != "" {
				p.refuse("%s has the capacity %s", s.ID, raw)
			}
		case extensions + "booking-deep-link":
			if !isAddress(e.ValueURL) || e.ValueInteger != nil {
				p.refuse("%s leads to %q", s.ID, e.ValueURL)
			}
		default:
			p.refuse("%s has the extension %s", s.ID, e.URL)
		}
	}
	p.slots[s.ID] = s
}

// references says what leads nowhere.
func (p *published) references() {
	for id, s := range p.schedules {
		for _, actor := range s.Actor {
			location, is := strings.CutPrefix(actor.Reference, "Location/")
			if _, there := p.locations[location]; !is || !there {
				p.refuse("the schedule %s is of %q", id, actor.Reference)
			}
		}
	}
	for id, s := range p.slots {
		schedule, is := strings.CutPrefix(s.Schedule.Reference, "Schedule/")
		if _, there := p.schedules[schedule]; !is || !there {
			p.refuse("the slot %s is of %q", id, s.Schedule.Reference)
		}
	}
}
