// Package nginx_test runs the edge's configuration in a real nginx, against servers of its own, and holds it to the
// contract: public documents are kept by path alone, nothing else is kept, and nothing is sent twice that must not be.
package nginx_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"jari/openapi"
)

// edge is a running nginx.
type edge struct {
	base   string
	admin  string // where administrators ask
	prefix string // its scratch folder
	output *buffer
}

// patience is how long anything that has to happen may take on a busy machine.
const patience = time.Minute

func program(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("nginx isn't installed: `scripts/install nginx` installs it")
	return ""
}

// serve starts a server that the edge can stand in front of.
func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// say writes an answer. Whether it arrives is the client's to see.
func say(w io.Writer, text string) { _, _ = io.WriteString(w, text) }

// start starts nginx with this folder's configuration before the servers. Only where it listens and where the servers
// are is replaced.
func start(t *testing.T, servers ...*httptest.Server) *edge {
	t.Helper()
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, s.Listener.Addr().String())
	}
	return startBefore(t, addresses...)
}

func startBefore(t *testing.T, addresses ...string) *edge {
	t.Helper()
	var err error
	for range 3 { // The free port may be taken by somebody else before nginx gets there.
		var e *edge
		if e, err = try(t, addresses); err == nil {
			return e
		}
	}
	t.Fatal(err)
	return nil
}

func try(t *testing.T, addresses []string) (*edge, error) {
	t.Helper()
	e := &edge{prefix: t.TempDir(), output: &buffer{}}
	address := free(t)
	inner := free(t)
	e.base, e.admin = "http://"+address, "http://"+inner
	var lines strings.Builder
	for _, a := range addresses {
		fmt.Fprintf(&lines, "server %s;\n", a)
	}
	for name, swap := range map[string][2]string{
		"nginx.conf":    {"", ""},
		"jari.conf":     {"listen 8080;", "listen " + address + ";"},
		"admin.conf":    {"listen 127.0.0.1:8081;", "listen " + inner + ";"},
		"upstream.conf": {"server jari:8080;", lines.String()},
	} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if swap[0] != "" && strings.Count(string(content), swap[0]) != 1 {
			t.Fatalf("%s should say %q once", name, swap[0])
		}
		changed := strings.Replace(string(content), swap[0], swap[1], 1)
		if err := os.WriteFile(filepath.Join(e.prefix, name), []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	directives := "daemon off;"
	if os.Geteuid() == 0 {
		directives += " user root;" // Or its workers become somebody who can't read the test's folder.
	}
	arguments := []string{"-p", e.prefix, "-c", filepath.Join(e.prefix, "nginx.conf"), "-g", directives}
	if told, err := exec.CommandContext(t.Context(), program(t), append(arguments, "-t")...).CombinedOutput(); err != nil {
		t.Fatalf("nginx refuses the configuration: %s", told)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program(t), arguments...) // Stopped below, politely.
	cmd.Stdout, cmd.Stderr = e.output, e.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait() // How it ended doesn't matter, only that it did.
		close(gone)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // It may be gone already.
		<-gone
		if t.Failed() {
			said := e.output.String()
			t.Logf("nginx said, at the end:\n%s", said[max(0, len(said)-4000):])
		}
	})
	for deadline := time.Now().Add(patience); ; {
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			return e, connection.Close()
		}
		select {
		case <-gone:
			return nil, fmt.Errorf("nginx ended: %s", e.output)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("nginx doesn't listen: %w", err)
		}
	}
}

func free(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}

// buffer collects what nginx says, while the test may read it.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// connections makes one for each request: nginx looks at the next request of a connection only when the update that the
// last one set off in the background is over.
var connections = &http.Transport{DisableKeepAlives: true}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request with headers as they are given ("Name: value") and unpacks nothing.
func (e *edge) ask(ctx context.Context, method, path, body string, headers ...string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, e.base+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Accept-Encoding", "identity")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	response, err := connections.RoundTrip(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: string(read)}, err
}

func (e *edge) must(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	a, err := e.ask(t.Context(), method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// get asks for a path until the answer is as wanted; how long documents are kept is counted in real seconds.
func (e *edge) get(t *testing.T, path, what string, wanted func(answer) bool) answer {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		a := e.must(t, http.MethodGet, path, "")
		if wanted(a) {
			return a
		}
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s; the last answer is %d %q %v", what, a.status, a.body, a.header)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

const document = "/v1/campaigns/korea-2021/regions/seoul/days/2021-08-17"

// visitor is what a browser would send along.
var visitor = []string{"Cookie: __Host-jari-session=secret-cookie", "Authorization: Bearer secret-token", "Jari-Admission: secret-admission"}

// operation is a line of the contract.
type operation struct {
	Guard       string `json:"x-jari-guard"`
	Development bool   `json:"x-jari-development"`
}

var parameter = regexp.MustCompile(`\{[a-z_]+\}`)

// contract returns the operations by path and method, with made-up values in the paths.
func contract(t *testing.T) map[string]map[string]operation {
	t.Helper()
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := yaml.Unmarshal(openapi.Document, &document); err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]operation{}
	for path, item := range document.Paths {
		filled := parameter.ReplaceAllString(strings.ReplaceAll(path, "{date}", "2021-08-17"), "some-1")
		found[filled] = map[string]operation{}
		for method, value := range item {
			fields, ok := value.(map[string]any)
			if !ok {
				continue // Parameters of the path.
			}
			guard, _ := fields["x-jari-guard"].(string)
			if guard == "" {
				t.Fatalf("%s %s names no guard", method, path)
			}
			development, _ := fields["x-jari-development"].(bool)
			found[filled][strings.ToUpper(method)] = operation{Guard: guard, Development: development}
		}
	}
	if len(found) < 10 {
		t.Fatalf("read only %d paths from the contract", len(found))
	}
	return found
}

// Held against the contract, so that an operation that is added there is either public, and kept, or never kept. The
// server of this test is the worst there could be: it says of everything that it may be kept.
func TestPublicDocumentsAreKeptAndNothingElse(t *testing.T) {
	t.Parallel()
	t.Run("where the server sets cookies", func(t *testing.T) {
		t.Parallel()
		kept(t, "__Host-jari-session=of-somebody")
	})
	t.Run("where it sets none, which alone would keep nginx from keeping", func(t *testing.T) {
		t.Parallel()
		kept(t, "")
	})
}

func kept(t *testing.T, cookie string) {
	t.Helper()
	var mu sync.Mutex
	seen := map[string][]http.Header{}
	e := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		key := r.Method + " " + r.URL.Path
		seen[key] = append(seen[key], r.Header)
		w.Header().Set("Cache-Control", "public, max-age=60")
		if cookie != "" {
			w.Header().Set("Set-Cookie", cookie)
		}
		say(w, fmt.Sprintf("%s %d", key, len(seen[key])))
	}))
	check := func(method, path string, kept, hidden bool) {
		first, second := e.must(t, method, path, "", visitor...), e.must(t, method, path, "", visitor...)
		mu.Lock()
		defer mu.Unlock()
		asked := seen[method+" "+path]
		switch {
		case hidden:
			if len(asked) != 0 || first.status != http.StatusNotFound {
				t.Errorf("%s %s is hidden, but answered %d", method, path, first.status)
			}
			return
		case kept:
			if len(asked) != 1 || first.body != second.body || second.header.Get("X-Cache") != "HIT" {
				t.Errorf("%s %s is public, but the server was asked %d times: %s", method, path, len(asked), second.header.Get("X-Cache"))
			}
		default:
			if len(asked) != 2 || first.body == second.body {
				t.Errorf("%s %s isn't a public document, but the server was asked %d times", method, path, len(asked))
			}
		}
		for i, a := range []answer{first, second} {
			if want := map[bool]string{false: cookie}[kept]; a.header.Get("Set-Cookie") != want {
				t.Errorf("%s %s: the cookie of answer %d is %q, want %q", method, path, i, a.header.Get("Set-Cookie"), want)
			}
		}
		for _, header := range asked {
			for _, line := range visitor {
				name, value, _ := strings.Cut(line, ": ")
				if want := map[bool]string{false: value}[kept]; header.Get(name) != want {
					t.Errorf("%s %s: the server got %s %q, want %q", method, path, name, header.Get(name), want)
				}
			}
		}
	}
	documents := 0
	for path, methods := range contract(t) {
		for method, o := range methods {
			kept := method == http.MethodGet && o.Guard == "public" && !o.Development
			if kept {
				documents++
			}
			check(method, path, kept, o.Development || strings.HasPrefix(path, "/admin/"))
		}
	}
	check(http.MethodGet, "/openapi.yaml", true, false)
	check(http.MethodGet, "/docs", false, false)
	if documents < 5 {
		t.Errorf("only %d public documents in the contract", documents)
	}
}

func TestPathAloneIsTheKey(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	e := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.RequestURI != document {
			t.Errorf("the server was asked for %s", r.RequestURI)
		}
		w.Header().Set("Cache-Control", "public, max-age=60")
		w.Header().Set("Vary", "Accept-Encoding, Cookie")
		say(w, "places")
	}))
	for i, path := range []string{
		document, document + "?x=1", document + "?x=2", "/" + document, "/v1/x/.." + strings.TrimPrefix(document, "/v1"),
		strings.Replace(document, "seoul", "%73eoul", 1),
	} {
		a := e.must(t, http.MethodGet, path, "", fmt.Sprintf("Accept-Encoding: gzip, x%d", i), fmt.Sprintf("Cookie: a=%d", i))
		if a.body != "places" {
			t.Errorf("%s answered %d %q", path, a.status, a.body)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times for one document", n)
	}
}

func TestTenVisitorsAtOnceAreOneRequest(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	e := start(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		time.Sleep(300 * time.Millisecond) // Long enough for all to be there while nothing is.
		w.Header().Set("Cache-Control", "public, max-age=60")
		say(w, "places")
	}))
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			a, err := e.ask(t.Context(), http.MethodGet, document, "")
			if err != nil || a.body != "places" {
				t.Errorf("answered %d %q, %v", a.status, a.body, err)
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times for one document", n)
	}
}

func TestOneCompressedCopyServesEverybody(t *testing.T) {
	t.Parallel()
	const text = `{"remaining": 12}`
	var asked atomic.Int64
	e := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("the server was asked for %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Cache-Control", "public, max-age=60")
		w.Header().Set("Vary", "Accept-Encoding")
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Etag", `"one"`)
		packed := gzip.NewWriter(w)
		say(packed, text)
		_ = packed.Close()
	}))
	plain := e.must(t, http.MethodGet, document, "")
	packed := e.must(t, http.MethodGet, document, "", "Accept-Encoding: gzip")
	reader, err := gzip.NewReader(strings.NewReader(packed.body))
	if err != nil {
		t.Fatalf("isn't compressed: %v", err)
	}
	unpacked, err := io.ReadAll(reader)
	if err != nil || string(unpacked) != text || plain.body != text {
		t.Errorf("compressed %q, plain %q, %v", unpacked, plain.body, err)
	}
	if plain.header.Get("Vary") == "" {
		t.Error("caches behind the edge aren't told that there are two forms")
	}
	if again := e.must(t, http.MethodGet, document, "", "If-None-Match: "+plain.header.Get("Etag")); again.status != http.StatusNotModified {
		t.Errorf("who has the document already got %d", again.status)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
}

func TestNobodyWaitsForAFreshDocument(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	release := make(chan struct{})
	freed := sync.OnceFunc(func() { close(release) })
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		if n > 1 {
			<-release
		}
		w.Header().Set("Cache-Control", "public, max-age=1, stale-while-revalidate=60")
		say(w, fmt.Sprintf("places %d", n))
	})
	t.Cleanup(freed) // Before the server closes, which waits for its handlers.
	e := start(t, server)
	e.get(t, document, "the first copy", func(a answer) bool { return a.body == "places 1" })
	e.get(t, document, "the old copy, while the server takes its time", func(a answer) bool {
		return a.body == "places 1" && (a.header.Get("X-Cache") == "STALE" || a.header.Get("X-Cache") == "UPDATING")
	})
	for range 5 {
		e.must(t, http.MethodGet, document, "")
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the server was asked %d times, once for each copy is enough", n)
	}
	freed()
	e.get(t, document, "the new copy", func(a answer) bool { return a.body != "places 1" })
}

func TestAnOutageIsBridgedAsLongAsTheServerAllowed(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	e := start(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			panic(http.ErrAbortHandler) // The connection breaks off.
		}
		w.Header().Set("Cache-Control", "public, max-age=1, stale-if-error=2")
		say(w, "places")
	}))
	e.must(t, http.MethodGet, document, "")
	down.Store(true)
	e.get(t, document, "the old copy in place of an error", func(a answer) bool {
		return a.body == "places" && a.header.Get("X-Cache") == "STALE"
	})
	a := e.get(t, document, "an error at last: no copy is shown for ever", func(a answer) bool { return a.status != http.StatusOK })
	wantProblem(t, a, http.StatusServiceUnavailable, "store_unavailable")
	down.Store(false)
	e.get(t, document, "the document again", func(a answer) bool { return a.body == "places" })
}

func TestProblemsAreNotKept(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	e := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Cache-Control", "public, max-age=60")
		w.WriteHeader(http.StatusNotFound)
		say(w, r.Header.Get("Accept-Language"))
	}))
	for _, language := range []string{"ko", "en"} {
		if a := e.must(t, http.MethodGet, document, "", "Accept-Language: "+language); a.status != http.StatusNotFound || a.body != language {
			t.Errorf("asked in %s, answered %d in %q", language, a.status, a.body)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the server was asked %d times", n)
	}
}

func TestTheServerLearnsWhoAsksFromTheEdgeAlone(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 2)
	e := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		got <- r
		w.Header().Set("X-Request-Id", "of-the-server")
	}))
	lies := []string{"X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "X-Real-IP: 203.0.113.9", "X-Request-Id: of-the-visitor"}
	for path, id := range map[string]string{"/v1/me": "of-the-server", document: ""} {
		a := e.must(t, http.MethodGet, path, "", lies...)
		r := <-got
		for name, want := range map[string]string{"X-Forwarded-For": "127.0.0.1", "Forwarded": "", "X-Real-Ip": ""} {
			if value := strings.Join(r.Header.Values(name), ", "); value != want {
				t.Errorf("%s: the server got %s %q, want %q", path, name, value, want)
			}
		}
		if r.ProtoMinor != 1 || r.Close {
			t.Errorf("%s: the connection to the server isn't kept", path)
		}
		if r.Header.Get("X-Request-Id") == "" || r.Header.Get("X-Request-Id") == "of-the-visitor" {
			t.Errorf("%s: the server got the request id %q", path, r.Header.Get("X-Request-Id"))
		}
		// A personal answer carries the server's id; a document carries the edge's, because the server's names the
		// request that fetched it.
		if id == "" {
			id = r.Header.Get("X-Request-Id")
		}
		if values := a.header.Values("X-Request-Id"); len(values) != 1 || values[0] != id {
			t.Errorf("%s answered with the request id %q, want %q", path, values, id)
		}
	}
}

func TestOnlyWhatIsSafeIsSentAgain(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	breaks := func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		panic(http.ErrAbortHandler)
	}
	for _, c := range []struct {
		method string
		times  int64
	}{{http.MethodPost, 1}, {http.MethodPut, 2}} {
		asked.Store(0)
		e := start(t, serve(t, breaks), serve(t, breaks)) // Anew: nginx leaves servers alone for a while that broke off.
		a := e.must(t, c.method, "/v1/verifications", "{}")
		wantProblem(t, a, http.StatusServiceUnavailable, "outcome_unknown")
		if n := asked.Load(); n != c.times {
			t.Errorf("a %s that broke off was sent %d times, want %d", c.method, n, c.times)
		}
	}
}

func TestTheServersOwnRefusalsPassAndAreNotAskedTwice(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	refuses := func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || n != 20_000 {
			t.Errorf("the server got %d bytes, %v", n, err)
		}
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
		say(w, "the server's own words")
	}
	e := start(t, serve(t, refuses), serve(t, refuses))
	// More than the server's own limit: it is the server that refuses such a body.
	a := e.must(t, http.MethodPut, "/v1/campaigns/korea-2021/booking", strings.Repeat("x", 20_000))
	if a.status != http.StatusServiceUnavailable || a.body != "the server's own words" || asked.Load() != 1 {
		t.Errorf("answered %d %q after %d requests", a.status, a.body, asked.Load())
	}
}

func TestTheEdgeSpeaksInProblems(t *testing.T) {
	t.Parallel()
	e := startBefore(t, free(t)) // Nobody is there.
	wantProblem(t, e.must(t, http.MethodGet, document, ""), http.StatusServiceUnavailable, "store_unavailable")
	wantProblem(t, e.must(t, http.MethodGet, "/v1/me", ""), http.StatusServiceUnavailable, "store_unavailable")
	wantProblem(t, e.must(t, http.MethodPut, "/v1/campaigns/korea-2021/booking", "{}"), http.StatusServiceUnavailable, "outcome_unknown")
	wantProblem(t, e.must(t, http.MethodPost, "/v1/verifications", strings.Repeat("x", 100_000)), http.StatusRequestEntityTooLarge, "body_too_large")
	for _, path := range []string{
		"/dev", "/dev/inbox", "/%64ev/inbox", "//dev/inbox", "/v1/../dev/inbox", "/dev%2finbox", "/livez", "/readyz", "/metrics", "/debug/pprof/",
		"/admin", "/admin/v1/campaigns/korea-2021/versions", "//admin/v1/campaigns", "/%61dmin/v1/campaigns",
	} {
		wantProblem(t, e.must(t, http.MethodGet, path, ""), http.StatusNotFound, "not_found")
	}
}

func wantProblem(t *testing.T, a answer, status int, code string) {
	t.Helper()
	var problem struct {
		Type, Title, Code string
		Status            int
		RequestID         string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(a.body), &problem); err != nil {
		t.Errorf("answered %d %q", a.status, a.body)
		return
	}
	if a.status != status || problem.Status != status || problem.Code != code || problem.Type != "urn:jari:problem:"+code ||
		problem.Title == "" || problem.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("answered %d %+v, want %d %s", a.status, problem, status, code)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("the content type is %s", got)
	}
	if a.header.Get("Cache-Control") != "no-store" || (status == http.StatusServiceUnavailable) != (a.header.Get("Retry-After") != "") {
		t.Errorf("the headers are %v", a.header)
	}
}

// The answer is larger than all buffers and the body as large as allowed: both would land in files if they could.
func TestNothingPersonalTouchesTheDiskOrTheLog(t *testing.T) {
	t.Parallel()
	const name = "Hong-Gil-dong"
	answered := strings.Repeat(name+"\n", 2_000_000)
	e := start(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Cache-Control", "public, max-age=60") // A fault of the server's must not become the edge's.
		say(w, answered)
	}))
	a := e.must(t, http.MethodPut, "/v1/campaigns/korea-2021/booking?name="+name, strings.Repeat(name, 2000),
		"Cookie: __Host-jari-session="+name)
	if a.body != answered {
		t.Fatalf("answered %d, %d bytes", a.status, len(a.body))
	}
	for deadline := time.Now().Add(patience); !strings.Contains(e.output.String(), `"path":"/v1/campaigns/korea-2021/booking"`); {
		if time.Now().After(deadline) {
			t.Fatal("the request was never logged")
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, word := range []string{name, "127.0.0.1"} {
		if strings.Contains(e.output.String(), word) {
			t.Errorf("the log says %q", word)
		}
	}
	// nginx takes its temporary files' names away at once, so they can't be found; but it warns of each.
	if strings.Contains(e.output.String(), "temporary file") {
		t.Error("something was written to a temporary file")
	}
	err := filepath.WalkDir(e.prefix, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !entry.Type().IsRegular() {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(name)) {
			t.Errorf("%s is on the disk", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
