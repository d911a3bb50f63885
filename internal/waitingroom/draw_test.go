package waitingroom_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/bits"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"jari/internal/waitingroom"
)

var update = flag.Bool("update", false, "write the draw's vectors anew: only when the draw itself is meant to change")

// vectorsFile is held against the client in the browser, too.
const vectorsFile = "testdata/draw-vectors.json"

type vectors struct {
	About  string         `json:"about"`
	Leaves []leafVector   `json:"leaves"`
	Roots  []rootVector   `json:"roots"`
	Seeds  []seedVector   `json:"seeds"`
	Orders []orderVector  `json:"orders"`
	Points []pointsVector `json:"points"`
}

type leafVector struct {
	Room  string `json:"room"`
	Index uint64 `json:"index"`
	Nonce string `json:"nonce"`
	Leaf  string `json:"leaf"`
}

// rootVector is a root of the first Count leaves of the room "r", whose nonces are their index in 16 bytes.
type rootVector struct {
	Count uint64 `json:"count"`
	Root  string `json:"root"`
}

type seedVector struct {
	Root  string `json:"root"`
	Value string `json:"value"`
	Seed  string `json:"seed"`
}

type orderVector struct {
	Seed      string   `json:"seed"`
	N         uint64   `json:"n"`
	Positions []uint64 `json:"positions"`
}

type pointsVector struct {
	Seed string      `json:"seed"`
	N    uint64      `json:"n"`
	At   [][2]uint64 `json:"at"` // index, position
}

func seedOf(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }

func nonceOf(index uint64) (n waitingroom.Nonce) {
	binary.BigEndian.PutUint64(n[8:], index)
	return n
}

func leavesOf(room string, n uint64) [][sha256.Size]byte {
	leaves := make([][sha256.Size]byte, n)
	for i := range n {
		leaves[i] = waitingroom.Leaf(room, i, nonceOf(i))
	}
	return leaves
}

func hexOf(b [sha256.Size]byte) string { return hex.EncodeToString(b[:]) }

func makeVectors() vectors {
	v := vectors{About: "What the draw must give, in Go and in the browser. Bytes are in hexadecimal digits."}
	for i, room := range []string{"r", "", "rush-2021-07-19", "예약"} {
		index := uint64(i) * 1_000_003
		nonce := nonceOf(index * 77)
		v.Leaves = append(v.Leaves, leafVector{room, index, hex.EncodeToString(nonce[:]), hexOf(waitingroom.Leaf(room, index, nonce))})
	}
	for _, n := range []uint64{0, 1, 2, 3, 4, 5, 7, 8, 9, 100} {
		v.Roots = append(v.Roots, rootVector{n, hexOf(waitingroom.Root(leavesOf("r", n)))})
	}
	root := waitingroom.Root(leavesOf("r", 9))
	for _, value := range [][]byte{{}, {0}, []byte("1 8 15 22 36 40"), root[:]} {
		v.Seeds = append(v.Seeds, seedVector{hexOf(root), hex.EncodeToString(value), hexOf(waitingroom.Seed(root, value))})
	}
	for _, n := range []uint64{1, 2, 3, 4, 5, 10, 16, 17, 31, 64, 65, 100} {
		seed := seedOf(fmt.Sprint("order ", n))
		o := orderVector{Seed: hexOf(seed), N: n}
		for i := range n {
			o.Positions = append(o.Positions, waitingroom.Position(seed, n, i))
		}
		v.Orders = append(v.Orders, o)
	}
	// Up to what a number in a browser can say without loss.
	for _, n := range []uint64{1000, 65_536, 65_537, 1_500_000, 10_000_000, 1 << 32, 1<<32 + 1, 1<<52 - 1, 1 << 52, 1<<53 - 1} {
		seed := seedOf(fmt.Sprint("points ", n))
		p := pointsVector{Seed: hexOf(seed), N: n}
		for _, i := range []uint64{0, 1, 2, n / 3, n / 2, n - 2, n - 1, n, n + 5} {
			if i < 1<<53 {
				p.At = append(p.At, [2]uint64{i, waitingroom.Position(seed, n, i)})
			}
		}
		v.Points = append(v.Points, p)
	}
	return v
}

func TestTheDrawGivesWhatItsVectorsSay(t *testing.T) {
	t.Parallel()
	got := makeVectors()
	if *update {
		text, err := json.MarshalIndent(got, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorsFile, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var want vectors
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestRootIsRFC6962s holds the tree against the definition in the RFC, and against its well-known first roots.
func TestRootIsRFC6962s(t *testing.T) {
	t.Parallel()
	var defined func([][sha256.Size]byte) [sha256.Size]byte
	defined = func(leaves [][sha256.Size]byte) [sha256.Size]byte {
		switch n := len(leaves); n {
		case 0:
			return sha256.Sum256(nil)
		case 1:
			return leaves[0]
		default:
			k := 1 << (bits.Len(uint(n-1)) - 1)
			left, right := defined(leaves[:k]), defined(leaves[k:])
			return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
		}
	}
	for n := range uint64(130) {
		leaves := leavesOf("r", n)
		if got, want := waitingroom.Root(leaves), defined(leaves); got != want {
			t.Fatalf("of %d leaves the root is %x, not %x", n, got, want)
		}
	}
	// From the RFC's own test data: the tree over one empty leaf, and over two that it names.
	hash := func(s string) [sha256.Size]byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return sha256.Sum256(append([]byte{0}, b...))
	}
	for want, leaves := range map[string][][sha256.Size]byte{
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d": {hash("")},
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125": {hash(""), hash("00")},
	} {
		if got := hexOf(waitingroom.Root(leaves)); got != want {
			t.Errorf("the root of %d leaves is %s, not %s", len(leaves), got, want)
		}
	}
}

func TestALeafIsOfItsRoomIndexAndNonceAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type registration struct {
			Room  string
			Index uint64
			Nonce waitingroom.Nonce
		}
		one := func(name string) (r registration) {
			r.Room, r.Index = rapid.StringN(0, 3, -1).Draw(t, name+" room"), rapid.Uint64Range(0, 3).Draw(t, name+" index")
			r.Nonce[0] = rapid.ByteRange(0, 2).Draw(t, name+" nonce")
			return r
		}
		a, b := one("a"), one("b")
		same := waitingroom.Leaf(a.Room, a.Index, a.Nonce) == waitingroom.Leaf(b.Room, b.Index, b.Nonce)
		if same != (a == b) {
			t.Fatalf("%+v and %+v: the same leaf is %v", a, b, same)
		}
	})
}

func TestAnyChangeOfTheRegistrationsChangesTheRoot(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		leaves := leavesOf("r", rapid.Uint64Range(2, 40).Draw(t, "n"))
		root := waitingroom.Root(leaves)
		i, j := rapid.IntRange(0, len(leaves)-1).Draw(t, "i"), rapid.IntRange(0, len(leaves)-2).Draw(t, "j")
		if j >= i {
			j++
		}
		swapped := slices.Clone(leaves)
		swapped[i], swapped[j] = swapped[j], swapped[i]
		other := slices.Clone(leaves)
		other[i] = waitingroom.Leaf("r", uint64(i), waitingroom.Nonce{1})
		for what, changed := range map[string][][sha256.Size]byte{
			"swapping two": swapped, "replacing one": other, "leaving one out": slices.Delete(slices.Clone(leaves), i, i+1),
			"adding one": append(slices.Clone(leaves), leaves[i]),
		} {
			if waitingroom.Root(changed) == root {
				t.Fatalf("%s doesn't change the root", what)
			}
		}
	})
}

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

func TestWhoCameAfterTheFreezeStaysBehind(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64().Draw(t, "n")
		index := rapid.Uint64Min(n).Draw(t, "index")
		if got := waitingroom.Position(seedOf("late"), n, index); got != index {
			t.Fatalf("of %d, the index %d gets %d", n, index, got)
		}
	})
}

func TestTheLargestDrawsEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Min(1).Draw(t, "n")
		index := rapid.Uint64Range(0, n-1).Draw(t, "index")
		if got := waitingroom.Position(seedOf("large"), n, index); got >= n {
			t.Fatalf("of %d, the index %d gets %d", n, index, got)
		}
	})
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

func BenchmarkPosition(b *testing.B) {
	o := waitingroom.NewOrder(seedOf("benchmark"), 1_500_000)
	for i := uint64(0); b.Loop(); i++ {
		o.Position(i % 1_500_000)
	}
}
