package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/postgres"
	"jari/internal/token"
)

// maxDeclarationsRefused is how often a day somebody may be told that a name and birth date are known already.
const maxDeclarationsRefused = 10

// How somebody came to be acted for.
const (
	declared = "declared"
	verified = "verified"
)

// Minor is somebody who is too young to verify for themself, as whoever acts for them declares them.
type Minor struct {
	Name      string
	BirthDate civil.Date
}

// LogValue shows nothing.
func (Minor) LogValue() slog.Value { return slog.StringValue("(a minor)") }

// ActForMinor exchanges a session for one of a minor whom the caller declares. Declaring the same one again finds the same
// person. It refuses with invalid_request, own_verification_required (too old, or the scheme entitles nobody by saying),
// beneficiaries_limit, persons_per_phone, possibly_registered and declarations_limit.
func (s *Service) ActForMinor(ctx context.Context, caller token.Session, m Minor, language string) (Session, error) {
	invalid := fault.New(fault.Invalid, fault.CodeInvalidRequest)
	name, problem := readName(m.Name)
	if problem != "" {
		invalid = invalid.Field("/minor/name", problem)
	}
	today := s.today()
	if !believable(m.BirthDate, today) {
		invalid = invalid.Field("/minor/birth_date", unbelievable)
	}
	if len(invalid.Fields) > 0 {
		return Session{}, invalid
	}
	isMinor := func(born civil.Date) bool { return civil.FullAge(born, today, civil.LeapMarch1) < s.rules.MinorAge }
	// Where a list or a national id entitles, what somebody says of a child would be an entitlement that is made up.
	if !isMinor(m.BirthDate) || s.rules.Scheme == SchemeNationalID || s.rules.Scheme == SchemeList {
		return Session{}, ownVerificationRequired()
	}
	var minor Person
	var refused error
	err := postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		refused = nil
		actor, err := s.lockActor(ctx, tx, caller.Actor)
		if err != nil {
			return err
		}
		if isMinor(actor.BirthDate) {
			return ownVerificationRequired()
		}
		if err := refusalsLeft(ctx, tx, caller.Actor); err != nil {
			return err
		}
		if minor, err = s.declare(ctx, tx, caller.Actor, actor, Minor{name, m.BirthDate}, language); err == nil {
			return s.link(ctx, tx, caller.Actor, minor.ID, declared)
		}
		if fault.CodeOf(err) == fault.CodePossiblyRegistered {
			refused = err
			return countRefusal(ctx, tx, caller.Actor) // committed: a refusal must count
		}
		return err
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return Session{}, err
	}
	return s.actingSession(ctx, caller, minor)
}

// ActFor exchanges a session for one of whoever answers a verification of their own: somebody who has a phone and lets the
// caller act. It refuses like Confirm, and with beneficiaries_limit; then the code stays.
func (s *Service) ActFor(ctx context.Context, caller token.Session, verification, guess string) (Session, error) {
	var person Person
	err := s.judge(ctx, verification, guess, []purpose{opensSession}, func(tx pgx.Tx, p pending) (err error) {
		if person, err = s.findOrMake(ctx, tx, p); err != nil {
			return err
		}
		if err := s.let(ctx, tx, caller.Actor, person); err != nil {
			return err
		}
		return s.arrived(ctx, tx, person.ID)
	})
	if err != nil {
		return Session{}, err
	}
	return s.actingSession(ctx, caller, person)
}

// ActForMyself exchanges a session in which somebody acts for another for one of their own.
func (s *Service) ActForMyself(ctx context.Context, caller token.Session) (Session, error) {
	p, err := s.Person(ctx, caller.Actor)
	if err != nil {
		return Session{}, err
	}
	return s.actingSession(ctx, caller, p)
}

func ownVerificationRequired() error {
	return fault.New(fault.Forbidden, fault.CodeOwnVerificationRequired)
}

// let notes that a verified person lets the actor act.
func (s *Service) let(ctx context.Context, tx pgx.Tx, actor uuid.UUID, person Person) error {
	if person.ID == actor {
		return nil
	}
	if _, err := s.lockActor(ctx, tx, actor); err != nil {
		return err
	}
	return s.link(ctx, tx, actor, person.ID, verified)
}

// lockActor reads who acts. The row stays locked, so that an actor's exchanges take turns.
func (s *Service) lockActor(ctx context.Context, tx pgx.Tx, id uuid.UUID) (sealed, error) {
	var row []byte
	err := tx.QueryRow(ctx, `SELECT sealed FROM persons WHERE person_id = $1 FOR UPDATE`, id).Scan(&row)
	if errors.Is(err, pgx.ErrNoRows) {
		return sealed{}, fault.New(fault.Unauthenticated, fault.CodeSessionExpired)
	}
	if err != nil {
		return sealed{}, postgres.Unreachable(fmt.Errorf("reading who acts: %w", err))
	}
	return s.open("persons", id, row)
}

// declare finds or makes a minor. With a phone, they are who they would be if they verified with the actor's: whichever way
// comes first, it is one person.
func (s *Service) declare(ctx context.Context, tx pgx.Tx, actorID uuid.UUID, actor sealed, m Minor, language string) (Person, error) {
	x := someone{
		sealed: sealed{Name: m.Name, BirthDate: m.BirthDate}, language: language, contact: actorID, bySaying: true,
	}
	var err error
	if s.rules.Scheme == SchemePhone {
		x.scheme = SchemePhone
		if x.phoneIndex, err = s.index.Hash("phone", actor.Phone); err != nil {
			return Person{}, err
		}
		x.lookup, err = s.said(m.Name, m.BirthDate, actor.Phone)
	} else {
		x.scheme = declared
		x.lookup, err = s.declaredBy(actorID, m.Name, m.BirthDate)
	}
	if err != nil {
		return Person{}, err
	}
	return s.findOrMakeSomeone(ctx, tx, x)
}

// link notes that actor acts for person, within the actor's quota. The actor's row is locked.
func (s *Service) link(ctx context.Context, tx pgx.Tx, actor, person uuid.UUID, how string) error {
	if actor == person {
		return nil
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO beneficiaries AS b (actor_id, person_id, ordinal, how)
		SELECT $1, $2, coalesce(
			(SELECT ordinal FROM beneficiaries WHERE actor_id = $1 AND person_id = $2),
			(SELECT min(n)::smallint FROM generate_series(0, $4::int - 1) n
			 WHERE NOT EXISTS (SELECT FROM beneficiaries WHERE actor_id = $1 AND ordinal = n))), $3
		WHERE EXISTS (SELECT FROM beneficiaries WHERE actor_id = $1 AND person_id = $2)
			OR (SELECT count(*) FROM beneficiaries WHERE actor_id = $1) < $4
		ON CONFLICT (actor_id, person_id) DO UPDATE SET how = CASE WHEN $3 = 'verified' THEN $3 ELSE b.how END`,
		actor, person, how, s.rules.Beneficiaries)
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("noting who acts for whom: %w", err))
	}
	if tag.RowsAffected() == 0 {
		return fault.New(fault.Conflict, fault.CodeBeneficiariesLimit)
	}
	return s.audit.Append(ctx, tx, audit.Entry{
		Actor: audit.PersonActor(actor), Act: "person.act_for", Person: person, Details: map[string]any{"how": how},
	})
}

// refusalsLeft refuses with declarations_limit whoever was told too often today that somebody is known.
func refusalsLeft(ctx context.Context, tx pgx.Tx, actor uuid.UUID) error {
	var times int
	var now time.Time
	if err := tx.QueryRow(ctx, `
		SELECT coalesce(max(times), 0), now() FROM declarations_refused
		WHERE actor_id = $1 AND day = (now() AT TIME ZONE $2::interval)::date`, actor, budgetOffset).Scan(&times, &now); err != nil {
		return postgres.Unreachable(fmt.Errorf("counting refused declarations: %w", err))
	}
	if times >= maxDeclarationsRefused {
		return fault.New(fault.TooMany, fault.CodeDeclarationsLimit).After(endOfDay(now).Sub(now))
	}
	return nil
}

func countRefusal(ctx context.Context, tx pgx.Tx, actor uuid.UUID) error {
	if _, err := tx.Exec(ctx, `
		INSERT INTO declarations_refused AS d (actor_id, day) VALUES ($1, (now() AT TIME ZONE $2::interval)::date)
		ON CONFLICT (actor_id, day) DO UPDATE SET times = d.times + 1`, actor, budgetOffset); err != nil {
		return postgres.Unreachable(fmt.Errorf("counting a refused declaration: %w", err))
	}
	return nil
}

// actingSession is the caller's session with another person in it. It ends when the caller's does, and with it: "forget this
// device" means all that was done on it.
func (s *Service) actingSession(ctx context.Context, caller token.Session, p Person) (Session, error) {
	return s.sessionOf(ctx, p, token.Session{ID: caller.ID, Actor: caller.Actor, IssuedAt: s.clock.Real(), ExpiresAt: caller.ExpiresAt})
}
