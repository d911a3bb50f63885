// Package contract_test holds the running server against openapi/jari.yaml and against everything that clients send and
// shouldn't: every operation is there and no other, every refusal has its status, its code and its words, and a request
// that is refused changes nothing.
package contract_test

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"jari/internal/fault"
	"jari/test/jaritest"
)

// dayE3 is a day of the small campaign that those may book who may book at the start.
const dayE3 = "2021-07-27"

var pathParameter = regexp.MustCompile(`\{([^}]+)\}`)

// fill writes a path of the contract with ids, those that exist where they are known.
func fill(s *jaritest.Server, path string) string {
	known := map[string]string{
		"{campaign}": s.Campaign, "{room}": s.Campaign, "{region}": jaritest.Region, "{site}": jaritest.SiteOfOne, "{date}": dayE3,
	}
	return pathParameter.ReplaceAllStringFunc(path, func(name string) string {
		if value, ok := known[name]; ok {
			return value
		}
		return "0198a3f2-0000-4000-8000-000000000000"
	})
}

func TestEveryOperationOfTheContractIsServed(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	for _, o := range jaritest.Operations(t) {
		got := s.Do(t, o.Method, fill(s, o.Path), nil)
		if got.Code == fault.CodeNotFound || got.Code == fault.CodeMethodNotAllowed || got.Status >= 500 {
			t.Errorf("%s (%s %s) answers %d %s", o.ID, o.Method, o.Path, got.Status, got.Code)
		}
		switch o.Guard {
		case "public":
			if got.Status == http.StatusUnauthorized || got.Status == http.StatusForbidden {
				t.Errorf("%s is public and answers %d %s", o.ID, got.Status, got.Code)
			}
		case "":
			t.Errorf("%s declares no guard", o.ID)
		default:
			if got.Status != http.StatusUnauthorized {
				t.Errorf("%s needs %s and answers %d %s to nobody", o.ID, o.Guard, got.Status, got.Code)
			}
			if !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s doesn't say how to authenticate", o.ID)
			}
		}
	}
}

var everyMethod = []string{
	http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodTrace, "PROPFIND", "BREW",
}

func TestNoOtherMethodIsServed(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	paths := map[string]bool{}
	for _, o := range jaritest.Operations(t) {
		paths[o.Path] = true
	}
	s.Settle(t)
	before := s.State(t)
	for path := range paths {
		allowed := jaritest.Methods(t, path)
		for _, method := range everyMethod {
			if allowed[method] || jaritest.LikeAnother(t, method, path) {
				continue
			}
			got := c.Do(t, method, fill(s, path), nil)
			if got.Status != http.StatusMethodNotAllowed || got.Code != fault.CodeMethodNotAllowed {
				t.Errorf("%s %s: %d %s", method, path, got.Status, got.Code)
				continue
			}
			told := map[string]bool{}
			for m := range strings.SplitSeq(got.Header.Get("Allow"), ",") {
				if m = strings.TrimSpace(m); m != http.MethodOptions {
					told[m] = true
				}
			}
			if !maps.Equal(told, allowed) {
				t.Errorf("%s %s: Allow is %q and the contract has %v", method, path, got.Header.Get("Allow"), slices.Sorted(maps.Keys(allowed)))
			}
		}
	}
	for _, change := range before.Changed(s.State(t)) {
		t.Errorf("a wrong method changed %s", change)
	}
}

func TestNothingElseIsServed(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	for _, path := range []string{
		"/metrics", "/livez", "/readyz", "/debug/pprof/", "/debug/vars", "/admin", "/.env", "/.git/config", "/favicon.ico",
		"/openapi.json", "/openapi.yml", "/jari.yaml", "/v1", "/v2/campaigns", "/dev", "/dev/clock", "/index.html", "/",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			s.Do(t, method, path, nil).Want(t, http.StatusNotFound, fault.CodeNotFound)
		}
	}
}

func TestProductionHasNoInbox(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.InProduction())
	// Not even its existence is told: the answer is that of any path that doesn't exist, so the contract, which has the
	// operation for development, doesn't list it.
	got := s.SendUndeclared(t, jaritest.JSON(http.MethodGet, "/dev/inbox", nil)).Want(t, http.StatusNotFound, fault.CodeNotFound)
	other := s.Do(t, http.MethodGet, "/dev/nothing", nil).Want(t, http.StatusNotFound, fault.CodeNotFound)
	if a, b := got.Problem(t), other.Problem(t); a.Title != b.Title || a.Type != b.Type {
		t.Errorf("the inbox answers %+v and nothing answers %+v", a, b)
	}
	s.Do(t, http.MethodGet, "/v1/campaigns", nil).Want(t, http.StatusOK)
}

func TestTheContractIsHandedOutAsItIs(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	got := s.Do(t, http.MethodGet, "/openapi.yaml", nil).Want(t, http.StatusOK)
	file, err := os.ReadFile("../../openapi/jari.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Body, file) {
		t.Error("what is handed out isn't the file")
	}
	if kind := got.Header.Get("Content-Type"); !strings.Contains(kind, "yaml") {
		t.Errorf("it is handed out as %s", kind)
	}
	document, err := openapi3.NewLoader().LoadFromData(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(context.Background()); err != nil {
		t.Error(err)
	}
}

// links are what a page loads or leads to.
var links = regexp.MustCompile(`(?i)(?:src|href|action)\s*=\s*["']([^"']+)["']`)

// elsewhere is an address at another host: of a script, a style, a picture or a request.
var elsewhere = regexp.MustCompile(`(?i)["'(](?:https?:)?//[a-z0-9][^"')\s]*`)

func TestTheReadablePageLoadsNothingFromOutside(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	path := "/docs"
	page := s.Do(t, http.MethodGet, path, nil)
	if page.Status >= 300 && page.Status < 400 {
		path = page.Header.Get("Location")
		page = s.Do(t, http.MethodGet, path, nil)
	}
	page.Want(t, http.StatusOK)
	if !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("the page is %s", page.Header.Get("Content-Type"))
	}
	html := string(page.Body)
	if found := elsewhere.FindAllString(html, -1); len(found) > 0 {
		t.Errorf("the page names other hosts: %q", found)
	}
	if !strings.Contains(html, "/openapi.yaml") {
		t.Error("the page doesn't show /openapi.yaml")
	}
	policy := page.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'self'") || strings.Contains(policy, "http") || strings.Contains(policy, "*") {
		t.Errorf("the page's policy is %q", policy)
	}
	kinds := map[string]int{}
	for _, link := range links.FindAllStringSubmatch(html, -1) {
		target := link[1]
		switch {
		case strings.HasPrefix(target, "data:"), strings.HasPrefix(target, "#"):
			continue
		case strings.HasPrefix(target, "/"):
		default:
			target = strings.TrimSuffix(path, "/") + "/" + strings.TrimPrefix(target, "./")
		}
		asset := s.Do(t, http.MethodGet, target, nil)
		kind := asset.Header.Get("Content-Type")
		if asset.Status != http.StatusOK || len(asset.Body) == 0 {
			t.Errorf("%s: %d with %d bytes", target, asset.Status, len(asset.Body))
			continue
		}
		suffix := target[strings.LastIndex(target, ".")+1:]
		kinds[suffix]++
		for ending, want := range map[string]string{"js": "javascript", "css": "css", "png": "image/png"} {
			if suffix == ending && !strings.Contains(kind, want) {
				t.Errorf("%s is %s, and browsers told not to guess refuse it", target, kind)
			}
		}
		if suffix == "css" && strings.Contains(string(asset.Body), "@import") {
			t.Errorf("%s imports something", target)
		}
	}
	if kinds["js"] == 0 || kinds["css"] == 0 {
		t.Errorf("the page loads %v", kinds)
	}
}

func TestEveryAnswerHasTheHeadersThatProtect(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	c := s.NewCitizen(t, jaritest.BornForE3)
	for _, o := range jaritest.Operations(t) {
		got := c.Do(t, o.Method, fill(s, o.Path), nil)
		wanted := map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
		}
		if got.Header.Get("Etag") != "" || o.Method == http.MethodPut || o.Method == http.MethodDelete {
			// Public documents are data that no browser shows as a page, and no page or form leads to what is put or deleted; each
			// header of these is paid for by everybody who looks or books.
			wanted = map[string]string{"X-Content-Type-Options": "nosniff"}
		}
		for name, want := range wanted {
			if got.Header.Get(name) != want {
				t.Errorf("%s: %s is %q", o.ID, name, got.Header.Get(name))
			}
		}
		if got.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", o.ID)
		}
		public := o.Guard == "public" && o.Method == http.MethodGet && o.Path != "/dev/inbox"
		if cache := got.Header.Get("Cache-Control"); got.Status < 300 && (public != strings.HasPrefix(cache, "public")) || !public && cache != "no-store" {
			t.Errorf("%s: Cache-Control is %q", o.ID, cache)
		}
	}
}

func TestWhatIsPublicIsAskedForOnce(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	for _, path := range []string{"/regions/seoul/sites", "/regions/seoul/days/" + dayE3, "/sites/one/slots"} {
		etag := s.Do(t, http.MethodGet, s.Path(path), nil).Want(t, http.StatusOK).Header.Get("ETag")
		if etag == "" {
			t.Errorf("%s has no ETag", path)
			continue
		}
		for _, sent := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
			got := s.Send(t, jaritest.JSON(http.MethodGet, s.Path(path), nil).With("If-None-Match", sent))
			if got.Status != http.StatusNotModified || len(got.Body) > 0 || got.Header.Get("ETag") != etag {
				t.Errorf("%s with If-None-Match %s: %d, %d bytes", path, sent, got.Status, len(got.Body))
			}
		}
		s.Send(t, jaritest.JSON(http.MethodGet, s.Path(path), nil).With("If-None-Match", `"x"`)).Want(t, http.StatusOK)
	}
}
