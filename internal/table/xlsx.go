package table

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"jari/internal/fault"
)

// A spreadsheet is read by its XML, as a stream: libraries that give its rows don't say what its cells were, and a number
// that lost its zeros looks like a text then.

// kind is what a cell of a spreadsheet is.
type kind uint8

const (
	empty kind = iota
	text
	number
	formula
	date  // a number that is shown as a date or a time
	other // a truth value, an error
)

type cell struct {
	kind  kind
	value string
}

// workbook is an opened spreadsheet.
type workbook struct {
	files  map[string]*zip.File
	shared []string
	sheets []string // their paths, in the order of the tabs
	dates  []bool   // by number of a cell's style: whether it shows numbers as dates or times
}

// part is an XML file of a spreadsheet, read token by token.
type part struct {
	*xml.Decoder
	io.Closer
}

var errTooLarge = errors.New("unpacks to too much")

// capped refuses to give more than so many bytes.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooLarge
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

func (w *workbook) open(name string) (*part, error) {
	f, ok := w.files[strings.TrimPrefix(name, "/")]
	if !ok {
		return nil, fmt.Errorf("%s is missing", name)
	}
	content, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	return &part{xml.NewDecoder(&capped{content, mostUnpacked}), content}, nil
}

// each gives every token of a part to a function.
func (w *workbook) each(name string, see func(d *xml.Decoder, t xml.Token) error) error {
	p, err := w.open(name)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	for {
		t, err := p.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if err := see(p.Decoder, t); err != nil {
			return err
		}
	}
}

// attribute is that of a name, without a prefix or with any.
func attribute(e xml.StartElement, local string, prefixed bool) string {
	for _, a := range e.Attr {
		if a.Name.Local == local && (a.Name.Space != "") == prefixed {
			return a.Value
		}
	}
	return ""
}

func (f *File) readXLSX(columns []Column, row func(Row) error) error {
	w, err := openWorkbook(f.content)
	if err != nil {
		return refuse(0, "this spreadsheet can't be read")
	}
	sheet, err := w.only()
	if err != nil {
		return err
	}
	r := Row{Cells: make([]string, len(columns))}
	var places []int
	width := 0
	err = w.rows(sheet, func(line int, cells []cell) error {
		if places == nil {
			heading := make([]string, len(cells))
			for i, c := range cells {
				if c.kind != text {
					return refuse(line, "column %d of the heading isn't a text", i+1)
				}
				heading[i] = c.value
			}
			width = len(cells)
			places, err = order(line, heading, columns)
			return err
		}
		r.Line, r.Problems = line, r.Problems[:0]
		if len(cells) > width {
			r.Problems = append(r.Problems, fmt.Sprintf("has %d columns and the heading has %d", len(cells), width))
		}
		for i, c := range columns {
			r.Cells[i] = ""
			if at := places[i]; at < 0 || at >= len(cells) {
				continue
			}
			var problem string
			if r.Cells[i], problem = cells[places[i]].read(c); problem != "" {
				r.Problems = append(r.Problems, problem)
			}
		}
		return row(r)
	})
	if err != nil {
		return err
	}
	if places == nil {
		return refuse(0, "the spreadsheet is empty")
	}
	return nil
}

// read is what a cell says in a column, and what is wrong with that.
func (c cell) read(column Column) (value, problem string) {
	switch {
	case c.kind == empty:
		return "", ""
	case c.kind == text:
		return c.value, check(column.Name, c.value)
	case c.kind == number && column.Number && plainNumber.MatchString(c.value):
		return c.value, ""
	case c.kind == number && column.Number:
		return "", column.Name + " isn't written in digits alone"
	case c.kind == number:
		return "", column.Name + " is a number in the spreadsheet and must be text: leading zeros may be lost already"
	case c.kind == date:
		return "", column.Name + " is a date or a time of the spreadsheet and must be text: format the column as text and type it anew"
	case c.kind == formula:
		return "", column.Name + " is a formula and must be text"
	}
	return "", column.Name + " must be text"
}

// plainNumber is one without an exponent: what has one was rounded.
var plainNumber = regexp.MustCompile(`^-?[0-9]{1,17}(\.[0-9]{1,17})?$`)

func openWorkbook(content []byte) (*workbook, error) {
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, fmt.Errorf("opening a spreadsheet: %w", err)
	}
	w := &workbook{files: make(map[string]*zip.File, len(archive.File))}
	for _, f := range archive.File {
		w.files[f.Name] = f
	}
	targets := map[string]string{}
	if err := w.each("xl/_rels/workbook.xml.rels", func(_ *xml.Decoder, t xml.Token) error {
		if e, ok := t.(xml.StartElement); ok && e.Name.Local == "Relationship" {
			target := attribute(e, "Target", false)
			if !strings.HasPrefix(target, "/") {
				target = path.Join("xl", target)
			}
			targets[attribute(e, "Id", false)] = target
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if err := w.each("xl/workbook.xml", func(_ *xml.Decoder, t xml.Token) error {
		if e, ok := t.(xml.StartElement); ok && e.Name.Local == "sheet" {
			w.sheets = append(w.sheets, targets[attribute(e, "id", true)])
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return w, errors.Join(w.readStyles(), w.readShared())
}

// readStyles finds out which styles show a number as a date: the number itself is days since 1900.
func (w *workbook) readStyles() error {
	const name = "xl/styles.xml"
	if _, there := w.files[name]; !there {
		return nil
	}
	own, inCells := map[string]bool{}, false // formats of the file's own, by number
	return w.each(name, func(_ *xml.Decoder, t xml.Token) error {
		switch t := t.(type) {
		case xml.StartElement:
			switch {
			case t.Name.Local == "numFmt":
				own[attribute(t, "numFmtId", false)] = showsDate(attribute(t, "formatCode", false))
			case t.Name.Local == "cellXfs":
				inCells = true
			case t.Name.Local == "xf" && inCells && len(w.dates) < mostStyles:
				format := attribute(t, "numFmtId", false)
				n, err := strconv.Atoi(format)
				w.dates = append(w.dates, own[format] || err == nil && dateFormat(n))
			}
		case xml.EndElement:
			inCells = inCells && t.Name.Local != "cellXfs"
		}
		return nil
	})
}

// mostStyles is as many as spreadsheets can have.
const mostStyles = 65_536

// dateFormat tells whether a format that every spreadsheet has is one of a date or a time.
func dateFormat(n int) bool {
	return n >= 14 && n <= 22 || n >= 27 && n <= 36 || n >= 45 && n <= 47 || n >= 50 && n <= 58
}

// unsaid is what a format shows as it stands.
var unsaid = regexp.MustCompile(`"[^"]*"|\\.|\[[^\]]*\]`)

// showsDate tells whether a format of the file's own is one of a date or a time.
func showsDate(format string) bool {
	return strings.ContainsAny(strings.ToLower(unsaid.ReplaceAllString(format, "")), "ymdh")
}

// readShared reads the texts that cells refer to by number.
func (w *workbook) readShared() error {
	const name = "xl/sharedStrings.xml"
	if _, there := w.files[name]; !there {
		return nil
	}
	kept := 0
	return w.each(name, func(d *xml.Decoder, t xml.Token) error {
		e, ok := t.(xml.StartElement)
		if !ok || e.Name.Local != "si" {
			return nil
		}
		value, err := texts(d, "si")
		if err != nil {
			return err
		}
		if kept += len(value) + 16; kept > mostShared {
			return errTooLarge
		}
		w.shared = append(w.shared, value)
		return nil
	})
}

// texts joins the pieces of a text up to the end of its element, without the readings that stand above characters.
func texts(d *xml.Decoder, end string) (string, error) {
	var b strings.Builder
	taking, above := false, false
	for {
		t, err := d.RawToken()
		if err != nil {
			return "", fmt.Errorf("reading a text: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			taking = t.Name.Local == "t" && !above
			above = above || t.Name.Local == "rPh"
		case xml.EndElement:
			taking = false
			if t.Name.Local == "rPh" {
				above = false
			}
			if t.Name.Local == end {
				return b.String(), nil
			}
		case xml.CharData:
			if taking {
				b.Write(t)
			}
		}
	}
}

// only is the one sheet with anything in it: which of several is meant would be a guess.
func (w *workbook) only() (sheet string, err error) {
	for _, name := range w.sheets {
		err := w.rows(name, func(int, []cell) error { return errStop })
		switch {
		case errors.Is(err, errStop) && sheet != "":
			return "", refuse(0, "more than one sheet has something in it: leave the one that is meant")
		case errors.Is(err, errStop):
			sheet = name
		case err != nil:
			return "", err
		}
	}
	if sheet == "" {
		return "", refuse(0, "the spreadsheet is empty")
	}
	return sheet, nil
}

// rows gives the rows of a sheet that have anything in them.
func (w *workbook) rows(sheet string, row func(line int, cells []cell) error) error {
	line := 0
	var cells []cell
	err := w.each(sheet, func(d *xml.Decoder, t xml.Token) error {
		switch t := t.(type) {
		case xml.StartElement:
			switch t.Name.Local {
			case "row":
				line++
				if r := attribute(t, "r", false); r != "" {
					n, err := strconv.Atoi(r)
					if err != nil || n < line {
						return errors.New("rows aren't in order")
					}
					line = n
				}
				cells = cells[:0]
			case "c":
				c, at, err := w.cell(d, t, len(cells))
				if err != nil {
					return err
				}
				if c.kind == empty {
					return nil
				}
				for len(cells) <= at {
					cells = append(cells, cell{})
				}
				cells[at] = c
			}
		case xml.EndElement:
			if t.Name.Local == "row" && len(cells) > 0 {
				return row(line, cells)
			}
		}
		return nil
	})
	if err == nil || fault.CodeOf(err) != "" || errors.Is(err, errStop) {
		return err
	}
	return refuse(line, "the spreadsheet can't be read from here on")
}

// mostColumns is more than any list has.
const mostColumns = 1000

// cell reads a cell to its end, and says in which column it stands, from 0.
func (w *workbook) cell(d *xml.Decoder, e xml.StartElement, next int) (c cell, at int, err error) {
	at = next
	if reference := attribute(e, "r", false); reference != "" {
		if at = columnOf(reference); at < 0 || at >= mostColumns {
			return c, 0, errors.New("a cell stands nowhere")
		}
	}
	is, value, calculated := attribute(e, "t", false), "", false
	for {
		t, err := d.RawToken()
		if err != nil {
			return c, 0, fmt.Errorf("reading a cell: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			switch t.Name.Local {
			case "f":
				calculated = true
			case "is", "v":
				if value, err = inside(d, t.Name.Local); err != nil {
					return c, 0, err
				}
			}
			continue
		case xml.EndElement:
			if t.Name.Local != "c" {
				continue
			}
		default:
			continue
		}
		break
	}
	switch {
	case calculated:
		return cell{formula, ""}, at, nil
	case is == "s":
		n, err := strconv.Atoi(value)
		if value != "" && (err != nil || n < 0 || n >= len(w.shared)) {
			return c, 0, errors.New("a cell refers to a text that isn't there")
		}
		if value != "" {
			value = w.shared[n]
		}
		is = "inlineStr"
	}
	switch {
	case value == "":
		return cell{}, at, nil
	case is == "inlineStr" || is == "str":
		return cell{text, value}, at, nil
	case is == "d":
		return cell{date, ""}, at, nil
	case is == "" || is == "n":
		if style, err := strconv.Atoi(attribute(e, "s", false)); err == nil && style >= 0 && style < len(w.dates) && w.dates[style] {
			return cell{date, ""}, at, nil
		}
		return cell{number, value}, at, nil
	}
	return cell{other, ""}, at, nil
}

// inside is the text of an element: of a value as it is, of an inline text without its markup.
func inside(d *xml.Decoder, name string) (string, error) {
	if name == "is" {
		return texts(d, name)
	}
	var b strings.Builder
	for {
		t, err := d.RawToken()
		if err != nil {
			return "", fmt.Errorf("reading a value: %w", err)
		}
		switch t := t.(type) {
		case xml.CharData:
			b.Write(t)
		case xml.EndElement:
			return b.String(), nil
		}
	}
}

// columnOf is the column of a reference such as B7, from 0; -1 if it isn't one.
func columnOf(reference string) int {
	n := 0
	for i, r := range reference {
		switch {
		case r >= 'A' && r <= 'Z' && i < 3:
			n = n*26 + int(r-'A') + 1
		case i > 0 && r >= '0' && r <= '9':
			return n - 1
		default:
			return -1
		}
	}
	return -1
}
