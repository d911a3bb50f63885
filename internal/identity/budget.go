package identity

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nyaruka/phonenumbers"

	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// # How likely is it to guess a phone's code?
//
// A code is one of 10⁶, each as likely as any other, so a guess at any code of a phone, whichever it is, is right with a
// probability of 10⁻⁶ before anything is known of it; by the union bound g judged guesses find one with at most g · 10⁻⁶.
// It doesn't help to know the wrong ones of a code: that only makes the bound exact (k different guesses of one code have
// k · 10⁻⁶), and a resend makes all that was learnt worthless.
//
// A guess is judged only while fewer than FailuresPerDay failures are counted for the phone, under a lock of that count, and
// each wrong one counts, in the transaction that judges it. So on one calendar day at most FailuresPerDay guesses are judged
// before one is right: 20 by default, 2 · 10⁻⁵. Any 24 hours touch two days, and an attacker may take the end of one and
// the beginning of the next: 40 guesses, 4 · 10⁻⁵. Strangers have less, because a share is kept for known devices (12 of 20
// by default: 2.4 · 10⁻⁵). The configuration takes no FailuresPerDay above MaxFailuresPerDay, which keeps the bound for any
// 24 hours at 5 · 10⁻⁵. Neither verifications started side by side nor resends change it: failures are counted for the phone.

// MaxFailuresPerDay is the largest FailuresPerDay that keeps GuessProbability within 5 · 10⁻⁵.
const MaxFailuresPerDay = 25

// GuessProbability bounds the probability that anybody finds a code of a given phone by guessing within any 24 hours.
func GuessProbability(failuresPerDay int) float64 {
	const daysTouched = 2
	return float64(daysTouched*failuresPerDay) / float64(codeSpace.Int64())
}

// budgetZone is where a phone's day begins and ends. One zone for all, so that nobody gets two budgets by travelling.
var budgetZone = time.FixedZone("UTC+9", 9*3600)

// budgetOffset is budgetZone for Postgres.
const budgetOffset = "9 hours"

// Budgets bound what codes may cost beyond one phone.
type Budgets struct {
	// PerBlock is codes an hour asked for from one address block, by devices that didn't verify the phone before.
	PerBlock int
	// PerPrefix is codes a day by country prefix, such as 82; PerOtherPrefix holds for each that isn't listed.
	PerPrefix      map[string]int
	PerOtherPrefix int
	// InAll is codes a day of the whole deployment.
	InAll int
}

// share is the part of a daily budget that strangers may spend: the rest is kept for known devices. It is kept for every
// phone, also for one that nobody has verified yet, because a difference would tell who was here before.
func (r Rules) share(whole int) int { return whole - whole*r.KeptPercent/100 }

// spent tells whether a budget has no room left for one more.
func (r Rules) spent(whole, all, known int, knownDevice bool) bool {
	return all >= whole || (!knownDevice && all-known >= r.share(whole))
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// spendCode takes one code off the phone's budget of the day and returns the transaction's time. It locks the phone's
// row, so whatever else the transaction does for this phone takes turns.
func (s *Service) spendCode(ctx context.Context, tx pgx.Tx, phoneIndex []byte, known bool) (time.Time, error) {
	var now time.Time
	var all, ofKnown int
	err := tx.QueryRow(ctx, `
		INSERT INTO phone_budgets AS b (phone_index, day, codes, known_codes)
		VALUES ($1, (now() AT TIME ZONE $2::interval)::date, 1, $3)
		ON CONFLICT (phone_index, day) DO UPDATE SET codes = b.codes + 1, known_codes = b.known_codes + $3
		RETURNING codes - 1, known_codes - $3, now()`, phoneIndex, budgetOffset, oneIf(known)).Scan(&all, &ofKnown, &now)
	if err != nil {
		return time.Time{}, postgres.Unreachable(fmt.Errorf("spending a phone's budget: %w", err))
	}
	if s.rules.spent(s.rules.CodesPerDay, all, ofKnown, known) {
		return time.Time{}, s.phoneLimit(now)
	}
	return now, nil
}

// phoneLimit says until when: the end of the phone's day.
func (s *Service) phoneLimit(now time.Time) error {
	return fault.New(fault.TooMany, fault.CodePhoneLimit).After(endOfDay(now).Sub(now))
}

func endOfDay(now time.Time) time.Time {
	return civil.Midnight(civil.AddDays(civil.Of(now, budgetZone), 1), budgetZone)
}

// wider is a budget beyond one phone.
type wider struct {
	scope        string
	key          []byte
	since, until time.Time
	most         int
	code         fault.Code
}

// spendWider takes one code off the budgets beyond the phone. The last two rows are everybody's: it comes last in its
// transaction, so that they are locked for no longer than the commit, and always in the same order.
func (s *Service) spendWider(ctx context.Context, tx pgx.Tx, now time.Time, phone string, known bool, from From) error {
	budgets, err := s.widerBudgets(now, phone, known, from)
	if err != nil {
		return err
	}
	var scopes []string
	var keys [][]byte
	var since []time.Time
	for _, b := range budgets {
		scopes, keys, since = append(scopes, b.scope), append(keys, b.key), append(since, b.since)
	}
	rows, err := tx.Query(ctx, `
		INSERT INTO code_budgets AS b (scope, key, since, codes)
		SELECT scope, key, since, 1 FROM unnest($1::text[], $2::bytea[], $3::timestamptz[]) WITH ORDINALITY AS u(scope, key, since, n)
		ORDER BY n
		ON CONFLICT (scope, key, since) DO UPDATE SET codes = b.codes + 1
		RETURNING codes`, scopes, keys, since)
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("spending the budgets of codes: %w", err))
	}
	counts, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("spending the budgets of codes: %w", err))
	}
	for i, count := range counts {
		if b := budgets[i]; count > b.most {
			return fault.New(fault.TooMany, b.code).After(b.until.Sub(now))
		}
	}
	return nil
}

func (s *Service) widerBudgets(now time.Time, phone string, known bool, from From) (budgets []wider, err error) {
	today, tomorrow := civil.Midnight(civil.Of(now, budgetZone), budgetZone), endOfDay(now)
	// A known device is bounded by its phones' budgets; its neighbours behind one address can't end its night.
	if from.Block != "" && !known {
		hour := now.Truncate(time.Hour)
		budgets = append(budgets, wider{
			scope: "block", key: []byte(from.Block), since: hour, until: hour.Add(time.Hour), most: s.rules.Budgets.PerBlock,
			code: fault.CodeAddressLimit,
		})
	}
	prefix := prefixOf(phone)
	most, listed := s.rules.Budgets.PerPrefix[prefix]
	if !listed {
		most = s.rules.Budgets.PerOtherPrefix
	}
	budgets = append(budgets,
		wider{scope: "prefix", key: []byte(prefix), since: today, until: tomorrow, most: most, code: fault.CodeCodesLimit},
		wider{scope: "deployment", since: today, until: tomorrow, most: s.rules.Budgets.InAll, code: fault.CodeCodesLimit})
	for i := range budgets {
		if budgets[i].key, err = s.index.Hash(budgets[i].scope, string(budgets[i].key)); err != nil {
			return nil, err
		}
	}
	return budgets, nil
}

// prefixOf is the country prefix of a number in E.164, without its plus.
func prefixOf(phone string) string {
	n, err := phonenumbers.Parse(phone, "")
	if err != nil {
		return ""
	}
	return strconv.Itoa(int(n.GetCountryCode()))
}

// lockFailures locks the phone's budget of the day and tells whether its failures are spent for such a device.
func (s *Service) lockFailures(ctx context.Context, tx pgx.Tx, p pending) (spent bool, err error) {
	var all, ofKnown int
	err = tx.QueryRow(ctx, `
		INSERT INTO phone_budgets AS b (phone_index, day) VALUES ($1, (now() AT TIME ZONE $2::interval)::date)
		ON CONFLICT (phone_index, day) DO UPDATE SET failures = b.failures
		RETURNING failures, known_failures`, p.phoneIndex, budgetOffset).Scan(&all, &ofKnown)
	if err != nil {
		return false, postgres.Unreachable(fmt.Errorf("reading a phone's budget: %w", err))
	}
	return s.rules.spent(s.rules.FailuresPerDay, all, ofKnown, p.knownDevice), nil
}

// countFailure counts a wrong guess at the verification and for its phone, and says how to refuse it.
func (s *Service) countFailure(ctx context.Context, tx pgx.Tx, p pending) (refusal, err error) {
	left := s.rules.CodeAttempts - p.attempts - 1
	if _, err := tx.Exec(ctx, `
		UPDATE verifications SET attempts = attempts + 1, ended_at = CASE WHEN $2 THEN now() END
		WHERE verification_id = $1`, p.id, left <= 0); err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("counting a failure: %w", err))
	}
	if _, err := tx.Exec(ctx, `
		UPDATE phone_budgets SET failures = failures + 1, known_failures = known_failures + $3
		WHERE phone_index = $1 AND day = (now() AT TIME ZONE $2::interval)::date`,
		p.phoneIndex, budgetOffset, oneIf(p.knownDevice)); err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("counting a failure: %w", err))
	}
	if left <= 0 {
		return over(), nil
	}
	return fault.New(fault.Invalid, fault.CodeCodeWrong).With(AttemptsLeft(left)), nil
}
