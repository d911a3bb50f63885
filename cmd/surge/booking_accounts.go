package main

import (
	"context"
	"fmt"
	"time"

	"jari/cmd/surge/load"
	"jari/cmd/surge/rig"
	"jari/internal/booking"
)

// The accounts of `bench booking`: what each part did, what that cost, and whether the tables agree with what clients were
// told.

// part is what was measured of one, over all rounds.
type part struct {
	pairs    int64 // holds and confirms that were answered as they should
	rows     int64 // rows that they left behind
	elapsed  time.Duration
	notes    int64 // flushes that left a note for the messages
	settled  int64 // notes that were worked off meanwhile
	rate     float64
	late     int64
	missed   int64
	batch    int // of the statement parts: as asked for
	accounts rig.Accounts
	latency  *load.Recorder
	// checkpointed: Postgres wrote a checkpoint meanwhile, which costs a part more than others.
	checkpointed bool
}

// perSecond is what was done in a second.
func (p *part) perSecond() float64 {
	if p.elapsed <= 0 {
		return 0
	}
	return float64(p.done()) / p.elapsed.Seconds()
}

// done are rows where the part leaves rows, and answered pairs where it doesn't.
func (p *part) done() int64 {
	if p.rows > 0 {
		return p.rows
	}
	return p.pairs
}

// microsPerPair is the processor time of the server and the stores for one.
func (p *part) microsPerPair() float64 {
	if p.done() == 0 {
		return 0
	}
	return p.accounts.ServerAndStores().Seconds() * 1e6 / float64(p.done())
}

// rowsPerFlush is how many bookings a flush had on average.
func (p *part) rowsPerFlush() float64 {
	if p.notes == 0 {
		return 0
	}
	return float64(p.rows) / float64(p.notes)
}

func (b *bench) part(name string) *part {
	if b.parts[name] == nil {
		b.parts[name] = &part{latency: load.NewRecorder()}
	}
	return b.parts[name]
}

// books is what the tables say.
type books struct{ rows, naive, notes, settled int64 }

func (b *bench) books(ctx context.Context) (k books, err error) {
	err = b.rig.Pool.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM bookings WHERE status = 'active'),
			(SELECT count(*) FROM naive_bookings),
			(SELECT count(*) FROM river.river_job WHERE kind = $1),
			(SELECT count(*) FROM river.river_job WHERE kind = $1 AND finalized_at IS NOT NULL)`, booking.NoticeKind).
		Scan(&k.rows, &k.naive, &k.notes, &k.settled)
	if err != nil {
		return k, fmt.Errorf("counting rows: %w", err)
	}
	return k, nil
}

// account runs what is measured and adds to the part what the processes used and what the tables gained. What counts are
// rows: those of a real or naive part must be as many as clients were told of.
func (b *bench) account(
	ctx context.Context, p *part, server *rig.Process, name, profile string, run func() (load.Result, error),
) error {
	if err := b.rig.Settle(ctx); err != nil {
		return err
	}
	checkpoint, err := b.rig.LastCheckpoint(ctx)
	if err != nil {
		return err
	}
	before, err := b.books(ctx)
	if err != nil {
		return err
	}
	var result load.Result
	if err := profiled(ctx, server, profile, func() error {
		used, err := b.meter.During(b.rig, server, nil, func() (err error) {
			result, err = run()
			return err
		})
		p.accounts = p.accounts.Plus(used)
		return err
	}); err != nil {
		return err
	}
	after, err := b.books(ctx)
	if err != nil {
		return err
	}
	last, err := b.rig.LastCheckpoint(ctx)
	if err != nil {
		return err
	}
	p.checkpointed = p.checkpointed || last != checkpoint
	rows := after.rows - before.rows
	switch name {
	case partEmpty:
	case partNaiveHot, partNaiveSpread:
		rows = after.naive - before.naive
		fallthrough
	default:
		if rows != result.Done {
			return fmt.Errorf("clients were told of %d bookings, and the table has %d more rows", result.Done, rows)
		}
	}
	p.pairs += result.Done
	p.rows += rows
	p.elapsed += result.Elapsed
	p.late += result.Late
	p.missed += result.Missed
	p.notes += after.notes - before.notes
	p.settled += after.settled - before.settled
	return nil
}

// check holds what clients were told against the tables, and the slots against their bookings. It returns the number of
// bookings.
func (b *bench) check(ctx context.Context) (rows int64, err error) {
	k, err := b.books(ctx)
	if err != nil {
		return 0, err
	}
	if k.rows != b.promised.Load() || k.naive != b.promisedNaive.Load() {
		return 0, fmt.Errorf("the run isn't valid: clients were told of %d bookings and the table has %d; of the naive server's, %d and %d",
			b.promised.Load(), k.rows, b.promisedNaive.Load(), k.naive)
	}
	var wrong int
	if err := b.rig.Pool.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM slots s LEFT JOIN (
				SELECT slot_id, count(*) AS n FROM bookings WHERE status = 'active' GROUP BY slot_id) c USING (slot_id)
			WHERE booked <> coalesce(n, 0))
		+ (SELECT count(*) FROM naive_slots s LEFT JOIN (
				SELECT slot_id, count(*) AS n FROM naive_bookings GROUP BY slot_id) c USING (slot_id)
			WHERE booked <> coalesce(n, 0))`).Scan(&wrong); err != nil {
		return 0, fmt.Errorf("holding slots against their bookings: %w", err)
	}
	if wrong > 0 {
		return 0, fmt.Errorf("the run isn't valid: %d slots count other than they have bookings", wrong)
	}
	return k.rows, nil
}
