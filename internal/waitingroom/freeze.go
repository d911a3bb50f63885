package waitingroom

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/postgres"
)

// Who was called and has a new device needs a code before coming in. From asking for it until it is given, their grace stands
// still: what was used of it is remembered, and the place counts afterwards as if no more had passed. Who is called while
// waiting for a code has used nothing.

// graceMargin is how long grace stands still beyond the lifetime of a code: for a message that is slow, and one more try.
const graceMargin = 2 * time.Minute

// standing still: a place of a person in a room that isn't closed.
type placeOf struct {
	view   *view
	person uuid.UUID
	late   bool
	place  Place
	// frozenMS is what is remembered already; nil if nothing is.
	frozenMS *int64
}

// placesOf reads the places that people have in rooms of campaigns.
func (s *Service) placesOf(ctx context.Context, people []uuid.UUID) ([]placeOf, error) {
	views := s.views.Load()
	if len(people) == 0 || views == nil {
		return nil, nil
	}
	byNo, numbers := map[int32]*view{}, []int32{}
	for _, v := range *views {
		if v.State != Closed && v.State != Scheduled && !v.Endless {
			byNo[v.No] = v
			numbers = append(numbers, v.No)
		}
	}
	if len(numbers) == 0 {
		return nil, nil
	}
	rows, err := s.Pool.Query(ctx, `
		SELECT p.room_no, p.person_id, p.late, p.behind, p.place, p.at_ms, f.used_ms FROM (
			SELECT room_no, person_id, false AS late, behind, place, at_ms FROM registrations WHERE room_no = ANY($1) AND person_id = ANY($2)
			UNION ALL
			SELECT room_no, person_id, true, true, number, at_ms FROM late_places WHERE room_no = ANY($1) AND person_id = ANY($2)
		) p LEFT JOIN frozen_graces f ON f.person_id = p.person_id AND f.room_no = p.room_no AND f.late = p.late AND f.until > now()`,
		numbers, postgres.UUIDs(people))
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading whose grace runs: %w", err))
	}
	var places []placeOf
	var no int32
	var p placeOf
	if _, err := pgx.ForEachRow(rows, []any{&no, &p.person, &p.late, &p.place.Behind, &p.place.Number, &p.place.AtMS, &p.frozenMS}, func() error {
		p.view = byNo[no]
		places = append(places, p)
		p.frozenMS = nil
		return nil
	}); err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading whose grace runs: %w", err))
	}
	return places, nil
}

// position is that of a place in its lane.
func (p *placeOf) position() (uint64, bool) {
	if p.late {
		return p.place.Number, true
	}
	return p.view.position(p.place.Behind, p.place.Number)
}

// used is how much of the grace has passed, and whether the person was called and may still come as called. known is false
// where they missed it.
func (p *placeOf) used() (ms int64, called, known bool) {
	position, drawn := p.position()
	if !drawn {
		return 0, false, true
	}
	ms, called = p.view.graceUsed(p.late, position, p.place.AtMS)
	if p.frozenMS != nil {
		return *p.frozenMS, called, true
	}
	return ms, called, !called || p.view.inGrace(p.late, position, p.place.AtMS)
}

// anyCalled tells whether one of these places lets its person come in now: called and within grace, or inside already.
func (s *Service) anyCalled(ctx context.Context, places []placeOf) bool {
	for _, p := range places {
		_, called, known := p.used()
		if called && known {
			return true
		}
		if since, inside := s.Presence.Since(ctx, p.view.ID, p.person, s.Clock.Real()); inside && s.Clock.Real().Before(s.until(since)) {
			return true
		}
	}
	return false
}

// freeze remembers for a while what was used of the grace of places.
func (s *Service) freeze(ctx context.Context, places []placeOf, lasts time.Duration) error {
	var people []uuid.UUID
	var rooms []int32
	var late []bool
	var used []int64
	for _, p := range places {
		if ms, _, known := p.used(); known {
			people, rooms, late, used = append(people, p.person), append(rooms, p.view.No), append(late, p.late), append(used, ms)
		}
	}
	if len(people) == 0 {
		return nil
	}
	if _, err := s.Pool.Exec(ctx, `
		INSERT INTO frozen_graces AS f (person_id, room_no, late, used_ms, until)
		SELECT person_id, room_no, late, used_ms, now() + $5::interval
		FROM unnest($1::uuid[], $2::integer[], $3::boolean[], $4::bigint[]) AS u(person_id, room_no, late, used_ms)
		ON CONFLICT (person_id, room_no, late) DO UPDATE SET until = greatest(f.until, excluded.until),
			used_ms = CASE WHEN f.until > now() THEN f.used_ms ELSE excluded.used_ms END`,
		postgres.UUIDs(people), rooms, late, used, lasts); err != nil {
		return postgres.Unreachable(fmt.Errorf("letting a grace stand still: %w", err))
	}
	return nil
}

// Verified lets the grace of people run again from where it stood, in the transaction in which they verified.
func (s *Service) Verified(ctx context.Context, tx pgx.Tx, people []uuid.UUID) error {
	if _, err := tx.Exec(ctx, `
		WITH ended AS (DELETE FROM frozen_graces WHERE person_id = ANY($1) RETURNING *),
		thawed AS (
			SELECT e.person_id, e.room_no, e.late, r.open_ms - e.used_ms AS at_ms FROM ended e JOIN rooms r USING (room_no)
			WHERE e.until > clock_timestamp()
		),
		places AS (
			UPDATE registrations p SET at_ms = t.at_ms FROM thawed t
			WHERE NOT t.late AND p.room_no = t.room_no AND p.person_id = t.person_id AND p.at_ms < t.at_ms
		)
		UPDATE late_places p SET at_ms = t.at_ms FROM thawed t
		WHERE t.late AND p.room_no = t.room_no AND p.person_id = t.person_id AND p.at_ms < t.at_ms`, postgres.UUIDs(people)); err != nil {
		return postgres.Unreachable(fmt.Errorf("letting a grace run again: %w", err))
	}
	return nil
}

// thawed tells whether the row of a place lets its person come as called, though their ticket is from before a grace stood
// still.
func (s *Service) thawed(ctx context.Context, v *view, c Claim, position uint64) (bool, error) {
	if c.Ticket == "" {
		return false, nil // The row was asked already.
	}
	p, found, err := s.findPlace(ctx, v.No, c.Person)
	return found && v.inGrace(false, position, p.AtMS), err
}
