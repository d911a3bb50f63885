package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/keys"
	"jari/internal/postgres"
)

// KeyProof says what trying keys on people's rows found.
type KeyProof struct {
	Opened, Unopened int // with the data keys
	Found, NotFound  int // of those that were opened and have a phone: its keyed hash is the row's
}

// ProveKeys tries keys on at most so many people; ids are random, so they are a sample. Nothing of what is opened leaves it.
func ProveKeys(ctx context.Context, pool *pgxpool.Pool, data *keys.Sealer, index *keys.Indexer, most int) (p KeyProof, err error) {
	rows, err := pool.Query(ctx, `SELECT person_id, sealed, phone_index FROM persons WHERE sealed <> '' ORDER BY person_id LIMIT $1`, most)
	if err != nil {
		return p, postgres.Unreachable(fmt.Errorf("reading people: %w", err))
	}
	var id uuid.UUID
	var row, phoneIndex []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &row, &phoneIndex}, func() error {
		var c sealed
		plain, err := data.Open(row, rowContext("persons", id))
		if err != nil || json.Unmarshal(plain, &c) != nil {
			p.Unopened++
			return nil
		}
		p.Opened++
		if c.Phone == "" {
			return nil
		}
		hash, err := index.Hash("phone", c.Phone)
		if err != nil {
			return err
		}
		if bytes.Equal(hash, phoneIndex) {
			p.Found++
		} else {
			p.NotFound++
		}
		return nil
	})
	if err != nil {
		return p, postgres.Unreachable(fmt.Errorf("reading people: %w", err))
	}
	return p, nil
}
