package waitingroom

import "time"

// DrawStanding is how far the draw of a room is, as operators see it. A room doesn't open before its draw is made, so a
// source that is silent keeps everybody out who registered.
type DrawStanding struct {
	// Source is NoDraw where what is published now has none, and the root isn't published yet.
	Source Source
	// ValueAt is the announced moment of the value, in real time.
	ValueAt time.Time
	Made    bool
	// Late is for how long the value has been waited for since that moment; 0 before it, and once the draw is made.
	Late time.Duration
	// Overdue tells that this is longer than the stated patience: two administrators may type in another public value.
	Overdue bool
	// Proposed tells that one administrator has typed in a value, and that a second person has to.
	Proposed bool
}

// drawStanding is that of a room with a draw, or with people who wait to be drawn in it; nil in others.
func (s *Service) drawStanding(v *view) *DrawStanding {
	if v.Plan.Draw == NoDraw && v.Registered == 0 {
		return nil
	}
	now, planned := s.Clock.Real(), v.Plan.ValueAt
	if planned.IsZero() {
		planned = v.OpensAt
	}
	// Until the root is published the moment is the planned one, which is shown time.
	d := DrawStanding{Source: v.Plan.Draw, ValueAt: now.Add(planned.Sub(s.Clock.Now()))}
	if v.Room.DrawSource != nil && v.Room.ValueAt != nil {
		d.Source, d.ValueAt = Source(*v.Room.DrawSource), *v.Room.ValueAt
	}
	d.Made = len(v.Seed) > 0
	if v.State != Drawing || v.N() == 0 || d.Made {
		return &d
	}
	d.Late = max(0, now.Sub(d.ValueAt))
	d.Overdue = d.Late >= s.Limits.DrawPatience
	d.Proposed = v.ProposedBy != nil
	return &d
}
