package night

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"runtime"
	"sync"
	"time"

	"jari/internal/waitingroom"
)

// draw freezes the registrations, publishes them, draws, and checks what was published as anybody could.
func (n *night) draw() error {
	l := n.ledger
	drawn := uint64(len(l.registered))
	l.row.State, l.row.Drawn = waitingroom.Drawing, &drawn
	var tree waitingroom.Tree
	for i, nonce := range l.nonces {
		tree.Add(waitingroom.Leaf(room, uint64(i), nonce))
	}
	root := tree.Root()
	value := binary.BigEndian.AppendUint64(nil, n.chance.Uint64())
	seed := waitingroom.Seed(root, value)
	n.position, n.order = make([]uint32, drawn), make([]uint32, drawn)
	var workers sync.WaitGroup
	step := (drawn + uint64(runtime.GOMAXPROCS(0)) - 1) / uint64(runtime.GOMAXPROCS(0)) //nolint:gosec // a few
	for from := uint64(0); from < drawn; from += step {
		workers.Go(func() {
			order := waitingroom.NewOrder(seed, drawn)
			for i := from; i < min(from+step, drawn); i++ {
				if n.position[i] = uint32(order.Position(i)); n.Bug == BadOrder { //nolint:gosec // below drawn
					n.position[i] = uint32(i) //nolint:gosec // below drawn
				}
			}
		})
	}
	workers.Wait()
	held := make([]bool, drawn)
	for i, position := range n.position {
		if held[position] {
			n.report.Duplicates++
		}
		held[position] = true
		n.order[position] = uint32(i)
	}
	opened := n.clock.Real()
	verdict, err := waitingroom.Verify(waitingroom.PublishedDraw{
		Format: waitingroom.DrawFormat, Room: room, N: drawn, Root: hex.EncodeToString(root[:]), PublishedAt: opened.Add(-30 * time.Second),
		Source: waitingroom.ValueSource{Kind: waitingroom.SourceLocal, At: opened}, Value: hex.EncodeToString(value),
		Seed: hex.EncodeToString(seed[:]),
	}, &leafReader{nonces: l.nonces}, nil)
	if err != nil {
		return fmt.Errorf("verifying the draw: %w", err)
	}
	n.report.Registered, n.report.DrawVerified = int(drawn), verdict.Good() //nolint:gosec // below mostPersons
	l.row.Root, l.row.Value, l.row.Seed, l.row.State = root[:], value, seed[:], waitingroom.Open
	l.stepped = opened
	return nil
}

// owners are the keys at a position.
func (n *night) owners(position uint64) []uint32 {
	l, drawn := n.ledger, uint64(len(n.order))
	if position < drawn {
		return l.registered[n.order[position]:][:1]
	}
	number := uint32(position - drawn) //nolint:gosec // below issued
	owners := l.twice[number]
	if l.numbers[number] != 0 {
		owners = append(owners[:len(owners):len(owners)], l.numbers[number]-1)
	}
	return owners
}

// positionOf is what the client of a key calculates; false without a place or before the draw.
func (n *night) positionOf(key uint32) (uint64, bool) {
	at := n.ledger.place[key]
	if at == 0 || n.ledger.row.State == waitingroom.Registering {
		return 0, false
	}
	if index := uint64(at - 1); index >= uint64(len(n.order)) {
		return index, true
	}
	return uint64(n.position[at-1]), true
}
