package notify

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// A gateway takes so many messages a second. Two lines of the whole deployment keep that, each a row that says when the line
// is free again: "gateway", in which every message takes its turn just before it is sent, and "codes", in which every code
// takes its turn when it is asked for. Codes are sent first, so the second says how long a code will wait; one that would
// wait too long isn't accepted, and whoever asked is told when to come back instead of waiting for a code that is of no use
// any more when it arrives. The waiting room in front of codes keeps this line short: it looks how many wait in it.

// take takes a turn in a line and says how long it is until then.
const take = `
	INSERT INTO message_lines AS l (line, free_at) VALUES ($1, clock_timestamp() + $2::interval)
	ON CONFLICT (line) DO UPDATE SET free_at = greatest(l.free_at, clock_timestamp()) + $2::interval
	RETURNING greatest(free_at - $2::interval - clock_timestamp(), interval '0')`

func (s *Service) turnLasts() time.Duration { return time.Second / time.Duration(s.Rate) }

// CodesWaiting is how many codes wait in the line of codes.
func (s *Service) CodesWaiting(ctx context.Context) (int, error) {
	if s.Rate <= 0 {
		return 0, nil
	}
	var wait time.Duration
	err := s.Pool.QueryRow(ctx, `
		SELECT coalesce((SELECT greatest(free_at - clock_timestamp(), interval '0') FROM message_lines WHERE line = 'codes'), interval '0')`).
		Scan(&wait)
	if err != nil {
		return 0, postgres.Unreachable(fmt.Errorf("reading the line of codes: %w", err))
	}
	return int(wait / s.turnLasts()), nil
}

// line takes a turn for a code, in the transaction that asks for it. Half of the time in which the code can be used may
// pass in the line, or less where the message says so; the rest is for typing it.
func (s *Service) line(ctx context.Context, tx pgx.Tx, usefulUntil time.Time, atMost time.Duration) error {
	if s.Rate <= 0 {
		return nil
	}
	var wait, useful time.Duration
	if err := tx.QueryRow(ctx, take+`, $3::timestamptz - clock_timestamp()`, "codes", s.turnLasts(), usefulUntil).
		Scan(&wait, &useful); err != nil {
		return postgres.Unreachable(fmt.Errorf("taking a turn in the line of codes: %w", err))
	}
	most := useful / 2
	if atMost > 0 {
		most = min(most, atMost)
	}
	if wait > most {
		return fault.New(fault.TooMany, fault.CodeSMSBusy).After(max(wait-most, time.Second))
	}
	return nil
}

// turn waits for the gateway's next turn. Only workers wait here, so it is never longer than a turn of each.
func (s *Service) turn(ctx context.Context) error {
	if s.Rate <= 0 {
		return nil
	}
	var wait time.Duration
	if err := s.Pool.QueryRow(ctx, take, "gateway", s.turnLasts()).Scan(&wait); err != nil {
		return postgres.Unreachable(fmt.Errorf("waiting for the gateway's turn: %w", err))
	}
	return clock.Wait(ctx, wait)
}
