package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

// LeaseTerm is how long a lease lasts without being renewed, by Postgres's clock. A holder that dies is replaced after at
// most this long.
const LeaseTerm = 3 * time.Second

// Lease is the right to do what only one instance may do at a time. It is advice to one's own work, not a lock on anybody's
// data: a holder that was frozen may go on for a moment beside its successor, so what is done under it must be safe to do
// twice.
type Lease struct {
	pool   *pgxpool.Pool
	name   string
	holder uuid.UUID
}

// NewLease returns a lease that isn't held yet.
func NewLease(pool *pgxpool.Pool, name string) *Lease {
	return &Lease{pool: pool, name: name, holder: uuid.New()}
}

// Hold takes the lease if it is free or its term is over, or renews it, and tells whether it is held now. It is to be asked
// several times a term.
func (l *Lease) Hold(ctx context.Context) (held bool, err error) {
	tag, err := l.pool.Exec(ctx, `
		INSERT INTO leases (name, holder, until) VALUES ($1, $2, clock_timestamp() + $3)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE leases.holder = excluded.holder OR leases.until < clock_timestamp()`, l.name, l.holder, LeaseTerm)
	if err != nil {
		return false, Unreachable(fmt.Errorf("taking the lease %s: %w", l.name, err))
	}
	return tag.RowsAffected() == 1, nil
}

// Leave gives the lease up once ctx has ended, if it is held and Postgres answers within a second; otherwise it ends by itself.
func (l *Lease) Leave(ctx context.Context) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = l.Release(last)
}

// Release gives the lease up, if it is held, so that another instance need not wait for its end.
func (l *Lease) Release(ctx context.Context) error {
	_, err := l.pool.Exec(ctx, `DELETE FROM leases WHERE name = $1 AND holder = $2`, l.name, l.holder)
	if err != nil {
		return Unreachable(fmt.Errorf("giving up the lease %s: %w", l.name, err))
	}
	return nil
}
