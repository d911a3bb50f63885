package campaign

import (
	"slices"
	"time"

	"jari/internal/eligibility"
)

// What publishing a version can do that a deployment may want a second person for.
const (
	Publishes   = "publish"     // any version
	ClosesEarly = "close_early" // somebody loses a time at which they could have booked
	Loosens     = "loosen"      // somebody gains one
)

// Does says which of these publishing the document would do. What can't be compared counts as both.
func (r *CheckReport) Does() []string {
	does := []string{Publishes}
	gains, loses := r.Comparison == nil, false
	if c := r.Comparison; c != nil {
		gains, loses = len(c.NotCovered) > 0, len(c.NotCovered) > 0
		for _, change := range c.Changes {
			gains = gains || !covers(change.Before, change.After)
			loses = loses || !covers(change.After, change.Before)
		}
	}
	if loses {
		does = append(does, ClosesEarly)
	}
	if gains {
		does = append(does, Loosens)
	}
	return does
}

// covers tells whether at every instant of the windows in part one of the windows in whole is open too.
func covers(whole, part []eligibility.Window) bool {
	whole = slices.Clone(whole)
	slices.SortFunc(whole, func(a, b eligibility.Window) int { return a.OpensAt.Compare(b.OpensAt) })
	for _, p := range part {
		at := p.OpensAt
		for _, w := range whole {
			certain := len(w.DependsOn) == 0 || slices.Equal(w.DependsOn, p.DependsOn)
			if certain && !w.OpensAt.After(at) && w.ClosesAt.After(at) {
				at = w.ClosesAt
			}
		}
		if at.Before(p.ClosesAt) {
			return false
		}
	}
	return true
}

// Freeze is the time around an opening during which nothing that decides about it is changed.
type Freeze struct{ Before, After time.Duration }

// Frozen tells until when the campaign is frozen: around each opening of the version in effect and of those that are still to
// take effect. The zero time means that it isn't.
func (s *Service) Frozen(id string, f Freeze) (until time.Time) {
	e, ok := s.snapshot.Load().campaigns[id]
	if !ok || f.Before <= 0 && f.After <= 0 {
		return until
	}
	now := s.clock.Now()
	for _, c := range slices.Backward(e.versions) {
		for _, o := range c.Openings {
			if end := o.OpensAt.Add(f.After); !now.Before(o.OpensAt.Add(-f.Before)) && now.Before(end) && end.After(until) {
				until = end
			}
		}
		if !now.Before(c.EffectiveAt) {
			break // those before it don't count any more
		}
	}
	return until
}
