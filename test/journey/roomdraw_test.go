package journey_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"jari/internal/httpapi"
	"jari/internal/waitingroom"
	"jari/test/jaritest"
)

// The draw is made again from what is published, and from it alone; whoever changes one registration is found out.
func TestADrawIsReproducedFromWhatIsPublished(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(drawnRoom))
	until(t, s, httpapi.RoomStateRegistration)
	people := verified(t, s, 7, jaritest.BornForF1)
	tickets := make([]httpapi.Ticket, len(people))
	for i, c := range people {
		tickets[i] = register(t, c)
	}
	s.Do(t, http.MethodGet, inRoom("/draw"), nil).Want(t, http.StatusNotFound, "no_draw")
	s.Clock.Set(jaritest.Instant("2021-07-19T19:59:00+09:00"))
	jaritest.Eventually(t, 20*time.Second, "the draw is made", func() bool { return status(t, s).Seed != nil })
	var published waitingroom.PublishedDraw
	answer := s.Do(t, http.MethodGet, inRoom("/draw"), nil).Want(t, http.StatusOK)
	if err := json.Unmarshal(answer.Body, &published); err != nil {
		t.Fatal(err)
	}
	leaves := s.Do(t, http.MethodGet, inRoom("/draw/leaves"), nil).Want(t, http.StatusOK).Body
	seen := map[uint64]bool{}
	for i, ticket := range tickets {
		nonce, err := hex.DecodeString(*ticket.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		own := &waitingroom.Registration{Index: uint64(*ticket.Index), Nonce: waitingroom.Nonce(nonce)}
		v, err := waitingroom.Verify(published, bytes.NewReader(leaves), own)
		if err != nil || !v.Good() || v.Pending || v.Position == nil {
			t.Fatalf("the published draw is judged %+v (%v)", v, err)
		}
		seen[*v.Position] = true
		if at := step(t, people[i]); at.Room.Position == nil || uint64(*at.Room.Position) != *v.Position {
			t.Errorf("the server says %+v, the published draw %d", at.Room, *v.Position)
		}
	}
	if len(seen) != len(people) {
		t.Errorf("the positions are %v", seen)
	}
	tampered := slices.Clone(leaves)
	tampered[3*32] ^= 1
	if v, err := waitingroom.Verify(published, bytes.NewReader(tampered), nil); err != nil || v.Good() {
		t.Errorf("a changed registration is judged %+v (%v)", v, err)
	}
	// Nor can the table be changed afterwards without anybody seeing it.
	if _, err := s.Pool.Exec(t.Context(), `UPDATE rooms SET seed = sha256('x') WHERE root IS NOT NULL`); err == nil {
		t.Error("the seed was changed")
	}
}

// Whoever registers while the room freezes is in the draw or behind it, never both and never nowhere.
func TestRegistrationsRaceTheFreeze(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(drawnRoom))
	other := s.Another(t)
	until(t, s, httpapi.RoomStateRegistration)
	until(t, other, httpapi.RoomStateRegistration)
	people := s.NewCrowd(t, 60, jaritest.BornForF1)
	var all sync.WaitGroup
	tickets := make([]httpapi.Ticket, len(people))
	for i, c := range people {
		on := s
		if i%2 == 1 {
			on = other
		}
		all.Go(func() {
			if i == len(people)/3 {
				s.Clock.Set(jaritest.Instant("2021-07-19T19:59:00+09:00"))
			}
			for tickets[i].Ticket == "" {
				got, err := on.Exchange(t.Context(), c.Request(http.MethodPut, inRoom("/ticket"), nil))
				if err != nil || (got.Status != http.StatusOK && got.Status != http.StatusServiceUnavailable) {
					t.Errorf("a ticket: %d %s %v", got.Status, got.Code, err)
					return
				}
				if got.Status == http.StatusOK {
					_ = json.Unmarshal(got.Body, &tickets[i])
				}
			}
		})
	}
	all.Wait()
	r := status(t, s)
	jaritest.Eventually(t, 20*time.Second, "the draw is made", func() bool {
		r = status(t, s)
		return r.State == httpapi.RoomStateDrawing && (r.Seed != nil || r.Drawn == 0)
	})
	indexes, numbers := map[int64]bool{}, map[int64]bool{}
	for _, ticket := range tickets {
		switch {
		case ticket.Index != nil && ticket.Number == nil && !indexes[*ticket.Index]:
			indexes[*ticket.Index] = true
		case ticket.Number != nil && ticket.Index == nil && !numbers[*ticket.Number]:
			numbers[*ticket.Number] = true
		default:
			t.Errorf("a place that another has too, or none: %+v", ticket)
		}
	}
	if int64(len(indexes)) != r.Drawn || len(indexes)+len(numbers) != len(people) {
		t.Errorf("%d indexes and %d numbers, and %d are drawn", len(indexes), len(numbers), r.Drawn)
	}
	for i := range r.Drawn {
		if !indexes[i] {
			t.Errorf("the index %d is nobody's", i)
		}
	}
}

// What stores lose takes nobody's place: the line goes on where it was, and nothing of it goes back.
func TestTheLineSurvivesItsStores(t *testing.T) {
	t.Parallel()
	s, stores, _ := onOwnStoresWith(t, plainRoom)
	other := s.Another(t)
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	until(t, s, httpapi.RoomStateOpen)
	people := verified(t, s, 4, jaritest.BornForF1)
	tickets := make([]httpapi.Ticket, len(people))
	for i, c := range people {
		tickets[i] = takeTicket(t, c)
	}
	getIn(t, people[0], tickets[0].Ticket)
	served := status(t, s).Serving
	if err := stores.Redis().Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	getIn(t, people[1].At(other), tickets[1].Ticket) // counting who is inside decides nothing
	if err := stores.Postgres().Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := status(t, s); now.Serving < served {
		t.Errorf("the serving number went from %d to %d", served, now.Serving)
	}
	got := comeIn(t, people[2], tickets[2].Ticket) // the ticket says enough
	if got.Status != http.StatusOK {
		t.Errorf("who is called is answered %d %s", got.Status, got.Code)
	}
	if err := stores.Redis().Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := stores.Postgres().Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	jaritest.Eventually(t, 30*time.Second, "everybody has their place again", func() bool {
		for i, c := range people {
			var again httpapi.Ticket
			got, err := other.Exchange(t.Context(), c.Request(http.MethodPut, inRoom("/ticket"), nil))
			if err != nil || got.Status != http.StatusOK || json.Unmarshal(got.Body, &again) != nil {
				return false
			}
			if *again.Number != *tickets[i].Number {
				t.Fatalf("the place was %d and is %d", *tickets[i].Number, *again.Number)
			}
		}
		return true
	})
	getIn(t, people[3], tickets[3].Ticket)
	if now := status(t, other); now.Serving < served {
		t.Errorf("the serving number went from %d to %d", served, now.Serving)
	}
}
