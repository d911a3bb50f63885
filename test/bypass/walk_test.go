// Package bypass_test shows that there is no way around: every operation of the running server, called in every way to be
// wrong, refuses with the code that is promised and leaves every row and every key as it was; and what people did to
// systems of 2021 and before, done to this one through its API, as they did it.
package bypass_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"jari/internal/fault"
	"jari/test/jaritest"
)

// verdict is what a request is answered.
type verdict struct {
	status int
	code   fault.Code
}

func (v verdict) String() string { return fmt.Sprintf("%d %s", v.status, v.code) }

// succeeds stands for any answer that isn't a refusal.
var succeeds = verdict{}

func (v verdict) is(got jaritest.Response) bool {
	if v == succeeds {
		return got.Status < http.StatusBadRequest
	}
	return got.Status == v.status && got.Code == v.code
}

// TestEveryRouteRefusesEveryWayToBeWrong is the walk. An operation that is new in the contract is walked without anybody
// remembering it; when the walk can't make a right request for it, it says what to add to the table of examples. Without a
// right request, nobody could tell which wrong thing was refused.
func TestEveryRouteRefusesEveryWayToBeWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := jaritest.Operations(t)
	slices.SortFunc(all, func(a, b jaritest.Operation) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) })
	m := matrix{cells: map[string]map[string]bool{}}
	for _, o := range all {
		t.Run(o.ID, func(t *testing.T) { w.walk(t, o, &m) })
	}
	for id := range examples { //nolint:paralleltest // the operations are walked one after the other: each compares all stores
		if !slices.ContainsFunc(all, func(o jaritest.Operation) bool { return o.ID == id }) {
			t.Errorf("there is an example of %s, and the contract has no such operation", id)
		}
	}
	t.Log(m.String())
	if t.Failed() {
		return // whoever failed may have told its log who was asked for
	}
	w.WantNoTrace(t, w.people)
}

// TestTheRouterKnowsWhatTheContractKnows: what the running server answers at and what the walk walks are the same.
func TestTheRouterKnowsWhatTheContractKnows(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	known := map[jaritest.Route]bool{}
	for _, o := range jaritest.Operations(t) {
		for method := range jaritest.Methods(t, o.Path) {
			known[jaritest.Route{Method: method, Path: parameter.ReplaceAllString(o.Path, ":$1")}] = true
		}
	}
	for _, page := range []string{"/openapi.yaml", "/campaign.schema.json", "/docs", "/docs/*"} {
		known[jaritest.Route{Method: http.MethodGet, Path: page}] = true
	}
	served := map[jaritest.Route]bool{}
	for _, r := range s.Routes(t) {
		served[r] = true
		if !known[r] {
			t.Errorf("%s %s is served and not in the contract", r.Method, r.Path)
		}
	}
	for r := range known {
		if !served[r] {
			t.Errorf("%s %s is in the contract and not served", r.Method, r.Path)
		}
	}
}

var parameter = regexp.MustCompile(`\{([^}]+)\}`)

// matrix is which operation was asked in which wrong way.
type matrix struct {
	ways  []string // in the order in which they were first asked
	rows  []string
	cells map[string]map[string]bool // operation, way: whether it was refused as promised
}

func (m *matrix) note(operation, way string, refused bool) {
	if m.cells[operation] == nil {
		m.cells[operation] = map[string]bool{}
		m.rows = append(m.rows, operation)
	}
	if !slices.Contains(m.ways, way) {
		m.ways = append(m.ways, way)
	}
	m.cells[operation][way] = refused
}

// String is a row for each operation and a column for each way: "x" was refused, "!" was not as promised, "." can't be.
func (m *matrix) String() string {
	var b strings.Builder
	asked := 0
	fmt.Fprintf(&b, "the walk:\n")
	for i, way := range m.ways {
		fmt.Fprintf(&b, "  %2d %s\n", i+1, way)
	}
	for _, row := range m.rows {
		fmt.Fprintf(&b, "%-24s", row)
		for _, way := range m.ways {
			refused, was := m.cells[row][way]
			switch {
			case !was:
				b.WriteByte('.')
			case refused:
				b.WriteByte('x')
				asked++
			default:
				b.WriteByte('!')
			}
		}
		fmt.Fprintf(&b, " %d\n", len(m.cells[row]))
	}
	fmt.Fprintf(&b, "%d operations, %d ways to be wrong, %d refusals; no row and no key changed", len(m.rows), len(m.ways), asked)
	return b.String()
}

// walk asks one operation in every wrong way, and then in the right one.
func (w *world) walk(t *testing.T, o jaritest.Operation, m *matrix) {
	x, known := examples[o.ID]
	s, err := w.subject(t, o, x)
	if err != nil {
		t.Fatalf("%s %s: %v; add a line for %q to examples", o.Method, o.Path, err, o.ID)
	}
	wrong := w.ways(t, s)
	w.Settle(t)
	before := w.State(t)
	refused := func(way way) (told verdict, ok bool) {
		if way.at != "" {
			w.Clock.Set(jaritest.Instant(way.at))
			defer w.Clock.Set(jaritest.Instant(jaritest.Begins))
		}
		got, err := w.Exchange(t.Context(), way.ask)
		if err != nil {
			t.Errorf("%s: %v", way.name, err)
		}
		return verdict{got.Status, got.Code}, way.want.is(got)
	}
	for _, way := range wrong {
		told, ok := refused(way)
		if !ok {
			t.Errorf("%s: answered %s, want %s", way.name, told, way.want)
		}
		m.note(o.ID, way.name, ok)
	}
	after := w.State(t)
	if changed := before.Changed(after); len(changed) > 0 {
		w.blame(t, wrong, refused, changed)
	}
	// The right request, after all the wrong ones: it was right in everything but the one thing, and none of them used it up.
	got, err := w.Exchange(t.Context(), s.right)
	if err != nil {
		t.Error(err)
	}
	if !x.answer.is(got) {
		advice := "add a line to examples that says what a right request looks like, or with which code of the domain it is refused"
		if known {
			advice = "see its line in examples"
		}
		t.Fatalf("the right request %s %s is answered %d %s, want %s; %s\n%s", s.right.Method, s.right.Path, got.Status, got.Code, x.answer, advice, got.Body)
	}
	w.again(t, s, m)
}

// blame says which wrong way changed something, by asking each once more.
func (w *world) blame(t *testing.T, wrong []way, refused func(way) (verdict, bool), changed []string) {
	t.Helper()
	t.Errorf("asking in wrong ways changed %s", strings.Join(changed, "\n"))
	for _, way := range wrong {
		before := w.State(t)
		refused(way)
		for _, change := range before.Changed(w.State(t)) {
			t.Errorf("%s changed %s", way.name, change)
		}
	}
}

// again sends the right request a second time, after it was used.
func (w *world) again(t *testing.T, s subject, m *matrix) {
	t.Helper()
	if s.example.answer != succeeds {
		return // it had no effect the first time
	}
	if s.right.Method == http.MethodPost && !s.example.answeredAgain {
		t.Fatalf("%s may have another effect when it is sent again; say in examples what it is answered then", s.operation.ID)
	}
	w.Settle(t)
	before := w.State(t)
	got, err := w.Exchange(t.Context(), s.right)
	if err != nil {
		t.Error(err)
	}
	if !s.example.again.is(got) {
		t.Errorf("sent again, it is answered %d %s, want %s", got.Status, got.Code, s.example.again)
	}
	m.note(s.operation.ID, "sent again after it was used", s.example.again.is(got))
	if s.example.anew {
		return
	}
	for _, change := range before.Changed(w.State(t)) {
		t.Errorf("sent again, it changed %s", change)
	}
}

// fill writes a path of the contract with values.
func fill(path string, values map[string]string) (string, error) {
	var missing []string
	filled := parameter.ReplaceAllStringFunc(path, func(name string) string {
		value, ok := values[strings.Trim(name, "{}")]
		if !ok {
			missing = append(missing, name)
		}
		return value
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("nobody knows %s; known are %v", strings.Join(missing, ", "), slices.Sorted(maps.Keys(values)))
	}
	return filled, nil
}
