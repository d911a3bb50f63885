package httpapi

import (
	"fmt"

	ics "github.com/arran4/golang-ical"

	"jari/internal/booking"
	"jari/internal/campaign"
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
