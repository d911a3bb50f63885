package booking

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/token"
)

// FlushAlone decides holds of one campaign by one flush of the group commit, without HTTP and without Redis, and returns
// how many bookings it made. It is for measuring what Postgres's share of a booking costs; what serves goes through
// Service.Confirm. A hold of somebody whom another flush books at this moment stays undecided and isn't counted. It
// returns what stopped the flush, such as fault.CodeStoreUnavailable.
func FlushAlone(ctx context.Context, pool *pgxpool.Pool, campaign string, holds []token.Hold) (booked int, err error) {
	f, err := flush(ctx, pool, campaign, nil, requestsFor(holds), how{})
	if err != nil {
		return 0, err
	}
	for _, fresh := range f.fresh {
		if fresh {
			booked++
		}
	}
	return booked, nil
}

func requestsFor(holds []token.Hold) []request {
	requests, references := make([]request, len(holds)), newReferences(len(holds))
	for i, h := range holds {
		requests[i] = request{hold: h, id: uuid.New(), reference: references[i]}
	}
	return requests
}
