package notify_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jari/internal/notify"
)

const (
	to       = "+821020001000"
	text     = "[Jari] 인증번호 123456 & more + 100%"
	password = "hunter2 & co"
)

// gateway is a sendsms that answers as the test wants.
func gateway(t testing.TB, answer http.HandlerFunc) (*httptest.Server, *notify.HTTPGateway) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server, sender(t, server.URL+"/cgi-bin/sendsms?smsc=main", 30*time.Second)
}

func sender(t testing.TB, address string, timeout time.Duration) *notify.HTTPGateway {
	t.Helper()
	g, err := notify.NewHTTPGateway(address, "jari", password, "15771000", timeout)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// mute fails if an error says anything of the message or the account.
func mute(t testing.TB, err error) {
	t.Helper()
	for _, secret := range []string{"1020001000", "hunter2", "123456", "%EC", "15771000"} {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error repeats %q: %v", secret, err)
		}
	}
}

func TestTheGatewayGetsEveryFieldOnce(t *testing.T) {
	t.Parallel()
	requests := make(chan *http.Request, 1)
	_, g := gateway(t, func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		w.WriteHeader(http.StatusAccepted)
	})
	if err := g.Send(t.Context(), notify.Outgoing{To: to, Text: text}); err != nil {
		t.Fatal(err)
	}
	r := <-requests
	if r.Method != http.MethodGet || r.URL.Path != "/cgi-bin/sendsms" {
		t.Errorf("%s %s", r.Method, r.URL.Path)
	}
	want := map[string]string{
		"username": "jari", "password": password, "from": "15771000", "to": to, "text": text, "charset": "UTF-8", "coding": "2",
		"smsc": "main", // what the address brings along stays
	}
	for name, value := range want {
		if got := r.URL.Query()[name]; len(got) != 1 || got[0] != value {
			t.Errorf("%s is %q, not %q", name, got, value)
		}
	}
	if len(r.URL.Query()) != len(want) {
		t.Errorf("it gets %v", r.URL.Query())
	}
}

func TestWhatIsKnownFollowsFromTheStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{
		200: nil, 202: nil,
		429: notify.ErrNotSent, 503: notify.ErrNotSent,
		400: notify.ErrRefused, 401: notify.ErrRefused, 403: notify.ErrRefused, 404: notify.ErrRefused, 422: notify.ErrRefused,
		201: errUnknown, 204: errUnknown, 301: errUnknown, 302: errUnknown, 304: errUnknown, 307: errUnknown,
		500: errUnknown, 502: errUnknown, 504: errUnknown,
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			_, g := gateway(t, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
			})
			err := g.Send(t.Context(), notify.Outgoing{To: to, Text: text})
			if got := known(err); !errors.Is(got, want) && got != want { //nolint:errorlint // nil among them
				t.Errorf("%d tells %v", status, err)
			}
			if asked.Load() != 1 {
				t.Errorf("the gateway was asked %d times", asked.Load())
			}
			mute(t, err)
		})
	}
}

var errUnknown = errors.New("nobody knows")

// known sorts an error into what it tells.
func known(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, notify.ErrNotSent):
		return notify.ErrNotSent
	case errors.Is(err, notify.ErrRefused):
		return notify.ErrRefused
	default:
		return errUnknown
	}
}

func TestAMessageIsntCarriedToAnotherAddress(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another server was asked, with the referer %q", r.Referer())
	}))
	t.Cleanup(elsewhere.Close)
	_, g := gateway(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) })
	if err := g.Send(t.Context(), notify.Outgoing{To: to, Text: text}); known(err) != errUnknown { //nolint:errorlint // sorted
		t.Errorf("%v", err)
	}
}

// no_duplicate_messages: a client that repeats what it sent on a connection which broke sends a message twice.
func TestNoDuplicateMessagesWhenAConnectionBreaks(t *testing.T) {
	t.Parallel()
	var messages atomic.Int32
	_, g := gateway(t, func(w http.ResponseWriter, _ *http.Request) {
		if messages.Add(1) == 1 {
			return // The first is answered, and its connection stays open.
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close() // The others are taken, and the gateway dies before it answers.
	})
	if err := g.Send(t.Context(), notify.Outgoing{To: to, Text: text}); err != nil {
		t.Fatal(err)
	}
	err := g.Send(t.Context(), notify.Outgoing{To: to, Text: text})
	if known(err) != errUnknown { //nolint:errorlint // sorted
		t.Errorf("%v", err)
	}
	mute(t, err)
	if n := messages.Load(); n != 2 {
		t.Errorf("the gateway got %d messages of 2", n)
	}
}

func TestAGatewayThatAnswersTooLateMayHaveTheMessage(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	err := sender(t, server.URL, 50*time.Millisecond).Send(t.Context(), notify.Outgoing{To: to, Text: text})
	if known(err) != errUnknown { //nolint:errorlint // sorted
		t.Errorf("%v", err)
	}
	mute(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = sender(t, server.URL, time.Minute).Send(ctx, notify.Outgoing{To: to, Text: text})
	if known(err) != errUnknown { //nolint:errorlint // sorted
		t.Errorf("a job that was cut off: %v", err)
	}
	mute(t, err)
}

func TestAGatewayThatIsntThereDoesntHaveIt(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"http://" + address + "/sendsms", "http://gateway.invalid/sendsms"} {
		err := sender(t, a, 30*time.Second).Send(t.Context(), notify.Outgoing{To: to, Text: text})
		if known(err) != notify.ErrNotSent { //nolint:errorlint // sorted
			t.Errorf("%s: %v", a, err)
		}
		mute(t, err)
	}
}

func TestAnAddressThatCantBeReadIsRefusedWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	_, err := notify.NewHTTPGateway("http://jari:hunter2@[::1", "jari", "hunter2", "1", time.Second)
	if err == nil {
		t.Fatal("it was taken")
	}
	mute(t, err)
}

func TestTheInboxSendsNothing(t *testing.T) {
	t.Parallel()
	if err := (notify.Inbox{}).Send(t.Context(), notify.Outgoing{To: to, Text: text}); err != nil {
		t.Fatal(err)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	seoul := time.FixedZone("KST", 9*3600)
	visit := notify.Visit{
		Title: "예방접종", Site: "종로의원", Address: "서울 종로구 1", StartsAt: time.Date(2021, time.August, 17, 9, 0, 0, 0, seoul), Reference: "K7M4-2QXD",
	}
	for want, got := range map[string]string{
		"[Jari] 인증번호 012345 (3분간 유효). 다른 사람에게 알려주지 마세요.":                                     notify.CodeText("ko", "012345", 3*time.Minute),
		"[Jari] Your code is 012345. It is valid for 10 min. Tell it to nobody.":             notify.CodeText("en", "012345", 10*time.Minute),
		"[Jari] 예약 완료: 예방접종\n2021년 8월 17일(화) 09:00\n종로의원\n서울 종로구 1\n예약번호 K7M4-2QXD":          notify.VisitText("ko", notify.Booked, visit),
		"[Jari] 예약 변경: 예방접종\n2021년 8월 17일(화) 09:00\n종로의원\n서울 종로구 1\n예약번호 K7M4-2QXD":          notify.VisitText("ko", notify.Moved, visit),
		"[Jari] 예약 취소: 예방접종\n2021년 8월 17일(화) 09:00\n종로의원\n서울 종로구 1\n예약번호 K7M4-2QXD":          notify.VisitText("ko", notify.Cancelled, visit),
		"[Jari] Booked: 예방접종\nTue 17 Aug 2021 09:00\n종로의원\n서울 종로구 1\nReference K7M4-2QXD":    notify.VisitText("en", notify.Booked, visit),
		"[Jari] Moved: 예방접종\nTue 17 Aug 2021 09:00\n종로의원\n서울 종로구 1\nReference K7M4-2QXD":     notify.VisitText("en", notify.Moved, visit),
		"[Jari] Cancelled: 예방접종\nTue 17 Aug 2021 09:00\n종로의원\n서울 종로구 1\nReference K7M4-2QXD": notify.VisitText("en", notify.Cancelled, visit),
	} {
		if got != want {
			t.Errorf("it reads\n%s\nand not\n%s", got, want)
		}
	}
	for day, want := range []string{"일", "월", "화", "수", "목", "금", "토"} {
		visit.StartsAt = time.Date(2021, time.August, 15+day, 23, 30, 0, 0, seoul) // 15 August was a Sunday.
		if got := notify.VisitText("ko", notify.Booked, visit); !strings.Contains(got, "("+want+") 23:30") {
			t.Errorf("%s reads %q", visit.StartsAt.Weekday(), got)
		}
	}
}
