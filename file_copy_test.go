package unio_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/unio-stack/unio"
)

const chunk = 256 << 10 // what a copy moves at once

var copySizes = []int{0, 1, 511, 4096, chunk - 1, chunk, chunk + 1, 3*chunk + 7, 20*chunk - 3}

func TestFileReadFrom(t *testing.T) {
	for _, pos := range []int64{0, 1, 5000, chunk - 1} {
		eachFile(t, 21*chunk, func(t *testing.T, f *unio.File) {
			for _, size := range copySizes {
				content := noise(size)
				rewind(t, f, pos)
				n, err := f.ReadFrom(bytes.NewReader(content))
				if n != int64(size) || err != nil {
					t.Fatalf("%d bytes at %d: %d, %v", size, pos, n, err)
				}
				got := make([]byte, size)
				if _, err := f.ReadAt(got, pos); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, content) {
					t.Errorf("%d bytes at %d are not what was written", size, pos)
				}
				wantPosition(t, f, pos+int64(size))
			}
		})
	}
}

func rewind(t *testing.T, f *unio.File, pos int64) {
	t.Helper()
	if _, err := f.Seek(pos, io.SeekStart); err != nil {
		t.Fatal(err)
	}
}

func wantPosition(t *testing.T, f *unio.File, want int64) {
	t.Helper()
	if got, err := f.Seek(0, io.SeekCurrent); got != want || err != nil {
		t.Errorf("position %d, %v; want %d", got, err, want)
	}
}

func TestFileWriteTo(t *testing.T) {
	eachFile(t, 21*chunk, func(t *testing.T, f *unio.File) {
		content := fillFile(t, f)
		for _, size := range copySizes {
			rewind(t, f, f.Size()-int64(size))
			var b bytes.Buffer
			n, err := io.Copy(&b, f)
			if n != int64(size) || err != nil || !bytes.Equal(b.Bytes(), content[len(content)-size:]) {
				t.Errorf("%d bytes: %d, %v", size, n, err)
			}
			wantPosition(t, f, f.Size())
		}
		rewind(t, f, f.Size()+10)
		if n, err := f.WriteTo(io.Discard); n != 0 || err != nil {
			t.Errorf("behind the end: %d, %v", n, err)
		}
	})
}

func TestFileReadFromSlowReader(t *testing.T) {
	eachFile(t, 5000, func(t *testing.T, f *unio.File) {
		content := noise(4999)
		n, err := f.ReadFrom(iotest.OneByteReader(iotest.DataErrReader(bytes.NewReader(content))))
		if n != 4999 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		got := make([]byte, 4999)
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
			t.Errorf("not what was written: %v", err)
		}
	})
}

func TestFileReadFromFailingReader(t *testing.T) {
	eachFile(t, 21*chunk, func(t *testing.T, f *unio.File) {
		broken := errors.New("broken")
		for _, size := range copySizes {
			rewind(t, f, 0)
			n, err := f.ReadFrom(io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(broken)))
			if n != int64(size) || err != broken {
				t.Errorf("%d bytes: %d, %v", size, n, err)
			}
			wantPosition(t, f, int64(size))
		}
		if _, err := f.ReadFrom(iotest.ErrReader(io.ErrUnexpectedEOF)); err != io.ErrUnexpectedEOF {
			t.Errorf("got %v", err)
		}
		if _, err := f.ReadFrom(noReader{}); err != io.ErrNoProgress {
			t.Errorf("got %v", err)
		}
	})
}

// noReader reads nothing and says nothing.
type noReader struct{}

func (noReader) Read([]byte) (int, error) { return 0, nil }

func TestFileReadFromMoreThanFits(t *testing.T) {
	eachFile(t, 3*chunk, func(t *testing.T, f *unio.File) {
		for _, pos := range []int64{0, f.Size(), f.Size() - 1, chunk} {
			rewind(t, f, pos)
			room := f.Size() - pos
			n, err := f.ReadFrom(bytes.NewReader(make([]byte, room)))
			if n != room || err != nil {
				t.Errorf("what fits at %d: %d, %v", pos, n, err)
			}
			rewind(t, f, pos)
			n, err = f.ReadFrom(bytes.NewReader(make([]byte, room+1)))
			if n != room || !errors.Is(err, unio.ErrNoSpace) {
				t.Errorf("one more at %d: %d, %v", pos, n, err)
			}
			wantPosition(t, f, f.Size())
		}
	})
}

func TestFileCopyFailure(t *testing.T) {
	for _, async := range []bool{false, true} {
		d := newFileDisk(20 * chunk)
		d.async = async
		f := d.file(t, unio.FileConfig{})
		const bad = 7*chunk + 100
		d.bad(bad, bad+1)
		n, err := f.ReadFrom(bytes.NewReader(make([]byte, 20*chunk)))
		if n != bad || !errors.Is(err, errBadRange) {
			t.Errorf("async %v: ReadFrom: %d, %v", async, n, err)
		}
		wantPosition(t, f, bad)
		rewind(t, f, 0)
		n, err = f.WriteTo(io.Discard)
		if n != bad || !errors.Is(err, errBadRange) {
			t.Errorf("async %v: WriteTo: %d, %v", async, n, err)
		}
		wantPosition(t, f, bad)
	}
}

// A stingy writer takes so many bytes.
type stingy struct {
	left int
	err  error
}

func (w *stingy) Write(p []byte) (int, error) {
	n := min(w.left, len(p))
	w.left -= n
	if n < len(p) {
		return n, w.err
	}
	return n, nil
}

func TestFileWriteToFailingWriter(t *testing.T) {
	eachFile(t, 21*chunk, func(t *testing.T, f *unio.File) {
		for _, take := range copySizes {
			for _, cause := range []error{errors.New("broken"), nil} {
				rewind(t, f, 0)
				want := cause
				if cause == nil {
					want = io.ErrShortWrite
				}
				n, err := f.WriteTo(&stingy{take, cause})
				if n != int64(take) || err != want {
					t.Errorf("after %d bytes: %d, %v", take, n, err)
				}
				wantPosition(t, f, int64(take))
			}
		}
	})
}

// TestFileCopyAfterFailure copies in with the memory that a failed copy out
// was reading ahead into.
func TestFileCopyAfterFailure(t *testing.T) {
	d := newFileDisk(20 * chunk)
	d.async = true
	f := d.file(t, unio.FileConfig{})
	content := noise(8 * chunk)
	for range 20 {
		rewind(t, f, 8*chunk)
		if _, err := f.WriteTo(&stingy{4 * chunk, io.ErrClosedPipe}); err != io.ErrClosedPipe {
			t.Fatal(err)
		}
		rewind(t, f, 0)
		if _, err := f.ReadFrom(bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(content))
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("not what was copied: %v", err)
		}
	}
}

func TestFileCopySurvivesPanic(t *testing.T) {
	eachFile(t, 21*chunk, func(t *testing.T, f *unio.File) {
		func() {
			defer func() { _ = recover() }()
			_, _ = f.ReadFrom(io.MultiReader(bytes.NewReader(make([]byte, 3*chunk)), panicReader{}))
		}()
		content := noise(5 * chunk)
		rewind(t, f, 0)
		if n, err := f.ReadFrom(bytes.NewReader(content)); n != 5*chunk || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("reader") }

func TestFileCloseDuringCopy(t *testing.T) {
	d := newFileDisk(20 * chunk)
	d.async = true
	f := d.file(t, unio.FileConfig{})
	defer d.stop()()
	results := make(chan error)
	go func() { _, err := f.WriteTo(io.Discard); results <- err }()
	go func() { _, err := f.ReadFrom(bytes.NewReader(make([]byte, 18*chunk))); results <- err }()
	started := make(chan struct{})
	go func() {
		for d.inFlight() < 2 {
		}
		close(started)
	}()
	<-started
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-results; !errors.Is(err, unio.ErrClosed) {
			t.Error(err)
		}
	}
}

func (d *fileDisk) inFlight() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.begun
}

func TestFileCopyToItself(t *testing.T) {
	f := newFileDisk(4*chunk).file(t, unio.FileConfig{})
	content := fillFile(t, f)
	if n, err := f.ReadFrom(io.NewSectionReader(f, 2*chunk, chunk)); n != chunk || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	got := make([]byte, chunk)
	if _, err := f.ReadAt(got, 0); err != nil || !slices.Equal(got, content[2*chunk:3*chunk]) {
		t.Errorf("not copied: %v", err)
	}
	_, _ = io.Copy(f, io.LimitReader(f, chunk)) // reads where it writes; must end
}

// TestFileWriteToShrinking truncates the file while it is copied.
func TestFileWriteToShrinking(t *testing.T) {
	for _, async := range []bool{false, true} {
		d := newFileDisk(20 * chunk)
		d.async = async
		f := d.file(t, unio.FileConfig{})
		const rest = 9*chunk + 5
		once := false
		n, err := f.WriteTo(writerFunc(func(p []byte) (int, error) {
			if !once {
				once = true
				return len(p), f.Truncate(rest)
			}
			return len(p), nil
		}))
		if err != nil || n < rest || n > 20*chunk {
			t.Errorf("async %v: %d, %v", async, n, err)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }
