package location

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/unio-stack/unio"
)

func TestLocate(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("a b?c", make([]byte, 10), 0o600); err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]struct {
		kind Kind
		path string
		with string
	}{
		"a b?c":                   {Regular, "a b?c", "file:a%20b%3Fc?size=1"},
		"./a b?c":                 {Regular, "./a b?c", "file:./a%20b%3Fc?size=1"},
		dir + "/a b?c":            {Regular, dir + "/a b?c", "file://" + dir + "/a%20b%3Fc?size=1"},
		"file:a%20b%3Fc?size=2&x": {Regular, "a b?c", "file:a%20b%3Fc?size=2&x="},
		"file://" + dir + "/no":   {Missing, dir + "/no", "file://" + dir + "/no?size=1"},
		"dax:no?size=3":           {Missing, "no", "dax:no?size=3"},
		"mem:":                    {Virtual, "", "mem:?size=1"},
		"mem:x?size=2":            {Virtual, "", "mem:x?size=2"},
		".":                       {Directory, ".", "file:.?size=1"},
		"/dev/null":               {Other, "/dev/null", "file:///dev/null?size=1"},
	} {
		l, err := Locate(raw)
		if err != nil || l.Kind != want.kind || l.Path != want.path {
			t.Errorf("Locate(%q) = %+v, %v; want %v", raw, l, err, want)
			continue
		}
		with := l.With(map[string]string{"size": "1"})
		if with != want.with {
			t.Errorf("%q with a size is %q, want %q", raw, with, want.with)
		}
		if again, err := Locate(with); err != nil || again.Path != l.Path || again.Kind != l.Kind {
			t.Errorf("%q reads back as %+v, %v", with, again, err)
		}
	}
	if _, err := Locate("what:x"); !errors.Is(err, unio.ErrInvalid) {
		t.Error(err)
	}
}

func TestSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a, _ := Locate(path)
	b, _ := Locate("file://" + path)
	m, _ := Locate("mem:")
	if !Same(a, b) || Same(a, m) || Same(m, m) {
		t.Error("files are confused")
	}
}
