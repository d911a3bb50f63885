package journey_test

import (
	"net/http"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/slot"
	"jari/test/jaritest"
)

// A booking that Redis wasn't told of, because the instance died or Redis didn't hear it, looks like a live hold there.
// Giving that up must not free its place: the next in line would be promised what is booked.
func TestABookingThatRedisWasNotToldOfKeepsItsPlace(t *testing.T) {
	t.Parallel()
	for name, giveUp := range map[string]func(t *testing.T, s *jaritest.Server, c *jaritest.Citizen, hold, booking string){
		"releasing the hold": func(t *testing.T, s *jaritest.Server, c *jaritest.Citizen, _, _ string) {
			t.Helper()
			c.Do(t, http.MethodDelete, s.Path("/hold"), nil).Want(t, http.StatusNoContent)
		},
		"exchanging it for a move": func(t *testing.T, s *jaritest.Server, c *jaritest.Citizen, hold, booking string) {
			t.Helper()
			c.MustHold(t, s.Slot(t, jaritest.SiteOfFew, dayE3), "instead_of", hold, "replaces", booking)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := jaritest.Start(t)
			c := s.NewCitizen(t, jaritest.BornForE3)
			only := s.Slot(t, jaritest.SiteOfOne, dayE3)
			hold := c.MustHold(t, only)
			before := redisState(t, s, "{"+s.Campaign+"}:*")
			var booking struct {
				BookingID string `json:"booking_id"`
			}
			c.Confirm(t, hold.HoldToken).Want(t, http.StatusCreated).Into(t, &booking)
			untell(t, s, only, before)

			giveUp(t, s, c, hold.HoldId, booking.BookingID)
			s.NewCitizen(t, jaritest.BornForE3).Hold(t, only).Want(t, http.StatusConflict, fault.CodeSlotFull)
			s.CheckBooks(t)
		})
	}
}

// redisState are the keys of a pattern as they are now.
func redisState(t *testing.T, s *jaritest.Server, pattern string) map[string]string {
	t.Helper()
	keys, err := s.Redis.Keys(t.Context(), pattern).Result()
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]string{}
	for _, key := range keys {
		if state[key], err = s.Redis.Dump(t.Context(), key).Result(); err != nil {
			t.Fatal(err)
		}
	}
	return state
}

// untell waits until Redis was told of the one booking of a slot, and then has it as if it hadn't been.
func untell(t *testing.T, s *jaritest.Server, id string, before map[string]string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		text, err := s.Redis.Get(t.Context(), "{"+s.Campaign+"}:copy:"+id).Result()
		if err != nil {
			t.Fatal(err)
		}
		c, err := slot.ParseCopy(0, text)
		if err != nil {
			t.Fatal(err)
		}
		if c.Booked == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("Redis isn't told of a booking")
		}
	}
	for key, dump := range before {
		if err := s.Redis.RestoreReplace(t.Context(), key, time.Hour, dump).Err(); err != nil {
			t.Fatal(err)
		}
	}
}
