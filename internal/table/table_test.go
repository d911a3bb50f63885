package table_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/korean"

	"jari/internal/fault"
	"jari/internal/table"
)

var columns = []table.Column{{Name: "site_id"}, {Name: "phone"}, {Name: "capacity", Number: true}, {Name: "note", Optional: true}}

var limits = table.Limits{Bytes: 1 << 20, Rows: 1000}

type row struct {
	Line     int
	Cells    []string
	Problems []string
}

func read(content []byte, contentType string) (f *table.File, rows []row, err error) {
	f, err = table.Open(bytes.NewReader(content), contentType, limits)
	if err != nil {
		return f, nil, err
	}
	err = f.Read(columns, func(r table.Row) error {
		rows = append(rows, row{r.Line, append([]string(nil), r.Cells...), append([]string(nil), r.Problems...)})
		return nil
	})
	return f, rows, err
}

// problem is what a refusal of a whole file says.
func problem(err error) string {
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Code == fault.CodeImportUnreadable && len(e.Fields) == 1 {
		return e.Fields[0].Problem
	}
	return fmt.Sprint(err)
}

func TestTextsAreReadInEitherCharacterSet(t *testing.T) {
	t.Parallel()
	plain := "# 위에는 설명\nphone,site_id,capacity,note\r\n01012345678,a,007,\"서울\n둘째 줄\"\n\n010,뷁,3,\n"
	cp949, err := korean.EUCKR.NewEncoder().String(plain)
	if err != nil {
		t.Fatal(err)
	}
	want := []row{
		{Line: 3, Cells: []string{"a", "01012345678", "007", "서울\n둘째 줄"}},
		{Line: 6, Cells: []string{"뷁", "010", "3", ""}},
	}
	for name, c := range map[string]struct{ content, contentType, encoding string }{
		"UTF-8":                  {plain, "text/csv", "UTF-8"},
		"with a mark":            {"\ufeff" + plain, "text/csv", "UTF-8"},
		"CP949":                  {cp949, "text/csv", "CP949"},
		"CP949 that is named":    {cp949, "text/csv; charset=euc-kr", "CP949"},
		"without a content type": {plain, "", "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, rows, err := read([]byte(c.content), c.contentType)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, rows); d != "" || f.Encoding != c.encoding || f.Format != "csv" || len(f.Checksum) != 64 {
				t.Errorf("%+v %s", f, d)
			}
		})
	}
}

func TestWhatCantBeReadAsAWholeIsRefusedByLine(t *testing.T) {
	t.Parallel()
	heading := "site_id,phone,capacity\n"
	for name, c := range map[string]struct{ content, contentType, want string }{
		"empty":                {"", "", "the file is empty"},
		"neither":              {heading + "a,b,c\n\x81\xff,b,c\n", "", "line 3: is neither UTF-8 nor CP949"},
		"not what it says":     {heading + "\xb0\xa1,b,c\n", "text/csv; charset=utf-8", "line 2: isn't UTF-8, as the content type says"},
		"not what it marks":    {"\ufeff" + heading + "\xb0\xa1,b,c\n", "", "line 2: isn't UTF-8, although the file begins as if it were"},
		"another set":          {heading, "text/csv; charset=latin1", "the character set of the content type isn't known: UTF-8 and CP949 are"},
		"UTF-16":               {"\xff\xfea\x00", "", "this is UTF-16: save it as CSV in UTF-8"},
		"an old spreadsheet":   {"\xd0\xcf\x11\xe0....", "", "this is a spreadsheet of the old kind, or one with a password: save it as xlsx or as CSV"},
		"no archive":           {"PK\x03\x04....", "", "this spreadsheet can't be read"},
		"no row":               {heading, "", "there is no row below the heading"},
		"a quote":              {heading + "a,b,1\na,\"b,2\n", "", "line 3: has a quotation mark where none can be; from here on rows can't be told apart"},
		"another heading":      {"site_id,telefon,phone,phone\na,b,c,d\n", "", "line 1: column 2 isn't known; the column phone is there twice; the column capacity is missing; the columns are site_id, phone, capacity, note (may be missing)"},
		"too many rows":        {heading + strings.Repeat("a,b,1\n", 1001), "", "line 1002: more than 1000 rows"},
		"only what is above":   {"# nothing", "", "line 1: column 1 isn't known; the column site_id is missing; the column phone is missing; the column capacity is missing; the columns are site_id, phone, capacity, note (may be missing)"},
		"semicolons of Europe": {"site_id;phone;capacity\n", "", "line 1: columns are separated by commas, and these seem to be by semicolons or tabs; column 1 isn't known; the column site_id is missing; the column phone is missing; the column capacity is missing; the columns are site_id, phone, capacity, note (may be missing)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := read([]byte(c.content), c.contentType); problem(err) != c.want {
				t.Errorf("%s", problem(err))
			}
		})
	}
	if _, err := table.Open(strings.NewReader(strings.Repeat("x", 1<<20+1)), "", limits); fault.CodeOf(err) != fault.CodeBodyTooLarge {
		t.Error(err)
	}
}

func TestARowOfAnotherLengthIsABadRow(t *testing.T) {
	t.Parallel()
	_, rows, err := read([]byte("site_id,phone,capacity\na,b\n#c,d,1\ne,f\x01,2\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	want := []row{
		{2, []string{"", "", "", ""}, []string{"has 2 columns and the heading has 3"}},
		{3, []string{"#c", "d", "1", ""}, nil},
		{4, []string{"e", "f\x01", "2", ""}, []string{"phone has a control character in it"}},
	}
	if d := cmp.Diff(want, rows); d != "" {
		t.Error(d)
	}
}

// spreadsheet is a workbook whose first sheet has these cells.
func spreadsheet(t *testing.T, cells map[string]any, change ...func(*excelize.File)) []byte {
	t.Helper()
	f := excelize.NewFile()
	for at, value := range cells {
		var err error
		if text, ok := value.(string); ok && strings.HasPrefix(text, "=") {
			err = f.SetCellFormula("Sheet1", at, text)
		} else {
			err = f.SetCellValue("Sheet1", at, value)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range change {
		c(f)
	}
	b, err := f.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestASpreadsheetsNumbersAreNoTexts(t *testing.T) {
	t.Parallel()
	content := spreadsheet(t, map[string]any{
		"A1": "site_id", "B1": "phone", "C1": "capacity", "D1": "note",
		"A2": "a", "B2": "01012345678", "C2": 30, "D2": "서울",
		"A3": "b", "B3": 1012345678, "C3": "007",
		"A5": "c", "B5": 1.2e10, "C5": 2.5, "D5": true,
		"A7": "e", "B7": "1", "C7": 1.2e20,
		"A6": "d", "B6": "010", "C6": "=1+1", "E6": "beyond",
	}, func(f *excelize.File) {
		if err := f.SetCellRichText("Sheet1", "A6", []excelize.RichTextRun{{Text: "d"}, {Text: "d"}}); err != nil {
			t.Error(err)
		}
	})
	f, rows, err := read(content, "")
	if err != nil {
		t.Fatal(err)
	}
	const lost = "phone is a number in the spreadsheet and must be text: leading zeros may be lost already"
	want := []row{
		{2, []string{"a", "01012345678", "30", "서울"}, nil},
		{3, []string{"b", "", "007", ""}, []string{lost}},
		{5, []string{"c", "", "2.5", ""}, []string{lost, "note must be text"}},
		{6, []string{"dd", "010", "", ""}, []string{"has 5 columns and the heading has 4", "capacity is a formula and must be text"}},
		{7, []string{"e", "1", "", ""}, []string{"capacity isn't written in digits alone"}},
	}
	if d := cmp.Diff(want, rows); d != "" || f.Format != "xlsx" {
		t.Error(d)
	}
}

// A date that was typed into a spreadsheet is a number there, which only its format says; whoever typed it sees a date, and is told
// of one.
func TestADateOfASpreadsheetIsSaidToBeOne(t *testing.T) {
	t.Parallel()
	styled := func(f *excelize.File, cell, format string) {
		style, err := f.NewStyle(&excelize.Style{CustomNumFmt: &format})
		if err == nil {
			err = f.SetCellStyle("Sheet1", cell, cell, style)
		}
		if err != nil {
			t.Error(err)
		}
	}
	content := spreadsheet(t, map[string]any{
		"A1": "site_id", "B1": "phone", "C1": "capacity", "D1": "note",
		"A2": "a", "B2": time.Date(2021, time.July, 27, 9, 0, 0, 0, time.UTC), "C2": 30, "D2": 44404,
		"A3": "b", "B3": "1", "C3": 0.375, "D3": 44404,
	}, func(f *excelize.File) {
		styled(f, "C2", `[Red]0" days"`)
		styled(f, "D2", `yyyy"년" m"월" d"일"`)
		styled(f, "C3", "hh:mm")
		styled(f, "D3", `0.00\d`)
	})
	_, rows, err := read(content, "")
	if err != nil {
		t.Fatal(err)
	}
	const is = " is a date or a time of the spreadsheet and must be text: format the column as text and type it anew"
	want := []row{
		{2, []string{"a", "", "30", ""}, []string{"phone" + is, "note" + is}},
		{3, []string{"b", "1", "", ""}, []string{"capacity" + is, "note is a number in the spreadsheet and must be text: leading zeros may be lost already"}},
	}
	if d := cmp.Diff(want, rows); d != "" {
		t.Error(d)
	}
}

func TestOneSheetIsMeant(t *testing.T) {
	t.Parallel()
	cells := map[string]any{"A1": "site_id", "B1": "phone", "C1": "capacity", "A2": "a", "B2": "b", "C2": 1}
	another := func(value any) func(*excelize.File) {
		return func(f *excelize.File) {
			if _, err := f.NewSheet("Sheet2"); err != nil {
				t.Error(err)
			}
			if value != nil {
				if err := f.SetCellValue("Sheet2", "A1", value); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if _, rows, err := read(spreadsheet(t, cells, another(nil)), ""); err != nil || len(rows) != 1 {
		t.Errorf("beside an empty sheet: %v %v", rows, err)
	}
	_, _, err := read(spreadsheet(t, cells, another("x")), "")
	if problem(err) != "more than one sheet has something in it: leave the one that is meant" {
		t.Error(problem(err))
	}
	if _, _, err := read(spreadsheet(t, nil), ""); problem(err) != "the spreadsheet is empty" {
		t.Error(problem(err))
	}
}

// Whatever comes, it is refused or read, and nothing of it is repeated.
func FuzzRead(f *testing.F) {
	f.Add([]byte("site_id,phone,capacity\na,b,1\n"))
	f.Add([]byte("\ufeffsite_id,phone,capacity\n\"a\",b\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		_, rows, err := read(content, "")
		if err != nil && fault.CodeOf(err) != fault.CodeImportUnreadable {
			t.Fatal(err)
		}
		for _, r := range rows {
			if len(r.Cells) != len(columns) || r.Line < 1 {
				t.Fatalf("%+v", r)
			}
		}
	})
}
