package audit

import (
	"context"
	"fmt"
	"strconv"

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
	// Only what is asked for is in the statement, so that the index of the one condition that there mostly is serves it: with
	// all of them in it, unless empty, it would read the whole history for the few entries of a rare act.
	where, arguments := "", []any{max(q.Most, 1)}
	condition := func(asked bool, text string, value any) {
		if asked {
			arguments = append(arguments, value)
			where += " AND " + text + " $" + strconv.Itoa(len(arguments))
		}
	}
	condition(q.Before != 0, "e.entry_id <", q.Before)
	condition(q.Actor != "", "e.actor =", q.Actor)
	condition(q.Act != "", "e.act =", q.Act)
	condition(q.Person != uuid.Nil, "e.person_id =", q.Person)
	rows, err := l.pool.Query(ctx, `
		SELECT `+entryColumns+`, coalesce(c.number, 0)
		FROM audit_entries e LEFT JOIN audit_chain c USING (entry_id)
		WHERE true`+where+` ORDER BY e.entry_id DESC LIMIT $1`, arguments...)
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
