package notify_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"jari/internal/notify"
)

func TestFit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text, want string
		bytes      int
		replaced   []string
	}{
		"ASCII is one byte":                  {"Jari 10", "Jari 10", 7, nil},
		"a syllable is two":                  {"자리", "자리", 4, nil},
		"one beyond KS X 1001 too":           {"뷁펲", "뷁펲", 4, nil},
		"letters of a Mac are one syllable":  {"\u110c\u1161\u1105\u1175", "자리", 4, nil},
		"an emoji has none":                  {"자리 👍 👍", "자리 ? ?", 8, []string{"👍"}},
		"a family is one mark each":          {"👩\u200d👧", "??", 2, []string{"👩", "👧"}},
		"a spelling that everybody knows":    {"10–12\u00a0시 • ©", "10-12 시 · (c)", 15, nil},
		"what nobody sees goes":              {"자\ufeff리\u200b", "자리", 4, nil},
		"lines stay, other controls don't":   {"a\r\nb\u0007c", "a\nbc", 4, nil},
		"a broken byte becomes a question":   {"a\xffb", "a?b", 3, []string{"\ufffd"}},
		"a Chinese character of Korea's set": {"韓國", "韓國", 4, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := notify.Fit(tc.text)
			if got.Text != tc.want || got.Bytes != tc.bytes || !slices.Equal(got.Replaced, tc.replaced) || got.Cut {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestSMSOrLMS(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		strings.Repeat("가", 45): "SMS", strings.Repeat("가", 45) + "a": "LMS", strings.Repeat("a", 90): "SMS", strings.Repeat("a", 91): "LMS",
	} {
		if got := notify.Fit(text).Type(); got != want {
			t.Errorf("%d bytes are an %s", notify.Fit(text).Bytes, got)
		}
	}
	long := notify.Fit("a" + strings.Repeat("가", 1000))
	if !long.Cut || long.Bytes != 1999 || long.Text != "a"+strings.Repeat("가", 999) {
		t.Errorf("%d bytes, cut: %v", long.Bytes, long.Cut)
	}
	// Codes are short messages, in both languages.
	for _, language := range []string{"ko", "en"} {
		if f := notify.Fit(notify.CodeText(language, "123456", 10*time.Minute)); f.Type() != "SMS" || len(f.Replaced) > 0 {
			t.Errorf("%s: %+v", language, f)
		}
	}
}
