package pulse

import (
	"context"
	"slices"
	"sync"
	"time"

	"jari/internal/fault"
)

// hour has the sketches of what happens in one hour of shown time. The zero value is before the first.
type hour struct {
	at        time.Time
	campaigns grown[string, cells]
}

// funnel writes what a meter counted, a little later, and reads what all have.
type funnel struct {
	mu sync.Mutex
	// written is how far the counts of this instance are in Postgres.
	written map[string][]counts
	// closing are hours that are over and not written yet.
	closing []*hour
	// owed are counts of hours that are over and not written yet.
	owed map[place]counts
}

// counts are those of one step.
type counts struct{ requests, done int64 }

func (c counts) minus(o counts) counts { return counts{c.requests - o.requests, c.done - o.done} }
func (c counts) plus(o counts) counts  { return counts{c.requests + o.requests, c.done + o.done} }

// place is a row of the funnel.
type place struct {
	campaign string
	hour     time.Time
	step     Step
}

// entry is what is added to a row, or what one has.
type entry struct {
	place
	counts
	tried, persons, phones, blocks counted
	// raised are the sketches that are part of this entry, to be marked again if it can't be written.
	raised []*sketch
}

const (
	// flushEvery is how often what was counted is written.
	flushEvery = 5 * time.Second
	// mostClosing is how many hours may wait to be written while Postgres is away.
	mostClosing = 24
	// LongestFunnel is the longest time that a funnel is read of.
	LongestFunnel = 7 * 24 * time.Hour
)

// turn begins a new hour where one has begun.
func (s *Service) turn() {
	now := s.Clock.Now().UTC().Truncate(time.Hour)
	current := s.Meter.hour.Load()
	if current.at.Equal(now) {
		return
	}
	s.funnel.mu.Lock()
	defer s.funnel.mu.Unlock()
	s.owe(current.at)
	s.Meter.hour.Store(&hour{at: now})
	if current.at.IsZero() {
		return
	}
	// Who found the old hour a moment ago may still add to it: it is written after the next look.
	s.funnel.closing = append(s.funnel.closing, current)
	if n := len(s.funnel.closing); n > mostClosing {
		s.funnel.closing = slices.Delete(s.funnel.closing, 0, n-mostClosing)
	}
}

// owe moves what was counted since the last look to the hour in which it was. The funnel is locked.
func (s *Service) owe(at time.Time) {
	if at.IsZero() {
		at = s.Clock.Now().UTC().Truncate(time.Hour)
	}
	for campaign, of := range s.Meter.campaigns.all() {
		before := s.funnel.written[campaign]
		if before == nil {
			before = make([]counts, len(Steps))
			s.funnel.written[campaign] = before
		}
		for i, step := range Steps {
			now := of.tallies[i].counts()
			if more := now.minus(before[i]); more != (counts{}) {
				p := place{campaign, at, step}
				s.funnel.owed[p] = s.funnel.owed[p].plus(more)
				before[i] = now
			}
		}
	}
}

// unwritten is what this instance has that Postgres hasn't, in the order in which rows are locked. Sketches are no longer
// marked as raised where take says so. The funnel is locked.
func (s *Service) unwritten(take bool) (entries []entry) {
	s.owe(s.Meter.hour.Load().at)
	found := map[place]*entry{}
	at := func(p place) *entry {
		if found[p] == nil {
			found[p] = &entry{place: p}
		}
		return found[p]
	}
	for p, c := range s.funnel.owed {
		at(p).counts = c
	}
	for _, h := range append(slices.Clone(s.funnel.closing), s.Meter.hour.Load()) {
		if h.at.IsZero() {
			continue
		}
		for campaign, of := range h.campaigns.all() {
			for i, step := range Steps {
				c := of[i].Load()
				if c == nil {
					continue
				}
				e := at(place{campaign, h.at, step})
				for _, k := range []struct {
					of   *sketch
					into *counted
				}{{&c.tried, &e.tried}, {&c.persons, &e.persons}, {&c.phones, &e.phones}, {&c.blocks, &e.blocks}} {
					if !k.of.raised.Load() {
						continue
					}
					if take {
						k.of.raised.Store(false) // before it is read, so that nothing is missed
						e.raised = append(e.raised, k.of)
					}
					*k.into = k.into.with(k.of.rest())
				}
			}
		}
	}
	for _, e := range found {
		if e.counts != (counts{}) || e.tried != nil || e.persons != nil || e.phones != nil || e.blocks != nil {
			entries = append(entries, *e)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.compare(b.place) })
	return entries
}

// flush writes what was counted. Adding the same sketch twice changes nothing; counts whose commit's answer was lost are
// taken as written, so they may be some seconds too low and never too high.
func (s *Service) flush(ctx context.Context) error {
	s.funnel.mu.Lock()
	defer s.funnel.mu.Unlock()
	closing := len(s.funnel.closing)
	entries := s.unwritten(true)
	if len(entries) == 0 {
		s.funnel.closing = s.funnel.closing[closing:]
		return nil
	}
	owed := s.funnel.owed
	s.funnel.owed = map[place]counts{}
	err := write(ctx, s.Pool, entries)
	if err == nil {
		s.funnel.closing = slices.Delete(s.funnel.closing, 0, closing)
		return nil
	}
	for _, e := range entries {
		for _, k := range e.raised {
			k.raised.Store(true)
		}
	}
	if fault.CodeOf(err) != fault.CodeOutcomeUnknown {
		s.funnel.owed = owed
	}
	return err
}

// StepCount is how many came to a step. What isn't counted of a step is −1.
type StepCount struct {
	Step           Step
	Requests, Done int64
	// Tried are the different people who asked, Persons those of them for whom it was done.
	Tried, Persons, Phones, Blocks int64
}

// FunnelHour is a funnel of one hour of shown time.
type FunnelHour struct {
	At    time.Time
	Steps []StepCount
}

// Funnel says how many came how far in a time, over all instances: what this one counted to this moment, the others to
// some seconds ago.
type Funnel struct {
	From, To time.Time
	Steps    []StepCount
	Hours    []FunnelHour // only those in which something happened
}

// Funnel is that of a campaign from the hour of one instant to before that of the other.
func (s *Service) Funnel(ctx context.Context, campaign string, from, to time.Time) (Funnel, error) {
	f := Funnel{From: from.UTC().Truncate(time.Hour), To: to.UTC().Add(time.Hour - 1).Truncate(time.Hour)}
	entries, err := read(ctx, s.Pool, campaign, f.From, f.To)
	if err != nil {
		return Funnel{}, err
	}
	s.funnel.mu.Lock()
	for _, e := range s.unwritten(false) {
		if (e.campaign == campaign || e.campaign == "") && !e.hour.Before(f.From) && e.hour.Before(f.To) {
			entries = append(entries, e)
		}
	}
	s.funnel.mu.Unlock()
	total, hours := map[Step]*entry{}, map[time.Time]map[Step]*entry{}
	for _, e := range entries {
		e.hour = e.hour.UTC()
		if hours[e.hour] == nil {
			hours[e.hour] = map[Step]*entry{}
		}
		for _, into := range []map[Step]*entry{total, hours[e.hour]} {
			if into[e.step] == nil {
				into[e.step] = &entry{}
			}
			into[e.step].add(e)
		}
	}
	f.Steps = stepCounts(total)
	for at, steps := range hours {
		f.Hours = append(f.Hours, FunnelHour{At: at, Steps: stepCounts(steps)})
	}
	slices.SortFunc(f.Hours, func(a, b FunnelHour) int { return a.At.Compare(b.At) })
	return f, nil
}

func (e *entry) add(o entry) {
	e.counts = e.plus(o.counts)
	e.tried, e.persons = e.tried.with(o.tried), e.persons.with(o.persons)
	e.phones, e.blocks = e.phones.with(o.phones), e.blocks.with(o.blocks)
}

// stepCounts has a line for each step, also where nobody came.
func stepCounts(of map[Step]*entry) (all []StepCount) {
	for _, step := range Steps {
		e := of[step]
		if e == nil {
			e = &entry{}
		}
		c := StepCount{Step: step, Requests: e.requests, Done: e.done, Tried: -1, Persons: -1, Phones: -1, Blocks: -1}
		switch step {
		case Asked:
			c.Blocks = e.blocks.estimate()
		case Began:
			c.Phones, c.Blocks = e.phones.estimate(), e.blocks.estimate()
		case Verified:
			c.Persons, c.Blocks = e.persons.estimate(), e.blocks.estimate()
		case Queued, Admitted, Held, Booked, Cancelled:
			c.Tried, c.Persons = e.tried.estimate(), e.persons.estimate()
		}
		all = append(all, c)
	}
	return all
}
