package table

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
)

// readCSV reads rows as RFC 4180 has them. Lines that begin with # may stand above the heading, and nowhere else: below it
// they would be rows that nobody misses.
func (f *File) readCSV(columns []Column, row func(Row) error) error {
	content, above := f.content, 0
	for bytes.HasPrefix(content, []byte("#")) {
		_, rest, more := bytes.Cut(content, []byte("\n"))
		if !more {
			break
		}
		content, above = rest, above+1
	}
	rows := csv.NewReader(bytes.NewReader(content))
	rows.ReuseRecord = true
	heading, err := rows.Read()
	if err != nil {
		return refuse(above+1, "there is no heading")
	}
	places, err := order(above+1, heading, columns)
	if err != nil {
		return err
	}
	r := Row{Cells: make([]string, len(columns))}
	for {
		cells, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		broken, ok := errors.AsType[*csv.ParseError](err)
		switch {
		case ok && errors.Is(err, csv.ErrFieldCount):
			clear(r.Cells)
			r.Line = above + broken.StartLine
			r.Problems = append(r.Problems[:0], fmt.Sprintf("has %d columns and the heading has %d", len(cells), len(heading)))
			if err := row(r); err != nil {
				return err
			}
			continue
		case ok: // A quote that doesn't close: where rows begin isn't known any more.
			return refuse(above+broken.StartLine, "has a quotation mark where none can be; from here on rows can't be told apart")
		case err != nil:
			return fmt.Errorf("reading a list: %w", err)
		}
		line, _ := rows.FieldPos(0)
		r.Line, r.Problems = above+line, r.Problems[:0]
		for i, c := range columns {
			r.Cells[i] = ""
			if places[i] < 0 {
				continue
			}
			r.Cells[i] = cells[places[i]]
			if problem := check(c.Name, r.Cells[i]); problem != "" {
				r.Problems = append(r.Problems, problem)
			}
		}
		if err := row(r); err != nil {
			return err
		}
	}
}
