package lint

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var linkPattern = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)

// TestLinksLeadSomewhere: what a document of ours links to in the repository exists.
func TestLinksLeadSomewhere(t *testing.T) {
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".md") {
			return
		}
		for _, m := range linkPattern.FindAllStringSubmatch(read(t, name), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			to := path.Join(path.Dir(name), m[1])
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
	})
}

// TestREADMECompiles: the Go code in the README is code of the quick-start
// example, which is compiled and run.
func TestREADMECompiles(t *testing.T) {
	example := squeeze(read(t, "examples/quickstart/main.go"))
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(blocks) == 0 {
		t.Error("README.md shows no Go code")
	}
	for _, b := range blocks {
		if !strings.Contains(example, squeeze(b[1])) {
			t.Errorf("this code of README.md is not in examples/quickstart/main.go:\n%s", b[1])
		}
	}
}

// squeeze makes code comparable whatever its indentation.
func squeeze(code string) string { return strings.Join(strings.Fields(code), " ") }

// TestMakeTargetsExist: each make target a document names is in the Makefile.
func TestMakeTargetsExist(t *testing.T) {
	makefile := "\n" + read(t, "Makefile")
	target := regexp.MustCompile("`(?:[A-Z]+=\\S+ )*make ([a-z-]+)")
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".md") {
			return
		}
		for _, m := range target.FindAllStringSubmatch(read(t, name), -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s names `make %s`, which the Makefile does not have", name, m[1])
			}
		}
	})
}

var requirePattern = regexp.MustCompile(`(?m)^\s*(?:require\s+)?([a-z0-9.-]+\.[a-z]+/\S+) v\S+(\s*// indirect)?$`)

// TestEveryDependencyIsAccountedFor: each module that a go.mod of ours requires
// directly has its line in docs/dependencies.md.
func TestEveryDependencyIsAccountedFor(t *testing.T) {
	said := read(t, "docs/dependencies.md")
	for _, mod := range []string{"go.mod", "bench/go.mod", "tools/go.mod"} {
		for _, m := range requirePattern.FindAllStringSubmatch(read(t, mod), -1) {
			if m[2] == "" && m[1] != modulePath && !strings.Contains(said, "`"+m[1]+"`") {
				t.Errorf("%s requires %s: say in docs/dependencies.md what it saves", mod, m[1])
			}
		}
	}
}

// TestDependenciesSaidAreDependencies: docs/dependencies.md names no module
// that nothing requires any more.
func TestDependenciesSaidAreDependencies(t *testing.T) {
	required := read(t, "go.mod") + read(t, "bench/go.mod") + read(t, "tools/go.mod")
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\S+)`").FindAllStringSubmatch(read(t, "docs/dependencies.md"), -1) {
		if !strings.Contains(required, m[1]+" v") {
			t.Errorf("docs/dependencies.md has a line for %s, which no go.mod requires", m[1])
		}
	}
}
