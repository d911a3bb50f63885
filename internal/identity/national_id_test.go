package identity

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"jari/internal/civil"
	"jari/internal/fault"
)

// withCheckDigit completes twelve digits.
func withCheckDigit(twelve string) string {
	for last := range 10 {
		number := fmt.Sprintf("%s%d", twelve, last)
		if _, said, err := ParseNationalID(number); err == nil && said.CheckDigitFits {
			return number
		}
	}
	return ""
}

func TestCenturyOfANationalID(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]NationalID{
		"990101-9000000": {BirthDate: civil.Date{Year: 1899, Month: time.January, Day: 1}},
		"990101-0000000": {BirthDate: civil.Date{Year: 1899, Month: time.January, Day: 1}, Female: true},
		"670309-1000000": {BirthDate: civil.Date{Year: 1967, Month: time.March, Day: 9}},
		"670309-2000000": {BirthDate: civil.Date{Year: 1967, Month: time.March, Day: 9}, Female: true},
		"210719-3000000": {BirthDate: civil.Date{Year: 2021, Month: time.July, Day: 19}},
		"210719-4000000": {BirthDate: civil.Date{Year: 2021, Month: time.July, Day: 19}, Female: true},
		"670309-5000000": {BirthDate: civil.Date{Year: 1967, Month: time.March, Day: 9}, Foreigner: true},
		"670309-6000000": {BirthDate: civil.Date{Year: 1967, Month: time.March, Day: 9}, Foreigner: true, Female: true},
		"030309-7000000": {BirthDate: civil.Date{Year: 2003, Month: time.March, Day: 9}, Foreigner: true},
		"030309-8000000": {BirthDate: civil.Date{Year: 2003, Month: time.March, Day: 9}, Foreigner: true, Female: true},
		// 2000 had a 29 February and 1900 hadn't: the century decides whether the number can exist.
		"000229-3000000": {BirthDate: civil.Date{Year: 2000, Month: time.February, Day: 29}},
		"960229-2000000": {BirthDate: civil.Date{Year: 1996, Month: time.February, Day: 29}, Female: true},
	} {
		_, got, err := ParseNationalID(number)
		got.CheckDigitFits = false
		if err != nil || got != want {
			t.Errorf("%s says %+v (%v), not %+v", number, got, err, want)
		}
	}
}

func TestANationalIDWithADateThatDoesntExistIsRefused(t *testing.T) {
	t.Parallel()
	for _, number := range []string{
		"990229-1000000", "000230-3000000", "000229-1000000", "001301-3000000", "000001-3000000", "000100-3000000", "000132-4000000",
		"210431-3000000", "000229-5000000",
	} {
		_, _, err := ParseNationalID(number)
		e, ok := errors.AsType[*fault.Error](err)
		if !ok || e.Code != fault.CodeInvalidRequest || len(e.Fields) != 1 || e.Fields[0].Pointer != "/national_id" {
			t.Errorf("%s: %v", number, err)
		}
	}
}

func TestOnlyThirteenDigitsAreANationalID(t *testing.T) {
	t.Parallel()
	for _, number := range []string{
		"", "-", "670309", "670309-1", "670309-100000", "670309-10000000", "67O309-1000000", "670309/1000000", "670309-1******",
		"+670309-1000000", "670309-1000000a", "홍길동", "670309-①000000a", strings.Repeat("6", 10_000), strings.Repeat(" ", 200) + "670309-1000000",
	} {
		digits, said, err := ParseNationalID(number)
		if fault.CodeOf(err) != fault.CodeInvalidRequest || digits != "" || said != (NationalID{}) {
			t.Errorf("%.40q: %v", number, err)
			continue
		}
		e, _ := errors.AsType[*fault.Error](err)
		if len(number) > 5 && strings.Contains(e.Fields[0].Problem+err.Error(), number) {
			t.Errorf("the refusal repeats %q", number)
		}
	}
}

func TestEverySpellingOfANationalIDIsOneNumber(t *testing.T) {
	t.Parallel()
	for _, spelling := range []string{
		"6703091234567", "670309-1234567", " 670309 - 1234567 ", "670309–1234567", "６７０３０９－１２３４５６７", "670309\u200b1234567",
	} {
		if digits, _, err := ParseNationalID(spelling); digits != "6703091234567" {
			t.Errorf("%q became %q (%v)", spelling, digits, err)
		}
	}
}

func TestACheckDigitWarnsAndNeverRefuses(t *testing.T) {
	t.Parallel()
	// Worked out by hand: 9·2+0·3+0·4+1·5+0·6+1·7+1·8+2·9+3·2+4·3+5·4+6·5 = 124, 124 mod 11 = 3, 11−3 = 8.
	if _, said, err := ParseNationalID("900101-1234568"); err != nil || !said.CheckDigitFits {
		t.Errorf("%+v, %v", said, err)
	}
	// The same of a foreigner: 4·8 more is 156, 156 mod 11 = 2, 11−2+2 = 11, of which the last digit counts.
	if _, said, err := ParseNationalID("900101-5234561"); err != nil || !said.CheckDigitFits {
		t.Errorf("%+v, %v", said, err)
	}
	for _, twelve := range []string{"900101123456", "900101523456", "000229312345", "991231212345", "030309812345"} {
		right := 0
		for last := range 10 {
			_, said, err := ParseNationalID(fmt.Sprintf("%s%d", twelve, last))
			if err != nil {
				t.Errorf("%s%d is refused: %v", twelve, last, err)
			}
			if said.CheckDigitFits {
				right++
			}
		}
		if right != 1 {
			t.Errorf("%d check digits fit %s", right, twelve)
		}
	}
}

func TestANationalIDAgreesWithTheDateItIsMadeFrom(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		born := civil.AddDays(civil.Date{Year: 1800, Month: time.January, Day: 1}, rapid.IntRange(0, 109_571).Draw(t, "days"))
		kinds := map[int][]int{18: {9, 0}, 19: {1, 2, 5, 6}, 20: {3, 4, 7, 8}}[born.Year/100]
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		number := fmt.Sprintf("%02d%02d%02d%d%06d", born.Year%100, born.Month, born.Day, kind, rapid.IntRange(0, 999_999).Draw(t, "rest"))
		digits, said, err := ParseNationalID(number[:6] + "-" + number[6:])
		if err != nil || digits != number || said.BirthDate != born || said.Female != (kind%2 == 0) || said.Foreigner != (kind > 4 && kind < 9) {
			t.Fatalf("%s born %s says %+v (%v)", number, born, said, err)
		}
		// The check digit catches every single wrong digit that leaves a date: all weights are prime to eleven.
		right := withCheckDigit(number[:12])
		at := rapid.IntRange(7, 11).Draw(t, "at")
		other := []byte(right)
		other[at] = '0' + (other[at]-'0'+byte(rapid.IntRange(1, 9).Draw(t, "more")))%10
		if _, said, err := ParseNationalID(string(other)); err != nil {
			t.Fatal(err)
		} else if said.CheckDigitFits && !twoRemaindersShareADigit(right) {
			t.Fatalf("%s and %s both fit", right, other)
		}
	})
}

// twoRemaindersShareADigit tells whether a number's check digit is one that two remainders give: eleven remainders have ten
// digits, so those can't be told apart.
func twoRemaindersShareADigit(number string) bool {
	last := number[12] - '0'
	if number[6] >= '5' && number[6] <= '8' {
		return last == 2 || last == 3
	}
	return last == 0 || last == 1
}
