package notify

import (
	"context"
	"fmt"
	"time"

	"jari/internal/postgres"
)

// Backlog is what the gateway still has to be given.
type Backlog struct {
	// Waiting are messages, and notes of bookings whose messages are still to be made; MostWaiting stands for more.
	Waiting int
	// Oldest is how long the first of them has waited.
	Oldest time.Duration
	// Codes is how long a code that is asked for now waits for its turn, Gateway how long any other message does.
	Codes, Gateway time.Duration
}

// MostWaiting bounds counting: on a bad night there may be millions, and counting them would make it worse.
const MostWaiting = 20_000

// Backlog says how the deployment's messages stand.
func (s *Service) Backlog(ctx context.Context) (b Backlog, err error) {
	var oldest, codes, gateway float64
	err = s.Pool.QueryRow(ctx, `
		WITH waiting AS (
			SELECT created_at FROM river.river_job
			WHERE state IN ('available', 'retryable') AND kind IN ($1, $2) LIMIT $3
		)
		SELECT (SELECT count(*) FROM waiting),
			coalesce(extract(epoch FROM clock_timestamp() - (SELECT min(created_at) FROM waiting)), 0)::float8,
			coalesce(extract(epoch FROM (SELECT free_at FROM message_lines WHERE line = 'codes') - clock_timestamp()), 0)::float8,
			coalesce(extract(epoch FROM (SELECT free_at FROM message_lines WHERE line = 'gateway') - clock_timestamp()), 0)::float8`,
		sendArgs{}.Kind(), noticeArgs{}.Kind(), MostWaiting).Scan(&b.Waiting, &oldest, &codes, &gateway)
	if err != nil {
		return Backlog{}, postgres.Unreachable(fmt.Errorf("reading how many messages wait: %w", err))
	}
	b.Oldest, b.Codes, b.Gateway = seconds(oldest), seconds(codes), seconds(gateway)
	return b, nil
}

func seconds(n float64) time.Duration { return time.Duration(max(0, n) * float64(time.Second)) }
