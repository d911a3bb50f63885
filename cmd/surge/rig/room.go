package rig

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// RoomID is the waiting room of a rig that was asked for one: first come first served, open since yesterday, moving on by
// RoomRate a second.
const RoomID = campaignID + ".line"

// RoomRate is how many people a second the room lets in.
const RoomRate = 500

var roomTemplate = fmt.Sprintf(`
rooms:
  - room: line
    waves: [all]
    admit_per_second: %d
    message: {ko: 기다려 주세요. 자리는 사람에게 주어집니다., en: Please wait. Your place belongs to you and not to your browser.}
`, RoomRate)

// Fill writes rows for people who wait in the room until there are n of them, as if they had taken tickets, and returns how
// many there are. Nobody may be asking for places meanwhile: the table's keys are made anew, which takes a fraction of the
// time that keeping them up would.
func (r *Rig) Fill(ctx context.Context, n int64) (waiting int64, err error) {
	err = pgx.BeginFunc(ctx, r.Pool, func(tx pgx.Tx) error {
		var room int32
		var from int64
		if err := tx.QueryRow(ctx, `SELECT room_no, numbers FROM rooms WHERE room_id = $1 FOR UPDATE`, RoomID).Scan(&room, &from); err != nil {
			return err
		}
		if waiting = from; from >= n {
			return nil
		}
		for _, statement := range []string{
			`SET LOCAL maintenance_work_mem = '512MB'`,
			`ALTER TABLE registrations DROP CONSTRAINT registrations_one_per_person, DROP CONSTRAINT registrations_place_once`,
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO registrations (room_no, person_id, behind, place, at_ms)
			SELECT $1, ('00000000-0000-4000-8000-' || lpad(to_hex(place), 12, '0'))::uuid, true, place, 0
			FROM generate_series($2::bigint, $3::bigint - 1) AS place`, room, from, n); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			ALTER TABLE registrations ADD CONSTRAINT registrations_one_per_person PRIMARY KEY (room_no, person_id),
				ADD CONSTRAINT registrations_place_once UNIQUE (room_no, behind, place)`); err != nil {
			return err
		}
		waiting = n
		_, err := tx.Exec(ctx, `UPDATE rooms SET numbers = $2 WHERE room_no = $1`, room, n)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("filling the room with %d people: %w", n, err)
	}
	return waiting, nil
}

// Waiting are the rows of people who have a place in the room, and how many places were given.
func (r *Rig) Waiting(ctx context.Context) (rows, numbers int64, err error) {
	err = r.Pool.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM registrations g WHERE g.room_no = r.room_no), numbers FROM rooms r WHERE room_id = $1`, RoomID).
		Scan(&rows, &numbers)
	if err != nil {
		return 0, 0, fmt.Errorf("counting who waits: %w", err)
	}
	return rows, numbers, nil
}

// RedisMemory is what Redis uses for what it keeps, in bytes.
func (r *Rig) RedisMemory(ctx context.Context) (int64, error) {
	info, err := r.Redis.Info(ctx, "memory").Result()
	if err != nil {
		return 0, fmt.Errorf("asking Redis for its memory: %w", err)
	}
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(line, "used_memory:"); ok {
			return strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		}
	}
	return 0, fmt.Errorf("Redis doesn't tell its memory: %.100q", info)
}
