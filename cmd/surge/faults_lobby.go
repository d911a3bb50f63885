package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/cmd/surge/check"
	"jari/cmd/surge/journal"
	"jari/cmd/surge/rig"
)

// newLobby is the room of a cell that begins now, on a machine where setting a stage has taken so long.
func newLobby(stage string, now time.Time, setting time.Duration) *lobby {
	freezes := now.Add(registers + max(0, setting-settled)).Truncate(time.Second)
	return &lobby{
		room: rig.LineID(stage), stale: staleFor, endWatch: func() {},
		line: rig.Line{Freezes: freezes, Opens: freezes.Add(draws), Rate: roomRate, Grace: roomGrace},
	}
}

// judgeRoom reads the room's tables and says what came of it.
func (t *theatre) judgeRoom(ctx context.Context, entries []journal.Entry, o *outcome, wrong func(...check.Violation)) error {
	t.lobby.endWatch()
	facts := check.RoomFacts{Entries: entries, Looks: t.lobby.looks, Rate: roomRate, Stale: t.lobby.stale}
	// Whoever can't read the row is as far behind as the row was away; so is a server that stood still.
	for i := 1; i < len(facts.Looks); i++ {
		facts.Stale = max(facts.Stale, t.lobby.stale+facts.Looks[i].Asked.Sub(facts.Looks[i-1].At))
	}
	for _, vacant := range t.lobby.vacancies {
		o.Vacant = max(o.Vacant, vacant.Seconds())
		if vacant > takeoverWithin {
			wrong(check.Violation{Invariant: check.Forward, What: fmt.Sprintf("the room was without a leader for %s", vacant)})
		}
		if t.cell.freezes {
			facts.Stale = max(facts.Stale, t.lobby.stale+vacant+frozenFor)
		}
	}
	wrong(t.lobby.wrong...)
	var no int32
	if err := t.rig.Pool.QueryRow(ctx, `SELECT room_no, coalesce(drawn, 0), numbers FROM rooms WHERE room_id = $1`, t.lobby.room).
		Scan(&no, &facts.Drawn, &facts.Numbers); err != nil {
		return fmt.Errorf("reading the room: %w", err)
	}
	rows, err := t.rig.Pool.Query(ctx, `SELECT person_id, behind, place FROM registrations WHERE room_no = $1`, no)
	if err != nil {
		return fmt.Errorf("reading the places: %w", err)
	}
	if facts.Places, err = pgx.CollectRows(rows, pgx.RowToStructByPos[check.Place]); err != nil {
		return fmt.Errorf("reading the places: %w", err)
	}
	order := lineAnswer{drawn: facts.Drawn, frozen: true}
	if draw, err := t.published(ctx); err != nil {
		wrong(check.Violation{Invariant: check.Drawn, What: err.Error()})
	} else {
		order.seed, _ = hex.DecodeString(draw.Seed)
		if draw.N != facts.Drawn {
			wrong(check.Violation{Invariant: check.Drawn, What: fmt.Sprintf("%d are drawn, and %d were published", facts.Drawn, draw.N)})
		}
	}
	facts.PositionOf = order.position
	result := check.Room(facts)
	wrong(result.Violations...)
	o.Guests, o.CameIn, o.ThrownBack = max(1, result.People), result.CameIn, result.ThrownBack
	behind := slices.ContainsFunc(facts.Places, func(p check.Place) bool { return p.Behind })
	if facts.Drawn < guests/4 || !behind {
		o.TooLittle = fmt.Sprintf("%d were drawn, and some behind them: %v", facts.Drawn, behind)
	}
	return nil
}
