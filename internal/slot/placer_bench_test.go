package slot_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// BenchmarkPlace holds places for as many people as there are, from many callers at once, and reports what Redis itself
// says that each script took.
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
