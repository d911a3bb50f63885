package slot_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"

	"jari/internal/slot"
)

// Placements that go in one call of the script know what those before them did, whatever they are: the call counts by itself
// what it did, rather than asking again.
func TestACallOfManyDoesWhatAsManyCallsDo(t *testing.T) {
	t.Parallel()
	const capacity, people, calls = 3, 12, 120
	h := setup(t, capacity)
	h.AllowPlacements(1_000_000)
	places := h.places(t, "here")
	type held struct {
		id   uuid.UUID
		slot int64
	}
	random := rand.New(rand.NewPCG(7, 19))
	persons := make([]uuid.UUID, people)
	for i := range persons {
		persons[i] = uuid.New()
	}
	release := func(person uuid.UUID) {
		if err := h.Release(t.Context(), "night", person); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range places {
		h.place(t, h.wish(p, persons[0])) // so that no copy is missing
		release(persons[0])
	}
	holds, counts, seen := map[uuid.UUID]held{}, map[int64]int64{}, map[string]int{}
	for range calls {
		n := 1 + random.IntN(40)
		ids, wishes, prior, want := make([]uuid.UUID, n), make([]slot.Wish, n), make([]int64, n), make([]string, n)
		for i := range n {
			w := h.wish(places[random.IntN(len(places))], persons[random.IntN(people)])
			mine, has := holds[w.Person]
			if has && random.IntN(2) == 0 {
				w.InsteadOf, prior[i] = mine.id, mine.slot
			}
			ids[i], wishes[i] = uuid.New(), w
			others := counts[w.Slot.ID]
			if has && mine.slot == w.Slot.ID {
				others--
			}
			switch {
			case has && w.InsteadOf == uuid.Nil && mine.slot == w.Slot.ID:
				want[i] = "same"
			case has && w.InsteadOf == uuid.Nil:
				want[i] = "holds_other"
			case others >= capacity:
				want[i] = "full"
			default:
				want[i] = "placed"
				if has {
					counts[mine.slot]--
				}
				counts[w.Slot.ID]++
				holds[w.Person] = held{ids[i], w.Slot.ID}
			}
			seen[want[i]]++
		}
		got, err := h.PlaceTogether(ids, wishes, prior)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("a call answered %v, want %v", got, want)
		}
		for id, n := range counts {
			if in, err := h.Held(t.Context(), "night", id); err != nil || in != n {
				t.Fatalf("slot %d has %d holds, want %d (%v)", id, in, n, err)
			}
		}
		// Some go, or everything would be full for good.
		for _, person := range persons[:3] {
			if mine, has := holds[person]; has {
				release(person)
				delete(holds, person)
				counts[mine.slot]--
			}
		}
	}
	for _, word := range []string{"same", "holds_other", "full", "placed"} {
		if seen[word] < 10 {
			t.Errorf("only %d were %s: the test tests too little", seen[word], word)
		}
	}
}
