package mem

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/unio-stack/unio"
)

// TestOpenRefuses says what is wrong, by cause and in words.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	for name, tc := range map[string]struct {
		path  string
		cfg   DAXConfig
		cause error
		words string
	}{
		"directory":       {dir, DAXConfig{}, unio.ErrInvalid, "directory"},
		"pipe":            {pipe, DAXConfig{}, unio.ErrInvalid, "only files"},
		"terminal":        {"/dev/null", DAXConfig{}, unio.ErrInvalid, "device"},
		"no path":         {"", DAXConfig{}, unio.ErrInvalid, "no path"},
		"missing":         {missing, DAXConfig{}, fs.ErrNotExist, "create"},
		"missing folder":  {filepath.Join(missing, "x"), DAXConfig{Create: true, Size: 1}, fs.ErrNotExist, "missing"},
		"below a file":    {filepath.Join(file, "x"), DAXConfig{}, syscall.ENOTDIR, "not a directory"},
		"empty":           {empty, DAXConfig{}, unio.ErrInvalid, "empty"},
		"too short":       {file, DAXConfig{Size: 8193}, unio.ErrInvalid, "only 8192"},
		"too short, make": {file, DAXConfig{Size: 8193, Create: true}, unio.ErrInvalid, "only 8192"},
		"negative":        {file, DAXConfig{Size: -1}, unio.ErrInvalid, "-1"},
		"no size":         {missing, DAXConfig{Create: true}, unio.ErrInvalid, "needs a size"},
		"make read-only":  {missing, DAXConfig{Create: true, Size: 1, ReadOnly: true}, unio.ErrInvalid, "exclude"},
		"reserve":         {file, DAXConfig{Reserve: true}, unio.ErrInvalid, "reserve"},
		"too large":       {missing, DAXConfig{Create: true, Size: 1 << 62}, unio.ErrInvalid, "large"},
	} {
		t.Run(name, func(t *testing.T) {
			dev, err := OpenFile(context.Background(), tc.path, tc.cfg)
			if err == nil {
				_ = dev.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, tc.cause) || !strings.Contains(err.Error(), tc.words) || !strings.HasPrefix(err.Error(), "open dax:"+tc.path) {
				t.Errorf("error %q, want cause %q and the words %q", err, tc.cause, tc.words)
			}
			if _, err := os.Stat(missing); err == nil {
				t.Error("left a file behind")
			}
		})
	}
	for _, size := range []int64{0, -5} {
		if _, err := Open(context.Background(), Config{Size: size}); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("DRAM of %d bytes: %v", size, err)
		}
	}
	if _, err := Open(context.Background(), Config{Size: 1 << 60}); !errors.Is(err, unio.ErrNoSpace) {
		t.Errorf("DRAM beyond the address space: %v", err)
	}
}

func TestOpenHeedsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	path := filepath.Join(t.TempDir(), "disk")
	if _, err := OpenFile(ctx, path, DAXConfig{Create: true, Size: 1}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := Open(ctx, Config{Size: 1}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("created a file nonetheless")
	}
}

// TestReopen finds what was written, also by other means than the mapping, and
// maps less than the file where that is asked.
func TestReopen(t *testing.T) {
	dirs := map[string]string{"temp": t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "unio"); err == nil {
		dirs["shm"] = dir
		defer os.RemoveAll(dir)
	}
	for name, dir := range dirs {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "disk")
			content := pattern(10_000, 4)
			for round := range 3 {
				r := openRig(t, path, DAXConfig{Size: 10_001, Create: round == 0})
				if round > 0 {
					r.wantBytes(0, content)
				}
				content[round*11] ^= 0xff
				r.write(0, content, 0)
				r.must(unio.Request{Op: unio.OpFlush})
				r.close()
				onDisk, err := os.ReadFile(path)
				if err != nil || len(onDisk) != 10_001 || string(onDisk[:10_000]) != string(content) {
					t.Errorf("the file has %d bytes, or others than were written: %v", len(onDisk), err)
				}
			}
			r := openRig(t, path, DAXConfig{Size: 77})
			if r.reg.Size() != 77 {
				t.Errorf("size %d", r.reg.Size())
			}
			if got := r.dev.Info().Persistence; name == "shm" && got != unio.Host {
				t.Errorf("/dev/shm is said to be %v", got)
			}
		})
	}
}

// TestShared maps one file twice: what one device writes the other reads.
func TestShared(t *testing.T) {
	a := fileRig(t, 1<<16)
	b := openRig(t, a.path, DAXConfig{})
	a.write(5, pattern(9000, 3), 0)
	b.wantBytes(5, pattern(9000, 3))
	a.must(unio.Request{Op: unio.OpFetchAdd, Offset: 65528, Swap: 2})
	b.must(unio.Request{Op: unio.OpFetchAdd, Offset: 65528, Swap: 3})
	if got := a.read(65528, 1); got[0] != 5 {
		t.Errorf("the sum is %d", got[0])
	}
}

func TestReadOnly(t *testing.T) {
	w := fileRig(t, 8192)
	w.write(0, pattern(100, 1), unio.Durable)
	r := openRig(t, w.path, DAXConfig{ReadOnly: true})
	info := r.dev.Info()
	if !info.ReadOnly || info.Native != unio.Ops(unio.OpRead, unio.OpFlush) || info.Provided != 0 {
		t.Errorf("info %+v", info)
	}
	if _, err := r.dev.Attach(context.Background(), "", unio.ReadWrite); !errors.Is(err, unio.ErrAccess) {
		t.Errorf("attached for writing: %v", err)
	}
	r.wantBytes(0, pattern(100, 1))
	r.must(unio.Request{Op: unio.OpFlush})
	if err := r.do(unio.Request{Op: unio.OpWrite, Data: []byte{1}}); !errors.Is(err, unio.ErrUnsupported) {
		t.Errorf("write: %v", err)
	}
}

// TestPermissions needs a user whom permissions concern.
func TestPermissions(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everything")
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 100), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(context.Background(), path, DAXConfig{}); !errors.Is(err, unio.ErrAccess) || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("opened for writing: %v", err)
	}
	r := openRig(t, path, DAXConfig{ReadOnly: true})
	r.read(0, 100)
}

// TestCreateFinishes takes over an empty file, which a creation that a crash
// cut short leaves, and leaves a full one as it is.
func TestCreateFinishes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := DAXConfig{Size: 1 << 20, Create: true, Reserve: true}
	r := openRig(t, path, cfg)
	r.write(1<<20-3, []byte{1, 2, 3}, 0)
	if st := statOf(t, path); st.Blocks*512 < 1<<20 {
		t.Errorf("only %d bytes are reserved", st.Blocks*512)
	}
	openRig(t, path, cfg).wantBytes(1<<20-3, []byte{1, 2, 3})
}

func statOf(t testing.TB, path string) *syscall.Stat_t {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t)
}

func TestOneRegion(t *testing.T) {
	forEach(t, 4096, func(t *testing.T, r *rig) {
		if _, err := r.dev.Attach(context.Background(), "other", unio.ReadOnly); !errors.Is(err, unio.ErrInvalid) || !strings.Contains(err.Error(), `"other"`) {
			t.Errorf("attached another region: %v", err)
		}
		r.write(0, []byte{7}, 0)
		if err := r.reg.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		if r.reg, err = r.dev.Attach(context.Background(), "", unio.ReadWrite); err != nil {
			t.Fatal(err)
		}
		r.wantBytes(0, []byte{7})
		if err := r.reg.Resize(context.Background(), 8192); !errors.Is(err, unio.ErrUnsupported) {
			t.Errorf("resized: %v", err)
		}
	})
}
