package admin_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/korean"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// sendCSV sends a list as it is.
func sendCSV(t *testing.T, s *jaritest.Server, key, path, list string) jaritest.Response {
	t.Helper()
	return s.Send(t, jaritest.CSV(path, list).With("Authorization", "Bearer "+key))
}

// tried is the plan that a list made.
func tried(t *testing.T, r jaritest.Response) (p httpapi.Plan) {
	t.Helper()
	r.Want(t, http.StatusCreated).Into(t, &p)
	return p
}

func apply(t *testing.T, s *jaritest.Server, key string, p httpapi.Plan) jaritest.Response {
	t.Helper()
	return do(t, s, key, http.MethodPost, "/admin/v1/plans/"+p.PlanId+"/apply", map[string]any{"checksum": p.Checksum})
}

// rowsOf are the rows of a plan as texts: line, outcome, subject and note.
func rowsOf(t *testing.T, s *jaritest.Server, key string, p httpapi.Plan, query string) (rows []string) {
	t.Helper()
	var list httpapi.PlanRowList
	do(t, s, key, http.MethodGet, "/admin/v1/plans/"+p.PlanId+"/rows"+query, nil).Want(t, http.StatusOK).Into(t, &list)
	for _, r := range list.Rows {
		line := 0
		if r.Line != nil {
			line = *r.Line
		}
		rows = append(rows, strings.TrimSpace(fmt.Sprintf("%d %s %s: %s", line, r.Outcome, r.Subject, r.Note)))
	}
	return rows
}

const siteHeading = "site_id,region,name,address,telephone,wheelchair\n"

// sitesOf are the ids of the sites that the public sees.
func sitesOf(t *testing.T, s *jaritest.Server) (ids []string) {
	t.Helper()
	var list httpapi.SiteList
	s.Do(t, http.MethodGet, s.Path("/regions/"+jaritest.Region+"/sites"), nil).Want(t, http.StatusOK).Into(t, &list)
	for _, site := range list.Sites {
		ids = append(ids, site.SiteId)
	}
	return ids
}

// TestBadRowsAreNamed is `bad_rows_are_named`.
func TestBadRowsAreNamed(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	key, path := s.AdminKey(t, "editor"), "/admin/v1/campaigns/"+s.Campaign+"/sites/import"
	list := siteHeading +
		"new,seoul,새 의원,서울 1,02-123-4567,yes\n" +
		"Capital,seoul,x,y,,no\n" +
		"far,busan,x,y,,no\n" +
		"twice,seoul,x,y,,no\n" +
		"short,seoul\n" +
		"what,seoul,,y,,perhaps\n" +
		"twice,seoul,x,z,,no\n" +
		"one,seoul,고친 이름,서울특별시 1,,no\n"
	p := tried(t, sendCSV(t, s, key, path, list))
	want := []string{
		"2 created new: 새 의원",
		`3 rejected Capital: site_id "Capital" must be small letters, digits and dashes`,
		"4 rejected far: region isn't one of the campaign's",
		"5 rejected twice: site_id is on line 8 too",
		"6 rejected : has 2 columns and the heading has 6",
		`7 rejected what: name and address are needed; wheelchair is "perhaps" and must be yes or no`,
		"8 rejected twice: site_id is on line 5 too",
	}
	got := rowsOf(t, s, key, p, "")
	if d := cmp.Diff(want, got[:min(len(got), 7)]); d != "" || len(got) != 8 || !strings.HasPrefix(got[7], "9 changed one: name, ") {
		t.Errorf("%s %q", d, got)
	}
	if only := rowsOf(t, s, key, p, "?outcome=rejected&after=3&limit=2"); !slices.Equal(only, want[3:5]) {
		t.Errorf("%q", only)
	}
	sum := sha256.Sum256([]byte(list))
	if p.Checksum != hex.EncodeToString(sum[:]) || p.Kind != "sites.import" || p.State != "ready" ||
		p.Summary.Created != 1 || p.Summary.Changed != 1 || p.Summary.Rejected != 6 || *p.Source.Lines != 8 || *p.Source.Encoding != "UTF-8" {
		t.Errorf("%+v %+v", p, p.Source)
	}
	if slices.Contains(sitesOf(t, s), "new") {
		t.Error("trying changed something")
	}
	var done httpapi.Plan
	apply(t, s, key, p).Want(t, http.StatusOK).Into(t, &done)
	if done.State != "applied" || done.AppliedBy == nil || done.AppliedAt == nil {
		t.Errorf("%+v", done)
	}
	s.CatchUp(t)
	if got := sitesOf(t, s); !slices.Contains(got, "new") || slices.Contains(got, "twice") {
		t.Errorf("%q", got)
	}
	// The same list again changes nothing.
	if again := tried(t, sendCSV(t, s, key, path, list)); again.Summary.Unchanged != 2 || again.Summary.Created != 0 || again.Summary.Changed != 0 {
		t.Errorf("%+v", again.Summary)
	}
	owner := s.AdminKey(t, "owner")
	if e := entries(t, s, owner, "?act=sites.import"); len(e) != 1 || e[0].Details["checksum"] != p.Checksum {
		t.Errorf("%+v", e)
	}
	if e := entries(t, s, owner, "?act=plan.make"); len(e) != 2 {
		t.Errorf("%+v", e)
	}
}

func TestAListComesInEveryForm(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	key, path := s.AdminKey(t, "editor"), "/admin/v1/campaigns/"+s.Campaign+"/sites/import"
	plain := siteHeading + "new,seoul,뷁 의원,서울 1,02-123-4567,yes\n"
	cp949, err := korean.EUCKR.NewEncoder().String(plain)
	if err != nil {
		t.Fatal(err)
	}
	sheet := excelize.NewFile()
	for i, line := range strings.Split(strings.TrimSpace(plain), "\n") {
		cells := strings.Split(line, ",")
		if err := sheet.SetSheetRow("Sheet1", fmt.Sprintf("A%d", i+1), &cells); err != nil {
			t.Fatal(err)
		}
	}
	book, err := sheet.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	form := func(name string, content []byte) jaritest.Request {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		part, err := w.CreateFormFile(name, "sites")
		if err == nil {
			_, err = part.Write(content)
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		q := jaritest.CSV(path, b.String())
		q.Header.Set("Content-Type", w.FormDataContentType())
		return q
	}
	for name, q := range map[string]jaritest.Request{
		"CSV": jaritest.CSV(path, plain), "with a mark": jaritest.CSV(path, "\ufeff"+plain), "CP949": jaritest.CSV(path, cp949),
		"a form": form("file", []byte(plain)), "a spreadsheet": form("file", book.Bytes()),
	} {
		p := tried(t, s.Send(t, q.With("Authorization", "Bearer "+key)))
		if got := rowsOf(t, s, key, p, ""); !slices.Equal(got, []string{"2 created new: 뷁 의원"}) {
			t.Errorf("%s: %q", name, got)
		}
	}
	s.Send(t, form("other", []byte(plain)).With("Authorization", "Bearer "+key)).Want(t, http.StatusBadRequest, fault.CodeInvalidRequest)
	s.Send(t, jaritest.JSON(http.MethodPost, path, plain).With("Authorization", "Bearer "+key)).
		Want(t, http.StatusUnsupportedMediaType, fault.CodeUnsupportedMedia)
	bad := s.Send(t, jaritest.CSV(path, siteHeading+"a,\"b\n").With("Authorization", "Bearer "+key)).
		Want(t, http.StatusBadRequest, fault.CodeImportUnreadable).Problem(t)
	if bad.Fields == nil || !strings.HasPrefix((*bad.Fields)[0].Problem, "line 2: has a quotation mark") {
		t.Errorf("%+v", bad)
	}
	sendCSV(t, s, key, "/admin/v1/campaigns/nothing/sites/import", plain).Want(t, http.StatusNotFound, fault.CodeCampaignNotFound)
}

func TestALargeFileIsRefusedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_IMPORT_BYTES", "1024"), jaritest.WithEnvironment("JARI_IMPORT_ROWS", "5"))
	key, path := s.AdminKey(t, "editor"), "/admin/v1/campaigns/"+s.Campaign+"/sites/import"
	sendCSV(t, s, key, path, siteHeading+strings.Repeat("x", 1024)).Want(t, http.StatusRequestEntityTooLarge, fault.CodeBodyTooLarge)
	sendCSV(t, s, key, path, siteHeading+strings.Repeat("a,b,c,d,e,f\n", 6)).Want(t, http.StatusBadRequest, fault.CodeImportUnreadable)
}

func TestAPlanDoesWhatWasShownOrNothing(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	one, two := s.AdminKey(t, "editor"), s.AdminKey(t, "editor")
	path := "/admin/v1/campaigns/" + s.Campaign + "/sites/import"
	name := func(name string) string { return siteHeading + "new,seoul," + name + ",서울 1,,yes\n" }
	first, second, third := tried(t, sendCSV(t, s, one, path, name("하나"))), tried(t, sendCSV(t, s, one, path, name("둘"))),
		tried(t, sendCSV(t, s, two, path, name("셋")))

	for _, role := range []string{"viewer", "operator", "clinic"} {
		apply(t, s, key(t, s, role), first).Want(t, http.StatusForbidden, fault.CodeRoleRequired)
	}
	other := first
	other.Checksum = second.Checksum
	apply(t, s, one, other).Want(t, http.StatusConflict, fault.CodePlanDiffers)
	apply(t, s, two, first).Want(t, http.StatusOK) // a colleague's
	apply(t, s, two, first).Want(t, http.StatusOK) // after a lost answer
	apply(t, s, one, first).Want(t, http.StatusConflict, fault.CodePlanApplied)

	// The ground has moved: the site that the other plans would have created is there.
	for _, p := range []httpapi.Plan{second, third} {
		apply(t, s, one, p).Want(t, http.StatusConflict, fault.CodePlanOutdated)
	}
	s.CatchUp(t)
	var names string
	if err := s.Pool.QueryRow(t.Context(), `SELECT string_agg(name, ',') FROM sites WHERE site_id = 'new'`).Scan(&names); err != nil || names != "하나" {
		t.Errorf("%q %v", names, err)
	}

	do(t, s, one, http.MethodDelete, "/admin/v1/plans/"+second.PlanId, nil).Want(t, http.StatusNoContent)
	do(t, s, one, http.MethodGet, "/admin/v1/plans/"+second.PlanId, nil).Want(t, http.StatusNotFound, fault.CodePlanNotFound)
	do(t, s, one, http.MethodDelete, "/admin/v1/plans/"+first.PlanId, nil).Want(t, http.StatusConflict, fault.CodePlanApplied)
	do(t, s, one, http.MethodGet, "/admin/v1/plans/nothing/rows", nil).Want(t, http.StatusNotFound, fault.CodePlanNotFound)

	// What is over is told so for a while, and then gone.
	exec(t, s, `UPDATE plans SET made_at = made_at - interval '61 minutes', expires_at = expires_at - interval '61 minutes'`)
	apply(t, s, one, third).Want(t, http.StatusGone, fault.CodePlanOver)
	s.SweepPlans(t)
	var list httpapi.PlanList
	do(t, s, one, http.MethodGet, "/admin/v1/plans?campaign="+s.Campaign, nil).Want(t, http.StatusOK).Into(t, &list)
	if len(list.Plans) != 2 || list.Plans[0].State != "over" || list.Plans[1].State != "applied" {
		t.Errorf("%+v", list)
	}
	exec(t, s, `UPDATE plans SET made_at = made_at - interval '61 minutes', expires_at = expires_at - interval '61 minutes'`)
	s.SweepPlans(t)
	apply(t, s, one, third).Want(t, http.StatusNotFound, fault.CodePlanNotFound)
	var left int
	if err := s.Pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM plans) + (SELECT count(*) FROM plan_rows)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows of plans that are over are left: %v", left, err)
	}
}

func TestTwoWhoApplyAtOnceApplyOnce(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	keys := []string{s.AdminKey(t, "editor"), s.AdminKey(t, "publisher"), s.AdminKey(t, "owner")}
	p := tried(t, sendCSV(t, s, keys[0], "/admin/v1/campaigns/"+s.Campaign+"/sites/import", siteHeading+"new,seoul,하나,서울 1,,yes\n"))
	answers := make(chan jaritest.Response, len(keys))
	for _, k := range keys {
		go func() { answers <- apply(t, s, k, p) }()
	}
	done := 0
	for range keys {
		switch r := <-answers; {
		case r.Status == http.StatusOK:
			done++
		case r.Code != fault.CodePlanApplied:
			t.Errorf("%d %s", r.Status, r.Code)
		}
	}
	if done != 1 {
		t.Errorf("%d applied it", done)
	}
}

func TestAPlanWaitsForTheFreezeAndForASecondPerson(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_SECOND_PERSON", "bulk"), jaritest.WithEnvironment("JARI_FREEZE_BEFORE", "1h"))
	editor, publisher := s.AdminKey(t, "editor"), s.AdminKey(t, "publisher")
	path := "/admin/v1/campaigns/" + s.Campaign + "/sites/import"
	p := tried(t, sendCSV(t, s, editor, path, siteHeading+"new,seoul,하나,서울 1,,yes\n"))
	apply(t, s, editor, p).Want(t, http.StatusConflict, fault.CodeChangeFrozen)
	s.Clock.Set(jaritest.Instant("2021-07-19T18:00:00+09:00"))
	a := waitsFor(t, apply(t, s, editor, p))
	do(t, s, publisher, http.MethodPost, "/admin/v1/approvals/"+a.ApprovalId, nil).Want(t, http.StatusOK)
	// It approves this very plan, and nothing else.
	waitsFor(t, apply(t, s, editor, tried(t, sendCSV(t, s, editor, path, siteHeading+"new,seoul,둘,서울 1,,yes\n"))))
	apply(t, s, editor, p).Want(t, http.StatusOK)
	apply(t, s, editor, p).Want(t, http.StatusOK)
}

// A plan that takes its time is seen by others, also while Postgres works on one long statement or waits.
func TestABulkChangeThatTakesLongIsSeen(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	key := s.AdminKey(t, "editor")
	p := tried(t, sendCSV(t, s, key, "/admin/v1/campaigns/"+s.Campaign+"/sites/import", siteHeading+"new,seoul,하나,서울 1,,yes\n"))
	running := func() []httpapi.PlanRunning {
		var list httpapi.PlanList
		do(t, s, key, http.MethodGet, "/admin/v1/plans", nil).Want(t, http.StatusOK).Into(t, &list)
		return list.Running
	}
	if got := running(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	held, err := s.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Rollback(t.Context()) //nolint:errcheck // it only holds a lock
	if _, err := held.Exec(t.Context(), `SELECT 1 FROM campaigns FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	answer := make(chan jaritest.Response, 1)
	go func() { answer <- apply(t, s, key, p) }()
	jaritest.Eventually(t, time.Minute, "others see that it is applied", func() bool {
		got := running()
		return len(got) == 1 && got[0].PlanId == p.PlanId && got[0].Doing == "applying"
	})
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	(<-answer).Want(t, http.StatusOK)
	if got := running(); len(got) != 0 {
		t.Errorf("it is done, and still: %+v", got)
	}
}

// An instance looks each second by itself what was published. How soon it does so on a busy machine isn't held here.
func TestAnInstanceSeesImportedSitesByItself(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	key := s.AdminKey(t, "editor")
	apply(t, s, key, tried(t, sendCSV(t, s, key, "/admin/v1/campaigns/"+s.Campaign+"/sites/import",
		siteHeading+"new,seoul,하나,서울 1,,yes\n"))).Want(t, http.StatusOK)
	jaritest.Eventually(t, time.Minute, "the public sees the site", func() bool { return slices.Contains(sitesOf(t, s), "new") })
}

func exec(t *testing.T, s *jaritest.Server, sql string, args ...any) {
	t.Helper()
	if _, err := s.Pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}
