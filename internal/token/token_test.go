package token_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"pgregory.net/rapid"

	"jari/internal/civil"
	"jari/internal/keys"
	"jari/internal/token"
)

const environment = "development"

func sealer(t testing.TB, line string) *keys.Sealer {
	t.Helper()
	s, err := keys.NewSealer(line, environment, keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newSealer(t testing.TB) *keys.Sealer {
	t.Helper()
	line, err := keys.Generate(environment, keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	return sealer(t, line)
}

func newBox(t testing.TB) *token.Box {
	t.Helper()
	return token.NewBox(newSealer(t), environment)
}

func ids() *rapid.Generator[uuid.UUID] {
	return rapid.Custom(func(t *rapid.T) (id uuid.UUID) {
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		return id
	})
}

// instants are the ones that a token keeps: whole milliseconds.
func instants() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMilli(rapid.Int64Range(-1<<41, 1<<45).Draw(t, "ms"))
	})
}

func dates() *rapid.Generator[civil.Date] {
	return rapid.Custom(func(t *rapid.T) civil.Date {
		first := civil.DayNumber(civil.Date{Year: 1, Month: time.January, Day: 1})
		last := civil.DayNumber(civil.Date{Year: 9999, Month: time.December, Day: 31})
		return civil.FromDayNumber(rapid.Int32Range(first, last).Draw(t, "day"))
	})
}

func sessions() *rapid.Generator[token.Session] {
	return rapid.Custom(func(t *rapid.T) token.Session {
		revision, lists := rapid.Int64().Draw(t, "revision"), uint64(0)
		if revision != 0 {
			lists = rapid.Uint64().Draw(t, "lists")
		}
		return token.Session{
			ID: ids().Draw(t, "session"), Person: ids().Draw(t, "person"), Actor: ids().Draw(t, "actor"),
			BirthDate: dates().Draw(t, "birth"), IssuedAt: instants().Draw(t, "issued"), ExpiresAt: instants().Draw(t, "expires"),
			Lists: lists, ListsRevision: revision,
		}
	})
}

func admissions() *rapid.Generator[token.Admission] {
	return rapid.Custom(func(t *rapid.T) token.Admission {
		return token.Admission{
			Room: rapid.String().Draw(t, "room"), Campaign: rapid.String().Draw(t, "campaign"), Person: ids().Draw(t, "person"),
			IssuedAt: instants().Draw(t, "issued"), ExpiresAt: instants().Draw(t, "expires"),
		}
	})
}

func holds() *rapid.Generator[token.Hold] {
	return rapid.Custom(func(t *rapid.T) token.Hold {
		return token.Hold{
			ID: ids().Draw(t, "hold"), Campaign: rapid.String().Draw(t, "campaign"), Slot: rapid.Int64().Draw(t, "slot"),
			Person: ids().Draw(t, "person"), Actor: ids().Draw(t, "actor"), Replaces: ids().Draw(t, "replaces"),
			PlacedAt: instants().Draw(t, "placed"), ExpiresAt: instants().Draw(t, "expires"), Wave: rapid.String().Draw(t, "wave"),
			RulesVersion: rapid.Int64().Draw(t, "version"), JudgedAt: instants().Draw(t, "judged"),
		}
	})
}

// kind is one kind of token with its values' type taken off, so that each claim is made of all of them.
type kind struct {
	name string
	// seal seals a drawn value.
	seal func(*rapid.T, *token.Box) (text string, sealed any)
	open func(*token.Box, string) (any, error)
	zero any
}

func kindOf[T any](name string, draw *rapid.Generator[T], seal func(*token.Box, T) (string, error), open func(*token.Box, string) (T, error)) kind {
	var zero T
	return kind{
		name: name, zero: zero,
		seal: func(t *rapid.T, b *token.Box) (string, any) {
			value := draw.Draw(t, name)
			text, err := seal(b, value)
			if err != nil {
				t.Fatal(err)
			}
			return text, value
		},
		open: func(b *token.Box, text string) (any, error) { return open(b, text) },
	}
}

var kinds = []kind{
	kindOf("session", sessions(), (*token.Box).SealSession, (*token.Box).OpenSession),
	kindOf("admission", admissions(), (*token.Box).SealAdmission, (*token.Box).OpenAdmission),
	kindOf("hold", holds(), (*token.Box).SealHold, (*token.Box).OpenHold),
}

// refused fails unless text is refused and nothing of it is given away.
func refused(t rapid.TB, k kind, b *token.Box, text, why string) {
	t.Helper()
	value, err := k.open(b, text)
	if !errors.Is(err, token.ErrInvalid) {
		t.Fatalf("%s passes as a %s (%v)", why, k.name, err)
	}
	if !cmp.Equal(value, k.zero) {
		t.Fatalf("%s is refused as a %s, and yet something of it is handed out: %+v", why, k.name, value)
	}
}

func TestATokenReadsAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			box := newBox(t)
			rapid.Check(t, func(t *rapid.T) {
				text, want := k.seal(t, box)
				got, err := k.open(box, text)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatal(diff)
				}
			})
		})
	}
}

func TestATokenSaysNothingToItsBearer(t *testing.T) {
	t.Parallel()
	person := uuid.New()
	text, err := newBox(t).SealAdmission(token.Admission{Room: "korea-2021", Campaign: "korea-2021", Person: person})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, person[:]) || bytes.Contains(raw, []byte("korea-2021")) {
		t.Fatal("it can be read")
	}
}

func TestOneKindNeverPassesAsAnother(t *testing.T) {
	t.Parallel()
	box := newBox(t)
	for _, k := range kinds {
		for _, other := range kinds {
			if k.name == other.name {
				continue
			}
			t.Run("a "+k.name+" isn't a "+other.name, func(t *testing.T) {
				t.Parallel()
				rapid.Check(t, func(rt *rapid.T) {
					text, _ := k.seal(rt, box)
					refused(rt, other, box, text, "a "+k.name)
				})
			})
		}
	}
}

func TestDevelopmentClientInProduction(t *testing.T) {
	t.Parallel()
	// Even with the same keys: the environment is part of what is authenticated.
	sealer := newSealer(t)
	development, production := token.NewBox(sealer, "development"), token.NewBox(sealer, "production")
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				text, _ := k.seal(t, development)
				refused(t, k, production, text, "a token of development")
				text, _ = k.seal(t, production)
				refused(t, k, development, text, "a token of production")
			})
		})
	}
}

func TestATokenOfAnotherDeploymentIsRefused(t *testing.T) {
	t.Parallel()
	ours, theirs := newBox(t), newBox(t)
	for _, k := range kinds {
		rapid.Check(t, func(t *rapid.T) {
			text, _ := k.seal(t, theirs)
			refused(t, k, ours, text, "a token under another key")
		})
	}
}

// sample is a fixed token of each kind.
func sample(t testing.TB, b *token.Box, k kind) string {
	t.Helper()
	at := time.UnixMilli(1_626_692_400_000)
	var text string
	var err error
	switch k.name {
	case "session":
		text, err = b.SealSession(token.Session{
			ID: uuid.New(), Person: uuid.New(), Actor: uuid.New(),
			BirthDate: civil.Date{Year: 1967, Month: time.January, Day: 1}, IssuedAt: at, ExpiresAt: at.Add(time.Hour),
		})
	case "admission":
		text, err = b.SealAdmission(token.Admission{
			Room: "korea-2021", Campaign: "korea-2021", Person: uuid.New(), IssuedAt: at, ExpiresAt: at.Add(time.Hour),
		})
	default:
		text, err = b.SealHold(token.Hold{
			ID: uuid.New(), Campaign: "korea-2021", Slot: 7, Person: uuid.New(), Actor: uuid.New(), PlacedAt: at,
			ExpiresAt: at.Add(5 * time.Minute), Wave: "F1", RulesVersion: 1, JudgedAt: at,
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEveryAlterationIsRefused(t *testing.T) {
	t.Parallel()
	box := newBox(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			text := sample(t, box, k)
			raw, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			for i := range raw {
				for bit := range 8 {
					altered := bytes.Clone(raw)
					altered[i] ^= 1 << bit
					refused(t, k, box, base64.RawURLEncoding.EncodeToString(altered), "one with a flipped bit")
				}
			}
			for n := range raw {
				refused(t, k, box, base64.RawURLEncoding.EncodeToString(raw[:n]), "one that was cut off")
			}
			for n := range text {
				refused(t, k, box, text[:n], "one whose text was cut off")
			}
			// Two spellings of one token would be two tokens to whoever counts them.
			for name, other := range map[string]string{
				"one with a byte more":         base64.RawURLEncoding.EncodeToString(append(bytes.Clone(raw), 0)),
				"two in one":                   text + text,
				"one with a blank":             text + " ",
				"one that is padded":           text + "=",
				"one in the other alphabet":    strings.NewReplacer("-", "+", "_", "/").Replace(text) + "+",
				"one in quotes":                `"` + text + `"`,
				"one with the scheme before":   "Bearer " + text,
				"no token at all":              "",
				"a token of the Web's usual":   "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
				"one of a million characters ": strings.Repeat("A", 1_000_000),
			} {
				refused(t, k, box, other, name)
			}
		})
	}
}

func TestOnlyOneSpellingOfATokenIsRead(t *testing.T) {
	t.Parallel()
	box := newBox(t)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, k := range kinds {
		text := sample(t, box, k)
		for i := range text {
			for n, c := range alphabet {
				// All characters at the end, where bits are left over; a few elsewhere.
				if byte(c) != text[i] && (i == len(text)-1 || n%16 == i%16) {
					refused(t, k, box, text[:i]+string(c)+text[i+1:], "one with another character")
				}
			}
			refused(t, k, box, text[:i]+"\n"+text[i:], "one with a line break in it")
		}
	}
}

func TestAnUnknownLayoutIsRefused(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t)
	box := token.NewBox(sealer, environment)
	seal := func(k kind, plain []byte) string {
		sealed, err := sealer.Seal(plain, []byte("jari token "+environment+" "+k.name))
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(sealed)
	}
	for _, k := range kinds {
		raw, err := base64.RawURLEncoding.DecodeString(sample(t, box, k))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := sealer.Open(raw, []byte("jari token "+environment+" "+k.name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.open(box, seal(k, plain)); err != nil {
			t.Fatalf("the %s itself doesn't open: %v", k.name, err)
		}
		for layout := range 256 {
			if byte(layout) == plain[0] {
				continue
			}
			refused(t, k, box, seal(k, append([]byte{byte(layout)}, plain[1:]...)), "one of another layout")
		}
		refused(t, k, box, seal(k, nil), "an empty one")
		refused(t, k, box, seal(k, plain[:len(plain)-1]), "one with a field cut off")
		refused(t, k, box, seal(k, append(bytes.Clone(plain), 0)), "one with something after its fields")
	}
	// A text whose length is a lie.
	for _, length := range [][]byte{{0x05}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, {0x80}, bytes.Repeat([]byte{0xff}, 11)} {
		refused(t, kinds[1], box, seal(kinds[1], append([]byte{1}, length...)), "one with a text of a wrong length")
	}
}

// rotated returns an old keyset, and one in which a new key was put before it.
func rotated(t *testing.T) (before, after, withoutOld string) {
	t.Helper()
	line := func(h *keyset.Handle) string {
		var b bytes.Buffer
		if err := insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&b)); err != nil {
			t.Fatal(err)
		}
		return "jari:" + environment + ":tokens:" + base64.StdEncoding.EncodeToString(b.Bytes())
	}
	handle := func(m *keyset.Manager) *keyset.Handle {
		h, err := m.Handle()
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	m := keyset.NewManager()
	add := func() uint32 {
		id, err := m.Add(aead.AES256GCMKeyTemplate())
		if err != nil {
			t.Fatal(err)
		}
		if err := m.SetPrimary(id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	old := add()
	before = line(handle(m))
	add()
	after = line(handle(m))
	if err := m.Delete(old); err != nil {
		t.Fatal(err)
	}
	return before, after, line(handle(m))
}

func TestTokensOutliveTheRotationOfTheirKey(t *testing.T) {
	t.Parallel()
	before, after, withoutOld := rotated(t)
	first, second := token.NewBox(sealer(t, before), environment), token.NewBox(sealer(t, after), environment)
	third := token.NewBox(sealer(t, withoutOld), environment)
	for _, k := range kinds {
		old, young := sample(t, first, k), sample(t, second, k)
		if _, err := k.open(second, old); err != nil {
			t.Errorf("a %s of the old key, which is kept, isn't read: %v", k.name, err)
		}
		if _, err := k.open(third, young); err != nil {
			t.Errorf("a %s of the new key isn't read once the old is gone: %v", k.name, err)
		}
		refused(t, k, first, young, "one of a key that this instance doesn't have yet")
		refused(t, k, third, old, "one of a key that was taken away")
	}
}

func FuzzOpenNeverPanics(f *testing.F) {
	sealer := newSealer(f)
	box := token.NewBox(sealer, environment)
	for _, k := range kinds {
		text := sample(f, box, k)
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		plain, err := sealer.Open(raw, []byte("jari token "+environment+" "+k.name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, plain)
	}
	f.Add("", []byte{})
	f.Add("!", []byte{1})
	f.Add("AAAA", append([]byte{1}, bytes.Repeat([]byte{0xff}, 40)...))
	f.Fuzz(func(t *testing.T, text string, plain []byte) {
		for _, k := range kinds {
			if _, err := k.open(box, text); err != nil && !errors.Is(err, token.ErrInvalid) {
				t.Fatalf("another error than ErrInvalid: %v", err)
			}
			// What comes after the key can't be forged; the reader behind it has to be safe all the same.
			sealed, err := sealer.Seal(plain, []byte("jari token "+environment+" "+k.name))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.open(box, base64.RawURLEncoding.EncodeToString(sealed)); err != nil && !errors.Is(err, token.ErrInvalid) {
				t.Fatalf("another error than ErrInvalid: %v", err)
			}
		}
	})
}

// BenchmarkPair is what one booking asks of this package: two requests with session and admission, a hold made and read.
func BenchmarkPair(b *testing.B) {
	box, now := newBox(b), time.Now()
	person := uuid.New()
	session, err := box.SealSession(token.Session{ID: uuid.New(), Person: person, Actor: person, IssuedAt: now, ExpiresAt: now})
	if err != nil {
		b.Fatal(err)
	}
	admission, err := box.SealAdmission(token.Admission{Room: "night", Campaign: "night", Person: person, IssuedAt: now, ExpiresAt: now})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for range 2 {
			if _, err := box.OpenSession(session); err != nil {
				b.Fatal(err)
			}
			if _, err := box.OpenAdmission(admission); err != nil {
				b.Fatal(err)
			}
		}
		hold, err := box.SealHold(token.Hold{ID: person, Campaign: "night", Slot: 1, Person: person, Actor: person, PlacedAt: now, ExpiresAt: now, Wave: "E1", JudgedAt: now})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := box.OpenHold(hold); err != nil {
			b.Fatal(err)
		}
	}
}
