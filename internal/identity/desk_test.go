package identity

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jari/internal/audit"
	"jari/internal/fault"
)

// clerk is somebody at the desk.
func (d *desk) clerk() context.Context {
	return audit.With(d.t.Context(), audit.KeyActor("clerk"), "192.0.2.7")
}

var papers = Desk{Reason: "신분증을 확인함"}

func TestTheDeskGivesANewPhoneAndThePersonStays(t *testing.T) {
	t.Parallel()
	d := setup(t)
	person := d.verified(hong).Person.ID
	if err := d.GiveNewPhone(d.clerk(), papers, person, "010-2000-1001"); err != nil {
		t.Fatal(err)
	}
	moved := hong
	moved.Phone = "010-2000-1001"
	if got := d.verified(moved).Person.ID; got != person {
		t.Error("the new phone is somebody else")
	}
	if p, err := d.Person(t.Context(), person); err != nil || p.Phone != "+821020001001" {
		t.Errorf("%v, %v", p.Phone, err)
	}
	if n := d.number(`SELECT count(*) FROM audit_entries WHERE act = 'person.new_phone' AND actor = 'key:clerk' AND person_id = $1 AND reason = $2`,
		person, papers.Reason); n != 1 {
		t.Errorf("%d entries of the audit", n)
	}
	// Whoever gets the old number, and says the same, is another, whom the desk looks at.
	if got := d.verified(hong).Person.ID; got == person {
		t.Error("the old phone is still the person")
	}
	d.want(d.GiveNewPhone(d.clerk(), papers, person, hong.Phone), fault.CodePossiblyRegistered)
	d.want(d.GiveNewPhone(d.clerk(), papers, person, "02-123-4567"), fault.CodePhoneUnsupported)
	d.want(d.GiveNewPhone(d.clerk(), papers, uuid.New(), "010-2000-1002"), fault.CodeNotFound)
	d.want(d.GiveNewPhone(d.clerk(), Desk{}, person, "010-2000-1002"), fault.CodeInvalidRequest)
	if err := d.GiveNewPhone(t.Context(), papers, person, "010-2000-1002"); err == nil {
		t.Error("nobody gave a phone away")
	}
	if p, err := d.Person(t.Context(), person); err != nil || p.Phone != "+821020001001" {
		t.Errorf("after refusals: %v, %v", p.Phone, err)
	}
}

func TestAPhonesOrdinalsAreGivenOutAgain(t *testing.T) {
	t.Parallel()
	d := setup(t, func(r *Rules) { r.PersonsPerPhone = 2 })
	first := d.verified(hong).Person.ID
	second := hong
	second.Name = "임꺽정"
	d.verified(second)
	third := hong
	third.Name = "장길산"
	id := d.start(third)
	_, err := d.Confirm(t.Context(), id, d.code(id), "")
	d.want(err, fault.CodePersonsPerPhone)
	if err := d.GiveNewPhone(d.clerk(), papers, first, "010-2000-1001"); err != nil {
		t.Fatal(err)
	}
	d.verified(third)
	if n := d.number(`SELECT count(DISTINCT phone_ordinal) FROM persons WHERE phone_index = (SELECT phone_index FROM persons GROUP BY 1 HAVING count(*) = 2)`); n != 2 {
		t.Errorf("%d ordinals", n)
	}
	d.want(d.GiveNewPhone(d.clerk(), papers, first, hong.Phone), fault.CodePersonsPerPhone)
}

func TestTheDeskCorrectsANameAndThePersonStays(t *testing.T) {
	t.Parallel()
	d := setup(t)
	typo := hong
	typo.Name = "홍긴동"
	person := d.verified(typo).Person.ID
	if err := d.CorrectName(d.clerk(), papers, person, " 홍 길동 "); err != nil {
		t.Fatal(err)
	}
	if got := d.verified(hong).Person.ID; got != person {
		t.Error("the right name is somebody else")
	}
	if got := d.verified(typo).Person.ID; got == person {
		t.Error("the wrong name is still the person")
	}
	d.want(d.CorrectName(d.clerk(), papers, person, "홍긴동"), fault.CodePossiblyRegistered)
	d.want(d.CorrectName(d.clerk(), papers, person, "1234"), fault.CodeInvalidRequest)
	if n := d.number(`SELECT count(*) FROM audit_entries WHERE act = 'person.correct_name'`); n != 1 {
		t.Errorf("%d entries of the audit", n)
	}
	if n := d.number(`SELECT count(*) FROM audit_entries e WHERE e::text LIKE '%길동%'`); n != 0 {
		t.Error("the audit names the person")
	}
}

func TestTheDeskSeesNamesakesAndSettlesThem(t *testing.T) {
	t.Parallel()
	d := setup(t)
	first := d.verified(hong).Person.ID
	other := hong
	other.Phone = "010-2000-1001"
	second := d.verified(other).Person.ID
	list, err := d.ListFlagged(d.clerk(), time.Time{}, uuid.Nil, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Person.ID != second || len(list[0].Others) != 1 || list[0].Others[0] != first || list[0].Person.Name != hong.Name {
		t.Fatalf("%+v", list)
	}
	if after, err := d.ListFlagged(d.clerk(), list[0].FlaggedAt, second, 10); err != nil || len(after) != 0 {
		t.Errorf("after the last: %+v, %v", after, err)
	}
	if err := d.Settle(d.clerk(), papers, second); err != nil {
		t.Fatal(err)
	}
	d.want(d.Settle(d.clerk(), papers, second), fault.CodeNotFound)
	if list, err := d.ListFlagged(d.clerk(), time.Time{}, uuid.Nil, 10); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	d.verified(other) // settled for good
	if n := d.number(`SELECT count(*) FROM persons WHERE flagged_at IS NOT NULL`); n != 0 {
		t.Errorf("%d flagged again", n)
	}
}

func TestAListIsImportedWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	d := setup(t, func(r *Rules) { r.Scheme, r.Binding, r.List = SchemeList, BoundByList, "nurses" })
	good := []ListRow{
		{Line: 2, Number: "0012", Name: "홍길동", BirthDate: "1967-01-01", Phone: "010-2000-1000"},
		{Line: 3, Number: "12", Name: "임꺽정", BirthDate: "1968-02-29", Phone: "010-2000-1001"},
	}
	bad := append([]ListRow{
		{Line: 4, Number: " 00-12", Name: "장길산", BirthDate: "1969-01-01", Phone: "010-2000-1002"},
		{Line: 5, Number: "0/13", Name: "1234", BirthDate: "1967-02-29", Phone: "02-123-4567"},
		{Line: 6, Number: "0014", Name: "장길산", BirthDate: "1969-01-01"},
		{Line: 7, Number: "0015", Name: "장길산", BirthDate: "19690101", Phone: "010-2000-1003"},
	}, good...)
	report, err := d.ImportList(t.Context(), "nurses", bad, false)
	if err != nil || report.Applied || report.Checksum != "" {
		t.Fatalf("%+v, %v", report, err)
	}
	var told []string
	for _, f := range report.Faults {
		told = append(told, strings.Join([]string{string(rune('0' + f.Line)), f.Column, f.Problem}, " "))
		if strings.Contains(f.Problem, "길산") || strings.Contains(f.Problem, "0013") {
			t.Errorf("a fault repeats the row: %s", f.Problem)
		}
	}
	all := strings.Join(told, "\n")
	for _, want := range []string{"2  is the same entry as line 4", "5 number", "5 name", "5 birth_date", "5 phone", "6 phone is missing", "7 birth_date"} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing says %q in\n%s", want, all)
		}
	}
	if len(report.Faults) != 7 || d.number(`SELECT count(*) FROM list_entries`) != 0 {
		t.Errorf("%d faults:\n%s", len(report.Faults), all)
	}

	dry, err := d.ImportList(t.Context(), "nurses", good, true)
	if err != nil || dry.Applied || dry.Added != 2 || d.number(`SELECT count(*) FROM list_entries`) != 0 {
		t.Fatalf("dry: %+v, %v", dry, err)
	}
	done, err := d.ImportList(t.Context(), "nurses", []ListRow{good[1], good[0]}, false)
	if err != nil || !done.Applied || done.Added != 2 || done.Checksum != dry.Checksum || d.number(`SELECT count(*) FROM list_entries`) != 2 {
		t.Fatalf("applied: %+v after %+v, %v", done, dry, err)
	}
	changed := []ListRow{good[0], {Line: 3, Number: "0013", Name: "장길산", BirthDate: "1969-01-01", Phone: "010-2000-1001"}}
	changed[0].Phone = "010-2000-1005"
	next, err := d.ImportList(t.Context(), "nurses", changed, false)
	if err != nil || next.Added != 1 || next.Changed != 1 || next.Removed != 1 || next.Kept != 0 || next.Checksum == done.Checksum {
		t.Errorf("%+v, %v", next, err)
	}
	if again, err := d.ImportList(t.Context(), "nurses", changed, false); err != nil || again.Kept != 2 || again.Added+again.Changed+again.Removed != 0 {
		t.Errorf("%+v, %v", again, err)
	}
	if other, err := d.ImportList(t.Context(), "doctors", nil, false); err != nil || other.Removed != 0 {
		t.Errorf("%+v, %v", other, err)
	}
	_, err = d.ImportList(t.Context(), "", nil, false)
	d.want(err, fault.CodeInvalidRequest)
}
