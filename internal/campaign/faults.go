package campaign

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with a document.
type Fault struct {
	// Line and Column are where it stands in the file, from 1; columns count characters. Zero for a document that isn't
	// a file.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Path is the field: "waves[1].opens_at". Empty for the file as a whole.
	Path    string `json:"path,omitempty"`
	Problem string `json:"problem"`
}

// String says where and what: "line 12, column 15: waves[1].opens_at: …".
func (f Fault) String() string {
	text := f.Problem
	if f.Path != "" {
		text = f.Path + ": " + text
	}
	if f.Line > 0 {
		text = fmt.Sprintf("line %d, column %d: %s", f.Line, f.Column, text)
	}
	return text
}

// DocumentError is everything that is wrong with a document.
type DocumentError struct{ Faults []Fault }

// mostFaults is how many an error prints; Faults has all of them.
const mostFaults = 100

// Error has a line for each fault.
func (e *DocumentError) Error() string {
	var lines []string
	for i, f := range e.Faults {
		if i == mostFaults {
			lines = append(lines, fmt.Sprintf("… and %d more", len(e.Faults)-i))
			break
		}
		lines = append(lines, f.String())
	}
	return strings.Join(lines, "\n")
}

// oneAPath keeps the first fault of each field: what follows from a fault needn't be read.
func oneAPath(faults []Fault) []Fault {
	seen := map[string]bool{}
	return slices.DeleteFunc(faults, func(f Fault) bool {
		again := seen[f.Path]
		seen[f.Path] = true
		return again && f.Path != ""
	})
}

// byLine sorts faults as the file is read.
func byLine(faults []Fault) {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// part is the piece of a document that is judged as a whole: a wave, a region, a case, or another field of the
// document.
func part(path string) string {
	head, rest, _ := strings.Cut(path, ".")
	if strings.Contains(head, "[") {
		return head
	}
	if rest == "" {
		return path
	}
	return head
}
