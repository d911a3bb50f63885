package booking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/postgres"
	"jari/internal/slot"
)

// NoticeKind is the kind of the job that a flush leaves behind for package notify, once per flush and in the same
// transaction. Its arguments name the flush and nothing else.
const NoticeKind = "booking_notice"

// errAfterCommit marks failures after which a flush may have been committed all the same.
var errAfterCommit = errors.New("the outcome of the commit is unknown")

// flushed is what a flush did.
type flushed struct {
	// outcomes are the rows that decide the requests, by hold id. A hold that isn't among them is undecided and goes
	// into the next flush.
	outcomes map[uuid.UUID]Booking
	// fresh are the hold ids whose booking this flush made, as opposed to found.
	fresh map[uuid.UUID]bool
	// ended are the bookings that were to be cancelled, as they are after it, by booking id.
	ended map[uuid.UUID]Booking
	// copies are all slots that it locked, as they are after it.
	copies []slot.Copy
	// met tells that it met what had been decided before, or had to look for that.
	met bool
	// stuck tells that it gave up waiting for a row that somebody else has locked, or left such rows alone from the beginning
	// and found some. What it left undecided for that are the holds that aren't among the outcomes, and these bookings that
	// were to be cancelled.
	stuck bool
	later map[uuid.UUID]bool
}

// how a flush is done.
type how struct {
	// look for what was decided before.
	look bool
	// again: a unique index has refused it.
	again bool
	// patience is how long it waits for a row that somebody else has locked. Another flush has it for milliseconds.
	patience time.Duration
	// around: what somebody else has locked is left undecided.
	around bool
}

// flush cancels bookings and decides holds, all of one campaign and none twice, in one transaction and three round trips:
// lock and look; write the bookings; count them and commit. An error without errAfterCommit means that nothing was written.
//
// Without look, it doesn't look for what was decided before: of a flush of nothing but first tries, all that would be found is
// nothing. The unique indexes know better where that's wrong, and then it is done again with looking. Whatever isn't a plain
// booking is looked at all the same.
//
// Rows are mostly locked by other flushes, for milliseconds. Somebody who has one for longer than patience, at a console or in a bulk
// change, keeps only those waiting who want that very row: it is done again around it.
//
// Every writer locks slots in ascending order and then bookings, so flushes that look never deadlock. One that doesn't may wait for
// a booking that another instance is ending at that moment, while that one waits for it: Postgres ends one of both, which is then
// run again.
func flush(
	ctx context.Context, pool *pgxpool.Pool, campaignID string, endings []ending, requests []request, h how,
) (flushed, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return flushed{}, postgres.Unreachable(fmt.Errorf("waiting for a connection: %w", err))
	}
	// Releasing a connection inside a transaction closes it, which rolls back.
	defer conn.Release()
	for {
		f, err := try(ctx, conn.Conn(), campaignID, endings, requests, h)
		switch {
		case postgres.IsUniqueViolation(err) && !h.again:
			// One of the holds was decided before, or one of the persons is booked, perhaps by another instance at this moment.
			// Skipping whom that is costs a look-up in every unique index for every row, so it is only done when it has happened.
			h.look, h.again = true, true
		case postgres.IsLockTimeout(err) && !h.around:
			h.around = true
		default:
			f.met = f.met || h.again
			return f, err
		}
		if _, err := conn.Exec(ctx, `ROLLBACK`); err != nil {
			return flushed{}, postgres.Unreachable(fmt.Errorf("rolling back a flush: %w", err))
		}
	}
}

// try is one transaction of a flush.
func try(
	ctx context.Context, conn *pgx.Conn, campaignID string, endings []ending, requests []request, h how,
) (flushed, error) {
	l, err := lock(ctx, conn, campaignID, endings, requests, h)
	if err != nil {
		return flushed{}, postgres.Unreachable(err)
	}
	var stuck bool
	var later map[uuid.UUID]bool
	if h.around {
		before := len(requests)
		endings, requests, later = l.within(endings, requests)
		stuck = len(later) > 0 || len(requests) < before
	}
	p := decide(l, endings, requests)
	if !h.look && !p.plain() {
		batch := &pgx.Batch{}
		queueLook(batch, &l, campaignID, requests)
		if err := conn.SendBatch(ctx, batch).Close(); err != nil {
			return flushed{}, postgres.Unreachable(fmt.Errorf("looking for what was decided before: %w", err))
		}
		p = decide(l, endings, requests)
	}
	// From here on no deadline: cancelling a commit would leave its outcome open.
	f, err := write(context.WithoutCancel(ctx), conn, campaignID, requests, l, p, h.again)
	f.met, f.stuck, f.later = p.met || !p.plain(), stuck, later
	return f, err
}

// lock begins the transaction, takes its locks and reads what the verdicts depend on; without look, all but what was decided
// before.
func lock(
	ctx context.Context, conn *pgx.Conn, campaignID string, endings []ending, requests []request, h how,
) (locked, error) {
	slots := make([]int64, 0, len(requests)+len(endings))
	var replaced, named []uuid.UUID // bookings to be moved; these and those to be cancelled
	for _, r := range requests {
		slots = append(slots, r.hold.Slot)
		if r.hold.Replaces != uuid.Nil {
			replaced = append(replaced, r.hold.Replaces)
		}
	}
	named = slices.Clone(replaced)
	for _, e := range endings {
		named, slots = append(named, e.booking), append(slots, e.slot)
	}
	// A stampede is for few slots: each is named once.
	slices.Sort(slots)
	slots = slices.Compact(slots)

	l := locked{
		slots: make(map[int64]slot.Copy, len(slots)), decided: map[uuid.UUID]Booking{}, active: map[uuid.UUID]Booking{},
		ending: map[uuid.UUID]Booking{},
	}
	batch := &pgx.Batch{}
	batch.Queue(`BEGIN ISOLATION LEVEL READ COMMITTED`)
	batch.Queue(`SELECT set_config('lock_timeout', $1, true)`, strconv.FormatInt(h.patience.Milliseconds(), 10))
	skip := ""
	if h.around {
		skip = " SKIP LOCKED"
	}
	onSlots := func(rows pgx.Rows) error {
		for rows.Next() {
			c, err := scanCopy(rows)
			if err != nil {
				return err
			}
			l.slots[c.Slot] = c
		}
		return rows.Err()
	}
	if len(replaced) == 0 {
		batch.Queue(lockSlots+`ANY($1) ORDER BY slot_id FOR UPDATE`+skip, slots).Query(onSlots)
	} else {
		// As one array, so that the primary key serves it; the slot of a booking never changes, so it needs no lock yet.
		batch.Queue(lockSlots+`ANY($1::bigint[] ||
			ARRAY(SELECT slot_id FROM bookings WHERE campaign_id = $2 AND booking_id = ANY($3)))
			ORDER BY slot_id FOR UPDATE`+skip, slots, campaignID, postgres.UUIDs(replaced)).Query(onSlots)
	}
	if len(named) > 0 {
		batch.Queue(`SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND booking_id = ANY($2)
			ORDER BY booking_id FOR UPDATE`+skip, campaignID, postgres.UUIDs(named)).
			Query(collect(l.ending, func(b Booking, _ uuid.UUID) uuid.UUID { return b.ID }))
	}
	if h.look {
		queueLook(batch, &l, campaignID, requests)
	}
	// Patience ends here: whoever writes a person's booking at this moment has an outcome that this one waits for.
	batch.Queue(`SELECT clock_timestamp(), now(), set_config('lock_timeout', '0', true)`).
		QueryRow(func(row pgx.Row) error { return row.Scan(&l.now, &l.began, nil) })
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return locked{}, fmt.Errorf("locking the slots: %w", err)
	}
	return l, nil
}

// within is what can be decided under the locks that were got, of which others have some: all but what needs a row that wasn't got.
// A slot or a booking that doesn't exist isn't got either; without others in the way, its absence is what decides.
func (l locked) within(endings []ending, requests []request) (within []ending, decidable []request, later map[uuid.UUID]bool) {
	gotBooking := func(id uuid.UUID) bool {
		b, got := l.ending[id]
		_, slotGot := l.slots[b.Slot]
		return got && slotGot
	}
	later = map[uuid.UUID]bool{}
	for _, e := range endings {
		if !gotBooking(e.booking) {
			later[e.booking] = true
			continue
		}
		within = append(within, e)
	}
	for _, r := range requests {
		_, decided := l.decided[r.hold.ID]
		_, got := l.slots[r.hold.Slot]
		if decided || (got && (r.hold.Replaces == uuid.Nil || gotBooking(r.hold.Replaces))) {
			decidable = append(decidable, r)
		}
	}
	return within, decidable, later
}

// queueLook looks for what decided the holds before, and for what their persons have.
func queueLook(batch *pgx.Batch, l *locked, campaignID string, requests []request) {
	if len(requests) == 0 {
		return
	}
	holds, persons := make([]uuid.UUID, len(requests)), make([]uuid.UUID, len(requests))
	for i, r := range requests {
		holds[i], persons[i] = r.hold.ID, r.hold.Person
	}
	batch.Queue(`SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND hold_id = ANY($2)`, campaignID, postgres.UUIDs(holds)).
		Query(collect(l.decided, func(_ Booking, hold uuid.UUID) uuid.UUID { return hold }))
	batch.Queue(`SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND person_id = ANY($2) AND status = 'active'`,
		campaignID, postgres.UUIDs(persons)).
		Query(collect(l.active, func(b Booking, _ uuid.UUID) uuid.UUID { return b.Person }))
}

// collect reads bookings into a map by a key.
func collect(into map[uuid.UUID]Booking, key func(b Booking, hold uuid.UUID) uuid.UUID) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			b, hold, err := scanBooking(rows)
			if err != nil {
				return err
			}
			into[key(b, hold)] = b
		}
		return rows.Err()
	}
}

// lockSlots reads slots as copies.
const lockSlots = `
	SELECT slot_id, capacity, booked, state, version, (SELECT generation::text FROM store_generation WHERE one_row)
	FROM slots WHERE slot_id = `

// commit sends the batch with COMMIT at its end, in one round trip. COMMIT of a transaction that failed answers
// ROLLBACK without an error, so the answer itself is read.
func commit(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch) error {
	committed := false
	batch.Queue(`COMMIT`).Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" {
			return fmt.Errorf("commit answered %s", tag.String())
		}
		committed = true
		return nil
	})
	err := conn.SendBatch(ctx, batch).Close()
	switch {
	case err == nil && committed:
		return nil
	case err == nil:
		return errors.New("the flush ended without a commit")
	default:
		return failed(conn, err)
	}
}

// failed is what became of a flush while it was written. Where Postgres itself said no, nothing is. Where the connection broke,
// the flush is asked again: nothing is written as long as COMMIT wasn't sent, but who waits is better served by another try.
func failed(conn *pgx.Conn, err error) error {
	if _, refused := errors.AsType[*pgconn.PgError](err); refused && !conn.IsClosed() {
		return fmt.Errorf("writing the flush: %w", postgres.Unreachable(err))
	}
	return fmt.Errorf("%w: %w", errAfterCommit, err)
}

// columns are those that scanBooking reads.
const columns = `booking_id, campaign_id, slot_id, person_id, actor_id, status, coalesce(void_reason, ''),
	coalesce(reference, ''), series_id, sequence, replaces, wave_id, rules_version, judged_at, created_at,
	ended_at, coalesce(attendance, ''), attended_at, hold_id`

func scanBooking(row pgx.Row) (b Booking, hold uuid.UUID, err error) {
	var replaces uuid.NullUUID
	var ended, attended *time.Time
	err = row.Scan(&b.ID, &b.Campaign, &b.Slot, &b.Person, &b.Actor, &b.Status, &b.Reason, &b.Reference, &b.Series,
		&b.Sequence, &replaces, &b.Wave, &b.RulesVersion, &b.JudgedAt, &b.CreatedAt, &ended,
		&b.Attendance, &attended, &hold)
	b.Replaces = replaces.UUID
	if ended != nil {
		b.EndedAt = *ended
	}
	if attended != nil {
		b.AttendedAt = *attended
	}
	return b, hold, err
}

func scanCopy(row pgx.Row) (c slot.Copy, err error) {
	err = row.Scan(&c.Slot, &c.Capacity, &c.Booked, &c.State, &c.Version, &c.Generation)
	return c, err
}
