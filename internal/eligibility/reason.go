package eligibility

import (
	"slices"
	"time"

	"jari/internal/civil"
)

// Code says why somebody can't book. Codes are part of the public API: they are never renamed and never change their
// operands.
type Code string

// The codes and their operands, which are the fields of Reason. "excluded" codes come from rules inside a not: the
// person is what the operands describe, and just that is shut out.
const (
	BirthDateInvalid       Code = "birth_date_invalid"        // No operands: the date is missing or doesn't exist.
	BirthDateOutOfRange    Code = "birth_date_out_of_range"   // from, to; one may be missing.
	BirthDateExcluded      Code = "birth_date_excluded"       // from, to.
	YearAgeOutOfRange      Code = "year_age_out_of_range"     // min, max, in; min or max may be missing.
	YearAgeExcluded        Code = "year_age_excluded"         // min, max, in.
	FullAgeOutOfRange      Code = "full_age_out_of_range"     // min, max, on.
	FullAgeExcluded        Code = "full_age_excluded"         // min, max, on.
	BirthDayDigitMismatch  Code = "birth_day_digit_mismatch"  // digits.
	BirthDayDigitExcluded  Code = "birth_day_digit_excluded"  // digits.
	BirthYearDigitMismatch Code = "birth_year_digit_mismatch" // digits.
	BirthYearDigitExcluded Code = "birth_year_digit_excluded" // digits.
	NotOnList              Code = "not_on_list"               // list.
	OnExcludedList         Code = "on_excluded_list"          // list.
	RegionNotIncluded      Code = "region_not_included"       // regions.
	RegionExcluded         Code = "region_excluded"           // regions.
	DoseMissing            Code = "dose_missing"              // dose.
	DoseOtherProduct       Code = "dose_other_product"        // dose, product: the one that is asked for.
	DoseTooRecent          Code = "dose_too_recent"           // dose, min, from: the first day that is late enough.
	DoseTooLongAgo         Code = "dose_too_long_ago"         // dose, max, to: the last day that was early enough.
	DoseExcluded           Code = "dose_excluded"             // dose, min, max, product.
	WindowNotOpenYet       Code = "window_not_open_yet"       // opens_at.
	WindowClosed           Code = "window_closed"             // closes_at.
	SlotDayOutOfRange      Code = "slot_day_out_of_range"     // from, to.
	SlotDaysOver           Code = "slot_days_over"            // to: the last slot day of the wave is past.
)

// Reason is one code with its operands; those that a code doesn't have are zero and missing in JSON. Wave is the wave
// it is about; where several waves fail a person alike, the first in the file stands for them.
type Reason struct {
	Code     Code       `json:"code"`
	Wave     string     `json:"wave,omitempty"`
	From     civil.Date `json:"from,omitzero"`
	To       civil.Date `json:"to,omitzero"`
	OpensAt  time.Time  `json:"opens_at,omitzero"`
	ClosesAt time.Time  `json:"closes_at,omitzero"`
	Min      *int       `json:"min,omitempty"` // Years, or days since a dose.
	Max      *int       `json:"max,omitempty"`
	In       int        `json:"in,omitempty"` // The reference year.
	On       string     `json:"on,omitempty"` // "asking", "slot" or a date.
	Digits   []int      `json:"digits,omitempty"`
	List     string     `json:"list,omitempty"`
	Regions  []string   `json:"regions,omitempty"`
	Dose     int        `json:"dose,omitempty"`
	Product  string     `json:"product,omitempty"`
}

// MaxReasons bounds the reasons of one decision.
const MaxReasons = 32

// reasons collects reasons, each kind of failure once.
type reasons []Reason

func (rs *reasons) add(r Reason) {
	if len(*rs) == MaxReasons {
		return
	}
	for i := range *rs {
		if (*rs)[i].sameBut(&r) {
			return
		}
	}
	*rs = append(*rs, r)
}

// sameBut compares everything but the wave.
func (r *Reason) sameBut(o *Reason) bool {
	return r.Code == o.Code && r.From == o.From && r.To == o.To && r.OpensAt.Equal(o.OpensAt) &&
		r.ClosesAt.Equal(o.ClosesAt) && equalInt(r.Min, o.Min) && equalInt(r.Max, o.Max) && r.In == o.In && r.On == o.On &&
		slices.Equal(r.Digits, o.Digits) && r.List == o.List && slices.Equal(r.Regions, o.Regions) &&
		r.Dose == o.Dose && r.Product == o.Product
}

func equalInt(a, b *int) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

// explain adds why a rule says no. Of an all, those parts that say no; of an any, every part.
func (n *node) explain(p *person, wave string, out *reasons) {
	if n.eval(p) != No {
		return
	}
	if n.op == isAll || n.op == isAny {
		for i := range n.kids {
			n.kids[i].explain(p, wave, out)
		}
		return
	}
	r := n.reason(p)
	r.Wave = wave
	out.add(r)
}

// reason is why a leaf says no.
func (n *node) reason(p *person) Reason {
	pick := func(fails, excluded Code) Code {
		if n.negated {
			return excluded
		}
		return fails
	}
	var r Reason
	switch n.op {
	case isBirthDate:
		r.Code = pick(BirthDateOutOfRange, BirthDateExcluded)
		if n.lo != noLower {
			r.From = keyDate(n.lo)
		}
		if n.hi != noUpper {
			r.To = keyDate(n.hi)
		}
	case isYearAge:
		r = Reason{Code: pick(YearAgeOutOfRange, YearAgeExcluded), In: n.number, Min: n.min(), Max: n.max()}
	case isFullAge:
		r = Reason{Code: pick(FullAgeOutOfRange, FullAgeExcluded), On: n.day.String(), Min: n.min(), Max: n.max()}
	case isBirthDayDigit:
		r = Reason{Code: pick(BirthDayDigitMismatch, BirthDayDigitExcluded), Digits: n.digitList()}
	case isBirthYearDigit:
		r = Reason{Code: pick(BirthYearDigitMismatch, BirthYearDigitExcluded), Digits: n.digitList()}
	case isInList:
		r = Reason{Code: pick(NotOnList, OnExcludedList), List: n.name}
	case isRegion:
		r = Reason{Code: pick(RegionNotIncluded, RegionExcluded), Regions: slices.Clone(n.regions)}
	case isDaysSinceDose:
		r = n.doseReason(p)
	case isAll, isAny: // Not leaves.
	}
	return r
}

func (n *node) doseReason(p *person) Reason {
	r := Reason{Dose: n.number}
	dose, given := p.facts.Doses.find(n.number)
	switch {
	case n.negated:
		r.Code, r.Product, r.Min, r.Max = DoseExcluded, n.name, n.min(), n.max()
	case !given:
		r.Code = DoseMissing
	case n.name != "" && dose.Product != "" && dose.Product != n.name:
		r.Code, r.Product = DoseOtherProduct, n.name
	case civil.DaysBetween(dose.On, p.on(n.day)) < int(n.lo):
		r.Code, r.Min, r.From = DoseTooRecent, n.min(), civil.AddDays(dose.On, int(n.lo))
	default:
		r.Code, r.Max, r.To = DoseTooLongAgo, n.max(), civil.AddDays(dose.On, int(n.hi))
	}
	return r
}

func (n *node) min() *int { return bound(n.lo, noLower) }
func (n *node) max() *int { return bound(n.hi, noUpper) }

func bound(value, none int32) *int {
	if value == none {
		return nil
	}
	v := int(value)
	return &v
}

func (n *node) digitList() []int { return digitsOf(n.digits) }

func digitsOf(mask uint16) []int {
	var digits []int
	for digit := range 10 {
		if mask&(1<<digit) != 0 {
			digits = append(digits, digit)
		}
	}
	return digits
}
