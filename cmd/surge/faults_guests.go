package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"jari/cmd/surge/check"
	"jari/cmd/surge/journal"
	"jari/cmd/surge/rig"
	"jari/internal/fault"
	"jari/internal/waitingroom"
)

// guest is a person on their way through the room.
type guest struct {
	person rig.Person // without an admission
	from   time.Time  // when they first come
	booked atomic.Bool
}

// phone is one of the devices of a guest. What it knows, the others don't.
type phone struct {
	*guest
	mu        sync.Mutex
	late      bool // registration is over, as it was told
	ticket    string
	place     string
	admission string
	highest   uint64 // that it saw being served
	z         citizen
}

// mayOwn is the most devices that a guest has.
const mayOwn = 3

// anEvening is the load of cells with a waiting room.
func anEvening(ctx context.Context, t *theatre) error {
	t.beginWatch(ctx)
	var phones []*phone
	began := time.Now()
	whole := time.Until(t.lobby.line.Opens) + 2*time.Second
	for range guests {
		p, ok := t.stage.People.Take()
		if !ok {
			return errors.New("there are too few people")
		}
		p.Admission = ""
		g := &guest{person: p, from: began.Add(time.Duration(rand.Float64() * float64(whole)))} //nolint:gosec // any time of the evening
		if rand.Float64() < .35 {                                                               //nolint:gosec // just when the draw is frozen
			g.from = t.lobby.line.Freezes.Add(time.Duration(rand.IntN(900)-300) * time.Millisecond) //nolint:gosec // about then
		}
		t.lobby.guests = append(t.lobby.guests, g)
		n := 1 + rand.IntN(mayOwn) //nolint:gosec // a habit
		for range n {
			phones = append(phones, &phone{guest: g, z: citizen{person: p, shared: n > 1}})
		}
	}
	var group sync.WaitGroup
	for range t.clients {
		group.Go(func() {
			for ctx.Err() == nil {
				f := phones[rand.IntN(len(phones))] //nolint:gosec // anybody
				if time.Now().Before(f.from) || !f.mu.TryLock() {
					rest(ctx, time.Millisecond)
					continue
				}
				other := phones[rand.IntN(len(phones))] //nolint:gosec // anybody
				t.crowd.visit(ctx, t, f, other)
				f.mu.Unlock()
				think(ctx)
			}
		})
	}
	group.Wait()
	return nil
}

func (c *crowd) inRoom(rest string) string { return "/v1/rooms/" + rig.LineID(c.campaign) + rest }

// visit is one thing that somebody does on one of their devices.
func (c *crowd) visit(ctx context.Context, t *theatre, f, other *phone) {
	draw := rand.Float64() //nolint:gosec // a habit
	switch {
	case draw < .06:
		c.ask(ctx, f.person, journal.Entry{Op: journal.Step}, http.MethodGet, "/v1/me", nil)
	case f.booked.Load() && draw < .15:
		f.admission = ""
		c.enter(ctx, f, true)
	case f.booked.Load():
	case f.ticket == "":
		c.takePlace(ctx, f)
	case draw < .1: // a new browser, a borrowed phone
		f.ticket, f.place, f.admission, f.highest = "", "", "", 0
	case draw < .12 && other.mu.TryLock():
		ticket := other.ticket
		stranger := other.guest != f.guest
		other.mu.Unlock()
		if ticket != "" && stranger {
			c.ask(ctx, f.person, journal.Entry{Op: journal.Steal}, http.MethodPut, c.inRoom("/admission"), fmt.Appendf(nil, `{"ticket":%q}`, ticket))
		}
	case f.admission == "" && draw < .16: // whatever the status says
		c.enter(ctx, f, draw < .14)
	case f.admission == "":
		if a := c.ask(ctx, f.person, journal.Entry{Op: journal.Watch}, http.MethodGet, c.inRoom("/status"), nil); a.status == http.StatusOK {
			f.highest = max(f.highest, a.got.Serving)
			if position, known := a.line.position(f.place); known && position < f.highest {
				c.enter(ctx, f, true)
			}
		}
	case draw < .2:
		f.admission = ""
		c.enter(ctx, f, draw < .18)
	default:
		f.z.person.Admission = f.admission
		c.turn(ctx, &f.z, t.stage.Main[rand.IntN(len(t.stage.Main))]) //nolint:gosec // any slot
		if f.z.known && f.z.booking != uuid.Nil {
			f.booked.Store(true)
		}
	}
}

// takePlace asks for the place of a guest: for one in the draw as long as there is one, or for any.
func (c *crowd) takePlace(ctx context.Context, f *phone) {
	path := "/ticket"
	if !f.late && rand.IntN(3) == 0 { //nolint:gosec // a habit
		path = "/registration"
	}
	a := c.ask(ctx, f.person, journal.Entry{Op: journal.Place}, http.MethodPut, c.inRoom(path), nil)
	switch {
	case a.status == http.StatusOK:
		f.ticket, f.place = a.line.ticket, a.got.Place
	case a.code == fault.CodeRegistrationOver:
		f.late = true
	}
}

// enter asks to come in, with the ticket or as somebody who has lost it.
func (c *crowd) enter(ctx context.Context, f *phone, withTicket bool) {
	var body []byte
	if withTicket && f.ticket != "" {
		body = fmt.Appendf(nil, `{"ticket":%q}`, f.ticket)
	}
	who := f.person
	who.Admission = f.admission
	if a := c.ask(ctx, who, journal.Entry{Op: journal.Enter}, http.MethodPut, c.inRoom("/admission"), body); a.status == http.StatusOK {
		f.admission = a.line.admission
	}
}

// lineAnswer is what a client remembers of a room's answer.
type lineAnswer struct {
	ticket, admission string
	frozen            bool // whether drawn is known
	drawn             uint64
	seed              []byte
}

// position is what a client calculates from its place and the status.
func (l lineAnswer) position(place string) (uint64, bool) {
	if place == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(place[1:], 10, 64)
	switch {
	case err != nil:
		return 0, false
	case place[0] == 'n':
		return l.drawn + n, l.frozen
	case len(l.seed) != 32 || n >= l.drawn:
		return 0, false
	}
	return waitingroom.Position([32]byte(l.seed), l.drawn, n), true
}

// inLine tells whether an answer is a room's.
func inLine(op journal.Op) bool {
	switch op {
	case journal.Place, journal.Enter, journal.Steal, journal.Watch, journal.Step:
		return true
	default:
		return false
	}
}

// understandLine reads an answer of a room, or of what is next for a person in a campaign.
func understandLine(campaign string, op journal.Op, status int, raw []byte) answer {
	type place struct {
		Ticket string  `json:"ticket"`
		Index  *uint64 `json:"index"`
		Number *uint64 `json:"number"`
	}
	text := func(p place) string {
		switch {
		case p.Index != nil:
			return check.Place{Number: *p.Index}.String()
		case p.Number != nil:
			return check.Place{Number: *p.Number, Behind: true}.String()
		}
		return ""
	}
	var said struct {
		place
		Code      fault.Code `json:"code"`
		State     string     `json:"state"`
		Serving   uint64     `json:"serving"`
		Position  *uint64    `json:"position"`
		Late      bool       `json:"late"`
		Drawn     uint64     `json:"drawn"`
		Seed      string     `json:"seed"`
		Admission string     `json:"admission"`
		ExpiresAt time.Time  `json:"expires_at"`
		Campaigns []struct {
			ID   string `json:"campaign_id"`
			Step string `json:"step"`
			Room struct {
				Ticket   place   `json:"ticket"`
				Position *uint64 `json:"position"`
				Serving  uint64  `json:"serving"`
			} `json:"room"`
		} `json:"campaigns"`
	}
	if json.Unmarshal(raw, &said) != nil {
		return answer{} // cut off on its way
	}
	a := answer{status: status, code: said.Code}
	a.got = journal.Got{Place: text(said.place), State: said.State, Serving: said.Serving, Position: said.Position, Late: said.Late, Until: said.ExpiresAt}
	a.line = lineAnswer{ticket: said.Ticket, admission: said.Admission, drawn: said.Drawn}
	a.line.frozen = said.State != "" && said.State != string(waitingroom.Scheduled) && said.State != string(waitingroom.Registering)
	a.line.seed, _ = hex.DecodeString(said.Seed)
	if op == journal.Step {
		for _, mine := range said.Campaigns {
			if mine.ID == campaign {
				a.got.Step, a.got.Place = mine.Step, text(mine.Room.Ticket)
				a.got.Position, a.got.Serving = mine.Room.Position, mine.Room.Serving
			}
		}
	}
	return a
}

// lateComers has everybody come in who couldn't while things were broken.
func (t *theatre) lateComers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, enterWithin)
	defer cancel()
	work := make(chan *guest)
	var group sync.WaitGroup
	for range t.clients {
		group.Go(func() {
			for g := range work {
				f := &phone{guest: g}
				for f.admission == "" && ctx.Err() == nil {
					if f.ticket == "" {
						t.crowd.takePlace(ctx, f)
					}
					if f.ticket != "" {
						t.crowd.enter(ctx, f, true)
					}
					rest(ctx, 200*time.Millisecond)
				}
			}
		})
	}
	for _, g := range t.lobby.guests {
		if !g.booked.Load() {
			work <- g
		}
	}
	close(work)
	group.Wait()
}

// published asks a server for the draw and verifies it as anybody can.
func (t *theatre) published(ctx context.Context) (*waitingroom.PublishedDraw, error) {
	get := func(path string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, t.servers.pick(0, 0)+t.crowd.inRoom(path), http.NoBody)
		if err != nil {
			return nil, err
		}
		w, err := t.crowd.client.Do(r)
		if err == nil && w.StatusCode != http.StatusOK {
			err = errors.Join(fmt.Errorf("%s is answered with %s", path, w.Status), w.Body.Close())
		}
		return w, err
	}
	var draw waitingroom.PublishedDraw
	w, err := get("/draw")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(json.NewDecoder(w.Body).Decode(&draw), w.Body.Close()); err != nil {
		return nil, err
	}
	if w, err = get("/draw/leaves"); err != nil {
		return nil, err
	}
	verdict, err := waitingroom.Verify(draw, w.Body, nil)
	if err := errors.Join(err, w.Body.Close()); err != nil {
		return nil, err
	}
	if !verdict.Good() || verdict.Pending {
		return &draw, errors.New("the published draw isn't right: " + fmt.Sprint(verdict.Flaws))
	}
	return &draw, nil
}
