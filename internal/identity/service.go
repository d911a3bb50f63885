package identity

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

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
}

// Code is a code to be sent.
type Code struct {
	// Subject names this sending, so that it is sent once.
	Subject     string
	Phone       string // E.164
	Code        string
	Language    string
	UsefulUntil time.Time // real time
	Lifetime    time.Duration
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
}

// NewService returns a service. Watch keeps its knowledge of ended sessions fresh.
func NewService(
	pool *pgxpool.Pool, clk clock.Clock, tokens *token.Box, data *keys.Sealer, index *keys.Indexer, codes Codes,
	rules Rules, log *slog.Logger,
) *Service {
	return &Service{
		pool: pool, clock: clk, tokens: tokens, data: data, index: index, codes: codes, rules: rules, log: log,
	}
}

// Verification is a code on its way.
type Verification struct {
	ID           uuid.UUID
	ExpiresAt    time.Time // real time
	ResendAt     time.Time // real time
	AttemptsLeft int
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

func (s *Service) newSession(p Person) (Session, error) {
	now := s.clock.Real()
	expires := now.Add(s.rules.SessionLifetime)
	text, err := s.tokens.SealSession(token.Session{
		ID: uuid.New(), Person: p.ID, Actor: p.ID, BirthDate: p.BirthDate, IssuedAt: now, ExpiresAt: expires,
	})
	return Session{Token: text, ExpiresAt: expires, Person: p}, err
}

// Authenticate reads a session token: fault.CodeSessionRequired if it isn't one, fault.CodeSessionExpired if its time
// is over or it was ended.
func (s *Service) Authenticate(text string) (token.Session, error) {
	t, err := s.tokens.OpenSession(text)
	if err != nil {
		return token.Session{}, fault.New(fault.Unauthenticated, fault.CodeSessionRequired)
	}
	if !s.clock.Real().Before(t.ExpiresAt) || s.ended.has(t.ID) {
		return token.Session{}, fault.New(fault.Unauthenticated, fault.CodeSessionExpired)
	}
	return t, nil
}
