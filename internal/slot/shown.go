package slot

import (
	"time"

	"jari/internal/campaign"
	"jari/internal/fault"
)

// Shown is a slot as the public sees it: what remains of it, whoever may have it.
type Shown struct {
	Place
	Remaining int
}

// Showing are the slots of a region that start from one instant on and before another, by site and start. No store is asked. It
// refuses with region_not_found, or store_unavailable as long as the slots haven't been read yet.
func (s *Service) Showing(c *campaign.Campaign, region string, from, to time.Time) ([]Shown, error) {
	if !c.HasRegion(region) {
		return nil, fault.New(fault.NotFound, fault.CodeRegionNotFound)
	}
	sh, b := s.shown(c.ID)
	if b == nil {
		return nil, fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(time.Second)
	}
	var positions []int32
	for _, n := range b.regions[region] {
		positions = append(positions, b.directory.between(b.directory.order[b.directory.from[n]:b.directory.from[n+1]], from, to)...)
	}
	shown := make([]Shown, len(positions))
	for i, p := range positions {
		shown[i].Place = b.directory.place(int(p))
	}
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for i, p := range positions {
		shown[i].Remaining = b.rows[p].remaining()
	}
	return shown, nil
}
