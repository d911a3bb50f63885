// Package draw_test counts draws of waiting rooms: that each is a permutation and that none favours anybody. It computes some
// ten million hashes, and nothing in it happens at the same time, so `make test` runs it without the race detector.
package draw_test

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"jari/internal/waitingroom"
)

func seedOf(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }

func TestEveryDrawIsAPermutation(t *testing.T) {
	t.Parallel()
	sizes := []uint64{}
	for n := range uint64(130) {
		sizes = append(sizes, n)
	}
	for b := uint(9); b <= 13; b++ {
		sizes = append(sizes, 1<<b-1, 1<<b, 1<<b+1)
	}
	sizes = append(sizes, 1000, 2999, 3000, 3001)
	for _, n := range sizes {
		taken := make([]bool, n)
		o := waitingroom.NewOrder(seedOf(fmt.Sprint("permutation ", n)), n)
		for i := range n {
			p := o.Position(i)
			if p >= n || taken[p] {
				t.Fatalf("of %d, the index %d gets %d, which isn't there or is taken", n, i, p)
			}
			taken[p] = true
		}
	}
}

// TestADrawFavoursNobody: over 100 draws, the first tenth of those who registered are in all tenths of the line alike, and
// so is every other tenth. The p-values of the chi-square tests must themselves be spread evenly: a draw that were too even
// would be as wrong as one that isn't.
func TestADrawFavoursNobody(t *testing.T) {
	t.Parallel()
	const n, seeds, tenths = 5_000, 100, 10
	ps := make([]float64, seeds)
	for s := range ps {
		var counts [tenths][tenths]float64
		o := waitingroom.NewOrder(seedOf(fmt.Sprint("fair ", s)), n)
		for i := range uint64(n) {
			counts[i*tenths/n][o.Position(i)*tenths/n]++
		}
		chi, want := 0.0, float64(n)/tenths/tenths
		for _, row := range counts {
			for _, c := range row {
				chi += (c - want) * (c - want) / want
			}
		}
		// All rows and columns have the same sum, and both are without replacement: the exact variance of a cell makes the
		// statistic larger by n/(n-1).
		ps[s] = chiSquareP(chi*(n-1)/n, (tenths-1)*(tenths-1))
	}
	if p := kolmogorovP(ps); p < 1e-3 {
		t.Errorf("the p-values of %d draws aren't uniform (p = %.2g): %.3f", seeds, p, ps)
	}
}

// TestSmallDrawsReachEveryOrder: with few people each order of all of them is as likely as any other.
func TestSmallDrawsReachEveryOrder(t *testing.T) {
	t.Parallel()
	for n, orders := range map[uint64]int{2: 2, 3: 6, 4: 24, 5: 120} {
		const each = 60
		counts := map[string]float64{}
		for s := range orders * each {
			o := waitingroom.NewOrder(seedOf(fmt.Sprint("small ", n, s)), n)
			var order strings.Builder
			for i := range n {
				order.WriteString(strconv.FormatUint(o.Position(i), 10))
			}
			counts[order.String()]++
		}
		chi := float64(each * (orders - len(counts)))
		for _, c := range counts {
			chi += (c - each) * (c - each) / each
		}
		if p := chiSquareP(chi, float64(orders-1)); p < 1e-4 {
			t.Errorf("of %d people, the %d orders aren't alike (p = %.2g)", n, orders, p)
		}
	}
}

// TestOnePersonMovesFreely: over many draws, one registration is anywhere alike, and two are in either order.
func TestOnePersonMovesFreely(t *testing.T) {
	t.Parallel()
	const n, seeds, tenths = 1_500_000, 2000, 10
	var counts [tenths]float64
	firstAhead := 0.0
	for s := range seeds {
		o := waitingroom.NewOrder(seedOf(fmt.Sprint("one ", s)), n)
		first, second := o.Position(0), o.Position(1)
		counts[first*tenths/n]++
		if first < second {
			firstAhead++
		}
	}
	chi := 0.0
	for _, c := range counts {
		chi += (c - seeds/tenths) * (c - seeds/tenths) / (seeds / tenths)
	}
	if p := chiSquareP(chi, tenths-1); p < 1e-3 {
		t.Errorf("the first isn't everywhere alike (p = %.2g): %v", p, counts)
	}
	if off := math.Abs(firstAhead-seeds/2) / math.Sqrt(seeds/4); off > 3.5 {
		t.Errorf("the first is ahead of the second %v times of %d", firstAhead, seeds)
	}
}

// chiSquareP is how likely a chi-square of so many degrees of freedom is at least x (the regularised upper gamma function).
func chiSquareP(x, degrees float64) float64 {
	a, x := degrees/2, x/2
	lgamma, _ := math.Lgamma(a)
	front := math.Exp(a*math.Log(x) - x - lgamma)
	if x < a+1 { // the series of the lower function
		term := 1 / a
		sum := term
		for k := a + 1; term > sum*1e-15; k++ {
			term *= x / k
			sum += term
		}
		return 1 - front*sum
	}
	// Lentz's continued fraction of the upper function
	b := x + 1 - a
	c, d := 1e300, 1/b
	h := d
	for i := 1.0; i < 1000; i++ {
		an := -i * (i - a)
		b += 2
		d, c = 1/(an*d+b), b+an/c
		h *= d * c
		if math.Abs(d*c-1) < 1e-15 {
			break
		}
	}
	return front * h
}

// kolmogorovP is how likely values that are drawn uniformly from 0 to 1 lie as unevenly as these, or more so.
func kolmogorovP(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	n, worst := float64(len(values)), 0.0
	for i, v := range values {
		worst = max(worst, v-float64(i)/n, float64(i+1)/n-v)
	}
	l := (math.Sqrt(n) + 0.12 + 0.11/math.Sqrt(n)) * worst
	p := 0.0
	for k := 1.0; k <= 100; k++ {
		p += 2 * math.Pow(-1, k-1) * math.Exp(-2*k*k*l*l)
	}
	return min(max(p, 0), 1)
}

func TestTheTestsOfChanceAreRight(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ x, degrees, want float64 }{{3.841, 1, .05}, {16.919, 9, .05}, {21.666, 9, .01}, {4.168, 9, .9}, {103.01, 81, .05}} {
		if got := chiSquareP(v.x, v.degrees); math.Abs(got-v.want) > v.want*.01 {
			t.Errorf("chi-square %v of %v degrees: %v, not %v", v.x, v.degrees, got, v.want)
		}
	}
	even, skewed := make([]float64, 100), make([]float64, 100)
	for i := range even {
		even[i] = (float64(i) + .5) / 100
		skewed[i] = even[i] * even[i]
	}
	if kolmogorovP(even) < .99 || kolmogorovP(skewed) > 1e-4 {
		t.Errorf("even values have p = %v, skewed ones %v", kolmogorovP(even), kolmogorovP(skewed))
	}
}
