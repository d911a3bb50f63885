// Package watch_test holds the alerts and the dashboard that are handed out against the running server: they can be read by
// Prometheus and Grafana, ask for nothing that isn't exported, and whoever is woken up finds out what to do.
package watch_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

const (
	alertsFile    = "../../deploy/prometheus/alerts.yml"
	wordsFile     = "../../deploy/ALERTS.md"
	dashboardFile = "../../deploy/grafana/jari.json"
)

// exported are the metrics of a server after a night in small, with their labels: name, label, values.
type exported map[string]map[string]map[string]bool

// room is one that is open, so that rooms have numbers.
const room = `
rooms:
  - {room: open, waves: [E3], admit_per_second: 100}
`

// night has a server do everything that it measures, and reads what it exports.
func night(t *testing.T) exported {
	t.Helper()
	s := jaritest.Start(t, jaritest.WithRooms(room))
	path := "/v1/rooms/" + s.Campaign + ".open"
	jaritest.Eventually(t, 20*time.Second, "the room is open", func() bool {
		var r httpapi.RoomStatus
		s.Do(t, http.MethodGet, path+"/status", nil).Want(t, http.StatusOK).Into(t, &r)
		return r.State == httpapi.RoomStateOpen
	})
	c := s.Stranger(jaritest.BornForE3)
	c.Verify(t)
	var ticket httpapi.Ticket
	c.Do(t, http.MethodPut, path+"/ticket", nil).Want(t, http.StatusOK).Into(t, &ticket)
	jaritest.Eventually(t, 20*time.Second, "whoever waits comes in", func() bool {
		got := c.Do(t, http.MethodPut, path+"/admission", map[string]any{"ticket": ticket.Ticket})
		if got.Status != http.StatusOK {
			return false
		}
		var a httpapi.Admission
		got.Into(t, &a)
		c.Admission = a.Admission
		return true
	})
	c.MustBook(t, s.Slot(t, jaritest.SiteOfMany, "2021-07-27"))
	c.Hold(t, "999999999").Want(t, http.StatusNotFound, fault.CodeSlotNotFound)
	var all exported
	jaritest.Eventually(t, 30*time.Second, "the numbers are there", func() bool {
		all = exported{}
		text := expfmt.NewTextParser(model.UTF8Validation)
		families, err := text.TextToMetricFamilies(strings.NewReader(s.Metrics(t)))
		if err != nil {
			t.Fatal(err)
		}
		for name, family := range families {
			of := map[string]map[string]bool{}
			for _, m := range family.GetMetric() {
				for _, l := range m.GetLabel() {
					if of[l.GetName()] == nil {
						of[l.GetName()] = map[string]bool{}
					}
					of[l.GetName()][l.GetValue()] = true
				}
				for _, suffix := range map[bool][]string{true: {"_bucket", "_count", "_sum"}}[m.GetHistogram() != nil] {
					all[name+suffix] = of
				}
			}
			all[name] = of
		}
		_, rooms := all["jari_room_led"]
		_, sweeps := all["jari_sweep_drift"]
		return rooms && sweeps && all["jari_messages_total"] != nil && all["jari_redis_busy_ratio"] != nil && all["jari_messages_waiting"] != nil
	})
	return all
}

// once is the night of all tests of this package.
var (
	onceNight sync.Once
	theNight  exported
)

func metrics(t *testing.T) exported {
	t.Helper()
	onceNight.Do(func() { theNight = night(t) })
	if theNight == nil {
		t.Fatal("there was no night")
	}
	return theNight
}

// given are labels that Prometheus itself adds to what it scrapes.
var given = []string{"job", "instance"}

// open are labels whose values come from outside; a test's night has few of them.
var open = []string{"campaign", "room", "code", "route", "state", "le", "instance", "job"}

// check says what an expression asks for that isn't exported.
func (all exported) check(expr string) (wrong []string) {
	parsed, err := parser.ParseExpr(expr)
	if err != nil {
		return []string{err.Error()}
	}
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok || v.Name == "up" { // Prometheus' own
			return nil
		}
		of, known := all[v.Name]
		if !known {
			wrong = append(wrong, "nothing exports "+v.Name)
			return nil
		}
		for _, m := range v.LabelMatchers {
			if m.Name == model.MetricNameLabel || slices.Contains(given, m.Name) {
				continue
			}
			if of[m.Name] == nil {
				wrong = append(wrong, v.Name+" has no label "+m.Name)
			} else if m.Type == labels.MatchEqual && !of[m.Name][m.Value] && !slices.Contains(open, m.Name) {
				wrong = append(wrong, fmt.Sprintf("%s never has %s", v.Name, m))
			}
		}
		return nil
	})
	// What is summed by, or joined on, has to be a label of something in it.
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		var by []string
		switch x := n.(type) {
		case *parser.AggregateExpr:
			by = x.Grouping
		case *parser.BinaryExpr:
			if x.VectorMatching != nil {
				by = x.VectorMatching.MatchingLabels
			}
		}
		for _, name := range by {
			found := slices.Contains(given, name)
			parser.Inspect(n, func(inner parser.Node, _ []parser.Node) error {
				if v, ok := inner.(*parser.VectorSelector); ok {
					// "le" is what a bucket is called by.
					found = found || all[v.Name][name] != nil || name == "le" && strings.HasSuffix(v.Name, "_bucket")
				}
				return nil
			})
			if !found {
				wrong = append(wrong, "nothing in it has the label "+name)
			}
		}
		return nil
	})
	return wrong
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAlertsAskForWhatIsExported(t *testing.T) {
	t.Parallel()
	groups, errs := rulefmt.Parse(read(t, alertsFile), false, model.UTF8Validation)
	for _, err := range errs {
		t.Error(err)
	}
	if t.Failed() {
		return
	}
	words := string(read(t, wordsFile))
	all := metrics(t)
	named := map[string]bool{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				t.Errorf("%s has a rule that is no alert", g.Name)
				continue
			}
			if named[r.Alert] {
				t.Errorf("%s is there twice", r.Alert)
			}
			named[r.Alert] = true
			for _, wrong := range all.check(r.Expr) {
				t.Errorf("%s: %s", r.Alert, wrong)
			}
			if !slices.Contains([]string{"page", "ticket", "info"}, r.Labels["severity"]) || r.Annotations["summary"] == "" {
				t.Errorf("%s needs a severity and a summary", r.Alert)
			}
			if section(words, r.Alert) < 80 {
				t.Errorf("%s: whoever is woken up doesn't find what to do in %s", r.Alert, wordsFile)
			}
		}
	}
	for _, heading := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(words, -1) {
		if !named[heading[1]] {
			t.Errorf("%s tells what to do about %s, which never rings", wordsFile, heading[1])
		}
	}
	if len(named) < 20 {
		t.Errorf("only %d alerts", len(named))
	}
}

// section is how long what is said of an alert is.
func section(words, alert string) int {
	_, after, found := strings.Cut(words, "\n## "+alert+"\n")
	if !found {
		return 0
	}
	said, _, _ := strings.Cut(after, "\n## ")
	return len(strings.TrimSpace(said))
}

// The other way round: what the server says of itself somebody looks at.
func TestWhatIsExportedIsLookedAt(t *testing.T) {
	t.Parallel()
	watched := string(read(t, alertsFile)) + string(read(t, dashboardFile))
	for name := range metrics(t) {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
		if strings.HasPrefix(name, "jari_") && !strings.Contains(watched, base) && !slices.Contains(unwatched, base) {
			t.Errorf("%s is in no alert and on no panel", name)
		}
	}
}

// unwatched are for whoever looks for a reason.
var unwatched = []string{"jari_sweep_slots", "jari_sweep_seconds", "jari_documents_made_total", "jari_redis_connections", "jari_redis_connections_limit"}

// panel is one of the dashboard, as far as Grafana insists.
type panel struct {
	ID         int             `json:"id"`
	Type       string          `json:"type"`
	Title      string          `json:"title"`
	Datasource json.RawMessage `json:"datasource"`
	GridPos    struct{ H, W, X, Y int }
	Targets    []struct {
		RefID        string `json:"refId"`
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
		Datasource   struct{ Type, UID string }
	}
}

// variables are what Grafana puts into an expression.
var variables = strings.NewReplacer("$__rate_interval", "1m", "$campaign", ".*")

var kinds = []string{"row", "timeseries", "stat"}

func TestTheDashboardLoads(t *testing.T) {
	t.Parallel()
	var d struct {
		ID            *int   `json:"id"`
		UID           string `json:"uid"`
		Title         string `json:"title"`
		SchemaVersion int    `json:"schemaVersion"`
		Time          struct{ From, To string }
		Templating    struct {
			List []struct{ Name, Type string }
		}
		Panels []panel
	}
	if err := json.Unmarshal(read(t, dashboardFile), &d); err != nil {
		t.Fatal(err)
	}
	// An id is Grafana's own to give; a file with one replaces whatever has it there. Version 39 is read by Grafana 10.4 and later.
	if d.ID != nil || d.UID == "" || len(d.UID) > 40 || d.Title == "" || d.SchemaVersion < 36 || d.SchemaVersion > 41 || d.Time.From == "" {
		t.Errorf("id %v, uid %q, title %q, schemaVersion %d, from %q", d.ID, d.UID, d.Title, d.SchemaVersion, d.Time.From)
	}
	asks := map[string]string{}
	for _, v := range d.Templating.List {
		asks[v.Name] = v.Type
	}
	if asks["datasource"] != "datasource" || asks["campaign"] != "query" {
		t.Errorf("the variables are %v", asks)
	}
	all, ids, taken := metrics(t), map[int]string{}, map[[2]int]string{}
	charts := 0
	for _, p := range d.Panels {
		if ids[p.ID] != "" || p.ID <= 0 || p.Title == "" || !slices.Contains(kinds, p.Type) {
			t.Errorf("panel %d %q of type %q; %q has that id", p.ID, p.Title, p.Type, ids[p.ID])
		}
		ids[p.ID] = p.Title
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.Y < 0 || g.X+g.W > 24 {
			t.Errorf("%s lies at %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies on %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		charts++
		if len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if target.RefID == "" || refs[target.RefID] || target.Datasource.Type != "prometheus" || target.Datasource.UID != "${datasource}" {
				t.Errorf("%s: a target %q of %+v", p.Title, target.RefID, target.Datasource)
			}
			refs[target.RefID] = true
			for _, wrong := range all.check(variables.Replace(target.Expr)) {
				t.Errorf("%s: %s", p.Title, wrong)
			}
		}
	}
	if charts < 15 {
		t.Errorf("only %d charts", charts)
	}
}

// The checks themselves: an expression that asks for what isn't there is found.
func TestWhatIsWrongIsFound(t *testing.T) {
	t.Parallel()
	all := exported{"jari_x": {"kind": {"a": true}}, "jari_x_bucket": {}}
	for expr, right := range map[string]bool{
		`jari_x`: true, `sum by (kind) (rate(jari_x{kind="a"}[1m]))`: true, `up{job="jari"} == 0`: true,
		`histogram_quantile(0.9, sum by (le) (rate(jari_x_bucket[1m])))`: true, `max by (instance) (jari_x{job="jari"})`: true,
		`jari_y`: false, `jari_x{kind="b"}`: false, `jari_x{sort="a"}`: false, `sum by (sort) (jari_x)`: false, `sum(jari_x`: false,
		`jari_x unless on (sort) jari_x`: false,
	} {
		if wrong := all.check(expr); (len(wrong) == 0) != right {
			t.Errorf("%s: %v", expr, wrong)
		}
	}
	var file map[string]any
	if err := yaml.Unmarshal(read(t, alertsFile), &file); err != nil || file["groups"] == nil {
		t.Errorf("the alerts aren't YAML: %v", err)
	}
}
