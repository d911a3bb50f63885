package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// chromium is a running browser, told what to do over two pipes in its own protocol.
type chromium struct {
	to io.Writer

	mu      sync.Mutex
	last    int
	waiting map[int]chan answer
	gone    error
}

// answer is what the browser says to one command.
type answer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// patience is how long anything in the browser may take on a busy machine.
const patience = 60 * time.Second

// findChromium is Chromium or Chrome, whichever there is.
func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{
		"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chromium-headless-shell",
		"/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium: `scripts/install chromium` installs it")
	return ""
}

// startChromium starts a browser with a profile of its own, until the test's end.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	// Not t.TempDir: the browser's helpers may still write when it has ended.
	profile, err := os.MkdirTemp("", "jari-chromium-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	arguments := []string{
		"--headless=new", "--remote-debugging-pipe", "--user-data-dir=" + profile, "--no-first-run", "--no-default-browser-check",
		"--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--password-store=basic", "--use-mock-keychain", "--mute-audio",
		"--disable-dev-shm-usage", // containers have little of it
	}
	if os.Geteuid() == 0 {
		// Chromium refuses to run as root with its sandbox. The only pages that it sees here are the test's own.
		arguments = append(arguments, "--no-sandbox")
	}
	commands, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, answers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	words, err := os.Create(filepath.Join(t.TempDir(), "chromium.log"))
	if err != nil {
		t.Fatal(err)
	}
	process := exec.CommandContext(context.WithoutCancel(t.Context()), findChromium(t), append(arguments, "about:blank")...)
	process.ExtraFiles = []*os.File{commands, answers} // it reads 3 and writes 4
	process.Stdout, process.Stderr = words, words
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	b := &chromium{to: to, waiting: map[int]chan answer{}}
	var reading sync.WaitGroup
	reading.Go(func() { b.read(from) })
	t.Cleanup(func() {
		_, _ = b.call(context.WithoutCancel(t.Context()), "", "Browser.close", nil)
		kill := time.AfterFunc(patience, func() { _ = process.Process.Kill() })
		_ = process.Wait()
		kill.Stop()
		for _, f := range []io.Closer{to, from, words} {
			_ = f.Close()
		}
		reading.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(words.Name())
			t.Logf("the end of what %s said:\n%s", runtime.GOOS, text[max(0, len(text)-2000):])
		}
	})
	for _, f := range []io.Closer{commands, answers} { // the browser has its own
		_ = f.Close()
	}
	return b
}

// read hands each answer to whoever waits for it.
func (b *chromium) read(from io.Reader) {
	lines := bufio.NewReader(from)
	for {
		raw, err := lines.ReadBytes(0)
		if err != nil {
			b.mu.Lock()
			b.gone = fmt.Errorf("the browser is gone: %w", err)
			for _, waits := range b.waiting {
				close(waits)
			}
			b.waiting = map[int]chan answer{}
			b.mu.Unlock()
			return
		}
		var a answer
		if json.Unmarshal(raw[:len(raw)-1], &a) != nil || a.ID == 0 {
			continue // an event
		}
		b.mu.Lock()
		waits := b.waiting[a.ID]
		delete(b.waiting, a.ID)
		b.mu.Unlock()
		if waits != nil {
			waits <- a
		}
	}
}

// call sends a command, to one page if session names it, and waits for its result.
func (b *chromium) call(ctx context.Context, session, method string, params any) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	waits := make(chan answer, 1)
	b.mu.Lock()
	if b.gone != nil {
		b.mu.Unlock()
		return nil, b.gone
	}
	b.last++
	id := b.last
	b.waiting[id] = waits
	command := map[string]any{"id": id, "method": method}
	if params != nil {
		command["params"] = params
	}
	if session != "" {
		command["sessionId"] = session
	}
	raw, err := json.Marshal(command)
	if err == nil {
		_, err = b.to.Write(append(raw, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("telling the browser %s: %w", method, err)
	}
	select {
	case a, open := <-waits:
		switch {
		case !open:
			return nil, errors.New("the browser ended")
		case a.Error != nil:
			return nil, fmt.Errorf("%s: %s", method, a.Error.Message)
		}
		return a.Result, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

// page is one with cookies of its own, as another browser would have.
type page struct {
	t       *testing.T
	browser *chromium
	session string
}

// open opens a page.
func (b *chromium) open(t *testing.T, url string) *page {
	t.Helper()
	p := &page{t: t, browser: b}
	var made struct {
		BrowserContextID string `json:"browserContextId"`
		TargetID         string `json:"targetId"`
		SessionID        string `json:"sessionId"`
	}
	p.do("Target.createBrowserContext", nil, &made)
	p.do("Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": made.BrowserContextID}, &made)
	p.do("Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &made)
	p.session = made.SessionID
	p.do("Network.enable", nil, nil)
	p.do("Page.enable", nil, nil)
	p.do("Page.navigate", map[string]any{"url": url}, nil)
	p.loaded()
	return p
}

// do has the page do something, and fails the test where it can't.
func (p *page) do(method string, params, into any) {
	p.t.Helper()
	raw, err := p.browser.call(p.t.Context(), p.session, method, params)
	if err == nil && into != nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// reload loads the page again, as a person does.
func (p *page) reload() {
	p.t.Helper()
	p.eval(`window.loaded = false`, nil)
	p.do("Page.reload", nil, nil)
	p.loaded()
}

// loaded waits until the page's own script has run.
func (p *page) loaded() {
	p.t.Helper()
	deadline, again := time.NewTimer(patience), time.NewTicker(20*time.Millisecond)
	defer deadline.Stop()
	defer again.Stop()
	for {
		if done, err := p.try(`window.loaded === true`); err == nil && string(done) == "true" {
			return
		}
		select {
		case <-deadline.C:
			p.t.Fatal("the page isn't loaded")
		case <-again.C:
		}
	}
}

// offline is airplane mode.
func (p *page) offline(is bool) {
	p.t.Helper()
	p.do("Network.emulateNetworkConditions", map[string]any{
		"offline": is, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
	}, nil)
}

// eval runs a script as the console would, waits for what it promises, and reads its value.
func (p *page) eval(script string, into any) {
	p.t.Helper()
	raw, err := p.try(script)
	if err == nil && into != nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
}

func (p *page) try(script string) (json.RawMessage, error) {
	raw, err := p.browser.call(p.t.Context(), p.session, "Runtime.evaluate", map[string]any{
		"expression": script, "awaitPromise": true, "returnByValue": true,
	})
	if err != nil {
		return nil, err
	}
	var got struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception *struct {
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
			Text string `json:"text"`
		} `json:"exceptionDetails"`
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		return nil, err
	}
	if got.Exception != nil {
		return nil, fmt.Errorf("%s %s", got.Exception.Text, got.Exception.Exception.Description)
	}
	return got.Result.Value, nil
}
