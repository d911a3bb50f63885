package waitingroom

import (
	"slices"
	"sort"
	"time"
)

// Call is one entry of a room's short history: from an instant on, everybody below a number was called.
type Call struct {
	At      time.Time `json:"at"` // real time
	Serving uint64    `json:"serving"`
	// Came counts those who were called by this entry, that is from the entry before it on, and came in.
	Came uint64 `json:"came"`
}

// History is a room's calls in the order of time, one a second at most and as far back as it needs to go; both fields grow.
// The first entry is where the others begin. It answers when somebody was called, without a row per person.
type History []Call

// CalledAt is when a position was called; false if it wasn't, or before what the history remembers. Then the position is
// below Oldest.
func (h History) CalledAt(position uint64) (time.Time, bool) {
	i := h.entry(position)
	if i == 0 || i == len(h) {
		return time.Time{}, false
	}
	return h[i].At, true
}

// Oldest is the lowest number that the history remembers the call of: those below were called earlier.
func (h History) Oldest() uint64 {
	if len(h) == 0 {
		return 0
	}
	return h[0].Serving
}

// entry is the index of the entry that called a position.
func (h History) entry(position uint64) int {
	return sort.Search(len(h), func(i int) bool { return position < h[i].Serving })
}

// Note returns the history with a step from one serving number to another, without what is older than keep. Steps within
// a second are one entry, as the latest of them: nobody gets less grace for it.
func (h History) Note(at time.Time, from, to uint64, keep time.Duration) History {
	if to <= from {
		return h // Nobody was called.
	}
	if len(h) == 0 {
		h = append(h, Call{At: at, Serving: from})
	}
	if last := len(h) - 1; last > 0 && at.Truncate(time.Second).Equal(h[last].At.Truncate(time.Second)) {
		h[last].At, h[last].Serving = at, to
	} else {
		h = append(h, Call{At: at, Serving: to})
	}
	// The newest of those that are too old stays: it is where the next one's calls begin.
	old := 0
	for old+1 < len(h) && at.Sub(h[old+1].At) > keep {
		old++
	}
	return slices.Delete(h, 0, old)
}

// InGrace tells whether who has a position since an instant may still come in as called: they were, and grace hasn't passed
// since, or since they have it if that was later. While a room is paused, hand in the instant at which it was.
func (h History) InGrace(position uint64, since, now time.Time, grace time.Duration) bool {
	at, ok := h.CalledAt(position)
	switch {
	case !ok && position < h.Oldest():
		at = h[0].At // or earlier, which makes no difference to who took a number that had been called
	case !ok:
		return false
	}
	if since.After(at) {
		at = since
	}
	return now.Sub(at) < grace
}

// Arrived counts one person who came in, having been called with a position. False if the history doesn't remember them.
func (h History) Arrived(position uint64) bool {
	if _, ok := h.CalledAt(position); !ok {
		return false
	}
	h[h.entry(position)].Came++
	return true
}

// Resume moves all calls by the length of a pause that ended, so that it takes nothing of anybody's grace.
func (h History) Resume(pause time.Duration) {
	for i := range h {
		h[i].At = h[i].At.Add(pause)
	}
}

const (
	// turnoutAfter is when most of those who mean to come have come: a few polls, and the time it takes to look.
	turnoutAfter = time.Minute
	// turnoutWindow is how long calls count after that. Longer is steadier, shorter sooner right.
	turnoutWindow = 2 * time.Minute
)

// TurnoutKeep is what a history must keep at least for Turnout to see everybody it counts.
const TurnoutKeep = turnoutAfter + turnoutWindow

// Turnout fills in the inputs that say how many of those called come. Numbers that nobody has (from issued on) aren't
// called people.
func (h History) Turnout(now time.Time, issued uint64, into *Inputs) {
	into.Called, into.CameOfCalled, into.Coming, into.CameOfComing = 0, 0, 0, 0
	for i := 1; i < len(h); i++ {
		called := ahead(min(h[i].Serving, issued), min(h[i-1].Serving, issued))
		switch age := now.Sub(h[i].At); {
		case age < turnoutAfter:
			into.Coming += called
			into.CameOfComing += min(h[i].Came, called)
		case age < turnoutAfter+turnoutWindow:
			into.Called += called
			into.CameOfCalled += min(h[i].Came, called)
		}
	}
}
