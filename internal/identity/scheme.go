package identity

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// purpose is what the right code of a verification does.
type purpose string

const (
	opensSession purpose = "session"
	leavesPhone  purpose = "old_phone"
	takesPhone   purpose = "new_phone"
)

// today is the date on which people are as old as they are: that of shown time.
func (s *Service) today() civil.Date { return civil.Of(s.clock.Now(), budgetZone) }

// signInInstead refuses a verification by SMS where only a provider binds.
func (s *Service) signInInstead() error {
	return fault.New(fault.Invalid, fault.CodeSchemeNotOffered).Field("/scheme", "this deployment identifies people at an identity provider")
}

func notOnList() error { return fault.New(fault.Forbidden, fault.CodeNotOnList) }

func possiblyRegistered() error { return fault.New(fault.Conflict, fault.CodePossiblyRegistered) }

// bind says what finds the person of these claims (nil: what will be sealed), and whether the imported list ties them to
// the phone. A national id and a number go no further than here.
func (s *Service) bind(ctx context.Context, c Claims, phoneIndex []byte) (lookup []byte, bound bool, err error) {
	if c.Scheme == SchemePhone {
		return nil, true, nil
	}
	if lookup, err = s.numbered(c); err != nil {
		return nil, false, err
	}
	bound, err = s.listed(ctx, c, phoneIndex)
	return lookup, bound, err
}

// numbered is what finds a person by a number: their national id, or that of an entry.
func (s *Service) numbered(c Claims) ([]byte, error) {
	if c.Scheme == SchemeNationalID {
		return s.index.Hash("person", SchemeNationalID, c.NationalID)
	}
	return s.index.Hash("person", append([]string{SchemeList, s.rules.List}, entryParts(c)...)...)
}

// self is the keyed hash of what somebody says of themself, whatever the phone.
func (s *Service) self(name string, born civil.Date) ([]byte, error) {
	return s.index.Hash("self", folded(name), civil.Text(born))
}

// said is what finds a person by what they say of themself and the phone that they, or whoever declared them, can be
// reached at.
func (s *Service) said(name string, born civil.Date, phone string) ([]byte, error) {
	return s.index.Hash("person", SchemePhone, folded(name), civil.Text(born), phone)
}

// someone is who is to be found or made.
type someone struct {
	sealed
	scheme string
	lookup []byte
	// phoneIndex is the phone that the person counts at; nil where nothing bounds persons per phone.
	phoneIndex []byte
	language   string
	// contact is whose phone messages go to; Nil where the person has their own.
	contact uuid.UUID
	// bySaying: they are known by what is said of them alone, so that it may have been said before, with another phone.
	bySaying bool
}

// findOrMake returns the person whom a verification describes.
func (s *Service) findOrMake(ctx context.Context, tx pgx.Tx, p pending) (Person, error) {
	c, err := s.open("verifications", p.id, p.sealed)
	if err != nil {
		return Person{}, err
	}
	x := someone{sealed: c, scheme: p.scheme, lookup: p.lookup, language: p.language}
	if p.lookup == nil {
		x.bySaying, x.phoneIndex = true, p.phoneIndex
		if x.lookup, err = s.said(c.Name, c.BirthDate, c.Phone); err != nil {
			return Person{}, err
		}
	}
	return s.findOrMakeSomeone(ctx, tx, x)
}

// findOrMakeSomeone returns the one person who is found by x.lookup. It refuses with persons_per_phone and
// possibly_registered.
func (s *Service) findOrMakeSomeone(ctx context.Context, tx pgx.Tx, x someone) (Person, error) {
	self, err := s.self(x.Name, x.BirthDate)
	if err != nil {
		return Person{}, err
	}
	if err := lock(ctx, tx, x.lookup); err != nil {
		return Person{}, err
	}
	person := Person{Name: x.Name, BirthDate: x.BirthDate, Phone: x.Phone, Language: x.language}
	err = tx.QueryRow(ctx, `
		UPDATE persons SET language = $3, self_index = $4, verified_at = now() WHERE scheme = $1 AND lookup = $2 RETURNING person_id`,
		x.scheme, x.lookup, x.language, self).Scan(&person.ID)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return s.make(ctx, tx, x, person, self)
	case err != nil:
		return Person{}, postgres.Unreachable(fmt.Errorf("finding a person: %w", err))
	case x.bySaying:
		return person, nil
	}
	// A list or a provider knows better than we do what somebody is called now and where messages reach them.
	row, err := s.seal("persons", person.ID, x.sealed)
	if err != nil {
		return Person{}, err
	}
	if _, err := tx.Exec(ctx, `UPDATE persons SET sealed = $2 WHERE person_id = $1`, person.ID, row); err != nil {
		return Person{}, postgres.Unreachable(fmt.Errorf("renewing a person: %w", err))
	}
	return person, nil
}

// make adds a person whom nobody knew.
func (s *Service) make(ctx context.Context, tx pgx.Tx, x someone, person Person, self []byte) (Person, error) {
	flagged := false
	if x.bySaying {
		known, err := saidBefore(ctx, tx, self, uuid.Nil)
		if err != nil {
			return Person{}, err
		}
		if known && s.rules.RefuseNamesakes {
			return Person{}, possiblyRegistered()
		}
		flagged = known
	}
	person.ID = uuid.New()
	row, err := s.seal("persons", person.ID, x.sealed)
	if err != nil {
		return Person{}, err
	}
	var ordinal *int16
	if x.phoneIndex != nil {
		if ordinal, err = s.freeOrdinal(ctx, tx, x.phoneIndex); err != nil {
			return Person{}, err
		}
	}
	if _, err := tx.Exec(ctx, `
		INSERT INTO persons (person_id, scheme, lookup, phone_index, phone_ordinal, sealed, language, self_index, contact_id, flagged_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $10 THEN now() END)`,
		person.ID, x.scheme, x.lookup, x.phoneIndex, ordinal, row, x.language, self,
		uuid.NullUUID{UUID: x.contact, Valid: x.contact != uuid.Nil}, flagged); err != nil {
		return Person{}, postgres.Unreachable(fmt.Errorf("making a person: %w", err))
	}
	return person, nil
}

// saidBefore tells whether somebody other than except has that name and birth date. Whoever asks keeps it so until the
// transaction ends.
func saidBefore(ctx context.Context, tx pgx.Tx, self []byte, except uuid.UUID) (known bool, err error) {
	if err := lock(ctx, tx, self); err != nil {
		return false, err
	}
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM persons WHERE self_index = $1 AND person_id <> $2)`, self, except).Scan(&known); err != nil {
		return false, postgres.Unreachable(fmt.Errorf("looking for namesakes: %w", err))
	}
	return known, nil
}

// freeOrdinal is the lowest of the phone's ordinals that nobody has, or fault.CodePersonsPerPhone. The phone is locked, and
// the table's unique constraint says no to whatever got past that.
func (s *Service) freeOrdinal(ctx context.Context, tx pgx.Tx, phoneIndex []byte) (*int16, error) {
	if err := lock(ctx, tx, phoneIndex); err != nil {
		return nil, err
	}
	var free *int16
	if err := tx.QueryRow(ctx, `
		SELECT min(n)::smallint FROM generate_series(0, $2::int - 1) n
		WHERE NOT EXISTS (SELECT FROM persons WHERE phone_index = $1 AND phone_ordinal = n)`,
		phoneIndex, s.rules.PersonsPerPhone).Scan(&free); err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("counting a phone's people: %w", err))
	}
	if free == nil {
		return nil, fault.New(fault.Conflict, fault.CodePersonsPerPhone)
	}
	return free, nil
}

// lock makes transactions about the same keyed hash take turns. Two hashes that begin alike would take turns too, which
// costs nothing but time.
func lock(ctx context.Context, tx pgx.Tx, hash []byte) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(binary.BigEndian.Uint64(hash))); err != nil { //nolint:gosec // bits, not a number
		return postgres.Unreachable(fmt.Errorf("taking a turn: %w", err))
	}
	return nil
}

// Person opens what is sealed of a person, to show it masked or to send a message. The phone is that of whoever declared
// them where they have none, and empty where nobody has one.
func (s *Service) Person(ctx context.Context, id uuid.UUID) (Person, error) {
	var row, contactRow []byte
	var contact uuid.NullUUID
	p := Person{ID: id}
	err := s.pool.QueryRow(ctx, `
		SELECT p.sealed, p.language, p.contact_id, c.sealed FROM persons p LEFT JOIN persons c ON c.person_id = p.contact_id
		WHERE p.person_id = $1 AND p.forgotten_at IS NULL`, id).Scan(&row, &p.Language, &contact, &contactRow)
	if errors.Is(err, pgx.ErrNoRows) {
		return Person{}, fault.New(fault.Unauthenticated, fault.CodeSessionExpired)
	}
	if err != nil {
		return Person{}, postgres.Unreachable(fmt.Errorf("reading a person: %w", err))
	}
	c, err := s.open("persons", id, row)
	if err != nil {
		return Person{}, err
	}
	p.Name, p.BirthDate, p.Phone = c.Name, c.BirthDate, c.Phone
	if p.Phone == "" && contactRow != nil {
		if c, err = s.open("persons", contact.UUID, contactRow); err != nil {
			return Person{}, err
		}
		p.Phone = c.Phone
	}
	return p, nil
}
