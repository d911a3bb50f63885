package waitingroom_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/bls"
	"github.com/google/uuid"

	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/waitingroom"
)

// network is a drand network of one, with a relay that answers as the real ones do: by chain and round, and not before a
// round's time.
type network struct {
	waitingroom.Beacon
	key   *bls.PrivateKey[bls.KeyG2SigG1]
	clock clock.Clock
	// wrong is how the relay answers instead, if it does.
	wrong atomic.Pointer[func(w http.ResponseWriter, round uint64)]
	asked atomic.Int64
	relay *httptest.Server
}

func newNetwork(t *testing.T, clk clock.Clock) *network {
	t.Helper()
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	key, err := bls.KeyGen[bls.KeyG2SigG1](secret, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey().MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	chain := sha256.Sum256(public)
	n := &network{key: key, clock: clk, Beacon: waitingroom.Beacon{
		Chain: hex.EncodeToString(chain[:]), PublicKey: hex.EncodeToString(public), Genesis: clk.Real().Add(-time.Hour).Truncate(time.Second),
		Period: time.Second,
	}}
	n.relay = httptest.NewServer(http.HandlerFunc(n.answer))
	t.Cleanup(n.relay.Close)
	return n
}

func (n *network) sign(round uint64) []byte {
	message := sha256.Sum256(binary.BigEndian.AppendUint64(nil, round))
	return bls.Sign(n.key, message[:])
}

func (n *network) answer(w http.ResponseWriter, r *http.Request) {
	n.asked.Add(1)
	chain, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	round, err := strconv.ParseUint(strings.TrimPrefix(rest, "public/"), 10, 64)
	switch wrong := n.wrong.Load(); {
	case r.Method != http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case chain != n.Chain || !strings.HasPrefix(rest, "public/"):
		w.WriteHeader(http.StatusNotFound)
	case err != nil || round == 0:
		w.WriteHeader(http.StatusBadRequest)
	case wrong != nil:
		(*wrong)(w, round)
	case n.clock.Real().Before(n.Moment(round)):
		w.WriteHeader(http.StatusTooEarly)
	default:
		n.write(w, round, n.sign(round))
	}
}

func (n *network) write(w http.ResponseWriter, round uint64, signature []byte) {
	value := sha256.Sum256(signature)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"round": round, "randomness": hex.EncodeToString(value[:]), "signature": hex.EncodeToString(signature),
	})
}

func (n *network) answers(wrong func(w http.ResponseWriter, round uint64)) { n.wrong.Store(&wrong) }

func (n *network) value(t *testing.T, relays ...string) *waitingroom.DrandValue {
	t.Helper()
	d, err := waitingroom.NewDrandValue(n.Beacon, relays, n.clock)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// No relay is believed: a value counts when the network signed it for the announced round, and not before its time.
func TestARelayIsntBelieved(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, clock.NewSystem(0))
	d := n.value(t, n.relay.URL+"/")
	now := n.clock.Real()
	announced := d.Moment(now.Add(-time.Minute))
	if !announced.At.After(now.Add(-time.Minute)) || announced.Chain != n.Chain || announced.Round == 0 {
		t.Fatalf("announced is %+v", announced)
	}
	v, err := d.Value(t.Context(), announced)
	want := sha256.Sum256(n.sign(announced.Round))
	if err != nil || string(v.Bytes) != string(want[:]) || string(v.Proof) != string(n.sign(announced.Round)) {
		t.Fatalf("the value is %+v, %v", v, err)
	}
	// Nobody is asked before the moment, so nobody learns which draw waits.
	asked := n.asked.Load()
	if _, err := d.Value(t.Context(), d.Moment(now.Add(time.Minute))); err == nil || n.asked.Load() != asked {
		t.Errorf("before its moment: %v, and the relay was asked", err)
	}
	stranger := newNetwork(t, n.clock)
	for name, wrong := range map[string]func(w http.ResponseWriter, round uint64){
		"it has nothing":      func(w http.ResponseWriter, _ uint64) { w.WriteHeader(http.StatusNotFound) },
		"it is broken":        func(w http.ResponseWriter, _ uint64) { w.WriteHeader(http.StatusBadGateway) },
		"it isn't JSON":       func(w http.ResponseWriter, _ uint64) { _, _ = w.Write([]byte("<html>")) },
		"another round":       func(w http.ResponseWriter, round uint64) { n.write(w, round-1, n.sign(round-1)) },
		"another round's":     func(w http.ResponseWriter, round uint64) { n.write(w, round, n.sign(round-1)) },
		"another network's":   func(w http.ResponseWriter, round uint64) { n.write(w, round, stranger.sign(round)) },
		"it isn't hex":        func(w http.ResponseWriter, round uint64) { _, _ = w.Write([]byte(`{"round":1,"signature":"x"}`)) },
		"nothing is signed":   func(w http.ResponseWriter, round uint64) { n.write(w, round, nil) },
		"it never ends":       func(w http.ResponseWriter, _ uint64) { _, _ = w.Write([]byte(strings.Repeat(" ", 1<<20))) },
		"one bit is changed":  func(w http.ResponseWriter, round uint64) { s := n.sign(round); s[20] ^= 1; n.write(w, round, s) },
		"it hangs up halfway": func(http.ResponseWriter, uint64) { panic(http.ErrAbortHandler) },
	} {
		n.answers(wrong)
		if v, err := d.Value(t.Context(), announced); err == nil {
			t.Errorf("%s: it is believed: %+v", name, v)
		}
		// The next relay has it.
		good := newNetworkRelay(t, n)
		if _, err := n.value(t, n.relay.URL, good).Value(t.Context(), announced); err != nil {
			t.Errorf("%s: the relay that has the value isn't asked: %v", name, err)
		}
	}
	if _, err := d.Value(t.Context(), waitingroom.Announcement{At: now.Add(-time.Minute), Chain: stranger.Chain, Round: 1}); err == nil {
		t.Error("a round of another network is asked for here")
	}
	if _, err := waitingroom.NewDrandValue(n.Beacon, []string{"api.drand.sh"}, n.clock); err == nil {
		t.Error("a relay without a scheme is taken")
	}
}

// newNetworkRelay is one more relay of a network, which answers rightly.
func newNetworkRelay(t *testing.T, n *network) string {
	t.Helper()
	honest := &network{Beacon: n.Beacon, key: n.key, clock: n.clock}
	relay := httptest.NewServer(http.HandlerFunc(honest.answer))
	t.Cleanup(relay.Close)
	return relay.URL
}

// frozenDraw is a room whose draw is frozen, by a network, with a few people in it.
func frozenDraw(t *testing.T, n *network, patience time.Duration) (*waitingroom.Service, context.CancelFunc) {
	t.Helper()
	var freezes atomic.Pointer[time.Time]
	now := n.clock.Now()
	later := now.Add(time.Hour)
	freezes.Store(&later)
	s, _ := lines(t, func(o *waitingroom.Options) {
		o.Limits.DrawPatience = patience
		o.Values = map[waitingroom.Source]waitingroom.Randomness{waitingroom.Drand: n.value(t, n.relay.URL)}
		o.Plans = func() ([]waitingroom.Plan, error) {
			at := *freezes.Load()
			return []waitingroom.Plan{{
				Room: line, Campaign: "c", RegistrationOpensAt: now.Add(-time.Hour), FreezesAt: at, ValueAt: at, OpensAt: at,
				ClosesAt: now.Add(2 * time.Hour), Draw: waitingroom.Drand, Rate: 10, Grace: time.Minute, LateShare: 0.1,
			}}, nil
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Watch(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	eventually(t, "people can register", func() bool {
		_, err := s.Take(t.Context(), line, uuid.New(), true)
		return err == nil
	})
	frozen := n.clock.Now()
	freezes.Store(&frozen)
	eventually(t, "the draw is published", func() bool { _, err := s.Published(line); return err == nil })
	return s, cancel
}

func eventually(t *testing.T, claim string, holds func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("not in time: %s", claim)
		case <-tick.C:
		}
	}
}

// madeDraw is the draw once it is made, and what whoever checks it says.
func madeDraw(t *testing.T, s *waitingroom.Service, n *network) (d waitingroom.PublishedDraw, v waitingroom.DrawVerdict) {
	t.Helper()
	eventually(t, "the draw is made", func() (made bool) {
		d, _ = s.Published(line)
		return d.Seed != ""
	})
	leaves, err := s.Leaves(t.Context(), line)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	if _, err := leaves.WriteTo(&all); err != nil {
		t.Fatal(err)
	}
	if v, err = waitingroom.Verify(d, strings.NewReader(all.String()), nil, n.Beacon); err != nil || !v.Good() {
		t.Fatalf("the draw is judged %+v, %v", v, err)
	}
	return d, v
}

// A relay that lies or is away holds a draw up and changes nothing; when one answers, the draw is made, and anybody can check
// it with the network's key.
func TestADrawWaitsForItsRound(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, clock.NewSystem(0))
	n.answers(func(w http.ResponseWriter, round uint64) { n.write(w, round, n.sign(round-1)) })
	s, _ := frozenDraw(t, n, time.Hour)
	eventually(t, "the relay is asked more than once", func() bool { return n.asked.Load() > 1 })
	if d, err := s.Published(line); err != nil || d.Seed != "" || d.Value != "" {
		t.Fatalf("by a signature of another round the draw is %+v, %v", d, err)
	}
	n.wrong.Store(nil)
	d, v := madeDraw(t, s, n)
	if d.Source.Kind != waitingroom.SourceDrand || d.Source.Signature != hex.EncodeToString(n.sign(d.Source.Round)) || len(v.Remarks) != 0 {
		t.Errorf("the draw is published as %+v, with the remarks %q", d.Source, v.Remarks)
	}
}

// When no relay can be reached from here, an administrator hands in what the network signed, from wherever they have it. It
// takes no second one, for nothing else passes.
func TestASignatureIsHandedIn(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, clock.NewSystem(0))
	n.answers(func(w http.ResponseWriter, _ uint64) { w.WriteHeader(http.StatusBadGateway) })
	s, _ := frozenDraw(t, n, time.Hour)
	d, _ := s.Published(line)
	hand := func(signature []byte) (bool, error) {
		return s.Announce(t.Context(), line, waitingroom.AnnouncedDraw{Value: signature, Name: "x"}, waitingroom.Actor{By: "one"})
	}
	if made, err := hand(n.sign(d.Source.Round)); made || fault.CodeOf(err) != fault.CodeNoDraw {
		t.Errorf("before the moment: %v, %v", made, err)
	}
	eventually(t, "the round has been", func() bool { return n.clock.Real().After(d.Source.At) })
	for _, wrong := range [][]byte{n.sign(d.Source.Round - 1), newNetwork(t, n.clock).sign(d.Source.Round), []byte("1 2 3 4 5 6")} {
		if made, err := hand(wrong); made || fault.CodeOf(err) != fault.CodeNoDraw {
			t.Errorf("what the network didn't sign for the round: %v, %v", made, err)
		}
	}
	if made, err := hand(n.sign(d.Source.Round)); !made || err != nil {
		t.Fatalf("the round's signature: %v, %v", made, err)
	}
	if d, v := madeDraw(t, s, n); d.Source.Kind != waitingroom.SourceDrand || d.Source.InsteadOf != "" || len(v.Remarks) != 0 {
		t.Errorf("the draw is published as %+v, with the remarks %q", d.Source, v.Remarks)
	}
}

// When the source has had no value for as long as is stated, two administrators may type in another, and everybody is told.
func TestAnotherValueTakesTheSourcesPlace(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, clock.NewSystem(0))
	n.answers(func(w http.ResponseWriter, _ uint64) { w.WriteHeader(http.StatusBadGateway) })
	s, _ := frozenDraw(t, n, 2*time.Second)
	lottery := waitingroom.AnnouncedDraw{Value: []byte("3 10 16 35 36 43"), Name: "Lotto 6/45, draw 972"}
	type step struct {
		by   string
		what waitingroom.AnnouncedDraw
		code fault.Code
		made bool
	}
	other, unnamed := lottery, lottery
	other.Value, unnamed.Name = []byte("3 10 16 35 36 44"), ""
	d, _ := s.Published(line)
	eventually(t, "the patience is over", func() bool { return n.clock.Real().After(d.Source.At.Add(2 * time.Second)) })
	for i, do := range []step{
		{by: "one", what: unnamed, code: fault.CodeInvalidRequest},
		{by: "one", what: other},
		{by: "one", what: lottery}, // a typing error, corrected
		{by: "one", what: lottery, code: fault.CodeSecondPerson},
		{by: "two", what: other, code: fault.CodeValueDiffers},
		{by: "two", what: lottery, made: true},
		{by: "three", what: other, code: fault.CodeNoDraw},
	} {
		made, err := s.Announce(t.Context(), line, do.what, waitingroom.Actor{By: do.by})
		if made != do.made || fault.CodeOf(err) != do.code {
			t.Fatalf("step %d: %v, %v", i, made, err)
		}
	}
	published, v := madeDraw(t, s, n)
	if published.Source.Kind != waitingroom.SourceAnnounced || published.Source.InsteadOf != waitingroom.SourceDrand ||
		published.Source.Name != lottery.Name || published.Source.Round != d.Source.Round || len(v.Remarks) != 2 {
		t.Errorf("the draw is published as %+v, with the remarks %q", published.Source, v.Remarks)
	}
	eventually(t, "the room opens", func() bool {
		now, err := s.Standing(t.Context(), line)
		return err == nil && now.State == waitingroom.Open
	})
}
