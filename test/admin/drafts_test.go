package admin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// drafting asks about the draft of a campaign; tag is what was seen of it, or nothing.
func drafting(t *testing.T, s *jaritest.Server, key, method, rest, tag string, body any) jaritest.Response {
	t.Helper()
	q := jaritest.JSON(method, "/admin/v1/campaigns/"+s.Campaign+"/draft"+rest, body).With("Authorization", "Bearer "+key)
	if tag != "" {
		q = q.With("If-Match", tag)
	}
	return s.Send(t, q)
}

func TestADraftIsWrittenLookedAtAndPublished(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_SECOND_PERSON", "publish"))
	editor, publisher, second := s.AdminKey(t, "editor"), s.AdminKey(t, "publisher"), s.AdminKey(t, "publisher")
	var drafts httpapi.DraftList
	do(t, s, editor, http.MethodGet, "/admin/v1/drafts", nil).Want(t, http.StatusOK).Into(t, &drafts)
	if drafts.Drafts == nil || len(drafts.Drafts) != 0 {
		t.Errorf("%+v", drafts)
	}
	drafting(t, s, editor, http.MethodGet, "", "", nil).Want(t, http.StatusNotFound, fault.CodeDraftNotFound)
	public := s.Do(t, http.MethodGet, s.Path(""), nil)

	// It needn't be right to be kept, and the preview says what is wrong.
	wrong := changed(t, s, holdSeconds(240))
	wrong["waves"].([]any)[0].(map[string]any)["closes_at"] = "2021-07-01T00:00:00+09:00"
	first := drafting(t, s, editor, http.MethodPut, "", "", wrong).Want(t, http.StatusCreated).Header.Get("ETag")
	var check httpapi.CampaignCheck
	drafting(t, s, editor, http.MethodGet, "/preview", "", nil).Want(t, http.StatusOK).Into(t, &check)
	if check.Publishable {
		t.Error("a wave that closes before it opens can be published")
	}
	drafting(t, s, publisher, http.MethodPost, "/publish", first, nil).Want(t, http.StatusConflict, fault.CodeNotPublishable)

	// Two editors don't overwrite each other.
	drafting(t, s, editor, http.MethodPut, "", "", wrong).Want(t, http.StatusPreconditionFailed, fault.CodeDraftChanged)
	right := changed(t, s, closesE3("2021-07-24T17:00:00+09:00"))
	tag := drafting(t, s, editor, http.MethodPut, "", first, right).Want(t, http.StatusOK).Header.Get("ETag")
	if tag == first {
		t.Error("a change left the tag as it was")
	}
	drafting(t, s, editor, http.MethodPut, "", first, wrong).Want(t, http.StatusPreconditionFailed, fault.CodeDraftChanged)
	drafting(t, s, editor, http.MethodDelete, "", first, nil).Want(t, http.StatusPreconditionFailed, fault.CodeDraftChanged)
	drafting(t, s, publisher, http.MethodPost, "/publish", first, nil).Want(t, http.StatusPreconditionFailed, fault.CodeDraftChanged)
	drafting(t, s, publisher, http.MethodPost, "/publish", "", nil).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)

	// The preview is the enumeration, against what is published.
	preview := drafting(t, s, editor, http.MethodGet, "/preview", "", nil).Want(t, http.StatusOK)
	var seen struct {
		Publishable bool `json:"publishable"`
		Comparison  struct {
			With    string            `json:"with"`
			Changes []json.RawMessage `json:"changes"`
		} `json:"comparison"`
	}
	preview.Into(t, &seen)
	if !seen.Publishable || seen.Comparison.With != "version 1" || len(seen.Comparison.Changes) == 0 || preview.Header.Get("ETag") != tag {
		t.Errorf("%.500s", preview.Body)
	}

	// Nobody else sees it.
	if now := s.Do(t, http.MethodGet, s.Path(""), nil); string(now.Body) != string(public.Body) {
		t.Errorf("citizens see %s", now.Body)
	}
	other := s.In("unpublished")
	drafting(t, other, editor, http.MethodPut, "", "", map[string]any{"campaign": "unpublished"}).Want(t, http.StatusCreated)
	s.Refresh(t)
	s.Do(t, http.MethodGet, "/v1/campaigns/unpublished", nil).Want(t, http.StatusNotFound, fault.CodeCampaignNotFound)
	if all := s.Do(t, http.MethodGet, "/v1/campaigns", nil); strings.Contains(string(all.Body), "unpublished") {
		t.Errorf("citizens see %s", all.Body)
	}

	// The second person approves this very document.
	drafting(t, s, editor, http.MethodPost, "/publish", tag, nil).Want(t, http.StatusForbidden, fault.CodeRoleRequired)
	proposed := waitsFor(t, drafting(t, s, publisher, http.MethodPost, "/publish", tag, map[string]any{}))
	do(t, s, second, http.MethodPost, "/admin/v1/approvals/"+proposed.ApprovalId, nil).Want(t, http.StatusOK)
	var v httpapi.Version
	drafting(t, s, publisher, http.MethodPost, "/publish", tag, map[string]any{}).Want(t, http.StatusCreated).Into(t, &v)
	if v.Version != 2 {
		t.Errorf("%+v", v)
	}
	drafting(t, s, editor, http.MethodGet, "", "", nil).Want(t, http.StatusNotFound, fault.CodeDraftNotFound)
}

func TestADraftDoesntPublishOverWhatItsEditorHasntSeen(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_FREEZE_BEFORE", "1m"))
	publisher := s.AdminKey(t, "publisher")
	draft := changed(t, s, holdSeconds(240))
	tag := drafting(t, s, publisher, http.MethodPut, "", "", draft).Want(t, http.StatusCreated).Header.Get("ETag")
	do(t, s, publisher, http.MethodPost, "/admin/v1/campaigns/"+s.Campaign+"/versions", map[string]any{"document": changed(t, s, holdSeconds(250))}).
		Want(t, http.StatusCreated)
	s.Refresh(t)
	drafting(t, s, publisher, http.MethodPost, "/publish", tag, nil).Want(t, http.StatusConflict, fault.CodeVersionMoved)
	var kept httpapi.Draft
	drafting(t, s, publisher, http.MethodGet, "", "", nil).Want(t, http.StatusOK).Into(t, &kept)
	if kept.Details.BasedOnVersion != 1 {
		t.Errorf("%+v", kept.Details)
	}
	tag = drafting(t, s, publisher, http.MethodPut, "", tag, draft).Want(t, http.StatusOK).Header.Get("ETag")
	s.Clock.Set(jaritest.Instant("2021-07-19T19:59:30+09:00"))
	drafting(t, s, publisher, http.MethodPost, "/publish", tag, nil).Want(t, http.StatusConflict, fault.CodeChangeFrozen)
	s.Clock.Set(jaritest.Instant("2021-07-19T20:00:30+09:00"))
	at := "2021-07-19T22:00:00+09:00"
	var v httpapi.Version
	drafting(t, s, publisher, http.MethodPost, "/publish", tag, map[string]any{"effective_at": at}).Want(t, http.StatusCreated).Into(t, &v)
	if !v.EffectiveAt.Equal(jaritest.Instant(at)) {
		t.Errorf("%+v", v)
	}
	if n := countOf(t, s, `SELECT count(*) FROM campaign_drafts`); n != 0 {
		t.Errorf("%d drafts stay", n)
	}
}
