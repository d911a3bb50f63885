package identity

import (
	"crypto/rand"
	"fmt"
	"math/big"
)

// codeSpace is the number of codes: six digits.
var codeSpace = big.NewInt(1_000_000)

// newCode makes six random digits, each code as likely as any other.
func newCode() (string, error) {
	n, err := rand.Int(rand.Reader, codeSpace)
	if err != nil {
		return "", fmt.Errorf("making a code: %w", err)
	}
	return fmt.Sprintf("%06d", n.Int64()), nil
}
