// Command jari is the reservation server and what operators need around it. `jari --help` lists the commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // zones of campaigns, on machines without a zone database

	"github.com/alecthomas/kong"
)

// commands are what jari can do.
type commands struct {
	Serve    serveCommand    `cmd:"" help:"Serve the API. Configured by the environment; see jari config."`
	Dev      devCommand      `cmd:"" help:"Serve for development: private stores, generated keys, an example campaign and a clock that can be moved."`
	Demo     demoCommand     `cmd:"" help:"Walk a citizen's way against a development server, printing each request and answer."`
	Migrate  migrateCommand  `cmd:"" help:"Bring the schema of Postgres up to date, or look at it."`
	Campaign campaignCommand `cmd:"" help:"Check, publish and roll back campaigns."`
	Keys     keysCommand     `cmd:"" help:"Generate the keysets of a deployment, and make keys for administrators."`
	Admin    adminCommand    `cmd:"" passthrough:"" help:"Administer a running server over its API, with a key; jari admin --help lists what can be done."`
	Audit    auditCommand    `cmd:"" help:"Verify the record of what administrators did."`
	Draw     drawCommand     `cmd:"" help:"Verify the published draw of a waiting room."`
	Backup   backupCommand   `cmd:"" help:"Copy the database into one sealed file, while servers go on."`
	Restore  restoreCommand  `cmd:"" help:"Put a backup into an empty database, check one, or finish what was recovered otherwise."`
	Config   configCommand   `cmd:"" help:"Print every variable of the environment, or check those that are set."`
}

// surroundings are what a command sees of the world.
type surroundings struct {
	ctx     context.Context
	environ []string
	in      io.Reader // standard input; nil where there is none
	out     io.Writer
	err     io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(surroundings{ctx: ctx, environ: os.Environ(), in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "jari:", err)
		os.Exit(exitStatus(err))
	}
}

// exitStatus is 1 for what failed, unless the failure says more.
func exitStatus(err error) int {
	if says, ok := errors.AsType[interface {
		error
		exitStatus() int
	}](err); ok {
		return says.exitStatus()
	}
	return 1
}

func run(w surroundings, arguments []string) error {
	var c commands
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("jari"),
		kong.Description("Gives scarce places to people, fairly and durably, while millions ask at once."),
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
		return fmt.Errorf("%w; see jari --help", err)
	}
	return parsed.Run(w)
}

// logger writes structured lines for machines.
func logger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}
