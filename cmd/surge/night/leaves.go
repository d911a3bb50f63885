package night

import (
	"io"

	"jari/internal/waitingroom"
)

// leafReader is the leaves' file, made as it is read.
type leafReader struct {
	nonces []waitingroom.Nonce
	next   int
	left   []byte
}

// Read gives the next bytes of the file.
func (r *leafReader) Read(into []byte) (int, error) {
	if len(r.left) == 0 {
		if r.next == len(r.nonces) {
			return 0, io.EOF
		}
		leaf := waitingroom.Leaf(room, uint64(r.next), r.nonces[r.next]) //nolint:gosec // an index
		r.left = leaf[:]
		r.next++
	}
	n := copy(into, r.left)
	r.left = r.left[n:]
	return n, nil
}
