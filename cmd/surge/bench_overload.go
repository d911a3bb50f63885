package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"jari/cmd/surge/load"
	"jari/cmd/surge/rig"
)

// benchOverload measures what becomes of a server that is asked for many times what it can do.
type benchOverload struct {
	Duration    time.Duration `default:"10s" help:"How long each part is measured. A warm-up of a fifth, at most two seconds, isn't counted."`
	Connections int           `default:"1024" help:"Connections that requests are sent on; a request that finds none free is late."`
	Delay       time.Duration `default:"100ms" help:"How much later Postgres answers than it could, so that little is sustainable and the generator can send many times that."`
	JSON        bool          `name:"json" help:"Print one JSON object instead of the table."`
	Profile     string        `name:"cpuprofile" type:"path" placeholder:"DIR" help:"Write a CPU profile of the server at thirty times into this folder, for go tool pprof."`
	Set         []string      `placeholder:"NAME=VALUE" help:"A variable of the server's environment, such as JARI_FLUSH_ROWS=16; may be repeated. Without it, everything but that one has its default: flushes are as small as they have to be for the generator to send thirty times as much with a quarter of its strength."`
	Data        string        `default:".jari/surge" type:"path" help:"Folder for the private stores and the logs."`
}

// factors are how many times the sustainable rate is sent, and the share of the peak that must be booked all the same.
var factors = []struct{ times, goodput float64 }{{10, .9}, {20, .85}, {30, .8}}

const (
	// slowerBy is what an accepted booking may take longer than one that nobody else is there for.
	slowerBy = 3
	// recoversWithin is how soon after the flood a usual load must be served, and recovered how much of it.
	recoversWithin = 10 * time.Second
	recovered      = .95
	// usual is the usual load, as a share of what is sustainable.
	usual = .7
	// growth is how much more memory a server may use afterwards, and strays how many more goroutines.
	growth = 1.25
	strays = 50
	// effort is the part of its strength that the generator needs for the greatest flood. Half would do on a machine that does
	// nothing else.
	effort = .25
	// tooLate is how late a request may be sent; later it counts as not sent.
	tooLate = time.Second
)

// Names of latencies, beside those of the other benchmarks.
const latencyHold = "hold"

// flood is a run.
type flood struct {
	benchOverload
	rig    *rig.Rig
	server *rig.Process
	// people are those who want to book. Who is refused goes to the end of the line and is sent again later.
	people chan rig.Person
	told   atomic.Int64 // bookings that clients were told of

	mu sync.Mutex
	// confirms are refusals of people who held a place, by what they were told; strange are answers that nobody should get.
	confirms, strange map[string]int
}

// Run measures, checks and prints.
func (c benchOverload) Run(w surroundings) (err error) {
	if c.Duration < 100*time.Millisecond || c.Connections < 16 || c.Delay < 10*time.Millisecond {
		return errors.New("--duration must be at least 100ms, --connections at least 16 and --delay at least 10ms")
	}
	if err := errors.Join(checkSet(c.Set), makeProfiles(c.Profile)); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(w.err, &slog.HandlerOptions{Level: slog.LevelInfo}))
	f := &flood{benchOverload: c, confirms: map[string]int{}, strange: map[string]int{}}
	loadBefore := rig.LoadAverage()
	if f.rig, err = rig.Start(w.ctx, rig.Options{Dir: c.Data, Log: log}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.rig.Close(context.WithoutCancel(w.ctx))) }()
	r := overloadReport{DurationSeconds: c.Duration.Seconds(), Set: append([]string{}, c.Set...), DelayMillis: millis(c.Delay), LoadBefore: loadBefore}
	if r.Facts, err = f.rig.Facts(w.ctx); err != nil {
		return err
	}
	if err := f.measure(w.ctx, log, &r); err != nil {
		return err
	}
	r.LoadAfter = rig.LoadAverage()
	r.ConfirmsRefused, r.Strange = f.confirms, f.strange
	if c.JSON {
		err = json.NewEncoder(w.out).Encode(r)
	} else {
		err = r.print(w.out)
	}
	return errors.Join(err, r.judge())
}

// measure runs all parts.
func (f *flood) measure(ctx context.Context, log *slog.Logger, r *overloadReport) (err error) {
	if r.Strength, err = f.strength(ctx); err != nil {
		return fmt.Errorf("measuring the generator: %w", err)
	}
	// A lane decides that many each two delays, and there are two lanes.
	r.FlushRows = int(min(max(r.Strength*effort/factors[len(factors)-1].times*f.Delay.Seconds(), 2), 64))
	log.Info("measured", "part", "generator", "per_second", int(r.Strength), "flush_rows", r.FlushRows)
	proxy, err := f.rig.ProxyPostgres()
	if err != nil {
		return err
	}
	defer proxy.Close()
	if err := proxy.Slow(int(f.Delay.Milliseconds()), 0); err != nil {
		return err
	}
	environment := append([]string{
		"JARI_POSTGRES_URL=" + proxy.URL, "JARI_MESSAGE_WORKERS=0", fmt.Sprintf("JARI_FLUSH_ROWS=%d", r.FlushRows),
	}, f.Set...)
	if f.server, err = f.rig.Run(ctx, "overload", []string{"part", "real"}, environment); err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, f.server.Stop(stop))
	}()
	if err := rig.AwaitReady(ctx, f.server); err != nil {
		return err
	}
	if err := f.gather(ctx); err != nil {
		return err
	}
	if err := f.alone(ctx, r); err != nil {
		return fmt.Errorf("with nobody else there: %w", err)
	}
	if err := f.peak(ctx, r); err != nil {
		return fmt.Errorf("at its peak: %w", err)
	}
	log.Info("measured", "part", "peak", "per_second", int(r.Sustainable), "unloaded_p99_ms", r.UnloadedP99)
	if r.MemoryBefore, r.GoroutinesBefore, err = f.size(ctx); err != nil {
		return err
	}
	for i, x := range factors {
		profiled := f.Profile != "" && i == len(factors)-1
		if profiled {
			if _, err := f.server.Ask(ctx, startProfile+filepath.Join(f.Profile, "overload.pprof")); err != nil {
				return err
			}
		}
		part, err := f.flood(ctx, r, x.times)
		if err != nil {
			return fmt.Errorf("at %g times what is sustainable: %w", x.times, err)
		}
		if profiled {
			if _, err := f.server.Ask(ctx, stopProfile); err != nil {
				return err
			}
		}
		r.Factors = append(r.Factors, part)
		log.Info("measured", "part", x.times, "goodput", part.GoodputRatio, "p99", part.AcceptedP99Ratio, "recovery_s", part.Recovery)
		r.Recovery = max(r.Recovery, part.Recovery)
	}
	if r.MemoryAfter, r.GoroutinesAfter, err = f.size(ctx); err != nil {
		return err
	}
	r.MemoryGrowth = ratio(r.MemoryAfter, r.MemoryBefore)
	var rows int64
	if rows, _, err = f.booked(ctx); err == nil && rows != f.told.Load() {
		err = fmt.Errorf("the run isn't valid: clients were told of %d bookings and the table has %d", f.told.Load(), rows)
	}
	r.Rows = rows
	return err
}

// aRefusal is about what a refused client gets.
const aRefusal = `{"code":"overloaded","detail":"Please try again in a moment. What you hold stays yours.","request_id":"AbCdEfGhIjKl",` +
	`"retry_after_seconds":4,"retry_at":"2021-07-19T20:00:04+09:00","status":503,"title":"Too many people at this moment","type":"urn:jari:problem:overloaded"}`

// strength is how many requests a second the generator gets answered by a server that does nothing.
func (f *flood) strength(ctx context.Context) (perSecond float64, err error) {
	file := filepath.Join(f.Data, "refusal.json")
	if err := os.WriteFile(file, []byte(aRefusal), 0o600); err != nil {
		return 0, err
	}
	server, err := f.rig.Run(ctx, "empty", []string{"part", "empty", "--hold", file, "--booking", file}, nil)
	if err != nil {
		return 0, err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, server.Stop(stop))
	}()
	conns, err := load.Dial(server.URL, min(f.Connections, 64), load.Lean)
	if err != nil {
		return 0, err
	}
	defer load.Close(conns)
	if err := f.rig.People.Prepare(ctx, 1); err != nil {
		return 0, err
	}
	person, _ := f.rig.People.Take()
	path := "/v1/campaigns/" + f.rig.Campaign.ID + "/hold"
	body := holdBodies(f.rig.Campaign.Spread[:1])[0]
	result, err := load.Closed(ctx, conns, min(f.Duration, 3*time.Second), nil, func(_ context.Context, c *load.Conn, _ load.Moment) error {
		status, answer, err := c.Send(http.MethodPut, path, headersOf(person), body)
		if err == nil && status != http.StatusOK {
			err = unexpected("hold", status, answer)
		}
		return err
	})
	return ratio(float64(result.Done), result.Elapsed.Seconds()), err
}

func headersOf(p rig.Person) []load.Header {
	return []load.Header{{Name: "Authorization", Value: "Bearer " + p.Session}, {Name: "Jari-Admission", Value: p.Admission}}
}

// line is how many people there are to come who aren't on their way: more than can be booked in the whole run.
func (f *flood) line() int {
	const most = 64 / .02 // bookings a second, whatever is set: a flush of so many in so short a time
	seconds := (f.Duration+f.warmUp()).Seconds()*(2+2*float64(len(factors))) + recoversWithin.Seconds()*float64(len(factors))
	return int(min(most, 64/f.Delay.Seconds()*2)*seconds) + 4*f.Connections
}

func (f *flood) warmUp() time.Duration { return min(2*time.Second, f.Duration/5) }

// gather has everybody come.
func (f *flood) gather(ctx context.Context) error {
	n := f.line()
	if err := f.rig.People.Prepare(ctx, n); err != nil {
		return err
	}
	f.people = make(chan rig.Person, n)
	for p, ok := f.rig.People.Take(); ok && len(f.people) < n; p, ok = f.rig.People.Take() {
		f.people <- p
	}
	return f.rig.Settle(ctx)
}

// booked are the rows of bookings, and the instant of Postgres at which there were that many.
func (f *flood) booked(ctx context.Context) (rows int64, at time.Time, err error) {
	err = f.rig.Pool.QueryRow(ctx, `SELECT count(*), statement_timestamp() FROM bookings WHERE status = 'active'`).Scan(&rows, &at)
	if err != nil {
		err = fmt.Errorf("counting rows: %w", err)
	}
	return rows, at, err
}

// alone measures a client with whom nobody competes.
func (f *flood) alone(ctx context.Context, r *overloadReport) error {
	conns, err := load.Dial(f.server.URL, 1, load.Lean)
	if err != nil {
		return err
	}
	defer load.Close(conns)
	op := func(recorder *load.Recorder) load.Operation {
		return f.operation(func(*load.Conn, time.Time, bool) {}, func(time.Time) *load.Recorder { return recorder })
	}
	if _, err := load.Closed(ctx, conns, f.warmUp(), nil, op(nil)); err != nil {
		return err
	}
	recorder := load.NewRecorder()
	if _, err := load.Closed(ctx, conns, f.Duration, nil, op(recorder)); err != nil {
		return err
	}
	r.UnloadedP99, r.UnloadedBookings = millis(recorder.Quantile(latencyPair, .99)), recorder.Count(latencyPair)
	r.UnloadedHoldP99, r.UnloadedConfirmP99 = millis(recorder.Quantile(latencyHold, .99)), millis(recorder.Quantile(latencyConfirm, .99))
	return nil
}

// peak measures the most that is booked when there are always some who want to.
func (f *flood) peak(ctx context.Context, r *overloadReport) error {
	conns, err := load.Dial(f.server.URL, min(f.Connections, 8*r.FlushRows), load.Lean)
	if err != nil {
		return err
	}
	defer load.Close(conns)
	again := func(_ *load.Conn, _ time.Time, good bool) {
		if !good {
			rest(ctx, 20*time.Millisecond)
		}
	}
	r.Sustainable, err = f.goodput(ctx, func() error {
		_, err := load.Closed(ctx, conns, f.warmUp()+f.Duration, nil, f.operation(again, func(time.Time) *load.Recorder { return nil }))
		return err
	})
	if err == nil && r.Sustainable == 0 {
		err = errors.New("nothing was booked")
	}
	return err
}

// goodput is how many rows a second there are more while run runs, from its warm-up to the end of its length.
func (f *flood) goodput(ctx context.Context, run func() error) (perSecond float64, err error) {
	counted := make(chan error, 1)
	go func() {
		rest(ctx, f.warmUp())
		before, from, err := f.booked(ctx)
		if err == nil {
			rest(ctx, f.Duration)
			var after int64
			var to time.Time
			if after, to, err = f.booked(ctx); err == nil {
				perSecond = float64(after-before) / to.Sub(from).Seconds()
			}
		}
		counted <- err
	}()
	err = run()
	return perSecond, errors.Join(err, <-counted)
}

// flood sends many times what is sustainable, and then what is usual until that is served again.
func (f *flood) flood(ctx context.Context, r *overloadReport, times float64) (part floodReport, err error) {
	part = floodReport{Factor: times, Offered: times * r.Sustainable}
	conns, err := load.Dial(f.server.URL, f.Connections, load.Lean)
	if err != nil {
		return part, err
	}
	defer load.Close(conns)
	measured := load.NewRecorder()
	var refused, late, booked atomic.Int64
	began := time.Now()
	op := f.operation(func(c *load.Conn, _ time.Time, good bool) {
		if !good {
			refused.Add(1)
		} else {
			booked.Add(1)
		}
	}, func(intended time.Time) *load.Recorder {
		if time.Since(intended) > tooLate {
			late.Add(1)
		}
		if intended.Sub(began) < f.warmUp() {
			return nil
		}
		return measured
	})
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var watch sync.WaitGroup
	watch.Go(func() { f.watch(watching, r) })
	var result load.Result
	goodput, err := f.goodput(ctx, func() (err error) {
		result, err = load.Open(ctx, conns, part.Offered, f.warmUp()+f.Duration, nil, op)
		return err
	})
	stop()
	watch.Wait()
	if err != nil {
		return part, err
	}
	part.Goodput, part.GoodputRatio = goodput, ratio(goodput, r.Sustainable)
	part.Sent = ratio(float64(result.Done), result.Elapsed.Seconds())
	part.Refused, part.Booked, part.Missed, part.Late = refused.Load(), booked.Load(), result.Missed+late.Load(), result.Late
	part.AcceptedP99 = millis(measured.Quantile(latencyPair, .99))
	part.HoldP99, part.ConfirmP99 = millis(measured.Quantile(latencyHold, .99)), millis(measured.Quantile(latencyConfirm, .99))
	part.AcceptedP99Ratio = ratio(part.AcceptedP99, r.UnloadedP99)
	part.Recovery, err = f.recover(ctx, conns, r.Sustainable)
	return part, err
}

// moments are the parts of a second in which a recovery is looked at, and steadyFor how many of them in a row must be good.
const (
	moment    = 500 * time.Millisecond
	steadyFor = 4
)

// recover sends what is usual and tells after how many seconds that is served again.
func (f *flood) recover(ctx context.Context, conns []*load.Conn, sustainable float64) (seconds float64, err error) {
	length := min(recoversWithin, 2*f.Duration).Truncate(moment) + steadyFor*moment
	type count struct{ asked, good atomic.Int64 }
	counts := make([]count, length/moment+1)
	began := time.Now()
	op := f.operation(func(_ *load.Conn, intended time.Time, good bool) {
		x := &counts[min(int(intended.Sub(began)/moment), len(counts)-1)]
		x.asked.Add(1)
		if good {
			x.good.Add(1)
		}
	}, func(time.Time) *load.Recorder { return nil })
	if _, err := load.Open(ctx, conns, usual*sustainable, length, nil, op); err != nil {
		return 0, err
	}
	row := 0
	for i := range counts[:len(counts)-1] {
		row++
		if float64(counts[i].good.Load()) < recovered*float64(counts[i].asked.Load()) {
			row = 0
		}
		if row == steadyFor {
			return (time.Duration(i+1-steadyFor) * moment).Seconds(), nil
		}
	}
	return length.Seconds(), nil
}

// operation is a citizen who holds a place and confirms it: from the instant at which they meant to, and on whatever record
// that instant belongs to. ended is told how it went.
func (f *flood) operation(ended func(c *load.Conn, intended time.Time, good bool), record func(intended time.Time) *load.Recorder) load.Operation {
	path := "/v1/campaigns/" + f.rig.Campaign.ID
	bodies := holdBodies(f.rig.Campaign.Spread)
	var serial atomic.Uint64
	return func(ctx context.Context, c *load.Conn, at load.Moment) error {
		begun := time.Now()
		intended := begun.Add(-at.Late)
		recorder := record(intended)
		took := func(name string, since time.Time) {
			if recorder != nil {
				recorder.Record(name, time.Since(since))
			}
		}
		var person rig.Person
		select {
		case person = <-f.people:
		default:
			return errors.New("more people are on their way than were prepared: shorten --duration")
		}
		slot := int(serial.Add(1)*7919) % len(bodies) //nolint:gosec // spread evenly
		status, answer, err := c.Send(http.MethodPut, path+"/hold", headersOf(person), bodies[slot])
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			f.refusal("hold", c, status, answer)
			f.people <- person
			ended(c, intended, false)
			return ctx.Err()
		}
		took(latencyHold, intended)
		body, err := confirmBody(answer)
		if err != nil {
			return err
		}
		held := time.Now()
		if status, answer, err = c.Send(http.MethodPut, path+"/booking", headersOf(person), body); err != nil {
			return err
		}
		if status != http.StatusCreated {
			f.refusal("confirm", c, status, answer)
			ended(c, intended, false)
			return ctx.Err()
		}
		took(latencyConfirm, held)
		took(latencyPair, intended)
		f.told.Add(1)
		ended(c, intended, true)
		return ctx.Err()
	}
}

// refusal looks at an answer that isn't what was wanted: it must be one that a client knows what to do with.
func (f *flood) refusal(what string, c *load.Conn, status int, answer []byte) {
	fine := (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) && c.Header("Retry-After") != "" &&
		bytes.HasPrefix([]byte(c.Header("Content-Type")), []byte("application/problem+json")) && bytes.Contains(answer, []byte(`"code":"`))
	if fine && what == "hold" {
		return
	}
	var problem struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(answer, &problem) // what can't be read has no code
	f.mu.Lock()
	defer f.mu.Unlock()
	if fine {
		f.confirms[problem.Code]++
	} else {
		f.strange[fmt.Sprintf("%s: %d %s, Retry-After %q, %s", what, status, problem.Code, c.Header("Retry-After"), c.Header("Content-Type"))]++
	}
}

// watch notes the most that the server takes.
func (f *flood) watch(ctx context.Context, r *overloadReport) {
	for ctx.Err() == nil {
		if m, err := f.server.Metrics(ctx); err == nil {
			r.MemoryMost = max(r.MemoryMost, m["process_resident_memory_bytes"])
			r.GoroutinesMost = max(r.GoroutinesMost, m["go_goroutines"])
		}
		rest(ctx, 500*time.Millisecond)
	}
}

// size is what the server takes when nobody asks and it has tidied up: the least of a few looks.
func (f *flood) size(ctx context.Context) (memory, goroutines float64, err error) {
	memory, goroutines = math.Inf(1), math.Inf(1)
	for range 5 {
		rest(ctx, 300*time.Millisecond)
		if _, err := f.server.Ask(ctx, giveBack); err != nil {
			return 0, 0, err
		}
		m, err := f.server.Metrics(ctx)
		if err != nil {
			return 0, 0, err
		}
		memory, goroutines = min(memory, m["process_resident_memory_bytes"]), min(goroutines, m["go_goroutines"])
	}
	return memory, goroutines, nil
}

// sorted are the entries of a map, in the order of their names.
func sorted(counts map[string]int) (lines []string) {
	for what, n := range counts {
		lines = append(lines, fmt.Sprintf("%s (%d times)", what, n))
	}
	slices.Sort(lines)
	return lines
}
