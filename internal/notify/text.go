package notify

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Visit is what a message says of a booking.
type Visit struct {
	Title     string // of the campaign
	Site      string
	Address   string
	StartsAt  time.Time // in the zone of the campaign
	Reference string
}

// CodeText is the message with a code.
func CodeText(language, code string, lifetime time.Duration) string {
	minutes := int(lifetime.Round(time.Minute) / time.Minute)
	if language == "en" {
		return fmt.Sprintf("[Jari] Your code is %s. It is valid for %d min. Tell it to nobody.", code, minutes)
	}
	return fmt.Sprintf("[Jari] 인증번호 %s (%d분간 유효). 다른 사람에게 알려주지 마세요.", code, minutes)
}

// Kinds are those with words that a campaign may change, in the order of a citizen's way. A code is asked for before anybody
// knows what for, so its words are the deployment's.
func Kinds() []Kind { return []Kind{Booked, Moved, Cancelled, Reminder} }

// Languages are those in which people are told.
func Languages() []string { return []string{"ko", "en"} }

// ownWords are the words of the program, by kind and language.
var ownWords = map[Kind]map[string]string{
	Booked: {
		"ko": "[Jari] 예약 완료: {title}\n{date} {time}\n{site}\n{address}\n예약번호 {reference}",
		"en": "[Jari] Booked: {title}\n{date} {time}\n{site}\n{address}\nReference {reference}",
	},
	Moved: {
		"ko": "[Jari] 예약 변경: {title}\n{date} {time}\n{site}\n{address}\n예약번호 {reference}",
		"en": "[Jari] Moved: {title}\n{date} {time}\n{site}\n{address}\nReference {reference}",
	},
	Cancelled: {
		"ko": "[Jari] 예약 취소: {title}\n{date} {time}\n{site}\n{address}\n예약번호 {reference}",
		"en": "[Jari] Cancelled: {title}\n{date} {time}\n{site}\n{address}\nReference {reference}",
	},
	Reminder: {
		"ko": "[Jari] 내일 예약이 있습니다: {title}\n{date} {time}\n{site}\n{address}\n예약번호 {reference}",
		"en": "[Jari] Your booking is tomorrow: {title}\n{date} {time}\n{site}\n{address}\nReference {reference}",
	},
}

// placeholders are what a template may name, and what stands for it in a message.
var placeholders = map[string]func(language string, v Visit) string{
	"title":     func(_ string, v Visit) string { return v.Title },
	"site":      func(_ string, v Visit) string { return v.Site },
	"address":   func(_ string, v Visit) string { return v.Address },
	"reference": func(_ string, v Visit) string { return v.Reference },
	"time":      func(_ string, v Visit) string { return v.StartsAt.Format("15:04") },
	"date": func(language string, v Visit) string {
		if language == "en" {
			return v.StartsAt.Format("Mon 2 Jan 2006")
		}
		day := []string{"일", "월", "화", "수", "목", "금", "토"}[v.StartsAt.Weekday()]
		return v.StartsAt.Format("2006년 1월 2일") + "(" + day + ")"
	},
}

var placeholder = regexp.MustCompile(`\{([^{}]*)\}`)

// VisitText is the message about a booking that was made, moved, cancelled or is tomorrow, in the words of the program.
func VisitText(language string, kind Kind, v Visit) string {
	return Templates(nil).Text(language, kind, v)
}

// fill puts a visit into a template. What a visit says is never read as a template itself.
func fill(template, language string, v Visit) string {
	return placeholder.ReplaceAllStringFunc(template, func(found string) string {
		if stand, known := placeholders[found[1:len(found)-1]]; known {
			return stand(language, v)
		}
		return found
	})
}

// sample is the visit that templates are judged and shown with: as long as real ones are.
func sample(language string) Visit {
	v := Visit{
		Title: "코로나19 예방접종 50대 사전예약", Site: "서울특별시 종로구보건소 예방접종센터", Address: "서울특별시 종로구 자하문로19길 36",
		StartsAt: time.Date(2021, time.July, 26, 14, 30, 0, 0, korea), Reference: "7K4M-2QXP-9TRD",
	}
	if language == "en" {
		v.Title, v.Site = "COVID-19 vaccination for people in their fifties", "Jongno-gu Public Health Center"
	}
	return v
}

// maxTemplate bounds a template, in characters.
const maxTemplate = 1000

// Check says what is wrong with a template, in English, or nothing.
func Check(kind Kind, template string) (problems []string) {
	note := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	switch n := len([]rune(template)); {
	case strings.TrimSpace(template) == "":
		note("is empty")
	case n > maxTemplate:
		note("has %d characters and at most %d are allowed", n, maxTemplate)
	}
	var named []string
	for _, found := range placeholder.FindAllStringSubmatch(template, -1) {
		if _, known := placeholders[found[1]]; !known {
			note("has the placeholder {%s}, which doesn't exist", found[1])
		}
		named = append(named, found[1])
	}
	if strings.ContainsAny(placeholder.ReplaceAllString(template, ""), "{}") {
		note("has a brace that belongs to no placeholder")
	}
	needed := []string{"date", "time", "reference"}
	if kind == Cancelled {
		needed = []string{"reference"}
	}
	for _, name := range needed {
		if !slices.Contains(named, name) {
			note("must say {%s}", name)
		}
	}
	if strings.ContainsFunc(template, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }) {
		note("has control characters")
	}
	for _, language := range Languages() {
		if Fit(fill(template, language, sample(language))).Cut {
			note("becomes longer than %d bytes", MaxLMS)
			break
		}
	}
	return problems
}
