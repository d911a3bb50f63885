package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jari/cmd/surge/check"
	"jari/cmd/surge/journal"
	"jari/internal/fault"
)

func TestCellsAreChosenByName(t *testing.T) {
	t.Parallel()
	all := len(cells())
	for name, c := range map[string]struct {
		command faultsCommand
		least   int
		most    int
	}{
		"all":       {faultsCommand{}, all, all},
		"the short": {faultsCommand{Short: true}, 5, all - 3},
		"named":     {faultsCommand{Cells: []string{"expiry", "none"}}, 2, 2},
		"of cycles": {faultsCommand{Cycles: map[string]int64{kindPostgres: 20}}, all, all},
	} {
		if chosen, err := c.command.choose(); err != nil || len(chosen) < c.least || len(chosen) > c.most {
			t.Errorf("%s: %d cells, %v", name, len(chosen), err)
		}
	}
	for _, c := range []faultsCommand{
		{Cells: []string{"nothing"}}, {Cycles: map[string]int64{"fire": 3}}, {Cycles: map[string]int64{kindKill: 0}},
	} {
		if _, err := c.choose(); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

func TestACellIsCountedFromItsJournal(t *testing.T) {
	t.Parallel()
	began := time.Date(2021, 7, 12, 15, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	booking := uuid.New()
	entries := []journal.Entry{
		{Op: journal.Confirm, Asked: at(1), Answered: at(2), Status: http.StatusCreated, Got: journal.Got{Booking: booking}},
		{Op: journal.Confirm, Asked: at(1), Answered: at(2), Status: http.StatusOK, Got: journal.Got{Booking: booking}},
		{Op: journal.Confirm, Asked: at(3)},
		{Op: journal.Hold, Asked: at(3), Answered: at(4), Status: http.StatusServiceUnavailable},
		{Op: journal.Hold, Asked: at(3), Answered: at(7), Status: http.StatusConflict},
		{Op: journal.Hold, Asked: at(20), Answered: at(21), Status: http.StatusOK}, // of the sale
	}
	var o outcome
	o.count(entries, began, at(8))
	if o.Requests != 5 || o.Confirmed != 1 || o.Lost != 1 || o.NotNow != 1 || o.Away != 5 {
		t.Errorf("%+v", o)
	}
}

func TestTheTableSaysWhatFailed(t *testing.T) {
	t.Parallel()
	r := faultsReport{Command: "surge faults", Cells: []outcome{
		{Cell: "fine", Violations: map[int]int{}},
		{Cell: "torn", Violations: map[int]int{3: 2}, Examples: []check.Violation{{Invariant: 3, What: "a booking is lost"}}},
		{Cell: "idle", TooLittle: "the fault was fired 0 times instead of 3"},
	}}
	var out bytes.Buffer
	if err := r.markdown(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| 0 |\n", "| (3) 2 |\n", "failed: the fault was fired 0 times", "- torn (3): a booking is lost"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
	if r.Cells[0].bad() || !r.Cells[1].bad() || !r.Cells[2].bad() {
		t.Error("the wrong cells failed")
	}
}

func TestAnswersAreUnderstood(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	hold := `{"hold_id":"` + id.String() + `","hold_token":"T","expires_at":"2021-07-13T00:05:00+09:00","slot":{"slot_id":"7"}}`
	a := understand(journal.Hold, http.StatusOK, []byte(hold))
	if !a.final() || a.got.Hold != id || a.got.Slot != 7 || a.hold.token != "T" || a.got.Until.IsZero() {
		t.Errorf("a hold: %+v", a)
	}
	a = understand(journal.Hold, http.StatusConflict, []byte(`{"status":409,"code":"holds_other","hold":`+hold+`}`))
	if a.code != fault.CodeHoldsOther || a.hold.id != id || a.got != (journal.Got{}) {
		t.Errorf("a refusal: %+v", a)
	}
	a = understand(journal.Confirm, http.StatusCreated,
		[]byte(`{"booking_id":"`+id.String()+`","reference":"R","status":"active","slot":{"slot_id":"7"}}`))
	if a.got.Booking != id || a.got.Reference != "R" || a.got.State != "active" || a.got.Slot != 7 {
		t.Errorf("a booking: %+v", a)
	}
	if a = understand(journal.Confirm, http.StatusCreated, []byte(`{"booking_id":"`)); a.final() {
		t.Errorf("half an answer: %+v", a)
	}
}

func TestAPublicNameLeadsToWhoeverIsThere(t *testing.T) {
	t.Parallel()
	var p public
	if p.pick(1, 0) != "" {
		t.Error("nobody is there")
	}
	p.set(1, "b")
	if p.pick(0, 0) != "b" || p.pick(1, 1) != "b" {
		t.Error("one is there")
	}
	p.set(0, "a")
	if p.pick(0, 0) != "a" || p.pick(0, 1) != "b" {
		t.Error("the second try is for the other")
	}
}

func TestReportsOfFaultsHaveTheFieldsThatTheyPromise(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(faultsReport{Cells: []outcome{{}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"revision", "command", "cells", "faults_fired", "violations", "confirmed", "lost_answers", "broken_holds"} {
		if !bytes.Contains(raw, []byte(`"`+name+`"`)) {
			t.Errorf("the field %s is missing", name)
		}
	}
}
