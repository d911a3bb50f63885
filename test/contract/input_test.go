package contract_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/test/jaritest"
)

// bad is a request that has to be refused, and how.
type bad struct {
	what   string
	q      jaritest.Request
	status int
	code   fault.Code
	// part is the part of the request that the refusal has to name, where it names one.
	part string
	// secret must not come back.
	secret string
}

// operation is one that takes a body, with a body that it would take.
type operation struct {
	name string
	ask  func(body []byte) jaritest.Request
	body map[string]any
	// optional: no body is a body.
	optional bool
}

// world is a server with somebody who may do everything, and what they would send.
type world struct {
	*jaritest.Server
	citizen    *jaritest.Citizen
	operations []operation
}

func newWorld(t *testing.T) world {
	t.Helper()
	s := jaritest.Start(t)
	w := world{Server: s, citizen: s.NewCitizen(t, jaritest.BornForE3)}
	stranger := s.Stranger(jaritest.BornForE3)
	verification := stranger.StartVerification(t)
	post := func(path string) func([]byte) jaritest.Request {
		return func(body []byte) jaritest.Request { return w.raw(http.MethodPost, path, body) }
	}
	put := func(path string) func([]byte) jaritest.Request {
		return func(body []byte) jaritest.Request { return w.raw(http.MethodPut, path, body) }
	}
	w.operations = []operation{
		{name: "eligibility", ask: post(s.Path("/eligibility")), body: map[string]any{"birth_date": jaritest.BornForE3}},
		{name: "verification", ask: post("/v1/verifications"), body: s.Stranger(jaritest.BornForE3).Claims()},
		{name: "code", ask: post("/v1/verifications/" + verification.VerificationId + "/confirm"), body: map[string]any{"code": "000000"}},
		{name: "admission", ask: put("/v1/rooms/" + s.Campaign + "/admission"), body: map[string]any{"ticket": "x"}, optional: true},
		{name: "hold", ask: put(s.Path("/hold")), body: jaritest.HoldBody(s.Slot(t, jaritest.SiteOfMany, dayE3))},
		{name: "booking", ask: put(s.Path("/booking")), body: map[string]any{"hold_token": "x"}},
	}
	return w
}

// raw is a request of the citizen with these bytes as JSON.
func (w world) raw(method, path string, body []byte) jaritest.Request {
	q := w.citizen.Request(method, path, nil)
	q.Body = body
	return q.With("Content-Type", "application/json")
}

// with is a body in which one field has another value.
func (o operation) with(field string, value any) []byte {
	body := map[string]any{}
	for name, v := range o.body {
		body[name] = v
	}
	body[field] = value
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return raw
}

func (o operation) raw() []byte {
	raw, err := json.Marshal(o.body)
	if err != nil {
		panic(err)
	}
	return raw
}

// field is the first field of the body by name.
func (o operation) field() string {
	var names []string
	for name := range o.body {
		names = append(names, name)
	}
	return slices.Min(names)
}

func (w world) operation(t *testing.T, name string) operation {
	t.Helper()
	for _, o := range w.operations {
		if o.name == name {
			return o
		}
	}
	t.Fatalf("no operation is called %s", name)
	return operation{}
}

func TestBadInputIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string]func(*testing.T, world) []bad{
		"bodies":  badBodies,
		"dates":   badDates,
		"people":  badPeople,
		"ids":     badIDs,
		"paths":   badPaths,
		"headers": badHeaders,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			table := rows(t, w)
			w.Settle(t)
			before := w.State(t)
			for _, row := range table {
				before = refuse(t, w, before, row)
			}
		})
	}
}

// refuse asks and compares everything that a refusal has to be, and returns the state after it. Rows take turns, so that
// a change can be blamed on one.
func refuse(t *testing.T, w world, before jaritest.State, row bad) (after jaritest.State) {
	t.Helper()
	logged := len(w.Log.String())
	got, err := w.Exchange(t.Context(), row.q)
	if err != nil {
		t.Errorf("%s: %v", row.what, err)
	}
	if got.Status != row.status || got.Code != row.code {
		t.Errorf("%s: %d %s, want %d %s\n%s", row.what, got.Status, got.Code, row.status, row.code, got.Body)
	}
	if kind := got.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/problem+json") {
		t.Errorf("%s: the answer is %s", row.what, kind)
		return w.State(t)
	}
	p := got.Problem(t)
	if p.RequestId == "" || p.Status != got.Status || p.Type != "urn:jari:problem:"+string(got.Code) || p.Title == "" {
		t.Errorf("%s: the problem is %s", row.what, got.Body)
	}
	if cache := got.Header.Get("Cache-Control"); cache != "no-store" {
		t.Errorf("%s: Cache-Control is %q", row.what, cache)
	}
	if row.part != "" {
		if p.Fields == nil || !strings.Contains(string(got.Body), `"pointer":"`+row.part+`"`) {
			t.Errorf("%s: the refusal doesn't name %s: %s", row.what, row.part, got.Body)
		}
	}
	if row.secret != "" && bytes.Contains(got.Body, []byte(row.secret)) {
		t.Errorf("%s: the answer repeats what was sent: %s", row.what, got.Body)
	}
	if row.secret != "" && strings.Contains(w.Log.String()[logged:], row.secret) {
		t.Errorf("%s: the log has what was sent", row.what)
	}
	after = w.State(t)
	for _, change := range before.Changed(after) {
		t.Errorf("%s changed %s", row.what, change)
	}
	return after
}

// badBodies are sent to every operation that takes one.
func badBodies(_ *testing.T, w world) (rows []bad) {
	for _, o := range w.operations {
		good := o.raw()
		add := func(what string, q jaritest.Request, status int, code fault.Code) {
			rows = append(rows, bad{what: o.name + ", " + what, q: q, status: status, code: code})
		}
		malformed := func(what string, body []byte) { add(what, o.ask(body), http.StatusBadRequest, fault.CodeMalformedJSON) }
		invalid := func(what string, body []byte) {
			add(what, o.ask(body), http.StatusBadRequest, fault.CodeInvalidRequest)
		}

		malformed("cut off", good[:len(good)-1])
		malformed("trailing garbage", slices.Concat(good, []byte(" x")))
		malformed("two values", slices.Concat(good, good))
		malformed("a byte order mark", slices.Concat([]byte("\xef\xbb\xbf"), good))
		malformed("UTF-16", []byte("{\x00}\x00"))
		malformed("a form", []byte("birth_date=1967-03-09"))
		malformed("single quotes", []byte("{'a':1}"))
		malformed("NaN", []byte(`{"a":NaN}`))
		malformed("blanks", []byte("  \n"))
		malformed("a NUL", []byte("\x00"))
		malformed("a NUL within", slices.Concat(good[:1], []byte("\x00"), good[1:]))
		if !o.optional {
			malformed("nothing", nil)
			invalid("an empty object", []byte("{}"))
		}
		invalid("null", []byte("null"))
		invalid("a list", []byte("[]"))
		invalid("a list of it", slices.Concat([]byte("["), good, []byte("]")))
		invalid("a text", []byte(`"x"`))
		invalid("a number", []byte("1"))
		invalid("an unknown field", o.with("surplus", 1))
		invalid("a field in capitals", o.with(strings.ToUpper(o.field()), "x"))
		invalid("a field called __proto__", o.with("__proto__", map[string]any{"admin": true}))
		for what, value := range map[string]any{
			"null": nil, "a number": 7, "true": true, "a list": []any{"x"}, "an object": map[string]any{"x": 1},
			"a huge number": json.Number("1e400"),
		} {
			invalid(o.field()+" is "+what, o.with(o.field(), value))
		}
		add("too large", o.ask(o.with("surplus", strings.Repeat("x", 20_000))), http.StatusRequestEntityTooLarge, fault.CodeBodyTooLarge)
		add("far too large", o.ask(bytes.Repeat([]byte("["), 2<<20)), http.StatusRequestEntityTooLarge, fault.CodeBodyTooLarge)
		for _, kind := range []string{
			"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "application/problem+json",
			"application/jsonp", ";;;", "",
		} {
			q := o.ask(good)
			q.Header.Del("Content-Type")
			if kind != "" {
				q = q.With("Content-Type", kind)
			}
			add("sent as "+kind, q, http.StatusUnsupportedMediaType, fault.CodeUnsupportedMedia)
		}
		packed := o.ask([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00")).With("Content-Encoding", "gzip")
		add("packed", packed, http.StatusBadRequest, fault.CodeMalformedJSON)
	}
	return rows
}

// impossible are texts that name no date.
var impossible = []string{
	"2021-02-30", "2021-13-01", "1900-02-29", "2021-00-10", "2021-01-00", "2021-04-31", "0000-01-01", "1967-3-9", "19670309",
	"1967/03/09", "09-03-1967", "1967-03-09T00:00:00Z", " 1967-03-09", "1967-03-09 ", "１９６７-03-09", "-967-03-09", "+967-03-09",
	"1967-03-0x", "tomorrow", "1967-03-09\x00", "1967-W10-4", "",
}

func badDates(t *testing.T, w world) (rows []bad) {
	for _, date := range impossible {
		for _, name := range []string{"eligibility", "verification"} {
			o := w.operation(t, name)
			rows = append(rows, bad{
				what: name + " of " + date, q: o.ask(o.with("birth_date", date)), status: http.StatusBadRequest,
				code: fault.CodeInvalidRequest, part: "/birth_date",
			})
		}
		if date == "" {
			continue
		}
		rows = append(rows, bad{
			what: "the day " + date, q: jaritest.JSON(http.MethodGet, w.Path("/regions/seoul/days/"+url.PathEscape(date)), nil),
			status: http.StatusBadRequest, code: fault.CodeInvalidRequest, part: "date",
		})
	}
	o := w.operation(t, "verification")
	for what, date := range map[string]string{
		"too long ago": "1899-12-31", "in the first year": "0001-01-01", "tomorrow": "2021-07-20", "in a far future": "9999-12-31",
	} {
		rows = append(rows, bad{
			what: "born " + what, q: o.ask(o.with("birth_date", date)), status: http.StatusBadRequest, code: fault.CodeInvalidRequest,
			part: "/birth_date", secret: date,
		})
	}
	return rows
}

func badPeople(t *testing.T, w world) (rows []bad) {
	o := w.operation(t, "verification")
	add := func(what, field string, value any, code fault.Code) {
		secret, _ := value.(string)
		if len(strings.TrimSpace(secret)) < 5 {
			secret = ""
		}
		rows = append(rows, bad{
			what: what, q: o.ask(o.with(field, value)), status: http.StatusBadRequest, code: code, part: "/" + field, secret: secret,
		})
	}
	add("no name", "name", "", fault.CodeInvalidRequest)
	add("a blank name", "name", " \t ", fault.CodeInvalidRequest)
	add("a name of digits", "name", "9876543210", fault.CodeInvalidRequest)
	add("a name of dots", "name", ".....", fault.CodeInvalidRequest)
	add("a name of nothing to see", "name", "\u200b\u200b", fault.CodeInvalidRequest)
	add("a name too long", "name", strings.Repeat("황보라미", 26), fault.CodeInvalidRequest)
	add("a name with a NUL", "name", "황보\x00라미산", fault.CodeInvalidRequest)
	add("a name with an escape", "name", "황보\x1b[31m라미산", fault.CodeInvalidRequest)
	add("a number as phone", "phone", 1091827364, fault.CodeInvalidRequest)
	add("a short phone", "phone", "01", fault.CodeInvalidRequest)
	add("a long phone", "phone", "010-9182-7364"+strings.Repeat("0", 30), fault.CodeInvalidRequest)
	add("a line at home", "phone", "02-9182-7364", fault.CodePhoneUnsupported)
	add("a number of another country", "phone", "+1 202 918 2736", fault.CodePhoneUnsupported)
	add("a number that costs", "phone", "060-918-2736", fault.CodePhoneUnsupported)
	add("a number that is too short", "phone", "010-9182-73", fault.CodePhoneUnsupported)
	add("letters as phone", "phone", "call me maybe", fault.CodePhoneUnsupported)
	add("a NUL in a phone", "phone", "010-9182\x00-7364", fault.CodePhoneUnsupported)
	add("a query as phone", "phone", "010'; DROP TABLE persons; --", fault.CodePhoneUnsupported)
	add("emergency", "phone", "112", fault.CodePhoneUnsupported)
	add("another scheme", "scheme", "national_id", fault.CodeSchemeNotOffered)
	add("a scheme too long", "scheme", strings.Repeat("phone", 10), fault.CodeInvalidRequest)
	for _, field := range []string{"scheme", "name", "birth_date", "phone"} {
		body := map[string]any{}
		for name, v := range o.body {
			if name != field {
				body[name] = v
			}
		}
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, bad{
			what: "without " + field, q: o.ask(raw), status: http.StatusBadRequest, code: fault.CodeInvalidRequest, part: "/" + field,
		})
	}
	for what, name := range map[string]string{
		"bytes that aren't UTF-8": "\xff\xfe\xfa", "half a surrogate": `\ud800`, "bytes cut off": "황보\xed\x99",
	} {
		raw := []byte(`{"scheme":"phone","birth_date":"1964-05-05","phone":"010-9182-7364","name":"황보라미` + name + `"}`)
		rows = append(rows, bad{
			what: "a name with " + what, q: o.ask(raw), status: http.StatusBadRequest, code: fault.CodeInvalidRequest, part: "/name",
			secret: "황보라미",
		})
	}
	code := w.operation(t, "code")
	for what, value := range map[string]any{
		"five digits": "12345", "seven digits": "1234567", "letters": "abcdef", "a number": 123456, "full width": "１２３４５６",
		"a sign": "+12345", "a blank": "12345 ", "a newline": "123456\n", "nothing": "",
	} {
		rows = append(rows, bad{
			what: "a code of " + what, q: code.ask(code.with("code", value)), status: http.StatusBadRequest,
			code: fault.CodeInvalidRequest, part: "/code",
		})
	}
	return rows
}

// strange are ids that nothing has.
var strange = []string{
	"x", "0", "-1", "null", "undefined", "'; DROP TABLE slots; --", "1 OR 1=1", "<script>alert(1)</script>", "../../etc/passwd", "..", "%",
	"\x00", "one\x00", "\xff\xfe", "{campaign}", "*", "small_2021", "SMALL-2021", "${jndi:ldap://x}", "자리", "a\r\nSet-Cookie: x=1",
	"0198a3f2-0000-4000-8000-000000000000", strings.Repeat("x", 64),
}

func badIDs(t *testing.T, w world) (rows []bad) {
	get := func(what, path string, code fault.Code) {
		rows = append(rows, bad{what: what, q: w.citizen.Request(http.MethodGet, path, nil), status: http.StatusNotFound, code: code})
	}
	for _, id := range strange {
		segment := url.PathEscape(id)
		if id == ".." {
			segment = "%2e%2e"
		}
		get("campaign "+id, "/v1/campaigns/"+segment, fault.CodeCampaignNotFound)
		get("sites of campaign "+id, "/v1/campaigns/"+segment+"/regions/seoul/sites", fault.CodeCampaignNotFound)
		get("hold in campaign "+id, "/v1/campaigns/"+segment+"/hold", fault.CodeCampaignNotFound)
		get("booking in campaign "+id, "/v1/campaigns/"+segment+"/booking", fault.CodeCampaignNotFound)
		get("sites of region "+id, w.Path("/regions/"+segment+"/sites"), fault.CodeRegionNotFound)
		get("day of region "+id, w.Path("/regions/"+segment+"/days/"+dayE3), fault.CodeRegionNotFound)
		get("slots of site "+id, w.Path("/sites/"+segment+"/slots"), fault.CodeSiteNotFound)
		rows = append(rows,
			bad{
				what: "admission to " + id, q: w.citizen.Request(http.MethodPut, "/v1/rooms/"+segment+"/admission", nil),
				status: http.StatusNotFound, code: fault.CodeRoomNotFound,
			},
			bad{
				what: "cancel " + id, q: w.citizen.Request(http.MethodDelete, w.Path("/bookings/"+segment), nil),
				status: http.StatusNotFound, code: fault.CodeNoBooking,
			},
			bad{
				what: "resend " + id, q: jaritest.JSON(http.MethodPost, "/v1/verifications/"+segment+"/resend", nil),
				status: http.StatusGone, code: fault.CodeVerificationOver,
			},
			bad{
				what:   "confirm " + id,
				q:      jaritest.JSON(http.MethodPost, "/v1/verifications/"+segment+"/confirm", map[string]any{"code": "123456"}),
				status: http.StatusGone, code: fault.CodeVerificationOver,
			},
		)
	}
	hold, booking := w.operation(t, "hold"), w.operation(t, "booking")
	slot := func(what, field, id string, status int, code fault.Code) {
		rows = append(rows, bad{what: what + " " + id, q: hold.ask(hold.with(field, id)), status: status, code: code})
	}
	for _, id := range slices.Concat(strange, []string{
		"007", "-1", "+1", "1e3", "1.0", "0x1", " 1", "1 ", "１", "9223372036854775807", "9223372036854775808",
		"99999999999999999999999999999", "2147483648",
	}) {
		slot("slot", "slot_id", id, http.StatusNotFound, fault.CodeSlotNotFound)
		slot("replaces", "replaces", id, http.StatusNotFound, fault.CodeNoBooking)
		if id != "0198a3f2-0000-4000-8000-000000000000" { // where no hold is live there is nothing to give up
			slot("instead of", "instead_of", id, http.StatusBadRequest, fault.CodeInvalidRequest)
		}
		rows = append(rows, bad{
			what: "hold token " + id, q: booking.ask(booking.with("hold_token", id)), status: http.StatusBadRequest, code: fault.CodeHoldTokenInvalid,
		})
	}
	for _, field := range []string{"slot_id", "instead_of", "replaces"} {
		slot("an empty "+field, field, "", http.StatusBadRequest, fault.CodeInvalidRequest)
		slot("a long "+field, field, strings.Repeat("1", 65), http.StatusBadRequest, fault.CodeInvalidRequest)
	}
	rows = append(rows,
		bad{
			what: "an endless hold token", q: booking.ask(booking.with("hold_token", strings.Repeat("A", 2049))),
			status: http.StatusBadRequest, code: fault.CodeInvalidRequest, part: "/hold_token",
		},
		bad{
			what: "a long made-up hold token", q: booking.ask(booking.with("hold_token", strings.Repeat("A", 2048))),
			status: http.StatusBadRequest, code: fault.CodeHoldTokenInvalid,
		},
		bad{
			what:   "a slot as a number",
			q:      hold.ask(hold.with("slot_id", json.Number("1"))),
			status: http.StatusBadRequest, code: fault.CodeInvalidRequest, part: "/slot_id",
		},
	)
	return rows
}

func badPaths(_ *testing.T, w world) (rows []bad) {
	for _, path := range []string{
		"/v1", "/v1/", "/v1/nothing", "//v1/campaigns", "/v1//campaigns", "/v1/campaigns//", "/V1/campaigns", "/v1/Campaigns", "/v1/campaigns.json",
		"/v1/campaigns;x=1", "/v1/campaigns/small-2021/", "/v1/campaigns/small-2021/hold/", "/v1/campaigns/small-2021/nothing",
		"/v1/campaigns/small-2021/sites", "/v1/campaigns/small-2021/sites/one", "/v1/campaigns/small-2021/regions",
		"/v1/campaigns/small-2021%2Fhold", "/dev/inbox/", "/v1/../dev/inbox", "/v1/%2e%2e/dev/inbox", "/%00", "/%ff", "/" + strings.Repeat("x", 4000),
	} {
		code := fault.CodeNotFound
		if path == "/v1/campaigns/small-2021%2Fhold" {
			code = fault.CodeCampaignNotFound // one part, whatever it looks like
		}
		rows = append(rows, bad{
			what: path, q: w.citizen.Request(http.MethodGet, path, nil), status: http.StatusNotFound, code: code,
		})
	}
	for _, x := range []struct{ method, path string }{
		{http.MethodPost, "/v1/campaigns"},
		{http.MethodDelete, "/v1/campaigns/small-2021"},
		{http.MethodGet, "/v1/verifications"},
		{http.MethodPatch, "/v1/campaigns/small-2021/hold"},
		{http.MethodPost, "/v1/campaigns/small-2021/booking"},
		{http.MethodPost, "/openapi.yaml"},
		{http.MethodPost, "/docs"},
		{"BREW", "/v1/me"},
	} {
		rows = append(rows, bad{
			what: x.method + " " + x.path, q: w.citizen.Request(x.method, x.path, nil), status: http.StatusMethodNotAllowed,
			code: fault.CodeMethodNotAllowed,
		})
	}
	override := w.citizen.Request(http.MethodPost, w.Path("/hold"), nil).With("X-HTTP-Method-Override", "DELETE")
	return append(rows, bad{
		what: "another method in a header", q: override, status: http.StatusMethodNotAllowed, code: fault.CodeMethodNotAllowed,
	})
}

func TestIdsThatAreTooLongAreRefusedAsDeclared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settle(t)
	before := w.State(t)
	id := strings.Repeat("x", 65)
	for _, q := range []jaritest.Request{
		w.citizen.Request(http.MethodGet, "/v1/campaigns/"+id, nil),
		w.citizen.Request(http.MethodGet, "/v1/campaigns/"+id+"/hold", nil),
		w.citizen.Request(http.MethodDelete, "/v1/campaigns/"+id+"/hold", nil),
		w.citizen.Request(http.MethodGet, "/v1/campaigns/"+id+"/booking", nil),
		w.citizen.Request(http.MethodGet, "/v1/campaigns/"+id+"/booking/calendar.ics", nil),
		w.citizen.Request(http.MethodGet, w.Path("/regions/"+id+"/sites"), nil),
		w.citizen.Request(http.MethodGet, w.Path("/regions/"+id+"/days/"+dayE3), nil),
		w.citizen.Request(http.MethodGet, w.Path("/sites/"+id+"/slots"), nil),
		w.citizen.Request(http.MethodDelete, w.Path("/bookings/"+id), nil),
		w.citizen.Request(http.MethodPut, "/v1/rooms/"+id+"/admission", nil),
		jaritest.JSON(http.MethodPost, "/v1/verifications/"+id+"/resend", nil),
		jaritest.JSON(http.MethodGet, w.Path("/regions/seoul/sites"), nil).With("If-None-Match", strings.Repeat("x", 201)),
	} {
		before = refuse(t, w, before, bad{what: q.Method + " " + q.Path, q: q, status: http.StatusBadRequest, code: fault.CodeInvalidRequest})
	}
}

func badHeaders(_ *testing.T, w world) (rows []bad) {
	me := func(what string, headers ...string) {
		q := jaritest.JSON(http.MethodGet, "/v1/me", nil)
		for i := 0; i+1 < len(headers); i += 2 {
			q = q.With(headers[i], headers[i+1])
		}
		rows = append(rows, bad{what: what, q: q, status: http.StatusUnauthorized, code: fault.CodeSessionRequired})
	}
	token := w.citizen.Session
	me("nothing")
	for _, value := range []string{
		"Bearer", "Bearer ", "Bearer  " + token, "Bearer " + token + " x", "Bearer " + token + ",", "Bearer \"" + token + "\"", "Bearer x",
		"Bearer " + token + "=", "Basic " + token, "Basic YTpi", "Digest x", "Token " + token, token, "Bearer:" + token, "Bearer\t" + token,
		"Bearer " + token[:len(token)-1], "Bearer " + token[1:], "Bearer " + token + token, "Bearer " + w.citizen.Admission,
		"Bearer " + strings.Repeat("A", 8000), "Bearer " + strings.Repeat("%", 100), "Bearer null", "Bearer undefined", "Bearer ..",
		"Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
	} {
		me("authorization "+value[:min(40, len(value))], "Authorization", value)
	}
	me("a session in the wrong header", "Jari-Admission", token)
	me("a session in the address", "Referer", "https://x.invalid/?token="+token)
	me("a cookie of another name", "Cookie", "session="+token)
	me("a cookie without the prefix", "Cookie", "jari-session="+token)
	me("a long cookie", "Cookie", "__Host-jari-session="+strings.Repeat("A", 8000))
	me("a header before a cookie", "Authorization", "Bearer x", "Cookie", "__Host-jari-session="+token)
	me("a client's own request id", "X-Request-Id", "mine")
	me("a long wish for a language", "Accept-Language", strings.Repeat("en-US,", 1500)+"en")
	me("a strange wish for a language", "Accept-Language", ";;;q=x,*,\"")
	me("a long stranger", "X-Strange", strings.Repeat("x", 8000))
	for _, admission := range []string{"x", strings.Repeat("A", 8000), token, w.citizen.Admission + "x", w.citizen.Admission + ", " + w.citizen.Admission} {
		hold := w.operations[4]
		q := hold.ask(hold.raw())
		q.Header.Set("Jari-Admission", admission)
		rows = append(rows, bad{
			what: "admission " + admission[:min(40, len(admission))], q: q, status: http.StatusForbidden, code: fault.CodeAdmissionRequired,
		})
	}
	return rows
}

// A small body must not cost much: neither time nor log, whatever the log's level.
func TestDeepBracketsCostNothing(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"INFO", "DEBUG"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			s := jaritest.Start(t, jaritest.WithEnvironment("JARI_LOG_LEVEL", level))
			q := jaritest.Request{
				Method: http.MethodPost, Path: s.Path("/eligibility"), Body: []byte(strings.Repeat("[", 2000) + strings.Repeat("]", 2000)),
				Header: http.Header{"Content-Type": {"application/json"}},
			}
			usual := time.Now() // how long this machine takes for as many bytes that are nothing
			s.Send(t, jaritest.Request{Method: q.Method, Path: q.Path, Header: q.Header, Body: bytes.Repeat([]byte(" "), len(q.Body))}).
				Want(t, http.StatusBadRequest, fault.CodeMalformedJSON)
			long := 2*time.Second + 20*time.Since(usual)
			logged, began := len(s.Log.String()), time.Now()
			got, err := s.Exchange(t.Context(), q)
			took := time.Since(began)
			if err != nil {
				t.Error(err)
			}
			if got.Status != http.StatusBadRequest || got.Code != fault.CodeInvalidRequest && got.Code != fault.CodeMalformedJSON {
				t.Errorf("the answer is %d %s", got.Status, got.Code)
			}
			if took > long {
				t.Errorf("a body of 4 kB took %s", took)
			}
			if grown := len(s.Log.String()) - logged; grown > 16_000 {
				t.Errorf("a body of 4 kB left %d kB in the log", grown/1000)
			}
		})
	}
}

func TestAnUnbornPersonMayBookNothing(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	for _, born := range []string{"0001-01-01", "1899-12-31", "2021-07-20", "9999-12-31"} {
		got := s.Do(t, http.MethodPost, s.Path("/eligibility"), map[string]any{"birth_date": born})
		if got.Status == http.StatusOK && !strings.Contains(string(got.Body), `"eligible":"no"`) {
			t.Errorf("born %s: %s", born, got.Body)
		}
	}
}
