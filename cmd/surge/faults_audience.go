package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"jari/cmd/surge/check"
	"jari/internal/fault"
)

// The audience of a cell: people who book, move and cancel while things break, and at last buy whatever is left.

// The habits of an audience.
const (
	// devices is the share of persons who ask on two devices at the same time.
	devices = .05
	// pairsAtOnce are the small histories that run beside each other, and pairTurns what each person does in one.
	pairsAtOnce, pairTurns = 2, 6
)

// everyday is the load of most cells: people book, move, cancel and read, more of them than there are places.
func everyday(ctx context.Context, t *theatre) error {
	type device struct {
		citizen
		mu sync.Mutex
	}
	var all []*device
	for range crowdSize {
		p, ok := t.stage.People.Take()
		if !ok {
			return errors.New("there are too few people")
		}
		all = append(all, &device{citizen: citizen{person: p}})
		if rand.Float64() < devices { //nolint:gosec // a habit
			all[len(all)-1].shared = true
			all = append(all, &device{citizen: citizen{person: p, shared: true}})
		}
	}
	var group sync.WaitGroup
	for range max(1, t.clients-pairsAtOnce*inPair) {
		group.Go(func() {
			for ctx.Err() == nil {
				z := all[rand.IntN(len(all))] //nolint:gosec // anybody
				if !z.mu.TryLock() {
					continue
				}
				t.crowd.turn(ctx, &z.citizen, t.stage.Main[rand.IntN(len(t.stage.Main))]) //nolint:gosec // any slot
				z.mu.Unlock()
				think(ctx)
			}
		})
	}
	var next atomic.Int64
	for range pairsAtOnce {
		group.Go(func() {
			for n := int(next.Add(1)) - 1; n < pairs && ctx.Err() == nil; n = int(next.Add(1)) - 1 {
				t.history(ctx, n)
				rest(ctx, 100*time.Millisecond)
			}
		})
	}
	group.Wait()
	return nil
}

// history is a small one: a few people and two places.
func (t *theatre) history(ctx context.Context, n int) {
	slots := t.stage.Pairs[2*n : 2*n+2]
	var group sync.WaitGroup
	for range inPair {
		p, ok := t.stage.People.Take()
		if !ok {
			return
		}
		group.Go(func() {
			z := citizen{person: p, group: strconv.Itoa(n)}
			for range pairTurns {
				if ctx.Err() != nil {
					return
				}
				t.crowd.turn(ctx, &z, slots[rand.IntN(len(slots))]) //nolint:gosec // either
				think(ctx)
			}
		})
	}
	group.Wait()
}

// sell offers everything that is left, and one unit more of some slots.
func (t *theatre) sell(ctx context.Context, before []check.Slot) (left, sold map[int64]int, extra []check.Violation) {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	left, sold = map[int64]int{}, map[int64]int{}
	var offers []int64
	for _, s := range before {
		left[s.ID] = s.Capacity - s.Booked
		for range left[s.ID] {
			offers = append(offers, s.ID)
		}
	}
	rand.Shuffle(len(offers), func(i, j int) { offers[i], offers[j] = offers[j], offers[i] }) //nolint:gosec // in any order
	var mu sync.Mutex
	t.each(offers, func(slot int64) {
		if t.buy(ctx, slot, true) {
			mu.Lock()
			sold[slot]++
			mu.Unlock()
		}
	})
	var further []int64
	for _, s := range before {
		if len(further) < 24 || rand.IntN(8) == 0 { //nolint:gosec // a sample
			further = append(further, s.ID)
		}
	}
	t.each(further, func(slot int64) {
		if t.buy(ctx, slot, false) {
			mu.Lock()
			extra = append(extra, check.Violation{Invariant: check.SoldOut, What: fmt.Sprintf("slot %d was sold out, and sold once more", slot)})
			mu.Unlock()
		}
	})
	return left, sold, extra
}

// each works slots off, as many at a time as there are clients.
func (t *theatre) each(slots []int64, f func(int64)) {
	work := make(chan int64)
	var group sync.WaitGroup
	for range t.clients {
		group.Go(func() {
			for s := range work {
				f(s)
			}
		})
	}
	for _, s := range slots {
		work <- s
	}
	close(work)
	group.Wait()
}

// buy books a slot for somebody new; patiently: a place that is held by nobody any more may take a while to be free.
func (t *theatre) buy(ctx context.Context, slot int64, patiently bool) bool {
	p, ok := t.stage.People.Take()
	for ok && ctx.Err() == nil {
		a := t.crowd.hold(ctx, p, "", slot, uuid.Nil, uuid.Nil)
		if a.status == http.StatusOK {
			b := t.crowd.confirm(ctx, p, "", a.hold)
			return b.status == http.StatusOK || b.status == http.StatusCreated
		}
		if !patiently && a.code == fault.CodeSlotFull {
			return false
		}
		rest(ctx, 250*time.Millisecond)
	}
	return false
}
