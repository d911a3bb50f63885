package slot

import (
	"context"
	"unsafe"
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
