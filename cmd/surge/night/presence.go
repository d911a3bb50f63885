package night

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"jari/internal/waitingroom"
)

// presence stands for Redis: who is inside, and how many of each call came.
type presence struct {
	inside map[uuid.UUID][2]time.Time // since and until
	came   map[int64]uint64           // by the second of the call
}

func newPresence() *presence {
	return &presence{inside: map[uuid.UUID][2]time.Time{}, came: map[int64]uint64{}}
}

// Enter counts whoever isn't inside.
func (p *presence) Enter(_ context.Context, _ string, person uuid.UUID, now, until time.Time, calledSecond string) (time.Time, error) {
	if stay, ok := p.inside[person]; ok && now.Before(stay[1]) {
		p.inside[person] = [2]time.Time{stay[0], until}
		return stay[0], nil
	}
	if second, err := strconv.ParseInt(calledSecond, 10, 64); err == nil {
		p.came[second]++
	}
	p.inside[person] = [2]time.Time{now, until}
	return now, nil
}

// Since is when somebody inside came.
func (p *presence) Since(_ context.Context, _ string, person uuid.UUID, now time.Time) (time.Time, bool) {
	stay, ok := p.inside[person]
	return stay[0], ok && now.Before(stay[1])
}

// Note is a use of an admission, or its end.
func (p *presence) Note(_ string, person uuid.UUID, since, until time.Time) {
	if until.IsZero() {
		delete(p.inside, person)
		return
	}
	p.inside[person] = [2]time.Time{since, until}
}

// Count is how many are inside. Everybody leaves long before their admission ends by itself.
func (p *presence) Count(context.Context, string, time.Time) (int, error) { return len(p.inside), nil }

// Came fills in who came.
func (p *presence) Came(_ context.Context, _ string, calls waitingroom.History) error {
	for i := range calls {
		if n, known := p.came[calls[i].At.Unix()]; known {
			calls[i].Came = n
		}
	}
	return nil
}

// Tell has nothing to pass on.
func (p *presence) Tell(context.Context) error { return nil }
