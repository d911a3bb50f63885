package booking

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// MaxListed bounds a page of a list.
const MaxListed = 500

// maxCancelled is how many of a person's cancelled bookings a search shows: the newest.
const maxCancelled = 3

// Mark is how far a list has come: after the booking of an id in a slot that starts at an instant.
type Mark struct {
	StartsAt time.Time
	Booking  uuid.UUID
}

// String writes a mark for a client, who hands it back for the next page.
func (m Mark) String() string {
	return strconv.FormatInt(m.StartsAt.Unix(), 36) + "." + strings.ReplaceAll(m.Booking.String(), "-", "")
}

// ParseMark reads what String wrote; an empty text is where a list begins.
func ParseMark(text string) (Mark, error) {
	if text == "" {
		return Mark{StartsAt: time.Unix(0, 0)}, nil
	}
	at, id, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(at, 36, 64)
	parsed, errID := uuid.Parse(id)
	if err != nil || errID != nil || seconds < 0 || seconds > 1<<40 {
		return Mark{}, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("after", "isn't what an answer had as next")
	}
	return Mark{StartsAt: time.Unix(seconds, 0), Booking: parsed}, nil
}

// Day returns the active bookings of a site on a day, by their slots' start, from after a mark on, at most MaxListed of
// them. What it costs depends on that day alone. It refuses with site_not_found.
func (s *Service) Day(ctx context.Context, c *campaign.Campaign, site string, day civil.Date, after Mark, most int) ([]Detailed, error) {
	sites, err := s.campaigns.Sites(c.ID)
	if err != nil {
		return nil, err
	}
	if _, known := sites.Get(site); !known {
		return nil, fault.New(fault.NotFound, fault.CodeSiteNotFound)
	}
	return s.list(ctx, c, `
		SELECT `+columns+` FROM (
			SELECT slot_id AS at, starts_at FROM slots WHERE campaign_id = $1 AND site_id = $2 AND starts_at >= $3 AND starts_at < $4
		) s JOIN bookings ON slot_id = at AND status = 'active'
		WHERE (starts_at, booking_id) > ($5, $6) ORDER BY starts_at, booking_id LIMIT $7`,
		c.ID, site, civil.Midnight(day, c.Location), civil.Midnight(civil.AddDays(day, 1), c.Location),
		after.StartsAt, after.Booking, min(max(most, 1), MaxListed))
}

// ByReference returns the booking of a reference, however it is typed: the active one, or else the one that was cancelled
// last. There is at most one.
func (s *Service) ByReference(ctx context.Context, c *campaign.Campaign, reference string) ([]Detailed, error) {
	reference, ok := NormaliseReference(reference)
	if !ok {
		return nil, nil
	}
	return s.list(ctx, c, `
		SELECT * FROM (
			SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND reference = $2 AND status = 'active'
			UNION ALL
			(SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND reference = $2 AND status = 'cancelled'
			ORDER BY created_at DESC LIMIT 1)
		) found ORDER BY status = 'active' DESC LIMIT 1`, c.ID, reference)
}

// ByPeople returns the bookings of some people in a campaign: those that are active, and of each the last few that were
// cancelled.
func (s *Service) ByPeople(ctx context.Context, c *campaign.Campaign, people []uuid.UUID) ([]Detailed, error) {
	if len(people) == 0 {
		return nil, nil
	}
	return s.list(ctx, c, `
		SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND person_id = ANY($2) AND status = 'active'
		UNION ALL
		SELECT x.* FROM unnest($2::uuid[]) AS p(id) CROSS JOIN LATERAL (
			SELECT `+columns+` FROM bookings WHERE campaign_id = $1 AND person_id = p.id AND status = 'cancelled'
			ORDER BY created_at DESC LIMIT $3) x`, c.ID, postgres.UUIDs(people), maxCancelled)
}

func (s *Service) list(ctx context.Context, c *campaign.Campaign, query string, arguments ...any) ([]Detailed, error) {
	rows, err := s.pool.Query(ctx, query, arguments...)
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("listing bookings: %w", err))
	}
	bookings, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (Booking, error) {
		b, _, err := scanBooking(r)
		return b, err
	})
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("listing bookings: %w", err))
	}
	list := make([]Detailed, len(bookings))
	for i, b := range bookings {
		if list[i], err = s.detail(c, b); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// NormaliseReference brings a reference into the one spelling that it is kept in: whoever reads it out leaves dashes out,
// and takes letters for digits that look or sound like them. It isn't ok where it can't be one.
func NormaliseReference(text string) (reference string, ok bool) {
	var b strings.Builder
	for _, r := range strings.ToUpper(text) {
		switch {
		case r == '-' || unicode.IsSpace(r):
			continue
		case r == 'O':
			r = '0'
		case r == 'I' || r == 'L':
			r = '1'
		}
		if !strings.ContainsRune(referenceAlphabet, r) || b.Len() >= 14 {
			return "", false
		}
		if n := b.Len(); n == 4 || n == 9 {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return b.String(), b.Len() == 14
}
