package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// root is the module's directory, as tests see it.
const root = "../.."

// modulePath is the module's import path.
const modulePath = "github.com/unio-stack/unio"

// A file is one Go file of the module.
type file struct {
	path    string // from the module's root, with slashes
	pkg     string // directory of path, "" for the root package
	test    bool
	ast     *ast.File
	fset    *token.FileSet
	imports []string
	lines   int
}

// at returns the position of a node, for messages.
func (f *file) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.fset.Position(n.Pos()).Line)
}

// goFiles parses every Go file of the module, whatever its build tags.
// Modules and test data inside it are left out.
func goFiles(t *testing.T) []*file {
	t.Helper()
	var files []*file
	fset := token.NewFileSet()
	walk(t, func(path string) {
		if !strings.HasSuffix(path, ".go") {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		tree, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		f := &file{
			path: path, test: strings.HasSuffix(path, "_test.go"), ast: tree, fset: fset,
			lines: strings.Count(string(text), "\n"),
		}
		if dir, _, found := cutLast(path, "/"); found {
			f.pkg = dir
		}
		for _, spec := range tree.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			f.imports = append(f.imports, name)
		}
		files = append(files, f)
	})
	if len(files) == 0 {
		t.Fatal("no Go files: is root wrong?")
	}
	return files
}

// walk calls visit for every file of the module, by its path from the root.
func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() && rel != "." && leftOut(path, d.Name()) {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() {
			visit(filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func leftOut(path, name string) bool {
	if name == "testdata" || name == "bin" || strings.HasPrefix(name, ".") {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
