package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check is one thing that an instance needs to be ready.
type Check struct {
	Name string
	// Run returns why the instance isn't ready, in words for operators and without secrets.
	Run func(ctx context.Context) error
}

// checkTimeout bounds all checks together; a balancer's own probe usually gives up after a few seconds.
const checkTimeout = 2 * time.Second

// Operations is the handler of the inner listener: /livez, /readyz and /metrics.
func Operations(checks []Check, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
		defer cancel()
		results := run(ctx, checks)
		code := http.StatusOK
		for _, result := range results {
			if result != "ok" {
				code = http.StatusServiceUnavailable
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]any{"ready": code == http.StatusOK, "checks": results})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return mux
}

// run asks all checks at the same time, so that one that hangs doesn't hide the others.
func run(ctx context.Context, checks []Check) map[string]string {
	type result struct{ name, text string }
	answers := make(chan result, len(checks))
	for _, c := range checks {
		go func() {
			text := "ok"
			if err := c.Run(ctx); err != nil {
				text = err.Error()
			}
			answers <- result{c.Name, text}
		}()
	}
	results := make(map[string]string, len(checks))
	for _, c := range checks {
		results[c.Name] = "didn't answer in time"
	}
	for range checks {
		select {
		case a := <-answers:
			results[a.name] = a.text
		case <-ctx.Done():
			return results
		}
	}
	return results
}
