package slot

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"jari/internal/campaign"
	"jari/internal/civil"
)

// Available is a slot with what remains of it.
type Available struct {
	Place
	Remaining int
}

// Limits of what is offered instead of a full slot.
const (
	alternativesHere  = 4 // times at the same site
	alternativesSites = 3 // other sites of the region
)

// Alternatives are slots with room instead of one that is full, among the days that the person may book: the nearest
// times at the same site, then the nearest other sites of the region on the same day. It is advice, asks no store, and
// never fails: it only finds less.
func (s *Service) Alternatives(_ context.Context, c *campaign.Campaign, wanted Place, wave string, from, to civil.Date) []Available {
	sh, b := s.shown(c.ID)
	if b == nil {
		return nil
	}
	now := s.clock.Now()
	w := wish{
		Place: wanted, campaign: c, now: now, fits: func(a Available) bool { return a.Admits(wave, now) },
		from: civil.Midnight(from, c.Location), to: civil.Midnight(civil.AddDays(to, 1), c.Location),
	}
	found := sh.nearest(b, wanted.Site, w, alternativesHere)
	here, ok := b.sites.Get(wanted.Site)
	if !ok {
		return found
	}
	day, err := s.regionDay(c, here.Region, civil.Of(wanted.StartsAt, c.Location))
	if err != nil {
		return found
	}
	var others []campaign.Site
	for _, r := range day.sites {
		if other, ok := b.sites.Get(r.site); ok && r.remaining > 0 && r.site != wanted.Site {
			others = append(others, other)
		}
	}
	nearestFirst(here, others)
	for _, other := range others[:min(alternativesSites, len(others))] {
		found = append(found, sh.nearest(b, other.ID, w, 1)...)
	}
	return found
}

// Room is the slot with room at a site, between two days, that is the nearest in time to another one, among those that fit;
// places that a live hold keeps aren't free. fits is asked while no slot changes: it must be quick and ask nothing of the
// service. No store is asked.
func (s *Service) Room(c *campaign.Campaign, site string, instead Place, from, to civil.Date, fits func(Available) bool) (Place, bool) {
	sh, b := s.shown(c.ID)
	if b == nil {
		return Place{}, false
	}
	found := sh.nearest(b, site, wish{
		Place: instead, campaign: c, now: s.clock.Now(), fits: fits,
		from: civil.Midnight(from, c.Location), to: civil.Midnight(civil.AddDays(to, 1), c.Location),
	}, 1)
	if len(found) == 0 {
		return Place{}, false
	}
	return found[0].Place, true
}

// Near are the other sites of a site's region, the nearest first; those without a position come last.
func Near(sites *campaign.Sites, site string) []campaign.Site {
	here, ok := sites.Get(site)
	if !ok {
		return nil
	}
	others := slices.DeleteFunc(sites.In(here.Region), func(s campaign.Site) bool { return s.ID == site })
	nearestFirst(here, others)
	return others
}

func nearestFirst(here campaign.Site, sites []campaign.Site) {
	slices.SortStableFunc(sites, func(a, b campaign.Site) int { return cmp.Compare(distance(here, a), distance(here, b)) })
}

// SlotsOf are all slots of a site on a day, by their start.
func (s *Service) SlotsOf(c *campaign.Campaign, site string, day civil.Date) []Place {
	_, b := s.shown(c.ID)
	if b == nil {
		return nil
	}
	var on []Place
	for _, p := range b.directory.between(b.directory.at(site), civil.Midnight(day, c.Location), civil.Midnight(civil.AddDays(day, 1), c.Location)) {
		on = append(on, b.directory.place(int(p)))
	}
	slices.SortFunc(on, func(a, b Place) int { return a.StartsAt.Compare(b.StartsAt) })
	return on
}

// wish is a slot that somebody wanted, and between which instants they may have another.
type wish struct {
	Place
	campaign *campaign.Campaign
	fits     func(Available) bool // whether it is one for whoever asks
	now      time.Time
	from, to time.Time
}

// nearest are the slots of a site with room that start the nearest to the one that was wanted.
func (sh *shelf) nearest(b *board, site string, w wish, most int) []Available {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	var found []Available
	far := func(a Available) time.Duration { return a.StartsAt.Sub(w.StartsAt).Abs() }
	for _, p := range b.directory.between(b.directory.at(site), w.from, w.to) {
		a := Available{Place: b.directory.place(int(p)), Remaining: b.rows[p].remaining()}
		if a.Remaining == 0 || a.ID == w.ID || !w.now.Before(w.campaign.BookUntil(a.StartsAt)) {
			continue
		}
		i := len(found)
		for i > 0 && far(a) < far(found[i-1]) {
			i--
		}
		if i < most && w.fits(a) { // asked last: it may cost more than the rest
			found = slices.Insert(found, i, a)
			found = found[:min(most, len(found))]
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
