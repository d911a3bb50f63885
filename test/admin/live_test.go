package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// stream listens to the live numbers.
type stream struct {
	t      *testing.T
	answer *http.Response
	lines  *bufio.Reader
	leave  context.CancelFunc
}

// listen asks for the stream; the answer may be a refusal.
func listen(t *testing.T, s *jaritest.Server, key, query string, header ...string) *stream {
	t.Helper()
	ctx, leave := context.WithTimeout(t.Context(), time.Minute)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/admin/v1/live"+query, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Accept", "text/event-stream")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r) //nolint:bodyclose // the stream is closed with the test
	if err != nil {
		t.Fatal(err)
	}
	l := &stream{t, answer, bufio.NewReader(answer.Body), leave}
	t.Cleanup(l.close)
	return l
}

func (l *stream) close() {
	l.leave()
	_ = l.answer.Body.Close()
}

// next is the next event, held against the contract; its end is io.EOF.
func (l *stream) next() (id string, now httpapi.Live, err error) {
	l.t.Helper()
	var data string
	for {
		line, err := l.lines.ReadString('\n')
		if err != nil {
			return "", now, err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			data = value
		case "event":
			if value != "live" {
				l.t.Errorf("an event called %q", value)
			}
		case "":
			if data == "" {
				continue // what comes before the first
			}
			checkLive(l.t, []byte(data))
			return id, now, json.Unmarshal([]byte(data), &now)
		}
	}
}

// until waits for an event of which something holds.
func (l *stream) until(claim string, holds func(httpapi.Live) bool) httpapi.Live {
	l.t.Helper()
	for range 60 {
		_, now, err := l.next()
		if err != nil {
			l.t.Fatalf("%s: the stream ended: %v", claim, err)
		}
		if holds(now) {
			return now
		}
	}
	l.t.Fatalf("not in sixty events: %s", claim)
	return httpapi.Live{}
}

func checkLive(t *testing.T, data []byte) {
	t.Helper()
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	if err := jaritest.Document(t).Components.Schemas["Live"].Value.VisitJSON(value, openapi3.MultiErrors()); err != nil {
		t.Errorf("an event isn't what the contract says: %v\n%s", err, data)
	}
}

func ofCampaign(t *testing.T, now httpapi.Live, id string) httpapi.LiveCampaign {
	t.Helper()
	for _, c := range now.Campaigns {
		if c.CampaignId == id {
			return c
		}
	}
	t.Fatalf("nothing about %s in %+v", id, now.Campaigns)
	return httpapi.LiveCampaign{}
}

func perSecond(steps []httpapi.LiveStep, step string) (asked, succeeded float64) {
	for _, s := range steps {
		if string(s.Step) == step {
			return s.RequestsPerSecond, s.SucceededPerSecond
		}
	}
	return -1, -1
}

func TestTheNightIsSeenLive(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	other := s.Another(t)
	viewer := s.AdminKey(t, "viewer")
	l := listen(t, s, viewer, "")
	if h := l.answer.Header; l.answer.StatusCode != http.StatusOK || h.Get("Content-Type") != "text/event-stream" ||
		h.Get("X-Accel-Buffering") != "no" || h.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", l.answer.StatusCode, h)
	}
	before := l.until("both instances are in it", func(n httpapi.Live) bool { return n.Instances == 2 })
	if !before.Redis.Reachable || !before.Postgres.Reachable || before.Redis.MemoryBytes == nil || *before.Redis.MemoryBytes == 0 ||
		before.Postgres.ConnectionsLimit == nil || before.Sms == nil || before.Load.ConnectionsLimit == 0 || before.Load.FlushConnectionsLimit == 0 {
		t.Errorf("%+v", before)
	}
	free := ofCampaign(t, before, s.Campaign).Places
	if free.Free == 0 || free.Capacity == 0 || free.Slots == 0 || free.Booked != 0 {
		t.Errorf("%+v", free)
	}
	// Half of the people ask the other instance.
	one, two := s.NewCitizen(t, jaritest.BornForE3), s.NewCitizen(t, jaritest.BornForE3)
	slots := s.Slots(t, jaritest.SiteOfMany, "2021-07-27")
	one.MustBook(t, slots[0].ID)
	two.At(other).MustBook(t, slots[0].ID)
	two.At(other).Hold(t, "999999999").Want(t, http.StatusNotFound, fault.CodeSlotNotFound)
	now := l.until("both bookings, the refusal and who came in are in it", func(n httpapi.Live) bool {
		c := ofCampaign(t, n, s.Campaign)
		_, booked := perSecond(c.Steps, "booked")
		_, admitted := perSecond(c.Steps, "admitted")
		_, verified := perSecond(n.SharedSteps, "verified")
		refused := len(n.Refusals) == 1 && n.Refusals[0].Code == string(fault.CodeSlotNotFound)
		return booked > 0 && admitted > 0 && verified > 0 && refused && c.Places.Booked == 2 && c.Places.Free == free.Free-2
	})
	if _, held := perSecond(ofCampaign(t, now, s.Campaign).Steps, "held"); held == 0 {
		t.Errorf("nothing was held: %+v", now)
	}
	l.until("and then it is quiet", func(n httpapi.Live) bool {
		_, booked := perSecond(ofCampaign(t, n, s.Campaign).Steps, "booked")
		return booked == 0 && len(n.Refusals) == 0
	})
	other.Stop(t)
	l.until("who ended isn't counted", func(n httpapi.Live) bool { return n.Instances == 1 })
}

func TestTheNumbersAtOnce(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	s.Another(t)
	viewer := s.AdminKey(t, "viewer")
	jaritest.Eventually(t, 20*time.Second, "both instances are counted", func() bool {
		var now httpapi.Live
		do(t, s, viewer, http.MethodGet, "/admin/v1/live", nil).Want(t, http.StatusOK).Into(t, &now)
		return now.Instances == 2 && len(now.Campaigns) >= 1
	})
	var now httpapi.Live
	do(t, s, viewer, http.MethodGet, "/admin/v1/live?campaign="+s.Campaign, nil).Want(t, http.StatusOK).Into(t, &now)
	ofCampaign(t, now, s.Campaign)
	do(t, s, viewer, http.MethodGet, "/admin/v1/live?campaign=nowhere", nil).Want(t, http.StatusNotFound, fault.CodeCampaignNotFound)
	do(t, s, viewer, http.MethodGet, "/admin/v1/live?campaign=", nil).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
}

func TestAStreamGoesOnWhereItBrokeOff(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	viewer := s.AdminKey(t, "viewer")
	first := listen(t, s, viewer, "?campaign="+s.Campaign)
	id, _, err := first.next()
	if err != nil {
		t.Fatal(err)
	}
	first.close()
	again, _, err := listen(t, s, viewer, "", "Last-Event-ID", id).next()
	if err != nil || again <= id {
		t.Errorf("after %s comes %s: %v", id, again, err)
	}
	if _, _, err := listen(t, s, viewer, "", "Last-Event-ID", "not ours").next(); err != nil {
		t.Errorf("an id of somebody else's: %v", err)
	}
}

func TestListenersHaveALimitAndAnEnd(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_LIVE_LISTENERS", "2"))
	owner := s.AdminKey(t, "owner")
	var made httpapi.MadeKey
	do(t, s, owner, http.MethodPost, "/admin/v1/keys", map[string]any{"name": "on call", "role": "operator"}).Want(t, http.StatusCreated).Into(t, &made)
	one, two := listen(t, s, owner, ""), listen(t, s, made.Key, "")
	for _, l := range []*stream{one, two} {
		if _, _, err := l.next(); err != nil {
			t.Fatal(err)
		}
	}
	if third := listen(t, s, owner, ""); third.answer.StatusCode != http.StatusServiceUnavailable || third.answer.Header.Get("Retry-After") == "" {
		t.Errorf("the third of two is answered %d", third.answer.StatusCode)
	}
	// Whoever may not look any more is sent away, and leaves room.
	do(t, s, owner, http.MethodDelete, "/admin/v1/keys/"+made.Details.KeyId, nil).Want(t, http.StatusOK)
	for {
		if _, _, err := two.next(); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("the stream broke: %v", err)
			}
			break
		}
	}
	if third := listen(t, s, owner, ""); third.answer.StatusCode != http.StatusOK {
		t.Errorf("the place that became free is answered %d", third.answer.StatusCode)
	}
	if refused := listen(t, s, made.Key, ""); refused.answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("an ended key is answered %d", refused.answer.StatusCode)
	}
	if refused := listen(t, s, s.ClinicKey(t, jaritest.SiteOfOne), ""); refused.answer.StatusCode != http.StatusForbidden {
		t.Errorf("a clinic is answered %d", refused.answer.StatusCode)
	}
	// Who stops sends those who listen away in good order: the end of an answer, not a broken connection.
	go s.Stop(t)
	for {
		if _, _, err := one.next(); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("the stream broke: %v", err)
			}
			return
		}
	}
}
