package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// ListRow is a row of a list of entitled people, as the file has it: texts, of which nothing was guessed.
type ListRow struct {
	Line int // where it stands in the file, for whoever has to correct it
	// Number is what the list calls the person, such as a staff number; zeros in front stay. Under SchemeNationalID it is the
	// national id, under SchemeOIDC what the provider calls the person. Empty: name and birth date are all there is.
	Number    string
	Name      string
	BirthDate string // YYYY-MM-DD; may be empty under SchemeNationalID
	Phone     string // needed where it finds the person, and where the list is the binding
	// Problems are what is wrong with the row as such, whatever its cells mean.
	Problems []string
}

// RowFault is what is wrong with a row. It never repeats what stands there.
type RowFault struct {
	Line    int
	Column  string // number, name, birth_date or phone; empty where it is the row
	Problem string
}

// ListEntry is a row of a list, hashed: what is kept of it.
type ListEntry struct {
	Entry      []byte // finds it
	SelfIndex  []byte // name and birth date
	PhoneIndex []byte // nil where it has no phone
	Lookup     []byte // what finds the person it is about, under the deployment's scheme
}

// listReader reads the rows of one file.
type listReader struct {
	*Service
	list string
	// digits is how many digits its numbers must have; 0 where they vary, nil where nobody said.
	digits *int
	today  civil.Date
}

// errDigitsUnsaid is that numbers of digits came, and nobody said how many they must have.
var errDigitsUnsaid = errors.New("nobody said how many digits the numbers have")

// read hashes a row, or says what is wrong with it.
func (s listReader) read(row ListRow) (entry ListEntry, faults []RowFault, err error) {
	wrong := func(column, problem string) { faults = append(faults, RowFault{row.Line, column, problem}) }
	for _, problem := range row.Problems {
		wrong("", problem)
	}
	if len(faults) > 0 {
		return ListEntry{}, faults, nil
	}
	c := Claims{Scheme: SchemeList}
	var problem string
	if c.Name, problem = readName(row.Name); problem != "" {
		wrong("name", problem)
	}
	born, bornErr := civil.Parse(strings.TrimSpace(row.BirthDate))
	switch s.rules.Scheme {
	case SchemeNationalID:
		c.Scheme = SchemeNationalID
		digits, said, err := ParseNationalID(row.Number)
		c.NationalID = digits
		switch e, refused := errors.AsType[*fault.Error](err); {
		case refused:
			wrong("number", e.Fields[0].Problem)
			born, bornErr = said.BirthDate, nil
		case row.BirthDate == "":
			born, bornErr = said.BirthDate, nil
		case bornErr == nil && born != said.BirthDate:
			wrong("birth_date", "isn't the one that the national id says")
		}
	default:
		if c.Number, problem, err = s.number(row.Number); err != nil {
			return ListEntry{}, nil, err
		}
		if problem != "" {
			wrong("number", problem)
		}
	}
	switch {
	case bornErr != nil:
		wrong("birth_date", "isn't a date such as 1967-03-09 that exists")
	case !believable(born, s.today) && len(faults) == 0:
		wrong("birth_date", unbelievable)
	}
	c.BirthDate = born
	switch {
	case strings.TrimSpace(row.Phone) != "":
		if c.Phone, err = listedPhone(row.Phone, s.rules.Phones); err != nil {
			wrong("phone", "isn't a mobile number that this service sends codes to")
		}
	case s.rules.Binding == BoundByList:
		wrong("phone", "is missing: codes go to the phone in the list only")
	case s.rules.Scheme == SchemePhone:
		wrong("phone", "is missing: without it, whoever knows the name and the birth date would be this person")
	}
	if len(faults) > 0 {
		return ListEntry{}, faults, nil
	}
	entry, err = s.hashed(s.list, c)
	return entry, nil, err
}

// number reads the number of a row. One that has fewer digits than were said has probably lost zeros in a spreadsheet, and
// would be another's, or nobody's.
func (s listReader) number(text string) (number, problem string, err error) {
	if s.rules.Scheme == SchemeOIDC { // the provider's, letter by letter
		number = strings.TrimSpace(text)
		if number == "" || utf8.RuneCountInString(number) > maxSubjectRunes {
			return "", "must be what the provider calls the person (its claim sub)", nil
		}
	} else if number, problem = readNumber(text); problem != "" {
		return "", problem, nil
	}
	if number == "" {
		if s.rules.Binding == BoundByProvider || s.digits != nil && *s.digits > 0 {
			return "", "is missing", nil
		}
		return "", "", nil
	}
	if !digitsAlone(number) {
		if s.digits != nil && *s.digits > 0 {
			return "", fmt.Sprintf("must be %d digits", *s.digits), nil
		}
		return number, "", nil
	}
	switch n := len(number); {
	case s.digits == nil:
		return "", "", errDigitsUnsaid
	case *s.digits > 0 && n < *s.digits:
		return "", fmt.Sprintf("has %d digits and must have %d: a spreadsheet drops zeros in front of numbers", n, *s.digits), nil
	case *s.digits > 0 && n > *s.digits:
		return "", fmt.Sprintf("has %d digits and must have %d", n, *s.digits), nil
	}
	return number, "", nil
}

// maxSubjectRunes is how long OpenID Connect lets a provider call somebody.
const maxSubjectRunes = 255

// hashed is what is kept of a row.
func (s *Service) hashed(list string, c Claims) (e ListEntry, err error) {
	if e.Entry, err = s.entry(list, c); err != nil {
		return ListEntry{}, err
	}
	if e.SelfIndex, err = s.self(c.Name, c.BirthDate); err != nil {
		return ListEntry{}, err
	}
	if c.Phone != "" {
		if e.PhoneIndex, err = s.index.Hash("phone", c.Phone); err != nil {
			return ListEntry{}, err
		}
	}
	switch s.rules.Scheme {
	case SchemePhone:
		e.Lookup, err = s.said(c.Name, c.BirthDate, c.Phone)
	case SchemeOIDC:
		e.Lookup, err = s.index.Hash("person", SchemeOIDC, s.rules.Provider.Issuer, c.Number)
	default:
		e.Lookup, err = s.numbered(c)
	}
	return e, err
}

// entryParts are what tells the entries of a list apart: their number, or name and birth date where there is none.
func entryParts(c Claims) []string {
	if c.Number != "" {
		return []string{"number", c.Number}
	}
	return []string{"self", folded(c.Name), civil.Text(c.BirthDate)}
}

// entry is the keyed hash that finds an entry of a list.
func (s *Service) entry(list string, c Claims) ([]byte, error) {
	switch {
	case c.Scheme == SchemeNationalID:
		return s.index.Hash("entry", list, SchemeNationalID, c.NationalID)
	case s.rules.Scheme == SchemePhone && c.Number == "":
		// Namesakes born on one day exist; their phones tell them apart.
		return s.index.Hash("entry", append(append([]string{list}, entryParts(c)...), c.Phone)...)
	}
	return s.index.Hash("entry", append([]string{list}, entryParts(c)...)...)
}

// listed tells whether the list has the entry that these claims name, with this phone. A national id is enough to name
// one; a number must come with the name and birth date that the list has.
func (s *Service) listed(ctx context.Context, c Claims, phoneIndex []byte) (found bool, err error) {
	entry, err := s.entry(s.rules.List, c)
	if err != nil {
		return false, err
	}
	self, err := s.self(c.Name, c.BirthDate)
	if err != nil {
		return false, err
	}
	if err := s.pool.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM list_entries WHERE list = $1 AND entry = $2 AND ended_at IS NULL
			AND ($3::bytea IS NULL OR phone_index = $3) AND ($4 OR self_index = $5))`,
		s.rules.List, entry, phoneIndex, c.Scheme == SchemeNationalID, self).Scan(&found); err != nil {
		return false, postgres.Unreachable(fmt.Errorf("looking into a list: %w", err))
	}
	return found, nil
}
