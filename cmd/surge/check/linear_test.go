package check

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"jari/cmd/surge/journal"
)

// story builds a history whose operations follow each other unless they are told to overlap.
type story struct {
	at      time.Time
	n       int
	entries []journal.Entry
}

func (s *story) add(e journal.Entry, status int, code string, got journal.Got) {
	s.n++
	s.at = s.at.Add(time.Second)
	e.Request, e.Group, e.Asked = string(rune('a'+s.n)), "g", s.at
	if status != 0 {
		s.at = s.at.Add(time.Second)
		e.Answered, e.Status, e.Code, e.Got = s.at, status, code, got
	}
	s.entries = append(s.entries, e)
}

func (s *story) hold(who, hold uuid.UUID, slot int64) {
	s.add(journal.Entry{Op: journal.Hold, Person: who, Slot: slot}, http.StatusOK, "", journal.Got{Hold: hold, Slot: slot})
}

func (s *story) confirm(who, hold uuid.UUID, slot int64, booking uuid.UUID) {
	s.add(journal.Entry{Op: journal.Confirm, Person: who, Slot: slot, Hold: hold}, http.StatusCreated, "", journal.Got{Booking: booking})
}

func (s *story) lose(op journal.Op, who, hold uuid.UUID, slot int64, booking uuid.UUID) {
	s.add(journal.Entry{Op: op, Person: who, Slot: slot, Hold: hold, Booking: booking}, 0, "", journal.Got{})
}

func (s *story) refuse(who, hold uuid.UUID, slot int64, code string) {
	s.add(journal.Entry{Op: journal.Confirm, Person: who, Slot: slot, Hold: hold}, http.StatusConflict, code, journal.Got{})
}

func (s *story) cancel(who, booking uuid.UUID) {
	s.add(journal.Entry{Op: journal.Cancel, Person: who, Booking: booking}, http.StatusOK, "", journal.Got{Booking: booking})
}

func (s *story) read(who, booking uuid.UUID, state string) {
	if booking == uuid.Nil {
		s.add(journal.Entry{Op: journal.Read, Person: who}, http.StatusNotFound, "no_booking", journal.Got{})
		return
	}
	s.add(journal.Entry{Op: journal.Read, Person: who}, http.StatusOK, "", journal.Got{Booking: booking, State: state})
}

func TestHistories(t *testing.T) {
	t.Parallel()
	a, b := uuid.New(), uuid.New()
	h, i, x, y := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	one := map[int64]int{1: 1, 2: 1}
	for name, c := range map[string]struct {
		tell    func(s *story)
		excuses Excuses
		wrong   bool
	}{
		"one after the other": {tell: func(s *story) {
			s.hold(a, h, 1)
			s.confirm(a, h, 1, x)
			s.read(a, x, "active")
			s.cancel(a, x)
			s.read(a, x, "cancelled")
			s.hold(b, i, 1)
			s.confirm(b, i, 1, y)
		}},
		"two have the one place": {wrong: true, tell: func(s *story) {
			s.confirm(a, h, 1, x)
			s.confirm(b, i, 1, y)
		}},
		"two hold the one place": {wrong: true, tell: func(s *story) {
			s.hold(a, h, 1)
			s.hold(b, i, 1)
		}},
		"two hold the one place, and Redis was lost": {excuses: Excuses{RedisLost: true}, tell: func(s *story) {
			s.hold(a, h, 1)
			s.hold(b, i, 1)
			s.confirm(b, i, 1, y)
			s.refuse(a, h, 1, "slot_full")
		}},
		"a person has two bookings": {wrong: true, tell: func(s *story) {
			s.confirm(a, h, 1, x)
			s.confirm(a, i, 2, y)
		}},
		"full and yet there was room": {wrong: true, tell: func(s *story) {
			s.refuse(a, h, 1, "slot_full")
			s.read(a, uuid.Nil, "")
		}},
		"a booking isn't shown": {wrong: true, tell: func(s *story) {
			s.confirm(a, h, 1, x)
			s.read(a, uuid.Nil, "")
		}},
		"a cancelled booking is shown": {wrong: true, tell: func(s *story) {
			s.confirm(a, h, 1, x)
			s.cancel(a, x)
			s.read(a, x, "active")
		}},
		"a booking that was cancelled by nobody": {wrong: true, tell: func(s *story) {
			s.confirm(a, h, 1, x)
			s.read(a, x, "cancelled")
		}},
		"a lost confirm has happened": {tell: func(s *story) {
			s.lose(journal.Confirm, a, h, 1, uuid.Nil)
			s.read(a, x, "active")
			s.refuse(b, i, 1, "slot_full")
		}},
		"a lost confirm hasn't happened": {tell: func(s *story) {
			s.lose(journal.Confirm, a, h, 1, uuid.Nil)
			s.read(a, uuid.Nil, "")
			s.confirm(b, i, 1, y)
		}},
		"a lost confirm has happened and hasn't": {wrong: true, tell: func(s *story) {
			s.lose(journal.Confirm, a, h, 1, uuid.Nil)
			s.read(a, x, "active")
			s.confirm(b, i, 1, y)
		}},
		"a lost cancel has happened": {tell: func(s *story) {
			s.confirm(a, h, 1, x)
			s.lose(journal.Cancel, a, uuid.Nil, 0, x)
			s.confirm(b, i, 1, y)
			s.read(a, x, "cancelled")
		}},
		"a lost cancel hasn't happened": {tell: func(s *story) {
			s.confirm(a, h, 1, x)
			s.lose(journal.Cancel, a, uuid.Nil, 0, x)
			s.read(a, x, "active")
		}},
		"a hold whose booking has ended is given again, and its place to another": {tell: func(s *story) {
			s.confirm(a, h, 1, x)
			s.cancel(a, x)
			s.hold(a, h, 1)
			s.refuse(a, h, 1, "hold_spent")
			s.hold(b, i, 1)
		}},
		"the same hold is confirmed again": {tell: func(s *story) {
			s.confirm(a, h, 1, x)
			s.confirm(a, h, 1, x)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &story{at: time.Date(2021, 7, 12, 15, 0, 0, 0, time.UTC)}
			c.tell(s)
			n, wrong := Linearize(s.entries, one, c.excuses)
			if n != 1 || (len(wrong) > 0) != c.wrong {
				t.Errorf("%d histories, %+v", n, wrong)
			}
		})
	}
}

func TestSendsOfOneRequestAreOneOperation(t *testing.T) {
	t.Parallel()
	a, h, x := uuid.New(), uuid.New(), uuid.New()
	s := &story{at: time.Date(2021, 7, 12, 15, 0, 0, 0, time.UTC)}
	s.lose(journal.Confirm, a, h, 1, uuid.Nil)
	s.confirm(a, h, 1, x)
	s.entries[1].Request = s.entries[0].Request
	if history, _, err := historyOf(s.entries, map[int64]int{1: 1}); err != nil || len(history) != 1 {
		t.Errorf("%d operations, %v", len(history), err)
	}
}

func TestAHistoryThatIsTooLargeIsNotJudged(t *testing.T) {
	t.Parallel()
	s := &story{at: time.Date(2021, 7, 12, 15, 0, 0, 0, time.UTC)}
	for range MostPersons + 1 {
		s.read(uuid.New(), uuid.Nil, "")
	}
	if n, wrong := Linearize(s.entries, nil, Excuses{}); n != 0 || len(wrong) != 1 {
		t.Errorf("%d histories, %+v", n, wrong)
	}
}
