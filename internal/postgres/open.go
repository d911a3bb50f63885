package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/fault"
)

// Options bound what one instance may ask of Postgres.
type Options struct {
	// MaxConnections is the size of the pool.
	MaxConnections int
	// ConnectTimeout bounds opening one connection.
	ConnectTimeout time.Duration
	// LockTimeout is how long a statement waits for a lock before it fails; 0 is as long as it takes.
	LockTimeout time.Duration
	// PlanOnce plans each statement once a connection, by its keys: for the few statements that run thousands of times and
	// look everything up by a key. Planned anew for each length of their arrays, they cost more to plan than to run; planned
	// once by what the tables held at that moment, a table that was empty then would be read whole ever after, or until somebody has Postgres count its rows.
	PlanOnce bool
}

// Open returns a pool for the server at url. It doesn't connect: an instance may start before its store, and says so
// in its readiness instead.
func Open(ctx context.Context, url string, opts Options) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The error of pgx repeats the URL with its password masked, but not a password given in another form.
		return nil, errors.New("the Postgres URL can't be read; its form is postgres://user:password@host:port/database")
	}
	if opts.MaxConnections > 0 {
		cfg.MaxConns = int32(min(opts.MaxConnections, 10_000))
	}
	if opts.ConnectTimeout > 0 {
		cfg.ConnConfig.ConnectTimeout = opts.ConnectTimeout
	}
	// Session settings that the code relies on, whatever the server's defaults: instants are compared as instants,
	// and a transaction that was forgotten doesn't keep its locks for ever.
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	// A commit is never cut off by a timeout of the role or the database: that can give up the wait for a synchronous
	// standby and still answer COMMIT.
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = "0"
	cfg.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "30000"
	// Compiling a plan takes hundreds of milliseconds, and everything here is looked up by a key.
	cfg.ConnConfig.RuntimeParams["jit"] = "off"
	if opts.LockTimeout > 0 {
		cfg.ConnConfig.RuntimeParams["lock_timeout"] = strconv.FormatInt(opts.LockTimeout.Milliseconds(), 10)
	}
	if opts.PlanOnce {
		cfg.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
		cfg.ConnConfig.RuntimeParams["enable_seqscan"] = "off"
	}
	if _, named := cfg.ConnConfig.RuntimeParams["application_name"]; !named {
		cfg.ConnConfig.RuntimeParams["application_name"] = "jari"
	}
	new(suspicion).watch(cfg)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("opening the Postgres pool: %w", err)
	}
	return pool, nil
}

// InTx runs f in one transaction: committed if f returns nil, rolled back otherwise. The commit isn't tied to ctx: pgx
// would send a cancel request when ctx ends, which can give up the wait for a synchronous standby and leave a row that
// a failover deletes. If the answer to COMMIT is lost the error is fault.CodeOutcomeUnknown.
func InTx(ctx context.Context, pool *pgxpool.Pool, f func(tx pgx.Tx) error) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return Unreachable(fmt.Errorf("beginning a transaction: %w", err))
	}
	// After a commit this does nothing; it must run even when ctx has ended.
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(context.WithoutCancel(ctx)); err != nil {
		if _, refused := errors.AsType[*pgconn.PgError](err); refused || errors.Is(err, pgx.ErrTxCommitRollback) {
			return Unreachable(fmt.Errorf("committing: %w", err)) // Postgres itself said no
		}
		// The connection broke after COMMIT was sent: it may have been done.
		return fault.New(fault.Unavailable, fault.CodeOutcomeUnknown).After(retryAfter).Because(fmt.Errorf("committing: %w", err))
	}
	return nil
}

// Skew is how far the clock of Postgres is ahead of this machine's, measured over one round trip.
func Skew(ctx context.Context, pool *pgxpool.Pool, now func() time.Time) (time.Duration, error) {
	before := now()
	var theirs time.Time
	if err := pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&theirs); err != nil {
		return 0, Unreachable(fmt.Errorf("asking Postgres for the time: %w", err))
	}
	after := now()
	return theirs.Sub(before.Add(after.Sub(before) / 2)), nil
}

// CheckDurable refuses a server that answers COMMIT before the commit is on its disk: what was acknowledged could be lost.
func CheckDurable(ctx context.Context, pool *pgxpool.Pool) error {
	var mode string
	if err := pool.QueryRow(ctx, `SELECT current_setting('synchronous_commit')`).Scan(&mode); err != nil {
		return Unreachable(fmt.Errorf("asking Postgres how it commits: %w", err))
	}
	if mode == "off" {
		return errors.New("its synchronous_commit is off: it acknowledges what a crash would lose")
	}
	return nil
}

// Load is how many connections the server has, and how many it allows.
func Load(ctx context.Context, pool *pgxpool.Pool) (connections, most int, err error) {
	if err := pool.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
			current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int`).Scan(&connections, &most); err != nil {
		return 0, 0, Unreachable(fmt.Errorf("asking Postgres for its connections: %w", err))
	}
	return connections, most, nil
}
