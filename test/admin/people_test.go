package admin_test

import (
	"net/http"
	"testing"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

const hasPapers = "showed an identity card"

func TestTheDeskGivesANewPhoneAndEndsTheSessions(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithChildren())
	other := s.Another(t)
	key := s.AdminKey(t, "desk")
	citizen := s.NewCitizen(t, jaritest.BornForE3)
	child := citizen.ActFor(t, "홍아기", "2015-05-05")
	b := citizen.MustBook(t, s.Slot(t, jaritest.SiteOfFew, "2021-07-27"))
	bystander := s.Stranger(jaritest.BornForE3)
	bystander.Name = "홍길동"
	bystander.Verify(t)

	person, _ := s.Tokens(t).OpenSession(citizen.Session)
	id := person.Person.String()

	phone := s.NewPhone()
	path := "/admin/v1/people/" + id + "/phone"
	do(t, s, key, http.MethodPut, path, map[string]any{"phone": phone}).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	do(t, s, key, http.MethodPut, path, map[string]any{"phone": "02-123-4567", "reason": hasPapers}).Want(t, http.StatusBadRequest, fault.CodePhoneUnsupported)
	do(t, s, key, http.MethodPut, "/admin/v1/people/nobody/phone", map[string]any{"phone": phone, "reason": hasPapers}).Want(t, http.StatusNotFound, fault.CodeNotFound)
	citizen.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK) // refusals end nothing
	do(t, s, key, http.MethodPut, path, map[string]any{"phone": phone, "reason": hasPapers}).Want(t, http.StatusNoContent)
	if n := looks(t, s, "person.new_phone", id); n != 1 {
		t.Errorf("%d new phones are in the audit", n)
	}

	// Whoever has the old phone may have had a session: all are over, also those in which the person acts.
	for _, c := range []*jaritest.Citizen{citizen, child} {
		c.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusUnauthorized, fault.CodeSessionExpired)
	}
	other.Refresh(t)
	citizen.At(other).Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusUnauthorized, fault.CodeSessionExpired)
	bystander.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK)

	citizen.Phone = phone
	citizen.Verify(t)
	citizen.Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK)
	if seen := citizen.Booking(t); seen.BookingId != b.BookingId {
		t.Errorf("another booking: %+v", seen)
	}
	// A server that starts anew knows it too.
	third := s.Another(t)
	child.At(third).Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusUnauthorized, fault.CodeSessionExpired)
	citizen.At(third).Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK)
}

func TestTheDeskLooksAtNamesakesAndCorrectsNames(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	key := s.AdminKey(t, "desk")
	var flagged httpapi.FlaggedList
	list := func(query string) httpapi.FlaggedList {
		t.Helper()
		flagged = httpapi.FlaggedList{}
		do(t, s, key, http.MethodGet, "/admin/v1/people/flagged"+query, nil).Want(t, http.StatusOK).Into(t, &flagged)
		return flagged
	}
	if got := list(""); got.People == nil || len(got.People) != 0 {
		t.Errorf("%+v", got)
	}
	first := s.NewCitizen(t, jaritest.BornForE3)
	for range 2 { // the same person by what they say, with other phones
		again := s.Stranger(jaritest.BornForE3)
		again.Name = first.Name
		again.Verify(t)
	}
	page := list("?limit=1")
	if len(page.People) != 1 || page.Next == nil || len(page.People[0].OtherPersonIds) != 2 {
		t.Fatalf("%+v", page)
	}
	rest := list("?limit=1&after=" + *page.Next)
	if len(rest.People) != 1 || rest.People[0].Person.PersonId == page.People[0].Person.PersonId {
		t.Fatalf("%+v after %+v", rest, page)
	}
	do(t, s, key, http.MethodGet, "/admin/v1/people/flagged?after=yesterday", nil).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)

	person := rest.People[0].Person.PersonId
	settle := "/admin/v1/people/" + person + "/settle"
	do(t, s, key, http.MethodPost, settle, map[string]any{"reason": hasPapers}).Want(t, http.StatusNoContent)
	do(t, s, key, http.MethodPost, settle, map[string]any{"reason": hasPapers}).Want(t, http.StatusNotFound, fault.CodeNotFound)
	if left := list(""); len(left.People) != 1 || left.People[0].Person.PersonId != page.People[0].Person.PersonId {
		t.Errorf("%+v", left)
	}
	if n := looks(t, s, "person.settle", person); n != 1 {
		t.Errorf("%d settlings are in the audit", n)
	}

	name := "/admin/v1/people/" + person + "/name"
	do(t, s, key, http.MethodPut, name, map[string]any{"name": "1234", "reason": hasPapers}).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	do(t, s, key, http.MethodPut, name, map[string]any{"name": "남궁달", "reason": hasPapers}).Want(t, http.StatusNoContent)
	var found httpapi.PeopleList
	do(t, s, key, http.MethodPost, "/admin/v1/people/search", map[string]any{
		"person": map[string]any{"name": "남궁 달", "birth_date": jaritest.BornForE3}, "reason": hasPapers,
	}).Want(t, http.StatusOK).Into(t, &found)
	if len(found.People) != 1 || found.People[0].PersonId != person || *found.People[0].Name != "남*달" {
		t.Errorf("%+v", found)
	}
	for _, role := range []string{"viewer", "clinic", "operator", "editor", "publisher"} {
		other := s.ClinicKey(t, jaritest.SiteOfFew)
		if role != "clinic" {
			other = s.AdminKey(t, role)
		}
		do(t, s, other, http.MethodGet, "/admin/v1/people/flagged", nil).Want(t, http.StatusForbidden, fault.CodeRoleRequired)
	}
}

// looks is how many entries of an act the audit has about a person.
func looks(t *testing.T, s *jaritest.Server, act, person string) (n int) {
	t.Helper()
	if err := s.Pool.QueryRow(t.Context(), `SELECT count(*) FROM audit_entries WHERE act = $1 AND person_id = $2 AND reason = $3`,
		act, person, hasPapers).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
