package journey_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// theRoom is the room of the evening of wave F1.
const theRoom = jaritest.Small + ".evening"

// drawnRoom registers until a minute before the opening, and draws by a value of its own.
const drawnRoom = `
rooms:
  - room: evening
    waves: [F1]
    registration_opens_at: "2021-07-19T19:00:00+09:00"
    registration_closes_at: "2021-07-19T19:59:00+09:00"
    draw: {source: local}
    admit_per_second: 1000
    max_active: 100
    grace_seconds: 60
    message: {ko: 기다려 주세요, en: Please wait}
`

// plainRoom has no draw.
const plainRoom = `
rooms:
  - room: evening
    waves: [F1]
    admit_per_second: 1000
`

// inRoom is one of the paths of the room.
func inRoom(rest string) string { return "/v1/rooms/" + theRoom + rest }

// status is that of the room, as an instance tells it.
func status(t *testing.T, s *jaritest.Server) (r httpapi.RoomStatus) {
	t.Helper()
	s.Do(t, http.MethodGet, inRoom("/status"), nil).Want(t, http.StatusOK).Into(t, &r)
	return r
}

// until waits until the room is in a state.
func until(t *testing.T, s *jaritest.Server, state httpapi.RoomState) httpapi.RoomStatus {
	t.Helper()
	var r httpapi.RoomStatus
	jaritest.Eventually(t, 20*time.Second, fmt.Sprintf("the room is %s", state), func() bool {
		r = status(t, s)
		return r.State == state
	})
	return r
}

// verified are people who have a session and no place yet.
func verified(t *testing.T, s *jaritest.Server, n int, birthDate string) (people []*jaritest.Citizen) {
	t.Helper()
	for range n {
		c := s.Stranger(birthDate)
		c.Verify(t)
		people = append(people, c)
	}
	return people
}

func register(t *testing.T, c *jaritest.Citizen) (r httpapi.Ticket) {
	t.Helper()
	c.Do(t, http.MethodPut, inRoom("/registration"), nil).Want(t, http.StatusOK).Into(t, &r)
	return r
}

func takeTicket(t *testing.T, c *jaritest.Citizen) (r httpapi.Ticket) {
	t.Helper()
	c.Do(t, http.MethodPut, inRoom("/ticket"), nil).Want(t, http.StatusOK).Into(t, &r)
	return r
}

func comeIn(t *testing.T, c *jaritest.Citizen, ticket string) jaritest.Response {
	t.Helper()
	var body any
	if ticket != "" {
		body = map[string]any{"ticket": ticket}
	}
	return c.Do(t, http.MethodPut, inRoom("/admission"), body)
}

// getIn waits until somebody is admitted, and remembers the admission.
func getIn(t *testing.T, c *jaritest.Citizen, ticket string) (a httpapi.Admission) {
	t.Helper()
	jaritest.Eventually(t, 20*time.Second, "somebody who is called comes in", func() bool {
		got := comeIn(t, c, ticket)
		if got.Status == http.StatusOK {
			got.Into(t, &a)
			return true
		}
		got.Want(t, http.StatusConflict, fault.CodeNotYourTurn)
		return false
	})
	c.Admission = a.Admission
	return a
}

func step(t *testing.T, c *jaritest.Citizen) httpapi.MyCampaign {
	t.Helper()
	var me httpapi.Me
	c.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK).Into(t, &me)
	return me.Campaigns[0]
}

func TestAnEveningThroughTheWaitingRoom(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(drawnRoom))
	other := s.Another(t)
	until(t, s, httpapi.RoomStateRegistration)
	people := verified(t, s, 5, jaritest.BornForF1)
	if at := step(t, people[0]); at.Step != httpapi.MyCampaignStepRegister || at.Room.RoomId != theRoom || !at.Room.Line {
		t.Fatalf("before registering the step is %+v", at)
	}
	// Registered on two servers, and asked for again.
	tickets := make([]httpapi.Ticket, len(people))
	seen := map[int64]bool{}
	for i, c := range people {
		if i%2 == 1 {
			c = c.At(other)
		}
		tickets[i] = register(t, c)
		again := takeTicket(t, people[i])
		if tickets[i].Index == nil || again.Index == nil || *again.Index != *tickets[i].Index || *again.Nonce != *tickets[i].Nonce {
			t.Fatalf("registered as %+v, and then as %+v", tickets[i], again)
		}
		seen[*tickets[i].Index] = true
	}
	for i := range int64(len(people)) {
		if !seen[i] {
			t.Errorf("nobody has the index %d: %v", i, seen)
		}
	}
	comeIn(t, people[0], tickets[0].Ticket).Want(t, http.StatusConflict, fault.CodeNotYourTurn)

	// The freeze: whoever comes later is behind all of them.
	s.Clock.Set(jaritest.Instant("2021-07-19T19:59:00+09:00"))
	until(t, s, httpapi.RoomStateDrawing)
	until(t, other, httpapi.RoomStateDrawing)
	late := verified(t, s, 1, jaritest.BornForF1)[0]
	late.Do(t, http.MethodPut, inRoom("/registration"), nil).Want(t, http.StatusConflict, fault.CodeRegistrationOver)
	behind := takeTicket(t, late.At(other))
	if behind.Number == nil || *behind.Number != 0 || behind.Index != nil {
		t.Fatalf("who came after the freeze has %+v", behind)
	}
	var r httpapi.RoomStatus
	jaritest.Eventually(t, 20*time.Second, "the draw is made", func() bool {
		r = status(t, other)
		return r.Seed != nil && status(t, s).Seed != nil
	})
	if r.Drawn != 5 || r.Issued != 6 || r.Serving != 0 || r.Message == nil {
		t.Errorf("the room says %+v", r)
	}
	if at := step(t, people[1]); at.Step != httpapi.MyCampaignStepWait || at.Room.Position == nil || at.Room.Ticket == nil {
		t.Errorf("drawn and not called, the step is %+v", at)
	}
	comeIn(t, people[0], tickets[0].Ticket).Want(t, http.StatusConflict, fault.CodeNotYourTurn)

	// The opening: joined on one, admitted on the other.
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	until(t, s, httpapi.RoomStateOpen)
	slots := s.Slots(t, jaritest.SiteOfMany, jaritest.FirstDay)
	for i, c := range people {
		getIn(t, c.At(other), tickets[i].Ticket)
		var a httpapi.Admission
		jaritest.Eventually(t, 20*time.Second, "both instances know the same", func() bool {
			got := comeIn(t, c, "") // another device: no ticket, no admission
			if got.Status == http.StatusOK {
				got.Into(t, &a)
			}
			return got.Status == http.StatusOK
		})
		c.Admission = a.Admission
		if at := step(t, c); at.Step != httpapi.MyCampaignStepChoose {
			t.Errorf("admitted, the step is %s", at.Step)
		}
		c.MustBook(t, slots[0].ID)
	}
	getIn(t, late, behind.Ticket)
	late.MustBook(t, slots[0].ID)
	if at := step(t, late); at.Step != httpapi.MyCampaignStepBooked {
		t.Errorf("booked, the step is %s", at.Step)
	}
	s.CheckBooks(t)
	if n := countRows(t, s, `SELECT count(*) FROM room_transitions`); n != 3 {
		t.Errorf("%d transitions are written down", n)
	}
	if n := countRows(t, s, `SELECT count(*) FROM audit_entries WHERE act LIKE 'room.%'`); n != 3 {
		t.Errorf("%d transitions are in the audit", n)
	}
}

func countRows(t *testing.T, s *jaritest.Server, query string) (n int) {
	t.Helper()
	if err := s.Pool.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// six_devices_one_place, and place_survives_error_and_reload.
func TestSixDevicesHaveOnePlace(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(plainRoom))
	other := s.Another(t)
	c := verified(t, s, 1, jaritest.BornForF1)[0]
	c.Do(t, http.MethodPut, inRoom("/ticket"), nil).Want(t, http.StatusConflict, fault.CodeRoomNotOpen)
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	until(t, s, httpapi.RoomStateOpen)
	until(t, other, httpapi.RoomStateOpen)
	first := verified(t, s, 1, jaritest.BornForF1)[0]
	takeTicket(t, first)
	var all sync.WaitGroup
	numbers := make([]int64, 6)
	for i := range numbers {
		all.Go(func() {
			on := s
			if i%2 == 1 {
				on = other
			}
			got, err := on.Exchange(t.Context(), c.Request(http.MethodPut, inRoom("/ticket"), nil))
			var ticket httpapi.Ticket
			if err == nil && got.Status == http.StatusOK {
				got.Into(t, &ticket)
			}
			if ticket.Number == nil {
				t.Errorf("a device got %d %v", got.Status, err)
				return
			}
			numbers[i] = *ticket.Number
		})
	}
	all.Wait()
	if slices.Min(numbers) != slices.Max(numbers) {
		t.Errorf("six devices have the places %v", numbers)
	}
	// Reloading, forgetting the ticket, a new browser: the same place.
	if again := takeTicket(t, c.At(other)); *again.Number != numbers[0] {
		t.Errorf("after a reload the place is %d and was %d", *again.Number, numbers[0])
	}
	if at := step(t, c); at.Room.Ticket == nil || *at.Room.Ticket.Number != numbers[0] {
		t.Errorf("the person is told %+v", at)
	}
}

func TestNobodyComesInByAnotherWay(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(`
rooms:
  - room: evening
    waves: [F1]
    admit_per_second: 1
`))
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	until(t, s, httpapi.RoomStateOpen)
	c, stranger := verified(t, s, 1, jaritest.BornForF1)[0], verified(t, s, 1, jaritest.BornForE3)[0]
	slot := s.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay)
	// The room without a line is that of other waves.
	c.Admit(t)
	c.Hold(t, slot).Want(t, http.StatusForbidden, fault.CodeRoomElsewhere)
	c.Admission = ""
	// A line is for those whom its waves admit.
	stranger.Do(t, http.MethodPut, inRoom("/ticket"), nil).Want(t, http.StatusForbidden, fault.CodeNotEligible)
	stranger.Do(t, http.MethodPut, inRoom("/registration"), nil).Want(t, http.StatusForbidden, fault.CodeNotEligible)
	comeIn(t, c, "").Want(t, http.StatusConflict, fault.CodePlaceRequired)
	comeIn(t, c, "x").Want(t, http.StatusBadRequest, fault.CodeTicketInvalid)
	ticket := takeTicket(t, c)
	neighbour := verified(t, s, 1, jaritest.BornForF1)[0]
	comeIn(t, neighbour, ticket.Ticket).Want(t, http.StatusForbidden, fault.CodeTicketOfAnother)
	// Everybody behind the first few waits, whatever they send.
	crowd := verified(t, s, 30, jaritest.BornForF1)
	refused := 0
	for _, c := range crowd {
		takeTicket(t, c)
	}
	for _, c := range slices.Backward(crowd) {
		got := comeIn(t, c, "")
		if got.Status == http.StatusOK {
			continue
		}
		got.Want(t, http.StatusConflict, fault.CodeNotYourTurn)
		p := got.Problem(t)
		if p.Position == nil || p.Serving == nil || *p.Position < *p.Serving || p.RetryAfterSeconds == nil {
			t.Errorf("who isn't called is told %+v", p)
		}
		refused++
		c.Hold(t, slot).Want(t, http.StatusForbidden, fault.CodeAdmissionRequired)
	}
	if refused == 0 {
		t.Error("nobody had to wait")
	}
}

func TestTheDialTurnsAllInstances(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(plainRoom))
	other := s.Another(t)
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	until(t, other, httpapi.RoomStateOpen)
	key := s.AdminKey(t, "operator")
	turn := func(body map[string]any) jaritest.Response {
		return s.Send(t, jaritest.JSON(http.MethodPatch, "/admin/v1/rooms/"+theRoom, body).With("Authorization", "Bearer "+key))
	}
	turn(map[string]any{"state": "paused", "rate_per_second": 5, "max_active": 7, "message": map[string]any{"ko": "잠시만요", "en": "A moment"}}).
		Want(t, http.StatusOK)
	// Within so many looks of an instance it is there: TestTheDialCountsAtTheNextStepAndLook. Here only that it comes, everywhere.
	for _, on := range []*jaritest.Server{s, other} {
		jaritest.Eventually(t, soon, "each instance shows it", func() bool {
			r := status(t, on)
			return r.State == httpapi.RoomStatePaused && r.Message != nil && r.Message.En == "A moment"
		})
		var r httpapi.RoomStanding
		on.Send(t, jaritest.JSON(http.MethodGet, "/admin/v1/rooms/"+theRoom, nil).With("Authorization", "Bearer "+key)).
			Want(t, http.StatusOK).Into(t, &r)
		if r.RatePerSecond != 5 || r.MaxActive != 7 || r.State != httpapi.RoomStatePaused || r.Draw != nil {
			t.Errorf("an instance says that the room stands as %+v", r)
		}
	}
	serving := status(t, other).Serving
	c := verified(t, s, 1, jaritest.BornForF1)[0]
	ticket := takeTicket(t, c)
	for serving > *ticket.Number { // places that were called before anybody had them
		c = verified(t, s, 1, jaritest.BornForF1)[0]
		ticket = takeTicket(t, c)
	}
	comeIn(t, c, "").Want(t, http.StatusConflict, fault.CodeNotYourTurn)
	turn(map[string]any{"state": "open", "message": map[string]any{"ko": "", "en": ""}}).Want(t, http.StatusOK)
	getIn(t, c.At(other), ticket.Ticket)
	turn(map[string]any{"state": "open"}).Want(t, http.StatusOK)
	turn(map[string]any{"state": "closed"}).Want(t, http.StatusOK)
	turn(map[string]any{"state": "open"}).Want(t, http.StatusConflict, fault.CodeRoomState)
	if n := countRows(t, s, `SELECT count(*) FROM audit_entries WHERE act = 'room.dial' AND actor LIKE 'key:%'`); n != 4 {
		t.Errorf("the audit has %d turns of the dial", n)
	}
}
