package waitingroom_test

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/clock"
	"jari/internal/keys"
	"jari/internal/postgres"
	"jari/internal/redis"
	"jari/internal/token"
	"jari/internal/waitingroom"
	"jari/test/storetest"
)

// An instance that vanishes leaves its lease behind; another goes on where it was, and nothing goes back.
func TestAVanishedLeaderIsReplaced(t *testing.T) {
	t.Parallel()
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
	line, err := keys.Generate("development", keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := keys.NewSealer(line, "development", keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	clk := clock.NewSystem(0)
	plan := waitingroom.Plan{
		Room: "c.line", Campaign: "c", OpensAt: clk.Now().Add(-time.Hour), ClosesAt: clk.Now().Add(time.Hour),
		Rate: 10, Grace: time.Minute, LateShare: 0.1,
	}
	service := func() *waitingroom.Service {
		return waitingroom.NewService(waitingroom.Options{
			Pool: pool, Redis: client, Clock: clk, Tokens: token.NewBox(sealer, "development"),
			Log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
			Limits: waitingroom.Limits{Admission: time.Minute, Longest: time.Hour, Queue: 1000},
			Plans:  func() ([]waitingroom.Plan, error) { return []waitingroom.Plan{plan}, nil },
		})
	}
	s := service()
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
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
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for len(seen) == 0 || seen[len(seen)-1] < 20 {
		select {
		case <-deadline.C:
			t.Fatalf("nobody goes on: %v", seen)
		default:
		}
		p, err := s.Take(ctx, plan.Room, uuid.New(), false)
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

func serving(t *testing.T, pool *pgxpool.Pool) (n uint64) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `SELECT serving FROM rooms`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
