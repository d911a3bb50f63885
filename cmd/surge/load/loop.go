package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"jari/internal/clock"
)

// Operation does one thing on a connection and returns an error when the answer wasn't the expected one, which ends the
// loop. It may record latencies of its steps.
type Operation func(ctx context.Context, c *Conn, at Moment) error

// Moment is what an operation knows of its own begin.
type Moment struct {
	// Late is how long after the intended instant it began; always 0 in a closed loop.
	Late     time.Duration
	recorder *Recorder
}

// Took records how long a step took that began at the given instant, and adds by how much the operation was late: the
// client would have waited that long too.
func (m Moment) Took(name string, since time.Time) {
	if m.recorder != nil {
		m.recorder.Record(name, time.Since(since)+m.Late)
	}
}

// Result is what a loop did.
type Result struct {
	Done int64 // operations that succeeded
	// Elapsed is from the first operation's begin to the last one's end.
	Elapsed time.Duration
	// Late are operations of an open loop that began more than LateAfter after their instant; Missed are those that never
	// began, because nobody was free until the loop's end.
	Late, Missed int64
}

// LateAfter is what an operation of an open loop may be late before it is counted as late. Its latency has the delay in
// it in any case.
const LateAfter = 10 * time.Millisecond

// Closed lets each connection do one operation after the other for the given time. Operations that run when the time is
// over are finished, and counted. It returns the first failure of an operation, or the context's error.
func Closed(ctx context.Context, conns []*Conn, length time.Duration, recorder *Recorder, op Operation) (Result, error) {
	group, ctx := errgroup.WithContext(ctx)
	var done atomic.Int64
	begin := time.Now()
	for _, c := range conns {
		group.Go(func() error {
			for time.Since(begin) < length {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := op(ctx, c, Moment{recorder: recorder}); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	err := group.Wait()
	return Result{Done: done.Load(), Elapsed: time.Since(begin)}, err
}

// Open begins operations at the given rate (a second) for the given time, at instants that are drawn like the arrivals of
// people who know nothing of each other. Each operation takes a free connection; when all are busy it begins late. What
// hasn't begun a grace of one length after the end is missed. It returns the first failure of an operation, or the
// context's error.
func Open(
	ctx context.Context, conns []*Conn, rate float64, length time.Duration, recorder *Recorder, op Operation,
) (Result, error) {
	if rate <= 0 {
		return Result{}, fmt.Errorf("a rate of %g a second sends nothing", rate)
	}
	return At(ctx, conns, Arrivals(rate, length), length, recorder, op)
}

// At begins operations at the given instants, in ascending order and counted from now, and is like Open otherwise.
func At(
	ctx context.Context, conns []*Conn, instants []time.Duration, length time.Duration, recorder *Recorder, op Operation,
) (Result, error) {
	group, ctx := errgroup.WithContext(ctx)
	var next, done, late, missed atomic.Int64
	begin := time.Now()
	for _, c := range conns {
		group.Go(func() error {
			for {
				n := next.Add(1) - 1
				if n >= int64(len(instants)) {
					return nil
				}
				intended := begin.Add(instants[n])
				if err := waitUntil(ctx, intended); err != nil {
					return err
				}
				delay := time.Since(intended)
				if time.Since(begin) > 2*length {
					missed.Add(1)
					continue
				}
				if delay > LateAfter {
					late.Add(1)
				}
				if err := op(ctx, c, Moment{Late: delay, recorder: recorder}); err != nil {
					return err
				}
				done.Add(1)
			}
		})
	}
	err := group.Wait()
	return Result{Done: done.Load(), Elapsed: time.Since(begin), Late: late.Load(), Missed: missed.Load()}, err
}

// Arrivals are instants from 0 to length at the given mean rate (a second), with exponential gaps. They are the same at
// each call, so that two runs are asked the same.
func Arrivals(rate float64, length time.Duration) []time.Duration {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // nobody gains by guessing them, and they are to be repeatable
	var instants []time.Duration
	for at := 0.0; ; {
		at += random.ExpFloat64() / rate
		instant := time.Duration(at * float64(time.Second))
		if instant >= length {
			return instants
		}
		instants = append(instants, instant)
	}
}

func waitUntil(ctx context.Context, at time.Time) error {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err()
	}
	return clock.Wait(ctx, wait)
}
