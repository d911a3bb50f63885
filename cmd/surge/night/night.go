// Package night simulates an opening in virtual time: everybody entitled comes with several devices, reloads, waits for an
// SMS, is drawn, called, and comes or doesn't. Draw, controller and history are the product's own; people, the SMS gateway
// and the store behind the room are modelled. No clock, no network, and the same seed gives the same night.
package night

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"jari/internal/waitingroom"
)

// Options describe a night.
type Options struct {
	Persons int     `json:"persons"` // who are entitled, and all of whom come
	Seed    uint64  `json:"seed"`
	Target  float64 `json:"target"`     // people a second who are to come in
	Most    int     `json:"max_active"` // people inside at once
	NoShow  float64 `json:"no_show"`    // share of called people who don't come; a third of them comes later
	SMS     float64 `json:"sms"`        // messages a second that the gateway takes
	// Capacity is what the store commits a second. From SlowFrom on, for SlowFor, it is SlowFactor times slower.
	Capacity   float64       `json:"capacity"`
	SlowFrom   time.Duration `json:"slow_from_ns"`
	SlowFor    time.Duration `json:"slow_for_ns"`
	SlowFactor float64       `json:"slow_factor"`
	Bug        Bug           `json:"bug,omitempty"`
}

// Bug is a mistake that the simulated server can be made to make, to see that the checks catch it.
type Bug string

// The bugs.
const (
	NoBug       Bug = ""
	ByDevice    Bug = "by-device"     // a place belongs to a device
	BadOrder    Bug = "arrival-order" // who registers first is first
	ReloadLoses Bug = "reload-loses"  // a reload throws back to the end
	BlocksTwice Bug = "blocks-twice"  // a block of numbers is handed out again
)

// Standard is the night for so many persons; rates follow their number.
func Standard(persons int, seed uint64) Options {
	share := float64(persons) / 1_500_000
	return Options{
		Persons: persons, Seed: seed, Target: 300 * share, Most: max(100, int(45_000*share)), NoShow: .3, SMS: 250 * share,
		Capacity: 400 * share, SlowFrom: 20 * time.Minute, SlowFor: 5 * time.Minute, SlowFactor: 3,
	}
}

// Check says what can't be simulated.
func (o Options) Check() error {
	switch {
	case o.Persons < 1000 || o.Persons > mostPersons:
		return fmt.Errorf("there must be 1000 to %d persons", mostPersons)
	case o.Target <= 0 || o.SMS <= 0 || o.Capacity <= 0 || o.Most < 1 || o.SlowFactor < 1:
		return errors.New("rates and places must be above 0, and what is slow not faster")
	case o.NoShow < 0 || o.NoShow > .9:
		return errors.New("the share who don't come must be from 0 to 0.9")
	}
	return nil
}

const (
	opensAt      = 3600 // seconds of the night; registration is open before
	lastSecond   = 8 * 3600
	instances    = 4
	blockLength  = 50   // ms of arrivals in a block of numbers
	blockLife    = 1000 // ms
	meanComing   = 12.  // seconds between being called and coming: a poll, and looking up
	meanInside   = 75.
	leastInside  = 15.
	newDevice    = .2 // of those who come, on a device that has to be verified first
	comesLater   = 1. / 3
	commitsTake  = 20 * time.Millisecond
	verifiedLong = .6 // verified days before
)

// person is what the simulation knows of one; the server knows of it what it would.
type person struct {
	devices  uint8
	fate     fate
	verified bool
	queued   bool // for an SMS
	admitted bool
	late     bool   // has a number of the late lane
	asked    uint32 // ms of the first wish
	ticketAt uint32 // ms
	called   uint32 // second; 0 is not yet
}

type fate uint8

const (
	comes fate = iota
	comesOnNewDevice
	comesLate
	never
)

// night is a run.
type night struct {
	Options
	chance     *rand.Rand
	people     []person
	arrivals   []arrival
	line       *line
	controller waitingroom.Controller
	controls   waitingroom.Controls
	in         waitingroom.Inputs
	history    waitingroom.History

	sms, smsCalled queue // who wait for a message; who were called go first
	smsBudget      float64
	coming         [][]uint32 // by second
	leaving        [][]uint32
	lateLine       []uint32 // persons by number of the late lane
	work           float64  // that the store can do this second
	booking        queue

	report Report
	toCome int // people who were called and are still to come, in whichever way
}

// Run simulates a night. It fails only when it can't be simulated; what is wrong with the night is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	n := &night{
		Options: o, chance: rand.New(rand.NewPCG(o.Seed, 0x6a617269)), //nolint:gosec // a simulation that can be repeated
		people: make([]person, o.Persons), coming: make([][]uint32, lastSecond+1), leaving: make([][]uint32, lastSecond+1),
		controls: waitingroom.Controls{Target: o.Target, MaxActive: o.Most, Grace: 5 * time.Minute, LateShare: .1},
	}
	n.report.Options = o
	n.makeCrowd()
	n.line = newLine(o, n.chance)
	next := 0
	for second := range uint32(lastSecond) {
		if second%60 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if second == opensAt {
			if err := n.draw(); err != nil {
				return nil, err
			}
		}
		n.sendMessages(second)
		for ; next < len(n.arrivals) && n.arrivals[next].at() < (second+1)*1000; next++ {
			n.arrive(n.arrivals[next])
		}
		if second >= opensAt {
			n.step(second)
			if next == len(n.arrivals) && n.over() {
				n.report.EndedAt = time.Duration(second-opensAt) * time.Second
				break
			}
		}
	}
	n.conclude()
	return &n.report, nil
}

func (n *night) over() bool {
	return n.sms.len()+n.smsCalled.len()+n.booking.len() == 0 && n.in.Inside == 0 && n.toCome == 0 &&
		n.in.Serving >= n.line.issued() && n.in.LateServing >= uint64(len(n.lateLine))
}

// arrive is a device that opens the page, or loads it again.
func (n *night) arrive(a arrival) {
	id := a.person()
	p := &n.people[id]
	n.report.Arrivals++
	if p.asked == 0 {
		p.asked = a.at()
	}
	switch {
	case !p.verified && p.queued:
		n.report.Repeated++ // one place in the line for messages per phone number
	case !p.verified:
		p.queued = true
		n.sms.push(id)
	default:
		n.claim(id, a.device(), a.at(), a.reload())
	}
}

// claim asks for the person's place.
func (n *night) claim(id uint32, device uint8, at uint32, reload bool) {
	fresh := n.line.ticket(id, device, at, reload)
	if !fresh {
		n.report.Repeated++
		return
	}
	if p := &n.people[id]; p.ticketAt == 0 {
		p.ticketAt = max(at, 1)
	}
	n.report.Tickets++
}

// sendMessages hands this second's messages to the gateway: to those who were called, then in the order of asking.
func (n *night) sendMessages(second uint32) {
	n.smsBudget = min(n.smsBudget+n.SMS, n.SMS+1)
	sent := uint32(0)
	for ; n.smsBudget >= 1 && n.smsCalled.len() > 0; n.smsBudget-- {
		n.report.Messages++
		sent++
		n.comeIn(n.smsCalled.pop(), second, true)
	}
	for ; n.smsBudget >= 1 && n.sms.len() > 0; n.smsBudget-- {
		n.report.Messages++
		id := n.sms.pop()
		n.people[id].verified = true
		n.claim(id, 0, second*1000+min(999, uint32(float64(sent)*1000/n.SMS)), false)
		sent++
	}
	n.report.LongestSMSLine = max(n.report.LongestSMSLine, n.sms.len())
}

// step is one second of an open room: people come and go, the store commits, and the leader calls.
func (n *night) step(second uint32) {
	now := time.Unix(int64(second), 0).UTC()
	n.in.Now = now
	for _, id := range n.coming[second] {
		if n.people[id].fate == comesOnNewDevice {
			n.smsCalled.push(id)
			continue
		}
		n.comeIn(id, second, false)
	}
	n.coming[second] = nil
	for _, id := range n.leaving[second] {
		n.booking.push(id)
	}
	n.leaving[second] = nil
	n.commit(second)

	n.in.Issued, n.in.LateIssued = n.line.issued(), uint64(len(n.lateLine))
	n.history.Turnout(now, n.in.Issued, &n.in)
	serving, late := n.controller.Step(n.controls, n.in)
	if serving < n.in.Serving || late < n.in.LateServing {
		n.report.WentBack++
	}
	n.history = n.history.Note(now, n.in.Serving, serving, 10*time.Minute)
	for position := n.in.Serving; position < min(serving, n.in.Issued); position++ {
		for _, id := range n.line.owners(position) {
			n.call(id, second)
		}
	}
	for number := n.in.LateServing; number < late; number++ {
		n.comeAfter(n.lateLine[number], second, 1+n.chance.ExpFloat64()*3)
	}
	minute := n.report.minute(second)
	minute.Called += int(min(serving, n.in.Issued) - min(n.in.Serving, n.in.Issued)) //nolint:gosec // below mostPersons, and serving only rises
	minute.Health, minute.Inside = n.controller.Health(), n.in.Inside
	// Numbers ahead of those issued are called when somebody gets them: at once, in the next second.
	n.in.Serving, n.in.LateServing = serving, late
	n.line.calledAhead(n.in.Serving, func(id uint32) { n.call(id, second) })
}

// call tells a person that it is their turn, which they see at their next poll.
func (n *night) call(id, second uint32) {
	p := &n.people[id]
	if p.called != 0 {
		return
	}
	p.called = second
	n.report.waited(p, second)
	switch p.fate {
	case comes, comesOnNewDevice:
		n.comeAfter(id, second, 1+n.chance.ExpFloat64()*meanComing)
	case comesLate:
		n.comeAfter(id, second, 600+1200*n.chance.Float64())
	case never:
	}
}

func (n *night) comeAfter(id, second uint32, seconds float64) {
	at := min(second+1+uint32(seconds), lastSecond)
	n.coming[at] = append(n.coming[at], id)
	n.toCome++
}

// comeIn is a person who asks to be admitted with their ticket.
func (n *night) comeIn(id, second uint32, afterMessage bool) {
	n.toCome--
	p := &n.people[id]
	position := n.line.positionOf(id)
	if position >= n.in.Serving {
		n.report.Uncalled++ // The server refuses; that it is asked at all is a mistake of the client's.
		return
	}
	if p.admitted {
		n.report.AdmittedTwice++
		return
	}
	since := time.Unix(int64(p.ticketAt/1000), 0).UTC()
	now := time.Unix(int64(second), 0).UTC()
	if !p.late && !afterMessage && !n.history.InGrace(position, since, now, n.controls.Grace) {
		p.late = true
		n.report.Late++
		n.lateLine = append(n.lateLine, id)
		return
	}
	if !p.late {
		n.history.Arrived(position)
	}
	p.admitted = true
	n.in.Inside++
	n.report.Admitted++
	n.report.minute(second).Admitted++
	at := min(second+uint32(leastInside+n.chance.ExpFloat64()*(meanInside-leastInside)), lastSecond)
	n.leaving[max(at, second+1)] = append(n.leaving[max(at, second+1)], id)
}

// commit is the store: it commits what it can, and its latency is what has piled up.
func (n *night) commit(second uint32) {
	capacity := n.Capacity
	slowFrom := opensAt + uint32(n.SlowFrom.Seconds())
	factor := 1.
	if second >= slowFrom && second < slowFrom+uint32(n.SlowFor.Seconds()) {
		factor = n.SlowFactor
	}
	capacity /= factor
	n.work = min(n.work+capacity, capacity+1)
	for ; n.work >= 1 && n.booking.len() > 0; n.work-- {
		n.booking.pop()
		n.in.Inside--
		n.report.Booked++
	}
	// What came within this second is committed within it or the next, whatever the order in a simulated second.
	piled := max(0, float64(n.booking.len())-capacity)
	n.in.Health.Commit = time.Duration(float64(commitsTake)*factor) + time.Duration(piled/capacity*float64(time.Second))
	minute := n.report.minute(second)
	minute.Commit = max(minute.Commit, n.in.Health.Commit)
}

// queue is first in, first out.
type queue struct {
	ids  []uint32
	head int
}

func (q *queue) push(id uint32) { q.ids = append(q.ids, id) }
func (q *queue) len() int       { return len(q.ids) - q.head }

func (q *queue) pop() uint32 {
	id := q.ids[q.head]
	if q.head++; q.head > 4096 && q.head > len(q.ids)/2 {
		q.ids = q.ids[:copy(q.ids, q.ids[q.head:])]
		q.head = 0
	}
	return id
}
