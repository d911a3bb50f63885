package backup

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/keys"
	"jari/internal/postgres"
)

// Manifest says what is in a backup. It is sealed with it.
type Manifest struct {
	Environment string    `json:"environment"`
	MadeAt      time.Time `json:"made_at"` // by Postgres's clock, when the snapshot was taken
	// Migration is the schema's number; a binary that doesn't know it yet can't restore it.
	Migration uint   `json:"migration"`
	Server    string `json:"server"` // version of Postgres
	// What a restored database must have.
	Counts Counts `json:"counts"`
	// AuditHead is the audit's last link.
	AuditHead string `json:"audit_head"`
	// DataKeys are the ids of the keys that rows are sealed with, and how many rows each: JARI_DATA_KEYS must have all of them.
	DataKeys map[uint32]int64 `json:"data_keys"`
}

// Counts are numbers of rows.
type Counts struct {
	Bookings int64 `json:"bookings"` // active ones
	Rows     int64 `json:"rows"`     // of bookings in any state
	Persons  int64 `json:"persons"`
	Slots    int64 `json:"slots"`
	Versions int64 `json:"versions"` // of campaigns
	Messages int64 `json:"messages"`
	Audit    int64 `json:"audit"`
}

// magic is how a backup begins, and the number of its form.
const magic = "JARI-BACKUP-1\n"

// maxManifestBytes bounds what is read before anything else of a backup is believed.
const maxManifestBytes = 1 << 20

func contextOf(environment string) []byte { return []byte("jari backup " + environment) }

// Source is the database that is copied.
type Source struct {
	Pool *pgxpool.Pool
	// URL is the same database, for pg_dump.
	URL         string
	Environment string
	Sealer      *keys.StreamSealer
	// Head is the audit's last link as a text, read in the snapshot.
	Head func(ctx context.Context, tx pgx.Tx) (string, error)
	// SealedBy counts rows by the id of the key that they are sealed with.
	SealedBy func(ctx context.Context, tx pgx.Tx) (map[uint32]int64, error)
}

// Make writes a backup. What was written is only one if it returns nil.
func Make(ctx context.Context, from Source, to io.Writer) (m Manifest, err error) {
	tool, err := find("pg_dump")
	if err != nil {
		return m, err
	}
	tx, err := from.Pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return m, postgres.Unreachable(fmt.Errorf("taking a snapshot: %w", err))
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	snapshot, err := from.snapshot(ctx, tx, &m)
	if err != nil {
		return m, err
	}
	if _, err := io.WriteString(to, magic); err != nil {
		return m, fmt.Errorf("writing the backup: %w", err)
	}
	sealed, err := from.Sealer.Seal(to, contextOf(from.Environment))
	if err != nil {
		return m, err
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return m, fmt.Errorf("encoding the manifest: %w", err)
	}
	if _, err := sealed.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(raw))), raw...)); err != nil { //nolint:gosec // some hundred bytes
		return m, fmt.Errorf("writing the backup: %w", err)
	}
	dump := exec.CommandContext(ctx, tool, //nolint:gosec // found on PATH, with arguments of our own
		"--format=custom", "--no-owner", "--no-privileges", "--lock-wait-timeout=30s", "--snapshot="+snapshot,
		"--exclude-table-data=public.store_generation")
	if dump.Env, err = environ(from.URL); err != nil {
		return m, err
	}
	var words strings.Builder
	dump.Stdout, dump.Stderr = sealed, &words
	if err := dump.Run(); err != nil {
		return m, failed("pg_dump", err, words.String())
	}
	if err := sealed.Close(); err != nil {
		return m, fmt.Errorf("writing the backup: %w", err)
	}
	return m, nil
}

// snapshot reads the manifest in the transaction whose snapshot pg_dump will see.
func (from Source) snapshot(ctx context.Context, tx pgx.Tx, m *Manifest) (name string, err error) {
	m.Environment = from.Environment
	// However long the copying takes: Postgres must not end the transaction that holds the snapshot.
	if _, err := tx.Exec(ctx, `SET LOCAL idle_in_transaction_session_timeout = 0`); err != nil {
		return "", postgres.Unreachable(fmt.Errorf("taking a snapshot: %w", err))
	}
	var dirty bool
	err = tx.QueryRow(ctx, `
		SELECT pg_export_snapshot(), now(), current_setting('server_version'), version, dirty FROM schema_migrations`).
		Scan(&name, &m.MadeAt, &m.Server, &m.Migration, &dirty)
	if err != nil {
		return "", postgres.Unreachable(fmt.Errorf("taking a snapshot: %w", err))
	}
	if dirty {
		return "", fmt.Errorf("migration %d broke off halfway: mend it first", m.Migration)
	}
	m.MadeAt = m.MadeAt.UTC()
	if m.Counts, err = count(ctx, tx); err != nil {
		return "", err
	}
	if m.AuditHead, err = from.Head(ctx, tx); err != nil {
		return "", err
	}
	m.DataKeys, err = from.SealedBy(ctx, tx)
	return name, err
}

func count(ctx context.Context, from interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) (c Counts, err error) {
	err = from.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE status = 'active'), count(*), (SELECT count(*) FROM persons), (SELECT count(*) FROM slots),
			(SELECT count(*) FROM campaign_versions), (SELECT count(*) FROM messages), (SELECT count(*) FROM audit_entries)
		FROM bookings`).Scan(&c.Bookings, &c.Rows, &c.Persons, &c.Slots, &c.Versions, &c.Messages, &c.Audit)
	if err != nil {
		return c, postgres.Unreachable(fmt.Errorf("counting: %w", err))
	}
	return c, nil
}

// Open reads the beginning of a backup; dump is the rest. Everything that is read was authenticated.
func Open(from io.Reader, sealer *keys.StreamSealer, environment string) (m Manifest, dump io.Reader, err error) {
	begins := make([]byte, len(magic))
	if _, err := io.ReadFull(from, begins); err != nil || string(begins) != magic {
		return m, nil, errors.New("isn't a backup of Jari that this version can read")
	}
	dump, err = sealer.Open(from, contextOf(environment))
	if err != nil {
		return m, nil, err
	}
	length := make([]byte, 4)
	if _, err := io.ReadFull(dump, length); err != nil {
		return m, nil, errors.New("can't be opened with JARI_BACKUP_KEYS, was made in another environment, or is damaged")
	}
	size := binary.BigEndian.Uint32(length)
	if size > maxManifestBytes {
		return m, nil, errors.New("is damaged: its manifest is too large")
	}
	raw := make([]byte, size)
	if _, err := io.ReadFull(dump, raw); err != nil {
		return m, nil, fmt.Errorf("is damaged: %w", err)
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, nil, fmt.Errorf("is damaged: %w", err)
	}
	return m, dump, nil
}

// Check reads a backup to its end: what was changed or cut off is found. It needs no database. It returns the dump's length
// in bytes.
func Check(dump io.Reader) (int64, error) {
	begins := make([]byte, len(dumpMagic))
	if _, err := io.ReadFull(dump, begins); err != nil || string(begins) != dumpMagic {
		return 0, errors.New("holds no dump")
	}
	n, err := io.Copy(io.Discard, dump)
	if err != nil {
		return 0, fmt.Errorf("is damaged: %w", err)
	}
	return n + int64(len(begins)), nil
}

// dumpMagic is how a dump of pg_dump's custom format begins.
const dumpMagic = "PGDMP"
