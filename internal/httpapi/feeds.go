package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"jari/internal/feed"
	"jari/internal/slot"
)

// FeedManifestPath is where the manifest is; the specification wants its end.
const FeedManifestPath = "/v1/feeds/$bulk-publish"

// ndjson is how names of files end.
const ndjson = ".ndjson"

// feedHeader is for what is as old as feed.Every allows: caches may keep it as long again.
var feedHeader = []string{"public, max-age=30, stale-while-revalidate=30, stale-if-error=300"}

// FeedPath is where a file of the feed is.
func FeedPath(o feed.Output) string {
	kind := map[feed.Type]string{feed.Location: "locations", feed.Schedule: "schedules", feed.Slot: "slots"}[o.Type]
	return "/v1/feeds/" + url.PathEscape(o.Campaign) + "/regions/" + url.PathEscape(o.Region) + "/" + kind + "/" + o.Name + ndjson
}

// madeOrNone is a document, or none where there was an error, which the handler will find again and answer.
func madeOrNone(d *slot.Document, err error) *slot.Document {
	if err != nil {
		return nil
	}
	return d
}

// feedFile is a file of the feed by campaign, region and name, or nil where there is none by this name.
func (s *Server) feedFile(kind feed.Type, path []string) *slot.Document {
	name, ok := strings.CutSuffix(path[2], ndjson)
	if !ok {
		return nil
	}
	d, err := s.feedOf(kind, path[0], path[1], name)
	if err != nil || kind != feed.Slot && d.Hash() != name {
		return nil
	}
	return d
}

func (s *Server) feedOf(kind feed.Type, campaign, region, week string) (*slot.Document, error) {
	c, err := s.Campaigns.Get(campaign)
	if err != nil {
		return nil, err
	}
	if kind == feed.Slot {
		return s.Feed.Slots(c, region, week)
	}
	return s.Feed.Sites(c, region, kind)
}

// VisitGetFeedResponse writes the answer.
func (d document) VisitGetFeedResponse(w http.ResponseWriter) error { return d.write(w) }

// VisitGetFeedLocationsResponse writes the answer.
func (d document) VisitGetFeedLocationsResponse(w http.ResponseWriter) error { return d.write(w) }

// VisitGetFeedSchedulesResponse writes the answer.
func (d document) VisitGetFeedSchedulesResponse(w http.ResponseWriter) error { return d.write(w) }

// VisitGetFeedSlotsResponse writes the answer.
func (d document) VisitGetFeedSlotsResponse(w http.ResponseWriter) error { return d.write(w) }

// GetFeed answers GET /v1/feeds/$bulk-publish.
func (s *Server) GetFeed(ctx context.Context, _ GetFeedRequestObject) (GetFeedResponseObject, error) {
	d, err := s.Feed.Manifest()
	if err != nil {
		return nil, err
	}
	return documentFor(ctx, d, feedHeader), nil
}

// GetFeedLocations answers GET /v1/feeds/{campaign}/regions/{region}/locations/{file}.
func (s *Server) GetFeedLocations(ctx context.Context, r GetFeedLocationsRequestObject) (GetFeedLocationsResponseObject, error) {
	d, moved, err := s.namedFile(feed.Location, r.Campaign, r.Region, r.File)
	switch {
	case err != nil:
		return nil, err
	case moved != "":
		return GetFeedLocations307Response{GetFeedLocations307ResponseHeaders{Location: moved, CacheControl: noStoreHeader[0]}}, nil
	}
	return documentFor(ctx, d, foreverHeader), nil
}

// GetFeedSchedules answers GET /v1/feeds/{campaign}/regions/{region}/schedules/{file}.
func (s *Server) GetFeedSchedules(ctx context.Context, r GetFeedSchedulesRequestObject) (GetFeedSchedulesResponseObject, error) {
	d, moved, err := s.namedFile(feed.Schedule, r.Campaign, r.Region, r.File)
	switch {
	case err != nil:
		return nil, err
	case moved != "":
		return GetFeedSchedules307Response{GetFeedSchedules307ResponseHeaders{Location: moved, CacheControl: noStoreHeader[0]}}, nil
	}
	return documentFor(ctx, d, foreverHeader), nil
}

// namedFile is a file that is named by its content, or where it is now.
func (s *Server) namedFile(kind feed.Type, campaign, region, file string) (d *slot.Document, moved string, err error) {
	if d, err = s.feedOf(kind, campaign, region, ""); err != nil {
		return nil, "", err
	}
	if d.Hash()+ndjson != file {
		// A list of another time, or one that an instance has that knows more or less than this one.
		return nil, FeedPath(feed.Output{Type: kind, Campaign: campaign, Region: region, Name: d.Hash()}), nil
	}
	return d, "", nil
}

// GetFeedSlots answers GET /v1/feeds/{campaign}/regions/{region}/slots/{week}.
func (s *Server) GetFeedSlots(ctx context.Context, r GetFeedSlotsRequestObject) (GetFeedSlotsResponseObject, error) {
	d, err := s.feedOf(feed.Slot, r.Campaign, r.Region, strings.TrimSuffix(r.Week, ndjson))
	if err != nil {
		return nil, err
	}
	return documentFor(ctx, d, feedHeader), nil
}
