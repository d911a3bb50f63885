package pulse

import (
	"math"
	"math/bits"
	"sync/atomic"
)

// A sketch counts how many different things it was shown without keeping any of them (HyperLogLog, Flajolet et al. 2007, with
// the estimator of Ertl 2017): of all hashes that fall into one of 4096 registers it keeps the longest run of leading zeros.
// Sketches of several instances, or hours, are put together by taking the larger of each register, as often as one likes. The
// count is right within 1.6 % (one standard error), and nearly exact for a few hundred.
const (
	sketchBits      = 12
	sketchRegisters = 1 << sketchBits
	// longestRun is the largest value of a register: all bits that don't choose the register are zero.
	longestRun = 64 - sketchBits + 1
)

// sketch is one that is being filled by many at once.
type sketch struct {
	registers [sketchRegisters]atomic.Uint32
	// raised: something was added since the last time that it was written.
	raised atomic.Bool
}

// add shows it a hash. What it was shown before costs two instructions and writes nothing.
func (s *sketch) add(hash uint64) {
	r := &s.registers[hash>>(64-sketchBits)]
	run := uint32(bits.LeadingZeros64(hash<<sketchBits|1<<(sketchBits-1))) + 1 //nolint:gosec // at most 53
	for {
		had := r.Load()
		if had >= run {
			return
		}
		if r.CompareAndSwap(had, run) {
			s.raised.Store(true)
			return
		}
	}
}

// counted is a sketch at rest: a byte for each register. Nil is one that was shown nothing.
type counted []byte

// rest copies what it has.
func (s *sketch) rest() counted {
	c := make(counted, sketchRegisters)
	for i := range s.registers {
		c[i] = byte(s.registers[i].Load()) //nolint:gosec // at most 53
	}
	return c
}

// with is what both were shown. A sketch of another length, or one that no run could have made, adds nothing.
func (c counted) with(other counted) counted {
	if len(other) != sketchRegisters {
		return c
	}
	if len(c) != sketchRegisters {
		c = make(counted, sketchRegisters)
	}
	for i, run := range other {
		if run <= longestRun {
			c[i] = max(c[i], run)
		}
	}
	return c
}

// estimate is how many different things it was shown.
func (c counted) estimate() int64 {
	if len(c) != sketchRegisters {
		return 0
	}
	var of [longestRun + 1]float64
	for _, run := range c {
		of[min(run, longestRun)]++
	}
	const m = float64(sketchRegisters)
	z := m * tau(1-of[longestRun]/m)
	for run := longestRun - 1; run >= 1; run-- {
		z = (z + of[run]) / 2
	}
	z += m * sigma(of[0]/m)
	if math.IsInf(z, 1) {
		return 0 // no register was touched
	}
	return int64(min(math.Round(m*m/(2*math.Ln2)/z), 1<<62))
}

// sigma and tau correct for registers that are empty, and for those that are full.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1., x
	for before := -1.; z != before; {
		x *= x
		before = z
		z += x * y
		y += y
	}
	return z
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1., 1-x
	for before := -1.; z != before; {
		x = math.Sqrt(x)
		before = z
		y /= 2
		z -= (1 - x) * (1 - x) * y
	}
	return z / 3
}
