package eligibility

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"jari/internal/civil"
)

// Answer is one of three values. They are ordered, No < Depends < Yes, and the zero value is No: forgetting to decide
// admits nobody.
type Answer int8

// The three answers.
const (
	No Answer = iota
	Depends
	Yes
)

// String is "yes", "no" or "depends".
func (a Answer) String() string {
	switch a {
	case Yes:
		return "yes"
	case Depends:
		return "depends"
	case No:
	}
	return "no"
}

// MarshalText writes what String says.
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads "yes", "no" or "depends".
func (a *Answer) UnmarshalText(text []byte) error {
	for _, answer := range []Answer{No, Depends, Yes} {
		if string(text) == answer.String() {
			*a = answer
			return nil
		}
	}
	return fmt.Errorf("%q isn't an answer: yes, no or depends", text)
}

// Decision is the answer to one question.
type Decision struct {
	Answer Answer `json:"answer"`
	// Wave is the wave that admits (yes) or may admit (depends). Of several, the one that closes last; of those that
	// close together, the first in the file.
	Wave string `json:"wave,omitempty"`
	// Reasons are there if the answer is no: for waves that are open, why they don't admit this person; for waves that
	// admit this person, why not now. Only where neither exists, why none of the waves admits this person.
	Reasons []Reason `json:"reasons,omitempty"`
	// DependsOn are the unknown facts that decide, if the answer is depends: "list:NAME", "region", "dose:NUMBER".
	DependsOn []string `json:"depends_on,omitempty"`
	// Next is the first instant after the question at which the answer is yes, as far as the known facts tell. Nil: there
	// is none, or the answer is yes already.
	Next *Next `json:"next,omitempty"`
	// NextIf is the first instant after the question at which the answer is depends, if that comes before Next and the
	// answer is no.
	NextIf *Next `json:"next_if,omitempty"`
	// RulesVersion is the version of the rules that were asked.
	RulesVersion int64 `json:"rules_version"`
}

// Next is a wave that somebody will be able to use, and from when on.
type Next struct {
	Wave         string    `json:"wave"`
	EligibleFrom time.Time `json:"eligible_from"`
	DependsOn    []string  `json:"depends_on,omitempty"` // As in Decision; only in NextIf.
}

// Decide says whether a person may book at an instant, some slot day of the wave.
func (rs *RuleSet) Decide(f Facts, at time.Time) Decision {
	return rs.decide(&f, question{at: at, kind: anySlot})
}

// DecideSlot says whether a person may place a hold at an instant on a slot of that day: a wave that is open then has to
// admit the person and cover the day. Next is about that slot day too.
func (rs *RuleSet) DecideSlot(f Facts, at time.Time, slotOn civil.Date) Decision {
	return rs.decide(&f, question{at: at, slot: slotOn, kind: oneSlot})
}

// DecideSlotOf is DecideSlot for a slot that is kept for the people of a wave: whoever that wave admits is named by it, also
// where another one that closes later admits them too.
func (rs *RuleSet) DecideSlotOf(f Facts, at time.Time, slotOn civil.Date, wave string) Decision {
	return rs.decide(&f, question{at: at, slot: slotOn, kind: oneSlot, keptFor: wave})
}

// DecideMove says whether a booking may move to a slot of that day: who and which days, whatever windows are open. The
// instant only decides rules about the day of asking; hand in the instant of the first hold, and nobody is judged again.
// There is no Next.
func (rs *RuleSet) DecideMove(f Facts, at time.Time, slotOn civil.Date) Decision {
	return rs.decide(&f, question{at: at, slot: slotOn, kind: move})
}

// DecideMoveBy is DecideMove among the waves that have opened by an instant: a window that is long over doesn't stand in
// the way of a move, but one that is still to come does, or whoever has booked would have its places first.
func (rs *RuleSet) DecideMoveBy(f Facts, at time.Time, slotOn civil.Date, opened time.Time) Decision {
	return rs.decide(&f, question{at: at, slot: slotOn, kind: move, opened: opened})
}

// DecideMoveOf is DecideMoveBy for a slot that is kept for the people of a wave, as DecideSlotOf is DecideSlot.
func (rs *RuleSet) DecideMoveOf(f Facts, at time.Time, slotOn civil.Date, opened time.Time, wave string) Decision {
	return rs.decide(&f, question{at: at, slot: slotOn, kind: move, opened: opened, keptFor: wave})
}

// DecideOpening says whether a person belongs in the line for an opening: whether a wave that opens at that instant, or
// is open then, admits the person as of then. A wave that opens just then is named before one that was open already.
func (rs *RuleSet) DecideOpening(f Facts, opening time.Time) Decision {
	return rs.decide(&f, question{at: opening, kind: anySlot, preferOpening: true})
}

// DecidePublic answers somebody who hasn't shown who they are. Lists count as unknown even if they are handed in: an
// answer would tell strangers who is on them. Region and doses are what the asker says.
func (rs *RuleSet) DecidePublic(f Facts, at time.Time) Decision {
	f.Lists = Lists{}
	return rs.decide(&f, question{at: at, kind: anySlot})
}

type question struct {
	at            time.Time
	slot          civil.Date // Of oneSlot and move.
	kind          kind
	preferOpening bool
	opened        time.Time // Of move: waves that open later don't count; zero counts all.
	keptFor       string    // Of oneSlot and move: the wave whose people the slot is kept for; empty for everybody.
}

type kind uint8

const (
	anySlot kind = iota // Some slot day of the wave from the day of asking on.
	oneSlot             // That slot day.
	move                // That slot day, whatever windows are open.
)

// person is what leaves look at: facts, and the days that the question is about.
type person struct {
	facts     *Facts
	birthKey  int32
	dayDigit  int // Apart from the birth date, so that enumeration can ask for a digit as such.
	yearDigit int
	leap      civil.LeapPolicy
	asking    civil.Date
	slot      civil.Date
}

func (rs *RuleSet) person(f *Facts, q *question) person {
	return person{
		facts:    f,
		birthKey: dateKey(f.BirthDate),
		dayDigit: civil.DayDigit(f.BirthDate), yearDigit: civil.YearDigit(f.BirthDate),
		leap: rs.leap, asking: civil.Of(q.at, rs.zone), slot: q.slot,
	}
}

// on is the date that an operator's day stands for.
func (p *person) on(d Day) civil.Date {
	switch d.Kind {
	case OnAsking:
		return p.asking
	case OnSlot:
		return p.slot
	case OnDate, Unsaid:
	}
	return d.Date
}

func (rs *RuleSet) decide(f *Facts, q question) Decision {
	d := Decision{RulesVersion: rs.version}
	if !civil.Exists(f.BirthDate) {
		d.Reasons = []Reason{{Code: BirthDateInvalid}}
		return d
	}
	p := rs.person(f, &q)
	var wave *wave
	if d.Answer, wave = rs.answer(&p, &q); wave != nil {
		d.Wave = wave.id
	}
	if d.Answer != Yes {
		rs.elaborate(&d, &p, &q)
	}
	return d
}

// answer is a decision without its explanation.
func (rs *RuleSet) answer(p *person, q *question) (Answer, *wave) {
	best, chosen := No, (*wave)(nil)
	for i := range rs.waves {
		w := &rs.waves[i]
		if !w.concerns(q) {
			continue
		}
		answer := w.who(p, q.kind)
		if answer > best || (answer == best && answer != No && w.before(chosen, q)) {
			best, chosen = answer, w
		}
	}
	return best, chosen
}

// concerns reports whether a wave could admit somebody by its window and its slot days.
func (w *wave) concerns(q *question) bool {
	if q.kind == move && !q.opened.IsZero() && w.opens.After(q.opened) {
		return false
	}
	return (q.kind == move || w.open(q.at)) && (q.kind == anySlot || w.covers(q.slot))
}

// before is the choice between two waves that answer alike.
func (w *wave) before(o *wave, q *question) bool {
	if q.preferOpening {
		if mine, its := w.opens.Equal(q.at), o.opens.Equal(q.at); mine != its {
			return mine
		}
	}
	if q.keptFor != "" {
		if mine, its := w.id == q.keptFor, o.id == q.keptFor; mine != its {
			return mine
		}
	}
	return w.closes.After(o.closes)
}

// who asks the rule of a wave. Where the question names no slot day, some day of the wave from the day of asking on has
// to do: p.slot is then left at the day that answers best.
func (w *wave) who(p *person, k kind) Answer {
	if k != anySlot {
		return w.rule.eval(p)
	}
	first := w.from
	if first.Before(p.asking) {
		first = p.asking
	}
	p.slot = first
	best := w.rule.eval(p)
	if len(w.slot) == 0 || best == Yes {
		return best
	}
	// The answer can only change on days on which one of these leaves does, so nothing in between needs asking.
	bestDay := first
	for _, leaf := range w.slot {
		for _, day := range leaf.turns(p) {
			if day.IsZero() || !day.After(first) || day.After(w.to) {
				continue
			}
			p.slot = day
			if answer := w.rule.eval(p); answer > best {
				best, bestDay = answer, day
			}
		}
	}
	p.slot = bestDay
	return best
}

// turns are the days on which a leaf that looks at a moving day begins or ceases to hold; zero where there is none.
func (n *node) turns(p *person) (days [2]civil.Date) {
	switch n.op {
	case isFullAge:
		if n.lo != noLower {
			days[0] = civil.Birthday(p.facts.BirthDate, int(n.lo), p.leap)
		}
		if n.hi != noUpper {
			days[1] = civil.Birthday(p.facts.BirthDate, int(n.hi)+1, p.leap)
		}
	case isDaysSinceDose:
		dose, given := p.facts.Doses.find(n.number)
		if !given || dose.On.IsZero() {
			break
		}
		days[0] = civil.AddDays(dose.On, int(n.lo))
		if n.hi != noUpper {
			days[1] = civil.AddDays(dose.On, int(n.hi)+1)
		}
	case isAll, isAny, isBirthDate, isYearAge, isBirthDayDigit, isBirthYearDigit, isInList, isRegion:
	}
	return days
}

// eval is Kleene's logic over a tree whose nots are on the leaves.
func (n *node) eval(p *person) Answer {
	switch n.op {
	case isAll:
		least := Yes
		for i := range n.kids {
			if least = min(least, n.kids[i].eval(p)); least == No {
				break
			}
		}
		return least
	case isAny:
		most := No
		for i := range n.kids {
			if most = max(most, n.kids[i].eval(p)); most == Yes {
				break
			}
		}
		return most
	case isBirthDate, isYearAge, isFullAge, isBirthDayDigit, isBirthYearDigit, isInList, isRegion, isDaysSinceDose:
	}
	answer := n.leaf(p)
	if n.negated {
		return Yes - answer
	}
	return answer
}

// leaf answers an operator, without the not around it.
func (n *node) leaf(p *person) Answer {
	switch n.op {
	case isBirthDate:
		return yesIf(n.lo <= p.birthKey && p.birthKey <= n.hi)
	case isYearAge:
		return n.within(civil.YearAge(p.facts.BirthDate, n.number))
	case isFullAge:
		return n.within(civil.FullAge(p.facts.BirthDate, p.on(n.day), p.leap))
	case isBirthDayDigit:
		return yesIf(n.digits&(1<<p.dayDigit) != 0)
	case isBirthYearDigit:
		return yesIf(n.digits&(1<<p.yearDigit) != 0)
	case isInList:
		return p.facts.Lists.on(n.name)
	case isRegion:
		return n.inRegion(&p.facts.Region)
	case isDaysSinceDose:
		return n.sinceDose(p)
	case isAll, isAny: // Not leaves.
	}
	return No
}

func (n *node) within(value int) Answer { return yesIf(int(n.lo) <= value && value <= int(n.hi)) }

func (n *node) inRegion(r *Region) Answer {
	if !r.Known {
		return Depends
	}
	if _, found := slices.BinarySearch(n.codes, r.Code); found {
		return Yes
	}
	for _, prefix := range n.prefixes {
		if strings.HasPrefix(r.Code, prefix) {
			return Yes
		}
	}
	return No
}

func (n *node) sinceDose(p *person) Answer {
	dose, given := p.facts.Doses.find(n.number)
	if !given {
		if p.facts.Doses.Known {
			return No
		}
		return Depends
	}
	product, days := Yes, Depends
	if n.name != "" {
		product = yesIf(dose.Product == n.name)
		if dose.Product == "" {
			product = Depends
		}
	}
	if !dose.On.IsZero() {
		days = n.within(civil.DaysBetween(dose.On, p.on(n.day)))
	}
	return min(product, days)
}

func yesIf(b bool) Answer {
	if b {
		return Yes
	}
	return No
}

// elaborate adds what an answer other than yes needs: reasons, the facts it depends on, and what comes next. Only here
// memory is allocated.
func (rs *RuleSet) elaborate(d *Decision, p *person, q *question) {
	if d.Answer == Depends {
		d.DependsOn = rs.dependsOn(p, q)
	} else {
		d.Reasons = rs.reasons(p, q)
	}
	if q.kind == move {
		return
	}
	d.Next, d.NextIf = rs.next(p.facts, q)
	if d.Answer == Depends {
		d.NextIf = nil
	}
}

// dependsOn names the unknown facts behind every wave in question that may admit the person.
func (rs *RuleSet) dependsOn(p *person, q *question) []string {
	var facts []string
	for i := range rs.waves {
		w := &rs.waves[i]
		if w.concerns(q) && w.who(p, q.kind) == Depends {
			facts = w.rule.unknown(p, facts)
		}
	}
	return facts
}

// unknown adds the facts for want of which a rule says depends, each once.
func (n *node) unknown(p *person, facts []string) []string {
	if n.eval(p) != Depends {
		return facts
	}
	if n.op == isAll || n.op == isAny {
		for i := range n.kids {
			facts = n.kids[i].unknown(p, facts)
		}
		return facts
	}
	if slices.Contains(facts, n.fact) {
		return facts
	}
	return append(facts, n.fact)
}

// reasons says why the answer is no. Decision.Reasons says which reasons those are.
func (rs *RuleSet) reasons(p *person, q *question) []Reason {
	var list reasons
	for i := range rs.waves {
		w := &rs.waves[i]
		switch {
		case q.kind != move && q.at.Before(w.opens):
			if rs.whoAt(p.facts, w, q, w.opens) != No {
				list.add(Reason{Code: WindowNotOpenYet, Wave: w.id, OpensAt: w.opens})
			}
		case q.kind != move && !q.at.Before(w.closes):
			if rs.whoAt(p.facts, w, q, w.closes.Add(-1)) == No {
				break
			}
			if q.at.Before(w.closesAt) {
				list.add(Reason{Code: SlotDaysOver, Wave: w.id, To: w.to})
			} else {
				list.add(Reason{Code: WindowClosed, Wave: w.id, ClosesAt: w.closesAt})
			}
		case w.who(p, q.kind) == No:
			w.rule.explain(p, w.id, &list)
		default: // Open and admitting: only the slot day can be wrong.
			list.add(Reason{Code: SlotDayOutOfRange, Wave: w.id, From: w.from, To: w.to})
		}
	}
	if len(list) > 0 {
		return list
	}
	for i := range rs.waves {
		w := &rs.waves[i]
		asked := *q
		if asked.at = w.opens; !q.at.Before(w.closes) {
			asked.at = w.closes.Add(-1)
		}
		there := rs.person(p.facts, &asked)
		w.who(&there, q.kind)
		w.rule.explain(&there, w.id, &list)
	}
	return list
}

// whoAt asks the rule of a wave as of another instant.
func (rs *RuleSet) whoAt(f *Facts, w *wave, q *question, at time.Time) Answer {
	asked := *q
	asked.at = at
	p := rs.person(f, &asked)
	return w.who(&p, q.kind)
}
