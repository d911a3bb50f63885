package slot

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Directory says where and when the published slots of a campaign are, in 28 bytes a slot, so that an id that isn't one
// is refused without asking a store. It is replaced whole and never changed.
type Directory struct {
	revision int64
	sites    []string         // by number
	numbers  map[string]int32 // the numbers of sites
	records  []record         // by slot id
	// order are the positions in records by site and start; those of site n begin at from[n] and end at from[n+1].
	order []int32
	from  []int32
	// audiences are for whom slots are kept, by number; 0 is everybody. There are a few: a wave, and until when.
	audiences []audience
	known     map[audience]int16
}

// audience is whom slots are kept for, until an instant in seconds since 1970; 0 for good.
type audience struct {
	cohort string
	until  int64
}

type record struct {
	id      int64
	start   int64 // seconds since 1970
	minutes int16
	// audience is the number of those it is kept for.
	audience int16
	site     int32
}

// newDirectory makes a directory that places are added to, by id, until finish is called.
func newDirectory(revision int64) *Directory {
	return &Directory{
		revision: revision, numbers: map[string]int32{}, audiences: []audience{{}}, known: map[audience]int16{{}: 0},
	}
}

func (d *Directory) add(p Place) {
	number, known := d.numbers[p.Site]
	if !known {
		number = int32(len(d.sites)) //nolint:gosec // fewer sites than slots, fewer slots than 2^31
		d.numbers[p.Site] = number
		d.sites = append(d.sites, p.Site)
	}
	d.records = append(d.records, record{
		id: p.ID, start: p.StartsAt.Unix(), site: number, audience: d.audienceOf(p),
		minutes: int16(p.EndsAt.Sub(p.StartsAt) / time.Minute), //nolint:gosec // at most a day
	})
}

// mostAudiences leaves room for every wave's own: there are far fewer waves than that.
const mostAudiences = math.MaxInt16 / 2

func (d *Directory) audienceOf(p Place) int16 {
	a := audience{cohort: p.Cohort}
	if a.cohort != "" && !p.SharedAt.IsZero() {
		a.until = p.SharedAt.Unix()
	}
	n, known := d.known[a]
	if !known {
		// Beyond so many instants a slot stays with its wave: nobody gets in who isn't meant.
		if a.until != 0 && len(d.audiences) > mostAudiences {
			return d.audienceOf(Place{Cohort: p.Cohort})
		}
		n = int16(len(d.audiences)) //nolint:gosec // mostAudiences, and a few waves
		d.known[a] = n
		d.audiences = append(d.audiences, a)
	}
	return n
}

// finish puts the slots of each site in order.
func (d *Directory) finish() {
	d.records = slices.Clip(d.records)
	d.from = make([]int32, len(d.sites)+1)
	for _, r := range d.records {
		d.from[r.site+1]++
	}
	for n := range d.sites {
		d.from[n+1] += d.from[n]
	}
	d.order = make([]int32, len(d.records))
	next := slices.Clone(d.from)
	for i, r := range d.records {
		d.order[next[r.site]] = int32(i)
		next[r.site]++
	}
	for n := range d.sites {
		slices.SortFunc(d.order[d.from[n]:d.from[n+1]], func(a, b int32) int {
			return cmp.Compare(d.records[a].start, d.records[b].start)
		})
	}
}

// position is that of a slot in records.
func (d *Directory) position(id int64) (int, bool) {
	return slices.BinarySearchFunc(d.records, id, func(r record, id int64) int { return cmp.Compare(r.id, id) })
}

// Get returns the place of a slot.
func (d *Directory) Get(id int64) (Place, bool) {
	i, ok := d.position(id)
	if !ok {
		return Place{}, false
	}
	return d.place(i), true
}

// at are the positions of the slots of a site, by start.
func (d *Directory) at(site string) []int32 {
	n, ok := d.numbers[site]
	if !ok {
		return nil
	}
	return d.order[d.from[n]:d.from[n+1]]
}

// between picks the positions of slots that start from one instant on and before another, out of those of a site.
func (d *Directory) between(positions []int32, from, to time.Time) []int32 {
	byStart := func(p int32, at int64) int { return cmp.Compare(d.records[p].start, at) }
	first, _ := slices.BinarySearchFunc(positions, from.Unix(), byStart)
	last, _ := slices.BinarySearchFunc(positions, to.Unix(), byStart)
	return positions[first:last]
}

// Len is how many slots the directory has.
func (d *Directory) Len() int { return len(d.records) }

func (d *Directory) place(i int) Place {
	r := d.records[i]
	start := time.Unix(r.start, 0)
	p := Place{ID: r.id, Site: d.sites[r.site], StartsAt: start, EndsAt: start.Add(time.Duration(r.minutes) * time.Minute)}
	if a := d.audiences[r.audience]; a.cohort != "" {
		p.Cohort = a.cohort
		if a.until != 0 {
			p.SharedAt = time.Unix(a.until, 0)
		}
	}
	return p
}
