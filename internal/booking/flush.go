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
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/crash"
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
}

// flush cancels bookings and decides holds, all of one campaign and none twice, in one transaction and two round trips:
// lock and look; write and commit. An error without errAfterCommit means that nothing was written.
//
// Without look, it doesn't look for what was decided before: of a flush of nothing but first tries, all that would be found is
// nothing. The unique indexes know better where that's wrong, and then it is done again with looking. Whatever isn't a plain
// booking is looked at all the same.
//
// Every writer locks slots in ascending order and then bookings, so flushes that look never deadlock. One that doesn't may wait for
// a booking that another instance is ending at that moment, while that one waits for it: Postgres ends one of both, which is then
// run again.
func flush(
	ctx context.Context, pool *pgxpool.Pool, campaignID string, endings []ending, requests []request, look bool,
) (flushed, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return flushed{}, postgres.Unreachable(fmt.Errorf("waiting for a connection: %w", err))
	}
	// Releasing a connection inside a transaction closes it, which rolls back.
	defer conn.Release()
	f, err := try(ctx, conn.Conn(), campaignID, endings, requests, look, "")
	if !postgres.IsUniqueViolation(err) {
		return f, err
	}
	// One of the holds was decided before, or one of the persons is booked, perhaps by another instance at this moment. Skipping
	// whom that is costs a look-up in every unique index for every row, so it is only done when it has happened.
	if _, err := conn.Exec(ctx, `ROLLBACK`); err != nil {
		return flushed{}, postgres.Unreachable(fmt.Errorf("rolling back a flush: %w", err))
	}
	f, err = try(ctx, conn.Conn(), campaignID, endings, requests, true, "ON CONFLICT DO NOTHING")
	f.met = true
	return f, err
}

// try is one transaction of a flush.
func try(
	ctx context.Context, conn *pgx.Conn, campaignID string, endings []ending, requests []request, look bool, conflict string,
) (flushed, error) {
	l, err := lock(ctx, conn, campaignID, endings, requests, look)
	if err != nil {
		return flushed{}, postgres.Unreachable(err)
	}
	p := decide(l, endings, requests)
	if !look && !p.plain() {
		batch := &pgx.Batch{}
		queueLook(batch, &l, campaignID, requests)
		if err := conn.SendBatch(ctx, batch).Close(); err != nil {
			return flushed{}, postgres.Unreachable(fmt.Errorf("looking for what was decided before: %w", err))
		}
		p = decide(l, endings, requests)
	}
	// From here on no deadline: cancelling a commit would leave its outcome open.
	f, err := write(context.WithoutCancel(ctx), conn, campaignID, requests, l, p, conflict)
	f.met = p.met || !p.plain()
	return f, err
}

// lock begins the transaction, takes its locks and reads what the verdicts depend on; without look, all but what was decided
// before.
func lock(
	ctx context.Context, conn *pgx.Conn, campaignID string, endings []ending, requests []request, look bool,
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
		batch.Queue(lockSlots+`ANY($1) ORDER BY slot_id FOR UPDATE`, slots).Query(onSlots)
	} else {
		// As one array, so that the primary key serves it; the slot of a booking never changes, so it needs no lock yet.
		batch.Queue(lockSlots+`ANY($1::bigint[] ||
			ARRAY(SELECT slot_id FROM bookings WHERE campaign_id = $2 AND booking_id = ANY($3)))
			ORDER BY slot_id FOR UPDATE`, slots, campaignID, postgres.UUIDs(replaced)).Query(onSlots)
	}
	if len(named) > 0 {
		batch.Queue(`SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND booking_id = ANY($2)
			ORDER BY booking_id FOR UPDATE`, campaignID, postgres.UUIDs(named)).
			Query(collect(l.ending, func(b Booking, _ uuid.UUID) uuid.UUID { return b.ID }))
	}
	if look {
		queueLook(batch, &l, campaignID, requests)
	}
	batch.Queue(`SELECT clock_timestamp(), now()`).QueryRow(func(row pgx.Row) error { return row.Scan(&l.now, &l.began) })
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return locked{}, fmt.Errorf("locking the slots: %w", err)
	}
	return l, nil
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

// rows are the bookings to insert, and their columns.
type rows struct {
	all                                           []Booking
	ids, holds, persons, actors, series, replaces []uuid.UUID
	slots, rules                                  []int64
	statuses, reasons, references, waves          []string
	sequences                                     []int32
	judged, held                                  []time.Time
}

// add makes the row of a verdict.
func (r *rows) add(q request, v verdict, began time.Time) {
	b := Booking{
		ID: q.id, Campaign: q.hold.Campaign, Slot: q.hold.Slot, Person: q.hold.Person, Actor: q.hold.Actor,
		Status: Active, Reason: v.reason, Reference: q.reference, Series: q.id, Replaces: q.hold.Replaces,
		Wave: q.hold.Wave, RulesVersion: q.hold.RulesVersion, JudgedAt: q.hold.JudgedAt.Truncate(time.Microsecond),
		CreatedAt: began,
	}
	if v.reason != "" {
		b.Status, b.Reference, b.EndedAt = Void, "", began
	}
	if v.moved != nil {
		b.Series, b.Sequence, b.Reference = v.moved.Series, v.moved.Sequence+1, v.moved.Reference
	}
	r.all = append(r.all, b)
	r.ids = append(r.ids, b.ID)
	r.holds = append(r.holds, q.hold.ID)
	r.slots = append(r.slots, b.Slot)
	r.persons = append(r.persons, b.Person)
	r.actors = append(r.actors, b.Actor)
	r.statuses = append(r.statuses, string(b.Status))
	r.reasons = append(r.reasons, string(b.Reason))
	r.references = append(r.references, b.Reference)
	r.series = append(r.series, b.Series)
	r.sequences = append(r.sequences, int32(b.Sequence)) //nolint:gosec // a count of moves
	r.replaces = append(r.replaces, b.Replaces)
	r.waves = append(r.waves, b.Wave)
	r.rules = append(r.rules, b.RulesVersion)
	r.judged = append(r.judged, b.JudgedAt)
	r.held = append(r.held, q.hold.PlacedAt)
}

const insertRows = `
	INSERT INTO bookings (campaign_id, booking_id, hold_id, slot_id, person_id, actor_id, status, void_reason, reference,
		series_id, sequence, replaces, wave_id, rules_version, judged_at, held_at, ended_at)
	SELECT $1::text, id, hold, slot, person, actor, status, nullif(reason, ''), nullif(reference, ''),
		series, sequence, nullif(replaces, '00000000-0000-0000-0000-000000000000'), wave, rules, judged, held,
		CASE status WHEN 'active' THEN NULL ELSE now() END
	FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::text[],
		$10::uuid[], $11::int[], $12::uuid[], $13::text[], $14::bigint[], $15::timestamptz[], $16::timestamptz[])
		AS q(id, hold, slot, person, actor, status, reason, reference, series, sequence, replaces, wave, rules, judged, held)
	ORDER BY person`

func (r *rows) arguments(campaignID string) []any {
	return []any{
		campaignID, postgres.UUIDs(r.ids), postgres.UUIDs(r.holds), r.slots, postgres.UUIDs(r.persons), postgres.UUIDs(r.actors),
		r.statuses, r.reasons, r.references, postgres.UUIDs(r.series), r.sequences, postgres.UUIDs(r.replaces), r.waves, r.rules, r.judged, r.held,
	}
}

// insertAndCount inserts new bookings, and in the same statement raises what really changed and leaves the events and the
// one note of the flush. What was certain beforehand (moves and cancels, whose rows are locked) comes as arguments. With ON
// CONFLICT DO NOTHING, a person whom another instance books at this moment is skipped, isn't returned, and is decided in
// the next flush.
func insertAndCount(conflict string) string {
	return `
	WITH made AS (` + insertRows + `
		` + conflict + ` RETURNING booking_id, slot_id, actor_id, status
	), changed AS (
		UPDATE slots s SET booked = s.booked + d.delta, version = s.version + 1
		FROM (
			SELECT slot_id, sum(units)::int AS delta FROM (
				SELECT slot_id, 1 AS units FROM made WHERE status = 'active'
				UNION ALL
				SELECT * FROM unnest($17::bigint[], $18::int[])
			) u GROUP BY slot_id
		) d
		WHERE s.slot_id = d.slot_id
	), events AS (
		INSERT INTO flush_events (flush_id, campaign_id, bookings, kinds, actors)
		SELECT $22::uuid, $1::text, array_agg(booking), array_agg(kind), array_agg(actor) FROM (
			SELECT booking_id, 'booked', actor_id FROM made WHERE status = 'active'
			UNION ALL
			SELECT * FROM unnest($19::uuid[], $20::text[], $21::uuid[])
		) e(booking, kind, actor) HAVING count(*) > 0
		RETURNING 1
	), note AS (
		INSERT INTO river.river_job (kind, args, max_attempts, queue)
		SELECT $23::text, jsonb_build_object('flush_id', $22::uuid), 25, 'default' WHERE EXISTS (SELECT 1 FROM events)
	)
	SELECT booking_id FROM made`
}

// certain is what a flush changes beside inserting new bookings.
type certain struct {
	units  map[int64]int32 // by slot
	events struct {
		bookings, actors []uuid.UUID
		kinds            []string
	}
}

func (c *certain) event(booking uuid.UUID, kind string, actor uuid.UUID) {
	c.events.bookings = append(c.events.bookings, booking)
	c.events.kinds = append(c.events.kinds, kind)
	c.events.actors = append(c.events.actors, actor)
}

// write writes a plan and commits.
func write(
	ctx context.Context, conn *pgx.Conn, campaignID string, requests []request, l locked, p plan, conflict string,
) (flushed, error) {
	var moves, others rows
	var superseded, cancelled []uuid.UUID
	sure := certain{units: map[int64]int32{}}
	for _, e := range p.cancels {
		cancelled = append(cancelled, e.booking)
		sure.units[e.slot]--
		sure.event(e.booking, "cancelled", e.actor)
	}
	for _, q := range requests {
		v, undecided := p.verdicts[q.hold.ID]
		switch {
		case !undecided:
		case v.moved != nil:
			superseded = append(superseded, v.moved.ID)
			moves.add(q, v, l.began)
			sure.units[v.moved.Slot]--
			sure.units[q.hold.Slot]++
			sure.event(q.id, "moved", q.hold.Actor)
		default:
			others.add(q, v, l.began)
		}
	}

	batch := &pgx.Batch{}
	if len(cancelled) > 0 {
		batch.Queue(`
			UPDATE bookings SET status = 'cancelled', ended_at = now(), sequence = sequence + 1
			WHERE campaign_id = $1 AND booking_id = ANY($2) AND status = 'active'`, campaignID, postgres.UUIDs(cancelled))
	}
	if len(superseded) > 0 {
		batch.Queue(`
			UPDATE bookings SET status = 'superseded', ended_at = now()
			WHERE campaign_id = $1 AND booking_id = ANY($2) AND status = 'active'`, campaignID, postgres.UUIDs(superseded))
		// Without ON CONFLICT: a move that can't be written must take its superseding back with it.
		batch.Queue(insertRows, moves.arguments(campaignID)...)
	}
	var units struct {
		slots  []int64
		deltas []int32
	}
	for s, delta := range sure.units {
		units.slots, units.deltas = append(units.slots, s), append(units.deltas, delta)
	}
	made := make(map[uuid.UUID]bool, len(requests))
	if len(others.ids) > 0 || len(sure.units) > 0 {
		batch.Queue(insertAndCount(conflict), append(others.arguments(campaignID),
			units.slots, units.deltas, postgres.UUIDs(sure.events.bookings), sure.events.kinds, postgres.UUIDs(sure.events.actors), uuid.New(), NoticeKind)...).
			Query(func(rows pgx.Rows) error {
				var id pgtype.UUID
				_, err := pgx.ForEachRow(rows, []any{&id}, func() error {
					made[id.Bytes] = true
					return nil
				})
				return err
			})
	}
	if err := commit(ctx, conn, batch); err != nil {
		return flushed{}, err
	}
	crash.Point(crash.Committed)
	return outcome(l, p, moves, others, sure.units, made), nil
}

// outcome is what a flush did, once it is durable: what was found, with what was written. Nothing of it is read again:
// the rows that were found can't change under the locks of their slots.
func outcome(l locked, p plan, moves, others rows, units map[int64]int32, made map[uuid.UUID]bool) flushed {
	f := flushed{outcomes: maps.Clone(l.decided), fresh: map[uuid.UUID]bool{}, ended: l.ending}
	for i, b := range moves.all {
		f.outcomes[moves.holds[i]], f.fresh[moves.holds[i]] = b, true
	}
	for i, b := range others.all {
		if !made[b.ID] {
			continue
		}
		f.outcomes[others.holds[i]] = b
		if b.Status == Active {
			f.fresh[others.holds[i]] = true
			units[b.Slot]++
		}
	}
	for id := range p.cancels {
		b := f.ended[id]
		b.Status, b.EndedAt = Cancelled, l.began
		b.Sequence++
		f.ended[id] = b
	}
	for _, c := range l.slots {
		if delta, changed := units[c.Slot]; changed {
			c.Booked += int(delta)
			c.Version++
		}
		f.copies = append(f.copies, c)
	}
	return f
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
