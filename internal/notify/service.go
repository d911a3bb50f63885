package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"jari/internal/audit"
	"jari/internal/keys"
	"jari/internal/postgres"
)

// Notices turns what a flush of bookings did into the messages about it.
type Notices func(ctx context.Context, flushID uuid.UUID) ([]Message, error)

// Options are what a service is made of.
type Options struct {
	Pool   *pgxpool.Pool
	Data   *keys.Sealer
	Sender Sender
	// NoticeKind is the kind of the job that a flush leaves behind, Notices makes its messages.
	NoticeKind string
	Notices    Notices
	// Stale tells whether a message about a booking isn't true any more; it is asked just before sending.
	Stale func(ctx context.Context, kind Kind, campaign string, booking uuid.UUID) (bool, error)
	// Remind makes the reminders that are due; it runs every remindEvery, on one instance. Without it nobody is reminded.
	Remind func(ctx context.Context) error
	// Rate is how many messages a second the gateway takes from the whole deployment; 0 is as many as there are.
	Rate int
	// Forget deletes what is over; it runs every hour.
	Forget func(ctx context.Context) (rows int64, err error)
	// Settled is told what became of each message that this instance worked off; nil tells nobody.
	Settled func(State)
	Log     *slog.Logger
	// Audit is where changed words are on record.
	Audit *audit.Log
	// Workers is how many jobs this instance works on at a time; with 0 it remembers messages and works off none.
	Workers int
}

// Service remembers messages and works them off.
type Service struct {
	Options
	jobs *river.Client[pgx.Tx]
}

// Jobs of codes come first: somebody is waiting for them.
const (
	priorityCodes     = 1
	priorityNews      = 2
	priorityReminders = 3

	// jobTimeout bounds a job; a gateway answers long before, see SMSTimeout of the configuration.
	jobTimeout = 75 * time.Second
	// remindEvery is how often it is looked whether reminders are due.
	remindEvery = 5 * time.Minute
)

func priorityOf(k Kind) int {
	switch k {
	case Code:
		return priorityCodes
	case Reminder:
		return priorityReminders
	case Booked, Moved, Cancelled, MovedBySite, CancelledBySite:
	}
	return priorityNews
}

// NewService returns a service that works on nothing until Start.
func NewService(o Options) (*Service, error) {
	if kind := (noticeArgs{}).Kind(); o.NoticeKind != kind {
		return nil, fmt.Errorf("bookings leave jobs of kind %q and this package works on %q", o.NoticeKind, kind)
	}
	s := &Service{Options: o}
	w := river.NewWorkers()
	if err := errors.Join(
		river.AddWorkerSafely(w, &sendWorker{s: s}),
		river.AddWorkerSafely(w, &noticeWorker{s: s}),
		river.AddWorkerSafely(w, &forgetWorker{s: s}),
		river.AddWorkerSafely(w, &remindWorker{s: s}),
	); err != nil {
		return nil, fmt.Errorf("registering the workers: %w", err)
	}
	var err error
	cfg := &river.Config{
		Schema:  postgres.JobSchema,
		Workers: w,
		// River reports each failed job; what matters of it is logged where it happens, without personal data.
		Logger: slog.New(levelFloor{Handler: o.Log.Handler(), least: slog.LevelWarn}),
		// A job whose process died is given to another soon: a code is of use for minutes.
		JobTimeout: jobTimeout, RescueStuckJobsAfter: jobTimeout + 15*time.Second,
		PeriodicJobs: []*river.PeriodicJob{
			river.NewPeriodicJob(river.PeriodicInterval(time.Hour),
				func() (river.JobArgs, *river.InsertOpts) { return forgetArgs{}, nil }, &river.PeriodicJobOpts{RunOnStart: true}),
		},
	}
	if o.Remind != nil {
		cfg.PeriodicJobs = append(cfg.PeriodicJobs, river.NewPeriodicJob(river.PeriodicInterval(remindEvery), func() (river.JobArgs, *river.InsertOpts) {
			return remindArgs{}, &river.InsertOpts{Priority: priorityReminders, MaxAttempts: 1}
		}, &river.PeriodicJobOpts{RunOnStart: true}))
	}
	if o.Workers > 0 {
		cfg.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: o.Workers}}
	}
	s.jobs, err = river.NewClient(riverpgxv5.New(o.Pool), cfg)
	if err != nil {
		return nil, fmt.Errorf("preparing background jobs: %w", err)
	}
	return s, nil
}

// Start works off jobs until Stop. ctx is the work's own: ending it cuts jobs off.
func (s *Service) Start(ctx context.Context) error {
	if s.Workers == 0 {
		return nil
	}
	if err := s.jobs.Start(ctx); err != nil {
		return postgres.Unreachable(fmt.Errorf("starting background jobs: %w", err))
	}
	return nil
}

// Stop lets running jobs finish.
func (s *Service) Stop(ctx context.Context) error {
	if s.Workers == 0 {
		return nil
	}
	return s.jobs.Stop(ctx)
}

// Queue remembers a message in the transaction of what it is about. A second message about the same subject is not made. A
// code that would wait for the gateway for too long is refused with fault.CodeSMSBusy.
func (s *Service) Queue(ctx context.Context, tx pgx.Tx, m Message) error {
	id := uuid.New()
	plain, err := json.Marshal(content{To: m.To, Text: m.Text})
	if err != nil {
		return fmt.Errorf("encoding a message: %w", err)
	}
	sealed, err := s.Data.Seal(plain, messageContext(id))
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO messages (message_id, subject, kind, sealed, useful_until, campaign_id, booking_id)
		VALUES ($1, $2, $3, $4, $5, nullif($6, ''), nullif($7, '00000000-0000-0000-0000-000000000000'::uuid))
		ON CONFLICT (subject) DO NOTHING`, id, m.Subject, m.Kind, sealed, m.UsefulUntil, m.Campaign, m.Booking)
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("remembering a message: %w", err))
	}
	if tag.RowsAffected() == 0 {
		return nil
	}
	if _, err := s.jobs.InsertTx(ctx, tx, sendArgs{Message: id}, &river.InsertOpts{Priority: priorityOf(m.Kind)}); err != nil {
		return postgres.Unreachable(fmt.Errorf("queueing a message: %w", err))
	}
	if m.Kind == Code {
		return s.line(ctx, tx, m.UsefulUntil, m.MostWait)
	}
	return nil
}

// content is what is sealed of a message.
type content struct {
	To   string `json:"to"`
	Text string `json:"text"`
}

func messageContext(id uuid.UUID) []byte { return keys.RowContext("messages", id.String()) }

func (s *Service) open(id uuid.UUID, sealed []byte) (c content, err error) {
	plain, err := s.Data.Open(sealed, messageContext(id))
	if err != nil {
		return content{}, fmt.Errorf("message %s: %w", id, err)
	}
	if err := json.Unmarshal(plain, &c); err != nil {
		return content{}, fmt.Errorf("message %s holds something else", id)
	}
	return c, nil
}

// Newest returns the newest messages, opened, for the development inbox.
func (s *Service) Newest(ctx context.Context, most int) ([]Shown, error) {
	rows, err := s.Pool.Query(ctx, `
		SELECT message_id, kind, sealed, state, created_at FROM messages ORDER BY created_at DESC, message_id LIMIT $1`, most)
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading messages: %w", err))
	}
	shown, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m Shown, err error) {
		var sealed []byte
		if err := row.Scan(&m.ID, &m.Kind, &sealed, &m.State, &m.CreatedAt); err != nil {
			return m, err
		}
		c, err := s.open(m.ID, sealed)
		m.To, m.Text = c.To, c.Text
		return m, err
	})
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading messages: %w", err))
	}
	return shown, nil
}

// levelFloor passes only records of a least level on.
type levelFloor struct {
	slog.Handler
	least slog.Level
}

// Enabled tells whether the level is passed on.
func (l levelFloor) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= l.least && l.Handler.Enabled(ctx, level)
}

// WithAttrs keeps the floor, which the embedded handler doesn't know.
func (l levelFloor) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelFloor{Handler: l.Handler.WithAttrs(attrs), least: l.least}
}

// WithGroup keeps the floor too.
func (l levelFloor) WithGroup(name string) slog.Handler {
	return levelFloor{Handler: l.Handler.WithGroup(name), least: l.least}
}
