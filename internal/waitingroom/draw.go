package waitingroom

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/bits"
)

// The draw orders those who registered before the opening. What decides it is published in two steps, so that nobody can
// choose among outcomes: first the root of all registrations, then a public random value that didn't exist before. From
// both follows a seed, and from the seed everybody's position, which a browser computes by itself.

// Nonce is what makes a registration's leaf impossible to guess. It is in the ticket, and nowhere public.
type Nonce [16]byte

// The domains of RFC 6962: a leaf can never be taken for a node.
const (
	leafDomain byte = 0x00
	nodeDomain byte = 0x01
)

// Leaf is what is published of the registration with an index: SHA-256(0x00 ‖ room ‖ index, 8 bytes ‖ nonce). It says
// nothing of the person, and who has the ticket can show that it is theirs.
func Leaf(room string, index uint64, nonce Nonce) [sha256.Size]byte {
	data := make([]byte, 0, 1+len(room)+8+len(nonce))
	data = append(data, leafDomain)
	data = append(data, room...) // What follows has a fixed length, so nothing can be moved across this border.
	data = binary.BigEndian.AppendUint64(data, index)
	data = append(data, nonce[:]...)
	return sha256.Sum256(data)
}

// Root is the root of the Merkle tree over leaves in the order of their indices, as RFC 6962 has it.
func Root(leaves [][sha256.Size]byte) [sha256.Size]byte {
	var t Tree
	for _, leaf := range leaves {
		t.Add(leaf)
	}
	return t.Root()
}

// Tree takes leaves one after the other and keeps only what the root needs: as many hashes as the number of leaves has
// binary digits. Its zero value is the empty tree.
type Tree struct {
	// complete are the roots of complete subtrees, the largest first: one for each 1 in the binary digits of count.
	complete [][sha256.Size]byte
	count    uint64
}

// Add takes the leaf of the next index.
func (t *Tree) Add(leaf [sha256.Size]byte) {
	for range bits.TrailingZeros64(^t.count) { // Each trailing 1 carries: two subtrees of one size become one.
		last := len(t.complete) - 1
		leaf = node(t.complete[last], leaf)
		t.complete = t.complete[:last]
	}
	t.complete = append(t.complete, leaf)
	t.count++
}

// Len is how many leaves were added.
func (t *Tree) Len() uint64 { return t.count }

// Root is the root so far; of no leaves it is SHA-256 of nothing.
func (t *Tree) Root() [sha256.Size]byte {
	last := len(t.complete) - 1
	if last < 0 {
		return sha256.Sum256(nil)
	}
	root := t.complete[last]
	for i := last - 1; i >= 0; i-- {
		root = node(t.complete[i], root)
	}
	return root
}

func node(left, right [sha256.Size]byte) [sha256.Size]byte {
	var data [1 + 2*sha256.Size]byte
	data[0] = nodeDomain
	copy(data[1:], left[:])
	copy(data[1+sha256.Size:], right[:])
	return sha256.Sum256(data[:])
}

// Seed is SHA-256(root ‖ value): fixed by the registrations and by a value that nobody could know when they were.
func Seed(root [sha256.Size]byte, value []byte) [sha256.Size]byte {
	return sha256.Sum256(append(root[:len(root):len(root)], value...))
}

// Position is where the draw puts a registration: a keyed permutation of 0…n−1. An index that wasn't among the n keeps its
// number, which is behind everybody who was.
func Position(seed [sha256.Size]byte, n, index uint64) uint64 {
	return NewOrder(seed, n).Position(index)
}

// drawRounds are the rounds of the Feistel network.
const drawRounds = 10

// leastWidth are the bits that a half has at least. The network gives even permutations only; of a handful of people that
// would favour some orders, and where nearly all goes fall outside it doesn't show any more.
const leastWidth = 4

// drawLabel begins what each round authenticates, so that no other use of the seed gives the same numbers.
const drawLabel = "jari draw 1"

// Order is the outcome of a draw. It isn't safe for concurrent use; Position is.
//
// It is a Feistel network over twice as many bits as half of n's need, with HMAC-SHA-256(seed, label ‖ n ‖ round ‖ right
// half) as its round function. What falls outside of 0…n−1 goes through it again until it falls inside: that keeps it a
// permutation. From 64 people on, the network covers at most four times n, so that it takes four goes on average at
// the worst.
type Order struct {
	mac   hash.Hash
	n     uint64
	width uint // bits of a half
	text  [len(drawLabel) + 8 + 1 + 8]byte
	sum   [sha256.Size]byte
}

// NewOrder returns the order that a seed gives n registrations.
func NewOrder(seed [sha256.Size]byte, n uint64) *Order {
	o := &Order{mac: hmac.New(sha256.New, seed[:]), n: n, width: leastWidth}
	if n > 1 {
		o.width = max(leastWidth, uint(bits.Len64(n-1)+1)/2)
	}
	copy(o.text[:], drawLabel)
	binary.BigEndian.PutUint64(o.text[len(drawLabel):], n)
	return o
}

// Position is the position of an index, as Position says.
func (o *Order) Position(index uint64) uint64 {
	if index >= o.n {
		return index
	}
	for {
		if index = o.once(index); index < o.n {
			return index
		}
	}
}

func (o *Order) once(x uint64) uint64 {
	mask := uint64(1)<<o.width - 1
	left, right := x>>o.width, x&mask
	for round := range byte(drawRounds) {
		o.text[len(drawLabel)+8] = round
		binary.BigEndian.PutUint64(o.text[len(drawLabel)+9:], right)
		o.mac.Reset()
		o.mac.Write(o.text[:])
		left, right = right, left^binary.BigEndian.Uint64(o.mac.Sum(o.sum[:0]))&mask
	}
	return left<<o.width | right
}
