package booking

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/eligibility"
	"jari/internal/fault"
	plans "jari/internal/plan"
	"jari/internal/postgres"
	"jari/internal/slot"
	"jari/internal/staff"
)

// A clearing takes places away that may be booked: a site closes for a day, or slots get smaller. Whoever booked a slot last
// loses it first; of those who lose theirs, whoever booked first chooses first. Each gets the nearest other time at the same
// site, and where there is none the nearest time at the nearest site of the region, by the rules that the booking was made
// under, as if they had moved it themselves. Who can't have any other place keeps theirs, and nothing is done, unless it was
// said that such bookings are to be cancelled.

// ClearingKind is what plans of clearings are called.
const ClearingKind = "slots.clear"

// mostCleared bounds the bookings of one clearing: they are moved in one transaction.
const mostCleared = 5000

// MoveTo is where those who lose their slot may be moved.
type MoveTo string

// Where to.
const (
	MoveInRegion MoveTo = "region" // the same site, then the nearest sites of its region
	MoveAtSite   MoveTo = "site"   // the same site alone
	MoveNowhere  MoveTo = "nowhere"
)

// Clearing is which places go.
type Clearing struct {
	Campaign *campaign.Campaign
	// Site closes on Day: its slots of that day take nobody any more.
	Site string
	Day  civil.Date
	// Capacities are those that slots will have, by slot id; with or instead of a closed day.
	Capacities map[int64]int
	MoveTo     MoveTo
	// CancelRest cancels the bookings for which there is no other place.
	CancelRest bool
}

// FactsOf says what is known of a person: what the rules ask about, beyond the booking.
type FactsOf func(ctx context.Context, campaignID string, person uuid.UUID) (eligibility.Facts, error)

// cleared is a plan as it is kept. It names bookings and slots, no persons.
type cleared struct {
	Slots   []clearedSlot `json:"slots"`
	Moves   []clearedMove `json:"moves"`
	Cancels []clearedMove `json:"cancels"`
	Stuck   int           `json:"stuck"` // bookings for which there is no place
}

// clearedSlot is a slot that gets smaller, and the version that this was planned on.
type clearedSlot struct {
	Slot     int64      `json:"slot"`
	Version  int64      `json:"version"`
	Capacity int        `json:"capacity"`
	State    slot.State `json:"state"`
	// Closes is whether its site closes, as opposed to taking fewer people: the message says which.
	Closes bool `json:"closes,omitempty"`
}

// Why a place was taken away, as events say it.
const (
	CauseClosed = "closed" // the site closes on that day
	CauseFewer  = "fewer"  // the slot takes fewer people
)

type clearedMove struct {
	Booking uuid.UUID `json:"booking"`
	From    int64     `json:"from"`
	To      int64     `json:"to,omitempty"`
	// Wave is the one that lets the person have the new slot, which may be kept for it.
	Wave string `json:"wave,omitempty"`
}

// PlanClearing says who would lose their slot and what they would have instead. It refuses with slot_not_found, site_not_found
// or invalid_request.
func (s *Service) PlanClearing(ctx context.Context, made *plans.Service, by staff.Key, cl Clearing, facts FactsOf) (plans.Plan, error) {
	wanted, err := s.toClear(cl)
	if err != nil {
		return plans.Plan{}, err
	}
	return made.Make(ctx, plans.Draft{Kind: ClearingKind, Campaign: cl.Campaign.ID, By: by}, func(ctx context.Context, tx pgx.Tx, m *plans.Making) error {
		out, losers, err := s.losers(ctx, tx, cl, wanted)
		if err != nil {
			return err
		}
		if err := s.rehouse(ctx, cl, facts, losers, &out, m); err != nil {
			return err
		}
		m.Summary.Changed, m.Summary.Bookings = len(out.Slots), len(losers)
		m.Summary.Rejected = out.Stuck
		m.Summary.More = map[string]int{"moved": len(out.Moves), "cancelled": len(out.Cancels), "without_place": out.Stuck}
		if m.Payload, err = json.Marshal(out); err != nil {
			return fmt.Errorf("encoding a clearing: %w", err)
		}
		return nil
	})
}

// toClear is what becomes of which slots: their capacity, and -1 for those that close.
func (s *Service) toClear(cl Clearing) (map[int64]int, error) {
	wanted := map[int64]int{}
	for id, capacity := range cl.Capacities {
		if _, ok := s.slots.Get(cl.Campaign.ID, id); !ok {
			return nil, fault.New(fault.NotFound, fault.CodeSlotNotFound)
		}
		wanted[id] = capacity
	}
	if cl.Site != "" {
		sites, err := s.campaigns.Sites(cl.Campaign.ID)
		if err != nil {
			return nil, err
		}
		if _, ok := sites.Get(cl.Site); !ok {
			return nil, fault.New(fault.NotFound, fault.CodeSiteNotFound)
		}
		for _, p := range s.slots.SlotsOf(cl.Campaign, cl.Site, cl.Day) {
			wanted[p.ID] = -1
		}
	}
	if len(wanted) == 0 {
		return nil, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/date", "the site has no slot on this day")
	}
	return wanted, nil
}

// losers are the bookings that lose their slot, those first that were made first.
func (s *Service) losers(ctx context.Context, tx pgx.Tx, cl Clearing, wanted map[int64]int) (out cleared, losers []Booking, err error) {
	out = cleared{Slots: []clearedSlot{}, Moves: []clearedMove{}, Cancels: []clearedMove{}}
	ids := make([]int64, 0, len(wanted))
	for id := range wanted {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	copies, err := readCopies(ctx, tx, lockSlots+`ANY($1) ORDER BY slot_id`, ids)
	if err != nil {
		return out, nil, err
	}
	for _, c := range copies {
		changed := clearedSlot{Slot: c.Slot, Version: c.Version, Capacity: wanted[c.Slot], State: c.State}
		if wanted[c.Slot] < 0 {
			changed.Capacity, changed.State, changed.Closes = 0, slot.Closed, true
		}
		out.Slots = append(out.Slots, changed)
		if over := c.Booked - changed.Capacity; over > 0 {
			of, err := readBookings(ctx, tx, `SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND slot_id = $2 AND status = 'active'
				ORDER BY attended_at IS NOT NULL, created_at DESC, booking_id DESC LIMIT $3`, cl.Campaign.ID, c.Slot, over)
			if err != nil {
				return out, nil, err
			}
			losers = append(losers, of...)
		}
	}
	if len(losers) > mostCleared {
		return out, nil, fault.New(fault.Invalid, fault.CodeInvalidRequest).
			Field("", fmt.Sprintf("%d bookings would lose their slot, and %d may at once: clear fewer slots", len(losers), mostCleared))
	}
	slices.SortStableFunc(losers, func(a, b Booking) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return out, losers, nil
}

// rehouse finds each loser another place, or none.
func (s *Service) rehouse(ctx context.Context, cl Clearing, facts FactsOf, losers []Booking, out *cleared, m *plans.Making) error {
	sites, err := s.campaigns.Sites(cl.Campaign.ID)
	if err != nil {
		return err
	}
	taken := map[int64]int{}
	for _, gone := range out.Slots {
		taken[gone.Slot] = 1 << 30 // nobody moves to where places go
	}
	now := s.clock.Now()
	for i, b := range losers {
		m.Progress(i)
		old, ok := s.slots.Get(cl.Campaign.ID, b.Slot)
		if !ok {
			return fault.New(fault.Unavailable, fault.CodeStoreUnavailable).After(time.Second)
		}
		known, err := facts(ctx, cl.Campaign.ID, b.Person)
		if err != nil {
			return err
		}
		row := plans.Row{Outcome: plans.Affected, Subject: "booking " + b.ID.String()}
		to, wave, found := s.elsewhere(cl, sites, known, b, old, taken, now)
		switch {
		case b.Attended():
			out.Stuck++
			row.Outcome, row.Note = plans.Rejected, "stays: whether its person came to "+s.named(cl.Campaign, old)+" is noted already"
		case found:
			taken[to.ID]++
			out.Moves = append(out.Moves, clearedMove{Booking: b.ID, From: b.Slot, To: to.ID, Wave: wave})
			row.Note = "moves from " + s.named(cl.Campaign, old) + " to " + s.named(cl.Campaign, to)
		case cl.CancelRest:
			out.Cancels = append(out.Cancels, clearedMove{Booking: b.ID, From: b.Slot})
			row.Note = "is cancelled: there is no other place than " + s.named(cl.Campaign, old)
		default:
			out.Stuck++
			row.Outcome, row.Note = plans.Rejected, "has no other place than "+s.named(cl.Campaign, old)
		}
		m.Row(row)
	}
	return nil
}

func (s *Service) named(c *campaign.Campaign, p slot.Place) string {
	return p.Site + " " + p.StartsAt.In(c.Location).Format("2006-01-02 15:04")
}

// elsewhere is the nearest place that a booking may move to, with what others of this clearing take, and the wave that lets
// its person have it: a place that is kept for a wave is one for its people and for nobody else.
func (s *Service) elsewhere(
	cl Clearing, sites *campaign.Sites, known eligibility.Facts, b Booking, old slot.Place, taken map[int64]int, now time.Time,
) (place slot.Place, wave string, found bool) {
	rules := cl.Campaign.Rules
	if then, ok := s.campaigns.Version(cl.Campaign.ID, b.RulesVersion); ok {
		rules = then.Rules
	}
	var from, to civil.Date
	for _, w := range cl.Campaign.Waves {
		if from.IsZero() || w.Slots.From.Before(from) {
			from = w.Slots.From
		}
		if to.Before(w.Slots.To) {
			to = w.Slots.To
		}
	}
	decide := func(p slot.Place) eligibility.Decision {
		return rules.DecideMoveOf(known, b.JudgedAt, civil.Of(p.StartsAt, cl.Campaign.Location), now, p.KeptFor(now))
	}
	fits := func(free slot.Available) bool {
		if free.Remaining <= taken[free.ID] {
			return false
		}
		d := decide(free.Place)
		return d.Answer == eligibility.Yes && free.Admits(d.Wave, now)
	}
	if cl.MoveTo == MoveNowhere {
		return place, "", false
	}
	near := []string{old.Site}
	if cl.MoveTo != MoveAtSite {
		for _, site := range slot.Near(sites, old.Site) {
			near = append(near, site.ID)
		}
	}
	for _, site := range near {
		if p, found := s.slots.Room(cl.Campaign, site, old, from, to, fits); found {
			return p, decide(p).Wave, true
		}
	}
	return place, "", false
}

func readCopies(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]slot.Copy, error) {
	rows, err := tx.Query(ctx, sql, args...)
	var copies []slot.Copy
	if err == nil {
		copies, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (slot.Copy, error) { return scanCopy(r) })
	}
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading slots: %w", err))
	}
	return copies, nil
}

func readBookings(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]Booking, error) {
	rows, err := tx.Query(ctx, sql, args...)
	var found []Booking
	if err == nil {
		found, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (b Booking, err error) {
			b, _, err = scanBooking(r)
			return b, err
		})
	}
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading bookings: %w", err))
	}
	return found, nil
}
