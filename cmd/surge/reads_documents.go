package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"jari/cmd/surge/load"
	"jari/cmd/surge/rig"
	"jari/internal/app"
)

// document is one that is read: its path, how every edition of it begins, and what says whether it is one.
type document struct {
	path   string
	prefix []byte
	// whole checks everything in it.
	whole func(body []byte) error
	// plain and packed are as the server gave them when it was asked first; packed is plain where it isn't compressed.
	plain, packed []byte
}

// The paths of the two documents, as routes.
const (
	siteRoute      = "/v1/campaigns/:campaign/sites/:site/slots"
	regionDayRoute = "/v1/campaigns/:campaign/regions/:region/days/:date"
)

func siteDocument(campaign string, n int) *document {
	site := rig.CrowdSite(n)
	return &document{
		path:   "/v1/campaigns/" + campaign + "/sites/" + site + "/slots",
		prefix: fmt.Appendf(nil, `{"campaign_id":%q,"site_id":%q,"slots":[{`, campaign, site),
		whole: func(body []byte) error {
			var d struct {
				Slots []struct {
					ID        string `json:"slot_id"`
					StartsAt  string `json:"starts_at"`
					EndsAt    string `json:"ends_at"`
					Remaining *int   `json:"remaining"`
				} `json:"slots"`
			}
			if err := json.Unmarshal(body, &d); err != nil {
				return err
			}
			if len(d.Slots) != rig.CrowdPerSite {
				return fmt.Errorf("it has %d slots instead of %d", len(d.Slots), rig.CrowdPerSite)
			}
			for _, s := range d.Slots {
				if s.ID == "" || s.StartsAt == "" || s.EndsAt == "" || s.Remaining == nil || *s.Remaining < 0 || *s.Remaining > rig.CrowdCapacity {
					return fmt.Errorf("its slot %q isn't one", s.ID)
				}
			}
			return nil
		},
	}
}

func regionDayDocument(campaign string, crowd rig.Crowd, n int, day string) *document {
	region := rig.CrowdRegion(n)
	from, to := crowd.Region(n)
	return &document{
		path:   "/v1/campaigns/" + campaign + "/regions/" + region + "/days/" + day,
		prefix: fmt.Appendf(nil, `{"campaign_id":%q,"region":%q,"date":%q,"sites":[{`, campaign, region, day),
		whole: func(body []byte) error {
			var d struct {
				Sites []struct {
					ID        string `json:"site_id"`
					Remaining *int   `json:"remaining"`
				} `json:"sites"`
			}
			if err := json.Unmarshal(body, &d); err != nil {
				return err
			}
			if len(d.Sites) != to-from {
				return fmt.Errorf("it has %d sites instead of %d", len(d.Sites), to-from)
			}
			for i, s := range d.Sites {
				if s.ID != rig.CrowdSite(from+i) || s.Remaining == nil || *s.Remaining < 0 || *s.Remaining > rig.CrowdCapacity*rig.CrowdPerDay {
					return fmt.Errorf("its site %q isn't one", s.ID)
				}
			}
			return nil
		},
	}
}

// library are the documents that are read of one campaign.
type library struct {
	sites, days []*document
	// firstSites and firstDays are those of the first region, which campaigns of any size have alike.
	firstSites, firstDays []*document
	// read are the numbers of the sites of which anything is read by sites, first those of firstSites.
	read, firstRead []int
}

// How many regions and how many sites of each are read: a few hundred documents of each kind, more than a processor's
// nearest caches hold and fewer than a hot night's.
const (
	readRegions = 60
	readSites   = 5
)

// newLibrary picks the documents, spread over the whole campaign.
func newLibrary(c rig.Campaign) *library {
	l := &library{}
	regions := min(readRegions, c.Crowd.Regions())
	for i := range regions {
		n := i * c.Crowd.Regions() / regions
		from, to := c.Crowd.Region(n)
		for _, day := range c.Days {
			l.days = append(l.days, regionDayDocument(c.ID, c.Crowd, n, day.String()))
		}
		for j := range min(readSites, to-from) {
			l.read = append(l.read, from+j)
			l.sites = append(l.sites, siteDocument(c.ID, from+j))
		}
	}
	from, to := c.Crowd.Region(0)
	for _, day := range c.Days {
		l.firstDays = append(l.firstDays, regionDayDocument(c.ID, c.Crowd, 0, day.String()))
	}
	for n := from; n < to; n++ {
		l.firstRead = append(l.firstRead, n)
		l.firstSites = append(l.firstSites, siteDocument(c.ID, n))
	}
	return l
}

func (l *library) all() []*document {
	var all []*document
	for _, some := range [][]*document{l.sites, l.days, l.firstSites, l.firstDays} {
		all = append(all, some...)
	}
	return all
}

var (
	gzipAsked = []load.Header{{Name: "Accept-Encoding", Value: "gzip"}}
	gzipMagic = []byte{0x1f, 0x8b}
)

// fetch asks for all documents once, in both encodings, and checks every byte. The first time it keeps them.
func (l *library) fetch(c *load.Conn) error {
	for _, d := range l.all() {
		for _, headers := range [][]load.Header{nil, gzipAsked} {
			status, answer, err := c.Send(http.MethodGet, d.path, headers, nil)
			if err != nil {
				return err
			}
			if status != http.StatusOK {
				return unexpected("GET of "+d.path, status, answer)
			}
			text := answer
			if headers != nil && bytes.HasPrefix(answer, gzipMagic) {
				if text, err = unpack(answer); err != nil {
					return fmt.Errorf("%s: %w", d.path, err)
				}
			}
			err = d.whole(text)
			if err == nil && !bytes.HasPrefix(text, d.prefix) {
				err = errors.New("it is another document")
			}
			if err != nil {
				return fmt.Errorf("GET of %s: %w: %.300s", d.path, err, text)
			}
			switch {
			case headers == nil && d.plain == nil:
				d.plain = bytes.Clone(answer)
			case headers != nil && d.packed == nil:
				d.packed = bytes.Clone(answer)
			}
		}
	}
	return nil
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// is tells whether an answer is an edition of the document, as far as can be told without taking the machine from what is
// measured: how it begins and ends, and how long it is. Every byte is checked before and after.
func (d *document) is(answer []byte) bool {
	length := len(answer)
	if bytes.HasPrefix(answer, gzipMagic) {
		if len(answer) < 18 {
			return false
		}
		length = int(binary.LittleEndian.Uint32(answer[len(answer)-4:])) // of what was compressed
	} else if !bytes.HasPrefix(answer, d.prefix) || !bytes.HasSuffix(answer, []byte("}]}")) {
		return false
	}
	// A number may have gained or lost a digit, as what remains does.
	return length > len(d.plain)*9/10 && length < len(d.plain)*11/10
}

// averageLength is how many bytes a document has.
func averageLength(documents []*document, packed bool) float64 {
	sum := 0
	for _, d := range documents {
		if packed {
			sum += len(d.packed)
		} else {
			sum += len(d.plain)
		}
	}
	return ratio(float64(sum), float64(len(documents)))
}

// sequence is in which order documents are read: as if at random, and the same for every part.
var sequence = func() []uint32 {
	random := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // repeatable, and nobody gains by guessing
	s := make([]uint32, 1<<16)
	for i := range s {
		s[i] = random.Uint32()
	}
	return s
}()

// reading returns the operation of somebody who looks at documents.
func reading(documents []*document, headers []load.Header) load.Operation {
	var n atomic.Uint32
	return func(_ context.Context, c *load.Conn, _ load.Moment) error {
		d := documents[int(sequence[int(n.Add(1))%len(sequence)])%len(documents)]
		status, answer, err := c.Send(http.MethodGet, d.path, headers, nil)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return unexpected("GET of "+d.path, status, answer)
		}
		if !d.is(answer) || (bytes.HasPrefix(answer, gzipMagic) && headers == nil) {
			return fmt.Errorf("GET of %s was answered with something else: %.300q", d.path, answer)
		}
		return nil
	}
}

// write keeps the documents in a file for the empty server.
func (l *library) write(file string, packed bool) error {
	bodies := map[string][]byte{}
	for _, d := range l.all() {
		bodies[d.path] = d.plain
		if packed {
			bodies[d.path] = d.packed
		}
	}
	raw, err := json.Marshal(bodies)
	if err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o600)
}

type documentsPart struct {
	File string `required:"" type:"existingfile" help:"JSON object of bodies, in base64, by path."`
}

// Run answers with the same bytes each time, and with the headers without which they couldn't be read. It says how long they
// are, as a server should that knows it: without that, net/http would send all but the shortest in pieces, which costs more.
func (p documentsPart) Run(w surroundings) error {
	raw, err := os.ReadFile(p.File)
	if err != nil {
		return fmt.Errorf("reading the documents: %w", err)
	}
	var bodies map[string][]byte
	if err := json.Unmarshal(raw, &bodies); err != nil {
		return fmt.Errorf("reading the documents: %w", err)
	}
	type answer struct {
		body   []byte
		length string
		packed bool
	}
	answers := make(map[string]answer, len(bodies))
	for path, body := range bodies {
		answers[path] = answer{body, strconv.Itoa(len(body)), bytes.HasPrefix(body, gzipMagic)}
	}
	app.Tune() // as the server that it is compared with
	handler := func(c echo.Context) error {
		a, ok := answers[c.Request().URL.Path]
		if !ok {
			return echo.ErrNotFound
		}
		h := c.Response().Header()
		h.Set(echo.HeaderContentLength, a.length)
		if a.packed {
			h.Set(echo.HeaderContentEncoding, "gzip")
		}
		return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, a.body)
	}
	e := echo.New()
	e.GET(siteRoute, handler)
	e.GET(regionDayRoute, handler)
	return serveEcho(w, e)
}
