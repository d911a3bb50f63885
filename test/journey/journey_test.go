// Package journey_test walks through real servers as citizens do: the whole way in order, and then every way that people
// and their browsers have been known to leave it. Subtests that carry the name of a published failure are written with
// underscores, as that name is.
package journey_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	ics "github.com/arran4/golang-ical"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// soon bounds waiting for what happens beside requests: messages, documents that are kept for a second.
const soon = 20 * time.Second

// dayE3 is a day of the small campaign that those may book who may book at the start.
const dayE3 = "2021-07-27"

func TestOneCitizenBooksOnePlace(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithExample())

	// What is given away, to whom and when.
	var list httpapi.CampaignList
	s.Do(t, http.MethodGet, "/v1/campaigns", nil).Want(t, http.StatusOK).Into(t, &list)
	if len(list.Campaigns) != 1 || list.Campaigns[0].CampaignId != "korea-2021" || list.Campaigns[0].State != "open" {
		t.Fatalf("the campaigns are %+v", list.Campaigns)
	}
	var campaign httpapi.Campaign
	s.Do(t, http.MethodGet, s.Path(""), nil).Want(t, http.StatusOK).Into(t, &campaign)
	if len(campaign.Waves) != 4 || len(campaign.Regions) != 17 || len(campaign.Rooms) != 1 {
		t.Fatalf("the campaign has %d waves, %d regions and %d rooms", len(campaign.Waves), len(campaign.Regions), len(campaign.Rooms))
	}

	// Who may book, before and at the opening.
	wantDecision(t, s, "1964-05-05", "yes", "E3", "")
	wantDecision(t, s, "1967-03-09", "no", "", jaritest.OpensF1)
	s.Clock.Set(jaritest.Instant("2021-07-19T19:59:59.999+09:00"))
	wantDecision(t, s, "1967-03-09", "no", "", jaritest.OpensF1)
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	wantDecision(t, s, "1967-03-09", "yes", "F1", "")

	// Who asks.
	c := s.Stranger("1967-03-09")
	session := c.Verify(t)
	if session.Person.Name != "남**이" || session.Person.BirthDate.String() != "1967-03-09" {
		t.Errorf("the session is of %+v", session.Person)
	}
	wantStep(t, c, "choose")
	c.Admit(t)

	// What is free.
	var sites httpapi.SiteList
	s.Do(t, http.MethodGet, s.Path("/regions/jeju/sites"), nil).Want(t, http.StatusOK).Into(t, &sites)
	if len(sites.Sites) == 0 {
		t.Fatal("there are no sites on Jeju")
	}
	site := sites.Sites[0]
	day := "2021-08-17"
	dayBefore := remainingOfDay(t, s, "jeju", day, site.SiteId)
	slot := s.Slots(t, site.SiteId, day)[0]
	if slot.Remaining == 0 || dayBefore < slot.Remaining {
		t.Fatalf("the slot has %d places and the site %d", slot.Remaining, dayBefore)
	}

	// Holding it.
	hold := c.MustHold(t, slot.ID)
	wantRemaining(t, s, site.SiteId, day, slot.Remaining-1)
	jaritest.Eventually(t, soon, "the region's day shows the hold", func() bool {
		return remainingOfDay(t, s, "jeju", day, site.SiteId) == dayBefore-1
	})
	if me := wantStep(t, c, "confirm"); me.Hold == nil || me.Hold.HoldId != hold.HoldId {
		t.Errorf("the step to confirm brings the hold %+v", me.Hold)
	}

	// Making it durable.
	var booking httpapi.Booking
	c.Confirm(t, hold.HoldToken).Want(t, http.StatusCreated).Into(t, &booking)
	var again httpapi.Booking
	c.Confirm(t, hold.HoldToken).Want(t, http.StatusOK).Into(t, &again)
	for _, other := range []httpapi.Booking{again, c.Booking(t)} {
		if other.BookingId != booking.BookingId || other.Reference != booking.Reference || other.Status != "active" || other.Slot != booking.Slot {
			t.Errorf("the booking is %+v and was %+v", other, booking)
		}
	}
	if booking.Slot.SlotId != slot.ID || booking.Site.SiteId != site.SiteId {
		t.Errorf("booked was slot %s at %s instead of %s at %s", booking.Slot.SlotId, booking.Site.SiteId, slot.ID, site.SiteId)
	}
	if _, booked := s.Row(t, slot.ID); booked != 1 {
		t.Errorf("Postgres counts %d booked", booked)
	}
	c.Do(t, http.MethodGet, s.Path("/hold"), nil).Want(t, http.StatusNotFound, fault.CodeNoHold)
	wantRemaining(t, s, site.SiteId, day, slot.Remaining-1)
	if me := wantStep(t, c, "booked"); me.Booking == nil || me.Booking.Reference != booking.Reference {
		t.Errorf("the step after booking brings %+v", me.Booking)
	}
	published := calendar(t, c)
	if published.method != "PUBLISH" || published.status != "CONFIRMED" || !published.starts.Equal(booking.Slot.StartsAt) || !published.ends.Equal(booking.Slot.EndsAt) {
		t.Errorf("the calendar entry is %+v", published)
	}
	if text := message(t, c, "booked"); !strings.Contains(text, booking.Reference) || !strings.Contains(text, site.Name) {
		t.Errorf("the message doesn't say which booking where: %q", text)
	}

	// Giving it back.
	var cancelled httpapi.Booking
	c.Cancel(t, booking.BookingId).Want(t, http.StatusOK).Into(t, &cancelled)
	if cancelled.Status != "cancelled" || cancelled.CancelledAt == nil || cancelled.Reference != booking.Reference {
		t.Errorf("cancelled is %+v", cancelled)
	}
	c.Cancel(t, booking.BookingId).Want(t, http.StatusOK)
	if _, booked := s.Row(t, slot.ID); booked != 0 {
		t.Errorf("Postgres counts %d booked after cancelling twice", booked)
	}
	wantRemaining(t, s, site.SiteId, day, slot.Remaining)
	ended := calendar(t, c)
	if ended.method != "CANCEL" || ended.status != "CANCELLED" || ended.uid != published.uid || ended.sequence <= published.sequence {
		t.Errorf("the calendar entry was %+v and is %+v after cancelling", published, ended)
	}
	if text := message(t, c, "cancelled"); !strings.Contains(text, booking.Reference) {
		t.Errorf("the message doesn't say which booking: %q", text)
	}
	wantStep(t, c, "choose")
	if b := c.Booking(t); b.Status != "cancelled" || b.BookingId != booking.BookingId {
		t.Errorf("after cancelling the booking is %+v", b)
	}
	c.Confirm(t, hold.HoldToken).Want(t, http.StatusGone, fault.CodeHoldSpent)

	// And once more.
	second := c.MustBook(t, slot.ID)
	if second.Reference == booking.Reference || second.BookingId == booking.BookingId {
		t.Error("a new booking has the reference or the id of the cancelled one")
	}
	if entry := calendar(t, c); entry.uid == published.uid || entry.method != "PUBLISH" {
		t.Errorf("the new booking's calendar entry is %+v, and the cancelled one's was %+v", entry, published)
	}
	s.CheckBooks(t)
}

func wantDecision(t *testing.T, s *jaritest.Server, born, eligible, wave, from string) {
	t.Helper()
	var d httpapi.Decision
	s.Do(t, http.MethodPost, s.Path("/eligibility"), map[string]any{"birth_date": born}).Want(t, http.StatusOK).Into(t, &d)
	if string(d.Eligible) != eligible {
		t.Errorf("born %s: %s, want %s", born, d.Eligible, eligible)
	}
	if wave != "" && (d.Wave == nil || *d.Wave != wave) {
		t.Errorf("born %s: the wave isn't %s: %+v", born, wave, d)
	}
	if from == "" {
		return
	}
	if d.Next == nil || d.Next.EligibleFromAt.Format(time.RFC3339) != from {
		t.Errorf("born %s: next is %+v, want %s", born, d.Next, from)
	}
}

// wantStep asks where the citizen goes on.
func wantStep(t *testing.T, c *jaritest.Citizen, step string) httpapi.MyCampaign {
	t.Helper()
	var me httpapi.Me
	c.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK).Into(t, &me)
	if len(me.Campaigns) != 1 || string(me.Campaigns[0].Step) != step {
		t.Fatalf("the steps are %+v, want %s", me.Campaigns, step)
	}
	return me.Campaigns[0]
}

func remainingOfDay(t *testing.T, s *jaritest.Server, region, day, site string) int {
	t.Helper()
	var d httpapi.RegionDay
	s.Do(t, http.MethodGet, s.Path("/regions/"+region+"/days/"+day), nil).Want(t, http.StatusOK).Into(t, &d)
	for _, x := range d.Sites {
		if x.SiteId == site {
			return x.Remaining
		}
	}
	t.Fatalf("%s has nothing on %s", site, day)
	return 0
}

// wantRemaining waits until the public document of a site says so; it may be a second old.
func wantRemaining(t *testing.T, s *jaritest.Server, site, day string, want int) {
	t.Helper()
	jaritest.Eventually(t, soon, "the site shows what remains", func() bool {
		return s.Slots(t, site, day)[0].Remaining == want
	})
}

// entry is what a calendar would show of a booking.
type entry struct {
	method, status, uid, sequence string
	starts, ends                  time.Time
}

func calendar(t *testing.T, c *jaritest.Citizen) (e entry) {
	t.Helper()
	got := c.Do(t, http.MethodGet, "/v1/campaigns/"+campaignOf(t, c)+"/booking/calendar.ics", nil).Want(t, http.StatusOK)
	file, err := ics.ParseCalendar(strings.NewReader(string(got.Body)))
	if err != nil {
		t.Fatalf("the calendar file can't be read: %v\n%s", err, got.Body)
	}
	for _, p := range file.CalendarProperties {
		if p.IANAToken == "METHOD" {
			e.method = p.Value
		}
	}
	events := file.Events()
	if len(events) != 1 {
		t.Fatalf("the calendar file has %d entries", len(events))
	}
	e.uid = events[0].Id()
	e.status = events[0].GetProperty(ics.ComponentPropertyStatus).Value
	e.sequence = events[0].GetProperty(ics.ComponentPropertySequence).Value
	if e.starts, err = events[0].GetStartAt(); err != nil {
		t.Fatal(err)
	}
	if e.ends, err = events[0].GetEndAt(); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestCalendarFilesAreWrittenAsTheStandardSays(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	c.MustBook(t, s.Slot(t, jaritest.SiteOfMany, dayE3))
	got := c.Do(t, http.MethodGet, s.Path("/booking/calendar.ics"), nil).Want(t, http.StatusOK)
	if kind := got.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/calendar") {
		t.Errorf("the file is %s", kind)
	}
	lines := strings.SplitAfter(string(got.Body), "\n")
	for _, line := range lines[:len(lines)-1] {
		if !strings.HasSuffix(line, "\r\n") {
			t.Errorf("a line doesn't end in CRLF: %q", line)
			break
		}
	}
	for _, line := range lines {
		if len(strings.TrimRight(line, "\r\n")) > 75 {
			t.Errorf("a line is longer than 75 bytes: %q", line)
		}
	}
	for _, name := range []string{"VERSION:2.0", "PRODID:", "DTSTAMP:", "UID:"} {
		if !strings.Contains(string(got.Body), name) {
			t.Errorf("the file lacks %s", name)
		}
	}
}

func campaignOf(t *testing.T, c *jaritest.Citizen) string {
	t.Helper()
	var me httpapi.Me
	c.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK).Into(t, &me)
	return me.Campaigns[0].CampaignId
}

// message waits for the newest message of a kind to be handed over.
func message(t *testing.T, c *jaritest.Citizen, kind string) (text string) {
	t.Helper()
	jaritest.Eventually(t, soon, "a message of the kind "+kind+" is sent", func() bool {
		for _, m := range c.Messages(t) {
			if string(m.Kind) == kind && m.State == "sent" {
				text = m.Text
				return true
			}
		}
		return false
	})
	return text
}
