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
	// As if its moment had been two hours ago. Nothing but a test can do that: a trigger refuses.
	if _, err := s.Pool.Exec(t.Context(), `
		SET session_replication_role = replica;
		UPDATE rooms SET value_at = value_at - interval '2 hours', published_at = published_at - interval '3 hours' WHERE root IS NOT NULL;
		SET session_replication_role = DEFAULT`); err != nil {
		t.Fatal(err)
	}
	value(one, map[string]any{"value": "3130"}).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	value(one, lottery).Want(t, http.StatusOK)
	value(one, lottery).Want(t, http.StatusConflict, fault.CodeSecondPerson)
	value(two, map[string]any{"value": "3131", "name": "Lotto 6/45, draw 972"}).Want(t, http.StatusConflict, fault.CodeValueDiffers)
	var made httpapi.DrawAnnounced
	value(two, lottery).Want(t, http.StatusOK).Into(t, &made)
	if !made.Made {
		t.Error("the second person didn't make the draw")
	}
	jaritest.Eventually(t, soon, "the other instance knows", func() bool { return status(t, other).Seed != nil })
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
