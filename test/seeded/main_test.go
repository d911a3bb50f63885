package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOnlyABugThatATestTurnsRedForIsCaught(t *testing.T) {
	t.Parallel()
	var out, log bytes.Buffer
	err := run(t.Context(), []string{"--json", "--list", filepath.Join("testdata", "five.json")}, &out, &log)
	if err == nil || err.Error() != "4 of 5 bugs weren't caught" {
		t.Fatalf("%v\n%s%s", err, &out, &log)
	}
	var results []result
	if err := json.Unmarshal(out.Bytes(), &results); err != nil {
		t.Fatal(err)
	}
	for i, want := range []outcome{caught, survived, unbuilt, broken, untested} {
		if r := results[i]; r.Outcome != want {
			t.Errorf("%s: %s, not %s\n%s", r.Bug, r.Outcome, want, r.Detail)
		}
	}
}

func TestABugThatIsCaughtIsAllThatIsAskedFor(t *testing.T) {
	t.Parallel()
	var out, log bytes.Buffer
	list := filepath.Join("testdata", "five.json")
	if err := run(t.Context(), []string{"--list", list, "--only", "birthday"}, &out, &log); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if text := out.String(); !strings.HasPrefix(text, "caught  birthday a day late  TestFullAgeStepsUpOnceAYear") ||
		!strings.Contains(text, "seeded bugs: 1 of 1 caught") {
		t.Errorf("it prints\n%s", text)
	}
}

func TestWhatIsWrongWithAListIsSaid(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, c := range map[string]struct{ text, says string }{
		"not JSON":          {"[", "unexpected end"},
		"no bug":            {"[]", "no bug"},
		"no such package":   {`[{"bug": "x", "package": "./internal/nothing", "test": "T"}]`, "internal/nothing"},
		"red without a bug": {`[{"bug": "x", "package": "./internal/civil", "test": "("}]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := filepath.Join(folder, strings.ReplaceAll(name, " ", "-")+".json")
			if err := os.WriteFile(list, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, log bytes.Buffer
			if err := run(t.Context(), []string{"--list", list}, &out, &log); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
	if err := run(t.Context(), []string{"--list", filepath.Join(folder, "none")}, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
		t.Error("a list that isn't there is taken")
	}
	if err := run(t.Context(), []string{"--nonsense"}, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
		t.Error("a flag that isn't there is taken")
	}
}

func TestTheVerdictIsReadFromWhatGoTestSays(t *testing.T) {
	t.Parallel()
	failed := errors.New("exit status 1")
	for _, c := range []struct {
		text string
		err  error
		want outcome
	}{
		{"ok  \tjari/internal/civil\t0.1s\n", nil, survived},
		{"testing: warning: no tests to run\nok  \tjari/internal/civil\t0.1s [no tests to run]\n", nil, untested},
		{"--- FAIL: TestX (0.00s)\nFAIL\n", failed, caught},
		{"# jari/internal/civil\nx.go:1: no\nFAIL\tjari/internal/civil [build failed]\n", failed, unbuilt},
		{"panic: test timed out after 3m0s\n", failed, broken},
		{"", errors.New("signal: killed"), broken},
	} {
		if got, _ := judge(c.text, c.err); got != c.want {
			t.Errorf("%q is %s, not %s", c.text, got, c.want)
		}
	}
}

func TestPatternNamesOneTestAlone(t *testing.T) {
	t.Parallel()
	if got := pattern("TestA/b.c"); got != `^TestA$/^b\.c$` {
		t.Error(got)
	}
}
