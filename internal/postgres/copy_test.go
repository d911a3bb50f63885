package postgres_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"jari/internal/postgres"
	"jari/test/storetest"
)

// copied is a row of every type that a Copier writes.
type copied struct {
	ID    uuid.UUID
	Line  int32
	Text  string
	Bytes []byte
	At    *time.Time
	Yes   bool
}

var copiedColumns = []string{"id", "line", "text", "bytes", "at", "yes"}

const copiedTable = `CREATE TABLE copied (id uuid, line integer, text text NOT NULL, bytes bytea, at timestamptz, yes boolean)`

func TestRowsAreCopiedAsTheyAre(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	if _, err := pool.Exec(t.Context(), copiedTable); err != nil {
		t.Fatal(err)
	}
	at := time.Date(1899, 12, 31, 23, 59, 59, 123456000, time.UTC)
	later := time.Date(2021, 7, 26, 20, 0, 0, 0, time.FixedZone("", 9*60*60))
	rows := []copied{
		{uuid.New(), -7, "", []byte{}, nil, true},
		{uuid.New(), 1 << 30, "뷁,\"\\N\t\n", nil, &at, false},
		{uuid.Nil, 0, "x", []byte{0, 0xff}, &later, true},
	}
	const times = 20_000 // more than the buffers hold
	err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		n, err := postgres.CopyIn(t.Context(), tx.Conn(), "copied", copiedColumns, func(to *postgres.Copier) error {
			for i := range times {
				r := rows[i%len(rows)]
				if err := to.Row(); err != nil {
					return err
				}
				to.UUID(r.ID)
				to.Int(r.Line)
				to.Text(r.Text)
				to.Bytes(r.Bytes)
				if r.At == nil {
					to.Null()
				} else {
					to.Time(*r.At)
				}
				to.Bool(r.Yes)
			}
			return nil
		})
		if n != times {
			t.Errorf("%d rows", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found, err := pool.Query(t.Context(), `SELECT DISTINCT id, line, text, bytes, at, yes FROM copied ORDER BY line`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(found, pgx.RowToStructByPos[copied])
	if err != nil {
		t.Fatal(err)
	}
	sameInstant := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	if d := cmp.Diff([]copied{rows[0], rows[2], rows[1]}, got, sameInstant); d != "" {
		t.Error(d)
	}
}

// A COPY that is given up, or that Postgres refuses, writes nothing, and nobody waits for ever.
func TestACopyIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	if _, err := pool.Exec(t.Context(), copiedTable); err != nil {
		t.Fatal(err)
	}
	errMine := errors.New("mine")
	for name, c := range map[string]struct {
		rows int
		null int // the row whose text is NULL, which the table refuses
		err  error
		want func(error) bool
	}{
		"given up at once":        {0, -1, errMine, func(err error) bool { return errors.Is(err, errMine) }},
		"given up after a while":  {50_000, -1, errMine, func(err error) bool { return errors.Is(err, errMine) }},
		"refused while it runs":   {200_000, 10, nil, notNull},
		"refused at the very end": {10, 9, nil, notNull},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
				_, err := postgres.CopyIn(t.Context(), tx.Conn(), "copied", copiedColumns, func(to *postgres.Copier) error {
					for i := range c.rows {
						if err := to.Row(); err != nil {
							return fmt.Errorf("row %d: %w", i, err)
						}
						to.UUID(uuid.Nil)
						to.Int(int32(i))
						if i == c.null {
							to.Null()
						} else {
							to.Text("a text that is as long as some texts are")
						}
						to.Null()
						to.Null()
						to.Bool(true)
					}
					return c.err
				})
				return err
			})
			if !c.want(err) {
				t.Errorf("%v", err)
			}
			var n int
			if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM copied`).Scan(&n); err != nil || n != 0 {
				t.Errorf("%d rows, %v", n, err)
			}
		})
	}
}

func notNull(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "23502"
}
