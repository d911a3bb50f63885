package admin_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// dayN is a day that nurses may book.
const dayN = "2021-07-27"

// nurses is a list as an office has it: heading, and a line for each.
func nurses(lines ...string) string {
	return "name,birth_date,phone\n" + strings.Join(lines, "\n") + "\n"
}

// lineOf is the line of a citizen.
func lineOf(c *jaritest.Citizen) string {
	return strings.Join([]string{c.Name, c.BirthDate, c.Phone}, ",")
}

// importing sends a file to a list.
func importing(t *testing.T, s *jaritest.Server, key, list, query, file string) jaritest.Response {
	t.Helper()
	return s.Send(t, jaritest.CSV("/admin/v1/lists/"+list+"/imports"+query, file).With("Authorization", "Bearer "+key))
}

// office are two people who import and sign off.
type office struct {
	s           *jaritest.Server
	editor, two string
}

func newOffice(t *testing.T, s *jaritest.Server) office {
	t.Helper()
	return office{s, s.AdminKey(t, "editor"), s.AdminKey(t, "publisher")}
}

func (o office) importing(t *testing.T, list, query, file string) (i httpapi.ListImport) {
	t.Helper()
	importing(t, o.s, o.editor, list, query, file).Want(t, http.StatusCreated).Into(t, &i)
	return i
}

func (o office) signs(t *testing.T, key string, i httpapi.ListImport) jaritest.Response {
	t.Helper()
	return do(t, o.s, key, http.MethodPost, "/admin/v1/lists/"+i.List+"/imports/"+i.ImportId+"/sign-off", map[string]any{"checksum": i.Checksum})
}

// entitle makes a list of nurses, by the two.
func (o office) entitle(t *testing.T, lines ...string) httpapi.ListImport {
	t.Helper()
	i := o.importing(t, "nurses", "", nurses(lines...))
	o.signs(t, o.two, i).Want(t, http.StatusOK).Into(t, &i)
	o.s.Refresh(t)
	return i
}

// aNurse is somebody who may book by the list alone.
func aNurse(t *testing.T, s *jaritest.Server) *jaritest.Citizen {
	t.Helper()
	return s.NewCitizen(t, "1990-05-06")
}

func TestAListAdmitsWhoIsOnItAndNobodyElse(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithNurses())
	other := s.Another(t)
	o := newOffice(t, s)
	nurse, stranger := aNurse(t, s), aNurse(t, s) // of one name and birth date
	slot := s.Slot(t, jaritest.SiteOfFew, dayN)
	keptOut := func(c *jaritest.Citizen, when string) {
		t.Helper()
		if got := c.Hold(t, slot); got.Code != fault.CodeNotEligible {
			t.Errorf("%s: %d %s", when, got.Status, got.Code)
		}
	}
	keptOut(nurse, "before there is a list")
	i := o.importing(t, "nurses", "", nurses(lineOf(nurse)))
	if i.State != "waiting" || i.Entries != 1 || i.Added != 1 {
		t.Fatalf("%+v", i)
	}
	s.Refresh(t)
	keptOut(nurse, "before the sign-off")
	o.signs(t, o.editor, i).Want(t, http.StatusForbidden, fault.CodeRoleRequired)
	for range 2 { // the second time after a lost answer
		o.signs(t, o.two, i).Want(t, http.StatusOK)
	}
	// The session is from before the list; every instance knows.
	for _, at := range []*jaritest.Server{s, other} {
		at.Refresh(t)
		nurse.At(at).Hold(t, slot).Want(t, http.StatusOK)
		if got := stranger.At(at).Hold(t, slot); got.Code != fault.CodeNotEligible {
			t.Errorf("a namesake with another phone: %d %s", got.Status, got.Code)
		}
	}
	b := nurse.MustBook(t, slot)

	// Whoever verifies now has it in the session; another phone doesn't take them off.
	late := s.Stranger("1991-06-06")
	late.Name = "홍길동"
	o.entitle(t, lineOf(nurse), lineOf(late))
	late.Verify(t)
	late.Admit(t)
	late.Hold(t, slot).Want(t, http.StatusOK)
	desk := s.AdminKey(t, "desk")
	person, _ := s.Tokens(t).OpenSession(late.Session)
	moved := s.NewPhone()
	do(t, s, desk, http.MethodPut, "/admin/v1/people/"+person.Person.String()+"/phone", map[string]any{"phone": moved, "reason": hasPapers}).
		Want(t, http.StatusNoContent)
	late.Phone = moved
	late.Verify(t)
	late.Admit(t)
	late.Hold(t, s.Slot(t, jaritest.SiteOfMany, dayN), "instead_of", late.MustHold(t, slot).HoldId).Want(t, http.StatusOK)

	// Taken off the list, nobody holds by it any more, whatever their session says; what was booked stays.
	var gone httpapi.ListImport
	do(t, s, o.editor, http.MethodDelete, "/admin/v1/lists/nurses", nil).Want(t, http.StatusAccepted).Into(t, &gone)
	o.signs(t, o.two, gone).Want(t, http.StatusOK)
	for _, at := range []*jaritest.Server{s, other} {
		at.Refresh(t)
		if got := late.At(at).Hold(t, s.Slot(t, jaritest.Island, dayN)); got.Code != fault.CodeNotEligible {
			t.Errorf("after the removal: %d %s", got.Status, got.Code)
		}
	}
	if seen := nurse.Booking(t); seen.BookingId != b.BookingId || seen.Status != "active" {
		t.Errorf("%+v", seen)
	}
	if n := countOf(t, s, `SELECT count(*) FROM list_entries`); n != 0 {
		t.Errorf("%d entries stay of a list that is gone", n)
	}
	s.CheckBooks(t)
	s.WantNoTrace(t, []*jaritest.Citizen{nurse, late})
}

func countOf(t *testing.T, s *jaritest.Server, query string, args ...any) (n int) {
	t.Helper()
	if err := s.Pool.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestASecondPersonSignsAListOff(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	o := newOffice(t, s)
	owner := s.AdminKey(t, "owner")
	var i httpapi.ListImport
	importing(t, s, owner, "nurses", "", nurses("홍길동,1990-05-05,010-2000-1000")).Want(t, http.StatusCreated).Into(t, &i)
	o.signs(t, owner, i).Want(t, http.StatusConflict, fault.CodeSamePerson)
	var made httpapi.MadeKey
	do(t, s, owner, http.MethodPost, "/admin/v1/keys", map[string]any{"name": "another of mine", "role": "publisher"}).
		Want(t, http.StatusCreated).Into(t, &made)
	o.signs(t, made.Key, i).Want(t, http.StatusConflict, fault.CodeSamePerson)
	wrong := i
	wrong.Checksum = strings.Repeat("0", 24)
	o.signs(t, o.two, wrong).Want(t, http.StatusConflict, fault.CodeChecksumDiffers)
	wrong.Checksum, wrong.ImportId = i.Checksum, "nothing"
	o.signs(t, o.two, wrong).Want(t, http.StatusNotFound, fault.CodeImportNotFound)
	o.signs(t, o.two, i).Want(t, http.StatusOK)

	// What was counted against another list isn't signed off.
	first := o.importing(t, "nurses", "", nurses("홍길동,1990-05-05,010-2000-1000", "임꺽정,1990-05-06,010-2000-1001"))
	second := o.importing(t, "nurses", "", nurses("임꺽정,1990-05-06,010-2000-1001"))
	o.signs(t, o.two, first).Want(t, http.StatusOK)
	o.signs(t, o.two, second).Want(t, http.StatusConflict, fault.CodeChangedMeanwhile)
	path := "/admin/v1/lists/nurses/imports/" + second.ImportId
	for range 2 {
		do(t, s, o.editor, http.MethodDelete, path, nil).Want(t, http.StatusOK)
	}
	o.signs(t, o.two, second).Want(t, http.StatusGone, fault.CodeImportOver)
	do(t, s, o.editor, http.MethodDelete, "/admin/v1/lists/nurses/imports/"+first.ImportId, nil).Want(t, http.StatusGone, fault.CodeImportOver)
	var all httpapi.ListImports
	do(t, s, o.editor, http.MethodGet, "/admin/v1/lists/nurses/imports", nil).Want(t, http.StatusOK).Into(t, &all)
	if len(all.Imports) != 3 || all.Imports[0].State != "withdrawn" || all.Imports[1].Added != 1 || all.Imports[1].Kept != 1 {
		t.Errorf("%+v", all)
	}
	do(t, s, o.editor, http.MethodDelete, "/admin/v1/lists/doctors", nil).Want(t, http.StatusNotFound, fault.CodeListNotFound)
}

//nolint:paralleltest // they are about the same lists, one after the other
func TestKnownFailuresOfLists(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	o := newOffice(t, s)
	t.Run("empty_list_is_200", func(t *testing.T) {
		var lists httpapi.EntitledLists
		do(t, s, o.editor, http.MethodGet, "/admin/v1/lists", nil).Want(t, http.StatusOK).Into(t, &lists)
		if lists.Lists == nil || lists.Waiting == nil || len(lists.Lists)+len(lists.Waiting) != 0 {
			t.Errorf("%+v", lists)
		}
		var imports httpapi.ListImports
		do(t, s, o.editor, http.MethodGet, "/admin/v1/lists/nobodys/imports", nil).Want(t, http.StatusOK).Into(t, &imports)
		if imports.Imports == nil || len(imports.Imports) != 0 {
			t.Errorf("%+v", imports)
		}
	})
	t.Run("bad_rows_are_named", func(t *testing.T) {
		t.Parallel()
		p := importing(t, s, o.editor, "bad", "", nurses(
			"홍길동,1990-05-05,010-2000-1000", "임꺽정,1990/05/06,010-2000-1001", "장길산,1990-05-07", "홍 길동,1990-05-05,01020001000", "남궁별이,1990-05-08,",
		)).Want(t, http.StatusConflict, fault.CodeRowsRefused).Problem(t)
		var told []string
		for _, row := range p.RefusedRows.Named {
			told = append(told, strconv.Itoa(row.Line))
			if strings.Contains(row.Problem, "길") {
				t.Errorf("a fault repeats the row: %s", row.Problem)
			}
		}
		if got := strings.Join(told, " "); got != "3 4 6 5" && got != "3 4 5 6" || p.RefusedRows.Faults != 4 || p.RefusedRows.Rows != 5 {
			t.Errorf("lines %s, %+v", got, *p.RefusedRows)
		}
		if n := countOf(t, s, `SELECT count(*) FROM list_imports WHERE list = 'bad'`); n != 0 {
			t.Errorf("%d imports are kept", n)
		}
	})
	t.Run("list_import_keeps_leading_zeros", func(t *testing.T) {
		t.Parallel()
		const people = 403
		right, spoilt := []string{"number,name,birth_date,phone"}, []string{"number,name,birth_date,phone"}
		for i := range people {
			rest := fmt.Sprintf(",홍길동,1967-01-01,010-2000-%04d", i)
			right = append(right, fmt.Sprintf("%06d", 1+i*7)+rest)
			spoilt = append(spoilt, strconv.Itoa(1+i*7)+rest)
		}
		file := strings.Join(spoilt, "\n")
		importing(t, s, o.editor, "district", "", file).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
		p := importing(t, s, o.editor, "district", "?number_digits=6", file).Want(t, http.StatusConflict, fault.CodeRowsRefused).Problem(t)
		if p.RefusedRows.Faults != people || p.RefusedRows.Named[0].Line != 2 || *p.RefusedRows.Named[0].Column != "number" {
			t.Errorf("%+v", *p.RefusedRows)
		}
		if i := o.importing(t, "district", "?number_digits=6", "\ufeff"+strings.Join(right, "\r\n")); i.Entries != people || i.Added != people {
			t.Errorf("%+v", i)
		}
	})
}
