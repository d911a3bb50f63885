package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// instance is a `jari serve` that a deployment starts and tells to stop.
type instance struct {
	url   string
	stop  context.CancelFunc
	ended chan error
}

// serveInstance starts one and waits until it listens.
func serveInstance(t *testing.T, environ []string) *instance {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(stop)
	i := &instance{stop: stop, ended: make(chan error, 1)}
	log, words := io.Pipe()
	go func() {
		err := run(surroundings{ctx: ctx, environ: environ, out: io.Discard, err: words}, []string{"serve"})
		_ = words.CloseWithError(io.EOF)
		i.ended <- err
	}()
	select {
	case a, listens := <-served(log):
		if !listens {
			t.Fatalf("an instance doesn't start: %v", <-i.ended)
		}
		i.url = "http://" + a
	case <-time.After(2 * time.Minute):
		t.Fatal("an instance doesn't start")
	}
	return i
}

// served reads a server's log to its end, and gives the address that it serves at. It is closed with the log.
func served(log io.Reader) <-chan string {
	address := make(chan string, 1)
	go func() {
		defer close(address)
		lines := bufio.NewScanner(log)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var line struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
				address <- line.Address
			}
		}
		_, _ = io.Copy(io.Discard, log)
	}()
	return address
}

// balancer leads to whoever is in, one after the other.
type balancer struct {
	mu sync.Mutex
	in []*jaritest.Server
	n  int
}

func (b *balancer) set(servers ...*jaritest.Server) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.in = servers
}

func (b *balancer) pick() *jaritest.Server {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	return b.in[b.n%len(b.in)]
}

// exchange asks, and once more if it isn't answered: what a client does.
func (b *balancer) exchange(ctx context.Context, q jaritest.Request, again *atomic.Int64) (got jaritest.Response, err error) {
	for try := range 2 {
		got, err = b.pick().Exchange(ctx, q)
		if err == nil && got.Status != http.StatusServiceUnavailable {
			return got, nil
		}
		if try == 0 {
			again.Add(1)
		}
	}
	return got, errors.Join(fmt.Errorf("%s %s is refused twice: %d %s", q.Method, q.Path, got.Status, got.Body), err)
}

// deploy_under_load_loses_nothing: every instance is replaced, one after the other, while people book and cancel. Nobody is
// refused twice, every acknowledged booking is there, and every old instance ends in peace.
func TestDeployUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	t.Run("deploy_under_load_loses_nothing", func(t *testing.T) {
		t.Parallel()
		const shown = "2021-07-19T19:58:00+09:00"
		s := jaritest.Start(t, jaritest.WithRunningClock(shown))
		environ := append(s.Environ(), "JARI_CLOCK_OFFSET="+time.Until(jaritest.Instant(shown)).String(),
			"JARI_LISTEN=127.0.0.1:0", "JARI_OPS_LISTEN=127.0.0.1:0", "JARI_STOP_DELAY=300ms", "JARI_LOG_LEVEL=INFO",
			"JARI_HOLDS_PER_PERSON=10000", "JARI_RATE_PERSON=1000000", "JARI_RATE_BLOCK=1000000")
		slots := s.Slots(t, jaritest.SiteOfMany, "2021-07-27")
		crowd := s.NewCrowd(t, 12, jaritest.BornForE3)

		running := []*instance{serveInstance(t, environ), serveInstance(t, environ)}
		var b balancer
		b.set(s.Behind(running[0].url), s.Behind(running[1].url))

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var done atomic.Bool
		var turns, again atomic.Int64
		var all sync.WaitGroup
		last := make([]httpapi.Booking, len(crowd))
		for n, c := range crowd {
			all.Go(func() {
				var h httpapi.Hold
				for {
					for _, step := range []struct {
						q    jaritest.Request
						into any
					}{
						{c.Request(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(slots[n%len(slots)].ID)), &h},
						{jaritest.Request{}, &last[n]},
					} {
						if step.into == any(&last[n]) {
							step.q = c.Request(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": h.HoldToken})
						}
						got, err := b.exchange(ctx, step.q, &again)
						if err == nil && got.Status >= http.StatusMultipleChoices {
							err = fmt.Errorf("%s %s is answered %d %s", step.q.Method, step.q.Path, got.Status, got.Body)
						}
						if err == nil {
							err = json.Unmarshal(got.Body, step.into)
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
					turns.Add(1)
					if done.Load() {
						return
					}
					got, err := b.exchange(ctx, c.Request(http.MethodDelete, s.Path("/bookings/"+last[n].BookingId), nil), &again)
					if err != nil || got.Status >= http.StatusMultipleChoices {
						t.Errorf("cancelling: %v, %d %s", err, got.Status, got.Body)
						return
					}
				}
			})
		}
		for n := range running {
			before := turns.Load()
			fresh := serveInstance(t, environ)
			b.set(s.Behind(fresh.url), s.Behind(running[1-n].url))
			jaritest.Eventually(t, time.Minute, "people book while it is replaced", func() bool { return turns.Load() > before || t.Failed() })
			running[n].stop() // as SIGTERM does
			select {
			case err := <-running[n].ended:
				if err != nil {
					t.Errorf("an old instance ends with %v", err)
				}
			case <-time.After(time.Minute):
				t.Fatal("an old instance doesn't end")
			}
			running[n] = fresh
		}
		done.Store(true)
		all.Wait()
		t.Logf("%d bookings while all instances were replaced, %d requests sent again", turns.Load(), again.Load())
		for n, c := range crowd {
			var kept httpapi.Booking
			c.Do(t, http.MethodGet, s.Path("/booking"), nil).Want(t, http.StatusOK).Into(t, &kept)
			if kept.BookingId != last[n].BookingId {
				t.Errorf("acknowledged booking %s isn't there; %s is", last[n].BookingId, kept.BookingId)
			}
		}
		s.CheckBooks(t)
		for _, i := range running {
			i.stop()
			if err := <-i.ended; err != nil {
				t.Errorf("an instance ends with %v", err)
			}
		}
	})
}
