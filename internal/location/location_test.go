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
		"rdma://h":                {Virtual, "", "rdma://h?size=1"},
		"rdma://[::1]:1?crc=off":  {Virtual, "", "rdma://[::1]:1?crc=off&size=1"},
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

func TestRemote(t *testing.T) {
	for raw, want := range map[string]bool{"rdma://h": true, "RDMA://h:1?crc=off": true, "mem:": false, "rdma": false, "dax:/rdma": false} {
		if l, err := Locate(raw); err != nil || l.Remote() != want {
			t.Errorf("%s: remote %v, %v", raw, l.Remote(), err)
		}
	}
}

func TestSameRegion(t *testing.T) {
	at := func(raw string) Location {
		l, err := Locate(raw)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	a := at("rdma://h/disk")
	for raw, want := range map[string]bool{"rdma://h/disk?crc=off": true, "rdma://h/other": false, "rdma://i/disk": false, "mem:?size=1": false} {
		if b := at(raw); Same(a, b) != want || Same(b, a) != want {
			t.Errorf("the same as %s: %v", raw, !want)
		}
	}
	if Same(Location{}, a) || Same(a, Location{}) {
		t.Error("the same as nothing")
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
