package eligibility

import (
	"encoding/json"

	"jari/internal/civil"
)

// Facts are what is known about a person. The birth date has to be known; the zero value of every other fact means
// that it isn't, which is different from knowing that there is none. Known facts come from OnLists, LivesIn and HadDoses:
//
//	Facts{BirthDate: born, Lists: OnLists()}    // Known to be on no list; region and doses unknown.
//
// In JSON an unknown fact is a missing member: {"birth_date": "1967-01-01", "lists": []}.
type Facts struct {
	BirthDate civil.Date `json:"birth_date,omitzero"`
	Lists     Lists      `json:"lists,omitzero"`
	Region    Region     `json:"region,omitzero"`
	Doses     Doses      `json:"doses,omitzero"`
}

// Lists are the imported lists that a person is on. A name says "is on it" even where the others aren't known.
type Lists struct {
	Known bool // Names are all of them.
	Names []string
}

// Region is a person's residence code.
type Region struct {
	Known bool
	Code  string // Empty and known: lives in no region that has a code.
}

// Doses are the doses that a person has had. A dose given counts even where the others aren't known.
type Doses struct {
	Known bool // Given are all of them.
	Given []Dose
}

// Dose is one earlier dose. If a number occurs twice, the later date counts.
type Dose struct {
	Number  int        `json:"dose"` // 1 is the first.
	On      civil.Date `json:"on,omitzero"`
	Product string     `json:"product,omitempty"` // Empty: unknown.
}

// OnLists says that a person is on exactly these lists.
func OnLists(names ...string) Lists { return Lists{Known: true, Names: names} }

// LivesIn says that a person's residence code is known.
func LivesIn(code string) Region { return Region{Known: true, Code: code} }

// HadDoses says that a person has had exactly these doses.
func HadDoses(given ...Dose) Doses { return Doses{Known: true, Given: given} }

// IsZero reports whether nothing is known.
func (l Lists) IsZero() bool { return !l.Known && len(l.Names) == 0 }

// IsZero reports whether nothing is known.
func (r Region) IsZero() bool { return !r.Known }

// IsZero reports whether nothing is known.
func (d Doses) IsZero() bool { return !d.Known && len(d.Given) == 0 }

// MarshalJSON writes the names. Partial knowledge can't be told from complete in this form.
func (l Lists) MarshalJSON() ([]byte, error) { return json.Marshal(append([]string{}, l.Names...)) }

// UnmarshalJSON reads a complete list of names; null is unknown.
func (l *Lists) UnmarshalJSON(text []byte) error {
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return err
	}
	*l = Lists{Known: names != nil, Names: names}
	return nil
}

// MarshalJSON writes the code.
func (r Region) MarshalJSON() ([]byte, error) { return json.Marshal(r.Code) }

// UnmarshalJSON reads a code; null is unknown.
func (r *Region) UnmarshalJSON(text []byte) error {
	var code *string
	if err := json.Unmarshal(text, &code); err != nil {
		return err
	}
	*r = Region{}
	if code != nil {
		*r = LivesIn(*code)
	}
	return nil
}

// MarshalJSON writes the doses. Partial knowledge can't be told from complete in this form.
func (d Doses) MarshalJSON() ([]byte, error) { return json.Marshal(append([]Dose{}, d.Given...)) }

// UnmarshalJSON reads a complete list of doses; null is unknown.
func (d *Doses) UnmarshalJSON(text []byte) error {
	var given []Dose
	if err := json.Unmarshal(text, &given); err != nil {
		return err
	}
	*d = Doses{Known: given != nil, Given: given}
	return nil
}

// on reports whether the person is on a list.
func (l *Lists) on(name string) Answer {
	for _, n := range l.Names {
		if n == name {
			return Yes
		}
	}
	if l.Known {
		return No
	}
	return Depends
}

// find returns the dose of a number, the latest if there are several.
func (d *Doses) find(number int) (Dose, bool) {
	var found Dose
	ok := false
	for _, one := range d.Given {
		if one.Number == number && (!ok || found.On.Before(one.On)) {
			found, ok = one, true
		}
	}
	return found, ok
}
