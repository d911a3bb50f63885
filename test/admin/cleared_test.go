package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// heard is what somebody was told of a kind, whichever came last.
func heard(t *testing.T, c *jaritest.Citizen, kind string) string {
	t.Helper()
	for _, m := range c.Messages(t) { // the newest first
		if string(m.Kind) == kind {
			return m.Text
		}
	}
	return ""
}

// wantWords checks that a text says all of this.
func wantWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("it doesn't say %q:\n%s", w, text)
		}
	}
}

// Whose place was taken away asked for nothing: they are told why, what they have now, and what to do.
func TestWhoLosesAPlaceIsToldWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	key := s.AdminKey(t, "editor")
	crowd := s.NewCrowd(t, 4, jaritest.BornForE3)
	moved, fewer, lost, own := crowd[0], crowd[1], crowd[2], crowd[3]
	before := moved.MustBook(t, s.Slot(t, jaritest.SiteOfFew, dayN))
	island := s.Slot(t, jaritest.Island, dayN)
	kept := fewer.MustBook(t, island)
	lost.MustBook(t, island)
	own.MustBook(t, s.Slots(t, jaritest.SiteOfMany, dayN)[1].ID, "replaces", own.MustBook(t, s.Slot(t, jaritest.SiteOfMany, dayN)).BookingId)
	s.CatchUp(t)

	applies(t, s, key, clearing(t, s, key, map[string]any{"site_id": jaritest.SiteOfFew, "date": dayN})).Want(t, http.StatusOK)
	cut := map[string]any{"slots": []any{map[string]any{"slot_id": island, "capacity": 1}}, "move_to": "nowhere", "cancel_rest": true}
	applies(t, s, key, clearing(t, s, key, cut)).Want(t, http.StatusOK)
	s.Settle(t)
	wantWords(t, heard(t, moved, "moved"), "옮겨졌습니다", "문을 닫습니다", "전: 2021년 7월 27일(화) 09:00 셋의원", "새 예약: 2021년 8월 3일(화) 09:00",
		before.Reference, "하실 일은 없습니다", "문의: 02-0000-0003")
	wantWords(t, heard(t, lost, "cancelled"), "취소되었습니다", "인원이 줄었습니다", "2021년 7월 27일(화) 09:00", "오지 마세요", "다시 예약하실 수", "문의: 섬의원")
	if text := heard(t, own, "moved"); !strings.HasPrefix(text, "[Jari] 예약 변경") {
		t.Errorf("who moved themself is told %q", text)
	}
	if n := told(t, fewer, "moved") + told(t, fewer, "cancelled"); n != 0 || fewer.Booking(t).BookingId != kept.BookingId {
		t.Errorf("who keeps their place was told %d times", n)
	}

	// The words are the campaign's, as all others are.
	path := "/admin/v1/campaigns/" + s.Campaign + "/messages/"
	var shown httpapi.MessagePreviewList
	do(t, s, key, http.MethodPost, path+"moved_by_site/preview", map[string]any{}).Want(t, http.StatusOK).Into(t, &shown)
	for _, p := range shown.Previews {
		if len(p.Problems) != 0 || strings.ContainsAny(p.Text, "{}") || p.Type != "LMS" {
			t.Errorf("%+v", p)
		}
	}
	words := map[string]any{"ko": "{cause} {old_date} {old_time} → {date} {time}, {reference}. 냉장고가 고장났습니다.", "reason": "the cold chain broke"}
	do(t, s, key, http.MethodPut, path+"moved_by_site", words).Want(t, http.StatusOK)
	do(t, s, key, http.MethodPut, path+"moved", words).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	do(t, s, key, http.MethodPut, path+"cancelled_by_site", words).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	applies(t, s, key, clearing(t, s, key, map[string]any{"site_id": jaritest.SiteOfFew, "date": "2021-08-03"})).Want(t, http.StatusOK)
	s.Settle(t)
	wantWords(t, heard(t, moved, "moved"), "2021년 8월 3일(화) 09:00 → 2021년 8월 10일(화) 09:00", "냉장고가")
	s.CheckBooks(t)
}

// What is kept for a wave's people is offered to those whom it admits, and to nobody else, up to the moment at which it is done.
func TestAClearingOffersWhatIsKeptForThosePeople(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	key := s.AdminKey(t, "editor")
	path := "/admin/v1/campaigns/" + s.Campaign + "/slots/"
	apply(t, s, key, tried(t, sendCSV(t, s, key, path+"import", slotHeading+
		"few,2021-07-27,10:00,11:00,0,,,\n"+
		"few,2021-07-27,11:00,12:00,9,,F1,\n"+ // nearer, and for others
		"few,2021-07-27,12:00,13:00,1,,E3,\n"+
		"few,2021-07-27,13:00,14:00,1,,F1,2021-07-19 19:57\n"+ // everybody's by now
		"few,2021-07-27,14:00,15:00,1,,F1,2021-07-30 09:00\n"))).Want(t, http.StatusOK)
	people := s.NewCrowd(t, 3, jaritest.BornForE3)
	slot := s.Slot(t, jaritest.SiteOfFew, dayN)
	for _, c := range people {
		c.MustBook(t, slot)
	}
	s.CatchUp(t)
	body := map[string]any{"slots": []any{map[string]any{"slot_id": slot, "capacity": 0}}, "move_to": "site"}
	p := clearing(t, s, key, body)
	var notes []string
	for _, row := range rowsOf(t, s, key, p, "") {
		_, to, _ := strings.Cut(row, " to few ")
		notes = append(notes, to)
	}
	if got := strings.Join(notes, ", "); got != "2021-07-27 12:00, 2021-07-27 13:00, 2021-08-03 09:00" {
		t.Fatalf("they move to %s", got)
	}
	// What was everybody's is kept for others again: whom it was shown for doesn't get it.
	again := map[string]any{"from": dayN, "to": dayN, "cohort": "F1", "set_shared_at": "2021-07-30T09:00:00+09:00"}
	var change httpapi.Plan
	do(t, s, key, http.MethodPost, path+"change", again).Want(t, http.StatusCreated).Into(t, &change)
	apply(t, s, key, change).Want(t, http.StatusOK)
	s.CatchUp(t)
	applies(t, s, key, p).Want(t, http.StatusConflict, fault.CodePlanOutdated)
	applies(t, s, key, clearing(t, s, key, body)).Want(t, http.StatusOK)
	s.Settle(t)
	for i, want := range []string{"2021-07-27 12:00", "2021-08-03 09:00", "2021-08-03 09:00"} {
		if now := people[i].Booking(t); now.Slot.StartsAt.Format("2006-01-02 15:04") != want {
			t.Errorf("%d has %s, want %s", i, now.Slot.StartsAt, want)
		}
	}
	s.CheckBooks(t)
}

// Who is entitled in two ways may have what is kept for either.
func TestWhatIsKeptForAWaveIsForAllWhomItAdmits(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithNurses())
	o := newOffice(t, s)
	nurse, other := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	o.entitle(t, lineOf(nurse))
	key := s.AdminKey(t, "editor")
	apply(t, s, key, tried(t, sendCSV(t, s, key, "/admin/v1/campaigns/"+s.Campaign+"/slots/import", slotHeading+
		"few,2021-07-27,13:00,14:00,1,,N,\nfew,2021-07-27,14:00,15:00,1,,E3,\n"))).Want(t, http.StatusOK)
	s.CatchUp(t)
	slots := s.Slots(t, jaritest.SiteOfFew, dayN)
	forNurses, forE3 := slots[2].ID, slots[3].ID
	other.Hold(t, forNurses).Want(t, http.StatusConflict, fault.CodeSlotReserved)
	mine := nurse.MustBook(t, forNurses)
	moved := nurse.MustBook(t, forE3, "replaces", mine.BookingId)
	nurse.MustBook(t, forNurses, "replaces", moved.BookingId)
	other.MustBook(t, forE3)
	s.CheckBooks(t)
}
