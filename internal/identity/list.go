package identity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// maxListRows bounds what one import holds in memory: about 150 bytes a row.
const maxListRows = 2_000_000

// ListRow is a row of a list of entitled people, as the file has it: texts, of which nothing was guessed.
type ListRow struct {
	Line int // where it stands in the file, for whoever has to correct it
	// Number is what the list calls the person, such as a staff number; zeros in front stay. Under SchemeNationalID it is the
	// national id. Empty: name and birth date are all there is.
	Number    string
	Name      string
	BirthDate string // YYYY-MM-DD; may be empty under SchemeNationalID
	Phone     string // needed where the list is the binding
}

// RowFault is what is wrong with a row. It never repeats what stands there.
type RowFault struct {
	Line    int
	Column  string // number, name, birth_date or phone; empty where it is the row
	Problem string
}

// ListReport says what an import did, or would do.
type ListReport struct {
	Rows   int
	Faults []RowFault // in the order of lines; with one, nothing is imported
	// Added, Changed, Kept and Removed count entries against the list as it was. Whoever was found by a removed entry stays
	// a person, and can't verify by it any more.
	Added, Changed, Kept, Removed int
	// Checksum is the same for the same people in any order and spelling, in this deployment: what somebody signs off in a dry
	// run and compares with what was applied.
	Checksum string
	Applied  bool
}

// ListEntry is a row of a list, hashed: what is kept of it.
type ListEntry struct {
	Entry      []byte // finds it
	SelfIndex  []byte // name and birth date
	PhoneIndex []byte // nil where it has no phone
}

// ImportList makes a list consist of these rows: all of them, or with a single fault none. With dryRun nothing is changed
// and the report says what would be. It refuses with invalid_request a list without a name or with too many rows.
func (s *Service) ImportList(ctx context.Context, list string, rows []ListRow, dryRun bool) (ListReport, error) {
	if list == "" || len(list) > 64 || len(rows) > maxListRows {
		return ListReport{}, fault.New(fault.Invalid, fault.CodeInvalidRequest).
			Field("/list", fmt.Sprintf("must have a name of up to 64 bytes, and at most %d rows", maxListRows))
	}
	entries, faults, err := s.readList(list, rows)
	if err != nil {
		return ListReport{}, err
	}
	report := ListReport{Rows: len(rows), Faults: faults}
	if len(faults) > 0 {
		return report, nil
	}
	report.Checksum = checksum(entries)
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := replaceList(ctx, tx, list, entries, &report); err != nil {
			return postgres.Unreachable(fmt.Errorf("importing a list: %w", err))
		}
		if dryRun {
			return errDryRun
		}
		report.Applied = true
		return nil
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return report, err
}

// errDryRun takes a transaction back that was only to be looked at.
var errDryRun = errors.New("dry run")

// readList hashes every row, or says what is wrong with it.
func (s *Service) readList(list string, rows []ListRow) (entries []ListEntry, faults []RowFault, err error) {
	lines := make(map[string]int, len(rows))
	today := s.today()
	for _, row := range rows {
		entry, found, err := s.readRow(list, row, today)
		if err != nil {
			return nil, nil, err
		}
		if len(found) == 0 {
			if first, twice := lines[string(entry.Entry)]; twice {
				found = []RowFault{{Line: row.Line, Problem: fmt.Sprintf("is the same entry as line %d", first)}}
			} else {
				lines[string(entry.Entry)] = row.Line
				entries = append(entries, entry)
			}
		}
		faults = append(faults, found...)
	}
	slices.SortStableFunc(faults, func(a, b RowFault) int { return a.Line - b.Line })
	return entries, faults, nil
}

func (s *Service) readRow(list string, row ListRow, today civil.Date) (entry ListEntry, faults []RowFault, err error) {
	wrong := func(column, problem string) { faults = append(faults, RowFault{row.Line, column, problem}) }
	c := Claims{Scheme: SchemeList}
	var problem string
	if c.Name, problem = readName(row.Name); problem != "" {
		wrong("name", problem)
	}
	born, bornErr := civil.Parse(strings.TrimSpace(row.BirthDate))
	if s.rules.Scheme == SchemeNationalID {
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
	} else if c.Number, problem = readNumber(row.Number); problem != "" {
		wrong("number", problem)
	}
	switch {
	case bornErr != nil:
		wrong("birth_date", "isn't a date such as 1967-03-09 that exists")
	case !believable(born, today) && len(faults) == 0:
		wrong("birth_date", unbelievable)
	}
	c.BirthDate = born
	switch {
	case strings.TrimSpace(row.Phone) != "":
		if c.Phone, err = NormalisePhone(row.Phone, s.rules.Phones); err != nil {
			wrong("phone", "isn't a mobile number that this service sends codes to")
		}
	case s.rules.Binding == BoundByList:
		wrong("phone", "is missing: codes go to the phone in the list only")
	}
	if len(faults) > 0 {
		return ListEntry{}, faults, nil
	}
	if entry.Entry, err = s.entry(list, c); err != nil {
		return ListEntry{}, nil, err
	}
	if entry.SelfIndex, err = s.self(c.Name, c.BirthDate); err != nil {
		return ListEntry{}, nil, err
	}
	if c.Phone != "" {
		entry.PhoneIndex, err = s.index.Hash("phone", c.Phone)
	}
	return entry, nil, err
}

// entryParts are what tells the entries of a list apart: their number, or name and birth date where there is none.
func entryParts(c Claims) []string {
	if c.Number != "" {
		return []string{"number", c.Number}
	}
	return []string{"self", folded(c.Name), c.BirthDate.String()}
}

// entry is the keyed hash that finds an entry of a list.
func (s *Service) entry(list string, c Claims) ([]byte, error) {
	if c.Scheme == SchemeNationalID {
		return s.index.Hash("entry", list, SchemeNationalID, c.NationalID)
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

// checksum is over keyed hashes, so that nobody can try names against it.
func checksum(entries []ListEntry) string {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b ListEntry) int { return bytes.Compare(a.Entry, b.Entry) })
	sum := sha256.New()
	for _, e := range sorted {
		_, _ = sum.Write(slices.Concat(e.Entry, e.SelfIndex, e.PhoneIndex)) // never fails
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}

// replaceList writes what differs and counts it.
func replaceList(ctx context.Context, tx pgx.Tx, list string, entries []ListEntry, r *ListReport) error {
	// Two imports of one list take turns.
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('list ' || $1, 0))`, list); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		CREATE TEMPORARY TABLE incoming (entry bytea PRIMARY KEY, self_index bytea NOT NULL, phone_index bytea) ON COMMIT DROP`); err != nil {
		return err
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"incoming"}, []string{"entry", "self_index", "phone_index"},
		pgx.CopyFromSlice(len(entries), func(i int) ([]any, error) {
			return []any{entries[i].Entry, entries[i].SelfIndex, entries[i].PhoneIndex}, nil
		})); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE e.entry IS NULL OR e.ended_at IS NOT NULL),
			count(*) FILTER (WHERE e.ended_at IS NULL AND e.entry IS NOT NULL
				AND (e.self_index, e.phone_index) IS DISTINCT FROM (i.self_index, i.phone_index)),
			(SELECT count(*) FROM list_entries o WHERE o.list = $1 AND o.ended_at IS NULL
				AND NOT EXISTS (SELECT FROM incoming i WHERE i.entry = o.entry))
		FROM incoming i LEFT JOIN list_entries e ON e.list = $1 AND e.entry = i.entry`, list).
		Scan(&r.Added, &r.Changed, &r.Removed); err != nil {
		return err
	}
	r.Kept = len(entries) - r.Added - r.Changed
	if _, err := tx.Exec(ctx, `
		UPDATE list_entries o SET ended_at = now() WHERE o.list = $1 AND o.ended_at IS NULL
			AND NOT EXISTS (SELECT FROM incoming i WHERE i.entry = o.entry)`, list); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO list_entries AS o (list, entry, self_index, phone_index)
		SELECT $1, entry, self_index, phone_index FROM incoming
		ON CONFLICT (list, entry) DO UPDATE
		SET self_index = excluded.self_index, phone_index = excluded.phone_index, imported_at = now(), ended_at = NULL
		WHERE o.ended_at IS NOT NULL
			OR (o.self_index, o.phone_index) IS DISTINCT FROM (excluded.self_index, excluded.phone_index)`, list)
	return err
}
