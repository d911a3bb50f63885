package notify

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"

	"jari/internal/audit"
	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/postgres"
)

// asked is a gateway that can be asked for a message.
type asked struct {
	*scripted
	has  bool
	fail error
}

func (g *asked) Find(context.Context, Outgoing, time.Time) (bool, error) { return g.has, g.fail }

func snoozed(err error) bool {
	_, ok := errors.AsType[*rivertype.JobSnoozeError](err)
	return ok
}

func TestAMessageIsLookedUpBeforeItIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		has   bool
		fail  error
		given int
		state State
	}{
		"the gateway has it":               {has: true, given: 1, state: Sent},
		"the gateway hasn't got it":        {given: 2, state: Sent},
		"the gateway doesn't know, so far": {fail: errors.New("503"), given: 1, state: Sending},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &asked{has: tc.has, fail: tc.fail}
			p := setup(t, func(o *Options) {
				scripted, _ := o.Sender.(*scripted)
				g.scripted = scripted
				o.Sender = g
			})
			id := p.queued(message("a"))
			p.gateway.answer = func(context.Context, string, string) error { return errors.New("timed out") }
			if err := p.work(id); !snoozed(err) {
				t.Fatalf("it isn't put off: %v", err)
			}
			p.wantState(id, Sending)
			if err := p.work(id); !snoozed(err) || p.gateway.given() != 1 {
				t.Fatalf("it was looked up at once: %v", err)
			}
			if _, err := p.pool.Exec(t.Context(), `UPDATE messages SET taken_at = taken_at - interval '1 minute'`); err != nil {
				t.Fatal(err)
			}
			p.gateway.answer = nil
			for range 2 {
				if err := p.work(id); err != nil && !snoozed(err) && !errors.Is(err, tc.fail) {
					t.Fatal(err)
				}
			}
			p.wantState(id, tc.state)
			p.wantGiven(tc.given)
		})
	}
}

func TestWhatIsNoLongerTrueIsntSent(t *testing.T) {
	t.Parallel()
	stale := uuid.New()
	p := setup(t, func(o *Options) {
		o.Stale = func(_ context.Context, kind Kind, campaign string, booking uuid.UUID) (bool, error) {
			return kind == Booked && campaign == "c" && booking == stale, nil
		}
	})
	m := message("a")
	m.Kind, m.Campaign, m.Booking = Booked, "c", stale
	gone := p.queued(m)
	m.Subject, m.Booking = "b", uuid.New()
	fits := p.queued(m)
	code := p.queued(message("c"))
	for _, id := range []uuid.UUID{gone, fits, code} {
		if err := p.work(id); err != nil {
			t.Fatal(err)
		}
	}
	p.wantState(gone, Dropped)
	p.wantState(fits, Sent)
	p.wantState(code, Sent)
	p.wantGiven(2)
}

func TestSlowGatewayMakesALine(t *testing.T) {
	t.Parallel()
	p := setup(t, func(o *Options) { o.Rate = 4 })
	// A code that lasts 4 s may wait 2 s: 8 turns, and the one that is being had.
	accepted := 0
	var refused *fault.Error
	for i := range 30 {
		m := message(string(rune('a' + i)))
		m.UsefulUntil = time.Now().Add(4 * time.Second)
		err := postgres.InTx(t.Context(), p.pool, func(tx pgx.Tx) error { return p.Queue(t.Context(), tx, m) })
		if e, ok := errors.AsType[*fault.Error](err); ok && e.Code == fault.CodeSMSBusy {
			refused = e
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		accepted++
	}
	// Turns pass while this loop runs, so there may be more than nine, but never all.
	if accepted < 9 || refused == nil || refused.RetryAfter <= 0 || refused.RetryAfter > 3*time.Second {
		t.Fatalf("%d were accepted, and one was refused with %+v", accepted, refused)
	}
	if n := p.number(`SELECT count(*) FROM messages`); n != accepted {
		t.Errorf("%d messages of %d", n, accepted)
	}
	// And they are sent no faster, whoever sends.
	var mu sync.Mutex
	var at []time.Time
	p.gateway.answer = func(context.Context, string, string) error {
		mu.Lock()
		defer mu.Unlock()
		at = append(at, time.Now())
		return nil
	}
	rows, err := p.pool.Query(t.Context(), `UPDATE messages SET useful_until = now() + interval '1 hour' RETURNING message_id`)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, id := range ids[:6] {
		wg.Go(func() {
			if err := p.work(id); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := at[len(at)-1].Sub(at[0]); took < time.Second {
		t.Errorf("six messages at four a second took %s", took)
	}
}

func TestRemindersGoOnWhereTheyWereCutOff(t *testing.T) {
	t.Parallel()
	p := setup(t)
	day := civil.Date{Year: 2026, Month: time.November, Day: 23}
	var asked []int64
	next := func(after int64) ([]Message, int64, error) {
		asked = append(asked, after)
		switch after {
		case 0:
			m := message("booking:1:reminder")
			m.Kind = Reminder
			return []Message{m}, 10, nil
		case 10:
			if len(asked) == 2 {
				return nil, 0, errors.New("cut off")
			}
			m := message("booking:2:reminder")
			m.Kind = Reminder
			return []Message{m}, 20, nil
		}
		return nil, 0, nil
	}
	var dones []bool
	for range 5 {
		done, err := p.RemindNext(t.Context(), "c", day, next)
		if err == nil {
			dones = append(dones, done)
		}
	}
	if n := p.number(`SELECT count(*) FROM messages WHERE kind = 'reminder'`); n != 2 {
		t.Errorf("%d reminders; asked for %v", n, asked)
	}
	if len(dones) != 4 || dones[0] || dones[1] || !dones[2] || !dones[3] || len(asked) != 4 {
		t.Errorf("done: %v, asked for %v", dones, asked)
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	p := setup(t)
	const own = "{title} {date} {time} {reference} 주차장이 없습니다"
	ctx := audit.With(t.Context(), "key:editor", "")
	for range 2 { // the second changes nothing, and is no act
		if err := p.SetTemplates(ctx, "c", Booked, map[string]string{"ko": own}, "no car park"); err != nil {
			t.Fatal(err)
		}
	}
	for name, bad := range map[string]string{
		"nothing": " ", "an unknown placeholder": own + "{name}", "a lonely brace": own + "{", "no time": "{date} {reference}", "no reference": "{date} {time}",
		"too long": own + string(make([]rune, 1001)), "a control": own + "\x07",
	} {
		if err := p.SetTemplates(ctx, "c", Booked, map[string]string{"ko": bad}, "no car park"); fault.CodeOf(err) != fault.CodeInvalidRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := p.SetTemplates(t.Context(), "c", Moved, map[string]string{"ko": own}, "nobody did it"); err == nil {
		t.Error("a change that isn't on record was made")
	}
	set, err := p.CampaignTemplates(t.Context(), "c")
	if noted := p.number(`SELECT count(*) FROM audit_entries WHERE act = 'message.set_texts'`); err != nil || noted != 1 {
		t.Fatal(noted, err)
	}
	v := sample("ko")
	v.Title = "{reference}" // what a visit says isn't a template
	if got := set.Text("ko", Booked, v); got != "{reference} 2021년 7월 26일(월) 14:30 7K4M-2QXP-9TRD 주차장이 없습니다" {
		t.Errorf("it says %q", got)
	}
	if set.Text("en", Booked, v) != VisitText("en", Booked, v) || set.Text("ko", Moved, v) != VisitText("ko", Moved, v) {
		t.Error("what wasn't changed has other words")
	}
	if err := p.SetTemplates(ctx, "c", Booked, nil, "a car park"); err != nil {
		t.Fatal(err)
	}
	if set, _ = p.CampaignTemplates(t.Context(), "c"); len(set) != 0 {
		t.Errorf("%v", set)
	}
	for _, kind := range Kinds() {
		for language, said := range set.Of(kind) {
			if shown := Preview(kind, language, said.Text); len(shown.Problems) > 0 || len(shown.Replaced) > 0 || shown.Type() != "LMS" || said.Own {
				t.Errorf("%s in %s: %+v", kind, language, shown)
			}
		}
	}
}
