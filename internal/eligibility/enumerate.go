package eligibility

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"jari/internal/civil"
)

// Options say what Enumerate covers. The zero value of every field has a meaning.
type Options struct {
	BirthFrom civil.Date // First birth date; zero is 1900-01-01.
	BirthTo   civil.Date // Last birth date, usually today; zero is the day of the last opening.
	// MaxProfiles bounds the combinations of facts; zero is DefaultMaxProfiles. The first, with nothing known but the
	// birth date, is always there.
	MaxProfiles int
	// MaxEvaluations bounds the work, in rules asked; zero is DefaultMaxEvaluations, some ten seconds. It leaves out
	// profiles, never birth dates or instants.
	MaxEvaluations int64
	// Population is the number of people by year of birth, for head counts. Nil: none.
	Population map[int]int64
	// Cases are run and reported with the rest.
	Cases []Case
}

// Bounds of an enumeration unless Options say otherwise.
const (
	DefaultMaxProfiles    = 64
	DefaultMaxEvaluations = 200_000_000
)

// MaxBirthDates bounds the birth dates of an enumeration, some 300 years. Beyond it the oldest are left out.
const MaxBirthDates = 110_000

// Report is what an administrator reads before publishing. Every birth date has been asked at every instant at which
// the rules can change their answer, so its intervals are exact.
type Report struct {
	RulesVersion int64      `json:"rules_version"`
	BirthFrom    civil.Date `json:"birth_from"`
	BirthTo      civil.Date `json:"birth_to"`
	Profiles     []Profile  `json:"profiles"` // The first has no facts but the birth date.
	Cases        CaseReport `json:"cases"`
	Warnings     []Warning  `json:"warnings"`
	NotCovered   []string   `json:"not_covered"` // What this report doesn't speak about, in sentences.
	Boundaries   int        `json:"boundaries"`  // Instants derived from the rules.
	Evaluations  int64      `json:"evaluations"` // Rules asked.
}

// Profile is the result for everybody about whom the same is known apart from the birth date.
type Profile struct {
	Facts Facts `json:"facts"`
	// Intervals divide all birth dates: each is in exactly one, neighbours differ, and nobody's windows are an empty list.
	Intervals []Interval `json:"intervals"`
	// Rows say the same for readers: where waves go by digits, intervals are single days, but rows aren't.
	Rows []Row `json:"rows"`
	// HeadCounts are there if Options have a population.
	HeadCounts *HeadCounts `json:"head_counts,omitempty"`
}

// Interval is a run of birth dates, both ends included, whose people may use the same windows.
type Interval struct {
	BirthFrom civil.Date `json:"birth_from"`
	BirthTo   civil.Date `json:"birth_to"`
	Windows   []Window   `json:"windows"`
}

// Window is when some wave can be used: from OpensAt on, no longer at ClosesAt. A wave has several if a birthday or a
// dose interrupts it.
type Window struct {
	Wave      string    `json:"wave"`
	OpensAt   time.Time `json:"opens_at"`
	ClosesAt  time.Time `json:"closes_at"`
	DependsOn []string  `json:"depends_on,omitempty"` // Unknown facts that decide, as in Decision; none: certain.
}

// Row is a run of birth dates, restricted to days and years of birth that end in certain digits. No digits: all.
type Row struct {
	BirthFrom  civil.Date `json:"birth_from"`
	BirthTo    civil.Date `json:"birth_to"`
	DayDigits  []int      `json:"day_digits,omitempty"`
	YearDigits []int      `json:"year_digits,omitempty"`
	Windows    []Window   `json:"windows"`
	People     int64      `json:"people,omitempty"`
}

// has reports whether a row is about days and years of birth with these digits.
func (r *Row) has(c class) bool {
	return (r.DayDigits == nil || slices.Contains(r.DayDigits, c.day)) &&
		(r.YearDigits == nil || slices.Contains(r.YearDigits, c.year))
}

// moment is an instant at which the answer of a wave may change for somebody, and the date it has.
type moment struct {
	at   time.Time
	date civil.Date
}

// moments are the opening of a wave and, where the day of asking matters, every change of date inside its window.
func (rs *RuleSet) moments(w *wave) []moment {
	list := []moment{{w.opens, civil.Of(w.opens, rs.zone)}}
	if len(w.asking) == 0 && len(w.slot) == 0 {
		return list
	}
	for at := civil.NextDay(w.opens, rs.zone); at.Before(w.closes); at = civil.NextDay(at, rs.zone) {
		list = append(list, moment{at, civil.Of(at, rs.zone)})
	}
	return list
}

// Enumerate asks every birth date at every boundary of the rules, per profile.
func Enumerate(rs *RuleSet, opts Options) Report {
	e := newEnumeration(rs, &opts)
	report := Report{
		RulesVersion: rs.version, BirthFrom: e.from, BirthTo: e.to,
		Warnings: []Warning{}, NotCovered: []string{}, Cases: RunCases(rs, opts.Cases),
	}
	if civil.Exists(opts.BirthFrom) && opts.BirthFrom.Before(e.from) {
		report.NotCovered = append(report.NotCovered, fmt.Sprintf("Birth dates before %s.", e.from))
	}
	perProfile := int64(0)
	for _, moments := range e.moments {
		report.Boundaries += len(moments) + 1 // And the closing.
		perProfile += int64(len(moments)) * int64(e.days)
	}
	most := int64(opts.MaxProfiles)
	if most <= 0 {
		most = DefaultMaxProfiles
	}
	budget := opts.MaxEvaluations
	if budget <= 0 {
		budget = DefaultMaxEvaluations
	}
	most = max(1, min(most, budget/max(1, perProfile)))
	profiles, notCovered := rs.profiles(int(most))
	report.NotCovered = append(report.NotCovered, notCovered...)
	for _, facts := range profiles {
		report.Profiles = append(report.Profiles, e.profile(facts, opts.Population))
	}
	report.Evaluations = e.asked
	report.Warnings = append(report.Warnings, rs.warnings(&report)...)
	return report
}

// enumeration holds what the profiles of one report share.
type enumeration struct {
	rs       *RuleSet
	from, to civil.Date
	first    int32 // Day number of from.
	days     int
	moments  [][]moment // By wave.
	classes  []class
	asked    int64

	// Lists of windows are few, while birth dates are many: each list is kept once and known by its number. The empty
	// list is number 0.
	numbers map[string]int
	windows [][]Window
	key     []byte
	unknown map[string]int
	names   [][]string
	scratch []string
}

// class is one way to end a day and a year of birth. Digits that no rule tells apart share a class.
type class struct {
	day, year   int // Representatives.
	days, years uint16
}

func newEnumeration(rs *RuleSet, opts *Options) *enumeration {
	e := &enumeration{
		rs: rs, from: opts.BirthFrom, to: opts.BirthTo,
		numbers: map[string]int{"": 0}, windows: [][]Window{{}}, unknown: map[string]int{"": 0}, names: [][]string{nil},
	}
	if !civil.Exists(e.from) {
		e.from = civil.Date{Year: 1900, Month: time.January, Day: 1}
	}
	for i := range rs.waves {
		w := &rs.waves[i]
		e.moments = append(e.moments, rs.moments(w))
		if opened := civil.Of(w.opens, rs.zone); !civil.Exists(opts.BirthTo) && opened.After(e.to) {
			e.to = opened
		}
	}
	if e.to.Before(e.from) {
		e.to = e.from
	}
	if oldest := civil.AddDays(e.to, 1-MaxBirthDates); e.from.Before(oldest) {
		e.from = oldest
	}
	e.first = civil.DayNumber(e.from)
	e.days = civil.DaysBetween(e.from, e.to) + 1
	for _, days := range rs.digitClasses(isBirthDayDigit) {
		for _, years := range rs.digitClasses(isBirthYearDigit) {
			e.classes = append(e.classes, class{day: digitsOf(days)[0], year: digitsOf(years)[0], days: days, years: years})
		}
	}
	return e
}

// digitClasses divides the ten digits into those that the rules can't tell apart.
func (rs *RuleSet) digitClasses(o op) []uint16 {
	classes := []uint16{1<<10 - 1}
	for i := range rs.waves {
		rs.waves[i].rule.leaves(func(n *node) {
			if n.op != o {
				return
			}
			var finer []uint16
			for _, c := range classes {
				for _, part := range []uint16{c & n.digits, c &^ n.digits} {
					if part != 0 {
						finer = append(finer, part)
					}
				}
			}
			classes = finer
		})
	}
	slices.SortFunc(classes, func(a, b uint16) int { return digitsOf(a)[0] - digitsOf(b)[0] })
	return classes
}

func (e *enumeration) profile(facts Facts, population map[int]int64) Profile {
	numbers := make([]int, e.days)
	date := e.from
	for i := range numbers {
		facts.BirthDate = date
		numbers[i] = e.ask(&facts, civil.DayDigit(date), civil.YearDigit(date))
		date = civil.AddDays(date, 1)
	}
	facts.BirthDate = civil.Date{}
	p := Profile{Facts: facts}
	for i := 0; i < len(numbers); {
		end := i + 1
		for end < len(numbers) && numbers[end] == numbers[i] {
			end++
		}
		p.Intervals = append(p.Intervals, Interval{e.date(i), e.date(end - 1), e.windows[numbers[i]]})
		i = end
	}
	p.Rows = e.rows(&facts, numbers)
	if population != nil {
		p.HeadCounts = e.headCounts(p.Rows, numbers, population)
	}
	return p
}

func (e *enumeration) date(i int) civil.Date {
	return civil.FromDayNumber(e.first + int32(i)) //nolint:gosec // At most a few hundred thousand days.
}

// ask evaluates one birth date at every moment of every wave, and returns the number of its list of windows. The digits
// are those of the birth date, except where rows ask what another digit would get.
func (e *enumeration) ask(facts *Facts, dayDigit, yearDigit int) int {
	p := person{
		facts: facts, birthKey: dateKey(facts.BirthDate), dayDigit: dayDigit, yearDigit: yearDigit, leap: e.rs.leap,
	}
	e.key = e.key[:0]
	for i := range e.rs.waves {
		w := &e.rs.waves[i]
		last, lastUnknown := No, 0
		for j := range e.moments[i] {
			p.asking = e.moments[i][j].date
			answer, unknown := w.who(&p, anySlot), 0
			if answer == Depends {
				unknown = e.name(w.rule.unknown(&p, e.scratch[:0]))
			}
			if answer == last && unknown == lastUnknown {
				continue
			}
			// A change: what began ends here, and what isn't no begins here.
			if last != No {
				e.key = binary.BigEndian.AppendUint16(e.key, uint16(j)) // MaxWindowDays bounds it.
			}
			if answer != No {
				e.key = append(e.key, byte(i), byte(answer)) //nolint:gosec // MaxWaves bounds it.
				e.key = binary.BigEndian.AppendUint32(e.key, uint32(unknown))
				e.key = binary.BigEndian.AppendUint16(e.key, uint16(j)) // MaxWindowDays bounds it.
			}
			last, lastUnknown = answer, unknown
		}
		if last != No {
			e.key = binary.BigEndian.AppendUint16(e.key, uint16(len(e.moments[i]))) //nolint:gosec // As above.
		}
		e.asked += int64(len(e.moments[i]))
	}
	number, known := e.numbers[string(e.key)]
	if !known {
		number = len(e.windows)
		e.numbers[string(e.key)] = number
		e.windows = append(e.windows, e.decode(e.key))
	}
	return number
}

// decode turns a key of ask into windows. A window is 10 bytes: wave, answer, unknown facts, first moment, end.
func (e *enumeration) decode(key []byte) []Window {
	var list []Window
	for ; len(key) > 0; key = key[10:] {
		w := &e.rs.waves[key[0]]
		moments := e.moments[key[0]]
		closes := w.closes
		if end := int(binary.BigEndian.Uint16(key[8:])); end < len(moments) {
			closes = moments[end].at
		}
		list = append(list, Window{
			Wave: w.id, OpensAt: moments[binary.BigEndian.Uint16(key[6:])].at, ClosesAt: closes,
			DependsOn: e.names[binary.BigEndian.Uint32(key[2:])],
		})
	}
	return list
}

// name numbers a list of unknown facts.
func (e *enumeration) name(facts []string) int {
	e.scratch = facts
	key := strings.Join(facts, "\x00")
	number, known := e.unknown[key]
	if !known {
		number = len(e.names)
		e.unknown[key] = number
		e.names = append(e.names, slices.Clone(facts))
	}
	return number
}

// run is a stretch of birth dates, by index, of one class.
type run struct {
	from, to int
	number   int
}

// rows finds, for each class of digits, the runs of birth dates that get the same, and joins classes with equal runs.
func (e *enumeration) rows(facts *Facts, numbers []int) []Row {
	matrix := map[run][]class{}
	for _, c := range e.classes {
		for _, r := range e.runs(facts, c, numbers) {
			matrix[r] = append(matrix[r], c)
		}
	}
	rows := []Row{}
	for r, classes := range matrix {
		for _, c := range rectangles(classes) {
			rows = append(rows, Row{
				BirthFrom: e.date(r.from), BirthTo: e.date(r.to), Windows: e.windows[r.number],
				DayDigits: someDigits(c.days), YearDigits: someDigits(c.years),
			})
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return compareRows(&a, &b) })
	return rows
}

func compareRows(a, b *Row) int {
	if c := a.BirthFrom.Compare(b.BirthFrom); c != 0 {
		return c
	}
	if c := slices.Compare(a.YearDigits, b.YearDigits); c != 0 {
		return c
	}
	if c := slices.Compare(a.DayDigits, b.DayDigits); c != 0 {
		return c
	}
	return a.BirthTo.Compare(b.BirthTo)
}

// runs walks the birth dates of a class. Where what they get changes between one such date and the next, the days in
// between, which have other digits, are asked as if they had these: so a run begins on 1 January if the rule does, and
// not on the 9th. Days that fit neither side are left out, for nobody of the class is born on them.
func (e *enumeration) runs(facts *Facts, c class, numbers []int) []run {
	asIf := func(i int) int {
		asked := *facts
		asked.BirthDate = e.date(i)
		return e.ask(&asked, c.day, c.year)
	}
	// stretch finds how far, from one day towards another, everybody would get the same. The other day isn't included.
	stretch := func(from, towards, step, number int) int {
		for from+step != towards && asIf(from+step) == number {
			from += step
		}
		return from
	}
	var list []run
	last := -1 // The last birth date of the class so far.
	for i, number := range numbers {
		date := e.date(i)
		if c.days&(1<<civil.DayDigit(date)) == 0 || c.years&(1<<civil.YearDigit(date)) == 0 {
			continue
		}
		switch {
		case last < 0:
			list = append(list, run{stretch(i, -1, -1, number), i, number})
		case number != numbers[last]:
			current := &list[len(list)-1]
			current.to = stretch(last, i, 1, current.number)
			list = append(list, run{stretch(i, current.to, -1, number), i, number})
		}
		last = i
	}
	if last >= 0 {
		list[len(list)-1].to = stretch(last, len(numbers), 1, numbers[last])
	}
	return list
}

// rectangles joins classes into as few sets of day digits × year digits as simple grouping finds.
func rectangles(classes []class) []class {
	daysOf := map[uint16]uint16{} // Of each set of year digits.
	for _, c := range classes {
		daysOf[c.years] |= c.days
	}
	yearsOf := map[uint16]uint16{}
	for years, days := range daysOf {
		yearsOf[days] |= years
	}
	var joined []class
	for days, years := range yearsOf {
		joined = append(joined, class{days: days, years: years})
	}
	return joined
}

// someDigits lists the digits of a mask, none if it is all of them.
func someDigits(mask uint16) []int {
	if mask == 1<<10-1 {
		return nil
	}
	return digitsOf(mask)
}

// profiles are the combinations of facts that the rules can tell apart: nothing known; then everything known that the
// rules look at, from nothing in particular to more and more at once. Beyond most, what is left out is said.
func (rs *RuleSet) profiles(most int) (profiles []Facts, notCovered []string) {
	profiles = []Facts{{}}
	var dimensions [][]func(*Facts) // Each: the ways in which one fact can be other than nothing.
	base := Facts{}
	needs := rs.Needs()
	if len(needs.Lists) > 0 {
		base.Lists = OnLists()
		for _, name := range needs.Lists {
			dimensions = append(dimensions, []func(*Facts){func(f *Facts) {
				f.Lists.Names = append(slices.Clone(f.Lists.Names), name)
			}})
		}
	}
	if needs.Region {
		base.Region = LivesIn("")
		var ways []func(*Facts)
		for _, code := range rs.regionClasses() {
			ways = append(ways, func(f *Facts) { f.Region = LivesIn(code) })
		}
		dimensions = append(dimensions, ways)
	}
	if needs.Doses {
		base.Doses = HadDoses()
		for _, doses := range rs.doseClasses() {
			var ways []func(*Facts)
			for _, dose := range doses {
				ways = append(ways, func(f *Facts) { f.Doses.Given = append(slices.Clone(f.Doses.Given), dose) })
			}
			dimensions = append(dimensions, ways)
		}
		notCovered = append(notCovered,
			"Dose dates are those at which a rule turns within a window; other dates lie between them.")
	}
	if len(dimensions) == 0 {
		return profiles, notCovered
	}
	possible := 2.0 // Nothing known, and nothing in particular. A float: the product may be astronomic.
	combinations := 1.0
	for _, ways := range dimensions {
		combinations *= float64(len(ways) + 1)
	}
	possible += combinations - 1
	for weight := 0; weight <= len(dimensions) && len(profiles) < most; weight++ {
		profiles = combine(dimensions, weight, base, profiles, most)
	}
	if left := possible - float64(len(profiles)); left > 0 {
		notCovered = append(notCovered, fmt.Sprintf(
			"%.0f of %.0f combinations of lists, regions and doses that the rules name: those with the most facts at once.",
			left, possible))
	}
	return profiles, notCovered
}

// combine adds the profiles in which exactly weight facts are other than nothing.
func combine(dimensions [][]func(*Facts), weight int, f Facts, profiles []Facts, most int) []Facts {
	switch {
	case len(profiles) >= most || weight > len(dimensions):
		return profiles
	case weight == 0:
		return append(profiles, f)
	}
	for _, way := range dimensions[0] {
		chosen := f
		way(&chosen)
		profiles = combine(dimensions[1:], weight-1, chosen, profiles, most)
	}
	return combine(dimensions[1:], weight, f, profiles, most)
}

// regionClasses returns one code for each set of codes that the rules can't tell apart, except the set that is in none
// of them.
func (rs *RuleSet) regionClasses() []string {
	var operators []*node
	var candidates []string
	for i := range rs.waves {
		rs.waves[i].rule.leaves(func(n *node) {
			if n.op == isRegion {
				operators = append(operators, n)
				candidates = append(append(candidates, n.codes...), n.prefixes...)
			}
		})
	}
	slices.Sort(candidates)
	seen := map[string]bool{strings.Repeat("n", len(operators)): true}
	var codes []string
	for _, code := range slices.Compact(candidates) {
		in := LivesIn(code)
		var signature strings.Builder
		for _, n := range operators {
			signature.WriteByte(n.inRegion(&in).String()[0])
		}
		if !seen[signature.String()] {
			seen[signature.String()] = true
			codes = append(codes, code)
		}
	}
	return codes
}

// otherProduct stands for any product that no rule names.
const otherProduct = "(another product)"

// doseClasses returns, for each dose number that rules name, doses of each product on the dates at which a rule turns
// just before, at and after the ends of a window.
func (rs *RuleSet) doseClasses() [][]Dose {
	products := map[int][]string{}
	dates := map[int][]civil.Date{}
	for i := range rs.waves {
		w := &rs.waves[i]
		w.rule.leaves(func(n *node) {
			if n.op != isDaysSinceDose {
				return
			}
			first, last := civil.Of(w.opens, rs.zone), civil.Of(w.closes.Add(-1), rs.zone)
			switch n.day.Kind {
			case OnSlot:
				first, last = w.from, w.to
			case OnDate:
				first, last = n.day.Date, n.day.Date
			case OnAsking, Unsaid:
			}
			if n.name != "" {
				products[n.number] = append(products[n.number], n.name, otherProduct)
			}
			for _, day := range []civil.Date{first, last} {
				at := civil.AddDays(day, -int(n.lo))
				dates[n.number] = append(dates[n.number], at, civil.AddDays(at, 1))
				if n.hi != noUpper {
					at = civil.AddDays(day, -int(n.hi))
					dates[n.number] = append(dates[n.number], civil.AddDays(at, -1), at)
				}
			}
		})
	}
	var classes [][]Dose
	for number := 1; number <= MaxDoseNumber; number++ {
		days := dates[number]
		if len(days) == 0 {
			continue
		}
		slices.SortFunc(days, civil.Date.Compare)
		names := append([]string{}, products[number]...)
		slices.Sort(names)
		if names = slices.Compact(names); len(names) == 0 {
			names = []string{otherProduct}
		}
		var doses []Dose
		for _, day := range slices.Compact(days) {
			for _, name := range names {
				doses = append(doses, Dose{Number: number, On: day, Product: name})
			}
		}
		classes = append(classes, doses)
	}
	return classes
}
