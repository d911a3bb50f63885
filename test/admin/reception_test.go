package admin_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	ics "github.com/arran4/golang-ical"
	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// theDay is one that those may book who may book at the start; onTheDay is a moment of it before the first slot.
const (
	theDay   = "2021-07-27"
	onTheDay = "2021-07-27T08:30:00+09:00"
	afterTen = "2021-07-27T10:00:00+09:00" // when the first slot has ended
)

// bornE3 is a birth date of those who may book, which no document mentions.
const bornE3 = "1964-09-27"

// reception is a site's, with people who booked there.
type reception struct {
	*jaritest.Server
	key    string
	people []*jaritest.Citizen
	booked []httpapi.Booking
}

func newReception(t *testing.T, site string, people int) *reception {
	t.Helper()
	r := &reception{Server: jaritest.Start(t)}
	r.key = r.ClinicKey(t, site)
	slots := r.Slots(t, site, theDay)
	for i := range people {
		c := r.NewCitizen(t, bornE3)
		r.people, r.booked = append(r.people, c), append(r.booked, c.MustBook(t, slots[i%len(slots)].ID))
	}
	return r
}

func (r *reception) path(rest string) string { return "/admin/v1/campaigns/" + r.Campaign + rest }

func (r *reception) do(t *testing.T, method, rest string, body any) jaritest.Response {
	t.Helper()
	return do(t, r.Server, r.key, method, r.path(rest), body)
}

func (r *reception) search(t *testing.T, key string, body map[string]any) (found []httpapi.StaffBooking) {
	t.Helper()
	body["reason"] = "asks which day it was"
	var list httpapi.StaffBookingList
	do(t, r.Server, key, http.MethodPost, r.path("/bookings/search"), body).Want(t, http.StatusOK).Into(t, &list)
	return list.Bookings
}

func TestBookingsAreFoundByReferenceAndByWhatIsSaid(t *testing.T) {
	t.Parallel()
	r := newReception(t, jaritest.SiteOfFew, 2)
	she, hers := r.people[0], r.booked[0]
	typed := strings.ToLower(strings.ReplaceAll(hers.Reference, "-", " "))
	other, owner, desk := r.ClinicKey(t, jaritest.SiteOfOne), r.AdminKey(t, "owner"), r.AdminKey(t, "desk")
	nameAndBirth := map[string]any{"name": " 남궁 별이", "birth_date": she.BirthDate}
	phone := map[string]any{"phone": strings.ReplaceAll(she.Phone, "-", ".")}
	all := map[string]any{"name": "남궁별이", "birth_date": she.BirthDate, "phone": she.Phone}
	for name, c := range map[string]struct {
		key  string
		body map[string]any
		want int
	}{
		"by its reference, as it is typed":      {r.key, map[string]any{"reference": typed}, 1},
		"by name and birth date, two namesakes": {r.key, map[string]any{"person": nameAndBirth}, 2},
		"by phone":                              {r.key, map[string]any{"person": phone}, 1},
		"by all of them":                        {r.key, map[string]any{"person": all}, 1},
		"by the owner":                          {owner, map[string]any{"person": all}, 1},
		"by the desk":                           {desk, map[string]any{"reference": typed}, 1},
		"by another site":                       {other, map[string]any{"reference": typed}, 0},
		"by another site, of a person":          {other, map[string]any{"person": all}, 0},
		"of nobody":                             {r.key, map[string]any{"person": map[string]any{"name": "홍길동", "birth_date": she.BirthDate}}, 0},
		"by no reference at all":                {r.key, map[string]any{"reference": "U!"}, 0},
		"by another's reference":                {r.key, map[string]any{"reference": "0000-0000-0000"}, 0},
	} {
		found := r.search(t, c.key, c.body)
		if len(found) != c.want {
			t.Errorf("%s: %+v", name, found)
		}
		for _, b := range found {
			if b.Person.Name == nil || *b.Person.Name != "남**이" || b.Person.BirthYear == nil || *b.Person.BirthYear != 1964 {
				t.Errorf("%s: shown is %+v", name, b.Person)
			}
			if b.Person.Phone == nil || strings.Contains(*b.Person.Phone, "1023") || !strings.HasPrefix(*b.Person.Phone, "****") {
				t.Errorf("%s: the phone is shown as %v", name, b.Person.Phone)
			}
		}
	}
	// Of whom something was cancelled it is shown too, and it is said whose data was looked at, and why.
	she.Cancel(t, hers.BookingId).Want(t, http.StatusOK)
	found := r.search(t, r.key, map[string]any{"reference": typed})
	if len(found) != 1 || found[0].Status != httpapi.StaffBookingStatusCancelled || found[0].CancelledAt == nil {
		t.Fatalf("%+v", found)
	}
	e := entries(t, r.Server, owner, "?act=booking.search&limit=1")[0]
	if e.Reason == nil || *e.Reason != "asks which day it was" || e.PersonId == nil || *e.PersonId != found[0].Person.PersonId {
		t.Errorf("the audit has %+v", e)
	}
	r.Settle(t)
	before := r.State(t)
	for name, body := range map[string]map[string]any{
		"no reason":    {"reference": typed},
		"blank reason": {"reference": typed, "reason": "  "},
		"nothing":      {"reason": "x"},
		"both":         {"reason": "x", "reference": typed, "person": all},
		"a name alone": {"reason": "x", "person": map[string]any{"name": "남궁별이"}},
		"a number":     {"reason": "x", "person": map[string]any{"number": "12"}},
		"a landline":   {"reason": "x", "person": map[string]any{"phone": "02-123"}},
	} {
		got := do(t, r.Server, r.key, http.MethodPost, r.path("/bookings/search"), body)
		if got.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	for _, change := range before.Changed(r.State(t)) {
		t.Errorf("a refusal changed %s", change)
	}
	for _, path := range []string{"/admin/v1/campaigns/nowhere/bookings/search"} {
		do(t, r.Server, owner, http.MethodPost, path, map[string]any{"reason": "x", "reference": typed}).Want(t, http.StatusNotFound, fault.CodeCampaignNotFound)
		do(t, r.Server, r.key, http.MethodPost, path, map[string]any{"reason": "x", "reference": typed}).Want(t, http.StatusForbidden, fault.CodeOtherSite)
	}
	r.WantNoTrace(t, r.people)
}

func TestWhoLooksAtAPersonSaysWhy(t *testing.T) {
	t.Parallel()
	r := newReception(t, jaritest.SiteOfFew, 1)
	rest := "/bookings/" + r.booked[0].BookingId + "/look"
	var seen httpapi.OpenBooking
	r.do(t, http.MethodPost, rest, map[string]any{"reason": "calls back"}).Want(t, http.StatusOK).Into(t, &seen)
	if c := r.people[0]; seen.Person.Name != c.Name || seen.Person.BirthDate.String() != c.BirthDate || seen.Person.Phone == nil || *seen.Person.Phone != c.Phone {
		t.Errorf("%+v", seen.Person)
	}
	owner := r.AdminKey(t, "owner")
	e := entries(t, r.Server, owner, "?act=booking.look&person="+seen.Person.PersonId)
	if len(e) != 1 || *e[0].Reason != "calls back" || e[0].Subject != r.Campaign+"/booking/"+r.booked[0].BookingId {
		t.Errorf("the audit has %+v", e)
	}
	r.do(t, http.MethodPost, rest, map[string]any{}).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	other := r.ClinicKey(t, jaritest.SiteOfOne)
	do(t, r.Server, other, http.MethodPost, r.path(rest), map[string]any{"reason": "x"}).Want(t, http.StatusNotFound, fault.CodeNoBooking)
	do(t, r.Server, owner, http.MethodPost, r.path("/bookings/1/look"), map[string]any{"reason": "x"}).Want(t, http.StatusNotFound, fault.CodeNoBooking)
	if more := entries(t, r.Server, owner, "?act=booking.look"); len(more) != 1 {
		t.Errorf("who saw nothing looked at nobody: %+v", more)
	}
}

func TestArrivalByReference(t *testing.T) {
	t.Parallel()
	r := newReception(t, jaritest.SiteOfFew, 3)
	arrive := func(site, key, reference string) jaritest.Response {
		return do(t, r.Server, key, http.MethodPost, r.path("/sites/"+site+"/arrivals"), map[string]any{"reference": reference})
	}
	few, one, ref := jaritest.SiteOfFew, r.ClinicKey(t, jaritest.SiteOfOne), r.booked[0].Reference
	r.people[2].Cancel(t, r.booked[2].BookingId).Want(t, http.StatusOK)
	r.Settle(t)
	before := r.State(t)
	early := arrive(few, r.key, ref).Want(t, http.StatusConflict, fault.CodeBookingOtherDay).Problem(t)
	if early.Slot == nil || early.Slot.StartsAt.Format("2006-01-02") != theDay {
		t.Errorf("it isn't said when it is: %+v", early)
	}
	r.Clock.Set(jaritest.Instant(onTheDay))
	elsewhere := arrive(jaritest.SiteOfOne, one, ref).Want(t, http.StatusConflict, fault.CodeBookingElsewhere).Problem(t)
	if elsewhere.Slot == nil || elsewhere.Slot.SiteId != few {
		t.Errorf("it isn't said where it is: %+v", elsewhere)
	}
	arrive(few, one, ref).Want(t, http.StatusForbidden, fault.CodeOtherSite)
	arrive(few, r.key, "7K4M-2QXP-9TRD").Want(t, http.StatusNotFound, fault.CodeNoBooking)
	arrive(few, r.key, r.booked[2].Reference).Want(t, http.StatusConflict, fault.CodeBookingCancelled)
	for _, change := range before.Changed(r.State(t)) {
		t.Errorf("a refusal changed %s", change)
	}
	var first, again httpapi.StaffBooking
	arrive(few, r.key, strings.ToLower(strings.ReplaceAll(ref, "-", ""))).Want(t, http.StatusOK).Into(t, &first)
	after := r.State(t)
	arrive(few, r.key, ref).Want(t, http.StatusOK).Into(t, &again)
	// By a clock that a test holds still, what happened is shown by the real time since.
	first.AttendedAt, again.BookedAt = again.AttendedAt, first.BookedAt
	if diff := cmp.Diff(first, again); diff != "" || first.Attendance != httpapi.AttendanceArrived || first.AttendedAt == nil {
		t.Errorf("two arrivals: %+v %s", first, diff)
	}
	for _, change := range after.Changed(r.State(t)) {
		t.Errorf("the second arrival changed %s", change)
	}
	// Who has come has used the booking.
	r.people[0].Cancel(t, r.booked[0].BookingId).Want(t, http.StatusConflict, fault.CodeChangeClosed)
	r.CheckBooks(t)
}

func TestWhoDidNotCome(t *testing.T) {
	t.Parallel()
	r := newReception(t, jaritest.SiteOfFew, 1)
	note := func(attendance, reason string) jaritest.Response {
		body := map[string]any{"attendance": attendance}
		if reason != "" {
			body["reason"] = reason
		}
		return r.do(t, http.MethodPut, "/bookings/"+r.booked[0].BookingId+"/attendance", body)
	}
	counted := func() (arrived, noShow int) {
		if err := r.Pool.QueryRow(t.Context(), `SELECT coalesce(sum(arrived), 0), coalesce(sum(no_show), 0) FROM attendance_counts`).Scan(&arrived, &noShow); err != nil {
			t.Fatal(err)
		}
		return arrived, noShow
	}
	r.Clock.Set(jaritest.Instant("2021-07-27T09:59:59+09:00"))
	if p := note("no_show", "").Want(t, http.StatusConflict, fault.CodeSlotNotOver).Problem(t); p.RetryAfterSeconds == nil || *p.RetryAfterSeconds != 1 {
		t.Errorf("until when isn't said: %+v", p)
	}
	r.Clock.Set(jaritest.Instant(afterTen))
	for range 2 {
		note("no_show", "").Want(t, http.StatusOK)
	}
	if a, n := counted(); a != 0 || n != 1 {
		t.Errorf("counted %d and %d", a, n)
	}
	// They come after all.
	r.do(t, http.MethodPost, "/sites/"+jaritest.SiteOfFew+"/arrivals", map[string]any{"reference": r.booked[0].Reference}).
		Want(t, http.StatusConflict, fault.CodeAttendanceDiffers)
	note("expected", "").Want(t, http.StatusConflict, fault.CodeAttendanceDiffers)
	note("arrived", "came late").Want(t, http.StatusOK)
	if a, n := counted(); a != 1 || n != 0 {
		t.Errorf("counted %d and %d", a, n)
	}
	var b httpapi.StaffBooking
	note("expected", "was another").Want(t, http.StatusOK).Into(t, &b)
	if a, n := counted(); a != 0 || n != 0 || b.Attendance != httpapi.AttendanceExpected || b.AttendedAt != nil {
		t.Errorf("counted %d and %d: %+v", a, n, b)
	}
	if got := acts(t, r.Server, r.AdminKey(t, "owner")); !slices.Equal(got[1:4], []string{"booking.attendance_undo", "booking.arrive", "booking.no_show"}) {
		t.Errorf("the audit has %v", got)
	}
}

func TestTheDaysList(t *testing.T) {
	t.Parallel()
	r := newReception(t, jaritest.SiteOfFew, 5)
	r.people[4].Cancel(t, r.booked[4].BookingId).Want(t, http.StatusOK)
	rest := "/sites/" + jaritest.SiteOfFew + "/days/" + theDay
	var seen []httpapi.StaffBooking
	for next, pages := "?limit=2", 0; ; pages++ {
		var page httpapi.StaffBookingList
		r.do(t, http.MethodGet, rest+"/bookings"+next, nil).Want(t, http.StatusOK).Into(t, &page)
		seen = append(seen, page.Bookings...)
		if page.Next == nil || pages > 5 {
			break
		}
		next = "?limit=2&after=" + *page.Next
	}
	inOrder := slices.IsSortedFunc(seen, func(a, b httpapi.StaffBooking) int { return a.Slot.StartsAt.Compare(b.Slot.StartsAt) })
	ids := map[string]bool{}
	for _, b := range seen {
		ids[b.BookingId] = true
	}
	if len(seen) != 4 || len(ids) != 4 || !inOrder || ids[r.booked[4].BookingId] {
		t.Fatalf("%+v", seen)
	}
	// empty_list_is_200
	var none httpapi.StaffBookingList
	r.do(t, http.MethodGet, "/sites/"+jaritest.SiteOfFew+"/days/2021-07-28/bookings", nil).Want(t, http.StatusOK).Into(t, &none)
	if none.Bookings == nil || len(none.Bookings) != 0 {
		t.Errorf("%+v", none)
	}
	r.do(t, http.MethodGet, rest+"/bookings?after=x", nil).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	r.do(t, http.MethodGet, "/sites/"+jaritest.SiteOfOne+"/days/"+theDay+"/bookings", nil).Want(t, http.StatusForbidden, fault.CodeOtherSite)
	owner := r.AdminKey(t, "owner")
	do(t, r.Server, owner, http.MethodGet, r.path("/sites/nowhere/days/"+theDay+"/bookings"), nil).Want(t, http.StatusNotFound, fault.CodeSiteNotFound)

	got := r.do(t, http.MethodPost, rest+"/export", map[string]any{"format": "csv", "reason": "calling people in"}).Want(t, http.StatusOK)
	plain, marked := bytes.CutPrefix(got.Body, []byte("\ufeff"))
	rows, err := csv.NewReader(bytes.NewReader(plain)).ReadAll()
	if err != nil || !marked || len(rows) != 5 || rows[0][3] != "이름" {
		t.Fatalf("%v %v", rows, err)
	}
	if name := got.Header.Get("Content-Disposition"); name != `attachment; filename="small-2021-few-2021-07-27.csv"` {
		t.Error(name)
	}
	at := slices.IndexFunc(rows, func(row []string) bool { return row[2] == r.booked[0].Reference })
	if diff := cmp.Diff([]string{"09:00", "10:00", r.booked[0].Reference, r.people[0].Name, r.people[0].BirthDate, r.people[0].Phone, "E3", "expected"}, rows[at]); diff != "" {
		t.Error(diff)
	}
	file, err := excelize.OpenReader(bytes.NewReader(
		r.do(t, http.MethodPost, rest+"/export", map[string]any{"format": "xlsx", "reason": "calling people in"}).Want(t, http.StatusOK).Body))
	if err != nil {
		t.Fatal(err)
	}
	sheet, err := file.GetRows("Sheet1")
	if diff := cmp.Diff(rows, sheet); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	r.do(t, http.MethodPost, rest+"/export", map[string]any{"format": "csv"}).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	if e := entries(t, r.Server, owner, "?act=booking.export_day"); len(e) != 2 || *e[0].Reason != "calling people in" {
		t.Errorf("the audit has %+v", e)
	}
	if e := entries(t, r.Server, owner, "?act=booking.list_day"); len(e) != 4 {
		t.Errorf("the audit has %+v", e)
	}
}

// A clinic's calendar says how many come, and nobody's name.
func TestTheCalendarOfASite(t *testing.T) {
	t.Parallel()
	r := newReception(t, jaritest.SiteOfFew, 5)
	r.people[4].Cancel(t, r.booked[4].BookingId).Want(t, http.StatusOK)
	rest := "/sites/" + jaritest.SiteOfFew + "/calendar.ics"
	owner := r.AdminKey(t, "owner")
	var stock httpapi.SlotStockList
	do(t, r.Server, owner, http.MethodGet, r.path("/slots?site="+jaritest.SiteOfFew+"&from="+theDay+"&to="+theDay), nil).Want(t, http.StatusOK).Into(t, &stock)
	want := map[string]string{}
	for _, x := range stock.Slots {
		if x.Booked > 0 {
			want[x.StartsAt.UTC().Format("20060102T150405Z")] = fmt.Sprintf("%d booked of %d", x.Booked, x.Capacity)
		}
	}
	read := func(query string) (shown map[string]string, text string) {
		t.Helper()
		q := jaritest.JSON(http.MethodGet, r.path(rest+query), nil).With("Authorization", "Bearer "+r.key).With("Accept-Language", "en")
		got := r.Send(t, q).Want(t, http.StatusOK)
		file, err := ics.ParseCalendar(bytes.NewReader(got.Body))
		if err != nil {
			t.Fatal(err)
		}
		shown = map[string]string{}
		for _, e := range file.Events() {
			shown[e.GetProperty(ics.ComponentPropertyDtStart).Value] = e.GetProperty(ics.ComponentPropertySummary).Value
		}
		return shown, string(got.Body)
	}
	shown, text := read("")
	if diff := cmp.Diff(want, shown); diff != "" || len(want) == 0 {
		t.Error(diff)
	}
	for _, c := range r.people {
		if strings.Contains(text, c.Name) || strings.Contains(text, strings.TrimPrefix(c.Phone, "+82")) {
			t.Errorf("it names somebody: %s", text)
		}
	}
	if one, _ := read("?days=1&from=" + theDay); !maps.Equal(one, want) {
		t.Errorf("of the day alone: %v", one)
	}
	if none, _ := read("?from=2021-07-28"); len(none) != 0 {
		t.Errorf("of the days after: %v", none)
	}
	for _, wrong := range []string{"?days=0", "?days=63", "?from=2021-02-30"} {
		r.do(t, http.MethodGet, rest+wrong, nil).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	}
	r.do(t, http.MethodGet, "/sites/"+jaritest.SiteOfOne+"/calendar.ics", nil).Want(t, http.StatusForbidden, fault.CodeOtherSite)
	do(t, r.Server, owner, http.MethodGet, r.path("/sites/nowhere/calendar.ics"), nil).Want(t, http.StatusNotFound, fault.CodeSiteNotFound)
}
