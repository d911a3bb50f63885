package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"jari/internal/feed"
	"jari/internal/slot"
)

// Public documents are encoded before anybody asks, so answering is finding one and writing it. One that is known is
// found by the path alone, in front of what other requests need: its request was held against the contract when it was
// asked for first, and what has a guard never gets here.

// Headers as answers share them; nobody changes them.
var (
	jsonType       = []string{echo.MIMEApplicationJSON}
	gzipEncoding   = []string{"gzip"}
	byEncoding     = []string{"Accept-Encoding"}
	shortlyHeader  = []string{shortly}
	longHeader     = []string{long}
	foreverHeader  = []string{"public, max-age=31536000, immutable"}
	noStoreHeader  = []string{"no-store"}
	noSniffHeader  = []string{"nosniff"}
	noReferrer     = []string{"no-referrer"}
	noFramesHeader = []string{"DENY"}
)

// maxIfNoneMatch is the contract's; a longer one is refused there.
const maxIfNoneMatch = 200

// The documents that change all the time are found by the whole path, in front of the framework.
const (
	roomStatusPath = "/v1/rooms/:room/status"
	siteSlotsPath  = "/v1/campaigns/:campaign/sites/:site/slots"
	regionDayPath  = "/v1/campaigns/:campaign/regions/:region/days/:date"
)

// known finds documents by the parameters of their paths; it knows no document that doesn't exist.
type known func(s *Server, parameters []string) (d *slot.Document, cacheControl []string)

// documents are the operations that answer with documents, by their paths. None has a guard other than public.
var documents = map[string]struct {
	operation string
	known     known // nil where there is a name
	// name is that of a document that can be found in front of the framework the next time.
	name func(parameters []string) slot.Name
}{
	roomStatusPath: {"getRoomStatus", func(s *Server, p []string) (*slot.Document, []string) {
		return s.Rooms.Status(p[0]), shortlyHeader
	}, nil},
	siteSlotsPath: {"getSiteSlots", nil, func(p []string) slot.Name { return slot.SiteName(p[0], p[1]) }},
	regionDayPath: {"getRegionDay", nil, func(p []string) slot.Name { return slot.RegionDayName(p[0], p[1], p[2]) }},
	"/v1/campaigns/:campaign/regions/:region/sites": {"listSites", func(s *Server, p []string) (*slot.Document, []string) {
		return s.sites(p[0], p[1]), longHeader
	}, nil},
	"/v1/campaigns/:campaign/regions/:region/sites/:hash": {"listSitesByHash", func(s *Server, p []string) (*slot.Document, []string) {
		if d := s.sites(p[0], p[1]); d != nil && d.Hash() == p[2] {
			return d, foreverHeader
		}
		return nil, nil
	}, nil},
	FeedManifestPath: {"getFeed", func(s *Server, _ []string) (*slot.Document, []string) {
		return madeOrNone(s.Feed.Manifest()), feedHeader
	}, nil},
	"/v1/feeds/:campaign/regions/:region/locations/:file": {"getFeedLocations", func(s *Server, p []string) (*slot.Document, []string) {
		return s.feedFile(feed.Location, p), foreverHeader
	}, nil},
	"/v1/feeds/:campaign/regions/:region/schedules/:file": {"getFeedSchedules", func(s *Server, p []string) (*slot.Document, []string) {
		return s.feedFile(feed.Schedule, p), foreverHeader
	}, nil},
	"/v1/feeds/:campaign/regions/:region/slots/:week": {"getFeedSlots", func(s *Server, p []string) (*slot.Document, []string) {
		return s.feedFile(feed.Slot, p), feedHeader
	}, nil},
}

// sites is the list of the sites of a region, or nil.
func (s *Server) sites(campaign, region string) *slot.Document {
	c, err := s.Campaigns.Get(campaign)
	if err != nil {
		return nil
	}
	d, err := s.Slots.RegionSites(c, region)
	if err != nil {
		return nil
	}
	return d
}

// fronted is the framework's router with what is answered in front of it.
type fronted struct {
	*echo.Echo
	serve http.HandlerFunc
	gate  *gate
}

// Inside is how many requests a handler that New made is working on.
func Inside(h http.Handler) int {
	f, ok := h.(fronted)
	if !ok {
		return 0
	}
	return int(f.gate.inside.Load())
}

// ServeHTTP answers a request.
func (f fronted) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.serve(w, r) }

// knownAt finds a document by the very path: the status of a room, or a document of what is free that was asked for before.
func (s *Server) knownAt(path string) (d *slot.Document, route string) {
	if rest, ok := strings.CutPrefix(path, "/v1/rooms/"); ok {
		if room, ok := strings.CutSuffix(rest, "/status"); ok {
			return s.Rooms.Status(room), roomStatusPath
		}
		return nil, ""
	}
	if strings.HasSuffix(path, "/slots") {
		return s.Slots.KnownAt(path), siteSlotsPath
	}
	return s.Slots.KnownAt(path), regionDayPath
}

// front answers what nearly everybody asks, before the framework sees it.
func (s *Server) front(next http.Handler) http.HandlerFunc {
	vary := byEncoding
	if s.crossOrigin != nil {
		vary = []string{"Origin", "Accept-Encoding"}
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawPath != "" && r.URL.Path == FeedManifestPath {
			r.URL.RawPath = "" // some clients write the dollar as %24
		}
		looks := (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.URL.RawPath == ""
		if !looks || (s.crossOrigin != nil && len(r.Header["Origin"]) > 0) {
			next.ServeHTTP(w, r)
			return
		}
		start := s.Clock.Real()
		d, route := s.knownAt(r.URL.Path)
		if d == nil {
			next.ServeHTTP(w, r)
			return
		}
		a := asksFor(r)
		if a.unusual {
			next.ServeHTTP(w, r)
			return
		}
		id := newRequestID()
		name := &[1]string{id}
		h := w.Header()
		h[echo.HeaderXRequestID], h["Vary"] = name[:], vary
		status, err := a.write(w, d, shortlyHeader)
		if err != nil {
			s.Log.LogAttrs(r.Context(), slog.LevelDebug, "a client left before its answer was written", slog.String("request_id", id))
		}
		s.note(r.Context(), id, series{route, r.Method, status}, s.Clock.Real().Sub(start), false)
	}
}

// answerKnown answers requests for documents that are known, and says whether it did.
func (s *Server) answerKnown(c echo.Context) (answered bool, err error) {
	document, ok := documents[c.Path()]
	r := c.Request()
	if !ok || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
		return false, nil
	}
	a := asksFor(r)
	// A path with escapes has other spellings, and parameters that aren't decoded yet.
	if r.URL.RawPath == "" && !a.unusual {
		var d *slot.Document
		var cacheControl []string
		if document.name == nil {
			d, cacheControl = document.known(s, c.ParamValues())
		} else {
			name := document.name(c.ParamValues())
			if d, cacheControl = s.Slots.Known(name), shortlyHeader; d != nil {
				s.Slots.KnowAt(r.URL.Path, name)
			}
		}
		if d != nil {
			return true, a.answer(c.Response(), d, cacheControl)
		}
	}
	c.SetRequest(r.WithContext(context.WithValue(r.Context(), askedKey{}, a)))
	return false, nil
}

// asked is what of a request for a document matters for its answer, besides the path.
type asked struct {
	ifNoneMatch string
	gzip, head  bool
	unusual     bool // it may not fit the contract
}

// askedKey finds asked in a context.
type askedKey struct{}

func asksFor(r *http.Request) asked {
	a := asked{gzip: acceptsGzip(r.Header["Accept-Encoding"]), head: r.Method == http.MethodHead}
	switch tags := r.Header["If-None-Match"]; len(tags) {
	case 0:
	case 1:
		a.ifNoneMatch, a.unusual = tags[0], len(tags[0]) > maxIfNoneMatch
	default:
		a.unusual = true
	}
	return a
}

// acceptsGzip tells whether a client can read gzip, which it says in a list with weights; 0 is no.
func acceptsGzip(lines []string) bool {
	others := false
	for _, line := range lines {
		for coding := range strings.SplitSeq(line, ",") {
			name, weight, weighed := strings.Cut(coding, ";")
			name = strings.TrimSpace(name)
			accepts := !weighed || !zero(weight)
			if strings.EqualFold(name, "gzip") {
				return accepts
			}
			others = others || (name == "*" && accepts)
		}
	}
	return others
}

// zero tells whether a weight, such as q=0.5, is none at all.
func zero(weight string) bool {
	name, value, _ := strings.Cut(weight, "=")
	return strings.EqualFold(strings.TrimSpace(name), "q") && strings.Trim(strings.TrimSpace(value), "0.") == ""
}

// answer writes the document as write does, beside headers that others have set.
func (a asked) answer(w http.ResponseWriter, d *slot.Document, cacheControl []string) error {
	h := w.Header()
	delete(h, "Referrer-Policy")
	delete(h, "X-Frame-Options")
	if vary := h["Vary"]; len(vary) > 0 {
		h["Vary"] = append(vary[:len(vary):len(vary)], byEncoding...)
	} else {
		h["Vary"] = byEncoding
	}
	_, err := a.write(w, d, cacheControl)
	return err
}

// write writes the document, or that the client has it already.
func (a asked) write(w http.ResponseWriter, d *slot.Document, cacheControl []string) (status int, err error) {
	encoded := &d.Plain
	if a.gzip {
		if packed := d.Gzip(); packed != nil {
			encoded = packed
		}
	}
	h := w.Header()
	h["Cache-Control"] = cacheControl
	h["X-Content-Type-Options"] = noSniffHeader
	if a.ifNoneMatch != "" {
		if has := matching(a.ifNoneMatch, encoded, d); has != nil {
			h["Etag"] = has.ETag[:]
			w.WriteHeader(http.StatusNotModified)
			return http.StatusNotModified, nil
		}
	}
	h["Etag"] = encoded.ETag[:]
	h["Content-Type"] = d.Type[:]
	h["Content-Length"] = encoded.Length[:]
	if encoded != &d.Plain {
		h["Content-Encoding"] = gzipEncoding
	}
	w.WriteHeader(http.StatusOK)
	if a.head {
		return http.StatusOK, nil
	}
	_, err = w.Write(encoded.Body) //nolint:gosec // encoded here, sent as what it is with nosniff
	return http.StatusOK, err
}

// matching is the encoding of a document that a client has already: the one that it would get, or the plain one, which
// says the same.
func matching(ifNoneMatch string, encoded *slot.Encoded, d *slot.Document) *slot.Encoded {
	if matches(ifNoneMatch, encoded.ETag[0]) {
		return encoded
	}
	if encoded != &d.Plain && matches(ifNoneMatch, d.Plain.ETag[0]) {
		return &d.Plain
	}
	return nil
}

// matches compares as RFC 9110 says for If-None-Match: weakly, against a list or *.
func matches(header, etag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}
