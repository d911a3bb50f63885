package waitingroom

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/google/uuid"

	"jari/internal/fault"
	"jari/internal/token"
)

// Admission lets a person choose.
type Admission struct {
	Token     string
	ExpiresAt time.Time // real time
}

// Claim is somebody who says that it is their turn.
type Claim struct {
	Room   string
	Person uuid.UUID
	// Ticket says the place; without it the place is looked up.
	Ticket string
	// Carried is the admission that the device has already, if it has one.
	Carried string
	// Holds tells whether the person has a live hold, which keeps its holder inside.
	Holds func(context.Context) bool
}

// NotYourTurn goes with fault.CodeNotYourTurn.
type NotYourTurn struct {
	// Position is nil as long as the draw hasn't been made.
	Position *uint64
	Serving  uint64
	// Late tells that both are of the late lane.
	Late bool
	// Ticket is with the room in front of codes, where it was given only now.
	Ticket *Ticket
}

// AdmitAtOnce admits a person to a campaign without a line.
func (s *Service) AdmitAtOnce(room, campaign string, person uuid.UUID) (Admission, error) {
	return s.seal(room, campaign, person, s.Clock.Real())
}

// seal makes an admission of somebody who has been inside since an instant.
func (s *Service) seal(room, campaign string, person uuid.UUID, since time.Time) (Admission, error) {
	expires := s.until(since)
	text, err := s.Tokens.SealAdmission(token.Admission{
		Room: room, Campaign: campaign, Person: person, IssuedAt: since, ExpiresAt: expires,
	})
	return Admission{Token: text, ExpiresAt: expires}, err
}

// until is when an admission ends that is used now, of somebody who has been inside since an instant.
func (s *Service) until(since time.Time) time.Time {
	expires := s.Clock.Real().Add(s.Limits.Admission)
	if longest := since.Add(max(s.Limits.Longest, s.Limits.Admission)); longest.Before(expires) {
		return longest
	}
	return expires
}

// Admit admits who has been called, and gives an admission that lives again, on any device. It refuses with not_your_turn
// (and a NotYourTurn, and when to ask again), ticket_invalid, ticket_of_another, place_required, room_closed,
// room_not_found, store_unavailable.
func (s *Service) Admit(ctx context.Context, c Claim) (Admission, error) {
	v, err := s.view(c.Room)
	if err != nil {
		return Admission{}, err
	}
	now := s.Clock.Real()
	if a, err := s.Tokens.OpenAdmission(c.Carried); err == nil && a.Person == c.Person && a.Room == c.Room && now.Before(a.ExpiresAt) {
		return s.again(ctx, v, c.Person, a.IssuedAt)
	}
	if v.State == Closed {
		return s.admitAfterwards(v, c.Person)
	}
	t, err := s.place(ctx, v, c)
	if err != nil {
		return Admission{}, err
	}
	position, drawn := v.position(t.Behind, t.Place)
	if !drawn {
		return Admission{}, s.notYet(v, nil)
	}
	if position >= v.Serving {
		return Admission{}, s.notYet(v, &position)
	}
	if v.inGrace(false, position, t.AtMS) {
		return s.enter(ctx, v, c.Person, v.calledSecond(position))
	}
	if again, err := s.thawed(ctx, v, c, position); err != nil || again {
		if err != nil {
			return Admission{}, err
		}
		return s.enter(ctx, v, c.Person, v.calledSecond(position))
	}
	if since, ok := s.Presence.Since(ctx, c.Room, c.Person, now); ok && now.Before(s.until(since)) {
		return s.again(ctx, v, c.Person, since)
	}
	if c.Holds != nil && c.Holds(ctx) {
		return s.enter(ctx, v, c.Person, "")
	}
	return s.admitLate(ctx, v, c.Person)
}

// admitAfterwards lets people in who come after a room's time, in which there is no line any more: what is left to do is
// changing what they have.
func (s *Service) admitAfterwards(v *view, person uuid.UUID) (Admission, error) {
	if s.Clock.Now().Before(v.ClosesAt) {
		return Admission{}, fault.New(fault.Gone, fault.CodeRoomClosed)
	}
	return s.AdmitAtOnce(v.ID, v.Campaign, person)
}

// place is what the ticket says, or the row if there is no ticket.
func (s *Service) place(ctx context.Context, v *view, c Claim) (token.Ticket, error) {
	if c.Ticket != "" {
		t, err := s.Tokens.OpenTicket(c.Ticket)
		switch {
		case err != nil:
			return t, fault.New(fault.Invalid, fault.CodeTicketInvalid)
		case t.Person != c.Person || t.Room != c.Room:
			return t, fault.New(fault.Forbidden, fault.CodeTicketOfAnother)
		}
		return t, nil
	}
	p, found, err := s.findPlace(ctx, v.No, c.Person)
	if err == nil && !found {
		err = fault.New(fault.Conflict, fault.CodePlaceRequired)
	}
	return token.Ticket{Behind: p.Behind, Place: p.Number, AtMS: p.AtMS}, err
}

// calledSecond is the second of the call of a position, for counting who comes.
func (v *view) calledSecond(position uint64) string {
	at, ok := v.calls.CalledAt(position)
	if !ok {
		return ""
	}
	return strconv.FormatInt(at.Unix(), 10)
}

// enter lets somebody in. Whether Redis can count them decides nothing.
func (s *Service) enter(ctx context.Context, v *view, person uuid.UUID, calledSecond string) (Admission, error) {
	now := s.Clock.Real()
	since, err := s.Presence.Enter(ctx, v.ID, person, now, now.Add(s.Limits.Admission), calledSecond)
	if err != nil {
		s.Presence.Note(v.ID, person, now, now.Add(s.Limits.Admission))
		since = now
	}
	if !now.Before(s.until(since)) {
		since = now
	}
	return s.seal(v.ID, v.Campaign, person, since)
}

// again gives an admission that lives again, used once more.
func (s *Service) again(_ context.Context, v *view, person uuid.UUID, since time.Time) (Admission, error) {
	s.Presence.Note(v.ID, person, since, s.until(since))
	return s.seal(v.ID, v.Campaign, person, since)
}

// admitLate admits from the late lane: those who didn't come within their grace, or come back after their admission ended.
func (s *Service) admitLate(ctx context.Context, v *view, person uuid.UUID) (Admission, error) {
	number, atMS, err := s.Ledger.LateNumber(ctx, v.No, person, nil)
	if err != nil {
		return Admission{}, err
	}
	if number < v.LateServing {
		if v.inGrace(true, number, atMS) {
			return s.enter(ctx, v, person, "")
		}
		if number, _, err = s.Ledger.LateNumber(ctx, v.No, person, &number); err != nil {
			return Admission{}, err
		}
	}
	return Admission{}, s.notYetIn(v, NotYourTurn{Position: &number, Serving: v.LateServing, Late: true}, v.lateRate())
}

func (v *view) lateRate() float64 {
	rate, _ := v.controls()
	return rate * v.LateShare
}

// notYet refuses somebody of the main lane who hasn't been called.
func (s *Service) notYet(v *view, position *uint64) error {
	rate, _ := v.controls()
	return s.notYetIn(v, NotYourTurn{Position: position, Serving: v.Serving}, rate)
}

const (
	// soonest and latest bound when somebody is told to ask again.
	soonest, latest = time.Second, time.Minute
)

func (s *Service) notYetIn(v *view, n NotYourTurn, rate float64) error {
	wait := latest
	if v.State == Open && n.Position != nil && rate > 0 {
		wait = time.Duration(math.Min(latest.Seconds(), float64(ahead(*n.Position+1, n.Serving))/rate) * float64(time.Second))
	} else if opens := v.OpensAt.Sub(s.Clock.Now()); opens > 0 {
		wait = min(latest, opens)
	}
	return fault.New(fault.Conflict, fault.CodeNotYourTurn).After(max(soonest, wait)).With(n)
}

// Check returns a living admission of this person to this campaign: otherwise fault.CodeAdmissionRequired,
// fault.CodeAdmissionOfAnother or fault.CodeAdmissionExpired. It asks no store.
func (s *Service) Check(text, campaign string, person uuid.UUID) (token.Admission, error) {
	a, err := s.Tokens.OpenAdmission(text)
	switch {
	case err != nil:
		return a, fault.New(fault.Forbidden, fault.CodeAdmissionRequired)
	case a.Person != person || a.Campaign != campaign:
		return a, fault.New(fault.Forbidden, fault.CodeAdmissionOfAnother)
	case !s.Clock.Real().Before(a.ExpiresAt):
		return a, fault.New(fault.Forbidden, fault.CodeAdmissionExpired)
	}
	return a, nil
}

// Used renews an admission that was just used, when half of it is over, and counts its person as inside. renewed is false
// while there is nothing new to tell.
func (s *Service) Used(a token.Admission) (renewed Admission, ok bool) {
	line := a.Room != a.Campaign // a room without a line counts nobody
	if line {
		s.Presence.Note(a.Room, a.Person, a.IssuedAt, s.until(a.IssuedAt))
	}
	now := s.Clock.Real()
	if !now.Before(a.ExpiresAt) || a.ExpiresAt.Sub(now) > s.Limits.Admission/2 || !s.until(a.IssuedAt).After(a.ExpiresAt) {
		return Admission{}, false
	}
	renewed, err := s.seal(a.Room, a.Campaign, a.Person, a.IssuedAt)
	return renewed, err == nil
}

// Left counts a person as inside no longer: what they came for is done.
func (s *Service) Left(a token.Admission) {
	if a.Room != a.Campaign {
		s.Presence.Note(a.Room, a.Person, time.Time{}, time.Time{})
	}
}
