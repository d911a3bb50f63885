package slot_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"jari/internal/app"
	"jari/internal/campaign"
	"jari/internal/civil"
	"jari/internal/clock"
	"jari/internal/config"
	"jari/internal/fault"
	"jari/internal/keys"
	"jari/internal/localstores"
	jariredis "jari/internal/redis"
	"jari/internal/slot"
	"jari/internal/token"
	"jari/test/storetest"
)

// night is when the tests take place: wave E3 is open.
var night = time.Date(2021, 7, 19, 11, 0, 0, 0, time.UTC)

const campaignFile = `
campaign: night
title: {ko: 밤, en: Night}
zone: Asia/Seoul
regions:
  - {region: seoul, name: {ko: 서울, en: Seoul}}
  - {region: empty, name: {ko: 빈 곳, en: Nowhere}}
waves:
  - wave: E3
    title: {ko: 하나, en: One}
    who_in_words: {ko: 누구, en: Who}
    who: {birth_date: {from: 1962-01-01, to: 1966-12-31}}
    opens_at: 2021-07-14T20:00:00+09:00
    closes_at: 2021-07-24T18:00:00+09:00
    slots: {from: 2021-07-26, to: 2021-08-14}
cases:
  - {birth_date: 1964-05-06, at: "2021-07-19T20:00:00+09:00", expect: "yes", wave: E3}
sites: sites.csv
slots: slots.yaml
`

const sitesFile = `site_id,region,name,name_en,address,telephone,latitude,longitude,wheelchair,slot_template
here,seoul,여기,Here,주소 1,,37.50,127.00,yes,day
near,seoul,가까이,Near,주소 2,,37.51,127.00,no,day
far,seoul,멀리,Far,주소 3,,37.90,127.00,no,day
`

// house is a slot service on stores of its own.
type house struct {
	*slot.Service
	pool      *pgxpool.Pool
	redis     *redis.Client
	campaigns *campaign.Service
	campaign  *campaign.Campaign
	clock     *clock.Manual
	tokens    *token.Box
}

// setup publishes a campaign whose slots, hourly from nine to twelve on 26 July, have the given capacity.
func setup(t testing.TB, capacity int) house {
	t.Helper()
	h := house{pool: storetest.Postgres(t), redis: storetest.Redis(t), clock: clock.NewManual(night)}
	h.publish(t, capacity)
	log := slog.New(slog.DiscardHandler)
	h.campaigns = campaign.NewService(h.pool, h.clock, time.Minute, log)
	line, err := keys.Generate(config.Development, keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := keys.NewSealer(line, config.Development, keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	h.tokens = token.NewBox(sealer, config.Development)
	h.Service, err = slot.NewService(h.pool, h.redis, h.campaigns, h.clock, h.tokens,
		slot.Limits{Placements: 10, Window: time.Minute, Queue: 1000}, log)
	if err != nil {
		t.Fatal(err)
	}
	h.refresh(t)
	if h.campaign, err = h.campaigns.Get("night"); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) publish(t testing.TB, capacity int) {
	t.Helper()
	slots := fmt.Sprintf("templates:\n  day:\n    weekdays: [mon]\n    from: 2021-07-26\n    to: 2021-07-26\n"+
		"    hours: [{from: \"09:00\", to: \"12:00\", every_minutes: 60, capacity: %d}]\n", capacity)
	_, err := app.Publish(t.Context(), h.pool, fstest.MapFS{
		"campaign.yaml": {Data: []byte(campaignFile)}, "sites.csv": {Data: []byte(sitesFile)}, "slots.yaml": {Data: []byte(slots)},
	}, "campaign.yaml", night)
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) refresh(t testing.TB) {
	t.Helper()
	if err := errors.Join(h.campaigns.Refresh(t.Context()), h.Refresh(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// places are the slots of a site, by start.
func (h *house) places(t testing.TB, site string) []slot.Place {
	t.Helper()
	var ids []int64
	rows, err := h.pool.Query(t.Context(), `SELECT slot_id FROM slots WHERE site_id = $1 ORDER BY starts_at`, site)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	places := make([]slot.Place, len(ids))
	for i, id := range ids {
		p, ok := h.Get("night", id)
		if !ok {
			t.Fatalf("slot %d isn't in the directory", id)
		}
		places[i] = p
	}
	return places
}

func (h *house) wish(p slot.Place, person uuid.UUID) slot.Wish {
	return slot.Wish{
		Campaign: h.campaign, Slot: p, Person: person, Actor: person, Wave: "E3", RulesVersion: 1, JudgedAt: night,
	}
}

func (h *house) place(t *testing.T, w slot.Wish) slot.Hold {
	t.Helper()
	hold, err := h.Place(t.Context(), w)
	if err != nil {
		t.Fatalf("placing: %v", err)
	}
	return hold
}

// refused checks a refusal's code and returns it for those who look closer.
func refused(t *testing.T, err error, want fault.Code) fault.Error {
	t.Helper()
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Code != want {
		t.Fatalf("got %v, want the refusal %s", err, want)
	}
	return *e
}

func TestOneUnitManyCallers(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	place := h.places(t, "here")[0]
	const callers = 200
	var wg sync.WaitGroup
	results := make(chan error, callers)
	for range callers {
		wg.Go(func() {
			_, err := h.Place(t.Context(), h.wish(place, uuid.New()))
			results <- err
		})
	}
	wg.Wait()
	close(results)
	won := 0
	for err := range results {
		if err == nil {
			won++
			continue
		}
		refused(t, err, fault.CodeSlotFull)
	}
	if won != 1 {
		t.Fatalf("%d of %d callers hold the only unit", won, callers)
	}
}

func TestCapacityIsSharedExactly(t *testing.T) {
	t.Parallel()
	h := setup(t, 7)
	place := h.places(t, "here")[0]
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 60 {
		wg.Go(func() {
			if _, err := h.Place(t.Context(), h.wish(place, uuid.New())); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if won != 7 {
		t.Fatalf("%d people hold 7 units", won)
	}
}

func TestAskingAgainGivesTheSameHold(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	person := uuid.New()
	wish := h.wish(h.places(t, "here")[0], person)
	first := h.place(t, wish)
	if second := h.place(t, wish); !cmp.Equal(first, second) {
		t.Fatal(cmp.Diff(first, second))
	}
	if first.Wave != "E3" || first.RulesVersion != 1 || !first.JudgedAt.Equal(night) || first.Person != person {
		t.Fatalf("the hold forgot how it was judged: %+v", first)
	}
}

func TestHoldOfAnotherSlotNeedsInsteadOf(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	person, places := uuid.New(), h.places(t, "here")
	first := h.place(t, h.wish(places[0], person))

	_, err := h.Place(t.Context(), h.wish(places[1], person))
	if other, ok := refused(t, err, fault.CodeHoldsOther).Extra.(slot.Hold); !ok || other.ID != first.ID {
		t.Fatalf("the refusal doesn't carry the live hold: %+v", other)
	}
	wrong := h.wish(places[1], person)
	wrong.InsteadOf = uuid.New()
	_, err = h.Place(t.Context(), wrong)
	refused(t, err, fault.CodeHoldsOther)

	right := h.wish(places[1], person)
	right.InsteadOf = first.ID
	second := h.place(t, right)
	if second.ID == first.ID || second.Slot != places[1].ID {
		t.Fatalf("the hold didn't move: %+v", second)
	}
	h.place(t, h.wish(places[0], uuid.New())) // the unit that was given up can be held at once
	if again := h.place(t, right); again.ID != second.ID {
		t.Fatal("a retry of the move made another hold")
	}
}

func TestLateHoldRetrySparesLaterHold(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	person, places := uuid.New(), h.places(t, "here")
	early := h.wish(places[0], person)
	first := h.place(t, early)
	later := h.wish(places[1], person)
	later.InsteadOf = first.ID
	second := h.place(t, later)

	_, err := h.Place(t.Context(), early) // the retry of the first request arrives late
	refused(t, err, fault.CodeHoldsOther)
	if live, ok, err := h.Live(t.Context(), "night", person); err != nil || !ok || live.ID != second.ID {
		t.Fatalf("the later hold is gone: %v %v %v", live.ID, ok, err)
	}
}

func TestMovingToAFullSlotKeepsTheHold(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	person, places := uuid.New(), h.places(t, "here")
	first := h.place(t, h.wish(places[0], person))
	h.place(t, h.wish(places[1], uuid.New()))
	move := h.wish(places[1], person)
	move.InsteadOf = first.ID
	_, err := h.Place(t.Context(), move)
	refused(t, err, fault.CodeSlotFull)
	if live, ok, _ := h.Live(t.Context(), "night", person); !ok || live.ID != first.ID {
		t.Fatal("the hold was lost for a slot that is full")
	}
}

func TestExtendingKeepsThePlace(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	person, place := uuid.New(), h.places(t, "here")[0]
	first := h.place(t, h.wish(place, person))
	again := h.wish(place, person)
	again.InsteadOf = first.ID
	second := h.place(t, again)
	if second.ExpiresAt.Before(first.ExpiresAt) {
		t.Fatal("extending made the hold shorter")
	}
	_, err := h.Place(t.Context(), h.wish(place, uuid.New()))
	refused(t, err, fault.CodeSlotFull)
}

func TestHoldThatEndedIsKeptForItsConfirm(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	place := h.places(t, "here")[0]
	h.campaign.HoldSeconds = 0 // over at once, kept for the grace
	person := uuid.New()
	h.place(t, h.wish(place, person))

	_, err := h.Place(t.Context(), h.wish(place, person))
	if e := refused(t, err, fault.CodeHoldEnding); e.RetryAfter <= 0 || e.RetryAfter > 20*time.Second {
		t.Fatalf("says to wait %s", e.RetryAfter)
	}
	_, err = h.Place(t.Context(), h.wish(place, uuid.New()))
	refused(t, err, fault.CodeSlotFull)
	if _, live, _ := h.Live(t.Context(), "night", person); live {
		t.Fatal("a hold that ended is shown as live")
	}
}

func TestForgottenHoldFreesItsPlace(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	place := h.places(t, "here")[0]
	hold := h.place(t, h.wish(place, uuid.New()))
	// What the passing of time does, done to the store: the instant of forgetting lies in the past.
	key := fmt.Sprintf("{night}:holds:%d", place.ID)
	if n, err := h.redis.ZAdd(t.Context(), key, redis.Z{Score: 1, Member: hold.ID.String()}).Result(); err != nil || n != 0 {
		t.Fatal(n, err)
	}
	h.place(t, h.wish(place, uuid.New()))
}

func TestReleasedHoldFreesItsPlaceAndSaysSo(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	place, person := h.places(t, "here")[0], uuid.New()
	hold := h.place(t, h.wish(place, person))
	for range 2 { // releasing twice is releasing once
		if err := h.Release(t.Context(), "night", person); err != nil {
			t.Fatal(err)
		}
	}
	given, err := h.GivenUp(t.Context(), "night", []token.Hold{{ID: hold.ID, Person: person, PlacedAt: hold.PlacedAt}})
	if err != nil || !given[hold.ID] {
		t.Fatalf("a released hold isn't given up: %v %v", given, err)
	}
	h.place(t, h.wish(place, uuid.New()))
}

func TestReleaseByAStrangerDoesNothing(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	place, person := h.places(t, "here")[0], uuid.New()
	h.place(t, h.wish(place, person))
	if err := h.Release(t.Context(), "night", uuid.New()); err != nil {
		t.Fatal(err)
	}
	_, err := h.Place(t.Context(), h.wish(place, uuid.New()))
	refused(t, err, fault.CodeSlotFull)
}

func TestALateReleaseSparesALaterHold(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	person, places := uuid.New(), h.places(t, "here")
	first := h.place(t, h.wish(places[0], person))
	exchanged := h.wish(places[1], person)
	exchanged.InsteadOf = first.ID
	second := h.place(t, exchanged)
	if err := h.ReleaseNow(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if live, ok, err := h.Live(t.Context(), "night", person); err != nil || !ok || live.ID != second.ID {
		t.Fatalf("after a late release of the first hold the person has %+v, %t, %v", live, ok, err)
	}
}

func TestGivenUpKnowsOnlyWhatRedisSays(t *testing.T) {
	t.Parallel()
	h := setup(t, 2)
	places, person := h.places(t, "here"), uuid.New()
	first := h.place(t, h.wish(places[0], person))
	move := h.wish(places[1], person)
	move.InsteadOf = first.ID
	second := h.place(t, move)
	unknown := token.Hold{ID: uuid.New(), Person: uuid.New(), PlacedAt: night}
	given, err := h.GivenUp(t.Context(), "night", []token.Hold{
		{ID: first.ID, Person: person, PlacedAt: first.PlacedAt}, {ID: second.ID, Person: person, PlacedAt: second.PlacedAt}, unknown,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !given[first.ID] || given[second.ID] || given[unknown.ID] {
		t.Fatalf("superseded, live, unknown: %v %v %v", given[first.ID], given[second.ID], given[unknown.ID])
	}
}

func TestPlacementsAreLimited(t *testing.T) {
	t.Parallel()
	h := setup(t, 20)
	person, places := uuid.New(), h.places(t, "here")
	hold := h.place(t, h.wish(places[0], person))
	var err error
	for i := 1; err == nil && i < 20; i++ {
		w := h.wish(places[i%2], person)
		w.InsteadOf = hold.ID
		var next slot.Hold
		if next, err = h.Place(t.Context(), w); err == nil {
			hold = next
		} else if i != 10 {
			t.Fatalf("refused after %d placements: %v", i, err)
		}
	}
	if e := refused(t, err, fault.CodeHoldLimit); e.RetryAfter <= 0 || e.RetryAfter > time.Minute {
		t.Fatalf("says to wait %s", e.RetryAfter)
	}
	if live, ok, _ := h.Live(t.Context(), "night", person); !ok || live.ID != hold.ID {
		t.Fatal("the refusal took the live hold away")
	}
}

func TestClosedSlotsAreRefused(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"closed", "unreleased"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			h := setup(t, 1)
			place := h.places(t, "here")[0]
			if _, err := h.pool.Exec(t.Context(), `UPDATE slots SET state = $2, version = version + 1 WHERE slot_id = $1`, place.ID, state); err != nil {
				t.Fatal(err)
			}
			_, err := h.Place(t.Context(), h.wish(place, uuid.New()))
			refused(t, err, fault.CodeSlotClosed)
		})
	}
}

func TestCopyIsLoadedWhenItIsMissing(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	place := h.places(t, "here")[0]
	if _, err := h.pool.Exec(t.Context(), `UPDATE slots SET booked = 1, version = version + 1 WHERE slot_id = $1`, place.ID); err != nil {
		t.Fatal(err)
	}
	_, err := h.Place(t.Context(), h.wish(place, uuid.New()))
	refused(t, err, fault.CodeSlotFull)
	if n, err := h.redis.Exists(t.Context(), fmt.Sprintf("{night}:copy:%d", place.ID)).Result(); err != nil || n != 1 {
		t.Fatalf("no copy was loaded: %d %v", n, err)
	}
}

func TestCopyIsReplacedOnlyByANewerOne(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	place := h.places(t, "here")[0]
	apply := func(c slot.Copy) int {
		t.Helper()
		c.Slot, c.State = place.ID, slot.Open
		if err := h.Push(t.Context(), "night", []slot.Copy{c}, nil); err != nil {
			t.Fatal(err)
		}
		return copyIn(t, h.redis, place.ID).Capacity
	}
	for _, step := range []struct {
		name string
		copy slot.Copy
		want int
	}{
		{"the first is taken", slot.Copy{Capacity: 10, Version: 5, Generation: "a"}, 10},
		{"an older one isn't", slot.Copy{Capacity: 11, Version: 4, Generation: "a"}, 10},
		{"the same version isn't", slot.Copy{Capacity: 12, Version: 5, Generation: "a"}, 10},
		{"a newer one is", slot.Copy{Capacity: 13, Version: 6, Generation: "a"}, 13},
		{"versions are numbers, not texts", slot.Copy{Capacity: 14, Version: 10, Generation: "a"}, 14},
		{"a restored database's is, although its version is lower", slot.Copy{Capacity: 15, Version: 2, Generation: "b"}, 15},
	} {
		if got := apply(step.copy); got != step.want {
			t.Fatalf("%s: capacity %d, want %d", step.name, got, step.want)
		}
	}
}

func TestDecidedHoldsAreDropped(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	place, person := h.places(t, "here")[0], uuid.New()
	hold := h.place(t, h.wish(place, person))
	err := h.Push(t.Context(), "night", []slot.Copy{{Slot: place.ID, Capacity: 1, Booked: 0, State: slot.Open, Version: 9, Generation: "x"}},
		map[int64][]slot.Decided{place.ID: {{Hold: hold.ID, Person: person}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, live, _ := h.Live(t.Context(), "night", person); live {
		t.Fatal("a decided hold is still live")
	}
	h.place(t, h.wish(place, uuid.New()))
}

func TestADecidedHoldSparesALaterHold(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	person, places := uuid.New(), h.places(t, "here")
	first := h.place(t, h.wish(places[0], person))
	exchanged := h.wish(places[1], person)
	exchanged.InsteadOf = first.ID
	second := h.place(t, exchanged)
	for _, booked := range []bool{false, true} {
		err := h.Push(t.Context(), "night", []slot.Copy{{Slot: first.Slot, Capacity: 1, State: slot.Open, Version: 1, Generation: "g"}},
			map[int64][]slot.Decided{first.Slot: {{Hold: first.ID, Person: person, Booked: booked}}})
		if err != nil {
			t.Fatal(err)
		}
		if live, ok, err := h.Live(t.Context(), "night", person); err != nil || !ok || live.ID != second.ID {
			t.Fatalf("after the first hold was decided the person has %+v, %t, %v", live, ok, err)
		}
	}
}

func TestEveryKeyHasTheTagAndAnExpiry(t *testing.T) {
	t.Parallel()
	h := setup(t, 2)
	h.place(t, h.wish(h.places(t, "here")[0], uuid.New()))
	all, err := h.redis.Keys(t.Context(), "*").Result() // the test's own database
	if err != nil || len(all) != 4 {
		t.Fatal(all, err)
	}
	for _, key := range all {
		if !strings.HasPrefix(key, "{night}:") {
			t.Errorf("%s lacks the hash tag", key)
		}
		if ttl, err := h.redis.TTL(t.Context(), key).Result(); err != nil || ttl <= 0 {
			t.Errorf("%s never expires: %v %v", key, ttl, err)
		}
	}
}

func TestScriptsSurviveAnEmptyScriptCache(t *testing.T) {
	t.Parallel()
	stores := storetest.Private(t, localstores.Options{})
	client := redisAt(t, stores.RedisURL())
	h := setup(t, 1)
	h.redis = client
	service, err := slot.NewService(h.pool, client, h.campaigns, h.clock, h.tokens,
		slot.Limits{Placements: 10, Window: time.Minute, Queue: 1000}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h.Service = service
	h.refresh(t)
	place := h.places(t, "here")[0]
	for range 2 {
		person := uuid.New()
		hold := h.place(t, h.wish(place, person))
		if err := client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		err := h.Push(t.Context(), "night", []slot.Copy{{Slot: place.ID, Capacity: 1, State: slot.Open, Version: 9, Generation: "x"}},
			map[int64][]slot.Decided{place.ID: {{Hold: hold.ID, Person: person}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWithoutRedisHoldsWaitAndDocumentsGoOn(t *testing.T) {
	t.Parallel()
	stores := storetest.Private(t, localstores.Options{})
	h := setup(t, 3)
	service, err := slot.NewService(h.pool, redisAt(t, stores.RedisURL()), h.campaigns, h.clock, h.tokens,
		slot.Limits{Placements: 10, Window: time.Minute, Queue: 1000}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h.Service = service
	h.refresh(t)
	place := h.places(t, "here")[0]
	h.place(t, h.wish(place, uuid.New()))
	if err := stores.Redis().Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = h.Place(t.Context(), h.wish(place, uuid.New()))
	if e := refused(t, err, fault.CodeStoreUnavailable); e.RetryAfter <= 0 {
		t.Fatal("the refusal doesn't say when to try again")
	}
	d, err := h.SiteSlots(h.campaign, "here")
	if err != nil || !strings.Contains(string(d.Plain.Body), `"remaining":3`) {
		t.Fatalf("without Redis a document shows %s %v", d.Plain.Body, err)
	}
	// Restarted empty: the copy is loaded again, and the place can be held.
	if err := stores.Redis().Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.place(t, h.wish(place, uuid.New()))
}

func TestFindKnowsPublishedSlotsAlone(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	place := h.places(t, "here")[0]
	if got, err := h.Find("night", slot.FormatID(place.ID)); err != nil || got != place {
		t.Fatal(got, err)
	}
	for _, id := range []string{"", "0", "-1", "+1", "01", "1 ", "999999999", "99999999999999999999", "abc"} {
		_, err := h.Find("night", id)
		refused(t, err, fault.CodeSlotNotFound)
	}
	_, err := h.Find("other", slot.FormatID(place.ID))
	refused(t, err, fault.CodeSlotNotFound)
}

func TestDocumentsShowWhatRemains(t *testing.T) {
	t.Parallel()
	h := setup(t, 3)
	places := h.places(t, "here")
	h.place(t, h.wish(places[0], uuid.New()))
	if _, err := h.pool.Exec(t.Context(), `UPDATE slots SET booked = 2, version = version + 1 WHERE slot_id = $1`, places[1].ID); err != nil {
		t.Fatal(err)
	}
	h.catchUp(t)
	d, err := h.SiteSlots(h.campaign, "here")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"campaign_id":"night","site_id":"here","slots":[`+
		`{"slot_id":"%d","starts_at":"2021-07-26T09:00:00+09:00","ends_at":"2021-07-26T10:00:00+09:00","remaining":2},`+
		`{"slot_id":"%d","starts_at":"2021-07-26T10:00:00+09:00","ends_at":"2021-07-26T11:00:00+09:00","remaining":1},`+
		`{"slot_id":"%d","starts_at":"2021-07-26T11:00:00+09:00","ends_at":"2021-07-26T12:00:00+09:00","remaining":3}]}`,
		places[0].ID, places[1].ID, places[2].ID)
	if diff := cmp.Diff(want, string(d.Plain.Body)); diff != "" {
		t.Fatal(diff)
	}
	day, err := h.RegionDay(h.campaign, "seoul", civil.Date{Year: 2021, Month: 7, Day: 26})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"campaign_id":"night","region":"seoul","date":"2021-07-26","sites":[`+
		`{"site_id":"far","remaining":9},{"site_id":"here","remaining":6},{"site_id":"near","remaining":9}]}`, string(day.Plain.Body)); diff != "" {
		t.Fatal(diff)
	}
	for _, empty := range []struct {
		region string
		day    civil.Date
	}{{"seoul", civil.Date{Year: 2021, Month: 7, Day: 27}}, {"empty", civil.Date{Year: 2021, Month: 7, Day: 26}}, {"seoul", civil.Date{Year: 1999, Month: 1, Day: 1}}} {
		day, err := h.RegionDay(h.campaign, empty.region, empty.day)
		if err != nil || !strings.Contains(string(day.Plain.Body), `"sites":[]`) {
			t.Fatalf("%v: %s %v", empty, day.Plain.Body, err)
		}
	}
	_, err = h.RegionDay(h.campaign, "mars", civil.Date{Year: 2021, Month: 7, Day: 26})
	refused(t, err, fault.CodeRegionNotFound)
	_, err = h.SiteSlots(h.campaign, "mars")
	refused(t, err, fault.CodeSiteNotFound)
}

func TestNothingRemainsOnceBookingHasClosed(t *testing.T) {
	t.Parallel()
	h := setup(t, 3)
	place := h.places(t, "here")[0]
	h.clock.Set(h.campaign.BookUntil(place.StartsAt))
	d, err := h.SiteSlots(h.campaign, "here")
	if err != nil || strings.Count(string(d.Plain.Body), `"remaining":0`) != 1 {
		t.Fatalf("%s %v", d.Plain.Body, err)
	}
}

func TestAlternativesAreNearInTimeAndSpace(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	here := h.places(t, "here")
	h.place(t, h.wish(here[1], uuid.New()))
	h.place(t, h.wish(here[0], uuid.New()))
	h.catchUp(t)
	got := h.Alternatives(t.Context(), h.campaign, here[1], "", civil.Date{Year: 2021, Month: 7, Day: 26}, civil.Date{Year: 2021, Month: 8, Day: 14})
	var sites []string
	for _, a := range got {
		sites = append(sites, a.Site+" "+a.StartsAt.In(h.campaign.Location).Format("15:04"))
	}
	if diff := cmp.Diff([]string{"here 11:00", "near 10:00", "far 10:00"}, sites); diff != "" {
		t.Fatal(diff)
	}
	if none := h.Alternatives(t.Context(), h.campaign, here[1], "", civil.Date{Year: 2021, Month: 8, Day: 1}, civil.Date{Year: 2021, Month: 8, Day: 2}); len(none) != 0 {
		t.Fatalf("days that the person may not book were offered: %v", none)
	}
}

func TestRepublishingSlotsKeepsWhatIsBooked(t *testing.T) {
	t.Parallel()
	h := setup(t, 5)
	place := h.places(t, "here")[0]
	if _, err := h.pool.Exec(t.Context(), `UPDATE slots SET booked = 4, version = version + 1 WHERE slot_id = $1`, place.ID); err != nil {
		t.Fatal(err)
	}
	h.publish(t, 6)
	var id int64
	var capacity, booked, version int
	err := h.pool.QueryRow(t.Context(), `SELECT slot_id, capacity, booked, version FROM slots WHERE slot_id = $1`, place.ID).Scan(&id, &capacity, &booked, &version)
	if err != nil || capacity != 6 || booked != 4 || version != 3 {
		t.Fatal(id, capacity, booked, version, err)
	}
}

func redisAt(t *testing.T, url string) *redis.Client {
	t.Helper()
	client, err := jariredis.Open(url, jariredis.Options{PoolSize: 16, Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestPlacesThatAreAddedCanBeHeldAtOnce(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	place := h.places(t, "here")[0]
	h.place(t, h.wish(place, uuid.New()))
	_, err := h.Place(t.Context(), h.wish(place, uuid.New()))
	refused(t, err, fault.CodeSlotFull)
	h.publish(t, 5) // tells Redis nothing
	other := h.places(t, "here")[1]
	for range 2 {
		h.place(t, h.wish(other, uuid.New()))
	}
	// The slot that said no just now is looked at again within a second.
	deadline := time.Now().Add(5 * time.Second)
	for {
		_, err := h.Place(t.Context(), h.wish(place, uuid.New()))
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the places that were added can't be held: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestWhoHasBookedHoldsNoOtherPlace(t *testing.T) {
	t.Parallel()
	h := setup(t, 2)
	places, person := h.places(t, "here"), uuid.New()
	hold := h.place(t, h.wish(places[0], person))
	booked := func(hold slot.Hold) {
		t.Helper()
		err := h.Push(t.Context(), "night",
			[]slot.Copy{{Slot: hold.Slot, Capacity: 2, Booked: 1, State: slot.Open, Version: 9, Generation: "x"}},
			map[int64][]slot.Decided{hold.Slot: {{Hold: hold.ID, Person: person, Booked: true}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	booked(hold)
	// A retry of placing that arrives late, and another slot.
	for _, p := range places[:2] {
		_, err := h.Place(t.Context(), h.wish(p, person))
		refused(t, err, fault.CodeAlreadyBooked)
	}
	// Moving the booking is something else, and confirming the move marks again.
	move := h.wish(places[1], person)
	move.Replaces = uuid.New()
	booked(h.place(t, move))
	_, err := h.Place(t.Context(), h.wish(places[2], person))
	refused(t, err, fault.CodeAlreadyBooked)
	if err := h.ForgetBooked(t.Context(), "night", person); err != nil {
		t.Fatal(err)
	}
	h.place(t, h.wish(places[2], person))
}
