package notify

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

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

// Work takes the message out of "queued" before the gateway is asked, in a commit of its own: whoever comes after a
// death in between finds it in "sending" and leaves it alone.
func (w *sendWorker) Work(ctx context.Context, job *river.Job[sendArgs]) error {
	id := job.Args.Message
	var sealed []byte
	err := w.s.Pool.QueryRow(ctx, `
		UPDATE messages SET state = 'sending' WHERE message_id = $1 AND state = 'queued' AND useful_until > now()
		RETURNING sealed`, id).Scan(&sealed)
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
	err = w.s.Sender.Send(ctx, c.To, c.Text)
	// What the gateway said has to be written down even if this process is told to stop meanwhile.
	ctx = context.WithoutCancel(ctx)
	switch {
	case err == nil:
		return w.s.settle(ctx, id, Sent)
	case errors.Is(err, ErrNotSent):
		return errors.Join(err, w.s.requeue(ctx, id))
	case errors.Is(err, ErrRefused):
		w.s.Log.Error("a message was refused", "message_id", id, "error", err)
		return w.s.settle(ctx, id, Failed)
	default:
		w.s.Log.Error("a message may or may not have been sent; it isn't sent again", "message_id", id, "error", err)
		return w.s.settle(ctx, id, Unknown)
	}
}

// settleLeftover ends a message that can't be taken: too late to be of use, or handed over by somebody who died.
func (s *Service) settleLeftover(ctx context.Context, id uuid.UUID) error {
	_, err := s.Pool.Exec(ctx, `
		UPDATE messages SET state = CASE state WHEN 'queued' THEN 'dropped' ELSE 'unknown' END, settled_at = now()
		WHERE message_id = $1 AND state IN ('queued', 'sending')`, id)
	return wrapSettle(err)
}

func (s *Service) settle(ctx context.Context, id uuid.UUID, state State) error {
	_, err := s.Pool.Exec(ctx, `
		UPDATE messages SET state = $2, settled_at = now() WHERE message_id = $1 AND state = 'sending'`, id, state)
	return wrapSettle(err)
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

// forgetWorker deletes what is over.
type forgetWorker struct {
	river.WorkerDefaults[forgetArgs]
	s *Service
}

func (w *forgetWorker) Work(ctx context.Context, _ *river.Job[forgetArgs]) error {
	rows, err := w.s.Forget(ctx)
	if err == nil && rows > 0 {
		w.s.Log.Info("what is over was deleted", "rows", rows)
	}
	return err
}
