package admin_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

const slotHeading = "site_id,date,from,to,capacity,state,cohort,shared_at\n"

// day is one that sites of the small campaign are open on, at nine and at ten.
const day = "2021-07-27"

func stockOf(t *testing.T, s *jaritest.Server, key, site, from, to string) (shown []string) {
	t.Helper()
	var list httpapi.SlotStockList
	do(t, s, key, http.MethodGet, "/admin/v1/campaigns/"+s.Campaign+"/slots?site="+site+"&from="+from+"&to="+to, nil).
		Want(t, http.StatusOK).Into(t, &list)
	for _, x := range list.Slots {
		text := fmt.Sprintf("%s %d %s", x.StartsAt.Format("15:04"), x.Capacity, x.State)
		if x.Cohort != nil {
			text += " " + *x.Cohort
		}
		if x.SharedAt != nil {
			text += " until " + x.SharedAt.Format("02 15:04")
		}
		shown = append(shown, text)
	}
	return shown
}

func TestSlotsAreImported(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	key, path := s.AdminKey(t, "editor"), "/admin/v1/campaigns/"+s.Campaign+"/slots/import"
	booked := s.NewCitizen(t, jaritest.BornForE3)
	booked.MustBook(t, s.Slot(t, jaritest.SiteOfFew, day))
	p := tried(t, sendCSV(t, s, key, path, slotHeading+
		"few,2021-07-27,09:00,10:00,0,,,\n"+ // one is booked
		"few,2021-07-27,10:00,11:00,5,closed,,\n"+
		"one,2021-07-27,09:00,10:00,1,,,\n"+
		"few,2021-07-27,11:00,11:30,2,unreleased,,\n"+
		"few,2021-07-27,11:00,11:30,3,,E3,2021-07-26 20:00\n"+
		"few,2021-07-28,09:00,09:30,2,,,\n"+
		"few,2021-07-28,09:00,09:45,2,,,\n"+
		"none,2021-02-30,9:00,09:30,many,off,X,soon\n"+
		"few,2021-07-27,12:00,11:00,2,,,2021-07-26 20:00\n"))
	want := []string{
		"2 rejected few 2021-07-27 09:00: 1 are booked, and the capacity would be 0",
		"3 changed few 2021-07-27 10:00: capacity 3 → 5, open → closed",
		"5 created few 2021-07-27 11:00: capacity 2, unreleased",
		"6 created few 2021-07-27 11:00 E3: capacity 3",
		"7 rejected : this slot is on line 8 too",
		"8 rejected few 2021-07-28 09:00: this slot is on line 7 too",
		"9 rejected 2021-02-30 9:00: site_id isn't a site of this campaign; date must be a date that exists, as YYYY-MM-DD; " +
			"capacity must be a whole number from 0 to 100000; state must be open, closed, unreleased or empty; cohort isn't a wave of this campaign; " +
			"shared_at must be an instant, or a local time such as 2021-07-26 20:00",
		"10 rejected few 2021-07-27 12:00: from and to must be local times such as 09:00, one after the other; shared_at is for slots of a cohort",
	}
	if d := cmp.Diff(want, rowsOf(t, s, key, p, "")); d != "" {
		t.Error(d)
	}
	if p.Summary.Created != 2 || p.Summary.Changed != 1 || p.Summary.Unchanged != 1 || p.Summary.Rejected != 5 || (*p.Summary.More)["places"] != 11 {
		t.Errorf("%+v %v", p.Summary, *p.Summary.More)
	}
	apply(t, s, key, p).Want(t, http.StatusOK)
	stands := []string{"09:00 3 open", "10:00 5 closed", "11:00 2 unreleased", "11:00 3 open E3 until 26 20:00"}
	if d := cmp.Diff(stands, stockOf(t, s, key, jaritest.SiteOfFew, day, day)); d != "" {
		t.Error(d)
	}
	// Nothing of it is left beside the slots.
	var left int
	if err := s.Pool.QueryRow(t.Context(), `SELECT count(*) FROM planned_slots`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d %v", left, err)
	}
}

// TestAPlanOfSlotsWhoseGroundMovedDoesNothing changes what the plan was made on, in each way that matters, and in one that
// doesn't.
func TestAPlanOfSlotsWhoseGroundMovedDoesNothing(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	key, path := s.AdminKey(t, "editor"), "/admin/v1/campaigns/"+s.Campaign+"/slots/import"
	list := slotHeading + "few,2021-07-27,09:00,10:00,2,,,\nfew,2021-07-27,10:00,11:00,3,,,\nfew,2021-07-27,15:00,16:00,3,,,\n"
	for what, sql := range map[string]string{
		"a capacity":             `UPDATE slots SET capacity = 4, version = version + 1 WHERE site_id = 'few' AND starts_at = '2021-07-27 09:00+09'`,
		"a slot that would stay": `UPDATE slots SET state = 'closed', version = version + 1 WHERE site_id = 'few' AND starts_at = '2021-07-27 10:00+09'`,
		"more is booked":         `UPDATE slots SET booked = 3, version = version + 1 WHERE site_id = 'few' AND starts_at = '2021-07-27 09:00+09'`,
		"it is there already": `INSERT INTO slots (campaign_id, site_id, starts_at, ends_at, capacity) VALUES ('small-2021', 'few', '2021-07-27 15:00+09',
			'2021-07-27 16:00+09', 3)`,
		"its rows are lost": `DELETE FROM planned_slots WHERE line = 2`,
	} {
		p := tried(t, sendCSV(t, s, key, path, list))
		exec(t, s, `CREATE TABLE kept AS SELECT * FROM slots`)
		exec(t, s, sql)
		apply(t, s, key, p).Want(t, http.StatusConflict, fault.CodePlanOutdated)
		if got := stockOf(t, s, key, jaritest.SiteOfFew, day, day); slices.Contains(got, "15:00 3 open") != (what == "it is there already") {
			t.Errorf("%s: something was done: %q", what, got)
		}
		exec(t, s, `DELETE FROM slots WHERE slot_id NOT IN (SELECT slot_id FROM kept)`)
		exec(t, s, `UPDATE slots s SET capacity = k.capacity, booked = k.booked, state = k.state, version = s.version + 1 FROM kept k WHERE k.slot_id = s.slot_id`)
		exec(t, s, `DROP TABLE kept`)
	}
	p := tried(t, sendCSV(t, s, key, path, list))
	s.NewCitizen(t, jaritest.BornForE3).MustBook(t, s.Slot(t, jaritest.SiteOfFew, day)) // it still fits
	apply(t, s, key, p).Want(t, http.StatusOK)
	if got := stockOf(t, s, key, jaritest.SiteOfFew, day, day); !slices.Equal(got, []string{"09:00 2 open", "10:00 3 open", "15:00 3 open"}) {
		t.Errorf("%q", got)
	}
}

func TestAWeekIsGenerated(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	key, path := s.AdminKey(t, "editor"), "/admin/v1/campaigns/"+s.Campaign+"/slots/generate"
	hours := map[string]any{
		"from": "09:00", "to": "18:00", "every_minutes": 180, "capacity": 10,
		"split": []any{map[string]any{"cohort": "E3", "capacity": 4}, map[string]any{"cohort": "F1", "capacity": 5, "shared_at": "2021-08-01T09:00:00+09:00"}},
	}
	template := map[string]any{
		"weekdays": []string{"wed", "thu"}, "from": "2021-07-26", "to": "2021-08-08", "except": []string{"2021-08-05"},
		"breaks": []any{map[string]any{"from": "12:30", "to": "13:00"}}, "hours": []any{hours},
		"instead": []any{
			map[string]any{"date": "2021-07-31", "hours": []any{map[string]any{"from": "10:00", "to": "11:00", "every_minutes": 60, "capacity": 7}}},
			map[string]any{"date": "2021-07-29", "hours": []any{}},
		},
	}
	body := map[string]any{"template": template, "regions": []string{"jeju"}, "sites": []string{jaritest.SiteOfOne}, "state": "unreleased"}
	var p httpapi.Plan
	do(t, s, key, http.MethodPost, path, body).Want(t, http.StatusCreated).Into(t, &p)
	// Two sites; two Wednesdays with two slots of three parts, and one Saturday with one slot.
	if p.Summary.Created != 2*(2*2*3+1) || (*p.Summary.More)["places"] != 2*(2*2*10+7) {
		t.Fatalf("%+v %v", p.Summary, *p.Summary.More)
	}
	if rows := rowsOf(t, s, key, p, "?limit=1"); !strings.HasSuffix(rows[0], "capacity 1, unreleased") {
		t.Errorf("%q", rows)
	}
	apply(t, s, key, p).Want(t, http.StatusOK)
	want := []string{
		"09:00 1 unreleased", "09:00 4 unreleased E3", "09:00 5 unreleased F1 until 01 09:00",
		"15:00 1 unreleased", "15:00 4 unreleased E3", "15:00 5 unreleased F1 until 01 09:00",
	}
	if d := cmp.Diff(want, stockOf(t, s, key, jaritest.Island, "2021-07-28", "2021-07-30")); d != "" {
		t.Error(d)
	}
	if got := stockOf(t, s, key, jaritest.SiteOfOne, "2021-07-31", "2021-07-31"); !slices.Equal(got, []string{"10:00 7 unreleased"}) {
		t.Errorf("%q", got)
	}
	// Again: nothing to do. And then they are released, but for what is kept.
	var again, release httpapi.Plan
	do(t, s, key, http.MethodPost, path, body).Want(t, http.StatusCreated).Into(t, &again)
	if again.Summary.Unchanged != p.Summary.Created || again.Summary.Created+again.Summary.Changed != 0 {
		t.Errorf("%+v", again.Summary)
	}
	selection := map[string]any{"from": "2021-07-26", "to": "2021-08-08", "state": "unreleased", "cohort": "", "set_state": "open", "regions": []string{"jeju"}}
	change := "/admin/v1/campaigns/" + s.Campaign + "/slots/change"
	do(t, s, key, http.MethodPost, change, selection).Want(t, http.StatusCreated).Into(t, &release)
	if release.Summary.Changed != 5 {
		t.Errorf("%+v", release.Summary)
	}
	apply(t, s, key, release).Want(t, http.StatusOK)
	want[0], want[3] = "09:00 1 open", "15:00 1 open"
	if d := cmp.Diff(want, stockOf(t, s, key, jaritest.Island, "2021-07-28", "2021-07-30")); d != "" {
		t.Error(d)
	}
	for _, wrong := range []func(){
		func() { hours["capacity"] = 8 }, // the parts are more than the whole
		func() {
			hours["capacity"], hours["split"] = 10, []any{map[string]any{"cohort": "nobody", "capacity": 1}}
		},
		func() { delete(hours, "split"); template["hours"] = []any{hours, hours} }, // they overlap
		func() { template["hours"], body["sites"] = []any{hours}, []string{"nowhere"} },
	} {
		wrong()
		do(t, s, key, http.MethodPost, path, body).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	}
	do(t, s, key, http.MethodPost, change, map[string]any{"from": day, "to": day}).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	do(t, s, key, http.MethodPost, change, map[string]any{"from": "2022-01-01", "to": "2022-01-02", "set_state": "open"}).
		Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
}

// TestAPartIsForItsCohort: what is kept for one wave's people nobody else gets, until it is shared; and the parts together are
// the whole.
func TestAPartIsForItsCohort(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	key := s.AdminKey(t, "editor")
	apply(t, s, key, tried(t, sendCSV(t, s, key, "/admin/v1/campaigns/"+s.Campaign+"/slots/import", slotHeading+
		"few,2021-08-03,13:00,14:00,1,,E3,\n"+
		"few,2021-08-03,14:00,15:00,1,,F1,\n"+
		"few,2021-08-03,15:00,16:00,1,,F1,2021-07-19 19:59\n"+
		"few,2021-08-03,16:00,17:00,1,,,\n"))).Want(t, http.StatusOK)
	s.CatchUp(t)
	var doc httpapi.SiteSlots
	s.Do(t, http.MethodGet, s.Path("/sites/few/slots"), nil).Want(t, http.StatusOK).Into(t, &doc)
	ids := map[string]string{}
	for _, x := range doc.Slots {
		if x.StartsAt.Format("2006-01-02") == "2021-08-03" {
			cohort := ""
			if x.Cohort != nil {
				cohort = *x.Cohort
			}
			ids[x.StartsAt.Format("15:04")] = x.SlotId
			ids["of "+x.StartsAt.Format("15:04")] = cohort
		}
	}
	if ids["of 13:00"] != "E3" || ids["of 14:00"] != "F1" || ids["of 16:00"] != "" {
		t.Errorf("%v", ids)
	}
	hold := func(c *jaritest.Citizen, slot string) jaritest.Response {
		return c.Do(t, http.MethodPut, s.Path("/hold"), jaritest.HoldBody(slot))
	}
	mine := s.NewCitizen(t, jaritest.BornForE3)
	if p := hold(mine, ids["14:00"]).Want(t, http.StatusConflict, fault.CodeSlotReserved).Problem(t); p.RetryAt != nil {
		t.Errorf("kept for good: %v", p.RetryAt)
	}
	if p := hold(mine, ids["15:00"]).Want(t, http.StatusConflict, fault.CodeSlotReserved).Problem(t); p.RetryAfterSeconds == nil || *p.RetryAfterSeconds != 60 {
		t.Errorf("shared a minute later: %v", p.RetryAfterSeconds)
	}
	mine.MustBook(t, ids["13:00"])
	s.Clock.Advance(time.Minute)
	s.NewCitizen(t, jaritest.BornForE3).MustBook(t, ids["15:00"])
	hold(s.NewCitizen(t, jaritest.BornForE3), ids["14:00"]).Want(t, http.StatusConflict, fault.CodeSlotReserved)
	s.NewCitizen(t, jaritest.BornForE3).MustBook(t, ids["16:00"])
}

func TestOneSlotAndOneSiteAreChangedAlone(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	key, path := s.AdminKey(t, "editor"), "/admin/v1/campaigns/"+s.Campaign
	site := map[string]any{"region": "seoul", "name": "새 의원", "address": "서울 1", "wheelchair": true, "latitude": 37.5, "longitude": 127}
	for range 2 { // the same again changes nothing
		do(t, s, key, http.MethodPut, path+"/sites/new", site).Want(t, http.StatusOK)
	}
	site["region"] = "nowhere"
	do(t, s, key, http.MethodPut, path+"/sites/new", site).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	site["region"] = "seoul"
	delete(site, "longitude")
	do(t, s, key, http.MethodPut, path+"/sites/new", site).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	slot := map[string]any{"site_id": "new", "starts_at": "2021-07-27T09:00:00+09:00", "ends_at": "2021-07-27T09:30:00+09:00", "capacity": 2}
	do(t, s, key, http.MethodPost, path+"/slots", slot).Want(t, http.StatusCreated)
	do(t, s, key, http.MethodPost, path+"/slots", slot).Want(t, http.StatusConflict, fault.CodeSlotExists)
	slot["cohort"] = "F1"
	do(t, s, key, http.MethodPost, path+"/slots", slot).Want(t, http.StatusCreated)
	for field, value := range map[string]any{"cohort": "nobody", "site_id": "nowhere", "ends_at": "2021-07-27T09:00:00+09:00"} {
		was := slot[field]
		slot[field] = value
		if got := do(t, s, key, http.MethodPost, path+"/slots", slot); got.Status != http.StatusBadRequest && got.Code != fault.CodeSiteNotFound {
			t.Errorf("%s: %d %s", field, got.Status, got.Code)
		}
		slot[field] = was
	}
	if got := stockOf(t, s, key, "new", day, day); !slices.Equal(got, []string{"09:00 2 open", "09:00 2 open F1"}) {
		t.Errorf("%q", got)
	}
	owner := s.AdminKey(t, "owner")
	if sites, slots := entries(t, s, owner, "?act=site.create"), entries(t, s, owner, "?act=slot.create"); len(sites) != 1 || len(slots) != 2 {
		t.Errorf("%+v %+v", sites, slots)
	}
}

// TestChangedSlotsReachThoseWhoBook with a campaign that is open; and what is locked meanwhile is bounded.
func TestChangedSlotsReachThoseWhoBook(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_BULK_OPEN", "2"))
	key, path := s.AdminKey(t, "editor"), "/admin/v1/campaigns/"+s.Campaign+"/slots/change"
	unit := s.Slot(t, jaritest.SiteOfOne, day)
	s.NewCitizen(t, jaritest.BornForE3).MustBook(t, unit)
	body := map[string]any{"from": day, "to": day, "sites": []string{jaritest.SiteOfOne}, "set_capacity": 2}
	var p httpapi.Plan
	do(t, s, key, http.MethodPost, path, body).Want(t, http.StatusCreated).Into(t, &p)
	apply(t, s, key, p).Want(t, http.StatusOK)
	s.NewCitizen(t, jaritest.BornForE3).MustBook(t, unit) // at once
	s.NewCitizen(t, jaritest.BornForE3).Do(t, http.MethodPut, s.Path("/hold"), jaritest.HoldBody(unit)).Want(t, http.StatusConflict, fault.CodeSlotFull)
	delete(body, "sites")
	do(t, s, key, http.MethodPost, path, body).Want(t, http.StatusConflict, fault.CodePlanTooLarge)
}
