package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"jari/internal/booking"
	"jari/internal/civil"
	"jari/internal/sheet"
)

// GetReport answers GET /admin/v1/campaigns/{campaign}/report.
func (s *Server) GetReport(ctx context.Context, r GetReportRequestObject) (GetReportResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	q := booking.ReportQuery{By: booking.Grouping(orElse(r.Params.By, GetReportParamsByDay))}
	q.From = dayOr(r.Params.From, civil.Of(s.Clock.Now(), c.Location))
	q.To = dayOr(r.Params.To, q.From)
	lines, err := s.Bookings.Report(ctx, c, q)
	if err != nil {
		return nil, err
	}
	if orElse(r.Params.Format, GetReportParamsFormatJson) == GetReportParamsFormatCsv {
		return reportFile{by: q.By, lines: lines}, nil
	}
	after, most := orElse(r.Params.After, ""), orElse(r.Params.Limit, 100)
	first, _ := slices.BinarySearchFunc(lines, after, func(l booking.Line, key string) int {
		if l.Key <= key && after != "" {
			return -1
		}
		return 1
	})
	rest := lines[first:]
	out := GetReport200JSONResponse{
		By: ReportBy(q.By), FromDate: q.From, ToDate: q.To, AsOf: s.Clock.Now().In(c.Location), Lines: []ReportLine{},
	}
	if len(rest) > most {
		rest = rest[:most]
		out.Next = &rest[most-1].Key
	}
	for _, l := range rest {
		shown := ReportLine{Key: l.Key, Booked: l.Booked, Arrived: l.Arrived, NoShow: l.NoShow}
		if q.By != booking.ByWave {
			shown.Places, shown.Held, shown.Free = &l.Places, &l.Held, &l.Free
		}
		out.Lines = append(out.Lines, shown)
	}
	return out, nil
}

// dayOr is the day of a parameter, or the other where it was left out.
func dayOr(p *openapi_types.Date, other civil.Date) civil.Date {
	if p == nil {
		return other
	}
	return civil.Of(p.Time, time.UTC)
}

// reportFile is a report as a file: all of its lines.
type reportFile struct {
	by    booking.Grouping
	lines []booking.Line
}

// VisitGetReportResponse writes the file.
func (f reportFile) VisitGetReportResponse(w http.ResponseWriter) error {
	heading := []string{string(f.by), "places", "booked", "held", "free", "arrived", "no_show"}
	if f.by == booking.ByWave {
		heading = []string{string(f.by), "booked", "arrived", "no_show"}
	}
	var b strings.Builder
	table, err := sheet.NewCSV(&b, heading...)
	for _, l := range f.lines {
		row := []any{l.Key, l.Places, l.Booked, l.Held, l.Free, l.Arrived, l.NoShow}
		if f.by == booking.ByWave {
			row = []any{l.Key, l.Booked, l.Arrived, l.NoShow}
		}
		if err == nil {
			err = table.Row(row...)
		}
	}
	if err == nil {
		err = table.Flush()
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", sheet.MediaCSV)
	w.WriteHeader(http.StatusOK)
	_, err = w.Write([]byte(b.String()))
	return err
}
