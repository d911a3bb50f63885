package slot

import (
	"encoding/json"
	"fmt"

	"jari/internal/campaign"
	"jari/internal/document"
	"jari/internal/fault"
)

// Document is a public answer, encoded once and the same for everybody.
type Document = document.Document

// Encoded is a document in one encoding.
type Encoded = document.Encoded

func newDocument(body []byte) *Document { return document.New(body) }

// siteLists are the documents of all sites of a campaign, by region. They are encoded once for each revision: some 300
// bytes a site, 30 MB for the 100,000 sites that a campaign may have, and a third more compressed.
type siteLists struct {
	campaign *campaign.Campaign
	sites    *campaign.Sites
	byRegion map[string]*Document
}

// RegionSites is the static document of the sites of a region, or fault.CodeRegionNotFound.
func (s *Service) RegionSites(c *campaign.Campaign, region string) (*Document, error) {
	lists, err := s.siteLists(c)
	if err != nil {
		return nil, err
	}
	d, ok := lists.byRegion[region]
	if !ok {
		return nil, fault.New(fault.NotFound, fault.CodeRegionNotFound)
	}
	return d, nil
}

// SitesHash names the content of RegionSites.
func (s *Service) SitesHash(c *campaign.Campaign, region string) (string, error) {
	d, err := s.RegionSites(c, region)
	if err != nil {
		return "", err
	}
	return d.Hash(), nil
}

func (s *Service) siteLists(c *campaign.Campaign) (*siteLists, error) {
	sites, err := s.campaigns.Sites(c.ID)
	if err != nil {
		return nil, err
	}
	if lists, ok := s.listed(c, sites); ok {
		return lists, nil
	}
	s.listing.Lock()
	defer s.listing.Unlock()
	if lists, ok := s.listed(c, sites); ok {
		return lists, nil
	}
	lists := &siteLists{campaign: c, sites: sites, byRegion: make(map[string]*Document, len(c.Regions))}
	regions := map[string][]campaign.Site{}
	for _, site := range sites.All() {
		regions[site.Region] = append(regions[site.Region], site)
	}
	for _, r := range c.Regions {
		d, err := encodeSites(c.ID, r.Region, regions[r.Region])
		if err != nil {
			return nil, err
		}
		lists.byRegion[r.Region] = d
	}
	s.lists.Store(c.ID, lists)
	return lists, nil
}

func (s *Service) listed(c *campaign.Campaign, sites *campaign.Sites) (*siteLists, bool) {
	found, _ := s.lists.Load(c.ID)
	lists, ok := found.(*siteLists)
	return lists, ok && lists.campaign == c && lists.sites == sites
}

func encodeSites(id, region string, sites []campaign.Site) (*Document, error) {
	type site struct {
		ID         string   `json:"site_id"`
		Name       string   `json:"name"`
		NameEn     string   `json:"name_en,omitempty"`
		Address    string   `json:"address"`
		Telephone  string   `json:"telephone,omitempty"`
		Latitude   *float64 `json:"latitude,omitempty"`
		Longitude  *float64 `json:"longitude,omitempty"`
		Wheelchair bool     `json:"wheelchair"`
		State      string   `json:"state,omitempty"`
		City       string   `json:"city,omitempty"`
		PostalCode string   `json:"postal_code,omitempty"`
	}
	d := struct {
		Campaign string `json:"campaign_id"`
		Region   string `json:"region"`
		Sites    []site `json:"sites"`
	}{Campaign: id, Region: region, Sites: make([]site, len(sites))}
	for i, x := range sites {
		d.Sites[i] = site{
			x.ID, x.Name, x.NameEn, x.Address, x.Telephone, x.Latitude, x.Longitude, x.Wheelchair, x.State, x.City, x.PostalCode,
		}
	}
	body, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding the sites of %s in %s: %w", region, id, err)
	}
	return newDocument(body), nil
}
