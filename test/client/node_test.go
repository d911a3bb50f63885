package client_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"jari/internal/httpapi"
	"jari/test/jaritest"
)

func node(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	program, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("there is no Node: `scripts/install node` installs it")
	}
	return exec.CommandContext(t.Context(), program, arguments...)
}

// The client's own tests are scripts like itself: the draw against the vectors that the server is held against, and each
// rule of polling against a server that lies, fails and portals.
func TestTheClientKeepsItsRules(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(folder + "/*.test.js")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no tests: %v", err)
	}
	out, err := node(t, append([]string{"--test", "--test-reporter=tap"}, files...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if text := string(out); !strings.Contains(text, "# fail 0") || strings.Contains(text, "# pass 0\n") || !strings.Contains(text, "# skipped 0") {
		t.Errorf("not all tests ran:\n%s", out)
	}
}

// A client without cookies and without a page, such as an app's, walks the same way with a session's token.
func TestAClientWithoutABrowserComesIn(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(drawnRoom))
	inState(t, s, httpapi.RoomStateRegistration)
	c := s.Stranger(jaritest.BornForF1)
	c.Verify(t)
	others(t, s, 3)
	walk := node(t, "testdata/walk.mjs", s.URL, theRoom)
	walk.Env = append(os.Environ(), "SESSION="+c.Session)
	walk.Stderr = os.Stderr
	out, err := walk.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := walk.Start(); err != nil {
		t.Fatal(err)
	}
	var last struct {
		shown
		Admission string `json:"admission"`
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			t.Fatal(err)
		}
		switch last.State {
		case "registered":
			s.Clock.Set(jaritest.Instant("2021-07-19T19:59:00+09:00"))
		case "waiting":
			var me httpapi.Me
			c.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK).Into(t, &me)
			if said := me.Campaigns[0].Room.Position; said == nil || last.Position == nil || *said != *last.Position {
				t.Errorf("computed %v, and the server says %v", last.Position, said)
			}
			s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
		}
	}
	if err := walk.Wait(); err != nil {
		t.Fatal(err)
	}
	if last.State != "admitted" {
		t.Fatalf("the client ended with %+v", last)
	}
	c.Admission = last.Admission
	c.MustBook(t, s.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay))
}
