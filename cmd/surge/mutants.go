package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"jari/cmd/surge/rig"
)

// mutantsCommand plants bugs, one at a time, and sees whether the checks catch each. A check that stays green with a bug in
// what it checks proves nothing about what has none.
type mutantsCommand struct {
	Only []string `placeholder:"TEXT" help:"Only bugs whose name contains one of these."`
	All  bool     `help:"Run every check of a bug, also after one has caught it."`
	JSON bool     `name:"json" help:"Print one JSON object instead of the table."`
	Out  string   `type:"path" placeholder:"FILE" help:"Write the table as Markdown to this file too."`
	Data string   `default:".jari/mutants" type:"path" help:"Folder for the private stores, the logs and the journals."`
}

// perCheck is how long one check of one bug may take.
const perCheck = 5 * time.Minute

// tried is what came of a bug. As JSON its fields stay as they are named here.
type tried struct {
	Name     string   `json:"name"`
	CaughtBy []string `json:"caught_by"`
	Missed   []string `json:"missed_by,omitempty"` // checks that stayed green
	Seconds  float64  `json:"seconds"`
}

// mutantsReport is the outcome of a run. As JSON its fields stay as they are named here.
type mutantsReport struct {
	Revision string    `json:"revision"`
	Command  string    `json:"command"`
	At       time.Time `json:"at"`
	Mutants  []tried   `json:"mutants"`
}

// mutantsHeading explains the table.
const mutantsHeading = `# Whether the checks catch what they are for

Each bug is planted alone in the sources of a server that is otherwise as it is; then the checks that are to catch it are run, the
quick ones first, until one does. All of them were seen to be green without a bug before. Numbers in parentheses are the
invariants of [FAULTS.md](FAULTS.md), with how often each was broken.

`

func (r mutantsReport) markdown(out io.Writer) error {
	var b strings.Builder
	b.WriteString(mutantsHeading)
	caught, seconds := 0, 0.
	for _, t := range r.Mutants {
		seconds += t.Seconds
		if len(t.CaughtBy) > 0 {
			caught++
		}
	}
	fmt.Fprintf(&b, "`%s` at revision %s, %s, %.0f s: %d of %d were caught.\n\n", r.Command, r.Revision, r.At.Format(time.DateOnly), seconds, caught, len(r.Mutants))
	b.WriteString("| bug | caught by |\n|---|---|\n")
	for _, t := range r.Mutants {
		fmt.Fprintf(&b, "| %s | %s |\n", t.Name, t.by())
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (r mutantsReport) write(path string) error {
	file, err := os.Create(path) //nolint:gosec // the path that the person at the terminal chose
	if err == nil {
		err = errors.Join(r.markdown(file), file.Close())
	}
	if err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// Run plants, checks and prints.
func (c mutantsCommand) Run(w surroundings) error {
	root, err := moduleFolder(w.ctx)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "surge-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) //nolint:errcheck // it is a temporary folder
	// All of them, before the first is tried: a plan that the sources have outgrown is to be seen at once.
	overlays := make([]string, len(mutants))
	for i, m := range mutants {
		if overlays[i], err = m.plant(root, filepath.Join(work, strconv.Itoa(i))); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	if err := c.green(w.ctx, root, work); err != nil {
		return err
	}
	var all []tried
	var survived []string
	for i, m := range mutants {
		if !c.wants(m) {
			continue
		}
		began := time.Now()
		t := tried{Name: m.name, CaughtBy: []string{}}
		if err := c.try(w.ctx, root, filepath.Join(work, strconv.Itoa(i)), overlays[i], m, &t); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		t.Seconds = time.Since(began).Seconds()
		if len(t.CaughtBy) == 0 {
			survived = append(survived, m.name)
		}
		all = append(all, t)
		_, _ = fmt.Fprintf(w.err, "%s: caught by %s\n", m.name, t.by())
	}
	report := mutantsReport{
		Revision: rig.Revision(w.ctx), Command: "surge " + strings.Join(os.Args[1:], " "), At: time.Now().UTC(), Mutants: all,
	}
	if c.Out != "" {
		if err := report.write(c.Out); err != nil {
			return err
		}
	}
	if c.JSON {
		err = json.NewEncoder(w.out).Encode(report)
	} else {
		err = printMutants(w.out, all)
	}
	if err == nil && len(survived) > 0 {
		err = fmt.Errorf("%d of %d bugs weren't caught: %s", len(survived), len(all), strings.Join(survived, "; "))
	}
	return err
}

// green runs every check that is wanted without a bug: one that is red anyway catches nothing.
func (c mutantsCommand) green(ctx context.Context, root, work string) error {
	tests := map[string][]string{}
	var played []string
	for _, m := range mutants {
		if !c.wants(m) {
			continue
		}
		for _, t := range m.tests {
			tests[t.pkg] = append(tests[t.pkg], t.run)
		}
		for _, name := range m.cells {
			if !slices.Contains(played, name) {
				played = append(played, name)
			}
		}
	}
	none := filepath.Join(work, "none.json")
	if err := os.WriteFile(none, []byte(`{}`), 0o600); err != nil {
		return err
	}
	for pkg, names := range tests {
		if text, err := testWith(ctx, root, none, pkg, strings.Join(names, "|")); err != nil {
			return fmt.Errorf("the checks of %s are red without any bug: %w\n%s", pkg, err, text)
		}
	}
	binary := filepath.Join(work, "surge")
	if text, err := goCommand(ctx, root, "build", "-o", binary, "./cmd/surge"); err != nil {
		return fmt.Errorf("it doesn't build: %w\n%s", err, text)
	}
	for _, name := range played {
		by, err := c.playCell(ctx, root, binary, name)
		if err != nil {
			return err
		}
		if by != "" {
			return fmt.Errorf("the cell %s is red without any bug: %s", name, by)
		}
	}
	return nil
}

// testWith runs tests of a package with an overlay, on stores of their own.
func testWith(ctx context.Context, root, overlay, pkg, tests string) (string, error) {
	return goCommand(ctx, root, "run", "./test/stores", "--", "go", "test", "-overlay", overlay, "-count=1", "-vet=off",
		"-run", "^("+tests+")$", pkg)
}

func (t tried) by() string {
	if len(t.CaughtBy) == 0 {
		return "NOTHING"
	}
	return strings.Join(t.CaughtBy, "; ")
}

func (c mutantsCommand) wants(m mutant) bool {
	for _, text := range c.Only {
		if strings.Contains(m.name, text) {
			return true
		}
	}
	return len(c.Only) == 0
}

func printMutants(out io.Writer, all []tried) error {
	lines := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, t := range all {
		if _, err := fmt.Fprintf(lines, "%s\t%s\t%.0f s\n", t.Name, t.by(), t.Seconds); err != nil {
			return err
		}
	}
	return lines.Flush()
}

func moduleFolder(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module: %w", err)
	}
	path := strings.TrimSpace(string(out))
	if path == "" || path == os.DevNull {
		return "", errors.New("mutants are planted in the sources: run this in the checkout")
	}
	return filepath.Dir(path), nil
}

// plant writes the changed files into a folder, and returns an overlay that has them stand for those of the module.
func (m mutant) plant(root, folder string) (overlay string, err error) {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return "", err
	}
	changed := map[string]string{}
	for _, e := range m.edits {
		text, known := changed[e.file]
		if !known {
			raw, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.file))) //nolint:gosec // a source of this module
			if err != nil {
				return "", err
			}
			text = string(raw)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return "", fmt.Errorf("%s has the text to be replaced %d times: %q", e.file, n, e.old)
		}
		changed[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	replace := map[string]string{}
	for file, text := range changed {
		path := filepath.Join(folder, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, filepath.FromSlash(file))] = path
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(folder, "overlay.json")
	return overlay, os.WriteFile(overlay, raw, 0o600)
}

// try runs the checks of a bug, the quick ones first, until one catches it.
func (c mutantsCommand) try(ctx context.Context, root, folder, overlay string, m mutant, t *tried) error {
	note := func(check string, caught bool) {
		if caught {
			t.CaughtBy = append(t.CaughtBy, check)
		} else {
			t.Missed = append(t.Missed, check)
		}
	}
	for _, test := range m.tests {
		if len(t.CaughtBy) > 0 && !c.All {
			return nil
		}
		text, err := testWith(ctx, root, overlay, test.pkg, test.run)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case strings.Contains(text, "[build failed]") || strings.Contains(text, "[setup failed]"):
			return fmt.Errorf("it doesn't build:\n%s", text)
		case strings.Contains(text, "[no tests to run]"):
			return fmt.Errorf("%s has no test %s", test.pkg, test.run)
		case err != nil && !strings.Contains(text, "--- FAIL"):
			return fmt.Errorf("%s ended otherwise than by failing:\n%s", test.run, text)
		}
		note(test.run, err != nil)
	}
	binary := filepath.Join(folder, "surge")
	for i, name := range m.cells {
		if len(t.CaughtBy) > 0 && !c.All {
			return nil
		}
		if i == 0 {
			if text, err := goCommand(ctx, root, "build", "-overlay", overlay, "-o", binary, "./cmd/surge"); err != nil {
				return fmt.Errorf("it doesn't build: %w\n%s", err, text)
			}
		}
		by, err := c.playCell(ctx, root, binary, name)
		if err != nil {
			return err
		}
		if by == "" {
			note("faults "+name, false)
		} else {
			note("faults "+name+" "+by, true)
		}
	}
	return nil
}

// playCell has a program with a bug play a cell, and says which invariants were broken.
func (c mutantsCommand) playCell(ctx context.Context, root, binary, name string) (by string, err error) {
	ctx, cancel := context.WithTimeout(ctx, perCheck)
	defer cancel()
	command := exec.CommandContext(ctx, binary, "faults", "--short", "--cells", name, "--json", "--data", c.Data) //nolint:gosec // what was just built
	command.Dir, command.WaitDelay = root, 10*time.Second
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) } // so that it takes its stores with it
	var out, words bytes.Buffer
	command.Stdout, command.Stderr = &out, &words
	failed := command.Run()
	var report faultsReport
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report.Cells) != 1 {
		return "", fmt.Errorf("the cell %s said nothing of use (%w):\n%s", name, failed, &words)
	}
	// A cell that was merely too small has caught nothing.
	if o := report.Cells[0]; o.sum() > 0 {
		return o.broken(), nil
	}
	return "", nil
}

func goCommand(ctx context.Context, folder string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, perCheck)
	defer cancel()
	command := exec.CommandContext(ctx, "go", arguments...) //nolint:gosec // the Go command
	command.Dir, command.WaitDelay = folder, 10*time.Second
	text, err := command.CombinedOutput()
	return string(text), err
}
