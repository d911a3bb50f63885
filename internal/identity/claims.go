package identity

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"jari/internal/civil"
	"jari/internal/fault"
)

// The schemes: what makes two requests the same person.
const (
	// SchemePhone finds a person by name, birth date and phone: what they say of themselves, and a phone that is theirs.
	SchemePhone = "phone"
	// SchemeNationalID finds a person by the keyed hash of a Korean national id, which says the birth date too.
	SchemeNationalID = "national_id"
	// SchemeList finds a person by their entry in an imported list of entitled people.
	SchemeList = "list"
	// SchemeOIDC finds a person by what an OpenID provider calls them.
	SchemeOIDC = "oidc"
)

// Claims are what people say of themselves. Which are needed depends on the scheme.
type Claims struct {
	Scheme    string
	Name      string
	BirthDate civil.Date
	Phone     string
	// NationalID is hashed and forgotten, Number is that of an entry in a list.
	NationalID string
	Number     string

	// mistyped: the check digit of the national id doesn't fit, which warns and no more.
	mistyped bool
}

// LogValue shows the scheme alone.
func (c Claims) LogValue() slog.Value { return slog.StringValue(c.Scheme) }

// oldest is the first birth date that is believed; nobody alive is older.
var oldest = civil.Date{Year: 1900, Month: time.January, Day: 1}

const (
	maxNameRunes   = 100
	maxNumberRunes = 64
)

// PhoneRules say which numbers codes are sent to.
type PhoneRules struct {
	// Region is where national numbers belong to, Regions are the ones that are sent to (ISO 3166).
	Region  string
	Regions []string
}

// normalise returns the claims in one spelling each, with the birth date that a national id says, or says which are wrong.
// today is the date of shown time.
func (c Claims) normalise(offered string, rules PhoneRules, today civil.Date) (Claims, error) {
	if c.Scheme != offered || offered == SchemeOIDC {
		return Claims{}, fault.New(fault.Invalid, fault.CodeSchemeNotOffered).Field("/scheme", "this deployment offers: "+offered)
	}
	invalid := fault.New(fault.Invalid, fault.CodeInvalidRequest)
	name, problem := readName(c.Name)
	if problem != "" {
		invalid = invalid.Field("/name", problem)
	}
	out := Claims{Scheme: c.Scheme, Name: name, BirthDate: c.BirthDate}
	unwanted := map[string]bool{"/national_id": c.NationalID != "", "/number": c.Number != ""}
	born := "/birth_date"
	switch c.Scheme {
	case SchemeNationalID:
		delete(unwanted, "/national_id")
		unwanted[born] = !c.BirthDate.IsZero()
		born = "/national_id"
		digits, said, err := ParseNationalID(c.NationalID)
		if e, ok := errors.AsType[*fault.Error](err); ok {
			invalid = invalid.Field(e.Fields[0].Pointer, e.Fields[0].Problem)
		} else if !believable(said.BirthDate, today) {
			invalid = invalid.Field(born, unbelievable)
		}
		out.NationalID, out.BirthDate, out.mistyped = digits, said.BirthDate, !said.CheckDigitFits
	case SchemeList:
		delete(unwanted, "/number")
		if out.Number, problem = readNumber(c.Number); problem != "" {
			invalid = invalid.Field("/number", problem)
		}
	}
	if born == "/birth_date" && !believable(c.BirthDate, today) {
		invalid = invalid.Field(born, unbelievable)
	}
	for _, pointer := range slices.Sorted(maps.Keys(unwanted)) {
		if unwanted[pointer] {
			invalid = invalid.Field(pointer, "isn't asked for under the scheme "+offered)
		}
	}
	if len(invalid.Fields) > 0 {
		return Claims{}, invalid
	}
	phone, err := NormalisePhone(c.Phone, rules)
	if err != nil {
		return Claims{}, err
	}
	out.Phone = phone
	return out, nil
}

const unbelievable = "must be between 1900-01-01 and today"

func believable(born, today civil.Date) bool { return !born.Before(oldest) && !born.After(today) }

// readName brings a name into one spelling, or says what is wrong with it.
func readName(text string) (name, problem string) {
	if syllables(text) && utf8.RuneCountInString(text) <= maxNameRunes {
		return text, ""
	}
	name = NormaliseName(text)
	if n := len([]rune(name)); n == 0 || n > maxNameRunes || !strings.ContainsFunc(name, unicode.IsLetter) {
		return "", "must be a name of 1 to 100 letters"
	}
	if strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) {
		return "", "has characters that can't be part of a name"
	}
	return name, ""
}

// readNumber brings the number of an entry into one spelling: without separators and case. It is a text: zeros in front of
// it stay, since 0012 and 12 are two people's.
func readNumber(text string) (number, problem string) {
	if text != "" && len(text) <= maxNumberRunes && digitsAlone(text) {
		return text, ""
	}
	var b strings.Builder
	for _, r := range cases.Fold().String(norm.NFKC.String(text)) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r):
			b.WriteRune(r)
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), unicode.Is(unicode.Cf, r):
		default:
			return "", "must be letters and digits"
		}
	}
	if utf8.RuneCountInString(b.String()) > maxNumberRunes {
		return "", "must have at most 64 letters and digits"
	}
	return b.String(), ""
}

// syllables tells whether a name is whole Korean syllables and nothing else, as nearly all names of a Korean list are: such a
// name has one spelling, and finding that out the general way takes longer than everything else of a row. Properties hold
// both against each other.
func syllables(name string) bool {
	for _, r := range name {
		if r < '가' || r > '힣' {
			return false
		}
	}
	return name != ""
}

// digitsAlone tells whether a text is digits of ASCII and nothing else.
func digitsAlone(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// NormaliseName brings a name into one spelling: composed characters (a Korean syllable typed on a Mac arrives as its
// letters), single spaces, no space at the ends.
func NormaliseName(name string) string {
	if syllables(name) {
		return name
	}
	return strings.Join(strings.Fields(norm.NFKC.String(name)), " ")
}

// folded is the spelling of a name that finds a person: without case, without spaces, which people put and leave out as
// they like, and without marks of formatting, which nobody sees and which come along when a name is pasted.
func folded(name string) string {
	if syllables(name) {
		return name
	}
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

// Phone is a number that people typed as it is kept, or empty for one that this deployment doesn't know.
func (s *Service) Phone(typed string) string {
	phone, err := NormalisePhone(typed, s.rules.Phones)
	if err != nil {
		return ""
	}
	return phone
}
