package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"jari/internal/app"
	"jari/internal/config"
)

type backupCommand struct {
	File string `arg:"" help:"The new file. Beside it, its checksum as FILE.sha256."`
}

// Help is shown below the flags.
func (backupCommand) Help() string {
	return `Needs JARI_ENV, JARI_POSTGRES_URL, JARI_BACKUP_KEYS and PostgreSQL's pg_dump, not older than the server. One snapshot, taken
while servers go on: every booking that was acknowledged before it began is in it. The file is sealed with JARI_BACKUP_KEYS and
holds no key. What people are called by stays sealed in it with JARI_DATA_KEYS: without those, and JARI_INDEX_KEYS, a restored
database finds and shows nobody. Keep all three apart from backups, in parts with several people (jari keys split).

A backup loses what comes after it. To lose nothing, or seconds, Postgres itself must copy: deploy/postgres/README.md.`
}

// Run makes the backup. A file of this name only ever is a whole backup.
func (c backupCommand) Run(w surroundings) error {
	o, err := openOffice(w)
	if err != nil {
		return err
	}
	defer o.Close()
	if _, err := os.Lstat(c.File); err == nil {
		return fmt.Errorf("%s exists already: backups are never written over", c.File)
	}
	began := time.Now()
	half := c.File + ".part"
	f, err := os.OpenFile(half, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // whoever runs the command names it
	if err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	sum := sha256.New()
	counted := &counter{to: io.MultiWriter(f, sum)}
	m, err := o.Backup(w.ctx, counted)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(half))
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	if err := os.WriteFile(c.File+".sha256", []byte(digest+"  "+filepath.Base(c.File)+"\n"), 0o600); err != nil {
		return errors.Join(fmt.Errorf("writing the checksum: %w", err), os.Remove(half))
	}
	if err := os.Rename(half, c.File); err != nil {
		return fmt.Errorf("naming the backup: %w", err)
	}
	fmt.Fprintf(w.out, "%s: what was committed until %s, %d bookings of %d people, %.1f MiB in %s\n", c.File, m.MadeAt.Format(time.RFC3339Nano),
		m.Counts.Bookings, m.Counts.Persons, float64(counted.n)/(1<<20), time.Since(began).Round(10*time.Millisecond))
	fmt.Fprintf(w.out, "checksum %s\naudit head %s\n", digest, m.AuditHead)
	return nil
}

// counter counts what goes through.
type counter struct {
	to io.Writer
	n  int64
}

// Write passes on.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

type restoreCommand struct {
	File      string    `arg:"" optional:"" help:"The backup."`
	Check     bool      `help:"Only read the whole backup, and say what is in it and whether the keys at hand are its own. Asks no database."`
	Recovered time.Time `placeholder:"INSTANT" help:"Instead of a backup: the database was recovered from Postgres's own backup and log, up to this instant (RFC 3339)." format:"2006-01-02T15:04:05Z07:00"`
	LostAt    time.Time `placeholder:"INSTANT" help:"When the old database was last used (RFC 3339); now if left out. Reminders that may have been sent until then aren't sent again." format:"2006-01-02T15:04:05Z07:00"`
	Moved     bool      `help:"The old database wasn't used after the backup: nothing is abandoned, and messages that wait are sent."`
}

// Help is shown below the flags.
func (restoreCommand) Help() string {
	return `Into an empty database, all or nothing, with no server running. Needs what jari backup needs, and pg_restore. Then:

  - the store generation is renewed, so that what Redis remembers of the time after the backup is replaced;
  - messages that wait in the backup may have been sent since: they are never sent again, they become "unknown";
  - the audit says what was done. jari audit verify --head HEAD holds it against the head that the backup printed.

Until that is done the database has no store generation, and nothing can be booked on it. Afterwards: jari keys check,
jari migrate up if the release is newer than the backup, start the servers, and end with jari admin revoke-key what was ended
after the backup. What was booked after the backup is gone; who shows a reference that isn't known has one of those.`
}

// Run restores, checks or finishes.
func (c restoreCommand) Run(w surroundings) error {
	if (c.File == "") == c.Recovered.IsZero() {
		return errors.New("name a backup, or say with --recovered until when the database was recovered")
	}
	if c.Check {
		if c.File == "" {
			return errors.New("--check reads a backup: name it")
		}
		return c.check(w)
	}
	o, err := openOffice(w)
	if err != nil {
		return err
	}
	defer o.Close()
	abandoned := app.Abandoned{Since: c.Recovered, Until: c.LostAt, Nothing: c.Moved, From: "log"}
	if abandoned.Until.IsZero() {
		abandoned.Until = time.Now()
	}
	if c.File != "" {
		f, err := c.open()
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		m, err := o.Load(w.ctx, f)
		if err != nil {
			return fmt.Errorf("%s: %w", c.File, err)
		}
		abandoned.Since, abandoned.From = m.MadeAt, filepath.Base(c.File)
		fmt.Fprintf(w.out, "loaded what was committed until %s: %d bookings of %d people, migration %d, audit head %s\n",
			m.MadeAt.Format(time.RFC3339Nano), m.Counts.Bookings, m.Counts.Persons, m.Migration, m.AuditHead)
	}
	done, err := o.Finish(w.ctx, abandoned)
	if err != nil {
		return fmt.Errorf("the database isn't finished, and nothing can be booked on it: %w", err)
	}
	fmt.Fprintf(w.out, "the store generation is renewed; %d messages and %d notices that may have been sent won't be, and the reminders of %d days\n",
		done.Messages, done.Notices, done.ReminderDays)
	fmt.Fprintf(w.out, "%d keys of administrators are valid, also those that were ended since: jari admin keys\n", done.AdminKeys)
	return nil
}

// open opens the backup and holds it against the checksum beside it, if there is one.
func (c restoreCommand) open() (*os.File, error) {
	f, err := os.Open(c.File)
	if err != nil {
		return nil, fmt.Errorf("opening the backup: %w", err)
	}
	written, err := os.ReadFile(c.File + ".sha256")
	if errors.Is(err, os.ErrNotExist) {
		return f, nil // what is sealed shows by itself whether it was changed
	}
	sum := sha256.New()
	if err == nil {
		_, err = io.Copy(sum, f)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if want, _, _ := strings.Cut(string(written), " "); err == nil && want != hex.EncodeToString(sum.Sum(nil)) {
		err = fmt.Errorf("%s isn't the file that %s.sha256 was made for: it was changed or cut off", c.File, c.File)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (c restoreCommand) check(w surroundings) error {
	cfg, err := config.Read(w.environ)
	if err != nil {
		return err
	}
	f, err := c.open()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	found, err := app.CheckBackup(f, cfg.Environment, string(cfg.BackupKeys), string(cfg.DataKeys))
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	fmt.Fprintf(w.out, "%s is whole: what was committed until %s on PostgreSQL %s, migration %d\n", c.File,
		found.MadeAt.Format(time.RFC3339Nano), found.Server, found.Migration)
	n := found.Counts
	fmt.Fprintf(w.out, "%d bookings (%d rows), %d people, %d slots, %d versions of campaigns, %d messages, %d entries of the audit; audit head %s\n",
		n.Bookings, n.Rows, n.Persons, n.Slots, n.Versions, n.Messages, n.Audit, found.AuditHead)
	switch {
	case !found.KeysKnown:
		fmt.Fprintln(w.out, "JARI_DATA_KEYS isn't set: whether it opens what is sealed inside wasn't looked at")
	case len(found.MissingKeys) > 0:
		return fmt.Errorf("JARI_DATA_KEYS lacks keys that rows in it are sealed with: %08x", found.MissingKeys)
	default:
		fmt.Fprintln(w.out, "JARI_DATA_KEYS has every key that rows in it are sealed with")
	}
	return nil
}
