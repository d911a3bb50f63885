package waitingroom

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/google/uuid"

	"jari/internal/crash"
	"jari/internal/fault"
	"jari/internal/token"
)

// Places are written together: while one transaction is on its way, whoever comes waits for the next. At low load that is
// one person a transaction; at the opening second it is what arrived within the last.

const (
	// mostWritten are the places that one transaction writes.
	mostWritten = 2000
	// blockLife is how long numbers may be written after they were taken. It bounds how far the order of numbers can be
	// from the order of coming.
	blockLife = time.Second
	// writeTimeout bounds one transaction.
	writeTimeout = 5 * time.Second
	// blockTries is how often numbers are taken anew for people whose block had died.
	blockTries = 3
)

// Ticket says a person's place, for the person to keep.
type Ticket struct {
	Token string
	Place
	// Late tells that the number is of the room's second lane.
	Late bool
}

// Take gives a person their place in a room, the same whenever they ask: an index of the draw before the freeze, a number
// behind it afterwards. forDraw asks for an index only. Whether the person may wait here has been asked before. It refuses
// with room_not_found, room_not_open (says until when), registration_over, room_closed, overloaded, store_unavailable.
func (s *Service) Take(ctx context.Context, room string, person uuid.UUID, forDraw bool) (Ticket, error) {
	v, err := s.view(room)
	if err != nil {
		return Ticket{}, err
	}
	if v.State == Scheduled && s.Clock.Now().Before(takesFrom(v)) {
		return Ticket{}, s.notOpen(v)
	}
	if v.State == Scheduled || v.State == Closed || (forDraw && v.State != Registering) {
		// Who has a place already gets it again.
		p, found, err := s.findPlace(ctx, v.No, person)
		switch {
		case err != nil:
			return Ticket{}, err
		case found && (!forDraw || !p.Behind):
			return s.ticket(room, person, p)
		case v.State == Scheduled: // so far; another instance may have heard of the opening before this one
			return Ticket{}, s.notOpen(v)
		case v.State == Closed:
			return Ticket{}, fault.New(fault.Gone, fault.CodeRoomClosed)
		default:
			return Ticket{}, fault.New(fault.Conflict, fault.CodeRegistrationOver)
		}
	}
	found, _ := s.gatherers.LoadOrStore(room, &gatherer{service: s, room: room, no: v.No})
	g, _ := found.(*gatherer)
	p, err := g.take(ctx, person, forDraw)
	if err != nil {
		return Ticket{}, err
	}
	return s.ticket(room, person, p)
}

// findPlace reads a person's place; found is false if there is none.
func (s *Service) findPlace(ctx context.Context, room int32, person uuid.UUID) (p Place, found bool, err error) {
	places, err := s.Ledger.Find(ctx, room, []uuid.UUID{person})
	p, found = places[person]
	return p, found, err
}

// TakeTogether gives several people their places at once, as happens to those who come while places are being written.
func (s *Service) TakeTogether(ctx context.Context, room string, people []uuid.UUID) ([]Ticket, error) {
	v, err := s.view(room)
	if err != nil {
		return nil, err
	}
	g := &gatherer{service: s, room: room, no: v.No}
	tickets := make([]Ticket, len(people))
	batch := make([]*wanted, len(people))
	for i, person := range people {
		batch[i] = &wanted{person: person, done: make(chan struct{})}
	}
	g.write(ctx, batch)
	for i, w := range batch {
		if w.err != nil {
			return nil, w.err
		}
		if tickets[i], err = s.ticket(room, w.person, w.place); err != nil {
			return nil, err
		}
	}
	return tickets, nil
}

// takesFrom is when a room takes its first people.
func takesFrom(v *view) time.Time {
	if v.RegistrationOpensAt.IsZero() {
		return v.OpensAt
	}
	return v.RegistrationOpensAt
}

// notOpen says from when on places can be taken.
func (s *Service) notOpen(v *view) error {
	return fault.New(fault.Conflict, fault.CodeRoomNotOpen).After(max(time.Second, takesFrom(v).Sub(s.Clock.Now())))
}

func (s *Service) ticket(room string, person uuid.UUID, p Place) (Ticket, error) {
	text, err := s.Tokens.SealTicket(token.Ticket{Room: room, Person: person, Behind: p.Behind, Place: p.Number, AtMS: p.AtMS})
	return Ticket{Token: text, Place: p}, err
}

// wanted is somebody who waits for their place to be written.
type wanted struct {
	person  uuid.UUID
	forDraw bool
	done    chan struct{}
	place   Place
	err     error
}

// gatherer writes the places of one room.
type gatherer struct {
	service *Service
	room    string
	no      int32

	mu      sync.Mutex
	waiting []*wanted
	busy    bool
}

// take waits until the person's place is written. A caller who leaves has it written all the same.
func (g *gatherer) take(ctx context.Context, person uuid.UUID, forDraw bool) (Place, error) {
	w := &wanted{person: person, forDraw: forDraw, done: make(chan struct{})}
	g.mu.Lock()
	if len(g.waiting) >= g.service.Limits.Queue {
		g.mu.Unlock()
		return Place{}, fault.New(fault.Unavailable, fault.CodeOverloaded).After(2 * time.Second)
	}
	g.waiting = append(g.waiting, w)
	if !g.busy {
		g.busy = true
		go g.work() //nolint:gosec // for everybody who waits, not for this request
	}
	g.mu.Unlock()
	select {
	case <-w.done:
		return w.place, w.err
	case <-ctx.Done():
		return Place{}, fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(time.Second).Because(ctx.Err())
	}
}

// work writes until nobody waits any more.
func (g *gatherer) work() {
	for {
		g.mu.Lock()
		n := min(len(g.waiting), mostWritten)
		if n == 0 {
			g.busy = false
			g.mu.Unlock()
			return
		}
		batch := g.waiting[:n:n]
		g.waiting = append([]*wanted(nil), g.waiting[n:]...)
		g.mu.Unlock()
		g.write(context.Background(), batch)
	}
}

// write gives everybody of a batch their place.
func (g *gatherer) write(ctx context.Context, batch []*wanted) {
	// Nobody's request: whoever leaves has their place all the same.
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	people := make([]uuid.UUID, 0, len(batch))
	seen := make(map[uuid.UUID]bool, len(batch))
	for _, w := range batch {
		if !seen[w.person] {
			seen[w.person] = true
			people = append(people, w.person)
		}
	}
	places, err := g.register(ctx, people)
	var others []uuid.UUID
	for _, w := range batch {
		if _, found := places[w.person]; !found && !w.forDraw && seen[w.person] {
			seen[w.person] = false
			others = append(others, w.person)
		}
	}
	for try := 0; err == nil && len(others) > 0 && try < blockTries; try++ {
		var numbered map[uuid.UUID]Place
		if numbered, err = g.number(ctx, others); err == nil {
			for person, p := range numbered {
				places[person] = p
			}
			others = without(others, numbered)
		}
	}
	crash.Point(crash.PlacesWritten)
	for _, w := range batch {
		p, found := places[w.person]
		switch {
		case found && (!w.forDraw || !p.Behind):
			w.place = p
		case err != nil:
			w.err = err
		case w.forDraw:
			w.err = fault.New(fault.Conflict, fault.CodeRegistrationOver)
		default:
			w.err = fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(time.Second)
		}
		close(w.done)
	}
}

func without(people []uuid.UUID, found map[uuid.UUID]Place) (rest []uuid.UUID) {
	for _, p := range people {
		if _, ok := found[p]; !ok {
			rest = append(rest, p)
		}
	}
	return rest
}

// register gives the next indexes to those who have no place yet, if the room still takes registrations, and returns the
// places of all who have one.
func (g *gatherer) register(ctx context.Context, people []uuid.UUID) (map[uuid.UUID]Place, error) {
	if v, err := g.service.view(g.room); err == nil && v.State != Registering {
		// The draw is frozen, and no room goes back: nothing needs to be locked.
		return g.service.Ledger.Find(ctx, g.no, people)
	}
	nonces := make([][]byte, len(people))
	for i := range nonces {
		nonces[i] = make([]byte, len(Nonce{}))
		_, _ = rand.Read(nonces[i]) // never fails
	}
	return g.service.Ledger.Register(ctx, g.no, people, nonces)
}

// number takes a block of numbers behind the draw, one for each of these people, and writes them. The block is a commit of
// its own, so that instances don't wait for each other's rows; numbers of a block that dies are nobody's.
func (g *gatherer) number(ctx context.Context, people []uuid.UUID) (map[uuid.UUID]Place, error) {
	b, err := g.service.Ledger.TakeNumbers(ctx, g.no, len(people))
	if isNoRows(err) {
		return nil, fault.New(fault.Gone, fault.CodeRoomClosed)
	}
	if err != nil {
		return nil, err
	}
	crash.Point(crash.NumbersTaken)
	places, err := g.service.Ledger.WriteNumbers(ctx, g.no, people, b, blockLife)
	if err != nil || len(places) == len(people) {
		return places, err
	}
	// The block died, or another instance gave somebody a place meanwhile.
	return g.service.Ledger.Find(ctx, g.no, people)
}
