package contract_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"jari/test/jaritest"
)

// Reading a document over HTTP, beside a handler that does nothing but write the same bytes.
func BenchmarkDocumentsOverHTTP(b *testing.B) {
	s := jaritest.Start(b, jaritest.WithExample(), jaritest.WithEnvironment("JARI_LOG_LEVEL", "INFO"))
	var site string
	if err := s.Pool.QueryRow(b.Context(), `SELECT site_id FROM slots ORDER BY slot_id LIMIT 1`).Scan(&site); err != nil {
		b.Fatal(err)
	}
	for what, path := range map[string]string{"day": s.Path("/regions/jeju/days/2021-08-17"), "site": s.Path("/sites/" + site + "/slots")} {
		body := s.Do(b, http.MethodGet, path, nil).Want(b, http.StatusOK).Body
		e := echo.New()
		e.GET("/*", func(c echo.Context) error { return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, body) })
		empty := httptest.NewServer(e)
		b.Cleanup(empty.Close)
		for which, url := range map[string]string{"jari": s.URL, "empty": empty.URL} {
			b.Run(what+"/"+which, func(b *testing.B) { request(b, strings.TrimPrefix(url, "http://"), path) })
		}
	}
}

// request sends the same request again and again over connections that cost next to nothing: all answers are equally long.
func request(b *testing.B, address, path string) {
	b.Helper()
	text := []byte("GET " + path + " HTTP/1.1\r\nHost: jari\r\n\r\n")
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", address)
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		length, answers := int64(0), bufio.NewReaderSize(conn, 64<<10)
		for pb.Next() {
			if _, err := conn.Write(text); err != nil {
				b.Error(err)
				return
			}
			if length == 0 {
				if length, err = measure(answers); err != nil {
					b.Error(err)
					return
				}
				continue
			}
			if _, err := io.CopyN(io.Discard, answers, length); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// measure reads one answer and tells how long it was.
func measure(answers *bufio.Reader) (length int64, err error) {
	count := &counter{from: answers}
	answer, err := http.ReadResponse(bufio.NewReaderSize(count, 1), nil)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return 0, err
	}
	return count.bytes, answer.Body.Close()
}

// counter counts what is read, byte by byte, so that nothing of the next answer is.
type counter struct {
	from  *bufio.Reader
	bytes int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.from.Read(p[:1])
	c.bytes += int64(n)
	return n, err
}
