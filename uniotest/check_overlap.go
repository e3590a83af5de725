package uniotest

import (
	"math/rand/v2"

	"github.com/unio-stack/unio"
)

// checkOverlap: when a write of whole blocks and one of a few bytes among them
// are in flight together, the bytes that only the first covers are the first's,
// and each of the others is of one of the two.
func checkOverlap(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	chans := []*unio.Channel{r.channel(unio.ChannelConfig{}), r.channel(unio.ChannelConfig{})}
	block := int64(r.info.BlockSize)
	for i := range r.rounds(200) {
		whole := span{0, block * (1 + r.rng.Int64N(4))}
		if block == 1 {
			whole.end = 1 + r.rng.Int64N(9000)
		}
		off := r.rng.Int64N(whole.end)
		part := span{off, min(whole.end, off+1+r.rng.Int64N(300))}
		wide, narrow := byte(2*i%200), byte(2*i%200+1)
		r.together(2, func(k int, _ *rand.Rand) error {
			s, b := whole, wide
			if k == 1 {
				s, b = part, narrow
			}
			q := unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: s.off, Data: fillOf(int(s.end-s.off), b)}
			_, err := succeed(chans[k], r.cfg.Patience, []unio.Request{q})
			return err
		})
		for at, b := range r.read(chans[0], 0, int(whole.end)) {
			inside := int64(at) >= part.off && int64(at) < part.end
			if b != wide && !(inside && b == narrow) {
				r.Fatalf("byte %d is %#x after a write of %#x to bytes 0 to %d and one of %#x to bytes %d to %d",
					at, b, wide, whole.end, narrow, part.off, part.end)
			}
		}
	}
}
