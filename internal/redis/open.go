package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"jari/internal/fault"
)

// Options bound what one instance may ask of Redis.
type Options struct {
	// PoolSize is the number of connections.
	PoolSize int
	// Timeout bounds one round trip. Short: a Redis that answers late is treated as one that doesn't answer, and
	// confirming a hold works without it.
	Timeout time.Duration
}

// Open returns a client for the server at url, without connecting.
func Open(url string, opts Options) (*redis.Client, error) {
	// The client would write lines of its own form to standard error; whatever fails is an error to its caller anyway.
	redis.SetLogger(&logging.VoidLogger{})
	o, err := redis.ParseURL(url)
	if err != nil {
		// The error could repeat the password.
		return nil, errors.New("the Redis URL can't be read; its form is redis://user:password@host:port/database")
	}
	if opts.PoolSize > 0 {
		o.PoolSize = opts.PoolSize
	}
	if opts.Timeout > 0 {
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = opts.Timeout, opts.Timeout, opts.Timeout, opts.Timeout
	}
	// Without this the client ignores the deadline of a context. It retries by itself, also after a read timeout,
	// which is why every script is safe to run twice.
	o.ContextTimeoutEnabled = true
	o.MaxRetries = 1
	// Five by default, each with the whole timeout: a server that is gone would keep its callers for seconds.
	o.DialerRetries = 1
	o.DisableIdentity = true
	// A feature of managed servers; a plain one would answer each new connection with an error.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(o), nil
}

// retryAfter is what a refused caller is told to wait when Redis can't be reached.
const retryAfter = 2 * time.Second

// Unreachable turns any failure of Redis except a missing key into fault.StoreUnavailable: there is no answer of Redis
// that a citizen could do anything about.
func Unreachable(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(retryAfter).Because(fmt.Errorf("redis: %w", err))
}

// oldest is the first version that does all that the scripts ask for: SET with NX and GET at once.
const oldest = 7

// CheckServer refuses a server that may throw keys away when its memory is full: a hold that is silently forgotten is a
// place promised twice. A managed server that doesn't show its configuration passes only if it says the policy in INFO. It
// refuses too what is older than Redis 7.0, where no hold could be placed.
func CheckServer(ctx context.Context, client *redis.Client) error {
	info, err := client.Info(ctx).Result()
	if err != nil {
		return Unreachable(err)
	}
	said := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			said[name] = value
		}
	}
	switch policy, found := said["maxmemory_policy"]; {
	case !found:
		return errors.New("redis doesn't say its maxmemory-policy; it must be noeviction")
	case policy != "noeviction":
		return fmt.Errorf("the maxmemory-policy of Redis is %q and must be noeviction: "+
			"a server that throws keys away when it is full would forget holds", policy)
	}
	return checkVersion(said["redis_version"])
}

func checkVersion(version string) error {
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldest {
		return fmt.Errorf("redis says that its version is %q; it must be %d.0 at least", version, oldest)
	}
	return nil
}

// Skew is how far the clock of Redis is ahead of this machine's, measured over one round trip.
func Skew(ctx context.Context, client *redis.Client, now func() time.Time) (time.Duration, error) {
	before := now()
	theirs, err := client.Time(ctx).Result()
	if err != nil {
		return 0, Unreachable(err)
	}
	after := now()
	return theirs.Sub(before.Add(after.Sub(before) / 2)), nil
}
