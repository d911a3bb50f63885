package main

import "time"

// The parts of a benchmark take turns, because the machine that it runs on is rarely alone and changes its pace from one
// second to the next: what is compared must have met the same moments. Ratios are of the sums over all turns.

const (
	// longTurn is a turn's length where each begins with a server that has just been started.
	longTurn = 2 * time.Second
	// shortTurn is a turn's length where the servers go on running.
	shortTurn = 500 * time.Millisecond
)

// turnsFor is in how many turns a part is measured that takes so long in all: as many as wanted, or where none are named,
// as fit of the given length, and two at least.
func turnsFor(wanted int, all, length time.Duration) int {
	if wanted != 0 {
		return wanted
	}
	return max(2, int((all+length/2)/length))
}

// warmUpOf is how long a part runs before its turn is measured.
func warmUpOf(turn time.Duration) time.Duration { return min(2*time.Second, turn/4) }
