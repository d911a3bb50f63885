package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/internal/localstores"
	"jari/test/jaritest"
	"jari/test/storetest"
)

// custodian is the environment of whoever backs a deployment up and restores it: its own, with the keys for backups.
func custodian(t *testing.T, s *jaritest.Server) []string {
	t.Helper()
	key := strings.TrimSpace(jari(t, nil, "keys", "generate", "--environment=development", "--backup").want(t).out)
	return append(s.Environ(), key)
}

// loseDatabase takes the database away, as a disk would, and makes an empty one in its place.
func loseDatabase(t *testing.T, url string) {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	name := pgx.Identifier{config.Database}.Sanitize()
	config.Database = "postgres"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // only commands
	for _, statement := range []string{"DROP DATABASE " + name + " WITH (FORCE)", "CREATE DATABASE " + name} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// visitors book until they are told to stop, and remember what was acknowledged and when.
type visitors struct {
	mu   sync.Mutex
	told []acknowledged
}

type acknowledged struct {
	citizen *jaritest.Citizen
	booking httpapi.Booking
	at      time.Time
}

func (v *visitors) book(t *testing.T, c *jaritest.Citizen, slot string) {
	t.Helper()
	b := c.MustBook(t, slot)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.told = append(v.told, acknowledged{c, b, time.Now()})
}

// The drill: people book while the backup is made and afterwards; then the database is lost, with Redis remembering a time
// that never was. It is restored by the commands that an operator has.
func TestALostDatabaseIsRestored(t *testing.T) {
	t.Parallel()
	stores := storetest.Private(t, localstores.Options{})
	s := jaritest.Start(t, jaritest.WithStores(stores))
	operator := custodian(t, s)
	const day = "2021-07-27"
	hall, few := s.Slot(t, jaritest.SiteOfMany, day), s.Slot(t, jaritest.SiteOfFew, day)
	crowd := s.NewCrowd(t, 34, jaritest.BornForE3)
	var v visitors
	for i := range 8 {
		v.book(t, crowd[i], hall)
	}
	v.book(t, crowd[8], few)
	s.Settle(t)
	// A message that waits while the backup is made, and is sent afterwards.
	waiting := v.told[0].booking.BookingId
	if _, err := s.Pool.Exec(t.Context(), `UPDATE messages SET state = 'queued', settled_at = NULL WHERE kind = 'booked' AND booking_id = $1`, waiting); err != nil {
		t.Fatal(err)
	}

	// The backup, under load.
	folder := t.TempDir()
	file := filepath.Join(folder, "night.backup")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 9; i < 24; i++ {
			v.book(t, crowd[i], hall)
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	began := time.Now()
	made := jari(t, operator, "backup", file).want(t, "checksum", "audit head")
	close(stop)
	<-stopped
	head := regexp.MustCompile(`audit head (\S+)`).FindStringSubmatch(made.out)[1]
	jari(t, operator, "restore", "--check", file).want(t, "is whole", "has every key", head)

	// What comes after the backup: the last places of a site are sold, the message is sent, and then everything is lost.
	var after visitors
	for i := 24; i < 26; i++ {
		after.book(t, crowd[i], few)
	}
	after.book(t, crowd[26], hall)
	if _, err := s.Pool.Exec(t.Context(), `UPDATE messages SET state = 'sent', settled_at = now() WHERE booking_id = $1 AND kind = 'booked'`, waiting); err != nil {
		t.Fatal(err)
	}
	var sold string
	if err := s.Pool.QueryRow(t.Context(), `SELECT generation::text FROM store_generation`).Scan(&sold); err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	loseDatabase(t, s.Variable("JARI_POSTGRES_URL"))
	s.Pool.Reset()

	jari(t, operator, "restore", file).want(t, "loaded what was committed", "1 messages", "keys of administrators")
	jari(t, operator, "restore", file).wantFault(t, "isn't empty")
	jari(t, operator, "audit", "verify", "--head", head).want(t, "are right")
	jari(t, operator, "keys", "check").want(t, "JARI_DATA_KEYS opens")
	jari(t, operator, "migrate", "status").want(t)

	again := s.Another(t)
	lost := 0
	for _, a := range v.told {
		got := a.citizen.At(again).Do(t, http.MethodGet, again.Path("/booking"), nil)
		if got.Status == http.StatusOK {
			var b httpapi.Booking
			got.Into(t, &b)
			if b.Reference != a.booking.Reference {
				t.Errorf("booking %s came back with reference %s", a.booking.Reference, b.Reference)
			}
			continue
		}
		lost++
		if a.at.Before(began) {
			t.Errorf("a booking that was acknowledged %s before the backup began is lost: %s", began.Sub(a.at), got.Body)
		}
	}
	t.Logf("%d bookings before and during the backup, %d of those during it came too late for it", len(v.told), lost)
	for _, a := range after.told {
		a.citizen.At(again).Do(t, http.MethodGet, again.Path("/booking"), nil).Want(t, http.StatusNotFound, fault.CodeNoBooking)
	}
	again.CheckBooks(t)

	// Redis still remembers the site as sold out, with higher versions; the new generation wins.
	var generation string
	if err := again.Pool.QueryRow(t.Context(), `SELECT generation::text FROM store_generation`).Scan(&generation); err != nil || generation == sold {
		t.Fatalf("the store generation is %s as before (%v)", generation, err)
	}
	two := 0
	jaritest.Eventually(t, time.Minute, "what is free again can be booked, and no more than that", func() bool {
		for _, c := range crowd[27:] {
			if two == 2 {
				break
			}
			got := c.At(again).Hold(t, few)
			if got.Status >= http.StatusBadRequest {
				return false
			}
			var h httpapi.Hold
			got.Into(t, &h)
			c.At(again).Confirm(t, h.HoldToken).Want(t, http.StatusCreated)
			two++
		}
		return two == 2
	})
	crowd[33].At(again).Hold(t, few).Want(t, http.StatusConflict, fault.CodeSlotFull)
	again.CheckBooks(t)

	// The message that was sent after the backup isn't sent again, whatever is worked off now.
	again.Settle(t)
	var state string
	if err := again.Pool.QueryRow(t.Context(), `SELECT state FROM messages WHERE kind = 'booked' AND booking_id = $1`, waiting).Scan(&state); err != nil || state != "unknown" {
		t.Errorf("the message that may have been sent is %s (%v)", state, err)
	}
	jari(t, operator, "audit", "verify", "--head", head).want(t, "are right")
}

func TestABackupThatCantBeTrustedIsRefused(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	operator := custodian(t, s)
	folder := t.TempDir()
	file := filepath.Join(folder, "a.backup")
	jari(t, operator, "backup", file).want(t)
	jari(t, operator, "backup", file).wantFault(t, "never written over")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"PGDMP", "small-2021", "bookings", `"environment"`} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("%q can be read in the file", secret)
		}
	}
	changed := filepath.Join(folder, "changed.backup")
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(changed, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	empty := slices.Clone(operator)
	url := storetest.EmptyPostgresURL(t)
	empty = append(empty, "JARI_POSTGRES_URL="+url)

	flipped := slices.Clone(raw)
	flipped[len(flipped)/2] ^= 1
	write(flipped)
	jari(t, operator, "restore", "--check", changed).wantFault(t, "damaged")
	jari(t, empty, "restore", changed).wantFault(t)
	write(raw[:len(raw)-20])
	jari(t, operator, "restore", "--check", changed).wantFault(t, "damaged")
	jari(t, empty, "restore", changed).wantFault(t)
	write([]byte("hello"))
	jari(t, operator, "restore", "--check", changed).wantFault(t, "isn't a backup")
	if err := os.WriteFile(changed+".sha256", []byte("00  changed.backup\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	jari(t, operator, "restore", "--check", changed).wantFault(t, "changed or cut off")

	other := jari(t, nil, "keys", "generate", "--environment=development", "--backup").want(t).out
	jari(t, append(slices.Clone(operator), strings.TrimSpace(other)), "restore", "--check", file).wantFault(t, "can't be opened with JARI_BACKUP_KEYS")
	jari(t, s.Environ(), "restore", "--check", file).wantFault(t, "JARI_BACKUP_KEYS is missing")
	jari(t, operator, "restore").wantFault(t, "name a backup")
	// What failed left nothing behind: the whole one can be restored.
	jari(t, empty, "restore", file, "--moved").want(t, "store generation is renewed; 0 messages")
	jari(t, empty, "restore", "--recovered", time.Now().Add(-time.Minute).Format(time.RFC3339)).want(t, "store generation is renewed")
}

// A database that was loaded by other means than jari restore, and not finished, sells nothing, whatever Redis remembers.
func TestADatabaseWithoutAGenerationSellsNothing(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	slot := s.Slot(t, jaritest.SiteOfOne, "2021-07-27")
	c := s.NewCitizen(t, jaritest.BornForE3)
	h := c.MustHold(t, slot)
	if _, err := s.Pool.Exec(t.Context(), `DELETE FROM store_generation`); err != nil {
		t.Fatal(err)
	}
	if got := c.Confirm(t, h.HoldToken); got.Status < http.StatusInternalServerError {
		t.Errorf("a place is sold: %d %s", got.Status, got.Body)
	}
	if _, booked := s.Row(t, slot); booked != 0 {
		t.Errorf("%d are booked", booked)
	}
}

func TestKeysAreGivenToSeveralPeople(t *testing.T) {
	t.Parallel()
	lines := jari(t, nil, "keys", "generate", "--environment=production").want(t).out
	with := func(stdin string, arguments ...string) ran {
		t.Helper()
		var out, words strings.Builder
		fault := run(surroundings{ctx: t.Context(), in: strings.NewReader(stdin), out: &out, err: &words}, arguments)
		return ran{out: out.String(), err: words.String(), fault: fault}
	}
	parts := strings.Split(strings.TrimSpace(with(lines, "keys", "split", "--needed=2", "--of=3").want(t).out), "\n")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	if got := with(parts[2]+"\n"+parts[0], "keys", "join").want(t).out; strings.TrimSpace(got) != strings.TrimSpace(lines) {
		t.Error("two of three give something else back")
	}
	with(parts[1], "keys", "join").wantFault(t, "2 different parts are needed")
	with("hello", "keys", "split").wantFault(t, "line 1")
	for i, p := range parts {
		if strings.Contains(p, "JARI_") || strings.Contains(p, "production") {
			t.Errorf("part %d tells something: %s", i+1, strconv.Itoa(len(p)))
		}
	}
}
