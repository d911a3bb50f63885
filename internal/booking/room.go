package booking

import (
	"time"

	"github.com/google/uuid"

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

// expected is a hold that was placed just now and isn't confirmed yet.
type expected struct {
	hold  uuid.UUID
	until time.Time
}

// full tells whether nobody more should be promised a place; the lane is locked. Whose hold is being placed is counted, and
// who was given one and doesn't confirm at once is for as long as deciding it would have taken.
func (l *lane) full(now time.Time, rows, queue int) bool {
	for len(l.order) > 0 && !now.Before(l.order[0].until) {
		delete(l.coming, l.order[0].hold)
		l.order = l.order[1:]
	}
	confirms, _ := l.room(rows, queue)
	return len(l.waiting)+l.placing+len(l.coming) >= confirms
}

// expect keeps room in the lane of a slot for somebody for whom a hold is to be placed, or refuses with overloaded. placed
// must be called when that has ended, with the hold, or with uuid.Nil if there is none.
func (b *batcher) expect(slot int64) (placed func(hold uuid.UUID), err error) {
	l := b.lane(slot)
	now := b.clock.Real()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full(now, b.limit.Rows, b.limit.Queue) {
		return nil, fault.New(fault.Unavailable, fault.CodeOverloaded).After(crowdedWait + time.Duration(now.Nanosecond())*3)
	}
	l.placing++
	return func(hold uuid.UUID) {
		now := b.clock.Real()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.placing--
		if hold == uuid.Nil || l.coming[hold] {
			return
		}
		_, within := l.room(b.limit.Rows, b.limit.Queue)
		if l.coming == nil {
			l.coming = map[uuid.UUID]bool{}
		}
		l.coming[hold] = true
		l.order = append(l.order, expected{hold, now.Add(within)})
	}, nil
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
