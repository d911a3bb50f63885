// Command surge measures the reservation server under load, on private stores that write as safely as a deployment's.
// `surge --help` lists what it measures.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // zones of campaigns, on machines without a zone database

	"github.com/alecthomas/kong"
)

// commands are what surge can do.
type commands struct {
	Bench    benchCommands    `cmd:"" help:"Measure how much the server does, and what it costs."`
	Faults   faultsCommand    `cmd:"" help:"Break servers and stores under load, on private ones, and hold what clients were told against what the tables say."`
	Mutants  mutantsCommand   `cmd:"" help:"Plant bugs, one at a time, and see whether the checks catch each. Run it in the checkout."`
	Simulate simulateCommands `cmd:"" help:"Play what is too large for a machine in virtual time."`
	Part     partCommands     `cmd:"" hidden:"" help:"One part of a measurement, in a process of its own; surge starts it itself."`
}

type benchCommands struct {
	Booking  benchBooking  `cmd:"" help:"Bookings per second, held and confirmed over HTTP and written to disk, against a server that does nothing and one that locks a row per booking; latencies; and what each process used."`
	Reads    benchReads    `cmd:"" help:"Public documents per second while bookings change what they say, against a server that does nothing; with a thousand slots and with a million; what stores are asked; and how old is what is shown."`
	Room     benchRoom     `cmd:"" help:"What waiting costs: the status and tickets against a server that does nothing, memory with up to ten million people in the line, and what comes through the edge."`
	Import   benchImport   `cmd:"" help:"How long importing sites, slots and lists of people takes, and generating slots, over HTTP: tried and applied, against COPY alone of as many rows; what each used; and the server's memory."`
	Overload benchOverload `cmd:"" help:"What is still booked, and how fast, when 10, 20 and 30 times as much is asked as can be done, and how soon everything is as before."`
}

// surroundings are what a command sees of the world.
type surroundings struct {
	ctx     context.Context
	environ []string
	in      io.Reader
	out     io.Writer
	err     io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(surroundings{ctx: ctx, environ: os.Environ(), in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Args[1:])
	stop()
	if err != nil {
		if errors.Is(err, context.Canceled) {
			err = errors.New("stopped before the end; nothing was measured")
		}
		fmt.Fprintln(os.Stderr, "surge:", err)
		os.Exit(1)
	}
}

func run(w surroundings, arguments []string) error {
	var c commands
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("surge"),
		kong.Description("Measures the reservation server under load, on private stores."),
		kong.Writers(w.out, w.err),
		kong.Exit(func(code int) { exited = code }),
		kong.UsageOnError(),
	)
	if err != nil {
		return fmt.Errorf("preparing the commands: %w", err)
	}
	parsed, err := parser.Parse(arguments)
	if exited == 0 {
		return nil // --help
	}
	if err != nil {
		return fmt.Errorf("%w; see surge --help", err)
	}
	return parsed.Run(w)
}
