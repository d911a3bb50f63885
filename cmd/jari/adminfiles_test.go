package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/xuri/excelize/v2"

	"jari/test/jaritest"
)

// listener is where a command writes, until something was said often enough.
type listener struct {
	mu     sync.Mutex
	text   bytes.Buffer
	says   string
	enough int
	stop   context.CancelFunc
}

func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.text.Write(p)
	if strings.Count(l.text.String(), l.says) >= l.enough {
		l.stop()
	}
	return n, err
}

// The night's numbers come line by line until somebody has seen enough, which is no failure.
func TestTheNightIsWatchedUntilInterrupted(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	l := &listener{says: "\n", enough: 2, stop: stop}
	err := run(surroundings{ctx: ctx, environ: desk(t, s, "viewer"), out: l, err: &bytes.Buffer{}},
		[]string{"admin", "live", "--accept=text/event-stream", "--json"})
	if err != nil {
		t.Errorf("it failed: %v", err)
	}
	for _, line := range strings.SplitAfter(l.text.String(), "\n")[:2] {
		var numbers struct {
			At string `json:"at"`
		}
		if err := json.Unmarshal([]byte(line), &numbers); err != nil || numbers.At == "" {
			t.Errorf("%v: %q", err, line)
		}
	}
	jari(t, desk(t, s, "viewer"), "admin", "live", "--accept=application/json").want(t, "redis", "postgres")
}

// A spreadsheet goes into a file of its own, or to another program, and never onto somebody's screen.
func TestASpreadsheetIsKeptInAFile(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	c.MustBook(t, s.Slot(t, jaritest.SiteOfMany, "2021-07-27"))
	environ := desk(t, s, "clinic")
	export := []string{
		"admin", "export-day-bookings", s.Campaign, jaritest.SiteOfMany, "2021-07-27", "--format=xlsx", "--reason=calling people in",
	}
	out := filepath.Join(t.TempDir(), "day.xlsx")
	jari(t, environ, append(export, "--out", out)...).want(t)
	book, err := excelize.OpenFile(out)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := book.GetRows(book.GetSheetName(0))
	if err != nil || len(rows) != 2 || !strings.Contains(strings.Join(rows[1], " "), c.Name) {
		t.Errorf("%v: %q", err, rows)
	}
	if err := book.Close(); err != nil {
		t.Error(err)
	}
	if is, err := os.Stat(out); err != nil || is.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", is, err)
	}
	if piped := jari(t, environ, export...).want(t); !strings.HasPrefix(piped.out, "PK") {
		t.Errorf("another program gets %q", piped.out[:min(20, len(piped.out))])
	}

	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = terminal.Close() }()
	if !isTerminal(terminal) {
		t.Fatal("a terminal isn't known for one")
	}
	err = run(surroundings{ctx: t.Context(), environ: environ, out: terminal, err: &bytes.Buffer{}}, export)
	if err == nil || !strings.Contains(err.Error(), "--out FILE") {
		t.Errorf("on a terminal: %v", err)
	}
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nowhere.Close() }()
	if err := run(surroundings{ctx: t.Context(), environ: environ, out: nowhere, err: &bytes.Buffer{}}, export); err != nil {
		t.Errorf("thrown away: %v", err)
	}
}
