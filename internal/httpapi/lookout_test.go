package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
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
