package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"jari/internal/campaign"
	"jari/internal/eligibility"
	"jari/internal/pulse"
	"jari/internal/slot"
)

// shortly is for public answers that change by the second: caches may keep them for one, show them for five more while
// they ask, and for a minute when the server can't be reached.
var shortly = "public, max-age=1, stale-while-revalidate=5, stale-if-error=60"

// long is for public answers that only change when administrators publish.
var long = "public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400"

// ListCampaigns answers GET /v1/campaigns.
func (s *Server) ListCampaigns(context.Context, ListCampaignsRequestObject) (ListCampaignsResponseObject, error) {
	campaigns, err := s.Campaigns.List()
	if err != nil {
		return nil, err
	}
	list := CampaignList{Campaigns: []CampaignSummary{}}
	for _, c := range campaigns {
		list.Campaigns = append(list.Campaigns, CampaignSummary{
			CampaignId: c.ID, Title: words2(c.Title), Zone: c.Zone, State: CampaignState(c.StateAt(s.Clock.Now())),
		})
	}
	return ListCampaigns200JSONResponse{Body: list, Headers: ListCampaigns200ResponseHeaders{CacheControl: &shortly}}, nil
}

// GetCampaign answers GET /v1/campaigns/{campaign}.
func (s *Server) GetCampaign(_ context.Context, r GetCampaignRequestObject) (GetCampaignResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	body, err := s.campaign(c)
	if err != nil {
		return nil, err
	}
	return GetCampaign200JSONResponse{
		Body: body, Headers: GetCampaign200ResponseHeaders{CacheControl: &shortly},
	}, nil
}

// AskEligibility answers POST /v1/campaigns/{campaign}/eligibility.
func (s *Server) AskEligibility(ctx context.Context, r AskEligibilityRequestObject) (AskEligibilityResponseObject, error) {
	c, err := s.Campaigns.Get(r.Campaign)
	if err != nil {
		return nil, err
	}
	d := c.Rules.DecidePublic(eligibility.Facts{BirthDate: r.Body.BirthDate}, s.Clock.Now())
	s.Pulse.Meter.Count(c.ID, pulse.Asked, pulse.Who{Block: fromIn(ctx).Block}, true)
	return AskEligibility200JSONResponse(s.decision(c, d)), nil
}

func words2(w campaign.Words) Words { return Words{Ko: w.Ko, En: w.En} }

func (s *Server) campaign(c *campaign.Campaign) (Campaign, error) {
	out := Campaign{
		CampaignId: c.ID, Title: words2(c.Title), Zone: c.Zone, State: CampaignState(c.StateAt(s.Clock.Now())),
		RulesVersion: c.Version, HoldSeconds: c.HoldSeconds, BookUntilSeconds: c.BookUntilSeconds,
		ChangeUntilSeconds: c.ChangeUntilSeconds, Rooms: rooms(c),
		Waves: []Wave{}, Regions: []RegionName{},
		Desk: DeskRules{SharePercent: s.Bookings.Desk().SharePercent, AfterSeconds: int(s.Bookings.Desk().After.Seconds())},
	}
	if c.Notice != nil {
		notice := words2(*c.Notice)
		out.Notice = &notice
	}
	for i, w := range c.Waves {
		out.Waves = append(out.Waves, Wave{
			WaveId: w.ID, Title: words2(w.Title), Who: words2(w.WhoWords),
			OpensAt: c.Openings[i].OpensAt.In(c.Location), ClosesAt: c.Openings[i].ClosesAt.In(c.Location),
			SlotsFromDate: w.Slots.From, SlotsToDate: w.Slots.To,
		})
	}
	for _, r := range c.Regions {
		hash, err := s.Slots.SitesHash(c, r.Region)
		if err != nil {
			return Campaign{}, err
		}
		out.Regions = append(out.Regions, RegionName{
			Region: r.Region, Name: words2(r.Name), SitesPath: sitesPath(c.ID, r.Region, hash),
		})
	}
	return out, nil
}

// rooms are those that lead into a campaign: the lines, and its own room where a wave has none.
func rooms(c *campaign.Campaign) []Room {
	list := []Room{}
	if c.AdmitsAtOnce() {
		list = append(list, Room{RoomId: c.Room(), Line: false})
	}
	for _, l := range c.Lines {
		waves := append([]string{}, l.Waves...)
		list = append(list, Room{RoomId: l.FullID, Line: true, Waves: &waves})
	}
	return list
}

// campaignDecision is a decision with the campaign that says its zone and its titles.
type campaignDecision struct {
	campaign *campaign.Campaign
	decision eligibility.Decision
}

func (s *Server) decision(c *campaign.Campaign, d eligibility.Decision) Decision {
	titles := map[string]map[string]string{"ko": {}, "en": {}}
	for _, w := range c.Waves {
		titles["ko"][w.ID], titles["en"][w.ID] = w.Title.Ko, w.Title.En
	}
	out := Decision{
		Eligible: DecisionEligible(d.Answer.String()), Reasons: []Reason{}, DependsOn: append([]string{}, d.DependsOn...),
		RulesVersion: d.RulesVersion,
		Explanation: Words{
			Ko: eligibility.Explain(d, "ko", c.Location, titles["ko"]),
			En: eligibility.Explain(d, "en", c.Location, titles["en"]),
		},
	}
	if d.Wave != "" {
		out.Wave = &d.Wave
	}
	for _, r := range d.Reasons {
		out.Reasons = append(out.Reasons, reason(r, c.Location))
	}
	if d.Next != nil {
		out.Next = &NextOpening{Wave: d.Next.Wave, EligibleFromAt: d.Next.EligibleFrom.In(c.Location)}
	}
	return out
}

// reason shows a code with those operands that it has.
func reason(r eligibility.Reason, zone *time.Location) (out Reason) {
	if !r.OpensAt.IsZero() {
		r.OpensAt = r.OpensAt.In(zone)
	}
	if !r.ClosesAt.IsZero() {
		r.ClosesAt = r.ClosesAt.In(zone)
	}
	raw, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		return Reason{Code: string(r.Code)}
	}
	return out
}

// campaignAlternatives are slots with room, with the campaign that says their zone.
type campaignAlternatives struct {
	campaign *campaign.Campaign
	slots    []slot.Available
}

func alternatives(c *campaign.Campaign, slots []slot.Available) []Alternative {
	list := make([]Alternative, len(slots))
	for i, a := range slots {
		list[i] = Alternative{
			SlotId: slot.FormatID(a.ID), SiteId: a.Site, StartsAt: a.StartsAt.In(c.Location), EndsAt: a.EndsAt.In(c.Location),
			Remaining: a.Remaining,
		}
	}
	return list
}
