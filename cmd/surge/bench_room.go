package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"jari/cmd/surge/load"
	"jari/cmd/surge/rig"
	"jari/internal/clock"
)

// benchRoom measures what waiting costs.
type benchRoom struct {
	Duration    time.Duration `default:"10s" help:"How long each part is measured, in all its turns. A warm-up before each, of a quarter of it and at most two seconds, isn't counted."`
	Rounds      int           `default:"0" help:"How many turns the parts take; 0 is one for every half second, and two at least. Ratios are of the sums over all turns, so that a machine that changes its pace treats all alike."`
	Connections int           `default:"256" help:"Clients at the same time, each with a connection that is kept alive. Fewer leave a transaction little to gather."`
	Client      load.Client   `default:"standard" enum:"standard,lean" help:"What the generator sends with, as in bench booking. The same for all parts."`
	Counts      []int64       `default:"10000,1000000,10000000" help:"How many people wait when memory and the edge are looked at, ascending. The rows of most of them are written by SQL; tickets are taken among them."`
	Edge        string        `default:"deploy/nginx" type:"existingdir" help:"Folder with the edge's configuration."`
	Sent        float64       `default:"3000" help:"Requests a second that are sent through the edge at most. Of more waiters a sample is played."`
	JSON        bool          `name:"json" help:"Print one JSON object instead of the table."`
	Profile     string        `name:"cpuprofile" type:"path" placeholder:"DIR" help:"Write CPU profiles of the real server's parts into this folder, for go tool pprof."`
	Set         []string      `placeholder:"NAME=VALUE" help:"A variable of the real server's environment; may be repeated. Without it, everything has its default."`
	Data        string        `default:".jari/surge-room" type:"path" help:"Folder for the private stores and the logs."`
}

// The parts, in the order of an even round.
const (
	roomStatus      = "status"
	roomStatusEmpty = "status_empty"
	roomNew         = "ticket_new"
	roomEmpty       = "ticket_empty"
	roomKnown       = "ticket_known"
)

var roomParts = []string{roomStatus, roomStatusEmpty, roomNew, roomEmpty, roomKnown}

// room is a run.
type room struct {
	benchRoom
	log   *slog.Logger
	meter *rig.Meter // nil where the system keeps no accounts
	rig   *rig.Rig

	server, empty *rig.Process
	parts         map[string]*roomResult
	levels        []roomLevel
	known         []string // sessions of people who have a ticket
	given         atomic.Int64
}

// roomResult is what was measured of a part, over all rounds.
type roomResult struct {
	done     int64
	elapsed  time.Duration
	accounts rig.Accounts
}

func (p *roomResult) perSecond() float64 { return ratio(float64(p.done), p.elapsed.Seconds()) }

const (
	statusPath = "/v1/rooms/" + rig.RoomID + "/status"
	ticketPath = "/v1/rooms/" + rig.RoomID + "/ticket"
)

// Run measures, checks and prints.
func (c benchRoom) Run(w surroundings) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	c.Rounds = turnsFor(c.Rounds, c.Duration, shortTurn)
	b := &room{benchRoom: c, parts: map[string]*roomResult{}, log: slog.New(slog.NewTextHandler(w.err, &slog.HandlerOptions{Level: slog.LevelInfo}))}
	if b.meter, err = rig.NewMeter(); err != nil {
		b.log.Warn(err.Error())
	}
	began, loadBefore := time.Now(), rig.LoadAverage()
	b.rig, err = rig.Start(w.ctx, rig.Options{Dir: c.Data, Log: b.log, Room: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.rig.Close(context.WithoutCancel(w.ctx))) }()
	facts, err := b.rig.Facts(w.ctx)
	if err != nil {
		return err
	}
	if err := b.measure(w.ctx); err != nil {
		return err
	}
	r, err := b.report(w.ctx, facts)
	if err != nil {
		return err
	}
	r.LoadBefore, r.LoadAfter, r.TookSeconds = loadBefore, rig.LoadAverage(), time.Since(began).Seconds()
	if c.JSON {
		err = json.NewEncoder(w.out).Encode(r)
	} else {
		err = r.print(w.out)
	}
	return errors.Join(err, r.judge())
}

func (c benchRoom) check() error {
	if c.Duration < 100*time.Millisecond || c.Rounds < 0 || c.Connections < 1 || c.Sent <= 0 {
		return errors.New("--duration must be at least 100ms, --rounds at least 0, --connections at least 1, and --sent above 0")
	}
	if len(c.Counts) == 0 || c.Counts[0] < 1 || !slices.IsSorted(c.Counts) {
		return errors.New("--counts must be ascending numbers of people")
	}
	return errors.Join(checkSet(c.Set), makeProfiles(c.Profile))
}

// measure runs everything.
func (b *room) measure(ctx context.Context) (err error) {
	if b.server, err = b.rig.Run(ctx, "real", []string{"part", "real"}, b.Set); err != nil {
		return err
	}
	if err := rig.AwaitReady(ctx, b.server); err != nil {
		return err
	}
	if err := b.awaitOpen(ctx); err != nil {
		return err
	}
	if err := b.beginEmpty(ctx); err != nil {
		return err
	}
	edge, err := b.rig.StartEdge(ctx, b.Edge, b.server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, edge.Stop()) }()
	for i, n := range b.Counts {
		if _, err := b.rig.Fill(ctx, n); err != nil {
			return err
		}
		b.log.Info("wait", "people", n)
		if i == 0 {
			if err := b.rounds(ctx); err != nil {
				return err
			}
		}
		level, err := b.level(ctx, n, edge)
		if err != nil {
			return fmt.Errorf("with %d people: %w", n, err)
		}
		b.levels = append(b.levels, level)
	}
	return nil
}

// rounds lets the parts take turns.
func (b *room) rounds(ctx context.Context) error {
	for round := range b.Rounds {
		order := slices.Clone(roomParts)
		if round%2 == 1 {
			slices.Reverse(order) // so that no part always follows the same one
		}
		for _, name := range order {
			if err := b.run(ctx, name, round); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			b.log.Info("measured", "part", name, "round", round+1, "per_second", int(b.parts[name].perSecond()))
		}
	}
	return nil
}

// awaitOpen waits until the room shows that it is open.
func (b *room) awaitOpen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	conns, err := load.Dial(b.server.URL, 1, b.Client)
	if err != nil {
		return err
	}
	defer load.Close(conns)
	for {
		status, answer, err := conns[0].Send(http.MethodGet, statusPath, nil, nil)
		if err != nil {
			return err
		}
		var s struct {
			State string `json:"state"`
		}
		if status == http.StatusOK && json.Unmarshal(answer, &s) == nil && s.State == "open" {
			return nil
		}
		if clock.Wait(ctx, 50*time.Millisecond) != nil {
			return unexpected("GET of the room's status", status, answer)
		}
	}
}

// beginEmpty starts the server that does nothing: it writes the real one's answers, byte for byte.
func (b *room) beginEmpty(ctx context.Context) error {
	conns, err := load.Dial(b.server.URL, 1, b.Client)
	if err != nil {
		return err
	}
	defer load.Close(conns)
	answers := map[string]sameAnswer{}
	status, answer, err := conns[0].Send(http.MethodGet, statusPath, nil, nil)
	if err != nil || status != http.StatusOK {
		return errors.Join(err, unexpected("GET of the room's status", status, answer))
	}
	answers[statusPath] = answerOf(conns[0], answer)
	if err := b.rig.People.Prepare(ctx, 1); err != nil {
		return err
	}
	person, _ := b.rig.People.Take()
	status, answer, err = conns[0].Send(http.MethodPut, ticketPath, sessionOf(person.Session), nil)
	if err != nil || status != http.StatusOK {
		return errors.Join(err, unexpected("PUT of a ticket", status, answer))
	}
	b.given.Add(1)
	answers[ticketPath] = answerOf(conns[0], answer)
	file := filepath.Join(b.Data, "empty.json")
	if err := writeAnswers(file, answers); err != nil {
		return err
	}
	b.empty, err = b.rig.Run(ctx, "empty", []string{"part", "room", "--file", file}, nil)
	return err
}

func sessionOf(token string) []load.Header {
	return []load.Header{{Name: "Authorization", Value: "Bearer " + token}}
}

// errNobodyLeft ends a part early: everybody who was prepared has a ticket, and it is measured for as long as that took.
var errNobodyLeft = errors.New("everybody has a ticket")

// mostTickets is how many tickets a second are prepared for.
const mostTickets = 12_000

// operation is what a part does again and again.
func (b *room) operation(name string) load.Operation {
	asks := func(c *load.Conn, method, path string, headers []load.Header) error {
		status, answer, err := c.Send(method, path, headers, nil)
		if err == nil && status != http.StatusOK {
			err = unexpected(method+" of "+path, status, answer)
		}
		return err
	}
	switch name {
	case roomStatus, roomStatusEmpty:
		return func(_ context.Context, c *load.Conn, _ load.Moment) error {
			return asks(c, http.MethodGet, statusPath, nil)
		}
	case roomNew:
		return func(_ context.Context, c *load.Conn, _ load.Moment) error {
			person, ok := b.rig.People.Take()
			if !ok {
				return errNobodyLeft
			}
			b.given.Add(1)
			return asks(c, http.MethodPut, ticketPath, sessionOf(person.Session))
		}
	}
	// Who has a ticket asks again. The empty server is asked by the same people.
	return func(_ context.Context, c *load.Conn, _ load.Moment) error {
		return asks(c, http.MethodPut, ticketPath, sessionOf(b.known[rand.IntN(len(b.known))])) //nolint:gosec // any of them
	}
}

// warmUp is how long a part runs before it is measured.
func (b *room) warmUp() time.Duration { return warmUpOf(b.turn()) }

// turn is how long a part is measured at a time.
func (b *room) turn() time.Duration { return b.Duration / time.Duration(b.Rounds) }

// mostKnown are the people who ask again. Each asks far less often than one person may.
const mostKnown = 20_000

// run measures a part and adds it to what it did in earlier rounds.
func (b *room) run(ctx context.Context, name string, round int) (err error) {
	server := b.server
	if name == roomStatusEmpty || name == roomEmpty {
		server = b.empty
	}
	if name == roomNew || len(b.known) == 0 {
		if err := b.rig.People.Prepare(ctx, int(mostTickets*(b.turn()+b.warmUp()).Seconds())); err != nil {
			return err
		}
	}
	if err := b.rig.Settle(ctx); err != nil {
		return err
	}
	conns, err := load.Dial(server.URL, b.Connections, b.Client)
	if err != nil {
		return err
	}
	defer load.Close(conns)
	op := b.operation(name)
	if name == roomKnown || name == roomEmpty {
		if err := b.acquaint(ctx); err != nil {
			return err
		}
	}
	if _, err := load.Closed(ctx, conns, b.warmUp(), nil, op); err != nil && !errors.Is(err, errNobodyLeft) {
		return err
	}
	result := b.parts[name]
	if result == nil {
		result = &roomResult{}
		b.parts[name] = result
	}
	if err := b.account(ctx, server, name, round, result, func() (load.Result, error) { return load.Closed(ctx, conns, b.turn(), nil, op) }); err != nil {
		return err
	}
	if name == roomNew {
		b.remember()
	}
	return nil
}

// remember keeps the sessions of those who have a ticket now.
func (b *room) remember() {
	for _, p := range b.rig.People.Taken() {
		if len(b.known) < mostKnown {
			b.known = append(b.known, p.Session)
		}
	}
}

// acquaint sees to it that somebody has a ticket already.
func (b *room) acquaint(ctx context.Context) error {
	if len(b.known) > 0 {
		return nil
	}
	conns, err := load.Dial(b.server.URL, b.Connections, b.Client)
	if err != nil {
		return err
	}
	defer load.Close(conns)
	_, err = load.Closed(ctx, conns, b.Duration, nil, b.operation(roomNew))
	if err != nil && !errors.Is(err, errNobodyLeft) {
		return err
	}
	b.remember()
	return nil
}

// account runs what is measured and adds to the part what was done and what the processes used.
func (b *room) account(
	ctx context.Context, server *rig.Process, name string, round int, into *roomResult, run func() (load.Result, error),
) error {
	profile := ""
	if b.Profile != "" && server == b.server {
		profile = filepath.Join(b.Profile, fmt.Sprintf("%s-%d.pprof", name, round+1))
	}
	return profiled(ctx, server, profile, func() error {
		var result load.Result
		used, err := b.meter.During(b.rig, server, nil, func() (err error) {
			if result, err = run(); errors.Is(err, errNobodyLeft) {
				return nil
			}
			return err
		})
		into.accounts = into.accounts.Plus(used)
		into.done += result.Done
		into.elapsed += result.Elapsed
		return err
	})
}
