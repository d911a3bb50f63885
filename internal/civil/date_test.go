package civil

import (
	"testing"
	"time"
)

func TestDayNumbersCountEveryDay(t *testing.T) {
	t.Parallel()
	n := DayNumber(Date{Year: 1, Month: 1, Day: 1})
	for y := 1; y <= 2400; y++ {
		for m := time.January; m <= time.December; m++ {
			for d := 1; d <= DaysIn(y, m); d++ {
				date := Date{Year: y, Month: m, Day: d}
				if got := DayNumber(date); got != n {
					t.Fatalf("DayNumber(%s) = %d, want %d", date, got, n)
				}
				if got := FromDayNumber(n); got != date {
					t.Fatalf("FromDayNumber(%d) = %s, want %s", n, got, date)
				}
				n++
			}
		}
	}
	if got := DayNumber(Date{Year: 1970, Month: 1, Day: 1}); got != 0 {
		t.Errorf("1970-01-01 is day %d, want 0", got)
	}
}
