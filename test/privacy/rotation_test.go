package privacy_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/keys"
	"jari/test/jaritest"
)

// TestKeysRotateUnderLoadAndRefuseNobody takes both keysets through all three steps on two instances that are replaced one
// after the other, while people come, book and look, each time at either of the two; and reseals all rows meanwhile.
func TestKeysRotateUnderLoadAndRefuseNobody(t *testing.T) {
	t.Parallel()
	// The faster the machine, the more the crowd asks.
	first := jaritest.Start(t, jaritest.WithEnvironment("JARI_RATE_PERSON", "1000000"), jaritest.WithEnvironment("JARI_RATE_BLOCK", "1000000"))
	unit := first.Slot(t, jaritest.SiteOfMany, dayE3)
	crowd := first.NewCrowd(t, 6, jaritest.BornForE3)
	veteran := first.NewCitizen(t, jaritest.BornForE3) // whose session is older than the rotation

	var instances [2]atomic.Pointer[jaritest.Server]
	instances[0].Store(first)
	instances[1].Store(first.Another(t))
	var served atomic.Int64
	var mu sync.Mutex
	var refused []string
	var working sync.WaitGroup
	stop := make(chan struct{})
	for i := range crowd {
		working.Go(func() {
			for turn := 0; ; turn++ {
				select {
				case <-stop:
					return
				default:
				}
				mu.Lock()
				c := crowd[i] // with the session of now
				mu.Unlock()
				for _, q := range []jaritest.Request{
					c.Request(http.MethodPut, first.Path("/hold"), jaritest.HoldBody(unit)),
					c.Request(http.MethodGet, first.Path("/hold"), nil),
					c.Request(http.MethodGet, "/v1/me", nil),
					c.Request(http.MethodDelete, first.Path("/hold"), nil),
				} {
					got, err := instances[(i+turn)%2].Load().Exchange(t.Context(), q)
					served.Add(1)
					if err == nil && (got.Status < 400 || got.Code == fault.CodeHoldLimit || got.Code == fault.CodeNoHold) {
						continue
					}
					mu.Lock()
					refused = append(refused, fmt.Sprintf("%s %s: %d %s %v", q.Method, q.Path, got.Status, got.Code, err))
					mu.Unlock()
				}
			}
		})
	}
	// served so many more requests, so that every state of the rollout is met.
	meet := func() {
		from := served.Load()
		jaritest.Eventually(t, time.Minute, "requests are served", func() bool { return served.Load() >= from+40 })
	}
	tokens, data := first.Variable("JARI_TOKEN_KEYS"), first.Variable("JARI_DATA_KEYS")
	roll := func(step keys.Step) {
		tokens, data = rotate(t, tokens, keys.Tokens, step), rotate(t, data, keys.Data, step)
		for i := range instances {
			meet()
			next := first.Another(t, jaritest.WithEnvironment("JARI_TOKEN_KEYS", tokens), jaritest.WithEnvironment("JARI_DATA_KEYS", data),
				jaritest.WithEnvironment("JARI_HOLDS_PER_PERSON", "1000"))
			previous := instances[i].Swap(next)
			meet()
			previous.Stop(t)
		}
		meet()
	}
	roll(keys.Add)
	roll(keys.Promote)
	resealed, err := first.Office(t, jaritest.WithEnvironment("JARI_DATA_KEYS", data)).Reseal(t.Context())
	if err != nil || resealed.Rows == 0 || resealed.Unopened != 0 {
		t.Errorf("resealed %+v, %v", resealed, err)
	}
	// What was sealed with the old key would expire by now; whoever comes back has a session sealed with the new one.
	renewed := instances[0].Load()
	for i, c := range crowd {
		again := c.At(renewed)
		again.Verify(t)
		again.Admit(t)
		mu.Lock()
		crowd[i] = again
		mu.Unlock()
	}
	meet()
	roll(keys.Retire)
	close(stop)
	working.Wait()
	for _, r := range refused[:min(len(refused), 10)] {
		t.Error(r)
	}
	if len(refused) > 0 || served.Load() < 500 {
		t.Errorf("%d of %d requests were refused while keys rotated", len(refused), served.Load())
	}
	t.Logf("%d requests while two keysets went through three steps on two instances, %d refused; %d rows resealed", served.Load(), len(refused), resealed.Rows)
	// The control: a session from before is over with its key, and its person is told to verify again.
	veteran.At(instances[0].Load()).Do(t, http.MethodGet, "/v1/me", nil).Want(t, http.StatusUnauthorized, fault.CodeSessionRequired)
}
