package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"jari/cmd/surge/check"
	"jari/internal/slot"
)

// The judgement of a cell: when peace has come, what the stores have is held against what the clients were told.

// slots reads the stage's slots.
func (t *theatre) slots(ctx context.Context) ([]check.Slot, error) {
	rows, err := t.rig.Pool.Query(ctx, `
		SELECT slot_id, capacity, booked, state, version, (SELECT generation::text FROM store_generation)
		FROM slots WHERE campaign_id = $1 ORDER BY slot_id`, t.stage.ID)
	if err != nil {
		return nil, fmt.Errorf("reading the slots: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[check.Slot])
}

func (t *theatre) bookings(ctx context.Context) ([]check.Booking, error) {
	rows, err := t.rig.Pool.Query(ctx, `
		SELECT booking_id, hold_id, person_id, coalesce(replaces, '00000000-0000-0000-0000-000000000000'), slot_id,
			status, coalesce(void_reason, ''), coalesce(reference, '')
		FROM bookings WHERE campaign_id = $1`, t.stage.ID)
	if err != nil {
		return nil, fmt.Errorf("reading the bookings: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (b check.Booking, err error) {
		err = row.Scan(&b.ID, &b.Hold, &b.Person, &b.Replaces, &b.Slot, &b.Status, &b.Reason, &b.Reference)
		return b, err
	})
}

// copies reads what Redis has of the slots.
func (t *theatre) copies(ctx context.Context, slots []check.Slot) (map[int64]check.Copy, error) {
	copies := map[int64]check.Copy{}
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	for _, s := range slots {
		id := strconv.FormatInt(s.ID, 10)
		text, err := t.rig.Redis.Get(ctx, "{"+t.stage.ID+"}:copy:"+id).Result()
		switch {
		case errors.Is(err, redis.Nil):
			continue
		case err != nil:
			return nil, fmt.Errorf("reading the copies: %w", err)
		}
		c, err := slot.ParseCopy(s.ID, text)
		if err != nil {
			return nil, err
		}
		holds, err := t.rig.Redis.ZCount(ctx, "{"+t.stage.ID+"}:holds:"+id, now, "+inf").Result()
		if err != nil {
			return nil, fmt.Errorf("reading the holds: %w", err)
		}
		copies[s.ID] = check.Copy{Slot: check.Slot{
			ID: s.ID, Capacity: c.Capacity, Booked: c.Booked, State: string(c.State), Version: c.Version, Generation: c.Generation,
		}, Holds: int(holds)}
	}
	return copies, nil
}

// judge reads the tables and says what came of the cell.
func (t *theatre) judge(ctx context.Context, began, ended time.Time) (o outcome, err error) {
	o = outcome{Cell: t.cell.name, Injects: t.cell.injects, Fired: t.fired.Load(), Violations: map[int]int{}}
	wrong := func(all ...check.Violation) {
		for _, v := range all {
			o.Violations[v.Invariant]++
			if len(o.Examples) < 12 {
				o.Examples = append(o.Examples, v)
			}
		}
	}
	before, err := t.slots(ctx)
	if err != nil {
		return o, err
	}
	left, sold, extra := t.sell(ctx, before)
	wrong(extra...)
	after, err := t.slots(ctx)
	if err != nil {
		return o, err
	}
	wrong(check.Sale(left, sold, after)...)
	var differs []check.Violation
	for deadline := time.Now().Add(15 * time.Second); ; rest(ctx, 200*time.Millisecond) {
		copies, err := t.copies(ctx, after)
		if err != nil {
			return o, err
		}
		if differs = check.Rest(after, copies); len(differs) == 0 || time.Now().After(deadline) || ctx.Err() != nil {
			break
		}
	}
	wrong(differs...)
	rows, err := t.bookings(ctx)
	if err != nil {
		return o, err
	}
	entries, err := t.crowd.journal.Entries()
	if err != nil {
		return o, err
	}
	result := check.Judge(check.Facts{Entries: entries, Slots: after, Bookings: rows, Excuses: t.cell.excuses})
	wrong(result.Violations...)
	o.Broken = result.Broken
	capacity := map[int64]int{}
	for _, s := range after {
		capacity[s.ID] = s.Capacity
	}
	histories, unordered := check.Linearize(entries, capacity, t.cell.excuses)
	o.Histories = histories
	wrong(unordered...)
	if t.cell.tries > 0 && t.crowd.tries > t.cell.tries {
		wrong(check.Violation{Invariant: check.Served, What: fmt.Sprintf("a request had to be sent %d times", t.crowd.tries)})
	}
	for what, n := range maps.All(t.crowd.strange) {
		wrong(check.Violation{Invariant: check.Served, What: fmt.Sprintf("%s, %d times", what, n)})
	}
	deadlocks, err := t.countDeadlocks(ctx)
	if err != nil {
		return o, err
	}
	if deadlocks > t.deadlocks {
		wrong(check.Violation{Invariant: check.Served, What: fmt.Sprintf("Postgres broke %d deadlocks", deadlocks-t.deadlocks)})
	}
	o.count(entries, began, ended)
	if t.lobby != nil {
		if err := t.judgeRoom(ctx, entries, &o, wrong); err != nil {
			return o, err
		}
	}
	switch {
	case o.Confirmed < t.cell.atLeast():
		o.TooLittle = fmt.Sprintf("%d bookings were confirmed under load, and %d are needed for the cell to mean something", o.Confirmed, t.cell.atLeast())
	case o.Fired < t.want:
		o.TooLittle = fmt.Sprintf("the fault was fired %d times instead of %d", o.Fired, t.want)
	case t.cell.loses && o.Lost+o.NotNow == 0:
		o.TooLittle = "no client noticed the fault"
	case t.cell.load == nil && histories < 2:
		o.TooLittle = fmt.Sprintf("there were %d small histories", histories)
	}
	return o, ctx.Err()
}
