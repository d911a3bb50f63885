package waitingroom

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"jari/internal/fault"
	"jari/internal/postgres"
)

// pageLeaves are the leaves of one published page.
const pageLeaves = 8192

// valueMargin is the least time between publishing the root and the moment of the value, so that everybody can see that the
// one was there before the other.
const valueMargin = 10 * time.Second

// Value is a public random value.
type Value struct {
	Bytes []byte
	// Proof says that it is the announced one, as its source has it.
	Proof []byte
}

// Announcement is which value decides a draw, published with the root and before the value exists.
type Announcement struct {
	At    time.Time // real time
	Chain string    // of drand
	Round uint64    // of drand
}

// errNotYet says that a value doesn't exist yet.
var errNotYet = errors.New("the value doesn't exist yet")

// Randomness gives public random values.
type Randomness interface {
	// Moment announces the value that comes into being at or after an instant of real time.
	Moment(at time.Time) Announcement
	// Value is the announced value, or errNotYet.
	Value(ctx context.Context, a Announcement) (Value, error)
}

// Checker is a source that knows its values when it sees them: whoever has one may hand it in.
type Checker interface {
	// Check is the announced value that a proof gives; an error if it isn't one of it.
	Check(a Announcement, proof []byte) (Value, error)
}

// LocalValue makes values itself. It proves nothing to anybody: development only.
type LocalValue struct{}

// Moment is the instant itself.
func (LocalValue) Moment(at time.Time) Announcement { return Announcement{At: at} }

// Value is made now.
func (LocalValue) Value(context.Context, Announcement) (Value, error) {
	b := make([]byte, 32)
	_, err := rand.Read(b)
	return Value{Bytes: b}, err
}

// AnnouncedValue is typed in by administrators: see Service.Announce.
type AnnouncedValue struct{}

// Moment is the announced one.
func (AnnouncedValue) Moment(at time.Time) Announcement { return Announcement{At: at} }

// Value never comes by itself.
func (AnnouncedValue) Value(context.Context, Announcement) (Value, error) { return Value{}, errNotYet }

// draw publishes a frozen draw and then its value, a piece at each step; done when positions are known.
func (l *Leader) draw(ctx context.Context, p Plan, r *Room) (done bool, err error) {
	if r.N() == 0 || len(r.Seed) > 0 {
		return true, nil
	}
	from := p.Draw
	if r.DrawSource != nil {
		from = Source(*r.DrawSource) // what was announced with the root counts, whatever is published of the room since
	}
	source, ok := l.Values[from]
	if !ok {
		return false, fmt.Errorf("this deployment takes no value from the source %q", from)
	}
	if len(r.Root) == 0 {
		return false, l.publish(ctx, source, p, r)
	}
	if l.Clock.Real().Before(*r.ValueAt) {
		return false, nil
	}
	value, err := source.Value(ctx, Announcement{At: *r.ValueAt, Chain: r.DrawChain, Round: r.DrawRound})
	if errors.Is(err, errNotYet) {
		return false, nil
	}
	if err != nil {
		l.quiet = 4
		return false, fmt.Errorf("the value of the draw of %s: %w", r.ID, err)
	}
	return false, l.settle(ctx, r, value)
}

// settle writes the value of a draw, and the seed that follows from it.
func (s *Service) settle(ctx context.Context, r *Room, v Value) error {
	if len(r.Root) != seedSize || len(v.Bytes) == 0 {
		return errors.New("a draw needs its root before its value")
	}
	seed := Seed([seedSize]byte(r.Root), v.Bytes)
	_, err := s.Pool.Exec(ctx, `UPDATE rooms SET value = $2, proof = $3, seed = $4 WHERE room_no = $1 AND seed IS NULL AND root IS NOT NULL`,
		r.No, v.Bytes, v.Proof, seed[:])
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("writing the value of a draw: %w", err))
	}
	s.Log.Info("a draw is made", "room", r.ID, "drawn", r.N())
	return nil
}

// publish writes the leaves in pages and then the root, which is when the draw counts as published. What was written before
// by another leader is the same, and stays.
func (l *Leader) publish(ctx context.Context, source Randomness, p Plan, r *Room) error {
	ctx = context.WithoutCancel(ctx) // longer than one step; the lease is what bounds it
	var tree Tree
	for page := uint64(0); page*pageLeaves < r.N(); page++ {
		leaves, err := l.leaves(ctx, r, page*pageLeaves, min(r.N(), (page+1)*pageLeaves))
		if err != nil {
			return err
		}
		if _, err := l.Pool.Exec(ctx, `INSERT INTO room_leaves (room_no, page, leaves) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			r.No, page, bytes.Join(leaves, nil)); err != nil {
			return postgres.Unreachable(fmt.Errorf("publishing leaves: %w", err))
		}
		for _, leaf := range leaves {
			tree.Add([seedSize]byte(leaf))
		}
		if still, err := l.Ledger.Lead(ctx, r.ID, l.me); err != nil || still == nil {
			return err
		}
	}
	root := tree.Root()
	// The announced moment, or later if publishing was late.
	now := l.Clock.Real()
	soonest := now.Add(valueMargin)
	if p.Draw == Local {
		soonest = now.Add(time.Second)
	}
	at := now.Add(p.ValueAt.Sub(l.Clock.Now()))
	if at.Before(soonest) {
		at = soonest
	}
	announced := source.Moment(at)
	_, err := l.Pool.Exec(ctx, `
		UPDATE rooms SET root = $2, published_at = clock_timestamp(), draw_source = $3, draw_chain = $4, draw_round = $5, value_at = $6
		WHERE room_no = $1 AND root IS NULL AND state = 'drawing' AND leader = $7`,
		r.No, root[:], p.Draw, announced.Chain, int64(announced.Round), announced.At, l.me) //nolint:gosec // rounds of centuries fit
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("publishing the root: %w", err))
	}
	l.Log.Info("a draw is published", "room", r.ID, "drawn", r.N(), "value_at", announced.At)
	return nil
}

// leaves are those of the indexes from one to below another.
func (s *Service) leaves(ctx context.Context, r *Room, from, to uint64) ([][]byte, error) {
	rows, err := s.Pool.Query(ctx, `
		SELECT place, nonce FROM registrations WHERE room_no = $1 AND NOT behind AND place >= $2 AND place < $3 ORDER BY place`,
		r.No, int64(from), int64(to)) //nolint:gosec // far below 2^63
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading registrations: %w", err))
	}
	defer rows.Close()
	leaves := make([][]byte, 0, to-from)
	for rows.Next() {
		var place uint64
		var nonce []byte
		if err := rows.Scan(&place, &nonce); err != nil {
			return nil, postgres.Unreachable(err)
		}
		if place != from+uint64(len(leaves)) || len(nonce) != len(Nonce{}) {
			return nil, fmt.Errorf("the registrations of %s aren't dense at %d", r.ID, from+uint64(len(leaves)))
		}
		leaf := Leaf(r.ID, place, Nonce(nonce))
		leaves = append(leaves, leaf[:])
	}
	if err := rows.Err(); err != nil {
		return nil, postgres.Unreachable(err)
	}
	if uint64(len(leaves)) != to-from {
		return nil, fmt.Errorf("the registrations of %s end at %d instead of %d", r.ID, from+uint64(len(leaves)), r.N())
	}
	return leaves, nil
}

// Leaves writes the published leaves of a draw, one after the other, or answers fault.CodeNoDraw. Nothing is written before
// it is known that there are some.
func (s *Service) Leaves(ctx context.Context, room string) (io.WriterTo, error) {
	v, err := s.view(room)
	if err != nil {
		return nil, err
	}
	if len(v.Root) == 0 {
		return nil, fault.New(fault.NotFound, fault.CodeNoDraw)
	}
	return leafPages{ctx: ctx, service: s, room: v}, nil
}

// leafPages reads page by page, so that nobody keeps all leaves in memory.
type leafPages struct {
	ctx     context.Context //nolint:containedctx // it lives as long as the answer that it writes
	service *Service
	room    *view
}

// WriteTo writes all pages.
func (p leafPages) WriteTo(w io.Writer) (written int64, err error) {
	for page := uint64(0); page*pageLeaves < p.room.N(); page++ {
		var leaves []byte
		err := p.service.Pool.QueryRow(p.ctx, `SELECT leaves FROM room_leaves WHERE room_no = $1 AND page = $2`, p.room.No, page).Scan(&leaves)
		if err != nil {
			return written, postgres.Unreachable(fmt.Errorf("reading leaves: %w", err))
		}
		n, err := w.Write(leaves)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
