package journey_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"jari/internal/app"
	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/internal/waitingroom"
	"jari/test/jaritest"
)

// drandRoom draws by a round of drand.
const drandRoom = `
rooms:
  - room: evening
    waves: [F1]
    registration_opens_at: "2021-07-19T19:00:00+09:00"
    registration_closes_at: "2021-07-19T19:59:00+09:00"
    draw: {source: drand, value_at: "2021-07-19T19:59:30+09:00"}
    admit_per_second: 1000
`

// Production takes no draw that nobody could check: it can't be published, and where it was published by other means, no
// instance starts.
func TestProductionDrawsByNobodysOwnChance(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.InProduction(), jaritest.WithRooms(drandRoom))
	var raw []byte
	if err := s.Pool.QueryRow(t.Context(), `SELECT document FROM campaign_versions`).Scan(&raw); err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	room := document["rooms"].([]any)[0].(map[string]any)
	room["draw"] = map[string]any{"source": "local"}
	delete(document, "sites")
	delete(document, "slots")
	key := "Bearer " + s.AdminKey(t, "publisher")
	got := s.Send(t, jaritest.JSON(http.MethodPost, "/admin/v1/campaigns/"+s.Campaign+"/versions", map[string]any{"document": document}).
		With("Authorization", key)).Want(t, http.StatusConflict, fault.CodeNotPublishable)
	if !strings.Contains(string(got.Body), "rooms[0].draw.source") {
		t.Errorf("the refusal doesn't say where: %s", got.Body)
	}
	raw, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{"campaign.yaml": {Data: raw}}
	if _, err := app.PublishAt(t.Context(), "production", s.Pool, files, "campaign.yaml", nil); err == nil ||
		!strings.Contains(err.Error(), "rooms[0].draw.source") {
		t.Errorf("the command publishes it: %v", err)
	}
	if err := s.StartError(t); err != nil {
		t.Fatalf("with drand an instance doesn't start: %v", err)
	}
	if _, err := app.Publish(t.Context(), s.Pool, files, "campaign.yaml", jaritest.Instant("2021-07-02T00:00:00+09:00")); err != nil {
		t.Fatal(err)
	}
	if err := s.StartError(t); err == nil || !strings.Contains(err.Error(), theRoom) {
		t.Errorf("production starts with a draw of its own: %v", err)
	}
}

// A draw whose source never answers is made, over the API, by two administrators who say whose value they took; and the room
// opens.
func TestADrawWhoseSourceIsGoneIsMade(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(drandRoom), jaritest.WithEnvironment("JARI_DRAND_URLS", "http://127.0.0.1:9"))
	other := s.Another(t)
	until(t, s, httpapi.RoomStateRegistration)
	people := verified(t, s, 3, jaritest.BornForF1)
	for _, c := range people {
		register(t, c)
	}
	s.Clock.Set(jaritest.Instant("2021-07-19T19:59:00+09:00"))
	jaritest.Eventually(t, soon, "the draw is published", func() bool { return status(t, s).Root != nil })
	one, two := "Bearer "+s.AdminKey(t, "operator"), "Bearer "+s.AdminKey(t, "operator")
	value := func(key string, body map[string]any) jaritest.Response {
		return s.Send(t, jaritest.JSON(http.MethodPut, "/admin/v1/rooms/"+theRoom+"/draw", body).With("Authorization", key))
	}
	lottery := map[string]any{"value": "3130", "name": "Lotto 6/45, draw 972"}
	if p := value(one, lottery).Want(t, http.StatusNotFound, fault.CodeNoDraw).Problem(t); p.RetryAt == nil {
		t.Errorf("before the source's time nobody is told from when on: %+v", p)
	}
	// stands is how far the draw is, as administrators see it on both instances.
	stands := func(claim string, holds func(httpapi.DrawStanding) bool) {
		t.Helper()
		for _, on := range []*jaritest.Server{s, other} {
			on.Refresh(t)
			var r httpapi.RoomStanding
			on.Send(t, jaritest.JSON(http.MethodGet, "/admin/v1/rooms/"+theRoom, nil).With("Authorization", one)).Want(t, http.StatusOK).Into(t, &r)
			if r.Draw == nil || r.Draw.Source == nil || *r.Draw.Source != httpapi.DrawStandingSourceDrand || !holds(*r.Draw) {
				t.Errorf("%s: the draw is shown as %+v", claim, r.Draw)
			}
		}
	}
	stands("before its moment", func(d httpapi.DrawStanding) bool { return !d.Made && !d.Overdue && !d.Proposed && d.LateSeconds == 0 })
	// As if its moment had been two hours ago. Nothing but a test can do that: a trigger refuses.
	if _, err := s.Pool.Exec(t.Context(), `
		SET session_replication_role = replica;
		UPDATE rooms SET value_at = value_at - interval '2 hours', published_at = published_at - interval '3 hours' WHERE root IS NOT NULL;
		SET session_replication_role = DEFAULT`); err != nil {
		t.Fatal(err)
	}
	stands("overdue", func(d httpapi.DrawStanding) bool {
		return !d.Made && d.Overdue && !d.Proposed && d.LateSeconds > 3600 && d.LateSeconds < 7200
	})
	jaritest.Eventually(t, soon, "the alert rings and live numbers show it", func() bool {
		var live httpapi.Live
		s.Send(t, jaritest.JSON(http.MethodGet, "/admin/v1/live", nil).With("Authorization", one)).Want(t, http.StatusOK).Into(t, &live)
		room := live.Campaigns[0].Rooms[0]
		return room.DrawOverdue != nil && *room.DrawOverdue && *room.DrawLateSeconds > 3600 &&
			strings.Contains(s.Metrics(t), `jari_room_draw_overdue{room="`+theRoom+`"} 1`)
	})
	value(one, map[string]any{"value": "3130"}).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	value(one, lottery).Want(t, http.StatusOK)
	stands("proposed", func(d httpapi.DrawStanding) bool { return !d.Made && d.Overdue && d.Proposed })
	value(one, lottery).Want(t, http.StatusConflict, fault.CodeSecondPerson)
	value(two, map[string]any{"value": "3131", "name": "Lotto 6/45, draw 972"}).Want(t, http.StatusConflict, fault.CodeValueDiffers)
	var made httpapi.DrawAnnounced
	value(two, lottery).Want(t, http.StatusOK).Into(t, &made)
	if !made.Made {
		t.Error("the second person didn't make the draw")
	}
	jaritest.Eventually(t, soon, "the other instance knows", func() bool { return status(t, other).Seed != nil })
	stands("made", func(d httpapi.DrawStanding) bool { return d.Made && !d.Overdue && !d.Proposed && d.LateSeconds == 0 })
	var d waitingroom.PublishedDraw
	if err := json.Unmarshal(other.Do(t, http.MethodGet, inRoom("/draw"), nil).Want(t, http.StatusOK).Body, &d); err != nil {
		t.Fatal(err)
	}
	if d.Source.Kind != waitingroom.SourceAnnounced || d.Source.InsteadOf != waitingroom.SourceDrand || d.Source.Name != "Lotto 6/45, draw 972" || d.Source.Round == 0 {
		t.Errorf("the source is published as %+v", d.Source)
	}
	if n := countRows(t, s, `SELECT count(*) FROM audit_entries WHERE act IN ('room.draw.propose', 'room.draw.confirm')
		AND details->>'instead_of' = 'drand'`); n != 2 {
		t.Errorf("the audit has %d of two acts", n)
	}
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	until(t, other, httpapi.RoomStateOpen)
	getIn(t, people[0].At(other), "")
}

// Nobody can take the draw from people who have registered for it by publishing: they would wait for good. What else a
// version says of their room may change.
func TestARoomKeepsItsDrawOncePeopleRegister(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(drandRoom))
	key := "Bearer " + s.AdminKey(t, "publisher")
	publish := func(room map[string]any) jaritest.Response {
		t.Helper()
		var raw []byte
		if err := s.Pool.QueryRow(t.Context(), `SELECT document FROM campaign_versions ORDER BY version DESC LIMIT 1`).Scan(&raw); err != nil {
			t.Fatal(err)
		}
		var document map[string]any
		if err := json.Unmarshal(raw, &document); err != nil {
			t.Fatal(err)
		}
		delete(document, "sites")
		delete(document, "slots")
		delete(document, "rooms")
		if room != nil {
			document["rooms"] = []any{room}
		}
		return s.Send(t, jaritest.JSON(http.MethodPost, "/admin/v1/campaigns/"+s.Campaign+"/versions", map[string]any{"document": document}).
			With("Authorization", key))
	}
	room := func(changes map[string]any) map[string]any {
		all := map[string]any{
			"room": "evening", "waves": []string{"F1"}, "registration_opens_at": "2021-07-19T19:00:00+09:00",
			"registration_closes_at": "2021-07-19T19:59:00+09:00", "admit_per_second": 1000,
			"draw": map[string]any{"source": "drand", "value_at": "2021-07-19T19:59:30+09:00"},
		}
		for name, value := range changes {
			if all[name] = value; value == nil {
				delete(all, name)
			}
		}
		return all
	}
	undrawn := room(map[string]any{"draw": nil, "registration_opens_at": nil, "registration_closes_at": nil})
	until(t, s, httpapi.RoomStateRegistration)
	for where, changed := range map[string]map[string]any{"rooms[0].draw": undrawn, `"rooms"`: nil} {
		got := publish(changed).Want(t, http.StatusConflict, fault.CodeNotPublishable)
		if !strings.Contains(string(got.Body), where) || !strings.Contains(string(got.Body), "evening") {
			t.Errorf("%s: the refusal doesn't say what is wrong: %s", where, got.Body)
		}
	}
	publish(room(map[string]any{
		"admit_per_second": 50, "draw": map[string]any{"source": "announced", "value_at": "2021-07-19T19:59:40+09:00"},
	})).Want(t, http.StatusCreated)
	// After the room's time it may go.
	s.Clock.Set(jaritest.Instant("2021-07-21T20:00:00+09:00"))
	publish(nil).Want(t, http.StatusCreated)
}
