package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryBugCanBePlanted(t *testing.T) {
	t.Parallel()
	root, err := moduleFolder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(mutants) < 12 {
		t.Errorf("there are %d bugs", len(mutants))
	}
	known := map[string]bool{}
	for _, c := range cells() {
		known[c.name] = true
	}
	for _, m := range mutants {
		if _, err := m.plant(root, filepath.Join(t.TempDir(), "planted")); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if len(m.cells)+len(m.tests) == 0 {
			t.Errorf("nothing checks for %s", m.name)
		}
		for _, c := range m.cells {
			if !known[c] {
				t.Errorf("%s is to be caught by the cell %s, which doesn't exist", m.name, c)
			}
		}
	}
}

func TestABugWhoseTextIsGoneIsNotPlanted(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "x.go"), []byte("a a b"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, old := range []string{"c", "a"} {
		m := mutant{name: "x", edits: []edit{{"x.go", old, "d"}}}
		if _, err := m.plant(root, filepath.Join(root, "planted")); err == nil {
			t.Errorf("%q was replaced", old)
		}
	}
	m := mutant{name: "x", edits: []edit{{"x.go", "b", "d"}, {"x.go", "d", "e"}}}
	overlay, err := m.plant(root, filepath.Join(root, "planted"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "planted", "x.go"))
	if err != nil || string(raw) != "a a e" {
		t.Errorf("%q, %v", raw, err)
	}
	if raw, err = os.ReadFile(overlay); err != nil || !strings.Contains(string(raw), `"Replace"`) {
		t.Errorf("%q, %v", raw, err)
	}
}

func TestEveryTestThatIsToCatchABugExists(t *testing.T) {
	t.Parallel()
	root, err := moduleFolder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		for _, test := range m.tests {
			files, err := filepath.Glob(filepath.Join(root, test.pkg, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, file := range files {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				found = found || strings.Contains(string(raw), "func "+test.run+"(")
			}
			if !found {
				t.Errorf("%s is to be caught by %s, which %s doesn't have", m.name, test.run, test.pkg)
			}
		}
	}
}

func TestTheTableOfBugsSaysWhatCaughtEach(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := mutantsReport{Command: "surge mutants", Revision: "abc", Mutants: []tried{
		{Name: "one", CaughtBy: []string{"TestX"}, Seconds: 2}, {Name: "two", CaughtBy: []string{}, Seconds: 3},
	}}
	if err := r.markdown(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"5 s: 1 of 2 were caught", "revision abc", "| one | TestX |\n", "| two | NOTHING |\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
}
