package keys

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAnySufficientPartsGiveTheSecretBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "secret")
		needed := rapid.IntRange(2, 5).Draw(t, "needed")
		of := rapid.IntRange(needed, 7).Draw(t, "of")
		parts, err := Split(secret, needed, of)
		if err != nil {
			t.Fatal(err)
		}
		chosen := rapid.Permutation(parts).Draw(t, "order")[:rapid.IntRange(needed, of).Draw(t, "how many")]
		got, err := Join(chosen)
		if err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("%v: %x, not %x", err, got, secret)
		}
		if _, err := Join(chosen[:needed-1]); err == nil {
			t.Fatal("too few parts are enough")
		}
	})
}

// With one part less than is needed every secret is as likely as any other: for each of them there is exactly one value that
// the missing part could have.
func TestTooFewPartsSayNothing(t *testing.T) {
	t.Parallel()
	known := map[byte][]byte{2: {137}} // one of two that are needed
	seen := map[byte]int{}
	for missing := range 256 {
		secret := byte(0)
		for x, y := range map[byte]byte{2: known[2][0], 3: byte(missing)} {
			weight := byte(1)
			for other := range map[byte]bool{2: true, 3: true} {
				if other != x {
					weight = multiply(weight, multiply(other, inverse(other^x)))
				}
			}
			secret ^= multiply(weight, y)
		}
		seen[secret]++
	}
	if len(seen) != 256 {
		t.Errorf("only %d of 256 secrets are possible", len(seen))
	}
}

func TestTheFieldIsAField(t *testing.T) {
	t.Parallel()
	if got := multiply(0x57, 0x83); got != 0xc1 { // the example of FIPS 197, 4.2
		t.Errorf("57 times 83 is %x", got)
	}
	for a := 1; a < 256; a++ {
		if multiply(byte(a), inverse(byte(a))) != 1 {
			t.Errorf("%d has no inverse", a)
		}
	}
}

func TestPartsThatDontFitAreRefused(t *testing.T) {
	t.Parallel()
	parts, err := Split([]byte("JARI_DATA_KEYS=hunter2"), 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	others, err := Split([]byte("JARI_DATA_KEYS=hunter3"), 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	for name, lines := range map[string][]string{
		"none":         nil,
		"one":          parts[:1],
		"one twice":    {parts[0], parts[0]},
		"of others":    {parts[0], others[1]},
		"mistyped":     {parts[0], strings.Replace(parts[1], "A", "B", 1) + "x"},
		"something":    {parts[0], "hunter2"},
		"cut off":      {parts[0], parts[1][:len(parts[1])-3]},
		"another form": {parts[0], strings.Replace(parts[1], ":2:2:", ":3:2:", 1)},
	} {
		if _, err := Join(lines); err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, n := range [][2]int{{1, 3}, {3, 2}, {2, 99}} {
		if _, err := Split([]byte("x"), n[0], n[1]); err == nil {
			t.Errorf("%d of %d is possible", n[0], n[1])
		}
	}
}

func TestASealedStreamIsWholeOrAnError(t *testing.T) {
	t.Parallel()
	line, err := Generate("production", Backup)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := NewStreamSealer(line, "production")
	if err != nil {
		t.Fatal(err)
	}
	plain := make([]byte, 3<<20)
	for i := range plain {
		plain[i] = byte(rand.IntN(256))
	}
	var sealed bytes.Buffer
	w, err := sealer.Seal(&sealed, []byte("context"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	read := func(raw []byte, context string) ([]byte, error) {
		r, err := sealer.Open(bytes.NewReader(raw), []byte(context))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	}
	if got, err := read(sealed.Bytes(), "context"); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("%v: %d bytes", err, len(got))
	}
	changed := bytes.Clone(sealed.Bytes())
	changed[len(changed)/2] ^= 1
	for name, c := range map[string]struct {
		raw     []byte
		context string
	}{
		"changed":         {changed, "context"},
		"cut off":         {sealed.Bytes()[:sealed.Len()-1], "context"},
		"cut at a seam":   {sealed.Bytes()[:2<<20], "context"},
		"another context": {sealed.Bytes(), "other"},
	} {
		if _, err := read(c.raw, c.context); err == nil {
			t.Errorf("%s: it is opened", name)
		}
	}
	if _, err := NewStreamSealer(line, "development"); err == nil {
		t.Error("a key of production seals in development")
	}
}
