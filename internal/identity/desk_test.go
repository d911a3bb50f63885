package identity

import (
	"context"
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
