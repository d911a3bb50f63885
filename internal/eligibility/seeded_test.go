package eligibility

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testdata/seeded-bugs.json lists bugs that this suite has to catch: a text in a file, what to put in its place, and a
// test that then fails. A command outside applies each to a copy of the sources; here it is only seen to that the list
// still fits the code, for a bug that can't be planted would count as caught by nobody.
func TestSeededBugsFitTheCode(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "seeded-bugs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bugs []struct{ Bug, File, Old, New, Package, Test string }
	if err = json.Unmarshal(text, &bugs); err != nil {
		t.Fatal(err)
	}
	if len(bugs) < 30 {
		t.Errorf("%d bugs", len(bugs))
	}
	if os.Getenv("JARI_SEEDED_BUG") != "" {
		return // a bug is planted: its own text is gone
	}
	for _, bug := range bugs {
		source, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(bug.File)))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), bug.Old); n != 1 || bug.Old == bug.New {
			t.Errorf("%s: the text to replace occurs %d times in %s", bug.Bug, n, bug.File)
		}
	}
}
