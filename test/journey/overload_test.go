package journey_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// TestBeyondItsLimitTheServerRefusesEarlyAndThoseInsideFinish fills an instance with confirms that can't go on, asks for
// everything else, and lets them go on.
func TestBeyondItsLimitTheServerRefusesEarlyAndThoseInsideFinish(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_REQUESTS_INSIDE", "10"), jaritest.WithEnvironment("JARI_CONFIRM_WAIT", "30s"),
		jaritest.WithEnvironment("JARI_REQUEST_TIMEOUT", "60s"), jaritest.WithEnvironment("JARI_FLUSH_LANES", "2"))
	unit := s.Slot(t, jaritest.SiteOfMany, dayE3)
	others := anotherLane(t, unit, s.Slots(t, jaritest.SiteOfOne, dayE3))
	crowd := s.NewCrowd(t, 10, jaritest.BornForE3)
	booked := crowd[9].MustBook(t, others)
	holds := make([]httpapi.Hold, 9)
	for i := range holds {
		holds[i] = crowd[i].MustHold(t, unit)
	}
	tx, err := s.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	if _, err := tx.Exec(t.Context(), `SET LOCAL idle_in_transaction_session_timeout = 0`); err != nil { // it is held as long as a slow machine needs
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT 1 FROM slots WHERE slot_id = $1::text::bigint FOR UPDATE`, unit); err != nil {
		t.Fatal(err)
	}
	var inside sync.WaitGroup
	var told outcomes
	for i := range 8 {
		inside.Go(func() {
			told.add(s.Exchange(t.Context(), crowd[i].Request(http.MethodPut, s.Path("/booking"), map[string]string{"hold_token": holds[i].HoldToken})))
		})
	}
	looks := func() jaritest.Response { return crowd[9].Do(t, http.MethodGet, s.Path("/booking"), nil) }
	jaritest.Eventually(t, 20*time.Second, "eight are inside", func() bool { return looks().Status == http.StatusServiceUnavailable })
	jaritest.Eventually(t, 20*time.Second, "who wants a place is refused", func() bool {
		got := crowd[8].Hold(t, unit)
		return got.Status == http.StatusServiceUnavailable && got.Code == fault.CodeOverloaded && got.Header.Get("Retry-After") != ""
	})
	// Who gives a place back still comes in, what is free is still shown, and refusing changed nothing.
	crowd[9].Cancel(t, booked.BookingId).Want(t, http.StatusOK)
	s.Slots(t, jaritest.SiteOfFew, dayE3)

	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	inside.Wait()
	told.want(t, map[string]int{"201 ": 8})
	crowd[8].Confirm(t, holds[8].HoldToken).Want(t, http.StatusCreated)
	looks().Want(t, http.StatusOK)
	s.CheckBooks(t)
}

// anotherLane picks a slot whose confirms don't wait behind those of the given one.
func anotherLane(t *testing.T, unit string, slots []jaritest.PublicSlot) string {
	t.Helper()
	for _, x := range slots {
		if (x.ID[len(x.ID)-1]-unit[len(unit)-1])%2 != 0 {
			return x.ID
		}
	}
	t.Fatalf("all slots go into the lane of %s", unit)
	return ""
}
