package main

import (
	"bufio"
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"jari/cmd/surge/load"
	"jari/cmd/surge/rig"
	"jari/cmd/surge/waiter"
	"jari/internal/app"
)

// roomLevel is what was seen with a number of people waiting.
type roomLevel struct {
	people int64
	// Memory after garbage was collected and given back, in bytes; server is 0 where the system doesn't tell.
	server, redis int64
	known         *roomResult
	edge          edgeResult
}

// edgeResult is what waiters asked the edge for, and what it asked the server for.
type edgeResult struct {
	wanted  float64 // requests a second that all of them would send
	share   float64 // of the waiters whose requests were sent
	sent    int64
	late    int64
	origin  float64 // requests that came to the server
	elapsed time.Duration
	highest uint64 // serving number that a waiter saw
}

// level takes tickets among so many people, looks at the memory, and plays their polls through the edge.
func (b *room) level(ctx context.Context, people int64, edge *rig.Edge) (l roomLevel, err error) {
	l.people, l.known = people, &roomResult{}
	conns, err := load.Dial(b.server.URL, b.Connections, b.Client)
	if err != nil {
		return l, err
	}
	defer load.Close(conns)
	// Some thousands take a ticket among those who wait already, and ask for it again.
	if err := b.rig.People.Prepare(ctx, 4*b.Connections); err != nil {
		return l, err
	}
	if _, err := load.Closed(ctx, conns, b.Duration, nil, b.operation(roomNew)); err != nil && !errors.Is(err, errNobodyLeft) {
		return l, err
	}
	b.remember()
	r, err := load.Closed(ctx, conns, b.warmUp(), nil, b.operation(roomKnown))
	if err != nil {
		return l, err
	}
	l.known.done, l.known.elapsed = r.Done, r.Elapsed
	load.Close(conns)
	if _, err := b.server.Ask(ctx, giveBack); err != nil {
		return l, err
	}
	if b.meter != nil {
		if l.server, err = b.meter.Resident(b.server.Pid()); err != nil {
			return l, err
		}
	}
	if l.redis, err = b.rig.RedisMemory(ctx); err != nil {
		return l, err
	}
	l.edge, err = b.play(ctx, people, edge)
	return l, err
}

// play sends what people who wait would send in a while. Each has a position of their own in a line of that length, and asks
// when the client that waits would: near the front often, far from it rarely, off by chance. When all of them would send more
// than can be sent from here, a sample of the people is played, spread evenly over the line, each at their own pace.
func (b *room) play(ctx context.Context, people int64, edge *rig.Edge) (r edgeResult, err error) {
	length := max(3*time.Second, b.Duration) // the edge counts whole seconds
	r.wanted = wantedRate(people)
	r.share = min(1, b.Sent/r.wanted)
	instants := polls(people, int(math.Ceil(r.share*float64(people))), length)
	conns, err := load.Dial(edge.URL, b.Connections, b.Client)
	if err != nil {
		return r, err
	}
	defer load.Close(conns)
	lines := make(map[*load.Conn]*waiter.Line, len(conns))
	for _, c := range conns {
		lines[c] = &waiter.Line{Room: rig.RoomID}
	}
	op := func(_ context.Context, c *load.Conn, _ load.Moment) error {
		status, answer, err := c.Send(http.MethodGet, statusPath, nil, nil)
		if err == nil && status != http.StatusOK {
			err = unexpected("GET of the status through the edge", status, answer)
		}
		if err != nil {
			return err
		}
		return lines[c].Heard(answer)
	}
	before, err := originRequests(ctx, b.server)
	if err != nil {
		return r, err
	}
	result, err := load.At(ctx, conns, instants, length, nil, op)
	if err != nil {
		return r, err
	}
	after, err := originRequests(ctx, b.server)
	if err != nil {
		return r, err
	}
	r.sent, r.late, r.elapsed, r.origin = result.Done, result.Late, result.Elapsed, after-before
	for _, l := range lines {
		r.highest = max(r.highest, l.Serving())
	}
	return r, nil
}

// ask is when somebody asks next.
type ask struct {
	at    time.Duration
	ahead uint64
}

// asks is a heap of who asks next.
type asks []ask

func (a asks) Len() int           { return len(a) }
func (a asks) Less(i, j int) bool { return a[i].at < a[j].at }
func (a asks) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }

// Push and Pop are the heap's.
func (a *asks) Push(x any) { *a = append(*a, x.(ask)) } //nolint:forcetypeassert // the heap's own

// Pop takes the last.
func (a *asks) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// polls are the instants at which a sample of the people of a line ask within a while, ascending. They have been waiting for
// long: each is somewhere between two questions.
func polls(people int64, sample int, length time.Duration) (instants []time.Duration) {
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // repeatable, and nobody gains by guessing
	var next asks
	for i := range sample {
		ahead := uint64(float64(people) * (float64(i) + random.Float64()) / float64(sample))
		first := time.Duration(random.Float64() * float64(waiter.DefaultPoll.Interval(ahead, rig.RoomRate, random.Float64())))
		if first < length {
			next = append(next, ask{first, ahead})
		}
	}
	heap.Init(&next)
	for len(next) > 0 {
		now := next[0]
		instants = append(instants, now.at)
		next[0].at += waiter.DefaultPoll.Interval(now.ahead, rig.RoomRate, random.Float64())
		if next[0].at < length {
			heap.Fix(&next, 0)
		} else {
			heap.Pop(&next)
		}
	}
	return instants
}

// wantedRate is how many requests a second all people of a line send: the sum over their positions, in steps.
func wantedRate(people int64) (perSecond float64) {
	const steps = 1000
	for i := range steps {
		ahead := uint64(float64(people) * (float64(i) + .5) / steps)
		perSecond += float64(people) / steps / waiter.DefaultPoll.Interval(ahead, rig.RoomRate, .5).Seconds()
	}
	return perSecond
}

// originRequests is how often the server was asked for a room's status so far, as it counts itself.
func originRequests(ctx context.Context, server *rig.Process) (sum float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.Operations+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("asking for metrics: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), "jari_http_request_seconds_count{")
		labels, value, cut := strings.Cut(rest, "} ")
		if !ok || !cut || !strings.Contains(labels, `route="/v1/rooms/:room/status"`) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("a metric can't be read: %w", err)
		}
		sum += n
	}
	return sum, nil
}

// sameAnswer is an answer of the real server, for the one that does nothing to give again.
type sameAnswer struct {
	Body    []byte            `json:"body"`
	Headers map[string]string `json:"headers"`
}

// answerHeaders are those that the real server sets itself. Date is the library's, and length the body's.
var answerHeaders = []string{
	"Cache-Control", "Content-Type", "Etag", "Referrer-Policy", "Vary", "X-Content-Type-Options", "X-Frame-Options", "X-Request-Id",
}

func answerOf(c *load.Conn, body []byte) sameAnswer {
	a := sameAnswer{Body: slices.Clone(body), Headers: map[string]string{"Content-Length": strconv.Itoa(len(body))}}
	for _, name := range answerHeaders {
		if value := c.Header(name); value != "" {
			a.Headers[name] = value
		}
	}
	return a
}

// writeAnswers keeps answers for the server that does nothing.
func writeAnswers(file string, answers map[string]sameAnswer) error {
	raw, err := json.Marshal(answers)
	if err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o600)
}

type roomPart struct {
	File string `required:"" type:"existingfile" help:"JSON object of answers by path: headers, and the body in base64."`
}

// Run answers the status and the ticket with the same bytes each time, by handlers of Echo without a middleware.
func (p roomPart) Run(w surroundings) error {
	raw, err := os.ReadFile(p.File)
	if err != nil {
		return fmt.Errorf("reading the answers: %w", err)
	}
	var answers map[string]sameAnswer
	if err := json.Unmarshal(raw, &answers); err != nil {
		return fmt.Errorf("reading the answers: %w", err)
	}
	app.Tune() // as the server that it is compared with
	e := echo.New()
	e.GET("/v1/rooms/:room/status", answers[statusPath].handler())
	e.PUT("/v1/rooms/:room/ticket", answers[ticketPath].handler())
	return serveEcho(w, e)
}

// handler writes the answer.
func (a sameAnswer) handler() echo.HandlerFunc {
	headers := http.Header{}
	for name, value := range a.Headers {
		headers.Set(name, value)
	}
	return func(c echo.Context) error {
		maps.Copy(c.Response().Header(), headers) // shared lists, as the real server's are
		c.Response().WriteHeader(http.StatusOK)
		_, err := c.Response().Write(a.Body)
		return err
	}
}
