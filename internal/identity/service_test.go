package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/text/unicode/norm"

	"jari/internal/civil"
	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/keys"
	"jari/internal/postgres"
	"jari/internal/token"
	"jari/test/storetest"
)

// outbox remembers codes in a table, in the transaction that it is handed: what is rolled back was never queued.
type outbox struct{ fail error }

func (o *outbox) QueueCode(ctx context.Context, tx pgx.Tx, c Code) error {
	if o.fail != nil {
		return o.fail
	}
	_, err := tx.Exec(ctx, `INSERT INTO sent (subject, phone, code, language, useful_until) VALUES ($1, $2, $3, $4, $5)`,
		c.Subject, c.Phone, c.Code, c.Language, c.UsefulUntil)
	return err
}

// handClock is a clock whose real time is moved by hand.
type handClock struct {
	mu   sync.Mutex
	real time.Time
}

func (c *handClock) Now() time.Time        { return c.Real() }
func (c *handClock) Offset() time.Duration { return 0 }
func (c *handClock) Real() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.real
}

func (c *handClock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.real = at
}

// desk is a service on a database of its own, with what a test does around it.
type desk struct {
	*Service
	t      testing.TB
	pool   *pgxpool.Pool
	clk    *handClock
	outbox *outbox
}

var standing = Rules{
	CodeLifetime: 3 * time.Minute, CodeAttempts: 5, ResendWait: 30 * time.Second, CodesPerDay: 10, FailuresPerDay: 20,
	PersonsPerPhone: 5, SessionLifetime: time.Hour, Phones: korea, DeviceLifetime: 24 * time.Hour,
	Budgets: Budgets{PerBlock: 1000, PerPrefix: map[string]int{"82": 1000}, PerOtherPrefix: 10, InAll: 1000},
}

func line(t testing.TB, purpose keys.Purpose) string {
	t.Helper()
	line, err := keys.Generate("development", purpose)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func sealer(t testing.TB, purpose keys.Purpose) *keys.Sealer {
	t.Helper()
	s, err := keys.NewSealer(line(t, purpose), "development", purpose)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newService(t testing.TB, pool *pgxpool.Pool, clk clock.Clock, codes Codes, rules Rules) *Service {
	t.Helper()
	index, err := keys.NewIndexer(line(t, keys.Index), "development")
	if err != nil {
		t.Fatal(err)
	}
	return NewService(pool, clk, token.NewBox(sealer(t, keys.Tokens), "development"), sealer(t, keys.Data), index, codes, rules,
		slog.New(slog.NewTextHandler(t.Output(), nil)))
}

func setup(t testing.TB, change ...func(*Rules)) *desk {
	t.Helper()
	pool := storetest.Postgres(t)
	d := &desk{t: t, pool: pool, clk: &handClock{real: time.Now()}, outbox: &outbox{}}
	d.exec(`CREATE TABLE sent (n serial, subject text UNIQUE, phone text, code text, language text, useful_until timestamptz)`)
	rules := standing
	for _, c := range change {
		c(&rules)
	}
	d.Service = newService(t, pool, d.clk, d.outbox, rules)
	return d
}

func (d *desk) exec(sql string, arguments ...any) {
	d.t.Helper()
	if _, err := d.pool.Exec(d.t.Context(), sql, arguments...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) number(sql string, arguments ...any) (n int) {
	d.t.Helper()
	if err := d.pool.QueryRow(d.t.Context(), sql, arguments...).Scan(&n); err != nil {
		d.t.Fatal(err)
	}
	return n
}

var hong = Claims{Scheme: SchemePhone, Name: "홍길동", BirthDate: civil.Date{Year: 1967, Month: time.January, Day: 1}, Phone: "010-2000-1000"}

func (d *desk) start(c Claims) string {
	d.t.Helper()
	v, err := d.Start(d.t.Context(), c, "ko", From{})
	if err != nil {
		d.t.Fatal(err)
	}
	return v.ID.String()
}

// code is the one that was sent last for a verification.
func (d *desk) code(id string) (code string) {
	d.t.Helper()
	if err := d.pool.QueryRow(d.t.Context(), `
		SELECT code FROM sent WHERE starts_with(subject, $1) ORDER BY n DESC LIMIT 1`, "code:"+id+":").Scan(&code); err != nil {
		d.t.Fatal(err)
	}
	return code
}

// wrong is a code that wasn't sent.
func (d *desk) wrong(id string) string {
	d.t.Helper()
	if d.code(id) == "000000" {
		return "000001"
	}
	return "000000"
}

func (d *desk) confirm(id string) Session {
	d.t.Helper()
	s, err := d.Confirm(d.t.Context(), id, d.code(id), "")
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *desk) verified(c Claims) Session {
	d.t.Helper()
	return d.confirm(d.start(c))
}

// refusal is err as a refusal with that code.
func (d *desk) refusal(err error, code fault.Code) *fault.Error {
	d.t.Helper()
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Code != code {
		d.t.Fatalf("answered %v, not %s", err, code)
	}
	return e
}

func (d *desk) want(err error, code fault.Code) {
	d.t.Helper()
	_ = d.refusal(err, code)
}

// resendable takes the wait before a resend away.
func (d *desk) resendable(id string) {
	d.exec(`UPDATE verifications SET resend_at = now() WHERE verification_id = $1`, id)
}

func TestARightCodeGivesASession(t *testing.T) {
	t.Parallel()
	d := setup(t)
	before := time.Now()
	v, err := d.Start(t.Context(), hong, "en", From{})
	if err != nil {
		t.Fatal(err)
	}
	if v.AttemptsLeft != 5 || v.ExpiresAt.Sub(v.ResendAt) != standing.CodeLifetime-standing.ResendWait ||
		v.ExpiresAt.Sub(before.Add(standing.CodeLifetime)).Abs() > time.Minute {
		t.Errorf("the verification is %+v", v)
	}
	s := d.confirm(v.ID.String())
	if s.Person.Name != hong.Name || s.Person.BirthDate != hong.BirthDate || s.Person.Phone != "+821020001000" || s.Person.Language != "en" {
		t.Errorf("the person is %+v", s.Person)
	}
	if !s.ExpiresAt.Equal(d.clk.Real().Add(time.Hour)) {
		t.Errorf("it expires at %s", s.ExpiresAt)
	}
	inside, err := d.Authenticate(s.Token)
	if err != nil {
		t.Fatal(err)
	}
	if inside.Person != s.Person.ID || inside.Actor != s.Person.ID || inside.BirthDate != hong.BirthDate {
		t.Errorf("the session says %+v", inside)
	}
	found, err := d.Person(t.Context(), s.Person.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.Person, found); diff != "" {
		t.Errorf("found again: %s", diff)
	}
}

func TestACodeIsQueuedWithWhatTheMessageNeeds(t *testing.T) {
	t.Parallel()
	d := setup(t)
	v, err := d.Start(t.Context(), hong, "en", From{})
	if err != nil {
		t.Fatal(err)
	}
	d.resendable(v.ID.String())
	again, err := d.Resend(t.Context(), v.ID.String(), From{})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := d.pool.Query(t.Context(), `SELECT subject, phone, language, useful_until FROM sent ORDER BY n`)
	if err != nil {
		t.Fatal(err)
	}
	type sent struct {
		Subject, Phone, Language string
		UsefulUntil              time.Time
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[sent])
	if err != nil {
		t.Fatal(err)
	}
	// Each sending has its own subject, so that each is sent once.
	want := []sent{
		{"code:" + v.ID.String() + ":1", "+821020001000", "en", v.ExpiresAt},
		{"code:" + v.ID.String() + ":2", "+821020001000", "en", again.ExpiresAt},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(time.Millisecond)); diff != "" {
		t.Error(diff)
	}
}

func TestNothingIsRememberedOfACodeThatCouldntBeQueued(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.outbox.fail = errors.New("no")
	if _, err := d.Start(t.Context(), hong, "ko", From{}); !errors.Is(err, d.outbox.fail) {
		t.Fatalf("%v", err)
	}
	if n := d.number(`SELECT (SELECT count(*) FROM verifications) + (SELECT count(*) FROM phone_budgets)`); n != 0 {
		t.Errorf("%d rows", n)
	}
	d.outbox.fail = nil
	id := d.start(hong)
	d.resendable(id)
	d.outbox.fail = errors.New("no")
	if _, err := d.Resend(t.Context(), id, From{}); !errors.Is(err, d.outbox.fail) {
		t.Fatalf("%v", err)
	}
	d.confirm(id) // The code that was sent before.
}

func TestCodeUsedOnce(t *testing.T) {
	t.Parallel()
	d := setup(t)
	id := d.start(hong)
	code := d.code(id)
	const callers = 20
	var wg sync.WaitGroup
	errs := make([]error, callers)
	sessions := make([]Session, callers)
	for i := range callers {
		wg.Go(func() { sessions[i], errs[i] = d.Confirm(t.Context(), id, code, "") })
	}
	wg.Wait()
	won := 0
	for i, err := range errs {
		if err == nil {
			won++
			continue
		}
		d.want(err, fault.CodeVerificationOver)
		if sessions[i].Token != "" {
			t.Error("a refusal carries a token")
		}
	}
	if won != 1 {
		t.Errorf("%d of %d got a session", won, callers)
	}
	if n := d.number(`SELECT count(*) FROM persons`); n != 1 {
		t.Errorf("%d people", n)
	}
	if n := d.number(`SELECT coalesce(sum(failures), 0) FROM phone_budgets`); n != 0 {
		t.Errorf("%d failures were counted", n)
	}
}

func TestParallelGuessesCount(t *testing.T) {
	t.Parallel()
	d := setup(t)
	id := d.start(hong)
	wrong := d.wrong(id)
	const callers = 20
	var wg sync.WaitGroup
	errs := make([]error, callers)
	for i := range callers {
		wg.Go(func() { _, errs[i] = d.Confirm(t.Context(), id, wrong, "") })
	}
	wg.Wait()
	left := map[AttemptsLeft]int{}
	over := 0
	for _, err := range errs {
		switch fault.CodeOf(err) {
		case fault.CodeCodeWrong:
			left[d.refusal(err, fault.CodeCodeWrong).Extra.(AttemptsLeft)]++
		default:
			d.want(err, fault.CodeVerificationOver)
			over++
		}
	}
	// The fifth of five is told like those after it.
	if diff := cmp.Diff(map[AttemptsLeft]int{4: 1, 3: 1, 2: 1, 1: 1}, left); diff != "" || over != callers-4 {
		t.Errorf("attempts left: %v, over: %d", left, over)
	}
	if attempts, failures := d.number(`SELECT attempts FROM verifications`), d.number(`SELECT failures FROM phone_budgets`); attempts != 5 || failures != 5 {
		t.Errorf("%d attempts and %d failures were judged", attempts, failures)
	}
	if _, err := d.Confirm(t.Context(), id, d.code(id), ""); fault.CodeOf(err) != fault.CodeVerificationOver {
		t.Errorf("the right code after it was guessed to death: %v", err)
	}
}

func TestARightGuessAmongManyWrongOnesWinsAtMostOnce(t *testing.T) {
	t.Parallel()
	d := setup(t)
	id := d.start(hong)
	right, wrong := d.code(id), d.wrong(id)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 30 {
		guess := wrong
		if i%3 == 0 {
			guess = right
		}
		wg.Go(func() {
			if _, err := d.Confirm(t.Context(), id, guess, ""); err == nil {
				mu.Lock()
				defer mu.Unlock()
				won++
			}
		})
	}
	wg.Wait()
	attempts := d.number(`SELECT attempts FROM verifications`)
	if won > 1 || attempts > 5 || (won == 0 && attempts != 5) {
		t.Errorf("%d sessions, %d attempts", won, attempts)
	}
}

func TestResendKeepsFailureCount(t *testing.T) {
	t.Parallel()
	d := setup(t)
	id := d.start(hong)
	for want := AttemptsLeft(4); want >= 3; want-- {
		_, err := d.Confirm(t.Context(), id, d.wrong(id), "")
		if got := d.refusal(err, fault.CodeCodeWrong).Extra; got != want {
			t.Errorf("%v are left, not %d", got, want)
		}
	}
	d.resendable(id)
	v, err := d.Resend(t.Context(), id, From{})
	if err != nil {
		t.Fatal(err)
	}
	if v.AttemptsLeft != 3 || v.ID.String() != id {
		t.Errorf("after a resend: %+v", v)
	}
	for range 2 {
		_, err := d.Confirm(t.Context(), id, d.wrong(id), "")
		d.want(err, fault.CodeCodeWrong)
	}
	_, err = d.Confirm(t.Context(), id, d.wrong(id), "")
	d.want(err, fault.CodeVerificationOver)
	d.resendable(id)
	_, err = d.Resend(t.Context(), id, From{})
	d.want(err, fault.CodeVerificationOver)
}

func TestAResendMakesTheCodeBeforeWorthless(t *testing.T) {
	t.Parallel()
	d := setup(t)
	id := d.start(hong)
	first := d.code(id)
	for d.resendable(id); ; d.resendable(id) {
		if _, err := d.Resend(t.Context(), id, From{}); err != nil {
			t.Fatal(err)
		}
		if d.code(id) != first {
			break
		}
	}
	_, err := d.Confirm(t.Context(), id, first, "")
	d.want(err, fault.CodeCodeWrong)
	d.confirm(id)
}

func TestRefusedResendKeepsValidCode(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rules   func(*Rules)
		arrange func(d *desk, id string)
		code    fault.Code
		most    time.Duration
	}{
		"too soon": {
			func(*Rules) {}, func(*desk, string) {}, fault.CodeResendTooSoon, 30 * time.Second,
		},
		"the phone's codes of the day are spent": {
			func(r *Rules) { r.CodesPerDay = 1 }, func(d *desk, id string) { d.resendable(id) }, fault.CodePhoneLimit, 24 * time.Hour,
		},
		"one verification was sent enough": {
			func(*Rules) {}, func(d *desk, id string) {
				d.resendable(id)
				d.exec(`UPDATE verifications SET sends = $1`, maxSends)
			}, fault.CodeResendTooSoon, 10 * time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := setup(t, tc.rules)
			id := d.start(hong)
			tc.arrange(d, id)
			before := d.number(`SELECT count(*) FROM sent`)
			_, err := d.Resend(t.Context(), id, From{})
			if e := d.refusal(err, tc.code); e.Kind != fault.TooMany || e.RetryAfter <= 0 || e.RetryAfter > tc.most {
				t.Errorf("it says until when: %+v", e)
			}
			if n := d.number(`SELECT count(*) FROM sent`); n != before {
				t.Error("a code was sent all the same")
			}
			d.confirm(id)
		})
	}
}

func TestAResendIsAllowedOnceItsTimeHasCome(t *testing.T) {
	t.Parallel()
	d := setup(t, func(r *Rules) { r.ResendWait = time.Microsecond })
	id := d.start(hong)
	if _, err := d.Resend(t.Context(), id, From{}); err != nil {
		t.Fatal(err)
	}
}

// wantMidnight fails unless waiting from an instant between before and now ends at a midnight of UTC+9.
func (d *desk) wantMidnight(e *fault.Error, before time.Time) {
	d.t.Helper()
	if e.Kind != fault.TooMany || e.RetryAfter <= 0 || e.RetryAfter > 24*time.Hour {
		d.t.Fatalf("it doesn't say until when: %+v", e)
	}
	// A second of room, for clocks of the store and the machine that differ a little.
	from, to := before.Add(e.RetryAfter-time.Second).In(budgetZone), time.Now().Add(e.RetryAfter+time.Second).In(budgetZone)
	if civil.Of(from, budgetZone) == civil.Of(to, budgetZone) {
		d.t.Errorf("the wait ends between %s and %s, not at midnight", from, to)
	}
}

func TestLimitSaysUntilWhen(t *testing.T) {
	t.Parallel()
	t.Run("codes of a phone's day", func(t *testing.T) {
		t.Parallel()
		d := setup(t, func(r *Rules) { r.CodesPerDay = 3 })
		for range 3 {
			d.start(hong)
		}
		before := time.Now()
		_, err := d.Start(t.Context(), hong, "ko", From{})
		d.wantMidnight(d.refusal(err, fault.CodePhoneLimit), before)
		if n := d.number(`SELECT count(*) FROM sent`); n != 3 {
			t.Errorf("%d codes were sent", n)
		}
		if n := d.number(`SELECT codes FROM phone_budgets`); n != 3 {
			t.Errorf("a refusal was counted: %d", n)
		}
		// Whoever the claims are about, it's the phone's budget; another phone has its own.
		other := hong
		other.Name, other.Phone = "임꺽정", "+82 10 2000 1000"
		_, err = d.Start(t.Context(), other, "en", From{})
		d.want(err, fault.CodePhoneLimit)
		other.Phone = "010-2000-1001"
		d.start(other)
	})
	t.Run("wrong codes of a phone's day", func(t *testing.T) {
		t.Parallel()
		d := setup(t, func(r *Rules) { r.FailuresPerDay = 2 })
		first := d.start(hong)
		second := d.start(hong)
		for range 2 {
			_, err := d.Confirm(t.Context(), first, d.wrong(first), "")
			d.want(err, fault.CodeCodeWrong)
		}
		before := time.Now()
		// Also the right one, of another verification: a guesser with many verifications gains nothing.
		_, err := d.Confirm(t.Context(), second, d.code(second), "")
		d.wantMidnight(d.refusal(err, fault.CodePhoneLimit), before)
		if attempts := d.number(`SELECT sum(attempts) FROM verifications`); attempts != 2 {
			t.Errorf("%d guesses were judged", attempts)
		}
	})
	t.Run("a new day renews both", func(t *testing.T) {
		t.Parallel()
		d := setup(t, func(r *Rules) { r.CodesPerDay, r.FailuresPerDay = 1, 1 })
		id := d.start(hong)
		_, err := d.Confirm(t.Context(), id, d.wrong(id), "")
		d.want(err, fault.CodeCodeWrong)
		d.exec(`UPDATE phone_budgets SET day = day - 1`)
		d.confirm(id)
		d.start(hong)
	})
}

func TestManyAtOnceGetNoMoreCodesThanADaysBudget(t *testing.T) {
	t.Parallel()
	d := setup(t, func(r *Rules) { r.CodesPerDay = 4 })
	var wg sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		wg.Go(func() { _, errs[i] = d.Start(t.Context(), hong, "ko", From{}) })
	}
	wg.Wait()
	refused := 0
	for _, err := range errs {
		if err != nil {
			d.want(err, fault.CodePhoneLimit)
			refused++
		}
	}
	if sent := d.number(`SELECT count(*) FROM sent`); refused != len(errs)-4 || sent != 4 {
		t.Errorf("%d refused, %d sent", refused, sent)
	}
}

func TestUnknownUsedExpiredAndExhaustedLookTheSame(t *testing.T) {
	t.Parallel()
	d := setup(t)
	other := func(last int) Claims {
		c := hong
		c.Phone = fmt.Sprintf("010-2000-10%02d", last)
		return c
	}
	used := d.start(other(1))
	d.confirm(used)
	expired := d.start(other(2))
	d.exec(`UPDATE verifications SET expires_at = now() WHERE verification_id = $1`, expired)
	exhausted := d.start(other(3))
	for range 5 {
		_, _ = d.Confirm(t.Context(), exhausted, d.wrong(exhausted), "")
	}
	ids := map[string]string{
		"unknown": uuid.NewString(), "used": used, "expired": expired, "exhausted": exhausted,
		"no id": "", "not an id": "'; DROP TABLE persons; --", "a number": "1", "an id in braces": "{" + uuid.NewString() + "}",
	}
	want := over()
	for name, id := range ids {
		guesses := []string{"000000", "", "１２３４５６"}
		if name == "used" || name == "expired" || name == "exhausted" {
			guesses = append(guesses, d.code(id))
		}
		for _, guess := range guesses {
			s, err := d.Confirm(t.Context(), id, guess, "")
			if diff := cmp.Diff(want, err, cmp.AllowUnexported(fault.Error{})); diff != "" || s.Token != "" {
				t.Errorf("%s: confirming with %q answers %v", name, guess, err)
			}
		}
		v, err := d.Resend(t.Context(), id, From{})
		if diff := cmp.Diff(want, err, cmp.AllowUnexported(fault.Error{})); diff != "" || v != (Verification{}) {
			t.Errorf("%s: resending answers %v", name, err)
		}
	}
	if n := d.number(`SELECT count(*) FROM persons`); n != 1 {
		t.Errorf("%d people", n)
	}
}

func TestAKnownPhoneIsAnsweredLikeAnUnknownOne(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.verified(hong)
	known, err := d.Start(t.Context(), hong, "ko", From{})
	if err != nil {
		t.Fatal(err)
	}
	stranger := hong
	stranger.Phone = "010-2000-1001"
	unknown, err := d.Start(t.Context(), stranger, "ko", From{})
	if err != nil {
		t.Fatal(err)
	}
	if known.AttemptsLeft != unknown.AttemptsLeft || known.ExpiresAt.Sub(known.ResendAt) != unknown.ExpiresAt.Sub(unknown.ResendAt) {
		t.Errorf("%+v and %+v", known, unknown)
	}
}

func TestThePersonIsFoundAgainInAnySpelling(t *testing.T) {
	t.Parallel()
	d := setup(t, func(r *Rules) { r.CodesPerDay = 100 })
	hongs, smiths := d.verified(hong).Person.ID, uuid.Nil
	for _, name := range []string{"홍길동", norm.NFD.String("홍길동"), " 홍 길동 ", "홍　길　동", "홍길동\u200b"} {
		for _, phone := range []string{"010-2000-1000", "+82 10 2000 1000", "０１０２０００１０００"} {
			c := hong
			c.Name, c.Phone = name, phone
			if got := d.verified(c).Person; got.ID != hongs {
				t.Errorf("%+q with %s is somebody else", name, phone)
			}
		}
	}
	for _, name := range []string{"John Smith", "JOHN SMITH", "john  smith", "ＪohnSmith"} {
		c := hong
		c.Name = name
		got := d.verified(c).Person.ID
		if smiths == uuid.Nil {
			smiths = got
		}
		if got != smiths {
			t.Errorf("%q is somebody else", name)
		}
	}
	if smiths == hongs {
		t.Error("two names are one person")
	}
	other := hong
	other.BirthDate = civil.AddDays(hong.BirthDate, 1)
	if d.verified(other).Person.ID == hongs {
		t.Error("two birth dates are one person")
	}
	other = hong
	other.Phone = "010-2000-1001"
	if d.verified(other).Person.ID == hongs {
		t.Error("two phones are one person")
	}
	if n := d.number(`SELECT count(*) FROM persons`); n != 4 {
		t.Errorf("%d people", n)
	}
}

func TestThePersonIsSpokenToInTheLastLanguage(t *testing.T) {
	t.Parallel()
	d := setup(t)
	person := d.verified(hong).Person.ID
	v, err := d.Start(t.Context(), hong, "en", From{})
	if err != nil {
		t.Fatal(err)
	}
	d.confirm(v.ID.String())
	if p, err := d.Person(t.Context(), person); err != nil || p.Language != "en" {
		t.Errorf("%+v, %v", p.Language, err)
	}
}

func TestAPhoneStandsForSoManyPeople(t *testing.T) {
	t.Parallel()
	t.Run("one after the other", func(t *testing.T) {
		t.Parallel()
		d := setup(t, func(r *Rules) { r.PersonsPerPhone = 2 })
		child := func(n int) Claims {
			c := hong
			c.BirthDate = civil.AddDays(hong.BirthDate, n)
			return c
		}
		first := d.verified(child(0)).Person.ID
		d.verified(child(1))
		third := d.start(child(2))
		_, err := d.Confirm(t.Context(), third, d.code(third), "")
		if e := d.refusal(err, fault.CodePersonsPerPhone); e.Kind != fault.Conflict {
			t.Errorf("%+v", e)
		}
		if again := d.verified(child(0)).Person.ID; again != first {
			t.Error("those who are known aren't found any more")
		}
		if n := d.number(`SELECT count(*) FROM persons`); n != 2 {
			t.Errorf("%d people", n)
		}
	})
	t.Run("all at once", func(t *testing.T) {
		t.Parallel()
		d := setup(t, func(r *Rules) { r.PersonsPerPhone, r.CodesPerDay = 3, 100 })
		ids := make([]string, 12)
		for i := range ids {
			c := hong
			c.BirthDate = civil.AddDays(hong.BirthDate, i)
			ids[i] = d.start(c)
		}
		codes := map[string]string{}
		for _, id := range ids {
			codes[id] = d.code(id)
		}
		errs := make([]error, len(ids))
		var wg sync.WaitGroup
		for i, id := range ids {
			wg.Go(func() { _, errs[i] = d.Confirm(t.Context(), id, codes[id], "") })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
				continue
			}
			d.want(err, fault.CodePersonsPerPhone)
		}
		if n := d.number(`SELECT count(*) FROM persons`); won != 3 || n != 3 {
			t.Errorf("%d sessions, %d people", won, n)
		}
	})
	t.Run("the same person all at once is one", func(t *testing.T) {
		t.Parallel()
		d := setup(t, func(r *Rules) { r.CodesPerDay = 100 })
		var wg sync.WaitGroup
		people := make([]uuid.UUID, 10)
		for i := range people {
			id := d.start(hong)
			code := d.code(id)
			wg.Go(func() {
				s, err := d.Confirm(t.Context(), id, code, "")
				if err != nil {
					t.Error(err)
				}
				people[i] = s.Person.ID
			})
		}
		wg.Wait()
		if len(slices.Compact(people)) != 1 {
			t.Errorf("%v", people)
		}
	})
}

func TestNothingThatIdentifiesAHumanBeingIsStoredInTheClear(t *testing.T) {
	t.Parallel()
	d := setup(t)
	id := d.start(hong)
	code := d.code(id)
	d.confirm(id)
	d.exec(`DROP TABLE sent`)
	for _, table := range []string{"persons", "verifications", "phone_budgets", "ended_sessions"} {
		rows, err := d.pool.Query(t.Context(), `SELECT t::text FROM `+table+` t`)
		if err != nil {
			t.Fatal(err)
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range texts {
			for _, secret := range []string{"홍길동", "1967-01-01", "2000-1000", "20001000"} {
				if strings.Contains(row, secret) {
					t.Errorf("%s shows %q", table, secret)
				}
			}
			// As the bytes of a column.
			for _, secret := range []string{"홍길동", "1967-01-01", "20001000", code} {
				if strings.Contains(row, fmt.Sprintf("%x", secret)) {
					t.Errorf("%s holds %q", table, secret)
				}
			}
		}
	}
	var sealed []byte
	if err := d.pool.QueryRow(t.Context(), `SELECT sealed FROM persons`).Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("홍길동")) || bytes.Contains(sealed, []byte("20001000")) || bytes.Contains(sealed, []byte("name")) {
		t.Error("what is sealed can be read")
	}
}

func TestARowThatWasMovedDoesntOpen(t *testing.T) {
	t.Parallel()
	d := setup(t)
	one := d.verified(hong).Person.ID
	rich := hong
	rich.Phone = "010-2000-1001"
	two := d.verified(rich).Person.ID
	d.exec(`UPDATE persons SET sealed = (SELECT sealed FROM persons WHERE person_id = $2) WHERE person_id = $1`, one, two)
	_, err := d.Person(t.Context(), one)
	if err == nil || fault.CodeOf(err) != "" {
		t.Fatalf("answered %v", err)
	}
	if strings.Contains(err.Error(), "홍길동") {
		t.Error("the error repeats what is sealed")
	}
	t.Run("nor from another table", func(t *testing.T) {
		t.Parallel()
		id := uuid.New()
		row, err := d.seal("verifications", id, sealed{Name: "홍길동", BirthDate: hong.BirthDate})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.open("persons", id, row); err == nil {
			t.Error("it opens")
		}
		if c, err := d.open("verifications", id, row); err != nil || c.Name != "홍길동" {
			t.Errorf("it doesn't open where it belongs: %v", err)
		}
	})
	t.Run("nor with something else in it", func(t *testing.T) {
		t.Parallel()
		id := uuid.New()
		row, err := d.data.Seal([]byte(`{"name": 홍길동`), rowContext("persons", id))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.open("persons", id, row); err == nil || strings.Contains(err.Error(), "홍") {
			t.Errorf("answered %v", err)
		}
	})
}

func TestAPersonIsNeverLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	p := Person{ID: uuid.New(), Name: "홍길동", BirthDate: hong.BirthDate, Phone: "+821020001000"}
	slog.New(slog.NewJSONHandler(&log, nil)).Info("verified", "person", p)
	if strings.Contains(log.String(), "홍") || strings.Contains(log.String(), "1967") || strings.Contains(log.String(), "2000") ||
		!strings.Contains(log.String(), p.ID.String()) {
		t.Errorf("%s", log.String())
	}
}

func TestAPersonWhoIsGoneVerifiesAgain(t *testing.T) {
	t.Parallel()
	d := setup(t)
	_, err := d.Person(t.Context(), uuid.New())
	d.want(err, fault.CodeSessionExpired)
}

func TestSessions(t *testing.T) {
	t.Parallel()
	t.Run("what isn't one is required", func(t *testing.T) {
		t.Parallel()
		d := setup(t)
		admission, err := d.tokens.SealAdmission(token.Admission{Room: "r", Campaign: "c", Person: uuid.New(), ExpiresAt: d.clk.Real().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		good := d.verified(hong).Token
		for name, text := range map[string]string{
			"nothing": "", "half of one": good[:len(good)/2], "an admission": admission, "one of somebody else's keys": newDeskToken(t),
		} {
			_, err := d.Authenticate(text)
			if fault.CodeOf(err) != fault.CodeSessionRequired {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("one lasts until its last instant", func(t *testing.T) {
		t.Parallel()
		d := setup(t)
		s := d.verified(hong)
		inside, err := d.Authenticate(s.Token)
		if err != nil {
			t.Fatal(err)
		}
		d.clk.set(inside.ExpiresAt.Add(-1))
		if _, err := d.Authenticate(s.Token); err != nil {
			t.Errorf("just before its end: %v", err)
		}
		d.clk.set(inside.ExpiresAt)
		_, err = d.Authenticate(s.Token)
		if e := d.refusal(err, fault.CodeSessionExpired); e.Kind != fault.Unauthenticated {
			t.Errorf("%+v", e)
		}
	})
	t.Run("one that was ended is over everywhere", func(t *testing.T) {
		t.Parallel()
		d := setup(t)
		elsewhere := NewService(d.pool, d.clk, d.tokens, d.data, d.index, d.outbox, standing, d.log)
		gone, stays := d.verified(hong), d.verified(hong)
		inside, err := d.Authenticate(gone.Token)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // Ending it again is nothing special.
			if err := d.End(t.Context(), inside); err != nil {
				t.Fatal(err)
			}
		}
		_, err = d.Authenticate(gone.Token)
		d.want(err, fault.CodeSessionExpired)
		for range 2 {
			if err := elsewhere.RefreshEnded(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		_, err = elsewhere.Authenticate(gone.Token)
		d.want(err, fault.CodeSessionExpired)
		for _, s := range []*Service{d.Service, elsewhere} {
			if _, err := s.Authenticate(stays.Token); err != nil {
				t.Errorf("another session of the same person ended too: %v", err)
			}
		}
	})
	t.Run("one that became visible late is seen too", func(t *testing.T) {
		t.Parallel()
		d := setup(t)
		late, newer := uuid.New(), uuid.New()
		expires := d.clk.Real().Add(time.Hour)
		d.exec(`INSERT INTO ended_sessions (session_id, expires_at) VALUES ($1, $2)`, newer, expires)
		if err := d.RefreshEnded(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Its transaction began before and was committed after.
		d.exec(`INSERT INTO ended_sessions (session_id, ended_at, expires_at) VALUES ($1, now() - interval '5 seconds', $2)`, late, expires)
		if err := d.RefreshEnded(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !d.ended.has(token.Session{ID: late}) || !d.ended.has(token.Session{ID: newer}) {
			t.Error("it passes")
		}
	})
	t.Run("what has expired needn't be known", func(t *testing.T) {
		t.Parallel()
		d := setup(t)
		id := uuid.New()
		d.exec(`INSERT INTO ended_sessions (session_id, expires_at) VALUES ($1, now() - interval '1 second')`, id)
		if err := d.RefreshEnded(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d.ended.has(token.Session{ID: id}) {
			t.Error("a session that expired is loaded")
		}
		short := uuid.New()
		d.exec(`INSERT INTO ended_sessions (session_id, expires_at) VALUES ($1, now() + interval '1 hour')`, short)
		if err := d.RefreshEnded(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !d.ended.has(token.Session{ID: short}) {
			t.Fatal("it isn't known")
		}
		d.clk.set(d.clk.Real().Add(2 * time.Hour))
		d.ended.add(d.clk.Real(), nil)
		if d.ended.has(token.Session{ID: short}) {
			t.Error("the list of ended sessions only grows")
		}
	})
	t.Run("watching learns of them and ends when told", func(t *testing.T) {
		t.Parallel()
		d := setup(t)
		id := uuid.New()
		d.exec(`INSERT INTO ended_sessions (session_id, expires_at) VALUES ($1, now() + interval '1 hour')`, id)
		ctx, cancel := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() { d.Watch(ctx) })
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for patience := time.Now().Add(time.Minute); !d.ended.has(token.Session{ID: id}); <-tick.C {
			if time.Now().After(patience) {
				t.Error("it never learned")
				break
			}
		}
		cancel()
		watching.Wait()
	})
}

// newDeskToken is a session of another deployment.
func newDeskToken(t *testing.T) string {
	t.Helper()
	text, err := token.NewBox(sealer(t, keys.Tokens), "development").SealSession(token.Session{
		ID: uuid.New(), BirthDate: hong.BirthDate, ExpiresAt: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOnlyWhatIsOverIsForgotten(t *testing.T) {
	t.Parallel()
	d := setup(t)
	kept := d.start(hong)
	rows := map[string]string{
		"verifications": `INSERT INTO verifications (verification_id, scheme, phone_index, sealed, language, code_mac, resend_at, expires_at)
			SELECT gen_random_uuid(), 'phone', '\x01', '\x02', 'ko', '\x03', now(), now() - age FROM`,
		"phone_budgets":  `INSERT INTO phone_budgets (phone_index, day) SELECT decode(md5(age::text), 'hex'), (now() - age)::date FROM`,
		"ended_sessions": `INSERT INTO ended_sessions (session_id, expires_at) SELECT gen_random_uuid(), now() - age FROM`,
	}
	ages := map[string]string{
		"verifications":  `'1 day 1 minute', '30 days', '23 hours', '-1 minute'`,
		"phone_budgets":  `'9 days', '30 days', '6 days', '0 days'`,
		"ended_sessions": `'1 minute', '30 days', '-1 minute', '-1 hour'`,
	}
	for _, table := range slices.Sorted(maps.Keys(rows)) {
		d.exec(rows[table] + ` unnest(ARRAY[` + ages[table] + `]::interval[]) age`)
	}
	before := map[string]int{}
	for table := range rows {
		before[table] = d.number(`SELECT count(*) FROM ` + table)
	}
	person := d.confirm(kept).Person.ID
	forgotten, err := d.Forget(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if forgotten != 6 {
		t.Errorf("%d rows were forgotten, not the 6 that are over", forgotten)
	}
	for table, n := range before {
		if after := d.number(`SELECT count(*) FROM ` + table); after != n-2 {
			t.Errorf("of %d rows of %s %d are left", n, table, after)
		}
	}
	if _, err := d.Person(t.Context(), person); err != nil {
		t.Errorf("a person was forgotten: %v", err)
	}
	if again, err := d.Forget(t.Context()); err != nil || again != 0 {
		t.Errorf("again: %d, %v", again, err)
	}
}

func TestWithoutPostgresNobodyIsVerifiedAndEverybodyIsToldWhen(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), "postgres://jari@127.0.0.1:1/jari", postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := newService(t, pool, clock.System{}, &outbox{}, standing)
	for name, verb := range map[string]func() error{
		"start":   func() error { _, err := s.Start(t.Context(), hong, "ko", From{}); return err },
		"resend":  func() error { _, err := s.Resend(t.Context(), uuid.NewString(), From{}); return err },
		"confirm": func() error { _, err := s.Confirm(t.Context(), uuid.NewString(), "123456", ""); return err },
		"person":  func() error { _, err := s.Person(t.Context(), uuid.New()); return err },
		"end":     func() error { return s.End(t.Context(), token.Session{ID: uuid.New()}) },
		"refresh": func() error { return s.RefreshEnded(t.Context()) },
		"forget":  func() error { _, err := s.Forget(t.Context()); return err },
	} {
		e, ok := errors.AsType[*fault.Error](verb())
		if !ok || e.Code != fault.CodeStoreUnavailable || e.RetryAfter <= 0 {
			t.Errorf("%s: %v", name, e)
		}
	}
}
