package audit

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"jari/internal/postgres"
)

// Verified says what holding the chain against the entries found.
type Verified struct {
	// Entries are those that are chained and were right, up to the first that isn't.
	Entries int64
	Head    Head
	// Waiting are entries that will get a place within a second, if an instance runs.
	Waiting int64
	// Fault is the first thing that is wrong; nil if nothing is.
	Fault *Fault
}

// Fault is something that an untouched audit doesn't have.
type Fault struct { //nolint:errname // named after what it is, and seldom used as an error
	Number int64 // the place in the chain; zero for an entry without one
	Entry  int64 // the entry's id; zero if there is none
	What   string
}

// Error names the row.
func (f *Fault) Error() string {
	switch {
	case f.Number == 0:
		return fmt.Sprintf("entry %d: %s", f.Entry, f.What)
	case f.Entry == 0:
		return fmt.Sprintf("number %d of the chain: %s", f.Number, f.What)
	default:
		return fmt.Sprintf("number %d of the chain, entry %d: %s", f.Number, f.Entry, f.What)
	}
}

// Verify reads the whole audit and names the first row that was changed, deleted, inserted or swapped. With a head that was
// kept outside it also finds a chain that was cut off before it or written anew.
func (l *Log) Verify(ctx context.Context, kept *Head) (v Verified, err error) {
	v.Head = start()
	// One snapshot, so that what is chained meanwhile doesn't look inserted.
	tx, err := l.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return v, postgres.Unreachable(fmt.Errorf("reading the audit: %w", err))
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := v.walk(ctx, tx, kept); err != nil || v.Fault != nil {
		return v, err
	}
	if kept != nil && kept.Number > v.Head.Number {
		v.Fault = &Fault{Number: v.Head.Number + 1, What: fmt.Sprintf("is missing: the head that was kept is number %d", kept.Number)}
		return v, nil
	}
	return v, v.unchained(ctx, tx)
}

// walk follows the chain until its end or its first fault.
func (v *Verified) walk(ctx context.Context, tx pgx.Tx, kept *Head) error {
	rows, err := tx.Query(ctx, `
		SELECT c.number, c.entry_id, c.hash, e.entry_id IS NOT NULL,
			coalesce(e.entry_id, 0), coalesce(e.happened_at, 'epoch'), coalesce(e.actor, ''), coalesce(e.from_address, ''),
			coalesce(e.act, ''), coalesce(e.subject, ''), e.person_id, coalesce(e.reason, ''), coalesce(e.details::text, '')
		FROM audit_chain c LEFT JOIN audit_entries e USING (entry_id) ORDER BY c.number`)
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("reading the audit: %w", err))
	}
	defer rows.Close()
	for v.Fault == nil && rows.Next() {
		var number, entry int64
		var hash []byte
		var there bool
		var r row
		if err := rows.Scan(append([]any{&number, &entry, &hash, &there}, r.fields()...)...); err != nil {
			return fmt.Errorf("reading the audit: %w", err)
		}
		next := v.Head.Number + 1
		switch {
		case number != next:
			v.Fault = &Fault{Number: next, What: "is missing"}
		case !there:
			v.Fault = &Fault{Number: number, Entry: entry, What: "the entry is missing"}
		case !bytes.Equal(hash, r.hash(v.Head.Hash, number)):
			v.Fault = &Fault{Number: number, Entry: entry, What: "isn't what was chained here"}
		case kept != nil && kept.Number == number && !bytes.Equal(kept.Hash, hash):
			v.Fault = &Fault{Number: number, Entry: entry, What: "isn't the head that was kept: the chain was written anew up to here or before"}
		default:
			v.Head = Head{Number: number, Hash: hash}
			v.Entries++
		}
	}
	if err := rows.Err(); err != nil && v.Fault == nil {
		return postgres.Unreachable(fmt.Errorf("reading the audit: %w", err))
	}
	return nil
}

// unchained looks for entries that have no place and don't wait for one either.
func (v *Verified) unchained(ctx context.Context, tx pgx.Tx) error {
	var first *int64
	err := tx.QueryRow(ctx, `
		SELECT count(u.entry_id), min(e.entry_id) FILTER (WHERE u.entry_id IS NULL)
		FROM audit_entries e LEFT JOIN audit_unchained u USING (entry_id)
		WHERE NOT EXISTS (SELECT FROM audit_chain c WHERE c.entry_id = e.entry_id)`).Scan(&v.Waiting, &first)
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("reading the audit: %w", err))
	}
	if first != nil {
		v.Fault = &Fault{Entry: *first, What: "has no place in the chain"}
	}
	return nil
}
