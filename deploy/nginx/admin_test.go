package nginx_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// inner is the same edge at the address for administrators.
func (e *edge) inner() *edge { return &edge{base: e.admin, prefix: e.prefix, output: e.output} }

// Each event has to arrive when it was sent, not when a buffer is full or the answer ends.
func TestLiveNumbersAreHandedOnAtOnce(t *testing.T) {
	t.Parallel()
	more := make(chan string)
	e := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/admin/v1/live" || r.Header.Get("Last-Event-ID") != "17" || r.Header.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("%s with %v", r.URL, r.Header)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		for event := range more {
			say(w, event)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.admin+"/admin/v1/live", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Last-Event-ID", "17")
	r.Header.Set("X-Forwarded-For", "203.0.113.9") // what a client says of itself is worth nothing
	answered := make(chan *http.Response, 1)
	go func() {
		answer, err := (&http.Client{Transport: connections, Timeout: patience}).Do(r) //nolint:bodyclose // closed below
		if err != nil {
			t.Error(err)
		}
		answered <- answer
	}()
	more <- "data: 0\n\n"
	answer := <-answered
	if answer == nil {
		close(more)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	lines := bufio.NewReader(answer.Body)
	for i := range 3 {
		if i > 0 {
			more <- fmt.Sprintf("data: %d\n\n", i)
		}
		line, err := lines.ReadString('\n')
		if _, _ = lines.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("%q, %v", line, err)
		}
	}
	close(more)
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
}

func TestTheWayForAdministratorsLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	e := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- r.Method + " " + r.URL.RequestURI()
		w.Header().Set("Cache-Control", "public, max-age=60")
		say(w, time.Now().String())
	})).inner()
	for _, path := range []string{"/", "/v1/campaigns", "/dev/inbox", "/metrics", "/admin", "/openapi.yaml", "/admin/../v1/me", "/administration"} {
		wantProblem(t, e.must(t, http.MethodGet, path, ""), http.StatusNotFound, "not_found")
	}
	one, two := e.must(t, http.MethodGet, "/admin/v1/rooms?x=1", ""), e.must(t, http.MethodGet, "/admin/v1/rooms?x=1", "")
	if one.status != http.StatusOK || one.body == two.body {
		t.Error("what is an administrator's was kept")
	}
	if got := e.must(t, http.MethodPost, "/admin/v1/imports", strings.Repeat("x", 5<<20)); got.status != http.StatusOK {
		t.Errorf("a list of 5 MiB is answered %d", got.status)
	}
	close(asked)
	var all []string
	for a := range asked {
		all = append(all, a)
	}
	if strings.Join(all, ", ") != "GET /admin/v1/rooms?x=1, GET /admin/v1/rooms?x=1, POST /admin/v1/imports" {
		t.Errorf("the server was asked %v", all)
	}
	away := startBefore(t, free(t)).inner()
	wantProblem(t, away.must(t, http.MethodGet, "/admin/v1/rooms", ""), http.StatusServiceUnavailable, "store_unavailable")
}
