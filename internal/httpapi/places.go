package httpapi

import (
	"context"
	"net/http"
	"net/url"

	"jari/internal/slot"
)

// document is a public answer that was encoded before it was asked for.
type document struct {
	*slot.Document
	cacheControl []string
	asked        asked
}

// documentFor is a document as the request of a context asks for it.
func documentFor(ctx context.Context, d *slot.Document, cacheControl []string) document {
	a, _ := ctx.Value(askedKey{}).(asked)
	return document{d, cacheControl, a}
}

func (d document) write(w http.ResponseWriter) error {
	return d.asked.answer(w, d.Document, d.cacheControl)
}

// VisitListSitesResponse writes the answer.
func (d document) VisitListSitesResponse(w http.ResponseWriter) error { return d.write(w) }

// VisitListSitesByHashResponse writes the answer.
func (d document) VisitListSitesByHashResponse(w http.ResponseWriter) error { return d.write(w) }

// VisitGetRegionDayResponse writes the answer.
func (d document) VisitGetRegionDayResponse(w http.ResponseWriter) error { return d.write(w) }

// VisitGetSiteSlotsResponse writes the answer.
func (d document) VisitGetSiteSlotsResponse(w http.ResponseWriter) error { return d.write(w) }

// ListSites answers GET /v1/campaigns/{campaign}/regions/{region}/sites.
func (s *Server) ListSites(ctx context.Context, r ListSitesRequestObject) (ListSitesResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	d, err := s.Slots.RegionSites(c, r.Region)
	if err != nil {
		return nil, err
	}
	return documentFor(ctx, d, longHeader), nil
}

// ListSitesByHash answers GET /v1/campaigns/{campaign}/regions/{region}/sites/{hash}.
func (s *Server) ListSitesByHash(ctx context.Context, r ListSitesByHashRequestObject) (ListSitesByHashResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	d, err := s.Slots.RegionSites(c, r.Region)
	if err != nil {
		return nil, err
	}
	if d.Hash() != r.Hash {
		// A list of another time, or one that an instance has that knows more or less than this one.
		return ListSitesByHash307Response{ListSitesByHash307ResponseHeaders{
			Location: sitesPath(c.ID, r.Region, d.Hash()), CacheControl: noStoreHeader[0],
		}}, nil
	}
	return documentFor(ctx, d, foreverHeader), nil
}

// sitesPath is where the list of the sites of a region with this content is.
func sitesPath(campaign, region, hash string) string {
	return "/v1/campaigns/" + url.PathEscape(campaign) + "/regions/" + url.PathEscape(region) + "/sites/" + hash
}

// GetRegionDay answers GET /v1/campaigns/{campaign}/regions/{region}/days/{date}.
func (s *Server) GetRegionDay(ctx context.Context, r GetRegionDayRequestObject) (GetRegionDayResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	d, err := s.Slots.RegionDay(c, r.Region, r.Date)
	if err != nil {
		return nil, err
	}
	return documentFor(ctx, d, shortlyHeader), nil
}

// GetSiteSlots answers GET /v1/campaigns/{campaign}/sites/{site}/slots.
func (s *Server) GetSiteSlots(ctx context.Context, r GetSiteSlotsRequestObject) (GetSiteSlotsResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	d, err := s.Slots.SiteSlots(c, r.Site)
	if err != nil {
		return nil, err
	}
	return documentFor(ctx, d, shortlyHeader), nil
}
