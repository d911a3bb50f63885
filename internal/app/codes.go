package app

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/fault"
	"jari/internal/identity"
	"jari/internal/limit"
	"jari/internal/waitingroom"
)

// codesLine introduces who asks for codes to the waiting room in front of them; neither package knows the other.
type codesLine struct {
	rooms  *waitingroom.Service
	limits *limit.Limiter
	// perBlock is how many places a minute are given to one address block.
	perBlock int
}

// Turn says whether it is the asker's turn.
func (l codesLine) Turn(ctx context.Context, a identity.Asking) (identity.Turn, error) {
	turn, err := l.rooms.TurnToSend(ctx, l.wanted(a))
	return identity.Turn{Placed: turn.Placed, Most: turn.Most, Of: turn}, err
}

// Sent counts who came when called.
func (l codesLine) Sent(ctx context.Context, a identity.Asking, t identity.Turn) {
	if turn, ok := t.Of.(waitingroom.CodeTurn); ok {
		l.rooms.Sent(ctx, l.wanted(a), turn)
	}
}

// Verified lets graces run again.
func (l codesLine) Verified(ctx context.Context, tx pgx.Tx, people []uuid.UUID) error {
	return l.rooms.Verified(ctx, tx, people)
}

func (l codesLine) wanted(a identity.Asking) waitingroom.CodeWanted {
	return waitingroom.CodeWanted{
		Phone: a.Phone, People: a.People, Ticket: a.Ticket, Lifetime: a.Lifetime, NeedsPlace: a.NeedsPlace,
		MayJoin: func(ctx context.Context) error {
			if err := a.MayJoin(ctx); err != nil || a.Block == "" {
				return err
			}
			err := l.limits.Spend(ctx, limit.Budget{Name: "codes:" + a.Block, PerMinute: l.perBlock})
			if e, ok := errors.AsType[*fault.Error](err); ok {
				return fault.New(fault.TooMany, fault.CodeAddressLimit).After(e.RetryAfter)
			}
			return err
		},
	}
}

// forget deletes what is over of verifications, codes' places and graces.
func (a *App) forget(ctx context.Context) (rows int64, err error) {
	rows, err = a.identity.Forget(ctx)
	places, err2 := a.rooms.ForgetCodes(ctx)
	return rows + places, errors.Join(err, err2)
}
