package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jari/internal/waitingroom"
)

// writeDraw writes a published draw with its leaves in a file beside it, and returns the path of the document.
func writeDraw(t *testing.T, change func(leaves []byte)) string {
	t.Helper()
	const n = 20
	leaves := []byte{}
	var tree waitingroom.Tree
	for i := range uint64(n) {
		leaf := waitingroom.Leaf("room", i, waitingroom.Nonce{byte(i)})
		leaves = append(leaves, leaf[:]...)
		tree.Add(leaf)
	}
	root, value := tree.Root(), []byte("3 10 16 35 36 43")
	seed := waitingroom.Seed(root, value)
	at := time.Date(2021, time.July, 19, 19, 0, 0, 0, time.UTC)
	document, err := json.Marshal(waitingroom.PublishedDraw{
		Format: waitingroom.DrawFormat, Room: "room", N: n, LeavesURL: "leaves", Root: hex.EncodeToString(root[:]),
		PublishedAt: at.Add(-time.Hour), Source: waitingroom.ValueSource{Kind: waitingroom.SourceAnnounced, Name: "lottery", At: at},
		Value: hex.EncodeToString(value), Seed: hex.EncodeToString(seed[:]),
	})
	if err != nil {
		t.Fatal(err)
	}
	change(leaves)
	dir := t.TempDir()
	for name, content := range map[string][]byte{"draw.json": document, "leaves": leaves} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "draw.json")
}

func TestAnybodyCanVerifyADraw(t *testing.T) {
	t.Parallel()
	path := writeDraw(t, func([]byte) {})
	jari(t, nil, "draw", "verify", path).want(t, "is right: 20 registrations", `Compare the value, "3 10 16 35 36 43"`)
	jari(t, nil, "draw", "verify", path, "--index=3", "--nonce=03"+strings.Repeat("00", 15)).want(t, "Registration 3 has position ")
	jari(t, nil, "draw", "verify", path, "--index=3", "--nonce=04"+strings.Repeat("00", 15)).
		wantFault(t, "registration: leaf 3 isn't that of the ticket")
	jari(t, nil, "draw", "verify", path, "--index=3", "--nonce=04").wantFault(t, "the nonce isn't 32 hexadecimal digits")

	files := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(path))))
	t.Cleanup(files.Close)
	jari(t, nil, "draw", "verify", files.URL+"/draw.json").want(t, "is right")
	jari(t, nil, "draw", "verify", files.URL+"/nothing.json").wantFault(t, "404")
	jari(t, nil, "draw", "verify", path, "--leaves="+files.URL+"/leaves", "--json").want(t, `"good":true`, `"flaws":[]`)
}

func TestADrawWithATamperedRegistrationIsFound(t *testing.T) {
	t.Parallel()
	path := writeDraw(t, func(leaves []byte) { leaves[7*sha256.Size] ^= 1 })
	jari(t, nil, "draw", "verify", path).wantFault(t, `the draw of "room" is wrong`, "root: isn't that of the leaves")
	said := jari(t, nil, "draw", "verify", path, "--json")
	said.wantFault(t, "root")
	if !strings.Contains(said.out, `"good":false`) || !strings.Contains(said.out, `"part":"root"`) {
		t.Error(said.out)
	}
}
