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
	//go:embed lua/person.lua
	personSource string
	//go:embed lua/place_holds.lua
	placeHoldsSource string
	//go:embed lua/release_hold.lua
	releaseHoldSource string
	//go:embed lua/apply_slots.lua
	applySlotsSource string
	//go:embed lua/forget_booked.lua
	forgetBookedSource string

	placeHoldsScript   = redis.NewScript(personSource + placeHoldsSource)
	releaseHoldScript  = redis.NewScript(personSource + releaseHoldSource)
	applySlotsScript   = redis.NewScript(personSource + applySlotsSource)
	forgetBookedScript = redis.NewScript(personSource + forgetBookedSource)
)

const (
	// copyLife is how long a copy is kept before it is loaded anew.
	copyLife = 24 * time.Hour
	// bookedLife is how long a person is marked as booked: longer than any retry of placing is on its way, and than the
	// rush in which a second place would be missed. After it, confirming still refuses a second booking.
	bookedLife = 2 * time.Hour
)

// outcome is what place_holds.lua answered to one placement.
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

// exchanges says what a placement gives up, and where, and what it moves; most give up nothing.
func (p placement) exchanges() string {
	if p.insteadOf == uuid.Nil && p.priorSlot == 0 && p.Replaces == uuid.Nil {
		return ""
	}
	instead, prior, replaces := "", "", ""
	if p.insteadOf != uuid.Nil {
		instead = p.insteadOf.String()
	}
	if p.priorSlot != 0 {
		prior = FormatID(p.priorSlot)
	}
	if p.Replaces != uuid.Nil {
		replaces = p.Replaces.String()
	}
	return instead + "|" + prior + "|" + replaces
}

// callPlaceHolds is one call of place_holds.lua for placements of one campaign. plain sends the source, for a server that
// doesn't know the script.
func callPlaceHolds(ctx context.Context, pipe redis.Pipeliner, group []*placing, plain bool) *redis.Cmd {
	id, first := group[0].Campaign, group[0]
	keys := make([]string, 0, 2+3*len(group))
	args := make([]any, 0, 5+5*len(group))
	keys = append(keys, changedKey(id), givenUpKey(id))
	args = append(args, grace.Milliseconds(), first.limit, first.window.Milliseconds(), changedLife.Milliseconds(),
		campaign.LongestHold.Milliseconds())
	var priors []string
	for _, p := range group {
		keys = append(keys, copyKey(id, p.Slot), holdsKey(id, p.Slot), personKey(id, p.Person))
		if p.priorSlot != 0 {
			priors = append(priors, holdsKey(id, p.priorSlot))
		}
		args = append(args, p.ID.String(), FormatID(p.Slot), p.ttl.Milliseconds(), p.exchanges(), tell(p.Hold))
	}
	keys = append(keys, priors...)
	if plain {
		return placeHoldsScript.Eval(ctx, pipe, keys, args...)
	}
	return placeHoldsScript.EvalSha(ctx, pipe, keys, args...)
}

// readOutcomes gives every placement of a group what place_holds.lua answered to it.
func readOutcomes(group []*placing, reply []any) error {
	if len(reply) != 1+len(group) {
		return fmt.Errorf("place_holds.lua answered %d placements of %d", len(reply)-1, len(group))
	}
	ms, ok := reply[0].(int64)
	if !ok {
		return errors.New("place_holds.lua placed holds at no instant")
	}
	for i, p := range group {
		p.answer(readOutcome(p.placement, time.UnixMilli(ms), reply[1+i]))
	}
	return nil
}

// readOutcome reads what place_holds.lua answered to p at an instant: a word, or a word with what belongs to it.
func readOutcome(p placement, at time.Time, answer any) (o outcome, err error) {
	if word, ok := answer.(string); ok {
		o.code = word
		switch word {
		case "new":
			o.code, o.hold = "placed", p.Hold
			o.hold.PlacedAt, o.hold.ExpiresAt = at, at.Add(p.ttl)
			o.hold.JudgedAt = time.UnixMilli(p.JudgedAt.UnixMilli()) // as it would be read back
		case "missing", "full", "booked":
		default:
			err = fmt.Errorf("place_holds.lua answered %q", word)
		}
		return o, err
	}
	parts, _ := answer.([]any)
	if len(parts) < 2 {
		return o, errors.New("place_holds.lua answered half a word")
	}
	o.code, _ = parts[0].(string)
	switch o.code {
	case "placed", "same", "holds_other":
		o.hold, err = readHold(p.Campaign, p.Person, parts[1:])
	case "ending", "limit":
		ms, ok := parts[1].(int64)
		if !ok {
			err = fmt.Errorf("place_holds.lua answered %v with no duration", o.code)
		}
		o.wait = time.Duration(ms) * time.Millisecond
	case "prior":
		text, _ := parts[1].(string)
		var ok bool
		if o.prior, ok = ParseID(text); !ok {
			err = errors.New("place_holds.lua named a slot that isn't one")
		}
	case "closed":
	default:
		err = fmt.Errorf("place_holds.lua answered %v", parts)
	}
	return o, err
}

// tell writes what a hold's token says and no script reads: actor, wave, rules version, and when it was judged. No wave's
// id has a bar in it.
func tell(h Hold) string {
	return h.Actor.String() + "|" + h.Wave + "|" + strconv.FormatInt(h.RulesVersion, 10) + "|" + strconv.FormatInt(h.JudgedAt.UnixMilli(), 10)
}

// holdFields is how many fields a hold has in what the scripts give: hold, slot, placed, expires, replaces, told.
const holdFields = 6

func readHold(campaign string, person uuid.UUID, fields []any) (Hold, error) {
	if len(fields) < holdFields {
		return Hold{}, errors.New("a hold in Redis lacks fields")
	}
	var texts [holdFields]string
	for i := range texts {
		texts[i], _ = fields[i].(string)
	}
	return parseHold(campaign, person, texts)
}

func parseHold(campaign string, person uuid.UUID, texts [holdFields]string) (Hold, error) {
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

// latestHold reads the latest hold of a person, or nothing. lua/person.lua says what the record looks like.
func latestHold(ctx context.Context, client *redis.Client, campaign string, person uuid.UUID) (latest, bool, error) {
	text, err := client.Get(ctx, personKey(campaign, person)).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return latest{}, false, nil
	case err != nil:
		return latest{}, false, jariredis.Unreachable(err)
	}
	const bars = 8 // before what the token says, which has its own
	f := strings.SplitN(text, "|", bars+1)
	if len(f) != bars+1 {
		return latest{}, false, errors.New("a person's record in Redis lacks fields")
	}
	if f[1] == "" {
		return latest{}, false, nil
	}
	h, err := parseHold(campaign, person, [holdFields]string{f[1], f[2], f[3], f[4], f[5], f[8]})
	return latest{hold: h, released: f[0] != "held"}, err == nil, err
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
	return apply(ctx, client, campaign, copies, decided, "changed")
}

// repeatCopies pushes copies that were pushed already, most likely.
func repeatCopies(ctx context.Context, client *redis.Client, campaign string, copies []Copy) (applied, error) {
	return apply(ctx, client, campaign, copies, nil, "repeated")
}

// compareCopies pushes copies of slots that nobody changed; one that wasn't there is no news to anybody.
func compareCopies(ctx context.Context, client *redis.Client, campaign string, copies []Copy) (applied, error) {
	return apply(ctx, client, campaign, copies, nil, "compared")
}

func apply(
	ctx context.Context, client *redis.Client, campaign string, copies []Copy, decided map[int64][]Decided, why string,
) (found applied, err error) {
	for chunk := range slices.Chunk(copies, applyMost) {
		keys := []string{changedKey(campaign)}
		var persons []string
		args := []any{copyLife.Milliseconds(), bookedLife.Milliseconds(), changedLife.Milliseconds(), why, len(chunk)}
		for _, c := range chunk {
			keys = append(keys, copyKey(campaign, c.Slot), holdsKey(campaign, c.Slot))
			args = append(args, FormatID(c.Slot), copyText(c), len(decided[c.Slot]))
			for _, d := range decided[c.Slot] {
				booked := "0"
				if d.Booked {
					booked = "1"
				}
				persons = append(persons, personKey(campaign, d.Person))
				args = append(args, d.Hold.String(), booked)
			}
		}
		keys = append(keys, persons...)
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
