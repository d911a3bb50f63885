package bypass_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"jari/internal/fault"
	"jari/internal/staff"
	"jari/test/jaritest"
)

// way is one way to be wrong: a right request in which one thing is wrong, and what it is answered.
type way struct {
	name string
	ask  jaritest.Request
	want verdict
	// at is the shown time to ask at; nothing for the usual one.
	at string
}

// Before the window of those who were born for E3, and when it is over.
const (
	beforeE3 = "2021-07-14T19:59:59.999+09:00"
	afterE3  = "2021-07-24T18:00:00+09:00"
)

var (
	sessionRequired   = verdict{http.StatusUnauthorized, fault.CodeSessionRequired}
	sessionExpired    = verdict{http.StatusUnauthorized, fault.CodeSessionExpired}
	admissionRequired = verdict{http.StatusForbidden, fault.CodeAdmissionRequired}
	admissionExpired  = verdict{http.StatusForbidden, fault.CodeAdmissionExpired}
	ofAnother         = verdict{http.StatusForbidden, fault.CodeAdmissionOfAnother}
	crossOrigin       = verdict{http.StatusForbidden, fault.CodeCrossOrigin}
	keyRequired       = verdict{http.StatusUnauthorized, fault.CodeKeyRequired}
	keyOfOther        = verdict{http.StatusUnauthorized, fault.CodeKeyOfOtherEnvironment}
	roleRequired      = verdict{http.StatusForbidden, fault.CodeRoleRequired}
	wrongMethod       = verdict{http.StatusMethodNotAllowed, fault.CodeMethodNotAllowed}
	wrongMedia        = verdict{http.StatusUnsupportedMediaType, fault.CodeUnsupportedMedia}
	malformed         = verdict{http.StatusBadRequest, fault.CodeMalformedJSON}
	invalidRequest    = verdict{http.StatusBadRequest, fault.CodeInvalidRequest}
	tooLarge          = verdict{http.StatusRequestEntityTooLarge, fault.CodeBodyTooLarge}
)

// ways are all that fit an operation.
func (w *world) ways(t *testing.T, s subject) (all []way) {
	t.Helper()
	all = append(all, wrongMethods(t, s)...)
	all = append(all, wrongBodies(t, s)...)
	switch guard := s.operation.Guard; {
	case guard == "public":
		return all
	case isRole(guard):
		return append(all, w.wrongKeys(t, s)...)
	case guard == "admitted":
		all = append(all, w.wrongAdmissions(t, s)...)
	}
	all = append(all, w.wrongTokensInside(t, s)...)
	all = append(all, w.wrongSessions(t, s)...)
	all = append(all, w.wrongPeopleAndTimes(t, s)...)
	if s.example.more != nil {
		all = append(all, s.example.more(t, w, s)...)
	}
	return all
}

// wrongTokensInside are for what carries a token in its body.
func (w *world) wrongTokensInside(t *testing.T, s subject) (all []way) {
	t.Helper()
	body := map[string]any{}
	if len(s.right.Body) == 0 || json.Unmarshal(s.right.Body, &body) != nil {
		return nil
	}
	for field, value := range body {
		text, _ := value.(string)
		itself := w.kindOf(t, text)
		if itself == "" {
			continue
		}
		if s.example.forged == succeeds {
			t.Fatalf("%s carries a token, %s, in %s: say in examples what is answered when it is forged", s.operation.ID, itself, field)
		}
		add := func(name, text string) {
			q := bodyWith(t, s.right, func(b map[string]any) { b[field] = text })
			all = append(all, way{name: "inside: " + name, ask: q, want: s.example.forged})
		}
		for name, forgery := range forgeries(t, text) {
			if forgery != "" {
				add(name, forgery)
			}
		}
		add("of other keys", w.seal(t, w.StrangersTokens(t), itself, s.by, nil))
		add("of the other environment", w.seal(t, w.otherEnvironment(t), itself, s.by, nil))
		for _, kind := range kinds() {
			if kind != itself {
				add(strings.ToLower(kind)+" instead", w.seal(t, w.Tokens(t), kind, s.by, nil))
			}
		}
	}
	return all
}

func wrongMethods(t *testing.T, s subject) (all []way) {
	t.Helper()
	allowed := jaritest.Methods(t, s.operation.Path)
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if q := s.right; !allowed[method] && !jaritest.LikeAnother(t, method, s.operation.Path) {
			q.Method = method
			all = append(all, way{name: "method " + method, ask: q, want: wrongMethod})
		}
	}
	return all
}

// mostList is the largest list that the world's instance takes, in bytes.
const mostList = 64 << 10

func wrongBodies(t *testing.T, s subject) (all []way) {
	t.Helper()
	if !s.operation.HasBody {
		return nil
	}
	asJSON := s.right
	if asJSON.Body == nil { // it may be left out
		asJSON = replace(asJSON, "Content-Type", "application/json")
		asJSON.Body = []byte("{}")
	}
	add := func(name string, want verdict, q jaritest.Request) {
		all = append(all, way{name: name, ask: q, want: want})
	}
	body := func(raw []byte) jaritest.Request { q := asJSON; q.Body = raw; return q }
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", ""} {
		add("content type "+media, wrongMedia, replace(asJSON, "Content-Type", media))
	}
	if file, _ := s.spec.Extensions["x-jari-file"].(bool); file {
		unreadable := verdict{http.StatusBadRequest, fault.CodeImportUnreadable}
		add("no list", unreadable, body([]byte{}))
		add("a list with half a quotation", unreadable, body(append(slices.Clone(asJSON.Body), []byte("\"half")...)))
		add("a list with another heading", unreadable, body(append([]byte("surplus,"), asJSON.Body...)))
		add("a list one byte too large", tooLarge, body(slices.Concat(asJSON.Body, bytes.Repeat([]byte(" "), mostList+1-len(asJSON.Body)))))
		return all
	}
	add("half a body", malformed, body(asJSON.Body[:len(asJSON.Body)-1]))
	add("two bodies", malformed, body(slices.Concat(asJSON.Body, asJSON.Body)))
	most := 16 << 10
	if more, ok := s.spec.Extensions["x-jari-body-bytes"].(float64); ok {
		most = int(more)
	}
	add("a body one byte too large", tooLarge, body(slices.Concat(asJSON.Body, bytes.Repeat([]byte(" "), most+1-len(asJSON.Body)))))
	schema := s.spec.RequestBody.Value.Content["application/json"].Schema.Value
	if closed(schema) {
		add("an unknown field", invalidRequest, bodyWith(t, asJSON, func(b map[string]any) { b["surplus"] = "x" }))
	}
	for _, name := range schema.Required {
		add("a required field missing", invalidRequest, bodyWith(t, asJSON, func(b map[string]any) { delete(b, name) }))
		add("a field of another type", invalidRequest, bodyWith(t, asJSON, func(b map[string]any) { b[name] = []any{} }))
		add("a field that is null", invalidRequest, bodyWith(t, asJSON, func(b map[string]any) { b[name] = nil }))
	}
	return all
}

// closed tells whether an object may have no other fields.
func closed(s *openapi3.Schema) bool {
	return s.AdditionalProperties.Has != nil && !*s.AdditionalProperties.Has
}

// wrongSessions are for whoever needs a session.
func (w *world) wrongSessions(t *testing.T, s subject) (all []way) {
	t.Helper()
	bearer := func(text string) jaritest.Request { return replace(s.right, "Authorization", "Bearer "+text) }
	add := func(name string, want verdict, q jaritest.Request) {
		all = append(all, way{name: name, ask: q, want: want})
	}
	add("no session", sessionRequired, replace(s.right, "Authorization", ""))
	add("another scheme", sessionRequired, replace(s.right, "Authorization", "Basic "+s.by.Session))
	inQuery := replace(s.right, "Authorization", "")
	inQuery.Path += "?access_token=" + s.by.Session + "&token=" + s.by.Session
	add("session in the query", sessionRequired, inQuery)
	add("session expired", sessionExpired, bearer(w.seal(t, w.Tokens(t), "Session", s.by, expired)))
	add("session ended", sessionExpired, bearer(w.ended(t, s.by)))
	add("session of other keys", sessionRequired, bearer(w.seal(t, w.StrangersTokens(t), "Session", s.by, nil)))
	add("session of the other environment", sessionRequired, bearer(w.seal(t, w.otherEnvironment(t), "Session", s.by, nil)))
	for _, kind := range kinds() {
		if kind != "Session" {
			add("session: "+strings.ToLower(kind)+" instead", sessionRequired, bearer(w.seal(t, w.Tokens(t), kind, s.by, nil)))
		}
	}
	for _, role := range slices.Sorted(maps.Keys(w.keys)) {
		add("session: a key of an administrator instead", sessionRequired, bearer(w.keys[role]))
	}
	forged := forgeries(t, s.by.Session)
	for _, name := range slices.Sorted(maps.Keys(forged)) {
		add("session "+name, sessionRequired, bearer(forged[name]))
		cookie := forged[name]
		if cookie == "" {
			continue // that is none
		}
		add("session cookie "+name, sessionRequired,
			replace(s.right, "Authorization", "").With("Cookie", sessionCookie+"="+cookie).With("Sec-Fetch-Site", "same-origin"))
	}
	if s.right.Method != http.MethodGet {
		cookie := replace(s.right, "Authorization", "").With("Cookie", sessionCookie+"="+s.by.Session)
		add("cookie, page of another site", crossOrigin, cookie.With("Sec-Fetch-Site", "cross-site").With("Origin", "https://evil.example"))
		add("cookie, page of a sibling host", crossOrigin, cookie.With("Sec-Fetch-Site", "same-site").With("Origin", "https://a.example.org"))
		add("cookie, old browser, another origin", crossOrigin, cookie.With("Origin", "https://evil.example"))
		add("cookie, no origin", crossOrigin, cookie.With("Origin", "null"))
	}
	return all
}

// The cookies of browsers.
const (
	sessionCookie   = "__Host-jari-session"
	admissionCookie = "__Host-jari-admission"
)

// ended is a session that its person has ended.
func (w *world) ended(t *testing.T, of *jaritest.Citizen) string {
	t.Helper()
	device := *of
	device.Session = w.seal(t, w.Tokens(t), "Session", of, nil)
	device.Do(t, http.MethodDelete, "/v1/session", nil).Want(t, http.StatusNoContent)
	return device.Session
}

// wrongAdmissions are for whoever needs to be admitted.
func (w *world) wrongAdmissions(t *testing.T, s subject) (all []way) {
	t.Helper()
	add := func(name string, want verdict, text string) {
		all = append(all, way{name: name, ask: replace(s.right, "Jari-Admission", text), want: want})
	}
	ask := replace(s.right, "Jari-Admission", "")
	ask.Path += "?admission=" + s.by.Admission
	all = append(all, way{name: "admission in the query", ask: ask, want: admissionRequired})
	stranger := w.NewCitizen(t)
	box := w.Tokens(t)
	add("no admission", admissionRequired, "")
	add("admission expired", admissionExpired, w.seal(t, box, "Admission", s.by, expired))
	add("admission of other keys", admissionRequired, w.seal(t, w.StrangersTokens(t), "Admission", s.by, nil))
	add("admission of the other environment", admissionRequired, w.seal(t, w.otherEnvironment(t), "Admission", s.by, nil))
	add("admission of another person", ofAnother, stranger.Admission)
	add("admission to another campaign", ofAnother, w.seal(t, box, "Admission", s.by, func(v reflect.Value) {
		v.FieldByName("Campaign").SetString(w.other)
		v.FieldByName("Room").SetString(w.other)
	}))
	for _, kind := range kinds() {
		if kind != "Admission" {
			add("admission: "+strings.ToLower(kind)+" instead", admissionRequired, w.seal(t, box, kind, s.by, nil))
		}
	}
	for _, role := range slices.Sorted(maps.Keys(w.keys)) {
		add("admission: a key of an administrator instead", admissionRequired, w.keys[role])
	}
	forged := forgeries(t, s.by.Admission)
	for _, name := range slices.Sorted(maps.Keys(forged)) {
		add("admission "+name, admissionRequired, forged[name])
	}
	return all
}

// wrongPeopleAndTimes are what only a right token can do wrong.
func (w *world) wrongPeopleAndTimes(t *testing.T, s subject) (all []way) {
	t.Helper()
	x := s.example
	if x.another != succeeds {
		other := w.NewCitizen(t)
		q := replace(s.right, "Authorization", "Bearer "+other.Session)
		if s.operation.Guard == "admitted" {
			q = replace(q, "Jari-Admission", other.Admission)
		}
		all = append(all, way{name: "by another person", ask: q, want: x.another})
	}
	if x.elsewhere != succeeds {
		all = append(all, way{name: "in another campaign", ask: w.elsewhere(t, s), want: x.elsewhere})
	}
	if x.early != succeeds {
		all = append(all, way{name: "before the opening", ask: s.right, want: x.early, at: beforeE3})
	}
	if x.late != succeeds {
		all = append(all, way{name: "after the closing", ask: s.right, want: x.late, at: afterE3})
	}
	return all
}

// wrongKeys are for whoever needs the key of an administrator.
func (w *world) wrongKeys(t *testing.T, s subject) (all []way) {
	t.Helper()
	bearer := func(text string) jaritest.Request { return replace(s.right, "Authorization", "Bearer "+text) }
	add := func(name string, want verdict, q jaritest.Request) {
		all = append(all, way{name: name, ask: q, want: want})
	}
	key := w.keys[s.operation.Guard]
	for _, role := range staff.Roles {
		if !role.May(staff.Role(s.operation.Guard)) && w.keys[string(role)] != "" {
			add("key of a "+string(role), roleRequired, bearer(w.keys[string(role)]))
		}
	}
	parts := strings.Split(key, ".")
	secret := parts[len(parts)-1]
	add("no key", keyRequired, replace(s.right, "Authorization", ""))
	add("key in another scheme", keyRequired, replace(s.right, "Authorization", "Basic "+key))
	inQuery := replace(s.right, "Authorization", "")
	inQuery.Path += "?key=" + key + "&access_token=" + key
	add("key in the query", keyRequired, inQuery)
	add("key as a cookie", keyRequired, replace(s.right, "Authorization", "").With("Cookie", sessionCookie+"="+key))
	add("key expired", keyRequired, bearer(w.ExpiredAdminKey(t, roleOf(s.operation.Guard))))
	add("key revoked", keyRequired, bearer(w.RevokedAdminKey(t, roleOf(s.operation.Guard))))
	add("key of the other environment", keyOfOther, bearer(strings.Replace(key, ".development.", ".production.", 1)))
	add("key cut short", keyRequired, bearer(key[:len(key)-1]))
	add("key without its secret", keyRequired, bearer(strings.TrimSuffix(key, secret)))
	add("key with another's secret", keyRequired, bearer(strings.TrimSuffix(key, secret)+strings.Repeat("A", len(secret))))
	add("key made up", keyRequired, bearer("jari.development.AAAAAAAAAAAA."+secret))
	for _, kind := range kinds() {
		add("key: "+strings.ToLower(kind)+" instead", keyRequired, bearer(w.seal(t, w.Tokens(t), kind, s.by, nil)))
	}
	add("key: a citizen's cookie instead", keyRequired,
		replace(s.right, "Authorization", "").With("Cookie", sessionCookie+"="+s.by.Session).With("Sec-Fetch-Site", "same-origin"))
	if x := s.example; x.elsewhere != succeeds {
		add("in another campaign", x.elsewhere, w.elsewhere(t, s))
	}
	return all
}

// roleOf is a role that may do what a guard of administrators guards.
func roleOf(guard string) string {
	if guard == string(staff.Anyone) {
		return string(staff.Viewer)
	}
	return guard
}
