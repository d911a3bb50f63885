package waiter

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"jari/internal/waitingroom"
)

// Poll is how a room wants to be asked.
type Poll struct {
	Least  float64 `json:"min_seconds"`
	Most   float64 `json:"max_seconds"`
	Jitter float64 `json:"jitter"`
}

// DefaultPoll is asked by until a status says otherwise.
var DefaultPoll = Poll{Least: 2, Most: 30, Jitter: .3}

// unmeasured is how many are taken to be called a second while the room hasn't measured it yet.
const unmeasured = 10

// Interval is how long to wait before asking for the status again: a fourth of what is left, between least and most, off by up
// to the share jitter. random is from 0 to 1; ahead is how many are called before, and rate how many a second.
func (p Poll) Interval(ahead uint64, rate, random float64) time.Duration {
	if rate <= 0 {
		rate = unmeasured
	}
	return seconds(min(p.Most, max(p.Least, float64(ahead)/rate/4)) * (1 + p.Jitter*(2*random-1)))
}

// Far is Interval of somebody who doesn't know how far it is.
func (p Poll) Far(random float64) time.Duration { return seconds(p.Most * (1 + p.Jitter*(2*random-1))) }

// Backoff is how long to wait after so many failures in a row, from 1: longer each time, and not less than the server asked for.
func (p Poll) Backoff(failures int, retryAfter time.Duration, random float64) time.Duration {
	wait := min(p.Most, p.Least*float64(uint64(1)<<min(failures-1, 10))) * (1 + p.Jitter*(2*random-1))
	return max(seconds(wait), time.Duration(float64(retryAfter)*(1+p.Jitter*random)))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Status is what a room says to everybody, as far as somebody who waits needs it.
type Status struct {
	Room        string  `json:"room_id"`
	State       string  `json:"state"`
	Serving     uint64  `json:"serving"`
	LateServing uint64  `json:"late_serving"`
	Drawn       uint64  `json:"drawn"`
	Seed        string  `json:"seed"`
	Rate        float64 `json:"rate_per_second"`
	Poll        Poll    `json:"poll"`
}

// states are those that somebody who waits knows. Whatever else a document says, it isn't believed.
var states = []string{"scheduled", "registration", "drawing", "open", "paused", "closed"}

// Ticket is a person's place.
type Ticket struct {
	Room   string  `json:"room_id"`
	Token  string  `json:"ticket"`
	Index  *uint64 `json:"index"`
	Number *uint64 `json:"number"`
}

// Line is what one person knows of their room.
type Line struct {
	Room   string
	Ticket Ticket // without a token until there is a place

	status   Status
	position *uint64
	drawn    string  // the seed that the position was computed from
	late     *uint64 // the number in the late lane
}

// errNoStatus is what a document is that isn't a status of the room.
var errNoStatus = errors.New("not a status of this room")

// Heard takes in a status, or says that it isn't one. What was seen before never goes back.
func (l *Line) Heard(body []byte) error {
	var s Status
	if err := json.Unmarshal(body, &s); err != nil {
		return fmt.Errorf("%w: %w", errNoStatus, err)
	}
	if s.Room != l.Room || !slices.Contains(states, s.State) {
		return errNoStatus
	}
	if s.Poll.Least <= 0 || s.Poll.Most < s.Poll.Least || s.Poll.Jitter < 0 || s.Poll.Jitter > 1 {
		s.Poll = DefaultPoll
	}
	s.Serving, s.LateServing = max(s.Serving, l.status.Serving), max(s.LateServing, l.status.LateServing)
	l.status = s
	return l.place()
}

// Has takes in the place that the person has.
func (l *Line) Has(t Ticket) error {
	l.Ticket, l.position, l.drawn = t, nil, ""
	return l.place()
}

// place computes the position, once what decides it is known.
func (l *Line) place() error {
	switch {
	case l.Ticket.Number != nil && l.position == nil && l.status.State != "" && l.status.State != "scheduled" && l.status.State != "registration":
		p := l.status.Drawn + *l.Ticket.Number
		l.position = &p
	case l.Ticket.Index != nil && l.status.Seed != "" && l.drawn != l.status.Seed:
		seed, err := hex.DecodeString(l.status.Seed)
		if err != nil || len(seed) != 32 {
			return fmt.Errorf("%w: the seed isn't one", errNoStatus)
		}
		p := waitingroom.Position([32]byte(seed), l.status.Drawn, *l.Ticket.Index)
		l.position, l.drawn = &p, l.status.Seed
	}
	return nil
}

// State is the room's, as last heard.
func (l *Line) State() string { return l.status.State }

// Serving is the highest serving number that was heard.
func (l *Line) Serving() uint64 { return l.status.Serving }

// Giving tells whether the room gives places.
func (l *Line) Giving() bool {
	return slices.Contains([]string{"registration", "drawing", "open", "paused"}, l.status.State)
}

// Position is the person's, once it is known.
func (l *Line) Position() (uint64, bool) {
	if l.position == nil {
		return 0, false
	}
	return *l.position, true
}

// Called tells whether it is the person's turn.
func (l *Line) Called() bool {
	if l.late != nil {
		return *l.late < l.status.LateServing
	}
	return l.position != nil && *l.position < l.status.Serving
}

// NotYet takes in that the server said so, and where it sees the person.
func (l *Line) NotYet(position *uint64, serving uint64, late bool) {
	switch {
	case late:
		l.late, l.status.LateServing = position, max(serving, l.status.LateServing)
	case position != nil:
		l.position = position // the server's word is the one that counts
	}
}

// Next is how long to wait before asking for the status again.
func (l *Line) Next(random float64) time.Duration {
	poll := l.status.Poll
	if poll == (Poll{}) {
		poll = DefaultPoll
	}
	switch {
	case l.Called() || (l.Ticket.Token == "" && l.Giving()):
		return poll.Interval(0, 0, random)
	case l.late != nil:
		return poll.Interval(*l.late-l.status.LateServing, 0, random)
	case l.position != nil && (l.status.State == "open" || l.status.State == "paused"):
		return poll.Interval(*l.position-l.status.Serving, l.status.Rate, random)
	}
	return poll.Far(random)
}
