package rig

import (
	"testing"

	"github.com/google/uuid"
)

func TestPersonsHaveDifferentIDsThatAreTheSameEachTime(t *testing.T) {
	t.Parallel()
	seen := map[uuid.UUID]bool{}
	for seed := range uint64(3) {
		for n := range 10_000 {
			id := PersonID(seed*0x1234567, n)
			if seen[id] {
				t.Fatalf("person %d of seed %d has the id of somebody else", n, seed)
			}
			seen[id] = true
			if id != PersonID(seed*0x1234567, n) || id.Version() != 4 || id.Variant() != uuid.RFC4122 {
				t.Fatalf("person %d has the id %s", n, id)
			}
		}
	}
}
