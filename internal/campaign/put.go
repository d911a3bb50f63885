package campaign

import (
	"context"
	"reflect"

	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// PutSite adds a site, or changes what is said of it, and returns it. It refuses with campaign_not_found or invalid_request.
// The same again changes nothing. reason is for the audit.
func (s *Service) PutSite(ctx context.Context, id string, site Site, reason string) (Site, error) {
	c, err := s.Newest(id)
	if err != nil {
		return Site{}, err
	}
	invalid := func(pointer, problem string) error {
		return fault.New(fault.Invalid, fault.CodeInvalidRequest).Field(pointer, problem)
	}
	switch {
	case !siteID.MatchString(site.ID):
		return Site{}, invalid("site", "must be small letters, digits and dashes")
	case !c.HasRegion(site.Region):
		return Site{}, invalid("/region", "isn't one of the campaign's")
	case (site.Latitude == nil) != (site.Longitude == nil):
		return Site{}, invalid("/latitude", "and longitude are given both, or neither")
	}
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := Lock(ctx, tx, id); err != nil {
			return err
		}
		known, err := sitesByID(ctx, tx, id)
		if err != nil {
			return err
		}
		was, there := known[site.ID]
		if there && reflect.DeepEqual(was, site) {
			return nil
		}
		if err := SaveSites(ctx, tx, id, []Site{site}); err != nil {
			return err
		}
		act, details := "site.create", map[string]any{"region": site.Region}
		if there {
			act, details = "site.change", map[string]any{"fields": difference(was, site)}
		}
		return s.audit.Append(ctx, tx, audit.Entry{Act: act, Subject: id + "/site/" + site.ID, Reason: reason, Details: details})
	})
	return site, err
}
