package app

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/booking"
	"jari/internal/identity"
	"jari/internal/notify"
)

// codeQueue hands the codes of package identity to package notify; neither knows the other.
type codeQueue struct{ messages *notify.Service }

// QueueCode makes the message of a code.
func (q *codeQueue) QueueCode(ctx context.Context, tx pgx.Tx, c identity.Code) error {
	return q.messages.Queue(ctx, tx, notify.Message{
		Subject: c.Subject, Kind: notify.Code, To: c.Phone, Text: notify.CodeText(c.Language, c.Code, c.Lifetime),
		UsefulUntil: c.UsefulUntil,
	})
}

// notices turns what a flush did into messages to the people whose bookings they are.
func (a *App) notices(ctx context.Context, flushID uuid.UUID) ([]notify.Message, error) {
	events, err := booking.Events(ctx, a.pool, flushID)
	if err != nil {
		return nil, err
	}
	messages := make([]notify.Message, 0, len(events))
	for _, e := range events {
		c, err := a.campaigns.Get(e.Campaign)
		if err != nil {
			return nil, err
		}
		b, err := a.bookings.Find(ctx, e.Campaign, e.Booking)
		if err != nil {
			return nil, err
		}
		kind := notify.Kind(e.Kind)
		if kind != notify.Cancelled && b.Status != booking.Active {
			continue // moved or cancelled since: that has a message of its own, and this one would only confuse
		}
		person, err := a.identity.Person(ctx, b.Person)
		if err != nil {
			return nil, err
		}
		if person.Phone == "" {
			continue // nobody has a phone to send to; the booking is on the person's page
		}
		title, site := c.Title.Ko, b.Site.Name
		if person.Language == "en" {
			title = c.Title.En
			if b.Site.NameEn != "" {
				site = b.Site.NameEn
			}
		}
		messages = append(messages, notify.Message{
			Subject: fmt.Sprintf("booking:%s:%s", e.Booking, e.Kind), Kind: kind, To: person.Phone,
			Text: notify.VisitText(person.Language, kind, notify.Visit{
				Title: title, Site: site, Address: b.Site.Address, StartsAt: b.Place.StartsAt.In(c.Location),
				Reference: b.Reference,
			}),
			// Worth knowing until the day itself; in development that day may lie in the past of real time.
			UsefulUntil: b.Place.StartsAt.Add(-a.clock.Offset()),
		})
	}
	return messages, nil
}
