package journey_test

import (
	"net/http"
	"strings"
	"testing"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/internal/identity"
	"jari/test/jaritest"
)

// entitled is a server that knows people by a list with these rows, under a scheme of numbers.
func entitled(t *testing.T, scheme string, rows ...identity.ListRow) *jaritest.Server {
	t.Helper()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_IDENTITY_SCHEME", scheme),
		jaritest.WithEnvironment("JARI_IDENTITY_BINDING", "list"), jaritest.WithEnvironment("JARI_IDENTITY_LIST", "nurses"))
	s.Entitle(t, "nurses", rows...)
	return s
}

// nurse is an entry of the list, and what its owner types.
var nurse = identity.ListRow{Line: 2, Number: "0012", Name: "남궁별이", BirthDate: jaritest.BornForE3, Phone: "010-2345-0001"}

func claims(row identity.ListRow) map[string]any {
	return map[string]any{"scheme": "list", "number": row.Number, "name": row.Name, "birth_date": row.BirthDate, "phone": row.Phone}
}

// verifies goes through a verification with these claims.
func verifies(t *testing.T, s *jaritest.Server, claims map[string]any) *jaritest.Citizen {
	t.Helper()
	c := s.Stranger(jaritest.BornForE3)
	c.Phone = claims["phone"].(string)
	var v httpapi.Verification
	s.Do(t, http.MethodPost, "/v1/verifications", claims).Want(t, http.StatusAccepted).Into(t, &v)
	var session httpapi.Session
	c.GiveCode(t, v.VerificationId, c.Code(t)).Want(t, http.StatusOK).Into(t, &session)
	c.Session = session.Token
	c.Admit(t)
	return c
}

func TestKnownFailuresOfEntitlement(t *testing.T) {
	t.Parallel()
	for name, claim := range map[string]func(*testing.T){
		"made_up_entitlement":    madeUpEntitlement,
		"same_entitlement_twice": sameEntitlementTwice,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claim(t)
		})
	}
}

func madeUpEntitlement(t *testing.T) {
	s := entitled(t, "list", nurse)
	for what, change := range map[string]func(map[string]any){
		"a number that nobody has":         func(c map[string]any) { c["number"] = "0013" },
		"a number that has lost its zeros": func(c map[string]any) { c["number"] = "12" },
		"no number":                        func(c map[string]any) { delete(c, "number") },
		"another's name":                   func(c map[string]any) { c["name"] = "홍길동" },
		"another birth date":               func(c map[string]any) { c["birth_date"] = "1964-05-06" },
		"a stranger's phone":               func(c map[string]any) { c["phone"] = s.NewPhone() },
	} {
		c := claims(nurse)
		change(c)
		got := s.Do(t, http.MethodPost, "/v1/verifications", c)
		if got.Status != http.StatusForbidden || got.Code != fault.CodeNotOnList {
			t.Errorf("with %s: %d %s", what, got.Status, got.Code)
		}
		phone := s.Stranger(jaritest.BornForE3)
		phone.Phone = c["phone"].(string)
		if n := len(phone.Messages(t)); n != 0 {
			t.Errorf("with %s %d messages were sent", what, n)
		}
	}
	c := claims(nurse)
	c["scheme"] = "phone"
	delete(c, "number")
	s.Do(t, http.MethodPost, "/v1/verifications", c).Want(t, http.StatusBadRequest, fault.CodeSchemeNotOffered)
	if n := count(t, s, `SELECT count(*) FROM persons`); n != 0 {
		t.Errorf("%d people", n)
	}
	// Neither does somebody entitled make others so.
	entitledOne := verifies(t, s, claims(nurse))
	entitledOne.Exchange(t, "minor", map[string]any{"name": "홍아기", "birth_date": "2015-05-05"}).
		Want(t, http.StatusForbidden, fault.CodeOwnVerificationRequired)
	// Asking the list costs as much as a code, so nobody tries names without end.
	c = claims(nurse)
	c["phone"], c["number"] = s.NewPhone(), "0099"
	var got jaritest.Response
	for range 30 {
		if got = s.Do(t, http.MethodPost, "/v1/verifications", c); got.Code != fault.CodeNotOnList {
			break
		}
	}
	got.Want(t, http.StatusTooManyRequests, fault.CodePhoneLimit)
}

func sameEntitlementTwice(t *testing.T) {
	s := entitled(t, "list", nurse)
	first := verifies(t, s, claims(nurse))
	b := first.MustBook(t, s.Slot(t, jaritest.SiteOfFew, dayE3))
	// Another device, another spelling: the same entry is the same person.
	again := claims(nurse)
	again["number"], again["name"], again["phone"] = " 00-12 ", "남궁 별이", "01023450001"
	second := verifies(t, s, again)
	one, _ := personOf(t, s, first)
	if other, _ := personOf(t, s, second); other != one {
		t.Error("one entry became two people")
	}
	second.Hold(t, s.Slot(t, jaritest.SiteOfFew, dayE3)).Want(t, http.StatusConflict, fault.CodeAlreadyBooked)
	if seen := second.Booking(t); seen.BookingId != b.BookingId {
		t.Errorf("another booking: %+v", seen)
	}
	s.CheckBooks(t)
	// Taken off the list, nobody verifies by it any more; what was booked stays.
	if removed := s.Entitle(t, "nurses"); removed.Removed != 1 {
		t.Fatalf("%+v", removed)
	}
	s.Do(t, http.MethodPost, "/v1/verifications", claims(nurse)).Want(t, http.StatusForbidden, fault.CodeNotOnList)
	if seen := first.Booking(t); seen.Status != "active" {
		t.Errorf("the booking became %s", seen.Status)
	}
}

func TestANationalIDSaysTheBirthDateAndIsForgotten(t *testing.T) {
	t.Parallel()
	const number = "640505-2345678"
	s := entitled(t, "national_id", identity.ListRow{Line: 2, Number: number, Name: "남궁별이", Phone: "010-2345-0001"})
	said := map[string]any{"scheme": "national_id", "name": "남궁 별이", "national_id": number, "phone": "010-2345-0001"}
	with := func(field string, value any) map[string]any {
		out := map[string]any{}
		for k, v := range said {
			out[k] = v
		}
		out[field] = value
		return out
	}
	for _, wrong := range []map[string]any{
		with("birth_date", jaritest.BornForE3), with("national_id", "990229-1234567"), with("national_id", "640505"), with("number", "1"),
	} {
		s.Do(t, http.MethodPost, "/v1/verifications", wrong).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	}
	// Whoever knows a number and a name hasn't the phone.
	s.Do(t, http.MethodPost, "/v1/verifications", with("phone", s.NewPhone())).Want(t, http.StatusForbidden, fault.CodeNotOnList)
	s.Do(t, http.MethodPost, "/v1/verifications", with("national_id", "640505-2345679")).Want(t, http.StatusForbidden, fault.CodeNotOnList)

	c := verifies(t, s, said)
	var me httpapi.Me
	c.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK).Into(t, &me)
	if me.Person.BirthDate.String() != jaritest.BornForE3 {
		t.Errorf("born %s", me.Person.BirthDate)
	}
	c.MustBook(t, s.Slot(t, jaritest.SiteOfFew, dayE3))
	// Also under another name: the number is the person.
	again := verifies(t, s, with("name", "남궁별"))
	again.Hold(t, s.Slot(t, jaritest.SiteOfFew, dayE3)).Want(t, http.StatusConflict, fault.CodeAlreadyBooked)

	var v httpapi.Verification
	s.Do(t, http.MethodPost, "/v1/verifications", said).Want(t, http.StatusAccepted).Into(t, &v)
	if v.CheckDigitFits == nil || *v.CheckDigitFits {
		t.Error("a check digit that doesn't fit isn't told")
	}
	if log := s.Log.String(); strings.Contains(log, "2345678") || strings.Contains(log, "6405052") {
		t.Error("the log has the number")
	}
	if n := count(t, s, `SELECT count(*) FROM verifications v WHERE v::text LIKE '%640505%' OR encode(v.sealed, 'escape') LIKE '%640505%'`); n != 0 {
		t.Error("a row has the number")
	}
}

func TestAPhoneIsChangedThroughTheOldOne(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithChildren())
	parent := s.NewCitizen(t, jaritest.BornForE3)
	child := parent.ActFor(t, "홍아기", "2015-05-05")
	b := parent.MustBook(t, s.Slot(t, jaritest.SiteOfFew, dayE3))
	person, _ := personOf(t, s, parent)
	old, another := *parent, s.NewPhone()

	child.Do(t, http.MethodPost, "/v1/me/phone", map[string]any{"phone": another}).Want(t, http.StatusForbidden, fault.CodeActingForAnother)
	parent.Do(t, http.MethodPost, "/v1/me/phone", map[string]any{"phone": parent.Phone}).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	parent.Do(t, http.MethodPost, "/v1/me/phone", map[string]any{"phone": "02-123-4567"}).Want(t, http.StatusBadRequest, fault.CodePhoneUnsupported)

	var first httpapi.Verification
	parent.Do(t, http.MethodPost, "/v1/me/phone", map[string]any{"phone": another}).Want(t, http.StatusAccepted).Into(t, &first)
	give := func(c *jaritest.Citizen, v httpapi.Verification, code string) jaritest.Response {
		t.Helper()
		return c.Do(t, http.MethodPost, "/v1/me/phone/"+v.VerificationId+"/confirm", map[string]any{"code": code})
	}
	code := old.Code(t)
	// Neither a session nor another person comes out of it.
	parent.GiveCode(t, first.VerificationId, code).Want(t, http.StatusGone, fault.CodeVerificationOver)
	give(s.NewCitizen(t, "1963-01-01"), first, code).Want(t, http.StatusGone, fault.CodeVerificationOver)
	var step httpapi.PhoneChange
	give(parent, first, code).Want(t, http.StatusOK).Into(t, &step)
	if step.Changed || step.Verification == nil {
		t.Fatalf("after the old phone: %+v", step)
	}
	moved := *parent
	moved.Phone = another
	give(parent, *step.Verification, moved.Code(t)).Want(t, http.StatusOK).Into(t, &step)
	if !step.Changed {
		t.Fatalf("after the new phone: %+v", step)
	}

	// The same person, found by the new phone; the old number is nobody's.
	moved.Verify(t)
	if p, _ := personOf(t, s, &moved); p != person {
		t.Error("the new phone is somebody else")
	}
	if seen := moved.Booking(t); seen.BookingId != b.BookingId || seen.Status != "active" {
		t.Errorf("the booking is %+v", seen)
	}
	old.Session = ""
	old.Verify(t)
	if p, _ := personOf(t, s, &old); p == person {
		t.Error("the old phone still is the person")
	}
	// The child went along.
	again := moved.ActFor(t, "홍아기", "2015-05-05")
	one, _ := personOf(t, s, child)
	if p, _ := personOf(t, s, again); p != one {
		t.Error("the child is another")
	}
	if n := count(t, s, `SELECT count(*) FROM audit_entries WHERE act = 'person.new_phone' AND person_id = '`+person+`'`); n != 1 {
		t.Errorf("%d entries of the audit", n)
	}
}
