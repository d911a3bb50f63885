package identity

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/audit"
	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/keys"
	"jari/internal/token"
)

// Rules bound what verifying may cost and how long its results last.
type Rules struct {
	CodeLifetime    time.Duration
	CodeAttempts    int           // guesses at one verification
	ResendWait      time.Duration // before a code may be sent again
	CodesPerDay     int           // codes to one phone
	FailuresPerDay  int           // wrong codes for one phone
	KeptPercent     int           // of both, for devices that verified the phone before
	Budgets         Budgets
	DeviceLifetime  time.Duration // how long a device is known
	PersonsPerPhone int
	SessionLifetime time.Duration
	Phones          PhoneRules

	// Scheme is how people are found, one for the deployment: a person found in two ways would be two people.
	// SchemePhone where it is empty.
	Scheme string
	// Binding ties a national id or an entry of a list to whoever gives it; List is the list that does, or that has the
	// entries.
	Binding Binding
	List    string
	// RefuseNamesakes: under SchemePhone, who says the same name and birth date as somebody with another phone is refused
	// instead of flagged for the desk.
	RefuseNamesakes bool
	// Beneficiaries is for how many people one person may act, besides themself.
	Beneficiaries int
	// MinorAge is the age (in completed years) from which somebody can't be declared any more and verifies for themself.
	MinorAge int
	Provider ProviderRules
	// ListsConfirmed is how recently an instance must have looked which lists have changed, to believe what sessions say.
	ListsConfirmed time.Duration
}

// Binding is what ties a national id, or an entry of a list, to whoever gives it: an SMS alone proves only a phone.
type Binding string

// The bindings.
const (
	// BoundByList sends codes only to the phone that the imported list has for the entry.
	BoundByList Binding = "list"
	// BoundByProvider takes the number from an OpenID provider.
	BoundByProvider Binding = "provider"
)

// Code is a code to be sent.
type Code struct {
	// Subject names this sending, so that it is sent once.
	Subject     string
	Phone       string // E.164
	Code        string
	Language    string
	UsefulUntil time.Time // real time
	Lifetime    time.Duration
	// Most is how long it may wait at the gateway; 0 is as long as it is of use.
	Most time.Duration
}

// Codes takes codes to be sent, in the transaction that remembers them.
type Codes interface {
	QueueCode(ctx context.Context, tx pgx.Tx, c Code) error
}

// Service verifies people and gives out sessions.
type Service struct {
	pool   *pgxpool.Pool
	clock  clock.Clock
	tokens *token.Box
	data   *keys.Sealer
	index  *keys.Indexer
	codes  Codes
	rules  Rules
	log    *slog.Logger
	ended  endedSessions
	lists  listMemory
	audit  *audit.Log
	// provider is nil where nobody signs in at one.
	provider *provider
	line     Line // nil where nobody waits for codes
}

// NewService returns a service. Watch keeps its knowledge of ended sessions fresh.
func NewService(
	pool *pgxpool.Pool, clk clock.Clock, tokens *token.Box, data *keys.Sealer, index *keys.Indexer, codes Codes,
	rules Rules, log *slog.Logger,
) *Service {
	if rules.Scheme == "" {
		rules.Scheme = SchemePhone
	}
	s := &Service{
		pool: pool, clock: clk, tokens: tokens, data: data, index: index, codes: codes, rules: rules, log: log,
		audit: audit.NewLog(pool, clk, log, nil),
	}
	if rules.Scheme == SchemeOIDC || rules.Binding == BoundByProvider {
		s.provider = newProvider(rules.Provider, data)
	}
	return s
}

// WaitIn puts a line in front of sending codes. It is for before anybody asks.
func (s *Service) WaitIn(line Line) { s.line = line }

// Offers are what a page needs to know to ask for the right things.
type Offers struct {
	Scheme        string
	SignIn        bool // at an identity provider instead of by SMS
	Beneficiaries int  // for how many people one may act
	MinorAge      int  // who is younger can be declared; 0: nobody
}

// Offers says how this deployment identifies people.
func (s *Service) Offers() Offers {
	o := Offers{Scheme: s.rules.Scheme, SignIn: s.provider != nil, Beneficiaries: s.rules.Beneficiaries, MinorAge: s.rules.MinorAge}
	if s.rules.Scheme == SchemeNationalID || s.rules.Scheme == SchemeList || s.rules.Beneficiaries == 0 {
		o.MinorAge = 0
	}
	return o
}

// Verification is a code on its way.
type Verification struct {
	ID           uuid.UUID
	ExpiresAt    time.Time // real time
	ResendAt     time.Time // real time
	AttemptsLeft int
	// Mistyped: the check digit of the national id doesn't fit. It may still be right.
	Mistyped bool
}

// AttemptsLeft goes with fault.CodeCodeWrong.
type AttemptsLeft int

// Session is a verified person on a device.
type Session struct {
	Token     string
	ExpiresAt time.Time // real time
	Person    Person
	// Device is what the device carries so that it is known the next time, until DeviceExpiresAt (real time).
	Device          string
	DeviceExpiresAt time.Time
}

func (s *Service) newSession(ctx context.Context, p Person) (Session, error) {
	now := s.clock.Real()
	return s.sessionOf(ctx, p, token.Session{ID: uuid.New(), Actor: p.ID, IssuedAt: now, ExpiresAt: now.Add(s.rules.SessionLifetime)})
}

// sessionOf makes the session t of a person, with the lists that they are on.
func (s *Service) sessionOf(ctx context.Context, p Person, t token.Session) (Session, error) {
	t.Person, t.BirthDate = p.ID, p.BirthDate
	if m, _, err := s.memberships(ctx, p.ID); err == nil {
		t.Lists, t.ListsRevision = m.bits(), m.revision
	} else { // they are verified all the same, and lists are asked when they are needed
		s.log.Debug("a session begins without lists", "error", err)
	}
	text, err := s.tokens.SealSession(t)
	return Session{Token: text, ExpiresAt: t.ExpiresAt, Person: p}, err
}

// Authenticate reads a session token: fault.CodeSessionRequired if it isn't one, fault.CodeSessionExpired if its time
// is over or it was ended.
func (s *Service) Authenticate(text string) (token.Session, error) {
	t, err := s.tokens.OpenSession(text)
	if err != nil {
		return token.Session{}, fault.New(fault.Unauthenticated, fault.CodeSessionRequired)
	}
	if !s.clock.Real().Before(t.ExpiresAt) || s.ended.has(t) {
		return token.Session{}, fault.New(fault.Unauthenticated, fault.CodeSessionExpired)
	}
	return t, nil
}
