package waitingroom_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math/bits"
	"os"
	"slices"
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

func BenchmarkPosition(b *testing.B) {
	o := waitingroom.NewOrder(seedOf("benchmark"), 1_500_000)
	for i := uint64(0); b.Loop(); i++ {
		o.Position(i % 1_500_000)
	}
}
