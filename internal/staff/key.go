package staff

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/audit"
	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// Key is somebody's key, or the session of a person who signed in, without its secret. Its times are real time.
type Key struct {
	// ID names the key; of a session it is the person's actor, so that all sessions of a person are one.
	ID   string
	Name string
	Role Role
	// Campaign and Site are those of a clinic's key; empty for all others.
	Campaign, Site string
	CreatedAt      time.Time
	CreatedBy      string // another key's id, or "command"
	ExpiresAt      time.Time
	RevokedAt      *time.Time
	// Staff is whose it is, where that is known; the zero id where it isn't.
	Staff uuid.UUID
	// Session names the session; empty for a key.
	Session string
}

// MayAt tells whether the key may do what needs the role at a site. Only a clinic's key is bound to one.
func (k Key) MayAt(needs Role, campaign, site string) bool {
	return k.Role.May(needs) && (k.Role != Clinic || k.Campaign == campaign && k.Site == site)
}

// NewKey is a key to be made.
type NewKey struct {
	Name           string // whose it is; at most 100 characters
	Role           Role
	Campaign, Site string // of a clinic's key
	Lifetime       time.Duration
	By             string // the key or person that makes it; empty for the command line
	// Staff is whose key it is to be; the zero id for whoever makes it.
	Staff uuid.UUID
}

// Limits of a key.
const (
	maxNameRunes = 100
	MaxLifetime  = 366 * 24 * time.Hour
)

// ByCommand is who made a key that came from the command line.
const ByCommand = "command"

// environments are what a key's text can name.
var environments = map[string]bool{"development": true, "production": true}

// Service makes and reads keys.
type Service struct {
	pool        *pgxpool.Pool
	clock       clock.Clock
	environment string
	audit       *audit.Log
	// signIn is nil where nobody signs in.
	signIn *signIn
}

// NewService returns a service whose keys name the environment, so that a key of development is recognised as one by
// production before anything is asked.
func NewService(pool *pgxpool.Pool, clk clock.Clock, environment string) *Service {
	return &Service{
		pool: pool, clock: clk, environment: environment, audit: audit.NewLog(pool, clk, slog.New(slog.DiscardHandler), nil),
	}
}

// check says what is wrong with a key to be made.
func (n NewKey) check() error {
	refuse := func(pointer, problem string) error {
		return fault.New(fault.Invalid, fault.CodeInvalidRequest).Field(pointer, problem).Because(errors.New(pointer + " " + problem))
	}
	switch {
	case n.Name == "" || utf8.RuneCountInString(n.Name) > maxNameRunes || !utf8.ValidString(n.Name) || strings.ContainsRune(n.Name, 0):
		return refuse("/name", fmt.Sprintf("says whose key it is, in at most %d characters", maxNameRunes))
	case !n.Role.Known():
		return refuse("/role", "isn't a role")
	case n.Role == Clinic && (n.Campaign == "" || n.Site == ""):
		return refuse("/site_id", "and campaign_id are needed by a clinic's key: it is for one site")
	case n.Role != Clinic && (n.Campaign != "" || n.Site != ""):
		return refuse("/site_id", "and campaign_id are for a clinic's key only")
	case n.Lifetime <= 0 || n.Lifetime > MaxLifetime:
		return refuse("/days", fmt.Sprintf("must be between 1 and %d", int(MaxLifetime.Hours()/24)))
	}
	return nil
}

// Create makes a key and returns it in full, for the only time. It refuses with invalid_request, or site_not_found.
func (s *Service) Create(ctx context.Context, n NewKey) (text string, key Key, err error) {
	n.Name = strings.TrimSpace(n.Name)
	if err := n.check(); err != nil {
		return "", Key{}, err
	}
	if n.By == "" {
		n.By = ByCommand
	}
	secret, now := random(32), s.clock.Real()
	key = Key{
		ID: newID(), Name: n.Name, Role: n.Role, Campaign: n.Campaign, Site: n.Site, CreatedAt: now, CreatedBy: n.By,
		ExpiresAt: now.Add(n.Lifetime), Staff: n.Staff,
	}
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO admin_keys (key_id, secret_hash, name, role, campaign_id, site_id, created_at, created_by, expires_at, staff_id)
			VALUES ($1, $2, $3, $4, nullif($5, ''), nullif($6, ''), $7, $8, $9, nullif($10, '00000000-0000-0000-0000-000000000000'::uuid))`,
			key.ID, hash(secret), key.Name, key.Role, key.Campaign, key.Site, key.CreatedAt, key.CreatedBy, key.ExpiresAt, key.Staff)
		switch postgres.Constraint(err) {
		case "admin_keys_site_known":
			return fault.New(fault.NotFound, fault.CodeSiteNotFound)
		case "admin_keys_staff_known":
			return fault.New(fault.NotFound, fault.CodeStaffNotFound)
		}
		if err != nil {
			return postgres.Unreachable(fmt.Errorf("writing a key: %w", err))
		}
		// The name may be a person's; it stays in the table of keys.
		return s.audit.Append(ctx, tx, audit.Entry{Act: "key.create", Subject: "key/" + key.ID, Details: map[string]any{
			"role": key.Role, "campaign": key.Campaign, "site": key.Site, "staff": staffText(key.Staff), "expires_at": key.ExpiresAt.UTC().Format(time.RFC3339),
		}})
	})
	if err != nil {
		return "", Key{}, err
	}
	return strings.Join([]string{"jari", s.environment, key.ID, secret}, "."), key, nil
}

const keyColumns = `key_id, name, role, coalesce(campaign_id, ''), coalesce(site_id, ''), created_at, created_by, expires_at, revoked_at,
	coalesce(staff_id, '00000000-0000-0000-0000-000000000000')`

func (k *Key) fields() []any {
	return []any{&k.ID, &k.Name, &k.Role, &k.Campaign, &k.Site, &k.CreatedAt, &k.CreatedBy, &k.ExpiresAt, &k.RevokedAt, &k.Staff}
}

// Authenticate returns whose key, or session of whom, a text is: key_of_other_environment if it says that it was made for another, and
// fault.CodeKeyRequired if it is nobody's or is over. Those look alike.
func (s *Service) Authenticate(ctx context.Context, text string) (Key, error) {
	refusal := fault.New(fault.Unauthenticated, fault.CodeKeyRequired)
	parts := strings.Split(text, ".")
	if len(parts) != 4 || (parts[0] != "jari" && parts[0] != sessionPrefix) || !environments[parts[1]] {
		return Key{}, refusal
	}
	if parts[1] != s.environment {
		return Key{}, fault.New(fault.Unauthenticated, fault.CodeKeyOfOtherEnvironment)
	}
	if parts[0] == sessionPrefix {
		return s.session(ctx, parts[2], parts[3])
	}
	var k Key
	var want []byte
	err := s.pool.QueryRow(ctx, `
		SELECT secret_hash, `+keyColumns+` FROM admin_keys
		WHERE key_id = $1 AND revoked_at IS NULL AND expires_at > now()`, parts[2]).Scan(append([]any{&want}, k.fields()...)...)
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

// List returns all keys, the newest first, those that are over too.
func (s *Service) List(ctx context.Context) ([]Key, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+keyColumns+` FROM admin_keys ORDER BY created_at DESC, key_id`)
	var keys []Key
	if err == nil {
		keys, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (k Key, err error) {
			err = r.Scan(k.fields()...)
			return k, err
		})
	}
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("listing the keys: %w", err))
	}
	return keys, nil
}

// Revoke ends a key now and returns it. A key that was ended stays as it was. It refuses with key_not_found.
func (s *Service) Revoke(ctx context.Context, id string) (key Key, err error) {
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE admin_keys SET revoked_at = $2 WHERE key_id = $1 AND revoked_at IS NULL`, id, s.clock.Real())
		if err == nil {
			err = tx.QueryRow(ctx, `SELECT `+keyColumns+` FROM admin_keys WHERE key_id = $1`, id).Scan(key.fields()...)
		}
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.New(fault.NotFound, fault.CodeKeyNotFound)
		}
		if err != nil {
			return postgres.Unreachable(fmt.Errorf("ending a key: %w", err))
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
		return s.audit.Append(ctx, tx, audit.Entry{Act: "key.revoke", Subject: "key/" + id})
	})
	return key, err
}

// staffText is an id for the audit, or empty.
func staffText(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// newID is an id of a key or a session: 80 random bits in capitals and digits, so that a shell never takes one for a flag.
func newID() string { return rand.Text()[:16] }

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
