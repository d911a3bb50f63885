package slot

import (
	"time"

	"jari/internal/campaign"
	"jari/internal/fault"
)

// Tally is how a number of slots stand.
type Tally struct {
	Places int // of slots that are open
	Booked int
	Held   int // live holds, as Redis said last
	Free   int // could be held at this moment, booking's cut-off apart
}

// tallied is how many slots are counted between two looks at the lock.
const tallied = 8192

// Tallies counts the slots of a campaign that start in a stretch of time, by what key says of them, from memory: no store
// is asked, and what is counted is at most two seconds old. It also returns the ids of those slots in which anybody is
// booked. It refuses with store_unavailable while the slots haven't been read yet.
func (s *Service) Tallies(c *campaign.Campaign, from, before time.Time, key func(Place) string) (map[string]Tally, []int64, error) {
	sh, b := s.shown(c.ID)
	if b == nil {
		return nil, nil, fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(time.Second)
	}
	all, booked := map[string]Tally{}, []int64{}
	first, last := from.Unix(), before.Unix()
	chunk := make([]row, 0, tallied)
	for at := 0; at < len(b.rows); at += tallied {
		end := min(at+tallied, len(b.rows))
		sh.mu.RLock()
		chunk = append(chunk[:0], b.rows[at:end]...)
		sh.mu.RUnlock()
		for i, r := range chunk {
			if start := b.directory.records[at+i].start; start < first || start >= last {
				continue
			}
			place := b.directory.place(at + i)
			t := all[key(place)]
			if r.open {
				t.Places += int(r.capacity)
			}
			t.Booked, t.Held, t.Free = t.Booked+int(r.booked), t.Held+int(r.held), t.Free+r.remaining()
			all[key(place)] = t
			if r.booked > 0 {
				booked = append(booked, place.ID)
			}
		}
	}
	return all, booked, nil
}
