//go:build unix

package main

import (
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/localstores"
	"jari/test/jaritest"
	"jari/test/storetest"
)

// archiving are the settings of deploy/postgres/jari.conf for the archived log, with another folder for the archive.
func archiving(t *testing.T, archive string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("../../deploy/postgres/jari.conf")
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{"restore_command": "cp " + archive + "/%f %p"}
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+) = '?(.*?)'?$`).FindAllStringSubmatch(string(raw), -1) {
		switch m[1] {
		case "wal_level", "archive_mode", "archive_command", "max_wal_senders", "full_page_writes":
			settings[m[1]] = strings.ReplaceAll(m[2], "/archive/", archive+"/")
		}
	}
	if len(settings) != 6 {
		t.Fatalf("jari.conf has other settings for the archive: %v", settings)
	}
	return settings
}

// baseBackup makes a base backup, as deploy/postgres/README.md says.
func baseBackup(t *testing.T, url, folder string) {
	t.Helper()
	made := exec.CommandContext(t.Context(), "pg_basebackup", "--dbname="+url, "--pgdata="+folder, "--checkpoint=fast", "--wal-method=none", "--no-sync")
	if said, err := made.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v: %s", err, said)
	}
}

// recoverTo puts a base backup where the lost data was, to be recovered from the archived log up to an instant.
func recoverTo(t *testing.T, base, data string, to time.Time) {
	t.Helper()
	info, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	owner, _ := info.Sys().(*syscall.Stat_t)
	conf, err := os.OpenFile(filepath.Join(base, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = conf.WriteString("recovery_target_time = '" + to.UTC().Format("2006-01-02 15:04:05.999999+00") + "'\nrecovery_target_action = 'promote'\n")
	}
	if err == nil {
		err = conf.Close()
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(base, "recovery.signal"), nil, 0o600)
	}
	if err == nil && os.Geteuid() == 0 { // where root runs the tests another user runs the stores
		err = filepath.WalkDir(base, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, int(owner.Uid), int(owner.Gid))
		})
	}
	if err == nil {
		err = os.Rename(data, data+".lost")
	}
	if err == nil {
		err = os.Rename(base, data)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The recovery to an instant, by the steps of deploy/postgres/README.md: a base backup, the archived log, and what Jari needs
// besides. What was acknowledged before the instant is there; what came after it is gone, and Redis, which remembers that, isn't
// believed.
func TestADatabaseIsRecoveredToAnInstant(t *testing.T) {
	t.Parallel()
	archive := filepath.Join(t.TempDir(), "archive")
	if err := os.Mkdir(archive, 0o700); err != nil {
		t.Fatal(err)
	}
	// The stores' own user writes there.
	if err := os.Chmod(archive, 0o777); err != nil {
		t.Fatal(err)
	}
	stores := storetest.Private(t, localstores.Options{PostgresSettings: archiving(t, archive)})
	s := jaritest.Start(t, jaritest.WithStores(stores))
	const day = "2021-07-27"
	before, after, late := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	one := s.Slot(t, jaritest.SiteOfOne, day)
	base := filepath.Join(t.TempDir(), "base")
	baseBackup(t, s.Variable("JARI_POSTGRES_URL"), base)

	kept := before.MustBook(t, s.Slot(t, jaritest.SiteOfFew, day)) // after the base backup: it comes from the log
	head := strings.TrimSpace(jari(t, s.Environ(), "audit", "head").want(t).out)
	var instant time.Time
	var sold string
	if err := s.Pool.QueryRow(t.Context(), `SELECT clock_timestamp(), generation::text FROM store_generation`).Scan(&instant, &sold); err != nil {
		t.Fatal(err)
	}
	after.MustBook(t, one) // the only place
	var segment string
	if err := s.Pool.QueryRow(t.Context(), `SELECT pg_walfile_name(pg_switch_wal())`).Scan(&segment); err != nil {
		t.Fatal(err)
	}
	jaritest.Eventually(t, time.Minute, "the log is archived", func() bool {
		_, err := os.Stat(filepath.Join(archive, segment))
		return err == nil
	})
	lostAt := time.Now()
	s.Stop(t)
	if err := stores.Postgres().Kill(t.Context()); err != nil {
		t.Fatal(err)
	}

	recoverTo(t, base, filepath.Join(stores.Dir(), "postgres"), instant)
	if err := stores.Postgres().Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Pool.Reset()
	jaritest.Eventually(t, time.Minute, "the database takes writes again", func() bool {
		var recovering bool
		err := s.Pool.QueryRow(t.Context(), `SELECT pg_is_in_recovery()`).Scan(&recovering)
		return err == nil && !recovering
	})
	jari(t, s.Environ(), "restore", "--recovered", instant.Format(time.RFC3339Nano), "--lost-at", lostAt.Format(time.RFC3339Nano)).
		want(t, "store generation is renewed")
	jari(t, s.Environ(), "audit", "verify", "--head", head).want(t, "are right")
	jari(t, s.Environ(), "keys", "check").want(t, "JARI_DATA_KEYS opens")

	again := s.Another(t)
	if b := before.At(again).Booking(t); b.Reference != kept.Reference || b.Status != "active" {
		t.Errorf("what was acknowledged before the instant is %+v", b)
	}
	after.At(again).Do(t, http.MethodGet, again.Path("/booking"), nil).Want(t, http.StatusNotFound, fault.CodeNoBooking)
	var generation string
	if err := again.Pool.QueryRow(t.Context(), `SELECT generation::text FROM store_generation`).Scan(&generation); err != nil || generation == sold {
		t.Errorf("the store generation is %s as before (%v)", generation, err)
	}
	// Redis remembers the only place as sold, with a higher version.
	jaritest.Eventually(t, time.Minute, "the place that is free again can be booked", func() bool {
		return late.At(again).Hold(t, one).Status == http.StatusOK
	})
	late.At(again).MustBook(t, one)
	after.At(again).Hold(t, one).Want(t, http.StatusConflict, fault.CodeSlotFull)
	again.CheckBooks(t)
}
