package journey_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// personOf is the person and the actor in a session.
func personOf(t *testing.T, s *jaritest.Server, c *jaritest.Citizen) (person, actor string) {
	t.Helper()
	session, err := s.Tokens(t).OpenSession(c.Session)
	if err != nil {
		t.Fatal(err)
	}
	return session.Person.String(), session.Actor.String()
}

// letsActFor has somebody answer a verification of their own to let c act for them.
func letsActFor(t *testing.T, c, other *jaritest.Citizen) jaritest.Response {
	t.Helper()
	v := other.StartVerification(t)
	return c.Exchange(t, "verification", map[string]any{"verification_id": v.VerificationId, "code": other.Code(t)})
}

func TestAChildBooksThroughItsParent(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithChildren())
	parent := s.NewCitizen(t, jaritest.BornForE3)
	child := parent.ActFor(t, "홍아기", "2015-05-05")
	child.Admit(t)
	if person, actor := personOf(t, s, child); person == actor {
		t.Fatal("the child is the parent")
	}
	var me httpapi.Me
	child.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK).Into(t, &me)
	if me.Person.Name != "홍*기" || me.Person.BirthDate.String() != "2015-05-05" || me.Actor == nil || me.Actor.Name != "남**이" {
		t.Errorf("who is asking: %+v, %+v", me.Person, me.Actor)
	}

	// Each their own hold and booking.
	slots := s.Slots(t, jaritest.SiteOfFew, dayE3)
	parents, childs := parent.MustBook(t, slots[0].ID), child.MustBook(t, slots[1].ID)
	if parents.BookingId == childs.BookingId || parents.Reference == childs.Reference {
		t.Fatal("one booking for two people")
	}
	// Until Redis is told of the booking, its hold is what the child has.
	jaritest.Eventually(t, 10*time.Second, "the child is told that it has booked", func() bool {
		got := child.Hold(t, slots[0].ID)
		if got.Code != fault.CodeHoldsOther {
			got.Want(t, http.StatusConflict, fault.CodeAlreadyBooked)
		}
		return got.Code == fault.CodeAlreadyBooked
	})
	if b := parent.Booking(t); b.BookingId != parents.BookingId || b.Status != "active" {
		t.Errorf("the parent's booking became %+v", b)
	}

	// The child has no phone: the parent is told of both.
	for _, b := range []httpapi.Booking{parents, childs} {
		jaritest.Eventually(t, soon, "the parent is told of "+b.Reference, func() bool {
			for _, m := range parent.Messages(t) {
				if m.Kind == "booked" && strings.Contains(m.Text, b.Reference) {
					return true
				}
			}
			return false
		})
	}

	// Who acted stands in the row; giving the child's back leaves the parent's.
	var actor, person string
	if err := s.Pool.QueryRow(t.Context(), `SELECT actor_id::text, person_id::text FROM bookings WHERE booking_id = $1`, childs.BookingId).
		Scan(&actor, &person); err != nil {
		t.Fatal(err)
	}
	if p, a := personOf(t, s, child); person != p || actor != a {
		t.Errorf("the row says %s by %s, not %s by %s", person, actor, p, a)
	}
	parent.Cancel(t, childs.BookingId).Want(t, http.StatusNotFound, fault.CodeNoBooking)
	child.Cancel(t, childs.BookingId).Want(t, http.StatusOK)
	if b := parent.Booking(t); b.Status != "active" {
		t.Errorf("the parent's booking became %s", b.Status)
	}
	s.CheckBooks(t)

	// Another day, another session: the same child again, and nothing is used up.
	parent.Verify(t)
	again := parent.ActFor(t, " 홍 아기 ", "2015-05-05")
	if p, _ := personOf(t, s, again); p != person {
		t.Error("the child declared again is somebody else")
	}
	if n := count(t, s, `SELECT count(*) FROM beneficiaries`); n != 1 {
		t.Errorf("%d beneficiaries", n)
	}
	// The audit has who for whom, and no name.
	if n := count(t, s, `SELECT count(*) FROM audit_entries WHERE act = 'person.act_for' AND person_id = '`+person+`' AND actor = 'person:`+actor+`'`); n != 2 {
		t.Errorf("%d entries of the audit", n)
	}
	if n := count(t, s, `SELECT count(*) FROM audit_entries e WHERE e::text LIKE '%아기%' OR e::text LIKE '%2015%'`); n != 0 {
		t.Error("the audit names the child")
	}
}

func count(t *testing.T, s *jaritest.Server, query string) (n int) {
	t.Helper()
	if err := s.Pool.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAParentIsActedForAfterTheirOwnVerification(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	daughter, mother := s.NewCitizen(t, "1990-03-03"), s.Stranger(jaritest.BornForE3)
	daughter.Exchange(t, "minor", map[string]any{"name": mother.Name, "birth_date": mother.BirthDate}).
		Want(t, http.StatusForbidden, fault.CodeOwnVerificationRequired)

	v := mother.StartVerification(t)
	wrong := "000000"
	if mother.Code(t) == wrong {
		wrong = "000001"
	}
	daughter.Exchange(t, "verification", map[string]any{"verification_id": v.VerificationId, "code": wrong}).
		Want(t, http.StatusBadRequest, fault.CodeCodeWrong)
	var session httpapi.Session
	daughter.Exchange(t, "verification", map[string]any{"verification_id": v.VerificationId, "code": mother.Code(t)}).
		Want(t, http.StatusOK).Into(t, &session)
	// Used up: neither a session of the mother's nor another exchange comes out of it.
	mother.GiveCode(t, v.VerificationId, mother.Code(t)).Want(t, http.StatusGone, fault.CodeVerificationOver)

	acting := *daughter
	acting.Session, acting.Admission = session.Token, ""
	acting.Admit(t)
	slot := s.Slot(t, jaritest.SiteOfFew, dayE3)
	// Judged by the mother's birth date: the daughter may not, the mother may.
	daughter.Hold(t, slot).Want(t, http.StatusForbidden, fault.CodeNotEligible)
	b := acting.MustBook(t, slot)

	// It is the mother's own: on her own device she has it already.
	mother.Verify(t)
	mother.Admit(t)
	if own := mother.Booking(t); own.BookingId != b.BookingId {
		t.Errorf("the mother's booking is %s, not %s", own.BookingId, b.BookingId)
	}
	mother.Hold(t, slot).Want(t, http.StatusConflict, fault.CodeAlreadyBooked)
	// She has a phone of her own, so that is told.
	if text := message(t, mother, "booked"); !strings.Contains(text, b.Reference) {
		t.Errorf("the mother is told %q", text)
	}
}

func TestWhoBookedForThemselfIsBookedForTheirActorToo(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	other, actor := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	slot := s.Slot(t, jaritest.SiteOfFew, dayE3)
	b := other.MustBook(t, slot)
	var session httpapi.Session
	letsActFor(t, actor, other).Want(t, http.StatusOK).Into(t, &session)
	acting := *actor
	acting.Session, acting.Admission = session.Token, ""
	acting.Admit(t)
	acting.Hold(t, slot).Want(t, http.StatusConflict, fault.CodeAlreadyBooked)
	if seen := acting.Booking(t); seen.BookingId != b.BookingId {
		t.Errorf("the actor sees %+v", seen)
	}
	actor.MustBook(t, slot) // their own is untouched by it
	s.CheckBooks(t)
}

func TestAnActorsAdmissionIsNotTheBeneficiarys(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithChildren())
	parent := s.NewCitizen(t, jaritest.BornForE3)
	child := parent.ActFor(t, "홍아기", "2015-05-05")
	child.Admit(t)
	slot := s.Slot(t, jaritest.SiteOfFew, dayE3)
	hold := child.MustHold(t, slot)
	childs, parents := child.Admission, parent.Admission
	child.Admission, parent.Admission = parents, childs
	for _, c := range []*jaritest.Citizen{child, parent} {
		c.Hold(t, slot).Want(t, http.StatusForbidden, fault.CodeAdmissionOfAnother)
		c.Confirm(t, hold.HoldToken).Want(t, http.StatusForbidden, fault.CodeAdmissionOfAnother)
	}
	parent.Admission = parents
	parent.Confirm(t, hold.HoldToken).Want(t, http.StatusForbidden, fault.CodeHoldOfAnother)
	child.Admission = childs
	child.Confirm(t, hold.HoldToken).Want(t, http.StatusCreated)
	parent.Do(t, http.MethodGet, s.Path("/booking"), nil).Want(t, http.StatusNotFound, fault.CodeNoBooking)
}

func TestOneActsForAFewPeople(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_BENEFICIARIES", "2"))
	parent := s.NewCitizen(t, jaritest.BornForE3)
	first := parent.ActFor(t, "홍하나", "2015-05-05")
	parent.ActFor(t, "홍둘", "2016-06-06")
	full := func(r jaritest.Response) {
		t.Helper()
		r.Want(t, http.StatusConflict, fault.CodeBeneficiariesLimit)
	}
	full(parent.Exchange(t, "minor", map[string]any{"name": "홍셋", "birth_date": "2017-07-07"}))
	// Neither by acting for one of them first, nor by a verification; and whose verification it was keeps it.
	full(first.Exchange(t, "minor", map[string]any{"name": "홍셋", "birth_date": "2017-07-07"}))
	other := s.Stranger(jaritest.BornForE3)
	v := other.StartVerification(t)
	full(parent.Exchange(t, "verification", map[string]any{"verification_id": v.VerificationId, "code": other.Code(t)}))
	other.GiveCode(t, v.VerificationId, other.Code(t)).Want(t, http.StatusOK)
	parent.ActFor(t, "홍하나", "2015-05-05") // those who are known still can be
	if n := count(t, s, `SELECT count(*) FROM persons`); n != 4 {
		t.Errorf("%d people, of whom 3 were let in and 1 verified", n)
	}
}

func TestManyAtOnceActForNoMoreThanTheQuota(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_BENEFICIARIES", "3"), jaritest.WithEnvironment("JARI_PERSONS_PER_PHONE", "20"))
	parent := s.NewCitizen(t, jaritest.BornForE3)
	answers := make(chan fault.Code, 12)
	for i := range cap(answers) {
		q := parent.Request(http.MethodPost, "/v1/me/acting-for", map[string]any{
			"minor": map[string]any{"name": "홍" + string(rune('가'+i*28)), "birth_date": "2015-05-05"},
		})
		go func() {
			got, err := s.Exchange(t.Context(), q)
			if err != nil {
				answers <- fault.Code(err.Error())
				return
			}
			answers <- got.Code
		}()
	}
	codes := map[fault.Code]int{}
	for range cap(answers) {
		codes[<-answers]++
	}
	if codes[""] != 3 || codes[fault.CodeBeneficiariesLimit] != 9 {
		t.Errorf("%v", codes)
	}
	if people, linked := count(t, s, `SELECT count(*) FROM persons`), count(t, s, `SELECT count(*) FROM beneficiaries`); people != 4 || linked != 3 {
		t.Errorf("%d people, %d beneficiaries", people, linked)
	}
}

func TestActingEndsWithTheSessionItCameFrom(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	parent := s.NewCitizen(t, jaritest.BornForE3)
	child := parent.ActFor(t, "홍아기", "2015-05-05")
	sibling := child.ActFor(t, "홍동생", "2017-05-05") // from one to the other
	_, one := personOf(t, s, child)
	_, other := personOf(t, s, sibling)
	if p, _ := personOf(t, s, parent); one != p || other != p {
		t.Errorf("%s acts, and %s", one, other)
	}
	var back httpapi.Session
	sibling.Exchange(t, "myself", true).Want(t, http.StatusOK).Into(t, &back)
	if back.Person.Name != "남**이" {
		t.Errorf("back to %s", back.Person.Name)
	}
	parent.Do(t, http.MethodDelete, "/v1/session", nil).Want(t, http.StatusNoContent)
	for _, c := range []*jaritest.Citizen{parent, child, sibling} {
		c.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusUnauthorized, fault.CodeSessionExpired)
	}
}

func TestWhoCantBeDeclared(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_MINOR_AGE", "14"))
	parent := s.NewCitizen(t, jaritest.BornForE3)
	declare := func(name, born string) jaritest.Response {
		t.Helper()
		return parent.Exchange(t, "minor", map[string]any{"name": name, "birth_date": born})
	}
	// The clock shows 19 July 2021: fourteen on that day is too old, a day younger isn't.
	declare("홍아기", "2007-07-19").Want(t, http.StatusForbidden, fault.CodeOwnVerificationRequired)
	declare("홍아기", "2007-07-20").Want(t, http.StatusOK)
	for _, bad := range []map[string]any{
		{"name": "홍아기", "birth_date": "2021-07-20"}, {"name": "1234", "birth_date": "2015-05-05"}, {"name": "홍아기", "birth_date": "2015-02-29"},
	} {
		parent.Exchange(t, "minor", bad).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	}
	for _, body := range []map[string]any{
		{}, {"myself": false}, {"myself": true, "minor": map[string]any{"name": "홍아기", "birth_date": "2015-05-05"}}, {"person": "x"},
	} {
		parent.Do(t, http.MethodPost, "/v1/me/acting-for", body).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	}
	// A child doesn't declare children.
	child := s.Stranger("2010-01-01")
	child.Verify(t)
	child.Exchange(t, "minor", map[string]any{"name": "홍아기", "birth_date": "2019-05-05"}).
		Want(t, http.StatusForbidden, fault.CodeOwnVerificationRequired)
}

// A child that verifies with its parent's phone, and the same one that the parent declares, are one person.
func TestADeclaredChildIsTheOneWhoVerifiesWithTheParentsPhone(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithChildren())
	parent := s.NewCitizen(t, jaritest.BornForE3)
	declared := parent.ActFor(t, "홍아기", "2015-05-05")
	own := s.Stranger("2015-05-05")
	own.Name, own.Phone = "홍아기", parent.Phone
	own.Verify(t)
	one, _ := personOf(t, s, declared)
	if other, actor := personOf(t, s, own); other != one || actor != other {
		t.Errorf("declared %s and verified %s by %s", one, other, actor)
	}
}

func TestNamesakesAreFlaggedOrRefused(t *testing.T) {
	t.Parallel()
	t.Run("flagged for the desk, and let in", func(t *testing.T) {
		t.Parallel()
		s := jaritest.Start(t)
		s.NewCitizen(t, jaritest.BornForE3)
		s.NewCitizen(t, jaritest.BornForE3) // the same name and birth date, another phone
		other := s.Stranger("1963-03-03")
		other.Verify(t)
		if n := count(t, s, `SELECT count(*) FROM persons WHERE flagged_at IS NOT NULL`); n != 1 {
			t.Errorf("%d are flagged", n)
		}
	})
	t.Run("refused after the code, and never before", func(t *testing.T) {
		t.Parallel()
		s := jaritest.Start(t, jaritest.WithEnvironment("JARI_IDENTITY_NAMESAKES", "refuse"))
		first, second := s.NewCitizen(t, jaritest.BornForE3), s.Stranger(jaritest.BornForE3)
		v := second.StartVerification(t) // answered like anybody's
		second.GiveCode(t, v.VerificationId, second.Code(t)).Want(t, http.StatusConflict, fault.CodePossiblyRegistered)
		first.Verify(t)
		if n := count(t, s, `SELECT count(*) FROM persons`); n != 1 {
			t.Errorf("%d people", n)
		}
	})
	t.Run("declared ones too, and not to ask who is known", func(t *testing.T) {
		t.Parallel()
		s := jaritest.Start(t, jaritest.WithEnvironment("JARI_IDENTITY_NAMESAKES", "refuse"))
		child, stranger := s.Stranger("2015-05-05"), s.Stranger(jaritest.BornForE3)
		child.Verify(t)
		stranger.Verify(t)
		known := map[string]any{"name": child.Name, "birth_date": child.BirthDate}
		for range 10 {
			stranger.Exchange(t, "minor", known).Want(t, http.StatusConflict, fault.CodePossiblyRegistered)
		}
		got := stranger.Exchange(t, "minor", known).Want(t, http.StatusTooManyRequests, fault.CodeDeclarationsLimit)
		if got.Header.Get("Retry-After") == "" {
			t.Error("it doesn't say until when")
		}
		stranger.Exchange(t, "minor", map[string]any{"name": "모르는이", "birth_date": "2015-05-05"}).
			Want(t, http.StatusTooManyRequests, fault.CodeDeclarationsLimit)
	})
}
