package booking

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"jari/internal/fault"
)

// hand is a clock that stands still until it is moved, in real time too.
type hand struct{ at time.Time }

func (h *hand) Now() time.Time        { return h.at }
func (h *hand) Real() time.Time       { return h.at }
func (h *hand) Offset() time.Duration { return 0 }

// waiting is a batcher whose lanes nobody flushes, with flushes that took so long.
func waiting(took time.Duration) (*batcher, *hand) {
	clk := &hand{at: time.Date(2021, 7, 19, 11, 0, 0, 0, time.UTC)}
	b := &batcher{clock: clk, limit: BatchLimits{Rows: 4, Lanes: 2, Queue: 100, Wait: time.Hour}}
	for range b.limit.Lanes {
		b.lanes = append(b.lanes, &lane{busy: true, took: took})
	}
	return b, clk
}

// expected places holds on a slot until one is refused.
func (b *batcher) expected(t *testing.T, slot int64) (holds []uuid.UUID) {
	t.Helper()
	for len(holds) < 1000 {
		placed, err := b.expect(slot)
		if err != nil {
			if fault.CodeOf(err) != fault.CodeOverloaded {
				t.Fatal(err)
			}
			return holds
		}
		holds = append(holds, uuid.New())
		placed(holds[len(holds)-1])
	}
	return holds
}

// comes has somebody confirm.
func (b *batcher) comes(t *testing.T, hold uuid.UUID) {
	t.Helper()
	w := &waiter{request: request{hold: heldBy(uuid.New(), 1)}}
	w.hold.ID = hold
	if err := b.enqueue(w); err != nil {
		t.Fatalf("who holds a place was refused: %v", err)
	}
}

func TestNoMoreArePromisedAPlaceThanOneFlushDecides(t *testing.T) {
	t.Parallel()
	b, _ := waiting(200 * time.Millisecond)
	if n := len(b.expected(t, 1)); n != 4 {
		t.Fatalf("%d were promised a place in a flush of 4", n)
	}
	if b.crowded() {
		t.Error("the other lane has room")
	}
	if n := len(b.expected(t, 2)); n != 4 || !b.crowded() {
		t.Errorf("%d were promised a place in the other lane; crowded: %t", n, b.crowded())
	}
}

func TestWhereFlushesAreQuickMoreArePromisedAPlace(t *testing.T) {
	t.Parallel()
	b, _ := waiting(10 * time.Millisecond)
	if n := len(b.expected(t, 1)); n != 40 {
		t.Errorf("%d were promised a place; ten flushes of 4 fit into %v", n, soon)
	}
	fresh, _ := waiting(0)
	if n := len(fresh.expected(t, 1)); n != 100 {
		t.Errorf("%d were promised a place before the first flush, and 100 may wait", n)
	}
}

func TestRoomIsKeptUntilTheConfirmHasCome(t *testing.T) {
	t.Parallel()
	b, _ := waiting(200 * time.Millisecond)
	for _, hold := range b.expected(t, 1) {
		b.comes(t, hold)
	}
	if l := b.lane(1); len(l.waiting) != 4 || len(l.coming) != 0 {
		t.Errorf("%d wait and %d are expected", len(l.waiting), len(l.coming))
	}
	if n := len(b.expected(t, 1)); n != 0 {
		t.Errorf("%d were promised a place in a flush that is full", n)
	}
	// Confirms come in however many wait already.
	b.comes(t, uuid.New())
	if group := b.lane(1).take(4); len(group) != 4 {
		t.Fatalf("a flush took %d", len(group))
	}
	if n := len(b.expected(t, 1)); n != 3 {
		t.Errorf("%d were promised a place beside one who waits", n)
	}
}

func TestWhoDoesNotConfirmKeepsRoomForOneFlush(t *testing.T) {
	t.Parallel()
	b, clk := waiting(200 * time.Millisecond)
	b.expected(t, 1)
	clk.at = clk.at.Add(199 * time.Millisecond)
	if n := len(b.expected(t, 1)); n != 0 {
		t.Errorf("%d were promised the places of those who may still confirm", n)
	}
	clk.at = clk.at.Add(time.Millisecond)
	if n := len(b.expected(t, 1)); n != 4 {
		t.Errorf("%d were promised a place; people who think for a minute keep nobody out", n)
	}
}

func TestSomebodyElsesConfirmMakesNoRoom(t *testing.T) {
	t.Parallel()
	b, _ := waiting(200 * time.Millisecond)
	b.expected(t, 1)
	b.comes(t, uuid.New()) // who has thought for a minute
	b.lane(1).take(4)
	if n := len(b.expected(t, 1)); n != 0 {
		t.Errorf("%d were promised the places of those who may still confirm", n)
	}
}

func TestAHoldIsCountedWhileItIsPlacedAndOnceOnly(t *testing.T) {
	t.Parallel()
	b, clk := waiting(200 * time.Millisecond)
	var placed []func(uuid.UUID)
	for range 4 {
		p, err := b.expect(1)
		if err != nil {
			t.Fatal(err)
		}
		placed = append(placed, p)
	}
	clk.at = clk.at.Add(time.Minute) // Redis dawdles
	if n := len(b.expected(t, 1)); n != 0 {
		t.Errorf("%d were promised places that are being given to others", n)
	}
	same := uuid.New()
	placed[0](same)
	placed[1](same)
	placed[2](uuid.Nil)
	if n := len(b.expected(t, 1)); n != 2 {
		t.Errorf("%d were promised a place beside one who holds, asked twice, and one who is about to", n)
	}
	placed[3](uuid.Nil)
}

func TestALaneLearnsHowLongItsFlushesTake(t *testing.T) {
	t.Parallel()
	l := &lane{}
	l.learn(80 * time.Millisecond)
	if l.took != 80*time.Millisecond {
		t.Errorf("after the first flush: %v", l.took)
	}
	l.learn(time.Hour) // a store was away
	if want := 60*time.Millisecond + slowest/4; l.took != want {
		t.Errorf("after one that waited: %v, want %v", l.took, want)
	}
}
