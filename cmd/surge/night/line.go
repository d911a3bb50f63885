package night

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"jari/internal/waitingroom"
)

// line is what the server keeps of who stands where: one entry per person, and nothing per device.
type line struct {
	bug    Bug
	chance *rand.Rand

	// place is the index or number + 1 of each person; 0 is none. With the bug it is of each device.
	place  []uint32
	perKey int // keys of a person
	nonces []waitingroom.Nonce

	registered []uint32 // persons by index, up to the freeze
	seed       [32]byte
	order      []uint32 // index by position
	position   []uint32 // position by index
	n          uint64
	frozen     bool

	numbers []uint32 // persons + 1 by number; 0 where nobody has it
	times   []uint32 // ms at which it was handed out
	twice   map[uint32][]uint32
	blocks  [instances]block
	recent  int    // tickets in the last second, for the size of blocks
	second  uint32 // of recent
	rate    int
	told    int // numbers up to here were looked at by calledAhead
}

// block are numbers that one instance may hand out.
type block struct {
	next, end int
	taken     uint32 // ms
}

const room = "night"

func newLine(o Options, chance *rand.Rand) *line {
	l := &line{bug: o.Bug, chance: chance, perKey: 1, twice: map[uint32][]uint32{}}
	if o.Bug == ByDevice {
		l.perKey = 1 << deviceBits
	}
	l.place = make([]uint32, o.Persons*l.perKey)
	return l
}

func (l *line) key(id uint32, device uint8) int {
	if l.bug == ByDevice {
		return int(id)*l.perKey + int(device)
	}
	return int(id)
}

// ticket gives a person their place, and tells whether it is a new one.
func (l *line) ticket(id uint32, device uint8, at uint32, reload bool) (fresh bool) {
	place := &l.place[l.key(id, device)]
	if *place != 0 && (l.bug != ReloadLoses || !reload) {
		return false
	}
	if !l.frozen {
		var nonce waitingroom.Nonce
		binary.BigEndian.PutUint64(nonce[:], l.chance.Uint64())
		binary.BigEndian.PutUint64(nonce[8:], l.chance.Uint64())
		l.nonces = append(l.nonces, nonce)
		l.registered = append(l.registered, id)
		*place = uint32(len(l.registered)) //nolint:gosec // below mostPersons times devices
		return true
	}
	number := l.take(at)
	if l.numbers[number] != 0 {
		l.twice[uint32(number)] = append(l.twice[uint32(number)], id) //nolint:gosec // as above
	} else {
		l.numbers[number] = id + 1
	}
	l.times[number] = at
	*place = uint32(len(l.registered)+number) + 1 //nolint:gosec // as above
	return true
}

// take is the next number of whichever instance was asked, from a block that holds about 50 ms of arrivals.
func (l *line) take(at uint32) int {
	if s := at / 1000; s != l.second {
		l.rate, l.recent, l.second = l.recent, 0, s
	}
	l.recent++
	b := &l.blocks[l.chance.IntN(instances)]
	if b.next == b.end || at > b.taken+blockLife {
		size := max(1, l.rate*blockLength/1000/instances)
		b.next, b.taken = len(l.numbers), at
		if l.bug == BlocksTwice && l.chance.IntN(1000) == 0 {
			b.next = max(0, b.next-size)
		}
		b.end = b.next + size
		for len(l.numbers) < b.end {
			l.numbers, l.times = append(l.numbers, 0), append(l.times, 0)
		}
	}
	b.next++
	return b.next - 1
}

// issued is how many positions were handed out, those of the draw among them.
func (l *line) issued() uint64 { return uint64(len(l.registered) + len(l.numbers)) }

// positionOf is what the person's client computes from the ticket and what is published.
func (l *line) positionOf(id uint32) uint64 {
	place := l.place[int(id)*l.perKey]
	if place == 0 {
		return 1 << 62
	}
	if index := uint64(place - 1); index >= l.n {
		return index
	}
	return uint64(l.position[place-1])
}

// owners are the persons at a position.
func (l *line) owners(position uint64) []uint32 {
	if position < l.n {
		return l.registered[l.order[position]:][:1]
	}
	number := uint32(position - l.n) //nolint:gosec // below issued
	owners := l.twice[number]
	if l.numbers[number] != 0 {
		owners = append(owners[:len(owners):len(owners)], l.numbers[number]-1)
	}
	return owners
}

// calledAhead tells of those whose number was handed out when it had been called already.
func (l *line) calledAhead(serving uint64, tell func(id uint32)) {
	if serving < l.n {
		return
	}
	// A block that is still being handed out is looked at again.
	for number := l.told; number < len(l.numbers) && l.n+uint64(number) < serving; number++ { //nolint:gosec // an index
		if l.numbers[number] != 0 {
			tell(l.numbers[number] - 1)
		}
		if l.second*1000 > l.times[number]+2*blockLife && number == l.told && l.times[number] != 0 {
			l.told++
		}
	}
}

// draw freezes the registrations, publishes them, draws, and checks what was published as anybody could.
func (n *night) draw() error {
	l := n.line
	l.frozen, l.n = true, uint64(len(l.registered))
	var tree waitingroom.Tree
	leaves := &leafReader{nonces: l.nonces}
	for i, nonce := range l.nonces {
		tree.Add(waitingroom.Leaf(room, uint64(i), nonce))
	}
	root := tree.Root()
	value := binary.BigEndian.AppendUint64(nil, n.chance.Uint64())
	l.seed = waitingroom.Seed(root, value)
	l.position, l.order = make([]uint32, l.n), make([]uint32, l.n)
	var workers sync.WaitGroup
	step := (l.n + uint64(runtime.GOMAXPROCS(0)) - 1) / uint64(runtime.GOMAXPROCS(0)) //nolint:gosec // a few
	for from := uint64(0); from < l.n; from += step {
		workers.Go(func() {
			order := waitingroom.NewOrder(l.seed, l.n)
			for i := from; i < min(from+step, l.n); i++ {
				if l.position[i] = uint32(order.Position(i)); l.bug == BadOrder { //nolint:gosec // below n
					l.position[i] = uint32(i) //nolint:gosec // below n
				}
			}
		})
	}
	workers.Wait()
	held := make([]bool, l.n)
	for i, position := range l.position {
		if held[position] {
			n.report.Duplicates++
		}
		held[position] = true
		l.order[position] = uint32(i)
	}
	opened := time.Unix(opensAt, 0).UTC()
	verdict, err := waitingroom.Verify(waitingroom.PublishedDraw{
		Format: waitingroom.DrawFormat, Room: room, N: l.n, Root: hex.EncodeToString(root[:]), PublishedAt: opened.Add(-30 * time.Second),
		Source: waitingroom.ValueSource{Kind: waitingroom.SourceLocal, At: opened}, Value: hex.EncodeToString(value),
		Seed: hex.EncodeToString(l.seed[:]),
	}, leaves, nil)
	if err != nil {
		return fmt.Errorf("verifying the draw: %w", err)
	}
	n.report.Registered, n.report.DrawVerified = int(l.n), verdict.Good() //nolint:gosec // below mostPersons
	return nil
}
