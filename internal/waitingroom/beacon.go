package waitingroom

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/cloudflare/circl/sign/bls"
)

// Beacon is a public source of randomness: a drand network without chaining, whose signatures are on G1. Some twenty
// organisations sign each round together, and no few of them can know or choose its value before its time.
type Beacon struct {
	// Chain is the hash that names the network, and PublicKey what its signatures are checked with, both in hexadecimal.
	Chain     string
	PublicKey string
	Genesis   time.Time // the moment of round 1
	Period    time.Duration
}

// Quicknet is the League of Entropy's network with a round each three seconds.
var Quicknet = Beacon{
	Chain: "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971",
	PublicKey: "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451" +
		"0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
	Genesis: time.Unix(1692803367, 0).UTC(),
	Period:  3 * time.Second,
}

// Moment is when a round's value becomes public.
func (b Beacon) Moment(round uint64) time.Time {
	return b.Genesis.Add(time.Duration(max(round, 1)-1) * b.Period) //nolint:gosec // rounds of centuries fit
}

// After is the first round whose value becomes public after an instant.
func (b Beacon) After(at time.Time) uint64 {
	if at.Before(b.Genesis) {
		return 1
	}
	return uint64(at.Sub(b.Genesis)/b.Period) + 2 //nolint:gosec // not negative
}

// Value checks the signature of a round with the network's key, and returns the round's value: SHA-256 of the signature.
func (b Beacon) Value(round uint64, signature []byte) ([]byte, error) {
	raw, err := hex.DecodeString(b.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("the beacon's public key isn't hexadecimal: %w", err)
	}
	var key bls.PublicKey[bls.KeyG2SigG1]
	if err := key.UnmarshalBinary(raw); err != nil {
		return nil, fmt.Errorf("the beacon's public key: %w", err)
	}
	message := sha256.Sum256(binary.BigEndian.AppendUint64(nil, round))
	if !bls.Verify(&key, message[:], signature) {
		return nil, errors.New("the beacon's network didn't sign this")
	}
	value := sha256.Sum256(signature)
	return value[:], nil
}
