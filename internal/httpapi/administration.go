package httpapi

import (
	"context"
	"encoding/json"
	"fmt"

	"jari/internal/campaign"
	"jari/internal/fault"
	"jari/internal/slot"
	"jari/internal/staff"
)

// check reads a document of the API like a file of the command line, and runs the same check.
func (s *Server) check(id string, body CampaignDocument) (report campaign.CheckReport, shown CampaignCheck, err error) {
	if body.Campaign != id {
		return report, shown, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/campaign", "must be the campaign of the path")
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return report, shown, fmt.Errorf("encoding a document: %w", err)
	}
	report = s.Campaigns.Check(raw)
	if raw, err = json.Marshal(report); err == nil {
		err = json.Unmarshal(raw, &shown)
	}
	if err != nil {
		return report, shown, fmt.Errorf("encoding a report: %w", err)
	}
	return report, shown, nil
}

// CheckCampaign answers POST /admin/v1/campaigns/{campaign}/check.
func (s *Server) CheckCampaign(_ context.Context, r CheckCampaignRequestObject) (CheckCampaignResponseObject, error) {
	_, shown, err := s.check(r.Campaign, *r.Body)
	if err != nil {
		return nil, err
	}
	return CheckCampaign200JSONResponse(shown), nil
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
	report, shown, err := s.check(r.Campaign, r.Body.Document)
	if err != nil {
		return nil, err
	}
	if !report.Publishable {
		return nil, fault.New(fault.Conflict, fault.CodeNotPublishable).With(shown)
	}
	publication := campaign.Publication{
		Document: report.Compiled.Document, After: r.Body.AfterVersion, By: keyOf(ctx).ID, Reason: orElse(r.Body.OverrideFreeze, ""),
	}
	if r.Body.EffectiveAt != nil {
		publication.EffectiveAt = *r.Body.EffectiveAt
	}
	v, published, err := s.publish(ctx, publication, act{does: report.Does(), request: r.Body, override: r.Body.OverrideFreeze})
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
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding a document: %w", err)
	}
	report := s.Campaigns.Check(raw)
	a := act{does: report.Does(), request: map[string]any{"rollback_to": r.Version, "with": r.Body}}
	publication := campaign.Publication{Document: d, By: keyOf(ctx).ID, RollbackOf: r.Version}
	if r.Body != nil {
		if r.Body.EffectiveAt != nil {
			publication.EffectiveAt = *r.Body.EffectiveAt
		}
		a.override, publication.Reason = r.Body.OverrideFreeze, orElse(r.Body.OverrideFreeze, "")
	}
	v, published, err := s.publish(ctx, publication, a)
	switch {
	case err != nil:
		return nil, err
	case published:
		return RollbackVersion201JSONResponse(v), nil
	default:
		return RollbackVersion200JSONResponse(v), nil
	}
}

// ChangeSlot answers PATCH /admin/v1/campaigns/{campaign}/slots/{slot}.
func (s *Server) ChangeSlot(ctx context.Context, r ChangeSlotRequestObject) (ChangeSlotResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	place, err := s.Slots.Find(c.ID, r.Slot)
	if err != nil {
		return nil, err
	}
	done, err := s.allow(ctx, act{
		subject: c.ID + "/slot/" + r.Slot, campaign: c.ID, request: r.Body, override: r.Body.OverrideFreeze,
	})
	if err != nil {
		return nil, err
	}
	now, err := s.Slots.Change(ctx, c.ID, place.ID, slot.Change{
		Capacity: r.Body.Capacity, State: (*slot.State)(r.Body.State), Reason: orElse(r.Body.OverrideFreeze, ""),
	})
	done(err)
	if err != nil {
		return nil, err
	}
	s.Log.Info("slot changed", "campaign", c.ID, "slot", now.Slot, "capacity", now.Capacity, "state", now.State, "key", keyOf(ctx).ID)
	shown := place2(c, place)
	return ChangeSlot200JSONResponse{
		SlotId: shown.SlotId, SiteId: shown.SiteId, StartsAt: shown.StartsAt, EndsAt: shown.EndsAt,
		Capacity: now.Capacity, Booked: now.Booked, State: SlotState(now.State),
	}, nil
}

func (s *Server) publish(ctx context.Context, p campaign.Publication, a act) (Version, bool, error) {
	versions, err := s.Campaigns.Versions(ctx, p.Document.ID)
	if err != nil {
		return Version{}, false, err
	}
	if len(versions) > 0 {
		a.based = versions[0].Number
		if p.After == nil {
			p.After = &a.based // what was allowed was allowed on top of this one
		}
	}
	a.subject, a.campaign = p.Document.ID, p.Document.ID
	done, err := s.allow(ctx, a)
	if err != nil {
		return Version{}, false, err
	}
	v, published, err := s.Campaigns.Publish(ctx, p)
	done(err)
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
