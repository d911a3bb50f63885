package audit

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/postgres"
)

// Query says which entries to list.
type Query struct {
	Before int64     // entries with lower ids; zero begins with the newest
	Actor  string    // empty for anybody's
	Act    string    // empty for all
	Person uuid.UUID // the zero id for all
	Most   int       // how many; at least one
}

// Recorded is an entry as it was written.
type Recorded struct {
	row
	// Number is its place in the chain; zero while it has none.
	Number int64
}

// List returns entries, newest first.
func (l *Log) List(ctx context.Context, q Query) ([]Recorded, error) {
	person := uuid.NullUUID{UUID: q.Person, Valid: q.Person != uuid.Nil}
	rows, err := l.pool.Query(ctx, `
		SELECT `+entryColumns+`, coalesce(c.number, 0)
		FROM audit_entries e LEFT JOIN audit_chain c USING (entry_id)
		WHERE ($1 = 0 OR e.entry_id < $1) AND ($2 = '' OR e.actor = $2) AND ($3 = '' OR e.act = $3)
		AND ($4::uuid IS NULL OR e.person_id = $4)
		ORDER BY e.entry_id DESC LIMIT $5`, q.Before, q.Actor, q.Act, person, max(q.Most, 1))
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("listing the audit: %w", err))
	}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (e Recorded, err error) {
		err = r.Scan(append(e.fields(), &e.Number)...)
		return e, err
	})
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("listing the audit: %w", err))
	}
	return list, nil
}
