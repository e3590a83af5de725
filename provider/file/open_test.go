package file

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unio-stack/unio"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	empty, full, loop := filepath.Join(dir, "empty"), filepath.Join(dir, "full"), filepath.Join(dir, "loop")
	write(t, empty, nil)
	write(t, full, make([]byte, 4096))
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	for _, tc := range []struct {
		name, path string
		cfg        Config
		is         error
		says       string
	}{
		{"no path", "", Config{}, unio.ErrInvalid, "no path"},
		{"missing", missing, Config{}, os.ErrNotExist, "create=1"},
		{"missing, to be created without a size", missing, Config{Create: true}, unio.ErrInvalid, "needs a size"},
		{"in a missing directory", missing + "/x", Config{Create: true, Size: 4096}, os.ErrNotExist, "missing/x"},
		{"under a file", full + "/x", Config{}, nil, "not a directory"},
		{"empty", empty, Config{}, unio.ErrInvalid, "empty: give it a size"},
		{"empty and read-only", empty, Config{ReadOnly: true}, unio.ErrInvalid, "empty"},
		{"directory", dir, Config{}, unio.ErrInvalid, "directory"},
		{"directory, read-only", dir, Config{ReadOnly: true}, unio.ErrInvalid, "directory"},
		{"character device", os.DevNull, Config{}, unio.ErrInvalid, "neither a regular file nor a block device"},
		{"symbolic link to itself", loop, Config{}, nil, "loop"},
		{"negative size", full, Config{Size: -1}, unio.ErrInvalid, "negative"},
		{"negative workers", full, Config{Workers: -1}, unio.ErrInvalid, "negative"},
		{"read-only and created", missing, Config{ReadOnly: true, Create: true}, unio.ErrInvalid, "read-only"},
		{"read-only and sized", full, Config{ReadOnly: true, Size: 8192}, unio.ErrInvalid, "read-only"},
		{"posix with sqpoll", full, Config{Engine: EnginePosix, SQPoll: true}, unio.ErrInvalid, "io_uring's"},
		{"posix with iopoll", full, Config{Engine: EnginePosix, IOPoll: IOPollOn}, unio.ErrInvalid, "io_uring's"},
		{"iopoll and buffered", full, Config{IOPoll: IOPollHybrid, Direct: Buffered}, unio.ErrInvalid, "direct"},
		{"unknown engine", full, Config{Engine: "aio"}, unio.ErrInvalid, `"aio"`},
		{"unknown direct", full, Config{Direct: "maybe"}, unio.ErrInvalid, `"maybe"`},
		{"unknown iopoll", full, Config{IOPoll: "yes"}, unio.ErrInvalid, `"yes"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dev, err := Open(context.Background(), tc.path, tc.cfg)
			if err == nil {
				_ = dev.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, tc.is) && tc.is != nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), tc.path) {
				t.Errorf("error %q; want one that is %v and says %q and the path", err, tc.is, tc.says)
			}
			if errors.Is(err, unio.ErrMedia) {
				t.Errorf("%v: no medium is at fault", err)
			}
		})
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("a refused Open made the file")
	}
}

func TestOpenUnderCancelledContext(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	path := filepath.Join(t.TempDir(), "new")
	if _, err := Open(ctx, path, Config{Create: true, Size: 4096}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file was made")
	}
}

func write(t testing.TB, path string, p []byte) {
	t.Helper()
	if err := os.WriteFile(path, p, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	for _, step := range []struct {
		name string
		cfg  Config
		want int64
	}{
		{"new", Config{Create: true, Size: 64 << 10}, 64 << 10},
		{"again", Config{Create: true, Size: 64 << 10}, 64 << 10},
		{"smaller", Config{Create: true, Size: 4 << 10}, 64 << 10},
		{"no size", Config{}, 64 << 10},
		{"larger, not created", Config{Size: 128 << 10}, 128 << 10},
		{"larger, sparse", Config{Size: 1 << 30, Sparse: true}, 1 << 30},
	} {
		dev, err := Open(context.Background(), path, step.cfg)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		r := newRigOn(t, dev)
		if got := r.reg.Size(); got != step.want {
			t.Errorf("%s: the region has %d bytes, want %d", step.name, got, step.want)
		}
		ch := r.channel(unio.ChannelConfig{})
		if step.name == "new" {
			r.must(ch, r.write(5, []byte("kept")), unio.Request{Op: unio.OpFlush, Region: r.reg})
		}
		got := make([]byte, 4)
		if r.must(ch, r.read(5, got)); string(got) != "kept" {
			t.Errorf("%s: read %q", step.name, got)
		}
		r.echo(ch, step.want-7, 7)
		r.must(ch, r.write(step.want-7, make([]byte, 7)))
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

func TestSymbolicLink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(newFile(t, 8192), link); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, link, Config{})
	r.echo(r.channel(unio.ChannelConfig{}), 100, 5000)
}

// TestOddSize: a file whose size is no multiple of the block works to its last
// byte, through the page cache, and says so.
func TestOddSize(t *testing.T) {
	for _, size := range []int{1, 7, 511, 513, 4095, 10_001} {
		path := newFile(t, size)
		r := newRig(t, path, Config{})
		ch := r.channel(unio.ChannelConfig{})
		r.echo(ch, 0, size)
		r.echo(ch, int64(size-1), 1)
		if err := ch.Do(r.ctx, r.read(int64(size), make([]byte, 1))); !errors.Is(err, unio.ErrOutOfRange) {
			t.Errorf("read behind the end: %v", err)
		}
		if st, err := os.Stat(path); err != nil || st.Size() != int64(size) {
			t.Errorf("the file has %d bytes now, %d before", st.Size(), size)
		}
		if size%512 != 0 && r.dev.Info().BlockSize != 1 {
			t.Errorf("%d bytes: block size %d", size, r.dev.Info().BlockSize)
		}
	}
}

func TestReadOnlyConfig(t *testing.T) {
	r := newRig(t, newFile(t, 8192), Config{ReadOnly: true})
	ch := r.channel(unio.ChannelConfig{})
	r.must(ch, r.read(3, make([]byte, 1000)))
	err := ch.Do(r.ctx, r.write(0, make([]byte, 512)))
	var oe *unio.OpError
	if !errors.As(err, &oe) || !errors.Is(err, unio.ErrUnsupported) && !errors.Is(err, unio.ErrAccess) {
		t.Errorf("write: %v", err)
	}
	if _, err := r.dev.Attach(r.ctx, "", unio.ReadWrite); !errors.Is(err, unio.ErrAccess) {
		t.Errorf("attach for writing: %v", err)
	}
}

func TestAttachName(t *testing.T) {
	r := newRig(t, newFile(t, 4096), Config{})
	if _, err := r.dev.Attach(r.ctx, "other", unio.ReadOnly); !errors.Is(err, unio.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func TestURL(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"plain", "with space", "100%", "a%20b", "what?", "hash#", "ünïcode", "semi;colon&and=equals"} {
		u := &url.URL{Scheme: "file", Path: filepath.Join(dir, name), RawQuery: "create=1&size=64KiB&sparse"}
		parsed, err := url.Parse(u.String())
		if err != nil {
			t.Fatal(err)
		}
		dev, err := OpenURL(context.Background(), parsed)
		if err != nil {
			t.Errorf("%s: %v", u, err)
			continue
		}
		r := newRigOn(t, dev)
		r.echo(r.channel(unio.ChannelConfig{}), 60_000, 1000)
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Size() != 64<<10 {
			t.Errorf("%s: %v, %v", u, st, err)
		}
	}
}

func TestRelativeURL(t *testing.T) {
	t.Chdir(t.TempDir())
	for raw, name := range map[string]string{"file:rel?create&size=4096": "rel", "file:a%20b?create&size=4096": "a b", "file:./c%25?create&size=4096": "c%"} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		dev, err := OpenURL(context.Background(), u)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		_ = dev.Close()
		if _, err := os.Stat(name); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestURLRefuses(t *testing.T) {
	path := newFile(t, 4096)
	for query, says := range map[string]string{
		"sise=1":                 "sise",
		"size=1&size=2":          "size",
		"size=many":              "many",
		"size=-5":                "size",
		"direct=perhaps":         "perhaps",
		"engine=aio":             "aio",
		"iopoll=maybe":           "maybe",
		"readonly=2":             "readonly",
		"workers=lots":           "lots",
		"workers=-1":             "workers",
		"engine=posix&sqpoll=on": "sqpoll",
		"%zz":                    "%zz",
	} {
		dev, err := OpenURL(context.Background(), &url.URL{Scheme: "file", Path: path, RawQuery: query})
		if err == nil {
			_ = dev.Close()
		}
		if !errors.Is(err, unio.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("?%s: %v; want ErrInvalid that says %q", query, err, says)
		}
	}
	for _, raw := range []string{"file://host/path", "file:%zz"} {
		u, err := url.Parse(raw)
		if err != nil {
			continue
		}
		if _, err := OpenURL(context.Background(), u); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
