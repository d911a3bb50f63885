package booking

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"jari/internal/fault"
)

// lane is where the requests of its slots gather. One flush of it is on its way at a time.
type lane struct {
	mu      sync.Mutex
	waiting []*waiter
	flying  []*waiter // those in the flush that runs
	untold  []*waiter // those whose cancel is decided, while Redis is told of it
	busy    bool
	// overdue tells those whom no flush has answered in time. It is there when it is set.
	overdue *time.Timer
	// placing are holds on the lane's slots that are being placed, coming those that were just now and aren't confirmed yet,
	// order the same in the order of their ends, and took is how long a flush takes (room.go).
	placing int
	coming  map[uuid.UUID]bool
	order   []expected
	took    time.Duration
	// looking is how many flushes yet look for what was decided before. Its flushes, one at a time, are all who touch it.
	looking int
	// around is until when it goes around rows that others have locked, without waiting for them first. Its flushes touch it.
	around time.Time
}

// waiter is a hold on its way to a decision, or a booking on its way to its end, with whoever waits for it.
type waiter struct {
	request  // unless end
	end      *ending
	campaign string
	deadline time.Time
	answered atomic.Bool   // somebody has an answer, or says that there is none
	done     chan struct{} // closed when result and err are set
	result   Booking
	fresh    bool
	err      error
	// uncertain: a flush with this request may have been committed although its answer was lost.
	uncertain bool
}

// slot is the slot whose lane it goes into.
func (w *waiter) slot() int64 {
	if w.end != nil {
		return w.end.slot
	}
	return w.hold.Slot
}

// key names what is asked for; the same thing asked twice is asked in two flushes.
func (w *waiter) key() uuid.UUID {
	if w.end != nil {
		return w.end.booking
	}
	return w.hold.ID
}

// take removes the next group of one campaign, at most most of them and nothing twice, or marks the lane idle.
func (l *lane) take(most int) []*waiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flying = nil
	if len(l.waiting) == 0 {
		l.busy = false
		return nil
	}
	var group, rest []*waiter
	in := map[uuid.UUID]bool{}
	for _, w := range l.waiting {
		if len(group) < most && w.campaign == l.waiting[0].campaign && !in[w.key()] {
			in[w.key()] = true
			group = append(group, w)
			continue
		}
		rest = append(rest, w)
	}
	l.waiting, l.flying = rest, group
	return group
}

// A flush costs Postgres as much as dozens of bookings, whatever it carries. So in a rush, which a flush that carried flushRush of
// them tells of, the next one waits flushBreath for more, unless it is nearly full already: what a citizen waits longer is little of
// what they wait anyway. At low load nobody waits for anybody.
const (
	flushBreath = 4 * time.Millisecond
	flushRush   = 48
)

// breathe lets those who wait be joined by more, after a flush that carried so many of the most that one may.
func (l *lane) breathe(carried, most int) {
	if carried < flushRush {
		return
	}
	l.mu.Lock()
	few := 4*len(l.waiting) < 3*most
	l.mu.Unlock()
	if few {
		time.Sleep(flushBreath)
	}
}

// lookFor is for how many flushes a lane goes on looking for what was decided before, once it met some: who asks again isn't
// alone, and a flush that meets one of them without looking is done twice.
const lookFor = 256

// looks tells whether the next flush looks for what was decided before.
func (l *lane) looks() bool { return l.looking > 0 }

// met counts a flush that met what was decided before, or didn't.
func (l *lane) met(decided bool) {
	if decided {
		l.looking = lookFor
	} else if l.looking > 0 {
		l.looking--
	}
}

// tells keeps those of whom Redis is being told where they aren't forgotten if that takes too long; told forgets them.
func (l *lane) tells(ends []*waiter) {
	if len(ends) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.untold = append(l.untold, ends...)
}

func (l *lane) told(ends []*waiter) {
	if len(ends) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.untold = slices.DeleteFunc(l.untold, func(w *waiter) bool { return slices.Contains(ends, w) })
}

// settleEnd answers who wanted a booking cancelled.
func (w *waiter) settleEnd(b Booking) {
	if b.Status != Cancelled || b.Person != w.end.person {
		w.fail(fault.New(fault.NotFound, fault.CodeNoBooking))
		return
	}
	w.succeed(b, false)
}

func (w *waiter) succeed(result Booking, fresh bool) { w.answer(result, fresh, nil) }

func (w *waiter) fail(err error) { w.answer(Booking{}, false, err) }

// answer is for whoever is first to have one.
func (w *waiter) answer(result Booking, fresh bool, err error) {
	if w.answered.CompareAndSwap(false, true) {
		w.result, w.fresh, w.err = result, fresh, err
		close(w.done)
	}
}
