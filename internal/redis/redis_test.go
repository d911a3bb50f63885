package redis_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"jari/internal/fault"
	"jari/internal/localstores"
	"jari/internal/redis"
	"jari/test/storetest"
)

func open(t testing.TB, address string, timeout time.Duration) *goredis.Client {
	t.Helper()
	client, err := redis.Open(address, redis.Options{PoolSize: 2, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// away fails unless err is told as a store that can't be reached.
func away(t testing.TB, err error) {
	t.Helper()
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Kind != fault.Unavailable || e.Code != fault.CodeStoreUnavailable || e.RetryAfter <= 0 || e.Unwrap() == nil {
		t.Errorf("answered %v", err)
	}
}

func TestABadAddressIsRefusedWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"redis://:hunter2@[::1/0", "http://:hunter2@localhost", "redis://:hunter2@localhost/many", "hunter2", ""} {
		_, err := redis.Open(address, redis.Options{})
		if err == nil {
			t.Errorf("%q was taken", address)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Error("the error repeats the password")
		}
	}
}

func TestOptionsBoundWhatAnInstanceAsks(t *testing.T) {
	t.Parallel()
	o := open(t, "redis://localhost/3", 700*time.Millisecond).Options()
	if o.PoolSize != 2 || o.DB != 3 || o.DialTimeout != 700*time.Millisecond || o.ReadTimeout != o.DialTimeout ||
		o.WriteTimeout != o.DialTimeout || o.PoolTimeout != o.DialTimeout || !o.ContextTimeoutEnabled || o.MaxRetries != 1 || o.DialerRetries != 1 {
		t.Errorf("%+v", o)
	}
}

func TestAServerThatForgetsHoldsIsRefused(t *testing.T) {
	t.Parallel()
	stores := storetest.Private(t, localstores.Options{})
	client := open(t, stores.RedisURL(), 10*time.Second)
	if err := redis.CheckServer(t.Context(), client); err != nil {
		t.Errorf("noeviction is refused: %v", err)
	}
	for _, policy := range []string{"allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"} {
		if err := client.ConfigSet(t.Context(), "maxmemory-policy", policy).Err(); err != nil {
			t.Fatal(err)
		}
		err := redis.CheckServer(t.Context(), client)
		if err == nil || !strings.Contains(err.Error(), policy) || !strings.Contains(err.Error(), "noeviction") || fault.CodeOf(err) != "" {
			t.Errorf("%s: %v", policy, err)
		}
	}
	if err := client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err(); err != nil {
		t.Fatal(err)
	}
	if err := redis.CheckServer(t.Context(), client); err != nil {
		t.Errorf("once mended: %v", err)
	}

	t.Run("a server that was killed is away", func(t *testing.T) { //nolint:paralleltest // the last thing that is done to it
		if err := stores.Redis().Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		away(t, redis.CheckServer(t.Context(), client))
		_, err := redis.Skew(t.Context(), client, time.Now)
		away(t, err)
	})
	t.Run("and is there again when it is back", func(t *testing.T) { //nolint:paralleltest // comes after the one before
		if err := stores.Redis().Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The client itself looks once a second.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for err := redis.CheckServer(ctx, client); err != nil; err = redis.CheckServer(ctx, client) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatal(err)
			}
		}
	})
	t.Run("one that answers late is away", func(t *testing.T) { //nolint:paralleltest // comes after the one before
		if err := stores.Redis().Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		away(t, redis.CheckServer(t.Context(), open(t, stores.RedisURL(), 100*time.Millisecond)))
		if err := stores.Redis().Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAServerThatIsGoneKeepsNobodyForLong(t *testing.T) {
	t.Parallel()
	// A server that takes connections and never says a word, as one behind a broken network does.
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for name, address := range map[string]string{"nobody listens": "127.0.0.1:1", "nobody answers": l.Addr().String()} {
		const timeout = 100 * time.Millisecond
		client := open(t, "redis://"+address+"/0", timeout)
		began := time.Now()
		away(t, redis.Unreachable(client.Ping(t.Context()).Err()))
		// Two tries at most, and much room for a busy machine.
		if took := time.Since(began); took > 100*timeout {
			t.Errorf("%s: it took %s", name, took)
		}
	}
}

func TestOnlyAMissingKeyAndACallerWhoLeftAreNoFailure(t *testing.T) {
	t.Parallel()
	client := storetest.Redis(t)
	if err := redis.Unreachable(nil); err != nil {
		t.Errorf("nothing became %v", err)
	}
	if err := redis.Unreachable(client.Get(t.Context(), "missing").Err()); !errors.Is(err, goredis.Nil) || fault.CodeOf(err) != "" {
		t.Errorf("a missing key: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := redis.Unreachable(client.Get(ctx, "missing").Err()); !errors.Is(err, context.Canceled) || fault.CodeOf(err) != "" {
		t.Errorf("a caller who left: %v", err)
	}
	away(t, redis.Unreachable(client.Do(t.Context(), "NOSUCHCOMMAND").Err()))
	late, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	away(t, redis.Unreachable(client.Get(late, "missing").Err()))
	away(t, redis.Unreachable(open(t, "redis://127.0.0.1:1/0", time.Second).Ping(t.Context()).Err()))
}

func TestSkewIsTheServersClockAgainstOurs(t *testing.T) {
	t.Parallel()
	client := storetest.Redis(t)
	for _, behind := range []time.Duration{0, time.Hour, -time.Hour} {
		skew, err := redis.Skew(t.Context(), client, func() time.Time { return time.Now().Add(-behind) })
		if err != nil {
			t.Fatal(err)
		}
		if (skew - behind).Abs() > time.Minute {
			t.Errorf("%s measured as %s", behind, skew)
		}
	}
}
