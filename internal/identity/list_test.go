package identity

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"jari/internal/audit"
	"jari/internal/fault"
)

// rowsOf gives rows one by one, as a reader of a file does.
func rowsOf(rows ...ListRow) iter.Seq2[ListRow, error] {
	return func(yield func(ListRow, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// stage imports rows by one clerk.
func (d *desk) stage(list string, rows ...ListRow) (ListImport, error) {
	vary := 0
	return d.StageList(d.clerk(), ListFile{List: list, NumberDigits: &vary, By: "clerk", Rows: rowsOf(rows...)})
}

// signed imports rows and has them signed off.
func (d *desk) signed(list string, rows ...ListRow) ListImport {
	d.t.Helper()
	i, err := d.stage(list, rows...)
	if err == nil {
		i, err = d.SignOff(d.clerk(), list, i.ID.String(), i.Checksum, "second")
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return i
}

func faultsOf(t *testing.T, err error) ListFaults {
	t.Helper()
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Code != fault.CodeRowsRefused {
		t.Fatalf("%v instead of rows that are refused", err)
	}
	faults, _ := e.Extra.(ListFaults)
	return faults
}

func TestAListIsImportedWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	d := setup(t, func(r *Rules) { r.Scheme, r.Binding, r.List = SchemeList, BoundByList, "nurses" })
	good := []ListRow{
		{Line: 2, Number: "0012", Name: "홍길동", BirthDate: "1967-01-01", Phone: "010-2000-1000"},
		{Line: 3, Number: "12", Name: "임꺽정", BirthDate: "1968-02-29", Phone: "010-2000-1001"},
	}
	bad := append([]ListRow{
		{Line: 4, Number: " 00-12", Name: "장길산", BirthDate: "1969-01-01", Phone: "010-2000-1002"},
		{Line: 5, Number: "0/13", Name: "1234", BirthDate: "1967-02-29", Phone: "02-123-4567"},
		{Line: 6, Number: "0014", Name: "장길산", BirthDate: "1969-01-01"},
		{Line: 7, Number: "0015", Name: "장길산", BirthDate: "19690101", Phone: "010-2000-1003"},
	}, good...)
	_, err := d.stage("nurses", bad...)
	wrong := faultsOf(t, err)
	var told []string
	for _, f := range wrong.Faults {
		told = append(told, fmt.Sprint(f.Line, " ", f.Column, " ", f.Problem))
		if strings.Contains(f.Problem, "길산") || strings.Contains(f.Problem, "0013") {
			t.Errorf("a fault repeats the row: %s", f.Problem)
		}
	}
	all := strings.Join(told, "\n")
	for _, want := range []string{"4  is the same entry as line 2", "5 number", "5 name", "5 birth_date", "5 phone", "6 phone is missing", "7 birth_date"} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing says %q in\n%s", want, all)
		}
	}
	kept := func() int {
		return d.number(`SELECT (SELECT count(*) FROM list_entries) + (SELECT count(*) FROM list_staged) + (SELECT count(*) FROM list_imports)`)
	}
	if wrong.Count != 7 || wrong.Rows != 6 || kept() != 0 {
		t.Errorf("%d faults, %d kept:\n%s", wrong.Count, kept(), all)
	}

	first, err := d.stage("nurses", good...)
	if err != nil || first.Added != 2 || first.State != ImportWaiting || d.number(`SELECT count(*) FROM list_entries`) != 0 {
		t.Fatalf("staged: %+v, %v", first, err)
	}
	_, err = d.SignOff(d.clerk(), "nurses", first.ID.String(), "something else", "second")
	d.want(err, fault.CodeChecksumDiffers)
	again, err := d.stage("nurses", good[1], good[0])
	if err != nil || again.Checksum != first.Checksum {
		t.Fatalf("in another order: %+v, %v", again, err)
	}
	for range 2 { // the second time after a lost answer
		if done, err := d.SignOff(d.clerk(), "nurses", first.ID.String(), first.Checksum, "second"); err != nil || done.State != ImportSignedOff {
			t.Fatalf("signed off: %+v, %v", done, err)
		}
	}
	// What was staged beside it was counted against another list.
	_, err = d.SignOff(d.clerk(), "nurses", again.ID.String(), again.Checksum, "second")
	d.want(err, fault.CodeChangedMeanwhile)
	if gone, err := d.Withdraw(d.clerk(), "nurses", again.ID.String(), "clerk"); err != nil || gone.State != ImportWithdrawn {
		t.Errorf("%+v, %v", gone, err)
	}
	_, err = d.SignOff(d.clerk(), "nurses", again.ID.String(), again.Checksum, "second")
	d.want(err, fault.CodeImportOver)
	if n := d.number(`SELECT count(*) FROM list_staged`); n != 0 {
		t.Errorf("%d rows stay staged", n)
	}

	changed := []ListRow{good[0], {Line: 3, Number: "0013", Name: "장길산", BirthDate: "1969-01-01", Phone: "010-2000-1001"}}
	changed[0].Phone = "010-2000-1005"
	next := d.signed("nurses", changed...)
	if next.Added != 1 || next.Changed != 1 || next.Removed != 1 || next.Kept != 0 || next.Checksum == first.Checksum {
		t.Errorf("%+v", next)
	}
	if same := d.signed("nurses", changed...); same.Kept != 2 || same.Added+same.Changed+same.Removed != 0 {
		t.Errorf("%+v", same)
	}
	if n := d.number(`SELECT count(*) FROM list_entries`); n != 2 {
		t.Errorf("%d entries", n)
	}
	_, err = d.RemoveList(d.clerk(), "doctors", "clerk")
	d.want(err, fault.CodeListNotFound)
	_, err = d.stage("")
	d.want(err, fault.CodeInvalidRequest)
	_, err = d.stage("nurses")
	d.want(err, fault.CodeInvalidRequest) // a file without rows is a mistake, not a removal
	_, err = d.SignOff(d.clerk(), "doctors", first.ID.String(), first.Checksum, "second")
	d.want(err, fault.CodeImportNotFound)
	if n := d.number(`SELECT count(*) FROM audit_entries WHERE act = 'list.sign_off'`); n != 3 {
		t.Errorf("%d entries of the audit", n)
	}
}

// A file is hashed in portions on several processors; what is said of it is in its order all the same.
func TestAListOfManyPortionsIsOneList(t *testing.T) {
	t.Parallel()
	d := setup(t)
	row := func(i int) ListRow {
		return ListRow{Line: i + 2, Name: "홍길동", BirthDate: "1967-01-01", Phone: fmt.Sprintf("010-2000-%04d", i)}
	}
	var good, bad []ListRow
	for i := range 5*portionRows + 7 {
		good = append(good, row(i))
		one := row(i)
		switch i % 1000 {
		case 100:
			one.BirthDate = "1967-02-30"
		case 900:
			one.Phone = row(3).Phone
		}
		bad = append(bad, one)
	}
	_, err := d.stage("many", bad...)
	wrong := faultsOf(t, err)
	var told []string
	for _, f := range wrong.Faults {
		told = append(told, fmt.Sprint(f.Line, " ", f.Column, f.Problem))
	}
	const date, same = "birth_dateisn't a date such as 1967-03-09 that exists", "is the same entry as line 5"
	want := []string{"102 " + date, "1102 " + date, "2102 " + date, "902 " + same, "1902 " + same}
	if !slices.Equal(told, want) || wrong.Count != len(want) || wrong.Rows != len(bad) {
		t.Errorf("%d faults in %d rows: %q", wrong.Count, wrong.Rows, told)
	}

	first, err := d.stage("many", good...)
	if err != nil || first.Entries != len(good) || first.Added != len(good) {
		t.Fatalf("%+v, %v", first, err)
	}
	slices.Reverse(good)
	again, err := d.stage("many", good...)
	if err != nil || again.Checksum != first.Checksum {
		t.Errorf("in another order: %+v, %v", again, err)
	}
	// What Postgres keeps says the same: the checksum is that of the rows by entry.
	var kept string
	if err := d.pool.QueryRow(t.Context(), `
		SELECT left(encode(sha256(string_agg(entry || self_index || coalesce(phone_index, ''), '' ORDER BY entry)), 'hex'), 24)
		FROM list_staged WHERE import_id = $1`, first.ID).Scan(&kept); err != nil || kept != first.Checksum {
		t.Errorf("%s is staged and %s was shown: %v", kept, first.Checksum, err)
	}
	if _, err := d.SignOff(d.clerk(), "many", first.ID.String(), first.Checksum, "second"); err != nil {
		t.Fatal(err)
	}
	if n := d.number(`SELECT count(*) FROM list_entries`); n != len(good) {
		t.Errorf("%d entries", n)
	}

	// A file that breaks off, or a number that nobody said the digits of, is refused wherever it stands.
	broken := errors.New("broken")
	for at, file := range map[string]ListFile{
		"at the end": {Rows: func(yield func(ListRow, error) bool) {
			for _, r := range good {
				if !yield(r, nil) {
					return
				}
			}
			yield(ListRow{}, broken)
		}},
		"at once": {Rows: func(yield func(ListRow, error) bool) { yield(ListRow{}, broken) }},
	} {
		file.List = "many"
		if _, err := d.StageList(d.clerk(), file); !errors.Is(err, broken) {
			t.Errorf("%s: %v", at, err)
		}
	}
	good[len(good)-1].Number = "7"
	_, err = d.StageList(d.clerk(), ListFile{List: "many", Rows: rowsOf(good...)})
	d.want(err, fault.CodeInvalidRequest)
}

// The 403 of June 2021: a spreadsheet had made numbers of identifiers, and dropped the zeros in front.
func TestListImportKeepsLeadingZeros(t *testing.T) {
	t.Parallel()
	d := setup(t, func(r *Rules) { r.Scheme, r.Binding, r.List = SchemeList, BoundByList, "district" })
	const people = 403
	var right, spoilt []ListRow
	for i := range people {
		row := ListRow{
			Line: i + 2, Number: fmt.Sprintf("%06d", 1+i*7), Name: "홍길동", BirthDate: "1967-01-01", Phone: fmt.Sprintf("010-2000-%04d", i),
		}
		right = append(right, row)
		row.Number = strings.TrimLeft(row.Number, "0")
		row.Phone = strings.TrimPrefix(strings.ReplaceAll(row.Phone, "-", ""), "0")
		spoilt = append(spoilt, row)
	}
	six := 6
	stage := func(digits *int, rows []ListRow) (ListImport, error) {
		return d.StageList(d.clerk(), ListFile{List: "district", NumberDigits: digits, By: "clerk", Rows: rowsOf(rows...)})
	}
	// Nobody guesses: whether zeros are missing can't be seen unless somebody says how many digits there are.
	_, err := stage(nil, spoilt)
	d.want(err, fault.CodeInvalidRequest)
	_, err = stage(&six, spoilt)
	wrong := faultsOf(t, err)
	if wrong.Count != people || wrong.Faults[0].Line != 2 || wrong.Faults[0].Column != "number" || !strings.Contains(wrong.Faults[0].Problem, "zeros in front") {
		t.Fatalf("%d faults, the first %+v", wrong.Count, wrong.Faults[0])
	}
	if n := d.number(`SELECT count(*) FROM list_imports`); n != 0 {
		t.Fatalf("%d imports of a spoilt file", n)
	}
	staged, err := stage(&six, right)
	if err != nil {
		t.Fatal(err)
	}
	listed := func(row ListRow, number string) bool {
		t.Helper()
		c := Claims{Scheme: SchemeList, Name: row.Name, Number: number, Phone: row.Phone}
		c.BirthDate = hong.BirthDate
		c, err := c.normalise(SchemeList, d.rules.Phones, d.today())
		if err != nil {
			t.Fatal(err)
		}
		phone, err := d.index.Hash("phone", c.Phone)
		if err != nil {
			t.Fatal(err)
		}
		found, err := d.listed(t.Context(), c, phone)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if listed(right[0], right[0].Number) {
		t.Error("a list admits before its sign-off")
	}
	if _, err := d.SignOff(d.clerk(), "district", staged.ID.String(), staged.Checksum, "second"); err != nil {
		t.Fatal(err)
	}
	for i, row := range right {
		if !listed(row, row.Number) {
			t.Errorf("line %d is kept out", row.Line)
		}
		if listed(row, spoilt[i].Number) {
			t.Errorf("line %d is let in without its zeros", row.Line)
		}
	}
}

func TestPhonesOfListsAreReadAsTheLibraryReadsThem(t *testing.T) {
	t.Parallel()
	rules := PhoneRules{Region: "KR", Regions: []string{"KR"}}
	rapid.Check(t, func(t *rapid.T) {
		phone := rapid.OneOf(
			rapid.StringMatching(`010[0-9]{8}`), rapid.StringMatching(`010-[0-9]{4}-[0-9]{4}`), rapid.StringMatching(` ?01[0-9] ?-?[0-9]{3,4}[- ]?[0-9]{4} ?`),
			rapid.StringMatching(`\+?82-?10[0-9]{8}`), rapid.StringMatching(`[0-9 \-]{0,14}`),
		).Draw(t, "phone")
		got, gotErr := listedPhone(phone, rules)
		want, wantErr := NormalisePhone(phone, rules)
		if got != want || (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("%q: %q, %v; the library: %q, %v", phone, got, gotErr, want, wantErr)
		}
	})
}

// numbersOf reads a file of which every field is a text.
func numbersOf(r io.Reader) iter.Seq2[ListRow, error] {
	return func(yield func(ListRow, error) bool) {
		rows := csv.NewReader(r)
		rows.ReuseRecord = true
		for line := 1; ; line++ {
			row, err := rows.Read()
			if errors.Is(err, io.EOF) || !yield(ListRow{Line: line, Number: row[0], Name: row[1], BirthDate: row[2], Phone: row[3]}, err) {
				return
			}
		}
	}
}

// BenchmarkAListOf300000 imports and signs off: JARI_LIST_ROWS=300000 go test -bench AListOf -benchtime 1x ./internal/identity.
func BenchmarkAListOf300000(b *testing.B) {
	rows := 300_000
	if text := os.Getenv("JARI_LIST_ROWS"); text != "" {
		_, _ = fmt.Sscan(text, &rows)
	}
	d := setup(b)
	for b.Loop() {
		read, write := io.Pipe()
		go func() {
			for i := range rows {
				_, _ = fmt.Fprintf(write, "%08d,홍길동,1967-01-01,010-%04d-%04d\n", i, 2000+i/10000, i%10000)
			}
			_ = write.Close()
		}()
		eight := 8
		ctx := audit.With(b.Context(), audit.KeyActor("clerk"), "192.0.2.7")
		i, err := d.StageList(ctx, ListFile{List: "all", NumberDigits: &eight, By: "clerk", Rows: numbersOf(read)})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(b.Elapsed().Seconds(), "s/staged")
		if _, err := d.SignOff(ctx, "all", i.ID.String(), i.Checksum, "second"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows), "rows")
}

func TestASessionKnowsItsListsWithoutAStoreUntilOneChanges(t *testing.T) {
	t.Parallel()
	d := setup(t, func(r *Rules) { r.ListsConfirmed = time.Minute })
	row := ListRow{Line: 2, Name: hong.Name, BirthDate: hong.BirthDate.String(), Phone: hong.Phone}
	other := row
	other.Name = "임꺽정"
	d.signed("nurses", row)
	d.signed("doctors", other)
	session, err := d.Authenticate(d.verified(hong).Token)
	if err != nil {
		t.Fatal(err)
	}
	on := func(ctx context.Context) string {
		t.Helper()
		names, err := d.OnLists(ctx, session, []string{"nurses", "doctors", "nobody signed this"})
		if err != nil {
			return "refused"
		}
		return strings.Join(names, " ")
	}
	refresh := func() {
		t.Helper()
		if err := d.RefreshLists(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	away, gone := context.WithCancel(t.Context())
	gone() // whoever asks Postgres with this is refused
	if got := on(away); got != "refused" {
		t.Errorf("an instance that never looked says %q", got)
	}
	refresh()
	if got := on(away); got != "nurses" {
		t.Errorf("the session says %q", got)
	}

	// A change is asked about once, and remembered.
	d.signed("doctors", row, other)
	refresh()
	if got := on(away); got != "refused" {
		t.Errorf("after a change, without Postgres: %q", got)
	}
	if got := on(t.Context()); got != "nurses doctors" {
		t.Errorf("after a change: %q", got)
	}
	if got := on(away); got != "nurses doctors" {
		t.Errorf("asked again: %q", got)
	}
	d.signed("nurses", other)
	refresh()
	if got := on(t.Context()); got != "doctors" {
		t.Errorf("taken off: %q", got)
	}

	// An instance that couldn't look for too long believes nothing.
	d.clk.set(d.clk.Real().Add(2 * time.Minute))
	if got := on(away); got != "refused" {
		t.Errorf("cut off: %q", got)
	}
}
