package eligibility

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"jari/internal/civil"
)

// TestKnownFailures are failures of real booking systems, each under the name that the project gives it.
func TestKnownFailures(t *testing.T) {
	t.Parallel()
	for name, claim := range map[string]func(*testing.T){
		"window_crosses_midnight":   windowCrossesMidnight,
		"gap_between_waves":         gapBetweenWaves,
		"neighbours_at_the_edge":    neighboursAtTheEdge,
		"digit_of_the_day":          digitOfTheDay,
		"two_age_models":            twoAgeModels,
		"no_hole_between_bands":     noHoleBetweenBands,
		"no_upper_age_error":        noUpperAgeError,
		"interval_day_n":            intervalDayN,
		"tomorrow_in_seoul_at_2am":  tomorrowInSeoulAt2am,
		"february_29_birthday":      february29Birthday,
		"january_31_plus_one_month": january31PlusOneMonth,
		"rule_change_keeps_booked":  ruleChangeKeepsBooked,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claim(t)
		})
	}
}

// expect asks about one birth date at one local time of Seoul, in every zone that a server might run in.
func expect(t *testing.T, rs *RuleSet, f Facts, at string, want Answer, wave string) Decision {
	t.Helper()
	instant := seoul(t, at)
	var d Decision
	for _, name := range []string{"UTC", "Asia/Seoul", "America/Los_Angeles", "Pacific/Apia"} {
		d = rs.Decide(f, instant.In(zone(t, name)))
		if d.Answer != want || d.Wave != wave {
			t.Errorf("born %s, at %s (%s): %s %q, want %s %q", f.BirthDate, at, name, d.Answer, d.Wave, want, wave)
		}
	}
	return d
}

// expectNext checks who comes next.
func expectNext(t *testing.T, d Decision, wave, from string) {
	t.Helper()
	switch {
	case from == "" && d.Next != nil:
		t.Errorf("next is %+v, want none", *d.Next)
	case from == "":
	case d.Next == nil:
		t.Errorf("there is no next, want %s from %s", wave, from)
	case d.Next.Wave != wave || !d.Next.EligibleFrom.Equal(seoul(t, from)):
		t.Errorf("next is %+v, want %s from %s", *d.Next, wave, from)
	}
}

func windowCrossesMidnight(t *testing.T) {
	rs := korea(t)
	for _, birth := range []string{"1967-01-01", "1967-08-09", "1968-02-29", "1968-12-31"} {
		f := born(t, birth)
		expectNext(t, expect(t, rs, f, "2021-07-19 19:59:59.999", No, ""), "F1", "2021-07-19 20:00")
		for _, at := range []string{
			"2021-07-19 20:00:00", "2021-07-19 23:59:59.999", "2021-07-20 00:00", "2021-07-20 00:30", "2021-07-20 02:00",
			"2021-07-20 08:59:59", "2021-07-20 09:00", "2021-07-20 17:59:59.999",
		} {
			if d := expect(t, rs, f, at, Yes, "F1"); d.Next != nil || d.Reasons != nil {
				t.Errorf("at %s: a yes needs no more: %+v", at, d)
			}
		}
		for _, at := range []string{"2021-07-20 18:00", "2021-07-20 19:00"} {
			d := expect(t, rs, f, at, No, "")
			expectNext(t, d, "F3", "2021-07-21 20:00")
		}
		expect(t, rs, f, "2021-07-21 20:00", Yes, "F3")
	}
}

func gapBetweenWaves(t *testing.T) {
	rs := korea(t)
	for _, at := range []string{"2021-07-20 18:00", "2021-07-20 18:00:00.001", "2021-07-20 19:00", "2021-07-20 19:59:59.999"} {
		expectNext(t, expect(t, rs, born(t, "1968-06-15"), at, No, ""), "F3", "2021-07-21 20:00")
		expectNext(t, expect(t, rs, born(t, "1969-06-15"), at, No, ""), "F2", "2021-07-20 20:00")
	}
}

func neighboursAtTheEdge(t *testing.T) {
	rs := korea(t)
	for _, at := range []string{"2021-07-19 20:00", "2021-07-20 00:00", "2021-07-20 17:59:59.999"} {
		expect(t, rs, born(t, "1966-12-31"), at, Yes, "E3")
		expect(t, rs, born(t, "1967-01-01"), at, Yes, "F1")
		expect(t, rs, born(t, "1968-12-31"), at, Yes, "F1")
		expect(t, rs, born(t, "1969-01-01"), at, No, "")
		expect(t, rs, born(t, "1961-12-31"), at, No, "")
	}
}

func digitOfTheDay(t *testing.T) {
	rs := korea(t)
	// On 10 August at 10:00 the turn is still digit 9's, not that of the new day.
	for birth, want := range map[string]Answer{
		"1980-05-09": Yes, "1980-05-19": Yes, "1980-02-29": Yes, "1980-05-29": Yes,
		"1989-05-10": No, "1979-09-08": No, "1999-09-30": No,
	} {
		wave := ""
		if want == Yes {
			wave = "T9"
		}
		expect(t, rs, born(t, birth), "2021-08-10 10:00", want, wave)
	}
	for birth, wave := range map[string]string{
		"1980-05-03": "T3", "1980-05-31": "T1", "1980-05-30": "T0", "1980-02-29": "T9", "1985-10-10": "T0", "1980-05-28": "T8",
	} {
		w, _ := rs.Wave(wave)
		for _, at := range []time.Time{w.OpensAt, w.ClosesAt.Add(-time.Millisecond)} {
			if d := rs.Decide(born(t, birth), at); d.Answer != Yes || d.Wave != wave {
				t.Errorf("born %s at %s: %+v", birth, at, d)
			}
		}
	}
}

func ages(least, most int) (low, high *int) { return &least, &most }

func twoAgeModels(t *testing.T) {
	young, old := ages(12, 17)
	five, eleven := ages(5, 11)
	wave := Wave{
		OpensAt: seoul(t, "2022-03-24 00:00"), ClosesAt: seoul(t, "2022-06-30 24:00"),
		SlotsFrom: date(t, "2022-03-31"), SlotsTo: date(t, "2022-07-31"),
	}
	teenagers, children := wave, wave
	teenagers.ID, teenagers.Rule = "12-17", Rule{YearAge: &YearAge{Min: young, Max: old, In: 2022}}
	children.ID, children.Rule = "5-11", Rule{FullAge: &FullAge{Min: five, Max: eleven, On: Day{Kind: OnAsking}}}
	rs := compile(t, Spec{Zone: zone(t, "Asia/Seoul"), Waves: []Wave{teenagers, children}})

	expect(t, rs, born(t, "2010-12-31"), "2022-04-01 10:00", Yes, "12-17") // 12 by the year, 11 completed.
	expect(t, rs, born(t, "2011-01-01"), "2022-04-01 10:00", Yes, "5-11")
	expect(t, rs, born(t, "2004-12-31"), "2022-04-01 10:00", No, "") // 18 by the year, although 17 completed.
	expect(t, rs, born(t, "2005-01-01"), "2022-04-01 10:00", Yes, "12-17")
	// The fifth birthday falls inside the window: its midnight in Seoul decides.
	f := born(t, "2017-05-05")
	expectNext(t, expect(t, rs, f, "2022-04-01 10:00", No, ""), "5-11", "2022-05-05 00:00")
	expectNext(t, expect(t, rs, f, "2022-05-04 23:59:59.999", No, ""), "5-11", "2022-05-05 00:00")
	expect(t, rs, f, "2022-05-05 00:00", Yes, "5-11")
	// One turns twelve inside the window, and was born in a year of the other wave: no hole.
	expect(t, rs, born(t, "2010-05-05"), "2022-05-04 23:00", Yes, "12-17")
	expect(t, rs, born(t, "2010-05-05"), "2022-05-05 00:00", Yes, "12-17")
}

func noHoleBetweenBands(t *testing.T) {
	wave := Wave{
		OpensAt: seoul(t, "2021-05-01 00:00"), ClosesAt: seoul(t, "2021-06-01 00:00"),
		SlotsFrom: date(t, "2021-05-02"), SlotsTo: date(t, "2021-06-30"),
	}
	younger, older := wave, wave
	a, b := ages(18, 44)
	younger.ID, younger.Rule = "18-44", Rule{FullAge: &FullAge{Min: a, Max: b, On: Day{Kind: OnAsking}}}
	c, _ := ages(45, 0)
	older.ID, older.Rule = "45+", Rule{FullAge: &FullAge{Min: c, On: Day{Kind: OnAsking}}}
	rs := compile(t, Spec{Zone: zone(t, "Asia/Seoul"), Waves: []Wave{younger, older}})
	// Whoever is 44 years and some days old has completed 44, not 45: every day of that year belongs to the first band.
	for d := date(t, "1975-05-16"); d.Before(date(t, "1977-05-17")); d = civil.AddDays(d, 1) {
		want := "18-44"
		if d.Before(date(t, "1976-05-16")) {
			want = "45+"
		}
		if got := rs.Decide(Facts{BirthDate: d}, seoul(t, "2021-05-15 12:00")); got.Answer != Yes || got.Wave != want {
			t.Fatalf("born %s: %s %q, want %q", d, got.Answer, got.Wave, want)
		}
	}
	report := Enumerate(rs, Options{BirthTo: date(t, "2021-05-01")})
	for _, warning := range report.Warnings {
		if warning.Code == WarnGap {
			t.Errorf("a gap: %+v", warning)
		}
	}
}

func noUpperAgeError(t *testing.T) {
	least, _ := ages(18, 0)
	wave := Wave{
		ID: "adults", OpensAt: seoul(t, "2021-06-07 00:00"), ClosesAt: seoul(t, "2021-07-07 00:00"),
		SlotsFrom: date(t, "2021-06-07"), SlotsTo: date(t, "2021-08-31"),
	}
	for _, rule := range []Rule{
		{FullAge: &FullAge{Min: least, On: Day{Kind: OnAsking}}},
		{YearAge: &YearAge{Min: least, In: 2021}},
		{BirthDate: &BirthDate{To: date(t, "2003-01-01")}},
	} {
		wave.Rule = rule
		rs := compile(t, Spec{Zone: zone(t, "Asia/Seoul"), Waves: []Wave{wave}})
		for _, birth := range []string{"1957-06-06", "1956-01-01", "1940-02-29", "1921-06-07", "1900-01-01", "1899-12-31"} {
			expect(t, rs, born(t, birth), "2021-06-07 08:00", Yes, "adults")
		}
	}
}

func intervalDayN(t *testing.T) {
	least, _ := ages(28, 0)
	wave := Wave{
		ID: "second", Rule: Rule{DaysSinceDose: &DaysSinceDose{Dose: 1, Min: least}},
		OpensAt: seoul(t, "2021-06-01 00:00"), ClosesAt: seoul(t, "2021-07-31 24:00"),
		SlotsFrom: date(t, "2021-06-20"), SlotsTo: date(t, "2021-07-31"),
	}
	f := born(t, "1970-01-01")
	f.Doses = HadDoses(Dose{Number: 1, On: date(t, "2021-05-29")})
	rs := compile(t, Spec{Zone: zone(t, "Asia/Seoul"), Waves: []Wave{wave}})
	d := expect(t, rs, f, "2021-06-25 23:59:59.999", No, "")
	expectNext(t, d, "second", "2021-06-26 00:00")
	if r := d.Reasons[0]; r.Code != DoseTooRecent || r.From != date(t, "2021-06-26") || *r.Min != 28 || r.Dose != 1 {
		t.Errorf("the reason is %+v", r)
	}
	expect(t, rs, f, "2021-06-26 00:00", Yes, "second")

	// Counted to the day of the slot, the window may be asked at once, and the 28th day is the first that will do.
	wave.Rule.DaysSinceDose.On = Day{Kind: OnSlot}
	rs = compile(t, Spec{Zone: zone(t, "Asia/Seoul"), Waves: []Wave{wave}})
	expect(t, rs, f, "2021-06-01 00:00", Yes, "second")
	for slot, want := range map[string]Answer{"2021-06-25": No, "2021-06-26": Yes, "2021-07-31": Yes, "2021-08-01": No} {
		if d := rs.DecideSlot(f, seoul(t, "2021-06-01 00:00"), date(t, slot)); d.Answer != want {
			t.Errorf("slot on %s: %+v, want %s", slot, d, want)
		}
	}
}

func tomorrowInSeoulAt2am(t *testing.T) {
	// At 02:00 in Seoul it is still the day before in UTC: a birthday "today" has to count already.
	eighteen, _ := ages(18, 0)
	rs := compile(t, Spec{Zone: zone(t, "Asia/Seoul"), Waves: []Wave{{
		ID: "adults", Rule: Rule{FullAge: &FullAge{Min: eighteen, On: Day{Kind: OnAsking}}},
		OpensAt: seoul(t, "2021-07-01 00:00"), ClosesAt: seoul(t, "2021-08-01 00:00"),
		SlotsFrom: date(t, "2021-07-01"), SlotsTo: date(t, "2021-08-31"),
	}}})
	expect(t, rs, born(t, "2003-07-20"), "2021-07-20 02:00", Yes, "adults")
	expectNext(t, expect(t, rs, born(t, "2003-07-21"), "2021-07-20 02:00", No, ""), "adults", "2021-07-21 00:00")
}

func february29Birthday(t *testing.T) {
	eighteen, _ := ages(18, 0)
	spec := Spec{Zone: zone(t, "Asia/Seoul"), Waves: []Wave{{
		ID: "adults", Rule: Rule{FullAge: &FullAge{Min: eighteen, On: Day{Kind: OnAsking}}},
		OpensAt: seoul(t, "2022-02-01 00:00"), ClosesAt: seoul(t, "2022-04-01 00:00"),
		SlotsFrom: date(t, "2022-02-01"), SlotsTo: date(t, "2022-04-30"),
	}}}
	f := born(t, "2004-02-29")
	rs := compile(t, spec)
	expectNext(t, expect(t, rs, f, "2022-02-28 23:59:59.999", No, ""), "adults", "2022-03-01 00:00")
	expect(t, rs, f, "2022-03-01 00:00", Yes, "adults")

	spec.LeapDay = civil.LeapFebruary28
	rs = compile(t, spec)
	expectNext(t, expect(t, rs, f, "2022-02-27 23:59:59.999", No, ""), "adults", "2022-02-28 00:00")
	expect(t, rs, f, "2022-02-28 00:00", Yes, "adults")
}

// Rules count in days and years; whoever counts a month for a campaign gets the one stated answer.
func january31PlusOneMonth(t *testing.T) {
	for from, want := range map[string]string{"2021-01-31": "2021-02-28", "2020-01-31": "2020-02-29", "2021-08-31": "2021-09-30"} {
		if got := civil.AddMonths(date(t, from), 1); got != date(t, want) {
			t.Errorf("%s + 1 month = %s, want %s", from, got, want)
		}
	}
}

// A move is judged by the rules that its booking was made under, as of the instant that it was made at: the caller has
// both. New rules in mid-campaign don't reach it.
func ruleChangeKeepsBooked(t *testing.T) {
	wave := func(days int) []Wave {
		return []Wave{{
			ID: "second", Rule: Rule{DaysSinceDose: &DaysSinceDose{Dose: 1, Min: &days}},
			OpensAt: seoul(t, "2021-05-01 00:00"), ClosesAt: seoul(t, "2021-06-01 00:00"),
			SlotsFrom: date(t, "2021-05-01"), SlotsTo: date(t, "2021-06-30"),
		}}
	}
	old := compile(t, Spec{Version: 1, Zone: zone(t, "Asia/Seoul"), Waves: wave(28)})
	changed := compile(t, Spec{Version: 2, Zone: zone(t, "Asia/Seoul"), Waves: wave(84)})
	f := born(t, "1960-01-01")
	f.Doses = HadDoses(Dose{Number: 1, On: date(t, "2021-04-01")})
	booked, later := seoul(t, "2021-05-10 10:00"), seoul(t, "2021-06-05 10:00") // The window is closed by then.
	if d := old.DecideSlot(f, booked, date(t, "2021-05-20")); d.Answer != Yes || d.RulesVersion != 1 {
		t.Fatalf("booking: %+v", d)
	}
	if d := old.DecideMove(f, booked, date(t, "2021-06-25")); d.Answer != Yes || d.RulesVersion != 1 {
		t.Errorf("moving by the old rules: %+v", d)
	}
	if d := old.DecideMove(f, later, date(t, "2021-06-25")); d.Answer != Yes {
		t.Errorf("moving needs no open window: %+v", d)
	}
	if d := changed.DecideMove(f, booked, date(t, "2021-06-25")); d.Answer != No {
		t.Errorf("the new rules differ: %+v", d)
	}
}

// TestSuitePassesInAnyZone runs this package's claims again in processes whose local zone is another: nothing may look
// at it.
func TestSuitePassesInAnyZone(t *testing.T) {
	t.Parallel()
	if os.Getenv("JARI_TEST_ZONE") != "" || testing.Short() {
		return // within one of those processes, or asked to be short
	}
	t.Run("suite_passes_in_any_zone", func(t *testing.T) {
		t.Parallel()
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"UTC", "Asia/Seoul", "America/Los_Angeles", "Pacific/Apia"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				command := exec.CommandContext(t.Context(), self, "-test.short", "-rapid.checks=5")
				command.Env = append(os.Environ(), "TZ="+name, "JARI_TEST_ZONE="+name)
				if out, err := command.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	})
}

// The processes above would prove nothing if the zone didn't reach them.
func TestTheZoneOfTheProcessIsTheOneAskedFor(t *testing.T) {
	t.Parallel()
	if name := os.Getenv("JARI_TEST_ZONE"); name != "" {
		at := time.Unix(1_626_700_000, 0)
		if at.Format(time.RFC3339) != at.In(zone(t, name)).Format(time.RFC3339) {
			t.Errorf("the local time is %s", at.Format(time.RFC3339))
		}
	}
}
