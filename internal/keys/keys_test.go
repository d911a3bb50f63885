package keys_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"jari/internal/keys"
)

func generate(t testing.TB, environment string, purpose keys.Purpose) string {
	t.Helper()
	line, err := keys.Generate(environment, purpose)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func sealer(t testing.TB) *keys.Sealer {
	t.Helper()
	s, err := keys.NewSealer(generate(t, "development", keys.Data), "development", keys.Data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func indexer(t testing.TB) *keys.Indexer {
	t.Helper()
	x, err := keys.NewIndexer(generate(t, "development", keys.Index), "development")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestAGeneratedKeysetNamesItsEnvironmentAndPurpose(t *testing.T) {
	t.Parallel()
	for _, purpose := range []keys.Purpose{keys.Tokens, keys.Data, keys.Index} {
		line := generate(t, "production", purpose)
		if !strings.HasPrefix(line, "jari:production:"+string(purpose)+":") || strings.ContainsAny(line, " \n") {
			t.Errorf("the keyset of %s isn't one line of the promised form", purpose)
		}
		if line == generate(t, "production", purpose) {
			t.Errorf("two keysets of %s are the same", purpose)
		}
	}
}

func TestAKeysetIsReadWithBlanksAroundIt(t *testing.T) {
	t.Parallel()
	line := generate(t, "development", keys.Tokens)
	if _, err := keys.NewSealer(" "+line+"\r\n", "development", keys.Tokens); err != nil {
		t.Fatal(err)
	}
}

func TestAKeysetThatIsntTheRightOneIsRefusedWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	tokens, index := generate(t, "development", keys.Tokens), generate(t, "development", keys.Index)
	secret := tokens[strings.LastIndex(tokens, ":")+1:]
	relabelled := "jari:development:tokens:" + index[strings.LastIndex(index, ":")+1:]
	for name, tc := range map[string]struct{ line, says string }{
		"empty":                      {"", "isn't a keyset"},
		"something else":             {"hunter2", "isn't a keyset"},
		"three parts":                {"jari:development:" + secret, "isn't a keyset"},
		"five parts":                 {tokens + ":more", "isn't a keyset"},
		"another prefix":             {"yari" + tokens[4:], "isn't a keyset"},
		"of the other environment":   {generate(t, "production", keys.Tokens), "was made for production and this is development"},
		"of no environment":          {"jari::tokens:" + secret, "was made for"},
		"of another purpose":         {generate(t, "development", keys.Data), "is a keyset for data, not for tokens"},
		"not base64":                 {"jari:development:tokens:!" + secret, "isn't base64"},
		"cut off":                    {tokens[:len(tokens)-8], "damaged"},
		"base64 of something else":   {"jari:development:tokens:aHVudGVyMg==", "damaged"},
		"nothing in it":              {"jari:development:tokens:", "damaged"},
		"an index called tokens":     {relabelled, "isn't a keyset that can seal"},
		"the line inside quotes":     {`"` + tokens + `"`, "isn't a keyset"},
		"the variable's name before": {"JARI_TOKEN_KEYS=" + tokens, "isn't a keyset"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := keys.NewSealer(tc.line, "development", keys.Tokens)
			if err == nil {
				t.Fatal("it was taken")
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("it says %q and not %q", err, tc.says)
			}
			// Any stretch of the secret is too much.
			for part := secret; len(part) >= 12; part = part[12:] {
				if strings.Contains(err.Error(), part[:12]) {
					t.Fatal("the error repeats the secret")
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Fatal("the error repeats what it was given")
			}
		})
	}
}

func TestAnIndexerTakesOnlyAnIndex(t *testing.T) {
	t.Parallel()
	sealing := generate(t, "development", keys.Data)
	for name, line := range map[string]string{
		"a keyset that seals":        sealing,
		"one that is called index":   "jari:development:index:" + sealing[strings.LastIndex(sealing, ":")+1:],
		"of the other environment":   generate(t, "production", keys.Index),
		"one that was cut off":       generate(t, "development", keys.Index)[:40],
		"nothing at all in its base": "jari:development:index:",
	} {
		if _, err := keys.NewIndexer(line, "development"); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestSealedDataOpensInItsContextAlone(t *testing.T) {
	t.Parallel()
	s, other := sealer(t), sealer(t)
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		context := rapid.SliceOf(rapid.Byte()).Draw(t, "context")
		elsewhere := rapid.SliceOf(rapid.Byte()).Draw(t, "elsewhere")
		sealed, err := s.Seal(plain, context)
		if err != nil {
			t.Fatal(err)
		}
		if len(plain) > 3 && bytes.Contains(sealed, plain) {
			t.Fatal("it can be read")
		}
		opened, err := s.Open(sealed, context)
		if err != nil || !bytes.Equal(opened, plain) {
			t.Fatalf("it opens as %q (%v)", opened, err)
		}
		if _, err := s.Open(sealed, elsewhere); err == nil && !bytes.Equal(elsewhere, context) {
			t.Fatal("it opens in another context")
		}
		if _, err := other.Open(sealed, context); err == nil {
			t.Fatal("it opens with another key")
		}
		again, err := s.Seal(plain, context)
		if err != nil || bytes.Equal(again, sealed) {
			t.Fatal("the same is sealed alike twice, which tells who says the same")
		}
	})
}

func TestAHashFindsItsUseAndPartsAlone(t *testing.T) {
	t.Parallel()
	x := indexer(t)
	hash := func(t rapid.TB, use string, parts ...string) string {
		h, err := x.Hash(use, parts...)
		if err != nil {
			t.Fatal(err)
		}
		if len(h) != 16 {
			t.Fatalf("%d bytes", len(h))
		}
		return string(h)
	}
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.StringOfN(rapid.RuneFrom([]rune("ab:,1")), 0, 4, -1)
		use, parts := texts.Draw(t, "use"), rapid.SliceOfN(texts, 0, 3).Draw(t, "parts")
		use2, parts2 := texts.Draw(t, "use2"), rapid.SliceOfN(texts, 0, 3).Draw(t, "parts2")
		same := use == use2 && len(parts) == len(parts2)
		for i := range parts {
			same = same && parts[i] == parts2[i]
		}
		one, again := hash(t, use, parts...), hash(t, use, parts...)
		if one != again {
			t.Fatal("the same hashes to two values")
		}
		if (one == hash(t, use2, parts2...)) != same {
			t.Fatalf("%q %q and %q %q", use, parts, use2, parts2)
		}
	})
	for name, pair := range map[string][2][]string{
		"a part moved over the boundary": {{"person", "ab", "c"}, {"person", "a", "bc"}},
		"a part moved into the use":      {{"person", "a"}, {"persona"}},
		"an empty part":                  {{"person"}, {"person", ""}},
		"another use":                    {{"phone", "+821020001000"}, {"code", "+821020001000"}},
	} {
		if hash(t, pair[0][0], pair[0][1:]...) == hash(t, pair[1][0], pair[1][1:]...) {
			t.Errorf("%s isn't told apart", name)
		}
	}
}

func TestAHashNeedsItsKey(t *testing.T) {
	t.Parallel()
	one, err := indexer(t).Hash("phone", "+821020001000")
	if err != nil {
		t.Fatal(err)
	}
	two, err := indexer(t).Hash("phone", "+821020001000")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(one, two) {
		t.Fatal("two keys hash alike")
	}
}
