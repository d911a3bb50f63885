package pulse

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dchest/siphash"
	"github.com/google/uuid"

	"jari/internal/fault"
)

// Step is how far somebody came.
type Step string

// The steps, in their order. Verifying is the same for all campaigns of a deployment, so it belongs to none of them.
const (
	Asked     Step = "asked"     // whether a birth date may book
	Began     Step = "began"     // to verify: a code was asked for, or a way to the provider
	Verified  Step = "verified"  // a session was given
	Queued    Step = "queued"    // a place in a line was asked for
	Admitted  Step = "admitted"  // let in
	Held      Step = "held"      // a place was held
	Booked    Step = "booked"    // and is durable
	Cancelled Step = "cancelled" // and given back
)

// Steps are all of them.
var Steps = []Step{Asked, Began, Verified, Queued, Admitted, Held, Booked, Cancelled}

// Shared tells whether the step belongs to no campaign.
func (s Step) Shared() bool { return s == Began || s == Verified }

var stepNumbers = func() map[Step]int {
	numbers := map[Step]int{}
	for i, s := range Steps {
		numbers[s] = i
	}
	return numbers
}()

// Who asked, as far as it is known; none of it is kept.
type Who struct {
	Person uuid.UUID
	Phone  string
	Block  string // of addresses
}

// tally counts since the instance started.
type tally struct{ requests, done atomic.Int64 }

// counts are those of now. What was done is read first, so that it isn't more than what was asked for.
func (t *tally) counts() (c counts) {
	c.done = t.done.Load()
	c.requests = t.requests.Load()
	return c
}

// cell has the sketches of one step of a campaign in one hour.
type cell struct{ tried, persons, phones, blocks sketch }

// ofCampaign has the counts of a campaign.
type ofCampaign struct{ tallies []tally }

// cells are the sketches of a campaign in one hour, made when they are first needed.
type cells []atomic.Pointer[cell]

func (c cells) at(step int) *cell {
	if had := c[step].Load(); had != nil {
		return had
	}
	c[step].CompareAndSwap(nil, new(cell))
	return c[step].Load()
}

// grown is a map that is read by every request and grows rarely: it is replaced whole and never changed.
type grown[K comparable, V any] struct {
	adding sync.Mutex
	known  atomic.Pointer[map[K]V]
}

func (g *grown[K, V]) all() map[K]V {
	if m := g.known.Load(); m != nil {
		return *m
	}
	return nil
}

// most bounds what a map may grow to: names come from what is published and from the table of codes.
const most = 10_000

func (g *grown[K, V]) get(key K, begin func() V) (v V, ok bool) {
	if v, ok := g.all()[key]; ok {
		return v, true
	}
	g.adding.Lock()
	defer g.adding.Unlock()
	if v, ok := g.all()[key]; ok {
		return v, true
	}
	if len(g.all()) >= most {
		return v, false
	}
	next := maps.Clone(g.all())
	if next == nil {
		next = map[K]V{}
	}
	v = begin()
	next[key] = v
	g.known.Store(&next)
	return v, true
}

// Meter counts on one instance. Its zero value isn't ready; see NewMeter.
type Meter struct {
	key0, key1 uint64
	campaigns  grown[string, *ofCampaign]
	refusals   grown[fault.Code, *atomic.Int64]
	rooms      grown[string, *atomic.Int64]
	messages   grown[string, *atomic.Int64]
	hour       atomic.Pointer[hour]
}

// NewMeter returns a meter whose hashes are keyed, the same on all instances.
func NewMeter(key [16]byte) *Meter {
	m := &Meter{key0: le64(key[:8]), key1: le64(key[8:])}
	m.hour.Store(&hour{})
	return m
}

func le64(b []byte) (n uint64) {
	for i := range 8 {
		n |= uint64(b[i]) << (8 * i)
	}
	return n
}

// Count notes that somebody asked for a step of a campaign, and whether it was done for them.
func (m *Meter) Count(campaign string, step Step, who Who, done bool) {
	i, ok := stepNumbers[step]
	if !ok {
		return
	}
	if step.Shared() {
		campaign = ""
	}
	of, ok := m.campaigns.get(campaign, func() *ofCampaign { return &ofCampaign{make([]tally, len(Steps))} })
	if !ok {
		return
	}
	of.tallies[i].requests.Add(1)
	if done {
		of.tallies[i].done.Add(1)
	}
	if who == (Who{}) {
		return
	}
	in, ok := m.hour.Load().campaigns.get(campaign, func() cells { return make(cells, len(Steps)) })
	if !ok {
		return
	}
	c := in.at(i)
	if who.Person != uuid.Nil {
		h := siphash.Hash(m.key0, m.key1, who.Person[:])
		c.tried.add(h)
		if done {
			c.persons.add(h)
		}
	}
	if who.Phone != "" {
		c.phones.add(siphash.Hash(m.key0, m.key1, []byte(who.Phone)))
	}
	if who.Block != "" {
		c.blocks.add(siphash.Hash(m.key0, m.key1, []byte(who.Block)))
	}
}

func zero() *atomic.Int64 { return new(atomic.Int64) }

// Refused notes a refusal.
func (m *Meter) Refused(code fault.Code) {
	if n, ok := m.refusals.get(code, zero); ok {
		n.Add(1)
	}
}

// Came notes that somebody came into a room.
func (m *Meter) Came(room string) {
	if n, ok := m.rooms.get(room, zero); ok {
		n.Add(1)
	}
}

// Message notes what became of a message.
func (m *Meter) Message(state string) {
	if n, ok := m.messages.get(state, zero); ok {
		n.Add(1)
	}
}

// Totals are told what was counted since the instance started.
type Totals struct {
	Step          func(campaign string, step Step, requests, done int64)
	Refusal       func(code string, n int64)
	Came, Message func(name string, n int64)
}

// Totals tells what was counted since the instance started; every step of a campaign that anybody came to.
func (m *Meter) Totals(t Totals) {
	now := m.look(time.Time{})
	for campaign, steps := range now.steps {
		for i, step := range Steps {
			if step.Shared() == (campaign == "") {
				t.Step(campaign, step, steps[i].requests, steps[i].done)
			}
		}
	}
	for _, k := range []struct {
		of   map[string]int64
		tell func(string, int64)
	}{{now.refusals, t.Refusal}, {now.rooms, t.Came}, {now.messages, t.Message}} {
		for name, n := range k.of {
			k.tell(name, n)
		}
	}
}
