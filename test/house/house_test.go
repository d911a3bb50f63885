// Package house_test holds the house rules that a machine can check: they are about the checkout as a whole, and each
// failure says why the rule is there.
package house_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"
)

// root is the module's folder, from this package's.
const root = "../.."

const module = "jari"

// goPackage is what `go list -json` tells of a package.
type goPackage struct {
	ImportPath   string
	Dir          string
	Imports      []string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
}

// listPackages asks the Go command once for all packages of the module.
var listPackages = sync.OnceValues(func() ([]goPackage, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = root
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(err, errors.New(words.String()))
	}
	var all []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

func packages(t *testing.T) []goPackage {
	t.Helper()
	all, err := listPackages()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("the module has no packages")
	}
	return all
}

func (p goPackage) files() []string {
	return slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles)
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		documented := false
		for _, name := range p.files() {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil,
				parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			documented = documented || strings.TrimSpace(file.Doc.Text()) != ""
		}
		if !documented {
			t.Errorf("%s has no package comment: a newcomer reads that first, which step it is, what it owns, what it never does",
				p.ImportPath)
		}
	}
}

func TestNoTestIsSkipped(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, name := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
			path := filepath.Join(p.Dir, name)
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range skips(file) {
				t.Errorf("%s: a skipped test proves nothing and looks as if it did: let it fail and say what it needs",
					files.Position(at))
			}
		}
	}
}

// skips finds the calls of Skip, Skipf and SkipNow on a *testing.T, *testing.B or testing.TB. Other types' are left
// alone: rapid's, say, throws away one generated case.
func skips(file *ast.File) []token.Pos {
	var found []token.Pos
	ofTesting := func(kind ast.Expr) bool {
		if star, ok := kind.(*ast.StarExpr); ok {
			kind = star.X
		}
		selector, ok := kind.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		from, ok := selector.X.(*ast.Ident)
		return ok && from.Name == "testing"
	}
	// in is the parameters in sight: name to whether it is one of testing's.
	var walk func(node ast.Node, in map[string]bool)
	walk = func(node ast.Node, in map[string]bool) {
		ast.Inspect(node, func(n ast.Node) bool {
			var params *ast.FieldList
			var body *ast.BlockStmt
			switch f := n.(type) {
			case *ast.FuncDecl:
				params, body = f.Type.Params, f.Body
			case *ast.FuncLit:
				params, body = f.Type.Params, f.Body
			case *ast.CallExpr:
				if called, ok := f.Fun.(*ast.SelectorExpr); ok && strings.HasPrefix(called.Sel.Name, "Skip") {
					if on, ok := called.X.(*ast.Ident); ok && in[on.Name] {
						found = append(found, f.Pos())
					}
				}
				return true
			default:
				return true
			}
			if body == nil {
				return false
			}
			inner := map[string]bool{}
			for name, is := range in {
				inner[name] = is
			}
			for _, field := range params.List {
				for _, name := range field.Names {
					inner[name.Name] = ofTesting(field.Type)
				}
			}
			walk(body, inner)
			return false
		})
	}
	walk(file, map[string]bool{})
	return found
}

func TestTheSkipFinderFinds(t *testing.T) {
	t.Parallel()
	const source = `package p
func TestA(t *testing.T) { t.Run("x", func(tt *testing.T) { tt.Skipf("no"); t.SkipNow() }) }
func helper(tb testing.TB) { tb.Skip() }
func TestB(t *testing.T) { rapid.Check(t, func(t *rapid.T) { t.Skip() }); bufio.Skip() }`
	file, err := parser.ParseFile(token.NewFileSet(), "p_test.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	if found := skips(file); len(found) != 3 {
		t.Errorf("found %d skips, want 3", len(found))
	}
}

// foreign are words that say where somebody built, rather than what the product is. A clone is built with its user's own
// registries, in its user's own folders. The words are written in parts, so that this file doesn't contain them.
var foreign = []string{
	"proxy.golang" + ".org", "registry.npmjs" + ".org", "deb.debian" + ".org", "/work/" + "main", "/work/" + "shared", "/root/" + ".cache", "/root/" + "go",
}

// findForeign gives a foreign word that isn't only the beginning of another, or nothing. A regular expression would take
// seconds for all files.
func findForeign(content []byte) string {
	for _, word := range foreign {
		for _, after, found := bytes.Cut(content, []byte(word)); found; _, after, found = bytes.Cut(after, []byte(word)) {
			if next, _ := utf8.DecodeRune(after); !unicode.IsLetter(next) && !unicode.IsDigit(next) && next != '_' {
				return word
			}
		}
	}
	return ""
}

func TestNothingNamesAMachineThatItWasBuiltOn(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case ".git", ".jari", "bin", "node_modules":
				return filepath.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if word := findForeign(content); word != "" {
			t.Errorf("%s names %s: a clone is built with its user's own registries and folders", path, word)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
