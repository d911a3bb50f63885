package admin_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// telephone is a desk that may book half of a site's places on a day.
type telephone struct {
	*jaritest.Server
	key string
}

func newTelephone(t *testing.T, options ...jaritest.Option) *telephone {
	t.Helper()
	s := jaritest.Start(t, append([]jaritest.Option{jaritest.WithEnvironment("JARI_DESK_SHARE", "50")}, options...)...)
	return &telephone{Server: s, key: s.AdminKey(t, "desk")}
}

func (d *telephone) do(t *testing.T, method, path string, body any) jaritest.Response {
	t.Helper()
	return do(t, d.Server, d.key, method, path, body)
}

func (d *telephone) campaign(rest string) string { return "/admin/v1/campaigns/" + d.Campaign + rest }

func (d *telephone) register(t *testing.T, c *jaritest.Citizen, more ...any) jaritest.Response {
	t.Helper()
	body := map[string]any{"name": c.Name, "birth_date": c.BirthDate, "phone": c.Phone, "reason": "telephones"}
	for i := 0; i+1 < len(more); i += 2 {
		body[more[i].(string)] = more[i+1] //nolint:forcetypeassert // in pairs
	}
	return d.do(t, http.MethodPost, "/admin/v1/people", body)
}

// caller is somebody whom the desk has registered, under another name than everybody else's.
func (d *telephone) caller(t *testing.T, name string) (c *jaritest.Citizen, id string) {
	t.Helper()
	c = d.Stranger(bornE3)
	c.Name = name
	var p httpapi.MaskedPerson
	d.register(t, c).Want(t, http.StatusCreated).Into(t, &p)
	return c, p.PersonId
}

func (d *telephone) book(t *testing.T, person, slot string, more ...string) jaritest.Response {
	t.Helper()
	body := jaritest.HoldBody(slot, append(more, "reason", "telephones")...)
	return d.do(t, http.MethodPut, d.campaign("/people/"+person+"/booking"), body)
}

// The whole way of somebody without a screen, who looks at what was done for them when they have one.
func TestTheDeskBooksMovesAndCancelsForACaller(t *testing.T) {
	t.Parallel()
	d := newTelephone(t)
	slots := d.Slots(t, jaritest.SiteOfFew, theDay)
	c, id := d.caller(t, "남궁가을")
	var found httpapi.PeopleList
	d.do(t, http.MethodPost, "/admin/v1/people/search", map[string]any{
		"person": map[string]any{"phone": c.Phone}, "reason": "telephones again",
	}).Want(t, http.StatusOK).Into(t, &found)
	if len(found.People) != 1 || found.People[0].PersonId != id || *found.People[0].Name != "남**을" {
		t.Fatalf("%+v", found)
	}
	var first, again, moved httpapi.StaffBooking
	d.book(t, id, slots[0].ID).Want(t, http.StatusCreated).Into(t, &first)
	before := d.State(t)
	d.book(t, id, slots[0].ID).Want(t, http.StatusOK).Into(t, &again)
	if again.BookingId != first.BookingId || first.Person.PersonId != id {
		t.Errorf("%+v, then %+v", first, again)
	}
	for _, change := range before.Changed(d.State(t)) {
		t.Errorf("sent again, it changed %s", change)
	}
	d.book(t, id, slots[1].ID).Want(t, http.StatusConflict, fault.CodeAlreadyBooked)
	d.book(t, id, slots[1].ID, "replaces", first.BookingId).Want(t, http.StatusCreated).Into(t, &moved)
	d.book(t, id, slots[1].ID, "replaces", first.BookingId).Want(t, http.StatusOK)
	// At home they are the same person, and find it.
	c.Verify(t)
	if c.PersonID(t) != id {
		t.Fatalf("at home they are %s, for the desk %s", c.PersonID(t), id)
	}
	if b := c.Booking(t); b.BookingId != moved.BookingId || b.Reference != first.Reference {
		t.Errorf("they see %+v", b)
	}
	jaritest.Eventually(t, 20e9, "they are told", func() bool {
		for _, m := range c.Messages(t) {
			if m.Kind == "moved" && strings.Contains(m.Text, first.Reference) {
				return true
			}
		}
		return false
	})
	var gone httpapi.StaffBooking
	cancel := d.campaign("/bookings/" + moved.BookingId + "/cancel")
	for range 2 {
		d.do(t, http.MethodPost, cancel, map[string]any{"reason": "is ill"}).Want(t, http.StatusOK).Into(t, &gone)
	}
	if gone.Status != httpapi.StaffBookingStatusCancelled {
		t.Errorf("%+v", gone)
	}
	owner := d.AdminKey(t, "owner")
	var done []string
	for _, e := range entries(t, d.Server, owner, "?person="+id) {
		if e.Reason == nil || e.Actor != "key:"+strings.Split(d.key, ".")[2] {
			t.Errorf("the audit doesn't say who and why: %+v", e)
		}
		done = append(done, e.Act)
	}
	// Newest first; what was refused was asked for too.
	if want := "booking.cancel_for booking.move_for booking.book_for booking.book_for person.search person.register"; strings.Join(done, " ") != want {
		t.Errorf("the audit has %v", done)
	}
	d.CheckBooks(t)
	d.WantNoTrace(t, []*jaritest.Citizen{c})
}

func TestTheDeskKnowsWhoIsRegisteredAlready(t *testing.T) {
	t.Parallel()
	d := newTelephone(t)
	c, id := d.caller(t, "남궁가을")
	var p httpapi.MaskedPerson
	d.register(t, c).Want(t, http.StatusOK).Into(t, &p)
	if p.PersonId != id {
		t.Errorf("twice: %+v", p)
	}
	other := *c
	other.Phone = d.NewPhone()
	d.register(t, &other).Want(t, http.StatusConflict, fault.CodePossiblyRegistered)
	d.register(t, &other, "another", true).Want(t, http.StatusCreated)
	other.BirthDate = "1890-01-01"
	d.register(t, &other).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	other.BirthDate, other.Phone = c.BirthDate, "02-123-4567"
	d.register(t, &other).Want(t, http.StatusBadRequest, fault.CodePhoneUnsupported)
	// The rules are everybody's.
	late := d.Stranger(jaritest.BornForF2)
	d.register(t, late).Want(t, http.StatusCreated).Into(t, &p)
	lateID := p.PersonId
	refused := d.book(t, lateID, d.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay)).Want(t, http.StatusForbidden, fault.CodeNotEligible).Problem(t)
	if refused.Decision == nil || refused.Decision.Next == nil {
		t.Errorf("the desk can't say from when on: %+v", refused)
	}
}

// one_stock_for_all_channels, and what is left of it for those who don't telephone.
func TestTheDeskBooksItsShareAndNoMore(t *testing.T) {
	t.Parallel()
	d := newTelephone(t)
	slots := d.Slots(t, jaritest.SiteOfFew, theDay) // two of three places: three of six are the desk's
	var ids []string
	for _, name := range []string{"가하나", "가둘이", "가세찌", "가네찌", "가다섯", "가여섯"} {
		_, id := d.caller(t, name)
		ids = append(ids, id)
	}
	answers := make([]jaritest.Response, len(ids))
	var wait sync.WaitGroup
	for i, id := range ids {
		wait.Go(func() {
			q := jaritest.JSON(http.MethodPut, d.campaign("/people/"+id+"/booking"), map[string]any{"slot_id": slots[i%2].ID, "reason": "telephones"})
			answers[i], _ = d.Exchange(t.Context(), q.With("Authorization", "Bearer "+d.key))
		})
	}
	wait.Wait()
	made, refused := "", ""
	for i, a := range answers {
		switch {
		case a.Status == http.StatusCreated:
			made = ids[i]
		case a.Code == fault.CodeDeskShare:
			refused = ids[i]
		default:
			t.Errorf("caller %d: %d %s", i, a.Status, a.Body)
		}
	}
	var active int
	if err := d.Pool.QueryRow(t.Context(), `SELECT count(*) FROM bookings WHERE status = 'active'`).Scan(&active); err != nil || active != 3 {
		t.Fatalf("of six places the desk booked %d, %v", active, err)
	}
	// Whoever was refused holds nothing, and the other places are there for everybody else.
	for i := range 3 {
		c := d.NewCitizen(t, jaritest.BornForE3)
		for _, x := range d.Slots(t, jaritest.SiteOfFew, theDay) {
			if got := c.Hold(t, x.ID); got.Status == http.StatusOK {
				var h httpapi.Hold
				got.Into(t, &h)
				c.Confirm(t, h.HoldToken).Want(t, http.StatusCreated)
				break
			} else if x.ID == slots[1].ID {
				t.Fatalf("citizen %d finds no place: %s", i, got.Body)
			}
		}
	}
	// What is cancelled counts no more.
	var b string
	if err := d.Pool.QueryRow(t.Context(), `SELECT booking_id::text FROM bookings WHERE person_id = $1::text::uuid AND status = 'active'`, made).Scan(&b); err != nil {
		t.Fatal(err)
	}
	d.do(t, http.MethodPost, d.campaign("/bookings/"+b+"/cancel"), map[string]any{"reason": "is ill"}).Want(t, http.StatusOK)
	for _, x := range slots {
		if got := d.book(t, refused, x.ID); got.Status == http.StatusCreated {
			d.CheckBooks(t)
			return
		}
	}
	t.Error("the place that was given back can't be booked by the desk")
}

const lineBeforeF1 = `
rooms:
  - room: evening
    waves: [F1]
    admit_per_second: 1
`

// A call is no way around the line: the desk takes the caller's place, and books when it is called.
func TestWhoTelephonesWaitsInTheSameLine(t *testing.T) {
	t.Parallel()
	d := newTelephone(t, jaritest.WithRooms(lineBeforeF1))
	room := d.Campaign + ".evening"
	c := d.Stranger(jaritest.BornForF1)
	var p httpapi.MaskedPerson
	d.register(t, c).Want(t, http.StatusCreated).Into(t, &p)
	unit := d.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay)
	place := func() jaritest.Response {
		return d.do(t, http.MethodPut, "/admin/v1/rooms/"+room+"/people/"+p.PersonId+"/place", map[string]any{"reason": "telephones"})
	}
	d.book(t, p.PersonId, unit).Want(t, http.StatusForbidden, fault.CodeNotEligible) // not open yet
	place().Want(t, http.StatusConflict, fault.CodeRoomNotOpen)
	d.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	d.book(t, p.PersonId, unit).Want(t, http.StatusConflict, fault.CodePlaceRequired)
	var stands httpapi.DeskPlace
	jaritest.Eventually(t, 20e9, "the room opens", func() bool {
		got := place()
		if got.Status == http.StatusOK {
			got.Into(t, &stands)
		}
		return got.Status == http.StatusOK
	})
	again := place().Want(t, http.StatusOK)
	var second httpapi.DeskPlace
	again.Into(t, &second)
	if stands.Position == nil || second.Position == nil || *stands.Position != *second.Position {
		t.Errorf("two places: %+v, %+v", stands, second)
	}
	jaritest.Eventually(t, 30e9, "their turn comes", func() bool {
		got := d.book(t, p.PersonId, unit)
		if got.Code != fault.CodeNotYourTurn && got.Status != http.StatusCreated && got.Status != http.StatusOK {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		return got.Code == ""
	})
	// At home they have the same place, and the booking.
	c.Verify(t)
	if b := c.Booking(t); b.Slot.SlotId != unit {
		t.Errorf("%+v", b)
	}
	stranger := d.Stranger(jaritest.BornForE3)
	d.register(t, stranger).Want(t, http.StatusCreated).Into(t, &p)
	place().Want(t, http.StatusForbidden, fault.CodeNotEligible)
}

func TestWhatTheDeskMayDoIsPublic(t *testing.T) {
	t.Parallel()
	d := newTelephone(t, jaritest.WithEnvironment("JARI_DESK_AFTER", "200h"))
	var c httpapi.Campaign
	d.Do(t, http.MethodGet, d.Path(""), nil).Want(t, http.StatusOK).Into(t, &c)
	if c.Desk.SharePercent != 50 || c.Desk.AfterSeconds != 720_000 {
		t.Errorf("%+v", c.Desk)
	}
	_, id := d.caller(t, "남궁가을")
	before := d.State(t)
	if p := d.book(t, id, d.Slot(t, jaritest.SiteOfMany, theDay)).Want(t, http.StatusConflict, fault.CodeDeskNotYet).Problem(t); p.RetryAt == nil {
		t.Errorf("%+v", p)
	}
	for _, change := range before.Changed(d.State(t)) {
		t.Errorf("a refusal changed %s", change)
	}
}

// A booking that the desk made counts where it is, whoever moved it there: what may not be booked in one place can't be booked in
// another and moved.
func TestADeskBookingThatMovesCountsWhereItIs(t *testing.T) {
	t.Parallel()
	d := newTelephone(t)
	here, there := d.Slots(t, jaritest.SiteOfOne, theDay), d.Slots(t, jaritest.SiteOfFew, theDay) // one of two, three of six are the desk's
	booked := func(r jaritest.Response) string {
		t.Helper()
		var b httpapi.StaffBooking
		r.Want(t, http.StatusCreated).Into(t, &b)
		return b.BookingId
	}
	first, firstID := d.caller(t, "가하나")
	_, second := d.caller(t, "가둘이")
	mine := booked(d.book(t, firstID, here[0].ID))
	theirs := booked(d.book(t, second, there[0].ID))
	d.book(t, second, here[1].ID, "replaces", theirs).Want(t, http.StatusConflict, fault.CodeDeskShare)
	theirs = booked(d.book(t, second, there[1].ID, "replaces", theirs)) // within the site's day it is the same share

	// At home they move it like everybody; now it is of the other site's share.
	first.Verify(t)
	first.Admit(t)
	first.MustBook(t, there[0].ID, "replaces", mine)
	booked(d.book(t, second, here[1].ID, "replaces", theirs))
	for _, name := range []string{"가세찌", "가네찌"} {
		_, id := d.caller(t, name)
		booked(d.book(t, id, there[1].ID))
	}
	_, late := d.caller(t, "가다섯")
	d.book(t, late, there[0].ID).Want(t, http.StatusConflict, fault.CodeDeskShare)
	d.book(t, late, here[0].ID).Want(t, http.StatusConflict, fault.CodeDeskShare)

	// A clearing asks nobody's share, and what it moves counts where it is.
	d.CatchUp(t)
	editor := d.AdminKey(t, "editor")
	applies(t, d.Server, editor, clearing(t, d.Server, editor, map[string]any{"site_id": jaritest.SiteOfOne, "date": theDay, "move_to": "site"})).
		Want(t, http.StatusOK)
	d.CatchUp(t)
	next := d.Slots(t, jaritest.SiteOfOne, "2021-08-03")
	d.book(t, late, next[1].ID).Want(t, http.StatusConflict, fault.CodeDeskShare)
	// What a person booked themself is theirs to have moved: it never was the desk's.
	self := d.NewCitizen(t, bornE3)
	b := self.MustBook(t, d.Slot(t, jaritest.SiteOfMany, theDay))
	booked(d.book(t, self.PersonID(t), next[1].ID, "replaces", b.BookingId))
	d.CheckBooks(t)
}
