package keys_test

import (
	"bytes"
	"strings"
	"testing"

	"jari/internal/keys"
)

func open(t *testing.T, line string) *keys.Sealer {
	t.Helper()
	s, err := keys.NewSealer(line, "development", keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rotate(t *testing.T, line string, step keys.Step) string {
	t.Helper()
	next, err := keys.Rotate(line, "development", keys.Tokens, step)
	if err != nil {
		t.Fatalf("%s: %v", step, err)
	}
	return next
}

// Instances change one after the other, so at every step some have the line before and some the line after.
func TestARotationLeavesNobodyWithoutAKey(t *testing.T) {
	t.Parallel()
	lines := []string{generate(t, "development", keys.Tokens)}
	for _, step := range []keys.Step{keys.Add, keys.Promote, keys.Retire, keys.Add, keys.Promote, keys.Retire} {
		lines = append(lines, rotate(t, lines[len(lines)-1], step))
	}
	for i := range lines[:len(lines)-1] {
		retires := i%3 == 2 // what the old key sealed is over by then
		before, after := open(t, lines[i]), open(t, lines[i+1])
		for _, seals := range []struct{ by, opens *keys.Sealer }{{before, after}, {after, before}} {
			sealed, err := seals.by.Seal([]byte("x"), []byte("row"))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := seals.opens.Open(sealed, []byte("row")); err != nil || !bytes.Equal(got, []byte("x")) {
				t.Errorf("step %d: what one instance sealed, another can't open: %v", i, err)
			}
		}
		if sealed, _ := open(t, lines[0]).Seal([]byte("x"), nil); retires {
			if _, err := after.Open(sealed, nil); err == nil {
				t.Errorf("step %d: a retired key opens", i)
			}
		}
	}
}

func TestWhatIsSealedBeginsWithItsKey(t *testing.T) {
	t.Parallel()
	line := rotate(t, generate(t, "development", keys.Tokens), keys.Add)
	for _, promoted := range []bool{false, true} {
		if promoted {
			line = rotate(t, line, keys.Promote)
		}
		sealed, err := open(t, line).Seal([]byte("x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		list, err := keys.List(line, "development", keys.Tokens)
		if err != nil || len(list) != 2 {
			t.Fatalf("%v, %v", list, err)
		}
		for i, k := range list {
			if k.Primary != (promoted == (i == 1)) || bytes.HasPrefix(sealed, keys.PrefixOf(k.ID)) != k.Primary {
				t.Errorf("promoted %v: key %d of %v", promoted, i, list)
			}
		}
	}
}

func TestAStepThatDoesntComeNextIsRefused(t *testing.T) {
	t.Parallel()
	one := generate(t, "development", keys.Tokens)
	added := rotate(t, one, keys.Add)
	promoted := rotate(t, added, keys.Promote)
	for name, tc := range map[string]struct {
		line    string
		purpose keys.Purpose
		step    keys.Step
		says    string
	}{
		"promoting without a new key":  {one, keys.Tokens, keys.Promote, "add one first"},
		"retiring the only key":        {one, keys.Tokens, keys.Retire, "no other key"},
		"adding twice":                 {added, keys.Tokens, keys.Add, "promote the newest"},
		"retiring before promoting":    {added, keys.Tokens, keys.Retire, "promote it first"},
		"promoting twice":              {promoted, keys.Tokens, keys.Promote, "add one first"},
		"adding before retiring":       {promoted, keys.Tokens, keys.Add, "retire the old one"},
		"the index":                    {generate(t, "development", keys.Index), keys.Index, keys.Add, "keeps its key"},
		"a keyset of another purpose":  {one, keys.Data, keys.Add, "is a keyset for tokens"},
		"a keyset of production":       {generate(t, "production", keys.Tokens), keys.Tokens, keys.Add, "was made for production"},
		"something that isn't a step":  {one, keys.Tokens, "renew", "is no step"},
		"something that isn't a line ": {"hunter2", keys.Tokens, keys.Add, "isn't a keyset"},
	} {
		next, err := keys.Rotate(tc.line, "development", tc.purpose, tc.step)
		if err == nil || !strings.Contains(err.Error(), tc.says) || next != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
