package booking

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/campaign"
	"jari/internal/crash"
	"jari/internal/fault"
	plans "jari/internal/plan"
	"jari/internal/postgres"
	"jari/internal/slot"
	"jari/internal/staff"
	"jari/internal/token"
)

// Clearings is the kind of plan that clears slots.
func (s *Service) Clearings() plans.Kind {
	return plans.Kind{Name: ClearingKind, Role: staff.Editor, Apply: s.clear}
}

var errClearedMoved = errors.New("a slot or a booking isn't what it was")

// clear does what a plan shows in one transaction: whoever is moved has their old booking until the commit and the new one from
// then on. The new places are held in Redis first, like a citizen's, so that nobody who holds one is refused later; when this
// process dies, those holds end by themselves.
func (s *Service) clear(ctx context.Context, tx pgx.Tx, p plans.Stored) (after func(context.Context), err error) {
	var c cleared
	if err := json.Unmarshal(p.Payload, &c); err != nil {
		return nil, fmt.Errorf("reading a clearing: %w", err)
	}
	if c.Stuck > 0 {
		return nil, fault.New(fault.Conflict, fault.CodeCapacityBelowBooked)
	}
	in, err := s.campaigns.Get(p.Campaign)
	if err != nil {
		return nil, err
	}
	// Redis is asked while a connection is held, but no lock that a citizen waits for.
	holds, err := s.holdFor(ctx, in, p.ID, c.Moves)
	if err != nil {
		return nil, err
	}
	kept := holds
	defer func() {
		if err != nil {
			s.letGo(ctx, kept)
		}
	}()
	w, err := lockCleared(ctx, tx, p.Campaign, c)
	if err != nil {
		return nil, err
	}
	if err := w.write(ctx, tx, p.Campaign, c, holds); err != nil {
		return nil, err
	}
	crash.Point(crash.PlanWritten)
	return func(ctx context.Context) {
		crash.Point(crash.PlanCommitted)
		s.tellCleared(ctx, p.Campaign, c, w, holds)
	}, nil
}

// holdAtOnce is how many places are held at the same time: a call of the script is for so many.
const holdAtOnce = 64

// holdFor holds a place for each move, all or none. Each hold is for somebody who doesn't exist: the person's own live hold, if
// they have one, stays theirs. Who that is follows from the plan, so that applying it again, after a death, finds the holds.
func (s *Service) holdFor(ctx context.Context, c *campaign.Campaign, planID uuid.UUID, moves []clearedMove) ([]token.Hold, error) {
	holds := make([]token.Hold, len(moves))
	errs := make([]error, len(moves))
	var wait sync.WaitGroup
	turn := make(chan struct{}, holdAtOnce)
	for i, m := range moves {
		to, ok := s.slots.Get(c.ID, m.To)
		if !ok {
			errs[i] = fault.New(fault.NotFound, fault.CodeSlotNotFound)
			break
		}
		if !to.Admits(m.Wave, s.clock.Now()) {
			errs[i] = plans.Outdated(errClearedMoved) // kept for others meanwhile
			break
		}
		turn <- struct{}{}
		wait.Go(func() {
			defer func() { <-turn }()
			nobody := uuid.NewSHA1(planID, m.Booking[:])
			holds[i], errs[i] = s.slots.Place(ctx, slot.Wish{Campaign: c, Slot: to, Person: nobody, Actor: nobody, JudgedAt: s.clock.Now()})
		})
	}
	wait.Wait()
	err := errors.Join(errs...)
	if err == nil {
		return holds, nil
	}
	s.letGo(ctx, holds)
	for _, one := range errs {
		if one != nil && fault.CodeOf(one) != fault.CodeSlotFull && fault.CodeOf(one) != fault.CodeSlotClosed {
			return nil, one
		}
	}
	return nil, plans.Outdated(err) // somebody else has the place by now
}

// letGo gives up places that were held in vain, best effort: they end by themselves.
func (s *Service) letGo(ctx context.Context, holds []token.Hold) {
	ctx = context.WithoutCancel(ctx)
	for _, h := range holds {
		if h.ID == uuid.Nil {
			continue
		}
		if err := s.slots.Release(ctx, h.Campaign, h.Person); err != nil {
			s.batcher.log.Debug("a place that was held for a plan ends by itself", "error", err)
		}
	}
}

// clearing is what a clearing sees under its locks, and how the slots are afterwards.
type clearing struct {
	slots    map[int64]slot.Copy
	bookings map[uuid.UUID]Booking
}

// lockCleared locks slots in ascending order and then bookings, like every writer, and refuses with plan_outdated unless all are
// as the plan has them.
func lockCleared(ctx context.Context, tx pgx.Tx, campaignID string, c cleared) (w clearing, err error) {
	var slots []int64
	var bookings []uuid.UUID
	for _, one := range c.Slots {
		slots = append(slots, one.Slot)
	}
	for _, m := range slices.Concat(c.Moves, c.Cancels) {
		bookings = append(bookings, m.Booking)
		if m.To != 0 {
			slots = append(slots, m.To)
		}
	}
	slices.Sort(slots)
	copies, err := readCopies(ctx, tx, lockSlots+`ANY($1) ORDER BY slot_id FOR UPDATE`, slices.Compact(slots))
	if err != nil {
		return w, err
	}
	w = clearing{slots: map[int64]slot.Copy{}, bookings: map[uuid.UUID]Booking{}}
	for _, one := range copies {
		w.slots[one.Slot] = one
	}
	for _, one := range c.Slots {
		if w.slots[one.Slot].Version != one.Version {
			return w, plans.Outdated(errClearedMoved)
		}
	}
	found, err := readBookings(ctx, tx, `SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND booking_id = ANY($2)
		ORDER BY booking_id FOR UPDATE`, campaignID, postgres.UUIDs(bookings))
	if err != nil {
		return w, err
	}
	for _, b := range found {
		w.bookings[b.ID] = b
	}
	for _, m := range slices.Concat(c.Moves, c.Cancels) {
		if b := w.bookings[m.Booking]; b.Status != Active || b.Slot != m.From || b.Attended() {
			return w, plans.Outdated(errClearedMoved)
		}
	}
	for _, m := range c.Moves {
		if to := w.slots[m.To]; to.State != slot.Open {
			return w, plans.Outdated(errClearedMoved)
		}
	}
	return w, nil
}

// write moves and cancels, and makes the slots smaller; the table's own constraint says no to a slot that would be oversold.
func (w clearing) write(ctx context.Context, tx pgx.Tx, campaignID string, c cleared, holds []token.Hold) error {
	var superseded []uuid.UUID
	var moved rows
	sure := changes{units: map[int64]int32{}}
	var causes []string // as long as the events
	why := map[int64]string{}
	for _, one := range c.Slots {
		why[one.Slot] = CauseFewer
		if one.Closes {
			why[one.Slot] = CauseClosed
		}
	}
	for i, m := range c.Moves {
		b := w.bookings[m.Booking]
		h := holds[i]
		h.Person, h.Actor, h.Replaces, h.Wave, h.RulesVersion, h.JudgedAt = b.Person, b.Actor, b.ID, b.Wave, b.RulesVersion, b.JudgedAt
		q := request{hold: h, id: uuid.New()}
		moved = append(moved, rowOf(q, verdict{moved: &b}, h.PlacedAt))
		superseded = append(superseded, b.ID)
		sure.units[b.Slot]--
		sure.units[m.To]++
		sure.event(q.id, "moved", b.Actor)
		causes = append(causes, why[m.From])
	}
	var cancelled []uuid.UUID
	for _, m := range c.Cancels {
		b := w.bookings[m.Booking]
		cancelled = append(cancelled, b.ID)
		sure.units[b.Slot]--
		sure.event(b.ID, "cancelled", b.Actor)
		causes = append(causes, why[m.From])
	}
	batch := &pgx.Batch{}
	batch.Queue(`UPDATE bookings SET status = 'superseded', ended_at = now() WHERE campaign_id = $1 AND booking_id = ANY($2)`,
		campaignID, postgres.UUIDs(superseded))
	batch.Queue(`UPDATE bookings SET status = 'cancelled', ended_at = now(), sequence = sequence + 1 WHERE campaign_id = $1 AND booking_id = ANY($2)`,
		campaignID, postgres.UUIDs(cancelled))
	if len(moved) > 0 {
		batch.Queue(insertRows, moved.arguments(campaignID)...)
	}
	for id, now := range w.slots {
		next := now
		next.Booked += int(sure.units[id])
		for _, one := range c.Slots {
			if one.Slot == id {
				next.Capacity, next.State = one.Capacity, one.State
			}
		}
		if next == now {
			continue
		}
		next.Version++
		batch.Queue(`UPDATE slots SET booked = $2, capacity = $3, state = $4, version = $5 WHERE slot_id = $1`,
			id, next.Booked, next.Capacity, next.State, next.Version)
		w.slots[id] = next
	}
	sure.queueEvents(batch, campaignID, causes)
	err := tx.SendBatch(ctx, batch).Close()
	switch {
	case postgres.Constraint(err) == "slots_never_oversold":
		return plans.Outdated(err)
	case err != nil:
		return postgres.Unreachable(fmt.Errorf("clearing slots: %w", err))
	}
	return nil
}

// tellCleared tells Redis, best effort: the reconciler tells it of slots that this misses, and holds end by themselves.
func (s *Service) tellCleared(ctx context.Context, campaignID string, c cleared, w clearing, holds []token.Hold) {
	var copies []slot.Copy
	for _, one := range w.slots {
		copies = append(copies, one)
	}
	decided := map[int64][]slot.Decided{}
	for _, h := range holds {
		decided[h.Slot] = append(decided[h.Slot], slot.Decided{Hold: h.ID, Person: h.Person})
	}
	if err := s.slots.Push(ctx, campaignID, copies, decided); err != nil {
		s.batcher.log.Warn("Redis wasn't told of cleared slots; the reconciler tells it", "error", err)
	}
	for _, m := range c.Cancels {
		if err := s.slots.ForgetBooked(ctx, campaignID, w.bookings[m.Booking].Person); err != nil {
			s.batcher.log.Warn("Redis still has a person as booked; Postgres is asked when they next hold", "error", err)
			return
		}
	}
}
