package rig

import (
	"context"
	"fmt"
	"strings"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/app"
	"jari/internal/civil"
)

// Crowd is how many slots a campaign for readers has: CrowdPerSite at each site, ten a day. Its first region is the same
// however many there are, so that the documents of a thousand slots can be read alone and among a million.
type Crowd int

const (
	// CrowdPerSite are the slots of each site.
	CrowdPerSite = 50
	// CrowdPerDay are those of a day.
	CrowdPerDay = 10
	// CrowdCapacity is how many people each takes.
	CrowdCapacity = 50
	// CrowdFirst are the slots of the first region, and the fewest that a crowd may have.
	CrowdFirst = 1000

	crowdDays       = CrowdPerSite / CrowdPerDay
	firstSites      = CrowdFirst / CrowdPerSite
	sitesPerRegion  = 50
	crowdMost       = 2_000_000
	crowdDaysAhead  = 10
	crowdCampaignID = "crowd"
)

// Check says why there can't be a crowd of this many.
func (c Crowd) Check() error {
	if c < CrowdFirst || c > crowdMost || c%CrowdPerSite != 0 {
		return fmt.Errorf("the number of slots must be a multiple of %d from %d to %d, and is %d", CrowdPerSite, CrowdFirst, crowdMost, c)
	}
	return nil
}

// Sites is how many sites there are.
func (c Crowd) Sites() int { return int(c) / CrowdPerSite }

// Regions is how many regions there are.
func (c Crowd) Regions() int { return 1 + (c.Sites()-firstSites+sitesPerRegion-1)/sitesPerRegion }

// Region are the numbers of the first site of a region and of the first that isn't in it any more.
func (c Crowd) Region(n int) (from, to int) {
	if n == 0 {
		return 0, firstSites
	}
	from = firstSites + (n-1)*sitesPerRegion
	return from, min(from+sitesPerRegion, c.Sites())
}

// CrowdSite and CrowdRegion are ids.
func CrowdSite(n int) string { return fmt.Sprintf("s%05d", n) }

// CrowdRegion is the id of a region.
func CrowdRegion(n int) string { return fmt.Sprintf("r%03d", n) }

// CrowdDays are the days on which the slots of a crowd that was published at an instant are.
func CrowdDays(published time.Time) []civil.Date {
	days := make([]civil.Date, crowdDays)
	for i := range days {
		days[i] = civil.AddDays(civil.Of(published, time.UTC), crowdDaysAhead+i)
	}
	return days
}

// publishCrowd publishes through the same door as everything else.
func publishCrowd(ctx context.Context, pool *pgxpool.Pool, crowd Crowd) (c Campaign, err error) {
	if err := crowd.Check(); err != nil {
		return c, err
	}
	now := time.Now()
	if _, err := app.Publish(ctx, pool, crowd.files(now), "campaign.yaml", now); err != nil {
		return c, err
	}
	c = Campaign{ID: crowdCampaignID, Crowd: crowd, Days: CrowdDays(now)}
	var n int
	if err := pool.QueryRow(ctx, `SELECT count(*) FROM slots`).Scan(&n); err != nil {
		return c, fmt.Errorf("counting the slots: %w", err)
	}
	if n != int(crowd) {
		return c, fmt.Errorf("the campaign has %d slots instead of %d", n, crowd)
	}
	return c, nil
}

func (c Crowd) files(now time.Time) fstest.MapFS {
	days := CrowdDays(now)
	instant := func(days int) string { return now.AddDate(0, 0, days).UTC().Format(time.RFC3339) }
	var regions, sites strings.Builder
	sites.WriteString("site_id,region,name,name_en,address,telephone,latitude,longitude,wheelchair,slot_template\n")
	for r := range c.Regions() {
		fmt.Fprintf(&regions, "  - {region: %s, name: {ko: 제%d구, en: District %d}}\n", CrowdRegion(r), r, r)
		from, to := c.Region(r)
		for n := from; n < to; n++ {
			fmt.Fprintf(&sites, "%s,%s,제%d 예방접종센터,Centre %d,서울특별시 중구 세종대로 %d,02-0000-0000,37.5,127.0,yes,crowd\n",
				CrowdSite(n), CrowdRegion(r), n, n, n+1)
		}
	}
	document := strings.NewReplacer(
		"{ID}", crowdCampaignID, "{OPENS}", instant(-1), "{CLOSES}", instant(5), "{NOW}", instant(0),
		"{FROM}", days[0].String(), "{TO}", days[len(days)-1].String(),
		"  - {region: seoul, name: {ko: 서울특별시, en: Seoul}}\n", regions.String(),
	).Replace(documentTemplate)
	slots := fmt.Sprintf(`
templates:
  crowd: {weekdays: [mon, tue, wed, thu, fri, sat, sun], from: %q, to: %q, except: [], hours: [{from: "09:00", to: "14:00", every_minutes: 30, capacity: %d}]}
`, days[0], days[len(days)-1], CrowdCapacity)
	return fstest.MapFS{
		"campaign.yaml": {Data: []byte(document)},
		"sites.csv":     {Data: []byte(sites.String())},
		"slots.yaml":    {Data: []byte(slots)},
	}
}

// SlotsOf are the slots at some sites, by id.
func (r *Rig) SlotsOf(ctx context.Context, sites []string) ([]int64, error) {
	rows, err := r.Pool.Query(ctx, `SELECT slot_id FROM slots WHERE campaign_id = $1 AND site_id = ANY($2) ORDER BY slot_id`,
		r.Campaign.ID, sites)
	if err != nil {
		return nil, fmt.Errorf("reading the slots of %d sites: %w", len(sites), err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}
