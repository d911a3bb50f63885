package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"jari/cmd/surge/load"
	"jari/cmd/surge/rig"
	"jari/internal/clock"
)

// benchReads measures what public documents cost.
type benchReads struct {
	Duration    time.Duration `default:"10s" help:"How long each part is measured, in all its turns. A warm-up before each, of a quarter of it and at most two seconds, isn't counted."`
	Rounds      int           `default:"0" help:"How many turns the parts take; 0 is one for every half second, and two at least. Ratios are of the sums over all turns, so that a machine that changes its pace treats all alike."`
	Connections int           `default:"64" help:"Clients at the same time, each with a connection that is kept alive."`
	Client      load.Client   `default:"standard" enum:"standard,lean" help:"What the generator sends with: Go's own client, as a gateway would (standard), or as little as can be done for a request (lean). The same for all parts."`
	Writes      int           `default:"2000" help:"Slots that change a second while documents are read, as by that many bookings."`
	Few         rig.Crowd     `default:"1000" help:"Slots of the small campaign."`
	Many        rig.Crowd     `default:"1000000" help:"Slots of the large one."`
	Reconcile   bool          `help:"Let the measured server compare all copies in Redis with Postgres each minute, too. Without it, that is another instance's work, as it is for all instances but one."`
	JSON        bool          `name:"json" help:"Print one JSON object instead of the table."`
	Profile     string        `name:"cpuprofile" type:"path" placeholder:"DIR" help:"Write CPU profiles of what is measured into this folder, for go tool pprof; of the empty server too, so that it costs all alike, and to compare with."`
	Set         []string      `placeholder:"NAME=VALUE" help:"A variable of the real server's environment; may be repeated. Without it, everything has its default."`
	Data        string        `default:".jari/surge-reads" type:"path" help:"Folder for the private stores and the logs."`
}

// readsPart is a part of the measurement: who is asked for what.
type readsPart struct {
	name  string
	days  bool // documents of a region and day, else of sites
	few   bool // of the server with few slots
	first bool // only documents that campaigns of any size have alike
	gzip  bool
	empty bool // the server that does nothing
	quiet bool // while nothing changes
}

// readsParts take turns, and what is to be compared stands side by side.
var readsParts = []readsPart{
	{name: "site"},
	{name: "site_empty", empty: true},
	{name: "region_day", days: true},
	{name: "region_day_empty", days: true, empty: true},
	{name: "site_gzip", gzip: true},
	{name: "site_gzip_empty", gzip: true, empty: true},
	{name: "region_day_gzip", days: true, gzip: true},
	{name: "region_day_gzip_empty", days: true, gzip: true, empty: true},
	{name: "site_of_thousand", first: true, few: true},
	{name: "site_of_million", first: true},
	{name: "region_day_of_thousand", days: true, first: true, few: true},
	{name: "region_day_of_million", days: true, first: true},
	{name: "site_quiet", quiet: true},
	{name: "site_quiet_empty", quiet: true, empty: true},
	{name: "region_day_quiet", days: true, quiet: true},
	{name: "region_day_quiet_empty", days: true, quiet: true, empty: true},
}

// reads is a run.
type reads struct {
	benchReads
	log   *slog.Logger
	meter *rig.Meter // nil where the system keeps no accounts

	few, many     *world
	empty, packed *rig.Process // servers that do nothing
	parts         map[string]*readsResult

	queries storeQueries
	booked  ages // of changed slots
	held    ages // of placed holds
}

// readsResult is what was measured of a part, over all rounds.
type readsResult struct {
	reads    int64
	elapsed  time.Duration
	body     float64 // bytes of a document on average
	writes   written
	accounts rig.Accounts
}

func (p *readsResult) perSecond() float64 { return ratio(float64(p.reads), p.elapsed.Seconds()) }

// world is a server with its stores, its documents and whoever changes them.
type world struct {
	name    string
	rig     *rig.Rig
	server  *rig.Process
	writer  *rig.Process
	library *library
	// changing are the slots that change: those of the sites that are read, so that every document that is read changes.
	changing, changingFirst []int64
	written                 written

	started  time.Duration // until it answered with documents
	resident int64         // memory in use once its slots were loaded and nobody had read yet
	atEnd    int64         // and after all parts

	// release ends that the server is kept from what is one instance's work at a time.
	release func() error
}

// Run measures, checks and prints.
func (c benchReads) Run(w surroundings) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	c.Rounds = turnsFor(c.Rounds, c.Duration, shortTurn)
	b := &reads{
		benchReads: c, parts: map[string]*readsResult{},
		log: slog.New(slog.NewTextHandler(w.err, &slog.HandlerOptions{Level: slog.LevelInfo})),
		few: &world{name: "few"}, many: &world{name: "many"},
	}
	if b.meter, err = rig.NewMeter(); err != nil {
		b.log.Warn(err.Error())
	}
	began, loadBefore := time.Now(), rig.LoadAverage()
	for _, of := range []struct {
		*world
		crowd rig.Crowd
	}{{b.few, c.Few}, {b.many, c.Many}} {
		// Stores of its own for each, so that neither has the other's rows in its way.
		of.rig, err = rig.Start(w.ctx, rig.Options{Dir: filepath.Join(c.Data, of.name), Log: b.log, Crowd: of.crowd})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, of.rig.Close(context.WithoutCancel(w.ctx))) }()
		b.log.Info("published", "slots", int(of.crowd))
	}
	facts, err := b.many.rig.Facts(w.ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	if err := b.measure(ctx); err != nil {
		return err
	}
	r := b.report(facts)
	r.LoadBefore, r.LoadAfter, r.TookSeconds = loadBefore, rig.LoadAverage(), time.Since(began).Seconds()
	if c.JSON {
		err = json.NewEncoder(w.out).Encode(r)
	} else {
		err = r.print(w.out)
	}
	return errors.Join(err, r.judge())
}

func (c benchReads) check() error {
	if c.Duration < 100*time.Millisecond || c.Rounds < 0 || c.Connections < 1 || c.Writes < 1 {
		return errors.New("--duration must be at least 100ms, and --rounds at least 0, --connections and --writes at least 1")
	}
	if err := errors.Join(c.Few.Check(), c.Many.Check()); err != nil {
		return err
	}
	if c.Few >= c.Many {
		return fmt.Errorf("--few is %d and must be below --many, which is %d", c.Few, c.Many)
	}
	if err := checkSet(c.Set); err != nil {
		return err
	}
	return makeProfiles(c.Profile)
}

// measure runs everything.
func (b *reads) measure(ctx context.Context) error {
	for _, w := range []*world{b.few, b.many} {
		if err := b.begin(ctx, w); err != nil {
			return fmt.Errorf("%s slots: %w", w.name, err)
		}
	}
	if err := b.beginEmpty(ctx); err != nil {
		return err
	}
	if err := b.count(ctx, b.many); err != nil {
		return fmt.Errorf("counting what the stores are asked: %w", err)
	}
	if err := b.watch(ctx, b.many); err != nil {
		return fmt.Errorf("watching how old is what is shown: %w", err)
	}
	for round := range b.Rounds {
		order := slices.Clone(readsParts)
		if round%2 == 1 {
			slices.Reverse(order) // so that no part always follows the same one
		}
		for _, p := range order {
			if err := b.run(ctx, p, round); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			b.log.Info("measured", "part", p.name, "round", round+1, "per_second", int(b.parts[p.name].perSecond()))
		}
	}
	return errors.Join(b.end(b.few), b.end(b.many))
}

// begin starts the server of a world and its writer, waits until it knows its slots, and looks at all of its documents.
func (b *reads) begin(ctx context.Context, w *world) (err error) {
	w.library = newLibrary(w.rig.Campaign)
	ids := func(numbers []int) (sites []string) {
		for _, n := range numbers {
			sites = append(sites, rig.CrowdSite(n))
		}
		return sites
	}
	if w.changing, err = w.rig.SlotsOf(ctx, ids(w.library.read)); err != nil {
		return err
	}
	if w.changingFirst, err = w.rig.SlotsOf(ctx, ids(w.library.firstRead)); err != nil {
		return err
	}
	if err := w.rig.Settle(ctx); err != nil {
		return err
	}
	if w.release, err = w.rig.HoldLease(ctx, reconcilerLease); err != nil {
		return err
	}
	began := time.Now()
	if w.server, err = w.rig.Run(ctx, "real", []string{"part", "real"}, b.Set); err != nil {
		return err
	}
	if err := rig.AwaitReady(ctx, w.server); err != nil {
		return err
	}
	conns, err := load.Dial(w.server.URL, 1, b.Client)
	if err != nil {
		return err
	}
	defer load.Close(conns)
	if err := awaitDocument(ctx, conns[0], w.library.firstSites[0].path); err != nil {
		return err
	}
	w.started = time.Since(began)
	if w.resident, err = b.memory(ctx, w); err != nil {
		return err
	}
	if err := w.library.fetch(conns[0]); err != nil {
		return err
	}
	w.writer, err = w.rig.Run(ctx, "writer", []string{"part", "writer", "--campaign", w.rig.Campaign.ID}, nil)
	return err
}

// reconcilerLease is the lease of whoever compares all copies.
const reconcilerLease = "reconciler"

// awaitDocument asks until the server knows its slots.
func awaitDocument(ctx context.Context, c *load.Conn, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		status, answer, err := c.Send(http.MethodGet, path, nil, nil)
		if err != nil {
			return err
		}
		if status == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return unexpected("GET of "+path, status, answer)
		case <-tick.C:
		}
	}
}

// memory is what the server of a world has in use, once what was only needed for a moment is given back.
func (b *reads) memory(ctx context.Context, w *world) (int64, error) {
	if b.meter == nil {
		return 0, nil
	}
	if _, err := w.server.Ask(ctx, giveBack); err != nil {
		return 0, err
	}
	return b.meter.Resident(w.server.Pid())
}

// beginEmpty starts the servers that do nothing, with the documents of the large campaign.
func (b *reads) beginEmpty(ctx context.Context) (err error) {
	for _, of := range []struct {
		process **rig.Process
		name    string
		packed  bool
	}{{&b.empty, "empty", false}, {&b.packed, "empty-gzip", true}} {
		file := filepath.Join(b.Data, of.name+".json")
		if err := b.many.library.write(file, of.packed); err != nil {
			return err
		}
		if *of.process, err = b.many.rig.Run(ctx, of.name, []string{"part", "documents", "--file", file}, nil); err != nil {
			return err
		}
	}
	return nil
}

// alone pauses both real servers but for the one that is to run: whoever isn't measured takes nothing from who is, not even
// for following what changes. The servers that do nothing do nothing.
func (b *reads) alone(running *rig.Process) error {
	for _, w := range []*world{b.few, b.many} {
		change := w.server.Pause
		if w.server == running {
			change = w.server.Resume
		}
		if err := change(); err != nil {
			return err
		}
	}
	return nil
}

// writeWhile runs f while slots change.
func (b *reads) writeWhile(ctx context.Context, w *world, slots []int64, f func() error) (did written, err error) {
	command, err := json.Marshal(writing{Slots: slots, PerSecond: b.Writes})
	if err != nil {
		return did, err
	}
	if _, err := w.writer.Ask(ctx, startWriting+string(command)); err != nil {
		return did, err
	}
	err = f()
	answer, stopErr := w.writer.Ask(ctx, stopWriting)
	if err = errors.Join(err, stopErr); err != nil {
		return did, err
	}
	if err := json.Unmarshal([]byte(answer), &did); err != nil {
		return did, err
	}
	w.written = w.written.plus(did)
	return did, nil
}

// warmUp is how long a part runs before it is measured.
func (b *reads) warmUp() time.Duration { return warmUpOf(b.turn()) }

// turn is how long a part is measured at a time.
func (b *reads) turn() time.Duration { return b.Duration / time.Duration(b.Rounds) }

// run measures a part and adds it to what it did in earlier rounds.
func (b *reads) run(ctx context.Context, p readsPart, round int) error {
	w := b.many
	if p.few {
		w = b.few
	}
	server, headers := w.server, []load.Header(nil)
	if p.gzip {
		headers = gzipAsked
	}
	switch {
	case p.empty && p.gzip:
		server = b.packed
	case p.empty:
		server = b.empty
	}
	documents, changing := w.library.sites, w.changing
	switch {
	case p.days && p.first:
		documents = w.library.firstDays
	case p.days:
		documents = w.library.days
	case p.first:
		documents = w.library.firstSites
	}
	if p.first {
		changing = w.changingFirst
	}
	if err := b.alone(server); err != nil {
		return err
	}
	conns, err := load.Dial(server.URL, b.Connections, b.Client)
	if err != nil {
		return err
	}
	defer load.Close(conns)
	result := b.parts[p.name]
	if result == nil {
		result = &readsResult{body: averageLength(documents, p.gzip)}
		b.parts[p.name] = result
	}
	measure := func() error {
		op := reading(documents, headers)
		if _, err := load.Closed(ctx, conns, b.warmUp(), nil, op); err != nil {
			return err
		}
		profile := ""
		if b.Profile != "" {
			profile = filepath.Join(b.Profile, fmt.Sprintf("%s-%d.pprof", p.name, round+1))
		}
		return b.account(ctx, w, server, profile, result, func() (load.Result, error) {
			return load.Closed(ctx, conns, b.turn(), nil, op)
		})
	}
	if p.quiet {
		return measure()
	}
	did, err := b.writeWhile(ctx, w, changing, measure)
	result.writes = result.writes.plus(did)
	return err
}

// account runs what is measured and adds to the part what was done and what the processes used.
func (b *reads) account(
	ctx context.Context, w *world, server *rig.Process, profile string, into *readsResult, run func() (load.Result, error),
) error {
	return profiled(ctx, server, profile, func() error {
		var result load.Result
		used, err := b.meter.During(w.rig, server, w.writer, func() (err error) {
			result, err = run()
			return err
		})
		into.accounts = into.accounts.Plus(used)
		into.reads += result.Done
		into.elapsed += result.Elapsed
		return err
	})
}

// storeQueries is what the stores were asked in two windows of the same length.
type storeQueries struct {
	reads           int64
	reading, nobody rig.StoreCalls
}

// perRead is what of it reading is the reason for. What the server does by itself falls a little more into the one window
// or the other, so that a few may seem to be of reading, or fewer than none.
func (q storeQueries) perRead() float64 {
	more := q.reading.Redis + q.reading.Postgres - q.nobody.Redis - q.nobody.Postgres
	return ratio(float64(max(0, more)), float64(q.reads))
}

// enoughReads is how many reads a window has at least, so that a handful of calls is not a share.
const enoughReads = 20_000

// windowLasts is how long a window is at least: what the server does by itself comes in seconds' steps.
const windowLasts = time.Second

// count counts what the stores are asked while documents are read and nothing changes, and in as long a time in which
// nobody reads.
func (b *reads) count(ctx context.Context, w *world) error {
	if err := b.alone(w.server); err != nil {
		return err
	}
	conns, err := load.Dial(w.server.URL, b.Connections, b.Client)
	if err != nil {
		return err
	}
	defer load.Close(conns)
	op := reading(slices.Concat(w.library.sites, w.library.days), nil)
	var elapsed time.Duration
	q := &b.queries
	window := func(f func() error) (did rig.StoreCalls, err error) {
		before, err := w.rig.StoreCalls(ctx)
		if err != nil {
			return did, err
		}
		if err := f(); err != nil {
			return did, err
		}
		after, err := w.rig.StoreCalls(ctx)
		return rig.StoreCalls{Redis: after.Redis - before.Redis, Postgres: after.Postgres - before.Postgres}, err
	}
	if q.reading, err = window(func() error {
		for q.reads < enoughReads || elapsed < max(b.Duration, windowLasts) {
			r, err := load.Closed(ctx, conns, b.turn(), nil, op)
			if err != nil {
				return err
			}
			q.reads, elapsed = q.reads+r.Done, elapsed+r.Elapsed
		}
		return nil
	}); err != nil {
		return err
	}
	if q.nobody, err = window(func() error { return clock.Wait(ctx, elapsed) }); err != nil {
		return err
	}
	if !b.Reconcile {
		return nil
	}
	return errors.Join(b.few.release(), b.many.release())
}
