package identity

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"jari/internal/civil"
	"jari/internal/fault"
)

var korea = PhoneRules{Region: "KR", Regions: []string{"KR"}}

func TestPhonesAreBroughtIntoOneSpelling(t *testing.T) {
	t.Parallel()
	for phone, want := range map[string]string{
		"010-2000-1000":     "+821020001000",
		"01020001000":       "+821020001000",
		"010 2000 1000":     "+821020001000",
		" 010.2000.1000 ":   "+821020001000",
		"(010) 2000-1000":   "+821020001000",
		"+82 10-2000-1000":  "+821020001000",
		"+82-010-2000-1000": "+821020001000",
		"+821020001000":     "+821020001000",
		"00700821020001000": "+821020001000", // as dialled from there over a carrier
		"０１０－２０００－１０００":             "+821020001000", // full width, as a Korean keyboard may type
		"٠١٠٢٠٠٠١٠٠٠":               "+821020001000",
		"tel:+82-10-2000-1000":      "+821020001000",
		"02-730-5800":               "", // landline, Seoul
		"031-200-1000":              "", // landline, Gyeonggi
		"1588-0000":                 "", // a company's common number
		"060-700-1234":              "", // premium
		"080-200-1000":              "", // free of charge for the caller
		"070-8000-1000":             "", // over the internet
		"010-2000-10":               "", // short
		"010-2000-10000":            "", // long
		"112":                       "",
		"0":                         "",
		"+":                         "",
		"":                          "",
		"홍길동":                       "",
		"+81 90-1234-5678":          "", // foreign, mobile
		"+1 202 555 0100":           "",
		"+82":                       "",
		"+999 10 2000 1000":         "",
		strings.Repeat("0", 10_000): "",
	} {
		got, err := NormalisePhone(phone, korea)
		if got != want {
			t.Errorf("%.40q became %q, not %q", phone, got, want)
		}
		e, refused := errors.AsType[*fault.Error](err)
		if refused != (want == "") {
			t.Errorf("%.40q is refused: %v", phone, err)
		}
		if refused && (e.Code != fault.CodePhoneUnsupported || len(e.Fields) != 1 || e.Fields[0].Pointer != "/phone") {
			t.Errorf("%.40q is refused with %+v", phone, e)
		}
		if err != nil && phone != "" && len(phone) > 3 && strings.Contains(err.Error()+e.Fields[0].Problem, phone) {
			t.Errorf("the refusal repeats %q", phone)
		}
	}
}

func TestOtherRegionsAreSentToWhereTheyAreListed(t *testing.T) {
	t.Parallel()
	both := PhoneRules{Region: "KR", Regions: []string{"KR", "US", "JP"}}
	for phone, want := range map[string]string{
		"+81 90-1234-5678": "+819012345678",
		"+1 201 555 0123":  "+12015550123", // there, mobile and landline look the same
		"010-2000-1000":    "+821020001000",
		"+44 7400 123456":  "",
	} {
		if got, _ := NormalisePhone(phone, both); got != want {
			t.Errorf("%q became %q, not %q", phone, got, want)
		}
	}
}

// mobiles are Korean mobile numbers, as their eight digits; some that begin with 5 aren't given out.
func mobiles() *rapid.Generator[string] { return rapid.StringMatching(`[2-46-9][0-9]{7}`) }

func TestEverySpellingOfAPhoneIsTheSamePhone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		digits := mobiles().Draw(t, "digits")
		gap := rapid.SampledFrom([]string{"", "-", " ", ".", "–", " - ", " "})
		prefix := rapid.SampledFrom([]string{"010", "(010)", "+8210", "+82 10", "+82-10", "+82 (0)10", "+82 010"}).Draw(t, "prefix")
		phone := prefix + gap.Draw(t, "gap") + digits[:4] + gap.Draw(t, "gap") + digits[4:]
		if rapid.Bool().Draw(t, "wide") {
			phone = strings.Map(func(r rune) rune {
				if r >= '0' && r <= '9' {
					return r - '0' + '０'
				}
				return r
			}, phone)
		}
		got, err := NormalisePhone(phone, korea)
		if err != nil || got != "+8210"+digits {
			t.Fatalf("%q became %q (%v)", phone, got, err)
		}
		if again, err := NormalisePhone(got, korea); err != nil || again != got {
			t.Fatalf("normalised again it became %q (%v)", again, err)
		}
	})
}

func TestNamesAreBroughtIntoOneSpelling(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"홍길동":                   "홍길동",
		norm.NFD.String("홍길동"):  "홍길동", // as a Mac sends it
		" 홍 길동\t":               "홍 길동",
		"홍　길동":                  "홍 길동", // the wide space of a Korean keyboard
		"ＪＯＨＮ  Smith":           "JOHN Smith",
		norm.NFD.String("José"): "José",
		"O’Brien":               "O’Brien",
		"":                      "",
	} {
		if got := NormaliseName(name); got != want {
			t.Errorf("%q became %q, not %q", name, got, want)
		}
	}
}

func TestTheFoldedNameIsTheSameForEverySpelling(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.RuneFrom(nil, unicode.Hangul, unicode.Latin)
		name := rapid.StringOfN(letters, 1, 12, -1).Draw(t, "name")
		if other := NormaliseName(name); other != NormaliseName(other) {
			t.Fatalf("%q normalises to %q and that to %q", name, other, NormaliseName(other))
		}
		for spelling, other := range map[string]string{
			"decomposed": norm.NFD.String(name), "composed": norm.NFC.String(name), "spaced": " " + strings.Join(strings.Split(name, ""), "\t ") + "　",
		} {
			if spelling == "spaced" && norm.NFKC.String(name) != name {
				continue // a space between the parts of one letter
			}
			if folded(other) != folded(name) {
				t.Fatalf("%s, %+q isn't %+q: %+q and %+q", spelling, other, name, folded(other), folded(name))
			}
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[A-Za-zÀ-ÖØ-öø-ÿ' -]{1,20}`).Draw(t, "name")
		if folded(strings.ToLower(name)) != folded(strings.ToUpper(name)) && !strings.ContainsAny(name, "ßÿ") {
			t.Fatalf("%q folds to %q and %q", name, folded(strings.ToLower(name)), folded(strings.ToUpper(name)))
		}
	})
	for one, other := range map[string]string{
		"Straße": "STRASSE", "ΣΊΣΥΦΟΣ": "σίσυφος", "홍\u200b길동": "홍길동", "\u2060홍길동\ufeff": "홍길동",
	} {
		if folded(one) != folded(other) {
			t.Errorf("%+q isn't %+q", one, other)
		}
	}
	for one, other := range map[string]string{"홍길동": "홍길둥", "이산": "이 상", "Kim": "Kym"} {
		if folded(one) == folded(other) {
			t.Errorf("%q is %q", one, other)
		}
	}
}

// What is read in a short way is read as the long way reads it, which a blank at the end asks for.
func TestWhatHasOneSpellingIsReadAtOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.StringMatching(`[가-힣]{1,110}`), rapid.StringMatching(`[가-힣ㄱ-ㅣᄀ-ᇿ各A ]{1,6}`), rapid.StringMatching(`[0-9]{1,70}`),
			rapid.StringMatching(`[0-9０-９٣a-]{0,6}`), rapid.String(),
		).Draw(t, "text")
		name, problem := readName(text)
		if longName, longProblem := readName(text + " "); name != longName || problem != longProblem {
			t.Fatalf("the name %q: %q, %q; the long way %q, %q", text, name, problem, longName, longProblem)
		}
		if short, long := NormaliseName(text), NormaliseName(text+" "); short != long {
			t.Fatalf("%q normalises to %q, and the long way to %q", text, short, long)
		}
		if short, long := folded(text), folded(text+" "); short != long {
			t.Fatalf("%q folds to %q, and the long way to %q", text, short, long)
		}
		number, problem := readNumber(text)
		if longNumber, longProblem := readNumber(text + " "); number != longNumber || problem != longProblem {
			t.Fatalf("the number %q: %q, %q; the long way %q, %q", text, number, problem, longNumber, longProblem)
		}
	})
}

func TestClaimsThatCantBeTrueAreRefusedByField(t *testing.T) {
	t.Parallel()
	today := civil.Date{Year: 2021, Month: time.July, Day: 19}
	good := Claims{Scheme: SchemePhone, Name: "홍길동", BirthDate: civil.Date{Year: 1967, Month: time.January, Day: 1}, Phone: "010-2000-1000"}
	for name, tc := range map[string]struct {
		change func(*Claims)
		code   fault.Code
		fields string
	}{
		"good ones pass":                {func(*Claims) {}, "", ""},
		"born today":                    {func(c *Claims) { c.BirthDate = today }, "", ""},
		"born on the first day":         {func(c *Claims) { c.BirthDate = oldest }, "", ""},
		"a name of 100 letters":         {func(c *Claims) { c.Name = strings.Repeat("가", 100) }, "", ""},
		"a name with a mark in it":      {func(c *Claims) { c.Name = "O'Brien-김 2세" }, "", ""},
		"another scheme":                {func(c *Claims) { c.Scheme = "national_id" }, fault.CodeSchemeNotOffered, "/scheme"},
		"no scheme":                     {func(c *Claims) { c.Scheme = "" }, fault.CodeSchemeNotOffered, "/scheme"},
		"no name":                       {func(c *Claims) { c.Name = "" }, fault.CodeInvalidRequest, "/name"},
		"a name of blanks":              {func(c *Claims) { c.Name = " \t　" }, fault.CodeInvalidRequest, "/name"},
		"a name of digits":              {func(c *Claims) { c.Name = "1234" }, fault.CodeInvalidRequest, "/name"},
		"a name of 101 letters":         {func(c *Claims) { c.Name = strings.Repeat("가", 101) }, fault.CodeInvalidRequest, "/name"},
		"a name with a control in it":   {func(c *Claims) { c.Name = "홍\x00길동" }, fault.CodeInvalidRequest, "/name"},
		"a name that wasn't UTF-8":      {func(c *Claims) { c.Name = "\xc8\xab\xb1\xe6\xb5\xbf a" }, fault.CodeInvalidRequest, "/name"},
		"born tomorrow":                 {func(c *Claims) { c.BirthDate = civil.AddDays(today, 1) }, fault.CodeInvalidRequest, "/birth_date"},
		"born before anybody who lives": {func(c *Claims) { c.BirthDate = civil.AddDays(oldest, -1) }, fault.CodeInvalidRequest, "/birth_date"},
		"not born":                      {func(c *Claims) { c.BirthDate = civil.Date{} }, fault.CodeInvalidRequest, "/birth_date"},
		"nothing right":                 {func(c *Claims) { c.Name, c.BirthDate = "", civil.Date{} }, fault.CodeInvalidRequest, "/name /birth_date"},
		"a landline":                    {func(c *Claims) { c.Phone = "02-730-5800" }, fault.CodePhoneUnsupported, "/phone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := good
			tc.change(&c)
			_, err := c.normalise(SchemePhone, korea, today)
			if got := fault.CodeOf(err); got != tc.code {
				t.Fatalf("answered %v, not %q", err, tc.code)
			}
			var fields []string
			if e, ok := errors.AsType[*fault.Error](err); ok {
				for _, f := range e.Fields {
					fields = append(fields, f.Pointer)
					if c.Name != "" && strings.Contains(f.Problem, c.Name) {
						t.Error("the refusal repeats the name")
					}
				}
			}
			if got := strings.Join(fields, " "); got != tc.fields {
				t.Errorf("it names %q, not %q", got, tc.fields)
			}
		})
	}
}

func TestMaskedNamesAreRecognisedByTheirOwners(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"홍길동":        "홍*동",
		"이산":         "이*",
		"김":          "김",
		"남궁민수":       "남**수",
		"홍 길동":       "홍 길*",
		"John Smith": "J*** S****",
		"José":       "J***",
		"Al":         "A*",
		"李小龍":        "李**",
		"":           "",
	} {
		if got := MaskName(name); got != want {
			t.Errorf("%q is shown as %q, not as %q", name, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		name := NormaliseName(rapid.String().Draw(t, "name"))
		masked := MaskName(name)
		for i, word := range strings.Fields(masked) {
			runes := []rune(word)
			for j := 1; j < len(runes)-1; j++ {
				if runes[j] != '*' {
					t.Fatalf("%q shows the inside of word %d: %q", name, i, masked)
				}
			}
		}
	})
}

func TestCodesAreSixDigitsEachAsLikely(t *testing.T) {
	t.Parallel()
	const draws = 60_000
	// Ten first digits and ten last ones: a code made from random bytes by a remainder would prefer the low ones, and one
	// whose leading zeros are lost would have no first digit 0.
	var first, last [10]int
	for range draws {
		code, err := newCode()
		if err != nil {
			t.Fatal(err)
		}
		if len(code) != 6 || strings.Trim(code, "0123456789") != "" {
			t.Fatalf("%q isn't six digits", code)
		}
		first[code[0]-'0']++
		last[code[5]-'0']++
	}
	for name, counts := range map[string][10]int{"first": first, "last": last} {
		var chi float64
		for _, n := range counts {
			d := float64(n) - draws/10
			chi += d * d / (draws / 10)
		}
		// Nine degrees of freedom: beyond 50 once in ten million runs.
		if chi > 50 {
			t.Errorf("the %s digits come %v times", name, counts)
		}
	}
	if codeSpace.Int64() != 1_000_000 {
		t.Errorf("%d codes", codeSpace)
	}
}
