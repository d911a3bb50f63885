package limit_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/limit"
	"jari/internal/redis"
	"jari/test/storetest"
)

func TestABudgetIsUsedUpAndFillsAgain(t *testing.T) {
	t.Parallel()
	client := storetest.Redis(t)
	l := limit.New(client, clock.NewSystem(0))
	mine, block := limit.Budget{Name: "person:1", PerMinute: 600}, limit.Budget{Name: "block:1", PerMinute: 100_000}
	var passed, refused atomic.Int64
	var wg sync.WaitGroup
	begins := time.Now()
	for range 8 {
		wg.Go(func() {
			for range 100 {
				err := l.Spend(t.Context(), mine, block)
				if err == nil {
					passed.Add(1)
					continue
				}
				refused.Add(1)
				if e, ok := errors.AsType[*fault.Error](err); !ok || e.Code != fault.CodeTooManyRequests || e.RetryAfter <= 0 || e.RetryAfter > 200*time.Millisecond {
					t.Errorf("refused with %v", err)
				}
			}
		})
	}
	wg.Wait()
	// Ten a second come back while this runs.
	most := 600 + int64(time.Since(begins).Seconds()*10) + 1
	if n := passed.Load(); n < 600 || n > most || refused.Load() != 800-n {
		t.Errorf("%d of 800 passed, %d at most", n, most)
	}
	// Nobody else is kept out, and who was refused didn't use up the block's.
	if err := l.Spend(t.Context(), limit.Budget{Name: "person:2", PerMinute: 600}, block); err != nil {
		t.Error(err)
	}
	if err := l.Spend(t.Context(), limit.Budget{Name: "block:2", PerMinute: 1}, mine); err == nil {
		t.Error("one budget without room let a request through")
	}
	if err := l.Spend(t.Context(), limit.Budget{Name: "block:2", PerMinute: 1}); err != nil {
		t.Errorf("a refusal used a budget up: %v", err)
	}
	ttl, err := client.PTTL(t.Context(), "rate:{rate}:person:1").Result()
	if err != nil || ttl <= 0 || ttl > 61*time.Second {
		t.Errorf("the budget is kept for %s, %v", ttl, err)
	}
}

func TestWithoutRedisEverybodyPasses(t *testing.T) {
	t.Parallel()
	client, err := redis.Open("redis://127.0.0.1:1/0", redis.Options{Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	l := limit.New(client, clock.NewSystem(0))
	begins := time.Now()
	for range 1000 {
		if err := l.Spend(t.Context(), limit.Budget{Name: "x", PerMinute: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begins); took > 10*time.Second {
		t.Errorf("a Redis that is away cost %s", took)
	}
}
