package jaritest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
)

// Request is one that a client sends, down to its bytes.
type Request struct {
	Method string
	// Path is sent as it is, escapes included.
	Path   string
	Header http.Header
	Body   []byte
}

// Response is an answer.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	// Code is that of a problem, or empty.
	Code fault.Code
}

// Into decodes the body into v, a type of the contract.
func (r Response) Into(t testing.TB, v any) {
	t.Helper()
	if err := r.decode(v); err != nil {
		t.Fatalf("the answer %d can't be read: %v\n%s", r.Status, err, r.Body)
	}
}

func (r Response) decode(v any) error { return json.Unmarshal(r.Body, v) }

// Problem decodes a refusal.
func (r Response) Problem(t testing.TB) (p httpapi.Problem) {
	t.Helper()
	r.Into(t, &p)
	return p
}

// Want fails the test unless the answer has this status and, where it is a problem, this code.
func (r Response) Want(t testing.TB, status int, code ...fault.Code) Response {
	t.Helper()
	var wanted fault.Code
	if len(code) > 0 {
		wanted = code[0]
	}
	if r.Status != status || r.Code != wanted {
		t.Fatalf("the answer is %d %q, want %d %q\n%s", r.Status, r.Code, status, wanted, r.Body)
	}
	return r
}

// Cookie is one that the answer sets, or nil.
func (r Response) Cookie(name string) *http.Cookie {
	for _, c := range (&http.Response{Header: r.Header}).Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// client keeps many connections, for crowds. Redirects are answers too.
var client = &http.Client{
	Timeout:       2 * time.Minute,
	Transport:     &http.Transport{MaxIdleConnsPerHost: 300, IdleConnTimeout: 10 * time.Second},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Exchange sends a request and holds the answer against the contract. It is for goroutines, which may not end a test;
// others use Send.
func (s *Server) Exchange(ctx context.Context, q Request) (Response, error) {
	got, r, err := s.exchange(ctx, q)
	if err != nil {
		return got, err
	}
	if err := s.contract.check(r, q.Body, got); err != nil {
		return got, fmt.Errorf("%s %s: %w\n%s", q.Method, q.Path, err, got.Body)
	}
	return got, nil
}

func (s *Server) exchange(ctx context.Context, q Request) (Response, *http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, q.Method, s.URL+q.Path, bytes.NewReader(q.Body))
	if err != nil {
		return Response{}, nil, err
	}
	if q.Header != nil {
		r.Header = q.Header.Clone()
	}
	answer, err := client.Do(r)
	if err != nil {
		return Response{}, r, err
	}
	body, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return Response{}, r, err
	}
	got := Response{Status: answer.StatusCode, Header: answer.Header, Body: body}
	if q.Method != http.MethodHead && strings.HasPrefix(answer.Header.Get("Content-Type"), "application/problem+json") {
		var p httpapi.Problem
		if err := got.decode(&p); err != nil {
			return got, r, fmt.Errorf("a problem that isn't JSON: %w", err)
		}
		got.Code = fault.Code(p.Code)
		if p.RequestId == "" || p.RequestId != answer.Header.Get("X-Request-Id") {
			return got, r, errors.New("the request_id of the problem isn't that of the answer")
		}
	}
	return got, r, nil
}

// Send sends a request and holds the answer against the contract.
func (s *Server) Send(t testing.TB, q Request) Response {
	t.Helper()
	got, err := s.Exchange(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// SendUndeclared sends a request whose answer the contract doesn't declare for the operation: it only has to be a
// problem of the contract's shape.
func (s *Server) SendUndeclared(t testing.TB, q Request) Response {
	t.Helper()
	got, _, err := s.exchange(t.Context(), q)
	if err == nil {
		err = s.contract.checkProblem(got)
	}
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// JSON is a request with a body, which may be nil for none.
func JSON(method, path string, body any) Request {
	q := Request{Method: method, Path: path, Header: http.Header{}}
	if body == nil {
		return q
	}
	if list, ok := body.(List); ok {
		q.Body = []byte(list)
		q.Header.Set("Content-Type", "text/csv")
		return q
	}
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err) // tests send what can be encoded
	}
	q.Body = raw
	q.Header.Set("Content-Type", "application/json")
	return q
}

// List is a body that is a list in CSV.
type List string

// CSV is a request with a list.
func CSV(path, list string) Request { return JSON(http.MethodPost, path, List(list)) }

// With is the request with one more header.
func (q Request) With(name, value string) Request {
	q.Header = q.Header.Clone()
	if q.Header == nil {
		q.Header = http.Header{}
	}
	q.Header.Add(name, value)
	return q
}

// Do asks as somebody whom nobody knows.
func (s *Server) Do(t testing.TB, method, path string, body any) Response {
	t.Helper()
	return s.Send(t, JSON(method, path, body))
}

// Path is a path below the campaign.
func (s *Server) Path(rest string) string { return "/v1/campaigns/" + s.Campaign + rest }

// NewPhone is a mobile number that nobody in this test has, as a person would type it.
func (s *Server) NewPhone() string {
	n := s.phones.Add(1)
	return fmt.Sprintf("010-%04d-%04d", 2345+n/10_000, (6789+n)%10_000)
}

// e164 is how a national number is kept and shown in the inbox.
func e164(phone string) string {
	return "+82" + strings.ReplaceAll(strings.TrimPrefix(phone, "0"), "-", "")
}

// Citizen is somebody with a phone.
type Citizen struct {
	Name, BirthDate, Phone string
	// Session and Admission are what the server gave them.
	Session, Admission string

	s *Server
}

// NewCitizen is somebody who has verified a phone and was admitted.
func (s *Server) NewCitizen(t testing.TB, birthDate string) *Citizen {
	t.Helper()
	c := s.Stranger(birthDate)
	c.Verify(t)
	c.Admit(t)
	return c
}

// NewCrowd is n people like NewCitizen, who look at the inbox together.
func (s *Server) NewCrowd(t testing.TB, n int, birthDate string) []*Citizen {
	t.Helper()
	const together = 50 // the inbox shows a hundred messages
	crowd := make([]*Citizen, n)
	for from := 0; from < n; from += together {
		group := crowd[from:min(n, from+together)]
		verifications := make([]string, len(group))
		for i := range group {
			group[i] = s.Stranger(birthDate)
			verifications[i] = group[i].StartVerification(t).VerificationId
		}
		codes := s.codes(t)
		for i, c := range group {
			var session httpapi.Session
			c.GiveCode(t, verifications[i], codes[e164(c.Phone)]).Want(t, http.StatusOK).Into(t, &session)
			c.Session = session.Token
			c.Admit(t)
		}
	}
	return crowd
}

// codes are the newest by phone.
func (s *Server) codes(t testing.TB) map[string]string {
	t.Helper()
	codes := map[string]string{}
	var inbox httpapi.Inbox
	s.Do(t, http.MethodGet, "/dev/inbox", nil).Want(t, http.StatusOK).Into(t, &inbox)
	for _, m := range inbox.Messages {
		if _, newer := codes[m.To]; !newer && m.Kind == "code" {
			codes[m.To] = sixDigits.FindString(m.Text)
		}
	}
	return codes
}

// Stranger is somebody whom the server doesn't know yet.
func (s *Server) Stranger(birthDate string) *Citizen {
	return &Citizen{Name: "남궁별이", BirthDate: birthDate, Phone: s.NewPhone(), s: s}
}

// At is the same person, asking another instance.
func (c *Citizen) At(other *Server) *Citizen {
	moved := *c
	moved.s = other
	return &moved
}

// Claims are what the citizen says of themselves.
func (c *Citizen) Claims() map[string]any {
	return map[string]any{"scheme": "phone", "name": c.Name, "birth_date": c.BirthDate, "phone": c.Phone}
}

// StartVerification has a code sent and returns the verification.
func (c *Citizen) StartVerification(t testing.TB) (v httpapi.Verification) {
	t.Helper()
	c.s.Do(t, http.MethodPost, "/v1/verifications", c.Claims()).Want(t, http.StatusAccepted).Into(t, &v)
	return v
}

// GiveCode answers a verification with a code.
func (c *Citizen) GiveCode(t testing.TB, verification, code string) Response {
	t.Helper()
	return c.s.Do(t, http.MethodPost, "/v1/verifications/"+verification+"/confirm", map[string]any{"code": code})
}

// Verify goes through a verification and remembers the session.
func (c *Citizen) Verify(t testing.TB) httpapi.Session {
	t.Helper()
	v := c.StartVerification(t)
	var session httpapi.Session
	c.GiveCode(t, v.VerificationId, c.Code(t)).Want(t, http.StatusOK).Into(t, &session)
	c.Session = session.Token
	return session
}

// Exchange asks for a session of somebody else: how is the one field of the request, and what it says.
func (c *Citizen) Exchange(t testing.TB, how string, what any) Response {
	t.Helper()
	return c.Do(t, http.MethodPost, "/v1/me/acting-for", map[string]any{how: what})
}

// ActFor is a minor whom the citizen declares, as the citizen acts for them.
func (c *Citizen) ActFor(t testing.TB, name, birthDate string) *Citizen {
	t.Helper()
	var session httpapi.Session
	c.Exchange(t, "minor", map[string]any{"name": name, "birth_date": birthDate}).Want(t, http.StatusOK).Into(t, &session)
	return &Citizen{Name: name, BirthDate: birthDate, Phone: c.Phone, Session: session.Token, s: c.s}
}

// Admit asks for an admission and remembers it.
func (c *Citizen) Admit(t testing.TB) httpapi.Admission {
	t.Helper()
	var a httpapi.Admission
	c.Do(t, http.MethodPut, "/v1/rooms/"+c.s.Campaign+"/admission", nil).Want(t, http.StatusOK).Into(t, &a)
	c.Admission = a.Admission
	return a
}

// sixDigits is a code in a message.
var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// Code is the newest code that was sent to the citizen.
func (c *Citizen) Code(t testing.TB) string {
	t.Helper()
	for _, m := range c.Messages(t) {
		if code := sixDigits.FindString(m.Text); m.Kind == "code" && code != "" {
			return code
		}
	}
	t.Fatal("no code was sent to this phone")
	return ""
}

// Messages are those that were sent to the citizen, newest first.
func (c *Citizen) Messages(t testing.TB) (mine []httpapi.Message) {
	t.Helper()
	var inbox httpapi.Inbox
	c.s.Do(t, http.MethodGet, "/dev/inbox", nil).Want(t, http.StatusOK).Into(t, &inbox)
	for _, m := range inbox.Messages {
		if m.To == e164(c.Phone) {
			mine = append(mine, m)
		}
	}
	return mine
}

// Request is one of the citizen's, with session and admission.
func (c *Citizen) Request(method, path string, body any) Request {
	q := JSON(method, path, body)
	if c.Session != "" {
		q = q.With("Authorization", "Bearer "+c.Session)
	}
	if c.Admission != "" {
		q = q.With("Jari-Admission", c.Admission)
	}
	return q
}

// Do asks as the citizen.
func (c *Citizen) Do(t testing.TB, method, path string, body any) Response {
	t.Helper()
	return c.s.Send(t, c.Request(method, path, body))
}

// Hold asks for a slot; more are further fields of the request, in pairs.
func (c *Citizen) Hold(t testing.TB, slot string, more ...string) Response {
	t.Helper()
	return c.Do(t, http.MethodPut, c.s.Path("/hold"), HoldBody(slot, more...))
}

// HoldBody is the body of a request for a hold.
func HoldBody(slot string, more ...string) map[string]any {
	body := map[string]any{"slot_id": slot}
	for i := 0; i+1 < len(more); i += 2 {
		body[more[i]] = more[i+1]
	}
	return body
}

// MustHold holds a slot.
func (c *Citizen) MustHold(t testing.TB, slot string, more ...string) (h httpapi.Hold) {
	t.Helper()
	c.Hold(t, slot, more...).Want(t, http.StatusOK).Into(t, &h)
	return h
}

// Confirm asks for a hold to be made durable.
func (c *Citizen) Confirm(t testing.TB, holdToken string) Response {
	t.Helper()
	return c.Do(t, http.MethodPut, c.s.Path("/booking"), map[string]any{"hold_token": holdToken})
}

// MustBook holds and confirms a slot.
func (c *Citizen) MustBook(t testing.TB, slot string, more ...string) (b httpapi.Booking) {
	t.Helper()
	c.Confirm(t, c.MustHold(t, slot, more...).HoldToken).Want(t, http.StatusCreated).Into(t, &b)
	return b
}

// Cancel asks for a booking to be cancelled.
func (c *Citizen) Cancel(t testing.TB, booking string) Response {
	t.Helper()
	return c.Do(t, http.MethodDelete, c.s.Path("/bookings/"+booking), nil)
}

// Booking is the citizen's, as the server shows it.
func (c *Citizen) Booking(t testing.TB) (b httpapi.Booking) {
	t.Helper()
	c.Do(t, http.MethodGet, c.s.Path("/booking"), nil).Want(t, http.StatusOK).Into(t, &b)
	return b
}
