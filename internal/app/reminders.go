package app

import (
	"context"
	"time"

	"jari/internal/booking"
	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/notify"
)

// reminderSlots is how many slots one transaction makes reminders of.
const reminderSlots = 50

// Remind makes the reminders that are due now; in the background that is done every few minutes. They are due the day before,
// by the campaign's own calendar, and at an hour at which a message wakes nobody. Making them costs confirming nothing; a
// booking that is moved or cancelled first gets none.
func (a *App) Remind(ctx context.Context) error {
	campaigns, err := a.campaigns.List()
	if err != nil {
		return err
	}
	for _, c := range campaigns {
		if err := a.remindOf(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) remindOf(ctx context.Context, c *campaign.Campaign) error {
	now := a.clock.Now().In(c.Location)
	if now.Hour() < a.cfg.RemindersFrom || now.Hour() >= a.cfg.RemindersTo {
		return nil
	}
	today := civil.Of(now, c.Location)
	tomorrow := civil.AddDays(today, 1)
	due := booking.Due{
		Campaign:   c.ID,
		StartsFrom: civil.Midnight(tomorrow, c.Location), StartsBefore: civil.Midnight(civil.AddDays(tomorrow, 1), c.Location),
		// Who booked today has just been told.
		BookedBefore: civil.Midnight(today, c.Location).Add(-a.clock.Offset()),
		Slots:        reminderSlots,
	}
	// What can't be sent in time is dropped: nobody is woken, and tomorrow it would be wrong.
	ends := time.Date(now.Year(), now.Month(), now.Day(), a.cfg.RemindersTo, 0, 0, 0, c.Location).Add(-a.clock.Offset())
	templates, err := a.messages.CampaignTemplates(ctx, c.ID)
	if err != nil {
		return err
	}
	for {
		done, err := a.messages.RemindNext(ctx, c.ID, tomorrow, func(after int64) ([]notify.Message, int64, error) {
			due.AfterSlot = after
			ids, last, err := booking.DueBookings(ctx, a.pool, due)
			if err != nil {
				return nil, 0, err
			}
			var messages []notify.Message
			for _, id := range ids {
				m, fits, err := a.news(ctx, templates, c.ID, id, notify.Reminder, "")
				if code := fault.CodeOf(err); code == fault.CodeNoBooking || code == fault.CodeSessionExpired {
					continue // gone meanwhile, the booking or the person
				}
				if err != nil {
					return nil, 0, err
				}
				if fits {
					m.UsefulUntil = ends
					messages = append(messages, m)
				}
			}
			return messages, last, nil
		})
		if done || err != nil {
			return err
		}
	}
}

// reminding is Remind, or nil where people aren't reminded.
func (a *App) reminding() func(context.Context) error {
	if !a.cfg.Reminders {
		return nil
	}
	return a.Remind
}
