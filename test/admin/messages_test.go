package admin_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"jari/internal/audit"
	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

func TestACampaignHasItsOwnWords(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	viewer, editor, owner := s.AdminKey(t, "viewer"), s.AdminKey(t, "editor"), s.AdminKey(t, "owner")
	path := "/admin/v1/campaigns/" + s.Campaign + "/messages"
	list := func() map[string]httpapi.MessageText {
		var l httpapi.MessageTextList
		do(t, s, viewer, http.MethodGet, path, nil).Want(t, http.StatusOK).Into(t, &l)
		said := map[string]httpapi.MessageText{}
		for _, m := range l.Messages {
			said[string(m.Kind)+" "+string(m.Language)] = m
		}
		return said
	}
	before := list()
	if len(before) != 12 || before["booked ko"].Own || !strings.Contains(before["booked ko"].Text, "{reference}") {
		t.Fatalf("%+v", before)
	}
	const own = "{title} {date} {time} {reference} 주차장이 없습니다"
	body := map[string]any{"ko": own, "reason": "people came by car"}
	do(t, s, viewer, http.MethodPut, path+"/booked", body).Want(t, http.StatusForbidden, fault.CodeRoleRequired)
	for range 2 { // the second changes nothing, and is no act
		var set httpapi.MessageTextList
		do(t, s, editor, http.MethodPut, path+"/booked", body).Want(t, http.StatusOK).Into(t, &set)
		if len(set.Messages) != 2 || set.Messages[0].Text != own || !set.Messages[0].Own || set.Messages[1].Own {
			t.Fatalf("%+v", set)
		}
	}
	acts := entries(t, s, owner, "?act=message.set_texts")
	if len(acts) != 1 || acts[0].Actor != audit.KeyActor(strings.Split(editor, ".")[2]) || acts[0].Reason == nil ||
		*acts[0].Reason != "people came by car" || acts[0].Subject != s.Campaign+"/message/booked" {
		t.Errorf("the audit has %+v", acts)
	}
	c := s.NewCitizen(t, jaritest.BornForE3)
	b := c.MustBook(t, s.Slot(t, jaritest.SiteOfMany, "2021-07-27"))
	jaritest.Eventually(t, 20*time.Second, "who booked is told in these words", func() bool {
		return slices.ContainsFunc(c.Messages(t), func(m httpapi.Message) bool {
			return m.Kind == "booked" && m.Text == "작은 예약 2021년 7월 27일(화) 09:00 "+b.Reference+" 주차장이 없습니다"
		})
	})

	s.Settle(t)
	state := s.State(t)
	for name, bad := range map[string]map[string]any{
		"an unknown placeholder": {"ko": own + "{name}", "reason": "to see"},
		"without the time":       {"en": "{date} {reference}", "reason": "to see"},
		"nothing":                {"en": "", "reason": "to see"},
		"no reason":              {"ko": own},
		"too long a text":        {"ko": own + strings.Repeat("가", 1000), "reason": "to see"},
	} {
		got := do(t, s, editor, http.MethodPut, path+"/moved", bad).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
		if p := got.Problem(t); p.Fields == nil || len(*p.Fields) == 0 {
			t.Errorf("%s: it doesn't say what is wrong: %s", name, got.Body)
		}
	}
	do(t, s, editor, http.MethodPut, path+"/code", body).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	for _, m := range []string{http.MethodPut, http.MethodPost} {
		p := "/admin/v1/campaigns/nowhere/messages/booked"
		if m == http.MethodPost {
			p, body = p+"/preview", map[string]any{"ko": own}
		}
		do(t, s, editor, m, p, body).Want(t, http.StatusNotFound, fault.CodeCampaignNotFound)
	}
	do(t, s, viewer, http.MethodGet, "/admin/v1/campaigns/nowhere/messages", nil).Want(t, http.StatusNotFound, fault.CodeCampaignNotFound)
	for _, change := range state.Changed(s.State(t)) {
		t.Errorf("a refusal changed %s", change)
	}

	// Back to the words of the program.
	do(t, s, editor, http.MethodPut, path+"/booked", map[string]any{"reason": "a car park was built"}).Want(t, http.StatusOK)
	if now := list(); now["booked ko"] != before["booked ko"] {
		t.Errorf("%+v", now["booked ko"])
	}
}

func TestWordsAreSeenBeforeTheyAreSet(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	editor, viewer := s.AdminKey(t, "editor"), s.AdminKey(t, "viewer")
	path := "/admin/v1/campaigns/" + s.Campaign + "/messages/cancelled/preview"
	s.Settle(t)
	state := s.State(t)
	preview := func(body map[string]any) (ko, en httpapi.MessagePreview) {
		var l httpapi.MessagePreviewList
		do(t, s, editor, http.MethodPost, path, body).Want(t, http.StatusOK).Into(t, &l)
		if len(l.Previews) != 2 || l.Previews[0].Language != "ko" || l.Previews[1].Language != "en" {
			t.Fatalf("%+v", l)
		}
		return l.Previews[0], l.Previews[1]
	}
	ko, en := preview(map[string]any{"ko": "취소🎉 {reference}"})
	// Two syllables, a question mark for what has no encoding, a space and the reference.
	if ko.Text != "취소? 7K4M-2QXP-9TRD" || ko.Bytes != 4+1+1+14 || ko.Type != "SMS" || !slices.Equal(ko.Replaced, []string{"🎉"}) || len(ko.Problems) != 0 {
		t.Errorf("%+v", ko)
	}
	if en.Type != "LMS" || en.Bytes <= 90 || len(en.Problems) != 0 || !strings.HasPrefix(en.Text, "[Jari] Cancelled") {
		t.Errorf("%+v", en)
	}
	if _, en = preview(map[string]any{"en": "{who} was cancelled"}); len(en.Problems) != 2 {
		t.Errorf("%+v", en)
	}
	do(t, s, viewer, http.MethodPost, path, map[string]any{}).Want(t, http.StatusForbidden, fault.CodeRoleRequired)
	for _, change := range state.Changed(s.State(t)) {
		t.Errorf("looking changed %s", change)
	}
}
