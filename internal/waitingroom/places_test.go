package waitingroom_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/fault"
	"jari/internal/waitingroom"
)

func exec(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func take(t *testing.T, s *waitingroom.Service, who uuid.UUID, forDraw bool) waitingroom.Place {
	t.Helper()
	ticket, err := s.Take(t.Context(), line, who, forDraw)
	if err != nil {
		t.Fatal(err)
	}
	return ticket.Place
}

// drawn has the room of lines draw among those who register.
func drawn(o *waitingroom.Options) {
	plans, _ := o.Plans()
	p := plans[0]
	p.Draw, p.RegistrationOpensAt, p.FreezesAt = waitingroom.Local, p.OpensAt.Add(-time.Hour), p.OpensAt
	o.Plans = func() ([]waitingroom.Plan, error) { return []waitingroom.Plan{p}, nil }
}

// Whoever commits after the freeze is behind the draw, also where this instance hasn't heard of the freeze.
func TestWhoComesAfterTheFreezeIsBehindIt(t *testing.T) {
	t.Parallel()
	s, pool := lines(t, drawn)
	exec(t, pool, `UPDATE rooms SET state = 'registration'`)
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	early := uuid.New()
	if p := take(t, s, early, true); p.Behind || p.Number != 0 {
		t.Fatalf("the first has %+v", p)
	}
	exec(t, pool, `UPDATE rooms SET state = 'drawing', drawn = registered`)
	if p := take(t, s, uuid.New(), false); !p.Behind || p.Number != 0 {
		t.Errorf("who came after the freeze has %+v", p)
	}
	if _, err := s.Take(t.Context(), line, uuid.New(), true); fault.CodeOf(err) != fault.CodeRegistrationOver {
		t.Errorf("who wants to be drawn after the freeze: %v", err)
	}
	if p := take(t, s, early, true); p.Behind || p.Number != 0 {
		t.Errorf("the first has %+v after the freeze", p)
	}
	var registered, numbers int
	if err := pool.QueryRow(t.Context(), `SELECT registered, numbers FROM rooms`).Scan(&registered, &numbers); err != nil || registered != 1 || numbers != 1 {
		t.Errorf("%d are registered, and %d came later (%v)", registered, numbers, err)
	}
}

// A block of numbers that couldn't be written within its second is nobody's: who waited gets later ones.
func TestABlockOfNumbersDies(t *testing.T) {
	t.Parallel()
	s, pool := lines(t)
	exec(t, pool, `UPDATE rooms SET state = 'open'`)
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	locked, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer locked.Rollback(t.Context()) //nolint:errcheck // it has ended
	if _, err := locked.Exec(t.Context(), `LOCK TABLE registrations IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	got := make(chan waitingroom.Place, 1)
	go func() {
		p, _ := s.Take(t.Context(), line, uuid.New(), false)
		got <- p.Place
	}()
	for taken := 0; taken == 0; {
		if err := pool.QueryRow(t.Context(), `SELECT numbers FROM rooms`).Scan(&taken); err != nil {
			t.Fatal(err)
		}
	}
	// Postgres itself counts the time that the block has.
	if _, err := locked.Exec(t.Context(), `SELECT pg_sleep(1.2)`); err != nil {
		t.Fatal(err)
	}
	if err := locked.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := <-got; !p.Behind || p.Number == 0 {
		t.Errorf("who waited longer than a block lives has %+v", p)
	}
}

// Who is late has one number in the late lane, however often and on however many devices they ask, until it was called and
// missed.
func TestTheLateLaneGivesOneNumber(t *testing.T) {
	t.Parallel()
	s, pool := lines(t)
	exec(t, pool, `UPDATE rooms SET state = 'open'`)
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	who := uuid.New()
	take(t, s, who, false)
	exec(t, pool, `INSERT INTO room_servings (room_no, second, serving, late_serving) SELECT room_no, 1, 1, 0 FROM rooms`)
	exec(t, pool, `UPDATE rooms SET serving = 1, open_ms = 3600000`)
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask := func() uint64 {
		_, err := s.Admit(t.Context(), waitingroom.Claim{Room: line, Person: who})
		var f *fault.Error
		if fault.CodeOf(err) != fault.CodeNotYourTurn || !errors.As(err, &f) {
			t.Errorf("who is late is answered %v", err)
			return 99
		}
		n, ok := f.Extra.(waitingroom.NotYourTurn)
		if !ok || !n.Late || n.Position == nil {
			t.Errorf("who is late is told %+v", n)
			return 99
		}
		return *n.Position
	}
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if n := ask(); n != 0 {
				t.Errorf("the number is %d", n)
			}
		})
	}
	all.Wait()
	if n := ask(); n != 0 {
		t.Errorf("the number is %d later", n)
	}
	var given int
	if err := pool.QueryRow(t.Context(), `SELECT late_numbers FROM rooms`).Scan(&given); err != nil || given != 1 {
		t.Errorf("%d numbers were given (%v)", given, err)
	}
	// Called and not missed: in. Long after: another number, behind.
	exec(t, pool, `INSERT INTO room_servings (room_no, second, serving, late_serving) SELECT room_no, 3600, 1, 1 FROM rooms`)
	exec(t, pool, `UPDATE rooms SET late_serving = 1, open_ms = 7200000`)
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := ask(); n != 1 {
		t.Errorf("who missed the late lane too has the number %d", n)
	}
}

// A place that was seen in a transaction whose commit failed is nobody's: it is told to nobody, and the next one gets it.
func TestAPlaceIsNobodysUntilItIsCommitted(t *testing.T) {
	t.Parallel()
	s, pool := lines(t, drawn)
	exec(t, pool, `UPDATE rooms SET state = 'registration'`)
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	exec(t, pool, `CREATE FUNCTION no_commit() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$`)
	exec(t, pool, `CREATE CONSTRAINT TRIGGER no_commit AFTER INSERT ON registrations DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION no_commit()`)
	first, second := uuid.New(), uuid.New()
	if ticket, err := s.Take(t.Context(), line, first, true); fault.CodeOf(err) != fault.CodeStoreUnavailable {
		t.Errorf("%+v, %v", ticket.Place, err)
	}
	exec(t, pool, `DROP TRIGGER no_commit ON registrations`)
	if p := take(t, s, second, true); p.Number != 0 {
		t.Errorf("the second has %+v", p)
	}
	if p := take(t, s, first, true); p.Number != 1 {
		t.Errorf("the first has %+v", p)
	}
}

// An instance that hasn't heard of the opening yet gives those their place who got it from another.
func TestWhoRegisteredElsewhereIsKnownBeforeTheOpeningIs(t *testing.T) {
	t.Parallel()
	s, pool := lines(t, drawn)
	other := uuid.New()
	if _, err := pool.Exec(t.Context(), `WITH r AS (UPDATE rooms SET state = 'registration', registered = 1 RETURNING room_no)
		INSERT INTO registrations (room_no, person_id, behind, place, nonce, at_ms) SELECT room_no, $1, false, 0, $2, 0 FROM r`,
		other, make([]byte, len(waitingroom.Nonce{}))); err != nil {
		t.Fatal(err)
	}
	if p := take(t, s, other, true); p.Behind || p.Number != 0 {
		t.Errorf("they have %+v", p)
	}
	if _, err := s.Take(t.Context(), line, uuid.New(), true); fault.CodeOf(err) != fault.CodeRoomNotOpen {
		t.Errorf("somebody else: %v", err)
	}
}
