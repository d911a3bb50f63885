// Package clock hands time to the rest of Jari. Nothing else asks the machine what time it is.
//
// There are two times. Real time is what stores stamp and expire: it is the machine's clock, and it must agree with
// the clocks of Postgres and Redis. Shown time is what rules judge and people read: real time plus an offset that only
// development may set, so that a past night can be lived again. In production the offset is zero and the two are one.
package clock

import (
	"sync"
	"time"
)

// Clock tells the time. Implementations are safe for concurrent use.
type Clock interface {
	// Now is shown time: the instant that eligibility is judged at and that answers speak of.
	Now() time.Time
	// Real is the machine's own time: the instant that tokens and store entries expire by.
	Real() time.Time
	// Offset is Now minus Real.
	Offset() time.Duration
}

// Shown turns an instant of real time, such as an expiry that a store stamped, into the time that people see.
func Shown(c Clock, real time.Time) time.Time { return real.Add(c.Offset()) }

// System is the machine's clock, shifted by a fixed offset. The zero value isn't shifted.
type System struct{ offset time.Duration }

// NewSystem returns the machine's clock with shown time moved by offset. Whoever calls it with an offset has made sure
// that this is development.
func NewSystem(offset time.Duration) System { return System{offset: offset} }

// Now is the machine's time plus the offset.
func (s System) Now() time.Time { return time.Now().Add(s.offset) }

// Real is the machine's time.
func (s System) Real() time.Time { return time.Now() }

// Offset is what shown time is ahead of the machine's.
func (s System) Offset() time.Duration { return s.offset }

// Manual is a clock for tests: its shown time stands still until it is moved. Real time stays the machine's, because
// the real stores beside it keep theirs.
type Manual struct {
	mu sync.RWMutex
	at time.Time
}

// NewManual returns a clock whose shown time stands still at the given instant.
func NewManual(at time.Time) *Manual { return &Manual{at: at} }

// Now is the instant that was set last.
func (m *Manual) Now() time.Time {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.at
}

// Real is the machine's time.
func (m *Manual) Real() time.Time { return time.Now() }

// Offset is what shown time is ahead of the machine's at this moment.
func (m *Manual) Offset() time.Duration { return time.Until(m.Now()) }

// Set moves shown time to the given instant.
func (m *Manual) Set(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = at
}

// Advance moves shown time forward by d.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = m.at.Add(d)
}
