package booking

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/clock"
	"jari/internal/crash"
	"jari/internal/fault"
	"jari/internal/postgres"
	"jari/internal/slot"
	"jari/internal/token"
)

// batcher gathers confirms into flushes. A request goes into the lane of its slot; a lane has one flush in flight, and
// while it runs, requests gather for the next. There is no linger timer: at low load a flush is one row, and the load
// itself makes the batches. Only in a rush the next one waits a breath for more.
type batcher struct {
	pool  *pgxpool.Pool
	slots holds
	clock clock.Clock
	limit BatchLimits
	log   *slog.Logger
	lanes []*lane
	// running counts the lanes and pushes that are at work, for Close.
	running sync.WaitGroup
	// silent is when Redis last didn't answer a flush.
	silent atomic.Pointer[time.Time]
	// observe is told of every flush.
	observe func(rows int, took time.Duration, err error)
}

// holds is what the batcher asks of package slot; both are best effort.
type holds interface {
	GivenUp(ctx context.Context, campaignID string, holds []token.Hold) (map[uuid.UUID]bool, error)
	Push(ctx context.Context, campaignID string, copies []slot.Copy, decided map[int64][]slot.Decided) error
}

// BatchLimits bound the group commit of one instance.
type BatchLimits struct {
	Rows  int           // bookings in one flush
	Lanes int           // flushes at the same time
	Queue int           // confirms that may wait in a lane
	Wait  time.Duration // how long a caller waits for its outcome
	Lock  time.Duration // how long a flush waits for a row that somebody else has locked, before it goes around it
}

func newBatcher(
	pool *pgxpool.Pool, slots holds, clk clock.Clock, limit BatchLimits, log *slog.Logger, observe func(int, time.Duration, error),
) *batcher {
	b := &batcher{pool: pool, slots: slots, clock: clk, limit: limit, log: log, observe: observe}
	for range limit.Lanes {
		b.lanes = append(b.lanes, &lane{})
	}
	return b
}

// confirm waits until the hold is decided. fresh tells that this very call made the booking. When the wait is over the
// answer is fault.CodeOutcomeUnknown: the request may still be decided, and sending it again gives its outcome.
func (b *batcher) confirm(ctx context.Context, h token.Hold) (booking Booking, fresh bool, err error) {
	w := &waiter{request: request{hold: h}, campaign: h.Campaign}
	if w.id, err = uuid.NewV7(); err != nil {
		return Booking{}, false, fmt.Errorf("making a booking's id: %w", err)
	}
	return b.wait(ctx, w)
}

// cancel ends an active booking and gives its unit back, in a flush like every other change, and returns it as it is then.
// A booking that somebody else cancelled first has come to the same end; one that was moved meanwhile is
// fault.CodeNoBooking.
func (b *batcher) cancel(ctx context.Context, old Booking, actor uuid.UUID) (Booking, error) {
	e := &ending{booking: old.ID, slot: old.Slot, person: old.Person, actor: actor}
	ended, _, err := b.wait(ctx, &waiter{end: e, campaign: old.Campaign})
	return ended, err
}

// wait hands w to its lane and waits for what becomes of it. Whoever leaves meanwhile is waited for all the same: what was
// handed over is decided anyway, and watching for it costs every request more than it spares those few.
func (b *batcher) wait(ctx context.Context, w *waiter) (booking Booking, fresh bool, err error) {
	if err := ctx.Err(); err != nil {
		return Booking{}, false, outcomeUnknown(err)
	}
	if err := b.enqueue(w); err != nil {
		return Booking{}, false, err
	}
	<-w.done
	return w.result, w.fresh, w.err
}

func outcomeUnknown(cause error) error {
	return fault.New(fault.Unavailable, fault.CodeOutcomeUnknown).After(time.Second).Because(cause)
}

func (b *batcher) enqueue(w *waiter) error {
	w.deadline, w.done = b.clock.Real().Add(b.limit.Wait), make(chan struct{})
	l := b.lane(w.slot())
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.end == nil {
		delete(l.coming, w.hold.ID)
	}
	if len(l.waiting) >= b.limit.Queue {
		return fault.New(fault.Unavailable, fault.CodeOverloaded).After(2 * time.Second)
	}
	l.waiting = append(l.waiting, w)
	if l.overdue == nil {
		l.overdue = time.AfterFunc(b.limit.Wait, func() { b.expire(l) })
	}
	if !l.busy {
		l.busy = true
		b.running.Add(1)
		go b.run(l)
	}
	return nil
}

// expire tells whoever has waited too long that their outcome is unknown, and comes back when the next will have. What they
// asked for is decided all the same. One timer for a lane does it: one for each who waits costs more than all of them are worth.
func (b *batcher) expire(l *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := b.clock.Real()
	var next time.Time
	for _, group := range [][]*waiter{l.flying, l.untold, l.waiting} {
		for _, w := range group {
			switch {
			case w.answered.Load():
			case !now.Before(w.deadline):
				w.fail(outcomeUnknown(nil))
			case next.IsZero() || w.deadline.Before(next):
				next = w.deadline
			}
		}
	}
	if next.IsZero() {
		l.overdue = nil
		return
	}
	l.overdue.Reset(next.Sub(now))
}

// lane is that of a slot.
func (b *batcher) lane(slot int64) *lane {
	return b.lanes[uint64(slot)%uint64(len(b.lanes))] //nolint:gosec // a hash
}

// run flushes a lane until nobody waits in it.
func (b *batcher) run(l *lane) {
	defer b.running.Done()
	for {
		group := l.take(b.limit.Rows)
		if len(group) == 0 {
			return
		}
		began := b.clock.Real()
		again := b.flush(l, group)
		l.learn(b.clock.Real().Sub(began))
		if len(again) == 0 {
			l.breathe(len(group), b.limit.Rows)
			continue
		}
		l.mu.Lock()
		if began.Before(l.around) {
			l.waiting = append(l.waiting, again...) // those who want what is locked let all others pass
		} else {
			l.waiting = append(again, l.waiting...)
		}
		l.mu.Unlock()
	}
}

// flush decides a group and tells its waiters. It returns those who have to go into the next flush.
func (b *batcher) flush(l *lane, group []*waiter) (again []*waiter) {
	ctx := context.Background()
	b.askGivenUp(ctx, group)
	requests := make([]request, 0, len(group))
	var endings []ending
	references := newReferences(len(group))
	for i, w := range group {
		switch {
		case w.end != nil:
			endings = append(endings, *w.end)
			continue
		case w.reference == "": // whoever comes a second time keeps it: the first may have been committed
			w.reference = references[i]
		}
		requests = append(requests, w.request)
	}
	// The deadline is for getting a connection and the locks; write takes it off for the commit.
	lockCtx, cancel := context.WithTimeout(ctx, b.limit.Wait)
	start := b.clock.Real()
	crash.Point(crash.FlushBegins)
	f, err := flush(lockCtx, b.pool, group[0].campaign, endings, requests, how{
		look: l.looks(), patience: b.limit.Lock, around: start.Before(l.around),
	})
	cancel()
	l.met(f.met)
	b.stuck(l, f)
	b.observe(len(group), b.clock.Real().Sub(start), err)
	switch {
	case err == nil:
		return b.settle(ctx, l, group, f)
	case postgres.ShouldRetry(err), postgres.IsLockTimeout(err): // the latter of a whole table, which there is no way around
		return b.retry(group, err)
	case errors.Is(err, errAfterCommit):
		for _, w := range group {
			w.uncertain = true
		}
		b.log.Warn("a flush lost its connection while committing; its bookings are asked again", "rows", len(group), "error", err)
		return b.retry(group, err)
	case fault.CodeOf(err) == fault.CodeStoreUnavailable:
		// Nothing of this flush was written, so the answer is a definite "not now", except for those whom an earlier
		// flush may have written.
		var uncertain []*waiter
		for _, w := range group {
			if w.uncertain {
				uncertain = append(uncertain, w)
				continue
			}
			w.fail(err)
		}
		return b.retry(uncertain, err)
	case len(group) > 1:
		// One bad row must fail alone.
		half := len(group) / 2
		return append(b.flush(l, group[:half]), b.flush(l, group[half:])...)
	default:
		b.log.Error("a booking can't be written", "id", group[0].key(), "error", err)
		group[0].fail(err)
		return nil
	}
}

// goAround is how many times as long as it has waited for a locked row a lane goes around those that are, until it waits again.
// Going around alone would never get a row that instances by turns have locked for milliseconds each; waiting alone would stop all
// of a lane for whoever has locked one for long.
const goAround = 4

// stuck remembers that rows are locked for longer than a flush waits.
func (b *batcher) stuck(l *lane, f flushed) {
	now := b.clock.Real()
	if !f.stuck || now.Before(l.around) {
		return
	}
	l.around = now.Add(goAround * b.limit.Lock)
	b.log.Warn("somebody has locked slots or bookings for longer than a flush waits; it goes on with all others", "waited", b.limit.Lock)
}

// retryPause keeps a lane from spinning while its store is away, or while all that it has to do waits for others.
const retryPause = 50 * time.Millisecond

// retry keeps those who still wait for the next flush; the rest are told that their outcome is unknown.
func (b *batcher) retry(group []*waiter, cause error) (again []*waiter) {
	for _, w := range group {
		if b.clock.Real().After(w.deadline) {
			w.fail(outcomeUnknown(cause))
			continue
		}
		again = append(again, w)
	}
	if len(again) > 0 {
		time.Sleep(retryPause)
	}
	return again
}

// settle answers everybody whose hold is decided, then tells Redis, then answers who cancelled. Who was skipped goes into the
// next flush.
func (b *batcher) settle(ctx context.Context, l *lane, group []*waiter, f flushed) (again []*waiter) {
	decided := map[int64][]slot.Decided{}
	var ends []*waiter
	for _, w := range group {
		if f.stuck && w.answered.Load() {
			continue // was told that the outcome is unknown; it isn't decided without them
		}
		if w.end != nil {
			if f.later[w.end.booking] {
				again = append(again, w)
			} else {
				ends = append(ends, w)
			}
			continue
		}
		outcome, ok := f.outcomes[w.hold.ID]
		if !ok {
			// Skipped: another instance books the person at this moment, the reference is somebody's already, or the slot is locked.
			w.reference = ""
			again = append(again, w)
			continue
		}
		decided[w.hold.Slot] = append(decided[w.hold.Slot], slot.Decided{
			Hold: w.hold.ID, Person: w.hold.Person, Booked: outcome.Status == Active,
		})
		w.succeed(outcome, f.fresh[w.hold.ID])
	}
	l.tells(ends)
	// Beside the lane's next flush, which doesn't need it: copies are applied in any order.
	b.running.Go(func() {
		crash.Point(crash.Answered)
		if err := b.slots.Push(ctx, group[0].campaign, f.copies, decided); err != nil {
			b.log.Warn("Redis wasn't told of a flush; the reconciler tells it when it can be reached", "error", err)
		}
		// After Redis knows, so that who cancelled finds the place free when they ask for it next.
		for _, w := range ends {
			w.settleEnd(f.ended[w.end.booking])
		}
		l.told(ends)
	})
	if f.stuck && len(again) == len(group) {
		time.Sleep(retryPause)
	}
	return again
}

const (
	// askWithin is how long a flush waits for Redis to say which holds were given up.
	askWithin = 200 * time.Millisecond
	// askAgainAfter is how long flushes don't ask a Redis that didn't answer: it may be silent for minutes, and every flush
	// would wait for it.
	askAgainAfter = time.Second
)

// askGivenUp marks the holds that Redis says were given up. Without Redis none is: it never decides.
func (b *batcher) askGivenUp(ctx context.Context, group []*waiter) {
	tokens := make([]token.Hold, 0, len(group))
	for _, w := range group {
		if w.end == nil {
			tokens = append(tokens, w.hold)
		}
	}
	now := b.clock.Real()
	if silent := b.silent.Load(); len(tokens) == 0 || (silent != nil && now.Sub(*silent) < askAgainAfter) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	given, err := b.slots.GivenUp(ctx, group[0].campaign, tokens)
	if err != nil {
		b.log.Debug("Redis wasn't asked about holds that were given up", "error", err)
		now = b.clock.Real()
		b.silent.Store(&now)
		return
	}
	for _, w := range group {
		w.givenUp = given[w.hold.ID]
	}
}

// close waits until every lane has finished what it has.
func (b *batcher) close(ctx context.Context) error { return waitFor(ctx, &b.running) }

// waitFor waits for all of a group as long as ctx lasts.
func waitFor(ctx context.Context, all *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
