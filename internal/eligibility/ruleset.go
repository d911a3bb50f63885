package eligibility

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"jari/internal/civil"
)

// Limits on a rule set. Compile refuses what is beyond them.
const (
	MaxWaves      = 200
	MaxWindowDays = 1100 // From opening to closing.
	MaxSlotDays   = 1100 // From the first to the last slot day.
)

// Wave is one dated opening of a campaign: who may book, when, and which days.
type Wave struct {
	ID        string
	Rule      Rule
	OpensAt   time.Time  // The first instant at which it may be used.
	ClosesAt  time.Time  // The first instant at which it may not be used any more.
	SlotsFrom civil.Date // The first day that may be booked.
	SlotsTo   civil.Date // The last day that may be booked.
}

// Spec is what one version of a campaign's rules consists of.
type Spec struct {
	Version int64            // Goes into every decision.
	Zone    *time.Location   // Whose calendar says what day it is.
	LeapDay civil.LeapPolicy // When people born on 29 February complete a year. The zero value is 1 March.
	Waves   []Wave           // In the order of the file.
}

// RuleSet is a compiled Spec. It never changes, so any number of goroutines may ask it.
type RuleSet struct {
	version int64
	zone    *time.Location
	leap    civil.LeapPolicy
	waves   []wave
	source  []Wave
}

// wave is a Wave ready to be asked.
type wave struct {
	id       string
	rule     node
	opens    time.Time
	closes   time.Time // ClosesAt, or the end of the last slot day if that comes first.
	closesAt time.Time
	from, to civil.Date
	asking   []*node // Leaves that the day of asking moves.
	slot     []*node // Leaves that the slot day moves.
}

// node is one operator ready to be evaluated. Every not has been pushed down to the leaves, where it is a flag: by
// De Morgan's laws, which hold with three values too.
type node struct {
	op       op
	negated  bool
	lo, hi   int32 // Inclusive bounds: dates as dateKey, ages in years, intervals in days.
	digits   uint16
	number   int    // The dose, or the reference year.
	name     string // The list, or the product.
	fact     string // What Decision.DependsOn calls the fact that this leaf looks at.
	day      Day
	codes    []string // Regions, sorted.
	prefixes []string // Regions that end with *, without it.
	regions  []string // As written, for reasons.
	kids     []node
}

type op uint8

const (
	isAll op = iota
	isAny
	isBirthDate
	isYearAge
	isFullAge
	isBirthDayDigit
	isBirthYearDigit
	isInList
	isRegion
	isDaysSinceDose
)

const (
	noLower = math.MinInt32
	noUpper = math.MaxInt32
)

// dateKey orders dates like the calendar, in one word.
func dateKey(d civil.Date) int32 {
	return int32(d.Year*10_000 + int(d.Month)*100 + d.Day) //nolint:gosec // Years have four digits here.
}

// keyDate is the inverse of dateKey.
func keyDate(key int32) civil.Date {
	return civil.Date{Year: int(key / 10_000), Month: time.Month(key / 100 % 100), Day: int(key % 100)}
}

// Compile checks a Spec and makes it ready to be asked. Its error is a *SpecError with all faults.
func Compile(spec Spec) (*RuleSet, error) {
	var faults faults
	if spec.Zone == nil {
		faults.add("zone", "a campaign needs a time zone")
		spec.Zone = time.UTC
	}
	if spec.LeapDay > civil.LeapFebruary28 {
		faults.add("leap_day", "unknown policy %d", spec.LeapDay)
	}
	if len(spec.Waves) == 0 {
		faults.add("waves", "without a wave nobody could ever book")
	}
	if len(spec.Waves) > MaxWaves {
		faults.add("waves", "%d waves, at most %d are possible", len(spec.Waves), MaxWaves)
		return nil, &SpecError{Faults: faults}
	}
	rs := &RuleSet{version: spec.Version, zone: spec.Zone, leap: spec.LeapDay, source: slices.Clone(spec.Waves)}
	rs.waves = make([]wave, len(spec.Waves))
	first := map[string]int{}
	for i := range spec.Waves {
		path, before := fmt.Sprintf("waves[%d]", i), len(faults)
		if at, twice := first[spec.Waves[i].ID]; twice {
			faults.add(path+".id", "the same id as waves[%d]", at)
		} else {
			first[spec.Waves[i].ID] = i
		}
		rs.waves[i].compile(&spec.Waves[i], path, spec.Zone, &faults)
		for j := range faults[before:] {
			faults[before+j].Wave = clip(spec.Waves[i].ID)
		}
	}
	if len(faults) > 0 {
		return nil, &SpecError{Faults: faults}
	}
	return rs, nil
}

// Version is the version that the Spec named.
func (rs *RuleSet) Version() int64 { return rs.version }

// Zone is the campaign's time zone.
func (rs *RuleSet) Zone() *time.Location { return rs.zone }

// Waves returns the waves in the order of the file. The slice is the caller's own; the rules in it are shared, and
// must not be changed.
func (rs *RuleSet) Waves() []Wave { return slices.Clone(rs.source) }

// Wave returns the wave of an id.
func (rs *RuleSet) Wave(id string) (Wave, bool) {
	for _, w := range rs.source {
		if w.ID == id {
			return w, true
		}
	}
	return Wave{}, false
}

// Open returns the ids of the waves that are open at an instant, in the order of the file.
func (rs *RuleSet) Open(at time.Time) []string {
	var ids []string
	for i := range rs.waves {
		if rs.waves[i].open(at) {
			ids = append(ids, rs.waves[i].id)
		}
	}
	return ids
}

// Needs says which facts the rules of a set look at, so that a caller loads no more than that.
type Needs struct {
	Lists  []string // Sorted.
	Region bool
	Doses  bool
}

// Needs returns the facts that the rules look at.
func (rs *RuleSet) Needs() Needs {
	var needs Needs
	for i := range rs.waves {
		rs.waves[i].rule.leaves(func(n *node) {
			switch n.op {
			case isInList:
				needs.Lists = append(needs.Lists, n.name)
			case isRegion:
				needs.Region = true
			case isDaysSinceDose:
				needs.Doses = true
			case isAll, isAny, isBirthDate, isYearAge, isFullAge, isBirthDayDigit, isBirthYearDigit:
			}
		})
	}
	slices.Sort(needs.Lists)
	needs.Lists = slices.Compact(needs.Lists)
	return needs
}

// open reports whether the window contains an instant.
func (w *wave) open(at time.Time) bool { return !at.Before(w.opens) && at.Before(w.closes) }

// covers reports whether a slot day may be booked.
func (w *wave) covers(day civil.Date) bool { return !day.Before(w.from) && !day.After(w.to) }

func (w *wave) compile(source *Wave, path string, zone *time.Location, faults *faults) {
	w.id = source.ID
	w.opens, w.closesAt = source.OpensAt.In(zone), source.ClosesAt.In(zone)
	w.closes = w.closesAt
	w.from, w.to = source.SlotsFrom, source.SlotsTo
	checkName(source.ID, path+".id", faults)

	windowOK := false
	switch {
	case source.OpensAt.IsZero() || source.ClosesAt.IsZero():
		faults.add(path, "opens_at and closes_at are both needed")
	case beyondCalendar(w.opens) || beyondCalendar(w.closesAt):
		faults.add(path, "opens_at and closes_at lie in the years 1900 to 2999")
	case !w.opens.Before(w.closesAt):
		faults.add(path+".closes_at", "%s isn't after opens_at %s: the window is empty",
			w.closesAt.Format(time.RFC3339), w.opens.Format(time.RFC3339))
	case w.closesAt.Sub(w.opens) > MaxWindowDays*24*time.Hour:
		faults.add(path+".closes_at", "the window is longer than %d days", MaxWindowDays)
	default:
		windowOK = true
	}
	switch {
	case !civil.Exists(w.from) || !civil.Exists(w.to):
		faults.add(path+".slots", "from and to are both needed, as dates that exist")
	case w.to.Before(w.from):
		faults.add(path+".slots", "to %s is before from %s: there is no day to book", w.to, w.from)
	case civil.DaysBetween(w.from, w.to) >= MaxSlotDays:
		faults.add(path+".slots", "more than %d days", MaxSlotDays)
	case windowOK:
		if end := civil.Midnight(civil.AddDays(w.to, 1), zone); end.Before(w.closes) {
			w.closes = end
		}
		if !w.opens.Before(w.closes) {
			faults.add(path+".slots", "the last day %s is over before the window opens", w.to)
		}
	}

	nodes := 0
	w.rule = compileRule(&source.Rule, path+".rule", false, 1, &nodes, faults)
	if nodes > MaxRuleNodes {
		faults.add(path+".rule", "more than %d operators", MaxRuleNodes)
	}
	w.rule.leaves(func(n *node) {
		switch n.day.Kind {
		case OnAsking:
			w.asking = append(w.asking, n)
		case OnSlot:
			w.slot = append(w.slot, n)
		case OnDate, Unsaid:
		}
	})
}

// leaves calls f for every leaf. Nodes must not be copied afterwards if f keeps them.
func (n *node) leaves(f func(*node)) {
	if n.op != isAll && n.op != isAny {
		f(n)
		return
	}
	for i := range n.kids {
		n.kids[i].leaves(f)
	}
}

func compileRule(r *Rule, path string, negated bool, depth int, nodes *int, faults *faults) node {
	*nodes++
	if depth > MaxRuleDepth {
		faults.add(path, "operators are nested more than %d deep", MaxRuleDepth)
		return node{}
	}
	if *nodes > MaxRuleNodes {
		return node{} // Compile reports it once.
	}
	names := r.operators()
	if len(names) != 1 {
		faults.add(path, "%d operators in one object, exactly one belongs there", len(names))
		return node{}
	}
	name := names[0]
	path += "." + name
	n := node{negated: negated, lo: noLower, hi: noUpper}
	switch name {
	case opBirthDate:
		n.op = isBirthDate
		n.compileBirthDate(r.BirthDate, path, faults)
	case opYearAge:
		n.op, n.number = isYearAge, r.YearAge.In
		n.compileAges(r.YearAge.Min, r.YearAge.Max, path, faults)
		if n.number < 1900 || n.number > 2999 {
			faults.add(path+".in", "%d isn't a reference year (1900 to 2999)", n.number)
		}
	case opFullAge:
		n.op, n.day = isFullAge, r.FullAge.On
		n.compileAges(r.FullAge.Min, r.FullAge.Max, path, faults)
		if n.day.IsZero() || n.day.Kind > OnDate {
			faults.add(path+".on", `a full age needs its day: a date, "asking" or "slot"`)
		}
		checkDay(n.day, path+".on", faults)
	case opBirthDayDigit:
		n.op, n.digits = isBirthDayDigit, compileDigits(r.BirthDayDigit, path, faults)
	case opBirthYearDigit:
		n.op, n.digits = isBirthYearDigit, compileDigits(r.BirthYearDigit, path, faults)
	case opInList:
		n.op, n.name, n.fact = isInList, r.InList, "list:"+r.InList
		checkName(n.name, path, faults)
	case opRegion:
		n.op, n.fact = isRegion, "region"
		n.compileRegions(r.Region, path, faults)
	case opDaysSinceDose:
		n.op, n.fact = isDaysSinceDose, "dose:"+strconv.Itoa(r.DaysSinceDose.Dose)
		n.compileDose(r.DaysSinceDose, path, faults)
	case opNot:
		return compileRule(r.Not, path, !negated, depth+1, nodes, faults)
	case opAll:
		n.op = isAll
		if negated {
			n.op = isAny
		}
		n.kids = compileRules(r.All, path, negated, depth, nodes, faults)
	case opAny:
		n.op = isAny
		if negated {
			n.op = isAll
		}
		n.kids = compileRules(r.Any, path, negated, depth, nodes, faults)
	}
	return n
}

func compileRules(rules []Rule, path string, negated bool, depth int, nodes *int, faults *faults) []node {
	if len(rules) == 0 {
		faults.add(path, "nothing in it: it would admit everybody or nobody by accident")
	}
	var kids []node
	for i := range rules {
		if *nodes > MaxRuleNodes {
			break
		}
		kids = append(kids, compileRule(&rules[i], fmt.Sprintf("%s[%d]", path, i), negated, depth+1, nodes, faults))
	}
	return kids
}

func (n *node) compileBirthDate(r *BirthDate, path string, faults *faults) {
	if r.From.IsZero() && r.To.IsZero() {
		faults.add(path, "from, to or both are needed")
	}
	if !r.From.IsZero() {
		n.lo = dateKey(r.From)
		if !civil.Exists(r.From) {
			faults.add(path+".from", "%s doesn't exist", r.From)
		}
	}
	if !r.To.IsZero() {
		n.hi = dateKey(r.To)
		if !civil.Exists(r.To) {
			faults.add(path+".to", "%s doesn't exist", r.To)
		}
	}
	if n.lo > n.hi {
		faults.add(path, "from %s is after to %s: nobody is born then", r.From, r.To)
	}
}

func (n *node) compileAges(least, most *int, path string, faults *faults) {
	if least == nil && most == nil {
		faults.add(path, "min, max or both are needed")
	}
	n.compileBounds(least, most, MaxAge, path, faults)
}

func (n *node) compileBounds(least, most *int, limit int, path string, faults *faults) {
	if least != nil {
		if *least < 0 || *least > limit {
			faults.add(path+".min", "%d isn't between 0 and %d", *least, limit)
			return
		}
		n.lo = int32(*least) //nolint:gosec // Checked just above.
	}
	if most != nil {
		if *most < 0 || *most > limit {
			faults.add(path+".max", "%d isn't between 0 and %d", *most, limit)
			return
		}
		n.hi = int32(*most) //nolint:gosec // Checked just above.
	}
	if n.lo > n.hi {
		faults.add(path, "min %d is more than max %d: nobody is admitted", n.lo, n.hi)
	}
}

func (n *node) compileDose(r *DaysSinceDose, path string, faults *faults) {
	n.number, n.name, n.day = r.Dose, r.Product, r.On
	if n.day.IsZero() {
		n.day = Day{Kind: OnAsking}
	}
	if n.day.Kind > OnDate {
		faults.add(path+".on", `the day counted to is a date, "asking" or "slot"`)
	}
	checkDay(n.day, path+".on", faults)
	if r.Dose < 1 || r.Dose > MaxDoseNumber {
		faults.add(path+".dose", "%d isn't between 1 and %d", r.Dose, MaxDoseNumber)
	}
	if r.Product != "" {
		checkName(r.Product, path+".product", faults)
	}
	n.lo = 0 // A dose that is still to come hasn't been given.
	n.compileBounds(r.Min, r.Max, MaxDoseInterval, path, faults)
}

func (n *node) compileRegions(regions []string, path string, faults *faults) {
	if len(regions) == 0 {
		faults.add(path, "no region in it")
	}
	if len(regions) > MaxRegions {
		faults.add(path, "%d regions, at most %d are possible", len(regions), MaxRegions)
		return
	}
	n.regions = slices.Clone(regions)
	for i, code := range regions {
		prefix, isPrefix := strings.CutSuffix(code, "*")
		checkName(prefix, fmt.Sprintf("%s[%d]", path, i), faults)
		if isPrefix {
			n.prefixes = append(n.prefixes, prefix)
		} else {
			n.codes = append(n.codes, code)
		}
	}
	slices.Sort(n.codes)
}

func compileDigits(digits []int, path string, faults *faults) uint16 {
	if len(digits) == 0 {
		faults.add(path, "no digit in it")
	}
	var mask uint16
	for i, digit := range digits {
		if digit < 0 || digit > 9 {
			faults.add(fmt.Sprintf("%s[%d]", path, i), "%d isn't a digit", digit)
			return mask // A list of any length gets one line.
		}
		if mask&(1<<digit) != 0 {
			faults.add(fmt.Sprintf("%s[%d]", path, i), "%d is said twice", digit)
			return mask
		}
		mask |= 1 << digit
	}
	return mask
}

func checkDay(d Day, path string, faults *faults) {
	if d.Kind == OnDate && !civil.Exists(d.Date) {
		faults.add(path, "%s doesn't exist", d.Date)
	}
}

// checkName refuses names that somebody couldn't read back over a telephone: empty, long, or with invisible edges.
func checkName(name, path string, faults *faults) {
	switch {
	case name == "":
		faults.add(path, "a name is needed")
	case len(name) > MaxNameBytes:
		faults.add(path, "%q is longer than %d bytes", clip(name), MaxNameBytes)
	case strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f || c == 0xFFFD }):
		faults.add(path, "%q has blanks at its ends or characters that can't be seen", name)
	}
}

func beyondCalendar(t time.Time) bool { return t.Year() < 1900 || t.Year() > 2999 }

func clip(s string) string {
	if len(s) <= MaxNameBytes {
		return s
	}
	return strings.ToValidUTF8(s[:MaxNameBytes], "") + "…"
}

// Fault is one thing that is wrong with a Spec.
type Fault struct {
	Path    string // Of the place: "waves[1].rule.birth_date.from".
	Wave    string // The id of the wave that the place is in, if it has one.
	Problem string
}

// String names the wave beside its number: "waves[1] (F2).slots: …".
func (f Fault) String() string {
	path := f.Path
	if at := strings.IndexByte(path, ']'); f.Wave != "" && at >= 0 {
		path = path[:at+1] + " (" + f.Wave + ")" + path[at+1:]
	}
	return path + ": " + f.Problem
}

// SpecError is everything that Compile found wrong.
type SpecError struct{ Faults []Fault }

// Error has a line for each fault.
func (e *SpecError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// faults collects what is wrong. Beyond a bound it stops: nobody reads the thousandth.
type faults []Fault

const maxFaults = 100

func (f *faults) add(path, format string, args ...any) {
	if len(*f) < maxFaults {
		*f = append(*f, Fault{Path: path, Problem: fmt.Sprintf(format, args...)})
	}
}
