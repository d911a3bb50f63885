package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"jari/cmd/surge/rig"
	"jari/internal/app"
	"jari/internal/booking"
	"jari/internal/config"
	"jari/internal/postgres"
	"jari/internal/token"
)

// partCommands run one part each, in a process that surge starts. They answer commands on standard input.
type partCommands struct {
	Real      realPart      `cmd:"" help:"The server as jari serve runs it."`
	Empty     emptyPart     `cmd:"" help:"A server that answers the same requests and does nothing."`
	Naive     naivePart     `cmd:"" help:"A server that books with one transaction and row lock per booking."`
	Statement statementPart `cmd:"" help:"The statements of the group commit, without HTTP and Redis."`
	Documents documentsPart `cmd:"" help:"A server that answers with documents from a file and does nothing else."`
	Room      roomPart      `cmd:"" help:"A server that answers a room's status and tickets from a file and does nothing else."`
	Writer    writerPart    `cmd:"" help:"Changes slots as commits of bookings do, and tells Redis."`
}

// The commands that a part understands, beside its own.
const (
	startProfile = "profile-to "  // and a path: begins a CPU profile
	stopProfile  = "profile-ends" // writes it
	giveBack     = "give-back"    // collects garbage and gives memory back that isn't in use
)

// profiled has a server write a CPU profile of itself to path while run runs; without a path, run just runs.
func profiled(ctx context.Context, server *rig.Process, path string, run func() error) (err error) {
	if path == "" {
		return run()
	}
	if _, err := server.Ask(ctx, startProfile+path); err != nil {
		return err
	}
	defer func() {
		_, stopErr := server.Ask(context.WithoutCancel(ctx), stopProfile)
		err = errors.Join(err, stopErr)
	}()
	return run()
}

// loopback listens where only this machine can ask.
func loopback(ctx context.Context) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening on the loopback: %w", err)
	}
	return l, nil
}

// attended runs serve until the process that started this one tells it to end or is gone. On the way it writes CPU
// profiles when asked to.
func attended(w surroundings, ready string, serve func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	var group errgroup.Group
	group.Go(func() error {
		defer cancel()
		return serve(ctx)
	})
	group.Go(func() error {
		defer cancel()
		var profile *os.File
		return rig.Attend(ctx, w.in, w.out, ready, func(command string) (string, error) {
			if path, ok := strings.CutPrefix(command, startProfile); ok {
				file, err := os.Create(path) //nolint:gosec // the path that the person at the terminal chose
				if err != nil {
					return "", err
				}
				profile = file
				return "", pprof.StartCPUProfile(file)
			}
			if command == giveBack {
				debug.FreeOSMemory()
				return "", nil
			}
			if command == stopProfile && profile != nil {
				pprof.StopCPUProfile()
				return "", profile.Close()
			}
			return "", fmt.Errorf("%q isn't understood", command)
		})
	})
	return group.Wait()
}

type realPart struct{}

// Run serves as jari serve does: the same composition, the same guards, the same kind of log.
func (realPart) Run(w surroundings) error {
	cfg, err := config.Load(w.environ)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(w.err, &slog.HandlerOptions{Level: cfg.LogLevel}))
	public, err := loopback(w.ctx)
	if err != nil {
		return err
	}
	operations, err := loopback(w.ctx)
	if err != nil {
		return errors.Join(err, public.Close())
	}
	app.Tune()
	a, err := app.New(w.ctx, cfg, log)
	if err != nil {
		return errors.Join(err, public.Close(), operations.Close())
	}
	return attended(w, "http://"+public.Addr().String()+" http://"+operations.Addr().String(), func(ctx context.Context) error {
		return a.Serve(ctx, public, operations)
	})
}

// constants are answers that never change, as long as the real ones.
type constants struct {
	Hold    string `required:"" type:"existingfile" help:"File with the answer to a hold."`
	Booking string `required:"" type:"existingfile" help:"File with the answer to a confirm."`
}

func (c constants) read() (hold, booked []byte, err error) {
	hold, err = os.ReadFile(c.Hold)
	if err == nil {
		booked, err = os.ReadFile(c.Booking)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answers: %w", err)
	}
	return hold, booked, nil
}

// answering is a handler of Echo without a middleware: what any server on it costs.
func answering(status int, body []byte) echo.HandlerFunc {
	return func(c echo.Context) error { return c.Blob(status, echo.MIMEApplicationJSON, body) }
}

// serveBooking serves the two operations until told to end.
func serveBooking(w surroundings, hold, confirm echo.HandlerFunc) error {
	e := echo.New()
	e.PUT("/v1/campaigns/:campaign/hold", hold)
	e.PUT("/v1/campaigns/:campaign/booking", confirm)
	return serveEcho(w, e)
}

// serveEcho serves until told to end.
func serveEcho(w surroundings, e *echo.Echo) error {
	l, err := loopback(w.ctx)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: e, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 15 * time.Second}
	return attended(w, "http://"+l.Addr().String(), func(ctx context.Context) error {
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(l) }()
		select {
		case err := <-ended:
			return fmt.Errorf("the listener ended: %w", err)
		case <-ctx.Done():
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			return server.Shutdown(stop)
		}
	})
}

type emptyPart struct{ constants }

// Run answers and does nothing.
func (p emptyPart) Run(w surroundings) error {
	hold, booked, err := p.read()
	if err != nil {
		return err
	}
	return serveBooking(w, answering(http.StatusOK, hold), answering(http.StatusCreated, booked))
}

type naivePart struct {
	constants
	Connections int `default:"8" help:"Connections to Postgres."`
}

// The fields that tell the naive server what the real one reads out of sealed tokens: it opens none.
const (
	naivePerson = "Surge-Person"
	naiveSlot   = "Surge-Slot"
)

// naiveTables are the naive server's own. They are kind to it: no foreign keys, one unique key a person, room on the
// pages of the slots.
const naiveTables = `
	CREATE TABLE naive_slots (
		slot_id bigint PRIMARY KEY, capacity integer NOT NULL, booked integer NOT NULL DEFAULT 0
	) WITH (fillfactor = 70);
	CREATE TABLE naive_bookings (
		booking_id uuid PRIMARY KEY, slot_id bigint NOT NULL, person_id uuid NOT NULL UNIQUE,
		created_at timestamptz NOT NULL DEFAULT now()
	)`

// Run books as one writes it first: a transaction a booking, which locks the slot, looks, counts and inserts. It checks
// no session, no admission, no token and no rule, and its hold holds nothing.
func (p naivePart) Run(w surroundings) error {
	hold, booked, err := p.read()
	if err != nil {
		return err
	}
	cfg, err := config.Load(w.environ)
	if err != nil {
		return err
	}
	pool, err := postgres.Open(w.ctx, string(cfg.PostgresURL), postgres.Options{MaxConnections: p.Connections})
	if err != nil {
		return err
	}
	defer pool.Close()
	return serveBooking(w, answering(http.StatusOK, hold), func(c echo.Context) error {
		person, err := uuid.Parse(c.Request().Header.Get(naivePerson))
		if err != nil {
			return err
		}
		full := false
		err = pgx.BeginFunc(c.Request().Context(), pool, func(tx pgx.Tx) error {
			full, err = bookNaively(c.Request().Context(), tx, c.Request().Header.Get(naiveSlot), person)
			return err
		})
		if err != nil {
			return err
		}
		if full {
			return c.NoContent(http.StatusConflict)
		}
		return c.Blob(http.StatusCreated, echo.MIMEApplicationJSON, booked)
	})
}

func bookNaively(ctx context.Context, tx pgx.Tx, slot string, person uuid.UUID) (full bool, err error) {
	var capacity, taken int
	if err := tx.QueryRow(ctx, `SELECT capacity, booked FROM naive_slots WHERE slot_id = $1::text::bigint FOR UPDATE`, slot).
		Scan(&capacity, &taken); err != nil {
		return false, err
	}
	if taken >= capacity {
		return true, nil
	}
	if _, err := tx.Exec(ctx, `UPDATE naive_slots SET booked = booked + 1 WHERE slot_id = $1::text::bigint`, slot); err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO naive_bookings (booking_id, slot_id, person_id) VALUES ($1, $2::text::bigint, $3)`,
		uuid.New(), slot, person)
	return false, err
}

type statementPart struct {
	Campaign string `required:"" help:"The campaign's id."`
}

// flushes is what the statement part is asked to do.
type flushes struct {
	People rig.Range `json:"people"`
	Slots  []int64   `json:"slots"`
	// Batch is how many holds a flush decides.
	Batch  int           `json:"batch"`
	Length time.Duration `json:"length_ns"`
}

// flushed is what it did.
type flushed struct {
	Booked  int           `json:"booked"`
	Flushes int           `json:"flushes"`
	Taken   int           `json:"taken"` // of the people
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Run flushes when asked to, with as many flushes at the same time as an instance has lanes.
func (p statementPart) Run(w surroundings) error {
	cfg, err := config.Load(w.environ)
	if err != nil {
		return err
	}
	pool, err := postgres.Open(w.ctx, string(cfg.PostgresURL), postgres.Options{MaxConnections: cfg.PostgresConnections, PlanOnce: true})
	if err != nil {
		return err
	}
	defer pool.Close()
	return rig.Attend(w.ctx, w.in, w.out, "", func(command string) (string, error) {
		var f flushes
		if err := json.Unmarshal([]byte(command), &f); err != nil {
			return "", fmt.Errorf("%.40q isn't understood: %w", command, err)
		}
		did, err := p.flush(w.ctx, pool, cfg.FlushLanes, f)
		if err != nil {
			return "", err
		}
		answer, err := json.Marshal(did)
		return string(answer), err
	})
}

// flush divides the slots between the lanes as an instance does, and the people between those that have slots.
func (p statementPart) flush(ctx context.Context, pool *pgxpool.Pool, lanes int, f flushes) (flushed, error) {
	slots := make([][]int64, lanes)
	for _, s := range f.Slots {
		slots[s%int64(lanes)] = append(slots[s%int64(lanes)], s)
	}
	slots = slices.DeleteFunc(slots, func(s []int64) bool { return len(s) == 0 })
	each := f.People.Count / len(slots)
	results := make([]flushed, len(slots))
	group, ctx := errgroup.WithContext(ctx)
	var over atomic.Bool // everybody is booked: it was faster than expected, and is measured for as long as it took
	begin := time.Now()
	for lane, own := range slots {
		group.Go(func() error {
			r := &results[lane]
			for time.Since(begin) < f.Length && !over.Load() {
				if r.Taken+f.Batch > each {
					over.Store(true) // for all: what a lane did alone isn't what they do together
					break
				}
				holds := make([]token.Hold, f.Batch)
				for i := range holds {
					n := r.Taken + i
					holds[i] = p.hold(rig.PersonID(f.People.Seed, f.People.From+lane*each+n), own[n%len(own)])
				}
				r.Taken += f.Batch
				booked, err := booking.FlushAlone(ctx, pool, p.Campaign, holds)
				if err != nil {
					return err
				}
				r.Booked += booked
				r.Flushes++
			}
			return nil
		})
	}
	err := group.Wait()
	total := flushed{Elapsed: time.Since(begin)}
	for _, r := range results {
		total.Booked, total.Flushes, total.Taken = total.Booked+r.Booked, total.Flushes+r.Flushes, total.Taken+r.Taken
	}
	if err == nil && total.Flushes == 0 {
		err = fmt.Errorf("%d people are too few for a flush of %d", f.People.Count, f.Batch)
	}
	return total, err
}

func (p statementPart) hold(person uuid.UUID, slot int64) token.Hold {
	at := time.Now()
	return token.Hold{
		ID: uuid.New(), Campaign: p.Campaign, Slot: slot, Person: person, Actor: person,
		PlacedAt: at, ExpiresAt: at.Add(5 * time.Minute), Wave: "all", RulesVersion: 1, JudgedAt: at,
	}
}
