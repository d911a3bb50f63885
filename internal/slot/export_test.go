package slot

import (
	"context"
	"errors"
	"unsafe"

	"github.com/google/uuid"
)

// BytesPerSlot is what the directory and the rows take for a slot, without those of its site.
const BytesPerSlot = unsafe.Sizeof(record{}) + unsafe.Sizeof(int32(0)) + unsafe.Sizeof(row{})

// ChangedLife is how long a change is remembered.
const ChangedLife = changedLife

// Kept is how many documents are kept.
func (s *Service) Kept() int {
	s.views.CleanUp()
	return s.views.EstimatedSize()
}

// ReleaseNow releases a hold that was read before, however long ago.
func (s *Service) ReleaseNow(ctx context.Context, h Hold) error { return releaseHold(ctx, s.redis, h) }

// Follow asks Redis what changed, as Watch does.
func (s *Service) Follow(ctx context.Context) error { return s.follow(ctx) }

// HearAtMost is how many changes it asks for at once.
func (s *Service) HearAtMost(n int64) { s.mostChanged = n }

// MakeAgain makes a document that is kept anew, whether anything in it changed or not.
func (s *Service) MakeAgain(name Name) *Document {
	v, _ := s.views.GetIfPresent(name)
	v.making.Lock()
	defer v.making.Unlock()
	return s.make(v).document
}

// Drop forgets a document, as the cache does when it is full.
func (s *Service) Drop(name Name) {
	s.views.Invalidate(name)
	s.views.CleanUp()
}

// PlaceTogether places holds with the given ids in one call of the script and returns its words. prior are the slots of the
// holds that are to be given up.
func (s *Service) PlaceTogether(ids []uuid.UUID, wishes []Wish, prior []int64) (words []string, err error) {
	group := make([]*placing, len(wishes))
	for i, w := range wishes {
		p := s.placement(w)
		p.ID, p.priorSlot = ids[i], prior[i]
		group[i] = &placing{placement: p, ctx: context.Background(), done: make(chan struct{})}
	}
	if unknown := s.placer.pipeline(group, true); len(unknown) > 0 {
		return nil, errors.New("Redis doesn't know what was sent to it")
	}
	for _, w := range group {
		err = errors.Join(err, w.err)
		words = append(words, w.outcome.code)
	}
	return words, err
}

// Held is how many holds of a slot Redis remembers.
func (s *Service) Held(ctx context.Context, campaignID string, id int64) (int64, error) {
	return s.redis.ZCard(ctx, holdsKey(campaignID, id)).Result()
}

// AllowPlacements sets how many holds a person may place.
func (s *Service) AllowPlacements(n int) { s.limits.Placements = n }
