package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"jari/internal/campaign"
	"jari/internal/fault"
	"jari/internal/staff"
)

// publishable is what an administrator's document came to: the report, and the document if it can be published.
type publishable struct {
	ok       bool
	report   CampaignCheck
	document campaign.Document
}

// check reads a document of the API like a file of the command line and runs the same check.
func (s *Server) check(ctx context.Context, id string, body CampaignDocument) (p publishable, err error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return p, fmt.Errorf("encoding a document: %w", err)
	}
	if body.Campaign != id {
		return p, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/campaign", "must be the campaign of the path")
	}
	d, report, err := s.Campaigns.Check(ctx, bytes.NewReader(raw))
	if err != nil {
		return p, err
	}
	p.ok, p.document = report.Publishable(), d
	if raw, err = json.Marshal(report); err != nil {
		return p, fmt.Errorf("encoding a report: %w", err)
	}
	if err := json.Unmarshal(raw, &p.report); err != nil {
		return p, fmt.Errorf("encoding a report: %w", err)
	}
	p.report.Publishable = p.ok
	return p, nil
}

// CheckCampaign answers POST /admin/v1/campaigns/{campaign}/check.
func (s *Server) CheckCampaign(ctx context.Context, r CheckCampaignRequestObject) (CheckCampaignResponseObject, error) {
	p, err := s.check(ctx, r.Campaign, *r.Body)
	if err != nil {
		return nil, err
	}
	return CheckCampaign200JSONResponse(p.report), nil
}

// ListVersions answers GET /admin/v1/campaigns/{campaign}/versions.
func (s *Server) ListVersions(ctx context.Context, r ListVersionsRequestObject) (ListVersionsResponseObject, error) {
	versions, err := s.Campaigns.Versions(ctx, r.Campaign)
	if err != nil {
		return nil, err
	}
	list := VersionList{Versions: []Version{}}
	for _, v := range versions {
		list.Versions = append(list.Versions, s.version(r.Campaign, v))
	}
	return ListVersions200JSONResponse(list), nil
}

// PublishVersion answers POST /admin/v1/campaigns/{campaign}/versions.
func (s *Server) PublishVersion(ctx context.Context, r PublishVersionRequestObject) (PublishVersionResponseObject, error) {
	p, err := s.check(ctx, r.Campaign, r.Body.Document)
	if err != nil {
		return nil, err
	}
	if !p.ok {
		return nil, fault.New(fault.Conflict, fault.CodeNotPublishable).With(p.report)
	}
	publication := campaign.Publication{Document: p.document, After: r.Body.AfterVersion, By: keyOf(ctx).ID}
	if r.Body.EffectiveAt != nil {
		publication.EffectiveAt = *r.Body.EffectiveAt
	}
	v, published, err := s.publish(ctx, publication)
	switch {
	case err != nil:
		return nil, err
	case published:
		return PublishVersion201JSONResponse(v), nil
	default:
		return PublishVersion200JSONResponse(v), nil
	}
}

// RollbackVersion answers POST /admin/v1/campaigns/{campaign}/versions/{version}/rollback.
func (s *Server) RollbackVersion(ctx context.Context, r RollbackVersionRequestObject) (RollbackVersionResponseObject, error) {
	d, err := s.Campaigns.DocumentOf(ctx, r.Campaign, r.Version)
	if err != nil {
		return nil, err
	}
	publication := campaign.Publication{Document: d, By: keyOf(ctx).ID, RollbackOf: r.Version}
	if r.Body != nil && r.Body.EffectiveAt != nil {
		publication.EffectiveAt = *r.Body.EffectiveAt
	}
	v, published, err := s.publish(ctx, publication)
	switch {
	case err != nil:
		return nil, err
	case published:
		return RollbackVersion201JSONResponse(v), nil
	default:
		return RollbackVersion200JSONResponse(v), nil
	}
}

func (s *Server) publish(ctx context.Context, p campaign.Publication) (Version, bool, error) {
	v, published, err := s.Campaigns.Publish(ctx, p)
	if err != nil {
		return Version{}, false, err
	}
	if published {
		s.Log.Info("published", "campaign", p.Document.ID, "version", v.Number, "effective_at", v.EffectiveAt, "key", p.By)
	}
	return s.version(p.Document.ID, v), published, nil
}

func (s *Server) version(id string, v campaign.Version) Version {
	out := Version{
		Version: v.Number, EffectiveAt: v.EffectiveAt.UTC(), PublishedAt: s.shown(v.PublishedAt).UTC(),
		PublishedBy: v.PublishedBy, InEffect: s.Campaigns.InEffect(id) == v.Number,
	}
	if v.RollbackOf != 0 {
		out.RollbackOf = &v.RollbackOf
	}
	return out
}

// keyOf returns the key that the guard let through.
func keyOf(ctx context.Context) staff.Key {
	a, _ := ctx.Value(askingKey{}).(asking)
	return a.key
}
