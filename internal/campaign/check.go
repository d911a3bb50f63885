package campaign

import (
	"fmt"
	"strings"
	"time"

	"jari/internal/civil"
	"jari/internal/eligibility"
)

// CheckOptions are what a check looks at beside the file. The zero value checks the file alone.
type CheckOptions struct {
	// Today is the last birth date that is asked about; zero is the day of the last opening.
	Today civil.Date
	// Previous is what the file is compared with; nil is nothing.
	Previous *Campaign
	// PreviousName is what a report calls it: "version 3".
	PreviousName string
	// Population is the number of people by year of birth, for head counts; nil is none.
	Population map[int]int64
	// MaxEvaluations bounds the work; zero is eligibility.DefaultMaxEvaluations. What is left out for it, the report says.
	MaxEvaluations int64
	// Production tells that citizens will rely on it: what is for development only is refused.
	Production bool
	// Now is when it is to be published, in shown time: what people rely on by then must stay. Zero is not at all.
	Now time.Time
}

// CheckReport is what an administrator reads before publishing.
type CheckReport struct {
	// Publishable says whether it may be published: without a fault, every case passes, and every wave has one.
	Publishable bool   `json:"publishable"`
	Campaign    string `json:"campaign,omitempty"`
	Zone        string `json:"zone,omitempty"`
	// Faults are what is wrong with the file. While there are any, nothing below is known but the numbers of cases.
	Faults   []Fault               `json:"faults"`
	Cases    CheckedCases          `json:"cases"`
	Warnings []eligibility.Warning `json:"warnings"`
	// Profiles are exact: every birth date was asked at every instant at which the rules can change their answer. The
	// first has no facts but the birth date.
	Profiles []eligibility.Profile `json:"profiles"`
	// NotCovered is what the report doesn't speak about, in sentences.
	NotCovered []string   `json:"not_covered"`
	BirthFrom  civil.Date `json:"birth_from,omitzero"`
	BirthTo    civil.Date `json:"birth_to,omitzero"`
	// Boundaries is the number of instants derived from the rules, Evaluations how often a rule was asked.
	Boundaries  int         `json:"boundaries"`
	Evaluations int64       `json:"evaluations"`
	Comparison  *Comparison `json:"comparison,omitempty"`
	// Supply is there if the file names sites and slots, and they were read.
	Supply *Supply `json:"supply,omitempty"`

	// Compiled is what was checked, ready to be published; nil while it has a fault.
	Compiled *Campaign `json:"-"`
}

// CheckedCases is what the file's own cases came to.
type CheckedCases struct {
	Passed           int          `json:"passed"`
	Failed           int          `json:"failed"`
	Failures         []FailedCase `json:"failures"`
	WavesWithoutCase []string     `json:"waves_without_case"` // In the order of the file.
}

// FailedCase is a case that the rules don't answer as expected.
type FailedCase struct {
	Index     int        `json:"index"` // From 0, in the order of the file.
	Line      int        `json:"line,omitempty"`
	Column    int        `json:"column,omitempty"`
	Name      string     `json:"name,omitempty"`
	BirthDate civil.Date `json:"birth_date"`
	At        time.Time  `json:"at"`
	SlotOn    civil.Date `json:"slot_on,omitzero"` // Set: the question is about a slot of that day.
	Message   string     `json:"message"`
	// Explanation is what the person would have been told, one English sentence a line; empty if nobody could be asked.
	Explanation string               `json:"explanation,omitempty"`
	Got         eligibility.Decision `json:"got"`
}

// Comparison is what the file changes.
type Comparison struct {
	With       string               `json:"with"`
	Changes    []eligibility.Change `json:"changes"`
	NotCovered []string             `json:"not_covered"`
	// HeadCounts are those before, if there is a population.
	HeadCounts *eligibility.HeadCounts `json:"head_counts,omitempty"`
}

// Supply is what the files beside the campaign describe.
type Supply struct {
	Sites  int `json:"sites"`
	Slots  int `json:"slots"`
	Places int `json:"places"` // The sum of the slots' capacities.
}

// Check reads a campaign file and says what it would do: which birth dates may book when, what looks unintended, and
// what the file's own cases come to. It depends on its arguments alone. The error is a *DocumentError with every reason
// why the file can't be published; the report says the same, and is complete as far as the file can be read.
func Check(raw []byte, opts CheckOptions) (CheckReport, error) {
	r := CheckReport{
		Faults: []Fault{}, Warnings: []eligibility.Warning{}, Profiles: []eligibility.Profile{}, NotCovered: []string{},
		Cases: CheckedCases{Failures: []FailedCase{}, WavesWithoutCase: []string{}},
	}
	if len(raw) > maxDocumentBytes {
		r.Faults = append(r.Faults, Fault{Problem: fmt.Sprintf("the campaign file is larger than %d bytes", maxDocumentBytes)})
		return r, r.Refusal()
	}
	c, f, err := load(raw, 1) // The version isn't known yet, and nothing that is checked here depends on it.
	if err != nil {
		r.Faults = f.faults
		return r, r.Refusal()
	}
	if opts.Production && f.developmentOnly(c) {
		r.Faults = f.faults
		return r, r.Refusal()
	}
	if opts.Previous != nil && !opts.Now.IsZero() && f.losesDraw(c, opts.Previous, opts.Now) {
		r.Faults = f.faults
		return r, r.Refusal()
	}
	r.Compiled, r.Campaign, r.Zone = c, c.ID, c.Zone
	options := eligibility.Options{
		BirthTo: opts.Today, Population: opts.Population, MaxEvaluations: opts.MaxEvaluations, Cases: c.Cases,
	}
	found := eligibility.Enumerate(c.Rules, options)
	r.Profiles, r.Warnings, r.NotCovered = found.Profiles, found.Warnings, found.NotCovered
	r.BirthFrom, r.BirthTo, r.Boundaries, r.Evaluations = found.BirthFrom, found.BirthTo, found.Boundaries, found.Evaluations
	r.Cases = f.cases(c, found.Cases)
	r.Publishable = r.Cases.Failed == 0 && len(r.Cases.WavesWithoutCase) == 0
	if opts.Previous != nil {
		options.BirthTo, options.Cases = found.BirthTo, nil
		before := eligibility.Enumerate(opts.Previous.Rules, options)
		difference := eligibility.Diff(before, found)
		r.Evaluations += before.Evaluations
		r.Comparison = &Comparison{
			With: opts.PreviousName, Changes: difference.Changes, NotCovered: difference.NotCompared,
			HeadCounts: before.Profiles[0].HeadCounts,
		}
	}
	return r, r.Refusal()
}

// cases adds to the result of cases where they stand and what people would have been told.
func (f *file) cases(c *Campaign, found eligibility.CaseReport) CheckedCases {
	checked := CheckedCases{
		Passed: found.Passed, Failed: found.Failed, Failures: []FailedCase{},
		WavesWithoutCase: append([]string{}, found.WavesWithoutCase...),
	}
	titles := map[string]string{}
	for _, w := range c.Waves {
		titles[w.ID] = w.ID + ", " + w.Title.En
	}
	for _, failure := range found.Failures {
		at := f.find(fmt.Sprintf("cases[%d]", failure.Index))
		one := c.Cases[failure.Index]
		failed := FailedCase{
			Index: failure.Index, Line: at.line, Column: at.column, Name: failure.Name, BirthDate: one.BirthDate, At: one.At, SlotOn: one.SlotOn,
			Message: failure.Message, Got: failure.Got,
		}
		if failure.Got.RulesVersion == c.Version {
			failed.Explanation = eligibility.Explain(failure.Got, "en", c.Location, titles)
		}
		checked.Failures = append(checked.Failures, failed)
	}
	return checked
}

// Refuse adds faults of the files beside the campaign, a line each.
func (r *CheckReport) Refuse(err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		r.Faults = append(r.Faults, Fault{Problem: line})
	}
	r.Publishable = false
}

// Refusal is why the file can't be published: a *DocumentError, or nil if it can be.
func (r *CheckReport) Refusal() error {
	if r.Publishable {
		return nil
	}
	faults := append([]Fault{}, r.Faults...)
	for _, c := range r.Cases.Failures {
		faults = append(faults, Fault{
			Line: c.Line, Column: c.Column, Path: fmt.Sprintf("cases[%d]", c.Index),
			Problem: fmt.Sprintf("case %d%s fails: %s", c.Index+1, inBrackets(c.Name), c.Message),
		})
	}
	for _, id := range r.Cases.WavesWithoutCase {
		faults = append(faults, Fault{Path: "cases", Problem: fmt.Sprintf("wave %s has no case that says what is expected of it", id)})
	}
	return &DocumentError{Faults: faults}
}

func inBrackets(name string) string {
	if name == "" {
		return ""
	}
	return " (" + name + ")"
}
