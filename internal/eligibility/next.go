package eligibility

import (
	"time"

	"jari/internal/civil"
)

// next finds the first instants after the question at which some wave answers yes, and depends. Within a window the
// answer for one person can only turn for the better when the window opens, or on a day on which a leaf that looks at
// the day of asking turns (a birthday, a dose being long enough ago); slot days only ever run out.
func (rs *RuleSet) next(f *Facts, q *question) (certain, conditional *Next) {
	var yes, depends struct {
		wave *wave
		at   time.Time
	}
	try := func(w *wave, at time.Time) {
		if !at.After(q.at) || !w.open(at) {
			return
		}
		found := &yes
		switch rs.whoAt(f, w, q, at) {
		case Yes:
		case Depends:
			found = &depends
		case No:
			return
		}
		if found.wave == nil || at.Before(found.at) || (at.Equal(found.at) && w.closes.After(found.wave.closes)) {
			found.wave, found.at = w, at
		}
	}
	p := rs.person(f, q)
	for i := range rs.waves {
		w := &rs.waves[i]
		if !q.at.Before(w.closes) || (q.kind == oneSlot && !w.covers(q.slot)) {
			continue
		}
		try(w, w.opens)
		after := q.at
		if after.Before(w.opens) {
			after = w.opens
		}
		for _, leaf := range w.asking {
			for _, day := range leaf.turns(&p) {
				if !day.IsZero() {
					try(w, firstOf(day, after, rs.zone))
				}
			}
		}
	}
	if yes.wave != nil {
		certain = &Next{Wave: yes.wave.id, EligibleFrom: yes.at.In(rs.zone)}
	}
	if depends.wave != nil && (yes.wave == nil || depends.at.Before(yes.at)) {
		asked := *q
		asked.at = depends.at
		there := rs.person(f, &asked)
		conditional = &Next{
			Wave: depends.wave.id, EligibleFrom: depends.at.In(rs.zone), DependsOn: rs.dependsOn(&there, &asked),
		}
	}
	return certain, conditional
}

// firstOf is the first instant after another at which a day begins, or begins again where clocks are set back over
// midnight; the zero time if it never does.
func firstOf(day civil.Date, after time.Time, zone *time.Location) time.Time {
	if start := civil.Midnight(day, zone); start.After(after) {
		return start
	}
	if civil.Of(after, zone).Before(day) {
		return civil.NextDay(after, zone)
	}
	return time.Time{}
}
