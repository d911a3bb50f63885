package journey_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// codesRoom is the room in front of sending codes.
const codesRoom = "_codes"

// slowly is a gateway that takes so many messages a second, and counts them.
func slowly(t *testing.T, perSecond int, more ...jaritest.Option) (options []jaritest.Option, taken *atomic.Int64) {
	t.Helper()
	taken = &atomic.Int64{}
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("to") == "" || r.FormValue("text") == "" {
			t.Error("the gateway is given something that isn't a message")
		}
		taken.Add(1)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(gateway.Close)
	for name, value := range map[string]string{
		"JARI_SMS_GATEWAY": "http", "JARI_SMS_URL": gateway.URL, "JARI_SMS_USER": "jari", "JARI_SMS_PASSWORD": "jari",
		"JARI_SMS_FROM": "15771339", "JARI_SMS_RATE": strconv.Itoa(perSecond), "JARI_RATE_VERIFY": "100000",
	} {
		options = append(options, jaritest.WithEnvironment(name, value))
	}
	return append(options, more...), taken
}

func codesStatus(t *testing.T, s *jaritest.Server) (r httpapi.RoomStatus) {
	t.Helper()
	s.Do(t, http.MethodGet, "/v1/rooms/"+codesRoom+"/status", nil).Want(t, http.StatusOK).Into(t, &r)
	return r
}

func codesOpen(t *testing.T, servers ...*jaritest.Server) {
	t.Helper()
	for _, s := range servers {
		jaritest.Eventually(t, soon, "the room in front of codes calls", func() bool {
			r := codesStatus(t, s)
			return r.State == httpapi.RoomStateOpen && r.Serving > 0
		})
	}
}

// wants asks for a code to be sent, with the ticket of a place or without one.
func wants(c *jaritest.Citizen, ticket string) jaritest.Request {
	claims := c.Claims()
	if ticket != "" {
		claims["ticket"] = ticket
	}
	return jaritest.JSON(http.MethodPost, "/v1/verifications", claims)
}

// placed is the place of a refusal, whose contents are held against what waiting people are promised.
func placed(t *testing.T, got jaritest.Response) httpapi.Ticket {
	t.Helper()
	p := got.Want(t, http.StatusConflict, fault.CodeNotYourTurn).Problem(t)
	if p.Ticket == nil || p.Ticket.Number == nil || p.Ticket.RoomId != codesRoom || p.Position == nil || p.Serving == nil ||
		*p.Position != *p.Ticket.Number || *p.Position < *p.Serving || p.RetryAfterSeconds == nil || *p.RetryAfterSeconds < 1 {
		t.Fatalf("who waits for a code is told %+v", p)
	}
	return *p.Ticket
}

// waitsForCode takes places until somebody has to wait, and returns that one.
func waitsForCode(t *testing.T, s *jaritest.Server) (*jaritest.Citizen, httpapi.Ticket) {
	t.Helper()
	for range 500 {
		c := s.Stranger(jaritest.BornForE3)
		if got := s.Send(t, wants(c, "")); got.Status != http.StatusAccepted {
			return c, placed(t, got)
		}
	}
	t.Fatal("five hundred codes were sent and nobody had to wait")
	return nil, httpapi.Ticket{}
}

// getCode asks as the room says until the code is sent.
func getCode(t *testing.T, c *jaritest.Citizen, on *jaritest.Server, place httpapi.Ticket) (v httpapi.Verification) {
	t.Helper()
	jaritest.Eventually(t, time.Minute, "a phone that is called is sent a code", func() bool {
		r := codesStatus(t, on)
		serving := r.Serving
		if place.Late != nil {
			serving = r.LateServing
		}
		if serving <= *place.Number {
			return false
		}
		got := on.Send(t, wants(c, place.Ticket))
		if got.Status != http.StatusAccepted {
			placed(t, got) // this instance may know it a moment later than the one that told
			return false
		}
		got.Into(t, &v)
		return true
	})
	return v
}

// A flood of people who want codes at the same time waits in a line, one place for each number typed, on every instance; and
// the gateway is given no more than it takes.
func TestCodesHaveARoom(t *testing.T) {
	t.Parallel()
	const rate = 4
	options, taken := slowly(t, rate)
	s := jaritest.Start(t, options...)
	other := s.Another(t)
	codesOpen(t, s, other)
	began := time.Now()

	// Outside of the rush nobody notices anything.
	quiet := s.Stranger(jaritest.BornForE3)
	quiet.Verify(t)
	if n := countRows(t, s, `SELECT count(*) FROM registrations`); n != 0 {
		t.Errorf("%d places were taken while nobody waited", n)
	}

	servers := []*jaritest.Server{s, other}
	people := make([]*jaritest.Citizen, 40)
	places := make([]httpapi.Ticket, len(people))
	var all sync.WaitGroup
	var sent atomic.Int64
	for i := range people {
		people[i] = s.Stranger(jaritest.BornForE3)
		all.Go(func() {
			got, err := servers[i%2].Exchange(t.Context(), wants(people[i], ""))
			switch {
			case err == nil && got.Status == http.StatusAccepted:
				sent.Add(1)
			case err == nil && got.Code == fault.CodeNotYourTurn:
				places[i] = *got.Problem(t).Ticket
			default:
				t.Errorf("asking for a code: %d %s %v", got.Status, got.Code, err)
			}
		})
	}
	all.Wait()
	var waiting []int
	numbers := map[int64]bool{}
	for i, place := range places {
		if place.Number == nil {
			continue
		}
		waiting = append(waiting, i)
		if numbers[*place.Number] {
			t.Errorf("two phones have the place %d", *place.Number)
		}
		numbers[*place.Number] = true
	}
	if len(waiting) < len(people)/2 {
		t.Fatalf("%d of %d wait for a gateway of %d a second", len(waiting), len(people), rate)
	}
	if messages := countRows(t, s, `SELECT count(*) FROM messages`); int64(messages) != sent.Load()+1 {
		t.Errorf("%d messages for %d codes", messages, sent.Load()+1)
	}

	// Asked for again on any instance, with and without the ticket, by browsers that know nothing: the same place.
	last := waiting[len(waiting)-1]
	for _, i := range waiting {
		if *places[i].Number > *places[last].Number {
			last = i
		}
	}
	for try := range 12 {
		ticket := ""
		if try%3 == 0 {
			ticket = places[last].Ticket
		}
		all.Go(func() {
			got, err := servers[try%2].Exchange(t.Context(), wants(people[last], ticket))
			if err != nil || got.Code != fault.CodeNotYourTurn || *got.Problem(t).Ticket.Number != *places[last].Number {
				t.Errorf("asked again, the place %d is answered %d %s %s", *places[last].Number, got.Status, got.Code, got.Body)
			}
		})
	}
	all.Wait()
	// A ticket is of one phone and of this room.
	thief := s.Stranger(jaritest.BornForE3)
	s.Send(t, wants(thief, places[last].Ticket)).Want(t, http.StatusForbidden, fault.CodeTicketOfAnother)
	s.Send(t, wants(thief, "x")).Want(t, http.StatusBadRequest, fault.CodeTicketInvalid)

	// Everybody's turn comes, told by one instance and claimed on the other.
	for _, i := range waiting {
		getCode(t, people[i], servers[(i+1)%2], places[i])
	}
	took := time.Since(began)
	jaritest.Eventually(t, soon, "the codes are handed over", func() bool { return taken.Load() >= int64(len(people)) })
	if most := int64(time.Since(began).Seconds()*rate) + rate; taken.Load() > most {
		t.Errorf("a gateway of %d a second was given %d in %s", rate, taken.Load(), took)
	}
	var session httpapi.Session
	v := getCode(t, people[last], s, places[last]) // within their turn, once more
	people[last].GiveCode(t, v.VerificationId, people[last].Code(t)).Want(t, http.StatusOK).Into(t, &session)
}

// In front of codes too, an error lets nobody in and a reload costs nothing.
func TestNoErrorSendsACode(t *testing.T) {
	t.Parallel()
	options, _ := slowly(t, 1)
	s := jaritest.Start(t, options...)
	other := s.Another(t)
	codesOpen(t, s, other)
	for range 20 {
		waitsForCode(t, s)
	}
	c, place := waitsForCode(t, s)
	for _, on := range []*jaritest.Server{s, other} {
		on.HangUp(t, wants(c, place.Ticket))
		on.HangUp(t, wants(c, ""))
		if again := placed(t, on.Send(t, wants(c, ""))); *again.Number != *place.Number {
			t.Errorf("after an error the place is %d and was %d", *again.Number, *place.Number)
		}
	}
	other.Stop(t)
	placed(t, s.Send(t, wants(c, place.Ticket)))
	fresh := s.Another(t)
	if again := placed(t, fresh.Send(t, wants(c, ""))); *again.Number != *place.Number {
		t.Errorf("on an instance that was just started the place is %d and was %d", *again.Number, *place.Number)
	}
	if n := len(c.Messages(t)); n != 0 {
		t.Errorf("%d codes were sent to a phone whose turn it wasn't", n)
	}
}

// Places are given to so many phones of one address block a minute; who asks from elsewhere isn't kept waiting by them.
func TestOneAddressBlockTakesAFewPlaces(t *testing.T) {
	t.Parallel()
	options, _ := slowly(t, 1, jaritest.WithEnvironment("JARI_CODE_PLACES_PER_BLOCK", "12"),
		jaritest.WithEnvironment("JARI_TRUSTED_PROXIES", "127.0.0.0/8"))
	s := jaritest.Start(t, options...)
	other := s.Another(t)
	codesOpen(t, s, other)
	waitsForCode(t, s)
	given, refused := 0, 0
	for i := range 60 {
		on := []*jaritest.Server{s, other}[i%2]
		got := on.Send(t, wants(s.Stranger(jaritest.BornForE3), "").With("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i)))
		if got.Code == fault.CodeAddressLimit {
			wantUntilWhen(t, s, got.Problem(t), time.Minute)
			refused++
			continue
		}
		given++
	}
	if given < 12 || given > 20 || refused == 0 {
		t.Errorf("one address block has %d places, and %d were refused", given, refused)
	}
	elsewhere := s.Stranger(jaritest.BornForE3)
	placed(t, s.Send(t, wants(elsewhere, "").With("X-Forwarded-For", "198.51.100.7")))
	// A place that one has isn't another one.
	placed(t, other.Send(t, wants(elsewhere, "").With("X-Forwarded-For", "203.0.113.7")))
}

// Codes that are sent again, and those of another phone, take their time of the same gateway.
func TestEveryCodePaysTheSameGateway(t *testing.T) {
	t.Parallel()
	options, _ := slowly(t, 2, jaritest.WithEnvironment("JARI_CODE_RESEND_WAIT", "1s"))
	s := jaritest.Start(t, options...)
	codesOpen(t, s)
	c := s.Stranger(jaritest.BornForE3)
	c.Verify(t)
	v := s.Stranger(jaritest.BornForE3).StartVerification(t)
	for range 10 {
		waitsForCode(t, s)
	}
	var before, after time.Time
	freeAt := func(at *time.Time) {
		t.Helper()
		if err := s.Pool.QueryRow(t.Context(), `SELECT free_at FROM message_lines WHERE line = 'codes'`).Scan(at); err != nil {
			t.Fatal(err)
		}
	}
	jaritest.Eventually(t, soon, "the code may be sent again", func() bool {
		freeAt(&before)
		got := s.Do(t, http.MethodPost, "/v1/verifications/"+v.VerificationId+"/resend", nil)
		return got.Status == http.StatusAccepted
	})
	if freeAt(&after); after.Sub(before) < 499*time.Millisecond {
		t.Errorf("a code that was sent again took %s of a gateway of two a second", after.Sub(before))
	}
	change := func(ticket string) jaritest.Request {
		body := map[string]any{"phone": s.NewPhone()}
		if ticket != "" {
			body["ticket"] = ticket
		}
		return c.Request(http.MethodPost, "/v1/me/phone", body)
	}
	place := placed(t, s.Send(t, change("")))
	jaritest.Eventually(t, time.Minute, "the phone that is left is sent a code", func() bool {
		got := s.Send(t, change(place.Ticket))
		if got.Status == http.StatusAccepted {
			return true
		}
		if again := placed(t, got); *again.Number != *place.Number {
			t.Fatalf("the place was %d and is %d", *place.Number, *again.Number)
		}
		return false
	})
}

// patience is a line of people who are called at once, and have half a minute to come.
const patience = `
rooms:
  - room: evening
    waves: [F1]
    admit_per_second: 1000
    grace_seconds: 30
`

// Whoever is called and has a new device goes before everybody who waits for a code, and has as much grace afterwards as
// before.
func TestCalledPeopleGetTheirCodesFirst(t *testing.T) {
	t.Parallel()
	options, _ := slowly(t, 4, jaritest.WithRooms(patience))
	s := jaritest.Start(t, options...)
	other := s.Another(t)
	codesOpen(t, s, other)
	called, missed := s.Stranger(jaritest.BornForF1), s.Stranger(jaritest.BornForF1)
	called.Verify(t)
	missed.Verify(t)
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	until(t, s, httpapi.RoomStateOpen)
	until(t, other, httpapi.RoomStateOpen)
	tickets := []httpapi.Ticket{takeTicket(t, called), takeTicket(t, missed.At(other))}
	for _, on := range []*jaritest.Server{s, other} {
		jaritest.Eventually(t, soon, "both are called", func() bool {
			serving := status(t, on).Serving
			return serving > *tickets[0].Number && serving > *tickets[1].Number
		})
	}
	var last httpapi.Ticket
	for range 60 {
		_, last = waitsForCode(t, s)
	}
	// A new device knows no session and no ticket; only what is typed says who it is.
	device := s.Stranger(jaritest.BornForF1)
	device.Phone = called.Phone
	place := placed(t, other.Send(t, wants(device, "")))
	if place.Late == nil || !*place.Late {
		t.Fatalf("who is called is given %+v", place)
	}
	// More than a grace passes while the code is waited for.
	if _, err := s.Pool.Exec(t.Context(), `UPDATE rooms SET open_ms = open_ms + 60000 WHERE room_id = $1`, theRoom); err != nil {
		t.Fatal(err)
	}
	v := getCode(t, device, s, place)
	if r := codesStatus(t, s); r.Serving > *last.Number {
		t.Errorf("who is called waited behind others: serving %d, and %d waits", r.Serving, *last.Number)
	}
	var session httpapi.Session
	device.GiveCode(t, v.VerificationId, device.Code(t)).Want(t, http.StatusOK).Into(t, &session)
	device.Session = session.Token
	s.Refresh(t)
	other.Refresh(t)
	if p := comeIn(t, missed.At(other), tickets[1].Ticket).Want(t, http.StatusConflict, fault.CodeNotYourTurn).Problem(t); p.Late == nil {
		t.Errorf("who didn't come in time is told %+v", p)
	}
	fresh := takeTicket(t, device.At(other))
	if *fresh.Number != *tickets[0].Number {
		t.Errorf("the new device has the place %d instead of %d", *fresh.Number, *tickets[0].Number)
	}
	got := comeIn(t, device, fresh.Ticket)
	if got.Status != http.StatusOK {
		t.Fatalf("who verified again is answered %d %s %s", got.Status, got.Code, got.Body)
	}
	if n := countRows(t, s, `SELECT count(*) FROM frozen_graces`); n != 0 {
		t.Errorf("%d graces still stand still", n)
	}
	if n := countRows(t, s, `SELECT count(*) FROM late_places l JOIN rooms USING (room_no) WHERE room_id <> '_codes'`); n != 1 {
		t.Errorf("%d people came late, one did", n)
	}
}
