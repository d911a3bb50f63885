package house_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"jari/test/storetest"
)

// testName is what SECURITY.md calls a test: a function, or a claim within one.
var testName = regexp.MustCompile("`(Test[A-Za-z]+|[a-z]+(?:_[a-z]+)+|console)`")

// A threat without a test that shows what stops it is a wish.
func TestSecurityNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	root, err := storetest.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	if err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "security_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		_, _ = all.Write(source)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	named := testName.FindAllStringSubmatch(string(page), -1)
	if len(named) < 30 {
		t.Errorf("SECURITY.md names %d tests", len(named))
	}
	for _, name := range named {
		if !strings.Contains(all.String(), "func "+name[1]+"(") && !strings.Contains(all.String(), `"`+name[1]+`"`) {
			t.Errorf("SECURITY.md names %s, and there is no such test", name[1])
		}
	}
}
