package waitingroom

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/postgres"
)

// Ledger is where it is written who has which place and how far people are called: Postgres, unless a simulation in virtual
// time brings its own. A room's number is that of its row.
type Ledger interface {
	// Ensure makes the rooms that aren't there.
	Ensure(ctx context.Context, rooms []string) error
	// Load reads rooms by id, with what each has served since a second of its open time, and last before that.
	Load(ctx context.Context, ids []string, since []int64) (map[string]*Room, map[int32][]Served, error)
	// Lead takes or renews the lease of a room and counts its open time; nil if another leads.
	Lead(ctx context.Context, room string, me uuid.UUID) (*Room, error)
	// Advance raises what is served, if nothing has changed and the lease lasts.
	Advance(ctx context.Context, r *Room, me uuid.UUID, serving, late uint64) (bool, error)
	// Find reads the places of those who have one.
	Find(ctx context.Context, room int32, people []uuid.UUID) (map[uuid.UUID]Place, error)
	// Register gives the next indexes to those who have no place, while the room takes registrations, and finds all others.
	Register(ctx context.Context, room int32, people []uuid.UUID, nonces [][]byte) (map[uuid.UUID]Place, error)
	// TakeNumbers takes a block of numbers behind the draw, and WriteNumbers gives them to those who have no place, and says
	// whom, unless the block is older than life. A room that gives none is pgx.ErrNoRows.
	TakeNumbers(ctx context.Context, room int32, n int) (Block, error)
	WriteNumbers(ctx context.Context, room int32, people []uuid.UUID, b Block, life time.Duration) (map[uuid.UUID]Place, error)
	// LateNumber finds somebody's number in the late lane, or gives one: another if missed is the one that they have.
	LateNumber(ctx context.Context, room int32, person uuid.UUID, missed *uint64) (number uint64, atMS int64, err error)
}

// Block are numbers from First on, and when they were taken: in the room's open time, and by the ledger's clock.
type Block struct {
	First, AtMS int64
	Taken       time.Time
}

// Presence counts who is inside: Redis, unless a simulation brings its own. It steers and decides nothing.
type Presence interface {
	// Enter remembers that a person is inside until an instant, and returns since when they are.
	Enter(ctx context.Context, room string, person uuid.UUID, now, until time.Time, calledSecond string) (time.Time, error)
	// Since is when a person who is inside came in; false if they aren't.
	Since(ctx context.Context, room string, person uuid.UUID, now time.Time) (time.Time, bool)
	// Note remembers that somebody used an admission, or left: then both instants are zero.
	Note(room string, person uuid.UUID, since, until time.Time)
	// Count is how many are inside.
	Count(ctx context.Context, room string, now time.Time) (int, error)
	// Came fills in how many of each call came in.
	Came(ctx context.Context, room string, calls History) error
	// Tell passes on what was noted.
	Tell(ctx context.Context) error
}

// rows is the ledger in Postgres.
type rows struct{ pool *pgxpool.Pool }

func (l rows) Ensure(ctx context.Context, rooms []string) error { return ensure(ctx, l.pool, rooms) }

func (l rows) Load(ctx context.Context, ids []string, since []int64) (map[string]*Room, map[int32][]Served, error) {
	return load(ctx, l.pool, ids, since)
}

func (l rows) Lead(ctx context.Context, room string, me uuid.UUID) (*Room, error) {
	return takeLead(ctx, l.pool, room, me)
}

func (l rows) Advance(ctx context.Context, r *Room, me uuid.UUID, serving, late uint64) (bool, error) {
	return advance(ctx, l.pool, r, me, serving, late)
}

func (l rows) LateNumber(ctx context.Context, room int32, person uuid.UUID, missed *uint64) (number uint64, atMS int64, err error) {
	return lateNumber(ctx, l.pool, room, person, missed)
}

func (l rows) Find(ctx context.Context, room int32, people []uuid.UUID) (map[uuid.UUID]Place, error) {
	return findPlaces(ctx, l.pool, room, people)
}

// Register locks the room's row first: indexes are dense, and whoever comes to it after the freeze gets none.
func (l rows) Register(ctx context.Context, room int32, people []uuid.UUID, nonces [][]byte) (places map[uuid.UUID]Place, err error) {
	err = postgres.InTx(ctx, l.pool, func(tx pgx.Tx) error {
		var batch pgx.Batch
		batch.Queue(briefly)
		batch.Queue(`SELECT 1 FROM rooms WHERE room_no = $1 FOR UPDATE`, room)
		batch.Queue(`
			WITH fresh AS (
				SELECT w.person_id, w.nonce, row_number() OVER (ORDER BY w.n) - 1 AS n
				FROM unnest($2::uuid[], $3::bytea[]) WITH ORDINALITY AS w(person_id, nonce, n)
				LEFT JOIN registrations r ON r.room_no = $1 AND r.person_id = w.person_id
				WHERE r.person_id IS NULL
			), room AS (
				UPDATE rooms SET registered = registered + (SELECT count(*) FROM fresh)
				WHERE room_no = $1 AND state = 'registration'
				RETURNING registered - (SELECT count(*) FROM fresh) AS first
			)
			INSERT INTO registrations (room_no, person_id, behind, place, nonce, at_ms)
			SELECT $1, fresh.person_id, false, room.first + fresh.n, fresh.nonce, 0 FROM fresh, room`,
			room, postgres.UUIDs(people), nonces)
		if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
			return postgres.Unreachable(fmt.Errorf("registering: %w", err))
		}
		var err error
		places, err = findPlaces(ctx, tx, room, people)
		return err
	})
	if err != nil {
		return nil, err // what the transaction saw is nobody's unless it was committed
	}
	return places, nil
}

func (l rows) TakeNumbers(ctx context.Context, room int32, n int) (b Block, err error) {
	err = l.pool.QueryRow(ctx, `
		UPDATE rooms SET numbers = numbers + $2 WHERE room_no = $1 AND state IN ('drawing', 'open', 'paused')
		RETURNING numbers - $2, open_ms, clock_timestamp()`, room, n).Scan(&b.First, &b.AtMS, &b.Taken)
	if err != nil && !isNoRows(err) {
		err = postgres.Unreachable(fmt.Errorf("taking numbers: %w", err))
	}
	return b, err
}

func (l rows) WriteNumbers(
	ctx context.Context, room int32, people []uuid.UUID, b Block, life time.Duration,
) (map[uuid.UUID]Place, error) {
	written, err := l.pool.Query(ctx, `
		INSERT INTO registrations (room_no, person_id, behind, place, at_ms)
		SELECT $1, w.person_id, true, $3 + w.n - 1, $4 FROM unnest($2::uuid[]) WITH ORDINALITY AS w(person_id, n)
		WHERE clock_timestamp() < $5::timestamptz + $6::interval
		ON CONFLICT (room_no, person_id) DO NOTHING
		RETURNING person_id, behind, place, nonce, at_ms`,
		room, postgres.UUIDs(people), b.First, b.AtMS, b.Taken, life)
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("writing numbers: %w", err))
	}
	return collect(written, len(people))
}

type querier interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
}

// findPlaces reads the places of people who have one.
func findPlaces(ctx context.Context, from querier, room int32, people []uuid.UUID) (map[uuid.UUID]Place, error) {
	rows, err := from.Query(ctx, `
		SELECT person_id, behind, place, nonce, at_ms FROM registrations WHERE room_no = $1 AND person_id = ANY($2)`,
		room, postgres.UUIDs(people))
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading places: %w", err))
	}
	return collect(rows, len(people))
}

// collect reads places by person.
func collect(rows pgx.Rows, expected int) (map[uuid.UUID]Place, error) {
	places := make(map[uuid.UUID]Place, expected)
	var person uuid.UUID
	var p Place
	var nonce []byte
	if _, err := pgx.ForEachRow(rows, []any{&person, &p.Behind, &p.Number, &nonce, &p.AtMS}, func() error {
		p.Nonce = Nonce{}
		copy(p.Nonce[:], nonce)
		places[person] = p
		return nil
	}); err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading places: %w", err))
	}
	return places, nil
}
