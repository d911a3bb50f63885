package night_test

import (
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"jari/cmd/surge/night"
)

func simulate(t *testing.T, o night.Options) *night.Report {
	t.Helper()
	r, err := night.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestASmallNightGoesWell(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		r := simulate(t, night.Standard(30_000, seed))
		if wrong := r.Judge(); len(wrong) > 0 {
			t.Errorf("seed %d: %s", seed, strings.Join(wrong, "\n"))
		}
		if r.Tickets != r.Persons || r.Booked != r.Admitted || r.Arrivals < 5*r.Persons {
			t.Errorf("%d tickets for %d persons, %d admitted and %d booked, %d arrivals", r.Tickets, r.Persons, r.Admitted, r.Booked, r.Arrivals)
		}
		slow := r.Minutes[22]
		if slow.Health > .7 || r.Minutes[33].Health < .9 {
			t.Errorf("while the store is slow health is %.2f, and later %.2f", slow.Health, r.Minutes[33].Health)
		}
	}
}

func TestSixtyOfAHundredWhoStayAwayDontSlowTheOthers(t *testing.T) {
	t.Parallel()
	o := night.Standard(100_000, 4)
	o.NoShow = .6
	r := simulate(t, o)
	if wrong := r.Judge(); len(wrong) > 0 {
		t.Error(strings.Join(wrong, "\n"))
	}
}

// A night in which blocks of numbers die before they are written, and the leader: nobody notices.
func TestBlocksAndLeadersDieAndNobodyNotices(t *testing.T) {
	t.Parallel()
	o := night.Standard(30_000, 9)
	o.SlowFrom, o.SlowFor = 0, 20*time.Minute
	r := simulate(t, o)
	if r.Duplicates+r.PlacesLost+r.WentBack+r.Uncalled != 0 || r.Tickets != r.Persons || r.BlocksDied == 0 {
		t.Errorf("%d places too many, %d lost, %d times back, %d uncalled, %d places, %d blocks died",
			r.Duplicates, r.PlacesLost, r.WentBack, r.Uncalled, r.Tickets, r.BlocksDied)
	}
}

func TestTheSameSeedGivesTheSameNight(t *testing.T) {
	t.Parallel()
	one, other := simulate(t, night.Standard(5_000, 3)), simulate(t, night.Standard(5_000, 3))
	if !reflect.DeepEqual(one, other) {
		t.Error("they differ")
	}
	if reflect.DeepEqual(one.Tenths, simulate(t, night.Standard(5_000, 4)).Tenths) {
		t.Error("another seed gives the same")
	}
}

func TestPlantedBugsAreFound(t *testing.T) {
	t.Parallel()
	for bug, says := range map[night.Bug]string{
		night.ByDevice: "places too many", night.ReloadLoses: "places too many", night.BlocksTwice: "places too many",
		night.BadOrder: "who registered earlier stands elsewhere",
	} {
		t.Run(string(bug), func(t *testing.T) {
			t.Parallel()
			o := night.Standard(20_000, 1)
			o.Bug = bug
			if wrong := strings.Join(simulate(t, o).Judge(), "\n"); !strings.Contains(wrong, says) {
				t.Errorf("what is found is %q", wrong)
			}
		})
	}
}

func TestTheNightIsDrawn(t *testing.T) {
	t.Parallel()
	var picture strings.Builder
	if err := simulate(t, night.Standard(5_000, 1)).WriteSVG(&picture); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(picture.String()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatCantBeSimulatedIsSaid(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*night.Options){
		"too few": func(o *night.Options) { o.Persons = 10 }, "too many": func(o *night.Options) { o.Persons = 1 << 30 },
		"no target": func(o *night.Options) { o.Target = 0 }, "faster when slow": func(o *night.Options) { o.SlowFactor = .5 },
		"nobody comes": func(o *night.Options) { o.NoShow = 1 },
	} {
		o := night.Standard(5_000, 1)
		o.SlowFor = time.Minute
		change(&o)
		if _, err := night.Run(t.Context(), o); err == nil {
			t.Errorf("%s is simulated", name)
		}
	}
}
