package booking

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"jari/internal/crash"
	"jari/internal/postgres"
	"jari/internal/slot"
)

// row is a booking to insert, of a hold and when that was placed.
type row struct {
	Booking
	hold uuid.UUID
	held time.Time
}

// rowOf makes the row of a verdict.
func rowOf(q request, v verdict, began time.Time) row {
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
	return row{Booking: b, hold: q.hold.ID, held: q.hold.PlacedAt}
}

// rows are bookings to insert.
type rows []row

// rowColumns are those of what copyIn and insertRows write, in their order.
var rowColumns = []string{
	"campaign_id", "booking_id", "hold_id", "slot_id", "person_id", "actor_id", "status", "void_reason", "reference",
	"series_id", "sequence", "replaces", "wave_id", "rules_version", "judged_at", "held_at", "ended_at",
}

// copyIn inserts them all by COPY, which costs less than a statement with an array for each column. It puts them into the order of
// persons, so that two instances with the same persons wait for each other and not in a circle.
func (rs rows) copyIn(ctx context.Context, conn *pgx.Conn, campaignID string) error {
	slices.SortFunc(rs, func(a, b row) int { return bytes.Compare(a.Person[:], b.Person[:]) })
	_, err := postgres.CopyIn(ctx, conn, "bookings", rowColumns, func(to *postgres.Copier) error {
		text := func(s string) {
			if s == "" {
				to.Null()
				return
			}
			to.Text(s)
		}
		for _, r := range rs {
			if err := to.Row(); err != nil {
				return err
			}
			to.Text(campaignID)
			to.UUID(r.ID)
			to.UUID(r.hold)
			to.Long(r.Slot)
			to.UUID(r.Person)
			to.UUID(r.Actor)
			to.Text(string(r.Status))
			text(string(r.Reason))
			text(r.Reference)
			to.UUID(r.Series)
			to.Int(int32(r.Sequence)) //nolint:gosec // a count of moves
			if r.Replaces == uuid.Nil {
				to.Null()
			} else {
				to.UUID(r.Replaces)
			}
			to.Text(r.Wave)
			to.Long(r.RulesVersion)
			to.Time(r.JudgedAt)
			to.Time(r.held)
			if r.EndedAt.IsZero() {
				to.Null()
			} else {
				to.Time(r.EndedAt)
			}
		}
		return nil
	})
	return err
}

// insertRows inserts rows one by one, as far as Postgres is concerned: where some may be skipped, or belong to a move.
var insertRows = `
	INSERT INTO bookings (` + strings.Join(rowColumns, ", ") + `)
	SELECT $1::text, id, hold, slot, person, actor, status, nullif(reason, ''), nullif(reference, ''),
		series, sequence, nullif(replaces, '00000000-0000-0000-0000-000000000000'), wave, rules, judged, held,
		CASE status WHEN 'active' THEN NULL ELSE now() END
	FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::text[],
		$10::uuid[], $11::int[], $12::uuid[], $13::text[], $14::bigint[], $15::timestamptz[], $16::timestamptz[])
		AS q(id, hold, slot, person, actor, status, reason, reference, series, sequence, replaces, wave, rules, judged, held)
	ORDER BY person`

// arguments are those of insertRows.
func (rs rows) arguments(campaignID string) []any {
	var ids, holds, persons, actors, series, replaces []uuid.UUID
	var slots, rules []int64
	var statuses, reasons, references, waves []string
	var sequences []int32
	var judged, held []time.Time
	for _, r := range rs {
		ids, holds, persons = append(ids, r.ID), append(holds, r.hold), append(persons, r.Person)
		actors, series, replaces = append(actors, r.Actor), append(series, r.Series), append(replaces, r.Replaces)
		slots, rules = append(slots, r.Slot), append(rules, r.RulesVersion)
		statuses, reasons = append(statuses, string(r.Status)), append(reasons, string(r.Reason))
		references, waves = append(references, r.Reference), append(waves, r.Wave)
		sequences = append(sequences, int32(r.Sequence)) //nolint:gosec // a count of moves
		judged, held = append(judged, r.JudgedAt), append(held, r.held)
	}
	return []any{
		campaignID, postgres.UUIDs(ids), postgres.UUIDs(holds), slots, postgres.UUIDs(persons), postgres.UUIDs(actors),
		statuses, reasons, references, postgres.UUIDs(series), sequences, postgres.UUIDs(replaces), waves, rules, judged, held,
	}
}

// insertMissing inserts rows whose holds or persons may have been decided meanwhile: those are skipped and not returned.
var insertMissing = insertRows + ` ON CONFLICT DO NOTHING RETURNING booking_id`

// changes are what a transaction changes beside rows of bookings.
type changes struct {
	units  map[int64]int32 // given or given back, by slot
	events struct {
		bookings, actors []uuid.UUID
		kinds            []string
	}
}

func (c *changes) event(booking uuid.UUID, kind string, actor uuid.UUID) {
	c.events.bookings = append(c.events.bookings, booking)
	c.events.kinds = append(c.events.kinds, kind)
	c.events.actors = append(c.events.actors, actor)
}

// queueUnits changes what slots have booked. Their rows are locked.
func (c *changes) queueUnits(batch *pgx.Batch) {
	if len(c.units) == 0 {
		return
	}
	slots, deltas := make([]int64, 0, len(c.units)), make([]int32, 0, len(c.units))
	for s, delta := range c.units {
		slots, deltas = append(slots, s), append(deltas, delta)
	}
	batch.Queue(`
		UPDATE slots s SET booked = s.booked + d.delta, version = s.version + 1
		FROM unnest($1::bigint[], $2::int[]) AS d(slot_id, delta) WHERE s.slot_id = d.slot_id`, slots, deltas)
}

// queueEvents leaves the events, and one note of them all. causes are as many as the events, or none.
func (c *changes) queueEvents(batch *pgx.Batch, campaignID string, causes []string) {
	if len(c.events.bookings) == 0 {
		return
	}
	flush := uuid.New()
	batch.Queue(`INSERT INTO flush_events (flush_id, campaign_id, bookings, kinds, actors, causes) VALUES ($1, $2, $3, $4, $5, $6)`,
		flush, campaignID, postgres.UUIDs(c.events.bookings), c.events.kinds, postgres.UUIDs(c.events.actors), causes)
	batch.Queue(`INSERT INTO river.river_job (kind, args, max_attempts, queue) VALUES ($1, jsonb_build_object('flush_id', $2::uuid), 25, 'default')`,
		NoticeKind, flush)
}

// write writes a plan and commits. again tells that a unique index refused the rows of this flush before.
func write(
	ctx context.Context, conn *pgx.Conn, campaignID string, requests []request, l locked, p plan, again bool,
) (flushed, error) {
	var moves rows
	others := make(rows, 0, len(requests))
	var superseded, cancelled []uuid.UUID
	sure := changes{units: map[int64]int32{}}
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
			moves = append(moves, rowOf(q, v, l.began))
			sure.units[v.moved.Slot]--
			sure.units[q.hold.Slot]++
			sure.event(q.id, "moved", q.hold.Actor)
		default:
			others = append(others, rowOf(q, v, l.began))
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
	var err error
	if others, err = insert(ctx, conn, batch, campaignID, others, again); err != nil {
		return flushed{}, failed(conn, err)
	}
	for _, r := range others {
		if r.Status == Active {
			sure.units[r.Slot]++
			sure.event(r.ID, "booked", r.Actor)
		}
	}
	batch = &pgx.Batch{}
	sure.queueUnits(batch)
	sure.queueEvents(batch, campaignID, nil)
	if err := commit(ctx, conn, batch); err != nil {
		return flushed{}, err
	}
	crash.Point(crash.Committed)
	return outcome(l, p, append(others, moves...), sure.units), nil // others has room for all
}

// insert sends a batch and then inserts rows. Again, it skips those that are refused once more: another instance books the person
// at this moment, or the reference is somebody's. It returns what it inserted.
func insert(
	ctx context.Context, conn *pgx.Conn, batch *pgx.Batch, campaignID string, all rows, again bool,
) (inserted rows, err error) {
	made := map[uuid.UUID]bool{}
	if again && len(all) > 0 {
		batch.Queue(insertMissing, all.arguments(campaignID)...).Query(func(found pgx.Rows) error {
			var id pgtype.UUID
			_, err := pgx.ForEachRow(found, []any{&id}, func() error {
				made[id.Bytes] = true
				return nil
			})
			return err
		})
	}
	if batch.Len() > 0 {
		if err := conn.SendBatch(ctx, batch).Close(); err != nil {
			return nil, err
		}
	}
	if again {
		return slices.DeleteFunc(all, func(r row) bool { return !made[r.ID] }), nil
	}
	if len(all) > 0 {
		err = all.copyIn(ctx, conn, campaignID)
	}
	return all, err
}

// outcome is what a flush did, once it is durable: what was found, with what was written. Nothing of it is read again:
// the rows that were found can't change under the locks of their slots.
func outcome(l locked, p plan, made rows, units map[int64]int32) flushed {
	f := flushed{
		outcomes: make(map[uuid.UUID]Booking, len(l.decided)+len(made)), fresh: make(map[uuid.UUID]bool, len(made)), ended: l.ending,
		copies: make([]slot.Copy, 0, len(l.slots)),
	}
	maps.Copy(f.outcomes, l.decided)
	for _, r := range made {
		f.outcomes[r.hold] = r.Booking
		if r.Status == Active {
			f.fresh[r.hold] = true
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
