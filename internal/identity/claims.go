package identity

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"jari/internal/civil"
	"jari/internal/fault"
)

// SchemePhone finds a person by name, birth date and phone.
const SchemePhone = "phone"

// Claims are what people say of themselves.
type Claims struct {
	Scheme    string
	Name      string
	BirthDate civil.Date
	Phone     string
}

// oldest is the first birth date that is believed; nobody alive is older.
var oldest = civil.Date{Year: 1900, Month: time.January, Day: 1}

const maxNameRunes = 100

// PhoneRules say which numbers codes are sent to.
type PhoneRules struct {
	// Region is where national numbers belong to, Regions are the ones that are sent to (ISO 3166).
	Region  string
	Regions []string
}

// normalise returns the claims in one spelling each, or says which are wrong. today is the date of shown time.
func (c Claims) normalise(rules PhoneRules, today civil.Date) (Claims, error) {
	if c.Scheme != SchemePhone {
		return Claims{}, fault.New(fault.Invalid, fault.CodeSchemeNotOffered).Field("/scheme", "this deployment offers: phone")
	}
	invalid := fault.New(fault.Invalid, fault.CodeInvalidRequest)
	name := NormaliseName(c.Name)
	if n := len([]rune(name)); n == 0 || n > maxNameRunes || !strings.ContainsFunc(name, unicode.IsLetter) {
		invalid = invalid.Field("/name", "must be a name of 1 to 100 letters")
	} else if strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) {
		invalid = invalid.Field("/name", "has characters that can't be part of a name")
	}
	if c.BirthDate.Before(oldest) || c.BirthDate.After(today) {
		invalid = invalid.Field("/birth_date", "must be between 1900-01-01 and today")
	}
	if len(invalid.Fields) > 0 {
		return Claims{}, invalid
	}
	phone, err := NormalisePhone(c.Phone, rules)
	if err != nil {
		return Claims{}, err
	}
	return Claims{Scheme: c.Scheme, Name: name, BirthDate: c.BirthDate, Phone: phone}, nil
}

// NormaliseName brings a name into one spelling: composed characters (a Korean syllable typed on a Mac arrives as its
// letters), single spaces, no space at the ends.
func NormaliseName(name string) string {
	return strings.Join(strings.Fields(norm.NFKC.String(name)), " ")
}

// folded is the spelling of a name that finds a person: without case, without spaces, which people put and leave out as
// they like, and without marks of formatting, which nobody sees and which come along when a name is pasted.
func folded(name string) string {
	visible := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, name)
	return strings.ReplaceAll(cases.Fold().String(NormaliseName(visible)), " ", "")
}

// NormalisePhone brings a number into E.164, or returns fault.CodePhoneUnsupported for anything that isn't a mobile
// number of a region that codes are sent to.
func NormalisePhone(phone string, rules PhoneRules) (string, error) {
	unsupported := fault.New(fault.Invalid, fault.CodePhoneUnsupported).Field("/phone", "must be a mobile number that this service sends codes to")
	n, err := phonenumbers.Parse(phone, rules.Region)
	if err != nil || !phonenumbers.IsValidNumber(n) || !slices.Contains(rules.Regions, phonenumbers.GetRegionCodeForNumber(n)) {
		return "", unsupported
	}
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
		return phonenumbers.Format(n, phonenumbers.E164), nil
	default:
		return "", unsupported
	}
}

// MaskName shows enough of a name for its owner to recognise it: 홍길동 → 홍*동, 이산 → 이*, John Smith → J*** S****.
func MaskName(name string) string {
	words := strings.Fields(name)
	for i, word := range words {
		runes := []rune(word)
		keepLast := len(runes) > 2 && unicode.Is(unicode.Hangul, runes[0])
		for j := 1; j < len(runes); j++ {
			if keepLast && j == len(runes)-1 {
				continue
			}
			runes[j] = '*'
		}
		words[i] = string(runes)
	}
	return strings.Join(words, " ")
}
