package privacy

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/keys"
	"jari/internal/postgres"
)

// Column is a column `sealed` with personal data, in a table whose id is a uuid. What is sealed is tied to its row by
// keys.RowContext; an empty value was forgotten.
type Column struct{ Table, ID string }

// Columns are all of them. A test holds this list against the schema.
func Columns() []Column {
	return []Column{{"persons", "person_id"}, {"verifications", "verification_id"}, {"messages", "message_id"}}
}

// batch is how many rows one statement writes: few enough that nobody waits for it.
const batch = 500

// lockResealing is the advisory lock of whoever reseals: two would only do the same work twice.
const lockResealing = 0x6a617269_0001

// Resealed says what a run did.
type Resealed struct {
	Rows int64
	// Unopened couldn't be opened with any key of the set and were left as they are.
	Unopened int64
}

// Reseal seals every row with the primary key that isn't yet. It may run beside everything else and be broken off at any
// time: the next run goes on. primary is that key's id.
func Reseal(ctx context.Context, pool *pgxpool.Pool, data *keys.Sealer, primary uint32) (done Resealed, err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return done, postgres.Unreachable(fmt.Errorf("opening a connection: %w", err))
	}
	defer conn.Release()
	var alone bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, lockResealing).Scan(&alone); err != nil {
		return done, postgres.Unreachable(fmt.Errorf("locking: %w", err))
	}
	if !alone {
		return done, errors.New("somebody else is resealing")
	}
	defer func() { _, _ = conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, lockResealing) }()
	for _, c := range Columns() {
		if err := c.reseal(ctx, conn, data, primary, &done); err != nil {
			return done, postgres.Unreachable(fmt.Errorf("resealing %s: %w", c.Table, err))
		}
	}
	return done, nil
}

// reseal goes once through a table, in the order of its ids. A row that somebody changes meanwhile is found by the next run,
// unless it was sealed with the primary key by that.
func (c Column) reseal(ctx context.Context, conn *pgxpool.Conn, data *keys.Sealer, primary uint32, done *Resealed) error {
	table, id := pgx.Identifier{c.Table}.Sanitize(), pgx.Identifier{c.ID}.Sanitize()
	var last uuid.UUID
	for {
		rows, err := conn.Query(ctx, `
			SELECT `+id+`, sealed FROM `+table+` WHERE `+id+` > $1 AND sealed <> '' AND substring(sealed for 5) <> $2
			ORDER BY 1 LIMIT $3`, last, keys.PrefixOf(primary), batch)
		if err != nil {
			return err
		}
		type row struct {
			ID     uuid.UUID
			Sealed []byte
		}
		old, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		if err != nil || len(old) == 0 {
			return err
		}
		last = old[len(old)-1].ID
		var ids []uuid.UUID
		var before, after pgtype.FlatArray[[]byte]
		for _, r := range old {
			context := keys.RowContext(c.Table, r.ID.String())
			plain, err := data.Open(r.Sealed, context)
			if err != nil {
				done.Unopened++
				continue
			}
			fresh, err := data.Seal(plain, context)
			if err != nil {
				return err
			}
			ids, before, after = append(ids, r.ID), append(before, r.Sealed), append(after, fresh)
		}
		tag, err := conn.Exec(ctx, `
			UPDATE `+table+` SET sealed = n.after FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS n (id, before, after)
			WHERE `+id+` = n.id AND sealed = n.before`, postgres.UUIDs(ids), before, after)
		if err != nil {
			return err
		}
		done.Rows += tag.RowsAffected()
	}
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// SealedBy counts rows by the key that they are sealed with, in hexadecimal as keys are named. What was forgotten isn't
// counted.
func SealedBy(ctx context.Context, from querier) (map[uint32]int64, error) {
	counts := map[uint32]int64{}
	for _, c := range Columns() {
		rows, err := from.Query(ctx, `
			SELECT encode(substring(sealed from 2 for 4), 'hex'), count(*) FROM `+pgx.Identifier{c.Table}.Sanitize()+`
			WHERE sealed <> '' GROUP BY 1`)
		if err != nil {
			return nil, postgres.Unreachable(fmt.Errorf("counting %s: %w", c.Table, err))
		}
		var key string
		var n int64
		if _, err := pgx.ForEachRow(rows, []any{&key, &n}, func() error {
			raw, err := hex.DecodeString(key)
			if err != nil || len(raw) != 4 {
				return fmt.Errorf("a row of %s isn't sealed", c.Table)
			}
			counts[uint32(raw[0])<<24|uint32(raw[1])<<16|uint32(raw[2])<<8|uint32(raw[3])] += n
			return nil
		}); err != nil {
			return nil, postgres.Unreachable(err)
		}
	}
	return counts, nil
}
