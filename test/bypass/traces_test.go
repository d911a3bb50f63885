package bypass_test

import (
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// TestNothingThatTheServerWroteKnowsWhoSomebodyIs goes the whole way with three people whose data stands nowhere else, does
// everything wrong on the way that carries it, and then reads all that the server wrote. The walk over all operations ends
// with the same search.
func TestNothingThatTheServerWroteKnowsWhoSomebodyIs(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	var people []*jaritest.Citizen
	var asked []string
	for name, phone := range map[string]string{
		"제갈공명순": "010-9182-7364", "Maximiliane von Öberschmidt": "010-9182-7365", norm.NFD.String("독고영재"): "010-9182-7366",
	} {
		c := s.Stranger("1964-09-27")
		c.Name, c.Phone = name, phone
		people = append(people, c)
		asked = append(asked, goTheWholeWay(t, s, c)...)
	}
	s.Settle(t)
	if written := s.Written(t); !strings.Contains(written["the log"], "msg=request") || written["the metrics"] == "" ||
		written["table public.persons"] == "" || written["table river.river_job"] == "" || written["values of Redis"] == "" {
		t.Fatalf("something that was written wasn't read: %v", slices.Sorted(maps.Keys(written)))
	}
	s.WantNoTrace(t, people, asked...)
}

// goTheWholeWay does what a citizen can do, rightly and wrongly, and returns the addresses that this took.
func goTheWholeWay(t *testing.T, s *jaritest.Server, c *jaritest.Citizen) (asked []string) {
	t.Helper()
	do := func(method, path string, body any) jaritest.Response {
		asked = append(asked, path)
		return c.Do(t, method, path, body)
	}
	for change, value := range map[string]any{
		"name": strings.Repeat(c.Name, 30), "phone": c.Phone + strings.Repeat("0", 20), "surplus": c.Name + c.Phone,
		"birth_date": c.BirthDate + "T00:00:00", "scheme": c.Name,
	} {
		claims := c.Claims()
		claims[change] = value
		if got := do(http.MethodPost, "/v1/verifications", claims); got.Status != http.StatusBadRequest {
			t.Errorf("a wrong %s is answered %d", change, got.Status)
		}
	}
	v := c.StartVerification(t)
	confirm := "/v1/verifications/" + v.VerificationId + "/confirm"
	code := c.Code(t)
	do(http.MethodPost, confirm, map[string]any{"code": code[1:] + code[:1]}) // wrong, unless all digits are the same
	var session httpapi.Session
	do(http.MethodPost, confirm, map[string]any{"code": code}).Want(t, http.StatusOK).Into(t, &session)
	c.Session = session.Token
	do(http.MethodPost, s.Path("/eligibility"), map[string]any{"birth_date": c.BirthDate}).Want(t, http.StatusOK)
	asked = append(asked, "/v1/rooms/"+s.Campaign+"/admission")
	c.Admit(t)
	slots := s.Slots(t, jaritest.SiteOfMany, dayE3)
	do(http.MethodPut, s.Path("/hold"), map[string]any{"slot_id": slots[0].ID, "name": c.Name}).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	first := c.MustBook(t, slots[0].ID)
	moved := c.MustBook(t, slots[1].ID, "replaces", first.BookingId)
	do(http.MethodGet, "/v1/me", nil).Want(t, http.StatusOK)
	do(http.MethodGet, s.Path("/booking"), nil).Want(t, http.StatusOK)
	do(http.MethodGet, s.Path("/booking/calendar.ics"), nil).Want(t, http.StatusOK)
	do(http.MethodDelete, s.Path("/bookings/"+moved.BookingId), nil).Want(t, http.StatusOK)
	c.MustHold(t, slots[0].ID)
	do(http.MethodDelete, s.Path("/hold"), nil).Want(t, http.StatusNoContent)
	c.MustBook(t, slots[0].ID) // what stays, stays sealed
	do(http.MethodDelete, "/v1/session", nil).Want(t, http.StatusNoContent)
	// What somebody puts where it doesn't belong isn't written down either.
	for _, path := range []string{
		"/v1/" + url.PathEscape(c.Phone), s.Path("/sites/" + url.PathEscape(c.Phone) + "/slots"), "/v1/campaigns?name=" + url.QueryEscape(c.Name),
		"/v1/campaigns/" + url.PathEscape(c.BirthDate),
	} {
		s.Do(t, http.MethodGet, path, nil)
	}
	s.Send(t, jaritest.JSON(http.MethodGet, "/v1/campaigns", nil).With("User-Agent", c.Phone).With("Referer", "https://example.org/?b="+c.BirthDate))
	return asked
}

// The search itself finds what it should, and nothing in what is innocent.
func TestTheSearchFindsEverySpelling(t *testing.T) {
	t.Parallel()
	c := &jaritest.Citizen{Name: "제갈공명순", BirthDate: "1964-09-27", Phone: "010-9182-7364"}
	people := []*jaritest.Citizen{c}
	for _, spelling := range []string{
		"제갈공명순", norm.NFD.String("제갈공명순"), url.QueryEscape("제갈공명순"), hex.EncodeToString([]byte("제갈공명순")),
		base64.StdEncoding.EncodeToString([]byte(`{"name":"제갈공명순"}`)), base64.RawURLEncoding.EncodeToString([]byte(`x{"name":"제갈공명순"}`)),
		`\uc81c\uac08\uacf5\uba85\uc21c`, "010-9182-7364", "01091827364", "010 9182 7364", "+821091827364", "+82 10-9182-7364", "9182-7364",
		hex.EncodeToString([]byte("+821091827364")), base64.StdEncoding.EncodeToString([]byte("to=+821091827364")),
		"1964-09-27", "19640927", "640927", "64.09.27", "1964.9.27", "1964년 9월 27일", "27/09/1964", "{1964 9 27}", "September 27, 1964",
		base64.StdEncoding.EncodeToString([]byte("b=1964-09-27;")), "1964%2F09%2F27",
	} {
		for _, text := range []string{spelling, "before=" + spelling + " after", `"` + spelling + `"`} {
			if len(jaritest.Traces(map[string]string{"a text": text}, people)) == 0 {
				t.Errorf("nobody is found in %q", text)
			}
		}
	}
	for _, innocent := range []string{
		"", "제*순", "2021-07-27T09:00:00+09:00", "b1a640927c", "1640927", "slot 640928", "id=0198a3f2-6409-4000-8000-000000000000", "010-****-7364",
	} {
		if found := jaritest.Traces(map[string]string{"a text": innocent}, people); len(found) > 0 {
			t.Errorf("somebody is found in %q: %v", innocent, found)
		}
	}
}
