package notify_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/encoding/korean"

	"jari/internal/notify"
)

// vendor is a local gateway that checks what the real one checks, remembers what it took, and fails as it is told.
type vendor struct {
	t   *testing.T
	mu  sync.Mutex
	got []taken
	// fail answers instead, before anything is taken; lose takes the message and never answers.
	fail func(w http.ResponseWriter) bool
	lose bool
	// hidden: what was taken doesn't show in lists.
	hidden bool
}

type taken struct{ to, text, kind, id string }

func (v *vendor) take(w http.ResponseWriter, m taken, answer string) {
	v.mu.Lock()
	v.got = append(v.got, m)
	lose := v.lose
	v.mu.Unlock()
	if lose {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	if strings.Contains(answer, "202") {
		w.WriteHeader(http.StatusAccepted)
	}
	_, _ = w.Write([]byte(answer))
}

func (v *vendor) problem(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

func (v *vendor) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.got)
}

// fits is what both vendors document of a text: its bytes and its characters.
func fits(kind, text string) bool {
	encoded, err := korean.EUCKR.NewEncoder().Bytes([]byte(text))
	return err == nil && len(encoded) > 0 && ((kind == "SMS" && len(encoded) <= 90) || (kind == "LMS" && len(encoded) <= 2000))
}

const (
	vendorKey, vendorSecret = "NCSAYU7YDBXYORXC", "hunter2 & co"
	vendorFrom              = "15771000"
	sensService             = "ncp:sms:kr:258659321:agency"
)

// sens is a local SENS.
func (v *vendor) sens(w http.ResponseWriter, r *http.Request) {
	const refused = `{"error":{"errorCode":"%d","message":"%s","details":"x"}}`
	if v.fail != nil && v.fail(w) {
		return
	}
	timestamp := r.Header.Get("x-ncp-apigw-timestamp")
	ms, _ := strconv.ParseInt(timestamp, 10, 64)
	mac := hmac.New(sha256.New, []byte(vendorSecret))
	_, _ = fmt.Fprintf(mac, "%s %s\n%s\n%s", r.Method, r.RequestURI, timestamp, vendorKey)
	if r.Header.Get("x-ncp-iam-access-key") != vendorKey || time.Since(time.UnixMilli(ms)).Abs() > 5*time.Minute ||
		r.Header.Get("x-ncp-apigw-signature-v2") != base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		v.problem(w, http.StatusUnauthorized, fmt.Sprintf(refused, 200, "Authentication Failed"))
		return
	}
	if r.URL.Path != "/sms/v2/services/"+sensService+"/messages" {
		v.problem(w, http.StatusNotFound, fmt.Sprintf(refused, 300, "Not Found Exception"))
		return
	}
	if r.Method == http.MethodGet {
		q := r.URL.Query()
		from, err1 := time.ParseInLocation("2006-01-02 15:04:05", q.Get("requestStartTime"), time.FixedZone("KST", 9*3600))
		to, err2 := time.ParseInLocation("2006-01-02 15:04:05", q.Get("requestEndTime"), time.FixedZone("KST", 9*3600))
		if err1 != nil || err2 != nil || from.After(time.Now()) || to.Before(time.Now()) {
			v.problem(w, http.StatusBadRequest, fmt.Sprintf(refused, 100, "Bad Request"))
			return
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		messages := []map[string]string{}
		for _, m := range v.got {
			if m.to == q.Get("to") && !v.hidden {
				messages = append(messages, map[string]string{"requestId": "VORSSA-1", "to": m.to, "content": m.text, "status": "COMPLETED"})
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"statusCode": "202", "statusName": "success", "messages": messages})
		return
	}
	var body struct {
		Type, ContentType, CountryCode, From, Subject, Content string
		Messages                                               []struct{ To string }
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil || r.Header.Get("Content-Type") != "application/json; charset=utf-8" ||
		len(body.Messages) != 1 || !regexp.MustCompile(`^[0-9]+$`).MatchString(body.Messages[0].To) || body.From != vendorFrom ||
		body.ContentType != "COMM" || !regexp.MustCompile(`^[0-9]{1,3}$`).MatchString(body.CountryCode) || !fits(body.Type, body.Content) {
		v.problem(w, http.StatusBadRequest, fmt.Sprintf(refused, 100, "Bad Request"))
		return
	}
	v.take(w, taken{to: body.Messages[0].To, text: body.Content, kind: body.Type},
		`{"statusCode":"202","statusName":"success","requestId":"VORSSA-1","requestTime":"2026-01-01T00:00:00.000"}`)
}

var solapiHeader = regexp.MustCompile(`^HMAC-SHA256 apiKey=(\w+), date=([^,]+), salt=(\w{12,64}), signature=([0-9a-f]{64})$`)

// solapi is a local SOLAPI.
func (v *vendor) solapi(w http.ResponseWriter, r *http.Request) {
	if v.fail != nil && v.fail(w) {
		return
	}
	said := solapiHeader.FindStringSubmatch(r.Header.Get("Authorization"))
	if said == nil {
		v.problem(w, http.StatusBadRequest, `{"errorCode":"InvalidAuthorization","errorMessage":"x"}`)
		return
	}
	mac := hmac.New(sha256.New, []byte(vendorSecret))
	mac.Write([]byte(said[2] + said[3]))
	at, err := time.Parse(time.RFC3339, said[2])
	if said[1] != vendorKey || err != nil || time.Since(at).Abs() > 15*time.Minute || said[4] != hex.EncodeToString(mac.Sum(nil)) {
		v.problem(w, http.StatusForbidden, `{"errorCode":"SignatureDoesNotMatch","errorMessage":"x"}`)
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /messages/v4/list":
		q := r.URL.Query()
		v.mu.Lock()
		defer v.mu.Unlock()
		list := map[string]any{}
		for i, m := range v.got {
			if q.Get("criteria") == "to" && q.Get("cond") == "eq" && m.to == q.Get("value") && !v.hidden {
				list["M4V"+strconv.Itoa(i)] = map[string]any{"to": m.to, "text": m.text, "customFields": map[string]string{"jariMessageId": m.id}}
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"startKey": nil, "nextKey": nil, "limit": 100, "messageList": list})
	case "POST /messages/v4/send-many/detail":
		var body struct {
			Messages []struct {
				To, From, Text, Type, Country string
				CustomFields                  map[string]string
			}
		}
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&body); err != nil || len(body.Messages) != 1 {
			v.problem(w, http.StatusBadRequest, `{"errorCode":"ValidationError","errorMessage":"x"}`)
			return
		}
		m := body.Messages[0]
		if m.From != vendorFrom || !regexp.MustCompile(`^[0-9]+$`).MatchString(m.To) || !fits(m.Type, m.Text) || m.Country == "" {
			_, _ = w.Write([]byte(`{"failedMessageList":[{"to":"` + m.To + `","statusCode":"1062","statusMessage":"x"}],
				"groupInfo":{"count":{"total":1,"registeredSuccess":0,"registeredFailed":1}}}`))
			return
		}
		v.take(w, taken{to: m.To, text: m.Text, kind: m.Type, id: m.CustomFields["jariMessageId"]},
			`{"failedMessageList":[],"groupInfo":{"groupId":"G4V1","count":{"total":1,"registeredSuccess":1,"registeredFailed":0}}}`)
	default:
		v.problem(w, http.StatusNotFound, `{"errorCode":"ResourceNotFound","errorMessage":"x"}`)
	}
}

// made is how each vendor's sender is made for a local server.
var made = map[string]struct {
	serve func(*vendor) http.HandlerFunc
	make  func(address, key, secret, from string, now func() time.Time) (notify.Finder, error)
}{
	"sens": {
		func(v *vendor) http.HandlerFunc { return v.sens },
		func(address, key, secret, from string, now func() time.Time) (notify.Finder, error) {
			return notify.NewSENS(address, sensService, key, secret, from, 5*time.Second, now)
		},
	},
	"solapi": {
		func(v *vendor) http.HandlerFunc { return v.solapi },
		func(address, key, secret, from string, now func() time.Time) (notify.Finder, error) {
			return notify.NewSOLAPI(address, key, secret, from, 5*time.Second, now)
		},
	},
}

func eachVendor(t *testing.T, claim func(t *testing.T, v *vendor, sender notify.Finder, other func(key, secret, from string, ahead time.Duration) notify.Finder)) {
	for name, m := range made {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := &vendor{t: t}
			server := httptest.NewServer(m.serve(v))
			t.Cleanup(server.Close)
			with := func(key, secret, from string, ahead time.Duration) notify.Finder {
				g, err := m.make(server.URL+"/", key, secret, from, func() time.Time { return time.Now().Add(ahead) })
				if err != nil {
					t.Fatal(err)
				}
				return g
			}
			claim(t, v, with(vendorKey, vendorSecret, vendorFrom, 0), with)
		})
	}
}

func outgoing(words string) notify.Outgoing {
	return notify.Outgoing{ID: uuid.New(), To: to, Text: words}
}

func TestVendorsTakeWhatIsSigned(t *testing.T) {
	t.Parallel()
	eachVendor(t, func(t *testing.T, v *vendor, sender notify.Finder, other func(string, string, string, time.Duration) notify.Finder) {
		long := strings.Repeat("예약 👍 ", 20)
		for _, words := range []string{text, long, strings.Repeat("가", 1500)} {
			if err := sender.Send(t.Context(), outgoing(words)); err != nil {
				t.Fatal(err)
			}
		}
		want := []taken{{"01020001000", text, "SMS", ""}, {"01020001000", strings.ReplaceAll(long, "👍", "?"), "LMS", ""}, {"01020001000", strings.Repeat("가", 1000), "LMS", ""}}
		for i, w := range want {
			if got := v.got[i]; got.to != w.to || got.text != w.text || got.kind != w.kind {
				t.Errorf("it got %+v", got)
			}
		}
		for name, bad := range map[string]notify.Finder{
			"another secret": other(vendorKey, "x", vendorFrom, 0), "another key": other("x", vendorSecret, vendorFrom, 0),
			"a clock that is off":         other(vendorKey, vendorSecret, vendorFrom, 20*time.Minute),
			"a number nobody registered":  other(vendorKey, vendorSecret, "021234567", 0),
			"a clock that is far behind?": other(vendorKey, vendorSecret, vendorFrom, -20*time.Minute),
		} {
			err := bad.Send(t.Context(), outgoing(text))
			if !errors.Is(err, notify.ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
			mute(t, err)
		}
		if v.count() != len(want) {
			t.Errorf("it took %d", v.count())
		}
	})
}

func TestWhatIsKnownFollowsFromTheVendorsAnswer(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{
		http.StatusTooManyRequests: notify.ErrNotSent, http.StatusServiceUnavailable: notify.ErrNotSent, http.StatusBadRequest: notify.ErrRefused,
		http.StatusInternalServerError: nil, http.StatusBadGateway: nil, http.StatusRequestTimeout: nil, http.StatusFound: nil,
	} {
		eachVendor(t, func(t *testing.T, v *vendor, sender notify.Finder, _ func(string, string, string, time.Duration) notify.Finder) {
			v.fail = func(w http.ResponseWriter) bool {
				w.Header().Set("Location", "https://example.org")
				v.problem(w, status, `{"error":{"errorCode":"`+to+`","message":"`+to+`"},"errorCode":"`+to+`","errorMessage":"`+text+`"}`)
				return true
			}
			err := sender.Send(t.Context(), outgoing(text))
			if want != nil && !errors.Is(err, want) {
				t.Errorf("%d: %v", status, err)
			}
			if want == nil && (err == nil || errors.Is(err, notify.ErrNotSent) || errors.Is(err, notify.ErrRefused)) {
				t.Errorf("%d tells more than it does: %v", status, err)
			}
			mute(t, err)
			if _, err := sender.Find(t.Context(), outgoing(text), time.Now()); err == nil {
				t.Errorf("%d says whether it has the message", status)
			}
		})
	}
}

func TestAVendorIsAskedForAMessage(t *testing.T) {
	t.Parallel()
	eachVendor(t, func(t *testing.T, v *vendor, sender notify.Finder, _ func(string, string, string, time.Duration) notify.Finder) {
		v.lose = true
		m, since := outgoing(text), time.Now()
		if err := sender.Send(t.Context(), m); err == nil || errors.Is(err, notify.ErrNotSent) || errors.Is(err, notify.ErrRefused) {
			t.Fatalf("an answer that was lost says %v", err)
		}
		found := func(m notify.Outgoing, want bool) {
			t.Helper()
			got, err := sender.Find(t.Context(), m, since)
			if err != nil || got != want {
				t.Errorf("found: %v, %v", got, err)
			}
		}
		found(m, true)
		other := outgoing(strings.ReplaceAll(text, "123456", "654321"))
		found(other, false)
		other = outgoing(text)
		other.To = "+821020001001"
		found(other, false)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := sender.Find(ended, m, since); err == nil {
			t.Error("a question that wasn't asked has an answer")
		}
	})
}
