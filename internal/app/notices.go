package app

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/booking"
	"jari/internal/campaign"
	"jari/internal/fault"
	"jari/internal/identity"
	"jari/internal/notify"
)

// codeQueue hands the codes of package identity to package notify; neither knows the other.
type codeQueue struct{ messages *notify.Service }

// QueueCode makes the message of a code.
func (q *codeQueue) QueueCode(ctx context.Context, tx pgx.Tx, c identity.Code) error {
	return q.messages.Queue(ctx, tx, notify.Message{
		Subject: c.Subject, Kind: notify.Code, To: c.Phone, Text: notify.CodeText(c.Language, c.Code, c.Lifetime),
		UsefulUntil: c.UsefulUntil, MostWait: c.Most,
	})
}

// notices turns what a flush did into messages to the people whose bookings they are.
func (a *App) notices(ctx context.Context, flushID uuid.UUID) ([]notify.Message, error) {
	events, err := booking.Events(ctx, a.pool, flushID)
	if err != nil {
		return nil, err
	}
	messages := make([]notify.Message, 0, len(events))
	templates := map[string]notify.Templates{}
	for _, e := range events {
		if _, read := templates[e.Campaign]; !read {
			if templates[e.Campaign], err = a.messages.CampaignTemplates(ctx, e.Campaign); err != nil {
				return nil, err
			}
		}
		m, fits, err := a.news(ctx, templates[e.Campaign], e.Campaign, e.Booking, notify.Kind(e.Kind), notify.Cause(e.Cause))
		if err != nil {
			return nil, err
		}
		if fits {
			messages = append(messages, m)
		}
	}
	return messages, nil
}

// stillTrue tells whether news of this kind fits what became of the booking: one that was moved or cancelled since has a
// message of its own, and older news would only confuse.
func stillTrue(kind notify.Kind, status booking.Status) bool {
	if kind == notify.Cancelled {
		return status == booking.Cancelled
	}
	return status == booking.Active
}

// stale tells the senders of messages what isn't true any more.
func (a *App) stale(ctx context.Context, kind notify.Kind, campaign string, id uuid.UUID) (bool, error) {
	b, err := a.bookings.Find(ctx, campaign, id)
	if fault.CodeOf(err) == fault.CodeNoBooking {
		return true, nil
	}
	return err == nil && !stillTrue(kind, b.Status), err
}

// news is the message of one kind about a booking, unless it isn't true. cause is why its place was taken away, if it was.
func (a *App) news(ctx context.Context, t notify.Templates, campaignID string, id uuid.UUID, kind notify.Kind, cause notify.Cause) (
	m notify.Message, fits bool, err error,
) {
	c, err := a.campaigns.Get(campaignID)
	if err != nil {
		return m, false, err
	}
	b, err := a.bookings.Find(ctx, campaignID, id)
	if err != nil {
		return m, false, err
	}
	if !stillTrue(kind, b.Status) {
		return m, false, nil
	}
	person, err := a.identity.Person(ctx, b.Person)
	if err != nil {
		return m, false, err
	}
	if person.Phone == "" {
		return m, false, nil // nobody has a phone to send to; the booking is on the person's page
	}
	v, words := visit(c, b, person.Language), kind
	if cause != "" {
		words, v.Cause = notify.BySite(kind), cause
		if b.Replaces != uuid.Nil {
			old, err := a.bookings.Find(ctx, campaignID, b.Replaces)
			if err != nil {
				return m, false, err
			}
			was := visit(c, old, person.Language)
			v.Was = &was
		}
	}
	return notify.Message{
		Subject: fmt.Sprintf("booking:%s:%s", id, kind), Kind: kind, To: person.Phone, Campaign: campaignID, Booking: id,
		Text: t.Text(person.Language, words, v),
		// Worth knowing until the day itself; in development that day may lie in the past of real time.
		UsefulUntil: b.Place.StartsAt.Add(-a.clock.Offset()),
	}, true, nil
}

// visit is what a message says of a booking, in a language.
func visit(c *campaign.Campaign, b booking.Detailed, language string) notify.Visit {
	return notify.Visit{
		Title: c.Title.In(language), Site: b.Site.NameIn(language), Address: b.Site.Address, Telephone: b.Site.Telephone,
		StartsAt: b.Place.StartsAt.In(c.Location), Reference: b.Reference,
	}
}
