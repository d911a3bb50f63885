package eligibility

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"jari/internal/civil"
)

// Explain says a decision in short sentences that somebody of seventy reads once, one sentence a line: the answer, at
// most three reasons, and when to come back. lang is "ko" (also with a region, "ko-KR") or anything else for English.
// Instants are shown as clocks in the zone show them; nil leaves them in the zone that they are in, which is the
// campaign's. titles gives waves and lists a name for people, by wave id and as "list:NAME"; without one the bare name
// stands.
func Explain(d Decision, lang string, zone *time.Location, titles map[string]string) string {
	s := speaker{language: english{}, zone: zone, titles: titles}
	if base, _, _ := strings.Cut(lang, "-"); strings.EqualFold(base, "ko") {
		s.language = korean{}
	}
	var lines []string
	switch d.Answer {
	case Yes:
		lines = append(lines, s.yes(s.title(d.Wave)))
	case Depends:
		lines = append(lines, s.depends(s.title(d.Wave), s.facts(d.DependsOn)))
		if d.Next != nil {
			lines = append(lines, s.otherwiseFrom(s.clock(d.Next.EligibleFrom), s.title(d.Next.Wave)))
		}
	case No:
		lines = append(lines, s.no())
		lines = append(lines, s.reasons(d.Reasons)...)
		if d.NextIf != nil {
			lines = append(lines, s.nextIf(s.facts(d.NextIf.DependsOn), s.clock(d.NextIf.EligibleFrom), s.title(d.NextIf.Wave)))
		}
		switch {
		case d.Next != nil && d.NextIf != nil:
			lines = append(lines, s.otherwiseFrom(s.clock(d.Next.EligibleFrom), s.title(d.Next.Wave)))
		case d.Next != nil:
			lines = append(lines, s.next(s.clock(d.Next.EligibleFrom), s.title(d.Next.Wave)))
		case d.NextIf == nil:
			lines = append(lines, s.noNext())
		}
	}
	return strings.Join(lines, "\n")
}

// mostReasons keeps an explanation readable; the decision itself has all of them.
const mostReasons = 3

// language is what differs between Korean and English. An empty title means that there is nothing to name.
type language interface {
	yes(title string) string
	depends(title string, facts []string) string
	no() string
	next(when, title string) string
	nextIf(facts []string, when, title string) string
	otherwiseFrom(when, title string) string
	noNext() string
	date(d civil.Date) string
	clock(t time.Time) string
	list(name string) string
	region() string
	dose(number string) string
	reason(r *Reason, s *speaker) string
}

type speaker struct {
	language
	zone   *time.Location
	titles map[string]string
}

func (s *speaker) title(wave string) string {
	if title, ok := s.titles[wave]; ok {
		return title
	}
	return wave
}

func (s *speaker) clock(t time.Time) string {
	if s.zone != nil {
		t = t.In(s.zone)
	}
	return s.language.clock(t)
}

// facts names what Decision.DependsOn lists.
func (s *speaker) facts(dependsOn []string) []string {
	var names []string
	for _, fact := range dependsOn {
		kind, name, _ := strings.Cut(fact, ":")
		switch kind {
		case "list":
			if title, ok := s.titles[fact]; ok {
				name = title
			}
			names = append(names, s.list(name))
		case "dose":
			names = append(names, s.dose(name))
		default:
			names = append(names, s.region())
		}
	}
	return names
}

// reasons says those first that a person can do something with: a window that is still to open is said by next, so it
// is left out here unless it is all there is.
func (s *speaker) reasons(all []Reason) []string {
	var lines []string
	for i := range all {
		r := &all[i]
		if r.Code == WindowNotOpenYet && len(all) > 1 {
			continue
		}
		if line := s.reason(r, s); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
		if len(lines) == mostReasons {
			break
		}
	}
	return lines
}

type korean struct{}

func (korean) yes(title string) string {
	return quoted(title) + "지금 예약하실 수 있습니다."
}

func (korean) depends(title string, facts []string) string {
	return quoted(title) + "지금 예약하실 수도 있습니다. 다음을 확인해야 합니다: " + strings.Join(facts, ", ") + "."
}

func (korean) no() string { return "지금은 예약하실 수 없습니다." }

func (korean) next(when, title string) string {
	return when + "부터 " + quoted(title) + "예약하실 수 있습니다."
}

func (korean) nextIf(facts []string, when, title string) string {
	return when + "부터 " + quoted(title) + "예약하실 수도 있습니다. 다음을 확인해야 합니다: " + strings.Join(facts, ", ") + "."
}

func (korean) otherwiseFrom(when, title string) string {
	return "해당하지 않으시면 " + when + "부터 " + quoted(title) + "예약하실 수 있습니다."
}

func (korean) noNext() string {
	return "앞으로 예약하실 수 있는 날짜는 아직 정해지지 않았습니다."
}

func (korean) date(d civil.Date) string {
	return fmt.Sprintf("%d년 %d월 %d일", d.Year, d.Month, d.Day)
}

func (k korean) clock(t time.Time) string {
	day := k.date(civil.Of(t, t.Location())) + " " + []string{"일", "월", "화", "수", "목", "금", "토"}[t.Weekday()] + "요일 "
	hour := t.Hour()
	switch {
	case hour == 0 && t.Minute() == 0:
		return day + "0시(자정)"
	case hour == 12 && t.Minute() == 0:
		return day + "낮 12시"
	}
	half := "오전 "
	if hour >= 12 {
		half = "오후 "
	}
	if hour > 12 {
		hour -= 12
	}
	if t.Minute() == 0 {
		return day + half + strconv.Itoa(hour) + "시"
	}
	return day + half + strconv.Itoa(hour) + "시 " + strconv.Itoa(t.Minute()) + "분"
}

func (korean) list(name string) string   { return "‘" + name + "’ 대상자이신지" }
func (korean) region() string            { return "사시는 곳" }
func (korean) dose(number string) string { return number + "차 접종을 언제 받으셨는지" }

func (k korean) reason(r *Reason, s *speaker) string {
	days := func(n int) string { return strconv.Itoa(n) + "일" }
	switch r.Code {
	case BirthDateInvalid:
		return "생년월일을 다시 확인해 주십시오."
	case BirthDateOutOfRange:
		return "이번 예약은 " + koreanBirths(r) + " 분을 위한 것입니다."
	case BirthDateExcluded:
		return koreanBirths(r) + " 분은 이번 예약에서 제외됩니다."
	case YearAgeOutOfRange:
		return "이번 예약은 " + koreanBirthYears(r) + " 분을 위한 것입니다."
	case YearAgeExcluded:
		return koreanBirthYears(r) + " 분은 이번 예약에서 제외됩니다."
	case FullAgeOutOfRange:
		return "이번 예약은 " + k.day(r.On) + " 만 나이가 " + span(r, "세", "부터", "까지", " 이상", " 이하") + "인 분을 위한 것입니다."
	case FullAgeExcluded:
		return k.day(r.On) + " 만 나이가 " + span(r, "세", "부터", "까지", " 이상", " 이하") + "인 분은 이번 예약에서 제외됩니다."
	case BirthDayDigitMismatch:
		return "지금은 태어난 날짜(일)의 끝자리가 " + join(r.Digits) + "인 분의 차례입니다."
	case BirthDayDigitExcluded:
		return "지금은 태어난 날짜(일)의 끝자리가 " + join(r.Digits) + "인 분의 차례가 아닙니다."
	case BirthYearDigitMismatch:
		return "지금은 태어난 해의 끝자리가 " + join(r.Digits) + "인 분의 차례입니다."
	case BirthYearDigitExcluded:
		return "지금은 태어난 해의 끝자리가 " + join(r.Digits) + "인 분의 차례가 아닙니다."
	case NotOnList:
		return "이번 예약은 ‘" + s.listTitle(r.List) + "’ 대상자를 위한 것입니다."
	case OnExcludedList:
		return "‘" + s.listTitle(r.List) + "’ 대상자는 이번 예약에서 제외됩니다."
	case RegionNotIncluded:
		return "사시는 지역은 이번 예약 대상이 아닙니다."
	case RegionExcluded:
		return "사시는 지역은 이번 예약에서 제외됩니다."
	case DoseMissing:
		return strconv.Itoa(r.Dose) + "차 접종을 받으신 분을 위한 예약입니다."
	case DoseOtherProduct:
		return strconv.Itoa(r.Dose) + "차로 " + r.Product + " 백신을 맞으신 분을 위한 예약입니다."
	case DoseTooRecent:
		return strconv.Itoa(r.Dose) + "차 접종 후 " + days(*r.Min) + "이 지나야 합니다. " + k.date(r.From) + "부터 가능합니다."
	case DoseTooLongAgo:
		return strconv.Itoa(r.Dose) + "차 접종 후 " + days(*r.Max) + "까지만 가능합니다. " + k.date(r.To) + "까지였습니다."
	case DoseExcluded:
		return strconv.Itoa(r.Dose) + "차 접종 시기에 따라 이번 예약에서 제외됩니다."
	case WindowNotOpenYet:
		return strings.TrimSuffix(quoted(s.title(r.Wave)), " ") + " 예약은 " + s.clock(r.OpensAt) + "에 시작합니다."
	case WindowClosed:
		return strings.TrimSuffix(quoted(s.title(r.Wave)), " ") + " 예약은 " + s.clock(r.ClosesAt) + "에 끝났습니다."
	case SlotDayOutOfRange:
		return "고르실 수 있는 날짜는 " + k.date(r.From) + "부터 " + k.date(r.To) + "까지입니다."
	case SlotDaysOver:
		return "예약하실 수 있는 마지막 날짜(" + k.date(r.To) + ")가 지났습니다."
	}
	return ""
}

func (k korean) day(on string) string {
	switch on {
	case "asking":
		return "예약하시는 날"
	case "slot":
		return "방문하시는 날"
	}
	if d, err := civil.Parse(on); err == nil {
		return k.date(d)
	}
	return on
}

func koreanBirths(r *Reason) string {
	k := korean{}
	switch {
	case r.From.IsZero():
		return k.date(r.To) + " 또는 그 전에 태어난"
	case r.To.IsZero():
		return k.date(r.From) + " 또는 그 후에 태어난"
	case r.From == r.To:
		return k.date(r.From) + "에 태어난"
	}
	return k.date(r.From) + "부터 " + k.date(r.To) + " 사이에 태어난"
}

// koreanBirthYears turns a year age into birth years: nobody can be in doubt about those.
func koreanBirthYears(r *Reason) string {
	from, to := birthYears(r)
	switch {
	case from == 0:
		return fmt.Sprintf("%d년 또는 그 전에 태어난", to)
	case to == 0:
		return fmt.Sprintf("%d년 또는 그 후에 태어난", from)
	case from == to:
		return fmt.Sprintf("%d년에 태어난", from)
	}
	return fmt.Sprintf("%d년부터 %d년 사이에 태어난", from, to)
}

type english struct{}

func (english) yes(title string) string {
	if title == "" {
		return "You can book now."
	}
	return "You can book now: " + title + "."
}

func (english) depends(title string, facts []string) string {
	return "You may be able to book now" + under(title) + ". It depends on " + strings.Join(facts, ", and on ") + "."
}

func (english) no() string { return "You can't book at the moment." }

func (english) next(when, title string) string {
	return "You can book from " + when + under(title) + "."
}

func (english) nextIf(facts []string, when, title string) string {
	return "You may be able to book from " + when + under(title) + ". It depends on " + strings.Join(facts, ", and on ") + "."
}

func (english) otherwiseFrom(when, title string) string {
	return "Otherwise you can book from " + when + under(title) + "."
}

func (english) noNext() string { return "No later date has been set for you so far." }

func (english) date(d civil.Date) string {
	return fmt.Sprintf("%d %s %d", d.Day, d.Month, d.Year)
}

func (e english) clock(t time.Time) string {
	day := t.Weekday().String() + " " + e.date(civil.Of(t, t.Location()))
	switch {
	case t.Hour() == 0 && t.Minute() == 0:
		return day + ", 00:00 (midnight at the start of that day)"
	case t.Hour() == 12 && t.Minute() == 0:
		return day + ", 12 noon"
	}
	return day + ", " + t.Format("3:04 pm")
}

func (english) list(name string) string   { return "whether you are on the list “" + name + "”" }
func (english) region() string            { return "where you live" }
func (english) dose(number string) string { return "when you had dose " + number }

func (e english) reason(r *Reason, s *speaker) string {
	switch r.Code {
	case BirthDateInvalid:
		return "Please check your date of birth."
	case BirthDateOutOfRange:
		return "This booking is for people born " + englishBirths(r) + "."
	case BirthDateExcluded:
		return "This booking is not for people born " + englishBirths(r) + "."
	case YearAgeOutOfRange:
		return "This booking is for people born " + englishBirthYears(r) + "."
	case YearAgeExcluded:
		return "This booking is not for people born " + englishBirthYears(r) + "."
	case FullAgeOutOfRange:
		return "This booking is for people aged " + span(r, "", " to", "", " or over", " or under") + " " + e.day(r.On) + "."
	case FullAgeExcluded:
		return "This booking is not for people aged " + span(r, "", " to", "", " or over", " or under") + " " + e.day(r.On) + "."
	case BirthDayDigitMismatch:
		return "It is the turn of people whose day of birth ends in " + join(r.Digits) + "."
	case BirthDayDigitExcluded:
		return "It is not yet the turn of people whose day of birth ends in " + join(r.Digits) + "."
	case BirthYearDigitMismatch:
		return "It is the turn of people whose year of birth ends in " + join(r.Digits) + "."
	case BirthYearDigitExcluded:
		return "It is not yet the turn of people whose year of birth ends in " + join(r.Digits) + "."
	case NotOnList:
		return "This booking is for people on the list “" + s.listTitle(r.List) + "”."
	case OnExcludedList:
		return "This booking is not for people on the list “" + s.listTitle(r.List) + "”."
	case RegionNotIncluded:
		return "This booking is not for the area where you live."
	case RegionExcluded:
		return "The area where you live is left out of this booking."
	case DoseMissing:
		return fmt.Sprintf("This booking is for people who have had dose %d.", r.Dose)
	case DoseOtherProduct:
		return fmt.Sprintf("This booking is for people whose dose %d was %s.", r.Dose, r.Product)
	case DoseTooRecent:
		return fmt.Sprintf("%d days have to pass after dose %d. That is from %s.", *r.Min, r.Dose, e.date(r.From))
	case DoseTooLongAgo:
		return fmt.Sprintf("This booking is for up to %d days after dose %d. That was until %s.", *r.Max, r.Dose, e.date(r.To))
	case DoseExcluded:
		return fmt.Sprintf("Because of when you had dose %d, this booking is not for you.", r.Dose)
	case WindowNotOpenYet:
		return "Booking" + under(s.title(r.Wave)) + " opens on " + s.clock(r.OpensAt) + "."
	case WindowClosed:
		return "Booking" + under(s.title(r.Wave)) + " closed on " + s.clock(r.ClosesAt) + "."
	case SlotDayOutOfRange:
		return "You can choose days from " + e.date(r.From) + " to " + e.date(r.To) + "."
	case SlotDaysOver:
		return "The last day that could be booked, " + e.date(r.To) + ", is past."
	}
	return ""
}

func (e english) day(on string) string {
	switch on {
	case "asking":
		return "on the day of booking"
	case "slot":
		return "on the day of the visit"
	}
	if d, err := civil.Parse(on); err == nil {
		return "on " + e.date(d)
	}
	return on
}

func englishBirths(r *Reason) string {
	e := english{}
	switch {
	case r.From.IsZero():
		return "on " + e.date(r.To) + " or earlier"
	case r.To.IsZero():
		return "on " + e.date(r.From) + " or later"
	case r.From == r.To:
		return "on " + e.date(r.From)
	}
	return "from " + e.date(r.From) + " to " + e.date(r.To)
}

func englishBirthYears(r *Reason) string {
	from, to := birthYears(r)
	switch {
	case from == 0:
		return fmt.Sprintf("in %d or earlier", to)
	case to == 0:
		return fmt.Sprintf("in %d or later", from)
	case from == to:
		return fmt.Sprintf("in %d", from)
	}
	return fmt.Sprintf("from %d to %d", from, to)
}

// birthYears are the years of birth that a year age means; 0 for an open end.
func birthYears(r *Reason) (from, to int) {
	if r.Max != nil {
		from = r.In - *r.Max
	}
	if r.Min != nil {
		to = r.In - *r.Min
	}
	return from, to
}

// span says the bounds min and max of a reason, with words after each.
func span(r *Reason, unit, fromWord, toWord, overWord, underWord string) string {
	switch {
	case r.Min != nil && r.Max != nil && *r.Min == *r.Max:
		return strconv.Itoa(*r.Min) + unit
	case r.Min != nil && r.Max != nil:
		return strconv.Itoa(*r.Min) + unit + fromWord + " " + strconv.Itoa(*r.Max) + unit + toWord
	case r.Min != nil:
		return strconv.Itoa(*r.Min) + unit + overWord
	case r.Max != nil:
		return strconv.Itoa(*r.Max) + unit + underWord
	}
	return ""
}

func (s *speaker) listTitle(name string) string {
	if title, ok := s.titles["list:"+name]; ok {
		return title
	}
	return name
}

func join(digits []int) string {
	texts := make([]string, len(digits))
	for i, digit := range digits {
		texts[i] = strconv.Itoa(digit)
	}
	return strings.Join(texts, ", ")
}

func quoted(title string) string {
	if title == "" {
		return ""
	}
	return "‘" + title + "’ "
}

func under(title string) string {
	if title == "" {
		return ""
	}
	return " (" + title + ")"
}
