package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"pgregory.net/rapid"

	"jari/internal/booking"
)

// failing is what rapid's tests have in common with others.
type failing interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// byContract holds a body against the contract as requests are, and binds it as generated code does.
func byContract(t failing, operation, body string, into any) bool {
	t.Helper()
	c, err := readContract()
	if err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPut, "/", strings.NewReader(body))
	r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	ctx := e.NewContext(r, httptest.NewRecorder())
	ctx.SetParamNames("campaign")
	ctx.SetParamValues("night")
	accepted := false
	err = c.validate(c.operations[operation], 1<<14)(func(ctx echo.Context) error {
		accepted = true
		raw, err := io.ReadAll(ctx.Request().Body)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, into)
	})(ctx)
	return accepted && err == nil
}

// agrees fails when what is accepted by hand isn't by the contract, or is understood differently.
func agrees(t failing, body string) (held, confirmed bool) {
	t.Helper()
	if wish, ok := readHoldRequest([]byte(body)); ok {
		var bound HoldRequest
		if !byContract(t, "placeHold", body, &bound) {
			t.Fatalf("a hold request that the contract refuses: %q", body)
		}
		if other := (booking.HoldRequest{Slot: bound.SlotId, InsteadOf: orElse(bound.InsteadOf, ""), Replaces: orElse(bound.Replaces, "")}); other != wish {
			t.Fatalf("%q is read as %+v and by the contract as %+v", body, wish, other)
		}
		held = true
	}
	if holdToken, ok := readConfirmation([]byte(body)); ok {
		var bound ConfirmBookingJSONRequestBody
		if !byContract(t, "confirmBooking", body, &bound) {
			t.Fatalf("a confirmation that the contract refuses: %q", body)
		}
		if bound.HoldToken != holdToken {
			t.Fatalf("%q is read as %q and by the contract as %q", body, holdToken, bound.HoldToken)
		}
		confirmed = true
	}
	return held, confirmed
}

// bodies are right ones, and those that differ from a right one in one way.
var bodies = []string{
	`{"slot_id":"17"}`,
	"\t{ \"slot_id\" :\n\"17\" , \"instead_of\":\"a\",\"replaces\":\"b\" }\r\n",
	`{"hold_token":"abc-_DEF=="}`,
	``, `{}`, `[]`, `null`, `"slot_id"`, `{"slot_id":17}`, `{"slot_id":null}`, `{"slot_id":""}`, `{"slot_id":"17","slot_id":"18"}`,
	`{"Slot_id":"17"}`, `{"slot_id":"17","party":"99"}`, `{"slot_id":"17",}`, `{"slot_id":"17"`, `{"slot_id":"17"}}`, `{"slot_id":"17"} {}`,
	`{"slot_id":"1\u0037"}`, `{"slot_id":"` + strings.Repeat("1", 65) + `"}`, "{\"slot_id\":\"1\x007\"}", "{\"slot_id\":\"１\"}", "\uFEFF{\"slot_id\":\"17\"}",
	`{"slot_id":"17","replaces":""}`, `{"slot_id" "17"}`, `{,"slot_id":"17"}`, `{'slot_id':'17'}`, `{"hold_token":"a","slot_id":"17"}`, `{"hold_token":{"a":"b"}}`,
}

func TestTheRushReadsWhatTheContractMeans(t *testing.T) {
	t.Parallel()
	for i, body := range bodies {
		held, confirmed := agrees(t, body)
		if held != (i < 2) || confirmed != (i == 2) {
			t.Errorf("%q: taken as a hold request %v, as a confirmation %v", body, held, confirmed)
		}
	}
}

func TestTheRushAgreesWithTheContractOnAnyBody(t *testing.T) {
	t.Parallel()
	names := []string{"slot_id", "slot_id", "hold_token", "instead_of", "replaces", "hold_token", "SLOT_ID", "", "slot_id ", "x"}
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString(rapid.SampledFrom([]string{"", "", " ", "\n", "x"}).Draw(t, "before") + "{")
		for i := range rapid.SampledFrom([]int{1, 1, 1, 2, 2, 3, 0}).Draw(t, "members") {
			if i > 0 {
				b.WriteString(rapid.SampledFrom([]string{",", ",", ",", " , ", "", ",,"}).Draw(t, "comma"))
			}
			value := rapid.OneOf(
				rapid.SampledFrom([]string{`"17"`, `"17"`, `"a"`, `"b"`, `""`, `17`, `null`, `{}`, `"\n"`, `"` + strings.Repeat("a", 64) + `"`}),
				rapid.Map(rapid.StringN(0, 70, 200), func(s string) string { return `"` + s + `"` }),
			).Draw(t, "value")
			b.WriteString(`"` + rapid.SampledFrom(names).Draw(t, "name") + `":` + value)
		}
		b.WriteString("}" + rapid.SampledFrom([]string{"", "", "", "\n", "}", "x"}).Draw(t, "after"))
		if held, confirmed := agrees(t, b.String()); held || confirmed {
			taken++
		}
	})
	if taken == 0 {
		t.Error("no body was taken: this compared nothing")
	}
}

// FuzzRush looks further than the tests that run each time: go test -fuzz Rush ./internal/httpapi.
func FuzzRush(f *testing.F) {
	for _, body := range bodies {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) { agrees(t, body) })
}

// drawn are answers with every field in every form that it can have.
func drawn(t *rapid.T) (h Hold, b Booking) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"서울특별시 <하나>로 1", "a&b", "\u2028", "plain", "\xff"}))
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "µs")).In(time.FixedZone("", rapid.SampledFrom([]int{0, 9 * 3600, -4 * 3600, 20700}).Draw(t, "zone")))
	})
	number := rapid.Float64Range(-180, 180)
	slot := Slot{EndsAt: instant.Draw(t, "ends"), StartsAt: instant.Draw(t, "starts"), SiteId: text.Draw(t, "site"), SlotId: text.Draw(t, "slot")}
	h = Hold{
		ExpiresAt: instant.Draw(t, "expires"), HoldId: text.Draw(t, "hold"), HoldToken: text.Draw(t, "token"),
		Replaces: rapid.Ptr(text, true).Draw(t, "replaces"), Slot: slot,
	}
	b = Booking{
		BookedAt: instant.Draw(t, "booked"), BookingId: text.Draw(t, "booking"), CampaignId: text.Draw(t, "campaign"),
		CancelledAt: rapid.Ptr(instant, true).Draw(t, "cancelled"), ChangeUntil: rapid.Ptr(instant, true).Draw(t, "until"),
		Reference: text.Draw(t, "reference"), Slot: slot, Status: BookingStatus(text.Draw(t, "status")),
		Site: Site{
			Address: text.Draw(t, "address"), Latitude: rapid.Ptr(number, true).Draw(t, "latitude"),
			Longitude: rapid.Ptr(number, true).Draw(t, "longitude"), Name: text.Draw(t, "name"),
			NameEn: rapid.Ptr(text, true).Draw(t, "name_en"), SiteId: text.Draw(t, "site id"),
			State: rapid.Ptr(text, true).Draw(t, "state"), City: rapid.Ptr(text, true).Draw(t, "city"),
			PostalCode: rapid.Ptr(text, true).Draw(t, "postal code"),
			Telephone:  rapid.Ptr(text, true).Draw(t, "telephone"), Wheelchair: rapid.Bool().Draw(t, "wheelchair"),
		},
	}
	return h, b
}

func TestTheRushWritesWhatTheLibraryWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h, b := drawn(t)
		for _, c := range []struct {
			got  []byte
			want any
		}{{appendHold(nil, h), h}, {appendBooking(nil, b), b}} {
			want, err := json.Marshal(c.want)
			if err != nil {
				t.Fatal(err)
			}
			if string(c.got) != string(want) {
				t.Fatalf("written as\n%s\nand by the library as\n%s", c.got, want)
			}
		}
	})
}

// TestTheRushKnowsEveryField fails when an answer gets a field that is written by nobody.
func TestTheRushKnowsEveryField(t *testing.T) {
	t.Parallel()
	for shape, fields := range map[reflect.Type]int{
		reflect.TypeFor[Hold](): 5, reflect.TypeFor[Booking](): 9, reflect.TypeFor[Slot](): 4, reflect.TypeFor[Site](): 11,
	} {
		if n := shape.NumField(); n != fields {
			t.Errorf("%s has %d fields, and rush_write.go writes %d", shape, n, fields)
		}
	}
}
