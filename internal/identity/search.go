package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nyaruka/phonenumbers"

	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// Search is what somebody says of whom they look for: name and birth date, a phone, or all of them; or the number by which
// the deployment's scheme finds people. What is kept of people can't be read by the database, only found: so each is
// found by the whole of what is said, in any spelling that the person themself might have used.
type Search struct {
	Name       string
	BirthDate  civil.Date
	Phone      string // as somebody types it
	NationalID string // with SchemeNationalID
	Number     string // with SchemeList
}

// maxFound bounds the people of one answer. There are fewer of one name and birth date, or of one phone.
const maxFound = 100

// Find returns whom a search describes, the oldest first, with what is known of them. Whoever asks notes it in the audit
// before anything is shown. It refuses with invalid_request where too little is said, and phone_unsupported.
func (s *Service) Find(ctx context.Context, q Search) ([]Person, error) {
	by, key, phone, err := s.searchKey(q)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `
		SELECT person_id FROM persons WHERE `+by+` = $1 AND forgotten_at IS NULL ORDER BY created_at, person_id LIMIT $2`, key, maxFound)
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("looking for people: %w", err))
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("looking for people: %w", err))
	}
	known, err := s.People(ctx, ids)
	if err != nil {
		return nil, err
	}
	found := make([]Person, 0, len(ids))
	for _, id := range ids {
		if p, ok := known[id]; ok && (phone == "" || p.Phone == phone) {
			found = append(found, p)
		}
	}
	return found, nil
}

// searchKey is the column that finds people, what is looked for in it, and the phone that those who are found must have.
func (s *Service) searchKey(q Search) (column string, key []byte, phone string, err error) {
	invalid := fault.New(fault.Invalid, fault.CodeInvalidRequest)
	if q.Phone != "" {
		if phone, err = NormalisePhone(q.Phone, s.rules.Phones); err != nil {
			return "", nil, "", err
		}
	}
	switch {
	case q.NationalID != "" && s.rules.Scheme == SchemeNationalID:
		digits, _, err := ParseNationalID(q.NationalID)
		if err != nil {
			return "", nil, "", err
		}
		key, err = s.numbered(Claims{Scheme: SchemeNationalID, NationalID: digits})
		return "scheme = '" + SchemeNationalID + "' AND lookup", key, phone, err
	case q.Number != "" && s.rules.Scheme == SchemeList:
		number, problem := readNumber(q.Number)
		if problem != "" {
			return "", nil, "", invalid.Field("/number", problem)
		}
		key, err = s.numbered(Claims{Scheme: SchemeList, Number: number})
		return "scheme = '" + SchemeList + "' AND lookup", key, phone, err
	case q.NationalID != "" || q.Number != "":
		return "", nil, "", invalid.Field("/person", "has a number, and this deployment finds people by "+s.rules.Scheme)
	case q.Name != "" && !q.BirthDate.IsZero():
		name, problem := readName(q.Name)
		if problem != "" {
			return "", nil, "", invalid.Field("/name", problem)
		}
		key, err = s.self(name, q.BirthDate)
		return "self_index", key, phone, err
	case q.Name == "" && q.BirthDate.IsZero() && phone != "":
		key, err = s.index.Hash("phone", phone)
		return "phone_index", key, "", err
	}
	return "", nil, "", invalid.Field("/person", "needs a name with a birth date, a phone, or the number that people are found by")
}

// People returns those of the ids who are known still; whom a campaign's end made forgotten is left out.
func (s *Service) People(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Person, error) {
	people := make(map[uuid.UUID]Person, len(ids))
	if len(ids) == 0 {
		return people, nil
	}
	rows, err := s.pool.Query(ctx, `
		SELECT p.person_id, p.sealed, p.language, p.contact_id, c.sealed
		FROM persons p LEFT JOIN persons c ON c.person_id = p.contact_id
		WHERE p.person_id = ANY($1) AND p.forgotten_at IS NULL`, postgres.UUIDs(ids))
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading people: %w", err))
	}
	var p Person
	var row, contactRow []byte
	var contact uuid.NullUUID
	if _, err := pgx.ForEachRow(rows, []any{&p.ID, &row, &p.Language, &contact, &contactRow}, func() error {
		c, err := s.open("persons", p.ID, row)
		if err != nil {
			return err
		}
		p.Name, p.BirthDate, p.Phone = c.Name, c.BirthDate, c.Phone
		if p.Phone == "" && contactRow != nil {
			if c, err = s.open("persons", contact.UUID, contactRow); err != nil {
				return err
			}
			p.Phone = c.Phone
		}
		people[p.ID] = p
		contactRow = nil
		return nil
	}); err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading people: %w", err))
	}
	return people, nil
}

// Known returns somebody by their id, as a desk looks at them, or fault.CodePersonNotFound.
func (s *Service) Known(ctx context.Context, id uuid.UUID) (Person, error) {
	p, err := s.Person(ctx, id)
	if refused, ok := errors.AsType[*fault.Error](err); ok && refused.Kind == fault.Unauthenticated {
		return Person{}, fault.New(fault.NotFound, fault.CodePersonNotFound)
	}
	return p, err
}

// MaskPhone shows the last four digits of a number, by which its owner recognises it.
func MaskPhone(phone string) string {
	if len(phone) < 8 {
		return ""
	}
	return strings.Repeat("*", len(phone)-5) + phone[len(phone)-4:]
}

// NationalPhone writes a number as people dial it: +821012345678 is 010-1234-5678 in Korea, and as it is kept elsewhere.
func (s *Service) NationalPhone(phone string) string {
	n, err := phonenumbers.Parse(phone, s.rules.Phones.Region)
	if err != nil || phonenumbers.GetRegionCodeForNumber(n) != s.rules.Phones.Region {
		return phone
	}
	return phonenumbers.Format(n, phonenumbers.NATIONAL)
}
