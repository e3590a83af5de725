package provider

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

func TestParse(t *testing.T) {
	for raw, want := range map[string]struct{ scheme, path, opaque string }{
		"/dev/nvme0n1":          {"file", "/dev/nvme0n1", ""},
		"disk.img":              {"file", "disk.img", ""},
		"./a:b":                 {"file", "./a:b", ""},
		"dir/a:b":               {"file", "dir/a:b", ""},
		"what?size=1":           {"file", "what?size=1", ""},
		"100%":                  {"file", "100%", ""},
		"file:///p?size=1GiB":   {"file", "/p", ""},
		"file:rel/path":         {"file", "", "rel/path"},
		"FILE:///p":             {"file", "/p", ""},
		"mem:?size=1":           {"mem", "", ""},
		"rdma://host:1?crc=off": {"rdma", "", ""},
		"dax:///p":              {"dax", "/p", ""},
		"file://localhost/a%3F": {"file", "/a?", ""},
	} {
		u, err := Parse(raw)
		if err != nil || u.Scheme != want.scheme || u.Path != want.path || u.Opaque != want.opaque {
			t.Errorf("Parse(%q) = %+v, %v; want %v", raw, u, err, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for raw, want := range map[string]string{
		"":                 "no URL",
		"nvme:x":           `unknown scheme "nvme"; the schemes here are file:, mem:, dax:, rdma:`,
		"a:b":              "for a file of that name write ./a:b",
		"file:///%zz":      "invalid URL escape",
		"mem:?size=1#part": "has no #part",
	} {
		_, err := Open(t.Context(), raw)
		if !errors.Is(err, unio.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q): %v, want ErrInvalid with %q", raw, err, want)
		}
	}
}

// TestOpen writes through every scheme and reads it back.
func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a disk")
	if err := os.WriteFile(path, make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{
		path, "file://" + filepath.ToSlash(strings.ReplaceAll(path, " ", "%20")),
		"mem:?size=64k", "mem:named?size=64k", "dax://" + strings.ReplaceAll(path, " ", "%20"),
		"file://" + strings.ReplaceAll(path, " ", "-") + "?size=64k&create=1",
		peer(t),
	} {
		t.Run(strings.ReplaceAll(raw, t.TempDir(), ""), func(t *testing.T) {
			if d := filepath.Dir(strings.ReplaceAll(path, " ", "-")); d != filepath.Dir(path) {
				t.Fatal(d)
			}
			if raw == "" {
				t.Skip("connections to peers need Linux")
			}
			dev, err := Open(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			defer dev.Close()
			reg, err := dev.Attach(t.Context(), "", unio.ReadWrite)
			if err != nil {
				t.Fatal(err)
			}
			ch, err := dev.NewChannel(unio.ChannelConfig{})
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 5)
			for _, r := range []unio.Request{
				{Op: unio.OpWrite, Region: reg, Offset: 777, Data: []byte("hello")},
				{Op: unio.OpRead, Region: reg, Offset: 777, Data: got},
			} {
				if err := ch.Do(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			if string(got) != "hello" {
				t.Errorf("read %q", got)
			}
		})
	}
}

// peer returns the URL of a peer that exposes 64 KiB, or "" where there are none.
func peer(t *testing.T) string {
	if runtime.GOOS != "linux" {
		return ""
	}
	buf, err := unio.NewBuffer(64 << 10)
	if err != nil {
		t.Fatal(err)
	}
	d := rdma.NewDomain()
	e, err := d.Expose(buf, unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	l, err := rdma.Listen(t.Context(), "127.0.0.1:0", rdma.Config{
		Domain: d, Decide: func(*rdma.Incoming) ([]byte, error) { return e.Key().AppendBinary(nil) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept(t.Context())
			if err != nil {
				return
			}
			<-c.Done()
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		if err := errors.Join(l.Close(), buf.Free()); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return "rdma://" + l.Addr().String()
}

// TestSchemesTellTheTruth holds that the table lists exactly the options each
// provider takes, as its own error for an unknown one does.
func TestSchemesTellTheTruth(t *testing.T) {
	for _, s := range Schemes() {
		_, err := Open(t.Context(), s.Name+":x?no-such-option=1")
		if err == nil {
			t.Errorf("%s: an unknown option was taken", s.Name)
			continue
		}
		_, list, found := strings.Cut(err.Error(), "the options here are ")
		if !found {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		var ours []string
		for _, o := range s.Options {
			ours = append(ours, o.Name)
		}
		slices.Sort(ours)
		if got := strings.Join(ours, ", "); got != list {
			t.Errorf("%s: the table lists %s; the provider takes %s", s.Name, got, list)
		}
		for _, e := range s.Examples {
			if u, err := Parse(e); err != nil || u.Scheme != s.Name {
				t.Errorf("example %s: %v", e, err)
			}
		}
	}
}

func TestSchemesAreTheCallers(t *testing.T) {
	Schemes()[0].Options[0].Name = "changed"
	if Schemes()[0].Options[0].Name == "changed" {
		t.Error("a caller changed the table")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"file:///p", "a:b", "mem:?size=1", "", ":", "x", "file:%", "1:2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := Parse(s)
		if err != nil {
			if !errors.Is(err, unio.ErrInvalid) {
				t.Fatalf("%v does not wrap ErrInvalid", err)
			}
			return
		}
		if find(u.Scheme) == nil {
			t.Fatalf("Parse(%q) gave scheme %q", s, u.Scheme)
		}
	})
}
