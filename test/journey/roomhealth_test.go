package journey_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// People who are let in may come to any instance: a room is slowed down when booking does badly on one that doesn't lead it,
// and goes on when that one is well again, or gone.
func TestARoomSlowsDownForTheWorstInstance(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(plainRoom))
	other := s.Another(t)
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	until(t, s, httpapi.RoomStateOpen)
	until(t, other, httpapi.RoomStateOpen)
	third := uuid.NewString()
	// tells has a third instance say how it does, as each does every second.
	tells := func(commit time.Duration, errors float64) {
		t.Helper()
		text, err := json.Marshal(map[string]any{"instance": third, "at": time.Now(), "commit": commit, "flush_errors": errors})
		if err == nil {
			err = s.Redis.HSet(t.Context(), "{pulse}:instances", third, text).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	worst := func() (commit time.Duration, errors float64) {
		for _, on := range []*jaritest.Server{s, other} { // one of them leads
			c, e := on.Health()
			commit, errors = max(commit, c), max(errors, e)
		}
		return commit, errors
	}
	jaritest.Eventually(t, soon, "who leads knows that the third does badly", func() bool {
		tells(time.Hour, 0.7)
		commit, errors := worst()
		return commit == time.Hour && errors == 0.7
	})
	jaritest.Eventually(t, soon, "who leads knows that the third is well", func() bool {
		tells(time.Millisecond, 0)
		commit, errors := worst()
		return commit < time.Hour && errors < 0.7
	})
	jaritest.Eventually(t, soon, "it does badly again", func() bool {
		tells(time.Hour, 0)
		commit, _ := worst()
		return commit == time.Hour
	})
	jaritest.Eventually(t, soon, "who is gone slows nobody down", func() bool {
		commit, _ := worst()
		return commit < time.Hour
	})
}
