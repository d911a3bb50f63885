package eligibility

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"jari/internal/civil"
)

// The random campaigns below happen around a few days, in zones and at dates where days are not 24 hours long, so that
// windows, birthdays, doses and clock changes meet.

var randomBases = []struct{ zone, base string }{
	{"Asia/Seoul", "2021-07-20"},
	{"Asia/Seoul", "2024-02-29"},
	{"America/New_York", "2021-03-14"},
	{"America/Sao_Paulo", "2018-11-04"}, // Has no midnight.
	{"America/Havana", "2021-11-07"},    // Has two.
	{"America/St_Johns", "2010-11-07"},  // Begins twice.
	{"Asia/Kathmandu", "2021-02-28"},
	{"Pacific/Apia", "2011-12-29"}, // The next day was left out.
}

// world is a random campaign and what is around it.
type world struct {
	spec Spec
	rs   *RuleSet
	base civil.Date
}

func drawWorld(t *rapid.T, at int) world {
	place := randomBases[at]
	z, err := time.LoadLocation(place.zone)
	if err != nil {
		t.Fatal(err)
	}
	base, err := civil.Parse(place.base)
	if err != nil {
		t.Fatal(err)
	}
	w := world{base: base, spec: Spec{Version: 7, Zone: z, LeapDay: civil.LeapPolicy(rapid.IntRange(0, 1).Draw(t, "leap"))}}
	for i := range rapid.IntRange(1, 4).Draw(t, "waves") {
		opens := drawInstant(t, w)
		from := w.day(t, -3, 8, "slots from")
		wave := Wave{
			ID: string(rune('A' + i)), Rule: drawRule(t, w, 3), OpensAt: opens,
			ClosesAt:  opens.Add(time.Duration(rapid.IntRange(1, 8*24*60).Draw(t, "minutes open")) * time.Minute),
			SlotsFrom: from, SlotsTo: oracleDate(oracleDay(from) + rapid.IntRange(0, 12).Draw(t, "slot days")),
		}
		w.spec.Waves = append(w.spec.Waves, wave)
	}
	if w.rs, err = Compile(w.spec); err != nil {
		if !strings.Contains(err.Error(), "over before the window opens") {
			t.Fatal(err)
		}
		t.Skip("slot days before the window")
	}
	return w
}

// day draws a day near the base.
func (w world) day(t *rapid.T, from, to int, label string) civil.Date {
	return oracleDate(oracleDay(w.base) + rapid.IntRange(from, to).Draw(t, label))
}

// drawInstant draws an instant near the base: any second, or some hour of the clock.
func drawInstant(t *rapid.T, w world) time.Time {
	at := time.Date(w.base.Year, w.base.Month, w.base.Day, 0, 0, 0, 0, w.spec.Zone).
		Add(time.Duration(rapid.IntRange(-6*24*4, 6*24*4).Draw(t, "quarters")) * 15 * time.Minute)
	if rapid.Bool().Draw(t, "odd") {
		at = at.Add(time.Duration(rapid.Int64Range(0, int64(15*time.Minute)).Draw(t, "nanoseconds")))
	}
	return at
}

// drawAt draws an instant to ask at: near an edge of a window, near a midnight, or anywhere.
func drawAt(t *rapid.T, w world) time.Time {
	wave := rapid.SampledFrom(w.spec.Waves).Draw(t, "near wave")
	at := drawInstant(t, w)
	switch rapid.IntRange(0, 3).Draw(t, "where") {
	case 0:
		at = wave.OpensAt
	case 1:
		at = wave.ClosesAt
	case 2:
		day := w.day(t, -6, 8, "midnight of")
		at = time.Date(day.Year, day.Month, day.Day, 0, 0, 0, 0, w.spec.Zone)
	default:
		return at
	}
	return at.Add(rapid.SampledFrom([]time.Duration{-time.Millisecond, -1, 0, 1, time.Hour}).Draw(t, "beside"))
}

func drawBirth(t *rapid.T, w world) civil.Date {
	d := w.day(t, -6, 12, "birthday")
	d.Year -= rapid.IntRange(0, 4).Draw(t, "age")
	if !oracleExists(d) || rapid.IntRange(0, 9).Draw(t, "leap day") == 0 {
		d = civil.Date{Year: 2000 + 4*rapid.IntRange(0, 5).Draw(t, "leap year"), Month: 2, Day: 29}
	}
	return d
}

func drawBounds(t *rapid.T, from, to int) (least, most *int) {
	a, b := rapid.IntRange(from, to).Draw(t, "min"), rapid.IntRange(from, to).Draw(t, "max")
	if a > b {
		a, b = b, a
	}
	switch rapid.IntRange(0, 2).Draw(t, "bounds") {
	case 0:
		return &a, nil
	case 1:
		return nil, &b
	}
	return &a, &b
}

func drawDay(t *rapid.T, w world) Day {
	switch rapid.IntRange(0, 2).Draw(t, "on") {
	case 0:
		return Day{Kind: OnAsking}
	case 1:
		return Day{Kind: OnSlot}
	}
	return Day{Kind: OnDate, Date: w.day(t, -6, 12, "date")}
}

func drawDigits(t *rapid.T) []int {
	return rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 1, 9, rapid.ID).Draw(t, "digits")
}

func drawRule(t *rapid.T, w world, depth int) Rule {
	kinds := 11
	if depth == 0 {
		kinds = 8
	}
	var r Rule
	switch rapid.IntRange(0, kinds-1).Draw(t, "operator") {
	case 0:
		from, to := drawBirth(t, w), drawBirth(t, w)
		if oracleDay(from) > oracleDay(to) {
			from, to = to, from
		}
		r.BirthDate = &BirthDate{From: from, To: to}
		switch rapid.IntRange(0, 2).Draw(t, "open end") {
		case 0:
			r.BirthDate.From = civil.Date{}
		case 1:
			r.BirthDate.To = civil.Date{}
		}
	case 1:
		r.YearAge = &YearAge{In: w.base.Year}
		r.YearAge.Min, r.YearAge.Max = drawBounds(t, 0, 4)
	case 2:
		r.FullAge = &FullAge{On: drawDay(t, w)}
		r.FullAge.Min, r.FullAge.Max = drawBounds(t, 0, 4)
	case 3:
		r.BirthDayDigit = drawDigits(t)
	case 4:
		r.BirthYearDigit = drawDigits(t)
	case 5:
		r.InList = rapid.SampledFrom([]string{"teachers", "drivers"}).Draw(t, "list")
	case 6:
		r.Region = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"11", "11*", "26", "2*"}), 1, 2, rapid.ID).Draw(t, "regions")
	case 7:
		r.DaysSinceDose = &DaysSinceDose{
			Dose: rapid.IntRange(1, 2).Draw(t, "dose"), Product: rapid.SampledFrom([]string{"", "AZ", "PF"}).Draw(t, "product"),
			On: drawDay(t, w),
		}
		if rapid.Bool().Draw(t, "day unsaid") {
			r.DaysSinceDose.On = Day{}
		}
		r.DaysSinceDose.Min, r.DaysSinceDose.Max = drawBounds(t, 0, 6)
	case 8:
		inner := drawRule(t, w, depth-1)
		r.Not = &inner
	case 9:
		r.All = drawRules(t, w, depth-1)
	case 10:
		r.Any = drawRules(t, w, depth-1)
	}
	return r
}

func drawRules(t *rapid.T, w world, depth int) []Rule {
	var rules []Rule
	for range rapid.IntRange(1, 3).Draw(t, "parts") {
		rules = append(rules, drawRule(t, w, depth))
	}
	return rules
}

func drawFacts(t *rapid.T, w world) Facts {
	f := Facts{BirthDate: drawBirth(t, w)}
	f.Lists.Known = rapid.Bool().Draw(t, "lists known")
	f.Lists.Names = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"teachers", "drivers"}), 0, 2, rapid.ID).Draw(t, "lists")
	if rapid.Bool().Draw(t, "region known") {
		f.Region = LivesIn(rapid.SampledFrom([]string{"", "11", "110", "26", "3"}).Draw(t, "region"))
	}
	f.Doses.Known = rapid.Bool().Draw(t, "doses known")
	for range rapid.IntRange(0, 2).Draw(t, "doses") {
		f.Doses.Given = append(f.Doses.Given, Dose{
			Number: rapid.IntRange(1, 2).Draw(t, "number"), On: w.day(t, -12, 4, "given on"),
			Product: rapid.SampledFrom([]string{"", "AZ", "PF"}).Draw(t, "product"),
		})
	}
	return f
}

// everyBase runs a property around each base, in parallel.
func everyBase(t *testing.T, property func(t *rapid.T, w world)) {
	t.Helper()
	for i, place := range randomBases {
		t.Run(place.zone+" "+place.base, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { property(t, drawWorld(t, i)) })
		})
	}
}

func TestDecisionsAgreeWithTheOracle(t *testing.T) {
	t.Parallel()
	everyBase(t, func(t *rapid.T, w world) {
		f, at, slotOn := drawFacts(t, w), drawAt(t, w), w.day(t, -4, 14, "slot on")
		for _, c := range []struct {
			question  string
			got       Decision
			slotOn    civil.Date
			anyWindow bool
		}{
			{"Decide", w.rs.Decide(f, at), civil.Date{}, false},
			{"DecideOpening", w.rs.DecideOpening(f, at), civil.Date{}, false},
			{"DecideSlot", w.rs.DecideSlot(f, at, slotOn), slotOn, false},
			{"DecideMove", w.rs.DecideMove(f, at, slotOn), slotOn, true},
		} {
			if want := oracleAnswer(w.spec, f, at, c.slotOn, c.anyWindow); c.got.Answer != want {
				t.Fatalf("%s at %s: %s, the oracle says %s", c.question, at, c.got.Answer, want)
			}
			switch d := c.got; d.Answer {
			case Yes, Depends:
				i := slices.IndexFunc(w.spec.Waves, func(wave Wave) bool { return wave.ID == d.Wave })
				if i < 0 || oracleWave(w.spec, w.spec.Waves[i], f, at, c.slotOn, c.anyWindow) != d.Answer {
					t.Fatalf("%s names wave %q", c.question, d.Wave)
				}
				if (d.Answer == Depends) != (len(d.DependsOn) > 0) || len(d.Reasons) > 0 || d.NextIf != nil {
					t.Fatalf("%s: %+v", c.question, d)
				}
			case No:
				if len(d.Reasons) == 0 || d.Wave != "" || len(d.DependsOn) > 0 {
					t.Fatalf("%s: %+v", c.question, d)
				}
			}
		}
	})
}

// A fact that a decision depends on is unknown, and answering all of them leaves nothing to depend on.
func TestDependsOnNamesUnknownFactsOnly(t *testing.T) {
	t.Parallel()
	everyBase(t, func(t *rapid.T, w world) {
		f, at := drawFacts(t, w), drawAt(t, w)
		for _, fact := range w.rs.Decide(f, at).DependsOn {
			switch kind, _, _ := strings.Cut(fact, ":"); kind {
			case "list":
				if f.Lists.Known {
					t.Fatalf("%s is known", fact)
				}
			case "region":
				if f.Region.Known {
					t.Fatalf("%s is known", fact)
				}
			case "dose": // May be known but for its product.
			default:
				t.Fatalf("%q isn't a fact", fact)
			}
		}
		f.Lists.Known, f.Doses.Known, f.Region.Known = true, true, true
		for i := range f.Doses.Given {
			f.Doses.Given[i].Product = "AZ"
		}
		if d := w.rs.Decide(f, at); d.Answer == Depends {
			t.Fatalf("everything is known: %+v", d)
		}
	})
}

func TestNextIsTheFirstInstantThatTheOracleFinds(t *testing.T) {
	t.Parallel()
	everyBase(t, func(t *rapid.T, w world) {
		f, at := drawFacts(t, w), drawAt(t, w)
		slotOn := civil.Date{}
		d := w.rs.Decide(f, at)
		if rapid.Bool().Draw(t, "one slot") {
			slotOn = w.day(t, -4, 14, "slot on")
			d = w.rs.DecideSlot(f, at, slotOn)
		}
		// Every quarter of an hour, and every opening: midnights are among them in these zones.
		instants := []time.Time{}
		for quarter := at.Truncate(15 * time.Minute); quarter.Before(at.Add(22 * 24 * time.Hour)); quarter = quarter.Add(15 * time.Minute) {
			instants = append(instants, quarter)
		}
		if w.spec.Zone.String() == "America/St_Johns" { // Changes at 00:01.
			change := time.Date(2010, 11, 7, 2, 31, 0, 0, time.UTC)
			instants = append(instants, change, change.Add(59*time.Minute))
		}
		for _, wave := range w.spec.Waves {
			instants = append(instants, wave.OpensAt)
		}
		slices.SortFunc(instants, time.Time.Compare)
		var yes, depends time.Time
		if d.Answer != Yes {
			for _, instant := range instants {
				if !instant.After(at) {
					continue
				}
				answer := oracleAnswer(w.spec, f, instant, slotOn, false)
				if answer == Depends && depends.IsZero() {
					depends = instant
				}
				if answer == Yes {
					yes = instant
					break
				}
			}
		}
		if d.Answer == Depends {
			depends = time.Time{}
		}
		compareNext(t, w, f, slotOn, "Next", d.Next, yes, Yes)
		compareNext(t, w, f, slotOn, "NextIf", d.NextIf, depends, Depends)
	})
}

func compareNext(t *rapid.T, w world, f Facts, slotOn civil.Date, name string, got *Next, want time.Time, answer Answer) {
	if got == nil {
		if !want.IsZero() {
			t.Fatalf("%s is missing, the oracle says %s", name, want)
		}
		return
	}
	if !got.EligibleFrom.Equal(want) {
		t.Fatalf("%s is %s, the oracle says %s", name, got.EligibleFrom, want)
	}
	i := slices.IndexFunc(w.spec.Waves, func(wave Wave) bool { return wave.ID == got.Wave })
	if i < 0 || oracleWave(w.spec, w.spec.Waves[i], f, want, slotOn, false) != answer {
		t.Fatalf("%s names wave %q", name, got.Wave)
	}
	if (len(got.DependsOn) > 0) != (answer == Depends) {
		t.Fatalf("%s depends on %q", name, got.DependsOn)
	}
}

// The report of a campaign says of every birth date, at every instant, what the oracle says: in intervals and in rows.
func TestEnumerationAgreesWithTheOracle(t *testing.T) {
	t.Parallel()
	everyBase(t, func(t *rapid.T, w world) {
		from := oracleDate(oracleDay(w.base) - 366*rapid.IntRange(0, 4).Draw(t, "years") - 10)
		to := oracleDate(oracleDay(from) + 400)
		report := Enumerate(w.rs, Options{BirthFrom: from, BirthTo: to, MaxProfiles: 6})
		p := rapid.SampledFrom(report.Profiles).Draw(t, "profile")
		next := oracleDay(from)
		for i, interval := range p.Intervals {
			if oracleDay(interval.BirthFrom) != next || oracleDay(interval.BirthTo) < next {
				t.Fatalf("interval %d begins %s", i, interval.BirthFrom)
			}
			next = oracleDay(interval.BirthTo) + 1
			if i > 0 && cmp.Equal(interval.Windows, p.Intervals[i-1].Windows) {
				t.Fatalf("intervals %d and %d aren't merged", i-1, i)
			}
		}
		if next != oracleDay(to)+1 {
			t.Fatalf("the last interval ends before %s", to)
		}
		f := p.Facts
		for range 20 {
			f.BirthDate = oracleDate(rapid.IntRange(oracleDay(from), oracleDay(to)).Draw(t, "born"))
			at := drawAt(t, w)
			var windows []Window
			for _, interval := range p.Intervals {
				if oracleDay(interval.BirthFrom) <= oracleDay(f.BirthDate) && oracleDay(f.BirthDate) <= oracleDay(interval.BirthTo) {
					windows = interval.Windows
				}
			}
			for _, wave := range w.spec.Waves {
				got := No
				for _, window := range windows {
					if window.Wave == wave.ID && !at.Before(window.OpensAt) && at.Before(window.ClosesAt) {
						got = Yes
						if window.DependsOn != nil {
							got = Depends
						}
					}
				}
				if want := oracleWave(w.spec, wave, f, at, civil.Date{}, false); got != want {
					t.Fatalf("born %s, wave %s at %s: %s, the oracle says %s", f.BirthDate, wave.ID, at, got, want)
				}
			}
			rows := 0
			for _, row := range p.Rows {
				if oracleDay(row.BirthFrom) <= oracleDay(f.BirthDate) && oracleDay(f.BirthDate) <= oracleDay(row.BirthTo) &&
					(row.DayDigits == nil || slices.Contains(row.DayDigits, f.BirthDate.Day%10)) &&
					(row.YearDigits == nil || slices.Contains(row.YearDigits, f.BirthDate.Year%10)) {
					rows++
					if diff := cmp.Diff(windows, row.Windows); diff != "" {
						t.Fatalf("born %s: row and interval differ: %s", f.BirthDate, diff)
					}
				}
			}
			if rows != 1 {
				t.Fatalf("born %s: %d rows", f.BirthDate, rows)
			}
		}
	})
}

func TestRulesSurviveJSON(t *testing.T) {
	t.Parallel()
	everyBase(t, func(t *rapid.T, w world) {
		rule := drawRule(t, w, 4)
		text, err := json.Marshal(rule)
		if err != nil {
			t.Fatal(err)
		}
		var again Rule
		if err = json.Unmarshal(text, &again); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(rule, again); diff != "" {
			t.Fatal(diff)
		}
		f := drawFacts(t, w)
		f.Lists.Known, f.Doses.Known = true, true // Partial knowledge has no JSON.
		if text, err = json.Marshal(f); err != nil {
			t.Fatal(err)
		}
		var facts Facts
		if err = json.Unmarshal(text, &facts); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if len(facts.Lists.Names) == 0 {
			facts.Lists.Names = f.Lists.Names
		}
		if len(facts.Doses.Given) == 0 {
			facts.Doses.Given = f.Doses.Given
		}
		if diff := cmp.Diff(f, facts); diff != "" {
			t.Fatalf("%s: %s", text, diff)
		}
	})
}
