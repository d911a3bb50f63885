package identity

import (
	"slices"
	"strings"
)

// listedPhone is NormalisePhone for files of hundreds of thousands of rows: Korean mobile numbers in their national form,
// which nearly all of them are, are read by hand, since the library takes longer than everything else of a row. A property
// holds both against each other.
func listedPhone(phone string, rules PhoneRules) (string, error) {
	if rules.Region == "KR" && slices.Contains(rules.Regions, "KR") {
		if e164, ok := koreanMobile(phone); ok {
			return e164, nil
		}
	}
	return NormalisePhone(phone, rules)
}

var hyphens = strings.NewReplacer("-", "", " ", "")

// koreanMobile reads 010-1234-5678 with or without hyphens or single spaces, and says no to whatever it isn't certain of.
func koreanMobile(phone string) (e164 string, ok bool) {
	digits := strings.TrimSpace(phone)
	if len(digits) == len("010-1234-5678") && digits[3] == '-' && digits[8] == '-' {
		digits = digits[:3] + digits[4:8] + digits[9:]
	} else {
		digits = hyphens.Replace(digits)
	}
	if len(digits) != len("01012345678") || !strings.HasPrefix(digits, "010") || !digitsAlone(digits) {
		return "", false
	}
	if digits[3] == '5' { // some of these belong to services, which the library knows
		return "", false
	}
	return "+82" + digits[1:], true
}
