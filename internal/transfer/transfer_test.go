package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
)

// content returns n bytes that do not repeat.
func content(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func attach(t testing.TB, disk *uniotest.RAMDisk) *unio.Region {
	t.Helper()
	dev := disk.Open()
	t.Cleanup(func() { _ = dev.Close() })
	reg, err := dev.Attach(t.Context(), "", unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func disk(t testing.TB, image []byte) *uniotest.RAMDisk {
	return uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Image: image, BlockSize: 512, Short: 7, Inline: 3})
}

func blank(t testing.TB, n int) *uniotest.RAMDisk { return disk(t, make([]byte, n)) }

// small makes many chunks of little data.
var small = Config{Chunk: 4096, Depth: 3, Verify: true, Checkpoint: time.Nanosecond}

func TestRegionToRegion(t *testing.T) {
	for _, n := range []int{512, 4096, 4096*7 + 512, 1 << 18} {
		want := content(n)
		src, dst := attach(t, disk(t, bytes.Clone(want))), blank(t, n+1024)
		res, err := Copy(t.Context(), Source{Region: src, Size: int64(n)}, Target{Region: attach(t, dst)}, small, nil)
		if err != nil {
			t.Fatal(n, err)
		}
		got := dst.Image()
		if !bytes.Equal(got[:n], want) || !zero(got[n:]) {
			t.Errorf("%d bytes: the copy differs", n)
		}
		if res.Bytes != int64(n) || res.Copied != int64(n) || !res.Verified || res.Resumed != 0 {
			t.Errorf("%d bytes: result %+v", n, res)
		}
	}
}

func TestStreams(t *testing.T) {
	const n = 4096*9 + 77
	want := content(n)
	dst := blank(t, 1<<17)
	res, err := Copy(t.Context(), Source{Stream: iotest.HalfReader(bytes.NewReader(want)), Size: Unknown},
		Target{Region: attach(t, dst)}, small, nil)
	if err != nil || res.Bytes != n || !bytes.Equal(dst.Image()[:n], want) {
		t.Fatalf("stream to region: %+v, %v", res, err)
	}
	var out bytes.Buffer
	res, err = Copy(t.Context(), Source{Region: attach(t, dst), Size: n}, Target{Stream: &out}, small, nil)
	if err != nil || res.Bytes != n || !bytes.Equal(out.Bytes(), want) {
		t.Fatalf("region to stream: %+v, %v", res, err)
	}
	out.Reset()
	if _, err = Copy(t.Context(), Source{Stream: bytes.NewReader(nil), Size: Unknown}, Target{Stream: &out}, small, nil); err != nil || out.Len() != 0 {
		t.Fatalf("nothing: %v, %d bytes", err, out.Len())
	}
}

func TestErrors(t *testing.T) {
	src := attach(t, disk(t, content(1<<16)))
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		src  Source
		dst  Target
		want error
	}{
		"target too small": {Source{Region: src, Size: 1 << 16}, Target{Region: attach(t, blank(t, 1<<12))}, unio.ErrNoSpace},
		"stream too long":  {Source{Stream: bytes.NewReader(content(1 << 16)), Size: Unknown}, Target{Region: attach(t, blank(t, 1<<15))}, unio.ErrNoSpace},
		"beyond source":    {Source{Region: src, Size: 1 << 20}, Target{Stream: io.Discard}, unio.ErrOutOfRange},
		"reader fails":     {Source{Stream: iotest.ErrReader(boom), Size: Unknown}, Target{Region: attach(t, blank(t, 1<<12))}, boom},
		"writer fails":     {Source{Region: src, Size: 1 << 16}, Target{Stream: failingWriter{boom}}, boom},
	} {
		if _, err := Copy(t.Context(), c.src, c.dst, small, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	bad := small
	bad.Chunk = 1000
	if _, err := Copy(t.Context(), Source{Region: src, Size: 1}, Target{Stream: io.Discard}, bad, nil); !errors.Is(err, unio.ErrInvalid) {
		t.Error(err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// TestVerifyFinds damages the target between the copy and its verification.
func TestVerifyFinds(t *testing.T) {
	const n = 10 * 4096
	want := content(n)
	target := attach(t, blank(t, n))
	j, err := newJob(Source{Region: attach(t, disk(t, want)), Size: n}, Target{Region: target}, small, new(Monitor))
	if err != nil {
		t.Fatal(err)
	}
	defer j.release()
	if err := j.copy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := j.verify(t.Context()); err != nil {
		t.Fatalf("an intact copy: %v", err)
	}
	ch, err := target.Device().NewChannel(unio.ChannelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Do(t.Context(), unio.Request{Op: unio.OpWrite, Region: target, Offset: 3*4096 + 5, Data: []byte{^want[3*4096+5]}}); err != nil {
		t.Fatal(err)
	}
	err = j.verify(t.Context())
	var m *MismatchError
	if !errors.As(err, &m) || !errors.Is(err, unio.ErrChecksum) || m.Chunks != 1 || m.Offsets[0] != 3*4096 {
		t.Fatalf("error %v", err)
	}
}

// openState opens the state of one copy.
func openState(t *testing.T, path, source string) (*State, string) {
	t.Helper()
	s, why, err := OpenState(path, Header{Source: Identity{Name: source}, Chunk: small.Chunk})
	if err != nil {
		t.Fatal(err)
	}
	return s, why
}

// TestResume stops a copy at every place, and holds that the next one ends it,
// and reads no more than it must.
func TestResume(t *testing.T) {
	const n = 16 * 4096
	want := content(n)
	path := filepath.Join(t.TempDir(), "state")
	for stop := range 17 {
		_ = os.Remove(path)
		source, dst := disk(t, bytes.Clone(want)), blank(t, n)
		cfg := small
		cfg.State, _ = openState(t, path, "a")
		ctx, cancel := context.WithCancel(t.Context())
		mon := new(Monitor)
		go func() { // ends with the copy at the latest
			for mon.Progress().Done < int64(stop)*4096 && ctx.Err() == nil {
				time.Sleep(20 * time.Microsecond)
			}
			cancel()
		}()
		_, err := Copy(ctx, Source{Region: attach(t, source), Size: n}, Target{Region: attach(t, dst)}, cfg, mon)
		cancel()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err := cfg.State.Close(); err != nil {
			t.Fatal(err)
		}
		cfg.State, _ = openState(t, path, "a")
		noted := len(cfg.State.Sums())
		target := attach(t, dst)
		res, err := Copy(t.Context(), Source{Region: attach(t, source), Size: n}, Target{Region: target}, cfg, nil)
		if err != nil || !bytes.Equal(dst.Image(), want) {
			t.Fatalf("stopped at %d: %v", stop, err)
		}
		if res.Resumed != int64(noted)*4096 || target.Device().Stats().BytesWritten != n-res.Resumed {
			t.Errorf("stopped at %d with %d chunks noted: %+v", stop, noted, res)
		}
		if err := cfg.State.Remove(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRereadFindsChanges resumes from a source that changed unseen.
func TestRereadFindsChanges(t *testing.T) {
	const n = 8 * 4096
	want := content(n)
	path := filepath.Join(t.TempDir(), "state")
	dst := blank(t, n)
	cfg := small
	cfg.State, _ = openState(t, path, "a")
	if _, err := Copy(t.Context(), Source{Region: attach(t, disk(t, bytes.Clone(want))), Size: n}, Target{Region: attach(t, dst)}, cfg, nil); err != nil {
		t.Fatal(err)
	}
	_ = cfg.State.Close()
	want[2*4096+9]++
	cfg.State, _ = openState(t, path, "a")
	cfg.Reread = true
	res, err := Copy(t.Context(), Source{Region: attach(t, disk(t, bytes.Clone(want))), Size: n}, Target{Region: attach(t, dst)}, cfg, nil)
	if err != nil || res.Copied != 4096 || !bytes.Equal(dst.Image(), want) {
		t.Errorf("%+v, %v", res, err)
	}
	_ = cfg.State.Close()
}

func TestSparse(t *testing.T) {
	const n = 8 * 4096
	want := content(n)
	clear(want[4096 : 4*4096])
	dst := disk(t, bytes.Repeat([]byte{0xff}, n))
	cfg := small
	cfg.Sparse = true
	res, err := Copy(t.Context(), Source{Region: attach(t, disk(t, bytes.Clone(want))), Size: n}, Target{Region: attach(t, dst)}, cfg, nil)
	if err != nil || res.Zeroes != 3*4096 || res.Copied != 5*4096 || !bytes.Equal(dst.Image(), want) {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s, why := openState(t, path, "a")
	if why != "" || s.Sums() != nil {
		t.Fatal(why, s.Sums())
	}
	for n := 1; n <= 5; n++ {
		if err := s.Advance([]uint32{1, 2, 3, 4, 5}[:n]); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head := bytes.IndexByte(whole, '\n') + 1
	// However much of the end is lost, what remains is true.
	for cut := head; cut <= len(whole); cut++ {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s, why := openState(t, path, "a")
		if want := (cut - head) / 12; why != "" || len(s.Sums()) != want {
			t.Fatalf("cut at %d: %d sums, want %d (%s)", cut, len(s.Sums()), want, why)
		}
		_ = s.Close()
	}
	for i := range 12 { // each byte of the second record
		flipped := bytes.Clone(whole)
		flipped[head+12+i] ^= 1
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _ := openState(t, path, "a")
		if len(s.Sums()) != 1 {
			t.Errorf("a second record with a wrong byte %d left %d sums", i, len(s.Sums()))
		}
		_ = s.Close()
	}
	if s, why := openState(t, path, "b"); !strings.Contains(why, "source has changed") || s.Sums() != nil {
		t.Errorf("another source: %q, %v", why, s.Sums())
	}
	if err := os.WriteFile(path, []byte("not json\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, why := openState(t, path, "a"); why == "" || s.Sums() != nil {
		t.Errorf("garbage was taken up")
	}
}

func TestZero(t *testing.T) {
	for _, c := range []struct {
		b    []byte
		want bool
	}{{nil, true}, {[]byte{0}, true}, {[]byte{1}, false}, {make([]byte, 99), true}, {append(make([]byte, 99), 1), false}, {[]byte{1, 1, 1}, false}} {
		if zero(c.b) != c.want {
			t.Errorf("zero(%v) is not %v", c.b, c.want)
		}
	}
}

// FuzzState holds that whatever is in the file, opening it gives a usable
// state.
func FuzzState(f *testing.F) {
	f.Add([]byte("{}\n\x01\x00\x00\x00"))
	f.Add([]byte(`{"format":"unio-cp-1","source":{"name":"a","size":0},"target":{"name":"","size":0},"chunk":4096}` + "\n\x01\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00"))
	path := filepath.Join(f.TempDir(), "state")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _ := openState(t, path, "a")
		n := len(s.Sums())
		if err := s.Advance(append(s.Sums(), 9)); err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
		s, why := openState(t, path, "a")
		if why != "" || len(s.Sums()) != n+1 || s.Sums()[n] != 9 {
			t.Fatalf("%s %v", why, s.Sums())
		}
		_ = s.Close()
	})
}
