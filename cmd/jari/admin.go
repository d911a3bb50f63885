package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"jari/internal/app"
	"jari/internal/config"
	"jari/internal/keys"
	"jari/internal/postgres"
)

type migrateCommand struct {
	Up     migrateUpCommand     `cmd:"" help:"Apply every migration that is missing. Safe to run again, and from several machines."`
	Down   migrateDownCommand   `cmd:"" help:"Take every table away with everything in it. Development only."`
	Status migrateStatusCommand `cmd:"" help:"Say which migration the database is at and which this binary needs."`
}

type (
	migrateUpCommand     struct{}
	migrateStatusCommand struct{}
	migrateDownCommand   struct {
		Yes bool `help:"Really delete everything." required:""`
	}
)

// storeURL is the one variable that commands about Postgres need.
func storeURL(w surroundings) (config.Config, error) {
	cfg, err := config.Read(w.environ)
	if err != nil {
		return cfg, err
	}
	if cfg.PostgresURL == "" {
		return cfg, errors.New("JARI_POSTGRES_URL is missing: postgres://user:password@host:port/database")
	}
	if cfg.ClockOffset != 0 && cfg.Environment != config.Development {
		return cfg, errors.New("JARI_CLOCK_OFFSET: only development may move the clock")
	}
	return cfg, nil
}

// Run applies every migration that is missing.
func (migrateUpCommand) Run(w surroundings) error {
	cfg, err := storeURL(w)
	if err != nil {
		return err
	}
	if err := postgres.Migrate(w.ctx, string(cfg.PostgresURL)); err != nil {
		return err
	}
	return migrateStatusCommand{}.Run(w)
}

// Run takes everything away, in development.
func (migrateDownCommand) Run(w surroundings) error {
	cfg, err := storeURL(w)
	if err != nil {
		return err
	}
	if cfg.Environment != config.Development {
		return fmt.Errorf("JARI_ENV is %q: only development may take its tables away", cfg.Environment)
	}
	return postgres.MigrateDown(w.ctx, string(cfg.PostgresURL))
}

// Run compares the database with this binary.
func (migrateStatusCommand) Run(w surroundings) error {
	cfg, err := storeURL(w)
	if err != nil {
		return err
	}
	pool, err := postgres.Open(w.ctx, string(cfg.PostgresURL), few(cfg))
	if err != nil {
		return err
	}
	defer pool.Close()
	newest, err := postgres.Newest()
	if err != nil {
		return err
	}
	applied, dirty, err := postgres.Applied(w.ctx, pool)
	if err != nil {
		return err
	}
	fmt.Fprintf(w.out, "the database is at migration %d; this binary needs %d\n", applied, newest)
	switch {
	case dirty:
		return fmt.Errorf("migration %d broke off halfway: mend it by hand, then set its row in schema_migrations", applied)
	case applied < newest:
		return errors.New("run jari migrate up")
	}
	return nil
}

// few is enough for a command.
func few(cfg config.Config) postgres.Options {
	return postgres.Options{MaxConnections: 4, ConnectTimeout: cfg.PostgresConnectTimeout}
}

type campaignCommand struct {
	Check    checkCommand    `cmd:"" help:"Say what publishing a campaign file would do: who may book when, what looks unintended, which cases fail."`
	Publish  publishCommand  `cmd:"" help:"Check a campaign file with its sites and slots, and publish all of it or nothing."`
	Versions versionsCommand `cmd:"" help:"List what was published of a campaign."`
	Forget   forgetCommand   `cmd:"" help:"Forget a campaign whose retention is over, with everybody whom nothing else keeps."`
	Rollback rollbackCommand `cmd:"" help:"Publish the document of an earlier version again."`
}

type publishCommand struct {
	File        string    `arg:"" type:"existingfile" help:"The campaign file."`
	EffectiveAt time.Time `help:"From when on a new version counts (RFC 3339); as soon as every instance can know it if left out. The first version counts from the beginning." format:"2006-01-02T15:04:05Z07:00"`
}

// Run publishes.
func (c publishCommand) Run(w surroundings) error {
	cfg, err := storeURL(w)
	if err != nil {
		return err
	}
	pool, err := postgres.Open(w.ctx, string(cfg.PostgresURL), few(cfg))
	if err != nil {
		return err
	}
	defer pool.Close()
	p, err := app.PublishAt(w.ctx, cfg.Environment, pool, os.DirFS(filepath.Dir(c.File)), filepath.Base(c.File), func() (time.Time, error) {
		soonest := time.Now().Add(cfg.ClockOffset).Add(app.CommandLead)
		if c.EffectiveAt.IsZero() {
			return soonest, nil
		}
		if c.EffectiveAt.Before(soonest) {
			return time.Time{}, fmt.Errorf("--effective-at must be %s from now or later, so that every instance knows the version "+
				"by then (a first version counts from the beginning; leave it out)", app.CommandLead)
		}
		return c.EffectiveAt, nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(w.out, describe(p))
	return nil
}

// describe says in a line what publishing did.
func describe(p app.Published) string {
	var b strings.Builder
	if p.New {
		fmt.Fprintf(&b, "published version %d of %s", p.Version, p.Campaign)
	} else {
		fmt.Fprintf(&b, "%s is at version %d already", p.Campaign, p.Version)
	}
	fmt.Fprintf(&b, ": %d sites; slots: %d created, %d changed, %d unchanged; %d places",
		p.Sites, p.Slots.Created, p.Slots.Changed, p.Slots.Unchanged, p.Places)
	if p.Slots.Unnamed > 0 {
		fmt.Fprintf(&b, "\nwatch out: %d open slots of these sites aren't in the files and stay open (%d booked in them)",
			p.Slots.Unnamed, p.Slots.UnnamedBooked)
	}
	return b.String()
}

type keysCommand struct {
	Generate keysGenerateCommand `cmd:"" help:"Print three new keysets as lines for the environment, or the one for backups. Keep them secret."`
	Check    keysCheckCommand    `cmd:"" help:"Prove that JARI_DATA_KEYS and JARI_INDEX_KEYS are those of the database."`
	Split    keysSplitCommand    `cmd:"" help:"Divide keysets, read from standard input, into parts for several people, some of which give them back."`
	Join     keysJoinCommand     `cmd:"" help:"Put parts, read from standard input, together again."`
	Create   keysCreateCommand   `cmd:"" help:"Make a key for an administrator's program and print it, once."`
	Rotate   keysRotateCommand   `cmd:"" help:"Print the next line of a keyset: add a key, promote it, retire the old one."`
	Reseal   keysResealCommand   `cmd:"" help:"Seal all personal data with the newest key. Safe to break off and run again, while serving."`
	Revoke   keysRevokeCommand   `cmd:"" help:"End a key of an administrator's program."`
}

type keysGenerateCommand struct {
	Environment string `enum:"development,production" required:"" help:"development or production; keys of one are refused by the other."`
	Backup      bool   `help:"The keyset for backups alone. Keep it where the backups are restored, and not on servers."`
}

// keyVariable is a variable that holds a keyset.
type keyVariable struct {
	name    string
	purpose keys.Purpose
}

// backupVariable is the one that isn't a server's.
var backupVariable = []keyVariable{{"JARI_BACKUP_KEYS", keys.Backup}}

// keyVariables are the variables that hold a server's keysets.
var keyVariables = []keyVariable{
	{"JARI_TOKEN_KEYS", keys.Tokens},
	{"JARI_DATA_KEYS", keys.Data},
	{"JARI_INDEX_KEYS", keys.Index},
}

// Run prints new keysets.
func (c keysGenerateCommand) Run(w surroundings) error {
	made := keyVariables
	if c.Backup {
		made = backupVariable
	}
	for _, k := range made {
		line, err := keys.Generate(c.Environment, k.purpose)
		if err != nil {
			return err
		}
		fmt.Fprintf(w.out, "%s=%s\n", k.name, line)
	}
	return nil
}

type configCommand struct {
	Check bool `help:"Say everything that is wrong with the environment, instead of printing the table."`
}

// Run prints or checks.
func (c configCommand) Run(w surroundings) error {
	if !c.Check {
		return config.Table(w.out)
	}
	cfg, err := config.Load(w.environ)
	if err != nil {
		return err
	}
	if err := app.CheckSecrets(cfg); err != nil {
		return err
	}
	fmt.Fprintln(w.out, "the configuration can be used")
	return nil
}
