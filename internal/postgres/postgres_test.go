package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/fault"
	"jari/internal/localstores"
	"jari/internal/postgres"
	"jari/test/storetest"
)

// open returns a pool as an instance has it, on a database with one small table.
func open(t testing.TB, address string) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(t.Context(), address, postgres.Options{MaxConnections: 4, ConnectTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func withTable(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool := open(t, storetest.EmptyPostgresURL(t))
	exec(t, pool, `CREATE TABLE things (
		id int PRIMARY KEY, n int NOT NULL DEFAULT 0 CONSTRAINT things_not_negative CHECK (n >= 0),
		other int CONSTRAINT things_other REFERENCES things DEFERRABLE INITIALLY DEFERRED)`)
	exec(t, pool, `INSERT INTO things (id) VALUES (1), (2)`)
	return pool
}

type execer interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}

func exec(t testing.TB, on execer, sql string, arguments ...any) {
	t.Helper()
	if _, err := on.Exec(t.Context(), sql, arguments...); err != nil {
		t.Fatal(err)
	}
}

func count(t testing.TB, pool *pgxpool.Pool, where string) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM things WHERE `+where).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpeningAsksForNothing(t *testing.T) {
	t.Parallel()
	pool := open(t, "postgres://jari@127.0.0.1:1/jari")
	if err := postgres.Unreachable(pool.Ping(t.Context())); fault.CodeOf(err) != fault.CodeStoreUnavailable {
		t.Errorf("a server that isn't there: %v", err)
	}
}

func TestABadAddressIsRefusedWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"postgres://jari:hunter2@localhost:port/jari", "postgres://jari:hunter2@[::1/jari", "password=hunter2 port=x",
		"postgres://jari:hunter2@localhost/jari?pool_max_conns=many", "hunter2",
	} {
		_, err := postgres.Open(t.Context(), address, postgres.Options{})
		if err == nil {
			t.Errorf("%q was taken", address)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Error("the error repeats the password")
		}
	}
}

func TestEverySessionHasTheSettingsThatTheCodeReliesOn(t *testing.T) {
	t.Parallel()
	address, err := url.Parse(storetest.EmptyPostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	query := address.Query()
	query.Set("application_name", "somebody")
	query.Set("timezone", "Asia/Seoul")
	address.RawQuery = query.Encode()
	pool := open(t, address.String())
	for setting, want := range map[string]string{
		"TimeZone": "UTC", "idle_in_transaction_session_timeout": "30s", "application_name": "somebody",
	} {
		var got string
		if err := pool.QueryRow(t.Context(), `SELECT current_setting($1)`, setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q (%v), not %q", setting, got, err, want)
		}
	}
	if most := pool.Config().MaxConns; most != 4 {
		t.Errorf("%d connections", most)
	}
}

func TestWhatFailsIsRolledBack(t *testing.T) {
	t.Parallel()
	pool := withTable(t)
	broken := errors.New("no")
	err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		exec(t, tx, `INSERT INTO things (id) VALUES (3)`)
		return broken
	})
	if err != broken { //nolint:errorlint // the very error, so that its code stays
		t.Errorf("the error became %v", err)
	}
	if n := count(t, pool, "true"); n != 2 {
		t.Errorf("%d rows", n)
	}
	t.Run("also when it panics", func(t *testing.T) {
		t.Parallel()
		pool := withTable(t)
		func() {
			defer func() { _ = recover() }()
			_ = postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
				exec(t, tx, `INSERT INTO things (id) VALUES (3)`)
				panic("no")
			})
		}()
		if n := count(t, pool, "true"); n != 2 || pool.Stat().AcquiredConns() != 0 {
			t.Errorf("%d rows, %d connections in use", n, pool.Stat().AcquiredConns())
		}
	})
	t.Run("also when the caller has left", func(t *testing.T) {
		t.Parallel()
		pool := withTable(t)
		ctx, cancel := context.WithCancel(t.Context())
		err := postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
			exec(t, tx, `INSERT INTO things (id) VALUES (3)`)
			cancel()
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) || fault.CodeOf(err) != "" {
			t.Errorf("%v", err)
		}
		if n := count(t, pool, "true"); n != 2 || pool.Stat().AcquiredConns() != 0 {
			t.Errorf("%d rows, %d connections in use", n, pool.Stat().AcquiredConns())
		}
	})
}

func TestACommitIsntCutOffWhenTheCallerLeaves(t *testing.T) {
	t.Parallel()
	pool := withTable(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		exec(t, tx, `INSERT INTO things (id) VALUES (3)`)
		cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, pool, "id = 3"); n != 1 {
		t.Error("it isn't there")
	}
}

func TestACallerWhoLeftBeforeBeginsNothing(t *testing.T) {
	t.Parallel()
	pool := withTable(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := postgres.InTx(ctx, pool, func(pgx.Tx) error {
		t.Error("it ran")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// commit_error_is_an_error.
func TestCommitErrorIsAnError(t *testing.T) {
	t.Parallel()
	t.Run("a constraint that is checked at the commit", func(t *testing.T) {
		t.Parallel()
		pool := withTable(t)
		err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			exec(t, tx, `INSERT INTO things (id, other) VALUES (3, 99)`)
			return nil
		})
		if postgres.Constraint(err) != "things_other" || fault.CodeOf(err) != "" {
			t.Errorf("answered %v", err)
		}
		if n := count(t, pool, "id = 3"); n != 0 {
			t.Error("it is there all the same")
		}
	})
	t.Run("a failed statement that somebody passed over", func(t *testing.T) {
		t.Parallel()
		pool := withTable(t)
		err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			exec(t, tx, `INSERT INTO things (id) VALUES (3)`)
			_, _ = tx.Exec(t.Context(), `INSERT INTO things (id) VALUES (3)`)
			return nil
		})
		if !errors.Is(err, pgx.ErrTxCommitRollback) {
			t.Errorf("answered %v", err)
		}
		if n := count(t, pool, "id = 3"); n != 0 {
			t.Error("it is there all the same")
		}
	})
	t.Run("a connection that was ended before", func(t *testing.T) {
		t.Parallel()
		pool := withTable(t)
		err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			exec(t, tx, `INSERT INTO things (id) VALUES (3)`)
			terminate(t, pool, tx)
			return nil
		})
		if err == nil {
			t.Error("it succeeded")
		}
		if n := count(t, pool, "id = 3"); n != 0 {
			t.Error("it is there all the same")
		}
	})
}

// terminate ends the connection of a transaction from another.
func terminate(t testing.TB, pool *pgxpool.Pool, tx pgx.Tx) {
	t.Helper()
	exec(t, pool, `SELECT pg_terminate_backend($1, 10000)`, tx.Conn().PgConn().PID())
}

// cutter is a proxy that breaks a connection when it sees a COMMIT.
type cutter struct {
	listener net.Listener
	server   string
	// pass lets the COMMIT through, and cuts its answer off.
	pass  bool
	armed atomic.Bool
	open  sync.WaitGroup
}

func newCutter(t testing.TB, server string, pass bool) *cutter {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, server: server, pass: pass}
	c.open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.open.Go(func() { c.carry(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.open.Wait()
	})
	return c
}

// carry copies both ways until one side ends.
func (c *cutter) carry(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", c.server) //nolint:noctx // the proxy of a test
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var cut atomic.Bool
	var back sync.WaitGroup
	back.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if cut.Load() || err != nil { // Whatever comes after the cut is the answer to the COMMIT.
				_ = client.Close()
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	defer back.Wait()
	defer func() { _ = server.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if c.armed.Load() && bytes.Contains(bytes.ToLower(buffer[:n]), []byte("commit")) {
			cut.Store(true)
			if !c.pass {
				return
			}
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func TestALostAnswerToCommitIsAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	for _, pass := range []bool{true, false} {
		t.Run(fmt.Sprintf("the COMMIT arrived: %v", pass), func(t *testing.T) {
			t.Parallel()
			direct := withTable(t)
			through, err := url.Parse(direct.Config().ConnString())
			if err != nil {
				t.Fatal(err)
			}
			proxy := newCutter(t, through.Host, pass)
			through.Host = proxy.listener.Addr().String()
			pool := open(t, through.String())
			err = postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
				exec(t, tx, `INSERT INTO things (id) VALUES (3)`)
				proxy.armed.Store(true)
				return nil
			})
			e, ok := errors.AsType[*fault.Error](err)
			if !ok || e.Code != fault.CodeOutcomeUnknown || e.Kind != fault.Unavailable || e.RetryAfter <= 0 {
				t.Fatalf("answered %v", err)
			}
			if postgres.ShouldRetry(err) {
				t.Error("it would be done twice")
			}
			// Nobody can know from the answer. With the answer cut off the row is there; without the COMMIT it isn't.
			want := 0
			if pass {
				want = 1
			}
			if n := count(t, direct, "id = 3"); n != want {
				t.Errorf("%d rows", n)
			}
		})
	}
}

func TestConstraintsAreKnownByName(t *testing.T) {
	t.Parallel()
	pool := withTable(t)
	for statement, want := range map[string]string{
		`INSERT INTO things (id) VALUES (1)`:       "things_pkey",
		`INSERT INTO things (id, n) VALUES (3,-1)`: "things_not_negative",
		`INSERT INTO things (id) VALUES ('x')`:     "",
		`SELECT 1/0`:                               "",
		`INSERT INTO things (id) VALUES (4)`:       "",
	} {
		_, err := pool.Exec(t.Context(), statement)
		if got := postgres.Constraint(fmt.Errorf("writing: %w", err)); got != want {
			t.Errorf("%s: refused by %q, not by %q", statement, got, want)
		}
		if postgres.Unreachable(err) != err { //nolint:errorlint // the very error
			t.Errorf("%s: a refusal passes for a store that is away", statement)
		}
		if postgres.ShouldRetry(err) {
			t.Errorf("%s: would be tried again", statement)
		}
	}
	if got := postgres.Constraint(nil); got != "" {
		t.Errorf("nothing was refused by %q", got)
	}
}

func TestADeadlockIsTriedAgain(t *testing.T) {
	t.Parallel()
	pool := withTable(t)
	begin := func() pgx.Tx {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, `SET LOCAL deadlock_timeout = '50ms'`)
		return tx
	}
	one, two := begin(), begin()
	exec(t, one, `UPDATE things SET n = 1 WHERE id = 1`)
	exec(t, two, `UPDATE things SET n = 1 WHERE id = 2`)
	ended := make(chan error, 2)
	for tx, id := range map[pgx.Tx]int{one: 2, two: 1} {
		go func() {
			_, err := tx.Exec(t.Context(), `UPDATE things SET n = 2 WHERE id = $1`, id)
			ended <- errors.Join(err, tx.Rollback(t.Context()))
		}()
	}
	first, second := <-ended, <-ended
	if first == nil {
		first = second
	}
	if !postgres.ShouldRetry(first) {
		t.Errorf("neither was told to try again: %v", first)
	}
	if fault.CodeOf(postgres.Unreachable(first)) != "" {
		t.Error("a deadlock passes for a store that is away")
	}
}

func TestASerializationFailureIsTriedAgain(t *testing.T) {
	t.Parallel()
	pool := withTable(t)
	tx, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	exec(t, tx, `SELECT * FROM things`)
	exec(t, pool, `UPDATE things SET n = 1 WHERE id = 1`)
	if _, err = tx.Exec(t.Context(), `UPDATE things SET n = 2 WHERE id = 1`); !postgres.ShouldRetry(err) {
		t.Errorf("%v", err)
	}
}

// away fails unless err is told as a store that can't be reached, with its cause kept for the log.
func away(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		t.Error("it succeeded")
		return
	}
	e, ok := errors.AsType[*fault.Error](postgres.Unreachable(fmt.Errorf("reading: %w", err)))
	if !ok || e.Kind != fault.Unavailable || e.Code != fault.CodeStoreUnavailable || e.RetryAfter <= 0 {
		t.Errorf("%v isn't told as a store that can't be reached", err)
		return
	}
	if !errors.Is(e, err) {
		t.Errorf("the cause is lost: %v", e)
	}
	if postgres.Unreachable(e) != error(e) { //nolint:errorlint // the very error
		t.Error("it is told twice")
	}
}

func TestAStoreThatIsAwayIsTold(t *testing.T) {
	t.Parallel()
	t.Run("a connection that an operator ended", func(t *testing.T) {
		t.Parallel()
		pool := withTable(t)
		err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			terminate(t, pool, tx)
			_, err := tx.Exec(t.Context(), `SELECT 1`)
			return postgres.Unreachable(err)
		})
		if fault.CodeOf(err) != fault.CodeStoreUnavailable {
			t.Errorf("%v", err)
		}
	})
	t.Run("a transaction that stood still for too long", func(t *testing.T) {
		t.Parallel()
		pool := withTable(t)
		err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `SET LOCAL idle_in_transaction_session_timeout = '10ms'`); err != nil {
				return err
			}
			for there := true; there; {
				if err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)`, tx.Conn().PgConn().PID()).Scan(&there); err != nil {
					return err
				}
			}
			_, err := tx.Exec(t.Context(), `SELECT 1`)
			return postgres.Unreachable(err)
		})
		if fault.CodeOf(err) != fault.CodeStoreUnavailable {
			t.Errorf("%v", err)
		}
	})
	t.Run("a statement that takes too long", func(t *testing.T) {
		t.Parallel()
		pool := withTable(t)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := pool.Exec(ctx, `SELECT pg_sleep(60)`)
		away(t, err)
	})
	t.Run("a statement that Postgres gave up", func(t *testing.T) {
		t.Parallel()
		pool := withTable(t)
		err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			exec(t, tx, `SET LOCAL statement_timeout = '10ms'`)
			_, err := tx.Exec(t.Context(), `SELECT pg_sleep(60)`)
			return err
		})
		away(t, err)
	})
	t.Run("a standby after a failover", func(t *testing.T) {
		t.Parallel()
		pool := withTable(t)
		err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			exec(t, tx, `SET TRANSACTION READ ONLY`)
			_, err := tx.Exec(t.Context(), `INSERT INTO things (id) VALUES (3)`)
			return err
		})
		away(t, err)
	})
	t.Run("a pool that is used up", func(t *testing.T) {
		t.Parallel()
		pool := withTable(t)
		for range pool.Config().MaxConns {
			conn, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Release()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := postgres.InTx(ctx, pool, func(pgx.Tx) error { return nil })
		away(t, err)
	})
	for name, err := range map[string]error{
		"a full disk":              &pgconn.PgError{Code: "53100"},
		"no memory":                &pgconn.PgError{Code: "53200"},
		"too many connections":     &pgconn.PgError{Code: "53300"},
		"a server that shuts down": &pgconn.PgError{Code: "57P01"},
		"a server that crashed":    &pgconn.PgError{Code: "57P02"},
		"a server that starts":     &pgconn.PgError{Code: "57P03"},
		"a disk that fails":        &pgconn.PgError{Code: "58030"},
		"a connection's end":       &pgconn.PgError{Code: "08006"},
		"a broken answer":          io.ErrUnexpectedEOF,
		"an answer that ends":      io.EOF,
		"a reset":                  &net.OpError{Op: "read", Err: errors.New("connection reset by peer")},
		"a deadline":               context.DeadlineExceeded,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			away(t, err)
		})
	}
}

func TestWhatIsntAStoresAbsenceStaysAsItIs(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"nothing":                  nil,
		"no row":                   pgx.ErrNoRows,
		"a caller who left":        context.Canceled,
		"a table that isn't there": &pgconn.PgError{Code: "42P01"},
		"a wrong password":         &pgconn.PgError{Code: "28P01"},
		"a refusal of the domain":  fault.New(fault.Conflict, fault.CodeSlotFull).Because(io.EOF),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := postgres.Unreachable(err); got != err { //nolint:errorlint // the very error
				t.Errorf("became %v", got)
			}
		})
	}
}

func TestAServerThatDiesIsAwayAndComesBack(t *testing.T) {
	t.Parallel()
	stores := storetest.Private(t, localstores.Options{})
	pool := open(t, stores.PostgresURL())
	exec(t, pool, `CREATE TABLE things (id int PRIMARY KEY)`)
	err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		exec(t, tx, `INSERT INTO things (id) VALUES (1)`)
		if err := stores.Postgres().Kill(t.Context()); err != nil {
			t.Error(err)
		}
		_, err := tx.Exec(t.Context(), `INSERT INTO things (id) VALUES (2)`)
		return err
	})
	away(t, err)
	away(t, pool.Ping(t.Context()))
	err = postgres.InTx(t.Context(), pool, func(pgx.Tx) error { return nil })
	if fault.CodeOf(err) != fault.CodeStoreUnavailable {
		t.Errorf("beginning: %v", err)
	}
	_, err = postgres.Skew(t.Context(), pool, time.Now)
	if fault.CodeOf(err) != fault.CodeStoreUnavailable {
		t.Errorf("skew: %v", err)
	}
	_, _, err = postgres.Applied(t.Context(), pool)
	if fault.CodeOf(err) != fault.CodeStoreUnavailable {
		t.Errorf("schema version: %v", err)
	}
	if err := postgres.Migrate(t.Context(), stores.PostgresURL()); fault.CodeOf(err) != fault.CodeStoreUnavailable {
		t.Errorf("migrating: %v", err)
	}
	if err := stores.Postgres().Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, pool, "true"); n != 0 {
		t.Errorf("%d rows of a transaction that never ended", n)
	}
}

func TestSkewIsTheServersClockAgainstOurs(t *testing.T) {
	t.Parallel()
	pool := open(t, storetest.EmptyPostgresURL(t))
	if err := pool.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, behind := range []time.Duration{0, time.Hour, -time.Hour} {
		skew, err := postgres.Skew(t.Context(), pool, func() time.Time { return time.Now().Add(-behind) })
		if err != nil {
			t.Fatal(err)
		}
		if (skew - behind).Abs() > time.Minute {
			t.Errorf("%s measured as %s", behind, skew)
		}
	}
}

func TestTheSchemaVersionIsRead(t *testing.T) {
	t.Parallel()
	newest, err := postgres.Newest()
	if err != nil || newest < 5 {
		t.Fatalf("%d, %v", newest, err)
	}
	t.Run("of a migrated database", func(t *testing.T) {
		t.Parallel()
		applied, dirty, err := postgres.Applied(t.Context(), storetest.Postgres(t))
		if err != nil || applied != newest || dirty {
			t.Errorf("%d (dirty: %v), %v", applied, dirty, err)
		}
	})
	t.Run("of an empty one it's none", func(t *testing.T) {
		t.Parallel()
		if applied, dirty, err := postgres.Applied(t.Context(), open(t, storetest.EmptyPostgresURL(t))); err != nil || applied != 0 || dirty {
			t.Errorf("%d (dirty: %v), %v", applied, dirty, err)
		}
	})
	t.Run("many who migrate take turns", func(t *testing.T) {
		t.Parallel()
		address := storetest.EmptyPostgresURL(t)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := postgres.Migrate(t.Context(), address); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if applied, dirty, err := postgres.Applied(t.Context(), open(t, address)); err != nil || applied != newest || dirty {
			t.Errorf("%d (dirty: %v), %v", applied, dirty, err)
		}
		if err := postgres.MigrateDown(t.Context(), address); err != nil {
			t.Fatal(err)
		}
		if err := postgres.MigrateDown(t.Context(), address); err != nil {
			t.Errorf("taking nothing away: %v", err)
		}
		if applied, dirty, err := postgres.Applied(t.Context(), open(t, address)); err != nil || applied != 0 || dirty {
			t.Errorf("afterwards: %d (dirty: %v), %v", applied, dirty, err)
		}
	})
}
