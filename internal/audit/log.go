package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/clock"
	"jari/internal/postgres"
)

// Log is the audit of a deployment.
type Log struct {
	pool    *pgxpool.Pool
	clock   clock.Clock
	log     *slog.Logger
	observe func(Head, int)
	lease   *postgres.Lease
	told    time.Time // when the head was logged last, in real time
}

// NewLog returns the audit that is kept in pool. While this instance gives places, observe is told of the head and of how
// many entries have no place yet; it may be nil.
func NewLog(pool *pgxpool.Pool, clk clock.Clock, log *slog.Logger, observe func(head Head, unchained int)) *Log {
	if observe == nil {
		observe = func(Head, int) {}
	}
	return &Log{pool: pool, clock: clk, log: log, observe: observe, lease: postgres.NewLease(pool, "audit")}
}

// Append writes an entry in the caller's transaction: it is there if and only if that commits. It refuses an entry without
// an actor or a proper act, or one that is too large; the caller's act fails with it.
func (l *Log) Append(ctx context.Context, tx pgx.Tx, e Entry) error {
	r, err := e.row(ctx, l.clock.Real())
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO audit_entries (happened_at, actor, from_address, act, subject, person_id, reason, details)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, r.At, r.Actor, r.From, r.Act, r.Subject, r.Person, r.Reason, r.Details)
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("writing to the audit: %w", err))
	}
	return nil
}

// Record writes an entry in a transaction of its own, for what has no other: a look at somebody's data. The data is shown
// only once this has returned nil.
func (l *Log) Record(ctx context.Context, e Entry) error {
	return postgres.InTx(ctx, l.pool, func(tx pgx.Tx) error { return l.Append(ctx, tx, e) })
}

// Head is the last link of the chain. Whoever keeps it outside of the database can tell later whether anything before it
// was changed.
type Head struct {
	Number int64 // how many entries are chained; zero for none
	Hash   []byte
}

// String writes a head as "number:hash".
func (h Head) String() string {
	return strconv.FormatInt(h.Number, 10) + ":" + hex.EncodeToString(h.Hash)
}

// ParseHead reads what String writes.
func ParseHead(text string) (Head, error) {
	number, hash, ok := strings.Cut(strings.TrimSpace(text), ":")
	n, err := strconv.ParseInt(number, 10, 64)
	raw, hexErr := hex.DecodeString(hash)
	if !ok || err != nil || n < 0 || hexErr != nil || len(raw) != hashBytes {
		return Head{}, errors.New("a head looks like 17:0a1b…, a number and 64 hexadecimal digits")
	}
	return Head{Number: n, Hash: raw}, nil
}

// start is what the first entry is chained to.
func start() Head { return Head{Hash: make([]byte, hashBytes)} }

// queryRower is a pool or a transaction.
type queryRower interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func head(ctx context.Context, from queryRower) (Head, error) {
	h := start()
	err := from.QueryRow(ctx, `SELECT number, hash FROM audit_chain ORDER BY number DESC LIMIT 1`).Scan(&h.Number, &h.Hash)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Head{}, postgres.Unreachable(fmt.Errorf("reading the head of the audit: %w", err))
	}
	return h, nil
}

// Head returns the last link as it is now.
func (l *Log) Head(ctx context.Context) (Head, error) { return head(ctx, l.pool) }

// HeadIn returns the last link as a transaction sees it.
func HeadIn(ctx context.Context, tx pgx.Tx) (Head, error) { return head(ctx, tx) }

const (
	chainEvery = 500 * time.Millisecond
	chainMost  = 1000 // entries of one transaction
	tellEvery  = time.Hour
)

// Watch gives entries their places in the chain until ctx ends, while this instance holds the lease.
func (l *Log) Watch(ctx context.Context) {
	failing := false
	clock.Every(ctx, chainEvery, func() {
		err := l.Tick(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			l.log.Warn("entries of the audit can't be chained now; they are kept, and will be", "error", err)
		}
		failing = err != nil
	})
	l.lease.Leave(ctx)
}

// Tick takes or renews the lease and, holding it, chains what was committed.
func (l *Log) Tick(ctx context.Context) error {
	held, err := l.lease.Hold(ctx)
	if err != nil || !held {
		return err
	}
	return l.Chain(ctx)
}

// Chain gives every entry that has none its place, in the order of their ids. Two at once are safe: one of them fails, and
// what it meant to do is done.
func (l *Log) Chain(ctx context.Context) error {
	for {
		var h Head
		var n int
		err := postgres.InTx(ctx, l.pool, func(tx pgx.Tx) (err error) {
			h, n, err = chain(ctx, tx)
			return err
		})
		if err != nil {
			return err
		}
		if n < chainMost {
			l.tell(h)
			return nil
		}
		l.observe(h, chainMost)
	}
}

// tell lets the world outside of the database know the head.
func (l *Log) tell(h Head) {
	l.observe(h, 0)
	if now := l.clock.Real(); h.Number > 0 && now.Sub(l.told) >= tellEvery {
		l.told = now
		l.log.Info("the audit's head", "head", h.String())
	}
}

const entryColumns = `e.entry_id, e.happened_at, e.actor, e.from_address, e.act, e.subject, e.person_id, e.reason, e.details::text`

func (r *row) fields() []any {
	return []any{&r.ID, &r.At, &r.Actor, &r.From, &r.Act, &r.Subject, &r.Person, &r.Reason, &r.Details}
}

// chain links at most chainMost entries and returns the head then, and how many they were.
func chain(ctx context.Context, tx pgx.Tx) (h Head, n int, err error) {
	fail := func(err error) (Head, int, error) {
		return Head{}, 0, postgres.Unreachable(fmt.Errorf("chaining the audit: %w", err))
	}
	// The rows are locked, so of two that chain at once the second finds nothing left of what the first took.
	rows, err := tx.Query(ctx, `
		WITH taken AS (DELETE FROM audit_unchained WHERE entry_id IN (
			SELECT entry_id FROM audit_unchained ORDER BY entry_id LIMIT $1 FOR UPDATE) RETURNING entry_id)
		SELECT `+entryColumns+` FROM taken JOIN audit_entries e USING (entry_id) ORDER BY e.entry_id`, chainMost)
	if err != nil {
		return fail(err)
	}
	entries, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (e row, err error) {
		err = r.Scan(e.fields()...)
		return e, err
	})
	if err != nil {
		return fail(err)
	}
	if h, err = head(ctx, tx); err != nil || len(entries) == 0 {
		return h, 0, err
	}
	links := make([][]any, len(entries))
	for i, e := range entries {
		h = Head{Number: h.Number + 1, Hash: e.hash(h.Hash, h.Number+1)}
		links[i] = []any{h.Number, e.ID, h.Hash}
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"audit_chain"}, []string{"number", "entry_id", "hash"}, pgx.CopyFromRows(links)); err != nil {
		return fail(err)
	}
	return h, len(entries), nil
}
