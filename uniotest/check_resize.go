package uniotest

import (
	"errors"

	"github.com/unio-stack/unio"
)

// checkResize: a region that can change its length grows with zeroes, and what
// is cut off is out of range.
func checkResize(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	ctx, size := r.Context(), r.reg.Size()
	ch := r.channel(unio.ChannelConfig{})
	for _, n := range []int64{0, -1, -1 << 62} {
		if err := r.reg.Resize(ctx, n); err == nil {
			r.Errorf("Resize to %d bytes succeeded", n)
		}
	}
	const more = 64 << 10
	err := r.reg.Resize(ctx, size+more)
	if errors.Is(err, unio.ErrUnsupported) {
		if r.reg.Size() != size {
			r.Errorf("Resize is unsupported and changed the size to %d", r.reg.Size())
		}
		r.Skip("not applicable: the region's length is fixed, and Resize says ErrUnsupported")
	}
	r.check(err)
	if got := r.reg.Size(); got != size+more {
		r.Fatalf("the region has %d bytes after Resize to %d", got, size+more)
	}
	if at := other(r.read(ch, size, more), 0); at >= 0 {
		r.Errorf("new byte %d is not zero", at)
	}
	last := payload(r.rng, 1000)
	r.write(ch, size+more-1000, last)
	r.write(ch, size-500, last)
	r.check(r.reg.Resize(ctx, size))
	_, err = ch.Post(unio.Request{Op: unio.OpRead, Region: r.reg, Offset: size, Data: make([]byte, 1)})
	if !errors.Is(err, unio.ErrOutOfRange) {
		r.Errorf("a read of what was cut off: %v, want ErrOutOfRange", err)
	}
	r.check(r.reg.Resize(ctx, size+more))
	if at := other(r.read(ch, size, more), 0); at >= 0 {
		r.Errorf("byte %d reappeared after the region shrank and grew", at)
	}
}
