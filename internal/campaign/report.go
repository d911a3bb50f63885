package campaign

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"jari/internal/civil"
	"jari/internal/eligibility"
)

// Bounds of what a report prints; its JSON has everything.
const (
	mostProfiles = 12
	mostChanges  = 60
	mostFailures = 30
)

// WriteText writes the report for people: first whether the file could be published, then why not, then what looks
// unintended, then who may book when. name is what the file is called.
func (r *CheckReport) WriteText(w io.Writer, name string) error {
	p := printer{zone: time.UTC}
	if r.Compiled != nil {
		p.zone = r.Compiled.Location
	}
	p.verdict(r, name)
	if r.Compiled != nil {
		p.supply(r.Supply)
		p.cases(&r.Cases)
		p.warnings(r.Warnings)
		p.comparison(r)
		p.profiles(r)
		if len(r.NotCovered) > 0 {
			p.line("")
			p.line("Not covered:")
			for _, text := range r.NotCovered {
				p.line("  %s", text)
			}
		}
		p.line("")
		p.line("Looked at: %s birth dates from %s to %s, %s instants derived from the rules, %s evaluations.",
			grouped(int64(civil.DaysBetween(r.BirthFrom, r.BirthTo)+1)), r.BirthFrom, r.BirthTo,
			grouped(int64(r.Boundaries)), grouped(r.Evaluations))
	}
	if _, err := io.WriteString(w, p.text.String()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

type printer struct {
	text strings.Builder
	zone *time.Location
}

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(&p.text, format, args...)
	p.text.WriteByte('\n')
}

// count says a number with its noun: "1 case", "2 cases".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return grouped(int64(n)) + " " + noun
}

func (p *printer) verdict(r *CheckReport, name string) {
	if r.Publishable {
		p.line("%s can be published.", name)
		return
	}
	var why []string
	if n := len(r.Faults); n > 0 {
		why = append(why, count(n, "fault"))
	}
	if n := r.Cases.Failed; n == 1 {
		why = append(why, "1 case fails")
	} else if n > 1 {
		why = append(why, count(n, "case")+" fail")
	}
	if n := len(r.Cases.WavesWithoutCase); n == 1 {
		why = append(why, "1 wave has no case")
	} else if n > 1 {
		why = append(why, count(n, "wave")+" have no case")
	}
	p.line("%s can't be published: %s.", name, strings.Join(why, ", "))
	for i, fault := range r.Faults {
		if i == mostFaults {
			p.line("  … and %d more", len(r.Faults)-i)
			break
		}
		p.line("  %s", fault)
	}
}

func (p *printer) supply(s *Supply) {
	if s != nil {
		p.line("Beside it: %s, %s, %s.", count(s.Sites, "site"), count(s.Slots, "slot"), count(s.Places, "place"))
	}
}

func (p *printer) cases(c *CheckedCases) {
	p.line("")
	p.line("Cases: %d passed, %d failed.", c.Passed, c.Failed)
	for i, failed := range c.Failures {
		if i == mostFailures {
			p.line("  … and %d more", len(c.Failures)-i)
			break
		}
		p.line("  line %d, case %d%s: %s", failed.Line, failed.Index+1, inBrackets(failed.Name), failed.Message)
		if failed.Explanation == "" {
			continue
		}
		about := ""
		if !failed.SlotOn.IsZero() {
			about = " about " + failed.SlotOn.String()
		}
		p.line("    Somebody born %s, asking at %s%s, is told:", failed.BirthDate, p.instant(failed.At), about)
		for sentence := range strings.SplitSeq(failed.Explanation, "\n") {
			p.line("      %s", sentence)
		}
	}
	for _, id := range c.WavesWithoutCase {
		p.line("  Wave %s has no case that says what is expected of it.", id)
	}
}

func (p *printer) warnings(all []eligibility.Warning) {
	var texts []string
	for _, w := range all {
		if w.Code != eligibility.WarnWaveWithoutCase { // Said with the cases.
			texts = append(texts, w.Message+" ["+string(w.Code)+"]")
		}
	}
	p.line("")
	if len(texts) == 0 {
		p.line("Warnings: none.")
		return
	}
	p.line("Warnings: %d", len(texts))
	for _, text := range texts {
		p.line("  %s", text)
	}
}

func (p *printer) comparison(r *CheckReport) {
	c := r.Comparison
	if c == nil {
		return
	}
	p.line("")
	if len(c.Changes) == 0 {
		p.line("Compared with %s: the same people may book at the same times.", c.With)
	} else {
		p.line("Compared with %s:", c.With)
	}
	lines := p.moves(c.Changes)
	for i, text := range lines {
		if i == mostChanges {
			p.line("  … and %d more", len(lines)-i)
			break
		}
		p.line("  %s", text)
	}
	for _, text := range c.NotCovered {
		p.line("  %s", text)
	}
	if c.HeadCounts == nil || r.Profiles[0].HeadCounts == nil {
		return
	}
	p.line("  People who may book at some time: %s before, %s now.",
		grouped(c.HeadCounts.Admitted), grouped(r.Profiles[0].HeadCounts.Admitted))
	before := map[string]int64{}
	for _, n := range c.HeadCounts.Waves {
		before[n.Wave] = n.People
	}
	for _, n := range r.Profiles[0].HeadCounts.Waves {
		if was, ok := before[n.Wave]; ok && was != n.People {
			p.line("    %s: %s before, %s now", n.Wave, grouped(was), grouped(n.People))
		}
	}
}

// move is a window that people lose or gain.
type move struct {
	facts, window string
	gained        bool
	from, to      civil.Date
	days, years   []int // Digits; nil is all.
}

// moves says of each window who loses and who gains it: a rule for a digit of the birthday changes ten runs of birth
// dates in the same way, and nobody wants to read that ten times.
func (p *printer) moves(changes []eligibility.Change) []string {
	var all []move
	for _, c := range changes {
		before, after := p.each(c.Before), p.each(c.After)
		for _, window := range before {
			if !slices.Contains(after, window) {
				all = append(all, move{known(c.Facts), window, false, c.BirthFrom, c.BirthTo, c.DayDigits, c.YearDigits})
			}
		}
		for _, window := range after {
			if !slices.Contains(before, window) {
				all = append(all, move{known(c.Facts), window, true, c.BirthFrom, c.BirthTo, c.DayDigits, c.YearDigits})
			}
		}
	}
	same := func(a, b move) bool { return a.facts == b.facts && a.window == b.window && a.gained == b.gained }
	// Digits of the same run of birth dates first, then runs that follow each other.
	all = joined(all, func(a *move, b move) bool {
		if !same(*a, b) || a.from != b.from || a.to != b.to || a.days == nil || b.days == nil || !slices.Equal(a.years, b.years) {
			return false
		}
		a.days = append(slices.Clone(a.days), b.days...)
		slices.Sort(a.days)
		if a.days = slices.Compact(a.days); len(a.days) == 10 {
			a.days = nil
		}
		return true
	})
	all = joined(all, func(a *move, b move) bool {
		if !same(*a, b) || civil.AddDays(a.to, 1) != b.from || !slices.Equal(a.days, b.days) || !slices.Equal(a.years, b.years) {
			return false
		}
		a.to = b.to
		return true
	})
	var lines []string
	for _, m := range all {
		what := "lost"
		if m.gained {
			what = "gained"
		}
		text := m.window + " | " + what + " by those born " + born(m.from, m.to, m.days, m.years)
		if m.facts != "" {
			text += ", " + m.facts
		}
		lines = append(lines, text)
	}
	return lines
}

// joined lets each move take in those behind it that it can.
func joined(all []move, take func(*move, move) bool) []move {
	var kept []move
next:
	for _, m := range all {
		for i := range kept {
			if take(&kept[i], m) {
				continue next
			}
		}
		kept = append(kept, m)
	}
	return kept
}

func (p *printer) each(windows []eligibility.Window) []string {
	texts := make([]string, len(windows))
	for i, w := range windows {
		texts[i] = w.Wave + " " + p.instant(w.OpensAt) + " – " + p.instant(w.ClosesAt)
		if len(w.DependsOn) > 0 {
			texts[i] += " (depends on " + strings.Join(w.DependsOn, ", ") + ")"
		}
	}
	return texts
}

func (p *printer) profiles(r *CheckReport) {
	for i := range r.Profiles {
		profile := &r.Profiles[i]
		p.line("")
		if i == mostProfiles {
			p.line("%s more, with other facts: see --json.", count(len(r.Profiles)-i, "profile"))
			return
		}
		if facts := known(profile.Facts); facts == "" {
			p.line("Who may book when, if nothing but the birth date is known. All times are those of %s.", r.Zone)
		} else {
			p.line("Who may book when: %s.", facts)
		}
		p.rows(profile)
	}
}

func (p *printer) rows(profile *eligibility.Profile) {
	var births []string
	for i := range profile.Rows {
		row := &profile.Rows[i]
		births = append(births, "born "+born(row.BirthFrom, row.BirthTo, row.DayDigits, row.YearDigits))
	}
	pad := width(births)
	for i, row := range profile.Rows {
		people := ""
		if profile.HeadCounts != nil {
			people = " | " + grouped(row.People) + " people"
		}
		p.line("  %s | %s%s", padded(births[i], pad), p.windows(row.Windows), people)
	}
	if profile.HeadCounts == nil {
		return
	}
	p.line("  In all %s people may book at some time, %s may not.", grouped(profile.HeadCounts.Admitted), grouped(profile.HeadCounts.NotAdmitted))
	var waves []string
	for _, n := range profile.HeadCounts.Waves {
		text := n.Wave + " " + grouped(n.People)
		if n.Depending > 0 {
			text += " (" + grouped(n.Depending) + " of them only if)"
		}
		waves = append(waves, text)
	}
	p.line("  By wave, which overlap: %s.", strings.Join(waves, ", "))
}

func (p *printer) windows(windows []eligibility.Window) string {
	if len(windows) == 0 {
		return "nobody"
	}
	return strings.Join(p.each(windows), " | ")
}

func (p *printer) instant(t time.Time) string {
	t = t.In(p.zone)
	switch {
	case t.Nanosecond() != 0:
		return t.Format("2006-01-02 15:04:05.999999999")
	case t.Second() != 0:
		return t.Format("2006-01-02 15:04:05")
	}
	return t.Format("2006-01-02 15:04")
}

func born(from, to civil.Date, days, years []int) string {
	text := from.String() + " … " + to.String()
	if days != nil {
		text += ", day ends in " + digitList(days)
	}
	if years != nil {
		text += ", year ends in " + digitList(years)
	}
	return text
}

func digitList(digits []int) string {
	texts := make([]string, len(digits))
	for i, d := range digits {
		texts[i] = strconv.Itoa(d)
	}
	return strings.Join(texts, ",")
}

// known says what is known of a profile's people apart from the birth date; nothing is an empty text.
func known(f eligibility.Facts) string {
	var texts []string
	if f.Lists.Known {
		texts = append(texts, "on "+orNo(f.Lists.Names, "the list ", "list"))
	}
	if f.Region.Known {
		if f.Region.Code == "" {
			texts = append(texts, "in no region that is named")
		} else {
			texts = append(texts, "in the region "+f.Region.Code)
		}
	}
	if f.Doses.Known {
		var doses []string
		for _, d := range f.Doses.Given {
			doses = append(doses, fmt.Sprintf("%d of %s on %s", d.Number, d.Product, d.On))
		}
		texts = append(texts, "had "+orNo(doses, "dose ", "dose"))
	}
	return strings.Join(texts, ", ")
}

func orNo(names []string, before, noun string) string {
	if len(names) == 0 {
		return "no " + noun
	}
	return before + strings.Join(names, " and ")
}

func width(texts []string) int {
	widest := 0
	for _, text := range texts {
		widest = max(widest, utf8.RuneCountInString(text))
	}
	return widest
}

func padded(text string, to int) string {
	return text + strings.Repeat(" ", max(0, to-utf8.RuneCountInString(text)))
}

// grouped writes a number of things with a comma between thousands.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	if n < 1000 {
		return digits
	}
	var groups []string
	for len(digits) > 3 {
		groups = append(groups, digits[len(digits)-3:])
		digits = digits[:len(digits)-3]
	}
	groups = append(groups, digits)
	slices.Reverse(groups)
	return strings.Join(groups, ",")
}
