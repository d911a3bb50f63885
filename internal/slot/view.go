package slot

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/fault"
)

const (
	// documentLife is the least time between two makings of a document, however much changes and however many look.
	documentLife = time.Second
	// freshEvery is how often a view notes that its edition was right: so rarely that reading isn't writing.
	freshEvery = 100 * time.Millisecond
	// maxDocumentBytes bounds what all documents take together. Those of 1,000,000 slots take some 220 MB if every one is
	// looked at; beyond the bound, those that are looked at least are made again when somebody asks.
	maxDocumentBytes = 256 << 20
	// viewBytes is what a view takes besides its text, and siteBytes what it takes for each site that it sums up.
	viewBytes = 1 << 10
	siteBytes = 24
)

// Name says which document of what is free is meant.
type Name struct{ campaign, site, region, day string }

// SiteName names the document of all slots of a site.
func SiteName(campaign, site string) Name { return Name{campaign: campaign, site: site} }

// RegionDayName names the document of what remains in a region on a day, which is written as 2021-07-26.
func RegionDayName(campaign, region, day string) Name {
	return Name{campaign: campaign, region: region, day: day}
}

// view is a document of what is free, over all its editions.
type view struct {
	name    Name
	shelf   *shelf
	edition atomic.Pointer[edition]
	fresh   atomic.Int64  // when its edition was known to be right, as time since the service began
	weight  atomic.Uint32 // how many bytes it takes at most
	making  sync.Mutex
	address atomic.Pointer[string] // by which KnownAt finds it
}

// edition is a document as it was at an instant, with what tells whether it is still right.
type edition struct {
	document *Document // nil where what it is about doesn't exist (any more)
	sites    []siteRemaining
	board    *board
	counter  *atomic.Uint64 // of what changes it; nil where nothing does
	count    uint64
	// from and until bound the shown time, in ns since 1970, in which it is right: of a slot nothing remains once booking
	// has closed for it.
	from, until int64
	made        time.Duration // since the service began
}

// siteRemaining is what remains at a site.
type siteRemaining struct {
	site      string
	remaining int
}

// shows tells whether an edition is right at an instant of shown time.
func (v *view) shows(e *edition, shown int64) bool {
	return e.board == v.shelf.board.Load() && (e.counter == nil || e.counter.Load() == e.count) &&
		e.from <= shown && shown < e.until
}

// see returns the edition to show. Nobody waits for a new one while the one before was right within the last second;
// whoever comes after a longer silence does, because what they would see instead could be of any age.
func (s *Service) see(v *view) *edition {
	now := s.clock.Real().Sub(s.started)
	if e := v.edition.Load(); e != nil {
		if v.shows(e, s.clock.Now().UnixNano()) {
			if now-time.Duration(v.fresh.Load()) >= freshEvery {
				v.fresh.Store(int64(now))
				s.used(v)
			}
			return e
		}
		if now-e.made < documentLife {
			return e
		}
		if now-time.Duration(v.fresh.Load()) < documentLife {
			if v.making.TryLock() {
				go func() {
					defer v.making.Unlock()
					s.make(v)
				}()
			}
			return e
		}
	}
	v.making.Lock()
	defer v.making.Unlock()
	now = s.clock.Real().Sub(s.started)
	if e := v.edition.Load(); e != nil && (now-e.made < documentLife || v.shows(e, s.clock.Now().UnixNano())) {
		return e // somebody else was faster
	}
	return s.make(v)
}

// make makes the next edition. The caller holds v.making.
func (s *Service) make(v *view) *edition {
	e := &edition{
		board: v.shelf.board.Load(), made: s.clock.Real().Sub(s.started), from: math.MinInt64, until: math.MaxInt64,
	}
	switch b := e.board; {
	case b == nil:
	case v.name.site != "":
		e.makeSite(v, s.clock.Now())
	default:
		e.makeDay(v, s.clock.Now())
	}
	s.made.Add(1)
	v.fresh.Store(int64(e.made))
	s.used(v)
	first := v.edition.Swap(e) == nil
	if e.document == nil {
		return e
	}
	// The text, half as much for its compressed form, and room for numbers that grow.
	text := len(e.document.Plain.Body)
	if least := text + text/2 + len(e.sites)*siteBytes + viewBytes; uint64(least) > uint64(v.weight.Load()) {
		v.weight.Store(uint32(min(least+text/8, math.MaxUint32)))
		if !first {
			s.views.Set(v.name, v) // so that it is weighed again
		}
	}
	return e
}

// makeSite fills in what remains of the slots of a site.
func (e *edition) makeSite(v *view, now time.Time) {
	b, name := e.board, v.name
	if _, ok := b.sites.Get(name.site); !ok {
		return
	}
	positions := b.directory.at(name.site)
	remaining := make([]int, len(positions))
	v.shelf.mu.RLock()
	if e.counter = b.siteCounter(name.site); e.counter != nil {
		e.count = e.counter.Load()
	}
	for i, p := range positions {
		remaining[i] = b.rows[p].remaining()
	}
	v.shelf.mu.RUnlock()

	const slotBytes = 140 // of one slot's text, about
	body := make([]byte, 0, 100+len(positions)*slotBytes)
	body = append(body, `{"campaign_id":`...)
	body = appendText(body, name.campaign)
	body = append(body, `,"site_id":`...)
	body = appendText(body, name.site)
	body = append(body, `,"slots":[`...)
	for i, p := range positions {
		place := b.directory.place(int(p))
		if e.closes(b.campaign.BookUntil(place.StartsAt), now) {
			remaining[i] = 0
		}
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, `{"slot_id":"`...)
		body = strconv.AppendInt(body, place.ID, 10)
		body = append(body, `","starts_at":"`...)
		body = place.StartsAt.In(b.campaign.Location).AppendFormat(body, time.RFC3339)
		body = append(body, `","ends_at":"`...)
		body = place.EndsAt.In(b.campaign.Location).AppendFormat(body, time.RFC3339)
		body = append(body, `","remaining":`...)
		body = strconv.AppendInt(body, int64(remaining[i]), 10)
		if place.Cohort != "" {
			body = append(body, `,"cohort":`...)
			body = appendText(body, place.Cohort)
			if !place.SharedAt.IsZero() {
				body = append(body, `,"shared_at":"`...)
				body = append(place.SharedAt.In(b.campaign.Location).AppendFormat(body, time.RFC3339), '"')
			}
		}
		body = append(body, '}')
	}
	e.document = newDocument(append(body, "]}"...))
}

// closes tells whether booking has closed by now for what can be booked until an instant, and bounds the edition by it.
func (e *edition) closes(until, now time.Time) bool {
	at := until.UnixNano()
	if now.Before(until) {
		e.until = min(e.until, at)
		return false
	}
	e.from = max(e.from, at)
	return true
}

// makeDay fills in what remains at the sites of a region that have slots on the day.
func (e *edition) makeDay(v *view, now time.Time) {
	b, name := e.board, v.name
	day, err := civil.Parse(name.day)
	if err != nil || !b.campaign.HasRegion(name.region) {
		return
	}
	from, to := civil.Midnight(day, b.campaign.Location), civil.Midnight(civil.AddDays(day, 1), b.campaign.Location)
	v.shelf.mu.RLock()
	if e.counter = b.dayCounter(name.region, day); e.counter != nil {
		e.count = e.counter.Load()
	}
	for _, n := range b.regions[name.region] {
		positions := b.directory.between(b.directory.order[b.directory.from[n]:b.directory.from[n+1]], from, to)
		if len(positions) == 0 {
			continue
		}
		here := siteRemaining{site: b.directory.sites[n]}
		for _, p := range positions {
			if !e.closes(b.campaign.BookUntil(time.Unix(b.directory.records[p].start, 0)), now) {
				here.remaining += b.rows[p].remaining()
			}
		}
		e.sites = append(e.sites, here)
	}
	v.shelf.mu.RUnlock()
	e.document = newDocument(encodeDay(name, e.sites))
}

func encodeDay(name Name, sites []siteRemaining) []byte {
	const lineBytes = 50 // of one site's text, about
	body := make([]byte, 0, 100+len(sites)*lineBytes)
	body = append(body, `{"campaign_id":`...)
	body = appendText(body, name.campaign)
	body = append(body, `,"region":`...)
	body = appendText(body, name.region)
	body = append(body, `,"date":"`...)
	body = append(body, name.day...)
	body = append(body, `","sites":[`...)
	for i, x := range sites {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, `{"site_id":`...)
		body = appendText(body, x.site)
		body = append(body, `,"remaining":`...)
		body = strconv.AppendInt(body, int64(x.remaining), 10)
		body = append(body, '}')
	}
	return append(body, "]}"...)
}

// appendText appends a text as JSON has it.
func appendText(body []byte, text string) []byte {
	for _, c := range []byte(text) {
		if c < ' ' || c == '"' || c == '\\' || c >= 0x7f || c == '<' || c == '>' || c == '&' {
			encoded, err := json.Marshal(text)
			if err != nil {
				panic(err) // a text can always be encoded
			}
			return append(body, encoded...)
		}
	}
	body = append(body, '"')
	body = append(body, text...)
	return append(body, '"')
}

// Known is the document of a name if it was asked for before and is still kept, or nil: then SiteSlots and RegionDay
// answer, or say why not. It is the whole cost of looking at what is free.
func (s *Service) Known(name Name) *Document {
	v, ok := s.views.GetIfPresent(name)
	if !ok {
		return nil
	}
	return s.see(v).document
}

// KnowAt lets KnownAt find a document that is kept by a text of the caller's, such as its path.
func (s *Service) KnowAt(address string, name Name) {
	v, ok := s.views.GetIfPresent(name)
	if !ok || !v.address.CompareAndSwap(nil, &address) {
		return
	}
	s.addresses.Store(address, v)
	if now, ok := s.views.GetIfPresent(name); !ok || now != v {
		s.addresses.Delete(address) // it was dropped in between
	}
}

// KnownAt is Known by an address that KnowAt was told, which is found in a tenth of the time.
func (s *Service) KnownAt(address string) *Document {
	found, ok := s.addresses.Load(address)
	if !ok {
		return nil
	}
	v, _ := found.(*view)
	return s.see(v).document
}

// used tells the cache that a view is looked at, which it doesn't see where that is found by its address: so seldom that it
// costs nothing, and often enough for the view to be kept.
func (s *Service) used(v *view) {
	if v.address.Load() != nil {
		s.views.GetIfPresent(v.name)
	}
}

// SiteSlots is the document of all slots of a site with what remains of each, or fault.CodeSiteNotFound.
func (s *Service) SiteSlots(c *campaign.Campaign, site string) (*Document, error) {
	e, err := s.look(SiteName(c.ID, site), fault.CodeSiteNotFound)
	if err != nil {
		return nil, err
	}
	return e.document, nil
}

// RegionDay is the document of what remains on a day at each site of a region that has slots then, or
// fault.CodeRegionNotFound.
func (s *Service) RegionDay(c *campaign.Campaign, region string, day civil.Date) (*Document, error) {
	e, err := s.regionDay(c, region, day)
	if err != nil {
		return nil, err
	}
	return e.document, nil
}

func (s *Service) regionDay(c *campaign.Campaign, region string, day civil.Date) (*edition, error) {
	if !c.HasRegion(region) {
		return nil, fault.New(fault.NotFound, fault.CodeRegionNotFound)
	}
	name := RegionDayName(c.ID, region, day.String())
	if first, last := slotDays(c); day.Before(first) || day.After(last) {
		// Outside of every wave's days there is nothing to keep: a stranger who asks for every day of the calendar fills
		// nothing.
		return &edition{document: newDocument(encodeDay(name, nil))}, nil
	}
	return s.look(name, fault.CodeRegionNotFound)
}

// look returns the edition to show of a document, which it makes if there is none yet. What doesn't exist is refused with
// a code, and isn't kept.
func (s *Service) look(name Name, unknown fault.Code) (*edition, error) {
	sh := (*s.shelves.Load())[name.campaign]
	if sh == nil || sh.board.Load() == nil {
		// Published, but its slots haven't been read yet: nobody can say what is free.
		return nil, fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(time.Second)
	}
	v, err := s.views.Get(context.Background(), name, otter.LoaderFunc[Name, *view](func(_ context.Context, name Name) (*view, error) {
		v := &view{name: name, shelf: sh}
		if s.see(v).document == nil {
			return nil, fault.New(fault.NotFound, unknown)
		}
		return v, nil
	}))
	if err != nil {
		return nil, err
	}
	e := s.see(v)
	if e.document == nil {
		s.views.Invalidate(name)
		return nil, fault.New(fault.NotFound, unknown)
	}
	return e, nil
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

// newViews makes the cache of views.
func newViews(addresses *sync.Map) (*otter.Cache[Name, *view], error) {
	views, err := otter.New(&otter.Options[Name, *view]{
		MaximumWeight: maxDocumentBytes, Weigher: func(_ Name, v *view) uint32 { return v.weight.Load() },
		OnAtomicDeletion: func(e otter.DeletionEvent[Name, *view]) {
			if address := e.Value.address.Load(); address != nil && e.Cause != otter.CauseReplacement {
				addresses.Delete(*address)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making the cache of documents: %w", err)
	}
	return views, nil
}

// Made is how many documents were made, which grows with what changes and not with who looks.
func (s *Service) Made() uint64 { return s.made.Load() }
