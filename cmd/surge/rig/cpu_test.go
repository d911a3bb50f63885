package rig

import (
	"errors"
	"io/fs"
	"math"
	"testing"
	"time"
)

// The fixture has a parent (100) with two children (101, 102), a grandchild that isn't its own (103), and a stranger.
func fixture(t *testing.T) *Meter {
	t.Helper()
	m, err := newMeter("testdata/proc")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestFamilyIsParentWaitedForAndLiveChildren(t *testing.T) {
	t.Parallel()
	got, err := fixture(t).Family(100)
	if err != nil {
		t.Fatal(err)
	}
	// 10+20 of its own, 300+400 of children that ended, 5+6 and 7+8 of those that live.
	if want := ofTicks(756); got != want {
		t.Errorf("the family used %v, want %v", got, want)
	}
}

func TestOwnIsWithoutChildren(t *testing.T) {
	t.Parallel()
	got, err := fixture(t).Own(100)
	if err != nil {
		t.Fatal(err)
	}
	if want := CPU(300 * time.Millisecond); got != want {
		t.Errorf("the process used %v, want %v", got, want)
	}
}

func TestAFamilyThatIsGoneIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := fixture(t).Family(99); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestTheMachineIsEverythingButIdle(t *testing.T) {
	t.Parallel()
	got, err := fixture(t).Machine()
	if err != nil {
		t.Fatal(err)
	}
	if want := 1 + 2 + 3 + 6 + 7 + 8.0; math.Abs(got.Seconds()-want) > 1e-6 {
		t.Errorf("the machine used %v s, want %v s", got.Seconds(), want)
	}
}

func TestWithoutProcThereAreNoAccounts(t *testing.T) {
	t.Parallel()
	if _, err := newMeter("testdata/nothing"); !errors.Is(err, ErrNoAccounts) {
		t.Errorf("got %v", err)
	}
}

func TestSharesAreOfTheWholeMachine(t *testing.T) {
	t.Parallel()
	second := CPU(time.Second)
	a := Accounts{Server: second, Postgres: 2 * second, Redis: second / 2, Generator: second / 2, Machine: 6 * second}
	b := Accounts{
		At: time.Time{}.Add(5 * time.Second), Server: 2 * second, Postgres: 4 * second, Redis: second, Generator: second,
		Machine: 12 * second,
	}
	for name, want := range map[string]float64{"server": .1, "postgres": .2, "redis": .05, "generator": .05, "others": .2} {
		if got := b.Since(a).Shares(2)[name]; math.Abs(got-want) > 1e-9 {
			t.Errorf("the share of %s is %v, want %v", name, got, want)
		}
	}
	if got := b.Since(a).Plus(b.Since(a)).ServerAndStores(); got != 7*second {
		t.Errorf("server and stores used %v twice, want 7 s", got)
	}
	if got := (Accounts{}).Shares(2); len(got) != 0 {
		t.Errorf("shares of no time are %v", got)
	}
}
