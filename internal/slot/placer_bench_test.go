package slot_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// BenchmarkPlace holds places for as many people as there are, from many callers at once, and reports the CPU of Redis for
// each, and what Redis itself says that each script took.
func BenchmarkPlace(b *testing.B) {
	h := setup(b, 100_000)
	place := h.places(b, "here")[0]
	if err := h.redis.ConfigResetStat(b.Context()).Err(); err != nil {
		b.Fatal(err)
	}
	todo := make(chan struct{}, b.N)
	for range b.N {
		todo <- struct{}{}
	}
	close(todo)
	before := h.cpu(b)
	b.ReportAllocs()
	b.ResetTimer()
	var callers sync.WaitGroup
	for range 256 {
		callers.Go(func() {
			for range todo {
				if _, err := h.Place(b.Context(), h.wish(place, uuid.New())); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	b.StopTimer()
	b.ReportMetric((h.cpu(b)-before)*1e6/float64(b.N), "redis-cpu-µs/op")
	stats, err := h.redis.Info(b.Context(), "commandstats").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(stats) {
		if strings.HasPrefix(line, "cmdstat_evalsha") {
			b.Log(strings.TrimSpace(line))
		}
	}
}

// cpu is how many seconds Redis has computed.
func (h *house) cpu(b *testing.B) (seconds float64) {
	b.Helper()
	said, err := h.redis.Info(b.Context(), "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(said) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(err)
			}
			seconds += n
		}
	}
	return seconds
}
