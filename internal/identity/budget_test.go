package identity

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/token"
)

// on is a device that carries what the session gave it.
func on(s Session) From { return From{Device: s.Device} }

func (d *desk) startFrom(c Claims, from From) (string, error) {
	v, err := d.Start(d.t.Context(), c, "ko", from)
	return v.ID.String(), err
}

func TestGuessProbability(t *testing.T) {
	t.Parallel()
	if p := GuessProbability(MaxFailuresPerDay); p > 5e-5 {
		t.Errorf("guessing a phone's code within 24 hours succeeds with %g", p)
	}
	if p := GuessProbability(MaxFailuresPerDay + 1); p <= 5e-5 {
		t.Errorf("the bound could be higher: %g", p)
	}
}

// The bound rests on this: however many codes and verifications there are, so many guesses are judged on a day.
func TestTenThousandParallelGuessesAreJudgedFiveTimes(t *testing.T) {
	t.Parallel()
	d := setup(t)
	id := d.start(hong)
	wrong := d.wrong(id)
	const guesses, atOnce = 10_000, 64
	var wg sync.WaitGroup
	var mu sync.Mutex
	judged := map[fault.Code]int{}
	work := make(chan struct{}, guesses)
	for range guesses {
		work <- struct{}{}
	}
	close(work)
	for range atOnce {
		wg.Go(func() {
			for range work {
				_, err := d.Confirm(t.Context(), id, wrong, "")
				mu.Lock()
				judged[fault.CodeOf(err)]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	// The fifth wrong one ends the verification and is told so.
	if judged[fault.CodeCodeWrong] != 4 || judged[fault.CodeVerificationOver] != guesses-4 {
		t.Errorf("they were told %v", judged)
	}
	if n := d.number(`SELECT failures FROM phone_budgets`); n != 5 {
		t.Errorf("%d were judged", n)
	}
}

func TestStrangerCannotLockOut(t *testing.T) {
	t.Parallel()
	d := setup(t, func(r *Rules) { r.KeptPercent = 40 })
	known := on(d.verified(hong)) // one of ten codes, not of a known device yet
	// A stranger asks for codes until there are no more for strangers, and guesses until no guess is judged.
	strangers := 0
	var last string
	for {
		id, err := d.startFrom(hong, From{})
		if err != nil {
			d.want(err, fault.CodePhoneLimit)
			break
		}
		strangers, last = strangers+1, id
	}
	if strangers != 5 {
		t.Errorf("strangers got %d codes after the owner's first, of the six that aren't kept", strangers)
	}
	d.exec(`UPDATE phone_budgets SET failures = 12`)
	_, err := d.Confirm(t.Context(), last, d.code(last), "")
	d.want(err, fault.CodePhoneLimit)

	// The owner, on the device of before, still comes in, and may mistype.
	id, err := d.startFrom(hong, known)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Confirm(t.Context(), id, d.wrong(id), "")
	d.want(err, fault.CodeCodeWrong)
	d.resendable(id)
	if _, err := d.Resend(t.Context(), id, From{}); err != nil {
		t.Fatalf("the verification of a known device can't be resent: %v", err)
	}
	d.confirm(id)
	// Also when the owner has used the kept share up, it was the owner who did.
	for range 2 {
		if _, err := d.startFrom(hong, known); err != nil {
			t.Fatal(err)
		}
	}
	_, err = d.startFrom(hong, known)
	d.want(err, fault.CodePhoneLimit)
}

func TestADeviceIsKnownForItsPhonesAlone(t *testing.T) {
	t.Parallel()
	d := setup(t, func(r *Rules) { r.KeptPercent = 100; r.CodesPerDay = 3 })
	d.rules.KeptPercent = 0
	first := d.verified(hong)
	other := hong
	other.Phone = "010-2000-1001"
	id := d.start(other)
	both, err := d.Confirm(t.Context(), id, d.code(id), first.Device)
	if err != nil {
		t.Fatal(err)
	}
	d.rules.KeptPercent = 100
	for name, tc := range map[string]struct {
		claims Claims
		device string
		known  bool
	}{
		"the phone that was verified":     {hong, first.Device, true},
		"both after the second":           {hong, both.Device, true},
		"the second too":                  {other, both.Device, true},
		"not the second before":           {other, first.Device, false},
		"none":                            {hong, "", false},
		"a session is no device":          {hong, first.Token, false},
		"made up":                         {hong, "x", false},
		"of a deployment with other keys": {hong, strangersDevice(t, d), false},
	} {
		_, err := d.startFrom(tc.claims, From{Device: tc.device})
		if tc.known != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d.clk.set(d.clk.Real().Add(25 * time.Hour))
	if _, err := d.startFrom(other, From{Device: both.Device}); err == nil {
		t.Error("a device is known for longer than was said")
	}
}

func strangersDevice(t *testing.T, d *desk) string {
	t.Helper()
	text, err := token.NewBox(sealer(t, "tokens"), "development").SealDevice(token.Device{ExpiresAt: d.clk.Real().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestCodesHaveWiderBudgets(t *testing.T) {
	t.Parallel()
	japan := func(r *Rules) { r.Phones.Regions = []string{"KR", "JP"} }
	for name, tc := range map[string]struct {
		change func(*Rules)
		phone  func(i int) string
		from   From
		code   fault.Code
		most   time.Duration
	}{
		"address block":        {func(r *Rules) { r.Budgets.PerBlock = 3 }, korean, From{Block: "203.0.113.0/24"}, fault.CodeAddressLimit, time.Hour},
		"country prefix":       {func(r *Rules) { r.Budgets.PerPrefix = map[string]int{"82": 3} }, korean, From{}, fault.CodeCodesLimit, 24 * time.Hour},
		"other country prefix": {func(r *Rules) { japan(r); r.Budgets.PerOtherPrefix = 3 }, japanese, From{}, fault.CodeCodesLimit, 24 * time.Hour},
		"deployment":           {func(r *Rules) { r.Budgets.InAll = 3 }, korean, From{}, fault.CodeCodesLimit, 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := setup(t, tc.change)
			with := func(i int) Claims { c := hong; c.Phone = tc.phone(i); return c }
			for i := range 3 {
				if _, err := d.startFrom(with(i), tc.from); err != nil {
					t.Fatal(err)
				}
			}
			_, err := d.startFrom(with(3), tc.from)
			if e := d.refusal(err, tc.code); e.RetryAfter <= 0 || e.RetryAfter > tc.most {
				t.Errorf("it says to wait %s", e.RetryAfter)
			}
			// A refusal spends nothing and sends nothing.
			if n := d.number(`SELECT count(*) FROM phone_budgets`); n != 3 {
				t.Errorf("%d phones have spent", n)
			}
			if n := d.number(`SELECT count(*) FROM sent`); n != 3 {
				t.Errorf("%d codes were sent", n)
			}
		})
	}
}

func korean(i int) string   { return fmt.Sprintf("010-3000-%04d", 1000+i) }
func japanese(i int) string { return fmt.Sprintf("+81 90-1234-%04d", 1000+i) }

func TestAKnownDeviceDoesntDependOnItsNeighbours(t *testing.T) {
	t.Parallel()
	d := setup(t, func(r *Rules) { r.Budgets.PerBlock = 1 })
	from := on(d.verified(hong))
	from.Block = "203.0.113.0/24"
	for range 3 {
		if _, err := d.startFrom(hong, from); err != nil {
			t.Fatal(err)
		}
	}
	stranger := hong
	stranger.Phone = korean(1)
	if _, err := d.startFrom(stranger, From{Block: from.Block}); err != nil {
		t.Errorf("a known device spent its neighbours' budget: %v", err)
	}
}

func TestBudgetsSpentAtOnceAreNotOverdrawn(t *testing.T) {
	t.Parallel()
	d := setup(t, func(r *Rules) { r.Budgets.InAll = 7 })
	var wg sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		wg.Go(func() {
			c := hong
			c.Phone = korean(i)
			_, errs[i] = d.startFrom(c, From{})
		})
	}
	wg.Wait()
	got := 0
	for _, err := range errs {
		if err == nil {
			got++
		}
	}
	if got != 7 {
		t.Errorf("%d codes were given of 7", got)
	}
}

func TestAddressesArentStoredInTheClear(t *testing.T) {
	t.Parallel()
	d := setup(t)
	if _, err := d.startFrom(hong, From{Block: "203.0.113.0/24"}); err != nil {
		t.Fatal(err)
	}
	if n := d.number(`SELECT count(*) FROM code_budgets WHERE position('203.0.113'::bytea IN key) > 0`); n != 0 {
		t.Error("an address is stored")
	}
}
