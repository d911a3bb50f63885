// Package keys holds the secrets of a deployment as Tink keysets, each with key ids and rotation built in:
//
//   - tokens: seals sessions, admissions and holds;
//   - data: seals personal data at rest;
//   - index: finds sealed data by a keyed hash (a blind index);
//   - backup: seals backups of the database; servers don't have it.
//
// A keyset is written as one line, "jari:<environment>:<purpose>:<base64>". The environment in it lets production refuse
// keys that were made for development, and the reverse.
package keys

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/streamingaead"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Purpose is what a keyset is for; a keyset of one purpose is refused for another.
type Purpose string

// The purposes.
const (
	Tokens Purpose = "tokens"
	Data   Purpose = "data"
	Index  Purpose = "index"
	Backup Purpose = "backup"
)

// template is what a new key of a purpose is made by.
func template(purpose Purpose) *tinkpb.KeyTemplate {
	switch purpose {
	case Index:
		return prf.HMACSHA256PRFKeyTemplate()
	case Backup:
		return streamingaead.AES256GCMHKDF1MBKeyTemplate()
	case Tokens, Data:
	}
	return aead.AES256GCMKeyTemplate()
}

// Generate makes a new keyset for an environment and purpose and returns it as one line.
func Generate(environment string, purpose Purpose) (string, error) {
	handle, err := keyset.NewHandle(template(purpose))
	if err != nil {
		return "", fmt.Errorf("generating a keyset: %w", err)
	}
	return write(handle, environment, purpose)
}

// parse reads a line made by Generate. Its errors never repeat the line.
func parse(line, environment string, purpose Purpose) (*keyset.Handle, error) {
	parts := strings.Split(strings.TrimSpace(line), ":")
	if len(parts) != 4 || parts[0] != "jari" {
		return nil, errors.New("isn't a keyset; `jari keys generate` makes one")
	}
	if parts[1] != environment {
		return nil, fmt.Errorf("was made for %s and this is %s", parts[1], environment)
	}
	if parts[2] != string(purpose) {
		return nil, fmt.Errorf("is a keyset for %s, not for %s", parts[2], purpose)
	}
	raw, err := base64.StdEncoding.DecodeString(parts[3])
	if err != nil {
		return nil, errors.New("is damaged: its last part isn't base64")
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(raw)))
	if err != nil {
		return nil, errors.New("is damaged: it isn't a Tink keyset")
	}
	return handle, nil
}

// Sealer encrypts and authenticates. The context (associated data) must be the same for sealing and opening, so that a
// sealed value can't be moved to another row or another use.
type Sealer struct{ aead tink.AEAD }

// NewSealer reads a keyset for tokens or data.
func NewSealer(line, environment string, purpose Purpose) (*Sealer, error) {
	handle, err := parse(line, environment, purpose)
	if err != nil {
		return nil, err
	}
	a, err := aead.New(handle)
	if err != nil {
		return nil, errors.New("isn't a keyset that can seal")
	}
	return &Sealer{aead: a}, nil
}

// Seal encrypts plain for the given context with the newest key.
func (s *Sealer) Seal(plain, context []byte) ([]byte, error) {
	sealed, err := s.aead.Encrypt(plain, context)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return sealed, nil
}

// Open decrypts what Seal made for the same context with any key of the set.
func (s *Sealer) Open(sealed, context []byte) ([]byte, error) {
	plain, err := s.aead.Decrypt(sealed, context)
	if err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	return plain, nil
}

// Indexer computes keyed hashes. Its key doesn't rotate while a campaign runs: a hash must keep finding its row.
type Indexer struct {
	// macs are *mac that the key went into already, which is half of the work of hashing something short.
	macs sync.Pool
}

// mac is an HMAC by the key of an Indexer, and room for what goes into it.
type mac struct {
	hash.Hash
	input []byte
}

// NewIndexer reads a keyset for the index.
func NewIndexer(line, environment string) (*Indexer, error) {
	handle, err := parse(line, environment, Index)
	if err != nil {
		return nil, err
	}
	bad := errors.New("isn't a keyset that can index")
	set, err := prf.NewPRFSet(handle)
	if err != nil {
		return nil, bad
	}
	primary, err := handle.Primary()
	if err != nil {
		return nil, bad
	}
	key, ok := primary.Key().(*hmacprf.Key)
	if !ok {
		return nil, bad
	}
	if p, ok := key.Parameters().(*hmacprf.Parameters); !ok || p.HashType() != hmacprf.SHA256 {
		return nil, bad
	}
	secret := key.KeyBytes().Data(insecuresecretdataaccess.Token{})
	x := &Indexer{}
	x.macs.New = func() any { return &mac{Hash: hmac.New(sha256.New, secret)} }
	// What Tink says of this key is what counts: every hash that is kept was made so.
	mine, err := x.Hash("are we one")
	if err != nil {
		return nil, bad
	}
	tinks, err := set.ComputePrimaryPRF(appendPart(nil, "are we one"), hashBytes)
	if err != nil || !bytes.Equal(mine, tinks) {
		return nil, bad
	}
	return x, nil
}

// hashBytes is the length of a keyed hash: 2^64 entries before a collision is likely.
const hashBytes = 16

// Hash is the keyed hash of parts for one use. Uses never share hashes, and the lengths of the parts are hashed too, so
// that ("ab", "c") and ("a", "bc") differ.
func (x *Indexer) Hash(use string, parts ...string) ([]byte, error) {
	m, ok := x.macs.Get().(*mac)
	if !ok {
		return nil, errors.New("hashing: there is no key")
	}
	m.input = appendPart(m.input[:0], use)
	for _, p := range parts {
		m.input = appendPart(m.input, p)
	}
	m.Reset()
	_, _ = m.Write(m.input) // never fails
	h := m.Sum(make([]byte, 0, sha256.Size))
	clear(m.input) // nothing readable of anybody stays behind
	x.macs.Put(m)
	return h[:hashBytes:hashBytes], nil
}

// appendPart writes a part after its length.
func appendPart(b []byte, part string) []byte {
	b = strconv.AppendInt(b, int64(len(part)), 10)
	b = append(b, ':')
	b = append(b, part...)
	return append(b, ',')
}
