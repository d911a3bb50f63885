package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"jari/internal/campaign"
	"jari/internal/fault"
)

// draftTag is the entity tag of a draft: its revision.
func draftTag(d campaign.Draft) string { return `"` + strconv.FormatInt(d.Revision, 10) + `"` }

// readDraftTag reads the revision that a caller has seen.
func readDraftTag(text string) (int64, error) {
	revision, err := strconv.ParseInt(strings.Trim(text, `"`), 10, 64)
	if err != nil || revision < 1 {
		return 0, fault.New(fault.Precondition, fault.CodeDraftChanged) // the tag of nothing that there ever was
	}
	return revision, nil
}

func draftDetails(d campaign.Draft) DraftDetails {
	return DraftDetails{
		CampaignId: d.Campaign, Revision: d.Revision, BasedOnVersion: d.BasedOn, UpdatedBy: d.UpdatedBy, UpdatedAt: d.UpdatedAt.UTC(),
	}
}

// ListDrafts answers GET /admin/v1/drafts.
func (s *Server) ListDrafts(ctx context.Context, _ ListDraftsRequestObject) (ListDraftsResponseObject, error) {
	drafts, err := s.Campaigns.Drafts(ctx)
	if err != nil {
		return nil, err
	}
	list := DraftList{Drafts: []DraftDetails{}}
	for _, d := range drafts {
		list.Drafts = append(list.Drafts, draftDetails(d))
	}
	return ListDrafts200JSONResponse(list), nil
}

// GetDraft answers GET /admin/v1/campaigns/{campaign}/draft.
func (s *Server) GetDraft(ctx context.Context, r GetDraftRequestObject) (GetDraftResponseObject, error) {
	d, err := s.Campaigns.DraftOf(ctx, r.Campaign)
	if err != nil {
		return nil, err
	}
	out := Draft{Details: draftDetails(d)}
	if err := json.Unmarshal(d.Document, &out.Document); err != nil {
		return nil, fmt.Errorf("reading the draft of %s: %w", r.Campaign, err)
	}
	tag := draftTag(d)
	return GetDraft200JSONResponse{Body: out, Headers: GetDraft200ResponseHeaders{ETag: &tag}}, nil
}

// SaveDraft answers PUT /admin/v1/campaigns/{campaign}/draft.
func (s *Server) SaveDraft(ctx context.Context, r SaveDraftRequestObject) (SaveDraftResponseObject, error) {
	if r.Body.Campaign != r.Campaign {
		return nil, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/campaign", "must be the campaign of the path")
	}
	var seen int64
	if r.Params.IfMatch != nil {
		var err error
		if seen, err = readDraftTag(*r.Params.IfMatch); err != nil {
			return nil, err
		}
	}
	raw, err := json.Marshal(r.Body)
	if err != nil {
		return nil, fmt.Errorf("encoding a document: %w", err)
	}
	d, err := s.Campaigns.SaveDraft(ctx, r.Campaign, raw, seen, keyOf(ctx).ID)
	if err != nil {
		return nil, err
	}
	tag := draftTag(d)
	if seen == 0 {
		return SaveDraft201JSONResponse{Body: draftDetails(d), Headers: SaveDraft201ResponseHeaders{ETag: &tag}}, nil
	}
	return SaveDraft200JSONResponse{Body: draftDetails(d), Headers: SaveDraft200ResponseHeaders{ETag: &tag}}, nil
}

// DropDraft answers DELETE /admin/v1/campaigns/{campaign}/draft.
func (s *Server) DropDraft(ctx context.Context, r DropDraftRequestObject) (DropDraftResponseObject, error) {
	seen, err := readDraftTag(r.Params.IfMatch)
	if err == nil {
		err = s.Campaigns.DropDraft(ctx, r.Campaign, seen)
	}
	if err != nil {
		return nil, err
	}
	return DropDraft204Response{}, nil
}

// checkDraft is the check of a draft, against what is published.
func (s *Server) checkDraft(d campaign.Draft) (campaign.CheckReport, CampaignCheck, error) {
	var document CampaignDocument
	if err := json.Unmarshal(d.Document, &document); err != nil {
		return campaign.CheckReport{}, CampaignCheck{}, fmt.Errorf("reading the draft of %s: %w", d.Campaign, err)
	}
	return s.check(d.Campaign, document)
}

// PreviewDraft answers GET /admin/v1/campaigns/{campaign}/draft/preview.
func (s *Server) PreviewDraft(ctx context.Context, r PreviewDraftRequestObject) (PreviewDraftResponseObject, error) {
	d, err := s.Campaigns.DraftOf(ctx, r.Campaign)
	if err != nil {
		return nil, err
	}
	_, shown, err := s.checkDraft(d)
	if err != nil {
		return nil, err
	}
	tag := draftTag(d)
	return PreviewDraft200JSONResponse{Body: shown, Headers: PreviewDraft200ResponseHeaders{ETag: &tag}}, nil
}

// PublishDraft answers POST /admin/v1/campaigns/{campaign}/draft/publish.
func (s *Server) PublishDraft(ctx context.Context, r PublishDraftRequestObject) (PublishDraftResponseObject, error) {
	seen, err := readDraftTag(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	d, err := s.Campaigns.DraftOf(ctx, r.Campaign)
	if err != nil {
		return nil, err
	}
	if d.Revision != seen {
		return nil, fault.New(fault.Precondition, fault.CodeDraftChanged)
	}
	report, shown, err := s.checkDraft(d)
	if err != nil {
		return nil, err
	}
	if !report.Publishable {
		return nil, fault.New(fault.Conflict, fault.CodeNotPublishable).With(shown)
	}
	wanted := orElse(r.Body, DraftPublication{})
	publication := campaign.Publication{
		Document: report.Compiled.Document, After: &d.BasedOn, By: keyOf(ctx).ID, Reason: orElse(wanted.OverrideFreeze, ""), Draft: d.Revision,
	}
	if wanted.EffectiveAt != nil {
		publication.EffectiveAt = *wanted.EffectiveAt
	}
	v, published, err := s.publish(ctx, publication, act{
		does: report.Does(), override: wanted.OverrideFreeze,
		request: map[string]any{"draft": d.Revision, "document": d.Document, "with": wanted},
	})
	switch {
	case err != nil:
		return nil, err
	case published:
		return PublishDraft201JSONResponse(v), nil
	default:
		return PublishDraft200JSONResponse(v), nil
	}
}
