package slot

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"jari/internal/campaign"
	jariredis "jari/internal/redis"
)

// Redis notes which slots changed: every script that changes one adds it to {campaign}:changed. Here an instance asks again
// and again what was added, and reads what Redis knows of those slots.

var (
	//go:embed lua/read_slots.lua
	readSlotsSource string
	//go:embed lua/trim_changed.lua
	trimChangedSource string

	readSlotsScript   = redis.NewScript(readSlotsSource)
	trimChangedScript = redis.NewScript(trimChangedSource)
)

const (
	// changedLife is how long a change is remembered for instances that have yet to hear of it. Longer than any hold lives,
	// so that the slots of all live holds are among those that changed: an instance that starts learns of every one.
	changedLife = campaign.LongestHold + grace + time.Minute
	// followEvery is how often Redis is asked what changed. With a document's second (documentLife) a slot that is shown is
	// less than two seconds old.
	followEvery = 500 * time.Millisecond
	// quarter is how far the instants are apart, in ms, at which changes are told to have been (lua/person.lua).
	quarter = 250
	// overlap is how far back each question reaches once more, in case the clock of Redis was set back a little.
	overlap = 2 * time.Second
	// rewind is how far back it reaches once that clock was seen to go back, or slots were published.
	rewind = time.Minute
	// mostChanged bounds how many ids one answer has, but for those of one quarter of a second.
	mostChanged = 10_000
	// mostRead bounds one reading script, and with it how long other commands wait for the one thread of Redis: well under
	// a millisecond.
	mostRead = 128
	// trimEvery and mostTrimmed bound the work of forgetting old changes.
	trimEvery   = 10 * time.Second
	mostTrimmed = 5_000
)

// stream is how far a shelf has followed what changed. It is guarded by Service.following, but for at.
type stream struct {
	now    int64 // the newest instant of Redis' time that was seen, in ms
	cursor int64 // everything before it was heard, in ms of Redis' time
	// heard are the changes from cursor on that were heard, by slot, so that the overlap costs no more than its ids.
	heard   map[int64]int64
	board   *board
	trimmed time.Time
	at      atomic.Int64 // when everything had been heard, in ns of real time; 0 if never
}

// follow asks Redis what changed since it was asked last.
func (s *Service) follow(ctx context.Context) error {
	s.following.Lock()
	defer s.following.Unlock()
	shelves := s.loaded()
	if len(shelves) == 0 {
		return nil
	}
	pipe := s.redis.Pipeline()
	at := pipe.Time(ctx)
	changes := make([]*redis.ZSliceCmd, len(shelves))
	sizes := make([]*redis.IntCmd, len(shelves))
	for i, sh := range shelves {
		if b := sh.board.Load(); sh.stream.board == nil || b == nil || sh.stream.board.directory != b.directory {
			// Holds of slots that weren't known yet were skipped.
			sh.stream.goBack(sh.stream.cursor)
			sh.stream.board = b
		}
		changes[i] = pipe.ZRangeByScoreWithScores(ctx, changedKey(sh.id), s.changesFrom(strconv.FormatInt(sh.stream.cursor, 10)))
		sizes[i] = pipe.ZCard(ctx, changedKey(sh.id))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		s.forgetHolds(shelves)
		return jariredis.Unreachable(err)
	}
	for i, sh := range shelves {
		if err := s.hear(ctx, sh, at.Val().UnixMilli(), changes[i].Val(), sizes[i].Val() == 0); err != nil {
			s.forgetHolds(shelves)
			return err
		}
	}
	return nil
}

func (s *Service) changesFrom(score string) *redis.ZRangeBy {
	return &redis.ZRangeBy{Min: score, Max: "+inf", Count: s.mostChanged}
}

func (s *Service) forgetHolds(shelves []*shelf) {
	now := s.clock.Real()
	for _, sh := range shelves {
		sh.forget(now)
	}
}

// goBack makes the next question reach further back than what was heard.
func (st *stream) goBack(from int64) {
	st.cursor = max(0, from-rewind.Milliseconds())
	st.heard = map[int64]int64{}
}

// hear reads the slots that changed, and those of which a hold ended. empty tells that Redis knows of no change at all.
func (s *Service) hear(ctx context.Context, sh *shelf, now int64, changes []redis.Z, empty bool) error {
	st := &sh.stream
	last := st.now
	st.now = now
	if now < last {
		st.goBack(now)
		return nil // the next question reaches further back
	}
	if last > 0 && now-last > changedLife.Milliseconds() {
		sh.survey.wanted.Store(true) // changes were forgotten before this instance heard of them
	}
	real := s.clock.Real()
	for more := int64(len(changes)) >= s.mostChanged; ; {
		var slots []int64
		scores := make(map[int64]int64, len(changes))
		for _, z := range changes {
			text, _ := z.Member.(string)
			slot, ok := ParseID(text)
			if !ok {
				continue
			}
			if score := int64(z.Score); st.heard[slot] != score {
				slots = append(slots, slot)
				scores[slot] = score
			}
		}
		if err := s.read(ctx, sh, slots, scores); err != nil {
			return err
		}
		if !more {
			break
		}
		// More changes of the same quarter of a second may follow, and more than an answer takes: these come whole.
		newest := strconv.FormatInt(int64(changes[len(changes)-1].Score), 10)
		pipe := s.redis.Pipeline()
		same := pipe.ZRangeByScoreWithScores(ctx, changedKey(sh.id), &redis.ZRangeBy{Min: newest, Max: newest})
		later := pipe.ZRangeByScoreWithScores(ctx, changedKey(sh.id), s.changesFrom("("+newest))
		if _, err := pipe.Exec(ctx); err != nil {
			return jariredis.Unreachable(err)
		}
		changes, more = append(same.Val(), later.Val()...), int64(len(later.Val())) >= s.mostChanged
	}
	// A Redis that knows of no change while holds are live was restarted empty: they are gone.
	if err := s.read(ctx, sh, sh.overdue(real, empty), nil); err != nil {
		return err
	}
	st.cursor = max(0, now-overlap.Milliseconds())
	for slot, score := range st.heard {
		if score < st.cursor {
			delete(st.heard, slot)
		}
	}
	st.at.Store(real.UnixNano())
	if real.Sub(st.trimmed) >= trimEvery {
		st.trimmed = real
		return jariredis.Unreachable(trimChangedScript.Run(ctx, s.redis, []string{changedKey(sh.id)},
			changedLife.Milliseconds(), mostTrimmed).Err())
	}
	return nil
}

// read reads slots from Redis and takes what it says. scores are the changes that brought them up.
func (s *Service) read(ctx context.Context, sh *shelf, slots []int64, scores map[int64]int64) error {
	for len(slots) > 0 {
		n := min(len(slots), mostRead)
		group := slots[:n]
		slots = slots[n:]
		keys := make([]string, 0, 2*n)
		for _, slot := range group {
			keys = append(keys, copyKey(sh.id, slot))
		}
		for _, slot := range group {
			keys = append(keys, holdsKey(sh.id, slot))
		}
		asked := s.clock.Real()
		reply, err := readSlotsScript.Run(ctx, s.redis, keys).Slice()
		if err != nil {
			return jariredis.Unreachable(err)
		}
		all, at, err := readSeen(group, reply)
		if err != nil {
			return err
		}
		sh.heed(all, at, asked)
		for _, slot := range group {
			// A slot is told to change at the end of a quarter of a second (lua/person.lua). It may change again before that is
			// over, and once more if the clock of Redis is set back by as much: until then it is read again.
			if score, ok := scores[slot]; ok && score+quarter < at && score >= sh.stream.now-overlap.Milliseconds() {
				sh.stream.heard[slot] = score
			}
		}
	}
	return nil
}

// readSeen reads the answer of read_slots.lua.
func readSeen(slots []int64, reply []any) (all []seen, at int64, err error) {
	const fields = 3
	if len(reply) != 1+fields*len(slots) {
		return nil, 0, fmt.Errorf("read_slots.lua answered %d values for %d slots", len(reply), len(slots))
	}
	at, _ = reply[0].(int64)
	all = make([]seen, len(slots))
	var faults []error
	for i, slot := range slots {
		values := reply[1+fields*i:]
		x := seen{Copy: Copy{Slot: slot}}
		if text, known := values[0].(string); known {
			if x.Copy, err = ParseCopy(slot, text); err != nil {
				faults = append(faults, err)
			}
		}
		held, _ := values[1].(int64)
		if x.held = int(held); held > 0 {
			text, _ := values[2].(string)
			if x.forget, err = strconv.ParseInt(text, 10, 64); err != nil {
				faults = append(faults, err)
			}
		}
		all[i] = x
	}
	if len(faults) > 0 {
		return nil, 0, fmt.Errorf("a slot in Redis can't be read: %w", errors.Join(faults...))
	}
	return all, at, nil
}

// Ages tells per campaign how long ago everything that Redis knows to have changed had been heard. Campaigns of which
// nothing was ever heard are as old as this service.
func (s *Service) Ages() map[string]time.Duration {
	ages := map[string]time.Duration{}
	now := s.clock.Real()
	for id, sh := range *s.shelves.Load() {
		at := s.started
		if ns := sh.stream.at.Load(); ns > 0 {
			at = time.Unix(0, ns)
		}
		ages[id] = max(0, now.Sub(at))
	}
	return ages
}
