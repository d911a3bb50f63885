package staff

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/fault"
	"jari/internal/keys"
	"jari/internal/openid"
	"jari/internal/postgres"
)

// SignInRules are how people who administer sign in.
type SignInRules struct {
	Provider openid.Rules
	// RolesClaim is the claim that has somebody's groups, Mappings what they are good for here.
	RolesClaim string
	Mappings   []Mapping
	// Session is how long a session lasts; at most LongestSession.
	Session time.Duration
}

// Limits of sessions.
const (
	LongestSession = 12 * time.Hour
	// mostSessions may be live of one person; the oldest ends when there is another.
	mostSessions = 20
	// sessionsKept is how long sessions stay on record that are over.
	sessionsKept = 90 * 24 * time.Hour
)

// ticketUse ties the ticket of a sign-in to administrators: a citizen's is worth nothing here, and the reverse.
const ticketUse = "jari administrator's sign-in"

// signIn is where people who administer sign in.
type signIn struct {
	SignInRules
	provider *openid.Provider
}

// OfferSignIn lets people sign in. From then on they are known, and who approves something has to be.
func (s *Service) OfferSignIn(rules SignInRules, data *keys.Sealer) {
	s.signIn = &signIn{rules, openid.New(rules.Provider, data, ticketUse)}
}

// sessionPrefix begins the text of a session, as "jari" does that of a key.
const sessionPrefix = "jari-staff"

// Actor is what the audit calls whoever holds a key or a session.
func (k Key) Actor() string { return audit.KeyActor(k.ID) }

func actorOf(id uuid.UUID) string { return audit.StaffActor(id) }

// Person is somebody who administers. Times are real time.
type Person struct {
	ID                    uuid.UUID
	Name                  string
	Grants                []string // as of the last sign-in
	CreatedAt, SignedInAt time.Time
	Sessions              int // that are live
}

// Session is one of a person that was just opened; Text is shown this once.
type Session struct {
	Text   string
	Key    Key
	Grants []string // that the person could have taken
}

// StartSignIn begins the way through the provider. It refuses with scheme_not_offered and provider_unavailable.
func (s *Service) StartSignIn(ctx context.Context, language string) (openid.SignIn, error) {
	if s.signIn == nil {
		return openid.SignIn{}, notOffered()
	}
	return s.signIn.provider.Start(ctx, s.clock.Real(), language)
}

func notOffered() error { return fault.New(fault.Invalid, fault.CodeSchemeNotOffered) }

// ConfirmSignIn opens a session for whom the provider vouches, with the role that is wanted, or else the one with the most
// to say. Sessions of this person that no longer fit what the provider says end. It refuses with scheme_not_offered,
// sign_in_over, sign_in_refused, sign_in_incomplete, provider_unavailable, role_required and site_not_found.
func (s *Service) ConfirmSignIn(ctx context.Context, r openid.Return, wanted, from string) (Session, error) {
	if s.signIn == nil {
		return Session{}, notOffered()
	}
	a, err := s.signIn.provider.Finish(ctx, s.clock.Real, r)
	if err != nil {
		return Session{}, err
	}
	name, groups, err := s.signIn.who(ctx, a)
	if err != nil {
		return Session{}, err
	}
	grants := granted(s.signIn.Mappings, groups)
	var opened Session
	var refusal error
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
		opened, refusal, err = s.open(ctx, tx, Person{Name: name}, a, grants, wanted, from)
		return err
	})
	if err == nil {
		err = refusal // what ended has ended, also where nothing is opened
	}
	if err != nil {
		return Session{}, err
	}
	return opened, nil
}

// who reads name and groups. What the token leaves out is asked for at userinfo.
func (s *signIn) who(ctx context.Context, a *openid.Answer) (name string, groups []string, err error) {
	var c struct {
		Name      string `json:"name"`
		Preferred string `json:"preferred_username"`
	}
	raw := map[string]any{}
	if err := a.Claims(&c, &raw); err != nil {
		return "", nil, err
	}
	if groups = texts(raw, s.RolesClaim); (len(groups) == 0 || c.Name == "") && a.HasUserinfo() {
		if err := a.Complete(ctx, &c, &raw); err != nil {
			return "", nil, err
		}
		groups = texts(raw, s.RolesClaim)
	}
	name = strings.TrimSpace(c.Name)
	if name == "" {
		name = strings.TrimSpace(c.Preferred)
	}
	if name == "" || utf8.RuneCountInString(name) > maxNameRunes || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return "", nil, openid.Incomplete("name")
	}
	return name, groups, nil
}

func roleRequired() error { return fault.New(fault.Forbidden, fault.CodeRoleRequired) }

// open writes who signed in, ends what they may no longer, and opens a session. refusal is an answer, beside which what was
// written stands.
func (s *Service) open(
	ctx context.Context, tx pgx.Tx, p Person, a *openid.Answer, grants []Grant, wanted, from string,
) (opened Session, refusal, err error) {
	now := s.clock.Real()
	for _, g := range grants {
		p.Grants = append(p.Grants, g.String())
	}
	// Who has no role here and never had one leaves no trace but a line in the log.
	err = tx.QueryRow(ctx, `
		INSERT INTO admin_people (staff_id, issuer, subject, name, roles, created_at, signed_in_at)
		SELECT $1, $2, $3, $4, coalesce($5::text[], '{}'), $6, $6
		WHERE cardinality(coalesce($5::text[], '{}')) > 0 OR EXISTS (SELECT FROM admin_people WHERE issuer = $2 AND subject = $3)
		ON CONFLICT (issuer, subject) DO UPDATE SET name = excluded.name, roles = excluded.roles, signed_in_at = excluded.signed_in_at
		RETURNING staff_id`, uuid.New(), a.Issuer, a.Subject, p.Name, p.Grants, now).Scan(&p.ID)
	if errors.Is(err, pgx.ErrNoRows) {
		return Session{}, roleRequired(), nil
	}
	if err != nil {
		return Session{}, nil, postgres.Unreachable(fmt.Errorf("writing who signed in: %w", err))
	}
	ended, err := tx.Exec(ctx, `
		UPDATE admin_sessions SET ended_at = $3 WHERE staff_id = $1 AND ended_at IS NULL AND expires_at > $3
		AND NOT concat_ws('/', role, campaign_id, site_id) = ANY (coalesce($2::text[], '{}'))`, p.ID, p.Grants, now)
	if err != nil {
		return Session{}, nil, postgres.Unreachable(fmt.Errorf("ending sessions: %w", err))
	}
	entry := audit.Entry{Actor: actorOf(p.ID), From: from, Act: "staff.sign_in", Subject: "staff/" + p.ID.String(), Details: map[string]any{
		"roles": p.Grants, "sessions_ended": ended.RowsAffected(),
	}}
	as := slices.IndexFunc(grants, func(g Grant) bool { return wanted == "" || g.String() == wanted })
	if as < 0 {
		entry.Act = "staff.sign_in_refused"
		return Session{}, roleRequired(), s.audit.Append(ctx, tx, entry)
	}
	secret := random(32)
	g := grants[as]
	opened = Session{Grants: p.Grants, Key: Key{
		ID: actorOf(p.ID), Name: p.Name, Role: g.Role, Campaign: g.Campaign, Site: g.Site, CreatedAt: now, CreatedBy: actorOf(p.ID),
		ExpiresAt: now.Add(min(s.signIn.Session, LongestSession)), Staff: p.ID, Session: newID(),
	}}
	opened.Text = strings.Join([]string{sessionPrefix, s.environment, opened.Key.Session, secret}, ".")
	k := opened.Key
	_, err = tx.Exec(ctx, `
		INSERT INTO admin_sessions (session_id, secret_hash, staff_id, role, campaign_id, site_id, created_at, expires_at)
		VALUES ($1, $2, $3, $4, nullif($5, ''), nullif($6, ''), $7, $8)`,
		k.Session, hash(secret), p.ID, k.Role, k.Campaign, k.Site, k.CreatedAt, k.ExpiresAt)
	if postgres.Constraint(err) == "admin_sessions_site_known" {
		return Session{}, nil, fault.New(fault.NotFound, fault.CodeSiteNotFound)
	}
	if err == nil {
		_, err = tx.Exec(ctx, `
			UPDATE admin_sessions SET ended_at = $2 WHERE session_id IN (
				SELECT session_id FROM admin_sessions WHERE staff_id = $1 AND ended_at IS NULL AND expires_at > $2
				ORDER BY created_at DESC, session_id OFFSET $3)`, p.ID, now, mostSessions)
	}
	if err == nil {
		_, err = tx.Exec(ctx, `DELETE FROM admin_sessions WHERE staff_id = $1 AND expires_at < $2`, p.ID, now.Add(-sessionsKept))
	}
	if err != nil {
		return Session{}, nil, postgres.Unreachable(fmt.Errorf("opening a session: %w", err))
	}
	entry.Details["role"], entry.Details["session"] = g.String(), k.Session
	return opened, nil, s.audit.Append(ctx, tx, entry)
}

// session returns whose session a text is, like Authenticate.
func (s *Service) session(ctx context.Context, id, secret string) (Key, error) {
	refusal := fault.New(fault.Unauthenticated, fault.CodeKeyRequired)
	var k Key
	var want []byte
	err := s.pool.QueryRow(ctx, `
		SELECT secret_hash, staff_id, name, role, coalesce(campaign_id, ''), coalesce(site_id, ''), s.created_at, expires_at
		FROM admin_sessions s JOIN admin_people USING (staff_id)
		WHERE session_id = $1 AND ended_at IS NULL AND expires_at > now()`, id).
		Scan(&want, &k.Staff, &k.Name, &k.Role, &k.Campaign, &k.Site, &k.CreatedAt, &k.ExpiresAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return Key{}, refusal
	}
	if err != nil {
		return Key{}, postgres.Unreachable(fmt.Errorf("reading a session: %w", err))
	}
	if subtle.ConstantTimeCompare(want, hash(secret)) != 1 {
		return Key{}, refusal
	}
	k.Session, k.ID = id, actorOf(k.Staff)
	k.CreatedBy = k.ID
	return k, nil
}

// SignOut ends the session that somebody asks with. A key stays as it is: whoever has it may not know that it is one.
func (s *Service) SignOut(ctx context.Context, k Key) error {
	if k.Session == "" {
		return nil
	}
	return postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE admin_sessions SET ended_at = $2 WHERE session_id = $1 AND ended_at IS NULL`, k.Session, s.clock.Real())
		if err != nil {
			return postgres.Unreachable(fmt.Errorf("ending a session: %w", err))
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
		return s.audit.Append(ctx, tx, audit.Entry{
			Act: "staff.sign_out", Subject: "staff/" + k.Staff.String(), Details: map[string]any{"session": k.Session},
		})
	})
}

const people = `
	SELECT staff_id, name, roles, created_at, signed_in_at,
		(SELECT count(*) FROM admin_sessions s WHERE s.staff_id = p.staff_id AND ended_at IS NULL AND expires_at > $1)
	FROM admin_people p`

func (p *Person) fields() []any {
	return []any{&p.ID, &p.Name, &p.Grants, &p.CreatedAt, &p.SignedInAt, &p.Sessions}
}

// peopleShown is how many of them are listed.
const peopleShown = 1000

// People are those who signed in, the last one first.
func (s *Service) People(ctx context.Context) ([]Person, error) {
	rows, err := s.pool.Query(ctx, people+` ORDER BY signed_in_at DESC, staff_id LIMIT $2`, s.clock.Real(), peopleShown)
	var all []Person
	if err == nil {
		all, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (p Person, err error) {
			err = r.Scan(p.fields()...)
			return p, err
		})
	}
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("listing who signed in: %w", err))
	}
	return all, nil
}

// EndSessions ends all sessions of somebody now. It refuses with staff_not_found.
func (s *Service) EndSessions(ctx context.Context, id uuid.UUID) (p Person, err error) {
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		now := s.clock.Real()
		tag, err := tx.Exec(ctx, `UPDATE admin_sessions SET ended_at = $2 WHERE staff_id = $1 AND ended_at IS NULL AND expires_at > $2`, id, now)
		if err == nil {
			err = tx.QueryRow(ctx, people+` WHERE staff_id = $2`, now, id).Scan(p.fields()...)
		}
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return fault.New(fault.NotFound, fault.CodeStaffNotFound)
		case err != nil:
			return postgres.Unreachable(fmt.Errorf("ending sessions: %w", err))
		case tag.RowsAffected() == 0:
			return nil
		}
		return s.audit.Append(ctx, tx, audit.Entry{
			Act: "staff.end_sessions", Subject: "staff/" + id.String(), Details: map[string]any{"sessions": tag.RowsAffected()},
		})
	})
	return p, err
}

// longestLine bounds how far back it is asked who made whose key.
const longestLine = 100

// personBehind is who holds a credential, as an actor: whoever signed in, whose key it is said to be, or else who is behind
// whoever made it. It is empty for keys of the command line that nobody is named for.
func personBehind(ctx context.Context, tx pgx.Tx, credential string) (string, error) {
	for range longestLine {
		if strings.HasPrefix(credential, audit.StaffPrefix) {
			return credential, nil
		}
		var owner *uuid.UUID
		err := tx.QueryRow(ctx, `SELECT staff_id, created_by FROM admin_keys WHERE key_id = $1`, credential).Scan(&owner, &credential)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return "", nil
		case err != nil:
			return "", postgres.Unreachable(fmt.Errorf("looking whose key this is: %w", err))
		case owner != nil:
			return actorOf(*owner), nil
		}
	}
	return "", nil
}

// Same tells whether two credentials are one person's: the same, or one of them made by the other, or of somebody who is
// known to hold both. Where people sign in, it refuses with person_unknown if nobody is known to hold one of them: it could
// be the other's.
func (s *Service) Same(ctx context.Context, tx pgx.Tx, one, other string) (bool, error) {
	same, err := related(ctx, tx, one, other)
	if same || err != nil {
		return same, err
	}
	first, err := personBehind(ctx, tx, one)
	if err != nil {
		return false, err
	}
	second, err := personBehind(ctx, tx, other)
	if err != nil {
		return false, err
	}
	if s.signIn != nil && (first == "" || second == "") {
		return false, fault.New(fault.Conflict, fault.CodePersonUnknown)
	}
	return first != "" && first == second, nil
}

// SameAs is Same for somebody who is known already.
func (s *Service) SameAs(one string) func(ctx context.Context, tx pgx.Tx, other string) (bool, error) {
	return func(ctx context.Context, tx pgx.Tx, other string) (bool, error) { return s.Same(ctx, tx, other, one) }
}
