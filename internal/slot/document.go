package slot

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"jari/internal/campaign"
	"jari/internal/fault"
)

// Document is a public answer, encoded once and the same for everybody.
type Document struct {
	Plain Encoded

	pack   sync.Once
	packed *Encoded
}

// Encoded is a document in one encoding. Tag and length are lists of one, as headers want them, so that answering
// allocates nothing; whoever gets them doesn't change them.
type Encoded struct {
	Body   []byte
	ETag   [1]string // strong, with its quotes
	Length [1]string // of the body, in bytes
}

// Hash names the content of the document, in letters that any path takes.
func (d *Document) Hash() string { return strings.Trim(d.Plain.ETag[0], `"`) }

// leastPacked is below which size a document isn't worth compressing: it fits into a packet as it is.
const leastPacked = 1 << 10

// Gzip is the document compressed, or nil where that isn't worth it. The first caller makes it.
func (d *Document) Gzip() *Encoded {
	d.pack.Do(func() {
		// Less than half, or it isn't kept: the bound of the cache counts on that.
		if body := squeeze(d.Plain.Body); len(body) > 0 && len(body) < len(d.Plain.Body)/2 {
			d.packed = &Encoded{
				Body: body, ETag: [1]string{`"` + d.Hash() + `-gzip"`}, Length: [1]string{strconv.Itoa(len(body))},
			}
		}
	})
	return d.packed
}

// packers are kept because each has tables of some hundred kilobytes.
var packers = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed) // made each second at most, and these texts repeat themselves
	if err != nil {
		panic(err) // the level is one of the library's own
	}
	return w
}}

func squeeze(body []byte) []byte {
	if len(body) < leastPacked {
		return nil
	}
	w, ok := packers.Get().(*gzip.Writer)
	if !ok {
		return nil
	}
	defer packers.Put(w)
	out := bytes.NewBuffer(make([]byte, 0, len(body)/4))
	w.Reset(out)
	// A buffer takes everything.
	_, _ = w.Write(body)
	_ = w.Close()
	return slices.Clone(out.Bytes())
}

func newDocument(body []byte) *Document {
	sum := sha256.Sum256(body)
	return &Document{Plain: Encoded{
		Body: body, ETag: [1]string{`"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`},
		Length: [1]string{strconv.Itoa(len(body))},
	}}
}

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
	}
	d := struct {
		Campaign string `json:"campaign_id"`
		Region   string `json:"region"`
		Sites    []site `json:"sites"`
	}{Campaign: id, Region: region, Sites: make([]site, len(sites))}
	for i, x := range sites {
		d.Sites[i] = site{x.ID, x.Name, x.NameEn, x.Address, x.Telephone, x.Latitude, x.Longitude, x.Wheelchair}
	}
	body, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding the sites of %s in %s: %w", region, id, err)
	}
	return newDocument(body), nil
}
