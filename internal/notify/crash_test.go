package notify

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"jari/internal/crash"
	"jari/internal/keys"
	"jari/internal/postgres"
)

// The variables that make this test's program a worker that sends until it dies, see TestMain.
const (
	workerURL     = "JARI_TEST_WORKER_POSTGRES"
	workerKeys    = "JARI_TEST_WORKER_KEYS"
	workerGateway = "JARI_TEST_WORKER_GATEWAY"
	workerCrash   = "JARI_TEST_WORKER_CRASH"
)

func TestMain(m *testing.M) {
	if os.Getenv(workerURL) != "" {
		work()
		return
	}
	os.Exit(m.Run())
}

// work is a process of its own that works off messages, and dies where it is told.
func work() {
	fail := func(err error) {
		if err != nil {
			slog.Error("the worker can't work", "error", err)
			os.Exit(3)
		}
	}
	ctx := context.Background()
	fail(crash.Arm(os.Getenv(workerCrash)))
	pool, err := postgres.Open(ctx, os.Getenv(workerURL), postgres.Options{MaxConnections: 6, ConnectTimeout: 10 * time.Second})
	fail(err)
	data, err := keys.NewSealer(os.Getenv(workerKeys), "development", keys.Data)
	fail(err)
	gateway, err := NewHTTPGateway(os.Getenv(workerGateway), "jari", "jari", "1330", 20*time.Second)
	fail(err)
	s, err := NewService(Options{
		Pool: pool, Data: data, Sender: gateway, NoticeKind: "booking_notice", Workers: 2,
		Notices: func(context.Context, uuid.UUID) ([]Message, error) { return nil, nil },
		Forget:  func(context.Context) (int64, error) { return 0, nil }, Log: slog.New(slog.DiscardHandler),
	})
	fail(err)
	fail(s.Start(ctx))
	_, _ = os.Stdout.WriteString("working\n")
	select {}
}

// TestNoDuplicateMessagesThroughKill9 kills a real process at every point between taking a job and writing down that its
// message was sent, lets another go on, and counts what the gateway got.
func TestNoDuplicateMessagesThroughKill9(t *testing.T) {
	t.Parallel()
	for point, want := range map[string]struct {
		got   int32
		state State
	}{
		crash.MessageJob:        {1, Sent},    // nothing was done: whoever comes next sends it
		crash.MessageTaken:      {0, Unknown}, // rather none than two, where the gateway can't be asked
		crash.MessageHandedOver: {1, Unknown},
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			var got atomic.Int32
			gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				got.Add(1)
				w.WriteHeader(http.StatusAccepted)
			}))
			t.Cleanup(gateway.Close)
			line, err := keys.Generate("development", keys.Data)
			if err != nil {
				t.Fatal(err)
			}
			data, err := keys.NewSealer(line, "development", keys.Data)
			if err != nil {
				t.Fatal(err)
			}
			p := setup(t, func(o *Options) { o.Data, o.Workers = data, 0 })
			id := p.queued(message("a"))
			run := func(crashAt string) *exec.Cmd {
				c := exec.CommandContext(t.Context(), os.Args[0])
				c.Env = append(os.Environ(), workerURL+"="+p.pool.Config().ConnString(), workerKeys+"="+line, workerGateway+"="+gateway.URL, workerCrash+"="+crashAt)
				out, err := c.StdoutPipe()
				if err == nil {
					err = c.Start()
				}
				if err != nil {
					t.Fatal(err)
				}
				if !bufio.NewScanner(out).Scan() {
					t.Fatal("the worker doesn't begin")
				}
				return c
			}
			died := run(point).Wait()
			exit, ok := errors.AsType[*exec.ExitError](died)
			if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL { //nolint:forcetypeassert // this is Unix
				t.Fatalf("the worker ended with %v", died)
			}
			// What River's rescue does once the job has been away for long enough.
			if _, err := p.pool.Exec(t.Context(), `
				UPDATE river.river_job SET state = 'available' WHERE kind = 'send_message' AND state = 'running'`); err != nil {
				t.Fatal(err)
			}
			second := run("")
			t.Cleanup(func() { _ = second.Process.Kill(); _ = second.Wait() })
			deadline := time.NewTimer(time.Minute)
			defer deadline.Stop()
			for p.number(`SELECT count(*) FROM messages WHERE settled_at IS NULL`) > 0 {
				select {
				case <-deadline.C:
					t.Fatal("nobody settles the message")
				case <-time.After(20 * time.Millisecond):
				}
			}
			p.wantState(id, want.state)
			if n := got.Load(); n != want.got {
				t.Errorf("the gateway got %d messages, not %d", n, want.got)
			}
		})
	}
}
