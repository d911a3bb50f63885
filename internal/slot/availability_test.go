package slot_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/localstores"
	"jari/internal/slot"
	"jari/test/jaritest"
	"jari/test/storetest"
)

// shownWithin is how old a place may be that a document shows.
const shownWithin = 2 * time.Second

// day is the day of all slots.
var day = civil.Date{Year: 2021, Month: 7, Day: 26}

// another is one more instance on the same stores, or with a Redis of its own.
func (h *house) another(t *testing.T, client *redis.Client) *house {
	t.Helper()
	other := *h
	other.redis = client
	var err error
	other.Service, err = slot.NewService(h.pool, client, h.campaigns, h.clock, h.tokens,
		slot.Limits{Placements: 100, Window: time.Minute, Queue: 1000}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	other.refresh(t)
	return &other
}

// catchUp brings what documents show up to date with both stores.
func (h *house) catchUp(t testing.TB) {
	t.Helper()
	if err := h.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// watch lets the instance follow what changes until the test's end.
func (h *house) watch(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { h.Watch(ctx) })
	t.Cleanup(func() {
		cancel()
		watching.Wait()
		h.Close()
	})
}

// remaining is what the documents show of a site: slot by slot, and the sum that the region's day has.
func (h *house) remaining(t *testing.T, site string) (slots []int, sum int) {
	t.Helper()
	var all struct {
		Slots []struct {
			Remaining int `json:"remaining"`
		} `json:"slots"`
	}
	d, err := h.SiteSlots(h.campaign, site)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(d.Plain.Body, &all); err != nil {
		t.Fatal(err)
	}
	for _, x := range all.Slots {
		slots = append(slots, x.Remaining)
	}
	var onDay struct {
		Sites []struct {
			Site      string `json:"site_id"`
			Remaining int    `json:"remaining"`
		} `json:"sites"`
	}
	if d, err = h.RegionDay(h.campaign, "seoul", day); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(d.Plain.Body, &onDay); err != nil {
		t.Fatal(err)
	}
	for _, x := range onDay.Sites {
		if x.Site == site {
			return slots, x.Remaining
		}
	}
	t.Fatalf("%s isn't on the day", site)
	return nil, 0
}

// shows waits until all instances show the same, in both documents.
func shows(t *testing.T, what string, instances []*house, site string, want ...int) {
	t.Helper()
	sum := 0
	for _, n := range want {
		sum += n
	}
	began, late := time.Now(), lateness(t)
	jaritest.Eventually(t, 10*shownWithin, what, func() bool {
		for _, h := range instances {
			if slots, all := h.remaining(t, site); !slices.Equal(slots, want) || all != sum {
				return false
			}
		}
		return true
	})
	// Half a second to hear of it and one for the document leave half a second for everything else, which is some steps
	// that a busy machine lets wait.
	const steps = 5
	if took, slow := time.Since(began), late(); took > shownWithin+steps*slow {
		t.Errorf("%s: shown after %s, on a machine that was %s late", what, took, slow)
	}
}

// lateness measures until it is called by how much this machine lets a waiting goroutine wait too long.
func lateness(t *testing.T) func() time.Duration {
	t.Helper()
	const nap = 10 * time.Millisecond
	var most atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var measuring sync.WaitGroup
	measuring.Go(func() {
		for ctx.Err() == nil {
			began := time.Now()
			<-time.After(nap)
			most.Store(max(most.Load(), int64(time.Since(began)-nap)))
		}
	})
	return func() time.Duration {
		cancel()
		measuring.Wait()
		return time.Duration(most.Load())
	}
}

func (h *house) row(t *testing.T, id int64) (c slot.Copy) {
	t.Helper()
	err := h.pool.QueryRow(t.Context(), `
		SELECT slot_id, capacity, booked, state, version, (SELECT generation::text FROM store_generation WHERE one_row) FROM slots WHERE slot_id = $1`, id).
		Scan(&c.Slot, &c.Capacity, &c.Booked, &c.State, &c.Version, &c.Generation)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// decide changes how much of a slot is booked, and returns the row as it is then.
func (h *house) decide(t *testing.T, id int64, booked int) slot.Copy {
	t.Helper()
	_, err := h.pool.Exec(t.Context(), `UPDATE slots SET booked = booked + $2, version = version + 1 WHERE slot_id = $1`, id, booked)
	if err != nil {
		t.Fatal(err)
	}
	return h.row(t, id)
}

func (h *house) push(t *testing.T, c slot.Copy, decided ...slot.Decided) {
	t.Helper()
	if err := h.Push(t.Context(), "night", []slot.Copy{c}, map[int64][]slot.Decided{c.Slot: decided}); err != nil {
		t.Fatal(err)
	}
}

func TestEveryInstanceShowsAChangeWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	first := setup(t, 3)
	second := first.another(t, first.redis)
	both := []*house{&first, second}
	for _, h := range both {
		h.watch(t)
	}
	place, person := first.places(t, "here")[0], uuid.New()
	shows(t, "nothing has happened", both, "here", 3, 3, 3)
	hold := first.place(t, first.wish(place, person))
	shows(t, "a place is held", both, "here", 2, 3, 3)
	first.push(t, first.decide(t, place.ID, 1), slot.Decided{Hold: hold.ID, Person: person, Booked: true})
	gone := second.place(t, second.wish(place, uuid.New()))
	shows(t, "it is booked, and another one held", both, "here", 1, 3, 3)
	first.push(t, first.decide(t, place.ID, -1))
	shows(t, "the booking is cancelled", both, "here", 2, 3, 3)
	if err := first.Release(t.Context(), "night", gone.Person); err != nil {
		t.Fatal(err)
	}
	shows(t, "the hold is released", both, "here", 3, 3, 3)

	// A hold that ends tells nobody. What the passing of time does is brought nearer, as a placement with a short life is.
	short := first.place(t, first.wish(place, uuid.New()))
	ends := time.Now().Add(3 * time.Second)
	key := fmt.Sprintf("{night}:holds:%d", place.ID)
	if err := first.redis.ZAdd(t.Context(), key, redis.Z{Score: float64(ends.UnixMilli()), Member: short.ID.String()}).Err(); err != nil {
		t.Fatal(err)
	}
	touch := redis.Z{Score: float64(time.Now().UnixMilli() + 1), Member: slot.FormatID(place.ID)}
	if err := first.redis.ZAdd(t.Context(), "{night}:changed", touch).Err(); err != nil {
		t.Fatal(err)
	}
	shows(t, "a place is held for a moment", both, "here", 2, 3, 3)
	<-time.After(time.Until(ends))
	shows(t, "the hold is forgotten", both, "here", 3, 3, 3)
}

// TestMoreChangesOfOneInstantThanAnAnswerTakes are heard all the same: a change of many slots is told at one instant.
func TestMoreChangesOfOneInstantThanAnAnswerTakes(t *testing.T) {
	t.Parallel()
	h := setup(t, 3)
	var changed []redis.Z
	at := float64(time.Now().Add(time.Second).UnixMilli())
	for _, place := range h.places(t, "here") {
		h.place(t, h.wish(place, uuid.New()))
		changed = append(changed, redis.Z{Score: at, Member: slot.FormatID(place.ID)})
	}
	if err := h.redis.ZAdd(t.Context(), "{night}:changed", changed...).Err(); err != nil {
		t.Fatal(err)
	}
	for most := range 4 {
		other := h.another(t, h.redis)
		other.HearAtMost(int64(1 + most))
		if err := other.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		shows(t, fmt.Sprintf("heard %d at once", 1+most), []*house{other}, "here", 2, 2, 2)
	}
}

func TestAnInstanceThatStartsKnowsEveryLiveHold(t *testing.T) {
	t.Parallel()
	h := setup(t, 3)
	place := h.places(t, "near")[1]
	h.place(t, h.wish(place, uuid.New()))
	// As if it was placed as long ago as a hold may live.
	old := redis.Z{Score: float64(time.Now().Add(-slot.ChangedLife + 30*time.Second).UnixMilli()), Member: slot.FormatID(place.ID)}
	if err := h.redis.ZAdd(t.Context(), "{night}:changed", old).Err(); err != nil {
		t.Fatal(err)
	}
	later := h.another(t, h.redis)
	if err := later.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if slots, sum := later.remaining(t, "near"); !slices.Equal(slots, []int{3, 2, 3}) || sum != 8 {
		t.Fatal(slots, sum)
	}
}

func TestOldChangesAreForgotten(t *testing.T) {
	t.Parallel()
	h := setup(t, 3)
	at := func(age time.Duration, member string) redis.Z {
		return redis.Z{Score: float64(time.Now().Add(-age).UnixMilli()), Member: member}
	}
	for _, z := range []redis.Z{at(slot.ChangedLife+time.Minute, "1"), at(slot.ChangedLife-time.Minute, "2"), at(0, "3")} {
		if err := h.redis.ZAdd(t.Context(), "{night}:changed", z).Err(); err != nil {
			t.Fatal(err)
		}
	}
	h.catchUp(t)
	if left, err := h.redis.ZRange(t.Context(), "{night}:changed", 0, -1).Result(); err != nil || !slices.Equal(left, []string{"2", "3"}) {
		t.Fatal(left, err)
	}
}

func TestACopyThatIsMissingDoesntEmptyASlot(t *testing.T) {
	t.Parallel()
	h := setup(t, 3)
	place := h.places(t, "here")[0]
	h.place(t, h.wish(place, uuid.New()))
	h.push(t, h.decide(t, place.ID, 1))
	h.catchUp(t)
	// Restarted empty: copies, holds and changes are gone.
	if err := h.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := h.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if slots, _ := h.remaining(t, "here"); !slices.Equal(slots, []int{2, 3, 3}) {
		t.Fatalf("the holds are gone and the booking is there, and shown is %v", slots)
	}
}

func TestMemoryTakesNewerVersionsOnly(t *testing.T) {
	t.Parallel()
	h := setup(t, 9)
	place := h.places(t, "here")[0]
	truth := h.row(t, place.ID)
	for _, step := range []struct {
		name string
		copy slot.Copy
		want int
	}{
		{"a newer one", slot.Copy{Capacity: 9, Booked: 4, Version: truth.Version + 5, Generation: truth.Generation}, 5},
		{"an older one", slot.Copy{Capacity: 9, Booked: 1, Version: truth.Version + 4, Generation: truth.Generation}, 5},
		{"one of another generation", slot.Copy{Capacity: 9, Booked: 9, Version: truth.Version + 9, Generation: "x"}, 5},
	} {
		step.copy.Slot, step.copy.State = place.ID, slot.Open
		h.push(t, step.copy)
		// What is offered instead of a slot has no age.
		got := h.Alternatives(t.Context(), h.campaign, h.places(t, "here")[1], "", day, day)
		if got[0].ID != place.ID || got[0].Remaining != step.want {
			t.Fatalf("%s: %d remain, want %d", step.name, got[0].Remaining, step.want)
		}
	}
}

func TestARestoredDatabaseIsReadAnew(t *testing.T) {
	t.Parallel()
	h := setup(t, 9)
	place := h.places(t, "here")[0]
	for range 3 {
		h.push(t, h.decide(t, place.ID, 1))
	}
	// The backup is older: fewer bookings, lower versions, another generation.
	if _, err := h.pool.Exec(t.Context(), `UPDATE slots SET booked = 1, version = 2 WHERE slot_id = $1`, place.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.pool.Exec(t.Context(), `UPDATE store_generation SET generation = gen_random_uuid()`); err != nil {
		t.Fatal(err)
	}
	h.watch(t)
	h.push(t, h.row(t, h.places(t, "far")[0].ID)) // the first flush afterwards tells
	shows(t, "memory is as Postgres says", []*house{&h}, "here", 8, 9, 9)
}

func TestWhatNobodyToldIsFoundInPostgres(t *testing.T) {
	t.Parallel()
	h := setup(t, 9)
	h.decide(t, h.places(t, "here")[0].ID, 4) // and isn't pushed
	h.catchUp(t)
	if slots, sum := h.remaining(t, "here"); !slices.Equal(slots, []int{5, 9, 9}) || sum != 23 {
		t.Fatal(slots, sum)
	}
}

func TestDocumentsGoOnWithoutAnyStore(t *testing.T) {
	t.Parallel()
	stores := storetest.Private(t, localstores.Options{})
	h := setup(t, 3)
	alone := h.another(t, redisAt(t, stores.RedisURL()))
	place := alone.places(t, "here")[0]
	person := uuid.New()
	hold := alone.place(t, alone.wish(place, person))
	alone.catchUp(t)
	alone.watch(t)
	if err := stores.Redis().Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	shows(t, "the hold is known", []*house{alone}, "here", 2, 3, 3)
	// Its confirm can't be pushed, and shows all the same: the place is booked instead of held.
	copied := alone.decide(t, place.ID, 1)
	err := alone.Push(t.Context(), "night", []slot.Copy{copied}, map[int64][]slot.Decided{place.ID: {{Hold: hold.ID, Person: person, Booked: true}}})
	refused(t, err, fault.CodeStoreUnavailable)
	shows(t, "the place is booked", []*house{alone}, "here", 2, 3, 3)
	copied = alone.decide(t, alone.places(t, "here")[1].ID, 2)
	if err := alone.Push(t.Context(), "night", []slot.Copy{copied}, nil); err == nil {
		t.Fatal("Redis is away and takes copies")
	}
	shows(t, "two more are booked", []*house{alone}, "here", 2, 1, 3)
	alone.pool.Close()
	for range 3 {
		if slots, sum := alone.remaining(t, "here"); !slices.Equal(slots, []int{2, 1, 3}) || sum != 6 {
			t.Fatal(slots, sum)
		}
	}
}

func TestWhoLooksCostsNothing(t *testing.T) {
	t.Parallel()
	h := setup(t, 50)
	h.watch(t)
	h.remaining(t, "here")
	made := h.Made()
	for range 1000 {
		h.remaining(t, "here")
	}
	if n := h.Made() - made; n != 0 {
		t.Fatalf("nothing changed, and %d documents were made", n)
	}
	// However much changes and however many look, a document is made once a second.
	began := time.Now()
	var looking sync.WaitGroup
	for range 4 {
		looking.Go(func() {
			for time.Since(began) < 2500*time.Millisecond {
				if _, err := h.SiteSlots(h.campaign, "here"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	place := h.places(t, "here")[0]
	for range 40 {
		h.place(t, h.wish(place, uuid.New()))
		<-time.After(50 * time.Millisecond)
	}
	looking.Wait()
	if n := h.Made() - made; n < 1 || n > 4 {
		t.Fatalf("one document was made %d times in %s", n, time.Since(began))
	}
}

func TestAStrangerWhoAsksForEveryDayFillsNothing(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	h.remaining(t, "here")
	before := h.Kept()
	for n := range 3000 {
		d := civil.AddDays(civil.Date{Year: 2022, Month: 1, Day: 1}, n)
		if _, err := h.RegionDay(h.campaign, "seoul", d); err != nil {
			t.Fatal(err)
		}
		_, err := h.SiteSlots(h.campaign, "nowhere-"+strconv.Itoa(n))
		refused(t, err, fault.CodeSiteNotFound)
	}
	if after := h.Kept(); after != before {
		t.Fatalf("%d documents are kept, and %d were before", after, before)
	}
}

func TestKnownIsWhatWasAskedForBefore(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	site, onDay := slot.SiteName("night", "here"), slot.RegionDayName("night", "seoul", "2021-07-26")
	if h.Known(site) != nil || h.Known(onDay) != nil {
		t.Fatal("nobody has asked yet")
	}
	d, err := h.SiteSlots(h.campaign, "here")
	if err != nil || h.Known(site) != d {
		t.Fatal("the document isn't kept", err)
	}
	if d, err = h.RegionDay(h.campaign, "seoul", day); err != nil || h.Known(onDay) != d {
		t.Fatal("the document isn't kept", err)
	}
	for _, other := range []slot.Name{
		slot.SiteName("night", "far"), slot.SiteName("nigh", "there"), slot.RegionDayName("night", "seoul", "2021-7-26"),
	} {
		if h.Known(other) != nil {
			t.Errorf("%+v is known", other)
		}
	}
}

func TestAnAddressIsKnownAsLongAsItsDocument(t *testing.T) {
	t.Parallel()
	h := setup(t, 2)
	const address = "/here"
	name := slot.SiteName("night", "here")
	h.KnowAt(address, name)
	if h.KnownAt(address) != nil {
		t.Fatal("a document that nobody asked for has an address")
	}
	made, err := h.SiteSlots(h.campaign, "here")
	if err != nil {
		t.Fatal(err)
	}
	h.KnowAt(address, name)
	if h.KnownAt(address) != made {
		t.Fatal("a document isn't found by its address")
	}
	h.Drop(name)
	if h.KnownAt(address) != nil {
		t.Fatal("a document that isn't kept any more has its address still")
	}
}

func TestCompressedDocumentsSayTheSame(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	small, err := h.SiteSlots(h.campaign, "here")
	if err != nil || small.Gzip() != nil {
		t.Fatalf("%d bytes are compressed: %v", len(small.Plain.Body), err)
	}
	if _, err := h.pool.Exec(t.Context(), `
		INSERT INTO slots (campaign_id, site_id, starts_at, ends_at, capacity)
		SELECT 'night', 'far', at, at + interval '10 minutes', 1
		FROM generate_series(timestamptz '2021-08-01T00:00:00Z', '2021-08-08T00:00:00Z', interval '10 minutes') at`); err != nil {
		t.Fatal(err)
	}
	if _, err := h.pool.Exec(t.Context(), `UPDATE campaigns SET slots_revision = slots_revision + 1`); err != nil {
		t.Fatal(err)
	}
	h.refresh(t)
	d, err := h.SiteSlots(h.campaign, "far")
	if err != nil {
		t.Fatal(err)
	}
	packed := d.Gzip()
	if packed == nil || packed != d.Gzip() {
		t.Fatalf("%d bytes aren't compressed once", len(d.Plain.Body))
	}
	r, err := gzip.NewReader(bytes.NewReader(packed.Body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(body, d.Plain.Body) {
		t.Fatal("the compressed form says something else", err)
	}
	if packed.ETag == d.Plain.ETag || packed.Length[0] != strconv.Itoa(len(packed.Body)) || d.Plain.Length[0] != strconv.Itoa(len(body)) {
		t.Fatal(packed.ETag, d.Plain.ETag, packed.Length, d.Plain.Length)
	}
	if lines := strings.Count(string(body), "slot_id"); lines != 3+7*144+1 {
		t.Fatalf("%d slots are shown", lines)
	}
}

func TestASlotTakesNoMoreMemoryThanStated(t *testing.T) {
	t.Parallel()
	if slot.BytesPerSlot != 52 {
		t.Fatalf("a slot takes %d bytes; the comments say 52", slot.BytesPerSlot)
	}
}

// What documents show is what both stores hold, whatever happened before.
func TestDocumentsAreWhatTheStoresSay(t *testing.T) {
	t.Parallel()
	h := setup(t, 6)
	other := h.another(t, h.redis)
	both := []*house{&h, other}
	random := rand.New(rand.NewPCG(1, 2))
	var places []slot.Place
	sites := []string{"here", "near", "far"}
	for _, site := range sites {
		places = append(places, h.places(t, site)...)
	}
	live := map[uuid.UUID]slot.Hold{}
	for range 300 {
		x := both[random.IntN(2)]
		switch place := places[random.IntN(len(places))]; random.IntN(6) {
		case 0, 1, 2:
			if hold, err := x.Place(t.Context(), x.wish(place, uuid.New())); err == nil {
				live[hold.ID] = hold
			}
		case 3:
			for id, hold := range live {
				delete(live, id)
				x.push(t, x.decide(t, hold.Slot, 1), slot.Decided{Hold: hold.ID, Person: hold.Person, Booked: true})
				break
			}
		case 4:
			for id, hold := range live {
				delete(live, id)
				if err := x.Release(t.Context(), "night", hold.Person); err != nil {
					t.Fatal(err)
				}
				break
			}
		case 5:
			if err := x.Follow(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	held := map[int64]int{}
	for _, hold := range live {
		held[hold.Slot]++
	}
	for _, x := range both {
		x.watch(t)
	}
	for i, site := range sites {
		var want []int
		for _, p := range places[3*i : 3*i+3] {
			c := h.row(t, p.ID)
			want = append(want, c.Capacity-c.Booked-held[p.ID])
		}
		shows(t, "documents of "+site, both, site, want...)
	}
}

func TestTheAgeOfWhatIsShownIsTold(t *testing.T) {
	t.Parallel()
	h := setup(t, 1)
	if age, ok := h.Ages()["night"]; !ok || age <= 0 {
		t.Fatalf("nothing was heard yet, and the age is %s", age)
	}
	before := time.Now()
	h.catchUp(t)
	if age := h.Ages()["night"]; age > time.Since(before) {
		t.Fatalf("everything was heard just now, and the age is %s", age)
	}
}
