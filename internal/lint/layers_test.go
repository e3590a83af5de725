package lint

import (
	"path"
	"strings"
	"testing"
)

// A layer is a set of packages. A package imports only from layers listed
// before its own, unless siblings allows its own layer too.
type layer struct {
	name     string
	packages []string // patterns of path.Match; a final /... takes in what is below
	siblings bool
	modules  []string // what it may import from outside, by prefix of the path; "*" for all
}

// layers are listed from the lowest to the highest. The first pattern that
// matches a package says which layer it is in.
var layers = []layer{
	{name: "bedrock", packages: []string{"internal/crc32c"}, modules: []string{"golang.org/x/sys/"}},
	{name: "ground", packages: []string{"internal/memory", "internal/uring", "internal/iwarp", "internal/eventfd", "internal/release", "internal/bytesize", "internal/latency"}, modules: []string{"golang.org/x/sys/"}},
	{name: "core", packages: []string{""}, modules: []string{"golang.org/x/sys/"}},
	{name: "provider support", packages: []string{"provider/internal/...", "provider/volume/internal/..."}, modules: []string{"golang.org/x/sys/"}},
	{name: "catalogues", packages: []string{"provider/volume/catalogue"}, modules: []string{"go.etcd.io/bbolt"}},
	{name: "provider", packages: []string{"provider/*"}, modules: []string{"golang.org/x/"}},
	{name: "catalogue", packages: []string{"provider"}},
	{name: "target", packages: []string{"target/..."}, siblings: true, modules: []string{"golang.org/x/"}},
	{name: "suite", packages: []string{"uniotest/...", "provider/rdma/kernelpeer"}, siblings: true, modules: []string{"*"}},
	{name: "parts of commands", packages: []string{"internal/..."}, siblings: true, modules: []string{"*"}},
	{name: "command", packages: []string{"cmd/...", "examples/..."}, modules: []string{"*"}},
}

// layerOf returns the index in layers of a package, or -1.
func layerOf(pkg string) int {
	for i, l := range layers {
		for _, pattern := range l.packages {
			if matches(pattern, pkg) {
				return i
			}
		}
	}
	return -1
}

func matches(pattern, pkg string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == dir || strings.HasPrefix(pkg, dir+"/")
	}
	ok, err := path.Match(pattern, pkg)
	return ok && err == nil
}

// within returns the module's own package that an import path names.
func within(imported string) (pkg string, ours bool) {
	if imported == modulePath {
		return "", true
	}
	return strings.CutPrefix(imported, modulePath+"/")
}

// mayImport says why a package of ours may not import another, or "".
func mayImport(pkg, imported string) string {
	from, to := layerOf(pkg), layerOf(imported)
	switch {
	case from < 0:
		return "is in no layer: add it to layers"
	case to < 0:
		return "imports " + imported + ", which is in no layer"
	case to < from:
		return ""
	case to == from && (layers[from].siblings || pkg == imported):
		return ""
	case to == from:
		return "imports " + imported + ", which is beside it in layer " + layers[from].name
	}
	return "imports " + imported + ", which is above it: " + layers[from].name + " is below " + layers[to].name
}

func mayImportModule(pkg, imported string) bool {
	from := layerOf(pkg)
	if from < 0 {
		return false
	}
	for _, allowed := range layers[from].modules {
		if allowed == "*" || strings.HasPrefix(imported, allowed) {
			return true
		}
	}
	return false
}

// isStandard reports whether an import path is of the standard library: those
// have no dot in their first element.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

func TestImportsPointOneWay(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test {
			continue // a test may use what is above: the suite, a device
		}
		for _, imported := range f.imports {
			if own, ours := within(imported); ours {
				if why := mayImport(f.pkg, own); why != "" {
					t.Errorf("%s: package %q %s", f.path, f.pkg, why)
				}
			} else if !isStandard(imported) && !mayImportModule(f.pkg, imported) {
				t.Errorf("%s: package %q may not import %s", f.path, f.pkg, imported)
			}
		}
	}
}

func TestLayerRule(t *testing.T) {
	for _, c := range []struct {
		pkg, imported string
		ok            bool
	}{
		{"", "internal/memory", true},
		{"", "provider/file", false},
		{"", "internal/workload", false},
		{"internal/memory", "internal/uring", false},
		{"internal/memory", "", false},
		{"provider/file", "", true},
		{"provider/file", "internal/uring", true},
		{"provider/file", "provider/internal/option", true},
		{"provider/file", "provider/mem", false},
		{"provider/file", "provider", false},
		{"provider/file", "uniotest", false},
		{"provider/volume", "provider/volume/catalogue", true},
		{"provider/volume", "provider/file", false},
		{"provider/volume/internal/format", "provider/volume", false},
		{"provider", "provider/mem", true},
		{"uniotest", "uniotest/faults", true},
		{"cmd/unio", "provider", true},
		{"cmd/unio", "internal/workload", true},
		{"examples/demo", "cmd/unio", false},
		{"somewhere", "", false},
	} {
		if why := mayImport(c.pkg, c.imported); (why == "") != c.ok {
			t.Errorf("mayImport(%q, %q) = %q", c.pkg, c.imported, why)
		}
	}
	if mayImportModule("", "golang.org/x/sync/errgroup") || !mayImportModule("", "golang.org/x/sys/unix") {
		t.Error("the core needs golang.org/x/sys and nothing else")
	}
}
