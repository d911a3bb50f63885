package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/fault"
	"jari/internal/postgres"
	"jari/internal/token"
)

// A person who has another phone stays the same person: the id, and with it bookings and places, stay. The phone that they
// leave answers first, then the one that they take; whoever has lost the old one goes to the desk.

// StartPhoneChange sends a code to the phone that the caller has, as the first of two steps to another. It refuses with
// scheme_not_offered (phones come from elsewhere), acting_for_another, invalid_request, phone_unsupported, and as Start does
// for a phone whose turn it isn't.
func (s *Service) StartPhoneChange(ctx context.Context, caller token.Session, phone, language string, from From) (Verification, error) {
	if s.rules.Scheme != SchemePhone {
		return Verification{}, fault.New(fault.Invalid, fault.CodeSchemeNotOffered).
			Field("/phone", "this deployment takes phones from where people are known")
	}
	if caller.Actor != caller.Person {
		return Verification{}, fault.New(fault.Forbidden, fault.CodeActingForAnother)
	}
	phone, err := NormalisePhone(phone, s.rules.Phones)
	if err != nil {
		return Verification{}, err
	}
	had, err := s.Person(ctx, caller.Person)
	if err != nil {
		return Verification{}, err
	}
	phoneIndex, err := s.index.Hash("phone", had.Phone)
	if err != nil {
		return Verification{}, err
	}
	asking, err := s.asking(had.Phone, phoneIndex, s.verifiedOn(from.Device, phoneIndex), from)
	if err != nil {
		return Verification{}, err
	}
	var v Verification
	change := func(most time.Duration) error {
		return postgres.InTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
			v, err = s.leavePhone(ctx, tx, caller.Person, phone, most, language, from)
			return err
		})
	}
	if had.Phone == "" || had.Phone == phone { // nothing will be sent
		return v, change(0)
	}
	return v, s.inTurn(ctx, asking, change)
}

// leavePhone sends a code to the phone that a person has, so that they may take another.
func (s *Service) leavePhone(
	ctx context.Context, tx pgx.Tx, person uuid.UUID, phone string, most time.Duration, language string, from From,
) (Verification, error) {
	c, err := s.lockPerson(ctx, tx, person)
	if fault.CodeOf(err) == fault.CodeNotFound {
		return Verification{}, fault.New(fault.Unauthenticated, fault.CodeSessionExpired)
	}
	if err != nil {
		return Verification{}, err
	}
	if c.Phone == "" {
		// A declared minor who verified with the phone of whoever declared them: that phone is not theirs to change.
		return Verification{}, fault.New(fault.Forbidden, fault.CodeActingForAnother)
	}
	if c.Phone == phone {
		return Verification{}, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/phone", "is the one that you have")
	}
	c.NewPhone = phone
	return s.sendTo(ctx, tx, c.Phone, c.sealed, leavesPhone, person, most, language, from)
}

// ConfirmPhoneChange judges the code of either step. After the first it returns the verification of the second, which went
// to the new phone; after the second it returns nil, and the phone is changed. It refuses like Confirm.
func (s *Service) ConfirmPhoneChange(ctx context.Context, caller token.Session, id, guess string, from From) (next *Verification, err error) {
	err = s.judge(ctx, id, guess, []purpose{leavesPhone, takesPhone}, func(tx pgx.Tx, p pending) error {
		next = nil
		if p.person != caller.Person || caller.Actor != caller.Person {
			return over()
		}
		c, err := s.open("verifications", p.id, p.sealed)
		if err != nil {
			return err
		}
		if p.purpose == leavesPhone {
			// The change had its turn with the first code: the second only takes its time of the gateway.
			v, err := s.sendTo(ctx, tx, c.NewPhone, c, takesPhone, caller.Person, 0, p.language, from)
			next = &v
			return err
		}
		return s.movePhone(ctx, tx, caller.Person, c.NewPhone, audit.Entry{Actor: audit.PersonActor(caller.Person)})
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}

// sendTo sends a code to a phone about something else than a session.
func (s *Service) sendTo(
	ctx context.Context, tx pgx.Tx, phone string, c sealed, of purpose, person uuid.UUID, most time.Duration, language string, from From,
) (Verification, error) {
	phoneIndex, err := s.index.Hash("phone", phone)
	if err != nil {
		return Verification{}, err
	}
	id := uuid.New()
	c.Phone = phone // where codes of this verification go, also when they are sent again
	row, err := s.seal("verifications", id, c)
	if err != nil {
		return Verification{}, err
	}
	known := s.verifiedOn(from.Device, phoneIndex)
	now, err := s.spendCode(ctx, tx, phoneIndex, known)
	if err != nil {
		return Verification{}, err
	}
	code, mac, err := s.makeCode(id)
	if err != nil {
		return Verification{}, err
	}
	v := Verification{
		ID: id, ExpiresAt: now.Add(s.rules.CodeLifetime), ResendAt: now.Add(s.rules.ResendWait), AttemptsLeft: s.rules.CodeAttempts,
	}
	if _, err := tx.Exec(ctx, `
		INSERT INTO verifications (verification_id, scheme, phone_index, sealed, language, code_mac, resend_at, expires_at, purpose, person_id, known_device)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		id, s.rules.Scheme, phoneIndex, row, language, mac, v.ResendAt, v.ExpiresAt, of, person, known); err != nil {
		return Verification{}, postgres.Unreachable(fmt.Errorf("remembering a verification: %w", err))
	}
	if err := s.codes.QueueCode(ctx, tx, Code{
		Subject: subject(id, 1), Phone: phone, Code: code, Language: language, UsefulUntil: v.ExpiresAt, Lifetime: s.rules.CodeLifetime, Most: most,
	}); err != nil {
		return Verification{}, err
	}
	return v, s.spendWider(ctx, tx, now, phone, known, from)
}

// lockedPerson is a person whose row is locked.
type lockedPerson struct {
	sealed
	scheme     string
	phoneIndex []byte
}

func (s *Service) lockPerson(ctx context.Context, tx pgx.Tx, id uuid.UUID) (p lockedPerson, err error) {
	var row []byte
	err = tx.QueryRow(ctx, `SELECT scheme, phone_index, sealed FROM persons WHERE person_id = $1 AND forgotten_at IS NULL FOR UPDATE`, id).
		Scan(&p.scheme, &p.phoneIndex, &row)
	if errors.Is(err, pgx.ErrNoRows) {
		return lockedPerson{}, fault.New(fault.NotFound, fault.CodeNotFound)
	}
	if err != nil {
		return lockedPerson{}, postgres.Unreachable(fmt.Errorf("reading a person: %w", err))
	}
	p.sealed, err = s.open("persons", id, row)
	return p, err
}

// movePhone gives a person another phone, and with them the minors whom they declared. It refuses with persons_per_phone,
// and with possibly_registered where somebody of the same name and birth date has that phone.
func (s *Service) movePhone(ctx context.Context, tx pgx.Tx, id uuid.UUID, phone string, act audit.Entry) error {
	p, err := s.lockPerson(ctx, tx, id)
	if err != nil {
		return err
	}
	if p.scheme != SchemePhone {
		return fault.New(fault.Conflict, fault.CodeSchemeNotOffered)
	}
	p.Phone, p.NewPhone = phone, ""
	if err := s.rewrite(ctx, tx, id, p.sealed, phone); err != nil {
		return err
	}
	minors, err := s.minorsOf(ctx, tx, id)
	if err != nil {
		return err
	}
	for minor, c := range minors {
		if err := s.rewrite(ctx, tx, minor, c, phone); err != nil {
			return err
		}
	}
	act.Act, act.Person, act.Details = "person.new_phone", id, map[string]any{"minors": len(minors)}
	return s.audit.Append(ctx, tx, act)
}

// rewrite writes what is known of a person of the scheme phone, who is reached at that phone, and what finds them by it.
func (s *Service) rewrite(ctx context.Context, tx pgx.Tx, id uuid.UUID, c sealed, phone string) error {
	lookup, err := s.said(c.Name, c.BirthDate, phone)
	if err != nil {
		return err
	}
	self, err := s.self(c.Name, c.BirthDate)
	if err != nil {
		return err
	}
	phoneIndex, err := s.index.Hash("phone", phone)
	if err != nil {
		return err
	}
	if err := lock(ctx, tx, lookup); err != nil {
		return err
	}
	var before []byte
	var taken bool
	if err := tx.QueryRow(ctx, `
		SELECT phone_index, EXISTS (SELECT FROM persons WHERE scheme = $2 AND lookup = $3 AND person_id <> $1)
		FROM persons WHERE person_id = $1`, id, SchemePhone, lookup).Scan(&before, &taken); err != nil {
		return postgres.Unreachable(fmt.Errorf("looking for namesakes: %w", err))
	}
	if taken {
		return possiblyRegistered()
	}
	if err := s.keepOnLists(ctx, tx, id); err != nil {
		return err
	}
	var ordinal *int16 // the one that they have, where they stay
	if !bytes.Equal(before, phoneIndex) {
		if ordinal, err = s.freeOrdinal(ctx, tx, phoneIndex); err != nil {
			return err
		}
	}
	row, err := s.seal("persons", id, c)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		UPDATE persons SET lookup = $2, self_index = $3, phone_index = $4, phone_ordinal = coalesce($5, phone_ordinal), sealed = $6
		WHERE person_id = $1`, id, lookup, self, phoneIndex, ordinal, row); err != nil {
		return postgres.Unreachable(fmt.Errorf("rewriting a person: %w", err))
	}
	return nil
}

// minorsOf are those whom a person declared, and who have no phone of their own.
func (s *Service) minorsOf(ctx context.Context, tx pgx.Tx, id uuid.UUID) (map[uuid.UUID]sealed, error) {
	rows, err := tx.Query(ctx, `SELECT person_id, sealed FROM persons WHERE contact_id = $1 AND scheme = $2 ORDER BY person_id FOR UPDATE`,
		id, SchemePhone)
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading who was declared: %w", err))
	}
	minors := map[uuid.UUID]sealed{}
	var minor uuid.UUID
	var row []byte
	if _, err := pgx.ForEachRow(rows, []any{&minor, &row}, func() error {
		c, err := s.open("persons", minor, row)
		minors[minor] = c
		return err
	}); err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading who was declared: %w", err))
	}
	return minors, nil
}
