// Package crash lets a process die at a named point of its work, so that a test can see what a power cut there leaves
// behind. Points stand where two stores may come to differ: between what one of them knows and the other doesn't yet.
//
// Nothing happens unless Arm was called, which only development may (package config refuses it elsewhere); a point then
// costs one atomic load.
package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// The points.
const (
	// HoldPlaced is after Redis has placed holds, and before anybody is told.
	HoldPlaced = "hold-placed"
	// FlushBegins is when confirms have gathered, and before Postgres hears of them.
	FlushBegins = "flush-begins"
	// Committed is after Postgres has acknowledged a flush, and before anybody is told.
	Committed = "committed"
	// Answered is after a flush's callers were told, and before Redis is.
	Answered = "answered"
	// PlacesWritten is after places in a line were committed, and before anybody is told.
	PlacesWritten = "places-written"
	// NumbersTaken is when a block of numbers was taken, and before anybody has one.
	NumbersTaken = "numbers-taken"
	// Served is after a serving number has risen, and before anybody is shown it.
	Served = "served"
	// PlanWritten is when everything that a plan moves or cancels is written, and not committed.
	PlanWritten = "plan-written"
	// PlanCommitted is after Postgres has acknowledged a plan, and before Redis or anybody is told.
	PlanCommitted = "plan-committed"
	// MessageJob is when the job of a message was taken, and nothing of it done.
	MessageJob = "message-job"
	// MessageTaken is after a message was taken out of the queue for good, and before the gateway is asked.
	MessageTaken = "message-taken"
	// MessageHandedOver is after the gateway has taken a message, and before that is written down.
	MessageHandedOver = "message-handed-over"
)

// points are all of them.
var points = []string{
	HoldPlaced, FlushBegins, Committed, Answered, PlacesWritten, NumbersTaken, Served, PlanWritten, PlanCommitted,
	MessageJob, MessageTaken, MessageHandedOver,
}

// plan is where to die.
type plan struct {
	point  string
	at     int64   // the passing that is the last one
	chance float64 // instead of at
	delay  time.Duration
	passed atomic.Int64
	die    func()
}

var armed atomic.Pointer[plan]

// Point is passed by whoever gets this far. If it is where to die, it doesn't return.
func Point(name string) {
	if p := armed.Load(); p != nil {
		p.pass(name)
	}
}

// Arm says where to die: name is at the first passing, name:7 at the seventh, name%2.5 at each with a chance of 2.5 in a
// hundred; @20ms after any of these waits so long at the point before dying, so that what was begun before it can end.
// Nothing is armed by an empty text.
func Arm(text string) error {
	if text == "" {
		armed.Store(nil)
		return nil
	}
	p, err := parse(text)
	if err != nil {
		return err
	}
	p.die = kill
	armed.Store(p)
	return nil
}

func parse(text string) (*plan, error) {
	p := &plan{at: 1}
	rest, delay, delayed := strings.Cut(text, "@")
	name, at, counted := strings.Cut(rest, ":")
	name, chance, drawn := strings.Cut(name, "%")
	p.point = name
	var errs [3]error
	if delayed {
		p.delay, errs[0] = time.ParseDuration(delay)
	}
	if counted {
		p.at, errs[1] = strconv.ParseInt(at, 10, 64)
	}
	if drawn {
		p.chance, errs[2] = strconv.ParseFloat(chance, 64)
		p.chance /= 100
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("%q doesn't say where to die: %w", text, err)
	}
	switch {
	case !slices.Contains(points, name):
		return nil, fmt.Errorf("%q doesn't say where to die: there are the points %s", text, strings.Join(points, ", "))
	case p.at < 1, p.delay < 0, drawn && counted, drawn && (p.chance <= 0 || p.chance > 1):
		return nil, fmt.Errorf("%q doesn't say where to die: a passing is counted from 1, a chance is of a hundred, and a "+
			"delay isn't negative", text)
	}
	return p, nil
}

func (p *plan) pass(name string) {
	if name != p.point {
		return
	}
	if p.chance > 0 {
		if rand.Float64() >= p.chance { //nolint:gosec // nobody gains by guessing it
			return
		}
	} else if p.passed.Add(1) != p.at {
		return
	}
	time.Sleep(p.delay)
	p.die()
}

// kill ends this process as a power cut would: nothing is flushed, closed or said.
func kill() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {} // until the signal arrives
}
