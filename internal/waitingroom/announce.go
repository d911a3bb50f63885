package waitingroom

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"jari/internal/fault"
	"jari/internal/postgres"
)

// AnnouncedDraw is a value that an administrator types in for a draw.
type AnnouncedDraw struct {
	Value []byte
	// Name says whose value it is. It is needed where the announced source had none.
	Name string
}

// Announce types in the value of a draw. Where the announced source is drand, the signature of the announced round makes the
// draw at once, since the server can check it; that helps where no relay can be reached from here. Any other value is one of
// the source announced, or, when drand has had none for as long as is stated, one in its place: the first administrator
// proposes it, and the draw is made when another types in the same. made tells whether it is. It refuses with no_draw (and
// when to come), second_person, person_unknown, value_differs, invalid_request.
func (s *Service) Announce(ctx context.Context, room string, a AnnouncedDraw, by Actor) (made bool, err error) {
	v, err := s.view(room)
	if err != nil {
		return false, err
	}
	err = inTx(ctx, s.Pool, func(tx pgx.Tx) error {
		r, err := scanRoom(tx.QueryRow(ctx, `SELECT `+roomColumns+` FROM rooms WHERE room_no = $1 FOR UPDATE`, v.No))
		if err != nil {
			return postgres.Unreachable(fmt.Errorf("reading the room %s: %w", room, err))
		}
		if r.DrawSource == nil || len(r.Seed) > 0 || len(r.Root) != seedSize || r.State != Drawing {
			return fault.New(fault.NotFound, fault.CodeNoDraw)
		}
		now, source := s.Clock.Real(), Source(*r.DrawSource)
		if now.Before(*r.ValueAt) {
			return fault.New(fault.NotFound, fault.CodeNoDraw).After(r.ValueAt.Sub(now))
		}
		if checker, ok := s.Values[source].(Checker); ok {
			value, err := checker.Check(Announcement{At: *r.ValueAt, Chain: r.DrawChain, Round: r.DrawRound}, a.Value)
			if err == nil {
				made = true
				return s.announced(ctx, tx, r, value, false, "room.draw.hand_in", by)
			}
		}
		switch source {
		case Announced:
		case Drand:
			if patient := r.ValueAt.Add(s.Limits.DrawPatience); now.Before(patient) {
				return fault.New(fault.NotFound, fault.CodeNoDraw).After(patient.Sub(now))
			}
			if a.Name == "" {
				return fault.New(fault.Invalid, fault.CodeInvalidRequest).
					Field("/name", "is needed: it isn't the announced source's value, so everybody is told whose it is")
			}
		default:
			return fault.New(fault.NotFound, fault.CodeNoDraw)
		}
		action := "room.draw.propose"
		mine := r.ProposedBy != nil && *r.ProposedBy == by.By
		if r.ProposedBy != nil && !mine && by.Same != nil {
			if mine, err = by.Same(ctx, tx, *r.ProposedBy); err != nil {
				return err
			}
		}
		same := bytes.Equal(a.Value, r.Proposed) && r.name() == a.Name
		switch {
		case r.ProposedBy == nil, mine && !same: // or a typing error, corrected
			if _, err := tx.Exec(ctx, `UPDATE rooms SET proposed = $2, proposed_by = $3, draw_name = $4 WHERE room_no = $1`,
				r.No, a.Value, by.By, a.Name); err != nil {
				return postgres.Unreachable(fmt.Errorf("proposing a value: %w", err))
			}
			return s.audit(ctx, tx, room, action, by, map[string]any{"bytes": len(a.Value), "instead_of": insteadOf(source), "name": a.Name})
		case mine:
			return fault.New(fault.Conflict, fault.CodeSecondPerson)
		case !same:
			return fault.New(fault.Conflict, fault.CodeValueDiffers)
		}
		made = true
		return s.announced(ctx, tx, r, Value{Bytes: a.Value}, source != Announced, "room.draw.confirm", by)
	})
	return made && err == nil, err
}

// announced makes a draw by a value that was typed in.
func (s *Service) announced(ctx context.Context, tx pgx.Tx, r *Room, v Value, fellBack bool, action string, by Actor) error {
	seed := Seed([seedSize]byte(r.Root), v.Bytes)
	if _, err := tx.Exec(ctx, `UPDATE rooms SET value = $2, proof = $3, seed = $4, fell_back = $5 WHERE room_no = $1`,
		r.No, v.Bytes, v.Proof, seed[:], fellBack); err != nil {
		return postgres.Unreachable(fmt.Errorf("announcing a value: %w", err))
	}
	detail := map[string]any{"bytes": len(v.Bytes)}
	if fellBack {
		detail["instead_of"], detail["name"] = *r.DrawSource, r.name()
	}
	return s.audit(ctx, tx, r.ID, action, by, detail)
}

// insteadOf is the announced source where a value isn't of it, or empty.
func insteadOf(source Source) string {
	if source == Announced {
		return ""
	}
	return string(source)
}
