package waiter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"jari/internal/clock"
)

// Person is somebody who waits with a session.
type Person struct {
	// Base is where the API is, and Room the room's id.
	Base, Room string
	Session    string
	Client     *http.Client
	// Hurry divides all waits, for tests; 0 is none.
	Hurry float64
	// Heard, if it isn't nil, is called after each step with what is known.
	Heard func(*Line)
}

// Errors that waiting longer doesn't help against.
var (
	ErrSignIn      = errors.New("the server knows no such session")
	ErrNotEligible = errors.New("no wave of this opening admits the person")
	ErrClosed      = errors.New("the room is over")
)

// answerWithin is how long one request may take.
const answerWithin = 15 * time.Second

// refusal is a problem, as far as somebody who waits needs it.
type refusal struct {
	Code     string  `json:"code"`
	Position *uint64 `json:"position"`
	Serving  uint64  `json:"serving"`
	Late     bool    `json:"late"`
}

// Wait takes the person's place and waits until they are admitted. It fails with ErrSignIn, ErrNotEligible, ErrClosed or the
// context's error, and with nothing else: whatever else happens is waited through.
func (p Person) Wait(ctx context.Context) (admission string, err error) {
	line := &Line{Room: p.Room}
	failures := 0
	for {
		var told told
		told, err = p.step(ctx, line)
		if told.admission != "" || isFinal(err) {
			return told.admission, err
		}
		wait := line.Next(rand.Float64()) //nolint:gosec // when to ask is no secret
		if failures++; err == nil {
			failures = 0
		}
		if failures > 0 {
			wait = DefaultPoll.Backoff(failures, told.retryAfter, rand.Float64()) //nolint:gosec // as above
		}
		if p.Heard != nil {
			p.Heard(line)
		}
		wait = max(wait, told.retryAfter)
		if p.Hurry > 0 {
			wait = time.Duration(float64(wait) / p.Hurry)
		}
		if err := clock.Wait(ctx, wait); err != nil {
			return "", err
		}
	}
}

func isFinal(err error) bool {
	return errors.Is(err, ErrSignIn) || errors.Is(err, ErrNotEligible) || errors.Is(err, ErrClosed)
}

// told is what one step brought.
type told struct {
	admission  string
	retryAfter time.Duration
}

// step looks at the room, takes the place if there is none yet, and comes in when called.
func (p Person) step(ctx context.Context, l *Line) (t told, err error) {
	path := "/v1/rooms/" + p.Room
	got, err := p.ask(ctx, http.MethodGet, path+"/status", nil)
	t.retryAfter = got.retryAfter
	if err == nil && got.status != http.StatusOK {
		err = fmt.Errorf("the status is answered %d", got.status)
	}
	if err == nil {
		err = l.Heard(got.body)
	}
	if err != nil {
		return t, err
	}
	if l.State() == "closed" {
		return t, ErrClosed
	}
	if l.Ticket.Token == "" && l.Giving() {
		got, err := p.ask(ctx, http.MethodPut, path+"/ticket", nil)
		t.retryAfter = got.retryAfter
		if err != nil {
			return t, err
		}
		var ticket Ticket
		if got.status != http.StatusOK {
			return t, p.refused(l, got)
		}
		if err := json.Unmarshal(got.body, &ticket); err != nil || ticket.Token == "" {
			return t, errors.New("an answer that isn't a ticket")
		}
		if err := l.Has(ticket); err != nil {
			return t, err
		}
	}
	if !l.Called() {
		return t, nil
	}
	body, err := json.Marshal(map[string]string{"ticket": l.Ticket.Token})
	if err != nil {
		return t, err
	}
	if got, err = p.ask(ctx, http.MethodPut, path+"/admission", body); err != nil {
		return t, err
	}
	t.retryAfter = got.retryAfter
	if got.status != http.StatusOK {
		return t, p.refused(l, got)
	}
	var admitted struct {
		Admission string `json:"admission"`
	}
	if err := json.Unmarshal(got.body, &admitted); err != nil || admitted.Admission == "" {
		return t, errors.New("an answer that isn't an admission")
	}
	t.admission = admitted.Admission
	return t, nil
}

// refused takes in what a refusal says. It is nil where that is part of waiting.
func (p Person) refused(l *Line, got answer) error {
	var r refusal
	_ = json.Unmarshal(got.body, &r) // what isn't a problem is a failure like others
	switch {
	case got.status == http.StatusUnauthorized:
		return ErrSignIn
	case r.Code == "not_eligible":
		return ErrNotEligible
	case r.Code == "room_closed":
		return ErrClosed
	case r.Code == "not_your_turn":
		l.NotYet(r.Position, r.Serving, r.Late)
		return nil
	case r.Code == "room_not_open":
		return nil
	case r.Code == "ticket_invalid", r.Code == "ticket_of_another", r.Code == "place_required":
		return l.Has(Ticket{})
	}
	return fmt.Errorf("answered %d %s", got.status, r.Code)
}

type answer struct {
	status     int
	body       []byte
	retryAfter time.Duration
}

// most is the longest answer that is read.
const most = 64 << 10

func (p Person) ask(ctx context.Context, method, path string, body []byte) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, p.Base+path, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	if method != http.MethodGet { // the status is the same for everybody, and asked for by nobody in particular
		r.Header.Set("Authorization", "Bearer "+p.Session)
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	w, err := p.Client.Do(r)
	if err != nil {
		return a, err
	}
	defer w.Body.Close() //nolint:errcheck // it was read
	a.status = w.StatusCode
	if s, err := strconv.Atoi(w.Header.Get("Retry-After")); err == nil && s > 0 {
		a.retryAfter = time.Duration(min(s, 600)) * time.Second
	}
	a.body, err = io.ReadAll(io.LimitReader(w.Body, most))
	return a, err
}
