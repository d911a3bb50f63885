package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/slot"
)

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

// ImportSlots answers POST /admin/v1/campaigns/{campaign}/slots/import.
func (s *Server) ImportSlots(ctx context.Context, r ImportSlotsRequestObject) (ImportSlotsResponseObject, error) {
	file, err := s.file(ctx, r.Body, r.MultipartBody)
	if err != nil {
		return nil, err
	}
	p, err := s.Slots.Import(ctx, s.Plans, keyOf(ctx), r.Campaign, file)
	if err != nil {
		return nil, err
	}
	return ImportSlots201JSONResponse(s.plan(p)), nil
}

// GenerateSlots answers POST /admin/v1/campaigns/{campaign}/slots/generate.
func (s *Server) GenerateSlots(ctx context.Context, r GenerateSlotsRequestObject) (GenerateSlotsResponseObject, error) {
	var g slot.Generation
	if err := recode(r.Body, &g); err != nil {
		return nil, err
	}
	p, err := s.Slots.Generate(ctx, s.Plans, keyOf(ctx), r.Campaign, g)
	if err != nil {
		return nil, err
	}
	return GenerateSlots201JSONResponse(s.plan(p)), nil
}

// ChangeSlots answers POST /admin/v1/campaigns/{campaign}/slots/change.
func (s *Server) ChangeSlots(ctx context.Context, r ChangeSlotsRequestObject) (ChangeSlotsResponseObject, error) {
	var sel slot.Selection
	if err := recode(r.Body, &sel); err != nil {
		return nil, err
	}
	if r.Body.SetState == nil && r.Body.SetCapacity == nil && r.Body.SetSharedAt == nil {
		return nil, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("", "set_state, set_capacity or set_shared_at is needed")
	}
	p, err := s.Slots.ChangeMany(ctx, s.Plans, keyOf(ctx), r.Campaign, sel)
	if err != nil {
		return nil, err
	}
	return ChangeSlots201JSONResponse(s.plan(p)), nil
}

// recode reads what the contract has checked as the domain's own type, which has the same fields.
func recode(body, into any) error {
	raw, err := json.Marshal(body)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		return fmt.Errorf("reading a request: %w", err)
	}
	return nil
}

// PutSite answers PUT /admin/v1/campaigns/{campaign}/sites/{site}.
func (s *Server) PutSite(ctx context.Context, r PutSiteRequestObject) (PutSiteResponseObject, error) {
	done, err := s.allow(ctx, act{
		subject: r.Campaign + "/site/" + r.Site, campaign: r.Campaign, request: r.Body, override: r.Body.OverrideFreeze,
	})
	if err != nil {
		return nil, err
	}
	put := campaign.Site{
		ID: r.Site, Region: r.Body.Region, Name: r.Body.Name, NameEn: orElse(r.Body.NameEn, ""), Address: r.Body.Address,
		Telephone: orElse(r.Body.Telephone, ""), Wheelchair: r.Body.Wheelchair,
		State: orElse(r.Body.State, ""), City: orElse(r.Body.City, ""), PostalCode: orElse(r.Body.PostalCode, ""),
	}
	if at := r.Body.Latitude; at != nil {
		degrees := float64(*at)
		put.Latitude = &degrees
	}
	if at := r.Body.Longitude; at != nil {
		degrees := float64(*at)
		put.Longitude = &degrees
	}
	now, err := s.Campaigns.PutSite(ctx, r.Campaign, put, orElse(r.Body.OverrideFreeze, ""))
	done(err)
	if err != nil {
		return nil, err
	}
	return PutSite200JSONResponse(site(now)), nil
}

// CreateSlot answers POST /admin/v1/campaigns/{campaign}/slots.
func (s *Server) CreateSlot(ctx context.Context, r CreateSlotRequestObject) (CreateSlotResponseObject, error) {
	c, err := s.Campaigns.Newest(r.Campaign)
	if err != nil {
		return nil, err
	}
	done, err := s.allow(ctx, act{subject: c.ID + "/slot/new", campaign: c.ID, request: r.Body, override: r.Body.OverrideFreeze})
	if err != nil {
		return nil, err
	}
	made, err := s.Slots.Create(ctx, c, slot.Planned{
		Site: r.Body.SiteId, StartsAt: r.Body.StartsAt, EndsAt: r.Body.EndsAt, Capacity: r.Body.Capacity,
		Cohort: orElse(r.Body.Cohort, ""), SharedAt: orElse(r.Body.SharedAt, time.Time{}),
	}, slot.State(orElse(r.Body.State, SlotStateOpen)), orElse(r.Body.OverrideFreeze, ""))
	done(err)
	if err != nil {
		return nil, err
	}
	return CreateSlot201JSONResponse(stock(c, made)), nil
}

// ListSlotStock answers GET /admin/v1/campaigns/{campaign}/slots.
func (s *Server) ListSlotStock(ctx context.Context, r ListSlotStockRequestObject) (ListSlotStockResponseObject, error) {
	c, err := s.Campaigns.Newest(r.Campaign)
	if err != nil {
		return nil, err
	}
	first, last := civil.Date{Year: 1, Month: 1, Day: 1}, civil.Date{Year: 9998, Month: 12, Day: 30}
	if at := r.Params.From; at != nil {
		first = civil.Of(at.Time, time.UTC)
	}
	if at := r.Params.To; at != nil {
		last = civil.Of(at.Time, time.UTC)
	}
	from, to := civil.Midnight(first, c.Location), civil.Midnight(civil.AddDays(last, 1), c.Location)
	all, err := s.Slots.Stock(ctx, c.ID, r.Params.Site, from, to)
	if err != nil {
		return nil, err
	}
	list := SlotStockList{Slots: []SlotStock{}}
	for _, x := range all {
		list.Slots = append(list.Slots, stock(c, x))
	}
	return ListSlotStock200JSONResponse(list), nil
}

func stock(c *campaign.Campaign, x slot.Stock) SlotStock {
	shown := place2(c, x.Place)
	out := SlotStock{
		SlotId: shown.SlotId, SiteId: shown.SiteId, StartsAt: shown.StartsAt, EndsAt: shown.EndsAt,
		Capacity: x.Capacity, Booked: x.Booked, State: SlotState(x.State), Cohort: unlessZero(x.Cohort),
	}
	if !x.SharedAt.IsZero() {
		at := x.SharedAt.In(c.Location)
		out.SharedAt = &at
	}
	return out
}
