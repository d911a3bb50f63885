package booking

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/localstores"
	"jari/internal/postgres"
	"jari/internal/slot"
	"jari/internal/token"
	"jari/test/storetest"
)

// bench is a batcher on a database of its own, with one campaign.
type bench struct {
	*batcher
	pool *pgxpool.Pool
}

// noRedis is a Redis that isn't there: what Postgres decides must not depend on it.
type noRedis struct{ givenUp map[uuid.UUID]bool }

func (n noRedis) GivenUp(context.Context, string, []token.Hold) (map[uuid.UUID]bool, error) {
	if n.givenUp == nil {
		return nil, errors.New("not here")
	}
	return n.givenUp, nil
}

func (noRedis) Push(context.Context, string, []slot.Copy, map[int64][]slot.Decided) error {
	return errors.New("not here")
}

var limits = BatchLimits{Rows: 64, Lanes: 4, Queue: 10_000, Wait: 10 * time.Second, Lock: time.Second}

func setup(t *testing.T, capacities ...int) bench {
	t.Helper()
	return setupOn(t, storetest.Postgres(t), noRedis{}, capacities...)
}

func setupOn(t *testing.T, pool *pgxpool.Pool, redis holds, capacities ...int) bench {
	t.Helper()
	return setupWith(t, pool, redis, limits, capacities...)
}

func setupWith(t *testing.T, pool *pgxpool.Pool, redis holds, limit BatchLimits, capacities ...int) bench {
	t.Helper()
	exec(t, pool, `INSERT INTO campaigns (campaign_id) VALUES ('night')`)
	exec(t, pool, `INSERT INTO sites (campaign_id, site_id, region, name, address) VALUES ('night', 'here', 'r', 'n', 'a')`)
	for i, capacity := range capacities {
		exec(t, pool, `
			INSERT INTO slots (slot_id, campaign_id, site_id, starts_at, ends_at, capacity) OVERRIDING SYSTEM VALUE
			VALUES ($1, 'night', 'here', $2, $3, $4)`, i+1, now.Add(time.Duration(i)*time.Hour), now.Add(time.Duration(i+1)*time.Hour), capacity)
	}
	b := newBatcher(pool, redis, clock.NewSystem(0), limit, slog.New(slog.DiscardHandler), func(int, time.Duration, error) {})
	t.Cleanup(func() {
		if err := b.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return bench{batcher: b, pool: pool}
}

func exec(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(context.Background(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) (n int) {
	t.Helper()
	if err := pool.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func newPerson(t *testing.T, pool *pgxpool.Pool) uuid.UUID {
	t.Helper()
	id := uuid.New()
	exec(t, pool, `
		INSERT INTO persons (person_id, scheme, lookup, phone_index, phone_ordinal, sealed, language)
		VALUES ($1, 'phone', $2, $2, 0, '', 'ko')`, id, id[:])
	return id
}

// held is a signed hold's content: what the batcher gets after the token was opened.
func (b bench) held(t *testing.T, slotID int64) token.Hold {
	t.Helper()
	return heldBy(newPerson(t, b.pool), slotID)
}

func heldBy(person uuid.UUID, slotID int64) token.Hold {
	at := time.Now()
	return token.Hold{
		ID: uuid.New(), Campaign: "night", Slot: slotID, Person: person, Actor: person,
		PlacedAt: at, ExpiresAt: at.Add(5 * time.Minute), Wave: "E3", RulesVersion: 1, JudgedAt: now,
	}
}

func (b bench) mustConfirm(t *testing.T, h token.Hold) Booking {
	t.Helper()
	got, _, err := b.confirm(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// consistent holds the invariants against the tables.
func (b bench) consistent(t *testing.T) {
	t.Helper()
	if n := count(t, b.pool, `
		SELECT count(*) FROM slots s WHERE booked > capacity
		OR booked <> (SELECT count(*) FROM bookings b WHERE b.slot_id = s.slot_id AND status = 'active')`); n != 0 {
		t.Errorf("%d slots whose active rows aren't their booked, or more than their capacity", n)
	}
	if n := count(t, b.pool, `
		SELECT count(*) FROM (SELECT 1 FROM bookings WHERE status = 'active' GROUP BY campaign_id, person_id HAVING count(*) > 1) x`); n != 0 {
		t.Errorf("%d persons with more than one active booking", n)
	}
}

func TestConfirmBooksOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	h := b.held(t, 1)
	first, fresh, err := b.confirm(t.Context(), h)
	if err != nil || !fresh || first.Status != Active || first.Reference == "" || first.Series != first.ID {
		t.Fatalf("%+v %v %v", first, fresh, err)
	}
	again, fresh, err := b.confirm(t.Context(), h)
	if err != nil || fresh || again.ID != first.ID || again.Reference != first.Reference {
		t.Fatalf("the retry answered %+v %v %v", again, fresh, err)
	}
	b.consistent(t)
	if n := count(t, b.pool, `SELECT sum(cardinality(bookings)) FROM flush_events`); n != 1 {
		t.Errorf("%d events of one booking", n)
	}
	if n := count(t, b.pool, `SELECT count(*) FROM river.river_job WHERE kind = $1`, NoticeKind); n != 1 {
		t.Errorf("%d notes of one flush", n)
	}
}

func TestDoubleSubmitUsesOneUnit(t *testing.T) {
	t.Parallel()
	b := setup(t, 5)
	h := b.held(t, 1)
	var wg sync.WaitGroup
	ids := make(chan uuid.UUID, 50)
	for range 50 {
		wg.Go(func() {
			got, _, err := b.confirm(t.Context(), h)
			if err != nil {
				t.Error(err)
			}
			ids <- got.ID
		})
	}
	wg.Wait()
	close(ids)
	want := <-ids
	for id := range ids {
		if id != want {
			t.Fatal("two bookings of one hold")
		}
	}
	if n := count(t, b.pool, `SELECT booked FROM slots WHERE slot_id = 1`); n != 1 {
		t.Fatalf("%d units used", n)
	}
}

func TestNeverOversoldWithoutRedis(t *testing.T) {
	t.Parallel()
	b := setup(t, 7, 3)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won, full := 0, 0
	for i := range 200 {
		h := b.held(t, int64(i%2+1)) // as if Redis had said yes to everybody
		wg.Go(func() {
			got, _, err := b.confirm(t.Context(), h)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Error(err)
			case got.Status == Active:
				won++
			case got.Reason == Full:
				full++
			}
		})
	}
	wg.Wait()
	if won != 10 || full != 190 {
		t.Fatalf("%d booked, %d full", won, full)
	}
	b.consistent(t)
}

func TestOnePersonOneBookingOnTwoInstances(t *testing.T) {
	t.Parallel()
	one := setup(t, 100, 100, 100, 100)
	two := newBatcher(one.pool, noRedis{}, clock.NewSystem(0), limits, slog.New(slog.DiscardHandler), func(int, time.Duration, error) {})
	t.Cleanup(func() { _ = two.close(context.Background()) })
	for range 20 {
		person := newPerson(t, one.pool)
		var wg sync.WaitGroup
		var mu sync.Mutex
		active := 0
		for i := range 8 {
			on := one.batcher
			if i%2 == 1 {
				on = two
			}
			h := heldBy(person, int64(i%4+1))
			wg.Go(func() {
				got, _, err := on.confirm(t.Context(), h)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if got.Status == Active {
					active++
				} else if got.Reason != AlreadyBooked {
					t.Errorf("refused as %s", got.Reason)
				}
			})
		}
		wg.Wait()
		if active != 1 {
			t.Fatalf("%d bookings of one person", active)
		}
	}
	one.consistent(t)
}

func TestARefusalIsFinal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*token.Hold, *noRedis)
		want   Reason
	}{
		{"expired", func(h *token.Hold, _ *noRedis) { h.ExpiresAt = time.Now().Add(-time.Minute) }, Expired},
		{"released", func(h *token.Hold, r *noRedis) { r.givenUp[h.ID] = true }, Released},
		{"replaced gone", func(h *token.Hold, _ *noRedis) { h.Replaces = uuid.New() }, ReplacedGone},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			redis := noRedis{givenUp: map[uuid.UUID]bool{}}
			b := setupOn(t, storetest.Postgres(t), redis, 5)
			h := b.held(t, 1)
			c.change(&h, &redis)
			if got := b.mustConfirm(t, h); got.Status != Void || got.Reason != c.want || got.Reference != "" {
				t.Fatalf("%+v", got)
			}
			// Whatever made it refuse is over; the answer isn't.
			h.ExpiresAt, h.Replaces = time.Now().Add(time.Minute), uuid.Nil
			delete(redis.givenUp, h.ID)
			if got := b.mustConfirm(t, h); got.Status != Void || got.Reason != c.want {
				t.Fatalf("a definite no became %+v", got)
			}
			b.consistent(t)
		})
	}
}

func TestMoveGivesTheOldUnitBack(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, 1)
	h := b.held(t, 1)
	first := b.mustConfirm(t, h)
	move := heldBy(h.Person, 2)
	move.Replaces = first.ID
	second := b.mustConfirm(t, move)
	if second.Status != Active || second.Reference != first.Reference || second.Series != first.ID || second.Sequence != 1 {
		t.Fatalf("%+v", second)
	}
	if n := count(t, b.pool, `SELECT booked FROM slots WHERE slot_id = 1`); n != 0 {
		t.Fatal("the old unit is still taken")
	}
	if again := b.mustConfirm(t, move); again.ID != second.ID {
		t.Fatal("a retry of the move made another row")
	}
	if old := b.mustConfirm(t, h); old.Status != Superseded {
		t.Fatalf("the first hold answers %+v", old)
	}
	b.consistent(t)
}

func TestFailedRescheduleKeepsTheOld(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, 1)
	h := b.held(t, 1)
	first := b.mustConfirm(t, h)
	b.mustConfirm(t, b.held(t, 2)) // somebody else takes the only unit
	move := heldBy(h.Person, 2)
	move.Replaces = first.ID
	if got := b.mustConfirm(t, move); got.Reason != Full {
		t.Fatalf("%+v", got)
	}
	if n := count(t, b.pool, `SELECT count(*) FROM bookings WHERE booking_id = $1 AND status = 'active'`, first.ID); n != 1 {
		t.Fatal("the old booking is gone")
	}
	b.consistent(t)
}

func TestManySlotsLockedInOneOrder(t *testing.T) {
	t.Parallel()
	b := setup(t, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000)
	type owner struct {
		person  uuid.UUID
		booking Booking
	}
	owners := make([]owner, 24)
	for i := range owners {
		h := b.held(t, int64(i%8+1))
		owners[i] = owner{h.Person, b.mustConfirm(t, h)}
	}
	// Moves in every direction, and cancels between them, on all slots at once.
	var wg sync.WaitGroup
	for i, o := range owners {
		wg.Go(func() {
			for step := range 12 {
				move := heldBy(o.person, int64((i*5+step*3)%8+1))
				move.Replaces = o.booking.ID
				got, _, err := b.confirm(t.Context(), move)
				if err != nil || got.Status != Active {
					t.Errorf("move %d: %+v %v", step, got, err)
					return
				}
				o.booking = got
			}
			if _, err := b.cancel(t.Context(), o.booking, o.person); err != nil {
				t.Errorf("cancel: %v", err)
			}
		})
	}
	wg.Wait()
	b.consistent(t)
	if n := count(t, b.pool, `SELECT sum(booked) FROM slots`); n != 0 {
		t.Fatalf("%d units left after everybody cancelled", n)
	}
	if n := count(t, b.pool, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`); n != 0 {
		t.Fatalf("%d deadlocks", n)
	}
}

func TestCancelRacingFlushNeverDeadlocks(t *testing.T) {
	t.Parallel()
	b := setup(t, 1000, 1000)
	var wg sync.WaitGroup
	for range 6 {
		person := newPerson(t, b.pool)
		wg.Go(func() {
			for step := range 15 {
				booked, _, err := b.confirm(t.Context(), heldBy(person, 1))
				if err != nil || booked.Status != Active {
					t.Errorf("step %d: %+v %v", step, booked, err)
					return
				}
				// The same booking is moved and cancelled at the same moment; one of them is first.
				var race sync.WaitGroup
				var moved Booking
				race.Go(func() {
					move := heldBy(person, 2)
					move.Replaces = booked.ID
					if moved, _, err = b.confirm(t.Context(), move); err != nil {
						t.Errorf("move: %v", err)
					}
				})
				race.Go(func() {
					if _, err := b.cancel(t.Context(), booked, person); err != nil && fault.CodeOf(err) != fault.CodeNoBooking {
						t.Errorf("cancel: %v", err)
					}
				})
				race.Wait()
				if moved.Status == Active {
					if _, err := b.cancel(t.Context(), moved, person); err != nil {
						t.Errorf("cancel of the move: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	b.consistent(t)
	if n := count(t, b.pool, `SELECT sum(booked) FROM slots`); n != 0 {
		t.Errorf("%d units left after everybody cancelled", n)
	}
	// A deadlock would be mended by trying again, and still cost a second each.
	if n := count(t, b.pool, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`); n != 0 {
		t.Errorf("%d deadlocks", n)
	}
}

func TestDoubleCancelFreesOneUnit(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	h := b.held(t, 1)
	booked := b.mustConfirm(t, h)
	b.mustConfirm(t, b.held(t, 1))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			got, err := b.cancel(t.Context(), booked, h.Person)
			if err != nil || got.Status != Cancelled {
				t.Errorf("%+v %v", got, err)
			}
		})
	}
	wg.Wait()
	if n := count(t, b.pool, `SELECT booked FROM slots WHERE slot_id = 1`); n != 1 {
		t.Fatalf("%d units booked after one of two was cancelled", n)
	}
	if n := count(t, b.pool, `SELECT count(*) FROM flush_events, unnest(kinds) k WHERE k = 'cancelled'`); n != 1 {
		t.Fatalf("%d events of one cancellation", n)
	}
	b.consistent(t)
}

func TestOneBadRowFailsAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, 100)
	good := make([]token.Hold, 20)
	for i := range good {
		good[i] = b.held(t, 1)
	}
	bad := b.held(t, 1)
	bad.Wave = "E\x003" // no text of Postgres
	var wg sync.WaitGroup
	for _, h := range append(good[:10:10], append([]token.Hold{bad}, good[10:]...)...) {
		wg.Go(func() {
			got, _, err := b.confirm(t.Context(), h)
			switch {
			case h.ID == bad.ID && err == nil:
				t.Errorf("the bad row was written: %+v", got)
			case h.ID != bad.ID && (err != nil || got.Status != Active):
				t.Errorf("a good row failed with the bad one: %+v %v", got, err)
			}
		})
	}
	wg.Wait()
	b.consistent(t)
}

func TestPostgresSaysNoByName(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	booked := b.mustConfirm(t, b.held(t, 1))
	again := `INSERT INTO bookings (campaign_id, booking_id, hold_id, slot_id, person_id, actor_id, status, reference, series_id,
		wave_id, rules_version, judged_at, held_at, void_reason, ended_at)
		SELECT campaign_id, gen_random_uuid(), %HOLD%, slot_id, %PERSON%, actor_id, %STATUS%, wave_id, rules_version, judged_at, held_at, %END%
		FROM bookings WHERE booking_id = $1`
	for _, c := range []struct{ constraint, sql string }{
		{"slots_never_oversold", `UPDATE slots SET booked = 3 WHERE $1::uuid IS NOT NULL`},
		{"bookings_hold_decided_once", strings.NewReplacer("%HOLD%", "hold_id", "%PERSON%", "person_id",
			"%STATUS%", "'void', NULL, series_id", "%END%", "'full', now()").Replace(again)},
		{"bookings_one_active_per_person", strings.NewReplacer("%HOLD%", "gen_random_uuid()", "%PERSON%", "person_id",
			"%STATUS%", "'active', 'OTHER', series_id", "%END%", "NULL, NULL").Replace(again)},
		{"bookings_void_has_reason", `UPDATE bookings SET status = 'void', ended_at = now(), reference = NULL WHERE booking_id = $1`},
		{"bookings_ended_unless_active", `UPDATE bookings SET status = 'cancelled' WHERE booking_id = $1`},
		{"booked_slots_stay", `DELETE FROM slots WHERE slot_id = (SELECT slot_id FROM bookings WHERE booking_id = $1)`},
		{"booked_persons_stay", `DELETE FROM persons WHERE person_id = (SELECT person_id FROM bookings WHERE booking_id = $1)`},
	} {
		_, err := b.pool.Exec(t.Context(), c.sql, booked.ID)
		if got := postgres.Constraint(err); got != c.constraint {
			t.Errorf("constraint %q of %v, want %q", got, err, c.constraint)
		}
	}
}

// TestNoFlushReadsATableWhole: a plan that was made while a table was empty is used when it has millions of rows.
func TestNoFlushReadsATableWhole(t *testing.T) {
	t.Parallel()
	url := storetest.PostgresURL(t)
	watcher, err := postgres.Open(t.Context(), url, postgres.Options{MaxConnections: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watcher.Close)
	pool, err := postgres.Open(t.Context(), url, postgres.Options{MaxConnections: 1, PlanOnce: true})
	if err != nil {
		t.Fatal(err)
	}
	b := setupOn(t, watcher, noRedis{}, 100, 100)
	scans := func() int {
		return count(t, watcher, `SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname IN ('slots', 'bookings')`)
	}
	crowd := make([]token.Hold, 12)
	for i := range crowd {
		crowd[i] = b.held(t, int64(1+i%2))
	}
	before := scans()
	for i, h := range crowd {
		if n, err := FlushAlone(t.Context(), pool, "night", crowd[:i+1]); n != 1 || err != nil {
			t.Fatalf("flush %d booked %d: %v", i, n, err)
		}
		var id uuid.UUID
		if err := watcher.QueryRow(t.Context(), `SELECT booking_id FROM bookings WHERE campaign_id = 'night' AND hold_id = $1`, h.ID).Scan(&id); err != nil {
			t.Fatal(err)
		}
		move := heldBy(h.Person, int64(1+(i+1)%2))
		move.Replaces = id
		if n, err := FlushAlone(t.Context(), pool, "night", []token.Hold{move}); n != 1 || err != nil {
			t.Fatalf("move %d booked %d: %v", i, n, err)
		}
		crowd[i] = move
	}
	pool.Close() // a connection tells what it counted at its end at the latest
	if n := scans() - before; n != 0 {
		t.Errorf("tables were read whole %d times", n)
	}
	b.consistent(t)
}

// TestPlansFollowTheTables: where a table is known to be empty, reading all of it by any index costs no more than looking up
// keys. A night begins so, and has twenty thousand rows seconds later, a minute before Postgres counts them.
func TestPlansFollowTheTables(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), storetest.PostgresURL(t), postgres.Options{MaxConnections: 1, PlanOnce: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	b := setupOn(t, pool, noRedis{}, 100_000)
	// Whatever this machine does meanwhile, Postgres doesn't count the rows.
	if _, err := pool.Exec(t.Context(), `ALTER TABLE bookings SET (autovacuum_enabled = off)`); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `VACUUM (ANALYZE) bookings`); err != nil {
		t.Fatal(err)
	}
	crowd := make([]token.Hold, 20_000)
	for i := range crowd {
		crowd[i] = heldBy(uuid.New(), 1)
	}
	for _, flush := range []struct {
		holds []token.Hold
		books int
	}{{crowd[:1], 1}, {crowd[:1], 0}, {crowd[1:], len(crowd) - 1}} { // who asks again is looked up, so that is planned now
		if n, err := FlushAlone(t.Context(), pool, "night", flush.holds); n != flush.books || err != nil {
			t.Fatal(n, err)
		}
	}
	plan := func(keys string) string {
		c, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Release()
		var name string
		if err := c.QueryRow(t.Context(), `SELECT name FROM pg_prepared_statements WHERE statement LIKE 'SELECT booking_id%' || $1 || ' = ANY%'`, keys).Scan(&name); err != nil {
			t.Fatal(err)
		}
		answer, err := c.Query(t.Context(), `EXPLAIN EXECUTE `+name+`('night', '{}')`, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(answer, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines, "\n")
	}
	grown := newGrowth(b.pool, slog.New(slog.DiscardHandler))
	grown.add(len(crowd))
	grown.counting.Wait()
	for _, keys := range []string{"hold_id", "person_id"} {
		if is := plan(keys); strings.Contains(is, "Filter") || !strings.Contains(is, keys+" = ANY") {
			t.Errorf("bookings are looked up by\n%s", is)
		}
	}
	if err := grown.close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWaitersBeyondTheQueueAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	b.limit.Queue = 0
	_, _, err := b.confirm(t.Context(), b.held(t, 1))
	if e, ok := errors.AsType[*fault.Error](err); !ok || e.Code != fault.CodeOverloaded || e.RetryAfter <= 0 {
		t.Fatal(err)
	}
}

func TestCrashBetweenRedisAndPostgres(t *testing.T) {
	t.Parallel()
	// Postgres dies under load, again and again. What was acknowledged is there; what was refused isn't; nothing is
	// oversold; and every outcome that stayed open has an answer when it is asked again.
	stores := storetest.Private(t, localstores.Options{})
	if err := postgres.Migrate(t.Context(), stores.PostgresURL()); err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.Open(t.Context(), stores.PostgresURL(), postgres.Options{MaxConnections: 12, ConnectTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	b := setupOn(t, pool, noRedis{}, 40, 40, 1000, 1000)

	const callers = 300
	holds := make([]token.Hold, callers)
	for i := range holds {
		holds[i] = b.held(t, int64(i%4+1))
	}
	var mu sync.Mutex
	acknowledged, refused := map[uuid.UUID]uuid.UUID{}, map[uuid.UUID]bool{}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < callers; i += 8 {
				for { // as a client: the same again until there is an answer
					got, _, err := b.confirm(context.Background(), holds[i])
					if err != nil {
						if fault.CodeOf(err) == "" {
							t.Errorf("an unexpected failure: %v", err)
							return
						}
						continue
					}
					mu.Lock()
					if got.Status == Active {
						acknowledged[holds[i].ID] = got.ID
					} else {
						refused[holds[i].ID] = true
					}
					mu.Unlock()
					break
				}
			}
		})
	}
	for range 4 {
		before := func() int { mu.Lock(); defer mu.Unlock(); return len(acknowledged) + len(refused) }
		target := before() + 25
		for before() < min(target, callers) { // only kills under load mean something
			time.Sleep(time.Millisecond)
		}
		if err := stores.Postgres().Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := stores.Postgres().Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	b.consistent(t)
	for hold, booking := range acknowledged {
		if n := count(t, pool, `SELECT count(*) FROM bookings WHERE hold_id = $1 AND booking_id = $2 AND status = 'active'`, hold, booking); n != 1 {
			t.Errorf("an acknowledged booking is lost")
		}
	}
	for hold := range refused {
		if n := count(t, pool, `SELECT count(*) FROM bookings WHERE hold_id = $1 AND status = 'active'`, hold); n != 0 {
			t.Errorf("a refused hold became a booking")
		}
	}
	if len(acknowledged) != 40+40+75+75 {
		t.Errorf("%d booked, want everything that could be sold", len(acknowledged))
	}
}
