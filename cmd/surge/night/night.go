// Package night simulates an opening in virtual time: everybody entitled comes with several devices, reloads, waits for an
// SMS, is drawn, called, and comes or doesn't. The waiting room is the product's own, whole instances of it: tickets, the
// draw, blocks of numbers, the late lane, admissions, status, leader, controller and history. What is modelled is what stands
// around it: people, the SMS gateway, Postgres (ledger), Redis (presence) and the store of bookings. No clock, no network,
// and the same seed gives the same night.
package night

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"jari/internal/config"
	"jari/internal/fault"
	"jari/internal/keys"
	"jari/internal/token"
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
	ticks        = 4               // steps of the leader in a second
	together     = 50              // ms in which those who come to an instance are written together
	overtakes    = 2 * time.Second // how much earlier somebody behind may have come
	leaderDies   = opensAt + 12*60 // the instance that leads is gone then, and another begins
	stallsAtMost = 1. / 2000       // share of blocks that are dead before they are written
	meanComing   = 12.             // seconds between being called and coming: a poll, and looking up
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
	asked    uint32 // ms of the first wish for a place
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
	chance   *rand.Rand
	clock    *clock
	people   []person
	arrivals []arrival
	ledger   *ledger
	presence *presence
	servers  []*server
	tokens   *token.Box
	health   waitingroom.Health

	// Of the draw: indexes by position, and positions by index.
	order, position []uint32

	codes     codes
	coming    [][]uint32 // by second
	leaving   [][]uint32
	booking   queue
	admission map[uint32]string // of those inside
	work      float64           // that the store can do this second

	report Report
	toCome int // people who were called and are still to come, in whichever way
}

// server is one instance, and those who came to it within the last moment.
type server struct {
	*waitingroom.Service
	lead    *waitingroom.Leader
	waiting []uuid.UUID
}

// Run simulates a night. It fails only when it can't be simulated; what is wrong with the night is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	n := &night{
		Options: o, chance: rand.New(rand.NewPCG(o.Seed, 0x6a617269)), clock: &clock{}, //nolint:gosec // a simulation that can be repeated
		people: make([]person, o.Persons), coming: make([][]uint32, lastSecond+1), leaving: make([][]uint32, lastSecond+1),
		presence: newPresence(), admission: map[uint32]string{},
	}
	n.report.Options = o
	n.makeCrowd()
	n.ledger = newLedger(o, n.chance, n.clock)
	n.clock.set(0)
	var err error
	if n.tokens, err = newTokens(); err != nil {
		return nil, err
	}
	for range instances {
		n.servers = append(n.servers, n.newServer())
	}
	next := 0
	for second := range uint32(lastSecond) {
		if second%60 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		n.clock.set(second * 1000)
		if second == opensAt {
			if err := n.draw(); err != nil {
				return nil, err
			}
		}
		if second == leaderDies { // the first to come was the first to lead
			n.servers[0] = n.newServer()
		}
		if err := n.refresh(ctx); err != nil {
			return nil, err
		}
		if err := n.sendCodes(ctx, second); err != nil {
			return nil, err
		}
		for tick := uint32(0); tick < 1000; tick += together {
			for ; next < len(n.arrivals) && n.arrivals[next].at() < second*1000+tick+together; next++ {
				n.arrive(n.arrivals[next])
			}
			n.clock.set(second*1000 + tick + together - 1)
			if err := n.write(ctx, second); err != nil {
				return nil, err
			}
			if step := tick + together; second >= opensAt && step%(1000/ticks) == 0 {
				if err := n.lead(ctx, second); err != nil {
					return nil, err
				}
			}
		}
		if second >= opensAt {
			if err := n.step(ctx, second); err != nil {
				return nil, err
			}
			if next == len(n.arrivals) && n.over() {
				n.report.EndedAt = time.Duration(second-opensAt) * time.Second
				break
			}
		}
	}
	n.conclude()
	return &n.report, nil
}

// newTokens seals with keys of this night alone.
func newTokens() (*token.Box, error) {
	line, err := keys.Generate(config.Development, keys.Tokens)
	if err != nil {
		return nil, err
	}
	sealer, err := keys.NewSealer(line, config.Development, keys.Tokens)
	if err != nil {
		return nil, err
	}
	return token.NewBox(sealer, config.Development), nil
}

// newServer is an instance that has just begun.
func (n *night) newServer() *server {
	opens := began.Add(opensAt * time.Second)
	plan := waitingroom.Plan{
		Room: room, Campaign: "night", RegistrationOpensAt: began.Add(-time.Hour), FreezesAt: opens, OpensAt: opens, ValueAt: opens,
		ClosesAt: began.Add(2 * lastSecond * time.Second), Draw: waitingroom.Local, Rate: n.Target, MaxActive: n.Most,
		Grace: 5 * time.Minute, LateShare: .1,
	}
	plans := []waitingroom.Plan{plan}
	s := waitingroom.NewService(waitingroom.Options{
		Ledger: n.ledger, Presence: n.presence, Clock: n.clock, Tokens: n.tokens, Log: slog.New(slog.DiscardHandler),
		Limits: waitingroom.Limits{Admission: 30 * time.Minute, Longest: 2 * time.Hour, Queue: n.Persons},
		Plans:  func() ([]waitingroom.Plan, error) { return plans, nil },
		Health: func() waitingroom.Health { return n.health },
	})
	return &server{Service: s, lead: s.Lead(room)}
}

// refresh has every instance look at the room.
func (n *night) refresh(ctx context.Context) error {
	for _, s := range n.servers {
		if err := s.Refresh(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (n *night) over() bool {
	return n.codes.left() == 0 && n.booking.len() == 0 && len(n.presence.inside) == 0 && n.toCome == 0 &&
		n.ledger.row.Serving >= n.ledger.row.Issued() && n.ledger.row.LateServing >= n.ledger.row.LateNumbers
}

// arrive is a device that opens the page, or loads it again.
func (n *night) arrive(a arrival) {
	id := a.person()
	p := &n.people[id]
	n.report.Arrivals++
	switch {
	case !p.verified && p.queued:
		n.report.Repeated++ // one place in the line for messages per phone number
	case !p.verified:
		p.queued = true
		n.codes.push(id)
	default:
		n.ask(id, a.device(), a.at(), a.reload())
	}
}

// ask has a device ask some instance for the person's place.
func (n *night) ask(id uint32, device uint8, at uint32, reload bool) {
	key := keyOf(id, 0)
	if n.Bug == ByDevice {
		key = keyOf(id, device)
	}
	if reload && n.Bug == ReloadLoses {
		n.ledger.forget(key)
	}
	if n.ledger.place[key] != 0 {
		n.report.Repeated++
	}
	if p := &n.people[id]; p.asked == 0 {
		p.asked = max(at, 1)
	}
	s := n.servers[n.chance.IntN(len(n.servers))]
	s.waiting = append(s.waiting, idOf(key))
}

// write has every instance give those who came to it their places.
func (n *night) write(ctx context.Context, second uint32) error {
	for _, s := range n.servers {
		if len(s.waiting) == 0 {
			continue
		}
		if _, err := s.TakeTogether(ctx, room, s.waiting); err != nil {
			return fmt.Errorf("giving places: %w", err)
		}
		for _, id := range s.waiting {
			p := &n.people[personOf(ownerOf(id))]
			if p.ticketAt == 0 {
				p.ticketAt = max(n.clock.ms(), 1)
			}
			if position, known := n.positionOf(ownerOf(id)); known && position < n.ledger.row.Serving {
				n.call(personOf(ownerOf(id)), second) // at once: the number had been called before anybody had it
			}
		}
		s.waiting = s.waiting[:0]
	}
	return nil
}

// lead has every instance do its step; whoever leads calls people.
func (n *night) lead(ctx context.Context, second uint32) error {
	row := &n.ledger.row
	serving, late := row.Serving, row.LateServing
	for _, s := range n.servers {
		if err := s.lead.Step(ctx); err != nil {
			return err
		}
	}
	if row.Serving < serving || row.LateServing < late {
		n.report.WentBack++
	}
	for position := serving; position < min(row.Serving, row.Issued()); position++ {
		for _, key := range n.owners(position) {
			n.call(personOf(key), second)
		}
	}
	for number := late; number < row.LateServing; number++ {
		n.comeAfter(personOf(n.ledger.late[number]), second, 1+n.chance.ExpFloat64()*3)
	}
	n.report.minute(second).Called += int(min(row.Serving, row.Issued()) - min(serving, row.Issued())) //nolint:gosec // below mostPersons, and serving only rises
	return nil
}

// step is one second of an open room: people come and go, and the store commits.
func (n *night) step(ctx context.Context, second uint32) error {
	for _, id := range n.coming[second] {
		if n.people[id].fate == comesOnNewDevice && !n.people[id].late {
			n.codes.pushCalled(id)
			continue
		}
		if err := n.comeIn(ctx, id, second); err != nil {
			return err
		}
	}
	n.coming[second] = nil
	for _, id := range n.leaving[second] {
		n.booking.push(id)
	}
	n.leaving[second] = nil
	n.commit(second)
	n.ledger.stalls = 0
	if n.health.Commit > 2*commitsTake { // what slows bookings down slows places too
		n.ledger.stalls = stallsAtMost
	}
	minute := n.report.minute(second)
	minute.Inside, minute.Health = len(n.presence.inside), 1
	for _, s := range n.servers {
		minute.Health = min(minute.Health, s.lead.Pace())
	}
	return nil
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

// comeIn is a person who loads the page again on one instance and asks another to be admitted.
func (n *night) comeIn(ctx context.Context, id, second uint32) error {
	n.toCome--
	p := &n.people[id]
	if p.admitted {
		n.report.AdmittedTwice++
		return nil
	}
	who := idOf(keyOf(id, 0))
	joined, admits := n.servers[n.chance.IntN(len(n.servers))], n.servers[n.chance.IntN(len(n.servers))]
	tickets, err := joined.TakeTogether(ctx, room, []uuid.UUID{who})
	if err != nil {
		return fmt.Errorf("asking for a place again: %w", err)
	}
	admission, err := admits.Admit(ctx, waitingroom.Claim{Room: room, Person: who, Ticket: tickets[0].Token})
	var refused *fault.Error
	switch {
	case err == nil:
	case errors.As(err, &refused) && refused.Code == fault.CodeNotYourTurn:
		if turn, ok := refused.Extra.(waitingroom.NotYourTurn); !ok || !turn.Late {
			n.report.Uncalled++ // The server refuses; that it is asked at all is a mistake of the client's.
		} else if !p.late {
			p.late = true
			n.report.Late++
		} else {
			n.report.LateAgain++
		}
		return nil
	default:
		return fmt.Errorf("asking to come in: %w", err)
	}
	p.admitted = true
	n.admission[id] = admission.Token
	n.report.Admitted++
	n.report.minute(second).Admitted++
	at := min(second+uint32(leastInside+n.chance.ExpFloat64()*(meanInside-leastInside)), lastSecond)
	n.leaving[max(at, second+1)] = append(n.leaving[max(at, second+1)], id)
	return nil
}

// commit is the store: it commits what it can, and its latency is what has piled up. Whoever books has their admission
// checked, and leaves.
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
		id := n.booking.pop()
		s := n.servers[n.chance.IntN(len(n.servers))]
		a, err := s.Check(n.admission[id], "night", idOf(keyOf(id, 0)))
		delete(n.admission, id)
		if err != nil {
			n.report.PlacesLost++ // inside, and sent away
			delete(n.presence.inside, idOf(keyOf(id, 0)))
			continue
		}
		s.Left(a)
		n.report.Booked++
	}
	// What came within this second is committed within it or the next, whatever the order in a simulated second.
	piled := max(0, float64(n.booking.len())-capacity)
	n.health.Commit = time.Duration(float64(commitsTake)*factor) + time.Duration(piled/capacity*float64(time.Second))
	minute := n.report.minute(second)
	minute.Commit = max(minute.Commit, n.health.Commit)
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
