package waiter

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
)

// vectors are those that the server and the browsers' client are held against.
type vectors struct {
	Points []struct {
		Seed string      `json:"seed"`
		N    uint64      `json:"n"`
		At   [][2]uint64 `json:"at"`
	} `json:"points"`
}

func status(state string, serving uint64, more string) []byte {
	return fmt.Appendf(nil, `{"room_id":"c.r","state":%q,"serving":%d,"late_serving":0,"drawn":300,"rate_per_second":10,
		"poll":{"min_seconds":2,"max_seconds":30,"jitter":0.3}%s}`, state, serving, more)
}

func number(n uint64) *uint64 { return &n }

func hear(t *testing.T, l *Line, body []byte) {
	t.Helper()
	if err := l.Heard(body); err != nil {
		t.Fatal(err)
	}
}

func TestAPositionIsComputedAsTheVectorsHaveIt(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../../internal/waitingroom/testdata/draw-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil || len(v.Points) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, p := range v.Points {
		for _, at := range p.At {
			l := &Line{Room: "c.r", Ticket: Ticket{Token: "t", Index: number(at[0])}}
			hear(t, l, fmt.Appendf(nil, `{"room_id":"c.r","state":"drawing","drawn":%d,"seed":%q}`, p.N, p.Seed))
			if got, known := l.Position(); !known || got != at[1] {
				t.Errorf("index %d of %d is at %d (%t), want %d", at[0], p.N, got, known, at[1])
			}
		}
	}
}

func TestWhatWasSeenNeverGoesBack(t *testing.T) {
	t.Parallel()
	l := &Line{Room: "c.r", Ticket: Ticket{Token: "t", Number: number(5)}}
	hear(t, l, status("open", 304, ""))
	if p, known := l.Position(); !known || p != 305 || l.Called() {
		t.Fatalf("at %d, known %t, called %t", p, known, l.Called())
	}
	hear(t, l, status("open", 306, ""))
	hear(t, l, status("open", 100, "")) // another cache
	if l.Serving() != 306 || !l.Called() {
		t.Errorf("serving %d, called %t", l.Serving(), l.Called())
	}
	for _, lie := range []string{
		`<html>`, `{}`, `{"room_id":"c.other","state":"open","serving":1000}`, `{"room_id":"c.r","state":"everybody in","serving":1000}`,
		`{"room_id":"c.r","state":"open","serving":-1}`, `{"room_id":"c.r","state":"open","serving":1e99}`,
	} {
		if err := l.Heard([]byte(lie)); !errors.Is(err, errNoStatus) || l.Serving() != 306 {
			t.Errorf("%s is taken for a status: %v", lie, err)
		}
	}
}

func TestWhoIsNearAsksOften(t *testing.T) {
	t.Parallel()
	l := &Line{Room: "c.r"}
	next := func(want time.Duration, when string) {
		t.Helper()
		if got := l.Next(.5); got != want {
			t.Errorf("%s it waits %s, want %s", when, got, want)
		}
	}
	next(30*time.Second, "knowing nothing")
	hear(t, l, status("open", 0, ""))
	next(2*time.Second, "without a place in an open room")
	l.Ticket = Ticket{Token: "t", Number: number(0)}
	hear(t, l, status("open", 0, ""))
	next(7500*time.Millisecond, "thirty seconds before the turn")
	hear(t, l, status("open", 290, ""))
	next(2*time.Second, "nearly called")
	hear(t, l, status("open", 301, ""))
	next(2*time.Second, "called")
	l.NotYet(number(900), 100, true)
	next(20*time.Second, "late")
	if low, high := DefaultPoll.Interval(0, 1, 0), DefaultPoll.Interval(0, 1, 1); low != 1400*time.Millisecond || high != 2600*time.Millisecond {
		t.Errorf("jitter goes from %s to %s", low, high)
	}
	if got := DefaultPoll.Backoff(3, 0, .5); got != 8*time.Second {
		t.Errorf("after three failures it waits %s", got)
	}
	if got := DefaultPoll.Backoff(1, time.Minute, 0); got != time.Minute {
		t.Errorf("told to wait a minute it waits %s", got)
	}
}
