package httpapi

import (
	"context"
	"fmt"
	"strings"
	"time"

	ics "github.com/arran4/golang-ical"

	"jari/internal/booking"
	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/slot"
)

// calendar writes a booking as a calendar file (RFC 5545). The UID is that of the first booking of a chain of moves, so
// that a calendar replaces the entry instead of adding one; SEQUENCE rises with each change.
func (s *Server) calendar(c *campaign.Campaign, b booking.Detailed, language string) string {
	number := "예약번호"
	if language == "en" {
		number = "Reference"
	}
	file := ics.NewCalendarFor("Jari")
	file.SetMethod(ics.MethodPublish)
	event := file.AddEvent(b.Series.String() + "@jari")
	event.SetSequence(b.Sequence)
	stamp := b.CreatedAt
	event.SetStatus(ics.ObjectStatusConfirmed)
	if b.Status == booking.Cancelled {
		file.SetMethod(ics.MethodCancel)
		event.SetStatus(ics.ObjectStatusCancelled)
		stamp = b.EndedAt
	}
	event.SetDtStampTime(s.shown(stamp))
	event.SetStartAt(b.Place.StartsAt)
	event.SetEndAt(b.Place.EndsAt)
	event.SetSummary(c.Title.In(language) + " — " + b.Site.NameIn(language))
	event.SetLocation(b.Site.Address)
	event.SetDescription(fmt.Sprintf("%s %s", number, b.Reference))
	if b.Site.Latitude != nil {
		event.SetGeo(*b.Site.Latitude, *b.Site.Longitude)
	}
	return file.Serialize(ics.WithNewLineWindows) // the standard's line ending, whatever this machine's is
}

// GetSiteCalendar answers GET /admin/v1/campaigns/{campaign}/sites/{site}/calendar.ics.
func (s *Server) GetSiteCalendar(ctx context.Context, r GetSiteCalendarRequestObject) (GetSiteCalendarResponseObject, error) {
	c, err := s.atSite(ctx, r.Campaign, r.Site)
	if err != nil {
		return nil, err
	}
	sites, err := s.Campaigns.Sites(c.ID)
	if err != nil {
		return nil, err
	}
	x, known := sites.Get(r.Site)
	if !known {
		return nil, fault.New(fault.NotFound, fault.CodeSiteNotFound)
	}
	now := s.Clock.Now()
	first := civil.Of(now, c.Location)
	if at := r.Params.From; at != nil {
		first = civil.Of(at.Time, time.UTC)
	}
	until := civil.AddDays(first, orElse(r.Params.Days, 31))
	times, err := s.Slots.Busy(ctx, c.ID, x.ID, civil.Midnight(first, c.Location), civil.Midnight(until, c.Location))
	if err != nil {
		return nil, err
	}
	file := siteCalendar(c, x, times, s.shown(s.Clock.Real()), languageIn(ctx))
	return GetSiteCalendar200TextcalendarResponse{Body: strings.NewReader(file), ContentLength: int64(len(file))}, nil
}

// siteCalendar writes how many come to a site, as a calendar that is read again and again. UIDs are of the time alone, so that
// an entry is replaced when more come.
func siteCalendar(c *campaign.Campaign, site campaign.Site, times []slot.Busy, now time.Time, language string) string {
	of := "예약 %d / 정원 %d"
	if language == "en" {
		of = "%d booked of %d"
	}
	file := ics.NewCalendarFor("Jari")
	file.SetMethod(ics.MethodPublish)
	file.SetXWRCalName(c.Title.In(language) + " — " + site.NameIn(language))
	file.SetRefreshInterval("PT15M")
	for _, x := range times {
		event := file.AddEvent(fmt.Sprintf("%d-%d.%s.%s@jari", x.StartsAt.Unix(), x.EndsAt.Unix(), site.ID, c.ID))
		event.SetDtStampTime(now)
		event.SetStartAt(x.StartsAt)
		event.SetEndAt(x.EndsAt)
		event.SetSummary(fmt.Sprintf(of, x.Booked, x.Capacity))
		event.SetLocation(site.Address)
	}
	return file.Serialize(ics.WithNewLineWindows)
}
