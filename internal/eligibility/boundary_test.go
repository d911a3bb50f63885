package eligibility

import (
	"strconv"
	"testing"
	"time"

	"jari/internal/civil"
)

// The claims of this file compare the compiled 2021 programme with its table, read as text: a birth date is between two
// others if its letters are, and a digit is the last letter of a date.

func (row *koreaRow) admits(birth string) bool {
	return row.birthFrom <= birth && birth <= row.birthTo &&
		(row.digit < 0 || birth[len(birth)-1:] == strconv.Itoa(row.digit))
}

func (row *koreaRow) openAt(at time.Time) bool {
	ms := at.UnixMilli()
	return row.opensAt.UnixMilli() <= ms && ms < row.closesAt.UnixMilli()
}

// Every row: its birth dates ± 1 day and all days of a month, at its opening and closing − 1 ms and + 0, on its slot
// days ± 1 day.
func TestEveryRowAtEveryBoundary(t *testing.T) {
	t.Parallel()
	rs, rows := korea(t), koreaRows(t)
	for _, row := range rows {
		t.Run(row.id, func(t *testing.T) {
			t.Parallel()
			reach := 16 // Half a month to both sides: every digit of a day.
			if testing.Short() {
				reach = 5
			}
			births := []civil.Date{}
			for _, edge := range []string{row.birthFrom, row.birthTo} {
				for shift := -reach; shift <= reach; shift++ {
					births = append(births, civil.AddDays(date(t, edge), shift))
				}
			}
			slots := []civil.Date{}
			for _, edge := range []string{row.slotsFrom, row.slotsTo} {
				for shift := -1; shift <= 1; shift++ {
					slots = append(slots, civil.AddDays(date(t, edge), shift))
				}
			}
			var yes, no int
			for _, birth := range births {
				for _, edge := range []time.Time{row.opensAt, row.closesAt} {
					for _, shift := range []time.Duration{-24 * time.Hour, -time.Millisecond, 0, time.Millisecond, 24 * time.Hour} {
						at := edge.Add(shift)
						checkKorea(t, rs, rows, birth, at, "")
						for _, slot := range slots {
							checkKorea(t, rs, rows, birth, at, slot.String())
						}
						if row.openAt(at) && row.admits(birth.String()) {
							yes++
						} else {
							no++
						}
					}
				}
			}
			if yes == 0 || no == 0 {
				t.Errorf("%d questions with yes and %d with no", yes, no)
			}
		})
	}
}

// checkKorea compares the decision, the wave and what comes next with the table.
func checkKorea(t *testing.T, rs *RuleSet, rows []koreaRow, birth civil.Date, at time.Time, slot string) {
	t.Helper()
	f := Facts{BirthDate: birth}
	var d Decision
	if slot == "" {
		d = rs.Decide(f, at)
	} else {
		d = rs.DecideSlot(f, at, date(t, slot))
	}
	want, wave := No, ""
	var closes, next time.Time
	for i := range rows {
		row := &rows[i]
		if !row.admits(birth.String()) || (slot != "" && (slot < row.slotsFrom || slot > row.slotsTo)) {
			continue
		}
		if row.openAt(at) && (want == No || row.closesAt.After(closes)) {
			want, wave, closes = Yes, row.id, row.closesAt
		}
		if row.opensAt.UnixMilli() > at.UnixMilli() && (next.IsZero() || row.opensAt.Before(next)) {
			next = row.opensAt
		}
	}
	if d.Answer != want || d.Wave != wave {
		t.Errorf("born %s at %s, slot %q: %s %q, want %s %q", birth, at, slot, d.Answer, d.Wave, want, wave)
	}
	if want == No && (d.Next == nil) != next.IsZero() {
		t.Errorf("born %s at %s, slot %q: next %v, want %s", birth, at, slot, d.Next, next)
	}
	if d.Next != nil && !d.Next.EligibleFrom.Equal(next) {
		t.Errorf("born %s at %s, slot %q: next %s, want %s", birth, at, slot, d.Next.EligibleFrom, next)
	}
}

// Every birth date from 1900 to 2021, at every boundary of the programme: at it, and 1 ms before.
func TestEveryBirthDateAtEveryBoundary(t *testing.T) {
	t.Parallel()
	rs, rows := korea(t), koreaRows(t)
	seen := map[int64]bool{}
	var instants []time.Time
	for _, row := range rows {
		for _, edge := range []time.Time{row.opensAt, row.closesAt} {
			for _, at := range []time.Time{edge.Add(-time.Millisecond), edge} {
				if !seen[at.UnixMilli()] {
					seen[at.UnixMilli()] = true
					instants = append(instants, at)
				}
			}
		}
	}
	openRows := make([][]int, len(instants))
	for i, at := range instants {
		for r := range rows {
			if rows[r].openAt(at) {
				openRows[i] = append(openRows[i], r)
			}
		}
	}
	step := 1
	if testing.Short() {
		step = 23 // Prime to the lengths of weeks and months, for the runs in other zones.
	}
	asked := 0
	for n := oracleDay(date(t, "1900-01-01")); n <= oracleDay(date(t, "2021-12-31")); n += step {
		f := Facts{BirthDate: oracleDate(n)}
		text := f.BirthDate.String()
		admits := make([]bool, len(rows))
		for r := range rows {
			admits[r] = rows[r].admits(text)
		}
		for i, at := range instants {
			want := No
			for _, r := range openRows[i] {
				if admits[r] {
					want = Yes
				}
			}
			q := question{at: at}
			p := rs.person(&f, &q)
			if got, _ := rs.answer(&p, &q); got != want {
				t.Fatalf("born %s at %s: %s, want %s", text, at, got, want)
			}
			asked++
		}
	}
	t.Logf("%d questions", asked)
}

// The report says of every birth date which rows of the table admit it, with their windows, and nothing else.
func TestTheReportIsTheTable(t *testing.T) {
	t.Parallel()
	rows := koreaRows(t)
	report := Enumerate(korea(t), Options{BirthTo: date(t, "2021-12-31")})
	if len(report.Profiles) != 1 || len(report.NotCovered) != 0 {
		t.Fatalf("%d profiles, not covered: %q", len(report.Profiles), report.NotCovered)
	}
	p := report.Profiles[0]
	n := oracleDay(civil.Date{Year: 1900, Month: 1, Day: 1})
	for _, interval := range p.Intervals {
		for ; n <= oracleDay(interval.BirthTo); n++ {
			birth := oracleDate(n).String()
			windows := interval.Windows
			for _, row := range rows {
				if !row.admits(birth) {
					continue
				}
				if len(windows) == 0 || windows[0].Wave != row.id || !windows[0].OpensAt.Equal(row.opensAt) ||
					!windows[0].ClosesAt.Equal(row.closesAt) || windows[0].DependsOn != nil {
					t.Fatalf("born %s: %+v, where %s is due", birth, windows, row.id)
				}
				windows = windows[1:]
			}
			if len(windows) > 0 {
				t.Fatalf("born %s: %+v too many", birth, windows)
			}
		}
	}
	if oracleDate(n-1) != date(t, "2021-12-31") {
		t.Errorf("the intervals end on %s", oracleDate(n-1))
	}
}
