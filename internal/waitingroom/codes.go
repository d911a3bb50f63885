package waitingroom

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"jari/internal/fault"
	"jari/internal/postgres"
	"jari/internal/token"
)

// The step before all rooms, sending codes, has a room too, because the gateway takes only so many a second. A place in it
// belongs to a phone number that somebody typed, found by its keyed hash: a browser without cookies gets no place of its own.
// It is a room like the others: its status is polled the same way, one instance leads it, and a place is one short row. Who
// is called may ask for codes until their turn is over; a new place is behind everybody again. While nobody waits, nobody
// takes a place.

// CodesRoom is the id of the room in front of sending codes. No campaign's room has such a one.
const CodesRoom = "_codes"

const (
	// directWait is how long a code may wait at the gateway that was asked for without a place: what comes within so much of
	// the gateway's time is no crowd.
	directWait = 2 * time.Second
	// latestForCodes is the latest at which whoever waits is told to ask again. It isn't how they learn of their turn, which
	// the room's status says; but who is called in another room meanwhile goes first from then on.
	latestForCodes = 10 * time.Minute
	// calledSoonest is the soonest at which whoever waits for a code asks again because they are about to be called elsewhere,
	// and the unit in which they are told: nobody learns a stranger's position by typing their data.
	calledSoonest = 30 * time.Second
)

// CodesPlan is the room in front of a gateway that takes so many messages a second. Whoever is called may ask for codes as
// long as a turn lasts. Of a code's lifetime, at most a quarter passes at the gateway.
func CodesPlan(perSecond int, turn, codeLifetime time.Duration) Plan {
	rate := float64(perSecond)
	return Plan{
		Room: CodesRoom, Endless: true, Rate: rate, MaxActive: max(1, int(rate*codeLifetime.Seconds()/4)), Grace: turn,
		LateShare: 1, // who is called elsewhere goes before everybody else
	}
}

// CodeWanted is a code that somebody asks for.
type CodeWanted struct {
	// Phone is the keyed hash of the number that was typed; People are whom the code would let go on, as far as that is known.
	Phone  uuid.UUID
	People []uuid.UUID
	// Ticket is the one that was given before, or empty: the place is found by the phone.
	Ticket string
	// Lifetime is how long the code can be used.
	Lifetime time.Duration
	// MayJoin is asked before a place is given to a phone that has none.
	MayJoin func(context.Context) error
	// NeedsPlace tells that there was no room at the gateway for a code without a place.
	NeedsPlace bool
}

// CodeTurn is the turn of a phone to be sent a code.
type CodeTurn struct {
	// Placed tells that the phone has a place that was called.
	Placed bool
	// Most is how long the code may wait at the gateway; 0 is as long as it is of use.
	Most         time.Duration
	calledSecond string
}

// TurnToSend says whether it is a phone's turn to be sent a code. If it isn't, it refuses with not_your_turn (and a
// NotYourTurn with the ticket, and when to ask again), or with ticket_invalid, ticket_of_another, store_unavailable,
// overloaded. Meanwhile the grace of the people whom the code is for doesn't run in any room.
func (s *Service) TurnToSend(ctx context.Context, w CodeWanted) (CodeTurn, error) {
	v, err := s.view(CodesRoom)
	lined := fault.CodeOf(err) != fault.CodeRoomNotFound
	if lined && err != nil {
		return CodeTurn{}, err
	}
	places, err := s.placesOf(ctx, w.People)
	if err != nil {
		return CodeTurn{}, err
	}
	turn := CodeTurn{}
	if lined {
		turn, err = s.turnToSend(ctx, v, w, s.anyCalled(ctx, places))
	}
	frozen := w.Lifetime + graceMargin
	if e, ok := errors.AsType[*fault.Error](err); ok {
		n, waits := e.Extra.(NotYourTurn)
		if !waits {
			return turn, err
		}
		frozen += v.Grace + v.codesIn(n)
		// Whoever is called meanwhile goes first from their next asking on, so that they are told to ask then.
		if called, will := calledIn(places); will && !n.Late {
			err = e.After(min(e.RetryAfter, called))
		}
	}
	if freezing := s.freeze(ctx, places, frozen); freezing != nil {
		return CodeTurn{}, freezing
	}
	return turn, err
}

func (s *Service) turnToSend(ctx context.Context, v *view, w CodeWanted, first bool) (CodeTurn, error) {
	if w.Ticket != "" {
		t, err := s.Tokens.OpenTicket(w.Ticket)
		switch {
		case err != nil:
			return CodeTurn{}, fault.New(fault.Invalid, fault.CodeTicketInvalid).Field("/ticket", "isn't a ticket of this service")
		case t.Person != w.Phone || t.Room != CodesRoom:
			return CodeTurn{}, fault.New(fault.Forbidden, fault.CodeTicketOfAnother)
		}
		_, called := v.graceUsed(t.Late, t.Place, t.AtMS)
		switch {
		case called && v.inGrace(t.Late, t.Place, t.AtMS):
			return v.called(t.Late, t.Place), nil
		case !called && (t.Late || !first) && !v.direct(w):
			// The ticket says enough: no store is asked for who comes too early.
			return CodeTurn{}, s.notYetSent(v, w.Phone, Place{Behind: true, Number: t.Place, AtMS: t.AtMS}, t.Late)
		}
	}
	if v.direct(w) {
		return CodeTurn{Most: directWait}, nil
	}
	if v.State == Scheduled { // for the second in which a deployment starts for the first time
		return CodeTurn{}, fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(time.Second)
	}
	place, late, err := s.codePlace(ctx, v, w, first)
	if err != nil {
		return CodeTurn{}, err
	}
	if v.inGrace(late, place.Number, place.AtMS) {
		return v.called(late, place.Number), nil
	}
	return CodeTurn{}, s.notYetSent(v, w.Phone, place, late)
}

// direct tells whether a code needs no place.
func (v *view) direct(w CodeWanted) bool {
	return !w.NeedsPlace && (v.State == Open || v.State == Scheduled) && v.nobodyWaits()
}

// nobodyWaits tells whether everybody who has a place was called.
func (v *view) nobodyWaits() bool { return v.Serving >= v.Issued() && v.LateServing >= v.LateNumbers }

func (v *view) called(late bool, number uint64) CodeTurn {
	turn := CodeTurn{Placed: true}
	if !late {
		turn.calledSecond = v.calledSecond(number)
	}
	return turn
}

// codePlace is the place of a phone, given now if it has none or its turn is over. First is who goes before everybody else.
func (s *Service) codePlace(ctx context.Context, v *view, w CodeWanted, first bool) (p Place, late bool, err error) {
	p, found, err := s.findPlace(ctx, v.No, w.Phone)
	if err != nil {
		return p, false, err
	}
	if found && v.inGrace(false, p.Number, p.AtMS) {
		return p, false, nil
	}
	if first {
		p, err = s.firstPlace(ctx, v, w.Phone)
		return p, true, err
	}
	if found && p.Number < v.Serving {
		// Only the place that was seen: another device may have a new one already.
		if _, err := s.Pool.Exec(ctx, `DELETE FROM registrations WHERE room_no = $1 AND person_id = $2 AND place = $3`,
			v.No, w.Phone, int64(p.Number)); err != nil { //nolint:gosec // counted by Postgres
			return p, false, postgres.Unreachable(fmt.Errorf("taking back a place: %w", err))
		}
		found = false
	}
	if found {
		return p, false, nil
	}
	if w.MayJoin != nil {
		if err := w.MayJoin(ctx); err != nil {
			return p, false, err
		}
	}
	t, err := s.Take(ctx, v.ID, w.Phone, false)
	return t.Place, false, err
}

// firstPlace is a phone's place among those who go first.
func (s *Service) firstPlace(ctx context.Context, v *view, phone uuid.UUID) (Place, error) {
	number, atMS, err := s.Ledger.LateNumber(ctx, v.No, phone, nil)
	if err == nil && number < v.LateServing && !v.inGrace(true, number, atMS) {
		number, atMS, err = s.Ledger.LateNumber(ctx, v.No, phone, &number)
	}
	return Place{Behind: true, Number: number, AtMS: atMS}, err
}

// notYetSent refuses a phone whose turn it isn't yet, with its ticket.
func (s *Service) notYetSent(v *view, phone uuid.UUID, p Place, late bool) error {
	text, err := s.Tokens.SealTicket(token.Ticket{Room: v.ID, Person: phone, Behind: !late, Late: late, Place: p.Number, AtMS: p.AtMS})
	if err != nil {
		return err
	}
	n := NotYourTurn{Position: &p.Number, Serving: v.Serving, Late: late, Ticket: &Ticket{Token: text, Place: p, Late: late}}
	if late {
		n.Serving = v.LateServing
	}
	return fault.New(fault.Conflict, fault.CodeNotYourTurn).After(min(latestForCodes, max(soonest, v.codesIn(n)))).With(n)
}

// codesIn is about how long somebody who isn't called waits for their turn.
func (v *view) codesIn(n NotYourTurn) time.Duration {
	rate, _ := v.controls()
	if rate <= 0 || n.Position == nil {
		return latestForCodes
	}
	const most = 24 * time.Hour
	return time.Duration(math.Min(most.Seconds(), float64(ahead(*n.Position+1, n.Serving))/rate) * float64(time.Second))
}

// calledIn is about how long it takes until the first of these places is called that isn't yet; false if that can't be said.
func calledIn(places []placeOf) (soon time.Duration, will bool) {
	for _, p := range places {
		position, drawn := p.position()
		serving, rate := p.view.Serving, p.view.measured()
		if dial, _ := p.view.controls(); rate == 0 {
			rate = dial
		}
		if p.late {
			serving, rate = p.view.LateServing, p.view.lateRate()
		}
		if !drawn || position < serving || p.view.State != Open || rate <= 0 {
			continue
		}
		in := time.Duration(math.Min(latestForCodes.Seconds(), float64(ahead(position+1, serving))/rate) * float64(time.Second))
		if in = (in + calledSoonest - 1).Truncate(calledSoonest); !will || in < soon {
			soon, will = in, true
		}
	}
	return max(soon, calledSoonest), will
}

// Sent counts a phone whose turn came as one that came.
func (s *Service) Sent(ctx context.Context, w CodeWanted, turn CodeTurn) {
	if v, err := s.view(CodesRoom); err == nil && turn.Placed {
		now := s.Clock.Real()
		_, _ = s.Presence.Enter(ctx, v.ID, w.Phone, now, now.Add(v.Grace), turn.calledSecond) // it steers and decides nothing
	}
}

// ForgetCodes deletes the places of phones whose turn was over an hour ago, and graces that stand still for nobody any more.
// It says how many rows went; those who wait keep theirs.
func (s *Service) ForgetCodes(ctx context.Context) (rows int64, err error) {
	tag, err := s.Pool.Exec(ctx, `DELETE FROM frozen_graces WHERE until < now()`)
	if err != nil {
		return 0, postgres.Unreachable(fmt.Errorf("forgetting graces: %w", err))
	}
	rows = tag.RowsAffected()
	v, err := s.view(CodesRoom)
	if err != nil {
		return rows, nil //nolint:nilerr // there is no such room, or none yet
	}
	before := v.OpenMS/1000 - int64((s.remembered(v.Plan) + time.Hour).Seconds())
	const served = `(SELECT serving, late_serving, second FROM room_servings WHERE room_no = $1 AND second < $2 ORDER BY second DESC LIMIT 1) s`
	for _, statement := range []string{
		`DELETE FROM registrations r USING ` + served + ` WHERE r.room_no = $1 AND r.place < s.serving`,
		`DELETE FROM late_places l USING ` + served + ` WHERE l.room_no = $1 AND l.number < s.late_serving`,
		`DELETE FROM room_servings r USING ` + served + ` WHERE r.room_no = $1 AND r.second < s.second`,
	} {
		tag, err := s.Pool.Exec(ctx, statement, v.No, before)
		if err != nil {
			return rows, postgres.Unreachable(fmt.Errorf("forgetting places of codes: %w", err))
		}
		rows += tag.RowsAffected()
	}
	return rows, nil
}
