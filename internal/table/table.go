package table

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/korean"

	"jari/internal/fault"
)

// Column is one that a list may have.
type Column struct {
	Name string
	// Optional columns may be missing from the heading; they are empty then.
	Optional bool
	// Number lets a spreadsheet give a number as one; its digits are the text then. All other columns must be text.
	Number bool
}

// Row is a row of a list. Its cells are only good until the next row.
type Row struct {
	// Line is where it begins in a text file, or its number in a spreadsheet; from 1.
	Line int
	// Cells are in the order of the columns that were asked for.
	Cells []string
	// Problems are what is wrong with the row as such; who reads it adds what the cells mean.
	Problems []string
}

// Limits bound a list.
type Limits struct {
	Bytes int64 // of the file
	Rows  int   // without the heading
}

const (
	// mostCell bounds one cell, in bytes.
	mostCell = 4096
	// mostUnpacked bounds what a spreadsheet unpacks to: a small archive can hold a very large sheet. It is read as a stream;
	// its shared texts are kept, and bounded by mostShared bytes.
	mostUnpacked = 1 << 30
	mostShared   = 128 << 20
)

// File is a list that was received.
type File struct {
	Format   string // csv, xlsx
	Encoding string // UTF-8, CP949; empty for a spreadsheet, which says itself
	Bytes    int
	// Checksum is the SHA-256 of the file as it came, in hexadecimal: what sha256sum says of it.
	Checksum string

	content []byte
	limits  Limits
}

// refuse is the refusal of a whole file. Problems never repeat what is in it.
func refuse(line int, format string, args ...any) error {
	problem := fmt.Sprintf(format, args...)
	if line > 0 {
		problem = fmt.Sprintf("line %d: %s", line, problem)
	}
	return fault.New(fault.Invalid, fault.CodeImportUnreadable).Field("", problem)
}

var (
	zipMark   = []byte("PK\x03\x04")
	utf8Mark  = []byte("\xef\xbb\xbf")
	utf16Mark = [][]byte{{0xff, 0xfe}, {0xfe, 0xff}}
	ole2Mark  = []byte{0xd0, 0xcf, 0x11, 0xe0}
)

// Open reads a file to its end. contentType may name the character set; without one, what is UTF-8 is read as UTF-8, and
// everything else as CP949, or not at all. It refuses with body_too_large or import_unreadable.
func Open(r io.Reader, contentType string, limits Limits) (*File, error) {
	// A buffer doubles, where io.ReadAll grows by a quarter and leaves many times the file behind.
	var b bytes.Buffer
	_, err := b.ReadFrom(io.LimitReader(r, limits.Bytes+1))
	content := b.Bytes()
	if err != nil {
		return nil, fault.New(fault.Invalid, fault.CodeImportUnreadable).Field("", "the file didn't arrive whole").Because(err)
	}
	if int64(len(content)) > limits.Bytes {
		return nil, fault.New(fault.TooLarge, fault.CodeBodyTooLarge)
	}
	sum := sha256.Sum256(content)
	f := &File{Format: "csv", Bytes: len(content), Checksum: hex.EncodeToString(sum[:]), content: content, limits: limits}
	switch {
	case len(content) == 0:
		return nil, refuse(0, "the file is empty")
	case bytes.HasPrefix(content, zipMark):
		f.Format = "xlsx"
		return f, nil
	case bytes.HasPrefix(content, ole2Mark):
		return nil, refuse(0, "this is a spreadsheet of the old kind, or one with a password: save it as xlsx or as CSV")
	}
	for _, mark := range utf16Mark {
		if bytes.HasPrefix(content, mark) {
			return nil, refuse(0, "this is UTF-16: save it as CSV in UTF-8")
		}
	}
	return f, f.decode(contentType)
}

// decode finds out in which character set a text is.
func (f *File) decode(contentType string) error {
	_, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		parameters = nil
	}
	charset := strings.ToLower(parameters["charset"])
	marked := bytes.HasPrefix(f.content, utf8Mark)
	valid := utf8.Valid(f.content)
	switch charset {
	case "utf-8", "utf8", "us-ascii":
		if !valid {
			return refuse(f.firstBad(), "isn't UTF-8, as the content type says")
		}
	case "":
	case "cp949", "euc-kr", "ks_c_5601-1987", "windows-949", "uhc":
		valid = false
	default:
		return refuse(0, "the character set of the content type isn't known: UTF-8 and CP949 are")
	}
	switch {
	case valid:
		f.Encoding, f.content = "UTF-8", bytes.TrimPrefix(f.content, utf8Mark)
		return nil
	case marked:
		return refuse(f.firstBad(), "isn't UTF-8, although the file begins as if it were")
	}
	// The library's EUC-KR is CP949: it has the syllables that Microsoft added. What isn't CP949 becomes U+FFFD, which CP949
	// itself can't spell.
	decoded, err := korean.EUCKR.NewDecoder().Bytes(f.content)
	if err != nil {
		return refuse(0, "is neither UTF-8 nor CP949")
	}
	if at := bytes.IndexRune(decoded, utf8.RuneError); at >= 0 {
		return refuse(1+bytes.Count(decoded[:at], []byte("\n")), "is neither UTF-8 nor CP949")
	}
	f.Encoding, f.content = "CP949", decoded
	return nil
}

// firstBad is the line of the first byte that isn't UTF-8.
func (f *File) firstBad() int {
	line := 1
	for i := 0; i < len(f.content); {
		r, size := utf8.DecodeRune(f.content[i:])
		if r == utf8.RuneError && size == 1 {
			return line
		}
		if r == '\n' {
			line++
		}
		i += size
	}
	return line
}

// Read gives each row below the heading to a function, in the order of the file. The heading must have every column that
// isn't optional, each once and no others, in any order. It refuses with import_unreadable, or with what row returns.
func (f *File) Read(columns []Column, row func(Row) error) error {
	count := 0
	counted := func(r Row) error {
		if count++; count > f.limits.Rows {
			return refuse(r.Line, "more than %d rows", f.limits.Rows)
		}
		return row(r)
	}
	read := f.readCSV
	if f.Format == "xlsx" {
		read = f.readXLSX
	}
	err := read(columns, counted)
	if err == nil && count == 0 {
		return refuse(0, "there is no row below the heading")
	}
	return err
}

// order says at which place of a row each column stands, -1 where it is missing.
func order(line int, heading []string, columns []Column) ([]int, error) {
	at := make([]int, len(columns))
	for i := range at {
		at[i] = -1
	}
	var faults []string
	for place, name := range heading {
		found := false
		for i, c := range columns {
			if c.Name != name {
				continue
			}
			found = true
			if at[i] >= 0 {
				faults = append(faults, fmt.Sprintf("the column %s is there twice", c.Name))
			}
			at[i] = place
		}
		if !found {
			faults = append(faults, fmt.Sprintf("column %d isn't known", place+1))
		}
	}
	if len(heading) == 1 && len(columns) > 1 && strings.ContainsAny(heading[0], ";\t") {
		faults = append([]string{"columns are separated by commas, and these seem to be by semicolons or tabs"}, faults...)
	}
	var names []string
	for i, c := range columns {
		if c.Optional {
			names = append(names, c.Name+" (may be missing)")
			continue
		}
		names = append(names, c.Name)
		if at[i] < 0 {
			faults = append(faults, fmt.Sprintf("the column %s is missing", c.Name))
		}
	}
	if len(faults) > 0 {
		return nil, refuse(line, "%s; the columns are %s", strings.Join(faults, "; "), strings.Join(names, ", "))
	}
	return at, nil
}

// check says what is wrong with a text as such.
func check(name, text string) string {
	switch {
	case len(text) > mostCell:
		return fmt.Sprintf("%s is longer than %d bytes", name, mostCell)
	case hasControl(text):
		return name + " has a control character in it"
	}
	return ""
}

// hasControl tells whether a text has a control character of ASCII that isn't a blank or a break. In UTF-8 each is one byte,
// and no other character has it in itself.
func hasControl(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

// errStop ends reading early.
var errStop = errors.New("stop")
