package pulse

import (
	"encoding/binary"
	"math"
	"sync"
	"testing"

	"github.com/dchest/siphash"
)

// hashOf is the hash of the nth of many different people.
func hashOf(n uint64) uint64 {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return siphash.Hash(1, 2, b[:])
}

func TestASketchCountsDifferentPeople(t *testing.T) {
	t.Parallel()
	for _, people := range []uint64{0, 1, 2, 10, 100, 1000, 20_000, 1_500_000} {
		var s sketch
		for n := range people {
			s.add(hashOf(n))
		}
		// Six million requests of one and a half million people: who comes again isn't another.
		for n := range min(people, 300_000) {
			for range 3 {
				s.add(hashOf(n))
			}
		}
		got := s.rest().estimate()
		// Four standard errors: hashes are fixed, so this either holds for ever or not at all.
		if off := math.Abs(float64(got) - float64(people)); off > max(0.2, 4*0.0163*float64(people)) {
			t.Errorf("%d people are counted as %d", people, got)
		}
	}
}

func TestSketchesOfInstancesAreOne(t *testing.T) {
	t.Parallel()
	var whole sketch
	parts := make([]sketch, 3)
	for n := range uint64(30_000) {
		whole.add(hashOf(n))
		parts[n%3].add(hashOf(n))
		parts[(n+1)%3].add(hashOf(n)) // most people are seen by two
	}
	var together counted
	for range 2 { // once more changes nothing
		for i := range parts {
			together = together.with(parts[i].rest())
		}
	}
	if together.estimate() != whole.rest().estimate() {
		t.Errorf("together %d, whole %d", together.estimate(), whole.rest().estimate())
	}
	for name, broken := range map[string]counted{"nothing": nil, "half": make(counted, 100), "impossible": full(255)} {
		if got := together.with(broken).estimate(); got != together.estimate() {
			t.Errorf("%s changed the count to %d", name, got)
		}
	}
	if got := counted(nil).with(whole.rest()).estimate(); got != whole.rest().estimate() {
		t.Errorf("with nothing before: %d", got)
	}
	if got := full(longestRun).estimate(); got < 1<<60 {
		t.Errorf("a full one says %d", got)
	}
}

func full(run byte) counted {
	c := make(counted, sketchRegisters)
	for i := range c {
		c[i] = run
	}
	return c
}

func TestASketchIsFilledByManyAtOnce(t *testing.T) {
	t.Parallel()
	var alone, together sketch
	var crowd sync.WaitGroup
	for g := range uint64(8) {
		crowd.Go(func() {
			for n := range uint64(5000) {
				together.add(hashOf(n*8 + g))
			}
		})
	}
	for n := range uint64(40_000) {
		alone.add(hashOf(n))
	}
	crowd.Wait()
	if string(alone.rest()) != string(together.rest()) {
		t.Error("what came at once was lost")
	}
}
