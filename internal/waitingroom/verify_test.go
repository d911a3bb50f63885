package waitingroom_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"jari/internal/waitingroom"
)

// round1000 is a round of the real network, as its public servers give it.
const (
	round1000Signature = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"
	round1000Value     = "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd"
)

const registered = 50

func published() waitingroom.PublishedDraw {
	d := waitingroom.PublishedDraw{Format: waitingroom.DrawFormat, Room: "r", N: registered, Value: round1000Value}
	leaves := leavesOf("r", registered)
	for _, l := range leaves {
		d.Leaves = append(d.Leaves, hexOf(l))
	}
	root := waitingroom.Root(leaves)
	d.Root = hexOf(root)
	value, _ := hex.DecodeString(d.Value)
	d.Seed = hexOf(waitingroom.Seed(root, value))
	q := waitingroom.Quicknet
	d.Source = waitingroom.ValueSource{
		Kind: waitingroom.SourceDrand, Chain: q.Chain, Round: 1000, Signature: round1000Signature, At: q.Moment(1000),
	}
	d.PublishedAt = d.Source.At.Add(-30 * time.Second)
	return d
}

func verify(t *testing.T, d waitingroom.PublishedDraw, own *waitingroom.Registration) waitingroom.DrawVerdict {
	t.Helper()
	v, err := waitingroom.Verify(d, nil, own)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAPublishedDrawIsReproduced(t *testing.T) {
	t.Parallel()
	d := published()
	taken := map[uint64]bool{}
	for i := range uint64(registered) {
		v := verify(t, d, &waitingroom.Registration{Index: i, Nonce: nonceOf(i)})
		if !v.Good() || v.Pending || v.Position == nil {
			t.Fatalf("registration %d: %+v", i, v)
		}
		taken[*v.Position] = true
	}
	if len(taken) != registered {
		t.Errorf("%d positions for %d registrations", len(taken), registered)
	}
	var file bytes.Buffer
	for _, l := range leavesOf("r", registered) {
		file.Write(l[:])
	}
	d.Leaves, d.LeavesURL = nil, "/v1/rooms/r/draw/leaves"
	if v, err := waitingroom.Verify(d, iotest.OneByteReader(&file), nil); err != nil || !v.Good() {
		t.Errorf("with the leaves in a file: %+v, %v", v, err)
	}
	if _, err := waitingroom.Verify(d, nil, nil); err == nil {
		t.Error("without any leaves nothing is said")
	}
	if _, err := waitingroom.Verify(d, iotest.ErrReader(errors.New("gone")), nil); err == nil {
		t.Error("that the file can't be read isn't said")
	}
}

func TestBeforeTheValueTheRestIsChecked(t *testing.T) {
	t.Parallel()
	d := published()
	d.Value, d.Seed, d.Source.Signature = "", "", ""
	if v := verify(t, d, nil); !v.Good() || !v.Pending {
		t.Errorf("%+v", v)
	}
	d.Leaves[3], d.Leaves[4] = d.Leaves[4], d.Leaves[3]
	if v := verify(t, d, nil); v.Good() {
		t.Error("two leaves changed places, and nothing is wrong")
	}
}

func TestWhatIsWrongWithADrawIsNamed(t *testing.T) {
	t.Parallel()
	other := hexOf(waitingroom.Leaf("r", 7, waitingroom.Nonce{9}))
	for name, tc := range map[string]struct {
		change func(*waitingroom.PublishedDraw)
		own    *waitingroom.Registration
		parts  []string
	}{
		"one registration was replaced": {change: func(d *waitingroom.PublishedDraw) { d.Leaves[7] = other }, parts: []string{"root"}},
		"one was replaced, and is asked for": {
			change: func(d *waitingroom.PublishedDraw) { d.Leaves[7] = other },
			own:    &waitingroom.Registration{Index: 7, Nonce: nonceOf(7)}, parts: []string{"registration", "root"},
		},
		"one was added": {
			change: func(d *waitingroom.PublishedDraw) { d.Leaves = append(d.Leaves, other); d.N++ }, parts: []string{"root"},
		},
		"one was added uncounted": {
			change: func(d *waitingroom.PublishedDraw) { d.Leaves = append(d.Leaves, other) }, parts: []string{"n", "root"},
		},
		"one was left out": {
			change: func(d *waitingroom.PublishedDraw) { d.Leaves = d.Leaves[1:] }, parts: []string{"n", "root"},
		},
		"two changed places": {
			change: func(d *waitingroom.PublishedDraw) { d.Leaves[0], d.Leaves[1] = d.Leaves[1], d.Leaves[0] }, parts: []string{"root"},
		},
		"a leaf isn't one": {change: func(d *waitingroom.PublishedDraw) { d.Leaves[0] = "abc" }, parts: []string{"leaves", "root"}},
		"another root": {
			change: func(d *waitingroom.PublishedDraw) { d.Root = other }, parts: []string{"root", "seed"},
		},
		"no root": {change: func(d *waitingroom.PublishedDraw) { d.Root = "" }, parts: []string{"root"}},
		"the root came after the value": {
			change: func(d *waitingroom.PublishedDraw) { d.PublishedAt = d.Source.At }, parts: []string{"published_at"},
		},
		"another seed": {change: func(d *waitingroom.PublishedDraw) { d.Seed = other }, parts: []string{"seed"}},
		"a seed without a value": {
			change: func(d *waitingroom.PublishedDraw) { d.Value = "" }, parts: []string{"seed"},
		},
		"another value": {
			change: func(d *waitingroom.PublishedDraw) { d.Value = other }, parts: []string{"value", "seed"},
		},
		"a value of another round": {
			change: func(d *waitingroom.PublishedDraw) { d.Source.Round = 1001 }, parts: []string{"source", "source"},
		},
		"another moment than announced": {
			change: func(d *waitingroom.PublishedDraw) { d.Source.At = d.Source.At.Add(time.Hour) }, parts: []string{"source"},
		},
		"a signature of nobody": {
			change: func(d *waitingroom.PublishedDraw) {
				d.Source.Signature = strings.Replace(d.Source.Signature, "b44679", "b44678", 1)
			},
			parts: []string{"source"},
		},
		"no signature":      {change: func(d *waitingroom.PublishedDraw) { d.Source.Signature = "" }, parts: []string{"source"}},
		"another network":   {change: func(d *waitingroom.PublishedDraw) { d.Source.Chain = "mine" }, parts: []string{"source"}},
		"an unknown source": {change: func(d *waitingroom.PublishedDraw) { d.Source.Kind = "dice" }, parts: []string{"source"}},
		"another format":    {change: func(d *waitingroom.PublishedDraw) { d.Format = 2 }, parts: []string{"format"}},
		"another room": {
			change: func(d *waitingroom.PublishedDraw) { d.Room = "other" },
			own:    &waitingroom.Registration{Index: 7, Nonce: nonceOf(7)}, parts: []string{"registration"},
		},
		"a ticket of somebody else": {
			change: func(*waitingroom.PublishedDraw) {}, own: &waitingroom.Registration{Index: 7, Nonce: nonceOf(8)},
			parts: []string{"registration"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := published()
			tc.change(&d)
			var parts []string
			v := verify(t, d, tc.own)
			for _, f := range v.Flaws {
				parts = append(parts, f.Part)
			}
			if !slices.Equal(parts, tc.parts) {
				t.Errorf("what is wrong is %v, not %v: %v", parts, tc.parts, v.Flaws)
			}
		})
	}
}

func TestWhatCantBeCalculatedIsSaid(t *testing.T) {
	t.Parallel()
	d := published()
	d.Source = waitingroom.ValueSource{Kind: waitingroom.SourceAnnounced, Name: "numbers of draw 972", At: d.Source.At}
	d.Value = hex.EncodeToString([]byte("3 10 16 35 36 43"))
	root := waitingroom.Root(leavesOf("r", registered))
	d.Seed = hexOf(waitingroom.Seed(root, []byte("3 10 16 35 36 43")))
	v := verify(t, d, &waitingroom.Registration{Index: registered, Nonce: nonceOf(1)})
	if !v.Good() || len(v.Remarks) != 2 || !strings.Contains(v.Remarks[1], `"3 10 16 35 36 43"`) || *v.Position != registered {
		t.Errorf("%+v", v)
	}
	d.Source.Kind = waitingroom.SourceLocal
	if v := verify(t, d, nil); !v.Good() || len(v.Remarks) != 1 {
		t.Errorf("%+v", v)
	}
}

func TestTheBeaconsRoundsHaveTheirMoments(t *testing.T) {
	t.Parallel()
	q := waitingroom.Quicknet
	for _, at := range []time.Time{start, q.Genesis.Add(-1), q.Genesis, q.Genesis.Add(1), q.Genesis.Add(3*time.Second - 1), q.Genesis.Add(time.Hour)} {
		round := q.After(at)
		if !q.Moment(round).After(at) {
			t.Errorf("round %d, of %s, isn't after %s", round, q.Moment(round), at)
		}
		if round > 1 && q.Moment(round-1).After(at) {
			t.Errorf("round %d, of %s, is after %s already", round-1, q.Moment(round-1), at)
		}
	}
}

func TestTheNetworksKeyDecidesWhatARoundIs(t *testing.T) {
	t.Parallel()
	signature, _ := hex.DecodeString(round1000Signature)
	value, err := waitingroom.Quicknet.Value(1000, signature)
	if err != nil || hex.EncodeToString(value) != round1000Value {
		t.Fatalf("%x, %v", value, err)
	}
	for _, round := range []uint64{0, 999, 1001} {
		if _, err := waitingroom.Quicknet.Value(round, signature); err == nil {
			t.Errorf("it passes for round %d", round)
		}
	}
}
