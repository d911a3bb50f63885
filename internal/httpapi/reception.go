package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"jari/internal/audit"
	"jari/internal/booking"
	"jari/internal/campaign"
	"jari/internal/fault"
	"jari/internal/identity"
	"jari/internal/sheet"
	"jari/internal/staff"
)

// siteOf is the one site that the key of a request is for, or "" where it is for all. A key of another campaign is
// refused with other_site.
func siteOf(ctx context.Context, campaignID string) (string, error) {
	key := keyOf(ctx)
	if key.Role != staff.Clinic {
		return "", nil
	}
	if key.Campaign != campaignID {
		return "", fault.New(fault.Forbidden, fault.CodeOtherSite)
	}
	return key.Site, nil
}

// atSite returns the campaign of a path at whose site something is asked, or refuses with other_site a clinic's key that is
// for another.
func (s *Server) atSite(ctx context.Context, campaignID, site string) (*campaign.Campaign, error) {
	own, err := siteOf(ctx, campaignID)
	if err != nil {
		return nil, err
	}
	if own != "" && own != site {
		return nil, fault.New(fault.Forbidden, fault.CodeOtherSite)
	}
	return s.Campaigns.Get(campaignID)
}

// atBooking returns the booking of a path. Of another site's a clinic's key sees as little as of one that isn't there.
func (s *Server) atBooking(ctx context.Context, campaignID, id string) (*campaign.Campaign, booking.Detailed, error) {
	own, err := siteOf(ctx, campaignID)
	if err != nil {
		return nil, booking.Detailed{}, err
	}
	c, err := s.Campaigns.Get(campaignID)
	if err != nil {
		return nil, booking.Detailed{}, err
	}
	unknown := fault.New(fault.NotFound, fault.CodeNoBooking)
	parsed, err := uuid.Parse(id)
	if err != nil {
		return nil, booking.Detailed{}, unknown
	}
	b, err := s.Bookings.Find(ctx, campaignID, parsed)
	if err != nil {
		return nil, booking.Detailed{}, err
	}
	if (own != "" && b.Place.Site != own) || b.Status == booking.Superseded {
		return nil, booking.Detailed{}, unknown
	}
	return c, b, nil
}

// looked notes in the audit that somebody looks at people's data. Nothing is shown unless it returns nil.
func (s *Server) looked(ctx context.Context, act, subject string, person uuid.UUID, reason string, details map[string]any) error {
	return s.Audit.Record(ctx, audit.Entry{Act: act, Subject: subject, Person: person, Reason: strings.TrimSpace(reason), Details: details})
}

// SearchBookings answers POST /admin/v1/campaigns/{campaign}/bookings/search.
func (s *Server) SearchBookings(ctx context.Context, r SearchBookingsRequestObject) (SearchBookingsResponseObject, error) {
	own, err := siteOf(ctx, r.Campaign)
	if err != nil {
		return nil, err
	}
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	if (r.Body.Reference == nil) == (r.Body.Person == nil) {
		return nil, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/reference", "or person is needed: one of them")
	}
	var found []booking.Detailed
	by := "reference"
	if r.Body.Reference != nil {
		found, err = s.Bookings.ByReference(ctx, c, *r.Body.Reference)
	} else {
		by = "person"
		found, err = s.byPeople(ctx, c, *r.Body.Person)
	}
	if err != nil {
		return nil, err
	}
	here := found[:0]
	for _, b := range found {
		if own == "" || b.Place.Site == own {
			here = append(here, b)
		}
	}
	// Whose data is shown is in the entry: as its person, or among its details where they are several.
	var whose []string
	var person uuid.UUID
	for _, b := range here {
		if id := b.Person.String(); !slices.Contains(whose, id) {
			whose, person = append(whose, id), b.Person
		}
	}
	details := map[string]any{"by": by, "found": len(here)}
	if len(whose) > 1 {
		person, details["people"] = uuid.Nil, whose
	}
	if err := s.looked(ctx, "booking.search", c.ID, person, r.Body.Reason, details); err != nil {
		return nil, err
	}
	shown, err := s.staffBookings(ctx, c, here)
	return SearchBookings200JSONResponse{Bookings: shown}, err
}

func (s *Server) byPeople(ctx context.Context, c *campaign.Campaign, p PersonSearch) ([]booking.Detailed, error) {
	people, err := s.Identity.Find(ctx, search(p))
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(people))
	for i, p := range people {
		ids[i] = p.ID
	}
	return s.Bookings.ByPeople(ctx, c, ids)
}

func search(p PersonSearch) identity.Search {
	q := identity.Search{Name: orElse(p.Name, ""), Phone: orElse(p.Phone, ""), NationalID: orElse(p.NationalId, ""), Number: orElse(p.Number, "")}
	if p.BirthDate != nil {
		q.BirthDate = *p.BirthDate
	}
	return q
}

// LookAtBooking answers POST /admin/v1/campaigns/{campaign}/bookings/{booking}/look.
func (s *Server) LookAtBooking(ctx context.Context, r LookAtBookingRequestObject) (LookAtBookingResponseObject, error) {
	c, b, err := s.atBooking(ctx, r.Campaign, r.Booking)
	if err != nil {
		return nil, err
	}
	p, err := s.Identity.Known(ctx, b.Person)
	if err != nil {
		return nil, err
	}
	if err := s.looked(ctx, "booking.look", c.ID+"/booking/"+b.ID.String(), b.Person, r.Body.Reason, nil); err != nil {
		return nil, err
	}
	return LookAtBooking200JSONResponse{Booking: s.staffBooking(c, b, p), Person: s.openPerson(p)}, nil
}

// SetAttendance answers PUT /admin/v1/campaigns/{campaign}/bookings/{booking}/attendance.
func (s *Server) SetAttendance(ctx context.Context, r SetAttendanceRequestObject) (SetAttendanceResponseObject, error) {
	c, b, err := s.atBooking(ctx, r.Campaign, r.Booking)
	if err != nil {
		return nil, err
	}
	want := booking.Attendance(r.Body.Attendance)
	if r.Body.Attendance == AttendanceExpected {
		want = booking.Expected
	}
	if b, err = s.Bookings.Attend(ctx, c, b.ID, want, orElse(r.Body.Reason, "")); err != nil {
		return nil, err
	}
	shown, err := s.staffBookings(ctx, c, []booking.Detailed{b})
	if err != nil {
		return nil, err
	}
	return SetAttendance200JSONResponse(shown[0]), nil
}

// RecordArrival answers POST /admin/v1/campaigns/{campaign}/sites/{site}/arrivals.
func (s *Server) RecordArrival(ctx context.Context, r RecordArrivalRequestObject) (RecordArrivalResponseObject, error) {
	c, err := s.atSite(ctx, r.Campaign, r.Site)
	if err != nil {
		return nil, err
	}
	b, err := s.Bookings.Arrive(ctx, c, r.Site, r.Body.Reference)
	if err != nil {
		return nil, err
	}
	shown, err := s.staffBookings(ctx, c, []booking.Detailed{b})
	if err != nil {
		return nil, err
	}
	return RecordArrival200JSONResponse(shown[0]), nil
}

// ListDayBookings answers GET /admin/v1/campaigns/{campaign}/sites/{site}/days/{date}/bookings.
func (s *Server) ListDayBookings(ctx context.Context, r ListDayBookingsRequestObject) (ListDayBookingsResponseObject, error) {
	c, err := s.atSite(ctx, r.Campaign, r.Site)
	if err != nil {
		return nil, err
	}
	after, err := booking.ParseMark(orElse(r.Params.After, ""))
	if err != nil {
		return nil, err
	}
	most := orElse(r.Params.Limit, 100)
	page, err := s.Bookings.Day(ctx, c, r.Site, r.Date, after, most)
	if err != nil {
		return nil, err
	}
	if err := s.looked(ctx, "booking.list_day", c.ID+"/site/"+r.Site, uuid.Nil, "", map[string]any{
		"day": r.Date.String(), "shown": len(page),
	}); err != nil {
		return nil, err
	}
	shown, err := s.staffBookings(ctx, c, page)
	if err != nil {
		return nil, err
	}
	list := ListDayBookings200JSONResponse{Bookings: shown}
	if len(page) == most {
		list.Next = unlessZero(mark(page).String())
	}
	return list, nil
}

// mark is how far a page has come.
func mark(page []booking.Detailed) booking.Mark {
	last := page[len(page)-1]
	return booking.Mark{StartsAt: last.Place.StartsAt, Booking: last.ID}
}

// ExportDayBookings answers POST /admin/v1/campaigns/{campaign}/sites/{site}/days/{date}/export.
func (s *Server) ExportDayBookings(ctx context.Context, r ExportDayBookingsRequestObject) (ExportDayBookingsResponseObject, error) {
	c, err := s.atSite(ctx, r.Campaign, r.Site)
	if err != nil {
		return nil, err
	}
	e := dayExport{s: s, ctx: ctx, campaign: c, of: r}
	// The first page before the file begins: what can't be done is said in words, not in half a file.
	if e.first, err = s.Bookings.Day(ctx, c, r.Site, r.Date, booking.Mark{}, booking.MaxListed); err != nil {
		return nil, err
	}
	return e, s.looked(ctx, "booking.export_day", c.ID+"/site/"+r.Site, uuid.Nil, r.Body.Reason, map[string]any{
		"day": r.Date.String(), "format": string(r.Body.Format),
	})
}

// dayExport is the day's list of a site as a file.
type dayExport struct {
	s        *Server
	ctx      context.Context //nolint:containedctx // the answer is written while the request lasts
	campaign *campaign.Campaign
	of       ExportDayBookingsRequestObject
	first    []booking.Detailed
}

var exportHeadings = map[string][]string{
	"ko": {"시작", "끝", "예약번호", "이름", "생년월일", "전화번호", "차수", "방문"},
	"en": {"from", "to", "reference", "name", "birth_date", "phone", "wave", "attendance"},
}

// VisitExportDayBookingsResponse writes the file.
func (e dayExport) VisitExportDayBookingsResponse(w http.ResponseWriter) error {
	name := fmt.Sprintf("%s-%s-%s.%s", e.campaign.ID, e.of.Site, e.of.Date, e.of.Body.Format)
	begin := func(media string) {
		w.Header().Set("Content-Type", media)
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
		w.WriteHeader(http.StatusOK)
	}
	heading := exportHeadings[languageIn(e.ctx)]
	if e.of.Body.Format == DayExportFormatXlsx {
		table, err := sheet.NewXLSX(heading...)
		if err != nil {
			return err
		}
		defer func() { _ = table.Close() }() // what was written was written
		err = e.rows(table.Row, func() error { return nil })
		if errors.Is(err, sheet.ErrTooLong) {
			return fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/format", "must be csv for a list as long as this")
		}
		if err != nil {
			return err
		}
		begin(sheet.MediaXLSX)
		_, err = table.WriteTo(w)
		return cutOff(err)
	}
	begin(sheet.MediaCSV)
	table, err := sheet.NewCSV(w, heading...)
	if err == nil {
		err = e.rows(table.Row, table.Flush)
	}
	return cutOff(err)
}

// cutOff ends an answer that broke off without its end, so that nobody takes what came for the whole.
func cutOff(err error) error {
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// rows writes the list page by page.
func (e dayExport) rows(row func(...any) error, flush func() error) error {
	for page := e.first; ; {
		ids := make([]uuid.UUID, len(page))
		for i, b := range page {
			ids[i] = b.Person
		}
		people, err := e.s.Identity.People(e.ctx, ids)
		if err != nil {
			return err
		}
		for _, b := range page {
			p := people[b.Person]
			born := ""
			if !p.BirthDate.IsZero() {
				born = p.BirthDate.String()
			}
			if err := row(
				b.Place.StartsAt.In(e.campaign.Location).Format("15:04"), b.Place.EndsAt.In(e.campaign.Location).Format("15:04"),
				b.Reference, p.Name, born, e.s.Identity.NationalPhone(p.Phone), b.Wave, string(attendance(b.Attendance)),
			); err != nil {
				return err
			}
		}
		if err := flush(); err != nil {
			return err
		}
		if len(page) < booking.MaxListed {
			return nil
		}
		if page, err = e.s.Bookings.Day(e.ctx, e.campaign, e.of.Site, e.of.Date, mark(page), booking.MaxListed); err != nil {
			return err
		}
	}
}

// staffBookings shows bookings with as much of their people as they are recognised by.
func (s *Server) staffBookings(ctx context.Context, c *campaign.Campaign, list []booking.Detailed) ([]StaffBooking, error) {
	ids := make([]uuid.UUID, len(list))
	for i, b := range list {
		ids[i] = b.Person
	}
	people, err := s.Identity.People(ctx, ids)
	if err != nil {
		return nil, err
	}
	shown := make([]StaffBooking, len(list))
	for i, b := range list {
		shown[i] = s.staffBooking(c, b, people[b.Person])
	}
	return shown, nil
}

func (s *Server) staffBooking(c *campaign.Campaign, b booking.Detailed, p identity.Person) StaffBooking {
	p.ID = b.Person
	out := StaffBooking{
		BookingId: b.ID.String(), Reference: b.Reference, Status: StaffBookingStatus(b.Status), Slot: place2(c, b.Place),
		WaveId: b.Wave, BookedAt: s.shown(b.CreatedAt).In(c.Location), Attendance: attendance(b.Attendance), Person: maskedPerson(p),
	}
	if b.Status == booking.Cancelled {
		at := s.shown(b.EndedAt).In(c.Location)
		out.CancelledAt = &at
	}
	if b.Attended() {
		at := s.shown(b.AttendedAt).In(c.Location)
		out.AttendedAt = &at
	}
	return out
}

func attendance(a booking.Attendance) Attendance {
	if a == booking.Expected {
		return AttendanceExpected
	}
	return Attendance(a)
}

func maskedPerson(p identity.Person) MaskedPerson {
	out := MaskedPerson{PersonId: p.ID.String(), Phone: unlessZero(identity.MaskPhone(p.Phone))}
	if p.Name != "" {
		out.Name, out.BirthYear = unlessZero(identity.MaskName(p.Name)), &p.BirthDate.Year
	}
	return out
}

func (s *Server) openPerson(p identity.Person) OpenPerson {
	return OpenPerson{
		PersonId: p.ID.String(), Name: p.Name, BirthDate: p.BirthDate, Phone: unlessZero(s.Identity.NationalPhone(p.Phone)),
		Language: OpenPersonLanguage(p.Language),
	}
}
