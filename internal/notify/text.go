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
	Telephone string    // of the site; may be empty
	StartsAt  time.Time // in the zone of the campaign
	Reference string
	// Of a place that was taken away: why, and what a booking that was moved was for before.
	Cause Cause
	Was   *Visit
}

// Cause is why a place was taken away.
type Cause string

// The causes.
const (
	Closed Cause = "closed" // the site closes on that day
	Fewer  Cause = "fewer"  // it takes fewer people
)

// causes in plain words, by language.
var causes = map[Cause]map[string]string{
	Closed: {"ko": "예약하신 곳이 그날 문을 닫습니다.", "en": "The place you had booked is closed on that day."},
	Fewer:  {"ko": "예약하신 시간에 받을 수 있는 인원이 줄었습니다.", "en": "The place you had booked can take fewer people at that time."},
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
func Kinds() []Kind {
	return []Kind{Booked, Moved, Cancelled, Reminder, MovedBySite, CancelledBySite}
}

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
	// Whoever reads these asked for nothing: they say what happened, why, and what to do now, also to somebody who booked by
	// telephone and has no screen.
	MovedBySite: {
		"ko": "[Jari] 예약이 옮겨졌습니다: {title}\n{cause}\n전: {old_date} {old_time} {old_site}\n새 예약: {date} {time}\n{site}\n{address}\n" +
			"예약번호 {reference} (그대로)\n따로 하실 일은 없습니다. 새 날짜와 시간에 위에 적힌 곳으로 오세요. " +
			"이 시간이 어려우시면 처음 예약하실 때처럼 바꾸거나 취소하실 수 있습니다.\n문의: {contact}",
		"en": "[Jari] Your booking was moved: {title}\n{cause}\nBefore: {old_date} {old_time}, {old_site}\nNow: {date} {time}\n{site}\n{address}\n" +
			"Reference {reference} (the same)\nYou need do nothing: come at the new time to the place above. " +
			"If it does not suit you, change or cancel it the way you booked.\nQuestions: {contact}",
	},
	CancelledBySite: {
		"ko": "[Jari] 예약이 취소되었습니다: {title}\n{cause}\n취소된 예약: {date} {time}\n{site}\n예약번호 {reference}\n" +
			"다른 자리로 옮겨 드리지 못해 죄송합니다. 이 시간에 오지 마세요. " +
			"예약 기간에는 처음 예약하실 때처럼 다시 예약하실 수 있습니다.\n문의: {contact}",
		"en": "[Jari] Your booking was cancelled: {title}\n{cause}\nIt was for {date} {time}\n{site}\nReference {reference}\n" +
			"We are sorry that we could not move you to another place. Please do not come at that time. " +
			"While booking is open you can book again the way you did before.\nQuestions: {contact}",
	},
}

// placeholders are what a template may name, and what stands for it in a message.
var placeholders = map[string]func(language string, v Visit) string{
	"title":     func(_ string, v Visit) string { return v.Title },
	"site":      func(_ string, v Visit) string { return v.Site },
	"address":   func(_ string, v Visit) string { return v.Address },
	"reference": func(_ string, v Visit) string { return v.Reference },
	"time":      clockTime,
	"date":      date,
	"contact": func(_ string, v Visit) string {
		if v.Telephone != "" {
			return v.Telephone
		}
		return v.Site
	},
	"cause":    func(language string, v Visit) string { return causes[v.Cause][language] },
	"old_site": before(func(_ string, v Visit) string { return v.Site }),
	"old_time": before(clockTime),
	"old_date": before(date),
}

// onlyIn are placeholders that not every kind has something for.
var onlyIn = map[string][]Kind{
	"cause":    {MovedBySite, CancelledBySite},
	"old_site": {MovedBySite}, "old_time": {MovedBySite}, "old_date": {MovedBySite},
}

func clockTime(_ string, v Visit) string { return v.StartsAt.Format("15:04") }

func date(language string, v Visit) string {
	if language == "en" {
		return v.StartsAt.Format("Mon 2 Jan 2006")
	}
	day := []string{"일", "월", "화", "수", "목", "금", "토"}[v.StartsAt.Weekday()]
	return v.StartsAt.Format("2006년 1월 2일") + "(" + day + ")"
}

// before is something of the visit that was before.
func before(say func(string, Visit) string) func(string, Visit) string {
	return func(language string, v Visit) string {
		if v.Was == nil {
			return ""
		}
		return say(language, *v.Was)
	}
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
		Telephone: "02-2148-3520", Cause: Fewer,
	}
	if language == "en" {
		v.Title, v.Site = "COVID-19 vaccination for people in their fifties", "Jongno-gu Public Health Center"
	}
	was := v
	was.StartsAt = time.Date(2021, time.July, 24, 9, 0, 0, 0, korea)
	v.Was = &was
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
		} else if kinds, some := onlyIn[found[1]]; some && !slices.Contains(kinds, kind) {
			note("has the placeholder {%s}, for which a message of this kind has nothing", found[1])
		}
		named = append(named, found[1])
	}
	if strings.ContainsAny(placeholder.ReplaceAllString(template, ""), "{}") {
		note("has a brace that belongs to no placeholder")
	}
	needed := []string{"date", "time", "reference"}
	if kind == Cancelled || kind == CancelledBySite {
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
