package journey_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jari/cmd/surge/waiter"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// unreliable is a network on which every third request fails, one way or another.
type unreliable struct{ asked, failed atomic.Int64 }

// RoundTrip fails, answers as a portal or as a failing server does, or asks.
func (u *unreliable) RoundTrip(r *http.Request) (*http.Response, error) {
	made := func(status int, body string) *http.Response {
		u.failed.Add(1)
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewBufferString(body)), Request: r}
	}
	switch u.asked.Add(1) % 9 {
	case 2:
		u.failed.Add(1)
		return nil, errors.New("airplane mode")
	case 5:
		return made(http.StatusOK, "<html>Welcome to our network</html>"), nil
	case 8:
		return made(http.StatusServiceUnavailable, `{"code":"overloaded"}`), nil
	}
	return http.DefaultTransport.RoundTrip(r)
}

// The client that the benchmarks wait with, on a bad network: everybody computes their position, and everybody comes in.
func TestGoodClientsComeInOnABadNetwork(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(drawnRoom))
	until(t, s, httpapi.RoomStateRegistration)
	people := verified(t, s, 8, jaritest.BornForF1)
	network := &unreliable{}
	var opened atomic.Bool
	var mu sync.Mutex
	positions := map[int]uint64{}
	var all sync.WaitGroup
	for i, c := range people {
		all.Go(func() {
			p := waiter.Person{
				Base: s.URL, Room: theRoom, Session: c.Session, Client: &http.Client{Transport: network}, Hurry: 200,
				Heard: func(l *waiter.Line) {
					if at, known := l.Position(); known {
						mu.Lock()
						defer mu.Unlock()
						positions[i] = at
					}
				},
			}
			admission, err := p.Wait(t.Context())
			if err != nil || !opened.Load() {
				t.Errorf("the room is open %t, and somebody came in: %v", opened.Load(), err)
			}
			c.Admission = admission
		})
	}
	jaritest.Eventually(t, 20*time.Second, "everybody has a place", func() bool {
		return countRows(t, s, `SELECT count(*) FROM registrations`) == len(people)
	})
	s.Clock.Set(jaritest.Instant("2021-07-19T19:59:00+09:00"))
	jaritest.Eventually(t, 20*time.Second, "everybody has computed their position", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(positions) == len(people)
	})
	mu.Lock()
	computed := maps.Clone(positions)
	mu.Unlock()
	for i, c := range people {
		if said := step(t, c).Room.Position; said == nil || uint64(*said) != computed[i] {
			t.Errorf("computed %d, and the server says %v", computed[i], said)
		}
	}
	opened.Store(true)
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	all.Wait()
	slot := s.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay)
	for _, c := range people {
		c.MustBook(t, slot)
	}
	if network.failed.Load() == 0 {
		t.Error("nothing failed on a bad network")
	}
}
