package rig

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"jari/internal/postgres"
)

// StoreCalls are what the stores were asked so far, by everybody.
type StoreCalls struct {
	Redis    int64 // commands, those within scripts included
	Postgres int64 // transactions
}

// StoreCalls asks the stores themselves. Postgres counts a transaction up to a second late.
func (r *Rig) StoreCalls(ctx context.Context) (c StoreCalls, err error) {
	info, err := r.Redis.Info(ctx, "commandstats").Result()
	if err != nil {
		return c, fmt.Errorf("asking Redis for its counts: %w", err)
	}
	if c.Redis, err = sumOfCalls(info); err != nil {
		return c, err
	}
	err = r.Pool.QueryRow(ctx, `SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()`).
		Scan(&c.Postgres)
	if err != nil {
		return c, fmt.Errorf("asking Postgres for its counts: %w", err)
	}
	return c, nil
}

// sumOfCalls adds up lines such as cmdstat_get:calls=21,usec=175 of INFO commandstats.
func sumOfCalls(info string) (sum int64, err error) {
	for line := range strings.Lines(info) {
		_, after, found := strings.Cut(line, ":calls=")
		if !found {
			continue
		}
		text, _, _ := strings.Cut(after, ",")
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("a count of Redis can't be read: %w", err)
		}
		sum += n
	}
	return sum, nil
}

// HoldLease keeps the work of one instance at a time from the rig's servers, as if another instance did it, until the
// returned function is called.
func (r *Rig) HoldLease(ctx context.Context, name string) (release func() error, err error) {
	lease := postgres.NewLease(r.Pool, name)
	if held, err := lease.Hold(ctx); err != nil || !held {
		return nil, fmt.Errorf("the lease %s can't be taken: held %t, %w", name, held, err)
	}
	holding, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	var failed error
	group.Go(func() {
		tick := time.NewTicker(postgres.LeaseTerm / 4)
		defer tick.Stop()
		for {
			select {
			case <-holding.Done():
				return
			case <-tick.C:
			}
			if held, err := lease.Hold(holding); holding.Err() == nil && (err != nil || !held) {
				failed = fmt.Errorf("the lease %s was lost: %w", name, err)
				return
			}
		}
	})
	return func() error {
		stop()
		group.Wait()
		if failed != nil {
			return failed
		}
		return lease.Release(context.WithoutCancel(ctx))
	}, nil
}
