package sheet

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/xuri/excelize/v2"
)

// Media types of the files.
const (
	MediaCSV  = "text/csv; charset=utf-8"
	MediaXLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
)

// CSV writes a table row by row.
type CSV struct{ rows *csv.Writer }

// byteOrderMark is what makes spreadsheets read UTF-8 as UTF-8.
const byteOrderMark = "\ufeff"

// NewCSV begins a table with its heading.
func NewCSV(w io.Writer, heading ...string) (*CSV, error) {
	if _, err := io.WriteString(w, byteOrderMark); err != nil {
		return nil, fmt.Errorf("beginning a table: %w", err)
	}
	t := &CSV{rows: csv.NewWriter(w)}
	t.rows.UseCRLF = true // RFC 4180
	return t, t.Row(cells(heading)...)
}

// Row writes one row. Cells are texts and whole numbers.
func (t *CSV) Row(row ...any) error {
	texts := make([]string, len(row))
	for i, cell := range row {
		if text, ok := cell.(string); ok {
			texts[i] = guarded(text)
			continue
		}
		texts[i] = fmt.Sprint(cell)
	}
	if err := t.rows.Write(texts); err != nil {
		return fmt.Errorf("writing a row: %w", err)
	}
	return nil
}

// Flush hands on what was written so far.
func (t *CSV) Flush() error {
	t.rows.Flush()
	return t.rows.Error()
}

// guarded puts an apostrophe in front of what a spreadsheet wouldn't take as the text that it is: a formula, which could do
// what whoever typed a name wants, or a number that it writes otherwise, such as 007 or 1e5.
func guarded(text string) string {
	const begins = "=+-@|%\t\r\n＝＋－＠"
	for _, r := range text {
		if unicode.IsSpace(r) && !strings.ContainsRune(begins, r) {
			continue
		}
		if strings.ContainsRune(begins, r) {
			return "'" + text
		}
		break
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && strconv.FormatFloat(n, 'f', -1, 64) != text {
		return "'" + text
	}
	return text
}

// XLSX is a table of one sheet. It is kept in memory until it is whole.
type XLSX struct {
	file *excelize.File
	rows *excelize.StreamWriter
	text int // the style of texts
	next int // the row to write
}

// MaxRows is how many rows a sheet may have, its heading among them: so few that the library keeps all of it in memory (16 MB),
// because a list of people mustn't lie in a file of the server's.
const MaxRows = 20_000

// ErrTooLong is that a table has more than MaxRows.
var ErrTooLong = errors.New("the table is too long for a sheet")

// NewXLSX begins a table with its heading.
func NewXLSX(heading ...string) (_ *XLSX, err error) {
	t := &XLSX{file: excelize.NewFile(), next: 1}
	defer func() {
		if err != nil {
			_ = t.file.Close() // nothing was written that anybody waits for
		}
	}()
	const asText = 49 // the format "@", as the standard numbers it
	if t.text, err = t.file.NewStyle(&excelize.Style{NumFmt: asText}); err != nil {
		return nil, fmt.Errorf("beginning a sheet: %w", err)
	}
	if t.rows, err = t.file.NewStreamWriter("Sheet1"); err != nil {
		return nil, fmt.Errorf("beginning a sheet: %w", err)
	}
	return t, t.Row(cells(heading)...)
}

// Row writes one row. Cells are texts and whole numbers.
func (t *XLSX) Row(row ...any) error {
	if t.next > MaxRows {
		return ErrTooLong
	}
	styled := make([]any, len(row))
	for i, cell := range row {
		styled[i] = cell
		if text, ok := cell.(string); ok {
			styled[i] = excelize.Cell{StyleID: t.text, Value: text}
		}
	}
	if err := t.rows.SetRow("A"+strconv.Itoa(t.next), styled); err != nil {
		return fmt.Errorf("writing row %d: %w", t.next, err)
	}
	t.next++
	return nil
}

// WriteTo writes the whole file.
func (t *XLSX) WriteTo(w io.Writer) (int64, error) {
	if err := t.rows.Flush(); err != nil {
		return 0, fmt.Errorf("ending a sheet: %w", err)
	}
	n, err := t.file.WriteTo(w)
	if err != nil {
		return n, fmt.Errorf("writing a sheet: %w", err)
	}
	return n, nil
}

// Close gives back what the table took, written or not.
func (t *XLSX) Close() error { return t.file.Close() }

func cells(texts []string) []any {
	row := make([]any, len(texts))
	for i, text := range texts {
		row[i] = text
	}
	return row
}
