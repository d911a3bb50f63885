package identity

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// Desk is somebody who has seen a person's papers, and why they act. Who they are is in the context (audit.With); every
// verb is one entry of the audit.
type Desk struct {
	Reason string // in their words; needed
}

func (d Desk) check() error {
	if strings.TrimSpace(d.Reason) == "" || len(d.Reason) > audit.MaxReasonBytes {
		return fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/reason", fmt.Sprintf("is needed, of up to %d bytes", audit.MaxReasonBytes))
	}
	return nil
}

// GiveNewPhone gives a person another phone, whose old one can't answer any more, and ends all their sessions: whoever has the
// old one may have one. It refuses with not_found, phone_unsupported, persons_per_phone, scheme_not_offered (phones come from
// elsewhere) and possibly_registered.
func (s *Service) GiveNewPhone(ctx context.Context, d Desk, person uuid.UUID, phone string) error {
	if err := d.check(); err != nil {
		return err
	}
	phone, err := NormalisePhone(phone, s.rules.Phones)
	if err != nil {
		return err
	}
	var told func()
	if err := postgres.InTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if err := s.movePhone(ctx, tx, person, phone, audit.Entry{Reason: d.Reason}); err != nil {
			return err
		}
		told, err = s.endPerson(ctx, tx, person)
		return err
	}); err != nil {
		return err
	}
	told()
	return nil
}

// CorrectName corrects what a person is called. From then on they are found by the right name, and no longer by the wrong
// one, where names find people. It refuses with not_found, invalid_request and possibly_registered.
func (s *Service) CorrectName(ctx context.Context, d Desk, person uuid.UUID, name string) error {
	if err := d.check(); err != nil {
		return err
	}
	name, problem := readName(name)
	if problem != "" {
		return fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/name", problem)
	}
	return postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		p, err := s.lockPerson(ctx, tx, person)
		if err != nil {
			return err
		}
		p.Name = name
		if err := s.rename(ctx, tx, person, p); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, audit.Entry{Act: "person.correct_name", Person: person, Reason: d.Reason})
	})
}

func (s *Service) rename(ctx context.Context, tx pgx.Tx, person uuid.UUID, p lockedPerson) error {
	switch p.scheme {
	case SchemePhone:
		phone, err := s.reachedAt(ctx, tx, person, p.Phone)
		if err != nil {
			return err
		}
		return s.rewrite(ctx, tx, person, p.sealed, phone)
	case declared:
		return s.renameDeclared(ctx, tx, person, p.sealed)
	}
	self, err := s.self(p.Name, p.BirthDate)
	if err != nil {
		return err
	}
	row, err := s.seal("persons", person, p.sealed)
	if err != nil {
		return err
	}
	if err := s.keepOnLists(ctx, tx, person); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE persons SET self_index = $2, sealed = $3 WHERE person_id = $1`, person, self, row); err != nil {
		return postgres.Unreachable(fmt.Errorf("correcting a name: %w", err))
	}
	return nil
}

// renameDeclared corrects a minor whom only whoever declared them can name.
func (s *Service) renameDeclared(ctx context.Context, tx pgx.Tx, person uuid.UUID, c sealed) error {
	var contact uuid.UUID
	if err := tx.QueryRow(ctx, `SELECT contact_id FROM persons WHERE person_id = $1`, person).Scan(&contact); err != nil {
		return postgres.Unreachable(fmt.Errorf("reading who declared: %w", err))
	}
	lookup, err := s.declaredBy(contact, c.Name, c.BirthDate)
	if err != nil {
		return err
	}
	self, err := s.self(c.Name, c.BirthDate)
	if err != nil {
		return err
	}
	row, err := s.seal("persons", person, c)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		UPDATE persons SET lookup = $2, self_index = $3, sealed = $4 WHERE person_id = $1`, person, lookup, self, row); err != nil {
		if postgres.Constraint(err) == "persons_one_per_identity" {
			return possiblyRegistered()
		}
		return postgres.Unreachable(fmt.Errorf("correcting a name: %w", err))
	}
	return nil
}

// reachedAt is the phone that finds a person: theirs, or that of whoever declared them.
func (s *Service) reachedAt(ctx context.Context, tx pgx.Tx, person uuid.UUID, own string) (string, error) {
	if own != "" {
		return own, nil
	}
	var contact uuid.UUID
	if err := tx.QueryRow(ctx, `SELECT contact_id FROM persons WHERE person_id = $1`, person).Scan(&contact); err != nil {
		return "", postgres.Unreachable(fmt.Errorf("reading who declared: %w", err))
	}
	p, err := s.lockPerson(ctx, tx, contact)
	return p.Phone, err
}

// Flagged is somebody of whose name and birth date another was known already, with another phone.
type Flagged struct {
	Person    Person // open, for a desk that holds it against papers
	FlaggedAt time.Time
	// Others have the same name and birth date.
	Others []uuid.UUID
}

// ListFlagged shows whom the desk should look at, the oldest first, from after the given instant and person on, and notes
// in the audit that it did. most is at least 1 and at most 500.
func (s *Service) ListFlagged(ctx context.Context, after time.Time, afterPerson uuid.UUID, most int) ([]Flagged, error) {
	most = min(max(most, 1), 500)
	var list []Flagged
	err := postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		list = nil
		rows, err := tx.Query(ctx, `
			SELECT person_id, sealed, language, flagged_at,
				ARRAY(SELECT o.person_id FROM persons o WHERE o.self_index = p.self_index AND o.person_id <> p.person_id ORDER BY o.created_at)
			FROM persons p WHERE flagged_at IS NOT NULL AND (flagged_at, person_id) > ($1, $2)
			ORDER BY flagged_at, person_id LIMIT $3`, after, afterPerson, most)
		if err != nil {
			return postgres.Unreachable(fmt.Errorf("listing who was flagged: %w", err))
		}
		var f Flagged
		var row []byte
		if _, err := pgx.ForEachRow(rows, []any{&f.Person.ID, &row, &f.Person.Language, &f.FlaggedAt, &f.Others}, func() error {
			c, err := s.open("persons", f.Person.ID, row)
			f.Person.Name, f.Person.BirthDate, f.Person.Phone = c.Name, c.BirthDate, c.Phone
			list = append(list, f)
			f.Others = nil
			return err
		}); err != nil {
			return postgres.Unreachable(fmt.Errorf("listing who was flagged: %w", err))
		}
		return s.audit.Append(ctx, tx, audit.Entry{Act: "person.list_flagged", Details: map[string]any{"people": len(list)}})
	})
	return list, err
}

// Settle takes a person off the list of those to look at: the desk has seen that they are who they say. It refuses with
// not_found where nobody is flagged so.
func (s *Service) Settle(ctx context.Context, d Desk, person uuid.UUID) error {
	if err := d.check(); err != nil {
		return err
	}
	return postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE persons SET flagged_at = NULL WHERE person_id = $1 AND flagged_at IS NOT NULL`, person)
		if err != nil {
			return postgres.Unreachable(fmt.Errorf("settling a person: %w", err))
		}
		if tag.RowsAffected() == 0 {
			return fault.New(fault.NotFound, fault.CodeNotFound)
		}
		return s.audit.Append(ctx, tx, audit.Entry{Act: "person.settle", Person: person, Reason: d.Reason})
	})
}

// declaredBy finds a minor where phones don't find people: by who declared them.
func (s *Service) declaredBy(actor uuid.UUID, name string, born civil.Date) ([]byte, error) {
	return s.index.Hash("person", declared, folded(name), born.String(), actor.String())
}
