package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/fault"
	"jari/internal/postgres"
)

// Line is what stands in front of sending codes, since a gateway takes only so many a second.
type Line interface {
	// Turn refuses whoever has to wait until their turn comes.
	Turn(ctx context.Context, a Asking) (Turn, error)
	// Sent is told when a code of a turn was sent.
	Sent(ctx context.Context, a Asking, t Turn)
	// Verified is told who has a session from now on, in the transaction that makes it.
	Verified(ctx context.Context, tx pgx.Tx, people []uuid.UUID) error
}

// Asking is somebody who asks for a code.
type Asking struct {
	// Phone names the number that was typed and leads to nobody. People are whom the code would let go on: the person who is
	// known by what was typed, and those for whom they act.
	Phone  uuid.UUID
	People []uuid.UUID
	// Ticket is the place that was given before, or empty.
	Ticket string
	// Block is the caller's address block, or empty where nothing is bounded by it.
	Block string
	// Lifetime is how long the code can be used.
	Lifetime time.Duration
	// MayJoin refuses a phone to which no code can be sent, before it takes a place.
	MayJoin func(context.Context) error
	// NeedsPlace tells that a turn without a place was of no use: the gateway had no room.
	NeedsPlace bool
}

// Turn is a turn to be sent a code.
type Turn struct {
	// Placed tells that the phone waited for it.
	Placed bool
	// Most is how long the code may wait at the gateway; 0 is as long as it is of use.
	Most time.Duration
	// Of is the line's own.
	Of any
}

// asking says who asks for a code to a phone.
func (s *Service) asking(phone string, phoneIndex []byte, known bool, from From) (Asking, error) {
	place, err := s.index.Hash("place in the line of codes", phone)
	if err != nil {
		return Asking{}, err
	}
	a := Asking{
		Phone: uuid.UUID(place[:16]), Ticket: from.Ticket, Block: from.Block, Lifetime: s.rules.CodeLifetime,
		MayJoin: func(ctx context.Context) error { return s.codesLeft(ctx, phoneIndex, known) },
	}
	if known { // bounded by its phones' budgets, as with codes
		a.Block = ""
	}
	return a, nil
}

// inTurn sends a code when it is the phone's turn. What comes while nobody waits needs no place, unless it finds the gateway
// busy after all.
func (s *Service) inTurn(ctx context.Context, a Asking, send func(most time.Duration) error) error {
	if s.line == nil {
		return send(0)
	}
	for {
		turn, err := s.line.Turn(ctx, a)
		if err != nil {
			return err
		}
		err = send(turn.Most)
		if err == nil {
			s.line.Sent(ctx, a, turn)
			return nil
		}
		if turn.Placed || a.NeedsPlace || fault.CodeOf(err) != fault.CodeSMSBusy {
			return err
		}
		a.NeedsPlace = true
	}
}

// arrived tells the line who verified.
func (s *Service) arrived(ctx context.Context, tx pgx.Tx, person uuid.UUID) error {
	if s.line == nil {
		return nil
	}
	people, err := s.withBeneficiaries(ctx, tx, `SELECT $1::uuid`, person)
	if err != nil {
		return err
	}
	return s.line.Verified(ctx, tx, people)
}

// mayBe are whom these claims are about, if they are known: a person, and those for whom they act.
func (s *Service) mayBe(ctx context.Context, c Claims, lookup []byte) (people []uuid.UUID, err error) {
	if s.line == nil {
		return nil, nil
	}
	if lookup == nil {
		if lookup, err = s.said(c.Name, c.BirthDate, c.Phone); err != nil {
			return nil, err
		}
	}
	return s.withBeneficiaries(ctx, s.pool, `SELECT person_id FROM persons WHERE scheme = $1 AND lookup = $2`, c.Scheme, lookup)
}

type querier interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
}

// withBeneficiaries are the people whom a query finds, and those for whom they act.
func (s *Service) withBeneficiaries(ctx context.Context, from querier, query string, arguments ...any) ([]uuid.UUID, error) {
	rows, err := from.Query(ctx, `
		WITH found(person_id) AS (`+query+`)
		SELECT person_id FROM found UNION SELECT b.person_id FROM beneficiaries b JOIN found ON b.actor_id = found.person_id`, arguments...)
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading for whom somebody acts: %w", err))
	}
	people, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading for whom somebody acts: %w", err))
	}
	return people, nil
}

// codesLeft refuses with phone_limit a phone that has had its codes of the day: there is nothing to wait for.
func (s *Service) codesLeft(ctx context.Context, phoneIndex []byte, known bool) error {
	var all, ofKnown int
	var now time.Time
	err := s.pool.QueryRow(ctx, `
		SELECT codes, known_codes, now() FROM phone_budgets WHERE phone_index = $1 AND day = (now() AT TIME ZONE $2::interval)::date`,
		phoneIndex, budgetOffset).Scan(&all, &ofKnown, &now)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("reading a phone's budget: %w", err))
	}
	if s.rules.spent(s.rules.CodesPerDay, all, ofKnown, known) {
		return s.phoneLimit(now)
	}
	return nil
}
