package journey_test

import (
	"net/http"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/internal/token"
	"jari/test/jaritest"
)

// Who acts for somebody else takes that person's place, and comes in as that person or not at all.
func TestActingForAnotherTakesTheirPlace(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(drawnRoom))
	other := s.Another(t)
	until(t, s, httpapi.RoomStateRegistration)
	until(t, other, httpapi.RoomStateRegistration)
	family := verified(t, s, 2, jaritest.BornForF1)
	actor, granny := family[0], family[1]
	var session httpapi.Session
	letsActFor(t, actor, granny).Want(t, http.StatusOK).Into(t, &session)
	acting := *actor
	acting.Session = session.Token

	// Registered by whoever acts, it is the person's place, on every device of theirs.
	hers := register(t, acting.At(other))
	own := register(t, actor)
	for who, c := range map[string]*jaritest.Citizen{"on her phone": granny, "on the other server": granny.At(other), "acted for again": &acting} {
		if again := takeTicket(t, c); *again.Index != *hers.Index || *again.Nonce != *hers.Nonce {
			t.Errorf("%s the place is %+v and was %+v", who, again, hers)
		}
	}
	if *own.Index == *hers.Index {
		t.Fatal("two people have one place")
	}
	s.Clock.Set(jaritest.Instant("2021-07-19T19:59:00+09:00"))
	jaritest.Eventually(t, soon, "the draw is made", func() bool { return status(t, s).Seed != nil && status(t, other).Seed != nil })
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	until(t, s, httpapi.RoomStateOpen)
	until(t, other, httpapi.RoomStateOpen)

	// A place, and an admission, are of the person and not of whoever acts.
	comeIn(t, &acting, own.Ticket).Want(t, http.StatusForbidden, fault.CodeTicketOfAnother)
	comeIn(t, actor, hers.Ticket).Want(t, http.StatusForbidden, fault.CodeTicketOfAnother)
	getIn(t, &acting, hers.Ticket)
	getIn(t, actor.At(other), own.Ticket)
	getIn(t, actor, own.Ticket)
	slots := s.Slots(t, jaritest.SiteOfMany, jaritest.FirstDay)
	crossed := acting
	crossed.Admission = actor.Admission
	crossed.Hold(t, slots[0].ID).Want(t, http.StatusForbidden, fault.CodeAdmissionOfAnother)
	crossed = *actor
	crossed.Admission = acting.Admission
	crossed.Hold(t, slots[0].ID).Want(t, http.StatusForbidden, fault.CodeAdmissionOfAnother)

	// Both book, each for themself; whoever acted for her finds it on her own phone.
	booked := acting.At(other).MustBook(t, slots[0].ID)
	actor.MustBook(t, slots[0].ID)
	if b := granny.Booking(t); b.BookingId != booked.BookingId {
		t.Errorf("she has the booking %+v, and %+v was booked for her", b, booked)
	}
	person, by := personOf(t, s, &acting)
	if n := countRows(t, s, `SELECT count(*) FROM bookings WHERE person_id = '`+person+`' AND actor_id = '`+by+`'`); n != 1 {
		t.Errorf("%d bookings were made for her by who acts", n)
	}
	if n := countRows(t, s, `SELECT count(*) FROM registrations`); n != 2 {
		t.Errorf("two people have %d places", n)
	}
	s.CheckBooks(t)
}

// lateRoom calls many at once and the late lane a few a second.
const lateRoom = `
rooms:
  - room: evening
    waves: [F1]
    admit_per_second: 20
    grace_seconds: 30
    late_percent: 5
`

// passes lets open time pass, on all instances.
func passes(t *testing.T, open time.Duration, servers ...*jaritest.Server) {
	t.Helper()
	if _, err := servers[0].Pool.Exec(t.Context(), `UPDATE rooms SET open_ms = open_ms + $2 WHERE room_id = $1`, theRoom, open.Milliseconds()); err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		s.Refresh(t)
	}
}

// called waits until all instances have called a place.
func called(t *testing.T, place httpapi.Ticket, servers ...*jaritest.Server) {
	t.Helper()
	for _, s := range servers {
		jaritest.Eventually(t, soon, "the place is called", func() bool { return status(t, s).Serving > *place.Number })
	}
}

// Who is called has the whole grace to come, on any instance, however often they ask; who comes later is in the late lane by
// the number of their first asking, and comes in when that lane has come so far.
func TestWhoComesLateGoesThroughTheLateLane(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(lateRoom))
	other := s.Another(t)
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	until(t, s, httpapi.RoomStateOpen)
	until(t, other, httpapi.RoomStateOpen)
	people := verified(t, s, 4, jaritest.BornForF1)
	var places []httpapi.Ticket
	for i, c := range people {
		places = append(places, takeTicket(t, c.At([]*jaritest.Server{s, other}[i%2])))
	}
	for _, place := range places {
		called(t, place, s, other)
	}
	passes(t, 20*time.Second, s, other)
	if got := comeIn(t, people[0].At(other), places[0].Ticket); got.Status != http.StatusOK {
		t.Errorf("who comes within their grace is answered %d %s", got.Status, got.Code)
	}
	passes(t, 20*time.Second, s, other)
	numbers := map[int64]bool{}
	for i, c := range people[1:] {
		late := func(on *jaritest.Server) int64 {
			t.Helper()
			p := comeIn(t, c.At(on), places[i+1].Ticket).Want(t, http.StatusConflict, fault.CodeNotYourTurn).Problem(t)
			if p.Late == nil || p.Position == nil || *p.Position < *p.Serving || p.RetryAfterSeconds == nil {
				t.Fatalf("who comes too late is told %+v", p)
			}
			return *p.Position
		}
		first := late([]*jaritest.Server{other, s}[i%2])
		if numbers[first] {
			t.Errorf("two people are late with the number %d", first)
		}
		numbers[first] = true
		// A new browser is told the same: that they wait, and where.
		for _, on := range []*jaritest.Server{s, other} {
			on.Refresh(t)
			at := step(t, c.At(on))
			waits := at.Room.Late != nil && *at.Room.Late && *at.Room.Position == first && *at.Room.Serving <= first
			if waits != (at.Step == httpapi.MyCampaignStepWait) || (!waits && status(t, on).LateServing <= first) {
				t.Errorf("who is late with the number %d is told %s and %+v", first, at.Step, at.Room)
			}
		}
	}
	// Told by the one, let in by the other; nobody goes back to the end.
	for i, c := range people[1:] {
		getIn(t, c.At([]*jaritest.Server{s, other}[i%2]), places[i+1].Ticket)
	}
	var again httpapi.Admission
	jaritest.Eventually(t, soon, "another device comes in too", func() bool {
		got := comeIn(t, people[3].At(other), "")
		if got.Status == http.StatusOK {
			got.Into(t, &again)
		}
		return got.Status == http.StatusOK
	})
	people[3].Admission = again.Admission
	people[3].MustBook(t, s.Slots(t, jaritest.SiteOfMany, jaritest.FirstDay)[0].ID)
	if n := countRows(t, s, `SELECT count(*) FROM late_places`); n != 3 {
		t.Errorf("three people were late, %d numbers were given", n)
	}
	s.CheckBooks(t)
}

// An admission is renewed by being used, on any instance, until it has lasted as long as is stated; then its person goes through
// the late lane and nobody else's admission helps them.
func TestAnAdmissionIsRenewedUpToItsMaximum(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(lateRoom),
		jaritest.WithEnvironment("JARI_ADMISSION_LIFETIME", "1m"), jaritest.WithEnvironment("JARI_ADMISSION_LONGEST", "2m"))
	other := s.Another(t)
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	until(t, s, httpapi.RoomStateOpen)
	until(t, other, httpapi.RoomStateOpen)
	c := verified(t, s, 1, jaritest.BornForF1)[0]
	place := takeTicket(t, c)
	called(t, place, s, other)
	getIn(t, c.At(other), place.Ticket)
	getIn(t, c, place.Ticket)
	box := s.Tokens(t)
	open := func(text string) token.Admission {
		t.Helper()
		a, err := box.OpenAdmission(text)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	fresh := open(c.Admission)
	// aged is the admission as it is after so long, last used some time ago.
	aged := func(age, unused time.Duration) string {
		t.Helper()
		a := fresh
		a.IssuedAt = time.Now().Add(-age)
		a.ExpiresAt = a.IssuedAt.Add(min(age-unused+time.Minute, 2*time.Minute))
		text, err := box.SealAdmission(a)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	hold := func(on *jaritest.Server, admission string) jaritest.Response {
		t.Helper()
		user := c.At(on)
		user.Admission = admission
		return user.Hold(t, s.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay))
	}
	if got := hold(s, aged(20*time.Second, 20*time.Second)); got.Status != http.StatusOK || got.Header.Get("Jari-Admission") != "" {
		t.Errorf("an admission that was used just now is answered %d and renewed: %q", got.Status, got.Header.Get("Jari-Admission"))
	}
	// Past its half it is renewed, by the other instance too, and lasts another minute.
	got := hold(other, aged(45*time.Second, 45*time.Second)).Want(t, http.StatusOK)
	renewed := open(got.Header.Get("Jari-Admission"))
	if left := time.Until(renewed.ExpiresAt); left < 50*time.Second || left > time.Minute || renewed.Person != fresh.Person || renewed.Room != theRoom {
		t.Errorf("renewed, it is %+v and lasts for %s", renewed, left)
	}
	if cookie := got.Cookie("__Host-jari-admission"); cookie == nil || cookie.Value != got.Header.Get("Jari-Admission") {
		t.Error("a browser isn't given the renewed admission")
	}
	// Near the maximum it is renewed up to that and no further.
	got = hold(s, aged(85*time.Second, 40*time.Second)).Want(t, http.StatusOK)
	renewed = open(got.Header.Get("Jari-Admission"))
	if lasts := renewed.ExpiresAt.Sub(renewed.IssuedAt); lasts > 2*time.Minute || lasts < 119*time.Second {
		t.Errorf("renewed near its end, it lasts %s in all", lasts)
	}
	if got := hold(other, aged(115*time.Second, 10*time.Second)).Want(t, http.StatusOK); got.Header.Get("Jari-Admission") != "" {
		t.Error("an admission was renewed past its maximum")
	}
	// Then it is over: who has nothing on hold goes through the late lane.
	c.Do(t, http.MethodDelete, s.Path("/hold"), nil)
	hold(s, aged(121*time.Second, time.Second)).Want(t, http.StatusForbidden, fault.CodeAdmissionExpired)
	passes(t, time.Minute, s, other)
	// Redis remembers since when they are inside, too.
	since := time.Now().Add(-121 * time.Second).UnixMilli()
	if err := s.Redis.HSet(t.Context(), "{room:"+theRoom+"}:since", string(fresh.Person[:]), since).Err(); err != nil {
		t.Fatal(err)
	}
	c.Admission = ""
	p := comeIn(t, c.At(other), place.Ticket).Want(t, http.StatusConflict, fault.CodeNotYourTurn).Problem(t)
	if p.Late == nil {
		t.Errorf("after its end the person is told %+v", p)
	}
	getIn(t, c, place.Ticket)
	hold(other, c.Admission).Want(t, http.StatusOK)
}
