package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"jari/openapi"
	"jari/test/jaritest"
)

// desk is the environment of an administrator with a key of the role.
func desk(t *testing.T, s *jaritest.Server, role string) []string {
	t.Helper()
	return []string{"JARI_ADMIN_URL=" + s.URL + "/", "JARI_ADMIN_KEY=" + s.AdminKey(t, role), "LANG=C.UTF-8"}
}

// every operation of the contract for administrators, by its method and path.
func contractOfAdministrators(t *testing.T) map[string]*openapi3.Operation {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*openapi3.Operation{}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			if strings.HasPrefix(path, adminPrefix) {
				all[method+" "+path] = operation
			}
		}
	}
	return all
}

//nolint:paralleltest // each command takes its operation off the contract
func TestEveryOperationForAdministratorsIsACommand(t *testing.T) {
	t.Parallel()
	contract, err := adminCommands()
	if err != nil {
		t.Fatal(err)
	}
	operations := contractOfAdministrators(t)
	names := map[string]bool{}
	help := jari(t, nil, "admin", "--help").want(t, "JARI_ADMIN_KEY_FILE", "Exit status").out
	for _, a := range contract.operations {
		t.Run(a.name, func(t *testing.T) {
			operation := operations[a.method+" "+a.path]
			if operation == nil {
				t.Fatalf("the contract has no %s %s", a.method, a.path)
			}
			delete(operations, a.method+" "+a.path)
			if names[a.name] {
				t.Error("another command has this name")
			}
			names[a.name] = true
			if !strings.Contains(help, "\n  "+a.name+" ") {
				t.Error("jari admin --help doesn't list it")
			}
			own := strings.Join(strings.Fields(jari(t, nil, "admin", a.name, "--help").want(t, a.method+" "+a.path).out), " ")
			if !strings.Contains(own, strings.Join(strings.Fields(a.summary), " ")) {
				t.Errorf("its help doesn't say what it is: %s", own)
			}
			for _, in := range a.inputs {
				shown := "--" + in.flag
				if in.place == inPath {
					shown = "<" + in.flag + ">"
				}
				if !strings.Contains(own, shown) {
					t.Errorf("%s isn't in its help: %s", shown, own)
				}
			}
			for _, in := range a.inputs {
				if in.place == inQuery && slices.Contains([]string{"before", "after", "cursor", "page"}, in.name) && in.schema.Format != "date" &&
					in.schema.Format != "date-time" && a.page.parameter != in.name {
					t.Errorf("nothing says how its list goes on after a page: x-jari-next-page on %s, or a member next of the answer", in.name)
				}
			}
		})
	}
	for missing := range operations {
		t.Errorf("no command for %s", missing)
	}
}

func TestKeysAreAdministeredOverTheAPI(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	owner := desk(t, s, "owner")
	made := jari(t, owner, "admin", "create-key", "--json", "--role=clinic", "--name=접수", "--campaign-id="+s.Campaign, "--site-id="+jaritest.SiteOfOne).
		want(t, "jari.development.")
	var answer struct {
		Details struct {
			ID string `json:"key_id"`
		} `json:"details"`
	}
	if err := json.Unmarshal([]byte(made.out), &answer); err != nil || answer.Details.ID == "" {
		t.Fatalf("%v: %s", err, made.out)
	}
	key := answer.Details
	jari(t, owner, "admin", "keys").want(t, "key_id", key.ID, "clinic", jaritest.SiteOfOne, "접수")
	jari(t, owner, "admin", "revoke-key", key.ID).want(t, key.ID, "revoked_at")

	editor := jari(t, desk(t, s, "editor"), "admin", "keys")
	editor.wantFault(t, "role_required", "This key's role", "request_id")
	wantStatus(t, editor, exitMayNot)
	korean := append(desk(t, s, "editor"), "LC_ALL=ko_KR.UTF-8")
	jari(t, korean, "admin", "keys").wantFault(t, "이 키로는")
	unknown := jari(t, owner, "admin", "revoke-key", "nobody")
	unknown.wantFault(t, "key_not_found")
	wantStatus(t, unknown, exitRefused)
	jari(t, owner, "admin", "create-key", "--role=clinic", "--name=x").wantFault(t, "/site_id")
	days := jari(t, owner, "admin", "create-key", "--role=viewer", "--name=x", "--days=soon")
	days.wantFault(t, "--days", "whole number")
	wantStatus(t, days, 1)
	jari(t, owner, "admin", "create-key").wantFault(t, "nothing to send")
	jari(t, owner, "admin", "no-such-command").wantFault(t, "jari admin --help")
}

func wantStatus(t *testing.T, r ran, status int) {
	t.Helper()
	if got := exitStatus(r.fault); got != status {
		t.Errorf("exit status %d for %v, not %d", got, r.fault, status)
	}
}

func TestTheKeyIsFoundInTheEnvironmentOrAFile(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	environ := desk(t, s, "viewer")
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(strings.TrimPrefix(environ[1], "JARI_ADMIN_KEY=")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	jari(t, []string{environ[0], "JARI_ADMIN_KEY_FILE=" + file}, "admin", "versions", s.Campaign).want(t, "effective_at")
	jari(t, append(environ, "JARI_ADMIN_KEY_FILE="+file), "admin", "rooms").wantFault(t, "both set")
	jari(t, environ[:1], "admin", "rooms").wantFault(t, "JARI_ADMIN_KEY is missing", "jari keys create")
	jari(t, []string{environ[0], "JARI_ADMIN_KEY_FILE=/nowhere/key"}, "admin", "rooms").wantFault(t, "JARI_ADMIN_KEY_FILE")
	jari(t, []string{"JARI_ADMIN_URL=nowhere", "JARI_ADMIN_KEY=x"}, "admin", "rooms").wantFault(t, "JARI_ADMIN_URL")
	silent := jari(t, []string{"JARI_ADMIN_URL=http://127.0.0.1:1", "JARI_ADMIN_KEY=hunter2"}, "admin", "rooms")
	silent.wantFault(t, "doesn't answer")
	wantStatus(t, silent, exitTryAgain)
}

// One publishes, another agrees, and the first does the same again.
func TestASecondPersonApprovesByTheCommandLine(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t, jaritest.WithEnvironment("JARI_SECOND_PERSON", "publish"))
	one, other := desk(t, s, "publisher"), desk(t, s, "publisher")
	file := filepath.Join(t.TempDir(), "campaign.yaml")
	changed := strings.Replace(jaritest.SmallDocument(), "작은 예약", "작은 예약 2", 1)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	publish := []string{"admin", "publish-version", s.Campaign, "--document", file}
	jari(t, one, "admin", "check-campaign", s.Campaign, "--file", file).want(t, "publishable")
	needed := jari(t, one, publish...)
	needed.wantFault(t, "second_person_needed", "approval_id")
	wantStatus(t, needed, exitSecond)
	var approvals struct {
		Approvals []struct {
			ID string `json:"approval_id"`
		} `json:"approvals"`
	}
	if err := json.Unmarshal([]byte(jari(t, other, "admin", "approvals", "--json").want(t).out), &approvals); err != nil || len(approvals.Approvals) != 1 {
		t.Fatalf("%v: %v", err, approvals)
	}
	wantStatus(t, jari(t, one, "admin", "approve", approvals.Approvals[0].ID), exitRefused)
	jari(t, other, "admin", "approve", approvals.Approvals[0].ID).want(t, "approved")
	jari(t, one, publish...).want(t, "effective_at")
	jari(t, one, "admin", "versions", s.Campaign).want(t, "2")
}

func TestTheWholeAuditIsReadPageByPage(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	owner := desk(t, s, "owner")
	for range 4 {
		jari(t, owner, "admin", "create-key", "--role=viewer", "--name=another", "--days=1").want(t)
	}
	rows := func(arguments ...string) int {
		r := jari(t, owner, append([]string{"admin", "audit", "--json", "--limit=3"}, arguments...)...).want(t)
		var list struct {
			Entries []any `json:"entries"`
		}
		if err := json.Unmarshal([]byte(r.out), &list); err != nil {
			t.Fatalf("%v: %s", err, r.out)
		}
		return len(list.Entries)
	}
	if n := rows(); n != 3 {
		t.Errorf("a page has %d entries", n)
	}
	if n := rows("--all"); n <= 4 {
		t.Errorf("all pages have %d entries", n)
	}
	jari(t, owner, "admin", "audit", "--all").want(t, "entry_id", "key.create")
	jari(t, owner, "admin", "audit-head").want(t)
}

// Against a server that answers in every form that the mechanism knows, whether the contract has it by now or not.
func TestFilesStreamsAndTags(t *testing.T) {
	t.Parallel()
	const document = `
openapi: 3.1.0
info: {title: t, version: "1"}
paths:
  /admin/v1/campaigns/{campaign}/list:
    parameters: [{name: campaign, in: path, required: true, schema: {type: string}}]
    put:
      operationId: importList
      summary: Import
      parameters: [{name: If-Match, in: header, schema: {type: string}}, {name: dry_run, in: query, schema: {type: boolean}}]
      requestBody: {required: true, content: {text/csv: {}, application/vnd.openxmlformats-officedocument.spreadsheetml.sheet: {}}}
      responses: {'204': {description: done}}
    get:
      operationId: exportList
      summary: Export
      responses: {'200': {description: it, content: {text/csv: {}, application/json: {}}}}
    post:
      operationId: uploadList
      summary: Upload
      requestBody: {content: {multipart/form-data: {schema: {type: object, required: [list], properties: {list: {type: string, format: binary}, note: {type: string}}}}}}
      responses: {'204': {description: done}}
  /admin/v1/numbers:
    get: {operationId: watchNumbers, summary: Watch, responses: {'200': {description: it, content: {text/event-stream: {}}}}}
`
	contract, err := readAdminContract([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			w.WriteHeader(http.StatusTeapot)
		case r.Method == http.MethodPut:
			var body bytes.Buffer
			_, _ = body.ReadFrom(r.Body)
			seen <- r.Header.Get("Content-Type") + "|" + r.Header.Get("If-Match") + "|" + r.URL.RequestURI() + "|" + body.String()
			w.Header().Set("ETag", `"2"`)
			w.WriteHeader(http.StatusNoContent)
		case r.Method == http.MethodPost:
			f, header, err := r.FormFile("list")
			if err != nil {
				t.Error(err)
				return
			}
			var body bytes.Buffer
			_, _ = body.ReadFrom(f)
			seen <- header.Filename + "|" + r.FormValue("note") + "|" + body.String()
			w.WriteHeader(http.StatusNoContent)
		case strings.HasSuffix(r.URL.Path, "/numbers"):
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = w.Write([]byte(": hello\n\nevent: numbers\ndata: {\"inside\":3,\"name\":\"a\\u001b[2J\"}\n\ndata: {\"inside\":4}\n\n"))
		default:
			w.Header().Set("Content-Type", r.Header.Get("Accept"))
			_, _ = w.Write([]byte("00123,x\n"))
		}
	}))
	defer server.Close()
	run := func(stdin string, arguments ...string) ran {
		var out, words bytes.Buffer
		w := surroundings{
			ctx: t.Context(), environ: []string{"JARI_ADMIN_URL=" + server.URL, "JARI_ADMIN_KEY=secret"},
			in: strings.NewReader(stdin), out: &out, err: &words,
		}
		fault := contract.run(w, arguments)
		return ran{out: out.String(), err: words.String(), fault: fault}
	}
	folder := t.TempDir()
	list := filepath.Join(folder, "list.csv")
	if err := os.WriteFile(list, []byte("00123\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run("", "import-list", "a b", "--file", list, `--if-match="1"`, "--dry-run=true").want(t)
	if got, want := <-seen, `text/csv|"1"|/admin/v1/campaigns/a%20b/list?dry_run=true|00123`+"\n"; got != want {
		t.Errorf("sent %q, not %q", got, want)
	}
	if !strings.Contains(r.err, `ETag: "2"`) {
		t.Errorf("the tag of what is there now isn't said: %s", r.err)
	}
	run("00456\n", "import-list", "c", "--file", "-").want(t)
	if got := <-seen; !strings.HasSuffix(got, "|00456\n") {
		t.Errorf("sent %q", got)
	}
	run("", "upload-list", "c", "--file", list, "--note=n").want(t)
	if got := <-seen; got != "list.csv|n|00123\n" {
		t.Errorf("sent %q", got)
	}
	out := filepath.Join(folder, "out.csv")
	run("", "export-list", "c", "--out", out).want(t)
	if raw, err := os.ReadFile(out); err != nil || string(raw) != "00123,x\n" {
		t.Errorf("%v: %q", err, raw)
	}
	run("", "export-list", "c", "--out", out).wantFault(t, "exists")
	run("", "export-list", "c", "--accept=text/csv").want(t, "00123,x")
	r = run("", "watch-numbers").want(t, "inside", "3", "4")
	if strings.Contains(r.out, "\x1b") {
		t.Error("a stream moves the terminal's cursor")
	}
	run("", "watch-numbers", "--json").want(t, `{"inside":4}`)
	run("", "import-list", "c").wantFault(t, "nothing to send")
	var odd unanswered
	if bad := run("", "import-list", "c", "--file", filepath.Join(folder, "gone.csv")); bad.fault == nil || errors.As(bad.fault, &odd) {
		t.Errorf("a file that isn't there: %v", bad.fault)
	}
}
