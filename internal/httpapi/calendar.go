package httpapi

import (
	"context"
	"fmt"
	"slices"
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
	title, place, number := c.Title.Ko, b.Site.Name, "예약번호"
	if language == "en" {
		title, number = c.Title.En, "Reference"
		if b.Site.NameEn != "" {
			place = b.Site.NameEn
		}
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
	event.SetSummary(title + " — " + place)
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
	var times []attending
	for day := range orElse(r.Params.Days, 31) {
		// Day by day, so that no list of slots is so long that it is cut.
		from, to := civil.Midnight(civil.AddDays(first, day), c.Location), civil.Midnight(civil.AddDays(first, day+1), c.Location)
		list, err := s.Slots.Stock(ctx, c.ID, x.ID, from, to)
		if err != nil {
			return nil, err
		}
		times = append(times, attendings(list)...)
	}
	file := siteCalendar(c, x, times, s.shown(s.Clock.Real()), languageIn(ctx))
	return GetSiteCalendar200TextcalendarResponse{Body: strings.NewReader(file), ContentLength: int64(len(file))}, nil
}

// attending is how many come at a time, over all slots of it: a site may keep some for a cohort.
type attending struct {
	from, to         time.Time
	booked, capacity int
}

// attendings are the times of slots, by start, for which somebody has booked.
func attendings(list []slot.Stock) (times []attending) {
	type span struct{ from, to int64 }
	at := map[span]int{}
	for _, x := range list {
		when := span{x.StartsAt.Unix(), x.EndsAt.Unix()}
		i, known := at[when]
		if !known {
			i = len(times)
			at[when] = i
			times = append(times, attending{from: x.StartsAt, to: x.EndsAt})
		}
		times[i].booked += x.Booked
		times[i].capacity += x.Capacity
	}
	return slices.DeleteFunc(times, func(x attending) bool { return x.booked == 0 })
}

// siteCalendar writes how many come to a site, as a calendar that is read again and again. UIDs are of the time alone, so that
// an entry is replaced when more come.
func siteCalendar(c *campaign.Campaign, site campaign.Site, times []attending, now time.Time, language string) string {
	title, place, of := c.Title.Ko, site.Name, "예약 %d / 정원 %d"
	if language == "en" {
		title, of = c.Title.En, "%d booked of %d"
		if site.NameEn != "" {
			place = site.NameEn
		}
	}
	file := ics.NewCalendarFor("Jari")
	file.SetMethod(ics.MethodPublish)
	file.SetXWRCalName(title + " — " + place)
	file.SetRefreshInterval("PT15M")
	for _, x := range times {
		event := file.AddEvent(fmt.Sprintf("%d-%d.%s.%s@jari", x.from.Unix(), x.to.Unix(), site.ID, c.ID))
		event.SetDtStampTime(now)
		event.SetStartAt(x.from)
		event.SetEndAt(x.to)
		event.SetSummary(fmt.Sprintf(of, x.booked, x.capacity))
		event.SetLocation(site.Address)
	}
	return file.Serialize(ics.WithNewLineWindows)
}
