package audit_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/audit"
	"jari/internal/clock"
	"jari/internal/postgres"
	"jari/test/storetest"
)

func setup(t *testing.T) (*audit.Log, *pgxpool.Pool) {
	t.Helper()
	pool := storetest.Postgres(t)
	return another(pool), pool
}

func another(pool *pgxpool.Pool) *audit.Log {
	return audit.NewLog(pool, clock.NewSystem(0), slog.New(slog.DiscardHandler), nil)
}

func record(t *testing.T, l *audit.Log, subjects ...string) {
	t.Helper()
	for _, s := range subjects {
		if err := l.Record(audit.With(t.Context(), audit.KeyActor("k"), "192.0.2.7"), audit.Entry{
			Act: "slot.change", Subject: s, Person: uuid.New(), Reason: "왜냐하면", Details: map[string]any{"capacity": 3},
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func verify(t *testing.T, l *audit.Log, kept *audit.Head) audit.Verified {
	t.Helper()
	v, err := l.Verify(t.Context(), kept)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// chained is an audit of six entries, and its head.
func chained(t *testing.T) (*audit.Log, *pgxpool.Pool, audit.Head) {
	t.Helper()
	l, pool := setup(t)
	record(t, l, "a", "b", "c", "d", "e", "f")
	if err := l.Chain(t.Context()); err != nil {
		t.Fatal(err)
	}
	head, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v := verify(t, l, &head); v.Fault != nil || v.Entries != 6 || v.Waiting != 0 || v.Head.String() != head.String() {
		t.Fatalf("an untouched audit: %+v", v)
	}
	return l, pool, head
}

func TestEntryIsThereIfTheActIs(t *testing.T) {
	t.Parallel()
	l, pool := setup(t)
	undone := errors.New("undone")
	err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		if err := l.Append(t.Context(), tx, audit.Entry{Actor: audit.System, Act: "slot.change", Subject: "undone"}); err != nil {
			return err
		}
		return undone
	})
	if !errors.Is(err, undone) {
		t.Fatal(err)
	}
	record(t, l, "done")
	list, err := l.List(t.Context(), audit.Query{Most: 10})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Subject != "done" || list[0].Actor != "key:k" || list[0].From != "192.0.2.7" ||
		list[0].Details != `{"capacity":3}` || list[0].Number != 0 || time.Since(list[0].At) > time.Minute {
		t.Fatalf("%+v", list)
	}
}

func TestEntryWithoutActorOrTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	l, _ := setup(t)
	for name, e := range map[string]audit.Entry{
		"nobody's":     {Act: "slot.change"},
		"nameless":     {Actor: audit.System, Act: "Slot"},
		"too large":    {Actor: audit.System, Act: "slot.change", Details: map[string]any{"x": strings.Repeat("x", audit.MaxDetailsBytes)}},
		"long reason":  {Actor: audit.System, Act: "slot.change", Reason: strings.Repeat("x", audit.MaxReasonBytes+1)},
		"not text":     {Actor: audit.System, Act: "slot.change", Reason: "\xff"},
		"with a zero":  {Actor: audit.System, Act: "slot.change", Subject: "a\x00b"},
		"unencodeable": {Actor: audit.System, Act: "slot.change", Details: map[string]any{"x": func() {}}},
	} {
		if err := l.Record(t.Context(), e); err == nil {
			t.Errorf("an entry that is %s was written", name)
		}
	}
}

func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		by string
		// number and entry of the first bad row.
		number, entry int64
		what          string
	}{
		"an actor changed":   {`UPDATE audit_entries SET actor = 'key:other' WHERE entry_id = 3`, 3, 3, "isn't what was chained"},
		"a person changed":   {`UPDATE audit_entries SET person_id = NULL WHERE entry_id = 4`, 4, 4, "isn't what was chained"},
		"an instant changed": {`UPDATE audit_entries SET happened_at = happened_at - interval '1 microsecond' WHERE entry_id = 2`, 2, 2, "isn't what was chained"},
		"details reordered":  {`UPDATE audit_entries SET details = '{"capacity": 3}' WHERE entry_id = 5`, 5, 5, "isn't what was chained"},
		"text moved between fields": {
			`UPDATE audit_entries SET act = act || subject, subject = '' WHERE entry_id = 1`, 1, 1, "isn't what was chained",
		},
		"an entry deleted":          {`DELETE FROM audit_entries WHERE entry_id = 4`, 4, 4, "the entry is missing"},
		"a link deleted":            {`DELETE FROM audit_chain WHERE number = 2`, 2, 0, "is missing"},
		"both deleted":              {`DELETE FROM audit_chain WHERE number = 1; DELETE FROM audit_entries WHERE entry_id = 1`, 1, 0, "is missing"},
		"a hole closed":             {`DELETE FROM audit_chain WHERE number = 3; UPDATE audit_chain SET number = number - 1 WHERE number > 3`, 3, 4, "isn't what was chained"},
		"two places swapped":        {`UPDATE audit_chain SET number = CASE number WHEN 2 THEN -1 ELSE 2 END WHERE number IN (2, 5); UPDATE audit_chain SET number = 5 WHERE number = -1`, 2, 5, "isn't what was chained"},
		"two entries swapped":       {`UPDATE audit_entries a SET subject = b.subject FROM audit_entries b WHERE (a.entry_id, b.entry_id) IN ((2, 3), (3, 2))`, 2, 2, "isn't what was chained"},
		"a link inserted":           {`INSERT INTO audit_chain SELECT 7, 99, hash FROM audit_chain WHERE number = 6`, 7, 99, "the entry is missing"},
		"an entry inserted":         {`INSERT INTO audit_entries (happened_at, actor, from_address, act, subject, reason, details) VALUES (now(), 'system', '', 'a.b', '', '', '{}')`, 0, 7, "has no place"},
		"a place taken away":        {`DELETE FROM audit_chain WHERE number = 6`, 0, 6, "has no place"},
		"an entry under another id": {`UPDATE audit_entries SET entry_id = 77 WHERE entry_id = 6; UPDATE audit_chain SET entry_id = 77 WHERE entry_id = 6`, 6, 77, "isn't what was chained"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, pool, _ := chained(t)
			tamper(t, pool, tc.by)
			v := verify(t, l, nil)
			if v.Fault == nil || v.Fault.Number != tc.number || v.Fault.Entry != tc.entry || !strings.Contains(v.Fault.What, tc.what) {
				t.Fatalf("found %+v", v.Fault)
			}
		})
	}
}

// tamper does what Postgres refuses, as somebody who may take the triggers away.
func tamper(t *testing.T, pool *pgxpool.Pool, by string) {
	t.Helper()
	for _, sql := range []string{
		`ALTER TABLE audit_entries DISABLE TRIGGER USER`, `ALTER TABLE audit_chain DISABLE TRIGGER USER`,
		`ALTER TABLE audit_chain DROP CONSTRAINT audit_chain_starts_at_one`,
		`ALTER TABLE audit_entries ALTER COLUMN entry_id SET GENERATED BY DEFAULT`, by,
	} {
		if _, err := pool.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKeptHeadFindsWhatTheChainAloneCannot(t *testing.T) {
	t.Parallel()
	t.Run("an end that was cut off", func(t *testing.T) {
		t.Parallel()
		l, pool, head := chained(t)
		tamper(t, pool, `DELETE FROM audit_chain WHERE number > 4; DELETE FROM audit_entries WHERE entry_id > 4`)
		if v := verify(t, l, nil); v.Fault != nil {
			t.Fatalf("the chain alone: %+v", v.Fault)
		}
		if v := verify(t, l, &head); v.Fault == nil || v.Fault.Number != 5 {
			t.Fatalf("with the head: %+v", v.Fault)
		}
	})
	t.Run("a chain written anew", func(t *testing.T) {
		t.Parallel()
		l, pool, head := chained(t)
		tamper(t, pool, `
			DELETE FROM audit_chain; UPDATE audit_entries SET actor = 'key:other' WHERE entry_id = 2;
			INSERT INTO audit_unchained SELECT entry_id FROM audit_entries`)
		if err := l.Chain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v := verify(t, l, nil); v.Fault != nil {
			t.Fatalf("the chain alone: %+v", v.Fault)
		}
		if v := verify(t, l, &head); v.Fault == nil || v.Fault.Number != 6 {
			t.Fatalf("with the head: %+v", v.Fault)
		}
	})
	t.Run("and lets a chain that grew pass", func(t *testing.T) {
		t.Parallel()
		l, _, head := chained(t)
		record(t, l, "g")
		if v := verify(t, l, &head); v.Fault != nil || v.Waiting != 1 {
			t.Fatalf("%+v", v)
		}
		if err := l.Chain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v := verify(t, l, &head); v.Fault != nil || v.Entries != 7 {
			t.Fatalf("%+v", v)
		}
	})
}

func TestPostgresRefusesToChangeTheAudit(t *testing.T) {
	t.Parallel()
	_, pool, _ := chained(t)
	for _, sql := range []string{
		`UPDATE audit_entries SET actor = 'x'`, `DELETE FROM audit_entries`, `TRUNCATE audit_entries`,
		`UPDATE audit_chain SET hash = ''`, `DELETE FROM audit_chain`, `TRUNCATE audit_chain`,
	} {
		if _, err := pool.Exec(t.Context(), sql); postgres.Constraint(err) != "audit_stays" {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// Entries are written while several chain; each gets one place.
func TestManyMayChainAtOnce(t *testing.T) {
	t.Parallel()
	l, pool := setup(t)
	const writers, each = 4, 30
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var writing, chaining sync.WaitGroup
	done := make(chan struct{})
	for range writers {
		writing.Go(func() { record(t, l, make([]string, each)...) })
	}
	for range 3 {
		chaining.Go(func() {
			mine := another(pool)
			for {
				// One of two at once may be refused, and says so.
				if err := mine.Chain(ctx); err != nil && !postgres.IsUniqueViolation(err) && !postgres.ShouldRetry(err) {
					t.Error(err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	writing.Wait()
	close(done)
	chaining.Wait()
	if err := l.Chain(ctx); err != nil {
		t.Fatal(err)
	}
	if v := verify(t, l, nil); v.Fault != nil || v.Entries != writers*each || v.Waiting != 0 {
		t.Fatalf("%+v", v)
	}
}

func TestHeadsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	_, _, head := chained(t)
	again, err := audit.ParseHead(" " + head.String() + "\n")
	if err != nil || again.String() != head.String() {
		t.Fatalf("%v, %v", again, err)
	}
	for _, text := range []string{"", "6", "6:", "6:00", "-1:" + strings.Repeat("0", 64), "x:" + strings.Repeat("0", 64)} {
		if _, err := audit.ParseHead(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestOneInstanceChains(t *testing.T) {
	t.Parallel()
	one, pool := setup(t)
	var numbers []int64
	two := audit.NewLog(pool, clock.NewSystem(0), slog.New(slog.DiscardHandler), func(h audit.Head, _ int) { numbers = append(numbers, h.Number) })
	record(t, one, "a")
	if err := one.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	record(t, one, "b")
	if err := two.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h, err := one.Head(t.Context()); err != nil || h.Number != 1 || len(numbers) != 0 {
		t.Fatalf("the instance without the lease chained: %v, %v, %v", h, numbers, err)
	}
}
