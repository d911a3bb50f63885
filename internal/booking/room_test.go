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
	b := &batcher{clock: clk, limit: BatchLimits{Rows: 4, Lanes: 2, Queue: 100, Wait: time.Second}}
	for range b.limit.Lanes {
		b.lanes = append(b.lanes, &lane{busy: true, took: took})
	}
	return b, clk
}

// expected promises places on a slot until one is refused.
func (b *batcher) expected(t *testing.T, slot int64) (n int) {
	t.Helper()
	for ; n < 1000; n++ {
		if _, err := b.expect(slot); err != nil {
			if fault.CodeOf(err) != fault.CodeOverloaded {
				t.Fatal(err)
			}
			return n
		}
	}
	return n
}

func TestNoMoreArePromisedAPlaceThanOneFlushDecides(t *testing.T) {
	t.Parallel()
	b, _ := waiting(200 * time.Millisecond)
	if n := b.expected(t, 1); n != 4 {
		t.Fatalf("%d were promised a place in a flush of 4", n)
	}
	if b.crowded() {
		t.Error("the other lane has room")
	}
	if n := b.expected(t, 2); n != 4 || !b.crowded() {
		t.Errorf("%d were promised a place in the other lane; crowded: %t", n, b.crowded())
	}
}

func TestWhereFlushesAreQuickMoreArePromisedAPlace(t *testing.T) {
	t.Parallel()
	b, _ := waiting(10 * time.Millisecond)
	if n := b.expected(t, 1); n != 40 {
		t.Errorf("%d were promised a place; ten flushes of 4 fit into %v", n, soon)
	}
	fresh, _ := waiting(0)
	if n := fresh.expected(t, 1); n != 100 {
		t.Errorf("%d were promised a place before the first flush, and 100 may wait", n)
	}
}

func TestRoomIsKeptUntilTheConfirmHasCome(t *testing.T) {
	t.Parallel()
	b, _ := waiting(200 * time.Millisecond)
	b.expected(t, 1)
	for range 4 {
		w := &waiter{request: request{hold: heldBy(uuid.New(), 1)}}
		if err := b.enqueue(w); err != nil {
			t.Fatalf("who holds a place was refused: %v", err)
		}
	}
	if l := b.lane(1); len(l.waiting) != 4 || len(l.coming) != 0 {
		t.Errorf("%d wait and %d are expected", len(l.waiting), len(l.coming))
	}
	if n := b.expected(t, 1); n != 0 {
		t.Errorf("%d were promised a place in a flush that is full", n)
	}
	// Confirms come in however many wait already.
	if err := b.enqueue(&waiter{request: request{hold: heldBy(uuid.New(), 1)}}); err != nil {
		t.Error(err)
	}
	if group := b.lane(1).take(4); len(group) != 4 {
		t.Fatalf("a flush took %d", len(group))
	}
	if n := b.expected(t, 1); n != 3 {
		t.Errorf("%d were promised a place beside one who waits", n)
	}
}

func TestWhoDoesNotConfirmKeepsRoomForOneFlush(t *testing.T) {
	t.Parallel()
	b, clk := waiting(200 * time.Millisecond)
	b.expected(t, 1)
	clk.at = clk.at.Add(199 * time.Millisecond)
	if n := b.expected(t, 1); n != 0 {
		t.Errorf("%d were promised the places of those who may still confirm", n)
	}
	clk.at = clk.at.Add(time.Millisecond)
	if n := b.expected(t, 1); n != 4 {
		t.Errorf("%d were promised a place; people who think for a minute keep nobody out", n)
	}
}

func TestWhoGetsNoHoldGivesTheRoomBack(t *testing.T) {
	t.Parallel()
	b, _ := waiting(200 * time.Millisecond)
	giveBack, err := b.expect(1)
	if err != nil {
		t.Fatal(err)
	}
	b.expected(t, 1)
	giveBack()
	if n := b.expected(t, 1); n != 1 {
		t.Errorf("%d were promised the place of one", n)
	}
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
