package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"jari/internal/slot"
)

// document is a public answer that was encoded before it was asked for.
type document struct {
	slot.Document
	cacheControl string
	ifNoneMatch  *string
}

func (d document) write(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Cache-Control", d.cacheControl)
	h.Set("ETag", d.ETag)
	if d.ifNoneMatch != nil && matches(*d.ifNoneMatch, d.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(d.Body)))
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(d.Body)
	return err
}

// matches compares as RFC 9110 says for If-None-Match: weakly, against a list or *.
func matches(header, etag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}

// VisitListSitesResponse writes the answer.
func (d document) VisitListSitesResponse(w http.ResponseWriter) error { return d.write(w) }

// VisitGetRegionDayResponse writes the answer.
func (d document) VisitGetRegionDayResponse(w http.ResponseWriter) error { return d.write(w) }

// VisitGetSiteSlotsResponse writes the answer.
func (d document) VisitGetSiteSlotsResponse(w http.ResponseWriter) error { return d.write(w) }

// ListSites answers GET /v1/campaigns/{campaign}/regions/{region}/sites.
func (s *Server) ListSites(_ context.Context, r ListSitesRequestObject) (ListSitesResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	d, err := s.Slots.RegionSites(c, r.Region)
	if err != nil {
		return nil, err
	}
	return document{d, long, r.Params.IfNoneMatch}, nil
}

// GetRegionDay answers GET /v1/campaigns/{campaign}/regions/{region}/days/{date}.
func (s *Server) GetRegionDay(ctx context.Context, r GetRegionDayRequestObject) (GetRegionDayResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	d, err := s.Slots.RegionDay(ctx, c, r.Region, r.Date)
	if err != nil {
		return nil, err
	}
	return document{d, shortly, r.Params.IfNoneMatch}, nil
}

// GetSiteSlots answers GET /v1/campaigns/{campaign}/sites/{site}/slots.
func (s *Server) GetSiteSlots(ctx context.Context, r GetSiteSlotsRequestObject) (GetSiteSlotsResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	d, err := s.Slots.SiteSlots(ctx, c, r.Site)
	if err != nil {
		return nil, err
	}
	return document{d, shortly, r.Params.IfNoneMatch}, nil
}
