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

// importColumns are those that scanImport reads.
const importColumns = `import_id, list, state, kind = 'removal', entries, added, changed, kept, removed, checksum, number_digits,
	imported_by, imported_at, settled_by, settled_at, based_on`

func scanImport(row pgx.Row) (i ListImport, err error) {
	err = row.Scan(&i.ID, &i.List, &i.State, &i.Removal, &i.Entries, &i.Added, &i.Changed, &i.Kept, &i.Removed, &i.Checksum,
		&i.NumberDigits, &i.ImportedBy, &i.ImportedAt, &i.SettledBy, &i.SettledAt, &i.basedOn)
	return i, err
}

// List is a list that was signed off.
type List struct {
	Name         string
	Entries      int
	Checksum     string
	NumberDigits int
	SignedOffAt  time.Time // real time
}

// importsShown is how many imports of a list are shown, the newest first.
const importsShown = 50

// Lists returns all lists that were signed off, by name, and the imports that wait.
func (s *Service) Lists(ctx context.Context) (lists []List, waiting []ListImport, err error) {
	rows, err := s.pool.Query(ctx, `SELECT list, entries, checksum, number_digits, signed_off_at FROM lists ORDER BY list`)
	if err == nil {
		lists, err = pgx.CollectRows(rows, pgx.RowToStructByPos[List])
	}
	if err != nil {
		return nil, nil, postgres.Unreachable(fmt.Errorf("reading the lists: %w", err))
	}
	waiting, err = s.imports(ctx, `state = 'waiting' ORDER BY imported_at DESC LIMIT $1`, importsShown)
	return lists, waiting, err
}

// Imports returns the newest imports of a list.
func (s *Service) Imports(ctx context.Context, list string) ([]ListImport, error) {
	return s.imports(ctx, `list = $2 ORDER BY imported_at DESC LIMIT $1`, importsShown, list)
}

func (s *Service) imports(ctx context.Context, which string, args ...any) ([]ListImport, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+importColumns+` FROM list_imports WHERE `+which, args...)
	var all []ListImport
	if err == nil {
		all, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (ListImport, error) { return scanImport(r) })
	}
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading imports: %w", err))
	}
	return all, nil
}

// Import returns one import of a list, or fault.CodeImportNotFound.
func (s *Service) Import(ctx context.Context, list, id string) (ListImport, error) {
	return readImport(ctx, s.pool, list, id, "")
}

// rowReader is a pool or a transaction.
type rowReader interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func readImport(ctx context.Context, from rowReader, list, id, lock string) (ListImport, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return ListImport{}, fault.New(fault.NotFound, fault.CodeImportNotFound)
	}
	i, err := scanImport(from.QueryRow(ctx, `SELECT `+importColumns+` FROM list_imports WHERE list = $1 AND import_id = $2 `+lock, list, parsed))
	if errors.Is(err, pgx.ErrNoRows) {
		return ListImport{}, fault.New(fault.NotFound, fault.CodeImportNotFound)
	}
	if err != nil {
		return ListImport{}, postgres.Unreachable(fmt.Errorf("reading an import: %w", err))
	}
	return i, nil
}

// SignOff makes a list what an import says: whoever is on it counts from the next second on. checksum is what whoever signs has
// compared. The caller has made sure that by is somebody else than who imported it. Signing off again gives the same answer. It
// refuses with import_not_found, import_over, checksum_differs, and changed_meanwhile where the list has changed since the import
// was counted.
func (s *Service) SignOff(ctx context.Context, list, id, checksum, by string) (i ListImport, err error) {
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		// Two changes of one list take turns.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('list ' || $1, 0))`, list); err != nil {
			return postgres.Unreachable(fmt.Errorf("taking a turn: %w", err))
		}
		if i, err = readImport(ctx, tx, list, id, "FOR UPDATE"); err != nil {
			return err
		}
		switch {
		case i.Checksum != checksum:
			return fault.New(fault.Conflict, fault.CodeChecksumDiffers)
		case i.State == ImportSignedOff && i.SettledBy != nil && *i.SettledBy == by:
			return nil // once more, after a lost answer
		case i.State != ImportWaiting:
			return fault.New(fault.Gone, fault.CodeImportOver)
		}
		var changed int64
		if err := tx.QueryRow(ctx, `SELECT coalesce((SELECT changed FROM lists WHERE list = $1), 0)`, list).Scan(&changed); err != nil {
			return postgres.Unreachable(fmt.Errorf("reading a list: %w", err))
		}
		if changed != i.basedOn {
			return fault.New(fault.Conflict, fault.CodeChangedMeanwhile)
		}
		if err := applyImport(ctx, tx, i); err != nil {
			return postgres.Unreachable(fmt.Errorf("signing a list off: %w", err))
		}
		i.State, i.SettledBy = ImportSignedOff, &by
		if err := s.audit.Append(ctx, tx, i.entry("list.sign_off")); err != nil {
			return err
		}
		if err := settle(ctx, tx, &i); err != nil {
			return err
		}
		return raise(ctx, tx, i)
	})
	return i, err
}

// Withdraw takes back an import that waits. It refuses with import_not_found and import_over.
func (s *Service) Withdraw(ctx context.Context, list, id, by string) (i ListImport, err error) {
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if i, err = readImport(ctx, tx, list, id, "FOR UPDATE"); err != nil {
			return err
		}
		switch i.State {
		case ImportWithdrawn:
			return nil
		case ImportSignedOff:
			return fault.New(fault.Gone, fault.CodeImportOver)
		case ImportWaiting:
		}
		i.State, i.SettledBy = ImportWithdrawn, &by
		if err := settle(ctx, tx, &i); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, i.entry("list.withdraw"))
	})
	return i, err
}

// settle ends an import; what was staged goes.
func settle(ctx context.Context, tx pgx.Tx, i *ListImport) error {
	if err := tx.QueryRow(ctx, `
		WITH gone AS (DELETE FROM list_staged WHERE import_id = $1)
		UPDATE list_imports SET state = $2, settled_by = $3, settled_at = now() WHERE import_id = $1 RETURNING settled_at`,
		i.ID, i.State, i.SettledBy).Scan(&i.SettledAt); err != nil {
		return postgres.Unreachable(fmt.Errorf("ending an import: %w", err))
	}
	return nil
}

// applyImport writes what differs. Entries that go are deleted: nothing is kept of who isn't entitled any more.
func applyImport(ctx context.Context, tx pgx.Tx, i ListImport) error {
	if err := postgres.RoomToWork(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		DELETE FROM list_entries o WHERE o.list = $2
			AND NOT EXISTS (SELECT FROM list_staged i WHERE i.import_id = $1 AND i.entry = o.entry)`, i.ID, i.List); err != nil {
		return err
	}
	// Who an entry was before their phone changed stays on it only while it says the same of them.
	if _, err := tx.Exec(ctx, `
		UPDATE list_entries o
		SET self_index = i.self_index, phone_index = i.phone_index, lookup = i.lookup, imported_at = now(), ended_at = NULL,
			person_id = CASE WHEN o.self_index = i.self_index AND o.lookup = i.lookup THEN o.person_id END
		FROM list_staged i WHERE i.import_id = $1 AND o.list = $2 AND o.entry = i.entry
			AND (o.ended_at IS NOT NULL OR (o.self_index, o.phone_index, o.lookup) IS DISTINCT FROM (i.self_index, i.phone_index, i.lookup))`,
		i.ID, i.List); err != nil {
		return err
	}
	// Changes of a list take turns, so nobody adds one of these meanwhile. In the order of the key, which grows at its end then.
	_, err := tx.Exec(ctx, `
		INSERT INTO list_entries (list, entry, self_index, phone_index, lookup)
		SELECT $2, entry, self_index, phone_index, lookup FROM list_staged i
		WHERE import_id = $1 AND NOT EXISTS (SELECT FROM list_entries o WHERE o.list = $2 AND o.entry = i.entry) ORDER BY entry`,
		i.ID, i.List)
	return err
}

// raise gives a list its new revision. It comes last, because until the commit nobody else can change a list.
func raise(ctx context.Context, tx pgx.Tx, i ListImport) error {
	var revision int64
	if err := tx.QueryRow(ctx, `UPDATE list_revision SET revision = revision + 1 RETURNING revision`).Scan(&revision); err != nil {
		return postgres.Unreachable(fmt.Errorf("raising the revision of lists: %w", err))
	}
	// A list that goes leaves its row, with nobody on it, so that sessions from before learn of it.
	if _, err := tx.Exec(ctx, `
		INSERT INTO lists AS l (list, changed, entries, checksum, number_digits) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (list) DO UPDATE SET changed = excluded.changed, entries = excluded.entries, checksum = excluded.checksum,
			number_digits = excluded.number_digits, signed_off_at = now()`,
		i.List, revision, i.Entries, i.Checksum, i.NumberDigits); err != nil {
		return postgres.Unreachable(fmt.Errorf("writing a list: %w", err))
	}
	return nil
}
