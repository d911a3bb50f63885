package slot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/maypok86/otter/v2"

	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/fault"
)

// Document is a public answer, encoded once and the same for everybody.
type Document struct {
	Body []byte
	ETag string // strong, with its quotes
}

const (
	// documentLife is how long an encoded document is shown before it is made anew: at most one rebuild a second and
	// document, however many people look.
	documentLife       = time.Second
	maxCachedDocuments = 20_000
	// buildTimeout bounds making a document.
	buildTimeout = 5 * time.Second
)

type siteKey struct{ campaign, site string }

type regionDayKey struct {
	campaign, region string
	day              civil.Date
}

// siteState is what remains at a site, and the document that says so.
type siteState struct {
	slots    []Available
	document Document
}

// Available is a slot with what remains of it.
type Available struct {
	Place
	Remaining int
}

type regionDay struct {
	sites    []siteRemaining
	document Document
}

// The shapes of the documents, as the contract has them.
type (
	siteDocument struct {
		Campaign string         `json:"campaign_id"`
		Site     string         `json:"site_id"`
		Slots    []slotDocument `json:"slots"`
	}
	slotDocument struct {
		Slot      string `json:"slot_id"`
		StartsAt  string `json:"starts_at"`
		EndsAt    string `json:"ends_at"`
		Remaining int    `json:"remaining"`
	}
	regionDayDocument struct {
		Campaign string          `json:"campaign_id"`
		Region   string          `json:"region"`
		Date     civil.Date      `json:"date"`
		Sites    []siteRemaining `json:"sites"`
	}
	siteRemaining struct {
		Site      string `json:"site_id"`
		Remaining int    `json:"remaining"`
	}
)

// SiteSlots is the document of all slots of a site with what remains of each, or fault.CodeSiteNotFound.
func (s *Service) SiteSlots(ctx context.Context, c *campaign.Campaign, site string) (Document, error) {
	state, err := s.site(ctx, c, site)
	if err != nil {
		return Document{}, err
	}
	return state.document, nil
}

func (s *Service) site(ctx context.Context, c *campaign.Campaign, site string) (*siteState, error) {
	sites, err := s.campaigns.Sites(c.ID)
	if err != nil {
		return nil, err
	}
	if _, ok := sites.Get(site); !ok {
		return nil, fault.New(fault.NotFound, fault.CodeSiteNotFound)
	}
	return s.siteStates.Get(ctx, siteKey{c.ID, site},
		otter.LoaderFunc[siteKey, *siteState](func(ctx context.Context, key siteKey) (*siteState, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), buildTimeout)
			defer cancel()
			slots, err := s.available(ctx, c, s.placesAt(c, key.site))
			if err != nil {
				return nil, err
			}
			d := siteDocument{Campaign: key.campaign, Site: key.site, Slots: make([]slotDocument, len(slots))}
			for i, a := range slots {
				d.Slots[i] = slotDocument{
					Slot: FormatID(a.ID), Remaining: a.Remaining,
					StartsAt: a.StartsAt.In(c.Location).Format(time.RFC3339),
					EndsAt:   a.EndsAt.In(c.Location).Format(time.RFC3339),
				}
			}
			document, err := encode(d)
			return &siteState{slots: slots, document: document}, err
		}))
}

// RegionDay is the document of what remains on a day at each site of a region that has slots then, or
// fault.CodeRegionNotFound.
func (s *Service) RegionDay(ctx context.Context, c *campaign.Campaign, region string, day civil.Date) (Document, error) {
	if !c.HasRegion(region) {
		return Document{}, fault.New(fault.NotFound, fault.CodeRegionNotFound)
	}
	state, err := s.regionDay(ctx, c, region, day)
	if err != nil {
		return Document{}, err
	}
	return state.document, nil
}

func (s *Service) regionDay(ctx context.Context, c *campaign.Campaign, region string, day civil.Date) (*regionDay, error) {
	sites, err := s.campaigns.Sites(c.ID)
	if err != nil {
		return nil, err
	}
	build := func(ctx context.Context, key regionDayKey) (*regionDay, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), buildTimeout)
		defer cancel()
		var places []Place
		for _, site := range sites.In(key.region) {
			places = append(places, placesOn(s.placesAt(c, site.ID), key.day, c.Location)...)
		}
		slots, err := s.available(ctx, c, places)
		if err != nil {
			return nil, err
		}
		d := regionDayDocument{Campaign: key.campaign, Region: key.region, Date: key.day, Sites: []siteRemaining{}}
		for _, a := range slots {
			if n := len(d.Sites); n == 0 || d.Sites[n-1].Site != a.Site {
				d.Sites = append(d.Sites, siteRemaining{Site: a.Site})
			}
			d.Sites[len(d.Sites)-1].Remaining += a.Remaining
		}
		document, err := encode(d)
		return &regionDay{sites: d.Sites, document: document}, err
	}
	key := regionDayKey{c.ID, region, day}
	if first, last := slotDays(c); day.Before(first) || day.After(last) {
		// Outside of every wave's days there is nothing to keep: a stranger who asks for every day of the calendar
		// fills no cache.
		return &regionDay{document: must(encode(regionDayDocument{
			Campaign: key.campaign, Region: region, Date: day, Sites: []siteRemaining{},
		}))}, nil
	}
	return s.regionDays.Get(ctx, key, otter.LoaderFunc[regionDayKey, *regionDay](build))
}

// slotDays are the first and the last day that any wave of a campaign may book.
func slotDays(c *campaign.Campaign) (first, last civil.Date) {
	for i, w := range c.Waves {
		if i == 0 || w.Slots.From.Before(first) {
			first = w.Slots.From
		}
		if i == 0 || w.Slots.To.After(last) {
			last = w.Slots.To
		}
	}
	return first, last
}

// RegionSites is the static document of the sites of a region, or fault.CodeRegionNotFound.
func (s *Service) RegionSites(c *campaign.Campaign, region string) (Document, error) {
	if !c.HasRegion(region) {
		return Document{}, fault.New(fault.NotFound, fault.CodeRegionNotFound)
	}
	sites, err := s.campaigns.Sites(c.ID)
	if err != nil {
		return Document{}, err
	}
	type site struct {
		ID         string   `json:"site_id"`
		Name       string   `json:"name"`
		NameEn     string   `json:"name_en,omitempty"`
		Address    string   `json:"address"`
		Telephone  string   `json:"telephone,omitempty"`
		Latitude   *float64 `json:"latitude,omitempty"`
		Longitude  *float64 `json:"longitude,omitempty"`
		Wheelchair bool     `json:"wheelchair"`
	}
	d := struct {
		Campaign string `json:"campaign_id"`
		Region   string `json:"region"`
		Sites    []site `json:"sites"`
	}{Campaign: c.ID, Region: region, Sites: []site{}}
	for _, x := range sites.In(region) {
		d.Sites = append(d.Sites, site{
			x.ID, x.Name, x.NameEn, x.Address, x.Telephone, x.Latitude, x.Longitude, x.Wheelchair,
		})
	}
	return encode(d)
}

func (s *Service) placesAt(c *campaign.Campaign, site string) []Place {
	d, ok := (*s.directories.Load())[c.ID]
	if !ok {
		return nil
	}
	return d.At(site)
}

// placesOn picks the places of one civil day; they come by start.
func placesOn(places []Place, day civil.Date, zone *time.Location) []Place {
	from := civil.Midnight(day, zone)
	to := civil.Midnight(civil.AddDays(day, 1), zone)
	byStart := func(p Place, at time.Time) int { return p.StartsAt.Compare(at) }
	first, _ := slices.BinarySearchFunc(places, from, byStart)
	last, _ := slices.BinarySearchFunc(places, to, byStart)
	return places[first:last]
}

// available says what remains of places: capacity − booked − live holds, and nothing once booking has closed for them.
// Without Redis it shows what isn't booked: the hold decides anyway.
func (s *Service) available(ctx context.Context, c *campaign.Campaign, places []Place) ([]Available, error) {
	if len(places) == 0 {
		return nil, nil
	}
	ids := make([]int64, len(places))
	for i, p := range places {
		ids[i] = p.ID
	}
	copies, err := loadCopies(ctx, s.pool, ids)
	if err != nil {
		return nil, err
	}
	holds, err := countHolds(ctx, s.redis, c.ID, ids, s.clock.Real())
	if err != nil {
		s.log.Warn("live holds can't be counted; documents show what isn't booked", "error", err)
	}
	rows := make(map[int64]Copy, len(copies))
	for _, row := range copies {
		rows[row.Slot] = row
	}
	now := s.clock.Now()
	all := make([]Available, len(places))
	for i, p := range places {
		all[i].Place = p
		row := rows[p.ID]
		if row.State == Open && now.Before(c.BookUntil(p.StartsAt)) {
			all[i].Remaining = max(0, row.Capacity-row.Booked-holds[p.ID])
		}
	}
	return all, nil
}

// Limits of what is offered instead of a full slot.
const (
	alternativesHere  = 4 // times at the same site
	alternativesSites = 3 // other sites of the region
)

// Alternatives are slots with room instead of one that is full, among the days that the person may book: the nearest
// times at the same site, then the nearest other sites of the region on the same day. It is advice and may be a second
// old; it never fails, it only finds less.
func (s *Service) Alternatives(ctx context.Context, c *campaign.Campaign, wanted Place, from, to civil.Date) []Available {
	mayBook := func(a Available) bool {
		day := civil.Of(a.StartsAt, c.Location)
		return a.Remaining > 0 && a.ID != wanted.ID && !day.Before(from) && !day.After(to)
	}
	nearest := func(slots []Available, most int) []Available {
		room := slices.DeleteFunc(slices.Clone(slots), func(a Available) bool { return !mayBook(a) })
		slices.SortStableFunc(room, func(a, b Available) int {
			return cmp.Compare(a.StartsAt.Sub(wanted.StartsAt).Abs(), b.StartsAt.Sub(wanted.StartsAt).Abs())
		})
		return room[:min(most, len(room))]
	}
	var found []Available
	if state, err := s.site(ctx, c, wanted.Site); err == nil {
		found = nearest(state.slots, alternativesHere)
	}
	sites, err := s.campaigns.Sites(c.ID)
	if err != nil {
		return found
	}
	here, ok := sites.Get(wanted.Site)
	if !ok {
		return found
	}
	day, err := s.regionDay(ctx, c, here.Region, civil.Of(wanted.StartsAt, c.Location))
	if err != nil {
		return found
	}
	var others []campaign.Site
	for _, r := range day.sites {
		if other, ok := sites.Get(r.Site); ok && r.Remaining > 0 && r.Site != wanted.Site {
			others = append(others, other)
		}
	}
	slices.SortStableFunc(others, func(a, b campaign.Site) int { return cmp.Compare(distance(here, a), distance(here, b)) })
	for _, other := range others[:min(alternativesSites, len(others))] {
		if state, err := s.site(ctx, c, other.ID); err == nil {
			found = append(found, nearest(state.slots, 1)...)
		}
	}
	return found
}

// distance orders sites by how far they are, well enough within a region: on a plane whose degrees of longitude are
// shortened by the latitude. Sites without coordinates come last.
func distance(a, b campaign.Site) float64 {
	if a.Latitude == nil || b.Latitude == nil {
		return math.MaxFloat64
	}
	y := *a.Latitude - *b.Latitude
	x := (*a.Longitude - *b.Longitude) * math.Cos(*a.Latitude*math.Pi/180)
	return x*x + y*y
}

func encode(v any) (Document, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return Document{}, fmt.Errorf("encoding a document: %w", err)
	}
	sum := sha256.Sum256(body)
	return Document{Body: body, ETag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}, nil
}

// must is for documents that can't fail to encode.
func must(d Document, err error) Document {
	if err != nil {
		panic(err)
	}
	return d
}
