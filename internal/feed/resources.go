package feed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"jari/internal/campaign"
	"jari/internal/document"
	"jari/internal/fault"
	"jari/internal/slot"
)

// Addresses that the specification gives its extensions.
const (
	capacityExtension = "http://fhir-registry.smarthealthit.org/StructureDefinition/slot-capacity"
	linkExtension     = "http://fhir-registry.smarthealthit.org/StructureDefinition/booking-deep-link"
)

// ownServices is the system of codes of services that are named after their campaigns.
const ownServices = "urn:jari:campaign"

// directory is what the feed says of a campaign's sites.
type directory struct {
	campaign *campaign.Campaign
	sites    *campaign.Sites
	// ids are those of the sites that are in the feed, as FHIR has them.
	ids     map[string]string
	regions map[string]*regionFiles
}

type regionFiles struct {
	locations, schedules *document.Document
	states               []string // of those that have sites
}

// directory finds a campaign's, or makes it: once for each version and revision of its sites.
func (s *Service) directory(c *campaign.Campaign) (*directory, error) {
	sites, err := s.o.Campaigns.Sites(c.ID)
	if err != nil {
		return nil, err
	}
	found := func() (*directory, bool) {
		known, _ := s.directories.Load(c.ID)
		d, ok := known.(*directory)
		return d, ok && d.campaign == c && d.sites == sites
	}
	if d, ok := found(); ok {
		return d, nil
	}
	s.listing.Lock()
	defer s.listing.Unlock()
	if d, ok := found(); ok {
		return d, nil
	}
	d, err := newDirectory(c, sites)
	if err != nil {
		return nil, err
	}
	if left := len(sites.All()) - len(d.ids); left > 0 {
		s.o.Log.Info("sites aren't in the feed, because their telephone, city or postal code isn't known", "campaign", c.ID, "sites", left)
	}
	s.directories.Store(c.ID, d)
	return d, nil
}

func newDirectory(c *campaign.Campaign, sites *campaign.Sites) (*directory, error) {
	d := &directory{campaign: c, sites: sites, ids: map[string]string{}, regions: map[string]*regionFiles{}}
	byRegion := map[string][]campaign.Site{}
	for _, site := range sites.All() {
		if complete(site) {
			byRegion[site.Region] = append(byRegion[site.Region], site)
			d.ids[site.ID] = fhirID(c.ID, site.ID)
		}
	}
	services := servicesOf(c)
	for _, r := range c.Regions {
		var locations, schedules lines
		var states []string
		for _, site := range byRegion[r.Region] {
			if site.State == "" {
				site.State = r.Name.Ko
			}
			states = append(states, site.State)
			locations.add(locationOf(d.ids[site.ID], site))
			schedules.add(scheduleOf(d.ids[site.ID], services))
		}
		slices.Sort(states)
		states = slices.Compact(states)
		if err := locations.err; err != nil {
			return nil, fmt.Errorf("encoding the locations of %s in %s: %w", r.Region, c.ID, err)
		}
		if err := schedules.err; err != nil {
			return nil, fmt.Errorf("encoding the schedules of %s in %s: %w", r.Region, c.ID, err)
		}
		d.regions[r.Region] = &regionFiles{
			locations: document.NewOf(media, locations.text.Bytes()), schedules: document.NewOf(media, schedules.text.Bytes()),
			states: states,
		}
	}
	return d, nil
}

// complete tells whether what the specification needs of a site is known. The state is that of its region, if it has none.
func complete(s campaign.Site) bool {
	return strings.TrimSpace(s.Telephone) != "" && s.City != "" && s.PostalCode != ""
}

// Sites is the file of the Locations of a region, or of their Schedules. It refuses with feed_not_offered or region_not_found.
func (s *Service) Sites(c *campaign.Campaign, region string, kind Type) (*document.Document, error) {
	if err := s.offered(); err != nil {
		return nil, err
	}
	d, err := s.directory(c)
	if err != nil {
		return nil, err
	}
	files, ok := d.regions[region]
	switch {
	case !ok:
		return nil, fault.New(fault.NotFound, fault.CodeRegionNotFound)
	case kind == Location:
		return files.locations, nil
	default:
		return files.schedules, nil
	}
}

// outputs are the files of a campaign: those of regions that have sites, and of weeks that aren't over.
func (d *directory) outputs(now time.Time) (all []Output) {
	names := weeks(d.campaign, now)
	for _, r := range d.campaign.Regions {
		files := d.regions[r.Region]
		if len(files.states) == 0 {
			continue
		}
		o := Output{Campaign: d.campaign.ID, Region: r.Region, States: files.states}
		o.Type, o.Name = Location, files.locations.Hash()
		all = append(all, o)
		o.Type, o.Name = Schedule, files.schedules.Hash()
		all = append(all, o)
		for _, week := range names {
			o.Type, o.Name = Slot, week
			all = append(all, o)
		}
	}
	return all
}

// mostID is how long an id of FHIR may be.
const mostID = 64

// fhirID is the id of a site over all campaigns. FHIR has 64 letters, digits, dots and dashes: where the two names together are
// longer, it is their hash, which has no dot and so is nobody's name.
func fhirID(campaignID, siteID string) string {
	if id := campaignID + "." + siteID; len(id) <= mostID {
		return id
	}
	sum := sha256.Sum256([]byte(campaignID + "." + siteID))
	return hex.EncodeToString(sum[:])
}

// lines are JSON objects, one a line.
type lines struct {
	text bytes.Buffer
	err  error
}

func (l *lines) add(object any) {
	if l.err == nil {
		l.err = json.NewEncoder(&l.text).Encode(object) // which ends the line
	}
}

type location struct {
	Resource string    `json:"resourceType"`
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Alias    []string  `json:"alias,omitempty"`
	Telecom  []telecom `json:"telecom"`
	Address  address   `json:"address"`
	Position *position `json:"position,omitempty"`
}

type telecom struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

type address struct {
	Line       []string `json:"line"`
	City       string   `json:"city"`
	State      string   `json:"state"`
	PostalCode string   `json:"postalCode"`
}

type position struct {
	Longitude float64 `json:"longitude"`
	Latitude  float64 `json:"latitude"`
}

func locationOf(id string, s campaign.Site) location {
	l := location{
		Resource: string(Location), ID: id, Name: s.Name, Telecom: []telecom{{"phone", strings.TrimSpace(s.Telephone)}},
		Address: address{[]string{s.Address}, s.City, s.State, s.PostalCode},
	}
	if s.NameEn != "" {
		l.Alias = []string{s.NameEn}
	}
	if s.Latitude != nil && s.Longitude != nil {
		l.Position = &position{Longitude: *s.Longitude, Latitude: *s.Latitude}
	}
	return l
}

type concept struct {
	Coding []coding `json:"coding"`
	Text   string   `json:"text"`
}

type coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

type reference struct {
	Reference string `json:"reference"`
}

type schedule struct {
	Resource string      `json:"resourceType"`
	ID       string      `json:"id"`
	Service  []concept   `json:"serviceType"`
	Actor    []reference `json:"actor"`
}

func scheduleOf(id string, services []concept) schedule {
	return schedule{string(Schedule), id, services, []reference{{string(Location) + "/" + id}}}
}

// servicesOf is what a campaign gives, in the codes that it names. One that names none is a service of its own.
func servicesOf(c *campaign.Campaign) []concept {
	given := concept{Text: c.Title.Ko}
	for _, x := range c.ServiceType {
		given.Coding = append(given.Coding, coding(x))
	}
	if len(given.Coding) == 0 {
		given.Coding = []coding{{ownServices, c.ID, c.Title.En}}
	}
	return []concept{given}
}

// slotLine is what a line of slots says.
type slotLine struct {
	id, schedule string
	free         bool
	capacity     int // that remains; of one that is busy nothing is said
	start, end   time.Time
	link         string // between quotes of JSON
}

// slotBytes is a line of slots, about.
const slotBytes = 400

// appendSlot writes a line by hand: there are a million, and no id has a letter that JSON escapes.
func appendSlot(b []byte, x slotLine) []byte {
	b = append(b, `{"resourceType":"Slot","id":"`...)
	b = append(b, x.id...)
	b = append(b, `","schedule":{"reference":"Schedule/`...)
	b = append(b, x.schedule...)
	if x.free {
		b = append(b, `"},"status":"free","start":"`...)
	} else {
		b = append(b, `"},"status":"busy","start":"`...)
	}
	b = x.start.AppendFormat(b, time.RFC3339)
	b = append(b, `","end":"`...)
	b = x.end.AppendFormat(b, time.RFC3339)
	b = append(b, '"')
	if x.free {
		b = append(b, `,"extension":[{"url":"`+capacityExtension+`","valueInteger":`...)
		b = strconv.AppendInt(b, int64(x.capacity), 10)
		b = append(b, '}')
		if x.link != "" {
			b = append(b, `,{"url":"`+linkExtension+`","valueUrl":"`...)
			b = append(b, x.link...)
			b = append(b, `"}`...)
		}
		b = append(b, ']')
	}
	return append(b, "}\n"...)
}

// inQuotes is a text as it stands between quotes of JSON.
func inQuotes(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err) // a text can always be encoded
	}
	return string(raw[1 : len(raw)-1])
}

// link is where a slot is booked, or nothing. Links of a site differ in the slot alone, so the rest is filled in once.
func (s *Service) link(sites map[string]string, campaignID, region string, p slot.Place) string {
	if s.page == "" {
		return ""
	}
	link, known := sites[p.Site]
	if !known {
		link = strings.NewReplacer("{campaign}", url.QueryEscape(campaignID), "{region}", url.QueryEscape(region),
			"{site}", url.QueryEscape(p.Site)).Replace(s.page)
		sites[p.Site] = link
	}
	return strings.ReplaceAll(link, "{slot}", slot.FormatID(p.ID))
}
