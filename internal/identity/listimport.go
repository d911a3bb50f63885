package identity

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/fault"
	"jari/internal/postgres"
)

const (
	// MaxListRows bounds one import.
	MaxListRows = 1_000_000
	// MaxRowFaults bounds how many faults are named; the others are counted.
	MaxRowFaults = 1000
	// maxListNameBytes bounds the name of a list.
	maxListNameBytes = 64
	// maxNumberDigits bounds what NumberDigits may say.
	maxNumberDigits = maxNumberRunes
)

// ListFile is a file of entitled people to be imported.
type ListFile struct {
	List string
	// NumberDigits is how many digits each number has; 0 where they vary. It has to be said where numbers of digits come.
	NumberDigits *int
	By           string // who imports it, for the rule of the second person
	// Rows come one after the other, and an error where the file can't be read any further.
	Rows iter.Seq2[ListRow, error]
}

// ListFaults are what is wrong with a file. With one, nothing of it is kept.
type ListFaults struct {
	Rows   int // how many were read
	Faults []RowFault
	Count  int // how many there are, also of those that aren't named
}

// ImportState is what became of an import.
type ImportState string

// The states of an import: waiting → signed_off | withdrawn.
const (
	ImportWaiting   ImportState = "waiting"
	ImportSignedOff ImportState = "signed_off"
	ImportWithdrawn ImportState = "withdrawn"
)

// ListImport is a file that was read without a fault, and what signing it off does, or did.
type ListImport struct {
	ID      uuid.UUID
	List    string
	State   ImportState
	Removal bool // the list goes, with everybody on it
	// Entries are the list's when it is signed off. Added, Changed, Kept and Removed count against the list as it was.
	Entries, Added, Changed, Kept, Removed int
	// Checksum is the same for the same people in any order and spelling, in this deployment: it ties a sign-off to what was
	// looked at.
	Checksum     string
	NumberDigits int
	ImportedBy   string
	ImportedAt   time.Time // real time
	SettledBy    *string
	SettledAt    *time.Time // real time
	basedOn      int64
}

// StageList reads a file, hashes it row by row and keeps it for its sign-off: it admits nobody before that. It refuses with
// invalid_request, and with rows_refused (and ListFaults) where a single row is wrong, and keeps nothing then.
func (s *Service) StageList(ctx context.Context, f ListFile) (staged ListImport, err error) {
	invalid := fault.New(fault.Invalid, fault.CodeInvalidRequest)
	switch {
	case f.List == "" || len(f.List) > maxListNameBytes:
		return staged, invalid.Field("/list", fmt.Sprintf("must be a name of up to %d bytes", maxListNameBytes))
	case f.NumberDigits != nil && (*f.NumberDigits < 0 || *f.NumberDigits > maxNumberDigits):
		return staged, invalid.Field("/number_digits", fmt.Sprintf("must be 0 to %d", maxNumberDigits))
	}
	staged = ListImport{ID: uuid.New(), List: f.List, State: ImportWaiting, ImportedBy: f.By}
	if f.NumberDigits != nil {
		staged.NumberDigits = *f.NumberDigits
	}
	// Everything is read before anything is written: a file with a fault costs Postgres nothing.
	list, err := s.hashList(ctx, f)
	switch {
	case errors.Is(err, errDigitsUnsaid):
		return staged, invalid.Field("/number_digits", "must say how many digits the numbers have, or 0 where they vary: "+
			"a spreadsheet may have dropped zeros in front, which can't be seen otherwise")
	case err != nil:
		return staged, err
	case list.wrong.Count > 0:
		return staged, fault.New(fault.Conflict, fault.CodeRowsRefused).With(list.wrong)
	case list.wrong.Rows == 0:
		return staged, invalid.Field("", "the file has no rows; to end a list, remove it")
	}
	staged.Entries, staged.Checksum = list.wrong.Rows, list.checksum()
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.insertImport(ctx, tx, &staged); err != nil {
			return err
		}
		if err := list.copy(ctx, tx, staged.ID); err != nil {
			return err
		}
		return s.finishImport(ctx, tx, &staged)
	})
	return staged, err
}

// RemoveList asks for a list to be removed, with everybody on it. Like an import it waits for its sign-off. It refuses with
// list_not_found.
func (s *Service) RemoveList(ctx context.Context, list, by string) (staged ListImport, err error) {
	var nobody stagedList
	staged = ListImport{
		ID: uuid.New(), List: list, State: ImportWaiting, Removal: true, ImportedBy: by, Checksum: nobody.checksum(),
	}
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.insertImport(ctx, tx, &staged); err != nil {
			return err
		}
		if staged.basedOn == 0 {
			return fault.New(fault.NotFound, fault.CodeListNotFound)
		}
		return s.finishImport(ctx, tx, &staged)
	})
	return staged, err
}

func (s *Service) insertImport(ctx context.Context, tx pgx.Tx, i *ListImport) error {
	kind := "import"
	if i.Removal {
		kind = "removal"
	}
	if err := tx.QueryRow(ctx, `
		INSERT INTO list_imports (import_id, list, kind, imported_by, number_digits, based_on)
		VALUES ($1, $2, $3, $4, $5, coalesce((SELECT changed FROM lists WHERE list = $2), 0)) RETURNING imported_at, based_on`,
		i.ID, i.List, kind, i.ImportedBy, i.NumberDigits).Scan(&i.ImportedAt, &i.basedOn); err != nil {
		return postgres.Unreachable(fmt.Errorf("noting an import: %w", err))
	}
	return nil
}

// finishImport counts what signing it off will do.
func (s *Service) finishImport(ctx context.Context, tx pgx.Tx, i *ListImport) error {
	if err := countImport(ctx, tx, i); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		UPDATE list_imports SET entries = $2, added = $3, changed = $4, kept = $5, removed = $6, checksum = $7 WHERE import_id = $1`,
		i.ID, i.Entries, i.Added, i.Changed, i.Kept, i.Removed, i.Checksum); err != nil {
		return postgres.Unreachable(fmt.Errorf("noting an import: %w", err))
	}
	act := "list.import"
	if i.Removal {
		act = "list.ask_removal"
	}
	return s.audit.Append(ctx, tx, i.entry(act))
}

// entry is an act about an import, in numbers.
func (i ListImport) entry(act string) audit.Entry {
	return audit.Entry{Act: act, Subject: "list/" + i.List, Details: map[string]any{
		"import": i.ID, "entries": i.Entries, "added": i.Added, "changed": i.Changed, "kept": i.Kept, "removed": i.Removed,
		"checksum": i.Checksum, "imported_by": i.ImportedBy,
	}}
}

func countImport(ctx context.Context, tx pgx.Tx, i *ListImport) error {
	if err := tx.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE e.entry IS NULL OR e.ended_at IS NOT NULL),
			count(*) FILTER (WHERE e.ended_at IS NULL AND e.entry IS NOT NULL
				AND (e.self_index, e.phone_index, e.lookup) IS DISTINCT FROM (i.self_index, i.phone_index, i.lookup)),
			(SELECT count(*) FROM list_entries o WHERE o.list = $2 AND o.ended_at IS NULL
				AND NOT EXISTS (SELECT FROM list_staged i WHERE i.import_id = $1 AND i.entry = o.entry))
		FROM list_staged i LEFT JOIN list_entries e ON e.list = $2 AND e.entry = i.entry WHERE i.import_id = $1`, i.ID, i.List).
		Scan(&i.Added, &i.Changed, &i.Removed); err != nil {
		return postgres.Unreachable(fmt.Errorf("counting an import: %w", err))
	}
	i.Kept = i.Entries - i.Added - i.Changed
	return nil
}
