package house_test

import (
	"slices"
	"strings"
	"testing"
)

// arrow says which packages of this module a package may import, and why no others.
type arrow struct {
	from string
	// may are the packages, below the module's path, that it may import. A trailing "/..." takes in what is below.
	may []string
	why string
}

// small are the packages that everybody in the domain may lean on: each is one idea and knows nobody.
var small = []string{
	"internal/fault", "internal/clock", "internal/civil", "internal/token", "internal/keys", "internal/crash", "internal/document", "internal/sheet",
	"internal/openid",
}

// storage opens Postgres and Redis and knows no word of the domain; the audit writes beside what it is about.
var storage = []string{"internal/postgres", "internal/redis", "internal/audit"}

// bulk is what changes many things at once: it is tried, shown and applied by somebody with a role.
var bulk = []string{"internal/plan", "internal/table", "internal/staff"}

// arrows has a line for each package. The linter's configuration bans the same, as an editor shows it; this table is what
// decides, and a package that isn't in it fails the test until somebody has thought about its place.
var arrows = []arrow{
	{from: "internal/civil", why: "dates and birth dates are arithmetic: no clock, no store, no rule"},
	{from: "deploy/nginx", why: "the edge's configuration is tested against the contract's document, not the code"},
	{from: "internal/clock", why: "time is handed in, so whoever hands it in can't depend on its users"},
	{from: "internal/crash", why: "a point to die at stands anywhere, so it can't know where it stands"},
	{from: "internal/document", why: "a public answer is bytes, whatever they say"},
	{from: "internal/sheet", why: "a table is rows of cells, whatever they say"},
	{from: "internal/fault", why: "the one error type crosses all packages, so it can't know any of them"},
	{from: "internal/keys", may: []string{"internal/fault"}, why: "keys are opened at the start and know nobody's use of them"},
	{
		from: "internal/token", may: []string{"internal/civil", "internal/fault", "internal/keys", "internal/clock"},
		why: "a token is sealed bytes; what it means is its domain's",
	},
	{
		from: "internal/openid", may: []string{"internal/fault", "internal/keys"},
		why: "leading somebody through a provider is the same for citizens and administrators, and neither's business",
	},
	{from: "internal/config", may: []string{"internal/civil", "internal/keys"}, why: "configuration is read before anything runs"},
	{
		from: "internal/postgres", may: []string{"migrations", "internal/fault"},
		why: "opening and transactions, with no word of the domain, so that every domain may use it",
	},
	{
		from: "internal/redis", may: []string{"internal/fault"},
		why: "opening and scripts, with no word of the domain, so that every domain may use it",
	},
	{
		from: "internal/localstores",
		why:  "private stores for development and tests know the stores, and nothing of what is kept in them",
	},
	{
		from: "internal/eligibility", may: []string{"internal/civil"},
		why: "rules are judged by a pure function: no I/O, no clock, no context, so that every birth date can be enumerated",
	},
	{from: "internal/table", may: []string{"internal/fault"}, why: "a list is rows of text, whatever it is of"},
	{
		from: "internal/plan", may: slices.Concat([]string{"internal/staff"}, small, storage),
		why: "a bulk change is kept and applied without knowing what it changes",
	},
	{
		from: "internal/campaign", may: slices.Concat([]string{"internal/eligibility", "openapi"}, bulk, small, storage),
		why: "what administrators configure stands before all that happens in it",
	},
	{
		from: "internal/staff", may: slices.Concat(small, storage),
		why: "who administers is known apart from what is administered",
	},
	{
		from: "internal/slot", may: slices.Concat([]string{"internal/campaign"}, bulk, small, storage),
		why: "slot → campaign: remaining places are the same whoever asks and whoever books",
	},
	{
		from: "internal/booking",
		may: slices.Concat([]string{"internal/slot", "internal/eligibility", "internal/campaign", "internal/identity"}, bulk,
			small, storage),
		why: "a booking joins a slot, a person and the rules; it knows neither the line before it nor the messages after it",
	},
	{
		from: "internal/feed", may: slices.Concat([]string{"internal/slot", "internal/campaign"}, small),
		why: "the feed writes anew what slot and campaign show, and nothing of it leads back to them",
	},
	{
		from: "internal/identity", may: slices.Concat(small, storage),
		why: "who somebody is doesn't depend on what they want; guards that need two domains are composed in httpapi",
	},
	{
		from: "internal/waitingroom", may: slices.Concat(small, storage),
		why: "a place in the line doesn't depend on who waits or for what; guards that need two domains are composed in httpapi",
	},
	{
		from: "internal/notify", may: slices.Concat(small, storage),
		why: "messages are written from the outbox's events, and booking must not wait for who reads them",
	},
	{
		from: "internal/privacy", may: slices.Concat([]string{"internal/audit"}, small, storage),
		why: "forgetting goes through the rows of several domains by their ids, and needs no word of theirs",
	},
	{
		from: "internal/backup", may: slices.Concat(small, storage),
		why: "a backup copies all rows without a word of what they say",
	},
	{
		from: "internal/limit", may: []string{"internal/fault", "internal/clock", "internal/redis"},
		why: "how often somebody asks is counted without knowing what for",
	},
	{
		from: "internal/pulse", may: slices.Concat(small, storage),
		why: "what is counted beside the way must never be part of it: whoever is counted is handed in, and asked by functions",
	},
	{from: "internal/audit", may: slices.Concat(small, storage), why: "everybody writes to the audit, so it can't know any of them"},
	{
		from: "internal/httpapi",
		may: slices.Concat([]string{
			"internal/waitingroom", "internal/identity", "internal/eligibility", "internal/slot", "internal/booking",
			"internal/notify", "internal/campaign", "internal/staff", "internal/audit", "internal/limit", "internal/plan", "internal/pulse", "internal/table",
			"internal/feed", "internal/web/...", "openapi",
		}, small),
		why: "handlers bind, call, render: stores and configuration are behind the domain, so that no SQL or key grows in a handler",
	},
	{from: "internal/web", may: []string{"internal/web/..."}, why: "the pages use the API like any other client"},
	{from: "internal/app", may: []string{"internal/...", "migrations", "openapi"}, why: "the composition root ties everything"},
	{
		from: "cmd",
		may: []string{
			"internal/app", "internal/config", "internal/clock", "internal/civil", "internal/keys", "internal/localstores", "internal/postgres",
			"cmd/...", "examples/...", "openapi",
		},
		why: "a command is signals, flags and one call of app; what it composes itself, no test composes the same way",
	},
	{
		from: "cmd/surge", may: []string{"internal/...", "cmd/...", "examples/...", "test/..."},
		why: "measuring looks at everything: at the rows behind an answer, and at one statement without the server around it",
	},
	{from: "migrations", why: "the schema is data"},
	{from: "openapi", why: "the contract is data"},
	{from: "examples", why: "examples are data"},
}

// ban keeps a library to the packages that it belongs to.
type ban struct {
	library string
	// only are the packages that may import it.
	only []string
	why  string
}

// data are the packages with storage of their own.
var data = []string{
	"internal/postgres", "internal/redis", "internal/localstores", "internal/campaign", "internal/slot", "internal/booking",
	"internal/identity", "internal/waitingroom", "internal/notify", "internal/staff", "internal/audit", "internal/privacy", "internal/limit",
	"internal/plan", "internal/backup",
	"internal/pulse",
	"internal/app", "test/...", "cmd/surge/...",
}

var bans = []ban{
	{
		library: "github.com/labstack/echo", only: []string{"internal/httpapi", "internal/app", "cmd/surge/..."},
		why: "the web framework will be replaced one day, and the domain shouldn't notice",
	},
	{library: "github.com/jackc/pgx", only: data, why: "SQL lives beside the domain that owns the rows, never in a handler"},
	{library: "github.com/redis/go-redis", only: data, why: "keys live beside the domain that owns them, never in a handler"},
	{
		library: "github.com/golang-migrate/migrate", only: []string{"internal/postgres", "test/..."},
		why: "one place decides how the schema moves",
	},
	{library: "github.com/alecthomas/kong", only: []string{"cmd/..."}, why: "flags are the commands' business"},
	{library: "github.com/caarlos0/env", only: []string{"internal/config"}, why: "one struct documents all configuration"},
	{
		library: "testing", only: []string{"test/...", "cmd/surge/..."},
		why: "helpers for tests in shipped code register flags there, and get used",
	},
}

// pure packages import nothing that does anything: not even the standard library's way to the world.
var pure = []string{"internal/civil", "internal/fault", "internal/eligibility"}

var worldly = []string{"context", "database/sql", "net", "net/http", "os", "os/exec", "io/ioutil", "log/slog", "math/rand", "math/rand/v2"}

// unpredictable are the packages whose random numbers somebody would like to guess.
var unpredictable = []string{"internal/identity", "internal/waitingroom", "internal/token", "internal/keys", "internal/booking"}

// matches tells whether a package, below the module's path, is named by one of the patterns.
func matches(pkg string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if below, ok := strings.CutSuffix(pattern, "/..."); ok {
			return pkg == below || strings.HasPrefix(pkg, below+"/")
		}
		return pkg == pattern
	})
}

// arrowOf finds the longest line of the table that a package is at or below.
func arrowOf(pkg string) (arrow, bool) {
	var best arrow
	found := false
	for _, a := range arrows {
		if matches(pkg, []string{a.from + "/..."}) && len(a.from) >= len(best.from) {
			best, found = a, true
		}
	}
	return best, found
}

// faults tells what is wrong with the imports of a package, and why.
func faults(pkg string, imports []string) []string {
	if matches(pkg, []string{"test/...", "tools/..."}) {
		return nil // Tests may look at everything.
	}
	from, ok := arrowOf(pkg)
	if !ok {
		return []string{pkg + " has no line in this test's table: decide whom it may import and why (ARCHITECTURE.md)"}
	}
	var found []string
	fault := func(imported, why string) { found = append(found, pkg+" imports "+imported+": "+why) }
	for _, imported := range imports {
		other, ours := strings.CutPrefix(imported, module+"/")
		if ours && !matches(other, []string{from.from + "/..."}) && !matches(other, from.may) {
			fault(imported, from.why)
		}
		for _, b := range bans {
			if (imported == b.library || strings.HasPrefix(imported, b.library+"/")) && !matches(pkg, b.only) {
				fault(imported, b.why)
			}
		}
		if matches(pkg, pure) && slices.Contains(worldly, imported) {
			fault(imported, "this package is pure, so that its answers depend on its arguments alone")
		}
		if matches(pkg, unpredictable) && strings.HasPrefix(imported, "math/rand") {
			fault(imported, "what this package draws must not be guessed, hence crypto/rand")
		}
	}
	return found
}

func TestImportsObeyTheArrows(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, fault := range faults(strings.TrimPrefix(p.ImportPath, module+"/"), p.Imports) {
			t.Error(fault)
		}
	}
}

func TestTheArrowsHoldBackWhatTheyShould(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pkg, imported string
		allowed       bool
	}{
		{"internal/booking", "jari/internal/slot", true},
		{"internal/slot", "jari/internal/booking", false},
		{"internal/slot", "jari/internal/httpapi", false},
		{"internal/slot", "github.com/labstack/echo/v4", false},
		{"internal/slot/lua", "jari/internal/campaign", true},
		{"internal/httpapi", "jari/internal/booking", true},
		{"internal/httpapi", "jari/internal/postgres", false},
		{"internal/httpapi", "github.com/jackc/pgx/v5/pgxpool", false},
		{"internal/httpapi", "github.com/redis/go-redis/v9", false},
		{"internal/identity", "jari/internal/waitingroom", false},
		{"internal/identity", "math/rand/v2", false},
		{"internal/identity", "crypto/rand", true},
		{"internal/eligibility", "jari/internal/clock", false},
		{"internal/eligibility", "context", false},
		{"internal/civil", "jari/internal/fault", false},
		{"internal/civil", "cloud.google.com/go/civil", true},
		{"internal/postgres", "jari/internal/slot", false},
		{"internal/app", "jari/internal/waitingroom", true},
		{"internal/app", "testing", false},
		{"cmd/jari", "jari/internal/app", true},
		{"cmd/jari", "jari/internal/booking", false},
		{"cmd/jari", "github.com/jackc/pgx/v5", false},
		{"cmd/surge/rig", "jari/internal/booking", true},
		{"cmd/surge/rig", "github.com/jackc/pgx/v5", true},
		{"internal/booking", "jari/cmd/surge/rig", false},
		{"internal/somethingnew", "fmt", false},
		{"test/storetest", "jari/internal/postgres", true},
	} {
		if got := len(faults(c.pkg, []string{c.imported})) == 0; got != c.allowed {
			t.Errorf("%s may import %s: %v, want %v", c.pkg, c.imported, got, c.allowed)
		}
	}
}
