package limit_test

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/limit"
)

func TestABudgetInMemoryIsUsedUpToo(t *testing.T) {
	t.Parallel()
	l := limit.NewLocal(clock.NewSystem(0))
	mine := limit.Budget{Name: "person:1", PerMinute: 600}
	var passed atomic.Int64
	var wg sync.WaitGroup
	begins := time.Now()
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				err := l.Spend(mine)
				if err == nil {
					passed.Add(1)
					continue
				}
				if e, ok := errors.AsType[*fault.Error](err); !ok || e.Code != fault.CodeTooManyRequests || e.RetryAfter <= 0 || e.RetryAfter > 200*time.Millisecond {
					t.Errorf("refused with %v", err)
				}
			}
		})
	}
	wg.Wait()
	if n, most := passed.Load(), 600+int64(time.Since(begins).Seconds()*10)+1; n < 600 || n > most {
		t.Errorf("%d passed, %d at most", n, most)
	}
	// Somebody else may, and so may nearly everybody of many.
	refused := 0
	for i := range 10_000 {
		if l.Spend(limit.Budget{Name: "person:" + strconv.Itoa(2+i), PerMinute: 10}) != nil {
			refused++
		}
	}
	if refused > 5 {
		t.Errorf("%d people who asked once were refused", refused)
	}
}
