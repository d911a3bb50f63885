package client_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

const (
	theRoom = jaritest.Small + ".evening"
	folder  = "../../openapi/client"
)

const drawnRoom = `
rooms:
  - room: evening
    waves: [F1]
    registration_opens_at: "2021-07-19T19:00:00+09:00"
    registration_closes_at: "2021-07-19T19:59:00+09:00"
    draw: {source: local}
    admit_per_second: 1000
    message: {ko: 기다려 주세요, en: Please wait}
`

const plainRoom = `
rooms:
  - room: evening
    waves: [F1]
    admit_per_second: 50
`

// frontend serves a page and the client beside the API, at one origin, as a deployment does.
func frontend(t *testing.T, s *jaritest.Server) string {
	t.Helper()
	api, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(api)
		r.Out.Host = r.In.Host
	}}
	mux := http.NewServeMux()
	mux.Handle("/v1/", proxy)
	mux.Handle("/client/", http.StripPrefix("/client", http.FileServer(http.Dir(folder))))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/page.html") })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// asked is what the page got when it asked the API itself.
type asked struct {
	Status int             `json:"status"`
	Data   json.RawMessage `json:"data"`
}

func (a asked) code(t *testing.T) fault.Code {
	t.Helper()
	var p httpapi.Problem
	if err := json.Unmarshal(a.Data, &p); err != nil {
		t.Fatal(err)
	}
	return fault.Code(p.Code)
}

// api asks as a script of the page does, with the page's cookies.
func (p *page) api(method, path string, body any, headers ...string) (a asked) {
	p.t.Helper()
	more := map[string]string{}
	for i := 0; i+1 < len(headers); i += 2 {
		more[headers[i]] = headers[i+1]
	}
	p.eval(fmt.Sprintf(`api(%s, %s, %s, %s)`, script(p.t, method), script(p.t, path), script(p.t, body), script(p.t, more)), &a)
	return a
}

// script is a value as a script has it.
func script(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// verify goes through a verification in the page, whose session is a cookie then.
func (p *page) verify(s *jaritest.Server, birthDate string) {
	p.t.Helper()
	c := s.Stranger(birthDate)
	var v httpapi.Verification
	begun := p.api(http.MethodPost, "/v1/verifications", c.Claims())
	if err := json.Unmarshal(begun.Data, &v); err != nil || begun.Status != http.StatusAccepted {
		p.t.Fatalf("a verification is answered %d %s", begun.Status, begun.Data)
	}
	if got := p.api(http.MethodPost, "/v1/verifications/"+v.VerificationId+"/confirm", map[string]any{"code": c.Code(p.t)}); got.Status != http.StatusOK {
		p.t.Fatalf("a code is answered %d %s", got.Status, got.Data)
	}
	var seen string
	if p.eval(`document.cookie`, &seen); seen != "" {
		p.t.Errorf("scripts see the cookie %s", seen)
	}
}

// shown is what the client tells of the room.
type shown struct {
	State     string `json:"state"`
	Connected bool   `json:"connected"`
	Paused    bool   `json:"paused"`
	Position  *int64 `json:"position"`
	Ahead     *int64 `json:"ahead"`
	Serving   int64  `json:"serving"`
	Words     struct {
		Ko string `json:"ko"`
		En string `json:"en"`
	} `json:"words"`
}

func (p *page) shown() (s shown) {
	p.t.Helper()
	p.eval(`room.snapshot`, &s)
	return s
}

// until waits until the client tells what is wanted. The person looks at the page now and then, so that nobody waits for
// the next poll of somebody far away.
func (p *page) until(claim string, holds func(shown) bool) (s shown) {
	p.t.Helper()
	jaritest.Eventually(p.t, patience, claim, func() bool {
		p.eval(`window.dispatchEvent(new Event('pageshow'))`, nil)
		s = p.shown()
		return holds(s)
	})
	return s
}

func (p *page) untilState(state string) shown {
	p.t.Helper()
	return p.until("the page shows "+state, func(s shown) bool { return s.State == state })
}

// others are people with places of their own, in the order of asking.
func others(t *testing.T, s *jaritest.Server, n int) (people []*jaritest.Citizen) {
	t.Helper()
	for range n {
		c := s.Stranger(jaritest.BornForF1)
		c.Verify(t)
		c.Do(t, http.MethodPut, "/v1/rooms/"+theRoom+"/ticket", nil).Want(t, http.StatusOK)
		people = append(people, c)
	}
	return people
}

func inState(t *testing.T, s *jaritest.Server, state httpapi.RoomState) {
	t.Helper()
	jaritest.Eventually(t, 20*time.Second, fmt.Sprintf("the room is %s", state), func() bool {
		var r httpapi.RoomStatus
		s.Do(t, http.MethodGet, "/v1/rooms/"+theRoom+"/status", nil).Want(t, http.StatusOK).Into(t, &r)
		return r.State == state
	})
}

func TestAnEveningInARealBrowser(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(drawnRoom))
	inState(t, s, httpapi.RoomStateRegistration)
	site := frontend(t, s)
	p := startChromium(t).open(t, site)

	// Without a session there is no place; with one, the page goes on where it was.
	p.eval(fmt.Sprintf(`wait(%q)`, theRoom), nil)
	p.untilState("sign_in")
	p.verify(s, jaritest.BornForF1)
	p.eval(`room.again()`, nil)
	p.untilState("registered")
	others(t, s, 40)

	s.Clock.Set(jaritest.Instant("2021-07-19T19:59:00+09:00"))
	drawn := p.until("the page has computed its position", func(s shown) bool { return s.Position != nil })
	var me httpapi.Me
	if err := json.Unmarshal(p.api(http.MethodGet, "/v1/me", nil).Data, &me); err != nil {
		t.Fatal(err)
	}
	if said := me.Campaigns[0].Room.Position; said == nil || *said != *drawn.Position {
		t.Errorf("the page computes the position %d, and the server says %v", *drawn.Position, said)
	}
	if drawn.State != "waiting" || drawn.Ahead == nil || *drawn.Ahead != *drawn.Position {
		t.Errorf("drawn, the page shows %+v", drawn)
	}

	// A reload changes nothing.
	p.reload()
	p.eval(fmt.Sprintf(`wait(%q)`, theRoom), nil)
	if again := p.until("the place is back", func(s shown) bool { return s.Position != nil }); *again.Position != *drawn.Position {
		t.Errorf("after a reload the position is %d and was %d", *again.Position, *drawn.Position)
	}

	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	p.untilState("admitted")
	var seen []string
	p.eval(`seen`, &seen)
	if slices.Contains(seen, "late") || !slices.Contains(seen, "waiting") {
		t.Errorf("the page went through %v", seen)
	}
	var words string
	if p.eval(`document.getElementById('status').textContent`, &words); words == "" {
		t.Error("nothing was announced")
	}
	slot := s.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay)
	var hold httpapi.Hold
	held := p.api(http.MethodPut, s.Path("/hold"), map[string]any{"slot_id": slot})
	if err := json.Unmarshal(held.Data, &hold); err != nil || held.Status != http.StatusOK {
		t.Fatalf("holding is answered %d %s", held.Status, held.Data)
	}
	if booked := p.api(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": hold.HoldToken}); booked.Status != http.StatusCreated {
		t.Fatalf("booking is answered %d %s", booked.Status, booked.Data)
	}
	s.CheckBooks(t)
}

// airplane_mode, console: what the browser believes is worth nothing.
func TestAirplaneModeAndTheConsoleGainNothing(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithRooms(plainRoom))
	s.Clock.Set(jaritest.Instant(jaritest.OpensF1))
	inState(t, s, httpapi.RoomStateOpen)
	key := s.AdminKey(t, "operator")
	turn := func(state string) {
		s.Send(t, jaritest.JSON(http.MethodPatch, "/admin/v1/rooms/"+theRoom, map[string]any{"state": state}).
			With("Authorization", "Bearer "+key)).Want(t, http.StatusOK)
	}
	turn("paused")
	slot := s.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay)
	p := startChromium(t).open(t, frontend(t, s))
	p.verify(s, jaritest.BornForF1)
	var status httpapi.RoomStatus
	s.Do(t, http.MethodGet, "/v1/rooms/"+theRoom+"/status", nil).Into(t, &status)
	others(t, s, int(status.Serving)+3) // a room that nobody waits in calls a second's worth of numbers ahead
	p.eval(fmt.Sprintf(`wait(%q)`, theRoom), nil)
	before := p.untilState("waiting")
	if before.Ahead == nil || *before.Ahead < 3 || !before.Paused {
		t.Fatalf("the page shows %+v", before)
	}
	still := func(after string) {
		t.Helper()
		got := p.api(http.MethodPut, s.Path("/hold"), map[string]any{"slot_id": slot})
		if got.Status != http.StatusForbidden || got.code(t) != fault.CodeAdmissionRequired {
			t.Errorf("after %s, holding is answered %d %s", after, got.Status, got.Data)
		}
	}
	still("waiting")

	p.offline(true)
	away := p.until("the page notices", func(s shown) bool { return !s.Connected })
	if away.State != "waiting" || *away.Position != *before.Position {
		t.Errorf("without a network the page shows %+v", away)
	}
	p.offline(false)
	if back := p.until("the page is back", func(s shown) bool { return s.Connected }); back.State != "waiting" || *back.Position != *before.Position {
		t.Errorf("back from airplane mode, the page shows %+v", back)
	}
	still("airplane mode")

	for name, script := range map[string]string{
		"setting everything that has a name": `for (const k of ['state', 'admitted', 'position', 'bypass', 'ticket', 'admission']) {
			try { room[k] = true; room.snapshot[k] = 'admitted' } catch {} window[k] = true; localStorage[k] = 'admitted'; sessionStorage[k] = '1' }`,
		"claiming":         `room.claim(); room.touch(); room.again()`,
		"cookies of ours":  `document.cookie = '__Host-jari-admission=admitted; Secure; Path=/'; document.cookie = 'bypass=1'`,
		"another time":     `Date.now = () => 4e12; performance.now = () => 4e12`,
		"another address":  `history.replaceState(null, '', '/?admitted=true&queueittoken=x#inside')`,
		"asking a hundred": `(async () => { for (let i = 0; i < 100; i++) await api('PUT', '/v1/rooms/` + theRoom + `/admission', {}) })()`,
	} {
		p.eval(script, nil)
		still(name)
	}
	p.reload()
	p.eval(fmt.Sprintf(`wait(%q)`, theRoom), nil)
	if now := p.untilState("waiting"); *now.Position != *before.Position {
		t.Errorf("the position is %d and was %d", *now.Position, *before.Position)
	}

	// A status that lies has the page ask to come in; the server says no, and the page waits.
	p.eval(`window.honest = fetch; window.fetch = async (path, init) => {
		const answer = await honest(path, init);
		if (!String(path).endsWith('/status')) return answer;
		return new Response(JSON.stringify({ ...await answer.json(), serving: 1e9, state: 'open' }), { headers: answer.headers });
	}`, nil)
	lied := p.untilState("called")
	still("a status that lies")
	if lied.State == "admitted" {
		t.Error("the page believes to be inside")
	}
	// An answer that lies, too, has the page itself believe it. It gains a page that says so.
	p.reload()
	p.eval(`window.honest = fetch; window.fetch = async (path, init) => {
		if (String(path).endsWith('/admission')) return new Response('{"admission":"mine","expires_in_seconds":600}');
		const answer = await honest(path, init);
		if (!String(path).endsWith('/status')) return answer;
		return new Response(JSON.stringify({ ...await answer.json(), serving: 1e9, state: 'open' }), { headers: answer.headers });
	}`, nil)
	p.eval(fmt.Sprintf(`wait(%q)`, theRoom), nil)
	p.untilState("admitted")
	still("an admission that lies")
	got := p.api(http.MethodPut, s.Path("/hold"), map[string]any{"slot_id": slot}, "Jari-Admission", "mine")
	if got.Status != http.StatusForbidden || got.code(t) != fault.CodeAdmissionRequired {
		t.Errorf("with an admission of one's own, holding is answered %d %s", got.Status, got.Data)
	}

	// What was tried costs nothing either: when the line moves on, so does this person.
	p.reload()
	p.eval(fmt.Sprintf(`wait(%q)`, theRoom), nil)
	p.untilState("waiting")
	turn("open")
	p.untilState("admitted")
	if got := p.api(http.MethodPut, s.Path("/hold"), map[string]any{"slot_id": slot}); got.Status != http.StatusOK {
		t.Errorf("inside, holding is answered %d %s", got.Status, got.Data)
	}
}
