package waitingroom

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"jari/internal/document"
	"jari/internal/fault"
)

// status is what everybody may know of a room. Nothing in it is about anybody, and the time is not in it: it changes only
// when the room does.
type status struct {
	Room                string     `json:"room_id"`
	State               State      `json:"state"`
	RegistrationOpensAt *time.Time `json:"registration_opens_at,omitempty"`
	FreezesAt           *time.Time `json:"registration_closes_at,omitempty"`
	OpensAt             *time.Time `json:"opens_at,omitempty"`
	ClosesAt            *time.Time `json:"closes_at,omitempty"`
	Serving             uint64     `json:"serving"`
	LateServing         uint64     `json:"late_serving"`
	Issued              uint64     `json:"issued"`
	Drawn               uint64     `json:"drawn"`
	Root                string     `json:"root,omitempty"`
	Seed                string     `json:"seed,omitempty"`
	RatePerSecond       float64    `json:"rate_per_second"`
	GraceSeconds        int        `json:"grace_seconds"`
	Poll                poll       `json:"poll"`
	Message             *words     `json:"message,omitempty"`
}

// poll says how to ask again: near one's turn every least seconds, far from it every most, each time off by up to the share
// jitter, so that people who came together don't ask together.
type poll struct {
	Least  int     `json:"min_seconds"`
	Most   int     `json:"max_seconds"`
	Jitter float64 `json:"jitter"`
}

type words struct {
	Ko string `json:"ko"`
	En string `json:"en"`
}

// howToPoll is the same for all rooms: a called person notices within a few seconds, and whoever is far away asks twice a
// minute.
var howToPoll = poll{Least: 2, Most: 30, Jitter: 0.3}

// encode makes the document of a room, or keeps the one before if it says the same.
func (s *Service) encode(v, before *view) (*document.Document, error) {
	shown := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	d := status{
		Room: v.ID, State: v.State,
		RegistrationOpensAt: shown(v.RegistrationOpensAt), FreezesAt: shown(v.FreezesAt), OpensAt: shown(v.OpensAt), ClosesAt: shown(v.ClosesAt),
		Serving: v.Serving, LateServing: v.LateServing, Issued: v.Issued(), Drawn: v.N(),
		Root: hex.EncodeToString(v.Root), Seed: hex.EncodeToString(v.Seed),
		RatePerSecond: v.measured(), GraceSeconds: int(v.Grace.Seconds()), Poll: howToPoll,
	}
	if ko, en := v.message(); ko != "" {
		d.Message = &words{ko, en}
	}
	body, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding the status of %s: %w", v.ID, err)
	}
	if before != nil && before.status != nil && bytes.Equal(before.status.Plain.Body, body) {
		return before.status, nil
	}
	return document.New(body), nil
}

// measuredOver is the open time over which people are told how fast the line moves.
const measuredOver = 30 * time.Second

// measured is how many were called a second lately, to two digits, so that it isn't another number each time.
func (v *view) measured() float64 {
	if v.State != Open {
		return 0
	}
	now := openTime(v.OpenMS)
	from, at := uint64(0), openTime(0)
	for _, c := range v.calls {
		if now.Sub(c.At) < measuredOver {
			break
		}
		from, at = c.Serving, c.At
	}
	if age := now.Sub(at); age > measuredOver {
		at = now.Add(-measuredOver)
	}
	seconds := max(1, now.Sub(at).Seconds())
	rate := float64(ahead(min(v.Serving, v.Issued()), from)) / seconds
	if rate == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(rate))-1)
	return math.Round(rate/unit) * unit
}

// LeavesPath is where the leaves are, seen from the draw's own address.
const LeavesPath = "draw/leaves"

// Published is what is published of a room's draw, or fault.CodeNoDraw before the root is. Its instants are real time.
func (s *Service) Published(room string) (PublishedDraw, error) {
	v, err := s.view(room)
	if err != nil {
		return PublishedDraw{}, err
	}
	if len(v.Root) == 0 || v.Room.DrawSource == nil || v.Room.ValueAt == nil || v.PublishedAt == nil {
		return PublishedDraw{}, fault.New(fault.NotFound, fault.CodeNoDraw)
	}
	d := PublishedDraw{
		Format: DrawFormat, Room: v.ID, N: v.N(), LeavesURL: LeavesPath, Root: hex.EncodeToString(v.Root), PublishedAt: v.PublishedAt.UTC(),
		Source: ValueSource{
			Kind: SourceKind(*v.Room.DrawSource), At: v.Room.ValueAt.UTC(), Chain: v.DrawChain, Round: v.DrawRound,
			Signature: hex.EncodeToString(v.Proof),
		},
		Value: hex.EncodeToString(v.Value), Seed: hex.EncodeToString(v.Seed),
	}
	if len(v.Seed) > 0 {
		d.Source.Name = v.name()
	}
	if v.FellBack {
		d.Source.InsteadOf, d.Source.Kind = d.Source.Kind, SourceAnnounced
	}
	return d, nil
}
