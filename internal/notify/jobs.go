package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"

	"jari/internal/crash"
	"jari/internal/postgres"
)

// Arguments of jobs name rows and hold no personal data.

type sendArgs struct {
	Message uuid.UUID `json:"message_id"`
}

func (sendArgs) Kind() string { return "send_message" }

// noticeArgs are the arguments of the job that a flush of bookings leaves behind. NewService checks that its kind is
// the one that bookings use.
type noticeArgs struct {
	Flush uuid.UUID `json:"flush_id"`
}

func (noticeArgs) Kind() string { return "booking_notice" }

type forgetArgs struct{}

func (forgetArgs) Kind() string { return "forget" }

// sendWorker hands one message to the gateway, at most once.
type sendWorker struct {
	river.WorkerDefaults[sendArgs]
	s *Service
}

// settleTime is how long after a message was handed over it is looked up: a gateway doesn't show at once what it has taken,
// and a request that was given up may still arrive.
const settleTime = 20 * time.Second

// Work takes the message out of "queued" before the gateway is asked, in a commit of its own: whoever comes after a
// death in between finds it in "sending", and doesn't send it unless the gateway itself says that it hasn't got it.
func (w *sendWorker) Work(ctx context.Context, job *river.Job[sendArgs]) error {
	id := job.Args.Message
	crash.Point(crash.MessageJob)
	if stale, err := w.s.stale(ctx, id); err != nil {
		return err
	} else if stale {
		return w.s.drop(ctx, id)
	}
	if err := w.s.turn(ctx); err != nil {
		return err
	}
	var sealed []byte
	var takenAt time.Time
	err := w.s.Pool.QueryRow(ctx, `
		UPDATE messages SET state = 'sending', taken_at = now()
		WHERE message_id = $1 AND state = 'queued' AND useful_until > now()
		RETURNING sealed, taken_at`, id).Scan(&sealed, &takenAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return w.s.settleLeftover(ctx, id)
	}
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("taking a message: %w", err))
	}
	c, err := w.s.open(id, sealed)
	if err != nil {
		return errors.Join(err, w.s.settle(ctx, id, Failed))
	}
	crash.Point(crash.MessageTaken)
	err = w.s.Sender.Send(ctx, Outgoing{ID: id, To: c.To, Text: c.Text})
	crash.Point(crash.MessageHandedOver)
	// What the gateway said has to be written down even if this process is told to stop meanwhile.
	ctx = context.WithoutCancel(ctx)
	_, canFind := w.s.Sender.(Finder)
	switch {
	case err == nil:
		return w.s.settle(ctx, id, Sent)
	case errors.Is(err, ErrNotSent):
		return errors.Join(err, w.s.requeue(ctx, id))
	case errors.Is(err, ErrRefused):
		w.s.Log.Error("a message was refused", "message_id", id, "error", err)
		return w.s.settle(ctx, id, Failed)
	case canFind:
		w.s.Log.Warn("a message may or may not have been sent; it will be looked up", "message_id", id, "error", err)
		return river.JobSnooze(settleTime)
	default:
		w.s.Log.Error("a message may or may not have been sent; it isn't sent again", "message_id", id, "error", err)
		return w.s.settle(ctx, id, Unknown)
	}
}

// settleLeftover ends a message that can't be taken: too late to be of use, or handed over by somebody who died or wasn't
// told. The latter is looked up where the gateway can be asked, and sent again only if it hasn't got it.
func (s *Service) settleLeftover(ctx context.Context, id uuid.UUID) error {
	var sealed []byte
	var state State
	var takenAt *time.Time
	var since time.Duration
	var useful bool
	err := s.Pool.QueryRow(ctx, `
		SELECT sealed, state, taken_at, coalesce(now() - taken_at, interval '1 day'), useful_until > now()
		FROM messages WHERE message_id = $1`, id).Scan(&sealed, &state, &takenAt, &since, &useful)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return postgres.Unreachable(fmt.Errorf("reading a message: %w", err))
	case state == Queued:
		return s.drop(ctx, id)
	case state != Sending:
		return nil
	}
	finder, canFind := s.Sender.(Finder)
	if !canFind || takenAt == nil {
		return s.settle(ctx, id, Unknown)
	}
	if since < settleTime {
		return river.JobSnooze(settleTime - since)
	}
	c, err := s.open(id, sealed)
	if err != nil {
		return errors.Join(err, s.settle(ctx, id, Unknown))
	}
	found, err := finder.Find(ctx, Outgoing{ID: id, To: c.To, Text: c.Text}, *takenAt)
	switch {
	case err == nil && found:
		return s.settle(ctx, id, Sent)
	case err == nil && useful:
		s.Log.Info("the gateway hasn't got a message; it is sent again", "message_id", id)
		if err := s.requeue(ctx, id); err != nil {
			return err
		}
		return river.JobSnooze(0)
	case err != nil && useful:
		return err // asked again later
	default:
		return s.settle(ctx, id, Unknown)
	}
}

// stale tells whether a message says what isn't true any more.
func (s *Service) stale(ctx context.Context, id uuid.UUID) (bool, error) {
	var kind Kind
	var campaign *string
	var booking *uuid.UUID
	err := s.Pool.QueryRow(ctx, `
		SELECT kind, campaign_id, booking_id FROM messages WHERE message_id = $1 AND state = 'queued'`, id).
		Scan(&kind, &campaign, &booking)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, postgres.Unreachable(fmt.Errorf("reading a message: %w", err))
	}
	if s.Stale == nil || campaign == nil || booking == nil {
		return false, nil
	}
	return s.Stale(ctx, kind, *campaign, *booking)
}

func (s *Service) drop(ctx context.Context, id uuid.UUID) error {
	tag, err := s.Pool.Exec(ctx, `
		UPDATE messages SET state = 'dropped', settled_at = now() WHERE message_id = $1 AND state = 'queued'`, id)
	s.settled(tag, err, Dropped)
	return wrapSettle(err)
}

func (s *Service) settle(ctx context.Context, id uuid.UUID, state State) error {
	tag, err := s.Pool.Exec(ctx, `
		UPDATE messages SET state = $2, settled_at = now() WHERE message_id = $1 AND state = 'sending'`, id, state)
	s.settled(tag, err, state)
	return wrapSettle(err)
}

func (s *Service) settled(tag pgconn.CommandTag, err error, state State) {
	if err == nil && tag.RowsAffected() > 0 && s.Settled != nil {
		s.Settled(state)
	}
}

func (s *Service) requeue(ctx context.Context, id uuid.UUID) error {
	_, err := s.Pool.Exec(ctx, `UPDATE messages SET state = 'queued' WHERE message_id = $1 AND state = 'sending'`, id)
	return wrapSettle(err)
}

func wrapSettle(err error) error {
	if err != nil {
		return postgres.Unreachable(fmt.Errorf("settling a message: %w", err))
	}
	return nil
}

// noticeWorker makes the messages of one flush. Running twice makes none twice: each has its subject.
type noticeWorker struct {
	river.WorkerDefaults[noticeArgs]
	s *Service
}

func (w *noticeWorker) Work(ctx context.Context, job *river.Job[noticeArgs]) error {
	messages, err := w.s.Notices(ctx, job.Args.Flush)
	if err != nil {
		return err
	}
	return postgres.InTx(ctx, w.s.Pool, func(tx pgx.Tx) error {
		for _, m := range messages {
			if err := w.s.Queue(ctx, tx, m); err != nil {
				return err
			}
		}
		return nil
	})
}

type remindArgs struct{}

func (remindArgs) Kind() string { return "remind" }

// remindWorker makes the reminders that are due. It keeps how far it has come, so cutting it off loses nothing.
type remindWorker struct {
	river.WorkerDefaults[remindArgs]
	s *Service
}

func (w *remindWorker) Timeout(*river.Job[remindArgs]) time.Duration {
	return remindEvery - 30*time.Second
}

func (w *remindWorker) Work(ctx context.Context, _ *river.Job[remindArgs]) error {
	if w.s.Remind == nil {
		return nil
	}
	return w.s.Remind(ctx)
}

// messageDays is how long a message is kept after it was sent: long enough to answer whoever says that none came.
const messageDays = 30

// forgetWorker deletes what is over.
type forgetWorker struct {
	river.WorkerDefaults[forgetArgs]
	s *Service
}

func (w *forgetWorker) Work(ctx context.Context, _ *river.Job[forgetArgs]) error {
	rows, err := w.s.Forget(ctx)
	if err != nil {
		return err
	}
	tag, err := w.s.Pool.Exec(ctx, `
		DELETE FROM messages WHERE created_at < now() - make_interval(days => $1) AND settled_at IS NOT NULL`, messageDays)
	if rows += tag.RowsAffected(); err == nil && rows > 0 {
		w.s.Log.Info("what is over was deleted", "rows", rows)
	}
	return err
}
