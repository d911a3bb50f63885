package waitingroom

import (
	"time"
)

// Controls are what operators decide about a room.
type Controls struct {
	// Target is how many people a second are to come in, however many of those called don't. Zero calls nobody.
	Target float64
	// MaxActive is how many people may be inside at the same time.
	MaxActive int
	// Paused stops both serving numbers where they are. Grace doesn't run meanwhile: see History.
	Paused bool
	// Grace is how long who was called may take to come before the late lane.
	Grace time.Duration
	// LateShare is the part of the target, from 0 to 1, that the late lane has while somebody is in it.
	LateShare float64
}

// Inputs are what is known of a room at one instant. The zero value of what can't be measured at the moment is the
// cautious one: nobody is known to stay away, and nothing is known to be wrong.
type Inputs struct {
	// Now is a store's or an instance's real time; it must come from the same clock at each step.
	Now time.Time
	// Serving and LateServing are the numbers as they stand: whoever has a lower one was called.
	Serving, LateServing uint64
	// Issued and LateIssued are the numbers that were handed out; those of the draw are among Issued.
	Issued, LateIssued uint64
	// Inside are the people with a living admission.
	Inside int
	// Called are those of the main lane who were called in the two minutes that ended a minute ago, when most of those
	// who mean to come have come, and CameOfCalled those of them who came so far. See History.Turnout.
	Called, CameOfCalled uint64
	// Coming are those who were called since, a minute at most, and CameOfComing those of them who are inside already:
	// the others may be at the door any moment.
	Coming, CameOfComing uint64
	Health               Health
}

const (
	// mostCalled bounds what absence is compensated: at most so many are called for each place. When fewer than a fourth
	// come, something else is wrong, and whoever comes back must not find a crowd inside.
	mostCalled = 4
	// prior are the people who are taken to have come before anybody was counted, so that the first three who stay away
	// don't quadruple the rate.
	prior = 20
	// longestStep bounds what one step makes up for: a leader that was away for longer, or a new one, catches nothing up.
	longestStep = 2 * time.Second
	// lead is how far the serving number may be ahead of the numbers issued, in seconds of the rate. It lets an open room
	// without a line admit at once, and is all that quiet time is good for.
	lead = time.Second
)

// Controller moves the serving numbers of one room. One instance has it; what it remembers may be lost at any time, and a
// new one begins with the speed that the inputs allow. It is pure: time is handed in and nothing is stored.
//
// Its speed is the smallest of the target divided by the share of those who come, the free places inside, and the target
// cut by bad health.
type Controller struct {
	// Limits say what bad health is; the zero value is DefaultHealthLimits.
	Limits HealthLimits

	last             time.Time // of the step before; zero before the first and while paused
	credit           float64   // of the main lane: less than one call, but while numbers move
	lateCredit       float64
	health           float64 // factor of the target; zero stands for 1
	judged, improved time.Time
}

// Health is the factor between 0 and 1 that health cuts the target by now.
func (c *Controller) Health() float64 {
	if c.health == 0 {
		return 1
	}
	return c.health
}

// Rate is how many a second the controls and health let come in now, before absence and free places are counted.
func (c *Controller) Rate(ctl Controls) float64 {
	if ctl.Paused {
		return 0
	}
	return max(0, ctl.Target) * c.Health()
}

// Step returns the serving numbers from now on. They are never below those of the inputs. It is to be called about each
// second, or more often.
func (c *Controller) Step(ctl Controls, in Inputs) (serving, lateServing uint64) {
	c.judge(in)
	if ctl.Paused {
		// Neither what passes meanwhile nor what was left over counts when it goes on.
		c.last, c.credit, c.lateCredit = time.Time{}, 0, 0
		return in.Serving, in.LateServing
	}
	passed := time.Duration(0)
	if !c.last.IsZero() {
		passed = min(max(0, in.Now.Sub(c.last)), longestStep)
	}
	c.last = in.Now

	come := ShowUp(in.Called, in.CameOfCalled)
	rate := c.Rate(ctl)
	people := rate * passed.Seconds() // who are to come in for this step
	free := float64(ctl.MaxActive-in.Inside) - expected(in, come)

	// The late lane is served first, from its share: who is in it is known to be there, so each of them counts whole.
	lateWaiting := ahead(in.LateIssued, in.LateServing)
	mainWaiting := ahead(in.Issued, in.Serving)
	latePeople := 0.0
	if lateWaiting > 0 {
		latePeople = people * min(max(0, ctl.LateShare), 1)
		if mainWaiting == 0 {
			latePeople = people // The share protects the main lane; when nobody waits there, it protects nobody.
		}
	}
	late := whole(&c.lateCredit, latePeople, min(float64(lateWaiting), free))
	free -= float64(late)

	// Numbers that are called before somebody has them fill places, too, as soon as they are issued.
	called := float64(ahead(in.Serving, in.Issued))
	room := min(float64(mainWaiting)+max(1, rate*lead.Seconds())-called, free/come-called)
	if rate == 0 {
		room = 0
	}
	calls := whole(&c.credit, (people-latePeople)/come, room)
	return in.Serving + calls, in.LateServing + late
}

// ShowUp is the share of called people who come, as it is reckoned with: at least a fourth, and 1 while nobody is known.
func ShowUp(called, came uint64) float64 {
	came = min(came, called)
	return max(1./mostCalled, float64(came+prior)/float64(called+prior))
}

// expected are the called people who aren't inside yet and are reckoned to come.
func expected(in Inputs, come float64) float64 {
	return max(0, float64(in.Coming)*come-float64(in.CameOfComing))
}

// whole adds to a credit and takes whole calls out of it, at most as many as there is room for. What there is no room for
// is gone: time in which nobody could be called doesn't count later.
func whole(credit *float64, add, room float64) uint64 {
	*credit += add
	calls := float64(uint64(*credit))
	if calls > room {
		*credit = 0
		return uint64(max(0, room))
	}
	*credit -= calls
	return uint64(calls)
}

// ahead is by how much a is more than b.
func ahead(a, b uint64) uint64 {
	if a <= b {
		return 0
	}
	return a - b
}
