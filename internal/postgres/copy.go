package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Copier takes the rows of a CopyIn: Row begins each, then come as many values as columns were named, in their order. A value
// is written as the very type that its column has; another one is refused by Postgres, since nothing converts it. It is for
// the goroutine that fills it.
type Copier struct {
	fields int
	buf    []byte
	full   chan []byte // to the connection
	free   chan []byte // and back
	ended  chan struct{}
}

const (
	// copyChunk is from how many bytes on rows go to the connection together.
	copyChunk = 60 << 10
	// copySignature begins the binary form; flags and the length of an extension follow, both 0.
	copySignature = "PGCOPY\n\xff\r\n\x00"
)

// chunks are buffers of the two that each COPY has: a flush of bookings fills less than one, many times a second.
var chunks = sync.Pool{New: func() any {
	b := make([]byte, 0, copyChunk+4<<10)
	return &b
}}

func chunk() *[]byte {
	b, _ := chunks.Get().(*[]byte)
	return b
}

var (
	errCopyEnded   = errors.New("the COPY has ended")
	errCopyGivenUp = errors.New("given up") // all that Postgres, and its log, learns of the reason
)

// CopyIn writes the rows that fill gives by COPY, in its binary form, while fill makes the next ones: rows of a large file
// go through without a value of each being kept, boxed or converted. What fill returns as an error is returned as it is, and
// nothing is written then. fill must not use tx.
func CopyIn(ctx context.Context, conn *pgx.Conn, table string, columns []string, fill func(to *Copier) error) (rows int64, err error) {
	quoted := make([]string, len(columns))
	for i, name := range columns {
		quoted[i] = pgx.Identifier{name}.Sanitize()
	}
	sql := `COPY ` + pgx.Identifier{table}.Sanitize() + ` (` + strings.Join(quoted, ", ") + `) FROM STDIN BINARY`
	c := &Copier{fields: len(columns), full: make(chan []byte), free: make(chan []byte, 2), ended: make(chan struct{})}
	one, other := chunk(), chunk()
	c.free <- (*other)[:0]
	c.buf = (*one)[:0]
	c.buf = append(c.buf, copySignature...)
	c.buf = append(c.buf, 0, 0, 0, 0, 0, 0, 0, 0)
	source := &copySource{copier: c}
	var tag pgconn.CommandTag
	var copyErr error
	go func() {
		defer close(c.ended)
		tag, copyErr = conn.PgConn().CopyFrom(ctx, source, sql)
	}()
	err = fill(c)
	if err == nil {
		c.buf = append(c.buf, 0xff, 0xff)
		err = c.flush()
	}
	source.givenUp = err != nil
	close(c.full)
	<-c.ended
	switch {
	case err != nil && !errors.Is(err, errCopyEnded):
		return 0, err
	case copyErr != nil:
		return 0, Unreachable(fmt.Errorf("copying into %s: %w", table, copyErr))
	case err != nil:
		return 0, fmt.Errorf("copying into %s: %w", table, err)
	}
	// Only now is it sure that the connection has done with them.
	chunks.Put(one)
	chunks.Put(other)
	return tag.RowsAffected(), nil
}

// RoomToWork lets one bulk change sort and join a few hundred thousand rows in memory. A server works on a few at once.
func RoomToWork(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SET LOCAL work_mem = '64MB'`)
	return err
}

// Row begins a row. It fails when Postgres takes no more of them; fill has nothing to do then but to return that.
func (c *Copier) Row() error {
	if len(c.buf) >= copyChunk {
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.buf = binary.BigEndian.AppendUint16(c.buf, uint16(c.fields)) //nolint:gosec // a table has at most 1600 columns
	return nil
}

// Text writes a text, which must be valid UTF-8.
func (c *Copier) Text(v string) {
	c.size(len(v))
	c.buf = append(c.buf, v...)
}

// Bytes writes a bytea; nil is NULL.
func (c *Copier) Bytes(v []byte) {
	if v == nil {
		c.Null()
		return
	}
	c.size(len(v))
	c.buf = append(c.buf, v...)
}

// Int writes an integer of four bytes.
func (c *Copier) Int(v int32) {
	c.size(4)
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(v)) //nolint:gosec // bits, not a number
}

// Long writes an integer of eight bytes.
func (c *Copier) Long(v int64) {
	c.size(8)
	c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(v)) //nolint:gosec // bits, not a number
}

// Bool writes a boolean.
func (c *Copier) Bool(v bool) {
	c.size(1)
	if v {
		c.buf = append(c.buf, 1)
		return
	}
	c.buf = append(c.buf, 0)
}

// epoch of Postgres's instants, in microseconds since 1970.
var epoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// Time writes a timestamptz, to the microsecond.
func (c *Copier) Time(v time.Time) {
	c.size(8)
	c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(v.UnixMicro()-epoch)) //nolint:gosec // bits, not a number
}

// UUID writes a uuid.
func (c *Copier) UUID(v uuid.UUID) {
	c.size(len(v))
	c.buf = append(c.buf, v[:]...)
}

// Null writes NULL, of any type.
func (c *Copier) Null() { c.size(-1) }

func (c *Copier) size(n int) {
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(int32(n))) //nolint:gosec // -1 is NULL; a value is far shorter than 2^31
}

// flush hands what was written to the connection and takes an empty buffer.
func (c *Copier) flush() error {
	select {
	case c.full <- c.buf:
	case <-c.ended:
		return errCopyEnded
	}
	select {
	case c.buf = <-c.free:
	case <-c.ended:
		return errCopyEnded
	}
	return nil
}

// copySource is the other side of a Copier, which the connection reads.
type copySource struct {
	copier  *Copier
	buf     []byte // what is being read
	rest    []byte // of it
	givenUp bool   // to be read once full is closed
}

// Read gives what was written, then io.EOF, or errCopyGivenUp where it isn't whole.
func (s *copySource) Read(p []byte) (n int, err error) {
	if len(s.rest) == 0 {
		if s.buf != nil {
			s.copier.free <- s.buf[:0] // never waits: there are two buffers
		}
		var more bool
		if s.buf, more = <-s.copier.full; !more {
			if s.givenUp {
				return 0, errCopyGivenUp
			}
			return 0, io.EOF
		}
		s.rest = s.buf
	}
	n = copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
