package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"jari/internal/clock"
)

// lookedOut serves until the test ends; requests to /alone aren't looked out for. Each request waits in entered until the test
// lets it go on.
func lookedOut(t *testing.T, headerTimeout time.Duration) (dial func() (net.Conn, *bufio.Reader), entered chan *http.Request, release chan struct{}) {
	t.Helper()
	entered, release = make(chan *http.Request), make(chan struct{})
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/alone" {
				leaveAlone(r)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			entered <- r
			<-release
			_, _ = w.Write(body)
		}),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: time.Minute, MaxHeaderBytes: 1 << 12,
	}
	l = Lookout(server, l)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return func() (net.Conn, *bufio.Reader) {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c, bufio.NewReader(c)
	}, entered, release
}

func put(path, body string) string {
	return fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// answered reads one answer.
func answered(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	a, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = a.Body.Close()
	return string(body)
}

func TestRequestsFollowEachOtherWhoeverLooksOut(t *testing.T) {
	t.Parallel()
	dial, entered, release := lookedOut(t, time.Minute)
	c, answers := dial()
	long := strings.Repeat("longer than what is read at once ", 300)
	for i, path := range []string{"/alone", "/alone", "/watched", "/alone", "/watched", "/watched", "/alone"} {
		for _, body := range []string{"x", fmt.Sprint("body ", i), long} {
			text := put(path, body)
			cut := len(text) - 1 // the last byte comes late
			if i%2 == 0 {
				cut = len(text)
			}
			if _, err := io.WriteString(c, text[:cut]); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, text[cut:]); err != nil {
				t.Fatal(err)
			}
			<-entered
			if i == 1 { // the next one comes before this one is answered
				if _, err := io.WriteString(c, put("/alone", "early")); err != nil {
					t.Fatal(err)
				}
			}
			release <- struct{}{}
			if got := answered(t, answers); got != body {
				t.Fatalf("%.40q, want %.40q", got, body)
			}
			if i == 1 {
				<-entered
				release <- struct{}{}
				if got := answered(t, answers); got != "early" {
					t.Fatalf("%.40q", got)
				}
			}
		}
	}
}

// TestARequestIsLookedOutForAfterOneThatWasLeftAlone, also when both were read at once.
func TestARequestIsLookedOutForAfterOneThatWasLeftAlone(t *testing.T) {
	t.Parallel()
	dial, entered, release := lookedOut(t, time.Minute)
	c, answers := dial()
	if _, err := io.WriteString(c, put("/alone", "x")+put("/watched", "y")); err != nil {
		t.Fatal(err)
	}
	<-entered
	release <- struct{}{}
	answered(t, answers)
	second := <-entered
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	<-second.Context().Done()
	release <- struct{}{}
}

// TestWhoIsRefusedReadsWhyToItsEnd: net/http closes one half first, so that the answer isn't cut off by what is unread.
func TestWhoIsRefusedReadsWhyToItsEnd(t *testing.T) {
	t.Parallel()
	dial, _, _ := lookedOut(t, time.Minute)
	c, answers := dial()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 1<<16)); err != nil {
		t.Fatal(err)
	}
	if text := answered(t, answers); !strings.Contains(text, "431") {
		t.Error(text)
	}
}

func TestWhoLeavesIsMissedUnlessLeftAlone(t *testing.T) {
	t.Parallel()
	dial, entered, release := lookedOut(t, time.Minute)
	for path, missed := range map[string]bool{"/watched": true, "/alone": false} {
		c, _ := dial()
		if _, err := io.WriteString(c, put(path, "x")); err != nil {
			t.Fatal(err)
		}
		r := <-entered
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if missed {
			<-r.Context().Done()
		} else if err := r.Context().Err(); err != nil {
			t.Error(path, err)
		}
		release <- struct{}{}
	}
}

// TestWhoHasLeftIsSeenByWhoeverAsks, although nobody looked out for them.
func TestWhoHasLeftIsSeenByWhoeverAsks(t *testing.T) {
	t.Parallel()
	dial, entered, release := lookedOut(t, time.Minute)
	for turn := range 4 {
		leaves, inDeadline := turn%2 == 1, turn >= 2
		c, answers := dial()
		if _, err := io.WriteString(c, put("/alone", "x")); err != nil {
			t.Fatal(err)
		}
		r := <-entered
		ctx := r.Context()
		if inDeadline { // as requests have it that aren't read by hand
			ctx = deadlined(t, r)
		}
		ctx = untilTheyLeave(ctx, clock.NewSystem(0))
		for asked := time.Now(); time.Since(asked) < 2*soon; time.Sleep(soon / 5) {
			if err := ctx.Err(); err != nil {
				t.Fatal("somebody who is there has left:", err)
			}
		}
		if leaves {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(20 * time.Second); ctx.Err() == nil; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("nobody sees that they left")
				}
			}
			if err := r.Context().Err(); err != nil {
				t.Error("somebody looked out:", err)
			}
			release <- struct{}{}
			continue
		}
		if _, err := io.WriteString(c, put("/watched", "y")); err != nil { // what is sent ahead isn't lost by looking
			t.Fatal(err)
		}
		if err := ctx.Err(); err != nil {
			t.Error(err)
		}
		for _, want := range []string{"x", "y"} {
			release <- struct{}{}
			if got := answered(t, answers); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if want == "x" {
				<-entered
			}
		}
	}
}

// deadlined is the context of a request behind the middleware that bounds it.
func deadlined(t *testing.T, r *http.Request) (ctx context.Context) {
	t.Helper()
	c := echo.New().NewContext(r, httptest.NewRecorder())
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	inside := make(chan context.Context)
	go func() {
		_ = deadline(time.Minute)(func(c echo.Context) error {
			inside <- c.Request().Context()
			<-over
			return nil
		})(c)
	}()
	return <-inside
}

// pair is a connection as a server has it, and the other end.
func pair(t *testing.T) (here *lookout, there net.Conn) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if there, err = new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	c, err := Lookout(&http.Server{ReadHeaderTimeout: time.Minute}, l).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _ = c.Close(), there.Close(), l.Close() })
	here, ok := c.(*lookout)
	if !ok {
		t.Fatal("a connection without deadlines of its own")
	}
	return here, there
}

// TestADeadlineBoundsWhatGoesOnAndWhatComes, in both directions, as it does of any connection.
func TestADeadlineBoundsWhatGoesOnAndWhatComes(t *testing.T) {
	t.Parallel()
	past, none := time.Unix(1, 0), time.Time{}
	much := make([]byte, 64<<20) // more than any buffer between them
	for name, c := range map[string]struct {
		wait func(*lookout) error
		set  func(*lookout, time.Time) error
	}{
		"reading":         {func(c *lookout) error { _, err := c.Read(make([]byte, 10)); return err }, (*lookout).SetReadDeadline},
		"reading, both":   {func(c *lookout) error { _, err := c.Read(make([]byte, 10)); return err }, (*lookout).SetDeadline},
		"writing":         {func(c *lookout) error { _, err := c.Write(much); return err }, (*lookout).SetWriteDeadline},
		"writing, both":   {func(c *lookout) error { _, err := c.Write(much); return err }, (*lookout).SetDeadline},
		"writing through": {func(c *lookout) error { _, err := c.ReadFrom(bytes.NewReader(much)); return err }, (*lookout).SetWriteDeadline},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here, there := pair(t)
			ended := make(chan error)
			begin := func() { go func() { ended <- c.wait(here) }() }
			bounded := func(what string) {
				t.Helper()
				if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("%s: %v", what, err)
				}
			}
			set := func(at time.Time) {
				t.Helper()
				if err := c.set(here, at); err != nil {
					t.Fatal(err)
				}
			}
			set(past)
			begin()
			bounded("a deadline of before")
			set(none)
			set(time.Now().Add(20 * time.Millisecond))
			begin()
			bounded("a deadline to come")
			set(time.Now().Add(time.Hour))
			begin()
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
				here.reads.mu.Lock()
				here.writes.mu.Lock()
				busy := here.reads.busy + here.writes.busy
				here.writes.mu.Unlock()
				here.reads.mu.Unlock()
				if busy > 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("nobody waits")
				}
			}
			set(past)
			bounded("a deadline that comes meanwhile")
			set(none)
			begin()
			go func() { _, _ = io.Copy(io.Discard, there) }()
			if _, err := io.WriteString(there, "something"); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Error("without a deadline:", err)
			}
		})
	}
}

// TestALittleLaterIsNotSetAnew: requests that follow each other quickly have nearly the same deadline.
func TestALittleLaterIsNotSetAnew(t *testing.T) {
	t.Parallel()
	var set []time.Time
	b := bound{apply: func(at time.Time) error { set = append(set, at); return nil }}
	at := time.Now()
	for _, asked := range []time.Duration{0, deadlineSlack / 2, deadlineSlack * 3 / 4, deadlineSlack * 2, deadlineSlack, 2 * deadlineSlack} {
		if err := errors.Join(b.ask(at.Add(asked)), b.begin()); err != nil {
			t.Fatal(err)
		}
		b.end()
	}
	want := []time.Time{at, at.Add(2 * deadlineSlack), at.Add(deadlineSlack), at.Add(2 * deadlineSlack)}
	if !slices.Equal(set, want) {
		t.Errorf("set %v, want %v", set, want)
	}
}

// TestDeadlinesHoldAfterARequestThatWasLeftAlone: a client who then sends half a request doesn't keep the connection.
func TestDeadlinesHoldAfterARequestThatWasLeftAlone(t *testing.T) {
	t.Parallel()
	dial, entered, release := lookedOut(t, 50*time.Millisecond)
	c, answers := dial()
	if _, err := io.WriteString(c, put("/alone", "x")); err != nil {
		t.Fatal(err)
	}
	<-entered
	release <- struct{}{}
	answered(t, answers)
	if _, err := io.WriteString(c, "PUT /alone HT"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, answers); err != nil {
		t.Fatal("the server keeps waiting:", err)
	}
}
