package keys

import (
	"errors"
	"fmt"
	"io"

	"github.com/tink-crypto/tink-go/v2/streamingaead"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// StreamSealer encrypts and authenticates what is too large for memory: backups.
type StreamSealer struct{ aead tink.StreamingAEAD }

// NewStreamSealer reads a keyset for backups.
func NewStreamSealer(line, environment string) (*StreamSealer, error) {
	handle, err := parse(line, environment, Backup)
	if err != nil {
		return nil, err
	}
	a, err := streamingaead.New(handle)
	if err != nil {
		return nil, errors.New("isn't a keyset that can seal backups")
	}
	return &StreamSealer{aead: a}, nil
}

// Seal returns a writer that seals what is written to it with the newest key. What is sealed is only whole once Close has
// returned nil.
func (s *StreamSealer) Seal(to io.Writer, context []byte) (io.WriteCloser, error) {
	w, err := s.aead.NewEncryptingWriter(to, context)
	if err != nil {
		return nil, fmt.Errorf("sealing a stream: %w", err)
	}
	return w, nil
}

// Open returns a reader of what Seal made for the same context with any key of the set. It gives out nothing that wasn't
// authenticated, and an error instead of an end where the stream was cut off.
func (s *StreamSealer) Open(from io.Reader, context []byte) (io.Reader, error) {
	r, err := s.aead.NewDecryptingReader(from, context)
	if err != nil {
		return nil, fmt.Errorf("opening a stream: %w", err)
	}
	return r, nil
}
