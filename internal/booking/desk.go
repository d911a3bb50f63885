package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/eligibility"
	"jari/internal/fault"
	"jari/internal/postgres"
	"jari/internal/slot"
)

// The desk books for people who telephone or stand before it. It is another way to the same line, never a way around it:
//
//   - the same stock, rules and one booking a person: it holds and confirms as everybody does;
//   - who is booked anew has to be called in the room of their wave, by a place of their own, which the desk may take for
//     them; so a call is answered no sooner than a click;
//   - of a site's places on a day, at most a stated share is booked by the desk, rounded down, and none before a stated time
//     after the wave opened: what a desk can do in a minute must not be what is left for those who wait at home;
//   - moving and cancelling take nobody's turn, so the line doesn't ask about them; the campaign's cut-offs do. A booking that
//     the desk made counts where it is now, whoever moved it there; and the desk moves it to another site or day within the
//     share of that one alone, or what it may not book there it would book elsewhere and move.

// DeskRules are what a deployment lets the desk do.
type DeskRules struct {
	// SharePercent is how much of a site's places on a day the desk may book; 0 for none.
	SharePercent int
	// After is how long after a wave opened the desk begins to book for it.
	After time.Duration
}

// Desk says what the desk may do, for everybody to read.
func (s *Service) Desk() DeskRules { return s.desk }

// DeskRequest is what somebody asks for a person.
type DeskRequest struct {
	HoldRequest
	By     string // the key of whoever asks
	Reason string
	// Admit asks whether the person has been called in a room, and refuses like the room.
	Admit func(ctx context.Context, room string) error
}

// deskSpace makes ids of those who act with a key. They are in no table of people.
var deskSpace = uuid.MustParse("5e1c1b0e-6d0f-4a6e-9d5c-0b8f5a3f7a11")

// deskActor is who acted, where a booking says it.
func deskActor(key string) uuid.UUID { return uuid.NewSHA1(deskSpace, []byte(audit.KeyActor(key))) }

// BookFor books a slot for a person, or moves their booking to it, as they would themselves. fresh tells that this call did
// it; asked again, it answers with what was done. It refuses like Hold and Confirm, and with desk_not_yet (says until when)
// and desk_share.
func (s *Service) BookFor(ctx context.Context, c *campaign.Campaign, who Claimant, r DeskRequest) (d Detailed, fresh bool, err error) {
	place, err := s.slots.Find(c.ID, r.Slot)
	if err != nil {
		return Detailed{}, false, err
	}
	if d, done, err := s.doneFor(ctx, c, who.Person, place, r.Replaces); done || err != nil {
		return d, false, err
	}
	act, counts := "booking.move_for", true
	if r.Replaces != "" {
		if counts, err = s.movesShare(ctx, c, r.Replaces, place); err != nil {
			return Detailed{}, false, err
		}
	} else {
		act = "booking.book_for"
		if who.Room, err = s.deskRoom(c, who.Facts, place); err != nil {
			return Detailed{}, false, err
		}
		if err := r.Admit(ctx, who.Room); err != nil {
			return Detailed{}, false, err
		}
	}
	// Before it is done, so that nothing is done that isn't noted; what came of it is the booking's own history.
	if err := s.audit.Record(ctx, audit.Entry{
		Act: act, Subject: c.ID + "/slot/" + r.Slot, Person: who.Person, Reason: r.Reason, Details: map[string]any{"site": place.Site},
	}); err != nil {
		return Detailed{}, false, err
	}
	who.Actor = deskActor(r.By)
	hold, err := s.Hold(ctx, c, who, r.HoldRequest)
	if err != nil {
		return Detailed{}, false, err
	}
	if counts {
		if err := s.takeShare(ctx, c, place, hold); err != nil {
			if hold.Actor == who.Actor { // not a hold that the person had themself
				_ = s.Release(ctx, c, who.Person) // or it ends by itself in some minutes
			}
			return Detailed{}, false, err
		}
	}
	text, err := s.slots.Token(hold)
	if err != nil {
		return Detailed{}, false, err
	}
	return s.Confirm(ctx, c, who.Person, text)
}

// doneFor tells whether what is asked for is there already.
func (s *Service) doneFor(ctx context.Context, c *campaign.Campaign, person uuid.UUID, place slot.Place, replaces string) (Detailed, bool, error) {
	b, err := s.loadLatest(ctx, c.ID, person)
	if fault.CodeOf(err) == fault.CodeNoBooking {
		return Detailed{}, false, nil
	}
	if err != nil {
		return Detailed{}, false, err
	}
	before := ""
	if b.Replaces != uuid.Nil {
		before = b.Replaces.String()
	}
	if b.Status != Active || b.Slot != place.ID || before != replaces {
		return Detailed{}, false, nil
	}
	d, err := s.detail(c, b)
	return d, true, err
}

// deskRoom is the room in which somebody has to be called to be booked into a slot. It refuses with desk_not_yet, and with
// desk_share where the desk may book nothing; who isn't entitled is told so by Hold.
func (s *Service) deskRoom(c *campaign.Campaign, facts eligibility.Facts, place slot.Place) (string, error) {
	now := s.clock.Now()
	decision := c.Rules.DecideSlotOf(facts, now, civil.Of(place.StartsAt, c.Location), place.KeptFor(now))
	if decision.Answer != eligibility.Yes {
		return "", fault.New(fault.Forbidden, fault.CodeNotEligible).With(decision)
	}
	if s.desk.SharePercent == 0 {
		return "", fault.New(fault.Conflict, fault.CodeDeskShare)
	}
	for i, w := range c.Waves {
		if from := c.Openings[i].OpensAt.Add(s.desk.After); w.ID == decision.Wave && now.Before(from) {
			return "", fault.New(fault.Conflict, fault.CodeDeskNotYet).After(from.Sub(now))
		}
	}
	return c.RoomOf(decision.Wave), nil
}

// undecided is how long a hold of the desk counts beyond its end: as long as it may still become a booking.
const undecided = 30 * time.Second

// movesShare tells whether moving a booking to a place takes of the desk's share there: the desk made it, for another site or
// day. What it is now says so, not who moved it there.
func (s *Service) movesShare(ctx context.Context, c *campaign.Campaign, replaces string, to slot.Place) (bool, error) {
	id, err := uuid.Parse(replaces)
	if err != nil {
		return false, nil // Hold says what is wrong
	}
	var from int64
	var made bool
	err = s.pool.QueryRow(ctx, `
		SELECT b.slot_id, EXISTS (
			SELECT FROM bookings f JOIN desk_bookings d USING (campaign_id, hold_id)
			WHERE f.campaign_id = b.campaign_id AND f.booking_id = b.series_id)
		FROM bookings b WHERE b.campaign_id = $1 AND b.booking_id = $2`, c.ID, id).Scan(&from, &made)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, postgres.Unreachable(fmt.Errorf("looking whose booking is moved: %w", err))
	}
	old, known := s.slots.Get(c.ID, from)
	return made && (!known || old.Site != to.Site || civil.Of(old.StartsAt, c.Location) != civil.Of(to.StartsAt, c.Location)), nil
}

// takeShare counts a hold towards what the desk may book at a site on a day, or refuses with desk_share. Whoever counts for
// the same site and day waits for the other, so that two can't both take the last. What counts are bookings there whose first
// one, before it was moved, is the desk's, and what the desk holds there and nobody has decided; what was cancelled or moved
// away since, or held and never booked, counts no more.
func (s *Service) takeShare(ctx context.Context, c *campaign.Campaign, place slot.Place, hold slot.Hold) error {
	day := civil.Of(place.StartsAt, c.Location)
	return postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		var places, taken int
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('desk ' || $1, 0))`,
			c.ID+"/"+place.Site+"/"+day.String()); err != nil {
			return postgres.Unreachable(fmt.Errorf("waiting to count the desk's share: %w", err))
		}
		if err := tx.QueryRow(ctx, `
			SELECT
				(SELECT coalesce(sum(capacity), 0) FROM slots
				WHERE campaign_id = $1 AND site_id = $2 AND starts_at >= $4 AND starts_at < $5 AND state = 'open'),
				(SELECT count(*) FROM slots s
				JOIN bookings b ON b.slot_id = s.slot_id AND b.status = 'active'
				JOIN bookings f ON f.campaign_id = b.campaign_id AND f.booking_id = b.series_id
				JOIN desk_bookings d ON d.campaign_id = f.campaign_id AND d.hold_id = f.hold_id
				WHERE s.campaign_id = $1 AND s.site_id = $2 AND s.starts_at >= $4 AND s.starts_at < $5 AND b.hold_id <> $6)
				+ (SELECT count(*) FROM desk_bookings d
				WHERE d.campaign_id = $1 AND d.site_id = $2 AND d.day = $3 AND d.hold_id <> $6 AND d.until > now()
				AND NOT EXISTS (SELECT FROM bookings b WHERE b.campaign_id = d.campaign_id AND b.hold_id = d.hold_id))`,
			c.ID, place.Site, day.String(), civil.Midnight(day, c.Location), civil.Midnight(civil.AddDays(day, 1), c.Location), hold.ID).
			Scan(&places, &taken); err != nil {
			return postgres.Unreachable(fmt.Errorf("counting the desk's share: %w", err))
		}
		if (taken+1)*100 > places*s.desk.SharePercent {
			return fault.New(fault.Conflict, fault.CodeDeskShare)
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO desk_bookings (campaign_id, hold_id, site_id, day, until) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (campaign_id, hold_id) DO NOTHING`,
			c.ID, hold.ID, place.Site, day.String(), hold.ExpiresAt.Add(undecided)); err != nil {
			return postgres.Unreachable(fmt.Errorf("counting towards the desk's share: %w", err))
		}
		return nil
	})
}

// CancelFor cancels a booking for its person. Again, it answers the same. It refuses like Cancel.
func (s *Service) CancelFor(ctx context.Context, c *campaign.Campaign, b Detailed, by, reason string) (Detailed, error) {
	if b.Status == Cancelled {
		return b, nil
	}
	if err := s.audit.Record(ctx, audit.Entry{
		Act: "booking.cancel_for", Subject: c.ID + "/booking/" + b.ID.String(), Person: b.Person, Reason: reason,
		Details: map[string]any{"site": b.Place.Site},
	}); err != nil {
		return Detailed{}, err
	}
	return s.Cancel(ctx, c, Claimant{Person: b.Person, Actor: deskActor(by)}, b.ID.String())
}
