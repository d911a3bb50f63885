package waitingroom

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/fault"
	"jari/internal/postgres"
)

const roomColumns = `room_no, room_id, state, registered, drawn, numbers, late_numbers, serving, late_serving, open_ms, leader,
	rate, max_active, message_ko, message_en, draw_source, draw_chain, draw_round, value_at, published_at,
	root, value, proof, seed, proposed, proposed_by, fell_back, draw_name`

func scanRoom(row pgx.Row) (*Room, error) {
	r := &Room{}
	err := row.Scan(&r.No, &r.ID, &r.State, &r.Registered, &r.Drawn, &r.Numbers, &r.LateNumbers, &r.Serving, &r.LateServing,
		&r.OpenMS, &r.Leader, &r.Rate, &r.MaxActive, &r.MessageKo, &r.MessageEn, &r.DrawSource, &r.DrawChain, &r.DrawRound,
		&r.ValueAt, &r.PublishedAt, &r.Root, &r.Value, &r.Proof, &r.Seed, &r.Proposed, &r.ProposedBy,
		&r.FellBack, &r.DrawName)
	return r, err
}

// briefly has Postgres end a transaction, and give back the locks that it has, when nothing comes from its instance for two
// seconds. Whoever vanishes with the row of a room locked would keep it from the next leader for as long as a connection
// may otherwise say nothing.
const briefly = `SET LOCAL idle_in_transaction_session_timeout = '2s'`

// inTx runs a transaction that locks the row of a room.
func inTx(ctx context.Context, pool *pgxpool.Pool, f func(tx pgx.Tx) error) error {
	return postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, briefly); err != nil {
			return postgres.Unreachable(err)
		}
		return f(tx)
	})
}

// ensure makes the rows of rooms that have none.
func ensure(ctx context.Context, pool *pgxpool.Pool, rooms []string) error {
	if _, err := pool.Exec(ctx, `
		INSERT INTO rooms (room_id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING`, rooms); err != nil {
		return postgres.Unreachable(fmt.Errorf("making rooms: %w", err))
	}
	return nil
}

// load reads rooms and what they have served since the seconds that are named, in one look, with what was served before: that
// is where the calls since begin.
func load(ctx context.Context, pool *pgxpool.Pool, ids []string, since []int64) (map[string]*Room, map[int32][]Served, error) {
	rooms, past := map[string]*Room{}, map[int32][]Served{}
	var batch pgx.Batch
	batch.Queue(`SELECT `+roomColumns+` FROM rooms WHERE room_id = ANY($1)`, ids).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			r, err := scanRoom(rows)
			if err != nil {
				return err
			}
			rooms[r.ID] = r
		}
		return rows.Err()
	})
	batch.Queue(`
		SELECT r.room_no, s.second, s.serving, s.late_serving FROM unnest($1::text[], $2::bigint[]) AS w(room_id, since)
		JOIN rooms r USING (room_id) JOIN room_servings s ON s.room_no = r.room_no AND s.second >= coalesce(
			(SELECT max(b.second) FROM room_servings b WHERE b.room_no = r.room_no AND b.second < w.since), w.since)
		ORDER BY r.room_no, s.second`, ids, since).Query(func(rows pgx.Rows) error {
		var no int32
		var s Served
		_, err := pgx.ForEachRow(rows, []any{&no, &s.Second, &s.Serving, &s.LateServing}, func() error {
			past[no] = append(past[no], s)
			return nil
		})
		return err
	})
	// One snapshot, or a position could be called by the row before the history says when.
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return tx.SendBatch(ctx, &batch).Close()
	})
	if err != nil {
		return nil, nil, postgres.Unreachable(fmt.Errorf("reading rooms: %w", err))
	}
	return rooms, past, nil
}

// Served is what was being served by the end of a second of a room's open time.
type Served struct {
	Second               int64
	Serving, LateServing uint64
}

// leaseTerm is how long a leader leads without renewing, by Postgres's clock.
const leaseTerm = postgres.LeaseTerm

// longestOpenStep is the most open time that one step counts: what a room was without a leader isn't counted.
const longestOpenStep = 2 * time.Second

// takeLead takes or renews the lease of a room and counts its open time. It returns nil if another instance leads.
func takeLead(ctx context.Context, pool *pgxpool.Pool, room string, me uuid.UUID) (*Room, error) {
	r, err := scanRoom(pool.QueryRow(ctx, `
		UPDATE rooms SET leader = $2, leader_until = clock_timestamp() + $3::interval, stepped_at = clock_timestamp(),
			open_ms = open_ms + CASE WHEN state = 'open' AND stepped_at IS NOT NULL
				THEN least($4, greatest(0, extract(epoch FROM clock_timestamp() - stepped_at) * 1000))::bigint ELSE 0 END
		WHERE room_id = $1 AND (leader = $2 OR leader_until IS NULL OR leader_until < clock_timestamp())
		RETURNING `+roomColumns, room, me, leaseTerm, longestOpenStep.Milliseconds()))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("leading the room %s: %w", room, err))
	}
	return r, nil
}

// giveUp ends the lease early, so that another instance need not wait for its end.
func giveUp(ctx context.Context, pool *pgxpool.Pool, me uuid.UUID) error {
	_, err := pool.Exec(ctx, `UPDATE rooms SET leader_until = NULL, leader = NULL WHERE leader = $1`, me)
	return postgres.Unreachable(err)
}

// advance raises what is served, from what was read and as long as the lease lasts, and remembers when. The second is
// rounded up: nobody's grace begins before they could know.
func advance(ctx context.Context, pool *pgxpool.Pool, r *Room, me uuid.UUID, serving, late uint64) (bool, error) {
	tag, err := pool.Exec(ctx, `
		WITH moved AS (
			UPDATE rooms SET serving = $3, late_serving = $4
			WHERE room_no = $1 AND leader = $2 AND leader_until > clock_timestamp() AND state = 'open'
				AND serving = $5 AND late_serving = $6
			RETURNING open_ms
		)
		INSERT INTO room_servings AS s (room_no, second, serving, late_serving)
		SELECT $1, open_ms / 1000 + 1, $3, $4 FROM moved
		ON CONFLICT (room_no, second) DO UPDATE SET serving = excluded.serving, late_serving = excluded.late_serving`,
		r.No, me, int64(serving), int64(late), int64(r.Serving), int64(r.LateServing)) //nolint:gosec // far below 2^63
	if err != nil {
		return false, postgres.Unreachable(fmt.Errorf("advancing the room %s: %w", r.ID, err))
	}
	return tag.RowsAffected() == 1, nil
}

// Actor is who changes a room: the key of an administrator, or the room's own schedule.
type Actor struct {
	By, Reason string
	// Same tells whether somebody else is the same person by another credential; nil compares what they are called.
	Same func(ctx context.Context, tx pgx.Tx, other string) (bool, error)
}

// bySchedule is who opens rooms when their time has come.
var bySchedule = Actor{By: BySchedule}

// BySchedule is who did what a room does by its own schedule.
const BySchedule = "schedule"

// transit changes the state of a room from what it was, in the transaction of whatever goes with it.
func transit(ctx context.Context, tx pgx.Tx, room int32, from, to State, by Actor) (bool, error) {
	if !from.Can(to) {
		return false, fault.New(fault.Conflict, fault.CodeRoomState)
	}
	tag, err := tx.Exec(ctx, `
		WITH moved AS (
			UPDATE rooms SET state = $3, drawn = CASE WHEN $3 = 'drawing' THEN registered ELSE drawn END,
				stepped_at = CASE WHEN $3 = 'open' THEN clock_timestamp() ELSE stepped_at END
			WHERE room_no = $1 AND state = $2 RETURNING room_no
		)
		INSERT INTO room_transitions (room_no, from_state, to_state, by) SELECT room_no, $2, $3, $4 FROM moved`,
		room, from, to, by.By)
	if err != nil {
		return false, postgres.Unreachable(fmt.Errorf("changing the state of a room: %w", err))
	}
	return tag.RowsAffected() == 1, nil
}

// lateNumber reads a person's number in the late lane, or gives one out: the first, or another if missed is the number that
// they have.
func lateNumber(
	ctx context.Context, pool *pgxpool.Pool, room int32, person uuid.UUID, missed *uint64,
) (number uint64, atMS int64, err error) {
	const find = `SELECT number, at_ms FROM late_places WHERE room_no = $1 AND person_id = $2`
	have := func(row pgx.Row) (bool, error) {
		err := row.Scan(&number, &atMS)
		if errors.Is(err, pgx.ErrNoRows) {
			return false, nil
		}
		return err == nil && (missed == nil || *missed != number), err
	}
	if found, err := have(pool.QueryRow(ctx, find, room, person)); err != nil || found {
		return number, atMS, postgres.Unreachable(err)
	}
	err = inTx(ctx, pool, func(tx pgx.Tx) error {
		// The room is locked before looking again, so that two devices don't take a number each.
		if _, err := tx.Exec(ctx, `SELECT 1 FROM rooms WHERE room_no = $1 FOR UPDATE`, room); err != nil {
			return postgres.Unreachable(err)
		}
		if found, err := have(tx.QueryRow(ctx, find, room, person)); err != nil || found {
			return postgres.Unreachable(err)
		}
		return postgres.Unreachable(tx.QueryRow(ctx, `
			WITH taken AS (UPDATE rooms SET late_numbers = late_numbers + 1 WHERE room_no = $1 RETURNING late_numbers - 1 AS number, open_ms)
			INSERT INTO late_places (room_no, person_id, number, at_ms) SELECT $1, $2, number, open_ms FROM taken
			ON CONFLICT (room_no, person_id) DO UPDATE SET number = excluded.number, at_ms = excluded.at_ms
			RETURNING number, at_ms`, room, person).Scan(&number, &atMS))
	})
	return number, atMS, err
}
