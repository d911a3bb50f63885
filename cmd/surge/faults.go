package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"jari/cmd/surge/check"
	"jari/cmd/surge/journal"
	"jari/cmd/surge/rig"
)

// faultsCommand breaks servers and stores under load and checks what came of it.
type faultsCommand struct {
	Duration time.Duration    `default:"20s" help:"How long each cell is under load, at least."`
	Cells    []string         `placeholder:"NAME" help:"Only these cells, separated by commas."`
	Short    bool             `help:"Only the selection that is for every change, five seconds each."`
	Cycles   map[string]int64 `placeholder:"kill=300,redis=50" mapsep:"," help:"How often servers (kill), Redis and Postgres are to be broken, over all cells of the kind; these run until that was done, all others as ever."`
	Clients  int              `default:"48" help:"Clients at the same time."`
	JSON     bool             `name:"json" help:"Print one JSON object instead of the table."`
	Out      string           `type:"path" placeholder:"FILE" help:"Write the table as Markdown to this file too."`
	Data     string           `default:".jari/faults" type:"path" help:"Folder for the private stores, the logs and the journals."`
}

// shortDuration is a cell's in the selection for every change.
const shortDuration = 5 * time.Second

// outcome is what came of a cell. As JSON its fields stay as they are named here.
type outcome struct {
	Cell      string `json:"cell"`
	Injects   string `json:"injects"`
	Requests  int64  `json:"requests"`  // sends, without those of the final sale
	Confirmed int64  `json:"confirmed"` // bookings under load
	Lost      int64  `json:"lost_answers"`
	NotNow    int64  `json:"not_now"` // 503 and the like
	Fired     int64  `json:"faults_fired"`
	Broken    int    `json:"broken_holds"`
	Histories int    `json:"histories"`
	// Away is the longest time in which nobody was answered for good.
	Away float64 `json:"longest_unavailability_s"`
	// Of cells with a waiting room: Vacant is the longest time between the end of a leader and the next one.
	Guests     int               `json:"guests,omitempty"`
	CameIn     int               `json:"came_in,omitempty"`
	ThrownBack int               `json:"thrown_back"`
	Vacant     float64           `json:"longest_without_leader_s,omitempty"`
	Violations map[int]int       `json:"violations"` // by invariant
	Examples   []check.Violation `json:"examples,omitempty"`
	TooLittle  string            `json:"too_little,omitempty"`
	Seconds    float64           `json:"seconds"`
}

func (o outcome) bad() bool { return len(o.Violations) > 0 || o.TooLittle != "" }

// count reads the journal of the time under load.
func (o *outcome) count(entries []journal.Entry, began, ended time.Time) {
	granted := map[string]bool{}
	var answered []time.Time
	for _, e := range entries {
		if e.Asked.Before(began) || e.Asked.After(ended) {
			continue
		}
		o.Requests++
		switch {
		case e.Lost():
			o.Lost++
		case !e.Final():
			o.NotNow++
		default:
			if e.Op != journal.Look && e.Op != journal.Watch {
				answered = append(answered, e.Answered)
			}
		}
		if e.Op == journal.Confirm && e.Good() {
			granted[e.Got.Booking.String()] = true
		}
	}
	o.Confirmed = int64(len(granted))
	slices.SortFunc(answered, time.Time.Compare)
	last := began
	for _, at := range answered {
		o.Away = max(o.Away, at.Sub(last).Seconds())
		last = at
	}
	o.Away = max(o.Away, ended.Sub(last).Seconds())
}

// faultsReport is the outcome of a run.
type faultsReport struct {
	Revision string    `json:"revision"`
	Command  string    `json:"command"`
	At       time.Time `json:"at"`
	Cells    []outcome `json:"cells"`
	Seconds  float64   `json:"seconds"`
	Bad      int       `json:"failed_cells"`
}

// choose finds the cells that are asked for.
func (c faultsCommand) choose() ([]cell, error) {
	all := cells()
	var names []string
	for _, x := range all {
		names = append(names, x.name)
	}
	for _, name := range c.Cells {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("there is no cell %q; there are %s", name, strings.Join(names, ", "))
		}
	}
	for kind, n := range c.Cycles {
		if !slices.Contains([]string{kindKill, kindRedis, kindPostgres}, kind) || n < 1 {
			return nil, fmt.Errorf("--cycles %s=%d: there are kill, redis and postgres, and at least one cycle", kind, n)
		}
	}
	return slices.DeleteFunc(all, func(x cell) bool {
		return (len(c.Cells) > 0 && !slices.Contains(c.Cells, x.name)) || (c.Short && len(c.Cells) == 0 && !x.short)
	}), nil
}

// Run breaks, checks and prints.
func (c faultsCommand) Run(w surroundings) (err error) {
	if c.Clients < 12 || c.Duration < time.Second {
		return errors.New("--clients must be at least 12, and --duration at least 1s")
	}
	if c.Short {
		c.Duration = shortDuration
	}
	chosen, err := c.choose()
	if err != nil {
		return err
	}
	kinds := map[string]int64{}
	for _, x := range chosen {
		kinds[x.kind]++
	}
	log := slog.New(slog.NewTextHandler(w.err, &slog.HandlerOptions{Level: slog.LevelInfo}))
	quiet := slog.New(slog.NewTextHandler(w.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	r, err := rig.Start(w.ctx, rig.Options{Dir: c.Data, Log: quiet, Bare: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close(context.WithoutCancel(w.ctx))) }()
	facts, err := r.Facts(w.ctx)
	if err != nil {
		return err
	}
	report := faultsReport{Revision: facts.Revision, Command: "surge " + strings.Join(os.Args[1:], " "), At: time.Now().UTC()}
	began := time.Now()
	var setting time.Duration
	for _, x := range chosen {
		want := int64(0)
		if n := c.Cycles[x.kind]; n > 0 {
			want = (n + kinds[x.kind] - 1) / kinds[x.kind]
		}
		o, err := c.play(w.ctx, r, log, x, want, &setting)
		if err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
		if o.bad() {
			report.Bad++
		}
		report.Cells = append(report.Cells, o)
		log.Info("played", "cell", o.Cell, "confirmed", o.Confirmed, "fired", o.Fired, "violations", o.sum(), "seconds", int(o.Seconds))
	}
	report.Seconds = time.Since(began).Seconds()
	if c.Out != "" {
		file, err := os.Create(c.Out)
		if err != nil {
			return fmt.Errorf("writing the table: %w", err)
		}
		if err := errors.Join(report.markdown(file), file.Close()); err != nil {
			return fmt.Errorf("writing the table: %w", err)
		}
	}
	if c.JSON {
		err = json.NewEncoder(w.out).Encode(report)
	} else {
		err = report.markdown(w.out)
	}
	if err == nil && report.Bad > 0 {
		err = fmt.Errorf("%d of %d cells failed", report.Bad, len(report.Cells))
	}
	return err
}

func (o outcome) sum() (n int) {
	for _, v := range o.Violations {
		n += v
	}
	return n
}

// broken says which invariants were.
func (o outcome) broken() string {
	if len(o.Violations) == 0 {
		return "0"
	}
	var parts []string
	for invariant, n := range o.Violations {
		parts = append(parts, fmt.Sprintf("(%d) %d", invariant, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// heading explains the table.
const heading = `# What happens when things break

Servers run as processes of their own on private stores that write to disk. Clients hold, confirm, move, cancel and read,
more of them than there are places, and send a fifth of what they ask twice; each writes down what it asked and was told
before it believes that. After the fault all that is left is sold, and journals and tables are held against each other.

Violations are by invariant: (1) per slot, active rows are as many as it says and no more than it has; (2) one active
booking a person; (3) every acknowledged booking is there; (4) every row was asked for, and many sends have one effect and
one answer; (5) a definite no never becomes a booking; (6) what is left can be sold to exactly zero, and Redis then says
what Postgres says; (7) small histories are linearizable; (8) a live hold isn't refused unless Redis was lost or an
administrator took its place, and broken ones are counted; (9) requests were answered as the fault allows, and nothing
deadlocked.

`

// roomHeading explains the table of the cells with a waiting room.
const roomHeading = `
In front of these campaigns is a waiting room. On two servers people register, with up to three devices each, many of them
just when the draw is frozen; they watch, come in when they are called, and book, while new browsers ask for the same
place again and strangers try other people's tickets. Further violations: (10) one place a person and one person a place,
the draw's indexes dense, and whoever comes after the freeze behind them; (11) neither the serving number nor the state
goes back, on one server or from one to the other, nor faster than the rate, and a leader who is gone is replaced within
its lease and two seconds; (12) nobody is admitted before being called, or by another's ticket; (13) nobody is thrown back:
to another place, to registering, to waiting or to the late lane, as every answer says, that of GET /v1/me too; (14) nobody
whose turn came is refused for longer than a server may be behind, and everybody comes in; (15) the published draw is
verified, and positions follow from it.

`

func (o outcome) says() string {
	if o.TooLittle != "" {
		return o.broken() + "; failed: " + o.TooLittle
	}
	return o.broken()
}

// rooms is the table of the cells with a waiting room.
func (r faultsReport) rooms(b *strings.Builder) {
	b.WriteString(roomHeading)
	b.WriteString("| cell | what is injected | fired | requests | people | came in | thrown back | confirmed | lost answers | not now | longest without a leader | violations |\n")
	b.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
	for _, o := range r.Cells {
		if o.Guests > 0 {
			fmt.Fprintf(b, "| %s | %s | %d | %d | %d | %d | %d | %d | %d | %d | %.1f s | %s |\n", o.Cell, o.Injects, o.Fired, o.Requests,
				o.Guests, o.CameIn, o.ThrownBack, o.Confirmed, o.Lost, o.NotNow, o.Vacant, o.says())
		}
	}
}

func (r faultsReport) markdown(out io.Writer) error {
	var b strings.Builder
	b.WriteString(heading)
	fmt.Fprintf(&b, "`%s` at revision %s, %s, %d s.\n\n", r.Command, cmp.Or(r.Revision, "unknown"), r.At.Format(time.DateOnly), int(r.Seconds))
	b.WriteString("| cell | what is injected | fired | requests | confirmed | lost answers | not now | broken holds | longest away | histories | violations |\n")
	b.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
	rooms := false
	for _, o := range r.Cells {
		if rooms = rooms || o.Guests > 0; o.Guests > 0 {
			continue
		}
		says := o.says()
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %d | %s s | %d | %s |\n", o.Cell, o.Injects, o.Fired, o.Requests,
			o.Confirmed, o.Lost, o.NotNow, o.Broken, strconv.FormatFloat(o.Away, 'f', 2, 64), o.Histories, says)
	}
	if rooms {
		r.rooms(&b)
	}
	for _, o := range r.Cells {
		for _, v := range o.Examples {
			fmt.Fprintf(&b, "\n- %s (%d): %s", o.Cell, v.Invariant, v.What)
		}
	}
	_, err := io.WriteString(out, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}
