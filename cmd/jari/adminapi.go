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
func (w surroundings) variable(name string) string {
	for _, pair := range w.environ {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// administer finds the server and the key. The key comes from the environment alone: arguments are seen by everybody on the
// machine.
func administer(w surroundings) (*adminServer, error) {
	s := &adminServer{
		base: strings.TrimSuffix(w.variable("JARI_ADMIN_URL"), "/"), key: w.variable("JARI_ADMIN_KEY"), ctx: w.ctx,
		language: "en", client: &http.Client{Timeout: 5 * time.Minute},
	}
	if s.base == "" {
		s.base = "http://127.0.0.1:8080"
	}
	if u, err := url.Parse(s.base); err != nil || u.Host == "" {
		return nil, errors.New("JARI_ADMIN_URL: must be the address of a server such as https://jari.internal")
	}
	if s.key == "" {
		return nil, errors.New("JARI_ADMIN_KEY is missing: a key of an administrator; the first is made with jari keys create --role owner")
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

// refusal is what a server says when it doesn't do what it was asked.
type refusal struct {
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Title     string `json:"title"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
	Fields    []struct {
		Pointer string `json:"pointer"`
		Problem string `json:"problem"`
	} `json:"fields"`
	body []byte
}

// Error says it in the server's words.
func (r *refusal) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)", r.Title, r.Code)
	if r.Detail != "" {
		fmt.Fprintf(&b, "\n%s", r.Detail)
	}
	for _, f := range r.Fields {
		fmt.Fprintf(&b, "\n  %s %s", f.Pointer, f.Problem)
	}
	return b.String()
}

// ask sends a request and reads the answer into into, unless that is nil. body is nil, or becomes JSON.
func (s *adminServer) ask(method, path string, body, into any) error {
	var content io.Reader = http.NoBody
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encoding the request: %w", err)
		}
		content = bytes.NewReader(raw)
	}
	return s.send(method, path, "application/json", content, into)
}

func (s *adminServer) send(method, path, kind string, content io.Reader, into any) error {
	r, err := http.NewRequestWithContext(s.ctx, method, s.base+path, content)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	if content != http.NoBody {
		r.Header.Set("Content-Type", kind)
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	r.Header.Set("Accept-Language", s.language)
	answer, err := s.client.Do(r)
	if err != nil {
		return fmt.Errorf("%s doesn't answer: %w", s.base, err)
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if answer.StatusCode >= http.StatusBadRequest {
		refused := &refusal{body: raw}
		if json.Unmarshal(raw, refused) != nil || refused.Code == "" {
			return fmt.Errorf("%s answers %s; is it a Jari server?", s.base, answer.Status)
		}
		return refused
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("the answer can't be read: %w", err)
	}
	return nil
}
