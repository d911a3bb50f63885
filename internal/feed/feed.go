package feed

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/clock"
	"jari/internal/document"
	"jari/internal/fault"
	"jari/internal/slot"
)

// Every is how often a file that changes is made anew at most. Those who read feeds ask each minute at most.
const Every = 30 * time.Second

// maxFileBytes bounds what all files of slots take together; beyond it, those that are asked for least are made again.
const maxFileBytes = 128 << 20

// media is the type of files of lines.
const media = "application/fhir+ndjson"

// Type is what a file has a line of.
type Type string

// The types of files.
const (
	Location Type = "Location"
	Schedule Type = "Schedule"
	Slot     Type = "Slot"
)

// Output is a file of the feed.
type Output struct {
	Type             Type
	Campaign, Region string
	// Name is the content of Locations and Schedules, and the week of Slots.
	Name string
	// States are those that it is about.
	States []string
}

// Options are what a feed is made of.
type Options struct {
	Campaigns *campaign.Service
	Slots     *slot.Service
	Clock     clock.Clock
	Log       *slog.Logger
	// Address is that of the public API, without a slash at the end; where it isn't known, there is no feed: a feed names its
	// files by whole addresses, and the one that a request came by may be a cache's or anybody's.
	Address string
	// Page is where people begin to book, with {campaign}, {region}, {site} and {slot} to be filled in; empty for nowhere.
	Page string
	// Manifest and Path are where things are below Address.
	Manifest string
	Path     func(Output) string
}

// Service makes the files of the feed.
type Service struct {
	o    Options
	page string // of Options, as it stands between quotes of JSON

	manifest    atomic.Pointer[manifest]
	directories sync.Map // of *directory by campaign
	listing     sync.Mutex
	files       *otter.Cache[name, *file]
	making      sync.Mutex // one file at a time: the largest bounds what making takes
}

// New returns a feed.
func New(o Options) (*Service, error) {
	s := &Service{o: o}
	if o.Page != "" {
		s.page = inQuotes(o.Page)
	}
	var err error
	s.files, err = otter.New(&otter.Options[name, *file]{
		MaximumWeight: maxFileBytes, Weigher: func(_ name, f *file) uint32 { return f.weight.Load() },
	})
	if err != nil {
		return nil, fmt.Errorf("making the cache of the feed: %w", err)
	}
	return s, nil
}

// offered refuses where there is no feed.
func (s *Service) offered() error {
	if s.o.Address == "" {
		return fault.New(fault.NotFound, fault.CodeFeedNotOffered)
	}
	return nil
}

// name says which file of slots is meant.
type name struct{ campaign, region, week string }

// file is a file of slots, over all its editions.
type file struct {
	edition atomic.Pointer[edition]
	making  sync.Mutex
	weight  atomic.Uint32
}

// edition is a file as it was at an instant.
type edition struct {
	document *document.Document
	campaign *campaign.Campaign
	sites    *campaign.Sites
	// from and until bound the shown time in which it is shown.
	from, until time.Time
}

func (e *edition) shows(c *campaign.Campaign, sites *campaign.Sites, now time.Time) bool {
	return e.campaign == c && e.sites == sites && !now.Before(e.from) && now.Before(e.until)
}

// Slots is the file of the slots of a region in a week, such as 2021-W30. It refuses with feed_not_offered, region_not_found,
// invalid_request for a week that doesn't exist, or store_unavailable as long as the slots haven't been read yet.
func (s *Service) Slots(c *campaign.Campaign, region, week string) (*document.Document, error) {
	if err := s.offered(); err != nil {
		return nil, err
	}
	if !c.HasRegion(region) {
		return nil, fault.New(fault.NotFound, fault.CodeRegionNotFound)
	}
	monday, ok := mondayOf(week)
	if !ok {
		return nil, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("week", "must be a week that exists, as 2021-W30")
	}
	if !booked(c, monday) {
		// Outside of every wave's days there is nothing to keep: a stranger who asks for every week of the calendar fills nothing.
		return document.NewOf(media, nil), nil
	}
	d, err := s.directory(c)
	if err != nil {
		return nil, err
	}
	f, err := s.files.Get(context.Background(), name{c.ID, region, week}, otter.LoaderFunc[name, *file](func(context.Context, name) (*file, error) {
		f := &file{}
		f.weight.Store(least)
		return f, nil
	}))
	if err != nil {
		return nil, fmt.Errorf("finding a file of the feed: %w", err)
	}
	e, err := s.see(f, d, region, week, monday)
	if err != nil {
		return nil, err
	}
	return e.document, nil
}

// least is what a file takes besides its text.
const least = 1 << 10

// see returns the edition to show. Nobody waits for a new one while somebody else makes it, unless the one before is too old.
func (s *Service) see(f *file, d *directory, region, week string, monday civil.Date) (*edition, error) {
	now := s.o.Clock.Now()
	if e := f.edition.Load(); e != nil {
		if e.shows(d.campaign, d.sites, now) {
			return e, nil
		}
		if !f.making.TryLock() {
			if !now.Before(e.from) && now.Before(e.until.Add(Every)) {
				return e, nil
			}
			f.making.Lock()
		}
	} else {
		f.making.Lock()
	}
	defer f.making.Unlock()
	if e := f.edition.Load(); e != nil && e.shows(d.campaign, d.sites, now) {
		return e, nil // somebody else was faster
	}
	s.making.Lock()
	defer s.making.Unlock()
	e, err := s.make(d, region, monday, now)
	if err != nil {
		return nil, err
	}
	f.edition.Store(e)
	// The text, and half as much for its compressed form.
	text := len(e.document.Plain.Body)
	if weight := uint32(min(text+text/2+least, math.MaxUint32)); weight > f.weight.Load() {
		f.weight.Store(weight)
		s.files.Set(name{d.campaign.ID, region, week}, f) // so that it is weighed again
	}
	return e, nil
}

// make writes the slots of a region in the week that begins on a Monday, as they are at an instant of shown time.
func (s *Service) make(d *directory, region string, monday civil.Date, now time.Time) (*edition, error) {
	c := d.campaign
	shown, err := s.o.Slots.Showing(c, region, civil.Midnight(monday, c.Location), civil.Midnight(civil.AddDays(monday, 7), c.Location))
	if err != nil {
		return nil, err
	}
	e := &edition{campaign: c, sites: d.sites, from: now, until: now.Add(Every)}
	days := daysOpen(c, e, now)
	body := make([]byte, 0, len(shown)*slotBytes)
	var links map[string]string
	if s.page != "" {
		links = map[string]string{}
	}
	for _, x := range shown {
		site, there := d.ids[x.Site]
		if !there || !e.isPublic(x.Place, now) {
			continue
		}
		free := x.Remaining > 0 && e.before(now, c.BookUntil(x.StartsAt)) && days.has(civil.Of(x.StartsAt, c.Location))
		body = appendSlot(body, slotLine{
			id: slot.FormatID(x.ID), schedule: site, free: free, capacity: x.Remaining,
			start: x.StartsAt.In(c.Location), end: x.EndsAt.In(c.Location), link: s.link(links, c.ID, region, x.Place),
		})
	}
	e.document = document.NewOf(media, body)
	return e, nil
}

// before tells whether an instant is still to come, and bounds the edition by it.
func (e *edition) before(now, at time.Time) bool {
	if !now.Before(at) {
		return false
	}
	if at.Before(e.until) {
		e.until = at
	}
	return true
}

// isPublic tells whether a slot is for everybody by now.
func (e *edition) isPublic(p slot.Place, now time.Time) bool {
	return p.Cohort == "" || !p.SharedAt.IsZero() && !e.before(now, p.SharedAt)
}

// ranges are days that somebody may book.
type ranges []campaign.DayRange

func (r ranges) has(day civil.Date) bool {
	for _, x := range r {
		if !day.Before(x.From) && !day.After(x.To) {
			return true
		}
	}
	return false
}

// daysOpen are the days that some wave which is open now may book.
func daysOpen(c *campaign.Campaign, e *edition, now time.Time) (open ranges) {
	for i, o := range c.Openings {
		if !e.before(now, o.OpensAt) && e.before(now, o.ClosesAt) {
			open = append(open, c.Waves[i].Slots)
		}
	}
	return open
}

// manifest is a manifest as it was at an instant.
type manifest struct {
	at       time.Time
	document *document.Document
}

// Manifest names the files of every campaign that isn't closed. It refuses with feed_not_offered, or with store_unavailable as
// long as what is published hasn't been read yet.
func (s *Service) Manifest() (*document.Document, error) {
	if err := s.offered(); err != nil {
		return nil, err
	}
	now := s.o.Clock.Now()
	at := now.UTC().Truncate(Every) // the same on every instance
	if m := s.manifest.Load(); m != nil && m.at.Equal(at) {
		return m.document, nil
	}
	campaigns, err := s.o.Campaigns.List()
	if err != nil {
		return nil, err
	}
	type extension struct {
		State []string `json:"state"`
	}
	type output struct {
		Type      Type      `json:"type"`
		URL       string    `json:"url"`
		Extension extension `json:"extension"`
	}
	said := struct {
		At      string   `json:"transactionTime"`
		Request string   `json:"request"`
		Output  []output `json:"output"`
		Error   []string `json:"error"`
	}{at.Format(time.RFC3339), s.o.Address + s.o.Manifest, []output{}, []string{}}
	for _, c := range campaigns {
		if c.StateAt(now) == campaign.Closed {
			continue
		}
		d, err := s.directory(c)
		if err != nil {
			return nil, err
		}
		for _, o := range d.outputs(now) {
			said.Output = append(said.Output, output{o.Type, s.o.Address + s.o.Path(o), extension{o.States}})
		}
	}
	body, err := json.Marshal(said)
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest: %w", err)
	}
	m := &manifest{at: at, document: document.New(body)}
	s.manifest.Store(m)
	return m.document, nil
}
