package admin_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/internal/waitingroom"
	"jari/test/jaritest"
	"jari/test/oidctest"
)

// announcedRoom draws by a value that administrators type in.
const announcedRoom = `
rooms:
  - room: evening
    waves: [F1]
    registration_opens_at: "2021-07-19T19:00:00+09:00"
    registration_closes_at: "2021-07-19T19:59:00+09:00"
    draw: {source: announced, value_at: "2021-07-19T19:59:30+09:00"}
    admit_per_second: 1000
`

// A value that nobody can check takes two people, not two keys or two sessions; and where it can't be known whose a key is,
// it isn't a second person's.
func TestADrawsValueTakesTwoPeople(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t)
	s := jaritest.Start(t, append(signInOptions(p), jaritest.WithRooms(announcedRoom))...)
	path := "/v1/rooms/" + s.Campaign + ".evening"
	c := s.Stranger(jaritest.BornForF1)
	c.Verify(t)
	jaritest.Eventually(t, time.Minute, "people can register", func() bool {
		return c.Do(t, http.MethodPut, path+"/registration", nil).Status == http.StatusOK
	})
	s.Clock.Set(jaritest.Instant("2021-07-19T19:59:00+09:00"))
	draw := func() (d waitingroom.PublishedDraw) {
		t.Helper()
		got := s.Do(t, http.MethodGet, path+"/draw", nil)
		if got.Status == http.StatusOK {
			if err := json.Unmarshal(got.Body, &d); err != nil {
				t.Fatal(err)
			}
		}
		return d
	}
	jaritest.Eventually(t, time.Minute, "the draw is published", func() bool { return draw().Root != "" })

	head := signIn(t, s, p, member("head", "heads"))
	night := member("kang", "night")
	one, again := signIn(t, s, p, night), signIn(t, s, p, night)
	other := signIn(t, s, p, member("moon", "night"))
	makeKey := func(role string, more map[string]any) string {
		t.Helper()
		body := map[string]any{"name": "a program", "role": role}
		for name, value := range more {
			body[name] = value
		}
		var made httpapi.MadeKey
		do(t, s, head.Token, http.MethodPost, "/admin/v1/keys", body).Want(t, http.StatusCreated).Into(t, &made)
		return made.Key
	}
	theirs, looking := makeKey("operator", map[string]any{"staff_id": *one.Me.StaffId}), makeKey("viewer", nil)
	commands := s.AdminKey(t, "operator")
	value := func(by, digits string) jaritest.Response {
		return do(t, s, by, http.MethodPut, "/admin/v1/rooms/"+s.Campaign+".evening/draw", map[string]any{"value": digits, "name": "Lotto 6/45, draw 973"})
	}
	if p := value(one.Token, "3130").Want(t, http.StatusNotFound, fault.CodeNoDraw).Problem(t); p.RetryAt == nil {
		t.Errorf("before the announced moment nobody is told from when on: %+v", p)
	}
	// As if the moment had been a minute ago. Nothing but a test can do that: a trigger refuses.
	if _, err := s.Pool.Exec(t.Context(), `
		SET session_replication_role = replica;
		UPDATE rooms SET value_at = now() - interval '1 minute', published_at = now() - interval '2 minutes' WHERE root IS NOT NULL;
		SET session_replication_role = DEFAULT`); err != nil {
		t.Fatal(err)
	}
	s.Refresh(t)
	value(looking, "3130").Want(t, http.StatusForbidden, fault.CodeRoleRequired)
	for i, step := range []struct {
		name, by, digits string
		code             fault.Code
	}{
		{"the first person", one.Token, "3130", ""},
		{"the same session", one.Token, "3130", fault.CodeSecondPerson},
		{"another session", again.Token, "3130", fault.CodeSecondPerson},
		{"a key that they were given", theirs, "3130", fault.CodeSecondPerson},
		{"a key of nobody", commands, "3130", fault.CodePersonUnknown},
		{"a typing error, corrected by their key", theirs, "3131", ""},
		{"another person, who typed in the old one", other.Token, "3130", fault.CodeValueDiffers},
		{"proposed by the key, confirmed by its owner", one.Token, "3131", fault.CodeSecondPerson},
	} {
		got := value(step.by, step.digits)
		if want := map[bool]int{true: http.StatusOK, false: http.StatusConflict}[step.code == ""]; got.Status != want || got.Code != step.code {
			t.Errorf("step %d, %s: %d %s", i, step.name, got.Status, got.Code)
		}
		if d := draw(); d.Seed != "" || d.Value != "" {
			t.Fatalf("step %d, %s, made the draw: %+v", i, step.name, d)
		}
	}
	var made httpapi.DrawAnnounced
	value(other.Token, "3131").Want(t, http.StatusOK).Into(t, &made)
	if !made.Made {
		t.Error("the second person didn't make the draw")
	}
	value(one.Token, "3132").Want(t, http.StatusNotFound, fault.CodeNoDraw)
	jaritest.Eventually(t, time.Minute, "the draw is made", func() bool { return draw().Seed != "" })
	if d := draw(); d.Value != "3131" || d.Source.Kind != waitingroom.SourceAnnounced || d.Source.InsteadOf != "" || d.Source.Name == "" {
		t.Errorf("the draw is published as %+v", d)
	}
	// Who proposed and who confirmed are on record as two people.
	var proposed, confirmed string
	if err := s.Pool.QueryRow(t.Context(), `
		SELECT max(actor) FILTER (WHERE act = 'room.draw.propose'), max(actor) FILTER (WHERE act = 'room.draw.confirm') FROM audit_entries
		WHERE act LIKE 'room.draw.%'`).Scan(&proposed, &confirmed); err != nil || proposed == confirmed {
		t.Errorf("the audit says %q and %q (%v)", proposed, confirmed, err)
	}
}
