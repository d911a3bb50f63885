package waitingroom

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"jari/internal/clock"
)

// DrandValue asks relays of a drand network. It believes none of them: a value is checked with the network's key.
type DrandValue struct {
	beacon Beacon
	relays []string
	clock  clock.Clock
	client *http.Client
}

// NewDrandValue returns a source that asks these relays, the first that has the round.
func NewDrandValue(beacon Beacon, relays []string, clk clock.Clock) (*DrandValue, error) {
	for _, r := range relays {
		if u, err := url.Parse(r); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
			return nil, fmt.Errorf("%q isn't the address of a relay such as https://api.drand.sh", r)
		}
	}
	return &DrandValue{beacon: beacon, relays: relays, clock: clk, client: &http.Client{Timeout: 3 * time.Second}}, nil
}

// Moment is that of the first round after an instant.
func (d *DrandValue) Moment(at time.Time) Announcement {
	round := d.beacon.After(at)
	return Announcement{At: d.beacon.Moment(round), Chain: d.beacon.Chain, Round: round}
}

// Value is the value of a round, checked, or errNotYet.
func (d *DrandValue) Value(ctx context.Context, a Announcement) (Value, error) {
	if a.Chain != d.beacon.Chain {
		return Value{}, fmt.Errorf("the network %s isn't the one that is asked here", a.Chain)
	}
	if d.clock.Real().Before(d.beacon.Moment(a.Round)) {
		return Value{}, errNotYet
	}
	if len(d.relays) == 0 {
		return Value{}, errors.New("no relay of drand is configured: JARI_DRAND_URLS")
	}
	var faults []error
	for _, relay := range d.relays {
		v, err := d.ask(ctx, relay, a.Round)
		if err == nil {
			return v, nil
		}
		faults = append(faults, err)
	}
	return Value{}, errors.Join(faults...)
}

// Check takes the signature of the announced round, wherever it was had from.
func (d *DrandValue) Check(a Announcement, signature []byte) (Value, error) {
	if a.Chain != d.beacon.Chain {
		return Value{}, fmt.Errorf("the network %s isn't the one that is known here", a.Chain)
	}
	value, err := d.beacon.Value(a.Round, signature)
	return Value{Bytes: value, Proof: signature}, err
}

// mostAnswered bounds what is read of a relay's answer.
const mostAnswered = 16 << 10

// ask gets a round from one relay.
func (d *DrandValue) ask(ctx context.Context, relay string, round uint64) (Value, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/%s/public/%d", strings.TrimRight(relay, "/"), d.beacon.Chain, round), http.NoBody)
	if err != nil {
		return Value{}, fmt.Errorf("asking drand: %w", err)
	}
	response, err := d.client.Do(r)
	if err != nil {
		return Value{}, fmt.Errorf("asking drand: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return Value{}, fmt.Errorf("a relay of drand answers %d", response.StatusCode)
	}
	var answer struct {
		Round     uint64 `json:"round"`
		Signature string `json:"signature"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, mostAnswered)).Decode(&answer); err != nil {
		return Value{}, fmt.Errorf("a relay of drand answers something that can't be read: %w", err)
	}
	signature, err := hex.DecodeString(answer.Signature)
	if err != nil || answer.Round != round {
		return Value{}, errors.New("a relay of drand answers another round than the one that was asked for")
	}
	value, err := d.beacon.Value(round, signature)
	return Value{Bytes: value, Proof: signature}, err
}
