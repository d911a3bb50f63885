package journey_test

import (
	"net/http"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/internal/localstores"
	"jari/test/jaritest"
	"jari/test/storetest"
)

// onOwnStores is an instance whose stores the test may kill, with people who have been admitted.
func onOwnStores(t *testing.T, people int) (*jaritest.Server, *localstores.Stores, []*jaritest.Citizen) {
	t.Helper()
	stores := storetest.Private(t, localstores.Options{})
	s := jaritest.Start(t, jaritest.WithStores(stores), jaritest.WithEnvironment("JARI_REDIS_TIMEOUT", "500ms"),
		jaritest.WithEnvironment("JARI_CONFIRM_WAIT", "2s"))
	return s, stores, s.NewCrowd(t, people, jaritest.BornForE3)
}

// onOwnStoresWith is an instance with waiting rooms whose stores the test may kill.
func onOwnStoresWith(t *testing.T, rooms string) (*jaritest.Server, *localstores.Stores, []*jaritest.Citizen) {
	t.Helper()
	stores := storetest.Private(t, localstores.Options{})
	return jaritest.Start(t, jaritest.WithStores(stores), jaritest.WithRooms(rooms), jaritest.WithEnvironment("JARI_REDIS_TIMEOUT", "500ms")), stores, nil
}

// waits checks that a refusal says when to try again.
func waits(t *testing.T, got jaritest.Response, codes ...fault.Code) {
	t.Helper()
	got.Want(t, http.StatusServiceUnavailable, codes...)
	if got.Header.Get("Retry-After") == "" {
		t.Errorf("%s doesn't say when to try again", got.Code)
	}
}

func TestWithoutRedisWhatIsHeldIsConfirmed(t *testing.T) {
	t.Parallel()
	s, stores, crowd := onOwnStores(t, 4)
	slots := s.Slots(t, jaritest.SiteOfOne, dayE3)
	holder, other, late, unlucky := crowd[0], crowd[1], crowd[2], crowd[3]
	held := holder.MustHold(t, slots[0].ID)
	lost := unlucky.MustHold(t, slots[1].ID)

	if err := stores.Redis().Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	var b httpapi.Booking
	holder.Confirm(t, held.HoldToken).Want(t, http.StatusCreated).Into(t, &b)
	waits(t, other.Hold(t, slots[1].ID), fault.CodeStoreUnavailable)
	if now := holder.Booking(t); now.BookingId != b.BookingId {
		t.Errorf("the booking is %+v", now)
	}
	holder.Cancel(t, b.BookingId).Want(t, http.StatusOK)
	s.Slots(t, jaritest.SiteOfFew, dayE3) // what is free is still shown

	// It comes back and knows nothing: not what is held, nor what was booked.
	if err := stores.Redis().Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	var second httpapi.Hold
	jaritest.Eventually(t, 20*time.Second, "places can be held again", func() bool {
		got := other.Hold(t, slots[1].ID)
		if got.Status != http.StatusOK {
			waits(t, got, fault.CodeStoreUnavailable)
			return false
		}
		got.Into(t, &second)
		return true
	})
	other.Confirm(t, second.HoldToken).Want(t, http.StatusCreated)
	// The hold that was forgotten is refused by the row, with what could be had instead.
	var p httpapi.Problem
	unlucky.Confirm(t, lost.HoldToken).Want(t, http.StatusConflict, fault.CodeSlotFull).Into(t, &p)
	if p.Alternatives == nil || len(*p.Alternatives) == 0 {
		t.Error("whoever lost a hold isn't told what else there is")
	}
	late.MustBook(t, slots[0].ID)
	s.CheckBooks(t)
}

func TestWithoutPostgresNothingIsAcknowledged(t *testing.T) {
	t.Parallel()
	s, stores, crowd := onOwnStores(t, 2)
	unit := s.Slot(t, jaritest.SiteOfFew, dayE3)
	booked, waiting := crowd[0].MustBook(t, unit), crowd[1].MustHold(t, unit)
	if err := stores.Postgres().Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	waits(t, crowd[1].Confirm(t, waiting.HoldToken), fault.CodeStoreUnavailable)
	waits(t, crowd[0].Do(t, http.MethodGet, s.Path("/booking"), nil), fault.CodeStoreUnavailable)
	waits(t, crowd[0].Cancel(t, booked.BookingId), fault.CodeStoreUnavailable)
	s.Slots(t, jaritest.SiteOfFew, dayE3)
	if err := stores.Postgres().Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The same request, sent again, is decided now, once.
	var b, again httpapi.Booking
	jaritest.Eventually(t, 20*time.Second, "holds can be confirmed again", func() bool {
		got := crowd[1].Confirm(t, waiting.HoldToken)
		if got.Status == http.StatusServiceUnavailable {
			return false
		}
		got.Want(t, http.StatusCreated).Into(t, &b)
		return true
	})
	// Connections that died while idle are found out one by one, each by somebody who is told to try again.
	jaritest.Eventually(t, 20*time.Second, "what was booked can be looked at again", func() bool {
		return crowd[0].Do(t, http.MethodGet, s.Path("/booking"), nil).Status == http.StatusOK &&
			crowd[1].Confirm(t, waiting.HoldToken).Status == http.StatusOK
	})
	crowd[1].Confirm(t, waiting.HoldToken).Want(t, http.StatusOK).Into(t, &again)
	if again.BookingId != b.BookingId || crowd[0].Booking(t).BookingId != booked.BookingId {
		t.Errorf("confirmed %s, then %s", b.BookingId, again.BookingId)
	}
	s.Pool.Reset() // the test's own connections died too
	s.CheckBooks(t)
}
