package identity

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/fault"
	"jari/internal/postgres"
)

// maxSends bounds the codes of one verification; the phone's budget bounds the rest.
const maxSends = 5

// Start checks the claims, remembers them and queues a code. It refuses with invalid_request, scheme_not_offered,
// phone_unsupported, not_on_list, or a limit of codes: phone_limit, address_limit, codes_limit, sms_busy; also as the line in
// front of codes refuses. It answers the same whether the phone is known or not.
func (s *Service) Start(ctx context.Context, c Claims, language string, from From) (Verification, error) {
	if s.rules.Binding == BoundByProvider {
		return Verification{}, s.signInInstead()
	}
	c, err := c.normalise(s.rules.Scheme, s.rules.Phones, s.today())
	if err != nil {
		return Verification{}, err
	}
	phoneIndex, err := s.index.Hash("phone", c.Phone)
	if err != nil {
		return Verification{}, err
	}
	lookup, bound, err := s.bind(ctx, c, phoneIndex)
	if err != nil {
		return Verification{}, err
	}
	known := s.verifiedOn(from.Device, phoneIndex)
	asking, err := s.asking(c.Phone, phoneIndex, known, from)
	if err != nil {
		return Verification{}, err
	}
	if bound {
		if asking.People, err = s.mayBe(ctx, c, lookup); err != nil {
			return Verification{}, err
		}
	}
	var v Verification
	send := func(most time.Duration) (err error) {
		v, err = s.start(ctx, c, phoneIndex, lookup, bound, most, language, from)
		return err
	}
	if !bound { // nothing will be sent
		if err := send(0); err != nil {
			return Verification{}, err
		}
		return Verification{}, notOnList()
	}
	return v, s.inTurn(ctx, asking, send)
}

// start remembers what was claimed and queues a code; where an imported list ties nobody to the phone, it only counts.
func (s *Service) start(
	ctx context.Context, c Claims, phoneIndex, lookup []byte, bound bool, most time.Duration, language string, from From,
) (Verification, error) {
	id := uuid.New()
	claims, err := s.seal("verifications", id, sealed{Name: c.Name, BirthDate: c.BirthDate, Phone: c.Phone})
	if err != nil {
		return Verification{}, err
	}
	known := s.verifiedOn(from.Device, phoneIndex)
	v := Verification{ID: id, AttemptsLeft: s.rules.CodeAttempts, Mistyped: c.mistyped}
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		now, err := s.spendCode(ctx, tx, phoneIndex, known)
		if err != nil {
			return err
		}
		if !bound {
			return s.spendWider(ctx, tx, now, c.Phone, known, from) // committed: asking a list costs as much as a code
		}
		code, mac, err := s.makeCode(id)
		if err != nil {
			return err
		}
		v.ExpiresAt, v.ResendAt = now.Add(s.rules.CodeLifetime), now.Add(s.rules.ResendWait)
		if _, err := tx.Exec(ctx, `
			INSERT INTO verifications
				(verification_id, scheme, phone_index, sealed, language, code_mac, resend_at, expires_at, known_device, lookup)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			id, c.Scheme, phoneIndex, claims, language, mac, v.ResendAt, v.ExpiresAt, known, lookup); err != nil {
			return postgres.Unreachable(fmt.Errorf("remembering a verification: %w", err))
		}
		if err := s.codes.QueueCode(ctx, tx, Code{
			Subject: subject(id, 1), Phone: c.Phone, Code: code, Language: language,
			UsefulUntil: v.ExpiresAt, Lifetime: s.rules.CodeLifetime, Most: most,
		}); err != nil {
			return err
		}
		return s.spendWider(ctx, tx, now, c.Phone, known, from)
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

func over() error { return fault.New(fault.Gone, fault.CodeVerificationOver) }

// pending is a verification whose row is locked.
type pending struct {
	id         uuid.UUID
	scheme     string
	phoneIndex []byte
	sealed     []byte
	lookup     []byte // nil where what is sealed finds the person
	purpose    purpose
	person     uuid.UUID // whose phone is changed; Nil otherwise
	language   string
	codeMAC    []byte
	attempts   int
	sends      int
	resendAt   time.Time
	expiresAt  time.Time
	// knownDevice: it was begun on a device that verified the phone before. Nobody else knows its id.
	knownDevice bool
	now         time.Time
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
		SELECT scheme, phone_index, sealed, lookup, purpose, coalesce(person_id, '00000000-0000-0000-0000-000000000000'),
			language, code_mac, attempts, sends, resend_at, expires_at, known_device, now()
		FROM verifications
		WHERE verification_id = $1 AND ended_at IS NULL AND expires_at > now() FOR UPDATE`, parsed).
		Scan(&p.scheme, &p.phoneIndex, &p.sealed, &p.lookup, &p.purpose, &p.person, &p.language, &p.codeMAC, &p.attempts, &p.sends,
			&p.resendAt, &p.expiresAt, &p.knownDevice, &p.now)
	if errors.Is(err, pgx.ErrNoRows) {
		return pending{}, over()
	}
	if err != nil {
		return pending{}, postgres.Unreachable(fmt.Errorf("reading a verification: %w", err))
	}
	return p, nil
}

// Resend queues a new code for a verification, whose phone had its turn: the code takes its time of the gateway, and fewer are
// called meanwhile. It refuses with verification_over, resend_too_soon or a limit as Start does,
// and then the code that was sent before stays valid.
func (s *Service) Resend(ctx context.Context, id string, from From) (Verification, error) {
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
		if _, err := s.spendCode(ctx, tx, p.phoneIndex, p.knownDevice); err != nil {
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
		if err := s.codes.QueueCode(ctx, tx, Code{
			Subject: subject(p.id, p.sends+1), Phone: claims.Phone, Code: code, Language: p.language,
			UsefulUntil: v.ExpiresAt, Lifetime: s.rules.CodeLifetime,
		}); err != nil {
			return err
		}
		return s.spendWider(ctx, tx, p.now, claims.Phone, p.knownDevice, from)
	})
	return v, err
}

// Confirm judges a guess. The right one, once, finds or makes the person and gives a session. A wrong one is refused
// with code_wrong and how many are left (AttemptsLeft), or with verification_over when it was the last; also
// phone_limit, persons_per_phone and possibly_registered. device is what the device carries from verifications before, or
// empty.
func (s *Service) Confirm(ctx context.Context, id, guess, device string) (Session, error) {
	var person Person
	var phoneIndex []byte
	err := s.judge(ctx, id, guess, []purpose{opensSession}, func(tx pgx.Tx, p pending) (err error) {
		phoneIndex = p.phoneIndex
		if person, err = s.findOrMake(ctx, tx, p); err != nil {
			return err
		}
		return s.arrived(ctx, tx, person.ID)
	})
	if err != nil {
		return Session{}, err
	}
	session, err := s.newSession(ctx, person)
	if err != nil {
		return Session{}, err
	}
	d, remembered, err := s.remember(device, phoneIndex)
	session.Device, session.DeviceExpiresAt = d, remembered.ExpiresAt
	return session, err
}

// judge judges a guess at a verification of one of these purposes. The right one is used up in the transaction which then
// does what it is for; if that fails, the code stays. It refuses like Confirm.
func (s *Service) judge(ctx context.Context, id, guess string, of []purpose, then func(pgx.Tx, pending) error) error {
	var wrong error
	err := postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		wrong = nil
		p, err := lockPending(ctx, tx, id)
		if err != nil {
			return err
		}
		if !slices.Contains(of, p.purpose) {
			return over()
		}
		spent, err := s.lockFailures(ctx, tx, p)
		if err != nil {
			return err
		}
		if spent {
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
		return then(tx, p)
	})
	if err == nil {
		err = wrong
	}
	return err
}

// Forget deletes verifications and budgets whose time is long over, and ended sessions that have expired. It returns
// how many rows went.
func (s *Service) Forget(ctx context.Context) (rows int64, err error) {
	for _, statement := range []string{
		`DELETE FROM verifications WHERE expires_at < now() - interval '1 day'`,
		`DELETE FROM phone_budgets WHERE day < current_date - 7`,
		`DELETE FROM code_budgets WHERE since < now() - interval '7 days'`,
		`DELETE FROM declarations_refused WHERE day < current_date - 7`,
		`DELETE FROM ended_sessions WHERE expires_at < now()`,
		`DELETE FROM ended_people WHERE expires_at < now()`,
	} {
		tag, err := s.pool.Exec(ctx, statement)
		if err != nil {
			return rows, postgres.Unreachable(fmt.Errorf("forgetting what is over: %w", err))
		}
		rows += tag.RowsAffected()
	}
	return rows, nil
}
