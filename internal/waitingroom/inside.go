package waitingroom

import (
	"context"
	_ "embed"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	jariredis "jari/internal/redis"
)

//go:embed lua/enter.lua
var enterSource string

//go:embed lua/count_inside.lua
var countSource string

var (
	enterScript = redis.NewScript(enterSource)
	countScript = redis.NewScript(countSource)
)

// inside counts who is in a room. It steers and decides nothing: what it forgets comes back as people go on.
type inside struct {
	redis *redis.Client
	mu    sync.Mutex
	// noted are people who used their admission, or gave it back, since the last telling.
	noted map[presence]stay
}

type presence struct {
	room   string
	person uuid.UUID
}

// stay is from when until when somebody is inside; zero if they left.
type stay struct{ since, until time.Time }

// mostNoted bounds what an instance remembers while Redis is away; more isn't counted.
const mostNoted = 100_000

// Enter remembers that a person is inside until an instant, and returns since when they are.
func (i *inside) Enter(ctx context.Context, room string, person uuid.UUID, now, until time.Time, calledSecond string) (time.Time, error) {
	ms, err := enterScript.Run(ctx, i.redis, []string{insideKey(room), sinceKey(room), cameKey(room)},
		person[:], now.UnixMilli(), until.UnixMilli(), calledSecond).Int64()
	if err != nil {
		return time.Time{}, jariredis.Unreachable(err)
	}
	return time.UnixMilli(ms), nil
}

// Since is when a person who is inside came in; false if they aren't.
func (i *inside) Since(ctx context.Context, room string, person uuid.UUID, now time.Time) (time.Time, bool) {
	pipe := i.redis.Pipeline()
	ends, since := pipe.ZScore(ctx, insideKey(room), string(person[:])), pipe.HGet(ctx, sinceKey(room), string(person[:]))
	_, _ = pipe.Exec(ctx)
	at, err := since.Int64()
	if err != nil || ends.Err() != nil || int64(ends.Val()) <= now.UnixMilli() {
		return time.Time{}, false
	}
	return time.UnixMilli(at), true
}

// Note remembers for the next telling that somebody used an admission, or left.
func (i *inside) Note(room string, person uuid.UUID, since, until time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.noted) < mostNoted {
		i.noted[presence{room, person}] = stay{since, until}
	}
}

// Tell gives Redis what was noted; what it can't take now is told again.
func (i *inside) Tell(ctx context.Context) error {
	i.mu.Lock()
	noted := i.noted
	i.noted = make(map[presence]stay, len(noted))
	i.mu.Unlock()
	if len(noted) == 0 {
		return nil
	}
	_, err := i.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for p, s := range noted {
			member := string(p.person[:])
			if s.until.IsZero() {
				pipe.ZRem(ctx, insideKey(p.room), member)
				pipe.HDel(ctx, sinceKey(p.room), member)
				continue
			}
			pipe.ZAddGT(ctx, insideKey(p.room), redis.Z{Score: float64(s.until.UnixMilli()), Member: member})
			pipe.HSetNX(ctx, sinceKey(p.room), member, s.since.UnixMilli())
		}
		return nil
	})
	if err == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for p, s := range noted {
		if _, newer := i.noted[p]; !newer && len(i.noted) < mostNoted {
			i.noted[p] = s
		}
	}
	return jariredis.Unreachable(err)
}

// Count is how many are inside.
func (i *inside) Count(ctx context.Context, room string, now time.Time) (int, error) {
	n, err := countScript.Run(ctx, i.redis, []string{insideKey(room), sinceKey(room)}, now.UnixMilli()).Int()
	return n, jariredis.Unreachable(err)
}

// Came fills in how many of each call came in, and forgets what is older than the history.
func (i *inside) Came(ctx context.Context, room string, calls History) error {
	counted, err := i.redis.HGetAll(ctx, cameKey(room)).Result()
	if err != nil {
		return jariredis.Unreachable(err)
	}
	var old []string
	for second, n := range counted {
		at, err := strconv.ParseInt(second, 10, 64)
		came, err2 := strconv.ParseUint(n, 10, 64)
		if err != nil || err2 != nil || len(calls) == 0 || openTime(at*1000).Before(calls[0].At) {
			old = append(old, second)
			continue
		}
		for j := range calls {
			if calls[j].At.Equal(openTime(at * 1000)) {
				calls[j].Came = came
			}
		}
	}
	if len(old) > 0 {
		return jariredis.Unreachable(i.redis.HDel(ctx, cameKey(room), old...).Err())
	}
	return nil
}
