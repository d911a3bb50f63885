package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// adminServer is a running server as an administrator's key sees it.
type adminServer struct {
	base, key, language string
	ctx                 context.Context //nolint:containedctx // a command is one request's life
	client              *http.Client
}

// variable is what the environment says of a name.
func (w surroundings) variable(name string) string { return lookup(w.environ, name) }

// administer finds the server and the key. The key comes from the environment or a file: arguments are seen by everybody on
// the machine.
func administer(w surroundings) (*adminServer, error) {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the standard transport was replaced")
	}
	transport = transport.Clone()
	// An answer may stream for hours; that it begins may not take so long.
	transport.ResponseHeaderTimeout = 5 * time.Minute
	s := &adminServer{
		base: strings.TrimSuffix(w.variable("JARI_ADMIN_URL"), "/"), ctx: w.ctx, language: "en",
		client: &http.Client{
			Transport: transport,
			// A key is sent to the address that was given, and to no other.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if s.base == "" {
		s.base = "http://127.0.0.1:8080"
	}
	if u, err := url.Parse(s.base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("JARI_ADMIN_URL: must be the address of a server such as https://jari.internal")
	}
	var err error
	if s.key, err = adminKey(w); err != nil {
		return nil, err
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if value := w.variable(name); value != "" {
			if strings.HasPrefix(value, "ko") {
				s.language = "ko"
			}
			break
		}
	}
	return s, nil
}

// adminKey is the key, from the variable or the file.
func adminKey(w surroundings) (string, error) {
	key, file := w.variable("JARI_ADMIN_KEY"), w.variable("JARI_ADMIN_KEY_FILE")
	switch {
	case key != "" && file != "":
		return "", errors.New("JARI_ADMIN_KEY and JARI_ADMIN_KEY_FILE are both set: which key is meant?")
	case file != "":
		raw, err := os.ReadFile(file) //nolint:gosec // whoever runs the command names it
		if err != nil {
			return "", fmt.Errorf("JARI_ADMIN_KEY_FILE: %w", err)
		}
		key = strings.TrimSpace(string(raw))
	}
	if key == "" {
		return "", errors.New("JARI_ADMIN_KEY is missing: a key of an administrator, here or in the file that JARI_ADMIN_KEY_FILE names; " +
			"the first is made with jari keys create --role owner")
	}
	return key, nil
}

// What commands that ask a server end with, besides 0 and 1.
const (
	exitRefused   = 2
	exitMayNot    = 3
	exitSecond    = 4
	exitTryAgain  = 5
	secondPerson  = "second_person_needed"
	announcedOnce = "second_person"
)

// refusal is what a server says when it doesn't do what it was asked.
type refusal struct {
	status int
	code   string
	text   string
}

// Error says it in the server's words.
func (r *refusal) Error() string { return r.text }

// exitStatus tells scripts what kind of refusal it is.
func (r *refusal) exitStatus() int {
	switch {
	case r.code == secondPerson || r.code == announcedOnce:
		return exitSecond
	case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden:
		return exitMayNot
	case r.status == http.StatusTooManyRequests || r.status >= http.StatusInternalServerError:
		return exitTryAgain
	default:
		return exitRefused
	}
}

// unanswered is when the server didn't say whether it did what it was asked.
type unanswered struct{ error }

// Unwrap gives the cause.
func (u unanswered) Unwrap() error { return u.error }

// exitStatus tells scripts to try again.
func (unanswered) exitStatus() int { return exitTryAgain }

// do sends a request and returns an answer that isn't a refusal. The caller closes its body.
func (s *adminServer) do(request adminRequest) (*http.Response, error) {
	address := s.base + request.path
	if len(request.query) > 0 {
		address += "?" + request.query.Encode()
	}
	r, err := http.NewRequestWithContext(s.ctx, request.method, address, bytes.NewReader(request.body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	for name, values := range request.header {
		r.Header[name] = slices.Clone(values)
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	r.Header.Set("Accept-Language", s.language)
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, unanswered{fmt.Errorf("%s doesn't answer: %w", s.base, err)}
	}
	if answer.StatusCode < http.StatusMultipleChoices {
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if err != nil {
		return nil, unanswered{fmt.Errorf("reading the answer: %w", err)}
	}
	return nil, s.refused(answer, raw)
}

// refused reads a problem: its words, what is wrong field by field, and whatever else it has to say.
func (s *adminServer) refused(answer *http.Response, raw []byte) error {
	var problem struct {
		Status int    `json:"status"`
		Code   string `json:"code"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Fields []struct {
			Pointer string `json:"pointer"`
			Problem string `json:"problem"`
		} `json:"fields"`
	}
	if json.Unmarshal(raw, &problem) != nil || problem.Code == "" {
		return unanswered{fmt.Errorf("%s answers %s; is it a Jari server?", s.base, answer.Status)}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)", problem.Title, problem.Code)
	if problem.Detail != "" && problem.Detail != problem.Title {
		fmt.Fprintf(&b, "\n%s", problem.Detail)
	}
	for _, f := range problem.Fields {
		fmt.Fprintf(&b, "\n  %s %s", f.Pointer, f.Problem)
	}
	var rest map[string]any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if decoder.Decode(&rest) == nil {
		for _, said := range []string{"type", "title", "status", "code", "detail", "fields"} {
			delete(rest, said)
		}
		show := adminPrinter{contract: &adminContract{}, language: s.language}
		var more strings.Builder
		show.write(&more, "  ", rest, nil)
		b.WriteString("\n" + strings.TrimRight(more.String(), "\n"))
	}
	return &refusal{status: answer.StatusCode, code: problem.Code, text: strings.TrimRight(b.String(), "\n")}
}
