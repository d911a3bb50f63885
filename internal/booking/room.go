package booking

import (
	"time"

	"jari/internal/fault"
)

// A hold is a promise, so no more are placed than can be confirmed soon: each lane counts who waits in it and who was just
// given a hold on one of its slots, and has room for as many as it decides in one flush, or in a tenth of a second where
// flushes are quicker. A confirm then waits for the flush that runs and is in the next, however many ask for places
// meanwhile; and because a flush that becomes slow leaves the rest at its size, so does the answer to when there is room
// again. Nothing is guessed: what a lane can do is what it did.

const (
	// soon is for how long a lane with quick flushes gives holds ahead.
	soon = 100 * time.Millisecond
	// slowest is the longest that one flush counts: one that waited for a store that was away says nothing about the next.
	slowest = time.Second
	// crowdedWait is the least that somebody is told to wait for whom there is no room, and up to three seconds more, by the instant
	// at which they came, so that they don't all come back at once.
	crowdedWait = 2 * time.Second
)

// room is how many confirms a lane takes soon, and how soon that is.
func (l *lane) room(rows, queue int) (confirms int, within time.Duration) {
	took := max(l.took, time.Millisecond)
	flushes := max(1, int(soon/took))
	return min(rows*flushes, queue), took * time.Duration(flushes)
}

// full tells whether nobody more should be promised a place; the lane is locked. Who was given a hold and doesn't confirm
// at once is counted for as long as it would have taken.
func (l *lane) full(now time.Time, rows, queue int) bool {
	for len(l.coming) > 0 && !now.Before(l.coming[0]) {
		l.coming = l.coming[1:]
	}
	confirms, _ := l.room(rows, queue)
	return len(l.waiting)+len(l.coming) >= confirms
}

// expect keeps room in the lane of a slot for somebody who is about to be given a hold, or refuses with overloaded. Who
// gets none after all gives it back.
func (b *batcher) expect(slot int64) (giveBack func(), err error) {
	l := b.lane(slot)
	now := b.clock.Real()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full(now, b.limit.Rows, b.limit.Queue) {
		return nil, fault.New(fault.Unavailable, fault.CodeOverloaded).After(crowdedWait + time.Duration(now.Nanosecond())*3)
	}
	_, within := l.room(b.limit.Rows, b.limit.Queue)
	l.coming = append(l.coming, now.Add(within))
	return l.comeBack, nil
}

// comeBack takes one away who isn't coming any more. Which one makes no difference to a count.
func (l *lane) comeBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrived()
}

// arrived takes one away of those who are expected; the lane is locked.
func (l *lane) arrived() {
	if len(l.coming) > 0 {
		l.coming = l.coming[1:]
	}
}

// learn remembers how long flushes take; the latest counts for a quarter.
func (l *lane) learn(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.took == 0 {
		l.took = min(took, slowest)
		return
	}
	l.took += (min(took, slowest) - l.took) / 4
}

// crowded tells whether no lane has room.
func (b *batcher) crowded() bool {
	now := b.clock.Real()
	for _, l := range b.lanes {
		l.mu.Lock()
		full := l.full(now, b.limit.Rows, b.limit.Queue)
		l.mu.Unlock()
		if !full {
			return false
		}
	}
	return true
}
