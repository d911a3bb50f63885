package booking

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/audit"
	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/clock"
	"jari/internal/eligibility"
	"jari/internal/fault"
	"jari/internal/slot"
	"jari/internal/token"
)

// Service holds for people who are entitled, and makes their holds durable.
type Service struct {
	pool      *pgxpool.Pool // for reading; flushes have their own
	campaigns *campaign.Service
	slots     *slot.Service
	clock     clock.Clock
	tokens    *token.Box
	batcher   *batcher
	audit     *audit.Log
	desk      DeskRules
	grown     *growth
}

// NewService returns a service that reads through pool and decides through flushes, a connection for each lane. observe is told of every flush: how many rows, how long, and how it ended.
func NewService(
	pool, flushes *pgxpool.Pool, campaigns *campaign.Service, slots *slot.Service, clk clock.Clock, tokens *token.Box,
	limits BatchLimits, desk DeskRules, log *slog.Logger, observe func(rows int, took time.Duration, err error),
) *Service {
	grown := newGrowth(pool, log)
	return &Service{
		pool: pool, campaigns: campaigns, slots: slots, clock: clk, tokens: tokens,
		audit: audit.NewLog(pool, clk, log, nil),
		desk:  desk,
		grown: grown,
		batcher: newBatcher(flushes, slots, clk, limits, log, func(rows int, took time.Duration, err error) {
			observe(rows, took, err)
			if err == nil {
				grown.add(rows)
			}
		}),
	}
}

// Crowded tells whether nobody can be promised a place at this moment, whichever they want: more than can be decided soon
// wait already. Hold would refuse with overloaded.
func (s *Service) Crowded() bool { return s.batcher.crowded() }

// Close waits until everything that was asked to be confirmed is decided.
func (s *Service) Close(ctx context.Context) error {
	return errors.Join(s.batcher.close(ctx), s.grown.close(ctx))
}

// Claimant is the person who asks, with what the rules want to know of them.
type Claimant struct {
	Person, Actor uuid.UUID
	Facts         eligibility.Facts
	// Room is the waiting room that the person came in by.
	Room string
}

// HoldRequest is what a person wants held, as they name it.
type HoldRequest struct {
	Slot      string
	InsteadOf string // id of the live hold to give up, or empty
	Replaces  string // id of the booking to move, or empty
}

// Hold judges the person and holds the slot. It refuses with not_eligible (and the decision), slot_not_found,
// slot_closed, slot_reserved (for another wave, and until when), slot_full (and alternatives), no_booking for a booking to move that isn't the person's, change_closed,
// rules_unconfirmed, room_elsewhere, overloaded while it couldn't be confirmed soon, or as slot.Service.Place does.
func (s *Service) Hold(ctx context.Context, c *campaign.Campaign, who Claimant, r HoldRequest) (held slot.Hold, err error) {
	if err := s.campaigns.Confirmed(); err != nil {
		return slot.Hold{}, err
	}
	place, err := s.slots.Find(c.ID, r.Slot)
	if err != nil {
		return slot.Hold{}, err
	}
	placed, err := s.batcher.expect(place.ID)
	if err != nil {
		return slot.Hold{}, err
	}
	defer func() { placed(held.ID) }()
	var insteadOf uuid.UUID
	if r.InsteadOf != "" {
		if insteadOf, err = uuid.Parse(r.InsteadOf); err != nil {
			return slot.Hold{}, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/instead_of", "isn't the id of a hold")
		}
	}
	now := s.clock.Now()
	decision, old, err := s.judge(ctx, c, who, place, r.Replaces, now)
	if err != nil {
		return slot.Hold{}, err
	}
	if decision.Answer != eligibility.Yes {
		return slot.Hold{}, fault.New(fault.Forbidden, fault.CodeNotEligible).With(decision)
	}
	// Each opening has its own line. Who only moves what they have takes nobody's turn.
	if r.Replaces == "" && c.RoomOf(decision.Wave) != who.Room {
		return slot.Hold{}, fault.New(fault.Forbidden, fault.CodeRoomElsewhere)
	}
	if !now.Before(c.BookUntil(place.StartsAt)) {
		return slot.Hold{}, fault.New(fault.Conflict, fault.CodeSlotClosed)
	}
	if !place.Admits(decision.Wave, now) {
		reserved := fault.New(fault.Conflict, fault.CodeSlotReserved)
		if !place.SharedAt.IsZero() {
			reserved = reserved.After(place.SharedAt.Sub(now))
		}
		return slot.Hold{}, reserved
	}
	wish := slot.Wish{
		Campaign: c, Slot: place, Person: who.Person, Actor: who.Actor, InsteadOf: insteadOf, Replaces: old.ID,
		Wave: decision.Wave, RulesVersion: decision.RulesVersion, JudgedAt: now,
	}
	if old.ID != uuid.Nil {
		wish.JudgedAt = old.JudgedAt // so that a chain of moves goes on asking about the first hold
	}
	if insteadOf != uuid.Nil {
		if _, err := s.settleDecided(ctx, c.ID, who.Person, insteadOf); err != nil {
			return slot.Hold{}, err
		}
	}
	hold, err := s.slots.Place(ctx, wish)
	if fault.CodeOf(err) == fault.CodeAlreadyBooked {
		hold, err = s.placeUnlessBooked(ctx, wish)
	}
	if fault.CodeOf(err) == fault.CodeSlotFull {
		return slot.Hold{}, s.full(ctx, c, place, decision.Wave)
	}
	return hold, err
}

// lookTimeout bounds the looks at Postgres before something is given up, or somebody is kept out, by what Redis says.
const lookTimeout = 5 * time.Second

// Release gives up the person's live hold; without one it does nothing.
func (s *Service) Release(ctx context.Context, c *campaign.Campaign, person uuid.UUID) error {
	h, live, err := s.slots.Live(ctx, c.ID, person)
	if err != nil || !live {
		return err
	}
	if decided, err := s.settleDecided(ctx, c.ID, person, h.ID); err != nil || decided {
		return err
	}
	return s.slots.Release(ctx, c.ID, person)
}

// settleDecided tells Redis of a hold that somebody is about to give up, if Postgres has decided it and Redis wasn't told:
// giving up what is booked would free its place, and the next in line would be promised it.
func (s *Service) settleDecided(ctx context.Context, campaignID string, person, hold uuid.UUID) (decided bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	b, err := s.loadByHold(ctx, campaignID, hold)
	if fault.CodeOf(err) == fault.CodeNoBooking || (err == nil && b.Person != person) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, s.slots.Settle(ctx, campaignID, b.Slot, slot.Decided{Hold: hold, Person: person, Booked: b.Status == Active})
}

// placeUnlessBooked asks Postgres whether the person has really booked, as Redis says, before somebody is kept out by a
// mark that a lost message left behind.
func (s *Service) placeUnlessBooked(ctx context.Context, w slot.Wish) (slot.Hold, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	b, err := s.loadLatest(ctx, w.Campaign.ID, w.Person)
	switch {
	case err == nil && b.Status == Active:
		return slot.Hold{}, fault.New(fault.Conflict, fault.CodeAlreadyBooked)
	case err != nil && fault.CodeOf(err) != fault.CodeNoBooking:
		return slot.Hold{}, err
	}
	if err := s.slots.ForgetBooked(ctx, w.Campaign.ID, w.Person); err != nil {
		return slot.Hold{}, err
	}
	return s.slots.Place(ctx, w)
}

// judge asks the rules: those in effect for a new booking; for a move those that the booking was made under, among the
// waves that have opened by now, until the cut-off for changes. It returns the booking to be moved, if there is one.
func (s *Service) judge(
	ctx context.Context, c *campaign.Campaign, who Claimant, place slot.Place, replaces string, now time.Time,
) (decision eligibility.Decision, old Booking, err error) {
	day := civil.Of(place.StartsAt, c.Location)
	if replaces == "" {
		return c.Rules.DecideSlotOf(who.Facts, now, day, place.KeptFor(now)), Booking{}, nil
	}
	id, err := uuid.Parse(replaces)
	if err != nil {
		return decision, old, fault.New(fault.NotFound, fault.CodeNoBooking)
	}
	if old, err = s.load(ctx, c.ID, id); err != nil {
		return decision, old, err
	}
	if old.Person != who.Person || old.Status != Active {
		return decision, old, fault.New(fault.NotFound, fault.CodeNoBooking)
	}
	if from, ok := s.slots.Get(c.ID, old.Slot); old.Attended() || ok && !now.Before(c.ChangeUntil(from.StartsAt)) {
		return decision, old, fault.New(fault.Conflict, fault.CodeChangeClosed)
	}
	rules := c.Rules
	if then, ok := s.campaigns.Version(c.ID, old.RulesVersion); ok {
		rules = then.Rules
	}
	// As of the first hold: somebody whose birthday was since isn't judged anew.
	return rules.DecideMoveOf(who.Facts, old.JudgedAt, day, now, place.KeptFor(now)), old, nil
}

// full is the refusal of a full slot, with what the person could take instead.
func (s *Service) full(ctx context.Context, c *campaign.Campaign, place slot.Place, wave string) error {
	e := fault.New(fault.Conflict, fault.CodeSlotFull)
	for _, w := range c.Waves {
		if w.ID == wave {
			return e.With(s.slots.Alternatives(ctx, c, place, wave, w.Slots.From, w.Slots.To))
		}
	}
	return e
}

// Confirm makes a hold durable. fresh tells that this call made the booking, as opposed to finding it made. It refuses
// with hold_token_invalid, hold_of_another, slot_full, already_booked, replaced_gone, hold_expired, hold_released,
// hold_spent; all but the first two are decided by a row and final.
func (s *Service) Confirm(
	ctx context.Context, c *campaign.Campaign, person uuid.UUID, holdToken string,
) (d Detailed, fresh bool, err error) {
	h, err := s.tokens.OpenHold(holdToken)
	if err != nil {
		return Detailed{}, false, fault.New(fault.Invalid, fault.CodeHoldTokenInvalid)
	}
	if h.Person != person || h.Campaign != c.ID {
		return Detailed{}, false, fault.New(fault.Forbidden, fault.CodeHoldOfAnother)
	}
	b, fresh, err := s.batcher.confirm(ctx, h)
	if err != nil {
		return Detailed{}, false, err
	}
	switch b.Status {
	case Active:
		d, err := s.detail(c, b)
		if err != nil {
			// Booked, but this instance hasn't heard of the place yet: it must not sound as if nothing had happened.
			return Detailed{}, false, outcomeUnknown(err)
		}
		return d, fresh, nil
	case Cancelled, Superseded:
		return Detailed{}, false, fault.New(fault.Gone, fault.CodeHoldSpent)
	case Void:
	}
	switch b.Reason {
	case Full:
		if place, ok := s.slots.Get(c.ID, b.Slot); ok {
			return Detailed{}, false, s.full(ctx, c, place, b.Wave)
		}
		return Detailed{}, false, fault.New(fault.Conflict, fault.CodeSlotFull)
	case AlreadyBooked:
		return Detailed{}, false, fault.New(fault.Conflict, fault.CodeAlreadyBooked)
	case ReplacedGone:
		return Detailed{}, false, fault.New(fault.Conflict, fault.CodeReplacedGone)
	case Released:
		return Detailed{}, false, fault.New(fault.Gone, fault.CodeHoldReleased)
	case Expired:
	}
	return Detailed{}, false, fault.New(fault.Gone, fault.CodeHoldExpired)
}

// Latest returns the person's active booking, or the one that was cancelled last, or fault.CodeNoBooking.
func (s *Service) Latest(ctx context.Context, c *campaign.Campaign, person uuid.UUID) (Detailed, error) {
	b, err := s.loadLatest(ctx, c.ID, person)
	if err != nil {
		return Detailed{}, err
	}
	return s.detail(c, b)
}

// Cancel cancels a booking of the person and frees its place. Cancelling again gives the same answer. It refuses with
// no_booking, or with change_closed after the campaign's cut-off.
func (s *Service) Cancel(ctx context.Context, c *campaign.Campaign, who Claimant, bookingID string) (Detailed, error) {
	id, err := uuid.Parse(bookingID)
	if err != nil {
		return Detailed{}, fault.New(fault.NotFound, fault.CodeNoBooking)
	}
	b, err := s.load(ctx, c.ID, id)
	if err != nil {
		return Detailed{}, err
	}
	if b.Person != who.Person || (b.Status != Active && b.Status != Cancelled) {
		return Detailed{}, fault.New(fault.NotFound, fault.CodeNoBooking)
	}
	d, err := s.detail(c, b)
	if err != nil || b.Status == Cancelled {
		return d, err
	}
	if b.Attended() || !s.clock.Now().Before(d.ChangeUntil) {
		return Detailed{}, fault.New(fault.Conflict, fault.CodeChangeClosed)
	}
	if b, err = s.batcher.cancel(ctx, b, who.Actor); err != nil {
		return Detailed{}, err
	}
	if err := s.slots.ForgetBooked(ctx, c.ID, b.Person); err != nil {
		s.batcher.log.Warn("Redis still has the person as booked; Postgres is asked when they next hold", "error", err)
	}
	d.Booking = b
	return d, nil
}

// Find returns a booking with its place, whoever's it is. It is for messages, not for answering a citizen.
func (s *Service) Find(ctx context.Context, campaignID string, id uuid.UUID) (Detailed, error) {
	c, err := s.campaigns.Get(campaignID)
	if err != nil {
		return Detailed{}, err
	}
	b, err := s.load(ctx, campaignID, id)
	if err != nil {
		return Detailed{}, err
	}
	return s.detail(c, b)
}

// detail adds the place. It comes from the directory in memory, or, while this instance hasn't loaded the newest one,
// is asked for.
func (s *Service) detail(c *campaign.Campaign, b Booking) (Detailed, error) {
	place, ok := s.slots.Get(c.ID, b.Slot)
	if !ok {
		return Detailed{}, fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(time.Second)
	}
	sites, err := s.campaigns.Sites(c.ID)
	if err != nil {
		return Detailed{}, err
	}
	site, ok := sites.Get(place.Site)
	if !ok {
		return Detailed{}, fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(time.Second)
	}
	return Detailed{Booking: b, Place: place, Site: site, ChangeUntil: c.ChangeUntil(place.StartsAt)}, nil
}
