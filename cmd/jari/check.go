package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"jari/internal/app"
	"jari/internal/civil"
)

type checkCommand struct {
	File       string `arg:"" help:"The campaign file, YAML or JSON. The sites and slots that it names are read too."`
	JSON       bool   `name:"json" help:"Print the whole report as JSON, for machines."`
	Strict     bool   `help:"Warnings fail too."`
	Published  bool   `xor:"previous" help:"Compare with the newest published version, in the database that JARI_POSTGRES_URL names."`
	Against    string `xor:"previous" placeholder:"FILE" help:"Compare with another campaign file."`
	Population string `placeholder:"FILE" help:"Count heads by this CSV file: a line birth_year,people, then a year and the number of people born in it on each line."`
	Today      string `placeholder:"YYYY-MM-DD" help:"The last birth date that is asked about; today in the zone of this machine if left out."`
}

// Help is shown below the flags.
func (checkCommand) Help() string {
	return `Asks for every birth date from 1900-01-01 to today, at every instant at which the rules can change their answer, and
runs the file's own cases. Nothing is changed. Birth dates, days and windows are printed as in the file: birth dates and
days with both ends, windows from the first instant until just before the second, in local time of the campaign's zone.

Exit status: 0 if the file could be published, 1 if it has a fault, a case fails, a wave has no case, or the check itself
couldn't be made. Warnings are no reason for 1, unless --strict is given.`
}

// Run checks.
func (c checkCommand) Run(w surroundings) error {
	order := app.CheckOrder{Files: os.DirFS(filepath.Dir(c.File)), Name: filepath.Base(c.File), Today: civil.Of(time.Now(), time.Local)}
	var err error
	if c.Today != "" {
		if order.Today, err = civil.Parse(c.Today); err != nil {
			return fmt.Errorf("--today: %w", err)
		}
	}
	if c.Against != "" {
		order.AgainstName = c.Against
		if order.Against, err = readBeside(c.Against); err != nil {
			return err
		}
	}
	if c.Population != "" {
		order.PopulationName = c.Population
		if order.Population, err = readBeside(c.Population); err != nil {
			return err
		}
	}
	if c.Published {
		cfg, err := storeURL(w)
		if err != nil {
			return err
		}
		o, err := app.OpenOffice(w.ctx, cfg)
		if err != nil {
			return err
		}
		defer o.Close()
		order.Published = o.Campaigns
	}
	began := time.Now()
	report, err := app.CheckCampaign(w.ctx, order)
	if err != nil {
		return err
	}
	took := time.Since(began)
	if c.JSON {
		err = json.NewEncoder(w.out).Encode(report)
	} else if err = report.WriteText(w.out, c.File); err == nil {
		_, err = fmt.Fprintf(w.out, "Took %.2f s.\n", took.Seconds())
	}
	switch {
	case err != nil:
		return err
	case !report.Publishable:
		return fmt.Errorf("%s can't be published", c.File)
	case c.Strict && len(report.Warnings) > 0:
		return fmt.Errorf("%s has warnings, and --strict was asked for", c.File)
	}
	return nil
}

// readBeside reads a file that the user named.
func readBeside(name string) ([]byte, error) {
	return fs.ReadFile(os.DirFS(filepath.Dir(name)), filepath.Base(name))
}
