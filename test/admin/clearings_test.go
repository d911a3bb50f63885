package admin_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	osexec "os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"jari/internal/app"
	"jari/internal/clock"
	"jari/internal/config"
	"jari/internal/crash"
	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// serveOnly makes this test's program an instance of its own, which a test may kill.
const serveOnly = "JARI_TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveOnly) != "" {
		serve()
		return
	}
	os.Exit(m.Run())
}

func serve() {
	fail := func(err error) {
		if err != nil {
			slog.Error("the instance can't serve", "error", err)
			os.Exit(3)
		}
	}
	cfg, err := config.Load(os.Environ())
	fail(err)
	a, err := app.New(context.Background(), cfg, slog.New(slog.DiscardHandler), app.WithClock(clock.NewManual(jaritest.Instant(jaritest.Begins))))
	fail(err)
	_, _ = os.Stdout.WriteString(httptest.NewServer(a.Handler).URL + "\n")
	select {}
}

// clearing makes a plan that clears slots.
func clearing(t *testing.T, s *jaritest.Server, key string, body map[string]any) (p httpapi.Plan) {
	t.Helper()
	do(t, s, key, http.MethodPost, "/admin/v1/campaigns/"+s.Campaign+"/clearings", body).Want(t, http.StatusCreated).Into(t, &p)
	return p
}

func applies(t *testing.T, s *jaritest.Server, key string, p httpapi.Plan) jaritest.Response {
	t.Helper()
	return do(t, s, key, http.MethodPost, "/admin/v1/plans/"+p.PlanId+"/apply", map[string]any{"checksum": p.Checksum})
}

// told is how often somebody was told something of a kind.
func told(t *testing.T, c *jaritest.Citizen, kind string) (n int) {
	t.Helper()
	for _, m := range c.Messages(t) {
		if string(m.Kind) == kind {
			n++
		}
	}
	return n
}

// closing are people who have booked both hours of a site's day, and the body that closes it.
func closing(t *testing.T, s *jaritest.Server) (people []*jaritest.Citizen, booked map[*jaritest.Citizen]httpapi.Booking, body map[string]any) {
	t.Helper()
	booked = map[*jaritest.Citizen]httpapi.Booking{}
	people = s.NewCrowd(t, 5, jaritest.BornForE3)
	for i, hour := range s.Slots(t, jaritest.SiteOfFew, dayN) {
		for _, c := range people[3*i : min(5, 3*i+3)] {
			booked[c] = c.MustBook(t, hour.ID)
		}
	}
	return people, booked, map[string]any{"site_id": jaritest.SiteOfFew, "date": dayN}
}

// moved checks that everybody has another slot under the same reference, and was told once.
func moved(t *testing.T, s *jaritest.Server, booked map[*jaritest.Citizen]httpapi.Booking) {
	t.Helper()
	s.Settle(t)
	for c, was := range booked {
		now := c.Booking(t)
		if now.Status != "active" || now.Reference != was.Reference || now.Slot.SlotId == was.Slot.SlotId || now.Site.SiteId != jaritest.SiteOfFew {
			t.Errorf("the booking became %+v", now)
		}
		if n := told(t, c, "moved"); n != 1 {
			t.Errorf("told of the move %d times", n)
		}
	}
	for _, hour := range s.Slots(t, jaritest.SiteOfFew, dayN) {
		if capacity, left := s.Row(t, hour.ID); capacity != 0 || left != 0 {
			t.Errorf("the closed slot has %d places, %d booked", capacity, left)
		}
	}
	s.CheckBooks(t)
}

func TestAClinicClosesForADayAndEverybodyKeepsABooking(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	key, operator := s.AdminKey(t, "editor"), s.AdminKey(t, "operator")
	_, booked, body := closing(t, s)
	next := s.Slots(t, jaritest.SiteOfFew, "2021-08-03")
	holder := s.NewCitizen(t, jaritest.BornForE3)
	kept := holder.MustHold(t, next[0].ID)
	s.CatchUp(t)
	do(t, s, operator, http.MethodPost, "/admin/v1/campaigns/"+s.Campaign+"/clearings", body).Want(t, http.StatusForbidden, fault.CodeRoleRequired)

	p := clearing(t, s, key, body)
	more := *p.Summary.More
	if p.Summary.Bookings != 5 || more["moved"] != 5 || more["without_place"] != 0 || p.Summary.Changed != 2 {
		t.Fatalf("%+v", p.Summary)
	}
	for c, was := range booked { // a dry run
		if now := c.Booking(t); now.BookingId != was.BookingId {
			t.Errorf("trying moved %+v", now)
		}
	}
	for range 2 { // the second time after a lost answer
		applies(t, s, key, p).Want(t, http.StatusOK)
	}
	moved(t, s, booked)
	// A live hold was promised: nobody was put in its place.
	holder.Confirm(t, kept.HoldToken).Want(t, http.StatusCreated)
	late := s.NewCitizen(t, jaritest.BornForE3)
	late.Hold(t, s.Slots(t, jaritest.SiteOfFew, dayN)[0].ID).Want(t, http.StatusConflict, fault.CodeSlotClosed)
	s.CheckBooks(t)
	if n := countOf(t, s, `SELECT count(*) FROM audit_entries WHERE act = 'slots.clear'`); n != 1 {
		t.Errorf("%d entries of the audit", n)
	}
}

func TestWhoBookedLastLosesFirstAndNobodyIsCancelledUnasked(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	key := s.AdminKey(t, "editor")
	slot := s.Slot(t, jaritest.Island, dayN)
	first, last := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	kept := first.MustBook(t, slot)
	lost := last.MustBook(t, slot)
	cut := map[string]any{"slots": []any{map[string]any{"slot_id": slot, "capacity": 1}}, "move_to": "nowhere"}
	p := clearing(t, s, key, cut)
	if (*p.Summary.More)["without_place"] != 1 || p.Summary.Rejected != 1 {
		t.Fatalf("%+v", p.Summary)
	}
	applies(t, s, key, p).Want(t, http.StatusConflict, fault.CodeCapacityBelowBooked)
	if now := last.Booking(t); now.Status != "active" {
		t.Fatalf("%+v", now)
	}
	cut["cancel_rest"] = true
	p = clearing(t, s, key, cut)
	// Somebody else books or cancels meanwhile: what was shown isn't what would be done.
	early := s.NewCitizen(t, jaritest.BornForE3)
	early.Cancel(t, early.MustBook(t, s.Slots(t, jaritest.Island, dayN)[1].ID).BookingId).Want(t, http.StatusOK) // another slot
	last.Cancel(t, lost.BookingId).Want(t, http.StatusOK)
	applies(t, s, key, p).Want(t, http.StatusConflict, fault.CodePlanOutdated)
	lost = last.MustBook(t, slot)
	p = clearing(t, s, key, cut)
	applies(t, s, key, p).Want(t, http.StatusOK)
	s.Settle(t)
	if now := first.Booking(t); now.BookingId != kept.BookingId || now.Status != "active" {
		t.Errorf("who booked first has %+v", now)
	}
	if now := last.Booking(t); now.BookingId != lost.BookingId || now.Status != "cancelled" {
		t.Errorf("who booked last has %+v", now)
	}
	if n := told(t, last, "cancelled"); n != 2 { // their own, and this one
		t.Errorf("told %d times", n)
	}
	if capacity, booked := s.Row(t, slot); capacity != 1 || booked != 1 {
		t.Errorf("%d of %d", booked, capacity)
	}
	s.CheckBooks(t)
	last.MustBook(t, s.Slot(t, jaritest.SiteOfMany, dayN)) // they may book again

	path := "/admin/v1/campaigns/" + s.Campaign + "/clearings"
	for _, wrong := range []map[string]any{
		{},
		{"date": dayN},
		{"site_id": jaritest.Island},
		{"site_id": jaritest.Island, "date": "2021-07-28"},
		{"slots": []any{map[string]any{"slot_id": slot, "capacity": 1}, map[string]any{"slot_id": slot, "capacity": 2}}},
	} {
		do(t, s, key, http.MethodPost, path, wrong).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	}
	do(t, s, key, http.MethodPost, path, map[string]any{"site_id": "nowhere", "date": dayN}).Want(t, http.StatusNotFound, fault.CodeSiteNotFound)
	do(t, s, key, http.MethodPost, path, map[string]any{"slots": []any{map[string]any{"slot_id": "999999", "capacity": 1}}}).
		Want(t, http.StatusNotFound, fault.CodeSlotNotFound)
}

// A clearing goes through kill -9: before the commit nothing was done and it can be applied, after it everything was.
func TestAClearingGoesThroughKill9(t *testing.T) {
	t.Parallel()
	for point, done := range map[string]bool{crash.PlanWritten: false, crash.PlanCommitted: true} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			s := jaritest.Start(t)
			key := s.AdminKey(t, "editor")
			_, booked, body := closing(t, s)
			s.CatchUp(t)
			p := clearing(t, s, key, body)

			child := osexec.CommandContext(t.Context(), os.Args[0])
			// It works off no messages: one that it took with it into death would be looked for by others a minute later.
			child.Env = append(s.Environment(), serveOnly+"=1", "JARI_CRASH_AT="+point, "JARI_MESSAGE_WORKERS=0")
			out, err := child.StdoutPipe()
			if err == nil {
				err = child.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			url, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.TrimSpace(url)+"/admin/v1/plans/"+p.PlanId+"/apply",
				strings.NewReader(`{"checksum":"`+p.Checksum+`"}`))
			if err != nil {
				t.Fatal(err)
			}
			q.Header.Set("Authorization", "Bearer "+key)
			q.Header.Set("Content-Type", "application/json")
			if r, err := http.DefaultClient.Do(q); err == nil {
				said, _ := io.ReadAll(r.Body)
				_ = r.Body.Close()
				t.Fatalf("it lived and said %d %s", r.StatusCode, said)
			}
			exit, ok := errors.AsType[*osexec.ExitError](child.Wait())
			if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL { //nolint:forcetypeassert // this is Unix
				t.Fatal("it wasn't killed")
			}
			for c, was := range booked {
				if now := c.Booking(t); (now.BookingId != was.BookingId) != done || now.Status != "active" {
					t.Errorf("after the death: %+v", now)
				}
			}
			// What the dead transaction has locked, Postgres lets go as soon as it has seen the death.
			jaritest.Eventually(t, 30*time.Second, "the plan is applied", func() bool { return applies(t, s, key, p).Status == http.StatusOK })
			moved(t, s, booked)
		})
	}
}
