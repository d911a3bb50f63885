//go:build unix

package localstores

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// engine is what differs between Postgres and Redis.
type engine interface {
	// start returns a process that answers. At the first start it may be one that an earlier process of ours left
	// running, and it may choose another port; later the port stays, because its address has been handed out.
	start(ctx context.Context, first bool) (*process, error)
	// stopSignal asks the process to stop at once, losing nothing that it keeps.
	stopSignal() syscall.Signal
	url() string
}

// Store is one of the pair. Its methods let a test do to it what a data centre may.
type Store struct {
	name     string
	engine   engine
	home     *home
	lifetime context.Context //nolint:containedctx // the pair's, which outlives the call that started it
	watchers *sync.WaitGroup

	proc atomic.Pointer[process]

	// mu is held over every change from running to not running and back.
	mu sync.Mutex
	// down is whether the store was taken down on purpose, so that supervision leaves it alone.
	down bool
	// rest is how long supervision waits before it starts the store the next time.
	rest time.Duration
}

// Pid is the id of the store's (first) process, 0 when it isn't running.
func (s *Store) Pid() int {
	p := s.proc.Load()
	if p == nil || p.ended() {
		return 0
	}
	return p.pid
}

// Kill ends the store as a power cut would (SIGKILL to all its processes), and returns when they are gone. It stays
// down until Restart, supervised or not: to see supervision at work, kill Pid.
func (s *Store) Kill(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = true
	if p := s.proc.Load(); p != nil {
		return p.killAll(ctx)
	}
	return nil
}

// Pause freezes all processes of the store: connections stay open and nothing answers.
func (s *Store) Pause(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.proc.Load(); p != nil {
		return p.signalAll(ctx, syscall.SIGSTOP)
	}
	return nil
}

// Resume lets a paused store go on.
func (s *Store) Resume(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.proc.Load(); p != nil {
		return p.signalAll(ctx, syscall.SIGCONT)
	}
	return nil
}

// Restart stops the store, if it is running, and starts it again on its old port. Postgres keeps its data; Redis is
// empty afterwards.
func (s *Store) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restart(ctx, func() error { return nil })
}

// restart is Restart with something done while the store is down. The caller holds mu.
func (s *Store) restart(ctx context.Context, whileDown func() error) error {
	if err := s.lifetime.Err(); err != nil {
		return fmt.Errorf("%s can't be restarted: the pair was stopped", s.name)
	}
	s.down = true
	if err := s.shutDown(ctx); err != nil {
		return err
	}
	if err := whileDown(); err != nil {
		return err
	}
	return s.run(ctx, false)
}

// begin starts the store for the first time.
func (s *Store) begin(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run(ctx, true)
}

// run starts the store and has it watched. The caller holds mu.
func (s *Store) run(ctx context.Context, first bool) error {
	p, err := s.engine.start(ctx, first)
	if err != nil {
		return err
	}
	s.proc.Store(p)
	s.down = false
	if s.home.opts.Supervise {
		s.watchers.Go(func() { s.watch(p, time.Now()) })
	}
	return nil
}

// end stops the store for good.
func (s *Store) end(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = true
	return s.shutDown(ctx)
}

// shutDown stops the process and waits for its end; once the context has ended it kills it. The caller holds mu.
func (s *Store) shutDown(ctx context.Context) error {
	p := s.proc.Load()
	if p == nil || p.ended() {
		return nil
	}
	if err := p.signal(s.engine.stopSignal()); err != nil {
		return err
	}
	// A paused process would only hear of it when it goes on.
	if err := p.signalAll(ctx, syscall.SIGCONT); err != nil {
		return err
	}
	if p.wait(ctx) == nil {
		return nil
	}
	s.home.log.WarnContext(ctx, s.name+" didn't stop in time and is killed; it recovers at the next start", "process", p.pid)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return p.killAll(ctx)
}

// Supervision starts a store again at once after its first death, and waits ever longer before each further start, up
// to longestRest. A store that ran for healthyAfter is well again: its next death counts as the first.
const (
	firstRest    = time.Second
	longestRest  = 30 * time.Second
	healthyAfter = time.Minute
)

// watch waits for the end of a process and, where nobody wanted that, starts the store again until it runs or the pair
// is stopped.
func (s *Store) watch(p *process, since time.Time) {
	select {
	case <-p.done:
	case <-s.lifetime.Done():
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down || s.proc.Load() != p || s.lifetime.Err() != nil {
		return
	}
	if time.Since(since) >= healthyAfter {
		s.rest = 0
	}
	rest := s.nextRest()
	s.home.log.ErrorContext(s.lifetime, s.name+" died unexpectedly and is started again; what it had acknowledged is kept",
		"process", p.pid, "how", p.how, "in", rest)
	for sleep(s.lifetime, rest) {
		err := s.run(s.lifetime, false)
		if err == nil {
			s.home.log.WarnContext(s.lifetime, s.name+" is running again", "process", s.proc.Load().pid)
			return
		}
		if s.lifetime.Err() != nil {
			return
		}
		rest = s.nextRest()
		s.home.log.ErrorContext(s.lifetime, s.name+" can't be started again yet", "error", err, "next_try_in", rest)
	}
}

// nextRest is how long to wait now; the wait after this one is longer. The caller holds mu.
func (s *Store) nextRest() time.Duration {
	rest := s.rest
	s.rest = min(max(2*rest, firstRest), longestRest)
	return rest
}

// sleep waits; false means that the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
