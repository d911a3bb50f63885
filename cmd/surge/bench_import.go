package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/cmd/surge/rig"
)

// benchImport measures bulk changes of sites and slots.
type benchImport struct {
	Sites int    `default:"1000" help:"Sites to import first."`
	Slots int    `default:"100000" help:"Slots to generate by a template."`
	Rows  int    `default:"300000" help:"Rows of slots to import as CSV."`
	JSON  bool   `name:"json" help:"Print one JSON object instead of the table."`
	Data  string `default:".jari/surge" type:"path" help:"Folder for the private stores and the logs."`
}

// importLine is what one bulk change took, against COPY alone of as many rows into a table without indexes.
type importLine struct {
	Name          string  `json:"name"`
	Rows          int     `json:"rows"`
	TrySeconds    float64 `json:"try_seconds"`
	ApplySeconds  float64 `json:"apply_seconds"`
	CopySeconds   float64 `json:"copy_seconds"`
	Ratio         float64 `json:"ratio_to_copy"`
	PeakMegabytes int64   `json:"peak_megabytes"` // of the server
}

type importReport struct {
	Facts      rig.Facts    `json:"facts"`
	LoadBefore string       `json:"load_before"`
	LoadAfter  string       `json:"load_after"`
	Lines      []importLine `json:"lines"`
}

// within is how long trying and applying together may take.
const within = 10 * time.Second

// imports is a run.
type imports struct {
	benchImport
	rig    *rig.Rig
	server *rig.Process
	meter  *rig.Meter
	key    string
}

// Run measures, checks and prints.
func (c benchImport) Run(w surroundings) (err error) {
	if c.Sites < 1 || c.Slots < c.Sites || c.Rows < c.Sites || c.Slots/c.Sites > 10*slotsADay || c.Rows/c.Sites > 10*slotsADay {
		return fmt.Errorf("--slots and --rows must be 1 to %d for each of --sites", 10*slotsADay)
	}
	b := &imports{benchImport: c}
	r := importReport{LoadBefore: fmt.Sprint(rig.LoadAverage())}
	if b.rig, err = rig.Start(w.ctx, rig.Options{Dir: c.Data, Log: slog.New(slog.NewTextHandler(w.err, nil))}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.rig.Close(context.WithoutCancel(w.ctx))) }()
	if r.Facts, err = b.rig.Facts(w.ctx); err != nil {
		return err
	}
	if b.meter, err = rig.NewMeter(); err != nil {
		return err
	}
	if b.key, err = b.rig.AdminKey(w.ctx); err != nil {
		return err
	}
	if b.server, err = b.rig.Run(w.ctx, "import", []string{"part", "real"}, []string{"JARI_REQUEST_TIMEOUT=30s"}); err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, b.server.Stop(stop))
	}()
	if err := rig.AwaitReady(w.ctx, b.server); err != nil {
		return err
	}
	if r.Lines, err = b.measure(w.ctx); err != nil {
		return err
	}
	r.LoadAfter = fmt.Sprint(rig.LoadAverage())
	if c.JSON {
		err = json.NewEncoder(w.out).Encode(r)
	} else {
		err = r.print(w.out)
	}
	return errors.Join(err, r.judge())
}

// slotsADay are the slots of a site on one day, one each half hour.
const slotsADay = 48

func (b *imports) measure(ctx context.Context) (lines []importLine, err error) {
	first := time.Now().AddDate(0, 0, 20)
	var sites strings.Builder
	sites.WriteString("site_id,region,name,address,telephone,wheelchair\n")
	for n := range b.Sites {
		fmt.Fprintf(&sites, "i%05d,seoul,제%d 의원,서울특별시 중구 세종대로 %d,02-0000-0000,yes\n", n, n, n)
	}
	perSite := b.Slots / b.Sites
	days := (perSite + slotsADay - 1) / slotsADay
	every := 30
	if days > 1 || perSite < slotsADay {
		// As many slots a day, a few more on the whole than asked for rather than fewer.
		every = 24 * 60 / ((perSite + days - 1) / days)
	}
	names := make([]string, b.Sites)
	for n := range names {
		names[n] = fmt.Sprintf("i%05d", n)
	}
	template, err := json.Marshal(map[string]any{"sites": names, "template": map[string]any{
		"weekdays": []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}, "from": first.Format(time.DateOnly),
		"to":    first.AddDate(0, 0, days-1).Format(time.DateOnly),
		"hours": []any{map[string]any{"from": "00:00", "to": "24:00", "every_minutes": every, "capacity": 10}},
	}})
	if err != nil {
		return nil, fmt.Errorf("encoding a template: %w", err)
	}
	var list bytes.Buffer
	list.WriteString("site_id,date,from,to,capacity\n")
	later := first.AddDate(0, 0, 100)
	for n := range b.Rows {
		k := n / b.Sites
		start := (k % slotsADay) * 30
		fmt.Fprintf(&list, "i%05d,%s,%02d:%02d,%02d:%02d,10\n", n%b.Sites, later.AddDate(0, 0, k/slotsADay).Format(time.DateOnly),
			start/60, start%60, (start+30)/60, (start+30)%60)
	}
	for _, part := range []struct {
		name, path, contentType string
		body                    []byte
	}{
		{"sites, CSV", "/sites/import", "text/csv", []byte(sites.String())},
		{"slots, template", "/slots/generate", "application/json", template},
		{"slots, CSV", "/slots/import", "text/csv", list.Bytes()},
	} {
		line, err := b.one(ctx, part.name, part.path, part.contentType, part.body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// one tries and applies one bulk change, and copies as many rows alone.
func (b *imports) one(ctx context.Context, name, path, contentType string, body []byte) (l importLine, err error) {
	l.Name = name
	watched, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			if used, err := b.meter.Resident(b.server.Pid()); err == nil {
				l.PeakMegabytes = max(l.PeakMegabytes, used>>20)
			}
			select {
			case <-watched.Done():
				return
			case <-tick.C:
			}
		}
	})
	var plan struct {
		ID       string `json:"plan_id"`
		Checksum string `json:"checksum"`
		Summary  struct{ Created, Rejected int }
	}
	began := time.Now()
	err = b.post(ctx, "/admin/v1/campaigns/"+b.rig.Campaign.ID+path, contentType, body, http.StatusCreated, &plan)
	l.TrySeconds = time.Since(began).Seconds()
	if err == nil {
		began = time.Now()
		err = b.post(ctx, "/admin/v1/plans/"+plan.ID+"/apply", "application/json", []byte(`{"checksum":"`+plan.Checksum+`"}`), http.StatusOK, nil)
		l.ApplySeconds = time.Since(began).Seconds()
	}
	stop()
	watching.Wait()
	if err != nil {
		return l, err
	}
	if l.Rows = plan.Summary.Created; plan.Summary.Rejected > 0 {
		return l, fmt.Errorf("%d rows were rejected", plan.Summary.Rejected)
	}
	if l.CopySeconds, err = b.copyAlone(ctx, l.Rows); err != nil {
		return l, err
	}
	l.Ratio = ratio(l.TrySeconds+l.ApplySeconds, l.CopySeconds)
	return l, nil
}

// copyAlone writes as many rows of slots as COPY can, into a table of its own without an index, and commits.
func (b *imports) copyAlone(ctx context.Context, rows int) (seconds float64, err error) {
	if _, err := b.rig.Pool.Exec(ctx, `CREATE TABLE copied (site_id text, starts_at timestamptz, ends_at timestamptz, capacity integer)`); err != nil {
		return 0, fmt.Errorf("making a table: %w", err)
	}
	start := time.Now().Truncate(time.Minute)
	began := time.Now()
	_, err = b.rig.Pool.CopyFrom(ctx, pgx.Identifier{"copied"}, []string{"site_id", "starts_at", "ends_at", "capacity"},
		pgx.CopyFromSlice(rows, func(n int) ([]any, error) {
			at := start.Add(time.Duration(n) * time.Minute)
			return []any{"i00000", at, at.Add(30 * time.Minute), 10}, nil
		}))
	seconds = time.Since(began).Seconds()
	if err == nil {
		_, err = b.rig.Pool.Exec(ctx, `DROP TABLE copied`)
	}
	if err != nil {
		return 0, fmt.Errorf("copying alone: %w", err)
	}
	return seconds, nil
}

func (b *imports) post(ctx context.Context, path, contentType string, body []byte, want int, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.server.URL+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("asking %s: %w", path, err)
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Authorization", "Bearer "+b.key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking %s: %w", path, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != want {
		err = fmt.Errorf("answered %d: %s", response.StatusCode, answer)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(answer, into)
	}
	if err != nil {
		return fmt.Errorf("asking %s: %w", path, err)
	}
	return nil
}

func (r importReport) print(out io.Writer) error {
	return table(out, func(t io.Writer) {
		fmt.Fprintln(t, "\trows\ttried s\tapplied s\trows/s\tCOPY alone s\ttimes COPY\tpeak MB\t")
		for _, l := range r.Lines {
			fmt.Fprintf(t, "%s\t%d\t%.2f\t%.2f\t%.0f\t%.2f\t%.1f\t%d\t\n", l.Name, l.Rows, l.TrySeconds, l.ApplySeconds,
				ratio(float64(l.Rows), l.TrySeconds+l.ApplySeconds), l.CopySeconds, l.Ratio, l.PeakMegabytes)
		}
		fmt.Fprintf(t, "load before %s\tafter %s\t\n", r.LoadBefore, r.LoadAfter)
	})
}

// judge fails when something took longer than it may.
func (r importReport) judge() error {
	var faults []error
	for _, l := range r.Lines {
		if took := l.TrySeconds + l.ApplySeconds; took > within.Seconds() {
			faults = append(faults, fmt.Errorf("%s: %d rows took %.1f s, and may take %s", l.Name, l.Rows, took, within))
		}
	}
	return errors.Join(faults...)
}
