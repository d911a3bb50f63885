// Package privacy_test shows that keys rotate while everybody is served, and that who is to be forgotten is: also in copies
// of the database that were made before.
package privacy_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/config"
	"jari/internal/fault"
	"jari/internal/identity"
	"jari/internal/keys"
	"jari/internal/privacy"
	"jari/test/jaritest"
	"jari/test/storetest"
)

const (
	dayE3 = "2021-07-27"
	other = "other-2021"
)

// Whoever adds a sealed column is told here that keys must rotate over it too.
func TestEverySealedColumnIsKnown(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	rows, err := pool.Query(t.Context(), `
		SELECT c.table_name::text, p.column_name::text FROM information_schema.columns c
		LEFT JOIN (information_schema.table_constraints t JOIN information_schema.key_column_usage p USING (constraint_schema, constraint_name))
			ON t.table_schema = c.table_schema AND t.table_name = c.table_name AND t.constraint_type = 'PRIMARY KEY'
		WHERE c.table_schema = 'public' AND c.data_type = 'bytea' AND c.column_name LIKE '%sealed%' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	inSchema, err := pgx.CollectRows(rows, pgx.RowToStructByPos[privacy.Column])
	if err != nil {
		t.Fatal(err)
	}
	known := privacy.Columns()
	slices.SortFunc(known, func(a, b privacy.Column) int { return strings.Compare(a.Table, b.Table) })
	if diff := cmp.Diff(inSchema, known); diff != "" {
		t.Errorf("columns with sealed data in the schema, and in privacy.Columns:\n%s", diff)
	}
}

// row is somebody's row of persons, by column.
func row(t *testing.T, s *jaritest.Server, person uuid.UUID) map[string]any {
	t.Helper()
	rows, err := s.Pool.Query(t.Context(), `SELECT * FROM persons WHERE person_id = $1`, person)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToMap)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func personOf(t *testing.T, s *jaritest.Server, c *jaritest.Citizen) uuid.UUID {
	t.Helper()
	session, err := s.Tokens(t).OpenSession(c.Session)
	if err != nil {
		t.Fatal(err)
	}
	return session.Person
}

// in is the same citizen, asking about another campaign.
func in(t *testing.T, s *jaritest.Server, c *jaritest.Citizen, campaign string) *jaritest.Citizen {
	t.Helper()
	there := c.At(s.In(campaign))
	there.Admit(t)
	return there
}

// longAgo makes it so that the people were verified before any session that may still be alive.
func longAgo(t *testing.T, s *jaritest.Server, people ...*jaritest.Citizen) {
	t.Helper()
	for _, c := range people {
		if _, err := s.Pool.Exec(t.Context(), `
			UPDATE persons SET verified_at = now() - interval '20 days' WHERE person_id = $1`, personOf(t, s, c)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestForgettingACampaignShredsWhoNothingKeeps is the whole of it: forgetting, rotating, and an old copy of the database.
func TestForgettingACampaignShredsWhoNothingKeeps(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	s.PublishAlso(t, other)
	slots := s.Slots(t, jaritest.SiteOfMany, dayE3)
	gone, cancelled, both, lately := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3),
		s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	gone.MustBook(t, slots[0].ID)
	cancelled.Cancel(t, cancelled.MustBook(t, slots[0].ID).BookingId).Want(t, http.StatusOK)
	both.MustBook(t, slots[0].ID)
	lately.MustBook(t, slots[0].ID)
	there := in(t, s, both, other)
	there.MustBook(t, s.In(other).Slot(t, jaritest.SiteOfMany, dayE3))
	s.Settle(t)
	longAgo(t, s, gone, cancelled, both)
	copied := map[*jaritest.Citizen]map[string]any{}
	for _, c := range []*jaritest.Citizen{gone, cancelled, both, lately} {
		copied[c] = row(t, s, personOf(t, s, c))
	}
	_, bookedBefore := s.Row(t, slots[0].ID)

	// In 2021, by the clock that is handed in, the retention isn't over.
	then := s.Office(t, jaritest.WithEnvironment("JARI_CLOCK_OFFSET", "-46000h"))
	if _, err := then.ForgetCampaign(t.Context(), s.Campaign, "too early"); !errors.Is(err, privacy.ErrNotDue) {
		t.Errorf("a campaign is forgotten before its time: %v", err)
	}
	office := s.Office(t)
	before := s.State(t)
	plan, err := office.PlanForgetting(t.Context(), s.Campaign)
	if err != nil || plan.Persons != 2 || plan.Kept != 2 || plan.Bookings != 4 || plan.Messages < 4 || !plan.Due {
		t.Errorf("the plan is %+v, %v", plan, err)
	}
	for _, change := range before.Changed(s.State(t)) {
		t.Errorf("planning, or being refused, changed %s", change)
	}
	done, err := office.ForgetCampaign(t.Context(), s.Campaign, "retention is over")
	if err != nil || done.Persons != plan.Persons || done.Messages != plan.Messages {
		t.Fatalf("what was done is %+v, %v", done, err)
	}

	// Nothing of their rows is as it was, but what identifies nobody. A new column is held to this without anybody remembering.
	harmless := []string{"person_id", "scheme", "language", "created_at", "verified_at"}
	for _, c := range []*jaritest.Citizen{gone, cancelled} {
		now := row(t, s, personOf(t, s, c))
		for column, was := range copied[c] {
			if !slices.Contains(harmless, column) && was != nil && cmp.Equal(was, now[column]) {
				t.Errorf("the row still has its %s", column)
			}
		}
		if sealed, _ := now["sealed"].([]byte); len(sealed) > 0 {
			t.Error("the row still has something sealed")
		}
		c.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusUnauthorized, fault.CodeSessionExpired)
	}
	for _, c := range []*jaritest.Citizen{both, lately} {
		c.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK)
	}
	if capacity, booked := s.Row(t, slots[0].ID); booked != bookedBefore || capacity != 100 {
		t.Errorf("forgetting left %d of %d booked; it was %d", booked, capacity, bookedBefore)
	}
	s.CheckBooks(t)
	// It doesn't come back, and running it again finds nothing.
	if _, err := s.Pool.Exec(t.Context(), `INSERT INTO campaign_versions (campaign_id, version, document, effective_at) VALUES ($1, 2, '{}', now())`, s.Campaign); err == nil {
		t.Error("a forgotten campaign is published again")
	}
	if again, err := office.ForgetCampaign(t.Context(), s.Campaign, "again"); err != nil || again.Persons != 0 || again.Messages != 0 {
		t.Errorf("the second time %+v, %v", again, err)
	}
	// Who was forgotten and comes again is somebody new, on the same phone.
	gone.Verify(t)
	if personOf(t, s, gone) == copied[gone]["person_id"] {
		t.Error("a forgotten person was found again")
	}

	// An old copy of the database, after the key was rotated.
	old := s.Variable("JARI_DATA_KEYS")
	added := rotate(t, old, keys.Data, keys.Add)
	promoted := rotate(t, added, keys.Data, keys.Promote)
	if n, err := s.Office(t, jaritest.WithEnvironment("JARI_DATA_KEYS", promoted)).UnderOtherKeys(t.Context()); err != nil || n == 0 {
		t.Fatalf("%d rows need the old key, %v", n, err)
	}
	resealing := s.Office(t, jaritest.WithEnvironment("JARI_DATA_KEYS", promoted))
	resealed, err := resealing.Reseal(t.Context())
	if err != nil || resealed.Rows == 0 || resealed.Unopened != 0 {
		t.Fatalf("resealed %+v, %v", resealed, err)
	}
	if n, err := resealing.UnderOtherKeys(t.Context()); err != nil || n != 0 {
		t.Fatalf("%d rows still need the old key, %v", n, err)
	}
	retired := rotate(t, promoted, keys.Data, keys.Retire)
	s.Another(t, jaritest.WithEnvironment("JARI_DATA_KEYS", retired))
	for c, was := range copied {
		person := personOf(t, s, c)
		if c == gone {
			person, _ = was["person_id"].([16]byte)
		}
		sealed, _ := was["sealed"].([]byte)
		context := keys.RowContext("persons", person.String())
		if _, err := dataSealer(t, old).Open(sealed, context); err != nil {
			t.Fatalf("the copy can't be opened with the key of its time: %v", err)
		}
		if _, err := dataSealer(t, retired).Open(sealed, context); err == nil {
			t.Error("a copy from before can be opened with the keys of now")
		}
	}
	later := s.Another(t, jaritest.WithEnvironment("JARI_DATA_KEYS", retired))
	both.At(later).Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK)
}

// Who registered weeks before an opening has booked nothing yet, and would be a stranger to their own place in the line.
func TestWhoWaitsInALineStaysKnown(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	registered, over, forgotten := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	longAgo(t, s, registered, over, forgotten)
	for c, room := range map[*jaritest.Citizen][2]string{
		registered: {"another.line", "registration"}, over: {"another.past", "closed"}, forgotten: {s.Campaign + ".dropped", "registration"},
	} {
		if _, err := s.Pool.Exec(t.Context(), `
			WITH room AS (INSERT INTO rooms (room_id, state, registered) VALUES ($2, $3, 1) RETURNING room_no)
			INSERT INTO registrations (room_no, person_id, behind, place, nonce, at_ms)
			SELECT room_no, $1, false, 0, uuid_send(gen_random_uuid()), 0 FROM room`, personOf(t, s, c), room[0], room[1]); err != nil {
			t.Fatal(err)
		}
	}
	done, err := s.Office(t).ForgetCampaign(t.Context(), s.Campaign, "retention is over")
	if err != nil || done.Persons != 2 {
		t.Fatalf("%+v were forgotten, %v", done, err)
	}
	registered.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK)
	for _, c := range []*jaritest.Citizen{over, forgotten} {
		c.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusUnauthorized, fault.CodeSessionExpired)
	}
}

func dataSealer(t *testing.T, line string) *keys.Sealer {
	t.Helper()
	sealer, err := keys.NewSealer(line, config.Development, keys.Data)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func rotate(t *testing.T, line string, purpose keys.Purpose, step keys.Step) string {
	t.Helper()
	next, err := keys.Rotate(line, config.Development, purpose, step)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestForgettingACampaignForgetsItsLists(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithNurses())
	nurse := s.Stranger("1990-05-06")
	s.Entitle(t, "nurses", identity.ListRow{Line: 2, Name: nurse.Name, BirthDate: nurse.BirthDate, Phone: nurse.Phone})
	s.Entitle(t, "doctors", identity.ListRow{Line: 2, Name: nurse.Name, BirthDate: nurse.BirthDate, Phone: nurse.Phone})
	nurse.Verify(t)
	nurse.Admit(t)
	nurse.MustHold(t, s.Slot(t, jaritest.SiteOfFew, dayE3))
	entries := func(list string) (n int) {
		t.Helper()
		if err := s.Pool.QueryRow(t.Context(), `
			SELECT (SELECT count(*) FROM list_entries WHERE list = $1) + (SELECT count(*) FROM list_imports WHERE list = $1)`, list).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	office := s.Office(t)
	plan, err := office.PlanForgetting(t.Context(), s.Campaign)
	if err != nil || plan.Entries != 1 || entries("nurses") != 2 {
		t.Fatalf("the plan is %+v, %v", plan, err)
	}
	done, err := office.ForgetCampaign(t.Context(), s.Campaign, "retention is over")
	if err != nil || done.Entries != 1 {
		t.Fatalf("what was done is %+v, %v", done, err)
	}
	if entries("nurses") != 0 || entries("doctors") != 2 {
		t.Errorf("%d of the campaign's list, %d of another", entries("nurses"), entries("doctors"))
	}
	// Nobody is believed to be on it, whatever their session says.
	s.Refresh(t)
	if got := nurse.Hold(t, s.Slot(t, jaritest.SiteOfMany, dayE3)); got.Code != fault.CodeNotEligible {
		t.Errorf("%d %s", got.Status, got.Code)
	}
}
