package admin_test

import (
	"bytes"
	"encoding/csv"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

func TestReportsCountWhatIsBookedAndWhoCame(t *testing.T) {
	t.Parallel()
	r := newReception(t, jaritest.SiteOfFew, 3)
	viewer := r.AdminKey(t, "viewer")
	r.people[2].Cancel(t, r.booked[2].BookingId).Want(t, http.StatusOK)
	r.Clock.Set(jaritest.Instant(onTheDay))
	r.do(t, http.MethodPost, "/sites/"+jaritest.SiteOfFew+"/arrivals", map[string]any{"reference": r.booked[0].Reference}).Want(t, http.StatusOK)
	r.Clock.Set(jaritest.Instant("2021-07-27T12:00:00+09:00"))
	r.do(t, http.MethodPut, "/bookings/"+r.booked[1].BookingId+"/attendance", map[string]any{"attendance": "no_show"}).Want(t, http.StatusOK)
	r.Clock.Set(jaritest.Instant(jaritest.Begins))
	r.people[2].MustHold(t, r.Slot(t, jaritest.SiteOfFew, theDay))

	report := func(query string) (got httpapi.Report) {
		do(t, r.Server, viewer, http.MethodGet, r.path("/report"+query), nil).Want(t, http.StatusOK).Into(t, &got)
		return got
	}
	line := func(key string, numbers ...int) httpapi.ReportLine {
		l := httpapi.ReportLine{Key: key, Booked: numbers[1], Arrived: 1, NoShow: 1}
		l.Places, l.Held, l.Free = &numbers[0], &numbers[2], &numbers[3]
		return l
	}
	day := "&from=" + theDay + "&to=2021-08-03"
	var got httpapi.Report
	jaritest.Eventually(t, 20e9, "what was cancelled and is held is counted", func() bool {
		got = report("?by=day" + day)
		return len(got.Lines) == 2 && *got.Lines[0].Held == 1
	})
	none := httpapi.ReportLine{Key: "2021-08-03"}
	places, zero := 212, 0
	none.Places, none.Held, none.Free = &places, &zero, &places
	if diff := cmp.Diff([]httpapi.ReportLine{line(theDay, 212, 2, 1, 209), none}, got.Lines); diff != "" {
		t.Error(diff)
	}
	one := "&from=" + theDay
	if diff := cmp.Diff(line("seoul", 208, 2, 1, 205), report("?by=region" + one).Lines[1]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]httpapi.ReportLine{{Key: "E3", Booked: 2, Arrived: 1, NoShow: 1}}, report("?by=wave"+one).Lines); diff != "" {
		t.Error(diff)
	}
	// Page by page, and as a file.
	first := report("?by=site&limit=1" + one)
	if first.Next == nil || *first.Next != jaritest.SiteOfFew || len(first.Lines) != 1 {
		t.Fatalf("%+v", first)
	}
	rest := report("?by=site&after=" + *first.Next + one)
	if rest.Next != nil || len(rest.Lines) != 3 {
		t.Fatalf("%+v", rest)
	}
	if diff := cmp.Diff(report("?by=site"+one).Lines, append(first.Lines, rest.Lines...)); diff != "" {
		t.Error(diff)
	}
	file := do(t, r.Server, viewer, http.MethodGet, r.path("/report?by=site&format=csv"+one), nil).Want(t, http.StatusOK)
	rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(file.Body, []byte("\ufeff")))).ReadAll()
	if diff := cmp.Diff([]string{"few", "6", "2", "1", "3", "1", "1"}, rows[1]); err != nil || diff != "" || len(rows) != 5 {
		t.Errorf("%v %s", err, diff)
	}
	for _, query := range []string{"?from=" + theDay + "&to=2021-07-26", "?from=2021-01-01&to=2021-12-31", "?by=wave&from=" + theDay + "&to=2021-08-04", "?by=star"} {
		do(t, r.Server, viewer, http.MethodGet, r.path("/report"+query), nil).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	}
}

// empty_list_is_200: what there is nothing of is an empty list, with every list that administrators ask for.
func TestEmptyListIs200(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	owner, c := s.AdminKey(t, "owner"), "/admin/v1/campaigns/"+s.Campaign
	about := map[string]any{"reason": "x", "person": map[string]any{"name": "홍길동", "birth_date": "1964-09-27"}}
	for _, list := range []struct {
		method, path, field string
		body                any
	}{
		{http.MethodGet, c + "/report?from=2020-01-01", "lines", nil},
		{http.MethodGet, c + "/sites/one/days/2020-01-01/bookings", "bookings", nil},
		{http.MethodPost, c + "/bookings/search", "bookings", about},
		{http.MethodPost, "/admin/v1/people/search", "people", about},
		{http.MethodGet, "/admin/v1/rooms", "rooms", nil},
		{http.MethodGet, "/admin/v1/approvals", "approvals", nil},
		{http.MethodGet, "/admin/v1/audit?act=nothing.at_all", "entries", nil},
	} {
		var got map[string]any
		do(t, s, owner, list.method, list.path, list.body).Want(t, http.StatusOK).Into(t, &got)
		if all, isList := got[list.field].([]any); !isList || len(all) != 0 {
			t.Errorf("%s %s: %v", list.method, list.path, got)
		}
	}
}

// histories are many rows of what was, in the tables that only ever grow. Nobody's data is in them.
var histories = []string{
	`INSERT INTO persons (person_id, scheme, lookup, sealed, language, self_index)
		SELECT gen_random_uuid(), 'phone', uuid_send(gen_random_uuid()), '', 'ko', uuid_send(gen_random_uuid()) FROM generate_series(1, 20000)`,
	`INSERT INTO bookings (campaign_id, booking_id, hold_id, slot_id, person_id, actor_id, status, reference, series_id, wave_id,
		rules_version, judged_at, held_at, created_at, ended_at)
		SELECT 'small-2021', gen_random_uuid(), gen_random_uuid(), 1, p.person_id, p.person_id, 'cancelled',
			'old-' || row_number() OVER (), gen_random_uuid(), 'E3', 1, now(), now(), now() - interval '9 days', now() - interval '9 days' FROM persons p`,
	`INSERT INTO bookings (campaign_id, booking_id, hold_id, slot_id, person_id, actor_id, status, void_reason, series_id, wave_id,
		rules_version, judged_at, held_at, ended_at)
		SELECT 'small-2021', gen_random_uuid(), gen_random_uuid(), 2, p.person_id, p.person_id, 'void', 'full', gen_random_uuid(), 'E3', 1,
			now(), now(), now() FROM persons p`,
	`INSERT INTO flush_events (flush_id, campaign_id, bookings, kinds, actors)
		SELECT gen_random_uuid(), 'small-2021', ARRAY[gen_random_uuid()], ARRAY['booked'], ARRAY[gen_random_uuid()] FROM generate_series(1, 20000)`,
	`INSERT INTO verifications (verification_id, scheme, phone_index, sealed, language, code_mac, resend_at, expires_at, ended_at)
		SELECT gen_random_uuid(), 'phone', uuid_send(gen_random_uuid()), '', 'ko', '', now(), now() + interval '1 hour', now() FROM generate_series(1, 20000)`,
	`INSERT INTO attendance_counts (campaign_id, day, site_id, wave_id, arrived)
		SELECT 'small-2021', date '2000-01-01' + n, 'one', 'E3', 1 FROM generate_series(1, 7000) n`,
	`INSERT INTO desk_bookings (campaign_id, hold_id, site_id, day, until)
		SELECT 'small-2021', gen_random_uuid(), 'one', date '2000-01-01' + n, now() FROM generate_series(1, 7000) n`,
	`ALTER TABLE audit_entries DISABLE TRIGGER audit_entries_await_their_place`,
	`INSERT INTO audit_entries (happened_at, actor, from_address, act, subject, reason, details)
		SELECT now(), 'system', '', 'old.act', 'x', '', '{}' FROM generate_series(1, 20000)`,
	`ALTER TABLE audit_entries ENABLE TRIGGER audit_entries_await_their_place`,
	`ANALYZE`,
}

// growing are the tables whose rows are counted as they are read.
const growing = `('bookings', 'persons', 'audit_entries', 'flush_events', 'verifications', 'attendance_counts', 'desk_bookings')`

// no_query_grows_with_history: with twenty thousand of everything that was, whatever people and staff ask for reads as few
// rows as with nothing. Postgres itself counts them, whoever's statement it is: a statement that is new is counted without
// anybody remembering it, as soon as something on this way uses it.
func TestNoQueryGrowsWithHistory(t *testing.T) {
	t.Parallel()
	read := func(history bool) map[string]int {
		r := newReception(t, jaritest.SiteOfFew, 0)
		if history {
			for _, statement := range histories {
				if _, err := r.Pool.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			r.Pool.Reset() // whoever leaves has its reads counted
		}
		before := rowsRead(t, r.Server)
		r.useEverything(t)
		r.Settle(t)
		r.Stop(t) // so do the instance's connections
		r.Pool.Reset()
		var after map[string]int
		jaritest.Eventually(t, 20e9, "what was read is counted", func() bool {
			last := after
			after = rowsRead(t, r.Server)
			return last != nil && cmp.Equal(last, after)
		})
		for table := range after {
			after[table] -= before[table]
		}
		return after
	}
	little, much := read(false), read(true)
	t.Logf("rows read with nothing behind it: %v; with a history: %v", little, much)
	if little["bookings"] == 0 || little["persons"] == 0 {
		t.Fatal("nothing was counted")
	}
	for table, n := range much {
		if n > 3*little[table]+500 {
			t.Errorf("of %s %d rows are read with a history, and %d without", table, n, little[table])
		}
	}
}

func rowsRead(t *testing.T, s *jaritest.Server) map[string]int {
	t.Helper()
	rows, err := s.Pool.Query(t.Context(), `
		SELECT relname::text, seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname IN `+growing)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	read := map[string]int{}
	for rows.Next() {
		var table string
		var n int
		if err := rows.Scan(&table, &n); err != nil {
			t.Fatal(err)
		}
		read[table] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return read
}

// useEverything is what citizens and staff do, once each.
func (r *reception) useEverything(t *testing.T) {
	t.Helper()
	slots := r.Slots(t, jaritest.SiteOfFew, theDay)
	c := r.NewCitizen(t, bornE3)
	b := c.MustBook(t, slots[0].ID)
	b = c.MustBook(t, slots[1].ID, "replaces", b.BookingId)
	c.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK)
	c.Do(t, http.MethodGet, r.Path("/booking"), nil).Want(t, http.StatusOK)
	c.Do(t, http.MethodGet, r.Path("/booking/calendar.ics"), nil).Want(t, http.StatusOK)
	owner := r.AdminKey(t, "owner")
	all := map[string]any{"name": c.Name, "birth_date": c.BirthDate, "phone": c.Phone}
	for _, key := range []string{r.key, owner} {
		r.search(t, key, map[string]any{"reference": b.Reference})
		r.search(t, key, map[string]any{"person": all})
		r.search(t, key, map[string]any{"person": map[string]any{"phone": c.Phone}})
	}
	day := "/sites/" + jaritest.SiteOfFew + "/days/" + theDay
	for _, q := range []struct {
		method, path string
		body         any
	}{
		{http.MethodPost, r.path("/bookings/" + b.BookingId + "/look"), map[string]any{"reason": "x"}},
		{http.MethodGet, r.path(day + "/bookings?limit=1"), nil},
		{http.MethodPost, r.path(day + "/export"), map[string]any{"reason": "x", "format": "csv"}},
		{http.MethodGet, r.path("/report?by=day&from=" + theDay), nil},
		{http.MethodGet, r.path("/report?by=site&from=" + theDay), nil},
		{http.MethodGet, r.path("/report?by=wave&from=" + theDay), nil},
		{http.MethodGet, "/admin/v1/audit?limit=5", nil},
		{http.MethodGet, "/admin/v1/audit?limit=5&act=booking.look", nil},
		{http.MethodGet, "/admin/v1/audit?limit=5&actor=command", nil},
		{http.MethodGet, "/admin/v1/audit?limit=5&person=" + c.PersonID(t), nil},
		{http.MethodPost, "/admin/v1/people/search", map[string]any{"reason": "x", "person": all}},
		{http.MethodPost, "/admin/v1/people", map[string]any{"reason": "x", "name": c.Name, "birth_date": c.BirthDate, "phone": c.Phone}},
	} {
		if got := do(t, r.Server, owner, q.method, q.path, q.body); got.Status >= http.StatusBadRequest {
			t.Fatalf("%s %s: %d %s", q.method, q.path, got.Status, got.Body)
		}
	}
	desk := r.AdminKey(t, "desk")
	other := r.NewCitizen(t, bornE3)
	many := r.Slot(t, jaritest.SiteOfMany, theDay)
	do(t, r.Server, desk, http.MethodPut, r.path("/people/"+other.PersonID(t)+"/booking"), map[string]any{"slot_id": many, "reason": "x"}).Want(t, http.StatusCreated)
	c.Cancel(t, b.BookingId).Want(t, http.StatusOK)
	r.search(t, owner, map[string]any{"reference": b.Reference})
}
