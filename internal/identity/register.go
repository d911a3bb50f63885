package identity

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/postgres"
)

// Register finds or makes somebody for whom a desk acts, by the same that finds them when they verify themself: later, at
// home, they are the same person. What is known of somebody stays as it is. another says that this is somebody else than
// whoever has the same name and birth date with another phone: they are flagged as if they had come by themself. It refuses
// with invalid_request, phone_unsupported, not_on_list, persons_per_phone, possibly_registered unless another is said, and
// scheme_not_offered where only an identity provider vouches for people.
func (s *Service) Register(ctx context.Context, d Desk, c Claims, language string, another bool) (p Person, known bool, err error) {
	if err := d.check(); err != nil {
		return Person{}, false, err
	}
	c.Scheme = s.rules.Scheme
	if s.rules.Binding == BoundByProvider || c.Scheme == SchemeOIDC {
		return Person{}, false, s.signInInstead()
	}
	if c, err = c.normalise(s.rules.Scheme, s.rules.Phones, s.today()); err != nil {
		return Person{}, false, err
	}
	x, err := s.registrant(ctx, c, language)
	if err != nil {
		return Person{}, false, err
	}
	self, err := s.self(c.Name, c.BirthDate)
	if err != nil {
		return Person{}, false, err
	}
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := lock(ctx, tx, x.lookup); err != nil {
			return err
		}
		p = Person{Name: c.Name, BirthDate: c.BirthDate, Phone: c.Phone, Language: language}
		err := tx.QueryRow(ctx, `SELECT person_id FROM persons WHERE scheme = $1 AND lookup = $2`, x.scheme, x.lookup).Scan(&p.ID)
		switch {
		case err == nil:
			known = true
		case !errors.Is(err, pgx.ErrNoRows):
			return postgres.Unreachable(fmt.Errorf("finding a person: %w", err))
		default:
			if x.bySaying && !another {
				said, err := saidBefore(ctx, tx, self, uuid.Nil)
				if err != nil {
					return err
				}
				if said {
					return possiblyRegistered()
				}
			}
			if p, err = s.make(ctx, tx, x, p, self); err != nil {
				return err
			}
		}
		return s.audit.Append(ctx, tx, audit.Entry{
			Act: "person.register", Person: p.ID, Reason: d.Reason, Details: map[string]any{"known": known, "another": another},
		})
	})
	if err != nil || !known {
		return p, known, err
	}
	p, err = s.Known(ctx, p.ID)
	return p, known, err
}

// registrant is whom normalised claims describe, if they may be known here.
func (s *Service) registrant(ctx context.Context, c Claims, language string) (x someone, err error) {
	x = someone{sealed: sealed{Name: c.Name, BirthDate: c.BirthDate, Phone: c.Phone}, scheme: c.Scheme, language: language}
	if c.Scheme == SchemePhone {
		x.bySaying = true
		if x.phoneIndex, err = s.index.Hash("phone", c.Phone); err != nil {
			return x, err
		}
		x.lookup, err = s.said(c.Name, c.BirthDate, c.Phone)
		return x, err
	}
	if x.lookup, err = s.numbered(c); err != nil {
		return x, err
	}
	// Whose papers a desk has seen needn't have the phone that the list has.
	listed, err := s.listed(ctx, c, nil)
	if err == nil && !listed {
		err = notOnList()
	}
	return x, err
}
