package slot

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"jari/internal/campaign"
	jariredis "jari/internal/redis"
)

var (
	//go:embed lua/place_hold.lua
	placeHoldSource string
	//go:embed lua/release_hold.lua
	releaseHoldSource string
	//go:embed lua/apply_slots.lua
	applySlotsSource string

	placeHoldScript   = redis.NewScript(placeHoldSource)
	releaseHoldScript = redis.NewScript(releaseHoldSource)
	applySlotsScript  = redis.NewScript(applySlotsSource)
)

const (
	// copyLife is how long a copy is kept after it was last replaced.
	copyLife = 24 * time.Hour
	// bookedLife is how long a person is marked as booked: longer than any retry of placing is on its way, and than the
	// rush in which a second place would be missed. After it, confirming still refuses a second booking.
	bookedLife = 2 * time.Hour
)

// outcome is what place_hold.lua answered.
type outcome struct {
	code  string
	hold  Hold          // with placed, same, holds_other
	wait  time.Duration // with ending, limit
	prior int64         // with prior
}

type placement struct {
	Hold
	ttl       time.Duration
	limit     int
	window    time.Duration
	insteadOf uuid.UUID // zero for none
	priorSlot int64
}

// evalPlacement puts place_hold.lua for a placement into a pipeline. plain sends the source, for a server that doesn't
// know the script.
func evalPlacement(ctx context.Context, pipe redis.Pipeliner, p placement, plain bool) *redis.Cmd {
	instead, prior, replaces := "", "", ""
	priorSlot := p.Slot
	if p.insteadOf != uuid.Nil {
		instead = p.insteadOf.String()
	}
	if p.priorSlot != 0 {
		priorSlot, prior = p.priorSlot, FormatID(p.priorSlot)
	}
	if p.Replaces != uuid.Nil {
		replaces = p.Replaces.String()
	}
	keys := []string{
		copyKey(p.Campaign, p.Slot), holdsKey(p.Campaign, p.Slot), personKey(p.Campaign, p.Person),
		placementsKey(p.Campaign, p.Person), holdsKey(p.Campaign, priorSlot), changedKey(p.Campaign),
		givenUpKey(p.Campaign),
	}
	args := []any{
		p.ID.String(), FormatID(p.Slot), p.ttl.Milliseconds(), grace.Milliseconds(), p.limit, p.window.Milliseconds(),
		instead, prior, replaces, tell(p.Hold), changedLife.Milliseconds(), campaign.LongestHold.Milliseconds(),
	}
	if plain {
		return placeHoldScript.Eval(ctx, pipe, keys, args...)
	}
	return placeHoldScript.EvalSha(ctx, pipe, keys, args...)
}

// readOutcome reads what place_hold.lua answered to p.
func readOutcome(p placement, reply []any) (outcome, error) {
	if len(reply) == 0 {
		return outcome{}, errors.New("place_hold.lua answered nothing")
	}
	code, _ := reply[0].(string)
	o := outcome{code: code}
	var err error
	switch code {
	case "new":
		ms, ok := reply[1].(int64)
		if !ok {
			err = errors.New("place_hold.lua placed a hold at no instant")
		}
		o.code, o.hold = "placed", p.Hold
		o.hold.PlacedAt, o.hold.ExpiresAt = time.UnixMilli(ms), time.UnixMilli(ms).Add(p.ttl)
		o.hold.JudgedAt = time.UnixMilli(p.JudgedAt.UnixMilli()) // as it would be read back
	case "placed", "same", "holds_other":
		o.hold, err = readHold(p.Campaign, p.Person, reply[1:])
	case "ending", "limit":
		ms, ok := reply[1].(int64)
		if !ok {
			err = fmt.Errorf("place_hold.lua answered %v with no duration", code)
		}
		o.wait = time.Duration(ms) * time.Millisecond
	case "prior":
		text, _ := reply[1].(string)
		var ok bool
		if o.prior, ok = ParseID(text); !ok {
			err = errors.New("place_hold.lua named a slot that isn't one")
		}
	case "missing", "closed", "full", "booked":
	default:
		err = fmt.Errorf("place_hold.lua answered %q", code)
	}
	return o, err
}

// tell writes what a hold's token says and no script reads: actor, wave, rules version, and when it was judged. No wave's
// id has a bar in it.
func tell(h Hold) string {
	return h.Actor.String() + "|" + h.Wave + "|" + strconv.FormatInt(h.RulesVersion, 10) + "|" + strconv.FormatInt(h.JudgedAt.UnixMilli(), 10)
}

// holdFields are the fields of a person's latest hold, in the order in which the scripts give them.
var holdFields = []string{"hold", "slot", "placed", "expires", "replaces", "told"}

func readHold(campaign string, person uuid.UUID, fields []any) (Hold, error) {
	if len(fields) < len(holdFields) {
		return Hold{}, errors.New("a hold in Redis lacks fields")
	}
	texts := make([]string, len(holdFields))
	for i := range holdFields {
		texts[i], _ = fields[i].(string)
	}
	told := strings.Split(texts[5], "|")
	if len(told) != 4 {
		return Hold{}, errors.New("a hold in Redis doesn't say who asked and how they were judged")
	}
	h := Hold{Campaign: campaign, Person: person, Wave: told[1]}
	var errs [8]error
	h.ID, errs[0] = uuid.Parse(texts[0])
	h.Slot, errs[1] = strconv.ParseInt(texts[1], 10, 64)
	h.PlacedAt, errs[2] = parseMillis(texts[2])
	h.ExpiresAt, errs[3] = parseMillis(texts[3])
	if texts[4] != "" {
		h.Replaces, errs[4] = uuid.Parse(texts[4])
	}
	h.Actor, errs[5] = uuid.Parse(told[0])
	h.RulesVersion, errs[6] = strconv.ParseInt(told[2], 10, 64)
	h.JudgedAt, errs[7] = parseMillis(told[3])
	if err := errors.Join(errs[:]...); err != nil {
		return Hold{}, fmt.Errorf("a hold in Redis can't be read: %w", err)
	}
	return h, nil
}

func parseMillis(s string) (time.Time, error) {
	ms, err := strconv.ParseInt(s, 10, 64)
	return time.UnixMilli(ms), err
}

// latest is what Redis knows of a person's latest hold.
type latest struct {
	hold     Hold
	released bool
}

// latestHold reads the latest hold of a person, or nothing.
func latestHold(ctx context.Context, client *redis.Client, campaign string, person uuid.UUID) (latest, bool, error) {
	fields, err := client.HMGet(ctx, personKey(campaign, person), append(slices.Clone(holdFields), "released")...).Result()
	if err != nil {
		return latest{}, false, jariredis.Unreachable(err)
	}
	if fields[0] == nil {
		return latest{}, false, nil
	}
	h, err := readHold(campaign, person, fields)
	return latest{hold: h, released: fields[len(holdFields)] != nil}, err == nil, err
}

// givenUp tells which holds were given up: released, or exchanged for another. One command asks about all of a flush.
func givenUp(ctx context.Context, client *redis.Client, campaign string, holds []Hold) (map[uuid.UUID]bool, error) {
	names := make([]string, len(holds))
	for i, h := range holds {
		names[i] = h.ID.String()
	}
	until, err := client.ZMScore(ctx, givenUpKey(campaign), names...).Result()
	if err != nil {
		return nil, jariredis.Unreachable(err)
	}
	var given map[uuid.UUID]bool
	for i, at := range until {
		if at == 0 {
			continue // it isn't there
		}
		if given == nil {
			given = map[uuid.UUID]bool{}
		}
		given[holds[i].ID] = true
	}
	return given, nil
}

// releaseHold runs release_hold.lua.
func releaseHold(ctx context.Context, client *redis.Client, h Hold) error {
	err := releaseHoldScript.Run(ctx, client,
		[]string{personKey(h.Campaign, h.Person), holdsKey(h.Campaign, h.Slot), changedKey(h.Campaign), givenUpKey(h.Campaign)},
		h.ID.String(), FormatID(h.Slot), changedLife.Milliseconds(), grace.Milliseconds(), campaign.LongestHold.Milliseconds()).Err()
	return jariredis.Unreachable(err)
}

// Decided is a hold that Postgres has decided, and whose place Redis need not keep any more.
type Decided struct {
	Hold, Person uuid.UUID
	Booked       bool // it is the person's active booking
}

// applied is what pushing copies found.
type applied struct {
	newer int // copies that weren't there, or were older
	drift int // copies that were older
}

// applyMost are the slots of one call of apply_slots.lua: while it runs, nobody else is answered.
const applyMost = 64

// applyCopies pushes copies, and drops decided holds of each slot, in one round trip for every applyMost slots.
func applyCopies(
	ctx context.Context, client *redis.Client, campaign string, copies []Copy, decided map[int64][]Decided,
) (applied, error) {
	return apply(ctx, client, campaign, copies, decided, "0")
}

// compareCopies pushes copies of slots that nobody changed; one that wasn't there is no news to anybody.
func compareCopies(ctx context.Context, client *redis.Client, campaign string, copies []Copy) (applied, error) {
	return apply(ctx, client, campaign, copies, nil, "1")
}

func apply(
	ctx context.Context, client *redis.Client, campaign string, copies []Copy, decided map[int64][]Decided, comparing string,
) (found applied, err error) {
	for chunk := range slices.Chunk(copies, applyMost) {
		keys := []string{changedKey(campaign)}
		args := []any{copyLife.Milliseconds(), bookedLife.Milliseconds(), changedLife.Milliseconds(), comparing}
		for _, c := range chunk {
			keys = append(keys, copyKey(campaign, c.Slot), holdsKey(campaign, c.Slot))
			args = append(args, FormatID(c.Slot), c.Capacity, c.Booked, string(c.State), c.Version, c.Generation, len(decided[c.Slot]))
			for _, d := range decided[c.Slot] {
				booked := "0"
				if d.Booked {
					booked = "1"
				}
				keys = append(keys, personKey(campaign, d.Person))
				args = append(args, d.Hold.String(), booked)
			}
		}
		results, err := applySlotsScript.Run(ctx, client, keys, args...).Int64Slice()
		if err != nil {
			return found, jariredis.Unreachable(err)
		}
		for _, result := range results {
			switch result {
			case 1:
				found.newer++
			case 2:
				found.newer++
				found.drift++
			}
		}
	}
	return found, nil
}
