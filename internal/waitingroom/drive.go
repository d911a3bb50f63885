package waitingroom

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/internal/clock"
	"jari/internal/crash"
)

const (
	// stepEvery is how often whoever leads an open room advances it, and others see whether it is led.
	stepEvery = 250 * time.Millisecond
	// mostInside stands for no limit.
	mostInside = math.MaxInt32
)

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// drive leads a room whenever nobody else does, until ctx ends. What it keeps in memory may be lost with it.
func (s *Service) drive(ctx context.Context, room string) {
	leader := s.Lead(room)
	failing := false
	clock.Every(ctx, stepEvery, func() {
		err := leader.Step(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.Log.Warn("a waiting room stands still", "room", room, "error", err)
		}
		failing = err != nil
	})
}

// Lead is this instance as the leader of a room, which it may become at any of its steps.
func (s *Service) Lead(room string) *Leader { return &Leader{Service: s, room: room} }

// Leads tells whether this instance leads a room in which people are called, as far as it has looked.
func (s *Service) Leads() bool {
	views := s.views.Load()
	if views == nil {
		return false
	}
	for _, v := range *views {
		if v.State == Open && !v.Endless && v.Leader != nil && *v.Leader == s.me {
			return true
		}
	}
	return false
}

// Leader advances one room while nobody else does. It is for one goroutine.
type Leader struct {
	*Service
	room       string
	controller *Controller // nil while another leads
	inside     int         // as last counted
	quiet      int         // steps to leave out
	leads      bool        // as far as the last step knew
}

// Pace is the factor that health cuts the target by; 1 while another leads.
func (l *Leader) Pace() float64 {
	if l.controller == nil {
		return 1
	}
	return l.controller.Health()
}

// Step takes the lead if nobody has it, and does what is due in the room if this instance leads.
func (l *Leader) Step(ctx context.Context) error {
	room := l.room
	if l.quiet > 0 {
		l.quiet--
		return nil
	}
	plan, ok := l.plan(room)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	r, err := l.Ledger.Lead(ctx, room, l.me)
	if err != nil || r == nil {
		l.controller, l.leads = nil, false
		return err
	}
	if !l.leads {
		l.leads = true
		l.Log.Info("this instance leads a waiting room now", "room", room, "leader", l.me)
	}
	now := l.Clock.Now()
	over := !plan.Endless && !now.Before(plan.ClosesAt)
	begun := plan.Endless || !now.Before(plan.OpensAt)
	switch r.State {
	case Scheduled:
		l.quiet = 1
		switch {
		case over:
			return l.transit(ctx, r, Closed)
		case plan.Draw != NoDraw && !now.Before(plan.RegistrationOpensAt):
			return l.transit(ctx, r, Registering)
		case plan.Draw == NoDraw && begun:
			return l.transit(ctx, r, Open)
		}
	case Registering:
		if freezes := plan.FreezesAt; (freezes.IsZero() && begun) || (!freezes.IsZero() && !now.Before(freezes)) {
			return l.transit(ctx, r, Drawing)
		}
	case Drawing:
		if over {
			return l.transit(ctx, r, Closed)
		}
		if done, err := l.draw(ctx, plan, r); err != nil || !done {
			return err
		}
		if begun {
			return l.transit(ctx, r, Open)
		}
	case Open, Paused:
		if over {
			return l.transit(ctx, r, Closed)
		}
		return l.advance(ctx, r)
	case Closed:
		l.quiet = 20
	}
	return nil
}

// plan is what is published of a room now.
func (s *Service) plan(room string) (Plan, bool) {
	plans, err := s.Plans()
	if err != nil {
		return Plan{}, false
	}
	for _, p := range plans {
		if p.Room == room {
			return p, true
		}
	}
	return Plan{}, false
}

// transit changes the state because its time has come.
func (l *Leader) transit(ctx context.Context, r *Room, to State) error {
	err := inTx(ctx, l.Pool, func(tx pgx.Tx) error {
		moved, err := transit(ctx, tx, r.No, r.State, to, bySchedule)
		if err != nil || !moved {
			return err
		}
		return l.audit(ctx, tx, r.ID, "room."+string(to), bySchedule, map[string]any{"from": r.State})
	})
	if err == nil {
		l.Log.Info("the state of a waiting room changed", "room", r.ID, "from", r.State, "to", to)
	}
	return err
}

// advance lets the controller say how far people are called, and writes that.
func (l *Leader) advance(ctx context.Context, r *Room) error {
	known, err := l.view(r.ID)
	if err != nil {
		return err
	}
	v := *known
	v.Room = r // what was just read, with the plan and the history that are known
	if l.controller == nil {
		l.controller = &Controller{}
	}
	now := l.Clock.Real()
	rate, most := v.controls()
	if most <= 0 {
		most = mostInside
	}
	if n, err := l.countInside(ctx, v.Plan, now); err == nil {
		l.inside = n
	}
	in := Inputs{
		Now: now, Serving: r.Serving, LateServing: r.LateServing, Issued: r.Issued(), LateIssued: r.LateNumbers,
		Inside: l.inside, Health: l.Health(),
	}
	calls := append(History(nil), v.calls...)
	if err := l.came(ctx, r.ID, calls); err != nil {
		l.Log.Debug("who came can't be counted now", "room", r.ID, "error", err)
	}
	calls.Turnout(openTime(r.OpenMS), r.Issued(), &in)
	serving, late := l.controller.Step(Controls{
		Target: rate, MaxActive: most, Paused: r.State == Paused, Grace: v.Grace, LateShare: v.LateShare,
	}, in)
	if serving == r.Serving && late == r.LateServing {
		if v.Endless && v.nobodyWaits() {
			l.quiet = 3 // it is so nearly always, and the lease lasts longer
		}
		return nil
	}
	_, err = l.Ledger.Advance(ctx, r, l.me, max(serving, r.Serving), max(late, r.LateServing))
	crash.Point(crash.Served)
	return err
}

// countInside is how many places behind the room are taken: by people, or at the gateway by codes.
func (l *Leader) countInside(ctx context.Context, p Plan, now time.Time) (int, error) {
	if p.Endless {
		return l.CodesWaiting(ctx)
	}
	return l.Presence.Count(ctx, p.Room, now)
}

// came fills in who came of each call.
func (l *Leader) came(ctx context.Context, room string, calls History) error {
	return l.Presence.Came(ctx, room, calls)
}
