package staff

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestGrantsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"viewer", "desk", "owner", "clinic/korea-2021/seoul-17"} {
		if g, err := ParseGrant(text); err != nil || g.String() != text {
			t.Errorf("%s is read as %+v, %v", text, g, err)
		}
	}
	for _, text := range []string{"", "god", "clinic", "clinic/korea-2021", "clinic//x", "clinic/a/b/c", "owner/a/b"} {
		if g, err := ParseGrant(text); err == nil {
			t.Errorf("%q is read as %+v", text, g)
		}
	}
	m, err := ParseMapping("clinic/korea-2021/one=cn=nurses,ou=one")
	if err != nil || m.Group != "cn=nurses,ou=one" || m.Grant.Site != "one" {
		t.Errorf("%+v, %v", m, err)
	}
	for _, text := range []string{"owner", "owner=", "=x", "god=x"} {
		if _, err := ParseMapping(text); err == nil {
			t.Errorf("%q is a mapping", text)
		}
	}
}

func TestRolesComeFromTheGroupsThatAreNamed(t *testing.T) {
	t.Parallel()
	var mappings []Mapping
	for _, text := range []string{"viewer=all", "owner=heads", "operator=night", "operator=on-call", "clinic/c/one=nurses"} {
		m, err := ParseMapping(text)
		if err != nil {
			t.Fatal(err)
		}
		mappings = append(mappings, m)
	}
	for claims, want := range map[string][]string{
		`{"groups": ["all", "night", "on-call"]}`:                       {"operator", "viewer"},
		`{"groups": ["nurses", "heads"]}`:                               {"owner", "clinic/c/one"},
		`{"groups": "all"}`:                                             {"viewer"},
		`{"groups": ["HEADS", "head", " heads", "", 7, null, ["all"]]}`: nil,
		`{"groups": {"heads": true}}`:                                   nil,
		`{"groups": null}`:                                              nil,
		`{"roles": ["heads"]}`:                                          nil,
	} {
		var read map[string]any
		if err := json.Unmarshal([]byte(claims), &read); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, g := range granted(mappings, texts(read, "groups")) {
			got = append(got, g.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is granted %v, want %v", claims, got, want)
		}
	}
	nested := map[string]any{"realm_access": map[string]any{"roles": []any{"heads"}}, "a.b": "flat"}
	if got := texts(nested, "realm_access.roles"); !slices.Equal(got, []string{"heads"}) {
		t.Errorf("in an object: %v", got)
	}
	if got := texts(nested, "a.b"); !slices.Equal(got, []string{"flat"}) {
		t.Errorf("a name with a dot: %v", got)
	}
}
