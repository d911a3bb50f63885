package campaign

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/localstores"
	"jari/internal/postgres"
	"jari/test/storetest"
)

// within is long, so that a slow machine doesn't make a snapshot old.
const within = time.Minute

func newService(t testing.TB, pool *pgxpool.Pool, clk clock.Clock) *Service {
	t.Helper()
	return NewService(pool, clk, within, slog.New(slog.NewTextHandler(t.Output(), nil)))
}

// publish saves a version in a transaction of its own.
func publish(t testing.TB, pool *pgxpool.Pool, d Document, effectiveAt time.Time) (version int64, published bool) {
	t.Helper()
	err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) (err error) {
		if err := Lock(t.Context(), tx, d.ID); err != nil {
			return err
		}
		version, published, err = SaveVersion(t.Context(), tx, d, effectiveAt)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return version, published
}

func saveSites(t testing.TB, pool *pgxpool.Pool, id string, sites ...Site) {
	t.Helper()
	err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		if err := Lock(t.Context(), tx, id); err != nil {
			return err
		}
		return SaveSites(t.Context(), tx, id, sites)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func refresh(t testing.TB, services ...*Service) {
	t.Helper()
	for _, s := range services {
		if err := s.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func wantCode(t testing.TB, err error, want fault.Code) {
	t.Helper()
	if got := fault.CodeOf(err); got != want {
		t.Errorf("answered %v, not %s", err, want)
	}
}

func TestAPublishedVersionReadsAsItWasWritten(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	d := parsed(t)
	d.Notice, d.Sites, d.Slots = &Words{Ko: "알림", En: "Notice"}, "sites.csv", "slots.yaml"
	publish(t, pool, d, time.Now())
	s := newService(t, pool, clock.System{})
	refresh(t, s)
	c, err := s.Get("small")
	if err != nil {
		t.Fatal(err)
	}
	want, err := Compile(d, 1)
	if err != nil {
		t.Fatal(err)
	}
	if c.Title != want.Title || *c.Notice != *want.Notice || c.HoldSeconds != want.HoldSeconds ||
		!c.Openings[0].OpensAt.Equal(want.Openings[0].OpensAt) || c.Location.String() != "Asia/Seoul" {
		t.Errorf("read as %+v", c.Document)
	}
	if c.Document.Sites != "" || c.Slots != "" {
		t.Error("the version keeps the names of files that aren't kept with it")
	}
}

func TestPublishingTheSameAgainPublishesNothing(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	d := parsed(t)
	for i, want := range []struct {
		version int64
		fresh   bool
		change  func()
	}{
		{1, true, func() {}},
		{1, false, func() {}},
		{1, false, func() { d.Sites = "elsewhere.csv" }}, // files aren't part of the version
		{2, true, func() { d.Title.En = "Another" }},
		{2, false, func() {}},
		{3, true, func() { d = parsed(t) }}, // back to what the first said
	} {
		want.change()
		version, fresh := publish(t, pool, d, time.Now())
		if version != want.version || fresh != want.fresh {
			t.Errorf("publication %d gave version %d (new: %v)", i, version, fresh)
		}
	}
}

func TestTwoWhoPublishTakeTurns(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	var wg sync.WaitGroup
	seen := make(chan int64, 8)
	for i := range cap(seen) {
		wg.Go(func() {
			d := parsed(t)
			d.HoldSeconds = 60 + i
			version, fresh := publish(t, pool, d, time.Now())
			if !fresh {
				t.Error("a document of its own wasn't published")
			}
			seen <- version
		})
	}
	wg.Wait()
	close(seen)
	versions := map[int64]bool{}
	for v := range seen {
		versions[v] = true
	}
	if len(versions) != cap(seen) || !versions[1] || !versions[int64(cap(seen))] {
		t.Errorf("the versions are %v", versions)
	}
}

func TestAPublishedVersionNeverChanges(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	publish(t, pool, parsed(t), time.Now())
	for _, statement := range []string{
		`UPDATE campaign_versions SET document = '{}'`,
		`UPDATE campaign_versions SET effective_at = now()`,
		`DELETE FROM campaign_versions`,
	} {
		if _, err := pool.Exec(t.Context(), statement); postgres.Constraint(err) != "campaign_versions_immutable" {
			t.Errorf("%s: refused by %q (%v)", statement, postgres.Constraint(err), err)
		}
	}
}

func TestTheFirstVersionCountsFromTheBeginning(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	now := time.Now()
	publish(t, pool, parsed(t), now.AddDate(1, 0, 0))
	s := newService(t, pool, clock.NewManual(instant(t, "1970-01-02T00:00:00Z")))
	refresh(t, s)
	if c, err := s.Get("small"); err != nil || c.Version != 1 {
		t.Fatalf("%v", err)
	}
}

func TestAVersionCountsFromItsInstant(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	at := instant(t, "2021-07-20T12:00:00+09:00")
	clk := clock.NewManual(at.Add(-time.Millisecond))
	d := parsed(t)
	publish(t, pool, d, at)
	d.HoldSeconds = 600
	publish(t, pool, d, at)
	s := newService(t, pool, clk)
	refresh(t, s)
	want := func(version int64) {
		t.Helper()
		c, err := s.Get("small")
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.List()
		if err != nil {
			t.Fatal(err)
		}
		room, err := s.ByRoom("small")
		if err != nil {
			t.Fatal(err)
		}
		if c.Version != version || list[0].Version != version || room.Version != version {
			t.Errorf("at %s versions %d, %d and %d count, not %d", clk.Now(), c.Version, list[0].Version, room.Version, version)
		}
	}
	want(1)
	clk.Advance(time.Millisecond)
	want(2) // Without asking Postgres again.
	clk.Advance(-time.Millisecond)
	want(1)
	// A version that is published later with an earlier instant is the newer one from its instant on.
	d.HoldSeconds = 900
	publish(t, pool, d, at.Add(-time.Hour))
	refresh(t, s)
	want(3)
	for v := int64(1); v <= 3; v++ {
		if c, ok := s.Version("small", v); !ok || c.Version != v {
			t.Errorf("version %d, by which somebody may have booked, is gone", v)
		}
	}
	if _, ok := s.Version("small", 4); ok {
		t.Error("version 4 exists")
	}
	if _, ok := s.Version("other", 1); ok {
		t.Error("a campaign that doesn't exist has a version")
	}
}

func TestRulesReachEveryInstanceBeforeOpening(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	d := parsed(t)
	publish(t, pool, d, time.Now())
	one, two := newService(t, pool, clock.System{}), newService(t, pool, clock.System{})
	refresh(t, one, two)
	d.HoldSeconds = 600
	publish(t, pool, d, time.Now().Add(-time.Second))
	saveSites(t, pool, "small", Site{ID: "a", Region: "seoul", Name: "n", Address: "x"})
	refresh(t, one, two)
	for _, s := range []*Service{one, two} {
		c, err := s.Get("small")
		if err != nil {
			t.Fatal(err)
		}
		sites, err := s.Sites("small")
		if err != nil {
			t.Fatal(err)
		}
		if c.Version != 2 || len(sites.All()) != 1 {
			t.Errorf("an instance is at version %d with %d sites", c.Version, len(sites.All()))
		}
	}
}

func TestWhatDidntChangeIsntLoadedAgain(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	publish(t, pool, parsed(t), time.Now())
	s := newService(t, pool, clock.System{})
	refresh(t, s)
	before, err := s.Get("small")
	if err != nil {
		t.Fatal(err)
	}
	refresh(t, s)
	if after, err := s.Get("small"); err != nil || after != before {
		t.Error("an unchanged campaign was compiled again")
	}
}

func TestAVersionPublishedWhileLoadingIsKnownOnce(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	d := parsed(t)
	publish(t, pool, d, time.Now())
	stamps, err := loadStamps(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	d.HoldSeconds = 600
	publish(t, pool, d, time.Now()) // between the stamps and the versions
	s := newService(t, pool, clock.System{})
	e, err := s.refresh(t.Context(), nil, stamps[0])
	if err != nil {
		t.Fatal(err)
	}
	if stamps, err = loadStamps(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if e, err = s.refresh(t.Context(), e, stamps[0]); err != nil {
		t.Fatal(err)
	}
	if len(e.versions) != 2 {
		t.Errorf("%d versions are kept of 2", len(e.versions))
	}
}

func TestSitesAreFoundByIDAndRegion(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	lat, lon := 37.5, 126.9
	d := parsed(t)
	publish(t, pool, d, time.Now())
	all := []Site{
		{ID: "a", Region: "seoul", Name: "가", NameEn: "A", Address: "주소", Telephone: "02-000", Latitude: &lat, Longitude: &lon, Wheelchair: true},
		{ID: "b", Region: "busan", Name: "나", Address: "주소"},
		{ID: "c", Region: "seoul", Name: "다", Address: "주소"},
	}
	saveSites(t, pool, "small", all...)
	s := newService(t, pool, clock.System{})
	refresh(t, s)
	sites, err := s.Sites("small")
	if err != nil {
		t.Fatal(err)
	}
	a, ok := sites.Get("a")
	if !ok || a.NameEn != "A" || *a.Latitude != lat || *a.Longitude != lon || !a.Wheelchair {
		t.Errorf("a is %+v", a)
	}
	if _, ok := sites.Get("z"); ok {
		t.Error("z exists")
	}
	if in := sites.In("seoul"); len(in) != 2 || in[0].ID != "a" || in[1].ID != "c" {
		t.Errorf("in seoul are %+v", in)
	}
	if in := sites.In("jeju"); len(in) != 0 {
		t.Errorf("in jeju are %+v", in)
	}
	// A later file changes what it names and leaves what it doesn't.
	saveSites(t, pool, "small", Site{ID: "b", Region: "busan", Name: "새 이름", Address: "주소"})
	refresh(t, s)
	after, err := s.Sites("small")
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := after.Get("b"); b.Name != "새 이름" || len(after.All()) != 3 || after.Revision <= sites.Revision {
		t.Errorf("%d sites at revision %d, b is %+v", len(after.All()), after.Revision, b)
	}
}

func TestWhatIsntPublishedIsntFound(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	s := newService(t, pool, clock.System{})
	t.Run("an instance that never saw Postgres can't say that it doesn't exist", func(t *testing.T) { //nolint:paralleltest // comes before the next
		_, err := s.Get("small")
		wantCode(t, err, fault.CodeStoreUnavailable)
		_, err = s.Sites("small")
		wantCode(t, err, fault.CodeStoreUnavailable)
		_, err = s.ByRoom("small")
		wantCode(t, err, fault.CodeStoreUnavailable)
		_, err = s.List()
		wantCode(t, err, fault.CodeStoreUnavailable)
		wantCode(t, s.Confirmed(), fault.CodeRulesUnconfirmed)
	})
	t.Run("afterwards it can", func(t *testing.T) { //nolint:paralleltest // comes after the one before
		refresh(t, s)
		_, err := s.Get("small")
		wantCode(t, err, fault.CodeCampaignNotFound)
		_, err = s.Sites("small")
		wantCode(t, err, fault.CodeCampaignNotFound)
		_, err = s.ByRoom("small")
		wantCode(t, err, fault.CodeRoomNotFound)
		list, err := s.List()
		if err != nil || list == nil || len(list) != 0 {
			t.Errorf("empty_list_is_200: %v, %v", list, err)
		}
		if err := s.Confirmed(); err != nil {
			t.Error(err)
		}
	})
}

func TestAVersionThatCantBeReadLeavesTheSnapshotAsItWas(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	publish(t, pool, parsed(t), time.Now())
	s := newService(t, pool, clock.System{})
	refresh(t, s)
	confirmed := s.snapshot.Load().confirmedAt
	if _, err := pool.Exec(t.Context(), `
		INSERT INTO campaign_versions (campaign_id, version, document, effective_at) VALUES ('small', 2, '{"campaign": "small"}', now())`); err != nil {
		t.Fatal(err)
	}
	err := s.Refresh(t.Context())
	if err == nil || !strings.Contains(err.Error(), `"small" can't be published`) {
		t.Errorf("it was taken: %v", err)
	}
	if c, err := s.Get("small"); err != nil || c.Version != 1 || !s.snapshot.Load().confirmedAt.Equal(confirmed) {
		t.Error("the snapshot changed")
	}
}

// handClock is a clock whose real time is moved by hand.
type handClock struct {
	clock.System
	real time.Time
}

func (c *handClock) Real() time.Time { return c.real }

func TestRulesAreUnconfirmedOnceTheyAreOld(t *testing.T) {
	t.Parallel()
	pool := storetest.Postgres(t)
	clk := &handClock{real: time.Now()}
	s := newService(t, pool, clk)
	refresh(t, s)
	pool.Close()
	clk.real = clk.real.Add(within)
	if err := s.Refresh(t.Context()); err == nil {
		t.Fatal("a closed pool answered")
	}
	if err := s.Confirmed(); err != nil {
		t.Errorf("at the last instant: %v", err)
	}
	clk.real = clk.real.Add(1)
	err := s.Confirmed()
	wantCode(t, err, fault.CodeRulesUnconfirmed)
	if e, ok := errors.AsType[*fault.Error](err); !ok || e.Kind != fault.Unavailable || e.RetryAfter <= 0 {
		t.Errorf("it doesn't say when to try again: %+v", err)
	}
	if _, err := s.List(); err != nil {
		t.Errorf("what was known can't be shown any more: %v", err)
	}
}

func TestWatchingGoesOnWhenPostgresComesBack(t *testing.T) {
	t.Parallel()
	stores := storetest.Private(t, localstores.Options{})
	if err := postgres.Migrate(t.Context(), stores.PostgresURL()); err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.Open(t.Context(), stores.PostgresURL(), postgres.Options{MaxConnections: 4, ConnectTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	publish(t, pool, parsed(t), time.Now())
	heard := make(listener, 16)
	s := NewService(pool, clock.System{}, time.Second, slog.New(heard))
	refresh(t, s)
	if err := stores.Postgres().Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { s.Watch(ctx) })
	defer watching.Wait()
	defer cancel()
	heard.wait(t, "can't be confirmed")
	if err := stores.Postgres().Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	heard.wait(t, "confirmed again")
	if err := s.Confirmed(); err != nil {
		t.Error(err)
	}
}

// listener is a log that a test waits for.
type listener chan string

func (listener) Enabled(context.Context, slog.Level) bool { return true }
func (l listener) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l listener) WithGroup(string) slog.Handler          { return l }
func (l listener) Handle(_ context.Context, r slog.Record) error {
	l <- r.Message
	return nil
}

func (l listener) wait(t testing.TB, says string) {
	t.Helper()
	select {
	case message := <-l:
		if !strings.Contains(message, says) {
			t.Fatalf("the log says %q", message)
		}
	case <-time.After(time.Minute):
		t.Fatalf("the log never says %q", says)
	}
}
