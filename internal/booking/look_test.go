package booking

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"jari/internal/token"
)

// TestAFlushThatDoesNotLookDecidesAlike: what was decided before is what it was, whoever comes together with it, and a
// refusal has the reason that it would have had.
func TestAFlushThatDoesNotLookDecidesAlike(t *testing.T) {
	t.Parallel()
	type verdict struct {
		status Status
		reason Reason
		fresh  bool
	}
	booked := verdict{status: Active, fresh: true}
	for _, look := range []bool{true, false} {
		for name, c := range map[string]struct {
			holds func(b bench, first, refused token.Hold) []token.Hold
			want  []verdict
			met   bool
		}{
			"first tries": {
				holds: func(b bench, _, _ token.Hold) []token.Hold { return []token.Hold{b.held(t, 2), b.held(t, 2)} },
				want:  []verdict{booked, booked},
			},
			"a retry among first tries": {
				holds: func(b bench, first, _ token.Hold) []token.Hold {
					return []token.Hold{b.held(t, 2), first, b.held(t, 2)}
				},
				want: []verdict{booked, {status: Active}, booked},
				met:  true,
			},
			"a retry of what was refused": {
				holds: func(b bench, _, refused token.Hold) []token.Hold { return []token.Hold{refused, b.held(t, 2)} },
				want:  []verdict{{status: Void, reason: Expired}, booked},
				met:   true,
			},
			"another hold of who is booked": {
				holds: func(b bench, first, _ token.Hold) []token.Hold {
					return []token.Hold{b.held(t, 2), heldBy(first.Person, 2)}
				},
				want: []verdict{booked, {status: Void, reason: AlreadyBooked}},
				met:  true,
			},
			"who is booked asks where it is full": {
				holds: func(_ bench, first, _ token.Hold) []token.Hold { return []token.Hold{heldBy(first.Person, 1)} },
				want:  []verdict{{status: Void, reason: AlreadyBooked}},
				met:   true,
			},
			"where it is full": {
				holds: func(b bench, _, _ token.Hold) []token.Hold { return []token.Hold{b.held(t, 1), b.held(t, 2)} },
				want:  []verdict{{status: Void, reason: Full}, booked},
				met:   true,
			},
			"one person twice": {
				holds: func(b bench, _, _ token.Hold) []token.Hold {
					h := b.held(t, 2)
					return []token.Hold{h, heldBy(h.Person, 2)}
				},
				want: []verdict{booked, {status: Void, reason: AlreadyBooked}},
				met:  true,
			},
			"a move among first tries": {
				holds: func(b bench, first, _ token.Hold) []token.Hold {
					h := heldBy(first.Person, 2)
					h.Replaces = firstBooking(t, b, first)
					return []token.Hold{b.held(t, 2), h}
				},
				want: []verdict{booked, booked},
				met:  true,
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := setup(t, 1, 10)
				first, refused := b.held(t, 1), b.held(t, 2)
				refused.ExpiresAt = time.Now().Add(-time.Minute)
				for _, h := range []token.Hold{first, refused} {
					b.mustConfirm(t, h)
				}
				refused.ExpiresAt = time.Now().Add(time.Minute)
				holds := c.holds(b, first, refused)
				f, err := flush(t.Context(), b.pool, "night", nil, requestsFor(holds), how{look: look})
				if err != nil {
					t.Fatal(err)
				}
				for i, h := range holds {
					got := f.outcomes[h.ID]
					if is := (verdict{got.Status, got.Reason, f.fresh[h.ID]}); is != c.want[i] {
						t.Errorf("look %v: hold %d is %+v, want %+v", look, i, is, c.want[i])
					}
				}
				if f.met != c.met {
					t.Errorf("look %v: it met what was decided before: %v", look, f.met)
				}
				b.consistent(t)
			})
		}
	}
}

func firstBooking(t *testing.T, b bench, h token.Hold) (id uuid.UUID) {
	t.Helper()
	if err := b.pool.QueryRow(t.Context(), `SELECT booking_id FROM bookings WHERE hold_id = $1`, h.ID).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestALaneLooksForAWhileOnceItMetARetry(t *testing.T) {
	t.Parallel()
	b := setup(t, 1000)
	lane := b.lane(1)
	if first := b.held(t, 1); lane.looks() {
		t.Error("it looks before there was anything")
	} else {
		b.mustConfirm(t, first)
		b.mustConfirm(t, b.held(t, 1))
		if lane.looks() {
			t.Error("it looks although nobody asked twice")
		}
		b.mustConfirm(t, first)
	}
	for i := range lookFor {
		if !lane.looks() {
			t.Fatalf("it doesn't look %d flushes after a retry", i)
		}
		lane.met(false)
	}
	if lane.looks() {
		t.Error("it looks for ever")
	}
	b.mustConfirm(t, b.held(t, 1))
	b.consistent(t)
}
