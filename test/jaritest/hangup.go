package jaritest

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// HangUp sends a request and hangs up without waiting for the answer, as a phone does that goes into airplane mode.
func (s *Server) HangUp(t testing.TB, q Request) {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: jari\r\nContent-Length: %d\r\n", q.Method, q.Path, len(q.Body))
	for name, values := range q.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", name, values[0])
	}
	if _, err := fmt.Fprintf(conn, "%s\r\n%s", b.String(), q.Body); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}
