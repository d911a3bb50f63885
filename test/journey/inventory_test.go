package journey_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/internal/slot"
	"jari/internal/token"
	"jari/test/jaritest"
	"jari/test/storetest"
)

func TestKnownFailuresOfInventory(t *testing.T) {
	t.Parallel()
	for name, claim := range map[string]func(*testing.T){
		"one_unit_many_callers":             oneUnitManyCallers,
		"one_unit_many_tokens":              oneUnitManyTokens,
		"double_submit_uses_one_unit":       doubleSubmit,
		"double_cancel_frees_one_unit":      doubleCancel,
		"late_delete_spares_newer_booking":  lateDelete,
		"late_hold_retry_spares_later_hold": lateHoldRetry,
		"hopping_keeps_no_options":          hopping,
		"booking_needs_own_live_hold":       ownLiveHold,
		"hold_key_has_no_holder_in_it":      holdKeyHasNoHolder,
		"two_holds_confirmed_together":      twoHoldsConfirmedTogether,
		"failed_reschedule_keeps_the_old":   failedReschedule,
		"counter_equals_rows":               counterEqualsRows,

		"cancel_frees_every_pool":            cancelFreesEveryPool,
		"parts_equal_total":                  partsEqualTotal,
		"one_stock_for_all_channels":         oneStock,
		"reschedule_counts_own_booking_once": rescheduleCountsOnce,
		"capacity_below_booked_is_refused":   capacityBelowBooked,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claim(t)
		})
	}
}

// outcomes count what callers were told.
type outcomes struct {
	mu     sync.Mutex
	count  map[string]int
	faults []error
}

func (o *outcomes) add(got jaritest.Response, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.faults = append(o.faults, err)
		return
	}
	if o.count == nil {
		o.count = map[string]int{}
	}
	o.count[fmt.Sprintf("%d %s", got.Status, got.Code)]++
}

// want compares, and fails the test for every exchange that broke the contract.
func (o *outcomes) want(t *testing.T, want map[string]int) {
	t.Helper()
	for _, err := range o.faults {
		t.Error(err)
	}
	if fmt.Sprint(o.count) != fmt.Sprint(want) {
		t.Errorf("callers were told %v, want %v", o.count, want)
	}
}

// together runs n calls at the same moment and waits for all.
func together(n int, call func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			call(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

func oneUnitManyCallers(t *testing.T) {
	const callers = 200
	s := jaritest.Start(t)
	unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
	crowd := s.NewCrowd(t, callers, jaritest.BornForE3)
	var told outcomes
	together(callers, func(i int) {
		c := crowd[i]
		got, err := s.Exchange(t.Context(), c.Request(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(unit)))
		var h httpapi.Hold
		if err == nil && got.Status == http.StatusOK {
			got.Into(t, &h)
			got, err = s.Exchange(t.Context(), c.Request(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": h.HoldToken}))
		}
		told.add(got, err)
	})
	told.want(t, map[string]int{"201 ": 1, "409 slot_full": callers - 1})
	if _, booked := s.Row(t, unit); booked != 1 {
		t.Errorf("%d are booked", booked)
	}
	s.CheckBooks(t)
}

// sealHold makes a hold token of this deployment for a place that Redis may know nothing of, as if Redis had lost it.
func sealHold(t *testing.T, s *jaritest.Server, c *jaritest.Citizen, slotID string, change func(*token.Hold)) string {
	t.Helper()
	box := s.Tokens(t)
	session, err := box.OpenSession(c.Session)
	if err != nil {
		t.Fatal(err)
	}
	id, ok := slot.ParseID(slotID)
	if !ok {
		t.Fatalf("%q isn't a slot", slotID)
	}
	now := time.Now()
	h := token.Hold{
		ID: uuid.New(), Campaign: s.Campaign, Slot: id, Person: session.Person, Actor: session.Person,
		PlacedAt: now, ExpiresAt: now.Add(5 * time.Minute), Wave: "E3", RulesVersion: 1, JudgedAt: s.Clock.Now(),
	}
	if change != nil {
		change(&h)
	}
	text, err := box.SealHold(h)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What Redis promised twice, Postgres gives once, and a refusal is final.
func oneUnitManyTokens(t *testing.T) {
	const callers = 40
	s := jaritest.Start(t)
	unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
	requests := make([]jaritest.Request, callers)
	for i, c := range s.NewCrowd(t, callers, jaritest.BornForE3) {
		requests[i] = c.Request(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": sealHold(t, s, c, unit, nil)})
	}
	var told, toldAgain outcomes
	send := func(o *outcomes) func(int) {
		return func(i int) { o.add(s.Exchange(t.Context(), requests[i])) }
	}
	together(callers, send(&told))
	told.want(t, map[string]int{"201 ": 1, "409 slot_full": callers - 1})
	together(callers, send(&toldAgain))
	toldAgain.want(t, map[string]int{"200 ": 1, "409 slot_full": callers - 1})
	if _, booked := s.Row(t, unit); booked != 1 {
		t.Errorf("%d are booked", booked)
	}
	s.CheckBooks(t)
}

func doubleSubmit(t *testing.T) {
	s := jaritest.Start(t, jaritest.WithRunningClock(jaritest.Begins))
	c := s.NewCitizen(t, jaritest.BornForE3)
	unit := s.Slot(t, jaritest.SiteOfFew, dayE3)

	const clicks = 10
	bodies := make([][]byte, clicks)
	var held outcomes
	together(clicks, func(i int) {
		got, err := s.Exchange(t.Context(), c.Request(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(unit)))
		bodies[i] = got.Body
		held.add(got, err)
	})
	held.want(t, map[string]int{"200 ": clicks})
	var hold httpapi.Hold
	for _, body := range bodies {
		var other httpapi.Hold
		jaritest.Response{Body: body}.Into(t, &other)
		if hold.HoldId == "" {
			hold = other
		}
		if other.HoldId != hold.HoldId || !other.ExpiresAt.Equal(hold.ExpiresAt) {
			t.Errorf("a double click gave the holds %s and %s", hold.HoldId, other.HoldId)
		}
	}

	var booked outcomes
	together(clicks, func(i int) {
		got, err := s.Exchange(t.Context(), c.Request(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": hold.HoldToken}))
		bodies[i] = got.Body
		booked.add(got, err)
	})
	booked.want(t, map[string]int{"201 ": 1, "200 ": clicks - 1})
	for _, body := range bodies[1:] {
		if !bytes.Equal(body, bodies[0]) {
			t.Errorf("the same request had two answers:\n%s\n%s", bodies[0], body)
		}
	}
	if _, n := s.Row(t, unit); n != 1 {
		t.Errorf("%d units are used", n)
	}
	s.Settle(t)
	if n := countMessages(t, c, "booked"); n != 1 {
		t.Errorf("%d messages say that it is booked", n)
	}
	s.CheckBooks(t)
}

func countMessages(t *testing.T, c *jaritest.Citizen, kind string) (n int) {
	t.Helper()
	for _, m := range c.Messages(t) {
		if string(m.Kind) == kind {
			n++
		}
	}
	return n
}

func doubleCancel(t *testing.T) {
	s := jaritest.Start(t, jaritest.WithRunningClock(jaritest.Begins))
	unit := s.Slot(t, jaritest.SiteOfFew, dayE3)
	s.NewCitizen(t, jaritest.BornForE3).MustBook(t, unit)
	c := s.NewCitizen(t, jaritest.BornForE3)
	b := c.MustBook(t, unit)
	const clicks = 10
	bodies := make([][]byte, clicks)
	var told outcomes
	together(clicks, func(i int) {
		got, err := s.Exchange(t.Context(), c.Request(http.MethodDelete, s.Path("/bookings/"+b.BookingId), nil))
		bodies[i] = got.Body
		told.add(got, err)
	})
	told.want(t, map[string]int{"200 ": clicks})
	for _, body := range bodies[1:] {
		if !bytes.Equal(body, bodies[0]) {
			t.Errorf("the same request had two answers:\n%s\n%s", bodies[0], body)
		}
	}
	if _, booked := s.Row(t, unit); booked != 1 {
		t.Errorf("%d are booked after one of two was cancelled", booked)
	}
	s.Settle(t)
	if n := countMessages(t, c, "cancelled"); n != 1 {
		t.Errorf("%d messages say that it is cancelled", n)
	}
	s.CheckBooks(t)
}

func lateDelete(t *testing.T) {
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
	first := c.MustBook(t, unit)
	c.Cancel(t, first.BookingId).Want(t, http.StatusOK)
	second := c.MustBook(t, unit)
	c.Cancel(t, first.BookingId).Want(t, http.StatusOK)
	if b := c.Booking(t); b.BookingId != second.BookingId || b.Status != "active" {
		t.Errorf("a late retry of the first cancellation left %+v", b)
	}
	// The same after a move: the old id names nothing any more.
	third := c.MustBook(t, s.Slots(t, jaritest.SiteOfOne, dayE3)[1].ID, "replaces", second.BookingId)
	c.Cancel(t, second.BookingId).Want(t, http.StatusNotFound, fault.CodeNoBooking)
	if b := c.Booking(t); b.BookingId != third.BookingId || b.Status != "active" {
		t.Errorf("cancelling what was moved away left %+v", b)
	}
	s.CheckBooks(t)
}

func lateHoldRetry(t *testing.T) {
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	slots := s.Slots(t, jaritest.SiteOfFew, dayE3)
	a := c.MustHold(t, slots[0].ID)
	b := c.MustHold(t, slots[1].ID, "instead_of", a.HoldId)
	for _, late := range []jaritest.Response{
		c.Hold(t, slots[0].ID),
		c.Hold(t, slots[0].ID, "instead_of", a.HoldId),
	} {
		p := late.Want(t, http.StatusConflict, fault.CodeHoldsOther).Problem(t)
		if p.Hold == nil || p.Hold.HoldId != b.HoldId || p.Hold.HoldToken == "" {
			t.Errorf("the refusal doesn't bring the live hold: %+v", p.Hold)
		}
	}
	// The retry of the change itself finds it done.
	if again := c.MustHold(t, slots[1].ID, "instead_of", a.HoldId); again.HoldId != b.HoldId {
		t.Errorf("the same change gave the holds %s and %s", b.HoldId, again.HoldId)
	}
	c.Confirm(t, b.HoldToken).Want(t, http.StatusCreated)
	s.CheckBooks(t)
}

func hopping(t *testing.T) {
	s := jaritest.Start(t)
	slots := s.Slots(t, jaritest.SiteOfOne, dayE3)
	hopper, other := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	a := hopper.MustHold(t, slots[0].ID)
	b := hopper.MustHold(t, slots[1].ID, "instead_of", a.HoldId)
	theirs := other.MustHold(t, slots[0].ID)
	for range 2 {
		hopper.Confirm(t, a.HoldToken).Want(t, http.StatusGone, fault.CodeHoldReleased)
	}
	other.Confirm(t, theirs.HoldToken).Want(t, http.StatusCreated)
	hopper.Confirm(t, b.HoldToken).Want(t, http.StatusCreated)
	s.CheckBooks(t)
}

func ownLiveHold(t *testing.T) {
	s := jaritest.Start(t)
	unit := s.Slot(t, jaritest.SiteOfMany, dayE3)
	holder, other := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	own := holder.MustHold(t, unit)
	stranger, err := s.StrangersTokens(t).SealHold(token.Hold{Campaign: s.Campaign, Person: uuid.New(), ExpiresAt: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	for claim, c := range map[string]struct {
		text   string
		status int
		code   fault.Code
	}{
		"another person's hold":     {own.HoldToken, http.StatusForbidden, fault.CodeHoldOfAnother},
		"a hold of other keys":      {stranger, http.StatusBadRequest, fault.CodeHoldTokenInvalid},
		"a session":                 {other.Session, http.StatusBadRequest, fault.CodeHoldTokenInvalid},
		"an admission":              {other.Admission, http.StatusBadRequest, fault.CodeHoldTokenInvalid},
		"the id instead of a token": {own.HoldId, http.StatusBadRequest, fault.CodeHoldTokenInvalid},
		"a hold with a changed end": {own.HoldToken[:len(own.HoldToken)-2] + "xx", http.StatusBadRequest, fault.CodeHoldTokenInvalid},
		"a hold of another campaign": {
			sealHold(t, s, other, unit, func(h *token.Hold) { h.Campaign = "another" }), http.StatusForbidden, fault.CodeHoldOfAnother,
		},
		"a hold that is over": {
			sealHold(t, s, other, unit, func(h *token.Hold) {
				h.PlacedAt, h.ExpiresAt = h.PlacedAt.Add(-10*time.Minute), h.ExpiresAt.Add(-10*time.Minute)
			}), http.StatusGone, fault.CodeHoldExpired,
		},
	} {
		if got := other.Confirm(t, c.text); got.Status != c.status || got.Code != c.code {
			t.Errorf("%s: %d %s, want %d %s", claim, got.Status, got.Code, c.status, c.code)
		}
	}
	if _, booked := s.Row(t, unit); booked != 0 {
		t.Errorf("%d are booked", booked)
	}
	holder.Confirm(t, own.HoldToken).Want(t, http.StatusCreated)
	s.CheckBooks(t)
}

func holdKeyHasNoHolder(t *testing.T) {
	s := jaritest.Start(t)
	unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
	first, second := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	h := first.MustHold(t, unit)
	p := second.Hold(t, unit).Want(t, http.StatusConflict, fault.CodeSlotFull).Problem(t)
	if p.Alternatives == nil || len(*p.Alternatives) == 0 {
		t.Fatal("a full slot comes without alternatives")
	}
	for i, a := range *p.Alternatives {
		if a.Remaining <= 0 || a.SlotId == unit || a.StartsAt.Format(time.DateOnly) > "2021-08-14" {
			t.Errorf("alternative %d isn't one: %+v", i, a)
		}
	}
	if nearest := (*p.Alternatives)[0]; nearest.SiteId != jaritest.SiteOfOne {
		t.Errorf("the first alternative is at %s and not at the same site", nearest.SiteId)
	}
	if !slices.ContainsFunc(*p.Alternatives, func(a httpapi.Alternative) bool { return a.SiteId != jaritest.SiteOfOne }) {
		t.Error("no other site of the region is offered")
	}
	// Given up, it is the next one's at once.
	first.Do(t, http.MethodDelete, s.Path("/hold"), nil).Want(t, http.StatusNoContent)
	first.Do(t, http.MethodDelete, s.Path("/hold"), nil).Want(t, http.StatusNoContent)
	second.MustBook(t, unit)
	first.Confirm(t, h.HoldToken).Want(t, http.StatusGone, fault.CodeHoldReleased)
	s.CheckBooks(t)
}

func twoHoldsConfirmedTogether(t *testing.T) {
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	// In different slots, hence in different lanes, on two instances.
	slots := s.Slots(t, jaritest.SiteOfFew, dayE3)
	both := []*jaritest.Server{s, s.Another(t)}
	tokens := []string{sealHold(t, s, c, slots[0].ID, nil), sealHold(t, s, c, slots[1].ID, nil)}
	var told outcomes
	together(2, func(i int) {
		told.add(both[i].Exchange(t.Context(), c.Request(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": tokens[i]})))
	})
	told.want(t, map[string]int{"201 ": 1, "409 already_booked": 1})
	s.CheckBooks(t)
}

func failedReschedule(t *testing.T) {
	s := jaritest.Start(t)
	mover := s.NewCitizen(t, jaritest.BornForE3)
	old := mover.MustBook(t, s.Slot(t, jaritest.SiteOfFew, dayE3))
	full := s.Slot(t, jaritest.SiteOfOne, dayE3)
	s.NewCitizen(t, jaritest.BornForE3).MustBook(t, full)

	mover.Hold(t, full, "replaces", old.BookingId).Want(t, http.StatusConflict, fault.CodeSlotFull)
	// Also when Redis had promised it.
	lost := sealHold(t, s, mover, full, func(h *token.Hold) { h.Replaces = uuid.MustParse(old.BookingId) })
	mover.Confirm(t, lost).Want(t, http.StatusConflict, fault.CodeSlotFull)
	if b := mover.Booking(t); b.BookingId != old.BookingId || b.Status != "active" {
		t.Errorf("a move that failed left %+v", b)
	}
	// A day of another wave isn't the mover's either.
	mover.Hold(t, s.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay), "replaces", old.BookingId).
		Want(t, http.StatusForbidden, fault.CodeNotEligible)
	if b := mover.Booking(t); b.BookingId != old.BookingId || b.Status != "active" {
		t.Errorf("a move that was refused left %+v", b)
	}
	s.CheckBooks(t)
}

func counterEqualsRows(t *testing.T) {
	const people, steps = 8, 30
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_HOLDS_PER_PERSON", "1000"))
	var slots []string
	for _, site := range []string{jaritest.SiteOfOne, jaritest.SiteOfFew, jaritest.Island} {
		for _, x := range s.Slots(t, site, dayE3) {
			slots = append(slots, x.ID)
		}
	}
	crowd := make([]*jaritest.Citizen, people)
	for i := range crowd {
		crowd[i] = s.NewCitizen(t, jaritest.BornForE3)
	}
	var told outcomes
	together(people, func(i int) {
		w := wanderer{s: s, c: crowd[i], slots: slots, random: rand.New(rand.NewPCG(1, uint64(i)))}
		for range steps {
			told.add(w.step(t))
		}
		told.add(s.Exchange(t.Context(), w.c.Request(http.MethodDelete, s.Path("/hold"), nil)))
	})
	for _, err := range told.faults {
		t.Error(err)
	}
	for outcome := range told.count {
		if outcome[0] == '5' {
			t.Errorf("somebody was told %s: %v", outcome, told.count)
		}
	}
	for _, needed := range []string{"200 ", "201 ", "204 ", "409 slot_full"} {
		if told.count[needed] == 0 {
			t.Errorf("nobody was told %q, so little was tried: %v", needed, told.count)
		}
	}
	s.CheckBooks(t)
	for _, site := range []string{jaritest.SiteOfOne, jaritest.SiteOfFew, jaritest.Island} {
		jaritest.Eventually(t, soon, "what remains at "+site+" is what isn't booked", func() bool {
			for _, x := range s.Slots(t, site, dayE3) {
				if capacity, booked := s.Row(t, x.ID); x.Remaining != capacity-booked {
					return false
				}
			}
			return true
		})
	}
}

// wanderer is somebody who changes their mind all the time.
type wanderer struct {
	s       *jaritest.Server
	c       *jaritest.Citizen
	slots   []string
	random  *rand.Rand
	hold    httpapi.Hold
	booking httpapi.Booking
}

func (w *wanderer) step(t *testing.T) (jaritest.Response, error) {
	ask := func(method, path string, body any, into any) (jaritest.Response, error) {
		got, err := w.s.Exchange(t.Context(), w.c.Request(method, w.s.Path(path), body))
		if err == nil && into != nil && got.Status < 300 {
			got.Into(t, into)
		}
		return got, err
	}
	switch w.random.IntN(4) {
	case 0, 1:
		body := jaritest.HoldBody(w.slots[w.random.IntN(len(w.slots))])
		if w.hold.HoldId != "" {
			body["instead_of"] = w.hold.HoldId
		}
		if w.booking.Status == "active" && w.random.IntN(3) > 0 {
			body["replaces"] = w.booking.BookingId
		}
		return ask(http.MethodPut, "/hold", body, &w.hold)
	case 2:
		if w.hold.HoldToken == "" {
			return ask(http.MethodDelete, "/hold", nil, nil)
		}
		return ask(http.MethodPut, "/booking", map[string]any{"hold_token": w.hold.HoldToken}, &w.booking)
	default:
		if w.booking.BookingId == "" {
			return ask(http.MethodDelete, "/hold", nil, nil)
		}
		return ask(http.MethodDelete, "/bookings/"+w.booking.BookingId, nil, &w.booking)
	}
}

func TestMovingABooking(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	c, next := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	slots := s.Slots(t, jaritest.SiteOfOne, dayE3)
	old := c.MustBook(t, slots[0].ID)
	before := calendar(t, c)

	hold := c.MustHold(t, slots[1].ID, "replaces", old.BookingId)
	if hold.Replaces == nil || *hold.Replaces != old.BookingId {
		t.Errorf("the hold says that it replaces %v", hold.Replaces)
	}
	if b := c.Booking(t); b.BookingId != old.BookingId {
		t.Error("holding alone has moved the booking")
	}
	next.Hold(t, slots[0].ID).Want(t, http.StatusConflict, fault.CodeSlotFull)

	var moved httpapi.Booking
	c.Confirm(t, hold.HoldToken).Want(t, http.StatusCreated).Into(t, &moved)
	c.Confirm(t, hold.HoldToken).Want(t, http.StatusOK)
	if moved.Reference != old.Reference || moved.BookingId == old.BookingId || moved.Slot.SlotId != slots[1].ID {
		t.Errorf("the booking was %+v and is %+v after the move", old, moved)
	}
	after := calendar(t, c)
	if after.uid != before.uid || after.sequence <= before.sequence || after.method != "PUBLISH" || after.starts.Equal(before.starts) {
		t.Errorf("the calendar entry was %+v and is %+v after the move", before, after)
	}
	next.MustBook(t, slots[0].ID)
	message(t, c, "moved")

	// A second move of what was moved away finds nothing, and a cancellation ends the whole chain.
	c.Hold(t, slots[0].ID, "replaces", old.BookingId).Want(t, http.StatusNotFound, fault.CodeNoBooking)
	c.Cancel(t, moved.BookingId).Want(t, http.StatusOK)
	if ended := calendar(t, c); ended.uid != before.uid || ended.sequence <= after.sequence || ended.method != "CANCEL" {
		t.Errorf("the calendar entry was %+v and is %+v after cancelling", after, ended)
	}
	s.CheckBooks(t)
}

func TestWhoHasBookedBooksNoSecondPlace(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	c, other := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	first := c.MustBook(t, s.Slot(t, jaritest.SiteOfFew, dayE3))
	unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
	// Refused when it is held or when it is confirmed; either way nothing is kept from others. Until Redis is told of the
	// booking, its hold is what the citizen has.
	jaritest.Eventually(t, 10*time.Second, "the citizen is told that there is a booking", func() bool {
		got := c.Hold(t, unit)
		switch {
		case got.Code == fault.CodeHoldsOther:
			return false
		case got.Status == http.StatusOK:
			var h httpapi.Hold
			got.Into(t, &h)
			got = c.Confirm(t, h.HoldToken)
		}
		got.Want(t, http.StatusConflict, fault.CodeAlreadyBooked)
		return true
	})
	if b := c.Booking(t); b.BookingId != first.BookingId || b.Status != "active" {
		t.Errorf("the first booking became %+v", b)
	}
	other.MustBook(t, unit)
	s.CheckBooks(t)
}

func TestCutOffsAreKept(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	slots := s.Slots(t, jaritest.SiteOfOne, dayE3)
	b := c.MustBook(t, slots[0].ID) // 27 July at nine; changes and new bookings end a day before
	s.Clock.Set(jaritest.Instant("2021-07-26T09:00:00+09:00").Add(-time.Millisecond))
	later := c.MustHold(t, slots[1].ID, "replaces", b.BookingId)
	c.Do(t, http.MethodDelete, s.Path("/hold"), nil).Want(t, http.StatusNoContent)
	c.Confirm(t, later.HoldToken).Want(t, http.StatusGone, fault.CodeHoldReleased)

	s.Clock.Set(jaritest.Instant("2021-07-26T09:00:00+09:00"))
	c.Cancel(t, b.BookingId).Want(t, http.StatusConflict, fault.CodeChangeClosed)
	c.Hold(t, slots[1].ID, "replaces", b.BookingId).Want(t, http.StatusConflict, fault.CodeChangeClosed)
	if now := c.Booking(t); now.Status != "active" {
		t.Errorf("the booking is %s", now.Status)
	}
	wantRemaining(t, s, jaritest.SiteOfOne, dayE3, 0)
	s.CheckBooks(t)
}

// remaining is what the public is shown: for a slot, and for its site on its day.
func remaining(t *testing.T, s *jaritest.Server, site, day, id string) (slot, ofSite int) {
	t.Helper()
	slot = -1
	for _, x := range s.Slots(t, site, day) {
		if x.ID == id {
			slot = x.Remaining
		}
	}
	var region httpapi.RegionDay
	s.Do(t, http.MethodGet, s.Path("/regions/"+jaritest.Region+"/days/"+day), nil).Want(t, http.StatusOK).Into(t, &region)
	for _, x := range region.Sites {
		if x.SiteId == site {
			return slot, x.Remaining
		}
	}
	t.Fatalf("site %s isn't among those of the region", site)
	return 0, 0
}

// cancelFreesEveryPool: a place that is given back is free wherever it was taken: in the row, for whoever holds next, and
// in all that the public is shown.
func cancelFreesEveryPool(t *testing.T) {
	s := jaritest.Start(t)
	slots := s.Slots(t, jaritest.SiteOfOne, dayE3)
	c := s.NewCitizen(t, jaritest.BornForE3)
	shows := func(slot, site int) func() bool {
		return func() bool {
			a, b := remaining(t, s, jaritest.SiteOfOne, dayE3, slots[0].ID)
			return a == slot && b == site
		}
	}
	b := c.MustBook(t, slots[0].ID)
	jaritest.Eventually(t, 10*time.Second, "the documents show that it is taken", shows(0, 1))
	c.Cancel(t, b.BookingId).Want(t, http.StatusOK)
	if _, booked := s.Row(t, slots[0].ID); booked != 0 {
		t.Errorf("the row still says %d booked", booked)
	}
	jaritest.Eventually(t, 10*time.Second, "the documents show that it is free", shows(1, 2))
	s.NewCitizen(t, jaritest.BornForE3).MustBook(t, slots[0].ID)
	s.CheckBooks(t)
}

// partsEqualTotal: what a region's day says of a site is the sum of what the site says of its slots, and both are what the
// rows and the live holds leave.
func partsEqualTotal(t *testing.T) {
	s := jaritest.Start(t)
	var ids []string
	left := 0
	for _, x := range s.Slots(t, jaritest.SiteOfFew, dayE3) {
		ids = append(ids, x.ID)
		left += x.Remaining
	}
	crowd := s.NewCrowd(t, 4, jaritest.BornForE3)
	crowd[0].MustBook(t, ids[0])
	crowd[1].MustBook(t, ids[1])
	crowd[2].MustHold(t, ids[1])
	moved := crowd[3].MustBook(t, ids[0])
	crowd[3].MustBook(t, ids[1], "replaces", moved.BookingId)
	left -= len(crowd)
	jaritest.Eventually(t, 10*time.Second, "the parts are the total", func() bool {
		sum := 0
		for _, x := range s.Slots(t, jaritest.SiteOfFew, dayE3) {
			sum += x.Remaining
		}
		_, total := remaining(t, s, jaritest.SiteOfFew, dayE3, ids[0])
		return sum == left && total == left
	})
	s.CheckBooks(t)
}

// oneStock: whoever gives places away, through whichever instance and whichever Redis, gives away the same ones.
func oneStock(t *testing.T) {
	s := jaritest.Start(t)
	// A partner whose Redis is another: its copies and holds know nothing of ours.
	partner := s.Another(t, jaritest.WithEnvironment("JARI_REDIS_URL", storetest.RedisURL(t)))
	unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
	ours, theirs := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3).At(partner)
	held := theirs.MustHold(t, unit)
	ours.MustBook(t, unit)
	theirs.Confirm(t, held.HoldToken).Want(t, http.StatusConflict, fault.CodeSlotFull)
	// And once it has run out, the partner's next customer is told so.
	s.NewCitizen(t, jaritest.BornForE3).At(partner).Hold(t, unit).Want(t, http.StatusConflict, fault.CodeSlotFull)
	s.CheckBooks(t)
}

// rescheduleCountsOnce: somebody who moves is one person with one booking at every moment, and there and back again costs
// nobody a place.
func rescheduleCountsOnce(t *testing.T) {
	s := jaritest.Start(t)
	slots := s.Slots(t, jaritest.SiteOfOne, dayE3)
	c := s.NewCitizen(t, jaritest.BornForE3)
	b := c.MustBook(t, slots[0].ID)
	for i := range 4 {
		to, from := slots[(i+1)%2].ID, slots[i%2].ID
		b = c.MustBook(t, to, "replaces", b.BookingId)
		_, there := s.Row(t, to)
		if _, here := s.Row(t, from); there != 1 || here != 0 {
			t.Fatalf("after move %d, %d are booked where it went and %d where it came from", i+1, there, here)
		}
	}
	s.NewCitizen(t, jaritest.BornForE3).MustBook(t, slots[1].ID)
	s.CheckBooks(t)
}

func capacityBelowBooked(t *testing.T) {
	s := jaritest.Start(t)
	unit := s.Slot(t, jaritest.SiteOfFew, dayE3)
	for range 2 {
		s.NewCitizen(t, jaritest.BornForE3).MustBook(t, unit)
	}
	key := s.AdminKey(t, "publisher")
	change := func(capacity int) jaritest.Response {
		return s.Send(t, jaritest.JSON(http.MethodPatch, "/admin/v1/campaigns/"+s.Campaign+"/slots/"+unit,
			map[string]any{"capacity": capacity}).With("Authorization", "Bearer "+key))
	}
	var p httpapi.Problem
	change(1).Want(t, http.StatusConflict, fault.CodeCapacityBelowBooked).Into(t, &p)
	if p.Booked == nil || *p.Booked != 2 {
		t.Errorf("the refusal says that %v are booked", p.Booked)
	}
	if capacity, booked := s.Row(t, unit); capacity != 3 || booked != 2 {
		t.Errorf("the refusal left %d of %d", booked, capacity)
	}
	change(2).Want(t, http.StatusOK)
	s.NewCitizen(t, jaritest.BornForE3).Hold(t, unit).Want(t, http.StatusConflict, fault.CodeSlotFull)
	s.CheckBooks(t)
}
