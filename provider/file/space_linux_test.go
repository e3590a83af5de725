package file

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unio-stack/unio"
	"golang.org/x/sys/unix"
)

func makeExt4(t testing.TB, device string) {
	t.Helper()
	path, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		t.Skip("needs mkfs.ext4, of e2fsprogs")
	}
	if out, err := exec.Command(path, "-q", "-F", "-m", "0", "-O", "^has_journal", device).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
}

// TestNoSpace: a file system that is full refuses a file that is reserved, and
// leaves nothing behind; a sparse one meets it when it is written, and says
// where.
func TestNoSpace(t *testing.T) {
	needRoot(t)
	if !inChild(t, "no space", ownMounts) {
		return
	}
	for _, tc := range []struct {
		name  string
		mount func(*testing.T) string
		cfgs  []Config
	}{
		{"tmpfs", func(t *testing.T) string { return mountFS(t, "tmpfs", "size=4m") }, []Config{{}, {Engine: EnginePosix}}},
		{"ext4", func(t *testing.T) string { return newExt4(t, 8<<20) }, []Config{{}, {Engine: EnginePosix}, {Direct: Buffered}, {Direct: Buffered, Engine: EnginePosix}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := tc.mount(t)
			path := filepath.Join(dir, "disk")
			_, err := Open(context.Background(), path, Config{Create: true, Size: 64 << 20})
			if !errors.Is(err, unio.ErrNoSpace) || !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "67108864") || !strings.Contains(err.Error(), "sparse=1") {
				t.Errorf("%v; want ErrNoSpace, the size, and what to do", err)
			}
			wantMissing(t, path)
			for _, cfg := range tc.cfgs {
				cfg.Create, cfg.Sparse, cfg.Size = true, true, 64<<20
				r := newRig(t, path, cfg)
				r.fill(t)
				r.dev.Close()
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			growTooMuch(t, path)
		})
	}
}

// fill writes until there is no space.
func (r *rig) fill(t *testing.T) {
	ch := r.channel(unio.ChannelConfig{})
	buf := r.buffer(256 << 10)
	copy(buf, noise(len(buf)))
	for off := int64(0); off < r.reg.Size(); off += int64(len(buf)) {
		err := ch.Do(r.ctx, r.write(off, buf))
		if err == nil {
			continue
		}
		var oe *unio.OpError
		if !errors.As(err, &oe) || !errors.Is(err, unio.ErrNoSpace) || !errors.Is(err, unix.ENOSPC) || oe.Offset != off || oe.Length != int64(len(buf)) {
			t.Fatalf("%v; want ErrNoSpace, with the request", err)
		}
		if oe.BadByte >= 0 && (oe.BadByte < off || oe.BadByte >= off+int64(len(buf))) {
			t.Errorf("first bad byte %d of [%d, %d)", oe.BadByte, off, off+int64(len(buf)))
		}
		r.must(ch, r.read(0, buf), r.write(0, buf)) // what is there works on
		return
	}
	t.Error("64 MiB went into a file system that has less")
}

// growTooMuch: an existing file keeps its length when it cannot be made longer.
func growTooMuch(t *testing.T, path string) {
	t.Helper()
	write(t, path, make([]byte, 64<<10))
	if _, err := Open(context.Background(), path, Config{Size: 64 << 20}); !errors.Is(err, unio.ErrNoSpace) {
		t.Errorf("%v", err)
	}
	if st, err := os.Stat(path); err != nil || st.Size() != 64<<10 {
		t.Errorf("the file has %d bytes now, %v", st.Size(), err)
	}
}

// TestNoDirectIO: on a file system without it, direct I/O is refused or done
// without, as asked for.
func TestNoDirectIO(t *testing.T) {
	needRoot(t)
	if !inChild(t, "no direct", ownMounts) {
		return
	}
	dir := mountFS(t, "ramfs", "")
	path := filepath.Join(dir, "disk")
	_, err := Open(context.Background(), path, Config{Create: true, Size: 1 << 20, Direct: Required})
	if !errors.Is(err, unio.ErrUnsupported) || !strings.Contains(err.Error(), "direct=on") {
		t.Errorf("%v; want ErrUnsupported", err)
	}
	wantMissing(t, path)
	for _, e := range []Engine{EngineRing, EnginePosix} {
		r := newRig(t, path, Config{Create: true, Size: 1 << 20, Engine: e})
		r.wantNote("buffered: ")
		if info := r.dev.Info(); info.Persistence != unio.Host || info.BlockSize != 1 {
			t.Errorf("%+v", info)
		}
		r.echo(r.channel(unio.ChannelConfig{}), 3333, 300_000)
	}
}

// TestFileSizeLimit: a file is not made longer than RLIMIT_FSIZE, which would
// end the process with a signal.
func TestFileSizeLimit(t *testing.T) {
	if !inChild(t, "file size", nil) {
		return
	}
	path := filepath.Join(t.TempDir(), "disk")
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	for _, sparse := range []bool{false, true} {
		_, err := Open(context.Background(), path, Config{Create: true, Size: 2 << 20, Sparse: sparse})
		if !errors.Is(err, unio.ErrNoSpace) || !errors.Is(err, unix.EFBIG) {
			t.Errorf("sparse %v: %v; want ErrNoSpace and EFBIG", sparse, err)
		}
		wantMissing(t, path)
	}
	r := newRig(t, path, Config{Create: true, Size: 1 << 20})
	if err := r.reg.Resize(r.ctx, 2<<20); !errors.Is(err, unio.ErrNoSpace) {
		t.Errorf("resize: %v", err)
	}
	r.echo(r.channel(unio.ChannelConfig{}), 1<<20-100, 100)
}
