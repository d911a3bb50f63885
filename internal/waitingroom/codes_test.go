package waitingroom_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"jari/internal/fault"
	"jari/internal/waitingroom"
)

// Whoever waits for a code among everybody is told to ask again when they are about to be called to book, however long the
// line of codes is; from that asking on they are in the lane that goes first, and have used none of their grace.
func TestWhoIsCalledWhileWaitingForACodeIsToldToAskAgain(t *testing.T) {
	t.Parallel()
	s, pool := lines(t, func(o *waitingroom.Options) {
		plans, err := o.Plans()
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, waitingroom.CodesPlan(1, 10*time.Minute, 3*time.Minute))
		o.Plans = func() ([]waitingroom.Plan, error) { return plans, nil }
		o.CodesWaiting = func(context.Context) (int, error) { return 0, nil }
	})
	change := func(statement string, arguments ...any) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), statement, arguments...); err != nil {
			t.Fatal(err)
		}
		if err := s.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// Nobody leads, so that both rooms stand still: 300 people wait for codes of one a second, ten a second come in.
	change(`UPDATE rooms SET state = 'open', numbers = 300 WHERE room_id = '_codes'`)
	change(`UPDATE rooms SET state = 'open', numbers = 100000 WHERE room_id = $1`, line)
	asks := func(who, ticket string, person uuid.UUID) (*fault.Error, waitingroom.NotYourTurn) {
		t.Helper()
		_, err := s.TurnToSend(t.Context(), waitingroom.CodeWanted{
			Phone: uuid.NewSHA1(person, nil), People: []uuid.UUID{person}, Ticket: ticket, Lifetime: 3 * time.Minute,
		})
		e, refused := err.(*fault.Error) //nolint:errorlint // the very error
		if !refused || e.Code != fault.CodeNotYourTurn {
			t.Fatalf("%s is answered %v", who, err)
		}
		n, _ := e.Extra.(waitingroom.NotYourTurn)
		return e, n
	}
	at := func(position int64) uuid.UUID {
		t.Helper()
		person := uuid.New()
		change(`INSERT INTO registrations (room_no, person_id, behind, place, at_ms) SELECT room_no, $1, true, $2, 0 FROM rooms WHERE room_id = $3`,
			person, position, line)
		return person
	}
	near, far, stranger := at(450), at(90_000), uuid.New()
	for _, x := range []struct {
		who         string
		person      uuid.UUID
		least, most time.Duration
	}{
		{"nobody's", stranger, 4 * time.Minute, 6 * time.Minute},
		{"who is called after hours", far, 4 * time.Minute, 6 * time.Minute},
		{"who is called in 45 seconds", near, time.Minute, time.Minute},
	} {
		if e, n := asks(x.who, "", x.person); n.Late || e.RetryAfter < x.least || e.RetryAfter > x.most {
			t.Errorf("%s is told to ask again after %s, in the lane %+v", x.who, e.RetryAfter, n)
		}
	}
	_, before := asks("who is near", "", near)
	// They are called, and longer than a grace passes before they ask.
	change(`UPDATE rooms SET serving = 1000, open_ms = 60000 WHERE room_id = $1`, line)
	change(`INSERT INTO room_servings (room_no, second, serving, late_serving) SELECT room_no, 60, 1000, 0 FROM rooms WHERE room_id = $1`, line)
	change(`UPDATE rooms SET open_ms = 300000 WHERE room_id = $1`, line)
	e, n := asks("who was called meanwhile", before.Ticket.Token, near)
	if !n.Late || *n.Position != 0 || e.RetryAfter > 5*time.Second {
		t.Errorf("who was called meanwhile has %+v and asks again after %s", n, e.RetryAfter)
	}
	if _, n := asks("who was called meanwhile, with the old ticket", before.Ticket.Token, near); !n.Late || *n.Position != 0 {
		t.Errorf("asking again with the old ticket gives %+v", n)
	}
	var used int64
	if err := pool.QueryRow(t.Context(), `SELECT used_ms FROM frozen_graces WHERE person_id = $1`, near).Scan(&used); err != nil || used != 0 {
		t.Errorf("%d ms of a grace were used while a code was waited for (%v)", used, err)
	}
	if _, n := asks("who isn't called", "", far); n.Late {
		t.Error("somebody who isn't called goes first")
	}
}
