package uniotest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/unio-stack/unio"
)

// checkFile: the face for many goroutines keeps each caller's bytes apart,
// ends where the region ends, and gives memory back when a call returns.
func checkFile(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite, unio.OpFlush)
	f := unio.NewFile(r.reg)
	const callers = 48
	r.together(callers, func(i int, rng *rand.Rand) error {
		return r.callFile(f, int64(i)*(Size/callers), Size/callers, rng)
	})
	r.check(f.Sync())
	size := r.reg.Size()
	p := make([]byte, 1000)
	if n, err := f.ReadAt(p, size-300); n != 300 || !errors.Is(err, io.EOF) {
		r.Errorf("ReadAt across the end: %d, %v; want 300, io.EOF", n, err)
	}
	if n, err := f.ReadAt(p, size); n != 0 || !errors.Is(err, io.EOF) {
		r.Errorf("ReadAt at the end: %d, %v; want 0, io.EOF", n, err)
	}
	if n, err := f.WriteAt(p, size-300); n != 300 || err == nil {
		r.Errorf("WriteAt across the end: %d, %v; want 300 and an error", n, err)
	}
	if _, err := f.ReadAt(p, -1); err == nil {
		r.Error("ReadAt before the start succeeded")
	}
	r.end("File.Close", f.Close)
	if _, err := f.ReadAt(p, 0); !errors.Is(err, unio.ErrClosed) {
		r.Errorf("ReadAt of a closed File: %v, want ErrClosed", err)
	}
}

// callFile writes and reads a part of the file that nobody else touches.
func (r *rig) callFile(f *unio.File, base, size int64, rng *rand.Rand) error {
	m := make(model, size)
	for range r.rounds(24) {
		n := 1 + rng.IntN(9000)
		off := rng.Int64N(size - int64(n))
		p := payload(rng, n)
		copy(m[off:], p)
		if _, err := f.WriteAt(p, base+off); err != nil {
			return err
		}
		fillByte(p, poisonByte)
		off = rng.Int64N(size - int64(n))
		if _, err := f.ReadAt(p, base+off); err != nil {
			return err
		}
		if at := differ(p, m[off:off+int64(n)]); at >= 0 {
			return fmt.Errorf("byte %d of the file is %#x, want %#x", base+off+int64(at), p[at], m[off+int64(at)])
		}
	}
	return nil
}
