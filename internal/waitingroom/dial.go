package waitingroom

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/fault"
	"jari/internal/postgres"
)

// Dial is what an operator turns on the night; nil leaves a thing as it is.
type Dial struct {
	State     *State // open or paused; closed ends the room for good
	Rate      *float64
	MaxActive *int
	// Message is in Korean and in English; two empty texts take it back to what is published.
	Message *[2]string
}

// Standing is a room as operators see it.
type Standing struct {
	Room, Campaign       string
	State                State
	Rate                 float64
	MaxActive            int
	MessageKo, MessageEn string
	Registered, Issued   uint64
	Serving, LateServing uint64
	LateIssued           uint64
	Inside               int // as Redis counts; −1 if it can't now
	Led                  bool
	// Draw is nil in a room without one.
	Draw *DrawStanding
}

// Rooms are all rooms, as operators see them.
func (s *Service) Rooms(ctx context.Context) ([]Standing, error) {
	plans, err := s.Plans()
	if err != nil {
		return nil, err
	}
	var all []Standing
	for _, p := range plans {
		if v, err := s.view(p.Room); err == nil {
			all = append(all, s.standing(ctx, v))
		}
	}
	return all, nil
}

// Standing is one room, as operators see it, or fault.CodeRoomNotFound.
func (s *Service) Standing(ctx context.Context, room string) (Standing, error) {
	v, err := s.view(room)
	if err != nil {
		return Standing{}, err
	}
	return s.standing(ctx, v), nil
}

func (s *Service) standing(ctx context.Context, v *view) Standing {
	inside, err := (&Leader{Service: s}).countInside(ctx, v.Plan, s.Clock.Real())
	if err != nil {
		inside = -1
	}
	out := Standing{
		Room: v.ID, Campaign: v.Campaign, State: v.State, Registered: v.Registered, Issued: v.Issued(), Serving: v.Serving,
		LateServing: v.LateServing, LateIssued: v.LateNumbers, Inside: inside, Led: v.Leader != nil,
	}
	out.Rate, out.MaxActive = v.controls()
	out.MessageKo, out.MessageEn = v.message()
	out.Draw = s.drawStanding(v)
	return out
}

// Turn does what the dial says, all or nothing, and writes it to the audit with it. All instances follow within a second. It
// refuses with room_not_found and room_state.
func (s *Service) Turn(ctx context.Context, room string, d Dial, by Actor) (Standing, error) {
	v, err := s.view(room)
	if err != nil {
		return Standing{}, err
	}
	err = inTx(ctx, s.Pool, func(tx pgx.Tx) error {
		r, err := scanRoom(tx.QueryRow(ctx, `SELECT `+roomColumns+` FROM rooms WHERE room_no = $1 FOR UPDATE`, v.No))
		if err != nil {
			return postgres.Unreachable(fmt.Errorf("reading the room %s: %w", room, err))
		}
		detail := map[string]any{}
		if d.State != nil && *d.State != r.State {
			// A room begins by its schedule: an operator only stops it and lets it go on. One without an end has none.
			if (*d.State == Open && r.State != Paused) || (*d.State == Closed && v.Endless) {
				return fault.New(fault.Conflict, fault.CodeRoomState)
			}
			if _, err := transit(ctx, tx, r.No, r.State, *d.State, by); err != nil {
				return err
			}
			detail["from"], detail["to"] = r.State, *d.State
		}
		var ko, en *string
		if d.Message != nil {
			detail["message"] = true
			if d.Message[0] != "" || d.Message[1] != "" {
				ko, en = &d.Message[0], &d.Message[1]
			}
		}
		if d.Rate != nil {
			detail["rate_per_second"] = *d.Rate
		}
		if d.MaxActive != nil {
			detail["max_active"] = *d.MaxActive
		}
		if _, err := tx.Exec(ctx, `
			UPDATE rooms SET rate = coalesce($2, rate), max_active = coalesce($3, max_active),
				message_ko = CASE WHEN $4 THEN $5 ELSE message_ko END, message_en = CASE WHEN $4 THEN $6 ELSE message_en END
			WHERE room_no = $1`, r.No, d.Rate, d.MaxActive, d.Message != nil, ko, en); err != nil {
			return postgres.Unreachable(fmt.Errorf("turning the dial of %s: %w", room, err))
		}
		return s.audit(ctx, tx, room, "room.dial", by, detail)
	})
	if err != nil {
		return Standing{}, err
	}
	// This instance shows it at once; the others look by themselves.
	if err := s.Refresh(ctx); err != nil {
		return Standing{}, err
	}
	return s.Standing(ctx, room)
}

func (s *Service) audit(ctx context.Context, tx pgx.Tx, room, action string, by Actor, detail map[string]any) error {
	if s.Audit == nil {
		return nil
	}
	return s.Audit(ctx, tx, room, action, by, detail)
}

// Turn of a person: what they should do next in a room.
type Turn struct {
	Room  string
	State State
	// Has tells whether the person has a place; then the ticket says it.
	Has    bool
	Ticket Ticket
	// Position is nil as long as the draw hasn't been made. Called tells whether the person may come in now.
	Position *uint64
	Serving  uint64
	Called   bool
	// Late tells that the person was called, didn't come in time and waits in the late lane: position and serving are its.
	Late bool
	// From is when places are given, in shown time.
	From time.Time
}

// TurnOf says where a person stands in a room.
func (s *Service) TurnOf(ctx context.Context, room string, person uuid.UUID) (Turn, error) {
	v, err := s.view(room)
	if err != nil {
		return Turn{}, err
	}
	t := Turn{Room: room, State: v.State, Serving: v.Serving, From: v.OpensAt}
	if !v.RegistrationOpensAt.IsZero() {
		t.From = v.RegistrationOpensAt
	}
	p, found, err := s.findPlace(ctx, v.No, person)
	if err != nil || !found {
		return t, err
	}
	t.Has = true
	if t.Ticket, err = s.ticket(room, person, p); err != nil {
		return t, err
	}
	if position, drawn := v.position(p.Behind, p.Number); drawn {
		t.Position = &position
		t.Called = position < v.Serving
		if t.Called && !v.inGrace(false, position, p.AtMS) {
			return s.lateTurn(ctx, v, person, t)
		}
	}
	return t, nil
}

// lateTurn is the turn of somebody whose grace is over. Who has a number in the late lane and isn't called there waits; all
// others may come, if only to be given a number.
func (s *Service) lateTurn(ctx context.Context, v *view, person uuid.UUID, t Turn) (Turn, error) {
	now := s.Clock.Real()
	if since, inside := s.Presence.Since(ctx, v.ID, person, now); inside && now.Before(s.until(since)) {
		return t, nil
	}
	var number uint64
	err := s.Pool.QueryRow(ctx, `SELECT number FROM late_places WHERE room_no = $1 AND person_id = $2`, v.No, person).Scan(&number)
	if err != nil && !isNoRows(err) {
		return t, postgres.Unreachable(fmt.Errorf("reading a late place: %w", err))
	}
	if err == nil && number >= v.LateServing {
		t.Called, t.Late, t.Position, t.Serving = false, true, &number, v.LateServing
	}
	return t, nil
}
