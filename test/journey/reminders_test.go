package journey_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"jari/internal/booking"
	"jari/test/jaritest"
)

// TestWhoIsRemindedAndWhen moves the clock over the days around a booking. Reminders are asked for at each instant, as an
// instance does every few minutes.
func TestWhoIsRemindedAndWhen(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	many, few := s.Slots(t, jaritest.SiteOfMany, dayE3), s.Slots(t, jaritest.SiteOfFew, dayE3)
	later := s.Slots(t, jaritest.SiteOfMany, "2021-08-03")
	crowd := s.NewCrowd(t, 6, jaritest.BornForE3)
	due, dueToo, dueThree, today, moved, cancelled := crowd[0], crowd[1], crowd[2], crowd[3], crowd[4], crowd[5]
	booked := []uuid.UUID{
		uuid.MustParse(due.MustBook(t, many[0].ID).BookingId), uuid.MustParse(dueToo.MustBook(t, many[1].ID).BookingId),
		uuid.MustParse(dueThree.MustBook(t, few[0].ID).BookingId),
	}
	sameDay := today.MustBook(t, many[0].ID).BookingId
	moved.MustBook(t, later[0].ID, "replaces", moved.MustBook(t, many[0].ID).BookingId)
	cancelled.Cancel(t, cancelled.MustBook(t, many[0].ID).BookingId)
	// The clock jumps days and rows have real time: all but one booked days before.
	if _, err := s.Pool.Exec(t.Context(), `
		UPDATE bookings SET created_at = created_at - interval '6 days' WHERE booking_id <> $1`, sameDay); err != nil {
		t.Fatal(err)
	}
	reminders := func(c *jaritest.Citizen) (texts []string) {
		for _, m := range c.Messages(t) {
			if m.Kind == "reminder" {
				texts = append(texts, m.Text)
			}
		}
		return texts
	}
	at := func(instant string, want ...*jaritest.Citizen) {
		t.Helper()
		s.Clock.Set(jaritest.Instant(instant))
		s.Remind(t)
		for i, c := range crowd {
			n := 0
			if slices.Contains(want, c) {
				n = 1
			}
			if got := reminders(c); len(got) != n {
				t.Errorf("at %s the %dth was reminded of %q, want %d", instant, i+1, got, n)
			}
		}
	}
	at("2021-07-25T12:00:00+09:00")               // two days before
	at("2021-07-26T09:59:59+09:00")               // too early in the morning
	at("2021-07-26T20:00:00+09:00")               // too late in the evening
	at("2021-07-26T01:00:00+00:00", crowd[:3]...) // ten o'clock where the campaign is
	at("2021-07-26T19:59:59+09:00", crowd[:3]...) // once
	at("2021-07-27T12:00:00+09:00", crowd[:3]...)
	at("2021-08-02T10:00:00+09:00", due, dueToo, dueThree, moved)
	if text := reminders(due)[0]; !strings.Contains(text, "2021년 7월 27일(화) 09:00") || !strings.Contains(text, "내일") {
		t.Errorf("the reminder says %q", text)
	}
	if text := reminders(moved)[0]; !strings.Contains(text, "2021년 8월 3일(화)") {
		t.Errorf("who moved is reminded of %q", text)
	}

	// Slot by slot, as a large day is read: each once, whatever the size of a step.
	for _, slots := range []int{1, 2, 50} {
		var found []uuid.UUID
		d := booking.Due{
			Campaign: s.Campaign, StartsFrom: jaritest.Instant("2021-07-27T00:00:00+09:00"),
			StartsBefore: jaritest.Instant("2021-07-28T00:00:00+09:00"), Slots: slots,
		}
		if err := s.Pool.QueryRow(t.Context(), `SELECT now() - interval '1 day'`).Scan(&d.BookedBefore); err != nil {
			t.Fatal(err)
		}
		for steps := 0; ; steps++ {
			ids, last, err := booking.DueBookings(t.Context(), s.Pool, d)
			if err != nil || steps > 10 {
				t.Fatal(steps, err)
			}
			if last == 0 {
				break
			}
			if last <= d.AfterSlot {
				t.Fatalf("after slot %d comes %d", d.AfterSlot, last)
			}
			found, d.AfterSlot = append(found, ids...), last
		}
		byID := func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) }
		slices.SortFunc(found, byID)
		slices.SortFunc(booked, byID)
		if !slices.Equal(found, booked) {
			t.Errorf("%d slots a step: %v are due, want %v", slots, found, booked)
		}
	}
}
