package plan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/audit"
	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/postgres"
	"jari/internal/staff"
)

// Service makes, shows and applies plans.
type Service struct {
	pool     *pgxpool.Pool
	clock    clock.Clock
	audit    *audit.Log
	lifetime time.Duration
	log      *slog.Logger
	kinds    map[string]Kind
}

// NewService returns a service that knows these kinds. lifetime is how long a plan can be applied.
func NewService(pool *pgxpool.Pool, clk clock.Clock, log *audit.Log, lifetime time.Duration, logger *slog.Logger, kinds ...Kind) *Service {
	s := &Service{pool: pool, clock: clk, audit: log, lifetime: lifetime, log: logger, kinds: map[string]Kind{}}
	for _, k := range kinds {
		s.kinds[k.Name] = k
	}
	return s
}

// Outdated is the refusal of a plan whose ground has moved: what applying it did now wouldn't be what was shown.
func Outdated(cause error) error {
	return fault.New(fault.Conflict, fault.CodePlanOutdated).Because(cause)
}

// mostRows is how many rows of each outcome a plan keeps to be read; the summary counts all of them.
const mostRows = 10_000

// Making is a plan while its kind computes it.
type Making struct {
	ID       uuid.UUID
	Source   Source
	Summary  Summary
	Payload  []byte
	Checksum string // of the file; of the payload where it stays empty
	// Progress notes how many rows were read.
	Progress func(done int)

	rows []Row
	kept map[Outcome]int
}

// Row shows a row, unless very many of the kind are shown already. It counts nothing: the summary is the kind's.
func (m *Making) Row(r Row) {
	if m.kept[r.Outcome] >= mostRows {
		return
	}
	m.kept[r.Outcome]++
	m.rows = append(m.rows, r)
}

// Draft is a plan to be made.
type Draft struct {
	Kind, Campaign string
	By             staff.Key
}

// Make computes a plan and keeps it. What compute returns as an error is the answer, and nothing is kept. It refuses with
// role_required.
func (s *Service) Make(ctx context.Context, d Draft, compute func(ctx context.Context, tx pgx.Tx, m *Making) error) (p Plan, err error) {
	kind, known := s.kinds[d.Kind]
	if !known {
		return Plan{}, fmt.Errorf("nobody registered plans of the kind %q", d.Kind)
	}
	if !d.By.Role.May(kind.Role) {
		return Plan{}, fault.New(fault.Forbidden, fault.CodeRoleRequired)
	}
	m := &Making{ID: uuid.New(), Payload: []byte{}, kept: map[Outcome]int{}}
	tell, ended := s.progress(ctx, m.ID, d.Kind, d.Campaign, "making")
	defer ended()
	m.Progress = tell
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := compute(ctx, tx, m); err != nil {
			return err
		}
		if m.Checksum == "" {
			sum := sha256.Sum256(m.Payload)
			m.Checksum = hex.EncodeToString(sum[:])
		}
		now := s.clock.Real()
		p = Plan{
			ID: m.ID, Kind: d.Kind, Campaign: d.Campaign, MadeBy: d.By.ID, MadeAt: now, ExpiresAt: now.Add(s.lifetime), Source: m.Source,
			Summary: m.Summary, Checksum: m.Checksum,
		}
		if err := insert(ctx, tx, p, m); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, audit.Entry{Act: "plan.make", Subject: p.subject(), Details: p.details()})
	})
	return p, err
}

func (p Plan) subject() string { return p.Campaign + "/plan/" + p.ID.String() }

func (p Plan) details() map[string]any {
	return map[string]any{"kind": p.Kind, "checksum": p.Checksum, "summary": p.Summary}
}

// Application is somebody's wish to apply a plan.
type Application struct {
	Plan uuid.UUID
	By   staff.Key
	// Checksum is the one that they were shown.
	Checksum string
	// Reason is why, in their words, for the audit; empty where none was given. No personal data.
	Reason string
}

// Apply does what a plan shows, or nothing. It refuses with plan_not_found, plan_over, plan_applied, plan_differs (another
// checksum), role_required, plan_outdated, and whatever the kind refuses with. Applying again with the same key, after a lost
// answer, returns the plan as it was applied.
func (s *Service) Apply(ctx context.Context, a Application) (p Plan, err error) {
	var after func(context.Context)
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		stored, err := load(ctx, tx, a.Plan, true)
		if err != nil {
			return err
		}
		p = stored.Plan
		kind, known := s.kinds[p.Kind]
		now := s.clock.Real()
		switch {
		case known && !a.By.Role.May(kind.Role):
			return fault.New(fault.Forbidden, fault.CodeRoleRequired)
		case p.AppliedBy != nil && *p.AppliedBy == a.By.ID && p.Checksum == a.Checksum:
			return nil
		case p.AppliedBy != nil:
			return fault.New(fault.Conflict, fault.CodePlanApplied)
		case p.StateAt(now) == Over:
			return fault.New(fault.Gone, fault.CodePlanOver)
		case p.Checksum != a.Checksum:
			return fault.New(fault.Conflict, fault.CodePlanDiffers)
		case !known: // made by a newer release
			return fault.New(fault.NotFound, fault.CodePlanNotFound)
		}
		tell, ended := s.progress(ctx, p.ID, p.Kind, p.Campaign, "applying")
		defer ended()
		stored.Progress = tell
		if after, err = kind.Apply(ctx, tx, stored); err != nil {
			return err
		}
		p.AppliedBy, p.AppliedAt = &a.By.ID, &now
		if _, err := tx.Exec(ctx, `UPDATE plans SET applied_by = $2, applied_at = $3, payload = '' WHERE plan_id = $1`, p.ID, a.By.ID, now); err != nil {
			return postgres.Unreachable(fmt.Errorf("noting that a plan was applied: %w", err))
		}
		if kind.Discard != nil {
			if err := kind.Discard(ctx, tx, []uuid.UUID{p.ID}); err != nil {
				return err
			}
		}
		return s.audit.Append(ctx, tx, audit.Entry{Act: p.Kind, Subject: p.subject(), Reason: a.Reason, Details: p.details()})
	})
	if err == nil && after != nil {
		after(context.WithoutCancel(ctx))
	}
	return p, err
}

// Discard takes a plan that wasn't applied away. It refuses with plan_not_found, plan_applied or role_required.
func (s *Service) Discard(ctx context.Context, id uuid.UUID, by staff.Key) error {
	return postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		stored, err := load(ctx, tx, id, true)
		if err != nil {
			return err
		}
		kind := s.kinds[stored.Kind]
		switch {
		case kind.Name != "" && !by.Role.May(kind.Role):
			return fault.New(fault.Forbidden, fault.CodeRoleRequired)
		case stored.AppliedBy != nil:
			return fault.New(fault.Conflict, fault.CodePlanApplied)
		}
		if err := s.remove(ctx, tx, []Plan{stored.Plan}); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, audit.Entry{Act: "plan.discard", Subject: stored.subject(), Details: stored.details()})
	})
}

// Get returns a plan, or plan_not_found.
func (s *Service) Get(ctx context.Context, id uuid.UUID) (Plan, error) {
	stored, err := load(ctx, s.pool, id, false)
	return stored.Plan, err
}

// sweepEvery is how often plans whose time is over are looked for; keptAfter is for how long they are still known, so that
// whoever comes too late is told so.
const (
	sweepEvery = time.Minute
	keptAfter  = time.Hour
)

// Watch takes plans away whose time is over, until ctx ends. Any instance may, and several at once.
func (s *Service) Watch(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("plans whose time is over can't be taken away now", "error", err)
		}
	}
}

// Sweep takes away what is over for a while.
func (s *Service) Sweep(ctx context.Context) error {
	return postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		old, err := over(ctx, tx, s.clock.Real().Add(-keptAfter))
		if err != nil || len(old) == 0 {
			return err
		}
		return s.remove(ctx, tx, old)
	})
}

func (s *Service) remove(ctx context.Context, tx pgx.Tx, plans []Plan) error {
	byKind := map[string][]uuid.UUID{}
	ids := make([]uuid.UUID, len(plans))
	for i, p := range plans {
		ids[i] = p.ID
		byKind[p.Kind] = append(byKind[p.Kind], p.ID)
	}
	for name, of := range byKind {
		if kind := s.kinds[name]; kind.Discard != nil {
			if err := kind.Discard(ctx, tx, of); err != nil {
				return err
			}
		}
	}
	if _, err := tx.Exec(ctx, `DELETE FROM plans WHERE plan_id = ANY($1)`, ids); err != nil {
		return postgres.Unreachable(fmt.Errorf("taking plans away: %w", err))
	}
	return nil
}

// tellEvery is how often progress is written.
const tellEvery = 500 * time.Millisecond

// progress returns how to note how far something has come, and what takes the note away. It is written on connections of its
// own, so that others see it before the transaction ends; also while one long statement runs, so that who looks sees that it is
// still worked on. It is best effort: nobody waits for it, but at the end for what is on its way.
func (s *Service) progress(ctx context.Context, id uuid.UUID, kind, campaign, doing string) (tell func(done int), ended func()) {
	ctx = context.WithoutCancel(ctx)
	exec := func(sql string, args ...any) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if _, err := s.pool.Exec(ctx, sql, args...); err != nil {
			s.log.Debug("progress can't be noted", "error", err)
		}
	}
	var done atomic.Int64
	var writing sync.WaitGroup
	over := make(chan struct{})
	writing.Go(func() {
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		for told := false; ; told = true {
			select {
			case <-over:
				if told { // what is over at once needed no note
					exec(`DELETE FROM plan_progress WHERE plan_id = $1`, id)
				}
				return
			case <-tick.C:
			}
			exec(`INSERT INTO plan_progress (plan_id, kind, campaign_id, doing, done, updated_at) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (plan_id) DO UPDATE SET doing = excluded.doing, done = excluded.done, updated_at = excluded.updated_at`,
				id, kind, campaign, doing, done.Load(), s.clock.Real())
		}
	})
	return func(n int) { done.Store(int64(n)) }, func() {
		close(over)
		writing.Wait()
	}
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func load(ctx context.Context, q querier, id uuid.UUID, locked bool) (p Stored, err error) {
	sql := `SELECT ` + planColumns + `, payload FROM plans WHERE plan_id = $1`
	if locked {
		sql += ` FOR UPDATE`
	}
	fields, read := p.fields()
	err = q.QueryRow(ctx, sql, id).Scan(append(fields, &p.Payload)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return Stored{}, fault.New(fault.NotFound, fault.CodePlanNotFound)
	}
	if err != nil {
		return Stored{}, postgres.Unreachable(fmt.Errorf("reading a plan: %w", err))
	}
	return p, read()
}

const planColumns = `plan_id, kind, campaign_id, made_by, made_at, expires_at, source, summary, checksum, applied_by, applied_at`

// fields are where a plan's columns go; read makes the rest of them.
func (p *Plan) fields() (fields []any, read func() error) {
	var source, summary []byte
	return []any{&p.ID, &p.Kind, &p.Campaign, &p.MadeBy, &p.MadeAt, &p.ExpiresAt, &source, &summary, &p.Checksum, &p.AppliedBy, &p.AppliedAt},
		func() error {
			if err := errors.Join(json.Unmarshal(source, &p.Source), json.Unmarshal(summary, &p.Summary)); err != nil {
				return fmt.Errorf("reading plan %s: %w", p.ID, err)
			}
			return nil
		}
}
