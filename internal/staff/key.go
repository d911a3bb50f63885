package staff

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// Role is what somebody is trusted with.
type Role string

// Publisher may check, publish and roll back campaigns.
const Publisher Role = "publisher"

// Key is somebody's key, without its secret.
type Key struct {
	ID        string
	Name      string
	Role      Role
	ExpiresAt time.Time // real time
}

// Limits of a key.
const (
	maxNameBytes = 100
	MaxLifetime  = 366 * 24 * time.Hour
)

// Service makes and reads keys.
type Service struct {
	pool        *pgxpool.Pool
	clock       clock.Clock
	environment string
}

// NewService returns a service whose keys name the environment, so that a key of development is recognised as one by
// production before anything is asked.
func NewService(pool *pgxpool.Pool, clk clock.Clock, environment string) *Service {
	return &Service{pool: pool, clock: clk, environment: environment}
}

// Create makes a key and returns it in full, for the only time.
func (s *Service) Create(ctx context.Context, name string, role Role, lifetime time.Duration) (text string, key Key, err error) {
	if name = strings.TrimSpace(name); name == "" || len(name) > maxNameBytes {
		return "", Key{}, fmt.Errorf("a key needs a name of at most %d bytes that says whose it is", maxNameBytes)
	}
	if role != Publisher {
		return "", Key{}, fmt.Errorf("role %q must be %s", role, Publisher)
	}
	if lifetime <= 0 || lifetime > MaxLifetime {
		return "", Key{}, fmt.Errorf("a key lasts %s; it must be more than nothing and at most %s", lifetime, MaxLifetime)
	}
	id, secret := random(9), random(32)
	key = Key{ID: id, Name: name, Role: role, ExpiresAt: s.clock.Real().Add(lifetime)}
	_, err = s.pool.Exec(ctx, `
		INSERT INTO admin_keys (key_id, secret_hash, name, role, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		id, hash(secret), name, role, key.ExpiresAt)
	if err != nil {
		return "", Key{}, postgres.Unreachable(fmt.Errorf("writing a key: %w", err))
	}
	return strings.Join([]string{"jari", s.environment, id, secret}, "."), key, nil
}

// Authenticate returns whose key a text is: fault.CodeKeyRequired if it is nobody's, is over, or was made for another
// environment. All of these look alike.
func (s *Service) Authenticate(ctx context.Context, text string) (Key, error) {
	refusal := fault.New(fault.Unauthenticated, fault.CodeKeyRequired)
	parts := strings.Split(text, ".")
	if len(parts) != 4 || parts[0] != "jari" || parts[1] != s.environment {
		return Key{}, refusal
	}
	k := Key{ID: parts[2]}
	var want []byte
	err := s.pool.QueryRow(ctx, `
		SELECT secret_hash, name, role, expires_at FROM admin_keys
		WHERE key_id = $1 AND revoked_at IS NULL AND expires_at > now()`, k.ID).Scan(&want, &k.Name, &k.Role, &k.ExpiresAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return Key{}, refusal
	}
	if err != nil {
		return Key{}, postgres.Unreachable(fmt.Errorf("reading a key: %w", err))
	}
	if subtle.ConstantTimeCompare(want, hash(parts[3])) != 1 {
		return Key{}, refusal
	}
	return k, nil
}

// Revoke ends a key now. It tells whether there was one to end.
func (s *Service) Revoke(ctx context.Context, id string) (ended bool, err error) {
	tag, err := s.pool.Exec(ctx, `UPDATE admin_keys SET revoked_at = now() WHERE key_id = $1 AND revoked_at IS NULL`, id)
	if err != nil {
		return false, postgres.Unreachable(fmt.Errorf("ending a key: %w", err))
	}
	return tag.RowsAffected() == 1, nil
}

// random is n random bytes as text.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: the runtime stops the process instead
	return base64.RawURLEncoding.EncodeToString(b)
}

func hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
