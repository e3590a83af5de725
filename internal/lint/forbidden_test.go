package lint

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// useUnsafe are the packages that may import unsafe.
var useUnsafe = []string{"", "internal/memory", "internal/uring", "provider/file", "provider/mem", "provider/rdma", "uniotest"}

func TestUnsafeOnlyWhereListed(t *testing.T) {
	for _, f := range goFiles(t) {
		if slices.Contains(f.imports, "unsafe") && !slices.Contains(useUnsafe, f.pkg) && !f.test {
			t.Errorf("%s imports unsafe: keep it to %q", f.path, useUnsafe)
		}
	}
}

func TestNoCgo(t *testing.T) {
	for _, f := range goFiles(t) {
		if slices.Contains(f.imports, "C") {
			t.Errorf("%s imports C: one static binary, no C compiler to build it", f.path)
		}
	}
}

// TestNothingRegistersItself: what a program contains is what its imports and
// calls say, not what init functions have put somewhere.
func TestNothingRegistersItself(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, spec := range f.ast.Imports {
			if spec.Name != nil && spec.Name.Name == "_" && spec.Path.Value != `"embed"` {
				t.Errorf("%s: blank import of %s", f.at(spec), spec.Path.Value)
			}
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" && !f.test {
				t.Errorf("%s: init function: let a constructor or the caller do it", f.at(fn))
			}
		}
	}
}

// belowCommands reports whether f is library code: what programs of others import.
func belowCommands(f *file) bool {
	l := layerOf(f.pkg)
	return !f.test && l >= 0 && !slices.Contains([]string{"suite", "parts of commands", "command"}, layers[l].name)
}

// TestLibrariesKeepToThemselves: no environment, log, output or exit below the
// commands.
func TestLibrariesKeepToThemselves(t *testing.T) {
	calls := map[string]string{
		"os.Getenv": "take it from the Config", "os.LookupEnv": "take it from the Config",
		"os.Environ": "take it from the Config", "os.Exit": "return an error",
		"fmt.Print": "return it", "fmt.Printf": "return it", "fmt.Println": "return it",
	}
	for _, f := range goFiles(t) {
		if !belowCommands(f) {
			continue
		}
		for _, imported := range f.imports {
			if imported == "log" || imported == "log/slog" {
				t.Errorf("%s imports %s: return errors; Device.Errors remembers them", f.path, imported)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && calls[x.Name+"."+sel.Sel.Name] != "" {
					t.Errorf("%s: %s.%s: %s", f.at(n), x.Name, sel.Sel.Name, calls[x.Name+"."+sel.Sel.Name])
				}
			}
			return true
		})
	}
}

func TestPackagesHaveNamesThatSayWhatTheyAre(t *testing.T) {
	vague := []string{"util", "utils", "common", "helper", "helpers", "manager", "misc", "base", "shared", "lib"}
	for _, f := range goFiles(t) {
		if slices.Contains(vague, f.ast.Name.Name) {
			t.Errorf("%s: package %s", f.path, f.ast.Name.Name)
		}
	}
}

// maxLines of a file that is no test: past it there are usually two ideas.
const maxLines = 500

func TestFilesHoldOneIdea(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.lines > maxLines && !f.test {
			t.Errorf("%s has %d lines, more than %d", f.path, f.lines, maxLines)
		}
	}
}

func TestNothingIsMarkedUnfinished(t *testing.T) {
	marks := []string{"TO" + "DO", "FIX" + "ME", "X" + "XX"}
	for _, f := range goFiles(t) {
		for _, group := range f.ast.Comments {
			for _, mark := range marks {
				if strings.Contains(group.Text(), mark) {
					t.Errorf("%s: %s", f.at(group), mark)
				}
			}
		}
	}
}
