package identity

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/fault"
	"jari/internal/postgres"
)

const (
	// portionRows are the rows that one processor hashes at a time.
	portionRows = 512
	// mostHashers bounds how many processors one import takes.
	mostHashers = 4
)

// hash16 is a keyed hash.
type hash16 [16]byte

// stagedRow is what is kept of a row until all were read: 72 bytes, so that of the largest list they are 72 MB.
type stagedRow struct {
	entry, self, phone, lookup hash16
	line                       int32
	hasPhone                   bool
}

// stagedList is a file that was read: nothing in it could be read by anybody.
type stagedList struct {
	rows  []*stagedRow // by entry
	wrong ListFaults
}

// portion is a part of a file on its way.
type portion struct {
	rows   []ListRow
	hashed []stagedRow
	faults []RowFault
	err    error
	done   chan struct{} // closed when the above is so
}

// hashList reads a file and hashes its rows, on several processors, as they come: readable rows are in memory by the portion.
// A row that is there twice is a fault of the second one.
func (s *Service) hashList(ctx context.Context, f ListFile) (stagedList, error) {
	reader := listReader{Service: s, list: f.List, digits: f.NumberDigits, today: s.today()}
	hashers := min(runtime.GOMAXPROCS(0), mostHashers)
	work, order := make(chan *portion, hashers), make(chan *portion, 2*hashers)
	var group sync.WaitGroup
	for range hashers {
		group.Go(func() {
			for p := range work {
				reader.hash(p)
				close(p.done)
			}
		})
	}
	var staged stagedList
	var stop atomic.Bool // a row can't be hashed: there is no use in going on
	var err error
	group.Go(func() {
		for p := range order {
			<-p.done
			if err != nil {
				continue
			}
			if err = p.err; err != nil {
				stop.Store(true)
			}
			staged.take(p)
		}
	})
	readErr := inPortions(f, func(p *portion) bool {
		order <- p
		work <- p
		return !stop.Load() && ctx.Err() == nil
	})
	close(work)
	close(order)
	group.Wait()
	if err = cmp.Or(err, readErr, ctx.Err()); err != nil {
		return stagedList{}, err
	}
	staged.sort()
	return staged, nil
}

// inPortions gives the rows of a file in portions while give wants more, and returns why the file can't be read any further.
func inPortions(f ListFile, give func(*portion) bool) error {
	fresh := func() *portion { return &portion{rows: make([]ListRow, 0, portionRows), done: make(chan struct{})} }
	p, read := fresh(), 0
	for row, err := range f.Rows {
		if err == nil && read == MaxListRows {
			err = fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("", fmt.Sprintf("the file has more than %d rows", MaxListRows))
		}
		if err != nil {
			give(p) // a row of it may be what has to be said first
			return err
		}
		read++
		if len(row.Problems) > 0 {
			row.Problems = slices.Clone(row.Problems) // they are the reader's, and only good until the next row
		}
		if p.rows = append(p.rows, row); len(p.rows) == portionRows {
			if !give(p) {
				return nil
			}
			p = fresh()
		}
	}
	give(p)
	return nil
}

// hash hashes a portion, and forgets what could be read of it.
func (s listReader) hash(p *portion) {
	p.hashed = make([]stagedRow, 0, len(p.rows))
	for _, row := range p.rows {
		entry, faults, err := s.read(row)
		if err != nil {
			p.err = err
			return
		}
		if len(faults) > 0 {
			p.faults = append(p.faults, faults...)
			continue
		}
		p.hashed = append(p.hashed, stagedRow{
			entry: hash16(entry.Entry), self: hash16(entry.SelfIndex), lookup: hash16(entry.Lookup),
			line: int32(row.Line), hasPhone: entry.PhoneIndex != nil, //nolint:gosec // bounded by the bytes of a file
		})
		if entry.PhoneIndex != nil {
			p.hashed[len(p.hashed)-1].phone = hash16(entry.PhoneIndex)
		}
	}
}

// take adds what was hashed.
func (l *stagedList) take(p *portion) {
	l.wrong.Rows += len(p.rows)
	l.wrong.add(p.faults...)
	for i := range p.hashed {
		l.rows = append(l.rows, &p.hashed[i])
	}
	p.rows = nil
}

// sort puts the rows in the order of their entries, and names those that are there already.
func (l *stagedList) sort() {
	slices.SortFunc(l.rows, func(a, b *stagedRow) int {
		return cmp.Or(bytes.Compare(a.entry[:], b.entry[:]), cmp.Compare(a.line, b.line))
	})
	type again struct{ line, first int32 }
	var twice []again
	first := 0
	for i := range l.rows {
		if l.rows[i].entry != l.rows[first].entry {
			first = i
		} else if i > first {
			twice = append(twice, again{l.rows[i].line, l.rows[first].line})
		}
	}
	slices.SortFunc(twice, func(a, b again) int { return cmp.Compare(a.line, b.line) })
	for _, t := range twice {
		l.wrong.add(RowFault{Line: int(t.line), Problem: fmt.Sprintf("is the same entry as line %d", t.first)})
	}
}

// checksum is over keyed hashes, so that nobody can try names against it.
func (l *stagedList) checksum() string {
	sum := sha256.New()
	for _, r := range l.rows {
		_, _ = sum.Write(r.entry[:]) // never fails
		_, _ = sum.Write(r.self[:])
		if r.hasPhone {
			_, _ = sum.Write(r.phone[:])
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}

// copy keeps the rows for the sign-off. In the order of their entries, so that indexes grow at their end.
func (l *stagedList) copy(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	_, err := postgres.CopyIn(ctx, tx.Conn(), "list_staged", []string{"import_id", "line", "entry", "self_index", "phone_index", "lookup"},
		func(to *postgres.Copier) error {
			for _, r := range l.rows {
				if err := to.Row(); err != nil {
					return fmt.Errorf("keeping a row: %w", err)
				}
				to.UUID(id)
				to.Int(r.line)
				to.Bytes(r.entry[:])
				to.Bytes(r.self[:])
				if r.hasPhone {
					to.Bytes(r.phone[:])
				} else {
					to.Null()
				}
				to.Bytes(r.lookup[:])
			}
			return nil
		})
	return err
}

func (w *ListFaults) add(faults ...RowFault) {
	w.Count += len(faults)
	w.Faults = append(w.Faults, faults[:min(len(faults), MaxRowFaults-len(w.Faults))]...)
}
