package identity

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// maxSends bounds the codes of one verification; the phone's budget bounds the rest.
const maxSends = 5

// budgetZone is where a phone's day begins and ends. One zone for all, so that nobody gets two budgets by travelling.
var budgetZone = time.FixedZone("UTC+9", 9*3600)

// Start checks the claims, remembers them and queues a code. It refuses with invalid_request, scheme_not_offered,
// phone_unsupported or phone_limit, and answers the same whether the phone is known or not.
func (s *Service) Start(ctx context.Context, c Claims, language string) (Verification, error) {
	c, err := c.normalise(s.rules.Phones, civil.Of(s.clock.Now(), budgetZone))
	if err != nil {
		return Verification{}, err
	}
	phoneIndex, err := s.index.Hash("phone", c.Phone)
	if err != nil {
		return Verification{}, err
	}
	id := uuid.New()
	claims, err := s.seal("verifications", id, sealed{Name: c.Name, BirthDate: c.BirthDate, Phone: c.Phone})
	if err != nil {
		return Verification{}, err
	}
	v := Verification{ID: id, AttemptsLeft: s.rules.CodeAttempts}
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		now, err := s.spendCode(ctx, tx, phoneIndex)
		if err != nil {
			return err
		}
		code, mac, err := s.makeCode(id)
		if err != nil {
			return err
		}
		v.ExpiresAt, v.ResendAt = now.Add(s.rules.CodeLifetime), now.Add(s.rules.ResendWait)
		if _, err := tx.Exec(ctx, `
			INSERT INTO verifications (verification_id, scheme, phone_index, sealed, language, code_mac, resend_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			id, c.Scheme, phoneIndex, claims, language, mac, v.ResendAt, v.ExpiresAt); err != nil {
			return postgres.Unreachable(fmt.Errorf("remembering a verification: %w", err))
		}
		return s.codes.QueueCode(ctx, tx, Code{
			Subject: subject(id, 1), Phone: c.Phone, Code: code, Language: language,
			UsefulUntil: v.ExpiresAt, Lifetime: s.rules.CodeLifetime,
		})
	})
	return v, err
}

func subject(id uuid.UUID, send int) string { return "code:" + id.String() + ":" + strconv.Itoa(send) }

func (s *Service) makeCode(id uuid.UUID) (code string, mac []byte, err error) {
	if code, err = newCode(); err != nil {
		return "", nil, err
	}
	mac, err = s.index.Hash("code", id.String(), code)
	return code, mac, err
}

// spendCode takes one code off the phone's budget of the day and returns the transaction's time. It locks the phone's
// row, so whatever else the transaction does for this phone takes turns.
func (s *Service) spendCode(ctx context.Context, tx pgx.Tx, phoneIndex []byte) (time.Time, error) {
	var now time.Time
	var codes int
	err := tx.QueryRow(ctx, `
		INSERT INTO phone_budgets AS b (phone_index, day, codes) VALUES ($1, (now() AT TIME ZONE $2::interval)::date, 1)
		ON CONFLICT (phone_index, day) DO UPDATE SET codes = b.codes + 1
		RETURNING codes, now()`, phoneIndex, budgetOffset).Scan(&codes, &now)
	if err != nil {
		return time.Time{}, postgres.Unreachable(fmt.Errorf("spending a phone's budget: %w", err))
	}
	if codes > s.rules.CodesPerDay {
		return time.Time{}, s.phoneLimit(now)
	}
	return now, nil
}

// budgetOffset is budgetZone for Postgres.
const budgetOffset = "9 hours"

// phoneLimit says until when: the end of the phone's day.
func (s *Service) phoneLimit(now time.Time) error {
	tomorrow := civil.Midnight(civil.AddDays(civil.Of(now, budgetZone), 1), budgetZone)
	return fault.New(fault.TooMany, fault.CodePhoneLimit).After(tomorrow.Sub(now))
}

func over() error { return fault.New(fault.Gone, fault.CodeVerificationOver) }

// pending is a verification whose row is locked.
type pending struct {
	id         uuid.UUID
	scheme     string
	phoneIndex []byte
	sealed     []byte
	language   string
	codeMAC    []byte
	attempts   int
	sends      int
	resendAt   time.Time
	expiresAt  time.Time
	now        time.Time
}

// lockPending reads and locks a verification that can still be confirmed. Unknown, used, expired and exhausted ones all
// answer fault.CodeVerificationOver.
func lockPending(ctx context.Context, tx pgx.Tx, id string) (pending, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return pending{}, over()
	}
	p := pending{id: parsed}
	err = tx.QueryRow(ctx, `
		SELECT scheme, phone_index, sealed, language, code_mac, attempts, sends, resend_at, expires_at, now() FROM verifications
		WHERE verification_id = $1 AND ended_at IS NULL AND expires_at > now() FOR UPDATE`, parsed).
		Scan(&p.scheme, &p.phoneIndex, &p.sealed, &p.language, &p.codeMAC, &p.attempts, &p.sends, &p.resendAt, &p.expiresAt, &p.now)
	if errors.Is(err, pgx.ErrNoRows) {
		return pending{}, over()
	}
	if err != nil {
		return pending{}, postgres.Unreachable(fmt.Errorf("reading a verification: %w", err))
	}
	return p, nil
}

// Resend queues a new code for a verification. It refuses with verification_over, resend_too_soon or phone_limit, and
// then the code that was sent before stays valid.
func (s *Service) Resend(ctx context.Context, id string) (Verification, error) {
	var v Verification
	err := postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		p, err := lockPending(ctx, tx, id)
		if err != nil {
			return err
		}
		if wait := p.resendAt.Sub(p.now); wait > 0 {
			return fault.New(fault.TooMany, fault.CodeResendTooSoon).After(wait)
		}
		if p.sends >= maxSends {
			// This verification has had its share: the code stays valid, and when it isn't any more a new verification can
			// be started, within the phone's budget.
			return fault.New(fault.TooMany, fault.CodeResendTooSoon).After(p.expiresAt.Sub(p.now))
		}
		if _, err := s.spendCode(ctx, tx, p.phoneIndex); err != nil {
			return err
		}
		claims, err := s.open("verifications", p.id, p.sealed)
		if err != nil {
			return err
		}
		code, mac, err := s.makeCode(p.id)
		if err != nil {
			return err
		}
		v = Verification{
			ID: p.id, ExpiresAt: p.now.Add(s.rules.CodeLifetime), ResendAt: p.now.Add(s.rules.ResendWait),
			AttemptsLeft: s.rules.CodeAttempts - p.attempts,
		}
		if _, err := tx.Exec(ctx, `
			UPDATE verifications SET code_mac = $2, sends = sends + 1, resend_at = $3, expires_at = $4
			WHERE verification_id = $1`, p.id, mac, v.ResendAt, v.ExpiresAt); err != nil {
			return postgres.Unreachable(fmt.Errorf("renewing a code: %w", err))
		}
		return s.codes.QueueCode(ctx, tx, Code{
			Subject: subject(p.id, p.sends+1), Phone: claims.Phone, Code: code, Language: p.language,
			UsefulUntil: v.ExpiresAt, Lifetime: s.rules.CodeLifetime,
		})
	})
	return v, err
}

// Confirm judges a guess. The right one, once, finds or makes the person and gives a session. A wrong one is refused
// with code_wrong and how many are left (AttemptsLeft), or with verification_over when it was the last; also
// phone_limit and persons_per_phone.
func (s *Service) Confirm(ctx context.Context, id, guess string) (Session, error) {
	var person Person
	var wrong error
	err := postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		p, err := lockPending(ctx, tx, id)
		if err != nil {
			return err
		}
		failures, err := lockFailures(ctx, tx, p.phoneIndex)
		if err != nil {
			return err
		}
		if failures >= s.rules.FailuresPerDay {
			return s.phoneLimit(p.now)
		}
		mac, err := s.index.Hash("code", p.id.String(), guess)
		if err != nil {
			return err
		}
		if !hmac.Equal(mac, p.codeMAC) {
			wrong, err = s.countFailure(ctx, tx, p)
			return err // committed: a failure must count
		}
		if _, err := tx.Exec(ctx, `
			UPDATE verifications SET ended_at = now() WHERE verification_id = $1`, p.id); err != nil {
			return postgres.Unreachable(fmt.Errorf("using up a code: %w", err))
		}
		person, err = s.findOrMake(ctx, tx, p)
		return err
	})
	if err == nil {
		err = wrong
	}
	if err != nil {
		return Session{}, err
	}
	return s.newSession(person)
}

// lockFailures locks the phone's budget of the day and returns its failures.
func lockFailures(ctx context.Context, tx pgx.Tx, phoneIndex []byte) (failures int, err error) {
	err = tx.QueryRow(ctx, `
		INSERT INTO phone_budgets AS b (phone_index, day) VALUES ($1, (now() AT TIME ZONE $2::interval)::date)
		ON CONFLICT (phone_index, day) DO UPDATE SET failures = b.failures
		RETURNING failures`, phoneIndex, budgetOffset).Scan(&failures)
	if err != nil {
		return 0, postgres.Unreachable(fmt.Errorf("reading a phone's budget: %w", err))
	}
	return failures, nil
}

func (s *Service) countFailure(ctx context.Context, tx pgx.Tx, p pending) (refusal, err error) {
	left := s.rules.CodeAttempts - p.attempts - 1
	if _, err := tx.Exec(ctx, `
		UPDATE verifications SET attempts = attempts + 1, ended_at = CASE WHEN $2 THEN now() END
		WHERE verification_id = $1`, p.id, left <= 0); err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("counting a failure: %w", err))
	}
	if _, err := tx.Exec(ctx, `
		UPDATE phone_budgets SET failures = failures + 1
		WHERE phone_index = $1 AND day = (now() AT TIME ZONE $2::interval)::date`, p.phoneIndex, budgetOffset); err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("counting a failure: %w", err))
	}
	if left <= 0 {
		return over(), nil
	}
	return fault.New(fault.Invalid, fault.CodeCodeWrong).With(AttemptsLeft(left)), nil
}

// findOrMake returns the person whom the claims describe. The phone's budget row is locked, so two verifications of one
// phone take turns.
func (s *Service) findOrMake(ctx context.Context, tx pgx.Tx, p pending) (Person, error) {
	c, err := s.open("verifications", p.id, p.sealed)
	if err != nil {
		return Person{}, err
	}
	lookup, err := s.index.Hash("person", p.scheme, folded(c.Name), c.BirthDate.String(), c.Phone)
	if err != nil {
		return Person{}, err
	}
	person := Person{Name: c.Name, BirthDate: c.BirthDate, Phone: c.Phone, Language: p.language}
	err = tx.QueryRow(ctx, `
		UPDATE persons SET language = $3 WHERE scheme = $1 AND lookup = $2 RETURNING person_id`,
		p.scheme, lookup, p.language).Scan(&person.ID)
	if err == nil {
		return person, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return Person{}, postgres.Unreachable(fmt.Errorf("finding a person: %w", err))
	}
	person.ID = uuid.New()
	row, err := s.seal("persons", person.ID, c)
	if err != nil {
		return Person{}, err
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO persons (person_id, scheme, lookup, phone_index, phone_ordinal, sealed, language)
		SELECT $1, $2, $3, $4, n, $5, $6
		FROM (SELECT count(*)::smallint AS n FROM persons WHERE phone_index = $4) taken WHERE n < $7`,
		person.ID, p.scheme, lookup, p.phoneIndex, row, p.language, s.rules.PersonsPerPhone)
	if err != nil {
		return Person{}, postgres.Unreachable(fmt.Errorf("making a person: %w", err))
	}
	if tag.RowsAffected() == 0 {
		return Person{}, fault.New(fault.Conflict, fault.CodePersonsPerPhone)
	}
	return person, nil
}

// Person opens what is sealed of a person, to show it masked or to send a message.
func (s *Service) Person(ctx context.Context, id uuid.UUID) (Person, error) {
	var row []byte
	p := Person{ID: id}
	err := s.pool.QueryRow(ctx, `SELECT sealed, language FROM persons WHERE person_id = $1`, id).Scan(&row, &p.Language)
	if errors.Is(err, pgx.ErrNoRows) {
		return Person{}, fault.New(fault.Unauthenticated, fault.CodeSessionExpired)
	}
	if err != nil {
		return Person{}, postgres.Unreachable(fmt.Errorf("reading a person: %w", err))
	}
	c, err := s.open("persons", id, row)
	if err != nil {
		return Person{}, err
	}
	p.Name, p.BirthDate, p.Phone = c.Name, c.BirthDate, c.Phone
	return p, nil
}

// Forget deletes verifications and budgets whose time is long over, and ended sessions that have expired. It returns
// how many rows went.
func (s *Service) Forget(ctx context.Context) (rows int64, err error) {
	for _, statement := range []string{
		`DELETE FROM verifications WHERE expires_at < now() - interval '1 day'`,
		`DELETE FROM phone_budgets WHERE day < current_date - 7`,
		`DELETE FROM ended_sessions WHERE expires_at < now()`,
	} {
		tag, err := s.pool.Exec(ctx, statement)
		if err != nil {
			return rows, postgres.Unreachable(fmt.Errorf("forgetting what is over: %w", err))
		}
		rows += tag.RowsAffected()
	}
	return rows, nil
}
