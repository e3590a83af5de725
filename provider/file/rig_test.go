package file

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// patience bounds every wait of the tests; what they wait for takes moments.
const patience = 20 * time.Second

// A rig is an open device with its region.
type rig struct {
	testing.TB
	dev *unio.Device
	reg *unio.Region
	ctx context.Context
}

// newRig opens path and closes the device at the end of the test.
func newRig(t testing.TB, path string, cfg Config) *rig {
	t.Helper()
	dev, err := Open(context.Background(), path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return newRigOn(t, dev)
}

func newRigOn(t testing.TB, dev *unio.Device) *rig {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	t.Cleanup(func() {
		stop()
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	})
	rights := unio.ReadWrite
	if dev.Info().ReadOnly {
		rights = unio.ReadOnly
	}
	reg, err := dev.Attach(ctx, "", rights)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, dev, reg, ctx}
}

func (r *rig) channel(cfg unio.ChannelConfig) *unio.Channel {
	r.Helper()
	ch, err := r.dev.NewChannel(cfg)
	if err != nil {
		r.Fatal(err)
	}
	return ch
}

func (r *rig) write(off int64, p []byte) unio.Request {
	return unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: off, Data: p}
}

func (r *rig) read(off int64, p []byte) unio.Request {
	return unio.Request{Op: unio.OpRead, Region: r.reg, Offset: off, Data: p}
}

func (r *rig) must(ch *unio.Channel, reqs ...unio.Request) {
	r.Helper()
	for _, q := range reqs {
		if err := ch.Do(r.ctx, q); err != nil {
			r.Fatal(err)
		}
	}
}

// echo writes n random bytes at off and reads them back.
func (r *rig) echo(ch *unio.Channel, off int64, n int) {
	r.Helper()
	in, out := noise(n), make([]byte, n)
	r.must(ch, r.write(off, in), r.read(off, out))
	if !bytes.Equal(in, out) {
		r.Fatalf("%d bytes at %d were not read as they were written", n, off)
	}
}

// drain returns the completions of all that is in flight.
func (r *rig) drain(ch *unio.Channel) (all []unio.Completion) {
	r.Helper()
	var done [64]unio.Completion
	for {
		n, err := ch.Wait(r.ctx, done[:])
		if err != nil {
			r.Fatalf("after %d completions: %v", len(all), err)
		}
		if n == 0 {
			return all
		}
		all = append(all, done[:n]...)
	}
}

// buffer returns a Buffer that is freed at the end of the test.
func (r *rig) buffer(n int) []byte {
	r.Helper()
	b, err := unio.NewBuffer(n)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = b.Free() })
	return b.Bytes()
}

// wantNote checks that the device says that something is not as expected.
func (r *rig) wantNote(text string) {
	r.Helper()
	if notes := strings.Join(r.dev.Info().Notes, "\n"); !strings.Contains(notes, text) {
		r.Errorf("the notes do not say %q: %q", text, notes)
	}
}

func noise(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rand.Uint32())
	}
	return p
}

// newFile writes a file of n random bytes.
func newFile(t testing.TB, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, noise(n), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// poll fetches what is there; a request may have been cancelled.
func (r *rig) poll(ch *unio.Channel, done []unio.Completion) int {
	r.Helper()
	n := ch.Poll(done)
	for _, c := range done[:n] {
		if c.Err != nil && !errors.Is(c.Err, unio.ErrCanceled) {
			r.Fatal(c.Err)
		}
	}
	return n
}
