package eligibility

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"jari/internal/civil"
)

// Warning is something in a report that looks unintended. It never refuses anything.
type Warning struct {
	Code       WarningCode `json:"code"`
	Waves      []string    `json:"waves,omitempty"`
	BirthFrom  civil.Date  `json:"birth_from,omitzero"`
	BirthTo    civil.Date  `json:"birth_to,omitzero"`
	DayDigits  []int       `json:"day_digits,omitempty"`
	YearDigits []int       `json:"year_digits,omitempty"`
	Message    string      `json:"message"` // One English sentence for people.
}

// WarningCode says which kind of warning it is. Codes are never renamed.
type WarningCode string

// The warnings.
const (
	// WarnGap: birth dates that no wave admits, between others that some wave does.
	WarnGap WarningCode = "gap"
	// WarnOverlap: two waves that open on different days, and are open together, for the same people. A wave that begins
	// after another has ended is a second chance, and intended.
	WarnOverlap WarningCode = "overlap"
	// WarnAdmitsNobody: a wave that no birth date of any profile can use.
	WarnAdmitsNobody WarningCode = "admits_nobody"
	// WarnAdmitsNewborns: a wave that admits the youngest birth date there is: "or later" where "or earlier" was meant.
	WarnAdmitsNewborns WarningCode = "admits_newborns"
	// WarnWindowOutlivesSlots: a window that closes after the last slot day is over.
	WarnWindowOutlivesSlots WarningCode = "window_outlives_slots"
	// WarnWaveWithoutCase: a wave that no case asks about.
	WarnWaveWithoutCase WarningCode = "wave_without_case"
)

// warnings judges the first profile, in which a wave that depends on unknown facts counts as admitting.
func (rs *RuleSet) warnings(report *Report) []Warning {
	rows := report.Profiles[0].Rows
	list := gaps(rows)
	list = append(list, rs.overlaps(rows)...)
	used := map[string]bool{}
	for _, profile := range report.Profiles {
		for _, row := range profile.Rows {
			for _, window := range row.Windows {
				used[window.Wave] = true
			}
		}
	}
	for i := range rs.waves {
		list = append(list, newborns(rs.waves[i].id, rows, report.BirthTo)...)
	}
	for i := range rs.waves {
		w := &rs.waves[i]
		if !used[w.id] {
			list = append(list, Warning{
				Code: WarnAdmitsNobody, Waves: []string{w.id},
				Message: w.id + " admits nobody in any profile that was enumerated.",
			})
		}
		if w.closes.Before(w.closesAt) {
			list = append(list, Warning{
				Code: WarnWindowOutlivesSlots, Waves: []string{w.id},
				Message: fmt.Sprintf("%s closes at %s, but its last slot day is %s.", w.id, w.closesAt.Format(time.RFC3339), w.to),
			})
		}
	}
	for _, id := range report.Cases.WavesWithoutCase {
		list = append(list, Warning{Code: WarnWaveWithoutCase, Waves: []string{id}, Message: id + " has no case."})
	}
	return list
}

// newborns warns, once, if a wave admits the youngest birth date. Rows say so of every digit, and not of today's alone.
func newborns(wave string, rows []Row, youngest civil.Date) []Warning {
	for _, row := range rows {
		if row.BirthTo != youngest || !slices.ContainsFunc(row.Windows, func(w Window) bool { return w.Wave == wave }) {
			continue
		}
		return []Warning{{
			Code: WarnAdmitsNewborns, Waves: []string{wave}, BirthFrom: row.BirthFrom, BirthTo: youngest,
			DayDigits: row.DayDigits, YearDigits: row.YearDigits,
			Message: fmt.Sprintf("%s admits people born up to %s, the youngest there are.", wave, youngest),
		}}
	}
	return nil
}

// gaps finds rows without a window between the first and the last birth date that have one.
func gaps(rows []Row) []Warning {
	var first, last civil.Date
	for _, row := range rows {
		if len(row.Windows) > 0 {
			if first.IsZero() || row.BirthFrom.Before(first) {
				first = row.BirthFrom
			}
			if row.BirthTo.After(last) {
				last = row.BirthTo
			}
		}
	}
	var list []Warning
	for _, row := range rows {
		if len(row.Windows) > 0 || first.IsZero() || row.BirthTo.Before(first) || row.BirthFrom.After(last) {
			continue
		}
		if row.BirthFrom.Before(first) {
			row.BirthFrom = first
		}
		if row.BirthTo.After(last) {
			row.BirthTo = last
		}
		if !row.anybody() {
			continue
		}
		list = append(list, Warning{
			Code: WarnGap, BirthFrom: row.BirthFrom, BirthTo: row.BirthTo, DayDigits: row.DayDigits, YearDigits: row.YearDigits,
			Message: fmt.Sprintf("No wave admits people born %s, while some admit older and younger people.", row.births()),
		})
	}
	return list
}

// anybody reports whether the row has a birth date with its digits at all.
func (r *Row) anybody() bool {
	for d := r.BirthFrom; !d.After(r.BirthTo); d = civil.AddDays(d, 1) {
		if r.has(class{day: civil.DayDigit(d), year: civil.YearDigit(d)}) {
			return true
		}
	}
	return false
}

// digits are those in which days and years of birth between the two dates end, whatever the row is restricted to.
func (r *Row) digits() (days, years uint16) {
	const all = 1<<10 - 1
	for d := r.BirthFrom; !d.After(r.BirthTo) && (days != all || years != all); d = civil.AddDays(d, 1) {
		days |= 1 << civil.DayDigit(d)
		years |= 1 << civil.YearDigit(d)
	}
	return days, years
}

func (r *Row) births() string {
	text := r.BirthFrom.String() + " to " + r.BirthTo.String()
	if r.DayDigits != nil {
		text += ", day ending in " + join(r.DayDigits)
	}
	if r.YearDigits != nil {
		text += ", year ending in " + join(r.YearDigits)
	}
	return text
}

func (rs *RuleSet) overlaps(rows []Row) []Warning {
	byPair := map[[2]string]*Warning{}
	var order [][2]string
	for _, row := range rows {
		for _, a := range row.Windows {
			for _, b := range row.Windows {
				if a.Wave == b.Wave || len(a.DependsOn) > 0 || len(b.DependsOn) > 0 ||
					!a.OpensAt.Before(b.OpensAt) || !b.OpensAt.Before(a.ClosesAt) ||
					civil.Of(a.OpensAt, rs.zone) == civil.Of(b.OpensAt, rs.zone) {
					continue
				}
				pair := [2]string{a.Wave, b.Wave}
				warning, known := byPair[pair]
				if !known {
					warning = &Warning{Code: WarnOverlap, Waves: pair[:], BirthFrom: row.BirthFrom, BirthTo: row.BirthTo}
					byPair[pair] = warning
					order = append(order, pair)
				}
				if row.BirthFrom.Before(warning.BirthFrom) {
					warning.BirthFrom = row.BirthFrom
				}
				if row.BirthTo.After(warning.BirthTo) {
					warning.BirthTo = row.BirthTo
				}
			}
		}
	}
	var list []Warning
	for _, pair := range order {
		warning := byPair[pair]
		warning.Message = fmt.Sprintf("%s opens while %s is open for the same people, born between %s and %s.",
			pair[1], pair[0], warning.BirthFrom, warning.BirthTo)
		list = append(list, *warning)
	}
	return list
}

// HeadCounts are people, by a table of birth years. Within a year, birth dates count alike.
type HeadCounts struct {
	Waves       []HeadCount `json:"waves"`        // In the order of the file; waves overlap, so they don't add up.
	Admitted    int64       `json:"admitted"`     // By at least one wave, for certain or depending on unknown facts.
	NotAdmitted int64       `json:"not_admitted"` // By none, among the birth dates enumerated.
}

// HeadCount is how many people a wave admits.
type HeadCount struct {
	Wave      string `json:"wave"`
	People    int64  `json:"people"`
	Depending int64  `json:"depending,omitempty"` // Of these, how many only depending on unknown facts.
}

// headCounts counts every birth date as its share of the year's people, and fills the rows' People in.
func (e *enumeration) headCounts(rows []Row, numbers []int, population map[int]int64) *HeadCounts {
	perRow := make([]float64, len(rows))
	people, depending := map[string]float64{}, map[string]float64{}
	var admitted, not float64
	for i, number := range numbers {
		date := e.date(i)
		daysOfYear := 365.0
		if civil.IsLeap(date.Year) {
			daysOfYear = 366
		}
		share := float64(population[date.Year]) / daysOfYear
		if share == 0 {
			continue
		}
		if len(e.windows[number]) > 0 {
			admitted += share
		} else {
			not += share
		}
		certain := map[string]bool{}
		for _, window := range e.windows[number] {
			certain[window.Wave] = certain[window.Wave] || len(window.DependsOn) == 0
		}
		for wave, sure := range certain {
			people[wave] += share
			if !sure {
				depending[wave] += share
			}
		}
		c := class{day: civil.DayDigit(date), year: civil.YearDigit(date)}
		for r := range rows {
			if !date.Before(rows[r].BirthFrom) && !date.After(rows[r].BirthTo) && rows[r].has(c) {
				perRow[r] += share
			}
		}
	}
	for r := range rows {
		rows[r].People = int64(math.Round(perRow[r]))
	}
	counts := &HeadCounts{Admitted: int64(math.Round(admitted)), NotAdmitted: int64(math.Round(not)), Waves: []HeadCount{}}
	for i := range e.rs.waves {
		id := e.rs.waves[i].id
		counts.Waves = append(counts.Waves, HeadCount{
			Wave: id, People: int64(math.Round(people[id])), Depending: int64(math.Round(depending[id])),
		})
	}
	return counts
}

// Difference is what changed from one report to another.
type Difference struct {
	Changes     []Change `json:"changes"`
	NotCompared []string `json:"not_compared"` // Profiles that only one of the reports has, in sentences.
}

// Change is a run of birth dates whose windows changed.
type Change struct {
	Facts      Facts      `json:"facts"`
	BirthFrom  civil.Date `json:"birth_from"`
	BirthTo    civil.Date `json:"birth_to"`
	DayDigits  []int      `json:"day_digits,omitempty"`
	YearDigits []int      `json:"year_digits,omitempty"`
	Before     []Window   `json:"before"`
	After      []Window   `json:"after"`
}

// Diff compares two reports, birth date by birth date, over the birth dates that both have. Reports may come from JSON.
func Diff(before, after Report) Difference {
	d := Difference{Changes: []Change{}, NotCompared: []string{}}
	old := map[string]*Profile{}
	for i := range before.Profiles {
		old[factsKey(before.Profiles[i].Facts)] = &before.Profiles[i]
	}
	for i := range after.Profiles {
		p := &after.Profiles[i]
		key := factsKey(p.Facts)
		if o, both := old[key]; both {
			d.Changes = append(d.Changes, diffProfiles(o, p)...)
			delete(old, key)
		} else {
			d.NotCompared = append(d.NotCompared, "Only the new rules tell this profile apart: "+key)
		}
	}
	for i := range before.Profiles {
		if key := factsKey(before.Profiles[i].Facts); old[key] != nil {
			d.NotCompared = append(d.NotCompared, "Only the old rules tell this profile apart: "+key)
		}
	}
	return d
}

func factsKey(f Facts) string {
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Sprint(f) // Facts are texts and dates: it doesn't happen, and any key will do.
	}
	return string(text)
}

func diffProfiles(before, after *Profile) []Change {
	type key struct {
		from, to      civil.Date
		before, after string
	}
	classesOf := map[key][]class{}
	changes := map[key]Change{}
	for day := range 10 {
		for year := range 10 {
			c := class{day: day, year: year, days: 1 << day, years: 1 << year}
			for _, change := range diffClass(before, after, c) {
				k := key{change.BirthFrom, change.BirthTo, windowsKey(change.Before), windowsKey(change.After)}
				classesOf[k] = append(classesOf[k], c)
				changes[k] = change
			}
		}
	}
	var list []Change
	for k, classes := range classesOf {
		for _, c := range rectangles(classes) {
			change := changes[k]
			// Digits that nobody in the run has are no restriction.
			row := change.row()
			days, years := row.digits()
			change.Facts, change.DayDigits, change.YearDigits = after.Facts, nil, nil
			if days&^c.days != 0 {
				change.DayDigits = digitsOf(c.days)
			}
			if years&^c.years != 0 {
				change.YearDigits = digitsOf(c.years)
			}
			list = append(list, change)
		}
	}
	slices.SortFunc(list, func(a, b Change) int {
		ra, rb := a.row(), b.row()
		return compareRows(&ra, &rb)
	})
	return list
}

func (c *Change) row() Row {
	return Row{BirthFrom: c.BirthFrom, BirthTo: c.BirthTo, DayDigits: c.DayDigits, YearDigits: c.YearDigits}
}

// diffClass compares the rows of one pair of digits, which divide the birth dates in both reports.
func diffClass(before, after *Profile, c class) []Change {
	var list []Change
	olds, news := rowsOf(before, c), rowsOf(after, c)
	for len(olds) > 0 && len(news) > 0 {
		o, n := olds[0], news[0]
		change := Change{BirthFrom: o.BirthFrom, BirthTo: o.BirthTo, Before: o.Windows, After: n.Windows}
		if n.BirthFrom.After(change.BirthFrom) {
			change.BirthFrom = n.BirthFrom
		}
		if n.BirthTo.Before(change.BirthTo) {
			change.BirthTo = n.BirthTo
		}
		if !o.BirthTo.After(n.BirthTo) {
			olds = olds[1:]
		}
		if !n.BirthTo.After(o.BirthTo) {
			news = news[1:]
		}
		row := change.row()
		row.DayDigits, row.YearDigits = []int{c.day}, []int{c.year}
		if change.BirthTo.Before(change.BirthFrom) || windowsKey(change.Before) == windowsKey(change.After) || !row.anybody() {
			continue
		}
		list = append(list, change)
	}
	return list
}

func rowsOf(p *Profile, c class) []*Row {
	var rows []*Row
	for i := range p.Rows {
		if p.Rows[i].has(c) {
			rows = append(rows, &p.Rows[i])
		}
	}
	slices.SortFunc(rows, func(a, b *Row) int { return a.BirthFrom.Compare(b.BirthFrom) })
	return rows
}

func windowsKey(windows []Window) string {
	var b strings.Builder
	for _, w := range windows {
		fmt.Fprintf(&b, "%q %d %d %q;", w.Wave, w.OpensAt.UnixNano(), w.ClosesAt.UnixNano(), w.DependsOn)
	}
	return b.String()
}

// Case is one expectation that a campaign file states about its own rules.
type Case struct {
	Name string `json:"name,omitempty"`
	// Facts stand beside the other members, in JSON as in YAML.
	Facts  `yaml:",inline"`
	At     time.Time  `json:"at"`
	SlotOn civil.Date `json:"slot_on,omitzero"` // Set: the question is about a slot of that day.
	Expect Answer     `json:"expect"`
	// Wave asks that wave alone; empty asks them all.
	Wave string `json:"wave,omitempty"`
	// NextWave and EligibleFrom, where set, are what Decision.Next has to say.
	NextWave     string    `json:"next_wave,omitempty"`
	EligibleFrom time.Time `json:"eligible_from,omitzero"`
}

// CaseReport is the result of a file's cases.
type CaseReport struct {
	Passed           int           `json:"passed"`
	Failed           int           `json:"failed"`
	Failures         []CaseFailure `json:"failures,omitempty"`
	WavesWithoutCase []string      `json:"waves_without_case,omitempty"` // In the order of the file.
}

// CaseFailure is a case that the rules don't answer as expected.
type CaseFailure struct {
	Index   int      `json:"index"` // From 0, in the order of the file.
	Name    string   `json:"name,omitempty"`
	Message string   `json:"message"`
	Got     Decision `json:"got"`
}

// RunCases asks every case. A wave has a case if one names it, or if one is decided by it.
func RunCases(rs *RuleSet, cases []Case) CaseReport {
	var report CaseReport
	asked := map[string]bool{}
	for i := range cases {
		c := &cases[i]
		got, message := c.run(rs)
		asked[c.Wave], asked[got.Wave] = true, true
		if message == "" {
			report.Passed++
			continue
		}
		report.Failed++
		report.Failures = append(report.Failures, CaseFailure{Index: i, Name: c.Name, Message: message, Got: got})
	}
	for i := range rs.waves {
		if id := rs.waves[i].id; !asked[id] {
			report.WavesWithoutCase = append(report.WavesWithoutCase, id)
		}
	}
	return report
}

// run asks one case. The message is empty if the answer is as expected.
func (c *Case) run(rs *RuleSet) (got Decision, message string) {
	if c.At.IsZero() {
		return Decision{}, "the case names no instant"
	}
	if c.Wave != "" {
		i := slices.IndexFunc(rs.waves, func(w wave) bool { return w.id == c.Wave })
		if i < 0 {
			return Decision{}, fmt.Sprintf("there is no wave %q", c.Wave)
		}
		rs = &RuleSet{version: rs.version, zone: rs.zone, leap: rs.leap, waves: rs.waves[i : i+1]}
	}
	if c.SlotOn.IsZero() {
		got = rs.Decide(c.Facts, c.At)
	} else {
		got = rs.DecideSlot(c.Facts, c.At, c.SlotOn)
	}
	var wrong []string
	if got.Answer != c.Expect {
		wrong = append(wrong, fmt.Sprintf("the answer is %s, expected %s", got.Answer, c.Expect))
	}
	next := Next{}
	if got.Next != nil {
		next = *got.Next
	}
	if c.NextWave != "" && next.Wave != c.NextWave {
		wrong = append(wrong, fmt.Sprintf("the next wave is %q, expected %q", next.Wave, c.NextWave))
	}
	if !c.EligibleFrom.IsZero() && !next.EligibleFrom.Equal(c.EligibleFrom) {
		got := "never"
		if !next.EligibleFrom.IsZero() {
			got = next.EligibleFrom.Format(time.RFC3339Nano)
		}
		wrong = append(wrong, fmt.Sprintf("eligible from %s, expected %s", got, c.EligibleFrom.Format(time.RFC3339Nano)))
	}
	return got, strings.Join(wrong, "; ")
}
