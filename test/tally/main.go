// Command tally counts the outcomes in a file of `go test -json` events and prints one line: "tests: 12 passed, 0
// failed". A package that fails without a failed test (it doesn't build, it panics outside tests) counts as one failure.
// It exits with 1 when anything failed or nothing ran.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: tally FILE")
		os.Exit(2)
	}
	ok, err := run(os.Args[1], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(path string, out io.Writer) (ok bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	counted, err := count(file)
	if err != nil {
		return false, err
	}
	line := fmt.Sprintf("tests: %d passed, %d failed", counted.passed, counted.failed)
	if counted.skipped > 0 {
		line += fmt.Sprintf(", %d skipped", counted.skipped)
	}
	if _, err := fmt.Fprintln(out, line); err != nil {
		return false, err
	}
	return counted.failed == 0 && counted.passed > 0, nil
}

// outcomes are numbers of tests, subtests included.
type outcomes struct{ passed, failed, skipped int }

// event is a line of `go test -json`.
type event struct {
	Action  string
	Package string
	Test    string
}

func count(events io.Reader) (outcomes, error) {
	var all outcomes
	failedIn := map[string]bool{}
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if err := json.Unmarshal(line, &e); err != nil {
				return all, fmt.Errorf("not an event of go test: %w", err)
			}
			switch {
			case e.Action == "pass" && e.Test != "":
				all.passed++
			case e.Action == "skip" && e.Test != "":
				all.skipped++
			case e.Action == "fail" && e.Test != "":
				all.failed++
				failedIn[e.Package] = true
			case e.Action == "fail" && !failedIn[e.Package]:
				all.failed++
			}
		}
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}
