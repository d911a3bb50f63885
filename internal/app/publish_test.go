package app

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	korea2021 "jari/examples/korea-2021"
	"jari/internal/fault"
	"jari/internal/postgres"
	"jari/internal/slot"
	"jari/test/storetest"
)

const smallCampaign = `campaign: small
title: {ko: 작은 예약, en: A small one}
zone: Asia/Seoul
regions:
  - {region: seoul, name: {ko: 서울, en: Seoul}}
waves:
  - wave: W1
    title: {ko: 하나, en: One}
    who_in_words: {ko: 누구나, en: Anybody}
    who: {birth_date: {from: "1900-01-01", to: "2000-12-31"}}
    opens_at: "2021-07-19T20:00:00+09:00"
    closes_at: "2021-07-20T18:00:00+09:00"
    slots: {from: "2021-08-16", to: "2021-08-28"}
sites: sites.csv
slots: slots.yaml
cases:
  - {name: it opens, birth_date: "1967-01-01", at: "2021-07-19T20:00:00+09:00", expect: "yes", wave: W1}
`

const smallSites = "site_id,region,name,name_en,address,telephone,latitude,longitude,wheelchair,slot_template\n" +
	"a,seoul,가의원,Clinic A,서울 1,02-000-0001,,,yes,clinic\n" +
	"b,seoul,나의원,,서울 2,02-000-0002,,,no,clinic\n" +
	"c,seoul,다의원,,서울 3,,,,no,\n"

const smallSlots = `templates:
  clinic:
    weekdays: [mon, tue]
    from: "2021-08-23"
    to: "2021-08-24"
    hours: [{from: "09:00", to: "11:00", every_minutes: 60, capacity: 5}]
`

// files are the small campaign's, with replacements: name, old, new.
func files(t testing.TB, replacements ...string) fstest.MapFS {
	t.Helper()
	texts := map[string]string{"campaign.yaml": smallCampaign, "sites.csv": smallSites, "slots.yaml": smallSlots}
	for r := replacements; len(r) > 0; r = r[3:] {
		if !strings.Contains(texts[r[0]], r[1]) {
			t.Fatalf("%s has no %q", r[0], r[1])
		}
		texts[r[0]] = strings.Replace(texts[r[0]], r[1], r[2], 1)
	}
	m := fstest.MapFS{}
	for name, text := range texts {
		m["folder/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

const campaignFile = "folder/campaign.yaml"

func publish(t testing.TB, pool *pgxpool.Pool, f fs.FS) Published {
	t.Helper()
	p, err := Publish(t.Context(), pool, f, campaignFile, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// rows is everything that publishing writes, as text.
func rows(t testing.TB, pool *pgxpool.Pool) (text string) {
	t.Helper()
	err := pool.QueryRow(t.Context(), `SELECT coalesce(string_agg(r, E'\n' ORDER BY r), '') FROM (
		SELECT c::text FROM campaigns c UNION ALL SELECT v::text FROM campaign_versions v
		UNION ALL SELECT s::text FROM sites s UNION ALL SELECT s::text FROM slots s) all_of_it(r)`).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func exec(t testing.TB, pool *pgxpool.Pool, sql string, arguments ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, arguments...); err != nil {
		t.Fatal(err)
	}
}

func TestPublishingWritesAllOfIt(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	p := publish(t, pool, files(t))
	want := Published{Campaign: "small", Version: 1, New: true, Sites: 3, Slots: slot.Saved{Created: 8}, Places: 40}
	if p.Campaign != want.Campaign || p.Version != 1 || !p.New || p.Sites != 3 || p.Places != 40 || p.Slots.Created != 8 ||
		p.Slots.Changed+p.Slots.Unchanged != 0 {
		t.Errorf("it says %+v, not %+v", p, want)
	}
	var starts time.Time
	if err := pool.QueryRow(t.Context(), `SELECT min(starts_at) FROM slots`).Scan(&starts); err != nil || !starts.Equal(time.Date(2021, 8, 23, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("nine o'clock in Seoul is %s (%v)", starts, err)
	}
}

func TestTheExampleCanBePublished(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	p, err := Publish(t.Context(), pool, korea2021.Files, "campaign.yaml", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	again, err := Publish(t.Context(), pool, korea2021.Files, "campaign.yaml", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if p.Places < 100_000 || again.New || again.Version != 1 || again.Slots.Unchanged != p.Slots.Created || again.Slots.Changed != 0 {
		t.Errorf("first %+v, then %+v", p, again)
	}
}

func TestPublishingIsAllOrNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		replace []string
		says    []string
	}{
		"a site in a region that isn't listed": {
			[]string{"sites.csv", "b,seoul", "b,busan"}, []string{`site b is in region "busan"`},
		},
		"a case that fails": {
			[]string{"campaign.yaml", `expect: "yes"`, `expect: "no"`}, []string{"case 1 (it opens) fails"},
		},
		"a wave without a case": {
			[]string{"campaign.yaml", "cases:\n  -", "cases: [] #"},
			[]string{"wave W1 has no case"},
		},
		"a rule that can't be": {
			[]string{"campaign.yaml", `closes_at: "2021-07-20`, `closes_at: "2021-07-18`}, []string{"can't be published"},
		},
		"a file that isn't there": {
			[]string{"campaign.yaml", "sites: sites.csv", "sites: other.csv"}, []string{"other.csv"},
		},
		"a slots file that isn't there": {
			[]string{"campaign.yaml", "slots: slots.yaml", "slots: other.yaml"}, []string{"other.yaml"},
		},
		"a file outside of the folder": {
			[]string{"campaign.yaml", "sites: sites.csv", "sites: ../../etc/passwd"}, []string{"etc/passwd"},
		},
		"bad_rows_are_named": {
			[]string{"sites.csv", "b,seoul", "B,seoul", "sites.csv", ",no,\n", ",perhaps,\n"}, []string{"line 3: ", "line 4: "},
		},
		"a template that isn't there": {
			[]string{"sites.csv", ",no,clinic", ",no,hospital"}, []string{`site b follows the template "hospital"`},
		},
		"a template that can't be": {
			[]string{"slots.yaml", "[mon, tue]", "[mon, moonday]"}, []string{"template clinic", "moonday"},
		},
		"slots that overlap": {
			[]string{"slots.yaml", "hours: [{", "hours: [{from: \"08:30\", to: \"09:30\", every_minutes: 60, capacity: 1}, {"}, []string{"overlap"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := storetest.Postgres(t)
			before := rows(t, pool)
			_, err := Publish(t.Context(), pool, files(t, tc.replace...), campaignFile, time.Now())
			if err == nil {
				t.Fatal("it was published")
			}
			for _, says := range tc.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q isn't said: %v", says, err)
				}
			}
			if after := rows(t, pool); after != before {
				t.Errorf("something was written: %s", after)
			}
		})
	}
	t.Run("a campaign file that isn't there", func(t *testing.T) {
		t.Parallel()
		if _, err := Publish(t.Context(), storetest.Postgres(t), fstest.MapFS{}, campaignFile, time.Now()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
	})
	t.Run("a database that says no in the middle", func(t *testing.T) {
		t.Parallel()
		pool := storetest.Postgres(t)
		publish(t, pool, files(t))
		before := rows(t, pool)
		exec(t, pool, `ALTER TABLE campaign_versions ADD CONSTRAINT no_more CHECK (version < 2)`)
		_, err := Publish(t.Context(), pool, files(t, "campaign.yaml", "A small one", "Another", "slots.yaml", "capacity: 5", "capacity: 6"),
			campaignFile, time.Now())
		if postgres.Constraint(err) != "no_more" {
			t.Errorf("%v", err)
		}
		if after := rows(t, pool); after != before {
			t.Error("some of it was written")
		}
	})
	t.Run("a database that isn't there", func(t *testing.T) {
		t.Parallel()
		pool, err := postgres.Open(t.Context(), "postgres://jari@127.0.0.1:1/jari", postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		if _, err := Publish(t.Context(), pool, files(t), campaignFile, time.Now()); fault.CodeOf(err) != fault.CodeStoreUnavailable {
			t.Errorf("%v", err)
		}
	})
}

func TestACampaignWithoutPlacesCanBePublished(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	p := publish(t, pool, files(t, "campaign.yaml", "sites: sites.csv\nslots: slots.yaml\n", ""))
	if !p.New || p.Sites != 0 || p.Places != 0 {
		t.Errorf("%+v", p)
	}
	// Sites without templates need no slots file.
	p = publish(t, pool, files(t, "campaign.yaml", "slots: slots.yaml\n", "", "sites.csv", ",yes,clinic", ",yes,", "sites.csv", ",no,clinic", ",no,"))
	if p.New || p.Sites != 3 || p.Places != 0 {
		t.Errorf("%+v", p)
	}
}

// booked books places by hand in the first slot of site a, and returns the slot.
func booked(t testing.TB, pool *pgxpool.Pool, n int) (id int64) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `
		UPDATE slots SET booked = $1, version = version + 1
		WHERE slot_id = (SELECT slot_id FROM slots WHERE site_id = 'a' ORDER BY starts_at LIMIT 1) RETURNING slot_id`, n).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func slotRow(t testing.TB, pool *pgxpool.Pool, id int64) (capacity, booked, version int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `SELECT capacity, booked, version FROM slots WHERE slot_id = $1`, id).Scan(&capacity, &booked, &version); err != nil {
		t.Fatal(err)
	}
	return capacity, booked, version
}

func TestRepublishingSlotsKeepsWhatIsBooked(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	publish(t, pool, files(t))
	id := booked(t, pool, 3)
	t.Run("the same files change nothing", func(t *testing.T) { //nolint:paralleltest // one after the other
		p := publish(t, pool, files(t))
		if p.New || p.Slots.Unchanged != 8 || p.Slots.Changed != 0 || p.Slots.Created != 0 {
			t.Errorf("%+v", p)
		}
		if capacity, n, version := slotRow(t, pool, id); capacity != 5 || n != 3 || version != 2 {
			t.Errorf("%d of %d are booked at version %d", n, capacity, version)
		}
	})
	t.Run("a larger capacity keeps the bookings and raises the version", func(t *testing.T) { //nolint:paralleltest // as above
		p := publish(t, pool, files(t, "slots.yaml", "capacity: 5", "capacity: 7"))
		if p.Slots.Changed != 8 || p.Slots.Created != 0 {
			t.Errorf("%+v", p)
		}
		if capacity, n, version := slotRow(t, pool, id); capacity != 7 || n != 3 || version != 3 {
			t.Errorf("%d of %d are booked at version %d", n, capacity, version)
		}
	})
	t.Run("just what is booked is enough", func(t *testing.T) { //nolint:paralleltest // as above
		publish(t, pool, files(t, "slots.yaml", "capacity: 5", "capacity: 3"))
		if capacity, n, _ := slotRow(t, pool, id); capacity != 3 || n != 3 {
			t.Errorf("%d of %d are booked", n, capacity)
		}
	})
	t.Run("slots that the files don't name any more stay", func(t *testing.T) { //nolint:paralleltest // as above
		p := publish(t, pool, files(t, "sites.csv", "a,seoul,가의원,Clinic A,서울 1,02-000-0001,,,yes,clinic\n", ""))
		if p.Sites != 2 || p.Slots.Created != 0 {
			t.Errorf("%+v", p)
		}
		if capacity, n, _ := slotRow(t, pool, id); capacity != 3 || n != 3 {
			t.Errorf("%d of %d are booked", n, capacity)
		}
	})
}

func TestCapacityBelowBookedIsRefused(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	publish(t, pool, files(t))
	booked(t, pool, 3)
	before := rows(t, pool)
	_, err := Publish(t.Context(), pool, files(t, "slots.yaml", "capacity: 5", "capacity: 2", "campaign.yaml", "A small one", "Another"),
		campaignFile, time.Now())
	if err == nil {
		t.Fatal("it was published")
	}
	for _, says := range []string{"nothing was published", "site a, 2021-08-23T00:00:00Z: 3 are booked and the plan has 2 places"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q isn't said: %v", says, err)
		}
	}
	if after := rows(t, pool); after != before {
		t.Error("some of it was written")
	}
}

func TestManySlotsThatAreTooFullAreToldInFewLines(t *testing.T) {
	t.Parallel()
	full := make([]slot.TooFull, 25)
	for i := range full {
		full[i] = slot.TooFull{Site: fmt.Sprintf("s%d", i), Booked: 2, Capacity: 1}
	}
	err := tooFull(full)
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 22 || lines[21] != "… and 5 more" {
		t.Errorf("%d lines: %v", len(lines), err)
	}
	if err := tooFull(nil); err != nil {
		t.Errorf("none: %v", err)
	}
}

func TestPublishingWhilePlacesAreBookedNeverDeadlocksNorLosesABooking(t *testing.T) {
	t.Parallel()
	// many_slots_locked_in_one_order.
	pool := storetest.Postgres(t)
	publish(t, pool, files(t))
	const bookings = 20
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 6 {
			if _, err := Publish(t.Context(), pool, files(t, "slots.yaml", "capacity: 5", fmt.Sprintf("capacity: %d", 100+i%2)), campaignFile, time.Now()); err != nil {
				t.Errorf("publishing: %v", err)
			}
		}
	})
	for range 2 {
		wg.Go(func() {
			for range bookings / 2 {
				// As a flush does it: the slots in ascending order.
				if _, err := pool.Exec(t.Context(), `
					WITH l AS (SELECT slot_id FROM slots ORDER BY slot_id FOR UPDATE)
					UPDATE slots SET booked = booked + 1, version = version + 1 WHERE slot_id IN (SELECT slot_id FROM l) AND capacity > booked`); err != nil {
					t.Errorf("booking: %v", err)
				}
			}
		})
	}
	wg.Wait()
	var wrong int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM slots WHERE capacity < booked OR capacity < 100`).Scan(&wrong); err != nil || wrong != 0 {
		t.Errorf("%d slots are wrong (%v)", wrong, err)
	}
}
