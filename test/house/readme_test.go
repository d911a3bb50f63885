package house_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jari/internal/config"
	"jari/test/storetest"
)

func TestReadmeHasEveryVariable(t *testing.T) {
	t.Parallel()
	root, err := storetest.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := config.Table(&table); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), table.String()) {
		t.Error("the table of configuration in README.md isn't what `jari config` prints; put that there")
	}
}
