package pulse

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	jariredis "jari/internal/redis"
)

// Pool is how a pool of connections of an instance stands.
type Pool struct {
	Used  int `json:"used"`
	Limit int `json:"limit"`
}

// Own is what an instance knows of itself at a moment.
type Own struct {
	// Inside are the requests that are being worked on, of at most InsideLimit.
	Inside      int `json:"inside"`
	InsideLimit int `json:"inside_limit"`
	// Postgres are its connections, Flushes those kept for confirming.
	Postgres Pool `json:"postgres"`
	Flushes  Pool `json:"flushes"`
	Redis    Pool `json:"redis"`
	// PoolWait is how long a request waits for a connection to Postgres, on average; Commit how long a commit of bookings
	// takes, at the 99th percentile. Both over the last seconds.
	PoolWait time.Duration `json:"pool_wait"`
	Commit   time.Duration `json:"commit"`
	// FlushErrors is the share of commits, from 0 to 1, that failed.
	FlushErrors float64 `json:"flush_errors"`
}

// Rate is how often something is asked for and done, each second.
type Rate struct {
	Requests float64 `json:"r"`
	Done     float64 `json:"d"`
}

// report is what an instance tells the others each second, by Redis. It is lost with it and replaced a second later.
type report struct {
	Instance uuid.UUID `json:"instance"`
	At       time.Time `json:"at"` // real time
	Own
	Rates    map[string]map[Step]Rate `json:"rates"`
	Rooms    map[string]float64       `json:"rooms"`
	Refusals map[string]float64       `json:"refusals"`
	Messages map[string]float64       `json:"messages"`
}

const (
	// reportsKey holds the reports of all instances, by instance. Whoever tells renews its end.
	reportsKey = "{pulse}:instances"
	// reportsKept is how long the key outlives the last instance; reportStale after how long a report isn't believed any more
	// (an instance that is silent for so long has ended), and reportDead when it is taken away.
	reportsKept = time.Minute
	reportStale = 4 * time.Second
	reportDead  = 30 * time.Second
	// rateOver is what rates are measured over, in looks of a second each.
	rateOver = 5
)

// look is what the counters said at a moment.
type look struct {
	at       time.Time
	steps    map[string][]counts
	rooms    map[string]int64
	refusals map[string]int64
	messages map[string]int64
}

func (m *Meter) look(at time.Time) look {
	l := look{at: at, steps: map[string][]counts{}, rooms: map[string]int64{}, refusals: map[string]int64{}, messages: map[string]int64{}}
	for campaign, of := range m.campaigns.all() {
		now := make([]counts, len(Steps))
		for i := range Steps {
			now[i] = of.tallies[i].counts()
		}
		l.steps[campaign] = now
	}
	for room, n := range m.rooms.all() {
		l.rooms[room] = n.Load()
	}
	for code, n := range m.refusals.all() {
		l.refusals[string(code)] = n.Load()
	}
	for state, n := range m.messages.all() {
		l.messages[state] = n.Load()
	}
	return l
}

// since fills a report with what happened each second between two looks.
func (r *report) since(before, now look) {
	seconds := now.at.Sub(before.at).Seconds()
	if seconds <= 0 {
		return
	}
	r.Rates = map[string]map[Step]Rate{}
	for campaign, steps := range now.steps {
		rates := map[Step]Rate{}
		for i, step := range Steps {
			had := counts{}
			if b := before.steps[campaign]; b != nil {
				had = b[i]
			}
			if more := steps[i].minus(had); more != (counts{}) {
				rates[step] = Rate{float64(more.requests) / seconds, float64(more.done) / seconds}
			}
		}
		if len(rates) > 0 {
			r.Rates[campaign] = rates
		}
	}
	r.Rooms = perSecond(before.rooms, now.rooms, seconds)
	r.Refusals = perSecond(before.refusals, now.refusals, seconds)
	r.Messages = perSecond(before.messages, now.messages, seconds)
}

func perSecond(before, now map[string]int64, seconds float64) map[string]float64 {
	rates := map[string]float64{}
	for name, n := range now {
		if more := n - before[name]; more > 0 {
			rates[name] = float64(more) / seconds
		}
	}
	return rates
}

// RedisLoad is how Redis does, as an instance measured it.
type RedisLoad struct {
	Reachable bool
	// RoundTrip is how long the last look took.
	RoundTrip time.Duration
	// Share is how much of its one processor it used since the look before, from 0 to 1.
	Share float64
	jariredis.Load
}

// exchange tells the others how this instance does, and hears how they do.
func (s *Service) exchange(ctx context.Context, mine report) (all []report, now RedisLoad, err error) {
	text, err := json.Marshal(mine)
	if err != nil {
		return nil, RedisLoad{}, err
	}
	asked := s.Clock.Real()
	pipe := s.Redis.Pipeline()
	pipe.HSet(ctx, reportsKey, mine.Instance.String(), text)
	pipe.PExpire(ctx, reportsKey, reportsKept)
	var told *redis.MapStringStringCmd
	if s.watched() || (s.Decides != nil && s.Decides()) {
		told = pipe.HGetAll(ctx, reportsKey)
	}
	info := pipe.Info(ctx)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, RedisLoad{}, jariredis.Unreachable(err)
	}
	now = RedisLoad{Reachable: true, RoundTrip: s.Clock.Real().Sub(asked), Load: jariredis.ReadLoad(info.Val())}
	if told == nil {
		return []report{mine}, now, nil
	}
	var dead []string
	for field, text := range told.Val() {
		var r report
		if err := json.Unmarshal([]byte(text), &r); err != nil || asked.Sub(r.At) > reportDead {
			dead = append(dead, field)
			continue
		}
		if asked.Sub(r.At).Abs() <= reportStale {
			all = append(all, r)
		}
	}
	if len(dead) > 0 {
		_ = s.Redis.HDel(ctx, reportsKey, dead...).Err() // somebody else will, or it ends with the key
	}
	return all, now, nil
}

// leave takes this instance's report away, so that nobody counts it for the seconds after its end.
func (s *Service) leave(ctx context.Context) {
	_ = s.Redis.HDel(ctx, reportsKey, s.me.String()).Err()
}
