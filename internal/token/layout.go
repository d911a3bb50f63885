package token

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// writer lays fields one after the other; texts carry their length.
type writer struct{ b []byte }

// newWriter has room for what most tokens say, and begins with the layout.
func newWriter() writer { return writer{append(make([]byte, 0, 192), layout)} }

func (w *writer) id(id uuid.UUID)  { w.b = append(w.b, id[:]...) }
func (w *writer) int(n int64)      { w.b = binary.BigEndian.AppendUint64(w.b, uint64(n)) } //nolint:gosec // bits, not a number
func (w *writer) time(t time.Time) { w.int(t.UnixMilli()) }
func (w *writer) text(s string) {
	w.b = binary.AppendUvarint(w.b, uint64(len(s)))
	w.b = append(w.b, s...)
}

// reader takes fields in the order in which they were written. After a failure everything reads as zero.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || n < 0 || len(r.b) < n {
		r.failed = true
		return nil
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) id() (id uuid.UUID) {
	copy(id[:], r.take(len(id)))
	return id
}

func (r *reader) int() int64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b)) //nolint:gosec // bits, not a number
}

func (r *reader) time() time.Time { return time.UnixMilli(r.int()) }

func (r *reader) text() string {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > uint64(len(r.b)) {
		r.failed = true
		return ""
	}
	r.b = r.b[size:]
	return string(r.take(int(n))) //nolint:gosec // bounded by the length of b
}

// done tells whether every field was there and nothing is left over.
func (r *reader) done() bool { return !r.failed && len(r.b) == 0 }
