package sheet_test

import (
	"bytes"
	"encoding/csv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"jari/internal/sheet"
)

// hostile are cells that somebody typed as their name, and what a CSV says instead.
var hostile = map[string]string{
	"=HYPERLINK(\"http://evil\")": "'=HYPERLINK(\"http://evil\")", "+1+1": "'+1+1", "-2": "'-2", "@SUM(A1)": "'@SUM(A1)", " =1": "' =1",
	"\t=1": "'\t=1", "＝1+1": "'＝1+1", "|cmd": "'|cmd", "007": "'007", "1e5": "'1e5", "12345678901234567890": "'12345678901234567890",
	"홍길동": "홍길동", "12": "12", "7K4M-2QXP-9TRD": "7K4M-2QXP-9TRD", "010-1234-5678": "010-1234-5678", "O'Neil, \"Shaq\"\nII": "O'Neil, \"Shaq\"\nII", "": "",
}

func TestNoCellOfACSVIsTakenForAFormulaOrAnotherNumber(t *testing.T) {
	t.Parallel()
	for text, want := range hostile {
		var b bytes.Buffer
		table, err := sheet.NewCSV(&b, "name", "n")
		if err != nil {
			t.Fatal(err)
		}
		if err := table.Row(text, 3); err != nil {
			t.Fatal(err)
		}
		if err := table.Flush(); err != nil {
			t.Fatal(err)
		}
		plain, marked := bytes.CutPrefix(b.Bytes(), []byte("\ufeff"))
		if !marked {
			t.Fatal("no byte order mark")
		}
		rows, err := csv.NewReader(bytes.NewReader(plain)).ReadAll()
		if diff := cmp.Diff([][]string{{"name", "n"}, {want, "3"}}, rows); err != nil || diff != "" {
			t.Errorf("%q: %v %s", text, err, diff)
		}
	}
}

func TestASheetHasTextsAsTheyAre(t *testing.T) {
	t.Parallel()
	table, err := sheet.NewXLSX("name", "n")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	}()
	want := [][]string{{"name", "n"}}
	for text := range hostile {
		if text == "" {
			continue // a reader leaves out nothing at the end
		}
		if err := table.Row(text, 3); err != nil {
			t.Fatal(err)
		}
		want = append(want, []string{text, "3"})
	}
	var b bytes.Buffer
	if _, err := table.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	file, err := excelize.OpenReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := file.GetRows("Sheet1")
	if diff := cmp.Diff(want, rows); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for row := 2; row <= len(rows); row++ {
		cell, _ := excelize.CoordinatesToCellName(1, row)
		if formula, err := file.GetCellFormula("Sheet1", cell); err != nil || formula != "" {
			t.Errorf("%s is the formula %q, %v", cell, formula, err)
		}
		if kind, err := file.GetCellType("Sheet1", cell); err != nil || (kind != excelize.CellTypeInlineString && kind != excelize.CellTypeSharedString) {
			t.Errorf("%s isn't a text but %v, %v", cell, kind, err)
		}
	}
}
