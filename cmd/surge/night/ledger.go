package night

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/waitingroom"
)

// room is the id of the only room there is.
const room = "night.line"

// ledger stands for Postgres: it keeps what the waiting room writes, statement by statement, in virtual time. What is
// written where and when is the waiting room's own.
type ledger struct {
	bug    Bug
	chance *rand.Rand
	clock  *clock

	row       waitingroom.Room
	leads     uuid.UUID
	leadUntil time.Time
	stepped   time.Time
	servings  []waitingroom.Served

	// place is the index, or the number behind those who registered, + 1 of each key; 0 is none.
	place      []uint32
	nonces     []waitingroom.Nonce
	registered []uint32 // keys by index, up to the freeze
	numbers    []uint32 // keys + 1 by number; 0 where nobody has it
	atMS       []int64  // the room's open time then
	twice      map[uint32][]uint32
	late       []uint32          // keys by number of the late lane
	lateOf     map[uint32]uint32 // numbers by key
	lateAt     []int64
	died       int // blocks
	stalls     float64
}

// Keys are persons, or devices with the bug that gives a place to each.
const keysPerPerson = 1 << deviceBits

func keyOf(id uint32, device uint8) uint32 { return id<<deviceBits | uint32(device) }

func personOf(key uint32) uint32 { return key >> deviceBits }

// idOf and ownerOf turn keys into what the waiting room takes for persons, and back.
func idOf(key uint32) (id uuid.UUID) {
	binary.BigEndian.PutUint32(id[:], key)
	id[15] = 1 // nobody is nil
	return id
}

func ownerOf(id uuid.UUID) uint32 { return binary.BigEndian.Uint32(id[:]) }

// leaseTerm is that of the row.
const leaseTerm = 3 * time.Second

func newLedger(o Options, chance *rand.Rand, c *clock) *ledger {
	return &ledger{
		bug: o.Bug, chance: chance, clock: c, place: make([]uint32, o.Persons*keysPerPerson), twice: map[uint32][]uint32{},
		lateOf: map[uint32]uint32{}, row: waitingroom.Room{No: 1, ID: room, State: waitingroom.Registering},
	}
}

// Ensure has nothing to make.
func (l *ledger) Ensure(context.Context, []string) error { return nil }

// Load gives a copy of the row, and what was served since a second and last before it.
func (l *ledger) Load(_ context.Context, _ []string, since []int64) (map[string]*waitingroom.Room, map[int32][]waitingroom.Served, error) {
	r := l.row
	from := len(l.servings)
	for from > 0 && l.servings[from-1].Second >= since[0] {
		from--
	}
	from = max(0, from-1)
	return map[string]*waitingroom.Room{room: &r}, map[int32][]waitingroom.Served{1: append([]waitingroom.Served(nil), l.servings[from:]...)}, nil
}

// Lead is by the ledger's clock.
func (l *ledger) Lead(_ context.Context, _ string, me uuid.UUID) (*waitingroom.Room, error) {
	now := l.clock.Real()
	if l.leads != me && now.Before(l.leadUntil) {
		return nil, nil
	}
	l.leads, l.leadUntil = me, now.Add(leaseTerm)
	if l.row.State == waitingroom.Open && !l.stepped.IsZero() {
		l.row.OpenMS += min(2*time.Second, now.Sub(l.stepped)).Milliseconds()
	}
	l.stepped = now
	r := l.row
	return &r, nil
}

// Advance compares and sets.
func (l *ledger) Advance(_ context.Context, r *waitingroom.Room, me uuid.UUID, serving, late uint64) (bool, error) {
	if l.leads != me || !l.clock.Real().Before(l.leadUntil) || l.row.State != waitingroom.Open ||
		l.row.Serving != r.Serving || l.row.LateServing != r.LateServing {
		return false, nil
	}
	l.row.Serving, l.row.LateServing = serving, late
	s := waitingroom.Served{Second: l.row.OpenMS/1000 + 1, Serving: serving, LateServing: late}
	if n := len(l.servings); n > 0 && l.servings[n-1].Second == s.Second {
		l.servings[n-1] = s
	} else {
		l.servings = append(l.servings, s)
	}
	return true, nil
}

// Find reads places.
func (l *ledger) Find(_ context.Context, _ int32, people []uuid.UUID) (map[uuid.UUID]waitingroom.Place, error) {
	places := make(map[uuid.UUID]waitingroom.Place, len(people))
	for _, id := range people {
		if at := l.place[ownerOf(id)]; at != 0 {
			places[id] = l.placeAt(uint64(at - 1))
		}
	}
	return places, nil
}

func (l *ledger) placeAt(at uint64) waitingroom.Place {
	first := uint64(len(l.registered))
	if at < first {
		return waitingroom.Place{Number: at, Nonce: l.nonces[at]}
	}
	return waitingroom.Place{Behind: true, Number: at - first, AtMS: l.atMS[at-first]}
}

// Register gives indexes up to the freeze. Nonces come from the night's own chance, so that the same seed gives the same draw.
func (l *ledger) Register(ctx context.Context, no int32, people []uuid.UUID, _ [][]byte) (map[uuid.UUID]waitingroom.Place, error) {
	for _, id := range people {
		if key := ownerOf(id); l.row.State == waitingroom.Registering && l.place[key] == 0 {
			var nonce waitingroom.Nonce
			binary.BigEndian.PutUint64(nonce[:], l.chance.Uint64())
			binary.BigEndian.PutUint64(nonce[8:], l.chance.Uint64())
			l.nonces = append(l.nonces, nonce)
			l.registered = append(l.registered, key)
			l.row.Registered++
			l.place[key] = uint32(len(l.registered)) //nolint:gosec // below mostPersons times devices
		}
	}
	return l.Find(ctx, no, people)
}

// TakeNumbers takes a block.
func (l *ledger) TakeNumbers(_ context.Context, _ int32, n int) (b waitingroom.Block, err error) {
	if l.row.State == waitingroom.Registering {
		return b, pgx.ErrNoRows
	}
	b = waitingroom.Block{First: int64(l.row.Numbers), AtMS: l.row.OpenMS, Taken: l.clock.Real()} //nolint:gosec // small
	l.row.Numbers += uint64(n)                                                                    //nolint:gosec // small
	if l.bug == BlocksTwice && l.chance.IntN(1000) == 0 {
		b.First = max(0, b.First-int64(n))
	}
	for len(l.numbers) < int(l.row.Numbers) { //nolint:gosec // small
		l.numbers, l.atMS = append(l.numbers, 0), append(l.atMS, 0)
	}
	return b, nil
}

// WriteNumbers gives them away, unless Postgres stood still for so long that the block is dead, as it does now and then.
func (l *ledger) WriteNumbers(_ context.Context, _ int32, people []uuid.UUID, b waitingroom.Block, life time.Duration) (map[uuid.UUID]waitingroom.Place, error) {
	took := time.Duration(0)
	if l.chance.Float64() < l.stalls {
		took = life
	}
	if took >= life {
		l.died++
		return nil, nil
	}
	written := make(map[uuid.UUID]waitingroom.Place, len(people))
	for i, id := range people {
		key, number := ownerOf(id), uint32(int(b.First)+i) //nolint:gosec // small
		if l.place[key] != 0 {
			continue
		}
		if l.numbers[number] != 0 {
			l.twice[number] = append(l.twice[number], key)
		} else {
			l.numbers[number] = key + 1
		}
		l.atMS[number] = b.AtMS
		l.place[key] = uint32(len(l.registered)) + number + 1 //nolint:gosec // small
		written[id] = l.placeAt(uint64(l.place[key] - 1))
	}
	return written, nil
}

// LateNumber finds or gives a number of the late lane.
func (l *ledger) LateNumber(_ context.Context, _ int32, person uuid.UUID, missed *uint64) (number uint64, atMS int64, err error) {
	key := ownerOf(person)
	if had, found := l.lateOf[key]; found && (missed == nil || uint64(had) != *missed) {
		return uint64(had), l.lateAt[had], nil
	}
	l.lateOf[key] = uint32(len(l.late)) //nolint:gosec // small
	l.late, l.lateAt = append(l.late, key), append(l.lateAt, l.row.OpenMS)
	l.row.LateNumbers++
	return uint64(l.lateOf[key]), l.row.OpenMS, nil
}

// forget takes somebody's place away: a bug.
func (l *ledger) forget(key uint32) { l.place[key] = 0 }

// given is how many places were handed out.
func (l *ledger) given() (n int) {
	n = len(l.registered)
	for _, key := range l.numbers {
		if key != 0 {
			n++
		}
	}
	for _, others := range l.twice {
		n += len(others)
	}
	return n
}
