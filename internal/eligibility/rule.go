package eligibility

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"jari/internal/civil"
)

// Limits on one rule. A rule beyond them is refused by the parser or by Compile, with the path of the place.
const (
	MaxRuleBytes    = 64 << 10 // JSON text of one rule.
	MaxRuleDepth    = 16       // Operators inside operators.
	MaxRuleNodes    = 256      // Operators of one rule.
	MaxRegions      = 400      // Codes in one region operator.
	MaxNameBytes    = 64       // A wave id, a list, a region code, a product.
	MaxAge          = 200      // Years.
	MaxDoseNumber   = 20       //
	MaxDoseInterval = 36_500   // Days.
)

// Rule is one node of a rule tree: exactly one of its fields is set. It says who, never when: the window of a wave
// does that. Its JSON is an object with one member, named like the operator:
//
//	{"birth_date": {"from": "1967-01-01", "to": "1968-12-31"}}
//	{"all": [{"year_age": {"min": 18, "max": 49, "in": 2021}}, {"birth_day_digit": [9]}]}
//
// Reading is strict: unknown operators, unknown or repeated members, null, fractions and dates that don't exist are
// refused with the path of the place. What the rule means as a whole (bounds in order, nothing empty) Compile checks.
type Rule struct {
	BirthDate      *BirthDate
	YearAge        *YearAge
	FullAge        *FullAge
	BirthDayDigit  []int
	BirthYearDigit []int
	InList         string
	Region         []string
	DaysSinceDose  *DaysSinceDose
	All            []Rule
	Any            []Rule
	Not            *Rule
}

// BirthDate admits people born between two dates, both inclusive. One may be zero, which leaves that end open.
type BirthDate struct {
	From civil.Date `json:"from,omitzero"`
	To   civil.Date `json:"to,omitzero"`
}

// YearAge admits by reference year minus birth year, both bounds inclusive, in years. A nil bound is open.
type YearAge struct {
	Min *int `json:"min,omitempty"`
	Max *int `json:"max,omitempty"`
	In  int  `json:"in"` // The reference year.
}

// FullAge admits by completed years on a day, both bounds inclusive, in years. A nil bound is open.
type FullAge struct {
	Min *int `json:"min,omitempty"`
	Max *int `json:"max,omitempty"`
	On  Day  `json:"on"`
}

// DaysSinceDose admits by the civil days elapsed since an earlier dose, both bounds inclusive. A nil Min is 0 (the
// dose has been given), a nil Max is open. Product is empty if any product will do.
type DaysSinceDose struct {
	Dose    int    `json:"dose"` // 1 is the first.
	Min     *int   `json:"min,omitempty"`
	Max     *int   `json:"max,omitempty"`
	Product string `json:"product,omitempty"`
	On      Day    `json:"on,omitzero"` // The day counted to: asking if nothing is said.
}

// Day is the day that an operator looks at: a fixed date, the day of asking in the campaign's zone, or the day of the
// slot. The zero value says nothing, and only DaysSinceDose takes that (as the day of asking).
type Day struct {
	Kind DayKind
	Date civil.Date // Set for OnDate only.
}

// DayKind tells the three kinds of Day apart.
type DayKind uint8

// The kinds of Day.
const (
	Unsaid   DayKind = iota
	OnAsking         // "asking": moves while a window is open, so a birthday inside it decides.
	OnSlot           // "slot": the day of the appointment.
	OnDate           // A date.
)

// IsZero reports whether nothing is said.
func (d Day) IsZero() bool { return d.Kind == Unsaid }

// String is "asking", "slot" or the date.
func (d Day) String() string {
	switch d.Kind {
	case OnAsking:
		return "asking"
	case OnSlot:
		return "slot"
	case OnDate:
		return d.Date.String()
	case Unsaid:
	}
	return ""
}

// MarshalText writes what String says.
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads "asking", "slot" or a date.
func (d *Day) UnmarshalText(text []byte) error {
	switch s := string(text); s {
	case "asking":
		*d = Day{Kind: OnAsking}
	case "slot":
		*d = Day{Kind: OnSlot}
	default:
		date, err := civil.Parse(s)
		if err != nil {
			return fmt.Errorf(`%w, nor "asking" or "slot"`, err)
		}
		*d = Day{Kind: OnDate, Date: date}
	}
	return nil
}

// ParseRule reads one rule from JSON. See Rule for what is refused.
func ParseRule(text []byte) (Rule, error) {
	if len(text) > MaxRuleBytes {
		return Rule{}, fmt.Errorf("rule: %d bytes, at most %d are read", len(text), MaxRuleBytes)
	}
	return parseRule(text, "rule", 1)
}

// UnmarshalJSON is ParseRule.
func (r *Rule) UnmarshalJSON(text []byte) error {
	parsed, err := ParseRule(text)
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

// MarshalJSON writes the form that ParseRule reads. It refuses a rule with no operator or with several.
func (r Rule) MarshalJSON() ([]byte, error) {
	names := r.operators()
	if len(names) != 1 {
		return nil, fmt.Errorf("rule: %d operators in one object (%s), exactly one belongs there",
			len(names), strings.Join(names, ", "))
	}
	var operand any
	switch names[0] {
	case opBirthDate:
		operand = r.BirthDate
	case opYearAge:
		operand = r.YearAge
	case opFullAge:
		operand = r.FullAge
	case opBirthDayDigit:
		operand = r.BirthDayDigit
	case opBirthYearDigit:
		operand = r.BirthYearDigit
	case opInList:
		operand = r.InList
	case opRegion:
		operand = r.Region
	case opDaysSinceDose:
		operand = r.DaysSinceDose
	case opAll:
		operand = r.All
	case opAny:
		operand = r.Any
	case opNot:
		operand = r.Not
	}
	return json.Marshal(map[string]any{names[0]: operand})
}

// Names of the operators, as rules write them.
const (
	opBirthDate      = "birth_date"
	opYearAge        = "year_age"
	opFullAge        = "full_age"
	opBirthDayDigit  = "birth_day_digit"
	opBirthYearDigit = "birth_year_digit"
	opInList         = "in_list"
	opRegion         = "region"
	opDaysSinceDose  = "days_since_dose"
	opAll            = "all"
	opAny            = "any"
	opNot            = "not"
)

// operators names the fields that are set, in the order of the struct.
func (r Rule) operators() []string {
	var names []string
	for _, field := range []struct {
		name string
		set  bool
	}{
		{opBirthDate, r.BirthDate != nil},
		{opYearAge, r.YearAge != nil},
		{opFullAge, r.FullAge != nil},
		{opBirthDayDigit, r.BirthDayDigit != nil},
		{opBirthYearDigit, r.BirthYearDigit != nil},
		{opInList, r.InList != ""},
		{opRegion, r.Region != nil},
		{opDaysSinceDose, r.DaysSinceDose != nil},
		{opAll, r.All != nil},
		{opAny, r.Any != nil},
		{opNot, r.Not != nil},
	} {
		if field.set {
			names = append(names, field.name)
		}
	}
	return names
}

func parseRule(text []byte, path string, depth int) (Rule, error) {
	if depth > MaxRuleDepth {
		return Rule{}, fmt.Errorf("%s: operators are nested more than %d deep", path, MaxRuleDepth)
	}
	members, err := parseObject(text, path)
	if err != nil {
		return Rule{}, err
	}
	if len(members) != 1 {
		return Rule{}, fmt.Errorf("%s: %d operators in one object, exactly one belongs there (join several with all or any)",
			path, len(members))
	}
	name, operand := members[0].name, members[0].value
	at := path + "." + name
	var r Rule
	switch name {
	case opBirthDate:
		r.BirthDate = new(BirthDate)
		err = parseMembers(operand, at, map[string]field{"from": dateField(&r.BirthDate.From), "to": dateField(&r.BirthDate.To)})
	case opYearAge:
		r.YearAge = new(YearAge)
		err = parseMembers(operand, at, map[string]field{
			"min": optionalIntField(&r.YearAge.Min), "max": optionalIntField(&r.YearAge.Max), "in": intField(&r.YearAge.In),
		})
	case opFullAge:
		r.FullAge = new(FullAge)
		err = parseMembers(operand, at, map[string]field{
			"min": optionalIntField(&r.FullAge.Min), "max": optionalIntField(&r.FullAge.Max), "on": dayField(&r.FullAge.On),
		})
	case opBirthDayDigit:
		r.BirthDayDigit, err = parseList(operand, at, parseInt)
	case opBirthYearDigit:
		r.BirthYearDigit, err = parseList(operand, at, parseInt)
	case opInList:
		if r.InList, err = parseString(operand, at); err == nil && r.InList == "" {
			err = fmt.Errorf("%s: a list needs a name", at)
		}
	case opRegion:
		r.Region, err = parseList(operand, at, parseString)
	case opDaysSinceDose:
		d := new(DaysSinceDose)
		r.DaysSinceDose = d
		err = parseMembers(operand, at, map[string]field{
			"dose": intField(&d.Dose), "min": optionalIntField(&d.Min), "max": optionalIntField(&d.Max),
			"product": stringField(&d.Product), "on": dayField(&d.On),
		})
	case opAll:
		r.All, err = parseRules(operand, at, depth)
	case opAny:
		r.Any, err = parseRules(operand, at, depth)
	case opNot:
		var inner Rule
		inner, err = parseRule(operand, at, depth+1)
		r.Not = &inner
	default:
		return Rule{}, fmt.Errorf("%s: unknown operator %q", path, name)
	}
	if err != nil {
		return Rule{}, err
	}
	return r, nil
}

func parseRules(text []byte, path string, depth int) ([]Rule, error) {
	return parseList(text, path, func(item []byte, at string) (Rule, error) { return parseRule(item, at, depth+1) })
}

// member is one name and value of a JSON object, in the order of the text.
type member struct {
	name  string
	value json.RawMessage
}

// parseObject splits an object into members. encoding/json would let the last of two equal names win in silence; a
// rule that says two things about one bound has to be refused.
func parseObject(text []byte, path string) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	token, err := decoder.Token()
	if err != nil {
		return nil, fmt.Errorf("%s: not JSON: %w", path, noEOF(err))
	}
	if token != json.Delim('{') {
		return nil, fmt.Errorf("%s: an object belongs here, such as {\"birth_date\": …}", path)
	}
	var members []member
	seen := map[string]bool{}
	for decoder.More() {
		token, err = decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("%s: not JSON: %w", path, noEOF(err))
		}
		name, _ := token.(string) // Inside an object the decoder yields nothing else at this place.
		if seen[name] {
			return nil, fmt.Errorf("%s: %q is said twice", path, name)
		}
		seen[name] = true
		var value json.RawMessage
		if err = decoder.Decode(&value); err != nil {
			return nil, fmt.Errorf("%s.%s: not JSON: %w", path, name, noEOF(err))
		}
		members = append(members, member{name, value})
	}
	if _, err = decoder.Token(); err != nil {
		return nil, fmt.Errorf("%s: not JSON: %w", path, noEOF(err))
	}
	if _, err = decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: something follows the object", path)
	}
	return members, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// field reads one member's value into its place.
type field func(text []byte, path string) error

// parseMembers reads an object whose members all have to be known.
func parseMembers(text []byte, path string, fields map[string]field) error {
	members, err := parseObject(text, path)
	if err != nil {
		return err
	}
	for _, m := range members {
		read, known := fields[m.name]
		if !known {
			return fmt.Errorf("%s: unknown field %q", path, m.name)
		}
		if err = read(m.value, path+"."+m.name); err != nil {
			return err
		}
	}
	return nil
}

func intField(place *int) field {
	return func(text []byte, path string) (err error) {
		*place, err = parseInt(text, path)
		return err
	}
}

func optionalIntField(place **int) field {
	return func(text []byte, path string) error {
		n, err := parseInt(text, path)
		*place = &n
		return err
	}
}

func stringField(place *string) field {
	return func(text []byte, path string) (err error) {
		*place, err = parseString(text, path)
		return err
	}
}

func dateField(place *civil.Date) field {
	return func(text []byte, path string) error {
		s, err := parseString(text, path)
		if err != nil {
			return err
		}
		if *place, err = civil.Parse(s); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	}
}

func dayField(place *Day) field {
	return func(text []byte, path string) error {
		s, err := parseString(text, path)
		if err != nil {
			return err
		}
		if err = place.UnmarshalText([]byte(s)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	}
}

// parseInt reads a whole number as people write it: no fraction, no exponent, not null.
func parseInt(text []byte, path string) (int, error) {
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s: a whole number belongs here", path)
	}
	return int(n), nil
}

func parseString(text []byte, path string) (string, error) {
	text = bytes.TrimSpace(text)
	var s string
	if len(text) == 0 || text[0] != '"' || json.Unmarshal(text, &s) != nil {
		return "", fmt.Errorf("%s: a text in quotes belongs here", path)
	}
	return s, nil
}

func parseList[T any](text []byte, path string, item func([]byte, string) (T, error)) ([]T, error) {
	text = bytes.TrimSpace(text)
	var raw []json.RawMessage
	if len(text) == 0 || text[0] != '[' || json.Unmarshal(text, &raw) != nil {
		return nil, fmt.Errorf("%s: a list in brackets belongs here", path)
	}
	list := make([]T, 0, len(raw))
	for i, one := range raw {
		value, err := item(one, path+"["+strconv.Itoa(i)+"]")
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, nil
}
