package httpapi

import "context"

// ImportSites answers POST /admin/v1/campaigns/{campaign}/sites/import.
func (s *Server) ImportSites(ctx context.Context, r ImportSitesRequestObject) (ImportSitesResponseObject, error) {
	file, err := s.file(ctx, r.Body, r.MultipartBody)
	if err != nil {
		return nil, err
	}
	p, err := s.Campaigns.ImportSites(ctx, s.Plans, keyOf(ctx), r.Campaign, file)
	if err != nil {
		return nil, err
	}
	return ImportSites201JSONResponse(s.plan(p)), nil
}
