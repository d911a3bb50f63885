package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"jari/cmd/surge/load"
	"jari/cmd/surge/rig"
)

// benchBooking measures what one instance books.
type benchBooking struct {
	Duration    time.Duration `default:"10s" help:"How long each part is measured, in all its turns. A warm-up before each, of a quarter of it and at most two seconds, isn't counted."`
	Rounds      int           `default:"0" help:"How many turns the parts take; 0 is one for every two seconds, and two at least. Ratios are of the sums over all turns, so that a machine that changes its pace treats all alike."`
	Connections int           `default:"768" help:"Clients at the same time, each with a connection that is kept alive. Fewer leave a group commit little to group; more than an instance lets in (JARI_REQUESTS_INSIDE) are refused."`
	Client      load.Client   `default:"whole" enum:"standard,whole,lean" help:"What the generator sends with: Go's own client, with the head and the body of a request in one packet, as nearly everybody sends them (whole), or in a packet each, as a gateway that passes on what it reads (standard), or as little as can be done for a request (lean). The same for all parts; the cheaper it is, the more of the machine an empty server has to be compared with."`
	Naive       int           `default:"8" help:"Connections to Postgres of the naive server. Eight is where it does best over a thousand slots on two processors, and nearly so on one: four do 7 % more there, and with more than eight its transactions stand in each other's way."`
	Messages    bool          `help:"Let the measured server write the messages to citizens too. Without it, that is another instance's work."`
	JSON        bool          `name:"json" help:"Print one JSON object instead of the table."`
	Profile     string        `name:"cpuprofile" type:"path" placeholder:"DIR" help:"Write CPU profiles of the real server under load into this folder, for go tool pprof. Profiling itself costs a little."`
	Set         []string      `placeholder:"NAME=VALUE" help:"A variable of the real server's environment, such as JARI_FLUSH_LANES=8; may be repeated. Without it, everything has its default."`
	Data        string        `default:".jari/surge" type:"path" help:"Folder for the private stores and the logs."`
}

// The parts of the benchmark.
const (
	partEmpty           = "empty"
	partRealSpread      = "real_spread"
	partRealHot         = "real_hot"
	partNaiveHot        = "naive_hot"
	partNaiveSpread     = "naive_spread"
	partStatementSpread = "statement_spread"
	partStatementHot    = "statement_hot"
	partLoaded          = "real_spread_70"
	partLow             = "real_low"
	partLowSingle       = "real_low_single"
)

// inTurns are the parts that take turns, in their order within a round; every second round goes back.
var inTurns = []string{partEmpty, partRealSpread, partRealHot, partNaiveHot, partNaiveSpread}

// Shares of the peak at which latencies are measured.
const (
	loadedShare = .7
	lowShare    = .1
)

// bench is a run.
type bench struct {
	benchBooking
	w     surroundings
	rig   *rig.Rig
	meter *rig.Meter // nil where the system keeps no accounts

	parts map[string]*part
	// promised are the bookings that clients were told of, over the whole run, warm-ups included.
	promised, promisedNaive atomic.Int64
	// refused are the holds that the real server refused because of too many others.
	refused atomic.Int64
	// seed makes the persons of the naive server, who need no row; drawn numbers them.
	seed  uint64
	drawn atomic.Int64
	// recycled are the tokens that clients send to servers that don't read them.
	recycled []rig.Person
	// hot is the next slot of the campaign's hot ones.
	hot         int
	holdFile    string
	bookingFile string
}

// Run measures, checks and prints.
func (c benchBooking) Run(w surroundings) (err error) {
	if c.Duration < 100*time.Millisecond || c.Rounds < 0 || c.Connections < 1 || c.Naive < 1 {
		return errors.New("--duration must be at least 100ms, and --rounds at least 0, --connections and --naive at least 1")
	}
	if err := errors.Join(checkSet(c.Set), makeProfiles(c.Profile)); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(w.err, &slog.HandlerOptions{Level: slog.LevelInfo}))
	c.Rounds = turnsFor(c.Rounds, c.Duration, longTurn)
	b := &bench{benchBooking: c, w: w, parts: map[string]*part{}, seed: rand.Uint64()} //nolint:gosec // ids of a benchmark
	if b.meter, err = rig.NewMeter(); err != nil {
		log.Warn(err.Error())
	}
	loadBefore := rig.LoadAverage()
	if b.rig, err = rig.Start(w.ctx, rig.Options{Dir: c.Data, Log: log}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.rig.Close(context.WithoutCancel(w.ctx))) }()
	facts, err := b.rig.Facts(w.ctx)
	if err != nil {
		return err
	}
	if err := b.measure(w.ctx, log); err != nil {
		return err
	}
	rows, err := b.check(w.ctx)
	if err != nil {
		return err
	}
	r := b.report(facts, rows)
	r.LoadBefore, r.LoadAfter = loadBefore, rig.LoadAverage()
	if c.JSON {
		return json.NewEncoder(w.out).Encode(r)
	}
	return r.print(w.out)
}

// checkSet says what of --set isn't a variable of the server.
func checkSet(set []string) error {
	for _, pair := range set {
		if !strings.HasPrefix(pair, "JARI_") || !strings.Contains(pair, "=") {
			return fmt.Errorf("--set %q isn't of the form JARI_NAME=VALUE", pair)
		}
	}
	return nil
}

// makeProfiles makes the folder for profiles, if any are wanted.
func makeProfiles(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // profiles aren't secret
		return fmt.Errorf("making the folder for profiles: %w", err)
	}
	return nil
}

// measure runs all parts.
func (b *bench) measure(ctx context.Context, log *slog.Logger) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for round := range b.Rounds {
		turns := slices.Clone(inTurns)
		if round%2 == 1 {
			// A machine that is fast at first, or gets slower, treats the first and the last alike.
			slices.Reverse(turns)
		}
		for _, name := range turns {
			if err := b.peak(ctx, name, round); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			log.Info("measured", "part", name, "round", round+1, "per_second", int(b.parts[name].perSecond()))
		}
	}
	peak := b.parts[partRealSpread].perSecond()
	for range b.Rounds {
		if err := b.paced(ctx, partLoaded, loadedShare*peak, nil); err != nil {
			return fmt.Errorf("%s: %w", partLoaded, err)
		}
		if err := b.paced(ctx, partLow, lowShare*peak, nil); err != nil {
			return fmt.Errorf("%s: %w", partLow, err)
		}
		if err := b.paced(ctx, partLowSingle, lowShare*peak, []string{"JARI_FLUSH_ROWS=1"}); err != nil {
			return fmt.Errorf("%s: %w", partLowSingle, err)
		}
	}
	for range b.Rounds {
		for _, of := range [][2]string{{partStatementSpread, partRealSpread}, {partStatementHot, partRealHot}} {
			if err := b.statement(ctx, of[0], of[1]); err != nil {
				return fmt.Errorf("%s: %w", of[0], err)
			}
		}
	}
	return nil
}

// prepare books once, to learn how long real answers are, and makes the naive server's tables.
func (b *bench) prepare(ctx context.Context) error {
	if _, err := b.rig.Pool.Exec(ctx, naiveTables); err != nil {
		return fmt.Errorf("making the naive server's tables: %w", err)
	}
	if _, err := b.rig.Pool.Exec(ctx, `INSERT INTO naive_slots SELECT slot_id, 1000000000 FROM slots`); err != nil {
		return fmt.Errorf("filling the naive server's tables: %w", err)
	}
	const some = 1000
	if err := b.rig.People.Prepare(ctx, some); err != nil {
		return err
	}
	for range some - 1 {
		p, _ := b.rig.People.Take()
		b.recycled = append(b.recycled, p)
	}
	return b.with(ctx, partRealSpread, nil, func(server *rig.Process) error {
		conns, err := load.Dial(server.URL, 1, b.Client)
		if err != nil {
			return err
		}
		defer load.Close(conns)
		var answers [2][]byte
		op := b.book(b.rig.Campaign.Spread, &answers)
		if err := op(ctx, conns[0], load.Moment{}); err != nil {
			return err
		}
		b.holdFile, b.bookingFile = filepath.Join(b.Data, "hold.json"), filepath.Join(b.Data, "booking.json")
		return errors.Join(os.WriteFile(b.holdFile, answers[0], 0o600), os.WriteFile(b.bookingFile, answers[1], 0o600))
	})
}

// with runs the server of a part while f runs.
func (b *bench) with(ctx context.Context, name string, environment []string, f func(*rig.Process) error) (err error) {
	var arguments []string
	switch name {
	case partEmpty:
		arguments = []string{"part", "empty", "--hold", b.holdFile, "--booking", b.bookingFile}
	case partNaiveHot, partNaiveSpread:
		arguments = []string{
			"part", "naive", "--hold", b.holdFile, "--booking", b.bookingFile, "--connections", strconv.Itoa(b.Naive),
		}
	case partStatementHot, partStatementSpread:
		arguments = []string{"part", "statement", "--campaign", b.rig.Campaign.ID}
		environment = append(slices.Clone(b.Set), environment...)
	default:
		arguments = []string{"part", "real"}
		if !b.Messages {
			environment = append([]string{"JARI_MESSAGE_WORKERS=0"}, environment...)
		}
		// What a part is about comes last and wins.
		environment = append(slices.Clone(b.Set), environment...)
	}
	server, err := b.rig.Run(ctx, name, arguments, environment)
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, server.Stop(stop))
	}()
	if server.Operations != "" {
		if err := rig.AwaitReady(ctx, server); err != nil {
			return err
		}
	}
	return f(server)
}

// warmUp is how long a part runs before it is measured.
func (b *bench) warmUp() time.Duration { return warmUpOf(b.turn()) }

// turn is how long a part is measured at a time.
func (b *bench) turn() time.Duration { return b.Duration / time.Duration(b.Rounds) }

// people is how many persons a part may need at the given rate; more than it will, so that it doesn't end early.
func (b *bench) people(rate float64) int {
	return int(1.7*rate*(b.turn()+b.warmUp()).Seconds()) + 2*b.Connections + 1000
}

// firstGuess is a rate that no machine of today reaches; the first round prepares people for it.
const firstGuess = 12_000

// peak measures a part in a closed loop and adds it to what it did in earlier rounds.
func (b *bench) peak(ctx context.Context, name string, round int) error {
	p := b.part(name)
	slots := b.slots(name)
	op := b.book(slots, nil)
	switch name {
	case partEmpty, partNaiveHot, partNaiveSpread:
		op = b.pretend(slots, name != partEmpty)
	default:
		rate := float64(firstGuess)
		if p.elapsed > 0 {
			rate = p.perSecond()
		}
		if err := b.rig.People.Prepare(ctx, b.people(rate)); err != nil {
			return err
		}
	}
	return b.with(ctx, name, nil, func(server *rig.Process) error {
		conns, err := load.Dial(server.URL, b.Connections, b.Client)
		if err != nil {
			return err
		}
		defer load.Close(conns)
		if _, err := load.Closed(ctx, conns, b.warmUp(), nil, op); err != nil {
			return err
		}
		profile := ""
		if b.Profile != "" && (name == partRealHot || name == partRealSpread) {
			profile = filepath.Join(b.Profile, fmt.Sprintf("%s-%d.pprof", name, round+1))
		}
		return b.account(ctx, p, server, name, profile, func() (load.Result, error) {
			return load.Closed(ctx, conns, b.turn(), p.latency, op)
		})
	})
}

// paced measures latencies of the real server at a fixed rate.
func (b *bench) paced(ctx context.Context, name string, rate float64, environment []string) error {
	p := b.part(name)
	p.rate = rate
	if err := b.rig.People.Prepare(ctx, b.people(rate)); err != nil {
		return err
	}
	op := b.book(b.rig.Campaign.Spread, nil)
	return b.with(ctx, name, environment, func(server *rig.Process) error {
		// Enough that nobody waits for a connection while the server answers within a good part of a second.
		conns, err := load.Dial(server.URL, 4*b.Connections, b.Client)
		if err != nil {
			return err
		}
		defer load.Close(conns)
		if _, err := load.Open(ctx, conns, rate, b.warmUp(), nil, op); err != nil {
			return err
		}
		return b.account(ctx, p, server, name, "", func() (load.Result, error) {
			return load.Open(ctx, conns, rate, b.turn(), p.latency, op)
		})
	})
}

// statement measures flushes alone, of the size that they had in another part.
func (b *bench) statement(ctx context.Context, name, like string) error {
	p := b.part(name)
	p.batch = max(1, int(b.parts[like].rowsPerFlush()+.5))
	slots := b.slots(name)
	// Without HTTP it is faster than the part that it is like.
	ids, err := b.rig.People.Reserve(ctx, b.people(3*b.parts[like].perSecond()))
	if err != nil {
		return err
	}
	return b.with(ctx, name, nil, func(server *rig.Process) error {
		flush := func(length time.Duration) (did flushed, err error) {
			command, err := json.Marshal(flushes{People: ids, Slots: slots, Batch: p.batch, Length: length})
			if err != nil {
				return did, err
			}
			answer, err := server.Ask(ctx, string(command))
			if err != nil {
				return did, err
			}
			err = json.Unmarshal([]byte(answer), &did)
			b.promised.Add(int64(did.Booked))
			return did, err
		}
		// The lanes take their people from equal parts of the range, so a part is used up by a warm-up as a whole.
		all := ids
		ids.Count = all.Count / 4
		if _, err := flush(b.warmUp()); err != nil {
			return err
		}
		ids.From, ids.Count = all.From+ids.Count, all.Count-ids.Count
		return b.account(ctx, p, server, name, "", func() (load.Result, error) {
			did, err := flush(b.turn())
			return load.Result{Done: int64(did.Booked), Elapsed: did.Elapsed}, err
		})
	})
}

// slots are those that a part books; the hot one of each turn is a fresh one.
func (b *bench) slots(name string) []int64 {
	switch name {
	case partRealHot, partNaiveHot, partStatementHot:
		b.hot++
		return b.rig.Campaign.Hot[b.hot%len(b.rig.Campaign.Hot):][:1]
	default:
		return b.rig.Campaign.Spread
	}
}
