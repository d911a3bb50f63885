package booking

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	// copies are all slots that it locked, as they are after it.
	copies []slot.Copy
}

// flush decides the holds of requests, all of one campaign and no hold twice, in one transaction and two round trips: lock and look;
// write and commit. An error without errAfterCommit means that nothing was written.
//
// Every writer locks slots in ascending order and then bookings, so flushes and cancels never deadlock.
func flush(ctx context.Context, pool *pgxpool.Pool, campaignID string, requests []request) (flushed, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return flushed{}, postgres.Unreachable(fmt.Errorf("waiting for a connection: %w", err))
	}
	// Releasing a connection inside a transaction closes it, which rolls back.
	defer conn.Release()
	l, err := lock(ctx, conn.Conn(), campaignID, requests)
	if err != nil {
		return flushed{}, postgres.Unreachable(err)
	}
	// From here on no deadline: cancelling a commit would leave its outcome open.
	return write(context.WithoutCancel(ctx), conn.Conn(), campaignID, requests, l)
}

// lock begins the transaction, takes its locks and reads what the verdicts depend on.
func lock(ctx context.Context, conn *pgx.Conn, campaignID string, requests []request) (locked, error) {
	holds := make([]uuid.UUID, len(requests))
	persons := make([]uuid.UUID, len(requests))
	slots := make([]int64, len(requests))
	var replaced []uuid.UUID
	for i, r := range requests {
		holds[i], persons[i], slots[i] = r.hold.ID, r.hold.Person, r.hold.Slot
		if r.hold.Replaces != uuid.Nil {
			replaced = append(replaced, r.hold.Replaces)
		}
	}
	l := locked{slots: map[int64]room{}, decided: map[uuid.UUID]Booking{}, active: map[uuid.UUID]Booking{}}
	batch := &pgx.Batch{}
	batch.Queue(`BEGIN ISOLATION LEVEL READ COMMITTED`)
	// As one array, so that the primary key serves it; the slot of a booking never changes, so it needs no lock yet.
	batch.Queue(`
		SELECT slot_id, capacity, booked FROM slots
		WHERE slot_id = ANY($1::bigint[] ||
			ARRAY(SELECT slot_id FROM bookings WHERE campaign_id = $2 AND booking_id = ANY($3)))
		ORDER BY slot_id FOR UPDATE`, slots, campaignID, replaced).Query(func(rows pgx.Rows) error {
		var id int64
		var r room
		_, err := pgx.ForEachRow(rows, []any{&id, &r.capacity, &r.booked}, func() error {
			l.slots[id] = r
			return nil
		})
		return err
	})
	if len(replaced) > 0 {
		batch.Queue(`
			SELECT 1 FROM bookings WHERE campaign_id = $1 AND booking_id = ANY($2) ORDER BY booking_id FOR UPDATE`,
			campaignID, replaced)
	}
	collect := func(into map[uuid.UUID]Booking, key func(Booking, uuid.UUID) uuid.UUID) func(pgx.Rows) error {
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
	batch.Queue(`SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND hold_id = ANY($2)`, campaignID, holds).
		Query(collect(l.decided, func(_ Booking, hold uuid.UUID) uuid.UUID { return hold }))
	batch.Queue(`SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND person_id = ANY($2) AND status = 'active'`,
		campaignID, persons).
		Query(collect(l.active, func(b Booking, _ uuid.UUID) uuid.UUID { return b.Person }))
	batch.Queue(`SELECT clock_timestamp()`).QueryRow(func(row pgx.Row) error { return row.Scan(&l.now) })
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return locked{}, fmt.Errorf("locking the slots: %w", err)
	}
	return l, nil
}

// rows are the columns of the bookings to insert.
type rows struct {
	ids, holds, persons, actors, series, replaces []uuid.UUID
	slots, rules                                  []int64
	statuses, reasons, references, waves          []string
	sequences                                     []int32
	judged, held                                  []time.Time
}

func (r *rows) add(q request, v verdict) {
	series, sequence, reference, status := q.id, int32(0), q.reference, Active
	if v.reason != "" {
		status, reference = Void, ""
	}
	if v.moved != nil {
		series, sequence, reference = v.moved.Series, int32(v.moved.Sequence)+1, v.moved.Reference //nolint:gosec // a count of moves
	}
	r.ids = append(r.ids, q.id)
	r.holds = append(r.holds, q.hold.ID)
	r.slots = append(r.slots, q.hold.Slot)
	r.persons = append(r.persons, q.hold.Person)
	r.actors = append(r.actors, q.hold.Actor)
	r.statuses = append(r.statuses, string(status))
	r.reasons = append(r.reasons, string(v.reason))
	r.references = append(r.references, reference)
	r.series = append(r.series, series)
	r.sequences = append(r.sequences, sequence)
	r.replaces = append(r.replaces, q.hold.Replaces)
	r.waves = append(r.waves, q.hold.Wave)
	r.rules = append(r.rules, q.hold.RulesVersion)
	r.judged = append(r.judged, q.hold.JudgedAt)
	r.held = append(r.held, q.hold.PlacedAt)
}

const insertRows = `
	INSERT INTO bookings (campaign_id, booking_id, hold_id, slot_id, person_id, actor_id, status, void_reason, reference,
		series_id, sequence, replaces, wave_id, rules_version, judged_at, held_at, ended_at)
	SELECT $1, id, hold, slot, person, actor, status, nullif(reason, ''), nullif(reference, ''),
		series, sequence, nullif(replaces, '00000000-0000-0000-0000-000000000000'), wave, rules, judged, held,
		CASE status WHEN 'active' THEN NULL ELSE now() END
	FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::text[],
		$10::uuid[], $11::int[], $12::uuid[], $13::text[], $14::bigint[], $15::timestamptz[], $16::timestamptz[])
		AS q(id, hold, slot, person, actor, status, reason, reference, series, sequence, replaces, wave, rules, judged, held)
	ORDER BY person`

func (r *rows) arguments(campaignID string) []any {
	return []any{
		campaignID, r.ids, r.holds, r.slots, r.persons, r.actors, r.statuses, r.reasons, r.references,
		r.series, r.sequences, r.replaces, r.waves, r.rules, r.judged, r.held,
	}
}

// write writes the verdicts and commits.
func write(ctx context.Context, conn *pgx.Conn, campaignID string, requests []request, l locked) (flushed, error) {
	verdicts := decide(l, requests)
	var moves, others rows
	var superseded []uuid.UUID
	holds := make([]uuid.UUID, len(requests))
	made := make(map[uuid.UUID]uuid.UUID, len(requests)) // booking id by hold id
	for i, q := range requests {
		holds[i] = q.hold.ID
		v, undecided := verdicts[q.hold.ID]
		switch {
		case !undecided:
			continue
		case v.moved != nil:
			superseded = append(superseded, v.moved.ID)
			moves.add(q, v)
		default:
			others.add(q, v)
		}
		made[q.hold.ID] = q.id
	}
	ids := slices.Concat(moves.ids, others.ids)
	flushID := uuid.New()

	var f flushed
	batch := &pgx.Batch{}
	if len(superseded) > 0 {
		batch.Queue(`
			UPDATE bookings SET status = 'superseded', ended_at = now()
			WHERE campaign_id = $1 AND booking_id = ANY($2) AND status = 'active'`, campaignID, superseded)
		// Without ON CONFLICT: a move that can't be written must take its superseding back with it.
		batch.Queue(insertRows, moves.arguments(campaignID)...)
	}
	if len(others.ids) > 0 {
		// A person whom another instance books at this moment is skipped here, and decided in the next flush.
		batch.Queue(insertRows+` ON CONFLICT DO NOTHING`, others.arguments(campaignID)...)
	}
	if len(ids) > 0 {
		queueChanges(batch, campaignID, ids, superseded, flushID)
	}
	// A statement of its own sees what the ones before really did.
	f.outcomes, f.fresh = map[uuid.UUID]Booking{}, map[uuid.UUID]bool{}
	batch.Queue(`SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND hold_id = ANY($2)`, campaignID, holds).
		Query(func(rows pgx.Rows) error {
			for rows.Next() {
				b, hold, err := scanBooking(rows)
				if err != nil {
					return err
				}
				f.outcomes[hold] = b
				f.fresh[hold] = b.Status == Active && made[hold] == b.ID
			}
			return rows.Err()
		})
	batch.Queue(`
		SELECT slot_id, capacity, booked, state, version, (SELECT generation::text FROM store_generation)
		FROM slots WHERE slot_id = ANY($1)`, slices.Sorted(maps.Keys(l.slots))).Query(func(rows pgx.Rows) (err error) {
		f.copies, err = pgx.CollectRows(rows, scanCopy)
		return err
	})
	return f, commit(ctx, conn, batch)
}

// queueChanges raises what really changed, and leaves the events and the one note of the flush.
func queueChanges(batch *pgx.Batch, campaignID string, ids, superseded []uuid.UUID, flushID uuid.UUID) {
	batch.Queue(`
		UPDATE slots s SET booked = s.booked + d.delta, version = s.version + 1
		FROM (
			SELECT slot_id, sum(unit)::int AS delta FROM (
				SELECT slot_id, 1 AS unit FROM bookings
				WHERE campaign_id = $1 AND booking_id = ANY($2) AND status = 'active'
				UNION ALL
				SELECT slot_id, -1 FROM bookings WHERE campaign_id = $1 AND booking_id = ANY($3)
			) units GROUP BY slot_id
		) d
		WHERE s.slot_id = d.slot_id`, campaignID, ids, superseded)
	batch.Queue(`
		WITH events AS (
			INSERT INTO booking_events (flush_id, campaign_id, booking_id, kind, actor_id)
			SELECT $3, campaign_id, booking_id, CASE WHEN replaces IS NULL THEN 'booked' ELSE 'moved' END, actor_id
			FROM bookings WHERE campaign_id = $1 AND booking_id = ANY($2) AND status = 'active'
			RETURNING 1
		)
		INSERT INTO river.river_job (kind, args, max_attempts, queue)
		SELECT $4, jsonb_build_object('flush_id', $3::uuid), 25, 'default' WHERE EXISTS (SELECT 1 FROM events)`,
		campaignID, ids, flushID, NoticeKind)
}

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
		if _, refused := errors.AsType[*pgconn.PgError](err); refused && !conn.IsClosed() {
			// Postgres itself said no, before the commit: nothing was written.
			return fmt.Errorf("writing the flush: %w", postgres.Unreachable(err))
		}
		return fmt.Errorf("%w: %w", errAfterCommit, err)
	}
}

// columns are those that scanBooking reads.
const columns = `booking_id, campaign_id, slot_id, person_id, actor_id, status, coalesce(void_reason, ''),
	coalesce(reference, ''), series_id, sequence, replaces, wave_id, rules_version, judged_at, created_at,
	ended_at, hold_id`

func scanBooking(row pgx.Row) (b Booking, hold uuid.UUID, err error) {
	var replaces uuid.NullUUID
	var ended *time.Time
	err = row.Scan(&b.ID, &b.Campaign, &b.Slot, &b.Person, &b.Actor, &b.Status, &b.Reason, &b.Reference, &b.Series,
		&b.Sequence, &replaces, &b.Wave, &b.RulesVersion, &b.JudgedAt, &b.CreatedAt, &ended, &hold)
	b.Replaces = replaces.UUID
	if ended != nil {
		b.EndedAt = *ended
	}
	return b, hold, err
}

func scanCopy(row pgx.CollectableRow) (c slot.Copy, err error) {
	err = row.Scan(&c.Slot, &c.Capacity, &c.Booked, &c.State, &c.Version, &c.Generation)
	return c, err
}
