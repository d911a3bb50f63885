package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

type demoCommand struct {
	Data string `default:".jari/dev" type:"path" help:"Data folder of the jari dev that is running."`
	URL  string `help:"Address of the server, instead of the one in the data folder."`
	Full bool   `help:"Print long answers and tokens in full."`
}

// Run walks a citizen's way and stops at the first answer that isn't as it should be.
func (c demoCommand) Run(w surroundings) error {
	base := c.URL
	if base == "" {
		raw, err := os.ReadFile(filepath.Join(c.Data, "address"))
		if errors.Is(err, fs.ErrNotExist) {
			return errors.New("no development server was started here: run `make run` in another terminal, or give --url")
		}
		if err != nil {
			return fmt.Errorf("reading the server's address: %w", err)
		}
		base = strings.TrimSpace(string(raw))
	}
	d := &demo{w: w, base: base, full: c.Full, client: &http.Client{Timeout: 20 * time.Second}, headers: http.Header{}}
	if err := d.walk(); err != nil {
		return fmt.Errorf("the demo stopped: %w", err)
	}
	return nil
}

// demo is a citizen with a terminal.
type demo struct {
	w       surroundings
	base    string
	full    bool
	client  *http.Client
	headers http.Header
	step    int
}

// answer is a decoded JSON object.
type answer map[string]any

func (a answer) text(path ...string) string {
	var v any = map[string]any(a)
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[key]
	}
	s, _ := v.(string)
	return s
}

func (a answer) list(key string) []answer {
	items, _ := a[key].([]any)
	var list []answer
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			list = append(list, m)
		}
	}
	return list
}

func (d *demo) say(text string) {
	d.step++
	fmt.Fprintf(d.w.out, "\n━━ %d. %s\n", d.step, text)
}

// call sends a request, prints it with its answer, and refuses an answer that isn't want.
func (d *demo) call(want int, method, path string, body any) (answer, error) {
	text, err := d.exchange(want, method, path, body)
	if err != nil {
		return nil, err
	}
	var a answer
	if len(text) > 0 && json.Valid(text) {
		if err := json.Unmarshal(text, &a); err != nil {
			return nil, fmt.Errorf("%s %s answered something else than an object", method, path)
		}
	}
	return a, nil
}

func (d *demo) exchange(want int, method, path string, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(d.w.ctx, 20*time.Second)
	defer cancel()
	var content io.Reader = http.NoBody
	fmt.Fprintf(d.w.out, "\n→ %s %s\n", method, path)
	for _, name := range []string{"Authorization", "Jari-Admission"} {
		if value := d.headers.Get(name); value != "" {
			fmt.Fprintf(d.w.out, "  %s: %s\n", name, d.short(value))
		}
	}
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encoding the body: %w", err)
		}
		fmt.Fprintf(d.w.out, "  %s\n", d.short(string(raw)))
		content = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, content)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.Header = d.headers.Clone()
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the server doesn't answer at %s: %w", d.base, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	fmt.Fprintf(d.w.out, "← %s\n", resp.Status)
	if len(text) > 0 {
		fmt.Fprintln(d.w.out, d.pretty(text))
	}
	if resp.StatusCode != want {
		return nil, fmt.Errorf("%s %s answered %d instead of %d", method, path, resp.StatusCode, want)
	}
	return text, nil
}

const (
	shownLines = 24
	shownToken = 24
)

var longToken = regexp.MustCompile(`[A-Za-z0-9_-]{60,}`)

// short leaves the end of tokens out.
func (d *demo) short(s string) string {
	if d.full {
		return s
	}
	return longToken.ReplaceAllStringFunc(s, func(t string) string { return t[:shownToken] + "…" })
}

// pretty indents an answer and leaves out what is too long to read.
func (d *demo) pretty(text []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, text, "  ", "  ") != nil {
		b.Reset()
		b.Write(bytes.ReplaceAll(bytes.TrimSpace(text), []byte("\r\n"), []byte("\n  ")))
	}
	lines := strings.Split(d.short(b.String()), "\n")
	if !d.full && len(lines) > shownLines {
		lines = append(lines[:shownLines], fmt.Sprintf("… %d more lines", len(lines)-shownLines))
	}
	return "  " + strings.Join(lines, "\n")
}

// walk is the way of a citizen.
func (d *demo) walk() error {
	d.say("What is given away?")
	all, err := d.call(http.StatusOK, http.MethodGet, "/v1/campaigns", nil)
	if err != nil {
		return err
	}
	if len(all.list("campaigns")) == 0 {
		return errors.New("no campaign is published")
	}
	campaign := "/v1/campaigns/" + all.list("campaigns")[0].text("campaign_id")
	details, err := d.call(http.StatusOK, http.MethodGet, campaign, nil)
	if err != nil {
		return err
	}

	d.say("May I book? (The server judges by its own clock; no time of ours is asked for.)")
	birthDate, err := d.findEntitled(campaign)
	if err != nil {
		return err
	}

	d.say("Verify a phone. The code arrives by SMS; in development, in the inbox.")
	if err := d.verify(birthDate); err != nil {
		return err
	}
	if _, err := d.call(http.StatusOK, http.MethodGet, "/v1/me", nil); err != nil {
		return err
	}

	d.say("Come in. There is no line here, so it admits at once.")
	room := details.list("rooms")[0].text("room_id")
	in, err := d.call(http.StatusOK, http.MethodPut, "/v1/rooms/"+room+"/admission", nil)
	if err != nil {
		return err
	}
	d.headers.Set("Jari-Admission", in.text("admission"))

	d.say("Choose a site and a slot.")
	region := details.list("regions")[0].text("region")
	sites, err := d.call(http.StatusOK, http.MethodGet, campaign+"/regions/"+region+"/sites", nil)
	if err != nil {
		return err
	}
	if len(sites.list("sites")) == 0 {
		return fmt.Errorf("region %s has no sites", region)
	}
	site := sites.list("sites")[0].text("site_id")
	slots, err := d.call(http.StatusOK, http.MethodGet, campaign+"/sites/"+site+"/slots", nil)
	if err != nil {
		return err
	}

	d.say("Hold a place for a few minutes.")
	hold, err := d.hold(campaign, slots)
	if err != nil {
		return err
	}

	d.say("Confirm. From this answer on the booking is durable.")
	confirm := map[string]any{"hold_token": hold.text("hold_token")}
	booking, err := d.call(http.StatusCreated, http.MethodPut, campaign+"/booking", confirm)
	if err != nil {
		return err
	}

	d.say("A lost answer, a double click: the same request gives the same booking.")
	again, err := d.call(http.StatusOK, http.MethodPut, campaign+"/booking", confirm)
	if err != nil {
		return err
	}
	if again.text("booking_id") != booking.text("booking_id") {
		return errors.New("the second confirm gave another booking")
	}

	d.say("Look it up, put it into a calendar, read the message.")
	if _, err := d.call(http.StatusOK, http.MethodGet, campaign+"/booking", nil); err != nil {
		return err
	}
	if _, err := d.exchange(http.StatusOK, http.MethodGet, campaign+"/booking/calendar.ics", nil); err != nil {
		return err
	}
	if err := d.await("the confirmation", func(m answer) bool {
		return m.text("kind") == "booked" && strings.Contains(m.text("text"), booking.text("reference"))
	}); err != nil {
		return err
	}

	d.say("Cancel. The place is free again.")
	cancelled, err := d.call(http.StatusOK, http.MethodDelete, campaign+"/bookings/"+booking.text("booking_id"), nil)
	if err != nil {
		return err
	}
	if cancelled.text("status") != "cancelled" {
		return errors.New("the booking isn't cancelled")
	}
	if err := d.awaitFree(campaign+"/sites/"+site+"/slots", hold.text("slot", "slot_id"), slots); err != nil {
		return err
	}
	fmt.Fprintln(d.w.out, "\nDone: one citizen booked one place.")
	return nil
}

// awaitFree looks at the slot until it has as many places as before. The document may be two seconds old, and others may
// be booking at the same time.
func (d *demo) awaitFree(path, slotID string, before answer) error {
	remaining := func(slots answer) float64 {
		for _, s := range slots.list("slots") {
			if s.text("slot_id") == slotID {
				n, _ := s["remaining"].(float64)
				return n
			}
		}
		return -1
	}
	want := remaining(before)
	fmt.Fprintf(d.w.out, "\n→ GET %s   (until slot %s has %.0f places again)\n", path, slotID, want)
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		slots, err := d.look(path)
		if err != nil {
			return err
		}
		if n := remaining(slots); n >= want {
			fmt.Fprintf(d.w.out, "← 200 OK\n  \"slot_id\": \"%s\", \"remaining\": %.0f\n", slotID, n)
			return nil
		}
		time.Sleep(200 * time.Millisecond)
	}
	return errors.New("the place isn't shown as free again")
}

// look gets an object without printing it.
func (d *demo) look(path string) (answer, error) {
	req, err := http.NewRequestWithContext(d.w.ctx, http.MethodGet, d.base+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the server doesn't answer at %s: %w", d.base, err)
	}
	defer func() { _ = resp.Body.Close() }()
	var a answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s answered %s", path, resp.Status)
	}
	return a, nil
}

// candidates are birth dates of the example's waves, and of somebody whom none admits.
var candidates = []string{"1964-05-06", "1967-01-01", "1970-08-15", "1950-03-01"}

// findEntitled asks for each candidate and returns the first who may book now.
func (d *demo) findEntitled(campaign string) (string, error) {
	found := ""
	for _, birthDate := range candidates {
		decision, err := d.call(http.StatusOK, http.MethodPost, campaign+"/eligibility", map[string]any{"birth_date": birthDate})
		if err != nil {
			return "", err
		}
		if decision.text("eligible") == "yes" && found == "" {
			found = birthDate
		}
	}
	if found == "" {
		return "", errors.New("nobody may book at the server's time; " +
			"start it again with `make run CLOCK=2021-07-19T19:58:00+09:00` after deleting .jari/dev/clock.json")
	}
	return found, nil
}

func (d *demo) verify(birthDate string) error {
	// A number of its own for each demo: a phone has a budget of codes a day.
	n, err := rand.Int(rand.Reader, big.NewInt(90_000_000))
	if err != nil {
		return fmt.Errorf("choosing a number: %w", err)
	}
	phone := fmt.Sprintf("010%08d", n.Int64()+10_000_000)
	v, err := d.call(http.StatusAccepted, http.MethodPost, "/v1/verifications", map[string]any{
		"scheme": "phone", "name": "홍길동", "birth_date": birthDate, "phone": phone,
	})
	if err != nil {
		return err
	}
	var code string
	if err := d.await("the code", func(m answer) bool {
		code = regexp.MustCompile(`\d{6}`).FindString(m.text("text"))
		return m.text("kind") == "code" && strings.HasSuffix(m.text("to"), phone[1:]) && code != ""
	}); err != nil {
		return err
	}
	session, err := d.call(http.StatusOK, http.MethodPost,
		"/v1/verifications/"+v.text("verification_id")+"/confirm", map[string]any{"code": code})
	if err != nil {
		return err
	}
	d.headers.Set("Authorization", "Bearer "+session.text("token"))
	return nil
}

// hold takes the first slot with room that the person may have: those of other waves' days are refused, with the reason.
func (d *demo) hold(campaign string, slots answer) (answer, error) {
	tries := 0
	var lastDay string
	for _, s := range slots.list("slots") {
		room, _ := s["remaining"].(float64)
		day := s.text("starts_at")[:len("2006-01-02")]
		if room < 1 || day == lastDay {
			continue
		}
		lastDay = day
		h, err := d.call(http.StatusOK, http.MethodPut, campaign+"/hold", map[string]any{"slot_id": s.text("slot_id")})
		if err == nil {
			return h, nil
		}
		if tries++; tries == 40 {
			return nil, err
		}
	}
	return nil, errors.New("no slot with room could be held")
}

// await looks into the inbox until a message is there, and prints it.
func (d *demo) await(what string, matches func(answer) bool) error {
	deadline := time.Now().Add(10 * time.Second)
	fmt.Fprintf(d.w.out, "\n→ GET /dev/inbox   (until %s is there)\n", what)
	for time.Now().Before(deadline) {
		inbox, err := d.look("/dev/inbox")
		if err != nil {
			return fmt.Errorf("%w; is this a development server?", err)
		}
		for _, m := range inbox.list("messages") {
			if matches(m) {
				fmt.Fprintf(d.w.out, "← 200 OK\n  %s\n", strings.ReplaceAll(m.text("text"), "\n", "\n  "))
				return nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("%s didn't arrive in 10 s", what)
}
