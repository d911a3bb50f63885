package identity

import (
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"jari/internal/civil"
	"jari/internal/fault"
)

// NationalID is what a Korean resident registration number (주민등록번호) or registration number of a foreigner
// (외국인등록번호) says of its holder. The number itself is not in it: it is read, hashed and forgotten.
type NationalID struct {
	BirthDate civil.Date
	Female    bool
	Foreigner bool
	// CheckDigitFits is false for most mistyped numbers, and for most numbers given out or changed since October 2020, whose
	// last digits are random. So it may make a page ask "is that right?" and never refuses anybody.
	CheckDigitFits bool
}

const nationalIDDigits = 13

// centuries are the first two digits of the year of birth by the seventh digit of the number: 9 and 0 were given out to those
// born before 1900, 5 to 8 are foreigners'.
var centuries = [10]int{0: 18, 1: 19, 2: 19, 3: 20, 4: 20, 5: 19, 6: 19, 7: 20, 8: 20, 9: 18}

// weights of the first twelve digits in the check digit.
var weights = [nationalIDDigits - 1]int{2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5}

// ParseNationalID reads a number in any spelling (with or without a hyphen, in full width). It returns its thirteen digits,
// which the caller hashes and forgets, and what they say. It refuses with fault.CodeInvalidRequest what isn't thirteen
// digits and a birth date that doesn't exist; the refusal never repeats a digit.
func ParseNationalID(text string) (digits string, said NationalID, err error) {
	invalid := func(problem string) error {
		return fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/national_id", problem)
	}
	digits = digitsOf(text)
	if len(digits) != nationalIDDigits {
		return "", NationalID{}, invalid("must be 13 digits")
	}
	var d [nationalIDDigits]int
	for i := range d {
		d[i] = int(digits[i] - '0')
	}
	kind := d[6]
	said = NationalID{
		BirthDate: civil.Date{Year: centuries[kind]*100 + d[0]*10 + d[1], Month: time.Month(d[2]*10 + d[3]), Day: d[4]*10 + d[5]},
		Female:    kind%2 == 0, Foreigner: kind >= 5 && kind <= 8,
	}
	if !said.BirthDate.IsValid() {
		return "", NationalID{}, invalid("begins with a date that doesn't exist")
	}
	sum := 0
	for i, w := range weights {
		sum += w * d[i]
	}
	check := 11 - sum%11
	if said.Foreigner {
		check += 2
	}
	said.CheckDigitFits = check%10 == d[12]
	return digits, said, nil
}

// digitsOf takes the separators out that people put between digits, and brings digits of any width into one. It returns ""
// where anything else is left.
func digitsOf(text string) string {
	if len(text) > 100 {
		return ""
	}
	var b strings.Builder
	for _, r := range norm.NFKC.String(text) {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), unicode.Is(unicode.Cf, r):
		default:
			return ""
		}
	}
	return b.String()
}
