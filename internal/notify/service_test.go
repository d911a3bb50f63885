package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"jari/internal/audit"
	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/keys"
	"jari/internal/postgres"
	"jari/test/storetest"
)

// scripted is a gateway that answers as the test wants and remembers what it was given.
type scripted struct {
	mu     sync.Mutex
	sent   []string
	answer func(ctx context.Context, to, text string) error
}

func (g *scripted) Send(ctx context.Context, m Outgoing) error {
	g.mu.Lock()
	g.sent = append(g.sent, m.To+" "+m.Text)
	answer := g.answer
	g.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(ctx, m.To, m.Text)
}

func (g *scripted) given() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sent)
}

type post struct {
	*Service
	t       *testing.T
	pool    *pgxpool.Pool
	gateway *scripted
	log     *bytes.Buffer
}

func setup(t *testing.T, change ...func(*Options)) *post {
	t.Helper()
	line, err := keys.Generate("development", keys.Data)
	if err != nil {
		t.Fatal(err)
	}
	data, err := keys.NewSealer(line, "development", keys.Data)
	if err != nil {
		t.Fatal(err)
	}
	p := &post{t: t, pool: storetest.Postgres(t), gateway: &scripted{}, log: &bytes.Buffer{}}
	o := Options{
		Workers: 8,
		Pool:    p.pool, Data: data, Sender: p.gateway, NoticeKind: "booking_notice",
		Notices: func(context.Context, uuid.UUID) ([]Message, error) { return nil, nil },
		Forget:  func(context.Context) (int64, error) { return 0, nil },
		Audit:   audit.NewLog(p.pool, clock.NewSystem(0), slog.New(slog.DiscardHandler), nil),
		Log:     slog.New(slog.NewJSONHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&o)
	}
	if p.Service, err = NewService(o); err != nil {
		t.Fatal(err)
	}
	return p
}

func message(subject string) Message {
	return Message{
		Subject: subject, Kind: Code, To: "+821020001000", Text: "[Jari] 인증번호 123456", UsefulUntil: time.Now().Add(3 * time.Minute),
	}
}

// queue remembers messages in one transaction.
func (p *post) queue(messages ...Message) {
	p.t.Helper()
	if err := postgres.InTx(p.t.Context(), p.pool, func(tx pgx.Tx) error {
		for _, m := range messages {
			if err := p.Queue(p.t.Context(), tx, m); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		p.t.Fatal(err)
	}
}

// queued remembers one message and returns its id.
func (p *post) queued(m Message) (id uuid.UUID) {
	p.t.Helper()
	p.queue(m)
	if err := p.pool.QueryRow(p.t.Context(), `SELECT message_id FROM messages WHERE subject = $1`, m.Subject).Scan(&id); err != nil {
		p.t.Fatal(err)
	}
	return id
}

// work runs the job of a message, as the worker of an instance does.
func (p *post) work(id uuid.UUID) error {
	return (&sendWorker{s: p.Service}).Work(p.t.Context(), &river.Job[sendArgs]{Args: sendArgs{Message: id}})
}

func (p *post) wantState(id uuid.UUID, want State) {
	p.t.Helper()
	var got State
	var settled bool
	if err := p.pool.QueryRow(p.t.Context(), `SELECT state, settled_at IS NOT NULL FROM messages WHERE message_id = $1`, id).Scan(&got, &settled); err != nil {
		p.t.Fatal(err)
	}
	if got != want || settled != (want != Queued && want != Sending) {
		p.t.Errorf("the message is %s (settled: %v), not %s", got, settled, want)
	}
}

func (p *post) number(sql string) (n int) {
	p.t.Helper()
	if err := p.pool.QueryRow(p.t.Context(), sql).Scan(&n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *post) wantGiven(n int) {
	p.t.Helper()
	if got := p.gateway.given(); got != n {
		p.t.Errorf("the gateway was given %d messages, not %d", got, n)
	}
}

func TestOneMessagePerSubject(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.queue(message("a"), message("b"), message("a"))
	p.queue(message("a"))
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { p.queue(message("c")) })
	}
	wg.Wait()
	if messages, jobs := p.number(`SELECT count(*) FROM messages`), p.number(`SELECT count(*) FROM river.river_job`); messages != 3 || jobs != 3 {
		t.Errorf("%d messages and %d jobs", messages, jobs)
	}
}

func TestAMessageIsQueuedWithWhatItIsAboutOrNotAtAll(t *testing.T) {
	t.Parallel()
	p := setup(t)
	err := postgres.InTx(t.Context(), p.pool, func(tx pgx.Tx) error {
		return errors.Join(p.Queue(t.Context(), tx, message("a")), errors.New("no"))
	})
	if err == nil {
		t.Fatal("it was committed")
	}
	if n := p.number(`SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM river.river_job)`); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestAKindThatNobodyKnowsIsRefused(t *testing.T) {
	t.Parallel()
	p := setup(t)
	err := postgres.InTx(t.Context(), p.pool, func(tx pgx.Tx) error {
		m := message("a")
		m.Kind = "advertisement"
		return p.Queue(t.Context(), tx, m)
	})
	if postgres.Constraint(err) != "messages_kind_known" {
		t.Errorf("%v", err)
	}
}

func TestJobsAndTheTableHoldNoPersonalData(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.queue(message("a"))
	rows, err := p.pool.Query(t.Context(), `SELECT j::text FROM river.river_job j UNION ALL SELECT m::text FROM messages m`)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(texts) != 2 {
		t.Fatalf("%d rows", len(texts))
	}
	for _, row := range texts {
		for _, secret := range []string{"1020001000", "인증번호"} {
			if strings.Contains(row, secret) || strings.Contains(row, fmt.Sprintf("%x", secret)) {
				t.Errorf("a row shows %q", secret)
			}
		}
	}
}

func TestAMessageThatTheGatewayTookIsSent(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id := p.queued(message("a"))
	for range 3 { // River may run a job again.
		if err := p.work(id); err != nil {
			t.Fatal(err)
		}
	}
	p.wantState(id, Sent)
	p.wantGiven(1)
	if p.gateway.sent[0] != "+821020001000 [Jari] 인증번호 123456" {
		t.Errorf("the gateway was given %q", p.gateway.sent[0])
	}
}

func TestAMessageIsTakenOutBeforeTheGatewayIsAsked(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id := p.queued(message("a"))
	p.gateway.answer = func(context.Context, string, string) error {
		p.wantState(id, Sending)
		return nil
	}
	if err := p.work(id); err != nil {
		t.Fatal(err)
	}
}

func TestNoDuplicateMessages(t *testing.T) {
	t.Parallel()
	t.Run("a death between taking and settling", func(t *testing.T) {
		t.Parallel()
		p := setup(t)
		id := p.queued(message("a"))
		p.gateway.answer = func(context.Context, string, string) error { panic("the process dies") }
		func() {
			defer func() { _ = recover() }()
			_ = p.work(id)
		}()
		p.wantState(id, Sending)
		p.gateway.answer = nil
		for range 3 {
			if err := p.work(id); err != nil {
				t.Fatal(err)
			}
			p.wantState(id, Unknown)
		}
		p.wantGiven(1)
	})
	t.Run("two workers with one message", func(t *testing.T) {
		t.Parallel()
		p := setup(t)
		id := p.queued(message("a"))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := p.work(id); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		p.wantGiven(1)
	})
	t.Run("an answer that nobody knows", func(t *testing.T) {
		t.Parallel()
		p := setup(t)
		id := p.queued(message("a"))
		p.gateway.answer = func(context.Context, string, string) error { return errors.New("the gateway answered 500") }
		for range 3 {
			if err := p.work(id); err != nil {
				t.Fatal(err)
			}
		}
		p.wantState(id, Unknown)
		p.wantGiven(1)
		if !strings.Contains(p.log.String(), id.String()) || strings.Contains(p.log.String(), "1020001000") {
			t.Errorf("the log says %s", p.log.String())
		}
	})
	t.Run("a worker that was told to stop while it sent", func(t *testing.T) {
		t.Parallel()
		p := setup(t)
		id := p.queued(message("a"))
		ctx, cancel := context.WithCancel(t.Context())
		p.gateway.answer = func(context.Context, string, string) error {
			cancel()
			return nil
		}
		if err := (&sendWorker{s: p.Service}).Work(ctx, &river.Job[sendArgs]{Args: sendArgs{Message: id}}); err != nil {
			t.Fatal(err)
		}
		p.wantState(id, Sent) // What the gateway said is written down all the same.
	})
}

func TestAMessageThatTheGatewayDoesntHaveIsTriedAgain(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id := p.queued(message("a"))
	p.gateway.answer = func(context.Context, string, string) error {
		return fmt.Errorf("%w: it answered too many requests", ErrNotSent)
	}
	for tries := 1; tries <= 2; tries++ {
		if err := p.work(id); !errors.Is(err, ErrNotSent) {
			t.Fatalf("the job doesn't fail, so nobody runs it again: %v", err)
		}
		p.wantState(id, Queued)
		p.wantGiven(tries)
	}
	p.gateway.answer = nil
	if err := p.work(id); err != nil {
		t.Fatal(err)
	}
	p.wantState(id, Sent)
}

func TestAMessageThatTheGatewayRefusedHasFailed(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id := p.queued(message("a"))
	p.gateway.answer = func(context.Context, string, string) error { return fmt.Errorf("%w: it answered 401", ErrRefused) }
	for range 2 {
		if err := p.work(id); err != nil {
			t.Fatal(err)
		}
	}
	p.wantState(id, Failed)
	p.wantGiven(1)
	if !strings.Contains(p.log.String(), "refused") || strings.Contains(p.log.String(), "1020001000") {
		t.Errorf("the log says %s", p.log.String())
	}
}

func TestAMessageThatComesTooLateIsDropped(t *testing.T) {
	t.Parallel()
	p := setup(t)
	late := message("a")
	late.UsefulUntil = time.Now().Add(-time.Second)
	id := p.queued(late)
	if err := p.work(id); err != nil {
		t.Fatal(err)
	}
	p.wantState(id, Dropped)
	p.wantGiven(0)
}

func TestAMessageThatDoesntOpenHasFailed(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id, other := p.queued(message("a")), p.queued(message("b"))
	if _, err := p.pool.Exec(t.Context(), `
		UPDATE messages SET sealed = (SELECT sealed FROM messages WHERE message_id = $2) WHERE message_id = $1`, id, other); err != nil {
		t.Fatal(err)
	}
	if err := p.work(id); err == nil || strings.Contains(err.Error(), "1020001000") {
		t.Errorf("a message of another row: %v", err)
	}
	p.wantState(id, Failed)
	p.wantGiven(0)
	if err := p.work(id); err != nil {
		t.Errorf("and the job never ends: %v", err)
	}
	if _, err := p.Newest(t.Context(), 10); err == nil {
		t.Error("the inbox shows it")
	}
}

func TestAMessageThatIsGoneIsNobodysWork(t *testing.T) {
	t.Parallel()
	p := setup(t)
	if err := p.work(uuid.New()); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutPostgresWorkIsTriedAgain(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), "postgres://jari@127.0.0.1:1/jari", postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	p := setup(t, func(o *Options) { o.Pool = pool })
	if err := p.work(uuid.New()); fault.CodeOf(err) != fault.CodeStoreUnavailable {
		t.Errorf("%v", err)
	}
	if _, err := p.Newest(t.Context(), 1); fault.CodeOf(err) != fault.CodeStoreUnavailable {
		t.Errorf("%v", err)
	}
	if err := p.Start(t.Context()); err == nil {
		t.Error("it started")
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("what never started can't be stopped: %v", err)
	}
	p.wantGiven(0)
}

func TestANoticeIsMadeOnceForEachEvent(t *testing.T) {
	t.Parallel()
	flush := uuid.New()
	p := setup(t, func(o *Options) {
		o.Notices = func(_ context.Context, id uuid.UUID) ([]Message, error) {
			if id != flush {
				return nil, errors.New("another flush")
			}
			one, two := message("booking:1"), message("booking:2")
			one.Kind, two.Kind = Booked, Cancelled
			return []Message{one, two}, nil
		}
	})
	w := &noticeWorker{s: p.Service}
	for range 3 {
		if err := w.Work(t.Context(), &river.Job[noticeArgs]{Args: noticeArgs{Flush: flush}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.number(`SELECT count(*) FROM messages`); n != 2 {
		t.Errorf("%d messages", n)
	}
	if err := w.Work(t.Context(), &river.Job[noticeArgs]{Args: noticeArgs{Flush: uuid.New()}}); err == nil {
		t.Error("a failure ends the job")
	}
}

func TestBookingsAndMessagesAgreeOnTheirJob(t *testing.T) {
	t.Parallel()
	p := setup(t)
	o := p.Options
	o.NoticeKind = "notice_of_booking"
	if _, err := NewService(o); err == nil || !strings.Contains(err.Error(), "notice_of_booking") {
		t.Errorf("it starts, and nobody would hear of their booking: %v", err)
	}
}

func TestForgettingIsReported(t *testing.T) {
	t.Parallel()
	rows := int64(7)
	var fail error
	p := setup(t, func(o *Options) { o.Forget = func(context.Context) (int64, error) { return rows, fail } })
	w := &forgetWorker{s: p.Service}
	if err := w.Work(t.Context(), &river.Job[forgetArgs]{}); err != nil || !strings.Contains(p.log.String(), `"rows":7`) {
		t.Errorf("%v: %s", err, p.log.String())
	}
	fail = errors.New("no")
	if err := w.Work(t.Context(), &river.Job[forgetArgs]{}); !errors.Is(err, fail) {
		t.Errorf("%v", err)
	}
}

func TestAnInstanceWorksOffWhatIsQueued(t *testing.T) {
	t.Parallel()
	given := make(chan string, 4)
	forgot := make(chan struct{}, 1)
	flush := uuid.New()
	p := setup(t, func(o *Options) {
		o.Notices = func(context.Context, uuid.UUID) ([]Message, error) {
			m := message("booking:1")
			m.Kind, m.Text = Booked, "notice"
			return []Message{m}, nil
		}
		o.Forget = func(context.Context) (int64, error) {
			select {
			case forgot <- struct{}{}:
			default:
			}
			return 0, nil
		}
	})
	p.gateway.answer = func(_ context.Context, _, text string) error {
		given <- text
		return nil
	}
	p.queue(message("a"))
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	// As a flush of bookings leaves it behind, past this package.
	if _, err := p.pool.Exec(t.Context(), `
		INSERT INTO river.river_job (kind, args, max_attempts, queue)
		VALUES ('booking_notice', jsonb_build_object('flush_id', $1::uuid), 25, 'default')`, flush); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	patience := time.After(time.Minute)
	for len(seen) < 2 {
		select {
		case text := <-given:
			seen[text] = true
		case <-patience:
			t.Fatalf("only %v was sent", seen)
		}
	}
	select {
	case <-forgot:
	case <-patience:
		t.Error("nothing is ever forgotten")
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := p.number(`SELECT count(*) FROM messages WHERE state = 'sent'`); n != 2 {
		t.Errorf("%d are sent after a stop that lets jobs finish", n)
	}
	if strings.Contains(p.log.String(), "1020001000") || strings.Contains(p.log.String(), "123456") {
		t.Error("the log shows a message")
	}
}

func TestTheInboxShowsTheNewestFirst(t *testing.T) {
	t.Parallel()
	p := setup(t)
	for i, subject := range []string{"a", "b", "c"} {
		m := message(subject)
		m.Text = subject
		id := p.queued(m)
		if _, err := p.pool.Exec(t.Context(), `UPDATE messages SET created_at = now() + $2 * interval '1 s' WHERE message_id = $1`, id, i); err != nil {
			t.Fatal(err)
		}
	}
	shown, err := p.Newest(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(shown) != 2 || shown[0].Text != "c" || shown[1].Text != "b" || shown[0].To != "+821020001000" ||
		shown[0].State != Queued || shown[0].Kind != Code || shown[0].CreatedAt.IsZero() {
		t.Errorf("shown: %+v", shown)
	}
}

func TestOnlyWarningsOfTheJobsAreLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	l := slog.New(levelFloor{Handler: slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}), least: slog.LevelWarn})
	l.Info("chatter")
	l.With("a", 1).Info("chatter")
	l.WithGroup("g").Debug("chatter")
	l.Warn("matters")
	if strings.Contains(log.String(), "chatter") || !strings.Contains(log.String(), "matters") {
		t.Errorf("%s", log.String())
	}
}
