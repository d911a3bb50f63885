package eligibility

import (
	"strings"
	"testing"
	"time"
)

func TestDecisionsAreExplainedInPlainWords(t *testing.T) {
	t.Parallel()
	rs := korea(t)
	titles := map[string]string{"F1": "53–54세", "F3": "50–54세", "E3": "55–59세", "list:staff": "의료진", "staff": "의료진 예약", "all": "전체"}
	lists := overlapping(t)
	for _, c := range []struct {
		name    string
		d       Decision
		ko, en  string
		noTitle bool
	}{
		{
			name: "yes", d: rs.Decide(born(t, "1967-01-01"), seoul(t, "2021-07-20 02:00")),
			ko: "‘53–54세’ 지금 예약하실 수 있습니다.",
			en: "You can book now: 53–54세.",
		},
		{
			name: "no, and when", d: rs.Decide(born(t, "1969-01-01"), seoul(t, "2021-07-20 02:00")), noTitle: true,
			ko: "지금은 예약하실 수 없습니다.\n" +
				"이번 예약은 1962년 1월 1일부터 1966년 12월 31일 사이에 태어난 분을 위한 것입니다.\n" +
				"이번 예약은 1967년 1월 1일부터 1968년 12월 31일 사이에 태어난 분을 위한 것입니다.\n" +
				"2021년 7월 20일 화요일 오후 8시부터 ‘F2’ 예약하실 수 있습니다.",
			en: "You can't book at the moment.\n" +
				"This booking is for people born from 1 January 1962 to 31 December 1966.\n" +
				"This booking is for people born from 1 January 1967 to 31 December 1968.\n" +
				"You can book from Tuesday 20 July 2021, 8:00 pm (F2).",
		},
		{
			name: "no, over", d: rs.Decide(born(t, "1963-01-01"), seoul(t, "2021-07-24 18:00")),
			ko: "지금은 예약하실 수 없습니다.\n" +
				"‘55–59세’ 예약은 2021년 7월 24일 토요일 오후 6시에 끝났습니다.\n" +
				"앞으로 예약하실 수 있는 날짜는 아직 정해지지 않았습니다.",
			en: "You can't book at the moment.\n" +
				"Booking (55–59세) closed on Saturday 24 July 2021, 6:00 pm.\n" +
				"No later date has been set for you so far.",
		},
		{
			name: "depends", d: lists.DecidePublic(born(t, "1970-01-01"), seoul(t, "2021-07-05 00:00")),
			ko: "‘의료진 예약’ 지금 예약하실 수도 있습니다. 다음을 확인해야 합니다: ‘의료진’ 대상자이신지.\n" +
				"해당하지 않으시면 2021년 7월 10일 토요일 0시(자정)부터 ‘전체’ 예약하실 수 있습니다.",
			en: "You may be able to book now (의료진 예약). It depends on whether you are on the list “의료진”.\n" +
				"Otherwise you can book from Saturday 10 July 2021, 00:00 (midnight at the start of that day) (전체).",
		},
		{
			name: "later, if", d: lists.DecidePublic(born(t, "1970-01-01"), seoul(t, "2021-06-30 00:00")),
			ko: "지금은 예약하실 수 없습니다.\n" +
				"2021년 7월 1일 목요일 0시(자정)부터 ‘의료진 예약’ 예약하실 수도 있습니다. 다음을 확인해야 합니다: ‘의료진’ 대상자이신지.\n" +
				"해당하지 않으시면 2021년 7월 10일 토요일 0시(자정)부터 ‘전체’ 예약하실 수 있습니다.",
			en: "You can't book at the moment.\n" +
				"You may be able to book from Thursday 1 July 2021, 00:00 (midnight at the start of that day) (의료진 예약). " +
				"It depends on whether you are on the list “의료진”.\n" +
				"Otherwise you can book from Saturday 10 July 2021, 00:00 (midnight at the start of that day) (전체).",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			names := titles
			if c.noTitle {
				names = nil
			}
			if got := Explain(c.d, "ko-KR", zone(t, "Asia/Seoul"), names); got != c.ko {
				t.Errorf("Korean:\n%s\nwant\n%s", got, c.ko)
			}
			if got := Explain(c.d, "en", nil, names); got != c.en {
				t.Errorf("English:\n%s\nwant\n%s", got, c.en)
			}
		})
	}
}

func TestEveryReasonHasAnOrdinarySentence(t *testing.T) {
	t.Parallel()
	five, eleven := 5, 11
	opens := seoul(t, "2021-07-19 20:00")
	for _, c := range []struct {
		r      Reason
		ko, en string
	}{
		{Reason{Code: BirthDateInvalid}, "생년월일을 다시 확인해 주십시오.", "Please check your date of birth."},
		{
			Reason{Code: BirthDateOutOfRange, To: date(t, "2003-12-31")},
			"이번 예약은 2003년 12월 31일 또는 그 전에 태어난 분을 위한 것입니다.", "This booking is for people born on 31 December 2003 or earlier.",
		},
		{
			Reason{Code: BirthDateOutOfRange, From: date(t, "2003-01-01")},
			"이번 예약은 2003년 1월 1일 또는 그 후에 태어난 분을 위한 것입니다.", "This booking is for people born on 1 January 2003 or later.",
		},
		{
			Reason{Code: BirthDateExcluded, From: date(t, "1967-01-01"), To: date(t, "1967-01-01")},
			"1967년 1월 1일에 태어난 분은 이번 예약에서 제외됩니다.", "This booking is not for people born on 1 January 1967.",
		},
		{
			Reason{Code: YearAgeOutOfRange, Min: &five, Max: &eleven, In: 2021},
			"이번 예약은 2010년부터 2016년 사이에 태어난 분을 위한 것입니다.", "This booking is for people born from 2010 to 2016.",
		},
		{
			Reason{Code: YearAgeOutOfRange, Min: &five, In: 2021},
			"이번 예약은 2016년 또는 그 전에 태어난 분을 위한 것입니다.", "This booking is for people born in 2016 or earlier.",
		},
		{
			Reason{Code: YearAgeOutOfRange, Max: &eleven, In: 2021},
			"이번 예약은 2010년 또는 그 후에 태어난 분을 위한 것입니다.", "This booking is for people born in 2010 or later.",
		},
		{
			Reason{Code: YearAgeExcluded, Min: &five, Max: &five, In: 2021},
			"2016년에 태어난 분은 이번 예약에서 제외됩니다.", "This booking is not for people born in 2016.",
		},
		{
			Reason{Code: FullAgeOutOfRange, Min: &five, Max: &eleven, On: "asking"},
			"이번 예약은 예약하시는 날 만 나이가 5세부터 11세까지인 분을 위한 것입니다.",
			"This booking is for people aged 5 to 11 on the day of booking.",
		},
		{
			Reason{Code: FullAgeOutOfRange, Min: &five, On: "slot"},
			"이번 예약은 방문하시는 날 만 나이가 5세 이상인 분을 위한 것입니다.",
			"This booking is for people aged 5 or over on the day of the visit.",
		},
		{
			Reason{Code: FullAgeExcluded, Max: &eleven, On: "2021-07-19"},
			"2021년 7월 19일 만 나이가 11세 이하인 분은 이번 예약에서 제외됩니다.",
			"This booking is not for people aged 11 or under on 19 July 2021.",
		},
		{
			Reason{Code: BirthDayDigitMismatch, Digits: []int{0, 9}},
			"지금은 태어난 날짜(일)의 끝자리가 0, 9인 분의 차례입니다.", "It is the turn of people whose day of birth ends in 0, 9.",
		},
		{
			Reason{Code: BirthDayDigitExcluded, Digits: []int{9}},
			"지금은 태어난 날짜(일)의 끝자리가 9인 분의 차례가 아닙니다.", "It is not yet the turn of people whose day of birth ends in 9.",
		},
		{
			Reason{Code: BirthYearDigitMismatch, Digits: []int{7}},
			"지금은 태어난 해의 끝자리가 7인 분의 차례입니다.", "It is the turn of people whose year of birth ends in 7.",
		},
		{
			Reason{Code: BirthYearDigitExcluded, Digits: []int{7}},
			"지금은 태어난 해의 끝자리가 7인 분의 차례가 아닙니다.", "It is not yet the turn of people whose year of birth ends in 7.",
		},
		{Reason{Code: NotOnList, List: "staff"}, "이번 예약은 ‘의료진’ 대상자를 위한 것입니다.", "This booking is for people on the list “의료진”."},
		{Reason{Code: OnExcludedList, List: "x"}, "‘x’ 대상자는 이번 예약에서 제외됩니다.", "This booking is not for people on the list “x”."},
		{Reason{Code: RegionNotIncluded}, "사시는 지역은 이번 예약 대상이 아닙니다.", "This booking is not for the area where you live."},
		{Reason{Code: RegionExcluded}, "사시는 지역은 이번 예약에서 제외됩니다.", "The area where you live is left out of this booking."},
		{Reason{Code: DoseMissing, Dose: 1}, "1차 접종을 받으신 분을 위한 예약입니다.", "This booking is for people who have had dose 1."},
		{Reason{Code: DoseOtherProduct, Dose: 1, Product: "AZ"}, "1차로 AZ 백신을 맞으신 분을 위한 예약입니다.", "This booking is for people whose dose 1 was AZ."},
		{
			Reason{Code: DoseTooRecent, Dose: 1, Min: &eleven, From: date(t, "2021-07-01")},
			"1차 접종 후 11일이 지나야 합니다. 2021년 7월 1일부터 가능합니다.", "11 days have to pass after dose 1. That is from 1 July 2021.",
		},
		{
			Reason{Code: DoseTooLongAgo, Dose: 1, Max: &eleven, To: date(t, "2021-07-01")},
			"1차 접종 후 11일까지만 가능합니다. 2021년 7월 1일까지였습니다.",
			"This booking is for up to 11 days after dose 1. That was until 1 July 2021.",
		},
		{Reason{Code: DoseExcluded, Dose: 2}, "2차 접종 시기에 따라 이번 예약에서 제외됩니다.", "Because of when you had dose 2, this booking is not for you."},
		{
			Reason{Code: WindowNotOpenYet, Wave: "staff", OpensAt: opens},
			"‘staff’ 예약은 2021년 7월 19일 월요일 오후 8시에 시작합니다.", "Booking (staff) opens on Monday 19 July 2021, 8:00 pm.",
		},
		{
			Reason{Code: WindowClosed, Wave: "staff", ClosesAt: seoul(t, "2021-07-20 12:00")},
			"‘staff’ 예약은 2021년 7월 20일 화요일 낮 12시에 끝났습니다.", "Booking (staff) closed on Tuesday 20 July 2021, 12 noon.",
		},
		{
			Reason{Code: WindowClosed, Wave: "staff", ClosesAt: seoul(t, "2021-07-20 00:05")},
			"‘staff’ 예약은 2021년 7월 20일 화요일 오전 0시 5분에 끝났습니다.", "Booking (staff) closed on Tuesday 20 July 2021, 12:05 am.",
		},
		{
			Reason{Code: SlotDayOutOfRange, From: date(t, "2021-08-16"), To: date(t, "2021-08-28")},
			"고르실 수 있는 날짜는 2021년 8월 16일부터 2021년 8월 28일까지입니다.", "You can choose days from 16 August 2021 to 28 August 2021.",
		},
		{
			Reason{Code: SlotDaysOver, To: date(t, "2021-08-28")},
			"예약하실 수 있는 마지막 날짜(2021년 8월 28일)가 지났습니다.", "The last day that could be booked, 28 August 2021, is past.",
		},
	} {
		t.Run(string(c.r.Code), func(t *testing.T) {
			t.Parallel()
			titles := map[string]string{"list:staff": "의료진"}
			d := Decision{Answer: No, Reasons: []Reason{c.r}}
			for lang, want := range map[string]string{"ko": c.ko, "en": c.en} {
				lines := strings.Split(Explain(d, lang, zone(t, "Asia/Seoul"), titles), "\n")
				if len(lines) != 3 || lines[1] != want {
					t.Errorf("%q, want %q", lines, want)
				}
			}
		})
	}
}

func TestAnExplanationShowsTheClocksOfItsZone(t *testing.T) {
	t.Parallel()
	d := Decision{Answer: No, Next: &Next{Wave: "W", EligibleFrom: time.Date(2021, 7, 19, 11, 0, 0, 0, time.UTC)}}
	if got := Explain(d, "en", zone(t, "Asia/Seoul"), map[string]string{"W": ""}); !strings.HasSuffix(got, "You can book from Monday 19 July 2021, 8:00 pm.") {
		t.Error(got)
	}
}

func TestEveryUnknownFactHasAName(t *testing.T) {
	t.Parallel()
	d := Decision{Answer: Depends, DependsOn: []string{"list:staff", "region", "dose:2"}}
	want := "You may be able to book now. It depends on whether you are on the list “staff”, and on where you live, " +
		"and on when you had dose 2."
	if got := Explain(d, "en", nil, nil); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	want = "지금 예약하실 수도 있습니다. 다음을 확인해야 합니다: ‘staff’ 대상자이신지, 사시는 곳, 2차 접종을 언제 받으셨는지."
	if got := Explain(d, "ko", nil, nil); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Explain(Decision{Answer: Yes}, "en", nil, nil); got != "You can book now." {
		t.Error(got)
	}
}
