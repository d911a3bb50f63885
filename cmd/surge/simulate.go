package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"jari/cmd/surge/night"
)

type simulateCommands struct {
	Night simulateNight `cmd:"" help:"An opening with ten million arrivals in virtual time, with whole instances of the waiting room: waiting, rate, fairness, places lost."`
}

// simulateNight simulates a night and judges it.
type simulateNight struct {
	Persons int       `default:"1500000" help:"Who are entitled; all of them come, each with four to seven devices. Rates follow their number."`
	Seed    uint64    `default:"1" help:"The same seed gives the same night."`
	NoShow  float64   `default:"0.3" help:"Share of called people who don't come; a third of them comes later."`
	Bug     night.Bug `default:"" enum:",by-device,arrival-order,reload-loses,blocks-twice" help:"Make the simulated server make a mistake, to see that it is caught."`
	JSON    bool      `name:"json" help:"Print one JSON object instead of the summary."`
	Out     string    `type:"path" placeholder:"FILE.svg" help:"Draw the night."`
}

// Run simulates, prints and fails if something was wrong.
func (c simulateNight) Run(w surroundings) (err error) {
	o := night.Standard(c.Persons, c.Seed)
	o.NoShow, o.Bug = c.NoShow, c.Bug
	began := time.Now()
	r, err := night.Run(w.ctx, o)
	if err != nil {
		return err
	}
	wrong := r.Judge()
	if c.JSON {
		err = json.NewEncoder(w.out).Encode(struct {
			*night.Report
			TookSeconds float64  `json:"took_seconds"`
			Wrong       []string `json:"wrong"`
		}{r, time.Since(began).Seconds(), append([]string{}, wrong...)})
	} else {
		c.print(w, r, time.Since(began))
	}
	if c.Out != "" {
		err = errors.Join(err, draw(r, c.Out))
	}
	if len(wrong) > 0 {
		err = errors.Join(err, errors.New("the night went wrong:\n  "+strings.Join(wrong, "\n  ")))
	}
	return err
}

func draw(r *night.Report, path string) error {
	file, err := os.Create(filepath.Clean(path))
	if err != nil {
		return err
	}
	return errors.Join(r.WriteSVG(file), file.Close())
}

func (simulateNight) print(w surroundings, r *night.Report, took time.Duration) {
	line := func(name, text string, arguments ...any) {
		fmt.Fprintf(w.out, "%-22s %s\n", name, fmt.Sprintf(text, arguments...))
	}
	minutes := func(d time.Duration) string { return fmt.Sprintf("%.0f min", d.Minutes()) }
	line("arrivals", "%d of %d persons; %d asked again for what they had", r.Arrivals, r.Persons, r.Repeated)
	line("drawn", "%d, published and verified: %v; %d more came later", r.Registered, r.DrawVerified, r.Tickets-r.Registered)
	line("messages", "%d, and up to %d numbers waited for one", r.Messages, r.LongestSMSLine)
	line("waiting", "10 %% up to %s, half %s, 90 %% %s, 99 %% %s, the last %s", minutes(r.Waiting.P10), minutes(r.Waiting.P50),
		minutes(r.Waiting.P90), minutes(r.Waiting.P99), minutes(r.Waiting.Max))
	line("came in", "%d (%d of them late), over after %s", r.Admitted, r.Late, minutes(r.EndedAt))
	line("of the target", "%.1f %% in the minutes 5 to 10, with %.0f %% who stay away", 100*r.AdmittedOfTarget, 100*r.NoShow)
	line("most inside", "%d of %d", r.MostInside, r.Most)
	line("fair by arrival", "p = %.3f", r.FairByArrival)
	line("fair by devices", "p = %.3f; mean position by devices: %v", r.FairByDevices, r.MeanByDevices)
	line("overtaken", "by at most %s after the opening", r.Overtaken)
	line("blocks that died", "%d; who waited got later numbers", r.BlocksDied)
	line("places lost", "%d", r.PlacesLost)
	line("duplicates", "%d", r.Duplicates)
	line("took", "%s", took.Round(time.Second))
}
