package unio_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
)

var (
	_ io.ReaderAt        = (*unio.File)(nil)
	_ io.WriterAt        = (*unio.File)(nil)
	_ io.ReadWriteSeeker = (*unio.File)(nil)
	_ io.ReadWriteCloser = (*unio.File)(nil)
	_ io.ReaderFrom      = (*unio.File)(nil)
	_ io.WriterTo        = (*unio.File)(nil)
	_ fs.File            = (*unio.File)(nil)
)

// fileKinds are the kinds of disk that every test of what a File does runs on.
var fileKinds = []struct {
	name string
	open func(t testing.TB, size int) *unio.File
}{
	{"inline", func(t testing.TB, size int) *unio.File {
		return newFileDisk(size).file(t, unio.FileConfig{})
	}},
	{"async", func(t testing.TB, size int) *unio.File {
		d := newFileDisk(size)
		d.async = true
		return d.file(t, unio.FileConfig{})
	}},
	{"mixed depth 2", func(t testing.TB, size int) *unio.File {
		d := newFileDisk(size)
		d.async2 = true
		return d.file(t, unio.FileConfig{Channels: 1, Depth: 2})
	}},
	{"blocks", func(t testing.TB, size int) *unio.File {
		cfg := uniotest.RAMDiskConfig{
			Size: int64(size+511) &^ 511, BlockSize: 512, MemoryAlign: 512, Short: 5, Inline: 3,
		}
		dev := uniotest.NewRAMDisk(t, cfg).Open()
		reg, err := dev.Attach(t.Context(), "", unio.ReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		f := unio.NewFile(reg)
		t.Cleanup(func() { _, _ = f.Close(), dev.Close() })
		return f
	}},
}

func eachFile(t *testing.T, size int, run func(t *testing.T, f *unio.File)) {
	for _, k := range fileKinds {
		t.Run(k.name, func(t *testing.T) { run(t, k.open(t, size)) })
	}
}

// noise returns n bytes that repeat nowhere near.
func noise(n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = rng.Read(b)
	return b
}

func fillFile(t testing.TB, f *unio.File) []byte {
	t.Helper()
	content := noise(int(f.Size()))
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	return content
}

func TestFileReader(t *testing.T) {
	eachFile(t, 5120, func(t *testing.T, f *unio.File) {
		content := fillFile(t, f)
		if err := iotest.TestReader(f, content); err != nil {
			t.Error(err)
		}
		if err := iotest.TestReader(io.NewSectionReader(f, 7, 4000), content[7:4007]); err != nil {
			t.Error(err)
		}
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"one byte": iotest.OneByteReader, "half": iotest.HalfReader, "data and error": iotest.DataErrReader,
		} {
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(wrap(f))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
		}
	})
}

// fileFS is a file system with one file in it, over a region.
type fileFS struct{ reg *unio.Region }

func (s fileFS) Open(name string) (fs.File, error) {
	f := unio.NewFile(s.reg)
	if name == f.Name() {
		return f, nil
	}
	tree := fstest.MapFS{}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	tree[f.Name()] = &fstest.MapFile{Mode: st.Mode(), ModTime: st.ModTime(), Data: make([]byte, st.Size())}
	return tree.Open(name)
}

func TestFileInFS(t *testing.T) {
	d := newFileDisk(70000)
	copy(d.bytes, noise(70000))
	d.async = true
	if err := fstest.TestFS(fileFS{d.attach(t)}, "dir/disk"); err != nil {
		t.Error(err)
	}
}

func TestFileStat(t *testing.T) {
	f := newFileDisk(100).file(t, unio.FileConfig{})
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fs.FormatFileInfo(st), "-rw-r--r-- 100 0001-01-01 00:00:00 disk"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if st.Sys() != f.Region() || !st.ModTime().Equal(time.Time{}) {
		t.Errorf("Sys %v, ModTime %v", st.Sys(), st.ModTime())
	}
}

func TestFileEdges(t *testing.T) {
	eachFile(t, 1024, func(t *testing.T, f *unio.File) {
		end := f.Size()
		for _, c := range []struct {
			name   string
			call   func([]byte, int64) (int, error)
			length int
			off    int64
			n      int
			err    error
		}{
			{"read all", f.ReadAt, int(end), 0, int(end), nil},
			{"read across the end", f.ReadAt, 10, end - 3, 3, io.EOF},
			{"read at the end", f.ReadAt, 10, end, 0, io.EOF},
			{"read behind the end", f.ReadAt, 10, end + 5, 0, io.EOF},
			{"read nothing", f.ReadAt, 0, end + 5, 0, nil},
			{"read before the start", f.ReadAt, 10, -1, 0, unio.ErrOutOfRange},
			{"write all", f.WriteAt, int(end), 0, int(end), nil},
			{"write across the end", f.WriteAt, 10, end - 3, 3, unio.ErrNoSpace},
			{"write at the end", f.WriteAt, 10, end, 0, unio.ErrNoSpace},
			{"write nothing", f.WriteAt, 0, end + 5, 0, nil},
			{"write before the start", f.WriteAt, 10, -1, 0, unio.ErrOutOfRange},
			{"read at the last offset", f.ReadAt, 10, 1<<63 - 1, 0, io.EOF},
		} {
			n, err := c.call(make([]byte, c.length), c.off)
			if n != c.n || !errors.Is(err, c.err) || c.err == io.EOF && err != io.EOF {
				t.Errorf("%s: %d, %v; want %d, %v", c.name, n, err, c.n, c.err)
			}
		}
	})
}

func TestFileNoSpaceSaysWhere(t *testing.T) {
	f := newFileDisk(1000).file(t, unio.FileConfig{})
	_, err := f.WriteAt(make([]byte, 50), 990)
	var oe *unio.OpError
	if !errors.As(err, &oe) || oe.Op != unio.OpWrite || oe.Offset != 990 || oe.Length != 50 || oe.BadByte != 1000 {
		t.Errorf("got %v", err)
	}
}

func TestFileSeek(t *testing.T) {
	f := newFileDisk(1000).file(t, unio.FileConfig{})
	for _, c := range []struct {
		offset int64
		whence int
		want   int64
		err    error
	}{
		{10, io.SeekStart, 10, nil},
		{5, io.SeekCurrent, 15, nil},
		{-15, io.SeekCurrent, 0, nil},
		{-1, io.SeekCurrent, 0, unio.ErrInvalid},
		{-1, io.SeekEnd, 999, nil},
		{1, io.SeekEnd, 1001, nil},
		{0, 3, 0, unio.ErrInvalid},
		{1<<63 - 1, io.SeekCurrent, 0, unio.ErrInvalid},
	} {
		got, err := f.Seek(c.offset, c.whence)
		if !errors.Is(err, c.err) || err == nil && got != c.want {
			t.Errorf("Seek(%d, %d): %d, %v", c.offset, c.whence, got, err)
		}
	}
	if n, err := f.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read behind the end: %d, %v", n, err)
	}
	if n, err := f.Write(make([]byte, 1)); n != 0 || !errors.Is(err, unio.ErrNoSpace) {
		t.Errorf("write behind the end: %d, %v", n, err)
	}
}

func TestFileTruncate(t *testing.T) {
	d := newFileDisk(1000)
	f := d.file(t, unio.FileConfig{})
	fillFile(t, f)
	for _, size := range []int64{10, 3000, 1} {
		if err := f.Truncate(size); err != nil || f.Size() != size {
			t.Fatalf("Truncate(%d): %v, size %d", size, err, f.Size())
		}
		if n, err := f.ReadAt(make([]byte, 4000), 0); int64(n) != size || err != io.EOF {
			t.Errorf("read of %d bytes: %d, %v", size, n, err)
		}
	}
	if err := f.Truncate(-1); !errors.Is(err, unio.ErrInvalid) {
		t.Errorf("Truncate(-1): %v", err)
	}
}

func TestFileTruncateUnsupported(t *testing.T) {
	f := fileKinds[3].open(t, 1024)
	if err := f.Truncate(512); !errors.Is(err, unio.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestFileSync(t *testing.T) {
	eachFile(t, 1024, func(t *testing.T, f *unio.File) {
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
	})
}

func TestFileConfigIsChecked(t *testing.T) {
	reg := newFileDisk(1000).attach(t)
	for _, cfg := range []unio.FileConfig{{Channels: -1}, {Depth: -1}, {Depth: 1 << 30}} {
		f := unio.NewFileConfig(reg, cfg)
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("%+v: %v", cfg, err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFileRights(t *testing.T) {
	dev := unio.NewDevice(newFileDisk(1000))
	defer dev.Close()
	reg, err := dev.Attach(t.Context(), "", unio.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	f := unio.NewFile(reg)
	defer f.Close()
	for name, call := range map[string]func() error{
		"WriteAt":  func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
		"Write":    func() error { _, err := f.Write([]byte("x")); return err },
		"ReadFrom": func() error { _, err := f.ReadFrom(bytes.NewReader([]byte("x"))); return err },
		"Truncate": func() error { return f.Truncate(1) },
	} {
		if err := call(); !errors.Is(err, unio.ErrAccess) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); err != nil {
		t.Error(err)
	}
}

func TestFileAfterClose(t *testing.T) {
	eachFile(t, 1024, func(t *testing.T, f *unio.File) {
		fillFile(t, f)
		_, _ = io.Copy(io.Discard, f)
		for range 2 {
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		p := make([]byte, 8)
		for name, call := range map[string]func() error{
			"ReadAt":          func() error { _, err := f.ReadAt(p, 0); return err },
			"ReadAt the end":  func() error { _, err := f.ReadAt(p, 1024); return err },
			"ReadAt nothing":  func() error { _, err := f.ReadAt(nil, 0); return err },
			"WriteAt":         func() error { _, err := f.WriteAt(p, 0); return err },
			"WriteAt the end": func() error { _, err := f.WriteAt(p, 1024); return err },
			"WriteAt nothing": func() error { _, err := f.WriteAt(nil, 0); return err },
			"Read":            func() error { _, err := f.Read(p); return err },
			"Write":           func() error { _, err := f.Write(p); return err },
			"Seek":            func() error { _, err := f.Seek(0, 0); return err },
			"ReadFrom":        func() error { _, err := f.ReadFrom(bytes.NewReader(p)); return err },
			"WriteTo":         func() error { _, err := f.WriteTo(io.Discard); return err },
			"Sync":            f.Sync,
			"Truncate":        func() error { return f.Truncate(512) },
			"Stat":            func() error { _, err := f.Stat(); return err },
		} {
			if err := call(); !errors.Is(err, unio.ErrClosed) || !errors.Is(err, fs.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestFileWithoutEnoughChannels(t *testing.T) {
	d := newFileDisk(1 << 16)
	d.queues, d.async2 = 1, true
	f := d.file(t, unio.FileConfig{Channels: 8, Depth: 2})
	crowd(t, f, 32, 50)
}

func TestFileOnClosedDevice(t *testing.T) {
	dev := unio.NewDevice(newFileDisk(1000))
	reg, err := dev.Attach(t.Context(), "", unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	used, unused := unio.NewFile(reg), unio.NewFile(reg)
	fillFile(t, used)
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	for i, f := range []*unio.File{used, unused} {
		if _, err := f.ReadAt(make([]byte, 10), 0); !errors.Is(err, unio.ErrClosed) {
			t.Errorf("file %d: %v", i, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
