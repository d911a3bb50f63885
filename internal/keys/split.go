package keys

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Custody: keys that open everything are given to several people in parts, so that none of them can open anything alone and
// the loss of one part loses nothing. The scheme is Shamir's: each byte of the secret is the value at zero of a random
// polynomial over GF(256), and a part has its value at the part's own number. Fewer parts than are needed say nothing at all
// about the secret but its length, whatever somebody can compute.

const (
	partForm = "jari-part"
	maxParts = 16
	// sumBytes is the length of the checks: that a part was typed in right, and that the right parts came together.
	sumBytes = 8
)

// Split divides a secret into as many parts as of says, any needed of which Join puts together again. Each part is one
// line.
func Split(secret []byte, needed, of int) ([]string, error) {
	if needed < 2 || of < needed || of > maxParts {
		return nil, fmt.Errorf("from 2 to %d parts, of which at least 2 are needed", maxParts)
	}
	if len(secret) == 0 {
		return nil, errors.New("there is nothing to split")
	}
	set := make([]byte, 4)
	if _, err := rand.Read(set); err != nil {
		return nil, fmt.Errorf("drawing a name for the parts: %w", err)
	}
	sum := sha256.Sum256(secret)
	checked := slices.Concat(sum[:sumBytes], secret)
	shares := make([][]byte, of)
	for i := range shares {
		shares[i] = make([]byte, len(checked))
	}
	factors := make([]byte, needed) // of one polynomial: its value at zero is the byte
	for at, b := range checked {
		if _, err := rand.Read(factors[1:]); err != nil {
			return nil, fmt.Errorf("drawing a polynomial: %w", err)
		}
		factors[0] = b
		for i := range shares {
			x, y := byte(i+1), byte(0)
			for j := len(factors) - 1; j >= 0; j-- {
				y = multiply(y, x) ^ factors[j]
			}
			shares[i][at] = y
		}
	}
	parts := make([]string, of)
	for i, share := range shares {
		body := strings.Join([]string{
			partForm, hex.EncodeToString(set), strconv.Itoa(needed), strconv.Itoa(i + 1), base64.StdEncoding.EncodeToString(share),
		}, ":")
		parts[i] = body + ":" + checkOf(body)
	}
	return parts, nil
}

// Join puts parts together. Its errors name a part by where it stands, and repeat nothing of it.
func Join(parts []string) ([]byte, error) {
	var set string
	var needed int
	shares := map[byte][]byte{}
	for i, line := range parts {
		p, err := readPart(line)
		if err != nil {
			return nil, fmt.Errorf("part %d %w", i+1, err)
		}
		if set == "" {
			set, needed = p.set, p.needed
		}
		if p.set != set || p.needed != needed {
			return nil, fmt.Errorf("part %d belongs to another secret than the first", i+1)
		}
		if other, twice := shares[p.number]; twice && !bytes.Equal(other, p.share) {
			return nil, fmt.Errorf("part %d is another one with the same number", i+1)
		}
		shares[p.number] = p.share
	}
	if len(shares) < max(needed, 2) {
		return nil, fmt.Errorf("%d different parts are needed, and here are %d", max(needed, 2), len(shares))
	}
	return combine(shares)
}

// combine finds the values at zero (Lagrange).
func combine(shares map[byte][]byte) ([]byte, error) {
	length := -1
	for _, share := range shares {
		if length >= 0 && len(share) != length {
			return nil, errors.New("the parts don't belong together: their lengths differ")
		}
		length = len(share)
	}
	checked := make([]byte, length)
	for x, share := range shares {
		weight := byte(1)
		for other := range shares {
			if other != x {
				weight = multiply(weight, multiply(other, inverse(other^x)))
			}
		}
		for at, y := range share {
			checked[at] ^= multiply(weight, y)
		}
	}
	if length <= sumBytes {
		return nil, errors.New("the parts hold nothing")
	}
	secret := checked[sumBytes:]
	if sum := sha256.Sum256(secret); !bytes.Equal(sum[:sumBytes], checked[:sumBytes]) {
		return nil, errors.New("the parts don't belong together")
	}
	return secret, nil
}

type part struct {
	set    string
	needed int
	number byte
	share  []byte
}

func readPart(line string) (p part, err error) {
	line = strings.TrimSpace(line)
	fields := strings.Split(line, ":")
	if len(fields) != 6 || fields[0] != partForm {
		return part{}, errors.New("isn't a part; `jari keys split` makes them")
	}
	if fields[5] != checkOf(strings.Join(fields[:5], ":")) {
		return part{}, errors.New("was mistyped or cut off: its check is wrong")
	}
	needed, err := strconv.Atoi(fields[2])
	number, numberErr := strconv.ParseUint(fields[3], 10, 8)
	share, shareErr := base64.StdEncoding.DecodeString(fields[4])
	if err != nil || numberErr != nil || shareErr != nil || number < 1 || number > maxParts {
		return part{}, errors.New("is damaged")
	}
	return part{set: fields[1], needed: needed, number: byte(number), share: share}, nil
}

func checkOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:4])
}

// multiply in GF(256), modulo x⁸+x⁴+x³+x+1, without a branch or a table that depends on a secret.
func multiply(a, b byte) byte {
	var product byte
	for range 8 {
		product ^= -(b & 1) & a
		a = a<<1 ^ -(a>>7)&0x1b
		b >>= 1
	}
	return product
}

// inverse is what gives one when multiplied: a²⁵⁴.
func inverse(a byte) byte {
	result := byte(1)
	for range 254 {
		result = multiply(result, a)
	}
	return result
}
