package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"jari/cmd/surge/journal"
	"jari/cmd/surge/rig"
	"jari/internal/clock"
	"jari/internal/fault"
)

// The habits of clients.
const (
	// answerWait is how long a client waits for an answer before it takes it for lost.
	answerWait = 6 * time.Second
	// patience is how long a client sends the same again.
	patience = 20 * time.Second
	// twice is the share of requests that are sent twice at the same time, as a double tap does.
	twice = .2
	// thinking is the longest that a client waits between two things.
	thinking = 20 * time.Millisecond
)

// public is where clients find the servers: one or two of them, which come and go.
type public struct {
	mu   sync.Mutex
	urls []string
}

func (p *public) set(at int, url string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.urls) <= at {
		p.urls = append(p.urls, "")
	}
	p.urls[at] = url
}

// pick chooses a server: any, and on a further try the one after.
func (p *public) pick(first, try int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.urls {
		if u := p.urls[(first+try+i)%len(p.urls)]; u != "" {
			return u
		}
	}
	return ""
}

// crowd is who asks.
type crowd struct {
	campaign string
	servers  *public
	journal  *journal.Journal
	client   *http.Client
	serial   atomic.Int64
	// tries is the longest that a request took, in sends that weren't answered for good.
	tries int64
	// confirmed counts bookings.
	confirmed atomic.Int64
	mu        sync.Mutex
	// strange are answers that no client should get.
	strange map[string]int
	// unsure are holds whose confirm was sent and not answered for good.
	unsure map[uuid.UUID]unsure
}

// unsure is a confirm to be sent again.
type unsure struct {
	who   rig.Person
	group string
	hold  held
}

func newCrowd(campaign string, servers *public, j *journal.Journal, clients int) *crowd {
	return &crowd{
		campaign: campaign, servers: servers, journal: j, strange: map[string]int{}, unsure: map[uuid.UUID]unsure{},
		client: &http.Client{Timeout: answerWait, Transport: &http.Transport{
			MaxIdleConns: 4 * clients, MaxIdleConnsPerHost: 4 * clients, IdleConnTimeout: time.Minute, DisableCompression: true,
		}},
	}
}

// answer is what a client believes.
type answer struct {
	status int
	code   fault.Code
	got    journal.Got
	hold   held // of a hold, or of the one that the person has instead
	line   lineAnswer
}

func (a answer) final() bool {
	return a.status != 0 && a.status < http.StatusInternalServerError && a.status != http.StatusTooManyRequests
}

// held is a hold with what confirms it.
type held struct {
	id       uuid.UUID
	slot     int64
	token    string
	until    time.Time
	replaces uuid.UUID
}

// ask sends a request until it is answered for good, now and then twice at the same time, and returns the answer; without
// one its status is 0.
func (c *crowd) ask(ctx context.Context, who rig.Person, e journal.Entry, method, path string, body []byte) answer {
	e.Person, e.Request = who.ID, strconv.FormatInt(c.serial.Add(1), 10)
	first := rand.IntN(2) //nolint:gosec // which server
	until := time.Now().Add(patience)
	double := e.Op != journal.Read && e.Op != journal.Look && e.Op != journal.Watch && rand.Float64() < twice //nolint:gosec // a habit
	for try := 0; ; try++ {
		var a answer
		if double && try == 0 {
			var b answer
			var both sync.WaitGroup
			both.Go(func() { a = c.send(ctx, who, e, first, method, path, body) })
			both.Go(func() { b = c.send(ctx, who, e, first+1, method, path, body) })
			both.Wait()
			// Of two answers the one that leaves nothing open, and of those the one that grants.
			if b.final() && (!a.final() || a.status >= http.StatusBadRequest) {
				a = b
			}
		} else {
			a = c.send(ctx, who, e, first+try, method, path, body)
		}
		if a.final() || ctx.Err() != nil || time.Now().After(until) {
			if ctx.Err() == nil {
				c.tookTries(int64(try + 1))
			}
			return a
		}
		if try > 0 {
			rest(ctx, 20*time.Millisecond+time.Duration(rand.IntN(1+int(min(int64(try), 10)*20)))*time.Millisecond) //nolint:gosec // an honest client's rest
		}
	}
}

// tookTries remembers the longest that a request took.
func (c *crowd) tookTries(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries = max(c.tries, n)
}

// send sends a request once, with a journal of what came of it.
func (c *crowd) send(ctx context.Context, who rig.Person, e journal.Entry, server int, method, path string, body []byte) answer {
	base := c.servers.pick(server, 0)
	e.Server = base
	at := c.journal.Ask(e)
	if base == "" {
		return answer{}
	}
	content := io.Reader(http.NoBody)
	if len(body) > 0 {
		content = bytes.NewReader(body)
	}
	// Not tied to the run's end: what was sent is waited for.
	r, err := http.NewRequestWithContext(context.WithoutCancel(ctx), method, base+path, content)
	if err != nil {
		return answer{}
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
		r.GetBody = nil // the client's own second try would hide the failure of the first
	}
	r.Header.Set("Authorization", "Bearer "+who.Session)
	r.Header.Set("Jari-Admission", who.Admission)
	w, err := c.client.Do(r)
	if err != nil {
		return answer{}
	}
	raw, err := io.ReadAll(io.LimitReader(w.Body, 1<<20))
	if closeErr := w.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return answer{}
	}
	a := understand(e.Op, w.StatusCode, raw)
	if inLine(e.Op) {
		a = understandLine(c.campaign, e.Op, w.StatusCode, raw)
	}
	if e.Op == journal.Steal && a.status == http.StatusForbidden {
		c.journal.Answer(at, a.status, string(a.code), a.got)
		return a
	}
	if a.status == http.StatusInternalServerError || a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized ||
		a.status == http.StatusForbidden {
		c.mu.Lock()
		c.strange[fmt.Sprintf("%s was answered with %d %s", e.Op, a.status, a.code)]++
		c.mu.Unlock()
	}
	c.journal.Answer(at, a.status, string(a.code), a.got)
	return a
}

// understand reads an answer.
func understand(op journal.Op, status int, raw []byte) answer {
	a := answer{status: status}
	if op == journal.Look || status == http.StatusNoContent {
		return a
	}
	type place struct {
		SlotID int64 `json:"slot_id,string"`
	}
	type shownHold struct {
		HoldID    uuid.UUID `json:"hold_id"`
		HoldToken string    `json:"hold_token"`
		ExpiresAt time.Time `json:"expires_at"`
		Replaces  uuid.UUID `json:"replaces"`
		Slot      place     `json:"slot"`
	}
	var said struct {
		shownHold
		Code      string    `json:"code"`
		Hold      shownHold `json:"hold"`
		BookingID uuid.UUID `json:"booking_id"`
		Reference string    `json:"reference"`
	}
	var state struct {
		Status any `json:"status"`
	}
	if json.Unmarshal(raw, &said) != nil || json.Unmarshal(raw, &state) != nil {
		return answer{} // cut off on its way
	}
	text, _ := state.Status.(string)
	a.code = fault.Code(said.Code)
	h := said.shownHold
	if status >= http.StatusBadRequest {
		h = said.Hold
	} else {
		a.got = journal.Got{
			Slot: h.Slot.SlotID, Hold: h.HoldID, Booking: said.BookingID, Reference: said.Reference, State: text, Until: h.ExpiresAt,
		}
	}
	a.hold = held{id: h.HoldID, slot: h.Slot.SlotID, token: h.HoldToken, until: h.ExpiresAt, replaces: h.Replaces}
	return a
}

func (c *crowd) path(rest string) string { return "/v1/campaigns/" + c.campaign + rest }

// hold asks for a slot.
func (c *crowd) hold(ctx context.Context, who rig.Person, group string, slot int64, insteadOf, replaces uuid.UUID) answer {
	body := fmt.Appendf(nil, `{"slot_id":"%d"`, slot)
	if insteadOf != uuid.Nil {
		body = fmt.Appendf(body, `,"instead_of":"%s"`, insteadOf)
	}
	if replaces != uuid.Nil {
		body = fmt.Appendf(body, `,"replaces":"%s"`, replaces)
	}
	return c.ask(ctx, who, journal.Entry{Op: journal.Hold, Group: group, Slot: slot, InsteadOf: insteadOf, Replaces: replaces},
		http.MethodPut, c.path("/hold"), append(body, '}'))
}

func (c *crowd) confirm(ctx context.Context, who rig.Person, group string, h held) answer {
	c.mu.Lock()
	c.unsure[h.id] = unsure{who, group, h}
	c.mu.Unlock()
	a := c.ask(ctx, who, journal.Entry{
		Op: journal.Confirm, Group: group, Slot: h.slot, Hold: h.id, Replaces: h.replaces, Until: h.until,
	}, http.MethodPut, c.path("/booking"), fmt.Appendf(nil, `{"hold_token":"%s"}`, h.token))
	if a.status == http.StatusCreated {
		c.confirmed.Add(1)
	}
	if a.final() {
		c.mu.Lock()
		delete(c.unsure, h.id)
		c.mu.Unlock()
	}
	return a
}

// resolve sends every confirm again whose outcome is open: who is unsure of a booking doesn't give up its hold.
func (c *crowd) resolve(ctx context.Context, clients int) {
	c.mu.Lock()
	open := make(chan unsure, len(c.unsure))
	for _, u := range c.unsure {
		open <- u
	}
	c.mu.Unlock()
	close(open)
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for u := range open {
				c.confirm(ctx, u.who, u.group, u.hold)
			}
		})
	}
	group.Wait()
}

func (c *crowd) release(ctx context.Context, who rig.Person, group string) answer {
	return c.ask(ctx, who, journal.Entry{Op: journal.Release, Group: group}, http.MethodDelete, c.path("/hold"), nil)
}

func (c *crowd) cancel(ctx context.Context, who rig.Person, group string, booking uuid.UUID) answer {
	return c.ask(ctx, who, journal.Entry{Op: journal.Cancel, Group: group, Booking: booking}, http.MethodDelete, c.path("/bookings/"+booking.String()), nil)
}

func (c *crowd) read(ctx context.Context, who rig.Person, group string) answer {
	return c.ask(ctx, who, journal.Entry{Op: journal.Read, Group: group}, http.MethodGet, c.path("/booking"), nil)
}

func (c *crowd) look(ctx context.Context, who rig.Person) answer {
	return c.ask(ctx, who, journal.Entry{Op: journal.Look}, http.MethodGet, c.path("/sites/"+rig.MainSite+"/slots"), nil)
}

// citizen is a person as their device knows them.
type citizen struct {
	person  rig.Person
	group   string
	known   bool // whether booking is what the server last said
	booking uuid.UUID
	held    held
	pending held // was confirmed, and nobody said what came of it
	// shared: the person has another device. Giving up on one what the other confirms at the same moment frees a place that
	// is being booked, and somebody's hold breaks: that isn't asked for here.
	shared bool
}

// turn is one thing that a citizen does, with a slot to want.
func (c *crowd) turn(ctx context.Context, z *citizen, slot int64) {
	if z.pending.token != "" {
		if a := c.confirm(ctx, z.person, z.group, z.pending); !a.final() {
			return
		}
		z.pending, z.known = held{}, false
	}
	if !z.known {
		a := c.read(ctx, z.person, z.group)
		if !a.final() {
			return
		}
		z.known, z.booking = true, uuid.Nil
		if a.got.State == "active" {
			z.booking = a.got.Booking
		}
	}
	switch draw := rand.Float64(); { //nolint:gosec // a habit
	case z.booking == uuid.Nil && draw < .9:
		c.book(ctx, z, slot)
	case z.booking != uuid.Nil && draw < .4:
		a := c.cancel(ctx, z.person, z.group, z.booking)
		z.known = a.status == http.StatusOK
		z.booking = uuid.Nil
	case z.booking != uuid.Nil && draw < .8:
		c.book(ctx, z, slot)
	case draw < .95:
		a := c.read(ctx, z.person, z.group)
		z.known = false
		if a.final() {
			z.known, z.booking = true, uuid.Nil
			if a.got.State == "active" {
				z.booking = a.got.Booking
			}
		}
	default:
		c.look(ctx, z.person)
	}
}

// book holds a slot and confirms it, or, with a booking, moves that; now and then somebody changes their mind in between.
func (c *crowd) book(ctx context.Context, z *citizen, slot int64) {
	a := c.hold(ctx, z.person, z.group, slot, z.held.id, z.booking)
	if a.code == fault.CodeHoldsOther && a.hold.token != "" {
		if rand.Float64() < .3 && !z.shared { //nolint:gosec // a habit
			a = c.hold(ctx, z.person, z.group, slot, a.hold.id, z.booking)
		} else {
			a.status = http.StatusOK // that one will do
		}
	}
	z.held = held{}
	switch {
	case a.status == http.StatusOK && a.hold.token != "":
	case a.code == fault.CodeAlreadyBooked || a.code == fault.CodeNoBooking || !a.final():
		z.known = false
		return
	default:
		return
	}
	z.held = a.hold
	switch draw := rand.Float64(); { //nolint:gosec // a habit
	case z.shared:
	case draw < .06:
		if c.release(ctx, z.person, z.group).final() {
			z.held = held{}
		}
		return
	case draw < .1:
		return // and goes on with instead_of
	}
	a = c.confirm(ctx, z.person, z.group, z.held)
	if !a.final() {
		z.pending = z.held
	}
	z.held = held{}
	z.known = a.status == http.StatusOK || a.status == http.StatusCreated
	if z.known {
		z.booking = a.got.Booking
	}
}

// rest waits, or until the context ends; whoever rests looks at it next.
func rest(ctx context.Context, d time.Duration) { _ = clock.Wait(ctx, d) }

// think is a client's pause between two things.
func think(ctx context.Context) {
	rest(ctx, time.Duration(rand.Int64N(int64(thinking)))) //nolint:gosec // a habit
}
