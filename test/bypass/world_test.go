package bypass_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"jari/internal/civil"
	"jari/internal/config"
	"jari/internal/httpapi"
	"jari/internal/staff"
	"jari/internal/token"
	"jari/test/jaritest"
)

// world is a server with two campaigns, and whatever somebody needs who wants to be wrong on purpose.
type world struct {
	*jaritest.Server
	other string // the campaign and room beside the one that is asked about
	// keys are right keys of administrators, by role.
	keys map[string]string
	// places are the values of paths that name nothing of anybody's.
	places map[string]string
	// people are all whom the walk made up, so that what is left of them can be looked for.
	people []*jaritest.Citizen
}

// bornE3 is a birth date of those who may book, which no document mentions.
const bornE3 = "1964-09-27"

// Stranger is somebody whom the server doesn't know yet.
func (w *world) Stranger() *jaritest.Citizen {
	c := w.Server.Stranger(bornE3)
	w.people = append(w.people, c)
	return c
}

// NewCitizen is somebody who may book, has verified a phone and was admitted.
func (w *world) NewCitizen(t *testing.T) *jaritest.Citizen {
	t.Helper()
	c := w.Server.NewCitizen(t, bornE3)
	w.people = append(w.people, c)
	return c
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Server: jaritest.Start(t, jaritest.WithFeed(), jaritest.WithEnvironment("JARI_IMPORT_BYTES", strconv.Itoa(mostList))), other: "other-2021", keys: map[string]string{}}
	w.PublishAlso(t, w.other)
	for _, role := range staff.Roles {
		w.keys[string(role)] = w.AdminKey(t, string(role))
	}
	w.keys["staff"] = w.keys["viewer"] // any role
	var c httpapi.Campaign
	w.Do(t, http.MethodGet, w.Path(""), nil).Want(t, http.StatusOK).Into(t, &c)
	w.places = map[string]string{
		"campaign": w.Campaign, "room": w.Campaign, "region": c.Regions[0].Region, "site": jaritest.SiteOfMany, "date": dayE3,
		"hash": path.Base(c.Regions[0].SitesPath), "version": "1", "week": "2021-W30.ndjson",
	}
	return w
}

// isRole tells whether a guard is the role of an administrator.
func isRole(guard string) bool {
	return !slices.Contains([]string{"public", "person", "entitled", "admitted"}, guard)
}

// subject is an operation with a right request, and who sends it.
type subject struct {
	operation jaritest.Operation
	spec      *openapi3.Operation
	example   example
	values    map[string]string
	by        *jaritest.Citizen
	right     jaritest.Request
}

// subject makes a right request of an operation, or says what is missing for one.
func (w *world) subject(t *testing.T, o jaritest.Operation, x example) (subject, error) {
	t.Helper()
	s := subject{operation: o, example: x, values: map[string]string{}}
	s.spec = jaritest.Document(t).Paths.Value(o.Path).GetOperation(o.Method)
	if o.Guard != "public" {
		s.by = w.NewCitizen(t)
	}
	for name, value := range w.places {
		s.values[name] = value
	}
	var body any
	if x.prepare != nil {
		own, values := x.prepare(t, w, s.by)
		body = own
		for name, value := range values {
			s.values[name] = value
		}
	} else if o.HasBody && s.spec.RequestBody.Value.Required {
		schema := s.spec.RequestBody.Value.Content["application/json"].Schema.Value
		if body = schema.Example; body == nil {
			return s, errors.New("it needs a body, and its schema has no example")
		}
	}
	path, err := fill(o.Path, s.values)
	if err != nil {
		return s, err
	}
	if err := s.saysEnough(body != nil || x.prepare != nil); err != nil {
		return s, err
	}
	s.right = jaritest.JSON(o.Method, path+s.query(), body)
	for _, p := range s.spec.Parameters { // such as If-Match, which prepare knows
		if value, known := s.values[p.Value.Name]; known && p.Value.In == openapi3.ParameterInHeader {
			s.right = s.right.With(p.Value.Name, value)
		}
	}
	switch {
	case isRole(o.Guard):
		s.right = s.right.With("Authorization", "Bearer "+w.keys[o.Guard])
	case o.Guard == "admitted":
		s.right = s.right.With("Authorization", "Bearer "+s.by.Session).With("Jari-Admission", s.by.Admission)
	case o.Guard == "person", o.Guard == "entitled":
		s.right = s.right.With("Authorization", "Bearer "+s.by.Session)
	}
	return s, nil
}

// query is what a right request can't do without.
func (s subject) query() string {
	query := url.Values{}
	for _, p := range s.spec.Parameters {
		if p.Value.In == openapi3.ParameterInQuery && p.Value.Required {
			query.Set(p.Value.Name, s.values[p.Value.Name])
		}
	}
	if len(query) == 0 {
		return ""
	}
	return "?" + query.Encode()
}

// saysEnough refuses an example that leaves out what only somebody who knows the operation can say.
func (s subject) saysEnough(named bool) error {
	x, guard := s.example, s.operation.Guard
	if guard != "person" && guard != "admitted" {
		return nil
	}
	if named && x.another == succeeds && x.nobodys == "" {
		return errors.New("what is somebody else told who sends the same? (another, or nobodys)")
	}
	if s.placed() && x.elsewhere == succeeds && x.anywhere == "" {
		return errors.New("what is answered at the path of another campaign? (elsewhere, or anywhere)")
	}
	if guard == "admitted" && (x.early == succeeds || x.late == succeeds) && x.anyTime == "" {
		return errors.New("what is answered before the opening and after the closing? (early and late, or anyTime)")
	}
	return nil
}

// placed tells whether the path lies in a campaign or a room.
func (s subject) placed() bool {
	return strings.Contains(s.operation.Path, "{campaign}") || strings.Contains(s.operation.Path, "{room}")
}

// elsewhere is the right request at the path of the other campaign.
func (w *world) elsewhere(t *testing.T, s subject) jaritest.Request {
	t.Helper()
	values := map[string]string{}
	for name, value := range s.values {
		values[name] = value
	}
	values["campaign"], values["room"] = w.other, w.other
	path, err := fill(s.operation.Path, values)
	if err != nil {
		t.Fatal(err)
	}
	q := s.right
	q.Path = path + s.query()
	if s.operation.Guard == "admitted" {
		q = replace(q, "Jari-Admission", w.seal(t, w.Tokens(t), "Admission", s.by, func(v reflect.Value) {
			v.FieldByName("Campaign").SetString(w.other)
			v.FieldByName("Room").SetString(w.other)
		}))
	}
	return q
}

// kinds are what the token package can seal: a kind that is new is tried in the place of all others without anybody
// remembering it.
func kinds() (all []string) {
	box := reflect.TypeFor[*token.Box]()
	for i := range box.NumMethod() {
		if kind, found := strings.CutPrefix(box.Method(i).Name, "Seal"); found {
			all = append(all, kind)
		}
	}
	return all
}

// kindOf is what a text is a token of, or nothing.
func (w *world) kindOf(t *testing.T, text string) string {
	t.Helper()
	for _, kind := range kinds() {
		out := reflect.ValueOf(w.Tokens(t)).MethodByName("Open" + kind).Call([]reflect.Value{reflect.ValueOf(text)})
		if out[1].IsNil() {
			return kind
		}
	}
	return ""
}

// seal makes a token of a kind for a citizen, of this campaign and valid now, with what change changes.
func (w *world) seal(t *testing.T, box *token.Box, kind string, of *jaritest.Citizen, change func(reflect.Value)) string {
	t.Helper()
	method := reflect.ValueOf(box).MethodByName("Seal" + kind)
	value := reflect.New(method.Type().In(0)).Elem()
	person := w.personOf(t, of)
	now := time.Now()
	for i := range value.NumField() {
		field, name := value.Field(i), value.Type().Field(i).Name
		switch field.Interface().(type) {
		case uuid.UUID:
			id := uuid.New()
			if name == "Person" || name == "Actor" {
				id = person
			}
			if name != "Replaces" {
				field.Set(reflect.ValueOf(id))
			}
		case time.Time:
			at := now
			if name == "ExpiresAt" {
				at = now.Add(10 * time.Minute)
			}
			field.Set(reflect.ValueOf(at))
		case civil.Date:
			born, err := civil.Parse(of.BirthDate)
			if err != nil {
				t.Fatal(err)
			}
			field.Set(reflect.ValueOf(born))
		case string:
			if name == "Room" || name == "Campaign" {
				field.SetString(w.Campaign)
			}
		}
	}
	if change != nil {
		change(value)
	}
	out := method.Call([]reflect.Value{value})
	if err, _ := out[1].Interface().(error); err != nil {
		t.Fatal(err)
	}
	return out[0].String()
}

func expired(v reflect.Value) {
	v.FieldByName("ExpiresAt").Set(reflect.ValueOf(time.Now().Add(-time.Second)))
}

func (w *world) personOf(t *testing.T, c *jaritest.Citizen) uuid.UUID {
	t.Helper()
	session, err := w.Tokens(t).OpenSession(c.Session)
	if err != nil {
		t.Fatal(err)
	}
	return session.Person
}

// otherEnvironment seals with the very keys of this deployment, but for production.
func (w *world) otherEnvironment(t *testing.T) *token.Box {
	t.Helper()
	return w.TokensFor(t, config.Production)
}

// forgeries are spellings of a token that nobody gave out.
func forgeries(t *testing.T, text string) map[string]string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"cut short": text[:len(text)-4], "cut in half": text[:len(text)/2], "longer": text + "AAAA", "twice": text + text,
		"padded": text + "==", "made up": "let-me-in", "empty": "",
	}
	for name, at := range map[string]int{"its key id": 2, "its nonce": 7, "its middle": len(raw) / 2, "its end": len(raw) - 1} {
		flipped := slices.Clone(raw)
		flipped[at] ^= 1
		all["a bit flipped in "+name] = base64.RawURLEncoding.EncodeToString(flipped)
	}
	return all
}

// replace is the request with another value of a header, or without it when the value is empty.
func replace(q jaritest.Request, name, value string) jaritest.Request {
	q.Header = q.Header.Clone()
	q.Header.Del(name)
	if value == "" {
		return q
	}
	return q.With(name, value)
}

// bodyWith is the request with a field of its body changed.
func bodyWith(t *testing.T, q jaritest.Request, change func(map[string]any)) jaritest.Request {
	t.Helper()
	body := map[string]any{}
	if err := json.Unmarshal(q.Body, &body); err != nil {
		t.Fatal(fmt.Errorf("the right body isn't an object: %w", err))
	}
	change(body)
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	q.Body = raw
	return q
}
