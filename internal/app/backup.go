package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/backup"
	"jari/internal/identity"
	"jari/internal/keys"
	"jari/internal/notify"
	"jari/internal/postgres"
	"jari/internal/privacy"
)

// Backup copies the database into to. The copy is only one if it returns nil.
func (o *Office) Backup(ctx context.Context, to io.Writer) (backup.Manifest, error) {
	sealer, err := o.backupKeys()
	if err != nil {
		return backup.Manifest{}, err
	}
	return backup.Make(ctx, backup.Source{
		Pool: o.pool, URL: string(o.cfg.PostgresURL), Environment: o.cfg.Environment, Sealer: sealer,
		Head: func(ctx context.Context, tx pgx.Tx) (string, error) {
			head, err := audit.HeadIn(ctx, tx)
			return head.String(), err
		},
		SealedBy: func(ctx context.Context, tx pgx.Tx) (map[uint32]int64, error) { return privacy.SealedBy(ctx, tx) },
	}, to)
}

func (o *Office) backupKeys() (*keys.StreamSealer, error) {
	return backupSealer(string(o.cfg.BackupKeys), o.cfg.Environment)
}

func backupSealer(line, environment string) (*keys.StreamSealer, error) {
	if line == "" {
		return nil, errors.New("JARI_BACKUP_KEYS is missing: made by `jari keys generate --backup`")
	}
	sealer, err := keys.NewStreamSealer(line, environment)
	if err != nil {
		return nil, fmt.Errorf("JARI_BACKUP_KEYS %w", err)
	}
	return sealer, nil
}

// BackupChecked says what a backup is and whether the keys at hand are its own.
type BackupChecked struct {
	backup.Manifest
	DumpBytes int64
	// MissingKeys are ids of keys that rows in it are sealed with and JARI_DATA_KEYS doesn't have.
	MissingKeys []uint32
	// KeysKnown is false where there is no JARI_DATA_KEYS to compare with.
	KeysKnown bool
}

// CheckBackup reads a backup to its end. It asks no database, so it can run wherever the keys are.
func CheckBackup(from io.Reader, environment, backupKeys, dataKeys string) (c BackupChecked, err error) {
	sealer, err := backupSealer(backupKeys, environment)
	if err != nil {
		return c, err
	}
	m, dump, err := backup.Open(from, sealer, environment)
	if err != nil {
		return c, err
	}
	c.Manifest = m
	if c.DumpBytes, err = backup.Check(dump); err != nil || dataKeys == "" {
		return c, err
	}
	list, err := keys.List(dataKeys, environment, keys.Data)
	if err != nil {
		return c, fmt.Errorf("JARI_DATA_KEYS %w", err)
	}
	c.KeysKnown = true
	for id := range m.DataKeys {
		if !slices.ContainsFunc(list, func(k keys.Key) bool { return k.ID == id }) {
			c.MissingKeys = append(c.MissingKeys, id)
		}
	}
	slices.Sort(c.MissingKeys)
	return c, nil
}

// Load puts a backup into the empty database. Finish makes it usable.
func (o *Office) Load(ctx context.Context, from io.Reader) (backup.Manifest, error) {
	sealer, err := o.backupKeys()
	if err != nil {
		return backup.Manifest{}, err
	}
	m, dump, err := backup.Open(from, sealer, o.cfg.Environment)
	if err != nil {
		return m, err
	}
	return m, backup.Load(ctx, o.pool, string(o.cfg.PostgresURL), m, dump)
}

// Abandoned is the time of which the database knows nothing: from Since, when the backup was made or up to which the log was
// replayed, to Until, when the old database was last used. In real time.
type Abandoned struct {
	Since, Until time.Time
	// Nothing says that the old database wasn't used after Since: it was moved, not lost.
	Nothing bool
	// From names where the database came from, for the audit.
	From string
}

// Finished says what finishing did.
type Finished struct {
	Messages, Notices int64 // that wait no more
	ReminderDays      int64 // days of campaigns whose reminders may have been sent
	AdminKeys         int64 // that are valid: those ended since are valid again
}

// Finish makes a restored database usable: a new store generation, and no message that may have been sent already.
func (o *Office) Finish(ctx context.Context, a Abandoned) (f Finished, err error) {
	if !a.Nothing && a.Until.Before(a.Since) {
		return f, errors.New("the old database was last used before the backup was made: is that the right instant?")
	}
	ctx = byCommand(ctx)
	err = postgres.InTx(ctx, o.pool, func(tx pgx.Tx) error {
		if err := backup.Renew(ctx, tx); err != nil {
			return err
		}
		if !a.Nothing {
			if f.Messages, f.Notices, err = notify.Abandon(ctx, tx); err != nil {
				return err
			}
			if f.ReminderDays, err = o.abandonReminders(ctx, tx, a); err != nil {
				return err
			}
		}
		err := tx.QueryRow(ctx, `SELECT count(*) FROM admin_keys WHERE revoked_at IS NULL AND expires_at > now()`).Scan(&f.AdminKeys)
		if err != nil {
			return postgres.Unreachable(fmt.Errorf("counting keys: %w", err))
		}
		return o.Audit.Append(ctx, tx, audit.Entry{
			Act: "database.restore", Subject: "database", Details: map[string]any{
				"from": a.From, "since": a.Since.UTC(), "until": a.Until.UTC(), "moved": a.Nothing,
				"messages": f.Messages, "notices": f.Notices, "reminder_days": f.ReminderDays,
			},
		})
	})
	return f, err
}

// abandonReminders marks the days as done whose reminders were made within the abandoned time, if any were: the hours in
// which that is done overlap it.
func (o *Office) abandonReminders(ctx context.Context, tx pgx.Tx, a Abandoned) (int64, error) {
	tag, err := tx.Exec(ctx, `
		INSERT INTO reminder_days (campaign_id, day, done)
		SELECT c.campaign_id, d::date + 1, true
		FROM (SELECT DISTINCT ON (campaign_id) campaign_id, document->>'zone' AS zone
				FROM campaign_versions ORDER BY campaign_id, version DESC) c,
			generate_series(($1::timestamptz AT TIME ZONE c.zone)::date, ($2::timestamptz AT TIME ZONE c.zone)::date, interval '1 day') d
		WHERE (d::date + make_interval(hours => $3)) AT TIME ZONE c.zone < $2
			AND (d::date + make_interval(hours => $4)) AT TIME ZONE c.zone > $1
		ON CONFLICT (campaign_id, day) DO UPDATE SET done = true`,
		a.Since.Add(o.cfg.ClockOffset), a.Until.Add(o.cfg.ClockOffset), o.cfg.RemindersFrom, o.cfg.RemindersTo)
	if err != nil {
		return 0, postgres.Unreachable(fmt.Errorf("ending reminders: %w", err))
	}
	return tag.RowsAffected(), nil
}

// keySample is how many people keys are tried on.
const keySample = 1000

// ProveKeys tries JARI_DATA_KEYS and JARI_INDEX_KEYS on people of the database.
func (o *Office) ProveKeys(ctx context.Context) (identity.KeyProof, error) {
	data, _, err := o.dataKeys()
	if err != nil {
		return identity.KeyProof{}, err
	}
	index, err := keys.NewIndexer(string(o.cfg.IndexKeys), o.cfg.Environment)
	if err != nil {
		return identity.KeyProof{}, fmt.Errorf("JARI_INDEX_KEYS %w", err)
	}
	return identity.ProveKeys(ctx, o.pool, data, index, keySample)
}
