package booking

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/postgres"
	"jari/internal/slot"
)

// Attendance is whether a person came.
//
//	expected ──▶ arrived   on the day, by the booking's reference
//	         ──▶ no_show   once the slot's time is over
//
// Each of the two is taken back, or replaced by the other, with a reason.
type Attendance string

// The attendances; the zero value is what every booking begins with.
const (
	Expected Attendance = ""
	Arrived  Attendance = "arrived"
	NoShow   Attendance = "no_show"
)

// Attended tells whether somebody noted who came. Such a booking has been used: it can't be moved or cancelled any more.
func (b Booking) Attended() bool { return b.Attendance != Expected }

// Elsewhere goes with fault.CodeBookingElsewhere and fault.CodeBookingOtherDay: where and when the booking is for.
type Elsewhere struct {
	Campaign *campaign.Campaign
	Place    slot.Place
}

// Arrive notes that the person of a reference has come to a site, today in the campaign's zone. Again, it answers the same.
// It refuses with no_booking, booking_elsewhere and booking_other_day (with Elsewhere), booking_cancelled, and
// attendance_differs where it was noted that nobody came.
func (s *Service) Arrive(ctx context.Context, c *campaign.Campaign, site, reference string) (Detailed, error) {
	all, err := s.ByReference(ctx, c, reference)
	if err != nil {
		return Detailed{}, err
	}
	if len(all) == 0 {
		return Detailed{}, fault.New(fault.NotFound, fault.CodeNoBooking)
	}
	d := all[0]
	at := Elsewhere{c, d.Place}
	switch {
	case d.Place.Site != site:
		return Detailed{}, fault.New(fault.Conflict, fault.CodeBookingElsewhere).With(at)
	case d.Status != Active:
		return Detailed{}, fault.New(fault.Conflict, fault.CodeBookingCancelled)
	case civil.Of(d.Place.StartsAt, c.Location) != civil.Of(s.clock.Now(), c.Location):
		return Detailed{}, fault.New(fault.Conflict, fault.CodeBookingOtherDay).With(at)
	}
	return s.attend(ctx, c, d, Arrived, "")
}

// Attend notes who came, or takes back what was noted: then, or where one replaces the other, a reason is needed. It
// refuses with no_booking, booking_cancelled, booking_other_day before the day of an arrival (with Elsewhere),
// slot_not_over for a no-show before the slot has ended (with until when), and attendance_differs where the reason is missing.
func (s *Service) Attend(ctx context.Context, c *campaign.Campaign, id uuid.UUID, want Attendance, reason string) (Detailed, error) {
	b, err := s.load(ctx, c.ID, id)
	if err != nil {
		return Detailed{}, err
	}
	d, err := s.detail(c, b)
	if err != nil {
		return Detailed{}, err
	}
	now := s.clock.Now()
	switch {
	case b.Status == Superseded:
		return Detailed{}, fault.New(fault.NotFound, fault.CodeNoBooking)
	case b.Status != Active:
		return Detailed{}, fault.New(fault.Conflict, fault.CodeBookingCancelled)
	case want == NoShow && now.Before(d.Place.EndsAt):
		return Detailed{}, fault.New(fault.Conflict, fault.CodeSlotNotOver).After(d.Place.EndsAt.Sub(now))
	case want == Arrived && civil.Of(now, c.Location).Before(civil.Of(d.Place.StartsAt, c.Location)):
		return Detailed{}, fault.New(fault.Conflict, fault.CodeBookingOtherDay).With(Elsewhere{c, d.Place})
	}
	return s.attend(ctx, c, d, want, strings.TrimSpace(reason))
}

// attend writes what is noted about an active booking. Of two at once one finds what the other wrote: the row stays locked.
// It takes no slot's lock: what a slot counts doesn't change.
func (s *Service) attend(ctx context.Context, c *campaign.Campaign, d Detailed, want Attendance, reason string) (Detailed, error) {
	err := postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		b, err := one(tx.QueryRow(ctx, `
			SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND booking_id = $2 AND status = 'active' FOR UPDATE`, c.ID, d.ID))
		if err != nil {
			return err
		}
		d.Booking = b
		if b.Attendance == want {
			return nil
		}
		if b.Attended() && reason == "" {
			return fault.New(fault.Conflict, fault.CodeAttendanceDiffers)
		}
		if err := tx.QueryRow(ctx, `
			UPDATE bookings SET attendance = nullif($3, ''), attended_at = CASE WHEN $3 <> '' THEN now() END
			WHERE campaign_id = $1 AND booking_id = $2 RETURNING coalesce(attended_at, 'epoch')`, c.ID, d.ID, want).Scan(&d.AttendedAt); err != nil {
			return postgres.Unreachable(fmt.Errorf("noting who came: %w", err))
		}
		if want == Expected {
			d.AttendedAt = b.EndedAt // zero, as it is of every active booking
		}
		d.Attendance = want
		count := func(a Attendance) int {
			if a == want {
				return 1
			}
			if a == b.Attendance {
				return -1
			}
			return 0
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO attendance_counts AS a (campaign_id, day, site_id, wave_id, arrived, no_show)
			VALUES ($1, $2, $3, $4, greatest($5, 0), greatest($6, 0))
			ON CONFLICT (campaign_id, day, site_id, wave_id) DO UPDATE SET arrived = a.arrived + $5, no_show = a.no_show + $6`,
			c.ID, civil.Of(d.Place.StartsAt, c.Location).String(), d.Place.Site, b.Wave, count(Arrived), count(NoShow)); err != nil {
			return postgres.Unreachable(fmt.Errorf("counting who came: %w", err))
		}
		act := "booking.attendance_undo"
		switch want {
		case Arrived:
			act = "booking.arrive"
		case NoShow:
			act = "booking.no_show"
		case Expected:
		}
		return s.audit.Append(ctx, tx, audit.Entry{
			Act: act, Subject: c.ID + "/booking/" + d.ID.String(), Person: b.Person, Reason: reason,
			Details: map[string]any{"site": d.Place.Site, "before": orExpected(b.Attendance)},
		})
	})
	return d, err
}

func orExpected(a Attendance) string {
	if a == Expected {
		return "expected"
	}
	return string(a)
}
