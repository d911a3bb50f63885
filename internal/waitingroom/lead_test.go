package waitingroom_test

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/keys"
	"jari/internal/postgres"
	"jari/internal/redis"
	"jari/internal/token"
	"jari/internal/waitingroom"
	"jari/test/storetest"
)

// line is the room that lines is about.
const line = "c.line"

// lines is an instance with one room, which nobody leads yet, and with what is changed of its options.
func lines(t *testing.T, changes ...func(*waitingroom.Options)) (*waitingroom.Service, *pgxpool.Pool) {
	t.Helper()
	pool, err := postgres.Open(t.Context(), storetest.PostgresURL(t), postgres.Options{MaxConnections: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	client, err := redis.Open(storetest.RedisURL(t), redis.Options{PoolSize: 4, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	text, err := keys.Generate("development", keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := keys.NewSealer(text, "development", keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	clk := clock.NewSystem(0)
	plan := waitingroom.Plan{
		Room: line, Campaign: "c", OpensAt: clk.Now().Add(-time.Hour), ClosesAt: clk.Now().Add(time.Hour),
		Rate: 10, Grace: time.Minute, LateShare: 0.1,
	}
	o := waitingroom.Options{
		Pool: pool, Redis: client, Clock: clk, Tokens: token.NewBox(sealer, "development"),
		Log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
		Limits: waitingroom.Limits{Admission: time.Minute, Longest: time.Hour, Queue: 1000},
		Plans:  func() ([]waitingroom.Plan, error) { return []waitingroom.Plan{plan}, nil },
	}
	for _, change := range changes {
		change(&o)
	}
	s := waitingroom.NewService(o)
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, pool
}

// An instance that vanishes leaves its lease behind; another goes on where it was, and nothing goes back.
func TestAVanishedLeaderIsReplaced(t *testing.T) {
	t.Parallel()
	s, pool := lines(t)
	// Somebody leads who will never come back.
	if _, err := pool.Exec(t.Context(), `
		UPDATE rooms SET state = 'open', serving = 3, leader = $1, leader_until = clock_timestamp() + interval '1 second'`, uuid.New()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { s.Watch(ctx); close(ended) }()
	defer func() { stop(); <-ended }()
	var seen []uint64
	places := map[uint64]bool{}
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for len(seen) == 0 || seen[len(seen)-1] < 20 {
		select {
		case <-deadline.C:
			t.Fatalf("nobody goes on: %v", seen)
		default:
		}
		p, err := s.Take(ctx, line, uuid.New(), false)
		if err == nil {
			if !p.Behind || places[p.Number] {
				t.Fatalf("a place twice: %+v", p.Place)
			}
			places[p.Number] = true
		}
		seen = append(seen, serving(t, pool))
	}
	if !slices.IsSorted(seen) || seen[0] < 3 {
		t.Errorf("the serving number went %v", seen)
	}
}

// An instance that stands still in the middle of a transaction keeps the room's row from nobody for long.
func TestALeaderThatVanishesWithTheRoomLockedIsReplaced(t *testing.T) {
	t.Parallel()
	inside, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s, pool := lines(t, func(o *waitingroom.Options) {
		o.Audit = func(context.Context, pgx.Tx, string, string, waitingroom.Actor, map[string]any) error {
			once.Do(func() { close(inside) })
			<-goOn
			return nil
		}
	})
	if _, err := pool.Exec(t.Context(), `UPDATE rooms SET state = 'open'`); err != nil {
		t.Fatal(err)
	}
	vanished := make(chan error, 1)
	go func() {
		rate := 7.
		_, err := s.Turn(context.WithoutCancel(t.Context()), line, waitingroom.Dial{Rate: &rate}, waitingroom.Actor{By: "x"})
		vanished <- err
	}()
	<-inside
	began := time.Now()
	var leader *uuid.UUID
	if err := pool.QueryRow(t.Context(), `UPDATE rooms SET leader = $1 RETURNING leader`, uuid.New()).Scan(&leader); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("the row was locked for %s", took)
	}
	close(goOn)
	if err := <-vanished; err == nil {
		t.Error("whoever had lost the transaction was told that it is done")
	}
	var rate *float64
	if err := pool.QueryRow(t.Context(), `SELECT rate FROM rooms`).Scan(&rate); err != nil || rate != nil {
		t.Errorf("the rate is %v (%v)", rate, err)
	}
}

func serving(t *testing.T, pool *pgxpool.Pool) (n uint64) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `SELECT serving FROM rooms`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// However long nobody was called, who is called then may come in as called: the history of a quiet room begins somewhere too.
func TestAQuietRoomSendsNobodyToTheLateLane(t *testing.T) {
	t.Parallel()
	s, pool := lines(t)
	turn := func(change string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if err := s.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	comesIn := func(who string) {
		t.Helper()
		person := uuid.New()
		if _, err := s.Take(t.Context(), line, person, false); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Admit(t.Context(), waitingroom.Claim{Room: line, Person: person}); err != nil {
			t.Errorf("%s isn't let in: %v", who, err)
		}
	}
	// An hour after the last call, which went two ahead of the numbers that people have.
	turn(`UPDATE rooms SET state = 'open', numbers = 3, serving = 5, open_ms = 1000`)
	turn(`INSERT INTO room_servings (room_no, second, serving, late_serving) SELECT room_no, 1, 5, 0 FROM rooms`)
	turn(`UPDATE rooms SET open_ms = 3600000`)
	turn(`SELECT 1`)
	comesIn("who takes a number that was called long ago")
	comesIn("the next one")
	person := uuid.New()
	if _, err := s.Take(t.Context(), line, person, false); err != nil {
		t.Fatal(err)
	}
	turn(`UPDATE rooms SET serving = 6, open_ms = 3601000`)
	turn(`INSERT INTO room_servings (room_no, second, serving, late_serving) SELECT room_no, 3601, 6, 0 FROM rooms`)
	if _, err := s.Admit(t.Context(), waitingroom.Claim{Room: line, Person: person}); err != nil {
		t.Errorf("who was called a second ago isn't let in: %v", err)
	}
	// Who comes too late still is.
	late := uuid.New()
	if _, err := s.Take(t.Context(), line, late, false); err != nil {
		t.Fatal(err)
	}
	turn(`UPDATE rooms SET serving = 7, open_ms = 7200000`)
	turn(`INSERT INTO room_servings (room_no, second, serving, late_serving) SELECT room_no, 3602, 7, 0 FROM rooms`)
	turn(`SELECT 1`)
	if _, err := s.Admit(t.Context(), waitingroom.Claim{Room: line, Person: late}); fault.CodeOf(err) != fault.CodeNotYourTurn {
		t.Errorf("who was called an hour ago and comes now: %v", err)
	}
}
