package journal

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestWhatIsAskedIsWrittenBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	j := New(&out)
	at := j.Ask(Entry{Request: "a", Op: Confirm, Person: uuid.New()})
	if lines := strings.Count(out.String(), "\n"); lines != 1 {
		t.Errorf("%d lines before the answer", lines)
	}
	entries, err := j.Entries()
	if err != nil || !entries[0].Lost() || entries[0].Final() {
		t.Errorf("%+v, %v", entries, err)
	}
	j.Answer(at, http.StatusCreated, "", Got{Booking: uuid.New()})
	if entries, _ = j.Entries(); !entries[0].Good() || !entries[0].Final() || entries[0].Got.Booking == uuid.Nil {
		t.Errorf("%+v", entries)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 2 {
		t.Errorf("%d lines after the answer", lines)
	}
}

func TestNotNowIsNotFinal(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{
		http.StatusOK: true, http.StatusConflict: true, http.StatusGone: true, http.StatusNotFound: true,
		http.StatusServiceUnavailable: false, http.StatusTooManyRequests: false, http.StatusInternalServerError: false,
	} {
		j := New(&bytes.Buffer{})
		j.Answer(j.Ask(Entry{}), status, "", Got{})
		if entries, _ := j.Entries(); entries[0].Final() != want {
			t.Errorf("%d is final: %v", status, !want)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestAJournalThatCantBeWrittenSaysSo(t *testing.T) {
	t.Parallel()
	j := New(full{})
	j.Ask(Entry{})
	if _, err := j.Entries(); err == nil {
		t.Error("nothing was said")
	}
}
