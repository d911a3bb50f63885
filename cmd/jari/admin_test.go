package main

import (
	"strings"
	"testing"

	"jari/test/jaritest"
)

// desk is the environment of an administrator with a key of the role.
func desk(t *testing.T, s *jaritest.Server, role string) []string {
	t.Helper()
	return []string{"JARI_ADMIN_URL=" + s.URL + "/", "JARI_ADMIN_KEY=" + s.AdminKey(t, role), "LANG=C.UTF-8"}
}

func TestKeysAreAdministeredOverTheAPI(t *testing.T) {
	t.Parallel()
	s := jaritest.Start(t)
	owner := desk(t, s, "owner")
	made := jari(t, owner, "admin", "key", "create", "--role=clinic", "--name=접수", "--site="+s.Campaign+"/"+jaritest.SiteOfOne).
		want(t, "jari.development.")
	id := strings.Split(strings.TrimSpace(made.out), ".")[2]
	jari(t, owner, "admin", "key", "list").want(t, id, "clinic", s.Campaign+"/"+jaritest.SiteOfOne, "접수")
	jari(t, owner, "admin", "key", "revoke", id).want(t, id, "ended")

	jari(t, desk(t, s, "editor"), "admin", "key", "list").wantFault(t, "role_required", "This key's role")
	korean := append(desk(t, s, "editor"), "LC_ALL=ko_KR.UTF-8")
	jari(t, korean, "admin", "key", "list").wantFault(t, "이 키로는")
	jari(t, owner, "admin", "key", "revoke", "nobody").wantFault(t, "key_not_found")
	jari(t, owner, "admin", "key", "create", "--role=clinic", "--name=x").wantFault(t, "/site_id")
	jari(t, []string{"JARI_ADMIN_URL=" + s.URL}, "admin", "key", "list").wantFault(t, "JARI_ADMIN_KEY is missing")
	jari(t, []string{"JARI_ADMIN_URL=nowhere", "JARI_ADMIN_KEY=x"}, "admin", "key", "list").wantFault(t, "JARI_ADMIN_URL")
}
