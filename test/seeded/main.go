// Command seeded plants bugs, one at a time, in a copy of the sources, and sees whether the test that should catch each
// turns red. A suite that stays green with a bug in it proves nothing about the code without one.
//
//	go run ./test/seeded [--json] [--list FILE] [--only TEXT]
//
// The list is a JSON array of {bug, file, old, new, package, test}: the text old, which the file has exactly once, is
// replaced by new, and the test of the package is run. A bug is caught if that test fails; it isn't if the test passes,
// doesn't exist, or isn't even built. The exit status is 1 unless every bug is caught.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

// defaultList is the proof of the rules' own suite.
const defaultList = "internal/eligibility/testdata/seeded-bugs.json"

// atATime is how many bugs are tried at the same time, perBug how long one may take.
const (
	atATime = 2
	perBug  = 3 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "seeded:", err)
		os.Exit(1)
	}
}

// bug is one line of the list.
type bug struct {
	Bug     string `json:"bug"`
	File    string `json:"file"`
	Old     string `json:"old"`
	New     string `json:"new"`
	Package string `json:"package"`
	Test    string `json:"test"`
}

// outcome is what came of a bug.
type outcome string

const (
	caught   outcome = "caught"
	survived outcome = "survived" // the test passes with the bug in it
	unbuilt  outcome = "unbuilt"  // the bug doesn't build, so no test has seen it
	untested outcome = "untested" // there is no such test
	broken   outcome = "broken"   // it can't be planted, or the test ends otherwise than by failing
)

// result is what is printed of a bug.
type result struct {
	Bug     string  `json:"bug"`
	Outcome outcome `json:"outcome"`
	Test    string  `json:"test"`
	Package string  `json:"package"`
	Seconds float64 `json:"seconds"`
	Detail  string  `json:"detail,omitempty"`
}

func run(ctx context.Context, arguments []string, out, log io.Writer) error {
	flags := flag.NewFlagSet("seeded", flag.ContinueOnError)
	flags.SetOutput(log)
	asJSON := flags.Bool("json", false, "print the results as JSON")
	list := flags.String("list", "", "the list of bugs; "+defaultList+" if left out")
	only := flags.String("only", "", "only bugs whose name contains this")
	if err := flags.Parse(arguments); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	bugs, err := readList(root, *list, *only)
	if err != nil {
		return err
	}
	began := time.Now()
	results, err := tryAll(ctx, root, bugs, log)
	if err != nil {
		return err
	}
	if *asJSON {
		err = json.NewEncoder(out).Encode(results)
	} else {
		err = table(out, results, time.Since(began))
	}
	if err != nil {
		return fmt.Errorf("printing the results: %w", err)
	}
	if n := len(slices.DeleteFunc(slices.Clone(results), func(r result) bool { return r.Outcome == caught })); n > 0 {
		return fmt.Errorf("%d of %d bugs weren't caught", n, len(results))
	}
	return nil
}

func table(out io.Writer, results []result, took time.Duration) error {
	lines := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	n := 0
	for _, r := range results {
		if r.Outcome == caught {
			n++
		}
		if _, err := fmt.Fprintf(lines, "%s\t%s\t%s\t%.0f s\n", r.Outcome, r.Bug, r.Test, r.Seconds); err != nil {
			return err
		}
	}
	if err := lines.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if r.Outcome != caught {
			if _, err := fmt.Fprintf(out, "\n%s: %s\n%s\n", r.Bug, r.Outcome, r.Detail); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(out, "seeded bugs: %d of %d caught, in %.0f s\n", n, len(results), took.Seconds())
	return err
}

func moduleRoot(ctx context.Context) (string, error) {
	file, err := goTool(ctx, ".", "env", "GOMOD")
	if err != nil {
		return "", err
	}
	path := strings.TrimSpace(file)
	if path == "" || path == os.DevNull {
		return "", errors.New("there is no go.mod here")
	}
	return filepath.Dir(path), nil
}

func goTool(ctx context.Context, folder string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = folder
	var problem bytes.Buffer
	command.Stderr = &problem
	text, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(arguments, " "), err, &problem)
	}
	return string(text), nil
}

func readList(root, path, only string) ([]bug, error) {
	if path == "" {
		path = filepath.Join(root, filepath.FromSlash(defaultList))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var bugs []bug
	if err := json.Unmarshal(text, &bugs); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	bugs = slices.DeleteFunc(bugs, func(b bug) bool { return !strings.Contains(b.Bug, only) })
	if len(bugs) == 0 {
		return nil, fmt.Errorf("%s: no bug", path)
	}
	return bugs, nil
}

// tryAll tries every bug, and before that the tests without any: a test that is red anyway has caught nothing.
func tryAll(ctx context.Context, root string, bugs []bug, log io.Writer) ([]result, error) {
	folders, err := foldersOf(ctx, root, bugs)
	if err != nil {
		return nil, err
	}
	copies, err := os.MkdirTemp("", "seeded-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(copies) }()
	clean := filepath.Join(copies, "clean")
	if err := copyFolders(root, clean, folders); err != nil {
		return nil, err
	}
	if err := green(ctx, clean, bugs); err != nil {
		return nil, err
	}
	results := make([]result, len(bugs))
	work := make(chan int)
	var workers sync.WaitGroup
	var saying sync.Mutex // over log
	for range atATime {
		workers.Go(func() {
			for i := range work {
				began := time.Now()
				b := bugs[i]
				r := result{Bug: b.Bug, Test: b.Test, Package: b.Package}
				r.Outcome, r.Detail = try(ctx, root, filepath.Join(copies, strconv.Itoa(i)), folders, b)
				r.Seconds = time.Since(began).Seconds()
				results[i] = r
				saying.Lock()
				_, _ = fmt.Fprintf(log, "%s: %s\n", r.Outcome, r.Bug)
				saying.Unlock()
			}
		})
	}
	for i := range bugs {
		work <- i
	}
	close(work)
	workers.Wait()
	return results, ctx.Err()
}

// foldersOf are those of this module that the packages' tests are built from.
func foldersOf(ctx context.Context, root string, bugs []bug) ([]string, error) {
	arguments := []string{"list", "-deps", "-test", "-f", `{{with .Module}}{{if .Main}}{{$.Dir}}{{end}}{{end}}`}
	for _, b := range bugs {
		if !slices.Contains(arguments, b.Package) {
			arguments = append(arguments, b.Package)
		}
	}
	text, err := goTool(ctx, root, arguments...)
	if err != nil {
		return nil, err
	}
	var folders []string
	for folder := range strings.SplitSeq(text, "\n") {
		if folder == "" {
			continue
		}
		relative, err := filepath.Rel(root, folder)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(folders, relative) {
			folders = append(folders, relative)
		}
	}
	return folders, nil
}

// copyFolders copies go.mod, go.sum and the folders, each without what is below it except testdata.
func copyFolders(root, to string, folders []string) error {
	if err := os.MkdirAll(to, 0o750); err != nil {
		return err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := copyFile(filepath.Join(root, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	for _, folder := range folders {
		entries, err := os.ReadDir(filepath.Join(root, folder))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(to, folder), 0o750); err != nil {
			return err
		}
		for _, entry := range entries {
			from, into := filepath.Join(root, folder, entry.Name()), filepath.Join(to, folder, entry.Name())
			switch {
			case entry.Type().IsRegular():
				err = copyFile(from, into)
			case entry.IsDir() && entry.Name() == "testdata":
				err = os.CopyFS(into, os.DirFS(from))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o600)
}

// green runs the named tests without a bug.
func green(ctx context.Context, folder string, bugs []bug) error {
	tests := map[string][]string{}
	for _, b := range bugs {
		name, _, _ := strings.Cut(b.Test, "/")
		if !slices.Contains(tests[b.Package], name) {
			tests[b.Package] = append(tests[b.Package], name)
		}
	}
	for pkg, names := range tests {
		for i := range names {
			names[i] = regexp.QuoteMeta(names[i])
		}
		text, err := goTest(ctx, folder, pkg, "^("+strings.Join(names, "|")+")$", "")
		if err != nil {
			return fmt.Errorf("the tests of %s fail without any bug: %w\n%s", pkg, err, text)
		}
	}
	return nil
}

// try plants one bug in a copy of its own and runs its test.
func try(ctx context.Context, root, folder string, folders []string, b bug) (outcome, string) {
	defer func() { _ = os.RemoveAll(folder) }()
	if err := copyFolders(root, folder, folders); err != nil {
		return broken, err.Error()
	}
	path := filepath.Join(folder, filepath.FromSlash(b.File))
	source, err := os.ReadFile(path)
	if err != nil {
		return broken, err.Error()
	}
	if n := strings.Count(string(source), b.Old); n != 1 {
		return broken, fmt.Sprintf("the text to replace is %d times in %s", n, b.File)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(source), b.Old, b.New, 1)), 0o600); err != nil {
		return broken, err.Error()
	}
	text, err := goTest(ctx, folder, b.Package, pattern(b.Test), b.Bug)
	return judge(text, err)
}

// pattern is what -run takes for one test or subtest, and no other.
func pattern(test string) string {
	parts := strings.Split(test, "/")
	for i := range parts {
		parts[i] = "^" + regexp.QuoteMeta(parts[i]) + "$"
	}
	return strings.Join(parts, "/")
}

func goTest(ctx context.Context, folder, pkg, tests, planted string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, perBug)
	defer cancel()
	command := exec.CommandContext(ctx, "go", "test", "-count=1", "-vet=off", "-run", tests, pkg)
	command.Dir = folder
	command.Env = append(os.Environ(), "JARI_SEEDED_BUG="+planted, "GOWORK=off")
	command.WaitDelay = 10 * time.Second
	text, err := command.CombinedOutput()
	return string(text), err
}

// judge reads what `go test` said.
func judge(text string, err error) (outcome, string) {
	const most = 4000
	detail := text
	if len(detail) > most {
		detail = detail[:most] + "…"
	}
	switch {
	case err == nil && strings.Contains(text, "[no tests to run]"):
		return untested, detail
	case err == nil:
		return survived, detail
	case strings.Contains(text, "[build failed]") || strings.Contains(text, "[setup failed]"):
		return unbuilt, detail
	case strings.Contains(text, "--- FAIL"):
		return caught, ""
	default:
		return broken, detail
	}
}
