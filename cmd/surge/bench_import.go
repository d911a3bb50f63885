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
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/cmd/surge/rig"
)

// benchImport measures bulk changes of sites and slots, and lists of entitled people.
type benchImport struct {
	Sites   int    `default:"1000" help:"Sites to import first."`
	Slots   int    `default:"100000" help:"Slots to generate by a template."`
	Rows    int    `default:"300000" help:"Rows of slots to import as CSV."`
	People  int    `default:"300000" help:"People on a list to import as CSV and sign off."`
	JSON    bool   `name:"json" help:"Print one JSON object instead of the table."`
	Data    string `default:".jari/surge" type:"path" help:"Folder for the private stores and the logs."`
	Profile string `name:"cpuprofile" type:"path" placeholder:"DIR" help:"Write CPU profiles of the server into this folder, for go tool pprof."`
}

// importLine is what one bulk change took, against COPY alone of as many rows into a table without indexes. Processor time
// says the same on a busy machine and on a quiet one.
type importLine struct {
	Name          string  `json:"name"`
	Rows          int     `json:"rows"`
	TrySeconds    float64 `json:"try_seconds"`
	ApplySeconds  float64 `json:"apply_seconds"`
	CopySeconds   float64 `json:"copy_seconds"`
	Ratio         float64 `json:"ratio_to_copy"`
	ServerCPU     float64 `json:"server_cpu_seconds"`
	PostgresCPU   float64 `json:"postgres_cpu_seconds"`
	CopyCPU       float64 `json:"copy_cpu_seconds"` // of Postgres and whoever copies
	RatioCPU      float64 `json:"ratio_to_copy_cpu"`
	RestMegabytes int64   `json:"rest_megabytes"` // of the server, just before
	PeakMegabytes int64   `json:"peak_megabytes"` // of the server, meanwhile
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
	// key imports, second signs off.
	key, second string
}

// Run measures, checks and prints.
func (c benchImport) Run(w surroundings) (err error) {
	if c.Sites < 1 || c.Slots < c.Sites || c.Rows < c.Sites || c.Slots/c.Sites > 10*slotsADay || c.Rows/c.Sites > 10*slotsADay {
		return fmt.Errorf("--slots and --rows must be 1 to %d for each of --sites", 10*slotsADay)
	}
	if c.People < 1 || c.People > mostPeople {
		return fmt.Errorf("--people must be 1 to %d", mostPeople)
	}
	if err := makeProfiles(c.Profile); err != nil {
		return err
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
	if b.second, err = b.rig.AdminKey(w.ctx); err != nil {
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
	campaign := "/admin/v1/campaigns/" + b.rig.Campaign.ID
	for _, c := range []bulkChange{
		b.planned("sites, CSV", campaign+"/sites/import", "text/csv", []byte(sites.String())),
		b.planned("slots, template", campaign+"/slots/generate", "application/json", template),
		b.planned("slots, CSV", campaign+"/slots/import", "text/csv", list.Bytes()),
		b.people(),
	} {
		line, err := b.one(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// bulkChange is one that is measured. try returns how many rows it will write, and apply writes them.
type bulkChange struct {
	name  string
	try   func(ctx context.Context) (rows int, err error)
	apply func(ctx context.Context) error
	copy  copied
}

// planned is a bulk change of sites or slots.
func (b *imports) planned(name, path, contentType string, body []byte) bulkChange {
	var plan struct {
		ID       string `json:"plan_id"`
		Checksum string `json:"checksum"`
		Summary  struct{ Created, Rejected int }
	}
	return bulkChange{
		name: name, copy: copiedSlots(),
		try: func(ctx context.Context) (int, error) {
			err := b.post(ctx, b.key, path, contentType, body, http.StatusCreated, &plan)
			if err == nil && plan.Summary.Rejected > 0 {
				err = fmt.Errorf("%d rows were rejected", plan.Summary.Rejected)
			}
			return plan.Summary.Created, err
		},
		apply: func(ctx context.Context) error {
			return b.post(ctx, b.key, "/admin/v1/plans/"+plan.ID+"/apply", "application/json", []byte(`{"checksum":"`+plan.Checksum+`"}`),
				http.StatusOK, nil)
		},
	}
}

// mostPeople bounds a list by the phone numbers that it is made of.
const mostPeople = 1_000_000

// people is a list of entitled people, with names as different as names are.
func (b *imports) people() bulkChange {
	var file bytes.Buffer
	file.WriteString("number,name,birth_date,phone\n")
	born := time.Date(1930, time.January, 1, 0, 0, 0, 0, time.UTC)
	const syllables = '힣' - '가' + 1
	for n := range b.People {
		fmt.Fprintf(&file, "%08d,%c%c%c,%s,010-%04d-%04d\n", n, '김', '가'+rune(n*7919%syllables), '가'+rune(n/3*104729%syllables),
			born.AddDate(0, 0, n%25_000).Format(time.DateOnly), 2000+n/10_000, n%10_000)
	}
	var staged struct {
		ID       string `json:"import_id"`
		Checksum string `json:"checksum"`
		Added    int    `json:"added"`
	}
	const path = "/admin/v1/lists/everybody/imports"
	return bulkChange{
		name: "list of people, CSV", copy: copiedPeople(),
		try: func(ctx context.Context) (int, error) {
			err := b.post(ctx, b.key, path+"?number_digits=8", "text/csv", file.Bytes(), http.StatusCreated, &staged)
			return staged.Added, err
		},
		apply: func(ctx context.Context) error {
			return b.post(ctx, b.second, path+"/"+staged.ID+"/sign-off", "application/json", []byte(`{"checksum":"`+staged.Checksum+`"}`),
				http.StatusOK, nil)
		},
	}
}

// one tries and applies one bulk change, and copies as many rows alone.
func (b *imports) one(ctx context.Context, c bulkChange) (l importLine, err error) {
	l.Name = c.name
	if err := b.settle(ctx); err != nil {
		return l, err
	}
	used, err := b.meter.Resident(b.server.Pid())
	if err != nil {
		return l, fmt.Errorf("reading how much memory the server has: %w", err)
	}
	l.RestMegabytes = used >> 20
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
	took, err := b.account(ctx, c.name, func() error {
		began := time.Now()
		if l.Rows, err = c.try(ctx); err != nil {
			return err
		}
		tried := time.Now()
		l.TrySeconds = tried.Sub(began).Seconds()
		err := c.apply(ctx)
		l.ApplySeconds = time.Since(tried).Seconds()
		return err
	})
	stop()
	watching.Wait()
	if err != nil {
		return l, err
	}
	l.ServerCPU, l.PostgresCPU = took.Server.Seconds(), took.Postgres.Seconds()
	if took, err = b.account(ctx, "", func() (err error) {
		l.CopySeconds, err = b.copyAlone(ctx, c.copy, l.Rows)
		return err
	}); err != nil {
		return l, err
	}
	l.CopyCPU = (took.Generator + took.Postgres).Seconds()
	l.Ratio = ratio(l.TrySeconds+l.ApplySeconds, l.CopySeconds)
	l.RatioCPU = ratio(l.ServerCPU+l.PostgresCPU, l.CopyCPU)
	return l, nil
}

// settle has everybody finish what the change before left to do: the server reads its slots again, Postgres tidies up.
func (b *imports) settle(ctx context.Context) error {
	if err := b.rig.Settle(ctx); err != nil {
		return err
	}
	const (
		every = 500 * time.Millisecond
		most  = 30
	)
	before, err := b.meter.Own(b.server.Pid())
	for range most {
		if err != nil {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
		var now rig.CPU
		if now, err = b.meter.Own(b.server.Pid()); err == nil && now-before < rig.CPU(every/10) {
			return nil
		}
		before = now
	}
	if err != nil {
		return fmt.Errorf("reading what the server uses: %w", err)
	}
	return nil
}

// account says what was used while something ran; with a name, and where profiles are wanted, it has one written.
func (b *imports) account(ctx context.Context, name string, run func() error) (took rig.Accounts, err error) {
	profile := ""
	if b.Profile != "" && name != "" {
		profile = filepath.Join(b.Profile, strings.NewReplacer(", ", "-", " ", "-").Replace(name)+".pprof")
	}
	err = profiled(ctx, b.server, profile, func() (err error) {
		took, err = b.meter.During(b.rig, b.server, nil, run)
		return err
	})
	return took, err
}

// copied is what COPY alone writes, as much of it as what it is compared with.
type copied struct {
	columns []string // with their types
	row     func(n int) []any
}

func copiedSlots() copied {
	start := time.Now().Truncate(time.Minute)
	return copied{
		columns: []string{"site_id text", "starts_at timestamptz", "ends_at timestamptz", "capacity integer"},
		row: func(n int) []any {
			at := start.Add(time.Duration(n) * time.Minute)
			return []any{"i00000", at, at.Add(30 * time.Minute), 10}
		},
	}
}

func copiedPeople() copied {
	hash := bytes.Repeat([]byte{7}, 16)
	return copied{
		columns: []string{"list text", "entry bytea", "self_index bytea", "phone_index bytea", "lookup bytea"},
		row:     func(int) []any { return []any{"everybody", hash, hash, hash, hash} },
	}
}

// copyAlone writes rows as COPY can, into a table of its own without an index, and commits.
func (b *imports) copyAlone(ctx context.Context, c copied, rows int) (seconds float64, err error) {
	if _, err := b.rig.Pool.Exec(ctx, `CREATE TABLE copied (`+strings.Join(c.columns, ", ")+`)`); err != nil {
		return 0, fmt.Errorf("making a table: %w", err)
	}
	names := make([]string, len(c.columns))
	for i, column := range c.columns {
		names[i], _, _ = strings.Cut(column, " ")
	}
	began := time.Now()
	_, err = b.rig.Pool.CopyFrom(ctx, pgx.Identifier{"copied"}, names,
		pgx.CopyFromSlice(rows, func(n int) ([]any, error) { return c.row(n), nil }))
	seconds = time.Since(began).Seconds()
	if err == nil {
		_, err = b.rig.Pool.Exec(ctx, `DROP TABLE copied`)
	}
	if err != nil {
		return 0, fmt.Errorf("copying alone: %w", err)
	}
	return seconds, nil
}

func (b *imports) post(ctx context.Context, key, path, contentType string, body []byte, want int, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.server.URL+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("asking %s: %w", path, err)
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Authorization", "Bearer "+key)
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
		fmt.Fprintln(t, "\trows\ttried s\tapplied s\trows/s\tCOPY alone s\ttimes COPY\tCPU s server\tPostgres\tCOPY's\ttimes COPY's\tMB at rest\tat most\t")
		for _, l := range r.Lines {
			fmt.Fprintf(t, "%s\t%d\t%.2f\t%.2f\t%.0f\t%.2f\t%.1f\t%.2f\t%.2f\t%.2f\t%.1f\t%d\t%d\t\n", l.Name, l.Rows, l.TrySeconds, l.ApplySeconds,
				ratio(float64(l.Rows), l.TrySeconds+l.ApplySeconds), l.CopySeconds, l.Ratio, l.ServerCPU, l.PostgresCPU, l.CopyCPU, l.RatioCPU,
				l.RestMegabytes, l.PeakMegabytes)
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
