package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"jari/test/storetest"
)

// TestHeadersThatAreTooLargeOrTooSlowAreCutOff asks the listeners as `jari serve` has them.
func TestHeadersThatAreTooLargeOrTooSlowAreCutOff(t *testing.T) {
	t.Parallel()
	a := start(t, load(t, environment(t, storetest.PostgresURL(t), storetest.RedisURL(t),
		"JARI_HEADER_BYTES=4096", "JARI_HEADER_TIMEOUT=1s")))
	listener := func() net.Listener {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	public, operations := listener(), listener()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx, public, operations) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("stopping: %v", err)
		}
	}()
	for name, address := range map[string]string{"public": public.Addr().String(), "operations": operations.Addr().String()} {
		connect := func() net.Conn {
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			return c
		}
		status := func(c net.Conn) int {
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			defer func() { _ = r.Body.Close() }()
			return r.StatusCode
		}
		// net/http gives 4096 bytes more than it is told, for its own buffer.
		for size, want := range map[int]int{2000: http.StatusNotFound, 9000: http.StatusRequestHeaderFieldsTooLarge} {
			c := connect()
			// A server that refuses may hang up before it has read everything; what counts is its answer.
			_, _ = fmt.Fprintf(c, "GET /nowhere HTTP/1.1\r\nHost: jari\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", size))
			if got := status(c); got != want {
				t.Errorf("%s: headers of %d bytes are answered %d, want %d", name, size, got, want)
			}
		}
		slow := connect()
		began := time.Now()
		if _, err := io.WriteString(slow, "GET /nowhere HTTP/1.1\r\nHost: jari\r\n"); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(slow)
		took := time.Since(began)
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			t.Errorf("%s: a client that doesn't end its headers is waited for", name)
		}
		if len(rest) > 0 && !strings.HasPrefix(string(rest), "HTTP/1.1 408") {
			t.Errorf("%s: half a request is answered %q", name, rest)
		}
		if took < 900*time.Millisecond {
			t.Errorf("%s: headers may take a second and were cut off after %s", name, took)
		}
	}
}
