package mem

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/unio-stack/unio"
)

// A rig is an open device with a region and a channel.
type rig struct {
	testing.TB
	d    *device
	dev  *unio.Device
	reg  *unio.Region
	ch   *unio.Channel
	path string // of the file, "" for DRAM
}

func newRig(t testing.TB, d *device) *rig {
	t.Helper()
	r := &rig{TB: t, d: d, dev: unio.NewDevice(d)}
	rights := unio.ReadWrite
	if d.info.ReadOnly {
		rights = unio.ReadOnly
	}
	var err error
	if r.reg, err = r.dev.Attach(context.Background(), "", rights); err != nil {
		t.Fatal(err)
	}
	if r.ch, err = r.dev.NewChannel(unio.ChannelConfig{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

func (r *rig) close() {
	if err := r.dev.Close(); err != nil {
		r.Error(err)
	}
}

// dramRig opens size bytes of DRAM.
func dramRig(t testing.TB, size int64) *rig {
	t.Helper()
	d, err := openDRAM(context.Background(), Config{Size: size})
	if err != nil {
		t.Fatal(err)
	}
	return newRig(t, d)
}

// fileRig creates and opens a file of size bytes.
func fileRig(t testing.TB, size int64) *rig {
	t.Helper()
	return openRig(t, filepath.Join(t.TempDir(), "disk"), DAXConfig{Size: size, Create: true})
}

func openRig(t testing.TB, path string, cfg DAXConfig) *rig {
	t.Helper()
	d, err := openDAX(context.Background(), path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, d)
	r.path = path
	return r
}

// forEach runs a test on DRAM and on a file.
func forEach(t *testing.T, size int64, test func(*testing.T, *rig)) {
	t.Helper()
	t.Run("mem", func(t *testing.T) { test(t, dramRig(t, size)) })
	t.Run("dax", func(t *testing.T) { test(t, fileRig(t, size)) })
}

// do carries out one request.
func (r *rig) do(req unio.Request) error {
	req.Region = r.reg
	return r.ch.Do(context.Background(), req)
}

func (r *rig) must(req unio.Request) {
	r.Helper()
	if err := r.do(req); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) write(off int64, p []byte, flags unio.Flags) {
	r.Helper()
	r.must(unio.Request{Op: unio.OpWrite, Flags: flags, Offset: off, Data: p})
}

func (r *rig) read(off int64, n int) []byte {
	r.Helper()
	p := make([]byte, n)
	r.must(unio.Request{Op: unio.OpRead, Offset: off, Data: p})
	return p
}

func (r *rig) truncate(size int64) {
	r.Helper()
	if err := os.Truncate(r.path, size); err != nil {
		r.Fatal(err)
	}
}

// wantOpError expects an OpError with a cause and a first bad byte.
func (r *rig) wantOpError(err, cause error, bad int64) *unio.OpError {
	r.Helper()
	var e *unio.OpError
	if !errors.As(err, &e) || !errors.Is(err, cause) {
		r.Fatalf("got %v, want an OpError that is %v", err, cause)
	}
	if e.BadByte != bad || string(e.Layer) != r.d.info.Provider {
		r.Errorf("%v: bad byte %d, layer %q; want %d, %q", err, e.BadByte, e.Layer, bad, r.d.info.Provider)
	}
	return e
}

// pattern returns n bytes that depend on seed.
func pattern(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7) ^ byte(i>>8) ^ seed
	}
	return p
}

func (r *rig) wantBytes(off int64, want []byte) {
	r.Helper()
	if got := r.read(off, len(want)); !bytes.Equal(got, want) {
		r.Errorf("%d bytes at %d are not what was stored", len(want), off)
	}
}
