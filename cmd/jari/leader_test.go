package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// asCommand makes the binary of the tests the command itself, for servers that are killed.
const asCommand = "JARI_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is a `jari serve` of its own, which can be killed.
type process struct {
	*jaritest.Server // as asked at its address
	command          *exec.Cmd
	once             sync.Once
}

// kill ends it as a machine that loses its power does, and waits until it is gone.
func (p *process) kill() {
	p.once.Do(func() {
		_ = p.command.Process.Kill()
		_ = p.command.Wait()
	})
}

// serveProcess starts one and waits until it listens.
func serveProcess(t *testing.T, s *jaritest.Server, environ []string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(context.WithoutCancel(t.Context()), self, "serve")
	command.Env = append(append(os.Environ(), environ...), asCommand+"=yes")
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{command: command}
	t.Cleanup(p.kill)
	select {
	case a, listens := <-served(log):
		if !listens {
			t.Fatal("a server ended instead of serving")
		}
		p.Server = s.Behind("http://" + a)
	case <-time.After(2 * time.Minute):
		t.Fatal("a server doesn't start")
	}
	return p
}

const eveningRoom = jaritest.Small + ".evening"

// slowEvening calls so few that people wait when the leader dies.
const slowEvening = `
rooms:
  - room: evening
    waves: [F1]
    admit_per_second: 1
`

// lookout is what somebody sees of the room on one server.
type lookout struct {
	*process
	highest int64
}

// look asks how far people are called, which is never less than what was seen there before.
func (l *lookout) look(t *testing.T) (r httpapi.RoomStatus) {
	t.Helper()
	l.Do(t, http.MethodGet, "/v1/rooms/"+eveningRoom+"/status", nil).Want(t, http.StatusOK).Into(t, &r)
	if r.Serving < l.highest {
		t.Errorf("the serving number went back from %d to %d", l.highest, r.Serving)
	}
	l.highest = r.Serving
	return r
}

// Somebody takes a place on one server, which leads the line and is killed; they are let in on the other one, in their turn.
// Nobody has the place of another, nobody's place moves, and the line goes on from where it was.
func TestALeaderIsKilledBetweenJoiningAndComingIn(t *testing.T) {
	t.Parallel()
	const shown = "2021-07-19T20:00:05+09:00"
	s := jaritest.Start(t, jaritest.WithRunningClock(shown), jaritest.WithRooms(slowEvening))
	environ := append(s.Environ(), "JARI_CLOCK_OFFSET="+time.Until(jaritest.Instant(shown)).String(), "JARI_LISTEN=127.0.0.1:0",
		"JARI_OPS_LISTEN=127.0.0.1:0", "JARI_LOG_LEVEL=INFO")
	people := make([]*jaritest.Citizen, 10)
	for i := range people {
		people[i] = s.Stranger(jaritest.BornForF1)
		people[i].Verify(t)
	}
	operator := s.AdminKey(t, "operator")
	s.Stop(t) // it leads no more, and isn't asked again

	row := func() (leader string, serving int64) {
		t.Helper()
		if err := s.Pool.QueryRow(t.Context(), `
			SELECT CASE WHEN leader_until > clock_timestamp() THEN leader::text ELSE '' END, serving FROM rooms WHERE room_id = $1`,
			eveningRoom).Scan(&leader, &serving); err != nil {
			t.Fatal(err)
		}
		return leader, serving
	}
	a := &lookout{process: serveProcess(t, s, environ)}
	var leader string
	jaritest.Eventually(t, time.Minute, "the first server leads", func() bool { leader, _ = row(); return leader != "" })
	b := &lookout{process: serveProcess(t, s, environ)}
	for _, on := range []*lookout{a, b} {
		jaritest.Eventually(t, time.Minute, "the room is open", func() bool { return on.look(t).State == httpapi.RoomStateOpen })
	}

	// take asks for a place until there is an answer, first on one server and then on the other: what a client does.
	take := func(c *jaritest.Citizen, first *lookout) (ticket httpapi.Ticket) {
		for _, on := range []*lookout{first, b} {
			got, err := on.Exchange(t.Context(), c.Request(http.MethodPut, "/v1/rooms/"+eveningRoom+"/ticket", nil))
			if err == nil && got.Status == http.StatusOK && json.Unmarshal(got.Body, &ticket) == nil && ticket.Number != nil {
				return ticket
			}
			if err == nil && got.Status != http.StatusServiceUnavailable {
				t.Errorf("a place is answered %d %s", got.Status, got.Body)
			}
		}
		return httpapi.Ticket{}
	}
	tickets := make([]httpapi.Ticket, len(people))
	for i := range 6 {
		tickets[i] = take(people[i], a)
	}
	if now, _ := row(); now != leader {
		t.Logf("this machine is so slow that %q leads now", now)
	}
	a.look(t)
	// Some ask at the very moment.
	var all sync.WaitGroup
	for i := 6; i < 9; i++ {
		all.Go(func() { tickets[i] = take(people[i], a) })
	}
	a.kill()
	_, called := row()
	if all.Wait(); called < a.highest {
		t.Errorf("who led said that %d are called and has written %d", a.highest, called)
	}
	tickets[9] = take(people[9], b)

	places := map[int64]int{}
	for i, c := range people {
		again := take(c, b)
		switch {
		case again.Number == nil:
			t.Fatalf("person %d has no place", i)
		case tickets[i].Number != nil && *tickets[i].Number != *again.Number:
			t.Errorf("the place of person %d was %d and is %d", i, *tickets[i].Number, *again.Number)
		}
		tickets[i] = again
		if other, twice := places[*again.Number]; twice {
			t.Errorf("persons %d and %d have the place %d", other, i, *again.Number)
		}
		places[*again.Number] = i
	}
	if called > *tickets[9].Number {
		t.Log("this machine is so slow that everybody was called before the leader died")
	}

	// Each comes in on the server that is left, and not before their turn.
	b.Send(t, jaritest.JSON(http.MethodPatch, "/admin/v1/rooms/"+eveningRoom, map[string]any{"rate_per_second": 1000}).
		With("Authorization", "Bearer "+operator)).Want(t, http.StatusOK)
	for i, c := range people {
		jaritest.Eventually(t, time.Minute, "whoever took a place on the server that died comes in", func() bool {
			c := c.At(b.Server)
			got := c.Do(t, http.MethodPut, "/v1/rooms/"+eveningRoom+"/admission", map[string]any{"ticket": tickets[i].Ticket})
			r := b.look(t)
			if got.Status != http.StatusOK {
				got.Want(t, http.StatusConflict, fault.CodeNotYourTurn)
				return false
			}
			if *tickets[i].Number >= r.Serving {
				t.Errorf("the place %d was let in when %d were called", *tickets[i].Number, r.Serving)
			}
			var admitted httpapi.Admission
			got.Into(t, &admitted)
			people[i].Admission = admitted.Admission
			return true
		})
	}
	if b.highest < called {
		t.Errorf("%d were called before the leader died, and %d afterwards", called, b.highest)
	}
	jaritest.Eventually(t, time.Minute, "the other server leads", func() bool { now, _ := row(); return now != "" && now != leader })
	people[0].At(b.Server).MustBook(t, b.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay))
	s.CheckBooks(t)
	var rows, late int
	if err := s.Pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM registrations), (SELECT count(*) FROM late_places)`).Scan(&rows, &late); err != nil ||
		rows != len(people) || late != 0 {
		t.Errorf("%d people have %d places, %d of them late (%v)", len(people), rows, late, err)
	}
}
