package rig

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"jari/internal/civil"
	"jari/internal/keys"
	"jari/internal/token"
)

// Person is somebody who may book once, with what their client carries.
type Person struct {
	ID uuid.UUID
	// Session and Admission are sealed by the deployment's own keys and last longer than any run.
	Session, Admission string
}

// People makes persons and hands each out once. Take is safe for concurrent use; the rest isn't.
type People struct {
	pool     *pgxpool.Pool
	box      *token.Box
	campaign string
	room     string // that they are admitted by
	// data seals what is known of them, for those who ask who they are. Without it, nobody can open their rows.
	data *keys.Sealer
	seed uint64

	made  int // persons whose row exists
	ready []Person
	next  atomic.Int64 // in ready
}

func newPeople(pool *pgxpool.Pool, box *token.Box, campaign string) *People {
	return &People{pool: pool, box: box, campaign: campaign, room: campaign, seed: rand.Uint64()} //nolint:gosec // a test's people
}

// Left is how many persons can be taken.
func (p *People) Left() int { return len(p.ready) - int(p.next.Load()) }

// Take hands out a person; false means that nobody is left.
func (p *People) Take() (Person, bool) {
	n := p.next.Add(1) - 1
	if n >= int64(len(p.ready)) {
		return Person{}, false
	}
	return p.ready[n], true
}

// Taken are those who were handed out since the last Prepare.
func (p *People) Taken() []Person {
	return p.ready[:min(int(p.next.Load()), len(p.ready))]
}

// Prepare sees to it that at least n persons can be taken: each has a row and sealed tokens.
func (p *People) Prepare(ctx context.Context, n int) error {
	missing := n - p.Left()
	if missing <= 0 {
		return nil
	}
	ids, err := p.Reserve(ctx, missing)
	if err != nil {
		return err
	}
	sealed := make([]Person, missing)
	var group errgroup.Group
	at := time.Now()
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		group.Go(func() (err error) {
			for i := w; i < missing && err == nil; i += workers {
				sealed[i], err = p.seal(PersonID(ids.Seed, ids.From+i), at)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("sealing sessions: %w", err)
	}
	p.ready = append(p.ready[min(int(p.next.Load()), len(p.ready)):], sealed...)
	p.next.Store(0)
	return nil
}

// tokensLast is longer than any run.
const tokensLast = 24 * time.Hour

func (p *People) seal(id uuid.UUID, at time.Time) (person Person, err error) {
	person.ID = id
	if person.Session, err = p.box.SealSession(token.Session{
		ID: uuid.New(), Person: id, Actor: id, BirthDate: civil.Date{Year: 1970, Month: time.June, Day: 15},
		IssuedAt: at, ExpiresAt: at.Add(tokensLast),
	}); err != nil {
		return person, err
	}
	person.Admission, err = p.box.SealAdmission(token.Admission{
		Room: p.room, Campaign: p.campaign, Person: id, IssuedAt: at, ExpiresAt: at.Add(tokensLast),
	})
	return person, err
}

// somebody is what everybody says of themselves.
const somebody = `{"name": "홍길동", "birth_date": "1970-06-15", "phone": "+821012345678"}`

// Range names persons whose rows exist and whom nobody takes, so that another process can know them without a list.
type Range struct {
	Seed  uint64 `json:"seed"`
	From  int    `json:"from"`
	Count int    `json:"count"`
}

// Reserve writes the rows of n persons and names them.
func (p *People) Reserve(ctx context.Context, n int) (Range, error) {
	made := Range{Seed: p.seed, From: p.made, Count: n}
	sealed := []byte(strings.Repeat("x", 120)) // about what a name, a birth date and a phone take; nobody opens it
	i := 0
	_, err := p.pool.CopyFrom(ctx, pgx.Identifier{"persons"},
		[]string{"person_id", "scheme", "lookup", "phone_index", "phone_ordinal", "sealed", "language"},
		pgx.CopyFromFunc(func() ([]any, error) {
			if i == n {
				return nil, nil
			}
			id := PersonID(made.Seed, made.From+i)
			i++
			if p.data != nil {
				var err error
				if sealed, err = p.data.Seal([]byte(somebody), keys.RowContext("persons", id.String())); err != nil {
					return nil, err
				}
			}
			return []any{id, "phone", id[:], id[:], int16(0), sealed, "ko"}, nil
		}))
	if err != nil {
		return Range{}, fmt.Errorf("writing %d persons: %w", n, err)
	}
	p.made += n
	return made, nil
}

// PersonID is the id of the n-th person of a seed. Ids look random, as they do in a deployment: ordered ones would be
// kinder to indexes than people are.
func PersonID(seed uint64, n int) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:8], scramble(seed+2*uint64(n)))    //nolint:gosec // bits, not a number
	binary.BigEndian.PutUint64(id[8:], scramble(^seed+2*uint64(n)+1)) //nolint:gosec // bits, not a number
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

// scramble spreads a number over all its bits, one to one (the finaliser of SplitMix64).
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
