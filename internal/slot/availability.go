package slot

import (
	"sync"
	"sync/atomic"
	"time"

	"jari/internal/campaign"
	"jari/internal/civil"
)

// row is what memory knows of a slot, in 24 bytes. With the directory's 28 a slot takes 52 bytes, and those with live
// holds some 60 more (shelf.due): 260 MB for the 5,000,000 slots that one publication may have, before documents.
type row struct {
	version  int64
	capacity int32
	booked   int32
	held     int32 // live holds, as Redis said last
	open     bool
}

// remaining is capacity − booked − live holds.
func (r row) remaining() int {
	if !r.open {
		return 0
	}
	return max(0, int(r.capacity)-int(r.booked)-int(r.held))
}

// dayCounters is how many counters of changes the days of all regions of a campaign share, in 32 KB. Two that share one
// are looked at for each other's changes, and found to be as they were.
const dayCounters = 1 << 12

// board is what memory knows of a campaign in one version, at one revision of its slots.
type board struct {
	campaign  *campaign.Campaign
	sites     *campaign.Sites
	directory *Directory
	rows      []row // by the directory's positions; guarded by the shelf
	// regions are the numbers of the sites of each region that have slots, by site id; region is the same by number.
	regions map[string][]int32
	region  []int32
	// siteChanges, by number of the site, and dayChanges count how often what remains there changed.
	siteChanges []atomic.Uint64
	dayChanges  []atomic.Uint64
}

func newBoard(c *campaign.Campaign, sites *campaign.Sites, d *Directory, rows []row) *board {
	b := &board{
		campaign: c, sites: sites, directory: d, rows: rows, regions: map[string][]int32{},
		region: make([]int32, len(d.sites)), siteChanges: make([]atomic.Uint64, len(d.sites)),
		dayChanges: make([]atomic.Uint64, dayCounters),
	}
	numbers := map[string]int32{}
	for _, site := range sites.All() {
		n, ok := d.numbers[site.ID]
		if !ok {
			continue
		}
		if _, known := numbers[site.Region]; !known {
			numbers[site.Region] = int32(len(numbers)) //nolint:gosec // at most as many as sites
		}
		b.regions[site.Region] = append(b.regions[site.Region], n)
		b.region[n] = numbers[site.Region]
	}
	return b
}

// in is the same board in another version of the campaign.
func (b *board) in(c *campaign.Campaign) *board {
	next := *b
	next.campaign = c
	return &next
}

// siteCounter counts the changes at a site; nil if it has no slots.
func (b *board) siteCounter(site string) *atomic.Uint64 {
	n, ok := b.directory.numbers[site]
	if !ok {
		return nil
	}
	return &b.siteChanges[n]
}

// dayCounter counts the changes on a day at the sites of a region; nil if none of them has slots.
func (b *board) dayCounter(region string, day civil.Date) *atomic.Uint64 {
	sites := b.regions[region]
	if len(sites) == 0 {
		return nil
	}
	return b.dayCounterOf(sites[0], day)
}

func (b *board) dayCounterOf(site int32, day civil.Date) *atomic.Uint64 {
	return &b.dayChanges[uint32(b.region[site]*397+civil.DayNumber(day))%dayCounters] //nolint:gosec // wraps, as hashes do
}

// set replaces a row, and counts that where it shows.
func (b *board) set(i int, r row) {
	before := b.rows[i].remaining()
	b.rows[i] = r
	if r.remaining() == before {
		return
	}
	at := b.directory.records[i]
	b.siteChanges[at.site].Add(1)
	b.dayCounterOf(at.site, civil.Of(time.Unix(at.start, 0), b.campaign.Location)).Add(1)
}

// shelf keeps what memory knows of a campaign, over all its versions and revisions.
type shelf struct {
	id    string
	board atomic.Pointer[board] // nil until it was read from Postgres once

	// mu guards what follows, and the rows of the board. Nobody waits for a store while holding it.
	mu sync.RWMutex
	// generation is the store generation that the rows are of; other is the last one that differed, in some copy.
	generation, other string
	// due are the slots with live holds, with the instant (real time) at which the first of them is forgotten: that changes
	// what remains, and nobody tells.
	due map[int64]time.Time

	stream stream
	survey survey
}

func newShelf(id string) *shelf { return &shelf{id: id, due: map[int64]time.Time{}} }

// replace puts a board that was read from Postgres in the place of the one before it, and keeps what the old one knew
// better: live holds, and what was pushed while the new one was being read.
func (sh *shelf) replace(next *board, generation string) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if old := sh.board.Load(); old != nil {
		records := next.directory.records
		i := 0
		for j, r := range old.rows {
			id := old.directory.records[j].id
			for i < len(records) && records[i].id < id {
				i++
			}
			if i == len(records) {
				break
			}
			if records[i].id != id {
				continue
			}
			if generation == sh.generation && r.version > next.rows[i].version {
				next.rows[i] = r
			}
			next.rows[i].held = r.held
		}
	}
	sh.generation = generation
	sh.board.Store(next)
}

// learn takes copies that this instance's own flushes made, with the holds that they decided, so that documents follow
// without Redis too.
func (sh *shelf) learn(copies []Copy, decided map[int64][]Decided, pushed bool, now time.Time) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b := sh.board.Load()
	if b == nil {
		return
	}
	for _, c := range copies {
		i, ok := b.directory.position(c.Slot)
		if !ok {
			continue
		}
		r := b.rows[i]
		sh.take(&r, c)
		if n := len(decided[c.Slot]); n > 0 && r.held > 0 {
			r.held = max(0, r.held-int32(n)) //nolint:gosec // at most as many as a flush has
			if pushed {
				// The count may have been read after they were dropped, and be one too low now: Redis is asked next.
				sh.due[c.Slot] = now
			}
		}
		b.set(i, r)
	}
}

// take takes a copy that is newer. One of another generation is either left from before the database was restored, or the
// first to tell that it was: all rows are read again then, once.
func (sh *shelf) take(r *row, c Copy) {
	switch {
	case c.Generation != sh.generation:
		if c.Generation != sh.other {
			sh.other = c.Generation
			sh.survey.wanted.Store(true)
		}
	case c.Version > r.version:
		r.version, r.open = c.Version, c.State == Open
		r.capacity, r.booked = int32(c.Capacity), int32(c.Booked) //nolint:gosec // at most 100,000, as the table says
	}
}

// seen is what Redis said of a slot.
type seen struct {
	Copy         // without a generation where Redis has none
	held   int   // live holds
	forget int64 // when the first of them is forgotten, in ms of Redis' time
}

// heed takes what Redis said at an instant, in ms of its time, that was about now.
func (sh *shelf) heed(all []seen, at int64, now time.Time) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b := sh.board.Load()
	if b == nil {
		return
	}
	for _, x := range all {
		i, ok := b.directory.position(x.Slot)
		if !ok {
			continue // published a moment ago: the next revision brings it
		}
		r := b.rows[i]
		if x.Generation != "" {
			sh.take(&r, x.Copy)
		}
		r.held = int32(x.held) //nolint:gosec // at most the capacity
		if x.held > 0 {
			sh.due[x.Slot] = now.Add(time.Duration(x.forget-at) * time.Millisecond)
		} else {
			delete(sh.due, x.Slot)
		}
		b.set(i, r)
	}
}

// overdue are the slots whose holds have changed by now; all that have holds, where everything is in doubt.
func (sh *shelf) overdue(now time.Time, all bool) (slots []int64) {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for slot, at := range sh.due {
		if all || !now.Before(at) {
			slots = append(slots, slot)
		}
	}
	return slots
}

// forget counts no holds any more where the first of them has ended and Redis can't be asked about the others: what isn't
// booked is shown then. They stay due, so that Redis is asked as soon as it can be.
func (sh *shelf) forget(now time.Time) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b := sh.board.Load()
	if b == nil {
		return
	}
	for slot, at := range sh.due {
		if now.Before(at) {
			continue
		}
		if i, ok := b.directory.position(slot); ok && b.rows[i].held > 0 {
			r := b.rows[i]
			r.held = 0
			b.set(i, r)
		}
	}
}

// renew takes rows that were just read from Postgres, those of the positions from first on. It tells if they are of
// another generation than what was known: then none of it counts any more, whatever its version.
func (sh *shelf) renew(d *Directory, first int, rows []Copy, generation string) (restored bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b := sh.board.Load()
	if b == nil || b.directory != d {
		return false // read for a revision that was replaced meanwhile
	}
	if generation != sh.generation {
		restored = true
		sh.generation = generation
		for i := range b.rows {
			b.rows[i].version = 0
		}
	}
	i := first
	for _, c := range rows {
		for i < len(d.records) && d.records[i].id < c.Slot {
			i++
		}
		if i == len(d.records) {
			break
		}
		if d.records[i].id == c.Slot {
			r := b.rows[i]
			c.Generation = generation
			sh.take(&r, c)
			b.set(i, r)
		}
	}
	return restored
}
