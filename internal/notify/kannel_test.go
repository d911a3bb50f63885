//go:build linux

package notify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"jari/internal/notify"
	"jari/test/jaritest"
)

// patience is how long anything that has to happen may take on a busy machine.
const patience = time.Minute

// kannel is a running Kannel: a bearerbox, which talks to the network, and a smsbox, which takes messages. It is built
// for Linux alone, because Homebrew has no Kannel.
type kannel struct {
	bearerbox, smsbox *process
	conf              string
	sendsms, admin    string // addresses
	smsc              *smsc
}

// smsc is the network behind Kannel, reached as another Kannel is: by its own sendsms.
type smsc struct {
	mu    sync.Mutex
	parts []url.Values
}

func (s *smsc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.parts = append(s.parts, r.URL.Query())
	s.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, "0: Accepted for delivery") // Kannel looks at the words too.
}

// got returns what arrived for a phone, in the order of its arrival.
func (s *smsc) got(phone string) (parts []url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		if p.Get("to") == phone {
			parts = append(parts, p)
		}
	}
	return parts
}

// read decodes a part as a phone does.
func read(t *testing.T, part url.Values) string {
	t.Helper()
	if part.Get("coding") != "2" || part.Get("charset") != "UTF-16BE" || part.Get("from") != "15771000" {
		t.Errorf("it comes with coding %q, charset %q, from %q", part.Get("coding"), part.Get("charset"), part.Get("from"))
	}
	raw := []byte(part.Get("text"))
	if len(raw)%2 != 0 || len(raw) > 140 {
		t.Fatalf("no SMS has %d bytes of UCS-2", len(raw))
	}
	units := make([]uint16, 0, len(raw)/2)
	for i := 0; i < len(raw); i += 2 {
		units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
	}
	return string(utf16.Decode(units))
}

// process is a program in a process group of its own.
type process struct {
	cmd  *exec.Cmd
	log  string // the file it writes what it does to
	gone chan struct{}
}

func start(t *testing.T, folder, program, conf string) *process {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + program)
	}
	if err != nil {
		t.Fatalf("Kannel's %s isn't installed: `make test` installs it", program)
	}
	output, err := os.CreateTemp(folder, program+"-*.log")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{
		cmd: exec.CommandContext(context.WithoutCancel(t.Context()), path, "-v", "1", conf), // Ended below.
		log: output.Name(), gone: make(chan struct{}),
	}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = folder, output, output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := errors.Join(p.cmd.Start(), output.Close()); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // How it ended doesn't matter, only that it did.
		close(p.gone)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			said := p.said()
			t.Logf("%s said, at the end:\n%s", program, said[max(0, len(said)-3000):])
		}
	})
	return p
}

// kill ends the process at once, as a lost machine does, and returns when it is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.gone
}

func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.gone: // Its number may be somebody else's by now.
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, s) // It may have ended in between.
	}
}

func (p *process) ended() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

func (p *process) said() string {
	said, _ := os.ReadFile(p.log) // What can't be read says nothing.
	return string(said)
}

// startKannel starts a Kannel with a network of its own.
func startKannel(t *testing.T) *kannel {
	t.Helper()
	for range 3 { // A free port may be taken by somebody else before Kannel gets there.
		if k := tryKannel(t); k != nil {
			return k
		}
	}
	t.Fatal("Kannel doesn't start")
	return nil
}

func tryKannel(t *testing.T) *kannel {
	t.Helper()
	k := &kannel{smsc: &smsc{}}
	network := httptest.NewServer(k.smsc)
	t.Cleanup(network.Close)
	folder, ports := t.TempDir(), freePorts(t, 3)
	k.admin, k.sendsms = fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[2])
	k.conf = filepath.Join(folder, "kannel.conf")
	// Without max-messages Kannel cuts a text after its first SMS and says that it was accepted; without concatenation the
	// phone doesn't know which belong together.
	conf := fmt.Sprintf(`group = core
admin-port = %d
admin-interface = "127.0.0.1"
admin-password = "unused"
smsbox-port = %d
smsbox-interface = "127.0.0.1"
box-allow-ip = "127.0.0.1"

group = smsc
smsc = http
smsc-id = main
system-type = kannel
port = 0
smsc-username = "jari"
smsc-password = "network"
send-url = "%s/sendsms"

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = %d
sendsms-interface = "127.0.0.1"

group = sendsms-user
username = "jari"
password = "%s"
max-messages = 10
concatenation = true
`, ports[0], ports[1], network.URL, ports[2], password)
	if err := os.WriteFile(k.conf, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	k.bearerbox = start(t, folder, "bearerbox", k.conf)
	jaritest.Eventually(t, patience, "bearerbox waits for a smsbox", func() bool {
		return k.bearerbox.ended() || answers(t, fmt.Sprintf("127.0.0.1:%d", ports[1]))
	})
	if k.bearerbox.ended() || !k.box(t) {
		return nil
	}
	return k
}

// box starts the smsbox, and tells whether it takes messages.
func (k *kannel) box(t *testing.T) bool {
	t.Helper()
	k.smsbox = start(t, filepath.Dir(k.conf), "smsbox", k.conf)
	jaritest.Eventually(t, patience, "smsbox answers and bearerbox knows it", func() bool {
		return k.smsbox.ended() || answers(t, k.sendsms) && strings.Contains(k.status(t), "smsbox:")
	})
	return !k.smsbox.ended()
}

func (k *kannel) status(t *testing.T) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+k.admin+"/status.txt", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body) // Asked again when it broke off.
	return string(body)
}

func (k *kannel) sender(t *testing.T, password string) *notify.HTTPGateway {
	t.Helper()
	g, err := notify.NewHTTPGateway("http://"+k.sendsms+"/cgi-bin/sendsms", "jari", password, "15771000", patience)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// settled returns when the network has got everything that Kannel had taken: a message after all others goes through.
func (k *kannel) settled(t *testing.T) {
	t.Helper()
	const last = "+821099999999"
	if err := k.sender(t, password).Send(t.Context(), notify.Outgoing{To: last, Text: "끝"}); err != nil {
		t.Fatal(err)
	}
	jaritest.Eventually(t, patience, "the last message arrives", func() bool { return len(k.smsc.got(last)) > 0 })
}

func answers(t *testing.T, address string) bool {
	t.Helper()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	return err == nil && connection.Close() == nil
}

// freePorts asks the kernel for ports that nobody has, all different.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// TestARealKannel sends through Kannel itself, and reads what reaches the network.
func TestARealKannel(t *testing.T) {
	t.Parallel()
	k := startKannel(t)
	long := notify.VisitText("ko", notify.Booked, notify.Visit{
		Title: "코로나19 예방접종 2차", Site: "서울특별시 종로구 예방접종센터 & 보건소", Address: "서울특별시 종로구 율곡로 19길 17-8, 3층 (충신동) 🏥",
		StartsAt: time.Date(2021, time.August, 17, 9, 0, 0, 0, time.FixedZone("KST", 9*3600)), Reference: "K7M4-2QXD",
	})
	if units := len(utf16.Encode([]rune(long))); units <= 70 {
		t.Fatalf("%d characters are one SMS", units)
	}
	g := k.sender(t, password)
	for phone, words := range map[string]string{to: text, "+821020002000": long} {
		if err := g.Send(t.Context(), notify.Outgoing{To: phone, Text: words}); err != nil {
			t.Fatal(err)
		}
	}
	refused := k.sender(t, "wrong").Send(t.Context(), notify.Outgoing{To: "+821020003000", Text: text})
	if known(refused) != notify.ErrRefused { //nolint:errorlint // sorted
		t.Errorf("a wrong password tells %v", refused)
	}
	mute(t, refused)
	k.settled(t)

	if parts := k.smsc.got(to); len(parts) != 1 || parts[0].Get("udh") != "" || read(t, parts[0]) != text {
		t.Errorf("the short text arrives as %q", parts)
	}
	assembled(t, k.smsc.got("+821020002000"), long)
	if parts := k.smsc.got("+821020003000"); len(parts) != 0 {
		t.Errorf("what was refused arrives as %q", parts)
	}

	k.smsbox.kill()
	err := g.Send(t.Context(), notify.Outgoing{To: "+821020004000", Text: text})
	if known(err) != notify.ErrNotSent { //nolint:errorlint // sorted
		t.Errorf("a smsbox that is gone tells %v", err)
	}
	mute(t, err)
	if !k.box(t) {
		t.Fatal("smsbox doesn't start again")
	}
	k.settled(t)
	if parts := k.smsc.got("+821020004000"); len(parts) != 0 {
		t.Errorf("what wasn't sent arrives as %q", parts)
	}
}

// assembled puts the parts of a long text together by their headers, as a phone does.
func assembled(t *testing.T, parts []url.Values, want string) {
	t.Helper()
	texts := make([]string, len(parts))
	for _, p := range parts {
		// 05 00 03: a concatenated message; then its number, how many parts it has and which one this is.
		header := []byte(p.Get("udh"))
		if len(header) != 6 || !bytes.Equal(header[:3], []byte{5, 0, 3}) || int(header[4]) != len(parts) ||
			header[5] < 1 || int(header[5]) > len(parts) || header[3] != parts[0].Get("udh")[3] {
			t.Fatalf("one of %d parts has the header % x", len(parts), header)
		}
		if texts[header[5]-1] != "" {
			t.Errorf("part %d arrives twice", header[5])
		}
		texts[header[5]-1] = read(t, p)
	}
	if got := strings.Join(texts, ""); len(parts) < 2 || got != want {
		t.Errorf("the long text arrives in %d parts as %q", len(parts), got)
	}
}

// TestNoDuplicateMessagesWhenKannelDies kills a smsbox that has a message and hasn't answered: nobody can know whether
// bearerbox has it, so it isn't for sending again.
func TestNoDuplicateMessagesWhenKannelDies(t *testing.T) {
	t.Parallel()
	k := startKannel(t)
	k.bearerbox.signal(syscall.SIGSTOP) // smsbox answers when bearerbox has the message, so it waits.
	told := make(chan error, 1)
	g := k.sender(t, password)
	go func() { told <- g.Send(t.Context(), notify.Outgoing{To: to, Text: text}) }()
	jaritest.Eventually(t, patience, "smsbox has the message", func() bool {
		return strings.Contains(k.smsbox.said(), "sendsms sender:<jari:15771000>")
	})
	select {
	case err := <-told:
		t.Fatalf("it is answered before bearerbox has it: %v", err)
	default:
	}
	k.smsbox.kill()
	err := <-told
	if known(err) != errUnknown { //nolint:errorlint // sorted
		t.Errorf("a smsbox that died with the message tells %v", err)
	}
	mute(t, err)
	k.bearerbox.signal(syscall.SIGCONT)
	if !k.box(t) {
		t.Fatal("smsbox doesn't start again")
	}
	k.settled(t)
	switch parts := k.smsc.got(to); {
	case len(parts) > 1:
		t.Errorf("it arrives %d times", len(parts))
	case len(parts) == 1 && read(t, parts[0]) != text:
		t.Errorf("it arrives as %q", read(t, parts[0]))
	}
}
