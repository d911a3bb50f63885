package slot

import (
	"cmp"
	"slices"
	"time"
)

// Directory says where and when the published slots of a campaign are, in 24 bytes a slot, so that an id that isn't one
// is refused without asking a store. It is replaced whole and never changed.
type Directory struct {
	revision int64
	sites    []string // by number
	records  []record // by slot id
	// bySite are the positions in records of each site's slots, by start.
	bySite map[string][]int32
}

type record struct {
	id      int64
	start   int64 // seconds since 1970
	minutes int32
	site    int32
}

// newDirectory makes a directory of places, which come by id.
func newDirectory(revision int64, places []Place) *Directory {
	d := &Directory{revision: revision, records: make([]record, len(places)), bySite: map[string][]int32{}}
	numbers := map[string]int32{}
	for i, p := range places {
		number, known := numbers[p.Site]
		if !known {
			number = int32(len(d.sites)) //nolint:gosec // fewer sites than slots, fewer slots than 2^31
			numbers[p.Site] = number
			d.sites = append(d.sites, p.Site)
		}
		d.records[i] = record{
			id: p.ID, start: p.StartsAt.Unix(), site: number,
			minutes: int32(p.EndsAt.Sub(p.StartsAt) / time.Minute), //nolint:gosec // at most a day
		}
		d.bySite[p.Site] = append(d.bySite[p.Site], int32(i))
	}
	for _, positions := range d.bySite {
		slices.SortFunc(positions, func(a, b int32) int { return cmp.Compare(d.records[a].start, d.records[b].start) })
	}
	return d
}

// Get returns the place of a slot.
func (d *Directory) Get(id int64) (Place, bool) {
	i, ok := slices.BinarySearchFunc(d.records, id, func(r record, id int64) int { return cmp.Compare(r.id, id) })
	if !ok {
		return Place{}, false
	}
	return d.place(i), true
}

// At returns the places of a site, by start.
func (d *Directory) At(site string) []Place {
	positions := d.bySite[site]
	places := make([]Place, len(positions))
	for i, p := range positions {
		places[i] = d.place(int(p))
	}
	return places
}

// Len is how many slots the directory has.
func (d *Directory) Len() int { return len(d.records) }

func (d *Directory) place(i int) Place {
	r := d.records[i]
	start := time.Unix(r.start, 0)
	return Place{ID: r.id, Site: d.sites[r.site], StartsAt: start, EndsAt: start.Add(time.Duration(r.minutes) * time.Minute)}
}
