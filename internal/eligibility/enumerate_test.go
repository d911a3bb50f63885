package eligibility

import (
	"encoding/json"
	"testing"
	"time"
)

func TestTheWhole2021ProgrammeIsCheckedInTwoSeconds(t *testing.T) {
	t.Parallel()
	rs := korea(t)
	start := time.Now()
	report := Enumerate(rs, Options{BirthTo: date(t, "2021-12-31")})
	took := time.Since(start)
	t.Logf("%d boundaries, %d evaluations, %d intervals, %d rows, %s", report.Boundaries, report.Evaluations,
		len(report.Profiles[0].Intervals), len(report.Profiles[0].Rows), took)
	if took > 2*time.Second {
		t.Errorf("took %s", took)
	}
	for _, r := range report.Profiles[0].Rows {
		t.Logf("%s %d", r.births(), len(r.Windows))
	}
	text, _ := json.Marshal(report.Warnings)
	t.Logf("%s", text)
}
