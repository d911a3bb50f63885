package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"jari/internal/fault"
)

// Constraint returns the name of the constraint that refused, or "" if err isn't such a refusal. Callers map names,
// never texts: texts follow the server's language.
func Constraint(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.ConstraintName
	}
	return ""
}

// ShouldRetry tells whether the whole transaction may simply be run again: a deadlock or a serialization failure.
func ShouldRetry(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40P01" || pg.Code == "40001")
}

// IsUniqueViolation tells whether a unique index refused.
func IsUniqueViolation(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "23505"
}

// IsLockTimeout tells whether a lock wasn't got within lock_timeout.
func IsLockTimeout(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "55P03"
}

// retryAfter is what a refused caller is told to wait when Postgres can't be reached; a restart takes a few seconds.
const retryAfter = 3 * time.Second

// Unreachable turns an error that means "Postgres can't be reached or can't write now" into fault.StoreUnavailable and
// leaves any other error, nil included, as it is.
func Unreachable(err error) error {
	if err == nil || !isUnreachable(err) {
		return err
	}
	if _, already := errors.AsType[*fault.Error](err); already {
		return err
	}
	return fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(retryAfter).Because(err)
}

func isUnreachable(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case strings.HasPrefix(pg.Code, "08"), // connection exceptions
			strings.HasPrefix(pg.Code, "53"), // disk full, out of memory, too many connections
			strings.HasPrefix(pg.Code, "57"), // shutting down, starting up, cancelled by the operator
			strings.HasPrefix(pg.Code, "58"), // system error: the disk
			pg.Code == "25006",               // read-only: a standby, after a failover
			pg.Code == "25P03":               // this process stood still in a transaction for so long that it was ended
			return true
		}
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return pgconn.SafeToRetry(err) || pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
