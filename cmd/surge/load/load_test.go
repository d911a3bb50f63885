package load

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func conns(t *testing.T, base string, n int) []*Conn {
	t.Helper()
	c, err := Dial(base, n, []Client{Standard, Whole, Lean}[n%3])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(c) })
	return c
}

func TestQuantilesAreThoseOfWhatWasRecorded(t *testing.T) {
	t.Parallel()
	r := NewRecorder()
	for n := range 1000 {
		r.Record("step", time.Duration(n+1)*time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{.5: 500 * time.Millisecond, .99: 990 * time.Millisecond, 1: time.Second} {
		if got := r.Quantile("step", q); math.Abs(float64(got-want)) > .002*float64(want) {
			t.Errorf("the quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := r.Count("step"); got != 1000 {
		t.Errorf("counted %d", got)
	}
	if r.Quantile("another", .5) != 0 || r.Count("another") != 0 {
		t.Error("a step that never happened has latencies")
	}
}

func TestALatencyBeyondTheHistogramCountsAsItsEnd(t *testing.T) {
	t.Parallel()
	r := NewRecorder()
	r.Record("step", time.Hour)
	r.Record("step", -time.Second)
	if got := r.Quantile("step", 1); got < 119*time.Second || got > 121*time.Second || r.Count("step") != 2 {
		t.Errorf("an hour counts as %v, of %d", got, r.Count("step"))
	}
}

func TestArrivalsHaveTheAskedRateAndAreTheSameEachTime(t *testing.T) {
	t.Parallel()
	a, b := Arrivals(2000, 10*time.Second), Arrivals(2000, 10*time.Second)
	if len(a) != len(b) || math.Abs(float64(len(a))-20_000) > 600 {
		t.Fatalf("%d and %d arrivals, want about 20,000", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] || a[i] < 0 || a[i] >= 10*time.Second || (i > 0 && a[i] < a[i-1]) {
			t.Fatalf("arrival %d is at %v and %v", i, a[i], b[i])
		}
	}
}

func TestAClosedLoopCountsWhatWasAnswered(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Method != http.MethodPut || r.Header.Get("Who") != "me" || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer server.Close()
	recorder := NewRecorder()
	result, err := Closed(t.Context(), conns(t, server.URL, 3), 50*time.Millisecond, recorder,
		func(_ context.Context, c *Conn, at Moment) error {
			begun := time.Now()
			status, _, err := c.Send(http.MethodPut, "/x", []Header{{"Who", "me"}}, []byte("{}"))
			if err == nil && status != http.StatusOK {
				err = errors.New(http.StatusText(status))
			}
			at.Took("ask", begun)
			return err
		})
	if err != nil {
		t.Fatal(err)
	}
	if result.Done == 0 || result.Done != asked.Load() || result.Done != recorder.Count("ask") {
		t.Errorf("done %d, asked %d, recorded %d", result.Done, asked.Load(), recorder.Count("ask"))
	}
	if result.Elapsed < 50*time.Millisecond {
		t.Errorf("it took %v", result.Elapsed)
	}
}

func TestAnUnexpectedAnswerEndsTheLoop(t *testing.T) {
	t.Parallel()
	bad := errors.New("bad")
	for name, loop := range map[string]func(op Operation) error{
		"closed": func(op Operation) error {
			_, err := Closed(t.Context(), make([]*Conn, 2), time.Hour, nil, op)
			return err
		},
		"open": func(op Operation) error {
			_, err := Open(t.Context(), make([]*Conn, 2), 1000, time.Minute, nil, op)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := loop(func(context.Context, *Conn, Moment) error { return bad }); !errors.Is(err, bad) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnOpenLoopCountsALatencyFromTheIntendedInstant(t *testing.T) {
	t.Parallel()
	recorder := NewRecorder()
	var first atomic.Bool
	// One connection: while the first operation stands still, those that should have begun meanwhile wait.
	result, err := Open(t.Context(), make([]*Conn, 1), 200, 200*time.Millisecond, recorder,
		func(ctx context.Context, _ *Conn, at Moment) error {
			begun := time.Now()
			if first.CompareAndSwap(false, true) {
				<-time.After(100 * time.Millisecond)
			}
			at.Took("ask", begun)
			return ctx.Err()
		})
	if err != nil {
		t.Fatal(err)
	}
	if result.Done != int64(len(Arrivals(200, 200*time.Millisecond))) || result.Missed != 0 {
		t.Errorf("done %d, missed %d", result.Done, result.Missed)
	}
	if result.Late == 0 || recorder.Quantile("ask", .7) < LateAfter {
		t.Errorf("%d were late, and the quantile .7 is %v: the standstill was hidden", result.Late, recorder.Quantile("ask", .7))
	}
}

func TestAnOpenLoopSaysWhatItMissed(t *testing.T) {
	t.Parallel()
	result, err := Open(t.Context(), make([]*Conn, 1), 1000, 20*time.Millisecond, nil,
		func(context.Context, *Conn, Moment) error {
			<-time.After(100 * time.Millisecond)
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(len(Arrivals(1000, 20*time.Millisecond))); result.Done != 1 || result.Missed != want-1 {
		t.Errorf("done %d, missed %d of %d", result.Done, result.Missed, want)
	}
}

func TestALoopEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Open(ctx, make([]*Conn, 1), 10, time.Hour, nil, func(context.Context, *Conn, Moment) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(t.Context(), nil, 0, time.Second, nil, nil); err == nil {
		t.Error("a rate of nothing was taken")
	}
}

func TestARequestHasNothingOfTheOneBefore(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Header.Get("Accept-Encoding")))
	}))
	t.Cleanup(server.Close)
	for n := range 2 {
		c := conns(t, server.URL, n+1)[0]
		for _, want := range []string{"gzip", ""} {
			var headers []Header
			if want != "" {
				headers = []Header{{Name: "Accept-Encoding", Value: want}}
			}
			if _, answer, err := c.Send(http.MethodGet, "/", headers, nil); err != nil || string(answer) != want {
				t.Errorf("client %d sent %q, want %q, %v", n, answer, want, err)
			}
		}
	}
}

// countedConn counts what is written at once.
type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

func TestAWholeRequestGoesInOnePacket(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	for kind, want := range map[Client]int64{Whole: 1, Standard: 2} {
		c, err := Dial(server.URL, 1, kind)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { Close(c) })
		var writes atomic.Int64
		transport, _ := c[0].standard.Transport.(*http.Transport)
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			return countedConn{conn, &writes}, err
		}
		if status, _, err := c[0].Send(http.MethodPut, "/", nil, []byte(`{"slot_id":"1"}`)); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
		if got := writes.Load(); got != want {
			t.Errorf("%s: %d writes, want %d", kind, got, want)
		}
	}
}
