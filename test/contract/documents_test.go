package contract_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// get sends a GET with headers, in pairs, that the client adds nothing to.
func get(t *testing.T, s *jaritest.Server, path string, headers ...string) jaritest.Response {
	t.Helper()
	q := jaritest.JSON(http.MethodGet, path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		q = q.With(headers[i], headers[i+1])
	}
	return s.Send(t, q)
}

// documents are a path of each kind, with what caches may do with it.
func documents(s *jaritest.Server) map[string]string {
	return map[string]string{
		s.Path("/sites/one/slots"):               "public, max-age=1, stale-while-revalidate=5, stale-if-error=60",
		s.Path("/regions/seoul/days/" + dayE3):   "public, max-age=1, stale-while-revalidate=5, stale-if-error=60",
		s.Path("/regions/seoul/days/1999-12-31"): "public, max-age=1, stale-while-revalidate=5, stale-if-error=60",
		s.Path("/regions/seoul/sites"):           "public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400",
	}
}

func TestAKnownDocumentIsAnsweredLikeTheFirstTime(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	for path, cacheControl := range documents(s) {
		first := get(t, s, path, "Accept-Encoding", "identity").Want(t, http.StatusOK)
		// Another spelling is never answered from what is known.
		spelt := strings.Replace(path, "/small", "/%73mall", 1)
		for what, again := range map[string]jaritest.Response{
			"the same":         get(t, s, path, "Accept-Encoding", "identity"),
			"with a query":     get(t, s, path+"?utm=x&a=%zz", "Accept-Encoding", "identity"),
			"of a citizen":     s.Send(t, c.Request(http.MethodGet, path, nil).With("Accept-Encoding", "identity")),
			"with other words": get(t, s, path, "Accept-Encoding", "identity", "Accept-Language", "en", "Cookie", "a=b", "Range", "bytes=0-1"),
			"spelt otherwise":  get(t, s, spelt, "Accept-Encoding", "identity"),
		} {
			if again.Status != http.StatusOK || !bytes.Equal(again.Body, first.Body) {
				t.Errorf("%s, %s: %d %s", path, what, again.Status, again.Body)
			}
			for _, name := range []string{
				"Etag", "Cache-Control", "Vary", "Content-Type", "Content-Length", "X-Content-Type-Options",
			} {
				if a, b := first.Header.Get(name), again.Header.Get(name); a == "" || a != b {
					t.Errorf("%s, %s: %s is %q and was %q", path, what, name, b, a)
				}
			}
			if id := again.Header.Get("X-Request-Id"); len(id) != 12 || id == first.Header.Get("X-Request-Id") {
				t.Errorf("%s, %s: the request's id is %q", path, what, id)
			}
			if len(again.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s, %s: sets a cookie", path, what)
			}
		}
		if got := first.Header.Get("Cache-Control"); got != cacheControl {
			t.Errorf("%s: Cache-Control is %q", path, got)
		}
		// Also what is refused stays refused.
		get(t, s, path, "If-None-Match", strings.Repeat("x", 201)).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	}
	if metrics := s.Metrics(t); !strings.Contains(metrics, `route="/v1/campaigns/:campaign/sites/:site/slots",status="200"`) {
		t.Error("requests for known documents aren't measured")
	}
}

func TestDocumentsAreForPagesOfAllowedOriginsHoweverOftenAsked(t *testing.T) {
	t.Parallel()
	const origin = "https://booking.example.org"
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_ALLOWED_ORIGINS", origin))
	for path := range documents(s) {
		for range 4 { // the first is made, the second known, the third found by its path
			got := get(t, s, path, "Origin", origin).Want(t, http.StatusOK)
			if allowed := got.Header.Get("Access-Control-Allow-Origin"); allowed != origin {
				t.Errorf("%s is for pages of %q", path, allowed)
			}
			// A cache must not give a page of an allowed origin what it kept for nobody's page.
			vary := strings.Join(get(t, s, path).Want(t, http.StatusOK).Header.Values("Vary"), ",")
			if !strings.Contains(vary, "Origin") || !strings.Contains(vary, "Accept-Encoding") {
				t.Errorf("%s varies by %q", path, vary)
			}
		}
	}
}

func TestDocumentsAreCompressedForThoseWhoReadIt(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithExample())
	var list httpapi.SiteList
	get(t, s, s.Path("/regions/jeju/sites")).Want(t, http.StatusOK).Into(t, &list)
	for _, path := range []string{s.Path("/regions/jeju/sites"), s.Path("/sites/" + list.Sites[0].SiteId + "/slots")} {
		plain := get(t, s, path, "Accept-Encoding", "identity").Want(t, http.StatusOK)
		for _, accepts := range []string{"gzip", "GZIP", "deflate, gzip;q=1.0, br", "br;q=0.9 , gzip ; q=0.001", "*"} {
			packed := get(t, s, path, "Accept-Encoding", accepts).Want(t, http.StatusOK)
			if packed.Header.Get("Content-Encoding") != "gzip" || packed.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s for %q is %v", path, accepts, packed.Header)
				continue
			}
			r, err := gzip.NewReader(bytes.NewReader(packed.Body))
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(r); err != nil || !bytes.Equal(body, plain.Body) {
				t.Errorf("%s for %q says something else: %v", path, accepts, err)
			}
			tag := packed.Header.Get("ETag")
			if tag == plain.Header.Get("ETag") || strings.HasPrefix(tag, "W/") {
				t.Errorf("%s for %q has the tag %s", path, accepts, tag)
			}
			// Who has one of the two needn't be sent the other.
			for _, has := range []string{tag, plain.Header.Get("ETag"), "W/" + tag, `"x", ` + tag, "*"} {
				got := get(t, s, path, "Accept-Encoding", accepts, "If-None-Match", has).Want(t, http.StatusNotModified)
				if len(got.Body) > 0 || got.Header.Get("Vary") != "Accept-Encoding" || got.Header.Get("Cache-Control") == "no-store" {
					t.Errorf("%s with If-None-Match %s: %d bytes, %v", path, has, len(got.Body), got.Header)
				}
			}
			get(t, s, path, "Accept-Encoding", "identity", "If-None-Match", tag).Want(t, http.StatusOK)
		}
		for _, accepts := range []string{"identity", "br", "gzip;q=0", "gzip; q=0.0, *", "*;q=0", "gzipped", "x-gzip-not"} {
			got := get(t, s, path, "Accept-Encoding", accepts).Want(t, http.StatusOK)
			if got.Header.Get("Content-Encoding") != "" || !bytes.Equal(got.Body, plain.Body) {
				t.Errorf("%s for %q is encoded as %q", path, accepts, got.Header.Get("Content-Encoding"))
			}
		}
	}
}

func TestWhatAnybodyMayGetAnswersHead(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	for _, o := range jaritest.Operations(t) {
		if o.Method != http.MethodGet || o.Path == "/dev/inbox" {
			continue
		}
		path := fill(s, o.Path)
		if o.Guard != "public" {
			got := s.Send(t, jaritest.JSON(http.MethodHead, path, nil))
			if got.Status != http.StatusMethodNotAllowed {
				t.Errorf("HEAD %s: %d", path, got.Status)
			}
			continue
		}
		for range 2 { // the second time it is known
			want := get(t, s, path, "Accept-Encoding", "identity")
			got := s.Send(t, jaritest.JSON(http.MethodHead, path, nil).With("Accept-Encoding", "identity"))
			if got.Status != want.Status {
				t.Errorf("HEAD %s: %d, and GET %d", path, got.Status, want.Status)
			}
			for _, name := range []string{"ETag", "Cache-Control", "Content-Type", "Vary", "Location"} {
				if got.Header.Get(name) != want.Header.Get(name) {
					t.Errorf("HEAD %s: %s is %q, and of GET %q", path, name, got.Header.Get(name), want.Header.Get(name))
				}
			}
		}
	}
	tag := get(t, s, s.Path("/sites/one/slots"), "Accept-Encoding", "identity").Header.Get("ETag")
	q := jaritest.JSON(http.MethodHead, s.Path("/sites/one/slots"), nil).With("If-None-Match", tag).With("Accept-Encoding", "identity")
	s.Send(t, q).Want(t, http.StatusNotModified)
}

func TestListsOfSitesAreNamedByTheirContent(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	path := func(region string) string {
		var c httpapi.Campaign
		s.Do(t, http.MethodGet, s.Path(""), nil).Want(t, http.StatusOK).Into(t, &c)
		for _, r := range c.Regions {
			if r.Region == region {
				return r.SitesPath
			}
		}
		t.Fatalf("the campaign has no region %s", region)
		return ""
	}
	before := path(jaritest.Region)
	plain := get(t, s, s.Path("/regions/"+jaritest.Region+"/sites")).Want(t, http.StatusOK)
	for range 2 {
		got := get(t, s, before).Want(t, http.StatusOK)
		if cache := got.Header.Get("Cache-Control"); cache != "public, max-age=31536000, immutable" || !bytes.Equal(got.Body, plain.Body) {
			t.Errorf("the list is kept %q and is %s", cache, got.Body)
		}
	}
	if path(jaritest.EmptyRegion) == before {
		t.Error("two regions have one list")
	}

	if _, err := s.Pool.Exec(t.Context(), `UPDATE sites SET name = name || '!' WHERE site_id = $1`, jaritest.SiteOfOne); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pool.Exec(t.Context(), `UPDATE campaigns SET slots_revision = slots_revision + 1`); err != nil {
		t.Fatal(err)
	}
	s.Refresh(t)
	after := path(jaritest.Region)
	if after == before {
		t.Fatal("another list has the same path")
	}
	for _, old := range []string{before, before[:strings.LastIndex(before, "/")+1] + "x"} {
		moved := get(t, s, old).Want(t, http.StatusTemporaryRedirect)
		if moved.Header.Get("Location") != after || moved.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s leads to %v", old, moved.Header)
		}
	}
	if list := get(t, s, after).Want(t, http.StatusOK); !strings.Contains(string(list.Body), "!") {
		t.Errorf("the new list is %s", list.Body)
	}
	get(t, s, s.Path("/regions/"+url.PathEscape("어디")+"/sites/x")).Want(t, http.StatusNotFound, fault.CodeRegionNotFound)
	get(t, s, s.Path("/regions/"+jaritest.Region+"/sites/"+strings.Repeat("x", 65))).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
}
