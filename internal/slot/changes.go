package slot

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"jari/internal/campaign"
	"jari/internal/clock"
	"jari/internal/postgres"
	jariredis "jari/internal/redis"
)

// What remains is kept in memory from three sources. Redis tells which slots changed lately, and what it knows of them.
// The instance's own flushes tell what they wrote. And all rows are read from Postgres again, slowly and steadily, so that
// nothing that was missed stays wrong.

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
	// overlap is how far back each question reaches once more, in case the clock of Redis was set back a little.
	overlap = 2 * time.Second
	// rewind is how far back it reaches once that clock was seen to go back, or slots were published.
	rewind = time.Minute
	// mostChanged bounds how many ids one answer has.
	mostChanged = 10_000
	// mostRead bounds one reading script, and with it how long other commands wait for the one thread of Redis: well under
	// a millisecond.
	mostRead = 128
	// trimEvery and mostTrimmed bound the work of forgetting old changes.
	trimEvery   = 10 * time.Second
	mostTrimmed = 5_000

	// surveyEvery is within which time all rows of a campaign are read again.
	surveyEvery = time.Minute
	// A survey goes in steps of a hundredth of the rows, but not of less than leastSurveyed: no query is long, and the load
	// is even.
	leastSurveyed = 2_000
	// surveyPause is the least time between two surveys at once, which copies of another generation ask for.
	surveyPause = 10 * time.Second
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

// survey is how far the rows of a shelf were read again. It is guarded by Service.surveying, but for wanted.
type survey struct {
	next   int       // position
	due    time.Time // when the next step is
	whole  time.Time // when all were read at once
	wanted atomic.Bool
}

// Watch reloads the directories of campaigns whose slots changed, each second, and keeps what remains current, until ctx
// ends.
func (s *Service) Watch(ctx context.Context) {
	var watches sync.WaitGroup
	defer watches.Wait()
	for _, w := range []struct {
		every       time.Duration
		do          func(context.Context) error
		fails, ends string
	}{
		{
			time.Second, s.Refresh,
			"the directory of slots can't be reloaded; the one before stays", "the directory of slots is current again",
		},
		{
			followEvery, s.follow,
			"live holds can't be followed; documents go on with what is known", "live holds are followed again",
		},
		{
			followEvery, s.surveyDue,
			"slots can't be read again; documents go on with what is known", "slots are read again",
		},
	} {
		watches.Go(func() { s.watch(ctx, w.every, w.do, w.fails, w.ends) })
	}
}

// watch does something again and again, and tells when it begins to fail and when it works again.
func (s *Service) watch(ctx context.Context, every time.Duration, do func(context.Context) error, fails, ends string) {
	failing := false
	clock.Every(ctx, every, func() {
		err := do(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			s.log.Warn(fails, "error", err)
		case err == nil && failing:
			s.log.Info(ends)
		}
		failing = err != nil
	})
}

// Refresh loads campaigns that are new or whose slots changed since they were loaded, and takes notice of new versions.
func (s *Service) Refresh(ctx context.Context) error {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	campaigns, err := s.campaigns.List()
	if err != nil {
		return err
	}
	old := *s.shelves.Load()
	next := make(map[string]*shelf, len(campaigns))
	for _, c := range campaigns {
		sh := old[c.ID]
		if sh == nil {
			sh = newShelf(c.ID)
		}
		next[c.ID] = sh
	}
	s.shelves.Store(&next)
	for id, sh := range old {
		if next[id] == nil {
			sh.drop()
		}
	}
	for _, c := range campaigns {
		if err := s.refresh(ctx, next[c.ID], c); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) refresh(ctx context.Context, sh *shelf, c *campaign.Campaign) error {
	sites, err := s.campaigns.Sites(c.ID)
	if err != nil {
		return err
	}
	b := sh.board.Load()
	if b == nil || b.directory.revision != sites.Revision {
		next, generation, err := s.loadBoard(ctx, c, sites)
		if err != nil {
			return err
		}
		sh.replace(next, generation)
		return nil
	}
	if b.campaign != c {
		sh.mu.Lock()
		sh.board.Store(b.in(c))
		sh.mu.Unlock()
	}
	return nil
}

// drop forgets a campaign that isn't published any more: its documents end.
func (sh *shelf) drop() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.board.Store(nil)
	clear(sh.due)
}

// loadBoard reads all slots of a campaign, row by row.
func (s *Service) loadBoard(ctx context.Context, c *campaign.Campaign, sites *campaign.Sites) (*board, string, error) {
	fail := func(err error) (*board, string, error) {
		return nil, "", postgres.Unreachable(fmt.Errorf("reading the slots of %s: %w", c.ID, err))
	}
	var generation string
	if err := s.pool.QueryRow(ctx, `SELECT generation::text FROM store_generation`).Scan(&generation); err != nil {
		return fail(err)
	}
	found, err := s.pool.Query(ctx, `
		SELECT slot_id, site_id, starts_at, ends_at, cohort, shared_at, capacity, booked, state = 'open', version
		FROM slots WHERE campaign_id = $1 ORDER BY slot_id`, c.ID)
	if err != nil {
		return fail(err)
	}
	d := newDirectory(sites.Revision)
	var rows []row
	var p Place
	var r row
	var shared *time.Time
	if _, err := pgx.ForEachRow(found, []any{
		&p.ID, &p.Site, &p.StartsAt, &p.EndsAt, &p.Cohort, &shared, &r.capacity, &r.booked, &r.open, &r.version,
	}, func() error {
		p.SharedAt = time.Time{}
		if shared != nil {
			p.SharedAt = *shared
		}
		d.add(p)
		rows = append(rows, r)
		return nil
	}); err != nil {
		return fail(err)
	}
	d.finish()
	return newBoard(c, sites, d, rows), generation, nil
}

// CatchUp brings everything that is kept in memory up to date now. By itself an instance does so within half a second for
// what went through Redis, a second for what was published, and a minute for what else was changed in Postgres.
func (s *Service) CatchUp(ctx context.Context) error {
	err := s.Refresh(ctx)
	for _, sh := range s.loaded() {
		s.surveying.Lock()
		err = errors.Join(err, s.surveyAll(ctx, sh))
		s.surveying.Unlock()
	}
	return errors.Join(err, s.follow(ctx))
}

// loaded are the shelves with a board.
func (s *Service) loaded() (loaded []*shelf) {
	for _, sh := range *s.shelves.Load() {
		if sh.board.Load() != nil {
			loaded = append(loaded, sh)
		}
	}
	return loaded
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
		changes[i] = pipe.ZRangeByScoreWithScores(ctx, changedKey(sh.id), changesFrom(strconv.FormatInt(sh.stream.cursor, 10)))
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

func changesFrom(score string) *redis.ZRangeBy {
	return &redis.ZRangeBy{Min: score, Max: "+inf", Count: mostChanged}
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
	for from := st.cursor; ; {
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
		if len(changes) < mostChanged {
			break
		}
		// More changes of the same instant may follow; if an instant alone has more than an answer takes, it is left behind.
		newest := int64(changes[len(changes)-1].Score)
		next := strconv.FormatInt(newest, 10)
		if newest == from {
			next = "(" + next
		}
		from = newest
		var err error
		changes, err = s.redis.ZRangeByScoreWithScores(ctx, changedKey(sh.id), changesFrom(next)).Result()
		if err != nil {
			return jariredis.Unreachable(err)
		}
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
			// A change in the very millisecond of reading may have come after it: such a one is read once more.
			if score, ok := scores[slot]; ok && score < at && score >= sh.stream.now-overlap.Milliseconds() {
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

// surveyDue goes a step on in the survey of each campaign whose next step is due.
func (s *Service) surveyDue(ctx context.Context) error {
	var failed error
	for _, sh := range s.loaded() {
		failed = errors.Join(failed, s.surveyIfDue(ctx, sh))
	}
	return failed
}

func (s *Service) surveyIfDue(ctx context.Context, sh *shelf) error {
	s.surveying.Lock()
	defer s.surveying.Unlock()
	now := s.clock.Real()
	switch sv := &sh.survey; {
	case sv.wanted.Load() && now.Sub(sv.whole) >= surveyPause:
		return s.surveyAll(ctx, sh)
	case sv.due.IsZero():
		sv.due = now.Add(surveyEvery) // it was read a moment ago
	case !now.Before(sv.due):
		return s.surveyStep(ctx, sh)
	}
	return nil
}

// surveyAll reads all rows of a campaign at once.
func (s *Service) surveyAll(ctx context.Context, sh *shelf) error {
	sv, b := &sh.survey, sh.board.Load()
	if b == nil {
		return nil
	}
	sv.wanted.Store(false)
	for first := 0; first < b.directory.Len(); {
		next, restored, err := s.reread(ctx, sh, b.directory, first)
		if err != nil {
			sv.wanted.Store(true)
			return err
		}
		if first = next; restored {
			first = 0
		}
	}
	sv.whole = s.clock.Real()
	return nil
}

// surveyStep reads the next rows of a campaign.
func (s *Service) surveyStep(ctx context.Context, sh *shelf) error {
	sv, b := &sh.survey, sh.board.Load()
	if b == nil || b.directory.Len() == 0 {
		return nil
	}
	first := sv.next
	if first >= b.directory.Len() {
		first = 0
	}
	next, restored, err := s.reread(ctx, sh, b.directory, first)
	if err != nil {
		return err
	}
	if sv.next = next; restored {
		sv.wanted.Store(true)
	}
	sv.due = s.clock.Real().Add(surveyEvery * time.Duration(next-first) / time.Duration(b.directory.Len()))
	return nil
}

// reread reads the rows of some slots again, those at the positions from first on, and returns where the next begin.
func (s *Service) reread(ctx context.Context, sh *shelf, d *Directory, first int) (next int, restored bool, err error) {
	next = min(d.Len(), first+max(leastSurveyed, d.Len()/100))
	var generation string
	rows := make([]Copy, 0, next-first)
	batch := &pgx.Batch{}
	batch.Queue(`SELECT generation::text FROM store_generation`).QueryRow(func(row pgx.Row) error {
		return row.Scan(&generation)
	})
	// By where they lie, and not by name: the range is one stretch of the index.
	batch.Queue(`
		SELECT slot_id, capacity, booked, state, version FROM slots
		WHERE slot_id BETWEEN $1 AND $2 AND campaign_id = $3 ORDER BY slot_id`,
		d.records[first].id, d.records[next-1].id, sh.id).Query(func(found pgx.Rows) error {
		var c Copy
		_, err := pgx.ForEachRow(found, []any{&c.Slot, &c.Capacity, &c.Booked, &c.State, &c.Version}, func() error {
			rows = append(rows, c)
			return nil
		})
		return err
	})
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return first, false, postgres.Unreachable(fmt.Errorf("reading the slots of %s again: %w", sh.id, err))
	}
	return next, sh.renew(d, first, rows, generation), nil
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
