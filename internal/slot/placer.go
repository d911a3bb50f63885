package slot

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"jari/internal/crash"
	"jari/internal/fault"
	jariredis "jari/internal/redis"
)

// placer gathers placements into pipelines, as flushes gather confirms: while one is on its way, the next gathers, and where
// somebody waits already when it comes back, the next waits a breath for more. At low load a pipeline is one placement, sent
// at once; a stampede costs Redis and this instance one write and one read for many.
type placer struct {
	client *redis.Client
	queue  int // placements that may wait

	mu      sync.Mutex
	waiting []*placing
	sending int // pipelines on their way
}

const (
	// placerPipelines go at the same time, the second one only when a call's worth waits: while one's answers are read, Redis
	// works on the other.
	placerPipelines = 2
	// placerBreath is how long a pipeline that finds somebody waiting waits for more of them. Redis is so fast that without it
	// a pipeline is one or two placements at any load, each with the wake-ups of two processes. In a rush, which one that
	// carried placerRush tells of, it is placerDeepBreath: what a citizen waits longer is little of what they wait anyway.
	placerBreath     = time.Millisecond
	placerDeepBreath = 3 * time.Millisecond
	placerRush       = 8
	// placerMost bounds one pipeline.
	placerMost = 256
	// placerCall bounds one call of the script, and with it how long other commands wait for the one thread of Redis.
	placerCall = 64
	// placerWait is what a placement that finds the queue full is told to wait.
	placerWait = 2 * time.Second
)

// placing is a placement that somebody waits for.
type placing struct {
	placement
	ctx     context.Context //nolint:containedctx // the caller's, to leave out whoever has gone before their turn
	done    chan struct{}   // closed when outcome and err are set
	outcome outcome
	err     error
}

func newPlacer(client *redis.Client, queue int) *placer { return &placer{client: client, queue: queue} }

// place runs place_holds.lua once. A caller who leaves before the answer may have placed a hold all the same: asking again
// finds it. The client's timeouts bound the wait, not the caller's context: watching that costs every request more than it
// spares the few who leave.
func (p *placer) place(ctx context.Context, wish placement) (outcome, error) {
	w := &placing{placement: wish, ctx: ctx, done: make(chan struct{})}
	if err := p.enqueue(w); err != nil {
		return outcome{}, err
	}
	<-w.done
	return w.outcome, w.err
}

func (p *placer) enqueue(w *placing) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) >= p.queue {
		return fault.New(fault.Unavailable, fault.CodeOverloaded).After(placerWait)
	}
	p.waiting = append(p.waiting, w)
	if p.sending == 0 || (p.sending < placerPipelines && len(p.waiting) >= placerCall) {
		p.sending++
		go p.run()
	}
	return nil
}

// run sends pipelines until nobody waits.
func (p *placer) run() {
	for {
		group := p.take()
		if group == nil {
			return
		}
		p.send(group)
		p.breathe(len(group))
	}
}

// breathe lets a few who wait be joined by more, after a pipeline that carried so many.
func (p *placer) breathe(carried int) {
	p.mu.Lock()
	few := 0 < len(p.waiting) && len(p.waiting) < placerCall
	p.mu.Unlock()
	switch {
	case few && carried < placerRush:
		time.Sleep(placerBreath)
	case few:
		time.Sleep(placerDeepBreath)
	}
}

// take removes the next group, or ends a run.
func (p *placer) take() []*placing {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.sending--
		return nil
	}
	n := min(len(p.waiting), placerMost)
	group := p.waiting[:n:n]
	p.waiting = p.waiting[n:]
	if len(p.waiting) == 0 {
		p.waiting = nil // let go of the array
	}
	return group
}

// send runs the script for a group in one round trip and tells everybody. The client's own timeouts bound it: it isn't
// tied to the request of any one of the group.
func (p *placer) send(group []*placing) {
	here := group[:0]
	for _, w := range group {
		if err := w.ctx.Err(); err != nil {
			w.answer(outcome{}, jariredis.Unreachable(err))
			continue
		}
		here = append(here, w)
	}
	if unknown := p.pipeline(here, false); len(unknown) > 0 {
		p.pipeline(unknown, true)
	}
}

// pipeline sends one pipeline. It returns those whose script Redis doesn't know, unless the source itself was sent.
func (p *placer) pipeline(group []*placing, plain bool) (unknown []*placing) {
	if len(group) == 0 {
		return nil
	}
	ctx := context.Background()
	pipe := p.client.Pipeline()
	calls := calls(group)
	replies := make([]*redis.Cmd, len(calls))
	for i, call := range calls {
		replies[i] = callPlaceHolds(ctx, pipe, call, plain)
	}
	_, _ = pipe.Exec(ctx) // each reply has its own error
	crash.Point(crash.HoldPlaced)
	for i, call := range calls {
		reply, err := replies[i].Slice()
		switch {
		case !plain && redis.HasErrorPrefix(err, "NOSCRIPT"):
			unknown = append(unknown, call...)
			continue
		case err != nil:
			err = jariredis.Unreachable(err)
		default:
			err = readOutcomes(call, reply)
		}
		if err != nil {
			for _, w := range call {
				w.answer(outcome{}, err)
			}
		}
	}
	return unknown
}

// calls divides a group into calls of the script: of one campaign each, whose keys are together on a cluster.
func calls(group []*placing) (calls [][]*placing) {
	slices.SortStableFunc(group, func(a, b *placing) int { return strings.Compare(a.Campaign, b.Campaign) })
	for len(group) > 0 {
		n := 1
		for n < len(group) && n < placerCall && group[n].Campaign == group[0].Campaign {
			n++
		}
		calls = append(calls, group[:n])
		group = group[n:]
	}
	return calls
}

func (w *placing) answer(o outcome, err error) {
	w.outcome, w.err = o, err
	close(w.done)
}
